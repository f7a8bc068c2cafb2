"""Many at once, with numpy: the same as one at a time. spec/balance.md, spec/priority.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from meshroute import Draws, Request, Router, State
from meshroute.balance import Around, maglev, ring_hash
from meshroute.balance.hosts import Hosts
from meshroute.batch import NOBODY, Entries, maglev_table, picks, ring
from meshroute.batch.maglev import filled
from meshroute.batch.ring import Asked
from meshroute.conformance.strategies.tables import U64
from meshroute.names import ClusterName
from meshroute.state import RequestStarted
from meshroute.table import (
    Cluster,
    Endpoint,
    HashFunction,
    Health,
    LocalityWeight,
    Maglev,
    Policy,
    RingHash,
    RoutingTable,
)

NAME = ClusterName("c")
PRIMES = (2, 3, 7, 31, 101, 211, 1009)
LAST = 2**64 - 1


def hosts_of(keys: Sequence[str], weights: Sequence[int]) -> Hosts:
    total = sum(weights)
    return Hosts(tuple(range(len(keys))), tuple(keys), tuple(float(weight) * 1.0 / total for weight in weights))


weights = st.integers(1, 9) | st.sampled_from((1, 1, 1, 1000, 2**31))
# Few letters, so that some hosts have equal keys; bytes above 127, which sort after all others.
some_hosts = st.lists(st.tuples(st.text("ab:\xff", max_size=3) | st.uuids().map(str), weights), min_size=1, max_size=40)
hosts = some_hosts.map(lambda drawn: hosts_of([key for key, _ in drawn], [weight for _, weight in drawn]))


def pods(count: int, weights: Sequence[int] = (1,)) -> Hosts:
    return hosts_of(
        [f"10.8.{i // 250}.{i % 250}:80" for i in range(count)], [weights[i % len(weights)] for i in range(count)]
    )


class TestMaglev1TurnByTurn:
    """MAGLEV-1: a table that is filled with whole turns at once is the one that is filled host by host."""

    @given(hosts, st.sampled_from(PRIMES), st.sampled_from((0, 1, 5, 64, 512)))
    @example(pods(1), 2, 0)
    @example(hosts_of(["a"] * 9, [1] * 9), 31, 0)
    def test_the_slots_are_the_same(self, some: Hosts, size: int, last: int) -> None:
        """With equal keys, with more hosts than slots, wherever giving them away singly begins."""
        assert filled(some, size, last).tolist() == list(maglev.build(some, size))
        assert maglev_table(some, size).tolist() == list(maglev.build(some, size))

    @pytest.mark.parametrize("weights", [(1,), (1, 2, 3, 4, 5, 6, 7), (1, 1, 1, 1000), (3, 3, 3, 7)])
    @pytest.mark.parametrize(("count", "size"), [(1000, 65537), (251, 5003), (3000, 1009)])
    def test_the_slots_are_the_same_where_it_pays(self, count: int, size: int, weights: tuple[int, ...]) -> None:
        """Hundreds of hosts, thousands of slots."""
        some = pods(count, weights)
        assert maglev_table(some, size).tolist() == list(maglev.build(some, size))


sizes = st.tuples(st.integers(0, 300), st.integers(0, 300), st.sampled_from(HashFunction)).map(
    lambda drawn: RingHash(min(drawn[:2]), max(drawn[:2]), drawn[2])
)


class TestRing1Columns:
    """RING-1: a ring made of columns has the entries of the one that is made entry by entry."""

    @given(hosts, sizes)
    @example(Hosts((), (), ()), RingHash())
    @example(pods(75), RingHash())
    @example(hosts_of(["a", "b", "a"], [1, 1, 1]), RingHash(9))
    def test_the_entries_are_the_same(self, some: Hosts, asked: RingHash) -> None:
        """With equal keys, whose entries keep the order of hosts; with the rounding that gives one of 75 one more."""
        plain, made = ring_hash.build(some, asked), ring(some, asked)
        assert made.points.tolist() == list(plain.points)
        assert made.owners.tolist() == list(plain.owners)

    def test_the_entries_are_the_same_where_it_pays(self) -> None:
        """Tens of thousands, of unequal hosts."""
        some = pods(1000, (1, 2, 3))
        plain, made = ring_hash.build(some, RingHash(20_000)), ring(some, RingHash(20_000))
        assert (made.points.tolist(), made.owners.tolist()) == (list(plain.points), list(plain.owners))


class TestRing2Columns:
    """RING-2: a column of keys meets the first entries at or after them; past the last entry, the first."""

    @given(st.lists(U64 | st.sampled_from((0, LAST)), min_size=1, max_size=40), st.lists(U64, max_size=20))
    def test_the_entries_are_those_that_each_key_meets(self, drawn: list[int], keys: list[int]) -> None:
        """Also in a crowd of points, at a point, just beside it, and at both ends."""
        points = sorted([*drawn, *(min(point + step, LAST) for point in drawn[:3] for step in range(9))])
        plain = ring_hash.Ring(tuple(points), tuple(range(len(points))))
        asked = [*keys, *points, *(max(one, 1) - 1 for one in points), *(min(one, LAST - 1) + 1 for one in points)]
        made = Asked(Entries(np.array(points, np.uint64), np.arange(len(points))))
        assert made.owners(np.array(asked, np.uint64)).tolist() == [plain.entry(key) for key in asked]


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Small ones: two priorities, two localities, all healths, addresses that come twice."""
    policies: tuple[Policy, ...] = (
        RingHash(8),
        RingHash(0),
        RingHash(200, balance_factor=120),
        Maglev(7),
        Maglev(101),
    )
    endpoint = st.builds(
        Endpoint,
        st.sampled_from(("10.8.0.1", "10.8.0.2", "10.8.0.3", "10.8.0.4")),
        st.just(80),
        health=st.sampled_from(Health),
        weight=st.integers(1, 3),
        priority=st.integers(0, 1),
        locality=st.sampled_from(("r/a/", "r/b/")),
        hostname=st.sampled_from(("one.test", "two.test")),
    )
    places = st.sampled_from([("r/a/", 0), ("r/b/", 0), ("r/a/", 1), ("r/b/", 1)])
    weighted = st.lists(places, unique=True).map(
        lambda drawn: tuple(LocalityWeight(where, 2, priority) for where, priority in drawn)
    )
    return Cluster(
        NAME,
        draw(st.sampled_from(policies)),
        tuple(draw(st.lists(endpoint, max_size=8))),
        panic=draw(st.sampled_from((0.0, 50.0, 100.0))),
        locality_weights=draw(st.none() | weighted),
        hash_hostnames=draw(st.booleans()),
    )


