"""RE2-1 to RE2-12: our RE2 against RE2 itself, over bytes.

The oracle is google-re2 set as Envoy sets it: encoding Latin-1, all else default. Clauses: spec/re2.md.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache

import pytest
import re2
from hypothesis import event, example, given, reject
from hypothesis import strategies as st

from meshroute.match.re2 import Re2SyntaxError, compile_full, parse
from meshroute.match.re2.automaton import Automaton
from meshroute.match.re2.nfa import build
from meshroute.match.re2.program import program_size, program_size_ceiling
from meshroute.match.re2.translate import translate

# --- the oracle


@lru_cache(maxsize=1)
def envoy_options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return options


def oracle(pattern: str) -> tuple[re2._Regexp | None, bytes]:
    """RE2's compiled pattern, or None and its words."""
    try:
        return re2.compile(pattern.encode("latin-1"), envoy_options()), b""
    except re2.error as refusal:
        return None, refusal.args[0]


def accepted(pattern: str) -> re2._Regexp:
    """RE2's compiled pattern; a pattern that it refuses is not for this law."""
    compiled, _ = oracle(pattern)
    return compiled if compiled is not None else reject()


def oracle_matches(compiled: re2._Regexp, subject: str) -> bool:
    return compiled.fullmatch(subject.encode("latin-1")) is not None


def refusal_of(pattern: str) -> Re2SyntaxError | None:
    try:
        parse(pattern)
    except Re2SyntaxError as refusal:
        return refusal
    return None


def assert_refused_alike(pattern: str) -> None:
    compiled, words = oracle(pattern)
    event("accepted" if compiled else words.split(b":")[0].decode())
    refusal = refusal_of(pattern)
    if refusal is None:
        assert compiled is not None, words
        return
    # RE2 turns the pattern into UTF-8 to parse it, and quotes that unless it quotes the whole pattern.
    assert words in (str(refusal).encode("latin-1"), str(refusal).encode())
    if refusal.fragment != pattern:
        assert pattern.startswith(refusal.fragment, refusal.position)


# --- strategies: a pattern travels with a subject that it might match, so that near misses are near

Case = tuple[str, str]

