"""Rules for ports that speak something else, and ports that do not say what they speak.

Source    spec/connect.md CONNECT-5, CONNECT-6, CONNECT-8, spec/gateway.md GW-7, GW-8, spec/kubernetes.md ENTRY-1;
          istio/istio: pkg/config/analysis/analyzers/{service,serviceentry}
Inputs    VirtualServices, Services, ServiceEntries and Gateways of a mesh. Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import Kind, World, takes
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.entries import protocol_of as entry_protocol
from meshroute.compile.registry import protocol_of
from meshroute.compile.resolve import age, visibility
from meshroute.compile.scope import governs_mesh
from meshroute.compile.service import Protocol
from meshroute.manifest.istio import VirtualService
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.manifest.kubernetes import Service, ServiceType

_KINDS: tuple[Kind, ...] = ("http", "tls", "tcp")
_WANTED = {
    "http": "HTTP, or HTTPS that ends at the Gateway",
    "tls": "TLS that is passed through (`https` or `tls`)",
    "tcp": "TCP",
}


def check_protocols(world: World) -> Iterator[Finding]:
    """Everything about what ports speak."""
    for one in world.virtual_services:
        yield from _kinds(one, world)
    touched = _touched(world)
    for service in world.services:
        yield from _names(service, f"{service.name}.{service.namespace}.svc.{world.config.domain}" in touched)
    yield from _entries(world)


def _kinds(one: VirtualService, world: World) -> Iterator[Finding]:
    """Lists of rules that nobody reads, because no port of the hosts is of their kind."""
    if not one.spec.hosts:
        return
    mesh = governs_mesh(one)
    services = list(world.governed(one)) if mesh else []
    servers = list(world.serving(one))
    named = {name for name in one.spec.gateways if name != "mesh"}
    # Who else has the hosts is not known.
    if (mesh and (len(services) < len(one.spec.hosts) or any(not one.ports for one in services))) or (
        len(world.edges(one)) < len(named) or not (services or servers)
    ):
        return
    for kind in _KINDS:
        written = getattr(one.spec, kind)
        # Of HTTP rules in the mesh, loading tells.
        if not written or (kind == "http" and mesh) or world.ports(one, kind):
            continue
        if any(takes(server, kind) for server in servers):
            continue
        what = f"`{services[0].host}`" if services else f"Gateway `{servers[0].name}`"
        yield found(
            LintCode.RULES_OF_OTHER_KIND,
            f"nobody reads the `{kind}` rules: no port of {what} speaks {_WANTED[kind]}",
            one.at("spec", kind),
            one.subject,
            help="`http` is for HTTP ports, `tls` for TLS that is passed through, `tcp` for everything else; a port's "
            "name or `appProtocol` says which it is, and of a Gateway its `protocol` and `tls.mode`",
            related=(services[0].at if services else servers[0].gateway.at("spec", "servers", servers[0].number),),
        )


def _touched(world: World) -> set[str]:
    """The services that some rule is about, for whose requests it counts how they are read."""
    hosts = {service.host for one in world.virtual_services for service in world.governed(one)}
    hosts |= {one.service.host for one in world.sent if one.service is not None}
    return {*hosts, *(service.host for rule in world.destination_rules for service in world.covered(rule))}


def _names(service: Service, touched: bool) -> Iterator[Finding]:
    alias = service.spec.type is ServiceType.EXTERNAL_NAME
    for number, port in enumerate(service.spec.ports):
        if port.protocol != "TCP":
            continue
        unknown = protocol_of(port) is Protocol.UNKNOWN
        if alias and (unknown or port.name == "tcp"):
            yield found(
                LintCode.EXTERNAL_NAME_PORT,
                f"port {port.port} of an ExternalName Service "
                + ("does not say what it speaks" if unknown else "is TCP")
                + ": proxies that listen there take connections for other hosts on that port too",
                service.at("spec", "ports", number),
                service.subject,
                help=f"if it speaks HTTP:\nports:\n- {{name: http, port: {port.port}}}",
            )
        elif unknown and touched:
            yield found(
                LintCode.PORT_SNIFFED,
                f"port {port.port}"
                + (f" (`{port.name}`)" if port.name else "")
                + " does not say what it speaks: proxies look at the first bytes of each connection, and HTTP rules "
                "hold only where those are HTTP",
                service.at("spec", "ports", number),
                service.subject,
                help=f"say it by name, or by `appProtocol`:\nports:\n- {{name: http, port: {port.port}}}",
            )


def _entries(world: World) -> Iterator[Finding]:
    first: dict[tuple[str, int], tuple[ServiceEntry, int]] = {}
    for entry in sorted(world.entries, key=age):
        for number, port in enumerate(entry.spec.ports):
            speaks = entry_protocol(port)
            unread = speaks in (Protocol.TCP, Protocol.REDIS, Protocol.UNKNOWN)
            what = "whatever is not HTTP" if speaks is Protocol.UNKNOWN else "everything"
            if unread and port.protocol.lower() != "udp" and not entry.spec.addresses:
                yield found(
                    LintCode.ENTRY_ADDRESSES_MISSING,
                    f"without `addresses` proxies cannot tell connections for this host from others: {what} on port "
                    f"{port.number} that no service has by its address goes there, unless proxies answer DNS for "
                    "workloads and make up addresses",
                    entry.at("spec", "ports", number),
                    entry.subject,
                    help="give the entry addresses that clients connect to:\naddresses: [240.240.0.1]",
                )
            for host in entry.spec.hosts:
                older, place = first.setdefault((host, port.number), (entry, number))
                if older is entry:
                    continue
                other = older.spec.ports[place]
                default = world.config.default_service_export_to
                seen = visibility(older.spec.export_to or default, older.namespace, entry.namespace) != "hidden"
                if seen and entry_protocol(other) is not speaks:
                    yield found(
                        LintCode.ENTRY_PROTOCOLS_CONFLICT,
                        f"port {port.number} of `{host}` is `{port.protocol}` here and `{other.protocol}` in "
                        f"{older.subject}: a client reads it one way only",
                        entry.at("spec", "ports", number, "protocol"),
                        entry.subject,
                        help="say the same in both, or keep one of them",
                        related=(older.at("spec", "ports", place, "protocol"),),
                    )
