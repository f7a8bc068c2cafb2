"""Services as nodes serve them: from Services, EndpointSlices and pods to fronts.

Source    spec/kube-proxy.md KPROXY-18 to KPROXY-22, KPROXY-28, KPROXY-30, KPROXY-31; kubernetes/endpointslice:
          utils.go, reconciler.go, util/controller_utils.go, topologycache, trafficdist/trafficdist.go;
          kubernetes/kubernetes: pkg/proxy/endpointslicecache.go
Inputs    Service, EndpointSlice and Node manifests, and pods as pods.py has them. Slices that are given win over pods.
Exactness endpoints are in the order of the bytes of `ip:port`, whatever the order of files, slices and pods.
Errors    none. Hints that are asked for and cannot be made, or not without chance, are told (`hints_told`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.compile import wording
from meshroute.compile.pods import Workload
from meshroute.compile.proportional import Capacity, Hinted, capacity_of, hinted
from meshroute.compile.registry import SERVICE_NAME_LABEL, target_port
from meshroute.compile.resolve import is_subset_of
from meshroute.compile.topology import ZONE
from meshroute.diagnostics import Diagnostic
from meshroute.manifest.kubernetes import (
    AddressType,
    EndpointHints,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
    ServiceType,
    SessionAffinity,
    TrafficDistribution,
    TrafficPolicyScope,
)
from meshroute.manifest.kubernetes import Endpoint as SliceEndpoint
from meshroute.names import canonical_ip, is_ip
from meshroute.table import Endpoint
from meshroute.table.front import FAMILIES, Backend, Family, Front, FrontPort, family_of

HEADLESS: Final = "None"
ASKS: Final = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
"""Annotations by which a Service asks for proportional hints, the one that counts first first."""
Hints: TypeAlias = Mapping[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]]
"""By pod and address: the zones and the nodes that are asked to use it."""
_NO_HINTS: Final = EndpointHints()


class Cluster(msgspec.Struct, frozen=True):
    """What fronts are made of: `slices` by namespace and name of their Service, pods by namespace, nodes by name."""

    slices: Mapping[tuple[str, str], Sequence[EndpointSlice]]
    pods: Mapping[str, Sequence[Workload]]
    nodes: Mapping[str, Node]
    capacity: Capacity = Capacity()

    def zone(self, node: str) -> str:
        """The zone of a node as kube-proxy reads it; empty where nobody says."""
        known = self.nodes.get(node)
        return known.metadata.labels.get(ZONE, "") if known is not None else ""

    def addresses(self, node: str) -> frozenset[str]:
        """The addresses of a node, of all nodes for an empty name."""
        return frozenset(
            canonical_ip(one.address)
            for name, known in self.nodes.items()
            if known.status is not None and node in ("", name)
            for one in known.status.addresses
            if is_ip(one.address)
        )

    def known_nodes(self) -> list[str]:
        """Every node that anything names, in order."""
        names = {pod.node for some in self.pods.values() for pod in some}
        names |= {one.node_name or "" for some in self.slices.values() for each in some for one in each.endpoints}
        return sorted((names | set(self.nodes)) - {""})


def cluster_of(slices: Iterable[EndpointSlice], pods: Iterable[Workload], nodes: Iterable[Node]) -> Cluster:
    """What there is, in an order that depends on names alone."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for one in sorted(slices, key=lambda one: (one.namespace, one.name)):
        if owner := one.metadata.labels.get(SERVICE_NAME_LABEL):
            by_service.setdefault((one.namespace, owner), []).append(one)
    by_namespace: dict[str, list[Workload]] = {}
    for pod in pods:
        by_namespace.setdefault(pod.namespace, []).append(pod)
    by_name = {one.name: one for one in nodes}
    return Cluster(by_service, by_namespace, by_name, capacity_of(by_name.values()))


