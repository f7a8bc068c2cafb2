"""Putting findings aside: notes on objects, files of suppressions, baselines. Texts in, values out.

Source    meshroute's own; the form of notes and files is in docs/lint.md
Errors    what is wrong with a note is a finding; what is wrong with a file is findings too, or a BaselineError.
"""

from meshroute.analysis.lint.sifted import Known, Sifted, Suppressed, Suppression
from meshroute.analysis.lint.suppress.baseline import BaselineError, fingerprint, read_baseline, write_baseline
from meshroute.analysis.lint.suppress.sift import sift
from meshroute.analysis.lint.suppress.written import ANNOTATION, in_objects, read_suppressions

__all__ = [
    "ANNOTATION",
    "BaselineError",
    "Known",
    "Sifted",
    "Suppressed",
    "Suppression",
    "fingerprint",
    "in_objects",
    "read_baseline",
    "read_suppressions",
    "sift",
    "write_baseline",
]
