"""The bookshop: what its page tells holds, and nothing is wrong with its manifests."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import meshroute as mr

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
MESH = mr.load(EXAMPLES / "bookshop")
INSIDE = MESH.router(mr.Sidecar("bookshop"))
EDGE = MESH.router(mr.Gateway("bookshop/shop"))


def get(url: str, headers: dict[str, str] | None = None, **draws: int) -> mr.Decision:
    """What becomes of a request from inside, with these draws."""
    given = {name.replace("_", "."): draw for name, draw in draws.items()}
    return INSIDE.decide(mr.Request.of("GET", url, headers or {}), draws=mr.Draws.of(given=given))


def below(numerator: int, denominator: int) -> Fraction:
    """The share of the 2^64 draws whose remainder is below a number."""
    whole, left = divmod(2**64, denominator)
    return Fraction(whole * numerator + min(left, numerator), 2**64)


@pytest.mark.parametrize("name", ["bookshop", "canary", "zones", "sticky/before", "sticky/after"])
def test_nothing_is_wrong_with_an_example(name: str) -> None:
    """No error and no warning; the notes say which pods were assumed."""
    said = mr.load(EXAMPLES / name).diagnostics
    assert {(one.severity, one.code) for one in said} <= {(mr.Severity.NOTE, mr.Code.ADDRESS_ASSUMED)}


def test_everything_that_runs_there_is_reached() -> None:
    """Each service has its pods, as many as the Deployments say."""
    found = Counter(
        (one.service.partition(".")[0], len(one.endpoints))
        for one in INSIDE.table.clusters
        if one.service and not one.subset
    )
    assert found == Counter([("storefront", 2), ("catalogue", 3), ("reviews", 4), ("ratings", 2), ("orders-db", 2)])


@pytest.mark.parametrize(
    ("headers", "stream", "subset", "rule"),
    [
        ({}, 0, "v1", "http[1]"),
        ({}, 89, "v1", "http[1]"),
        ({}, 90, "v2", "http[1]"),
        ({}, 99, "v2", "http[1]"),
        ({"end-user": "tess"}, 90, "v3", "http[0].match[0]"),
        ({"end-user": "Tess"}, 0, "v1", "http[1]"),
        ({"cookie": "a=b; beta=1"}, 90, "v3", "http[0].match[1]"),
        ({"cookie": "beta=10"}, 0, "v1", "http[1]"),
    ],
)
def test_the_canary(headers: dict[str, str], stream: int, subset: str, rule: str) -> None:
    """One in ten, and testers always."""
    decision = get("http://reviews/", headers, stream=stream)
    assert decision.rule is not None
    assert (decision.outcome, decision.subset, decision.rule.path) == (mr.Forwarded(), subset, rule)
    assert (decision.request.fields.get("x-canary") == ("true",)) == (subset == "v3")


def test_the_canary_s_share_is_exact() -> None:
    """A tenth of all draws but for what 2^64 leaves."""
    shares = INSIDE.shares(mr.Request.of("GET", "http://reviews/"))
    assert shares.by_subset == {"v1": below(90, 100), "v2": 1 - below(90, 100)}


def test_reviews_are_waited_for_and_tried_again() -> None:
    """Two seconds in all, half a second for each try, three tries after the first."""
    decision = get("http://reviews/")
    assert decision.request.fields["x-envoy-expected-rq-timeout-ms"] == ("500",)
    end = mr.Session(INSIDE).send(mr.Request.of("GET", "http://reviews/"), lambda _: 503)
    assert (end.status, end.flags, len(end.tries)) == (503, "URX", 4)
    end = mr.Session(INSIDE).send(mr.Request.of("GET", "http://reviews/"), lambda _: 404)
    assert (end.status, end.flags, len(end.tries)) == (404, "", 1)


def test_every_second_request_is_copied() -> None:
    """To v2, while v1 answers."""
    for stream, copies in ((0, 1), (499_999, 1), (500_000, 0), (999_999, 0)):
        decision = get("http://catalogue/", stream=stream)
        assert (decision.subset, len(decision.mirrors)) == ("v1", copies)
        assert {one.cluster for one in decision.mirrors} <= {"outbound|80|v2|catalogue.bookshop.svc.cluster.local"}
    shares = INSIDE.shares(mr.Request.of("GET", "http://catalogue/"))
    assert list(shares.by_mirror.values()) == [below(500_000, 1_000_000)]


def test_ratings_fail_on_purpose() -> None:
    """Slow for the tester, an error for one in ten of the others."""
    assert get("http://ratings/", {"end-user": "tess"}).delay == 7000
    assert get("http://ratings/", fault_abort=99_999).outcome == mr.Failed(503, "FI", "fault_filter_abort")
    assert get("http://ratings/", fault_abort=100_000).outcome == mr.Forwarded()
    failed = mr.Failed(503, "FI", "fault_filter_abort")
    share = below(100_000, 1_000_000)
    by_outcome = INSIDE.shares(mr.Request.of("GET", "http://ratings/")).by_outcome
    assert by_outcome == {mr.Forwarded(): 1 - share, failed: share}


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("http://books.example.com/new", mr.Redirected(301, "https://books.example.com/new")),
        ("https://books.example.com/shop/new?page=2", mr.Redirected(308, "https://books.example.com/new?page=2")),
        ("https://books.example.com/", mr.Forwarded()),
        ("https://other.example/", mr.Failed(0, "NR", "filter_chain_not_found")),
        ("http://other.example/", mr.Failed(404, "NR", "route_not_found")),
    ],
)
def test_from_outside(url: str, outcome: mr.Outcome) -> None:
    """https for everybody, old paths elsewhere, and no other name."""
    assert EDGE.decide(mr.Request.of("GET", url)).outcome == outcome


def test_the_api_is_a_delegate_s() -> None:
    """With the path that the shop's rule rewrites, and without a header that the delegate hides."""
    decision = EDGE.decide(mr.Request.of("GET", "https://books.example.com/api/reviews/7"))
    assert (decision.request.path, decision.subset) == ("/7", "v1")
    assert decision.answer([("x-internal", "1"), ("x-other", "2")]) == (("x-other", "2"),)


def test_partners_may_call() -> None:
    """The proxy answers their browsers, and nobody else's."""
    asks: dict[str, Any] = {"access-control-request-method": "GET"}
    url = "https://books.example.com/"
    partner = EDGE.decide(mr.Request.of("OPTIONS", url, {"origin": "https://partner.example", **asks}))
    assert partner.outcome == mr.Responded(200)
    assert ("access-control-allow-methods", "GET") in partner.response_headers
    stranger = EDGE.decide(mr.Request.of("OPTIONS", url, {"origin": "https://stranger.example", **asks}))
    assert ("access-control-allow-origin", "https://stranger.example") not in stranger.response_headers
    assert stranger.outcome == mr.Forwarded()


def test_connections_to_the_database_are_split() -> None:
    """Four in five to v1."""
    opened = mr.Connection(3306, host="orders-db")
    went = [INSIDE.connect(opened, draws=mr.Draws.of(given={"stream": one})).subset for one in range(100)]
    assert went == ["v1"] * 80 + ["v2"] * 20
