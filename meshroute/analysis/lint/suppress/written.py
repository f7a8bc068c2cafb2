"""Suppressions as people write them: a note on an object, or a file for many.

Source    meshroute's own. The note is the annotation `meshroute/lint-ignore`, YAML text: `code: reason`, line by line.
          The file is a YAML list of mappings: `code`, `reason`, and perhaps `object`, `file`, `path`.
Inputs    resources, or the text of a file and its name. Nothing is opened here.
Errors    findings, `suppression-unusable`; what is wrong with the YAML itself is said as for manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from meshroute.analysis.lint.catalogue import CATALOGUE, LintCode
from meshroute.analysis.lint.finding import AnyCode, Finding, found, of_diagnostic
from meshroute.analysis.lint.sifted import Suppression
from meshroute.diagnostics import SourceRef, nearest
from meshroute.load.documents import read_documents
from meshroute.load.places import Document, Problems, Refused, Shared
from meshroute.load.scalars import clip
from meshroute.manifest import Resource
from meshroute.manifest.metadata import kind_of, quoted

ANNOTATION: Final = "meshroute/lint-ignore"

Read = tuple[tuple[Suppression, ...], tuple[Finding, ...]]
"""The suppressions that can be used, and what is wrong with the others."""

_CODES: Final[dict[str, AnyCode]] = {str(code): code for code in CATALOGUE}
_KEYS: Final = ("code", "reason", "object", "file", "path")
_OBJECT: Final = re.compile(r"[A-Za-z*]+ [^\s/]+(/[^\s/]+)?")
_NOTE_FORM: Final = "write one line for each code: `host-unknown: served by another mesh`"
_FILE_FORM: Final = "write a list:\n- code: host-unknown\n  object: VirtualService shop/front\n  reason: why it is so"


def in_objects(resources: Iterable[Resource]) -> Read:
    """What the objects say about themselves. A note is for findings about its own object, whatever their place."""
    usable: list[Suppression] = []
    wrong: list[Finding] = []
    for resource in resources:
        text = resource.metadata.annotations.get(ANNOTATION)
        if text is None:
            continue
        # The lines of the note are those of a text in a text: all that is known of them is where the note begins.
        at = resource.at("metadata", "annotations", ANNOTATION)
        documents, problems = _documents(text, at.file)
        for problem in problems:
            wrong.append(_unusable(problem.message, at, resource.subject, _NOTE_FORM))
        if problems:
            continue
        value = documents[0].value if len(documents) == 1 else None
        if type(value) is not dict or not value:
            message = "the note says no code and no reason"
            wrong.append(_unusable(message, at, resource.subject, _NOTE_FORM))
            continue
        for word, reason in value.items():
            code, help = _code(word)
            if code is None:
                wrong.append(_unusable(f"`{clip(str(word))}` is not a code", at, resource.subject, help))
            elif not _is_text(reason):
                message = f"`{word}` is to be ignored for no reason"
                wrong.append(_unusable(message, at, resource.subject, f"write `{word}: ` and why it is right here"))
            else:
                usable.append(Suppression(code, reason.strip(), at, resource.subject, in_source=True))
    return tuple(usable), tuple(wrong)


def read_suppressions(text: str, file: str) -> Read:
    """What a file of suppressions says; `file` is what findings call it. An empty file says nothing."""
    documents, problems = _documents(text, file)
    if problems:
        return (), problems
    usable: list[Suppression] = []
    wrong: list[Finding] = []
    for document in documents:
        if document.value is None:
            continue
        if type(document.value) is not list:
            message = f"suppressions must be of type array: this is of type {kind_of(document.value)}"
            wrong.append(_unusable(message, document.at(), help=_FILE_FORM))
            continue
        for number, entry in enumerate(document.value):
            said = list(_wrong_in(document, number, entry))
            wrong += said
            if not said:
                usable.append(
                    Suppression(
                        _CODES[entry["code"]],
                        entry["reason"].strip(),
                        document.at((number,)),
                        entry.get("object", ""),
                        entry.get("file", ""),
                        entry.get("path", ""),
                    )
                )
    return tuple(usable), tuple(wrong)


def _documents(text: str, file: str) -> tuple[list[Document], tuple[Finding, ...]]:
    """The documents of a text, or everything that is wrong with it."""
    problems = Problems()
    documents: list[Document] = []
    refused: list[Finding] = []
    try:
        documents += read_documents(text, file, problems, Shared())
    except Refused as one:
        refused.append(of_diagnostic(one.said(file)))
    return documents, (*map(of_diagnostic, problems), *refused)


def _wrong_in(document: Document, number: int, entry: Any) -> Iterable[Finding]:
    """What is wrong with one entry of a file."""
    if type(entry) is not dict:
        message = f"a suppression must be of type object: this is of type {kind_of(entry)}"
        yield _unusable(message, document.at((number,)), help=_FILE_FORM)
        return
    for key in entry:
        if key not in _KEYS:
            close = nearest(str(key), _KEYS)
            help = f"did you mean `{close}`?" if close else f"known here: {quoted(_KEYS, 'and')}"
            yield _unusable(f"unknown field `{clip(str(key))}`", document.at((number, str(key))), help=help)
    for key in ("code", "reason"):
        if key not in entry:
            help = "say why it is right here" if key == "reason" else "say which code: `meshroute lint --list`"
            yield _unusable(f"`{key}` is missing", document.at((number,)), help=help)
    for key in _KEYS:
        if key not in entry:
            continue
        value, at = entry[key], document.at((number, key))
        if not _is_text(value):
            help = "say why it is right here" if key == "reason" else ""
            yield _unusable(f"`{key}` must be text that is not empty: this is of type {kind_of(value)}", at, help=help)
        elif key == "code":
            code, help = _code(value)
            if code is None:
                yield _unusable(f"`{clip(value)}` is not a code", at, help=help)
        elif key == "object" and not _OBJECT.fullmatch(value):
            message = f"`{clip(value)}` names no object"
            yield _unusable(message, at, help="write `VirtualService shop/front`, or `Node worker-1`; `*` is anything")


def _code(word: Any) -> tuple[AnyCode | None, str]:
    """The code that a word is; where it is none, what was meant."""
    code = _CODES.get(word) if type(word) is str else None
    ours = [f"`{one}`" for one, about in CATALOGUE.items() if word in (*about.istio, *about.kiali)]
    if ours:
        return code, f"here: {', '.join(ours)}"
    close = nearest(str(word), _CODES) if len(str(word)) <= 64 else None
    return code, f"did you mean `{close}`?" if close else "`meshroute lint --list` has all codes"


def _is_text(value: Any) -> bool:
    return type(value) is str and bool(value.strip())


def _unusable(message: str, at: SourceRef, subject: str = "", help: str = "") -> Finding:
    return found(LintCode.SUPPRESSION_UNUSABLE, message, at, subject, help=help)
