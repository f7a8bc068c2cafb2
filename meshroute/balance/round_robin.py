"""Round robin: endpoints in turn, or in proportion to their weights where these differ.

Source    spec/balance.md RR-1, RR-2, SLOW-1; envoyproxy/envoy: source/extensions/load_balancing_policies/round_robin
Inputs    what the balancer drew when it was made, and how many turns its list of endpoints has had since.
Exactness equal weights: endpoint number `(start + cursor) mod n` of the usable ones, in the order given. Unequal
          weights: pick number `turns` of the schedule from this start.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from meshroute.balance.picker import Ask, Members, Odds, Picker, certain, proportional
from meshroute.balance.queue import ramping
from meshroute.balance.schedule import Schedules
from meshroute.hashing import MASK64
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import CursorMoved, Effect, Source, State, TurnTaken
from meshroute.table import SlowStart


class _Turns:
    name: Final = "round robin"
    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, members: Members) -> None:
        self._source: Final = members.source
        self._cluster: Final = members.cluster
        self._size: Final = len(members.keys)
        self.turn: Final = (CursorMoved(members.source),)

    def pick(self, ask: Ask) -> int:
        return self._count(ask.state) % self._size

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        return self.turn

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        if odds.long_run:
            return [Fraction(1, self._size)] * self._size
        return certain(self._count(odds.state) % self._size, self._size)

    def how(self, ask: Ask) -> str:
        return f"turn {self._count(ask.state)} modulo {self._size}"

    def _count(self, state: State) -> int:
        return state.start_of(self._source, self._cluster) + state.cursors.get(self._source, 0) & MASK64


class WeightedTurns:
    """A schedule of fixed weights as a picker; localities take turns by it too."""

    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, name: str, source: Source, cluster: ClusterName, weights: Sequence[float]) -> None:
        self.name: Final = name
        self._source: Final = source
        self._cluster: Final = cluster
        self._schedules: Final = Schedules(weights)
        self.turn: Final = (TurnTaken(source),)

    def pick(self, ask: Ask) -> int:
        return self._next(ask.state)

    def turned(self, ask: Ask) -> tuple[Effect, ...]:
        return self.turn

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        weights = self._schedules.weights
        if odds.long_run:
            return proportional([Fraction(weight) for weight in weights])
        return certain(self._next(odds.state), len(weights))

    def how(self, ask: Ask) -> str:
        weights = ", ".join(f"{weight:g}" for weight in self._schedules.weights)
        number, start = ask.state.turns.get(self._source, 0), ask.state.start_of(self._source, self._cluster)
        return f"pick {number} of the schedule of weights {weights} from start {start}"

    def _next(self, state: State) -> int:
        return self._schedules.pick(state.start_of(self._source, self._cluster), state.turns.get(self._source, 0))


def prepare(members: Members, slow: SlowStart | None) -> Picker:
    """A picker over at least one endpoint."""
    steady: Picker
    if len(set(members.weights)) == 1:
        steady = _Turns(members)
    else:
        steady = WeightedTurns("weighted round robin", members.source, members.cluster, members.weights)

    def weigh(number: int, active: Mapping[EndpointKey, int]) -> float:
        return float(members.weights[number])

    return ramping(steady, "round robin in a slow start", members, weigh, slow)
