"""Keeping traffic near: which endpoints of a cluster a client asks first, and how it divides what it sends.

Source    spec/locality.md LOC-3 to LOC-11; istio/istio: pilot/pkg/networking/core/loadbalancer/loadbalancer.go,
          pilot/pkg/networking/util/util.go
Inputs    the members of a cluster in registry order, the client's locality and labels, the setting that holds.
Exactness endpoints come by locality, localities in the order of their text, and inside in registry order; priorities
          have no gaps; shares are rounded up from one division of doubles, whose product wraps at 2^32.
Errors    none. What Istio refuses in a setting is diagnosed by check_locality.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Final, TypeAlias

import msgspec

from meshroute.compile.registry import Member
from meshroute.compile.topology import HOSTNAME, NETWORK, REGION, SUBZONE, ZONE, Client, parts_of
from meshroute.manifest.istio import (
    LoadBalancerSettings,
    LocalityDistribute,
    LocalityFailover,
    LocalityLbSetting,
    ZoneAwareLbSetting,
)
from meshroute.manifest.kubernetes import TrafficDistribution
from meshroute.table import Endpoint, LocalityWeight, ZoneAware

SAME_ZONE: Final = (NETWORK, REGION, ZONE)
SAME_NODE: Final = (NETWORK, REGION, ZONE, SUBZONE, HOSTNAME)


class ByLocality(msgspec.Struct, frozen=True):
    """A locality setting; `forced` takes effect without outlier detection too."""

    setting: LocalityLbSetting
    forced: bool = False


class ByZone(msgspec.Struct, frozen=True):
    """A zone-aware setting. It takes effect without outlier detection."""

    setting: ZoneAwareLbSetting


Preference: TypeAlias = ByLocality | ByZone


class Spread(msgspec.Struct, frozen=True):
    """The endpoints of a cluster as one client gets them, and how it divides what it sends among localities.

    `zone_aware` None: nothing is said about it.
    """

    endpoints: tuple[Endpoint, ...]
    locality_weights: tuple[LocalityWeight, ...] | None = None
    zone_aware: ZoneAware | None = None


def preference_of(
    balancer: LoadBalancerSettings | None,
    distribution: TrafficDistribution | None,
    mesh: LocalityLbSetting | None,
    zones: ZoneAwareLbSetting | None = None,
) -> Preference | None:
    """The one setting that holds: the rule's, zone-aware first, else the service's, else the mesh's, of which `zones`
    goes first too. Nothing is merged."""
    if balancer is not None and balancer.zone_aware_lb_setting is not None:
        return ByZone(balancer.zone_aware_lb_setting)
    if balancer is not None and balancer.locality_lb_setting is not None:
        return _unless_off(balancer.locality_lb_setting)
    if distribution is not None:
        keys = SAME_NODE if distribution is TrafficDistribution.PREFER_SAME_NODE else SAME_ZONE
        return ByLocality(LocalityLbSetting(failover_priority=keys), forced=True)
    if zones is not None:
        return ByZone(zones)
    return _unless_off(mesh) if mesh is not None else None


def _unless_off(setting: LocalityLbSetting) -> Preference | None:
    return None if setting.enabled is False else ByLocality(setting)


def spread(members: Iterable[Member], client: Client, preference: Preference | None, outliers: bool) -> Spread:
    """What a client gets of a cluster. `outliers`: whether the cluster has outlier detection, without which a locality
    setting that is not forced can only distribute."""
    groups = _by_locality(members)
    match preference:
        case None:
            return Spread(_endpoints(groups))
        case ByZone(setting):
            if setting.enabled is False:
                return Spread(_endpoints(groups), None, _zone_aware(setting, 0.0))
            groups = _ranked_by_labels(groups, client.labels, setting.failover_priority)
            ranks = [_far_by_region(client.locality, group.locality, setting.failover) for group in groups]
            return Spread(_endpoints(_ranked(groups, ranks, 3)), None, _zone_aware(setting, 100.0))
        case ByLocality(setting, forced):
            return _by_setting(groups, client, setting, forced or outliers)


def _by_setting(groups: Sequence[_Group], client: Client, setting: LocalityLbSetting, fails_over: bool) -> Spread:
    weighted = bool(setting.distribute)
    if setting.distribute:
        groups = _distributed(groups, client.locality, setting.distribute)
    elif fails_over:
        weighted = bool(setting.failover or setting.failover_priority)
        groups = _ranked_by_labels(groups, client.labels, setting.failover_priority)
        if setting.failover or not setting.failover_priority:
            ranks = [_far(client.locality, group.locality, setting.failover) for group in groups]
            groups = _ranked(groups, ranks, 5)
    weights = tuple(LocalityWeight(one.locality, one.weight, one.priority) for one in groups)
    return Spread(_endpoints(groups), weights if weighted else None)


class _Group(msgspec.Struct, frozen=True):
    """Endpoints of one locality and one priority. The weight is the sum of theirs, or their share."""

    locality: str
    members: tuple[Member, ...]
    weight: int
    priority: int = 0


def _by_locality(members: Iterable[Member]) -> tuple[_Group, ...]:
    found: dict[str, list[Member]] = {}
    for one in members:
        found.setdefault(one.endpoint.locality, []).append(one)
    return tuple(_group(locality, found[locality]) for locality in sorted(found))


def _group(locality: str, members: Sequence[Member], priority: int = 0) -> _Group:
    return _Group(locality, tuple(members), sum(one.endpoint.weight for one in members), priority)


def _endpoints(groups: Iterable[_Group]) -> tuple[Endpoint, ...]:
    return tuple(
        msgspec.structs.replace(one.endpoint, priority=group.priority) if group.priority else one.endpoint
        for group in groups
        for one in group.members
    )


def matches(locality: str, rule: str) -> bool:
    """Whether a place is one that a setting means: part by part, where `*` means any, and so does an empty zone or
    subzone. An empty region is the region of those who have none.

    >>> matches("eu/eu-1/a", "eu/*"), matches("eu/eu-1/a", "eu/eu-2")
    (True, False)
    """
    (region, *rest), (wanted, *others) = parts_of(locality), parts_of(rule)
    return wanted in ("*", region) and all(other in ("*", "", one) for one, other in zip(rest, others, strict=True))


def _distributed(groups: Sequence[_Group], here: str, distribute: Iterable[LocalityDistribute]) -> tuple[_Group, ...]:
    """Shares by the first entry that is for clients from here; without one nothing changes.

    Each weight is divided among the localities that it covers and that no other has taken. Who gets none is left out.
    """
    entry = next((one for one in distribute if matches(here, one.from_)), None)
    if entry is None:
        return tuple(groups)
    shares: dict[str, int] = {}
    for rule, weight in entry.to.items():
        covered = [one for one in groups if one.locality not in shares and matches(one.locality, rule)]
        total = sum(one.weight for one in covered) % 2**32
        for one in covered:
            shares[one.locality] = ceil(one.weight * weight % 2**32 / total) if total else 0
    return tuple(
        msgspec.structs.replace(one, weight=shares[one.locality] or one.weight)
        for one in groups
        if one.locality in shares
    )


def _far(here: str, there: str, failover: Iterable[LocalityFailover]) -> int:
    """0 in the same subzone, 1 in the same zone, 2 in the same region, 3 elsewhere; 4 where a failover from this region
    names another one."""
    mine, theirs = parts_of(here), parts_of(there)
    shared = next((number for number in range(3) if mine[number] != theirs[number]), 3)
    if shared:
        return 3 - shared
    return 4 if _takes_over(mine[0], theirs[0], failover) is False else 3


def _far_by_region(here: str, there: str, failover: Iterable[LocalityFailover]) -> int:
    """0 in the same region, 1 in the one that takes over from it, 2 elsewhere."""
    mine, theirs = parts_of(here)[0], parts_of(there)[0]
    if mine == theirs:
        return 0
    return 1 if _takes_over(mine, theirs, failover) else 2


def _takes_over(mine: str, theirs: str, failover: Iterable[LocalityFailover]) -> bool | None:
    """Whether the first failover from a region is to the other one; None where there is none from it."""
    return next((one.to == theirs for one in failover if one.from_ == mine), None)


def _ranked(groups: Sequence[_Group], ranks: Sequence[int], steps: int) -> tuple[_Group, ...]:
    """Groups of the same priority divided further by ranks below `steps`, and numbered without gaps."""
    wanted = [group.priority * steps + rank for group, rank in zip(groups, ranks, strict=True)]
    number = {rank: index for index, rank in enumerate(sorted(set(wanted)))}
    return tuple(
        msgspec.structs.replace(group, priority=number[rank]) for group, rank in zip(groups, wanted, strict=True)
    )


def _ranked_by_labels(groups: Sequence[_Group], mine: Mapping[str, str], keys: Sequence[str]) -> tuple[_Group, ...]:
    """Groups divided by how many labels, in order, their endpoints share with the client; a client without labels
    divides nothing."""
    if not keys or not mine:
        return tuple(groups)
    wanted = [key.split("=") for key in keys]
    # A value that is written once holds for every mention of its label.
    values = {name: mine.get(name, "") for name, *_ in wanted} | {
        name: rest[0] for name, *rest in wanted if len(rest) == 1
    }
    names = [name for name, *_ in wanted]
    divided: list[_Group] = []
    for group in groups:
        by_rank: dict[int, list[Member]] = {}
        for member in group.members:
            by_rank.setdefault(_mismatch(member.labels, names, values, keys[0] == NETWORK), []).append(member)
        divided += [_group(group.locality, by_rank[rank], rank) for rank in sorted(by_rank)]
    return _ranked(divided, [0] * len(divided), 1)


def _mismatch(theirs: Mapping[str, str], names: Sequence[str], values: Mapping[str, str], network: bool) -> int:
    """How far from the end the first label stands that differs; 0 if none does.

    With the network as the first key, one of another network comes after all of the same one, and the rest of the
    labels still counts.
    """
    behind = 0
    for number, name in enumerate(names):
        if values[name] == theirs.get(name, ""):
            continue
        if number == 0 and network:
            behind = len(names)
            continue
        return behind + len(names) - number
    return behind


def _zone_aware(setting: ZoneAwareLbSetting, enabled: float) -> ZoneAware:
    minimum = setting.min_cluster_size
    return ZoneAware(enabled) if minimum is None else ZoneAware(enabled, minimum)
