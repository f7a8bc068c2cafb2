"""When a request is tried again: Envoy's verdict on what became of a try.

Source    spec/retry.md; envoyproxy/envoy: source/common/router/{retry_state_impl,router}.cc,
          source/common/common/backoff_strategy.cc
Inputs    the decision of a try and what became of it: the upstream's answer, or a Failure.
Exactness unknown words in `Retries.on` mean nothing, as they do there. A request without retries left is told apart
          from one that is not worth a try, because the proxy says so (URX).
Errors    none.
Left out  budgets and circuit breakers for retries; the request headers with which internal clients ask for retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, cast

import msgspec

from meshroute.balance.outlier import Event
from meshroute.decision import Decision
from meshroute.headers import SINGLE_SLOT_ANSWERS, Lines
from meshroute.match.predicate import header_predicate
from meshroute.request import Request
from meshroute.table import Forward, HeaderMatch, Retries


class Failure(StrEnum):
    """A try that ended without an answer."""

    CONNECT_FAILED = "connect-failed"
    """There was no connection."""
    REFUSED = "refused"
    """The upstream refused the stream (HTTP/2)."""
    RESET = "reset"
    """The connection or the stream ended after the request was sent."""
    TRY_TIMED_OUT = "try-timed-out"
    """`Retries.per_try_timeout` was over."""
    TIMED_OUT = "timed-out"
    """`Forward.timeout` was over: there is no time for another try."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What an upstream answers: a status and header lines, names in lower case."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Meaning(NamedTuple):
    """What the client gets for a failure, and what outlier detection sees of it."""

    status: int
    flag: str
    event: Event


MEANINGS: Final[Mapping[Failure, Meaning]] = {
    Failure.CONNECT_FAILED: Meaning(503, "UF", Event.CONNECT_FAILED),
    Failure.REFUSED: Meaning(503, "UR", Event.CONNECT_FAILED),
    Failure.RESET: Meaning(503, "UC", Event.CONNECT_FAILED),
    Failure.TRY_TIMED_OUT: Meaning(504, "UT", Event.TIMED_OUT),
    Failure.TIMED_OUT: Meaning(504, "UT", Event.TIMED_OUT),
}


class Verdict(StrEnum):
    """What comes after a try."""

    DONE = "done"
    """It is what the client gets."""
    AGAIN = "again"
    SPENT = "spent"
    """It would be tried again, but every retry is used up."""


def verdict(decision: Decision, what: int | Reply | Failure) -> Verdict:
    """Whether a proxy tries again after this end of this try."""
    action = decision.action
    retries = action.retries if isinstance(action, Forward) else None
    if retries is None or not _worth_it(retries, decision.request, what):
        return Verdict.DONE
    return Verdict.AGAIN if len(decision.tried) < retries.attempts else Verdict.SPENT


def longest_wait(retries: Retries, number: int) -> int:
    """Before retry `number`, counted from 1, a proxy waits for a random time below this many milliseconds.

    >>> [longest_wait(Retries(("5xx",)), number) for number in (1, 2, 3, 4, 5, 6)]
    [25, 50, 100, 200, 250, 250]
    """
    most = retries.max_interval or 10 * retries.base_interval
    return min(retries.base_interval << min(number - 1, 64), most)


_GATEWAY: Final = frozenset((502, 503, 504))
_GRPC: Final[Mapping[str, str]] = {
    "cancelled": "1",
    "deadline-exceeded": "4",
    "resource-exhausted": "8",
    "internal": "13",
    "unavailable": "14",
}
_ON_RESET: Final = frozenset(("5xx", "gateway-error", "reset"))
"""Words that mean every end without an answer, that of the whole request's time apart."""


def _worth_it(retries: Retries, request: Request, what: int | Reply | Failure) -> bool:
    words = frozenset(one.strip(" \t") for text in retries.on for one in text.split(","))
    if retries.request_headers and not any(_holds(one)(request) for one in retries.request_headers):
        return False
    if isinstance(what, Failure):
        return _after_failure(words, what)
    reply = what if isinstance(what, Reply) else Reply(what)
    return _after_reply(retries, words, reply)


def _after_failure(words: frozenset[str], what: Failure) -> bool:
    match what:
        case Failure.TIMED_OUT:
            return False
        case Failure.CONNECT_FAILED:
            return not words.isdisjoint((*_ON_RESET, "connect-failure", "reset-before-request"))
        case Failure.REFUSED:
            return not words.isdisjoint((*_ON_RESET, "refused-stream"))
        case _:
            return not words.isdisjoint(_ON_RESET)


def _after_reply(retries: Retries, words: frozenset[str], reply: Reply) -> bool:
    fields = _fields(reply.headers)
    if "x-envoy-ratelimited" in fields:
        return "envoy-ratelimited" in words
    status = reply.status
    grpc = fields.get("grpc-status", ("",))[0]
    return (
        ("5xx" in words and 500 <= status <= 599)
        or ("gateway-error" in words and status in _GATEWAY)
        or ("retriable-4xx" in words and status == 409)
        or ("retriable-status-codes" in words and status in retries.statuses)
        or ("retriable-headers" in words and any(_holds(one)(_Answer.of(fields)) for one in retries.headers))
        or any(word in words and grpc == number for word, number in _GRPC.items())
    )


def _fields(headers: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in Lines(headers, SINGLE_SLOT_ANSWERS).lines:
        fields[name] = (*fields.get(name, ()), value)
    return fields


class _Answer(msgspec.Struct, frozen=True):
    """An answer, as far as conditions on headers look at it."""

    fields: Mapping[str, tuple[str, ...]]

    @staticmethod
    def of(fields: Mapping[str, tuple[str, ...]]) -> Request:
        # Conditions on headers read the fields of whatever they are asked about, and nothing else.
        return cast(Request, _Answer(fields))


# The cache saves time only.
@lru_cache(maxsize=1024)
def _holds(wanted: HeaderMatch) -> Callable[[Request], bool]:
    return header_predicate(wanted)
