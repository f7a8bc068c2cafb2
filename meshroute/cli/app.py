"""The commands and their arguments.

Errors    every input that cannot be used ends with exit status 2 and says what would be right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

import meshroute as mr
from meshroute.balance.kube_proxy import DIAL_TIMEOUTS
from meshroute.cli import hints, services, show
from meshroute.cli.common import (
    Json,
    Lenient,
    Namespace,
    Notes,
    Paths,
    Registry,
    Repair,
    config,
    load,
    print_json,
    refuse,
)
from meshroute.cli.lint import lint
from meshroute.cli.simulate import simulate
from meshroute.compile.viewpoint import PathNormalization
from meshroute.diagnostics import Diagnostic, to_builtins
from meshroute.draws import is_draw
from meshroute.names import is_ip
from meshroute.request import host_of
from meshroute.shares import Horizon

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Where does a request go in a service mesh? Exactly, offline, and with the reason.",
)

DRAWS = "`stream`, `priority`, `host.0`, `key`, `fault.delay`, `fault.abort`, `zone.gate` and others of spec/draws.md"

Where = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH... URL",
        help="Files or folders with manifests, and the URL that the client asks for (the one with `://`, anywhere).",
        show_default=False,
    ),
]
Method = Annotated[str, typer.Option("--method", "-X", help="The request's method.")]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="'NAME: VALUE'", help="A header line; as often as needed.", show_default=False
    ),
]
From = Annotated[
    str,
    typer.Option(
        "--from", metavar="NAMESPACE", help="Where the client runs [default: as --namespace]", show_default=False
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="KEY=VALUE", help="A label of the client's pod.", show_default=False),
]
Locality = Annotated[
    str,
    typer.Option(
        "--locality",
        metavar="REGION/ZONE/SUBZONE",
        help="Where the client runs; what is left out at the end is not known.",
        show_default=False,
    ),
]
Node = Annotated[
    str,
    typer.Option(
        "--node",
        metavar="NAME",
        help="The node that the client runs on, for Services that keep to it.",
        show_default=False,
    ),
]
Edge = Annotated[
    str,
    typer.Option(
        "--gateway",
        metavar="NAMESPACE/NAME",
        help="Ask the proxy at the edge that serves this Gateway, not a sidecar.",
        show_default=False,
    ),
]
Ambient = Annotated[
    str,
    typer.Option(
        "--waypoint",
        metavar="NAMESPACE/NAME",
        help="Ask this waypoint of an ambient mesh, not a sidecar.",
        show_default=False,
    ),
]
SourceIp = Annotated[
    str,
    typer.Option("--source-ip", metavar="ADDRESS", help="The client's address, for hashing by it.", show_default=False),
]
Seed = Annotated[int, typer.Option(help="The seed that every random draw is derived from.", min=0)]
Draw = Annotated[
    list[str] | None,
    typer.Option("--draw", metavar="NAME=NUMBER", help=f"Pin a draw: {DRAWS}.", show_default=False),
]
StateFile = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="What is remembered before the request, as JSON: requests in flight, turns, who is put aside.",
        show_default=False,
    ),
]
Count = Annotated[
    int,
    typer.Option(
        help="Send so many requests in turn and show where they went; `{n}` in the URL or in a header becomes the"
        " request's number.",
        min=1,
    ),
]

Viewpoint = mr.Sidecar | mr.Gateway | mr.Waypoint


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Where does a request go in a service mesh? Exactly, offline, and with the reason."""
    if version:
        from importlib.metadata import version as installed

        print(f"meshroute {installed('meshroute')}")
        raise typer.Exit


