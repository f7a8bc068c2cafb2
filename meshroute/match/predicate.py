"""Predicates: one closure for each shape of condition.

Source    spec/match.md MATCH-1 to MATCH-12; envoyproxy/envoy:
          source/common/{router/config_impl.cc,http/header_utility.cc}
Inputs    table values; requests in wire form. Exactness: bytes are compared, only ASCII letters fold.
Errors    Re2SyntaxError where a pattern is not RE2's, when the predicate is made. Asking never raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias, assert_never

from meshroute.match.re2 import compile_full
from meshroute.names import ascii_lower
from meshroute.request import Request, query_value
from meshroute.table import (
    Absent,
    Between,
    Contains,
    Exact,
    HeaderMatch,
    PathMatch,
    Pattern,
    Prefix,
    Present,
    QueryMatch,
    Segments,
    Suffix,
    Template,
    TextMatch,
    Tunnel,
)

TextPredicate: TypeAlias = Callable[[str], bool]
RequestPredicate: TypeAlias = Callable[[Request], bool]
_WHOLE = re.compile(r"[+-]?[0-9]+")


def text_predicate(wanted: TextMatch) -> TextPredicate:
    """Whether one text satisfies the condition."""
    match wanted:
        case Exact(value, ignore_case=False):
            return value.__eq__
        case Exact(value):
            folded = ascii_lower(value)
            return lambda text: ascii_lower(text) == folded
        case Prefix(value, ignore_case=False):
            return lambda text: text.startswith(value)
        case Prefix(value):
            folded = ascii_lower(value)
            return lambda text: ascii_lower(text).startswith(folded)
        case Suffix(value, ignore_case=False):
            return lambda text: text.endswith(value)
        case Suffix(value):
            folded = ascii_lower(value)
            return lambda text: ascii_lower(text).endswith(folded)
        case Contains(value, ignore_case=False):
            return lambda text: value in text
        case Contains(value):
            folded = ascii_lower(value)
            return lambda text: folded in ascii_lower(text)
        case Between(start, end):
            return lambda text: (number := whole_number(text)) is not None and start <= number < end
        case Pattern(regex):
            return compile_full(regex).matches_all_of
        case Present():
            return lambda _: True
        case _:
            assert_never(wanted)


def whole_number(text: str) -> int | None:
    """A signed 64-bit number in decimal; None for any other text."""
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def path_predicate(wanted: PathMatch) -> RequestPredicate:
    """Whether the path without its query satisfies the condition."""
    match wanted:
        case Segments(value, ignore_case):
            return _segments(value, ignore_case)
        case Tunnel():
            return lambda request: request.method == "CONNECT"
        case Template():
            raise NotImplementedError("templates")
        case _:
            holds = text_predicate(wanted)
            return lambda request: holds(request.plain_path)


def _segments(value: str, ignore_case: bool) -> RequestPredicate:
    length = len(value)
    whole = text_predicate(Prefix(value, ignore_case))
    return lambda request: whole(path := request.plain_path) and path[length : length + 1] in ("", "/")


def header_predicate(wanted: HeaderMatch) -> RequestPredicate:
    """Whether some value of the header satisfies the condition, or none does if it is inverted."""
    name, invert = wanted.name, wanted.invert
    if isinstance(wanted.value, Present):
        if wanted.missing_is_empty:  # an empty value is a value: the header is there whatever is sent
            return lambda _: not invert
        return lambda request: (name in request.fields) != invert
    holds = text_predicate(wanted.value)
    if wanted.missing_is_empty:
        return lambda request: any(map(holds, request.fields.get(name, ("",)))) != invert

    def some_value(request: Request) -> bool:
        values = request.fields.get(name)
        # A missing header fails an inverted condition too: Envoy asks for the header before it asks for its value.
        return values is not None and any(map(holds, values)) != invert

    return some_value


def query_predicate(wanted: QueryMatch) -> RequestPredicate:
    """Whether the first parameter of the name satisfies the condition."""
    name = wanted.name
    if isinstance(wanted.value, Absent):
        return lambda request: query_value(request.query, name) is None
    holds = text_predicate(wanted.value)

    def first_value(request: Request) -> bool:
        value = query_value(request.query, name)
        return value is not None and holds(value)

    return first_value
