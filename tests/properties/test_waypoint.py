"""What a waypoint receives: spec/waypoint.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute import Request
from meshroute.conformance.seeing import Admitted
from meshroute.decision import NO_CLUSTER, NO_ROUTE, NOBODY_LISTENS, Forwarded, Responded
from meshroute.manifest import Resource
from meshroute.manifest.istio import VirtualService
from meshroute.manifest.kubernetes import Namespace, Pod, Service

USE = "istio.io/use-waypoint"
USE_NAMESPACE = "istio.io/use-waypoint-namespace"
DOOR = mr.Waypoint("shop/door")
NAMESPACES = ("shop", "bank", "edge")


def metadata(name: str, namespace: str = "shop", day: int = 1, labels: Mapping[str, str] | None = None) -> Any:
    return {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": f"2020-01-{day:02}T00:00:00Z",
        "labels": dict(labels or {}),
    }


def service(
    name: str,
    *ports: tuple[str, int],
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    address: str = "",
) -> list[Resource]:
    """A service with a pod. Unless told otherwise, it uses the waypoint."""
    labels = {USE: "door", USE_NAMESPACE: "shop"} if labels is None else labels
    spec: dict[str, Any] = {
        "selector": {"app": name},
        "ports": [{"name": kind, "port": number} for kind, number in ports or (("http", 80),)],
    }
    if address:
        spec["clusterIP"] = address
    pod = {
        "metadata": metadata(f"{name}-0", namespace, labels={"app": name}),
        "spec": {"containers": [{"name": "main"}]},
        "status": {"podIP": f"10.8.0.{len(name)}"},
    }
    return [
        Service.model_validate({"metadata": metadata(name, namespace, labels=labels), "spec": spec}),
        Pod.model_validate(pod),
    ]


def rules(name: str, hosts: Sequence[str], namespace: str = "shop", day: int = 1, **spec: Any) -> VirtualService:
    return VirtualService.model_validate(
        {"metadata": metadata(name, namespace, day), "spec": {"hosts": list(hosts), **spec}}
    )


def answers(status: int, **asked: Any) -> dict[str, Any]:
    """A rule that answers with a status, to all requests or to those that are asked for."""
    return {"directResponse": {"status": status}, **({"match": [asked]} if asked else {})}


def router(*resources: Resource | Sequence[Resource], waypoint: mr.Waypoint = DOOR) -> mr.Router:
    flat: list[Resource] = []
    for some in resources:
        flat += [some] if isinstance(some, Resource) else some
    return Admitted(flat).router(waypoint)


def own(port: int, protocol: str, name: str) -> str:
    return f"inbound-vip|{port}|{protocol}|{name}.shop.svc.cluster.local"


said = st.sampled_from((None, "door", "window", "none"))
whose = st.sampled_from((None, *NAMESPACES))


class TestWay1Whose:
    """WAY-1: the service says whose it is, else its namespace does."""

    @given(said, whose, said, whose, st.sampled_from(NAMESPACES))
    def test_the_nearest_word_counts(
        self, own_name: str | None, own_place: str | None, name: str | None, place: str | None, asked: str
    ) -> None:
        def labels(one: str | None, of: str | None) -> dict[str, str]:
            return {key: value for key, value in ((USE, one), (USE_NAMESPACE, of)) if value is not None}

        home = Namespace.model_validate({"metadata": {"name": "shop", "labels": labels(name, place)}})
        waypoint = mr.Waypoint(f"{asked}/door")
        web = service("web", labels=labels(own_name, own_place))
        used, where = (own_name, own_place) if own_name is not None else (name, place)
        outcome = router(home, web, waypoint=waypoint).decide(Request.of("GET", "http://web.shop/")).outcome
        theirs = used == "door" and (where or "shop") == asked
        assert outcome == (Forwarded() if theirs else NOBODY_LISTENS)


class TestWay2Authority:
    """WAY-2: where the client was led to is the service, whatever it says of the host."""

    @given(
        st.sampled_from(("web.shop", "pay.shop", "elsewhere.example", "10.96.0.2")),
        st.sampled_from((("10.96.0.1", "web"), ("10.96.0.2", "pay"))),
        st.sampled_from((("http", 80, "http"), ("any", 81, "http"), ("tcp", 82, "tcp"))),
    )
    def test_the_address_chooses(self, name: str, led: tuple[str, str], port: tuple[str, int, str]) -> None:
        ports = (("http", 80), ("any", 81), ("tcp", 82))
        world = [*service("web", *ports, address="10.96.0.1"), *service("pay", *ports, address="10.96.0.2")]
        address, expected = led
        asked = Request.of("GET", f"http://{name}:{port[1]}/", destination_ip=address)
        assert router(world).decide(asked).cluster == own(port[1], port[2], expected)


class TestWay3Rules:
    """WAY-3: all VirtualServices of the two namespaces follow each other, each up to its own rule for everything."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(NAMESPACES),
                st.sampled_from(("web.shop.svc.cluster.local", "*.shop.svc.cluster.local", "*.local", "pay.shop")),
                st.lists(st.sampled_from(("/a", "/b", "")), min_size=1, max_size=3),
            ),
            max_size=4,
        ),
        st.sampled_from(("/a", "/b", "/c")),
        st.sampled_from(("shop", "edge")),
    )
    def test_the_first_rule_of_all(self, some: list[tuple[str, str, list[str]]], path: str, place: str) -> None:
        written, expected, number = [], None, 400
        for day, (namespace, host, prefixes) in enumerate(some, start=1):
            http = []
            for prefix in prefixes:
                number += 1
                http.append(answers(number, **({"uri": {"prefix": prefix}} if prefix else {})))
                fits = namespace in ("shop", place) and host != "pay.shop" and path.startswith(prefix)
                expected = number if expected is None and fits else expected
            written.append(rules(f"r{day}", [host], namespace, day, http=http))
        web = service("web", labels={USE: "door", USE_NAMESPACE: place})
        decision = router(web, written, waypoint=mr.Waypoint(f"{place}/door")).decide(
            Request.of("GET", f"http://web.shop{path}")
        )
        concerned = any(one in ("shop", place) and host != "pay.shop" for one, host, _ in some)
        if expected is not None:
            assert decision.outcome == Responded(expected)
        elif concerned:
            assert decision.rule is None
            assert decision.outcome == NO_ROUTE
        else:
            assert (decision.outcome, decision.route) == (Forwarded(), "default")

    @given(st.sampled_from(("/a", "/b")), st.integers(1, 9), st.integers(1, 9))
    def test_a_rule_for_everything_stays_where_it_is(self, path: str, day: int, other: int) -> None:
        """At a gateway it would go behind the others."""
        everything = rules("everything", ["web"], day=day, http=[answers(401)])
        some = rules("some", ["web"], day=other, http=[answers(402, uri={"prefix": "/a"})])
        decision = router(service("web"), everything, some).decide(Request.of("GET", f"http://web.shop{path}"))
        # Of one age, the first by name is the older.
        assert decision.outcome == Responded(402 if other < day and path == "/a" else 401)