@app.command()
def decide(
    where: Where,
    method: Method = "GET",
    header: Header = None,
    namespace: Namespace = "default",
    from_: From = "",
    label: Label = None,
    locality: Locality = "",
    node: Node = "",
    gateway: Edge = "",
    waypoint: Ambient = "",
    source_ip: SourceIp = "",
    seed: Seed = 0,
    draw: Draw = None,
    state: StateFile = None,
    count: Count = 1,
    repair: Repair = False,
    lenient: Lenient = False,
    registry_only: Registry = False,
    path_normalization: Paths = PathNormalization.DEFAULT,
    notes: Notes = False,
    json: Json = False,
) -> None:
    """Say where a request goes: the rule, the subset, the pod.

    Example: meshroute decide manifests/ http://nginx-service/v2 -H 'Cookie: debug=1'
    """
    paths, ask = _paths_and_ask(where, method, header, source_ip)
    proxy = _viewpoint(namespace, from_, label, locality, node, gateway, waypoint)
    mesh = load(paths, namespace, repair, lenient, config(registry_only, path_normalization), json)
    router, before = _router(mesh, proxy), _state(state)
    if count == 1:
        decision = router.decide(ask.request(0), before, _draws(seed, draw or ()))
        _print(mesh, proxy, ask.request(0), decision, notes, json)
        return
    if draw:
        refuse("--draw pins one request, and --count sends many")
    session = mr.Session(router, seed, before)
    counts: Counter[show.Line] = Counter()
    for number in range(count):
        decision = session.decide(ask.request(number))
        session.finish(decision)
        counts[show.line_of(decision)] += 1
    _print_counts(counts, mesh.diagnostics, notes, json)


@app.command()
def explain(
    where: Where,
    method: Method = "GET",
    header: Header = None,
    namespace: Namespace = "default",
    from_: From = "",
    label: Label = None,
    locality: Locality = "",
    node: Node = "",
    gateway: Edge = "",
    waypoint: Ambient = "",
    source_ip: SourceIp = "",
    seed: Seed = 0,
    draw: Draw = None,
    state: StateFile = None,
    repair: Repair = False,
    lenient: Lenient = False,
    registry_only: Registry = False,
    path_normalization: Paths = PathNormalization.DEFAULT,
    notes: Notes = False,
    json: Json = False,
) -> None:
    """Say where a request goes, and every step that leads there."""
    paths, ask = _paths_and_ask(where, method, header, source_ip)
    proxy = _viewpoint(namespace, from_, label, locality, node, gateway, waypoint)
    mesh = load(paths, namespace, repair, lenient, config(registry_only, path_normalization), json)
    router = _router(mesh, proxy)
    decision = router.explain(ask.request(0), _state(state), _draws(seed, draw or ()))
    _print(mesh, proxy, ask.request(0), decision, notes, json)


