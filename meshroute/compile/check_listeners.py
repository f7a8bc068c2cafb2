"""What Istio's webhook refuses in a Sidecar, each in its place.

Source    spec/validate.md CHECK-11, CHECK-26; istio/istio: pkg/config/validation/validation.go (ValidateSidecar,
          validateSidecarOutboundTrafficPolicy), agent/validation.go (ValidateNamespaceSlashWildcardHostname)
Inputs    a Sidecar that the schema took. Exactness: what the webhook refuses is an error, what it accepts is not.
Errors    none: the answer is faults with their field paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshroute.compile.check_edge import tls_faults
from meshroute.compile.check_fault import UNIX, Fault, number_of, port_faults, selector_faults, unix_faults
from meshroute.compile.check_names import is_label, name_fault, served_fault
from meshroute.compile.check_policy import pool_faults
from meshroute.compile.check_protocol import HTTP, KNOWN, TLS, protocol_fault
from meshroute.compile.check_routes import destination_faults
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio_gateway import ServerTLSMode
from meshroute.manifest.istio_sidecar import (
    CaptureMode,
    EgressListener,
    IngressListener,
    OutboundMode,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from meshroute.names import is_ip

_OWN_HOSTS: Final = ("", "127.0.0.1", "0.0.0.0", "::1", "::")
_NOT_HERE: Final = (ServerTLSMode.ISTIO_MUTUAL, ServerTLSMode.AUTO_PASSTHROUGH)


def sidecar_faults(sidecar: Sidecar) -> Iterator[Fault]:
    """What is wrong with a Sidecar by itself."""
    spec = sidecar.spec
    if spec.workload_selector is not None:
        yield from selector_faults(spec.workload_selector.labels, ("workloadSelector", "labels"))
    others = (spec.outbound_traffic_policy, spec.inbound_connection_pool)
    if not (spec.egress or spec.ingress) and all(one is None for one in others):
        yield Fault((), "the Sidecar says nothing", "give `egress`, `ingress` or `outboundTrafficPolicy`")
    taken: set[int] = set()
    for number, incoming in enumerate(spec.ingress):
        here: FieldPath = ("ingress", number)
        yield from _ingress_faults(incoming, here)
        yield from _taken_faults(incoming.port.number, taken, here)
    if spec.inbound_connection_pool is not None:
        yield from pool_faults(spec.inbound_connection_pool, ("inboundConnectionPool",))
    taken = set()
    paths: set[str] = set()
    for number, listener in enumerate(spec.egress):
        here = ("egress", number)
        if listener.port is None:
            if number != len(spec.egress) - 1:
                reason = "the listener without a port is for all that no other names: it is the last one"
                yield Fault(here, reason, "put it last; there is one at most")
        else:
            yield from _egress_faults(listener, listener.port, here)
            if listener.port.number:
                yield from _taken_faults(listener.port.number, taken, here)
            elif listener.bind in paths:
                yield Fault((*here, "bind"), f"there is a listener at `{listener.bind}` already")
            else:
                paths.add(listener.bind)
        yield from _import_faults(listener, sidecar.namespace, here)
    if spec.outbound_traffic_policy is not None:
        yield from _outbound_faults(spec.outbound_traffic_policy)


def _taken_faults(port: int, taken: set[int], here: FieldPath) -> Iterator[Fault]:
    if port in taken:
        yield Fault((*here, "port", "number"), f"there is a listener on port {port} already")
    taken.add(port)


def _port_faults(port: SidecarPort, here: FieldPath) -> Iterator[Fault]:
    if port.target_port:
        yield Fault((*here, "targetPort"), "a Sidecar has no use for `targetPort`", "leave it out")
    if port.name and not is_label(port.name):
        yield Fault((*here, "name"), f"`{port.name}` is no name of a port")
    if fault := protocol_fault(port.protocol):
        yield Fault((*here, "protocol"), fault, f"there are {', '.join(KNOWN)}")


def _bind_faults(bind: str, here: FieldPath) -> Iterator[Fault]:
    if bind and not is_ip(bind):
        yield Fault((*here, "bind"), f"`{bind}` is no address")


def _ingress_faults(listener: IngressListener, here: FieldPath) -> Iterator[Fault]:
    port = listener.port
    yield from _port_faults(port, (*here, "port"))
    yield from port_faults(port.number, (*here, "port", "number"))
    yield from _bind_faults(listener.bind, here)
    if listener.default_endpoint:
        yield from _endpoint_faults(listener.default_endpoint, (*here, "defaultEndpoint"))
    if (tls := listener.tls) is not None:
        for field, written in (
            ("subjectAltNames", tls.subject_alt_names),
            ("httpsRedirect", tls.https_redirect),
            ("credentialName", tls.credential_name),
            ("credentialNames", tls.credential_names),
            ("tlsCertificates", tls.tls_certificates),
        ):
            if written:
                yield Fault((*here, "tls", field), f"a Sidecar has no `{field}`", "leave it out")
        if tls.mode in _NOT_HERE:
            yield Fault((*here, "tls", "mode"), f"a Sidecar has no mode `{tls.mode}`", "write SIMPLE or MUTUAL")
        if port.protocol.lower() not in TLS:
            yield Fault(
                (*here, "tls"), f"`{port.protocol}` has no TLS: its listener has no `tls`", "write HTTPS or TLS"
            )
        yield from tls_faults(tls, (*here, "tls"))
    if (pool := listener.connection_pool) is not None:
        yield from pool_faults(pool, (*here, "connectionPool"))
        if pool.http is not None and port.protocol.lower() not in HTTP:
            reason = f"`{port.protocol}` has no requests: limits of them have no effect"
            yield Fault((*here, "connectionPool", "http"), reason, "leave them out", warns=True)


def _endpoint_faults(written: str, here: FieldPath) -> Iterator[Fault]:
    """Where incoming connections go on to: a port of the workload itself, or a socket."""
    if written.startswith(UNIX):
        yield from unix_faults(written, here)
        return
    host, colon, port = written.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an address of six bytes pairs needs brackets
    number = number_of(port)
    if not colon or number is None or host not in _OWN_HOSTS:
        yield Fault(here, f"`{written}` is no port of the workload itself", "write `127.0.0.1:port`, `[::1]:port`")
    else:
        yield from port_faults(number, here)


def _egress_faults(listener: EgressListener, port: SidecarPort, here: FieldPath) -> Iterator[Fault]:
    yield from _port_faults(port, (*here, "port"))
    if port.number:
        yield from port_faults(port.number, (*here, "port", "number"))
        yield from _bind_faults(listener.bind, here)
        return
    if not listener.bind.startswith(UNIX):
        yield Fault((*here, "port", "number"), "only a listener at `unix://` has no port", "give a number")
    else:
        yield from unix_faults(listener.bind, (*here, "bind"))
    if listener.capture_mode not in (CaptureMode.DEFAULT, CaptureMode.NONE):
        reason = f"`{listener.capture_mode}` is for addresses: nobody captures what goes to a socket"
        yield Fault((*here, "captureMode"), reason, "write NONE")


def _import_faults(listener: EgressListener, namespace: str, here: FieldPath) -> Iterator[Fault]:
    """The hosts of a listener: `namespace/host`, each of which imports something that none before it does."""
    if not listener.hosts:
        yield Fault((*here, "hosts"), "a listener needs at least one host", "write `~/*` for none")
    imported: dict[str, set[str]] = {}
    for number, written in enumerate(listener.hosts):
        at = (*here, "hosts", number)
        owner, slash, host = written.partition("/")
        if not slash:
            yield Fault(
                at, f"`{written}` is not `namespace/host`", "write `*/...` for any namespace, `./...` for the own"
            )
            continue
        name = owner.removeprefix("~")
        if not owner or (name and name not in ("*", ".") and not is_label(name)):
            yield Fault(at, f"`{owner}` is no namespace", "write `*/...` for any, `./...` for the own one")
        if fault := served_fault(host, edge=False):
            yield Fault(at, fault)
        if owner.startswith("~"):
            continue
        before = imported.setdefault(namespace if owner == "." else owner, set())
        if (before and host == "*") or host in before or "*" in before:
            yield Fault(at, f"`{written}` is imported already, or takes in what is", "keep the wider one", warns=True)
        before.add(host)
    if "*" in imported.get("*", ()) and len(imported) > 1:
        yield Fault(
            (*here, "hosts"), "`*/*` imports everything: the other hosts add nothing", "keep it alone", warns=True
        )


def _outbound_faults(policy: OutboundTrafficPolicy) -> Iterator[Fault]:
    here = ("outboundTrafficPolicy", "egressProxy")
    proxy = policy.egress_proxy
    if proxy is None:
        return
    if policy.mode is not OutboundMode.ALLOW_ANY:
        yield Fault(here, "an `egressProxy` goes with `mode: ALLOW_ANY` only", "set the mode")
        return
    if fault := name_fault(proxy.host):
        yield Fault((*here, "host"), fault)
    if proxy.port is None:
        yield Fault((*here, "port"), "the proxy needs a port")
    else:
        yield from (one for one in destination_faults(proxy, here) if one.path[-1] != "host")
