"""How uneven connections are: the formulas, exactly.

Source    kubernetes/kubernetes: pkg/proxy (each connection to a pod by chance); combinatorics
Inputs    the rates of connections that live for ever, and the number of pods, each as likely as the other.
Exactness fractions, but for square roots. The largest share is by going through all placements that differ, as long as
          there are not too many.
Errors    ValueError without connections or pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, sqrt
from typing import Final

MOST_PLACEMENTS: Final = 100_000


def concentration(rates: Sequence[Fraction]) -> Fraction:
    """The sum of the squares of the shares of all connections: 1/n where n are alike, 1 where one has everything.

    >>> concentration([Fraction(50), Fraction(30), Fraction(20)])
    Fraction(19, 50)
    """
    total = sum(rates, Fraction(0))
    if not total:
        raise ValueError("nobody asks for anything")
    return sum((one * one for one in rates), Fraction(0)) / (total * total)


def deviation(rates: Sequence[Fraction], pods: int) -> float:
    """The standard deviation of one pod's share.

    >>> round(deviation([Fraction(1)] * 3, 3), 4)
    0.2722
    """
    _some(pods)
    return sqrt(concentration(rates) * (pods - 1)) / pods


def variation(rates: Sequence[Fraction], pods: int) -> float:
    """The coefficient of variation of one pod's share.

    >>> round(variation([Fraction(50), Fraction(30), Fraction(20)], 3), 4)
    0.8718
    """
    return deviation(rates, pods) * pods


def all_used(connections: int, pods: int) -> Fraction:
    """The probability that every pod has a connection.

    >>> all_used(3, 3), all_used(10, 3)
    (Fraction(2, 9), Fraction(6220, 6561))
    """
    _some(pods)
    return sum(
        ((-1) ** none * comb(pods, none) * Fraction(pods - none, pods) ** connections for none in range(pods + 1)),
        Fraction(0),
    )


def all_on_one(connections: int, pods: int) -> Fraction:
    """The probability that one pod has all connections.

    >>> all_on_one(3, 3)
    Fraction(1, 9)
    """
    _some(pods)
    if connections < 1:
        raise ValueError("there are no connections")
    return Fraction(1, pods) ** (connections - 1)


def idle(connections: int, pods: int) -> Fraction:
    """How many pods have no connection, on average.

    >>> idle(3, 3)
    Fraction(8, 9)
    """
    _some(pods)
    return pods * (1 - Fraction(1, pods)) ** connections


def largest(rates: Sequence[Fraction], pods: int) -> Fraction | None:
    """The share of the busiest pod, on average; None where it would take too long to say.

    >>> largest([Fraction(1)] * 3, 3), largest([Fraction(50), Fraction(30), Fraction(20)], 3)
    (Fraction(17, 27), Fraction(2, 3))
    """
    _some(pods)
    total = sum(rates, Fraction(0))
    if not total:
        raise ValueError("nobody asks for anything")
    # Loads in descending order stand for all placements that only differ in which pod is which.
    loads: dict[tuple[Fraction, ...], int] = {(Fraction(0),) * pods: 1}
    for rate in rates:
        following: dict[tuple[Fraction, ...], int] = {}
        for load, ways in loads.items():
            for number in range(pods):
                placed = tuple(sorted((*load[:number], load[number] + rate, *load[number + 1 :]), reverse=True))
                following[placed] = following.get(placed, 0) + ways
        if len(following) > MOST_PLACEMENTS:
            return None
        loads = following
    placements: int = pods ** len(rates)
    return sum((load[0] * count for load, count in loads.items()), Fraction(0)) / (total * placements)


def _some(pods: int) -> None:
    if pods < 1:
        raise ValueError("there are no pods")
