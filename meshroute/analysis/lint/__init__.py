"""Lint: what is wrong, useless or surprising in a mesh that loads, as values.

Source    spec/lint.md
Inputs    a mesh. Exactness: what is told is true; what could not be decided is told as not decided.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from meshroute.analysis.lint.catalogue import CATALOGUE, About, LintCode
from meshroute.analysis.lint.checks import check_mesh
from meshroute.analysis.lint.faults import check_faults
from meshroute.analysis.lint.finding import AnyCode, Finding, Witness, in_order, of_diagnostic
from meshroute.analysis.lint.reachable import check_reachable
from meshroute.diagnostics import Code
from meshroute.mesh import Mesh

__all__ = ["CATALOGUE", "About", "AnyCode", "Finding", "LintCode", "Witness", "lint"]

CHECKS: Final[tuple[Callable[[Mesh], Iterable[Finding]], ...]] = (check_reachable, check_faults, check_mesh)
"""What looks at the whole mesh, each by itself."""


def lint(mesh: Mesh) -> tuple[Finding, ...]:
    """Everything there is to say about a mesh, by place: what loading said, and what takes more than one object."""
    return in_order(_found(mesh))


def _found(mesh: Mesh) -> Iterator[Finding]:
    for one in mesh.diagnostics:
        if one.code is not Code.RULE_UNREACHABLE:  # told below, with more than loading looks at
            yield of_diagnostic(one)
    for check in CHECKS:
        yield from check(mesh)
