"""What rules become before any request: spec/route.md ROUTE-2 to ROUTE-5, spec/match.md MATCH-12 and MATCH-13."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies.manifests import (
    World,
    clients,
    full_name,
    http_rules,
    match_blocks,
    names,
    ports,
    routes,
    worlds,
)
from meshroute.manifest import DestinationRule, ObjectMeta, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    Destination,
    DestinationRuleSpec,
    HTTPBody,
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRoute,
    HTTPRouteDestination,
    PortSelector,
    RedirectPort,
    StringMatch,
    Subset,
    VirtualServiceSpec,
)
from meshroute.manifest.kubernetes import ServicePort, ServiceSpec
from meshroute.redirect import location
from meshroute.table import (
    REDIRECT_CODES,
    Exact,
    Listener,
    Pattern,
    Prefix,
    Redirect,
    Route,
    RouteMatch,
    VirtualHost,
)

WEB = full_name("web", "shop")


def service(name: str, namespace: str = "shop") -> Service:
    """A service on both ports."""
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=ServiceSpec(ports=(ServicePort(name="http", port=80), ServicePort(name="http-b", port=8080))),
    )


SERVICES = (service("web"), service("pay"), service("api"))
SUBSETS = DestinationRule(
    metadata=ObjectMeta(name="web", namespace="shop"),
    spec=DestinationRuleSpec(host="web", subsets=(Subset(name="v1"), Subset(name="v2"))),
)


def governing(rules: Sequence[HTTPRoute], *hosts: str) -> VirtualService:
    """These rules for `web`."""
    return VirtualService(
        metadata=ObjectMeta(name="vs", namespace="shop"),
        spec=VirtualServiceSpec(hosts=hosts or ("web",), http=tuple(rules)),
    )


def router(*resources: Resource, client: tuple[str, Mapping[str, str]] = ("shop", {})) -> mr.Router:
    """What a sidecar of `shop` does, beside three services without pods."""
    return Admitted([*SERVICES, SUBSETS, *resources]).router(mr.Sidecar(*client))


def made(
    rules: Sequence[HTTPRoute], port: int = 80, client: tuple[str, Mapping[str, str]] = ("shop", {})
) -> tuple[Route, ...]:
    """The routes that rules for `web` become on a port."""
    table = router(governing(rules), client=client).table
    listener = next(one for one in table.listeners if one.port == port)
    return next(one for one in listener.virtual_hosts if one.name == f"{WEB}:{port}").routes


def to(host: str = "web", weight: int = 0, subset: str = "", port: int | None = None) -> HTTPRouteDestination:
    """A destination."""
    selector = None if port is None else PortSelector(number=port)
    return HTTPRouteDestination(destination=Destination(host=host, subset=subset, port=selector), weight=weight)


def get(path: str = "/", port: int = 80, **headers: str) -> mr.Request:
    """A request to `web`."""
    return mr.Request.of("GET", f"http://{WEB}:{port}{path}", list(headers.items()))


def at(draw: int) -> mr.Draws:
    """Draws of which the one for weighted clusters is this."""
    return mr.Draws.of(given={"stream": draw})


class TestRoute2Weights:
    """ROUTE-2: a rule's only destination takes everything whatever its weight. Of several, those without a weight or
    with 0 get nothing. Weights never reach across rules."""

    @given(st.integers(0, 2**31 - 1), st.integers(0, 2**64 - 1))
    def test_one_destination_takes_every_draw(self, weight: int, draw: int) -> None:
        """Even with weight 0."""
        rule = HTTPRoute(route=(to(weight=weight, subset="v1"),))
        assert router(governing([rule])).decide(get(), draws=at(draw)).cluster == f"outbound|80|v1|{WEB}"

    @given(st.lists(st.tuples(st.sampled_from(("v1", "v2", "gone")), st.integers(0, 3)), min_size=2, max_size=4))
    def test_of_several_each_gets_its_weight(self, shares: list[tuple[str, int]]) -> None:
        """Over one round of draws, each destination is met as often as its weight says: 0 and nothing said are none."""
        shares[-1] = (shares[-1][0], shares[-1][1] or 1)
        asked = router(governing([HTTPRoute(route=tuple(to(weight=one, subset=subset) for subset, one in shares))]))
        total = sum(weight for _, weight in shares)
        met = Counter(asked.decide(get(), draws=at(draw)).cluster for draw in range(total))
        expected: Counter[str | None] = Counter()
        for subset, weight in shares:
            expected[f"outbound|80|{subset}|{WEB}"] += weight
        assert met == +expected

    @given(st.integers(1, 9))
    def test_a_destination_that_says_nothing_of_its_weight_gets_nothing(self, weight: int) -> None:
        """Beside one that says something."""
        silent = HTTPRouteDestination(destination=Destination(host="web", subset="v1"))
        asked = router(governing([HTTPRoute(route=(silent, to(weight=weight, subset="v2")))]))
        assert {asked.decide(get(), draws=at(draw)).subset for draw in range(weight + 1)} == {"v2"}

    @given(st.lists(routes(), min_size=2, max_size=3), st.integers(0, 2**64 - 1))
    def test_a_rule_s_split_is_its_own(self, rules: list[tuple[HTTPRouteDestination, ...]], draw: int) -> None:
        """A rule sends where it would send if it were alone, whatever the other rules weigh."""
        asked = [
            HTTPRoute(match=(HTTPMatchRequest(uri=StringMatch(exact=f"/{number}")),), route=route)
            for number, route in enumerate(rules)
        ]
        together = router(governing(asked))
        for number, one in enumerate(asked):
            alone = router(governing([one])).decide(get(f"/{number}"), draws=at(draw))
            assert together.decide(get(f"/{number}"), draws=at(draw)).cluster == alone.cluster

    @given(st.integers(1, 99), st.integers(0, 2**64 - 1))
    def test_a_famous_split_over_two_rules_splits_nothing(self, weight: int, draw: int) -> None:
        """Two rules of one destination each: the first takes every request."""
        rules = [
            HTTPRoute(route=(to(weight=100 - weight, subset="v1"),)),
            HTTPRoute(route=(to(weight=weight, subset="v2"),)),
        ]
        assert router(governing(rules)).decide(get(), draws=at(draw)).subset == "v1"


class TestRoute3Default:
    """ROUTE-3: a service that no rules govern on a port has one route to all its endpoints there."""

    @given(worlds(rules=1, routed=2), clients)
    def test_every_service_has_a_virtual_host_on_every_port(
        self, world: World, client: tuple[str, dict[str, str]]
    ) -> None:
        """Governed by rules of a VirtualService, all of them from the same one; or by the one default route. Where none
        speaks HTTP, the service has a listener of its own instead, and no HTTP rules."""
        table = Admitted(world.resources).router(mr.Sidecar(*client)).table
        for one in world.services:
            host = full_name(one.name, one.namespace)
            for port in one.spec.ports:
                default = mr.Router(table).decide(mr.Request("GET", host, "/any", port=port.port)).cluster
                if port.name and not port.name.startswith(("http", "grpc", "any")):
                    assert any(found.port == port.port and host in found.names for found in table.listeners)
                    assert default == f"outbound|{port.port}||{host}"
                    continue
                listener = next(found for found in table.listeners if found.port == port.port and not found.names)
                (virtual_host,) = (found for found in listener.virtual_hosts if host in found.domains)
                by = {(route.rule.namespace, route.rule.name) for route in virtual_host.routes if route.rule}
                assert len(by) <= 1
                if not by:
                    assert default == f"outbound|{port.port}||{host}"
                    assert len(virtual_host.routes) == 1

    @given(names, ports)
    def test_other_services_do_not_notice_rules(self, name: str, port: int) -> None:
        """Rules for `web` leave the others to their default routes."""
        decision = router(governing([HTTPRoute(direct_response=HTTPDirectResponse(status=204))])).decide(
            mr.Request("GET", name, "/", port=port)
        )
        assert decision.cluster == (None if name == "web" else f"outbound|{port}||{full_name(name, 'shop')}")


class TestRoute4DirectResponse:
    """ROUTE-4: `directResponse` answers with its status and body and asks nobody."""

    @given(st.integers(200, 599), st.sampled_from((None, "", "body", "ü", "→")))
    def test_it_answers_by_itself(self, status: int, body: str | None) -> None:
        """The body byte for byte as UTF-8, with no cluster, no endpoint and no effect."""
        answer = HTTPDirectResponse(status=status, body=None if body is None else HTTPBody(string=body))
        decision = router(governing([HTTPRoute(direct_response=answer)])).decide(get())
        assert decision.outcome == mr.Responded(status, "".join(map(chr, (body or "").encode())))
        assert (decision.cluster, decision.endpoint, decision.effects) == (None, None, ())


def parts_of(location: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query of a location, by the standard library; the query with its mark."""
    parts = urlsplit(location)
    return parts.scheme, parts.netloc, parts.path, location.partition("?")[1] + parts.query


