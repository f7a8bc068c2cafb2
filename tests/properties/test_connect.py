"""Connections that nobody reads: spec/connect.md. Chains are held to a search without any index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Connection, Draws, Request, Router, RoutingTable, Sidecar, loads
from meshroute.decision import Failed, Forwarded
from meshroute.names import ClusterName
from meshroute.table import (
    Chain,
    Cluster,
    Endpoint,
    Forward,
    HashOnHeader,
    HashOnSourceIp,
    Listener,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    TableError,
    VirtualHost,
    WeightedCluster,
)

NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "fd00::/8", "fd00:1::/32")
NAMES = ("a.test", "*.test", "x.a.test", "*.a.test", "A.TEST", "b")
ONE = Cluster(ClusterName("one"), RoundRobin(), (Endpoint("10.9.0.1", 1),))
ELSE = Cluster(ClusterName("else"), RoundRobin(), (Endpoint("10.9.0.2", 1),))
TO_ONE = Forward((WeightedCluster(ONE.name),))

networks = st.sampled_from(NETWORKS)
destinations = st.sampled_from(("10.1.2.3", "10.1.2.4", "10.1.3.0", "10.2.0.0", "11.0.0.1", "fd00:1::1", "fe00::1"))
said = st.sampled_from(("", "a.test", "x.a.test", "y.x.a.test", "X.A.Test", "test", "b", "c.b", "a.test."))


def claims(chain: Chain) -> set[tuple[str, str]]:
    return {
        (one, name.lower().removeprefix("*"))
        for one in chain.destinations or ("",)
        for name in chain.server_names or ("",)
    }


@st.composite
def some_chains(draw: st.DrawFn) -> tuple[Chain, ...]:
    """Chains that no proxy would refuse together, each called by its number."""
    found: list[Chain] = []
    taken: set[tuple[str, str]] = set()
    for number in range(draw(st.integers(1, 6))):
        chain = Chain(
            TO_ONE,
            name=str(number),
            destinations=tuple(draw(st.lists(networks, unique=True, max_size=2))),
            server_names=tuple(draw(st.lists(st.sampled_from(NAMES), unique_by=str.lower, max_size=2))),
        )
        if not taken & claims(chain):
            taken |= claims(chain)
            found.append(chain)
    return tuple(found)


def table(*listeners: Listener, otherwise: ClusterName = ELSE.name) -> RoutingTable:
    return RoutingTable(listeners, (ONE, ELSE), otherwise)


def chain_of(chains: Sequence[Chain], destination: str, name: str, *, falls: bool = False) -> str | None:
    """The name of the chain that takes a connection; None where it is closed."""
    router = Router(table(Listener(9, (), chains=tuple(chains), falls_through=falls)))
    got = router.connect(Connection(9, destination_ip=destination, server_name=name))
    if got.outcome == Forwarded():
        return got.chain
    assert got.outcome == Failed(0, "NR", "filter_chain_not_found")
    return None


def by_the_book(chains: Sequence[Chain], destination: str, name: str) -> str | None:
    """CONNECT-2, read aloud."""
    address, name = ip_address(destination), name.lower()
    lengths = {
        (ip_network(one).prefixlen if one else -1)
        for chain in chains
        for one in chain.destinations or ("",)
        if not one or address in ip_network(one)
    }
    if not lengths:
        return None
    here = [
        chain
        for chain in chains
        if any(
            (ip_network(one).prefixlen if one else -1) == max(lengths) and (not one or address in ip_network(one))
            for one in chain.destinations or ("",)
        )
    ]
    parts = name.split(".")
    wanted = [name, *("*." + ".".join(parts[at:]) for at in range(1, len(parts)))] if name else []
    for asked in wanted:
        for chain in here:
            if asked in (one.lower() for one in chain.server_names):
                return chain.name
    return next((chain.name for chain in here if not chain.server_names), None)


class TestConnect1Listeners:
    """CONNECT-1: an address goes before the port; a name finds an address; the rest goes elsewhere."""

    @given(st.sets(st.sampled_from(("10.0.0.1", "10.0.0.2", "fd00::1")), min_size=1), st.booleans(), destinations)
    def test_the_listener_of_the_address_or_of_the_port(self, addresses: set[str], wide: bool, other: str) -> None:
        own = [Listener(9, (), address=one, names=(f"n{one}",), chains=(Chain(TO_ONE, name=one),)) for one in addresses]
        any_of = [Listener(9, (), chains=(Chain(TO_ONE, name="port"),))] if wide else []
        router = Router(table(*own, *any_of))
        for address in addresses:
            assert router.connect(Connection(9, destination_ip=address)).chain == address
            assert router.connect(Connection(9, host=f"N{address}")).chain == address
            assert router.connect(Connection(8, destination_ip=address)).cluster == ELSE.name
        got = router.connect(Connection(9, destination_ip=other))
        assert (got.chain, got.cluster) == (("port", ONE.name) if wide else ("", ELSE.name))

    @given(destinations)
    def test_without_a_cluster_for_the_rest_it_is_refused(self, destination: str) -> None:
        router = Router(table(otherwise=ClusterName("")))
        got = router.connect(Connection(9, destination_ip=destination))
        assert got.outcome == Failed(0, "-", "no_listener")


class TestConnect2Chains:
    """CONNECT-2: the longest network, then the name; no way back."""

    @given(some_chains(), destinations, said)
    def test_the_index_agrees_with_the_book(self, chains: tuple[Chain, ...], destination: str, name: str) -> None:
        assert chain_of(chains, destination, name) == by_the_book(chains, destination, name)

    @given(some_chains(), destinations, said, st.randoms())
    def test_the_order_of_chains_means_nothing(
        self, chains: tuple[Chain, ...], to: str, name: str, random: Any
    ) -> None:
        shuffled = random.sample(chains, len(chains))
        assert chain_of(shuffled, to, name) == chain_of(chains, to, name)

    @given(some_chains(), destinations, said)
    def test_a_more_specific_network_changes_nothing_outside_of_it(
        self, chains: tuple[Chain, ...], destination: str, name: str
    ) -> None:
        more = Chain(TO_ONE, name="more", destinations=("10.1.2.3/32",))
        if any("10.1.2.3/32" in one.destinations for one in chains):
            chains = tuple(replace(one, destinations=("10.1.2.0/25",)) for one in chains[:1])
        after = chain_of((*chains, more), destination, name)
        assert after == ("more" if destination == "10.1.2.3" else chain_of(chains, destination, name))

    @given(some_chains(), destinations, said)
    def test_a_chain_without_conditions_takes_what_no_network_does(
        self, chains: tuple[Chain, ...], destination: str, name: str
    ) -> None:
        chains = tuple(one for one in chains if one.destinations)
        within = any(ip_address(destination) in ip_network(net) for one in chains for net in one.destinations)
        found = chain_of((*chains, Chain(TO_ONE, name="any")), destination, name)
        assert found == (chain_of(chains, destination, name) if within else "any")

    @given(some_chains(), st.data())
    def test_two_chains_for_the_same_are_refused(self, chains: tuple[Chain, ...], data: st.DataObject) -> None:
        twice = data.draw(st.sampled_from(chains))
        with pytest.raises(TableError, match="two chains for the same connections"):
            chain_of((*chains, replace(twice, name="again")), "10.0.0.1", "")

    @pytest.mark.parametrize("name", ["*", "*a.test", "a.*.test", "a.*"])
    def test_a_star_elsewhere_is_refused(self, name: str) -> None:
        with pytest.raises(TableError, match="stands before a dot, at the front"):
            chain_of((Chain(TO_ONE, server_names=(name,)),), "10.0.0.1", "")


class TestConnect3FallingThrough:
    """CONNECT-3: what no chain takes goes to the one that asks for nothing, or to where unknown connections go."""

    @given(some_chains(), destinations, said)
    def test_it_changes_only_what_was_closed(self, chains: tuple[Chain, ...], destination: str, name: str) -> None:
        before = chain_of(chains, destination, name)
        after = chain_of(chains, destination, name, falls=True)
        last = next((one.name for one in chains if not one.destinations and not one.server_names), "")
        assert after == (before if before is not None else last)


class TestConnect4Clusters:
    """CONNECT-4: a cluster by weight, an endpoint as for a request without headers; dead ends close."""

    @given(st.lists(st.integers(0, 4), min_size=2, max_size=4).filter(any), st.integers(0, 2**64 - 1))
    def test_shares_are_those_of_a_route_over_the_same_draws(self, weights: list[int], stream: int) -> None:
        clusters = [replace(ONE, name=ClusterName(f"c{number}")) for number in range(len(weights))]
        forward = Forward(
            tuple(WeightedCluster(one.name, weight) for one, weight in zip(clusters, weights, strict=True))
        )
        hosts = (VirtualHost("h", ("*",), (Route(RouteMatch(), forward),)),)
        router = Router(RoutingTable((Listener(9, (), chains=(Chain(forward),)), Listener(80, hosts)), tuple(clusters)))
        draws = Draws.of(given={"stream": stream})
        got, routed = (
            router.connect(Connection(9), draws=draws),
            router.decide(Request.of("GET", "http://h/"), draws=draws),
        )
        assert (got.cluster, got.endpoint, got.effects) == (routed.cluster, routed.endpoint, routed.effects)
        counted: Counter[str | None] = Counter(
            router.connect(Connection(9), draws=Draws.of(given={"stream": one})).cluster for one in range(sum(weights))
        )
        shares = router.shares(Request.of("GET", "http://h:9/")).by_cluster
        for name, share in shares.items():
            assert abs(share - Fraction(counted[name], sum(weights))) < Fraction(
                1, 2**60
            )  # 2^64 is no multiple of sums

    @given(st.sampled_from(("192.0.2.1", "192.0.2.2", "fd00::9")), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
    def test_only_the_client_s_address_is_a_key(self, source: str, one: int, other: int) -> None:
        ring = Cluster(ClusterName("ring"), RingHash(64), tuple(Endpoint(f"10.9.0.{n}", 1) for n in range(1, 6)))

        def endpoint(policies: tuple[Any, ...], port: int, key: int) -> Any:
            forward = Forward((WeightedCluster(ring.name),), policies)
            router = Router(RoutingTable((Listener(9, (), chains=(Chain(forward),)),), (ring,)))
            connection = Connection(9, source_ip=source, source_port=port)
            return router.connect(connection, draws=Draws.of(given={"key": key})).endpoint

        assert endpoint((HashOnSourceIp(),), 1, one) == endpoint((HashOnSourceIp(),), 2, other)
        assert endpoint((HashOnHeader("x-user"),), 1, one) == endpoint((), 2, one)

    @given(destinations, st.sampled_from((("nosuch", "NC"), ("empty", "UH"))))
    def test_dead_ends_have_no_status(self, destination: str, end: tuple[str, str]) -> None:
        empty = Cluster(ClusterName("empty"), RoundRobin())
        forward = Forward((WeightedCluster(ClusterName(end[0])),))
        router = Router(RoutingTable((Listener(9, (), chains=(Chain(forward),)),), (empty,)))
        got = router.connect(Connection(9, destination_ip=destination))
        assert isinstance(got.outcome, Failed)
        assert (got.outcome.status, got.outcome.flag, got.cluster, got.effects) == (0, end[1], end[0], ())


class TestConnect5Requests:
    """CONNECT-5: a request that nobody reads goes where its connection goes."""

    @given(some_chains(), destinations, said, st.booleans(), st.booleans())
    def test_it_is_decided_as_its_connection_is(
        self, chains: tuple[Chain, ...], destination: str, name: str, tls: bool, falls: bool
    ) -> None:
        router = Router(table(Listener(9, (), chains=chains, falls_through=falls)))
        host = name.rstrip(".") or "h"
        request = Request.of("POST", f"http{'s' * tls}://{host}/x", port=9, destination_ip=destination)
        got = router.decide(request)
        alone = router.connect(Connection(9, destination_ip=destination, server_name=host if tls else ""))
        assert (got.outcome, got.route, got.cluster, got.endpoint, got.effects) == (
            alone.outcome,
            alone.chain,
            alone.cluster,
            alone.endpoint,
            alone.effects,
        )

    @given(some_chains(), destinations)
    def test_sniffed_requests_are_read_outside_of_networks(self, chains: tuple[Chain, ...], destination: str) -> None:
        hosts = (VirtualHost("h", ("*",), (Route(RouteMatch(), TO_ONE, "read"),)),)
        router = Router(table(Listener(9, hosts, chains=chains, sniffs=True)))
        within = any(ip_address(destination) in ip_network(net) for one in chains for net in one.destinations)
        got = router.decide(Request.of("GET", "http://h:9/", destination_ip=destination))
        wanted = by_the_book([one for one in chains if one.destinations], destination, "") if within else "read"
        assert got.route == (wanted or "")
        assert router.connect(Connection(9, destination_ip=destination)).chain == (
            by_the_book(chains, destination, "") or ""
        )


# What Istio makes of manifests


def service(name: str, address: str, port: int = 3306, protocol: str = "tcp", namespace: str = "shop") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {address}, selector: {{app: {name}}}, ports: [{{name: {protocol}-x, port: {port}}}]}}
---"""


