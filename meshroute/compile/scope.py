"""What one sidecar sees of the mesh: services and VirtualServices, as its Sidecar resource imports them.

Source    spec/sidecar.md; istio/istio: pilot/pkg/model/sidecar.go, push_context.go, virtualservice.go
Inputs    the registry, VirtualServices that govern sidecars, Sidecar resources in any order, who asks.
Exactness what is private to the client or exported to it by name comes before what is public, each from old to young;
          of one host in several namespaces the client's own counts, else a Kubernetes service, else the oldest.
Errors    none. Hosts of a Sidecar that are not `namespace/host` import nothing; check.py says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meshroute.compile.delegates import Delegates, Rule
from meshroute.compile.resolve import (
    MESH,
    Hosts,
    MostSpecific,
    age,
    gateway_name,
    is_subset_of,
    is_wild,
    resolve,
    visibility,
)
from meshroute.compile.service import RegisteredService, Registry, first_of_each
from meshroute.compile.viewpoint import MeshConfig, Sidecar
from meshroute.manifest.istio import Destination, VirtualService
from meshroute.manifest.istio_sidecar import EgressListener, OutboundMode
from meshroute.manifest.istio_sidecar import Sidecar as SidecarResource
from meshroute.names import Host

PROXY_PROTOCOL: Final = "http_proxy"
"""The protocol of a listener that takes requests for all ports."""


class Listens(msgspec.Struct, frozen=True):
    """What one egress listener imports. `port` None: it takes all ports that no listener before it takes.

    `owners` has, by service, the first VirtualService that has the most specific host covering it.
    """

    port: int | None
    services: tuple[RegisteredService, ...]
    virtual_services: tuple[VirtualService, ...]
    owners: Mapping[Host, VirtualService]


class Scope(msgspec.Struct, frozen=True):
    """What a sidecar sees. `services` are those that it has clusters for, by host; `egress_proxy` takes what nobody
    registered where `allow_any` holds."""

    listeners: tuple[Listens, ...]
    services: Mapping[Host, RegisteredService]
    allow_any: bool = True
    egress_proxy: Destination | None = None

    def concrete(self, host: Host) -> Host:
        """What an alias stands for; every other host is itself."""
        service = self.services.get(host)
        return Host(service.external_name) if service is not None and service.external_name else host

    def listener(self, port: int) -> Listens | None:
        """What requests on a port come to: the first listener for it."""
        return next((one for one in self.listeners if one.port in (port, None)), None)

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port on which the proxy listens, in order: those of what it imports."""
        found: dict[int, None] = {}
        for one in self.listeners:
            if one.port is not None:
                found |= {one.port: None} if one.port and one.services else {}
            else:
                found |= {port.number: None for service in one.services for port in service.ports}
        return tuple(sorted(found))


def scope_of(
    registry: Registry,
    virtual_services: Iterable[VirtualService],
    sidecars: Iterable[SidecarResource],
    viewpoint: Sidecar,
    config: MeshConfig,
    delegates: Delegates,
) -> Scope:
    """What the proxy at this viewpoint sees."""
    chosen = sidecar_of(sidecars, viewpoint, config.root_namespace)
    rules = in_order(virtual_services, viewpoint.namespace, config.default_virtual_service_export_to)
    seen = _Seen(registry, rules, viewpoint.namespace, config, delegates)
    egress = chosen.spec.egress if chosen is not None else ()
    listeners = tuple(seen.listens(one) for one in egress or (EgressListener(hosts=("*/*",)),))
    policy = chosen.spec.outbound_traffic_policy if chosen is not None else None
    return Scope(
        listeners,
        seen.clusters(listeners),
        config.outbound == "ALLOW_ANY" if policy is None else policy.mode is OutboundMode.ALLOW_ANY,
        policy.egress_proxy if policy is not None else None,
    )


def sidecar_of(sidecars: Iterable[SidecarResource], viewpoint: Sidecar, root_namespace: str) -> SidecarResource | None:
    """The resource for a proxy: of its namespace the oldest whose selector chooses it, else the oldest without one,
    else the root namespace's oldest without one."""
    oldest_first = sorted(sidecars, key=age)
    own = [one for one in oldest_first if one.namespace == viewpoint.namespace]
    for one in own:
        selector = one.spec.workload_selector
        if selector is not None and is_subset_of(selector.labels, viewpoint.labels):
            return one
    root = [one for one in oldest_first if one.namespace == root_namespace]
    return next((one for one in (*own, *root) if one.spec.workload_selector is None), None)


def in_order(
    virtual_services: Iterable[VirtualService], client: str, exported: Sequence[str] = ("*",), gateway: str = MESH
) -> tuple[VirtualService, ...]:
    """The VirtualServices for a gateway, or for sidecars, that a client namespace sees: its own private ones, those
    exported to it by name, the public ones, each part oldest first. The first in this order wins a host. `exported` is
    who sees those that do not say."""
    oldest_first = sorted((one for one in virtual_services if governs(one, gateway)), key=age)
    parts: dict[str, list[VirtualService]] = {"private": [], "exported": [], "public": [], "hidden": []}
    for one in oldest_first:
        exports = one.spec.export_to or exported
        parts[visibility(exports, one.namespace, client)].append(one)
    return (*parts["private"], *parts["exported"], *parts["public"])


