"""Turns, queues, attempts and bounded load: spec/balance.md. Histories are told once more in plain lists, numbers once
more in fractions, and held against the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from itertools import islice
from math import ceil, floor, pow
from operator import add
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Decision, Draws, Router, State
from meshroute.balance import Ask, Pool, of_cluster
from meshroute.balance.bounded import shuffled
from meshroute.balance.maglev import InTable
from meshroute.balance.ring_hash import OnRing
from meshroute.conformance.strategies.clusters import CLUSTER, REQUEST, Levels, equal, flat, levels, router_to
from meshroute.conformance.strategies.tables import U64
from meshroute.names import EndpointKey
from meshroute.state import (
    CursorMoved,
    Effect,
    Joined,
    Queued,
    Refresh,
    Refreshed,
    RequestStarted,
    Requeued,
    TimePassed,
    TurnTaken,
)
from meshroute.table import (
    Cluster,
    Endpoint,
    Health,
    LeastRequest,
    LocalityWeight,
    Maglev,
    Policy,
    RingHash,
    RoundRobin,
    SlowStart,
)

NAN: Final = float("nan")
LOCALITY: Final = "r/a"
weight_lists = st.lists(st.integers(1, 9), min_size=1, max_size=5)
unequal = st.lists(st.integers(1, 9), min_size=2, max_size=5).filter(lambda weights: len(set(weights)) > 1)
hashing: st.SearchStrategy[RingHash | Maglev] = st.sampled_from((RingHash(7), RingHash(64), Maglev(31), Maglev(7)))
turning: st.SearchStrategy[Policy] = st.sampled_from(
    (RoundRobin(), LeastRequest(), LeastRequest(full_scan=True), LeastRequest(bias=0.0))
)


def next_of(
    router: Router, state: State | None = None, draws: Mapping[str, int] | None = None, *, ends: bool = True
) -> tuple[Decision, State]:
    """The next decision, and the state after it; the request ends at once unless told otherwise."""
    before = state or State()
    decision = router.decide(REQUEST, before, Draws.of(given=draws or {}))
    return decision, before.after((*decision.effects, *(decision.finished() if ends else ())))


def picks_of(router: Router, count: int, state: State | None = None) -> list[EndpointKey | None]:
    found = []
    now = state or State()
    for _ in range(count):
        decision, now = next_of(router, now)
        found.append(decision.endpoint.key if decision.endpoint is not None else None)
    return found


def pool_of(cluster: Cluster) -> Pool:
    pool = of_cluster(cluster).only
    assert pool is not None
    return pool


class TestBal2Duplicates:
    """BAL-2: two endpoints of one address are two endpoints; state calls the second `ip:port#2`, and so on."""

    @given(st.lists(st.integers(0, 2), min_size=1, max_size=7))
    def test_each_is_named_by_how_often_its_address_was_there_before(self, ports: list[int]) -> None:
        """In the order of the list; the first has the plain name."""
        some = tuple(Endpoint("10.8.0.1", 80 + port) for port in ports)
        names = [
            f"10.8.0.1:{80 + port}" + (f"#{ports[: at + 1].count(port)}" if port in ports[:at] else "")
            for at, port in enumerate(ports)
        ]
        router, state, started = router_to(Cluster(CLUSTER, RoundRobin(), some)), State(), []
        for _ in some:
            decision, state = next_of(router, state)
            started += [one.endpoint for one in decision.effects if isinstance(one, RequestStarted)]
            assert decision.endpoint == some[len(started) - 1]
        assert started == names

    @given(st.lists(st.integers(0, 1), min_size=2, max_size=6), turning)
    def test_turns_and_draws_are_those_of_as_many_different_addresses(self, ports: list[int], policy: Policy) -> None:
        """Requests that stay open, the busier of two twins too: place by place as if no address were there twice."""
        twins = tuple(Endpoint("10.8.0.1", 80 + port) for port in ports)
        routers = [router_to(Cluster(CLUSTER, policy, some)) for some in (twins, equal(len(ports)))]
        states, places = [State(), State()], [[0], [0]]
        for seed in range(8):
            for side, router in enumerate(routers):
                decision = router.decide(REQUEST, states[side], Draws.of(seed))
                states[side] = states[side].after(decision.effects)
                (name,) = [one.endpoint for one in decision.effects if isinstance(one, RequestStarted)]
                names = [one.key for one in pool_of(router.table.clusters[0]).placed]
                places[side].append(names.index(name))
        assert places[0] == places[1]

    @given(st.integers(2, 4))
    def test_their_shares_are_added_up(self, count: int) -> None:
        """One address listed so often beside another one has so many parts."""
        some = (*(Endpoint("10.8.0.1", 80),) * count, Endpoint("10.8.0.2", 80))
        shares = router_to(Cluster(CLUSTER, RoundRobin(), some)).shares(REQUEST, horizon="long-run").by_endpoint
        assert shares == {"10.8.0.1:80": Fraction(count, count + 1), "10.8.0.2:80": Fraction(1, count + 1)}


def source_of(priority: int, which: str, locality: str | None) -> str:
    """BAL-3 once more."""
    if (priority, which, locality) == (0, "healthy", None):
        return "c"
    return f"c#{priority}/{which}" + (f"@{locality}" if locality is not None else "")


class TestBal3Sources:
    """BAL-3: each list of endpoints takes turns of its own, under a name of its own."""

    @settings(max_examples=60)  # each example decides a hundred times
    @given(
        levels(priorities=3, size=4, weights=st.just(1), zones=("r/a", "r/b")),
        st.booleans(),
        st.sampled_from((0, 50, 100)),
    )
    def test_a_pick_moves_the_turns_of_its_list_and_no_others(
        self, some: Levels, by_locality: bool, threshold: int
    ) -> None:
        """By priority, by the health that serves, by locality; the localities' own turns besides."""
        zones = sorted({(one.priority, one.locality) for one in flat(some)})
        weights = tuple(LocalityWeight(zone, 1, number) for number, zone in zones) if by_locality else None
        cluster = Cluster(CLUSTER, RoundRobin(), flat(some), panic=threshold, locality_weights=weights)
        router = router_to(cluster)
        panics = {band.priority for band in of_cluster(cluster).bands if band.which == "all"}
        for point in range(0, 100, 3):
            decision, _ = next_of(router, draws={"priority": point})
            met = decision.endpoint
            if met is None:
                assert decision.effects == ()
                continue
            which = "all" if met.priority in panics else str(met.health)
            divided = by_locality and which != "all"
            source = source_of(met.priority, which, met.locality if divided else None)
            turn: list[Effect] = [TurnTaken(f"c#{met.priority}/{which}:localities")] if divided else []
            assert list(decision.effects) == [*turn, CursorMoved(source), RequestStarted(CLUSTER, met.key)]

    @given(
        st.dictionaries(
            st.sampled_from(("c", "c#0/degraded", "c#1/healthy", "d", "c#0/healthy")), st.integers(0, 2**64 - 1)
        ),
        st.sampled_from(
            ((Health.HEALTHY, 0, "c"), (Health.DEGRADED, 0, "c#0/degraded"), (Health.HEALTHY, 1, "c#1/healthy"))
        ),
    )
    def test_a_list_begins_with_its_own_start_else_its_cluster_s(
        self, starts: Mapping[str, int], which: tuple[Health, int, str]
    ) -> None:
        """Else with 0; a start of another name is not asked, and `c#0/healthy` is no name of any list."""
        health, priority, source = which
        some = tuple(Endpoint(f"10.8.0.{at}", 80, health=health, priority=priority) for at in range(5))
        first, _ = next_of(router_to(Cluster(CLUSTER, RoundRobin(), some)), State(starts=starts))
        assert first.endpoint == some[starts.get(source, starts.get("c", 0)) % 5]

    @given(unequal, st.integers(0, 50))
    def test_schedules_and_queues_go_by_the_same_names(self, weights: list[int], start: int) -> None:
        """Degraded endpoints of unequal weights, taking turns by schedule and by queue."""
        some = tuple(replace(one, health=Health.DEGRADED) for one in equal(len(weights), weights))
        state = State(starts={"c#0/degraded": start})
        by_schedule, by_queue = (
            next_of(router_to(Cluster(CLUSTER, policy, some)), state)[0] for policy in (RoundRobin(), LeastRequest())
        )
        assert by_schedule.endpoint == by_queue.endpoint
        assert by_schedule.effects[0] == TurnTaken("c#0/degraded")
        queued, requeued, turn = by_queue.effects[:3]
        assert isinstance(queued, Queued)
        assert isinstance(requeued, Requeued)
        assert (queued.source, requeued.source, turn) == ("c#0/degraded", "c#0/degraded", TurnTaken("c#0/degraded"))


