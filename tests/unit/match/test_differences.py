"""What the real proxy was once found to answer otherwise, clause by clause."""

from __future__ import annotations

import pytest

from meshroute import Request, RequestError
from meshroute.match.predicate import header_predicate
from meshroute.table import HeaderMatch, Present


@pytest.mark.parametrize("lines", [(), (("x", ""),), (("x", "a"),)])
@pytest.mark.parametrize("invert", [False, True])
def test_a_missing_header_that_counts_as_empty_is_there(lines: tuple[tuple[str, str], ...], invert: bool) -> None:
    """MATCH-8: with `missing_is_empty` a condition on presence never finds the header missing."""
    holds = header_predicate(HeaderMatch("x", Present(), invert, missing_is_empty=True))
    assert holds(Request("GET", "h", "/", lines)) is not invert


@pytest.mark.parametrize("character", '"<>^`{|}\xe9\xff\x7f')
def test_characters_that_no_authority_has_are_refused(character: str) -> None:
    """REQ-4: Envoy answers 400 to them, over HTTP/1 and HTTP/2 alike."""
    with pytest.raises(RequestError, match="not a host name"):
        Request("GET", f"h{character}", "/")


@pytest.mark.parametrize(
    ("values", "joined"),
    [(("", "a"), "a"), (("a", ""), "a"), (("a", "", "b"), "a,b"), (("", ""), ""), (("a", "b"), "a,b")],
)
def test_empty_lines_of_a_single_slot_header_leave_no_comma(values: tuple[str, ...], joined: str) -> None:
    """REQ-2: only lines with something in them are joined."""
    request = Request("GET", "h", "/", tuple(("accept", value) for value in values))
    assert request.fields["accept"] == (joined,)
