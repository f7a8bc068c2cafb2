"""Listeners for what a sidecar's client opens to addresses: TCP, TLS that passes through, and ports that do not say.

Source    spec/connect.md CONNECT-6; istio/istio: pilot/pkg/networking/core/listener.go
          (buildSidecarOutboundListener)
Inputs    the services and VirtualServices that an egress listener imports, and the virtual hosts made of them.
Exactness a service whose address is known is listened for there; one of the cluster whose address nobody gave is known
          by its names; a ServiceEntry without an address shares the port with others, and so do networks.
Errors    none. Of two services that want the same connections on a shared port, the first has them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from meshroute.compile.domains import UNSPECIFIED, addresses_of, domains_of
from meshroute.compile.l4 import ConnectionRules, sni
from meshroute.compile.resolve import is_wild, overlaps, resolve
from meshroute.compile.service import Port, Protocol, Reach, RegisteredService
from meshroute.manifest.istio import VirtualService
from meshroute.names import is_ip
from meshroute.table import Arrival, Chain, Listener, VirtualHost


class Outbound:
    """What one egress listener imports, as listeners for connections."""

    def __init__(
        self,
        rules: ConnectionRules,
        virtual_services: Iterable[VirtualService],
        client_domain: str,
        families: Collection[str],
        hosts: Mapping[str, VirtualHost],
        arrival: Arrival,
    ) -> None:
        self._rules: Final = rules
        self._client_domain: Final = client_domain
        self._families: Final = families
        self._hosts: Final = hosts
        self._arrival: Final = arrival
        self._with_rules: Final = [
            (one, [resolve(host, one.namespace, rules.domain) for host in one.spec.hosts])
            for one in virtual_services
            if one.spec.tcp or one.spec.tls
        ]

    def of(self, services: Iterable[RegisteredService]) -> tuple[list[Listener], dict[int, list[Chain]]]:
        """The listeners of these services, and by port the chains that share one with others."""
        own: list[Listener] = []
        shared: dict[int, list[Chain]] = {}
        for service in services:
            if service.reach is Reach.ALIAS:
                continue
            for port in service.ports:
                if port.protocol is Protocol.HTTP:
                    continue
                own.extend(self._own(service, port))
                if chains := self._shared(service, port):
                    shared.setdefault(port.number, []).extend(chains)
        return own, shared

    def _own(self, service: RegisteredService, port: Port) -> Iterator[Listener]:
        """The listeners that are for one port of one service alone."""
        addresses = [one for one in self._addresses(service) if "/" not in one]
        if not addresses and not self._is_of_the_cluster(service):
            return
        sniffs = port.protocol is Protocol.UNKNOWN
        host = self._hosts.get(f"{service.host.lower()}:{port.number}")
        if sniffs and (not addresses or host is None):
            return  # found out on the listener that it shares with others
        chains = tuple(self._rules.chains(self._governing(service), service.host, port))
        hosts = (VirtualHost(host.name, ("*",), host.routes),) if sniffs and host is not None else ()
        names = self._names(service)
        for number, address in enumerate(addresses or [""]):
            yield Listener(
                port.number,
                hosts,
                arrival=self._arrival if hosts else Arrival(),
                address=address,
                names=() if number else names,
                chains=chains,
                sniffs=sniffs,
                falls_through=True,
            )

    def _shared(self, service: RegisteredService, port: Port) -> list[Chain]:
        """The chains on the port's shared listener: for networks; and of a service without any address."""
        addresses = self._addresses(service)
        networks = tuple(one for one in addresses if "/" in one)
        if addresses or self._is_of_the_cluster(service):
            if not networks:
                return []
        elif port.protocol is Protocol.UNKNOWN:
            return []
        named = sni((service.host, *service.aliases)) if port.protocol is Protocol.TLS else ()
        return list(self._rules.chains(self._governing(service), service.host, port, networks, named))

    def _addresses(self, service: RegisteredService) -> Sequence[str]:
        """Where clients connect to: the service's own addresses, or its endpoints' where it has none of its own."""
        found = [one for one in addresses_of(service, self._families) if one != UNSPECIFIED]
        if service.headless and not found:
            members = (member for of_port in service.members.values() for member in of_port)
            found = list(dict.fromkeys(one.endpoint.address for one in members if is_ip(one.endpoint.address)))
        return found

    @staticmethod
    def _is_of_the_cluster(service: RegisteredService) -> bool:
        """Whether it has an address in truth, even if nobody wrote it down."""
        return service.kubernetes and not service.external_name

    def _names(self, service: RegisteredService) -> tuple[str, ...]:
        found, _ = domains_of(service, self._client_domain, self._families)
        return tuple(one for one in found if not is_wild(one) and not is_ip(one.strip("[]")))

    def _governing(self, service: RegisteredService) -> list[VirtualService]:
        return [one for one, hosts in self._with_rules if any(overlaps(host, service.host) for host in hosts)]


def distinct(chains: Iterable[Chain], taken: Iterable[Chain] = ()) -> tuple[Chain, ...]:
    """Of chains for the same connections the first; a proxy refuses several."""
    seen = {(network, name) for one in taken for network, name in _asked(one)}
    kept: list[Chain] = []
    for one in chains:
        asked = set(_asked(one))
        if not asked & seen:
            seen |= asked
            kept.append(one)
    return tuple(kept)


def _asked(chain: Chain) -> Iterator[tuple[str, str]]:
    for network in chain.destinations or ("",):
        for name in chain.server_names or ("",):
            yield network, name