class Line:
    """A queue as RR-2, LR-2 and SLOW-2 have it, in a plain list: who is next is looked for each time."""

    def __init__(self, weights: Sequence[float], start: int) -> None:
        picks = start % 2**32 % 429_496_729
        nudged = [weight + 1e-13 for weight in weights]
        total = reduce(add, nudged, 0.0)
        whole = [floor(weight * picks / total) for weight in nudged]
        whole = [
            full - (full > 0 and full / weight >= picks / total) for full, weight in zip(whole, nudged, strict=True)
        ]
        self.waiting = [((full + 1) / nudged[number], number, number) for number, full in enumerate(whole)]
        self.place = len(weights)
        for _ in range(picks - sum(whole)):
            self.take(lambda number: weights[number])

    def take(self, weigh: Callable[[int], float]) -> int:
        first = min(self.waiting)
        self.waiting.remove(first)
        self.waiting.append((first[0] + 1.0 / weigh(first[2]), self.place, first[2]))
        self.place += 1
        return first[2]


class Told:
    """What one proxy would have done with the healthy endpoints of a cluster, all of them of priority 0."""

    def __init__(self, cluster: Cluster, start: int) -> None:
        assert isinstance(cluster.policy, (RoundRobin, LeastRequest))
        self.policy: Final = cluster.policy
        self.weights: Final = [one.weight for one in cluster.endpoints]
        self.size: Final = len(self.weights)
        self.start: Final = start
        self.active, self.joined = [0] * self.size, [0] * self.size
        self.now = self.cursor = 0
        self.line: Line | None = None
        self.moves = False
        self.refresh()

    def refresh(self) -> None:
        slow, differ = self.policy.slow_start, len(set(self.weights)) > 1
        fresh = slow is not None and self.size > 1 and self.now - max(self.joined) <= slow.window
        self.moves = fresh or (differ and isinstance(self.policy, LeastRequest))
        weights = [self.weigh(number) for number in range(self.size)] if self.moves else list(map(float, self.weights))
        self.line = Line(weights, self.start) if self.moves or differ else None

    def weigh(self, number: int) -> float:
        if not self.moves:
            return float(self.weights[number])
        weight = float(self.weights[number])
        if isinstance(self.policy, LeastRequest):
            bias = self.policy.bias if self.policy.bias >= 0 else 1.0
            load = self.active[number] + 1
            weight = weight / load if bias == 1.0 else weight if bias == 0.0 else weight / pow(load, bias)
        slow = self.policy.slow_start
        return weight if slow is None else weight * factor(slow, self.now - self.joined[number])

    def pick(self, draws: tuple[int, int]) -> int:
        if self.line is not None:
            number = self.line.take(self.weigh)
        elif isinstance(self.policy, RoundRobin):
            number = (self.start + self.cursor) % 2**64 % self.size
            self.cursor += 1
        else:
            number = min((draw % self.size for draw in draws), key=lambda drawn: self.active[drawn])
        self.active[number] += 1
        return number