class TestWay4Conditions:
    """WAY-4: nobody has labels, the source's namespace is the waypoint's, and `mesh` is the gateway."""

    @given(
        st.sampled_from(("", "shop", "edge", "bank")),
        st.booleans(),
        st.sampled_from((0, 80, 81)),
        st.sampled_from(((), ("mesh",), ("edge",), ("edge", "mesh"))),
        st.sampled_from(("shop", "edge")),
    )
    def test_an_alternative(self, source: str, labels: bool, port: int, gateways: tuple[str, ...], place: str) -> None:
        asked: dict[str, Any] = {"uri": {"prefix": "/"}}
        asked |= {"sourceNamespace": source} if source else {}
        asked |= {"sourceLabels": {"app": "door"}} if labels else {}
        asked |= {"port": port} if port else {}
        asked |= {"gateways": list(gateways)} if gateways else {}
        web = service("web", labels={USE: "door", USE_NAMESPACE: place})
        decision = router(
            web, rules("web", ["web"], http=[answers(418, **asked)]), waypoint=mr.Waypoint(f"{place}/door")
        ).decide(Request.of("GET", "http://web.shop/"))
        # With gateways named, the namespace of the source is not looked at (MATCH-12).
        fits = not labels and port != 81 and ("mesh" in gateways if gateways else source in ("", place))
        assert decision.outcome == (Responded(418) if fits else Forwarded())


