"""The request's key: what consistent hashing goes by.

Source    spec/hash.md HASH-3, HASH-4; envoyproxy/envoy: source/common/http/hash_policy.cc
Inputs    a route's hash policies in order; header values in wire form.
Exactness the values of one header are sorted as bytes and chained by seed; the hashes of several policies are combined
          by rotating what there is by one bit and XOR-ing the next. A policy without a value adds nothing.
Errors    none. None means that no policy gave a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from meshroute.hashing import rotate_left, xxhash64
from meshroute.request import Request
from meshroute.table import HashOnHeader, HashPolicy


def request_key(policies: Sequence[HashPolicy], request: Request) -> int | None:
    """The combined hash of a request, unsigned 64-bit; None where every policy came away empty."""
    key: int | None = None
    for policy in policies:
        match policy:
            case HashOnHeader(name):
                values = request.fields.get(name)
                found = chained(values) if values is not None else None
            case _:
                assert_never(policy)
        if found is not None:
            key = found if key is None else rotate_left(key, 1) ^ found
    return key


def chained(values: Sequence[str]) -> int:
    """The hash of a header's values: their order on the wire does not matter, how they are split into lines does."""
    key = 0
    for value in sorted(values):
        key = xxhash64(value.encode("latin-1"), key)
    return key
