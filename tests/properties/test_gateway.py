"""What the proxy at the edge does: spec/gateway.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute import Request
from meshroute.compile.gateway import Bound, merged
from meshroute.compile.resolve import covers
from meshroute.decision import NO_ROUTE, NOBODY_LISTENS, NOT_TAKEN, Failed, Forwarded, Redirected
from meshroute.manifest import Gateway, Resource
from meshroute.manifest.istio import DestinationRule, VirtualService
from meshroute.manifest.kubernetes import Pod, Service
from meshroute.router import Router

HOSTS = ("a.example", "b.example", "a.b.example", "*.example", "*.b.example", "*")
EXACT = ("a.example", "b.example", "a.b.example", "c.b.example", "other.test")


def metadata(name: str, namespace: str = "default", day: int = 1) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "creationTimestamp": f"2020-01-{day:02}T00:00:00Z"}


def service(name: str, *ports: int, headless: bool = False) -> list[Resource]:
    """A service with two pods."""
    spec = {"selector": {"app": name}, "ports": [{"name": f"http-{port}", "port": port} for port in ports]}
    pods = [
        Pod.model_validate(
            {
                "metadata": {**metadata(f"{name}-{number}"), "labels": {"app": name}},
                "spec": {"containers": [{"name": "main"}]},
                "status": {"podIP": f"10.8.{number}.{len(name)}"},
            }
        )
        for number in (1, 2)
    ]
    return [
        Service.model_validate(
            {"metadata": metadata(name), "spec": {**spec, **({"clusterIP": "None"} if headless else {})}}
        ),
        *pods,
    ]


def gateway(name: str, servers: Sequence[dict[str, Any]], day: int = 1) -> Gateway:
    return Gateway.model_validate(
        {"metadata": metadata(name, day=day), "spec": {"selector": {"edge": "shop"}, "servers": list(servers)}}
    )


def server(hosts: Sequence[str], protocol: str = "HTTP", port: int = 80, **tls: Any) -> dict[str, Any]:
    named = {"number": port, "name": f"{protocol.lower()}-{port}", "protocol": protocol}
    return {"port": named, "hosts": list(hosts), **({"tls": tls} if tls else {})}


def rules(name: str, hosts: Sequence[str], day: int = 1, **spec: Any) -> VirtualService:
    """A VirtualService for the gateway `edge`; without rules, it sends everything to the service of its name."""
    spec = spec or {"http": [{"name": name, "route": [{"destination": {"host": name}}]}]}
    return VirtualService.model_validate(
        {"metadata": metadata(name, day=day), "spec": {"hosts": list(hosts), "gateways": ["edge"], **spec}}
    )


def router(*resources: Resource | Sequence[Resource]) -> Router:
    flat: list[Resource] = []
    for some in resources:
        flat += [some] if isinstance(some, Resource) else some
    return mr.Mesh(flat).router(mr.Gateway("edge"))


subsets_of_hosts = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True).filter(
    lambda some: not any(covers(one, two) or covers(two, one) for one, two in combinations(some, 2))
)
servers = st.lists(
    st.builds(
        server,
        st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True),
        st.sampled_from(("HTTP", "HTTPS", "TLS", "TCP", "GRPC")),
        st.sampled_from((80, 443)),
    ),
    max_size=6,
)


class TestGw1Ports:
    """GW-1: a proxy serves all Gateways that choose it, on the ports to which its Service leads."""

    @given(st.sampled_from((80, 81, 8080)), st.sampled_from((80, 8080)))
    def test_the_service_s_port_and_the_pod_s_are_one(self, outside: int, inside: int) -> None:
        pod = Pod.model_validate(
            {
                "metadata": {**metadata("edge-0"), "labels": {"edge": "shop"}},
                "spec": {"containers": [{"name": "main"}]},
                "status": {"podIP": "10.8.9.9"},
            }
        )
        front = Service.model_validate(
            {
                "metadata": metadata("edge"),
                "spec": {
                    "selector": {"edge": "shop"},
                    "ports": [{"port": outside, "targetPort": inside, "name": "http"}],
                },
            }
        )
        shop = gateway("edge", [server(["*"], port=outside)])
        asked = router(pod, front, shop, service("web", 80), rules("web", ["a.example"]))
        for port in (outside, inside):
            decision = asked.decide(Request.of("GET", f"http://a.example:{port}/"))
            assert (decision.outcome, decision.cluster) == (Forwarded(), "outbound|80||web.default.svc.cluster.local")

    @given(st.permutations(range(5)))
    def test_the_order_of_files_never_counts(self, order: Sequence[int]) -> None:
        world = [
            service("web", 80)[0],
            gateway("edge", [server(["a.example"])]),
            gateway("more", [server(["b.example"])], day=2),
            rules("web", ["a.example"]),
            rules("pay", ["*.example"], day=2),
        ]
        assert router([world[one] for one in order]).table.to_json() == router(world).table.to_json()


class TestGw2Merging:
    """GW-2: which servers can be had together."""

    @given(servers)
    def test_what_is_kept_goes_together_and_nothing_is_lost(self, some: list[dict[str, Any]]) -> None:
        written = gateway(
            "edge", [{**one, "tls": {}} if one["port"]["protocol"] in ("HTTPS", "TLS") else one for one in some]
        )
        bound = [Bound(written, one, number, one.port.number) for number, one in enumerate(written.spec.servers)]
        kept, conflicts = merged(bound)
        left_out = [one.number for one, _ in conflicts]
        assert sorted([one.number for on_port in kept.values() for one in on_port] + left_out) == list(
            range(len(bound))
        )
        for on_port in kept.values():
            kinds = {"http" if one.is_http else "tls" if one.is_tls else "tcp" for one in on_port}
            assert len(kinds) == 1
            assert kinds != {"tcp"} or len(on_port) == 1
            claims = [host for one in on_port if one.is_tls for host in one.hosts]
            assert len(claims) == len(set(claims))
        for one, older in conflicts:
            assert older.number < one.number
            assert older.number not in left_out


class TestGw3Hosts:
    """GW-3: a VirtualService serves the hosts that it has and the server too."""

    @given(
        subsets_of_hosts,
        subsets_of_hosts,
        st.sampled_from(EXACT),
        st.sampled_from(("", "default/", "./", "*/", "bank/")),
    )
    def test_exactly_the_names_of_both(self, served: list[str], ruled: list[str], name: str, owner: str) -> None:
        shop = gateway("edge", [server([owner + one for one in served])])
        decision = router(shop, service("web", 80), rules("web", ruled)).decide(Request.of("GET", f"http://{name}/"))
        both = any(covers(one, name) for one in served) and any(covers(one, name) for one in ruled)
        assert (decision.outcome == Forwarded()) == (both and owner != "bank/")
        assert decision.outcome in (Forwarded(), NO_ROUTE)


class TestGw4Order:
    """GW-4: rules that take everything come last, whoever they belong to."""

    @given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(("/a", "/b")))
    def test_a_rule_for_everything_hides_nobody_else_s(self, old: int, new: int, path: str) -> None:
        some = rules(
            "pay",
            ["a.example"],
            old,
            http=[{"match": [{"uri": {"prefix": "/a"}}], "route": [{"destination": {"host": "pay"}}]}],
        )
        world: list[Any] = [gateway("edge", [server(["*.example"])]), service("web", 80), service("pay", 80)]
        asked = router(*world, some, rules("web", ["a.example"], new))
        decision = asked.decide(Request.of("GET", f"http://a.example{path}"))
        assert (decision.pod or "").startswith("default/pay" if path == "/a" else "default/web")

    @given(st.integers(1, 9), st.integers(1, 9))
    def test_an_exact_host_has_no_rules_of_a_wildcard(self, old: int, new: int) -> None:
        some = rules(
            "pay",
            ["a.example"],
            old,
            http=[{"match": [{"uri": {"prefix": "/a"}}], "route": [{"destination": {"host": "pay"}}]}],
        )
        world: list[Any] = [
            gateway("edge", [server(["*.example", "a.example"])]),
            service("web", 80),
            service("pay", 80),
        ]
        asked = router(*world, some, rules("web", ["b.example"], new))
        assert asked.decide(Request.of("GET", "http://a.example/b")).outcome == NO_ROUTE


class TestGw5Nobody:
    """GW-5: no rule, no route; no server, no listener."""

    @given(st.sampled_from(EXACT), st.sampled_from((80, 81)), st.booleans())
    def test_a_port_listens_if_a_server_reads_it(self, name: str, port: int, tcp: bool) -> None:
        shop = gateway("edge", [server(["a.example"], "TCP" if tcp else "HTTP")])
        outcome = router(shop).decide(Request.of("GET", f"http://{name}:{port}/")).outcome
        assert outcome == (NO_ROUTE if port == 80 and not tcp else NOBODY_LISTENS)


class TestGw6Redirects:
    """GW-6: plain requests are sent to https."""

    @given(st.booleans(), st.booleans(), st.sampled_from(("a.example", "b.example")))
    def test_one_server_that_redirects_is_enough(self, first: bool, second: bool, name: str) -> None:
        """And of hosts that it does not have, nothing is redirected."""
        world = [
            gateway(
                "edge",
                [server(["a.example", "b.example"])] if not first else [server(["a.example"], httpsRedirect=True)],
            ),
            gateway("more", [server(["a.example"], httpsRedirect=second)], day=2),
        ]
        asked = router(*world, service("web", 80), rules("web", ["*.example"]))
        outcome = asked.decide(Request.of("GET", f"http://{name}/x?y")).outcome
        if name == "a.example" and (first or second):
            assert outcome == Redirected(301, "https://a.example/x?y")
        else:
            assert outcome == (NO_ROUTE if first else Forwarded())


class TestGw7Tls:
    """GW-7: requests inside TLS are read by the server whose host is asked for."""

    @given(subsets_of_hosts, st.sampled_from(EXACT), st.sampled_from(("http", "https")))
    def test_other_names_are_closed(self, served: list[str], name: str, scheme: str) -> None:
        shop = gateway("edge", [server(served, "HTTPS", 443, mode="SIMPLE", credentialName="x")])
        asked = router(shop, service("web", 80), rules("web", ["*"]))
        outcome = asked.decide(Request.of("GET", f"{scheme}://{name}:443/")).outcome
        taken = scheme == "https" and any(covers(one, name) for one in served)
        assert outcome == (Forwarded() if taken else NOT_TAKEN)


class TestGw8Connections:
    """GW-8: connections follow the first rule that fits."""

    @given(st.lists(st.sampled_from((0, 9000, 9001)), min_size=1, max_size=4))
    def test_the_first_rule_for_the_port(self, ports: list[int]) -> None:
        """Whatever it says of the source."""
        tcp = [
            {
                "match": [
                    {"port": port, "sourceLabels": {"app": "nobody"}} if port else {"sourceNamespace": "nowhere"}
                ],
                "route": [{"destination": {"host": f"host-{number}.test", "port": {"number": 1}}}],
            }
            for number, port in enumerate(ports)
        ]
        shop = gateway("edge", [server(["*"], "TCP", 9000)])
        connected = (
            router(shop, rules("web", ["*"], tcp=tcp)).connect(mr.Connection(9000))
            if any(port != 9001 for port in ports)
            else None
        )
        first = next((number for number, port in enumerate(ports) if port != 9001), None)
        assert (connected.cluster if connected else None) == (
            None if first is None else f"outbound|1||host-{first}.test"
        )

    @given(subsets_of_hosts, st.sampled_from(("web", "pay")), st.sampled_from(("", "v1", "v2")))
    def test_clients_of_other_meshes_ask_for_clusters(self, served: list[str], name: str, subset: str) -> None:
        """Those of the services that the server has, whatever rules there are."""
        hosts = ["web.default.svc.cluster.local" if one == "a.example" else one for one in served]
        shop = gateway("edge", [server(hosts, "TLS", 15443, mode="AUTO_PASSTHROUGH")])
        versions = DestinationRule.model_validate(
            {
                "metadata": metadata("web"),
                "spec": {"host": "web", "subsets": [{"name": "v1", "labels": {"app": "web"}}]},
            }
        )
        host = f"{name}.default.svc.cluster.local"
        asked = router(shop, service("web", 80), service("pay", 80), versions, rules("web", ["*"]))
        found = asked.connect(mr.Connection(15443, server_name=f"outbound_.80_.{subset}_.{host}"))
        there = subset == "" or (name, subset) == ("web", "v1")
        taken = there and any(covers(one, host) for one in hosts)
        assert found.cluster == (f"outbound|80|{subset}|{host}" if taken else None)


class TestGw9Destinations:
    """GW-9: a destination without a port means the service's only one; a headless Service is balanced."""

    @given(st.lists(st.sampled_from((80, 81, 9080)), min_size=1, max_size=2, unique=True), st.booleans())
    def test_the_only_port_or_the_server_s(self, ports: list[int], headless: bool) -> None:
        shop = gateway("edge", [server(["*"])])
        asked = router(shop, service("web", *ports, headless=headless), rules("web", ["a.example"]))
        decision = asked.decide(Request.of("GET", "http://a.example/"))
        port = ports[0] if len(ports) == 1 else 80
        assert decision.cluster == f"outbound|{port}||web.default.svc.cluster.local"
        if port in ports:
            assert decision.outcome == Forwarded()
            assert decision.pod in ("default/web-1", "default/web-2")
        else:
            assert isinstance(decision.outcome, Failed)
            assert decision.outcome.flag == "NC"
