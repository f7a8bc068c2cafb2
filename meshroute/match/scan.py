"""The definition of matching: virtual hosts and routes tried in order, the plain way.

Source    spec/host.md HOST-4, HOST-5; spec/match.md MATCH-1; envoyproxy/envoy: source/common/router/config_impl.cc
Inputs    table values and a request. Exactness: the first route in list order wins; nothing is sorted.
Errors    Re2SyntaxError where a pattern is not RE2's.
Twin      index.py answers the same questions fast; a property holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshroute.match.predicate import header_predicate, path_predicate, query_predicate
from meshroute.names import ascii_lower
from meshroute.request import Request, host_of, query_value
from meshroute.table import Listener, Route, RouteMatch, VirtualHost
from meshroute.trace import Because, HeaderDiffers, PathDiffers, QueryDiffers


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


def first_match(routes: Sequence[Route], request: Request) -> int | None:
    """The number of the first route whose conditions all hold; None where there is none."""
    for number, route in enumerate(routes):
        if first_failure(route.match, request) is None:
            return number
    return None


def first_failure(asked: RouteMatch, request: Request) -> Because | None:
    """The first condition that does not hold, path first, then headers, then query; None where all do."""
    if not path_predicate(asked.path)(request):
        return PathDiffers(request.plain_path, asked.path)
    for header in asked.headers:
        if not header_predicate(header)(request):
            return HeaderDiffers(header, request.fields.get(header.name, ()))
    for parameter in asked.query:
        if not query_predicate(parameter)(request):
            return QueryDiffers(parameter, query_value(request.query, parameter.name))
    return None
