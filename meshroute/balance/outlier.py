"""Outlier detection: which endpoints a history of answers puts aside, and when they come back.

Source    spec/outlier.md; envoyproxy/envoy: source/common/upstream/outlier_detection_impl.cc
Inputs    the configuration; all endpoints of the cluster, whatever their priority, in order; their records, where one
          that is missing is like new; what happened, when (milliseconds, never going back); draws by name.
Exactness one thing happens at a time. A proxy ejects on its main thread, a moment after the answer that was too much.
          Percentages are IEEE doubles, summed in the order of the endpoints.
Errors    none. Answers of an endpoint that is not in the cluster put nobody aside.
Left out  error matchers, monitor extensions, degraded endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import sqrt
from typing import Final, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from meshroute.names import EndpointKey
from meshroute.record import HostRecord, Window
from meshroute.table import OutlierDetection

Draw: TypeAlias = Callable[[str], int]
"""Gives the unsigned 64-bit number of a name."""

Records: TypeAlias = Mapping[EndpointKey, HostRecord]


class Event(StrEnum):
    """What can happen to a request besides an HTTP status."""

    CONNECT_FAILED = "connect-failed"
    """No connection; and any other end of a request that the proxy itself notices, such as a reset half-way."""
    TIMED_OUT = "timed-out"
    """The proxy waited for long enough."""
    CONNECTED = "connected"
    """There is a connection, and more to follow: precedes the end of every HTTP request that had one."""
    CONNECTED_ONLY = "connected-only"
    """There is a connection, and that is all that counts: TCP."""
    FAILED = "failed"
    """The endpoint answered with a failure, in a protocol without status codes."""
    SUCCEEDED = "succeeded"
    """The endpoint answered well, in a protocol without status codes."""


Outcome: TypeAlias = int | Event
"""An HTTP status or an event."""


class Reason(StrEnum):
    """What an endpoint did."""

    ERRORS = "consecutive-5xx"
    GATEWAY_ERRORS = "consecutive-gateway-failure"
    LOCAL_ERRORS = "consecutive-local-origin-failure"
    SUCCESS_RATE = "success-rate"
    LOCAL_SUCCESS_RATE = "local-origin-success-rate"
    FAILURE_PERCENTAGE = "failure-percentage"
    LOCAL_FAILURE_PERCENTAGE = "local-origin-failure-percentage"


class Consequence(StrEnum):
    """What came of it."""

    EJECTED = "ejected"
    CAPPED = "capped"
    """Too many are out already."""
    NOT_ENFORCED = "not-enforced"


class Detection(msgspec.Struct, frozen=True, gc=False):
    """An endpoint was found to be an outlier."""

    endpoint: EndpointKey
    reason: Reason
    consequence: Consequence


class Verdict(msgspec.Struct, frozen=True):
    """What came of one thing: the records that changed, the outliers found, who is back, each in order."""

    records: Records = {}
    detected: tuple[Detection, ...] = ()
    returned: tuple[EndpointKey, ...] = ()

    @property
    def ejected(self) -> tuple[EndpointKey, ...]:
        """Who is newly left out; nobody twice."""
        out = (one.endpoint for one in self.detected if one.consequence is Consequence.EJECTED)
        return tuple(dict.fromkeys(out))

    @property
    def refused(self) -> tuple[Detection, ...]:
        """Outliers that stay in, with the reason why."""
        return tuple(one for one in self.detected if one.consequence is not Consequence.EJECTED)


class Elapsed(msgspec.Struct, frozen=True):
    """What came of time passing: the latest tick, the records that changed, and the ticks that changed any."""

    ticked_at: int
    records: Records = {}
    ticks: tuple[tuple[int, Verdict], ...] = ()


_NEW: Final = HostRecord()
_EMPTY: Final = Window()


def answered(
    config: OutlierDetection,
    hosts: Sequence[EndpointKey],
    records: Records,
    endpoint: EndpointKey,
    what: Outcome,
    now: int,
    draw: Draw,
) -> Verdict:
    """One report about an endpoint: OUT-2 to OUT-8."""
    ledger = _Ledger(config, hosts, records, now, draw)
    ledger.report(endpoint, what)
    return ledger.verdict()


def served(
    config: OutlierDetection,
    hosts: Sequence[EndpointKey],
    records: Records,
    endpoint: EndpointKey,
    what: Outcome,
    now: int,
    draw: Draw,
) -> Verdict:
    """The end of an HTTP request that had a connection, which a proxy reports twice: `CONNECTED`, then this."""
    ledger = _Ledger(config, hosts, records, now, draw)
    ledger.report(endpoint, Event.CONNECTED)
    ledger.report(endpoint, what)
    return ledger.verdict()


def recovered(config: OutlierDetection, records: Records, endpoint: EndpointKey, now: int) -> Verdict:
    """An active health check succeeded on an endpoint that fails none: OUT-9."""
    record = records.get(endpoint, _NEW)
    if not (config.successful_active_health_check_uneject_host and record.ejected):
        return Verdict()
    return Verdict({endpoint: _returned(record, now)}, returned=(endpoint,))


def due(config: OutlierDetection, ticked_at: int, now: int) -> Sequence[int]:
    """The times of the ticks after `ticked_at` until `now`, both in milliseconds; 0 is when the cluster was made.

    >>> list(due(OutlierDetection(interval=250), 500, 1000))
    [750, 1000]
    """
    return range(ticked_at + config.interval, now + 1, config.interval)


def ticked(config: OutlierDetection, hosts: Sequence[EndpointKey], records: Records, now: int, draw: Draw) -> Verdict:
    """One tick: returns, windows, rates, backoff, in this order: OUT-9 to OUT-13."""
    ledger = _Ledger(config, hosts, records, now, draw)
    ledger.tick()
    return ledger.verdict()


def elapsed(
    config: OutlierDetection, hosts: Sequence[EndpointKey], records: Records, ticked_at: int, now: int, draw: Draw
) -> Elapsed:
    """All ticks that are due, in order. Draws have `@` and the tick's time added to their names.

    Ticks that can change nothing are passed over, so a long time costs no more than what happens in it.
    """
    known, changed, ticks = dict(records), dict[EndpointKey, HostRecord](), []
    every = due(config, ticked_at, now)
    number = 0
    while number < len(every):
        at = every[number]
        verdict = ticked(config, hosts, known, at, _at(draw, at))
        known.update(verdict.records)
        changed.update(verdict.records)
        number += 1
        if verdict.records:
            ticks.append((at, verdict))
        else:
            number = max(number, _next_change(config, hosts, known, every))
    return Elapsed(every[-1] if every else ticked_at, changed, tuple(ticks))


def ejection_length(config: OutlierDetection, record: HostRecord) -> int:
    """How long the endpoint of a record stays out at least; it returns with the first tick after that."""
    return min(config.base_ejection_time * record.backoff, config.longest_ejection) + record.jitter


def success_rate_limit(rates: Sequence[float], stdev_factor: int) -> float:
    """The percentage below which an endpoint is an outlier among these, of which there must be one.

    >>> success_rate_limit([50.0, 100.0, 100.0, 100.0, 100.0], 1900)
    52.0
    """
    total = 0.0
    for rate in rates:
        total += rate
    mean = total / len(rates)
    variance = 0.0
    for rate in rates:
        variance += (rate - mean) * (rate - mean)
    return mean - stdev_factor / 1000.0 * sqrt(variance / len(rates))


def _at(draw: Draw, at: int) -> Draw:
    return lambda name: draw(f"{name}@{at}")


def _returned(record: HostRecord, now: int) -> HostRecord:
    calm = replace(record, errors=0, gateway_errors=0, local_errors=0)
    return replace(calm, ejected_at=None, jitter=0, returned_at=now)


def _next_change(config: OutlierDetection, hosts: Sequence[EndpointKey], records: Records, every: Sequence[int]) -> int:
    """After a tick that changed nothing: the number of the next that can. Windows are empty then."""
    found = [records[host] for host in hosts if host in records]
    if any(record.backoff and not record.ejected for record in found):
        return 0  # back since less than an interval: the very next tick
    returns = [record.ejected_at + ejection_length(config, record) for record in found if record.ejected_at is not None]
    return -((every[0] - min(returns)) // config.interval) if returns else len(every)


class _Ledger:
    """The records while one thing happens to them."""

    def __init__(
        self, config: OutlierDetection, hosts: Sequence[EndpointKey], records: Records, now: int, draw: Draw
    ) -> None:
        self._config: Final = config
        self._hosts: Final = hosts
        self._records: Final = records
        self._now: Final = now
        self._draw: Final = draw
        self._changed: Final[dict[EndpointKey, HostRecord]] = {}
        self._detected: Final[list[Detection]] = []
        self._back: Final[list[EndpointKey]] = []

    def verdict(self) -> Verdict:
        changed = {host: new for host, new in self._changed.items() if new != self._records.get(host, _NEW)}
        return Verdict(changed, tuple(self._detected), tuple(self._back))

    def report(self, endpoint: EndpointKey, what: Outcome) -> None:
        if not isinstance(what, Event):
            self._answer(endpoint, what)
        elif self._config.split_external_local_origin_errors:
            self._report_split(endpoint, what)
        elif what is not Event.CONNECTED:
            self._answer(endpoint, _STATUS[what])

    def tick(self) -> None:
        hosts = tuple(dict.fromkeys(self._hosts))
        for host in hosts:
            record = self._record(host)
            if record.ejected_at is not None and ejection_length(self._config, record) <= self._now - record.ejected_at:
                record = _returned(record, self._now)
                self._back.append(host)
            self._changed[host] = replace(
                record,
                answers=_EMPTY,
                answers_before=record.answers,
                connects=_EMPTY,
                connects_before=record.connects,
            )
        self._compare(hosts, local=False)
        self._compare(hosts, local=True)
        for host in hosts:
            self._calm(host)

    def _record(self, host: EndpointKey) -> HostRecord:
        return self._changed.get(host) or self._records.get(host, _NEW)

    def _report_split(self, endpoint: EndpointKey, what: Event) -> None:
        match what:
            case Event.FAILED:
                self._answer(endpoint, 503)
            case Event.SUCCEEDED:
                self._answer(endpoint, 200)
                self._connect(endpoint, ok=True)
            case Event.CONNECTED | Event.CONNECTED_ONLY:
                self._connect(endpoint, ok=True)
            case Event.CONNECT_FAILED | Event.TIMED_OUT:
                self._connect(endpoint, ok=False)

    def _answer(self, endpoint: EndpointKey, status: int) -> None:
        record, config = self._record(endpoint), self._config
        window = record.answers
        if not 500 <= status <= 599:
            good = Window(window.total + 1, window.ok + 1)
            self._changed[endpoint] = replace(record, errors=0, gateway_errors=0, answers=good)
            return
        gateway = record.gateway_errors + 1 if status in _GATEWAY else 0
        self._changed[endpoint] = replace(
            record, errors=record.errors + 1, gateway_errors=gateway, answers=Window(window.total + 1, window.ok)
        )
        # Exactly as many, not at least: a count that went past its threshold unnoticed stays past it.
        if gateway and gateway == config.consecutive_gateway_failure:
            self._in_a_row(endpoint, Reason.GATEWAY_ERRORS)
        if record.errors + 1 == config.consecutive_5xx:
            self._in_a_row(endpoint, Reason.ERRORS)

    def _connect(self, endpoint: EndpointKey, *, ok: bool) -> None:
        record = self._record(endpoint)
        window = Window(record.connects.total + 1, record.connects.ok + ok)
        failures = 0 if ok else record.local_errors + 1
        self._changed[endpoint] = replace(record, local_errors=failures, connects=window)
        if failures and failures == self._config.consecutive_local_origin_failure:
            self._in_a_row(endpoint, Reason.LOCAL_ERRORS)

    def _in_a_row(self, endpoint: EndpointKey, reason: Reason) -> None:
        if self._record(endpoint).ejected or endpoint not in self._hosts:
            return
        self._detect(endpoint, reason)
        record = self._record(endpoint)
        match reason:
            case Reason.ERRORS:
                record = replace(record, errors=0)
            case Reason.GATEWAY_ERRORS:
                record = replace(record, gateway_errors=0)
            case _:
                record = replace(record, local_errors=0)
        self._changed[endpoint] = record

    def _compare(self, hosts: Sequence[EndpointKey], *, local: bool) -> None:
        config = self._config
        if len(self._hosts) < min(config.success_rate_minimum_hosts, config.failure_percentage_minimum_hosts):
            return
        judged = []
        for host in hosts:
            record = self._record(host)
            window = record.connects_before if local else record.answers_before
            if window.total and not record.ejected:
                judged.append((host, window))
        # Both lists are made before anybody is ejected: an endpoint can fail by both.
        by_rate = [(host, window.rate) for host, window in judged if window.total >= config.success_rate_request_volume]
        by_percentage = [
            (host, window.rate) for host, window in judged if window.total >= config.failure_percentage_request_volume
        ]
        if by_rate and len(by_rate) >= config.success_rate_minimum_hosts:
            limit = success_rate_limit([rate for _, rate in by_rate], config.success_rate_stdev_factor)
            for host, rate in by_rate:
                if rate < limit:
                    self._detect(host, Reason.LOCAL_SUCCESS_RATE if local else Reason.SUCCESS_RATE)
        if by_percentage and len(by_percentage) >= config.failure_percentage_minimum_hosts:
            for host, rate in by_percentage:
                if 100.0 - rate >= config.failure_percentage_threshold:
                    self._detect(host, Reason.LOCAL_FAILURE_PERCENTAGE if local else Reason.FAILURE_PERCENTAGE)

    def _calm(self, host: EndpointKey) -> None:
        record = self._record(host)
        if record.returned_at is None or self._now - record.returned_at < self._config.interval:
            return
        backoff = max(0, record.backoff - 1)
        self._changed[host] = replace(record, backoff=backoff, returned_at=record.returned_at if backoff else None)

    def _detect(self, endpoint: EndpointKey, reason: Reason) -> None:
        if not self._allowed():
            consequence = Consequence.CAPPED
        elif not self._enforced(endpoint, reason):
            consequence = Consequence.NOT_ENFORCED
        else:
            consequence = Consequence.EJECTED
            self._eject(endpoint, reason)
        self._detected.append(Detection(endpoint, reason, consequence))

    def _allowed(self) -> bool:
        out = 0
        for host in dict.fromkeys(self._hosts):
            record = self._record(host)
            out += record.ejected + record.overcounted
        percent = 100.0 * (out + 1) / len(self._hosts)
        return percent <= self._config.max_ejection_percent or (self._config.always_eject_one_host and out == 0)

    def _enforced(self, endpoint: EndpointKey, reason: Reason) -> bool:
        percent = _enforcing(self._config, reason)
        return percent == 100 or (percent > 0 and self._draw(f"enforce.{reason}.{endpoint}") % 100 < percent)

    def _eject(self, endpoint: EndpointKey, reason: Reason) -> None:
        record, config = self._record(endpoint), self._config
        most = config.max_ejection_time_jitter
        longer = config.base_ejection_time * record.backoff < config.longest_ejection + config.base_ejection_time
        self._changed[endpoint] = replace(
            record,
            ejected_at=self._now,
            returned_at=None,
            backoff=record.backoff + longer,
            jitter=self._draw(f"jitter.{reason}.{endpoint}") % (most + 1) if most else 0,
            overcounted=record.overcounted + record.ejected,
        )


def _enforcing(config: OutlierDetection, reason: Reason) -> int:
    match reason:
        case Reason.ERRORS:
            return config.enforcing_consecutive_5xx
        case Reason.GATEWAY_ERRORS:
            return config.enforcing_consecutive_gateway_failure
        case Reason.LOCAL_ERRORS:
            return config.enforcing_consecutive_local_origin_failure
        case Reason.SUCCESS_RATE:
            return config.enforcing_success_rate
        case Reason.LOCAL_SUCCESS_RATE:
            return config.enforcing_local_origin_success_rate
        case Reason.FAILURE_PERCENTAGE:
            return config.enforcing_failure_percentage
        case Reason.LOCAL_FAILURE_PERCENTAGE:
            return config.enforcing_failure_percentage_local_origin
        case _:
            assert_never(reason)


_GATEWAY: Final = frozenset((502, 503, 504))

_STATUS: Final[Mapping[Event, int]] = {
    Event.CONNECT_FAILED: 503,
    Event.TIMED_OUT: 504,
    Event.FAILED: 500,
    Event.SUCCEEDED: 200,
    Event.CONNECTED_ONLY: 200,
}
"""What events count as where origins are not told apart."""
