"""Envoy's own route configuration: spec/front.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute.conformance.envoy import render
from meshroute.conformance.strategies import tables as small
from meshroute.names import ClusterName
from meshroute.table import (
    Arrival,
    Forward,
    HeaderChange,
    HeaderChanges,
    Listener,
    Portion,
    RequireTls,
    Respond,
    Route,
    RoutingTable,
    StripPort,
    VirtualHost,
    routes_of,
)
from tests.differential import worlds

Json = dict[str, Any]


def config(**of_the_route: Any) -> Json:
    """A configuration with one route."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": "a"}, **of_the_route}
    return {"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]}


def listener(given_config: Json, **options: Any) -> Listener:
    return mr.from_envoy(given_config, **options).listeners[0]


def camel(value: Any) -> Any:
    """The same with its fields in camelCase; keys of maps stay."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), key): (
            {name: camel(one) for name, one in inner.items()} if key == "map" else camel(inner)
        )
        for key, inner in value.items()
    }


def plain(one: Listener) -> Listener:
    """The listener with one action for all routes, and without their names: what is compared here is how they match."""
    table = worlds.with_routes(RoutingTable((one,), ()), lambda route: Route(route.match, Respond(200)))
    return table.listeners[0]


asking = st.builds(Route, worlds.route_matches, st.just(Respond(200)))
hosts = st.one_of(
    st.builds(VirtualHost, st.just("v"), st.just(("*",)), st.lists(asking, max_size=3).map(tuple)),
    st.builds(
        VirtualHost,
        st.just("v"),
        st.just(("a.test", "*.b")),
        st.just(()),
        st.sampled_from(RequireTls),
        small.matchers(asking),
    ),
)
plain_arrivals = small.arrivals.filter(
    lambda one: not one.reject_fragments and one.strip_port is not StripPort.MATCHING
)
listeners = st.builds(
    Listener,
    st.just(80),
    hosts.map(lambda one: (one,)),
    st.booleans(),
    st.sampled_from(("", "x-user")),
    st.booleans(),
    small.arrivals,
)


class TestFront1Names:
    """FRONT-1: names in either spelling; what is not modelled is named with its path."""

    @settings(max_examples=40)  # each is written out and read twice
    @given(listeners)
    def test_what_is_rendered_is_read_again(self, expected: Listener) -> None:
        """Conditions, hosts, matchers and arrival survive the way through Envoy's configuration, in both spellings."""
        (expected,) = worlds.tellable(RoutingTable((expected,), ())).listeners
        (rendered,) = render([RoutingTable((expected,), ())])["static_resources"]["listeners"]
        manager = rendered["filter_chains"][0]["filters"][0]["typed_config"]
        runtime = {
            "envoy.reloadable_features.http_reject_path_with_fragment": False,
            "re2.max_program_size.error_level": 32768,
        }
        options = {key: value for key, value in manager.items() if key != "route_config"}
        for config_, hcm in ((manager["route_config"], options), (camel(manager["route_config"]), camel(options))):
            assert plain(listener(config_, hcm=hcm, runtime=runtime)) == plain(expected)

    @given(st.sampled_from(("tls_context", "filter_state")))
    def test_what_is_not_modelled_is_named(self, field: str) -> None:
        """With the whole path."""
        with pytest.raises(mr.TableError, match=rf"virtual_hosts\[0\]\.routes\[0\]\.match\.{field}: not modelled"):
            mr.from_envoy(config(match={"prefix": "/", field: {}}))


def said(change: Callable[[Json], None]) -> str:
    """What is said of a configuration with a change."""
    some = config()
    change(some)
    with pytest.raises(mr.TableError) as caught:
        mr.from_envoy(some)
    return str(caught.value)


class TestFront2Refusals:
    """FRONT-2: what Envoy refuses to load is refused."""

    @given(st.sampled_from(("name", "domains", "match")))
    def test_what_must_be_there(self, field: str) -> None:
        """Each by the rule that asks for it."""

        def take(some: Json) -> None:
            host = some["virtual_hosts"][0]
            (host["routes"][0] if field == "match" else host).pop(field)

        assert "failed validation" in said(take)

    @given(st.lists(st.sampled_from(("route", "redirect", "direct_response")), unique=True))
    def test_exactly_one_action(self, kinds: list[str]) -> None:
        """None and two are as bad."""
        some = config()
        route = some["virtual_hosts"][0]["routes"][0]
        del route["route"]
        bodies: Json = {"route": {"cluster": "a"}, "redirect": {}, "direct_response": {"status": 200}}
        route.update({kind: bodies[kind] for kind in kinds})
        if len(kinds) == 1:
            assert len(listener(some).virtual_hosts[0].routes) == 1
        else:
            with pytest.raises(mr.TableError, match="an action: exactly one is required"):
                mr.from_envoy(some)

    @given(st.lists(st.integers(0, 2**32), min_size=1, max_size=3))
    def test_weights_by_their_sum(self, weights: list[int]) -> None:
        """From 1 to 2^32 - 1."""
        clusters = [{"name": "a", "weight": weight} for weight in weights]
        some = config(route={"weighted_clusters": {"clusters": clusters}})
        if 1 <= sum(weights) <= 2**32 - 1:
            assert isinstance(listener(some).virtual_hosts[0].routes[0].action, Forward)
        else:
            with pytest.raises(mr.TableError, match=r"exceeds 4294967295|greater than 0"):
                mr.from_envoy(some)

    @given(st.integers(1, 60))
    def test_patterns_by_the_size_of_their_programs(self, times: int) -> None:
        """A hundred instructions unless the runtime says otherwise."""
        some = config(match={"safe_regex": {"regex": f"(?:/a|bc){{{times}}}"}})
        assert listener(some, runtime={"re2.max_program_size.error_level": 32768})
        with pytest.raises(mr.TableError, match=r"match\.safe_regex\.regex: .*program size"):
            mr.from_envoy(some, runtime={"re2.max_program_size.error_level": 3})


LEVELS = ("route", "host", "config")


class TestFront3Inheritance:
    """FRONT-3: what is inherited is written out, in the order in which it is done."""

    @given(st.sets(st.sampled_from(LEVELS)), st.booleans())
    def test_header_changes_level_by_level(self, levels: set[str], least_specific_first: bool) -> None:
        """Those that say something, from the route outwards or inwards."""
        some = config()
        host = some["virtual_hosts"][0]
        where = {"route": host["routes"][0], "host": host, "config": some}
        for level in levels:
            where[level]["request_headers_to_add"] = [{"header": {"key": "X", "value": level}}]
            where[level]["response_headers_to_remove"] = [f"x-{level}"]
        some["most_specific_header_mutations_wins"] = least_specific_first
        route = listener(some).virtual_hosts[0].routes[0]
        order = [level for level in LEVELS if level in levels][:: -1 if least_specific_first else 1]
        assert route.request_headers == tuple(HeaderChanges((), (HeaderChange("x", level),)) for level in order)
        assert route.response_headers == tuple(HeaderChanges((f"x-{level}",)) for level in order)

    @given(st.sets(st.sampled_from(LEVELS)))
    def test_mirrors_of_the_most_specific_level(self, levels: set[str]) -> None:
        """They replace each other."""
        some = config()
        host = some["virtual_hosts"][0]
        where = {"route": host["routes"][0]["route"], "host": host, "config": some}
        for level in levels:
            where[level]["request_mirror_policies"] = [{"cluster": level}]
        action = listener(some).virtual_hosts[0].routes[0].action
        assert isinstance(action, Forward)
        assert [one.cluster for one in action.mirrors] == [level for level in LEVELS if level in levels][:1]

    @given(st.booleans(), st.booleans())
    def test_retries_of_the_route_or_else_of_the_host(self, of_route: bool, of_host: bool) -> None:
        """Replaced, not merged."""
        some = config()
        host = some["virtual_hosts"][0]
        if of_route:
            host["routes"][0]["route"]["retry_policy"] = {"retry_on": "connect-failure"}
        if of_host:
            host["retry_policy"] = {"retry_on": "5xx, reset", "num_retries": 3}
        action = listener(some).virtual_hosts[0].routes[0].action
        assert isinstance(action, Forward)
        expected = ("connect-failure",) if of_route else ("5xx", "reset") if of_host else None
        assert (action.retries.on if action.retries is not None else None) == expected


class TestFront4Runtime:
    """FRONT-4: runtime keys count."""

    @given(st.integers(0, 200), st.sampled_from(("HUNDRED", "MILLION")))
    def test_a_fraction_is_of_a_hundred(self, value: int, denominator: str) -> None:
        """Whatever its default is of."""
        fraction = {"default_value": {"numerator": 1, "denominator": denominator}, "runtime_key": "f"}
        some = config(match={"prefix": "/", "runtime_fraction": fraction})
        (route,) = routes_of(listener(some, runtime={"f": value}).virtual_hosts[0])
        assert route.match.portion is not None
        assert route.match.portion.takes(99) == (value > 99)
        (plain,) = routes_of(listener(some).virtual_hosts[0])
        assert plain.match.portion == Portion(1, 100 if denominator == "HUNDRED" else 1_000_000)

    @given(st.sampled_from((None, 0, 5, 7.5, "9", "many", True)))
    def test_a_weight_is_the_whole_number_of_its_key(self, value: object) -> None:
        """What is no number is passed over."""
        clusters = [{"name": "a", "weight": 2}, {"name": "b", "weight": 1}]
        some = config(route={"weighted_clusters": {"runtime_key_prefix": "w", "clusters": clusters}})
        action = listener(some, runtime={} if value is None else {"w.a": value}).virtual_hosts[0].routes[0].action
        assert isinstance(action, Forward)
        expected = {0: 0, 5: 5, 7.5: 7, "9": 9}
        is_number = isinstance(value, (int, float, str)) and not isinstance(value, bool) and value != "many"
        assert action.clusters[0].weight == (expected[value] if is_number else 2)

    @given(st.booleans(), st.booleans())
    def test_guards(self, rejects: bool, individually: bool) -> None:
        """On unless they are off."""
        runtime = {
            "envoy.reloadable_features.http_reject_path_with_fragment": rejects,
            "envoy.reloadable_features.match_headers_individually": individually,
        }
        found = listener(config(match={"prefix": "/", "headers": [{"name": "k"}]}), runtime=runtime)
        assert found.arrival.reject_fragments == rejects
        assert found.virtual_hosts[0].routes[0].match.headers[0].joined == (not individually)


class TestFront5Defaults:
    """FRONT-5: what is not said is Envoy's own default."""

    @given(st.sampled_from((None, "0s", "3s", "0.25s")))
    def test_timeouts(self, timeout: str | None) -> None:
        """Fifteen seconds where nothing is said."""
        said_so = {} if timeout is None else {"timeout": timeout}
        found = listener(config(route={"cluster": "a", **said_so}))
        action = found.virtual_hosts[0].routes[0].action
        assert isinstance(action, Forward)
        assert action.timeout == {None: 15_000, "0s": 0, "3s": 3_000, "0.25s": 250}[timeout]
        assert found.arrival == Arrival(reject_fragments=True, request_ids=True)
        assert not found.ignore_port
        assert action.clusters[0].cluster == ClusterName("a")
        assert isinstance(found.virtual_hosts[0], VirtualHost)
