"""What lint tells is true: decisions on the broken manifests of docs/lint are what the messages say, and on the mended
ones they are what was meant."""

from __future__ import annotations

from fractions import Fraction

import pytest

import meshroute as mr
from meshroute.table import RoundRobin
from tests.unit.analysis.lint.marks import block

EDGE = mr.Gateway("edge/edge")
SHOP = mr.Sidecar("shop")
OK = mr.Forwarded()


def decided(page: str, info: str, url: str, proxy: mr.Sidecar | mr.Gateway = SHOP, **headers: str) -> mr.Decision:
    """What becomes of a request by one of the two manifests of a page."""
    router = mr.loads(block(page, info)).router(proxy)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return router.decide(mr.Request.of("GET", url, named))


@pytest.mark.parametrize(
    ("page", "url", "proxy", "broken", "mended"),
    [
        ("destination-port-missing", "http://web.example/", EDGE, "NC", ""),
        ("destination-unseen", "http://web/partner/", SHOP, "NC", ""),
        ("host-unknown", "http://front/", mr.Sidecar("front"), "NC", ""),
        ("port-unknown", "http://web/", SHOP, "NC", ""),
        ("virtual-services-overlap", "http://api.example/", EDGE, "NR", ""),
        ("service-without-pods", "http://web/", SHOP, "UH", ""),
        ("target-port-unknown", "http://web/", SHOP, "UH", ""),
        ("gateway-unknown", "http://web.example/", EDGE, "NR", ""),
    ],
)
def test_a_dead_end_is_the_one_that_is_told(
    page: str, url: str, proxy: mr.Sidecar | mr.Gateway, broken: str, mended: str
) -> None:
    """The flag of the answer before, and no dead end after."""
    for info, flag in (("broken", broken), ("mended", mended)):
        outcome = decided(page, info, url, proxy).outcome
        assert (outcome.flag if isinstance(outcome, mr.Failed) else "") == flag


@pytest.mark.parametrize(
    ("page", "url", "headers", "broken", "mended"),
    [
        ("header-named-as-field", "http://web/", {"method": "POST"}, mr.Responded(405), OK),
        ("header-named-as-field", "http://web/", {}, OK, OK),
        ("uri-with-query", "http://web/search?debug=1", {}, OK, mr.Responded(418)),
        ("authority-port", "http://web:8080/", {}, OK, mr.Responded(418)),
        ("match-takes-everything", "http://web/", {}, mr.Responded(403), OK),
        ("match-takes-everything", "http://web/admin/", {}, mr.Responded(403), mr.Responded(403)),
    ],
)
def test_who_is_taken_is_who_is_told(
    page: str, url: str, headers: dict[str, str], broken: mr.Outcome, mended: mr.Outcome
) -> None:
    """By the rule that was written for others, or for nobody."""
    assert decided(page, "broken", url, SHOP, **headers).outcome == broken
    assert decided(page, "mended", url, SHOP, **headers).outcome == mended


def test_a_rewrite_makes_two_slashes() -> None:
    """Of `/shop/x`; and one, where both end with one."""
    assert decided("rewrite-slashes", "broken", "http://web/shop/x").request.path == "//x"
    assert decided("rewrite-slashes", "mended", "http://web/shop/x").request.path == "/x"


@pytest.mark.parametrize("page", ["host-half-qualified", "mesh-left-out"])
def test_rules_that_are_passed_by(page: str) -> None:
    """The timeout of the rules holds only where they are mended."""
    assert decided(page, "broken", "http://web/").rule is None
    assert decided(page, "mended", "http://web/").rule is not None


def test_a_host_that_is_not_registered_has_rules_on_port_80_only() -> None:
    """Elsewhere requests go where the client was going."""
    urls = ("http://api.partner.example/", "http://api.partner.example:8080/")
    assert [decided("host-not-registered", "broken", url).outcome for url in urls] == [mr.Responded(503), OK]
    assert decided("host-not-registered", "mended", urls[1]).outcome == mr.Responded(503)


def shares(page: str, info: str, **headers: str) -> list[Fraction]:
    """The shares of the pods, for a request of one user."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    router = mr.loads(block(page, info)).router(SHOP)
    return sorted(router.shares(mr.Request.of("GET", "http://web/", named)).by_endpoint.values())


def test_users_stay_nowhere_behind_weights() -> None:
    """One user meets both pods; and one only where rules divide users."""
    assert len(shares("hash-behind-weights", "broken", x_user="7")) == 2
    assert shares("hash-behind-weights", "mended", x_user="7") == [1]
    assert shares("hash-behind-weights", "mended", x_user="5") == [1]


def test_a_port_s_hashing_needs_the_port() -> None:
    """Without it a user meets both pods."""
    assert len(shares("hash-port-missing", "broken", x_user="7")) == 2
    assert shares("hash-port-missing", "mended", x_user="7") == [1]


@pytest.mark.parametrize(("info", "out"), [("broken", False), ("mended", True)])
def test_nobody_is_ever_put_aside(info: str, out: bool) -> None:
    """Not after a thousand failures; and after five where one may be."""
    session = mr.Session(mr.loads(block("outliers-never-ejected", info)).router(SHOP))
    ends = [session.send(mr.Request.of("GET", "http://web/"), lambda _: 500) for _ in range(1000)]
    pods = {one.tries[-1].endpoint for one in ends[-100:]}
    assert (len(pods) == 1) is out


def test_a_second_policy_for_a_host_counts_for_nothing() -> None:
    """The service is balanced as the older rule says, whatever the younger one limits."""
    clusters = mr.loads(block("destination-rule-folded", "broken")).table(SHOP).clusters
    assert [one.policy for one in clusters if one.service.startswith("web.")] == [RoundRobin()]
