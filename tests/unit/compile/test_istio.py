"""The Istio front-end: facts that Istio's own tests assert, on the table that comes out.

Source    istio/istio: pilot/pkg/networking/core/httproute_test.go (TestGenerateVirtualHostDomains),
          sidecar_simulation_test.go (TestSidecarRoutes), route/route_test.go, pilot/pkg/model/push_context_test.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

import meshroute as mr
from meshroute.compile.destination import DestinationRules
from meshroute.compile.routes import cluster_name, is_catch_all, text_match
from meshroute.manifest import DestinationRule, ObjectMeta, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    Destination,
    DestinationRuleSpec,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    PortSelector,
    StringMatch,
    Subset,
    VirtualServiceSpec,
    WorkloadSelector,
)
from meshroute.manifest.kubernetes import ServicePort, ServiceSpec
from meshroute.names import Host
from meshroute.table import (
    Exact,
    Forward,
    HeaderMatch,
    Pattern,
    Prefix,
    Present,
    QueryMatch,
    Respond,
    Route,
    RouteMatch,
    RoutingTable,
    TextMatch,
    VirtualHost,
)


def service(name: str, namespace: str = "default", addresses: Sequence[str] = (), cluster_ip: str = "") -> Service:
    """A service with HTTP ports 80 and 8080."""
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=ServiceSpec(
            cluster_ip=cluster_ip,
            cluster_ips=tuple(addresses),
            ports=(ServicePort(name="http", port=80), ServicePort(name="http-alt", port=8080)),
        ),
    )


def sending(
    name: str,
    hosts: Sequence[str],
    to: str,
    *,
    namespace: str = "default",
    day: int | None = None,
    match: Sequence[HTTPMatchRequest] = (),
    port: int | None = None,
    gateways: Sequence[str] = (),
) -> VirtualService:
    """A VirtualService with one rule to one host, of some age."""
    destination = Destination(host=to, port=None if port is None else PortSelector(number=port))
    return VirtualService(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            creation_timestamp=None if day is None else datetime(2026, 1, day, tzinfo=UTC),
        ),
        spec=VirtualServiceSpec(
            hosts=tuple(hosts),
            gateways=tuple(gateways),
            http=(HTTPRoute(match=tuple(match), route=(HTTPRouteDestination(destination=destination),)),),
        ),
    )


def table(resources: Sequence[Resource], client: str = "default", config: mr.MeshConfig | None = None) -> RoutingTable:
    """The table of a sidecar in a namespace."""
    return mr.Mesh(resources, config=config or mr.MeshConfig()).router(mr.Sidecar(client)).table


def hosts_on(port: int, of: RoutingTable) -> dict[str, VirtualHost]:
    """The virtual hosts on a port, by name without the port."""
    listener = next(one for one in of.listeners if one.port == port)
    return {one.name.removesuffix(f":{port}"): one for one in listener.virtual_hosts}


def sends(host: VirtualHost) -> list[str]:
    """The clusters that a virtual host's routes send to."""
    return [
        str(one.cluster) for route in host.routes if isinstance(route.action, Forward) for one in route.action.clusters
    ]


ECHO = "echo.default.svc.cluster.local"


