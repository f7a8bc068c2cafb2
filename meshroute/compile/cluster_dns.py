"""Names inside the cluster: what a client asks for, one full name after the other, and whose each is.

Source    spec/kube-proxy.md KPROXY-21, KPROXY-28; kubernetes/dns: docs/specification.md; coredns/coredns:
          plugin/kubernetes/parse.go; kubernetes/kubernetes: pkg/kubelet/network/dns/dns.go; resolv.conf(5)
Inputs    names as clients write them, the client's namespace, the cluster's domain. Letters in any case.
Errors    none. A name that is nobody's in the cluster is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from meshroute.names import ascii_lower

DOTS: Final = 5
"""With so many dots or more a name is asked for as it is first (`ndots` of pods)."""


class Named(NamedTuple):
    """Whose a name is: a Service's, or with a `hostname` that of pods behind it."""

    namespace: str
    service: str
    hostname: str = ""


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
    rest = ascii_lower(full).removesuffix(".").removesuffix(f".svc.{domain}")
    labels = rest.split(".")
    # Longer ones are those of ports (`_http._tcp.web.shop...`), which have no addresses.
    if len(rest) == len(full.removesuffix(".")) or not 2 <= len(labels) <= 3 or not all(labels):
        return None
    return Named(*reversed(labels))