def rules(spec: str, *more_hosts: str) -> str:
    """TCP or TLS rules of `db`, and of more hosts where the server names of TLS rules ask for them."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: db, namespace: shop}}
spec: {{hosts: {["db", *more_hosts]}, {spec}}}
---"""


def to(subset: str) -> str:
    return f"route: [{{destination: {{host: db, subset: {subset}}}}}]"


def connect(manifests: str, port: int = 3306, address: str = "10.8.0.1", name: str = "", **client: Any) -> str:
    """The cluster that a connection goes to, without what is the same in all."""
    router = loads(manifests).router(Sidecar(**{"namespace": "shop", **client}))
    got = router.connect(Connection(port, destination_ip=address, server_name=name))
    return str(got.cluster).removeprefix("outbound|").removesuffix(".shop.svc.cluster.local")


class TestConnect6Addresses:
    """CONNECT-6: each port of each service at its own address, and nobody else's."""

    @given(st.permutations(("10.8.0.1", "10.8.0.2", "10.8.0.3")), st.sampled_from(("tcp", "tls", "mongo", "redis")))
    def test_services_with_one_port_are_told_apart(self, addresses: list[str], protocol: str) -> None:
        named = dict(zip(("a", "b", "c"), addresses, strict=True))
        manifests = "".join(service(name, address, 3306, protocol) for name, address in named.items())
        for name, address in named.items():
            assert connect(manifests, address=address) == f"3306||{name}"
            assert connect(manifests, address=address, port=3307) == "PassthroughCluster"
        assert connect(manifests, address="10.8.0.4") == "PassthroughCluster"


