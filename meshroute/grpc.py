"""How a proxy tells a client that speaks gRPC what it would tell others by status and body.

Source    spec/decide.md DECIDE-7, spec/retry.md RETRY-1; envoyproxy/envoy: source/common/http/utility.cc
          (prepareLocalReply), source/common/grpc/{status,common}.cc
Inputs    what the proxy answers by itself, in the form of HTTP.
Exactness a message has bytes, one character each; those that a header cannot have are escaped.
Errors    none.
"""

from __future__ import annotations

import re
from typing import Final

from meshroute.decision import PREFLIGHT, Failed, Outcome, Redirected, Responded
from meshroute.headers import SINGLE_SLOT_ANSWERS, Lines

_STATUSES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN: Final = 2
_MOST: Final = 99_999_999
_ESCAPED: Final = re.compile(r"[^ -$&-}]")


def status_of(status: int) -> int:
    """The status of gRPC that stands for one of HTTP.

    >>> [status_of(one) for one in (200, 301, 400, 401, 403, 404, 429, 500, 503)]
    [2, 2, 13, 16, 7, 12, 14, 2, 14]
    """
    return _STATUSES.get(status, _UNKNOWN)


def in_grpc(outcome: Outcome) -> Outcome:
    """The outcome as a client of gRPC meets it: 200, and no body. What is forwarded stays, and so does a preflight's
    answer, which is none of the proxy's own."""
    match outcome:
        case Failed(status, flag, details, None) if status:
            return Failed(200, flag, details, status_of(status))
        case Responded() if outcome is not PREFLIGHT:
            return Responded(200)
        case Redirected(_, location):
            return Redirected(200, location)
        case _:
            return outcome


def lines_in_grpc(
    lines: tuple[tuple[str, str], ...], outcome: Failed | Redirected | Responded, *, head: bool
) -> tuple[tuple[str, str], ...]:
    """The header lines of an answer, given those that it has in HTTP and the outcome as it is there.

    A status that the lines have already stays. `head` is whether a HEAD is answered: then nothing is said in words.
    """
    told = Lines(lines, SINGLE_SLOT_ANSWERS)
    told.set("content-type", "application/grpc")
    known = outcome.grpc_status if isinstance(outcome, Failed) else None
    if not any(told.values("grpc-status")):
        told.set("grpc-status", str(status_of(outcome.status) if known is None else known))
    text = outcome.text if isinstance(outcome, Failed) else outcome.body if isinstance(outcome, Responded) else ""
    if text and not head:
        told.set("grpc-message", message(text))
    return tuple(told.lines)


def message(text: str) -> str:
    """A text as `grpc-message` has it.

    >>> message("50 % off"), message("caf\xe9~")
    ('50 %25 off', 'caf%E9%7E')
    """
    return _ESCAPED.sub(lambda one: f"%{ord(one[0]):02X}", text)


def time_in_grpc(milliseconds: int) -> str:
    """A length of time as `grpc-timeout` has it: eight digits and the finest unit in which they are enough.

    >>> [time_in_grpc(one) for one in (40_000, 99_999_999, 100_000_000, 100_000_000_000, 10**18)]
    ['40000m', '99999999m', '100000S', '1666666M', '99999999H']
    """
    time = milliseconds
    for unit, parts in (("m", 1000), ("S", 60), ("M", 60)):
        if time <= _MOST:
            return f"{time}{unit}"
        time //= parts
    return f"{min(time, _MOST)}H"
