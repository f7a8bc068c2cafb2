"""What routes do besides choosing a host: spec/change.md, mirror.md, fault.md, cors.md, retry.md, ROUTE-8 to ROUTE-10,
SHARE-10."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Draws, Failed, Failure, Forwarded, Redirected, Reply, Request, Responded, Router, Session
from meshroute.formats import FormatError, parse
from meshroute.names import ClusterName
from meshroute.table import (
    Abort,
    Append,
    AuthorityLiteral,
    Cluster,
    Cors,
    Delay,
    Endpoint,
    Exact,
    Fault,
    Forward,
    HashOnHeader,
    HeaderChange,
    HeaderChanges,
    Listener,
    Mirror,
    Pattern,
    Portion,
    Prefix,
    PrefixRewrite,
    Redirect,
    RegexRewrite,
    Respond,
    Retries,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    RoutingTable,
    TableError,
    VirtualHost,
    WeightedCluster,
)
from meshroute.tries import longest_wait

A, B, C = map(ClusterName, "abc")
NOBODY = ClusterName("d")
REQUEST = Request.of("GET", "http://h.test/v/x?q=1", {"x-a": "1"})
U64 = st.integers(0, 2**64 - 1)
values = st.text("ab/%1", max_size=4).map(lambda text: text.replace("%", "%%"))
names = st.sampled_from(("x-a", "x-b", "x-c"))
levels = st.lists(
    st.builds(
        HeaderChanges,
        st.lists(names, max_size=2).map(tuple),
        st.lists(st.builds(HeaderChange, names, values, st.sampled_from(Append)), max_size=3).map(tuple),
    ),
    max_size=3,
).map(tuple)


def to(action: Forward | Redirect | Respond, path: str = "/v", **more: object) -> Router:
    """One route to three clusters of three hosts each."""
    clusters = [
        Cluster(name, RoundRobin(), tuple(Endpoint(f"10.{of}.0.{at}", 80) for at in range(3)))
        for of, name in enumerate((A, B, C))
    ]
    clusters.append(Cluster(ClusterName("ring"), RingHash(64), clusters[0].endpoints))
    route = Route(RouteMatch(Prefix(path)), action, "r", **more)  # type: ignore[arg-type]  # fields by their names
    return Router(RoutingTable((Listener(80, (VirtualHost("all", ("*",), (route,)),)),), tuple(clusters)))


def one(**more: object) -> Forward:
    """To the first cluster."""
    return replace(Forward((WeightedCluster(A),)), **more)


def fields(request: Request, name: str) -> tuple[str, ...]:
    return request.fields.get(name, ())


class TestChange1Levels:
    """CHANGE-1: level by level, each removes, renders, overwrites, adds."""

    @given(levels)
    def test_levels_in_a_row_are_requests_in_a_row(self, some: tuple[HeaderChanges, ...]) -> None:
        """All levels at once come to what each does alone to the result of the one before."""
        alone = REQUEST
        for level in some:
            alone = to(one(), request_headers=(level,)).decide(alone).request
        assert to(one(), request_headers=some).decide(REQUEST).request == alone

    @given(names, values.filter(bool), st.sampled_from(Append))
    def test_removals_come_before_additions(self, name: str, value: str, how: Append) -> None:
        """What a level removes and adds is there once, unless it wants one to overwrite."""
        level = HeaderChanges((name,), (HeaderChange(name, value, how),))
        found = fields(to(one(), request_headers=(level,)).decide(REQUEST).request, name)
        assert found == (() if how is Append.OVERWRITE_IF_PRESENT else (value.replace("%%", "%"),))

    @given(levels)
    def test_answers_are_changed_as_requests_are(self, some: tuple[HeaderChanges, ...]) -> None:
        """The same levels do the same to the same lines."""
        sent = to(one(), request_headers=some).decide(REQUEST).request.headers
        assert to(one(), response_headers=some).decide(REQUEST).answer(REQUEST.headers) == sent


class TestChange2SingleSlots:
    """CHANGE-2: what is added to a single-slot header is joined to it."""

    @given(st.lists(st.sampled_from(("a", "b", "")), max_size=4))
    def test_there_is_one_line(self, some: list[str]) -> None:
        """Joined with commas, empty values apart; other headers keep their lines."""
        adds = tuple(HeaderChange(name, value, keep_empty=True) for value in some for name in ("via", "x-z"))
        decision = to(one(), request_headers=(HeaderChanges((), adds),)).decide(REQUEST)
        assert fields(decision.request, "via") == ((",".join(filter(None, some)),) if some else ())
        assert fields(decision.request, "x-z") == tuple(some)


class TestChange3Formats:
    """CHANGE-3: formats are rendered, and what is none is refused with the table."""

    @given(st.text("ab%", max_size=8))
    def test_percent_signs_come_in_pairs(self, text: str) -> None:
        """Doubled, any text comes out as it is; an odd run of them is refused."""
        level = HeaderChanges((), (HeaderChange("x-z", text.replace("%", "%%"), keep_empty=True),))
        assert fields(to(one(), request_headers=(level,)).decide(REQUEST).request, "x-z") == (text,)
        if "%" in text.replace("%%", ""):
            with pytest.raises(FormatError):
                parse(text)

    @given(st.integers(0, 5))
    def test_a_length_cuts(self, length: int) -> None:
        """The first value of a header, up to so many bytes, else that of another."""
        level = HeaderChanges((), (HeaderChange("x-z", f"%REQ(none?x-a):{length}%|%HOSTNAME%"),))
        assert fields(to(one(), request_headers=(level,)).decide(REQUEST).request, "x-z") == (
            f"{'1'[:length]}|%HOSTNAME%",
        )

    def test_a_table_with_what_is_none_is_refused(self) -> None:
        """With where it is."""
        with pytest.raises(TableError, match="there is no operator FOO"):
            to(one(), request_headers=(HeaderChanges((), (HeaderChange("x", "%FOO%"),)),))


class TestChange4Paths:
    """CHANGE-4: prefixes, patterns, templates and formats make another path."""

    @given(st.text("/ab", max_size=5).map("/v".__add__), st.text("/n", max_size=3))
    def test_a_prefix_is_replaced_letter_by_letter(self, path: str, new: str) -> None:
        """What is behind it stays, the query too; the old path is kept in a header."""
        sent = to(one(path=PrefixRewrite(new))).decide(Request.of("GET", f"http://h{path}?k")).request
        assert sent.path == (new + path[2:] if new else path) + "?k"
        assert fields(sent, "x-envoy-original-path") == ((f"{path}?k",) if new else ())

    @given(
        st.text("/ab", max_size=6).map("/v".__add__), st.text("ab", min_size=1, max_size=2), st.text("xy", max_size=2)
    )
    def test_a_pattern_of_letters_is_a_replacement(self, path: str, old: str, new: str) -> None:
        """Every occurrence, from the left, and none in the query."""
        sent = to(one(path=RegexRewrite(old, new))).decide(Request.of("GET", f"http://h{path}?{old}")).request
        assert sent.path == f"{path.replace(old, new)}?{old}"


class TestChange5Authorities:
    """CHANGE-5: the cluster's own authority first, then the route's."""

    @given(st.sampled_from(("", "c.test")), st.sampled_from(("", "r.test")), st.booleans())
    def test_the_route_has_the_last_word(self, own: str, new: str, forwarded: bool) -> None:
        """What the route replaces, and only that, is kept."""
        action = Forward(
            (WeightedCluster(A, authority=own),),
            authority=AuthorityLiteral(new),
            append_forwarded_host=forwarded,
        )
        sent = to(action).decide(REQUEST).request
        assert sent.authority == (new or own or "h.test")
        kept = ((own or "h.test"),) if new else ()
        assert fields(sent, "x-envoy-original-host") == kept
        assert fields(sent, "x-forwarded-host") == (kept if forwarded else ())


class TestChange6OwnAnswers:
    """CHANGE-6: keys are those of the changed request, and the proxy's own answers are changed as others are."""

    @given(st.text("abc", max_size=3), st.text("abc", min_size=1, max_size=3))
    def test_the_key_is_that_of_the_changed_request(self, before: str, after: str) -> None:
        """A header that is overwritten counts as it is then."""
        action = Forward((WeightedCluster(ClusterName("ring")),), (HashOnHeader("x-a"),))
        level = HeaderChanges((), (HeaderChange("x-a", after, Append.OVERWRITE),))
        changed = to(action, request_headers=(level,)).decide(Request.of("GET", "http://h/v", {"x-a": before}))
        assert changed.endpoint == to(action).decide(Request.of("GET", "http://h/v", {"x-a": after})).endpoint

    @given(
        st.sampled_from((Respond(200), Respond(404, "no"), Redirect(), Forward((WeightedCluster(ClusterName("d")),))))
    )
    def test_every_answer_has_the_route_s_changes(self, action: Forward | Redirect | Respond) -> None:
        """And what it says by itself besides."""
        level = HeaderChanges((), (HeaderChange("x-z", "1"),))
        plain, changed = to(action).decide(REQUEST), to(action, response_headers=(level,)).decide(REQUEST)
        assert sorted(changed.response_headers) == sorted((*plain.response_headers, ("x-z", "1")))


