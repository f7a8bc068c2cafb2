"""Arrival: spec/arrive.md."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from meshroute import Decision, Draws, Failed, Redirected, Request, Router, RoutingTable
from meshroute.arrive import NO_PATH, NO_PROTOCOL, PATH_REFUSED, arrive, merged, normalized, path_in_order
from meshroute.conformance.strategies.tables import arrivals, requests
from meshroute.names import ascii_lower
from meshroute.table import (
    Arrival,
    EscapedSlashes,
    Exact,
    HeaderMatch,
    Listener,
    Present,
    Respond,
    Route,
    RouteMatch,
    StripPort,
    Tunnel,
    VirtualHost,
)

PIECES = (
    *(
        "/",
        "/",
        "//",
        "a",
        "B",
        "..",
        ".",
        "%2e",
        "%2E",
        "%2f",
        "%5C",
        "\\",
        ";x",
        "..;p",
        ".;",
        "%41",
        "%7e",
        "%25",
        "%zz",
    ),
    *("|", "<", '"', "~", "...", "%20", "%c3"),
)
paths = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda some: "/" + "".join(some))
queries = st.sampled_from(("", "?", "?q=/../b//%2f", "?a?b"))


def made(request: Request, arrival: Arrival, port: int = 80) -> Request:
    found = arrive(request, arrival, port, Draws())
    assert isinstance(found, Request)
    return found


def answer(arrival: Arrival, request: Request, *conditions: HeaderMatch) -> Decision:
    """What a listener with one route, which answers 200, says."""
    host = VirtualHost("all", ("*",), (Route(RouteMatch(headers=conditions), Respond(200)),))
    return Router(RoutingTable((Listener(80, (host,), arrival=arrival),), ())).decide(request)


class TestArrive1Steps:
    """ARRIVE-1: the steps in their order, on what comes before the query; fragments are cut or refused."""

    @given(paths, queries, arrivals)
    def test_the_query_is_never_touched(self, path: str, query: str, arrival: Arrival) -> None:
        """Whatever becomes of the path."""
        found = path_in_order(path + query, arrival)
        if isinstance(found, str):
            assert found.partition("?")[2] == query[1:]
            assert ("?" in found) == bool(query)
        elif isinstance(found, Redirected):
            assert found.location.endswith(query)
        else:
            assert found == PATH_REFUSED

    @given(paths, st.sampled_from(("", "b", "b?c", "b#c")))
    def test_a_fragment_is_cut_or_refused(self, path: str, fragment: str) -> None:
        """As the listener has it; what was cut leaves no trace in the path."""
        with_one, without = Request("GET", "h", f"{path}#{fragment}"), Request("GET", "h", path)
        assert arrive(with_one, Arrival(reject_fragments=True), 80, Draws()) == PATH_REFUSED
        assert made(with_one, Arrival()).path == without.path
        assert made(without, Arrival(reject_fragments=True)) == without

    @given(paths)
    def test_steps_follow_each_other(self, path: str) -> None:
        """All of them together are each after the other."""
        everything = Arrival(True, True, EscapedSlashes.FORWARD)
        one_by_one: object = path
        for step in (Arrival(escaped_slashes=EscapedSlashes.FORWARD), Arrival(True), Arrival(merge_slashes=True)):
            one_by_one = path_in_order(one_by_one, step) if isinstance(one_by_one, str) else one_by_one
        assert path_in_order(path, everything) == one_by_one

    @given(requests(), st.booleans())
    def test_a_request_that_nothing_is_done_to_is_the_same(self, request: Request, ids: bool) -> None:
        """The very same object, where no header is the proxy's own and nothing is asked for."""
        plain = Request(request.method, request.authority, request.path, (("x", "1"),))
        assert arrive(plain, Arrival(), 80, Draws()) is plain


class TestArrive2EscapedSlashes:
    """ARRIVE-2: escaped slashes are kept, refused, unescaped, or the client is sent to the unescaped path."""

    @given(paths, queries)
    def test_each_of_the_four(self, path: str, query: str) -> None:
        """By the plain replacement of the four spellings."""
        plain = re.sub("%5c", r"\\", re.sub("%2f", "/", path, flags=re.I), flags=re.I)
        some = plain != path
        whole = path + query
        assert path_in_order(whole, Arrival()) == whole
        assert path_in_order(whole, Arrival(escaped_slashes=EscapedSlashes.FORWARD)) == plain + query
        rejected = path_in_order(whole, Arrival(escaped_slashes=EscapedSlashes.REJECT))
        assert rejected == (PATH_REFUSED if some else whole)
        moved = path_in_order(whole, Arrival(escaped_slashes=EscapedSlashes.REDIRECT))
        assert moved == (Redirected(307, plain + query) if some else whole)

    def test_grpc_is_not_sent_elsewhere(self) -> None:
        """It is refused."""
        request = Request("POST", "h", "/a%2fb", (("content-type", "application/grpc"),))
        arrival = Arrival(escaped_slashes=EscapedSlashes.REDIRECT)
        assert answer(arrival, request).outcome == Failed(200, "", PATH_REFUSED.details, 13)