def front_of(service: Service, cluster: Cluster) -> Front:
    """What nodes know of a Service."""
    spec = service.spec
    name = f"{service.namespace}/{service.name}"
    if spec.type is ServiceType.EXTERNAL_NAME:
        return Front(name, alias=spec.external_name)
    slices = cluster.slices.get((service.namespace, service.name))
    pods = () if slices else _selected(service, cluster.pods.get(service.namespace, ()))
    hints = _hints(service, pods, cluster)
    reaches = spec.type in (ServiceType.NODE_PORT, ServiceType.LOAD_BALANCER)
    balanced = spec.type is ServiceType.LOAD_BALANCER
    ingress = service.status.load_balancer.ingress if service.status and service.status.load_balancer else ()
    ports = tuple(
        FrontPort(
            port.port,
            port.name,
            port.protocol.value,
            port.node_port if reaches else 0,
            _merged(_in_slices(slices, port) if slices else _of_pods(service, pods, port, hints)),
        )
        for port in spec.ports
    )
    virtual = tuple(canonical_ip(one) for one in spec.cluster_ips or (spec.cluster_ip,) if one and one != HEADLESS)
    return Front(
        name,
        ports,
        addresses=virtual,
        balancers=tuple(
            canonical_ip(one.ip) for one in ingress if balanced and one.ip and (one.ip_mode or "VIP") == "VIP"
        ),
        outside=tuple(canonical_ip(one) for one in spec.external_ips),
        sources=tuple(one.strip() for one in spec.load_balancer_source_ranges) if balanced else (),
        families=_families(service, virtual, ports),
        opened=spec.type is ServiceType.NODE_PORT
        or (balanced and (spec.allocate_load_balancer_node_ports is not False or any(p.node_port for p in spec.ports))),
        internal_local=spec.internal_traffic_policy is TrafficPolicyScope.LOCAL,
        external_local=spec.external_traffic_policy is TrafficPolicyScope.LOCAL,
        affinity=spec.affinity_seconds if spec.session_affinity is SessionAffinity.CLIENT_IP else None,
        headless=spec.cluster_ip == HEADLESS,
        published=_published(service, slices, pods),
    )


def _selected(service: Service, pods: Iterable[Workload]) -> tuple[Workload, ...]:
    """The pods of a Service. No selector selects none."""
    selector = service.spec.selector
    return tuple(pod for pod in pods if selector and is_subset_of(selector, pod.labels))


def _families(service: Service, virtual: Sequence[str], ports: Sequence[FrontPort]) -> tuple[Family, ...]:
    """The families of a Service, the preferred one first: as written, else those of its addresses, else IPv4 unless all
    of its endpoints are of the other."""
    written = tuple(family for one in service.spec.ip_families for family in FAMILIES if family == one)
    if written:
        return written
    if virtual:
        return tuple(dict.fromkeys(family_of(one) for one in virtual))
    if service.spec.ip_family_policy == "RequireDualStack":
        return FAMILIES
    return (
        ("IPv6",)
        if any(port.backends for port in ports) and not any(port.backends.get("IPv4") for port in ports)
        else ("IPv4",)
    )


def _merged(backends: Iterable[Backend]) -> dict[Family, tuple[Backend, ...]]:
    """Backends by family, each `ip:port` once, ordered by its bytes. Of one that is there twice, whoever is not going
    away counts, and else the first."""
    found: dict[Family, dict[str, Backend]] = {}
    for one in backends:
        of_family = found.setdefault(family_of(one.endpoint.address), {})
        if one.endpoint.key not in of_family or not one.terminating:
            of_family[one.endpoint.key] = one
    return {
        family: tuple(found[family][key] for key in sorted(found[family], key=str.encode))
        for family in FAMILIES
        if family in found
    }


def _in_slices(slices: Iterable[EndpointSlice], port: ServicePort) -> Iterator[Backend]:
    for one in slices:
        for slice_port in one.ports:
            if slice_port.name == port.name and slice_port.protocol == port.protocol and slice_port.port:
                for endpoint in one.endpoints:
                    if endpoint.addresses and one.address_type is not AddressType.FQDN:
                        yield _of_slice(one, endpoint, slice_port.port)


def _of_slice(one: EndpointSlice, endpoint: SliceEndpoint, port: int) -> Backend:
    """An endpoint of a slice: of its addresses, the first. Where conditions are silent, it is ready, serves, stays."""
    target, said = endpoint.target_ref, endpoint.conditions
    hints = endpoint.hints or _NO_HINTS
    pod = f"{target.namespace or one.namespace}/{target.name}" if target is not None and target.kind == "Pod" else ""
    return Backend(
        Endpoint(canonical_ip(endpoint.addresses[0]), port, pod),
        node=endpoint.node_name or "",
        for_zones=tuple(hint.name for hint in hints.for_zones),
        for_nodes=tuple(hint.name for hint in hints.for_nodes),
        ready=said.ready is not False,
        serving=said.serving is not False,
        terminating=said.terminating is True,
        hostname=(endpoint.hostname or "").lower(),
    )


def _of_pods(service: Service, pods: Iterable[Workload], port: ServicePort, hints: Hints) -> Iterator[Backend]:
    for pod in pods:
        number = target_port(pod, port)
        if number is not None:
            yield from _of_pod(service, pod, number, hints)


