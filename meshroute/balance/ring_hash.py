"""Ring hash: consistent hashing on a ketama ring.

Source    spec/balance.md RING-1 to RING-3; envoyproxy/envoy: source/extensions/load_balancing_policies/ring_hash
Inputs    endpoints with their weights, in order; a key of 64 bits.
Exactness the ring is sized and filled by running IEEE doubles in the order given, so that order can decide who gets an
          entry more; an entry is XXH64 (or Murmur2, if asked) of
          `ip:port_number`. Reordering fractions or rounding earlier gives another
          ring.
Errors    none: RingHash is valid by construction. A ring of 0 entries has no picker and no healthy host.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Final

from meshroute.balance.picker import DRAWS, Ask, Odds, Picker, certain, gathered
from meshroute.hashing import murmur64, xxhash64
from meshroute.table import Endpoint, HashFunction, RingHash


class Ring:
    """Entries in ascending order of their hash; `owners[i]` is the number of the endpoint that answers for
    `points[i]`."""

    __slots__ = ("owners", "points")

    def __init__(self, points: tuple[int, ...], owners: tuple[int, ...]) -> None:
        self.points: Final = points
        self.owners: Final = owners

    def entry(self, key: int) -> int:
        """The number of the first entry at or after the key; past the last one, the first answers."""
        return bisect_left(self.points, key) % len(self.points)


def build(endpoints: Sequence[Endpoint], sizes: RingHash) -> Ring:
    """Give each endpoint its share of the ring, the smallest share a whole number of entries."""
    if not endpoints:
        return Ring((), ())
    total = sum(endpoint.weight for endpoint in endpoints)
    shares = [endpoint.weight * 1.0 / total for endpoint in endpoints]
    least = min(1.0, *shares)
    scale = min(ceil(least * sizes.minimum) / least, float(sizes.maximum))
    place = xxhash64 if sizes.function is HashFunction.XX_HASH else murmur64
    entries: list[tuple[int, int]] = []
    target = 0.0
    for number, (endpoint, share) in enumerate(zip(endpoints, shares, strict=True)):
        # The sums run on from endpoint to endpoint: that is what makes 75 equal hosts get 15, 14, 14, ... entries.
        target += scale * share
        replica = 0
        stem = endpoint.key + "_"
        while len(entries) < target:
            entries.append((place(f"{stem}{replica}".encode()), number))
            replica += 1
    # Equal points keep the order of endpoints here. Envoy's sort promises none; only equal addresses can collide.
    entries.sort(key=lambda entry: entry[0])
    return Ring(tuple(point for point, _ in entries), tuple(owner for _, owner in entries))


class _OnRing:
    name: Final = "ring hash"
    turns: Final = False
    hashes: Final = True
    remembers: Final = False

    def __init__(self, ring: Ring, endpoints: int) -> None:
        self._endpoints: Final = endpoints
        self._ring: Final = ring
        self._points: Final = ring.points
        self._owners: Final = ring.owners
        self._size: Final = len(ring.points)

    def pick(self, ask: Ask) -> int:
        return self._owners[bisect_left(self._points, ask.key) % self._size]

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.key is not None:
            return certain(self._owners[self._ring.entry(odds.key)], self._endpoints)
        # An entry answers for the keys after the one before it; the first also for those after the last.
        ends = (self._points[-1] - DRAWS, *self._points)
        arcs = (
            (owner, Fraction(at - before, DRAWS))
            for owner, before, at in zip(self._owners, ends, self._points, strict=False)
        )
        return gathered(self._endpoints, arcs)

    def how(self, ask: Ask) -> str:
        entry = self._ring.entry(ask.key)
        return f"entry {entry} of {self._size}, at {self._points[entry]}"


def prepare(usable: Sequence[Endpoint], sizes: RingHash) -> Picker | None:
    """A picker over the endpoints; None where the ring is empty (a minimum of 0), which serves nobody."""
    ring = build(usable, sizes)
    return _OnRing(ring, len(usable)) if ring.points else None
