"""Which routes of a virtual host requests reach, and what hides the others.

Source    spec/lint.md LINT-1 to LINT-3; requests of a route are tried on the engine, and only the
          routes that took one are taken away from what is left
Inputs    the routes of one virtual host, in order. Exactness: `Hidden` means that no request reaches the route;
          `Reached` has a request that the engine leads there; what is neither is `Undecided`.
Errors    none: what grows past its bound is `Undecided`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.analysis.space import Language, TooManyStates
from meshroute.analysis.space.cubes import Cube, One, Part
from meshroute.analysis.space.requests import AUTHORITY, authorities, conditions, samples, whole
from meshroute.analysis.space.search import Box, Region, Space, TooLong
from meshroute.draws import Draws
from meshroute.match.index import RouteIndex
from meshroute.request import Request
from meshroute.table import Route


class Reached(msgspec.Struct, frozen=True):
    """A request that comes to the route. `past` is the earlier route that takes the plainest request that the route
    asks for; None where that comes to the route itself."""

    request: Request
    draws: Draws
    past: int | None = None


class Hidden(msgspec.Struct, frozen=True):
    """No request comes to the route: these earlier ones take all that it could take. Without any, it asks for what
    cannot be."""

    by: tuple[int, ...]


class Undecided(msgspec.Struct, frozen=True):
    """Whether a request comes to the route was too much to find out."""

    reason: str


Verdict: TypeAlias = Reached | Hidden | Undecided

_MOST_ROUNDS: Final = 200


class Reach:
    """The routes of a virtual host, ready to be asked about one by one.

    `domains` are the virtual host's: authorities that lead to it. Requests are made for one of them and for `port`
    where a route does not say otherwise.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        domains: Sequence[str],
        port: int,
        scheme: str = "http",
        ignore_parameters: bool = False,
    ) -> None:
        self._routes: Final = tuple(routes)
        self._client: Final = (_authority(domains), port, scheme)
        self._index: Final = RouteIndex(routes, ignore_parameters)
        self._boxes: Final[dict[int, Box]] = {}
        self._authorities: Language | None = None
        self._domains: Final = tuple(domains)
        self._space: Final = Space(self._whole)

    def verdict(self, number: int) -> Verdict:
        """Whether requests come to the route of this number."""
        try:
            return self._verdict(number)
        except TooManyStates:
            return Undecided("a pattern is too large")
        except TooLong:
            return Undecided("too many conditions play together")

    def swallows(self, number: int, other: int) -> bool:
        """Whether another route takes requests that this one does not ask for."""
        try:
            region = self._space.inside({}, self._box(other))
            return any(self._space.left(one, [(number, self._box(number))]) is not None for one in region)
        except (TooManyStates, TooLong):
            return False

    def _whole(self, part: Part) -> Cube:
        """Everything that a part can be, of requests that come to the virtual host."""
        return One(False, self._names()) if part == AUTHORITY else whole(part)

    def _names(self) -> Language:
        """The authorities that lead to the virtual host."""
        if self._authorities is None:
            self._authorities = authorities(self._domains)
        return self._authorities

    def _box(self, number: int) -> Box:
        box = self._boxes.get(number)
        if box is None:
            box = self._boxes[number] = conditions(self._routes[number].match)
        return box

    def _verdict(self, number: int) -> Verdict:
        past: int | None = None
        for plain in self._space.joined(self._box(number)):  # most routes are reached by just what they ask for
            shown = next(samples(plain, *self._client), None)
            if shown is None or (AUTHORITY in plain and shown[0].authority not in self._names()):
                continue
            if self._index.first(*shown) == number:
                return Reached(*shown)
        regions = self._space.inside({}, self._box(number))
        before: dict[int, Box] = {}
        for turn in range(_MOST_ROUNDS):
            region = self._gap(regions, before)
            if region is None:
                return Hidden(self._fewest(regions, sorted(before)))
            taken: list[int] = []
            for request, draws in samples(region, *self._client):
                first = self._index.first(request, draws)
                if first == number:
                    return Reached(request, draws, past)
                if first is not None and first < number:
                    taken.append(first)
            if turn == 0 and taken:
                past = taken[0]
            fresh = [one for one in taken if one not in before]
            if not fresh:
                fresh = [one for one in range(number) if one not in before]
                if not fresh:
                    return Undecided("no request was found, though nothing takes them all")
            for one in fresh:
                before[one] = self._box(one)
        return Undecided("too many rules play together")

    def _gap(self, regions: Sequence[Region], before: dict[int, Box]) -> Region | None:
        """A region that none of these takes."""
        boxes = sorted(before.items())
        return next((found for one in regions if (found := self._space.left(one, boxes)) is not None), None)

    def _fewest(self, regions: Sequence[Region], numbers: Sequence[int]) -> tuple[int, ...]:
        """Of routes that hide everything, some that do, none of which can be left out."""
        needed = list(numbers)
        for one in reversed(numbers):
            without = {other: self._boxes[other] for other in needed if other != one}
            try:
                if self._gap(regions, without) is None:
                    needed.remove(one)
            except (TooManyStates, TooLong):
                continue
        return tuple(needed)


def _authority(domains: Sequence[str]) -> str:
    """A name that leads to the virtual host, as far as its own domains say."""
    for domain in domains:
        if "*" not in domain:
            return domain
    domain = domains[0]
    return "any.example" if domain == "*" else domain.replace("*", "any")
