"""Matching: spec/match.md, on tables."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Request
from meshroute.match.index import HostIndex, RouteIndex
from meshroute.match.scan import find_host, first_failure, first_match
from meshroute.names import ascii_lower
from meshroute.table import (
    Exact,
    HeaderMatch,
    Listener,
    Pattern,
    Prefix,
    Present,
    QueryMatch,
    Respond,
    Route,
    RouteMatch,
    VirtualHost,
)
from tests.strategies.tables import (
    DOMAINS,
    HEADERS,
    HOSTS,
    PATHS,
    U64,
    any_requests,
    path_matches,
    requests,
    route_matches,
    routes,
    values,
)

many_routes = st.lists(routes(), max_size=30)


def holds(asked: RouteMatch, request: Request) -> bool:
    return first_failure(asked, request) is None


def route(asked: RouteMatch) -> Route:
    return Route(asked, Respond(200))


class TestMatch1FirstWins:
    """MATCH-1: rules are tried in the order written, and the first that matches is the only one that counts."""

    @given(many_routes, requests())
    def test_every_route_above_the_match_fails_and_the_match_holds(
        self, table: Sequence[Route], request: Request
    ) -> None:
        """The answer is the least number whose conditions hold."""
        holding = [number for number, one in enumerate(table) if holds(one.match, request)]
        assert first_match(table, request) == (holding[0] if holding else None)

    @given(many_routes, many_routes, requests())
    def test_rules_below_a_match_change_nothing(self, above: list[Route], below: list[Route], request: Request) -> None:
        """Whatever is added at the end, a decision taken above stays."""
        before = first_match(above, request)
        if before is not None:
            assert first_match(above + below, request) == before
        else:
            after = first_match(above + below, request)
            assert after is None or after >= len(above)

    @given(st.permutations(PATHS), requests())
    def test_rules_that_cannot_both_match_may_stand_in_any_order(self, order: list[str], request: Request) -> None:
        """Exact paths exclude each other: the chosen path is the same under every permutation."""
        table = [route(RouteMatch(Exact(path))) for path in order]
        found = first_match(table, request)
        assert (order[found] if found is not None else None) == (
            request.plain_path if request.plain_path in PATHS else None
        )

    @given(many_routes, any_requests(), U64, st.booleans())
    def test_the_index_agrees_with_the_scan(
        self, table: list[Route], request: Request, stream: int, ignore_parameters: bool
    ) -> None:
        """The fast twin gives the same number, however many routes there are."""
        fast = RouteIndex(table, ignore_parameters).first(request, Draws.of(given={"stream": stream}))
        assert fast == first_match(table, request, stream, ignore_parameters)

    @given(
        st.lists(st.sampled_from(("/", "/a", "/ab", "/a/", "/a/b", "/b", "/a\xff", "")), min_size=9, max_size=30),
        st.sampled_from(("/", "/a", "/ab", "/abc", "/a/b/c", "/c", "/a\xff\xff", "/a ")),
    )
    def test_chains_of_prefixes_find_the_first_and_not_the_longest(self, prefixes: list[str], path: str) -> None:
        """Prefixes of prefixes, repeated and out of order: the index walks the chain as the scan walks the list."""
        table = [route(RouteMatch(Prefix(one))) for one in prefixes]
        request = Request("GET", "h", path.strip())
        expected = next((at for at, one in enumerate(prefixes) if path.strip().startswith(one)), None)
        assert RouteIndex(table).first(request) == expected


class TestMatch2And:
    """MATCH-2: the fields of one block must all hold; a block that says nothing holds for everything."""

    @given(route_matches(), requests())
    def test_a_block_holds_exactly_if_each_of_its_conditions_does(self, asked: RouteMatch, request: Request) -> None:
        """A conjunction of its parts, each asked alone."""
        parts = [
            RouteMatch(asked.path),
            *(RouteMatch(Prefix(""), (header,)) for header in asked.headers),
            *(RouteMatch(Prefix(""), (), (parameter,)) for parameter in asked.query),
            *(RouteMatch(Prefix(""), cookies=(cookie,)) for cookie in asked.cookies),
            *(RouteMatch(Prefix(""), metadata=(noted,)) for noted in asked.metadata),
            RouteMatch(Prefix(""), grpc=asked.grpc),
            RouteMatch(Prefix(""), portion=asked.portion),
        ]
        assert holds(asked, request) == all(holds(part, request) for part in parts)

    @given(requests())
    def test_a_block_that_says_nothing_holds(self, request: Request) -> None:
        """The default match takes every request."""
        assert holds(RouteMatch(), request)


class TestMatch3Paths:
    """MATCH-3: an exact path is the whole path, a prefix a plain string prefix, both without the query."""

    @given(st.sampled_from(PATHS), requests())
    def test_exact_is_equality_and_prefix_is_startswith(self, wanted: str, request: Request) -> None:
        """Compared with the path cut at its query."""
        path = request.path.split("?")[0]
        assert holds(RouteMatch(Exact(wanted)), request) == (path == wanted)
        assert holds(RouteMatch(Prefix(wanted)), request) == path.startswith(wanted)

    @given(path_matches(), requests(), st.text("abc=&?", max_size=6))
    def test_the_query_never_decides_a_path(
        self, wanted: Exact | Prefix | Pattern, request: Request, query: str
    ) -> None:
        """Any other query, the same answer."""
        other = Request(request.method, request.authority, request.plain_path + "?" + query, port=request.port)
        assert holds(RouteMatch(wanted), request) == holds(RouteMatch(wanted), other)


class TestMatch4Case:
    """MATCH-4: ignoring case folds ASCII letters in exact paths and prefixes."""

    @given(st.sampled_from(PATHS), requests())
    def test_ignoring_case_is_comparing_in_lower_case(self, wanted: str, request: Request) -> None:
        """Letters of ASCII fold; the byte E9 does not."""
        path = ascii_lower(request.plain_path)
        assert holds(RouteMatch(Exact(wanted, ignore_case=True)), request) == (path == ascii_lower(wanted))
        assert holds(RouteMatch(Prefix(wanted, ignore_case=True)), request) == path.startswith(ascii_lower(wanted))

    def test_a_letter_beyond_ascii_does_not_fold(self) -> None:
        """Latin-1 É is not é."""
        assert not holds(RouteMatch(Exact("/\xe9", ignore_case=True)), Request("GET", "h", "/\xc9"))


class TestMatch5Patterns:
    """MATCH-5: a pattern must match the whole text."""

    @given(st.text("ab/", max_size=6), st.text("ab/", max_size=6))
    def test_a_pattern_of_plain_letters_is_equality(self, wanted: str, sent: str) -> None:
        """Neither a search nor a prefix."""
        assert holds(RouteMatch(Pattern("/" + wanted)), Request("GET", "h", "/" + sent)) == (wanted == sent)


class TestMatch6Headers:
    """MATCH-6: a header condition holds if any one value satisfies it; a header that is not sent satisfies nothing."""

    @given(values, st.lists(values, max_size=3))
    def test_any_value_will_do(self, wanted: str, sent: list[str]) -> None:
        """Each line is tried alone, under the name in any case."""
        request = Request("GET", "h", "/", tuple(("X-User", value) for value in sent))
        asked = RouteMatch(Prefix("/"), (HeaderMatch("x-user", Exact(wanted)),))
        assert holds(asked, request) == (wanted in sent)


class TestMatch7Presence:
    """MATCH-7: presence asks for the header, whatever its value; exact empty text asks for the empty value."""

    @given(st.sampled_from(HEADERS), requests())
    def test_presence_is_being_sent(self, name: str, request: Request) -> None:
        """Pseudo headers are always there."""
        asked = RouteMatch(Prefix("/"), (HeaderMatch(name, Present()),))
        sent = name in (":method", "host") or any(name == line.lower() for line, _ in request.headers)
        assert holds(asked, request) == sent

    @given(st.lists(values, max_size=3))
    def test_exact_empty_text_is_an_empty_value(self, sent: list[str]) -> None:
        """Not presence, not absence."""
        request = Request("GET", "h", "/", tuple(("x-user", value) for value in sent))
        assert holds(RouteMatch(Prefix("/"), (HeaderMatch("x-user", Exact("")),)), request) == ("" in sent)


class TestMatch8Inversion:
    """MATCH-8: an inverted condition holds if no value satisfies it; a missing header counts as empty where that is
    asked."""

    @given(values, st.lists(values, max_size=3))
    def test_no_value_may_satisfy_it(self, wanted: str, sent: list[str]) -> None:
        """As `withoutHeaders` has it: missing is one empty value."""
        request = Request("GET", "h", "/", tuple(("x-user", value) for value in sent))
        asked = RouteMatch(Prefix("/"), (HeaderMatch("x-user", Exact(wanted), True, True),))
        assert holds(asked, request) == (wanted not in (sent or [""]))

    @given(values)
    def test_a_missing_header_fails_an_inverted_condition_unless_it_counts_as_empty(self, wanted: str) -> None:
        """The proxy asks for the header before it asks for its value."""
        asked = RouteMatch(Prefix("/"), (HeaderMatch("x-user", Exact(wanted), invert=True),))
        assert not holds(asked, Request("GET", "h", "/"))

    @given(requests())
    def test_inverted_presence_is_absence(self, request: Request) -> None:
        """Exactly one of the two holds."""
        there, gone = (RouteMatch(Prefix("/"), (HeaderMatch("x-user", Present(), invert),)) for invert in (False, True))
        assert holds(there, request) != holds(gone, request)


class TestMatch9PseudoHeaders:
    """MATCH-9: method, scheme and authority are compared with case, the authority with its port; host is the
    authority."""

    @given(requests())
    def test_they_are_what_was_sent(self, request: Request) -> None:
        """Each pseudo header has exactly the one value."""
        for name, sent in ((":method", request.method), (":authority", request.authority), ("host", request.authority)):
            assert holds(RouteMatch(Prefix("/"), (HeaderMatch(name, Exact(sent)),)), request)
            other = sent.swapcase()
            assert holds(RouteMatch(Prefix("/"), (HeaderMatch(name, Exact(other)),)), request) == (other == sent)


class TestMatch10Query:
    """MATCH-10: a query parameter is the first of its name, as written."""

    @given(st.lists(st.tuples(st.sampled_from("kKq"), st.sampled_from(("", "a", "%61", "a=b"))), max_size=4), values)
    def test_the_first_value_counts(self, sent: list[tuple[str, str]], wanted: str) -> None:
        """Later ones and other cases of the name do not."""
        query = "&".join(f"{name}={value}" for name, value in sent)
        first = next((value for name, value in sent if name == "k"), None)
        request = Request("GET", "h", f"/?{query}")
        assert holds(RouteMatch(Prefix("/"), (), (QueryMatch("k", Exact(wanted)),)), request) == (first == wanted)
        assert holds(RouteMatch(Prefix("/"), (), (QueryMatch("k", Present()),)), request) == (first is not None)


class TestMatch11Cookies:
    """MATCH-11: cookies are matched through the cookie header, each line a value of its own and each line whole."""

    @given(st.lists(st.sampled_from(("debug=1", "a=b", "debug=10", "a=b; debug=1", "xdebug=1")), max_size=3))
    def test_one_line_decides_alone(self, lines: list[str]) -> None:
        """The article's pattern takes a request exactly if some line has the cookie."""
        asked = RouteMatch(Prefix("/"), (HeaderMatch("cookie", Pattern(r"^(.*?;)?\s*(debug=1)\s*(;.*)?$")),))
        request = Request("GET", "h", "/", tuple(("cookie", line) for line in lines))
        has_it = any("debug=1" in (part.strip() for part in line.split(";")) for line in lines)
        assert holds(asked, request) == has_it


class TestHostTwins:
    """HOST-4: the index finds the same virtual host as the scan."""

    @given(st.lists(st.sampled_from(DOMAINS), unique=True), st.sampled_from(HOSTS), st.booleans())
    def test_they_agree(self, domains: list[str], authority: str, ignore_port: bool) -> None:
        """With and without ports, whatever domains there are."""
        hosts = tuple(VirtualHost(domain, (domain,), ()) for domain in domains)
        listener = Listener(80, hosts, ignore_port)
        for asked in (authority, authority.upper(), authority + ":80", "z" + authority):
            slow, fast = find_host(listener, asked), HostIndex(listener).find(asked)
            assert (slow[1] if slow else None) == (fast.domain if fast else None)
