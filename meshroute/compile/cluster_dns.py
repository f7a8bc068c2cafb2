"""Names inside the cluster: what a client asks for, one full name after the other, and whose each is.

Source    spec/kube-proxy.md KPROXY-21, KPROXY-28, KPROXY-29, KPROXY-32; kubernetes/dns: docs/specification.md;
          coredns/coredns: plugin/kubernetes/{parse,kubernetes}.go; kubernetes/kubernetes:
          pkg/kubelet/network/dns/dns.go; resolv.conf(5)
Inputs    names as clients write them, the client's namespace, the cluster's domain. Letters in any case.
Errors    none. A name that is nobody's in the cluster is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from meshroute.names import ascii_lower
from meshroute.table.front import Front

DOTS: Final = 5
"""With so many dots or more a name is asked for as it is first (`ndots` of pods)."""


class Named(NamedTuple):
    """Whose a name is: a Service's, or with a `hostname` that of pods behind it."""

    namespace: str
    service: str
    hostname: str = ""


class NamedPort(NamedTuple):
    """Whose port a name is, by the port's own name and its protocol, in lower case."""

    namespace: str
    service: str
    protocol: str
    port: str


def asked_for(name: str, namespace: str, domain: str) -> Iterator[str]:
    """The full names that a pod of this namespace asks for, in order, without final dots.

    >>> list(asked_for("web-0.web", "shop", "cluster.local"))[:2]
    ['web-0.web.shop.svc.cluster.local', 'web-0.web.svc.cluster.local']
    """
    name = ascii_lower(name)
    if name.endswith("."):
        yield name[:-1]
        return
    if name.count(".") >= DOTS:
        yield name
    for suffix in (f"{namespace}.svc.{domain}", f"svc.{domain}", domain):
        yield f"{name}.{suffix}"
    if name.count(".") < DOTS:
        yield name


def whose(full: str, domain: str) -> Named | None:
    """Whose a full name is, if it can be anybody's in the cluster.

    >>> whose("web-0.web.shop.svc.cluster.local", "cluster.local")
    Named(namespace='shop', service='web', hostname='web-0')
    """
    labels = _labels(full, domain)
    # Longer ones are those of ports, which have no addresses.
    return Named(*reversed(labels)) if 2 <= len(labels) <= 3 and all(labels) else None


def whose_port(full: str, domain: str) -> NamedPort | None:
    """Whose port a full name is, if it can be that of any.

    >>> whose_port("_http._tcp.web.shop.svc.cluster.local", "cluster.local")
    NamedPort(namespace='shop', service='web', protocol='tcp', port='http')
    """
    labels = _labels(full, domain)
    if len(labels) != 4 or not all(labels) or not (labels[0][0] == labels[1][0] == "_"):
        return None
    port, protocol, service, namespace = labels
    return NamedPort(namespace, service, protocol[1:], port[1:])


def _labels(full: str, domain: str) -> list[str]:
    """What stands before the part that all names of Services share; nothing where a name has not that part."""
    name = ascii_lower(full).removesuffix(".")
    rest = name.removesuffix(f".svc.{domain}")
    return rest.split(".") if rest != name else []


def targets(front: Front, port: str, protocol: str, domain: str) -> tuple[tuple[str, int], ...]:
    """The names and ports that stand behind the name of a port: the Service's own, or those of its ready endpoints
    where it is headless. In order, each once."""
    name = ".".join([*reversed(front.name.split("/")), "svc", domain])
    found: set[tuple[str, int]] = set()
    for one in front.ports:
        if (one.name, one.protocol.lower()) != (port, protocol):
            continue
        if not front.headless:
            found.add((name, one.number))
            continue
        some = (backend for family in front.families for backend in one.backends.get(family, ()) if backend.ready)
        found |= {(f"{backend.label}.{name}", backend.endpoint.port) for backend in some}
    return tuple(sorted(found))
