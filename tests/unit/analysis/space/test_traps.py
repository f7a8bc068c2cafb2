"""Where sets of texts could go wrong in silence or take for ever: bounds, refusals, corners that laws seldom meet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshroute.analysis.space import ANY, NOTHING, Language, TooManyStates, language_of
from meshroute.match.predicate import whole_number
from meshroute.match.re2 import Re2SyntaxError
from meshroute.table import Pattern, Prefix, TableError, Template

EVERY_BYTE = "".join(map(chr, range(256)))


class TestBounds:
    """What is too large ends in TooManyStates, and soon."""

    @pytest.mark.parametrize(
        "regex",
        [
            "(a|b)*a(a|b){12}",
            "(a|b)*a(a|b){200}",
            ".*a.{900}",
            "(.*a.{20}){3}",
            "(a?){900}(b?){900}",
            "[^/]*(foo[^/]*bar|b[^/]*[a-f]{30}[^/]*z){4}",
        ],
    )
    def test_a_pattern_that_blows_up(self, regex: str) -> None:
        """Two to the power of thirteen states and more, or steps without number between few states."""
        with pytest.raises(TooManyStates, match=r"more than (4000 states|1000000 steps)"):
            Language.pattern(regex)

    @pytest.mark.parametrize(
        ("regex", "states"),
        [
            (".*a.{9}", 1_025),
            ("(.*,){30}x.*", 33),
            ("(?:a?b?c?d?e?f?){40}g", 243),
            ("(a+)+$", 3),
            ("(a|a)*b", 3),
            ("(.*)*x", 3),
            ("(.*a){20}", 22),
        ],
    )
    def test_a_pattern_that_looks_bad_and_is_not(self, regex: str, states: int) -> None:
        """A state for each thing that a matcher has to know, and the one that leads nowhere."""
        assert repr(Language.pattern(regex)).endswith(f", {states} states>")

    def test_a_bound_is_exact(self) -> None:
        """Of a pattern: its states before those alike are put together, the one that leads nowhere included."""
        assert Language.pattern("abc*", most_states=4) <= Language.prefix("ab")
        with pytest.raises(TooManyStates, match="more than 3 states"):
            Language.pattern("abc*", most_states=3)

    def test_operations_have_bounds(self) -> None:
        """Of their own choice, or the common one."""
        one, other = Language.pattern("(a{199})*"), Language.pattern("(a{103})*")
        for operation in (one.both, one.either, one.without, (one - Language.exact("")).meets):
            with pytest.raises(TooManyStates, match="more than 1000 states"):
                operation(other, most_states=1_000)
        with pytest.raises(TooManyStates, match="more than 20000 states"):
            _ = one & other
        with pytest.raises(TooManyStates, match="more than 1000 states"):
            Language.union((one, other), most_states=1_000)
        # Not every question needs all of it.
        assert not one.within(other, most_states=1_000)

    def test_a_long_text_is_too_many_states(self) -> None:
        """One for each of its characters; what needs no automaton has no bound."""
        long = "a" * 30_000
        for make in (Language.suffix, Language.contains):
            with pytest.raises(TooManyStates, match="more than 20000 states"):
                make(long)
        with pytest.raises(TooManyStates, match="more than 20000 states"):
            Language.prefix(long, ignore_case=True)
        assert Language.prefix(long) <= Language.prefix(long[1:])
        assert Language.exact(long).shortest() == long

    def test_a_text_that_repeats_itself_is_no_worse_than_another(self) -> None:
        """Work is linear in the text."""
        assert "b" + "a" * 3_000 in Language.contains("a" * 3_000)
        assert "a" * 2_999 + "b" + "a" * 2_999 not in Language.contains("a" * 3_000)

    def test_many_classes_count_too(self) -> None:
        """States times classes of bytes is bounded."""
        words = Language.union(Language.exact(chr(at) + EVERY_BYTE[at:] + EVERY_BYTE[:at]) for at in range(256))
        with pytest.raises(TooManyStates, match="more than 1000000 transitions"):
            (words | Language.prefix("\x00")).some(1000)

    def test_a_large_table_beside_a_pattern(self) -> None:
        """Of ten thousand routes only those count that begin as the pattern does."""
        routes = Language.union(Language.prefix(f"/{at:06d}/of/{at * 7919 % 10_007}/or/{at:x}") for at in range(10_000))
        with pytest.raises(TooManyStates):
            routes.some(2)
        pattern = Language.pattern("/00123[0-9]/.*")
        assert len((pattern & routes).some(20)) == 20
        assert (pattern & routes).prefix_known == "/00123"
        assert not pattern <= routes
        assert (pattern - routes).shortest() == "/001230/"
        known = 1234 * 7919 % 10_007
        assert Language.pattern(f"/001234/of/{known}/or/4d2x+") <= routes
        assert not Language.pattern(f"/001234/of/{known + 1}/or/4d2x+").meets(routes)
        assert routes.meets(pattern)


class TestRefusals:
    """Callers' mistakes, and what a proxy would refuse."""

    @pytest.mark.parametrize("make", [Language.exact, Language.prefix, Language.suffix, Language.contains])
    def test_a_character_that_is_no_byte(self, make: Callable[[str], Language]) -> None:
        """In what a set is made of, and in what it is asked for."""
        with pytest.raises(ValueError, match="wire form"):
            make("\u0100")
        with pytest.raises(ValueError, match="wire form"):
            "\u0100" in ANY  # noqa: B015 (the question is what raises)
        with pytest.raises(ValueError, match="wire form"):
            "\u0100" in make("a")  # noqa: B015

    def test_patterns_and_templates(self) -> None:
        """As when a table is prepared."""
        with pytest.raises(Re2SyntaxError):
            language_of(Pattern("a**"))
        with pytest.raises(Re2SyntaxError, match="program size"):
            language_of(Pattern("(?:abcdefghij){1000}" * 5))
        with pytest.raises(TableError, match="Invalid pattern"):
            language_of(Template("a"))
        with pytest.raises(ValueError, match="wire form"):
            Language.pattern("\u0100")