class TestConnect7TcpRules:
    """CONNECT-7: the walk over TCP rules ends at the first that asks for no network."""

    @given(st.lists(st.sampled_from(("all", "port", "elsewhere", "net", "apart", "stranger")), min_size=1, max_size=5))
    def test_the_first_that_holds(self, kinds: list[str]) -> None:
        matches = {
            "all": "",
            "port": "match: [{port: 3306}], ",
            "elsewhere": "match: [{port: 1}], ",
            "net": "match: [{destinationSubnets: [10.8.0.1/32]}], ",
            "apart": "match: [{destinationSubnets: [10.9.0.0/16]}], ",
            "stranger": "match: [{sourceLabels: {app: other}, port: 3306}], ",
        }
        kinds = list(dict.fromkeys(kinds))  # a second one for the same network would be refused
        written = ", ".join(f"{{{matches[kind]}{to(f's{number}')}}}" for number, kind in enumerate(kinds))
        before_end = [kind for number, kind in enumerate(kinds) if not {"all", "port"} & set(kinds[:number])]
        wanted = "3306||db"
        if "net" in before_end:
            wanted = f"3306|s{kinds.index('net')}|db"
        else:
            last = next((number for number, kind in enumerate(before_end) if kind in ("all", "port")), None)
            wanted = f"3306|s{last}|db" if last is not None else wanted
        assert connect(service("db", "10.8.0.1") + rules(f"tcp: [{written}]")) == wanted


