"""Lint, held to the engine: spec/lint.md."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute.analysis.lint.reachable import Key, Rules
from meshroute.analysis.reach import Hidden, Reach, Reached, Undecided
from meshroute.compile.actions import fault_of
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies.tables import requests, route_matches
from meshroute.manifest import VirtualService
from meshroute.manifest.istio import HTTPFaultInjection
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.kubernetes import Service
from meshroute.match.index import RouteIndex
from meshroute.match.scan import first_match
from meshroute.table import Exact, Forward, HeaderMatch, Pattern, Prefix, Present, QueryMatch, Route, RouteMatch, Suffix

FORWARD = Forward(())
PATHS = ("/", "/a", "/a/", "/a/b", "/ab", "/b")
VALUES = ("", "a", "ab", "b")
METHODS = ("GET", "POST", "PUT")


def routes_of(matches: list[RouteMatch]) -> tuple[Route, ...]:
    return tuple(Route(one, FORWARD) for one in matches)


small_texts = st.one_of(
    st.builds(Exact, st.sampled_from(VALUES)),
    st.builds(Prefix, st.sampled_from(VALUES)),
    st.builds(Suffix, st.sampled_from(VALUES)),
    st.just(Present()),
    st.builds(Pattern, st.sampled_from(("a.*", "[^a].*", ".*|b", "a?b?", "b+"))),
)
small_headers = st.one_of(
    st.builds(HeaderMatch, st.just("x"), small_texts, st.booleans(), st.booleans()),
    st.builds(HeaderMatch, st.just(":method"), st.sampled_from(METHODS[:2]).map(Exact), st.booleans()),
)
small_matches = st.builds(
    RouteMatch,
    st.one_of(
        st.builds(Exact, st.sampled_from(PATHS)),
        st.builds(Prefix, st.sampled_from(PATHS)),
        st.builds(Pattern, st.sampled_from(("/a.*", "/[ab]/?.*", "/.*", ".*b"))),
    ),
    st.lists(small_headers, max_size=2).map(tuple),
    st.lists(st.builds(QueryMatch, st.just("k"), small_texts), max_size=1).map(tuple),
)
"""A world so small that all of it can be tried."""


def everything() -> list[mr.Request]:
    """Requests of every kind that the small world tells apart by one line, and some with two."""
    texts = (*VALUES, "c", "aa", "bb", "cb", "abc")
    lines = [(), *((one,) for one in texts), ("a", "b"), ("ab", "c"), ("", "a"), ("b", "bb"), ("", "c")]
    return [
        mr.Request(method, "h", path + query, tuple(("x", one) for one in values))
        for method in METHODS
        for path in (*PATHS, "/c", "/cb", "/a/c", "/ac", "/a/cb", "/bc", "/b/cb", "/acb")
        for values in lines
        for query in ("", *(f"?k={one}" for one in texts))
    ]


EVERYTHING = everything()


class TestLint1Unreachable:
    """LINT-1: a match, or a rule without matches, is unreachable where no request to any proxy has it as its rule;
    without it, every decision and every share stays what it is."""

    @given(st.lists(route_matches(), min_size=1, max_size=7), st.lists(requests(), min_size=8, max_size=20))
    def test_no_request_comes_to_what_is_hidden(self, matches: list[RouteMatch], asked: list[mr.Request]) -> None:
        """Of requests aimed at every condition, with draws at the edges of portions."""
        routes = routes_of(matches)
        reach = Reach(routes, ("*",), 80)
        hidden = {number for number in range(len(routes)) if isinstance(reach.verdict(number), Hidden)}
        rest = [route for number, route in enumerate(routes) if number not in hidden]
        before, after = RouteIndex(routes), RouteIndex(rest)
        for request in asked:
            for stream in (0, 1, 49, 50, 99, 9_999, 999_999):
                draws = mr.Draws.of(given={"stream": stream})
                taken, without = before.first(request, draws), after.first(request, draws)
                assert taken not in hidden
                assert (None if taken is None else routes[taken]) is (None if without is None else rest[without])

    @settings(max_examples=25)
    @given(st.lists(small_matches, min_size=1, max_size=6))
    def test_in_a_small_world_exactly_what_nothing_reaches(self, matches: list[RouteMatch]) -> None:
        """All requests there are, one by one: nothing hidden is missed either."""
        routes = routes_of(matches)
        reach = Reach(routes, ("h",), 80)
        index = RouteIndex(routes)
        reached = set(map(index.first, EVERYTHING))
        for number in range(len(routes)):
            verdict = reach.verdict(number)
            assert not isinstance(verdict, Undecided)
            if number in reached:
                assert isinstance(verdict, Reached)
            if isinstance(verdict, Reached):
                assert first_match(routes, verdict.request) == number  # by the plain definition

    @settings(max_examples=40)
    @given(st.data())
    def test_over_all_proxies_of_a_mesh(self, data: st.DataObject) -> None:
        """No request to any sidecar or gateway has an unreachable match as its rule, and without these everything is as
        it was."""
        drawn = data.draw(meshes())
        mesh = Admitted(drawn)
        rules = Rules(mesh)
        dead = rules.unreached()
        spare = dead - {key for one in VIEWPOINTS for key in kept_alone(mesh.table(one), dead)}
        lighter = Admitted([without(one, spare) if isinstance(one, VirtualService) else one for one in drawn])
        for viewpoint in VIEWPOINTS:
            before, after = mesh.router(viewpoint), lighter.router(viewpoint)
            for request in data.draw(st.lists(mesh_requests, min_size=4, max_size=8)):
                decision = before.decide(request)
                assert decision.rule is None or key_of(decision.rule) not in dead
                assert dict(before.shares(request).by_cluster) == dict(after.shares(request).by_cluster)
                assert decision.outcome == after.decide(request).outcome


class TestLint2Hiders:
    """LINT-2: with an unreachable match stand those that together take everything that it asks for, none of which can
    be left out."""

    @given(st.lists(route_matches(), min_size=2, max_size=7))
    def test_they_hide_it_alone_and_none_is_too_many(self, matches: list[RouteMatch]) -> None:
        """Asked again of the routes that are named, and of these without one."""
        routes = routes_of(matches)
        reach = Reach(routes, ("*",), 80)
        for number, route in enumerate(routes):
            verdict = reach.verdict(number)
            if not isinstance(verdict, Hidden):
                continue
            assert all(one < number for one in verdict.by)
            some = [routes[one] for one in verdict.by]
            assert isinstance(Reach((*some, route), ("*",), 80).verdict(len(some)), Hidden)
            for left_out in range(len(some)):
                fewer = (*some[:left_out], *some[left_out + 1 :], route)
                assert not isinstance(Reach(fewer, ("*",), 80).verdict(len(some) - 1), Hidden)

    def test_what_took_a_request_on_the_way_is_not_named_if_it_is_not_needed(self) -> None:
        """The first three each take some of it, and the third all of it."""
        get = HeaderMatch(":method", Exact("GET"))
        before = [RouteMatch(Exact("/a")), RouteMatch(Prefix("/"), (get,)), RouteMatch(Prefix("/"))]
        assert Reach(routes_of([*before, RouteMatch(Prefix("/a"))]), ("h",), 80).verdict(3) == Hidden((2,))


class TestLint3Sets:
    """LINT-3: a header can have several lines, of a query parameter the first counts, patterns are sets of texts; where
    these grow past a bound, the match is told as not decided."""

    def test_two_lines_can_satisfy_two_conditions(self) -> None:
        """Where the header is one of those that have one value only, they cannot."""
        both = [HeaderMatch("x", Exact("a")), HeaderMatch("x", Exact("b"))]
        assert isinstance(Reach(routes_of([RouteMatch(headers=tuple(both))]), ("h",), 80).verdict(0), Reached)
        one = [HeaderMatch("user-agent", Exact("a")), HeaderMatch("user-agent", Exact("b"))]
        assert Reach(routes_of([RouteMatch(headers=tuple(one))]), ("h",), 80).verdict(0) == Hidden(())

    def test_each_of_several_lines_has_to_be_possible(self) -> None:
        """One that may not be there hides the match, whatever others there may be."""
        asked = [HeaderMatch("x", Exact("a")), HeaderMatch("x", Exact("b")), HeaderMatch("x", Exact("b"), True)]
        assert Reach(routes_of([RouteMatch(headers=tuple(asked))]), ("h",), 80).verdict(0) == Hidden(())

    @given(st.integers(13, 40), st.integers(0, 12))
    def test_too_large_is_not_decided(self, size: int, other: int) -> None:
        """Neither is told to be hidden: the pattern alone has more states than there may be."""
        wide = RouteMatch(Pattern(f"/(a|b)*a(a|b){{{size}}}"))
        narrow = RouteMatch(Pattern(f"/(a|b)*b(a|b){{{size + other}}}b"))
        verdict = Reach(routes_of([wide, narrow]), ("h",), 80).verdict(1)
        assert isinstance(verdict, Undecided | Reached)


RULES = ("http[0]", "http[1]", "http[2]", "http[3]")
NOT_REACHED = (mr.Code.RULE_UNREACHABLE, mr.LintCode.RULE_NEVER_APPLIES)
VIEWPOINTS = (
    mr.Sidecar("shop"),
    mr.Sidecar("shop", {"v": "1"}),
    mr.Sidecar("bank", {"v": "1"}),
    mr.Sidecar("bank", {"v": "2", "w": "1"}),
    mr.Sidecar("other"),
    mr.Gateway("shop/edge"),
)

_strings = st.one_of(
    st.sampled_from(("a", "ab")).map(lambda one: {"exact": one}),
    st.sampled_from(("a", "ab")).map(lambda one: {"prefix": one}),
    st.sampled_from(("a.*", ".*", "[ab]+", "b.*")).map(lambda one: {"regex": one}),
)
_uris = st.one_of(
    st.sampled_from(("/", "/a", "/a/b")).map(lambda one: {"exact": one}),
    st.sampled_from(("/", "/a", "/a/", "/ab")).map(lambda one: {"prefix": one}),
    st.sampled_from(("/a.*", ".*", "/[ab]")).map(lambda one: {"regex": one}),
)
_blocks = st.fixed_dictionaries(
    {},
    optional={
        "uri": _uris,
        "headers": st.dictionaries(st.sampled_from(("x", "y")), _strings, max_size=1),
        "withoutHeaders": st.dictionaries(st.just("x"), _strings | st.just({}), max_size=1),
        "method": st.sampled_from(("GET", "POST")).map(lambda one: {"exact": one}),
        "authority": st.sampled_from(
            ("web", "WEB", "web.shop", "api:80", "web.shop.svc.cluster.local", "none")
        ).flatmap(lambda one: st.sampled_from(({"exact": one}, {"prefix": one}))),
        "port": st.sampled_from((80, 8080, 9090)),
        "sourceLabels": st.sampled_from(({"v": "1"}, {"w": "1"}, {"v": "2", "w": "1"})),
        "sourceNamespace": st.sampled_from(("shop", "bank")),
        "gateways": st.sampled_from((["mesh"], ["edge"], ["mesh", "edge"])),
    },
)
_one_or_two = st.lists(_blocks, max_size=2)


@st.composite
def meshes(draw: st.DrawFn) -> list[Any]:
    """Two services, a gateway, up to three VirtualServices over them, one of them a delegate perhaps."""
    resources: list[Any] = [
        Service.model_validate(
            {
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"ports": [{"name": "http", "port": 80}, {"name": "http-b", "port": 8080}]},
            }
        )
        for name in ("web", "api")
    ]
    edge = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    resources.append(
        Gateway.model_validate(
            {
                "metadata": {"name": "edge", "namespace": "shop"},
                "spec": {"selector": {"app": "edge"}, "servers": [edge]},
            }
        )
    )
    for name in draw(st.lists(st.sampled_from(("one", "two", "three")), unique=True, min_size=1, max_size=3)):
        rules: list[dict[str, Any]] = []
        for number, blocks in enumerate(draw(st.lists(_one_or_two, min_size=1, max_size=4))):
            to = {"host": draw(st.sampled_from(("web", "api"))), "port": {"number": 80 if number % 2 else 8080}}
            rule: dict[str, Any] = {"route": [{"destination": to}]}
            if draw(st.sampled_from((False, False, False, True))):
                rule = {"delegate": {"name": "below"}}
            rules.append(rule | ({"match": blocks} if blocks else {}))
        hosts = draw(st.sampled_from((["web"], ["api"], ["web", "api"], ["*.shop.svc.cluster.local"])))
        gateways = draw(st.sampled_from(([], ["mesh"], ["edge"], ["mesh", "edge"])))
        resources.append(virtual_service(name, {"hosts": hosts, "gateways": gateways, "http": rules}))
    below = [
        {"match": one, "route": [{"destination": {"host": "web"}}]} for one in draw(st.lists(_one_or_two, max_size=2))
    ]
    if below:
        resources.append(
            virtual_service("below", {"http": [one for one in below if one["match"]] or [{"route": below[0]["route"]}]})
        )
    return resources


def virtual_service(name: str, spec: dict[str, Any]) -> VirtualService:
    return VirtualService.model_validate({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})


mesh_requests = st.builds(
    lambda method, host, rest, port, path, headers: mr.Request(method, host + rest, path, tuple(headers), port=port),
    st.sampled_from(METHODS),
    st.sampled_from(("web", "WEB", "api", "none")),
    st.sampled_from(("", ".shop", ".shop.svc.cluster.local", ":80", ".shop.svc.cluster.local:81")),
    st.sampled_from((80, 8080)),
    st.sampled_from(("/", "/a", "/ab", "/a/", "/a/b", "/b", "/c")),
    st.lists(st.tuples(st.sampled_from(("x", "y")), st.sampled_from(("a", "ab", "b", "c", ""))), max_size=2),
)


def key_of(rule: mr.RuleRef) -> Key:
    return rule.namespace, rule.name, rule.path


def kept_alone(table: mr.RoutingTable, dead: set[Key]) -> set[Key]:
    """The unreachable matches of virtual hosts that have no others: without them the host would be another one's."""
    found: set[Key] = set()
    for listener in table.listeners:
        for host in listener.virtual_hosts:
            keys = {key_of(route.rule) for route in host.routes if route.rule is not None}
            if keys <= dead:
                found |= keys
    return found


