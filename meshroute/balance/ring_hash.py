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
        self._owners: Final = ring.owners
        self._size: Final = len(ring.points)

    def pick(self, ask: Ask) -> int:
        return self._owners[(bisect_left(self._points, ask.key) + ask.attempt) % self._size]

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


def prepare(hosts: Hosts, sizes: RingHash) -> Picker | None:
    """A picker over the hosts; None where the ring is empty (a minimum of 0, or no host), which serves nobody."""
    ring = build(hosts, sizes)
    return OnRing(ring, len(hosts.keys)) if ring.points else None
