"""What every policy is asked, and what it answers.

Source    spec/balance.md BAL-1
Inputs    the usable endpoints of one cluster, in order, never empty; the state and the draws of one request.
Errors    none: a picker that exists can pick.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from meshroute.draws import Draws
from meshroute.names import EndpointKey


class Ask(NamedTuple):
    """What a choice may depend on besides configuration.

    `cursor` counts the cluster's earlier turns; `active` the requests in flight by endpoint; `key` is the request's
    hash, or the random number that stands in for it.
    """

    draws: Draws
    cursor: int
    active: Mapping[EndpointKey, int]
    key: int


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

    def how(self, ask: Ask) -> str:
        """In a few words, by what `pick` chooses; asked only for a trace."""