# One atom per construct. Letters are few, so that pieces meet; k folds to a letter beyond Latin-1 in Unicode.
ATOMS: tuple[Case, ...] = (
    ("a", "a"),
    ("b", "b"),
    ("k", "k"),
    ("K", "K"),
    ("ab", "ab"),
    (".", "a"),
    ("-", "-"),
    (" ", " "),
    ("\n", "\n"),
    ("\xe9", "\xe9"),
    ("\xc3\xa9", "\xc3\xa9"),
    ("\xb5", "\xb5"),
    ("\xff", "\xff"),
    ("\x00", "\x00"),
    (r"\d", "7"),
    (r"\D", "a"),
    (r"\s", "\t"),
    (r"\S", "\v"),
    (r"\w", "_"),
    (r"\W", "\n"),
    (r"\pL", "\xaa"),
    (r"\p{Lu}", "\xc0"),
    (r"\p{^Lu}", "k"),
    (r"\PN", "\n"),
    (r"\p{Greek}", ""),
    (r"\P{Han}", "a"),
    (r"\p{Any}", "\x80"),
    (r"\p{Latin}", "\xba"),
    (r"[\pN\s]", "\xb2"),
    (r"[^\P{Ll}k]", "\xdf"),
    ("[a-c]", "b"),
    ("[^a]", "\n"),
    ("[]a]", "]"),
    ("[^]a]", "a"),
    ("[a-]", "-"),
    (r"[a\-z]", "z"),
    (r"[\d_-]", "-"),
    ("[[:alpha:]]", "k"),
    ("[[:^digit:]]", "\xff"),
    ("[[:space:]b]", "\v"),
    ("[[:word:]]", "_"),
    ("[\x80-\xff]", "\x80"),
    (r"[^\x00-\xff]", ""),
    (r"[k-m\n]", "k"),
    ("[^k]", "K"),
    ("[A-z]", "["),
    ("[&&a]", "&"),
    ("[a||b]", "|"),
    ("[+--]", ","),
    (r"\x41", "A"),
    (r"\x{e9}", "\xe9"),
    (r"\101", "A"),
    (r"\0", "\x00"),
    (r"\.", "."),
    (r"\_", "_"),
    (r"\v", "\v"),
    (r"\C", "\xff"),
    (r"\Qa.b\E", "a.b"),
    (r"\Q\E", ""),
    ("{", "{"),
    ("{,2}", "{,2}"),
    ("a{02}", "a{02}"),
    ("^", ""),
    ("$", ""),
    (r"\A", ""),
    (r"\z", ""),
    (r"\b", ""),
    (r"\B", ""),
    ("(?m)$\n^", "\n"),
    ("(?i)", ""),
    ("(?-i)", ""),
    ("(?s)", ""),
    ("(?m)", ""),
    ("(?U)", ""),
    ("(?:)", ""),
    ("()", ""),
    ("", ""),
)
OPENINGS = ("(", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?-i:", "(?is-m:", "(?P<n>", "(?<n>", "(?P<_1>")
# How a body is repeated, and how often the example follows suit.
TIMES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("*", (0, 1, 3)), ("+", (1, 2)), ("?", (0, 1)), ("*?", (0, 2)), ("+?", (1, 3)), ("??", (0, 1)),
    ("{2}", (2,)), ("{0}", (0,)), ("{1,}", (1, 4)), ("{0,1}", (0, 1)), ("{2,3}?", (2, 3)),
    ("{0,}", (0, 2)), ("{3,5}", (3, 5)),
)  # fmt: skip


def joined(cases: list[Case]) -> Case:
    return "".join(pattern for pattern, _ in cases), "".join(subject for _, subject in cases)


def repeated(body: Case, grouped: bool, times: tuple[str, int]) -> Case:
    operator, count = times
    return (f"(?:{body[0]}){operator}" if grouped else body[0] + operator), body[1] * count


def pattern_cases(atoms: tuple[Case, ...], openings: tuple[str, ...]) -> st.SearchStrategy[Case]:
    """Patterns over the atoms. A dozen leaves reach every pair of neighbours and loops in loops."""
    times = st.sampled_from([(operator, count) for operator, counts in TIMES for count in counts])

    def extend(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
        return st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(joined),
            st.builds(lambda opening, case: (f"{opening}{case[0]})", case[1]), st.sampled_from(openings), inner),
            st.builds(lambda left, right: (f"(?:{left[0]}|{right[0]})", right[1]), inner, inner),
            st.builds(lambda left, right: (f"{left[0]}|{right[0]}", left[1]), inner, inner),
            st.builds(repeated, inner, st.booleans(), times),
        )

    return st.recursive(st.sampled_from(atoms), extend, max_leaves=12)


patterns = pattern_cases(ATOMS, OPENINGS)

FRAGMENTS = (
    *"()[]{}|*+?^$.\\-:,<>=!", *"PpQEbBAzZCxdsw", *"0123456789", "\xe9", "[:", ":]", "(?", "(?P<", r"\p{", r"\x{", "[^",
    "{1", "999", "{1000}", "{2}", "**", "(?i", r"\8", r"\12", r"\377", r"\400", "[[:alpha:]", "a-", "z-a",
)  # fmt: skip


@st.composite
def broken_patterns(draw: st.DrawFn) -> str:
    """A good pattern with one to three edits at its metacharacters' expense: some still parse."""
    pattern, _ = draw(patterns)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(pattern)))
        removed = draw(st.integers(0, 2))
        pattern = pattern[:at] + draw(st.sampled_from(FRAGMENTS)) * draw(st.integers(0, 1)) + pattern[at + removed :]
    return pattern


EDITS = "a\nkK\x80\xe9\xff_0 -\x00;"


@st.composite
def patterns_and_subjects(draw: st.DrawFn) -> Case:
    """A pattern and a subject that matches it, nearly matches it, or has nothing to do with it."""
    pattern, subject = draw(patterns)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(subject)))
        subject = (
            subject[:at]
            + draw(st.sampled_from(EDITS)) * draw(st.integers(0, 1))
            + subject[at + draw(st.integers(0, 1)) :]
        )
    return pattern, subject


one_byte = st.integers(0, 255).map(chr)


class TestRe2Strategies:
    """The strategies reach what the laws are about."""

    def test_most_example_subjects_match(self) -> None:
        found = {"match": 0, "miss": 0}
        for pattern, subject in ATOMS:
            compiled, _ = oracle(pattern)
            assert compiled is not None, pattern
            found["match" if oracle_matches(compiled, subject) else "miss"] += 1
        assert found["match"] > 50
        assert found["miss"] > 3


class TestRe23Refusal:
    """RE2-3: a pattern is refused exactly when RE2 refuses it, with RE2's reason and the piece it quotes."""

    @given(st.one_of(broken_patterns(), patterns.map(lambda case: case[0])))
    @example("a**")
    @example("(?P<n>a)(?P<n>b)")
    @example("\\x{")
    def test_refusals_agree(self, pattern: str) -> None:
        assert_refused_alike(pattern)

    @given(st.text(st.sampled_from(string.punctuation + "a1\n\xe9"), max_size=12))
    def test_refusals_agree_on_punctuation(self, pattern: str) -> None:
        assert_refused_alike(pattern)

    @given(st.text(string.ascii_letters + "_&^", max_size=4), st.sampled_from("pP"))
    def test_class_names_agree(self, name: str, kind: str) -> None:
        assert_refused_alike(rf"\{kind}{{{name}}}")


