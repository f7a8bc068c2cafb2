"""Request: an HTTP request as the proxy sees it, normalised once.

Source    spec/request.md REQ-1 to REQ-5; envoyproxy/envoy: source/common/http (header maps, path utility)
Inputs    `Request.of` takes text (sent as UTF-8) and bytes; `Request` takes wire form, one character for each byte.
Exactness header names are lower-cased, values trimmed of blanks, single-slot headers joined with `,`; the path is cut
          at its fragment and at its query. Nothing is decoded. All of it happens here, so that deciding does none of
          it.
Errors    RequestError, for what no client can send or no proxy would route.
Left out  dot segments, escaped slashes and repeated slashes stay as written: arrive.py puts them in order where a
          listener asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import force_setattr

from meshroute.names import DEFAULT_PORTS, ascii_lower, is_ip, unwire, wire

SINGLE_SLOT_HEADERS: Final = frozenset(
    """
    accept accept-encoding access-control-request-headers access-control-request-method
    access-control-request-private-network authorization cache-control content-encoding content-type expect
    grpc-accept-encoding grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since origin
    pragma proxy-status referer user-agent via x-client-trace-id x-envoy-decorator-operation
    x-envoy-downstream-service-cluster x-envoy-external-address x-envoy-original-path x-forwarded-for x-forwarded-host
    x-forwarded-port x-forwarded-proto x-request-id
    """.split()
)
"""Headers of which Envoy keeps one value: repeated lines are joined with `,` before anything matches them."""

OWN_HEADERS: Final = frozenset(
    """
    connection expect keep-alive proxy-connection te transfer-encoding upgrade x-envoy-expected-rq-timeout-ms
    x-envoy-force-trace x-envoy-hedge-on-per-try-timeout x-envoy-internal x-envoy-ip-tags x-envoy-max-retries
    x-envoy-original-url x-envoy-retriable-header-names x-envoy-retriable-status-codes x-envoy-retry-grpc-on
    x-envoy-retry-on x-envoy-upstream-alt-stat-name x-envoy-upstream-rq-per-try-timeout-ms
    x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms x-forwarded-client-cert x-forwarded-for
    x-forwarded-proto
    """.split()
)
"""Headers that a proxy reads or takes away before it looks for a route: arrive.py says what it does with each."""

HeaderLines = Mapping[str, str | bytes | Iterable[str | bytes]] | Iterable[tuple[str, str | bytes]]
"""Headers as callers have them: a mapping (several lines as a list) or pairs in order."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_IN_TARGET = re.compile(r"[\x00-\x20\x7f]")
_BAD_IN_AUTHORITY = re.compile(r"[\x00-\x20\x7f-\xff/?#\\@\"<>^`{|}]")


_PATHLESS: Final = {"CONNECT": "", "OPTIONS": "*"}
"""Methods that can have something else in the place of a path."""


class RequestError(ValueError):
    """Not a request that a client could send to a proxy."""


