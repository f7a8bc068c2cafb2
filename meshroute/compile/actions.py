"""What a rule does to requests, as a proxy gets it: rewrites, header changes, failures, copies, retries, origins.

Source    spec/rule.md RULE-1 to RULE-11; istio/istio: pilot/pkg/networking/core/route/{route.go,retry/retry.go}
Inputs    rules that passed validation.
Exactness numbers as the control plane rounds them: percentages are cut to a millionth, times to a millisecond.
Errors    none: what has no meaning for a proxy is left out here, and check.py says so.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from meshroute.compile.destination import milliseconds
from meshroute.compile.viewpoint import MeshConfig, PathNormalization
from meshroute.manifest.istio import (
    CorsPolicy,
    HeaderOperations,
    Headers,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    Percent,
    StringMatch,
    UnmatchedPreflights,
)
from meshroute.names import ascii_lower, wire
from meshroute.table import (
    Abort,
    Append,
    Arrival,
    Cors,
    Delay,
    EscapedSlashes,
    Exact,
    Fault,
    Forward,
    HashOnHeader,
    HeaderChange,
    HeaderChanges,
    Pattern,
    Portion,
    Prefix,
    PrefixRewrite,
    RegexRewrite,
    Respond,
    Retries,
    RetryHosts,
    VirtualHost,
)

DEFAULT_CONDITIONS: Final = (
    "connect-failure",
    "refused-stream",
    "unavailable",
    "cancelled",
    "retriable-status-codes",
)
"""What is tried again where a rule does not say: failures on the way. No status is among them."""
DEFAULT_ATTEMPTS: Final = 2
DEFAULT_INTERVAL: Final = 25
"""Milliseconds, before the first try after a failed one."""
HOST_ATTEMPTS: Final = 5
"""How often a retry looks for a host that was not tried before."""
STATUS_CODES: Final = "retriable-status-codes"
GRPC: Final[Mapping[str, int]] = {
    name: number
    for number, name in enumerate(
        "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
        " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
        " UNAUTHENTICATED".split()
    )
}
"""gRPC's statuses by name."""


_PATHS: Final[Mapping[PathNormalization, Arrival]] = {
    PathNormalization.NONE: Arrival(),
    PathNormalization.DEFAULT: Arrival(normalize=True),
    PathNormalization.BASE: Arrival(normalize=True),
    PathNormalization.MERGE_SLASHES: Arrival(normalize=True, merge_slashes=True),
    PathNormalization.DECODE_AND_MERGE_SLASHES: Arrival(
        normalize=True, merge_slashes=True, escaped_slashes=EscapedSlashes.FORWARD
    ),
}
REQUEST_ID: Final = "x-request-id"


def arrival_of(config: MeshConfig, hosts: Iterable[VirtualHost], *, edge: bool = False) -> Arrival:
    """What a proxy does to requests before it looks for a route. Every request gets an id; a table says so only where
    some route asks for it, because making one takes time."""
    routes = [route for host in hosts for route in host.routes]
    asked = any(header.name == REQUEST_ID for route in routes for header in route.match.headers) or any(
        isinstance(policy, HashOnHeader) and policy.name == REQUEST_ID
        for route in routes
        if isinstance(route.action, Forward)
        for policy in route.action.hash_policies
    )
    return msgspec.structs.replace(_PATHS[config.paths], request_ids=asked, edge=edge)


# Headers


class Changed(msgspec.Struct, frozen=True):
    """What `headers` of a rule, or of a destination, come to. `authority` empty: none is set."""

    request: HeaderChanges = HeaderChanges()
    response: HeaderChanges = HeaderChanges()
    authority: str = ""

    def followed_by(self, after: Changed) -> Changed:
        """Both in one level: all removals, then these headers, then those. Of two authorities, this one stays."""
        return Changed(
            _followed(self.request, after.request),
            _followed(self.response, after.response),
            self.authority or after.authority,
        )


UNCHANGED: Final = Changed()


def _followed(first: HeaderChanges, after: HeaderChanges) -> HeaderChanges:
    return HeaderChanges(first.remove + after.remove, first.add + after.add)


def changed_by(headers: Headers | None) -> Changed:
    """Removals, then what is set, then what is added, each by name. The authority is no header: setting it rewrites."""
    if headers is None:
        return UNCHANGED
    request, response = headers.request, headers.response
    authority = ""
    if request is not None:
        set_, added = (
            [value for name, value in some.items() if _is_authority(name)] for some in (request.set, request.add)
        )
        authority = next((value for value in (*set_[-1:], *added[-1:]) if value), "")
    return Changed(_changes(request), _changes(response), wire(authority))


def _changes(operations: HeaderOperations | None) -> HeaderChanges:
    if operations is None:
        return HeaderChanges()
    return HeaderChanges(
        tuple(_name(name) for name in operations.remove if not _is_internal(name)),
        tuple(
            HeaderChange(_name(name), wire(some[name]), how)
            for some, how in ((operations.set, Append.OVERWRITE), (operations.add, Append.APPEND))
            for name in sorted(some)
            if not _is_internal(name)
        ),
    )


def _name(name: str) -> str:
    return wire(ascii_lower(name))


def _is_internal(name: str) -> bool:
    """Pseudo headers and the host, which no header operation touches."""
    return name.startswith(":") or ascii_lower(name) == "host"


def _is_authority(name: str) -> bool:
    return ascii_lower(name) in (":authority", "host")


# Paths and answers