class TestDomains:
    """TestGenerateVirtualHostDomains: the names by which a client may call a service, in order."""

    def test_in_the_client_s_namespace(self) -> None:
        assert hosts_on(80, table([service("echo")]))[ECHO].domains == (
            ECHO,
            f"{ECHO}.",
            "echo",
            "echo.default.svc",
            "echo.default",
        )

    def test_in_another_namespace(self) -> None:
        found = hosts_on(80, table([service("echo")], "mesh"))[ECHO]
        assert found.domains == (ECHO, f"{ECHO}.", "echo.default", "echo.default.svc")

    def test_a_headless_service_has_wildcards_before_each(self) -> None:
        five = (ECHO, f"{ECHO}.", "echo", "echo.default.svc", "echo.default")
        found = hosts_on(80, table([service("echo", cluster_ip="None")]))[ECHO]
        assert found.domains == (*five, *(f"*.{one}" for one in five))

    def test_addresses_come_last(self) -> None:
        found = hosts_on(80, table([service("echo", addresses=("1.2.3.4", "fd00::5"))]))[ECHO]
        assert found.domains[5:] == ("1.2.3.4", "[fd00::5]")

    @pytest.mark.parametrize(
        ("host", "domain"), [("1.2.3.4", "1.2.3.4"), ("fd00::7", "[fd00::7]"), ("Foo.Example", "foo.example")]
    )
    def test_a_host_without_a_service_is_itself(self, host: str, domain: str) -> None:
        found = hosts_on(80, table([service("echo"), sending("vs", [host], "echo")]))
        assert found[host.lower()].domains == (domain,)

    def test_everybody_else_comes_last(self) -> None:
        for outbound, name in (("ALLOW_ANY", "allow_any"), ("REGISTRY_ONLY", "block_all")):
            config = mr.MeshConfig(outbound=outbound)  # type: ignore[arg-type] # a loop loses the literal
            *_, last = hosts_on(80, table([service("echo")], config=config)).values()
            assert (last.name, last.domains) == (name, ("*",))

    def test_virtual_hosts_are_sorted_by_name(self) -> None:
        """Whatever wrote them, and in whatever order."""
        rules = [sending("a", ["m.example", "z.example", "b.example"], "echo"), sending("b", ["echo"], "echo")]
        found = list(hosts_on(80, table([service("a"), service("echo"), *rules])))
        assert found == [*sorted(found[:-1]), "allow_any"]
        assert len(found) == 6

    def test_a_name_is_given_once(self) -> None:
        """Two VirtualServices, one name in two cases: the first has it."""
        first, second = sending("a", ["Foo.example"], "echo"), sending("b", ["foo.EXAMPLE"], "known")
        found = hosts_on(80, table([service("echo"), first, second]))
        assert sends(found["foo.example"]) == [f"outbound|80||{ECHO}"]
        assert [name for name in found if name.lower() == "foo.example"] == ["foo.example"]

    def test_an_address_of_two_services_is_the_first_one_s(self) -> None:
        found = hosts_on(80, table([service("b", addresses=("1.2.3.4",)), service("a", addresses=("1.2.3.4",))]))
        assert [name for name, one in found.items() if "1.2.3.4" in one.domains] == ["a.default.svc.cluster.local"]


KNOWN = "known.default.svc.cluster.local"
ALT = "alt-known.default.svc.cluster.local"
SERVICES = (service("known"), service("alt-known"), service("not-default", "not-default"))


def routed(port: int, *rules: VirtualService, client: str = "default") -> dict[str, list[str]]:
    """Where each virtual host on a port sends, but for those that send to themselves and to everybody else."""
    return {
        name: sends(one)
        for name, one in hosts_on(port, table([*SERVICES, *rules], client)).items()
        if name != "allow_any" and sends(one) != [f"outbound|{port}||{name}"]
    }


