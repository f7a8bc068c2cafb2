"""A cluster made ready for deciding: its parts, and who of them may be chosen as things are.

Source    spec/subsets.md SUB-1 to SUB-11, spec/state.md STATE-7; envoyproxy/envoy:
          source/extensions/load_balancing_policies/subset
Inputs    a cluster; then, for each request, the state and the criteria of its route.
Exactness views are kept for as long as there is room; that saves time only.
Errors    none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from meshroute.balance.candidates import Around, Placed, View, of_one, place, view, weights_of
from meshroute.balance.subsets import Division, Try, criteria_of, scaled
from meshroute.names import EndpointKey
from meshroute.state import State
from meshroute.table import Cluster, Endpoint, Forward, Health, Maglev, RingHash, WeightedCluster

KEPT_VIEWS: Final = 256
"""How many sets of ejected endpoints a target keeps its view for; the oldest goes first."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A part of a cluster as its health is now, and which part it is; None for an undivided cluster."""

    view: View
    part: Try | None = None


class Target:
    """A cluster made ready: its endpoints, its parts, and who of them may be chosen in their present health."""

    __slots__ = ("_around", "_division", "_views", "_weights", "_whole", "cluster", "hashes", "placed")

    def __init__(self, cluster: Cluster, around: Around) -> None:
        self.cluster: Final = cluster
        self.placed: Final = place(cluster.endpoints)
        self.hashes: Final = isinstance(cluster.policy, (RingHash, Maglev))
        self._around: Final = around
        self._weights: Final = weights_of(cluster)
        division = Division(cluster.subsets, cluster.endpoints) if cluster.subsets is not None else None
        self._division: Final = division if division is not None and division.divided else None
        self._views: Final[dict[tuple[str, tuple[EndpointKey, ...]], Asked]] = {}
        self._whole: Final = None if self._division else (Asked(view(cluster, self.placed, around, self._weights)),)

    def asked(self, state: State, action: Forward, chosen: WeightedCluster) -> Sequence[Asked]:
        """The parts that are asked in this state, one after the other until one has somebody; endpoints that are
        ejected count as unhealthy."""
        ejected = state.ejected.get(self.cluster.name, ())
        if self._division is None:
            return self._whole if self._whole is not None and not ejected else (self._part(None, ejected),)
        return [self._part(one, ejected) for one in self._division.tries(criteria_of(action, chosen))]

    def _part(self, part: Try | None, ejected: tuple[EndpointKey, ...]) -> Asked:
        key = (part.name if part is not None else "", ejected)
        known = self._views.get(key)
        if known is None or known.part != part:
            if len(self._views) >= KEPT_VIEWS:
                self._views.pop(next(iter(self._views)))
            known = self._views[key] = Asked(self._view(part, ejected), part)
        return known

    def _view(self, part: Try | None, ejected: tuple[EndpointKey, ...]) -> View:
        placed = [one._replace(endpoint=put_aside(one.endpoint)) if one.key in ejected else one for one in self.placed]
        if part is None:
            return view(self.cluster, placed, self._around, self._weights)
        if part.single:
            return of_one(self.cluster, placed[part.numbers[0]])
        there = [placed[number] for number in part.numbers]
        return view(self.cluster, there, self._around, self._weights_of(there), part.name)

    def _weights_of(self, part: Sequence[Placed]) -> Mapping[tuple[int, str], int] | None:
        """The weights of localities as a part has them: none, the same, or by how much of each locality it has."""
        subsets = self.cluster.subsets
        if self._weights is None or subsets is None or not subsets.locality_weights:
            return None
        if not subsets.scale_locality_weights:
            return self._weights
        here, all_of = (
            Counter((one.endpoint.priority, one.endpoint.locality) for one in some) for some in (part, self.placed)
        )
        return {where: scaled(self._weights.get(where, 0), here[where], all_of[where]) for where in here}


def put_aside(endpoint: Endpoint) -> Endpoint:
    """The endpoint as it counts while it is ejected: not among the healthy, but draining if it was."""
    return endpoint if endpoint.health is Health.DRAINING else replace(endpoint, health=Health.UNHEALTHY)
