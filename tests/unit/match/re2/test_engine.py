"""FullRegex: the right means for the pattern, the same answers from each, and nothing but bytes."""

from __future__ import annotations

import pytest

from meshroute.match.re2 import FullRegex, Re2SyntaxError, compile_full, parse
from meshroute.match.re2.ambiguity import runs_are_bounded
from meshroute.match.re2.nfa import build
from meshroute.match.re2.required import only_text, required_text

COOKIE = r"^(.*?;)?\s*(debug=1)\s*(;.*)?$"


class TestCookie:
    """RE2-12: the regular expression that cookie routing is written with."""

    @pytest.mark.parametrize(
        "cookie",
        [
            "debug=1",
            "a=b; debug=1",
            "a=b;debug=1;",
            "debug=1; a=b",
            "a=b; debug=1; c=d",
            "debug=0; debug=1",
            ";debug=1",
            "a=b;;debug=1",
            "  debug=1",
            "a=b; debug=1 ",
            "debug=1;debug=10",
        ],
    )
    def test_yes(self, cookie: str) -> None:
        assert compile_full(COOKIE).matches_all_of(cookie)

    @pytest.mark.parametrize(
        "cookie",
        [
            "debug=10",
            "debug=01",
            "xdebug=1",
            "Debug=1",
            "a=debug=1",
            "debug=1x",
            "debug = 1",
            'a="x;debug=1"',
            "a=b, debug=1",
            "",
            "debug=",
            "a=b\n;debug=1",
        ],
    )
    def test_no(self, cookie: str) -> None:
        assert not compile_full(COOKIE).matches_all_of(cookie)


class TestMeans:
    @pytest.mark.parametrize("pattern", ["", "abc", "^abc$", r"\Qa.b\E", "(?:^)a[.]b(?:$)"])
    def test_one_text_is_compared(self, pattern: str) -> None:
        assert compile_full(pattern).means == "comparison"

    @pytest.mark.parametrize(
        "pattern",
        [
            ".*",
            "/api/v[0-9]+/users/[^/]+/orders",
            r".*\.example\.com",
            "(?i)bearer [a-z]+",
            "(a|b|ab)c*",
            r"\w+\b-.*",
            "a{3,5}",
            "(?:ab)*",
        ],
    )
    def test_backtracking_where_it_is_linear(self, pattern: str) -> None:
        assert compile_full(pattern).means == "backtracking"

    @pytest.mark.parametrize(
        "pattern",
        [
            "(a+)+$",
            "(a|a)*b",
            "(.*)*x",
            "(a*)*b",
            "(.*a){20}",
            r"\s*\s*\s*\s*x",
            "a*a*b",
            "(?:a?){30}a{30}",
            "(a|a)(a|a)(a|a)(a|a)b",
            "(?:a|b)*a(?:a|b){12}",
            "(?:|a)*",
            "(?:^)*a*",
            COOKIE,
            "(?:ab?){200}",
            "(?:" * 50 + "a" + ")+b" * 50,
        ],
    )
    def test_the_automaton_where_it_is_not_or_nobody_knows(self, pattern: str) -> None:
        assert compile_full(pattern).means == "automaton"

    @pytest.mark.parametrize(("pattern", "linear"), [("a{9}", True), (".*.*", False), ("(?:a|a|a)b", True)])
    def test_the_proof(self, pattern: str, linear: bool) -> None:
        assert runs_are_bounded(build(parse(pattern), max_size=99)) is linear


class TestRequiredText:
    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            (COOKIE, "debug=1"),
            ("ab(cd)e|x", ""),
            ("ab(cd)e", "abcde"),
            ("a(?:bc){2}d+ef", "abcbc"),
            ("(?:abc)*d", "d"),
            ("(?:abc)+d", "abc"),
            ("(?:abc)?", ""),
            ("a.bcd?", "bc"),
            ("(?i)abc1", "1"),
            ("x" * 100 + ".", "x" * 64),
            ("(?:xy){40}.", "xy"),
            (r"a\bb^c", "a"),
        ],
    )
    def test_every_match_contains_it(self, pattern: str, text: str) -> None:
        assert required_text(parse(pattern)) == text

    @pytest.mark.parametrize(
        ("pattern", "text"), [("^^ab$", "ab"), ("", ""), ("^$", ""), ("a^b", None), ("(a)", None), ("$a", None)]
    )
    def test_the_only_text(self, pattern: str, text: str | None) -> None:
        assert only_text(parse(pattern)) == text


class TestValue:
    def test_it_is_its_pattern(self) -> None:
        assert compile_full("a*b") == compile_full("a*b")
        assert hash(compile_full("a*b")) == hash(compile_full("a*b"))
        assert compile_full("a*b") != compile_full("ba*")
        assert compile_full("a*b").pattern == "a*b"
        assert repr(compile_full("a*b")) == "FullRegex(pattern='a*b', means='backtracking')"

    def test_a_subject_without_the_required_text_is_not_looked_at(self) -> None:
        asked: list[str] = []
        pattern = FullRegex("a.*", "automaton", asked.append, "a")
        assert not pattern.matches_all_of("b")
        assert not asked

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            compile_full("a").pattern = "b"  # type: ignore[misc]  # the point of the test

    @pytest.mark.parametrize("pattern", ["abc", "[^b]*", "(.*)*", "a.*"])
    @pytest.mark.parametrize("subject", ["\u0100", "a\u20ac", "abc\U0001f600"])
    def test_a_character_beyond_bytes_is_the_callers_mistake(self, pattern: str, subject: str) -> None:
        with pytest.raises(ValueError, match=r"U\+00FF"):
            compile_full(pattern).matches_all_of(subject)

    def test_a_pattern_beyond_bytes_too(self) -> None:
        with pytest.raises(ValueError, match=r"U\+00FF"):
            compile_full("\u20ac")

    def test_refusals_come_through(self) -> None:
        with pytest.raises(Re2SyntaxError, match=r"^missing \): \($"):
            compile_full("(")

    @pytest.mark.parametrize("pattern", ["(" * 3_000 + "a" + ")" * 3_000, "(?:a" * 3_000 + ")?" * 3_000])
    def test_deep_patterns_match(self, pattern: str) -> None:
        deep: FullRegex = compile_full(pattern)
        assert deep.matches_all_of("a")
        assert not deep.matches_all_of("b")


def test_bytes_are_matched_one_by_one() -> None:
    accented = "\xc3\xa9"
    assert compile_full("\xc3\xa9").matches_all_of(accented)
    assert compile_full("..").matches_all_of(accented)
    assert not compile_full(".").matches_all_of(accented)
    assert compile_full(r"\xC3\xA9").matches_all_of(accented)
