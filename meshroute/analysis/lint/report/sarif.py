"""Findings as SARIF, which code hosts show beside the lines.

Source    OASIS, Static Analysis Results Interchange Format 2.1.0: 3.14 run, 3.27 result, 3.30 region, 3.35 suppression,
          3.49 reportingDescriptor
Inputs    sifted findings, and perhaps the texts of their files, for where words end.
Exactness columns count characters (`unicodeCodePoints`). A `helpUri` must be an absolute address (3.49.12), so there is
          one only where somebody says where the pages are; each rule names its page, relative to the project, anyway.
Errors    none.
Left out  findings that the baseline has: how many there are is a property of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from meshroute.analysis.lint.catalogue import CATALOGUE, page_of
from meshroute.analysis.lint.finding import AnyCode, Finding
from meshroute.analysis.lint.report.excerpt import Sources
from meshroute.analysis.lint.report.replay import NOTHING, Typed, shown_by, witness_values
from meshroute.analysis.lint.sifted import Sifted, Suppression
from meshroute.analysis.lint.suppress.baseline import fingerprint
from meshroute.diagnostics import SourceRef

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT: Final = "meshroute/v1"
_NOTHING: Final[Mapping[str, str]] = {}


def as_sarif(sifted: Sifted, sources: Mapping[str, str] = _NOTHING, *, pages: str = "", typed: Typed = NOTHING) -> str:
    """One run. `pages` is the address of the project's folder of pages, such as `https://…/docs/`;
    `typed` is what commands name the manifests by."""
    numbers = {code: number for number, code in enumerate(CATALOGUE)}
    texts = Sources(sources)
    told: list[tuple[Finding, Suppression | None]] = [(one, None) for one in sifted.findings]
    told += [(one.finding, one.by) for one in sifted.suppressed]
    run = {
        "tool": {
            "driver": {
                "name": "meshroute",
                "semanticVersion": _version(),
                "rules": [_rule(code, pages) for code in CATALOGUE],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, by, numbers[one.code], texts, typed) for one, by in told],
        "properties": {"inBaseline": len(sifted.baselined), "goneFromBaseline": len(sifted.gone)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _version() -> str:
    try:
        return version("meshroute")
    except PackageNotFoundError:  # run from a folder that nobody installed
        return "0.0.0"


def _rule(code: AnyCode, pages: str) -> dict[str, Any]:
    about = CATALOGUE[code]
    page = f"docs/{page_of(code)}"
    others = [*about.istio, *about.kiali]
    help = f"See {page}" + (f", {about.clause} of the specification" if about.clause else "")
    rule: dict[str, Any] = {
        "id": str(code),
        "name": "".join(word.capitalize() for word in code.split("-")),
        "shortDescription": {"text": about.title},
        "help": {"text": f"{help}."},
        "defaultConfiguration": {"level": str(about.severity)},
        "properties": {"page": page, "clause": about.clause, "tags": ["service-mesh", *others]},
    }
    if pages:
        rule["helpUri"] = f"{pages.rstrip('/')}/{page_of(code)}"
    return rule


def _result(one: Finding, by: Suppression | None, number: int, sources: Sources, typed: Typed) -> dict[str, Any]:
    lines = [f"{one.message} ({one.subject})" if one.subject else one.message]
    lines += one.help.splitlines()
    if one.witness is not None:
        lines.append(f"Shown by: {shown_by(one.witness, typed)}")
    result: dict[str, Any] = {
        "ruleId": str(one.code),
        "ruleIndex": number,
        "kind": "fail",
        "level": str(one.severity),
        "message": {"text": "\n".join(lines)},
        "locations": [_location(one.at, one.subject, sources)],
        "partialFingerprints": {FINGERPRINT: fingerprint(one)},
        "properties": {"path": one.at.path, "subject": one.subject, "clause": one.clause},
    }
    if one.related:
        result["relatedLocations"] = [
            {"id": number, **_location(at, "", sources)} for number, at in enumerate(one.related, start=1)
        ]
    if one.witness is not None:
        result["properties"]["witness"] = witness_values(one.witness, typed)
    # An empty list says that suppressions were looked at, which readers ask for once any result has one.
    result["suppressions"] = [] if by is None else [_suppression(by, sources)]
    return result


def _suppression(by: Suppression, sources: Sources) -> dict[str, Any]:
    kind = "inSource" if by.in_source else "external"
    suppression: dict[str, Any] = {"kind": kind, "status": "accepted", "justification": by.reason}
    if by.in_source:
        suppression["location"] = _location(by.at, by.subject, sources)
    return suppression


def _location(at: SourceRef, subject: str, sources: Sources) -> dict[str, Any]:
    """A place: physical where it is in a file, logical where the object is known."""
    location: dict[str, Any] = {}
    if at.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": uri_of(at.file)}}
        if at.line:
            region = {"startLine": at.line, "startColumn": max(at.column, 1)}
            end = sources.end(at)
            physical["region"] = region if end is None else {**region, "endColumn": end}
        location["physicalLocation"] = physical
    names = [text for text in (subject, at.path) if text]
    if names:
        location["logicalLocations"] = [{"fullyQualifiedName": " ".join(names), "kind": "resource"}]
    return location or {"message": {"text": "built in Python"}}


def uri_of(file: str) -> str:
    """A path as a URI: relative ones stay relative, to whatever the reader is in.

    >>> uri_of("./shop/a b.yaml"), uri_of("/srv/a.yaml"), uri_of("../c:d.yaml")
    ('shop/a%20b.yaml', 'file:///srv/a.yaml', '../c%3Ad.yaml')
    """
    path = quote(file.replace("\\", "/"), safe="/", errors="replace")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return f"file://{path}" if path.startswith("/") else path
