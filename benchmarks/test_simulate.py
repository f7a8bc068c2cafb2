"""How many requests does a simulation make in a second, and how much of that is its loop?

Each figure is for 10,000 requests of a simulation that is under way: twice as many went before. The same requests
through a bare `Session` stand beside it, and a calibration loop, which is in `test_decide.py` too. What is above the
session is the loop: events, draws, arrivals, counting.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import meshroute as mr
from meshroute import simulate
from meshroute.names import ClusterName
from meshroute.simulate import SECOND, Asking, Clients, PerConnectionRandom, Scenario, Simulation, Straight, Target
from meshroute.table import Cluster, Endpoint, RoundRobin

REQUESTS = 10_000
WEB = ClusterName("web")
URL = "http://nginx-service/"
STORIES = Path(__file__).parents[1] / "docs/examples/stories"


def pods(count: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.8.{n >> 8}.{n & 255}", 80, f"default/web-{n:04}") for n in range(count))


def router(count: int) -> mr.Router:
    """The article's own manifests for three pods, and a bare cluster for more."""
    if count == 3:
        return mr.load(STORIES / "article/three.yaml", STORIES / "policies/round-robin.yaml").router()
    return mr.Router(mr.RoutingTable((), (Cluster(WEB, RoundRobin(), pods(count)),), otherwise=WEB))


def scenario(target: Target, clients: int, rate: float, proxy: str = "") -> Scenario:
    """As long as it takes to make about three times so many requests."""
    until = int(3 * REQUESTS / (clients * rate) * SECOND)
    asks = (Asking(URL),)
    return Scenario((Clients("client", rate, asks, clients, connections=1, proxy=proxy),), target, until, bucket=until)


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "article, sidecars": lambda: scenario(simulate.Through(router(3)), 3, 10.0),
    "article, connections": lambda: scenario(Straight(PerConnectionRandom(pods(3))), 3, 10.0),
    "1,000 pods, 10,000 clients, one gateway": lambda: scenario(simulate.Through(router(1000)), 10_000, 5.0, "gateway"),
    "1,000 pods, 10,000 clients, sidecars": lambda: scenario(simulate.Through(router(1000)), 10_000, 5.0),
    "1,000 pods, 10,000 clients, connections": lambda: scenario(Straight(PerConnectionRandom(pods(1000))), 10_000, 5.0),
}


def test_calibration(benchmark: BenchmarkFixture) -> None:
    """A loop of 100 dictionary look-ups: divide by it to compare machines."""
    table = {f"key-{number}": number for number in range(100)}

    def look_up() -> int:
        total = 0
        for key in table:
            total += table[key]
        return total

    assert benchmark(look_up) == 4950


@pytest.mark.parametrize("name", SCENARIOS)
def test_simulate(benchmark: BenchmarkFixture, name: str) -> None:
    """The last third of it."""
    benchmark.group = "10,000 requests"
    world = SCENARIOS[name]()

    def fresh() -> tuple[tuple[Simulation], dict[str, object]]:
        return (Simulation(world).run(2 * world.until // 3),), {}

    def run(one: Simulation) -> int:
        before = one.live.flown
        return one.run().live.flown - before

    pedantic: Callable[..., int] = benchmark.pedantic  # which has no types of its own
    assert 0.9 * REQUESTS < pedantic(run, setup=fresh, rounds=7, warmup_rounds=1) < 1.1 * REQUESTS


@pytest.mark.parametrize(("count", "proxies"), [(3, 3), (1000, 10_000)])
def test_session_alone(benchmark: BenchmarkFixture, count: int, proxies: int) -> None:
    """As many decisions and ends, through as many sessions, and nothing else."""
    benchmark.group = "10,000 requests"
    one = router(count)
    sessions = [mr.Session(one, number) for number in range(proxies)]
    request = mr.Request.of("GET", URL)

    def send() -> int:
        for number in range(REQUESTS):
            session = sessions[number % proxies]
            session.finish(session.decide(request))
        return sessions[0].ordinal

    assert benchmark(send) > 0
