"""What every policy is asked, and what it answers.

Source    spec/balance.md BAL-1
Inputs    the usable endpoints of one cluster, in order, never empty; the state and the draws of one request.
Errors    none: a picker that exists can pick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

from meshroute.draws import Draws
from meshroute.names import EndpointKey


class Ask(NamedTuple):
    """What a choice may depend on besides configuration.

    `start` is the number that the cluster's balancer drew when it was made, `cursor` counts its turns since; `active`
    the requests in flight by endpoint; `key` is the request's hash, or the random number that stands in for it.
    """

    draws: Draws
    start: int
    cursor: int
    active: Mapping[EndpointKey, int]
    key: int


class Odds(NamedTuple):
    """What the chances of a choice may depend on: as `Ask`, without the draws. `key` is None where a random one stands
    in.

    `long_run` asks for the chances over many requests instead of the next one.
    """

    start: int
    cursor: int
    active: Mapping[EndpointKey, int]
    key: int | None
    long_run: bool


class Picker(Protocol):
    """One policy over one list of endpoints."""

    @property
    def name(self) -> str:
        """The policy, for the trace."""

    @property
    def turns(self) -> bool:
        """Whether a pick moves the cluster's cursor."""

    @property
    def hashes(self) -> bool:
        """Whether a pick goes by the request's key."""

    def pick(self, ask: Ask) -> int:
        """The number of the chosen endpoint among the usable ones."""

    @property
    def remembers(self) -> bool:
        """Whether the next pick goes by what was picked before."""

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        """The exact probability of each usable endpoint, in their order; they sum to 1."""

    def how(self, ask: Ask) -> str:
        """In a few words, by what `pick` chooses; asked only for a trace."""


DRAWS: Final = 2**64
"""How many values a draw can have."""


def span_chance(low: int, high: int, total: int) -> Fraction:
    """The exact probability that a draw modulo `total` lies in [low, high).

    Not quite `(high - low) / total`: 2^64 is no multiple of most totals, and the first remainders come up once more.
    """
    whole, more = divmod(DRAWS, total)
    return Fraction((high - low) * whole + max(0, min(high, more) - low), DRAWS)


def modulo_chances(size: int) -> list[Fraction]:
    """The exact probability of each remainder of a draw modulo `size`."""
    return [span_chance(number, number + 1, size) for number in range(size)]


def certain(number: int, size: int) -> list[Fraction]:
    """All for one of `size`."""
    return [Fraction(int(other == number)) for other in range(size)]


def gathered(size: int, parts: Iterable[tuple[int, Fraction]]) -> list[Fraction]:
    """The sums of (number, probability) pairs by number, of `size`."""
    sums = [Fraction(0)] * size
    for number, part in parts:
        sums[number] += part
    return sums
