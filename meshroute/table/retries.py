"""When a request is tried again, and where.

Source    spec/retry.md; envoyproxy/envoy: api/envoy/config/route/v3/route_components.proto (RetryPolicy)
Inputs    times in milliseconds.
Errors    ValueError for numbers that a proxy refuses.
"""

from __future__ import annotations

import msgspec

from meshroute.table.match import HeaderMatch


class RetryHosts(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How a retry chooses its host: up to `attempts` + 1 picks, until one was not tried before."""

    attempts: int = 1

    def __post_init__(self) -> None:
        if self.attempts < 0:
            raise ValueError(f"attempts must not be negative, got {self.attempts}")


class Retries(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Up to `attempts` tries after the first, on what `on` names (`5xx`, `connect-failure`...).

    `statuses` are what `retriable-status-codes` means, `headers` what `retriable-headers` does; with `request_headers`,
    only requests that satisfy one of them are tried again. `per_try_timeout` 0 is none. `refresh_cluster` draws the
    cluster anew, among those not tried yet. `base_interval` and `max_interval` bound the wait before a try; 0 leaves
    the latter at ten times the former. `other_priorities` n prefers priorities not tried yet, after every nth try.
    """

    on: tuple[str, ...]
    attempts: int = 1
    statuses: tuple[int, ...] = ()
    headers: tuple[HeaderMatch, ...] = ()
    request_headers: tuple[HeaderMatch, ...] = ()
    per_try_timeout: int = 0
    refresh_cluster: bool = False
    base_interval: int = 25
    max_interval: int = 0
    other_priorities: int = 0

    def __post_init__(self) -> None:
        if self.attempts < 0:
            raise ValueError(f"attempts must not be negative, got {self.attempts}")
        if self.max_interval and self.max_interval < self.base_interval:
            raise ValueError(f"the longest wait {self.max_interval} is below the first, {self.base_interval}")
