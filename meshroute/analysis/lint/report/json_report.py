"""Findings as JSON: every field of each, what was put aside and why, and the counts.

Source    the values of `finding`, `sifted`; docs/lint.md lists the fields
Inputs    sifted findings. Exactness: nothing is left out, notes included. Errors    none.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from meshroute.analysis.lint.finding import Finding
from meshroute.analysis.lint.report.replay import NOTHING, Typed, witness_values
from meshroute.analysis.lint.sifted import Sifted
from meshroute.analysis.lint.suppress.baseline import fingerprint
from meshroute.diagnostics import Severity


def as_json(sifted: Sifted, *, typed: Typed = NOTHING) -> str:
    """One document: `findings`, `suppressed`, `baseline`, `summary`. `typed` is what commands name manifests by."""
    values = {
        "findings": [_finding(one, typed) for one in sifted.findings],
        "suppressed": [
            {"finding": _finding(one.finding, typed), "by": msgspec.to_builtins(one.by)} for one in sifted.suppressed
        ],
        "baseline": {
            "findings": [_finding(one, typed) for one in sifted.baselined],
            "gone": [msgspec.to_builtins(one) for one in sifted.gone],
        },
        "summary": {
            **{f"{severity}s": sifted.count(severity) for severity in Severity},
            "suppressed": len(sifted.suppressed),
            "baseline": len(sifted.baselined),
            "gone": len(sifted.gone),
        },
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _finding(one: Finding, typed: Typed) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(one, witness=None))
    if one.witness is not None:
        values["witness"] = witness_values(one.witness, typed)
    return {**values, "fingerprint": fingerprint(one)}
