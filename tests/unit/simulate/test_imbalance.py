"""The formulas, against tables of exact values and against going through every placement."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import isclose

import pytest

from meshroute.simulate import imbalance


def rates(*some: int) -> list[Fraction]:
    return [Fraction(one) for one in some]


@pytest.mark.parametrize(
    ("connections", "pods", "used", "one"),
    [
        (1, 3, Fraction(0), Fraction(1)),
        (2, 2, Fraction(1, 2), Fraction(1, 2)),
        (3, 3, Fraction(2, 9), Fraction(1, 9)),
        (5, 3, Fraction(50, 81), Fraction(1, 81)),
        (6, 3, Fraction(20, 27), Fraction(1, 243)),
        (10, 3, Fraction(6220, 6561), Fraction(1, 19683)),
        (10, 10, Fraction(567, 1562500), Fraction(1, 10**9)),
    ],
)
def test_idle_pods(connections: int, pods: int, used: Fraction, one: Fraction) -> None:
    """All pods used, and everything on one."""
    assert imbalance.all_used(connections, pods) == used
    assert imbalance.all_on_one(connections, pods) == one


@pytest.mark.parametrize(
    ("some", "pods", "squares", "spread", "busiest"),
    [
        ((1, 1, 1), 3, Fraction(1, 3), 0.8165, Fraction(17, 27)),
        ((50, 30, 20), 3, Fraction(19, 50), 0.8718, Fraction(2, 3)),
        ((80, 10, 10), 3, Fraction(33, 50), 1.1489, Fraction(13, 15)),
        ((100, 1, 1), 3, Fraction(1667, 1734), 1.3866, Fraction(151, 153)),
        ((1,) * 6, 3, Fraction(1, 6), 0.5774, Fraction(131, 243)),
        ((1,) * 10, 2, Fraction(1, 10), 0.3162, Fraction(319, 512)),
        ((5, 3, 1, 1), 4, Fraction(9, 25), 1.0392, Fraction(5, 8)),
        ((100, *(1,) * 9), 4, Fraction(10009, 11881), 1.5898, Fraction(409, 436)),
    ],
)
def test_unequal_rates(some: Sequence[int], pods: int, squares: Fraction, spread: float, busiest: Fraction) -> None:
    """Concentration, variation, and the share of the busiest pod."""
    assert imbalance.concentration(rates(*some)) == squares
    assert isclose(imbalance.variation(rates(*some), pods), spread, abs_tol=5e-5)  # given with four digits
    assert imbalance.largest(rates(*some), pods) == busiest


@pytest.mark.parametrize(("some", "pods"), [((3, 2, 2), 2), ((1, 1, 4, 7), 3), ((5, 1), 4)])
def test_every_placement_agrees(some: Sequence[int], pods: int) -> None:
    """By going through all of them."""
    total, count = Fraction(sum(some)), pods ** len(some)
    busiest = idle = square = Fraction(0)
    for placement in product(range(pods), repeat=len(some)):
        loads = [sum(rate for rate, pod in zip(some, placement, strict=True) if pod == one) for one in range(pods)]
        busiest += max(loads) / total
        idle += loads.count(0)
        square += (loads[0] / total - Fraction(1, pods)) ** 2
    assert imbalance.largest(rates(*some), pods) == busiest / count
    assert imbalance.idle(len(some), pods) == idle / count
    assert isclose(imbalance.deviation(rates(*some), pods) ** 2, square / count)


def test_what_would_take_too_long_is_not_said() -> None:
    """A hundred rates that are all different."""
    assert imbalance.largest(rates(*(2**one for one in range(30))), 4) is None


def test_nobody_and_nothing() -> None:
    """No rates, no pods, no connections."""
    for wrong in (
        lambda: imbalance.concentration([]),
        lambda: imbalance.largest([], 3),
        lambda: imbalance.deviation(rates(1), 0),
        lambda: imbalance.all_on_one(0, 3),
    ):
        with pytest.raises(ValueError, match=r"nobody|no pods|no connections"):
            wrong()