class TestMirror1Draws:
    """MIRROR-1: copies go by the draw that weights go by."""

    @given(U64)
    def test_half_of_the_copies_are_the_first_of_two_halves(self, stream: int) -> None:
        """A mirror of 50 % over clusters of 50:50 copies exactly what goes to the first."""
        halves = (WeightedCluster(A, 50), WeightedCluster(B, 50))
        action = Forward(halves, mirrors=(Mirror(C, Portion(50)),))
        decision = to(action).decide(REQUEST, draws=Draws.of(given={"stream": stream}))
        assert bool(decision.mirrors) == (decision.cluster == A)
        assert len(decision.finished()) == 1 + len(decision.mirrors)

    @given(U64, st.integers(0, 3))
    def test_copies_change_nothing_about_the_request(self, seed: int, count: int) -> None:
        """The same host and the same request, with and without."""
        router, plain = to(one(mirrors=(Mirror(B),) * count)), to(one())
        decision, alone = router.decide(REQUEST, draws=Draws.of(seed)), plain.decide(REQUEST, draws=Draws.of(seed))
        assert (decision.endpoint, decision.request) == (alone.endpoint, alone.request)
        assert [copy.endpoint.address for copy in decision.mirrors] == [f"10.1.0.{at}" for at in range(count)]


