"""Reading a story's fields, with every problem at its place.

Inputs    documents as `load` reads them: values, and where each is written.
Exactness nothing is guessed: what is missing or wrong is said, and a stand-in goes on in its place, so that the rest is
          looked at too.
Errors    diagnostics, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, TypeVar

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, nearest
from meshroute.load.places import Document
from meshroute.load.scalars import clip, plain
from meshroute.manifest.metadata import Duration, kind_of

T = TypeVar("T")
_MISSING: Final = object()


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

    def __init__(self, reader: Reader, value: Any, path: FieldPath, known: Sequence[str]) -> None:
        self.reader: Final = reader
        self.path: Final = path
        self.value: Final[dict[str, Any]] = value if type(value) is dict else {}
        # Where a field is written, if not below `path`: runs take what they do not say from the story.
        self.places: dict[str, FieldPath] = {}
        if type(value) is not dict:
            reader.say(Code.FIELD_TYPE, f"must be of type object: this is of type {kind_of(value)}", path)
        for name in self.value:
            if name not in known:
                close = nearest(name, known)
                help = f"did you mean `{close}`?" if close else f"known: {_quoted(known)}"
                reader.say(Code.FIELD_UNKNOWN, f"there is no field `{clip(name)}`", (*path, name), help)

    def at(self, name: str) -> FieldPath:
        return self.places.get(name, (*self.path, name))

    def has(self, name: str) -> bool:
        """Whether anything is written there."""
        return self.value.get(name) is not None

    def wrong(self, name: str, message: str, help: str = "", code: Code = Code.FIELD_VALUE) -> None:
        self.reader.say(code, message, self.at(name), help)

    def _get(self, name: str, kind: str, fits: Callable[[Any], bool], default: T | object) -> Any:
        value = self.value.get(name)
        if value is None:
            if default is _MISSING:
                self.reader.say(Code.FIELD_MISSING, f"`{name}` is missing", self.path)
                return None
            return default
        if not fits(value):
            self.wrong(name, f"`{name}` must be of type {kind}: this is of type {kind_of(value)}", code=Code.FIELD_TYPE)
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
                self.reader.say(Code.FIELD_MISSING, f"`{name}` is missing", self.path, "write it as `30s` or `1m30s`")
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
            self.wrong(name, f"`{name}` must be of type array: this is of type {kind_of(value)}", code=Code.FIELD_TYPE)
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
                self.reader.say(Code.FIELD_TYPE, said, (*self.at(name), key), f'write "{plain(one)}" in quotes')
        return found

    def choice(self, name: str, known: Sequence[str], default: str) -> str:
        """One of these words."""
        found = self.text(name, default)
        if found not in known:
            close = nearest(found, known)
            help = f"did you mean `{close}`?" if close else ""
            self.wrong(name, f"`{name}` must be one of {_quoted(known)}, got `{clip(found)}`", help)
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
        reader.say(Code.FIELD_TYPE, said, path, f"write it with a unit: `{plain(value)}s`" if value else "")
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


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in words)
