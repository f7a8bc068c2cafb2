"""Laws of connections that carry requests: spec/reuse.md, and the workers of STATE-10."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.conformance.reuse import connections_used, requests_over_connections
from meshroute.names import ClusterName
from meshroute.record import HostRecord
from meshroute.simulate.follow import followed
from meshroute.state import (
    CursorMoved,
    Effect,
    Ejected,
    Joined,
    Recorded,
    Refreshed,
    RequestStarted,
    Ticked,
    TimePassed,
    TurnTaken,
)
from meshroute.table import Cluster, Endpoint, RoundRobin

ROOT = Path(__file__).parents[2]
WEB = ClusterName("web")
KEYS = tuple(f"10.8.0.{number}:80" for number in range(1, 5))


def cluster_of(weights: tuple[int, ...], policy: str = "round-robin") -> dict[str, Any]:
    endpoints = [{"address": f"10.8.0.{number}", "port": 80, "weight": one} for number, one in enumerate(weights, 1)]
    return {"name": "web", "policy": {"type": policy}, "endpoints": endpoints}


weights = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)
names = st.sampled_from(["a", "b", "c"])
steps = st.lists(st.fixed_dictionaries({"over": names}), min_size=1, max_size=30)


class TestReuse1ClientsConnections:
    """REUSE-1: which of a client's connections brings a request."""

    @given(weights, st.sampled_from(["round-robin", "random", "least-request"]), steps, st.integers(0, 50))
    def test_which_of_them_brings_a_request_changes_nothing(
        self, given_weights: tuple[int, ...], policy: str, some: list[dict[str, str]], start: int
    ) -> None:
        """The same answers as if all had come over one."""
        cluster = cluster_of(given_weights, policy)
        one = requests_over_connections(cluster, [{"over": "a"}] * len(some), starts=[start])
        assert requests_over_connections(cluster, some, starts=[start]) == one
        assert None not in one

    @given(st.integers(1, 4), st.integers(0, 50), steps)
    def test_turns_are_in_the_order_of_requests(self, count: int, start: int, some: list[dict[str, str]]) -> None:
        """Streams that stay open included."""
        got = requests_over_connections(
            cluster_of((1,) * count), [{"hold": one["over"]} for one in some], starts=[start]
        )
        assert got == [KEYS[(start + turn) % count] for turn in range(len(some))]


POOLS = st.fixed_dictionaries(
    {},
    optional={
        "tcp": st.fixed_dictionaries(
            {}, optional={"maxConnections": st.integers(1, 9), "connectTimeout": st.just("1s")}
        ),
        "http": st.fixed_dictionaries(
            {},
            optional={
                "maxRequestsPerConnection": st.integers(0, 9),
                "http1MaxPendingRequests": st.integers(1, 9),
                "http2MaxRequests": st.integers(1, 9),
                "idleTimeout": st.just("9s"),
                "h2UpgradePolicy": st.sampled_from(["DEFAULT", "UPGRADE", "DO_NOT_UPGRADE"]),
                "maxConcurrentStreams": st.integers(1, 9),
            },
        ),
    },
).filter(bool)  # a pool that says nothing is refused, which is another law


class TestReuse2ProxysConnections:
    """REUSE-2: what connections a proxy may open."""

    @given(POOLS)
    def test_what_a_pool_allows_is_no_part_of_what_decides(self, pool: dict[str, Any]) -> None:
        """A DestinationRule with settings of connections makes the table of one without."""

        def table(policy: dict[str, Any]) -> str:
            rule = {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"name": "web"},
                "spec": {"host": "nginx-service", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}, **policy}},
            }
            pods = (ROOT / "docs/examples/canary/pods.yaml").read_text("utf-8")
            return mr.loads(f"{pods}\n---\n{msgspec.json.encode(rule).decode()}").table().to_json()

        assert table({"connectionPool": pool}) == table({})
        assert table({}) != table({"loadBalancer": {"simple": "LEAST_REQUEST"}})


class TestReuse3EndpointsChange:
    """REUSE-3: endpoints that change."""

    @given(
        st.integers(0, 50),
        st.lists(
            st.tuples(st.lists(st.sampled_from(range(4)), min_size=1, unique=True), st.integers(0, 6)), min_size=1
        ),
    )
    def test_turns_go_on_over_the_new_list(self, start: int, changes: list[tuple[list[int], int]]) -> None:
        """The n-th request in all goes to number start + n of whatever list there is by then."""
        everybody = cluster_of((1,) * 4)["endpoints"]
        cluster = {**cluster_of((1,)), "endpoints": [everybody[number] for number in changes[0][0]]}
        some: list[dict[str, Any]] = []
        expected, turn = [], start
        for numbers, requests in changes:
            some.append({"endpoints": [everybody[number] for number in numbers]})
            for _ in range(requests):
                some.append({"over": "a"})
                expected.append(KEYS[numbers[turn % len(numbers)]])
                turn += 1
        assert requests_over_connections(cluster, some, starts=[start]) == expected