class TestMirror2Copies:
    """MIRROR-2: a copy says what the request says, to somebody else."""

    @given(st.sampled_from(("h", "h:80", "[::1]", "[::1]:80")), st.booleans(), st.sampled_from(("", "m")))
    def test_the_authority_alone_differs(self, authority: str, shadow: bool, own: str) -> None:
        """And a header tells that it is a copy."""
        request = Request.of("GET", f"http://{authority}/v", port=80)
        (copy,) = to(one(mirrors=(Mirror(B, shadow=shadow, authority=own),))).decide(request).mirrors
        host, colon, port = authority.rpartition(":80")
        shadowed = f"{host}-shadow{colon}{port}" if colon else f"{authority}-shadow"
        assert copy.request.authority == own or (shadowed if shadow else authority)
        assert not own or copy.request.authority == own
        assert own or copy.request.authority == (shadowed if shadow else authority)
        assert (copy.request.path, fields(copy.request, "x-envoy-internal")) == ("/v", ("true",))


class TestFault1Draws:
    """FAULT-1: a delay and an abort, each by a draw of its own."""

    @given(st.integers(0, 100), st.integers(0, 100), U64, U64, U64)
    def test_each_by_its_own(self, some: int, others: int, delay: int, abort: int, stream: int) -> None:
        """Nothing else decides; the cluster does not know of it."""
        fault = Fault(Delay(5, Portion(some)), Abort(Portion(others), 418))
        weights = Forward((WeightedCluster(A), WeightedCluster(B)))
        drawn = Draws.of(given={"fault.delay": delay, "fault.abort": abort, "stream": stream})
        decision = to(weights, fault=fault).decide(REQUEST, draws=drawn)
        waits, ends = delay % 100 < some, abort % 100 < others
        assert decision.delay == (5 if waits else 0)
        assert isinstance(decision.outcome, Failed) == ends
        if ends:
            assert decision.outcome == Failed(418, "DI,FI" if waits else "FI", "fault_filter_abort")
        assert decision.cluster == (B if stream % 2 else A)


