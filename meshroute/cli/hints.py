"""What a newcomer overlooks where a request goes to nobody's service: the client's namespace, or the port.

Inputs    a mesh, the proxy that was asked, and where the client went.
Errors    none; silence where nothing can be said.
"""

from __future__ import annotations

from collections.abc import Collection

import meshroute as mr
from meshroute.compile.istio import BLACK_HOLE, PASSTHROUGH
from meshroute.manifest.kubernetes import Service
from meshroute.names import ascii_lower

NOBODY: Collection[str] = (PASSTHROUGH, BLACK_HOLE, "block_all")
"""The clusters and the route of what nobody registered."""


def overlooked(mesh: mr.Mesh, proxy: mr.Sidecar | mr.Gateway | mr.Waypoint, host: str, port: int) -> str:
    """Why a host that a Service has is nobody's here: it is another namespace's, or it has another port. Else empty."""
    if not isinstance(proxy, mr.Sidecar):
        return ""
    name, _, rest = ascii_lower(host).removesuffix(".").partition(".")
    named = [one for one in mesh.resources if isinstance(one, Service) and one.name == name]
    if rest:
        own = [one for one in named if rest in _tails(one.namespace, mesh.config.domain)]
    else:
        own = [one for one in named if one.namespace == proxy.namespace]
    for one in own:
        ports = sorted({listed.port for listed in one.spec.ports})
        if ports and port not in ports:
            listed = " and ".join(map(str, ports))
            return f"{one.subject} has port {listed}, and the client went to port {port}"
    if named and not own and not rest:
        where = sorted({one.namespace for one in named})
        known = " and ".join(f"`{one}`" for one in where)
        return (
            f"the client runs in namespace `{proxy.namespace}`, and `{name}` is a Service of {known}:"
            f" say `--from {where[0]}`, or write `{name}.{where[0]}`"
        )
    return ""


def _tails(namespace: str, domain: str) -> tuple[str, ...]:
    return (namespace, f"{namespace}.svc", f"{namespace}.svc.{domain}")
