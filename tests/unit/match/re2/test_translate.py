"""What is written for the standard library's `re`: one spelling per construct, free of flags and shorthands."""

from __future__ import annotations

import pytest

from meshroute.match.re2.parser import parse
from meshroute.match.re2.translate import translate


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("", ""),
        ("a.c", r"a[\x00-\x09\x0b-\xff]c"),
        ("[[]&&[^a]", r"\x5b\x26\x26[\x00-\x60\x62-\xff]"),
        ("[a--b]", None),
        ("[--/]", r"[\x2d-\x2f]"),
        (r"\p{Greek}", "(?!)"),
        ("a|b|", "(?:a|b|)"),
        ("(?P<x>a)+?", "(?:(?:a))+?"),
        ("a{2,}b{3}c{4,5}?d?", "(?:a){2,}(?:b){3,3}(?:c){4,5}?(?:d)?"),
        ("(?:a+){2}", "(?:(?:a)+){2,2}"),
        (r"\A(?m)^$\z", r"\A(?<![\x00-\x09\x0b-\xff])(?![\x00-\x09\x0b-\xff])\Z"),
        ("\xe9{e<1}", r"\xe9\x7be\x3c1\x7d"),
    ],
)
def test_a_pattern_is_written_so(pattern: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(ValueError, match="invalid character class range"):
            parse(pattern)
    else:
        assert translate(parse(pattern)) == written


@pytest.mark.parametrize("pattern", [r"\b", r"\B"])
def test_word_boundaries_spell_out_ascii(pattern: str) -> None:
    written = translate(parse(pattern))
    assert r"[\x30-\x39\x41-\x5a\x5f\x61-\x7a]" in written
    assert r"\b" not in written