class TestCors1Calls:
    """CORS-1: origins that are allowed, preflights, and the answers to both."""

    @given(
        st.sampled_from(("http://o", "http://p", "HTTP://O", "")),
        st.sampled_from(("GET", "OPTIONS")),
        st.sampled_from(("", "PUT")),
        st.booleans(),
    )
    def test_who_may_is_told_so(self, origin: str, method: str, asks: str, forward: bool) -> None:
        """And nobody else; the proxy answers preflights of those who may."""
        policy = Cors((Exact("http://o"),), methods="GET", expose="x", forward_unmatched=forward)
        headers = {"origin": origin, "access-control-request-method": asks}
        decision = to(one(), cors=policy).decide(Request.of(method, "http://h/v", headers))
        allowed, preflight = origin == "http://o", method == "OPTIONS" and bool(asks) and bool(origin)
        answered = preflight and (allowed or not forward)
        assert decision.outcome == (Responded(200) if answered else Forwarded())
        lines = dict(decision.response_headers if answered else decision.answer())
        assert lines.get("access-control-allow-origin") == ("http://o" if allowed else None)
        assert ("access-control-allow-methods" in lines) == answered
        assert ("access-control-expose-headers" in lines) == allowed


class TestRetry1Timeouts:
    """RETRY-1: the shorter of two times, and none where there is none."""

    @given(st.sampled_from((0, 1, 1000, 3000)), st.sampled_from((0, 1000, 3000, 5000)), st.sampled_from((None, 0, 9)))
    def test_the_upstream_is_told(self, whole: int, single: int, stream: int | None) -> None:
        """In milliseconds."""
        action = one(timeout=whole, stream_timeout=stream, retries=Retries(("5xx",), per_try_timeout=single))
        sent = to(action).decide(REQUEST).request
        limit = 0 if stream is not None else whole
        expected = single if single and (not limit or single < limit) else limit
        assert fields(sent, "x-envoy-expected-rq-timeout-ms") == ((str(expected),) if expected else ())


class TestRetry2Verdicts:
    """RETRY-2: words say what is tried again, and how often."""

    @given(st.integers(0, 4), st.lists(st.sampled_from((200, 404, 409, 500, 502, 503, 504)), min_size=1, max_size=6))
    def test_a_request_ends_with_the_first_answer_that_will_do(self, attempts: int, answers: list[int]) -> None:
        """Or with that of its last try."""
        left = iter([*answers, *[200] * 9])
        router = to(one(retries=Retries(("gateway-error", "nonsense"), attempts)))
        end = Session(router).send(REQUEST, lambda _: next(left))
        bad = next((at for at, status in enumerate([*answers, 200]) if status not in (502, 503, 504)), 0)
        assert len(end.tries) == min(bad, attempts) + 1
        assert end.status == [*answers, 200][len(end.tries) - 1]
        assert end.flags == ("URX" if bad > attempts else "")

    @given(st.sampled_from(Failure), st.sampled_from(("5xx", "reset", "connect-failure", "retriable-4xx")))
    def test_ends_without_an_answer(self, what: Failure, word: str) -> None:
        """The end of the whole time is final; a failed connection is all that `connect-failure` takes."""
        router = to(one(retries=Retries((word,))))
        taken = word in ("5xx", "reset") or (word == "connect-failure" and what is Failure.CONNECT_FAILED)
        assert router.retries(router.decide(REQUEST), what) == (taken and what is not Failure.TIMED_OUT)

    def test_limited_answers(self) -> None:
        """Only by their own word."""
        limited = Reply(503, (("x-envoy-ratelimited", "true"),))
        for word, again in (("5xx", False), ("envoy-ratelimited", True)):
            router = to(one(retries=Retries((word,))))
            assert router.retries(router.decide(REQUEST), limited) == again


