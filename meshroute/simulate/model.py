"""What is simulated, as values: who asks what how often, who answers how fast, and what changes when.

Source    docs/simulate.md
Inputs    times in whole microseconds from the start; rates in requests per second.
Exactness clients, pods and changes are taken in the order of their names and times: in which order they are listed
          decides nothing, except among rules for pods, where the first that fits counts, and changes at one time.
Errors    ValueError for what cannot be: negative rates, empty mixes, a story without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from math import isfinite
from typing import Final, TypeAlias

import msgspec

from meshroute.router import Router
from meshroute.simulate.chance import Constant, Distribution
from meshroute.simulate.connections import ConnectionBalancer

SECOND: Final = 1_000_000
"""Microseconds."""


class Arrivals(StrEnum):
    """When a client asks."""

    POISSON = "poisson"
    """At random, without memory."""
    CONSTANT = "constant"
    """In equal steps; the first one is drawn, so that clients do not walk in step."""
    IN_STEP = "in-step"
    """In equal steps from the start on: all clients of one rate ask at the same moments."""


class Asking(msgspec.Struct, frozen=True):
    """One kind of request. In `url` and the values of `headers`, `{client}` is the client's name, `{n}` the number of
    its request from 0, `{user}` one of its users."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(f"the weight of a request must be at least 1, got {self.weight}")

    @property
    def varies(self) -> bool:
        """Whether its text differs from one time to the next, the client's name apart."""
        return any(mark in text for text in (self.url, *self.headers.values()) for mark in ("{n}", "{user}"))


class KeepAlive(msgspec.Struct, frozen=True, gc=False):
    """How long a client keeps a connection: for so many requests, or microseconds; 0 is for ever.

    `requests=1` is a connection for each request.
    """

    requests: int = 0
    lifetime: int = 0

    def __post_init__(self) -> None:
        if self.requests < 0 or self.lifetime < 0:
            raise ValueError("a connection's requests and lifetime must not be negative")


class Clients(msgspec.Struct, frozen=True):
    """`count` clients that are alike, each with `rate` requests per second, whoever else is busy.

    They are called `name`, or `name-0`, `name-1` and so on where there are several. `connections` is how many each
    may have open, 0 for as many as it needs: a request that finds none waits. With `multiplexed` (HTTP/2) a connection
    carries up to 100 at once, else (HTTP/1.1) one. Each has a proxy of its own, unless `proxy` names a shared one; it
    has `workers`, each with turns of its own, and a connection stays with one of them. `users` is how many users it
    asks for, drawn anew for each request; 0 where the client is its own user.
    """

    name: str
    rate: float
    asks: tuple[Asking, ...]
    count: int = 1
    arrivals: Arrivals = Arrivals.POISSON
    keep_alive: KeepAlive = KeepAlive()
    connections: int = 0
    multiplexed: bool = False
    proxy: str = ""
    users: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not isfinite(self.rate) or self.rate < 0:
            raise ValueError(f"the rate of `{self.name}` must be at least 0 requests per second, got {self.rate}")
        if not self.name or not self.asks:
            raise ValueError("clients need a name and at least one request that they make")
        for what, value, least in (
            ("count", self.count, 1),
            ("connections", self.connections, 0),
            ("users", self.users, 0),
            ("workers", self.workers, 1),
        ):
            if value < least:
                raise ValueError(f"the {what} of `{self.name}` must be at least {least}, got {value}")

    @property
    def names(self) -> tuple[str, ...]:
        """What each of them is called."""
        return (self.name,) if self.count == 1 else tuple(f"{self.name}-{one}" for one in range(self.count))


def exactly(rate: float) -> Fraction:
    """A rate as it is written: 0.1 is a tenth."""
    return Fraction(repr(float(rate)))


