"""Proportional hints: endpoints shared out among zones by the processors that each has.

Source    spec/kube-proxy.md KPROXY-30, KPROXY-31; kubernetes/endpointslice: topologycache/{topologycache,utils}.go
Inputs    Nodes; the zones of endpoints, in order.
Exactness the controller's own doubles. What it leaves to the order of its maps is by name and in order here, and told.
Errors    none. Where there can be no hints, the answer is the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Final, NamedTuple

import msgspec

from meshroute.compile.topology import ZONE
from meshroute.manifest.kubernetes import ConditionStatus, Node
from meshroute.manifest.quantity import thousandths

OVERLOAD: Final = 0.2
"""By how much more than its part an endpoint may get."""
APART: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
"""Labels of nodes that do not count, whatever their values."""


class Capacity(msgspec.Struct, frozen=True):
    """The part of each zone in all processors; empty, with the reason, where the Nodes do not say."""

    ratios: Mapping[str, float] = {}
    lacks: str = ""


class Moves(NamedTuple):
    """How many endpoints each zone gives and receives; `by_chance` where others are as good."""

    giving: Mapping[str, int]
    receiving: Mapping[str, int]
    by_chance: bool


class Hinted(NamedTuple):
    """The zone that each endpoint is hinted for; how many of them run in another one; whether other numbers of them for
    the zones are as good."""

    zones: tuple[str, ...]
    moved: int
    by_chance: bool


def capacity_of(nodes: Iterable[Node]) -> Capacity:
    """What the Nodes say, those that are ready and no control plane."""
    by_zone: dict[str, int] = {}
    for node in nodes:
        if any(label in node.metadata.labels for label in APART) or not _is_ready(node):
            continue
        zone = node.metadata.labels.get(ZONE, "")
        processors = node.status.allocatable.get("cpu") if node.status is not None else None
        if not zone:
            return Capacity(lacks=f"Node `{node.name}` has no label `{ZONE}`")
        if processors is None or not processors.nanos:
            return Capacity(lacks=f"Node `{node.name}` has no `status.allocatable.cpu`")
        by_zone[zone] = by_zone.get(zone, 0) + processors.nanos
    total = thousandths(sum(by_zone.values()))
    if not total:
        return Capacity(lacks="no Node is given that is ready")
    if len(by_zone) == 1:
        return Capacity(lacks=f"all Nodes that are ready are in one zone, `{next(iter(by_zone))}`")
    return Capacity({zone: float(thousandths(by_zone[zone])) / float(total) for zone in sorted(by_zone)})


def _is_ready(node: Node) -> bool:
    """Whether a Node is ready. One that says nothing of its conditions is taken to be, as pods are."""
    said = node.status.conditions if node.status is not None else ()
    ready = next((one.status for one in said if one.type == "Ready"), None)
    return ready is ConditionStatus.TRUE or (ready is None and not said)


def hinted(ratios: Mapping[str, float], zones: Sequence[str]) -> Hinted | str:
    """Hints for ready endpoints that run in these zones (empty: nobody knows); or why there can be none."""
    size = len(zones)
    if len(ratios) > size:
        return f"{_ready(size)} {'is' if size == 1 else 'are'} fewer than {len(ratios)} zones"
    wanted, least = dict[str, float](), 0
    for zone, ratio in ratios.items():
        desired = ratio * size
        minimum = ceil(desired * (1 / (1 + OVERLOAD)))
        wanted[zone] = max(desired, float(minimum))
        least += minimum
    if least > size:
        return f"{_ready(size)} are too few for {len(ratios)} zones: {least} would be needed to overload none"
    if not all(zones):
        return "an endpoint that is ready runs on a node of which no zone is known"
    have: dict[str, int] = {}
    for zone in zones:
        have[zone] = have.get(zone, 0) + 1
    moves = moves_of(wanted, have)
    giving, receiving = dict(moves.giving), dict(moves.receiving)
    given = list(zones)
    for number, zone in enumerate(zones):
        if giving.get(zone, 0):
            to = min(one for one, count in receiving.items() if count)
            giving[zone] -= 1
            receiving[to] -= 1
            given[number] = to
    return Hinted(tuple(given), sum(moves.giving.values()), moves.by_chance)


def moves_of(wanted: Mapping[str, float], have: Mapping[str, int]) -> Moves:
    """How many endpoints go from zones that have more than they want to those that have less.

    One at a time, from where most are too many to where most are missing, as long as both are a half or more and one of
    them is a whole one.
    """
    surplus = {zone: have.get(zone, 0) - wanted[zone] for zone in sorted(wanted) if have.get(zone, 0) > wanted[zone]}
    lack = {zone: wanted[zone] - have.get(zone, 0) for zone in sorted(wanted) if have.get(zone, 0) < wanted[zone]}
    giving, receiving = dict[str, int](), dict[str, int]()
    met: tuple[set[float], set[float]] = (set(), set())
    while surplus and lack:
        # Of equals the first by name; the controller takes whichever its map has first.
        giver, taker = (max(some, key=lambda zone: some[zone]) for some in (surplus, lack))
        much, little = surplus[giver], lack[taker]
        if much < 0.5 or little < 0.5 or (much < 1.0 and little < 1.0):
            break
        for side, some, counts, zone in ((0, surplus, giving, giver), (1, lack, receiving, taker)):
            met[side].add(some[zone])
            counts[zone] = counts.get(zone, 0) + 1
            some[zone] -= 1
    by_chance = any(left in seen for seen, some in zip(met, (surplus, lack), strict=True) for left in some.values())
    return Moves(giving, receiving, by_chance)


def _ready(size: int) -> str:
    return f"{size} ready endpoint{'' if size == 1 else 's'}"
