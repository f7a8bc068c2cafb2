"""Does a pick cost more where there are more hosts? Every policy, from ten hosts to ten thousand.

Maglev, random, least request and unweighted round robin should not care; for a ring and weighted round robin ten times
as many hosts are a few steps more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from meshroute import Draws, State
from meshroute.balance import Ask, of_cluster
from meshroute.balance.schedule import Schedule
from meshroute.draws import PRIORITY, host_choice
from meshroute.names import ClusterName
from meshroute.table import Cluster, Endpoint, LeastRequest, Maglev, Policy, RandomChoice, RingHash, RoundRobin

NAME = ClusterName("c")
SIZES = (10, 100, 1_000, 10_000)
POLICIES: Mapping[str, tuple[Policy, bool]] = {
    "maglev": (Maglev(), False),
    "random": (RandomChoice(), False),
    "least-request": (LeastRequest(), False),
    "round-robin": (RoundRobin(), False),
    "round-robin-weighted": (RoundRobin(), True),
    "ring": (RingHash(), False),
}
STEP: Final = 0x9E37_79B9_7F4A_7C15
"""Times 0, 1, 2, ... modulo 2^64 this meets every part of a ring or table, in no order that a processor could learn."""
ASKED: Final = 4096


def weighted(size: int) -> list[int]:
    """Each of 1 to 7, about as often as the others."""
    return [1 + number * 5 % 7 for number in range(size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", POLICIES)
def test_pick(benchmark: BenchmarkFixture, policy: str, size: int) -> None:
    """4,096 picks, with different keys and draws, the turns going on. What is asked is made before."""
    benchmark.group = f"4096 picks, {policy}"
    setting, unequal = POLICIES[policy]
    weights = weighted(size) if unequal else [1] * size
    endpoints = tuple(Endpoint(f"10.0.{n >> 8}.{n & 255}", 8080, weight=weights[n]) for n in range(size))
    pool = of_cluster(Cluster(NAME, setting, endpoints)).only
    assert pool is not None
    assert pool.picker is not None
    pick, keys = pool.picker.pick, [number * STEP % 2**64 for number in range(ASKED)]
    draws = [Draws.of(given={PRIORITY: key, host_choice(0): key, host_choice(1): key >> 7}) for key in keys]
    turns = count()

    def asked() -> tuple[tuple[list[Ask]], dict[str, object]]:
        first = next(turns) * ASKED
        states = [State({NAME: first + number}, turns={NAME: first + number}) for number in range(ASKED)]
        return ([Ask(draws[number], states[number], keys[number]) for number in range(ASKED)],), {}

    def picks(some: list[Ask]) -> int:
        return sum(pick(one) for one in some)

    pedantic: Callable[..., int] = benchmark.pedantic  # which has no types of its own
    assert pedantic(picks, setup=asked, rounds=40, warmup_rounds=2) >= 0


@pytest.mark.parametrize("size", SIZES)
def test_begin_a_schedule(benchmark: BenchmarkFixture, size: int) -> None:
    """What weighted round robin pays once for each list of weights and each start."""
    benchmark.group = "begin a weighted schedule"
    weights = [float(weight) for weight in weighted(size)]
    assert benchmark(lambda: Schedule(weights, 123_456_789).pick(0)) >= 0
