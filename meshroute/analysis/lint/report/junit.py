"""Findings as JUnit's XML, which every build server reads.

Source    JUnit's schema as Ant writes it and Jenkins reads it: jenkinsci/xunit-plugin: junit-10.xsd
Inputs    sifted findings. Exactness: a suite for each file, a case for each finding. What is at least as heavy as the
          limit is a failure, what is suppressed is skipped with its reason, and anything else passes with its text.
Errors    none; characters that XML cannot have are shown as U+FFFD.
Left out  findings that the baseline has.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from meshroute.analysis.lint.finding import Finding
from meshroute.analysis.lint.report.replay import NOTHING, Typed, shown_by
from meshroute.analysis.lint.sifted import Sifted, Suppression, weighs
from meshroute.diagnostics import Severity

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(sifted: Sifted, *, fail_on: Severity = Severity.WARNING, typed: Typed = NOTHING) -> str:
    """One `testsuites`. `fail_on` is the lightest severity that is a failure; `typed` is what commands name manifests
    by."""
    told: list[tuple[Finding, Suppression | None]] = [(one, None) for one in sifted.findings]
    told += [(one.finding, one.by) for one in sifted.suppressed]
    by_file: dict[str, list[tuple[Finding, Suppression | None]]] = {}
    for one, by in told:
        by_file.setdefault(one.at.file, []).append((one, by))
    root = Element("testsuites", name="meshroute lint")
    _counted(root, told, fail_on)
    for file, inside in sorted(by_file.items()):
        suite = SubElement(root, "testsuite", name=_clean(file or "(built in Python)"))
        _counted(suite, inside, fail_on)
        for one, by in inside:
            _case(suite, one, by, fail_on, typed)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _counted(element: Element, told: list[tuple[Finding, Suppression | None]], fail_on: Severity) -> None:
    failures = sum(by is None and weighs(one.severity, fail_on) for one, by in told)
    skipped = sum(by is not None for _, by in told)
    for name, number in (("tests", len(told)), ("failures", failures), ("errors", 0), ("skipped", skipped)):
        element.set(name, str(number))


def _case(suite: Element, one: Finding, by: Suppression | None, fail_on: Severity, typed: Typed) -> None:
    about = one.subject or one.at.file or "manifests"
    # Build servers follow a case from run to run by its name, so lines are no part of it where a path says enough.
    name = f"{one.code} {one.at.path or one.at}"
    case = SubElement(suite, "testcase", name=_clean(name), classname=_clean(about))
    if one.at.file:
        case.set("file", _clean(one.at.file))
    if one.at.line:
        case.set("line", str(one.at.line))
    lines = [f"{one.at}: {one.severity}[{one.code}]: {one.message}", *one.help.splitlines()]
    lines += [f"see: {place}" for place in one.related]
    if one.clause:
        lines.append(f"clause: {one.clause}")
    if one.witness is not None:
        lines.append(f"shown by: {shown_by(one.witness, typed)}")
    if by is not None:
        SubElement(case, "skipped", message=_clean(by.reason)).text = _clean("\n".join(lines))
    elif weighs(one.severity, fail_on):
        failure = SubElement(case, "failure", type=str(one.severity), message=_clean(one.message))
        failure.text = _clean("\n".join(lines))
    else:
        SubElement(case, "system-out").text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