@app.command()
def connect(
    where: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH... HOST:PORT",
            help="Files or folders with manifests, and what the client connects to: a name or an address, and a port.",
            show_default=False,
        ),
    ],
    sni: Annotated[
        str, typer.Option("--sni", metavar="NAME", help="The server name that the client says in TLS.")
    ] = "",
    namespace: Namespace = "default",
    from_: From = "",
    label: Label = None,
    locality: Locality = "",
    node: Node = "",
    gateway: Edge = "",
    waypoint: Ambient = "",
    kube_proxy: Annotated[
        str,
        typer.Option(
            "--kube-proxy",
            metavar="MODE",
            help="Ask kube-proxy on --node, not a proxy of the mesh: iptables, nftables, userspace, or ipvs:SCHEDULER.",
        ),
    ] = "",
    shares: Annotated[
        bool, typer.Option("--shares", help="With --kube-proxy: the exact probability of each endpoint.")
    ] = False,
    long_run: Annotated[
        bool, typer.Option("--long-run", help="With --shares: of many connections, not of the next one.")
    ] = False,
    failed: Annotated[
        int,
        typer.Option(
            "--failed",
            metavar="N",
            help="With --kube-proxy userspace: so many dials failed before.",
            min=0,
            max=len(DIAL_TIMEOUTS),
            show_default=False,
        ),
    ] = 0,
    source_ip: SourceIp = "",
    source_port: Annotated[
        int, typer.Option("--source-port", help="The client's port, for hashing by it.", min=0, max=65535)
    ] = 0,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="TCP|UDP|SCTP", help="With --kube-proxy: what is connected by.")
    ] = "TCP",
    seed: Seed = 0,
    draw: Draw = None,
    state: StateFile = None,
    repair: Repair = False,
    lenient: Lenient = False,
    registry_only: Registry = False,
    notes: Notes = False,
    json: Json = False,
) -> None:
    """Say where a connection goes that no proxy reads, TCP or TLS that passes through, and every step that leads there.

    Example: meshroute connect manifests/ orders-db:3306
    """
    paths, connection = _paths_and_connection(where, sni, source_ip, source_port, protocol)
    if kube_proxy:
        others = {"--sni": sni, "--label": label, "--gateway": gateway, "--waypoint": waypoint, "--long-run": long_run}
        for option in [name for name, said in others.items() if said and not (name == "--long-run" and shares)]:
            refuse(f"--kube-proxy and {option} do not go together" + (" without --shares" if long_run else ""))
        mesh = load(paths, namespace, repair, lenient, config(registry_only, PathNormalization.DEFAULT), json)
        service = services.asked(mesh, connection, from_ or namespace, kube_proxy, node, locality)
        horizon: Horizon | None = ("long-run" if long_run else "next") if shares else None
        if failed and horizon is not None:
            refuse("--failed and --shares do not go together: shares are those of the first dial")
        draws = _draws(seed, draw or ())
        services.answer(mesh, service, connection, _state(state), draws, horizon, failed, notes, json)
        return
    if shares or long_run:
        refuse("--shares and --long-run of a connection are answered with --kube-proxy")
    if failed:
        refuse("--failed is about kube-proxy, which dials again in mode userspace: give --kube-proxy userspace")
    proxy = _viewpoint(namespace, from_, label, locality, node, gateway, waypoint)
    mesh = load(paths, namespace, repair, lenient, config(registry_only, PathNormalization.DEFAULT), json)
    router = _router(mesh, proxy)
    before, draws = _state(state), _draws(seed, draw or ())
    try:
        connected = router.connect(connection, before, draws, explain=True)
    except ValueError as error:
        refuse(str(error))
    if json:
        said = [to_builtins(one) for one in mesh.diagnostics]
        print_json({"connected": connected.to_builtins(), "diagnostics": said})
        return
    show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
    if connected.cluster in hints.NOBODY:
        _hint(mesh, proxy, connection.host, connection.port)
    show.print_connected(show.console(), connected)


@app.command()
def shares(
    where: Where,
    method: Method = "GET",
    header: Header = None,
    namespace: Namespace = "default",
    from_: From = "",
    label: Label = None,
    locality: Locality = "",
    node: Node = "",
    gateway: Edge = "",
    waypoint: Ambient = "",
    source_ip: SourceIp = "",
    long_run: Annotated[bool, typer.Option("--long-run", help="Of many requests, not of the next one.")] = False,
    state: StateFile = None,
    repair: Repair = False,
    lenient: Lenient = False,
    registry_only: Registry = False,
    path_normalization: Paths = PathNormalization.DEFAULT,
    notes: Notes = False,
    json: Json = False,
) -> None:
    """Say with what exact probability a request goes where."""
    paths, ask = _paths_and_ask(where, method, header, source_ip)
    proxy = _viewpoint(namespace, from_, label, locality, node, gateway, waypoint)
    mesh = load(paths, namespace, repair, lenient, config(registry_only, path_normalization), json)
    router = _router(mesh, proxy)
    try:
        answer = router.shares(ask.request(0), _state(state), horizon="long-run" if long_run else "next")
    except mr.InexactError as error:
        refuse(str(error))
    if json:
        print_json({"shares": answer.to_builtins(), "diagnostics": [to_builtins(one) for one in mesh.diagnostics]})
        return
    show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
    if any(cluster in hints.NOBODY for cluster in answer.by_cluster):
        _hint(mesh, proxy, host_of(ask.request(0).authority), ask.request(0).port)
    asked = ask.request(0)
    show.print_shares(show.console(), f"{asked.method} {asked.url}", answer)


