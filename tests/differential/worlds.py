"""Tables and requests to put to two engines: the small worlds of the properties, and what only a proxy would trip over.

Bounds: those of tests/strategies/tables.py, and besides them few odd spellings of each part of a request, so that each
meets many tables: ports that are no numbers, dots and slashes that a proxy might tidy up, fragments, blanks round
values, bytes that are no UTF-8, headers that a proxy joins. Requests are kept as written: `Sent` is what goes out in
bytes and, made a Request, what the engine is asked. Nothing is made with the code under test.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Request
from meshroute.conformance.envoy import DESTINATION_HEADER, STREAM_HEADER
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    Exact,
    Forward,
    HashFunction,
    HashOnCookie,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    HeaderMatch,
    Health,
    Listener,
    Maglev,
    OriginalDestination,
    PathMatch,
    Pattern,
    Policy,
    Prefix,
    Present,
    QueryMatch,
    QueryValue,
    Redirect,
    Respond,
    RingHash,
    Route,
    RouteMatch,
    RoutingTable,
    TextMatch,
    VirtualHost,
    WeightedCluster,
)
from tests.strategies import tables as small

T = TypeVar("T")

HOSTS = (*small.HOSTS, "x.c", "[fd00::1]")
DOMAINS = (*small.DOMAINS, "*b.test", "a.*", "A.Test", "c:80", "[fd00::1]", "a.*.test", "x.b.test")
# Envoy answers 400 to bytes above 0x7E in the target of an HTTP/1 request: spec/differences.yaml.
ODD_PATHS = ("/v2/../w", "/v2/./", "//v", "/v2//", "/v%32", "/v%2Fw", "/v2;a=b", "/v%C3%A9", '/v"<>\\^`{|}')
PATHS = (*(path for path in small.PATHS if path.isascii()), *ODD_PATHS)
QUERIES = (
    *("", "?", "?k=a", "?k=ab&k=a", "?k", "?k=", "?K=a&q=", "?q=%61", "?k==a", "?k=a?b", "?&k=a", "?q&k=A", "?k;q=a"),
    *("#k", "?k=a#b", "#?k=a", "?k=a+b&q=a b".replace(" ", "%20")),
)
HEADERS = ("x-user", "cookie", "accept", "x-forwarded-for", "x-other")
ASKED = (*HEADERS, ":method", ":path", ":scheme", ":authority", "host")
VALUES = (*small.VALUES, "a,b", "a, b", "a b", "/v2", "http", "\xe9", "\xc3\xa9", "a\tb")
SENT_VALUES = (*VALUES, " a", "a ", "\ta \t", "a=1; b=2", 'b=;a="x"', "a ; b = 1")
PATTERNS = (
    *small.PATTERNS,
    *("/v2", "(?:/|//)v.*", "\\xe9", "\xc3\xa9", "[^a]", "..", "a$", "^a", "(?i)A", "a*|", "\\w+", "[[:alpha:]]{1,2}"),
    *("(a|b)+,?.*", "\\Aa\\z", "/(?P<v>v2)/?.*", "\\pL", "a\\b.*"),
)
STREAMS = st.integers(0, 40) | small.U64


class Sent(NamedTuple):
    """A request as it is written on the wire, in wire form, and the draw that it pins."""

    method: str
    authority: str
    target: str
    lines: tuple[tuple[str, str], ...]
    stream: int = 0
    destination: str = ""

    def request(self, port: int = 80) -> Request:
        """As the engine is asked."""
        return Request(
            self.method,
            self.authority,
            self.target,
            self.lines,
            port=port,
            source_ip="127.0.0.1",
            destination_ip=self.destination,
        )

    def bytes(self, port: int = 80) -> bytes:
        """As Envoy is asked."""
        lines = [("Host", self.authority), *self.lines, (STREAM_HEADER, str(self.stream))]
        if self.destination:
            lines.append((DESTINATION_HEADER, f"{self.destination}:{port}"))
        head = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}:{value}" for name, value in lines), "", ""]
        return "\r\n".join(head).encode("latin-1")


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    """Any of the spellings, mostly the plain ones."""
    authority = draw(st.sampled_from(HOSTS)) + draw(st.sampled_from(("", "", "", ":80", ":81", ".", ":", ":x")))
    names = st.sampled_from((*HEADERS, "X-User", "x-USER", "Cookie", "ACCEPT"))
    return Sent(
        method=draw(st.sampled_from(("GET", "GET", "get", "POST", "HEAD", "PURGE"))),
        authority=draw(st.sampled_from((authority, authority.upper()))),
        target=draw(st.sampled_from(PATHS)) + draw(st.sampled_from(QUERIES)),
        lines=tuple(draw(st.lists(st.tuples(names, st.sampled_from(SENT_VALUES)), max_size=3))),
        stream=draw(STREAMS),
        destination=draw(st.sampled_from(("10.9.0.1", "10.9.0.2"))),
    )


def _few(conditions: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """Mostly none: a route that asks for everything is never met."""
    none: st.SearchStrategy[tuple[T, ...]] = st.just(())
    return st.one_of(none, st.lists(conditions, min_size=1, max_size=2).map(tuple))


path_matches: st.SearchStrategy[PathMatch] = st.one_of(
    st.builds(Exact, st.sampled_from(PATHS), st.booleans()),
    st.builds(Prefix, st.sampled_from((*PATHS, "", "v", "/v2?")), st.booleans()),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
)
text_matches: st.SearchStrategy[TextMatch] = st.one_of(
    st.builds(Exact, st.sampled_from(VALUES), st.booleans()),
    st.builds(Prefix, st.sampled_from(VALUES).filter(bool), st.booleans()),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
    st.just(Present()),
)
route_matches = st.builds(
    RouteMatch,
    path_matches,
    _few(st.builds(HeaderMatch, st.sampled_from(ASKED), text_matches, st.booleans(), st.booleans())),
    _few(st.builds(QueryMatch, st.sampled_from(("k", "q", "k;q", "K")), text_matches)),
)
CLUSTERS = tuple(map(ClusterName, ("one", "two", "ring", "same", "gone")))
weighted = st.lists(
    st.builds(WeightedCluster, st.sampled_from(CLUSTERS), st.integers(0, 9)), min_size=1, max_size=4
).filter(lambda some: any(one.weight for one in some))
hash_policies: st.SearchStrategy[HashPolicy] = st.one_of(
    st.builds(HashOnHeader, st.sampled_from(ASKED), st.booleans()),
    st.builds(HashOnCookie, st.sampled_from(("a", "b")), st.booleans()),
    st.builds(HashOnQuery, st.sampled_from(("k", "q", "K")), st.booleans()),
    st.builds(HashOnSourceIp, st.booleans()),
)
forwards = st.builds(Forward, weighted.map(tuple), st.lists(hash_policies, max_size=3).map(tuple))
responses = st.builds(Respond, st.integers(200, 599), st.sampled_from(("", "body", "\xc3\xa9")))
_AUTHORITIES = ("", "", "new.test", "new.test:99", "[fd00::2]")
_SAME = {"status": st.sampled_from((301, 302, 303, 307, 308)), "scheme": st.sampled_from(("", "http", "https"))}
redirects = st.builds(
    Redirect,
    authority=st.sampled_from(_AUTHORITIES),
    port=st.sampled_from((0, 0, 80, 443, 8443)),
    path=st.sampled_from(("", "/n", "/n?z=1", "n", "/n?", "/n#f")),
    **_SAME,
) | st.builds(Redirect, prefix=st.sampled_from(("/", "/new", "/new/", "new", "/a?b")), **_SAME)
actions = st.one_of(forwards, forwards, forwards, responses, redirects)
routes = st.builds(Route, route_matches, actions)
last_resorts = st.builds(Route, st.just(RouteMatch(Prefix(""))), actions)
endpoints = st.lists(
    st.tuples(st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY)), st.integers(1, 4)), max_size=5
).map(
    lambda drawn: tuple(
        Endpoint(f"10.8.0.{number}", 80, "", health, weight) for number, (health, weight) in enumerate(drawn)
    )
)
rings: st.SearchStrategy[Policy] = st.one_of(
    st.builds(RingHash, st.integers(0, 60), st.integers(60, 90), st.sampled_from(HashFunction)),
    st.builds(Maglev, st.sampled_from((2, 3, 13, 97))),
)


@st.composite
def listeners(draw: st.DrawFn, port: int) -> Listener:
    """Up to three virtual hosts; no domain twice, as a proxy asks."""
    domains = draw(st.lists(st.sampled_from(DOMAINS), unique_by=str.lower, min_size=1, max_size=6))
    cuts = sorted(draw(st.lists(st.integers(0, len(domains)), max_size=2)))
    parts = [domains[low:high] for low, high in zip([0, *cuts], [*cuts, len(domains)], strict=True)]
    hosts = [
        VirtualHost(
            f"host-{number}",
            tuple(part),
            (*draw(st.lists(routes, min_size=1, max_size=8)), *draw(st.lists(last_resorts, max_size=1))),
        )
        for number, part in enumerate(parts)
        if part
    ]
    return Listener(port, tuple(hosts), draw(st.booleans()))


@st.composite
def odd_tables(draw: st.DrawFn) -> RoutingTable:
    """All policies, unequal weights on the ring, two ports."""
    kinds: dict[str, st.SearchStrategy[Policy]] = {"one": small.policies, "two": small.policies, "ring": rings}
    clusters = [
        Cluster(ClusterName(name), draw(policy), draw(endpoints if name == "ring" else small.endpoints()))
        for name, policy in kinds.items()
    ]
    clusters.append(Cluster(ClusterName("same"), OriginalDestination()))
    ports = draw(st.sampled_from(((80,), (80,), (80, 8080))))
    return RoutingTable(tuple(draw(listeners(port)) for port in ports), tuple(clusters))


def tables() -> st.SearchStrategy[RoutingTable]:
    """Small and odd ones, every route under a name of its own, every text one that configuration can hold."""
    return st.one_of(small.tables(), odd_tables()).map(_writable).map(_anywhere).map(named)


def _anywhere(table: RoutingTable) -> RoutingTable:
    # One proxy asks for many tables, and it can stand in one place only. Nobody answers there, and outlier detection
    # would put everybody aside.
    clusters = tuple(replace(one, outliers=None) for one in table.clusters)
    return replace(table, clusters=clusters, locality="", local_cluster=ClusterName(""))


def named(table: RoutingTable) -> RoutingTable:
    """The table with routes that have a name each: the only thing that a proxy says about them."""
    return replace(
        table,
        listeners=tuple(
            replace(
                listener,
                virtual_hosts=tuple(
                    replace(
                        host, routes=tuple(replace(one, name=f"{h}.{number}") for number, one in enumerate(host.routes))
                    )
                    for h, host in enumerate(listener.virtual_hosts)
                ),
            )
            for listener in table.listeners
        ),
    )


def _writable(table: RoutingTable) -> RoutingTable:
    # A lone byte above 0x7F is sent in requests, but configuration is UTF-8 and cannot ask for it.
    text = table.to_json().replace("\xc3\xa9", "\0").replace("\xe9", "\xc3\xa9").replace("\0", "\xc3\xa9")
    return RoutingTable.from_json(text)


def aimed(rng: Random, listener: Listener, sent: Sent) -> Sent:
    """The request turned towards one of the listener's routes, so that it meets it more often than chance would."""
    host = rng.choice(listener.virtual_hosts)
    stand_in = rng.choice(("x", "x.b", "-"))
    authority = rng.choice(host.domains).replace("*", stand_in)
    sent = sent._replace(authority=rng.choice((authority, authority.upper())))
    if not host.routes or rng.random() < 0.1:
        return sent
    asked = rng.choice(host.routes).match
    path = sent.target.partition("?")[0]
    match asked.path:
        case Exact(value) | Prefix(value):
            path = value or path
        case _:
            pass
    query = "&".join(f"{one.name}={_text_for(rng, one.value)}" for one in asked.query)
    lines = [
        (one.name, _text_for(rng, one.value))
        for one in asked.headers
        if one.name not in (":method", ":path", ":scheme", ":authority", "host")
    ]
    target = path + rng.choice(("", "", "", "x", "/")) + ("?" + query if query else rng.choice(("", "?", "#?k=a")))
    return sent._replace(
        target=target
        if target.startswith("/") and target.isascii() and "\t" not in target and " " not in target
        else sent.target,
        lines=tuple(lines) + sent.lines[: rng.randint(0, len(sent.lines))],
    )


def _text_for(rng: Random, wanted: TextMatch | QueryValue) -> str:
    match wanted:
        case Exact(value) | Prefix(value):
            return value + rng.choice(("", "", "x"))
        case _:
            return rng.choice(VALUES)


def drawn(strategy: st.SearchStrategy[T], count: int, seed: int) -> list[T]:
    """Examples of a strategy, the same ones for the same seed. They are compared later, all at once."""
    found: list[T] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # only drawing happens here, and slow or large draws are wanted
    )
    @given(strategy)
    def collect(one: T) -> None:
        found.append(one)

    collect()
    return found
