"""The registry: services with their ports and members, as the control plane knows them.

Source    spec/kubernetes.md SVC-1 to SVC-5, spec/locality.md LOC-1, LOC-2; kubernetes/endpointslice: utils.go;
          istio/istio: pilot/pkg/serviceregistry, pilot/pkg/xds/endpoints/endpoint_builder.go
Inputs    Service, EndpointSlice, Node and Namespace manifests, and workloads. Exactness: members come in the order of
          their pods' names, or in that of the slices (by name) where slices are given; the order of files never counts.
Errors    none. Two services of one name are refused by the loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meshroute.compile import entries, pods, topology, wording
from meshroute.compile.entries import Candidate, Instance
from meshroute.compile.pods import Workload
from meshroute.compile.resolve import is_subset_of
from meshroute.compile.service import (
    LONG_AGO,
    Member,
    Port,
    Protocol,
    Reach,
    RegisteredService,
    Registry,
    Surroundings,
    first_of_each,
    waypoint_of,
)
from meshroute.compile.topology import CLUSTER_NAME, Place
from meshroute.diagnostics import Diagnostic
from meshroute.manifest.istio_services import ServiceEntry, WorkloadEntry
from meshroute.manifest.kubernetes import (
    AddressType,
    Deployment,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Service,
    ServicePort,
    TrafficDistribution,
    TrafficPolicyScope,
)
from meshroute.manifest.kubernetes import Endpoint as SliceEndpoint
from meshroute.names import CLUSTER_DOMAIN, Host, is_ip
from meshroute.table import Endpoint, Health

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PERSISTENT_SESSION_LABEL = "istio.io/persistent-session"
"""On a Service: its endpoints that are going away stay known, for the clients that they already have."""
DRAINING_LABEL = "istio.io/draining"
"""On a pod: it is going away, whatever else is said of it."""
EXPORT_ANNOTATION = "networking.istio.io/exportTo"
"""On a Service: who may see it, with commas between the namespaces."""

__all__ = ["Member", "Port", "Protocol", "Reach", "RegisteredService", "Registry", "build", "distribution_of"]

_PROTOCOLS: Mapping[str, Protocol] = {
    **dict.fromkeys(("http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"), Protocol.HTTP),
    **dict.fromkeys(("https", "tls", "kubernetes.io/wss"), Protocol.TLS),
    **dict.fromkeys(("tcp", "udp", "mongo", "mysql", "thrift"), Protocol.TCP),
    "redis": Protocol.REDIS,
}


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
    service_entries: Sequence[ServiceEntry] = (),
    workload_entries: Sequence[WorkloadEntry] = (),
) -> tuple[Registry, list[Diagnostic]]:
    """The registry of these manifests, and notes about what had to be assumed."""
    surroundings = Surroundings(
        domain,
        cluster,
        {one.name: topology.of_node(one.metadata.labels) for one in nodes},
        {one.name: one.metadata.annotations for one in namespaces},
        {one.name: one.metadata.labels for one in namespaces},
    )
    found, diagnostics = pods.workloads(given, deployments, surroundings.nodes, cluster)
    by_namespace: dict[str, list[Workload]] = {}
    for workload in found:
        by_namespace.setdefault(workload.namespace, []).append(workload)
    entered: dict[str, list[Candidate]] = {}
    for candidate in entries.candidates(workload_entries, surroundings):
        entered.setdefault(candidate.namespace, []).append(candidate)
    local = {
        namespace: _Local(by_namespace.get(namespace, ()), entered.get(namespace, ()))
        for namespace in {one.namespace for one in services}
    }
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for one in sorted(slices, key=lambda one: (one.namespace, one.name)):
        owner = one.metadata.labels.get(SERVICE_NAME_LABEL)
        if owner:
            by_service.setdefault((one.namespace, owner), []).append(one)
    external, instances = entries.services(service_entries, by_namespace, entered, surroundings)
    registered = list(external)
    for service in sorted(services, key=lambda one: (one.namespace, one.name)):
        entry = _register(
            service, by_service.get((service.namespace, service.name)), local[service.namespace], surroundings
        )
        registered.append(_with_instances(entry, instances.get((entry.namespace, entry.host), ())))
        diagnostics.extend(
            wording.port_twice(service, number)
            for number, port in enumerate(service.spec.ports)
            if any((one.port, one.protocol) == (port.port, port.protocol) for one in service.spec.ports[:number])
        )
    everything = _with_aliases(sorted(registered, key=lambda one: one.age))
    by_host = first_of_each(everything)
    known = {one.host: one for one in sorted(by_host.values(), key=lambda one: (one.namespace, one.name))}
    return Registry(known, found, everything), diagnostics


class _Local:
    """What runs in one namespace, ready to be selected."""

    def __init__(self, workloads: Sequence[Workload], entered: Sequence[Candidate]) -> None:
        self.by_name: Final = {one.name: one for one in workloads}
        self._entered: Final = entered
        # Each label of each pod, so that a selector looks at those that have one of its labels and at no other.
        self._having: Final[dict[tuple[str, str], list[Workload]]] = {}
        for one in workloads:
            for label in one.labels.items():
                self._having.setdefault(label, []).append(one)

    def pods(self, selector: Mapping[str, str]) -> tuple[Workload, ...]:
        """The pods that have all these labels, by name; nothing for no label."""
        fewest = min((self._having.get(label, []) for label in selector.items()), key=len, default=[])
        return tuple(one for one in fewest if is_subset_of(selector, one.labels))

    def entries(self, selector: Mapping[str, str]) -> Iterator[Candidate]:
        """The WorkloadEntries with an address that have all these labels; nothing for no label."""
        for one in self._entered:
            if selector and is_ip(one.address) and is_subset_of(selector, one.labels):
                yield one


def _with_instances(service: RegisteredService, instances: Sequence[Instance]) -> RegisteredService:
    """A service with what ServiceEntries of its namespace say about its host: those come first."""
    if not instances or service.reach is not Reach.LISTED:
        return service
    members = {
        port.number: (*entries.of_port(instances, port.name, service.reach), *service.members[port.number])
        for port in service.ports
    }
    return msgspec.structs.replace(service, members=members)


def _with_aliases(services: Sequence[RegisteredService]) -> tuple[RegisteredService, ...]:
    """Services with the hosts of those that stand for them, by namespace and host. Aliases of aliases count; of those
    that stand for each other in a ring, none does."""
    stands_for = {one.host: one.external_name for one in services if one.reach is Reach.ALIAS}
    if not stands_for:
        return tuple(services)
    aliases: dict[str, list[tuple[str, Host]]] = {}
    for one in services:
        if one.reach is not Reach.ALIAS:
            continue
        seen, there = {one.host}, one.external_name
        while there in stands_for and there not in seen:
            seen.add(Host(there))
            there = stands_for[Host(there)]
        if there not in seen:
            aliases.setdefault(there, []).append((one.namespace, one.host))
    return tuple(
        msgspec.structs.replace(one, aliases=tuple(host for _, host in sorted(aliases[one.host])))
        if one.host in aliases
        else one
        for one in services
    )


def _register(
    service: Service,
    slices: Sequence[EndpointSlice] | None,
    local: _Local,
    surroundings: Surroundings,
) -> RegisteredService:
    spec = service.spec
    external = spec.external_name if spec.type == "ExternalName" else ""
    headless = spec.cluster_ip == "None"
    reach = Reach.ORIGINAL if headless else Reach.ALIAS if external else Reach.LISTED
    selector = spec.selector if spec.type != "ExternalName" else {}
    selected = local.pods(selector)
    # HTTP comes over TCP: a UDP port of the same number, as DNS has it, is another port.
    served = list({port.port: port for port in reversed(spec.ports) if port.protocol == "TCP"}.values())[::-1]
    ports = tuple(Port(port.port, port.name, protocol_of(port)) for port in served)
    members: dict[int, tuple[Member, ...]] = {}
    for port in served:
        members[port.port] = tuple(
            _from_slices(service, slices, port, local.by_name, surroundings)
            if slices
            else _from_pods(service, selected, port)
        )
        if reach is Reach.LISTED:
            members[port.port] += tuple(_from_entries(local.entries(selector), port))
    addresses = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    exports = service.metadata.annotations.get(EXPORT_ANNOTATION, "")
    return RegisteredService(
        host=Host(f"{service.name}.{service.namespace}.svc.{surroundings.domain}"),
        namespace=service.namespace,
        name=service.name,
        ports=ports,
        members=members,
        addresses=tuple(one for one in addresses if one and one != "None"),
        headless=headless,
        external_name=external,
        distribution=distribution_of(service, surroundings.annotations.get(service.namespace, {})),
        at=service.at(),
        reach=reach,
        created=service.metadata.creation_timestamp or LONG_AGO,
        export_to=tuple(one.strip() for one in exports.split(",")) if exports else (),
        node_local=spec.internal_traffic_policy is TrafficPolicyScope.LOCAL,
        waypoint=waypoint_of(
            service.metadata.labels, surroundings.labels.get(service.namespace, {}), service.namespace
        ),
    )


def _from_entries(chosen: Iterable[Candidate], port: ServicePort) -> Iterable[Member]:
    """WorkloadEntries behind a port of a Service. A named `targetPort` has to be among their ports."""
    for one in chosen:
        number = one.ports.get(port.target, 0) if isinstance(port.target, str) else port.target
        if number:
            endpoint = Endpoint(one.address, number, one.full_name, weight=one.weight, locality=one.locality)
            yield Member(endpoint, one.labels)


def distribution_of(service: Service, inherited: Mapping[str, str]) -> TrafficDistribution | None:
    """Which endpoints a service prefers: its field, else its annotation, else that of its namespace. The first that is
    written decides, even where it means nothing."""
    if service.spec.traffic_distribution is not None:
        return service.spec.traffic_distribution
    return entries.distribution_of(service.metadata.annotations, inherited)


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
    surroundings: Surroundings,
) -> Iterable[Member]:
    seen: set[tuple[str, int]] = set()
    for one in slices:
        if one.address_type is AddressType.FQDN:  # proxies are not given names
            continue
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
    endpoint: SliceEndpoint, pod: str, workload: Workload | None, surroundings: Surroundings
) -> tuple[str, Mapping[str, str]]:
    """The locality of an endpoint of a slice, and its labels: those of the pod that it names.

    Of a pod that is not given, the slice still knows the node. An endpoint that names no pod stands nowhere.
    """
    if workload is not None:
        return workload.locality, workload.endpoint_labels
    node = (endpoint.node_name or "") if pod else ""
    place = Place(surroundings.nodes.get(node, ""), node)
    return place.locality, topology.described({}, place, surroundings.cluster)
