"""ServiceEntries as services, and WorkloadEntries as endpoints.

Source    spec/kubernetes.md ENTRY-1 to ENTRY-6; istio/istio: pilot/pkg/serviceregistry/serviceentry/conversion.go,
          pilot/pkg/serviceregistry/kube/controller/controller.go, pilot/pkg/xds/endpoints/endpoint_builder.go
Inputs    ServiceEntries and WorkloadEntries in any order, the workloads of pods, what surrounds them.
Exactness members of a port come in the order in which they are written, those that a selector chose by kind, namespace
          and name. Names that a proxy would ask DNS for stand as the address: each counts as one endpoint.
Errors    none. Addresses that a proxy is not given are left out; check.py says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Final

import msgspec

from meshroute.compile import topology
from meshroute.compile.pods import Workload
from meshroute.compile.resolve import is_subset_of
from meshroute.compile.service import (
    LONG_AGO,
    Member,
    Port,
    Protocol,
    Reach,
    RegisteredService,
    Surroundings,
    waypoint_of,
)
from meshroute.compile.topology import NETWORK, Place
from meshroute.manifest.istio_services import EntryPort, Resolution, ServiceEntry, WorkloadEntry, WorkloadEntrySpec
from meshroute.manifest.kubernetes import TrafficDistribution
from meshroute.names import Host, is_ip
from meshroute.table import Endpoint

UNIX: Final = "unix://"
HEALTH_ANNOTATION: Final = "proxy.istio.io/health-checks-enabled"
"""On a WorkloadEntry: it serves only while its status says that it is healthy."""
_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
"""What Go reads as true."""

_REACHES: Final[Mapping[Resolution, Reach]] = {
    Resolution.NONE: Reach.ORIGINAL,
    Resolution.STATIC: Reach.LISTED,
    Resolution.DNS: Reach.NAMED,
    Resolution.DNS_ROUND_ROBIN: Reach.NAMED_ONE,
    Resolution.DYNAMIC_DNS: Reach.BY_REQUEST,
}
_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    **dict.fromkeys(("http", "http_proxy", "http2", "grpc", "grpc-web"), Protocol.HTTP),
    **dict.fromkeys(("https", "tls"), Protocol.TLS),
    **dict.fromkeys(("tcp", "mongo", "mysql"), Protocol.TCP),
    "redis": Protocol.REDIS,
}


class Candidate(msgspec.Struct, frozen=True):
    """A workload: a pod, a WorkloadEntry, or an endpoint of a ServiceEntry, which has no name. `ports` are its own, by
    name."""

    namespace: str
    name: str
    address: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    is_pod: bool = False
    weight: int = 1
    locality: str = ""

    @property
    def full_name(self) -> str:
        """`namespace/name`; empty without a name."""
        return f"{self.namespace}/{self.name}" if self.name else ""


def reach_of(entry: ServiceEntry) -> Reach:
    """How a proxy comes to the endpoints of an entry."""
    return _REACHES[entry.spec.resolution]


def protocol_of(port: EntryPort) -> Protocol:
    """What a port speaks, by the protocol that is written; whatever is not known is found out by each connection."""
    return _PROTOCOLS.get(port.protocol.lower(), Protocol.UNKNOWN)


def candidates(entries: Iterable[WorkloadEntry], surroundings: Surroundings) -> tuple[Candidate, ...]:
    """The WorkloadEntries that serve, by namespace and name. Labels of the metadata go before those of the spec."""
    found = [
        _candidate(one.spec, one.namespace, one.name, {**one.spec.labels, **one.metadata.labels}, surroundings)
        for one in entries
        if _is_healthy(one)
    ]
    return tuple(sorted(found, key=lambda one: (one.namespace, one.name)))


def candidate_of_pod(workload: Workload) -> Candidate | None:
    """A pod as a ServiceEntry may choose it; None for one that is not ready."""
    if not workload.serving or workload.terminating:
        return None
    ports = {name: number for (name, protocol), number in workload.ports.items() if protocol == "TCP"}
    return Candidate(
        workload.namespace,
        workload.name,
        workload.address,
        workload.endpoint_labels,
        ports,
        True,
        locality=workload.locality,
    )


def _candidate(
    spec: WorkloadEntrySpec, namespace: str, name: str, labels: Mapping[str, str], surroundings: Surroundings
) -> Candidate:
    locality = topology.canonical(spec.locality) or topology.of_label(labels)
    described = topology.described(labels, Place(locality), surroundings.cluster)
    if spec.network:
        described[NETWORK] = spec.network
    return Candidate(namespace, name, spec.address, described, spec.ports, weight=spec.weight or 1, locality=locality)


def _is_healthy(entry: WorkloadEntry) -> bool:
    if entry.metadata.annotations.get(HEALTH_ANNOTATION, "") not in _TRUE:
        return True
    status = entry.status if isinstance(entry.status, Mapping) else {}
    conditions = status.get("conditions") or ()
    said = next(
        (one.get("status") for one in conditions if isinstance(one, Mapping) and one.get("type") == "Healthy"), ""
    )
    return said == "True"


def services(
    entries: Iterable[ServiceEntry],
    workloads: Mapping[str, Sequence[Workload]],
    entered: Mapping[str, Sequence[Candidate]],
    surroundings: Surroundings,
) -> tuple[list[RegisteredService], Mapping[tuple[str, str], Sequence[Instance]]]:
    """The services of ServiceEntries, one for each host, oldest first; and the instances of each namespace and host.

    All entries of one namespace for one host share their instances, which belong to a port by its name. `workloads`
    and `entered` are the pods and the WorkloadEntries of each namespace.
    """
    instances: dict[tuple[str, str], list[Instance]] = {}
    found: list[RegisteredService] = []
    ordered = sorted(entries, key=lambda one: (_created(one), one.name, one.namespace))
    chosen: list[tuple[ServiceEntry, Host]] = []
    for entry in ordered:
        selected = _selected(entry, workloads.get(entry.namespace, ()), entered.get(entry.namespace, ()))
        for host in dict.fromkeys(entry.spec.hosts):
            known = instances.setdefault((entry.namespace, host), [])
            known += _instances(entry, host, selected, surroundings, known)
            chosen.append((entry, Host(host)))
    for entry, host in chosen:
        found.append(_service(entry, host, instances[entry.namespace, host], surroundings))
    return found, instances


class Instance(msgspec.Struct, frozen=True):
    """An endpoint behind the port of that name."""

    port: str
    member: Member


def of_port(instances: Iterable[Instance], name: str, reach: Reach) -> Iterator[Member]:
    """The members of a port. A proxy that is given addresses is not given names; sockets of a host are left out, and
    so is what has no address."""
    for one in instances:
        endpoint = one.member.endpoint
        if one.port == name and endpoint.port and (is_ip(endpoint.address) or (reach.by_name and endpoint.address)):
            yield one.member


def _created(entry: ServiceEntry) -> datetime:
    return entry.metadata.creation_timestamp or LONG_AGO


def _selected(
    entry: ServiceEntry, workloads: Iterable[Workload], entered: Iterable[Candidate]
) -> tuple[Candidate, ...] | None:
    """The workloads that the entry's selector chooses, pods first; None without a selector."""
    selector = entry.spec.workload_selector
    if selector is None:
        return None
    pods = (candidate_of_pod(one) for one in workloads if is_subset_of(selector.labels, one.endpoint_labels))
    found = [one for one in pods if one is not None]
    found += [one for one in entered if is_subset_of(selector.labels, one.labels)]
    by_name = reach_of(entry).by_name
    return tuple(one for one in found if by_name or is_ip(one.address))


