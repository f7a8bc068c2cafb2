"""The definition of matching: virtual hosts and routes tried in order, the plain way.

Source    spec/host.md HOST-4, HOST-5, HOST-11, HOST-13; spec/match.md MATCH-1;
          envoyproxy/envoy: source/common/router/config_impl.cc
Inputs    table values and a request. Exactness: the first route in list order wins; nothing is sorted.
Errors    Re2SyntaxError where a pattern is not RE2's.
Twin      index.py answers the same questions fast; a property holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from meshroute.match.predicate import (
    cookie_predicate,
    header_predicate,
    is_grpc,
    joined_value,
    matcher_predicate,
    metadata_predicate,
    noted_texts,
    path_predicate,
    query_predicate,
)
from meshroute.names import ascii_lower
from meshroute.request import Request, cookie_value, host_of, query_value
from meshroute.table import (
    Choice,
    ExactMap,
    Listener,
    Matcher,
    Ordered,
    PrefixMap,
    Route,
    RouteMatch,
    VirtualHost,
)
from meshroute.trace import (
    Because,
    CookieDiffers,
    HeaderDiffers,
    MetadataDiffers,
    NotGrpc,
    PathDiffers,
    PortionMissed,
    QueryDiffers,
)


def host_of_request(listener: Listener, request: Request) -> tuple[VirtualHost, str] | None:
    """The virtual host of a request, and the domain by which it was found: by its authority, or by the header that the
    listener names. A request without that header has none, unless there is nothing but `*`."""
    if not listener.host_header:
        return find_host(listener, request.authority)
    name = looked_up(request, listener.host_header)
    if name is not None:
        return find_host(listener, name)
    domains = [(host, domain) for host in listener.virtual_hosts for domain in host.domains]
    return domains[0] if [domain for _, domain in domains] == ["*"] else None


def looked_up(request: Request, header: str) -> str | None:
    """What a virtual host is looked up by, where the listener names a header: its first value."""
    return request.fields.get(header, (None,))[0]


def reached(matcher: Matcher, request: Request) -> Choice | None:
    """The list of routes that a matcher leads to. Where a branch leads nowhere, the next one is tried: the next
    shorter prefix, the next predicate that holds, and what is meant for all others at last."""
    ways: list[Matcher] = []
    match matcher:
        case Choice():
            return matcher
        case ExactMap(header, table, otherwise):
            value = joined_value(request, header)
            ways = [led for key, led in table.items() if key == value]
        case PrefixMap(header, table, otherwise):
            value = joined_value(request, header)
            keys = [key for key in table if value is not None and value.startswith(key)]
            ways = [table[key] for key in sorted(keys, key=len, reverse=True)]
        case Ordered(cases, otherwise):
            ways = [led for predicate, led in cases if matcher_predicate(predicate)(request)]
        case _:
            assert_never(matcher)
    for led in [*ways, *([otherwise] if otherwise is not None else [])]:
        if (found := reached(led, request)) is not None:
            return found
    return None


def find_host(listener: Listener, authority: str) -> tuple[VirtualHost, str] | None:
    """The virtual host for an authority, and the domain by which it was found; None where no domain takes it.

    Exact names first, then the longest `*suffix`, then the longest `prefix*`, then `*`. A wildcard stands for at least
    one character, and any suffix beats any prefix. Once a virtual host is chosen there is no way back to another.
    """
    name = ascii_lower(host_of(authority) if listener.ignore_port else authority)
    best: tuple[tuple[int, int], VirtualHost, str] | None = None
    for host in listener.virtual_hosts:
        for domain in host.domains:
            rank = _rank(ascii_lower(domain), name)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, host, domain)
    return (best[1], best[2]) if best else None


def _rank(domain: str, name: str) -> tuple[int, int] | None:
    """How well a domain takes a name, more is better; None if it does not. Only a first or last `*` is a wildcard."""
    if domain == "*":
        return 0, 0
    if domain.startswith("*"):
        return (2, len(domain)) if len(name) >= len(domain) and name.endswith(domain[1:]) else None
    if domain.endswith("*"):
        return (1, len(domain)) if len(name) >= len(domain) and name.startswith(domain[:-1]) else None
    return (3, 0) if name == domain else None


def first_match(
    routes: Sequence[Route], request: Request, stream: int = 0, ignore_parameters: bool = False
) -> int | None:
    """The number of the first route whose conditions all hold, with that draw; None where there is none."""
    for number, route in enumerate(routes):
        if first_failure(route.match, request, stream, ignore_parameters) is None:
            return number
    return None


def first_failure(
    asked: RouteMatch, request: Request, stream: int = 0, ignore_parameters: bool = False
) -> Because | None:
    """The first condition that does not hold: path, headers, query, cookies, metadata, gRPC, portion; None where all
    do."""
    if not path_predicate(asked.path, ignore_parameters)(request):
        return PathDiffers(request.plain_path, asked.path)
    for header in asked.headers:
        if not header_predicate(header)(request):
            return HeaderDiffers(header, request.fields.get(header.name, ()))
    for parameter in asked.query:
        if not query_predicate(parameter)(request):
            return QueryDiffers(parameter, query_value(request.query, parameter.name))
    for cookie in asked.cookies:
        if not cookie_predicate(cookie)(request):
            return CookieDiffers(cookie, cookie_value(request, cookie.name))
    for noted in asked.metadata:
        if not metadata_predicate(noted)(request):
            return MetadataDiffers(noted, tuple(noted_texts(request, noted)))
    if asked.grpc and not is_grpc(request):
        return NotGrpc(request.fields.get("content-type", ("",))[0])
    if asked.portion is not None and not asked.portion.takes(stream):
        return PortionMissed(asked.portion, stream)
    return None
