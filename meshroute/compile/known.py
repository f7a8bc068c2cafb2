"""Which services there are, ready to be asked for: by host, by wildcard, by a name that is nearly right.

Inputs    the registry. Exactness: services come in the registry's order.
Errors    none.
"""

from __future__ import annotations

from typing import Final

from meshroute.compile.resolve import Hosts, covers, is_wild
from meshroute.compile.service import RegisteredService, Registry
from meshroute.diagnostics import nearest
from meshroute.names import Host


class Known:
    """The services of a mesh, for saying what is wrong with names. Only wildcards look at more than one."""

    def __init__(self, registry: Registry) -> None:
        self.services: Final = registry.services
        self.everything: Final = registry.everything
        self.hosts: Final = Hosts(registry.services)
        self._order: Final = {host: number for number, host in enumerate(registry.services)}
        self._wild: Final = [host for host in registry.services if is_wild(host)]
        self._by_name: Final[dict[str, list[Host]]] = {}
        for one in registry.services.values():
            self._by_name.setdefault(one.name, []).append(one.host)
        self._nearest: Final[dict[str, str | None]] = {}

    def covered(self, host: str) -> list[RegisteredService]:
        """The services that a host stands for."""
        if not is_wild(host):
            service = self.services.get(Host(host))
            return [service] if service is not None else []
        found = [Host(name) for name in self.hosts.below(host)]
        found += (name for name in self._wild if covers(host, name))
        return [self.services[name] for name in sorted(found, key=self._order.__getitem__)]

    def nearest(self, host: str) -> str | None:
        """The service that was most likely meant: one of a similar name, be it in another namespace.

        Full names share most of their letters, whatever they begin with; so the first part is compared by itself.
        """
        first = host.partition(".")[0]
        if first not in self._nearest:
            self._nearest[first] = nearest(first, self._by_name)
        name = self._nearest[first]
        hosts = self._by_name[name] if name is not None else []
        return nearest(host, hosts) or next(iter(hosts), None)