redirects = st.builds(
    Redirect,
    status=st.sampled_from(REDIRECT_CODES),
    scheme=st.sampled_from(("", "http", "https")),
    authority=st.sampled_from(("", "new.test", "new.test:99")),
    path=st.sampled_from(("", "/n", "/n?z=1", "n")),
)


class TestRoute6Redirects:
    """ROUTE-6: a redirect says scheme, authority, port and path; what it does not say stays as it was."""

    @given(
        redirects,
        st.sampled_from(("h", "h:80", "h:443", "h:8080")),
        st.sampled_from(("/", "/a/b")),
        st.sampled_from(("", "?", "?q=1")),
    )
    def test_each_part_is_its_own_or_the_request_s(
        self, action: Redirect, authority: str, path: str, query: str
    ) -> None:
        """Nothing is asked, nothing is remembered, and there is no share but one."""
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
        asked = mr.Router(mr.RoutingTable((Listener(80, (host,)),), ()))
        request = mr.Request("GET", authority, path + query, port=80)
        decision = asked.decide(request)
        assert isinstance(decision.outcome, mr.Redirected)
        assert decision.outcome.status == action.status
        assert dict(asked.shares(request).by_outcome) == {decision.outcome: 1}
        assert (decision.cluster, decision.endpoint, decision.effects) == (None, None, ())
        scheme, netloc, to, kept = parts_of(decision.outcome.location)
        assert scheme == (action.scheme or "http")
        leaves = scheme == "https" and authority == "h:80"
        assert netloc == (action.authority or ("h" if leaves else authority))
        own, mark, asked_for = action.path.partition("?")
        assert to == ((own if own.startswith("/") else "/" + own) if action.path else path)
        assert kept == (mark + asked_for if mark else query)

    @given(
        st.sampled_from(("/", "/a", "/a/")), st.sampled_from(("/", "/n", "n/")), st.sampled_from(("/a", "/a/b", "/ab"))
    )
    def test_a_prefix_is_replaced_letter_by_letter(self, prefix: str, new: str, path: str) -> None:
        """The rest follows as it is, however many slashes that makes; else the path is replaced whole."""
        assert location(Redirect(prefix=new), mr.Request("GET", "h", path), Exact(path)) == location(
            Redirect(prefix=new), mr.Request("GET", "h", path), Pattern(".*")
        )
        if path.startswith(prefix):
            to = new + path[len(prefix) :]
            got = location(Redirect(prefix=new), mr.Request("GET", "h", path), Prefix(prefix))
            assert got == f"http://h{'' if to.startswith('/') else '/'}{to}"

    @pytest.mark.parametrize("wrong", [{"status": 300}, {"status": 200}, {"path": "/a", "prefix": "/b"}])
    def test_what_a_proxy_does_not_have_is_refused(self, wrong: dict[str, Any]) -> None:
        """A code that is no redirect's, or two ways to change a path."""
        with pytest.raises(ValueError, match="a redirect"):
            Redirect(**wrong)


