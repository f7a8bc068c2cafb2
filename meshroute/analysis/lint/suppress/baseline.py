"""Baselines: the findings of today, so that tomorrow only new ones are told.

Source    meshroute's own
Inputs    findings, or the text that `write_baseline` made of some.
Exactness a finding is known by its code, its object, its field path and its message without line numbers: lines may
          move and files may be renamed. What is about no object is known by its file instead. Each entry takes one
          finding.
Errors    BaselineError for a text that is no baseline.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from meshroute.analysis.lint.finding import Finding
from meshroute.analysis.lint.sifted import Known

_LINES: Final = re.compile(r"\b(lines?) \d+(?:(?:,| and| to) \d+)*")
_PLACES: Final = re.compile(r"(?<=\.yaml|\.json)(?::\d+){1,2}|(?<=\.yml)(?::\d+){1,2}")


class BaselineError(ValueError):
    """A text that is no baseline."""


class _Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    findings: tuple[Known, ...]


def fingerprint(finding: Finding) -> str:
    """What stays the same of a finding when lines move: 32 hexadecimal digits."""
    message = _PLACES.sub("", _LINES.sub(r"\1", finding.message))
    about = finding.subject or f"file {finding.at.file}"
    text = json.dumps([str(finding.code), about, finding.at.path, message])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_baseline(findings: Iterable[Finding]) -> str:
    """The baseline of these findings, as JSON text: sorted, one entry for each."""
    entries = sorted(
        (
            Known(fingerprint(one), str(one.code), one.subject or one.at.file, one.at.path, one.message)
            for one in findings
        ),
        key=lambda one: (one.subject, one.path, one.code, one.message),
    )
    values = msgspec.to_builtins(_Baseline(1, tuple(entries)))
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def read_baseline(text: str | bytes) -> tuple[Known, ...]:
    """The entries of a baseline. Raises BaselineError with what is wrong and where."""
    try:
        return msgspec.json.decode(text, type=_Baseline).findings
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BaselineError(f"not a baseline: {error}; `meshroute lint --write-baseline FILE` writes one") from None
