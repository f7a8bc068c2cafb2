"""Names that must not be mixed, and the wire form of text.

Source    istio/istio: pilot/pkg/model/config.go (resolve), pkg/config/host/name.go; spec HOST-1 to HOST-3
Inputs    any text. Exactness: ASCII case only; nothing is folded or decoded that a proxy would not fold or decode.
Errors    the parsers raise ValueError with what would be right; `wire` never raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Final, NewType

Namespace = NewType("Namespace", str)
Host = NewType("Host", str)
"""A service's full name, as the registry knows it: `web.shop.svc.cluster.local`."""
ClusterName = NewType("ClusterName", str)
"""Where a route sends to: `outbound|80|v1|web.shop.svc.cluster.local`."""
EndpointKey = NewType("EndpointKey", str)
"""`ip:port`, IPv6 in brackets: what a ring hashes and what state counts by."""

DEFAULT_NAMESPACE = Namespace("default")
ROOT_NAMESPACE = Namespace("istio-system")
"""Where a mesh's operators keep what is for everybody."""
CLUSTER_DOMAIN = "cluster.local"
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
"""The port of each scheme where none is said."""


def wire(text: str | bytes) -> str:
    """Bytes as a proxy sees them, one character each (Latin-1).

    Text is sent as UTF-8, so `é` becomes the two characters `Ã©`. Plain ASCII, the common case, comes back unchanged.
    Envoy compares and matches bytes; keeping them as `str` lets Python's string methods do the same.
    """
    if isinstance(text, bytes):
        return text.decode("latin-1")
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def unwire(text: str) -> str:
    """Wire form back to readable text; bytes that are not UTF-8 become escapes. For people, never for comparing."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "backslashreplace")


_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLD = str.maketrans(_UPPER, _UPPER.lower())


def ascii_lower(text: str) -> str:
    """Lower-case A-Z and nothing else. `str.lower` would also fold bytes above 0x7F, which Envoy leaves alone."""
    return text.lower() if text.isascii() else text.translate(_FOLD)


def endpoint_key(address: str, port: int) -> EndpointKey:
    """`ip:port` as a proxy writes it: an IPv6 address in its canonical form and in brackets.

    >>> endpoint_key("10.0.0.1", 80), endpoint_key("FD00::0:1", 80)
    ('10.0.0.1:80', '[fd00::1]:80')
    """
    return EndpointKey(f"[{canonical_ip(address)}]:{port}" if ":" in address else f"{address}:{port}")


def canonical_ip(text: str) -> str:
    """An address as a proxy writes it (RFC 5952); what is no address comes back as it is.

    >>> canonical_ip("2001:DB8:0:0::1"), canonical_ip("::ffff:c000:207"), canonical_ip("web")
    ('2001:db8::1', '::ffff:192.0.2.7', 'web')
    """
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"  # Python wrote these in hexadecimal before 3.13
    return str(address)


def is_ip(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
