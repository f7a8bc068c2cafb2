"""Sets of texts, as conditions of a table select them, with the operations that sets have.

Source    spec/match.md MATCH-1 to MATCH-24, spec/re2.md; what is one text's answer is meshroute.match.predicate
Inputs    texts in wire form: one character, U+0000 to U+00FF, per byte.
Exactness exact: every operation gives the set that it names, or raises. Only ASCII letters fold.
Errors    TooManyStates where a set is too large to be worked out, Re2SyntaxError for a pattern that RE2 refuses,
          TableError for a template that is none, ValueError for a character above U+00FF, TypeError for a condition
          that is not on a text.

A set is held as stretches of the order of texts (`stretches.py`) where that says it in few words, and as an automaton
(`automaton.py`) where it does not. Which of the two changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Final, TypeAlias, assert_never

from meshroute.analysis.space import automaton, stretches
from meshroute.analysis.space.automaton import MOST_STATES, Automaton
from meshroute.analysis.space.literals import of_text
from meshroute.analysis.space.patterns import MOST_OF_A_PATTERN, of_pattern
from meshroute.analysis.space.stretches import Cuts
from meshroute.match.re2 import Re2SyntaxError
from meshroute.match.template import shape_of
from meshroute.names import ascii_lower
from meshroute.table import (
    Absent,
    Between,
    Contains,
    CookieValue,
    Exact,
    PathMatch,
    Pattern,
    Prefix,
    Present,
    QueryValue,
    Segments,
    Suffix,
    Template,
    TextMatch,
    Tunnel,
)

Condition: TypeAlias = TextMatch | PathMatch | QueryValue | CookieValue
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
# From so many cuts on, only those are made an automaton of that the other set can come near to.
_FEW: Final = 8


class Language:
    """A set of texts. It does not change; two that are the same set may be two objects: ask `same_as`.

    `&`, `|`, `-` and `~` are intersection, union, difference and complement, `<=` is inclusion, `in` asks for one text.
    The operators raise TooManyStates past MOST_STATES; `both`, `either`, `without` and `within` take another bound.
    To take many sets from one, take away their `union`: that is one step instead of many.
    """

    __slots__ = ("_automaton", "_cuts", "_prefix")

    def __init__(self, cuts: Cuts | None, made: Automaton | None = None) -> None:
        """Not for callers: use the class methods."""
        self._cuts: Final = cuts
        # Found when first asked for. What they are depends on the set alone.
        self._automaton = made
        self._prefix: str | None = None

    @classmethod
    def everything(cls) -> Language:
        """Every text, the empty one included."""
        return ANY

    @classmethod
    def nothing(cls) -> Language:
        """No text."""
        return NOTHING

    @classmethod
    def exact(cls, text: str, ignore_case: bool = False) -> Language:
        """This text; with `ignore_case`, with its ASCII letters in either case."""
        _refuse_beyond_bytes(text)
        if _caseless(text, ignore_case):
            return cls(stretches.exact(text))
        return _of_automaton(of_text(text, ignore_case=True, before=False, after=False))

    @classmethod
    def prefix(cls, text: str, ignore_case: bool = False) -> Language:
        """The texts that start so."""
        _refuse_beyond_bytes(text)
        if _caseless(text, ignore_case):
            return cls(stretches.prefix(text))
        return _of_automaton(of_text(text, ignore_case=True, before=False, after=True))

    @classmethod
    def suffix(cls, text: str, ignore_case: bool = False) -> Language:
        """The texts that end so."""
        _refuse_beyond_bytes(text)
        return _of_automaton(of_text(text, ignore_case=ignore_case, before=True, after=False)) if text else ANY

    @classmethod
    def contains(cls, text: str, ignore_case: bool = False) -> Language:
        """The texts that have this in them."""
        _refuse_beyond_bytes(text)
        return _of_automaton(of_text(text, ignore_case=ignore_case, before=True, after=True)) if text else ANY

    @classmethod
    def pattern(cls, regex: str, *, most_states: int = MOST_OF_A_PATTERN) -> Language:
        """The texts that RE2 matches the whole of. Raises Re2SyntaxError for what a proxy refuses, TooManyStates."""
        return _of_automaton(of_pattern(regex, most_states=most_states))

    @classmethod
    def of_numbers(cls, start: int, end: int) -> Language:
        """The signed 64-bit numbers from `start` up to but not including `end`, in every way to write them: with a
        sign or without, with zeros before them."""
        low, high = max(start, _LEAST), min(end - 1, _MOST)
        if low > high:
            return NOTHING
        found: list[Language] = []
        if high >= 0:
            found.append(_magnitudes(r"\+?", max(low, 0), high))
        if low <= 0:
            found.append(_magnitudes("-", max(-high, 0), -low))
        return cls.union(found)

    @classmethod
    def segments(cls, value: str, ignore_case: bool = False) -> Language:
        """The paths that are this, or go on with `/` behind it."""
        return cls.exact(value, ignore_case) | cls.prefix(value + "/", ignore_case)

    @classmethod
    def template(cls, value: str) -> Language:
        """The paths of a template's shape; none where RE2 can make no pattern of it. Raises TableError."""
        try:
            return cls.pattern(shape_of(value).regex)
        except Re2SyntaxError:
            return NOTHING

    @classmethod
    def union(cls, languages: Iterable[Language], *, most_states: int = MOST_STATES) -> Language:
        """The texts of any of them; faster than one `|` after the other. Raises TooManyStates."""
        simple: list[Cuts] = []
        waiting: list[Language] = []
        for each in languages:
            if each._cuts is None:
                waiting.append(each)
            else:
                simple.append(each._cuts)
        if simple:
            waiting.append(_of_cuts(stretches.union_of_all(simple)))
        while len(waiting) > 1:
            pairs = zip(waiting[::2], waiting[1::2], strict=False)
            odd = waiting[-1:] if len(waiting) & 1 else []
            waiting = [one.either(other, most_states=most_states) for one, other in pairs] + odd
        return waiting[0] if waiting else NOTHING

    def both(self, other: Language, *, most_states: int = MOST_STATES) -> Language:
        """The texts of both. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return _of_cuts(stretches.intersection(self._cuts, other._cuts))
        if self.is_everything or other.is_empty:
            return other
        if other.is_everything or self.is_empty:
            return self
        if self._parts_early(other):
            return NOTHING
        for few, asked in ((self, other), (other, self)):
            if (texts := few._texts()) is not None:
                return _of_texts(text for text in texts if text in asked)
        one, two = self._plain_for(other, most_states), other._plain_for(self, most_states)
        return _of_automaton(automaton.both(one, two, most_states=most_states))

    def either(self, other: Language, *, most_states: int = MOST_STATES) -> Language:
        """The texts of either. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return _of_cuts(stretches.union(self._cuts, other._cuts))
        if self.is_everything or other.is_empty:
            return self
        if other.is_everything or self.is_empty:
            return other
        one, two = self._plain(most_states), other._plain(most_states)
        return _of_automaton(automaton.either(one, two, most_states=most_states))

    def without(self, other: Language, *, most_states: int = MOST_STATES) -> Language:
        """The texts that are not in the other. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return _of_cuts(stretches.difference(self._cuts, other._cuts))
        if other.is_everything or self.is_empty:
            return NOTHING
        if other.is_empty or self._parts_early(other):
            return self
        if (texts := self._texts()) is not None:
            return _of_texts(text for text in texts if text not in other)
        rest = automaton.complement(other._plain_for(self, most_states))
        return _of_automaton(automaton.both(self._plain(most_states), rest, most_states=most_states))

    def meets(self, other: Language, *, most_states: int = MOST_STATES) -> bool:
        """Whether some text is in both: what `not (self & other).is_empty` says, sooner. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return stretches.meets(self._cuts, other._cuts)
        if self._parts_early(other):
            return False
        for few, asked in ((self, other), (other, self)):
            if (texts := few._texts()) is not None:
                return any(text in asked for text in texts)
        one, two = self._plain_for(other, most_states), other._plain_for(self, most_states)
        return automaton.meets(one, two, most_states=most_states)

    def within(self, other: Language, *, most_states: int = MOST_STATES) -> bool:
        """Whether every text of this is in the other. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return stretches.within(self._cuts, other._cuts)
        if (texts := self._texts()) is not None:
            return all(text in other for text in texts)
        if not self.prefix_known.startswith(other.prefix_known):
            return False
        rest = automaton.complement(other._plain_for(self, most_states))
        return not automaton.meets(self._plain(most_states), rest, most_states=most_states)

    def __and__(self, other: Language) -> Language:
        return self.both(other)

    def __or__(self, other: Language) -> Language:
        return self.either(other)

    def __sub__(self, other: Language) -> Language:
        return self.without(other)

    def __invert__(self) -> Language:
        if self._cuts is not None:
            return _of_cuts(stretches.complement(self._cuts))
        return Language(None, automaton.complement(self._plain()))

    def __le__(self, other: Language) -> bool:
        return self.within(other)

    def __contains__(self, text: str) -> bool:
        _refuse_beyond_bytes(text)
        return stretches.contains(self._cuts, text) if self._cuts is not None else self._plain().takes(text)

    def same_as(self, other: Language) -> bool:
        """Whether both are the same set. Raises TooManyStates."""
        if self._cuts is not None and other._cuts is not None:
            return self._cuts == other._cuts
        return self._plain() == other._plain()

    @property
    def is_empty(self) -> bool:
        """Whether no text is in it."""
        return self._cuts == stretches.NOTHING

    @property
    def is_everything(self) -> bool:
        """Whether every text is in it."""
        return self._cuts == stretches.EVERYTHING

    @property
    def prefix_known(self) -> str:
        """The longest text that every text of the set starts with; empty for the empty set. Kept once found."""
        if self._prefix is None:
            if self._cuts is not None:
                self._prefix = stretches.shared_prefix(self._cuts)
            else:
                self._prefix = self._plain().shared_prefix()
        return self._prefix

    def shortest(self) -> str | None:
        """The shortest text of the set, None if it is empty. Of several, letters and digits come before other printable
        characters, those before the other bytes. Raises TooManyStates for a union of many thousands of prefixes."""
        return next(iter(self.some(1)), None)

    def some(self, count: int) -> list[str]:
        """The `count` shortest texts of the set, fewer if it has fewer, in the order that `shortest` goes by.

        Raises TooManyStates as `shortest` does.
        """
        if (texts := self._texts()) is not None:
            return sorted(texts, key=automaton.readability)[:count]
        if count == 1 and self._cuts and self._cuts == stretches.prefix(self._cuts[0]):
            return [self._cuts[0]]
        if count == 1:
            found = self._plain().shortest()
            return [] if found is None else [found]
        return list(islice(self._plain().members(), count))

    def _texts(self) -> tuple[str, ...] | None:
        """The texts of a set that is plainly finite; None for any other."""
        return None if self._cuts is None else stretches.texts(self._cuts)

    def _plain(self, most_states: int = MOST_STATES) -> Automaton:
        """The set as an automaton, made when first needed. Raises TooManyStates."""
        if self._automaton is None:
            self._automaton = automaton.of_stretches(self._cuts or stretches.NOTHING, most_states=most_states)
        return self._automaton

    def _plain_for(self, other: Language, most_states: int) -> Automaton:
        """An automaton that says of each text of the other set whether it is in this one. Raises TooManyStates."""
        if self._cuts is None or len(self._cuts) <= _FEW:
            return self._plain(most_states)
        near = stretches.intersection(self._cuts, stretches.prefix(other.prefix_known))
        return automaton.of_stretches(near, most_states=most_states)

    def _parts_early(self, other: Language) -> bool:
        """Whether the prefixes alone tell that no text is in both."""
        mine, its = self.prefix_known, other.prefix_known
        if mine.startswith(its):
            return not other._goes_on_from(mine)
        return not its.startswith(mine) or not self._goes_on_from(its)

    def _goes_on_from(self, text: str) -> bool:
        """Whether some text of the set starts so."""
        if self._cuts is not None:
            return stretches.meets(self._cuts, stretches.prefix(text))
        return self._plain().goes_on_from(text)

    def __repr__(self) -> str:
        size = f"{len(self._plain().rows)} states" if self._cuts is None else f"{len(self._cuts)} cuts"
        return f"<Language from {self.prefix_known[:80]!r} on, {size}>"


NOTHING: Final = Language(stretches.NOTHING)
ANY: Final = Language(stretches.EVERYTHING)


def _of_cuts(cuts: Cuts) -> Language:
    if cuts == stretches.NOTHING:
        return NOTHING
    return ANY if cuts == stretches.EVERYTHING else Language(cuts)


def _of_texts(texts: Iterable[str]) -> Language:
    return _of_cuts(stretches.union_of_all(list(map(stretches.exact, texts))))


def _of_automaton(made: Automaton) -> Language:
    cuts = automaton.to_stretches(made)
    return Language(None, made) if cuts is None else _of_cuts(cuts)


# The cache saves time only. A table asks for the same condition many times.
@lru_cache(maxsize=4096)
def language_of(condition: Condition) -> Language:
    """The texts that satisfy a condition on a header, a query parameter, a cookie or a path. Recent ones are kept.

    A path is compared without its query. Raises TypeError for Absent and Tunnel, which ask for no text; Re2SyntaxError,
    TableError and TooManyStates as the class methods do.
    """
    match condition:
        case Exact(value, ignore_case):
            return Language.exact(value, ignore_case)
        case Prefix(value, ignore_case):
            return Language.prefix(value, ignore_case)
        case Suffix(value, ignore_case):
            return Language.suffix(value, ignore_case)
        case Contains(value, ignore_case):
            return Language.contains(value, ignore_case)
        case Between(start, end):
            return Language.of_numbers(start, end)
        case Pattern(regex):
            return Language.pattern(regex)
        case Present():
            return ANY
        case Segments(value, ignore_case):
            return Language.segments(value, ignore_case)
        case Template(value):
            return Language.template(value)
        case Absent() | Tunnel():
            raise TypeError(f"{type(condition).__name__} is not a condition on a text")
        case _:
            assert_never(condition)


def _refuse_beyond_bytes(text: str) -> None:
    if not text.isascii() and max(text) > "\xff":
        raise ValueError("a text in wire form has no character above U+00FF")


def _caseless(text: str, ignore_case: bool) -> bool:
    return not ignore_case or ascii_lower(text) == text.translate(_RAISED)


_RAISED: Final = {ord(lower): ord(lower) - 32 for lower in "abcdefghijklmnopqrstuvwxyz"}


def _magnitudes(sign: str, least: int, most: int) -> Language:
    """The whole numbers from `least` to `most`, none below zero, behind a sign, with any zeros before them."""
    found = Language.pattern(f"{sign}0*(?:{_at_most(most)})")
    return found - Language.pattern(f"{sign}0*(?:{_at_most(least - 1)})") if least else found


def _at_most(number: int) -> str:
    """A pattern of the numbers from 0 to this, in decimal without zeros before them."""
    digits = str(number)
    options = [digits]
    if len(digits) > 1:
        options += ["0", f"[1-9][0-9]{{0,{len(digits) - 2}}}"]
    for at, digit in enumerate(digits):
        low = 1 if at == 0 and len(digits) > 1 else 0
        if int(digit) > low:
            options.append(f"{digits[:at]}[{low}-{int(digit) - 1}][0-9]{{{len(digits) - at - 1}}}")
    return "|".join(options)
