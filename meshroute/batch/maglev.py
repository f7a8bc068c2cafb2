"""Maglev tables of many hosts, filled a turn at a time.

Source    spec/balance.md MAGLEV-1; meshroute.balance.maglev is the definition, and its table is this one
Inputs    hosts with their shares, at least one; the number of slots, a prime.
Exactness a host's turn comes by the same doubles. Whoever asks for a slot gets it from those that come later in the
          turn: all hosts ask at once, and who loses a slot asks on. Where nobody loses any more, everybody has what
          asking one after the other would have given.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meshroute.balance import maglev
from meshroute.balance.hosts import Hosts
from meshroute.hashing import xxhash64

FEW: Final = 250
"""Where fewer hosts than this have a slot in a turn, on average, asking one after the other is as fast."""
LAST: Final = 512
"""So many slots are given away singly at the end, where to find one by trying would take long."""
AHEAD: Final = 512
"""How many slots a host tries at once, at most."""
_FREE: Final = np.iinfo(np.int32).max
_TAKEN: Final = -1


def maglev_table(hosts: Hosts, size: int) -> NDArray[np.int64]:
    """The table: for each slot, the place among the hosts of the one that answers for it. At least one host."""
    if size <= LAST or sum(hosts.shares) < FEW * max(hosts.shares):
        return np.array(maglev.build(hosts, size), np.int64)
    return filled(hosts, size)


def filled(hosts: Hosts, size: int, last: int = LAST) -> NDArray[np.int64]:
    """The same for any number of hosts; the slots from the `last` on are given away singly. `last` changes the time it
    takes and nothing else."""
    names = [key.encode("latin-1") for key in hosts.keys]
    order = sorted(range(len(names)), key=lambda number: names[number])
    offsets = np.array([xxhash64(names[number], 0) % size for number in order], np.uint32)
    skips = np.array([xxhash64(names[number], 1) % (size - 1) + 1 for number in order], np.uint32)
    filling = _Filling(offsets, skips, size, last)
    for turn in _turns(np.array(hosts.shares)[order]):
        if filling.take(turn):
            return np.array(order, np.int64)[filling.owners]
    raise AssertionError("turns never end")


def _turns(shares: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """The places of the hosts that have a slot in this turn, in the next, and so on."""
    most = shares.max()
    targets = np.zeros(len(shares))
    turn = 0
    while True:
        turn += 1
        due = np.flatnonzero(turn * shares >= targets)
        targets[due] += most
        yield due


class _Filling:
    """A table that is being filled; hosts are known by their place in the order of turns."""

    __slots__ = ("_at", "_free", "_held", "_inverses", "_last", "_size", "_skips", "owners")

    def __init__(self, offsets: NDArray[np.uint32], skips: NDArray[np.uint32], size: int, last: int) -> None:
        self.owners: Final = np.full(size, -1, np.int64)
        # Who holds a slot in this turn: nobody yet, whoever came in an earlier turn, or a place.
        self._held: Final = np.full(size, _FREE, np.int32)
        self._at: Final = offsets
        self._skips: Final = skips
        self._size: Final = size
        self._last: Final = last
        self._free = size
        self._inverses: Final[dict[int, int]] = {}

    def take(self, turn: NDArray[np.int64]) -> bool:
        """A slot for each place, in order. True if the table is full, maybe before all had one."""
        while self._free > self._last and len(turn):
            # Few enough at once that most find a slot which no other wants.
            some, turn = np.split(turn, [max(1, self._free // 4)])
            self._together(some)
        if self._free <= self._last:
            self._singly(turn[: self._free])
        return self._free == 0

    def _together(self, places: NDArray[np.int64]) -> None:
        """Each asks for the first slot on its way that nobody before it holds, until all have one."""
        size, held = np.uint32(self._size), self._held
        skips, slots = self._skips[places], self._at[places]
        numbers = places.astype(np.int32)
        reach = np.arange(min(AHEAD, self._size // self._free), dtype=np.int64)
        ways = (skips[:, None] * reach % self._size).astype(np.uint32) if len(reach) > 1 else None
        asking, who, wanted = np.arange(len(places)), numbers, slots
        while True:
            if ways is not None:
                tried = wanted[:, None] + ways[asking]
                # Counted round: what is below zero wraps to far above.
                np.minimum(tried, tried - size, out=tried)
                open_ = held[tried] > who[:, None]
                open_[:, -1] = True  # none of them: the last one is refused below, and the next are tried
                wanted = tried[np.arange(len(who)), open_.argmax(1)]
            slots[asking] = wanted
            before = held[wanted]
            np.minimum.at(held, wanted, who)
            got = held[wanted] == who
            put_out = before[got]
            put_out = put_out[put_out != _FREE]
            asking = np.concatenate((asking[~got], np.searchsorted(numbers, put_out)))
            if not len(asking):
                break
            who = numbers[asking]
            wanted = slots[asking] + skips[asking]
            wanted = np.minimum(wanted, wanted - size)
        self.owners[slots] = places
        held[slots] = _TAKEN
        self._at[places] = slots
        self._free -= len(places)

    def _singly(self, places: NDArray[np.int64]) -> None:
        """One after the other; of the free slots each takes the one that its way comes to first."""
        free = np.flatnonzero(self._held == _FREE)
        for place in places.tolist():
            if place not in self._inverses:
                self._inverses[place] = pow(int(self._skips[place]), -1, self._size)
            first = ((free - int(self._at[place])) * self._inverses[place] % self._size).argmin()
            self.owners[free[first]] = place
            self._held[free[first]] = _TAKEN
            free = np.delete(free, first)
        self._free = len(free)
