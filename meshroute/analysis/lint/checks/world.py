"""What the checks of lint look things up in, made once for a mesh.

Inputs    a mesh that loaded. Exactness: who sees what is asked of the code that compiles tables, not told anew.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from meshroute.analysis.lint.finding import Finding
from meshroute.compile.delegates import Delegates
from meshroute.compile.destination import DestinationRules, Effective
from meshroute.compile.gateway import Bound, proxy_of
from meshroute.compile.known import Known
from meshroute.compile.pods import Workload
from meshroute.compile.resolve import MESH, gateway_name, is_subset_of, names_for_namespace, overlaps, resolve
from meshroute.compile.resolve import visibility as visible
from meshroute.compile.routes import port_number
from meshroute.compile.scope import governs_mesh
from meshroute.compile.service import Protocol, Reach, RegisteredService
from meshroute.compile.viewpoint import Gateway as AtTheEdge
from meshroute.diagnostics import FieldPath, Severity, SourceRef, nearest
from meshroute.manifest import Resource
from meshroute.manifest.istio import Destination, DestinationRule, PortTrafficPolicy, TrafficPolicy, VirtualService
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.manifest.kubernetes import Service
from meshroute.mesh import Mesh
from meshroute.names import Host

K = TypeVar("K", bound=Resource)
Kind: TypeAlias = Literal["http", "tls", "tcp"]


class Sent(msgspec.Struct, frozen=True):
    """One destination of one rule: where it is written, and the service that it means, None for one that is not there.

    `path` leads to the destination; `copies` is true of mirrors.
    """

    owner: VirtualService
    kind: Kind
    number: int
    path: FieldPath
    destination: Destination
    host: Host
    service: RegisteredService | None
    copies: bool = False

    @property
    def port(self) -> int | None:
        """The port that is written."""
        return port_number(self.destination)

    def at(self, *path: str | int) -> SourceRef:
        """The place of a field of the destination."""
        return self.owner.at("spec", *self.path, *path)


class Front(msgspec.Struct, frozen=True):
    """A port on which proxies look at rules: those of a Gateway, by `namespace/name`, or sidecars (`mesh`); and whose
    it is, in words."""

    gateway: str
    port: int
    whose: str


class Level(msgspec.Struct, frozen=True):
    """One traffic policy of a DestinationRule, where it stands, and what it is for: a subset or the service itself
    (empty), and a port or all (None)."""

    rule: DestinationRule
    path: FieldPath
    policy: TrafficPolicy | PortTrafficPolicy
    subset: str = ""
    port: int | None = None

    def at(self, *path: str | int) -> SourceRef:
        """The place of a field of the policy."""
        return self.rule.at("spec", *self.path, *path)


class World:
    """A mesh, ready to be asked."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh: Final = mesh
        self.config: Final = mesh.config
        self.registry: Final = mesh.registry
        self.known: Final = Known(mesh.registry)
        self.virtual_services: Final = self._every(VirtualService)
        self.destination_rules: Final = self._every(DestinationRule)
        self.gateways: Final = {f"{one.namespace}/{one.name}": one for one in self._every(Gateway)}
        self.sidecars: Final = self._every(Sidecar)
        self.entries: Final = self._every(ServiceEntry)
        self.services: Final = self._every(Service)
        self.delegates: Final = Delegates(self.virtual_services)
        self.rules: Final = DestinationRules(
            self.destination_rules,
            self.config.domain,
            self.config.root_namespace,
            self.config.default_destination_rule_export_to,
        )

    def _every(self, kind: type[K]) -> tuple[K, ...]:
        """In an order that does not depend on that of the files."""
        found = (one for one in self.mesh.resources if isinstance(one, kind))
        return tuple(sorted(found, key=lambda one: (one.namespace, one.name)))

    def full(self, resource: Resource, name: str) -> Host:
        """The host that a resource means by a name."""
        return resolve(name, resource.namespace, self.config.domain)

    # Services

    @cached_property
    def by_host(self) -> Mapping[Host, tuple[RegisteredService, ...]]:
        """All services of each host."""
        found: dict[Host, list[RegisteredService]] = {}
        for one in self.registry.everything:
            found.setdefault(one.host, []).append(one)
        return {host: tuple(some) for host, some in found.items()}

    def sees_host(self, client: str, host: Host) -> bool:
        """Whether proxies of a namespace get some service of a host that rules send to: one of its own in any case."""
        default = self.config.default_service_export_to
        return any(
            one.namespace == client or visible(one.export_to or default, one.namespace, client) != "hidden"
            for one in self.by_host.get(host, ())
        )

    @cached_property
    def inhabited(self) -> frozenset[str]:
        """The namespaces that pods are given of."""
        return frozenset(one.namespace for one in self.registry.workloads)

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that pods or services are given of."""
        return self.inhabited | {one.namespace for one in self.registry.everything}

    # VirtualServices

    @cached_property
    def sent(self) -> tuple[Sent, ...]:
        """Every destination of every rule, mirrors among them."""
        return tuple(one for some in self.sent_of.values() for one in some)

    @cached_property
    def sent_of(self) -> Mapping[str, tuple[Sent, ...]]:
        """The destinations of each VirtualService."""
        return {owner.subject: tuple(self._sent(owner)) for owner in self.virtual_services}

    @cached_property
    def sent_at(self) -> Mapping[tuple[str, FieldPath], Sent]:
        """The destination at each place."""
        return {(one.owner.subject, one.path): one for one in self.sent}

    def _sent(self, owner: VirtualService) -> Iterator[Sent]:
        def one(kind: Kind, number: int, path: FieldPath, destination: Destination, copies: bool = False) -> Sent:
            host = self.full(owner, destination.host)
            return Sent(owner, kind, number, path, destination, host, self.meant(host), copies)

        for number, rule in enumerate(owner.spec.http):
            here: FieldPath = ("http", number)
            for index, to in enumerate(rule.route):
                yield one("http", number, (*here, "route", index, "destination"), to.destination)
            if rule.mirror is not None:
                yield one("http", number, (*here, "mirror"), rule.mirror, copies=True)
            for index, copy in enumerate(rule.mirrors):
                yield one("http", number, (*here, "mirrors", index, "destination"), copy.destination, copies=True)
        for number, passed in enumerate(owner.spec.tls):
            for index, other in enumerate(passed.route):
                yield one("tls", number, ("tls", number, "route", index, "destination"), other.destination)
        for number, connections in enumerate(owner.spec.tcp):
            for index, other in enumerate(connections.route):
                yield one("tcp", number, ("tcp", number, "route", index, "destination"), other.destination)

    def meant(self, host: Host) -> RegisteredService | None:
        """The service that a destination means by a host: of an alias, what it stands for."""
        service = self.known.services.get(host)
        if service is not None and service.reach is Reach.ALIAS:
            return self.known.services.get(Host(service.external_name))
        return service

    def sees_rules(self, client: str, rules: VirtualService) -> bool:
        """Whether a namespace sees a VirtualService."""
        exported = rules.spec.export_to or self.config.default_virtual_service_export_to
        return visible(exported, rules.namespace, client) != "hidden"

    @cached_property
    def roots(self) -> Mapping[tuple[str, str], tuple[VirtualService, ...]]:
        """The VirtualServices that lead to a delegate, by its namespace and name."""
        found: dict[tuple[str, str], list[VirtualService]] = {}
        for root in self.virtual_services:
            for rule in root.spec.http if root.spec.hosts else ():
                if rule.delegate is not None and (one := self.delegates.of(root, rule)) is not None:
                    found.setdefault((one.namespace, one.name), []).append(root)
        return {key: tuple(some) for key, some in found.items()}

    def heads(self, rules: VirtualService) -> tuple[VirtualService, ...]:
        """Those whose hosts and gateways hold for rules: the VirtualService itself, or those that lead to a
        delegate."""
        return (rules,) if rules.spec.hosts else self.roots.get((rules.namespace, rules.name), ())

    def edges(self, head: VirtualService) -> tuple[Gateway, ...]:
        """The given Gateways that a VirtualService names."""
        named = (gateway_name(one, head.namespace) for one in head.spec.gateways if one != MESH)
        return tuple(self.gateways[name] for name in dict.fromkeys(named) if name in self.gateways)

    def serving(self, head: VirtualService) -> Iterator[Bound]:
        """The servers of its Gateways that have a host of a VirtualService."""
        hosts = [self.full(head, one) for one in head.spec.hosts]
        for gateway in self.edges(head):
            for number, server in enumerate(gateway.spec.servers):
                bound = Bound(gateway, server, number, server.port.number)
                names = names_for_namespace(bound.hosts, head.namespace)
                if any(overlaps(host, name) for host in hosts for name in names):
                    yield bound

    def governed(self, head: VirtualService) -> Iterator[RegisteredService]:
        """The services that a VirtualService has hosts of, whoever wins them."""
        for written in head.spec.hosts:
            yield from self.known.covered(self.full(head, written))

    def clients(self, rules: VirtualService) -> tuple[str, ...]:
        """The namespaces of proxies that certainly look at rules: of sidecars the VirtualService's own, and those of
        its Gateways' proxies."""
        found: dict[str, None] = {}
        for head in self.heads(rules):
            if governs_mesh(head) and self.sees_rules(head.namespace, head):
                found[head.namespace] = None
            for gateway in self.edges(head):
                found[self.home(gateway)] = None
        return tuple(found)

    def home(self, gateway: Gateway) -> str:
        """The namespace in which the proxies of a Gateway run."""
        return self._homes[f"{gateway.namespace}/{gateway.name}"]

    @cached_property
    def _homes(self) -> Mapping[str, str]:
        gateways = list(self.gateways.values())
        return {name: proxy_of(self.registry, gateways, AtTheEdge(name)).namespace for name in self.gateways}

    def fronts(self, head: VirtualService, kind: Kind) -> Iterator[Front]:
        """Where rules of a kind are certainly looked at. Of sidecars only the ports of services that the hosts name."""
        if governs_mesh(head):
            for service in self.governed(head):
                for port in service.ports:
                    if speaks(port.protocol, kind):
                        yield Front(MESH, port.number, f"`{service.host}`")
        for bound in self.serving(head):
            if takes(bound, kind):
                yield Front(bound.name, bound.server.port.number, f"Gateway `{bound.name}`")

    def ports(self, rules: VirtualService, kind: Kind) -> frozenset[int]:
        """The ports on which rules are certainly looked at."""
        return frozenset(one.port for head in self.heads(rules) for one in self.fronts(head, kind))

    # DestinationRules

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Every traffic policy of every DestinationRule."""
        return tuple(one for rule in self.destination_rules for one in _levels(rule))

    def covered(self, rule: DestinationRule) -> list[RegisteredService]:
        """The services that a DestinationRule names, whoever follows it."""
        return self.known.covered(self.full(rule, rule.spec.host))

    def effective(self, client: str, host: Host) -> Effective:
        """What DestinationRules say about a host, for proxies of a namespace."""
        service = self.known.services.get(host)
        return self.rules.effective(client, host, service.namespace if service is not None else client)

    @cached_property
    def by_policy(self) -> Mapping[int, Level]:
        """The level of each traffic policy, by its identity."""
        return {id(one.policy): one for one in self.levels}

    @cached_property
    def rules_for(self) -> Mapping[Host, tuple[DestinationRule, ...]]:
        """The DestinationRules that name each host."""
        found: dict[Host, list[DestinationRule]] = {}
        for one in self.destination_rules:
            found.setdefault(self.full(one, one.spec.host), []).append(one)
        return {host: tuple(some) for host, some in found.items()}

    # Workloads

    @cached_property
    def _by_namespace(self) -> Mapping[str | None, tuple[Workload, ...]]:
        found: dict[str | None, list[Workload]] = {}
        for one in self.registry.workloads:
            found.setdefault(one.namespace, []).append(one)
        return {None: self.registry.workloads, **{name: tuple(some) for name, some in found.items()}}

    def pods(self, labels: Mapping[str, str], namespace: str | None = None) -> list[Workload]:
        """The pods that labels choose, in one namespace or anywhere."""
        return [one for one in self._by_namespace.get(namespace, ()) if is_subset_of(labels, one.labels)]

    def nearly(self, labels: Mapping[str, str], namespace: str | None = None) -> Workload | None:
        """A pod that labels hardly miss: each value is its own, but for a slip of the pen."""
        for one in self._by_namespace.get(namespace, ()):
            if all(nearest(value, (one.labels.get(key, ""),)) for key, value in labels.items()):
                return one
        return None


def speaks(protocol: Protocol, kind: Kind) -> bool:
    """Whether rules of a kind apply to a port of a sidecar; of one that is sniffed, whether they may."""
    match kind:
        case "http":
            return protocol.may_be_http
        case "tls":
            return protocol is Protocol.TLS
        case "tcp":
            return protocol in (Protocol.TCP, Protocol.REDIS, Protocol.UNKNOWN)


def takes(bound: Bound, kind: Kind) -> bool:
    """Whether a server of a Gateway follows rules of a kind."""
    match kind:
        case "http":
            return bound.is_http or bound.reads_https
        case "tls":
            return bound.is_tls and not bound.ends_tls
        case "tcp":
            return not bound.is_http and not bound.reads_https and (not bound.is_tls or bound.ends_tls)


def _levels(rule: DestinationRule) -> Iterator[Level]:
    found: list[tuple[FieldPath, TrafficPolicy | None, str]] = [(("trafficPolicy",), rule.spec.traffic_policy, "")]
    found += [
        (("subsets", number, "trafficPolicy"), subset.traffic_policy, subset.name)
        for number, subset in enumerate(rule.spec.subsets)
    ]
    for path, policy, subset in found:
        if policy is None:
            continue
        yield Level(rule, path, policy, subset)
        for number, entry in enumerate(policy.port_level_settings):
            port = entry.port.number if entry.port is not None else None
            yield Level(rule, (*path, "portLevelSettings", number), entry, subset, port)


def as_note(finding: Finding) -> Finding:
    """A finding that only informs: what was not given could make it right."""
    return msgspec.structs.replace(finding, severity=Severity.NOTE)
