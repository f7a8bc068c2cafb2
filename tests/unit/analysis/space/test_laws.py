"""Sets of texts obey the laws of sets, say of each text what the matcher says, and show the shortest of their texts."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice, product

import pytest
import re2
from hypothesis import event, example, given, reject
from hypothesis import strategies as st

from meshroute.analysis.space import ANY, NOTHING, Condition, Language, automaton, language_of, stretches
from meshroute.analysis.space.automaton import Automaton
from meshroute.analysis.space.stretches import Cuts
from meshroute.conformance.strategies import patterns, tables
from meshroute.match.predicate import path_predicate, text_predicate
from meshroute.match.re2 import Re2SyntaxError
from meshroute.request import Request
from meshroute.table import Absent, Between, Contains, Pattern, Prefix, Segments, Suffix, Template, Tunnel
from meshroute.table import Exact as ExactText
from tests.properties.test_re2 import patterns_and_subjects
from tests.unit.analysis.space.strategies import languages, of_patterns, simple, subjects, words

TEXTS = ["".join(letters) for length in range(5) for letters in product("aA/\n\xff", repeat=length)]
"""Every short text of a few letters."""


def plain(language: Language) -> Automaton:
    """The set as an automaton, whatever it is held as."""
    return language._plain()


class TestAlgebra:
    """The laws of a Boolean algebra, held as equal sets."""

    @given(languages(), languages())
    def test_de_morgan(self, one: Language, other: Language) -> None:
        """Both laws."""
        assert (~(one & other)).same_as(~one | ~other)
        assert (~(one | other)).same_as(~one & ~other)

    @given(languages())
    def test_complement(self, one: Language) -> None:
        """Twice is nothing done; a set and its complement are everything, and have nothing in common."""
        assert (~~one).same_as(one)
        assert (one | ~one).is_everything
        assert (one & ~one).is_empty
        assert not one.same_as(~one)

    @given(languages(), languages())
    def test_absorption(self, one: Language, other: Language) -> None:
        """And that order does not count."""
        assert (one & (one | other)).same_as(one)
        assert (one | (one & other)).same_as(one)
        assert (one & other).same_as(other & one)
        assert (one | other).same_as(other | one)

    @given(languages(), languages(), languages())
    def test_distribution(self, one: Language, other: Language, third: Language) -> None:
        """Of each over the other; and association."""
        assert (one & (other | third)).same_as((one & other) | (one & third))
        assert (one | (other & third)).same_as((one | other) & (one | third))
        assert ((one & other) & third).same_as(one & (other & third))
        assert ((one | other) | third).same_as(one | (other | third))

    @given(languages(), languages())
    def test_difference(self, one: Language, other: Language) -> None:
        """Is what is left without the other, and parts a set in two."""
        assert (one - other).same_as(one & ~other)
        assert ((one - other) | (one & other)).same_as(one)
        assert not (one - other).meets(other)

    @given(languages(), languages(), languages())
    def test_inclusion_is_a_partial_order(self, one: Language, other: Language, third: Language) -> None:
        """Reflexive, antisymmetric, transitive; and it is what the other operations say."""
        assert one <= one
        assert (one <= other and other <= one) == one.same_as(other)
        assert one & other <= one <= one | other
        if one <= other and other <= third:
            event("a chain")
            assert one <= third
        assert (one <= other) == (one - other).is_empty == (one & other).same_as(one)
        assert one.meets(other) == (not (one & other).is_empty)

    @given(st.lists(languages(), max_size=5))
    def test_union_of_many_is_one_union_after_the_other(self, some: list[Language]) -> None:
        """In any order."""
        expected = NOTHING
        for each in some:
            expected |= each
        assert Language.union(some).same_as(expected)
        assert Language.union(reversed(some)).same_as(expected)

    def test_everything_and_nothing(self) -> None:
        """Are each other's complement, and the least and the greatest set."""
        assert (~ANY).is_empty
        assert (~NOTHING).is_everything
        assert Language.everything() is ANY
        assert Language.nothing() is NOTHING
        assert NOTHING.shortest() is None
        assert NOTHING.some(3) == []


