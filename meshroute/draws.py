"""Draws: every random value that a decision may consume, by name.

Source    spec/draws.md DRAW-1 to DRAW-3
Inputs    a seed and an ordinal (which decision of a run this is), or the very numbers that a proxy drew.
Exactness a draw is XXH64(ordinal as eight little-endian bytes, then the name in ASCII; seed). It depends on nothing
          else, so one decision never shifts the draws of another, and any language can reproduce it.
Errors    ValueError for numbers that are not unsigned 64-bit integers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from xxhash import xxh64_intdigest

from meshroute.hashing import MASK64

STREAM: Final = "stream"
"""Drawn once for a request: picks the weighted cluster."""
PRIORITY: Final = "priority"
"""Drawn once for a host selection; the random policy uses the same number for the host, as Envoy does."""
KEY: Final = "key"
"""Stands in for the request hash when a consistent-hash cluster meets a request without one."""
ZONE_GATE: Final = "zone.gate"
"""Drawn where zone-aware routing applies to some of the requests only."""
ZONE_KEEP: Final = "zone.keep"
"""Drawn where the proxy's own locality cannot keep everything."""
ZONE_SPREAD: Final = "zone.spread"
"""Drawn for what it does not keep."""
FAULT_DELAY: Final = "fault.delay"
"""Drawn where a fault delays some of the requests."""
FAULT_ABORT: Final = "fault.abort"
"""Drawn where a fault aborts some of the requests."""


NUMGEN: Final = "numgen"
"""Drawn by nftables for a connection to a Service: the low 32 bits choose the endpoint."""
ANSWER: Final = "answer"
"""Stands for the order in which a name server lists addresses, of which the client takes the first."""


def rule_of_ladder(number: int) -> str:
    """The name of the draw of the n-th rule of iptables that a connection to a Service meets."""
    return f"ladder.{number}"


def host_choice(number: int) -> str:
    """The name of the draw behind the n-th host, or the n-th tie, that least request looks at."""
    return f"host.{number}"


_PICK = r"(/[0-9]+|/mirror\.[0-9]+)*"
_NAME: Final = re.compile(
    rf"(stream|priority|key|host\.[0-9]+|zone\.(gate|keep|spread)|fault\.(delay|abort)|request\.id\.[01]){_PICK}"
    r"|numgen|answer|ladder\.[0-9]+"
    r"|(enforce|jitter)\.[^.]+\..+",
    re.ASCII,
)


def is_draw(name: str) -> bool:
    """Whether anything is drawn by that name.

    >>> is_draw("host.1/mirror.0"), is_draw("strem")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


class Drawn(Protocol):
    """Random numbers by name, unsigned 64-bit."""

    def __getitem__(self, name: str, /) -> int: ...


class Draws(msgspec.Struct, frozen=True, gc=False):
    """Random values of one decision, unsigned 64-bit, each asked for by name.

    `given` pins some of them; what is not pinned is derived from `seed` and `ordinal`.
    """

    seed: int = 0
    ordinal: int = 0
    given: Mapping[str, int] = {}

    @staticmethod
    def of(seed: int = 0, ordinal: int = 0, given: Mapping[str, int] | None = None) -> Draws:
        """Draws for decision number `ordinal` of a run with this seed. Raises ValueError outside 0..2^64-1."""
        for name, value in {"seed": seed, "ordinal": ordinal, **(given or {})}.items():
            if not 0 <= value <= MASK64:
                raise ValueError(f"draw `{name}` must be an unsigned 64-bit integer, got {value}")
        return Draws(seed, ordinal, given or {})

    def __getitem__(self, name: str, /) -> int:
        """The draw of that name: an unsigned 64-bit integer."""
        if self.given:
            value = self.given.get(name)
            if value is not None:
                return value
        return xxh64_intdigest(self.ordinal.to_bytes(8, "little") + name.encode(), self.seed)


class Again(msgspec.Struct, frozen=True, gc=False):
    """The draws of a further pick for the same request: each name with `/` and what tells the pick from the first."""

    draws: Drawn
    pick: str

    def __getitem__(self, name: str, /) -> int:
        """The draw of that name for this pick."""
        return self.draws[f"{name}/{self.pick}"]