class TestWay5Clusters:
    """WAY-5: its own services have clusters by protocol, others the usual ones."""

    @given(
        st.sampled_from(("http", "grpc", "tcp", "tls", "https", "mysql", "any", "foo-http")),
        st.booleans(),
        st.sampled_from((None, 80, 90, 91)),
        st.booleans(),
    )
    def test_a_destination(self, kind: str, inside: bool, number: int | None, several: bool) -> None:
        ports = ((f"{kind}-x", 90), *((("http-y", 91),) if several else ()))
        pay = service("pay", *ports, labels=None if inside else {})
        destination: dict[str, Any] = {"host": "pay"} | ({"port": {"number": number}} if number else {})
        some = rules("web", ["web"], http=[{"route": [{"destination": destination}]}])
        decision = router(service("web"), pay, some).decide(Request.of("GET", "http://web.shop/"))
        port = number or (80 if several else 90)
        raw = port == 90 and kind in ("tcp", "tls", "https", "mysql")
        name = own(port, "tcp" if raw else "http", "pay")
        assert decision.cluster == (name if inside else f"outbound|{port}||pay.shop.svc.cluster.local")
        assert decision.outcome == (Forwarded() if port in [one for _, one in ports] else NO_CLUSTER)

    @given(st.sampled_from(("http", "tcp", "any")), st.booleans())
    def test_a_port_has_clusters_for_what_it_speaks(self, kind: str, inside: bool) -> None:
        """And none beside them that sidecars have."""
        pay = service("pay", (f"{kind}-x", 90), labels=None if inside else {})
        names = {
            one.name
            for one in router(service("web"), pay).table.clusters
            if one.name.endswith("pay.shop.svc.cluster.local")
        }
        spoken = {"http": {"http"}, "tcp": {"tcp"}, "any": {"http", "tcp"}}[kind]
        outside = {"outbound|90||pay.shop.svc.cluster.local"}
        assert names == ({own(90, one, "pay") for one in spoken} if inside else outside)


class TestWay6Connections:
    """WAY-6: a TLS rule for the service alone, else the first TCP rule that asks nothing of the source."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("tcp", "tls")),
                st.sampled_from((0, 90, 91)),
                st.sampled_from(("", "sourceLabels", "sourceNamespace", "destinationSubnets")),
                st.sampled_from(((), ("mesh",), ("edge",))),
                st.sampled_from(
                    (("web.shop.svc.cluster.local",), ("*.local",), ("web.shop.svc.cluster.local", "x.test"))
                ),
            ),
            max_size=4,
        ),
        st.booleans(),
    )
    def test_the_first_that_fits(
        self, some: list[tuple[str, int, str, tuple[str, ...], tuple[str, ...]]], tls: bool
    ) -> None:
        values: dict[str, Any] = {
            "sourceLabels": {"app": "x"},
            "sourceNamespace": "shop",
            "destinationSubnets": ["192.0.2.0/24"],
        }
        written, fitting = [], []
        for number, (kind, port, more, gateways, names) in enumerate(some):
            asked: dict[str, Any] = {"port": port} if port else {}
            asked |= {more: values[more]} if more else {}
            asked |= {"gateways": list(gateways)} if gateways else {}
            asked |= {"sniHosts": list(names)} if kind == "tls" else {}
            route = [{"destination": {"host": f"host-{number}.test", "port": {"number": 1}}}]
            spec: dict[str, Any] = {kind: [{"match": [asked], "route": route}]}
            written.append(rules(f"r{number}", names if kind == "tls" else ["web"], day=number + 1, **spec))
            fits = port != 91 and more not in ("sourceLabels", "sourceNamespace") and gateways != ("edge",)
            if fits and (kind == "tcp" or names == ("web.shop.svc.cluster.local",)):
                fitting.append((kind, number))
        connection = mr.Connection(90, host="web.shop", server_name="else.example" if tls else "")
        connected = router(service("web", ("tcp", 90)), written).connect(connection)
        chosen = min(fitting, key=lambda one: (one[0] != "tls", one[1]), default=None)
        expected = own(90, "tcp", "web") if chosen is None else f"inbound-vip|1|http|host-{chosen[1]}.test"
        assert connected.cluster == expected
