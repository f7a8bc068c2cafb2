"""What a proxy does to a request before it looks for a route.

Source    spec/arrive.md ARRIVE-1 to ARRIVE-9; envoyproxy/envoy: source/common/http/{conn_manager_utility,path_utility,
          header_utility}.cc; Chromium: url/url_canon_path.cc
Inputs    a request in wire form, the listener's options and port, the draws of the request.
Exactness byte for byte. Only the part of a path before `?` is put in order; each step sees what the one before made.
Errors    none: what is turned away is an outcome.

A request that nothing is to be done to is given back as it is.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from meshroute.decision import Failed, Outcome, Redirected
from meshroute.draws import Drawn
from meshroute.match.predicate import is_grpc
from meshroute.names import DEFAULT_PORTS, ascii_lower, canonical_ip, is_ip
from meshroute.request import OWN_HEADERS, Request
from meshroute.table import Arrival, EscapedSlashes, StripPort

PATH_REFUSED: Final = Failed(400, "", "path_normalization_failed")
NO_PATH: Final = Failed(404, "", "absolute_path_rejected")
NO_PROTOCOL: Final = Failed(404, "NR", "route_not_found")

_MAY_CHANGE: Final = re.compile(r'[\\%"<>^`{|}\x7f-\xff]|/\.|//')
"""What a path has that some step changes; found in a query, it costs a look more."""
_ESCAPED_SLASH: Final = re.compile(r"%(2[Ff]|5[Cc])")
_DOTS_WITH_PARAMETERS: Final = re.compile(r"(?<=/)(\.\.?);[^/]*")
_PORT: Final = re.compile(r"\+?[0-9]{1,99}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}")
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TO_ESCAPE: Final = frozenset('"<>^`{|}\x7f')
_READ_ONLY: Final = frozenset(("connection", "expect", "te", "upgrade", "x-forwarded-for", "x-forwarded-proto"))
_TAKEN: Final = OWN_HEADERS - _READ_ONLY
_TAKEN_AT_THE_EDGE: Final = _TAKEN | {
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
}


def arrive(request: Request, arrival: Arrival, port: int, draws: Drawn) -> Request | Outcome:
    """The request as routes are asked with it, or what the client is told instead."""
    if request.path == "*":
        return NO_PATH
    path: str | Outcome = request.path
    if request.fragment and arrival.reject_fragments:
        return PATH_REFUSED
    if _MAY_CHANGE.search(request.path):
        path = path_in_order(request.path, arrival)
        if not isinstance(path, str):
            # Who speaks gRPC follows no redirects.
            return PATH_REFUSED if is_grpc(request) else path
    authority = authority_in_order(request.authority, arrival, port)
    headers = _headers(request, arrival, draws) if request.own_headers or arrival.edge or arrival.request_ids else None
    if path != request.path or authority != request.authority:
        request = replace(request, path=path, authority=authority or request.authority)
    if headers is None:
        return request
    if not headers.protocol:
        return NO_PROTOCOL
    return headers.of(request)


# Paths


def path_in_order(path: str, arrival: Arrival) -> str | Outcome:
    """A path with its query after the steps that are asked for, in their order."""
    plain, mark, query = path.partition("?")
    moved = False
    if arrival.escaped_slashes is not EscapedSlashes.KEEP and _ESCAPED_SLASH.search(plain):
        if arrival.escaped_slashes is EscapedSlashes.REJECT:
            return PATH_REFUSED
        plain = _ESCAPED_SLASH.sub(lambda found: "/" if found[1][0] == "2" else "\\", plain)
        moved = arrival.escaped_slashes is EscapedSlashes.REDIRECT
    if arrival.normalize:
        normal = normalized(plain)
        if normal is None:
            return PATH_REFUSED
        plain = normal
    if arrival.merge_slashes:
        plain = merged(plain)
    whole = plain + mark + query
    return Redirected(307, whole) if moved else whole


def merged(path: str) -> str:
    """One slash for several; a path of nothing but slashes keeps its first and its last.

    >>> merged("//a//b//"), merged("///"), merged("/")
    ('/a/b/', '//', '/')
    """
    if "//" not in path:
        return path
    return "/" + "/".join(filter(None, path.split("/"))) + ("/" if path.endswith("/") else "")


def normalized(path: str) -> str | None:
    """A path without dot segments, its escapes as few as may be; None for one that is refused.

    >>> normalized("/a/../b"), normalized("/%2e%2E/a%2fb"), normalized("/a\\\\%41|"), normalized("/%00")
    ('/b', '/a%2fb', '/a/A%7C', None)
    """
    path = _DOTS_WITH_PARAMETERS.sub(r"\1", path)
    made: list[str] = []  # the segments so far, without the slashes that open them
    for number, segment in enumerate(path.replace("\\", "/").split("/")[1:]):
        if number and made[-1] in _DOTS:
            _resolve(made)
        dots = segment.replace("%2e", ".").replace("%2E", ".")
        said = dots if dots in _DOTS else _escaped(segment)
        if said is None:
            return None
        made.append(said)
    if made and made[-1] in _DOTS:
        _resolve(made)
        made.append("")
    return "/" + "/".join(made)


_DOTS: Final = (".", "..")


def _resolve(made: list[str]) -> None:
    """Take the last segment, which is dots, away, and the one before it if there are two of them."""
    if made.pop() == ".." and made:
        made.pop()


def _escaped(segment: str) -> str | None:
    """A segment with what needs no escape unescaped, and what needs one escaped."""
    if "%" not in segment and segment.isascii() and _TO_ESCAPE.isdisjoint(segment):
        return segment
    try:
        segment.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
    made, at = "", 0
    while at < len(segment):
        letter = segment[at]
        at += 1
        if letter == "%" and _HEX.match(segment, at):
            code = segment[at : at + 2]
            at += 2
            if code == "00":
                return None
            letter = chr(int(code, 16))
            made += letter if letter in _PLAIN else f"%{code}"
        elif letter in _TO_ESCAPE or letter > "\x7f":
            made += f"%{ord(letter):02X}"
        else:
            made += letter
    return made


# Authorities


def authority_in_order(authority: str, arrival: Arrival, port: int) -> str:
    """An authority without its final dot, and without its port, as far as that is asked for."""
    if arrival.strip_final_dot:
        head, dot, tail = authority.rpartition(".")
        if dot and (not tail or tail.startswith(":")):
            authority = head + tail
    if arrival.strip_port is StripPort.NONE:
        return authority
    host, colon, said = authority.rpartition(":")
    if not (colon and _PORT.fullmatch(said) and int(said) < 2**32):
        return authority
    return host if arrival.strip_port is StripPort.ANY or int(said) == port else authority


# Headers


class _Headers:
    """What becomes of the header lines, and what follows from them."""

    __slots__ = ("lines", "protocol", "scheme", "source_ip", "source_port")

    def __init__(self, lines: tuple[tuple[str, str], ...], protocol: str, request: Request) -> None:
        self.lines: Final = lines
        self.protocol: Final = protocol
        self.scheme = request.scheme
        self.source_ip = request.source_ip
        self.source_port = request.source_port

    def of(self, request: Request) -> Request:
        """The request with them."""
        as_it_is = (request.headers, request.scheme, request.source_ip, request.source_port)
        if as_it_is == (self.lines, self.scheme, self.source_ip, self.source_port):
            return request
        return replace(
            request,
            headers=self.lines,
            scheme=self.scheme,
            source_ip=self.source_ip,
            source_port=self.source_port,
        )


def _headers(request: Request, arrival: Arrival, draws: Drawn) -> _Headers:
    upgrade = _is_upgrade(request)
    taken = _TAKEN_AT_THE_EDGE if arrival.edge else _TAKEN
    lines = [(name, value) for name, value in request.headers if not _goes(name, value, taken, upgrade)]
    protocol = request.fields["x-forwarded-proto"][0]
    client = request.source_ip
    if arrival.edge:
        protocol = request.scheme
        lines = [line for line in lines if line[0] != "x-forwarded-proto"]
        lines.append(("x-forwarded-proto", protocol))
        if client:
            lines.append(("x-forwarded-for", canonical_ip(client)))
            lines.append(("x-envoy-external-address", canonical_ip(client)))
    if arrival.request_ids and (arrival.edge or "x-request-id" not in request.fields):
        lines = [line for line in lines if line[0] != "x-request-id"]
        lines.append(("x-request-id", made_id(draws)))
    found = _Headers(tuple(lines), protocol, request)
    if not arrival.edge:
        if ascii_lower(protocol) in DEFAULT_PORTS:
            found.scheme = ascii_lower(protocol)
        trusted = request.fields.get("x-forwarded-for", ("",))[0].rpartition(",")[2].strip(" \t")
        if is_ip(trusted):
            found.source_ip, found.source_port = trusted, 0
    return found


def _goes(name: str, value: str, taken: frozenset[str], upgrade: bool) -> bool:
    """Whether a header line is taken away."""
    if name in taken:
        return True
    if name in ("connection", "upgrade"):
        return not upgrade
    if name == "te":
        return "trailers" not in (one.strip(" \t") for one in ascii_lower(value).split(","))
    return name == "expect" and ascii_lower(value) == "100-continue"


def _is_upgrade(request: Request) -> bool:
    """Whether the client asks to go on with another protocol."""
    said = ",".join(request.fields.get("connection", ()))
    return "upgrade" in request.fields and any(one.strip(" \t") == "upgrade" for one in ascii_lower(said).split(","))


def made_id(draws: Drawn) -> str:
    """The `x-request-id` of a request without one: a random UUID of the draws `request.id.0` and `request.id.1`."""
    high = (draws["request.id.0"] & ~0xF000) | 0x4000
    low = (draws["request.id.1"] & (2**62 - 1)) | 2**63
    text = f"{high:016x}{low:016x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
