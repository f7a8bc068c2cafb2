"""What a route asks of a request: closed sums, no behaviour.

Source    spec/match.md MATCH-1 to MATCH-12; envoyproxy/envoy: api/envoy/config/route/v3/route_components.proto
Inputs    text in wire form (names.wire): one character is one byte.
Errors    none here. A pattern that RE2 refuses is refused where the table is compiled or prepared.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Exact(msgspec.Struct, frozen=True, tag="exact", gc=False, forbid_unknown_fields=True):
    """The whole text, byte for byte; `ignore_case` folds ASCII letters."""

    value: str
    ignore_case: bool = False


class Prefix(msgspec.Struct, frozen=True, tag="prefix", gc=False, forbid_unknown_fields=True):
    """Text that starts so. A plain string prefix: `/v2` also takes `/v2x`; the empty prefix takes everything."""

    value: str
    ignore_case: bool = False


class Pattern(msgspec.Struct, frozen=True, tag="pattern", gc=False, forbid_unknown_fields=True):
    """RE2 syntax, matched against the whole text."""

    regex: str


class Present(msgspec.Struct, frozen=True, tag="present", gc=False, forbid_unknown_fields=True):
    """Any value, the empty one included."""


PathMatch: TypeAlias = Exact | Prefix | Pattern
"""Compared with the path without its query."""
TextMatch: TypeAlias = Exact | Prefix | Pattern | Present
"""Compared with one header value, or one query value."""


class HeaderMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on a header. `name` is lower case; `:method`, `:authority`, `:scheme` and `:path` are headers too.

    A repeated header satisfies it with any of its values. `invert` turns the answer round, but a missing header fails
    an inverted condition all the same (presence excepted), unless `missing_is_empty` has it count as one empty value.
    """

    name: str
    value: TextMatch
    invert: bool = False
    missing_is_empty: bool = False


class QueryMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on the first query parameter of this name, compared as written: nothing is decoded."""

    name: str
    value: TextMatch


class RouteMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Everything a route asks; all of it must hold."""

    path: PathMatch = Prefix("/")
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
