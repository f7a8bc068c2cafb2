"""A compiled pattern whose one question is about the whole text.

Source    RE2::FullMatch as Envoy's safe_regex uses it: google/re2: re2/re2.cc; size limit: program.py
Inputs    pattern and subject in wire form: one character, U+0000 to U+00FF, per byte.
Exactness the answers are RE2's. Three means give them, chosen from the pattern alone when it is compiled: comparison,
          the standard library's `re` where backtracking is proven linear (ambiguity.py), the automaton for the rest.
          Matching is linear in the subject in every case.
Errors    Re2SyntaxError from compile_full for what RE2 refuses or finds too large, ValueError for a character above
          U+00FF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from meshroute.match.re2 import nfa
from meshroute.match.re2.ambiguity import runs_are_bounded
from meshroute.match.re2.automaton import Automaton
from meshroute.match.re2.parser import Re2SyntaxError, parse
from meshroute.match.re2.program import MOST_ALLOCATED, ProgramTooLarge, program_size, program_size_ceiling
from meshroute.match.re2.required import only_text, required_text
from meshroute.match.re2.syntax import Node, fold
from meshroute.match.re2.translate import translate

Means: TypeAlias = Literal["comparison", "backtracking", "automaton"]

# Istio's setting of re2.max_program_size.error_level.
ISTIO_PROGRAM_SIZE: Final = 32_768
# `re` parses by recursion, a few frames for each level.
_DEEPEST_TRANSLATED: Final = 40
_LONGEST_TRANSLATED: Final = 1_000
_TOO_LARGE: Final = "pattern too large - compile failed"


@dataclass(frozen=True, slots=True)
class FullRegex:
    """A pattern that matches whole texts. Equal and hashed by its pattern."""

    pattern: str
    means: Means = field(compare=False)
    _ask: Callable[[str], object] = field(compare=False, repr=False)
    _needs: str = field(compare=False, repr=False)

    def matches_all_of(self, subject: str) -> bool:
        """Whether the pattern matches all of `subject`, as RE2::FullMatch would say.

        Raises ValueError if a character of `subject` is above U+00FF.
        """
        if not subject.isascii():
            _refuse_beyond_bytes(subject)
        return self._needs in subject and bool(self._ask(subject))


# The cache saves time only: a pattern always compiles to a matcher that gives the same answers.
@lru_cache(maxsize=1024)
def compile_full(pattern: str, *, max_program_size: int = ISTIO_PROGRAM_SIZE) -> FullRegex:
    """Compile a pattern for full matches. Recent patterns are kept.

    Raises Re2SyntaxError where RE2 refuses the pattern or its program has more than `max_program_size` instructions,
    ValueError if the pattern holds a character above U+00FF.
    """
    tree = parse(pattern)
    refuse_large(tree, max_program_size)
    only = only_text(tree)
    if only is not None:
        return FullRegex(pattern, "comparison", only.__eq__, "")
    try:
        machine = nfa.build(tree, max_size=MOST_ALLOCATED)
    except nfa.MachineTooLarge:
        raise Re2SyntaxError(_TOO_LARGE, 0, "") from None
    needs = required_text(tree)
    translatable = len(pattern) <= _LONGEST_TRANSLATED and _depth(tree) <= _DEEPEST_TRANSLATED
    if translatable and runs_are_bounded(machine):
        return FullRegex(pattern, "backtracking", _backtracker(tree), needs)
    return FullRegex(pattern, "automaton", Automaton(machine).matches, needs)


def refuse_large(tree: Node, limit: int) -> None:
    """Raises Re2SyntaxError where RE2's program would have more instructions than the limit."""
    if program_size_ceiling(tree) <= limit:
        return
    try:
        size = program_size(tree)
    except ProgramTooLarge:
        raise Re2SyntaxError(_TOO_LARGE, 0, "") from None
    if size > limit:
        raise Re2SyntaxError(f"program size {size} is over the limit of {limit}", 0, "")


def _backtracker(tree: Node) -> Callable[[str], object]:
    ask: Callable[[str], object] = re.compile(translate(tree)).fullmatch
    return ask


def _depth(tree: Node) -> int:
    return fold(tree, lambda _node, below: 1 + max(below, default=0))


def _refuse_beyond_bytes(subject: str) -> None:
    if max(subject) > "\xff":
        raise ValueError("a subject in wire form has no character above U+00FF")
