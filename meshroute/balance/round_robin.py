"""Round robin: endpoints in turn.

Source    spec/balance.md RR-1; envoyproxy/envoy: source/extensions/load_balancing_policies/round_robin
Inputs    the cluster's cursor, which counts its picks and keeps its value when endpoints come and go.
Exactness endpoint number `cursor mod n` of the usable ones, in the order given.
Left out  unequal weights and slow start, which a proxy serves by deadlines and not by turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import Ask, Odds, Picker, certain
from meshroute.table import Endpoint


class _Turns:
    name: Final = "round robin"
    turns: Final = True
    hashes: Final = False
    remembers: Final = True

    def __init__(self, size: int) -> None:
        self._size: Final = size

    def pick(self, ask: Ask) -> int:
        return ask.cursor % self._size

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.long_run:
            return [Fraction(1, self._size)] * self._size
        return certain(odds.cursor % self._size, self._size)

    def how(self, ask: Ask) -> str:
        return f"turn {ask.cursor} modulo {self._size}"


def prepare(usable: Sequence[Endpoint]) -> Picker:
    """A picker over at least one endpoint."""
    return _Turns(len(usable))
