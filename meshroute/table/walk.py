"""Walks through tables: what there is, in order, and nothing about what it means.

Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from meshroute.table.route import Choice, ExactMap, Matcher, Ordered, PrefixMap, Route, VirtualHost


def matchers_in(matcher: Matcher) -> Iterator[Matcher]:
    """A matcher and all that it can lead to."""
    yield matcher
    below: list[Matcher] = []
    match matcher:
        case ExactMap(_, table, otherwise) | PrefixMap(_, table, otherwise):
            below = [*table.values(), *([otherwise] if otherwise is not None else [])]
        case Ordered(cases, otherwise):
            below = [*(led for _, led in cases), *([otherwise] if otherwise is not None else [])]
        case Choice():
            pass
        case _:
            assert_never(matcher)
    for one in below:
        yield from matchers_in(one)


def routes_of(host: VirtualHost) -> Iterator[Route]:
    """All routes of a virtual host, those that its matcher leads to among them."""
    yield from host.routes
    for matcher in matchers_in(host.matcher) if host.matcher is not None else ():
        if isinstance(matcher, Choice):
            yield from matcher.routes
