"""What a slow start promises: the shares of endpoints while some of them are new.

Source    spec/balance.md SLOW-1
Inputs    the slow start, weights, and when each endpoint joined, in microseconds.
Exactness the mean over time of what weights are at each moment, by up to 10,000 moments in equal steps. A proxy reads a
          weight when it puts an endpoint back into its queue, so what it does is a turn of that endpoint behind.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Final

from meshroute.table import SlowStart

MOST_MOMENTS: Final = 10_000
MILLISECOND: Final = 1000


def factor(slow: SlowStart, age: int) -> float:
    """What a weight is multiplied with, `age` milliseconds after the endpoint joined.

    >>> factor(SlowStart(10_000), 500), factor(SlowStart(10_000, aggression=2.0), 2_500)
    (0.1, 0.5)
    """
    if age >= slow.window:
        return 1.0
    share: float = max(1, age) / slow.window
    power = 1.0 if isnan(slow.aggression) or slow.aggression <= 0 else 1.0 / slow.aggression
    return max(float(share**power), slow.minimum / 100.0)


def mean_shares(slow: SlowStart, members: Sequence[tuple[int, int]], begin: int, end: int) -> list[float]:
    """The share of each endpoint between two times; of each its weight and when it joined, all in microseconds.

    >>> [round(one, 3) for one in mean_shares(SlowStart(10_000), [(1, 0), (1, 10_000_000)], 10_000_000, 20_000_000)]
    [0.689, 0.311]
    """
    moments = max(1, min(MOST_MOMENTS, (end - begin) // MILLISECOND))
    sums = [0.0] * len(members)
    for number in range(moments):
        at = begin + (end - begin) * (2 * number + 1) // (2 * moments)
        weights = [weight * factor(slow, (at - joined) // MILLISECOND) for weight, joined in members]
        whole = sum(weights)
        for place, weight in enumerate(weights):
            sums[place] += weight / whole
    return [one / moments for one in sums]
