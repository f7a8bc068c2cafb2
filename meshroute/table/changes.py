"""What a route changes about requests on their way out and answers on their way back.

Source    spec/change.md; envoyproxy/envoy: api/envoy/config/core/v3/base.proto (HeaderValueOption),
          api/envoy/config/route/v3/route_components.proto
Inputs    names of headers in lower case; values are formats, in which `%REQ(x-user)%` is a header of the request and
          `%%` a percent sign.
Errors    none here: `Router` refuses what a proxy refuses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Append(StrEnum):
    """What becomes of a header that is there already."""

    APPEND = "append"
    """One more line; single-slot headers are joined with `,`."""
    IF_ABSENT = "if-absent"
    OVERWRITE = "overwrite"
    OVERWRITE_IF_PRESENT = "overwrite-if-present"


class HeaderChange(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A header that is added or set. A value that comes out empty changes nothing, unless `keep_empty`."""

    name: str
    value: str
    how: Append = Append.APPEND
    keep_empty: bool = False


class HeaderChanges(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What one level changes: first everything in `remove` goes, then `add` comes, in order."""

    remove: tuple[str, ...] = ()
    add: tuple[HeaderChange, ...] = ()


# Rewrites of the path


class RegexRewrite(msgspec.Struct, frozen=True, tag="pattern", gc=False, forbid_unknown_fields=True):
    """Every match of a pattern is replaced by a substitution, in which `\\1` is the first group."""

    pattern: str
    substitution: str


class PrefixRewrite(msgspec.Struct, frozen=True, tag="prefix", gc=False, forbid_unknown_fields=True):
    """What of the path the route asked for is replaced, as text: the prefix; the whole path of other conditions."""

    value: str


class TemplateRewrite(msgspec.Struct, frozen=True, tag="template", gc=False, forbid_unknown_fields=True):
    """A new path with the variables of the template that the route asked for: `/new/{name}`."""

    value: str


class FormatRewrite(msgspec.Struct, frozen=True, tag="format", gc=False, forbid_unknown_fields=True):
    """A new path, or a new authority, from a format. The query of the request is put behind a path, come what may."""

    value: str


PathRewrite: TypeAlias = PrefixRewrite | RegexRewrite | TemplateRewrite | FormatRewrite


# Rewrites of the authority


class AuthorityLiteral(msgspec.Struct, frozen=True, tag="literal", gc=False, forbid_unknown_fields=True):
    """This one."""

    value: str


class AuthorityOfHeader(msgspec.Struct, frozen=True, tag="header", gc=False, forbid_unknown_fields=True):
    """The first value of a header."""

    name: str


class AuthorityOfPath(msgspec.Struct, frozen=True, tag="path", gc=False, forbid_unknown_fields=True):
    """The path without its query, each match of a pattern replaced."""

    pattern: str
    substitution: str


class AuthorityOfEndpoint(msgspec.Struct, frozen=True, tag="endpoint", gc=False, forbid_unknown_fields=True):
    """The host name of the chosen endpoint, if it has one."""


AuthorityRewrite: TypeAlias = (
    AuthorityLiteral | AuthorityOfHeader | AuthorityOfPath | AuthorityOfEndpoint | FormatRewrite
)
