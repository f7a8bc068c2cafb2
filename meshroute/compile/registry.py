"""The registry: services with their ports and members, as the control plane knows them.

Source    spec/kubernetes.md SVC-1 to SVC-5, spec/locality.md LOC-1, LOC-2; kubernetes/endpointslice: utils.go;
          istio/istio: pilot/pkg/serviceregistry, pilot/pkg/xds/endpoints/endpoint_builder.go
Inputs    Service, EndpointSlice, Node and Namespace manifests, and workloads. Exactness: members come in the order of
          their pods' names, or in that of the slices (by name) where slices are given; the order of files never counts.
Errors    none. Two services of one name are refused by the loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from meshroute.compile import pods, topology, wording
from meshroute.compile.pods import Workload
from meshroute.compile.resolve import is_subset_of
from meshroute.compile.topology import CLUSTER_NAME, Place
from meshroute.diagnostics import Diagnostic, SourceRef
from meshroute.manifest.kubernetes import (
    Deployment,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Service,
    ServicePort,
    TrafficDistribution,
)
from meshroute.manifest.kubernetes import Endpoint as SliceEndpoint
from meshroute.names import CLUSTER_DOMAIN, Host
from meshroute.table import Endpoint, Health

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PERSISTENT_SESSION_LABEL = "istio.io/persistent-session"
"""On a Service: its endpoints that are going away stay known, for the clients that they already have."""
DRAINING_LABEL = "istio.io/draining"
"""On a pod: it is going away, whatever else is said of it."""
DISTRIBUTION_ANNOTATION = "networking.istio.io/traffic-distribution"
"""On a Service or a Namespace: what `trafficDistribution` says, in any case of letters."""


class Protocol(StrEnum):
    """What a port speaks, as far as it decides whether HTTP rules apply. `UNKNOWN` is found out by each connection."""

    HTTP = "http"
    TLS = "tls"
    TCP = "tcp"
    UNKNOWN = "unknown"

    @property
    def may_be_http(self) -> bool:
        """Whether HTTP rules apply to an HTTP request on such a port."""
        return self in (Protocol.HTTP, Protocol.UNKNOWN)


_PROTOCOLS: Mapping[str, Protocol] = {
    **dict.fromkeys(("http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"), Protocol.HTTP),
    **dict.fromkeys(("https", "tls", "kubernetes.io/wss"), Protocol.TLS),
    **dict.fromkeys(("tcp", "udp", "mongo", "mysql", "redis", "thrift"), Protocol.TCP),
}


class Port(msgspec.Struct, frozen=True):
    """A port of a service."""

    number: int
    name: str
    protocol: Protocol


class Member(msgspec.Struct, frozen=True):
    """An endpoint behind one port of a service, with the labels that subsets select by."""

    endpoint: Endpoint
    labels: Mapping[str, str]


class RegisteredService(msgspec.Struct, frozen=True):
    """A service. `members` has each port's endpoints by port number; `addresses` are its virtual IPs."""

    host: Host
    namespace: str
    name: str
    ports: tuple[Port, ...]
    members: Mapping[int, tuple[Member, ...]]
    addresses: tuple[str, ...] = ()
    headless: bool = False
    external_name: str = ""
    distribution: TrafficDistribution | None = None
    at: SourceRef = SourceRef("")

    def port(self, number: int) -> Port | None:
        """The port of that number, None where the service has none."""
        return next((port for port in self.ports if port.number == number), None)


class Registry(msgspec.Struct, frozen=True):
    """All services, by host, and all workloads."""

    services: Mapping[Host, RegisteredService]
    workloads: tuple[Workload, ...]


