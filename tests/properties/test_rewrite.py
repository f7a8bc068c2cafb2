"""Replacing: spec/re2.md RE2-13, RE2-14. The oracle is google-re2 as Envoy sets it."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from meshroute.conformance.strategies.patterns import patterns, texts
from meshroute.match.re2 import Re2SyntaxError, RewriteError, compile_rewrite

OPTIONS = re2.Options()
OPTIONS.encoding = re2.Options.Encoding.LATIN1
OPTIONS.log_errors = False


class TestRe213Searching:
    """RE2-13: of all matches that begin leftmost the one that a Perl-like search meets first, with its groups."""

    @given(patterns, texts, st.integers(0, 10))
    def test_the_match_and_every_group_are_those_of_re2(self, pattern: str, text: str, start: int) -> None:
        """From any place of the text, the bytes before it being seen by assertions."""
        oracle = re2.compile(pattern.encode("latin-1"), OPTIONS)
        start = min(start, len(text))
        found = oracle.search(text.encode("latin-1"), start)
        expected = (
            None if found is None else tuple(end for group in range(oracle.groups + 1) for end in found.span(group))
        )
        assert compile_rewrite(pattern, "").find(text, start) == expected


class TestRe214Replacing:
    """RE2-14: every match is replaced, from left to right; an empty one right behind the last is passed over."""

    @given(patterns, texts, st.sampled_from(("", "x", "[\\0]", "\\\\", "\\0\\0")))
    def test_as_a_fold_over_the_matches(self, pattern: str, text: str, substitution: str) -> None:
        """Restated with the oracle's own searches."""
        oracle = re2.compile(pattern.encode("latin-1"), OPTIONS)
        out, at, last = "", 0, -1
        while at <= len(text):
            found = oracle.search(text.encode("latin-1"), at)
            if found is None:
                break
            begin, end = found.span()
            if (begin, end) == (last, last):
                out, at = out + text[at : begin + 1], begin + 1
                continue
            taken = text[begin:end]
            out += text[at:begin] + substitution.replace("\\0", taken).replace("\\\\", "\\")
            at = last = end
        assert compile_rewrite(pattern, substitution).all_in(text) == out + text[at:]

    def test_groups_by_number(self) -> None:
        """A group that took no part is empty."""
        assert compile_rewrite("^/api/v([0-9]+)/(.*)$", "/\\2?v=\\1").all_in("/api/v2/cart") == "/cart?v=2"
        assert compile_rewrite("(a)|(b)", "<\\1\\2>").all_in("abc") == "<a><b>c"

    @pytest.mark.parametrize(
        ("substitution", "reason"),
        [("\\1", "the pattern has 0 groups"), ("\\", "followed by a digit"), ("a\\n", "followed by a digit")],
    )
    def test_a_substitution_that_is_none_is_refused(self, substitution: str, reason: str) -> None:
        """With what is wrong; and a pattern that RE2 refuses is refused as everywhere."""
        with pytest.raises(RewriteError, match=reason):
            compile_rewrite("a", substitution)
        with pytest.raises(Re2SyntaxError):
            compile_rewrite("(", "")
        with pytest.raises(Re2SyntaxError, match="over the limit"):
            compile_rewrite("a{1000}" * 40, "")

    @given(st.integers(1, 60))
    def test_time_is_bounded(self, size: int) -> None:
        """What makes a backtracking search exponential ends at once, with nothing found."""
        assert compile_rewrite("(a+)+$", "x").all_in("a" * size + "b") == "a" * size + "b"
