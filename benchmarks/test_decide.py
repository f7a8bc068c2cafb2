"""What does a decision cost? The nginx example, with and without the reason, beside a calibration loop.

Figures are for comparing within one run: machines and neighbours differ. `make bench` prints them.
"""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import meshroute as mr

CANARY = Path(__file__).parents[1] / "docs/examples/canary"
ROUTER = mr.load(CANARY).router()
PLAIN = mr.Request.of("GET", "http://nginx-service/cart?id=7")
COOKIE = mr.Request.of("GET", "http://nginx-service/", {"cookie": "session=0123456789abcdef; theme=dark; debug=1"})
STATE = mr.State()
DRAWS = mr.Draws.of(seed=1, ordinal=2)


def test_calibration(benchmark: BenchmarkFixture) -> None:
    """A loop of 100 dictionary look-ups: divide by it to compare machines."""
    table = {f"key-{number}": number for number in range(100)}

    def look_up() -> int:
        total = 0
        for key in table:
            total += table[key]
        return total

    assert benchmark(look_up) == 4950


def test_decide_the_split(benchmark: BenchmarkFixture) -> None:
    """No cookie: one rule refused, a weighted cluster, least request."""
    assert benchmark(ROUTER.decide, PLAIN, STATE, DRAWS).subset in ("v1", "v2")


def test_decide_the_debug_cookie(benchmark: BenchmarkFixture) -> None:
    """The cookie's pattern on 47 bytes that match."""
    assert benchmark(ROUTER.decide, COOKIE, STATE, DRAWS).subset == "v2"


def test_explain_the_split(benchmark: BenchmarkFixture) -> None:
    """The same with every step."""
    assert benchmark(ROUTER.explain, PLAIN, STATE, DRAWS).trace


def test_session_decide_and_finish(benchmark: BenchmarkFixture) -> None:
    """Folded in place, a request begun and ended."""
    session = mr.Session(ROUTER)
    benchmark(lambda: session.finish(session.decide(PLAIN)))
    assert session.state.active == {}


def test_make_a_request(benchmark: BenchmarkFixture) -> None:
    """From a URL and three headers; kept out of deciding."""
    headers = {"cookie": "a=b", "x-user": "u", "accept": "*/*"}
    assert benchmark(mr.Request.of, "GET", "http://nginx-service/cart?id=7", headers).port == 80
