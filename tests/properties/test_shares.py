"""Shares: spec/shares.md. `shares` is held to `decide`, never to itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import lcm, prod
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import (
    Decision,
    Draws,
    InexactError,
    MovedError,
    Request,
    Router,
    RoutingTable,
    Session,
    State,
    moved,
    residues,
)
from meshroute.balance import maglev
from meshroute.balance.hosts import hosts
from meshroute.balance.ring_hash import build
from meshroute.conformance.strategies.tables import U64, clusters, requests, tables
from meshroute.names import ClusterName, EndpointKey
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashOnCookie,
    HashOnHeader,
    Health,
    LeastRequest,
    Listener,
    LocalityWeight,
    Maglev,
    Policy,
    Portion,
    RandomChoice,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    Subsets,
    SubsetSelector,
    VirtualHost,
    WeightedCluster,
)
from tests.bounds import plausible

ALL = 2**64
REQUEST = Request.of("GET", "http://h/")


def draws_with_remainder(remainder: int, size: int) -> int:
    """How many of 0..2^64-1 leave this remainder: counted, not divided."""
    return (ALL - 1 - remainder) // size + 1


def portions() -> st.SearchStrategy[Portion]:
    """Of a hundred or of ten thousand, often at the ends."""
    return st.sampled_from([100, 10_000]).flatmap(
        lambda of: st.builds(Portion, st.sampled_from([0, 1, of - 1, of, of + 1]) | st.integers(0, of), st.just(of))
    )


def router(policies: list[Policy], weights: list[int], sizes: list[int]) -> Router:
    """A route split over clusters with these policies and numbers of endpoints."""
    clusters = [
        Cluster(
            ClusterName(f"c{number}"),
            policy,
            tuple(Endpoint(f"10.{number}.0.{i}", 80, f"ns/p{number}-{i}") for i in range(size)),
        )
        for number, (policy, size) in enumerate(zip(policies, sizes, strict=True))
    ]
    split = Forward(tuple(WeightedCluster(one.name, weight) for one, weight in zip(clusters, weights, strict=True)))
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), split),))
    return Router(RoutingTable((Listener(80, (host,)),), tuple(clusters)))


def every_decision(
    asked: Router, state: State, weights: list[int], sizes: list[int]
) -> Iterator[tuple[Fraction, Decision]]:
    """Every combination of remainders of the draws, each with its exact probability, decided one by one."""
    total = sum(weights)
    for size in sorted(set(sizes)):
        members = [number for number, one in enumerate(sizes) if one == size and size]
        for stream in range(total):
            for host in product(range(size), repeat=3):
                given_ = {"stream": stream, "priority": host[0], "host.0": host[1], "host.1": host[2]}
                decision = asked.decide(REQUEST, state, Draws.of(given=given_))
                if int(str(decision.cluster)[1:]) in members:
                    ways = prod(draws_with_remainder(r, size) for r in host) * draws_with_remainder(stream, total)
                    yield Fraction(ways, ALL**4), decision


drawn_policies: st.SearchStrategy[Policy] = st.sampled_from((RandomChoice(), LeastRequest(), RoundRobin()))
cases = st.integers(1, 3).flatmap(
    lambda n: st.tuples(
        st.lists(drawn_policies, min_size=n, max_size=n),
        st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any),
        st.lists(st.integers(1, 3), min_size=n, max_size=n),
        st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.integers(1, 3), max_size=4),
        st.integers(0, 5),
    )
)


class TestShare1Exactness:
    """SHARE-1: a share is the exact probability over all draws; those of one kind sum to 1."""

    @given(tables(), requests())
    def test_every_mapping_sums_to_one(self, table: RoutingTable, sent: Request) -> None:
        """For the next request and in the long run, and nothing impossible is listed."""
        for horizon in ("next", "long-run"):
            got = Router(table).shares(sent, horizon="next" if horizon == "next" else "long-run")
            for mapping in (got.pods, got.by_endpoint, got.by_subset, got.by_cluster, got.by_rule, got.by_outcome):
                assert sum(mapping.values()) == 1
                assert all(share > 0 for share in mapping.values())

    @settings(max_examples=60)  # each example decides up to a thousand times
    @given(cases)
    def test_they_are_what_deciding_over_all_remainders_gives(
        self,
        case: tuple[list[Policy], list[int], list[int], dict[tuple[int, int], int], int],
    ) -> None:
        """Exhaustively: every remainder of every draw, weighed by how many draws leave it."""
        policies, weights, sizes, busy, cursor = case
        asked = router(policies, weights, sizes)
        active: dict[ClusterName, dict[EndpointKey, int]] = {}
        for (cluster, host), count in busy.items():
            active.setdefault(ClusterName(f"c{cluster}"), {})[EndpointKey(f"10.{cluster}.0.{host}:80")] = count
        state = State({ClusterName(f"c{n}"): cursor for n in range(3)}, active)
        counted: dict[str | None, Fraction] = {}
        for chance, decision in every_decision(asked, state, weights, sizes):
            counted[decision.pod] = counted.get(decision.pod, Fraction(0)) + chance
        assert dict(asked.shares(REQUEST, state).pods) == counted

    @given(tables(), requests(), st.integers(0, 2**64 - 1))
    def test_whatever_is_decided_has_a_share(self, table: RoutingTable, sent: Request, seed: int) -> None:
        """The pod, cluster, rule and outcome of any decision are listed."""
        asked = Router(table)
        got, decision = asked.shares(sent), asked.decide(sent, draws=Draws.of(seed))
        assert decision.pod in got.pods
        assert decision.cluster in got.by_cluster
        assert decision.subset in got.by_subset
        assert decision.outcome in got.by_outcome
        assert (str(decision.rule) if decision.rule else None) in got.by_rule


class TestShare2Modulo:
    """SHARE-2: a draw modulo n hits the first remainders once more than the others."""

    @given(st.integers(1, 50))
    def test_the_first_remainders_have_one_more_of_two_to_the_64(self, size: int) -> None:
        """Three endpoints are not a third each."""
        got = router([RandomChoice()], [1], [size]).shares(REQUEST).pods
        assert [got[f"ns/p0-{i}"] * ALL for i in range(size)] == [draws_with_remainder(i, size) for i in range(size)]


class TestShare3RandomKeys:
    """SHARE-3: with a random key an endpoint has its arcs of the ring, or the keys of its slots."""

    @given(st.integers(1, 6), st.sampled_from((1, 3, 16)))
    def test_arcs_are_counted_key_by_key_between_the_points(self, size: int, minimum: int) -> None:
        """Decided at both ends of every stretch on which the owner cannot change."""
        asked = router([RingHash(minimum)], [1], [size])
        points = sorted(set(ring_points(asked)))
        counted: Counter[str | None] = Counter()
        for low, high in zip([0, *(point + 1 for point in points)], [*points, ALL - 1], strict=True):
            owners = (
                {asked.decide(REQUEST, draws=Draws.of(given={"key": key})).pod for key in (low, high)}
                if low <= high
                else set()
            )
            assert len(owners) <= 1
            for owner in owners:
                counted[owner] += high - low + 1
        got = asked.shares(REQUEST).pods
        assert {pod: share * ALL for pod, share in got.items()} == dict(counted)

    @given(st.integers(1, 6), st.sampled_from((2, 3, 31)))
    def test_slots_are_counted_by_their_keys(self, count: int, size: int) -> None:
        """Decided once for each remainder."""
        asked = router([Maglev(size)], [1], [count])
        counted: Counter[str | None] = Counter()
        for slot in range(size):
            counted[asked.decide(REQUEST, draws=Draws.of(given={"key": slot})).pod] += draws_with_remainder(slot, size)
        assert {pod: share * ALL for pod, share in asked.shares(REQUEST).pods.items()} == dict(counted)


def ring_points(asked: Router) -> Iterator[int]:
    for cluster in asked.table.clusters:
        assert isinstance(cluster.policy, RingHash)
        yield from build(hosts(cluster.endpoints), cluster.policy).points


class TestShare4Horizon:
    """SHARE-4: the next request's shares are those of the state; in the long run turns are even."""

    @given(st.integers(1, 6), st.integers(0, 20))
    def test_round_robin_is_certain_now_and_even_in_the_long_run(self, size: int, cursor: int) -> None:
        """And the average of one round of next shares is the long run."""
        asked = router([RoundRobin()], [1], [size])
        rounds = [asked.shares(REQUEST, State({ClusterName("c0"): cursor + turn})).pods for turn in range(size)]
        assert all(list(one.values()) == [1] for one in rounds)
        long_run = asked.shares(REQUEST, horizon="long-run")
        assert long_run.remembers
        sums: dict[str | None, Fraction] = {}
        for one in rounds:
            for pod, share in one.items():
                sums[pod] = sums.get(pod, Fraction(0)) + share / size
        assert dict(long_run.pods) == sums == {f"ns/p0-{i}": Fraction(1, size) for i in range(size)}

    def test_a_session_agrees_with_the_long_run_to_the_request(self) -> None:
        """Ninety requests over three pods in turns: thirty each."""
        asked = router([RoundRobin()], [1], [3])
        session = Session(asked)
        counted = Counter(session.decide(REQUEST).pod for _ in range(90))
        assert {pod: share * 90 for pod, share in asked.shares(REQUEST, horizon="long-run").pods.items()} == counted


