"""Decision: what becomes of a request, and the outcomes it can have.

Source    spec/decide.md DECIDE-1 to DECIDE-5; status codes and flags: envoyproxy/envoy access-log vocabulary
Inputs    made by `decide`; nothing else makes one.
Errors    none. No route, no healthy host and the like are outcomes: the data plane answers them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import msgspec

from meshroute.changes import change, scene_of
from meshroute.headers import SINGLE_SLOT_ANSWERS, Lines
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.state import Effect, RequestFinished, RequestStarted
from meshroute.table import Action, Endpoint, Forward, HeaderChanges, Route, RuleRef
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


class Failed(msgspec.Struct, frozen=True, tag="failed", gc=False, omit_defaults=True):
    """A dead end: the status the client gets (0: none, the connection is closed), Envoy's response flag, its detail
    word. Where the client speaks gRPC, the status is 200, and `grpc_status` what is said in its headers."""

    status: int
    flag: str
    details: str
    grpc_status: int | None = None

    @property
    def text(self) -> str:
        """What the proxy says of it in words, if anything."""
        return _BODIES.get(self.details, "")

    @property
    def body(self) -> str:
        """What the client reads; empty where the connection is closed, and for gRPC, whose headers have the text."""
        return self.text if self.status and self.grpc_status is None else ""


Outcome: TypeAlias = Forwarded | Redirected | Responded | Failed

FORWARDED = Forwarded()
PREFLIGHT = Responded(200)
"""The answer to a page of another origin that asks what it may ask."""
NO_ROUTE = Failed(404, "NR", "route_not_found")
NO_CLUSTER = Failed(503, "NC", "cluster_not_found")
NO_HEALTHY_HOST = Failed(503, "UH", "no_healthy_upstream")
NOBODY_LISTENS = Failed(0, "-", "no_listener")
"""The connection is refused: there is no listener for it."""
NOT_TAKEN = Failed(0, "NR", "filter_chain_not_found")
"""The connection is closed: the listener has no chain for it."""
REJECTED = Failed(0, "-", "connection_rejected")
"""A node answers for a service without endpoints: the client learns at once."""
DROPPED = Failed(0, "-", "packets_dropped")
"""A node throws the packets away: the client waits until it has enough."""
UNMATCHED = Failed(0, "-", "no_service_there")
"""No address and port of the service: nodes leave the packets as they are."""
NOT_DIALED = Failed(0, "-", "no_endpoint_answered")
"""A node took the connection itself, dialed endpoints in vain, and closes it."""
NO_ADDRESS = Failed(0, "-", "name_without_address")
"""The client looks the name up, and is told no address."""
CLOSED = Failed(0, "UH", "no_healthy_upstream")
"""The connection is closed and no HTTP answer is given: what a port without HTTP rules does with nobody behind it."""
_BODIES: Final = {"no_healthy_upstream": "no healthy upstream", "fault_filter_abort": "fault filter abort"}


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A copy of a request, on its way to an endpoint of another cluster. Nobody waits for its answer."""

    cluster: ClusterName
    endpoint: Endpoint
    request: Request


