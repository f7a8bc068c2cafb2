"""Small routing tables and requests that meet them often.

Bounds: two hosts, four path pieces, three headers with two values. Enough for shadowing, ties and near misses, and
small enough that a random request meets a random rule more often than not. Nothing is made with the code under test.
"""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from meshroute import Request
from meshroute.names import ClusterName
from meshroute.table import (
    Absent,
    AllOf,
    AnyOf,
    Arrival,
    Between,
    Choice,
    Cluster,
    Contains,
    CookieMatch,
    CookieValue,
    Endpoint,
    EscapedSlashes,
    Exact,
    ExactMap,
    Forward,
    HashOnHeader,
    HeaderIs,
    HeaderMatch,
    Health,
    LeastRequest,
    Listener,
    LocalityWeight,
    Maglev,
    Matcher,
    MetadataMatch,
    Not,
    Ordered,
    OutlierDetection,
    PathMatch,
    Pattern,
    Policy,
    Portion,
    Predicate,
    Prefix,
    PrefixMap,
    Present,
    QueryMatch,
    QueryValue,
    RandomChoice,
    RequireTls,
    Respond,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    RoutingTable,
    RuleRef,
    Segments,
    SlowStart,
    StripPort,
    Suffix,
    Template,
    TextMatch,
    Tunnel,
    VirtualHost,
    WeightedCluster,
)

U64 = st.integers(0, 2**64 - 1)
HOSTS = ("a.test", "b.test", "x.b.test", "c")
DOMAINS = ("a.test", "b.test", "*.b.test", "*.test", "c", "c.*", "*")
PATHS = ("/", "/v", "/v2", "/v2/", "/v2x", "/V2", "/v2/deep", "/w", "/v\xe9", "/v2;a", "/v2;a/deep;b")
TEMPLATES = ("/*", "/**", "/{a}", "/v2/{b}", "/{a=v2}/*", "/v{c}", "/v2**", "/{d=**}/deep")
HEADERS = ("x-user", "cookie", ":method", "host")
VALUES = ("", "a", "A", "ab", "GET", "a.test")
COOKIES = ("a=1; b=2", "b=", 'a="x";b', "c; a=ab", " a=A")
CLAIMS: tuple[object, ...] = ("a", "ab", ["a", "A"], {"deep": "a"}, 3, [])
PATTERNS = ("/v2.*", "(?i)/v2", "/[vw].?", ".*", "a|ab", "[^a]*", "/v.")

