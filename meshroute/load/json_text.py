"""JSON to documents, with places.

Source    RFC 8259; numbers as the API server reads them
Inputs    any text; several JSON texts in a row, as kubectl allows, perhaps with `---` lines between them.
Exactness lines end at LF, CR or both. The builder fills the same lists as for YAML, so nobody later can tell.
Errors    `read_json` raises Refused where the text is not JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined] # the stubs leave out the C string decoder
from typing import Any, Final

from meshroute.diagnostics import Code
from meshroute.load.places import COLUMNS, LIMITS, Builder, Document, Problems, Refused, Shared, SkippedKey
from meshroute.load.scalars import clip, plain

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_BETWEEN: Final = re.compile(r"(?:[ \t\r\n]|^---[ \t]*$)*", re.MULTILINE)
_WORDS: Final = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


def read_json(text: str, file: str, problems: Problems, shared: Shared) -> Iterator[Document]:
    """JSON texts in a row, perhaps with `---` lines between them. Raises Refused where it is not JSON."""
    lines = _Lines(text)
    at = _after(_BETWEEN, text, 0)
    while at < len(text):
        document, at = _json_document(text, at, file, lines, problems, shared)
        yield document
        at = _after(_BETWEEN, text, at)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


class _Lines:
    """Lines and columns of offsets that only grow."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.line = 0
        self.start = 0
        self.seen = 0

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 0. Lines end at LF, CR or both."""
        text = self.text
        breaks = text.count("\n", self.seen, offset)
        if breaks:
            self.line += breaks
            self.start = text.rfind("\n", self.seen, offset) + 1
        if text.find("\r", self.seen, offset) >= 0:
            self.line += sum(text[i + 1 : i + 2] != "\n" for i in range(self.seen, offset) if text[i] == "\r")
            self.start = max(self.start, text.rfind("\r", self.seen, offset) + 1)
        self.seen = offset
        return self.line, offset - self.start


def _json_document(
    text: str, at: int, file: str, lines: _Lines, problems: Problems, shared: Shared
) -> tuple[Document, int]:
    """One JSON text from offset `at`, and the offset after it. The same shape as `_yaml_document`."""
    space = _SPACE.match
    line, column = lines.at(at)
    base = line
    builder = Builder(file, base)
    keys, ends, marks = builder.keys, builder.ends, builder.marks
    strings = shared.scalars
    stack: list[tuple[Any, int]] = []
    container: Any = None
    entry = 0
    key: Any = None
    key_mark = 0
    value: Any = None
    result: Any = None

    def refuse(message: str, offset: int) -> Refused:
        line, column = lines.at(offset)
        return Refused(
            f"not valid JSON: {message}",
            line + 1,
            column + 1,
            help="nothing after this place was read",
            code=Code.TEXT_INVALID,
        )

    def string(start: int) -> tuple[str, int]:
        try:
            value, end = scanstring(text, start + 1, True)
        except ValueError as error:
            raise refuse("a string that does not end here", getattr(error, "pos", start)) from None
        if len(value) > LIMITS.scalar:
            line, column = lines.at(start)
            raise Refused(f"scalar longer than {LIMITS.scalar} characters", line + 1, column + 1)
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise refuse("half of a surrogate pair", start)
        return value, end

    while True:
        # A value, or the end of a container that may be empty, starts here.
        at = space(text, at).end()  # type: ignore[union-attr] # matches the empty text too
        char = text[at : at + 1]
        if char in ("}", "]") and container is not None and not container and key is None:
            closes = char
        else:
            closes = ""
            if type(container) is dict and key is None:
                if char != '"':
                    raise refuse("a key in double quotes belongs here", at)
                line, column = lines.at(at)
                key, end = string(at)
                key_mark = (line - base) << COLUMNS | column
                if key in container:
                    builder.duplicate(key, line, column, [*stack[1:], (container, entry)], problems)
                    key = SkippedKey(key)
                at = space(text, end).end()  # type: ignore[union-attr] # as above
                if text[at : at + 1] != ":":
                    raise refuse("`:` belongs here", at)
                at += 1
                continue
            line, column = lines.at(at)
            number = len(keys)
            if char == '"':
                value, at = string(at)
                if len(value) <= 64:
                    # `resolve` never gives these back for quoted text, so the two readers keep separate keys.
                    value = strings.setdefault(f"\x00{value}", value) if len(strings) < 100_000 else value
                ends.append(number + 1)
            elif char in ("{", "["):
                if len(stack) >= LIMITS.depth:
                    raise Refused(
                        f"nested deeper than {LIMITS.depth} levels",
                        line + 1,
                        column + 1,
                        help="nothing after this place was read",
                    )
                value = {} if char == "{" else []
                ends.append(0)
                at += 1
            elif char in _WORDS and text.startswith(_WORDS[char][0], at):
                word, value = _WORDS[char]
                at += len(word)
                builder.nulls = builder.nulls or value is None
                ends.append(number + 1)
            else:
                digits = _NUMBER.match(text, at)
                if digits is None:
                    raise refuse("a value belongs here", at)
                value = _json_number(digits)
                if value is None:
                    raise refuse(f"`{clip(digits[0])}` is too large", at)
                if plain(value) != digits[0]:
                    builder.spelt[number] = digits[0]
                at = digits.end()
                ends.append(number + 1)

            if container is None:
                keys.append(None)
                marks.append(column)
                result = value
            elif type(container) is dict:
                if type(key) is SkippedKey:
                    keys.append(key.text)
                else:
                    keys.append(key)
                    container[key] = value
                marks.append(key_mark)
                key = None
            else:
                keys.append(None)
                marks.append((line - base) << COLUMNS | column)
                container.append(value)
            if type(value) is dict or type(value) is list:
                stack.append((container, entry))
                container, entry = value, number
                continue

        # A value has ended: what closes after it, and what goes on?
        while container is not None:
            if not closes:
                at = space(text, at).end()  # type: ignore[union-attr] # as above
                closes = text[at : at + 1]
                if closes == ",":
                    break
            if closes != ("}" if type(container) is dict else "]"):
                raise refuse("`,` or the end of what is open belongs here", at)
            at += 1
            ends[entry] = len(keys)
            container, entry = stack.pop()
            closes = ""
        if container is None:
            return builder.document(result, shared), at
        at += 1
        if space(text, at).end() < len(text) and text[space(text, at).end()] in "}]":  # type: ignore[union-attr] # as above
            raise refuse("nothing follows this `,`", at - 1)


def _json_number(digits: re.Match[str]) -> int | float | None:
    """A number as the API server reads it: whole ones of 64 bits stay whole, others are doubles."""
    if digits[2] is None and digits[3] is None and len(digits[1]) <= 20:
        whole = int(digits[1])
        if -(2**63) <= whole < 2**64:
            return whole
    number = float(digits[0])
    return None if number in (float("inf"), float("-inf")) else number