def factor(slow: SlowStart, age: int) -> float:
    """SLOW-1 once more: how much of its weight a healthy endpoint of this age has."""
    if age >= slow.window:
        return 1.0
    part = float(Fraction(max(1, age), slow.window))
    if slow.aggression > 0 and slow.aggression != 1.0:
        part = pow(part, 1.0 / slow.aggression)
    return max(part, slow.minimum / 100.0)


def _happenings() -> st.SearchStrategy[tuple[str, int]]:
    """Mostly picks; requests that end, changes, time that passes, endpoints that come (and with them a change)."""
    picks = st.tuples(st.just("pick"), st.integers(0, 99))
    return st.one_of(
        picks,
        picks,
        picks,
        st.tuples(st.just("end"), st.integers(0, 99)),
        st.tuples(st.just("refresh"), st.just(0)),
        st.tuples(st.just("pass"), st.sampled_from((1, 7, 50, 99, 100, 101, 500))),
        st.tuples(st.just("join"), st.integers(0, 4)),
    )


happenings = st.lists(_happenings(), max_size=40)


def follow(cluster: Cluster, start: int, happened: Sequence[tuple[str, int]]) -> None:
    """Both histories side by side: the same picks, and the same deadlines in the queue."""
    told, state = Told(cluster, start), State(starts={CLUSTER: start})
    router, flying = router_to(cluster), list[Decision]()
    for what, number in happened:
        if what == "pick":
            draws = (number % 7, number // 7)
            decision, state = next_of(router, state, {"host.0": draws[0], "host.1": draws[1]}, ends=False)
            flying.append(decision)
            assert decision.endpoint == cluster.endpoints[told.pick(draws)]
            if told.moves and told.line is not None:
                deadlines = sorted((deadline, at) for deadline, _, at in told.line.waiting)
                assert sorted((deadline, at) for deadline, _, at in state.queues[CLUSTER]) == deadlines
        elif what == "end" and flying:
            ended = flying.pop(number % len(flying))
            state = state.after(ended.finished())
            assert ended.endpoint is not None
            told.active[cluster.endpoints.index(ended.endpoint)] -= 1
        elif what == "refresh":
            state = state.after([Refreshed(CLUSTER)])
            told.refresh()
        elif what == "pass":
            told.now += number
            state = state.after([TimePassed(told.now)])
        elif what == "join":
            at = number % told.size
            told.joined[at] = told.now
            state = state.after([Joined(CLUSTER, cluster.endpoints[at].key), Refreshed(CLUSTER)])
            told.refresh()


biases = st.sampled_from((1.0, 1.0, 0.0, 2.0, 0.5, -1.0, NAN))


class TestLr2WeightedQueues:
    """LR-2: over unequal weights turns go by weight and load, each read when an endpoint goes back into the queue."""

    @given(unequal, biases, st.integers(0, 2**40), happenings)
    def test_picks_and_deadlines_are_those_of_the_whole_history(
        self, weights: list[int], bias: float, start: int, happened: list[tuple[str, int]]
    ) -> None:
        """Requests that begin and end, and changes on the way, which read all weights anew; no draw counts."""
        follow(Cluster(CLUSTER, LeastRequest(bias=bias), equal(len(weights), weights)), start, happened)

    @given(unequal, st.integers(0, 2**40), st.integers(0, 30), st.sampled_from((0.0, 1.0, 3.0)))
    def test_without_load_or_bias_it_is_weighted_round_robin(
        self, weights: list[int], start: int, held: int, bias: float
    ) -> None:
        """Pick for pick; with a bias of 0 also while requests stay open."""
        some, state = equal(len(weights), weights), State(starts={CLUSTER: start})
        if bias == 0.0:
            state = state.after([RequestStarted(CLUSTER, some[0].key)] * held)
        found = [
            picks_of(router_to(Cluster(CLUSTER, policy, some)), 40, state)
            for policy in (LeastRequest(bias=bias), RoundRobin())
        ]
        assert found[0] == found[1]

    @given(unequal, st.sampled_from((-1.0, -0.5, NAN, float("-inf"))), happenings)
    def test_a_bias_that_is_none_counts_as_1(
        self, weights: list[int], bias: float, happened: list[tuple[str, int]]
    ) -> None:
        """Negative ones and what is no number."""
        some, picks = equal(len(weights), weights), []
        for one in (bias, 1.0):
            router, state, found = router_to(Cluster(CLUSTER, LeastRequest(bias=one), some)), State(), []
            for _ in happened:
                decision, state = next_of(router, state, ends=False)
                found.append(decision.endpoint)
            picks.append(found)
        assert picks[0] == picks[1]

    @given(st.integers(2, 9), st.integers(0, 9))
    def test_a_weight_stays_as_it_was_read_until_the_next_turn(self, heavy: int, load: int) -> None:
        """Requests that begin on an endpoint while it waits do not move its deadline; at its turn they do."""
        some = equal(2, (1, heavy))
        router = router_to(Cluster(CLUSTER, LeastRequest(), some))
        _, state = next_of(router)
        waiting = state.queues[CLUSTER]
        state = state.after([RequestStarted(CLUSTER, one.key) for one in some for _ in range(load)])
        assert state.queues[CLUSTER] == waiting
        deadline, _, number = waiting[0]
        _, state = next_of(router, state)
        assert (deadline + 1.0 / ((1, heavy)[number] / (load + 1)), number) in [
            (at, who) for at, _, who in state.queues[CLUSTER]
        ]


class TestLr3FullScan:
    """LR-3: the full scan keeps the least busy endpoint, the n-th of those that tie taking over in one of n cases."""

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 11), min_size=6, max_size=6))
    def test_it_is_the_last_of_the_least_busy_that_took_over(self, busy: list[int], drawn: list[int]) -> None:
        """A tie with the best until then takes the next draw, whether that best stays the best or not."""
        some = equal(len(busy))
        state = State(active={CLUSTER: {one.key: load for one, load in zip(some, busy, strict=True) if load}})
        router = router_to(Cluster(CLUSTER, LeastRequest(full_scan=True), some))
        ties = [at for at in range(1, len(busy)) if busy[at] == min(busy[:at])]
        took = [
            at
            for number, at in enumerate(ties)
            if drawn[number] % busy[: at + 1].count(busy[at]) == 0 and busy[at] == min(busy)
        ]
        decision = router.decide(REQUEST, state, Draws.of(given={f"host.{n}": draw for n, draw in enumerate(drawn)}))
        assert decision.endpoint == some[[busy.index(min(busy)), *took][-1]]

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=6), U64)
    def test_nobody_who_is_not_among_the_least_busy_is_ever_picked(self, busy: list[int], seed: int) -> None:
        """Whatever is drawn, which two random choices do not promise."""
        some = equal(len(busy))
        state = State(active={CLUSTER: {one.key: load for one, load in zip(some, busy, strict=True) if load}})
        router = router_to(Cluster(CLUSTER, LeastRequest(full_scan=True), some))
        decision = router.decide(REQUEST, state, Draws.of(seed))
        assert decision.endpoint is not None
        assert busy[some.index(decision.endpoint)] == min(busy)

    @given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    def test_of_k_that_tie_each_has_its_part_to_the_draw(self, busy: list[int]) -> None:
        """By counting: the n-th takes over with the draws that n divides, and those after it leave it there."""
        some = equal(len(busy))
        state = State(active={CLUSTER: {one.key: load for one, load in zip(some, busy, strict=True) if load}})
        shares = router_to(Cluster(CLUSTER, LeastRequest(full_scan=True), some)).shares(REQUEST, state).by_endpoint
        least = [one.key for one, load in zip(some, busy, strict=True) if load == min(busy)]
        taken = [Fraction((2**64 - 1) // n + 1, 2**64) for n in range(1, len(least) + 1)]
        stays = [reduce(lambda part, chance: part * (1 - chance), taken[n + 1 :], taken[n]) for n in range(len(least))]
        assert shares == dict(zip(least, stays, strict=True))


slow_starts = st.builds(
    SlowStart,
    st.sampled_from((1, 100, 1000)),
    st.sampled_from((1.0, 1.0, 2.0, 0.5, 0.0, -1.0, NAN)),
    st.sampled_from((10.0, 0.1, 50.0, 100.0)),
)


class TestSlow1Weights:
    """SLOW-1: a newcomer's weight grows with its age, from a least part of it on."""

    @given(
        slow_starts,
        st.sampled_from((RoundRobin(), LeastRequest())),
        st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1200)), min_size=2, max_size=4),
        st.sampled_from((0, 1, 49, 50, 99, 100, 101, 999, 1000, 1001)),
        st.integers(0, 1200),
    )
    def test_deadlines_are_made_of_weights_by_age(
        self, slow: SlowStart, policy: RoundRobin | LeastRequest, hosts: list[tuple[int, int]], after: int, later: int
    ) -> None:
        """The first ones of the ages at the last change, the next one of the age at the pick."""
        some = equal(len(hosts), [weight for weight, _ in hosts])
        joined = {one.key: age for one, (_, age) in zip(some, hosts, strict=True)}
        changed = max(joined.values()) + min(after, slow.window)
        state = State(now=changed + later, joined={CLUSTER: joined}, refreshed={CLUSTER: Refresh(changed)})
        router = router_to(Cluster(CLUSTER, replace(policy, slow_start=slow), some))
        queued, requeued, *_ = router.decide(REQUEST, state).effects
        assert isinstance(queued, Queued)
        assert isinstance(requeued, Requeued)
        for deadline, _, number in queued.entries:
            weight = some[number].weight * factor(slow, changed - joined[some[number].key])
            assert deadline == 1.0 / (weight + 1e-13)
        first, _, number = min(queued.entries)
        weight = some[number].weight * factor(slow, state.now - joined[some[number].key])
        assert requeued.entry[0] == first + 1.0 / weight
        assert requeued.entry[2] == number

    @given(slow_starts, st.integers(0, 1200), st.integers(0, 1200))
    def test_the_older_the_heavier(self, slow: SlowStart, one: int, other: int) -> None:
        """From the least part up to the whole; the whole from the age of the window on."""
        parts = [self.part(slow, age) for age in (min(one, other), max(one, other))]
        assert parts[0] <= parts[1] <= 1.0
        assert parts[0] >= slow.minimum / 100.0
        assert self.part(slow, slow.window) == 1.0
        assert self.part(slow, 0) == self.part(slow, 1) or slow.window == 1

    @given(slow_starts, st.integers(0, 1200))
    def test_an_aggression_that_is_not_above_0_counts_as_1(self, slow: SlowStart, age: int) -> None:
        """0, less, and what is no number."""
        if not slow.aggression > 0:
            assert self.part(slow, age) == self.part(replace(slow, aggression=1.0), age)

    @given(slow_starts, st.lists(st.sampled_from(list(Health)), min_size=1, max_size=3), st.integers(0, 99))
    def test_whoever_is_not_healthy_keeps_its_weight(self, slow: SlowStart, healths: list[Health], age: int) -> None:
        """In a panic, where they serve together."""
        sick = (Endpoint("10.9.0.1", 80, health=Health.UNHEALTHY),)
        some = sick + tuple(replace(one, health=how) for one, how in zip(equal(3), healths, strict=False))
        cluster = Cluster(CLUSTER, RoundRobin(slow), some, panic=100.0)
        joined = {CLUSTER: {one.key: 1000 for one in some}}
        state = State(now=1000 + age, joined=joined, refreshed={CLUSTER: Refresh(1000)})
        effects = router_to(cluster).decide(REQUEST, state).effects
        if isinstance(effects[0], Queued) and of_cluster(cluster).bands[0].which == "all":
            parts = [factor(slow, 0) if one.health is Health.HEALTHY else 1.0 for one in some]
            assert {number: deadline for deadline, _, number in effects[0].entries} == {
                number: 1.0 / (part + 1e-13) for number, part in enumerate(parts)
            }
        else:
            assert all(one.health is not Health.UNHEALTHY for one in some[1:])

    @staticmethod
    def part(slow: SlowStart, age: int) -> float:
        """Of the weight of one that joined so long ago, which is read as it goes back into the queue."""
        some = equal(2, (5, 1))
        state = State(
            now=2000, joined={CLUSTER: {some[0].key: 2000 - age}}, queues={CLUSTER: ((0.0, 0, 0), (9.0, 1, 1))}
        )
        state = replace(state, refreshed={CLUSTER: Refresh(2000 - age)})
        (requeued, *_) = router_to(Cluster(CLUSTER, RoundRobin(slow), some)).decide(REQUEST, state).effects
        assert isinstance(requeued, Requeued)
        return 1.0 / (5.0 * requeued.entry[0])


