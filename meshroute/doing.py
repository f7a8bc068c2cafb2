"""What a route does besides choosing a host: made ready once, done for each request that needs it.

Source    spec/change.md, spec/cors.md, spec/fault.md, spec/route.md ROUTE-9, ROUTE-10; envoyproxy/envoy:
          source/common/router/{config_impl,router,weighted_cluster_specifier}.cc
Inputs    a route of a table that `Router` took, and requests. Exactness: everything happens in the order in which the
          proxy's filters and its router do it.
Errors    none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from meshroute.balance.request_key import plain_key
from meshroute.changes import change, scene_of
from meshroute.cors import NO_CALL, Call, Rules
from meshroute.decision import (
    NO_HEALTHY_HOST,
    Decision,
    Edits,
    Failed,
    Outcome,
    Redirected,
    Responded,
    stream_timeout_of,
    timeout_of,
    try_timeout_of,
)
from meshroute.draws import STREAM, Drawn
from meshroute.formats import Scene
from meshroute.grpc import time_in_grpc
from meshroute.headers import SINGLE_SLOT_ANSWERS, Lines
from meshroute.match.predicate import is_grpc
from meshroute.names import ClusterName
from meshroute.redirect import location
from meshroute.request import Request, changed, host_of
from meshroute.rewrite import rewrite_authority, rewrite_path, set_authority
from meshroute.table import (
    AuthorityOfEndpoint,
    Endpoint,
    Forward,
    HeaderChanges,
    Mirror,
    PrefixRewrite,
    Redirect,
    Respond,
    Route,
    WeightedCluster,
)

EXPECTED_TIMEOUT: Final = "x-envoy-expected-rq-timeout-ms"
_SHOWS_ITS_PLACE: Final = frozenset((201, *range(300, 309)))
"""Statuses of fixed answers that have a `location`."""
_NUMBER = re.compile(r"[+]?[0-9]+")


class Doing:
    """A route that does more than to send a request to a host of one of its clusters."""

    __slots__ = ("_cors", "_grpc_limit", "_limit", "route")

    def __init__(self, route: Route) -> None:
        self.route: Final = route
        self._cors: Final = Rules(route.cors) if route.cors is not None and isinstance(route.action, Forward) else None
        self._limit: Final = try_timeout_of(route.action) or timeout_of(route.action)
        self._grpc_limit: Final = stream_timeout_of(route.action)

    def call(self, request: Request) -> Call:
        """What the rules for pages of other origins say."""
        return NO_CALL if self._cors is None else self._cors.call(request)

    def sent(self, action: Forward, chosen: WeightedCluster, request: Request, delay: int = 0) -> Request:
        """The request as the upstream sees it: changed level by level, then with its new authority and path."""
        scene = scene_of(request, self.route.name, chosen.cluster, flags="DI" if delay else "-")
        if self._limit:
            scene.headers.set(EXPECTED_TIMEOUT, str(self._limit))
        if self._grpc_limit and is_grpc(request):
            scene.headers.set("grpc-timeout", time_in_grpc(self._grpc_limit))
        if chosen.request_headers is not None:
            change(scene.headers, chosen.request_headers, scene)
        if chosen.authority:
            scene.authority = chosen.authority
        for changes in self.route.request_headers:
            change(scene.headers, changes, scene)
        if action.authority is not None:
            rewrite_authority(action.authority, action.append_forwarded_host, scene)
        if action.path is not None:
            rewrite_path(action.path, self.route.match.path, scene)
        return request_of(request, scene)

    def edits(self, chosen: WeightedCluster | None, call: Call) -> Edits:
        """What happens to the answer of an upstream."""
        return Edits(self.levels(chosen), call.lines)

    def levels(self, chosen: WeightedCluster | None) -> tuple[HeaderChanges, ...]:
        """The changes of the answer, level by level."""
        own = chosen.response_headers if chosen is not None else None
        return self.route.response_headers if own is None else (own, *self.route.response_headers)

    def said(
        self,
        request: Request,
        outcome: Outcome,
        chosen: WeightedCluster | None,
        cluster: str,
        delay: int,
        call: Call,
        before: Decision | None = None,
    ) -> tuple[tuple[str, str], ...]:
        """The header lines of an answer that the proxy gives itself; `before` is the try before, if there was one."""
        lines = Lines(own_lines(self.route, request, outcome), SINGLE_SLOT_ANSWERS)
        body = outcome.body if isinstance(outcome, (Responded, Failed)) else ""
        lines.remove("content-type")  # comes when everything else is there
        levels = self.levels(chosen)
        if levels:
            attempt = len(before.tried) + 2 if before is not None else 1
            endpoint = before.endpoint if before is not None else None
            scene = scene_of(
                request,
                self.route.name,
                cluster,
                answer=lines,
                flags=outcome.flag if isinstance(outcome, Failed) else "DI" if delay else "-",
                details=outcome.details if isinstance(outcome, Failed) else "direct_response",
                attempt=attempt if isinstance(outcome, Failed) and outcome.details == NO_HEALTHY_HOST.details else 0,
                host=endpoint.key if endpoint is not None else "",
                hostname=endpoint.hostname if endpoint is not None else "",
            )
            if isinstance(outcome, Redirected) and request.plain_path:
                self._redirected(scene)
            for changes in levels:
                change(lines, changes, scene)
        if not body:
            lines.remove("content-type")
        elif not lines.values("content-type"):
            lines.add("content-type", "text/plain")
        for name, value in call.lines:
            lines.set(name, value)
        return tuple(lines.lines)

    def _redirected(self, scene: Scene) -> None:
        """What an answer that sends the client to a rewritten path is made of: the request with that path."""
        action = self.route.action
        if isinstance(action, Redirect) and (action.prefix or action.rewrite is not None):
            rewrite_path(action.rewrite or PrefixRewrite(action.prefix), self.route.match.path, scene)


def needs_doing(route: Route) -> bool:
    """Whether there is more to a route than a cluster, drawn by weight, and a host of it."""
    if route.request_headers or route.response_headers or route.cors is not None or route.fault is not None:
        return True
    action = route.action
    return isinstance(action, Forward) and bool(
        action.stream_header
        or action.by_key
        or action.not_found != 503
        or action.path is not None
        or action.authority is not None
        or action.mirrors
        or timeout_of(action)
        or stream_timeout_of(action)
        or try_timeout_of(action)
        or any(
            one.header or one.authority or one.request_headers is not None or one.response_headers is not None
            for one in action.clusters
        )
    )


def own_lines(route: Route, request: Request, outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """What an answer that the proxy gives itself says, before anything is changed about it."""
    match outcome:
        case Redirected(_, where):
            return (("location", where),) if where else ()
        case Responded(status, body):
            where = location(_HERE, request, route.match.path) if status in _SHOWS_ITS_PLACE else ""
            place = (("location", where),) if where and request.plain_path else ()
            return (*place, *(_TEXT if body else ()))
        case Failed():
            return _TEXT if outcome.body else ()
        case _:
            return ()


_HERE: Final = Redirect()
_TEXT: Final = (("content-type", "text/plain"),)


# Which of several clusters


class Drawing(NamedTuple):
    """A number that chooses a cluster, and where it is from: a header, the request's key, or the draw `stream`."""

    number: int
    source: str