class TestArrive3Normalize:
    """ARRIVE-3: dot segments are resolved, escapes are as few as may be."""

    @given(paths)
    def test_no_dot_segment_is_left_and_nothing_climbs_above_the_root(self, path: str) -> None:
        """However dots are escaped."""
        found = normalized(path)
        assert found is not None or "%c3" not in path
        if found is not None:
            assert found.startswith("/")
            assert not {".", ".."} & {one.replace("%2e", ".").replace("%2E", ".") for one in found.split("/")}

    @given(paths.filter(lambda path: "%25" not in path and ";" not in path and "%zz" not in path))
    def test_once_is_enough(self, path: str) -> None:
        """Where no escape hides another one, or the parameters of dots."""
        found = normalized(path)
        if found is not None:
            assert normalized(found) == found

    @given(st.lists(st.sampled_from(("a", "b", "..", ".", "...")), min_size=1, max_size=8))
    def test_plain_segments_are_those_of_posix(self, segments: list[str]) -> None:
        """The standard library says where dots lead; a final dot leaves its slash."""
        path = "/" + "/".join(segments)
        expected = posixpath.normpath(path)
        slash = "/" if segments[-1] in (".", "..") and expected != "/" else ""
        assert normalized(path) == expected + slash

    @given(st.lists(st.sampled_from(("%41", "%7e", "%2D", "%5f", "a", "%20", "%2f", "%C3%A9")), max_size=8))
    def test_only_what_needs_no_escape_is_unescaped(self, pieces: list[str]) -> None:
        """Letters, digits and four marks; the rest stays letter by letter."""
        expected = "".join(
            plain if re.fullmatch(r"[\w.~-]", plain := unquote(one), re.ASCII) else one for one in pieces
        )
        assert normalized("/" + "".join(pieces)) == "/" + expected

    @given(paths)
    def test_a_zero_is_refused(self, path: str) -> None:
        """Anywhere where it is not taken away with its segment."""
        assert normalized(f"{path}/x%00") is None


class TestArrive4MergeSlashes:
    """ARRIVE-4: one slash of several."""

    @given(paths)
    def test_no_two_are_left(self, path: str) -> None:
        """Unless there is nothing else; and the segments are those that were there."""
        found = merged(path)
        assert "//" not in found or found == "//"
        assert list(filter(None, found.split("/"))) == list(filter(None, path.split("/")))
        assert merged(found) == found
        assert found.endswith("/") == path.endswith("/")


class TestArrive5Authority:
    """ARRIVE-5: a final dot and a port are taken off the authority, where that is asked for."""

    @given(st.sampled_from(("h", "a.b", "[::1]")), st.sampled_from(("", ".")), st.sampled_from((None, 80, 8080, 99999)))
    def test_by_the_parts_of_the_authority(self, host: str, dot: str, port: int | None) -> None:
        """Put together again from what is left of each."""
        said = "" if port is None else f":{port}"
        request = Request("GET", host + dot + said, "/", port=8080)
        for strip in StripPort:
            for dots in (False, True):
                found = made(request, Arrival(strip_port=strip, strip_final_dot=dots), 8080)
                gone = strip is StripPort.ANY or (strip is StripPort.MATCHING and port == 8080)
                assert found.authority == host + ("" if dots else dot) + ("" if gone else said)

    @given(st.sampled_from(("h:", "h:abc", "h:80x", "[::1]", "h:4294967296")))
    def test_what_is_no_port_stays(self, authority: str) -> None:
        """Only decimal numbers below 2^32 are."""
        assert made(Request("GET", authority, "/", port=80), Arrival(strip_port=StripPort.ANY)).authority == authority

    def test_a_tunnel_has_its_port_back(self) -> None:
        """Its route is found without it."""
        arrival = Arrival(strip_port=StripPort.ANY)
        hosts = (VirtualHost("h", ("h",), (Route(RouteMatch(Tunnel()), Respond(299)),)),)
        router = Router(RoutingTable((Listener(80, hosts, False, arrival=arrival),), ()))
        decision = router.decide(Request("CONNECT", "h:443", "", port=80))
        assert (decision.route, decision.request.authority) == ("", "h:443")
        assert decision.outcome != NO_PROTOCOL


