"""Where a redirect sends the client.

Source    spec/route.md ROUTE-6 to ROUTE-8; envoyproxy/envoy: source/common/router/config_impl.cc
Inputs    a redirect, the request, and what of its path the route asked for.
Exactness text for text, in wire form: prefixes are replaced as they are written, the query stays unless the new path
          has one.
Errors    none.
"""

from __future__ import annotations

from meshroute.changes import scene_of
from meshroute.formats import parse
from meshroute.request import Request
from meshroute.rewrite import asked_length, replaced
from meshroute.table import PathMatch, Redirect


def location(action: Redirect, request: Request, asked: PathMatch, route: str = "") -> str:
    """The value of `location`; `route` is the name of the route, for formats that ask for it."""
    scheme = action.scheme or request.scheme
    port = f":{action.port}" if action.port else ""
    path = _path(action, request, asked, route)
    return f"{scheme}://{_host(action, request, scheme, port)}{port}{'' if path.startswith('/') else '/'}{path}"


def _host(action: Redirect, request: Request, scheme: str, port: str) -> str:
    """The new authority as it is written; else the old one, its port left out where another is said, or where it was
    the default of a scheme that changes."""
    if action.authority:
        return action.authority
    host = request.authority
    at = host.rfind("]:") + 1 if host.startswith("[") else host.rfind(":")
    if at <= 0:
        return host
    came_by = request.fields["x-forwarded-proto"][0]
    default = {"https": ":443", "http": ":80"}.get(came_by)
    if port or (scheme != came_by and host[at:] == default):
        return host[:at]
    return host


def _path(action: Redirect, request: Request, asked: PathMatch, route: str) -> str:
    query = f"?{request.query}" if request.query is not None else ""
    kept = "" if action.strip_query else query
    new = parse(action.format).render(scene_of(request, route)) if action.format else action.path
    if new:
        return new if "?" in new else new + kept
    plain = request.plain_path
    if action.rewrite is not None:
        plain = replaced(action.rewrite.pattern, action.rewrite.substitution, plain) or plain
    elif action.prefix and (length := asked_length(asked, plain)) is not None:
        plain = action.prefix + plain[length:]
    path = plain + query
    return path.partition("?")[0] if action.strip_query else path
