"""What a gateway receives: servers merged, VirtualServices merged, no word of what is unknown.

Source    spec/gateway.md GW-1 to GW-9; istio/istio: pilot/pkg/networking/core/gateway.go, pilot/pkg/model/gateway.go
Inputs    Gateways in the order of their age, VirtualServices in the order in which they count for a gateway.
Exactness rules of several VirtualServices for one host follow each other, what takes everything last; a host of its
          own never falls back on a wildcard's rules.
Errors    none: servers that cannot be had beside older ones are left out, and check.py says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meshroute.compile.actions import arrival_of
from meshroute.compile.delegates import Delegates
from meshroute.compile.destination import DestinationRules
from meshroute.compile.istio import ProxyView
from meshroute.compile.l4 import ConnectionRules, acceptable, sni
from meshroute.compile.pods import Workload
from meshroute.compile.resolve import age, covers, intersection, is_subset_of, names_for_namespace, overlaps, resolve
from meshroute.compile.routes import Asker, Rules, is_catch_all
from meshroute.compile.scope import in_order, scope_of
from meshroute.compile.service import Registry
from meshroute.compile.viewpoint import Gateway as AtTheEdge
from meshroute.compile.viewpoint import MeshConfig, Sidecar
from meshroute.manifest import Gateway
from meshroute.manifest.istio import L4MatchAttributes, TLSMatchAttributes, VirtualService
from meshroute.manifest.istio_gateway import Server, ServerTLSMode
from meshroute.names import DEFAULT_NAMESPACE, Host, ascii_lower
from meshroute.table import (
    Chain,
    Forward,
    Listener,
    RequireTls,
    Route,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
)

HTTP_PROTOCOLS: Final = frozenset(("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"))
_PASSTHROUGH: Final = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)


class Bound(msgspec.Struct, frozen=True):
    """A server of a Gateway, on the port that the proxy listens on for it."""

    gateway: Gateway
    server: Server
    number: int
    port: int

    @property
    def name(self) -> str:
        """`namespace/name` of the Gateway."""
        return f"{self.gateway.namespace}/{self.gateway.name}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its hosts, `.` before the slash being the Gateway's namespace, and `*` there nothing at all."""
        hosts = [_sanitized(one, self.gateway.namespace) for one in self.server.hosts]
        return ("*",) if "*/*" in self.server.hosts else tuple(hosts)

    @property
    def is_http(self) -> bool:
        """Whether requests are read in the clear."""
        return self.server.port.protocol.upper() in HTTP_PROTOCOLS

    @property
    def is_tls(self) -> bool:
        """Whether connections begin with TLS."""
        return self.server.tls is not None and not self.is_http

    @property
    def ends_tls(self) -> bool:
        """Whether the proxy itself ends TLS."""
        return self.is_tls and self.server.tls is not None and self.server.tls.mode not in _PASSTHROUGH

    @property
    def reads_https(self) -> bool:
        """Whether requests inside TLS are read."""
        return self.ends_tls and self.server.port.protocol.upper() == "HTTPS"

    @property
    def redirects(self) -> bool:
        """Whether plain requests are sent to https. On a server that ends TLS, it means nothing."""
        return self.server.tls is not None and self.server.tls.https_redirect

    @property
    def server_names(self) -> tuple[str, ...]:
        """What clients say in TLS to mean it."""
        return sni(one.rpartition("/")[2] for one in self.hosts)


def _sanitized(host: str, namespace: str) -> str:
    before, slash, name = host.rpartition("/")
    if not slash or before == "*":
        return name
    return f"{namespace if before == '.' else before}/{name}"


Conflict = tuple[Bound, Bound]
"""A server that is left out, and the one that was there before it."""


