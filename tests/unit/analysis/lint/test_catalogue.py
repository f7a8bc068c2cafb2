"""Every code of lint has its line, and every line its code and a clause that exists."""

from __future__ import annotations

from pathlib import Path

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE
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
    """The line of a code in the index: linked where it has a page, or a heading among the diagnostics."""
    about = CATALOGUE[code]
    own = (SPEC.parent / "docs/lint" / f"{code}.md").exists()
    target = f"lint/{code}.md" if own else f"diagnostics.md#{code}" if isinstance(code, mr.Code) else ""
    name = f"[{code}]({target})" if target else str(code)
    return f"| {name} | {about.severity} | {about.title} | {' '.join((*about.istio, *about.kiali))} |"


def test_the_index_in_the_documentation_is_the_catalogue() -> None:
    """In its order, each with what it usually weighs."""
    page = (SPEC.parent / "docs/lint.md").read_text("utf-8")
    _, _, table = page.partition("| --- | --- | --- | --- |\n")
    assert table == "".join(f"{row(code)}\n" for code in CATALOGUE)
