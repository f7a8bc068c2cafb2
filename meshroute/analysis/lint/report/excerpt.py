"""Lines of manifests with a word underlined, as compilers show them.

Inputs    texts by file, and places in them.
Exactness lines end where the loader says they do. Columns are those of a terminal: wide characters take two, what
          cannot be printed is shown as `·`, so that no text moves the cursor.
Errors    none: a place whose text is not there has no lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from unicodedata import combining, east_asian_width

import msgspec

from meshroute.diagnostics import SourceRef

_ENDS: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_JSON_ENDS: Final = re.compile("\r\n|[\n\r]")
_WORD: Final = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,{}\[\]]+?(?=:(?:\s|$)|[\s,{}\[\]]|$)""",
)


class Sources:
    """The texts of files, split into lines when they are first asked for."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._lines: dict[str, list[str]] = {}

    def line(self, at: SourceRef) -> str | None:
        """The line of a place, as it is written."""
        if at.file not in self._texts or not at.line:
            return None
        lines = self._lines.get(at.file)
        if lines is None:
            text = self._texts[at.file].removeprefix("\ufeff")
            ends = _JSON_ENDS if text.lstrip().startswith(("{", "[")) else _ENDS
            lines = self._lines[at.file] = ends.split(text)
        return lines[at.line - 1] if at.line <= len(lines) else None

    def end(self, at: SourceRef) -> int | None:
        """The column after the word at a place, from 1."""
        line = self.line(at)
        if line is None or not 1 <= at.column <= len(line):
            return None
        return at.column + _length(line, at.column - 1)


def _length(line: str, start: int) -> int:
    word = _WORD.match(line, start)
    return max(1, len(word[0])) if word else 1


class Shown(msgspec.Struct, frozen=True):
    """A line cut to a width, and where its word is: both in columns of a terminal, from 0."""

    text: str
    start: int
    length: int


def shown(line: str, column: int, width: int) -> Shown:
    """A line as a terminal shows it, its word at a column (from 1) in sight."""
    start = min(max(column - 1, 0), len(line))
    end = min(start + _length(line, start), start + width)
    # A manifest in JSON can be one line of megabytes: only what could be in sight is looked at.
    before = [columns(char) for char in line[max(0, start - width) : start]]
    word = sum(columns(char) for char in line[start:end])
    first = start - len(before)
    if first or sum(before) + word > width - 1:
        # Some of what is before the word helps to read it.
        kept, first = 0, start
        while before and kept + before[-1] <= width // 4:
            kept += before.pop()
            first -= 1
    text, used = ("…", 1) if first else ("", 0)
    at = length = 0
    for number in range(first, min(len(line), first + 2 * width)):
        char, size = _plain(line[number]), columns(line[number])
        if used + size > width - (number < len(line) - 1):
            text += "…"
            break
        if number == start:
            at = used
        if start <= number < end:
            length += size
        text += char
        used += size
    return Shown(text, used if start >= len(line) else at, max(length, 1))


def excerpt(sources: Sources, at: SourceRef, width: int) -> list[str]:
    """The line of a place behind its number, and `^^^^` under its word. Nothing where the text is not there."""
    line = sources.line(at)
    if line is None:
        return []
    gutter = f"{at.line:>5} | "
    cut = shown(line, at.column, max(width - len(gutter), 20))
    return [f"{gutter}{cut.text}".rstrip(), f"{' ' * 5} | {' ' * cut.start}{'^' * cut.length}"]


def columns(char: str) -> int:
    """How many columns of a terminal a character takes."""
    if combining(char):
        return 0
    return 2 if east_asian_width(char) in "WF" and char.isprintable() else 1


def _plain(char: str) -> str:
    if char == "\t":
        return " "
    return char if char.isprintable() else "·"


def plain_line(text: str) -> str:
    """A line that moves no cursor: what cannot be printed is written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