def decided(cluster: Cluster, keys: Sequence[int], locality: str) -> list[int]:
    """Request by request: the number of the endpoint that serves."""
    router = Router(RoutingTable((), (cluster,), otherwise=NAME, locality=locality))
    request, found = Request("GET", "h", "/"), []
    names: list[str] = []
    for one in cluster.endpoints:
        before = sum(other.key == one.key for other in cluster.endpoints[: len(names)])
        names.append(f"{one.key}#{before + 1}" if before else one.key)
    for key in keys:
        effects = router.decide(request, State(), Draws.of(given={"key": key})).effects
        started = [one.endpoint for one in effects if isinstance(one, RequestStarted)]
        found.append(names.index(started[0]) if started else NOBODY)
    return found


class TestPrio3Columns:
    """PRIO-3, PRIO-5, RING-2, MAGLEV-2: a column of keys goes where each of them would be sent."""

    @given(clusters(), st.lists(U64 | st.integers(0, 100), max_size=20), st.sampled_from(("", "r/a/", "r/b/")))
    def test_it_is_what_deciding_one_by_one_gives(self, cluster: Cluster, keys: list[int], locality: str) -> None:
        """Priorities, panic, localities, sick and degraded endpoints; NOBODY where deciding fails."""
        column: NDArray[np.uint64] = np.array(keys, np.uint64)
        assert picks(cluster, column, Around(locality)).tolist() == decided(cluster, keys, locality)