class Request(msgspec.Struct, frozen=True, eq=False):
    """One HTTP request, in wire form.

    `authority` is the Host, with its port if the client sent one; `path` has the query; `headers` are lines in order.
    `port` is the port that the client connects to, from which a sidecar knows the listener: that of the authority, or
    the scheme's own. `source_ip`, `source_port` and `destination_ip` are the connection's ends, empty or 0 where nobody
    knows them. `filter_state` is what the proxy's other filters noted about the request, by name; `metadata` what they
    noted as values, by the name of the filter, such as the claims of a token. `fragment` says that the path went on
    with a `#`, which is cut. CONNECT has no path. `looked_up` is the name by which the client found the address that it
    connects to, where that is not the authority's.

    `plain_path`, `query`, `fields` and `own_headers` are derived: the path without its query, the query (None without
    `?`), the values of each header by lower-case name, `:method`, `:scheme`, `:authority`, `:path`, `host` and
    `x-forwarded-proto` among them, and whether there is a header that the proxy has a hand in (`OWN_HEADERS`), or a
    `*`.
    """

    method: str
    authority: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    scheme: str = "http"
    port: int = 0
    source_ip: str = ""
    destination_ip: str = ""
    source_port: int = 0
    filter_state: Mapping[str, str] = {}
    metadata: Mapping[str, Any] = {}
    fragment: bool = False
    looked_up: str = ""
    plain_path: str = ""
    query: str | None = None
    fields: Mapping[str, tuple[str, ...]] = {}
    own_headers: bool = False

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.method):
            raise RequestError(f"method `{self.method}` is not an HTTP token, such as `GET`")
        if self.scheme not in DEFAULT_PORTS:
            raise RequestError(f"scheme `{self.scheme}` is not one of `http`, `https`")
        authority, path = self.authority, self.path
        if self.method == "CONNECT":
            path = ""
        for text in (authority, path, *(value for _, value in self.headers)):
            if not text.isascii() and max(text) > "\xff":
                raise RequestError(f"`{text}` is not in wire form; Request.of takes text as it is")
        if not authority or _BAD_IN_AUTHORITY.search(authority):
            raise RequestError(f"authority `{self.authority}` is not a host name or address with an optional port")
        if not path.startswith("/") and path != _PATHLESS.get(self.method):
            raise RequestError(f"path `{self.path}` does not start with `/`")
        if _BAD_IN_TARGET.search(path):
            raise RequestError(f"path `{self.path}` has a blank or control character; write it percent-encoded")
        for port in (self.port, self.source_port):
            if not 0 <= port <= 65535:
                raise RequestError(f"port {port} is not between 1 and 65535")
        looked_up = ascii_lower(self.looked_up)
        force_setattr(self, "looked_up", "" if looked_up == ascii_lower(host_of(authority)) else looked_up)
        for side in (self.source_ip, self.destination_ip):
            if side and not is_ip(side):
                raise RequestError(f"`{side}` is not an IP address")
        path, cut, _ = path.partition("#")
        plain, mark, query = path.partition("?")
        lines = tuple(_line(name, value) for name, value in self.headers)
        names = {name for name, _ in lines}
        for name, value in (
            ("path", path),
            ("fragment", self.fragment or bool(cut)),
            ("own_headers", path == "*" or not OWN_HEADERS.isdisjoint(names)),
            ("headers", lines),
            ("port", self.port or _port_of(authority) or DEFAULT_PORTS[self.scheme]),
            ("plain_path", plain),
            ("query", query if mark else None),
            ("fields", _fields(self.method, self.scheme, authority, path, lines)),
        ):
            force_setattr(self, name, value)

    @staticmethod
    def of(
        method: str,
        url: str,
        headers: HeaderLines = (),
        *,
        port: int = 0,
        source_ip: str = "",
        destination_ip: str = "",
        source_port: int = 0,
        filter_state: Mapping[str, str | bytes] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Request:
        """The request that a client sends for an absolute URL. `host` headers replace the URL's authority; several are
        joined with `,`. `OPTIONS http://web/*` asks for `*`. A fragment counts as if the client had sent it.

        Raises RequestError for a URL without scheme or host, with a user, or with characters that must be encoded.
        """
        if _BAD_IN_TARGET.search(url):
            raise RequestError(f"URL `{url}` has a blank or control character; write it percent-encoded")
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise RequestError(f"URL `{url}` cannot be read: {error}") from error
        if parts.scheme not in DEFAULT_PORTS or not host_of(parts.netloc):
            raise RequestError(f"URL `{url}` must be absolute, such as `http://web.shop.svc.cluster.local/cart?id=1`")
        if "@" in parts.netloc:
            raise RequestError(f"URL `{url}` has a user in it; send an `authorization` header instead")
        lines = list(_pairs(headers))
        hosts = [value for name, value in lines if name.lower() == "host"]
        # A client connects where the URL says, whatever the Host header claims.
        return Request(
            method=method,
            authority=",".join(wire(one).strip(" \t") for one in hosts) if hosts else wire(parts.netloc),
            path=_target(method, wire(url[url.index("://") + 3 + len(parts.netloc) :])),
            headers=tuple((name, wire(value)) for name, value in lines if name.lower() != "host"),
            scheme=parts.scheme,
            port=port or _port_of(parts.netloc) or DEFAULT_PORTS[parts.scheme],
            source_ip=source_ip,
            destination_ip=destination_ip,
            source_port=source_port,
            filter_state={name: wire(value) for name, value in (filter_state or {}).items()},
            metadata=metadata or {},
            looked_up=(parts.hostname or "") if hosts else "",
        )

    @property
    def url(self) -> str:
        """For people: the URL again, with bytes that are UTF-8 shown as text."""
        return unwire(f"{self.scheme}://{self.authority}{self.path}")

    def _key(self) -> tuple[object, ...]:
        return (
            self.method,
            self.scheme,
            self.authority,
            self.path,
            self.headers,
            self.port,
            self.source_ip,
            self.destination_ip,
            self.source_port,
            tuple(sorted(self.filter_state.items())),
            msgspec.json.encode(self.metadata, order="deterministic") if self.metadata else b"",
            self.fragment,
            self.looked_up,
        )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Request) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def changed(request: Request, authority: str, path: str, headers: tuple[tuple[str, str], ...]) -> Request:
    """The request after a proxy changed it. What no client could send, such as a path without a slash, a proxy can."""
    plain, mark, query = path.partition("?")
    sent = copy(request)
    for name, value in (
        ("authority", authority),
        ("path", path),
        ("headers", headers),
        ("plain_path", plain),
        ("query", query if mark else None),
        ("fields", _fields(request.method, request.scheme, authority, path, headers)),
    ):
        force_setattr(sent, name, value)
    return sent


