"""Names of protocols that ports of Istio's own resources may have.

Source    istio/istio: pkg/config/protocol/instance.go
Inputs    the name as it is written; capitals do not count.
Errors    none.
"""

from __future__ import annotations

from typing import Final

from meshroute.diagnostics import nearest

HTTP: Final = ("http", "http2", "http_proxy", "grpc", "grpc-web")
"""Requests, of which each names its host."""
TLS: Final = ("https", "tls")
"""Connections whose clients name a host before anything else."""
TCP: Final = ("tcp", *TLS, "mongo", "redis", "mysql")
"""Connections that nobody reads further."""
KNOWN: Final = ("HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP")
_ALL: Final = (*HTTP, *TCP, "udp")


def protocol_fault(name: str, *, needed: bool = False) -> str:
    """What is wrong with the name of a protocol. Without `needed` there may be none: proxies find out themselves."""
    if name.lower() in _ALL or not (name or needed):
        return ""
    meant = nearest(name.lower(), _ALL)
    return f"`{name}` is no protocol" + (f": did you mean `{meant.upper()}`?" if meant else "")
