"""Maglev: consistent hashing by a table that endpoints fill in turns.

Source    spec/balance.md MAGLEV-1 to MAGLEV-3; envoyproxy/envoy: source/extensions/load_balancing_policies/maglev
Inputs    endpoints with their weights, in any order; a key of 64 bits.
Exactness endpoints take turns in the byte order of their `ip:port`, each along a permutation made of two hashes of it;
          a lighter one sits out rounds until its running double allows. The order of the list does not matter.
Errors    none: Maglev is valid by construction.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import DRAWS, Ask, Odds, Picker, certain
from meshroute.hashing import xxhash64
from meshroute.table import Endpoint


def build(endpoints: Sequence[Endpoint], size: int) -> array[int]:
    """The table: for each slot, the number of the endpoint that answers for it. At least one endpoint."""
    total = sum(one.weight for one in endpoints)
    shares = [one.weight * 1.0 / total for one in endpoints]
    most = max(shares)
    # Equal keys cannot be told apart by Envoy either; here the earlier endpoint goes first.
    order = sorted(range(len(endpoints)), key=lambda number: endpoints[number].key.encode("latin-1"))
    offsets = [xxhash64(endpoints[number].key.encode("latin-1"), 0) % size for number in order]
    skips = [xxhash64(endpoints[number].key.encode("latin-1"), 1) % (size - 1) + 1 for number in order]
    weights = [shares[number] for number in order]
    targets = [0.0] * len(order)
    table = array("l", [-1]) * size
    filled, turn = 0, 0
    while True:
        turn += 1
        for place, number in enumerate(order):
            if turn * weights[place] < targets[place]:
                continue
            targets[place] += most
            slot, skip = offsets[place], skips[place]
            while table[slot] >= 0:
                slot += skip
                if slot >= size:
                    slot -= size
            table[slot] = number
            slot += skip
            offsets[place] = slot - size if slot >= size else slot
            filled += 1
            if filled == size:
                return table


class _InTable:
    name: Final = "maglev"
    turns: Final = False
    hashes: Final = True
    remembers: Final = False

    def __init__(self, table: array[int], endpoints: int) -> None:
        self._endpoints: Final = endpoints
        self._table: Final = table
        self._size: Final = len(table)

    def pick(self, ask: Ask) -> int:
        return self._table[ask.key % self._size]

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.key is not None:
            return certain(self._table[odds.key % self._size], self._endpoints)
        # Slots below `more` come up once more among the 2^64 keys than the others.
        whole, more = divmod(DRAWS, self._size)
        held, first = Counter(self._table), Counter(self._table[:more])
        return [Fraction(held[number] * whole + first[number], DRAWS) for number in range(self._endpoints)]

    def how(self, ask: Ask) -> str:
        return f"slot {ask.key % self._size} of {self._size}"


def prepare(usable: Sequence[Endpoint], size: int) -> Picker:
    """A picker over at least one endpoint."""
    return _InTable(build(usable, size), len(usable))
