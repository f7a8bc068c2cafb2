"""What is understood of a mesh, as text and as JSON.

Source    meshroute.analysis.lint.understood
Inputs    its values. Exactness: text names every field; places only of those that are wanting. Errors    none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

import msgspec

from meshroute.analysis.lint.report.excerpt import plain_line
from meshroute.analysis.lint.understood import Field, How, Manifest, Understanding
from meshroute.diagnostics import SourceRef

_NUMBER: Final = re.compile(r"\[\d+\]")


def understanding_as_text(answer: Understanding, *, width: int = 80) -> str:
    """By file and object: what is understood, what takes no part, and what is wanting with what that could change."""
    lines: list[str] = []
    file: str | None = None
    for one in answer.manifests:
        if one.at.file != file:
            file = one.at.file
            lines += [plain_line(file) or "(built in Python)", ""]
        lines += [*_manifest(one, width), ""]
    if answer.outside:
        lines.append("outside")
        for other in answer.outside:
            lines.append("")
            lines.append(f"  {plain_line(other.subject)} of {plain_line(other.api_version)}")
            lines.append(f"    {plain_line(_place(other.at))}")
            lines += _folded("    could change ", other.changes, "    ", width)
        lines.append("")
    wanting = sum(one.how is not How.UNDERSTOOD for one in answer.manifests)
    lines.append(
        f"{_many(len(answer.manifests), 'object')}, {wanting} of them not in full; "
        f"{_many(answer.count(How.PARTLY), 'field')} in part, {answer.count(How.NOT)} not; "
        f"{_many(len(answer.outside), 'object')} outside"
    )
    return "\n".join([*lines, ""])


def understanding_as_json(answer: Understanding) -> str:
    """One document with `manifests`, `outside` and `summary`."""
    values = {
        "manifests": [{"how": str(one.how), **msgspec.to_builtins(one)} for one in answer.manifests],
        "outside": msgspec.to_builtins(answer.outside),
        "summary": {
            "manifests": len(answer.manifests),
            "fields": {str(how): answer.count(how) for how in How},
            "outside": len(answer.outside),
        },
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _manifest(one: Manifest, width: int) -> Iterator[str]:
    yield f"{plain_line(one.subject)}: {one.how}"
    for how in (How.UNDERSTOOD, How.ASIDE):
        names = _names(field for field in one.fields if field.how is how)
        if names:
            yield from _folded(f"  {how:<16}", ", ".join(names), " " * 18, width)
    for field in one.wanting:
        yield f"  {field.how:<16}{plain_line(field.path)}"
        if field.at.line:
            yield f"{' ' * 18}at {field.at.line}:{field.at.column}"
        if field.why:
            yield from _folded(" " * 18, field.why, " " * 18, width)
        if field.affects:
            yield from _folded(f"{' ' * 18}could change: ", field.affects, " " * 20, width)


def _names(fields: Iterable[Field]) -> list[str]:
    """Paths without the numbers of lists, each once."""
    return list(dict.fromkeys(_NUMBER.sub("[]", one.path) for one in fields))


def _place(at: SourceRef) -> str:
    return f"{at.file}:{at.line}:{at.column}" if at.line else at.file


def _folded(first: str, text: str, more: str, width: int) -> list[str]:
    return wrap(
        plain_line(text),
        max(width, 40),
        initial_indent=first,
        subsequent_indent=more,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
