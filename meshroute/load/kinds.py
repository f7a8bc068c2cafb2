"""Which model reads which kind: one table.

Source    the `api_versions` of the models in `manifest`
Errors    none; a kind that is not here is somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshroute.manifest import (
    Deployment,
    DestinationRule,
    EndpointSlice,
    Gateway,
    Namespace,
    Node,
    Pod,
    Resource,
    Service,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
)

MODELS: Final[tuple[type[Resource], ...]] = (
    Deployment,
    DestinationRule,
    EndpointSlice,
    Gateway,
    Namespace,
    Node,
    Pod,
    Service,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
)

KINDS: Final[Mapping[tuple[str, str], type[Resource]]] = {
    (version, model.__name__): model for model in MODELS for version in model.api_versions
}


def group_of(api_version: str) -> str:
    """The group of an apiVersion: `apps` of `apps/v1`, empty for `v1`."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""


GROUPS: Final[Mapping[tuple[str, str], type[Resource]]] = {
    (group_of(version), kind): model for (version, kind), model in KINDS.items()
}
"""By group and kind: what another version of a known kind would be."""
