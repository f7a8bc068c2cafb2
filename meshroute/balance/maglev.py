"""Maglev: consistent hashing by a table that hosts fill in turns.

Source    spec/balance.md MAGLEV-1 to MAGLEV-4; envoyproxy/envoy: source/extensions/load_balancing_policies/maglev
Inputs    hosts with their shares, in any order; a key of 64 bits.
Exactness hosts take turns in the byte order of their keys, each along a permutation made of two hashes of it; a lighter
          one sits out rounds until its running double allows. The order of the list does not matter.
Errors    none: Maglev is valid by construction.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.hosts import Hosts
from meshroute.balance.picker import DRAWS, Ask, Forgetful, Odds, Picker, certain
from meshroute.hashing import MASK64, xxhash64


def build(hosts: Hosts, size: int) -> array[int]:
    """The table: for each slot, the place among the hosts of the one that answers for it. At least one host."""
    names = [key.encode("latin-1") for key in hosts.keys]
    most = max(hosts.shares)
    # Equal keys cannot be told apart by Envoy either; here the earlier host goes first.
    order = sorted(range(len(names)), key=lambda number: names[number])
    offsets = [xxhash64(names[number], 0) % size for number in order]
    skips = [xxhash64(names[number], 1) % (size - 1) + 1 for number in order]
    weights = [hosts.shares[number] for number in order]
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


class InTable(Forgetful):
    """A picker of hosts by the slots of a table."""

    name: Final = "maglev"
    remembers: Final = False
    draws_twice: Final = True

    def __init__(self, table: array[int], hosts: int) -> None:
        self._hosts: Final = hosts
        self.table: Final = table
        self._size: Final = len(table)

    def pick(self, ask: Ask) -> int:
        return self.table[self._slot(ask)]

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.key is not None:
            return certain(self.table[odds.key % self._size], self._hosts)
        counts = keys_in_band(self.table, self._hosts, odds.low, odds.high)
        return [Fraction(count, DRAWS) for count in counts]

    def how(self, ask: Ask) -> str:
        return f"slot {self._slot(ask)} of {self._size}"

    def _slot(self, ask: Ask) -> int:
        # A further attempt looks at the slot of the key with other bits; the first leaves it as it is.
        return (ask.key if not ask.attempt else ask.key ^ (-ask.attempt & MASK64)) % self._size


def keys_in_band(table: Sequence[int], hosts: int, low: int, high: int) -> list[int]:
    """For each host, how many of the 2^64 keys are in its slots and have a remainder modulo 100 in [low, high)."""
    size = len(table)
    if (low, high) == (0, 100):
        # Slots below `more` come up once more than the others.
        whole, more = divmod(DRAWS, size)
        held, first = Counter(table), Counter(table[:more])
        return [held[number] * whole + first[number] for number in range(hosts)]
    # Keys come in runs of `size`, one key for each slot; after 100 runs their remainders modulo 100 repeat.
    runs, left = divmod(DRAWS, size)
    rounds, single = divmod(runs, 100)
    by_remainder = Counter((owner, slot % 100) for slot, owner in enumerate(table))
    counts = [0] * hosts
    for run in range(100):
        times = rounds + (run < single)
        shift = run * size % 100
        for (owner, remainder), slots in by_remainder.items():
            if low <= (remainder + shift) % 100 < high:
                counts[owner] += slots * times
    for slot in range(left):
        if low <= (slot + runs * size) % 100 < high:
            counts[table[slot]] += 1
    return counts


def prepare(hosts: Hosts, size: int) -> Picker | None:
    """A picker over the hosts; None where there are none."""
    return InTable(build(hosts, size), len(hosts.keys)) if hosts.keys else None
