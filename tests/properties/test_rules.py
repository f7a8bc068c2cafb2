"""What rules of VirtualServices do, and delegates: spec/rule.md, spec/delegate.md."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshroute import Request
from meshroute.compile import actions
from meshroute.compile.delegates import Delegates, conflict, joined, texts_conflict
from meshroute.compile.routes import claim_path, is_catch_all, text_match
from meshroute.conformance.seeing import Admitted
from meshroute.manifest.istio import (
    CorsPolicy,
    HeaderOperations,
    Headers,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    StringMatch,
    VirtualService,
)
from meshroute.manifest.kubernetes import Service
from meshroute.match.predicate import text_predicate
from meshroute.match.scan import first_match
from meshroute.names import ascii_lower
from meshroute.table import Append, Forward, Listener, Route

TEXTS = st.text("ab/", max_size=3)
NAMES = st.sampled_from(("x-a", "X-A", "x-b", "host", "Host", ":authority", ":path", "zeta"))
OPERATIONS = st.builds(
    HeaderOperations,
    set=st.dictionaries(NAMES, st.sampled_from(("1", "2", ""))),
    add=st.dictionaries(NAMES, st.sampled_from(("3", "4"))),
    remove=st.lists(NAMES, max_size=3).map(tuple),
)
HEADERS = st.builds(Headers, request=st.none() | OPERATIONS, response=st.none() | OPERATIONS)
STRINGS = st.one_of(
    st.builds(StringMatch, exact=TEXTS),
    st.builds(StringMatch, prefix=TEXTS),
    st.builds(StringMatch, regex=st.sampled_from(("a.*", ".*", "[ab]"))),
    st.just(StringMatch()),
)


def virtual_service(name: str, spec: Mapping[str, Any]) -> VirtualService:
    """One in namespace `default`."""
    return VirtualService.model_validate({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def routes_of(*virtual_services: VirtualService) -> tuple[Route, ...]:
    """The routes of `web` on port 80, for a sidecar of which nothing is said."""
    table = Admitted([WEB, *virtual_services]).router().table
    listener: Listener = next(one for one in table.listeners if one.port == 80)
    return next(one.routes for one in listener.virtual_hosts if one.name.startswith("web."))


WEB = Service.model_validate(
    {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]},
    }
)
TO_WEB = {"route": [{"destination": {"host": "web"}}]}


class TestRule1Rewrites:
    """RULE-1: a rewrite is what is written; an empty one rewrites nothing."""

    @given(TEXTS, TEXTS)
    def test_text_stays_text(self, uri: str, pattern: str) -> None:
        plain = actions.path_rewrite(HTTPRewrite(uri=uri, authority="other"))
        assert (plain is None) == (not uri)
        assert plain is None or getattr(plain, "value", None) == uri
        rewrite = HTTPRewrite.model_validate({"uriRegexRewrite": {"match": pattern, "rewrite": uri}})
        by_pattern = actions.path_rewrite(rewrite)
        assert (getattr(by_pattern, "pattern", None), getattr(by_pattern, "substitution", None)) == (pattern, uri)


class TestRule2Authority:
    """RULE-2: of all who set the authority, one wins."""

    @given(*[st.sampled_from(("", "a.example", "b.example", "c.example", "d.example"))] * 4)
    def test_the_first_in_this_order_wins(self, rewrite: str, set_: str, added: str, destination: str) -> None:
        def operations(field: str, value: str) -> dict[str, Any]:
            return {field: {":authority": value}} if value else {}

        rule = {
            "route": [
                {"destination": {"host": "web"}, "headers": {"request": operations("set", destination)}},
            ],
            "headers": {"request": {**operations("set", set_), **operations("add", added)}},
            "rewrite": {"authority": rewrite, "uri": "/"},
        }
        (route,) = routes_of(virtual_service("vs", {"hosts": ["web"], "http": [rule]}))
        assert isinstance(route.action, Forward)
        wanted = rewrite or set_ or added or destination
        assert getattr(route.action.authority, "value", "") == wanted


class TestRule3Headers:
    """RULE-3: removals, then what is set, then what is added."""

    @given(HEADERS)
    def test_every_name_once_and_no_pseudo_header(self, headers: Headers) -> None:
        changed = actions.changed_by(headers)
        for written, made in ((headers.request, changed.request), (headers.response, changed.response)):
            sets = [] if written is None else [*written.set.items()]
            adds = [] if written is None else [*written.add.items()]
            removes = () if written is None else written.remove

            def kept(name: str) -> bool:
                return not name.startswith(":") and ascii_lower(name) != "host"

            assert list(made.remove) == [ascii_lower(name) for name in removes if kept(name)]
            assert [(one.name, one.value) for one in made.add if one.how is Append.OVERWRITE] == [
                (ascii_lower(name), value) for name, value in sorted(sets) if kept(name)
            ]
            assert [(one.name, one.value) for one in made.add if one.how is Append.APPEND] == [
                (ascii_lower(name), value) for name, value in sorted(adds) if kept(name)
            ]
            hows = [one.how for one in made.add]
            assert hows == sorted(hows, key=[Append.OVERWRITE, Append.APPEND].index)

    @given(HEADERS, HEADERS, HEADERS)
    def test_levels_that_follow_each_other_are_one(self, one: Headers, two: Headers, three: Headers) -> None:
        """In whatever way they are grouped."""
        a, b, c = map(actions.changed_by, (one, two, three))
        assert a.followed_by(b).followed_by(c) == a.followed_by(b.followed_by(c))
        assert a.followed_by(actions.UNCHANGED) == actions.UNCHANGED.followed_by(a) == a

    @given(OPERATIONS, st.integers(1, 3))
    def test_destinations_have_levels_of_their_own_if_there_are_several(
        self, operations: HeaderOperations, count: int
    ) -> None:
        own = {"request": operations.model_dump(by_alias=True)}
        rule = {"route": [{"destination": {"host": "web"}, "weight": 1, "headers": own}] * count}
        (route,) = routes_of(virtual_service("vs", {"hosts": ["web"], "http": [rule]}))
        assert isinstance(route.action, Forward)
        made = actions.changed_by(Headers(request=operations)).request
        mine = [one.request_headers for one in route.action.clusters]
        something = bool(made.add or made.remove)
        assert mine == ([None] if count == 1 else [made if something else None] * count)
        assert route.request_headers == ((made,) if count == 1 and something else ())


class TestRule4Timeouts:
    """RULE-4: no timeout unless one is written; milliseconds."""

    @given(st.none() | st.integers(1_000, 10**7))
    def test_whole_milliseconds(self, microseconds: int | None) -> None:
        rule = {**TO_WEB, **({} if microseconds is None else {"timeout": f"{microseconds}us"})}
        (route,) = routes_of(virtual_service("vs", {"hosts": ["web"], "http": [rule]}))
        assert isinstance(route.action, Forward)
        assert route.action.timeout == (0 if microseconds is None else microseconds // 1000)


WORDS = st.lists(
    st.sampled_from(("5xx", "503", "404", "600", "099", "reset", "retriable-status-codes", "")), max_size=6
)
BLANKS = st.sampled_from(("", " ", "\t", " \t"))


class TestRule5Retries:
    """RULE-5: which failures are tried again."""

    @given(WORDS, st.lists(st.tuples(BLANKS, BLANKS), min_size=6, max_size=6))
    def test_numbers_are_statuses_and_words_stay(self, words: list[str], blanks: list[tuple[str, str]]) -> None:
        """However they are spaced; the word for statuses is there where there are any."""
        written = ",".join(before + word + after for word, (before, after) in zip(words, blanks, strict=False))
        made = actions.retries_of(HTTPRetry(attempts=3, retry_on=written), None)
        assert made is not None
        assert made.attempts == 3
        if not written:
            assert (made.on, made.statuses) == (actions.DEFAULT_CONDITIONS, ())
            return
        statuses = tuple(int(word) for word in words if word in ("503", "404"))
        plain = [word for word in words if word and word not in ("503", "404")]
        if statuses and actions.STATUS_CODES not in plain:
            plain.append(actions.STATUS_CODES)
        assert (made.on, made.statuses) == (tuple(plain), statuses)

    @given(st.integers(-3, 0), st.none() | st.integers(-1, 4))
    def test_none_are_none(self, attempts: int, mesh: int | None) -> None:
        """A rule that turns them off does so whatever the mesh says; one that says nothing has the mesh's."""
        default = None if mesh is None else HTTPRetry(attempts=mesh)
        assert actions.retries_of(HTTPRetry(attempts=attempts), default) is None
        made = actions.retries_of(None, default)
        assert (made.attempts if made else None) == (2 if mesh is None else mesh if mesh > 0 else None)


