"""How far a count may be from what a share promises."""

from __future__ import annotations

from fractions import Fraction


def plausible(count: int, trials: int, share: Fraction, chance: Fraction) -> bool:
    """Whether draws of this share give such a count at least as often as `chance`, by Chernoff's bound.

    The probability of a count that far out is at most (share / p)^count * ((1 - share) / (1 - p))^rest, with the
    count's own share p. Exact fractions: nothing is rounded.
    """
    if count in (0, trials):
        return (share if count else 1 - share) ** trials >= chance
    seen = Fraction(count, trials)
    return (share / seen) ** count * ((1 - share) / (1 - seen)) ** (trials - count) >= chance
