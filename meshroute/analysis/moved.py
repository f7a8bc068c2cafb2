"""Hash what-if: which keys change their endpoint when a cluster changes, and from whom to whom.

Source    spec/shares.md SHARE-5
Inputs    the same cluster before and after: endpoints came, went, fell sick or were weighted otherwise.
Exactness every one of the 2^64 keys is counted, by the priority that it chooses: rings by the stretches between the
          points of both, Maglev tables by slot. Where load is bounded, this is so while no host is full.
Errors    MovedError for clusters that do not hash, or that hash by different means: their keys have nothing in common.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from meshroute.balance import DRAWS, Around, Band, Pool, of_cluster
from meshroute.balance.bounded import Bounded
from meshroute.balance.maglev import InTable, keys_in_band
from meshroute.balance.picker import span_count
from meshroute.balance.ring_hash import OnRing
from meshroute.balance.target import put_aside
from meshroute.names import EndpointKey
from meshroute.router import Router
from meshroute.table import Cluster, Maglev, RingHash

Flow: TypeAlias = tuple[EndpointKey | None, EndpointKey | None]
"""From whom to whom, by `ip:port`; None for nobody, where no endpoint is healthy."""
Piece: TypeAlias = tuple[EndpointKey | None, EndpointKey | None, int]
"""The owner of some keys before, their owner after, and how many they are."""


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


def find_cluster(router: Router, host: str, port: int, subset: str = "", *, ejected: Collection[str] = ()) -> Cluster:
    """The cluster of a service's full or short host on a port, or of one of its subsets; the `ejected` endpoints
    (`ip:port`) count there as endpoints do that are put aside. Raises MovedError."""
    found = [
        one
        for one in router.table.clusters
        if one.subset == subset
        and one.name.split("|")[1:2] == [str(port)]
        and (one.service == host or one.service.startswith(host + "."))
    ]
    # A waypoint may have a service's cluster once for each protocol, alike but for the name.
    if found and all(replace(one, name=found[0].name) == found[0] for one in found):
        found = found[:1]
    if len(found) != 1:
        known = ", ".join(f"`{one.name}`" for one in router.table.clusters if one.service) or "none"
        what = "no cluster" if not found else "several clusters"
        raise MovedError(f"{what} for host `{host}`, port {port}, subset `{subset}`; there are {known}")
    (cluster,) = found
    strangers = sorted(set(ejected) - {one.key for one in cluster.endpoints})
    if strangers:
        endpoints = ", ".join(f"`{one.key}`" for one in cluster.endpoints) or "none"
        raise MovedError(f"`{strangers[0]}` is no endpoint of `{cluster.name}`; its endpoints are {endpoints}")
    return replace(
        cluster,
        endpoints=tuple(put_aside(one) if one.key in ejected else one for one in cluster.endpoints),
    )


def moved(before: Cluster, after: Cluster, *, locality: str = "") -> Moved:
    """What a change moves, over all keys, for a proxy in this locality. Raises MovedError."""
    flows: dict[Flow, int] = {}
    for was, now, keys in _stretches(before, after, Around(locality)):
        flows[was, now] = flows.get((was, now), 0) + keys
    shares = {flow: Fraction(keys, DRAWS) for flow, keys in flows.items()}
    return Moved(
        total=sum((share for (was, now), share in shares.items() if was != now), Fraction(0)),
        flows=dict(sorted(shares.items(), key=lambda one: (str(one[0][0]), str(one[0][1])))),
        workloads={one.key: one.workload for cluster in (before, after) for one in cluster.endpoints},
    )


def _stretches(before: Cluster, after: Cluster, around: Around) -> Iterator[Piece]:
    """Pieces of the key space with the owner before, the owner after, and the number of keys."""
    if before.subsets is not None or after.subsets is not None:
        raise MovedError("a cluster that is divided into subsets has a ring or a table for each of them")
    rings = isinstance(before.policy, RingHash) and isinstance(after.policy, RingHash)
    if not rings and not _same_tables(before, after):
        raise MovedError(
            f"keys are placed by {_means(before)} before and by {_means(after)} after: "
            "only two rings, or two Maglev tables of one size, can be compared"
        )
    pieces = _between_rings if rings else _between_tables
    for one in of_cluster(before, around).bands:
        for other in of_cluster(after, around).bands:
            low, high = max(one.low, other.low), min(one.high, other.high)
            if low < high:
                yield from pieces(_pool(one), _pool(other), low, high)


def _means(cluster: Cluster) -> str:
    match cluster.policy:
        case RingHash():
            return "a ring"
        case Maglev(size):
            return f"a Maglev table of {size} slots"
        case other:
            return f"no key at all ({type(other).__name__})"


def _same_tables(before: Cluster, after: Cluster) -> bool:
    one, other = before.policy, after.policy
    return isinstance(one, Maglev) and isinstance(other, Maglev) and one.size == other.size


def _between_rings(one: Pool, other: Pool, low: int, high: int) -> Iterator[Piece]:
    """Between the points of both rings nothing changes. Keys count whose remainder modulo 100 is in [low, high)."""
    rings = [pool.picker.ring if isinstance(pool.picker, OnRing) else None for pool in (one, other)]
    ends = sorted({*(point for ring in rings if ring is not None for point in ring.points), DRAWS - 1})
    counted = 0
    for end in ends:
        upto = span_count(low, high, 100, end + 1)
        was, now = (
            pool.placed[ring.owners[ring.entry(end)]].key if ring is not None else None
            for pool, ring in zip((one, other), rings, strict=True)
        )
        yield was, now, upto - counted
        counted = upto


def _between_tables(one: Pool, other: Pool, low: int, high: int) -> Iterator[Piece]:
    """Slot by slot."""
    tables = [pool.picker.table if isinstance(pool.picker, InTable) else None for pool in (one, other)]
    size = next((len(table) for table in tables if table is not None), 1)
    pairs = list(zip(*(table if table is not None else [None] * size for table in tables), strict=True))
    known = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    counts = keys_in_band([known[pair] for pair in pairs], len(known), low, high)
    for (was, now), number in known.items():
        yield (
            one.placed[was].key if was is not None else None,
            other.placed[now].key if now is not None else None,
            counts[number],
        )


def _pool(band: Band) -> Pool:
    assert isinstance(band.part, Pool), "a hashing policy has one list for each priority"
    picker = band.part.picker
    return band.part if not isinstance(picker, Bounded) else band.part.served_by(picker.inner)