def governs_mesh(virtual_service: VirtualService) -> bool:
    """Whether sidecars look at it: it has hosts, and `mesh` is among its gateways or nothing is."""
    return governs(virtual_service, MESH)


def governs(virtual_service: VirtualService, gateway: str) -> bool:
    """Whether a gateway, by `namespace/name`, looks at it, or sidecars, as `mesh`."""
    if not virtual_service.spec.hosts:
        return False
    gateways = virtual_service.spec.gateways or (MESH,)
    return any(gateway_name(one, virtual_service.namespace) == gateway for one in gateways)


def destinations(
    virtual_service: VirtualService, client: str, delegates: Delegates
) -> Iterator[tuple[VirtualService, Destination]]:
    """Everything that a VirtualService may send to, for clients of a namespace; with the one, of it and its delegates,
    in whose namespace short names mean something."""
    for rule in delegates.rules(virtual_service):
        if not _concerns(rule, client):
            continue
        yield from ((rule.owner, one.destination) for one in rule.written.route)
        if rule.written.mirror is not None:
            yield rule.mirrored_by, rule.written.mirror
        yield from ((rule.mirrored_by, one.destination) for one in rule.written.mirrors)
    for connections in virtual_service.spec.tcp:
        yield from ((virtual_service, one.destination) for one in connections.route)
    for passed in virtual_service.spec.tls:
        yield from ((virtual_service, one.destination) for one in passed.route)


def _concerns(rule: Rule, client: str) -> bool:
    """Whether a rule is for a namespace, as far as its conditions name any: one of them is enough, else the last."""
    concerned = True
    for asked, _, _ in rule.blocks:
        if asked is not None and asked.source_namespace:
            concerned = asked.source_namespace == client
            if concerned:
                break
    return concerned


class _Imported:
    """The hosts that a listener imports from one namespace."""

    def __init__(self) -> None:
        self.hosts: Final[list[str]] = []
        self.excluded: Final[list[str]] = []

    def ready(self) -> tuple[Hosts, Hosts]:
        return Hosts(self.hosts), Hosts(self.excluded)


class _Imports:
    """What the hosts of one egress listener import."""

    def __init__(self, listener: EgressListener, client: str) -> None:
        found: dict[str, _Imported] = {}
        self.all_exact = True
        for written in listener.hosts:
            if written.count("/") != 1:
                continue
            owner, _, host = written.partition("/")
            excluded = owner.startswith("~")
            if excluded:
                owner = owner.removeprefix("~") or "*"
            owner = client if owner == "." else owner
            imported = found.setdefault(owner, _Imported())
            if excluded:
                imported.excluded.append(host)
                continue
            imported.hosts.append(host)
            if is_wild(host) or owner == "*":
                self.all_exact = False
        self.listed: Final = {owner: one.hosts for owner, one in found.items()}
        self._by_namespace: Final = {owner: one.ready() for owner, one in found.items()}

    def _of(self, namespace: str) -> Iterator[tuple[Hosts, Hosts]]:
        yield from (self._by_namespace[owner] for owner in (namespace, "*") if owner in self._by_namespace)

    def excludes(self, host: str, namespace: str) -> bool:
        """Whether a host of a namespace is excluded by name."""
        return any(excluded.cover(host) for _, excluded in self._of(namespace))

    def service(self, service: RegisteredService) -> RegisteredService | None:
        """A service as it is imported, with those of its aliases that are; None where it is not."""
        if self.excludes(service.host, service.namespace):
            return None
        for imported, _ in self._of(service.namespace):
            if imported.cover(service.host):
                aliases = tuple(one for one in service.aliases if imported.cover(one))
                return service if aliases == service.aliases else msgspec.structs.replace(service, aliases=aliases)
        return None

    def virtual_service(self, hosts: Sequence[str], namespace: str) -> bool:
        """Whether a VirtualService is imported: one of its hosts overlaps an imported one, and is not excluded."""
        return any(
            imported.overlaps(host) and not self.excludes(host, namespace)
            for imported, _ in self._of(namespace)
            for host in hosts
        )


