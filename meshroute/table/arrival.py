"""What a proxy does to a request before it looks for a route.

Source    spec/arrive.md; envoyproxy/envoy:
          api/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto
Errors    none.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class EscapedSlashes(StrEnum):
    """What becomes of `%2F` and `%5C` in a path."""

    KEEP = "keep"
    REJECT = "reject"
    FORWARD = "forward"
    """Unescaped."""
    REDIRECT = "redirect"
    """The client is sent to the unescaped path."""


class StripPort(StrEnum):
    """Which port is taken off the authority."""

    NONE = "none"
    MATCHING = "matching"
    """The listener's own."""
    ANY = "any"


class Arrival(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How paths and authorities are put in order, in this order: fragments, escaped slashes, dot segments, doubled
    slashes; a final dot of the host, its port.

    `normalize` resolves dot segments and what else `spec/arrive.md` lists; `merge_slashes` makes one of several.
    `reject_fragments` answers 400 to a path with `#`, which otherwise is cut there. `request_ids` gives requests
    without an `x-request-id` one. `edge`: nobody before this proxy is trusted, so `x-forwarded-proto` and
    `x-forwarded-for` are its own.
    """

    normalize: bool = False
    merge_slashes: bool = False
    escaped_slashes: EscapedSlashes = EscapedSlashes.KEEP
    reject_fragments: bool = False
    strip_port: StripPort = StripPort.NONE
    strip_final_dot: bool = False
    request_ids: bool = False
    edge: bool = False
