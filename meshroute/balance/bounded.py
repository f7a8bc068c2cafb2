"""Bounded load: consistent hashing that passes over hosts with more than their share of the requests in flight.

Source    spec/balance.md BOUND-1, BOUND-2; envoyproxy/envoy:
          source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc
Inputs    the picker that it stands before, the hosts' shares, the requests in flight in the whole cluster.
Exactness a host is full above `slots` requests, where the slots are its share of `factor` percent of all requests,
          rounded up, as 32-bit integers and doubles. The others are asked in the order of a Mersenne Twister that is
          seeded with the low 32 bits of the key.
Errors    InexactError where chances are asked of a random key while its host may be full: that order has no closed
          form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from random import Random
from typing import Final

from meshroute.balance.picker import Ask, Forgetful, Odds, Picker, certain
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import State

_WORDS: Final = 624
_MASK32: Final = 0xFFFF_FFFF


class InexactError(ValueError):
    """A probability that has no exact value we could compute."""


class Bounded(Forgetful):
    """A picker that asks another one first."""

    remembers: Final = False
    draws_twice: Final = True

    def __init__(
        self, inner: Picker, cluster: ClusterName, keys: Sequence[EndpointKey], shares: Sequence[float], factor: int
    ) -> None:
        self.name: Final = f"{inner.name} with bounded load"
        self.inner: Final = inner
        self._cluster: Final = cluster
        self._keys: Final = tuple(keys)
        self._shares: Final = tuple(shares)
        self._factor: Final = factor

    def pick(self, ask: Ask) -> int:
        first = self.inner.pick(ask)
        loads = self._loads(ask.state)
        if loads is None or loads[first] <= 1.0:
            return first
        best = first
        for number in shuffled(len(self._keys), ask.key & _MASK32):
            if number == first:
                continue
            if loads[number] <= 1.0:
                return number
            if loads[number] < loads[best]:
                best = number
        return best

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.key is not None:
            return certain(self.pick(Ask({}, odds.state, odds.key)), len(self._keys))
        loads = self._loads(odds.state)
        if loads is not None and max(loads) > 1.0:
            raise InexactError(
                f"the shares of cluster `{self._cluster}` are not known exactly: the request has no key, and a host "
                f"has more than {self._factor} percent of its share of the requests in flight"
            )
        return self.inner.chances(odds)

    def how(self, ask: Ask) -> str:
        first, loads = self.inner.pick(ask), self._loads(ask.state)
        said = self.inner.how(ask)
        if loads is None or loads[first] <= 1.0:
            return said
        return f"{said}, which is {self._keys[first]} and full: the least full in the order of the key's shuffle"

    def _loads(self, state: State) -> list[float] | None:
        """How full each host is, 1 for full; None where nothing is in flight."""
        active = state.active_on(self._cluster)
        if not active:
            return None
        slots = ((sum(active.values()) + 1) * self._factor + 99 & _MASK32) // 100
        return [
            float(active.get(key, 0)) / max(ceil(slots * share), 1)
            for key, share in zip(self._keys, self._shares, strict=True)
        ]


def shuffled(size: int, seed: int) -> Iterator[int]:
    """The numbers below `size` in the order of a Mersenne Twister's shuffle.

    >>> list(shuffled(5, 2))
    [2, 1, 0, 4, 3]
    """
    numbers = list(range(size))
    twister = Random(0)
    # Random(seed) mixes the seed in another way than the reference generator's init_genrand, which is meant here.
    words = [seed]
    for place in range(1, _WORDS):
        words.append(1812433253 * (words[-1] ^ words[-1] >> 30) + place & _MASK32)
    twister.setstate((3, (*words, _WORDS), None))
    for place in range(size):
        left = size - place
        width = 2**32 // left
        while (step := twister.getrandbits(32) // width) >= left:
            pass
        numbers[place], numbers[place + step] = numbers[place + step], numbers[place]
        yield numbers[place]