class TestConnect8TlsRules:
    """CONNECT-8: TLS rules by name, without any that holds the service; TCP ports are deaf to them, these to TCP."""

    @given(
        st.lists(st.sampled_from(("a.test", "*.test", "*.a.test")), unique=True),
        st.sampled_from(("a.test", "x.a.test")),
    )
    def test_the_most_specific_name(self, names: list[str], name: str) -> None:
        written = ", ".join(f"{{match: [{{sniHosts: ['{one}']}}], {to(f's{at}')}}}" for at, one in enumerate(names))
        manifests = service("db", "10.8.0.1", 443, "tls") + rules(
            f"tls: [{written}], tcp: [{{{to('deaf')}}}]", "*.test"
        )
        fitting = [one for one in names if one == name or (one.startswith("*") and name.endswith(one[1:]))]
        best = max(fitting, key=lambda one: (one == name, len(one)), default=None)
        wanted = "443||db" if not names else "PassthroughCluster"
        if best is not None:
            wanted = f"443|s{names.index(best)}|db"
        assert connect(manifests, 443, name=name) == wanted

    @given(st.sampled_from(("", "a.test")))
    def test_a_tcp_port_is_deaf_to_them(self, name: str) -> None:
        manifests = service("db", "10.8.0.1") + rules(
            f"tls: [{{match: [{{sniHosts: [a.test]}}], {to('deaf')}}}]", "*.test"
        )
        assert connect(manifests, name=name) == "3306||db"


