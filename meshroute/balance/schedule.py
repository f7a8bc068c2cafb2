"""Earliest deadline first: turns in proportion to weights.

Source    spec/balance.md RR-2; envoyproxy/envoy: source/common/upstream/edf_scheduler.h
Inputs    weights of at least 1, in order; `start`, a number of which the low 32 bits modulo 429496729 are the picks
          that a proxy pretends to have made before the first; the number of picks made since.
Exactness deadlines are IEEE doubles, each operation rounded on its own; equal deadlines go in order of insertion.
          Weights 80 and 20 are not 4 and 1: their sequences differ.
Errors    none.

A pick depends on all picks before it, so the schedule is run forward and a window of it kept. That saves time only: an
answer depends on weights, start and number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final

PRE_PICKS: Final = 429_496_729
"""Envoy bounds the pretended picks so that products stay exact enough."""
NUDGE: Final = 1e-13
"""Added to the weights of the first deadlines only, as Envoy does; it decides how ties break later."""
WINDOW: Final = 4096
"""Picks that are kept, at least, behind the latest: enough for states that are asked again."""


class Schedule:
    """The picks of one list of weights from one start, by number."""

    __slots__ = ("_base", "_heap", "_order", "_recent", "_start", "_weights")

    def __init__(self, weights: Sequence[int], start: int) -> None:
        self._weights: Final = tuple(weights)
        self._start: Final = (start & 0xFFFF_FFFF) % PRE_PICKS
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
        picks = self._start
        nudged = [weight + NUDGE for weight in self._weights]
        total = 0.0
        for weight in nudged:
            total += weight
        made = []
        for weight in nudged:
            full = int(weight * picks / total)
            # A pick that would fall on the very deadline has not been made yet.
            made.append(full - 1 if full > 0 and full / weight >= picks / total else full)
        self._heap = [
            ((full + 1) / weight, order, order) for order, (full, weight) in enumerate(zip(made, nudged, strict=True))
        ]
        heapify(self._heap)
        self._order = len(nudged)
        self._base = 0
        self._recent: list[int] = []
        for _ in range(picks - sum(made)):
            self._next()

    def _next(self) -> int:
        deadline, _, number = self._heap[0]
        heapreplace(self._heap, (deadline + 1.0 / self._weights[number], self._order, number))
        self._order += 1
        return number
