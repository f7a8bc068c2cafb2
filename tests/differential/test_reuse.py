"""Which connection carries a request: the real Envoy 1.40.0 chooses a host for each request, whatever carries it.

spec/reuse.md REUSE-1 to REUSE-3. Requests come one after the other, over connections of every kind; turns are compared
up to the start that Envoy drew and nobody can see.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Any, Final

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamEnded
from msgspec.structs import replace

from meshroute import Router, RoutingTable, Session, State
from meshroute.names import ClusterName
from meshroute.simulate.follow import followed
from meshroute.table import Cluster, Endpoint, HashOnHeader, Maglev, RingHash, RoundRobin
from tests.differential.compare import to_each
from tests.differential.conftest import Tally
from tests.differential.envoy_process import PATIENCE, Connection, Envoy, envoy_path
from tests.differential.servers import Servers
from tests.differential.test_balancing import HOST_HEADER, answering, local
from tests.differential.worlds import Sent

REQUESTS: Final = 60
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


class Counting(Servers):
    """Hosts that answer 200 and count the connections that a proxy opens to them.

    A request with `x-do: hold` is answered when it is let go, by the number of its connection; `arrived` tells these.
    """

    def __init__(self, count: int, *, http2: bool = False) -> None:
        super().__init__()
        self._talk: Final = self._http2 if http2 else self._http1
        self.opened: Final = [0] * count
        self.ports: tuple[int, ...] = ()
        self.arrived: Final = SimpleQueue[int]()
        self._held: Final[dict[int, asyncio.StreamWriter]] = {}

    def let_go(self, connection: int) -> None:
        """Answer the request that is held on this connection."""
        self.loop.call_soon_threadsafe(self._held.pop(connection).write, ANSWER)

    async def start(self) -> None:
        self.ports = tuple(
            [await self.serve(partial(self._talk, number), ("127.0.0.1", 0)) for number in range(len(self.opened))]
        )

    async def _http1(self, host: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self.opened[host]
        self.opened[host] += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"x-do: hold" in head:
                self._held[connection] = writer
                self.arrived.put(connection)
            else:
                writer.write(ANSWER)
                await writer.drain()

    async def _http2(self, host: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened[host] += 1
        talk = H2Connection(H2Configuration(client_side=False))
        talk.initiate_connection()
        writer.write(talk.data_to_send())
        while data := await reader.read(65536):
            for event in talk.receive_data(data):
                if isinstance(event, StreamEnded):
                    talk.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
            writer.write(talk.data_to_send())
            await writer.drain()


class Multiplexed:
    """One HTTP/2 connection of a client, in the clear."""

    def __init__(self, port: int) -> None:
        self._socket: Final = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._talk: Final = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._talk.initiate_connection()

    def ask_all(self, some: Sequence[Sent]) -> list[str]:
        """The hosts of requests that are all begun before one of them has its answer."""
        streams = []
        for one in some:
            stream = self._talk.get_next_available_stream_id()
            fields = {":method": one.method, ":scheme": "http", ":authority": one.authority, ":path": one.target}
            self._talk.send_headers(stream, [*fields.items(), *one.lines], end_stream=True)
            streams.append(stream)
        hosts: dict[int, str] = {}
        ended = set[int]()
        while not ended.issuperset(streams):
            self._socket.sendall(self._talk.data_to_send())
            for event in self._talk.receive_data(self._socket.recv(65536)):
                if isinstance(event, ResponseReceived):
                    hosts[event.stream_id] = {str(name): str(value) for name, value in event.headers}[HOST_HEADER]
                elif isinstance(event, StreamEnded):
                    ended.add(event.stream_id)
        return [hosts[stream] for stream in streams]

    def close(self) -> None:
        """Leave nothing open."""
        self._socket.close()


def _ask(connection: Connection, sent: Sent) -> str:
    return connection.ask(sent.bytes()).headers[HOST_HEADER]


def clusters_of(ports: Sequence[int]) -> list[Cluster]:
    """Turns of equal and of unequal weights, and two kinds of keys."""
    equal, unequal = local(ports, [1] * len(ports)), local(ports, range(1, len(ports) + 1))
    return [
        Cluster(ClusterName("turns"), RoundRobin(), equal),
        Cluster(ClusterName("weighted"), RoundRobin(), unequal),
        Cluster(ClusterName("ring"), RingHash(128), equal),
        Cluster(ClusterName("maglev"), Maglev(251), equal),
    ]


def asked_of(rng: Random, clusters: Sequence[Cluster]) -> list[Sent]:
    """Requests to all of them, mixed, of some users."""
    some = [
        Sent("GET", "h", f"/{one.name}", (("x-user", f"user-{rng.randrange(9)}"),))
        for one in clusters
        for _ in range(REQUESTS)
    ]
    rng.shuffle(some)
    return some


def agree(table: RoutingTable, asked: Sequence[Sent], hosts: Sequence[str]) -> None:
    """The hosts are ours for these requests in this order, from some start of each cluster's turns.

    Few sequences cover all starts that a schedule of unequal weights has, so that trying many meets every one; see
    `test_weighted_round_robin_takes_the_same_turns`.
    """
    router, rng = Router(table), Random(len(asked))
    starts = [*range(1000), *(rng.randrange(2**32) for _ in range(50_000))]
    for one in table.clusters:
        mine = [(sent, host) for sent, host in zip(asked, hosts, strict=True) if sent.target == f"/{one.name}"]

        def follows(start: int, cluster: Cluster = one, mine: list[tuple[Sent, str]] = mine) -> bool:
            session = Session(router, 0, State(starts={cluster.name: start}))
            for sent, host in mine:
                decision = session.decide(sent.request())
                if decision.endpoint is None or decision.endpoint.key != host:
                    return False
                session.finish(decision)
            return True

        assert any(map(follows, starts)), (one, mine)


def test_the_client_s_connection_is_no_part_of_a_choice(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Fresh connections, kept ones, and many streams of one: the order of the requests is all that counts."""
    rng = Random(seed)
    with Counting(4) as upstreams:
        clusters = clusters_of(upstreams.ports)
        table = to_each(clusters, HashOnHeader("x-user"))
        asked, hosts = asked_of(rng, clusters), list[str]()
        with Envoy(answering(table, {}), tmp_path) as envoy:
            kept = [envoy.connect("0:80") for _ in range(3)]
            multiplexed = Multiplexed(envoy.port("0:80"))
            while len(hosts) < len(asked):
                how = rng.randrange(6)
                if how < 3:
                    hosts.append(_ask(kept[how], asked[len(hosts)]))
                elif how == 3:
                    fresh = envoy.connect("0:80")
                    hosts.append(_ask(fresh, asked[len(hosts)]))
                    fresh.close()
                else:
                    hosts += multiplexed.ask_all(asked[len(hosts) : len(hosts) + (1 if how == 4 else 7)])
            multiplexed.close()
    agree(table, asked, hosts)
    tally.counts["requests over connections of every kind"] += len(asked)


