"""Is anything left of a set of requests when others are taken away?

Source    Davis, Logemann and Loveland's search, with cubes in the place of truth values
Inputs    a region and the boxes to take away. Exactness: `left` answers None only where nothing is left; what it
          answers is left.
Errors    TooLong past a number of steps, TooManyStates where a language grows past its bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from meshroute.analysis.space.cubes import Asked, Cube, Draw, Lines, One, Part

Region: TypeAlias = Mapping[Part, Cube]
"""What each part may be; parts that are not in it may be anything that there is."""
Box: TypeAlias = tuple[Asked, ...]
"""Conditions that must all hold."""

STEPS: Final = 50_000


class TooLong(Exception):
    """The search took more steps than it was given."""


def met(one: Cube, other: Cube) -> Cube:
    """What is in both of two cubes of one part."""
    if isinstance(one, One) and isinstance(other, One):
        return one.meet(other)
    if isinstance(one, Lines) and isinstance(other, Lines):
        return one.meet(other)
    assert isinstance(one, Draw)
    assert isinstance(other, Draw)
    return one.meet(other)


class Space:
    """All requests there are, part by part; regions of it, and what is left of them."""

    def __init__(self, whole: Callable[[Part], Cube], steps: int = STEPS) -> None:
        self._whole: Final = whole
        self._given: Final = steps
        self._steps = 0

    def joined(self, box: Box) -> list[Region]:
        """What a box takes, as regions that may have more in them than there is: for samples."""
        found: list[Region] = [{}]
        for condition in box:
            found = [
                {**before, condition.part: met(before[condition.part], cube) if condition.part in before else cube}
                for before in found
                for cube in condition.holds
            ]
        return found

    def inside(self, region: Region, box: Box) -> list[Region]:
        """What of a region a box takes, as regions."""
        found = [region]
        for condition in box:
            found = [one for before in found for one in self._narrowed(before, condition.part, condition.holds)]
        return found

    def left(self, region: Region, boxes: Sequence[tuple[int, Box]]) -> Region | None:
        """A region of what no box takes, or None where nothing is left. Boxes are numbered."""
        self._steps = self._given
        return self._search(region, list(boxes))

    def _search(self, region: Region, boxes: Sequence[tuple[int, Box]]) -> Region | None:
        while True:
            open_: list[tuple[int, Box]] = []
            for number, box in boxes:
                asked = self._open(region, box)
                if asked is None:
                    continue
                if not asked:
                    return None
                open_.append((number, asked))
            if not open_:
                return region
            number, asked = min(open_, key=lambda one: len(one[1]))
            boxes = [one for one in open_ if one[0] != number]
            if len(asked) > 1:
                break
            ways = self._narrowed(region, asked[0].part, asked[0].fails)
            if len(ways) != 1:
                return next((one for way in ways if (one := self._search(way, boxes)) is not None), None)
            region = ways[0]
        # One of the conditions fails; those before it may be taken to hold.
        for condition in asked:
            for way in self._narrowed(region, condition.part, condition.fails):
                found = self._search(way, boxes)
                if found is not None:
                    return found
            if len(condition.holds) == 1:
                rest = self._narrowed(region, condition.part, condition.holds)
                if not rest:
                    break
                region = rest[0]
        return None

    def _open(self, region: Region, box: Box) -> Box | None:
        """The conditions of a box that may hold and may fail; None where one cannot hold."""
        asked = []
        for condition in box:
            self._steps -= 1
            if self._steps < 0:
                raise TooLong
            if not self._narrowed(region, condition.part, condition.holds):
                return None
            if self._narrowed(region, condition.part, condition.fails):
                asked.append(condition)
        return tuple(asked)

    def _narrowed(self, region: Region, part: Part, cubes: Sequence[Cube]) -> list[Region]:
        before = region[part] if part in region else self._whole(part)
        cubes = [met(before, cube) for cube in cubes]
        return [{**region, part: cube} for cube in cubes if not cube.empty]
