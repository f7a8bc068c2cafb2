"""Matching: spec/match.md, on tables."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Request
from meshroute.conformance.strategies.tables import (
    DOMAINS,
    HEADERS,
    HOSTS,
    PATHS,
    U64,
    any_requests,
    path_matches,
    portions,
    requests,
    route_matches,
    routes,
    text_matches,
    values,
)
from meshroute.match.index import HostIndex, RouteIndex
from meshroute.match.scan import find_host, first_failure, first_match
from meshroute.match.template import shape_of
from meshroute.names import ascii_lower
from meshroute.table import (
    Absent,
    Between,
    Contains,
    CookieMatch,
    Exact,
    HeaderMatch,
    Listener,
    MetadataMatch,
    PathMatch,
    Pattern,
    Portion,
    Prefix,
    Present,
    QueryMatch,
    Respond,
    Route,
    RouteMatch,
    Segments,
    Suffix,
    TableError,
    Template,
    TextMatch,
    Tunnel,
    VirtualHost,
)

paths_of_segments = st.lists(st.sampled_from(("v2", "V2", "v2x", "deep", "", "a", "x")), min_size=1, max_size=4).map(
    lambda some: "/" + "/".join(some)
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


class TestMatch14Segments:
    """MATCH-14: segments are a path or what goes on with a slash behind it."""

    @given(st.sampled_from(("/v2", "/V2", "/v2/deep", "/a")), paths_of_segments, st.booleans())
    def test_by_splitting_at_slashes(self, wanted: str, path: str, fold: bool) -> None:
        """A prefix of the list of segments."""
        have, want = (ascii_lower(one) if fold else one for one in (path, wanted))
        ours, theirs = have.split("/"), want.split("/")
        assert holds(RouteMatch(Segments(wanted, fold)), Request("GET", "h", path)) == (ours[: len(theirs)] == theirs)


class TestMatch15PartsAndNumbers:
    """MATCH-15: a text by its end, by what is in it, and as a number."""

    @given(values, values.filter(bool), st.booleans())
    def test_ends_and_parts(self, sent: str, wanted: str, fold: bool) -> None:
        """As Python's own methods have it, of folded text."""
        request = Request("GET", "h", "/", (("x", sent),))
        have, want = (ascii_lower(one) if fold else one for one in (sent, wanted))
        for kind, expected in ((Suffix, have.endswith(want)), (Contains, want in have)):
            asked = RouteMatch(headers=(HeaderMatch("x", kind(wanted, fold)),))
            assert holds(asked, request) == expected

    @given(st.integers(-(2**64), 2**64) | st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3), st.booleans())
    def test_numbers_of_64_bits(self, number: int, start: int, end: int, zeros: bool) -> None:
        """Written in any way that is a whole number in decimal."""
        sign, digits = ("-" if number < 0 else "+" if zeros else ""), str(abs(number))
        request = Request("GET", "h", "/", (("x", sign + "0" * zeros + digits),))
        expected = start <= number < end and -(2**63) <= number < 2**63
        assert holds(RouteMatch(headers=(HeaderMatch("x", Between(start, end)),)), request) == expected

    @given(st.sampled_from(("", "1.0", "0x1", "1x", "1 1", "+", "--1", "1e0")))
    def test_nothing_else_is_a_number(self, text: str) -> None:
        """However wide the range."""
        asked = RouteMatch(headers=(HeaderMatch("x", Between(-(2**63), 2**63 - 1)),))
        assert not holds(asked, Request("GET", "h", "/", (("x", text),)))


