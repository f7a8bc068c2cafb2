"""How one endpoint of several is chosen: a policy with its numbers.

Source    spec/balance.md; envoyproxy/envoy: api/envoy/extensions/load_balancing_policies
Errors    ValueError from the policies whose numbers a proxy refuses.
"""

from __future__ import annotations

from enum import StrEnum
from math import isqrt
from typing import Final, TypeAlias

import msgspec

MAX_RING_SIZE: Final = 8 * 1024 * 1024
"""Envoy's limit for both bounds of a ring."""
MAX_MAGLEV_SIZE: Final = 5_000_011
"""Envoy's limit for the slots of a Maglev table."""


class SlowStart(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Newcomers get a smaller weight for `window` milliseconds: their weight grows with their age to the power of
    1/`aggression`, from `minimum` percent on."""

    window: int
    aggression: float = 1.0
    minimum: float = 10.0

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"a slow start takes at least 1 millisecond, got {self.window}")
        if not 0.0 <= self.minimum <= 100.0:
            raise ValueError(f"the least weight of a slow start is between 0 and 100 percent, got {self.minimum}")


class RoundRobin(msgspec.Struct, frozen=True, tag="round-robin", gc=False, forbid_unknown_fields=True):
    """Endpoints in turn, in proportion to their weights."""

    slow_start: SlowStart | None = None


class LeastRequest(msgspec.Struct, frozen=True, tag="least-request", gc=False, forbid_unknown_fields=True):
    """The least busy of `choices` endpoints drawn at random, with replacement; with `full_scan`, of all.

    Where weights differ, endpoints take turns in proportion to `weight / (active + 1) ** bias` instead. `choices` is at
    least 2; a negative bias counts as 1.
    """

    choices: int = 2
    bias: float = 1.0
    full_scan: bool = False
    slow_start: SlowStart | None = None

    def __post_init__(self) -> None:
        if self.choices < 2:
            raise ValueError(f"least request needs at least 2 choices, got {self.choices}")


class RandomChoice(msgspec.Struct, frozen=True, tag="random", gc=False, forbid_unknown_fields=True):
    """Any endpoint, each as likely as the other; weights do not count."""


class HashFunction(StrEnum):
    """What places an endpoint's entries on a ring."""

    XX_HASH = "xx-hash"
    MURMUR_HASH_2 = "murmur-hash-2"


class RingHash(msgspec.Struct, frozen=True, tag="ring-hash", gc=False, forbid_unknown_fields=True):
    """Consistent hashing on a ketama ring of `minimum` to `maximum` entries.

    `balance_factor`, at least 100, is how many percent of its fair share of requests in flight an endpoint may have
    before another takes over; None: it may have them all.
    """

    minimum: int = 1024
    maximum: int = MAX_RING_SIZE
    function: HashFunction = HashFunction.XX_HASH
    balance_factor: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= MAX_RING_SIZE or not 0 <= self.maximum <= MAX_RING_SIZE:
            raise ValueError(f"ring sizes must be between 0 and {MAX_RING_SIZE}")
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ring size {self.minimum} exceeds maximum {self.maximum}")
        _check_factor(self.balance_factor)


class Maglev(msgspec.Struct, frozen=True, tag="maglev", gc=False, forbid_unknown_fields=True):
    """Consistent hashing by a table of `size` slots; a prime, at most 5,000,011. `balance_factor` as for a ring."""

    size: int = 65537
    balance_factor: int | None = None

    def __post_init__(self) -> None:
        # Envoy's own test lets 1 pass as a prime, and then divides by zero.
        if not 2 <= self.size <= MAX_MAGLEV_SIZE or any(self.size % n == 0 for n in range(2, isqrt(self.size) + 1)):
            raise ValueError(f"a Maglev table has a prime number of slots, at most {MAX_MAGLEV_SIZE}; got {self.size}")
        _check_factor(self.balance_factor)


class OriginalDestination(
    msgspec.Struct, frozen=True, tag="original-destination", gc=False, forbid_unknown_fields=True
):
    """Wherever the client was going: the address it connected to, no choice made."""


Policy: TypeAlias = RoundRobin | LeastRequest | RandomChoice | RingHash | Maglev | OriginalDestination


def _check_factor(factor: int | None) -> None:
    if factor is not None and factor < 100:
        raise ValueError(f"a balance factor is at least 100 percent, got {factor}")
