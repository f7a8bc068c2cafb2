"""The automaton: answers at every kind of place, a bounded memory, and steps that grow with the subject only."""

from __future__ import annotations

import pytest

from meshroute.match.re2 import automaton as automaton_module
from meshroute.match.re2.automaton import Automaton
from meshroute.match.re2.nfa import ACCEPT, MachineTooLarge, build, expanded_size
from meshroute.match.re2.parser import parse

LIMIT = 32_768


def automaton(pattern: str) -> Automaton:
    return Automaton(build(parse(pattern), max_size=LIMIT))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", [""], ["a", "\n"]),
        ("a|bc", ["a", "bc"], ["", "b", "abc"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("(?:a{0,2}b){2}", ["bb", "aabab"], ["b", "aaabb"]),
        ("(?:a*)*?b", ["b", "aab"], ["a", "ba"]),
        ("(?:|a)+", ["", "aa"], ["b"]),
        (r"\p{Greek}*", [""], ["a"]),
        (r"\p{Greek}|a", ["a"], [""]),
        (r"a\b.*", ["a", "a-", "a\xe9"], ["ab", "a_", "a0"]),
        (r"a\B.+", ["ab", "a_"], ["a-", "a"]),
        (r"\b", [], ["", "a"]),
        (r"\B", [""], ["a"]),
        (r"(?m)a$\n^b", ["a\nb"], ["ab", "a\n\nb"]),
        (r"(?m)(?:^a$\n?)+", ["a", "a\na\n"], ["aa", "a\n\na"]),
        (r"a\z", ["a"], ["a\n"]),
        (r"a$", ["a"], ["a\n"]),
        (r"(?:^a)+", ["a"], ["aa", ""]),
        (r"(?:a$)*", ["", "a"], ["aa"]),
        (r"[\x80-\xff]+", ["\x80\xff"], ["\x7f", ""]),
    ],
)
def test_it_answers_for_the_whole_subject(pattern: str, yes: list[str], no: list[str]) -> None:
    asked = automaton(pattern)
    # Twice: the second time the states are there already.
    for _ in range(2):
        assert [each for each in yes if not asked.matches(each)] == []
        assert [each for each in no if asked.matches(each)] == []


HOSTILE = {
    "(a+)+$": "a",
    "(a|a)*b": "a",
    "(.*)*x": "y",
    "(a*)*b": "a",
    "(.*a){20}": "a",
    r"\s*\s*\s*\s*x": " ",
    "(x+x+)+y": "x",
    "(?:a?){30}a{30}b": "a",
    "(.*)(.*)(.*)(.*)(.*)(.*)z": "y",
    "(?:(?:(?:a*)*)*)*b": "a",
    r"(?:\b\w*\b\s*)*!": "ab ",
    "(.*a.{12})*": "ab",
}


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize("tail", ["", "\n", "!"])
def test_twice_the_subject_is_at_most_twice_the_steps(pattern: str, tail: str) -> None:
    asked, piece = automaton(pattern), HOSTILE[pattern]
    once = piece * (8_192 // len(piece))
    # Building the states is the constant. It is paid once, because no subject here needs more than are kept.
    assert asked.steps(once * 2 + tail) <= 2 * asked.steps(once + tail)
    assert asked.steps(once * 8 + tail) - asked.steps(once * 4 + tail) <= len(once) * 4


def test_steps_are_bounded_by_machine_times_subject_even_when_states_do_not_repeat() -> None:
    # Each of the 2**13 windows of a's and b's is a state of its own, far more than are kept.
    pattern, size = "(?:a|b)*a(?:a|b){12}", expanded_size(parse("(?:a|b)*a(?:a|b){12}"))
    # The multiplier gives a text without short period.
    text = "".join("ab"[(index * index * 2_654_435_761 >> 16) & 1] for index in range(8_192))
    asked = automaton(pattern)
    assert asked.steps(text) <= 6 * (size + 2) * (len(text) + 1)
    assert asked.matches(text) == (text[-13] == "a")


def test_forgetting_states_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["".join("ab"[seed >> bit & 1] for bit in range(12)) for seed in range(0, 4_096, 7)]
    roomy = automaton("(?:a|b)*a(?:a|b){5}")
    expected = [roomy.matches(each) for each in texts]
    assert expected == [each[-6] == "a" for each in texts]
    for bound, most in (("_MAX_STATES", 1), ("_MAX_STATES", 2), ("_MAX_STATES", 10), ("_MAX_LISTED", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(automaton_module, bound, most)
            cramped = automaton("(?:a|b)*a(?:a|b){5}")
            assert [cramped.matches(each) for each in texts] == expected


def test_what_is_kept_is_bounded() -> None:
    asked = automaton("(?:a|b)*a(?:a|b){14}")
    text = "".join("ab"[(index * index * 2_654_435_761 >> 16) & 1] for index in range(20_000))
    asked.matches(text)
    assert len(asked._states) <= automaton_module._MAX_STATES


def test_large_states_are_kept_in_smaller_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automaton_module, "_MAX_LISTED", 500)
    asked = automaton("(?:a|b)*a(?:a|b){50}")
    asked.matches("".join("ab"[(index * index * 2_654_435_761 >> 16) & 1] for index in range(2_000)))
    # One state more than the bound, of at most fifty-two instructions and the branch.
    assert sum(len(state.instructions) for state in asked._states.values()) <= 500 + 53


class TestMachine:
    def test_instruction_zero_accepts(self) -> None:
        machine = build(parse(""), max_size=1)
        assert machine.start == ACCEPT

    def test_bytes_fall_into_as_few_classes_as_the_pattern_tells_apart(self) -> None:
        assert len(build(parse("[a-z][m-z]"), max_size=9).sample) == 3
        assert len(build(parse("(?s)."), max_size=9).sample) == 1
        assert len(build(parse(r"(?s).\b(?m)^"), max_size=9).sample) == 3

    @pytest.mark.parametrize(
        ("pattern", "size"),
        [("abc", 3), ("a{1000}", 1000), ("a{2,5}", 8), ("a{3,}", 4), ("a*", 2), ("a+", 2), ("()", 1), ("a|b", 3)],
    )
    def test_size_is_known_before_building(self, pattern: str, size: int) -> None:
        assert expanded_size(parse(pattern)) == size

    @pytest.mark.parametrize("pattern", ["(.{1000})" * 100, "(){1000}" * 100, "(?:a{0}|){1000}" * 100, "a{999,}" * 50])
    def test_large_patterns_are_refused_without_being_built(self, pattern: str) -> None:
        with pytest.raises(MachineTooLarge):
            build(parse(pattern), max_size=LIMIT)

    def test_a_repeat_of_nothing_builds_nothing(self) -> None:
        assert len(build(parse("(?:a{1000}){0}" * 1000), max_size=LIMIT).instructions) == 1