@app.command()
def moved(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A file or folder with the manifests as they are.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="A file or folder with the manifests as they will be.")],
    host: Annotated[str, typer.Option("--host", help="The service: its name, or its full host.")],
    port: Annotated[int, typer.Option("--port", help="The port of the service.", min=1, max=65535)] = 80,
    subset: Annotated[str, typer.Option("--subset", help="A subset of the service.")] = "",
    namespace: Namespace = "default",
    from_: From = "",
    label: Label = None,
    locality: Locality = "",
    node: Node = "",
    gateway: Edge = "",
    waypoint: Ambient = "",
    ejected: Annotated[
        list[str] | None,
        typer.Option(
            "--ejected", metavar="ADDRESS:PORT", help="An endpoint that is put aside in AFTER.", show_default=False
        ),
    ] = None,
    repair: Repair = False,
    lenient: Lenient = False,
    notes: Notes = False,
    json: Json = False,
) -> None:
    """Say which share of consistently hashed keys changes its pod, and from whom to whom.

    Example: meshroute moved now/ scaled/ --host nginx-service
    """
    proxy = _viewpoint(namespace, from_, label, locality, node, gateway, waypoint)
    meshes = [load([path], namespace, repair, lenient, mr.MeshConfig(), json) for path in (before, after)]
    routers = [_router(mesh, proxy) for mesh in meshes]
    try:
        clusters = [
            mr.find_cluster(router, host, port, subset, ejected=out)
            for router, out in zip(routers, ((), ejected or ()), strict=True)
        ]
        answer = mr.moved(*clusters, locality=routers[0].table.locality)
    except mr.MovedError as error:
        refuse(str(error))
    if json:
        print_json(answer.to_builtins())
        return
    for mesh in meshes:
        show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
    show.print_moved(show.console(), clusters[0].name, answer)


app.command()(lint)
app.command()(simulate)


class _Ask:
    """The request that the arguments describe, once or numbered."""

    def __init__(self, method: str, url: str, headers: Sequence[str], source_ip: str) -> None:
        self._method = method
        self._source_ip = source_ip
        self._url = url
        self._headers = [_name_and_value(one, ":", "--header", "'NAME: VALUE'") for one in headers]
        self._varies = "{n}" in url or any("{n}" in value for _, value in self._headers)
        self._same: mr.Request | None = None

    def request(self, number: int) -> mr.Request:
        """Request number `number`, from 0; made once if they are all alike."""
        if self._same is None or self._varies:
            headers = [(name, value.replace("{n}", str(number))) for name, value in self._headers]
            try:
                url = self._url.replace("{n}", str(number))
                self._same = mr.Request.of(self._method, url, headers, source_ip=self._source_ip)
            except mr.RequestError as error:
                refuse(str(error))
        return self._same