class TestRule6RetryHosts:
    """RULE-6: whether a retry passes over hosts that were tried."""

    @given(st.none() | st.booleans(), st.booleans())
    def test_what_is_written_stands_before_the_key(self, said: bool | None, one_by_key: bool) -> None:
        written = HTTPRetry(attempts=1, retry_ignore_previous_hosts=said)
        found = actions.retry_hosts(actions.retries_of(written, None), written, one_by_key=one_by_key)
        assert (found is not None) == (not one_by_key if said is None else said)
        assert found is None or found.attempts == 5
        assert actions.retry_hosts(None, written, one_by_key=one_by_key) is None


class TestRule7Faults:
    """RULE-7: which share of requests a fault strikes."""

    @given(st.none() | st.floats(0, 100), st.integers(0, 100))
    def test_a_percentage_is_cut_to_a_millionth(self, percentage: float | None, percent: int) -> None:
        delay: dict[str, Any] = {"fixedDelay": "1s", "percent": percent}
        if percentage is not None:
            delay["percentage"] = {"value": percentage}
        made = actions.fault_of(HTTPFaultInjection.model_validate({"delay": delay}))
        exact = Fraction(percentage * 10_000) if percentage is not None else Fraction(percent)
        size = 1_000_000 if percentage is not None else 100
        if exact < 1:
            assert made is None
        else:
            assert made is not None
            assert made.delay is not None
            assert (made.delay.portion.numerator, made.delay.portion.denominator) == (int(exact), size)