class TestRe24Classes:
    """RE2-4, RE2-5, RE2-6: an atom takes the bytes that RE2 lets it take, folded or not."""

    @given(st.sampled_from(ATOMS), st.sampled_from(["", "(?i)", "(?s)", "(?is)"]), one_byte)
    def test_one_byte(self, atom: Case, flags: str, subject: str) -> None:
        compiled, _ = oracle(flags + atom[0])
        assert compiled is not None
        assert compile_full(flags + atom[0]).matches_all_of(subject) == oracle_matches(compiled, subject)

    @given(one_byte, one_byte, st.booleans(), st.booleans(), one_byte)
    def test_ranges(self, low: str, high: str, negated: bool, folded: bool, subject: str) -> None:
        low, high = min(low, high), max(low, high)
        pattern = f"{'(?i)' if folded else ''}[{'^' if negated else ''}\\x{ord(low):02x}-\\x{ord(high):02x}]"
        compiled, _ = oracle(pattern)
        assert compiled is not None
        assert compile_full(pattern).matches_all_of(subject) == oracle_matches(compiled, subject)


class TestRe22FullMatch:
    """RE2-2, RE2-7, RE2-8, RE2-9, RE2-10: the whole subject matches exactly when RE2 says so, by every means."""

    @given(patterns_and_subjects())
    @example((r"(?:(?:^.)(?:|a){2,3}$)|b\b", "b"))
    def test_full_match_agrees(self, case: Case) -> None:
        pattern, subject = case
        expected = oracle_matches(accepted(pattern), subject)
        event("matches" if expected else "does not match")
        tree = parse(pattern)
        ours = compile_full(pattern)
        event(ours.means)
        assert ours.matches_all_of(subject) == expected
        assert Automaton(build(tree, max_size=10**6)).matches(subject) == expected
        # Ten bytes keep the backtracker quick even where engine.py would not let it near.
        if len(subject) <= 10:
            assert (re.compile(translate(tree)).fullmatch(subject) is not None) == expected


class TestRe21Bytes:
    """RE2-1: a pattern's bytes are its characters, and a character of a pattern matches one byte."""

    @given(st.text(one_byte, min_size=1, max_size=4), st.text(one_byte, max_size=4))
    def test_a_class_of_one_byte_takes_that_byte(self, wanted: str, subject: str) -> None:
        """Spelt as it is or in hexadecimal; as many bytes as characters."""
        pattern = "".join(f"[\\x{ord(char):02x}]" for char in wanted)
        assert compile_full(pattern).matches_all_of(wanted)
        assert compile_full(pattern).matches_all_of(subject) == (subject == wanted)
        assert compile_full("(?s)" + "." * len(wanted)).matches_all_of(subject) == (len(subject) == len(wanted))

    @given(st.characters(min_codepoint=0x100, exclude_categories=["Cs"]))
    def test_a_character_that_is_no_byte_is_the_caller_s_mistake(self, char: str) -> None:
        """In a pattern and in a subject."""
        with pytest.raises(ValueError, match="wire form"):
            compile_full(char)
        with pytest.raises(ValueError, match="wire form"):
            compile_full("(a|b)*c+").matches_all_of("abc" + char)


class TestRe212Time:
    """RE2-12: matching takes time linear in the subject, and an answer does not depend on which were asked before."""

    @given(patterns_and_subjects(), st.lists(st.text(st.sampled_from(EDITS), max_size=6), max_size=4))
    def test_an_answer_does_not_depend_on_earlier_ones(self, case: Case, others: list[str]) -> None:
        """A matcher that has been asked, and one that is new."""
        pattern, subject = case
        accepted(pattern)
        used = compile_full(pattern)
        for other in others:
            used.matches_all_of(other)
        # Past the cache of compile_full, so that it really is another one.
        assert used.matches_all_of(subject) == compile_full.__wrapped__(pattern).matches_all_of(subject)

    @given(patterns_and_subjects(), st.integers(1, 40))
    def test_steps_are_bounded_by_machine_and_subject(self, case: Case, times: int) -> None:
        """Counted: never more than the machine's size for each byte, however the subject repeats itself."""
        pattern, subject = case
        accepted(pattern)
        machine = build(parse(pattern), max_size=10**6)
        text = subject * times
        assert Automaton(machine).steps(text) <= 6 * (len(machine.instructions) + 2) * (len(text) + 1)


# What the tree keeps of spelling: see program.py and KNOWN_DIFFERENCES in test_program.py.
FORGOTTEN = (r"\C", r"\P{Han}", r"\p{Any}", r"\z", "(?i)", "(?-i)", "(?s)", "(?m)", "(?m)$\n^", "(?U)", r"\Q\E", "(?:)")
sized_patterns = st.builds(
    lambda flags, case: flags + case[0],
    st.sampled_from(["", "", "(?s)", "(?m)", "(?U)"]),
    pattern_cases(tuple(case for case in ATOMS if case[0] not in FORGOTTEN), ("(", "(?:", "(?P<n>")),
)


class TestRe211Size:
    """RE2-11: the size of a pattern is that of RE2's program, where the tree keeps the spelling it depends on."""

    @given(sized_patterns)
    @example("(?i)(?:abc|abd)+x{2,3}")
    def test_sizes_agree(self, pattern: str) -> None:
        compiled = accepted(pattern)
        size = program_size(parse(pattern))
        assert size == compiled._regexp.ProgramSize()
        assert size <= program_size_ceiling(parse(pattern))
