"""Headers that can be changed, single-slot ones kept in one line.

Source    spec/change.md CHANGE-2; envoyproxy/envoy: source/common/http/header_map_impl.cc
Inputs    lines in wire form, names in lower case; the names that are kept in one line.
Exactness a line that is added to a single-slot header is joined to it with `,`, empty values apart.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

SINGLE_SLOT_ANSWERS: Final = frozenset(
    """
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-allow-private-network access-control-expose-headers
    access-control-max-age age cache-control content-encoding content-type etag expires grpc-message grpc-status
    last-modified location proxy-status vary via x-envoy-attempt-count x-envoy-decorator-operation x-envoy-degraded
    x-envoy-immediate-health-check-fail x-envoy-ratelimited x-envoy-upstream-canary
    x-envoy-upstream-healthchecked-cluster x-request-id
    """.split()
)
"""Headers of answers of which Envoy keeps one value; request.SINGLE_SLOT_HEADERS are those of requests."""


class Lines:
    """Header lines in order."""

    __slots__ = ("_single", "lines")

    def __init__(self, lines: Iterable[tuple[str, str]], single: Set[str]) -> None:
        self._single: Final = single
        self.lines: list[tuple[str, str]] = []
        for name, value in lines:
            self.add(name, value)

    def values(self, name: str) -> list[str]:
        """The values of a header, in order."""
        return [value for one, value in self.lines if one == name]

    def remove(self, name: str) -> None:
        """Every line of a header."""
        self.lines = [line for line in self.lines if line[0] != name]

    def set(self, name: str, value: str) -> None:
        """One line instead of all there are."""
        self.remove(name)
        self.lines.append((name, value))

    def add(self, name: str, value: str) -> None:
        """One line more, or more in the line that there is."""
        if name in self._single:
            for at, (one, before) in enumerate(self.lines):
                if one == name:
                    self.lines[at] = (name, ",".join(filter(None, (before, value))))
                    return
        self.lines.append((name, value))
