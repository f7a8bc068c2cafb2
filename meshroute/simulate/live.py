"""Where a simulation stands: everything that moves, as plain records.

Inputs    made by the loop; nothing else changes them.
Exactness written as JSON and read again they are equal, so a simulation can be put aside and taken up.
Errors    none. None of them refers back to itself, so nobody has to look for cycles (`gc=False`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from meshroute.connection import Connected
from meshroute.decision import Copy, Decision
from meshroute.request import as_it_was
from meshroute.state import State
from meshroute.table import Endpoint


class Cell(msgspec.Struct, gc=False):
    """One pod in one bucket. `area` is the requests that were there, times microseconds."""

    requests: int = 0
    ended: int = 0
    errors: int = 0
    moved: int = 0
    area: int = 0
    latencies: list[int] = []


class PodNow(msgspec.Struct, gc=False):
    """One pod: how many requests it works on, who waits, and its cells, bucket after bucket. `ends` is when the last of
    them does."""

    name: str
    up: bool = True
    busy: int = 0
    waiting: list[int] = []
    present: int = 0
    since: int = 0
    cells: list[Cell] = []
    ends: int = 0


class Line(msgspec.Struct, gc=False):
    """One open connection, the pod behind it (-1 where a proxy reads it), and how many requests it has had and has now.
    `connected` is what was decided about it, `worker` that of its proxy."""

    opened: int
    pod: int
    connected: Connected | None = None
    had: int = 0
    now: int = 0
    broken: bool = False
    worker: int = 0


class ClientNow(msgspec.Struct, gc=False):
    """One client: its next request, since when it has its rate, its connections and who waits for one. `opened` counts
    the connections to a proxy of several workers, `met` is the pod that it met last, where it is its own user."""

    made: int = 0
    generation: int = 0
    rate_since: int = 0
    made_since: int = 0
    in_flight: int = 0
    lines: list[int] = []
    waiting: list[int] = []
    opened: int = 0
    met: int = -1


class Flight(msgspec.Struct, gc=False):
    """One request on its way: who made it (which of its requests), when, for which user, and where it is by now, and at
    which worker of its proxy. `works` counts the pods that got it, `there` is whether one works on it, or has it in its
    queue."""

    client: int
    number: int
    arrived: int
    user: int
    pod: int = -1
    status: int = 0
    works: int = 0
    there: bool = False
    decision: Decision | None = None
    line: int = -1
    worker: int = 0


class Live(msgspec.Struct):
    """The whole. `events` are those to come, where it is put aside; else the loop has them."""

    now: int
    changed: int
    flown: int
    opened: int
    events: list[tuple[int, int, int, int]]
    clients: list[ClientNow]
    pods: list[PodNow]
    flights: dict[int, Flight]
    lines: dict[int, Line]
    alone: dict[int, Flight]
    """What pods work on and nobody waits for: copies, and requests that were given up; by request and visit."""
    closing: dict[int, Connected]
    """Connections that are closed and not yet forgotten."""
    met: dict[int, int]
    """Which pod a user of clients with several met last."""
    outcomes: dict[str, int]
    """How requests ended, as clients see it, and how often."""


class Saved(msgspec.Struct, frozen=True):
    """A simulation put aside. `proxies` has the state of each worker of each proxy, and how many decisions it made;
    `node` is what balancers of connections remember. `decisions` and `copies` are those of flights."""

    format: int
    seed: int
    clients: tuple[str, ...]
    pods: tuple[str, ...]
    live: Live
    proxies: tuple[tuple[State, int], ...]
    node: State
    decisions: dict[int, dict[str, Any]]
    copies: dict[int, dict[str, Any]]


def laid_aside(flights: Mapping[int, Flight]) -> tuple[dict[int, Flight], dict[int, dict[str, Any]]]:
    """Flights without their decisions, and these as plain JSON values: a proxy may send what no client could."""
    decisions = {number: one.decision for number, one in flights.items()}
    return (
        {number: replace(one, decision=None) for number, one in flights.items()},
        {number: msgspec.to_builtins(one) for number, one in decisions.items() if one is not None},
    )


def taken_up(flights: Mapping[int, Flight], decisions: Mapping[int, dict[str, Any]]) -> None:
    """Give flights their decisions back."""
    for number, fields in decisions.items():
        plain = {name: value for name, value in fields.items() if name not in ("request", "mirrors")}
        copies = tuple(
            Copy(one["cluster"], msgspec.convert(one["endpoint"], Endpoint), as_it_was(one["request"]))
            for one in fields["mirrors"]
        )
        decision = msgspec.convert({**plain, "request": _NO_REQUEST}, Decision)
        flights[number].decision = replace(decision, request=as_it_was(fields["request"]), mirrors=copies)


_NO_REQUEST: Final = {"method": "GET", "authority": "none", "path": "/"}
