"""What is to be said about Gateways and the VirtualServices that name them.

Source    spec/validate.md CHECK-10; istio/istio: pkg/config/analysis/analyzers/{gateway,virtualservice}
Inputs    Gateways and VirtualServices that passed validation. Errors    none: the answer is diagnostics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshroute.compile import wording
from meshroute.compile.gateway import Bound, merged
from meshroute.compile.resolve import MESH, age, gateway_name, names_for_namespace, overlaps, resolve
from meshroute.diagnostics import Diagnostic, nearest
from meshroute.manifest import Gateway
from meshroute.manifest.istio import VirtualService


def check_gateways(
    gateways: Sequence[Gateway], virtual_services: Sequence[VirtualService], domain: str
) -> Iterator[Diagnostic]:
    """Gateways that are named and not there, hosts that no server serves, servers that cannot be had together."""
    servers = {f"{one.namespace}/{one.name}": _servers(one) for one in gateways}
    for one in virtual_services:
        for index, written in enumerate(one.spec.gateways):
            if written == MESH:
                continue
            at = one.at("spec", "gateways", index)
            name = gateway_name(written, one.namespace)
            if name not in servers:
                yield wording.gateway_unknown(one, name, nearest(name, servers), at)
            elif not _serves(servers[name], one, domain):
                yield wording.gateway_serves_nothing(one, name, at)
    together: dict[tuple[tuple[str, str], ...], list[Bound]] = {}
    for gateway in sorted(gateways, key=age):
        selector = tuple(sorted(gateway.spec.selector.items()))
        together.setdefault(selector, []).extend(servers[f"{gateway.namespace}/{gateway.name}"])
    for some in together.values():
        for left_out, older in merged(some)[1]:
            yield wording.server_ignored(left_out.gateway, left_out.number, older.gateway, older.number)


def _servers(gateway: Gateway) -> list[Bound]:
    return [Bound(gateway, one, number, one.port.number) for number, one in enumerate(gateway.spec.servers)]


def _serves(servers: Sequence[Bound], virtual_service: VirtualService, domain: str) -> bool:
    """Whether some server has some host of a VirtualService; one without hosts has none to be served."""
    hosts = [resolve(one, virtual_service.namespace, domain) for one in virtual_service.spec.hosts]
    served = [name for one in servers for name in names_for_namespace(one.hosts, virtual_service.namespace)]
    return not hosts or any(overlaps(host, name) for host in hosts for name in served)