class TestTexts:
    """Each kind of set, by its corners."""

    def test_a_prefix_of_last_bytes_has_no_end(self) -> None:
        """Nothing is behind the texts that start with it."""
        assert "\xff" * 9 in Language.prefix("\xff")
        assert "\xff" not in Language.prefix("\xff\xff")
        assert (Language.prefix("a\xff") & Language.prefix("b")).is_empty
        assert Language.prefix("a\xff").prefix_known == "a\xff"
        assert (~Language.prefix("\xff")).some(2) == ["", "a"]

    def test_neighbours(self) -> None:
        """A text and the next are one stretch, and two members all the same."""
        both = Language.exact("a") | Language.exact("a\0")
        assert both.some(9) == ["a", "a\0"]
        assert both.prefix_known == "a"
        assert "a\0\0" not in both

    def test_the_empty_text(self) -> None:
        """Begins, ends and is in every text; alone it is a set like others."""
        for make in (Language.prefix, Language.suffix, Language.contains):
            assert make("").is_everything
            assert make("", ignore_case=True).is_everything
        assert Language.exact("", ignore_case=True).some(9) == [""]
        assert Language.segments("").some(3) == ["", "/", "/a"]
        assert Language.pattern("").same_as(Language.exact(""))

    def test_case(self) -> None:
        """Only where there are letters, and ASCII letters only."""
        assert Language.exact("/1\xe9", ignore_case=True).same_as(Language.exact("/1\xe9"))
        assert Language.exact("aB", ignore_case=True).some(9) == ["ab", "aB", "Ab", "AB"]
        assert Language.segments("/aB", ignore_case=True).same_as(Language.pattern("(?is)/ab(/.*)?"))
        assert "\xc9" not in Language.contains("\xe9a", ignore_case=True)
        assert "xK" not in Language.prefix("\x0b", ignore_case=True)

    @pytest.mark.parametrize("text", ["a", "aab", "abab", "aaaa", "ab/ab/a", "\xff\xffa", "\n", "aAa", EVERY_BYTE])
    @pytest.mark.parametrize("ignore_case", [False, True])
    def test_texts_by_another_way(self, text: str, ignore_case: bool) -> None:
        """As patterns, where every byte is a member of its own."""
        quoted = ("(?is)" if ignore_case else "(?s)") + "%s" + "".join(rf"\x{ord(char):02x}" for char in text) + "%s"
        assert Language.exact(text, ignore_case).same_as(Language.pattern(quoted % ("", "")))
        assert Language.prefix(text, ignore_case).same_as(Language.pattern(quoted % ("", ".*")))
        assert Language.suffix(text, ignore_case).same_as(Language.pattern(quoted % (".*", "")))
        assert Language.contains(text, ignore_case).same_as(Language.pattern(quoted % (".*", ".*")))

    def test_numbers_by_trying_them(self) -> None:
        """With signs and zeros before them, up to 120, against bounds about zero and about powers of ten."""
        written = [sign + zeros + str(at) for sign in ("", "+", "-") for zeros in ("", "0", "00") for at in range(121)]
        for start in (*range(-3, 4), -25, 25):
            for end in (*range(-3, 4), -24, 10, 11, 26, 99, 100, 101, 130):
                numbers = Language.of_numbers(start, end)
                expected = {text for text in written if start <= int(text) < end}
                assert {text for text in written if text in numbers} == expected
                assert numbers.is_empty == (start >= end)
                assert all(
                    text not in numbers for text in ("", "+", "-", "--1", "1 ", " 1", "1\n", "0x1", "1.0", "\xb2")
                )

    def test_numbers_of_64_bits(self) -> None:
        """The least and the greatest; what is beyond is no number, whatever the bounds."""
        all_of_them = Language.of_numbers(-(2**70), 2**70)
        for text in ("-9223372036854775808", "+9223372036854775807", "-009223372036854775808"):
            assert whole_number(text) is not None
            assert text in all_of_them
        for text in ("-9223372036854775809", "9223372036854775808", "10000000000000000000"):
            assert whole_number(text) is None
            assert text not in all_of_them
        assert all_of_them.same_as(Language.of_numbers(-(2**63), 2**63))
        assert Language.of_numbers(2**63, 2**64).is_empty

    def test_thousands_of_digits(self) -> None:
        """Zeros before a number count for nothing, however many there are; other digits make it too large."""
        assert (whole_number("-" + "0" * 5_000 + "1"), whole_number("1" * 5_000)) == (-1, None)
        assert Language.of_numbers(-(2**64), -(2**63)).is_empty
        assert Language.of_numbers(0, 2**63) - Language.of_numbers(0, 7) <= Language.of_numbers(7, 2**64)
        assert "0" * 6_000 + "5" in Language.of_numbers(5, 6)

    def test_a_pattern_that_is_simple_is_held_so(self) -> None:
        """Alternatives of texts, literals between anchors."""
        assert Language.pattern("^/a$").same_as(Language.exact("/a"))
        assert Language.pattern("/(a|b)/c").some(9) == ["/a/c", "/b/c"]
        assert Language.pattern("/api(?s:/.*)?").same_as(Language.segments("/api"))
        assert not Language.pattern("/api(/.*)?").same_as(Language.segments("/api"))
        assert (Language.segments("/api") - Language.pattern("/api(/.*)?")).shortest() == "/api/\n"

    def test_assertions(self) -> None:
        """Look at both sides of a place, at the ends of a text and of a line."""
        assert Language.pattern(r"a\bb").is_empty
        assert Language.pattern(r"(?m)a$.b").is_empty
        assert Language.pattern("(?ms)a$.b").some(9) == ["a\nb"]
        assert Language.pattern(r"(?s).*\bfoo\b.*").some(2) == ["foo", "foo!"]
        assert Language.pattern(r"(?s)\B.*\B").some(3) == ["", "!", '"']
        assert Language.pattern(r"$^").some(2) == [""]
        assert Language.pattern(r"a\z\n?").some(2) == ["a"]

    def test_values(self) -> None:
        """One condition is one object for as long as it is kept; hashes are of the object."""
        assert language_of(Prefix("/a")) is language_of(Prefix("/a"))
        assert language_of(Prefix("/a")) is not language_of(Prefix("/a", ignore_case=True))
        assert len({Language.exact("a"), Language.exact("b"), NOTHING}) == 3
        assert repr(Language.exact("/a")) == "<Language from '/a' on, 2 cuts>"
        assert repr(Language.pattern("/a+")) == "<Language from '/a' on, 4 states>"
