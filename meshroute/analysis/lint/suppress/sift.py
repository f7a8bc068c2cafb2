"""Findings, suppressions and a baseline put together.

Inputs    findings of one run. Exactness: every finding ends in one place; a suppression that takes nothing is told, and
          so is an entry of the baseline that nothing answers to.
Errors    none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.finding import Finding, found, in_order
from meshroute.analysis.lint.sifted import Known, Sifted, Suppressed, Suppression
from meshroute.analysis.lint.suppress.baseline import fingerprint
from meshroute.diagnostics import Severity


def sift(
    findings: Iterable[Finding],
    suppressions: Sequence[Suppression] = (),
    baseline: Sequence[Known] = (),
    *,
    sound: bool = True,
) -> Sifted:
    """What is left of findings.

    Without `sound`, they are those of manifests that cannot be used: errors stay, because nothing else was looked at,
    and what was put aside for nothing is not told, because it might have been for what was not looked at.
    """
    left, suppressed = _suppressed(findings, suppressions, sound)
    if sound:
        used = {one.by for one in suppressed}
        # One that puts aside what is said of suppressions is tried last: whether it is for anything is known only then.
        idle = [_unused(one) for one in suppressions if one not in used and one.code is not LintCode.SUPPRESSION_UNUSED]
        about = [one for one in suppressions if one.code is LintCode.SUPPRESSION_UNUSED]
        more, taken = _suppressed(idle, about, sound)
        used = {one.by for one in taken}
        left += [*more, *(_unused(one) for one in about if one not in used)]
        suppressed += taken
    remembered = Counter(one.fingerprint for one in baseline)
    new: list[Finding] = []
    old: list[Finding] = []
    for finding in in_order(left):
        mark = fingerprint(finding)
        if remembered[mark] and _may_go(finding, sound):
            remembered[mark] -= 1
            old.append(finding)
        else:
            new.append(finding)
    gone: list[Known] = []
    for known in baseline if sound else ():
        if remembered[known.fingerprint]:
            remembered[known.fingerprint] -= 1
            gone.append(known)
    return Sifted(tuple(new), tuple(suppressed), tuple(old), tuple(gone))


def _suppressed(
    findings: Iterable[Finding], suppressions: Sequence[Suppression], sound: bool
) -> tuple[list[Finding], list[Suppressed]]:
    """The findings that nobody suppresses, and those that somebody does: the first one that can."""
    by_code: dict[str, list[tuple[Suppression, re.Pattern[str], re.Pattern[str], re.Pattern[str]]]] = {}
    for one in suppressions:
        patterns = (_glob(one.subject), _glob(one.file, inside=True), _glob(one.path))
        by_code.setdefault(one.code, []).append((one, *patterns))
    left: list[Finding] = []
    taken: list[Suppressed] = []
    for finding in findings:
        at = finding.at
        by = next(
            (
                one
                for one, subject, file, path in by_code.get(finding.code, ())
                if subject.fullmatch(finding.subject) and file.fullmatch(at.file) and path.fullmatch(at.path)
            ),
            None,
        )
        if by is not None and _may_go(finding, sound):
            taken.append(Suppressed(finding, by))
        else:
            left.append(finding)
    return left, taken


def _may_go(finding: Finding, sound: bool) -> bool:
    return sound or finding.severity is not Severity.ERROR


def _glob(text: str, *, inside: bool = False) -> re.Pattern[str]:
    """`*` is anything, and so is no text at all; brackets are brackets, because field paths have them.

    With `inside`, a path that ends so is meant too: `routes/*.yaml` of `deploy/routes/web.yaml`.
    """
    pattern = ".*".join(map(re.escape, re.split(r"\*+", text))) if text else ".*"
    return re.compile(f"(?:.*/)?{pattern}" if inside else pattern, re.DOTALL)


def _unused(one: Suppression) -> Finding:
    only = [f"`{text}`" for text in (one.subject, one.file, one.path) if text]
    message = f"nothing of `{one.code}` is found" + (f" for {', '.join(only)}" if only else "")
    subject = one.subject if one.in_source else ""
    help = f"leave it out; its reason was: {one.reason}"
    return found(LintCode.SUPPRESSION_UNUSED, message, one.at, subject, help=help)
