"""The pages of docs/lint: what is broken there yields its code in the line that is marked, and what is mended nothing.

A comment `# <- code code` in a broken manifest marks the line of findings. What is marked is all that is found there,
but for notes of other codes; of the mended one there is neither a warning nor a finding of the page's code.
"""

from __future__ import annotations

import pytest

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE
from tests.unit.analysis.lint.marks import PAGES, REACHABILITY, block, findings, marked

ABOUT_TEXT = tuple(mr.Code)[: tuple(mr.Code).index(mr.Code.REGEX_INVALID)]
"""Codes about the text of manifests and its repairs, which docs/diagnostics.md explains."""


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    """But for those about text."""
    expected = {str(code) for code in CATALOGUE if code not in ABOUT_TEXT}
    assert expected <= PAGES.keys()
    assert PAGES.keys() <= {str(code) for code in CATALOGUE}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_broken_is_found_where_it_is_marked(page: str) -> None:
    """Every error and warning, and the page's own code; the code is among them."""
    text = block(page, "broken")
    found = [one for one in findings(text) if one.severity is not mr.Severity.NOTE or one.code == page]
    assert sorted(f"{one.at.line} {one.code}" for one in found) == marked(text)
    assert page in {one.code for one in found}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_mended_is_clean(page: str) -> None:
    """No error, no warning, nothing of the page's code, and no note but about which rule takes a request."""
    found = findings(block(page, "mended"))
    assert [one for one in found if one.severity is not mr.Severity.NOTE or one.code == page] == []
    allowed = {mr.Code.ADDRESS_ASSUMED, mr.Code.KIND_UNKNOWN}
    assert [one for one in found if one.code not in allowed and not one.code.startswith(REACHABILITY)] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_tells_the_severity_and_the_clause_of_the_catalogue(page: str) -> None:
    """In its first lines and at its end."""
    about = next(about for code, about in CATALOGUE.items() if code == page)
    assert PAGES[page].startswith(f"# {page}\n\n{about.title[0].upper()}{about.title[1:]}.")
    assert f"A {about.severity}." in PAGES[page] or f"An {about.severity}." in PAGES[page]
    assert f"Rests on {about.clause}." in PAGES[page] or not about.clause
