"""The observed patterns in spec/vectors/re2, against RE2 itself. Ours runs them with all other vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import re2

from meshroute.conformance import load_vectors

ROOT = Path(__file__).parents[4]
CASES = [
    (vector.clauses[0], case)
    for vector in load_vectors(ROOT / "spec/vectors")
    if vector.name.startswith("re2/")
    for case in vector.when
    if case["function"] == "re2_full_match"
]
REPLACED = [
    case["arguments"] | {"expect": case["expect"]}
    for vector in load_vectors(ROOT / "spec/vectors")
    for case in vector.when
    # Of empty matches the package's `sub` thinks as Python does: tests/properties/test_rewrite.py asks RE2 of those.
    if case.get("function") == "re2_replace" and re2.fullmatch(case["arguments"]["pattern"], "") is None
]


@pytest.mark.parametrize(("clause", "case"), CASES)
def test_re2_itself_gives_the_expected_answer(clause: str, case: dict[str, Any]) -> None:
    """What the vectors say is what google-re2 says, run as Envoy runs it."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    pattern, subject = (case["arguments"][name].encode("latin-1") for name in ("pattern", "subject"))
    if case["expect"]["accepted"]:
        assert (re2.compile(pattern, options).fullmatch(subject) is not None) is case["expect"]["matches"]
    else:
        with pytest.raises(re2.error) as caught:
            re2.compile(pattern, options)
        # "reason: fragment", or the reason alone.
        assert caught.value.args[0].partition(b": ")[0].decode() == case["expect"]["reason"]


@pytest.mark.parametrize("case", REPLACED)
def test_re2_itself_replaces_so(case: dict[str, str]) -> None:
    """The same, by the package's own `sub`."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    pattern, text = (case[name].encode("latin-1") for name in ("pattern", "text"))
    # The package takes functions; in a substitution of ours a backslash stands before a number only, in these vectors.
    template = case["substitution"]

    def replaced(match: re2._Match) -> bytes:
        groups = [match.group(number) or b"" for number in range(10) if number <= match.re.groups]
        out = template.encode("latin-1")
        for number, group in enumerate(groups):
            out = out.replace(b"\\%d" % number, group)
        return out

    assert re2.compile(pattern, options).sub(replaced, text) == case["expect"].encode("latin-1")


def test_no_pattern_is_tried_twice_on_one_subject() -> None:
    """Each case earns its place."""
    pairs = [(case["arguments"]["pattern"], case["arguments"]["subject"]) for _, case in CASES]
    assert len(set(pairs)) == len(pairs) > 200
