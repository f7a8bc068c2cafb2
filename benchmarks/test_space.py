"""What sets of texts cost: making them, and asking pairs of them, as stretches and as automata.

Pairs are what the analysis of a table asks most, so each kind of pair is asked both ways where there are two. The
routes are those of a table that has grown: a few services, versions, paths with a part that varies.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from meshroute.analysis.space import Language, TooManyStates, automaton

SERVICES = ("users", "orders", "carts", "search", "img", "billing", "login", "static", "events", "reports")
SHAPES = (
    "/api/v{number}/{service}/[^/]+",
    "/{service}/v{number}/[0-9]+(/.*)?",
    "/api/(v{number}|{service})/.*",
    "/{service}/[a-z-]+/v[0-9]+/{number}",
)
SIZES = (200, 1_000)
MEETING = 3 * 50 + 50 * (10 + 5 - 1) + 2 * 50 * 10
"""Pairs of the patterns with a text in common: each with itself; two of the third shape with one version or service;
one of the first and one of the third with one version."""


def regexes() -> list[str]:
    """200 patterns of paths, no two the same."""
    return [shape.format(service=service, number=at) for shape in SHAPES for service in SERVICES for at in range(1, 6)]


def prefixes(size: int) -> list[Language]:
    """Prefixes and exact paths in turn."""
    return [
        Language.exact(f"/api/{SERVICES[at % 10]}/{at // 10}") if at % 2 else Language.prefix(f"/v{at // 100}/{at}/")
        for at in range(size)
    ]


def met(sets: list[Language]) -> int:
    return sum(one.meets(other) for one in sets for other in sets)


def test_make_200_patterns(benchmark: BenchmarkFixture) -> None:
    """From their texts; RE2's own refusals are kept from the first round on."""
    made = benchmark(lambda: list(map(Language.pattern, regexes())))
    assert len({one.shortest() for one in made}) == 3 * 50 + 5  # of the third shape, one for each version


def test_pairs_of_patterns(benchmark: BenchmarkFixture) -> None:
    """40,000 questions whether two have a text in common; most are told by their prefixes."""
    assert benchmark(met, list(map(Language.pattern, regexes()))) == MEETING


def test_intersections_of_patterns(benchmark: BenchmarkFixture) -> None:
    """40,000 intersections, made."""
    made = list(map(Language.pattern, regexes()))
    assert benchmark(lambda: sum(not (one & other).is_empty for one in made for other in made)) == MEETING


@pytest.mark.parametrize("size", SIZES)
def test_pairs_of_simple_sets(benchmark: BenchmarkFixture, size: int) -> None:
    """As stretches: 40,000 and 1,000,000 questions."""
    assert benchmark(met, prefixes(size)) == size


def test_pairs_of_simple_sets_as_automata(benchmark: BenchmarkFixture) -> None:
    """The plain way, 10,000 questions."""
    made = [one._plain() for one in prefixes(100)]
    assert benchmark(lambda: sum(automaton.meets(one, other) for one in made for other in made)) == 100


@pytest.mark.parametrize("size", SIZES)
def test_what_a_pattern_leaves_of_a_table(benchmark: BenchmarkFixture, size: int) -> None:
    """One pattern without the union of all the others."""
    rest, pattern = Language.union(prefixes(size)), Language.pattern("/api/(users|orders)/.*")
    assert benchmark(lambda: (pattern - rest).shortest()) == "/api/users/"


def one_by_one(some: list[Language]) -> Language:
    found = Language.nothing()
    for one in some:
        found |= one
    return found


@pytest.mark.parametrize("how", [Language.union, one_by_one], ids=["at-once", "one-by-one"])
def test_union(benchmark: BenchmarkFixture, how: Callable[[list[Language]], Language]) -> None:
    """Of 100 patterns."""
    made = list(map(Language.pattern, regexes()[::2]))
    assert benchmark(how, made).shortest() == "/api/v1/"


@pytest.mark.parametrize("regex", ["(a|b)*a(a|b){12}", ".*a.{900}", "(a?){900}(b?){900}"])
def test_giving_up(benchmark: BenchmarkFixture, regex: str) -> None:
    """How long it takes to find out that a pattern is too large."""

    def refused() -> bool:
        try:
            Language.pattern(regex)
        except TooManyStates:
            return True
        return False

    assert benchmark(refused)
