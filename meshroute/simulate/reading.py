"""Reading a story's fields, with every problem at its place.

Inputs    documents as `load` reads them: values, and where each is written.
Exactness nothing is guessed: what is missing or wrong is said, and a stand-in goes on in its place, so that the rest is
          looked at too.
Errors    diagnostics, each once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, TypeVar

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, nearest
from meshroute.load.places import Document
from meshroute.load.scalars import clip, plain
from meshroute.manifest.metadata import Duration, kind_of

T = TypeVar("T")
_MISSING: Final = object()
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE: Final = re.compile(r"[0-9]{1,15}")
_NOTHING: Final = re.compile(r"(?!)")
_MISSED: Final[Mapping[str, str]] = {
    "name": "what it is called",
    "service": "whom the clients ask: the name of a Service in the manifests",
    "rate": "requests per second of each client",
    "manifests": "files or folders, as a list",
    "clients": "somebody has to ask: `- {name: web, rate: 10}`",
}
"""What should be there."""


class Reader:
    """One document under way."""

    def __init__(self, document: Document) -> None:
        self.document: Final = document
        self.said: dict[Diagnostic, None] = {}

    def say(self, code: Code, message: str, path: FieldPath, help: str = "") -> None:
        """An error at this place."""
        self.said[Diagnostic(code, Severity.ERROR, message, self.document.at(path), help=help)] = None

    def remark(self, code: Code, message: str, path: FieldPath, help: str = "") -> None:
        """A warning at this place."""
        self.said[Diagnostic(code, Severity.WARNING, message, self.document.at(path), help=help)] = None


class Fields:
    """One mapping: each field is asked for by name and type; what nobody asked for is unknown."""

    def __init__(
        self,
        reader: Reader,
        value: Any,
        path: FieldPath,
        known: Sequence[str],
        *,
        help: str = "",
        above: Sequence[str] = (),
    ) -> None:
        """`help` is for what is no mapping; `above` are fields that belong beside the list that this one is in."""
        self.reader: Final = reader
        self.path: Final = path
        self.value: Final[dict[str, Any]] = value if type(value) is dict else {}
        # What is no mapping misses every field, which need not be said.
        self.there: Final = type(value) is dict
        # Where a field is written, if not below `path`: runs take what they do not say from the story.
        self.places: dict[str, FieldPath] = {}
        if not self.there:
            said = f"must be of type object: this is of type {kind_of(value)}"
            reader.say(Code.FIELD_TYPE, said, path, help or f"with fields such as {_quoted(known[:3])}")
        for name in self.value:
            if name not in known:
                close = nearest(name, known)
                help = f"did you mean `{close}`?" if close else f"known: {_quoted(known)}"
                if name in above:
                    help = f"`{name}` is the same for all: write it at the top of the story"
                reader.say(Code.FIELD_UNKNOWN, f"there is no field `{clip(name)}`", (*path, name), help)

    def at(self, name: str) -> FieldPath:
        return self.places.get(name, (*self.path, name))

    def has(self, name: str) -> bool:
        """Whether anything is written there."""
        return self.value.get(name) is not None

    def missing(self, name: str, help: str = "") -> None:
        """There is no such field, or nothing in it."""
        if self.there:
            at = self.at(name) if name in self.value else self.path
            self.reader.say(Code.FIELD_MISSING, f"`{name}` is missing", at, help or _MISSED.get(name, ""))

    def wrong(self, name: str, message: str, help: str = "", code: Code = Code.FIELD_VALUE) -> None:
        self.reader.say(code, message, self.at(name), help)

    def _get(self, name: str, kind: str, fits: Callable[[Any], bool], default: T | object) -> Any:
        value = self.value.get(name)
        if value is None:
            if default is _MISSING:
                self.missing(name)
                return None
            return default
        if not fits(value):
            said = f"`{name}` must be of type {kind}: this is of type {kind_of(value)}"
            self.wrong(name, said, _unquoted(value, kind), Code.FIELD_TYPE)
            return None if default is _MISSING else default
        return value

    def text(self, name: str, default: str | None = None) -> str:
        found: str | None = self._get(
            name, "string", lambda one: type(one) is str, _MISSING if default is None else default
        )
        return found or ""

    def flag(self, name: str) -> bool:
        return bool(self._get(name, "boolean", lambda one: type(one) is bool, False))

    def whole(self, name: str, default: int | None, least: int, most: int = 2**64 - 1) -> int:
        """A whole number between two."""
        value: int | None = self._get(
            name, "integer", lambda one: type(one) is int, _MISSING if default is None else default
        )
        if value is not None and not least <= value <= most:
            bounds = f"at least {least}" if most == 2**64 - 1 else f"between {least} and {most}"
            self.wrong(name, f"`{name}` must be {bounds}, got {value}")
            value = None
        return value if value is not None else max(least, default or least)

    def rate(self, name: str) -> float:
        """Requests per second, not negative."""
        value = self._get(name, "number", lambda one: type(one) in (int, float), _MISSING)
        return 0.0 if value is None else checked_rate(self.reader, value, self.at(name))

    def span(self, name: str, default: int | None = None, least: int = 0) -> int:
        """A duration in microseconds."""
        if not self.has(name):
            if default is None:
                self.missing(name, "write it as `30s` or `1m30s`")
            return default if default is not None else max(1, least)
        found = span(self.reader, self.value[name], self.at(name))
        if found is not None and found < least:
            self.wrong(name, f"`{name}` must be at least {least} µs, got `{plain(self.value[name])}`")
            found = None
        return found if found is not None else (default if default is not None else max(1, least))

    def items(self, name: str, *, alone: bool = False) -> list[tuple[Any, FieldPath]]:
        """The items of a list with their places; with `alone`, one text stands for a list of it."""
        value = self.value.get(name)
        if value is None:
            return []
        if alone and type(value) is str:
            return [(value, self.at(name))]
        if type(value) is not list:
            said = f"`{name}` must be of type array: this is of type {kind_of(value)}"
            self.wrong(
                name, said, "write a list: each item on a line that begins with `- `, or `[...]`", Code.FIELD_TYPE
            )
            return []
        return [(one, (*self.at(name), number)) for number, one in enumerate(value)]

    def texts(self, name: str, *, alone: bool = False) -> tuple[tuple[str, FieldPath], ...]:
        """The texts of a list."""
        found = []
        for one, path in self.items(name, alone=alone):
            if type(one) is str:
                found.append((one, path))
            else:
                self.reader.say(Code.FIELD_TYPE, f"must be of type string: this is of type {kind_of(one)}", path)
        return tuple(found)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A mapping whose keys are the story's own."""
        value = self.value.get(name)
        if value is None:
            return {}
        if type(value) is not dict:
            self.wrong(name, f"`{name}` must be of type object: this is of type {kind_of(value)}", code=Code.FIELD_TYPE)
            return {}
        return value

    def text_mapping(self, name: str) -> dict[str, str]:
        """A mapping to texts; numbers and booleans have to be quoted."""
        found = {}
        for key, one in self.mapping(name).items():
            if type(one) is str:
                found[key] = one
            else:
                said = f"must be of type string: this is of type {kind_of(one)}"
                help = f'write "{plain(one)}" in quotes' if type(one) in (int, float, bool) else ""
                self.reader.say(Code.FIELD_TYPE, said, (*self.at(name), key), help)
        return found

    def choice(self, name: str, known: Sequence[str], default: str, help: str = "") -> str:
        """One of these words."""
        found = self.text(name, default)
        if found not in known:
            close = nearest(found, known)
            near = f"did you mean `{close}`?" if close else ""
            self.wrong(name, f"`{name}` must be one of {_quoted(known)}, got `{clip(found)}`", help or near)
            return default
        return found


