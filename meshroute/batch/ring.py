"""Rings as columns, made and asked many at a time.

Source    spec/balance.md RING-1, RING-2; meshroute.balance.ring_hash is the definition, and its ring is this one
Inputs    hosts with their shares, in order; the sizes of a ring; columns of keys of 64 bits.
Exactness the same running doubles, added one after the other. Equal points keep the order of hosts.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from math import ceil
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

from meshroute.balance.hosts import Hosts
from meshroute.hashing import murmur64
from meshroute.table import HashFunction, RingHash

_DENSER: Final = 3
"""As a power of two, how many more spans the keys are cut into than a ring has entries."""


class Entries(NamedTuple):
    """Entries in ascending order of their hash; `owners[i]` is the place among the hosts of the one that answers for
    `points[i]`."""

    points: NDArray[np.uint64]
    owners: NDArray[np.int64]


def ring(hosts: Hosts, sizes: RingHash) -> Entries:
    """The ring. It has no entries where there is no host or the minimum is 0."""
    if not hosts.keys:
        return Entries(np.empty(0, np.uint64), np.empty(0, np.int64))
    least = min(1.0, *hosts.shares)
    scale = min(ceil(least * sizes.minimum) / least, float(sizes.maximum))
    # accumulate adds from left to right, as the definition does; sum and cumsum of parts would not.
    ends = np.ceil(np.add.accumulate(scale * np.array(hosts.shares))).astype(np.int64)
    counts = np.diff(ends, prepend=0)
    numbered = [b"_%d" % number for number in range(counts.max())]
    place: Callable[[bytes], int] = xxh64_intdigest if sizes.function is HashFunction.XX_HASH else murmur64
    each = zip(hosts.keys, counts.tolist(), strict=True)
    # Statements for each host and none for each entry: what runs for an entry is C.
    names = chain.from_iterable(map(key.encode("latin-1").__add__, numbered[:count]) for key, count in each)
    points = np.fromiter(map(place, names), np.uint64, int(ends[-1]))
    order = np.argsort(points, kind="stable")
    return Entries(points[order], np.repeat(np.arange(len(hosts.keys)), counts)[order])


class Asked:
    """A ring made ready for columns of keys: for each span of keys, the first entry that may answer."""

    __slots__ = ("_entries", "_firsts", "_points", "_shift")

    def __init__(self, entries: Entries) -> None:
        bits = min(20, len(entries.points).bit_length() + _DENSER)
        self._entries: Final = entries
        self._shift: Final = np.uint64(64 - bits)
        starts = np.arange(2**bits, dtype=np.uint64) << self._shift
        self._firsts: Final = np.searchsorted(entries.points, starts)
        # After the last entry comes one that no key is beyond.
        self._points: Final = np.append(entries.points, np.iinfo(np.uint64).max)

    def owners(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each key, who owns the first entry at or after it; past the last one, the first."""
        found = self._firsts[keys >> self._shift]
        behind = np.flatnonzero(self._points[found] < keys)
        while len(behind):
            found[behind] += 1
            behind = behind[self._points[found[behind]] < keys[behind]]
        owners: NDArray[np.int64] = self._entries.owners[found % len(self._entries.owners)]
        return owners