def host_of(authority: str) -> str:
    """The authority up to its port colon: the last `:` that no `]` follows. What follows it need not be a number."""
    colon = authority.rfind(":")
    return authority if colon < 0 or authority.rfind("]") > colon else authority[:colon]


_PARAMETERS = re.compile(r";[^/]*")


def without_parameters(path: str) -> str:
    """A path without what follows `;` in each segment.

    >>> without_parameters("/a;x/b;y")
    '/a/b'
    """
    return _PARAMETERS.sub("", path) if ";" in path else path


def query_value(query: str | None, name: str) -> str | None:
    """The first parameter of that name, as written; None where it is not sent. `?k` and `?k=` both send ``.

    >>> query_value("a=1&k=%41&k=2", "k")
    '%41'
    """
    if query is not None:
        for piece in query.split("&"):
            key, _, value = piece.partition("=")
            if key == name:
                return value
    return None


def cookie_value(request: Request, name: str) -> str | None:
    """The first cookie of the name, without surrounding double quotes; None where it is not sent.

    Quotes do not protect semicolons, a piece without `=` is passed over, and blanks count everywhere but before the
    name.
    """
    for line in request.fields.get("cookie", ()):
        for piece in line.split(";"):
            key, equals, value = piece.partition("=")
            if equals and key.lstrip(" ") == name:
                return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return None


def _target(method: str, rest: str) -> str:
    """What a client sends of a URL, from its authority on."""
    if method == "OPTIONS" and rest in ("/*", "*"):
        return "*"
    return rest if rest.startswith("/") else f"/{rest}"


def _port_of(authority: str) -> int:
    """The port written in an authority; 0 where there is none. Raises RequestError for one that cannot be a port."""
    text = authority[len(host_of(authority)) + 1 :]
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        raise RequestError(f"`{text}` in authority `{authority}` is not a port between 1 and 65535")
    return int(text)


def _pairs(headers: HeaderLines) -> Iterable[tuple[str, str | bytes]]:
    if not isinstance(headers, Mapping):
        return headers
    return (
        (name, line)
        for name, value in headers.items()
        for line in ((value,) if isinstance(value, (str, bytes)) else value)
    )


def _line(name: str, text: str) -> tuple[str, str]:
    if not _TOKEN.fullmatch(name):
        raise RequestError(f"header name `{name}` is not an HTTP token, such as `x-user`")
    if _BAD_IN_VALUE.search(text):
        raise RequestError(f"header `{name}` has a control character in its value")
    return ascii_lower(name), text.strip(" \t")


def _fields(
    method: str, scheme: str, authority: str, path: str, lines: tuple[tuple[str, str], ...]
) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {
        ":method": (method,),
        ":scheme": (scheme,),
        ":authority": (authority,),
        "host": (authority,),
        ":path": (path,),
    }
    if method == "CONNECT":
        del fields[":path"]
    for name, value in lines:
        before = fields.get(name)
        if before is None:
            fields[name] = (value,)
        elif name in SINGLE_SLOT_HEADERS:
            fields[name] = (",".join(filter(None, (*before, value))),)
        else:
            fields[name] = (*before, value)
    # The first proxy says how it was asked; the next ones leave that as it is.
    fields.setdefault("x-forwarded-proto", (scheme,))
    return fields


_FIELDS = msgspec.defstruct("_Fields", [(one.name, one.type) for one in msgspec.structs.fields(Request)])
_ANY = Request("GET", "any", "/")


def as_it_was(fields: Mapping[str, Any]) -> Request:
    """A request of all its fields as plain JSON values, derived ones included, whether or not a client could send it.

    Raises msgspec.ValidationError for other fields.
    """
    known, request = msgspec.convert(fields, _FIELDS), copy(_ANY)
    for name in Request.__struct_fields__:
        force_setattr(request, name, getattr(known, name))
    return request