class Serving(msgspec.Struct, frozen=True):
    """How pods answer whose names fit `pods` (`*` is any text, `?` any character).

    `only` takes those of them, in the order of their names from 0. `time` is how long an answer takes; `limit` how many
    are worked on at once, 0 for all; `queue` how many more wait, None for all: whoever finds it full gets 503.
    `answers` are statuses and how often they come, by weight.
    """

    pods: str = "*"
    only: tuple[int, ...] = ()
    time: Distribution = Constant(10_000)
    limit: int = 0
    queue: int | None = None
    answers: tuple[tuple[int, int], ...] = ((200, 1),)

    def __post_init__(self) -> None:
        if self.limit < 0 or (self.queue is not None and self.queue < 0):
            raise ValueError("the limit and the queue of pods must not be negative")
        if any(not 100 <= status <= 599 for status, _ in self.answers):
            raise ValueError("statuses are between 100 and 599")
        if any(weight < 0 for _, weight in self.answers) or not sum(weight for _, weight in self.answers):
            raise ValueError("answers need weights of at least 0, and one above it")


class Through(msgspec.Struct, frozen=True):
    """Requests go through proxies, each with a state of its own: `router` decides each of them.

    `others` has the router of clients of these names (`Clients.name`), where theirs is another. Where proxies do not
    read what comes (`reads`: TCP, or TLS that they pass on), they choose once for each connection, and requests go
    along.
    """

    router: Router
    others: Mapping[str, Router] = {}
    reads: bool = True

    def of(self, clients: str) -> Router:
        """The router of clients of that name."""
        return self.others.get(clients, self.router)


class Straight(msgspec.Struct, frozen=True):
    """Connections go to pods, chosen once for each of them, and requests go along."""

    balancer: ConnectionBalancer


Target: TypeAlias = Through | Straight


class Change(msgspec.Struct, frozen=True):
    """What is otherwise from `at` on. What is not said stays as it is.

    `target` is what proxies or nodes know then. `stop` and `start` are names of pods, with `*` and `?`: who stops drops
    what it has and refuses what comes, whether anybody knows or not. `serving` replaces all rules for pods, for
    requests whose turn comes later. `rates` are those of clients, by `Clients.name`.
    """

    at: int
    target: Target | None = None
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    serving: tuple[Serving, ...] | None = None
    rates: Mapping[str, float] = {}

    def __post_init__(self) -> None:
        if self.at < 0:
            raise ValueError(f"a change cannot be before the start, got {self.at}")
        for name, rate in self.rates.items():
            if not isfinite(rate) or rate < 0:
                raise ValueError(f"the rate of `{name}` must be at least 0 requests per second, got {rate}")


class Scenario(msgspec.Struct, frozen=True):
    """All that a simulation depends on. `until` is when it ends, `bucket` how long a row of its result is, both in
    microseconds. Only pods of `services` (names as tables have them) are in the result; of all where none is said."""

    clients: tuple[Clients, ...]
    target: Target
    until: int
    serving: tuple[Serving, ...] = (Serving(),)
    changes: tuple[Change, ...] = ()
    bucket: int = SECOND
    seed: int = 0
    services: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.until < 1 or self.bucket < 1:
            raise ValueError("a simulation and its buckets take at least 1 microsecond")
        if self.until > 2**53:
            raise ValueError("a simulation of more than 285 years does not end")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"a seed must be an unsigned 64-bit integer, got {self.seed}")
        names = [name for one in self.clients for name in one.names]
        if len(set(names)) < len(names):
            raise ValueError("two clients have the same name")
        workers: dict[str, int] = {}
        for one in self.clients:
            if one.proxy and workers.setdefault(one.proxy, one.workers) != one.workers:
                raise ValueError(
                    f"the proxy `{one.proxy}` has {workers[one.proxy]} workers for some, and not for others"
                )
        kind = type(self.target)
        groups = {one.name for one in self.clients}
        for change in self.changes:
            if change.target is not None and type(change.target) is not kind:
                raise ValueError("clients stay with proxies, or without: a target of the other kind cannot follow")
            if isinstance(change.target, Through) and change.target.reads is not _reads(self.target):
                raise ValueError("proxies read requests all the time, or never: a target that differs cannot follow")
            for name in sorted(set(change.rates) - groups):
                raise ValueError(f"a change names clients `{name}`, which there are not")


def _reads(target: Target) -> bool:
    return isinstance(target, Through) and target.reads
