"""What a proxy refuses of routes.

Source    spec/table.md TABLE-2; envoyproxy/envoy: the validation rules of its route configuration
Inputs    a table, however it was made. Exactness: what is refused here, the real proxy refuses; what it serves, is
          served.
Errors    none: what is wrong is told, one text each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from meshroute.match.predicate import header_predicate, text_predicate
from meshroute.names import ascii_lower
from meshroute.rewrite import refuse_authority, refuse_format, refuse_path
from meshroute.table import (
    Cors,
    Forward,
    HeaderChanges,
    Mirror,
    Redirect,
    Respond,
    Retries,
    Route,
    Template,
    WeightedCluster,
)

MOST_WEIGHT: Final = 2**32 - 1
NOT_FOUND: Final = (503, 404, 500)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def refused_of(route: Route) -> Iterator[str]:
    """What a proxy would not load of a route."""
    for level in (*route.request_headers, *route.response_headers):
        yield from _changes(level)
    match route.action:
        case Forward() as action:
            yield from _forward(action, route)
        case Redirect() as action:
            yield from _redirect(action, route)
        case Respond(status):
            if not 200 <= status <= 599:
                yield f"it answers with a status from 200 to 599, not {status}"
    if route.cors is not None:
        yield from _cors(route.cors)


def _changes(level: HeaderChanges) -> Iterator[str]:
    for name in (*level.remove, *(one.name for one in level.add)):
        if name.startswith(":") or name == "host":
            yield f"header `{name}` cannot be changed: it is no plain header"
        elif not _NAME.fullmatch(name) or name != ascii_lower(name):
            yield f"header `{name}` is no name in lower case"
    for one in level.add:
        yield from (f"header `{one.name}`: {what}" for what in refuse_format(one.value))


def _forward(action: Forward, route: Route) -> Iterator[str]:
    for one in action.clusters:
        yield from _cluster(one)
    if len(action.clusters) > 1 and sum(one.weight for one in action.clusters) > MOST_WEIGHT:
        yield f"the weights of its clusters sum to more than {MOST_WEIGHT}"
    if action.stream_header and action.by_key:
        yield "its cluster is chosen by a header or by the key, not by both"
    if action.not_found not in NOT_FOUND:
        yield f"an unknown cluster is answered with 503, 404 or 500, not with {action.not_found}"
    if action.timeout < 0 or (action.stream_timeout or 0) < 0:
        yield "a timeout is not negative"
    if action.path is not None:
        yield from (f"the rewrite of its path: {what}" for what in refuse_path(action.path, route.match.path))
    if action.authority is not None:
        yield from (f"the rewrite of its authority: {what}" for what in refuse_authority(action.authority))
    for mirror in action.mirrors:
        yield from _mirror(mirror)
    if action.retries is not None:
        yield from _retries(action.retries)


def _cluster(one: WeightedCluster) -> Iterator[str]:
    if bool(one.cluster) == bool(one.header):
        yield "a cluster is named by itself or by a header: one of both, and only one"
    for level in (one.request_headers, one.response_headers):
        if level is not None:
            yield from _changes(level)


def _mirror(mirror: Mirror) -> Iterator[str]:
    if bool(mirror.cluster) == bool(mirror.header):
        yield "the cluster of a copy is named by itself or by a header: one of both, and only one"


def _retries(retries: Retries) -> Iterator[str]:
    for wanted in (*retries.headers, *retries.request_headers):
        try:
            header_predicate(wanted)
        except ValueError as error:
            yield f"retries, header `{wanted.name}`: {error}"


def _redirect(action: Redirect, route: Route) -> Iterator[str]:
    if action.rewrite is not None:
        yield from refuse_path(action.rewrite, route.match.path)
    if action.format:
        yield from refuse_format(action.format)
    if action.prefix and isinstance(route.match.path, Template):
        yield "a path of a shape has no prefix that could be rewritten"


def _cors(policy: Cors) -> Iterator[str]:
    for one in policy.origins:
        try:
            text_predicate(one)
        except ValueError as error:
            yield f"an origin that is allowed: {error}"


def refused(routes: Iterable[tuple[str, Route]]) -> list[str]:
    """All of it, each with the route and where that is."""
    return [f"{_called(route, where)}: {what}" for where, route in routes for what in refused_of(route)]


def _called(route: Route, where: str) -> str:
    """The rule that a route comes from, with its place, or its name and virtual host."""
    return str(route.rule) if route.rule is not None else f"route `{route.name}` of `{where}`"
