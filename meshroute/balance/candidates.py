"""Who of a cluster may be chosen: by priority, panic, locality, and then by the policy.

Source    spec/priority.md PRIO-3 to PRIO-5, ZONE-1 to ZONE-4; envoyproxy/envoy:
          source/extensions/load_balancing_policies/common/load_balancer_impl.cc
Inputs    a cluster with the health that its endpoints have now. Everything here is made once for each distinct health
          and asked for each request.
Exactness a request's number modulo 100 chooses the priority and whether its healthy or its degraded endpoints serve;
          that number is the request's key under ring hash and Maglev, else the draw `priority`.
Errors    none. A part without a picker serves nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias, assert_never

from meshroute.balance import least_request, maglev, random_choice, ring_hash, round_robin
from meshroute.balance.bounded import Bounded
from meshroute.balance.hosts import hosts
from meshroute.balance.localities import Zones, effective, ordered, zones
from meshroute.balance.picker import Ask, Forgetful, Members, Odds, Picker, span_chance
from meshroute.balance.priority import Loads, counted, loads, other_loads, percent
from meshroute.balance.round_robin import WeightedTurns
from meshroute.decision import Passed
from meshroute.draws import ZONE_GATE, ZONE_KEEP, ZONE_SPREAD
from meshroute.names import EndpointKey
from meshroute.state import Effect, RequestStarted, Source, level
from meshroute.table import (
    Cluster,
    Endpoint,
    Health,
    LeastRequest,
    Maglev,
    OriginalDestination,
    RandomChoice,
    RingHash,
    RoundRobin,
)


class Which(StrEnum):
    """Which endpoints of a priority serve."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ALL = "all"
    """In a panic: whatever their health."""


class Placed(NamedTuple):
    """An endpoint of a cluster, and what state calls it: its key, numbered from the second of the same on."""

    endpoint: Endpoint
    key: EndpointKey


class Pool:
    """Endpoints that one policy chooses among, and what a pick of each leaves behind."""

    __slots__ = ("cluster", "effects", "locality", "picker", "placed", "started")

    def __init__(self, cluster: Cluster, placed: Sequence[Placed], picker: Picker | None, locality: str | None = None):
        self.cluster: Final = cluster
        self.placed: Final = tuple(placed)
        self.picker: Final = picker
        self.locality: Final = locality
        self.started: Final = tuple(RequestStarted(cluster.name, one.key) for one in placed)
        turn = picker.turn if picker is not None else ()
        # Where a pick always leaves the same behind, it is made once; None where the picker must be asked.
        self.effects: Final[tuple[tuple[Effect, ...], ...] | None] = (
            tuple((*turn, one) for one in self.started) if turn is not None else None
        )

    def served_by(self, picker: Picker) -> Pool:
        """The same endpoints, chosen by another picker."""
        return Pool(self.cluster, self.placed, picker, self.locality)


class _TheOne(Forgetful):
    """The only endpoint of a subset that is to have one: it is not asked for its health."""

    name: Final = "single host"
    remembers: Final = False
    draws_twice: Final = False

    def pick(self, ask: Ask) -> int:
        return 0

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        return [Fraction(1)]

    def how(self, ask: Ask) -> str:
        return "the subset has no other"


class ByLocality:
    """The localities of a priority take turns, in proportion to their weights and health."""

    __slots__ = ("pools", "turns")

    def __init__(self, turns: WeightedTurns, pools: Sequence[Pool]) -> None:
        self.turns: Final = turns
        self.pools: Final = tuple(pools)


class ByZone:
    """The proxy's own locality keeps what it can serve. `anywhere` is for requests to which this does not apply."""

    __slots__ = ("anywhere", "pools", "zones")

    def __init__(self, zones: Zones, pools: Sequence[Pool], anywhere: Pool) -> None:
        self.zones: Final = zones
        self.pools: Final = tuple(pools)
        self.anywhere: Final = anywhere


Part: TypeAlias = Pool | ByLocality | ByZone


class Band(NamedTuple):
    """Requests whose number modulo 100 is in [low, high): which priority serves them, and by which part of it."""

    low: int
    high: int
    priority: int
    which: Which
    part: Part