class TestSlow2Queues:
    """SLOW-2: turns go by these weights if at the last change the newest endpoint was at most the window old."""

    @given(
        st.sampled_from((RoundRobin(), LeastRequest(), LeastRequest(bias=2.0), LeastRequest(bias=0.0))),
        slow_starts,
        weight_lists,
        st.integers(0, 2**40),
        happenings,
    )
    def test_picks_are_those_of_the_whole_history(
        self,
        policy: RoundRobin | LeastRequest,
        slow: SlowStart,
        weights: list[int],
        start: int,
        happened: list[tuple[str, int]],
    ) -> None:
        """Plain turns, schedules, draws and queues come and go with the changes, and cursors are kept."""
        follow(Cluster(CLUSTER, replace(policy, slow_start=slow), equal(len(weights), weights)), start, happened)

    @given(st.integers(1, 500), st.integers(0, 1000), st.integers(0, 1000))
    def test_only_the_last_change_decides(self, window: int, changed: int, later: int) -> None:
        """At the age of the window there still is a queue; time that passes without a change ends nothing."""
        cluster = Cluster(CLUSTER, RoundRobin(SlowStart(window)), equal(3))
        state = State(now=changed + later, refreshed={CLUSTER: Refresh(changed)})
        effects = router_to(cluster).decide(REQUEST, state).effects
        assert isinstance(effects[0], Queued) == (changed <= window)

    @given(st.integers(1, 99), st.integers(0, 500))
    def test_a_newcomer_elsewhere_counts_from_the_next_change_here_on(self, window: int, later: int) -> None:
        """The newest of the whole cluster; but a priority that has not changed since goes on as it was."""
        other = Endpoint("10.8.1.0", 80, priority=1)
        router = router_to(Cluster(CLUSTER, RoundRobin(SlowStart(window)), (*equal(2), other)))
        state = State().after([TimePassed(100), Refreshed(CLUSTER), TimePassed(200)])
        state = state.after([Joined(CLUSTER, other.key), Refreshed(CLUSTER, 1), TimePassed(200 + later)])
        before, after = state, state.after([Refreshed(CLUSTER, 0)])
        assert router.decide(REQUEST, before).effects[0] == CursorMoved(CLUSTER)
        assert isinstance(router.decide(REQUEST, after).effects[0], Queued) == (later <= window)

    @given(slow_starts, turning)
    def test_one_endpoint_has_nobody_to_be_compared_with(self, slow: SlowStart, policy: Policy) -> None:
        """No queue for it, whatever its age."""
        assert isinstance(policy, (RoundRobin, LeastRequest))
        some = equal(1)
        effects = router_to(Cluster(CLUSTER, replace(policy, slow_start=slow), some)).decide(REQUEST).effects
        turn = [CursorMoved(CLUSTER)] if isinstance(policy, RoundRobin) else []
        assert list(effects) == [*turn, RequestStarted(CLUSTER, some[0].key)]

    @given(weight_lists, slow_starts, turning)
    def test_in_the_long_run_everybody_has_been_there_long_enough(
        self, weights: list[int], slow: SlowStart, policy: Policy
    ) -> None:
        """Shares are those without a slow start."""
        assert isinstance(policy, (RoundRobin, LeastRequest))
        some = equal(len(weights), weights)
        with_, without = (
            router_to(Cluster(CLUSTER, one, some)).shares(REQUEST, horizon="long-run").by_endpoint
            for one in (replace(policy, slow_start=slow), policy)
        )
        assert with_ == without