def without(one: VirtualService, dead: set[Key]) -> VirtualService:
    """A VirtualService without these matches, and without rules that are left without any; a rule that asks nothing is
    made to ask for what nobody can send, so that the others keep their numbers."""
    rules = []
    for number, rule in enumerate(one.spec.http):
        kept = [
            asked
            for index, asked in enumerate(rule.match)
            if (one.namespace, one.name, f"http[{number}].match[{index}]") not in dead
        ]
        if rule.match and not kept:
            continue
        if not rule.match and (one.namespace, one.name, f"http[{number}]") in dead and rule.delegate is None:
            continue
        rules.append(rule.model_copy(update={"match": tuple(kept)}))
    return one.model_copy(update={"spec": one.spec.model_copy(update={"http": tuple(rules)})})


class TestLint4NeverApplies:
    """LINT-4: a match never applies where the VirtualService has a virtual host and no proxy is told of the match."""

    @pytest.mark.parametrize(
        ("block", "codes"),
        [
            ({"port": 80}, []),
            ({"port": 9090}, [mr.LintCode.RULE_NEVER_APPLIES]),
            ({"gateways": ["mesh"]}, []),
            ({"gateways": ["edge"]}, [mr.LintCode.RULE_NEVER_APPLIES]),
            ({"sourceLabels": {"who": "cares"}}, []),
            ({"sourceNamespace": "nowhere"}, []),
            ({"port": 80, "gateways": ["edge"]}, [mr.LintCode.RULE_NEVER_APPLIES]),
        ],
    )
    def test_what_nobody_is_told(self, block: dict[str, Any], codes: list[mr.LintCode]) -> None:
        """Clients may have any labels and be in any namespace."""
        web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
        route = [{"destination": {"host": "web"}}]
        rules = virtual_service("web", {"hosts": ["web"], "http": [{"match": [block], "route": route}]})
        assert [one.code for one in mr.lint(mr.Mesh([Service.model_validate(web), rules]))] == codes


