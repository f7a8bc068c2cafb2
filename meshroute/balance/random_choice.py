"""Random: any endpoint, each as likely as the other.

Source    spec/balance.md RAND-1; envoyproxy/envoy: source/extensions/load_balancing_policies/random
Inputs    the draw `priority`, which Envoy uses for the priority and then again for the host.
Exactness `draw mod n` of the usable endpoints, in the order given. Weights do not count. Because the priority came from
          the same number, an endpoint behind a divided priority can be out of reach altogether.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Final

from meshroute.balance.picker import DRAWS, Ask, Forgetful, Members, Odds, Picker, modulo_chances
from meshroute.draws import PRIORITY


class _Any(Forgetful):
    name: Final = "random"
    remembers: Final = False
    draws_twice: Final = True

    def __init__(self, size: int) -> None:
        self._size: Final = size

    def pick(self, ask: Ask) -> int:
        return ask.draws[PRIORITY] % self._size

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if (odds.low, odds.high) == (0, 100):
            return modulo_chances(self._size)
        return [Fraction(self._draws(number, odds.low, odds.high), DRAWS) for number in range(self._size)]

    def how(self, ask: Ask) -> str:
        return f"{ask.draws[PRIORITY]} modulo {self._size}"

    def _draws(self, number: int, low: int, high: int) -> int:
        """How many of 2^64 draws have this remainder modulo the size, and one in [low, high) modulo 100."""
        period = lcm(self._size, 100)
        whole, more = divmod(DRAWS, period)
        fitting = [draw for draw in range(number, period, self._size) if low <= draw % 100 < high]
        return whole * len(fitting) + sum(draw < more for draw in fitting)


def prepare(members: Members) -> Picker:
    """A picker over at least one endpoint."""
    return _Any(len(members.keys))
