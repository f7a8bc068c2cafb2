"""What is left of findings, and what was put aside: suppressed with a reason, or known from a baseline.

Inputs    findings, suppressions, the entries of a baseline; `suppress.sift` puts them together.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshroute.analysis.lint.finding import AnyCode, Finding
from meshroute.diagnostics import Severity, SourceRef

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Suppression(msgspec.Struct, frozen=True):
    """Findings that somebody does not want to be told of, and why.

    `subject`, `file` and `path` say which ones: the object, the file and the field path, each with `*` for anything;
    empty is all. `at` is where the suppression is written; `in_source` says that it is a note on the object itself.
    """

    code: AnyCode
    reason: str
    at: SourceRef
    subject: str = ""
    file: str = ""
    path: str = ""
    in_source: bool = False


class Suppressed(msgspec.Struct, frozen=True):
    """A finding, and what suppressed it."""

    finding: Finding
    by: Suppression


class Known(msgspec.Struct, frozen=True):
    """A finding as a baseline remembers it. `fingerprint` is what is compared; the rest is for people."""

    fingerprint: str
    code: str
    subject: str
    path: str
    message: str


class Sifted(msgspec.Struct, frozen=True):
    """Findings to act upon, those that are suppressed, those that the baseline has, and what of the baseline is gone.

    `Sifted(mr.lint(mesh))` has nothing put aside.
    """

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...] = ()
    baselined: tuple[Finding, ...] = ()
    gone: tuple[Known, ...] = ()

    def count(self, severity: Severity) -> int:
        """How many findings of a severity are left."""
        return sum(one.severity is severity for one in self.findings)

    def fails(self, limit: Severity) -> bool:
        """Whether a finding is left that weighs as much as the limit, or more."""
        return any(weighs(one.severity, limit) for one in self.findings)


def weighs(severity: Severity, limit: Severity) -> bool:
    """Whether a severity is the limit or above it."""
    return _RANK[severity] <= _RANK[limit]


def files_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The files that findings speak of, related places included, each once."""
    return tuple(dict.fromkeys(at.file for one in findings for at in (one.at, *one.related) if at.file))
