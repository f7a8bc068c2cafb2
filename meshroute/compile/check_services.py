"""What Istio's webhook and its schema refuse in ServiceEntries, WorkloadEntries and WorkloadGroups, each in its place.

Source    spec/validate.md CHECK-23, CHECK-24; istio/istio: pkg/config/validation/validation.go (ValidateServiceEntry,
          validateWorkloadEntry, ValidateWorkloadGroup), manifests/charts/base/files/crd-all.gen.yaml (its rules)
Inputs    resources whose fields have the schema's types. Exactness: what is refused is an error, what is accepted is
          not.
Errors    none: the answer is faults with their field paths.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from meshroute.compile.check_fault import UNIX, Fault, export_faults, labels_faults, selector_faults, unix_faults
from meshroute.compile.check_names import host_fault, is_label, name_fault, partial_fault, subnet_fault
from meshroute.compile.check_protocol import HTTP, KNOWN, TCP, TLS, protocol_fault
from meshroute.compile.resolve import is_wild
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio_services import (
    Location,
    ReadinessProbe,
    Resolution,
    ServiceEntry,
    ServiceEntrySpec,
    WorkloadEntrySpec,
    WorkloadGroup,
)
from meshroute.names import is_ip

_BY_NAME: Final = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
_BY_REQUEST: Final = ("http", "http2", "grpc", "tls")
"""Protocols in which a request or a handshake names the host that is asked of DNS."""
_ALLOCATES: Final = "networking.istio.io/enable-autoallocate-ip"
_WAYPOINT: Final = "istio.io/use-waypoint"
_PROBE_HEADER: Final = re.compile(r"[-A-Za-z0-9]+")
_LONGEST_PORT_NAME: Final = 62
"""Letters of the name of a workload's port, by the schema; a service's may have one more."""


def entry_faults(entry: ServiceEntry) -> Iterator[Fault]:
    """What is wrong with a ServiceEntry by itself."""
    spec = entry.spec
    if spec.workload_selector is not None:
        yield from selector_faults(spec.workload_selector.labels, ("workloadSelector", "labels"))
    yield from _host_faults(spec)
    for number, address in enumerate(spec.addresses):
        if fault := subnet_fault(address):
            yield Fault(("addresses", number), fault)
        if "/" in address and spec.resolution not in (Resolution.NONE, Resolution.STATIC):
            reason = f"`{address}` is a range, which goes with `resolution` NONE and STATIC only"
            yield Fault(("addresses", number), reason)
    yield from _port_faults(spec, allocated=_allocated(entry))
    yield from _resolution_faults(entry)
    if spec.resolution is not Resolution.NONE and len(spec.hosts) > 1:
        first = next((n for n, one in enumerate(spec.ports) if one.protocol.lower() not in (*HTTP, *TLS)), None)
        if first is not None:
            reason = "with several hosts every port speaks HTTP or TLS: nothing else names the host that is meant"
            yield Fault(("ports", first), reason, "write one ServiceEntry for each host")
    yield from export_faults(spec.export_to, entry.namespace, nobody=True)


def _host_faults(spec: ServiceEntrySpec) -> Iterator[Fault]:
    for number, host in enumerate(spec.hosts):
        here = ("hosts", number)
        if host == "*":
            yield Fault(here, "`*` is no host of a service", "name it, or what its names end with: `*.example.com`")
        elif fault := host_fault(host):
            yield Fault(here, fault)
        elif spec.resolution is not Resolution.DYNAMIC_DNS and (fault := partial_fault(host)):
            yield Fault(here, fault, "write `*.` before a whole name", warns=True)


def _allocated(entry: ServiceEntry) -> bool:
    """Whether Istio gives the entry addresses of its own."""
    return (
        entry.spec.resolution is not Resolution.NONE
        and entry.metadata.labels.get(_ALLOCATES, "").lower() != "false"
        and not entry.spec.addresses
    )


def _port_faults(spec: ServiceEntrySpec, *, allocated: bool) -> Iterator[Fault]:
    names: set[str] = set()
    numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        here = ("ports", index)
        if port.name in names:
            yield Fault((*here, "name"), f"there is a port `{port.name}` already")
        if port.number in numbers:
            yield Fault((*here, "number"), f"there is a port {port.number} already")
        names.add(port.name)
        numbers.add(port.number)
        if not (spec.addresses or allocated) and port.protocol in ("", "TCP"):
            reason = "without `addresses` clients cannot tell whose connection this port gets"
            yield Fault((*here, "protocol"), reason, "give `addresses`, or say which protocol it is", warns=True)
        if not is_label(port.name):
            yield Fault((*here, "name"), f"`{port.name}` is no name of a port")
        if fault := protocol_fault(port.protocol):
            yield Fault((*here, "protocol"), fault, f"there are {', '.join(KNOWN)}")


def _resolution_faults(entry: ServiceEntry) -> Iterator[Fault]:
    spec = entry.spec
    named = frozenset(port.name for port in spec.ports)
    endpoints = tuple(enumerate(spec.endpoints or ()))
    for number, one in endpoints:
        yield from _template_faults(one, ("endpoints", number))
    match spec.resolution:
        case Resolution.NONE:
            if spec.endpoints is not None:
                reason = "without a `resolution` clients choose the address: there are no `endpoints`"
                yield Fault(("endpoints",), reason, "write `resolution: STATIC`, or DNS for names")
            if spec.workload_selector is not None:
                reason = "without a `resolution` clients choose the address: the selector chooses nobody"
                yield Fault(("workloadSelector",), reason, "write `resolution: STATIC`", warns=True)
        case Resolution.STATIC:
            for number, one in endpoints:
                yield from workload_faults(one, ("endpoints", number), named)
        case Resolution.DNS | Resolution.DNS_ROUND_ROBIN:
            yield from _names_faults(spec)
            for number, one in endpoints:
                here: FieldPath = ("endpoints", number)
                if not is_ip(one.address) and (fault := name_fault(one.address)):
                    yield Fault((*here, "address"), fault, "write a DNS name or an address")
                yield from labels_faults(one.labels, (*here, "labels"))
                yield from _own_ports_faults(one, here, named)
        case Resolution.DYNAMIC_DNS:
            yield from _by_request_faults(entry)


def _names_faults(spec: ServiceEntrySpec) -> Iterator[Fault]:
    """Of an entry whose endpoints DNS is asked for."""
    if not spec.endpoints:
        number = next((n for n, host in enumerate(spec.hosts) if name_fault(host)), None)
        if number is not None:
            reason = f"DNS has no answer for `{spec.hosts[number]}`"
            yield Fault(("hosts", number), reason, "give `endpoints`, whose names are asked for instead")
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(spec.endpoints or ()) > 1:
        yield Fault(("endpoints",), "with DNS_ROUND_ROBIN there is one endpoint or none", "write `resolution: DNS`")
    if spec.addresses and len(spec.hosts) > 1 and any(port.protocol.lower() in TCP for port in spec.ports):
        reason = "several hosts share the addresses, and a port for connections cannot tell them apart"
        yield Fault(("hosts",), reason, "write one ServiceEntry for each host", warns=True)


def _by_request_faults(entry: ServiceEntry) -> Iterator[Fault]:
    """Of an entry whose names DNS is asked for as requests come."""
    spec = entry.spec
    for number, host in enumerate(spec.hosts):
        if not is_wild(host):
            reason = f"`{host}` has no wildcard, and DYNAMIC_DNS is for names that are not known before"
            yield Fault(("hosts", number), reason, "write `resolution: DNS`")
    for field, written in (("addresses", spec.addresses), ("endpoints", spec.endpoints)):
        if written:
            yield Fault((field,), f"with DYNAMIC_DNS the request names the address: there are no `{field}`")
    for number, port in enumerate(spec.ports):
        if port.protocol.lower() not in _BY_REQUEST:
            reason = f"with DYNAMIC_DNS a port speaks HTTP, HTTP2, GRPC or TLS, not `{port.protocol}`"
            yield Fault(("ports", number, "protocol"), reason)
    waypoint = entry.metadata.labels.get(_WAYPOINT, "")
    if spec.location is Location.MESH_INTERNAL and waypoint and waypoint.lower() != "none":
        yield Fault(("location",), "waypoints have no DYNAMIC_DNS inside the mesh", "write `location: MESH_EXTERNAL`")


# Workloads


def workload_faults(spec: WorkloadEntrySpec, here: FieldPath, named: Collection[str] | None = None) -> Iterator[Fault]:
    """What is wrong with a workload by itself; `named` are the ports of its ServiceEntry, where it stands in one."""
    if named is None:
        yield from _template_faults(spec, here)
    if not spec.address:
        if not spec.network:
            yield Fault((*here, "address"), "a workload needs an address")
            return
        yield Fault((*here, "address"), f"only the network `{spec.network}` is said", "give an address", warns=True)
    if spec.address.startswith(UNIX):
        if named is not None and len(named) != 1:
            reason = f"`{spec.address}` is one place, for one port: the service has {len(named)}"
            yield Fault((*here, "address"), reason)
    elif spec.address and not is_ip(spec.address):
        fault = name_fault(spec.address)
        if named is not None:
            reason = f"`{spec.address}` is no IP address: with `resolution: STATIC` proxies are not told of it"
            yield Fault((*here, "address"), reason, "write `resolution: DNS` to have proxies ask for names")
        elif fault:
            yield Fault((*here, "address"), fault, "write a DNS name or an address")
    yield from _own_ports_faults(spec, here, named)
    yield from labels_faults(spec.labels, (*here, "labels"))


def _own_ports_faults(spec: WorkloadEntrySpec, here: FieldPath, named: Collection[str] | None) -> Iterator[Fault]:
    for name in spec.ports:
        if named is not None and name not in named:
            yield Fault((*here, "ports", name), f"the service has no port `{name}`")


def _template_faults(spec: WorkloadEntrySpec, here: FieldPath) -> Iterator[Fault]:
    """What the schema's own rules say of a workload, or of the pattern for some."""
    if spec.address.startswith(UNIX):
        yield from unix_faults(spec.address, (*here, "address"))
        if spec.ports:
            yield Fault((*here, "ports"), f"`{spec.address}` is one place, and has no ports")
    for name in spec.ports:
        if not is_label(name) or len(name) > _LONGEST_PORT_NAME:
            yield Fault((*here, "ports", name), f"`{name}` is no name of a port")


