"""Failures on purpose.

Source    spec/fault.md; envoyproxy/envoy: source/extensions/filters/http/fault/fault_filter.cc
Inputs    a fault and the draws of a request. Exactness: the delay and the abort have a draw each, which nothing else
          reads.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from msgspec.structs import replace

from meshroute.balance import span_chance
from meshroute.decision import NO_CLUSTER, Failed
from meshroute.draws import FAULT_ABORT, FAULT_DELAY, Drawn
from meshroute.match.predicate import is_grpc
from meshroute.request import Request
from meshroute.table import Abort, Fault, Portion


class Strike(NamedTuple):
    """What a fault does to a request: it waits so many milliseconds, 0 for none, and then it is aborted, or not."""

    delay: int
    abort: Abort | None


NO_STRIKE: Final = Strike(0, None)


def strike(fault: Fault, draws: Drawn) -> Strike:
    """What the draws say."""
    delay = fault.delay is not None and fault.delay.portion.takes(draws[FAULT_DELAY])
    abort = fault.abort is not None and fault.abort.portion.takes(draws[FAULT_ABORT])
    return Strike(
        fault.delay.milliseconds if fault.delay is not None and delay else 0,
        fault.abort if abort else None,
    )


def aborted(struck: Strike, request: Request) -> Failed:
    """What the client of an aborted request gets."""
    assert struck.abort is not None
    told = struck.abort.grpc_status
    if told is None:
        failed = Failed(struck.abort.status, "FI", "fault_filter_abort")
    else:
        failed = Failed(200, "FI", "fault_filter_abort", told if is_grpc(request) else None)
    return delayed(failed, struck.delay)


def delayed(failed: Failed, delay: int) -> Failed:
    """A failure after a delay: its flag says so."""
    return replace(failed, flag=f"DI,{failed.flag}") if delay else failed


def not_found(status: int, delay: int) -> Failed:
    """What a cluster that does not exist means."""
    return delayed(Failed(status, NO_CLUSTER.flag, NO_CLUSTER.details), delay)


def strikes(fault: Fault) -> Iterator[tuple[Fraction, Strike]]:
    """Everything that a fault can do, with its exact probability: the delay and the abort do not know of each other."""
    delay, abort = fault.delay, fault.abort
    waits = [(portion_chance(delay.portion), delay.milliseconds)] if delay is not None else []
    ends: list[tuple[Fraction, Abort | None]] = [(portion_chance(abort.portion), abort)] if abort is not None else []
    for wait, milliseconds in (*waits, (1 - sum((one for one, _ in waits), Fraction(0)), 0)):
        for end, what in (*ends, (1 - sum((one for one, _ in ends), Fraction(0)), None)):
            yield wait * end, Strike(milliseconds, what)


def portion_chance(portion: Portion) -> Fraction:
    """The exact probability that a draw is one of a portion."""
    return span_chance(0, min(portion.numerator, portion.denominator), portion.denominator)
