"""Listeners for connections: addresses, names, networks, ports that do not say what they speak.

Source    istio/istio: pilot/pkg/networking/core/listener.go, serviceentry_simulation_test.go
"""

from __future__ import annotations

import pytest

from meshroute import Connection, Request, Router, Sidecar, loads
from meshroute.compile.outbound import distinct
from meshroute.table import Chain, Listener

DB = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIPs: %s, selector: {app: db}, ports: [{name: %s, port: 3306}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, labels: {app: db}}
spec: {containers: [{name: db, image: db}]}
status: {podIP: 10.2.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
"""


def entry(name: str, addresses: str, protocol: str = "TCP", host: str = "") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{host or f"{name}.example"}]
  addresses: {addresses}
  ports: [{{number: 9999, name: p, protocol: {protocol}}}]
  resolution: STATIC
  endpoints: [{{address: 10.3.0.1}}]
"""


def router(manifests: str, **client: object) -> Router:
    return loads(manifests).router(Sidecar(**client))  # type: ignore[arg-type]  # what each test knows


def shape(listeners: tuple[Listener, ...], port: int) -> list[tuple[str, tuple[tuple[str, ...], ...], bool]]:
    """Of a port's listeners the address, the networks of each chain, and whether it sniffs."""
    found = [one for one in listeners if one.port == port]
    return [(one.address, tuple(chain.destinations for chain in one.chains), one.sniffs) for one in found]


def cluster(of: Router, port: int, address: str = "", host: str = "", name: str = "") -> str:
    return str(of.connect(Connection(port, host, address, name)).cluster)


class TestAddresses:
    """Where a service is listened for."""

    def test_each_address_of_a_family_that_the_client_has(self) -> None:
        both = DB % ('["10.1.0.9", "fd00::9"]', "tcp")
        assert shape(router(both).table.listeners, 3306) == [("10.1.0.9", ((),), False), ("fd00::9", ((),), False)]
        four = router(both, families=("IPv4",))
        assert shape(four.table.listeners, 3306) == [("10.1.0.9", ((),), False)]

    def test_names_stand_at_the_first_address(self) -> None:
        listeners = router(DB % ('["10.1.0.9", "fd00::9"]', "tcp")).table.listeners
        assert [bool(one.names) for one in listeners if one.port == 3306] == [True, False]

    def test_an_address_that_nobody_wrote_down_is_known_by_names(self) -> None:
        found = router(DB % ("[]", "tcp"))
        assert shape(found.table.listeners, 3306) == [("", ((),), False)]
        assert cluster(found, 3306, host="DB.default") == "outbound|3306||db.default.svc.cluster.local"
        assert cluster(found, 3306, host="elsewhere") == "PassthroughCluster"

    def test_a_headless_service_is_where_its_pods_are(self) -> None:
        found = router(DB % ("[], clusterIP: None", "tcp")).connect(Connection(3306, destination_ip="10.2.0.1"))
        assert found.endpoint is not None
        assert (found.cluster, found.endpoint.key) == ("outbound|3306||db.default.svc.cluster.local", "10.2.0.1:3306")

    def test_of_two_for_the_same_address_the_first(self) -> None:
        found = router(entry("a", "[1.1.1.1]") + entry("b", "[2.2.2.2, 1.1.1.1]"))
        assert cluster(found, 9999, "1.1.1.1") == "outbound|9999||a.example"
        assert cluster(found, 9999, "2.2.2.2") == "outbound|9999||b.example"


class TestShared:
    """Chains on a port's shared listener."""

    def test_networks(self) -> None:
        found = router(entry("wide", "[1.1.0.0/16]") + entry("narrow", "[1.1.1.0/24]"))
        ((address, networks, sniffs),) = shape(found.table.listeners, 9999)
        assert (address, sniffs) == ("", False)
        assert set(networks) == {("1.1.0.0/16",), ("1.1.1.0/24",)}
        assert cluster(found, 9999, "1.1.1.255") == "outbound|9999||narrow.example"
        assert cluster(found, 9999, "1.1.2.0") == "outbound|9999||wide.example"
        assert cluster(found, 9999, "1.2.0.0") == "PassthroughCluster"

    @pytest.mark.parametrize("addresses", ["[]", "[1.1.0.0/16]"])
    def test_tls_is_told_apart_by_name(self, addresses: str) -> None:
        found = router(entry("a", addresses, "TLS"))
        assert cluster(found, 9999, "1.1.1.1", name="a.example") == "outbound|9999||a.example"
        assert cluster(found, 9999, "1.1.1.1", name="b.example") == "PassthroughCluster"

    def test_http_keeps_what_no_network_has(self) -> None:
        found = router(entry("web", "[]", "HTTP") + entry("db", "[1.1.0.0/16]"))
        read = found.decide(Request.of("GET", "http://web.example:9999/", destination_ip="9.9.9.9"))
        assert read.cluster == "outbound|9999||web.example"
        unread = found.decide(Request.of("GET", "http://web.example:9999/", destination_ip="1.1.1.1"))
        assert unread.cluster == "outbound|9999||db.example"

    def test_of_chains_for_the_same_the_first_stays(self) -> None:
        first = Chain(name="first", destinations=("10.0.0.0/8",), server_names=("a", "b"))
        partly = Chain(name="partly", destinations=("10.0.0.0/8",), server_names=("b", "c"))
        other = Chain(name="other", destinations=("10.0.0.0/8",), server_names=("c",))
        assert distinct([first, partly, other]) == (first, other)
        assert distinct([other], [partly]) == ()


class TestSniffing:
    """A port whose protocol nobody named."""

    def test_requests_are_read_and_the_rest_passes(self) -> None:
        found = router(DB % ('["10.1.0.9"]', "what"))
        assert ("10.1.0.9", ((),), True) in shape(found.table.listeners, 3306)
        assert cluster(found, 3306, "10.1.0.9") == "outbound|3306||db.default.svc.cluster.local"
        got = found.decide(Request.of("GET", "http://any.host:3306/", destination_ip="10.1.0.9"))
        assert (got.cluster, got.route) == ("outbound|3306||db.default.svc.cluster.local", "default")

    def test_all_of_them_fall_through(self) -> None:
        found = router(DB % ('["10.1.0.9"]', "what") + entry("a", "[1.1.0.0/16]", "TLS") + entry("b", "[1.1.1.1]"))
        assert {one.falls_through for one in found.table.listeners if one.chains} == {True}
