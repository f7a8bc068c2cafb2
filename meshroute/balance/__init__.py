"""Load balancing: one file for each policy, and the one `match` that knows them all."""

from __future__ import annotations

from typing import assert_never

from meshroute.balance import least_request, maglev, random_choice, ring_hash, round_robin
from meshroute.balance.picker import DRAWS, Ask, Odds, Picker, span_chance
from meshroute.table import (
    Cluster,
    Endpoint,
    LeastRequest,
    Maglev,
    OriginalDestination,
    RandomChoice,
    RingHash,
    RoundRobin,
)

__all__ = ["DRAWS", "Ask", "Odds", "Picker", "prepare", "span_chance"]


def prepare(cluster: Cluster, usable: tuple[Endpoint, ...]) -> Picker | None:
    """The picker for these endpoints of the cluster: made once for each distinct list, asked once for each request.

    None where the policy has nobody to pick: no usable endpoint, an empty ring, or no list to pick from.
    """
    if not usable:
        return None
    match cluster.policy:
        case RoundRobin():
            return round_robin.prepare(usable)
        case LeastRequest(choices):
            return least_request.prepare(usable, choices)
        case RandomChoice():
            return random_choice.prepare(usable)
        case RingHash() as sizes:
            return ring_hash.prepare(usable, sizes)
        case Maglev(size):
            return maglev.prepare(usable, size)
        case OriginalDestination():  # `decide` answers with the address the client connected to; there is no choice
            return None
        case _:
            assert_never(cluster.policy)
