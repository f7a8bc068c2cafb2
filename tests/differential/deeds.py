"""Tables whose routes do things to requests, and requests that meet them.

Bounds: one route behind each virtual host, so that every request does what it is meant to; few headers, of which some
are single-slot; every kind of rewrite, change, copy, fault and policy. Portions are none or all, because a proxy draws
them itself; weights are pinned by a header. Nothing is made with the code under test.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from meshroute.names import ClusterName
from meshroute.table import (
    Abort,
    Action,
    Append,
    AuthorityLiteral,
    AuthorityOfEndpoint,
    AuthorityOfHeader,
    AuthorityOfPath,
    AuthorityRewrite,
    Cors,
    Delay,
    Exact,
    Fault,
    FormatRewrite,
    Forward,
    HashOnHeader,
    HashOnSourceIp,
    HeaderChange,
    HeaderChanges,
    Mirror,
    Origin,
    PathMatch,
    PathRewrite,
    Pattern,
    Portion,
    Prefix,
    PrefixRewrite,
    Redirect,
    RegexRewrite,
    Respond,
    Retries,
    Route,
    RouteMatch,
    Segments,
    Suffix,
    Template,
    TemplateRewrite,
    WeightedCluster,
)

NAMES: Final = ("x-a", "x-b", "user-agent", "x-forwarded-host", "cache-control", "referer")
ANSWER_NAMES: Final = (
    "x-a",
    "x-b",
    "vary",
    "cache-control",
    "access-control-allow-origin",
    "set-cookie",
    "x-frame",
    "grpc-status",
)
CLUSTERS: Final = ("one", "two", "ring", "named")
FORMATS: Final = (
    *("1", "", "%%", "a%%b", "%REQ(x-a)%", "%REQ(x-b?x-a)%-", "%REQ(:path)%", "%REQ(:authority)%", "%REQ(x-a):1%"),
    *("%REQ(:method)% %REQ(:scheme)%", "%ROUTE_NAME%", "%UPSTREAM_HOST%", "%RESPONSE_CODE%"),
    *("%RESPONSE_FLAGS%", "%VIRTUAL_CLUSTER_NAME%|", "%PATH(NQ)%", "%PATH(WQ:ORIG)%", "%PATH(NQ:PATH)%"),
    *(
        "%QUERY_PARAM(q)%",
        "%QUERY_PARAM(q):2%",
        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "%REQ(x-envoy-original-path?:path)%",
    ),
    *(
        "%REQ(x-envoy-original-path?:path)%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%REQ(user-agent)%",
        "%RESPONSE_CODE_DETAILS%",
    ),
)
ANSWER_FORMATS: Final = (
    *FORMATS,
    "%UPSTREAM_CLUSTER%",
    "%RESP(x-a)%",
    "%RESP(x-b?vary)%",
    "%RESP(location)%",
    "%RESP(content-type)%",
)
PATHS: Final = ("/v", "/v/a", "/va", "/V/a", "/v/a/b", "/v/a;x/b", "/v//", "/v%2F/x", "/v/a.b")
PATTERNS: Final = ("/v", "^/v", "a", "[av]*", "(v)/(.*)", "x*", "/v.*$", ".*", "(?i)V", "[^/]+$")
SUBSTITUTIONS: Final = ("/n", "", "\\1", "\\2-\\1", "\\0\\0", "a\\nb", "\\\\", "n", "/")


def _some(strategy: st.SearchStrategy[HeaderChange]) -> st.SearchStrategy[tuple[HeaderChange, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


def changes(names: tuple[str, ...], formats: tuple[str, ...]) -> st.SearchStrategy[HeaderChanges]:
    """Of one level."""
    one = st.builds(
        HeaderChange, st.sampled_from(names), st.sampled_from(formats), st.sampled_from(Append), st.booleans()
    )
    return st.builds(HeaderChanges, st.lists(st.sampled_from(names), max_size=1).map(tuple), _some(one))


# The name of the cluster is the proxy's own: what is hashed must not have it.
names_of_clusters: Final = HeaderChanges((), (HeaderChange("x-c", "%UPSTREAM_CLUSTER%"),))
asks: Final = st.one_of(*([changes(NAMES, FORMATS)] * 5), st.just(names_of_clusters))
answers: Final = changes(ANSWER_NAMES, ANSWER_FORMATS)
nothing: Final = st.just(HeaderChanges())
plain_paths: st.SearchStrategy[PathMatch] = st.one_of(
    st.builds(Prefix, st.sampled_from(("/", "/v", "/v/", "/V")), st.booleans()),
    st.builds(Segments, st.just("/v"), st.booleans()),
    st.builds(Exact, st.sampled_from(PATHS), st.booleans()),
    st.builds(Pattern, st.sampled_from(("/.*", "/[vV].*"))),
)
rewrites: st.SearchStrategy[PathRewrite] = st.one_of(
    st.builds(PrefixRewrite, st.sampled_from(("/", "/n", "/n/", "n", "/n?z=1"))),
    st.builds(RegexRewrite, st.sampled_from(PATTERNS), st.sampled_from(SUBSTITUTIONS)),
    st.builds(FormatRewrite, st.sampled_from(("/f", "/f?%REQ(x-a)%", "%REQ(x-a)%", "/%REQ(:authority)%/%REQ(x-b)%"))),
)
shapes: st.SearchStrategy[tuple[PathMatch, PathRewrite | None]] = st.sampled_from(
    (
        (Template("/{a}/{b=**}"), TemplateRewrite("/{b}/x/{a}")),
        (Template("/v/{a}"), TemplateRewrite("/{a}{a}-n")),
        (Template("/**"), TemplateRewrite("/all")),
        (Template("/{a=v}/*"), RegexRewrite("a", "z")),
    )
)
paths: Final = st.one_of(
    st.tuples(plain_paths, st.none()), st.tuples(plain_paths, rewrites), st.tuples(plain_paths, rewrites), shapes
)
authorities: st.SearchStrategy[AuthorityRewrite | None] = st.one_of(
    st.none(),
    st.none(),
    st.sampled_from((AuthorityLiteral("new.test"), AuthorityLiteral("new.test:81"), AuthorityOfEndpoint())),
    st.builds(AuthorityOfHeader, st.sampled_from(("x-a", "x-b", "host"))),
    st.builds(AuthorityOfPath, st.sampled_from(("^/(v).*", "/", "^/(.+)$")), st.sampled_from(("\\1", "h", ""))),
    st.builds(FormatRewrite, st.sampled_from(("%REQ(x-a)%.test", "%REQ(x-b)%", "lit"))),
)
ALL_OR_NONE: Final = (Portion(0), Portion(100), Portion(10_000, 10_000), Portion(0, 1_000_000))
portions: Final = st.sampled_from(ALL_OR_NONE)
mirrors: Final = st.one_of(
    st.just(()),
    st.lists(
        st.builds(
            Mirror,
            st.sampled_from(("copies", "copies", "more", "more", "nobody", "gone")).map(ClusterName),
            portions,
            st.just(""),
            st.booleans(),
            st.sampled_from(("", "", "copy.test:82")),
        )
        | st.builds(Mirror, st.just(ClusterName("")), portions, st.just("x-copy")),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


@st.composite
def weighted(draw: st.DrawFn) -> tuple[WeightedCluster, ...]:
    """One to three clusters; some are not there, some have nobody, some are named by a header."""
    names = st.sampled_from((*CLUSTERS, *CLUSTERS, "nobody", "gone"))
    found = [
        WeightedCluster(
            *draw(
                st.one_of(
                    st.tuples(names.map(ClusterName), st.integers(0, 3)),
                    st.tuples(names.map(ClusterName), st.integers(0, 3)),
                    st.tuples(st.just(ClusterName("")), st.integers(1, 3)),
                )
            ),
            request_headers=draw(st.none() | asks),
            response_headers=draw(st.none() | answers),
            authority=draw(st.sampled_from(("", "", "own.test:80"))),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    return tuple(
        WeightedCluster(
            one.cluster,
            one.weight or int(not any(other.weight for other in found)),
            header="" if one.cluster else "x-cluster",
            request_headers=one.request_headers,
            response_headers=one.response_headers,
            authority=one.authority,
        )
        for one in found
    )


retries: Final = st.none() | st.builds(
    Retries,
    st.lists(
        st.sampled_from(
            ("5xx", "gateway-error", "reset", "retriable-4xx", "retriable-status-codes", "503", "envoy-ratelimited")
        ),
        max_size=2,
    ).map(tuple),
    st.integers(0, 3),
    statuses=st.sampled_from(((), (418,), (503, 200))),
    refresh_cluster=st.booleans(),
    base_interval=st.just(1),
    per_try_timeout=st.sampled_from((0, 0, 20_000)),
)


@st.composite
def forwards(draw: st.DrawFn, path: PathRewrite | None) -> Forward:
    """Everything that is done on the way to an upstream."""
    by = draw(st.sampled_from(("", "", "header", "key")))
    again = draw(retries)
    return Forward(
        draw(weighted()),
        (HashOnHeader("x-a"), HashOnSourceIp()),
        stream_header="x-number" if by == "header" else "",
        by_key=by == "key",
        not_found=draw(st.sampled_from((503, 404, 500))),
        path=path,
        authority=draw(authorities),
        append_forwarded_host=draw(st.booleans()),
        timeout=draw(st.sampled_from((0, 15_000, 30_000))),
        stream_timeout=draw(st.sampled_from((None, None, 0, 40_000))),
        retries=again,
        mirrors=() if again is not None else draw(mirrors),
    )


redirects: Final = st.builds(
    Redirect,
    st.sampled_from((301, 302, 303, 307, 308)),
    st.sampled_from(("", "https")),
    st.sampled_from(("", "to.test:99")),
    st.sampled_from((0, 443)),
    strip_query=st.booleans(),
)


@st.composite
def redirections(draw: st.DrawFn, path: PathMatch) -> Redirect:
    """A redirect that changes the path in one of the ways there are, or not at all."""
    base = draw(redirects)
    ways = ["", "path", "format", "rewrite", *([] if isinstance(path, Template) else ["prefix"])]
    way = draw(st.sampled_from(ways))
    return Redirect(
        base.status,
        base.scheme,
        base.authority,
        base.port,
        path=draw(st.sampled_from(("/n", "/n?z=1", "n"))) if way == "path" else "",
        prefix=draw(st.sampled_from(("/", "/n", "n"))) if way == "prefix" else "",
        rewrite=RegexRewrite(draw(st.sampled_from(PATTERNS)), draw(st.sampled_from(SUBSTITUTIONS)))
        if way == "rewrite"
        else None,
        format=draw(st.sampled_from(("/f", "/f?%REQ(x-a)%", "%REQ(x-a)%"))) if way == "format" else "",
        strip_query=base.strip_query,
    )


origins: st.SearchStrategy[Origin] = st.sampled_from(
    (Exact("http://o.test"), Prefix("http://o"), Suffix(".test"), Pattern("http://[op].*"), Exact("*"))
)
policies: Final = st.builds(
    Cors,
    st.lists(origins, max_size=2).map(tuple),
    st.sampled_from(("", "GET,PUT")),
    st.sampled_from(("", "x-a")),
    st.sampled_from(("", "x-b")),
    st.sampled_from(("", "60")),
    st.booleans(),
    st.booleans(),
)
faults: Final = st.builds(
    Fault,
    st.none() | st.builds(Delay, st.just(1), portions),
    st.none() | st.builds(Abort, portions, st.sampled_from((200, 418, 503))),
)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """One route that does something."""
    path, rewrite = draw(paths)
    responds: st.SearchStrategy[Action] = st.builds(
        Respond, st.sampled_from((200, 201, 302, 404, 503)), st.sampled_from(("", "body"))
    )
    action = draw(
        st.one_of(forwards(rewrite), forwards(rewrite), forwards(rewrite), forwards(rewrite), responds)
        if rewrite is not None
        else st.one_of(forwards(None), forwards(None), forwards(None), responds, redirections(path))
    )
    return Route(
        RouteMatch(path),
        action,
        "",
        request_headers=(draw(nothing | asks), draw(nothing | asks)),
        response_headers=(draw(nothing | answers), draw(nothing | answers)),
        cors=draw(st.none() | st.none() | policies),
        fault=draw(st.none() | st.none() | st.none() | faults),
    )