class TestSelection:
    """TestSidecarRoutes: which VirtualService governs a host on a port."""

    @pytest.mark.parametrize("port", [80, 8080])
    def test_the_port_is_the_listener_s(self, port: int) -> None:
        assert routed(port, sending("vs", [KNOWN], ALT)) == {KNOWN: [f"outbound|{port}||{ALT}"]}

    def test_an_unknown_host_on_port_80(self) -> None:
        found = hosts_on(80, table([*SERVICES, sending("vs", ["foo"], "foo")]))
        assert sends(found["foo.default.svc.cluster.local"]) == ["outbound|80||foo.default.svc.cluster.local"]

    @pytest.mark.parametrize(
        ("match", "port"),
        [((), None), ((HTTPMatchRequest(port=8080),), None), ((), 8080)],
        ids=["plain", "match", "to"],
    )
    def test_an_unknown_host_on_another_port(self, match: Sequence[HTTPMatchRequest], port: int | None) -> None:
        found = hosts_on(8080, table([*SERVICES, sending("vs", ["foo"], "foo", match=match, port=port)]))
        assert not any(name.startswith("foo") for name in found)

    def test_an_unknown_host_beside_a_known_one(self) -> None:
        assert set(routed(8080, sending("vs", ["foo.example", KNOWN], ALT))) == {KNOWN, "foo.example"}

    @pytest.mark.parametrize("namespace", ["default", "not-default", "arbitrary"])
    def test_rules_of_producers_consumers_and_anybody(self, namespace: str) -> None:
        rule = sending("vs", [KNOWN], ALT, namespace=namespace)
        assert routed(80, rule, client="not-default") == {KNOWN: [f"outbound|80||{ALT}"]}

    def test_the_oldest_of_three_namespaces(self) -> None:
        rules = [
            sending("vs", [KNOWN], f"{namespace}.example", namespace=namespace, day=day)
            for day, namespace in ((3, "not-default"), (1, "arbitrary"), (2, "default"))
        ]
        assert routed(80, *rules, client="not-default") == {KNOWN: ["outbound|80||arbitrary.example"]}

    def test_a_wildcard_over_nothing_known(self) -> None:
        found = hosts_on(80, table([*SERVICES, sending("vs", ["*.unknown.example.com"], "arbitrary.example.com")]))
        assert found["*.unknown.example.com"].domains == ("*.unknown.example.com",)
        assert sends(found[KNOWN]) == [f"outbound|80||{KNOWN}"]

    def test_a_wildcard_over_services_makes_no_virtual_host_of_its_own(self) -> None:
        found = routed(80, sending("vs", ["*.cluster.local"], "x.example"))
        assert found == {
            host: ["outbound|80||x.example"] for host in (KNOWN, ALT, "not-default.not-default.svc.cluster.local")
        }

    @pytest.mark.parametrize(("wild", "exact"), [(1, 2), (2, 1)])
    def test_an_exact_host_beats_a_wildcard_whatever_its_age(self, wild: int, exact: int) -> None:
        found = routed(
            80, sending("w", ["*.cluster.local"], "w.example", day=wild), sending("e", [KNOWN], "e.example", day=exact)
        )
        assert (found[KNOWN], found[ALT]) == (["outbound|80||e.example"], ["outbound|80||w.example"])

    def test_of_two_in_one_namespace_the_older_wins(self) -> None:
        young, old = sending("a", [KNOWN], "young.example", day=2), sending("b", [KNOWN], "old.example", day=1)
        assert routed(80, young, old) == {KNOWN: ["outbound|80||old.example"]}

    def test_of_two_wildcards_the_longer_wins(self) -> None:
        found = routed(
            80,
            sending("a", ["*.cluster.local"], "short.example", day=1),
            sending("b", ["*.default.svc.cluster.local"], "long.example", day=2),
        )
        assert found[KNOWN] == ["outbound|80||long.example"]
        assert found["not-default.not-default.svc.cluster.local"] == ["outbound|80||short.example"]

    def test_of_two_with_one_wildcard_the_older_wins(self) -> None:
        young = sending("a", ["*.cluster.local"], "young.example", day=2)
        old = sending("b", ["*.cluster.local"], "old.example", day=1)
        assert routed(80, young, old)[KNOWN] == ["outbound|80||old.example"]

    def test_one_that_has_no_route_on_a_port_is_not_there(self) -> None:
        only_8080 = sending("a", [KNOWN], "a.example", day=1, match=[HTTPMatchRequest(port=8080)])
        other = sending("b", [KNOWN], "b.example", day=2)
        assert routed(80, only_8080, other) == {KNOWN: ["outbound|80||b.example"]}
        assert routed(8080, only_8080, other) == {KNOWN: ["outbound|8080||a.example"]}

    def test_a_wildcard_is_not_promoted_into_its_place(self) -> None:
        only_8080 = sending("a", [KNOWN], "a.example", match=[HTTPMatchRequest(port=8080)])
        assert KNOWN not in routed(80, only_8080, sending("b", ["*.cluster.local"], "b.example"))

    def test_gateways_without_mesh_are_no_business_of_sidecars(self) -> None:
        assert routed(80, sending("vs", [KNOWN], ALT, gateways=["default/edge"])) == {}
        assert routed(80, sending("vs", [KNOWN], ALT, gateways=["default/edge", "mesh"])) != {}