class TestRule8Mirrors:
    """RULE-8: which share of requests is copied."""

    @given(st.lists(st.none() | st.floats(0, 100), max_size=4))
    def test_each_copy_has_its_own_share(self, percentages: list[float | None]) -> None:
        """And a share of nothing is no copy."""
        mirrors = [
            {"destination": {"host": "web"}, **({} if one is None else {"percentage": {"value": one}})}
            for one in percentages
        ]
        (route,) = routes_of(virtual_service("vs", {"hosts": ["web"], "http": [{**TO_WEB, "mirrors": mirrors}]}))
        assert isinstance(route.action, Forward)
        wanted = [Fraction(1) if one is None else Fraction(int(one * 10_000), 1_000_000) for one in percentages]
        made = [Fraction(one.portion.numerator, one.portion.denominator) for one in route.action.mirrors]
        assert made == [one for one in wanted if one]


class TestRule9Origins:
    """RULE-9: which pages may call."""

    @given(st.lists(TEXTS, max_size=3), st.lists(TEXTS.filter(bool), max_size=3))
    def test_the_older_list_counts_alone_only(self, older: list[str], newer: list[str]) -> None:
        made = actions.cors_of(
            CorsPolicy.model_validate({"allowOrigin": older, "allowOrigins": [{"prefix": one} for one in newer]})
        )
        assert made is not None
        assert [getattr(one, "value", None) for one in made.origins] == (newer or older)


class TestRule10Claims:
    """RULE-10: conditions on claims are no header conditions."""

    @given(st.lists(st.text("abc.", min_size=1, max_size=4), min_size=1, max_size=3), st.sampled_from((str, str.upper)))
    def test_both_spellings(self, claims: list[str], case: Any) -> None:
        """In brackets a claim may have dots."""
        start = case("@request.auth.claims")
        assert claim_path(start + "".join(f"[{one}]" for one in claims)) == ("payload", *claims)
        dotted = [one for one in claims if "." not in one]
        if dotted:
            assert claim_path(start + "." + ".".join(dotted)) == ("payload", *dotted)
        assert claim_path("x-" + claims[0]) is None

    @given(st.booleans())
    def test_a_block_with_one_is_no_catch_all(self, without: bool) -> None:
        field = "withoutHeaders" if without else "headers"
        block = {field: {"@request.auth.claims.group": {"exact": "a"}}}
        spec = {"hosts": ["web"], "http": [{**TO_WEB, "match": [block]}, TO_WEB]}
        routes = routes_of(virtual_service("vs", spec))
        assert len(routes) == 2
        assert not is_catch_all(routes[0])
        assert routes[0].match.headers == ()


class TestRule11Arrival:
    """RULE-11: paths are put in order before any rule is tried."""

    @given(st.sampled_from(("/a/../b", "/./b", "/%62", "/a/%2e%2E/b")))
    def test_a_sidecar_compares_what_the_path_comes_to(self, path: str) -> None:
        spec = {"hosts": ["web"], "http": [{**TO_WEB, "match": [{"uri": {"exact": "/b"}}]}]}
        router = Admitted([WEB, virtual_service("vs", spec)]).router()
        decision = router.decide(Request.of("GET", f"http://web{path}"))
        assert decision.rule is not None


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "uri": STRINGS.filter(lambda one: one != StringMatch()),
        "method": st.builds(StringMatch, exact=st.sampled_from(("GET", "POST"))),
        "headers": st.dictionaries(st.sampled_from(("x-a", "x-b")), STRINGS, max_size=2),
        "port": st.sampled_from((80, 81)),
    },
).map(lambda fields: HTTPMatchRequest(**fields))


class TestDelegate1Found:
    """DELEGATE-1: rules go on in the VirtualService that is named, where it is one without hosts and may be seen."""

    @given(st.booleans(), st.sampled_from(((), (".",), ("*",), ("default",), ("other",), ("other", "default"))))
    def test_only_a_visible_one_without_hosts(self, hosts: bool, export_to: tuple[str, ...]) -> None:
        there = virtual_service(
            "there", {"http": [TO_WEB], "exportTo": export_to, **({"hosts": ["x"]} if hosts else {})}
        )
        root = virtual_service("root", {"hosts": ["web"], "http": [{"delegate": {"name": "there"}}]})
        found = Delegates([root, there]).of(root, root.spec.http[0])
        assert (found is there) == (not hosts and export_to != ("other",))