def merged(servers: Iterable[Bound]) -> tuple[dict[int, list[Bound]], list[Conflict]]:
    """By port, the servers that can be had together, in order; and those that cannot.

    On one port there is plain HTTP, or TLS, or one plain TCP server. Two TLS servers must not claim the same host.
    """
    ports: dict[int, list[Bound]] = {}
    conflicts: list[Conflict] = []
    names: dict[tuple[int, str], Bound] = {}
    for one in servers:
        others = ports.setdefault(one.port, [])
        claims = [(one.port, host) for host in one.hosts] if one.is_tls else []
        taken = next((names[claim] for claim in claims if claim in names), None)
        if taken is not None:
            conflicts.append((one, taken))
            continue
        if others and not (others[0].is_tls and one.is_tls) and not (others[0].is_http and one.is_http):
            conflicts.append((one, others[0]))
            continue
        names.update(dict.fromkeys(claims, one))
        others.append(one)
    return {port: some for port, some in ports.items() if some}, conflicts


class GatewayListeners:
    """The listeners of one gateway proxy."""

    def __init__(
        self,
        virtual_services: Callable[[str], Sequence[VirtualService]],
        rules: Callable[[str], Rules],
        connections: Callable[[str], ConnectionRules],
        view: ProxyView,
        config: MeshConfig,
    ) -> None:
        """Each of the callables is asked about a Gateway by its `namespace/name`."""
        self._view: Final = view
        self._virtual_services: Final = virtual_services
        self._rules: Final = rules
        self._connections: Final = connections
        self._config: Final = config

    def listener(self, port: int, servers: Sequence[Bound]) -> Listener | None:
        """What one port does; None where nothing is there to listen for."""
        if servers[0].is_http:
            hosts = self.virtual_hosts(servers)
            return Listener(port, hosts, arrival=arrival_of(self._config, hosts, edge=True))
        taken: set[str] = set()
        chains = tuple(chain for one in servers for chain in self._chains(one, taken) if acceptable(chain))
        hosts = tuple(host for chain in chains for host in chain.virtual_hosts)
        return Listener(port, (), arrival=arrival_of(self._config, hosts, edge=True), chains=chains) if chains else None

    def _hosts(self, virtual_service: VirtualService) -> list[str]:
        return [resolve(one, virtual_service.namespace, self._config.domain) for one in virtual_service.spec.hosts]

    # HTTP

    def virtual_hosts(self, servers: Sequence[Bound]) -> tuple[VirtualHost, ...]:
        """The virtual hosts of servers that share their requests."""
        found: dict[str, _Merged] = {}
        made: dict[tuple[str, str, str], tuple[Route, ...]] = {}
        for one in servers:
            number = one.server.port.number
            for virtual_service in self._virtual_services(one.name):
                served = names_for_namespace(one.hosts, virtual_service.namespace)
                hosts = intersection(served, self._hosts(virtual_service))
                if not hosts:
                    continue
                key = (one.name, virtual_service.namespace, virtual_service.name)
                if key not in made:
                    rules = self._rules(one.name)
                    made[key] = rules.routes(virtual_service, number, tls=one.server.tls is not None)
                if not made[key]:
                    continue
                for host in map(ascii_lower, hosts):
                    found.setdefault(host, _Merged(f"{host}:{number}")).add(made[key], redirects=one.redirects)
            if one.redirects:
                for host in map(ascii_lower, one.hosts):
                    found.setdefault(host, _Merged(f"{host}:{number}")).add((), redirects=True)
        if not found:
            return (VirtualHost(f"blackhole:{servers[0].server.port.number}", ("*",), ()),)
        hosts_made = (one.virtual_host(host) for host, one in found.items())
        return tuple(sorted(hosts_made, key=lambda one: one.name))

    # Connections

    def _chains(self, one: Bound, taken: set[str]) -> Iterator[Chain]:
        """What becomes of the connections to a server. `taken` are the server names that older rules have."""
        if one.reads_https:
            yield Chain(
                None,
                self.virtual_hosts((one,)),
                f"https.{one.server.port.number}.{one.server.port.name}.{one.gateway.name}.{one.gateway.namespace}",
                server_names=one.server_names,
                ends_tls=True,
            )
        elif one.server.tls is not None and one.server.tls.mode is ServerTLSMode.AUTO_PASSTHROUGH:
            yield from self._by_cluster(one)
        elif one.is_tls and not one.ends_tls:
            yield from self._passed_through(one, taken)
        else:
            chain = self._tcp(one)
            if chain is not None:
                yield chain

    def _serving(self, one: Bound) -> Iterator[VirtualService]:
        """The VirtualServices with a host that the server has too."""
        for virtual_service in self._virtual_services(one.name):
            served = names_for_namespace(one.hosts, virtual_service.namespace)
            hosts = self._hosts(virtual_service)
            if any(overlaps(host, name) for host in hosts for name in served):
                yield virtual_service

    def _tcp(self, one: Bound) -> Chain | None:
        """The first TCP rule that applies."""
        for owner in self._serving(one):
            for number, rule in enumerate(owner.spec.tcp):
                if not rule.match or any(self._applies(asked, owner, one) for asked in rule.match):
                    connections = self._connections(one.name)
                    chain = connections.chain(owner, rule.route, ("tcp", number), one.server.port.number)
                    if one.server.port.protocol.upper() == "REDIS":
                        chain = connections.by_command(chain)
                    return msgspec.structs.replace(
                        chain, server_names=one.server_names if one.is_tls else (), ends_tls=one.ends_tls
                    )
        return None

    def _by_cluster(self, one: Bound) -> Iterator[Chain]:
        """A chain for each cluster of each service that the server has: clients ask for clusters by name."""
        served = [host.rpartition("/")[2] for host in one.hosts]
        for service in self._view.scope.services.values():
            if service.kubernetes and any(covers(host, service.host) for host in served):
                for cluster in self._view.clusters_of(service):
                    _, port, subset, host = cluster.name.split("|")
                    forward = Forward((WeightedCluster(cluster.name),))
                    yield Chain(forward, name="default", server_names=(f"outbound_.{port}_.{subset}_.{host}",))

    def _passed_through(self, one: Bound, taken: set[str]) -> Iterator[Chain]:
        """A chain for each alternative of each TLS rule; one that wants a name which another has already is left
        out."""
        for owner in self._serving(one):
            for number, rule in enumerate(owner.spec.tls):
                for index, asked in enumerate(rule.match):
                    names = set(asked.sni_hosts)
                    if not rule.route or not self._applies(asked, owner, one) or names & taken:
                        continue
                    taken |= names
                    path = ("tls", number, "match", index)
                    yield self._connections(one.name).chain(
                        owner, rule.route, path, one.server.port.number, names=sni(asked.sni_hosts)
                    )

    def _applies(self, asked: L4MatchAttributes | TLSMatchAttributes, owner: VirtualService, one: Bound) -> bool:
        """Port and gateways count here, and nothing about the source."""
        if asked.port and asked.port != one.server.port.number:
            return False
        return not asked.gateways or self._rules(one.name).asker.stands_for(asked.gateways, owner)