class TestMembership:
    """A text is in a set that was made of others exactly where it should be."""

    @given(languages(), languages(), st.lists(subjects, min_size=1, max_size=5))
    def test_operations_are_those_of_their_members(self, one: Language, other: Language, some: list[str]) -> None:
        """Intersection, union, difference and complement."""
        for text in some:
            mine, its = text in one, text in other
            event(f"{mine} {its}")
            assert (text in one & other) == (mine and its)
            assert (text in one | other) == (mine or its)
            assert (text in one - other) == (mine and not its)
            assert (text in ~one) == (not mine)

    @given(languages(), languages(), subjects)
    def test_inclusion_and_equality_are_those_of_their_members(self, one: Language, other: Language, text: str) -> None:
        """A text of the one that is not in the other is found where there is one."""
        found = (one - other).shortest()
        assert (found is None) == (one <= other)
        if found is not None:
            assert found in one
            assert found not in other
        if one <= other and text in one:
            assert text in other
        if one.same_as(other):
            event("the same")
            assert (text in one) == (text in other)


@lru_cache(maxsize=1)
def envoy_options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return options


def oracle(pattern: str, subject: str) -> bool:
    """What RE2 says; a pattern that it refuses is not for these laws."""
    try:
        compiled = re2.compile(pattern.encode("latin-1"), envoy_options())
    except re2.error:
        reject()
    return compiled.fullmatch(subject.encode("latin-1")) is not None