def test_shares_as_json_keep_numerators_and_denominators() -> None:
    """As text, because a numerator may have more than 64 bits; and a horizon that does not exist is refused."""
    got = router([RandomChoice()], [1], [3]).shares(REQUEST)
    raw = msgspec.json.decode(msgspec.json.encode(got.to_builtins()))
    assert sum(Fraction(int(row["numerator"]), int(row["denominator"])) for row in raw["pods"]) == 1
    assert raw["outcomes"] == [{"outcome": {"type": "forwarded"}, "numerator": "1", "denominator": "1"}]
    asked = router([RandomChoice()], [1], [3])
    with pytest.raises(ValueError, match="horizon"):
        asked.shares(REQUEST, horizon="tomorrow")  # type: ignore[arg-type] # wrong on purpose


def one_cluster(cluster: Cluster, **around: Any) -> Router:
    """A router that sends everything to it."""
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), Forward((WeightedCluster(cluster.name),))),))
    return Router(RoutingTable((Listener(80, (host,)),), (cluster,), **around))


divided = st.lists(
    st.tuples(st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.DEGRADED, Health.UNHEALTHY)), st.integers(0, 2)),
    min_size=1,
    max_size=5,
).map(
    lambda drawn: tuple(
        Endpoint(f"10.8.0.{i}", 80, f"ns/p{i}", health, priority=priority) for i, (health, priority) in enumerate(drawn)
    )
)


