"""A text that every match contains, so that most subjects can be turned away by one search.

Source    the prefilter of google/re2: re2/prefilter.cc, kept to single strings
Inputs    a tree from parser.py.
Exactness necessary, never sufficient: a subject without the text does not match. `whole` is both.
Errors    none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshroute.match.re2.syntax import Assertion, Concat, Empty, Group, Literal, Node, Place, Repeat, concat, fold

# A longer text turns away hardly more, and copying it about would make nested repeats costly.
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class _Known:
    """`whole` is the one text that matches, if there is one; `inside` a text that every match contains."""

    whole: str | None
    inside: str


_NOTHING: Final = _Known(None, "")


def required_text(root: Node) -> str:
    """The longest text found that every match contains; empty where none is."""
    known = fold(root, _combine)
    return known.inside


def only_text(root: Node) -> str | None:
    """The one text that matches, where that is plain to see: a literal, perhaps between `^` and `$`."""
    parts = list(root.parts) if isinstance(root, Concat) else [root]
    while parts and parts[0] == Assertion(Place.TEXT_START):
        del parts[0]
    while parts and parts[-1] == Assertion(Place.TEXT_END):
        del parts[-1]
    match concat(parts):
        case Empty():
            return ""
        case Literal(text):
            return text
        case _:
            return None


def _combine(node: Node, below: list[_Known]) -> _Known:
    match node:
        case Empty():
            return _Known("", "")
        case Literal(text):
            return _Known(text, text) if len(text) <= _LONGEST else _Known(None, text[:_LONGEST])
        case Group():
            return below[0]
        case Repeat(_, least, most):
            if least == 0:
                return _NOTHING
            body = below[0]
            if body.whole is not None and least == most and len(body.whole) * least <= _LONGEST:
                return _Known(body.whole * least, body.whole * least)
            return _Known(None, body.inside)
        case Concat():
            return _row(below)
        case _:
            return _NOTHING


def _row(below: list[_Known]) -> _Known:
    """Parts in a row: what is known whole in a stretch of parts is known joined."""
    longest, run, unbroken = "", "", True
    for known in below:
        if known.whole is not None and len(run) + len(known.whole) <= _LONGEST:
            run += known.whole
        else:
            run = known.whole or ""
            unbroken = False
        longest = max(longest, run, known.inside, key=len)
    return _Known(run if unbroken else None, longest)
