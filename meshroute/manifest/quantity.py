"""Quantities: how much of something a machine has, as Kubernetes writes it.

Source    kubernetes/apimachinery: pkg/api/resource/quantity.go, suffix.go
Inputs    texts such as `3920m`, `16Gi`, `1e3`, and plain numbers.
Exactness as the API server reads them: what is finer than a nano is rounded up. An exponent beyond 60 counts as 60, and
          2^63 - 1 at most behind a binary suffix.
Errors    ValueError, or pydantic's through a model.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil
from typing import Any, Final

import msgspec
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from meshroute.manifest.metadata import WRONG_TYPE, WRONG_VALUE

_QUANTITY: Final = re.compile(
    r"([-+]?)(?=\.?[0-9])([0-9]*\.?[0-9]*)(?:([KMGTPE])i|([numkMGTPE]?)|[eE]([-+]?[0-9]{1,9}))", re.ASCII
)
_LONGEST: Final = 64
_MOST: Final = 60
_BINARY: Final = {letter: 2 ** (10 * (place + 1)) for place, letter in enumerate("KMGTPE")}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO: Final = 10**9


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """An amount as written, and in whole billionths."""

    text: str
    nanos: int

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read a quantity as the API server does. Raises ValueError.

        >>> Quantity.parse("3920m").nanos, Quantity.parse("0.5").nanos, Quantity.parse("1Ki").nanos
        (3920000000, 500000000, 1024000000000)
        """
        stripped = text.strip()
        parts = _QUANTITY.fullmatch(stripped) if len(stripped) <= _LONGEST else None
        if parts is None:
            raise ValueError("not a quantity: write a number, perhaps with a unit, such as `4`, `3920m` or `16Gi`")
        sign, digits, binary, decimal, exponent = parts.groups()
        whole, _, rest = digits.partition(".")
        amount = Fraction(int(whole + rest or "0"), 10 ** len(rest))
        if binary:
            amount = min(amount * _BINARY[binary], Fraction(2**63 - 1))
        else:
            places = _DECIMAL[decimal] if exponent is None else int(exponent)
            amount *= Fraction(10) ** max(-_MOST, min(_MOST, places))
        nanos = ceil(amount * _NANO)
        return cls(stripped, -nanos if sign == "-" else nanos)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_quantity)


def thousandths(nanos: int) -> int:
    """Billionths as thousandths, rounded up.

    >>> thousandths(1_000_001)
    2
    """
    return -(-nanos // 10**6)


def _quantity(value: Any) -> Quantity:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError(WRONG_TYPE, "string or number")
    try:
        return Quantity.parse(str(value))
    except ValueError as error:
        raise PydanticCustomError(WRONG_VALUE, "{text}", {"text": str(error)}) from None
