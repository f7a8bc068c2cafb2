"""What rings and Maglev tables are made of: the key of each host, and its share.

Source    spec/hash.md HASH-10, spec/priority.md ZONE-3; envoyproxy/envoy:
          source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc
Inputs    endpoints in order; the weights of their localities, where these count.
Exactness shares are IEEE doubles: `weight * locality share / total of the locality`, in this order of operations.
Errors    none. A locality of weight 0 has no hosts here; its weight and that of empty ones still count in the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from meshroute.names import wire
from meshroute.table import Endpoint


class Hosts(NamedTuple):
    """Hosts in the order in which they are placed: their numbers in the list they came from, keys and shares."""

    numbers: tuple[int, ...]
    keys: tuple[str, ...]
    shares: tuple[float, ...]


def hash_key(endpoint: Endpoint, hostnames: bool = False) -> str:
    """What stands for an endpoint: its own key if it has one, else its hostname if asked for, else `ip:port`."""
    own = endpoint.metadata.get("hash_key") if endpoint.metadata else None
    if isinstance(own, str) and own:
        return wire(own)
    return endpoint.hostname if hostnames else endpoint.key


def hosts(
    endpoints: Sequence[Endpoint],
    localities: Sequence[str] = (),
    weights: Mapping[str, int] | None = None,
    hostnames: bool = False,
) -> Hosts:
    """All of the endpoints, by weight; with `weights`, locality by locality in the order of `localities`."""
    found: list[tuple[int, float]] = []
    if weights is None:
        found.extend(_flat(endpoints, range(len(endpoints)), 1.0))
    else:
        total = sum(weights.values())
        for locality in localities:
            if weight := weights.get(locality, 0):
                numbers = [number for number, one in enumerate(endpoints) if one.locality == locality]
                found.extend(_flat(endpoints, numbers, float(weight) / total))
    return Hosts(
        tuple(number for number, _ in found),
        tuple(hash_key(endpoints[number], hostnames) for number, _ in found),
        tuple(share for _, share in found),
    )


def _flat(endpoints: Sequence[Endpoint], numbers: Sequence[int], share: float) -> Iterable[tuple[int, float]]:
    total = sum(endpoints[number].weight for number in numbers)
    return [(number, float(endpoints[number].weight) * share / total) for number in numbers]