def group_faults(group: WorkloadGroup) -> Iterator[Fault]:
    """What is wrong with a WorkloadGroup. What workloads bring themselves need not be in its pattern."""
    spec = group.spec
    if spec.metadata is not None:
        yield from labels_faults(spec.metadata.labels, ("metadata", "labels"))
    yield from _template_faults(spec.template, ("template",))
    if spec.probe is not None:
        yield from _probe_faults(spec.probe)


def _probe_faults(probe: ReadinessProbe) -> Iterator[Fault]:
    if (asked := probe.http_get) is not None:
        if asked.scheme not in ("", "HTTP", "HTTPS"):
            yield Fault(("probe", "httpGet", "scheme"), f"`{asked.scheme}` is not `HTTP` or `HTTPS`")
        for number, header in enumerate(asked.http_headers):
            if _PROBE_HEADER.fullmatch(header.name) is None:
                at = ("probe", "httpGet", "httpHeaders", number, "name")
                yield Fault(at, f"`{header.name}` is no name of a header")
    elif probe.exec is not None:
        if not probe.exec.command:
            yield Fault(("probe", "exec", "command"), "there is no command")
    elif probe.tcp_socket is None:
        # The schema has `grpc` too, and the webhook knows nothing of it.
        reason = "a probe needs `httpGet`, `tcpSocket` or `exec`: Istio takes no other yet"
        yield Fault(("probe", "grpc") if probe.grpc is not None else ("probe",), reason)
