"""What pages of other origins may do.

Source    spec/cors.md; envoyproxy/envoy: source/extensions/filters/http/cors/cors_filter.cc
Inputs    a policy and a request as it came. Exactness: origins are compared as text, with their case; an origin pattern
          that `*` satisfies allows everybody.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from meshroute.match.predicate import text_predicate
from meshroute.request import Request
from meshroute.table import Cors

Said: TypeAlias = tuple[tuple[str, str], ...]
"""Header lines that an answer has."""


class Call(NamedTuple):
    """What a policy says of a request. `answered`: by the proxy, with these lines; else the answer gets `allowed`."""

    answered: bool
    lines: Said


NO_CALL: Final = Call(False, ())


class Rules:
    """A policy made ready."""

    __slots__ = ("_allowed", "_forward_unmatched", "_origins", "_preflight", "_refused")

    def __init__(self, policy: Cors) -> None:
        self._origins: Final[tuple[Callable[[str], bool], ...]] = tuple(map(text_predicate, policy.origins))
        self._forward_unmatched: Final = policy.forward_unmatched
        credentials = (("access-control-allow-credentials", "true"),) if policy.credentials else ()
        expose = (("access-control-expose-headers", policy.expose),) if policy.expose else ()
        self._allowed: Final[Said] = (*credentials, *expose)
        rest = (
            ("access-control-allow-methods", policy.methods),
            ("access-control-allow-headers", policy.headers),
            ("access-control-max-age", policy.max_age),
        )
        self._refused: Final[Said] = (*credentials, *(line for line in rest if line[1]))
        self._preflight: Final[Said] = (*self._refused, *expose)

    def call(self, request: Request) -> Call:
        """What becomes of a request."""
        origin = request.fields.get("origin", ("",))[0]
        if not origin:
            return NO_CALL
        asks = request.method == "OPTIONS" and bool(request.fields.get("access-control-request-method", ("",))[0])
        if not any(holds("*") or holds(origin) for holds in self._origins):
            # The proxy answers as it answers anybody, but does not say that the origin may.
            return Call(True, self._refused) if asks and not self._forward_unmatched else Call(False, ())
        allow = ("access-control-allow-origin", origin)
        return Call(True, (allow, *self._preflight)) if asks else Call(False, (allow, *self._allowed))
