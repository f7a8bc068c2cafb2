"""The Istio front-end: what a sidecar receives, as a routing table.

Source    spec/host.md, spec/match.md, spec/route.md, spec/destination.md, spec/locality.md; istio/istio:
          pilot/pkg/networking/core/{httproute.go,route/route.go}
Inputs    a registry, VirtualServices and DestinationRules that passed validation, a viewpoint.
Exactness routes stand in textual order, several `match` blocks as several routes with one action; a rule that matches
          everything ends its VirtualService; the first VirtualService of a host takes it whole.
Errors    none: what was wrong was diagnosed before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from meshroute.compile.locality import preference_of, spread
from meshroute.compile.registry import Member, RegisteredService, Registry
from meshroute.compile.resolve import MESH, age, covers, is_subset_of, is_wild, resolve, specificity, visibility
from meshroute.compile.routes import EVERYTHING, Asker, Rules, cluster_name
from meshroute.compile.viewpoint import MeshConfig, Sidecar
from meshroute.manifest.istio import (
    VirtualService,
)
from meshroute.names import ClusterName, Host, ascii_lower, is_ip
from meshroute.table import (
    Cluster,
    Forward,
    Health,
    Listener,
    OriginalDestination,
    Respond,
    Route,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
)

PASSTHROUGH: Final = ClusterName("PassthroughCluster")
BLACK_HOLE: Final = ClusterName("BlackHoleCluster")


def sidecar_table(
    registry: Registry,
    virtual_services: Sequence[VirtualService],
    destination_rules: DestinationRules,
    viewpoint: Sidecar,
    config: MeshConfig,
) -> RoutingTable:
    """The table of the proxy at this viewpoint: a listener for each service port, a cluster for each subset of each."""
    view = _View(
        registry,
        in_order(virtual_services, viewpoint.namespace),
        destination_rules,
        viewpoint,
        config,
        Delegates(virtual_services),
    )
    ports = sorted({port.number for service in registry.services.values() for port in service.ports})
    allow_any = config.outbound == "ALLOW_ANY"
    return RoutingTable(
        listeners=tuple(view.listener(port) for port in ports),
        clusters=(
            *view.clusters(),
            Cluster(PASSTHROUGH, OriginalDestination()) if allow_any else Cluster(BLACK_HOLE, policy_of(None)),
        ),
        otherwise=PASSTHROUGH if allow_any else BLACK_HOLE,
        locality=view.client.locality,
    )


def in_order(virtual_services: Iterable[VirtualService], client: str) -> tuple[VirtualService, ...]:
    """The VirtualServices for sidecars that a client namespace sees: its own private ones, those exported to it by
    name, the public ones, each part oldest first. The first in this order wins a host."""
    oldest_first = sorted(
        (one for one in virtual_services if governs_mesh(one)),
        key=age,
    )
    seen = [(visibility(one.spec.export_to, one.namespace, client), one) for one in oldest_first]
    return tuple(one for part in ("private", "exported", "public") for how, one in seen if how == part)


def governs_mesh(virtual_service: VirtualService) -> bool:
    """Whether sidecars look at it: it has hosts, and `mesh` is among its gateways or nothing is."""
    gateways = virtual_service.spec.gateways or (MESH,)
    return bool(virtual_service.spec.hosts) and MESH in gateways


class _View:
    """The mesh as one sidecar sees it."""

    def __init__(
        self,
        registry: Registry,
        virtual_services: tuple[VirtualService, ...],
        destination_rules: DestinationRules,
        viewpoint: Sidecar,
        config: MeshConfig,
        delegates: Delegates,
    ) -> None:
        self.services: Final = registry.services
        self.virtual_services: Final = virtual_services
        self.viewpoint: Final = viewpoint
        self.config: Final = config
        self.client: Final = topology.client(viewpoint.labels, viewpoint.locality, config.cluster)
        self._rules: Final = destination_rules
        self._effective: Final[dict[Host, Effective]] = {}
        asker = Asker(frozenset((MESH,)), self.client.labels, viewpoint.namespace)
        self.rules: Final = Rules(asker, self.effective, delegates, config)
        self._owner: Final = _owners(virtual_services, registry.services, config.domain)

    def effective(self, host: Host) -> Effective:
        """What DestinationRules say about a host; nothing about one that is not registered."""
        known = self._effective.get(host)
        if known is None:
            service = self.services.get(host)
            known = self._rules.effective(self.viewpoint.namespace, host, service.namespace) if service else NOTHING
            self._effective[host] = known
        return known

    def clusters(self) -> Iterator[Cluster]:
        """For each port of each service: the cluster of all its endpoints, and one for each subset."""
        for service in self.services.values():
            effective = self.effective(service.host)
            for port in service.ports:
                members = service.members[port.number]
                for subset in ("", *effective.subsets):
                    labels = effective.subsets[subset].labels if subset else {}
                    chosen = [one for one in members if is_subset_of(labels, one.labels)]
                    yield self._cluster(service, port.number, subset, () if service.headless else chosen)

    def _cluster(self, service: RegisteredService, port: int, subset: str, members: Sequence[Member]) -> Cluster:
        """One cluster. Where a panic may come, endpoints that are not ready are left out, so that it finds none."""
        settings = settings_of(self.effective(service.host), subset, port)
        balancer, detection = settings.load_balancer, settings.outlier_detection
        # A service that says which endpoints it prefers needs to know how many of them are not ready.
        panic = detection.min_health_percent if detection is not None and service.distribution is None else 0
        if panic > 0:
            members = [one for one in members if one.endpoint.health is not Health.UNHEALTHY]
        preference = preference_of(balancer, service.distribution, self.config.locality)
        placed = spread(members, self.client, preference, detection is not None)
        cluster = Cluster(
            cluster_name(port, subset, service.host),
            OriginalDestination() if service.headless else policy_of(balancer),
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

    def listener(self, port: int) -> Listener:
        """The virtual hosts on a port: by VirtualServices, then of services that none governs, then of everybody
        else."""
        present = {host: one for host, one in self.services.items() if one.port(port) is not None}
        governed = {host: one for host, one in present.items() if (it := one.port(port)) and it.protocol.may_be_http}
        hosts: list[VirtualHost] = []
        domains = _Domains(present, self.viewpoint.namespace)
        served: set[str] = set()
        for virtual_service in self.virtual_services:
            matched, unknown = self._takes(virtual_service, governed)
            if not matched and port != 80:
                continue
            routes = self.rules.routes(virtual_service, port)
            if not routes:
                continue
            for service in matched:
                if service.host not in served:
                    served.add(service.host)
                    hosts.append(VirtualHost(f"{service.host}:{port}", domains.of(service), routes))
            for host in unknown:
                if host not in served and (names := domains.plain(host)):
                    served.add(host)
                    hosts.append(VirtualHost(f"{host}:{port}", names, routes))
        for host, service in present.items():
            if host not in served:
                hosts.append(VirtualHost(f"{host}:{port}", domains.of(service), (self._default_route(host, port),)))
        hosts.sort(key=lambda one: one.name)
        hosts.append(self._everybody_else())
        return Listener(port, tuple(hosts), arrival=actions.arrival_of(self.config, hosts))

    def _takes(
        self, virtual_service: VirtualService, governed: Mapping[Host, RegisteredService]
    ) -> tuple[list[RegisteredService], list[str]]:
        """The services on a port that a VirtualService has a say in, and those of its hosts that no registry knows."""
        matched: list[RegisteredService] = []
        unknown: list[str] = []
        for written in virtual_service.spec.hosts:
            host = Host(ascii_lower(resolve(written, virtual_service.namespace, self.config.domain)))
            if not is_wild(host):
                if host in governed:
                    matched.append(governed[host])
                elif host not in self.services:
                    unknown.append(host)
                continue
            covered = [one for name, one in self.services.items() if covers(host, name)]
            if not covered:
                unknown.append(host)
            matched.extend(
                one for one in covered if one.host in governed and self._owner.get(one.host) is virtual_service
            )
        return matched, unknown

    def _default_route(self, host: Host, port: int) -> Route:
        retries = actions.retries_of(None, self.config.retries)
        forward = Forward(
            (WeightedCluster(cluster_name(port, "", host)),),
            hash_policies(self.effective(host), "", port),
            retry_hosts=actions.retry_hosts(retries, self.config.retries, one_by_key=False),
            retries=retries,
        )
        return Route(EVERYTHING, forward, "default")

    def _everybody_else(self) -> VirtualHost:
        if self.config.outbound == "ALLOW_ANY":
            return VirtualHost(
                "allow_any", ("*",), (Route(EVERYTHING, Forward((WeightedCluster(PASSTHROUGH),)), "allow_any"),)
            )
        return VirtualHost("block_all", ("*",), (Route(EVERYTHING, Respond(502), "block_all"),))


def _owners(
    virtual_services: Sequence[VirtualService], services: Mapping[Host, RegisteredService], domain: str
) -> dict[Host, VirtualService]:
    """For each service, the first VirtualService that has the most specific host covering it."""
    exact: dict[str, VirtualService] = {}
    wild: dict[str, VirtualService] = {}
    for one in virtual_services:
        for written in one.spec.hosts:
            host = ascii_lower(resolve(written, one.namespace, domain))
            (wild if is_wild(host) else exact).setdefault(host, one)
    by_specificity = sorted(wild, key=specificity)
    owners: dict[Host, VirtualService] = {}
    for host in services:
        owner = exact.get(host) or next((wild[name] for name in by_specificity if covers(name, host)), None)
        if owner is not None:
            owners[host] = owner
    return owners


class _Domains:
    """Gives out the domains of one listener, each to one virtual host only."""

    def __init__(self, services: Mapping[Host, RegisteredService], namespace: str) -> None:
        self._namespace: Final = namespace
        # A full name belongs to its service even where another one's short form is spelt alike.
        self._reserved: Final = {name for host in services for name in (host, f"{host}.")}
        self._given: Final[set[str]] = set()

    def of(self, service: RegisteredService) -> tuple[str, ...]:
        """Every name by which this client may call a service."""
        host, short = service.host, f"{service.name}.{service.namespace}"
        own = (host, f"{host}.")
        if service.namespace == self._namespace:
            forms: tuple[str, ...] = (service.name, f"{short}.svc", short)
        else:
            forms = (short, f"{short}.svc")
        names = [name for name in own if self._free(name)]
        names += [name for name in forms if name not in self._reserved and self._free(name)]
        if service.headless:
            names += [f"*.{name}" for name in list(names) if self._free(f"*.{name}")]
        names += [name for address in service.addresses if self._free(name := _in_authority(address))]
        return tuple(names)

    def plain(self, host: str) -> tuple[str, ...]:
        """The names of a host that is no service: itself, if nobody has it yet."""
        if host in self._reserved:
            return ()
        return tuple(name for name in (_in_authority(host),) if self._free(name))

    def _free(self, name: str) -> bool:
        if ascii_lower(name) in self._given:
            return False
        self._given.add(ascii_lower(name))
        return True


def _in_authority(host: str) -> str:
    return f"[{host}]" if ":" in host and is_ip(host) else host