class TestRoute7RedirectRules:
    """ROUTE-7: `redirect` of a rule; a port that is the scheme's own is not said, and a code no proxy has is
    no action."""

    @given(
        st.sampled_from(("", "http", "https")),
        st.sampled_from((None, 80, 443, 8443)),
        st.sampled_from((None, *RedirectPort)),
        st.sampled_from((80, 8080)),
    )
    def test_the_port(self, scheme: str, port: int | None, derived: RedirectPort | None, listener: int) -> None:
        """Written, or the listener's, or none."""
        said = HTTPRedirect(authority="new", scheme=scheme, port=None if derived else port, derive_port=derived)
        decision = router(governing([HTTPRoute(redirect=said)])).decide(get(port=listener))
        number = listener if derived is RedirectPort.FROM_REQUEST_PORT else (0 if derived else port or 0)
        plain = number in (0, {"http": 80, "https": 443}[scheme or "http"])
        assert isinstance(decision.outcome, mr.Redirected)
        assert parts_of(decision.outcome.location)[:2] == (scheme or "http", "new" if plain else f"new:{number}")

    @given(st.sampled_from((0, *REDIRECT_CODES, 300, 304, 399)), st.booleans())
    def test_the_code(self, code: int, last: bool) -> None:
        """0 is 301; a rule with another one is as if absent, which is said."""
        redirect = HTTPRoute(redirect=HTTPRedirect(uri="/elsewhere", redirect_code=code))
        answer = HTTPRoute(direct_response=HTTPDirectResponse(status=204))
        mesh = Admitted([*SERVICES, governing([answer, redirect] if last else [redirect, answer])])
        outcome = mesh.router(mr.Sidecar("shop")).decide(get()).outcome
        known = code in (0, *REDIRECT_CODES)
        assert (mr.Code.FIELD_NOT_MODELLED in {one.code for one in mesh.diagnostics}) == (not known)
        if last or not known:
            assert outcome == mr.Responded(204)
        else:
            assert isinstance(outcome, mr.Redirected)
            assert outcome.status == (code or 301)


