"""What a route asks of a request: closed sums, no behaviour.

Source    spec/match.md MATCH-1 to MATCH-12; envoyproxy/envoy: api/envoy/config/route/v3/route_components.proto
Inputs    text in wire form (names.wire): one character is one byte.
Errors    ValueError for a fraction of nothing that a proxy counts in. A pattern that RE2 refuses is refused where the
          table is compiled or prepared.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec


class Exact(msgspec.Struct, frozen=True, tag="exact", gc=False, forbid_unknown_fields=True):
    """The whole text, byte for byte; `ignore_case` folds ASCII letters."""

    value: str
    ignore_case: bool = False


class Prefix(msgspec.Struct, frozen=True, tag="prefix", gc=False, forbid_unknown_fields=True):
    """Text that starts so. A plain string prefix: `/v2` also takes `/v2x`; the empty prefix takes everything."""

    value: str
    ignore_case: bool = False


class Suffix(msgspec.Struct, frozen=True, tag="suffix", gc=False, forbid_unknown_fields=True):
    """Text that ends so."""

    value: str
    ignore_case: bool = False


class Contains(msgspec.Struct, frozen=True, tag="contains", gc=False, forbid_unknown_fields=True):
    """Text that has this in it."""

    value: str
    ignore_case: bool = False


class Between(msgspec.Struct, frozen=True, tag="between", gc=False, forbid_unknown_fields=True):
    """A whole number in decimal, from `start` up to but not including `end`. Nothing else is a number."""

    start: int
    end: int


class Pattern(msgspec.Struct, frozen=True, tag="pattern", gc=False, forbid_unknown_fields=True):
    """RE2 syntax, matched against the whole text."""

    regex: str


class Present(msgspec.Struct, frozen=True, tag="present", gc=False, forbid_unknown_fields=True):
    """Any value, the empty one included."""


class Absent(msgspec.Struct, frozen=True, tag="absent", gc=False, forbid_unknown_fields=True):
    """No such parameter."""


class Segments(msgspec.Struct, frozen=True, tag="segments", gc=False, forbid_unknown_fields=True):
    """A path that is this, or goes on with `/` behind it: `/v2` takes `/v2` and `/v2/x`, not `/v2x`."""

    value: str
    ignore_case: bool = False


class Template(msgspec.Struct, frozen=True, tag="template", gc=False, forbid_unknown_fields=True):
    """A path of a shape, such as `/api/{name}/*`; a rewrite can use its variables."""

    value: str


class Tunnel(msgspec.Struct, frozen=True, tag="tunnel", gc=False, forbid_unknown_fields=True):
    """The method CONNECT and no other; no other condition on a path takes CONNECT."""


PathMatch: TypeAlias = Exact | Prefix | Pattern | Segments | Template | Tunnel
"""Compared with the path without its query."""
TextMatch: TypeAlias = Exact | Prefix | Suffix | Contains | Pattern | Between | Present
"""Compared with one header value, or one query value. `Between` is for headers only."""
QueryValue: TypeAlias = Exact | Prefix | Suffix | Contains | Pattern | Present | Absent
"""Compared with one query value."""
CookieValue: TypeAlias = Exact | Prefix | Suffix | Contains | Pattern
"""Compared with one cookie's value."""

DENOMINATORS: Final = (100, 10_000, 1_000_000)


class Portion(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """So many of a hundred, of ten thousand or of a million: a draw r is one of them where r modulo the denominator is
    below the numerator. More than all is all."""

    numerator: int
    denominator: int = 100

    def __post_init__(self) -> None:
        if self.denominator not in DENOMINATORS:
            raise ValueError(f"a portion is of 100, 10000 or 1000000, not of {self.denominator}")
        if not 0 <= self.numerator < 2**32:
            raise ValueError(f"the numerator of a portion is from 0 to 4294967295, not {self.numerator}")

    def takes(self, draw: int) -> bool:
        """Whether a draw is one of them."""
        return draw % self.denominator < self.numerator


class HeaderMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on a header. `name` is lower case; `:method`, `:authority`, `:scheme` and `:path` are headers too.

    A repeated header satisfies it with any of its values. `invert` turns the answer round, but a missing header fails
    an inverted condition all the same (presence excepted), unless `missing_is_empty` has it count as one empty value.
    With `joined`, several lines are one value, with `,` between them, as proxies before Envoy 1.39 had it.
    """

    name: str
    value: TextMatch
    invert: bool = False
    missing_is_empty: bool = False
    joined: bool = False


class QueryMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on the first query parameter of this name, compared as written: nothing is decoded."""

    name: str
    value: QueryValue


class CookieMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on the first cookie of this name. `invert` turns the answer round; a missing cookie holds then."""

    name: str
    value: CookieValue
    invert: bool = False


class MetadataMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A condition on what a filter of the proxy noted about the request, such as a claim of its token.

    `path` leads to the value inside what the filter `source` noted. A text must satisfy the condition, a list have a
    text that does; nothing there satisfies none. `invert` turns the answer round.
    """

    source: str
    path: tuple[str, ...]
    value: TextMatch
    invert: bool = False


class RouteMatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Everything a route asks; all of it must hold.

    `portion` takes only some of the requests, by their draw `stream`, which weights and mirrors go by too. `grpc` asks
    for the content type of gRPC.
    """

    path: PathMatch = Prefix("/")
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    cookies: tuple[CookieMatch, ...] = ()
    metadata: tuple[MetadataMatch, ...] = ()
    grpc: bool = False
    portion: Portion | None = None