def counted_over(router: Router, name: str, period: int) -> dict[str | None, Fraction]:
    """Every remainder of one draw decided once, weighed by how many draws leave it."""
    counted: Counter[str | None] = Counter()
    for draw in range(period):
        counted[router.decide(REQUEST, draws=Draws.of(given={name: draw})).pod] += draws_with_remainder(draw, period)
    return {pod: Fraction(count, ALL) for pod, count in counted.items()}


class TestShare6OneNumberForTwoChoices:
    """SHARE-6: where one number chooses the priority and the endpoint, shares count the numbers that do both."""

    @settings(max_examples=40)  # each decides several hundred times
    @given(divided, st.sampled_from((0.0, 50.0)))
    def test_random_over_priorities(self, some: tuple[Endpoint, ...], panic: float) -> None:
        """Exhaustively over the remainders of the one draw."""
        asked = one_cluster(Cluster(ClusterName("c"), RandomChoice(), some, panic=panic))
        assert dict(asked.shares(REQUEST).pods) == counted_over(asked, "priority", lcm(100, *range(1, len(some) + 1)))

    @settings(max_examples=40)
    @given(divided, st.sampled_from((2, 3, 7)))
    def test_a_table_over_priorities(self, some: tuple[Endpoint, ...], size: int) -> None:
        """Exhaustively over the remainders of the random key."""
        asked = one_cluster(Cluster(ClusterName("c"), Maglev(size), some))
        assert dict(asked.shares(REQUEST).pods) == counted_over(asked, "key", 100 * size)

    @settings(max_examples=30)
    @given(divided, st.sampled_from((1, 5)))
    def test_a_ring_over_priorities(self, some: tuple[Endpoint, ...], minimum: int) -> None:
        """Every stretch on which no owner can change, once for each remainder of 100."""
        sizes = RingHash(minimum)
        asked = one_cluster(Cluster(ClusterName("c"), sizes, some))
        levels = [[one for one in some if one.priority == at and one.health is Health.HEALTHY] for at in range(3)]
        points = sorted({point for level in levels for point in build(hosts(level), sizes).points})
        counted: Counter[str | None] = Counter()
        for low, high in zip([0, *(point + 1 for point in points)], [*points, ALL - 1], strict=True):
            for remainder in range(100):
                first = low + (remainder - low) % 100
                if first <= high:
                    pod = asked.decide(REQUEST, draws=Draws.of(given={"key": first})).pod
                    counted[pod] += (high - first) // 100 + 1
        assert {pod: share * ALL for pod, share in asked.shares(REQUEST).pods.items()} == dict(counted)