def checked_rate(reader: Reader, value: Any, path: FieldPath) -> float:
    """A rate that is no number, or negative, is said and counts as 0."""
    if type(value) not in (int, float):
        reader.say(Code.FIELD_TYPE, f"must be of type number: this is of type {kind_of(value)}", path)
        return 0.0
    if not isfinite(value) or value < 0:
        reader.say(Code.FIELD_VALUE, f"a rate must be at least 0 requests per second, got {plain(value)}", path)
        return 0.0
    return float(value)


def span(reader: Reader, value: Any, path: FieldPath) -> int | None:
    """A duration in microseconds; None, with the reason said, for what is none."""
    if type(value) is not str:
        said = f"must be of type string: this is of type {kind_of(value)}"
        number = type(value) in (int, float) and 0 < value < 2**53
        help = f"write it with a unit: `{plain(value)}s`" if number else "such as `30s` or `20ms`"
        reader.say(Code.FIELD_TYPE, said, path, help)
        return None
    try:
        nanoseconds = Duration.parse(value).nanoseconds
    except ValueError as error:
        reader.say(Code.FIELD_VALUE, str(error), path)
        return None
    if nanoseconds < 0:
        reader.say(Code.FIELD_VALUE, f"time does not run backwards: `{clip(value)}` is negative", path)
        return None
    if nanoseconds % 1000:
        reader.say(Code.FIELD_VALUE, f"`{clip(value)}` is no whole number of microseconds", path)
        return None
    return nanoseconds // 1000


def _unquoted(value: Any, kind: str) -> str:
    """What a number or a truth value in quotes should have been."""
    if type(value) is not str:
        return ""
    if kind == "boolean":
        fits = value in ("true", "false")
    else:
        fits = bool({"integer": _WHOLE, "number": _NUMBER}.get(kind, _NOTHING).fullmatch(value))
    return f"write it without quotes: {clip(value)}" if fits else ""


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in words)