class View:
    """A cluster, or a part of one, as its health is now."""

    __slots__ = ("_others", "bands", "cluster", "hashes", "only", "placed")

    def __init__(
        self,
        cluster: Cluster,
        placed: Sequence[Placed],
        bands: Sequence[Band],
        others: Callable[[Passed, int], tuple[Passed, View]] | None = None,
    ) -> None:
        self.cluster: Final = cluster.name
        self._others: Final = others
        self.placed: Final = tuple(placed)
        self.hashes: Final = isinstance(cluster.policy, (RingHash, Maglev))
        self.bands: Final = tuple(bands)
        # The common case: everything goes to one pool, whatever is drawn.
        self.only: Final = bands[0].part if len(bands) == 1 and isinstance(bands[0].part, Pool) else None

    def band(self, number: int) -> Band:
        """The band of a request's number."""
        point = number % 100
        return next(one for one in self.bands if point < one.high)

    def others(self, passed: Passed, every: int) -> tuple[Passed, View]:
        """The same endpoints for a retry that prefers priorities not tried yet, after every `every`th try. Rings and
        Maglev tables do not, nor does who serves in any case."""
        return self._others(passed, every) if self._others is not None else (passed, self)


class Around(NamedTuple):
    """From where endpoints are seen: the proxy's locality, and the endpoints of its own cluster, if known."""

    locality: str = ""
    callers: tuple[Endpoint, ...] | None = None


ALONE: Final = Around()


def place(endpoints: Sequence[Endpoint]) -> tuple[Placed, ...]:
    """Endpoints with what state calls them. Two of one address are two endpoints; the second is `ip:port#2`."""
    seen = Counter[EndpointKey]()
    placed = []
    for one in endpoints:
        seen[one.key] += 1
        placed.append(Placed(one, one.key if seen[one.key] == 1 else EndpointKey(f"{one.key}#{seen[one.key]}")))
    return tuple(placed)


def view(
    cluster: Cluster,
    placed: Sequence[Placed],
    around: Around = ALONE,
    weights: Mapping[tuple[int, str], int] | None = None,
    name: str = "",
) -> View:
    """The cluster with these of its endpoints, in their present health.

    `weights` are those of localities, by priority, where they count; `name` tells a part of a cluster from the others.
    """
    return _Views(cluster, around, weights, name).view(placed)


def of_cluster(cluster: Cluster, around: Around = ALONE) -> View:
    """All of the cluster, as its table has it."""
    return view(cluster, place(cluster.endpoints), around, weights_of(cluster))


def of_one(cluster: Cluster, one: Placed) -> View:
    """An endpoint that serves in any case."""
    return View(cluster, (one,), (Band(0, 100, one.endpoint.priority, Which.ALL, Pool(cluster, (one,), _TheOne())),))


def weights_of(cluster: Cluster) -> Mapping[tuple[int, str], int] | None:
    """The weights of its localities, by priority; None where they do not count."""
    if cluster.locality_weights is None:
        return None
    return {(one.priority, one.locality): one.weight for one in cluster.locality_weights}


