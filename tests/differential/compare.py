"""Asking two engines the same, and making what differs small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from msgspec.structs import replace

from meshroute import Decision, Draws, Request, Router, RoutingTable
from meshroute.arrive import NO_PATH, PATH_REFUSED
from meshroute.conformance.envoy import ANSWER_HEADERS, cluster_of, listener_name, render
from meshroute.decision import Failed, Forwarded, Redirected, Responded
from meshroute.match.predicate import is_grpc
from meshroute.names import ClusterName, unwire
from meshroute.table import (
    Choice,
    Cluster,
    Exact,
    ExactMap,
    Forward,
    HashOnHeader,
    Listener,
    Maglev,
    Matcher,
    Ordered,
    OriginalDestination,
    PrefixMap,
    RequireTls,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from meshroute.trace import TurnedAway
from tests.differential.envoy_process import Answer, Envoy
from tests.differential.worlds import Sent, named

SHOWN: Final = 3
"""Differences printed in full; more of them rarely say more."""


TURNED_AWAY: Final = (PATH_REFUSED.details, NO_PATH.details)
"""How a proxy says that it asked no route; there is no flag for that."""


class Verdict(NamedTuple):
    """What an engine says of a request. `hosts` are all that a policy may choose, "" for nobody where a draw may also
    meet nobody; a proxy names the one it chose."""

    status: int
    flag: str
    route: str
    cluster: str
    hosts: tuple[str, ...]
    body: bytes | None
    location: str = ""


def ours(router: Router, request: Request, draws: Draws) -> Verdict:
    """meshroute's answer. Explained, so that the steps' own assertions are put to the test too."""
    decision = router.explain(request, draws=draws)
    assert decision == replace(router.decide(request, draws=draws), trace=decision.trace)
    match decision.outcome:
        case Forwarded():
            status = 200 if is_grpc(request) else 503
            hosts = _hosts(router, request, decision)
            return Verdict(status, "UF", decision.route, decision.cluster or "", hosts, None)
        case Responded(status, body):
            sent_body = b"" if request.method == "HEAD" else body.encode("latin-1")
            return Verdict(status, "-", decision.route, "", (), sent_body)
        case Redirected(status, location) if isinstance(decision.trace[-1], TurnedAway):
            return Verdict(status, decision.trace[-1].details, "", "", (), None, location)
        case Redirected(status, location):
            return Verdict(status, "-", decision.route, "", (), b"", location)
        case Failed(status, "", details):
            return Verdict(status, details, "", "", (), None)
        case Failed(status, flag):
            # Envoy does not say which cluster it looked for in vain.
            cluster = decision.cluster or "" if flag == "UH" else ""
            hosts = _hosts(router, request, decision) if cluster else ()
            return Verdict(status, flag, decision.route, cluster, () if hosts == ("",) else hosts, None)


def _hosts(router: Router, request: Request, decision: Decision) -> tuple[str, ...]:
    """The chosen endpoint where the choice follows from the request, else all that a draw or a turn may choose."""
    table = router.table
    cluster = next(one for one in table.clusters if one.name == decision.cluster)
    follows = isinstance(cluster.policy, OriginalDestination)
    if isinstance(cluster.policy, (RingHash, Maglev)):
        follows = not any(type(step).__name__ == "KeyMissing" for step in decision.trace)
    if follows:
        return (decision.endpoint.key if decision.endpoint is not None else "",)
    members = {one.key for one in cluster.endpoints}
    possible = router.shares(request, horizon="long-run").by_endpoint
    # A draw may lead to nobody: to the degraded endpoints of a ring, or to a priority that fails in a panic.
    alone = Router(to_each([cluster])).shares(Request.of("GET", f"http://h/{cluster.name}"), horizon="long-run")
    nobody = ("",) if None in alone.by_endpoint else ()
    return (*nobody, *sorted(str(key) for key in possible if key in members))


def envoys(answer: Answer) -> Verdict:
    """Envoy's answer."""
    flags, details, route, cluster, host = (answer.headers.get(name, "") for name in ANSWER_HEADERS)
    if details in TURNED_AWAY:  # the route that it names then is one that it looks for to write its log
        return Verdict(answer.status, details, "", "", (), None, answer.headers.get("location", ""))
    if set(flags.split(",")) == {"UF", "URX"}:  # tried as often as the route says, and never connected
        flags = "UF"
    body = None if flags in ("UF", "UH", "NR", "NC") else answer.body
    hosts = (host,) if host else ()
    return Verdict(answer.status, flags, route, cluster_of(cluster), hosts, body, answer.headers.get("location", ""))


