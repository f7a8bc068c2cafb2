"""Small sets of texts that often have something in common, and texts that are often in them."""

from __future__ import annotations

from hypothesis import strategies as st

from meshroute.analysis.space import Language
from meshroute.conformance.strategies import patterns

LETTERS = "aA\n/\xff\x00"
"""Few, so that texts meet: both cases, what `.` does not take, what parts segments, the last byte and the first."""
words = st.text(st.sampled_from("ab/A\xff\x00"), max_size=3)
subjects = st.text(st.sampled_from("abcA/ \n\xff\x00\xe9"), max_size=7)


def simple() -> st.SearchStrategy[Language]:
    """What exact texts and prefixes make."""
    return st.one_of(
        st.builds(Language.exact, words),
        st.builds(Language.prefix, words),
        st.builds(Language.segments, words),
        st.sampled_from((Language.everything(), Language.nothing())),
    )


def of_patterns() -> st.SearchStrategy[Language]:
    """What takes an automaton, most of the time."""
    return st.one_of(
        st.builds(Language.pattern, patterns.patterns),
        st.builds(Language.suffix, words, st.booleans()),
        st.builds(Language.contains, words, st.booleans()),
        st.builds(Language.prefix, words, st.just(True)),
        st.builds(Language.exact, words, st.just(True)),
    )


def languages() -> st.SearchStrategy[Language]:
    """Any, some of them made of others."""

    def made(inner: st.SearchStrategy[Language]) -> st.SearchStrategy[Language]:
        return st.one_of(
            st.builds(Language.both, inner, inner),
            st.builds(Language.either, inner, inner),
            st.builds(Language.without, inner, inner),
            st.builds(Language.__invert__, inner),
        )

    return st.recursive(simple() | of_patterns(), made, max_leaves=4)
