"""The Istio front-end: what a sidecar receives, as a routing table.

Source    spec/host.md, spec/sidecar.md, spec/match.md, spec/route.md, spec/destination.md, spec/locality.md;
          istio/istio: pilot/pkg/networking/core/{httproute.go,cluster.go,cluster_builder.go,route/route.go}
Inputs    a registry, VirtualServices, DestinationRules and Sidecars that passed validation, a viewpoint.
Exactness routes stand in textual order, several `match` blocks as several routes with one action; a rule that matches
          everything ends its VirtualService; the first VirtualService of a host takes it whole.
Errors    none: what was wrong was diagnosed before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from meshroute.compile import actions, topology
from meshroute.compile.delegates import Delegates
from meshroute.compile.destination import (
    NOTHING,
    DestinationRules,
    Effective,
    hash_policies,
    outliers_of,
    policy_of,
    settings_of,
)
from meshroute.compile.domains import Domains
from meshroute.compile.l4 import ConnectionRules
from meshroute.compile.locality import preference_of, spread
from meshroute.compile.outbound import Outbound, distinct
from meshroute.compile.resolve import MESH, Hosts, is_subset_of, is_wild, resolve
from meshroute.compile.routes import EVERYTHING, Asker, Rules, cluster_name
from meshroute.compile.scope import Listens, Scope, governs_mesh, in_order, scope_of
from meshroute.compile.service import Member, Protocol, Reach, RegisteredService, Registry
from meshroute.compile.viewpoint import MeshConfig, Sidecar
from meshroute.manifest.istio import LoadBalancerSettings, SimpleLB, VirtualService
from meshroute.manifest.istio_sidecar import Sidecar as SidecarResource
from meshroute.names import ClusterName, Host, ascii_lower
from meshroute.table import (
    Chain,
    Cluster,
    Forward,
    Health,
    Listener,
    Maglev,
    OriginalDestination,
    Policy,
    Respond,
    Route,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
)

__all__ = ["BLACK_HOLE", "PASSTHROUGH", "governs_mesh", "in_order", "sidecar_table"]

PASSTHROUGH: Final = ClusterName("PassthroughCluster")
BLACK_HOLE: Final = ClusterName("BlackHoleCluster")


def sidecar_table(
    registry: Registry,
    virtual_services: Sequence[VirtualService],
    destination_rules: DestinationRules,
    viewpoint: Sidecar,
    config: MeshConfig,
    sidecars: Sequence[SidecarResource] = (),
) -> RoutingTable:
    """The table of the proxy at this viewpoint: a listener for each service port that it sees, a cluster for each
    subset of each service that it sees or that its rules send to."""
    delegates = Delegates(virtual_services)
    scope = scope_of(registry, virtual_services, sidecars, viewpoint, config, delegates)
    view = ProxyView(scope, destination_rules, viewpoint, config, delegates)
    return RoutingTable(
        listeners=view.listeners(),
        clusters=(
            *view.clusters(),
            Cluster(PASSTHROUGH, OriginalDestination()) if scope.allow_any else Cluster(BLACK_HOLE, policy_of(None)),
        ),
        otherwise=view.otherwise,
        locality=view.client.locality,
    )


class ProxyView:
    """The mesh as one proxy sees it: a sidecar, or a `gateway`."""

    def __init__(
        self,
        scope: Scope,
        destination_rules: DestinationRules,
        viewpoint: Sidecar,
        config: MeshConfig,
        delegates: Delegates,
        *,
        gateway: bool = False,
    ) -> None:
        self.gateway: Final = gateway
        self.scope: Final = scope
        self.viewpoint: Final = viewpoint
        self.config: Final = config
        self.client: Final = topology.client(viewpoint.labels, viewpoint.locality, config.cluster)
        self._rules: Final = destination_rules
        self._effective: Final[dict[Host, Effective]] = {}
        self.delegates: Final = delegates
        self.otherwise: Final = _otherwise(scope)

    def effective(self, host: Host) -> Effective:
        """What DestinationRules say about a host; nothing about one that the proxy does not see."""
        known = self._effective.get(host)
        if known is None:
            service = self.scope.services.get(host)
            known = NOTHING
            if service is not None:
                known = self._rules.effective(self.viewpoint.namespace, host, service.namespace, self.viewpoint.labels)
            self._effective[host] = known
        return known

    def clusters(self) -> Iterator[Cluster]:
        """For each port of each service: the cluster of all its endpoints, and one for each subset.

        A cluster that DNS is asked for has to have a name to ask for: without any, there is no cluster.
        """
        services = sorted(self.scope.services.values(), key=lambda one: (one.namespace, one.name))
        for service in services:
            if service.reach is not Reach.ALIAS:
                yield from self.clusters_of(service)

    def clusters_of(self, service: RegisteredService) -> Iterator[Cluster]:
        """The clusters of one service."""
        effective = self.effective(service.host)
        by_request = service.reach is Reach.BY_REQUEST and is_wild(service.host)
        for port in service.ports:
            members: Sequence[Member] = service.members[port.number]
            if service.node_local:
                members = [one for one in members if one.node == self.viewpoint.node]
            if service.reach.by_name and not members:
                continue
            for subset in ("", *(() if by_request else effective.subsets)):
                labels = effective.subsets[subset].labels if subset else {}
                chosen = [one for one in members if is_subset_of(labels, one.labels)]
                if service.reach.by_name and not chosen and not _passes_through(effective, subset):
                    continue
                yield self._cluster(service, port.number, subset, chosen)

    def _cluster(self, service: RegisteredService, port: int, subset: str, members: Sequence[Member]) -> Cluster:
        """One cluster. Where a panic may come, endpoints that are not ready are left out, so that it finds none."""
        settings = settings_of(self.effective(service.host), subset, port)
        balancer, detection = settings.load_balancer, settings.outlier_detection
        original = service.reach is Reach.ORIGINAL or (service.reach is Reach.BY_REQUEST and is_wild(service.host))
        if self.gateway and service.headless:  # no client of a gateway has chosen a pod
            original = False
        if original:
            members = ()
        # A service that says which endpoints it prefers needs to know how many of them are not ready.
        panic = detection.min_health_percent if detection is not None and service.distribution is None else 0
        if panic > 0:
            members = [one for one in members if one.endpoint.health is not Health.UNHEALTHY]
        preference = preference_of(balancer, service.distribution, self.config.locality, self.config.zone_aware)
        placed = spread(members, self.client, preference, detection is not None)
        cluster = Cluster(
            cluster_name(port, subset, service.host),
            OriginalDestination() if original else self._policy(service, port, balancer),
            placed.endpoints,
            service.host,
            subset,
            locality_weights=placed.locality_weights,
            outliers=outliers_of(detection),
        )
        if panic:
            cluster = msgspec.structs.replace(cluster, panic=float(panic))
        if placed.zone_aware is not None:
            cluster = msgspec.structs.replace(cluster, zone_aware=placed.zone_aware)
        return cluster

    def _policy(self, service: RegisteredService, port: int, balancer: LoadBalancerSettings | None) -> Policy:
        """How the endpoints of one port take turns: by the keys of Redis commands, where those are read."""
        found = service.port(port)
        by_key = self.config.redis_filter and found is not None and found.protocol is Protocol.REDIS
        return Maglev() if by_key else policy_of(balancer)

    def listeners(self) -> tuple[Listener, ...]:
        """A listener for each port on which somebody speaks HTTP, and those of other services."""
        read = {port: one for port in self.scope.ports if (one := self.listener(port)) is not None}
        hosts = {host.name: host for one in read.values() for host in one.virtual_hosts}
        arrival = actions.arrival_of(self.config, hosts.values())
        asker = Asker(frozenset((MESH,)), self.client.labels, self.viewpoint.namespace)
        rules = ConnectionRules(asker, self.effective, self.config)
        own: dict[tuple[str, int, tuple[str, ...]], Listener] = {}
        for listens in self.scope.listeners:
            outbound = Outbound(
                rules, listens.virtual_services, self.client_domain, self.viewpoint.families, hosts, arrival
            )
            listeners, shared = outbound.of(listens.services)
            for one in listeners:
                own.setdefault((one.address, one.port, () if one.address else one.names), one)
            for port, chains in shared.items():
                one = read.get(port) or Listener(port, ())
                taken = one.chains if not one.virtual_hosts else (*one.chains, Chain())
                together = (*one.chains, *distinct(chains, taken))
                read[port] = msgspec.structs.replace(one, chains=together, falls_through=True)
        ordered = sorted(own.values(), key=lambda one: (one.port, one.address, one.names))
        return (*(read[port] for port in sorted(read)), *ordered)

    @property
    def client_domain(self) -> str:
        """The DNS domain of the client's namespace."""
        return f"{self.viewpoint.namespace}.svc.{self.config.domain}"

    def listener(self, port: int) -> Listener | None:
        """The virtual hosts on a port: by VirtualServices, then of services that none governs, then of everybody
        else. None where no service speaks HTTP there."""
        listens = self.scope.listener(port)
        on_port = _OnPort(self, listens, port) if listens is not None else None
        if on_port is None or not on_port.is_read():
            return None
        hosts = (*sorted(on_port.hosts(), key=lambda one: one.name), self._everybody_else())
        return Listener(port, hosts, arrival=actions.arrival_of(self.config, hosts))

    def default_route(self, host: Host, port: int) -> Route:
        """The route of a service that no VirtualService governs."""
        retries = actions.retries_of(None, self.config.retries)
        forward = Forward(
            (WeightedCluster(cluster_name(port, "", host)),),
            hash_policies(self.effective(host), "", port),
            retry_hosts=actions.retry_hosts(retries, self.config.retries, one_by_key=False),
            retries=retries,
        )
        return Route(EVERYTHING, forward, "default")

    def _everybody_else(self) -> VirtualHost:
        if self.scope.allow_any:
            return VirtualHost(
                "allow_any", ("*",), (Route(EVERYTHING, Forward((WeightedCluster(self.otherwise),)), "allow_any"),)
            )
        return VirtualHost("block_all", ("*",), (Route(EVERYTHING, Respond(502), "block_all"),))