def agree(mine: Verdict, theirs: Verdict) -> bool:
    """Equal, the one host among those that may be chosen. A fixed answer of 201 or 3xx says where the request went,
    which nobody asked for: it is no redirect."""
    if not mine.location and mine.flag == "-":
        theirs = theirs._replace(location="")
    drawn = (theirs.hosts or ("",))[0]
    if mine.flag in ("UF", "UH") and theirs.flag == ("UF" if drawn else "UH") and drawn in mine.hosts:
        mine = mine._replace(flag=theirs.flag, hosts=theirs.hosts)
    return mine == theirs


class Case(NamedTuple):
    """One comparison."""

    table: int
    port: int
    sent: Sent

    def ours(self, routers: Sequence[Router]) -> Verdict:
        """meshroute's answer."""
        draws = Draws.of(given={"stream": self.sent.stream})
        return ours(routers[self.table], self.sent.request(self.port), draws)


def differences(
    envoy: Envoy, routers: Sequence[Router], cases: Sequence[Case], count: Callable[[Verdict], None] = lambda _: None
) -> list[tuple[Case, Verdict, Verdict]]:
    """Put the cases to both; the ones on which they differ."""
    found = []
    for case in cases:
        mine = case.ours(routers)
        theirs = envoys(envoy.ask(listener_name(case.table, case.port), case.sent.bytes(case.port)))
        count(mine)
        if not agree(mine, theirs):
            found.append((case, mine, theirs))
    return found


_PLAIN: Final = Cluster(ClusterName("plain"), RoundRobin())


