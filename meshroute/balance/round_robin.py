"""Round robin: endpoints in turn, or in proportion to their weights where these differ.

Source    spec/balance.md RR-1, RR-2; envoyproxy/envoy: source/extensions/load_balancing_policies/round_robin
Inputs    the cluster's start and cursor: what its balancer drew when it was made, and how many picks it has made since.
Exactness equal weights: endpoint number `(start + cursor) mod n` of the usable ones, in the order given. Unequal
          weights: pick number `cursor` of the schedule from this start.
Left out  slow start.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import Ask, Odds, Picker, certain
from meshroute.balance.schedule import Schedule
from meshroute.hashing import MASK64
from meshroute.table import Endpoint


class _Turns:
    name: Final = "round robin"
    turns: Final = True
    hashes: Final = False
    remembers: Final = True

    def __init__(self, size: int) -> None:
        self._size: Final = size

    def pick(self, ask: Ask) -> int:
        return (ask.start + ask.cursor & MASK64) % self._size

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.long_run:
            return [Fraction(1, self._size)] * self._size
        return certain((odds.start + odds.cursor & MASK64) % self._size, self._size)

    def how(self, ask: Ask) -> str:
        return f"turn {ask.start + ask.cursor & MASK64} modulo {self._size}"


class _WeightedTurns:
    name: Final = "weighted round robin"
    turns: Final = True
    hashes: Final = False
    remembers: Final = True

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights: Final = tuple(weights)
        # The schedule of the start that was asked for last: one proxy asks for one start.
        self._last: tuple[int, Schedule] = (0, Schedule(self._weights, 0))

    def pick(self, ask: Ask) -> int:
        return self._schedule(ask.start).pick(ask.cursor)

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.long_run:
            return [Fraction(weight, sum(self._weights)) for weight in self._weights]
        return certain(self._schedule(odds.start).pick(odds.cursor), len(self._weights))

    def how(self, ask: Ask) -> str:
        return (
            f"pick {ask.cursor} of the schedule of weights {', '.join(map(str, self._weights))} from start {ask.start}"
        )

    def _schedule(self, start: int) -> Schedule:
        known, schedule = self._last
        if known != start:
            schedule = Schedule(self._weights, start)
            self._last = (start, schedule)
        return schedule


def prepare(usable: Sequence[Endpoint]) -> Picker:
    """A picker over at least one endpoint."""
    weights = [one.weight for one in usable]
    return _Turns(len(usable)) if len(set(weights)) == 1 else _WeightedTurns(weights)
