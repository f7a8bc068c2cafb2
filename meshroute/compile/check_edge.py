"""What Istio's webhook refuses in a Gateway, and in the TLS settings that Sidecars have too, each in its place.

Source    spec/validate.md CHECK-25; istio/istio: pkg/config/validation/validation.go (ValidateGateway, validateServer,
          validateServerPort, validateServerBind, validateTLSOptions), pkg/config/security/security.go
Inputs    a Gateway that the schema took. Exactness: what the webhook refuses is an error, what it accepts is not.
Errors    none: the answer is faults with their field paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshroute.compile.check_fault import UNIX, Fault, port_faults, unix_faults
from meshroute.compile.check_names import is_label, served_fault
from meshroute.compile.check_protocol import HTTP, KNOWN, TLS, protocol_fault
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio_gateway import (
    Gateway,
    Server,
    ServerTLSMode,
    ServerTLSSettings,
    TLSProtocol,
)
from meshroute.names import is_ip, wire

_OF_OLD: Final = (TLSProtocol.TLSV1_0, TLSProtocol.TLSV1_1)
_PASSED_ON: Final = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
_OF_BOTH: Final = (ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL)
_CIPHERS: Final = frozenset(
    (
        *(
            f"ECDHE-{key}-{rest}"
            for key in ("ECDSA", "RSA")
            for rest in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
        ),
        *("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA"),
    )
)


def gateway_faults(gateway: Gateway) -> Iterator[Fault]:
    """What is wrong with a Gateway by itself, but for its own name."""
    if not gateway.spec.servers:
        yield Fault(("servers",), "a Gateway needs at least one server")
    names: set[str] = set()
    for number, server in enumerate(gateway.spec.servers):
        here = ("servers", number)
        yield from _server_faults(server, here)
        if server.port.name in names:
            yield Fault((*here, "port", "name"), f"there is a port `{server.port.name}` already")
        names.add(server.port.name)
        if server.tls is not None and server.tls.https_redirect and server.port.protocol.lower() not in HTTP:
            reason = "only requests in plain text can be sent on to https"
            yield Fault((*here, "tls", "httpsRedirect"), reason, "set it on a server of HTTP", warns=True)


def _server_faults(server: Server, here: FieldPath) -> Iterator[Fault]:
    if not server.hosts:
        yield Fault((*here, "hosts"), "a server needs at least one host", "write `*` for all")
    for number, written in enumerate(server.hosts):
        owner, slash, host = written.partition("/")
        at = (*here, "hosts", number)
        if slash and owner not in ("*", ".") and not is_label(owner):
            yield Fault(at, f"`{owner}` is no namespace", "write `*/...` for all, `./...` for the own one")
        if fault := served_fault(host if slash else written, edge=True):
            yield Fault(at, fault)
    wrong = tuple(_port_faults(server, here))
    yield from wrong
    yield from _bind_faults(server, here)
    if server.tls is not None:
        yield from tls_faults(server.tls, (*here, "tls"))
    if not wrong:
        yield from _protocol_faults(server, here)


def _port_faults(server: Server, here: FieldPath) -> Iterator[Fault]:
    port = server.port
    if fault := protocol_fault(port.protocol, needed=True):
        yield Fault((*here, "port", "protocol"), fault, f"there are {', '.join(KNOWN)}")
    if port.number or not server.bind.startswith(UNIX):
        yield from port_faults(port.number, (*here, "port", "number"))
    if port.target_port:
        yield Fault((*here, "port", "targetPort"), "a Gateway has no use for `targetPort`", "leave it out")
    if not port.name:
        yield Fault((*here, "port", "name"), "the port needs a name")


def _bind_faults(server: Server, here: FieldPath) -> Iterator[Fault]:
    if server.bind.startswith(UNIX):
        yield from unix_faults(server.bind, (*here, "bind"))
        if server.port.number:
            yield Fault((*here, "port", "number"), f"`{server.bind}` has no ports: the number is 0")
    elif server.bind and not is_ip(server.bind):
        yield Fault((*here, "bind"), f"`{server.bind}` is no address")


def _protocol_faults(server: Server, here: FieldPath) -> Iterator[Fault]:
    """TLS where the protocol has it, and nowhere else; a redirect is all that HTTP may have."""
    protocol, tls = server.port.protocol, server.tls
    if protocol.lower() in TLS:
        if tls is None:
            yield Fault((*here, "tls"), f"`{protocol}` needs `tls` settings", "say which certificates, or PASSTHROUGH")
        return
    if tls is None:
        return
    files = tls.ca_certificates or tls.private_key or tls.server_certificate
    if protocol.lower() not in HTTP:
        yield Fault((*here, "tls"), f"`{protocol}` has no TLS: its server has no `tls`", "write HTTPS or TLS")
    elif tls.mode not in _PASSED_ON or files:
        reason = f"`{protocol}` is plain text: of `tls` its server has `httpsRedirect` only"
        yield Fault((*here, "tls"), reason, "write `protocol: HTTPS`")


def tls_faults(tls: ServerTLSSettings, here: FieldPath) -> Iterator[Fault]:
    """What is wrong with a server's certificates and ciphers."""
    yield from _cipher_faults(tls, here)
    files = (
        ("serverCertificate", tls.server_certificate),
        ("privateKey", tls.private_key),
        ("caCertificates", tls.ca_certificates),
    )
    sources = (
        ("tlsCertificates", tls.tls_certificates),
        ("credentialName", tls.credential_name),
        ("credentialNames", tls.credential_names),
    )
    if tls.mode is ServerTLSMode.ISTIO_MUTUAL:
        for field, written in (*files, *sources):
            if written:
                yield Fault((*here, field), f"Istio has the certificates of ISTIO_MUTUAL: there is no `{field}`")
        return
    if tls.mode in _PASSED_ON:
        unread = next((field for field, one in (*files, ("caCrl", tls.ca_crl), *sources) if one), None)
        if unread is not None:
            reason = f"nobody reads what is passed on: `{unread}` has no effect"
            yield Fault((*here, unread), reason, "leave it out, or write `mode: SIMPLE`", warns=True)
    written_sources = [field for field, one in sources if one]
    if tls.server_certificate and tls.private_key:
        written_sources.append("serverCertificate")
    if len(written_sources) > 1:
        yield Fault((*here, written_sources[0]), f"only one of `{'`, `'.join(written_sources)}` may be set")
    if tls.mode in _PASSED_ON:
        if tls.ca_crl and tls.credential_name:
            yield Fault((*here, "caCrl"), "a `credentialName` has what `caCrl` would name", "keep one of them")
        return
    if tls.credential_name or tls.credential_names:
        return  # what is in the secret only the cluster knows
    yield from _file_faults(tls, here)


