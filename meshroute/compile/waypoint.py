"""What a waypoint receives: the proxy of an ambient mesh that clients of a service are led through.

Source    spec/waypoint.md WAY-1 to WAY-6; istio/istio: pilot/pkg/networking/core/{listener,cluster}_waypoint.go
Inputs    the registry, VirtualServices that govern the mesh, DestinationRules, whose waypoint it is.
Exactness the client's destination has chosen the service, so no name is looked up; rules of all VirtualServices that
          fit follow each other as they are.
Errors    none. A waypoint that no service uses has nothing to listen for.
Left out  the names `envoy://connect_originate/...` by which rings know pods that take tunnels; traffic to pods
          themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from meshroute.compile.actions import arrival_of
from meshroute.compile.delegates import Delegates
from meshroute.compile.destination import DestinationRules, source_policies
from meshroute.compile.domains import addresses_of, domains_of
from meshroute.compile.istio import ProxyView
from meshroute.compile.l4 import ConnectionRules
from meshroute.compile.resolve import MESH, is_wild, overlaps, resolve
from meshroute.compile.routes import Asker, Rules, cluster_name
from meshroute.compile.scope import in_order, scope_of
from meshroute.compile.service import Port, Protocol, Reach, RegisteredService, Registry
from meshroute.compile.viewpoint import MeshConfig, Sidecar, Waypoint
from meshroute.manifest.istio import HTTPMatchRequest, L4MatchAttributes, TLSMatchAttributes, VirtualService
from meshroute.names import ClusterName, Host, is_ip
from meshroute.table import (
    Arrival,
    Chain,
    Cluster,
    Forward,
    Listener,
    Route,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
)

HTTP: Final = "http"
TCP: Final = "tcp"
FAMILIES: Final = ("IPv4", "IPv6")


def waypoint_table(
    registry: Registry,
    virtual_services: Sequence[VirtualService],
    destination_rules: DestinationRules,
    viewpoint: Waypoint,
    config: MeshConfig,
) -> RoutingTable:
    """The table of a waypoint: a listener for each port of each service that uses it."""
    namespace, _, _ = viewpoint.full_name.partition("/")
    client = Sidecar(namespace, {}, viewpoint.locality)
    delegates = Delegates(virtual_services)
    scope = scope_of(registry, virtual_services, (), client, config, delegates)
    view = ProxyView(scope, destination_rules, client, config, delegates)
    own = [one for one in registry.services.values() if one.waypoint == viewpoint.full_name]
    seen = in_order(virtual_services, namespace, config.default_virtual_service_export_to)
    build = _Inbound(view, own, seen, namespace)
    listeners = [one for service in own for port in service.ports for one in build.listeners(service, port)]
    return RoutingTable(
        listeners=tuple(sorted(listeners, key=lambda one: (one.port, one.address, one.names))),
        clusters=(*(one for one in view.clusters() if not build.has(one)), *build.clusters()),
        locality=view.client.locality,
    )


def inbound_name(port: int, protocol: str, subset: str, host: str) -> ClusterName:
    """`inbound-vip|80|http/v1|web.shop.svc.cluster.local`."""
    return ClusterName(f"inbound-vip|{port}|{protocol}{'/' + subset if subset else ''}|{host}")


class _WaypointRules(Rules):
    """Rules as a waypoint gets them: whoever asks for labels of the source asks in vain."""

    def applies(self, asked: HTTPMatchRequest, owner: VirtualService, port: int) -> bool:
        return not asked.source_labels and super().applies(asked, owner, port)


class _Inbound:
    """The services of one waypoint."""

    def __init__(
        self,
        view: ProxyView,
        own: Sequence[RegisteredService],
        virtual_services: Sequence[VirtualService],
        namespace: str,
    ) -> None:
        self._view: Final = view
        self._own: Final = {one.host: one for one in own}
        self._namespace: Final = namespace
        self._hosts: Final = [
            (one, [resolve(host, one.namespace, view.config.domain) for host in one.spec.hosts])
            for one in virtual_services
        ]
        asker = Asker(frozenset((MESH,)), {}, namespace)
        self._rules: Final = _WaypointRules(
            asker, view.effective, view.delegates, view.config, view.scope.concrete, self._port_of, self._named
        )
        self._connections: Final = ConnectionRules(asker, view.effective, view.config, self._port_of, self._named)

    def _named(self, port: int, subset: str, host: str) -> ClusterName:
        """The cluster of a destination. A host that nobody registered has none, by whatever name."""
        service = self._own.get(Host(host))
        if service is None and host in self._view.scope.services:
            return cluster_name(port, subset, host)
        known = {one.number: one.protocol for one in service.ports} if service is not None else {}
        protocol = HTTP if known.get(port, Protocol.HTTP).may_be_http else TCP
        return inbound_name(port, protocol, subset, host)

    def _port_of(self, host: Host, port: int) -> int:
        """The port that a destination without one means: the service's only one, else the listener's."""
        service = self._view.scope.services.get(host)
        return service.ports[0].number if service is not None and len(service.ports) == 1 else port

    def _governing(self, service: RegisteredService) -> list[VirtualService]:
        """The VirtualServices for a service: of its namespace or of the waypoint's, with a host that overlaps it."""
        return [
            one
            for one, hosts in self._hosts
            if one.namespace in (service.namespace, self._namespace)
            and any(overlaps(host, service.host) for host in hosts)
        ]

    def has(self, cluster: Cluster) -> bool:
        """Whether a cluster is that of one of its own services, which have others."""
        return cluster.service in self._own

    def listeners(self, service: RegisteredService, port: Port) -> Iterator[Listener]:
        """What clients of one port of a service reach, by its addresses and names."""
        hosts: tuple[VirtualHost, ...] = ()
        chains: tuple[Chain, ...] = ()
        if port.protocol.may_be_http:
            name = inbound_name(port.number, HTTP, "", service.host)
            hosts = (VirtualHost(name, ("*",), self._routes(service, port.number)),)
        if port.protocol is not Protocol.HTTP:
            chain = self._chain(service, port)
            chains = (self._connections.by_command(chain) if port.protocol is Protocol.REDIS else chain,)
        domain = f"{service.namespace}.svc.{self._view.config.domain}"
        found, _ = domains_of(service, domain, FAMILIES)
        names = tuple(one for one in found if not is_wild(one) and not is_ip(one.strip("[]")))
        addresses = [one for one in addresses_of(service, FAMILIES) if is_ip(one)]
        for number, address in enumerate(addresses or [""]):
            yield Listener(
                port.number,
                hosts,
                arrival=arrival_of(self._view.config, hosts) if hosts else Arrival(),
                address=address,
                names=() if number else names,
                chains=chains,
                sniffs=port.protocol is Protocol.UNKNOWN,
            )

    def _routes(self, service: RegisteredService, port: int) -> tuple[Route, ...]:
        routes = [route for one in self._governing(service) for route in self._rules.routes(one, port)]
        if routes:
            return tuple(routes)
        default = self._view.default_route(service.host, port)
        assert isinstance(default.action, Forward)
        to = WeightedCluster(inbound_name(port, HTTP, "", service.host))
        return (msgspec.structs.replace(default, action=msgspec.structs.replace(default.action, clusters=(to,))),)

    def _chain(self, service: RegisteredService, port: Port) -> Chain:
        """The chain of a port that is not read: TLS rules of all VirtualServices, then TCP rules, then the service
        itself. Of a TLS rule, one alternative must ask for exactly the service's host."""
        governing = self._governing(service)
        for owner in governing:
            for number, rule in enumerate(owner.spec.tls):
                for index, asked in enumerate(rule.match):
                    if asked.sni_hosts == (service.host,) and self._fits(asked, owner, port):
                        path = ("tls", number, "match", index)
                        return self._connections.chain(owner, rule.route, path, port.number)
        for owner in governing:
            for number, tcp in enumerate(owner.spec.tcp):
                if not tcp.match or any(self._fits(one, owner, port) for one in tcp.match):
                    return self._connections.chain(owner, tcp.route, ("tcp", number), port.number)
        policies = source_policies(self._view.effective(service.host), "", port.number)
        to = WeightedCluster(inbound_name(port.number, TCP, "", service.host))
        return Chain(Forward((to,), policies), name="default")

    def _fits(self, asked: L4MatchAttributes | TLSMatchAttributes, owner: VirtualService, port: Port) -> bool:
        """Whether an alternative holds. Nobody knows the source: what asks for its labels or namespace asks in vain.
        Addresses were compared by what led the client here, and are not compared again."""
        return (
            asked.port in (0, port.number)
            and not asked.source_labels
            and not asked.source_namespace
            and (not asked.gateways or self._connections.asker.stands_for(asked.gateways, owner))
        )

    def clusters(self) -> Iterator[Cluster]:
        """The clusters of the waypoint's own services: as outbound, under names of their own, for each protocol that
        the port may speak."""
        for service in self._own.values():
            if service.reach is Reach.ALIAS:
                continue
            spoken = {one.number: one.protocol for one in service.ports}
            for one in self._view.clusters_of(service):
                _, port, subset, host = one.name.split("|")
                if spoken[int(port)].may_be_http:
                    yield msgspec.structs.replace(one, name=inbound_name(int(port), HTTP, subset, host))
                if spoken[int(port)] is not Protocol.HTTP:
                    yield msgspec.structs.replace(one, name=inbound_name(int(port), TCP, subset, host))
