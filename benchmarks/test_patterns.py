"""What one full match costs: FullRegex beside google-re2 and the standard library's re.

The cookie pattern is the one that routing by cookie is usually written with, the other a typical API path.
`FullRegex` and google-re2 see bytes; `re` is here for scale and would answer differently on hostile input.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import re2
from pytest_benchmark.fixture import BenchmarkFixture

from meshroute.match.re2 import compile_full

COOKIE = r"^(.*?;)?\s*(debug=1)\s*(;.*)?$"
API = r"/api/v[0-9]+/users/[^/]+/orders"
SUBJECTS = {
    "cookie-match": (COOKIE, "session=0123456789abcdef; theme=dark; debug=1; x=y", True),
    "cookie-near-miss": (COOKIE, "session=0123456789abcdef; theme=dark; debug=10; x=", False),
    "cookie-no-match": (COOKIE, "session=0123456789abcdef; theme=dark; tracing=0; x", False),
    "cookie-4k-match": (COOKIE, "k=0123456789abc; " * 240 + "debug=1", True),
    "cookie-4k-no-match": (COOKIE, "k=0123456789abc; " * 240 + "debug=0", False),
    "api-match": (API, "/api/v12/users/alice.smith/orders", True),
    "api-fails-first": (API, "xapi/v12/users/alice.smith/orders", False),
    "api-fails-last": (API, "/api/v12/users/alice.smith/orderz", False),
}
HOSTILE = {"(a+)+$": "a", "(a|a)*b": "a", "(.*)*x": "y", "(a*)*b": "a", "(.*a){20}": "a", r"\s*\s*\s*\s*x": " "}


def ours(pattern: str) -> Callable[[str], object]:
    return compile_full(pattern).matches_all_of


def google_re2(pattern: str) -> Callable[[str], object]:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    compiled = re2.compile(pattern.encode("latin-1"), options)
    return lambda subject: compiled.fullmatch(subject.encode("latin-1"))


def standard_re(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("engine", [ours, google_re2, standard_re])
def test_match(benchmark: BenchmarkFixture, name: str, engine: Callable[[str], Callable[[str], object]]) -> None:
    pattern, subject, expected = SUBJECTS[name]
    ask = engine(pattern)
    assert bool(benchmark(ask, subject)) is expected


@pytest.mark.parametrize("pattern", [COOKIE, API])
def test_compile(benchmark: BenchmarkFixture, pattern: str) -> None:
    assert benchmark(compile_full, pattern).pattern == pattern


@pytest.mark.parametrize("size", [1_024, 4_096, 16_384, 65_536])
@pytest.mark.parametrize("pattern", HOSTILE)
def test_hostile_growth(benchmark: BenchmarkFixture, pattern: str, size: int) -> None:
    ask = ours(pattern)
    # The newline fails every one of them at the end, after all has been tried; `x` and `b` get past the prefilter.
    subject = HOSTILE[pattern] * (size - 3) + "xb\n"
    assert not benchmark(ask, subject)
