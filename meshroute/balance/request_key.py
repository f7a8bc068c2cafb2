"""The request's key: what consistent hashing goes by.

Source    spec/hash.md HASH-3 to HASH-9; envoyproxy/envoy: source/common/http/hash_policy.cc
Inputs    a route's hash policies in order; a request in wire form.
Exactness the values of one header are sorted as bytes and chained by seed; the hashes of several policies are combined
          by rotating what there is by one bit and XOR-ing the next. A policy without a value adds nothing.
Errors    none. None means that no policy gave a value.
Left out  cookies that the proxy makes for clients that send none; filter state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from meshroute.hashing import rotate_left, xxhash64
from meshroute.names import canonical_ip
from meshroute.request import Request, cookie_value, query_value
from meshroute.table import HashOnCookie, HashOnFilterState, HashOnHeader, HashOnQuery, HashOnSourceIp, HashPolicy


def request_key(policies: Sequence[HashPolicy], request: Request) -> int | None:
    """The combined hash of a request, unsigned 64-bit; None where every policy came away empty."""
    key: int | None = None
    for policy in policies:
        values = hashed(policy, request)
        if values is not None:
            found = chained(values)
            key = found if key is None else rotate_left(key, 1) ^ found
        # Asked even where this policy came away empty: an earlier one's key is enough.
        if policy.terminal and key is not None:
            break
    return key


def hashed(policy: HashPolicy, request: Request) -> tuple[str, ...] | None:
    """What a policy hashes of a request, before sorting; None where there is nothing."""
    match policy:
        case HashOnHeader(name):
            return request.fields.get(name)
        case HashOnCookie(name):
            value = cookie_value(request, name)
            return (value,) if value else None
        case HashOnQuery(name):
            value = query_value(request.query, name)
            return (value,) if value is not None else None
        case HashOnSourceIp():
            return (canonical_ip(request.source_ip),) if request.source_ip else None
        case HashOnFilterState(name):
            value = request.filter_state.get(name)
            return (value,) if value is not None else None
        case _:
            assert_never(policy)


def chained(values: Sequence[str]) -> int:
    """The hash of values: their order on the wire does not matter, how they are split into lines does."""
    key = 0
    for value in sorted(values):
        key = xxhash64(value.encode("latin-1"), key)
    return key
