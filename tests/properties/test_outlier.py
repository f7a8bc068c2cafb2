"""Outlier detection: spec/outlier.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Draws
from meshroute.balance.outlier import (
    Consequence,
    Event,
    Outcome,
    Reason,
    Verdict,
    answered,
    due,
    ejection_length,
    elapsed,
    recovered,
    served,
    success_rate_limit,
    ticked,
)
from meshroute.conformance.strategies.tables import U64
from meshroute.names import EndpointKey
from meshroute.record import HostRecord, Window
from meshroute.table import OutlierDetection

percents = st.sampled_from((100, 100, 0, 1, 10, 33, 34, 49, 50, 67, 99))
gates = st.sampled_from((100, 100, 0, 30))
few = st.integers(0, 3)
configs: st.SearchStrategy[OutlierDetection] = st.builds(
    OutlierDetection,
    consecutive_5xx=few,
    consecutive_gateway_failure=few,
    consecutive_local_origin_failure=few,
    interval=st.sampled_from((1, 10, 1000)),
    base_ejection_time=st.sampled_from((1, 15, 1000)),
    max_ejection_time=st.sampled_from((None, 1000, 1001, 2500)),
    max_ejection_time_jitter=st.sampled_from((0, 0, 7)),
    max_ejection_percent=percents,
    always_eject_one_host=st.booleans(),
    split_external_local_origin_errors=st.booleans(),
    enforcing_consecutive_5xx=gates,
    enforcing_consecutive_gateway_failure=gates,
    enforcing_consecutive_local_origin_failure=gates,
    enforcing_success_rate=gates,
    enforcing_local_origin_success_rate=gates,
    enforcing_failure_percentage=gates,
    enforcing_failure_percentage_local_origin=gates,
    success_rate_minimum_hosts=few,
    success_rate_request_volume=few,
    success_rate_stdev_factor=st.sampled_from((0, 500, 1900)),
    failure_percentage_minimum_hosts=few,
    failure_percentage_request_volume=few,
    failure_percentage_threshold=percents,
    successful_active_health_check_uneject_host=st.booleans(),
)
statuses = st.sampled_from((200, 404, 499, 500, 502, 503, 503, 504, 505, 599, 600))
outcomes: st.SearchStrategy[Outcome] = statuses | st.sampled_from(Event)
TICK, RECOVERED = "tick", "recovered"


class Step(NamedTuple):
    """An outcome of a host, its health check, or a tick; so many milliseconds after the step before."""

    host: int
    what: Outcome | str
    wait: int


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 4),
        outcomes | st.sampled_from((TICK, TICK, RECOVERED, 500, 503)),
        st.sampled_from((0, 1, 16, 1000)),
    ),
    max_size=40,
)
sizes = st.integers(1, 4)


def keys(count: int) -> list[EndpointKey]:
    return [EndpointKey(f"10.8.0.{number}:80") for number in range(count)]


class Run:
    """A history, step by step. Ticks happen when a step says so: no law but OUT-9's own needs them to be regular."""

    def __init__(self, config: OutlierDetection, size: int, seed: int = 0) -> None:
        self.config, self.hosts, self.seed = config, keys(size), seed
        self.records: dict[EndpointKey, HostRecord] = {}
        self.now = self.ordinal = 0

    def draw(self) -> Callable[[str], int]:
        self.ordinal += 1
        return Draws.of(self.seed, self.ordinal).__getitem__

    def step(self, step: Step) -> Verdict:
        self.now += step.wait
        host = self.hosts[step.host % len(self.hosts)]
        if step.what == TICK:
            verdict = ticked(self.config, self.hosts, self.records, self.now, self.draw())
        elif step.what == RECOVERED:
            verdict = recovered(self.config, self.records, host, self.now)
        else:
            assert isinstance(step.what, (int, Event))
            verdict = answered(self.config, self.hosts, self.records, host, step.what, self.now, self.draw())
        self.records.update(verdict.records)
        return verdict

    def record(self, host: EndpointKey) -> HostRecord:
        return self.records.get(host, HostRecord())


