"""Clusters: where routes send to, who answers there, and how one of them is chosen.

Source    spec/balance.md; envoyproxy/envoy: api/envoy/config/cluster/v3/cluster.proto, endpoint/v3/endpoint.proto
Inputs    endpoints in the order in which a proxy receives them: order decides round robin and can decide rings.
Errors    ValueError from the policies whose numbers a proxy refuses.
"""

from __future__ import annotations

from enum import StrEnum
from math import isqrt
from typing import TypeAlias

import msgspec

from meshroute.names import ClusterName, EndpointKey, endpoint_key

MAX_RING_SIZE = 8 * 1024 * 1024
"""Envoy's limit for both bounds of a ring."""
MAX_MAGLEV_SIZE = 5_000_011
"""Envoy's limit for the slots of a Maglev table."""


class Health(StrEnum):
    """Whether an endpoint may be chosen."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Endpoint(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One address of a cluster.

    `workload` names who listens there (`namespace/name` of a pod); hashing and counting go by address and port alone.
    """

    address: str
    port: int
    workload: str = ""
    health: Health = Health.HEALTHY
    weight: int = 1

    @property
    def key(self) -> EndpointKey:
        """`ip:port`, as rings hash it."""
        return endpoint_key(self.address, self.port)


class RoundRobin(msgspec.Struct, frozen=True, tag="round-robin", gc=False, forbid_unknown_fields=True):
    """Endpoints in turn."""


class LeastRequest(msgspec.Struct, frozen=True, tag="least-request", gc=False, forbid_unknown_fields=True):
    """The least busy of `choices` endpoints drawn at random, with replacement. `choices` is at least 2."""

    choices: int = 2

    def __post_init__(self) -> None:
        if self.choices < 2:
            raise ValueError(f"least request needs at least 2 choices, got {self.choices}")


class RandomChoice(msgspec.Struct, frozen=True, tag="random", gc=False, forbid_unknown_fields=True):
    """Any endpoint, each as likely as the other; weights do not count."""


class HashFunction(StrEnum):
    """What places an endpoint's entries on a ring."""

    XX_HASH = "xx-hash"
    MURMUR_HASH_2 = "murmur-hash-2"


class RingHash(msgspec.Struct, frozen=True, tag="ring-hash", gc=False, forbid_unknown_fields=True):
    """Consistent hashing on a ketama ring of `minimum` to `maximum` entries."""

    minimum: int = 1024
    maximum: int = MAX_RING_SIZE
    function: HashFunction = HashFunction.XX_HASH

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= MAX_RING_SIZE or not 0 <= self.maximum <= MAX_RING_SIZE:
            raise ValueError(f"ring sizes must be between 0 and {MAX_RING_SIZE}")
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ring size {self.minimum} exceeds maximum {self.maximum}")


class Maglev(msgspec.Struct, frozen=True, tag="maglev", gc=False, forbid_unknown_fields=True):
    """Consistent hashing by a table of `size` slots; a prime, at most 5,000,011."""

    size: int = 65537

    def __post_init__(self) -> None:
        # Envoy's own test lets 1 pass as a prime, and then divides by zero.
        if not 2 <= self.size <= MAX_MAGLEV_SIZE or any(self.size % n == 0 for n in range(2, isqrt(self.size) + 1)):
            raise ValueError(f"a Maglev table has a prime number of slots, at most {MAX_MAGLEV_SIZE}; got {self.size}")


class OriginalDestination(
    msgspec.Struct, frozen=True, tag="original-destination", gc=False, forbid_unknown_fields=True
):
    """Wherever the client was going: the address it connected to, no choice made."""


Policy: TypeAlias = RoundRobin | LeastRequest | RandomChoice | RingHash | Maglev | OriginalDestination


class Cluster(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A named set of endpoints with a policy. `service` and `subset` say what it stands for, empty for neither."""

    name: ClusterName
    policy: Policy
    endpoints: tuple[Endpoint, ...] = ()
    service: str = ""
    subset: str = ""
