"""Numbers out of draws: their distributions, and that no platform has a say in them."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from statistics import NormalDist

import pytest

from meshroute.draws import Draws
from meshroute.simulate.chance import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Lognormal,
    draw,
    exp,
    ln,
    mean,
    minus_ln,
    normal,
    sampler,
    seed_of,
)
from tests.bounds import plausible

STEP = 0x9E37_79B9_7F4A_7C15
DRAWS = [number * STEP % 2**64 for number in range(20_000)]


def ulps(got: float, right: float) -> float:
    """How far apart, in steps of the last digit of the right one."""
    return abs(got - right) / math.ulp(right) if right else abs(got) / math.ulp(1.0)


def test_the_logarithm_is_the_library_s_but_for_last_digits() -> None:
    """Over all magnitudes, and around 1, where little is left of it."""
    for drawn in DRAWS:
        value = drawn / 2**40 + 1e-9
        assert abs(ln(value) - math.log(value)) <= 4 * math.ulp(max(1.0, abs(math.log(value))))
    assert ln(1.0) == 0.0


def test_the_exponential_is_the_library_s_but_for_last_digits() -> None:
    """From tiny to huge; what is no ordinary number is refused."""
    for number in range(-6900, 6900, 7):
        assert ulps(exp(number / 10), math.exp(number / 10)) <= 64
    with pytest.raises(ValueError, match="no ordinary number"):
        exp(701.0)


def test_the_normal_quantile_is_the_library_s_but_for_last_digits() -> None:
    """The standard library has the same algorithm over the platform's logarithm."""
    for drawn in [*DRAWS, 0, 2**64 - 1]:
        right = NormalDist().inv_cdf(((drawn >> 12) + 0.5) / 2**52)
        assert abs(normal(drawn) - right) <= 64 * math.ulp(max(1.0, abs(right)))


def test_exponential_numbers_are_never_negative_and_never_infinite() -> None:
    """At both ends of the draws."""
    assert abs(minus_ln(0) - 53 * math.log(2)) < 1e-13
    assert abs(minus_ln(2**63) - math.log(2)) < 1e-13
    assert abs(minus_ln(2**64 - 1)) < 1e-13
    assert sampler(Exponential(10**9))(2**64 - 1) == 0


@pytest.mark.parametrize(
    ("distribution", "share_below", "bound"),
    [
        (Exponential(1000), Fraction(0.6321205588285577), 1000),
        (Lognormal(1000, 0.5), Fraction(1, 2), 1000),
        (Lognormal(1000, 1.0), Fraction(0.8413447460685429), 2718),
        (Empirical((1, 2, 3, 3000)), Fraction(3, 4), 1000),
    ],
)
def test_as_many_fall_below_a_bound_as_the_distribution_says(
    distribution: Distribution, share_below: Fraction, bound: int
) -> None:
    """By Chernoff's bound, over draws of a seed."""
    sample = sampler(distribution)
    below = sum(sample(draw(5, number, b"service")) <= bound for number in range(4000))
    # Half a microsecond of rounding moves a share by less than 0.001 of it.
    assert plausible(below, 4000, share_below, Fraction(1, 10**9))


def test_means() -> None:
    """In closed form."""
    assert [mean(one) for one in (Constant(7), Exponential(9), Empirical((1, 2, 6)))] == [7.0, 9.0, 3.0]
    # e^(1/2) to fifty digits: what is computed is at most a few of a double's last digits from it.
    exact = 1000 * Decimal("0.5").exp(Context(prec=50))
    assert abs(Decimal(mean(Lognormal(1000, 1.0))) - exact) <= 4 * Decimal(math.ulp(float(exact)))


def test_draws_are_those_of_the_specification() -> None:
    """DRAW-1; and whoever has another name has another seed."""
    assert draw(7, 3, b"service") == Draws(7, 3)["service"]
    assert len({seed_of(1, "client.a"), seed_of(1, "client.b"), seed_of(2, "client.a"), seed_of(1, "proxy.a")}) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Constant(-1),
        lambda: Exponential(-1),
        lambda: Lognormal(-1, 1.0),
        lambda: Lognormal(1, -0.1),
        lambda: Lognormal(1, float("nan")),
        lambda: Empirical(()),
        lambda: Empirical((1, -1)),
    ],
)
def test_what_cannot_be_a_time_is_refused(wrong: object) -> None:
    """With the reason."""
    assert callable(wrong)
    with pytest.raises(ValueError, match=r"negative|between|at least one"):
        wrong()