class TestDelegate2Merging:
    """DELEGATE-2: what both sides ask must hold."""

    @given(st.lists(MATCHES, max_size=2), st.lists(MATCHES, max_size=2), st.text("ab/", max_size=3), st.data())
    def test_a_merged_rule_takes_what_both_take(
        self, above: list[HTTPMatchRequest], below: list[HTTPMatchRequest], path: str, data: st.DataObject
    ) -> None:
        """A request that reaches the delegate's rule satisfies one alternative of each side."""
        headers = data.draw(st.dictionaries(st.sampled_from(("x-a", "x-b")), st.text("ab/", max_size=2)))
        request = Request.of(data.draw(st.sampled_from(("GET", "POST"))), f"http://web/{path}", headers)

        def written(matches: list[HTTPMatchRequest]) -> list[dict[str, Any]]:
            return [one.model_dump(by_alias=True, exclude_unset=True, exclude_none=True) for one in matches]

        leaf = virtual_service("leaf", {"http": [{**TO_WEB, "match": written(below)}]})
        root = {"hosts": ["web"], "http": [{"delegate": {"name": "leaf"}, "match": written(above)}]}
        alone = [
            routes_of(virtual_service("vs", {"hosts": ["web"], "http": [{**TO_WEB, "match": written(some)}]}))
            for some in (above, below)
        ]
        both = routes_of(virtual_service("root", root), leaf)
        taken = both and both[0].name != "default" and first_match(both, request) is not None
        for one in alone:
            if taken:
                assert first_match(one, request) is not None


class TestDelegate3Conflicts:
    """DELEGATE-3: alternatives that do not conflict ask for less and less."""

    @given(STRINGS, STRINGS, TEXTS)
    def test_without_conflict_the_delegate_takes_no_more(self, root: StringMatch, leaf: StringMatch, text: str) -> None:
        """Whatever text satisfies the delegate's condition satisfies the other one."""
        if not texts_conflict(root, leaf) and text_predicate(text_match(leaf))(text):
            assert text_predicate(text_match(root))(text)

    @given(STRINGS)
    def test_a_text_conflicts_with_itself_only_if_it_is_no_text(self, asked: StringMatch) -> None:
        """A pattern does, and a condition that says nothing."""
        assert texts_conflict(asked, asked) == (not asked.exact and not asked.prefix)

    @given(MATCHES)
    def test_nothing_conflicts_with_nothing(self, asked: HTTPMatchRequest) -> None:
        """Not even a pattern."""
        assert not conflict(HTTPMatchRequest(), asked)
        assert not conflict(asked, HTTPMatchRequest())


class TestDelegate4Inheritance:
    """DELEGATE-4: what a delegate's rule does not say, it takes as a whole."""

    @given(*[st.sampled_from((None, "1s", "2s"))] * 2, *[st.sampled_from((None, "/a", "/b"))] * 2)
    def test_each_field_by_itself(
        self, root_time: str | None, leaf_time: str | None, root_uri: str | None, leaf_uri: str | None
    ) -> None:
        def fields(time: str | None, uri: str | None) -> dict[str, Any]:
            return {
                **({"timeout": time} if time else {}),
                **({"rewrite": {"uri": uri}} if uri else {}),
            }

        leaf = virtual_service("leaf", {"http": [{**TO_WEB, **fields(leaf_time, leaf_uri)}]})
        rule = {"delegate": {"name": "leaf"}, **fields(root_time, root_uri)}
        (route,) = routes_of(virtual_service("root", {"hosts": ["web"], "http": [rule]}), leaf)
        assert isinstance(route.action, Forward)
        time, uri = leaf_time or root_time, leaf_uri or root_uri
        assert route.action.timeout == (int(time[0]) * 1000 if time else 0)
        assert getattr(route.action.path, "value", None) == uri

    @given(st.text("ab", max_size=2), st.text("ab", max_size=2))
    def test_names_are_joined(self, root: str, leaf: str) -> None:
        assert joined(root, leaf) == (f"{root}-{leaf}" if root and leaf else root or leaf)


def test_a_rule_is_a_rule_with_or_without_a_delegate() -> None:
    """A VirtualService that delegates nothing has its own rules and no others."""
    root = virtual_service("root", {"hosts": ["web"], "http": [TO_WEB, {**TO_WEB, "name": "two"}]})
    assert [rule.written for rule in Delegates([root]).rules(root)] == [
        HTTPRoute.model_validate(TO_WEB),
        root.spec.http[1],
    ]
