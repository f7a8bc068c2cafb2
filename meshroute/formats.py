"""Formats: texts in which `%REQ(x-user)%` stands for what a proxy knows of a request.

Source    spec/change.md CHANGE-3; envoyproxy/envoy: source/common/formatter
Inputs    a format in wire form, and a Scene: the request as it is at that moment, the answer if there is one.
Exactness what a scene knows is rendered byte for byte. What the proxy knows and a decision cannot, such as the time or
          the bytes sent, stays in the text as it is written.
Errors    FormatError for an operator that a proxy does not know, or for one that is not closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from meshroute.headers import Lines
from meshroute.names import canonical_ip, endpoint_key
from meshroute.request import query_value


class FormatError(ValueError):
    """Not a format that a proxy would take."""


class Scene:
    """What a format can ask for. `headers` and the rest of the request are as they are when it is rendered.

    `host` and `answer` are empty and None as long as there are none; `attempt` counts the tries, the first one being 1.
    """

    __slots__ = (
        "answer",
        "attempt",
        "authority",
        "cluster",
        "details",
        "flags",
        "headers",
        "host",
        "hostname",
        "method",
        "path",
        "route",
        "scheme",
        "source_ip",
        "source_port",
        "status",
    )

    def __init__(
        self,
        headers: Lines,
        method: str,
        scheme: str,
        authority: str,
        path: str,
        *,
        source_ip: str = "",
        source_port: int = 0,
        route: str = "",
        cluster: str = "",
        attempt: int = 1,
        host: str = "",
        hostname: str = "",
        answer: Lines | None = None,
        status: int = 0,
        flags: str = "-",
        details: str = "",
    ) -> None:
        self.headers: Final = headers
        self.method: Final = method
        self.scheme: Final = scheme
        self.authority = authority
        self.path = path
        self.source_ip: Final = source_ip
        self.source_port: Final = source_port
        self.route: Final = route
        self.cluster: Final = cluster
        self.attempt: Final = attempt
        self.host: Final = host
        self.hostname: Final = hostname
        self.answer: Final = answer
        self.status: Final = status
        self.flags: Final = flags
        self.details: Final = details

    def values(self, name: str) -> list[str]:
        """The lines of a header of the request, of which `:path` and its like are some."""
        match name:
            case ":path":
                return [self.path]
            case ":authority" | "host":
                return [self.authority]
            case ":method":
                return [self.method]
            case ":scheme":
                return [self.scheme]
            case _:
                return self.headers.values(name)


_Part: TypeAlias = Callable[[Scene], str | None]
"""An operator of a known scene; None where there is nothing to say."""


class Format:
    """A format, ready to be rendered."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[str | _Part, ...]) -> None:
        self._parts: Final = parts

    def render(self, scene: Scene, missing: str = "") -> str:
        """The text; `missing` stands where an operator has nothing to say."""
        texts = []
        for part in self._parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                value = part(scene)
                texts.append(missing if value is None else value)
        return "".join(texts)


_OPERATOR = re.compile(r"%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::([0-9]+))?%")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z:]*")


# The cache saves time only.
@lru_cache(maxsize=4096)
def parse(text: str) -> Format:
    """A format, ready. Raises FormatError.

    >>> parse("a %REQ(b)")
    Traceback (most recent call last):
    meshroute.formats.FormatError: `%REQ(b)`: no operator begins here; a percent sign is written `%%`
    """
    parts: list[str | _Part] = []
    at = 0
    while (begin := text.find("%", at)) >= 0:
        parts.append(text[at:begin])
        if text.startswith("%%", begin):
            parts.append("%")
            at = begin + 2
            continue
        found = _OPERATOR.match(text, begin)
        if found is None:
            raise FormatError(f"`{text[begin:]}`: no operator begins here; a percent sign is written `%%`")
        parts.append(_operator(found[0], found[1], found[2] or "", int(found[3]) if found[3] else None))
        at = found.end()
    parts.append(text[at:])
    return Format(tuple(part for part in parts if part != ""))


def _operator(whole: str, name: str, argument: str, length: int | None) -> str | _Part:
    if name in _OF_HEADERS or name in _WITH_ARGUMENT:
        if not argument:
            raise FormatError(f"`{whole}`: {name} needs an argument")
        if length is not None and name in _WITHOUT_LENGTH:
            raise FormatError(f"`{whole}`: {name} takes no length")
    elif name in _PLAIN or name in _KNOWN:
        if argument or length is not None:
            raise FormatError(f"`{whole}`: {name} takes no argument and no length")
    elif name in _OPTIONAL:
        if length is not None:
            raise FormatError(f"`{whole}`: {name} takes no length")
    else:
        raise FormatError(f"`{whole}`: there is no operator {name}")
    if name in _OF_HEADERS:
        return _of_header(whole, _OF_HEADERS[name], argument, length)
    if name in _KNOWN:
        return _whole_or_known(whole, _KNOWN[name])
    if name == "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" and not argument:
        return lambda scene: canonical_ip(scene.source_ip) or whole
    if name == "RESPONSE_CODE_DETAILS":
        return lambda scene: scene.details or None
    return _of_path(whole, name, argument, length) or whole