class TestShare7Priorities:
    """SHARE-7: priorities have the share of a draw modulo 100, and a key that is known chooses with certainty; a cookie
    made for an unknown client counts as a random key."""

    @settings(max_examples=60)
    @given(clusters("c"), U64, st.sampled_from(("", "r/a/")))
    def test_decisions_fit_the_shares_of_any_cluster(self, cluster: Cluster, seed: int, locality: str) -> None:
        """Whatever the policy: 200 decisions in one state, by a bound that fair draws miss once in 10^15 times."""
        around = {"locality": locality, "local_cluster": ClusterName("c")} if locality else {}
        asked = one_cluster(cluster, **around)
        counts = Counter(asked.decide(REQUEST, draws=Draws.of(seed, number)).pod for number in range(200))
        shares = asked.shares(REQUEST).pods
        assert set(counts) <= set(shares)
        assert all(plausible(counts[pod], 200, share, Fraction(1, 10**15)) for pod, share in shares.items())

    @given(divided, U64)
    def test_a_known_key_is_certain(self, some: tuple[Endpoint, ...], number: int) -> None:
        """One endpoint, or nobody, with share 1: the one that is decided on, whatever is drawn."""
        cluster = Cluster(ClusterName("c"), RingHash(16), some)
        action = Forward((WeightedCluster(cluster.name),), (HashOnHeader("x-user"),))
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
        asked = Router(RoutingTable((Listener(80, (host,)),), (cluster,)))
        request = Request("GET", "h", "/", (("x-user", str(number)),))
        assert dict(asked.shares(request).pods) == {asked.decide(request, draws=Draws.of(number)).pod: 1}

    def test_a_cookie_for_nobody_known_is_a_random_key(self) -> None:
        """The same shares as without a policy; for a client whose address is known, the host that its cookie names."""
        cluster = Cluster(ClusterName("c"), Maglev(7), tuple(Endpoint(f"10.8.0.{i}", 80, f"ns/p{i}") for i in range(3)))
        action = Forward((WeightedCluster(cluster.name),), (HashOnCookie("sid", ttl=0),))
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
        asked = Router(RoutingTable((Listener(80, (host,)),), (cluster,)))
        assert asked.shares(REQUEST).pods == one_cluster(cluster).shares(REQUEST).pods
        ends = {"source_ip": "10.0.0.9", "source_port": 4711, "destination_ip": "10.0.0.1"}
        known = Request("GET", "h", "/", **ends)  # type: ignore[arg-type] # each of its own type
        assert dict(asked.shares(known).pods) == {asked.decide(known).pod: 1}


