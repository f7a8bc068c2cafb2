"""Where a redirect sends the client.

Source    spec/route.md ROUTE-6, ROUTE-7; envoyproxy/envoy: source/common/router/config_impl.cc
Inputs    a redirect, the request, and what of its path the route asked for.
Exactness text for text, in wire form: prefixes are replaced as they are written, the query stays unless the new path
          has one.
Errors    none.
"""

from __future__ import annotations

from meshroute.request import Request
from meshroute.table import PathMatch, Prefix, Redirect, Segments


def location(action: Redirect, request: Request, asked: PathMatch) -> str:
    """The value of `location`."""
    scheme = action.scheme or request.scheme
    port = f":{action.port}" if action.port else ""
    path = _path(action, request, asked)
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


def _path(action: Redirect, request: Request, asked: PathMatch) -> str:
    query = f"?{request.query}" if request.query is not None else ""
    if action.path:
        return action.path if "?" in action.path else action.path + query
    if not action.prefix:
        return request.plain_path + query
    # What the route asked for is replaced: the prefix, or all of the path.
    length = len(asked.value) if isinstance(asked, (Prefix, Segments)) else len(request.plain_path)
    return action.prefix + request.plain_path[length:] + query