class TestRoutes:
    """route_test.go: conditions and names."""

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (None, Present()),
            (StringMatch(), Present()),
            (StringMatch(exact=""), Exact("")),
            (StringMatch(prefix="foo-"), Prefix("foo-")),
            (StringMatch(regex="a|b"), Pattern("a|b")),
            (StringMatch(exact="é"), Exact("\xc3\xa9")),
        ],
    )
    def test_texts(self, wanted: StringMatch | None, expected: TextMatch) -> None:
        assert text_match(wanted) == expected

    @pytest.mark.parametrize(
        ("match", "expected"),
        [
            (RouteMatch(), True),
            (RouteMatch(Prefix("/")), True),
            (RouteMatch(Prefix("/", ignore_case=True)), True),
            (RouteMatch(Pattern(".*")), True),
            (RouteMatch(Prefix("")), False),
            (RouteMatch(Exact("/")), False),
            (RouteMatch(Pattern("/.*")), False),
            (RouteMatch(Prefix("/"), (HeaderMatch("x", Present()),)), False),
            (RouteMatch(Pattern(".*"), (HeaderMatch("x", Present()),)), False),
            (RouteMatch(Prefix("/"), (), (QueryMatch("q", Present()),)), False),
        ],
    )
    def test_what_takes_everything(self, match: RouteMatch, expected: bool) -> None:
        """TestIsCatchAllRoute."""
        assert is_catch_all(Route(match, Respond(200))) is expected

    def test_cluster_names(self) -> None:
        """TestSubsetKey."""
        assert cluster_name(80, "subset", "hostname") == "outbound|80|subset|hostname"

    def test_a_block_becomes_conditions_in_a_fixed_order(self) -> None:
        block = HTTPMatchRequest.model_validate(
            {
                "uri": {"exact": "/A"},
                "ignoreUriCase": True,
                "authority": {"exact": "h"},
                "method": {"exact": "GET"},
                "scheme": {"exact": "https"},
                "headers": {"B": {"exact": "1"}, "a": {}},
                "withoutHeaders": {
                    "FOO-HEADER": {},
                    "any": {"regex": "*"},
                    "not": {"regex": "BAR .+"},
                },
                "queryParams": {"Q": {"exact": "1"}, "P": {}},
            }
        )
        (route,) = hosts_on(80, table([*SERVICES, sending("vs", [KNOWN], KNOWN, match=[block])]))[KNOWN].routes
        assert route.match == RouteMatch(
            Exact("/A", ignore_case=True),
            (
                HeaderMatch(":scheme", Exact("https")),
                HeaderMatch(":method", Exact("GET")),
                HeaderMatch(":authority", Exact("h")),
                HeaderMatch("b", Exact("1")),
                HeaderMatch("a", Present()),
                HeaderMatch("foo-header", Present(), invert=True),
                HeaderMatch("any", Present(), invert=True),
                HeaderMatch("not", Pattern("BAR .+"), invert=True, missing_is_empty=True),
            ),
            (QueryMatch("P", Present()), QueryMatch("Q", Exact("1"))),
        )

    def test_case_is_not_ignored_in_patterns(self) -> None:
        block = HTTPMatchRequest(uri=StringMatch(regex="/a"), ignore_uri_case=True)
        (route,) = hosts_on(80, table([*SERVICES, sending("vs", [KNOWN], KNOWN, match=[block])]))[KNOWN].routes
        assert route.match == RouteMatch(Pattern("/a"))

    def test_a_block_that_takes_everything_on_its_port_ends_the_rest(self) -> None:
        """Route name and match name are joined by a dot."""
        text = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: [known]
  http:
  - name: route 1
    match: [{name: catch-all for 8080, port: 8080}]
    route: [{destination: {host: known}}]
  - match: [{headers: {cookie: {regex: "^(.*?;)?(user=jason)(;.*)?"}}}]
    route: [{destination: {host: known}}]
  - match: [{name: unnamed rule, uri: {prefix: /x}}]
    route: [{destination: {host: known}}]
  - route: [{destination: {host: known}}]
