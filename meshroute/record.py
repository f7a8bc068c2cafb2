"""What a proxy remembers of one endpoint for outlier detection.

Source    spec/outlier.md OUT-1; envoyproxy/envoy: source/common/upstream/outlier_detection_impl.{h,cc}
Inputs    counts of answers, and times in milliseconds of whatever clock the caller keeps.
Exactness whole numbers only. A record without anything to remember equals `HostRecord()`, and need not be kept.
Errors    none; `meshroute.balance.outlier` makes the records.
"""

from __future__ import annotations

import msgspec


class Window(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Answers between two ticks: how many, and how many of them were good."""

    total: int = 0
    ok: int = 0

    @property
    def rate(self) -> float:
        """Percent of good ones, as a proxy computes it. There must be answers."""
        return self.ok * 100.0 / self.total


class HostRecord(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One endpoint: errors in a row, answers of this window and of the last one, and its ejections.

    `answers` and `connects` are the windows that are open, `answers_before` and `connects_before` those that the last
    tick closed; connects are counted only where errors are split by origin. `ejected_at` is there while the endpoint is
    left out, `returned_at` from its return until `backoff` is back at 0. `backoff` multiplies the next ejection's
    length, `jitter` is added to the present one's. `overcounted` are ejections that stay counted though nobody is out:
    see OUT-13.
    """

    errors: int = 0
    gateway_errors: int = 0
    local_errors: int = 0
    answers: Window = Window()
    answers_before: Window = Window()
    connects: Window = Window()
    connects_before: Window = Window()
    ejected_at: int | None = None
    returned_at: int | None = None
    backoff: int = 0
    jitter: int = 0
    overcounted: int = 0

    @property
    def ejected(self) -> bool:
        """Whether the endpoint is left out."""
        return self.ejected_at is not None