class TestRoute5Ports:
    """ROUTE-5: a destination without a port means the port on which the request came."""

    @given(names, st.sampled_from((None, 0, 80, 8080, 81)), ports, st.sampled_from(("", "v1")))
    def test_the_port_is_the_destination_s_or_the_request_s(
        self, name: str, written: int | None, port: int, subset: str
    ) -> None:
        """A number of 0 is none; one that the service lacks names a cluster that does not exist."""
        asked = router(governing([HTTPRoute(route=(to(name, subset=subset, port=written),))]))
        decision = asked.decide(get(port=port))
        assert decision.cluster == f"outbound|{written or port}|{subset}|{full_name(name, 'shop')}"
        exists = written != 81 and (not subset or name == "web")
        assert isinstance(decision.outcome, mr.Failed)
        assert decision.outcome.flag == ("UH" if exists else "NC")


def settled(asked: HTTPMatchRequest, port: int, client: tuple[str, Mapping[str, str]]) -> bool:
    """Whether a block exists for a proxy and a port, by the words of the clause."""
    if asked.port not in (0, port):
        return False
    if asked.gateways:
        return "mesh" in asked.gateways
    return asked.source_namespace in ("", client[0]) and set(asked.source_labels.items()) <= set(client[1].items())


ANSWER = HTTPDirectResponse(status=204)
MARK = HTTPMatchRequest(uri=StringMatch(exact="/mark"))


class TestMatch12Source:
    """MATCH-12: `port`, `sourceLabels`, `sourceNamespace` and `gateways` are settled for a proxy and a port before any
    request: a block that fails them does not exist there. With `gateways` named, source labels and namespace are not
    looked at."""

    @given(st.lists(match_blocks(), min_size=1, max_size=4), ports, clients)
    def test_a_block_exists_exactly_where_it_is_settled(
        self, blocks: list[HTTPMatchRequest], port: int, client: tuple[str, dict[str, str]]
    ) -> None:
        """Each asks for a header that no other asks for, so that none hides another."""
        told = [
            block.model_copy(update={"headers": {f"h-{number}": StringMatch()}}) for number, block in enumerate(blocks)
        ]
        rule = HTTPRoute(match=(*told, MARK), direct_response=ANSWER)
        expected = [f"http[0].match[{number}]" for number, block in enumerate(told) if settled(block, port, client)]
        paths = [route.rule.path for route in made([rule], port, client) if route.rule]
        assert paths == [*expected, f"http[0].match[{len(told)}]"]

    @given(match_blocks(), ports, clients)
    def test_what_was_settled_leaves_no_trace(
        self, block: HTTPMatchRequest, port: int, client: tuple[str, dict[str, str]]
    ) -> None:
        """The same block without the four fields makes the same conditions."""
        plain = block.model_copy(update={"port": 0, "source_labels": {}, "source_namespace": "", "gateways": ()})
        found = made([HTTPRoute(match=(block,), direct_response=ANSWER)], port, client)
        if settled(block, port, client):
            assert [one.match for one in found] == [
                one.match for one in made([HTTPRoute(match=(plain,), direct_response=ANSWER)], port, client)
            ]
        else:
            assert [one.name for one in found] == ["default"]

    @given(ports, st.integers(0, 1))
    def test_a_block_with_nothing_but_a_port_takes_everything_there(self, port: int, place: int) -> None:
        """A famous belief: beside another block it is an alternative, and no narrowing."""
        blocks = [HTTPMatchRequest(uri=StringMatch(exact="/x"))]
        blocks.insert(place, HTTPMatchRequest(port=8080))
        answered = router(governing([HTTPRoute(match=tuple(blocks), direct_response=ANSWER)])).decide(get("/y", port))
        assert (answered.outcome == mr.Responded(204)) is (port == 8080)


