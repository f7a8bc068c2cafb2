"""Diagnostics: everything meshroute has to say about what people wrote.

Inputs    codes are words, one heading each in docs/diagnostics.md; a test compares the two lists.
          Lines and columns count from 1, as editors do; a field path is the one `kubectl` prints
          (`spec.http[0].match[1].uri`).
Errors    building and rendering never raise. `ManifestError` carries every diagnostic, never only the first.
Wording   lower case, no final stop, what they wrote in backticks, help kept apart from the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

import msgspec

FieldPath = tuple[str | int, ...]
"""Steps from the top of a document to a value: mapping keys and list indices."""


class Severity(StrEnum):
    """How much a diagnostic weighs: an error makes the input unusable, a warning changes what it means, a note
    informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Code(StrEnum):
    """What kind of thing is said. The value is the word that people search the documentation for."""

    # text
    FILE_UNREADABLE = "file-unreadable"
    TEXT_INVALID = "text-invalid"
    TEXT_REFUSED = "text-refused"
    KEY_DUPLICATE = "key-duplicate"
    # objects
    DOCUMENT_SHAPE = "document-shape"
    KIND_UNKNOWN = "kind-unknown"
    FIELD_UNKNOWN = "field-unknown"
    FIELD_MISSING = "field-missing"
    FIELD_TYPE = "field-type"
    FIELD_VALUE = "field-value"
    FIELD_NOT_MODELLED = "field-not-modelled"
    OBJECT_DUPLICATE = "object-duplicate"
    # repairs
    REPAIRED_LABEL_VALUE = "repaired-label-value"
    REPAIRED_URI_MATCH = "repaired-uri-match"
    REPAIRED_ROUTE_MAPPING = "repaired-route-mapping"
    REPAIRED_HOSTS = "repaired-hosts"
    REPAIRED_SPLIT_WEIGHTS = "repaired-split-weights"
    # meaning
    REGEX_INVALID = "regex-invalid"
    RULE_UNREACHABLE = "rule-unreachable"
    RULE_EMPTY = "rule-empty"
    RULE_DROPPED = "rule-dropped"
    DELEGATE_UNKNOWN = "delegate-unknown"
    WEIGHT_IGNORED = "weight-ignored"
    WEIGHTS_UNUSABLE = "weights-unusable"
    HOST_UNKNOWN = "host-unknown"
    HOSTS_MISSING = "hosts-missing"
    PORT_UNKNOWN = "port-unknown"
    SUBSET_UNKNOWN = "subset-unknown"
    SUBSET_EMPTY = "subset-empty"
    ENDPOINTS_MISSING = "endpoints-missing"
    SERVICE_IGNORED = "service-ignored"
    SIDECAR_IGNORED = "sidecar-ignored"
    GATEWAY_UNKNOWN = "gateway-unknown"
    GATEWAY_SERVES_NOTHING = "gateway-serves-nothing"
    SERVER_IGNORED = "server-ignored"
    VIRTUAL_SERVICE_IGNORED = "virtual-service-ignored"
    PROTOCOL_NOT_HTTP = "protocol-not-http"
    SETTING_IGNORED = "setting-ignored"
    ISTIO_WARNS = "istio-warns"
    ADDRESS_ASSUMED = "address-assumed"
    HINTS_MISSING = "hints-missing"
    HINTS_ASSUMED = "hints-assumed"


class SourceRef(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in what people wrote.

    `file` is the path as given, or the name given to `loads`; `line` and `column` count from 1, 0 where the text is
    not known (an object built in Python); `path` is the field path, empty for a whole document.
    """

    file: str
    line: int = 0
    column: int = 0
    path: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return " ".join(filter(None, (place, self.path))) or "(built in Python)"


class Diagnostic(msgspec.Struct, frozen=True):
    """One thing said about one place.

    `subject` names the object it is about (`VirtualService shop/front`), empty when the text never became one;
    `help` says what would be right, and may have several lines; `related` are other places that take part.
    """

    code: Code
    severity: Severity
    message: str
    at: SourceRef
    subject: str = ""
    help: str = ""
    related: tuple[SourceRef, ...] = ()

    def __str__(self) -> str:
        return render(self)


class ManifestError(Exception):
    """The manifests cannot be used. `diagnostics` has everything that was found, warnings and notes included."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        errors = [one for one in self.diagnostics if one.severity is Severity.ERROR]
        summary = f"{len(errors)} error{'s' if len(errors) != 1 else ''} in manifests"
        super().__init__("\n".join([summary, *map(render, errors)]))


def path_text(path: Iterable[str | int]) -> str:
    """Write a field path as `kubectl` does. Keys that are not plain words are quoted:
    `labels["app.kubernetes.io/name"]`.

    >>> path_text(("spec", "http", 0, "match", 1, "headers", "x-user"))
    'spec.http[0].match[1].headers.x-user'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step and all(char.isalnum() or char in "-_" for char in step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def render(diagnostic: Diagnostic) -> str:
    """One diagnostic as text: place, severity, code and message on the first line, help and related places indented."""
    about = f" ({diagnostic.subject})" if diagnostic.subject else ""
    lines = [f"{diagnostic.at}: {diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{about}"]
    for number, line in enumerate(diagnostic.help.splitlines()):
        lines.append(f"  {'help: ' if number == 0 else '      '}{line}")
    lines.extend(f"  see:  {place}" for place in diagnostic.related)
    return "\n".join(lines)


def to_builtins(diagnostic: Diagnostic) -> dict[str, Any]:
    """One diagnostic as plain JSON values, every field present."""
    values: dict[str, Any] = msgspec.to_builtins(diagnostic)
    return values


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By file, line and column; what stands at one place keeps the order in which it was found. Repeats are dropped."""
    return tuple(sorted(dict.fromkeys(diagnostics), key=lambda one: (one.at.file, one.at.line, one.at.column)))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a slip of the pen most likely meant, or None when nothing is close. Case does not count."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None
