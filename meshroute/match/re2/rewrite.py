"""Replacing what a pattern finds: leftmost, with groups, every occurrence.

Source    RE2::GlobalReplace and RE2::Rewrite as Envoy's regex_rewrite uses them: google/re2: re2/re2.cc, re2/nfa.cc,
          re2/compile.cc; spec/re2.md RE2-13, RE2-14
Inputs    pattern, substitution and text in wire form. In a substitution `\\0` is what was found, `\\1` to `\\9` are
          groups and `\\\\` is a backslash.
Exactness of all matches that begin leftmost the one that a Perl-like search meets first. An empty match right behind
          the last match is passed over by one byte. The work is linear in the text for each match.
Errors    Re2SyntaxError for a pattern that RE2 refuses, RewriteError for a substitution that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias, assert_never

from meshroute.match.re2.automaton import holds, kind_at
from meshroute.match.re2.engine import ISTIO_PROGRAM_SIZE, refuse_large
from meshroute.match.re2.nfa import expanded_size
from meshroute.match.re2.parser import Re2SyntaxError, parse
from meshroute.match.re2.program import MOST_ALLOCATED
from meshroute.match.re2.syntax import (
    Alternate,
    Assertion,
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


class RewriteError(ValueError):
    """A substitution that RE2 would not take."""


class _Take(NamedTuple):
    bits: int


class _Test(NamedTuple):
    place: Place


class _Split(NamedTuple):
    """Both ways, the first one preferred; as distances from here."""

    first: int
    second: int


class _Save(NamedTuple):
    """Where a group begins (even) or ends (odd)."""

    slot: int


class _Done(NamedTuple):
    pass


_Instruction: TypeAlias = _Take | _Test | _Split | _Save | _Done
_Spans: TypeAlias = tuple[int, ...]
"""Where the whole match and each group begin and end; -1 where a group took no part."""


class Rewrite:
    """A pattern with what its matches are replaced by."""

    __slots__ = ("_groups", "_parts", "_program")

    def __init__(self, tree: Node, substitution: str) -> None:
        self._groups: Final = fold(tree, _groups)
        self._parts: Final = _parts(substitution, self._groups)
        self._program: Final = (_Save(0), *fold(tree, _code).steps, _Save(1), _Done())

    @property
    def groups(self) -> int:
        """How many groups the pattern has."""
        return self._groups

    def all_in(self, text: str) -> str:
        """The text with every match replaced."""
        out: list[str] = []
        at, last_end = 0, -1
        while at <= len(text):
            spans = self.find(text, at)
            if spans is None:
                break
            begin, end = spans[:2]
            out.append(text[at:begin])
            if begin == end == last_end:
                # Right behind the last match an empty one does not count; one byte is taken over instead.
                out.append(text[begin : begin + 1])
                at = begin + 1
                continue
            for part in self._parts:
                if isinstance(part, str):
                    out.append(part)
                elif spans[2 * part] >= 0:
                    out.append(text[spans[2 * part] : spans[2 * part + 1]])
            at = last_end = end
        out.append(text[at:])
        return "".join(out)

    def find(self, text: str, start: int = 0) -> _Spans | None:
        """The first match at or after `start`; what stands before it still counts for `^` and `\\b`."""
        program = self._program
        found: _Spans | None = None
        fresh: _Spans = (-1,) * (2 * self._groups + 2)
        threads: list[tuple[int, _Spans]] = []
        seen: set[int] = set()
        for at in range(start, len(text) + 1):
            if found is None:
                self._follow(0, fresh, text, at, seen, threads)
            following: list[tuple[int, _Spans]] = []
            seen = set()
            bit = 1 << ord(text[at]) if at < len(text) else 0
            for number, spans in threads:
                instruction = program[number]
                if isinstance(instruction, _Done):
                    found = spans  # and whatever is preferred less need not go on
                    break
                assert isinstance(instruction, _Take)
                if instruction.bits & bit:
                    self._follow(number + 1, spans, text, at + 1, seen, following)
            threads = following
            if found is not None and not threads:
                break
        return found

    def _follow(
        self, number: int, spans: _Spans, text: str, at: int, seen: set[int], threads: list[tuple[int, _Spans]]
    ) -> None:
        """Everything that can be reached without taking a byte, the preferred first."""
        pending = [(number, spans)]
        while pending:
            number, spans = pending.pop()
            if number in seen:
                continue
            seen.add(number)
            instruction = self._program[number]
            match instruction:
                case _Split(first, second):
                    pending += ((number + second, spans), (number + first, spans))
                case _Save(slot):
                    pending.append((number + 1, (*spans[:slot], at, *spans[slot + 1 :])))
                case _Test(place):
                    if holds(place, kind_at(text, at - 1), kind_at(text, at)):
                        pending.append((number + 1, spans))
                case _Take() | _Done():
                    threads.append((number, spans))
                case _:
                    assert_never(instruction)


# The cache saves time only.
@lru_cache(maxsize=1024)
def compile_rewrite(pattern: str, substitution: str) -> Rewrite:
    """A pattern and its substitution, ready. Raises Re2SyntaxError or RewriteError."""
    tree = parse(pattern)
    refuse_large(tree, ISTIO_PROGRAM_SIZE)
    if expanded_size(tree) > MOST_ALLOCATED:
        raise Re2SyntaxError("pattern too large - compile failed", 0, "")
    return Rewrite(tree, substitution)


def _parts(substitution: str, groups: int) -> tuple[str | int, ...]:
    """Texts, and numbers of groups."""
    parts: list[str | int] = []
    letters = iter(substitution)
    for letter in letters:
        if letter != "\\":
            parts.append(letter)
            continue
        escaped = next(letters, "")
        if escaped == "\\":
            parts.append("\\")
        elif escaped.isascii() and escaped.isdigit():
            if int(escaped) > groups:
                raise RewriteError(f"`\\{escaped}` in `{substitution}`: the pattern has {groups} groups")
            parts.append(int(escaped))
        else:
            raise RewriteError(f"`\\{escaped}` in `{substitution}`: a backslash is followed by a digit or a backslash")
    return tuple(parts)


def _groups(node: Node, below: list[int]) -> int:
    """How many groups there are below and here: they are numbered from 1 without gaps."""
    return max([*below, node.index if isinstance(node, Group) else 0], default=0)


class _Code(NamedTuple):
    """Instructions that can be copied to anywhere; and whether they can be passed without taking a byte."""

    steps: tuple[_Instruction, ...]
    nullable: bool


def _code(node: Node, below: list[_Code]) -> _Code:
    match node:
        case Empty():
            return _Code((), True)
        case Literal(text):
            return _Code(tuple(_Take(1 << ord(char)) for char in text), False)
        case OneOf(allowed):
            return _Code((_Take(allowed.bits),), False)
        case Assertion(place):
            return _Code((_Test(place),), True)
        case Concat():
            return _Code(tuple(one for part in below for one in part.steps), all(part.nullable for part in below))
        case Group(_, index):
            return _Code((_Save(2 * index), *below[0].steps, _Save(2 * index + 1)), below[0].nullable)
        case Alternate():
            return _Code(_alternatives([part.steps for part in below]), any(part.nullable for part in below))
        case Repeat(_, least, most, greedy):
            return _Code(_repeated(below[0], least, most, greedy), least == 0 or below[0].nullable)
        case _:
            assert_never(node)


def _alternatives(options: Sequence[tuple[_Instruction, ...]]) -> tuple[_Instruction, ...]:
    code = options[-1]
    for option in reversed(options[:-1]):
        # A jump is a split whose ways are the same.
        beyond = len(code) + 1
        code = (_Split(1, len(option) + 2), *option, _Split(beyond, beyond), *code)
    return code


def _repeated(body: _Code, least: int, most: int | None, greedy: bool) -> tuple[_Instruction, ...]:
    steps = body.steps
    if most is not None:
        code: tuple[_Instruction, ...] = ()
        for _ in range(most - least):
            code = _optional((*steps, *code), greedy)
        return (*(steps * least), *code)
    if least == 0 and not body.nullable:
        # One way in for the first time and every other: which bytes a group is said to hold can depend on it.
        back = -len(steps) - 1
        return (_ways(1, len(steps) + 2, greedy), *steps, _Split(back, back))
    # x{2,} is xx+; and x* is (x+)? where x can be empty, so that an empty turn keeps its place among the ways.
    loop = (*steps, _ways(-len(steps), 1, greedy))
    return _optional(loop, greedy) if least == 0 else (*(steps * (least - 1)), *loop)


def _optional(body: tuple[_Instruction, ...], greedy: bool) -> tuple[_Instruction, ...]:
    return (_ways(1, len(body) + 1, greedy), *body)


def _ways(on: int, out: int, greedy: bool) -> _Split:
    return _Split(on, out) if greedy else _Split(out, on)
