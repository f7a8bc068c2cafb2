"""Hash what-if: which keys change their endpoint when a cluster changes, and from whom to whom.

Source    spec/shares.md SHARE-5
Inputs    the same cluster before and after: endpoints came, went, fell sick or were weighted otherwise.
Exactness every one of the 2^64 keys is counted: rings by the stretches between the points of both, Maglev tables by
          slot.
Errors    MovedError for clusters that do not hash, or that hash by different means: their keys have nothing in common.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from meshroute.balance import DRAWS, maglev, ring_hash
from meshroute.balance.candidates import usable
from meshroute.names import EndpointKey
from meshroute.router import Router
from meshroute.table import Cluster, Endpoint, Maglev, RingHash

Flow: TypeAlias = tuple[EndpointKey | None, EndpointKey | None]
"""From whom to whom, by `ip:port`; None for nobody, where no endpoint is healthy."""


class MovedError(ValueError):
    """Two clusters whose keys cannot be compared."""


class Moved(msgspec.Struct, frozen=True):
    """Shares of all keys: `total` that change their endpoint, and each flow, those that stay included; flows sum to 1.

    `workloads` names the pods behind the addresses.
    """

    total: Fraction
    flows: Mapping[Flow, Fraction]
    workloads: Mapping[EndpointKey, str]

    def to_builtins(self) -> dict[str, Any]:
        """Plain JSON values; shares as numerator and denominator, as text because they pass 64 bits."""

        def share(value: Fraction) -> dict[str, str]:
            return {"numerator": str(value.numerator), "denominator": str(value.denominator)}

        def end(key: EndpointKey | None) -> dict[str, str | None]:
            return {"endpoint": key, "pod": self.workloads.get(key) if key is not None else None}

        return {
            "moved": share(self.total),
            "flows": [
                {"from": end(before), "to": end(after), **share(value)} for (before, after), value in self.flows.items()
            ],
        }


def find_cluster(router: Router, host: str, port: int, subset: str = "") -> Cluster:
    """The cluster of a service's full or short host on a port, or of one of its subsets. Raises MovedError."""
    found = [
        one
        for one in router.table.clusters
        if one.subset == subset
        and one.name.split("|")[1:2] == [str(port)]
        and (one.service == host or one.service.startswith(host + "."))
    ]
    if len(found) != 1:
        known = ", ".join(f"`{one.name}`" for one in router.table.clusters if one.service) or "none"
        what = "no cluster" if not found else "several clusters"
        raise MovedError(f"{what} for host `{host}`, port {port}, subset `{subset}`; there are {known}")
    return found[0]


def moved(before: Cluster, after: Cluster) -> Moved:
    """What a change moves, over all keys. Raises MovedError."""
    flows: dict[Flow, int] = {}
    for was, now, keys in _stretches(before, after):
        flows[was, now] = flows.get((was, now), 0) + keys
    shares = {flow: Fraction(keys, DRAWS) for flow, keys in flows.items()}
    return Moved(
        total=sum((share for (was, now), share in shares.items() if was != now), Fraction(0)),
        flows=dict(sorted(shares.items(), key=lambda one: (str(one[0][0]), str(one[0][1])))),
        workloads={one.key: one.workload for cluster in (before, after) for one in cluster.endpoints},
    )


def _stretches(before: Cluster, after: Cluster) -> Iterator[tuple[EndpointKey | None, EndpointKey | None, int]]:
    """Pieces of the key space with the owner before, the owner after, and the number of keys."""
    one, other = usable(before.endpoints), usable(after.endpoints)
    if isinstance(before.policy, RingHash) and isinstance(after.policy, RingHash):
        rings = (ring_hash.build(one, before.policy), ring_hash.build(other, after.policy))
        ends = sorted({*rings[0].points, *rings[1].points, DRAWS - 1})
        low = 0
        for high in ends:
            yield _at(rings[0], one, high), _at(rings[1], other, high), high - low + 1
            low = high + 1
    elif isinstance(before.policy, Maglev) and before.policy == after.policy:
        size = before.policy.size
        tables = [[some[n].key for n in maglev.build(some, size)] if some else [None] * size for some in (one, other)]
        whole, more = divmod(DRAWS, size)
        for slot, (was, now) in enumerate(zip(*tables, strict=True)):
            yield was, now, whole + (slot < more)
    else:
        raise MovedError(
            f"keys are placed by {type(before.policy).__name__} before and by {type(after.policy).__name__} after: "
            "only two rings, or two Maglev tables of one size, can be compared"
        )


def _at(ring: ring_hash.Ring, endpoints: tuple[Endpoint, ...], key: int) -> EndpointKey | None:
    if not ring.points:
        return None
    return endpoints[ring.owners[bisect_left(ring.points, key) % len(ring.points)]].key