"""
        made = table([*SERVICES, *mr.loads(text).resources])
        assert [one.name for one in hosts_on(8080, made)[KNOWN].routes] == ["route 1.catch-all for 8080"]
        assert [one.name for one in hosts_on(80, made)[KNOWN].routes] == ["", ".unnamed rule", ""]

    def test_a_rule_knows_where_it_was_written(self) -> None:
        text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: [known]
  http:
  - match:
    - uri: {prefix: /x}
    directResponse: {status: 204}
  - directResponse: {status: 205}
"""
        made = table([*SERVICES, *mr.loads(text, "file.yaml").resources])
        assert [str(one.rule) for one in hosts_on(80, made)[KNOWN].routes] == [
            "VirtualService default/vs http[0].match[0] (file.yaml:8)",
            "VirtualService default/vs http[1] (file.yaml:10)",
        ]


def rule(
    namespace: str, host: str, subset: str, export_to: Sequence[str] = (), *, chosen: bool = False
) -> DestinationRule:
    """A DestinationRule by whose only subset one knows it."""
    return DestinationRule(
        metadata=ObjectMeta(name=subset, namespace=namespace),
        spec=DestinationRuleSpec(
            host=host,
            subsets=(Subset(name=subset),),
            export_to=tuple(export_to),
            workload_selector=WorkloadSelector(match_labels={"app": "x"}) if chosen else None,
        ),
    )


def followed(
    rules: Iterable[DestinationRule],
    client: str,
    owner: str,
    host: str = "a.test.org",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> set[str]:
    """The subsets of a host as one client sees it."""
    return set(DestinationRules(rules).effective(client, Host(host), owner, labels).subsets)


class TestDestinationRules:
    """TestSetDestinationRuleWithExportTo, TestSetDestinationRuleMerging."""

    RULES = (
        rule("test1", "*.test.org", "rule1", [".", "ns1"]),
        rule("test2", "*.test.org", "rule2", ["test2", "ns1", "test1", "newNS"]),
        rule("test3", "*.test.org", "rule3", ["test1", "test2", "*"]),
        rule("test4", "*.test.org", "rule4", ["test4"]),
        rule("istio-system", "*.test.org", "public"),
        rule("istio-system", "*.org", "private", ["."]),
        rule("istio-system", "*.app.org", "private-app", ["."]),
    )

    @pytest.mark.parametrize(
        ("client", "owner", "expected"),
        [
            ("test1", "test1", "rule1"),
            ("test1", "test2", "rule1"),
            ("test2", "test1", "rule2"),
            ("newNS", "test2", "rule2"),
            ("ns1", "test1", "rule1"),
            ("ns1", "random", "public"),
            ("random", "random", "public"),
            ("test3", "test1", "rule3"),
            ("test3", "random", "rule3"),
            ("test5", "test4", "public"),
            ("istio-system", "random", "private"),
        ],
    )
    def test_whose_rule_a_client_follows(self, client: str, owner: str, expected: str) -> None:
        assert followed(self.RULES, client, owner) == {expected}

    def test_the_most_specific_private_rule_of_the_root(self) -> None:
        assert followed(self.RULES, "istio-system", "random", "foo.app.org") == {"private-app"}

    def test_rules_of_a_namespace_that_is_neither_are_not_followed(self) -> None:
        others = [
            rule("test5", "*.test.org", "x", ["istio-system"]),
            rule("test6", "*.test.org", "y", ["istio-system"]),
        ]
        assert followed(others, "istio-system", "test7") == set()

    def test_rules_of_one_host_are_gathered_if_they_are_for_the_same_readers(self) -> None:
        rules = [
            rule("test", "httpbin.org", "rule1"),
            rule("test", "httpbin.org", "rule2"),
            rule("test", "httpbin.org", "rule3", ["istio-system"]),
        ]
        assert followed(rules, "test", "test", "httpbin.org") == {"rule1", "rule2"}
        assert followed(rules, "other", "test", "httpbin.org") == {"rule1", "rule2"}
        assert followed(rules, "istio-system", "test", "httpbin.org") == {"rule3"}

    def test_a_rule_that_a_client_does_not_see_still_hides_a_less_specific_one(self) -> None:
        """The most specific host is found among all that is exported, and then asked who may see it."""
        rules = [
            rule("shop", "a.test.org", "exact", ["elsewhere"]),
            rule("shop", "*.test.org", "wild"),
            rule("istio-system", "*.org", "root"),
        ]
        assert followed(rules, "elsewhere", "shop") == {"exact"}
        assert followed(rules, "client", "shop") == {"root"}

    def test_a_rule_for_chosen_workloads_hides_a_less_specific_one_from_the_others_too(self) -> None:
        """The most specific host is found first; who the rules for it choose is asked after that."""
        rules = [rule("shop", "a.test.org", "chosen", chosen=True), rule("shop", "*.test.org", "all")]
        assert followed(rules, "shop", "shop") == set()
        assert followed(rules, "shop", "shop", labels={"app": "x"}) == {"chosen"}
        assert followed(rules, "shop", "shop", "b.test.org") == {"all"}
        assert followed(rules, "other", "shop", labels={"app": "x"}) == {"all"}

    def test_a_rule_for_chosen_workloads_stands_before_one_for_all(self) -> None:
        rules = [rule("shop", "a.test.org", "all"), rule("shop", "a.test.org", "chosen", chosen=True)]
        assert followed(rules, "shop", "shop") == {"all"}
        assert followed(rules, "shop", "shop", labels={"app": "x", "more": "y"}) == {"chosen"}

    def test_a_rule_as_private_as_the_one_for_chosen_workloads_is_folded_into_it(self) -> None:
        """And does not stand by itself then, unless more may see it."""
        private = [rule("shop", "a.test.org", "all", ["."]), rule("shop", "a.test.org", "chosen", chosen=True)]
        assert followed(private, "shop", "shop") == set()
        assert followed(private, "shop", "shop", labels={"app": "x"}) == {"all", "chosen"}
        wider = [rule("shop", "a.test.org", "all", [".", "bank"]), rule("shop", "a.test.org", "chosen", chosen=True)]
        assert followed(wider, "shop", "shop") == {"all"}
        assert followed(wider, "shop", "shop", labels={"app": "x"}) == {"all", "chosen"}

    def test_defaults_of_the_mesh(self) -> None:
        rules = [rule("shop", "a.test.org", "own"), rule("root", "*.org", "root", ["*"])]
        private = DestinationRules(rules, root_namespace="root", exported=["."])
        assert set(private.effective("shop", Host("a.test.org"), "shop").subsets) == {"own"}
        assert set(private.effective("client", Host("a.test.org"), "shop").subsets) == {"root"}
        assert DestinationRules(rules).effective("client", Host("b.org"), "shop").subsets == {}


class TestEntries:
    """What decisions say of services that Kubernetes does not know."""

    ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e}