def drawing(action: Forward, request: Request, draws: Drawn) -> Drawing:
    """The number that chooses among the clusters of a request."""
    found = said_number(action, request)
    return Drawing(draws[STREAM], "stream") if found is None else found


def said_number(action: Forward, request: Request) -> Drawing | None:
    """The number as far as the request itself says it; None where one is drawn."""
    if action.by_key:
        key = plain_key(action.hash_policies, request)
        return None if key is None else Drawing(key, "key")
    if action.stream_header:
        values = request.fields.get(action.stream_header, ())
        if len(values) == 1 and _NUMBER.fullmatch(values[0]) and (number := int(values[0])) < 2**64:
            return Drawing(number, action.stream_header)
    return None


def called(chosen: WeightedCluster, request: Request) -> WeightedCluster:
    """The cluster by its name, where a header says it."""
    if not chosen.header:
        return chosen
    return replace(chosen, cluster=ClusterName(request.fields.get(chosen.header, ("",))[0]))


# Copies


def mirrored(action: Forward, sent: Request, draws: Drawn) -> Iterator[tuple[int, Mirror, ClusterName, Request]]:
    """The copies that a request's draw asks for: their number, cluster, and what they say."""
    for number, (mirror, cluster) in enumerate(mirrors_of(action, sent)):
        if cluster and mirror.portion.takes(draws[STREAM]):
            yield number, mirror, cluster, copy_of(sent, mirror)


def mirrors_of(action: Forward, sent: Request) -> Iterator[tuple[Mirror, ClusterName]]:
    """Where copies would go; the name is empty where a header would say it and is not there."""
    for mirror in action.mirrors:
        yield mirror, mirror.cluster or ClusterName(sent.fields.get(mirror.header, ("",))[0])


def copy_of(sent: Request, mirror: Mirror) -> Request:
    """A request as its copy says it."""
    authority = mirror.authority or (shadowed(sent.authority) if mirror.shadow else sent.authority)
    lines = Lines(sent.headers, frozenset())
    lines.set("x-envoy-internal", "true")
    return changed(sent, authority, sent.path, tuple(lines.lines))


def shadowed(authority: str) -> str:
    """The authority of a copy.

    >>> shadowed("web:80"), shadowed("web"), shadowed("[::1]:80")
    ('web-shadow:80', 'web-shadow', '[::1]-shadow:80')
    """
    host = host_of(authority)
    return f"{host}-shadow{authority[len(host) :]}"


def request_of(request: Request, scene: Scene) -> Request:
    """The request that a scene has come to."""
    return changed(request, scene.authority, scene.path, tuple(scene.headers.lines))


def at_endpoint(action: Forward, sent: Request, endpoint: Endpoint) -> Request:
    """The request once its host is known, whose name may be its authority."""
    if not isinstance(action.authority, AuthorityOfEndpoint) or not endpoint.hostname:
        return sent
    scene = scene_of(sent, "")
    set_authority(endpoint.hostname, action.append_forwarded_host, scene)
    return request_of(sent, scene)


def outcome_of(route: Route, request: Request) -> Redirected | Responded:
    """What a route that asks nobody answers. A redirect does not say where to go to CONNECT, which has no path."""
    action = route.action
    if isinstance(action, Respond):
        return Responded(action.status, action.body)
    assert isinstance(action, Redirect)
    # CONNECT has no path, and is not told where to go.
    where = location(action, request, route.match.path, route.name) if request.plain_path else ""
    return Redirected(action.status, where)
