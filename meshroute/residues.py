"""Draws of which some remainders count: what several conditions on one draw leave over, counted.

Source    spec/shares.md SHARE-9
Inputs    portions, whose denominators divide one another; spans of remainders of any other number.
Exactness counts of the 2^64 values of a draw, as fractions of them; none is tried, because remainders come round.
Errors    none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from math import gcd
from typing import Final

from meshroute.balance import DRAWS, span_chance
from meshroute.table import Portion

Spans = Sequence[tuple[int, int]]
"""Numbers from each first to below each second; in order, apart from one another, none empty."""


class Taken:
    """The draws whose remainder modulo a number is in one of some spans."""

    __slots__ = ("_before", "_starts", "of", "spans")

    def __init__(self, of: int, spans: Spans) -> None:
        whole = not spans or spans[0] == (0, of)  # all or none are so modulo any number
        self.of: Final = 1 if whole else of
        self.spans: Final = ((0, 1),) if whole and spans else tuple(spans)
        self._starts: Final = [low for low, _ in self.spans]
        self._before: Final = list(accumulate((high - low for low, high in self.spans), initial=0))

    def chance(self) -> Fraction:
        """The probability of one of them."""
        return Fraction(self._below(DRAWS), DRAWS)

    def in_span(self, low: int, high: int, total: int) -> Fraction:
        """The probability of one of them that has a remainder modulo `total` in [low, high)."""
        if low >= high:
            return Fraction(0)
        if self.of <= total * len(self.spans):
            count = self._meeting(low, high, total)
        else:  # the other way round there are fewer stretches to look at
            other = Taken(total, [(low, high)])
            count = sum(other._meeting(start, end, self.of) for start, end in self.spans)
        return Fraction(count, DRAWS)

    def _meeting(self, low: int, high: int, total: int) -> int:
        """How many of them have a remainder modulo `total` in [low, high)."""
        # Stretches of `total` draws in a row begin at remainders that come round after this many.
        period = self.of // gcd(self.of, total)
        whole, rest = divmod(DRAWS // total, period)
        once = more = 0
        for number in range(period):
            if number == rest:
                more = once
            start = (low + number * total) % self.of
            once += self._below(start + high - low) - self._below(start)
        last = DRAWS // total * total  # what is left after the last whole stretch
        end = min(last + high, DRAWS)
        left = self._below(end) - self._below(last + low) if end > last + low else 0
        return whole * once + more + left

    def _below(self, end: int) -> int:
        whole, rest = divmod(end, self.of)
        at = bisect_right(self._starts, rest)
        inside = self._before[at]
        if at:
            inside -= max(0, self.spans[at - 1][1] - rest)
        return whole * self._before[-1] + inside


def parted(portions: Iterable[Portion | None]) -> list[Taken]:
    """What each takes of the draws that those before it leave over. None takes all of them."""
    asked = list(portions)
    of = max((one.denominator for one in asked if one is not None), default=1)
    left: Spans = [(0, of)]
    found = []
    for one in asked:
        taken, left = _split(left, one) if one is not None else (left, [])
        found.append(Taken(of, taken))
    return found


def also(part: Taken | All, portion: Portion) -> Taken:
    """The draws of a part that a portion takes too."""
    of = max(part.of, portion.denominator)
    rounds = range(0, of, part.of)
    taken, _ = _split(
        list(_joined((start + low, start + high) for start in rounds for low, high in part.spans)), portion
    )
    return Taken(of, taken)


def _split(spans: Spans, portion: Portion) -> tuple[Spans, Spans]:
    """What a portion takes of some numbers, and what it leaves."""
    of, size = portion.denominator, min(portion.numerator, portion.denominator)
    taken, left = [], []
    for low, high in spans:
        for start in range(low - low % of, high, of):
            taken.append((max(low, start), min(high, start + size)))
            left.append((max(low, start + size), min(high, start + of)))
    return list(_joined(taken)), list(_joined(left))


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order without the empty ones, those that touch as one."""
    low = high = 0
    for start, end in spans:
        if start >= end:
            continue
        if start == high:
            high = end
            continue
        if low < high:
            yield low, high
        low, high = start, end
    if low < high:
        yield low, high


class All:
    """Every draw."""

    of: Final = 1
    spans: Final = ((0, 1),)

    def chance(self) -> Fraction:
        return Fraction(1)

    def in_span(self, low: int, high: int, total: int) -> Fraction:
        """The probability of a remainder modulo `total` in [low, high)."""
        return span_chance(low, high, total)
