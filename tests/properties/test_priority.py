"""Priorities, panic and localities: spec/priority.md. What the clauses say is written down here once more, in fractions
and by counting, and held against the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Draws, Request, Router, Session, State
from meshroute.balance import Around, Band, ByLocality, Pool, Which, of_cluster
from meshroute.balance.hosts import hosts
from meshroute.balance.localities import effective, ordered
from meshroute.balance.maglev import InTable
from meshroute.balance.priority import Loads, counted, loads, percent
from meshroute.balance.ring_hash import OnRing
from meshroute.balance.schedule import Schedule
from meshroute.conformance.strategies.clusters import CLUSTER, REQUEST, ZONES, Levels, flat, levels, router_to
from meshroute.conformance.strategies.tables import U64
from meshroute.hashing import xxhash64
from meshroute.names import ClusterName
from meshroute.state import Refreshed
from meshroute.table import (
    Cluster,
    Endpoint,
    HashOnHeader,
    Health,
    LeastRequest,
    LocalityWeight,
    Maglev,
    Policy,
    RandomChoice,
    Retries,
    RingHash,
    RoundRobin,
    ZoneAware,
)
from meshroute.trace import PrioritiesPassedOver

HEALTHY, DEGRADED, UNHEALTHY, DRAINING = Health.HEALTHY, Health.DEGRADED, Health.UNHEALTHY, Health.DRAINING
ALL = 2**64
Ticket: TypeAlias = tuple[int, Health]
"""A priority, and in which health its endpoints serve."""

factors = st.sampled_from((140, 140, 100, 50, 200, 1, 1000))
thresholds = st.sampled_from((0, 0, 1, 29, 50, 50, 57, 71, 99, 100))
drawing: st.SearchStrategy[Policy] = st.sampled_from((RandomChoice(), RoundRobin(), LeastRequest()))
hashing: st.SearchStrategy[Policy] = st.sampled_from((RingHash(7), RingHash(64), Maglev(31)))


def got(some: Levels, threshold: int = 0, factor: int = 140, weighted: bool = False, hashed: bool = False) -> Loads:
    return loads([counted(one) for one in some], threshold, factor, weighted, hashed)


def measure(some: Sequence[Endpoint], weighted: bool) -> int:
    return sum(one.weight if weighted else 1 for one in some)


def staying(some: Sequence[Endpoint]) -> list[Endpoint]:
    return [one for one in some if one.health is not DRAINING]


def fitness(some: Levels, factor: int, weighted: bool) -> dict[Ticket, int]:
    """What each priority can take, all healthy ones first."""
    found = {}
    for health in (HEALTHY, DEGRADED):
        for number, one in enumerate(some):
            part = measure([host for host in one if host.health is health], weighted)
            whole = measure(staying(one), weighted)
            found[number, health] = min(100, floor(Fraction(factor * part, whole))) if whole else 0
    return found


def tickets(
    some: Levels, threshold: int = 0, factor: int = 140, weighted: bool = False, hashed: bool = False
) -> tuple[list[Ticket], bool]:
    """PRIO-1 and PRIO-2 once more: a hundred tickets in the order in which requests meet them; whether all panic."""
    fit = fitness(some, factor, weighted)
    total = min(100, sum(fit.values()))
    panics = panicking(some, threshold, total)
    if total == 0 and threshold == 0:
        return [(0, HEALTHY)] * 100, False
    drawn: list[Ticket] = []
    if all(panics) or total == 0:
        known = some if all(panics) else some[: panics.index(False)] if hashed else []
        everybody = sum(len(one) for one in known)
        for number, one in enumerate(known):
            drawn += [(number, HEALTHY)] * floor(Fraction(100 * len(one), everybody or 1))
        first = next(((number, HEALTHY) for number, one in enumerate(known) if one), (0, HEALTHY))
    else:
        for ticket, part in fit.items():
            drawn += [ticket] * floor(Fraction(100 * part, total))
        first = next(ticket for ticket, part in fit.items() if part)
    drawn = drawn[:100]
    drawn += [first] * (100 - len(drawn))
    return sorted(drawn, key=list(fit).index), all(panics)


def panicking(some: Levels, threshold: int, total: int) -> list[bool]:
    """In exact fractions: below seven hundred endpoints doubles never decide otherwise."""
    found = []
    for one in some:
        able = sum(host.health in (HEALTHY, DEGRADED) for host in one)
        share = Fraction(100 * able, len(staying(one))) if staying(one) else Fraction(0)
        found.append(total < 100 and share < threshold)
    return found


def counts(drawn: Sequence[Ticket], size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    held = Counter(drawn)
    return tuple(held[n, HEALTHY] for n in range(size)), tuple(held[n, DEGRADED] for n in range(size))


class TestPrio1Loads:
    """PRIO-1: a hundred percent are divided by what the healthy, then the degraded endpoints of each priority can
    take."""

    @given(levels(), factors, st.booleans())
    def test_a_hundred_tickets_are_handed_out_in_order(self, some: Levels, factor: int, weighted: bool) -> None:
        """One after the other, until there are no more; what is left over goes to the first that can take any."""
        drawn, _ = tickets(some, 0, factor, weighted)
        answer = got(some, 0, factor, weighted)
        assert (answer.healthy, answer.degraded) == counts(drawn, len(some))

    @given(levels(), thresholds, factors, st.booleans())
    def test_all_loads_sum_to_a_hundred(self, some: Levels, threshold: int, factor: int, weighted: bool) -> None:
        """Whatever panics."""
        answer = got(some, threshold, factor, weighted)
        assert sum(answer.healthy) + sum(answer.degraded) == 100
        assert min(answer.healthy + answer.degraded) >= 0

    @given(levels(), factors, thresholds, st.booleans())
    def test_the_order_inside_a_priority_does_not_matter(
        self, some: Levels, factor: int, threshold: int, weighted: bool
    ) -> None:
        """Reversed, or sorted by weight."""
        for mixed in ([one[::-1] for one in some], [sorted(one, key=lambda host: host.weight) for one in some]):
            assert got(mixed, threshold, factor, weighted) == got(some, threshold, factor, weighted)

    @given(levels(), factors, st.booleans(), st.data())
    def test_more_health_never_lowers_the_load_of_priority_0(
        self, some: Levels, factor: int, weighted: bool, data: st.DataObject
    ) -> None:
        """One of its endpoints becomes healthy, whatever it was before."""
        assume(some[0])  # somebody at priority 0 to become healthy
        at = data.draw(st.integers(0, len(some[0]) - 1))
        better = [[replace(host, health=HEALTHY) if n == at else host for n, host in enumerate(some[0])], *some[1:]]
        assert got(better, 0, factor, weighted).healthy[0] >= got(some, 0, factor, weighted).healthy[0]

    @given(levels(), factors, st.integers(2, 9))
    def test_equal_weights_count_as_endpoints_do(self, some: Levels, factor: int, weight: int) -> None:
        """However great they are; without `weighted_health`, unequal ones do too."""
        alike = [[replace(host, weight=weight) for host in one] for one in some]
        assert got(alike, 0, factor, True) == got(some, 0, factor) == got(alike, 0, factor)

    @given(levels(), st.sampled_from((100, 140)))
    def test_what_drains_is_as_if_it_were_not_there(self, some: Levels, factor: int) -> None:
        """As long as nobody panics."""
        assert got([staying(one) for one in some], 0, factor) == got(some, 0, factor)

    @given(levels(), levels())
    def test_a_priority_that_can_take_all_leaves_nothing(self, before: Levels, after: Levels) -> None:
        """Whoever comes after it gets nothing, and the priorities before it are as if it were the last."""
        whole = [Endpoint("10.9.0.1", 80)]
        size = len(before) + 1
        short, long = got([*before, whole]), got([*before, whole, *after])
        assert (long.healthy[:size], long.degraded[:size]) == (short.healthy, short.degraded)
        assert not any(long.healthy[size:] + long.degraded)

    @given(levels(), drawing | hashing, st.booleans())
    def test_a_cluster_divides_its_requests_so(self, some: Levels, policy: Policy, weighted: bool) -> None:
        """In bands as wide as the loads, with the factor and the weights that the cluster asks for."""
        for factor in (100, 140):
            cluster = Cluster(CLUSTER, policy, flat(some), overprovisioning=factor, weighted_health=weighted)
            drawn, _ = tickets(some, 0, factor, weighted)
            assert [ticket for band in of_cluster(cluster).bands for ticket in held(band)] == drawn


def held(band: Band) -> list[Ticket]:
    """The tickets of a band."""
    health = DEGRADED if band.which is Which.DEGRADED else HEALTHY
    return [(band.priority, health)] * (band.high - band.low)


class TestPrio2Panic:
    """PRIO-2: a priority panics if all together cannot take everything and too few of its own can take any; if all
    panic, loads go by size."""

    @given(levels(), thresholds, factors, st.booleans(), st.booleans())
    def test_who_panics_and_who_gets_what(
        self, some: Levels, threshold: int, factor: int, weighted: bool, hashed: bool
    ) -> None:
        """By tickets and fractions."""
        fit = fitness(some, factor, weighted)
        total = min(100, sum(fit.values()))
        answer = got(some, threshold, factor, weighted, hashed)
        calm = threshold == 0 and total == 0
        assert list(answer.panics) == ([False] * len(some) if calm else panicking(some, threshold, total))
        drawn, _ = tickets(some, threshold, factor, weighted, hashed)
        assert (answer.healthy, answer.degraded) == counts(drawn, len(some))

    @given(levels(), thresholds, factors)
    def test_nobody_panics_while_all_together_can_take_everything(
        self, some: Levels, threshold: int, factor: int
    ) -> None:
        """However bad it is for one priority; one whole priority is enough for that."""
        if sum(fitness(some, factor, False).values()) >= 100:
            assert not any(got(some, threshold, factor).panics)
        assert not any(got([*some, [Endpoint("10.9.0.1", 80)]], threshold, max(factor, 100)).panics)

    @given(levels(), factors)
    def test_at_a_threshold_of_0_nobody_panics(self, some: Levels, factor: int) -> None:
        """And where nobody is able, priority 0 gets everything and can serve nothing."""
        answer = got(some, 0, factor)
        assert not any(answer.panics)
        if not any(fitness(some, factor, False).values()):
            assert answer.healthy == (100, *[0] * (len(some) - 1))

    @given(levels(), st.integers(1, 100))
    def test_if_all_panic_only_sizes_count(self, some: Levels, threshold: int) -> None:
        """The loads are those of the same cluster with everybody sick, or draining."""
        answer = got(some, threshold)
        for health in (UNHEALTHY, DRAINING):
            sick = got([[replace(host, health=health) for host in one] for one in some], threshold)
            assert all(sick.panics)
            if all(answer.panics):
                assert answer == sick
        assert sum(sick.healthy) == 100
        for one, load in zip(some, sick.healthy, strict=True):
            exact = Fraction(100 * len(one), len(flat(some)) or 1)
            assert load == 0 if not one and flat(some) else load >= floor(exact)

    @given(levels(size=5), st.integers(1, 100))
    def test_counts_decide_even_where_weights_make_the_loads(self, some: Levels, threshold: int) -> None:
        """Panic goes by how many are able, with any weights that leave the total below a hundred."""
        for one, panics in zip(some, got(some, threshold, 1, True).panics, strict=True):
            able = sum(host.health in (HEALTHY, DEGRADED) for host in one)
            assert panics == (100 * able < threshold * len(staying(one)) or not staying(one))

    @given(levels(priorities=3, health=st.sampled_from((UNHEALTHY, DRAINING, DEGRADED))), drawing | hashing)
    def test_less_than_a_percent_is_for_priority_0_or_for_those_that_panic_before(
        self, some: Levels, policy: Policy
    ) -> None:
        """At a factor of one percent, where a priority comes last that does not panic: the policies that turn or draw
        have priority 0 then, rings and tables the ones before it."""
        last = [
            Endpoint(f"10.9.0.{at}", 80, health=how, priority=len(some)) for at, how in enumerate((HEALTHY, UNHEALTHY))
        ]
        whole = [*some, last]
        hashed = isinstance(policy, (RingHash, Maglev))
        cluster = Cluster(CLUSTER, policy, flat(whole), panic=50.0, overprovisioning=1)
        drawn, _ = tickets(whole, 50, 1, False, hashed)
        assert [ticket for band in of_cluster(cluster).bands for ticket in held(band)] == drawn
        if not any(fitness(some, 1, False).values()):
            assert (set(drawn) == {(0, HEALTHY)}) >= (not hashed)

    def test_exactly_at_the_threshold_nobody_panics(self) -> None:
        """One of two is 50 percent, which is not below 50; at 51 it is."""
        half = [[Endpoint("10.8.0.1", 80), Endpoint("10.8.0.2", 80, health=UNHEALTHY)]]
        assert [got(half, threshold).panics for threshold in (50, 51)] == [(False,), (True,)]


def at(router: Router, given_: Mapping[str, int], state: State | None = None) -> Endpoint | None:
    return router.decide(REQUEST, state or State(), Draws.of(given=given_)).endpoint


class TestPrio3Choosing:
    """PRIO-3: a request's number modulo 100 chooses the priority: its key under ring hash and Maglev, else the draw
    `priority`."""

    @settings(max_examples=50)  # each example decides two hundred times
    @given(levels(size=4), drawing, st.integers(0, ALL // 100 - 1))
    def test_a_hundred_draws_in_a_row_hold_a_ticket_each(self, some: Levels, policy: Policy, hundred: int) -> None:
        """Healthy ones of all priorities first, then degraded ones; the draw `key` changes nothing."""
        drawn, _ = tickets(some)
        router = router_to(Cluster(CLUSTER, policy, flat(some)))
        for point, (priority, health) in enumerate(drawn):
            met = at(router, {"priority": 100 * hundred + point})
            assert met == at(router, {"priority": 100 * hundred + point, "key": 99 - point})
            if met is None:
                assert not any(host.health is health for host in some[priority])
            else:
                assert (met.priority, met.health) == (priority, health)

    @settings(max_examples=50)  # each example decides a hundred times
    @given(levels(size=4), hashing, st.integers(0, ALL // 100 - 1))
    def test_a_hundred_keys_in_a_row_hold_a_ticket_each(self, some: Levels, policy: Policy, hundred: int) -> None:
        """Whoever holds one of degraded endpoints meets healthy ones of that priority, or nobody; the draw `priority`
        changes nothing."""
        drawn, _ = tickets(some)
        router = router_to(Cluster(CLUSTER, policy, flat(some)))
        for point, (priority, _health) in enumerate(drawn):
            met = at(router, {"key": 100 * hundred + point, "priority": 99 - point})
            if met is None:
                assert not any(host.health is HEALTHY for host in some[priority])
            else:
                assert (met.priority, met.health) == (priority, HEALTHY)

    @given(levels(size=4), hashing, st.text("abc", max_size=3))
    def test_the_key_of_a_request_counts_like_a_drawn_one(self, some: Levels, policy: Policy, user: str) -> None:
        """Its hash, modulo 100: a user stays with a priority."""
        drawn, _ = tickets(some)
        router = router_to(Cluster(CLUSTER, policy, flat(some)), hashed=[HashOnHeader("x-user")])
        met = router.decide(Request.of("GET", "http://any/", [("x-user", user)])).endpoint
        priority, _ = drawn[xxhash64(user.encode()) % 100]
        assert met is None or met.priority == priority
        assert met == at(router, {"key": xxhash64(user.encode())})

    @given(levels(size=4), drawing | hashing)
    def test_a_priority_has_the_share_of_its_draws(self, some: Levels, policy: Policy) -> None:
        """Counted over all 2^64: remainders below 16 come up once more than the others."""
        router = router_to(Cluster(CLUSTER, policy, flat(some)))
        by_endpoint = router.shares(REQUEST, horizon="long-run").by_endpoint
        priority_of = {str(host.key): host.priority for host in flat(some)}
        shares: dict[int | None, Fraction] = {}
        for key, share in by_endpoint.items():
            who = priority_of[str(key)] if key is not None else None
            shares[who] = shares.get(who, Fraction(0)) + share
        expected: Counter[int | None] = Counter()
        for point, (priority, health) in enumerate(tickets(some)[0]):
            wanted = HEALTHY if isinstance(policy, (RingHash, Maglev)) else health
            serves = any(host.health is wanted for host in some[priority])
            expected[priority if serves else None] += (ALL - 1 - point) // 100 + 1
        assert {who: share * ALL for who, share in shares.items()} == dict(expected)


class TestPrio4Percent:
    """PRIO-4: percentages become whole ones by truncation of 100 * (value / 100.0) in doubles."""

    @given(st.floats(0, 100) | st.integers(0, 10_000).map(lambda hundredths: hundredths / 100))
    def test_each_operation_is_rounded_on_its_own(self, value: float) -> None:
        """Fractions do the same: each result to the nearest double, and the last one cut off."""
        divided = float(Fraction(value) / 100)
        assert percent(value) == floor(float(100 * Fraction(divided)))

    def test_of_whole_percentages_three_lose_one(self) -> None:
        """29, 57 and 58; all others stay what they are."""
        lost = {whole: percent(float(whole)) for whole in range(101) if percent(float(whole)) != whole}
        assert lost == {29: 28, 57: 56, 58: 57}

    @given(st.floats(0, 100), st.floats(0, 100))
    def test_more_is_never_less(self, one: float, other: float) -> None:
        """And nothing is rounded up."""
        assert percent(min(one, other)) <= percent(max(one, other))
        assert percent(one) <= one + 1e-12

    @given(levels(size=4), st.floats(0, 100), drawing)
    def test_thresholds_of_clusters_are_such(self, some: Levels, value: float, policy: Policy) -> None:
        """A cluster behaves as one with the whole percentage that comes of it."""
        cluster = Cluster(CLUSTER, policy, flat(some), panic=value)
        drawn, _ = tickets(some, floor(float(100 * Fraction(float(Fraction(value) / 100)))))
        assert [ticket for band in of_cluster(cluster).bands for ticket in held(band)] == drawn

    @pytest.mark.parametrize(("healthy", "whole", "value"), [(2, 7, 29.0), (9, 16, 57.0), (4, 7, 58.0), (3, 10, 30.6)])
    def test_a_priority_between_both_percentages_does_not_panic(self, healthy: int, whole: int, value: float) -> None:
        """It is below the threshold as it was written, and not below what became of it."""
        assert Fraction(100 * healthy, whole) < Fraction(value)
        some = [Endpoint(f"10.8.0.{n}", 80, health=HEALTHY if n < healthy else UNHEALTHY) for n in range(whole)]
        (band,) = of_cluster(Cluster(CLUSTER, RoundRobin(), tuple(some), panic=value)).bands
        assert band.which is Which.HEALTHY


def pool_of(band: Band) -> Pool:
    assert isinstance(band.part, Pool)
    return band.part


def sure_weights(some: Levels) -> tuple[LocalityWeight, ...]:
    """A weight for each locality of each priority, all of them different."""
    found = sorted({(host.priority, host.locality) for host in flat(some)})
    return tuple(LocalityWeight(zone, number + 1, priority) for number, (priority, zone) in enumerate(found))


class TestPrio5Serving:
    """PRIO-5: in a panic all endpoints of the priority serve; rings and tables never have the degraded ones alone."""

    @given(levels(zones=ZONES), st.integers(1, 100), drawing, st.booleans(), st.booleans())
    def test_in_a_panic_everybody_of_the_priority_serves(
        self, some: Levels, threshold: int, policy: Policy, refuses: bool, by_locality: bool
    ) -> None:
        """In one list, in order, whatever the localities weigh; with `fail_on_panic` nobody does."""
        weights = sure_weights(some) if by_locality else None
        setting = ZoneAware(fail_on_panic=True) if refuses and weights is None else ZoneAware()
        cluster = Cluster(CLUSTER, policy, flat(some), panic=threshold, locality_weights=weights, zone_aware=setting)
        panics = got(some, percent(threshold)).panics
        for band in of_cluster(cluster).bands:
            assert (band.which is Which.ALL) == panics[band.priority]
            if band.which is Which.ALL:
                pool = pool_of(band)
                served = [one.endpoint for one in pool.placed] if pool.picker is not None else []
                assert served == ([] if setting.fail_on_panic else list(some[band.priority]))

    @given(levels(size=4), st.integers(1, 100), drawing, st.integers(0, 99))
    def test_with_fail_on_panic_a_panic_answers_nobody(
        self, some: Levels, threshold: int, policy: Policy, point: int
    ) -> None:
        """And everybody else as before."""
        plain = Cluster(CLUSTER, policy, flat(some), panic=threshold)
        strict = replace(plain, zone_aware=ZoneAware(fail_on_panic=True))
        priority, _ = tickets(some, percent(threshold))[0][point]
        lost = got(some, percent(threshold)).panics[priority]
        before, after = (at(router_to(one), {"priority": point}) for one in (plain, strict))
        assert after == (None if lost else before)

    @given(levels(size=4), st.integers(0, 100), hashing, st.booleans(), U64)
    def test_rings_and_tables_have_the_healthy_ones_or_in_a_panic_all(
        self, some: Levels, threshold: int, policy: Policy, refuses: bool, key: int
    ) -> None:
        """`fail_on_panic` is not for them, and degraded endpoints have no list of their own."""
        setting = ZoneAware(fail_on_panic=refuses)
        cluster = Cluster(CLUSTER, policy, flat(some), panic=threshold, zone_aware=setting)
        panics = got(some, percent(threshold)).panics
        for band in of_cluster(cluster).bands:
            wanted = [one for one in some[band.priority] if panics[band.priority] or one.health is HEALTHY]
            assert [one.endpoint for one in pool_of(band).placed] == wanted
        met = at(router_to(cluster), {"key": key})
        assert met is None or met.health is HEALTHY or panics[met.priority]

    @given(levels(size=3), st.integers(0, 100), drawing | hashing, U64)
    def test_a_chosen_priority_without_anybody_is_not_left(
        self, some: Levels, threshold: int, policy: Policy, number: int
    ) -> None:
        """Whoever serves is of the priority that was chosen; else the answer is 503 UH, also where others could."""
        router = router_to(Cluster(CLUSTER, policy, flat(some), panic=threshold))
        decision = router.decide(REQUEST, draws=Draws.of(given={"key": number, "priority": number}))
        priority, health = tickets(some, percent(threshold))[0][number % 100]
        wanted = HEALTHY if isinstance(policy, (RingHash, Maglev)) else health
        panics = got(some, percent(threshold)).panics[priority]
        if decision.endpoint is None:
            assert not any(panics or one.health is wanted for one in some[priority])
            assert "UH" in str(decision.outcome)
        else:
            assert decision.endpoint.priority == priority

    def test_all_degraded_is_nobody_on_a_ring_and_everybody_in_turns(self) -> None:
        """The whole load is for degraded endpoints; a ring has none of them."""
        sick = (Endpoint("10.8.0.1", 80, health=DEGRADED),)
        answers = [at(router_to(Cluster(CLUSTER, policy, sick)), {}) for policy in (RingHash(), Maglev(), RoundRobin())]
        assert answers == [None, None, sick[0]]


names = st.lists(
    st.tuples(
        st.sampled_from(("", "a", "a-b", "b")), st.sampled_from(("", "x", "x-y")), st.sampled_from(("", "1"))
    ).map("/".join),
    min_size=1,
    max_size=6,
)


class Memory(NamedTuple):
    """RETRY-5 once more: the tries that are remembered, what is excluded, and who holds the hundred tickets."""

    tried: tuple[int, ...] = ()
    out: frozenset[int] = frozenset()
    held: tuple[Ticket, ...] = ()

    def next(self, some: Levels, every: int, factor: int, weighted: bool) -> Memory:
        """Before the next pick, with no tickets where those of a first try count."""
        if len(self.tried) < every:
            return self._replace(held=())
        if len(self.tried) % every:
            return self
        fit = fitness(some, factor, weighted)
        now = Memory(self.tried, self.out | set(self.tried))
        left = {ticket: part for ticket, part in fit.items() if part and ticket[0] not in now.out}
        if not left:
            now, left = Memory(), {ticket: part for ticket, part in fit.items() if part}
        total, held = min(100, sum(left.values())), list[Ticket]()
        while left and len(held) < 100:
            for ticket, part in left.items():
                held += [ticket] * floor(Fraction(100 * part, total))
        return now._replace(held=tuple(sorted(held[:100], key=list(fit).index)))


class TestRetry5OtherPriorities:
    """RETRY-5: retries pass over priorities that were tried, until none is left."""

    @given(
        levels(size=4),
        st.integers(1, 3),
        factors,
        st.booleans(),
        st.sampled_from((0, 0, 50)),
        st.lists(U64, min_size=1, max_size=9),
    )
    def test_every_draw_holds_the_ticket_of_the_words(
        self, some: Levels, every: int, factor: int, weighted: bool, threshold: int, draws: list[int]
    ) -> None:
        """Try after try; in a panic somebody of the priority serves, in whatever health."""
        cluster = Cluster(CLUSTER, RandomChoice(), flat(some))
        cluster = replace(cluster, panic=float(threshold), overprovisioning=factor, weighted_health=weighted)
        router = router_to(cluster, retries=Retries(("5xx",), 9, other_priorities=every))
        decision = router.decide(REQUEST, draws=Draws(given={"priority": draws[0]}))
        plain, _ = tickets(some, threshold, factor, weighted)
        panics = panicking(some, threshold, min(100, sum(fitness(some, factor, weighted).values())))
        memory = Memory()
        for draw in draws[1:]:
            if decision.endpoint is None:
                return
            tried = (*memory.tried, decision.endpoint.priority)
            memory = memory._replace(tried=tried).next(some, every, factor, weighted)
            priority, health = (memory.held or plain)[draw % 100]
            decision = router.retry(REQUEST, decision, draws=Draws(given={"priority": draw}))
            if decision.endpoint is None:
                assert not any(host.health is health or panics[priority] for host in some[priority])
            else:
                assert decision.endpoint.priority == priority
                assert panics[priority] or decision.endpoint.health is health

    @given(st.integers(2, 4), st.integers(1, 3), drawing)
    def test_each_has_its_turn_and_then_the_first_again(self, size: int, every: int, policy: Policy) -> None:
        """One able endpoint in each: all tries follow from the words."""
        some = tuple(Endpoint(f"10.8.{number}.0", 80, priority=number) for number in range(size))
        router = router_to(Cluster(CLUSTER, policy, some), retries=Retries(("5xx",), 20, other_priorities=every))
        end = Session(router).send(REQUEST, lambda _: 503)
        met = [one.endpoint.priority for one in end.tries if one.endpoint is not None]
        assert met == [number // every % size for number in range(21)]
        told = router.retry(REQUEST, end.tries[every - 1], explain=True).trace
        loads_now = tuple(100 * (number == 1) for number in range(size))
        assert [one for one in told if isinstance(one, PrioritiesPassedOver)] == [
            PrioritiesPassedOver((0,), loads_now, (0,) * size)
        ]

    @given(levels(size=4), hashing, U64, st.integers(1, 3))
    def test_rings_and_tables_pass_over_nothing(self, some: Levels, policy: Policy, key: int, every: int) -> None:
        """A retry by the same key goes where the first try went."""
        cluster = Cluster(CLUSTER, policy, flat(some))
        router = router_to(cluster, retries=Retries(("5xx",), 3, other_priorities=every))
        first = router.decide(REQUEST, draws=Draws(given={"key": key}))
        if first.endpoint is not None:
            again = router.retry(REQUEST, first, draws=Draws(given={"key": key}))
            assert again.endpoint == first.endpoint


class TestZone1Order:
    """ZONE-1: localities go by region, zone and subzone, the proxy's own first; inside them endpoints keep their
    order."""

    @given(names, names)
    def test_they_are_sorted_part_by_part(self, zones: list[str], more: list[str]) -> None:
        """Not as text: `a-b/x` is before `a/x` there, and after it here. No locality twice."""
        some = [Endpoint(f"10.8.0.{number}", 80, locality=zone) for number, zone in enumerate(zones)]
        for own in (*zones, *more, "", "nowhere"):
            expected = sorted(set(zones), key=lambda name: tuple(name.split("/")))
            if own and own in zones:
                expected.remove(own)
                expected.insert(0, own)
            assert list(ordered(some, own)) == expected
            assert ordered(some[::-1], own) == ordered(some, own)

    @given(levels(priorities=1, zones=ZONES), st.sampled_from((*ZONES, "nowhere")))
    def test_turns_go_through_them_in_this_order(self, some: Levels, own: str) -> None:
        """The lists that take turns, and inside each the healthy endpoints as they were given."""
        cluster = Cluster(CLUSTER, RoundRobin(), flat(some), locality_weights=sure_weights(some))
        for band in of_cluster(cluster, Around(own)).bands:
            if isinstance(band.part, ByLocality):
                wanted = HEALTHY if band.which is Which.HEALTHY else DEGRADED
                found = [[one.endpoint for one in pool.placed] for pool in band.part.pools]
                lists = [
                    [one for one in some[0] if one.locality == zone and one.health is wanted]
                    for zone in ordered(some[0], own)
                ]
                assert found == [one for one in lists if one]


def effective_again(some: Sequence[Endpoint], weight: int, wanted: Health, factor: int) -> float:
    """ZONE-2 once more: by fractions that are made doubles where doubles are."""
    if not staying(some):
        return 0.0
    able = float(Fraction(sum(one.health is wanted for one in some), len(staying(some))))
    scaled = float(Fraction(float(Fraction(factor, 100))) * Fraction(able))
    return float(weight * Fraction(min(1.0, scaled)))


locality_weights = st.dictionaries(st.sampled_from(ZONES), st.sampled_from((1, 2, 3, 50, 99)), max_size=4)


class TestZone2Turns:
    """ZONE-2: with locality weights, a schedule over effective weights gives the turn to a locality first."""

    @given(levels(priorities=1), st.integers(1, 2**32 - 1), st.sampled_from((HEALTHY, DEGRADED)), factors)
    def test_effective_weights_are_those_of_the_words(
        self, some: Levels, weight: int, wanted: Health, factor: int
    ) -> None:
        """To the last bit; never more than the weight, and exactly that where everybody is able."""
        answer = effective(some[0], weight, wanted, factor)
        assert answer == effective_again(some[0], weight, wanted, factor)
        assert 0.0 <= answer <= weight
        if staying(some[0]) and all(one.health is wanted for one in staying(some[0])) and factor >= 100:
            assert answer == weight

    @settings(max_examples=60)  # each example decides a hundred times or more
    @given(
        levels(priorities=2, size=6, zones=ZONES),
        locality_weights,
        factors,
        st.sampled_from((*ZONES, "nowhere")),
        st.integers(0, 5000),
    )
    def test_a_schedule_gives_the_turn_to_a_locality_and_its_list_to_an_endpoint(
        self, some: Levels, weights: Mapping[str, int], factor: int, own: str, start: int
    ) -> None:
        """Requests one after the other, each list counting for itself; where nobody has an effective weight, the list
        is not divided."""
        said = tuple(LocalityWeight(zone, weight, number) for number in (0, 1) for zone, weight in weights.items())
        cluster = Cluster(CLUSTER, RoundRobin(), even(flat(some)), overprovisioning=factor, locality_weights=said)
        router = router_to(cluster, locality=own)
        drawn, _ = tickets(some, 0, factor)
        for ticket in sorted(set(drawn)):
            priority, health = ticket
            there = [one for one in cluster.endpoints if one.priority == priority]
            lists = {zone: [one for one in there if one.locality == zone] for zone in ordered(there, own)}
            heavy = {
                zone: weight
                for zone, hosts_ in lists.items()
                if (weight := effective_again(hosts_, weights.get(zone, 0), health, factor)) > 0
            }
            able = {zone: [one for one in hosts_ if one.health is health] for zone, hosts_ in lists.items()}
            schedule = Schedule(list(heavy.values()), start) if heavy else None
            turns: Counter[str] = Counter()
            state = State(starts={f"c#{priority}/{health}:localities": start})
            for number in range(12):
                zone = list(heavy)[schedule.pick(number)] if schedule is not None else ""
                whole = able[zone] if schedule is not None else [one for one in there if one.health is health]
                decision = router.decide(REQUEST, state, Draws.of(given={"priority": drawn.index(ticket)}))
                assert decision.endpoint == (whole[turns[zone] % len(whole)] if whole else None)
                turns[zone] += 1
                state = state.after((*decision.effects, *decision.finished()))

    @given(levels(priorities=1, zones=ZONES), locality_weights, drawing)
    def test_the_order_of_endpoints_changes_no_locality(
        self, some: Levels, weights: Mapping[str, int], policy: Policy
    ) -> None:
        """Backwards, the same localities take the same turns."""
        said = tuple(LocalityWeight(zone, weight) for zone, weight in weights.items())
        zones = []
        for listed in (flat(some), flat(some)[::-1]):
            router, state, seen = router_to(Cluster(CLUSTER, policy, listed, locality_weights=said)), State(), []
            for _ in range(8):
                decision = router.decide(REQUEST, state, Draws.of(given={"priority": 0}))
                seen.append(decision.endpoint.locality if decision.endpoint is not None else None)
                state = state.after((*decision.effects, *decision.finished()))
            zones.append(seen)
        divided = any(
            effective_again([one for one in some[0] if one.locality == zone], weight, health, 140) > 0
            for zone, weight in weights.items()
            for _, health in tickets(some)[0][:1]
        )
        if divided:
            assert zones[0] == zones[1]

    @given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 12))
    def test_a_change_draws_a_new_start_for_the_localities(self, first: int, second: int, before: int) -> None:
        """Their schedule begins anew from it; turns inside them go on."""
        zoned = tuple(Endpoint(f"10.8.0.{n}", 80, locality=zone) for n, zone in enumerate(("r/a", "r/a", "r/b")))
        said = (LocalityWeight("r/a", 3), LocalityWeight("r/b", 5))
        router = router_to(Cluster(CLUSTER, RoundRobin(), zoned, locality_weights=said))
        turns, state, taken = "c#0/healthy:localities", State(), 0
        for start in (first, second):
            state = state.after([Refreshed(CLUSTER, 0, {turns: start})])
            schedule = Schedule([3.0, 5.0], start)
            for number in range(before):
                decision = router.decide(REQUEST, state)
                state = state.after((*decision.effects, *decision.finished()))
                in_a = schedule.pick(number) == 0
                assert decision.endpoint == (zoned[taken % 2] if in_a else zoned[2])
                taken += in_a


def even(some: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """All of the same weight, so that turns inside a list are plain ones."""
    return tuple(replace(one, weight=1) for one in some)


def placed_shares(
    some: Sequence[Endpoint], weights: Mapping[str, int], usable: Health | None
) -> list[tuple[str, float]]:
    """ZONE-3 once more: who is placed, in order, and with which share, each operation rounded on its own."""
    zones = sorted({one.locality for one in some}, key=lambda name: name.split("/"))
    total = sum(weights.get(zone, 0) for zone in zones)
    found = []
    for zone in zones:
        there = [one for one in some if one.locality == zone and (usable is None or one.health is usable)]
        if weights.get(zone, 0):
            part = float(Fraction(weights[zone], total))
            whole = sum(one.weight for one in there)
            found += [(str(one.key), float(Fraction(float(one.weight * Fraction(part))) / whole)) for one in there]
    return found


odd_weights = st.dictionaries(st.sampled_from(ZONES), st.integers(1, 2**32 - 1), min_size=2)


class TestZone3Shares:
    """ZONE-3: on rings and in tables a host has its part of its locality's part of the weights of all localities."""

    @given(levels(priorities=1, zones=ZONES, weights=st.integers(1, 2**32 - 1)), odd_weights)
    def test_shares_are_those_of_the_words(self, some: Levels, weights: Mapping[str, int]) -> None:
        """To the last bit, locality after locality."""
        zones = ordered(some[0], "")
        well = [one for one in some[0] if one.health is HEALTHY]
        placed = hosts(well, zones, {zone: weights.get(zone, 0) for zone in zones})
        assert list(zip(placed.keys, placed.shares, strict=True)) == placed_shares(some[0], weights, HEALTHY)

    @given(
        levels(priorities=1, zones=ZONES, size=4, weights=st.just(1)),
        st.dictionaries(st.sampled_from(ZONES), st.sampled_from((1, 2, 4)), min_size=4),
    )
    def test_shares_sum_to_the_weight_of_the_localities_that_have_somebody(
        self, some: Levels, weights: Mapping[str, int]
    ) -> None:
        """Exactly: only sizes and sums that are powers of two are tried, for which doubles are exact."""
        zones = ordered(some[0], "")
        well = [one for one in some[0] if one.health is HEALTHY]
        able = Counter(one.locality for one in well)
        total = sum(weights[zone] for zone in zones)
        # Powers of two, whose quotients doubles hold: there the fractions of this restatement are the doubles' own.
        assume(all(number in (1, 2, 4) for number in (*able.values(), total)) or len(zones) == 1)
        assume(total & (total - 1) == 0 and all(number & (number - 1) == 0 for number in able.values()))
        shares = hosts(well, zones, {zone: weights[zone] for zone in zones}).shares
        exact = sum((Fraction(weights[zone], total) for zone in able), Fraction(0))
        assert sum(map(Fraction, shares), Fraction(0)) == exact
        assert (exact == 1) == (set(able) == set(zones))

    @given(levels(priorities=2, zones=ZONES), locality_weights, hashing, st.sampled_from((0, 0, 50)), st.booleans())
    def test_rings_and_tables_are_made_of_them(
        self, some: Levels, weights: Mapping[str, int], policy: Policy, threshold: int, refuses: bool
    ) -> None:
        """Also in a panic, of everybody then; where no locality has a weight, nobody serves."""
        said = tuple(LocalityWeight(zone, weight, number) for number in (0, 1) for zone, weight in weights.items())
        cluster = Cluster(CLUSTER, policy, flat(some), panic=threshold, locality_weights=said)
        for band in of_cluster(cluster).bands:
            there = placed_shares(some[band.priority], weights, None if band.which is Which.ALL else HEALTHY)
            pool = pool_of(band)
            assert [str(one.key) for one in pool.placed] == [key for key, _ in there]
            if pool.picker is None:
                assert not there
            elif isinstance(policy, RingHash):
                assert isinstance(pool.picker, OnRing)
                assert list(pool.picker.ring.owners) == ring_by_hand(there, policy)
            else:
                assert isinstance(pool.picker, InTable)
                assert set(pool.picker.table) <= set(range(len(there)))

    @given(levels(priorities=1, zones=ZONES), locality_weights, hashing)
    def test_health_does_not_scale_localities(self, some: Levels, weights: Mapping[str, int], policy: Policy) -> None:
        """As long as each has somebody healthy, sick ones beside them change no other locality's shares."""
        said = tuple(LocalityWeight(zone, weight) for zone, weight in weights.items())
        first = {one.locality: one.key for one in flat(some)[::-1]}
        sick = [one if first[one.locality] == one.key else replace(one, health=UNHEALTHY) for one in flat(some)]
        alone = [replace(one, health=HEALTHY) for one in sick if first[one.locality] == one.key]
        beside = [replace(one, health=HEALTHY) if first[one.locality] == one.key else one for one in sick]
        cluster = Cluster(CLUSTER, policy, tuple(alone), locality_weights=said)
        more = replace(cluster, endpoints=tuple(beside), overprovisioning=1000)
        if more.endpoints and got([beside], 0, 1000).healthy == (100,):
            (one,), (other,) = of_cluster(cluster).bands, of_cluster(more).bands
            assert [host.endpoint for host in pool_of(one).placed] == [host.endpoint for host in pool_of(other).placed]
            for key in range(0, ALL, ALL // 40):
                assert at(router_to(cluster), {"key": key}) == at(router_to(more), {"key": key})


def ring_by_hand(there: Sequence[tuple[str, float]], policy: RingHash) -> list[int]:
    """The owners of the entries in order of their points, by RING-1."""
    least = min(1.0, *(share for _, share in there))
    scale = min(-(-least * policy.minimum // 1) / least, float(policy.maximum))
    entries: list[tuple[int, int]] = []
    target = 0.0
    for number, (key, share) in enumerate(there):
        target += scale * share
        own = 0
        while len(entries) < target:
            entries.append((xxhash64(f"{key}_{own}".encode()), number))
            own += 1
    return [owner for _, owner in sorted(entries, key=lambda entry: entry[0])]


PEERS = ClusterName("peers")
settings_of_zones = st.builds(
    ZoneAware,
    enabled=st.sampled_from((100.0, 100.0, 100.0, 50.0, 29.0, 0.5, 0.0)),
    minimum_hosts=st.sampled_from((1, 1, 0, 2, 6)),
    force_local=st.sampled_from((False, False, True)),
    force_local_minimum=st.sampled_from((0, 1, 2)),
    by_weight=st.booleans(),
)


class Spread(NamedTuple):
    """How requests are divided among localities: `kept` ten-thousandths for the own one, the rest over `room`, in which
    a locality is as often as it has room."""

    own: str
    kept: int
    room: tuple[str, ...]

    def zone(self, keep: int, spread: int) -> str:
        return self.own if keep % 10_000 < self.kept else self.room[spread % len(self.room)]


def spread_of(
    some: Sequence[Endpoint], peers: Sequence[Endpoint], own: str, setting: ZoneAware, threshold: int
) -> Spread | None:
    """ZONE-4 once more, of a request that passes the gate; None where the list is not divided."""
    zones = ordered(some, own)
    callers = {one.locality for one in peers}
    well = [one for one in some if one.health is HEALTHY]
    if len(zones) < 2 or (len(callers) < 2 and not setting.force_local):
        return None
    if not own or own not in callers or len(well) < setting.minimum_hosts:
        return None
    able = sum(one.health in (HEALTHY, DEGRADED) for one in peers)
    if able * 100 < threshold * len(staying(peers)) or (threshold and not staying(peers)):
        return None

    def shares(of: Sequence[Endpoint]) -> dict[str, int]:
        well = [one for one in of if one.health is HEALTHY]
        whole = measure(well, setting.by_weight)
        parts = {zone: measure([one for one in well if one.locality == zone], setting.by_weight) for zone in zones}
        return {zone: floor(Fraction(10_000 * part, whole or 1)) for zone, part in parts.items()}

    upstream, local = shares(some), shares(peers)
    kept = 0
    if own in zones:
        near = sum(one.locality == own for one in well)
        if 0 < upstream[own] >= local[own] or (setting.force_local and near >= setting.force_local_minimum):
            return Spread(own, 10_000, ())
        kept = floor(Fraction(upstream[own] * 10_000, local[own])) if local[own] else 0
    room = [zone for zone in zones if zone != own for _ in range(max(0, upstream[zone] - local[zone]))]
    return Spread(own, kept, tuple(room) or zones)


@st.composite
def neighbourhoods(draw: st.DrawFn) -> tuple[Cluster, Cluster, str]:
    """A cluster, the callers' cluster, and where the proxy is."""
    zones = ("r/a", "r/b", "r/c")
    threshold = draw(st.sampled_from((0, 0, 50, 100)))
    setting = draw(settings_of_zones)
    mostly = st.sampled_from((HEALTHY,) * 7 + tuple(Health))
    spared = st.sampled_from((DEGRADED, DEGRADED, DEGRADED, UNHEALTHY))
    some = draw(levels(priorities=2, size=9, zones=zones, health=draw(st.sampled_from((mostly, mostly, spared)))))
    peers = draw(levels(priorities=1, size=9, zones=zones, health=mostly))
    cluster = Cluster(CLUSTER, RandomChoice(), flat(some), panic=threshold, zone_aware=setting)
    return (
        cluster,
        Cluster(PEERS, RandomChoice(), flat(peers)),
        draw(st.sampled_from(("r/a", "r/a", "r/b", "r/b", "r/d", ""))),
    )


class TestZone4ZoneAware:
    """ZONE-4: the proxy's own locality keeps what it can serve of its callers' requests, and the rest is spread by what
    each other locality can take."""

    @settings(max_examples=400)  # few worlds reach the last sentence
    @given(neighbourhoods(), U64, U64, st.data())
    def test_draws_lead_where_the_words_say(
        self, world: tuple[Cluster, Cluster, str], number: int, spread: int, data: st.DataObject
    ) -> None:
        """Endpoint by endpoint, at the edges of what is kept and of what each locality takes, and not divided where it
        does not apply: in priority 0 alone."""
        cluster, peers, own = world
        router, setting = router_to(cluster, peers, locality=own, local=PEERS), cluster.zone_aware
        threshold = percent(cluster.panic)
        last = max((one.priority for one in cluster.endpoints), default=0)
        some = [[one for one in cluster.endpoints if one.priority == priority] for priority in range(last + 1)]
        priority, health = tickets(some, threshold)[0][number % 100]
        panics = got(some, threshold).panics[priority]
        divided = spread_of(some[0], peers.endpoints, own, setting, threshold)
        gates, edges, ends = (
            [0, 99, max(0, percent(setting.enabled) - 1), percent(setting.enabled)],
            [0, 9_999],
            [spread],
        )
        if divided is not None and divided.room:
            edges += [max(0, divided.kept - 1), divided.kept]
            changes = [at for at in range(1, len(divided.room)) if divided.room[at] != divided.room[at - 1]]
            ends += [0, len(divided.room) - 1, *changes, *(at - 1 for at in changes)]
        for gate in gates:
            for keep in edges:
                end = data.draw(st.sampled_from(ends))
                serving = [one for one in some[priority] if panics or one.health is health]
                if divided is not None and priority == 0 and not panics and gate % 100 < percent(setting.enabled):
                    serving = [one for one in serving if one.locality == divided.zone(keep, end)]
                drawn = {"zone.gate": gate, "zone.keep": keep + 10_000 * (spread % 2**50), "zone.spread": end}
                expected = serving[number % len(serving)] if serving else None
                assert at(router, {**drawn, "priority": number}) == expected

    @settings(max_examples=400)  # few worlds keep a part
    @given(neighbourhoods())
    def test_shares_are_those_of_the_draws(self, world: tuple[Cluster, Cluster, str]) -> None:
        """What is kept and what is spread sum to one; what the draws lead nowhere has no share."""
        cluster, peers, own = world
        router = router_to(cluster, peers, locality=own, local=PEERS)
        shares = router.shares(REQUEST).by_endpoint
        assert sum(shares.values()) == 1
        for seed in range(5):
            decision = router.decide(REQUEST, draws=Draws.of(seed))
            assert (decision.endpoint.key if decision.endpoint is not None else None) in shares

    @given(st.integers(1, 4), st.integers(0, 4), st.integers(1, 4), st.integers(1, 4))
    def test_all_stays_only_where_the_own_locality_has_its_part(
        self, callers: int, others: int, near: int, far: int
    ) -> None:
        """Its part of the hosts is at least its part of the callers; else exactly the quotient stays."""
        some = tuple(
            Endpoint(f"10.8.{far_}.{n}", 80, locality=f"r/{'ab'[far_]}")
            for far_, count in enumerate((near, far))
            for n in range(count)
        )
        peers = tuple(
            Endpoint(f"10.9.{far_}.{n}", 80, locality=f"r/{'ab'[far_]}")
            for far_, count in enumerate((callers, others))
            for n in range(count)
        )
        cluster = Cluster(CLUSTER, RandomChoice(), some, zone_aware=ZoneAware(minimum_hosts=1))
        router = router_to(cluster, Cluster(PEERS, RandomChoice(), peers), locality="r/a", local=PEERS)
        by_endpoint = router.shares(REQUEST).by_endpoint
        stays = sum(share for key, share in by_endpoint.items() if str(key).startswith("10.8.0."))
        upstream, local = 10_000 * near // (near + far), 10_000 * callers // (callers + others)
        if not others:
            assert stays == sum((chance(n, near + far) for n in range(near)), Fraction(0))
        elif upstream >= local:
            assert stays == 1
        else:
            kept = upstream * 10_000 // local
            assert stays == sum((chance(point, 10_000) for point in range(kept)), Fraction(0))

    def test_a_locality_without_anybody_healthy_keeps_nothing(self) -> None:
        """Even if no caller there is healthy either: 0 of 0 is not enough."""
        some, peers = (
            tuple(
                Endpoint(f"10.{net}.0.{n}", 80, health=UNHEALTHY if zone == "a" else HEALTHY, locality=f"r/{zone}")
                for n, zone in enumerate("abb")
            )
            for net in (8, 9)
        )
        cluster = Cluster(CLUSTER, RandomChoice(), some, zone_aware=ZoneAware(minimum_hosts=1))
        router = router_to(cluster, Cluster(PEERS, RandomChoice(), peers), locality="r/a", local=PEERS)
        assert at(router, {"zone.keep": 0, "zone.spread": 0, "priority": 0}) is None
        assert at(router, {"zone.keep": 0, "zone.spread": 1, "priority": 0}) == some[1]

    @given(neighbourhoods())
    def test_without_a_local_cluster_or_with_locality_weights_nothing_of_it_happens(
        self, world: tuple[Cluster, Cluster, str]
    ) -> None:
        """The shares are those of a proxy that is nowhere, or of the weights alone."""
        cluster, peers, own = world
        nowhere = router_to(cluster, peers).shares(REQUEST).by_endpoint
        assert router_to(cluster, peers, locality=own).shares(REQUEST).by_endpoint == nowhere
        fails = replace(cluster, zone_aware=ZoneAware(), locality_weights=sure_weights([cluster.endpoints]))
        one, other = (router_to(fails, peers, locality=own, local=local) for local in ("", PEERS))
        assert one.shares(REQUEST).by_endpoint == other.shares(REQUEST).by_endpoint

    @pytest.mark.parametrize(("callers", "applies"), [("aab", True), ("aa", False), ("bb", False), ("", False)])
    def test_it_takes_two_localities_of_callers_and_one_that_is_the_own(self, callers: str, applies: bool) -> None:
        """Else all hosts share alike."""
        some = tuple(Endpoint(f"10.8.0.{n}", 80, locality=f"r/{zone}") for n, zone in enumerate("aaaabb"))
        peers = tuple(Endpoint(f"10.9.0.{n}", 80, locality=f"r/{zone}") for n, zone in enumerate(callers))
        cluster = Cluster(CLUSTER, RandomChoice(), some)
        router = router_to(cluster, Cluster(PEERS, RandomChoice(), peers), locality="r/a", local=PEERS)
        assert ("10.8.0.5:80" in router.shares(REQUEST).by_endpoint) != applies


def chance(point: int, size: int) -> Fraction:
    """Of a draw modulo the size to be this: counted over all 2^64."""
    return Fraction((ALL - 1 - point) // size + 1, ALL)


def test_the_strategy_draws_what_the_laws_are_about() -> None:
    """Panics of one and of all, every health, empty priorities: each of them is met."""
    seen: set[str] = set()

    @settings(max_examples=1000, derandomize=True)
    @given(levels(), st.sampled_from((0, 50, 71, 100)))
    def collect(some: Levels, threshold: int) -> None:
        panics = got(some, threshold).panics
        seen.update(["all"] if all(panics) else ["some"] if any(panics) else ["none"])
        seen.update(["empty"] if any(not one for one in some) else [])
        seen.update(one.health for one in flat(some))

    collect()
    assert seen >= {"all", "some", "none", "empty", *Health}