class Edits(msgspec.Struct, frozen=True, gc=False):
    """What happens to the upstream's answer on its way back: the changes of each level in order, then lines that are
    set, whatever was there."""

    levels: tuple[HeaderChanges, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()


UNTOUCHED: Final = Edits()


class Passed(msgspec.Struct, frozen=True, gc=False):
    """What the retries of one request remember of priorities.

    `attempted` has the priority of each try, since the last time that none was left; `excluded` those that are passed
    over; `loads` what the others got, for the healthy and for the degraded endpoints of each.
    """

    attempted: tuple[int, ...] = ()
    excluded: frozenset[int] = frozenset()
    loads: tuple[tuple[int, ...], tuple[int, ...]] | None = None


NOT_PASSED: Final = Passed()


class Decision(msgspec.Struct, frozen=True):
    """Where one request goes, and why.

    `rule` is None when no rule took part (a service's default route, or no route at all); `cluster`, `subset` and
    `endpoint` are None where there is none. `request` is the request as the upstream sees it. `effects` are what the
    caller remembers if the request really goes out: `state = state.after(decision.effects)`. `trace` is filled by
    `Router.explain` only. `response_headers` are what the proxy says where it answers itself, and the cookies that it
    adds to an answer of the upstream; `tried` the endpoints of the tries before, where this is a retry.

    `delay` is how long a fault makes the request wait, in milliseconds; `mirrors` are the copies that are really sent.
    `edits` is what happens to the upstream's answer (see `answer`). `matched` is the route that took the request;
    `drawn` the number by which it chose among several clusters, and `entries` which of them it chose, by their places
    in its list: in this try, which is the last, and in those before, as long as they do not repeat. `passed` is what
    the next try remembers of priorities.
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
    delay: int = 0
    mirrors: tuple[Copy, ...] = ()
    edits: Edits = UNTOUCHED
    matched: Route | None = None
    drawn: int = 0
    entries: tuple[int, ...] = ()
    passed: Passed = NOT_PASSED

    @property
    def action(self) -> Action | None:
        """What the route in force does, with its timeouts and retries; None where no route took the request."""
        return self.matched.action if self.matched is not None else None

    def answer(
        self, headers: Iterable[tuple[str, str]] = (), status: int = 200, flags: str = ""
    ) -> tuple[tuple[str, str], ...]:
        """The header lines that the client gets where the upstream answers with these and this status. `flags` are
        response flags, where it is known that there are others than the delay's.

        What the proxy says of itself (`date`, `server`, `x-envoy-upstream-service-time`) is not among them.
        """
        lines = Lines(headers, SINGLE_SLOT_ANSWERS)
        for name, value in self.response_headers:
            lines.add(name, value)
        if self.edits.levels:
            scene = scene_of(
                self.request,
                self.route,
                self.cluster or "",
                attempt=len(self.tried) + 1,
                host=self.endpoint.key if self.endpoint else "",
                hostname=self.endpoint.hostname if self.endpoint else "",
                answer=lines,
                status=status,
                flags=flags or ("DI" if self.delay else "-"),
                details="via_upstream",
            )
            for changes in self.edits.levels:
                change(lines, changes, scene)
        for name, value in self.edits.lines:
            lines.set(name, value)
        return tuple(lines.lines)

    @property
    def pod(self) -> str | None:
        """`namespace/name` of the pod behind the endpoint; None where there is none or nobody named it."""
        return (self.endpoint.workload or None) if self.endpoint else None

    @property
    def started(self) -> RequestStarted | None:
        """The request's beginning on its endpoint; None where it was forwarded to none of a cluster's own."""
        for one in self.effects:
            if isinstance(one, RequestStarted):
                # Copies begin too, behind it: where there is no endpoint of a cluster's own, theirs are the first.
                return one if self.endpoint is not None and one.endpoint == self.endpoint.key else None
        return None

    def finished(self) -> tuple[Effect, ...]:
        """The effects of the request's end: everything that it had started is over."""
        return tuple(
            [  # every request makes one, and a list is made faster than a generator is asked
                RequestFinished(effect.cluster, effect.endpoint)
                for effect in self.effects
                if isinstance(effect, RequestStarted)
            ]
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
            "request": _sent(self.request),
            "response_headers": [list(line) for line in self.response_headers],
            "tried": list(self.tried),
            "delay": self.delay,
            "mirrors": [
                {"cluster": one.cluster, "endpoint": str(one.endpoint.key), "request": _sent(one.request)}
                for one in self.mirrors
            ],
            "edits": msgspec.to_builtins(self.edits),
            "timeout": timeout_of(self.action),
            "effects": msgspec.to_builtins(self.effects),
            "trace": msgspec.to_builtins(self.trace),
        }


def _sent(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "authority": request.authority,
        "path": request.path,
        "headers": [list(line) for line in request.headers],
    }


def timeout_of(action: Action | None) -> int:
    """How long a proxy waits for the whole answer, in milliseconds; 0 for ever."""
    return action.timeout if isinstance(action, Forward) and action.stream_timeout is None else 0


def stream_timeout_of(action: Action | None) -> int:
    """How long the whole exchange may take, in milliseconds; 0 for ever."""
    return (action.stream_timeout or 0) if isinstance(action, Forward) else 0


def try_timeout_of(action: Action | None) -> int:
    """How long a proxy waits for one try, in milliseconds; 0 where the whole has to be enough."""
    retries = action.retries if isinstance(action, Forward) else None
    limit = retries.per_try_timeout if retries is not None else 0
    whole = timeout_of(action)
    return 0 if whole and limit >= whole else limit