class TestRetry3Refresh:
    """RETRY-3: the same number over the clusters that are left."""

    @given(st.lists(st.integers(1, 9), min_size=3, max_size=3), U64, st.integers(1, 8))
    def test_no_cluster_twice_in_a_round(self, weights: list[int], stream: int, attempts: int) -> None:
        """Every three tries meet all three, each round in the order of the first."""
        clusters = tuple(map(WeightedCluster, (A, B, C), weights))
        router = to(Forward(clusters, retries=Retries(("5xx",), attempts, refresh_cluster=True)))
        draws = Draws.of(given={"stream": stream})
        decision, met = router.decide(REQUEST, draws=draws), []
        for _ in range(attempts):
            met.append(decision.cluster)
            decision = router.retry(REQUEST, decision)
        met.append(decision.cluster)
        assert all(len(set(met[at : at + 3])) == len(met[at : at + 3]) for at in range(0, len(met), 3))
        assert met == (met[:3] * 9)[: len(met)]

    @given(U64)
    def test_a_cluster_that_is_gone_has_no_healthy_host_and_no_name(self, stream: int) -> None:
        """The answer's formats do not see what it was called."""
        seen = HeaderChanges((), (HeaderChange("x-cluster", "%UPSTREAM_CLUSTER%"),))
        clusters = (WeightedCluster(A, 0), WeightedCluster(ClusterName("gone"), 1), WeightedCluster(B, 1))
        router = to(Forward(clusters, retries=Retries(("5xx",), 2, refresh_cluster=True)), response_headers=(seen,))
        first = router.decide(REQUEST, draws=Draws.of(given={"stream": stream | 1}))
        assert first.cluster == B
        again = router.retry(REQUEST, first)
        assert isinstance(again.outcome, Failed)
        assert again.outcome.flag == "UH"
        assert "x-cluster" not in dict(again.response_headers)

    def test_a_request_keeps_the_route_that_took_it(self) -> None:
        """Where the proxy has another table by then: one that says the same, or one that has no such route."""
        seen = HeaderChanges((), (HeaderChange("x-cluster", "%UPSTREAM_CLUSTER%"),))

        def router() -> Router:
            return to(Forward((WeightedCluster(A),), retries=Retries(("5xx",), 2)), response_headers=(seen,))

        first = router().decide(REQUEST)
        again = router().retry(REQUEST, first)
        assert again.answer() == first.answer()
        assert dict(again.answer())["x-cluster"] == A
        # And where nothing of the kind is there any more.
        plain = to(Forward((WeightedCluster(B),))).retry(REQUEST, first)
        assert plain.answer() == first.answer()


class TestRetry4Waits:
    """RETRY-4: waits double up to the longest."""

    @given(st.integers(1, 100), st.integers(1, 20), st.integers(0, 3000))
    def test_doubled_until_the_longest(self, base: int, number: int, extra: int) -> None:
        """Which is ten times the first where none is said."""
        assert longest_wait(Retries((), base_interval=base), number) == min(base * 2 ** (number - 1), 10 * base)
        most = Retries((), base_interval=base, max_interval=base + extra)
        assert longest_wait(most, number) == min(base * 2 ** (number - 1), base + extra)


class TestRoute8RedirectPaths:
    """ROUTE-8: redirects by a format or a pattern, with or without the query."""

    @given(st.sampled_from(("/n", "/n?z", "")), st.booleans())
    def test_a_format_of_letters_is_a_path(self, new: str, strip: bool) -> None:
        """Written out or as a format, it is the same."""
        by_format = to(Redirect(format=new, strip_query=strip)).decide(REQUEST).outcome
        assert by_format == to(Redirect(path=new, strip_query=strip)).decide(REQUEST).outcome
        assert isinstance(by_format, Redirected)
        assert ("?q=1" in by_format.location) == (not strip and new != "/n?z")

    @given(st.text("av/", max_size=5), st.sampled_from(("b", "")))
    def test_a_pattern_replaces_unless_nothing_is_left(self, rest: str, new: str) -> None:
        """In the path alone."""
        request = Request.of("GET", f"http://h/v{rest}?a")
        found = to(Redirect(rewrite=RegexRewrite("a", new))).decide(request).outcome
        assert found == Redirected(301, f"http://h/v{rest.replace('a', new)}?a")

    @given(
        st.text("av/", max_size=5), st.sampled_from((Redirect(prefix="/n"), Redirect(rewrite=RegexRewrite("v", "n"))))
    )
    def test_the_answer_s_own_headers_see_the_new_path(self, rest: str, action: Redirect) -> None:
        """And the old one beside it, whatever becomes of the query."""
        seen = HeaderChanges((), (HeaderChange("x-seen", "%REQ(:path)% was %REQ(x-envoy-original-path)%"),))
        router = to(replace(action, strip_query=True), response_headers=(seen,))
        decision = router.decide(Request.of("GET", f"http://h/v{rest}?a=1"))
        new = f"/n{rest}" if action.prefix else f"/v{rest}".replace("v", "n")
        assert dict(decision.response_headers)["x-seen"] == f"{new}?a=1 was /v{rest}?a=1"
        assert dict(decision.response_headers)["location"] == f"http://h{new}"


