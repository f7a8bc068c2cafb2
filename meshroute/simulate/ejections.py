"""What outlier detection promises: when an endpoint that fails is put aside and back, and how many errors that takes.

Source    spec/outlier.md OUT-2 to OUT-10
Inputs    the configuration, how many endpoints there are, how often this one has its turn while it is there, how long
          it takes to answer, and when it fails. It fails always then, and is the only one that ever does.
Exactness when an error is counted is known up to one turn, because nobody knows whose turn it is when it begins to
          fail. Errors and returns are exact all the same; where that one turn would decide about them, nothing is said.
Errors    none. What has no certain answer is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

import msgspec

from meshroute.table import OutlierDetection

MILLISECOND: Final = 1000
_GATEWAY: Final = frozenset((502, 503, 504))


class Stay(msgspec.Struct, frozen=True):
    """A time that an endpoint takes its turns, in microseconds: since when, until when (the earliest and the latest
    time; None for as long as anybody looks), the requests that it got, and how many of them were errors. It is away
    for `times` base ejection times after it, 0 where the longest ejection is shorter."""

    since: int
    until: tuple[Fraction, Fraction] | None
    requests: Fraction
    errors: Fraction
    times: int = 0


def errors_in_a_row(config: OutlierDetection, statuses: Sequence[int]) -> int | None:
    """How many of these errors in a row put an endpoint aside; 0 where they never do, None where chance has a say.

    >>> errors_in_a_row(OutlierDetection(consecutive_5xx=7), [503])
    7
    """
    rules = [(config.consecutive_5xx, config.enforcing_consecutive_5xx)]
    if _GATEWAY.issuperset(statuses):
        rules.append((config.consecutive_gateway_failure, config.enforcing_consecutive_gateway_failure))
    elif _GATEWAY.intersection(statuses):
        return None  # how many of them follow each other is chance
    found = [(count, percent) for count, percent in rules if count and percent]
    if any(percent < 100 for _, percent in found):
        return None
    return min((count for count, _ in found), default=0)


def compares_nobody(config: OutlierDetection, endpoints: int) -> bool:
    """Whether endpoints are never compared with each other, or nothing follows from it.

    >>> compares_nobody(OutlierDetection(), 4), compares_nobody(OutlierDetection(), 5)
    (True, False)
    """
    enforced = (
        config.enforcing_success_rate
        or config.enforcing_failure_percentage
        or config.enforcing_local_origin_success_rate
        or config.enforcing_failure_percentage_local_origin
    )
    least = min(config.success_rate_minimum_hosts, config.failure_percentage_minimum_hosts)
    return not enforced or endpoints < least


def lets_one_go(config: OutlierDetection, endpoints: int) -> bool:
    """Whether the first endpoint may be put aside at all: OUT-6.

    >>> lets_one_go(OutlierDetection(max_ejection_percent=30), 3)
    False
    """
    return 100.0 / endpoints <= config.max_ejection_percent or config.always_eject_one_host


def stays(
    config: OutlierDetection | None,
    endpoints: int,
    statuses: Sequence[int],
    turn: Fraction,
    time: int,
    fails: Sequence[tuple[int, int]],
    until: int,
) -> tuple[Stay, ...] | None:
    """All stays of an endpoint that has a turn every `turn` microseconds while it is there, answers within `time`, and
    fails from one time to another, again and again, with these statuses."""
    row = errors_in_a_row(config, statuses) if config is not None else 0
    if config is not None and (
        row is None or config.max_ejection_time_jitter or not compares_nobody(config, endpoints)
    ):
        return None
    if config is None or not row or not lets_one_go(config, endpoints):
        bad = sum((min(end, until) - begin for begin, end in fails if begin < until), 0)
        return (Stay(0, None, until / turn, bad / turn),)
    # Requests that are on their way when the last error comes back fail too.
    late = max(0, ceil(time / turn) - 1)
    found: list[Stay] = []
    since, backoff = 0, 0
    while since < until:
        fail = next((one for one in fails if one[1] > since), None)
        if fail is None or fail[0] >= until:
            found.append(Stay(since, None, (until - since) / turn, Fraction(0)))
            return tuple(found)
        begin = max(since, fail[0])
        first, last = begin + (row - 1) * turn, begin + row * turn
        out = (first + time, last + time)
        if last + (time if late else 0) > fail[1] or out[1] >= until:
            return None
        calm = {floor((one - since) / MILLISECOND) // config.interval if since else 0 for one in out}
        if len(calm) > 1:
            return None
        backoff = max(0, backoff - calm.pop())
        if config.base_ejection_time * backoff < config.longest_ejection + config.base_ejection_time:
            backoff += 1
        length = min(config.base_ejection_time * backoff, config.longest_ejection)
        times = backoff if length == config.base_ejection_time * backoff else 0
        found.append(Stay(since, out, (begin - since) / turn + row + late, Fraction(row + late), times))
        back = {ceil(Fraction(floor(one / MILLISECOND) + length, config.interval)) for one in out}
        if len(back) > 1:
            return None
        since = back.pop() * config.interval * MILLISECOND
        if late and since < out[1] + time:
            return None  # those errors would be counted after its return
    return tuple(found)