def _whole_or_known(whole: str, known: Callable[[Scene, str], str | None]) -> _Part:
    return lambda scene: known(scene, whole)


def _of_header(whole: str, of: Callable[[Scene, str], list[str]], argument: str, length: int | None) -> _Part:
    name, mark, other = argument.partition("?")
    if "?" in other:
        raise FormatError(f"`{whole}`: one header, and one that stands in for it, are all that can be named")
    if not _HEADER.fullmatch(name) or not _HEADER.fullmatch(other):
        raise FormatError(f"`{whole}` names no header")
    name, other = name.lower(), other.lower()

    def value(scene: Scene) -> str | None:
        found = of(scene, name) or (of(scene, other) if mark else ())
        return found[0][:length] if found else None

    return value


def _of_path(whole: str, name: str, argument: str, length: int | None) -> _Part | None:
    if name == "QUERY_PARAM":

        def parameter(scene: Scene) -> str | None:
            value = query_value(scene.path.partition("?")[2], argument)
            return None if value is None else unquote_to_bytes(value).decode("latin-1")[:length]

        return parameter
    if name != "PATH":
        return None
    query, _, which = argument.partition(":")
    if query not in ("", "WQ", "NQ") or which not in ("", "ORIG", "PATH", "ORIG_OR_PATH"):
        raise FormatError(f"`{whole}` is asked for WQ or NQ, and for ORIG, PATH or ORIG_OR_PATH")

    def path(scene: Scene) -> str | None:
        found = scene.headers.values("x-envoy-original-path") if which != "PATH" else []
        if not found and which == "ORIG":
            return None
        text = found[0] if found else scene.path
        return text.partition("?")[0] if query == "NQ" else text

    return path


def _of_answer(scene: Scene, name: str) -> list[str]:
    return scene.answer.values(name) if scene.answer is not None else []


_OF_HEADERS: Final[Mapping[str, Callable[[Scene, str], list[str]]]] = {
    "REQ": lambda scene, name: scene.values(name),
    "REQUEST_HEADER": lambda scene, name: scene.values(name),
    "RESP": _of_answer,
    "RESPONSE_HEADER": _of_answer,
}


def _remote(scene: Scene, whole: str) -> str:
    if scene.source_ip and scene.source_port:
        return endpoint_key(scene.source_ip, scene.source_port)
    return whole


_KNOWN: Final[Mapping[str, Callable[[Scene, str], str | None]]] = {
    "DOWNSTREAM_REMOTE_ADDRESS": _remote,
    "DOWNSTREAM_REMOTE_PORT": lambda scene, whole: str(scene.source_port) if scene.source_port else whole,
    "RESPONSE_CODE": lambda scene, _: str(scene.status),
    "RESPONSE_FLAGS": lambda scene, _: scene.flags,
    "ROUTE_NAME": lambda scene, _: scene.route or None,
    "UPSTREAM_CLUSTER": lambda scene, _: scene.cluster or None,
    "UPSTREAM_CLUSTER_RAW": lambda scene, _: scene.cluster or None,
    "UPSTREAM_HOST": lambda scene, _: scene.host or None,
    "UPSTREAM_HOST_NAME": lambda scene, _: scene.hostname or scene.host or None,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": lambda scene, _: str(scene.attempt),
    "VIRTUAL_CLUSTER_NAME": lambda _scene, _whole: None,
}
"""Operators without an argument, and what a scene says of them; the operator itself where it knows nothing."""

_PLAIN: Final = frozenset(
    """
    ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
    CUSTOM_FLAGS DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
    DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS
    DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
    DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED
    DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN
    DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN
    DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256
    DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1
    DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER
    DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_OTHERNAME_SAN
    DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP
    DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON
    DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME
    LISTENER_NAME LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUESTED_SERVER_NAME REQUEST_DURATION
    REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_DURATION RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES
    RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US
    SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CONNECTION_ID
    UPSTREAM_CONNECTION_IDS_ATTEMPTED UPSTREAM_CONNECTION_POOL_READY_DURATION
    UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE
    UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOSTS_ATTEMPTED
    UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT
    UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN
    UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
    UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
    UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_PORT UPSTREAM_SERVER_NAME
    UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION
    UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT
    """.split()
)
"""Operators without an argument of which a decision knows nothing."""

_OPTIONAL: Final = frozenset(
    """
    DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START
    DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT EMIT_TIME EMIT_TIME_LOCAL GRPC_STATUS PATH QUERY_PARAMS
    RESPONSE_CODE_DETAILS START_TIME START_TIME_LOCAL UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_PEER_CERT_V_END
    UPSTREAM_PEER_CERT_V_START UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
    """.split()
)
_WITH_ARGUMENT: Final = frozenset(
    """
    CEL CLUSTER_METADATA COMMON_DURATION DYNAMIC_METADATA ENVIRONMENT FILTER_STATE PER_REQUEST_STATE QUERY_PARAM
    RESPONSE_TRAILER STREAM_INFO_REQ TRAILER UPSTREAM_FILTER_STATE UPSTREAM_METADATA
    """.split()
)
_WITHOUT_LENGTH: Final = frozenset(("CLUSTER_METADATA", "COMMON_DURATION", "UPSTREAM_METADATA"))