class _Seen:
    """The mesh as far as a client namespace may see it."""

    def __init__(
        self,
        registry: Registry,
        virtual_services: tuple[VirtualService, ...],
        client: str,
        config: MeshConfig,
        delegates: Delegates,
    ) -> None:
        self.delegates: Final = delegates
        self.virtual_services: Final = virtual_services
        self.client: Final = client
        self.config: Final = config
        parts: dict[str, list[RegisteredService]] = {"private": [], "exported": [], "public": [], "hidden": []}
        for one in registry.everything:
            parts[self._visible(one)].append(one)
        self.services: Final = (
            *sorted((*parts["private"], *parts["exported"]), key=lambda one: one.age),
            *parts["public"],
        )
        by_host: dict[Host, dict[str, list[RegisteredService]]] = {}
        for one in registry.everything:
            by_host.setdefault(one.host, {}).setdefault(one.namespace, []).append(one)
        self._by_host: Final = by_host

    def _visible(self, service: RegisteredService) -> str:
        exports = service.export_to or self.config.default_service_export_to
        return visibility(exports, service.namespace, self.client)

    def _one(self, host: Host, namespace: str) -> RegisteredService | None:
        """The service of a host in a namespace, whoever may see it."""
        found = self._by_host.get(host, {}).get(namespace, ())
        return first_of_each(found)[host] if found else None

    def listens(self, listener: EgressListener) -> Listens:
        """What one egress listener imports."""
        imports = _Imports(listener, self.client)
        port = listener.port.number if listener.port is not None else 0
        if listener.port is not None and listener.port.protocol.lower() == PROXY_PROTOCOL:
            port = 0
        candidates: Iterable[RegisteredService] = self.services
        if imports.all_exact:
            candidates = sorted(self._named(imports), key=lambda one: one.age)
        found = [one for service in candidates if (one := imports.service(service)) is not None]
        if port:
            found = [one for service in found if (one := at_ports(service, {port})) is not None]
        imported = self._of_one_namespace(found)
        rules = tuple(
            one
            for one in self.virtual_services
            if imports.virtual_service([self._full(one, host) for host in one.spec.hosts], one.namespace)
        )
        index: MostSpecific[VirtualService] = MostSpecific()
        for rule in rules:
            for host in rule.spec.hosts:
                index.add(self._full(rule, host), rule)
        owned = ((service.host, index.find(service.host)) for service in imported)
        owners = {host: owner for host, owner in owned if owner is not None}
        return Listens(listener.port.number if listener.port is not None else None, imported, rules, owners)

    def _full(self, virtual_service: VirtualService, host: str) -> Host:
        return resolve(host, virtual_service.namespace, self.config.domain)

    def _named(self, imports: _Imports) -> Iterator[RegisteredService]:
        """The services that exact hosts name, one for each host and namespace."""
        for namespace, hosts in imports.listed.items():
            for host in dict.fromkeys(hosts):
                one = self._one(Host(host), namespace)
                if one is not None and self._visible(one) != "hidden":
                    yield one

    def _of_one_namespace(self, services: Sequence[RegisteredService]) -> tuple[RegisteredService, ...]:
        """Of each host the services of one namespace: the client's own, else that of a Kubernetes service, else the
        first."""
        taken: dict[Host, RegisteredService] = {}
        for one in services:
            known = taken.get(one.host)
            better = known is not None and one.kubernetes and not known.kubernetes and known.namespace != self.client
            if known is None or one.namespace == self.client or better:
                taken[one.host] = one
        return tuple(one for one in services if taken[one.host].namespace == one.namespace)

    def clusters(self, listeners: Iterable[Listens]) -> Mapping[Host, RegisteredService]:
        """The services that a proxy needs clusters for: what it imports, and where imported rules send to."""
        found: dict[Host, RegisteredService] = {}
        for listener in listeners:
            for service in listener.services:
                _join(found, service)
            wanted: dict[Host, set[int]] = {}
            for virtual_service in listener.virtual_services:
                wanted.clear()
                for owner, one in destinations(virtual_service, self.client, self.delegates):
                    number = one.port.number if one.port is not None else 0
                    wanted.setdefault(self._full(owner, one.host), set()).add(number)
                for host, ports in wanted.items():
                    picked = self._picked(host)
                    if picked is None:
                        continue
                    trimmed = at_ports(picked, {listener.port} if listener.port else ports)
                    if trimmed is not None:
                        _join(found, trimmed)
        return found

    def _picked(self, host: Host) -> RegisteredService | None:
        """Which service a rule means by a host: the client namespace's own, else one that it sees, a Kubernetes service
        before others and the oldest of those."""
        by_namespace = self._by_host.get(host)
        if not by_namespace:
            return None
        if self.client in by_namespace:
            return self._one(host, self.client)
        visible = [
            one
            for namespace in by_namespace
            if (one := self._one(host, namespace)) is not None and self._visible(one) != "hidden"
        ]
        return first_of_each(sorted(visible, key=lambda one: one.age))[host] if visible else None


def at_ports(service: RegisteredService, ports: set[int]) -> RegisteredService | None:
    """A service with only these ports, None where it has none of them; 0 among them stands for all."""
    if 0 in ports or all(port.number in ports for port in service.ports):
        return service if 0 in ports or service.ports else None
    kept = tuple(port for port in service.ports if port.number in ports)
    return msgspec.structs.replace(service, ports=kept) if kept else None


def _join(found: dict[Host, RegisteredService], service: RegisteredService) -> None:
    """Add a service, or its ports to the same one; a Kubernetes service takes the place of others, and no other its."""
    known = found.get(service.host)
    if known is None or (service.kubernetes and not known.kubernetes):
        found[service.host] = service
        return
    if (known.namespace, known.reach, known.likeness) != (service.namespace, service.reach, service.likeness):
        return
    there = {port.number for port in known.ports}
    more = tuple(port for port in service.ports if port.number not in there)
    if more:
        members = {**service.members, **known.members}
        found[service.host] = msgspec.structs.replace(known, ports=(*known.ports, *more), members=members)
