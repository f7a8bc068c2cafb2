"""Chance: whole microseconds out of draws, the same on every machine.

Source    spec/draws.md DRAW-1 for the draws; Wichura, Algorithm AS 241 (PPND16), for the normal distribution
Inputs    unsigned 64-bit draws; distributions in microseconds.
Exactness logarithm, exponential and quantile are made of IEEE additions, products, quotients and square roots, which
          every platform rounds alike; those of C libraries differ in their last digits. What comes out is rounded to a
          whole microsecond.
Errors    ValueError for negative times, for weights and lists that have nothing in them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import frexp, isfinite, ldexp, sqrt
from typing import Final, TypeAlias

import msgspec
from xxhash import xxh64_intdigest


def draw(seed: int, ordinal: int, name: bytes) -> int:
    """The draw of that name, as `Draws(seed, ordinal)[name]` has it.

    >>> from meshroute.draws import Draws
    >>> draw(7, 3, b"stream") == Draws(7, 3)["stream"]
    True
    """
    return xxh64_intdigest(ordinal.to_bytes(8, "little") + name, seed)


def seed_of(seed: int, name: str) -> int:
    """A seed of its own for whoever has this name: nobody's draws shift when somebody else comes or goes."""
    return xxh64_intdigest(name.encode(), seed)


class Constant(msgspec.Struct, frozen=True, tag="constant", gc=False, forbid_unknown_fields=True):
    """Always so many microseconds."""

    value: int

    def __post_init__(self) -> None:
        _positive("time", self.value)


class Exponential(msgspec.Struct, frozen=True, tag="exponential", gc=False, forbid_unknown_fields=True):
    """Without memory, `mean` microseconds on average."""

    mean: int

    def __post_init__(self) -> None:
        _positive("mean", self.mean)


class Lognormal(msgspec.Struct, frozen=True, tag="lognormal", gc=False, forbid_unknown_fields=True):
    """Half of all below `median` microseconds; the logarithm is normal with standard deviation `sigma`."""

    median: int
    sigma: float

    def __post_init__(self) -> None:
        _positive("median", self.median)
        if not 0.0 <= self.sigma <= 10.0:
            raise ValueError(f"sigma must be between 0 and 10, got {self.sigma}")


class Empirical(msgspec.Struct, frozen=True, tag="empirical", gc=False, forbid_unknown_fields=True):
    """Any of these times in microseconds, each as likely as the other; write one twice to have it twice as often."""

    values: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a list of times needs at least one")
        for one in self.values:
            _positive("time", one)


Distribution: TypeAlias = Constant | Exponential | Lognormal | Empirical


def _positive(what: str, value: int) -> None:
    if value < 0:
        raise ValueError(f"a {what} must not be negative, got {value}")


def mean(distribution: Distribution) -> float:
    """What it comes to on average, in microseconds."""
    match distribution:
        case Constant(value):
            return float(value)
        case Exponential(value):
            return float(value)
        case Lognormal(median, sigma):
            return median * exp(sigma * sigma / 2)
        case Empirical(values):
            return sum(values) / len(values)


def sampler(distribution: Distribution) -> Callable[[int], int]:
    """Makes microseconds of draws."""
    match distribution:
        case Constant(value):
            return lambda _: value
        case Exponential(value):
            return lambda drawn: int(value * minus_ln(drawn) + 0.5)
        case Lognormal(median, sigma):
            return lambda drawn: int(median * exp(sigma * normal(drawn)) + 0.5)
        case Empirical(values):
            return lambda drawn: values[drawn % len(values)]


# A logarithm and its relatives


def _series(value: float) -> float:
    """The natural logarithm of a number near 1, by its slowest and plainest series."""
    ratio = (value - 1.0) / (value + 1.0)
    square, term, total, number = ratio * ratio, ratio, 0.0, 1
    while abs(term) > 1e-20:
        total += term / number
        term *= square
        number += 2
    return 2.0 * total


_PIECES: Final = 128
_CENTRES: Final = tuple((_PIECES + number + 0.5) / (2 * _PIECES) for number in range(_PIECES))
_LOGARITHMS: Final = tuple(map(_series, _CENTRES))
_LN_2: Final = -_series(0.5)
_ALL_PARTS: Final = 52 * _LN_2
_LN_2_HIGH: Final = float.fromhex("0x1.62e42fee00000p-1")  # times a whole number this is exact
_LN_2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")


def ln(value: float) -> float:
    """The natural logarithm of a positive number.

    >>> ln(1.0), round(ln(10.0), 12)
    (0.0, 2.302585092994)
    """
    if value == 1.0:
        return 0.0
    mantissa, exponent = frexp(value)
    piece = int(mantissa * (2 * _PIECES)) - _PIECES
    centre = _CENTRES[piece]
    rest = (mantissa - centre) / centre
    return (
        exponent * _LN_2
        + _LOGARITHMS[piece]
        + rest * (1.0 - rest * (0.5 - rest * (1 / 3 - rest * (0.25 - rest * (0.2 - rest / 6)))))
    )


def minus_ln(drawn: int) -> float:
    """What is exponential with mean 1, of a draw: -ln of the middle of one of 2^52 equal parts of 0 to 1."""
    return _ALL_PARTS - ln((drawn >> 12) + 0.5)


def exp(value: float) -> float:
    """e to the power of a finite number."""
    if not isfinite(value) or abs(value) > 700.0:
        raise ValueError(f"e to the power of {value} is no ordinary number")
    doublings = round(value / _LN_2)
    rest = (value - doublings * _LN_2_HIGH) - doublings * _LN_2_LOW
    total = 1.0
    for number in range(20, 0, -1):
        total = 1.0 + total * rest / number
    return ldexp(total, doublings)


_A: Final = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_B: Final = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_C: Final = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_D: Final = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)
_E: Final = (
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
_F: Final = (
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)


def _polynomial(coefficients: tuple[float, ...], at: float) -> float:
    total = 0.0
    for one in reversed(coefficients):
        total = total * at + one
    return total


def normal(drawn: int) -> float:
    """What is normal with mean 0 and standard deviation 1, of a draw."""
    share = ((drawn >> 12) + 0.5) / 2**52
    off = share - 0.5
    if abs(off) <= 0.425:
        at = 0.180625 - off * off
        return off * _polynomial(_A, at) / _polynomial(_B, at)
    tail = sqrt(-ln(share if off < 0 else 1.0 - share))
    if tail <= 5.0:
        away = _polynomial(_C, tail - 1.6) / _polynomial(_D, tail - 1.6)
    else:
        away = _polynomial(_E, tail - 5.0) / _polynomial(_F, tail - 5.0)
    return -away if off < 0 else away