class TestMatch16Joined:
    """MATCH-16: a joined condition looks at all lines as one value."""

    @given(st.lists(values, max_size=3), text_matches(), st.booleans(), st.booleans())
    def test_as_one_line_with_commas(self, lines: list[str], wanted: TextMatch, invert: bool, empty: bool) -> None:
        """It says of the lines what a plain condition says of that one line."""
        joined = RouteMatch(headers=(HeaderMatch("x", wanted, invert, empty, joined=True),))
        plain = RouteMatch(headers=(HeaderMatch("x", wanted, invert, empty),))
        many = Request("GET", "h", "/", tuple(("x", line) for line in lines))
        one = Request("GET", "h", "/", (("x", ",".join(lines)),) if lines else ())
        assert holds(joined, many) == holds(plain, one)


class TestMatch17Templates:
    """MATCH-17: templates take paths of their shape."""

    @given(
        st.lists(st.sampled_from(("*", "{a}", "{b=*}", "v2", "x")), min_size=1, max_size=4, unique=True),
        paths_of_segments,
    )
    def test_segment_by_segment(self, shape: list[str], path: str) -> None:
        """A star takes a segment that is not empty, a literal itself."""
        segments = path[1:].split("/")
        expected = len(shape) == len(segments) and all(
            one == said if one in ("v2", "x") else said != "" for one, said in zip(shape, segments, strict=True)
        )
        assert holds(RouteMatch(Template("/" + "/".join(shape))), Request("GET", "h", path)) == expected

    @given(st.sampled_from(("/**", "/{a=**}")), paths_of_segments)
    def test_two_stars_take_everything(self, template: str, path: str) -> None:
        """The empty rest too."""
        assert holds(RouteMatch(Template(template)), Request("GET", "h", path))

    @given(st.sampled_from('"<>[]^`{|}\\'), st.sampled_from(("/*", "/**", "/{a}")))
    def test_characters_that_no_literal_has_are_never_met(self, letter: str, template: str) -> None:
        """They must be escaped."""
        assert not holds(RouteMatch(Template(template)), Request("GET", "h", f"/a{letter}"))
        assert holds(RouteMatch(Template(template)), Request("GET", "h", "/a%7C"))

    @given(
        st.sampled_from(("", "a", "/{", "/{}", "/{1}", "/{a}{b}", "/{a}-{b}", "/**/*", "/{a}/{a}", "//", "/*x/y", "/é"))
    )
    def test_what_is_no_template_is_refused(self, template: str) -> None:
        """With the name of what is wrong."""
        with pytest.raises(TableError, match="template"):
            shape_of(template)


class TestMatch18Tunnels:
    """MATCH-18: a tunnel takes CONNECT, and nothing else takes CONNECT."""

    @given(any_requests(), path_matches())
    def test_exactly_one_of_the_two(self, request: Request, wanted: PathMatch) -> None:
        """Whatever the path of the other condition."""
        tunnel = request.method == "CONNECT"
        assert holds(RouteMatch(Tunnel()), request) == tunnel
        if tunnel and not isinstance(wanted, Tunnel):
            assert not holds(RouteMatch(wanted), request)


class TestMatch19CookieConditions:
    """MATCH-19: the first cookie of the name counts; inverted, a missing one does."""

    @given(st.lists(st.tuples(st.sampled_from("ab"), values), max_size=4), values, st.integers(0, 4))
    def test_the_first_value(self, cookies: list[tuple[str, str]], wanted: str, cut: int) -> None:
        """However the cookies are divided into lines."""
        said = [f"{name}={value}" for name, value in cookies]
        lines = [("cookie", "; ".join(part)) for part in (said[:cut], said[cut:]) if part]
        first = next((value for name, value in cookies if name == "a"), None)
        request = Request("GET", "h", "/", tuple(lines))
        for invert in (False, True):
            asked = RouteMatch(cookies=(CookieMatch("a", Exact(wanted), invert),))
            assert holds(asked, request) == ((first == wanted) != invert)


