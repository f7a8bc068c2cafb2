"""Where a simulation stands: everything that moves, as plain records.

Inputs    made by the loop; nothing else changes them.
Exactness written as JSON and read again they are equal, so a simulation can be put aside and taken up.
Errors    none. None of them refers back to itself, so nobody has to look for cycles (`gc=False`).
"""

from __future__ import annotations

import msgspec

from meshroute.connection import Connected
from meshroute.decision import Decision
from meshroute.state import State


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
    """One open connection, the pod behind it, and how many requests it has had and has now."""

    opened: int
    pod: int
    connected: Connected
    had: int = 0
    now: int = 0
    broken: bool = False


class ClientNow(msgspec.Struct, gc=False):
    """One client: its next request, since when it has its rate, its connections and who waits for one."""

    made: int = 0
    generation: int = 0
    rate_since: int = 0
    made_since: int = 0
    in_flight: int = 0
    lines: list[int] = []
    waiting: list[int] = []


class Flight(msgspec.Struct, gc=False):
    """One request on its way: who made it (which of its requests), when, for which user, and where it is by
    now. `works` counts the pods that worked on it, `there` is whether one does, or has it in its queue."""

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
    met: dict[int, int]
    """Which pod a user met last."""
    outcomes: dict[str, int]
    """How requests ended, as clients see it, and how often."""


class Saved(msgspec.Struct, frozen=True):
    """A simulation put aside. `proxies` has each proxy's state and how many decisions it made; `node` is what balancers
    of connections remember."""

    format: int
    seed: int
    clients: tuple[str, ...]
    pods: tuple[str, ...]
    live: Live
    proxies: tuple[tuple[State, int], ...]
    node: State
