"""Mesh: manifests in, routers out.

Source    docs/library.md
Inputs    files and folders (`load`), text (`loads`), or manifests built in Python (`Mesh`).
Errors    ManifestError with every diagnostic when one of them is an error. A router of rules that Istio passes on and a
          proxy refuses is a TableError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from os import PathLike, fspath
from typing import Final, TypeVar

from msgspec.structs import astuple

from meshroute.balance.kube_proxy import KubeProxy
from meshroute.compile import fronts
from meshroute.compile.check import check, check_alone, check_rules
from meshroute.compile.check_policy import check_policies
from meshroute.compile.cluster_dns import Named, asked_for, targets, whose, whose_port
from meshroute.compile.destination import DestinationRules
from meshroute.compile.gateway import gateway_table
from meshroute.compile.istio import sidecar_table
from meshroute.compile.registry import build
from meshroute.compile.viewpoint import Gateway as AtTheEdge
from meshroute.compile.viewpoint import MeshConfig, Sidecar, Waypoint
from meshroute.compile.waypoint import waypoint_table
from meshroute.diagnostics import Diagnostic, ManifestError, Severity, in_order, nearest
from meshroute.load import load_paths, load_text
from meshroute.manifest import Resource
from meshroute.manifest.istio import DestinationRule, VirtualService
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import ServiceEntry, WorkloadEntry, WorkloadGroup
from meshroute.manifest.istio_sidecar import Sidecar as SidecarResource
from meshroute.manifest.kubernetes import Deployment, EndpointSlice, Namespace, Node, Pod, Service
from meshroute.names import DEFAULT_NAMESPACE, canonical_ip
from meshroute.router import Router
from meshroute.service_proxy import ServiceProxy
from meshroute.table import RoutingTable
from meshroute.table.front import Front

K = TypeVar("K", bound=Resource)
_DEFAULT_CONFIG: Final = MeshConfig()
_DEFAULT_SIDECAR: Final = Sidecar()
_DEFAULT_KUBE_PROXY: Final = KubeProxy()


class Mesh:
    """Everything that was loaded. It never changes; `diagnostics` has the warnings and notes about it."""

    __slots__ = (
        "_cluster",
        "_fronts",
        "_gateways",
        "_routers",
        "_rules",
        "_sidecars",
        "_virtual_services",
        "config",
        "diagnostics",
        "registry",
        "resources",
    )

    def __init__(
        self,
        resources: Sequence[Resource],
        diagnostics: Sequence[Diagnostic] = (),
        config: MeshConfig = _DEFAULT_CONFIG,
        drafts: Sequence[Resource] = (),
    ) -> None:
        """A mesh of these resources. `diagnostics` are what loading them had to say, errors about `drafts` among them:
        those are looked at for what else is wrong, and decide nothing. Raises ManifestError."""

        def every(kind: type[K]) -> list[K]:
            return [one for one in resources if isinstance(one, kind)]

        self.resources: Final = tuple(resources)
        self.config: Final = config
        self._virtual_services: Final = every(VirtualService)
        rules = every(DestinationRule)
        self._rules: Final = DestinationRules(
            rules, config.domain, config.root_namespace, config.default_destination_rule_export_to
        )
        self._sidecars: Final = every(SidecarResource)
        self._gateways: Final = every(Gateway)
        self.registry, assumed = build(
            every(Service),
            every(EndpointSlice),
            every(Pod),
            every(Deployment),
            config.domain,
            nodes=every(Node),
            namespaces=every(Namespace),
            cluster=config.cluster,
            service_entries=every(ServiceEntry),
            workload_entries=every(WorkloadEntry),
        )
        others = [
            one
            for one in resources
            if isinstance(one, Gateway | ServiceEntry | SidecarResource | WorkloadEntry | WorkloadGroup)
        ]
        seen_by = config.default_virtual_service_export_to
        found = check(self.registry, self._virtual_services, rules, config.domain, others, seen_by)
        said = [*diagnostics, *assumed, *found]
        self._cluster: fronts.Cluster | None = None
        if asking := [one for one in every(Service) if fronts.asks_for_hints(one)]:
            said += fronts.hints_told(asking, self._known())
        for draft in drafts:
            if isinstance(draft, VirtualService):
                said += check_rules(draft)
            elif isinstance(draft, DestinationRule):
                said += (one for one in check_policies(draft) if one.severity is Severity.ERROR)
            said += (one for one in check_alone(draft) if one.severity is Severity.ERROR)
        self.diagnostics: Final = in_order(said)
        self._routers: dict[tuple[object, ...], Router] = {}
        self._fronts: dict[tuple[str, str], Front] = {}
        self._admit()

    def _admit(self) -> None:
        """Let nothing in that has errors."""
        if any(one.severity is Severity.ERROR for one in self.diagnostics):
            raise ManifestError(self.diagnostics)

    def router(self, viewpoint: Sidecar | AtTheEdge | Waypoint = _DEFAULT_SIDECAR) -> Router:
        """What the proxy at this viewpoint would do; without one, a sidecar in namespace `default` without labels.

        Raises ValueError for a Gateway that is not there, and TableError, which is one too, for rules that Istio passes
        on and a proxy refuses.
        """
        key = (type(viewpoint), *map(_hashable, astuple(viewpoint)))
        router = self._routers.get(key)
        if router is None:
            router = self._routers[key] = Router(self.table(viewpoint))
        return router

    def table(self, viewpoint: Sidecar | AtTheEdge | Waypoint = _DEFAULT_SIDECAR) -> RoutingTable:
        """What the proxy at this viewpoint executes, as a value. Raises ValueError for a Gateway that is not there."""
        if isinstance(viewpoint, Waypoint):
            return waypoint_table(self.registry, self._virtual_services, self._rules, viewpoint, self.config)
        if isinstance(viewpoint, AtTheEdge):
            return gateway_table(
                self.registry, self._virtual_services, self._gateways, self._rules, viewpoint, self.config
            )
        return sidecar_table(self.registry, self._virtual_services, self._rules, viewpoint, self.config, self._sidecars)

    def service(
        self,
        name: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        kube_proxy: KubeProxy = _DEFAULT_KUBE_PROXY,
        node: str = "",
        zone: str | None = None,
        hostname: str = "",
    ) -> ServiceProxy:
        """What a node does with connections to a Service, which `name` names, or `namespace/name`.

        `node` is where the connection meets kube-proxy: the client's own node, or the one that it connects to. `zone`
        is that of the node unless given. With a `hostname` connections are to the pods of that name behind it. Raises
        ValueError for a Service or a node that is not there.
        """
        if "/" in name:
            namespace, _, name = name.partition("/")
        services = self._services()
        if (namespace, name) not in services:
            close = nearest(f"{namespace}/{name}", ["/".join(key) for key in services])
            raise ValueError(f"no Service `{namespace}/{name}`" + (f": did you mean `{close}`?" if close else ""))
        cluster = self._known()
        if node and zone is None and node not in (known := cluster.known_nodes()):
            close = nearest(node, known)
            raise ValueError(f"no node `{node}`" + (f": did you mean `{close}`?" if close else ""))
        at, aliases = Named(namespace, name, hostname.lower()), list[tuple[str, str]]()
        while (found := self._front(services[at[:2]], cluster)).alias and not at.hostname:
            following = whose(found.alias, self.config.domain)
            if following is None or following[:2] not in services or found.name in (one for one, _ in aliases):
                break
            aliases.append((found.name, found.alias))
            at = following
        pods = (canonical_ip(one) for pod in self.registry.workloads for one in (pod.address, *pod.others))
        own = cluster.addresses(node) if node else frozenset[str]()
        return ServiceProxy(
            found,
            kube_proxy,
            node,
            cluster.zone(node) if zone is None else zone,
            frozenset(pods) | own,
            cluster.addresses(node),
            tuple(aliases),
            at.hostname,
        )

    def lookup(
        self,
        host: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        kube_proxy: KubeProxy = _DEFAULT_KUBE_PROXY,
        node: str = "",
        zone: str | None = None,
    ) -> ServiceProxy:
        """What the name of a Service, or of pods behind one, leads a client in this namespace to, as its search list
        has it: `web`, `web.shop`, `web-0.web.shop.svc.cluster.local`.

        The first full name for which there is an answer; where there is none for any, the first whose Service is there.
        Otherwise as `service`. Raises ValueError for a name of no Service, and a node that is not there.
        """
        services = self._services()
        every = [whose(one, self.config.domain) for one in asked_for(host, namespace, self.config.domain)]
        first: ServiceProxy | None = None
        for one in every:
            if one is None or one[:2] not in services:
                continue
            found = self.service(
                one.service, one.namespace, kube_proxy=kube_proxy, node=node, zone=zone, hostname=one.hostname
            )
            if found.resolves():
                return found
            first = first or found
        if first is not None:
            return first
        plain = next((one for one in every if one is not None and not one.hostname), None)
        if plain is not None:
            return self.service(plain.service, plain.namespace)  # which is not there, and the nearest one is told
        raise ValueError(f"`{host}` is no name of a Service, nor of a pod behind one")

    def targets(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> tuple[tuple[str, int], ...]:
        """Where the name of a port leads (`_http._tcp.web`): full names with their ports, as SRV records have them.

        Searched for as `lookup` does; none where the Service has no port of this name and protocol. Raises ValueError
        for what is no name of a port of a Service.
        """
        services, domain, there = self._services(), self.config.domain, False
        for one in (whose_port(one, domain) for one in asked_for(name, namespace, domain)):
            if one is None or (one.namespace, one.service) not in services:
                continue
            front = self._front(services[one.namespace, one.service], self._known())
            if found := targets(front, one.port, one.protocol, domain):
                return found
            there = True
        if not there:
            raise ValueError(f"`{name}` is no name of a port of a Service, such as `_http._tcp.web`")
        return ()

    def _known(self) -> fronts.Cluster:
        """What fronts are made of: put together when it is first asked for."""
        if self._cluster is None:
            slices = (one for one in self.resources if isinstance(one, EndpointSlice))
            nodes = (one for one in self.resources if isinstance(one, Node))
            self._cluster = fronts.cluster_of(slices, self.registry.workloads, nodes)
        return self._cluster

    def _services(self) -> dict[tuple[str, str], Service]:
        return {(one.namespace, one.name): one for one in self.resources if isinstance(one, Service)}

    def _front(self, service: Service, cluster: fronts.Cluster) -> Front:
        key = (service.namespace, service.name)
        front = self._fronts.get(key)
        if front is None:
            front = self._fronts[key] = fronts.front_of(service, cluster)
        return front


def _hashable(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


def load(
    *paths: str | PathLike[str],
    namespace: str = DEFAULT_NAMESPACE,
    strict: bool = True,
    repair: bool | Collection[str] = False,
    config: MeshConfig = _DEFAULT_CONFIG,
) -> Mesh:
    """The mesh of the manifests in these files and folders.

    `namespace` is given to objects that name none, as `kubectl apply -n` does. `strict=False` drops unknown fields
    with a warning, as a non-strict API client does; otherwise they are errors. `repair` reads known slips as they were
    meant, one diagnostic each: True for all of them, or the `repaired-...` codes to allow.

    Raises ManifestError with all diagnostics if any is an error.
    """
    loaded = load_paths([fspath(path) for path in paths], namespace=namespace, strict=strict, repair=repair)
    return Mesh(loaded.resources, loaded.diagnostics, config, loaded.drafts)


def loads(
    text: str | bytes,
    source: str = "inline",
    *,
    namespace: str = DEFAULT_NAMESPACE,
    strict: bool = True,
    repair: bool | Collection[str] = False,
    config: MeshConfig = _DEFAULT_CONFIG,
) -> Mesh:
    """The mesh of manifests in a text, which diagnostics call `source`. Otherwise as `load`; reads no file."""
    loaded = load_text(text, source, namespace=namespace, strict=strict, repair=repair)
    return Mesh(loaded.resources, loaded.diagnostics, config, loaded.drafts)
