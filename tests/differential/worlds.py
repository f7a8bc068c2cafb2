"""Tables and requests to put to two engines: the small worlds of the properties, and what only a proxy would trip over.

Bounds: those of tests/strategies/tables.py, and besides them few odd spellings of each part of a request, so that each
meets many tables: ports that are no numbers, dots and slashes that a proxy might tidy up, fragments, blanks round
values, bytes that are no UTF-8, headers that a proxy joins. Requests are kept as written: `Sent` is what goes out in
bytes and, made a Request, what the engine is asked. Nothing is made with the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from random import Random
from typing import NamedTuple, TypeVar, assert_never

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Request
from meshroute.conformance.envoy import DESTINATION_HEADER, STREAM_HEADER
from meshroute.conformance.strategies import tables as small
from meshroute.names import ClusterName
from meshroute.table import (
    Absent,
    Arrival,
    Between,
    Choice,
    Cluster,
    Contains,
    CookieMatch,
    CookieValue,
    Endpoint,
    Exact,
    ExactMap,
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
    Matcher,
    Ordered,
    OriginalDestination,
    PathMatch,
    Pattern,
    Policy,
    Prefix,
    PrefixMap,
    Present,
    QueryMatch,
    QueryValue,
    Redirect,
    RequireTls,
    Respond,
    RingHash,
    Route,
    RouteMatch,
    RoutingTable,
    Segments,
    StripPort,
    Suffix,
    Template,
    TextMatch,
    Tunnel,
    VirtualHost,
    WeightedCluster,
    routes_of,
)

T = TypeVar("T")

HOSTS = (*small.HOSTS, "x.c", "[fd00::1]")
DOMAINS = (*small.DOMAINS, "*b.test", "a.*", "A.Test", "c:80", "[fd00::1]", "a.*.test", "x.b.test")
# Envoy answers 400 to bytes above 0x7E in the target of an HTTP/1 request: spec/differences.yaml.
ODD_PATHS = ("/v2/../w", "/v2/./", "//v", "/v2//", "/v%32", "/v%2Fw", "/v2;a=b", "/v%C3%A9", '/v"<>\\^`{|}')
# What a proxy may put in order: dots, escapes, doubled slashes, parameters.
UNTIDY_PATHS = (
    *(
        "/v2/..",
        "/v2/.",
        "/../v2",
        "/v/..//v2",
        "/%2e%2e/v2",
        "/v2/%2E",
        "/x/..;p=1/v2",
        "/.;a/v2",
        "/v2/.%2e/w",
        "/..;",
    ),
    *(
        "/%76%32",
        "/v2%2fdeep",
        "/v2%2Fdeep",
        "/v2%5C..%5cw",
        "/%252e/v",
        "/v2/%00",
        "/%zz%4",
        "/v2\\deep",
        "/%2F",
        "///",
    ),
    *(
        "/v2//deep",
        "//v2//",
        "/v2/..//..;x/w",
        "/a;x/../v2",
        "/v2;a/deep;b",
        "/;a",
        "/v2/...",
        "/v2/.%2e;x",
        "/v2/%2e;x/w",
    ),
    *("/\\..;a/v", "/v2/..\\w", "/v2/%2e%2e%2fw", "/v2%2f..%2f..;q%2fw", "/%41%7e%5f%25%32%66"),
)
PATHS = (*(path for path in small.PATHS if path.isascii()), *ODD_PATHS, *UNTIDY_PATHS)
QUERIES = (
    *("", "?", "?k=a", "?k=ab&k=a", "?k", "?k=", "?K=a&q=", "?q=%61", "?k==a", "?k=a?b", "?&k=a", "?q&k=A", "?k;q=a"),
    *("#k", "?k=a#b", "#?k=a", "?k=a+b&q=a b".replace(" ", "%20")),
)
HEADERS = ("x-user", "cookie", "accept", "x-forwarded-for", "x-other")
OF_THE_PROXY = (
    *(("x-forwarded-proto", value) for value in ("http", "https", "https", "HTTPS", "ftp", "", "https,http")),
    *(
        ("x-forwarded-for", value)
        for value in ("10.1.2.3", "a, 10.0.0.1", "::1", "[::1]:80", "10.0.0.1:80", "10.1.2.3,")
    ),
    *(("keep-alive", "1"), ("proxy-connection", "x"), ("upgrade", "h2c"), ("te", "trailers"), ("te", "gzip, trailers")),
    *(("te", "gzip"), ("x-forwarded-client-cert", "Hash=a"), ("connection", "keep-alive"), ("x-request-id", "a")),
    *(
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-internal", "true"),
        ("x-envoy-original-path", "/"),
        ("x-envoy-ip-tags", "a"),
    ),
    *(("x-envoy-upstream-rq-timeout-ms", "50"), ("x-envoy-external-address", "10.1.1.1"), ("x-envoy-force-trace", "1")),
    *(("x-envoy-decorator-operation", "a"), ("x-envoy-hedge-on-per-try-timeout", "true"), ("x-envoy-max-retries", "1")),
    *(("content-type", f"application/grpc{rest}") for rest in ("", "+proto", "-web", ";x", "+")),
    *(("cookie", value) for value in small.COOKIES),
)
ASKED = (*HEADERS, ":method", ":path", ":scheme", ":authority", "host")
VALUES = (*small.VALUES, "a,b", "a, b", "a b", "/v2", "http", "\xe9", "\xc3\xa9", "a\tb")
SENT_VALUES = (
    *VALUES,
    "1",
    "+2",
    "003",
    "3",
    "-1",
    "3.0",
    "2x",
    "9223372036854775808",
    " a",
    "a ",
    "\ta \t",
    "a=1; b=2",
    'b=;a="x"',
    "a ; b = 1",
)
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
            source_port=0,
            destination_ip=self.destination,
        )

    def bytes(self, port: int = 80) -> bytes:
        """As Envoy is asked."""
        lines = [("Host", self.authority), *self.lines, (STREAM_HEADER, str(self.stream))]
        if self.destination:
            lines.append((DESTINATION_HEADER, f"{self.destination}:{port}"))
        target = self.authority if self.method == "CONNECT" else self.target
        head = [f"{self.method} {target} HTTP/1.1", *(f"{name}:{value}" for name, value in lines), "", ""]
        return "\r\n".join(head).encode("latin-1")


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    """Any of the spellings, mostly the plain ones."""
    authority = draw(st.sampled_from(HOSTS)) + draw(st.sampled_from(("", "", "", ":80", ":81", ".", ":", ":x")))
    names = st.sampled_from((*HEADERS, "X-User", "x-USER", "Cookie", "ACCEPT"))
    return Sent(
        method=draw(st.sampled_from(("GET", "GET", "get", "POST", "HEAD", "PURGE", "OPTIONS"))),
        authority=draw(st.sampled_from((authority, authority.upper()))),
        target=draw(st.sampled_from(PATHS)) + draw(st.sampled_from(QUERIES)),
        lines=tuple(
            draw(st.lists(st.tuples(names, st.sampled_from(SENT_VALUES)) | st.sampled_from(OF_THE_PROXY), max_size=3))
        ),
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
    st.builds(Segments, st.sampled_from(("/v2", "/v", "/V2", "/v2;a", "v2", "/v2/deep")), st.booleans()),
    st.builds(Template, st.sampled_from((*small.TEMPLATES, "/{a}/{b=**}", "/v*2", "/*;a", "/{a=v2}/", "/{x=*}x"))),
    st.just(Tunnel()),
)
_values = st.sampled_from(VALUES).filter(bool)
cookie_values: st.SearchStrategy[CookieValue] = st.one_of(
    st.builds(Exact, st.sampled_from(VALUES), st.booleans()),
    *(st.builds(kind, _values, st.booleans()) for kind in (Prefix, Suffix, Contains)),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
)
_ENDS = st.sampled_from((-1, 0, 1, 2, 3, 4, 2**63 - 1, -(2**63)))
text_matches: st.SearchStrategy[TextMatch] = st.one_of(
    cookie_values, st.just(Present()), st.builds(Between, _ENDS, _ENDS)
)
query_values: st.SearchStrategy[QueryValue] = st.one_of(cookie_values, st.just(Present()), st.just(Absent()))
header_matches: st.SearchStrategy[HeaderMatch] = st.one_of(
    st.builds(HeaderMatch, st.sampled_from(ASKED), text_matches, st.booleans(), st.booleans()),
    st.builds(HeaderMatch, st.just("x-forwarded-proto"), st.builds(Exact, st.sampled_from(("http", "https", "")))),
    st.builds(
        HeaderMatch,
        st.sampled_from([name for name, _ in OF_THE_PROXY]),
        st.just(Present()),
        st.booleans(),
        st.booleans(),
    ),
)
route_matches = st.builds(
    RouteMatch,
    path_matches,
    _few(header_matches),
    _few(st.builds(QueryMatch, st.sampled_from(("k", "q", "k;q", "K")), query_values)),
    _few(st.builds(CookieMatch, st.sampled_from(("a", "b", "c")), cookie_values, st.booleans())),
    _few(small.metadata_matches()),
    st.sampled_from((False, False, False, True)),
    st.none() | small.portions,
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
    tls = st.sampled_from((*([RequireTls.NONE] * 8), *RequireTls))
    cuts = sorted(draw(st.lists(st.integers(0, len(domains)), max_size=2)))
    parts = [domains[low:high] for low, high in zip([0, *cuts], [*cuts, len(domains)], strict=True)]
    hosts = []
    for number, part in enumerate(parts):
        if not part:
            continue
        if draw(st.sampled_from((False, False, False, True))):
            tree = draw(small.matchers(st.one_of(routes, last_resorts)))
            hosts.append(VirtualHost(f"host-{number}", tuple(part), (), draw(tls), tree))
            continue
        some = (*draw(st.lists(routes, min_size=1, max_size=8)), *draw(st.lists(last_resorts, max_size=1)))
        hosts.append(VirtualHost(f"host-{number}", tuple(part), some, draw(tls)))
    return Listener(
        port,
        tuple(hosts),
        draw(st.booleans()),
        draw(st.sampled_from(("", "", "", "", "x-user", "x-forwarded-host"))),
        draw(st.sampled_from((False, False, True))),
        draw(st.just(Arrival()) | small.arrivals),
    )


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
    return st.one_of(small.tables(), odd_tables()).map(_writable).map(_anywhere).map(_told).map(named)


def _anywhere(table: RoutingTable) -> RoutingTable:
    # One proxy asks for many tables, and it can stand in one place only. Nobody answers there, and outlier detection
    # would put everybody aside.
    clusters = tuple(replace(one, outliers=None) for one in table.clusters)
    return replace(table, clusters=clusters, locality="", local_cluster=ClusterName(""))


def tellable(table: RoutingTable) -> RoutingTable:
    """The table with what can be written as configuration and asked for more than once."""
    return _told(_writable(table))


def _told(table: RoutingTable) -> RoutingTable:
    """The table with what one proxy can be told for all of them, and what it can be asked for more than once: portions
    of nothing or of everything, because the draw is its own."""

    def route(one: Route) -> Route:
        asked = one.match
        headers = tuple(replace(header, joined=False) for header in asked.headers)
        if isinstance(asked.path, Template) and isinstance(one.action, Redirect) and one.action.prefix:
            asked = replace(asked, path=Prefix("/v"))  # Envoy refuses the two together
        portion = asked.portion
        if portion is not None:
            portion = replace(portion, numerator=0 if portion.numerator < 50 else portion.denominator)
        return replace(one, match=replace(asked, headers=headers, portion=portion))

    def listener(one: Listener) -> Listener:
        port = StripPort.NONE if one.arrival.strip_port is StripPort.NONE else StripPort.ANY
        return replace(one, arrival=replace(one.arrival, reject_fragments=False, strip_port=port))

    listeners = tuple(listener(one) for one in with_routes(table, route).listeners)
    return replace(table, listeners=listeners)


def with_routes(table: RoutingTable, change: Callable[[Route], Route]) -> RoutingTable:
    """The table with every route of it changed, those that matchers lead to among them; in the order of `routes_of`."""

    def matcher(one: Matcher) -> Matcher:
        match one:
            case Choice(some):
                return Choice(tuple(map(change, some)))
            case ExactMap(_, table, otherwise) | PrefixMap(_, table, otherwise):
                led = {key: matcher(value) for key, value in table.items()}
                return replace(one, map=led, otherwise=None if otherwise is None else matcher(otherwise))
            case Ordered(cases, otherwise):
                cases = tuple((predicate, matcher(led)) for predicate, led in cases)
                return Ordered(cases, None if otherwise is None else matcher(otherwise))
            case _:
                assert_never(one)

    def host(one: VirtualHost) -> VirtualHost:
        tree = None if one.matcher is None else matcher(one.matcher)
        return replace(one, routes=tuple(map(change, one.routes)), matcher=tree)

    return replace(
        table,
        listeners=tuple(
            replace(listener, virtual_hosts=tuple(map(host, listener.virtual_hosts))) for listener in table.listeners
        ),
    )


def named(table: RoutingTable) -> RoutingTable:
    """The table with routes that have a name each: the only thing that a proxy says about them."""
    numbers = count()
    return with_routes(table, lambda one: replace(one, name=f"r{next(numbers)}"))


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
    routes = tuple(routes_of(host))
    if not routes or rng.random() < 0.1:
        return sent
    asked = rng.choice(routes).match
    if isinstance(asked.path, Tunnel):
        to = sent.authority if re.search(r"[^:]:\d+$", sent.authority) else f"{sent.authority}:80"  # a port is a must
        return sent._replace(method="CONNECT", authority=to)
    path = sent.target.partition("?")[0]
    match asked.path:
        case Exact(value) | Prefix(value) | Segments(value):
            path = value or path
        case Template(value):
            path = re.sub(r"\{[^}]*\}|\*\*?", lambda _: rng.choice(("x", "v2", "x/y", "", "a=b")), value)
        case _:
            pass
    if rng.random() < 0.2:  # the same path by another way
        path = path.replace("/", rng.choice(("//", "/./", "/x/../", "/;p/", "%2F", "/.;x/", "\\")), rng.randint(0, 2))
        path = path if path.startswith("/") else "/" + path
    query = "&".join(f"{one.name}={_text_for(rng, one.value)}" for one in asked.query)
    lines = [
        (one.name, _text_for(rng, one.value))
        for one in asked.headers
        if one.name in (*HEADERS, "x-forwarded-proto", "x-request-id")
    ]
    lines += [("cookie", f"{one.name}={_text_for(rng, one.value)}") for one in asked.cookies]
    if asked.grpc:
        lines.append(("content-type", rng.choice(("application/grpc", "application/grpc+x", "application/grpcx"))))
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
        case Suffix(value) | Contains(value):
            return rng.choice(("", "x")) + value
        case Between(start, end):
            return str(rng.choice((start - 1, start, end - 1, end)))
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