def path_rewrite(rewrite: HTTPRewrite | None) -> PrefixRewrite | RegexRewrite | None:
    """How the path is rewritten; None where it is not. An empty `uri` rewrites nothing."""
    if rewrite is None:
        return None
    if rewrite.uri:
        return PrefixRewrite(wire(rewrite.uri))
    if (pattern := rewrite.uri_regex_rewrite) is not None:
        return RegexRewrite(wire(pattern.match), wire(pattern.rewrite))
    return None


def fixed_answer(response: HTTPDirectResponse) -> Respond:
    """A fixed answer; its body is text, or bytes in base64."""
    body = response.body
    if body is None:
        return Respond(response.status)
    return Respond(response.status, wire(b64decode(body.bytes) if body.bytes is not None else body.string or ""))


# Failures on purpose


def fault_of(written: HTTPFaultInjection | None) -> Fault | None:
    """Failures that can happen. Without a percentage, none ever does."""
    if written is None:
        return None
    delay = abort = None
    if (one := written.delay) is not None and one.fixed_delay is not None:
        portion = _portion(one.percentage) if one.percentage is not None else Portion(max(one.percent, 0))
        delay = Delay(milliseconds(one.fixed_delay), portion)
    if (two := written.abort) is not None and two.percentage is not None:
        if two.http_status is not None:
            abort = Abort(_portion(two.percentage), two.http_status)
        elif two.grpc_status is not None and two.grpc_status in GRPC:
            abort = Abort(_portion(two.percentage), grpc_status=GRPC[two.grpc_status])
    faults = Fault(
        delay if delay is not None and delay.portion.numerator else None,
        abort if abort is not None and abort.portion.numerator else None,
    )
    return faults if faults != Fault() else None


def _portion(percentage: Percent) -> Portion:
    return Portion(int(percentage.value * 10_000), 1_000_000)


def mirror_portions(rule: HTTPRoute) -> tuple[Portion, ...]:
    """How many requests each copy is made of: that of `mirror`, else those of `mirrors`. A share of nothing counts as
    it is written; who makes the table leaves such copies out."""
    if rule.mirror is not None:
        if rule.mirror_percentage is not None:
            return (_portion(rule.mirror_percentage),)
        percent = rule.mirror_percent if rule.mirror_percent is not None else rule.mirror_percent_legacy
        return (Portion(100 if percent is None else percent),)
    return tuple(Portion(100) if one.percentage is None else _portion(one.percentage) for one in rule.mirrors)


# Retries


def retries_of(written: HTTPRetry | None, default: HTTPRetry | None) -> Retries | None:
    """When a request is tried again; None for never. `default` is what the mesh says for rules that say nothing."""
    written = written if written is not None else default
    if written is None:
        return Retries(DEFAULT_CONDITIONS, DEFAULT_ATTEMPTS)
    if written.attempts <= 0:
        return None
    conditions, statuses = _conditions(written.retry_on) if written.retry_on else (DEFAULT_CONDITIONS, ())
    return Retries(
        conditions,
        written.attempts,
        statuses,
        per_try_timeout=milliseconds(written.per_try_timeout) if written.per_try_timeout is not None else 0,
        base_interval=milliseconds(written.backoff) if written.backoff is not None else DEFAULT_INTERVAL,
        other_priorities=2 if written.retry_remote_localities else 0,
    )


def _conditions(written: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words of `retryOn`, and the statuses among them, which need a word of their own."""
    words: list[str] = []
    statuses: list[int] = []
    for word in (part.strip() for part in written.split(",")):
        if word.isascii() and word.isdigit() and is_status(int(word)):
            statuses.append(int(word))
        elif word:
            words.append(word)
    if statuses and not any(STATUS_CODES in word for word in words):
        words.append(STATUS_CODES)
    return tuple(words), tuple(statuses)


_STATUSES: Final = frozenset(
    (
        *(100, 101, 102, 103),
        *(*range(200, 209), 226),
        *(*range(300, 306), 307, 308),
        *(*range(400, 419), *range(421, 427), 428, 429, 431, 451),
        *(*range(500, 509), 510, 511),
    )
)


def is_status(number: int) -> bool:
    """Whether the number is a status that HTTP has a name for."""
    return number in _STATUSES


def retry_hosts(retries: Retries | None, written: HTTPRetry | None, *, one_by_key: bool) -> RetryHosts | None:
    """Whether a retry passes over hosts that were tried before. A rule can say; else it does, except for the one
    destination whose host follows from a key: there the same host is meant."""
    if retries is None:
        return None
    said = written.retry_ignore_previous_hosts if written is not None else None
    return RetryHosts(HOST_ATTEMPTS) if (not one_by_key if said is None else said) else None


# Origins


def cors_of(policy: CorsPolicy | None) -> Cors | None:
    """Which pages may call. The older list of origins counts only where the newer one is not there."""
    if policy is None:
        return None
    origins = tuple(_origins(policy.allow_origins)) or tuple(Exact(wire(one)) for one in policy.allow_origin)
    return Cors(
        origins,
        wire(",".join(policy.allow_methods)),
        wire(",".join(policy.allow_headers)),
        wire(",".join(policy.expose_headers)),
        str(policy.max_age.nanoseconds // 1_000_000_000) if policy.max_age is not None else "",
        bool(policy.allow_credentials),
        policy.unmatched_preflights is not UnmatchedPreflights.IGNORE,
    )


def _origins(matches: Iterable[StringMatch]) -> Iterable[Exact | Prefix | Pattern]:
    for one in matches:
        if one.exact is not None:
            yield Exact(wire(one.exact))
        elif one.prefix is not None:
            yield Prefix(wire(one.prefix))
        elif one.regex is not None:
            yield Pattern(wire(one.regex))
