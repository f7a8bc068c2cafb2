"""The parser: trees for what RE2 takes, RE2's words and a place for what it refuses."""

from __future__ import annotations

import pytest

from meshroute.match.re2.parser import Re2SyntaxError, parse
from meshroute.match.re2.syntax import (
    EVERY_BYTE,
    NO_BYTE,
    NOT_NEWLINE,
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
    children,
    fold,
)

A = Literal("a")
B = Literal("b")
DIGITS = ByteSet(((0x30, 0x39),))


def one_of(*ranges: tuple[int, int]) -> OneOf:
    return OneOf(ByteSet(ranges))


@pytest.mark.parametrize(
    ("pattern", "tree"),
    [
        ("", Empty()),
        ("abc", Literal("abc")),
        ("\xc3\xa9", Literal("\xc3\xa9")),
        ("a|b", Alternate((A, B))),
        ("a|", Alternate((A, Empty()))),
        ("a|(?:b|c)", Alternate((A, Alternate((B, Literal("c")))))),
        ("(a)", Group(A, 1, None)),
        ("(?P<x>a)(?<x>b)", Concat((Group(A, 1, "x"), Group(B, 2, "x")))),
        ("(?:a)(?:b)", Literal("ab")),
        (".", OneOf(NOT_NEWLINE)),
        ("(?s).", OneOf(EVERY_BYTE)),
        (r"\C", OneOf(EVERY_BYTE)),
        ("[.]", Literal(".")),
        ("[^a]", one_of((0, 0x60), (0x62, 0xFF))),
        (r"[^\x00-\xff]", OneOf(NO_BYTE)),
        (r"\p{Greek}", OneOf(NO_BYTE)),
        (r"\P{Greek}", OneOf(EVERY_BYTE)),
        ("[]a]", one_of((0x5D, 0x5D), (0x61, 0x61))),
        ("[a-]", one_of((0x2D, 0x2D), (0x61, 0x61))),
        ("[[:digit:]]", OneOf(DIGITS)),
        (r"[\d]", OneOf(DIGITS)),
        (r"\pN", one_of((0x30, 0x39), (0xB2, 0xB3), (0xB9, 0xB9), (0xBC, 0xBE))),
        ("(?i)k", one_of((0x4B, 0x4B), (0x6B, 0x6B))),
        ("(?i)\xe9\xb51", Literal("\xe9\xb51")),
        ("(?i)[^k]", one_of((0, 0x4A), (0x4C, 0x6A), (0x6C, 0xFF))),
        ("(?i:a)a", Concat((one_of((0x41, 0x41), (0x61, 0x61)), A))),
        ("^$", Concat((Assertion(Place.TEXT_START), Assertion(Place.TEXT_END)))),
        ("(?m)^$", Concat((Assertion(Place.LINE_START), Assertion(Place.LINE_END)))),
        (r"\A\z", Concat((Assertion(Place.TEXT_START), Assertion(Place.TEXT_END)))),
        (r"\b\B", Concat((Assertion(Place.WORD_BOUNDARY), Assertion(Place.NOT_WORD_BOUNDARY)))),
        (r"\Qa.b\Ec", Literal("a.bc")),
        (r"\Qa\\", Literal("a\\\\")),
        (r"\x41\101\0\x{e9}\_", Literal("AA\0\xe9_")),
        (r"\a\f\n\r\t\v", Literal("\a\f\n\r\t\v")),
        ("ab*", Concat((A, Repeat(B, 0, None, True)))),
        ("a+?", Repeat(A, 1, None, False)),
        ("(?U)a?", Repeat(A, 0, 1, False)),
        ("(?U)a??", Repeat(A, 0, 1, True)),
        ("a{2}", Repeat(A, 2, 2, True, braces=True)),
        ("a{2,}?", Repeat(A, 2, None, False, braces=True)),
        ("a{2,3}", Repeat(A, 2, 3, True, braces=True)),
        ("a{,2}", Literal("a{,2}")),
        ("a{02}", Literal("a{02}")),
        ("a{2", Literal("a{2")),
        ("a{9999999999}", Literal("a{9999999999}")),
        ("{", Literal("{")),
        ("(?:a*)*", Repeat(A, 0, None, True)),
        ("(?:a+)?", Repeat(A, 0, None, True)),
        ("(?:a*)*?", Repeat(Repeat(A, 0, None, True), 0, None, False)),
        ("a*(?i)*", Repeat(Repeat(A, 0, None, True), 0, None, True)),
        (r"a*\Q\E*", Repeat(A, 0, None, True)),
        ("^*", Repeat(Assertion(Place.TEXT_START), 0, None, True)),
    ],
)
def test_a_pattern_has_this_tree(pattern: str, tree: Node) -> None:
    assert parse(pattern) == tree


