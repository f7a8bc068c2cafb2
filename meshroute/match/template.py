"""URI templates: the shapes of paths, as patterns.

Source    spec/match.md MATCH-17; envoyproxy/envoy: source/extensions/path/uri_template_lib
Inputs    a template in wire form. Exactness: what is refused here, the proxy refuses; the pattern is the proxy's own.
Errors    TableError, with what the proxy would say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from meshroute.match.re2 import FullRegex, Re2SyntaxError, compile_full, compile_rewrite
from meshroute.table import TableError

LITERAL: Final = "a-zA-Z0-9-._~%!$&'()+,;:@*="
"""What a segment of a path may have in it, as RE2 writes a class: nothing else is met by `*` and variables."""
MOST_VARIABLES: Final = 5
LONGEST_NAME: Final = 16
LONGEST: Final = 256

_LITERAL = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@*=]+")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_PRINTABLE = re.compile(r"/[!-~]*")
_ONE: Final = f"[{LITERAL}]+"
_MANY: Final = f"[{LITERAL}/]*"
# A star stays as it is: a proxy's pattern then repeats the character before it.
_ESCAPED: Final = str.maketrans({letter: "\\" + letter for letter in "$().+"})


class Shape(NamedTuple):
    """A template as a pattern, with a group for each of its variables."""

    regex: str
    variables: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether the template is one of this path. A template such as `/a**`, of which RE2 can make no pattern, is
        loaded all the same, and of no path."""
        regex = _compiled(self.regex)
        return regex is not None and regex.matches_all_of(path)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> FullRegex | None:
    try:
        return compile_full(pattern)
    except Re2SyntaxError:
        return None


@lru_cache(maxsize=1024)
def shape_of(template: str) -> Shape:
    """The pattern of a template. Recent ones are kept. Raises TableError."""
    if not template or len(template) > LONGEST:
        raise TableError(f"template `{template}`: it has from 1 to {LONGEST} characters")
    if not _PRINTABLE.fullmatch(template):
        raise TableError(f"template `{template}`: Invalid pattern: it starts with `/` and has no blanks")
    reader = _Reader(template)
    segments = reader.segments(template[1:])
    return Shape("/" + "/".join(segments), tuple(reader.variables))


class _Reader:
    """One template on its way to a pattern."""

    def __init__(self, template: str) -> None:
        self.template: Final = template
        self.variables: Final[list[str]] = []
        self._ended = False  # by `**`

    def segments(self, rest: str) -> list[str]:
        """The pattern of each segment; an empty last one is the slash at the end."""
        parts = rest.split("/") if "{" not in rest else _split(rest)
        if parts == [""]:
            return parts
        return [self._segment(part, number == len(parts) - 1) for number, part in enumerate(parts)]

    def _segment(self, text: str, last: bool) -> str:
        if not text and last:
            return ""
        if text.startswith("*"):
            glob, rest = self._glob(text)
            if rest and not last:
                raise self._wrong("Prefix match not supported", text)
            return glob + (self._literal(rest, "Invalid suffix literal") if rest else "")
        before, brace, rest = text.partition("{")
        if not brace:
            return self._literal(text, "Invalid literal")
        said = self._literal(before, "Invalid literal") if before else ""
        inner, end, after = rest.partition("}")
        if not end:
            raise self._wrong("Unmatched variable bracket", text)
        variable = self._variable(inner)
        return said + variable + (self._literal(after, "Invalid suffix literal") if after else "")

    def _glob(self, text: str) -> tuple[str, str]:
        if self._ended:
            raise self._wrong("Glob after text glob", text)
        if text.startswith("**"):
            self._ended = True
            return _MANY, text[2:]
        return _ONE, text[1:]

    def _literal(self, text: str, what: str) -> str:
        if not _LITERAL.fullmatch(text):
            raise self._wrong(what, text)
        return text.translate(_ESCAPED)

    def _variable(self, inner: str) -> str:
        name, equals, value = inner.partition("=")
        if not _NAME.fullmatch(name):
            raise self._wrong("Invalid variable name", inner)
        if len(self.variables) >= MOST_VARIABLES:
            raise self._wrong("Exceeded variable count limit", inner)
        if len(name) > LONGEST_NAME:
            raise self._wrong("Invalid variable length", inner)
        if name in self.variables:
            raise self._wrong("Repeated variable name", inner)
        self.variables.append(name)
        if equals and not value:
            raise self._wrong("Empty variable match", inner)
        parts = [self._part(part, inner) for part in value.split("/")] if equals else [self._glob("*")[0]]
        return f"(?P<{name}>{'/'.join(parts)})"

    def _part(self, part: str, inner: str) -> str:
        if not part.startswith("*"):
            return self._literal(part, "Invalid literal")
        glob, rest = self._glob(part)
        if rest:
            raise self._wrong("Invalid variable match", inner)
        return glob

    def _wrong(self, what: str, where: str) -> TableError:
        return TableError(f"template `{self.template}`: {what}: `{where}`")


def _split(rest: str) -> list[str]:
    """Segments. Slashes in the braces that open a segment part none; a literal before braces ends at any slash."""
    parts, inside = [""], False
    for letter in rest:
        if letter == "/" and not inside:
            parts.append("")
            continue
        inside = (inside and letter != "}") or (letter == "{" and not parts[-1])
        parts[-1] += letter
    return parts


def variables(template: str, path: str) -> Mapping[str, str] | None:
    """What each variable of a template holds of a path; None for a path of another shape. Raises TableError.

    >>> variables("/api/{version}/{rest=**}", "/api/v1/a/b")
    {'version': 'v1', 'rest': 'a/b'}
    """
    shape = shape_of(template)
    try:
        spans = compile_rewrite(f"^(?:{shape.regex})$", "").find(path)
    except Re2SyntaxError:
        return None
    if spans is None:
        return None
    return {name: path[spans[2 * at] : spans[2 * at + 1]] for at, name in enumerate(shape.variables, start=1)}
