"""Findings as workflow commands of GitHub Actions, which shows them beside the lines.

Source    actions/toolkit: docs/commands.md, packages/core/src/command.ts (escapeData, escapeProperty)
Inputs    sifted findings. Exactness: one line each. `note` is `notice` there.
Errors    none.
Left out  what is suppressed or in the baseline: there is no command for it.
"""

from __future__ import annotations

from typing import Final

from meshroute.analysis.lint.finding import Finding
from meshroute.analysis.lint.report.replay import NOTHING, Typed, shown_by
from meshroute.analysis.lint.sifted import Sifted
from meshroute.diagnostics import Severity

_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def as_github(sifted: Sifted, *, typed: Typed = NOTHING) -> str:
    """A command for each finding; no text where there is none. `typed` is what commands name manifests by."""
    return "".join(f"{_command(one, typed)}\n" for one in sifted.findings)


def _command(one: Finding, typed: Typed) -> str:
    properties = [("file", one.at.file)] if one.at.file else []
    if one.at.file and one.at.line:
        properties += [("line", str(one.at.line)), ("col", str(one.at.column))]
    title = f"{one.code} {one.subject}" if one.subject else str(one.code)
    said = ",".join(f"{name}={_property(value)}" for name, value in (*properties, ("title", title)))
    lines = [one.message, *one.help.splitlines()]
    if one.witness is not None:
        lines.append(f"shown by: {shown_by(one.witness, typed)}")
    return f"::{_COMMANDS[one.severity]} {said}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