spec:
  hosts: [API.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
"""

    def test_an_endpoint_of_an_entry_is_no_pod(self) -> None:
        text = self.ENTRY.replace("API", "api") + "  endpoints: [{address: 192.0.2.1}]\n"
        decision = mr.loads(text).router().decide(mr.Request.of("GET", "http://api.example/"))
        assert (decision.pod, decision.endpoint and decision.endpoint.key) == (None, "192.0.2.1:80")

    def test_a_workload_entry_is_called_by_its_name(self) -> None:
        text = self.ENTRY.replace("API", "api") + "  workloadSelector: {labels: {}}\n---\n"
        text += "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        text += "metadata: {name: vm}\nspec: {address: 192.0.2.1}\n"
        assert mr.loads(text).router().decide(mr.Request.of("GET", "http://api.example/")).pod == "default/vm"

    def test_upper_case_is_kept_in_clusters_and_lost_in_virtual_hosts(self) -> None:
        """So the default route leads nowhere, and a rule that writes the host as it is does not."""
        text = self.ENTRY + "  endpoints: [{address: 192.0.2.1}]\n"
        router = mr.loads(text).router()
        decision = router.decide(mr.Request.of("GET", "http://api.example/"))
        assert decision.cluster == "outbound|80||api.example"
        assert getattr(decision.outcome, "flag", "") == "NC"
        assert "outbound|80||API.example" in {one.name for one in router.table.clusters}
        rule = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
        rule += "  hosts: [API.example]\n  http: [{route: [{destination: {host: API.example}}]}]\n"
        assert mr.loads(text + rule).router().decide(mr.Request.of("GET", "http://api.example/")).cluster == (
            "outbound|80||API.example"
        )
