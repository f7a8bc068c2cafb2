"""Edges of outlier detection: what a configuration refuses, endpoints given twice, long times, how records look."""

from __future__ import annotations

import re

import msgspec
import pytest

from meshroute.balance.outlier import Event, Verdict, answered, due, elapsed, recovered, served, ticked
from meshroute.names import EndpointKey
from meshroute.record import HostRecord, Window
from meshroute.table import OutlierDetection

A, B = EndpointKey("10.8.0.1:80"), EndpointKey("10.8.0.2:80")


def no_draw(name: str) -> int:
    raise AssertionError(f"{name} was drawn")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"consecutive_5xx": -1}, "consecutive_5xx must not be negative, got -1"),
        ({"enforcing_success_rate": 101}, "enforcing_success_rate is at most 100 percent, got 101"),
        ({"max_ejection_percent": 101}, "max_ejection_percent is at most 100 percent, got 101"),
        ({"failure_percentage_threshold": 101}, "failure_percentage_threshold is at most 100 percent, got 101"),
        ({"interval": 0}, "interval must be above 0"),
        ({"base_ejection_time": 0}, "base_ejection_time must be above 0"),
        ({"max_ejection_time": 0}, "max_ejection_time must be above 0"),
        ({"base_ejection_time": 9, "max_ejection_time": 8}, "max_ejection_time 8 is below base_ejection_time 9"),
        ({"success_rate_stdev_factor": 2**32}, "success_rate_stdev_factor is at most 4294967295, got 4294967296"),
        (
            {"interval": 0, "consecutive_5xx": -1},
            "consecutive_5xx must not be negative, got -1; interval must be above 0",
        ),
    ],
)
def test_what_a_proxy_refuses_is_refused(fields: dict[str, int], reason: str) -> None:
    """All of it at once."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        OutlierDetection(**fields)  # type: ignore[arg-type]


def test_times_may_be_long() -> None:
    """Durations are no 32-bit numbers."""
    config = OutlierDetection(interval=2**40, base_ejection_time=2**40, max_ejection_time_jitter=2**40)
    assert config.longest_ejection == 2**40


def test_an_endpoint_given_twice_is_two_for_the_cap_and_one_to_remember() -> None:
    """Half of four is out, though it is one address."""
    config = OutlierDetection(consecutive_5xx=1, max_ejection_percent=25)
    hosts = (A, A, B, B)
    first = answered(config, hosts, {}, A, 500, 0, no_draw)
    assert (first.ejected, list(first.records)) == ((A,), [A])
    assert answered(config, hosts, first.records, B, 500, 0, no_draw).ejected == ()
    tick = ticked(config, hosts, first.records, 30_000, no_draw)
    assert tick.returned == (A,)


def test_no_endpoints_no_verdict() -> None:
    """An empty cluster ticks like any other."""
    config = OutlierDetection(success_rate_minimum_hosts=0, failure_percentage_minimum_hosts=0)
    assert ticked(config, (), {}, 10_000, no_draw) == Verdict()
    assert recovered(config, {}, A, 0) == Verdict()


def test_a_century_takes_no_longer_than_what_happens_in_it() -> None:
    """Three billion ticks, of which three change something."""
    century = 100 * 365 * 86_400_000
    config = OutlierDetection(interval=1000)
    record = HostRecord(ejected_at=7, backoff=1)
    passed = elapsed(config, (A, B), {A: record}, 0, century, no_draw)
    assert [at for at, _ in passed.ticks] == [31_000, 32_000]
    assert (passed.ticked_at, passed.records) == (century, {A: HostRecord()})
    assert len(due(config, 0, century)) == century // 1000


def test_a_return_between_ticks_is_not_passed_over() -> None:
    """The tick after it changes nothing, the next one shrinks the backoff."""
    config = OutlierDetection(interval=1000)
    passed = elapsed(config, (A,), {A: HostRecord(returned_at=500, backoff=2)}, 0, 9000, no_draw)
    assert [at for at, _ in passed.ticks] == [2000, 3000]


def test_ticks_draw_by_their_time() -> None:
    """Two ticks that eject the same endpoint draw under different names."""
    config = OutlierDetection(
        interval=10,
        base_ejection_time=5,
        max_ejection_percent=100,
        max_ejection_time_jitter=3,
        enforcing_failure_percentage=50,
        failure_percentage_minimum_hosts=1,
        failure_percentage_request_volume=1,
    )
    names: list[str] = []

    def draw(name: str) -> int:
        names.append(name)
        return 0

    record = HostRecord(answers=Window(1), ejected_at=0, backoff=1)
    passed = elapsed(config, (A,), {A: record}, 0, 10, draw)
    assert passed.ticks[0][1].ejected == (A,)
    assert names == [f"enforce.failure-percentage.{A}@10", f"jitter.failure-percentage.{A}@10"]


def test_no_tick_is_due_yet() -> None:
    """Nothing changes, the time of the last tick neither."""
    config = OutlierDetection(interval=1000)
    passed = elapsed(config, (A,), {A: HostRecord(answers=Window(1))}, 5000, 5999, no_draw)
    assert (passed.ticked_at, passed.records, passed.ticks) == (5000, {}, ())


def test_a_record_is_written_without_what_is_nothing() -> None:
    """As JSON, and back."""
    config = OutlierDetection(split_external_local_origin_errors=True)
    record = served(config, (A,), {}, A, Event.TIMED_OUT, 3, no_draw).records[A]
    written = msgspec.json.encode(record)
    assert written == b'{"local_errors":1,"connects":{"total":2,"ok":1}}'
    assert msgspec.json.decode(written, type=HostRecord) == record
    assert record.connects.rate == 50.0
