"""Random: any endpoint, each as likely as the other.

Source    spec/balance.md RAND-1; envoyproxy/envoy: source/extensions/load_balancing_policies/random
Inputs    the draw `priority`: Envoy takes the priority and the host from one number, and so do we.
Exactness endpoint number `draw mod n`; weights do not count. The remainder favours early endpoints by less than n in
          2^64.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import Ask, Odds, Picker, modulo_chances
from meshroute.draws import PRIORITY
from meshroute.table import Endpoint


class _Any:
    name: Final = "random"
    turns: Final = False
    hashes: Final = False
    remembers: Final = False

    def __init__(self, size: int) -> None:
        self._size: Final = size

    def pick(self, ask: Ask) -> int:
        return ask.draws[PRIORITY] % self._size

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        return modulo_chances(self._size)

    def how(self, ask: Ask) -> str:
        return f"draw `{PRIORITY}` {ask.draws[PRIORITY]} modulo {self._size}"


def prepare(usable: Sequence[Endpoint]) -> Picker:
    """A picker over at least one endpoint."""
    return _Any(len(usable))
