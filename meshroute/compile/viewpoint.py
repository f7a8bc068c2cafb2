"""From where one looks at a mesh, and what holds for all of it.

Source    spec/host.md HOST-7, MATCH-12, spec/locality.md LOC-3, LOC-4; istio/api: mesh/v1alpha1/config.proto,
          networking/v1/sidecar.proto
Inputs    made by the caller. Errors    ValueError for a policy that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from meshroute.compile.topology import CLUSTER_NAME
from meshroute.manifest.istio import HTTPRetry, LocalityLbSetting, ZoneAwareLbSetting
from meshroute.names import CLUSTER_DOMAIN, DEFAULT_NAMESPACE, ROOT_NAMESPACE


class Sidecar(msgspec.Struct, frozen=True):
    """The proxy beside a client pod: its namespace, its labels, and where it runs (`region/zone/subzone`).

    Without a locality, the labels say where it runs, if they do. `node` is the name of its node, for services that
    keep to the client's node. `families` are the kinds of addresses that it has: IPv4, IPv6 or both.
    """

    namespace: str = DEFAULT_NAMESPACE
    labels: Mapping[str, str] = {}
    locality: str = ""
    node: str = ""
    families: tuple[Literal["IPv4", "IPv6"], ...] = ("IPv4", "IPv6")

    def __post_init__(self) -> None:
        if not self.families or not set(self.families) <= {"IPv4", "IPv6"}:
            raise ValueError(f"a proxy has addresses of `IPv4`, `IPv6` or both, got {list(self.families)}")


class Gateway(msgspec.Struct, frozen=True):
    """The proxy at the edge that serves a Gateway: `namespace/name`, or a name in namespace `default`.

    Other Gateways whose selectors take the same proxy are served with it. Who the proxy is, its pods say; where none
    are given, it runs in the Gateway's namespace and has the labels of its selector. `namespace`, `labels` and
    `locality` say otherwise.
    """

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = {}
    locality: str = ""


class Waypoint(msgspec.Struct, frozen=True):
    """The proxy of an ambient mesh that clients of some services are led through: `namespace/name`, or a name in
    namespace `default`. The label `istio.io/use-waypoint` of Services, ServiceEntries and Namespaces says whose it is.
    """

    name: str
    locality: str = ""

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return self.name if "/" in self.name else f"{DEFAULT_NAMESPACE}/{self.name}"


class PathNormalization(StrEnum):
    """How much paths are put in order before anything compares them."""

    DEFAULT = "DEFAULT"
    """As BASE."""
    NONE = "NONE"
    BASE = "BASE"
    """Dot segments are resolved, `\\` is `/`, and what need not be escaped is not."""
    MERGE_SLASHES = "MERGE_SLASHES"
    """And several slashes are one."""
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"
    """And `%2F` and `%5C` are slashes."""


class MeshConfig(msgspec.Struct, frozen=True):
    """What the operator sets for the whole mesh.

    `outbound` is what becomes of hosts that nobody registered: `ALLOW_ANY` lets them through to where the client was
    going, `REGISTRY_ONLY` answers 502. `locality` holds for services of which no DestinationRule and no
    `trafficDistribution` says otherwise; None, like `enabled: false`, turns it off. `cluster` is the cluster's name, as
    a label of everything in it. `retries` holds for rules that say nothing of them; None is Istio's own default.
    `paths` is how paths are put in order. `root_namespace` is the one whose DestinationRules and Sidecar are for
    everybody. `redis_filter` has commands on Redis ports balanced one by one (`PILOT_ENABLE_REDIS_FILTER`): by their
    keys, which nobody here knows, so what is decided is a command without one. The three lists say who sees what has no
    `exportTo` (for Services, no annotation): namespaces, `.` for the own one, `*` for all, `~` for nobody.
    """

    domain: str = CLUSTER_DOMAIN
    outbound: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"
    locality: LocalityLbSetting | None = LocalityLbSetting()
    zone_aware: ZoneAwareLbSetting | None = None
    cluster: str = CLUSTER_NAME
    retries: HTTPRetry | None = None
    paths: PathNormalization = PathNormalization.DEFAULT
    root_namespace: str = ROOT_NAMESPACE
    redis_filter: bool = False
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        if self.outbound not in ("ALLOW_ANY", "REGISTRY_ONLY"):
            raise ValueError(f"outbound policy `{self.outbound}` is not one of `ALLOW_ANY`, `REGISTRY_ONLY`")
