"""Unquoted scalars: what they mean, and how values look when they are shown.

Source    go.yaml.in/yaml/v2: resolve.go, which kubectl and the API server read YAML with
Inputs    the text of one scalar.
Exactness numbers of 64 bits are whole; others are doubles, or stay text where a double would be infinite.
Errors    none.
"""

from __future__ import annotations

import re
from typing import Any, Final


def plain(value: object) -> str:
    """A scalar as YAML writes it without more ado."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def clip(text: str, most: int = 80) -> str:
    """A text short enough for a message, on one line."""
    flat = text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: most + 1])
    return flat if len(flat) <= most else f"{flat[:most]}…"


_FIXED: Final[dict[str, Any]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_HINTS: Final = frozenset("yYnNtTfFoO~+-.0123456789")
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
# Longer digits than these are no number that 64 bits hold; Python refuses to read much longer ones at all.
_LONGEST_NUMBER: Final = 400


def resolve(text: str) -> Any:
    """What an unquoted scalar means: null, a boolean, a number or the text itself.

    >>> [resolve(text) for text in ("on", "012", "1_000", "1e3", "2024-01-01", "1:30", "v1")]
    [True, 10, 1000, 1000.0, '2024-01-01', '1:30', 'v1']
    """
    if text and text[0] not in _HINTS:
        return text
    if text in _FIXED:
        return _FIXED[text]
    if not text[0].isascii() or text[0].isalpha() or text[0] == "~" or len(text) > _LONGEST_NUMBER:
        return text
    digits = text.replace("_", "") if text[0] != "." else text
    whole = _INTEGER.fullmatch(digits)
    if whole is not None and whole.lastgroup is not None:
        value = int(whole[whole.lastgroup], _BASES[whole.lastgroup])
        value = -value if whole["sign"] == "-" else value
        if -(2**63) <= value < 2**64:
            return value
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        # Go reports an overflow as an error and go-yaml then keeps the text.
        return text if number in (float("inf"), float("-inf")) else number
    return text