def _otherwise(scope: Scope) -> ClusterName:
    """The cluster for whatever nobody registered."""
    if not scope.allow_any:
        return BLACK_HOLE
    proxy = scope.egress_proxy
    if proxy is None:
        return PASSTHROUGH
    # As it is written: the host is not completed, and a port that is not named is none.
    return cluster_name(proxy.port.number if proxy.port is not None else 0, proxy.subset, proxy.host)


def _passes_through(effective: Effective, subset: str) -> bool:
    """Whether a subset says by itself that requests go where the client was going."""
    policy = effective.subsets[subset].traffic_policy if subset else None
    balancer = policy.load_balancer if policy is not None else None
    return balancer is not None and balancer.simple is SimpleLB.PASSTHROUGH


class _OnPort:
    """What an egress listener serves on one port."""

    def __init__(self, view: ProxyView, listens: Listens, port: int) -> None:
        self.view: Final = view
        self.listens: Final = listens
        self.port: Final = port
        # Of several services of one name on a port, the last is served.
        self.present: Final = {
            Host(ascii_lower(one.host)): one for one in listens.services if one.port(port) is not None
        }
        self._overlapped: Final = Hosts(self.present)
        self._owned: Final[dict[int, list[Host]]] = {}
        for host, service in self.present.items():
            owner = listens.owners.get(service.host) if host == service.host else None
            if owner is not None:
                self._owned.setdefault(id(owner), []).append(host)
        asker = Asker(frozenset((MESH,)), view.client.labels, view.viewpoint.namespace)
        self._rules: Final = Rules(asker, view.effective, view.delegates, view.config, self._concrete)

    def is_read(self) -> bool:
        """Whether anybody speaks HTTP on the port."""
        return any(map(self._is_http, self.present))

    def hosts(self) -> Iterator[VirtualHost]:
        """Every virtual host but the last, in the order in which names are given out."""
        domains = Domains(
            (one for host, one in self.present.items() if self._is_http(host)),
            self.view.client_domain,
            self.view.viewpoint.families,
        )
        served: set[str] = set()
        for virtual_service in self._considered():
            matched, unknown = self._takes(virtual_service)
            if not matched and self.port != 80:
                continue
            routes = self._rules.routes(virtual_service, self.port)
            if not routes:
                continue
            for host in unknown:
                if host not in served:
                    served.add(host)
                    if names := domains.plain(host):
                        yield VirtualHost(f"{host}:{self.port}", names, routes)
            for host in matched:
                if host not in served:
                    served.add(host)
                    if names := domains.of(self._trimmed(host)):
                        yield VirtualHost(f"{host}:{self.port}", names, routes)
        for host, service in self.present.items():
            if host not in served and service.reach is not Reach.ALIAS and self._is_http(host):
                route = self.view.default_route(host, self.port)
                if names := domains.of(self._trimmed(host)):
                    yield VirtualHost(f"{host}:{self.port}", names, (route,))

    def _trimmed(self, host: Host) -> RegisteredService:
        """A service under the name that virtual hosts use: in lower case."""
        service = self.present[host]
        return service if service.host == host else msgspec.structs.replace(service, host=host)

    def _is_http(self, host: Host) -> bool:
        port = self.present[host].port(self.port)
        return port is not None and port.protocol.may_be_http

    def _concrete(self, host: Host) -> Host:
        """What an alias on this port stands for; every other host is itself."""
        service = self.present.get(host)
        return Host(service.external_name) if service is not None and service.external_name else host

    def _full(self, virtual_service: VirtualService, host: str) -> Host:
        return Host(ascii_lower(resolve(host, virtual_service.namespace, self.view.config.domain)))

    def _considered(self) -> Iterator[VirtualService]:
        """The VirtualServices that may say something on this port, in order: on port 80 all of them, on others those
        that name a service of the port or own one."""
        if self.port == 80:
            yield from self.listens.virtual_services
            return
        for one in self.listens.virtual_services:
            if id(one) in self._owned or any(self._full(one, host) in self.present for host in one.spec.hosts):
                yield one

    def _takes(self, virtual_service: VirtualService) -> tuple[list[Host], list[Host]]:
        """The services on the port that a VirtualService has a say in, and those of its hosts that are none."""
        matched: list[Host] = []
        unknown: list[Host] = []
        wild = False
        for written in virtual_service.spec.hosts:
            host = self._full(virtual_service, written)
            if is_wild(host):
                wild = True
            elif host not in self.present:
                unknown.append(host)
            elif self._is_http(host):
                matched.append(host)
        if wild:
            for written in virtual_service.spec.hosts:
                host = self._full(virtual_service, written)
                if is_wild(host) and not self._overlapped.overlaps(host):
                    unknown.append(host)
            matched += (host for host in self._owned.get(id(virtual_service), ()) if self._is_http(host))
        return matched, unknown