def attempts_of(cluster: Cluster, key: int, count: int) -> list[int]:
    """Whom the attempts 0, 1 and so on of a retry look at."""
    picker = pool_of(cluster).picker
    assert picker is not None
    return [picker.pick(Ask(Draws(), State(), key, attempt)) for attempt in range(count)]


class TestRing4Attempts:
    """RING-4: attempt a of a retry looks at the entry a places after the one of the key, counting round."""

    @given(weight_lists, st.sampled_from((1, 3, 16)), U64)
    def test_the_entries_are_walked_one_by_one(self, weights: list[int], minimum: int, key: int) -> None:
        """More than once round; also at a point of the ring and right behind it."""
        cluster = Cluster(CLUSTER, RingHash(minimum), equal(len(weights), weights))
        picker = pool_of(cluster).picker
        assert isinstance(picker, OnRing)
        owners, points = picker.ring.owners, picker.ring.points
        for place, asked in ((None, key), (0, points[0]), (1, points[0] + 1), (len(points) - 1, points[-1])):
            first = sum(point < asked for point in points) if place is None else place
            walk = [owners[(first + step) % len(owners)] for step in range(2 * len(owners))]
            assert attempts_of(cluster, asked, 2 * len(owners)) == walk

    @given(weight_lists, U64)
    def test_a_round_of_attempts_meets_everybody_as_often_as_it_has_entries(self, weights: list[int], key: int) -> None:
        """From any key."""
        cluster = Cluster(CLUSTER, RingHash(16), equal(len(weights), weights))
        picker = pool_of(cluster).picker
        assert isinstance(picker, OnRing)
        assert Counter(attempts_of(cluster, key, len(picker.ring.owners))) == Counter(picker.ring.owners)


