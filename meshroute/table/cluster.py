"""Clusters: where routes send to, who answers there, and what decides who may be chosen.

Source    spec/balance.md; envoyproxy/envoy: api/envoy/config/cluster/v3/cluster.proto, endpoint/v3/endpoint.proto
Inputs    endpoints in the order in which a proxy receives them: order decides round robin and can decide rings.
Errors    ValueError for numbers that a proxy refuses; `Router` refuses what only shows in the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from meshroute.names import ClusterName, EndpointKey, endpoint_key
from meshroute.table.outlier import OutlierDetection
from meshroute.table.policy import Policy
from meshroute.table.subsets import Subsets

MAX_PRIORITY: Final = 128
MAX_WEIGHT: Final = 2**32 - 1


class Health(StrEnum):
    """Whether an endpoint may be chosen."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """Answers, but should be spared: it gets what healthy ones cannot carry."""
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    """Unhealthy, and no longer counted among those that ought to be healthy."""


class Endpoint(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One address of a cluster.

    `workload` names who listens there (`namespace/name`, of a pod mostly); counting goes by address and port alone.
    `priority` 0 is asked first; `locality` is `region/zone/subzone`, any of them empty; `metadata` is what subsets
    select by, and its `hash_key`, if that is a text, is what rings and Maglev hash.
    """

    address: str
    port: int
    workload: str = ""
    health: Health = Health.HEALTHY
    weight: int = 1
    priority: int = 0
    locality: str = ""
    hostname: str = ""
    metadata: Mapping[str, Any] = {}

    @property
    def key(self) -> EndpointKey:
        """`ip:port`, as state counts and rings hash it."""
        return endpoint_key(self.address, self.port)

    def __hash__(self) -> int:  # metadata is a mapping and has none
        return hash((self.address, self.port, self.workload, self.priority))


class LocalityWeight(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The weight of a locality at a priority. A locality that none of these names has weight 0: nothing goes there."""

    locality: str
    weight: int
    priority: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"the weight of locality `{self.locality}` must be from 1 to {MAX_WEIGHT}")


class ZoneAware(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How much traffic stays in the proxy's own locality, where the table names a local cluster.

    `enabled` is the percentage of requests it applies to; clusters of fewer than `minimum_hosts` healthy endpoints
    are left alone; `force_local` keeps everything as long as the locality has `force_local_minimum` healthy ones;
    `fail_on_panic` answers nobody instead of anybody in a panic; `by_weight` counts weights instead of endpoints.
    """

    enabled: float = 100.0
    minimum_hosts: int = 6
    fail_on_panic: bool = False
    force_local: bool = False
    force_local_minimum: int = 1
    by_weight: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.enabled <= 100.0:
            raise ValueError(f"zone-aware routing is enabled for 0 to 100 percent, got {self.enabled}")


class Cluster(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A named set of endpoints with a policy. `service` and `subset` say what it stands for, empty for neither.

    `panic` is the percentage of available endpoints below which everybody is asked, 0 for never; `overprovisioning`
    the percentage by which a priority may be short before the next one helps; `weighted_health` counts weights for it
    instead of endpoints. `locality_weights`, where given, divide each priority by locality first.
    `hash_hostnames` lets rings and Maglev hash hostnames instead of addresses.
    """

    name: ClusterName
    policy: Policy
    endpoints: tuple[Endpoint, ...] = ()
    service: str = ""
    subset: str = ""
    panic: float = 0.0
    overprovisioning: int = 140
    weighted_health: bool = False
    locality_weights: tuple[LocalityWeight, ...] | None = None
    zone_aware: ZoneAware = ZoneAware()
    hash_hostnames: bool = False
    outliers: OutlierDetection | None = None
    subsets: Subsets | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.panic <= 100.0:
            raise ValueError(f"a panic threshold is between 0 and 100 percent, got {self.panic}")
        if not 1 <= self.overprovisioning <= MAX_WEIGHT:
            raise ValueError(f"an overprovisioning factor is at least 1 percent, got {self.overprovisioning}")