class TestReuse4Workers:
    """REUSE-4: connections that belong to workers."""

    @given(weights, st.integers(1, 3), steps, st.tuples(*[st.integers(0, 20)] * 3))
    def test_each_worker_is_a_proxy_of_its_own_where_only_turns_count(
        self, given_weights: tuple[int, ...], workers: int, some: list[dict[str, str]], starts: tuple[int, ...]
    ) -> None:
        """Its requests go where they would if nobody else were there."""
        cluster = cluster_of(given_weights)
        places = {name: number % workers for number, name in enumerate("abc")}
        got = requests_over_connections(cluster, some, places, workers, starts)
        for worker in range(workers):
            mine = [number for number, one in enumerate(some) if places[one["over"]] == worker]
            alone = requests_over_connections(cluster, [some[number] for number in mine], starts=[starts[worker]])
            assert [got[number] for number in mine] == alone

    @given(st.integers(1, 4), st.integers(1, 3), steps)
    def test_turns_are_even_within_one_for_each_worker(
        self, count: int, workers: int, some: list[dict[str, str]]
    ) -> None:
        """Of equal endpoints none gets more than another, but for one request of each worker that was asked."""
        places = {name: number % workers for number, name in enumerate("abc")}
        got = requests_over_connections(cluster_of((1,) * count), some, places, workers)
        counts = Counter(dict.fromkeys(KEYS[:count], 0))
        counts.update(one for one in got if one is not None)
        asked = {places[one["over"]] for one in some}
        assert max(counts.values()) - min(counts.values()) <= len(asked)


class TestReuse5Pools:
    """REUSE-5: which open connection is used."""

    @given(st.lists(st.integers(0, 9), max_size=40), st.booleans(), st.integers(1, 3))
    def test_none_is_opened_while_one_has_room_and_the_last_is_used(
        self, moves: list[int], http2: bool, most: int
    ) -> None:
        """A move is a request that begins (0 to 5), or the end of one of those that are there."""
        room = most if http2 else 1
        some: list[dict[str, int]] = []
        there: list[int] = []  # the numbers of requests
        begun = 0
        for move in moves:
            if move <= 5 or not there:
                some.append({"begin": begun})
                there.append(begun)
                begun += 1
            else:
                some.append({"end": there.pop(move % len(there))})
        used = iter(connections_used(some, http2=http2, most=most))
        by_request: list[int] = []
        carried: Counter[int] = Counter()
        touched: list[int] = []  # the last first: freed last, or used last
        for step in some:
            if "end" in step:
                number = by_request[step["end"]]
                carried[number] -= 1
                if not http2:
                    touched = [number, *(one for one in touched if one != number)]
                continue
            number = next(used)
            by_request.append(number)
            free = [one for one in touched if carried[one] < room]
            assert number == (free[0] if free else len(carried))
            carried[number] += 1
            if http2 or number not in touched:
                touched = [number, *(one for one in touched if one != number)]


OF_ALL: tuple[Effect, ...] = (
    RequestStarted(WEB, mr.names.EndpointKey(KEYS[0])),
    Ejected(WEB, mr.names.EndpointKey(KEYS[1])),
    Joined(WEB, mr.names.EndpointKey(KEYS[2])),
    Recorded(WEB, mr.names.EndpointKey(KEYS[0]), HostRecord(errors=1)),
    Ticked(WEB, 3),
    TimePassed(5),
)
OF_ONE: tuple[Effect, ...] = (CursorMoved(WEB), TurnTaken(WEB))


class TestState10Workers:
    """STATE-10: what workers share."""

    @given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from((*OF_ALL, *OF_ONE, Refreshed(WEB)))), max_size=30))
    def test_turns_are_a_worker_s_and_all_else_is_the_proxy_s(self, happened: list[tuple[int, Effect]]) -> None:
        """Each worker's state is that of a proxy to which everything happened but the turns of the others."""
        router = mr.Router(
            mr.RoutingTable((), (Cluster(WEB, RoundRobin(), (Endpoint("10.8.0.1", 80),)),), otherwise=WEB)
        )
        workers = mr.Session.workers(router, [(number, None, 0) for number in range(3)])
        for number, effect in happened:
            workers[number].apply([effect])
        for place, worker in enumerate(workers):
            mine = [effect for number, effect in happened if number == place or effect not in OF_ONE]
            assert worker.state == mr.State().after(mine)

    @given(st.lists(st.integers(0, 2), max_size=20))
    def test_a_worker_put_aside_and_taken_up_goes_on(self, order: list[int]) -> None:
        """Their states, seeds and ordinals are all there is to them."""
        router = mr.Router(
            mr.RoutingTable((), (Cluster(WEB, RoundRobin(), (Endpoint("10.8.0.1", 80),)),), otherwise=WEB)
        )
        workers = mr.Session.workers(router, [(number, None, 0) for number in range(3)])
        request = mr.Request.of("GET", "http://web/")
        for number in order:
            workers[number].decide(request)
        again = mr.Session.workers(router, [(one.seed, one.state, one.ordinal) for one in workers])
        for number in order:
            assert again[number].decide(request) == workers[number].decide(request)
        assert [one.state for one in again] == [one.state for one in workers]
        assert sum(again[0].state.active_on(WEB).values()) == 2 * len(order)

    def test_a_single_worker_is_a_session(self) -> None:
        """With its state, as it was given."""
        router = mr.Router(
            mr.RoutingTable((), (Cluster(WEB, RoundRobin(), (Endpoint("10.8.0.1", 80),)),), otherwise=WEB)
        )
        (worker,) = mr.Session.workers(router, [(7, mr.State(cursors={"web": 4}), 9)])
        assert (worker.seed, worker.ordinal, worker.state) == (7, 9, mr.State(cursors={"web": 4}))
        assert followed(worker, router, 7).state == worker.state
        with pytest.raises(mr.StateError):
            worker.finish(mr.Session(router).decide(mr.Request.of("GET", "http://web/")))
