"""Findings as text: for people, and in the formats that machines take.

Source    each format's own module names its standard
Inputs    `Sifted`: `Sifted(mr.lint(mesh))` where nothing was put aside. No file is opened; needs no extra.
Errors    none.
"""

from meshroute.analysis.lint.report.github import as_github
from meshroute.analysis.lint.report.json_report import as_json
from meshroute.analysis.lint.report.junit import as_junit
from meshroute.analysis.lint.report.listing import codes_as_json, codes_as_text
from meshroute.analysis.lint.report.replay import Typed, replay
from meshroute.analysis.lint.report.sarif import as_sarif
from meshroute.analysis.lint.report.text import as_text, summary
from meshroute.analysis.lint.report.understanding import understanding_as_json, understanding_as_text

__all__ = [
    "Typed",
    "as_github",
    "as_json",
    "as_junit",
    "as_sarif",
    "as_text",
    "codes_as_json",
    "codes_as_text",
    "replay",
    "summary",
    "understanding_as_json",
    "understanding_as_text",
]