class TestLint5Overshadowed:
    """LINT-5: a match is overshadowed where the plainest request that it asks for goes to one before it that also takes
    requests which it does not ask for; an exception overshadows nothing."""

    @given(st.lists(small_matches, min_size=2, max_size=5))
    def test_the_one_before_takes_the_plainest_and_more(self, matches: list[RouteMatch]) -> None:
        """Never one that asks for less than the match itself does."""
        routes = routes_of(matches)
        reach = Reach(routes, ("h",), 80)
        for number in range(len(routes)):
            verdict = reach.verdict(number)
            if isinstance(verdict, Reached) and verdict.past is not None:
                assert verdict.past < number
                earlier, later = RouteIndex([routes[verdict.past]]), RouteIndex([routes[number]])
                taken = [request for request in EVERYTHING if earlier.first(request) == 0]
                if any(later.first(request) is None for request in taken):
                    assert reach.swallows(number, verdict.past)


class TestLint6Prefixes:
    """LINT-6: a prefix that ends inside a segment swallows longer segments where a request for one comes to it."""

    @given(st.sampled_from(("/v2", "/v2/", "/", "/v2/x")), st.booleans())
    def test_only_a_prefix_that_ends_inside_a_segment(self, prefix: str, taken_before: bool) -> None:
        """Whoever takes the longer segments before, it is none of the prefix's doing."""
        web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
        route = [{"destination": {"host": "web"}}]
        first = [{"match": [{"uri": {"regex": "/v2[^/].*|/v2/x[^/].*"}}], "route": route}] if taken_before else []
        spec = {"hosts": ["web"], "http": [*first, {"match": [{"uri": {"prefix": prefix}}], "route": route}]}
        mesh = mr.Mesh([Service.model_validate(web), virtual_service("web", spec)])
        expected = [] if prefix.endswith("/") or taken_before else [mr.LintCode.PREFIX_SWALLOWS]
        assert [one.code for one in mr.lint(mesh)] == expected


