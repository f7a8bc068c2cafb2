"""The tree of an RE2 pattern: what it means, with the spelling gone.

Source    google/re2: re2/regexp.h (the operators), doc/syntax.txt
Inputs    bytes. A text is a `str` in wire form: one character, U+0000 to U+00FF, per byte.
Exactness a tree denotes a set of byte strings plus where they stand (assertions look at the neighbours).
          Case folding, `.`, classes and flags are already resolved into byte sets.
Errors    ValueError from ByteSet and Literal for what cannot be a byte. Nothing else raises.

Trees may be as deep as their pattern, so everything here walks with an explicit stack. The one exception is
what a dataclass brings along: `==`, `hash` and `repr` of a node recurse, and fail past the interpreter's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")

_ALL_BITS: Final = (1 << 256) - 1
_UPPER_BITS: Final = ((1 << 26) - 1) << ord("A")
_LOWER_BITS: Final = ((1 << 26) - 1) << ord("a")


@dataclass(frozen=True, slots=True)
class ByteSet:
    """Some of the 256 bytes: ascending ranges, both ends included, never touching. Valid by construction."""

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        floor = 0
        for low, high in self.ranges:
            if not floor <= low <= high <= 0xFF:
                raise ValueError(f"byte ranges are out of order or out of bounds: {self.ranges}")
            floor = high + 2

    @classmethod
    def from_bits(cls, bits: int) -> ByteSet:
        """The bytes whose bit is set: bit 0 for byte 0, up to bit 255."""
        ranges: list[tuple[int, int]] = []
        base = 0
        while bits:
            gap = (bits & -bits).bit_length() - 1
            bits >>= gap
            length = (~bits & (bits + 1)).bit_length() - 1
            ranges.append((base + gap, base + gap + length - 1))
            bits >>= length
            base += gap + length
        return cls(tuple(ranges))

    @property
    def bits(self) -> int:
        """The set as an integer, for union (`|`), intersection (`&`) and the rest; see `from_bits`."""
        return bits_of(self.ranges)

    def __contains__(self, byte: int) -> bool:
        return any(low <= byte <= high for low, high in self.ranges)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.ranges)


def bits_of(ranges: Iterable[tuple[int, int]]) -> int:
    """Byte ranges as one integer; ranges may overlap and come in any order."""
    bits = 0
    for low, high in ranges:
        bits |= ((1 << (high - low + 1)) - 1) << low
    return bits


def complement_bits(bits: int) -> int:
    """Every byte that is not in `bits`."""
    return _ALL_BITS ^ bits


def folded_bits(bits: int) -> int:
    """With each ASCII letter its other case. Bytes from 0x80 up never fold: google/re2: parse.cc, Latin-1."""
    return bits | (bits & _UPPER_BITS) << 32 | (bits & _LOWER_BITS) >> 32


NEWLINE: Final = ByteSet(((0x0A, 0x0A),))
NOT_NEWLINE: Final = ByteSet(((0x00, 0x09), (0x0B, 0xFF)))
EVERY_BYTE: Final = ByteSet(((0x00, 0xFF),))
NO_BYTE: Final = ByteSet(())
# What \b, \w and [[:word:]] mean by a word character. ASCII only, whatever the encoding.
WORD: Final = ByteSet(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))


class Place(Enum):
    """Where an assertion holds. `^` and `$` are TEXT_* by default and LINE_* under `(?m)`."""

    TEXT_START = "start of text"
    TEXT_END = "end of text"
    LINE_START = "start of line"
    LINE_END = "end of line"
    WORD_BOUNDARY = "word boundary"
    NOT_WORD_BOUNDARY = "not a word boundary"


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty string."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly these bytes, at least one, in wire form."""

    text: str

    def __post_init__(self) -> None:
        if not self.text or max(self.text) > "\xff":
            raise ValueError("a literal has at least one character, none above U+00FF")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One byte of the set. Over the empty set nothing matches, not even the empty string."""

    allowed: ByteSet


@dataclass(frozen=True, slots=True)
class Concat:
    """The parts one after the other: two or more, none of them Empty or Concat.

    Two Literals stand side by side only where a group of several parts began or ended between them.
    """

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternate:
    """Any of the options, two or more, some of them perhaps alternatives again. Order does not change a full match."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least` to `most` times, without end where `most` is None. The other two do not change a full match.

    `braces` tells `{0,}` from `*`, `{1,}` from `+` and `{0,1}` from `?`: RE2 makes programs of other sizes of them.
    """

    body: Node
    least: int
    most: int | None
    greedy: bool
    braces: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group, numbered from 1 by its opening parenthesis. Capturing does not change a full match."""

    body: Node
    index: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Assertion:
    """Matches the empty string, at some places only."""

    place: Place


Node: TypeAlias = Empty | Literal | OneOf | Concat | Alternate | Repeat | Group | Assertion


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in order of the pattern."""
    match node:
        case Concat(parts):
            return parts
        case Alternate(options):
            return options
        case Repeat(body) | Group(body):
            return (body,)
        case _:
            return ()


def fold(root: Node, combine: Callable[[Node, list[T]], T]) -> T:
    """What `combine` makes of the root, given what it made of each child. Depth costs no recursion."""
    done: list[T] = []
    pending: list[tuple[Node, int]] = [(root, -1)]
    while pending:
        node, count = pending.pop()
        if count < 0:
            below = children(node)
            if below:
                pending.append((node, len(below)))
                pending.extend((child, -1) for child in reversed(below))
                continue
            count = 0
        cut = len(done) - count
        done[cut:] = [combine(node, done[cut:])]
    return done[0]


def concat(parts: Iterable[Node]) -> Node:
    """The parts in a row, in the normal form that Concat promises."""
    flat: list[Node] = []
    run: list[str] = []

    def flush() -> None:
        if run:
            flat.append(Literal("".join(run)))
            run.clear()

    for part in parts:
        match part:
            case Literal(text):
                run.append(text)
            case Empty():
                pass
            case Concat(inner):
                flush()
                flat.extend(inner)
            case _:
                flush()
                flat.append(part)
    flush()
    if not flat:
        return Empty()
    return flat[0] if len(flat) == 1 else Concat(tuple(flat))


def alternate(options: list[Node]) -> Node:
    """Any of the options; one option is itself."""
    return options[0] if len(options) == 1 else Alternate(tuple(options))