def _once(cluster: dict[str, Any]) -> None:
    _options(cluster, {"common_http_protocol_options": {"max_requests_per_connection": 1}})


def _http2(cluster: dict[str, Any]) -> None:
    _options(cluster, {"explicit_http_config": {"http2_protocol_options": {}}})


def _as_it_is(cluster: dict[str, Any]) -> None:
    """Connections of HTTP/1.1, kept for as long as both sides like."""


def _options(cluster: dict[str, Any], said: Mapping[str, Any]) -> None:
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    kind = {"@type": f"type.googleapis.com/{name}", "explicit_http_config": {"http_protocol_options": {}}}
    cluster["typed_extension_protocol_options"] = {name: {**kind, **said}}


@pytest.mark.parametrize(
    ("change", "http2", "keeps"),
    [(_as_it_is, False, True), (_once, False, False), (_http2, True, True)],
    ids=["kept", "one-request-each", "http2"],
)
def test_the_proxy_s_connections_are_no_part_of_a_choice(
    tmp_path: Path,
    tally: Tally,
    seed: int,
    change: Callable[[dict[str, Any]], None],
    http2: bool,
    keeps: bool,
) -> None:
    """The host is chosen first, and then a connection to it: a kept one, one for this request, a stream of one.
    Requests of different clients that come one after the other share what is kept."""
    rng = Random(seed)
    with Counting(4, http2=http2) as upstreams:
        clusters = clusters_of(upstreams.ports)
        table = to_each(clusters, HashOnHeader("x-user"))
        bootstrap = answering(table, {})
        for one in bootstrap["static_resources"]["clusters"]:
            change(one)
        asked = asked_of(rng, clusters)
        with Envoy(bootstrap, tmp_path) as envoy:
            kept = [envoy.connect("0:80") for _ in range(3)]
            hosts = [_ask(rng.choice(kept), sent) for sent in asked]
        opened = sum(upstreams.opened)
    agree(table, asked, hosts)
    # One for each host of each cluster that was chosen, or one for each request.
    chosen = {(sent.target, host) for sent, host in zip(asked, hosts, strict=True)}
    assert opened == (len(chosen) if keeps else len(asked))
    tally.counts["requests over upstream connections of every kind"] += len(asked)


