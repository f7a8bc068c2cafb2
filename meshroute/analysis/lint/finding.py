"""What lint has found: values, with the clause that each rests on and, where there is one, a request that shows it.

Inputs    codes are words, one page each in docs/lint; a test compares the two lists.
Errors    building and rendering never raise.
Wording   as that of diagnostics: lower case, no final stop, what they wrote in backticks, help kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from meshroute.analysis.lint.catalogue import CATALOGUE, LintCode
from meshroute.compile.viewpoint import Gateway, Sidecar, Waypoint
from meshroute.diagnostics import Code, Diagnostic, Severity, SourceRef
from meshroute.request import Request

AnyCode: TypeAlias = Code | LintCode


class Witness(msgspec.Struct, frozen=True):
    """A request that shows what a finding says: `mesh.router(viewpoint).decide(request)`."""

    viewpoint: Sidecar | Gateway | Waypoint
    request: Request


class Finding(msgspec.Struct, frozen=True):
    """One thing found, at one place.

    `subject` names the object it is about (`VirtualService shop/front`); `help` says what would be right and may have
    several lines; `related` are other places that take part; `clause` is the clause of the specification that it rests
    on, empty for what only concerns the text of the manifests.
    """

    code: AnyCode
    severity: Severity
    message: str
    at: SourceRef
    subject: str = ""
    help: str = ""
    related: tuple[SourceRef, ...] = ()
    clause: str = ""
    witness: Witness | None = None


def found(
    code: LintCode,
    message: str,
    at: SourceRef,
    subject: str,
    *,
    help: str = "",
    related: Iterable[SourceRef] = (),
    witness: Witness | None = None,
) -> Finding:
    """A finding of lint's own, with the severity and the clause that the catalogue has for its code."""
    about = CATALOGUE[code]
    return Finding(code, about.severity, message, at, subject, help, tuple(related), about.clause, witness)


def of_diagnostic(diagnostic: Diagnostic) -> Finding:
    """What loading had to say, as a finding. A warning of Istio's that is mistaken is no more than a note."""
    return Finding(
        diagnostic.code,
        diagnostic.severity if diagnostic.code is not Code.ISTIO_WARNS else Severity.NOTE,
        diagnostic.message,
        diagnostic.at,
        diagnostic.subject,
        diagnostic.help,
        diagnostic.related,
        CATALOGUE[diagnostic.code].clause,
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By file, line and column; what stands at one place keeps the order in which it was found."""
    return tuple(sorted(findings, key=lambda one: (one.at.file, one.at.line, one.at.column)))
