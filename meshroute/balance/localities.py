"""Localities: their order, their weights by health, and how much of the traffic stays in the proxy's own.

Source    spec/priority.md ZONE-1 to ZONE-4; envoyproxy/envoy: source/common/upstream/host_utility.cc,
          source/extensions/load_balancing_policies/common/{locality_wrr,load_balancer_impl}.cc
Inputs    localities as `region/zone/subzone`.
Exactness effective weights are IEEE doubles; zone-aware shares are whole ten-thousandths, by integer division.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from meshroute.balance.priority import percent
from meshroute.table import Endpoint, Health, ZoneAware


def ordered(endpoints: Iterable[Endpoint], own: str) -> tuple[str, ...]:
    """The localities that have endpoints: the proxy's own first, then by region, zone and subzone.

    >>> ordered([Endpoint("10.0.0.1", 80, locality=name) for name in ("b/x/", "a-b//", "a/y/")], "b/x/")
    ('b/x/', 'a/y/', 'a-b//')
    """
    return tuple(sorted({one.locality for one in endpoints}, key=lambda one: (one != own or not own, one.split("/"))))


def effective(endpoints: Sequence[Endpoint], weight: int, wanted: Health, overprovisioning: int) -> float:
    """The weight of one locality for endpoints of the wanted health: less where too many others are not."""
    counted = sum(one.health is not Health.DRAINING for one in endpoints)
    if counted == 0:
        return 0.0
    eligible = sum(one.health is wanted for one in endpoints)
    return weight * min(1.0, overprovisioning / 100.0 * (1.0 * eligible / counted))


class Zones(NamedTuple):
    """Zone-aware routing of one cluster: what stays (in ten-thousandths), and how the rest is divided.

    `only_local` keeps everything; else `caps` are running sums of what each locality can take beyond its own callers.
    """

    gate: int
    only_local: bool
    keep: int = 0
    caps: tuple[int, ...] = ()


def zones(
    localities: Sequence[str],
    healthy: Mapping[str, Sequence[Endpoint]],
    callers: Sequence[Endpoint],
    own: str,
    setting: ZoneAware,
    panic: int,
) -> Zones | None:
    """How a cluster's healthy endpoints, by locality, serve the callers of the local cluster; None where it does not
    apply."""
    upstream = [len(healthy[one]) for one in localities]
    here = {one.locality for one in callers}
    if len(localities) < 2 or (len(here) < 2 and not setting.force_local) or not own or own not in here:
        return None
    if sum(upstream) < setting.minimum_hosts or _panics(callers, panic):
        return None
    theirs = [_measure(healthy[one], setting) for one in localities]
    ours = [
        _measure([c for c in callers if c.locality == one and c.health is Health.HEALTHY], setting)
        for one in localities
    ]
    all_ours = _measure([one for one in callers if one.health is Health.HEALTHY], setting)
    upstream_share = [10_000 * one // sum(theirs) if sum(theirs) else 0 for one in theirs]
    local_share = [10_000 * one // all_ours if all_ours else 0 for one in ours]
    gate = percent(setting.enabled)
    has_local = localities[0] == own
    enough = upstream_share[0] > 0 and upstream_share[0] >= local_share[0]
    if has_local and (enough or (setting.force_local and upstream[0] >= setting.force_local_minimum)):
        return Zones(gate, True)
    keep = upstream_share[0] * 10_000 // local_share[0] if has_local and local_share[0] else 0
    residual = [
        0 if has_local and number == 0 else max(0, theirs_ - ours_)
        for number, (theirs_, ours_) in enumerate(zip(upstream_share, local_share, strict=True))
    ]
    return Zones(gate, False, keep, tuple(accumulate(residual)))


def _measure(endpoints: Sequence[Endpoint], setting: ZoneAware) -> int:
    return sum(one.weight for one in endpoints) if setting.by_weight else len(endpoints)


def _panics(endpoints: Sequence[Endpoint], panic: int) -> bool:
    counted = sum(one.health is not Health.DRAINING for one in endpoints)
    if counted == 0:
        return min(100, panic) > 0.0
    healthy = sum(one.health is Health.HEALTHY for one in endpoints)
    degraded = sum(one.health is Health.DEGRADED for one in endpoints)
    return 100.0 * healthy / counted + 100.0 * degraded / counted < min(100, panic)