def _name_and_value(text: str, mark: str, option: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip():
        refuse(f"{option} takes {form}, got `{text}`")
    return name.strip(), value.strip(" \t")


def _paths_and_ask(
    where: Sequence[str], method: str, headers: Sequence[str] | None, source_ip: str
) -> tuple[list[str], _Ask]:
    """The arguments apart: paths, and the request. A bad request is refused before any file is read."""
    urls = [one for one in where if "://" in one]
    paths = [one for one in where if "://" not in one]
    if len(urls) != 1:
        refuse(f"give one URL, such as http://nginx-service/v2; got {len(urls) or 'none'}")
    if not paths:
        refuse("give at least one file or folder with manifests")
    ask = _Ask(method, urls[0], headers or (), source_ip)
    ask.request(0)
    return paths, ask


def _paths_and_connection(
    where: Sequence[str], sni: str, source_ip: str, source_port: int, protocol: str
) -> tuple[list[str], mr.Connection]:
    """The arguments apart: paths, and the connection."""
    ends = [one for one in where if re.fullmatch(r".+:[0-9]+", one)]
    paths = [one for one in where if one not in ends]
    if len(ends) != 1:
        refuse(f"give one HOST:PORT, such as orders-db:3306; got {len(ends) or 'none'}")
    if not paths:
        refuse("give at least one file or folder with manifests")
    host, _, port = ends[0].rpartition(":")
    address = host.removeprefix("[").removesuffix("]")
    name, ip = ("", address) if is_ip(address) else (host, "")
    try:
        return paths, mr.Connection(int(port), name, ip, sni, source_ip, source_port, protocol.upper())
    except mr.RequestError as error:
        refuse(str(error))


def _viewpoint(
    namespace: str,
    from_: str,
    labels: Sequence[str] | None,
    locality: str,
    node: str,
    gateway: str,
    waypoint: str,
) -> Viewpoint:
    """The proxy that is asked. What a client says of its pod, a proxy at the edge and a waypoint have no use for."""
    if locality.count("/") > 2:
        refuse(f"--locality takes REGION/ZONE/SUBZONE, got `{locality}`")
    if not gateway and not waypoint:
        pairs = dict(_name_and_value(one, "=", "--label", "KEY=VALUE") for one in labels or ())
        return mr.Sidecar(from_ or namespace, pairs, locality, node)
    option, name = ("--gateway", gateway) if gateway else ("--waypoint", waypoint)
    others = (("--waypoint", waypoint if gateway else ""), ("--from", from_), ("--label", labels), ("--node", node))
    for other, said in others:
        if said:
            refuse(
                f"{option} and {other} do not go together: one proxy is asked, and only a sidecar has a client's pod"
            )
    parts = name.split("/")
    if len(parts) > 2 or not all(parts):
        refuse(f"{option} takes NAMESPACE/NAME, got `{name}`")
    full = name if len(parts) == 2 else f"{namespace}/{name}"
    return mr.Gateway(full, locality=locality) if gateway else mr.Waypoint(full, locality)


def _router(mesh: mr.Mesh, proxy: Viewpoint) -> mr.Router:
    """What the proxy would do. A Gateway that is not there is refused; so is a waypoint that nobody is led through."""
    try:
        router = mesh.router(proxy)
    except ValueError as error:
        refuse(str(error))
    if isinstance(proxy, mr.Waypoint) and not router.table.listeners:
        known = "the label `istio.io/use-waypoint` of Services and Namespaces says whose it is"
        refuse(f"no port of any service has the waypoint `{proxy.full_name}`; {known}")
    return router


def _draws(seed: int, given: Sequence[str]) -> mr.Draws:
    numbers: dict[str, int] = {}
    for one in given:
        name, value = _name_and_value(one, "=", "--draw", "NAME=NUMBER")
        if not value.isdecimal():
            refuse(f"--draw takes NAME=NUMBER, got `{one}`")
        if not is_draw(name):
            refuse(f"--draw: nothing is drawn by the name `{name}`; names are {DRAWS}")
        numbers[name] = int(value)
    try:
        return mr.Draws.of(seed, given=numbers)
    except ValueError as error:
        refuse(str(error))


def _state(path: Path | None) -> mr.State:
    """What the file says is remembered; nothing without one."""
    if path is None:
        return mr.State()
    try:
        return msgspec.json.decode(path.read_bytes(), type=mr.State)
    except OSError as error:
        refuse(f"--state {path}: {error.strerror}")
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        refuse(f"--state {path}: {error}")


def _print(mesh: mr.Mesh, proxy: Viewpoint, asked: mr.Request, decision: mr.Decision, notes: bool, json: bool) -> None:
    if json:
        said = [to_builtins(one) for one in mesh.diagnostics]
        print_json({"decision": decision.to_builtins(), "diagnostics": said})
        return
    show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
    if decision.cluster in hints.NOBODY or decision.route in hints.NOBODY:
        _hint(mesh, proxy, host_of(asked.authority), asked.port)
    show.print_decision(show.console(), decision, asked)


def _hint(mesh: mr.Mesh, proxy: Viewpoint, host: str, port: int) -> None:
    """Say what was overlooked where nobody has the host or the port."""
    if said := hints.overlooked(mesh, proxy, host, port):
        show.console(stderr=True).print(f"hint: {said}", markup=False, soft_wrap=True)


def _print_counts(counts: Counter[show.Line], diagnostics: Sequence[Diagnostic], notes: bool, json: bool) -> None:
    if json:
        rows = [
            {"rule": rule, "subset": subset, "to": to, "requests": requests}
            for (rule, subset, to), requests in sorted(counts.items())
        ]
        print_json(
            {"counts": rows, "requests": counts.total(), "diagnostics": [to_builtins(one) for one in diagnostics]}
        )
        return
    show.print_diagnostics(show.console(stderr=True), diagnostics, notes=notes)
    show.print_counts(show.console(), counts)
