"""What a proxy refuses of a table, and what it serves: spec/table.md TABLE-2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Router, RoutingTable, TableError
from meshroute.conformance.strategies.clusters import CLUSTER, REQUEST, equal, levels, router_to
from meshroute.conformance.strategies.tables import U64
from meshroute.decision import NO_HEALTHY_HOST, Forwarded
from meshroute.table import (
    Cluster,
    Endpoint,
    Health,
    LeastRequest,
    LocalityWeight,
    Maglev,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    SlowStart,
    ZoneAware,
)

Json = dict[str, Any]
MOST: Final = 2**32 - 1
policies: st.SearchStrategy[Policy] = st.sampled_from(
    (RoundRobin(), LeastRequest(), LeastRequest(full_scan=True), RandomChoice(), RingHash(7), Maglev(7))
)


def good() -> Json:
    """A table that is served."""
    some = [{"address": f"10.8.0.{number}", "port": 80, "locality": "r/a"} for number in range(3)]
    peers = [{"address": "10.9.0.1", "port": 80}]
    route = {"match": {}, "action": {"type": "forward", "clusters": [{"cluster": "c", "weight": 3}]}}
    return {
        "listeners": [
            {"port": 80, "virtual_hosts": [{"name": "h", "domains": ["*"], "routes": [route]}]},
            {"port": 81, "virtual_hosts": []},
        ],
        "clusters": [
            {"name": "c", "policy": {"type": "ring-hash", "minimum": 8}, "endpoints": some},
            {"name": "turns", "policy": {"type": "round-robin"}, "endpoints": deepcopy(some)},
            {"name": "peers", "policy": {"type": "random"}, "endpoints": peers},
        ],
        "local_cluster": "peers",
    }


def endpoint(number: int, **fields: int) -> Callable[[Json], None]:
    """Changes fields of an endpoint of the cluster that takes turns."""
    return lambda table: table["clusters"][1]["endpoints"][number].update(fields)


def weighing(*weights: int, locality: str = "r/a") -> Callable[[Json], None]:
    """Gives the endpoints on the ring these weights, and the last of them this locality."""

    def change(table: Json) -> None:
        some = table["clusters"][0]["endpoints"]
        for one, weight in zip(some, weights, strict=False):
            one["weight"] = weight
        some[len(weights) - 1]["locality"] = locality

    return change


def one_more(where: str, what: Json) -> Callable[[Json], None]:
    return lambda table: table[where].append(what)


def same_weights(table: Json) -> None:
    table["clusters"][2]["locality_weights"] = [{"locality": "", "weight": 1}, {"locality": "", "weight": 2}]


def both_ways(table: Json) -> None:
    table["clusters"][1].update(locality_weights=[], zone_aware={"minimum_hosts": 1})


def no_route_weight(table: Json) -> None:
    table["listeners"][0]["virtual_hosts"][0]["routes"][0]["action"]["clusters"][0]["weight"] = 0


MISTAKES: Final[Mapping[str, Callable[[Json], None]]] = {
    "cluster `turns`: endpoint `10.8.0.0:80` has weight 0, which must be from 1 to 4294967295": endpoint(0, weight=0),
    "cluster `turns`: endpoint `10.8.0.1:80` has weight 4294967296, which must be from 1 to 4294967295": endpoint(
        1, weight=MOST + 1
    ),
    "cluster `turns`: endpoint `10.8.0.2:80` has priority 129, which must be from 0 to 128": endpoint(2, priority=129),
    "cluster `c`: the endpoints of priority 0 weigh 4294967297, above 4294967295": weighing(MOST, locality="r/b"),
    "two clusters have the same name": one_more("clusters", {"name": "peers", "policy": {"type": "random"}}),
    "two listeners have the same port 81": one_more("listeners", {"port": 81, "virtual_hosts": []}),
    "cluster `turns#1` is called like a part of another one: state could not tell their turns apart": one_more(
        "clusters", {"name": "turns#1", "policy": {"type": "random"}}
    ),
    "cluster `peers`: locality `` has two weights at priority 0": same_weights,
    "cluster `turns`: localities are balanced by weight or zone-aware, not both": both_ways,
    "the local cluster `gone` does not exist": lambda table: table.update(local_cluster="gone"),
    "route `` of `h`: the weights of its clusters sum to 0": no_route_weight,
}
"""What is said, and what makes it so."""

SINGLE: Final[Sequence[tuple[str, Json, str]]] = (
    ("$.clusters[1]", {"panic": 100.5}, "a panic threshold is between 0 and 100 percent, got 100.5"),
    ("$.clusters[1]", {"panic": -0.5}, "a panic threshold is between 0 and 100 percent, got -0.5"),
    ("$.clusters[1]", {"overprovisioning": 0}, "an overprovisioning factor is at least 1 percent, got 0"),
    ("$.clusters[1]", {"overprovisioning": MOST + 1}, "an overprovisioning factor is at least 1 percent"),
    (
        "$.clusters[1].zone_aware",
        {"zone_aware": {"enabled": 100.5}},
        "zone-aware routing is enabled for 0 to 100 percent, got 100.5",
    ),
    (
        "$.clusters[1].locality_weights[1]",
        {"locality_weights": [{"locality": "a", "weight": 1}, {"locality": "b", "weight": 0}]},
        "the weight of locality `b` must be from 1 to 4294967295",
    ),
    (
        "$.clusters[1].locality_weights[0]",
        {"locality_weights": [{"locality": "a", "weight": MOST + 1}]},
        "the weight of locality `a` must be from 1 to 4294967295",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "ring-hash", "maximum": 8_388_609}},
        "ring sizes must be between 0 and 8388608",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "ring-hash", "minimum": 8_388_609}},
        "ring sizes must be between 0 and 8388608",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "ring-hash", "maximum": 1023}},
        "minimum ring size 1024 exceeds maximum 1023",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "ring-hash", "balance_factor": 99}},
        "a balance factor is at least 100 percent, got 99",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "maglev", "balance_factor": 0}},
        "a balance factor is at least 100 percent, got 0",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "maglev", "size": 1}},
        "a Maglev table has a prime number of slots, at most 5000011; got 1",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "maglev", "size": 5_000_039}},
        "a Maglev table has a prime number of slots, at most 5000011; got 5000039",
    ),
    (
        "$.clusters[1].policy",
        {"policy": {"type": "least-request", "choices": 1}},
        "least request needs at least 2 choices, got 1",
    ),
    (
        "$.clusters[1].policy.slow_start",
        {"policy": {"type": "round-robin", "slow_start": {"window": 9, "minimum": 100.5}}},
        "the least weight of a slow start is between 0 and 100 percent, got 100.5",
    ),
)
"""Where in the table, what is put into the cluster that takes turns, and what is said."""


def read(table: Json) -> RoutingTable:
    return RoutingTable.from_json(json.dumps(table))


class TestTable2Refusals:
    """TABLE-2: a table that a proxy would not load is refused, with everything that is wrong."""

    @given(st.sets(st.sampled_from(sorted(MISTAKES))))
    def test_everything_that_is_wrong_is_said_at_once(self, wrong: set[str]) -> None:
        """These mistakes and no others; without any, the table is served."""
        table = good()
        for one in sorted(wrong):
            MISTAKES[one](table)
        if wrong:
            with pytest.raises(TableError) as refused:
                Router(read(table))
            assert set(str(refused.value).split("; ")) == wrong
        else:
            assert Router(read(table)).table == read(table)

    @pytest.mark.parametrize(("path", "fields", "reason"), SINGLE)
    def test_numbers_out_of_range_are_refused_where_they_are_read(self, path: str, fields: Json, reason: str) -> None:
        """By `from_json`, with the path of what is wrong; the same number in a value raises ValueError."""
        table = good()
        read(table)
        table["clusters"][1].update(fields)
        with pytest.raises(TableError, match=rf"{re.escape(reason)}.* - at `{re.escape(path)}`$"):
            read(table)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Cluster(CLUSTER, RoundRobin(), panic=float("nan")),
            lambda: Cluster(CLUSTER, RoundRobin(), overprovisioning=0),
            lambda: ZoneAware(enabled=-1.0),
            lambda: LocalityWeight("r/a", 0),
            lambda: RingHash(-1),
            lambda: RingHash(2, 1),
            lambda: RingHash(balance_factor=99),
            lambda: Maglev(65_536),
            lambda: Maglev(7, balance_factor=99),
            lambda: LeastRequest(1),
            lambda: SlowStart(9, minimum=-1.0),
        ],
    )
    def test_values_of_such_numbers_cannot_be_made(self, make: Callable[[], object]) -> None:
        """What is no number is out of every range."""
        with pytest.raises(ValueError, match=r"percent|weight|ring size|prime|choices"):
            make()

    @given(st.lists(st.integers(1, MOST), min_size=1, max_size=4), st.sampled_from((RingHash(7, 64), Maglev(7))))
    def test_what_weighs_too_much_is_counted_by_priority(self, weights: list[int], policy: Policy) -> None:
        """All localities of it together, on rings and in tables alone."""
        some = tuple(
            Endpoint(f"10.8.0.{at}", 80, weight=weight, locality=f"r/{at}", priority=at % 2)
            for at, weight in enumerate(weights)
        )
        router_to(Cluster(CLUSTER, RoundRobin(), some))
        heavy = [number for number in (0, 1) if sum(weights[number::2]) > MOST]
        if heavy:
            with pytest.raises(TableError) as refused:
                router_to(Cluster(CLUSTER, policy, some))
            said = [f"the endpoints of priority {number} weigh {sum(weights[number::2])}" for number in heavy]
            assert [one in str(refused.value) for one in said] == [True] * len(said)
            assert str(refused.value).count("weigh") == len(said)
        else:
            router_to(Cluster(CLUSTER, policy, some))

    @pytest.mark.parametrize("policy", [RoundRobin(), LeastRequest(), RandomChoice(), RingHash(7), Maglev(7)])
    def test_the_last_numbers_that_are_not_too_great_are_served(self, policy: Policy) -> None:
        """The greatest weight, the last priority, the ends of all ranges."""
        last = Endpoint("10.8.0.1", 80, weight=MOST, priority=128)
        assert router_to(Cluster(CLUSTER, policy, (last,))).decide(REQUEST).endpoint == last
        for factor, panic, part in ((1, 0.0, 0.0), (MOST, 100.0, 100.0)):
            weights = (LocalityWeight("", MOST),)
            cluster = Cluster(CLUSTER, policy, equal(1), panic=panic, overprovisioning=factor, locality_weights=weights)
            assert router_to(cluster).decide(REQUEST).endpoint == equal(1)[0]
            zoned = Cluster(CLUSTER, policy, equal(1), zone_aware=ZoneAware(enabled=part))
            assert router_to(zoned).decide(REQUEST).endpoint == equal(1)[0]

    def test_the_greatest_ring_and_table_are_taken(self) -> None:
        """As settings; nothing of that size is built for nobody."""
        for policy in (
            RingHash(8_388_608),
            RingHash(0, 0),
            Maglev(5_000_011),
            Maglev(2),
            RingHash(1, balance_factor=100),
        ):
            assert router_to(Cluster(CLUSTER, policy)).decide(REQUEST).outcome == NO_HEALTHY_HOST

    @given(policies, levels(priorities=2, size=3), st.integers(0, 100), U64)
    def test_clusters_that_can_serve_nobody_or_an_address_twice_are_served(
        self, policy: Policy, some: Sequence[Sequence[Endpoint]], panic: int, number: int
    ) -> None:
        """An empty one, one in which all are sick, and one with everybody twice: each answers any request."""
        listed = tuple(one for level in some for one in level)
        draws = Draws.of(given={"priority": number, "key": number})
        for endpoints in ((), tuple(_sick(one) for one in listed), (*listed, *listed)):
            decision = router_to(Cluster(CLUSTER, policy, endpoints, panic=panic)).decide(REQUEST, draws=draws)
            assert decision.outcome in (Forwarded(), NO_HEALTHY_HOST)
            assert (decision.endpoint is None) == (decision.outcome == NO_HEALTHY_HOST)
            assert decision.endpoint is None or decision.endpoint in endpoints
        assert router_to(Cluster(CLUSTER, policy)).decide(REQUEST).outcome == NO_HEALTHY_HOST


def _sick(one: Endpoint) -> Endpoint:
    return Endpoint(one.address, one.port, health=Health.UNHEALTHY, priority=one.priority)


class TestTable3Routes:
    """TABLE-3: what a proxy refuses of routes."""

    @given(st.lists(st.integers(0, 2**32), min_size=1, max_size=3))
    def test_weights_by_their_sum(self, weights: list[int]) -> None:
        """From 1 to 2^32 - 1."""
        table = good()
        clusters = [{"cluster": "c", "weight": weight} for weight in weights]
        table["listeners"][0]["virtual_hosts"][0]["routes"][0]["action"]["clusters"] = clusters
        read = RoutingTable.from_json(json.dumps(table))
        if 1 <= sum(weights) <= MOST:
            assert Router(read).table == read
        else:
            with pytest.raises(TableError, match="sum to"):
                Router(read)

    @given(
        st.sampled_from(("segments", "template")),
        st.sampled_from(("", "/", "/v/", "/v?", "a#b", "/{a}{b}", "/**/*", "/v", "/v/{a}")),
    )
    def test_paths_by_their_form(self, kind: str, value: str) -> None:
        """Segments and templates, each by its own rules."""
        table = good()
        table["listeners"][0]["virtual_hosts"][0]["routes"][0]["match"]["path"] = {"type": kind, "value": value}
        segments = len(value) > 1 and not value.endswith("/") and not set("?#") & set(value)
        template = value in ("/", "/v/", "/v", "/v/{a}")
        read = RoutingTable.from_json(json.dumps(table))
        if segments if kind == "segments" else template:
            assert Router(read).table == read
        else:
            with pytest.raises(TableError):
                Router(read)

    @given(st.sampled_from(("*", "a", "*.b")))
    def test_one_domain_and_one_way_to_routes(self, domain: str) -> None:
        """Two virtual hosts of one domain; routes and a matcher."""
        table = good()
        hosts = table["listeners"][0]["virtual_hosts"]
        hosts[0]["domains"] = [domain]
        twice, both = deepcopy(table), deepcopy(table)
        twice["listeners"][0]["virtual_hosts"].append({**hosts[0], "domains": [domain.upper()]})
        both["listeners"][0]["virtual_hosts"][0]["matcher"] = {"type": "routes", "routes": []}
        for wrong, what in ((twice, "claim the domain"), (both, "routes and a matcher")):
            with pytest.raises(TableError, match=what):
                Router(RoutingTable.from_json(json.dumps(wrong)))
        assert Router(RoutingTable.from_json(json.dumps(table)))