class TestLint7Witnesses:
    """LINT-7: a request that stands with a finding, asked at the viewpoint that stands with it, is decided as the
    finding says."""

    @given(meshes())
    def test_each_comes_to_the_match_that_it_is_shown_for(self, drawn: list[Any]) -> None:
        """A longer segment to the prefix, what is left to the overshadowed match."""
        mesh = Admitted(drawn)
        for one in mr.lint(mesh):
            if one.witness is None:
                continue
            rule = mesh.router(one.witness.viewpoint).decide(one.witness.request).rule
            assert rule is not None
            assert one.at.path.removeprefix("spec.").startswith(rule.path)
            assert one.subject == f"{rule.kind} {rule.namespace}/{rule.name}"


_percentages = st.none() | st.sampled_from((0.0, 0.00001, 0.00009, 0.0001, 0.5, 100.0)).map(lambda one: {"value": one})


class TestLint8Faults:
    """LINT-8: a fault never fires where it has no percentage, one that is rounded to none of a million, or neither a
    delay nor a status."""

    @given(
        st.none()
        | st.builds(lambda span, share: {"fixedDelay": span, "percentage": share}, st.just("5s"), _percentages),
        st.none() | st.builds(lambda share: {"httpStatus": 503, "percentage": share}, _percentages),
    )
    def test_what_is_told_never_strikes_and_all_else_does(
        self, delay: dict[str, Any] | None, abort: dict[str, Any] | None
    ) -> None:
        """Each part is told by itself."""
        web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
        parts = {name: one for name, one in (("delay", delay), ("abort", abort)) if one is not None}
        parts = {name: {key: value for key, value in one.items() if value is not None} for name, one in parts.items()}
        rule = {"route": [{"destination": {"host": "web"}}], **({"fault": parts} if parts else {})}
        mesh = Admitted([Service.model_validate(web), virtual_service("web", {"hosts": ["web"], "http": [rule]})])
        made = fault_of(HTTPFaultInjection.model_validate(parts)) if parts else None
        idle = [name for name in parts if made is None or getattr(made, name) is None]
        assert [one.at.path for one in mr.lint(mesh) if one.code is mr.LintCode.FAULT_NEVER_FIRES] == [
            f"spec.http[0].fault.{name}" for name in sorted(idle, reverse=True)
        ]