class TestRoute9Numbers:
    """ROUTE-9: a number that the request says counts as if it were drawn."""

    @given(U64, U64)
    def test_said_or_drawn(self, said: int, drawn: int) -> None:
        """Of the request's and the draw, the request's."""
        clusters = (WeightedCluster(A, 3), WeightedCluster(B, 5))
        request = Request.of("GET", "http://h/v", {"x-n": str(said)})
        told = to(Forward(clusters, stream_header="x-n")).decide(request, draws=Draws.of(given={"stream": drawn}))
        assert told.cluster == to(Forward(clusters)).decide(request, draws=Draws.of(given={"stream": said})).cluster

    @given(st.sampled_from(("", "5,5", "-1", "5.0", "0x5", str(2**64))), U64)
    def test_anything_else_is_no_number(self, said: str, drawn: int) -> None:
        """Then it is drawn."""
        clusters, draws = (WeightedCluster(A), WeightedCluster(B)), Draws.of(given={"stream": drawn})
        request = Request.of("GET", "http://h/v", {"x-n": said})
        told = to(Forward(clusters, stream_header="x-n")).decide(request, draws=draws)
        assert told.cluster == to(Forward(clusters)).decide(request, draws=draws).cluster


class TestRoute10NamedClusters:
    """ROUTE-10: headers name clusters, and routes say what a missing one means."""

    @given(st.sampled_from(("a", "b", "nosuch", "")), st.sampled_from((503, 404, 500)))
    def test_named_or_not_found(self, name: str, status: int) -> None:
        """What is there is asked."""
        action = Forward((WeightedCluster(ClusterName(""), header="x-c"),), not_found=status)
        decision = to(action).decide(Request.of("GET", "http://h/v", {"x-c": name}))
        found = name in ("a", "b")
        assert decision.cluster == (name or None)
        assert decision.outcome == (Forwarded() if found else Failed(status, "NC", "cluster_not_found"))


class TestShare10Copies:
    """SHARE-10: how many copies go where, and what faults leave over."""

    @given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 9), st.integers(1, 9))
    def test_copies_and_faults(self, copied: int, aborted: int, first: int, second: int) -> None:
        """Copies are those of the portion that no fault ended; everything that can happen sums to 1."""
        weights = (WeightedCluster(A, first), WeightedCluster(B, second))
        action = Forward(weights, mirrors=(Mirror(C, Portion(copied)),))
        found = to(action, fault=Fault(abort=Abort(Portion(aborted), 418))).shares(REQUEST)
        ends = Fraction(sum(r % 100 < aborted for r in range(2**64 % 100)) + aborted * (2**64 // 100), 2**64)
        copies = Fraction(sum(r % 100 < copied for r in range(2**64 % 100)) + copied * (2**64 // 100), 2**64)
        assert sum(found.by_mirror.values(), Fraction(0)) == copies * (1 - ends)
        assert sum(found.by_outcome.values(), Fraction(0)) == 1
        assert found.by_outcome.get(Failed(418, "FI", "fault_filter_abort"), Fraction(0)) == ends

    def test_what_a_proxy_refuses(self) -> None:
        """Copies to nobody, clusters that nobody names, patterns that are none, other statuses."""
        for action in (
            one(mirrors=(Mirror(ClusterName("")),)),
            Forward((WeightedCluster(A, header="x"),)),
            Forward((WeightedCluster(A, 2**31), WeightedCluster(B, 2**31))),
            one(path=RegexRewrite("(", "")),
            one(not_found=418),
        ):
            with pytest.raises(TableError):
                to(action)
        with pytest.raises(TableError, match="an origin"):
            to(one(), cors=Cors((Pattern("("),)))