class TestMaglev4Attempts:
    """MAGLEV-4: attempt a above 0 of a retry looks at slot (key XOR (2^64 - a)) mod M."""

    @given(weight_lists, st.sampled_from((7, 31, 101)), U64)
    def test_the_slot_is_that_of_the_key_with_other_bits(self, weights: list[int], size: int, key: int) -> None:
        """The complement of a - 1, bit by bit: 2^64 - a has all bits of it turned over."""
        cluster = Cluster(CLUSTER, Maglev(size), equal(len(weights), weights))
        picker = pool_of(cluster).picker
        assert isinstance(picker, InTable)
        slots = [key % size]
        for attempt in range(1, 8):
            bits = [(key >> bit & 1) ^ (1 - (attempt - 1 >> bit & 1)) for bit in range(64)]
            slots.append(sum(one << bit for bit, one in enumerate(bits)) % size)
        assert attempts_of(cluster, key, 8) == [picker.table[slot] for slot in slots]


def twister(seed: int) -> Iterator[int]:
    """The Mersenne Twister as its authors wrote it down: init_genrand, then genrand_int32."""
    words = [seed % 2**32]
    while len(words) < 624:
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + len(words)) % 2**32)
    while True:
        for at in range(624):
            mixed = (words[at] & 0x80000000) | (words[(at + 1) % 624] & 0x7FFFFFFF)
            words[at] = words[(at + 397) % 624] ^ (mixed >> 1) ^ (0x9908B0DF if mixed % 2 else 0)
        for word in words:
            one = word ^ (word >> 11)
            one ^= (one << 7) & 0x9D2C5680
            one ^= (one << 15) & 0xEFC60000
            yield one ^ (one >> 18)