def _instances(
    entry: ServiceEntry,
    host: str,
    selected: tuple[Candidate, ...] | None,
    surroundings: Surroundings,
    known: Sequence[Instance],
) -> list[Instance]:
    """What one entry adds for a host to what older ones have. Who asks DNS for one name has one for each port."""
    spec = entry.spec
    reach = reach_of(entry)
    taken = {one.port for one in known}
    found: list[Instance] = []
    if selected is None and not spec.endpoints and reach.by_name:
        for port in spec.ports:
            endpoint = Endpoint(host, port.target_port or port.number, hostname=host)
            found.append(Instance(port.name, Member(endpoint, {})))
    else:
        if selected is None:
            selected = tuple(
                _candidate(one, entry.namespace, "", one.labels, surroundings) for one in spec.endpoints or ()
            )
        for candidate in selected:
            for port in spec.ports:
                found.append(Instance(port.name, _member(candidate, port, reach)))
    if reach is not Reach.NAMED_ONE:
        return found
    kept: list[Instance] = []
    for one in found:
        if one.port not in taken:
            taken.add(one.port)
            kept.append(one)
    return kept


def _member(candidate: Candidate, port: EntryPort, reach: Reach) -> Member:
    number = candidate.ports.get(port.name) or port.target_port or port.number
    address = candidate.address
    if address.startswith(UNIX):
        address, number = address.removeprefix(UNIX), 0
    endpoint = Endpoint(
        address,
        number,
        candidate.full_name,
        weight=candidate.weight,
        locality=candidate.locality,
        hostname=address if reach.by_name and not is_ip(address) else "",
    )
    return Member(endpoint, candidate.labels)


def _service(
    entry: ServiceEntry, host: Host, instances: Sequence[Instance], surroundings: Surroundings
) -> RegisteredService:
    spec = entry.spec
    reach = reach_of(entry)
    served = [port for port in spec.ports if port.protocol.lower() != "udp"]
    return RegisteredService(
        host=host,
        namespace=entry.namespace,
        name=host,
        ports=tuple(Port(port.number, port.name, protocol_of(port)) for port in served),
        members={port.number: tuple(of_port(instances, port.name, reach)) for port in served},
        addresses=tuple(_address(one) for one in spec.addresses),
        distribution=distribution_of(entry.metadata.annotations, surroundings.annotations.get(entry.namespace, {})),
        at=entry.at(),
        reach=reach,
        kubernetes=False,
        created=_created(entry),
        export_to=spec.export_to,
        likeness=(
            sorted(entry.metadata.labels.items()),
            sorted(spec.workload_selector.labels.items()) if spec.workload_selector is not None else [],
            sorted(set(spec.export_to)),
        ),
        waypoint=waypoint_of(entry.metadata.labels, surroundings.labels.get(entry.namespace, {}), entry.namespace),
    )


def _address(written: str) -> str:
    """An address as written; a range of one address is that address."""
    try:
        network = ip_network(written)
    except ValueError:
        return written
    return str(network.network_address) if network.num_addresses == 1 and "/" in written else written


DISTRIBUTION_ANNOTATION: Final = "networking.istio.io/traffic-distribution"
"""On a Service, a ServiceEntry or a Namespace: what `trafficDistribution` says, in any case of letters."""


def distribution_of(*annotations: Mapping[str, str]) -> TrafficDistribution | None:
    """Which endpoints are preferred by the first of these annotations that says anything, even if it means nothing."""
    for said in annotations:
        if written := said.get(DISTRIBUTION_ANNOTATION, "").lower():
            return next((one for one in TrafficDistribution if one.lower() == written), None)
    return None