TAKEN = (
    "keep-alive",
    "proxy-connection",
    "x-envoy-retry-on",
    "x-envoy-max-retries",
    "x-forwarded-client-cert",
    "upgrade",
)


class TestArrive6HeadersTaken:
    """ARRIVE-6: headers about the connection, and those that tell a proxy what to do, are gone."""

    @given(st.lists(st.tuples(st.sampled_from((*TAKEN, "x", "accept")), st.sampled_from(("", "a"))), max_size=5))
    def test_what_is_left_stays_in_order(self, lines: list[tuple[str, str]]) -> None:
        """Exactly the lines of other names."""
        found = made(Request("GET", "h", "/", tuple(lines)), Arrival())
        assert list(found.headers) == [line for line in lines if line[0] not in TAKEN]

    @given(st.sampled_from(TAKEN))
    def test_routes_never_see_them(self, name: str) -> None:
        """Not even that they were there."""
        request = Request("GET", "h", "/", ((name, "a"),))
        assert answer(Arrival(), request, HeaderMatch(name, Present())).outcome == Failed(404, "NR", "route_not_found")


class TestArrive7ForwardedProto:
    """ARRIVE-7: x-forwarded-proto is there and says the scheme; x-forwarded-for says the client."""

    @given(st.sampled_from(("http", "https", "HTTPS", "ftp", "", "http,https")), st.booleans())
    def test_it_says_the_scheme_unless_nobody_is_believed(self, said: str, edge: bool) -> None:
        """An empty one finds no route."""
        found = arrive(Request("GET", "h", "/", (("x-forwarded-proto", said),)), Arrival(edge=edge), 80, Draws())
        if edge:
            assert isinstance(found, Request)
            assert (found.scheme, found.fields["x-forwarded-proto"]) == ("http", ("http",))
        elif not said:
            assert found == NO_PROTOCOL
        else:
            assert isinstance(found, Request)
            assert found.scheme == (ascii_lower(said) if ascii_lower(said) in ("http", "https") else "http")

    @given(st.sampled_from(("http", "https")))
    def test_a_request_without_one_has_the_scheme_it_came_by(self, scheme: str) -> None:
        """Routes can ask for it."""
        request = Request("GET", "h", "/", scheme=scheme, port=80)
        asked = HeaderMatch("x-forwarded-proto", Exact(scheme))
        assert answer(Arrival(), request, asked).outcome == SERVED
        assert answer(Arrival(edge=True), request, asked).outcome == SERVED

    @given(st.lists(st.sampled_from(("10.1.2.3", "::1", "x", "10.0.0.1:80")), min_size=1, max_size=3))
    def test_the_last_entry_is_the_client_s_address(self, entries: list[str]) -> None:
        """If it is one; at the edge the connection says."""
        request = Request("GET", "h", "/", (("x-forwarded-for", ", ".join(entries)),), source_ip="10.9.9.9")
        believed = entries[-1] if entries[-1] in ("10.1.2.3", "::1") else "10.9.9.9"
        assert made(request, Arrival()).source_ip == believed
        at_the_edge = made(request, Arrival(edge=True))
        assert at_the_edge.source_ip == "10.9.9.9"
        assert at_the_edge.fields["x-forwarded-for"][0].endswith(",10.9.9.9")


SERVED = answer(Arrival(), Request("GET", "h", "/")).outcome


class TestArrive8RequestIds:
    """ARRIVE-8: a request without an id gets one."""

    @given(st.integers(0, 2**64 - 1), st.booleans(), st.booleans())
    def test_a_uuid_of_version_4_where_there_is_none(self, seed: int, sent: bool, edge: bool) -> None:
        """At the edge each request gets a new one."""
        request = Request("GET", "h", "/", (("x-request-id", "mine"),) if sent else ())
        found = arrive(request, Arrival(request_ids=True, edge=edge), 80, Draws.of(seed))
        assert isinstance(found, Request)
        (value,) = found.fields["x-request-id"]
        if sent and not edge:
            assert value == "mine"
        else:
            assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value)


class TestArrive9Asterisk:
    """ARRIVE-9: OPTIONS * is answered 404."""

    @given(arrivals)
    def test_whatever_else_is_asked_for(self, arrival: Arrival) -> None:
        """Before anything else is looked at; a path that is like it is a path."""
        request = Request.of("OPTIONS", "http://h/*")
        assert request.path == "*"
        assert answer(arrival, request).outcome == NO_PATH
        assert answer(Arrival(), Request("OPTIONS", "h", "/*")).outcome == SERVED