def _file_faults(tls: ServerTLSSettings, here: FieldPath) -> Iterator[Fault]:
    if tls.mode in _OF_BOTH and not tls.ca_certificates:
        yield Fault((*here, "caCertificates"), f"mode `{tls.mode}` needs the certificates that clients are verified by")
    certificates: list[tuple[FieldPath, str, str]] = [
        ((*here, "tlsCertificates", number), one.server_certificate, one.private_key)
        for number, one in enumerate(tls.tls_certificates or ())
    ] or [(here, tls.server_certificate, tls.private_key)]
    for at, certificate, key in certificates:
        for field, written in (("serverCertificate", certificate), ("privateKey", key)):
            if not written:
                yield Fault((*at, field), f"mode `{tls.mode}` needs `{field}`", "name a file, or a `credentialName`")
    if tls.ca_crl and tls.mode is ServerTLSMode.SIMPLE:
        yield Fault((*here, "caCrl"), "mode `SIMPLE` verifies no clients, and has no `caCrl`")


def _cipher_faults(tls: ServerTLSSettings, here: FieldPath) -> Iterator[Fault]:
    if tls.min_protocol_version in _OF_OLD and not tls.cipher_suites:
        reason = f"`{tls.min_protocol_version}` needs ciphers that are not among the usual ones"
        yield Fault((*here, "minProtocolVersion"), reason, "name some in `cipherSuites`", warns=True)
    seen: set[str] = set()
    for number, cipher in enumerate(tls.cipher_suites):
        at = (*here, "cipherSuites", number)
        if not _is_cipher(cipher):
            yield Fault(at, f"`{cipher}` is no cipher that a proxy takes, and is left out", warns=True)
        elif cipher in seen:
            yield Fault(at, f"`{cipher}` is there already", warns=True)
        seen.add(cipher)


def _is_cipher(text: str) -> bool:
    """Whether a proxy takes it. What begins with a sign changes the list, and nobody looks at it before the proxy."""
    return text in ("", "ALL") or not wire(text)[0].isalnum() or text in _CIPHERS