class _Views:
    def __init__(
        self, cluster: Cluster, around: Around, weights: Mapping[tuple[int, str], int] | None, name: str
    ) -> None:
        self.cluster: Final = cluster
        self.around: Final = around
        self.weights: Final = weights
        self.name: Final = name
        self._part_name: Final = f"[{name}]" if name else ""
        self.panic: Final = percent(cluster.panic)
        self.hashes: Final = isinstance(cluster.policy, (RingHash, Maglev))

    def view(self, placed: Sequence[Placed]) -> View:
        last = max((one.endpoint.priority for one in placed), default=0)
        levels = [[one for one in placed if one.endpoint.priority == number] for number in range(last + 1)]
        cluster = self.cluster
        counts = [counted(one.endpoint for one in some) for some in levels]
        shares = loads(
            counts,
            self.panic,
            cluster.overprovisioning,
            cluster.weighted_health,
            self.hashes,
        )
        parts: dict[tuple[int, Which], Part] = {}
        bands = self._bands(shares, levels, parts)
        if self.hashes:
            return View(cluster, placed, bands)

        def others(passed: Passed, every: int) -> tuple[Passed, View]:
            passed, now = other_loads(passed, every, shares, counts, cluster.overprovisioning, cluster.weighted_health)
            if now is shares:
                return passed, known
            return passed, View(cluster, placed, self._bands(now, levels, parts), others)

        known = View(cluster, placed, bands, others)
        return known

    def _bands(
        self, shares: Loads, levels: Sequence[Sequence[Placed]], parts: dict[tuple[int, Which], Part]
    ) -> list[Band]:
        """The spans of the loads; `parts` are those that are made already, and get what is made now."""
        bands: list[Band] = []
        low = 0
        for which, by in ((Which.HEALTHY, shares.healthy), (Which.DEGRADED, shares.degraded)):
            for priority, share in enumerate(by):
                if share == 0:
                    continue
                exposed = Which.ALL if shares.panics[priority] else which
                # Rings and Maglev tables have no degraded hosts: whoever is sent there meets the healthy ones.
                asked = Which.HEALTHY if self.hashes and exposed is Which.DEGRADED else exposed
                if (priority, asked) not in parts:
                    parts[priority, asked] = self._part(priority, asked, levels[priority])
                bands.append(Band(low, low + share, priority, exposed, parts[priority, asked]))
                low += share
        assert low == 100, "the loads of all priorities sum to 100"
        return bands

    def _part(self, priority: int, which: Which, placed: Sequence[Placed]) -> Part:
        if self.hashes:
            return self._hashed(priority, which, placed)
        exposed = _exposed(placed, which)
        plain = self._pool(priority, which, exposed)
        if which is Which.ALL:
            return Pool(self.cluster, (), None) if self.cluster.zone_aware.fail_on_panic else plain
        wanted = Health.HEALTHY if which is Which.HEALTHY else Health.DEGRADED
        if self.weights is not None:
            return self._by_locality(priority, which, wanted, placed) or plain
        if priority == 0 and self.around.callers is not None and not self.name:
            return self._by_zone(which, placed, plain) or plain
        return plain

    def _by_locality(self, priority: int, which: Which, wanted: Health, placed: Sequence[Placed]) -> ByLocality | None:
        """None where no locality has a weight and somebody of the wanted health."""
        assert self.weights is not None
        found: list[tuple[float, Pool]] = []
        for locality in ordered([one.endpoint for one in placed], self.around.locality):
            there = [one for one in placed if one.endpoint.locality == locality]
            weight = effective(
                [one.endpoint for one in there],
                self.weights.get((priority, locality), 0),
                wanted,
                self.cluster.overprovisioning,
            )
            if weight > 0:
                found.append((weight, self._pool(priority, which, _exposed(there, which), locality)))
        if not found:
            return None
        source = f"{level(self.cluster.name, priority)}/{which}{self._part_name}:localities"
        turns = WeightedTurns("locality turns", source, self.cluster.name, [weight for weight, _ in found])
        return ByLocality(turns, [pool for _, pool in found])

    def _by_zone(self, which: Which, placed: Sequence[Placed], plain: Pool) -> ByZone | None:
        assert self.around.callers is not None
        localities = ordered([one.endpoint for one in placed], self.around.locality)
        healthy = {
            name: [
                one.endpoint
                for one in placed
                if one.endpoint.locality == name and one.endpoint.health is Health.HEALTHY
            ]
            for name in localities
        }
        setting = self.cluster.zone_aware
        divided = zones(localities, healthy, self.around.callers, self.around.locality, setting, self.panic)
        if divided is None:
            return None
        pools = [
            self._pool(0, which, _exposed([one for one in placed if one.endpoint.locality == name], which), name)
            for name in localities
        ]
        return ByZone(divided, pools, plain)

    def _hashed(self, priority: int, which: Which, placed: Sequence[Placed]) -> Pool:
        exposed = _exposed(placed, which)
        localities = ordered([one.endpoint for one in placed], self.around.locality)
        weights = None
        if self.weights is not None:
            weights = {name: self.weights.get((priority, name), 0) for name in localities}
        endpoints = [one.endpoint for one in exposed]
        some = hosts(endpoints, localities, weights, self.cluster.hash_hostnames)
        there = [exposed[number] for number in some.numbers]
        policy = self.cluster.policy
        picker: Picker | None
        if isinstance(policy, RingHash):
            picker = ring_hash.prepare(some, policy)
        else:
            assert isinstance(policy, Maglev)
            picker = maglev.prepare(some, policy.size)
        if picker is not None and policy.balance_factor is not None:
            keys = [one.key for one in there]
            picker = Bounded(picker, self.cluster.name, keys, some.shares, policy.balance_factor)
        return Pool(self.cluster, there, picker)

    def _pool(self, priority: int, which: Which, exposed: Sequence[Placed], locality: str | None = None) -> Pool:
        return Pool(self.cluster, exposed, self._picker(priority, which, exposed, locality), locality)

    def _picker(self, priority: int, which: Which, exposed: Sequence[Placed], locality: str | None) -> Picker | None:
        if not exposed:
            return None
        members = Members(
            self.cluster.name,
            priority,
            self._source(priority, which, locality),
            tuple(one.key for one in exposed),
            tuple(one.endpoint.weight for one in exposed),
            tuple(one.endpoint.health is Health.HEALTHY for one in exposed),
        )
        policy = self.cluster.policy
        match policy:
            case RoundRobin(slow):
                return round_robin.prepare(members, slow)
            case LeastRequest():
                return least_request.prepare(members, policy)
            case RandomChoice():
                return random_choice.prepare(members)
            case OriginalDestination():  # `decide` answers with the address the client connected to: no choice
                return None
            case RingHash() | Maglev():
                raise AssertionError("hashing policies have a list of their own")
            case _:
                assert_never(policy)

    def _source(self, priority: int, which: Which, locality: str | None) -> Source:
        if priority == 0 and which is Which.HEALTHY and locality is None and not self.name:
            return self.cluster.name
        where = "" if locality is None else f"@{locality}"
        return f"{level(self.cluster.name, priority)}/{which}{self._part_name}{where}"


