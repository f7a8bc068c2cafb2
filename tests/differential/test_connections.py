"""Connections that no proxy reads, by meshroute and by the real Envoy 1.40.0: who takes them, and where they go.

As in test_envoy.py every run draws anew, and the printed seed draws the same again. The ends of a connection are what
its PROXY protocol header says, so networks and clients are as they come. What a proxy draws itself is not known here:
then its choice must be one of those that the engine can make. Nobody ends TLS here, which would want a certificate: a
ClientHello is all that is sent, and the vectors of spec/connect.md have the rest.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import pytest

from meshroute import Connected, Connection, Decision, Draws, Request, Router, RoutingTable
from meshroute.conformance import Vector, load_vectors
from meshroute.conformance.envoy import ANSWER_HEADERS
from meshroute.conformance.envoy_connections import DOOR, OTHERWISE, READ, render_connections
from meshroute.decision import Failed
from meshroute.names import ClusterName
from meshroute.table import (
    Chain,
    Cluster,
    Endpoint,
    Forward,
    HashOnSourceIp,
    Listener,
    Maglev,
    OriginalDestination,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from tests.differential.conftest import Tally
from tests.differential.envoy_process import PATIENCE, Envoy, envoy_path

SPEC: Final = Path(__file__).parents[2] / "spec/vectors"
LISTENERS: Final = 40
CONNECTIONS_EACH: Final = 20
AT_A_TIME: Final = 16
SHOWN: Final = 3
SENT: Final = ("UF,URX", "URX")
"""How Envoy says that it chose a host and could not reach it; the second, that it cannot even from its own address."""
NETWORKS: Final = (
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.77.9/16",  # as people write them: the same as two lines above
    "10.1.2.128/25",
    "10.1.2.3/32",
    "10.1.2.3",
    "172.16.0.0/12",
    "fd00::/8",
    "fd00:1::/32",
    "fd00:1::7/128",
)
NAMES: Final = (
    "example.com",
    "*.example.com",
    "a.example.com",
    "A.Example.com",
    "*.a.example.com",
    "x.a.example.com",
    "*.com",
    ".example.com",
    "b",
    "*.b",
)
SAID: Final = ("", "x.a.example.com", "y.a.example.com", "A.EXAMPLE.com", "b.example.com", "example.com", "com", "b")
ODD: Final = ("example.com.", "a.example.com.", ".example.com", "x.b", "x.", "elsewhere.test")
ADDRESSES: Final = ("10.1.2.3", "10.9.9.9", "fd00:1::7")


def _cluster(name: str, policy: Policy, hosts: int) -> Cluster:
    number = sum(map(ord, name)) % 200
    endpoints = tuple(Endpoint(f"127.0.{number}.{host}", 1) for host in range(1, hosts + 1))
    return Cluster(ClusterName(name), policy, endpoints)


CLUSTERS: Final = (
    _cluster("one", RoundRobin(), 1),
    _cluster("two", RoundRobin(), 2),
    _cluster("any", RandomChoice(), 3),
    _cluster("ring", RingHash(64), 5),
    _cluster("maglev", Maglev(251), 5),
    _cluster("empty", RoundRobin(), 0),
    Cluster(ClusterName("there"), OriginalDestination()),
)
SENT_TO: Final = (*(one.name for one in CLUSTERS), "ring", "maglev", "nosuch")


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


class Opened(NamedTuple):
    """A connection, and what is said first on it."""

    port: int
    destination: str
    source: str
    source_port: int
    speaks: Literal["bytes", "tls", "http"]
    server_name: str = ""

    def bytes(self) -> bytes:
        """All that the client sends."""
        family = "TCP6" if ":" in self.destination else "TCP4"
        ends = f"{self.source} {self.destination} {self.source_port} {self.port}"
        return (
            f"PROXY {family} {ends}\r\n".encode()
            + {
                "bytes": b"\x00\x01neither TLS nor HTTP\r\n\r\n",
                "tls": client_hello(self.server_name),
                "http": b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
            }[self.speaks]
        )


def client_hello(server_name: str) -> bytes:
    """A ClientHello of TLS 1.2 with a server name, or without any."""

    def sized(octets: int, content: bytes) -> bytes:
        return len(content).to_bytes(octets, "big") + content

    names = sized(2, b"\0" + sized(2, server_name.encode()))
    extensions = b"\0\0" + sized(2, names) if server_name else b""
    hello = b"\3\3" + bytes(32) + sized(1, b"") + sized(2, b"\x13\x01") + sized(1, b"\0") + sized(2, extensions)
    return b"\x16\3\1" + sized(2, b"\1" + sized(3, hello))


class Verdict(NamedTuple):
    """What became of a connection: the chain, and for one that reads requests the route; the cluster, the endpoint."""

    chain: str
    route: str = ""
    cluster: str = ""
    host: str = ""
    flag: str = ""


def possible(router: Router, opened: Opened) -> set[Verdict]:
    """Everything that the engine says may become of a connection, over all that a proxy draws."""
    return {
        verdict
        for stream in range(12)  # a multiple of every sum of weights that is drawn below
        for verdict in _each_host(router, opened, _ask(router, opened, Draws.of(given={"stream": stream})))
    }


def _ask(router: Router, opened: Opened, draws: Draws) -> Connected | Decision | None:
    """None where requests are read, and this is none."""
    ends = (opened.source, opened.destination, opened.source_port)
    if opened.speaks == "http":
        source, destination, port = ends
        asked = Request.of(
            "GET", "http://h/", port=opened.port, source_ip=source, destination_ip=destination, source_port=port
        )
        return router.decide(asked, draws=draws)
    try:
        return router.connect(
            Connection(
                opened.port,
                destination_ip=opened.destination,
                server_name=opened.server_name,
                source_ip=opened.source,
                source_port=opened.source_port,
            ),
            draws=draws,
        )
    except ValueError:
        return None


def _each_host(router: Router, opened: Opened, got: Connected | Decision | None) -> Iterator[Verdict]:
    if got is None:
        yield Verdict(READ)
        return
    name = got.route if isinstance(got, Decision) else got.chain
    listeners = router.table.listeners
    routes = {route.name for one in listeners for host in one.virtual_hosts for route in host.routes}
    chain, route = (READ, name) if name in routes else (name, "")
    cluster = got.cluster or ""
    if isinstance(got.outcome, Failed):
        flag = "NR" if got.outcome.details == "no_listener" else got.outcome.flag
        if route:
            assert got.outcome.status == 503
        else:
            assert got.outcome.status == 0
        yield Verdict(chain, route, cluster if flag == "UH" else "", "", flag)
        return
    assert got.endpoint is not None
    used = next(one for one in CLUSTERS if one.name == cluster)
    chosen = _forward(router.table, name)
    if isinstance(used.policy, OriginalDestination) or (
        isinstance(used.policy, RingHash | Maglev) and chosen is not None and chosen.hash_policies
    ):
        yield Verdict(chain, route, cluster, _host(got.endpoint), "UF")
    else:
        yield from (Verdict(chain, route, cluster, _host(one), "UF") for one in used.endpoints)


def _host(endpoint: Endpoint) -> str:
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{address}:{endpoint.port}"


def _forward(table: RoutingTable, name: str) -> Forward | None:
    return next((one.forward for listener in table.listeners for one in listener.chains if one.name == name), None)


# What is asked


def _table(random: Random) -> RoutingTable:
    listeners = []
    for port in range(1000, 1000 + LISTENERS):
        address = random.choice(("", "", "", *ADDRESSES))
        listeners.append(_listener(random, port, address))
        if address and random.random() < 0.5:
            listeners.append(_listener(random, port, ""))
    return RoutingTable(tuple(listeners), CLUSTERS, ClusterName(random.choice(("", "one", "there"))))


def _listener(random: Random, port: int, address: str) -> Listener:
    label = f"{port}{'@' if address else ''}"
    sniffs, reads = random.choice(((False, False), (False, False), (False, True), (True, True)))
    taken = {("any", "")} if reads and not sniffs else set[tuple[str, str]]()
    chains: list[Chain] = []
    for number in range(random.randint(0 if reads else 1, 6)):
        networks = tuple(random.sample(NETWORKS, random.choice((0, 1, 1, 2))))
        names = tuple(random.sample(NAMES, random.choice((0, 0, 1, 2, 3))))
        claims = [
            (str(ip_network(network, strict=False)) if network else "any", name.lower().removeprefix("*"))
            for network in networks or ("",)
            for name in names or ("",)
        ]
        if len(set(claims)) == len(claims) and not taken & set(claims):
            taken |= set(claims)
            chains.append(Chain(_forwarding(random), (), f"{label}.{number}", None, networks, names))
    hosts: tuple[VirtualHost, ...] = ()
    if reads or not chains:
        sent = Forward((WeightedCluster(ClusterName(random.choice(("one", "two", "empty")))),))
        hosts = (VirtualHost("h", ("*",), (Route(RouteMatch(), sent, f"r{label}"),)),)
    return Listener(
        port, hosts, address=address, chains=tuple(chains), sniffs=sniffs, falls_through=random.random() < 0.5
    )


def _forwarding(random: Random) -> Forward:
    weights = random.choice(((1,), (1,), (1, 1), (1, 2), (2, 0, 2), (1, 3, 2)))
    clusters = [
        WeightedCluster(ClusterName(name), weight)
        for name, weight in zip(random.choices(SENT_TO, k=len(weights)), weights, strict=True)
    ]
    return Forward(tuple(clusters), (HashOnSourceIp(),) if random.random() < 0.6 else ())


def _connections(random: Random, table: RoutingTable) -> Iterator[Opened]:
    source_port = 10_000
    for listener in table.listeners:
        networks = [one for chain in listener.chains for one in chain.destinations] or list(NETWORKS)
        names = [one for chain in listener.chains for one in chain.server_names] or list(NAMES)
        for _ in range(CONNECTIONS_EACH):
            source_port += 1
            destination = random.choice((listener.address or _near(random, random.choice(networks)), *ADDRESSES[:1]))
            if random.random() < 0.3:
                destination = _near(random, random.choice(NETWORKS))
            source = f"fd00::{random.randint(1, 9999):x}" if ":" in destination else f"192.0.2.{random.randint(1, 254)}"
            port = listener.port if random.random() < 0.97 else 999
            speaks = random.choice(("bytes", "tls", "tls", "tls", "http"))
            name = ""
            if speaks == "tls":
                name = random.choice((_said(random, random.choice(names)), random.choice(SAID), random.choice(ODD)))
            yield Opened(port, destination, source, source_port, speaks, name)  # type: ignore[arg-type]  # a literal


def _near(random: Random, network: str) -> str:
    """An address at one of the ends of a network, in it or just beyond it."""
    within = ip_network(network, strict=False)
    first, last = int(within.network_address), int(within.broadcast_address)
    kind = type(within.network_address)
    return str(kind(random.choice((first, last, first - 1, last + 1, random.randint(first, last)))))


def _said(random: Random, name: str) -> str:
    """A server name that a chain may be about."""
    made = name.replace("*", random.choice(("x", "a", "x.y", "")), 1)
    return random.choice((made, made.upper(), f"x.{made}", made.partition(".")[2]))


# What became of it


def _open_all(envoy: Envoy, some: Sequence[Opened]) -> dict[int, bytes]:
    """Every one until the proxy ends it; what it said, by the client's port. Several at a time, because it waits for
    hosts that nobody can reach."""
    door = envoy.port(DOOR)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(pool.map(lambda opened: (opened.source_port, _open(door, opened)), some))


def _open(door: int, opened: Opened) -> bytes:
    said = b""
    with socket.create_connection(("127.0.0.1", door), PATIENCE) as talk:
        talk.sendall(opened.bytes())
        with suppress(ConnectionResetError):  # ended with something unread, as a proxy may
            while more := talk.recv(65536):
                said += more
    return said


def _envoys(log: Path, said: dict[int, bytes]) -> dict[int, Verdict]:
    found: dict[int, Verdict] = {}
    for line in log.read_text("utf-8").splitlines():
        entry = {key: value or "" for key, value in json.loads(line).items()}
        source_port = int(entry["client"].rpartition(":")[2])
        assert source_port not in found, f"logged twice: {line}"
        if entry["chain"] == READ:
            found[source_port] = _of_answer(said[source_port])
            continue
        chain = "" if entry["chain"] == OTHERWISE else entry["chain"]
        flag = "UF" if entry["flags"] in SENT else entry["flags"]
        cluster = entry["cluster"].partition(":")[2]
        found[source_port] = Verdict(chain, "", cluster, entry["host"], flag)
    return found


def _of_answer(answer: bytes) -> Verdict:
    lines = [line.split(": ", 1) for line in answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]]
    headers = {one[0]: one[-1] for one in lines}
    flags, details, route, cluster, host = (headers.get(name, "") for name in ANSWER_HEADERS)
    if details.startswith("http1.codec_error"):  # no request at all
        return Verdict(READ)
    return Verdict(READ, route, cluster.partition(":")[2], host, flags)


def test_connections_go_where_envoy_sends_them(seed: int, tally: Tally, tmp_path: Path) -> None:
    """The chain, the cluster, the endpoint; or nobody, and then for the same reason."""
    random = Random(f"{seed} connections")
    table = _table(random)
    router = Router(table)
    some = list(_connections(random, table))
    log = tmp_path / "connections.log"
    with Envoy(render_connections(table, str(log)), tmp_path) as envoy:
        said = _open_all(envoy, some)
    theirs = _envoys(log, said)
    found = []
    seen = Counter[str]()
    for opened in some:
        mine = possible(router, opened)
        tally.counts["connections"] += 1
        verdict = theirs[opened.source_port]
        seen.update((verdict.flag or "read", opened.speaks))
        if verdict not in mine:
            listeners = [one for one in table.listeners if one.port == opened.port]
            found.append(f"{opened}\nmeshroute: {sorted(mine)}\nenvoy:     {verdict}\nlisteners: {listeners}")
    assert len(some) >= LISTENERS * CONNECTIONS_EACH
    assert set(seen) >= {"UF", "UH", "NC", "NR", "read", "bytes", "tls", "http"}, seen
    assert not found, f"{len(found)} differences\n" + "\n\n".join(found[:SHOWN])


def _of_vectors() -> list[Vector]:
    found = [one for one in load_vectors(SPEC) if one.name.startswith("connect/") and "observed" in one.origin]
    assert {one.name for one in found} == {"connect/chains", "connect/requests"}
    return found


@pytest.mark.parametrize("vector", _of_vectors(), ids=lambda one: one.name)
def test_the_vectors_say_what_envoy_says(vector: Vector, tally: Tally, tmp_path: Path) -> None:
    """Every case of the vectors that claim to be observed, put to Envoy itself."""
    asked = [_of_case(case, 20_000 + number) for number, case in enumerate(vector.when)]
    given = vector.given["table"] if vector.kind == "decision" else vector.when[0]["arguments"]["table"]
    log = tmp_path / "connections.log"
    table = RoutingTable.from_json(json.dumps(given))
    with Envoy(render_connections(table, str(log)), tmp_path) as envoy:
        said = _open_all(envoy, asked)
    theirs = _envoys(log, said)
    for case, opened in zip(vector.when, asked, strict=True):
        tally.counts["connections of vectors"] += 1
        verdict, expect = theirs[opened.source_port], case["expect"]
        name = expect.get("route" if vector.kind == "decision" else "chain", "")
        failed = expect["outcome"] == "failed"
        wanted = {
            "name": name,
            "cluster": "" if failed and expect["flag"] != "UH" else expect.get("cluster", verdict.cluster),
            "host": expect.get("endpoint", verdict.host),
            "flag": expect["flag"] if failed else "UF",
        }
        got = {"name": verdict.route or verdict.chain, **verdict._asdict()}
        assert {key: got[key] for key in wanted} == wanted, case["case"]


def _of_case(case: Mapping[str, Any], source_port: int) -> Opened:
    if "request" not in case:
        asked = dict(case["arguments"]["connection"])
        name = asked.get("server_name", "")
        client = asked.get("source_ip", "192.0.2.9")
        return Opened(asked["port"], asked["destination_ip"], client, source_port, "tls" if name else "bytes", name)
    asked = dict(case["request"])
    url = urlsplit(asked["url"])
    host, port = str(url.hostname), int(asked.get("port", url.port or 0))
    if url.scheme == "https":
        return Opened(port, asked["destination_ip"], "192.0.2.9", source_port, "tls", host)
    return Opened(port, asked["destination_ip"], "192.0.2.9", source_port, "http")


def test_addresses_are_what_they_are_taken_for() -> None:
    """The destinations that are drawn lie on both sides of the ends of networks."""
    random = Random(7)
    inside = Counter(ip_address(_near(random, "10.1.0.0/16")) in ip_network("10.1.0.0/16") for _ in range(200))
    assert inside[True] > 0
    assert inside[False] > 0
