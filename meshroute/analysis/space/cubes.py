"""What one part of a request may be: a text, lines of a header, a draw; met with what is asked of it.

Source    spec/match.md MATCH-1 to MATCH-24, read as sets
Inputs    languages. Exactness: a cube is a set; `meet` is its intersection, `empty` says whether nothing is in it.
Errors    TooManyStates where a language grows past its bound.

Conditions are unions of cubes, and so is what fails them. Parts are taken to be free of each other. Where they are not
(a cookie is a piece of a header line), that only makes the space larger than what clients can send: whoever is not
reached in it is not reached at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.analysis.space.language import ANY, Language


class One(msgspec.Struct, frozen=True, eq=False):
    """A part that is there once or, where `absent`, not at all: its text is one of `texts`."""

    absent: bool
    texts: Language

    def meet(self, other: One) -> One:
        """What is in both."""
        return One(self.absent and other.absent, self.texts & other.texts)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.absent and self.texts.is_empty

    def outside(self) -> One:
        """Everything else."""
        return One(not self.absent, ~self.texts)


class Lines(msgspec.Struct, frozen=True, eq=False):
    """A part that may be there several times: lines of a header, texts in a list.

    With `present`, it may be there: each text in `each`, and for each language of `some` a text in it. With `absent`,
    it may be missing.
    """

    absent: bool = True
    present: bool = True
    some: tuple[Language, ...] = ()
    each: Language = ANY

    def meet(self, other: Lines) -> Lines:
        """What is in both."""
        some = (*self.some, *(one for one in other.some if all(one is not mine for mine in self.some)))
        return Lines(
            self.absent and other.absent and not some,
            self.present and other.present,
            some,
            self.each & other.each,
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        if self.absent and not self.some:
            return False
        return not self.present or any((one & self.each).is_empty for one in self.some or (ANY,))


MISSING: Final = Lines(present=False)
THERE: Final = Lines(absent=False)


class Draw(msgspec.Struct, frozen=True, eq=False):
    """A draw, by its remainder modulo `of`. Of two such numbers, one divides the other: they are what portions have."""

    of: int
    spans: tuple[tuple[int, int], ...]
    """Remainders from each first to below each second, in order."""

    def meet(self, other: Draw) -> Draw:
        """What is in both."""
        of = max(self.of, other.of)
        mine, its = self._modulo(of), other._modulo(of)
        both: list[tuple[int, int]] = []
        one = two = 0
        while one < len(mine) and two < len(its):
            low, high = max(mine[one][0], its[two][0]), min(mine[one][1], its[two][1])
            if low < high:
                both.append((low, high))
            if mine[one][1] <= its[two][1]:
                one += 1
            else:
                two += 1
        return Draw(of, tuple(both))

    def _modulo(self, of: int) -> Sequence[tuple[int, int]]:
        if of == self.of:
            return self.spans
        return [(start + low, start + high) for start in range(0, of, self.of) for low, high in self.spans]

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.spans


Cube: TypeAlias = One | Lines | Draw


class Part(msgspec.Struct, frozen=True, gc=False):
    """Which part of a request: what it is, and its name where there are many of the kind."""

    kind: str
    name: str = ""
    path: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True, eq=False):
    """What is asked of one part: it is in one of `holds`, or in one of `fails`."""

    part: Part
    holds: tuple[Cube, ...]
    fails: tuple[Cube, ...]
