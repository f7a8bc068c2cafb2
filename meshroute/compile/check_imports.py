"""What is to be said about ServiceEntries and Sidecars.

Source    spec/validate.md CHECK-10, CHECK-11; istio/istio: pkg/config/validation/validation.go (ValidateSidecar,
          validateServiceEntry), pkg/config/analysis/analyzers (sidecar, serviceentry)
Inputs    validated resources, the services that there are. Exactness: a host of a Sidecar is said to import nothing
          only where neither a service nor a VirtualService has a name that it overlaps.
Errors    none: the answer is diagnostics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshroute.compile import wording
from meshroute.compile.entries import UNIX, reach_of
from meshroute.compile.known import Known
from meshroute.compile.resolve import Hosts, age, is_wild, resolve
from meshroute.compile.scope import PROXY_PROTOCOL, governs_mesh
from meshroute.compile.service import Reach
from meshroute.diagnostics import Diagnostic
from meshroute.manifest.istio import VirtualService
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.names import Host, is_ip


def check_entries(entries: Sequence[ServiceEntry], known: Known) -> Iterator[Diagnostic]:
    """Entries that nobody answers for, endpoints that proxies are not given, hosts that are somebody else's."""
    members = {(one.at, one.host): one for one in known.everything if not one.kubernetes}
    for entry in entries:
        spec, reach = entry.spec, reach_of(entry)
        for number, one in enumerate(spec.endpoints or ()):
            at = entry.at("spec", "endpoints", number, "address")
            if one.address.startswith(UNIX):
                yield wording.field_not_modelled(entry.subject, "address", at)
        if reach is Reach.BY_REQUEST:
            yield wording.field_not_modelled(entry.subject, "resolution", entry.at("spec", "resolution"))
        for number, port in enumerate(spec.ports if reach is Reach.ORIGINAL else ()):
            if port.target_port not in (None, port.number):
                at = entry.at("spec", "ports", number, "targetPort")
                yield wording.field_not_modelled(entry.subject, "targetPort", at)
        for number, host in enumerate(spec.hosts):
            at = entry.at("spec", "hosts", number)
            service = members[entry.at(), Host(host)]
            empty = service.ports and not any(service.members.values())
            if (reach is Reach.LISTED or reach.by_name) and empty:
                yield wording.nobody_answers(entry, host, reach.by_name, at)
            elif reach.by_name and any(
                not is_ip(one.endpoint.address) for of_port in service.members.values() for one in of_port
            ):
                yield wording.names_not_asked(entry, host, at)
            used = known.services[Host(host)]
            if used.namespace != entry.namespace:
                yield wording.service_taken(entry, host, used.namespace, used.kubernetes, at, used.at)


def check_sidecars(
    sidecars: Sequence[Sidecar], virtual_services: Sequence[VirtualService], known: Known, domain: str
) -> Iterator[Diagnostic]:
    """Hosts that import nothing, and Sidecars that no proxy follows."""
    if not sidecars:
        return
    governed = Hosts(
        resolve(host, one.namespace, domain) for one in virtual_services if governs_mesh(one) for host in one.spec.hosts
    )
    first: dict[str, Sidecar] = {}
    for sidecar in sorted(sidecars, key=age):
        if sidecar.spec.workload_selector is None:
            older = first.setdefault(sidecar.namespace, sidecar)
            if older is not sidecar:
                yield wording.sidecar_ignored(sidecar, older)
        for number, listener in enumerate(sidecar.spec.egress):
            if listener.port is not None and listener.port.protocol.lower() == PROXY_PROTOCOL:
                at = sidecar.at("spec", "egress", number, "port", "protocol")
                yield wording.field_not_modelled(sidecar.subject, "protocol", at)
            for index, written in enumerate(listener.hosts):
                at = sidecar.at("spec", "egress", number, "hosts", index)
                owner, slash, host = written.partition("/")
                if not slash or not host or "/" in host or owner.startswith("~"):
                    continue
                if host != "*" and not (known.hosts.overlaps(host) or governed.overlaps(host)):
                    meant = None if is_wild(host) else known.nearest(host)
                    yield wording.host_unknown(sidecar.subject, host, meant, at, "nothing is imported by it")
