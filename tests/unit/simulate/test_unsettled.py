"""What is promised while pods come, fail and return, beside simulations of the engine itself."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isclose, log
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.balance.picker import Members
from meshroute.balance.queue import Ramp
from meshroute.names import ClusterName, EndpointKey
from meshroute.simulate import (
    SECOND,
    Arrivals,
    Asking,
    Change,
    Clients,
    Constant,
    Scenario,
    Serving,
    Simulation,
    Through,
)
from meshroute.simulate.ejections import Stay, compares_nobody, errors_in_a_row, lets_one_go, stays
from meshroute.simulate.promised import Promise, Sent
from meshroute.simulate.ramps import factor, mean_shares
from meshroute.simulate.saving import Stand
from meshroute.simulate.story import Story, load_story, read_story
from meshroute.simulate.tally import Result
from meshroute.simulate.telling import tell
from meshroute.state import State
from meshroute.table import Cluster, Endpoint, OutlierDetection, RoundRobin, SlowStart
from tests.bounds import plausible

STORIES = Path(__file__).parents[3] / "docs/examples/stories"
BESIDE = str(STORIES / "inline.yaml")
MILLISECOND = 1000


def watched(
    config: OutlierDetection | None,
    pods: int,
    rate: float,
    time: int,
    fails: list[tuple[int, int]],
    until: int,
    arrivals: Arrivals = Arrivals.IN_STEP,
    status: int = 503,
) -> Result:
    """A proxy before some pods, of which the first fails at times."""
    some = tuple(Endpoint(f"10.8.0.{one}", 80, f"default/web-{one}") for one in range(pods))
    table = mr.RoutingTable(
        (), (Cluster(ClusterName("web"), RoundRobin(), some, outliers=config),), otherwise=ClusterName("web")
    )
    well = Serving("*", time=Constant(time))
    ill = Serving("web-0", time=Constant(time), answers=((status, 1),))
    changes = [
        one for begin, end in fails for one in (Change(begin, serving=(ill, well)), Change(end, serving=(well,)))
    ]
    clients = Clients("shop", rate, (Asking("http://web/"),), arrivals=arrivals)
    return (
        Simulation(
            Scenario((clients,), Through(mr.Router(table)), until, (well,), tuple(changes), bucket=100 * MILLISECOND)
        )
        .run()
        .result()
    )


def back_at(result: Result, pod: str) -> list[int]:
    """When a pod had its first request after buckets without any."""
    columns = result.columns
    rows = [one for one in zip(columns.pod, columns.start, columns.requests, strict=True) if one[0] == pod]
    return [here[1] for before, here in pairwise(rows) if here[2] and not before[2]]


configs = st.builds(
    OutlierDetection,
    consecutive_5xx=st.integers(0, 8),
    consecutive_gateway_failure=st.integers(0, 8),
    enforcing_consecutive_gateway_failure=st.sampled_from([0, 100]),
    interval=st.integers(1, 30).map(lambda one: one * 100),
    base_ejection_time=st.integers(3, 50).map(lambda one: one * 100),
    max_ejection_time=st.sampled_from([None, 5000, 7000]),
    max_ejection_percent=st.sampled_from([10, 34, 50, 100]),
    always_eject_one_host=st.booleans(),
    enforcing_success_rate=st.just(0),
)


FAST = OutlierDetection(
    consecutive_5xx=3, interval=1000, base_ejection_time=1000, max_ejection_time=2000, max_ejection_percent=100
)

QUICK = OutlierDetection(consecutive_5xx=5, interval=100, base_ejection_time=300, max_ejection_percent=34)


# The longest ejection bounds what is remembered, too: four times put aside, then two calm seconds, then again.
@example(FAST, 2, 100.0, 300, [0, 90, 135, 200], Arrivals.IN_STEP, 503)
# The answers that put it aside come after the next tick but one.
@example(FAST, 2, 20.0, 850 * MILLISECOND, [0, 300], Arrivals.IN_STEP, 503)
# Errors that come back after the pod itself did.
@example(QUICK, 3, 50.0, 361_300, [1, 28], Arrivals.IN_STEP, 503)
@given(
    configs | st.none(),
    st.integers(2, 4),
    st.sampled_from([20.0, 50.0, 100.0, 64.0]),
    st.one_of(st.integers(0, 60), st.integers(0, 900)).map(lambda one: one * MILLISECOND + 300),
    st.lists(st.integers(1, 300), min_size=2, max_size=4, unique=True).map(sorted),
    st.sampled_from([Arrivals.IN_STEP, Arrivals.CONSTANT]),
    st.sampled_from([500, 503]),
)
def test_errors_and_returns_are_those_of_the_engine(
    config: OutlierDetection | None,
    pods: int,
    rate: float,
    time: int,
    tenths: list[int],
    arrivals: Arrivals,
    status: int,
) -> None:
    """Whatever the thresholds, backoffs, caps and times of failing: every error, and every return."""
    until = 30 * SECOND
    moments = [one * 100 * MILLISECOND for one in tenths]
    fails = list(zip(moments[::2], moments[1::2], strict=False))
    turn = Fraction(pods * SECOND) / Fraction(rate)
    plan = stays(config, pods, [status], turn, time, fails, until)
    assume(plan is not None)  # where one turn decides, nothing is said; see the next test
    assert plan is not None
    result = watched(config, pods, rate, time, fails, until, arrivals, status)
    total = result.total("default/web-0")
    errors = sum((one.errors for one in plan), Fraction(0))
    if any(one.until for one in plan):
        assert total.errors == errors
    else:
        # Of each time that it fails, up to one turn more or less; and what is under way at the end has no answer yet.
        assert abs(total.errors - errors) < len(fails) * (1 + Fraction(time) / turn)
    requests = sum((one.requests for one in plan), Fraction(0))
    assert abs(total.requests - requests) <= len(plan) + 1
    away = [(int(one.until[1]), two.since) for one, two in pairwise(plan) if one.until]
    if all(since - gone >= 300 * MILLISECOND for gone, since in away) and turn <= 100 * MILLISECOND:
        expected = [since for _, since in away]
        assert [one // (100 * MILLISECOND) for one in back_at(result, "default/web-0")] == [
            since // (100 * MILLISECOND) for since in expected if since + turn <= until
        ]


def test_what_chance_decides_is_not_promised() -> None:
    """Percentages, jitter, rates of success, a return that one turn decides about, and an end too early."""
    turn, fails = Fraction(50 * MILLISECOND), [(10 * SECOND, 20 * SECOND)]

    def known(config: OutlierDetection, pods: int = 3) -> tuple[Stay, ...] | None:
        return stays(config, pods, [503], turn, 10 * MILLISECOND, fails, 60 * SECOND)

    sure = OutlierDetection(interval=1000, base_ejection_time=5000, max_ejection_percent=50)
    found = known(sure)
    assert found is not None
    assert [(one.since // SECOND, int(one.errors), one.times) for one in found] == [(0, 5, 1), (16, 5, 2), (27, 0, 0)]
    change = msgspec.structs.replace
    assert known(change(sure, enforcing_consecutive_5xx=50)) is None
    assert known(change(sure, max_ejection_time_jitter=100)) is None
    assert known(sure, 5) is None
    assert known(change(sure, interval=10)) is None
    assert stays(sure, 3, [503], turn, 10 * MILLISECOND, [(10 * SECOND, 10_200_000)], 60 * SECOND) is None
    assert stays(sure, 3, [503], turn, 10 * MILLISECOND, fails, 10_100_000) is None
    assert errors_in_a_row(sure, [500, 503]) is None
    assert errors_in_a_row(change(sure, consecutive_5xx=0), [500]) == 0
    gateway = change(sure, enforcing_consecutive_gateway_failure=100, consecutive_gateway_failure=2)
    assert (errors_in_a_row(gateway, [503]), errors_in_a_row(gateway, [500])) == (2, 5)
    assert not lets_one_go(OutlierDetection(), 9)
    assert lets_one_go(OutlierDetection(), 10)
    assert compares_nobody(sure, 4)


@given(
    st.builds(
        SlowStart,
        st.integers(1, 20_000),
        st.sampled_from([1.0, 0.5, 2.0, 0.0, -1.0, float("nan")]),
        st.sampled_from([0.0, 10.0, 50.0, 100.0]),
    ),
    st.integers(0, 30_000),
)
def test_the_slow_start_is_that_of_the_engine(slow: SlowStart, age: int) -> None:
    """Any window, aggression and minimum, at any age."""
    key = EndpointKey("10.8.0.1:80")
    members = Members(ClusterName("web"), 0, "web", (key,), (1,), (True,))
    state = State(now=100_000, joined={ClusterName("web"): {key: 100_000 - age}})
    assert factor(slow, age) == Ramp(slow, members).factor(state, 0, 100_000)


def test_mean_shares_are_integrals() -> None:
    """Without a minimum and with one old endpoint: the mean of x/(1+x) is 1 - ln 2; later parts have more."""
    slow = SlowStart(10_000, minimum=0.0)
    _, new = mean_shares(slow, [(1, 0), (1, 20 * SECOND)], 20 * SECOND, 30 * SECOND)
    assert isclose(new, sum(one / (10_000 + one) for one in (1, *range(1, 10_000))) / 10_000, rel_tol=1e-12)
    assert abs(new - (1 - log(2))) < 1e-4  # ages are whole milliseconds
    old, new = mean_shares(SlowStart(10_000), [(3, 0), (1, 20 * SECOND)], 30 * SECOND, 31 * SECOND)
    assert (old, new) == (0.75, 0.25)
    _, least = mean_shares(SlowStart(10_000), [(3, 0), (1, 20 * SECOND)], 20 * SECOND, 21 * SECOND)
    assert isclose(least, 0.1 / 3.1, rel_tol=1e-12)


def lines(story: Story, run: int = 0) -> dict[str, Promise]:
    return {one.what: one for one in tell(story).runs[run].promises}


def test_a_warm_up_is_shown_while_it_lasts() -> None:
    """Parts of its window, each within one request of each pod in a hundred of the mean; then a quarter."""
    found = lines(load_story(STORIES / "warm-up.yaml"), 1)
    new = [one for what, one in found.items() if what.startswith("share of new")]
    assert [one.spans for one in new] == [
        ((begin * SECOND, end * SECOND),)
        for begin, end in ((0, 10), (10, 12), (12, 14), (14, 16), (16, 18), (18, 20), (20, 30))
    ]
    assert [round(one.promised or 0, 4) for one in new] == [0, 0.0399, 0.0906, 0.1426, 0.189, 0.2306, 0.25]
    for one in new:
        assert one.promised is not None
        assert one.measured is not None
        assert abs(one.promised - one.measured) < 0.01


@pytest.mark.parametrize(
    ("at", "until", "spans"),
    [
        ("10s", 13_500_000, [(0, 10), (10, 12), (12, 13), (20, 30)]),
        ("10500ms", 30 * SECOND, [(0, 10.5), (11, 20), (20.5, 30)]),
        ("25s", 30 * SECOND, [(0, 25), (25, 26), (26, 27), (27, 28), (28, 29), (29, 30)]),
    ],
)
def test_a_warm_up_counts_the_buckets_that_its_mean_is_of(
    at: str, until: int, spans: list[tuple[float, float]]
) -> None:
    """Ended half-way, begun within a bucket, and not over at the end of the story."""
    text = (STORIES / "warm-up.yaml").read_text("utf-8").replace("at: 10s", f"at: {at}")
    story = read_story(text, BESIDE)
    new = [one for one in tell(story, until=until).runs[1].promises if one.group == "new"]
    assert [one.spans for one in new] == [((round(begin * SECOND), round(end * SECOND)),) for begin, end in spans]
    for one in new:
        assert one.promised is not None
        assert one.measured is None if one.spans[0][0] >= until else abs(one.promised - (one.measured or 0)) < 0.012


def test_shares_of_who_is_left_are_those_of_priorities() -> None:
    """Half of the zone: 1.4 times a half stays, the rest goes to the next that is well."""
    found = lines(load_story(STORIES / "failover.yaml"))
    assert {what: one.promised for what, one in found.items() if " without " in what} == {
        "share of same zone without web-a": 0.7,
        "share of same region without web-a": 0.3,
        "share of other region without web-a": 0.0,
        "share of same region without same zone": 1.0,
        "share of other region without same zone": 0.0,
        "share of other region without web-a, web-b, web-c": 1.0,
        "share of same zone without web-b, web-c": 0.7,
        "share of other region without web-b, web-c": 0.3,
        "share of same zone without web-b": 0.7,
        "share of same region without web-b": 0.3,
        "share of other region without web-b": 0.0,
    }
    for one in found.values():
        assert one.promised is not None
        assert one.measured is not None
        if one.promised in (0.0, 1.0):
            assert one.measured == one.promised
        else:
            made = 100 * sum(end - begin for begin, end in one.spans) // SECOND
            share = Fraction(round(one.promised * 10), 10)
            assert plausible(round(one.measured * made), made, share, Fraction(1, 10**9))


def test_outliers_are_promised_to_the_request() -> None:
    """Of the story of the page: errors, returns and shares, with outlier detection and without."""
    nobody, watching = (
        {one.what: (one.promised, one.measured) for one in run.promises}
        for run in tell(load_story(STORIES / "outliers.yaml")).runs
    )
    assert nobody["errors of failing"] == (400.0, 400.0)
    assert nobody["times that failing is put aside"] == (0.0, 0.0)
    assert watching["errors of failing"] == (15.0, 15.0)
    assert watching["times that failing is put aside"] == (3.0, 3.0)
    assert watching["share of failing"] == (255 / 2700, 255 / 2700)
    assert [value for what, value in watching.items() if "is back" in what] == [(16, 16), (27, 27), (43, 43)]
    assert watching["share of others without failing"] == (1.0, 1.0)


ILL = """
manifests: [article/three.yaml, policies/outliers.yaml]
service: nginx-service
duration: 40s
shows: [outliers]
clients:
- {name: a, rate: 60, arrivals: constant}
changes:
- {at: 10s, pods: [{match: nginx-*, only: [0], answers: {"503": 1}}]}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("arrivals: constant", "arrivals: poisson"),
        ("only: [0]", "only: [0, 1]"),
        ('{"503": 1}', '{"503": 1, "200": 1}'),
        ("only: [0]", "only: [0], time: {exponential: 5ms}"),
        ("only: [0]", "only: [0], limit: 1"),
        ("arrivals: constant", "arrivals: constant, connections: 5"),
        ("rate: 60, arrivals: constant", "rate: 30, arrivals: constant, count: 2, proxy: one"),
        ("policies/outliers.yaml", "policies/least-request.yaml"),
        ("duration: 40s", "duration: 40s\nvia: connections"),
    ],
)
def test_where_outliers_are_chance_there_is_a_dash(old: str, new: str) -> None:
    """What was measured stands there all the same; and nothing is said of times."""
    assert old in ILL
    certain, chance = lines(read_story(ILL, BESIDE)), lines(read_story(ILL.replace(old, new), BESIDE))
    (name,) = [what for what, one in certain.items() if what.startswith("errors of") and one.promised is not None]
    assert chance[name].promised is None
    assert chance[name].measured is not None
    assert not [what for what in chance if "is back" in what]