class TestShare8BoundedLoad:
    """SHARE-8: with bounded load and no key, shares are those of the ring while nobody is full, and refused then."""

    @given(st.integers(1, 5), st.integers(0, 4), st.sampled_from((RingHash(8), Maglev(7))))
    def test_the_inner_shares_or_none(self, size: int, load: int, policy: RingHash | Maglev) -> None:
        """A load that fills the first endpoint refuses; any other changes nothing. A known key is always certain."""
        some = tuple(Endpoint(f"10.8.0.{i}", 80, f"ns/p{i}") for i in range(size))
        bounded = one_cluster(Cluster(ClusterName("c"), msgspec.structs.replace(policy, balance_factor=100), some))
        state = State(active={ClusterName("c"): {some[0].key: load}} if load else {})
        slots = -(-(load + 1) // size)
        if load > slots:
            with pytest.raises(InexactError, match="has more than 100 percent"):
                bounded.shares(REQUEST, state)
        else:
            assert (
                bounded.shares(REQUEST, state).pods
                == one_cluster(Cluster(ClusterName("c"), policy, some)).shares(REQUEST).pods
            )


class TestShare5Moved:
    """SHARE-5: the keys that move are those whose endpoint before and after differ, counted over all of them."""

    @staticmethod
    def clusters(policy: Policy, sizes: tuple[int, int]) -> list[Cluster]:
        return [
            Cluster(ClusterName("c"), policy, tuple(Endpoint(f"10.8.0.{i}", 80, f"ns/p{i}") for i in range(size)))
            for size in sizes
        ]

    @given(st.tuples(st.integers(0, 6), st.integers(0, 6)), st.sampled_from((RingHash(1), RingHash(16), Maglev(7))))
    def test_flows_sum_to_one_and_margins_are_the_shares_of_both_sides(
        self, sizes: tuple[int, int], policy: Policy
    ) -> None:
        """What leaves an endpoint and what stays there is what it had; with nothing changed nothing moves."""
        before, after = self.clusters(policy, sizes)
        answer = moved(before, after)
        assert sum(answer.flows.values()) == 1
        assert moved(before, before).total == 0
        for side, cluster in enumerate((before, after)):
            host = VirtualHost("h", ("*",), (Route(RouteMatch(), Forward((WeightedCluster(cluster.name),))),))
            shares = Router(RoutingTable((Listener(80, (host,)),), (cluster,))).shares(REQUEST).by_endpoint
            margin: dict[str | None, Fraction] = {}
            for flow, share in answer.flows.items():
                margin[flow[side]] = margin.get(flow[side], Fraction(0)) + share
            assert margin == dict(shares)

    @given(
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        st.integers(0, ALL - 1),
        st.sampled_from((RingHash(8), Maglev(31))),
    )
    def test_the_flow_of_any_key_is_listed(self, sizes: tuple[int, int], key: int, policy: Policy) -> None:
        """By deciding with that key before and after."""
        owners = []
        for cluster in self.clusters(policy, sizes):
            host = VirtualHost("h", ("*",), (Route(RouteMatch(), Forward((WeightedCluster(cluster.name),))),))
            asked = Router(RoutingTable((Listener(80, (host,)),), (cluster,)))
            endpoint = asked.decide(REQUEST, draws=Draws.of(given={"key": key})).endpoint
            assert endpoint is not None
            owners.append(endpoint.key)
        assert (owners[0], owners[1]) in moved(*self.clusters(policy, sizes)).flows

    def test_a_small_table_is_counted_slot_by_slot(self) -> None:
        """Maglev of seven slots from three endpoints to two: by hand over the tables."""
        before, after = self.clusters(Maglev(7), (3, 2))
        tables = [[one.endpoints[n].key for n in maglev.build(hosts(one.endpoints), 7)] for one in (before, after)]
        expected = sum(draws_with_remainder(slot, 7) for slot in range(7) if tables[0][slot] != tables[1][slot])
        assert moved(before, after).total * ALL == expected

    @settings(max_examples=40)
    @given(divided, st.sampled_from((RingHash(5), Maglev(7))), st.sampled_from(("", "r/a/", "r/b/")), st.data())
    def test_priorities_localities_and_the_proxy_s_place_count(
        self, some: tuple[Endpoint, ...], policy: Policy, locality: str, data: st.DataObject
    ) -> None:
        """The margins are the shares of routers that stand there, before and after an endpoint is put aside."""
        places = data.draw(st.lists(st.sampled_from(("r/a/", "r/b/")), min_size=len(some), max_size=len(some)))
        pairs = zip(some, places, strict=True)
        some = tuple(replace(one, locality=place, weight=n + 1) for n, (one, place) in enumerate(pairs))
        weights = tuple(
            LocalityWeight(place, 2 if place == "r/a/" else 5, priority)
            for priority, place in sorted({(one.priority, one.locality) for one in some})
        )
        before = Cluster(ClusterName("c"), policy, some, locality_weights=weights)
        after = replace(before, endpoints=(replace(some[0], health=Health.UNHEALTHY), *some[1:]))
        answer = moved(before, after, locality=locality)
        for side, cluster in enumerate((before, after)):
            margin: dict[str | None, Fraction] = {}
            for flow, share in answer.flows.items():
                if share:
                    margin[flow[side]] = margin.get(flow[side], Fraction(0)) + share
            assert margin == dict(one_cluster(cluster, locality=locality).shares(REQUEST).by_endpoint)

    def test_the_proxy_s_place_decides_who_gets_the_odd_entry(self) -> None:
        """The first locality may get an entry more: seen from b another one is first, and other keys move."""
        some = tuple(Endpoint(f"10.8.0.{i}", 80, locality="r/a/" if i % 2 else "r/b/") for i in range(3))
        weights = (LocalityWeight("r/a/", 3), LocalityWeight("r/b/", 1))
        before = Cluster(ClusterName("c"), RingHash(3, 7), some, locality_weights=weights)
        after = replace(before, endpoints=some[1:])
        answers = [moved(before, after, locality=place) for place in ("", "r/b/")]
        assert answers[0].flows != answers[1].flows
        for answer, place in zip(answers, ("", "r/b/"), strict=True):
            shares = one_cluster(before, locality=place).shares(REQUEST).by_endpoint
            for endpoint, share in shares.items():
                assert sum(part for (was, _), part in answer.flows.items() if was == endpoint) == share

    def test_a_divided_cluster_has_several_rings(self) -> None:
        """It says so instead of taking it for one."""
        cluster = Cluster(ClusterName("c"), RingHash(4), subsets=Subsets((SubsetSelector(("v",)),)))
        with pytest.raises(MovedError, match="divided into subsets"):
            moved(cluster, cluster)

    @pytest.mark.parametrize("other", [RoundRobin(), Maglev(31), RingHash(8)])
    def test_keys_placed_by_different_means_cannot_be_compared(self, other: Policy) -> None:
        """It says so instead of guessing."""
        (one, _), (two, _) = self.clusters(Maglev(7), (1, 1)), self.clusters(other, (1, 1))
        with pytest.raises(MovedError, match="only two rings, or two Maglev tables of one size"):
            moved(one, two)


class TestShare9Portions:
    """SHARE-9: portions part the values of the draw that weights go by."""

    @given(
        st.lists(st.builds(Portion, st.integers(0, 101), st.just(100)), min_size=1, max_size=3),
        st.lists(st.integers(0, 7), min_size=2, max_size=3).filter(any),
    )
    def test_they_are_what_deciding_over_all_remainders_gives(
        self, portions: list[Portion], weights: list[int]
    ) -> None:
        """Each remainder modulo the least common multiple is decided, and weighed by how many draws leave it."""
        routes = [
            Route(
                RouteMatch(portion=portion),
                Forward(tuple(WeightedCluster(ClusterName(f"{n}.{m}"), weight) for m, weight in enumerate(weights))),
            )
            for n, portion in enumerate(portions)
        ]
        host = VirtualHost("all", ("*",), tuple(routes))
        asked = Router(RoutingTable((Listener(80, (host,)),), ()))
        size = lcm(100, sum(weights))
        counted: dict[str | None, Fraction] = {}
        for stream in range(size):
            decision = asked.decide(REQUEST, draws=Draws.of(given={"stream": stream}))
            chance = Fraction(draws_with_remainder(stream, size), ALL)
            counted[decision.cluster] = counted.get(decision.cluster, Fraction(0)) + chance
        assert dict(asked.shares(REQUEST).by_cluster) == counted

    @given(st.integers(0, 10**6), st.integers(1, 10**6))
    def test_a_portion_of_a_million(self, numerator: int, weight: int) -> None:
        """A lone cluster behind it has all of it."""
        forward = Forward((WeightedCluster(ClusterName("c"), weight),))
        host = VirtualHost("all", ("*",), (Route(RouteMatch(portion=Portion(numerator, 10**6)), forward),))
        got = Router(RoutingTable((Listener(80, (host,)),), ())).shares(REQUEST).by_cluster
        expected = Fraction((ALL // 10**6) * numerator + min(numerator, ALL % 10**6), ALL)
        assert got.get("c", Fraction(0)) == expected

    @settings(max_examples=50)
    @given(
        st.lists(st.none() | portions(), min_size=1, max_size=3),
        portions(),
        st.integers(1, 12_000),
        st.integers(1, 25_000),
        st.data(),
    )
    def test_of_few_draws_as_many_as_are_counted(
        self, asked: list[Portion | None], copied: Portion, total: int, below: int, data: st.DataObject
    ) -> None:
        """As if a draw had so few values that all can be tried: whoever takes it, what else does, where it falls."""
        low = data.draw(st.integers(0, total - 1))
        high = data.draw(st.integers(low, total))
        takers = [
            next((n for n, one in enumerate(asked) if one is None or one.takes(draw)), None) for draw in range(below)
        ]
        with patch.object(residues, "DRAWS", below):
            for number, part in enumerate(residues.parted(asked)):
                draws = [draw for draw, taker in enumerate(takers) if taker == number]
                inside = [draw for draw in draws if low <= draw % total < high]
                both = residues.also(part, copied)
                assert part.chance() == Fraction(len(draws), below)
                assert part.in_span(low, high, total) == Fraction(len(inside), below)
                assert both.in_span(low, high, total) == Fraction(sum(map(copied.takes, inside)), below)
