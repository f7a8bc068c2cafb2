"""Ring hash: consistent hashing on a ketama ring.

Source    spec/balance.md RING-1 to RING-4; envoyproxy/envoy: source/extensions/load_balancing_policies/ring_hash
Inputs    hosts with their shares, in order; a key of 64 bits.
Exactness the ring is sized and filled by running IEEE doubles in the order given, so that order can decide who gets an
          entry more; an entry is XXH64 (or Murmur2, if asked) of the host's key, `_` and a number. Reordering fractions
          or rounding earlier gives another ring.
Errors    none: RingHash is valid by construction. A ring of 0 entries has no picker and no healthy host.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Final

from meshroute.balance.hosts import Hosts
from meshroute.balance.picker import DRAWS, Ask, Forgetful, Odds, Picker, certain, gathered, span_count
from meshroute.hashing import murmur64, xxhash64
from meshroute.table import HashFunction, RingHash

MAX_BITS: Final = 16
"""By so many upper bits of a key, at most, is the entry narrowed down before it is searched."""


class Ring:
    """Entries in ascending order of their hash; `owners[i]` is the place among the hosts of the one that answers for
    `points[i]`."""

    __slots__ = ("owners", "points")

    def __init__(self, points: tuple[int, ...], owners: tuple[int, ...]) -> None:
        self.points: Final = points
        self.owners: Final = owners

    def entry(self, key: int) -> int:
        """The number of the first entry at or after the key; past the last one, the first answers."""
        return bisect_left(self.points, key) % len(self.points)


def build(hosts: Hosts, sizes: RingHash) -> Ring:
    """Give each host its share of the ring, the smallest share a whole number of entries."""
    if not hosts.keys:
        return Ring((), ())
    least = min(1.0, *hosts.shares)
    scale = min(ceil(least * sizes.minimum) / least, float(sizes.maximum))
    place = xxhash64 if sizes.function is HashFunction.XX_HASH else murmur64
    entries: list[tuple[int, int]] = []
    target = 0.0
    for number, (key, share) in enumerate(zip(hosts.keys, hosts.shares, strict=True)):
        # The sums run on from host to host: that is what makes 75 equal hosts get 15, 14, 14, ... entries.
        target += scale * share
        replica = 0
        stem = key + "_"
        while len(entries) < target:
            entries.append((place(f"{stem}{replica}".encode("latin-1")), number))
            replica += 1
    # Equal points keep the order of hosts here. Envoy's sort promises none; only equal keys can collide.
    entries.sort(key=lambda entry: entry[0])
    return Ring(tuple(point for point, _ in entries), tuple(owner for _, owner in entries))


class OnRing(Forgetful):
    """A picker of hosts by their place on a ring that has entries."""

    name: Final = "ring hash"
    remembers: Final = False
    draws_twice: Final = True

    def __init__(self, ring: Ring, size: int) -> None:
        self._hosts: Final = size
        self.ring: Final = ring
        self._points: Final = ring.points
        # Past the last entry the first one answers.
        self._owners: Final = (*ring.owners, ring.owners[0])
        self._size: Final = len(ring.points)
        bits = min(MAX_BITS, self._size.bit_length())
        self._shift: Final = 64 - bits
        self._firsts: Final = _firsts(ring.points, bits)

    def pick(self, ask: Ask) -> int:
        key, firsts = ask.key, self._firsts
        span = key >> self._shift
        entry = bisect_left(self._points, key, firsts[span], firsts[span + 1])
        return self._owners[(entry + ask.attempt) % self._size if ask.attempt else entry]

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.key is not None:
            return certain(self._owners[self.ring.entry(odds.key)], self._hosts)
        # An entry answers for the keys after the one before it up to itself; the first also for those after the last.
        below = [span_count(odds.low, odds.high, 100, point + 1) for point in self._points]
        all_keys = span_count(odds.low, odds.high, 100, DRAWS)
        arcs = (
            (owner, Fraction(upto - before, DRAWS))
            for owner, before, upto in zip(self._owners, (below[-1] - all_keys, *below), below, strict=False)
        )
        return gathered(self._hosts, arcs)

    def how(self, ask: Ask) -> str:
        entry = (self.ring.entry(ask.key) + ask.attempt) % self._size
        return f"entry {entry} of {self._size}, at {self._points[entry]}"


def _firsts(points: Sequence[int], bits: int) -> list[int]:
    """For each value of a key's upper bits the first entry that may answer, which is the last one that may for the
    value below; and the number of entries, for the highest."""
    firsts: list[int] = []
    for number, point in enumerate(points):
        if (more := (point >> 64 - bits) + 1 - len(firsts)) > 0:
            firsts += [number] * more
    return firsts + [len(points)] * (2**bits + 1 - len(firsts))


def prepare(hosts: Hosts, sizes: RingHash) -> Picker | None:
    """A picker over the hosts; None where the ring is empty (a minimum of 0, or no host), which serves nobody."""
    ring = build(hosts, sizes)
    return OnRing(ring, len(hosts.keys)) if ring.points else None
