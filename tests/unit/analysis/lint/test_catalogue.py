"""Every code of lint has its line, and every line its code and a clause that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE
from meshroute.analysis.lint.catalogue import page_of
from meshroute.conformance.vectors import defined_clauses

SPEC = Path(__file__).parents[4] / "spec"


def test_every_code_is_listed_in_order() -> None:
    """Those of loading, then lint's own; no word means two things."""
    assert list(CATALOGUE) == [*mr.Code, *mr.LintCode]
    assert len({str(code) for code in CATALOGUE}) == len(CATALOGUE)


def test_every_clause_exists() -> None:
    """Codes about the text of manifests rest on none."""
    assert {about.clause for about in CATALOGUE.values()} - {""} <= defined_clauses(SPEC)


def test_what_loading_said_is_found_again() -> None:
    """With its place, its subject and its words."""
    mesh = mr.loads(
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.example.com]
  http:
  - route: [{destination: {host: nobody}}]
"""
    )
    (said,) = mesh.diagnostics
    (finding,) = (one for one in mr.lint(mesh) if one.code in set(mr.Code))
    assert (finding.code, finding.clause) == (mr.Code.HOST_UNKNOWN, "DECIDE-2")
    assert (finding.at, finding.subject, finding.message) == (said.at, said.subject, said.message)
    assert (finding.help, finding.related, finding.witness) == (said.help, said.related, None)


def row(code: mr.Code | mr.LintCode) -> str:
    """The line of a code in the index."""
    about = CATALOGUE[code]
    others = " ".join((*about.istio, *about.kiali))
    return f"| [{code}]({page_of(code)}) | {about.severity} | {about.title} | {others} |"


@pytest.mark.parametrize("code", CATALOGUE)
def test_the_page_that_is_named_is_there(code: mr.Code | mr.LintCode) -> None:
    """SARIF and the list name it to people, with the heading where it is a part of a page."""
    page, _, heading = page_of(code).partition("#")
    text = (SPEC.parent / "docs" / page).read_text("utf-8")
    assert f"### {heading}\n" in text if heading else text.startswith(f"# {code}\n")


def test_the_index_in_the_documentation_is_the_catalogue() -> None:
    """In its order, each with what it usually weighs."""
    page = (SPEC.parent / "docs/lint.md").read_text("utf-8")
    _, _, table = page.partition("| --- | --- | --- | --- |\n")
    assert table == "".join(f"{row(code)}\n" for code in CATALOGUE)