class TestConnect9Destinations:
    """CONNECT-9: weights, ports and the key of a rule's destinations."""

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(lambda some: len(some) == 1 or any(some)))
    def test_weights_of_nothing_get_nothing(self, weights: list[int]) -> None:
        written = ", ".join(
            f"{{destination: {{host: db, subset: s{at}}}, weight: {weight}}}" for at, weight in enumerate(weights)
        )
        table_of = (
            loads(service("db", "10.8.0.1") + rules(f"tcp: [{{route: [{written}]}}]")).router(Sidecar("shop")).table
        )
        chain = next(one.chains[0] for one in table_of.listeners if one.address == "10.8.0.1")
        assert chain.forward is not None
        wanted = [
            (f"outbound|3306|s{at}|db.shop.svc.cluster.local", weight) for at, weight in enumerate(weights) if weight
        ]
        if len(weights) == 1:
            wanted = [("outbound|3306|s0|db.shop.svc.cluster.local", 1)]
        assert [(one.cluster, one.weight) for one in chain.forward.clusters] == wanted

    @given(st.sampled_from(("useSourceIp: true", "httpHeaderName: x-user")), st.booleans())
    def test_only_the_address_is_hashed(self, hashed: str, first: bool) -> None:
        policy = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: db, namespace: shop}}
spec: {{host: db, trafficPolicy: {{loadBalancer: {{consistentHash: {{{hashed}}}}}}}}}
---"""
        hosts = ("db", "other") if first else ("other", "db")
        written = ", ".join(f"{{destination: {{host: {host}}}, weight: 1}}" for host in hosts)
        manifests = service("db", "10.8.0.1") + service("other", "10.8.0.2") + policy
        table_of = loads(manifests + rules(f"tcp: [{{route: [{written}]}}]")).router(Sidecar("shop")).table
        chain = next(one.chains[0] for one in table_of.listeners if one.address == "10.8.0.1")
        assert chain.forward is not None
        assert chain.forward.hash_policies == ((HashOnSourceIp(),) if first and "Source" in hashed else ())
