"""Decision: what becomes of a request, and the outcomes it can have.

Source    spec/decide.md DECIDE-1 to DECIDE-5; status codes and flags: envoyproxy/envoy access-log vocabulary
Inputs    made by `decide`; nothing else makes one.
Errors    none. No route, no healthy host and the like are outcomes: the data plane answers them too.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.state import Effect, RequestFinished, RequestStarted
from meshroute.table import Endpoint, RuleRef
from meshroute.trace import Step


class Forwarded(msgspec.Struct, frozen=True, tag="forwarded", gc=False):
    """Sent to an endpoint. What it answers is not ours to say."""


class Redirected(msgspec.Struct, frozen=True, tag="redirected", gc=False):
    """The client is told to go elsewhere."""

    status: int
    location: str


class Responded(msgspec.Struct, frozen=True, tag="responded", gc=False):
    """The proxy answers by itself, as configured."""

    status: int
    body: str = ""


class Failed(msgspec.Struct, frozen=True, tag="failed", gc=False):
    """A dead end: the status the client gets (0: none, the connection is closed), Envoy's response flag, its detail
    word."""

    status: int
    flag: str
    details: str


Outcome: TypeAlias = Forwarded | Redirected | Responded | Failed

FORWARDED = Forwarded()
NO_ROUTE = Failed(404, "NR", "route_not_found")
NO_CLUSTER = Failed(503, "NC", "cluster_not_found")
NO_HEALTHY_HOST = Failed(503, "UH", "no_healthy_upstream")
NOBODY_LISTENS = Failed(0, "-", "no_listener")
"""The connection is refused: there is no listener for it."""
NOT_TAKEN = Failed(0, "NR", "filter_chain_not_found")
"""The connection is closed: the listener has no chain for it."""
CLOSED = Failed(0, "UH", "no_healthy_upstream")
"""The connection is closed and no HTTP answer is given: what a port without HTTP rules does with nobody behind it."""


class Decision(msgspec.Struct, frozen=True):
    """Where one request goes, and why.

    `rule` is None when no rule took part (a service's default route, or no route at all); `cluster`, `subset` and
    `endpoint` are None where there is none. `request` is the request as the upstream sees it. `effects` are what the
    caller remembers if the request really goes out: `state = state.after(decision.effects)`. `trace` is filled by
    `Router.explain` only. `response_headers` are what the proxy adds to the answer; `tried` the endpoints of the tries
    before, where this is a retry.
    """

    outcome: Outcome
    request: Request
    route: str = ""
    rule: RuleRef | None = None
    cluster: ClusterName | None = None
    subset: str | None = None
    endpoint: Endpoint | None = None
    effects: tuple[Effect, ...] = ()
    trace: tuple[Step, ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()
    tried: tuple[EndpointKey, ...] = ()

    @property
    def pod(self) -> str | None:
        """`namespace/name` of the pod behind the endpoint; None where there is none or nobody named it."""
        return (self.endpoint.workload or None) if self.endpoint else None

    @property
    def started(self) -> RequestStarted | None:
        """The request's beginning on its endpoint; None where it was forwarded to none of a cluster's own."""
        return next((one for one in self.effects if isinstance(one, RequestStarted)), None)

    def finished(self) -> tuple[Effect, ...]:
        """The effects of the request's end: everything that it had started is over."""
        return tuple(
            RequestFinished(effect.cluster, effect.endpoint)
            for effect in self.effects
            if isinstance(effect, RequestStarted)
        )

    def to_builtins(self) -> dict[str, Any]:
        """The decision as plain JSON values, for `--json` and for other languages. Every field is present.

        What is sent or answered stays in wire form: one character for each byte, so that nothing is lost.
        """
        return {
            "outcome": msgspec.to_builtins(self.outcome),
            "rule": msgspec.structs.asdict(self.rule) if self.rule is not None else None,
            "route": self.route,
            "cluster": self.cluster,
            "subset": self.subset,
            "pod": self.pod,
            "endpoint": str(self.endpoint.key) if self.endpoint else None,
            "request": {
                "method": self.request.method,
                "authority": self.request.authority,
                "path": self.request.path,
                "headers": [list(line) for line in self.request.headers],
            },
            "response_headers": [list(line) for line in self.response_headers],
            "tried": list(self.tried),
            "effects": msgspec.to_builtins(self.effects),
            "trace": msgspec.to_builtins(self.trace),
        }
