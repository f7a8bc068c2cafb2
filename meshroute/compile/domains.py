"""By which names a client may call a service.

Source    spec/host.md HOST-6, HOST-9; istio/istio: pilot/pkg/networking/core/httproute.go (generateVirtualHostDomains,
          GenerateAltVirtualHosts, dedupeDomains)
Inputs    services with a virtual host on one port, the client's DNS domain and the families of its addresses.
Exactness names in Envoy's order, each given to one virtual host only: the first that asks.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from meshroute.compile.service import RegisteredService
from meshroute.names import ascii_lower, is_ip

UNSPECIFIED: Final = "0.0.0.0"  # compared with, never bound to


def names_of(host: str, client_domain: str) -> tuple[str, ...]:
    """What else a client in a DNS domain (`shop.svc.cluster.local`) may call a host.

    >>> names_of("web.shop.svc.cluster.local", "shop.svc.cluster.local")[1:]
    ('web', 'web.shop.svc', 'web.shop')
    """
    dotted = () if is_ip(host) else (f"{host}.",)
    if ".svc." in client_domain:
        namespace, _, rest = client_domain.partition(".svc.")
        return (*dotted, *_kubernetes(host, namespace)) if host.endswith(f".svc.{rest}") else dotted
    parts, theirs = host.split("."), client_domain.split(".")
    shared = 0
    while shared < min(len(parts), len(theirs)) and parts[-1 - shared] == theirs[-1 - shared]:
        shared += 1
    if not shared:
        return dotted
    unique = parts[: len(parts) - shared]
    short = ".".join(unique)
    return (*dotted, short, f"{short}.{parts[len(unique)]}") if len(unique) == 2 else (*dotted, short)


def _kubernetes(host: str, namespace: str) -> tuple[str, ...]:
    """The shorter names of a Kubernetes service: without its namespace only in the client's own."""
    before, divider, _ = host.partition(".svc.")
    name, dot, owner = before.partition(".")
    if not divider or not before or not dot:
        return ()
    return (name, f"{before}.svc", before) if owner == namespace else (before, f"{before}.svc")


def domains_of(
    service: RegisteredService, client_domain: str, families: Collection[str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The domains of a service's virtual host, and which of them give way to other services' full names."""
    found: list[str] = []
    shorter: list[str] = []
    for host in (service.host, *service.aliases):
        others = names_of(host, client_domain)
        found += (in_authority(host), *others)
        shorter += others
    if service.headless:
        found += [f"*.{name}" for name in found]
    found += [in_authority(one) for one in addresses_of(service, families) if one != UNSPECIFIED]
    return tuple(found), frozenset(shorter)


def addresses_of(service: RegisteredService, families: Collection[str]) -> Iterable[str]:
    """The addresses of a service that a client can connect to: those of its families, for a Kubernetes service."""
    for one in service.addresses:
        if not service.kubernetes or ("IPv6" if ":" in one else "IPv4") in families:
            yield one


def in_authority(host: str) -> str:
    """A host as a request names it: an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host and is_ip(host) else host


class Domains:
    """Gives out the domains of one listener, each to one virtual host only."""

    def __init__(self, services: Iterable[RegisteredService], client_domain: str, families: Collection[str]) -> None:
        self._client_domain: Final = client_domain
        self._families: Final = families
        # A full name belongs to its service even where another one's short form is spelt alike.
        self._reserved: Final = {one.host for one in services}
        self._given: Final[set[str]] = set()

    def of(self, service: RegisteredService) -> tuple[str, ...]:
        """Every name by which this client may call a service, and nobody has it yet."""
        names, shorter = domains_of(service, self._client_domain, self._families)
        return tuple(name for name in names if not (name in shorter and name in self._reserved) and self._free(name))

    def plain(self, host: str) -> tuple[str, ...]:
        """The names of a host that is no service: itself, if nobody has it yet."""
        return tuple(name for name in (in_authority(host),) if self._free(name))

    def _free(self, name: str) -> bool:
        if ascii_lower(name) in self._given:
            return False
        self._given.add(ascii_lower(name))
        return True
