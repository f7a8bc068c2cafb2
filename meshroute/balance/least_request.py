"""Least request: the least busy of a few endpoints drawn at random, or turns by weight and load.

Source    spec/balance.md LR-1 to LR-3, SLOW-1; envoyproxy/envoy:
          source/extensions/load_balancing_policies/least_request
Inputs    requests in flight by endpoint; draws `host.0`, `host.1` and so on, one for each choice or for each tie.
Exactness equal weights: choices are drawn with replacement, each `draw mod n`; a later one wins only by strictly fewer
          requests. Unequal weights: a queue by earliest deadline, each weight divided by the requests in flight.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isnan
from typing import Final

from meshroute.balance.picker import Ask, Forgetful, Members, Odds, Picker, busy, modulo_chances, span_chance
from meshroute.balance.queue import Queue, Ramp, ramping
from meshroute.draws import host_choice
from meshroute.names import EndpointKey
from meshroute.table import LeastRequest


class _Choices(Forgetful):
    name: Final = "least request"
    # The next request meets other loads, and which ones goes by the picks before it.
    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, members: Members, choices: int) -> None:
        self._cluster: Final = members.cluster
        self._keys: Final = members.keys
        self._draws: Final = tuple(host_choice(number) for number in range(choices))

    def pick(self, ask: Ask) -> int:
        keys, size, draws = self._keys, len(self._keys), ask.draws
        best = draws[self._draws[0]] % size
        active = ask.state.active_on(self._cluster)
        if not active:  # all idle: every comparison is a tie, and a tie keeps the first choice
            return best
        fewest = active.get(keys[best], 0)
        for name in self._draws[1:]:
            drawn = draws[name] % size
            load = active.get(keys[drawn], 0)
            if load < fewest:
                best, fewest = drawn, load
        return best

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        """An endpoint wins with draw k if all draws before it are busier and none after it is less busy."""
        drawn = modulo_chances(len(self._keys))
        loads = busy(odds.state.active_on(self._cluster), self._keys)
        chance_of_load: dict[int, Fraction] = {}
        for load, chance in zip(loads, drawn, strict=True):
            chance_of_load[load] = chance_of_load.get(load, Fraction(0)) + chance
        wins: dict[int, Fraction] = {}
        for load, chance in chance_of_load.items():
            busier = sum((other for at, other in chance_of_load.items() if at > load), Fraction(0))
            later = len(self._draws) - 1
            wins[load] = sum((busier**k * (busier + chance) ** (later - k) for k in range(later + 1)), Fraction(0))
        return [chance * wins[load] for load, chance in zip(loads, drawn, strict=True)]

    def how(self, ask: Ask) -> str:
        drawn = [self._keys[ask.draws[name] % len(self._keys)] for name in self._draws]
        active = ask.state.active_on(self._cluster)
        return "drew " + ", ".join(f"{key} ({active.get(key, 0)} active)" for key in drawn)


class _FullScan(Forgetful):
    name: Final = "least request of all"
    remembers: Final = True
    draws_twice: Final = False

    def __init__(self, members: Members) -> None:
        self._cluster: Final = members.cluster
        self._keys: Final = members.keys

    def pick(self, ask: Ask) -> int:
        """The n-th endpoint with as few requests as the best before it takes over in one of n cases."""
        loads = busy(ask.state.active_on(self._cluster), self._keys)
        best, ties, drawn = 0, 1, 0
        for number in range(1, len(loads)):
            if loads[number] < loads[best]:
                best, ties = number, 1
            elif loads[number] == loads[best]:
                ties += 1
                if ask.draws[host_choice(drawn)] % ties == 0:
                    best = number
                drawn += 1
        return best

    def chances(self, odds: Odds) -> Sequence[Fraction]:
        loads = busy(odds.state.active_on(self._cluster), self._keys)
        fewest = min(loads)
        chances = [Fraction(0)] * len(loads)
        ties = 0
        for number, load in enumerate(loads):
            if load == fewest:
                ties += 1
                taken = span_chance(0, 1, ties)
                chances = [chance * (1 - taken) for chance in chances]
                chances[number] = taken
        return chances

    def how(self, ask: Ask) -> str:
        loads = busy(ask.state.active_on(self._cluster), self._keys)
        return f"{loads.count(min(loads))} of {len(loads)} endpoints have the fewest active requests, {min(loads)}"


def prepare(members: Members, policy: LeastRequest) -> Picker:
    """A picker over at least one endpoint."""
    bias = 1.0 if isnan(policy.bias) or policy.bias < 0 else policy.bias

    def weigh(number: int, active: Mapping[EndpointKey, int]) -> float:
        weight = float(members.weights[number])
        if bias == 0.0:
            return weight
        load = active.get(members.keys[number], 0) + 1
        return weight / load if bias == 1.0 else weight / load**bias

    if len(set(members.weights)) > 1:
        ramp = Ramp(policy.slow_start, members) if policy.slow_start is not None else None
        return Queue("weighted least request", members, weigh, ramp)
    steady: Picker = _FullScan(members) if policy.full_scan else _Choices(members, policy.choices)
    return ramping(steady, "least request in a slow start", members, weigh, policy.slow_start)
