r"""A tree written as a pattern for the standard library's `re`, with the same full matches.

Source    the library's reference of `re` syntax
Inputs    a tree from parser.py.
Exactness `re.compile(translate(tree)).fullmatch(subject)` agrees with the tree on subjects in wire form.
          Only constructs with one reading are written: escapes by number, sets as explicit ranges, plain groups,
          look-around over one byte. No flag and no shorthand plays a part.
Errors    none. The library's parser recurses; engine.py keeps deep trees from it.

Why not the `regex` module: its backtracking takes quadratic time on some loops over groups although the number of runs
is bounded, as on `(?:(?:a){2})+b` and a text of a's. The library's is linear there.
"""

from __future__ import annotations

from typing import Final

from meshroute.match.re2.syntax import (
    NEWLINE,
    WORD,
    Alternate,
    Assertion,
    ByteSet,
    Concat,
    Empty,
    Group,
    Literal,
    Node,
    OneOf,
    Place,
    Repeat,
    complement_bits,
    fold,
)

_PLAIN: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_")


def translate(root: Node) -> str:
    """The pattern for `re`, to be compiled without flags and asked by `fullmatch`."""
    return fold(root, _write)


def _write(node: Node, below: list[str]) -> str:
    match node:
        case Empty():
            return ""
        case Literal(text):
            return "".join(map(_byte, text))
        case OneOf(allowed):
            return _set(allowed)
        case Concat():
            return "".join(below)
        case Alternate():
            return f"(?:{'|'.join(below)})"
        # Nothing, any number of times: the library would go round and round.
        case Repeat() | Group() if not below[0]:
            return ""
        case Repeat(_, least, most, greedy):
            return f"(?:{below[0]}){_times(least, most)}{'' if greedy else '?'}"
        # What a group captures is of no use to a full match, and costs the library time.
        case Group():
            return f"(?:{below[0]})"
        case Assertion(place):
            return _PLACES[place]


def _byte(char: str) -> str:
    return char if char in _PLAIN else f"\\x{ord(char):02x}"


def _set(allowed: ByteSet) -> str:
    if not allowed.ranges:
        return "(?!)"
    return f"[{''.join(_range(low, high) for low, high in allowed.ranges)}]"


def _range(low: int, high: int) -> str:
    return f"\\x{low:02x}" if low == high else f"\\x{low:02x}-\\x{high:02x}"


def _times(least: int, most: int | None) -> str:
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{least},}}"
        case _:
            return f"{{{least},{most}}}"


_W: Final = _set(WORD)
_NOT_NEWLINE: Final = _set(ByteSet.from_bits(complement_bits(NEWLINE.bits)))
# `\b`, `^` and `$` are left unused: what `re` takes for a word, a line or an end depends on its flags.
_PLACES: Final[dict[Place, str]] = {
    Place.TEXT_START: r"\A",
    Place.TEXT_END: r"\Z",
    Place.LINE_START: f"(?<!{_NOT_NEWLINE})",
    Place.LINE_END: f"(?!{_NOT_NEWLINE})",
    Place.WORD_BOUNDARY: f"(?:(?<={_W})(?!{_W})|(?<!{_W})(?={_W}))",
    Place.NOT_WORD_BOUNDARY: f"(?:(?<={_W})(?={_W})|(?<!{_W})(?!{_W}))",
}
