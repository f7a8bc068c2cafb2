"""What every policy is asked, and what it answers.

Source    spec/balance.md BAL-1
Inputs    some endpoints of one cluster, in order, never empty; the state and the draws of one request.
Errors    none: a picker that exists can pick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

import msgspec

from meshroute.draws import Drawn
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import Effect, Source, State


class Members(NamedTuple):
    """Endpoints that one picker chooses among: what state calls them, and their weights.

    `source` is the name of the list, under which its turns are counted; `healthy` says of which a slow start is asked.
    """

    cluster: ClusterName
    priority: int
    source: Source
    keys: tuple[EndpointKey, ...]
    weights: tuple[int, ...]
    healthy: tuple[bool, ...]


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What a choice may depend on besides configuration.

    `key` is the request's hash, or the random number that stands in for it; `attempt` counts the picks of one retry.
    """

    draws: Drawn
    state: State
    key: int = 0
    attempt: int = 0


class Odds(NamedTuple):
    """What the chances of a choice may depend on: as `Ask`, without the draws.

    `key` is None where a random one stands in. `long_run` asks for the chances over many requests instead of the next
    one. Of a draw that has chosen the priority before it is used here again, only the values with a remainder modulo
    100 in [low, high) count.
    """

    state: State
    key: int | None
    long_run: bool
    low: int = 0
    high: int = 100


class Picker(Protocol):
    """One policy over one list of endpoints."""

    @property
    def name(self) -> str:
        """The policy, for the trace."""

    @property
    def remembers(self) -> bool:
        """Whether the next pick goes by what was picked before."""

    @property
    def draws_twice(self) -> bool:
        """Whether the number that chose the priority also chooses the endpoint. Its chances are then those of both:
        of a remainder in the span and of the endpoint."""

    @property
    def turn(self) -> tuple[Effect, ...] | None:
        """What a pick leaves behind, where it is always the same; None where `turned` must be asked."""

    def pick(self, ask: Ask) -> int:
        """The number of the chosen endpoint among the usable ones."""

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        """What this pick leaves behind, the request itself apart."""

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        """The exact probability of each endpoint, in their order; they sum to 1, or to that of the span."""

    def how(self, ask: Ask) -> str:
        """In a few words, by what `pick` chooses; asked only for a trace."""


class Forgetful:
    """What pickers have in common that leave nothing behind."""

    turn: Final = ()

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        return ()


DRAWS: Final = 2**64
"""How many values a draw can have."""


def span_chance(low: int, high: int, total: int) -> Fraction:
    """The exact probability that a draw modulo `total` lies in [low, high).

    Not quite `(high - low) / total`: 2^64 is no multiple of most totals, and the first remainders come up once more.
    """
    return Fraction(span_count(low, high, total, DRAWS), DRAWS)


def span_count(low: int, high: int, total: int, below: int) -> int:
    """How many numbers below `below` have a remainder modulo `total` in [low, high)."""
    whole, more = divmod(below, total)
    return (high - low) * whole + max(0, min(high, more) - low)


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


def proportional(weights: Sequence[Fraction | int]) -> list[Fraction]:
    """Shares of 1 in proportion to weights, of which at least one is above 0."""
    total = sum(weights)
    return [Fraction(weight) / total for weight in weights]


def busy(active: Mapping[EndpointKey, int], keys: Sequence[EndpointKey]) -> list[int]:
    """Requests in flight on each."""
    return [active.get(key, 0) for key in keys]