class _Merged:
    """A virtual host in the making."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.routes: Final[list[Route]] = []
        self.redirects = False

    def add(self, routes: Iterable[Route], *, redirects: bool) -> None:
        """More rules for the host. Once one server redirects, all of the host does."""
        self.routes.extend(routes)
        self.redirects = self.redirects or redirects

    def virtual_host(self, domain: str) -> VirtualHost:
        """The rules in order, those that take everything last."""
        return VirtualHost(
            self.name,
            (domain,),
            tuple(sorted(self.routes, key=is_catch_all)),
            RequireTls.ALL if self.redirects else RequireTls.NONE,
        )


def gateway_table(
    registry: Registry,
    virtual_services: Sequence[VirtualService],
    gateways: Sequence[Gateway],
    destination_rules: DestinationRules,
    viewpoint: AtTheEdge,
    config: MeshConfig,
) -> RoutingTable:
    """The table of the proxy that serves a Gateway. Raises ValueError for one that is not there."""
    proxy = proxy_of(registry, gateways, viewpoint)
    client = Sidecar(proxy.namespace, proxy.labels, proxy.locality)
    delegates = Delegates(virtual_services)
    scope = scope_of(registry, virtual_services, (), client, config, delegates)
    view = ProxyView(scope, destination_rules, client, config, delegates, gateway=True)
    seen = {
        name: in_order(virtual_services, proxy.namespace, config.default_virtual_service_export_to, name)
        for name in {f"{one.namespace}/{one.name}" for one in proxy.gateways}
    }

    def asker(name: str) -> Asker:
        return Asker(frozenset((name,)), view.client.labels, proxy.namespace)

    def port_of(host: Host, port: int) -> int:
        """The port that a destination without one means: the service's only one, else the listener's."""
        service = scope.services.get(host)
        return service.ports[0].number if service is not None and len(service.ports) == 1 else port

    def rules(name: str) -> Rules:
        return Rules(asker(name), view.effective, delegates, config, scope.concrete, port_of)

    def connections(name: str) -> ConnectionRules:
        return ConnectionRules(asker(name), view.effective, config, port_of)

    servers, _ = merged(bound(proxy))
    build = GatewayListeners(seen.__getitem__, rules, connections, view, config)
    made = {port: one for port, some in servers.items() if (one := build.listener(port, some)) is not None}
    for outside, inside in proxy.ports.items():  # clients come by the ports of the gateway's Service
        if inside in made:
            made.setdefault(outside, msgspec.structs.replace(made[inside], port=outside))
    return RoutingTable(
        listeners=tuple(made[port] for port in sorted(made)),
        clusters=tuple(view.clusters()),
        locality=view.client.locality,
    )


class EdgeProxy(msgspec.Struct, frozen=True):
    """Who serves a Gateway: where and as what it runs, all Gateways that choose it, oldest first, and by the ports of
    its Service those that it listens on for them."""

    namespace: str
    labels: Mapping[str, str]
    locality: str
    gateways: tuple[Gateway, ...]
    ports: Mapping[int, int]


def proxy_of(registry: Registry, gateways: Sequence[Gateway], viewpoint: AtTheEdge) -> EdgeProxy:
    """The proxy that serves a Gateway. Raises ValueError for one that is not there."""
    name = viewpoint.name if "/" in viewpoint.name else f"{DEFAULT_NAMESPACE}/{viewpoint.name}"
    by_name = {f"{one.namespace}/{one.name}": one for one in gateways}
    if name not in by_name:
        known = ", ".join(f"`{one}`" for one in sorted(by_name)) or "none at all"
        raise ValueError(f"there is no Gateway `{name}`; there are {known}")
    gateway = by_name[name]
    selector = gateway.spec.selector
    pods = [one for one in registry.workloads if selector and is_subset_of(selector, one.labels)]
    if viewpoint.namespace:
        pods = [one for one in pods if one.namespace == viewpoint.namespace]
    pod = pods[0] if pods else None
    labels = viewpoint.labels or (pod.labels if pod is not None else selector)
    chosen = [one for one in gateways if one is gateway or is_subset_of(one.spec.selector, labels)]
    return EdgeProxy(
        viewpoint.namespace or (pod.namespace if pod is not None else gateway.namespace),
        labels,
        viewpoint.locality or (pod.locality if pod is not None else ""),
        tuple(sorted(chosen, key=age)),
        _ports_of(registry, pod) if pod is not None else {},
    )


def _ports_of(registry: Registry, pod: Workload) -> dict[int, int]:
    """The ports of the Services that choose a pod, with the pod's own port behind each; the first Service has it."""
    found: dict[int, int] = {}
    for service in registry.services.values():
        for port in service.ports:
            for member in service.members.get(port.number, ()):
                if member.endpoint.workload == pod.full_name:
                    found.setdefault(port.number, member.endpoint.port)
    return found


def bound(proxy: EdgeProxy) -> Iterator[Bound]:
    """Every server of the proxy's Gateways, on the port that the proxy listens on for it."""
    for gateway in proxy.gateways:
        for number, server in enumerate(gateway.spec.servers):
            port = server.port.number
            yield Bound(gateway, server, number, proxy.ports.get(port, port))