def no_draw(name: str) -> int:
    raise AssertionError(f"{name} was drawn")


def code(what: Outcome, *, split: bool) -> int | None:
    """The clause's table, written down once more."""
    if isinstance(what, Event):
        plain = {"connect-failed": 503, "timed-out": 504, "failed": 500, "succeeded": 200, "connected-only": 200}
        return {"failed": 503, "succeeded": 200}.get(what) if split else plain.get(what)
    return what


class TestOut1Records:
    """OUT-1: what is remembered of an endpoint; nothing is 0 or missing, and strangers count for nothing."""

    @given(configs, sizes, steps, U64)
    def test_a_verdict_has_exactly_the_records_that_changed(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """Nothing that is as it was; the records given stay as they are."""
        run = Run(config, size, seed)
        for step in history:
            before = dict(run.records)
            changed = run.step(step).records
            assert all(before.get(host, HostRecord()) != record for host, record in changed.items())
            assert set(changed) <= set(run.hosts)
            assert run.records == {**before, **changed}

    @given(configs, sizes, steps, U64)
    def test_records_are_values(self, config: OutlierDetection, size: int, history: list[Step], seed: int) -> None:
        """They can be written, read and gone on from, and the ejected have a time."""
        run, resumed = Run(config, size, seed), Run(config, size, seed)
        for step in history:
            written = msgspec.json.encode(resumed.records)
            resumed.records = msgspec.json.decode(written, type=dict[EndpointKey, HostRecord])
            assert run.step(step) == resumed.step(step)
            for record in run.records.values():
                assert record.ejected == (record.ejected_at is not None)
                assert not (record.ejected and record.returned_at is not None)
                assert record.backoff > 0 or (record.ejected_at is None and record.returned_at is None)

    @given(configs, sizes, steps, U64)
    def test_strangers_count_for_nothing_and_are_never_ejected(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """An endpoint that has left, ejected or not, changes nobody's fate."""
        run, beside = Run(config, size, seed), Run(config, size, seed)
        gone = EndpointKey("10.9.0.1:80")
        beside.records[gone] = HostRecord(ejected_at=0, backoff=1, overcounted=3)
        for step in history:
            assert run.step(step) == beside.step(step)
        for what in (500, 503, Event.CONNECT_FAILED):
            for _ in range(4):
                verdict = answered(config, run.hosts, run.records, gone, what, run.now, no_draw)
                assert verdict.detected == ()
                run.records.update(verdict.records)

    @given(configs, sizes, steps, U64)
    def test_quiet_brings_everything_back_to_nothing(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """After enough ticks only errors in a row are left, and what OUT-13 counts: memory stays flat."""
        run = Run(config, size, seed)
        for step in history:
            run.step(step)
        after = elapsed(config, run.hosts, run.records, run.now, run.now + 10_000_000_000, Draws.of(seed).__getitem__)
        for host in run.hosts:
            record = after.records.get(host, run.record(host))
            in_a_row = (record.errors, record.gateway_errors, record.local_errors)
            assert record == HostRecord(*in_a_row, overcounted=record.overcounted)


class TestOut2Statuses:
    """OUT-2: statuses from 500 to 599 are errors, 502 to 504 those of a gateway; a threshold must be met exactly."""

    @given(st.lists(statuses | st.integers(100, 700)))
    def test_counts_are_the_runs_at_the_end(self, history: list[int]) -> None:
        """And every answer is in the total, every good one in the other."""
        config = OutlierDetection(consecutive_5xx=0, consecutive_gateway_failure=0)
        run = Run(config, 1)
        for status in history:
            run.step(Step(0, status, 0))

        def at_the_end(is_one: Callable[[int], bool]) -> int:
            count = 0
            while count < len(history) and is_one(history[-1 - count]):
                count += 1
            return count

        record = run.record(run.hosts[0])
        assert record.errors == at_the_end(lambda status: status // 100 == 5)
        assert record.gateway_errors == at_the_end(lambda status: status in (502, 503, 504))
        assert record.answers == Window(len(history), sum(status // 100 != 5 for status in history))

    @given(st.lists(statuses))
    def test_a_threshold_of_nothing_is_never_met(self, history: list[int]) -> None:
        """Not even by a count of nothing."""
        config = OutlierDetection(
            consecutive_5xx=0, consecutive_gateway_failure=0, enforcing_consecutive_gateway_failure=100
        )
        run = Run(config, 1)
        for status in history:
            assert run.step(Step(0, status, 0)).detected == ()

    @given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 12))
    def test_a_threshold_is_met_exactly(self, errors: int, gateway: int, sent: int) -> None:
        """Gateway errors are looked at first; 0 never; a count that starts above its threshold has passed it."""
        config = OutlierDetection(consecutive_5xx=errors, consecutive_gateway_failure=gateway, max_ejection_percent=0)
        run, found = Run(config, 1), list[Reason]()
        for _ in range(sent):
            found += [one.reason for one in run.step(Step(0, 503, 0)).detected]
        counts = Counter(found)
        assert counts[Reason.ERRORS] == (sent // errors if errors else 0)
        assert counts[Reason.GATEWAY_ERRORS] == (sent // gateway if gateway else 0)
        if errors == gateway:
            assert found == [Reason.GATEWAY_ERRORS, Reason.ERRORS] * (len(found) // 2)
        beyond = {run.hosts[0]: HostRecord(errors=errors, gateway_errors=gateway)}
        assert answered(config, run.hosts, beyond, run.hosts[0], 503, 0, no_draw).detected == ()


class TestOut3InARow:
    """OUT-3: a finding in a row begins its count anew whatever comes of it, and is ignored while the host is out."""

    @given(configs, sizes, steps, U64)
    def test_the_count_that_found_begins_anew_and_the_others_go_on(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """Ejected, capped or not enforced; and who is out is not found."""
        run = Run(config, size, seed)
        for step in history:
            host = run.hosts[step.host % size]
            was = run.record(host)
            verdict = run.step(step)
            if step.what in (TICK, RECOVERED):
                continue
            reasons = {one.reason for one in verdict.detected}
            assert not (was.ejected and reasons)
            record = run.record(host)
            assert record.ejected == (was.ejected or host in verdict.ejected)
            for reason, before, count in (
                (Reason.ERRORS, was.errors, record.errors),
                (Reason.GATEWAY_ERRORS, was.gateway_errors, record.gateway_errors),
                (Reason.LOCAL_ERRORS, was.local_errors, record.local_errors),
            ):
                assert count == 0 if reason in reasons else count in (0, before, before + 1)


class TestOut4NotSplit:
    """OUT-4: where origins are not told apart, events count as statuses."""

    @given(configs, st.lists(outcomes), U64)
    def test_an_event_is_its_status(self, config: OutlierDetection, history: list[Outcome], seed: int) -> None:
        """The same records and findings as of the statuses alone; connects are never counted."""
        config = replace(config, split_external_local_origin_errors=False)
        events, plain = Run(config, 1, seed), Run(config, 1, seed)
        for what in history:
            status = code(what, split=False)
            got = events.step(Step(0, what, 0))
            if status is None:
                assert got == Verdict()
                events.ordinal -= 1
            else:
                assert got == plain.step(Step(0, status, 0))
        assert events.record(events.hosts[0]).connects == Window()

    @given(configs, outcomes, U64)
    def test_a_request_with_a_connection_is_two_reports(
        self, config: OutlierDetection, what: Outcome, seed: int
    ) -> None:
        """`served` is both at once; not split, the first is nothing."""
        hosts, draw = keys(1), Draws.of(seed).__getitem__
        first = answered(config, hosts, {}, hosts[0], Event.CONNECTED, 5, draw)
        second = answered(config, hosts, first.records, hosts[0], what, 5, draw)
        both = served(config, hosts, {}, hosts[0], what, 5, draw)
        assert {**first.records, **second.records} == both.records
        assert first.detected + second.detected == both.detected
        assert config.split_external_local_origin_errors or first == Verdict()


class TestOut5Split:
    """OUT-5: where origins are told apart, connects have a window and a count of their own."""

    @given(st.lists(outcomes))
    def test_both_windows_count_what_is_theirs(self, history: list[Outcome]) -> None:
        """A success is in both, a status only in the one of answers; the local count is the run at the end."""
        config = OutlierDetection(
            split_external_local_origin_errors=True,
            consecutive_5xx=0,
            consecutive_gateway_failure=0,
            consecutive_local_origin_failure=0,
        )
        run = Run(config, 1)
        for what in history:
            run.step(Step(0, what, 0))
        codes = [status for what in history if (status := code(what, split=True)) is not None]
        good = {Event.CONNECTED, Event.CONNECTED_ONLY, Event.SUCCEEDED}
        connects = [what in good for what in history if what in good | {Event.CONNECT_FAILED, Event.TIMED_OUT}]
        record, plain = run.record(run.hosts[0]), Run(config, 1)
        for status in codes:
            plain.step(Step(0, status, 0))
        same = plain.record(run.hosts[0])
        assert (record.errors, record.gateway_errors) == (same.errors, same.gateway_errors)
        assert record.answers == Window(len(codes), sum(not 500 <= status <= 599 for status in codes))
        assert record.connects == Window(len(connects), connects.count(True))
        assert record.local_errors == (connects[::-1].index(True) if True in connects else len(connects))

    @given(st.integers(2, 4), st.lists(st.sampled_from((Event.CONNECT_FAILED, Event.TIMED_OUT)), max_size=12))
    def test_failures_after_a_connection_never_add_up(self, threshold: int, history: list[Event]) -> None:
        """And without one, exactly the threshold is needed."""
        config = OutlierDetection(
            split_external_local_origin_errors=True,
            consecutive_local_origin_failure=threshold,
            max_ejection_percent=0,
        )
        hosts, found = keys(1), 0
        with_one: dict[EndpointKey, HostRecord] = {}
        without: dict[EndpointKey, HostRecord] = {}
        for what in history:
            verdict = served(config, hosts, with_one, hosts[0], what, 0, no_draw)
            assert verdict.detected == ()
            with_one.update(verdict.records)
            verdict = answered(config, hosts, without, hosts[0], what, 0, no_draw)
            without.update(verdict.records)
            found += len(verdict.detected)
        assert found == len(history) // threshold


class TestOut6Cap:
    """OUT-6: no more are out than the percentage allows, or one where one always may be."""

    @given(configs, sizes, steps, U64)
    def test_never_more_are_out_than_may_be(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """At any time, in exact fractions."""
        run = Run(config, size, seed)
        for step in history:
            run.step(step)
            out = sum(record.ejected for record in run.records.values())
            allowed = Fraction(out, size) <= Fraction(config.max_ejection_percent, 100)
            assert out == 0 or allowed or (config.always_eject_one_host and out == 1)

    @given(st.integers(1, 30), st.just(0) | st.integers(0, 30), percents, st.booleans())
    def test_one_more_is_out_or_capped(self, size: int, out: int, percent: int, always: bool) -> None:
        """Exactly where the fraction with one more is still allowed."""
        hosts, out = keys(size), min(out, size - 1)
        config = OutlierDetection(consecutive_5xx=1, max_ejection_percent=percent, always_eject_one_host=always)
        records = {host: HostRecord(ejected_at=0, backoff=1) for host in hosts[:out]}
        verdict = answered(config, hosts, records, hosts[-1], 500, 1, no_draw)
        fits = Fraction(out + 1, size) <= Fraction(percent, 100)
        assert verdict.ejected == ((hosts[-1],) if fits or (always and out == 0) else ())
        assert len(verdict.refused) == (not verdict.ejected)

    @given(st.integers(1, 9), st.lists(st.integers(0, 8), max_size=60))
    def test_by_default_nobody_is_ejected_from_fewer_than_ten(self, size: int, failing: list[int]) -> None:
        """However much fails."""
        run = Run(OutlierDetection(), size)
        for host in failing:
            assert run.step(Step(host, 500, 0)).ejected == ()


class TestOut7Enforcement:
    """OUT-7: what is allowed is enforced in so many percent of the cases, by a draw of the reason's and host's name."""

    @given(st.integers(0, 100), U64)
    def test_the_draw_decides_modulo_a_hundred(self, percent: int, number: int) -> None:
        """Nothing is drawn at 0 and at 100, nor where the cap has decided."""
        names = list[str]()

        def draw(name: str) -> int:
            names.append(name)
            return number

        hosts = keys(1)
        config = OutlierDetection(consecutive_5xx=1, enforcing_consecutive_5xx=percent, max_ejection_percent=100)
        verdict = answered(config, hosts, {}, hosts[0], 500, 0, draw)
        assert verdict.ejected == (tuple(hosts) if number % 100 < percent else ())
        assert names == ([] if percent in (0, 100) else [f"enforce.consecutive-5xx.{hosts[0]}"])
        capped = answered(replace(config, max_ejection_percent=0), hosts, {}, hosts[0], 500, 0, no_draw)
        assert [one.consequence for one in capped.detected] == [Consequence.CAPPED]

    @given(configs, sizes, steps)
    def test_no_name_is_drawn_twice(self, config: OutlierDetection, size: int, history: list[Step]) -> None:
        """By one thing that happens; so draws are as independent as their numbers."""
        names = list[str]()

        class Recorded(Run):
            def draw(self) -> Callable[[str], int]:
                names.clear()
                return lambda name: names.append(name) or len(name)  # type: ignore[func-returns-value]

        run = Recorded(config, size)
        for step in history:
            run.step(step)
            assert len(names) == len(set(names))

    @given(configs, sizes, steps, U64)
    def test_every_reason_has_its_own_percentage(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """At 0 a reason ejects nobody, at 100 it is never refused but by the cap."""
        fields = {
            Reason.ERRORS: config.enforcing_consecutive_5xx,
            Reason.GATEWAY_ERRORS: config.enforcing_consecutive_gateway_failure,
            Reason.LOCAL_ERRORS: config.enforcing_consecutive_local_origin_failure,
            Reason.SUCCESS_RATE: config.enforcing_success_rate,
            Reason.LOCAL_SUCCESS_RATE: config.enforcing_local_origin_success_rate,
            Reason.FAILURE_PERCENTAGE: config.enforcing_failure_percentage,
            Reason.LOCAL_FAILURE_PERCENTAGE: config.enforcing_failure_percentage_local_origin,
        }
        run = Run(config, size, seed)
        for step in history:
            for one in run.step(step).detected:
                if one.consequence is Consequence.EJECTED:
                    assert fields[one.reason] > 0
                if one.consequence is Consequence.NOT_ENFORCED:
                    assert fields[one.reason] < 100


class TestOut8Length:
    """OUT-8: an ejection lasts the base time, once more for each ejection before, up to the longest, and a jitter."""

    @given(configs, st.integers(0, 400) | st.none(), U64)
    def test_backoff_and_jitter(self, config: OutlierDetection, near: int | None, number: int) -> None:
        """One more unless the longest has been reached and passed, of which None draws the edge."""
        backoff = config.longest_ejection // config.base_ejection_time + 1 if near is None else near
        hosts = keys(1)
        config = replace(
            config,
            consecutive_5xx=1,
            consecutive_gateway_failure=0,
            enforcing_consecutive_5xx=100,
            max_ejection_percent=100,
        )
        before = {hosts[0]: HostRecord(backoff=backoff, returned_at=3)}
        record = answered(config, hosts, before, hosts[0], 500, 77, lambda _: number).records[hosts[0]]
        base, longest = config.base_ejection_time, config.longest_ejection
        assert (record.ejected_at, record.returned_at) == (77, None)
        assert record.jitter == number % (config.max_ejection_time_jitter + 1)
        assert record.backoff == backoff + (base * backoff < longest + base)
        assert ejection_length(config, record) == min(base * record.backoff, longest) + record.jitter


class TestOut9Ticks:
    """OUT-9: ticks come every interval, and with the first one after its time an endpoint returns."""

    @given(configs, st.integers(0, 10_000), st.integers(0, 10_000))
    def test_ticks_are_an_interval_apart(self, config: OutlierDetection, since: int, span: int) -> None:
        """None is left out, none comes before its time, and two spans have the ticks of the whole."""
        times = due(config, since, since + span)
        assert len(times) == span // config.interval
        assert all(later - earlier == config.interval for earlier, later in pairwise((since, *times)))
        half = since + span // 2
        first = due(config, since, half)
        assert [*first, *due(config, first[-1] if first else since, since + span)] == list(times)

    @given(configs, st.integers(0, 5000), st.integers(1, 5), st.integers(0, 7))
    def test_an_ejection_ends_with_the_first_tick_after_its_time(
        self, config: OutlierDetection, at: int, backoff: int, jitter: int
    ) -> None:
        """Its length rounded up to ticks, and counts in a row are forgotten."""
        hosts = keys(1)
        record = HostRecord(4, 3, 2, ejected_at=at, backoff=backoff, jitter=jitter)
        ticked_at = at - at % config.interval
        passed = elapsed(config, hosts, {hosts[0]: record}, ticked_at, at + 10_000_000, no_draw)
        back = at + ejection_length(config, record)
        when, verdict = next((when, verdict) for when, verdict in passed.ticks if verdict.returned)
        assert when == max(-(-back // config.interval), ticked_at // config.interval + 1) * config.interval
        assert verdict.returned == (hosts[0],)
        new = verdict.records[hosts[0]]
        assert new == HostRecord(returned_at=new.returned_at, backoff=record.backoff)
        assert new.returned_at == when
        assert sum(bool(verdict.returned) for _, verdict in passed.ticks) == 1

    @given(configs, sizes, steps, st.integers(0, 4000), U64)
    def test_time_that_passes_is_its_ticks_one_by_one(
        self, config: OutlierDetection, size: int, history: list[Step], span: int, seed: int
    ) -> None:
        """`elapsed` passes over ticks, and over nothing else."""
        run = Run(config, size, seed)
        for step in history:
            run.step(step)
        draws, records = Draws.of(seed), dict(run.records)
        passed = elapsed(config, run.hosts, records, run.now, run.now + span, draws.__getitem__)
        ticks = []
        for at in due(config, run.now, run.now + span):
            verdict = ticked(config, run.hosts, records, at, lambda name, at=at: draws[f"{name}@{at}"])  # type: ignore[misc]
            records.update(verdict.records)
            if verdict != Verdict():
                ticks.append((at, verdict))
        assert passed.ticks == tuple(ticks)
        assert passed.ticked_at == run.now + span - span % config.interval
        assert {**run.records, **passed.records} == records

    @given(configs, sizes, steps, U64)
    def test_a_health_check_returns_at_once_whom_it_may(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """Only the ejected, and only where the configuration lets it."""
        run = Run(config, size, seed)
        for step in history:
            run.step(step)
        for host in run.hosts:
            verdict = recovered(config, run.records, host, run.now + 1)
            if run.record(host).ejected and config.successful_active_health_check_uneject_host:
                new = verdict.records[host]
                assert (new.errors, new.gateway_errors, new.local_errors, new.ejected) == (0, 0, 0, False)
                assert (new.returned_at, verdict.returned) == (run.now + 1, (host,))
            else:
                assert verdict == Verdict()


class TestOut10Windows:
    """OUT-10: a tick closes the open windows, and in the end the backoff of the calm shrinks."""

    @given(configs, sizes, steps, U64)
    def test_every_answer_is_in_one_window(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """Nothing is counted twice or lost: what was open is closed, what was closed is gone."""
        run, counted = Run(config, size, seed), Counter[EndpointKey]()
        for step in history:
            before = {host: run.record(host) for host in run.hosts}
            run.step(step)
            if step.what == TICK:
                counted.clear()
                for host in run.hosts:
                    record = run.record(host)
                    assert (record.answers, record.connects) == (Window(), Window())
                    assert record.answers_before == before[host].answers
                    assert record.connects_before == before[host].connects
            elif isinstance(step.what, (int, Event)):
                split = config.split_external_local_origin_errors
                counted[run.hosts[step.host % size]] += code(step.what, split=split) is not None
            assert {host: run.record(host).answers.total for host in run.hosts} == {h: counted[h] for h in run.hosts}

    @given(configs, st.integers(0, 9), st.integers(0, 3000))
    def test_backoff_shrinks_an_interval_after_the_return(
        self, config: OutlierDetection, backoff: int, ago: int
    ) -> None:
        """By one, down to none, and then nothing is left to remember."""
        hosts = keys(1)
        record = HostRecord(backoff=backoff + 1, returned_at=1000)
        new = ticked(config, hosts, {hosts[0]: record}, 1000 + ago, no_draw).records.get(hosts[0], record)
        assert new.backoff == record.backoff - (ago >= config.interval)
        assert new == HostRecord(backoff=new.backoff, returned_at=1000 if new.backoff else None)


windows = st.builds(lambda total, ok: Window(total, min(total, ok)), st.integers(0, 6), st.integers(0, 6))


def of_windows(some: Sequence[Window], *, local: bool, out: Collection[int] = ()) -> dict[EndpointKey, HostRecord]:
    """Records with open windows; those whose number is in `out` are ejected for long."""
    made = {}
    for number, (host, window) in enumerate(zip(keys(len(some)), some, strict=True)):
        record = HostRecord(connects=window) if local else HostRecord(answers=window)
        made[host] = replace(record, ejected_at=9, backoff=1) if number in out else record
    return made


def judged_among(some: Sequence[Window], out: Collection[int], volume: int) -> dict[EndpointKey, Window]:
    """Those with so many answers that are not ejected, in order."""
    numbered = enumerate(zip(keys(len(some)), some, strict=True))
    return {host: one for number, (host, one) in numbered if number not in out and one.total >= max(1, volume)}


NO_LIMITS: dict[str, Any] = {"max_ejection_percent": 100, "enforcing_failure_percentage": 100}


class TestOut11SuccessRate:
    """OUT-11: an outlier's success rate is below the mean by so many standard deviations."""

    @given(st.lists(windows, min_size=1, max_size=8), configs, st.booleans(), st.sets(st.integers(0, 7), max_size=2))
    def test_who_is_found(self, some: list[Window], config: OutlierDetection, local: bool, out: set[int]) -> None:
        """Those below the limit of those with enough answers, in order, if they are enough."""
        verdict = ticked(config, keys(len(some)), of_windows(some, local=local, out=out), 9, lambda _: 0)
        volume, least = config.success_rate_request_volume, config.success_rate_minimum_hosts
        judged = judged_among(some, out, volume)
        expected = []
        if judged and len(judged) >= least:
            limit = success_rate_limit([one.rate for one in judged.values()], config.success_rate_stdev_factor)
            expected = [host for host, one in judged.items() if one.rate < limit]
        reason = Reason.LOCAL_SUCCESS_RATE if local else Reason.SUCCESS_RATE
        assert [one.endpoint for one in verdict.detected if one.reason is reason] == expected

    @given(st.integers(2, 40), st.integers(0, 99))
    def test_one_bad_one_is_found_among_five_and_not_among_four(self, size: int, good: int) -> None:
        """With the default factor, whatever its rate."""
        rates = [float(good), *[100.0] * (size - 1)]
        assert (rates[0] < success_rate_limit(rates, 1900)) == (size >= 5)

    @given(st.lists(st.integers(0, 64), min_size=1, max_size=16), st.integers(0, 4000))
    def test_the_limit_does_not_depend_on_the_order_where_sums_are_exact(self, eighths: list[int], factor: int) -> None:
        """Sixteen rates in eighths: every sum but the variance's is exact; equal rates have no deviation at all."""
        rates = [one / 8 for one in eighths]
        mean = Fraction(sum(eighths), 8 * len(eighths))
        assert success_rate_limit(rates, 0) == float(mean)
        assert success_rate_limit([rates[0]] * 4, factor) == rates[0]
        assert success_rate_limit(rates, factor) <= float(mean)

    @given(st.lists(windows, min_size=1, max_size=4), configs, st.booleans())
    def test_a_cluster_below_both_minima_is_not_compared(
        self, some: list[Window], config: OutlierDetection, local: bool
    ) -> None:
        """Even if one of the two would let fewer do."""
        config = replace(
            config, success_rate_minimum_hosts=len(some) + 1, failure_percentage_minimum_hosts=len(some) + 1
        )
        assert ticked(config, keys(len(some)), of_windows(some, local=local), 9, no_draw).detected == ()


class TestOut12FailurePercentage:
    """OUT-12: an outlier fails at least so many percent."""

    @given(st.lists(windows, min_size=1, max_size=8), configs, st.booleans(), st.sets(st.integers(0, 7), max_size=2))
    def test_who_is_found(self, some: list[Window], config: OutlierDetection, local: bool, out: set[int]) -> None:
        """Each by its own answers alone, in order, if those that have enough are enough."""
        verdict = ticked(config, keys(len(some)), of_windows(some, local=local, out=out), 9, lambda _: 0)
        volume, least = config.failure_percentage_request_volume, config.failure_percentage_minimum_hosts
        judged = judged_among(some, out, volume)
        expected = [
            host for host, one in judged.items() if 100.0 - one.rate >= float(config.failure_percentage_threshold)
        ]
        reason = Reason.LOCAL_FAILURE_PERCENTAGE if local else Reason.FAILURE_PERCENTAGE
        found = [one.endpoint for one in verdict.detected if one.reason is reason]
        assert found == (expected if len(judged) >= least else [])


class TestOut13Twice:
    """OUT-13: who fails by rate and by percentage is ejected twice, returns once, and stays counted."""

    @given(st.integers(5, 9), st.integers(1, 8))
    def test_twice_out_once_back(self, size: int, good: int) -> None:
        """The backoff grows twice; the surplus lasts."""
        config = OutlierDetection(success_rate_request_volume=1, failure_percentage_request_volume=1, **NO_LIMITS)
        hosts = keys(size)
        records = of_windows([Window(9, 0), *[Window(good, good)] * (size - 1)], local=False)
        verdict = ticked(config, hosts, records, 10, no_draw)
        assert [one.reason for one in verdict.detected] == [Reason.SUCCESS_RATE, Reason.FAILURE_PERCENTAGE]
        assert verdict.ejected == (hosts[0],)
        record = verdict.records[hosts[0]]
        assert (record.backoff, record.overcounted) == (2, 1)
        later = elapsed(config, hosts, verdict.records, 10, 10**9, no_draw)
        assert [back for _, tick in later.ticks for back in tick.returned] == [hosts[0]]
        assert later.records[hosts[0]] == HostRecord(overcounted=1)

    @given(st.integers(2, 9), st.integers(0, 9), percents, st.booleans())
    def test_the_surplus_counts_for_the_cap(self, size: int, surplus: int, percent: int, always: bool) -> None:
        """Though nobody is out: as if so many were."""
        config = OutlierDetection(consecutive_5xx=1, max_ejection_percent=percent, always_eject_one_host=always)
        hosts = keys(size)
        verdict = answered(config, hosts, {hosts[0]: HostRecord(overcounted=surplus)}, hosts[1], 500, 0, no_draw)
        fits = Fraction(surplus + 1, size) <= Fraction(percent, 100)
        assert bool(verdict.ejected) == (fits or (always and surplus == 0))

    @given(configs, sizes, steps, U64)
    def test_only_this_is_ever_counted_too_often(
        self, config: OutlierDetection, size: int, history: list[Step], seed: int
    ) -> None:
        """As many as ejections were made of the ejected."""
        run, surplus = Run(config, size, seed), Counter[EndpointKey]()
        for step in history:
            ejections = [one.endpoint for one in run.step(step).detected if one.consequence is Consequence.EJECTED]
            surplus.update({host: count - 1 for host, count in Counter(ejections).items()})
            assert {host: run.record(host).overcounted for host in run.hosts} == {h: surplus[h] for h in run.hosts}
