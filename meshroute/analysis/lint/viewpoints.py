"""From where a mesh can be looked at, as far as it makes a difference to rules.

Source    spec/sidecar.md, spec/gateway.md, spec/waypoint.md, spec/rule.md
Inputs    a mesh. Exactness: whatever client there is, one of these has every rule that it has, with no more rules in
          the way: namespaces that nothing speaks of are alike, and labels matter only where something asks for them.
Errors    none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.compile.gateway import proxy_of
from meshroute.compile.resolve import MESH, is_subset_of, visibility
from meshroute.compile.routes import Asker
from meshroute.compile.viewpoint import Gateway, Sidecar, Waypoint
from meshroute.manifest.istio import DestinationRule, VirtualService
from meshroute.manifest.istio_gateway import Gateway as GatewayResource
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.manifest.istio_sidecar import Sidecar as SidecarResource
from meshroute.mesh import Mesh
from meshroute.names import ascii_lower

Viewpoint: TypeAlias = Sidecar | Gateway | Waypoint
ELSEWHERE: Final = "elsewhere"
"""A namespace that nothing speaks of; `x` is put behind it until that is so."""


class Place(msgspec.Struct, frozen=True):
    """A viewpoint, and who asks there. At a gateway of which no pod is given, nobody knows the labels: not `sure`."""

    viewpoint: Viewpoint
    askers: tuple[Asker, ...]
    sure: bool = True


def places(mesh: Mesh) -> Iterator[Place]:
    """Every viewpoint that makes a difference, sidecars first."""
    yield from _sidecars(mesh)
    yield from _gateways(mesh)
    for name in sorted({one.waypoint for one in mesh.registry.services.values() if one.waypoint}):
        yield Place(Waypoint(name), (Asker(frozenset((MESH,)), {}, name.partition("/")[0]),))


def _sidecars(mesh: Mesh) -> Iterator[Place]:
    sidecars = [one for one in mesh.resources if isinstance(one, SidecarResource)]
    asked = list(_labels_asked_for(mesh))
    met: set[tuple[object, ...]] = set()
    tell = _Differences(mesh, sidecars)
    for namespace in _namespaces(mesh):
        alike = tell.of(namespace)
        if alike in met:
            continue
        met.add(alike)
        selectors = [
            one.spec.workload_selector.labels
            for one in sidecars
            if one.namespace == namespace and one.spec.workload_selector is not None
        ]
        seen: list[Mapping[str, str]] = []
        for labels in asked:
            for selector in ({}, *selectors):
                if any(selector.get(key, value) != value for key, value in labels.items()):
                    continue
                together = {**labels, **selector}
                if together not in seen:
                    seen.append(together)
                    yield Place(Sidecar(namespace, together), (Asker(frozenset((MESH,)), together, namespace),))


def _namespaces(mesh: Mesh) -> list[str]:
    """Those that something is in or speaks of, and one more."""
    found = {one.namespace for one in mesh.resources if one.namespace}
    for one in mesh.resources:
        if isinstance(one, VirtualService | DestinationRule | ServiceEntry):
            found |= {name for name in one.spec.export_to if name.isalnum() or "-" in name}
        if isinstance(one, VirtualService):
            found |= {asked.source_namespace for rule in one.spec.http for asked in rule.match}
    found.discard("")
    other = ELSEWHERE
    while other in found:
        other += "x"
    return [*sorted(found), other]


class _Differences:
    """What makes one namespace's view of the rules another than that of the next one."""

    def __init__(self, mesh: Mesh, sidecars: Sequence[SidecarResource]) -> None:
        virtual_services = [one for one in mesh.resources if isinstance(one, VirtualService)]
        matches = [asked for one in virtual_services for rule in one.spec.http for asked in rule.match]
        config = mesh.config
        exports = [
            (one.spec.export_to or config.default_virtual_service_export_to, one.namespace) for one in virtual_services
        ]
        services = mesh.registry.everything
        exports += [(one.export_to or config.default_service_export_to, one.namespace) for one in services]
        self._kept: Final = [(to, owner) for to, owner in exports if visibility(to, owner, "") != "public"]
        hosts = Counter(ascii_lower(one.host) for one in services)
        self._named: Final = {
            *(one.namespace for one in sidecars),
            *(one.namespace for one in services if hosts[ascii_lower(one.host)] > 1),
            *(asked.source_namespace for asked in matches),
        }
        # Short names are names of a service in its own namespace alone.
        self._all: Final = any(asked.authority is not None for asked in matches)

    def of(self, namespace: str) -> tuple[object, ...]:
        """The same for namespaces whose proxies have the same rules in the same order."""
        seen = tuple(visibility(to, owner, namespace) for to, owner in self._kept)
        return (namespace if self._all or namespace in self._named else "", seen)


def _labels_asked_for(mesh: Mesh) -> Iterator[Mapping[str, str]]:
    """No labels, then what each match asks for. More labels only put more rules in the way."""
    seen: list[Mapping[str, str]] = [{}]
    yield {}
    for one in mesh.resources:
        if not isinstance(one, VirtualService):
            continue
        for labels in _labels(one):
            if labels not in seen:
                seen.append(labels)
                yield labels


def _labels(virtual_service: VirtualService) -> Iterator[Mapping[str, str]]:
    for rule in virtual_service.spec.http:
        for asked in rule.match:
            yield dict(asked.source_labels)


def _gateways(mesh: Mesh) -> Iterator[Place]:
    gateways = [one for one in mesh.resources if isinstance(one, GatewayResource)]
    for one in gateways:
        viewpoint = Gateway(f"{one.namespace}/{one.name}")
        proxy = proxy_of(mesh.registry, gateways, viewpoint)
        askers = tuple(
            Asker(frozenset((f"{served.namespace}/{served.name}",)), proxy.labels, proxy.namespace)
            for served in proxy.gateways
        )
        selector = one.spec.selector
        given = bool(selector) and any(is_subset_of(selector, pod.labels) for pod in mesh.registry.workloads)
        yield Place(viewpoint, askers, given)
