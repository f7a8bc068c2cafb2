"""Least request: the least busy of a few endpoints drawn at random.

Source    spec/balance.md LR-1; envoyproxy/envoy: source/extensions/load_balancing_policies/least_request
Inputs    requests in flight by endpoint; draws `host.0`, `host.1` and so on, one for each choice.
Exactness choices are drawn with replacement, each `draw mod n`; a later one wins only by strictly fewer requests.
Left out  unequal weights, which a proxy serves by deadlines; the full scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import Ask, Odds, Picker, modulo_chances
from meshroute.draws import host_choice
from meshroute.names import EndpointKey
from meshroute.table import Endpoint


class _Choices:
    name: Final = "least request"
    turns: Final = False
    hashes: Final = False
    remembers: Final = True

    def __init__(self, keys: tuple[EndpointKey, ...], choices: int) -> None:
        self._keys: Final = keys
        self._draws: Final = tuple(host_choice(number) for number in range(choices))

    def pick(self, ask: Ask) -> int:
        keys, size = self._keys, len(self._keys)
        if not ask.active:  # all idle: every comparison is a tie, and a tie keeps the first choice
            return ask.draws[self._draws[0]] % size
        best = ask.draws[self._draws[0]] % size
        fewest = ask.active.get(keys[best], 0)
        for name in self._draws[1:]:
            drawn = ask.draws[name] % size
            busy = ask.active.get(keys[drawn], 0)
            if busy < fewest:
                best, fewest = drawn, busy
        return best

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        """An endpoint wins with draw k if all draws before it are busier and none after it is less busy."""
        drawn = modulo_chances(len(self._keys))
        busy = [odds.active.get(key, 0) for key in self._keys]
        chance_of_load: dict[int, Fraction] = {}
        for load, chance in zip(busy, drawn, strict=True):
            chance_of_load[load] = chance_of_load.get(load, Fraction(0)) + chance
        wins: dict[int, Fraction] = {}
        for load, chance in chance_of_load.items():
            busier = sum((other for at, other in chance_of_load.items() if at > load), Fraction(0))
            later = len(self._draws) - 1
            wins[load] = sum((busier**k * (busier + chance) ** (later - k) for k in range(later + 1)), Fraction(0))
        return [chance * wins[load] for load, chance in zip(busy, drawn, strict=True)]

    def how(self, ask: Ask) -> str:
        drawn = [self._keys[ask.draws[name] % len(self._keys)] for name in self._draws]
        return "drew " + ", ".join(f"{key} ({ask.active.get(key, 0)} active)" for key in drawn)


def prepare(usable: Sequence[Endpoint], choices: int) -> Picker:
    """A picker over at least one endpoint."""
    return _Choices(tuple(endpoint.key for endpoint in usable), choices)