def catch_all(asked: HTTPMatchRequest | None) -> bool:
    """Whether a block that exists asks nothing but `/` or `.*`; None is a rule without any."""
    if asked is None:
        return True
    uri = asked.uri
    silent = uri is None or (uri.exact, uri.prefix, uri.regex) == (None, None, None)
    path = silent or (uri is not None and (uri.prefix == "/" or uri.regex == ".*"))
    others = (asked.headers, asked.without_headers, asked.query_params, asked.method, asked.scheme, asked.authority)
    return path and not any(others)


class TestMatch13CatchAll:
    """MATCH-13: a route that asks nothing but the path prefix `/` or the pattern `.*` ends its VirtualService: what
    comes after it does not exist."""

    @given(st.lists(http_rules(), min_size=1, max_size=4), ports, clients)
    def test_routes_stand_in_textual_order_up_to_the_first_that_takes_everything(
        self, rules: list[HTTPRoute], port: int, client: tuple[str, dict[str, str]]
    ) -> None:
        """Block by block, rule by rule; blocks that do not exist here end nothing."""
        expected: list[str] = []
        ended = False
        for number, rule in enumerate(rules):
            for index, block in enumerate(rule.match or (None,)):
                if ended or (block is not None and not settled(block, port, client)):
                    continue
                expected.append(f"http[{number}]" + ("" if block is None else f".match[{index}]"))
                ended = catch_all(block)
        found = made(rules, port, client)
        assert [route.rule.path if route.rule else route.name for route in found] == (expected or ["default"])

    @given(st.lists(http_rules(), max_size=3), st.lists(http_rules(), max_size=3), ports)
    def test_what_comes_after_a_rule_without_conditions_does_not_exist(
        self, above: list[HTTPRoute], below: list[HTTPRoute], port: int
    ) -> None:
        """The table is the same without it."""
        everything = HTTPRoute(direct_response=ANSWER)
        assert made([*above, everything, *below], port) == made([*above, everything], port)

    @given(st.sampled_from(("/.*", "(?s).*", ".+", ".*|x")), st.sampled_from(("/", "//", "")))
    def test_other_ways_to_take_everything_end_nothing(self, regex: str, prefix: str) -> None:
        """They hide what comes after, but it exists."""
        blocks = [
            HTTPMatchRequest(uri=StringMatch(regex=regex)),
            HTTPMatchRequest(uri=StringMatch(prefix=prefix), headers={"x": StringMatch()}),
            HTTPMatchRequest(uri=StringMatch(prefix="")),
        ]
        rules = [HTTPRoute(match=(block,), direct_response=ANSWER) for block in blocks]
        assert len(made([*rules, HTTPRoute(direct_response=ANSWER)])) == 4

    @given(st.lists(match_blocks(), min_size=1, max_size=3), st.sampled_from(("", "r")))
    def test_the_blocks_of_a_rule_share_what_it_does(self, blocks: list[HTTPMatchRequest], name: str) -> None:
        """As many routes with one action; each has the rule's name, even none, with its own after a dot."""
        found = made([HTTPRoute(name=name, match=tuple(blocks), route=(to(subset="v1"),))])
        if found[0].rule is None:
            assert not any(settled(block, 80, ("shop", {})) for block in blocks)
            return
        assert len({id(route.action) for route in found}) == 1
        existing = [block for block in blocks if settled(block, 80, ("shop", {}))]
        spelt = [f"{name}.{block.name}" if block.name else name for block in existing]
        assert [route.name for route in found] == spelt[: len(found)]
