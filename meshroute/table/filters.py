"""What stands before a route: failures on purpose, and rules for browsers.

Source    spec/fault.md, spec/cors.md; envoyproxy/envoy: api/envoy/extensions/filters/http/{fault,cors}/v3
Inputs    times in milliseconds, texts in wire form.
Errors    ValueError for numbers that a proxy refuses.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meshroute.table.match import Contains, Exact, Pattern, Portion, Prefix, Suffix


class Delay(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Some requests, by the draw `fault.delay`, wait for so many milliseconds."""

    milliseconds: int
    portion: Portion

    def __post_init__(self) -> None:
        if self.milliseconds < 1:
            raise ValueError(f"a delay lasts at least a millisecond, not {self.milliseconds}")


class Abort(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Some requests, by the draw `fault.abort`, are answered with this status, or with this status of gRPC.

    `grpc_status` means something to gRPC requests only: others get 200 with it.
    """

    portion: Portion
    status: int = 0
    grpc_status: int | None = None

    def __post_init__(self) -> None:
        if self.grpc_status is None and not 200 <= self.status <= 599:
            raise ValueError(f"an abort answers with a status from 200 to 599, not {self.status}")


class Fault(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Failures on purpose: the delay comes first, the abort after it. Each has a draw of its own."""

    delay: Delay | None = None
    abort: Abort | None = None


Origin: TypeAlias = Exact | Prefix | Suffix | Contains | Pattern


class Cors(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Which pages may call, and how. What is None is not said in answers.

    A preflight request from an origin that is not allowed goes on to the upstream, unless `forward_unmatched` is false.
    """

    origins: tuple[Origin, ...] = ()
    methods: str = ""
    headers: str = ""
    expose: str = ""
    max_age: str = ""
    credentials: bool = False
    forward_unmatched: bool = True
