"""When an endpoint that fails is left out for a while.

Source    spec/outlier.md; envoyproxy/envoy: api/envoy/config/cluster/v3/outlier_detection.proto
Inputs    times in milliseconds, shares in percent.
Errors    ValueError for numbers that a proxy refuses.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAX_COUNT: Final = 2**32 - 1


class OutlierDetection(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The thresholds of one cluster; the defaults are Envoy's.

    `enforcing_*` say in how many percent of the cases a verdict is carried out. `max_ejection_time` None is 300,000
    or `base_ejection_time`, whichever is more.
    """

    consecutive_5xx: int = 5
    consecutive_gateway_failure: int = 5
    consecutive_local_origin_failure: int = 5
    interval: int = 10_000
    base_ejection_time: int = 30_000
    max_ejection_time: int | None = None
    max_ejection_time_jitter: int = 0
    max_ejection_percent: int = 10
    always_eject_one_host: bool = False
    split_external_local_origin_errors: bool = False
    enforcing_consecutive_5xx: int = 100
    enforcing_consecutive_gateway_failure: int = 0
    enforcing_consecutive_local_origin_failure: int = 100
    enforcing_success_rate: int = 100
    enforcing_local_origin_success_rate: int = 100
    success_rate_minimum_hosts: int = 5
    success_rate_request_volume: int = 100
    success_rate_stdev_factor: int = 1900
    enforcing_failure_percentage: int = 0
    enforcing_failure_percentage_local_origin: int = 0
    failure_percentage_threshold: int = 85
    failure_percentage_minimum_hosts: int = 5
    failure_percentage_request_volume: int = 50
    successful_active_health_check_uneject_host: bool = True

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must not be negative, got {getattr(self, name)}"
            for name in self.__struct_fields__
            if isinstance(getattr(self, name), int) and getattr(self, name) < 0
        ]
        percents = [name for name in self.__struct_fields__ if name.startswith("enforcing_")]
        for name in (*percents, "max_ejection_percent", "failure_percentage_threshold"):
            if getattr(self, name) > 100:
                wrong.append(f"{name} is at most 100 percent, got {getattr(self, name)}")
        for name in ("interval", "base_ejection_time", "max_ejection_time"):
            if getattr(self, name) == 0:
                wrong.append(f"{name} must be above 0")
        for name in self.__struct_fields__:
            if not name.endswith(("interval", "_time", "_jitter")) and getattr(self, name) > MAX_COUNT:
                wrong.append(f"{name} is at most {MAX_COUNT}, got {getattr(self, name)}")
        if self.max_ejection_time is not None and 0 < self.max_ejection_time < self.base_ejection_time:
            wrong.append(
                f"max_ejection_time {self.max_ejection_time} is below base_ejection_time {self.base_ejection_time}"
            )
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def longest_ejection(self) -> int:
        """`max_ejection_time` with its default applied."""
        return max(300_000, self.base_ejection_time) if self.max_ejection_time is None else self.max_ejection_time
