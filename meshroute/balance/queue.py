"""Turns by weights that move: with the requests in flight, or with an endpoint's age.

Source    spec/balance.md LR-2, SLOW-1, SLOW-2; envoyproxy/envoy: source/extensions/load_balancing_policies/
          {least_request,common}
Inputs    the state: its queue for this list of endpoints, or nothing, where the queue is to be made as it was at the
          last refresh.
Exactness an endpoint's weight is read when it goes back into the queue, after its turn was taken and before its request
          counts as active; until its next turn it stays as it was read. IEEE doubles throughout.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from heapq import heapify
from math import isnan
from typing import Final, TypeAlias

from meshroute.balance.picker import Ask, Members, Odds, Picker, certain, proportional
from meshroute.balance.schedule import begun
from meshroute.names import EndpointKey
from meshroute.state import Effect, Entry, Queued, Requeued, State, TurnTaken
from meshroute.table import SlowStart

Weigh: TypeAlias = Callable[[int, Mapping[EndpointKey, int]], float]
"""The weight of endpoint `number` with these requests in flight, however long it has been there."""


class Queue:
    """A picker by earliest deadline, the deadlines being in the state."""

    turn: Final = None
    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, name: str, members: Members, weigh: Weigh, ramp: Ramp | None = None) -> None:
        self.name: Final = name
        self._members: Final = members
        self._weigh: Final = weigh
        self._ramp: Final = ramp

    def pick(self, ask: Ask) -> int:
        return self._entries(ask.state)[0][2]

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        source = self._members.source
        entries = self._entries(ask.state)
        deadline, _, number = entries[0]
        place = len(entries) + ask.state.turns.get(source, 0)
        again = (
            Requeued(source, (deadline + 1.0 / self._weight_now(ask.state, number), place, number)),
            TurnTaken(source),
        )
        return again if source in ask.state.queues else (Queued(source, tuple(sorted(entries))), *again)

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        """In the long run everybody has been there long enough; requests in flight stay what they are."""
        if not odds.long_run:
            return certain(self._entries(odds.state)[0][2], len(self._members.keys))
        active = odds.state.active_on(self._members.cluster)
        return proportional([Fraction(self._weigh(number, active)) for number in range(len(self._members.keys))])

    def how(self, ask: Ask) -> str:
        deadline, _, number = self._entries(ask.state)[0]
        return f"earliest deadline {deadline:.6g}, back in with weight {self._weight_now(ask.state, number):.6g}"

    def _weight_now(self, state: State, number: int) -> float:
        return self._weight(state, number, state.active_on(self._members.cluster), state.now)

    def _weight(self, state: State, number: int, active: Mapping[EndpointKey, int], now: int) -> float:
        weight = self._weigh(number, active)
        return weight if self._ramp is None else weight * self._ramp.factor(state, number, now)

    def _entries(self, state: State) -> Sequence[Entry]:
        """The queue, its first entry first."""
        members = self._members
        known = state.queues.get(members.source)
        if known is not None:
            return known
        last = state.refresh_of(members.cluster, members.priority)
        weights = [self._weight(state, number, last.active, last.at) for number in range(len(members.keys))]
        heap, _ = begun(weights, state.start_of(members.source, members.cluster))
        # Renumbered, so that the place of the next one follows from the count of turns.
        made = [(deadline, place, number) for place, (deadline, _, number) in enumerate(sorted(heap, key=_by_place))]
        heapify(made)
        return made


def _by_place(entry: Entry) -> int:
    return entry[1]


class Ramp:
    """How a slow start scales weights. Raises nothing: SlowStart is valid by construction."""

    def __init__(self, slow: SlowStart, members: Members) -> None:
        self._window: Final = slow.window
        self._power: Final = 1.0 if isnan(slow.aggression) or slow.aggression <= 0 else 1.0 / slow.aggression
        self._least: Final = slow.minimum / 100.0
        self._members: Final = members

    def factor(self, state: State, number: int, now: int) -> float:
        """What the weight of an endpoint is multiplied with at a time; 1 where its slow start is over."""
        members = self._members
        if not members.healthy[number]:
            return 1.0
        age = now - state.joined.get(members.cluster, {}).get(members.keys[number], 0)
        if age >= self._window:
            return 1.0
        share = max(1, age) / self._window
        return max(share if self._power == 1.0 else share**self._power, self._least)

    def on(self, state: State) -> bool:
        """Whether a newcomer was within its window when the cluster last changed: then there is a queue."""
        last = state.refresh_of(self._members.cluster, self._members.priority)
        # Who came after that came elsewhere in the cluster: this priority has not changed since.
        came = (at for at in state.joined.get(self._members.cluster, {}).values() if at <= last.at)
        return last.at - max(0, max(came, default=0)) <= self._window


class Ramping:
    """A picker that gives way to a queue for as long as somebody is in a slow start."""

    turn: Final = None
    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, steady: Picker, queue: Queue, ramp: Ramp) -> None:
        self.name: Final = steady.name
        self._steady: Final = steady
        self._queue: Final = queue
        self._ramp: Final = ramp

    def pick(self, ask: Ask) -> int:
        return self._now(ask.state).pick(ask)

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        now = self._now(ask.state)
        return now.turn if now.turn is not None else now.turned(ask)

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        return (self._steady if odds.long_run else self._now(odds.state)).chances(odds)

    def how(self, ask: Ask) -> str:
        return self._now(ask.state).how(ask)

    def _now(self, state: State) -> Picker:
        return self._queue if self._ramp.on(state) else self._steady


def ramping(steady: Picker, name: str, members: Members, weigh: Weigh, slow: SlowStart | None) -> Picker:
    """The picker, with its slow start if it has one and somebody to compare a newcomer with."""
    if slow is None or len(members.keys) < 2:
        return steady
    ramp = Ramp(slow, members)
    return Ramping(steady, Queue(name, members, weigh, ramp), ramp)
