"""The request's key: what consistent hashing goes by.

Source    spec/hash.md HASH-3 to HASH-12; envoyproxy/envoy: source/common/http/hash_policy.cc
Inputs    a route's hash policies in order; a request in wire form.
Exactness the values of one header are sorted as bytes and chained by seed; the hashes of several policies are combined
          by rotating what there is by one bit and XOR-ing the next. A policy without a value adds nothing.
Errors    none. None means that no policy gave a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from meshroute.draws import KEY, Drawn
from meshroute.hashing import rotate_left, xxhash64
from meshroute.match.re2 import compile_rewrite
from meshroute.names import canonical_ip, endpoint_key
from meshroute.request import Request, cookie_value, query_value
from meshroute.table import HashOnCookie, HashOnFilterState, HashOnHeader, HashOnQuery, HashOnSourceIp, HashPolicy


class Cookie(NamedTuple):
    """A cookie that the proxy makes for a client that sent none, and the line that sets it."""

    name: str
    value: str
    line: str


class Key(NamedTuple):
    """A request's key, None where no policy gave one; and the cookies made for it, in order."""

    value: int | None
    cookies: tuple[Cookie, ...]


NO_KEY: Final = Key(None, ())


def request_key(policies: Sequence[HashPolicy], request: Request, draws: Drawn) -> Key:
    """The combined hash of a request, unsigned 64-bit, and the cookies that it takes.

    A cookie that is made hashes both ends of the connection. Where the request does not say them, the draw `key` stands
    in for that hash.
    """
    key: int | None = None
    cookies: list[Cookie] = []
    for policy in policies:
        values = hashed(policy, request)
        if values is None and isinstance(policy, HashOnCookie) and policy.ttl is not None:
            value = made_value(request, draws)
            cookies.append(Cookie(policy.name, value, _line(policy, policy.ttl, value)))
            values = (value,)
        if values is not None:
            found = chained(values)
            key = found if key is None else rotate_left(key, 1) ^ found
        # Asked even where this policy came away empty: an earlier one's key is enough.
        if policy.terminal and key is not None:
            break
    return Key(key, tuple(cookies))


def plain_key(policies: Sequence[HashPolicy], request: Request) -> int | None:
    """The combined hash of a request where no cookie is made: policies that would make one give none."""
    key: int | None = None
    for policy in policies:
        values = hashed(policy, request)
        if values is not None:
            found = chained(values)
            key = found if key is None else rotate_left(key, 1) ^ found
        if policy.terminal and key is not None:
            break
    return key


def knows_its_ends(request: Request) -> bool:
    """Whether the request says both ends of its connection, which a cookie that is made depends on."""
    return bool(request.source_ip and request.source_port and request.destination_ip)


def made_value(request: Request, draws: Drawn) -> str:
    """The value of a cookie that the proxy makes: 16 hexadecimal digits."""
    if not knows_its_ends(request):
        return f"{draws[KEY]:016x}"
    client = endpoint_key(request.source_ip, request.source_port)
    proxy = endpoint_key(request.destination_ip, request.port)
    return f"{xxhash64(f'{client}{proxy}'.encode()):016x}"


def _line(policy: HashOnCookie, ttl: int, value: str) -> str:
    """What `set-cookie` says."""
    parts = [f'{policy.name}="{value}"']
    if ttl > 0:
        parts.append(f"Max-Age={ttl}")
    if policy.path:
        parts.append(f"Path={policy.path}")
    parts.extend(f"{name}={one}" if one else name for name, one in policy.attributes)
    return "; ".join((*parts, "HttpOnly"))


def hashed(policy: HashPolicy, request: Request) -> tuple[str, ...] | None:
    """What a policy hashes of a request, before sorting; None where there is nothing."""
    match policy:
        case HashOnHeader(name, _, rewrite):
            values = request.fields.get(name)
            if values is None or rewrite is None:
                return values
            replace = compile_rewrite(rewrite.pattern, rewrite.substitution).all_in
            return tuple(replace(value) for value in values)
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