def _of_pod(service: Service, pod: Workload, port: int, hints: Hints) -> Iterator[Backend]:
    """A pod as the controller would put it into slices, one for each family."""
    for address in map(canonical_ip, (pod.address, *pod.others)):
        zones, nodes = hints.get((pod.full_name, address), ((), ()))
        yield Backend(
            Endpoint(address, port, pod.full_name, locality=pod.locality),
            node=pod.node,
            for_zones=zones,
            for_nodes=nodes,
            ready=_is_ready(service, pod),
            serving=pod.serving,
            terminating=pod.terminating,
            hostname=pod.hostname.lower() if pod.subdomain == service.name else "",
        )


def _is_ready(service: Service, pod: Workload) -> bool:
    return service.spec.publish_not_ready_addresses or (pod.serving and not pod.terminating)


# Hints


def _hints(service: Service, pods: Sequence[Workload], cluster: Cluster) -> Hints:
    """Who is asked to use each ready endpoint: whoever the annotation says, else as `trafficDistribution` has it its
    own zone and node."""
    hints: dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    prefers = service.spec.traffic_distribution
    if asks_for_hints(service):
        for family in FAMILIES:
            endpoints = _ready(service, pods, family)
            found = _shared_out(endpoints, cluster)
            if isinstance(found, Hinted):
                for (pod, address), zone in zip(endpoints, found.zones, strict=True):
                    hints[pod.full_name, address] = (zone,), ()
    elif prefers is not None:
        for pod in pods:
            zone = cluster.zone(pod.node)
            nodes = (pod.node,) if prefers is TrafficDistribution.PREFER_SAME_NODE and pod.node else ()
            if _is_ready(service, pod):
                for address in map(canonical_ip, (pod.address, *pod.others)):
                    hints[pod.full_name, address] = (zone,) if zone else (), nodes
    return hints


def asks_for_hints(service: Service) -> str:
    """The annotation by which a Service asks for proportional hints; empty where it does not. The older one counts
    first, whatever it says."""
    said = service.metadata.annotations
    name = next((one for one in ASKS if one in said), "")
    return name if said.get(name) in ("Auto", "auto") else ""


def _ready(service: Service, pods: Iterable[Workload], family: Family) -> list[tuple[Workload, str]]:
    """The endpoints of a family that are ready, in kube-proxy's order, whatever their ports."""
    found = [
        (pod, address)
        for pod in pods
        if _is_ready(service, pod)
        for address in map(canonical_ip, (pod.address, *pod.others))
        if family_of(address) == family
    ]
    return sorted(found, key=lambda one: (Endpoint(one[1], 0).key.encode(), one[0].full_name))


def _shared_out(endpoints: Sequence[tuple[Workload, str]], cluster: Cluster) -> Hinted | str:
    """The hints of endpoints, or why there are none."""
    if cluster.capacity.lacks:
        return cluster.capacity.lacks
    return hinted(cluster.capacity.ratios, [cluster.zone(pod.node) for pod, _ in endpoints])


def hints_told(services: Iterable[Service], cluster: Cluster) -> Iterator[Diagnostic]:
    """What there is to say of the Services that ask for proportional hints: that there are none, and why; or what of
    them is left to chance. Of those whose slices are given there is nothing: they have theirs."""
    for service in services:
        annotation = asks_for_hints(service)
        given = cluster.slices.get((service.namespace, service.name))
        if not annotation or given or not service.spec.selector or service.spec.cluster_ip == HEADLESS:
            continue
        front = front_of(service, cluster)
        pods = _selected(service, cluster.pods.get(service.namespace, ()))
        for family in front.families if not front.alias else ():
            endpoints = _ready(service, pods, family)
            found = _shared_out(endpoints, cluster)
            of = f" of {family}" if len(front.families) > 1 else ""
            if isinstance(found, str):
                yield wording.hints_missing(service, annotation, found, of)
            elif found.moved:
                yield wording.hints_assumed(service, annotation, found.moved, len(endpoints), found.by_chance, of)


def _published(
    service: Service,
    slices: Sequence[EndpointSlice] | None,
    pods: Iterable[Workload],
) -> dict[Family, tuple[Backend, ...]]:
    """Whose addresses a name server knows of a Service: every ready endpoint's, whatever ports it has. Port 0."""
    if slices:
        every = (
            _of_slice(one, endpoint, 0)
            for one in slices
            for endpoint in one.endpoints
            if endpoint.addresses and one.address_type is not AddressType.FQDN
        )
    else:
        every = (backend for pod in pods for backend in _of_pod(service, pod, 0, {}))
    return _merged(one for one in every if one.ready)