def order_of(size: int, seed: int) -> list[int]:
    """BOUND-2 once more: the numbers in the order in which they are asked."""
    numbers, found, drawn = list(range(size)), list[int](), twister(seed)
    for place in range(size):
        left = size - place
        step = next(one // (2**32 // left) for one in drawn if one // (2**32 // left) < left)
        numbers[place], numbers[place + step] = numbers[place + step], numbers[place]
        found.append(numbers[place])
    return found


class Bound:
    """BOUND-1 and BOUND-2 once more, over a policy that knows no bound, for healthy endpoints in some localities."""

    def __init__(self, policy: RingHash | Maglev, some: Sequence[Endpoint], weights: Sequence[LocalityWeight]) -> None:
        said = tuple(weights) or None
        assert policy.balance_factor is not None
        self.factor: Final = policy.balance_factor
        self.cluster: Final = Cluster(CLUSTER, policy, tuple(some), locality_weights=said)
        self.plain: Final = replace(self.cluster, policy=replace(policy, balance_factor=None))
        self.router: Final = router_to(self.cluster)
        self.unbound: Final = router_to(self.plain)
        whole = sum((one.weight for one in weights), 0)
        mine = next((one.weight for one in weights if one.locality == LOCALITY), 0)
        self.listed: Final = [one for one in some if one.health is Health.HEALTHY]
        part = mine / whole if said else 1.0
        total = sum(one.weight for one in self.listed)
        self.shares: Final = [float(Fraction(float(Fraction(part) * one.weight)) / total) for one in self.listed]

    def full(self, number: int, active: Mapping[EndpointKey, int]) -> Fraction:
        slots = ((sum(active.values()) + 1) * self.factor + 99) % 2**32 // 100
        most = max(ceil(float(slots * Fraction(self.shares[number]))), 1)
        return Fraction(active.get(self.listed[number].key, 0), most)

    def pick(self, key: int, active: Mapping[EndpointKey, int]) -> Endpoint:
        met = self.unbound.decide(REQUEST, draws=Draws.of(given={"key": key})).endpoint
        assert met is not None
        first = self.listed.index(met)
        others = [number for number in order_of(len(self.listed), key % 2**32) if number != first]
        asked = [first, *others]
        free = [number for number in asked if self.full(number, active) <= 1]
        return self.listed[free[0] if free else min(asked, key=lambda number: self.full(number, active))]


@st.composite
def bounds(draw: st.DrawFn) -> Bound:
    """Some endpoints in one locality; often another one, all sick, has a part of the shares: then all may be full."""
    factor = draw(st.sampled_from((100, 100, 101, 120, 150, 200, 1000, 2**32 - 1)))
    policy = replace(draw(hashing), balance_factor=factor)
    some = [
        replace(one, locality=LOCALITY) for one in equal(5, draw(st.lists(st.integers(1, 9), min_size=5, max_size=5)))
    ]
    some = some[: draw(st.integers(1, 5))]
    weights: list[LocalityWeight] = []
    if other := draw(st.sampled_from((0, 0, 1, 9))):
        some.append(Endpoint("10.9.0.1", 80, health=Health.UNHEALTHY, locality="r/b"))
        weights = [LocalityWeight(LOCALITY, draw(st.integers(1, 2))), LocalityWeight("r/b", other)]
    return Bound(policy, some, weights)


loads = st.lists(st.sampled_from((0, 0, 1, 1, 2, 3, 5, 40)), min_size=6, max_size=6)


def active_of(bound: Bound, busy: Sequence[int]) -> dict[EndpointKey, int]:
    return {one.key: load for one, load in zip(bound.cluster.endpoints, busy, strict=False) if load}


class TestBound1Slots:
    """BOUND-1: an endpoint is full if it has more requests in flight than its share of the slots; the key's own serves
    unless it is full."""

    @given(bounds(), loads, U64)
    def test_the_key_s_own_serves_exactly_if_it_is_not_full(self, bound: Bound, busy: list[int], key: int) -> None:
        """By the slots of its share, in 32 bits; requests on sick endpoints of the cluster count too."""
        active = active_of(bound, busy)
        draws = Draws.of(given={"key": key})
        own = bound.unbound.decide(REQUEST, draws=draws).endpoint
        assert own is not None
        met = bound.router.decide(REQUEST, State(active={CLUSTER: active}), draws).endpoint
        if bound.full(bound.listed.index(own), active) <= 1:
            assert met == own
        elif any(bound.full(number, active) <= 1 for number in range(len(bound.listed))):
            assert met != own

    @given(bounds(), U64)
    def test_without_requests_in_flight_there_is_no_bound(self, bound: Bound, key: int) -> None:
        """The same endpoint as without a factor."""
        draws = Draws.of(given={"key": key})
        assert bound.router.decide(REQUEST, draws=draws).endpoint == bound.unbound.decide(REQUEST, draws=draws).endpoint

    @given(
        st.sampled_from((100, 120, 150, 200)),
        hashing,
        weight_lists,
        st.lists(st.sampled_from((1, 2, 2**40 + 3, 2**63 + 5)), min_size=1, max_size=40),
    )
    def test_nobody_has_more_than_a_request_above_its_slots(
        self, factor_: int, policy: RingHash | Maglev, weights: list[int], keys: list[int]
    ) -> None:
        """However hot the keys are, all requests staying open: at most its slots, rounded up, and the one that came."""
        some = equal(len(weights), weights)
        router, state = router_to(Cluster(CLUSTER, replace(policy, balance_factor=factor_), some)), State()
        for key in keys:
            _, state = next_of(router, state, {"key": key}, ends=False)
            slots = (sum(state.active_on(CLUSTER).values()) * factor_ + 99) // 100
            for one in some:
                most = max(1, ceil(slots * (one.weight * 1.0 / sum(weights))))
                assert state.active_on(CLUSTER).get(one.key, 0) <= most + 1

    def test_requests_on_endpoints_that_do_not_serve_make_slots_too(self) -> None:
        """Four of eight slots instead of two of four, as the requests of a sick endpoint are in flight still."""
        some = (*equal(2), Endpoint("10.8.0.9", 80, health=Health.UNHEALTHY))
        router = router_to(Cluster(CLUSTER, RingHash(64, balance_factor=100), some))
        own = router.decide(REQUEST, draws=Draws.of(given={"key": 7})).endpoint
        assert own is not None
        met = [
            router.decide(REQUEST, State(active={CLUSTER: active}), Draws.of(given={"key": 7})).endpoint
            for active in ({own.key: 3}, {own.key: 3, some[2].key: 4})
        ]
        assert met[0] in some[:2]
        assert met[0] != own
        assert met[1] == own

    def test_one_request_more_than_the_slots_is_let_in(self) -> None:
        """Two equal endpoints at 100 percent: with two in flight on one, three slots make two for it, which is not yet
        too much."""
        some = equal(2)
        router = router_to(Cluster(CLUSTER, RingHash(64, balance_factor=100), some))
        own = router.decide(REQUEST, draws=Draws.of(given={"key": 7})).endpoint
        assert own is not None
        picks = [
            router.decide(REQUEST, State(active={CLUSTER: {own.key: load}}), Draws.of(given={"key": 7})).endpoint == own
            for load in range(1, 6)
        ]
        assert picks == [True, True, False, False, False]


class TestBound2Overflow:
    """BOUND-2: past a full one the others are asked in the order of the key's shuffle; if all are full, the least full
    serves."""

    @given(bounds(), loads, U64)
    def test_who_serves_is_who_the_words_say(self, bound: Bound, busy: list[int], key: int) -> None:
        """The own one, the first in the order that is not full, or the least full."""
        active = active_of(bound, busy)
        met = bound.router.decide(REQUEST, State(active={CLUSTER: active}), Draws.of(given={"key": key})).endpoint
        assert met == bound.pick(key, active)

    @given(U64)
    def test_whoever_has_just_its_slots_is_not_full_yet(self, key: int) -> None:
        """Eight requests on three endpoints, five of them on the key's own: three slots each, and the first of the
        order serves, also where it has three."""
        some = equal(3)
        router = router_to(Cluster(CLUSTER, Maglev(31, balance_factor=100), some))
        draws = Draws.of(given={"key": key})
        own = router.decide(REQUEST, draws=draws).endpoint
        assert own is not None
        one, other = (place for place in range(3) if some[place] != own)
        active = {own.key: 5, some[one].key: 3}
        first = next(place for place in order_of(3, key % 2**32) if place in (one, other))
        assert router.decide(REQUEST, State(active={CLUSTER: active}), draws).endpoint == some[first]

    @given(st.integers(1, 12), st.integers(0, 2**32 - 1))
    def test_the_order_is_that_of_the_reference_generator(self, size: int, seed: int) -> None:
        """Number for number, and nobody twice."""
        assert list(shuffled(size, seed)) == order_of(size, seed)
        assert sorted(shuffled(size, seed)) == list(range(size))

    def test_the_generator_of_this_file_is_the_reference_one(self) -> None:
        """Its first and ten thousandth number from the usual seed, as the C++ standard has them."""
        assert next(twister(5489)) == 3499211612
        assert next(islice(twister(5489), 9999, None)) == 4123659995

    def test_a_step_that_is_too_great_is_drawn_again(self) -> None:
        """2^32 is no multiple of most sizes, and the rest of the range counts for nobody. That is rare: of 20,000 draws
        from seed 21, one."""
        drawn, again = twister(21), 0
        for left in range(20_000, 0, -1):
            while next(drawn) // (2**32 // left) >= left:
                again += 1
        assert again == 1
        assert list(shuffled(20_000, 21)) == order_of(20_000, 21)

    @given(bounds(), loads, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
    def test_only_the_low_half_of_a_key_shuffles(self, bound: Bound, busy: list[int], low: int, high: int) -> None:
        """Two keys of one endpoint and one low half meet the same."""
        active = active_of(bound, busy)
        seen = set()
        for upper in (0, high):
            draws = Draws.of(given={"key": upper * 2**32 + low})
            own = bound.unbound.decide(REQUEST, draws=draws).endpoint
            met = bound.router.decide(REQUEST, State(active={CLUSTER: active}), draws).endpoint
            seen.add((own.key if own else "", met.key if met else ""))
        assert len({own for own, _ in seen}) == len(seen)

    @given(st.lists(st.integers(1, 5), min_size=2, max_size=5), U64)
    def test_of_all_full_ones_the_least_full_serves_and_the_key_s_own_among_equals(
        self, busy: list[int], key: int
    ) -> None:
        """A sick locality of a great weight takes the slots of everybody else: each has one, and more requests."""
        some = [replace(one, locality=LOCALITY) for one in equal(len(busy))]
        some.append(Endpoint("10.9.0.1", 80, health=Health.UNHEALTHY, locality="r/b"))
        weights = [LocalityWeight(LOCALITY, 1), LocalityWeight("r/b", 10_000)]
        bound = Bound(Maglev(31, balance_factor=100), some, weights)
        active = {one.key: load + 1 for one, load in zip(some, busy, strict=False)}
        met = bound.router.decide(REQUEST, State(active={CLUSTER: active}), Draws.of(given={"key": key})).endpoint
        own = bound.unbound.decide(REQUEST, draws=Draws.of(given={"key": key})).endpoint
        assert met is not None
        assert own is not None
        assert active[met.key] == min(active.values())
        if active[own.key] == min(active.values()):
            assert met == own