class TestMatch20Metadata:
    """MATCH-20: a text where the path leads, or a list with such a text."""

    @given(st.sampled_from(("a", "b", ["a"], ["b", "a"], ["b"], [], 3, {"a": "a"}, None)), st.booleans())
    def test_texts_and_lists(self, noted: object, invert: bool) -> None:
        """Nothing else satisfies anything."""
        expected = noted == "a" or (isinstance(noted, list) and "a" in noted)
        asked = RouteMatch(metadata=(MetadataMatch("jwt", ("x", "y"), Exact("a"), invert),))
        request = Request("GET", "h", "/", metadata={"jwt": {"x": {"y": noted}}})
        assert holds(asked, request) == (expected != invert)
        others: list[dict[str, object]] = [{}, {"jwt": {}}, {"jwt": {"x": "y"}}, {"other": {"x": {"y": "a"}}}]
        for elsewhere in others:
            assert holds(asked, Request("GET", "h", "/", metadata=elsewhere)) == invert


class TestMatch21Grpc:
    """MATCH-21: gRPC by its content type."""

    @given(
        st.sampled_from(("application/grpc", "application/GRPC", "")), st.sampled_from(("", "+", "+x", ";x", "-web"))
    )
    def test_by_the_whole_name(self, start: str, rest: str) -> None:
        """With nothing or a plus behind it."""
        request = Request("POST", "h", "/", (("content-type", start + rest),))
        expected = start == "application/grpc" and (not rest or rest.startswith("+"))
        assert holds(RouteMatch(grpc=True), request) == expected
        assert not holds(RouteMatch(grpc=True), Request("CONNECT", "h", "", request.headers))


class TestMatch22Portions:
    """MATCH-22: a portion takes draws by their remainder."""

    @given(portions, U64)
    def test_a_draw_below_the_numerator(self, portion: Portion, stream: int) -> None:
        """More than all is all."""
        expected = int(str(stream)[-len(str(portion.denominator)) + 1 :]) < portion.numerator
        failure = first_failure(RouteMatch(portion=portion), Request("GET", "h", "/"), stream)
        assert (failure is None) == expected

    @given(U64)
    def test_two_halves_are_the_same_half(self, stream: int) -> None:
        """The second is never met, and the third route has what is left."""
        table = [route(RouteMatch(portion=Portion(50))), route(RouteMatch(portion=Portion(5000, 10_000)))]
        hundredth, ten_thousandth = stream % 100 < 50, stream % 10_000 < 5000
        assert first_match(table[:1] * 2, Request("GET", "h", "/"), stream) == (0 if hundredth else None)
        expected = 0 if hundredth else 1 if ten_thousandth else None
        assert first_match(table, Request("GET", "h", "/"), stream) == expected


class TestMatch23PathParameters:
    """MATCH-23: a listener can have parameters left out of paths when they are compared."""

    @given(
        st.lists(st.tuples(st.sampled_from(("a", "v2", "")), st.sampled_from(("", ";", ";x=1", ";x;y"))), min_size=1)
    )
    def test_as_if_they_had_not_been_sent(self, segments: list[tuple[str, str]]) -> None:
        """For every condition but templates."""
        sent = "".join(f"/{name}{parameters}" for name, parameters in segments)
        plain = "".join(f"/{name}" for name, _ in segments)
        request = Request("GET", "h", sent + "?q;r")
        for asked in (Exact(plain), Prefix(plain), Pattern(plain), Prefix("/v2"), Exact("/a")):
            ignored = first_failure(RouteMatch(asked), request, 0, True) is None
            assert ignored == holds(RouteMatch(asked), Request("GET", "h", plain))
        whole = RouteMatch(Template("/**"))
        assert (first_failure(whole, request, 0, True) is None) == holds(whole, request)


class TestMatch24AbsentParameters:
    """MATCH-24: a query parameter can be asked not to be there."""

    @given(requests(), st.sampled_from("kKq"))
    def test_the_opposite_of_presence(self, request: Request, name: str) -> None:
        """Exactly one of the two holds."""
        there, gone = (RouteMatch(query=(QueryMatch(name, value),)) for value in (Present(), Absent()))
        assert holds(there, request) != holds(gone, request)