OF_THE_PROXY = (
    ("content-type", "application/grpc"),
    ("content-type", "application/grpc+proto"),
    ("content-type", "application/grpc;x"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-proto", ""),
    ("x-forwarded-for", "10.1.2.3"),
    ("connection", "close"),
    ("x-envoy-retry-on", "5xx"),
)
T = TypeVar("T")

paths = st.sampled_from(PATHS)
values = st.sampled_from(VALUES)


def path_matches() -> st.SearchStrategy[PathMatch]:
    """All of them; strings in and without case."""
    return st.one_of(
        st.builds(Exact, paths, st.booleans()),
        st.builds(Prefix, paths | st.just(""), st.booleans()),
        st.builds(Pattern, st.sampled_from(PATTERNS)),
        st.builds(Segments, st.sampled_from(("/v", "/v2", "/V2", "/v2/deep", "/v2;a")), st.booleans()),
        st.builds(Template, st.sampled_from(TEMPLATES)),
        st.just(Tunnel()),
    )


def text_matches() -> st.SearchStrategy[TextMatch]:
    """What a header can be asked for."""
    return st.one_of(cookie_values(), st.just(Present()), st.builds(Between, st.sampled_from((-1, 0, 1)), st.just(3)))


def query_values() -> st.SearchStrategy[QueryValue]:
    """What a query parameter can be asked for."""
    return st.one_of(cookie_values(), st.just(Present()), st.just(Absent()))


def cookie_values() -> st.SearchStrategy[CookieValue]:
    """What a cookie can be asked for."""
    some = st.sampled_from(VALUES[1:])
    return st.one_of(
        st.builds(Exact, values, st.booleans()),
        st.builds(Exact, values, st.booleans()),
        *(st.builds(kind, some, st.booleans()) for kind in (Prefix, Suffix, Contains)),
        st.builds(Pattern, st.sampled_from(PATTERNS)),
    )


def metadata_matches() -> st.SearchStrategy[MetadataMatch]:
    """What a filter can have noted, now and then under a path that leads too deep."""
    paths_to = st.sampled_from((("claim",), ("claim", "deep"), ("other",)))
    asked: st.SearchStrategy[TextMatch] = st.one_of(cookie_values(), st.just(Present()))
    return st.builds(MetadataMatch, st.just("jwt"), paths_to, asked, st.booleans())


portions = st.builds(Portion, st.sampled_from((0, 1, 50, 99, 100, 101)), st.sampled_from((100, 10_000, 1_000_000)))


def route_matches() -> st.SearchStrategy[RouteMatch]:
    """Conditions on everything; often few, so that something matches."""
    inverted = st.booleans()
    header = st.builds(HeaderMatch, st.sampled_from(HEADERS), text_matches(), inverted, st.booleans(), st.booleans())
    return st.builds(
        RouteMatch,
        path_matches(),
        st.lists(header, max_size=2).map(tuple),
        _seldom(st.builds(QueryMatch, st.sampled_from(("k", "q")), query_values())),
        _seldom(st.builds(CookieMatch, st.sampled_from(("a", "b")), cookie_values(), inverted)),
        _seldom(metadata_matches()),
        st.sampled_from((False, False, False, True)),
        st.none() | portions,
    )


def _seldom(conditions: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    none: st.SearchStrategy[tuple[T, ...]] = st.just(())
    return st.one_of(none, none, conditions.map(lambda one: (one,)))


def matchers(routes_to: st.SearchStrategy[Route]) -> st.SearchStrategy[Matcher]:
    """Maps and lists, a few levels of them, with routes at the ends."""
    choices: st.SearchStrategy[Matcher] = st.builds(Choice, st.lists(routes_to, min_size=1, max_size=3).map(tuple))
    said = st.builds(HeaderIs, st.sampled_from(HEADERS), cookie_values())
    predicates: st.SearchStrategy[Predicate] = st.recursive(
        said,
        lambda below: st.one_of(
            st.builds(Not, below),
            st.builds(AllOf, st.lists(below, min_size=2, max_size=2).map(tuple)),
            st.builds(AnyOf, st.lists(below, min_size=2, max_size=2).map(tuple)),
        ),
        max_leaves=3,
    )

    def above(below: st.SearchStrategy[Matcher]) -> st.SearchStrategy[Matcher]:
        headers, otherwise = st.sampled_from((":path", *HEADERS)), st.none() | below
        prefixes = st.dictionaries(st.sampled_from(("", "/", "/v", "/v2", "a", "ab")), below, min_size=1, max_size=4)
        whole = st.dictionaries(st.sampled_from((*PATHS[:4], *VALUES)), below, min_size=1, max_size=4)
        cases = st.lists(st.tuples(predicates, below), min_size=1, max_size=2).map(tuple)
        return st.one_of(
            st.builds(ExactMap, headers, whole, otherwise),
            st.builds(PrefixMap, headers, prefixes, otherwise),
            st.builds(Ordered, cases, otherwise),
        )

    return st.recursive(choices, above, max_leaves=5)


arrivals = st.builds(
    Arrival,
    st.booleans(),
    st.booleans(),
    st.sampled_from(EscapedSlashes),
    st.booleans(),
    st.sampled_from(StripPort),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def routes(names: tuple[str, ...] = ("one", "two", "gone")) -> st.SearchStrategy[Route]:
    """A route to one or several clusters, of which one does not exist, or with a fixed answer."""
    weighted = st.builds(WeightedCluster, st.sampled_from(names).map(ClusterName), st.integers(1, 9))
    forward = st.builds(
        Forward,
        st.lists(weighted, min_size=1, max_size=3).map(tuple),
        st.lists(st.builds(HashOnHeader, st.sampled_from(HEADERS)), max_size=2).map(tuple),
    )
    respond = st.builds(Respond, st.integers(200, 599), st.just(""))
    rule = st.builds(RuleRef, st.just("Rule"), st.just("ns"), st.just("r"), st.integers(0, 99).map("rules[{}]".format))
    return st.builds(Route, route_matches(), forward | respond, st.just(""), rule | st.none())


def endpoints(*, max_size: int = 5) -> st.SearchStrategy[tuple[Endpoint, ...]]:
    """Distinct addresses, about a third of them sick; weights stay at 1, which is all that these policies read."""
    healths = st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY))
    return st.lists(healths, max_size=max_size).map(
        lambda drawn: tuple(Endpoint(f"10.8.0.{i}", 80, f"ns/pod-{i}", health) for i, health in enumerate(drawn))
    )


policies: st.SearchStrategy[Policy] = st.sampled_from(
    (RoundRobin(), LeastRequest(), LeastRequest(3), RandomChoice(), RingHash(5), RingHash(64), Maglev(31))
)


all_policies: st.SearchStrategy[Policy] = policies | st.sampled_from(
    (
        RoundRobin(SlowStart(1000)),
        LeastRequest(full_scan=True),
        LeastRequest(bias=2.0, slow_start=SlowStart(500, 2.0, 50.0)),
        RingHash(16, balance_factor=120),
        Maglev(13, balance_factor=100),
    )
)
LOCALITIES = ("", "r/a/", "r/b/")


def unlike_endpoints() -> st.SearchStrategy[tuple[Endpoint, ...]]:
    """Any health, two priorities, three localities, few weights; now and then one address twice."""
    one = st.tuples(
        st.sampled_from((*([Health.HEALTHY] * 4), *Health)),
        st.sampled_from((1, 1, 2, 5)),
        st.sampled_from((0, 0, 0, 1)),
        st.sampled_from(LOCALITIES),
    )

    def made(drawn: list[tuple[Health, int, int, str]]) -> tuple[Endpoint, ...]:
        return tuple(
            Endpoint(f"10.8.0.{min(i, 4)}", 80, f"ns/pod-{i}", health, weight, priority, locality)
            for i, (health, weight, priority, locality) in enumerate(drawn)
        )

    return st.lists(one, max_size=6).map(made)


outliers = st.builds(
    OutlierDetection,
    consecutive_5xx=st.integers(1, 3),
    interval=st.just(100),
    base_ejection_time=st.sampled_from((100, 300)),
    max_ejection_percent=st.sampled_from((10, 50, 100)),
    enforcing_consecutive_5xx=st.sampled_from((100, 50)),
)


@st.composite
def clusters(draw: st.DrawFn, called: str) -> Cluster:
    """Every way in which endpoints can be narrowed down, mostly none of them."""
    some = draw(endpoints() | unlike_endpoints())
    weighted = draw(st.sampled_from((False, False, True)))
    localities = sorted({(one.priority, one.locality) for one in some})
    weights = [
        LocalityWeight(where, draw(st.sampled_from((1, 3))), at) for at, where in localities if draw(st.booleans())
    ]
    return Cluster(
        ClusterName(called),
        draw(all_policies),
        some,
        "svc",
        draw(st.sampled_from(("", "v1"))),
        panic=draw(st.sampled_from((0.0, 0.0, 50.0))),
        overprovisioning=draw(st.sampled_from((140, 100))),
        locality_weights=tuple(weights) if weighted else None,
        outliers=draw(st.none() | outliers),
    )


@st.composite
def virtual_hosts(draw: st.DrawFn, name: str, domains: tuple[str, ...]) -> VirtualHost:
    """Mostly with a list of routes, now and then with a matcher, now and then for TLS only."""
    tls = draw(st.sampled_from((*([RequireTls.NONE] * 4), *RequireTls)))
    if draw(st.sampled_from((False, False, False, True))):
        return VirtualHost(name, domains, (), tls, draw(matchers(routes())))
    return VirtualHost(name, domains, tuple(draw(st.lists(routes(), max_size=12))), tls)


@st.composite
def tables(draw: st.DrawFn) -> RoutingTable:
    """A table with up to two virtual hosts on port 80, and two clusters."""
    domains = draw(st.lists(st.sampled_from(DOMAINS), unique=True, min_size=1, max_size=4))
    cut = draw(st.integers(1, len(domains)))
    hosts = tuple(
        draw(virtual_hosts(f"host-{number}", tuple(some)))
        for number, some in enumerate((domains[:cut], domains[cut:]))
        if some
    )
    listener = Listener(
        80,
        hosts,
        draw(st.booleans()),
        draw(st.sampled_from(("", "", "", "x-user"))),
        draw(st.sampled_from((False, False, True))),
        draw(st.just(Arrival()) | arrivals),
    )
    around = draw(st.sampled_from(("", "", "two")))  # the second cluster is then the proxy's own
    return RoutingTable(
        (listener,),
        (draw(clusters("one")), draw(clusters("two"))),
        ClusterName(draw(st.sampled_from(("", "one")))),
        "r/a/" if around else draw(st.sampled_from(("", "r/b/"))),
        ClusterName(around),
    )


@st.composite
def requests(draw: st.DrawFn, methods: tuple[str, ...] = ("GET", "GET", "get", "POST")) -> Request:
    """Requests from the same small world, with repeated headers and queries that nearly fit."""
    query = draw(st.sampled_from(("", "?k=a", "?k=ab&k=a", "?k", "?K=a&q=", "?q=%61")))
    headers = draw(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(("x-user", "cookie", "X-User", "accept")), values | st.sampled_from("123")),
                st.tuples(st.just("cookie"), st.sampled_from(COOKIES)),
                st.sampled_from(OF_THE_PROXY),
            ),
            max_size=3,
        ).map(tuple)
    )
    authority = draw(st.sampled_from(HOSTS)) + draw(st.sampled_from(("", ":80", ".")))
    return Request(
        method=draw(st.sampled_from(methods)),
        authority=draw(st.sampled_from((authority, authority.upper()))),
        path=draw(paths) + query,
        headers=headers,
        port=draw(st.sampled_from((80, 80, 80, 81))),
        metadata=draw(st.just({}) | st.sampled_from(CLAIMS).map(lambda claim: {"jwt": {"claim": claim}})),
    )


def any_requests() -> st.SearchStrategy[Request]:
    """The same, and CONNECT, which has no path."""
    return requests(("GET", "get", "POST", "CONNECT"))
