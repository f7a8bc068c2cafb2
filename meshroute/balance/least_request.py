"""Least request: the least busy of a few endpoints drawn at random.

Source    spec/balance.md LR-1; envoyproxy/envoy: source/extensions/load_balancing_policies/least_request
Inputs    requests in flight by endpoint; draws `host.0`, `host.1` and so on, one for each choice.
Exactness choices are drawn with replacement, each `draw mod n`; a later one wins only by strictly fewer requests.
Left out  unequal weights, which a proxy serves by deadlines; the full scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshroute.balance.picker import Ask, Picker
from meshroute.draws import host_choice
from meshroute.names import EndpointKey
from meshroute.table import Endpoint


class _Choices:
    name: Final = "least request"
    turns: Final = False
    hashes: Final = False

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

    def how(self, ask: Ask) -> str:
        drawn = [self._keys[ask.draws[name] % len(self._keys)] for name in self._draws]
        return "drew " + ", ".join(f"{key} ({ask.active.get(key, 0)} active)" for key in drawn)


def prepare(usable: Sequence[Endpoint], choices: int) -> Picker:
    """A picker over at least one endpoint."""
    return _Choices(tuple(endpoint.key for endpoint in usable), choices)
