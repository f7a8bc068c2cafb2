"""Does narrowing pay? The index beside the plain scan of compiled conditions, from few routes to many."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from meshroute import Request
from meshroute.match.index import RouteIndex
from meshroute.match.scan import first_match
from meshroute.table import Exact, Prefix, Respond, Route, RouteMatch

SIZES = (4, 5, 100, 1_000, 10_000)


def routes(size: int) -> list[Route]:
    """Prefixes and exact paths in turn; the request meets the last of them."""
    return [
        Route(RouteMatch(Prefix(f"/api/{number}/") if number % 2 else Exact(f"/page/{number}")), Respond(200))
        for number in range(size)
    ]


def request(size: int) -> Request:
    last = size - 1
    return Request("GET", "h", f"/api/{last}/x" if last % 2 else f"/page/{last}")


@pytest.mark.parametrize("size", SIZES)
def test_index(benchmark: BenchmarkFixture, size: int) -> None:
    """What routers use."""
    index, asked = RouteIndex(routes(size)), request(size)
    assert benchmark(index.first, asked) == size - 1


@pytest.mark.parametrize("size", SIZES[:4])
def test_scan(benchmark: BenchmarkFixture, size: int) -> None:
    """The definition, which compiles each condition as it goes."""
    table, asked = routes(size), request(size)
    assert benchmark(first_match, table, asked) == size - 1