def test_two_proxies_have_each_their_own_outlier_detection() -> None:
    """Twice as many errors as one makes, and no times: they differ."""
    text = ILL.replace("rate: 60, arrivals: constant", "rate: 60, arrivals: constant, count: 2")
    (name,) = [what for what in lines(read_story(ILL, BESIDE)) if what.startswith("errors of")]
    one, two = lines(read_story(ILL, BESIDE))[name], lines(read_story(text, BESIDE))[name]
    assert one.promised == one.measured == 15.0
    assert two.promised == two.measured == 30.0


def test_who_comes_back_within_a_bucket_is_not_overlooked() -> None:
    """A bucket in which somebody came back and went again counts for nothing; with long ones, nothing is known."""
    text = ILL.replace("[outliers]", "[failover]\nbucket: 5s")
    told = tell(read_story(text, BESIDE)).runs[0]
    rows = Sent(told.results)
    for one in told.promises:
        if "without" in one.what:
            for begin, end in one.spans:
                assert [row["default/nginx-r54pj7q6c-4rzhg"] for row in rows.rows(begin, end)] == [0] * (
                    (end - begin) // (5 * SECOND)
                )
    assert any("without" in one.what for one in told.promises)


@pytest.mark.parametrize("at", [1, 12 * SECOND, 12_345_678, 60 * SECOND])
def test_what_was_seen_is_put_aside_too(at: int) -> None:
    """Between two buckets and within one: the same lines in the end."""
    story = load_story(STORIES / "failover.yaml")
    stands: list[list[Stand]] = []
    tell(story, until=at, stands=stands)
    assert tell(story, stood=stands) == tell(story)


def test_formulas_asked_for_later_see_what_comes_later() -> None:
    """Nobody looked before it was put aside: those buckets do not count."""
    story = load_story(STORIES / "failover.yaml")
    stands: list[list[Stand]] = []
    tell(msgspec.structs.replace(story, shows=()), until=50 * SECOND, stands=stands)
    told = tell(story, stood=stands).runs[0].promises
    assert told
    assert min(begin for one in told for begin, _ in one.spans) >= 50 * SECOND


def test_a_session_says_whom_it_has_put_aside() -> None:
    """What its state says, as a value of its own."""
    name, some = ClusterName("web"), tuple(Endpoint(f"10.8.0.{one}", 80) for one in range(2))
    config = OutlierDetection(consecutive_5xx=1, max_ejection_percent=50)
    session = mr.Session(
        mr.Router(mr.RoutingTable((), (Cluster(name, RoundRobin(), some, outliers=config),), otherwise=name))
    )
    before = session.ejected
    decision = session.decide(mr.Request.of("GET", "http://web/"))
    session.finish(decision, 503)
    assert decision.endpoint is not None
    assert session.ejected == session.state.ejected == {name: (decision.endpoint.key,)}
    assert before == {}
