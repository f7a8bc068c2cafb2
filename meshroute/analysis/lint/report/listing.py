"""The codes of lint beside those of `istioctl analyze` and of Kiali.

Source    meshroute.analysis.lint.catalogue
Inputs    none but the catalogue. Errors    none.
"""

from __future__ import annotations

import json

from meshroute.analysis.lint.catalogue import CATALOGUE, page_of


def codes_as_text() -> str:
    """A table with one line for each code, in the order of the catalogue."""
    head = ("code", "severity", "istioctl analyze", "Kiali", "clause", "title")
    rows = [
        (str(code), str(about.severity), " ".join(about.istio), " ".join(about.kiali), about.clause, about.title)
        for code, about in CATALOGUE.items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def codes_as_json() -> str:
    """A list with one object for each code."""
    rows = [
        {
            "code": str(code),
            "severity": str(about.severity),
            "title": about.title,
            "istio": list(about.istio),
            "kiali": list(about.kiali),
            "clause": about.clause,
            "page": f"docs/{page_of(code)}",
        }
        for code, about in CATALOGUE.items()
    ]
    return json.dumps({"codes": rows}, indent=2, ensure_ascii=False) + "\n"
