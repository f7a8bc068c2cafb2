"""What happened, as columns: one row for each pod and bucket of time.

Source    docs/simulate.md
Inputs    the live records of a simulation.
Exactness counts are whole. Percentiles are those of the sample itself, by nearest rank: the smallest latency that at
          least so many percent do not exceed. Mean concurrency is requests times microseconds, over microseconds.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec

from meshroute.simulate.live import Cell, Live
from meshroute.simulate.model import Scenario


class Columns(msgspec.Struct, frozen=True):
    """Rows of results, field by field, all of one length; by pod, then by bucket.

    `start` is where the bucket begins, in microseconds. `requests` came in it; `ended` left in it, of which `errors`
    were answered with 500 or more, or not at all; the latencies are of those, in microseconds since the client asked,
    None where nothing ended. `concurrency` is how many were there on average, `moved` how many came from users who were
    with another pod before.
    """

    pod: tuple[str, ...]
    start: tuple[int, ...]
    requests: tuple[int, ...]
    ended: tuple[int, ...]
    errors: tuple[int, ...]
    moved: tuple[int, ...]
    concurrency: tuple[float, ...]
    p50: tuple[int | None, ...]
    p90: tuple[int | None, ...]
    p99: tuple[int | None, ...]


class Total(msgspec.Struct, frozen=True):
    """One pod over the whole time; fields as in `Columns`."""

    pod: str
    requests: int
    ended: int
    errors: int
    moved: int
    concurrency: float
    p50: int | None
    p90: int | None
    p99: int | None


class Result(msgspec.Struct, frozen=True):
    """All that a simulation says. `end` is how far it came, in microseconds; `partial` where that is not the whole.

    `made` are the requests that clients made, `outcomes` how they ended for them and how often: `status 200`, a word
    for why there is no answer, or `unfinished`. These add up to `made`.
    """

    end: int
    bucket: int
    partial: bool
    made: int
    outcomes: dict[str, int]
    totals: tuple[Total, ...]
    columns: Columns

    def total(self, pod: str) -> Total:
        """The row of one pod. Raises KeyError."""
        for one in self.totals:
            if one.pod == pod:
                return one
        raise KeyError(pod)

    def to_json(self) -> bytes:
        """Canonical JSON: the same result, the same bytes."""
        return msgspec.json.encode(self, order="deterministic")


def percentile(ascending: Sequence[int], percent: int) -> int | None:
    """By nearest rank, of values in ascending order; None of none.

    >>> percentile([10, 20, 30, 40], 50), percentile([10, 20, 30, 40], 99), percentile([], 50)
    (20, 40, None)
    """
    if not ascending:
        return None
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]


def result_of(scenario: Scenario, live: Live, shown: Sequence[int], *, partial: bool) -> Result:
    """What the records say now."""
    width, end = scenario.bucket, live.now
    buckets = max(1, -(-end // width))
    rows: list[tuple[object, ...]] = []
    totals = []
    for number in shown:
        pod = live.pods[number]
        cells = [*pod.cells[:buckets], *(Cell() for _ in range(buckets - len(pod.cells)))]
        areas = [cell.area for cell in cells]
        since = pod.since
        while pod.present and since < end:
            # What is there now and was not added up yet.
            bucket = since // width
            until = min(end, (bucket + 1) * width)
            areas[bucket] += pod.present * (until - since)
            since = until
        for bucket, cell in enumerate(cells):
            start = bucket * width
            latencies = sorted(cell.latencies)
            rows.append(
                (
                    pod.name,
                    start,
                    cell.requests,
                    cell.ended,
                    cell.errors,
                    cell.moved,
                    areas[bucket] / max(1, min(width, end - start)),
                    *(percentile(latencies, one) for one in (50, 90, 99)),
                )
            )
        latencies = sorted(chain.from_iterable(cell.latencies for cell in cells))
        totals.append(
            Total(
                pod.name,
                sum(cell.requests for cell in cells),
                sum(cell.ended for cell in cells),
                sum(cell.errors for cell in cells),
                sum(cell.moved for cell in cells),
                sum(areas) / max(1, end),
                percentile(latencies, 50),
                percentile(latencies, 90),
                percentile(latencies, 99),
            )
        )
    outcomes = dict(sorted(live.outcomes.items()))
    if live.flights:
        outcomes["unfinished"] = len(live.flights)
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in Columns.__struct_fields__]
    return Result(
        end,
        width,
        partial,
        live.flown,
        outcomes,
        tuple(totals),
        msgspec.convert(dict(zip(Columns.__struct_fields__, columns, strict=True)), Columns),
    )
