"""Texts to documents: plain values, and where each of them is written.

Source    YAML as Kubernetes reads it, which is go.yaml.in/yaml/v2 behind sigs.k8s.io/yaml: YAML 1.1 booleans, octal
          with a leading 0, no base 60, times left as text, `<<` merged. JSON (RFC 8259), one or several in a row.
Inputs    text, or bytes in UTF-8. What begins with `{` or `[` is tried as JSON first, as kubectl does.
Exactness lines and columns count characters from 1. The place of a field is its key, of a list item its start.
          A line ends where YAML says it does, which includes U+0085, U+2028 and U+2029.
Errors    none are raised: problems become diagnostics. What cannot be held in bounded work is refused: see Limits.
          A syntax error ends the text, since nothing after it has a certain meaning; anything else ends its document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from meshroute.diagnostics import Code, Diagnostic
from meshroute.load.json_text import read_json
from meshroute.load.places import LIMITS, Document, Problems, Refused, Shared
from meshroute.load.yaml_text import read_yaml

_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def decode_bytes(data: bytes, file: str, problems: Problems) -> str | None:
    """Bytes to text: UTF-8, with or without a mark at its start. None, and a diagnostic, where that is not possible."""
    if len(data) > LIMITS.text:
        problems.append(_too_long(file))
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.append(
            Refused("text in UTF-16 or UTF-32", 1, 1, "save it as UTF-8; nothing of it was read").said(file)
        )
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        line, column = _line_and_column(before, len(before))
        message = f"not UTF-8: byte `0x{error.object[error.start]:02x}` has no meaning here"
        help = "save it as UTF-8; nothing of it was read"
        problems.append(Refused(message, line, column, help, Code.TEXT_INVALID).said(file))
        return None


def _too_long(file: str) -> Diagnostic:
    return Refused(f"text longer than {LIMITS.text} characters", 1, 1, "split it; nothing of it was read").said(file)


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1; a line ends at LF, CR or both."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def read_documents(text: str, file: str, problems: Problems, shared: Shared) -> Iterator[Document]:
    """The documents of a text, one after the other; what is wrong with them goes to `problems`."""
    text = text.removeprefix("\ufeff")
    if len(text) > LIMITS.text:
        problems.append(_too_long(file))
        return
    if text.count("\n%") > LIMITS.directives:
        help = "nothing of the text was read"
        problems.append(Refused(f"more than {LIMITS.directives} lines that begin with `%`", 1, 1, help).said(file))
        return
    flow = text.lstrip().startswith(("{", "["))
    bad = _CONTROL.search(text)
    if bad is not None and not flow:
        problems.append(_control(text, bad, file))
        return
    if flow:
        yield from _json_or_yaml(text, file, problems, shared, bad)
    else:
        yield from read_yaml(text, file, problems, shared)


def _control(text: str, bad: re.Match[str], file: str) -> Diagnostic:
    line, column = _line_and_column(text, bad.start())
    message = f"character U+{ord(bad[0]):04X} cannot stand in a manifest"
    help = "remove it, or write it as an escape in double quotes; nothing of the text was read"
    return Refused(message, line, column, help, Code.TEXT_INVALID).said(file)


def _json_or_yaml(
    text: str, file: str, problems: Problems, shared: Shared, bad: re.Match[str] | None
) -> Iterator[Document]:
    """JSON where it is JSON, else YAML, of which flow mappings are part."""
    found = Problems()
    try:
        read = list(read_json(text, file, found, shared))
    except Refused as refused:
        if refused.code is Code.TEXT_REFUSED or file.lower().endswith(".json"):
            problems.append(refused.said(file))
        elif bad is not None:
            problems.append(_control(text, bad, file))
        else:
            yield from read_yaml(text, file, problems, shared)
        return
    for one in found:
        problems.append(one)
    yield from read
