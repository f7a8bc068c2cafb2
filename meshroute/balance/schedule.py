"""Earliest deadline first: turns in proportion to weights.

Source    spec/balance.md RR-2; envoyproxy/envoy: source/common/upstream/edf_scheduler.h
Inputs    weights above 0, in order; `start`, a number of which the low 32 bits modulo 429496729 are the picks that a
          proxy pretends to have made before the first; the number of picks made since.
Exactness deadlines are IEEE doubles, each operation rounded on its own; equal deadlines go in order of insertion.
          Weights 80 and 20 are not 4 and 1: their sequences differ.
Errors    none.

With fixed weights a pick depends on all picks before it and on nothing else, so the schedule is run forward and a
window of it kept. That saves time only: an answer depends on weights, start and number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final

from meshroute.state import Entry

PRE_PICKS: Final = 429_496_729
"""Envoy bounds the pretended picks so that products stay exact enough."""
NUDGE: Final = 1e-13
"""Added to the weights of the first deadlines only, as Envoy does; it decides how ties break later."""
WINDOW: Final = 4096
"""Picks that are kept, at least, behind the latest: enough for states that are asked again."""


def begun(weights: Sequence[float], start: int) -> tuple[list[Entry], int]:
    """A heap of entries as if `start` picks had been made, and the place of the next entry to go in."""
    picks = (start & 0xFFFF_FFFF) % PRE_PICKS
    nudged = [weight + NUDGE for weight in weights]
    total = 0.0
    for weight in nudged:
        total += weight
    made = []
    for weight in nudged:
        full = int(weight * picks / total)
        # A pick that would fall on the very deadline has not been made yet.
        made.append(full - 1 if full > 0 and full / weight >= picks / total else full)
    heap = [((full + 1) / weight, order, order) for order, (full, weight) in enumerate(zip(made, nudged, strict=True))]
    heapify(heap)
    order = len(heap)
    for _ in range(picks - sum(made)):
        deadline, _, number = heap[0]
        heapreplace(heap, (deadline + 1.0 / weights[number], order, number))
        order += 1
    return heap, order


class Schedule:
    """The picks of one list of weights from one start, by number."""

    __slots__ = ("_base", "_heap", "_order", "_recent", "_start", "_weights")

    def __init__(self, weights: Sequence[float], start: int) -> None:
        self._weights: Final = tuple(weights)
        self._start: Final = start
        self._rewind()

    def pick(self, number: int) -> int:
        """Which of the weights pick `number` takes, from 0."""
        if number < self._base:
            self._rewind()
        recent = self._recent
        while number >= self._base + len(recent):
            recent.append(self._next())
            if len(recent) >= 2 * WINDOW:
                del recent[:WINDOW]
                self._base += WINDOW
        return recent[number - self._base]

    def _rewind(self) -> None:
        self._heap, self._order = begun(self._weights, self._start)
        self._base = 0
        self._recent: list[int] = []

    def _next(self) -> int:
        deadline, _, number = self._heap[0]
        heapreplace(self._heap, (deadline + 1.0 / self._weights[number], self._order, number))
        self._order += 1
        return number


class Schedules:
    """The schedule of some weights from any start; that of the start asked for last is kept: one proxy has one."""

    __slots__ = ("_last", "weights")

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights: Final = tuple(weights)
        self._last: tuple[int, Schedule] = (0, Schedule(self.weights, 0))

    def pick(self, start: int, number: int) -> int:
        """Pick `number` of the schedule from `start`."""
        known, schedule = self._last
        if known != start:
            schedule = Schedule(self.weights, start)
            self._last = (start, schedule)
        return schedule.pick(number)
