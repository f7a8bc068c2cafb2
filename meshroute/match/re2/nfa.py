"""A tree as a small machine: instructions that take one byte, test a place, or branch.

Source    Thompson's construction, as in google/re2: re2/compile.cc (counted repeats become copies)
Inputs    a tree from parser.py.
Exactness the machine accepts the tree's language. Its size counts this machine's instructions, not RE2's; it is
          a little below RE2's program size for groups (none here, two there) and sets (one here, one per range there).
Errors    MachineTooLarge past the size that the caller allows. Work is bounded by that size and the tree's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    fold,
)

ACCEPT: Final = 0


class MachineTooLarge(ValueError):
    """The pattern's repeats expand to more instructions than allowed."""


@dataclass(frozen=True, slots=True)
class Take:
    """One byte whose class is among `classes` (a bit per class), then `out`."""

    classes: int
    out: int


@dataclass(frozen=True, slots=True)
class Test:
    """The empty string where `place` holds, then `out`."""

    place: Place
    out: int


@dataclass(frozen=True, slots=True)
class Branch:
    """Any of `outs` without reading. No outs: the accepting instruction, which is number 0."""

    outs: tuple[int, ...]


Instruction = Take | Test | Branch


@dataclass(frozen=True, slots=True)
class Machine:
    """Instructions by number, where to begin, and the classes that bytes fall into.

    Bytes of one class are alike to every instruction and to every test. `class_of[byte]` is the class, `sample[c]`
    one byte of class c.
    """

    instructions: tuple[Instruction, ...]
    start: int
    class_of: tuple[int, ...]
    sample: tuple[int, ...]


def expanded_size(root: Node) -> int:
    """How many instructions `root` takes with its counted repeats written out. Arithmetic only, nothing is built."""

    def combine(node: Node, below: list[int]) -> int:
        match node:
            case Empty():
                return 0
            case Literal(text):
                return len(text)
            case OneOf() | Assertion():
                return 1
            case Repeat(_, least, most):
                if most is None:
                    return below[0] * max(least, 1) + 1
                return below[0] * most + (most - least)
            # One for the node itself, so that copies of something empty are counted as work too.
            case Group() | Concat() | Alternate():
                return sum(below) + 1

    return fold(root, combine)


def build(root: Node, *, max_size: int) -> Machine:
    """The machine of `root`, or MachineTooLarge."""
    if expanded_size(root) > max_size:
        raise MachineTooLarge(f"more than {max_size} instructions")
    sets, places = _alphabet(root)
    class_of, sample = _classes(sets, places)
    masks = {allowed: _mask(allowed, class_of) for allowed in sets}
    return _Builder(class_of, masks).build(root, sample)


def _alphabet(root: Node) -> tuple[set[ByteSet], set[Place]]:
    sets: set[ByteSet] = set()
    places: set[Place] = set()

    def combine(node: Node, _below: list[None]) -> None:
        match node:
            case Literal(text):
                sets.update(map(_single, text))
            case OneOf(allowed):
                sets.add(allowed)
            case Assertion(place):
                places.add(place)
            case _:
                pass

    fold(root, combine)
    return sets, places


def _single(char: str) -> ByteSet:
    return ByteSet(((ord(char), ord(char)),))


def _classes(sets: set[ByteSet], places: set[Place]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    told_apart = list(sets)
    if places & {Place.LINE_START, Place.LINE_END}:
        told_apart.append(NEWLINE)
    if places & {Place.WORD_BOUNDARY, Place.NOT_WORD_BOUNDARY}:
        told_apart.append(WORD)
    edges = sorted({0, 256}.union(*((low, high + 1) for each in told_apart for low, high in each.ranges)))
    members = [0] * len(edges)
    position = {edge: index for index, edge in enumerate(edges)}
    for number, each in enumerate(told_apart):
        for low, high in each.ranges:
            for index in range(position[low], position[high + 1]):
                members[index] |= 1 << number
    numbers: dict[int, int] = {}
    class_of: list[int] = []
    sample: list[int] = []
    for index, low in enumerate(edges[:-1]):
        number = numbers.setdefault(members[index], len(numbers))
        if number == len(sample):
            sample.append(low)
        class_of.extend([number] * (edges[index + 1] - low))
    return tuple(class_of), tuple(sample)


def _mask(allowed: ByteSet, class_of: Sequence[int]) -> int:
    # A class is inside the set or outside it, so its presence at either end of a range is not enough: look at all.
    mask = 0
    for low, high in allowed.ranges:
        for number in set(class_of[low : high + 1]):
            mask |= 1 << number
    return mask


class _Builder:
    """Builds from the end of the pattern to its start: `out` is what follows the node being built."""

    def __init__(self, class_of: tuple[int, ...], masks: dict[ByteSet, int]) -> None:
        self.class_of = class_of
        self.masks = masks
        self.instructions: list[Instruction] = [Branch(())]
        self.out = ACCEPT

    def add(self, instruction: Instruction) -> int:
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def build(self, root: Node, sample: tuple[int, ...]) -> Machine:
        # Each task is a node to build before `out`, or a step that closes or continues an enclosing one.
        tasks: list[Node | _Step] = [root]
        starts: list[int] = []
        while tasks:
            task = tasks.pop()
            match task:
                case Empty():
                    pass
                case Literal(text):
                    for char in reversed(text):
                        self.out = self.add(Take(1 << self.class_of[ord(char)], self.out))
                case OneOf(allowed):
                    self.out = self.add(Take(self.masks[allowed], self.out))
                case Assertion(place):
                    self.out = self.add(Test(place, self.out))
                case Concat(parts):
                    tasks.extend(parts)
                case Group(body):
                    tasks.append(body)
                case Alternate(options):
                    tasks.append(_Join(len(options)))
                    for option in options:
                        tasks += (_Collect(self.out), option)
                case Repeat(body, least, None):
                    # x{3,} is xx(x+), x* is the loop alone: the loop's branch is made first and closed by _Close.
                    loop = self.add(Branch(()))
                    tasks.extend([body] * (least - 1))
                    tasks += (_Close(loop, self.out, skips=least == 0), body)
                    self.out = loop
                case Repeat(body, least, int(most)):
                    # x{2,4} is xx(x(x)?)?: every optional copy may leave for the same place.
                    tasks.extend([body] * least)
                    for _ in range(most - least):
                        tasks += (_Skip(self.out), body)
                case _Collect(out):
                    starts.append(self.out)
                    self.out = out
                case _Join(count):
                    cut = len(starts) - count
                    # Built last to first; put back in the pattern's order.
                    self.out = self.add(Branch(tuple(reversed(starts[cut:]))))
                    del starts[cut:]
                case _Close(loop, out, skips):
                    self.instructions[loop] = Branch((self.out, out))
                    if skips:
                        self.out = loop
                case _Skip(out):
                    self.out = self.add(Branch((self.out, out)))
        return Machine(tuple(self.instructions), self.out, self.class_of, sample)


@dataclass(frozen=True, slots=True)
class _Collect:
    """An option is built: keep its start, and go back to what follows the alternation."""

    out: int


@dataclass(frozen=True, slots=True)
class _Join:
    """All options are built: branch to them."""

    count: int


@dataclass(frozen=True, slots=True)
class _Close:
    """A loop's body is built: tie its branch. A body that may be left out is entered through the branch."""

    loop: int
    out: int
    skips: bool


@dataclass(frozen=True, slots=True)
class _Skip:
    """An optional copy is built: branch past it."""

    out: int


_Step = _Collect | _Join | _Close | _Skip