def smaller(table: RoutingTable, case: Case) -> Iterator[tuple[RoutingTable, Case]]:
    """The case with one thing less: a listener, a virtual host, a domain, a route, a condition, a header
    line, an endpoint, a setting of a cluster."""

    def without(some: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        return (some[:at] + some[at + 1 :] for at in range(len(some)))

    def within(some: tuple[Any, ...], shrink: Callable[[Any], Iterator[Any]]) -> Iterator[tuple[Any, ...]]:
        yield from without(some)
        for at, one in enumerate(some):
            yield from ((*some[:at], less, *some[at + 1 :]) for less in shrink(one))

    def of_route(route: Route) -> Iterator[Route]:
        asked = route.match
        for field in ("headers", "query", "cookies", "metadata"):
            for some in without(getattr(asked, field)):
                yield replace(route, match=replace(asked, **{field: some}))
        for field in ("grpc", "portion"):
            if getattr(asked, field):
                yield replace(route, match=replace(asked, **{field: None if field == "portion" else False}))

    def of_matcher(matcher: Matcher | None) -> Iterator[Matcher]:
        match matcher:
            case Choice(routes):
                yield from (Choice(some) for some in within(routes, of_route) if some)
            case ExactMap(_, table, otherwise) | PrefixMap(_, table, otherwise):
                yield from table.values()
                for key, led in table.items():
                    if len(table) > 1:
                        yield replace(matcher, map={one: table[one] for one in table if one != key})
                    yield from (replace(matcher, map={**table, key: less}) for less in of_matcher(led))
            case Ordered(cases, otherwise):
                yield from (led for _, led in cases)
            case _:
                return
        if not isinstance(matcher, Choice) and otherwise is not None:
            yield otherwise
            yield replace(matcher, otherwise=None)

    def of_host(host: VirtualHost) -> Iterator[VirtualHost]:
        if host.require_tls is not RequireTls.NONE:
            yield replace(host, require_tls=RequireTls.NONE)
        yield from (replace(host, matcher=led) for led in of_matcher(host.matcher))
        yield from (replace(host, domains=some) for some in without(host.domains) if some)
        yield from (replace(host, routes=some) for some in within(host.routes, of_route))

    def of_listener(listener: Listener) -> Iterator[Listener]:
        plain = Listener(listener.port, ())
        for field in ("ignore_port", "host_header", "ignore_path_parameters", "arrival"):
            if getattr(listener, field) != getattr(plain, field):
                yield replace(listener, **{field: getattr(plain, field)})
        for field in listener.arrival.__struct_fields__:
            if getattr(listener.arrival, field) != getattr(plain.arrival, field):
                arrival = replace(listener.arrival, **{field: getattr(plain.arrival, field)})
                yield replace(listener, arrival=arrival)
        yield from (replace(listener, virtual_hosts=some) for some in within(listener.virtual_hosts, of_host))

    for listeners in within(table.listeners, of_listener):
        if any(one.port == case.port for one in listeners):
            yield replace(table, listeners=listeners), case

    def of_cluster(cluster: Cluster) -> Iterator[Cluster]:
        yield from (replace(cluster, endpoints=some) for some in without(cluster.endpoints))
        for field in ("panic", "overprovisioning", "weighted_health", "locality_weights"):
            plain = replace(cluster, **{field: getattr(_PLAIN, field)})
            if plain != cluster:
                yield plain

    for clusters in within(table.clusters, of_cluster):
        yield replace(table, clusters=clusters), case
    for lines in without(case.sent.lines):
        yield table, case._replace(sent=case.sent._replace(lines=lines))


def report(tables: Sequence[RoutingTable], found: Sequence[tuple[Case, Verdict, Verdict]], folder: Path) -> str:
    """The first differences, each made as small as it can be made by leaving things out while it still differs."""
    parts = [f"{len(found)} differences"]
    for case, mine, theirs in found[:SHOWN]:
        table = tables[case.table]
        for _ in range(60):  # rounds: each leaves out one thing more
            candidates = list(smaller(table, case))
            with Envoy(render([one for one, _ in candidates], custom_methods=True), folder) as envoy:
                still = differences(
                    envoy,
                    [Router(one) for one, _ in candidates],
                    [asked._replace(table=number) for number, (_, asked) in enumerate(candidates)],
                )
            if not still:
                break
            less, mine, theirs = still[0]
            table, case = candidates[less.table][0], less
        parts.append(f"{case.sent.bytes(case.port)!r}\nmeshroute: {mine}\nenvoy:     {theirs}")
        parts.append(f"to be kept below spec/vectors, with its clauses and a story:\n{as_vector(table, case, theirs)}")
    return "\n".join(parts)


def as_vector(table: RoutingTable, case: Case, theirs: Verdict) -> str:
    """What Envoy said to a case, as a vector."""
    sent = case.sent
    outcome = {"UF": "forwarded", "-": "redirected" if theirs.location else "responded"}.get(theirs.flag, "failed")
    expect: dict[str, Any] = {"outcome": outcome}
    if outcome != "forwarded":
        expect["status"] = theirs.status
    if outcome == "failed":
        expect["flag"] = theirs.flag
    if theirs.cluster:
        expect["cluster"] = theirs.cluster
    if theirs.hosts:
        expect["endpoint"] = theirs.hosts[0]
    request = {
        "method": sent.method,
        "url": unwire(f"http://{sent.authority}{sent.target}"),
        "headers": [[name, unwire(value)] for name, value in sent.lines],
        "port": case.port,
        "source_ip": "127.0.0.1",
        **({"destination_ip": sent.destination} if sent.destination else {}),
    }
    return vector_of(table, {"request": request, "draws": {"stream": sent.stream}, "expect": expect})


def vector_of(table: RoutingTable, case: dict[str, Any]) -> str:
    """One case of a table, as a file of vectors; its clauses and its story are for whoever keeps it."""
    vector = {
        "vector": 1,
        "kind": "decision",
        "clauses": [],
        "origin": {"observed": "envoy 1.40.0"},
        "story": "",
        "given": {"table": json.loads(table.to_json())},
        "when": [{"case": "found", **case}],
    }
    return yaml.safe_dump(vector, sort_keys=False, width=120)


def one_listener(routes: Sequence[Route], clusters: Sequence[Cluster]) -> RoutingTable:
    """Everything behind one virtual host on port 80."""
    return named(RoutingTable((Listener(80, (VirtualHost("all", ("*",), tuple(routes)),)),), tuple(clusters)))


def to_each(clusters: Sequence[Cluster], *policies: HashOnHeader) -> RoutingTable:
    """Cluster `c7` behind the path `/c7`."""
    routes = [
        Route(RouteMatch(Exact(f"/{one.name}")), Forward((WeightedCluster(one.name),), policies)) for one in clusters
    ]
    return one_listener(routes, clusters)
