"""How much of the traffic each priority gets, and when a priority panics; how much of that of retries.

Source    spec/priority.md PRIO-1, PRIO-2, PRIO-4, spec/retry.md RETRY-5; envoyproxy/envoy:
          source/extensions/load_balancing_policies/common/load_balancer_impl.cc,
          source/extensions/retry/priority/previous_priorities/previous_priorities.cc
Inputs    for each priority, how many of its endpoints are in which health (or, weighted, how much weight is).
Exactness whole percentages by integer division, in Envoy's order; the panic test alone is in IEEE doubles. The loads of
          all priorities sum to 100.
Errors    none. Priorities without any endpoint take part as empty ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from meshroute.decision import NOT_PASSED, Passed
from meshroute.table import Endpoint, Health


class Counted(NamedTuple):
    """One priority: all endpoints, and those that are healthy, degraded, draining; `weights` the same by weight."""

    hosts: int
    healthy: int
    degraded: int
    draining: int
    healthy_weight: int
    degraded_weight: int
    counted_weight: int
    """Of all that are not draining."""


class Loads(NamedTuple):
    """For each priority, the percentage for its healthy and for its degraded endpoints, and whether it panics."""

    healthy: tuple[int, ...]
    degraded: tuple[int, ...]
    panics: tuple[bool, ...]


def percent(value: float) -> int:
    """A percentage as Envoy keeps it: a whole one, truncated after arithmetic in doubles.

    >>> percent(50.0), percent(29.0), percent(33.6), percent(0.9)
    (50, 28, 33, 0)
    """
    return int(100 * (value / 100.0))


def counted(endpoints: Iterable[Endpoint]) -> Counted:
    """The count of one priority's endpoints."""
    some = tuple(endpoints)

    def of(health: Health) -> tuple[int, int]:
        weights = [one.weight for one in some if one.health is health]
        return len(weights), sum(weights)

    (healthy, healthy_weight), (degraded, degraded_weight) = of(Health.HEALTHY), of(Health.DEGRADED)
    draining, draining_weight = of(Health.DRAINING)
    return Counted(
        len(some),
        healthy,
        degraded,
        draining,
        healthy_weight,
        degraded_weight,
        sum(one.weight for one in some) - draining_weight,
    )


def loads(
    priorities: Sequence[Counted], panic: int, overprovisioning: int, weighted: bool = False, hashed: bool = False
) -> Loads:
    """The loads of at least one priority. `panic` is a whole percentage, `overprovisioning` one that may exceed 100.

    `hashed` asks for those of a ring or a Maglev table.
    """
    healthy, degraded = _able(priorities, overprovisioning, weighted)
    available = min(100, sum(healthy) + sum(degraded))
    panics = tuple(available != 100 and _fit(one) < min(100, panic) for one in priorities)
    if all(panics):
        return Loads(_by_size(priorities, len(priorities)), _none(len(priorities)), panics)
    if available == 0:
        # Nothing to divide by: nobody is able, or less than a whole percent of any priority. Envoy then leaves loads as
        # they were: all for priority 0 where it begins. But what makes rings and Maglev tables learns of priorities one
        # after the other, and has the loads of the time before the first one that did not panic.
        known = priorities[: panics.index(False)] if hashed else ()
        return Loads(_by_size(known, len(priorities)), _none(len(priorities)), panics)
    return Loads(*_divided(healthy, degraded, available), panics)


def other_loads(
    before: Passed,
    every: int,
    plain: Loads,
    priorities: Sequence[Counted],
    overprovisioning: int,
    weighted: bool = False,
) -> tuple[Passed, Loads]:
    """The loads of a retry that prefers priorities not tried yet, and what the next pick remembers.

    `plain` are the loads of a first try; after every `every`th try those that were tried are passed over.
    """
    tries = len(before.attempted)
    if tries < every:
        return before, plain
    if tries % every == 0:
        before, found = _passed_over(before, *_able(priorities, overprovisioning, weighted))
        if not found:
            return before, plain
    if before.loads is None or len(before.loads[0]) != len(priorities):
        return before, plain  # of another cluster, to whose priorities nothing was given
    return before, Loads(*before.loads, plain.panics)


def _passed_over(before: Passed, healthy: Sequence[int], degraded: Sequence[int]) -> tuple[Passed, bool]:
    """With what was tried left out, or everything again where that leaves nobody; whether anybody is able at all."""
    able = tuple(number for number, some in enumerate(zip(healthy, degraded, strict=True)) if any(some))
    now = Passed(before.attempted, before.excluded.union(before.attempted))
    if now.excluded.issuperset(able):
        now = NOT_PASSED
    if not able:
        return now, False
    left, right = (
        [0 if number in now.excluded else one for number, one in enumerate(some)] for some in (healthy, degraded)
    )
    available, rest = min(100, sum(left) + sum(right)), 100
    shares = [0] * (2 * len(left))
    while rest:  # what rounding leaves goes round once more, from the first on
        for number, one in enumerate(chain(left, right)):
            taken = min(rest, one * 100 // available)
            shares[number] += taken
            rest -= taken
    loads = tuple(shares[: len(left)]), tuple(shares[len(left) :])
    return msgspec.structs.replace(now, loads=loads), True


def _able(priorities: Iterable[Counted], overprovisioning: int, weighted: bool) -> tuple[list[int], list[int]]:
    """For each priority, what percentage of everything its healthy and its degraded endpoints can take."""
    healthy, degraded = [], []
    for one in priorities:
        well, spared, all_of = one.healthy, one.degraded, one.hosts - one.draining
        if weighted:
            well, spared, all_of = one.healthy_weight, one.degraded_weight, one.counted_weight
        healthy.append(min(100, overprovisioning * well // all_of) if all_of else 0)
        degraded.append(min(100, overprovisioning * spared // all_of) if all_of else 0)
    return healthy, degraded


def _fit(one: Counted) -> float:
    """The percentage of a priority's endpoints that are healthy or degraded. Counts, even where weights decide."""
    all_of = one.hosts - one.draining
    return 100.0 * one.healthy / all_of + 100.0 * one.degraded / all_of if all_of else 0.0


def _divided(
    healthy: Sequence[int], degraded: Sequence[int], available: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """100 by what each can take: all healthy ones in order, then all degraded ones; the first gets what is left."""
    left = 100
    shares: list[list[int]] = []
    for some in (healthy, degraded):
        shares.append([])
        for one in some:
            taken = min(left, one * 100 // available)
            left -= taken
            shares[-1].append(taken)
    if left:
        # Something is available, so one of the two has somebody.
        into, by = (shares[0], healthy) if any(healthy) else (shares[1], degraded)
        into[next(number for number, one in enumerate(by) if one)] += left
    return tuple(shares[0]), tuple(shares[1])


def _by_size(known: Sequence[Counted], size: int) -> tuple[int, ...]:
    """In total panic: by the number of endpoints, whatever their health; all for priority 0 where there are none."""
    total = sum(one.hosts for one in known)
    if total == 0:
        return (100, *_none(size - 1))
    shares = [100 * one.hosts // total for one in known]
    shares[next(number for number, one in enumerate(known) if one.hosts)] += 100 - sum(shares)
    return (*shares, *_none(size - len(known)))


def _none(size: int) -> tuple[int, ...]:
    return (0,) * size