def protocol_of(port: ServicePort) -> Protocol:
    """What a port speaks: its appProtocol, else its name up to the first `-`, else unknown. UDP and SCTP are never
    HTTP."""
    if port.protocol != "TCP":
        return Protocol.TCP
    if port.app_protocol:
        return _PROTOCOLS.get(port.app_protocol.lower(), Protocol.UNKNOWN)
    name = (port.name).lower()
    if name in _PROTOCOLS or name.startswith("grpc-web"):
        return _PROTOCOLS.get(name, Protocol.HTTP)
    return _PROTOCOLS.get(name.partition("-")[0], Protocol.UNKNOWN)


def build(
    services: Sequence[Service],
    slices: Sequence[EndpointSlice],
    given: Sequence[Pod],
    deployments: Sequence[Deployment],
    domain: str = CLUSTER_DOMAIN,
    *,
    nodes: Sequence[Node] = (),
    namespaces: Sequence[Namespace] = (),
    cluster: str = CLUSTER_NAME,
) -> tuple[Registry, list[Diagnostic]]:
    """The registry of these manifests, and notes about what had to be assumed."""
    surroundings = _Surroundings(
        domain,
        cluster,
        {one.name: topology.of_node(one.metadata.labels) for one in nodes},
        {one.name: one.metadata.annotations for one in namespaces},
    )
    found, diagnostics = pods.workloads(given, deployments, surroundings.nodes, cluster)
    by_namespace: dict[str, list[Workload]] = {}
    for workload in found:
        by_namespace.setdefault(workload.namespace, []).append(workload)
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for one in sorted(slices, key=lambda one: (one.namespace, one.name)):
        owner = one.metadata.labels.get(SERVICE_NAME_LABEL)
        if owner:
            by_service.setdefault((one.namespace, owner), []).append(one)
    registered = {}
    for service in sorted(services, key=lambda one: (one.namespace, one.name)):
        entry = _register(
            service,
            by_service.get((service.namespace, service.name)),
            by_namespace.get(service.namespace, ()),
            surroundings,
        )
        registered[entry.host] = entry
        diagnostics.extend(
            wording.port_twice(service, number)
            for number, port in enumerate(service.spec.ports)
            if any((one.port, one.protocol) == (port.port, port.protocol) for one in service.spec.ports[:number])
        )
    return Registry(registered, found), diagnostics


class _Surroundings(msgspec.Struct, frozen=True):
    """What registering a service needs to know beside it: the localities of nodes, the annotations of namespaces."""

    domain: str
    cluster: str
    nodes: Mapping[str, str]
    annotations: Mapping[str, Mapping[str, str]]


def _register(
    service: Service,
    slices: Sequence[EndpointSlice] | None,
    local: Iterable[Workload],
    surroundings: _Surroundings,
) -> RegisteredService:
    spec = service.spec
    local = tuple(local)
    selected: tuple[Workload, ...] = ()
    if spec.selector and spec.type != "ExternalName":
        selected = tuple(one for one in local if is_subset_of(spec.selector, one.labels))
    # HTTP comes over TCP: a UDP port of the same number, as DNS has it, is another port.
    served = list({port.port: port for port in reversed(spec.ports) if port.protocol == "TCP"}.values())[::-1]
    ports = tuple(Port(port.port, port.name, protocol_of(port)) for port in served)
    members: dict[int, tuple[Member, ...]] = {}
    for port in served:
        members[port.port] = tuple(
            _from_slices(service, slices, port, {one.name: one for one in local}, surroundings)
            if slices
            else _from_pods(service, selected, port)
        )
    addresses = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return RegisteredService(
        host=Host(f"{service.name}.{service.namespace}.svc.{surroundings.domain}"),
        namespace=service.namespace,
        name=service.name,
        ports=ports,
        members=members,
        addresses=tuple(one for one in addresses if one and one != "None"),
        headless=spec.cluster_ip == "None",
        external_name=spec.external_name if spec.type == "ExternalName" else "",
        distribution=distribution_of(service, surroundings.annotations.get(service.namespace, {})),
        at=service.at(),
    )