class TestPatterns:
    """A pattern's set has the texts that RE2 itself matches the whole of."""

    @given(patterns_and_subjects())
    @example((r"(?:(?:^.)(?:|a){2,3}$)|b\b", "b"))
    @example((r"(?m)^a$\n^\Bb?$", "a\n"))
    @example((r"a\b", "a"))
    @example((r"\B", ""))
    def test_every_construct(self, case: tuple[str, str]) -> None:
        """Patterns of every construct, with subjects that nearly match."""
        pattern, subject = case
        expected = oracle(pattern, subject)
        event("matches" if expected else "does not match")
        assert (subject in Language.pattern(pattern)) == expected

    @given(patterns.patterns, st.lists(patterns.texts, min_size=1, max_size=5))
    def test_assertions_between_everything(self, pattern: str, some: list[str]) -> None:
        """Patterns with places in them."""
        for text in some:
            assert (text in Language.pattern(pattern)) == oracle(pattern, text)

    @given(patterns_and_subjects(), patterns_and_subjects())
    def test_what_two_patterns_have_in_common(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Witnesses of the intersection and of the difference, asked of RE2."""
        oracle(one[0], ""), oracle(other[0], "")
        first, second = Language.pattern(one[0]), Language.pattern(other[0])
        for witness in (first & second).some(3):
            event("in common")
            assert oracle(one[0], witness)
            assert oracle(other[0], witness)
        for witness in (first - second).some(3):
            event("without")
            assert oracle(one[0], witness)
            assert not oracle(other[0], witness)


whole_numbers = st.integers(-130, 130) | st.sampled_from((-(2**63) - 1, -(2**63), 1 - 2**63, 2**63 - 1, 2**63, 10**18))


@st.composite
def numerals(draw: st.DrawFn) -> str:
    """Numbers as people and their enemies write them."""
    digits = draw(whole_numbers.map(abs).map(str) | st.text(st.sampled_from("019"), max_size=4))
    return draw(st.sampled_from(("", "", "+", "-", "+-", " "))) + "0" * draw(st.integers(0, 3)) + digits


text_conditions = st.one_of(
    tables.text_matches(),
    st.builds(ExactText, words, st.booleans()),
    st.builds(Prefix, words, st.booleans()),
    st.builds(Suffix, words, st.booleans()),
    st.builds(Contains, words, st.booleans()),
    st.builds(Pattern, patterns.patterns),
)
path_conditions = st.one_of(
    tables.path_matches().filter(lambda condition: condition != Tunnel()),
    st.builds(Segments, words, st.booleans()),
    st.builds(
        Template, st.sampled_from(("/", "/a", "/*", "/**", "/a/*/b", "/{x}/b", "/a/{rest=**}", "/a**", "/**.a", "/a*"))
    ),
)
paths = st.one_of(tables.paths, st.text(st.sampled_from("abA/v2;.\xe9"), max_size=8).map("/".__add__))


class TestConditions:
    """The set of a condition is that of the texts for which the engine's own predicate holds."""

    @given(text_conditions, st.lists(subjects | tables.values, min_size=1, max_size=5))
    def test_texts(self, condition: Condition, some: list[str]) -> None:
        """Of headers, parameters and cookies."""
        assert not isinstance(condition, Segments | Template | Tunnel | Absent)
        holds = text_predicate(condition)
        for text in some:
            event(f"{type(condition).__name__} {bool(holds(text))}")
            assert (text in language_of(condition)) == bool(holds(text))

    @given(path_conditions, paths)
    def test_paths(self, condition: Condition, path: str) -> None:
        """Without their queries."""
        assert isinstance(condition, ExactText | Prefix | Pattern | Segments | Template)
        request = Request("GET", "h", path)
        holds = path_predicate(condition)(request)
        event(f"{type(condition).__name__} {holds}")
        assert (request.plain_path in language_of(condition)) == holds

    @given(whole_numbers, whole_numbers, st.lists(numerals(), min_size=1, max_size=5))
    @example(-(2**63), 2**63, ["-9223372036854775808", "9223372036854775807", "9223372036854775808"])
    @example(0, 1, ["-0", "+0", "-00", "", "+", "-1"])
    def test_numbers(self, start: int, end: int, some: list[str]) -> None:
        """Signs, zeros, and numbers that no 64 bits hold."""
        holds = text_predicate(Between(start, end))
        for text in some:
            event(str(holds(text)))
            assert (text in language_of(Between(start, end))) == holds(text)

    @pytest.mark.parametrize("condition", [Absent(), Tunnel()])
    def test_what_is_no_condition_on_a_text(self, condition: Condition) -> None:
        """Is refused."""
        with pytest.raises(TypeError, match="is not a condition on a text"):
            language_of(condition)

    def test_a_template_that_no_pattern_can_be_made_of_is_of_no_path(self) -> None:
        """As the proxy has it."""
        with pytest.raises(Re2SyntaxError):
            Language.pattern("/a**")
        assert language_of(Template("/a**")).is_empty


class TestWitnesses:
    """The shortest texts of a set, in one order."""

    @given(languages())
    def test_nothing_shorter_is_in_the_set(self, language: Language) -> None:
        """By trying all short texts of a few letters; of one length, none of them is more readable."""
        shortest = language.shortest()
        found = min((text for text in TEXTS if text in language), key=automaton.readability, default=None)
        if shortest is None:
            assert found is None
            assert language.is_empty
            return
        assert shortest in language
        assert found is None or automaton.readability(shortest) <= automaton.readability(found)
        if found is not None and set(shortest) <= set("aA/\n\xff"):
            event("tried")
            assert shortest == found

    @given(languages(), st.integers(1, 30))
    def test_some_are_the_first_in_order(self, language: Language, count: int) -> None:
        """Each once, each a member, none left out: what is behind the last of them is all that is left."""
        some = language.some(count)
        assert some == sorted(set(some), key=automaton.readability)
        assert all(text in language for text in some)
        assert some[:1] == [text for text in (language.shortest(),) if text is not None]
        left = language - Language.union(map(Language.exact, some))
        rest = left.shortest()
        if len(some) < count:
            assert rest is None
        elif rest is not None:
            assert automaton.readability(rest) > automaton.readability(some[-1])

    @given(languages())
    def test_the_prefix_is_shared_by_all_and_no_longer_one_is(self, language: Language) -> None:
        """So far as it goes: the set of all that start with it includes the set, that of no longer one does."""
        shared = language.prefix_known
        assert language <= Language.prefix(shared)
        if not language.is_empty:
            assert all(not language <= Language.prefix(shared + chr(byte)) for byte in range(256))

    def test_readable_ones_come_first(self) -> None:
        """Letters, digits, other printable characters, other bytes."""
        assert Language.pattern("(?s).").some(4) == ["a", "b", "c", "d"]
        assert Language.pattern("[^a-z]").some(2) == ["0", "1"]
        assert Language.pattern("[^a-z0-9]").shortest() == "A"
        assert Language.pattern("[^a-zA-Z0-9]").some(2) == ["!", '"']
        assert Language.pattern(r"[^!-~]").some(2) == ["\x00", "\x01"]


class TestTwins:
    """Stretches and automata are two ways to hold one set: they say the same."""

    @given(simple(), simple(), subjects)
    def test_stretches_and_automata_agree(self, one: Language, other: Language, text: str) -> None:
        """In every operation; the same automaton comes out by both ways."""
        first, second = plain(one), plain(other)
        assert plain(one & other) == automaton.both(first, second)
        assert plain(one | other) == automaton.either(first, second)
        assert plain(one - other) == automaton.both(first, automaton.complement(second))
        assert plain(~one) == automaton.complement(first)
        assert one.meets(other) == automaton.meets(first, second)
        assert (one <= other) == (not automaton.meets(first, automaton.complement(second)))
        assert (text in one) == first.takes(text)
        assert one.prefix_known == first.shared_prefix()
        assert one.shortest() == first.shortest()
        assert one.some(20) == list(islice(first.members(), 20))

    @given(simple(), of_patterns())
    def test_one_of_each(self, one: Language, other: Language) -> None:
        """Short cuts for mixed pairs lead where the plain way does."""
        first, second = plain(one), plain(other)
        for left, right, here, there in ((one, other, first, second), (other, one, second, first)):
            assert plain(left & right) == automaton.both(here, there)
            assert plain(left | right) == automaton.either(here, there)
            assert plain(left - right) == automaton.both(here, automaton.complement(there))
            assert left.meets(right) == automaton.meets(here, there)
            assert (left <= right) == (not automaton.meets(here, automaton.complement(there)))

    @given(st.lists(words, max_size=6).map(set).map(sorted).map(tuple))
    def test_any_cuts_survive_the_way_there_and_back(self, cuts: Cuts) -> None:
        """To an automaton, and to stretches again."""
        assert automaton.to_stretches(automaton.of_stretches(cuts)) == cuts

    @example(Language.exact("AA").either(Language.pattern("^|.")))  # one beginning more than are walked along
    @given(languages())
    def test_a_set_is_held_as_stretches_where_it_can_be(self, language: Language) -> None:
        """An automaton is kept only for what has no end of cuts; a walk shows those with at most 256 beginnings."""
        cuts = automaton.to_stretches(plain(language))
        if language._cuts is None:
            assert cuts is None
            return
        begin = {cut[:length] for cut in language._cuts for length in range(len(cut))}
        assert cuts == (language._cuts if len(begin) <= automaton._MOST_VISITED else None)

    @given(languages(), languages())
    def test_equal_sets_have_equal_automata(self, one: Language, other: Language) -> None:
        """And unequal sets unequal ones: minimal automata are numbered in one way."""
        assert (plain(one) == plain(other)) == (one <= other and other <= one)

    @given(languages())
    def test_automata_are_minimal(self, language: Language) -> None:
        """Parted by what they accept, then by where they lead until nothing parts any more, all states stand alone.

        All can be reached, and no two classes of bytes are alike.
        """
        made = plain(language)
        blocks: list[object] = list(made.accepts)
        for _ in made.rows:
            numbers: dict[object, int] = {}
            blocks = [
                numbers.setdefault((blocks[state], tuple(blocks[after] for after in row)), state)
                for state, row in enumerate(made.rows)
            ]
        assert len(set(blocks)) == len(made.rows)
        assert len(set(zip(*made.rows, strict=True))) == len(made.rows[0])
        met = [0]
        for state in met:
            met += [after for after in dict.fromkeys(made.rows[state]) if after not in met]
        assert met == list(range(len(made.rows)))

    @given(simple(), simple())
    def test_cuts_count(self, one: Language, other: Language) -> None:
        """Merging two is what merging many does with two."""
        assert one._cuts is not None
        assert other._cuts is not None
        assert stretches.union(one._cuts, other._cuts) == stretches.union_of_all([one._cuts, other._cuts])