@pytest.mark.parametrize(
    ("pattern", "reason", "position", "fragment"),
    [
        ("a(b", "missing )", 1, "a(b"),
        ("(a(b", "missing )", 2, "(a(b"),
        ("a)b", "unexpected )", 1, "a)b"),
        ("a[b", "missing ]", 1, "[b"),
        ("[]", "missing ]", 0, "[]"),
        ("*", "no argument for repetition operator", 0, "*"),
        ("a|*?", "no argument for repetition operator", 2, "*?"),
        ("(+a)", "no argument for repetition operator", 1, "+"),
        ("(?i){2}", "no argument for repetition operator", 4, "{2}"),
        ("a**", "bad repetition operator", 1, "**"),
        ("a*{2}", "bad repetition operator", 1, "*{2}"),
        ("ab{2}??", "bad repetition operator", 2, "{2}??"),
        ("a{1001}", "invalid repetition size", 1, "{1001}"),
        ("a{3,2}", "invalid repetition size", 1, "{3,2}"),
        ("((a{100}){100}){10}", "invalid repetition size", 9, "{100}"),
        (r"\Z", "invalid escape sequence", 0, r"\Z"),
        (r"a\1", "invalid escape sequence", 1, r"\1"),
        (r"\x{100}", "invalid escape sequence", 0, r"\x{100"),
        (r"\xg1", "invalid escape sequence", 0, r"\xg1"),
        (r"\x{", "invalid UTF-8", 0, ""),
        (r"\400", "invalid escape sequence", 0, r"\400"),
        ("\\\xe9", "invalid escape sequence", 0, "\\\xe9"),
        ("ab\\", "trailing \\", 2, ""),
        ("[b-a]", "invalid character class range", 1, "b-a"),
        ("[[:foo:]]", "invalid character class range", 1, "[:foo:]"),
        (r"\p{Foo}", "invalid character class range", 0, r"\p{Foo}"),
        (r"\p", "invalid character class range", 0, r"\p"),
        (r"[\p", "invalid escape sequence", 1, r"\p"),
        (r"[a-\d]", "invalid escape sequence", 3, r"\d"),
        ("(?=a)", "invalid perl operator", 0, "(?="),
        ("a(?<!b)", "invalid perl operator", 1, "(?<!"),
        ("(?z)", "invalid perl operator", 0, "(?z"),
        ("(?i-)", "invalid perl operator", 0, "(?i-)"),
        ("(?", "invalid perl operator", 0, "(?"),
        ("(?P=n)", "invalid perl operator", 0, "(?P"),
        ("(?P<>a)", "invalid named capture group", 0, "(?P<>"),
        ("(?<n", "invalid named capture group", 0, "(?<n"),
        ("(?P<\xc3\xa9>a)", "invalid named capture group", 0, "(?P<\xc3\xa9>"),
    ],
)
def test_a_refusal_names_reason_place_and_fragment(pattern: str, reason: str, position: int, fragment: str) -> None:
    with pytest.raises(Re2SyntaxError) as caught:
        parse(pattern)
    assert (caught.value.reason, caught.value.position, caught.value.fragment) == (reason, position, fragment)
    assert str(caught.value) == (f"{reason}: {fragment}" if fragment else reason)


def test_a_character_beyond_bytes_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match=r"U\+00FF"):
        parse("\u0100")


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 20_000 + ")" * 20_000,
        "(?:" * 20_000 + "a" + ")*" * 20_000,
        "(?:a" * 20_000 + ")?" * 20_000,
        "(a|" * 20_000 + ")" * 20_000,
    ],
)
def test_depth_costs_no_recursion(pattern: str) -> None:
    assert fold(parse(pattern), lambda node, below: 1 + sum(below)) > 0


def test_depth_is_kept_in_the_tree() -> None:
    node, depth = parse("(" * 5_000 + "a" + ")" * 5_000), 0
    while below := children(node):
        (node,), depth = below, depth + 1
    assert (node, depth) == (A, 5_000)


class TestByteSet:
    def test_bits_and_ranges_are_two_forms_of_one_set(self) -> None:
        ranges = ((0x00, 0x00), (0x02, 0x09), (0x7F, 0x80), (0xFF, 0xFF))
        assert ByteSet.from_bits(ByteSet(ranges).bits) == ByteSet(ranges)
        assert len(ByteSet(ranges)) == 12
        assert [byte for byte in (0, 1, 2, 9, 10, 0xFE, 0xFF) if byte in ByteSet(ranges)] == [0, 2, 9, 0xFF]

    @pytest.mark.parametrize("ranges", [((1, 0),), ((0, 1), (2, 3)), ((5, 6), (0, 1)), ((0, 256),), ((-1, 0),)])
    def test_disorder_is_refused(self, ranges: tuple[tuple[int, int], ...]) -> None:
        with pytest.raises(ValueError, match="byte ranges"):
            ByteSet(ranges)

    @pytest.mark.parametrize("text", ["", "\u0100"])
    def test_a_literal_is_some_bytes(self, text: str) -> None:
        with pytest.raises(ValueError, match="literal"):
            Literal(text)