def distribution_of(service: Service, inherited: Mapping[str, str]) -> TrafficDistribution | None:
    """Which endpoints a service prefers: its field, else its annotation, else that of its namespace. The first that is
    written decides, even where it means nothing."""
    if service.spec.traffic_distribution is not None:
        return service.spec.traffic_distribution
    for said in (service.metadata.annotations, inherited):
        if written := said.get(DISTRIBUTION_ANNOTATION, "").lower():
            return next((one for one in TrafficDistribution if one.lower() == written), None)
    return None


def _health(
    service: Service, labels: Mapping[str, str], *, ready: bool, serving: bool, terminating: bool
) -> Health | None:
    """What a proxy is told of an endpoint; None for one that it is not told of.

    Of those that are going away, only services with persistent sessions keep the ones that still serve.
    """
    persistent = bool(service.metadata.labels.get(PERSISTENT_SESSION_LABEL))
    if terminating and not ready:
        return Health.DRAINING if persistent and serving else None
    if labels.get(DRAINING_LABEL):
        return Health.DRAINING if persistent else None
    return Health.HEALTHY if ready else Health.UNHEALTHY


def _from_pods(service: Service, selected: Iterable[Workload], port: ServicePort) -> Iterable[Member]:
    for workload in selected:
        number = target_port(workload, port)
        if number is None:
            continue
        health = _health(
            service,
            workload.labels,
            ready=service.spec.publish_not_ready_addresses or (workload.serving and not workload.terminating),
            serving=workload.serving,
            terminating=workload.terminating,
        )
        if health is not None:
            yield Member(
                Endpoint(workload.address, number, workload.full_name, health, locality=workload.locality),
                workload.endpoint_labels,
            )


def target_port(workload: Workload, port: ServicePort) -> int | None:
    """The container port behind a service port: by number, or by name and protocol. None: the pod is no endpoint of
    it."""
    if port.target_port is None or port.target_port == 0 or port.target_port == "":
        return port.port
    if isinstance(port.target_port, int):
        return port.target_port
    return workload.ports.get((port.target_port, port.protocol))


def _from_slices(
    service: Service,
    slices: Sequence[EndpointSlice],
    port: ServicePort,
    by_name: Mapping[str, Workload],
    surroundings: _Surroundings,
) -> Iterable[Member]:
    seen: set[tuple[str, int]] = set()
    for one in slices:
        for slice_port in one.ports:
            same = (slice_port.name) == (port.name) and (slice_port.protocol or "TCP") == port.protocol
            if not same or not slice_port.port:
                continue
            for endpoint in one.endpoints:
                key = (endpoint.addresses[0], slice_port.port) if endpoint.addresses else None
                if key is None or key in seen:
                    continue
                target = endpoint.target_ref
                pod = target.name if target and target.kind == "Pod" else ""
                locality, labels = _behind(endpoint, pod, by_name.get(pod), surroundings)
                conditions = endpoint.conditions
                health = _health(
                    service,
                    labels,
                    ready=conditions.ready is not False,
                    serving=conditions.serving is not False,
                    # Nobody has said that it stays: Istio takes that as going away.
                    terminating=conditions.terminating is not False,
                )
                if health is None:
                    continue
                seen.add(key)
                yield Member(
                    Endpoint(
                        *key,
                        workload=f"{one.namespace}/{pod}" if pod else "",
                        health=health,
                        locality=locality,
                    ),
                    labels,
                )


def _behind(
    endpoint: SliceEndpoint, pod: str, workload: Workload | None, surroundings: _Surroundings
) -> tuple[str, Mapping[str, str]]:
    """The locality of an endpoint of a slice, and its labels: those of the pod that it names.

    Of a pod that is not given, the slice still knows the node. An endpoint that names no pod stands nowhere.
    """
    if workload is not None:
        return workload.locality, workload.endpoint_labels
    node = (endpoint.node_name or "") if pod else ""
    place = Place(surroundings.nodes.get(node, ""), node)
    return place.locality, topology.described({}, place, surroundings.cluster)