def test_of_free_connections_the_one_freed_last_is_used_first(tmp_path: Path, tally: Tally, seed: int) -> None:
    """As many connections as there are requests at once; who waits least for the next one goes first."""
    rng, count = Random(seed), 5
    with Counting(1) as upstreams:
        table = to_each([Cluster(ClusterName("turns"), RoundRobin(), local(upstreams.ports, [1]))])
        line = Sent("GET", "h", "/turns", (("x-do", "hold"),)).bytes()
        with Envoy(answering(table, {}), tmp_path) as envoy:
            clients = [socket.create_connection(("127.0.0.1", envoy.port("0:80")), PATIENCE) for _ in range(count)]

            def send(client: socket.socket) -> int:
                client.sendall(line)
                return upstreams.arrived.get(timeout=PATIENCE)

            used = [send(one) for one in clients]
            assert used == [*range(count)]
            for _ in range(6):
                freed = rng.sample(range(count), rng.randint(1, count))
                for number in freed:
                    upstreams.let_go(used[number])
                    answer = b""
                    while not answer.endswith(b"\r\n\r\n"):
                        answer += clients[number].recv(65536)
                expected = [used[number] for number in reversed(freed)]
                again = rng.sample(freed, len(freed))
                for number, connection in zip(again, expected, strict=True):
                    used[number] = send(clients[number])
                    assert used[number] == connection
                tally.counts["connections used again"] += len(freed)
            for one in clients:
                one.close()
        assert upstreams.opened == [count]


def _assignment(endpoints: Sequence[Endpoint], version: int) -> str:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": one.address, "port_value": one.port}}}}
        for one in endpoints
    ]
    kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    resource = {"@type": kind, "cluster_name": "turns", "endpoints": [{"lb_endpoints": hosts}]}
    return json.dumps({"version_info": str(version), "resources": [resource]})


def test_endpoints_change_under_a_connection_that_stays(tmp_path: Path, tally: Tally, seed: int) -> None:
    """The next request over an open connection knows the new endpoints, and turns go on; who is gone gets nothing."""
    rng = Random(seed)
    with Counting(6) as upstreams:
        everybody = local(upstreams.ports, [1] * 6)
        lists = [everybody[:3], everybody[:5], everybody[2:5], (everybody[5], *everybody[:2])]
        table = to_each([Cluster(ClusterName("turns"), RoundRobin(), lists[0])])
        bootstrap = dict(answering(table, {}))
        told = tmp_path / "endpoints.json"
        told.write_text(_assignment(lists[0], 0), "utf-8")
        (cluster,) = bootstrap["static_resources"]["clusters"]
        cluster.pop("load_assignment")
        source = {"path_config_source": {"path": str(told)}, "resource_api_version": "V3"}
        cluster.update(type="EDS", eds_cluster_config={"service_name": "turns", "eds_config": source})
        bootstrap["node"] = {"id": "here", "cluster": "here"}
        sent, hosts = Sent("GET", "h", "/turns", ()), list[list[str]]()
        with Envoy(bootstrap, tmp_path) as envoy:
            connection = envoy.connect("0:80")
            for version, some in enumerate(lists):
                if version:
                    new = tmp_path / "new.json"
                    new.write_text(_assignment(some, version), "utf-8")
                    os.replace(new, told)
                wanted = {str(one.key) for one in some}
                envoy.wait(partial(_knows, envoy, wanted), "know the endpoints")
                hosts.append([_ask(connection, sent) for _ in range(rng.randint(4, 9))])
        assert sum(upstreams.opened) == sum(
            len({host for host in mine if number == 0 or host not in _kept(hosts, number, lists)})
            for number, mine in enumerate(hosts)
        )

    def follows(start: int) -> bool:
        session = Session(Router(table), 0, State(starts={"turns": start}))
        for some, mine in zip(lists, hosts, strict=True):
            next_table = replace(table, clusters=(replace(table.clusters[0], endpoints=tuple(some)),))
            session = followed(session, Router(next_table), 0)
            for host in mine:
                decision = session.decide(sent.request())
                if decision.endpoint is None or decision.endpoint.key != host:
                    return False
                session.finish(decision)
        return True

    assert any(map(follows, range(60))), hosts  # a multiple of every length from 3 to 5
    tally.counts["requests while endpoints change"] += sum(map(len, hosts))


def _knows(envoy: Envoy, wanted: set[str]) -> bool:
    (cluster,) = json.loads(envoy.admin("/clusters?format=json"))["cluster_statuses"]
    ends = [one["address"]["socket_address"] for one in cluster.get("host_statuses", ())]
    return {f"{one['address']}:{one['port_value']}" for one in ends} == wanted


def _kept(hosts: Sequence[Sequence[str]], number: int, lists: Sequence[Sequence[Endpoint]]) -> set[str]:
    """Hosts to which a connection is open still: asked before, and known ever since."""
    kept = set[str]()
    for before in range(number):
        kept |= set(hosts[before])
        kept &= {str(one.key) for one in lists[before + 1]}
    return kept
