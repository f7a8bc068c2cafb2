"""Patterns to search for, and texts that they are found in.

Bounds: repeats stand over what takes a byte, because of the others RE2-14 promises nothing; texts of ten bytes of few
kinds, so that most patterns are found somewhere.
"""

from __future__ import annotations

from hypothesis import strategies as st

QUANTIFIERS = ("", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}", "{0}")
TAKING = ("a", "b", "c", ".", "[ab]", "(a)", "(b|c)", "(?:ab|a)", "[^a]", "(?i:A)", "(a+b?)", "\xe9", "\\n")
PLACES = ("^", "$", "\\b", "\\B", "(?m:^)", "(?m:$)")


def _repeated(bodies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Bodies that take a byte, with any quantifier: of repeats over what can be empty RE2-14 promises nothing."""
    return st.tuples(bodies, st.sampled_from(QUANTIFIERS)).map("".join)


def _sequence(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A group, capturing or not, that begins with something that takes a byte."""
    tail = st.lists(_repeated(inner) | st.sampled_from(PLACES), max_size=2).map("".join)
    return st.tuples(st.sampled_from(("(", "(?:")), inner, tail).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]})")


bodies = st.recursive(st.sampled_from(TAKING), _sequence, max_leaves=6)
pieces = _repeated(bodies) | st.sampled_from(PLACES)
patterns = st.lists(pieces, min_size=1, max_size=4).map("".join) | st.tuples(pieces, pieces).map("|".join)
texts = st.text(st.sampled_from("abcA\n \xe9"), max_size=10)
