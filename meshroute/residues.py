"""Draws of which some remainders count: what several conditions on one draw leave over, counted.

Source    spec/shares.md SHARE-9
Inputs    portions, whose denominators divide one another; spans of remainders of any other number.
Exactness counts of the 2^64 values of a draw, as fractions of them; none is tried, because remainders come round.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate
from math import gcd
from typing import Final

from meshroute.balance import DRAWS, span_chance
from meshroute.table import Portion


class Taken:
    """The draws whose remainder modulo a number is one of some."""

    __slots__ = ("_before", "of")

    def __init__(self, which: bytes) -> None:
        self.of: Final = len(which)
        self._before: Final = list(accumulate(which, initial=0))  # how many remainders below each one are taken

    def which(self, start: int, end: int) -> bytes:
        """Which of the numbers from `start` to below `end` are among them: a 1 for each that is."""
        before, of = self._before, self.of
        return bytes(before[number % of + 1] - before[number % of] for number in range(start, end))

    def chance(self) -> Fraction:
        """The probability of one of them."""
        return Fraction(self._below(DRAWS), DRAWS)

    def in_span(self, low: int, high: int, total: int) -> Fraction:
        """The probability of one of them that has a remainder modulo `total` in [low, high)."""
        # Stretches of `total` draws in a row begin at remainders that come round after this many.
        period = self.of // gcd(self.of, total)
        whole, rest = divmod(DRAWS // total, period)
        length, once, more = high - low, 0, 0
        start = low % self.of
        for number in range(period):
            if number == rest:
                more = once
            once += self._below(start + length) - self._before[start]
            start = (start + total) % self.of
        last = DRAWS // total * total  # what is left after the last whole stretch
        end = min(last + high, DRAWS)
        left = self._below(end) - self._below(last + low) if end > last + low else 0
        return Fraction(whole * once + more + left, DRAWS)

    def _below(self, end: int) -> int:
        whole, rest = divmod(end, self.of)
        return whole * self._before[self.of] + self._before[rest]


def parted(portions: Iterable[Portion | None]) -> list[Taken]:
    """What each takes of the draws that those before it leave over. None takes all of them."""
    asked = list(portions)
    of = max((one.denominator for one in asked if one is not None), default=1)
    left = bytearray(b"\x01" * of)
    found = []
    for one in asked:
        which = bytearray(of)
        if one is None:
            which, left = left, which
        else:
            size = min(one.numerator, one.denominator)
            for start in range(0, of, one.denominator):
                which[start : start + size] = left[start : start + size]
                left[start : start + size] = bytes(size)
        found.append(Taken(bytes(which)))
    return found


def also(part: Taken | All, portion: Portion) -> Taken:
    """The draws of a part that a portion takes too."""
    of = max(part.of, portion.denominator)
    size = min(portion.numerator, portion.denominator)
    which = bytearray(of)
    for start in range(0, of, portion.denominator):
        which[start : start + size] = part.which(start, start + size)
    return Taken(bytes(which))


class All:
    """Every draw."""

    of: Final = 1

    def which(self, start: int, end: int) -> bytes:
        """All of them."""
        return b"\x01" * (end - start)

    def chance(self) -> Fraction:
        return Fraction(1)

    def in_span(self, low: int, high: int, total: int) -> Fraction:
        """The probability of a remainder modulo `total` in [low, high)."""
        return span_chance(low, high, total)
