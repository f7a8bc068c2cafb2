"""Predicates: one closure for each shape of condition.

Source    spec/match.md MATCH-1 to MATCH-24; envoyproxy/envoy:
          source/common/{router/config_impl.cc,http/header_utility.cc}
Inputs    table values; requests in wire form. Exactness: bytes are compared, only ASCII letters fold.
Errors    Re2SyntaxError where a pattern is not RE2's, TableError for a template that is none, when the predicate is
          made. Asking never raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

from meshroute.match.re2 import compile_full
from meshroute.match.template import shape_of
from meshroute.names import ascii_lower, wire
from meshroute.request import Request, cookie_value, query_value, without_parameters
from meshroute.table import (
    Absent,
    AllOf,
    AnyOf,
    Between,
    Contains,
    CookieMatch,
    Exact,
    HeaderIs,
    HeaderMatch,
    MetadataMatch,
    Not,
    PathMatch,
    Pattern,
    Predicate,
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
    digits = text.lstrip("+-0")
    # Python reads no number of thousands of digits, zeros before it counted.
    if not _WHOLE.fullmatch(text) or len(digits) > 19:
        return None
    number = int(digits or "0")
    if text.startswith("-"):
        number = -number
    return number if -(2**63) <= number < 2**63 else None


def path_predicate(wanted: PathMatch, ignore_parameters: bool = False) -> RequestPredicate:
    """Whether the path without its query satisfies the condition; with `ignore_parameters`, without `;...` too.

    CONNECT has no path: only `Tunnel` takes it.
    """
    match wanted:
        case Tunnel():
            return is_tunnel
        case Template(value):
            shape = shape_of(value).matches  # parameters count here, whatever else ignores them
            return lambda request: shape(request.plain_path)
        case Segments(value, ignore_case):
            holds = _segments(value, ignore_case)
        case _:
            holds = text_predicate(wanted)
    if ignore_parameters:
        return lambda request: request.method != "CONNECT" and holds(without_parameters(request.plain_path))
    if not holds(""):
        return lambda request: holds(request.plain_path)
    return lambda request: request.method != "CONNECT" and holds(request.plain_path)


def is_tunnel(request: Request) -> bool:
    """Whether the request asks for a tunnel."""
    return request.method == "CONNECT"


def _segments(value: str, ignore_case: bool) -> TextPredicate:
    length = len(value)
    whole = text_predicate(Prefix(value, ignore_case))
    return lambda path: whole(path) and path[length : length + 1] in ("", "/")


def header_predicate(wanted: HeaderMatch) -> RequestPredicate:
    """Whether some value of the header satisfies the condition, or none does if it is inverted."""
    name, invert = wanted.name, wanted.invert
    if isinstance(wanted.value, Present):
        if wanted.missing_is_empty:  # an empty value is a value: the header is there whatever is sent
            return lambda _: not invert
        return lambda request: (name in request.fields) != invert
    holds = text_predicate(wanted.value)
    if wanted.joined:
        return _joined_header(wanted, holds)
    if wanted.missing_is_empty:
        return lambda request: any(map(holds, request.fields.get(name, ("",)))) != invert

    def some_value(request: Request) -> bool:
        values = request.fields.get(name)
        # A missing header fails an inverted condition too: Envoy asks for the header before it asks for its value.
        return values is not None and any(map(holds, values)) != invert

    return some_value


def _joined_header(wanted: HeaderMatch, holds: TextPredicate) -> RequestPredicate:
    name, invert = wanted.name, wanted.invert
    missing: tuple[str, ...] = ("",) if wanted.missing_is_empty else ()

    def one_value(request: Request) -> bool:
        values = request.fields.get(name, missing)
        return bool(values) and holds(",".join(values)) != invert

    return one_value


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


def cookie_predicate(wanted: CookieMatch) -> RequestPredicate:
    """Whether the first cookie of the name satisfies the condition; a missing one satisfies an inverted condition."""
    name, invert, holds = wanted.name, wanted.invert, text_predicate(wanted.value)

    def first_value(request: Request) -> bool:
        value = cookie_value(request, name)
        return (value is not None and holds(value)) != invert

    return first_value


def metadata_predicate(wanted: MetadataMatch) -> RequestPredicate:
    """Whether a text where the path leads satisfies the condition; nothing there satisfies an inverted condition."""
    invert, holds = wanted.invert, text_predicate(wanted.value)
    return lambda request: any(map(holds, noted_texts(request, wanted))) != invert


def noted_texts(request: Request, wanted: MetadataMatch) -> Iterator[str]:
    """The texts where the path of a condition leads, in wire form: one, those of a list, or none."""
    found: Any = request.metadata.get(wanted.source)
    for key in wanted.path:
        found = found.get(key) if isinstance(found, Mapping) else None
    for one in found if isinstance(found, Sequence) and not isinstance(found, str) else (found,):
        if isinstance(one, str):
            yield wire(one)


def is_grpc(request: Request) -> bool:
    """Whether the content type is that of gRPC, with or without a format behind `+`; CONNECT is never gRPC."""
    kind = request.fields.get("content-type", ("",))[0]
    return (kind == "application/grpc" or kind.startswith("application/grpc+")) and request.method != "CONNECT"


def joined_value(request: Request, header: str) -> str | None:
    """What a matcher sees of a header: its lines joined with `,`; None where it is not sent."""
    values = request.fields.get(header)
    return None if values is None else ",".join(values)


def matcher_predicate(wanted: Predicate) -> RequestPredicate:
    """Whether a predicate of a matcher holds. A header that is not sent satisfies none, and so its negation holds."""
    match wanted:
        case AllOf(some):
            every = tuple(map(matcher_predicate, some))
            return lambda request: all(holds(request) for holds in every)
        case AnyOf(some):
            every = tuple(map(matcher_predicate, some))
            return lambda request: any(holds(request) for holds in every)
        case Not(one):
            inner = matcher_predicate(one)
            return lambda request: not inner(request)
        case HeaderIs(header, value):
            holds = text_predicate(value)
            return lambda request: (text := joined_value(request, header)) is not None and holds(text)
        case _:
            assert_never(wanted)
