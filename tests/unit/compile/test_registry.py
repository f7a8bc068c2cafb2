"""The registry: what ports speak, which addresses services have, whose slices are whose.

Source    istio/istio: pkg/config/kube (ConvertProtocol), pkg/config/protocol; kubernetes/endpointslice: utils.go
"""

from __future__ import annotations

import pytest

from meshroute.compile.pods import Workload, safe_name
from meshroute.compile.registry import Protocol, Registry, build, protocol_of, target_port
from meshroute.manifest import ObjectMeta, Pod, Service
from meshroute.manifest.kubernetes import PodSpec, PodStatus, ServicePort, ServiceSpec
from meshroute.names import Host


class TestProtocol:
    """A port's appProtocol, else its name up to the first `-`; unknown ones are found out by each connection."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("http", Protocol.HTTP),
            ("http-admin", Protocol.HTTP),
            ("HTTP-admin", Protocol.HTTP),
            ("http2", Protocol.HTTP),
            ("grpc-api", Protocol.HTTP),
            ("grpc-web", Protocol.HTTP),
            ("grpc-web-ui", Protocol.HTTP),
            ("https", Protocol.TLS),
            ("tls-raw", Protocol.TLS),
            ("tcp", Protocol.TCP),
            ("mongo-main", Protocol.TCP),
            ("redis", Protocol.REDIS),
            ("", Protocol.UNKNOWN),
            ("web", Protocol.UNKNOWN),
            ("httpx", Protocol.UNKNOWN),
            ("my-http", Protocol.UNKNOWN),
        ],
    )
    def test_by_name(self, name: str, expected: Protocol) -> None:
        assert protocol_of(ServicePort(name=name, port=80)) is expected

    @pytest.mark.parametrize(
        ("app_protocol", "expected"),
        [
            ("http", Protocol.HTTP),
            ("HTTP", Protocol.HTTP),
            ("kubernetes.io/h2c", Protocol.HTTP),
            ("kubernetes.io/ws", Protocol.HTTP),
            ("kubernetes.io/wss", Protocol.TLS),
            ("https", Protocol.TLS),
            ("example.com/own", Protocol.UNKNOWN),
        ],
    )
    def test_the_app_protocol_goes_before_the_name(self, app_protocol: str, expected: Protocol) -> None:
        assert protocol_of(ServicePort(name="tcp", port=80, app_protocol=app_protocol)) is expected

    @pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
    def test_no_other_transport_speaks_http(self, protocol: str) -> None:
        port = ServicePort.model_validate({"name": "http", "port": 80, "protocol": protocol})
        assert protocol_of(port) is Protocol.TCP

    def test_rules_apply_to_http_and_to_what_may_be_it(self) -> None:
        assert [one for one in Protocol if one.may_be_http] == [Protocol.HTTP, Protocol.UNKNOWN]


class TestTargetPort:
    """The port of a pod behind a port of a service."""

    @pytest.mark.parametrize(
        ("target", "expected"),
        [(None, 80), (0, 80), ("", 80), (8080, 8080), ("web", 9090), ("other", None), ("udp", None)],
    )
    def test_by_number_or_by_name_and_transport(self, target: int | str | None, expected: int | None) -> None:
        pod = Workload("shop", "a", "10.8.0.1", {}, {("web", "TCP"): 9090, ("udp", "UDP"): 53})
        assert target_port(pod, ServicePort(port=80, target_port=target)) == expected


def registry(spec: ServiceSpec) -> Registry:
    """A registry with one service, `web` in `shop`, and one pod of it."""
    pod = Pod(
        metadata=ObjectMeta(name="a", namespace="shop", labels={"app": "web"}),
        spec=PodSpec(containers=()),
        status=PodStatus(pod_ip="10.8.0.1"),
    )
    service = Service(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec)
    found, said = build([service], [], [pod], [], "mesh.test")
    assert said == []
    return found


class TestService:
    """What is registered of a service."""

    @pytest.mark.parametrize(
        ("written", "addresses", "headless"),
        [
            ({}, (), False),
            ({"clusterIP": "10.96.0.1"}, ("10.96.0.1",), False),
            ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}, ("10.96.0.1", "fd00::1"), False),
            ({"clusterIP": "None"}, (), True),
            ({"clusterIP": "None", "clusterIPs": ["None"]}, (), True),
        ],
    )
    def test_addresses(self, written: dict[str, object], addresses: tuple[str, ...], headless: bool) -> None:
        (found,) = registry(ServiceSpec.model_validate(written)).services.values()
        assert (found.addresses, found.headless) == (addresses, headless)

    def test_the_domain_is_the_cluster_s(self) -> None:
        assert list(registry(ServiceSpec()).services) == ["web.shop.svc.mesh.test"]

    def test_members_by_port(self) -> None:
        ports = (ServicePort(name="a", port=80), ServicePort(name="b", port=81, target_port="nobody"))
        found = registry(ServiceSpec(selector={"app": "web"}, ports=ports)).services[Host("web.shop.svc.mesh.test")]
        assert {number: [str(one.endpoint.key) for one in members] for number, members in found.members.items()} == {
            80: ["10.8.0.1:80"],
            81: [],
        }
        assert found.port(81) is not None
        assert found.port(82) is None

    def test_a_port_of_another_transport_is_not_there(self) -> None:
        udp = ServicePort.model_validate({"name": "dns", "port": 53, "protocol": "UDP"})
        found = registry(ServiceSpec(ports=(udp,))).services[Host("web.shop.svc.mesh.test")]
        assert (found.ports, found.members) == ((), {})


class TestSafeName:
    """Letters of generated names."""

    @pytest.mark.parametrize(
        ("number", "length", "expected"), [(0, 1, "b"), (26, 1, "9"), (27, 2, "bc"), (27**5, 5, "bbbbb")]
    )
    def test_least_significant_first(self, number: int, length: int, expected: str) -> None:
        assert safe_name(number, length) == expected
