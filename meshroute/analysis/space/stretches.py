"""Sets of byte strings as stretches of their order: everything that exact texts and prefixes can say, cheaply.

Source    byte strings in lexicographic order; derivatives after J. Brzozowski, "Derivatives of Regular Expressions"
Inputs    texts in wire form: one character, U+0000 to U+00FF, per byte.
Exactness exact. Equal sets have equal cuts, and the other way round.
Errors    none.

In order of bytes, a text stands directly before itself with a zero byte behind it, and the texts with one prefix stand
together. So a set made of exact texts and prefixes, by union, intersection and complement, is a few stretches of the
order. `Cuts` lists where membership changes: texts below the first cut are outside, those from the first up to but not
including the second are inside, and so on.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, TypeAlias

Cuts: TypeAlias = tuple[str, ...]
"""Strictly ascending. Any such tuple is a set, and no two are the same set."""

NOTHING: Final[Cuts] = ()
EVERYTHING: Final[Cuts] = ("",)
_LAST: Final = "\xff"


def exact(text: str) -> Cuts:
    """One text."""
    return (text, text + "\0")


def prefix(text: str) -> Cuts:
    """The texts that start so."""
    end = _behind(text)
    return (text,) if end is None else (text, end)


def _behind(text: str) -> str | None:
    """The first text behind all those that start with `text`; None if there is none."""
    kept = text.rstrip(_LAST)
    return kept[:-1] + chr(ord(kept[-1]) + 1) if kept else None


def contains(cuts: Cuts, text: str) -> bool:
    """Whether the text is one of the set."""
    return bisect_right(cuts, text) & 1 == 1


def complement(cuts: Cuts) -> Cuts:
    """The texts that are not in the set."""
    return cuts[1:] if cuts and not cuts[0] else ("", *cuts)


def union(one: Cuts, other: Cuts) -> Cuts:
    """The texts of either set."""
    return _merged(one, other, 1)


def intersection(one: Cuts, other: Cuts) -> Cuts:
    """The texts of both sets."""
    return _merged(one, other, 2)


def difference(one: Cuts, other: Cuts) -> Cuts:
    """The texts of the first set that are not in the second."""
    return _merged(one, complement(other), 2)


def _merged(one: Cuts, other: Cuts, needed: int) -> Cuts:
    """The texts that are in at least `needed` of the two sets."""
    found: list[str] = []
    inside = False
    at, beside = 0, 0
    for cut in sorted({*one, *other}):
        at += at < len(one) and one[at] == cut
        beside += beside < len(other) and other[beside] == cut
        if ((at & 1) + (beside & 1) >= needed) != inside:
            inside = not inside
            found.append(cut)
    return tuple(found)


def union_of_all(sets: list[Cuts]) -> Cuts:
    """The texts of any of the sets, in one sweep."""
    steps: dict[str, int] = {}
    for cuts in sets:
        for number, cut in enumerate(cuts):
            steps[cut] = steps.get(cut, 0) + (-1 if number & 1 else 1)
    found: list[str] = []
    depth = 0
    for cut in sorted(steps):
        before, depth = depth, depth + steps[cut]
        if (before > 0) != (depth > 0):
            found.append(cut)
    return tuple(found)


def meets(one: Cuts, other: Cuts) -> bool:
    """Whether some text is in both sets."""
    if len(one) > len(other):
        one, other = other, one
    for at in range(0, len(one), 2):
        behind = bisect_right(other, one[at])
        if behind & 1 or (behind < len(other) and (at + 1 == len(one) or other[behind] < one[at + 1])):
            return True
    return False


def within(one: Cuts, other: Cuts) -> bool:
    """Whether every text of the first set is in the second."""
    for at in range(0, len(one), 2):
        behind = bisect_right(other, one[at])
        if not behind & 1 or (behind < len(other) and (at + 1 == len(one) or other[behind] < one[at + 1])):
            return False
    return True


def texts(cuts: Cuts) -> tuple[str, ...] | None:
    """The texts of a set that has each of them as a stretch of its own; None for any other set.

    `a` and `a` with a zero byte behind it are one stretch: such a set is finite, and has None all the same.
    """
    if len(cuts) & 1 or any(end != start + "\0" for start, end in zip(cuts[::2], cuts[1::2], strict=True)):
        return None
    return cuts[::2]


def shared_prefix(cuts: Cuts) -> str:
    """The longest text that every text of the set starts with; empty for the empty set."""
    if not cuts:
        return ""
    lowest, end = cuts[0], cuts[-1] if len(cuts) & 1 == 0 else None
    for length in range(len(lowest), 0, -1):
        behind = _behind(lowest[:length])
        if behind is None or (end is not None and end <= behind):
            return lowest[:length]
    return ""


def after(cuts: Cuts, byte: str) -> Cuts:
    """What may follow the byte: the texts that give one of the set with the byte before them."""
    low = bisect_right(cuts, byte)
    found: list[str] = [""] if low & 1 else []
    for cut in cuts[low:]:
        if cut[0] != byte:
            break
        found.append(cut[1:])
    return tuple(found)