def _exposed(placed: Sequence[Placed], which: Which) -> list[Placed]:
    """Those of the placed endpoints that serve."""
    match which:
        case Which.ALL:
            return list(placed)
        case Which.HEALTHY:
            return [one for one in placed if one.endpoint.health is Health.HEALTHY]
        case Which.DEGRADED:
            return [one for one in placed if one.endpoint.health is Health.DEGRADED]
        case _:
            assert_never(which)


def settle(part: Part, ask: Ask) -> tuple[Pool, tuple[Effect, ...]]:
    """The pool that serves, and what the choice of it leaves behind."""
    match part:
        case Pool():
            return part, ()
        case ByLocality():
            return part.pools[part.turns.pick(ask)], part.turns.turn
        case ByZone():
            return _zone(part, ask), ()
        case _:
            assert_never(part)


def _zone(part: ByZone, ask: Ask) -> Pool:
    gate, only_local, keep, caps = part.zones
    if gate < 100 and not (gate > 0 and ask.draws[ZONE_GATE] % 100 < gate):
        return part.anywhere
    if only_local or ask.draws[ZONE_KEEP] % 10_000 < keep:
        return part.pools[0]
    if caps[-1] == 0:
        return part.pools[ask.draws[ZONE_SPREAD] % len(part.pools)]
    point = ask.draws[ZONE_SPREAD] % caps[-1]
    return part.pools[next(number for number, cap in enumerate(caps) if point < cap)]


def pools(part: Part, odds: Odds) -> Iterator[tuple[Fraction, Pool, bool]]:
    """The pools that may serve: the chance of each, and whether it goes by what was picked before."""
    match part:
        case Pool():
            yield Fraction(1), part, False
        case ByLocality():
            for chance, pool in zip(part.turns.chances(odds), part.pools, strict=True):
                yield chance, pool, True
        case ByZone():
            yield from ((chance, pool, False) for chance, pool in _zone_chances(part))
        case _:
            assert_never(part)


def _zone_chances(part: ByZone) -> Iterator[tuple[Fraction, Pool]]:
    gate, only_local, keep, caps = part.zones
    applies = span_chance(0, gate, 100) if 0 < gate < 100 else Fraction(gate, 100)
    yield 1 - applies, part.anywhere
    stays = Fraction(1) if only_local else span_chance(0, min(keep, 10_000), 10_000)
    yield applies * stays, part.pools[0]
    if only_local:
        return
    for number, pool in enumerate(part.pools):
        if caps[-1] == 0:
            share = span_chance(number, number + 1, len(part.pools))
        else:
            low, high = tuple(pairwise((0, *caps)))[number]
            share = span_chance(low, high, caps[-1])
        yield applies * (1 - stays) * share, pool
