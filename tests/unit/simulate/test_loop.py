"""The laws of a simulation: nothing is lost, nothing depends on what should not matter, everything repeats."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute import simulate
from meshroute.names import ClusterName
from meshroute.simulate import (
    SECOND,
    Arrivals,
    Asking,
    ByKubeProxy,
    Change,
    Clients,
    Constant,
    Exponential,
    KeepAlive,
    PerConnectionRandom,
    Result,
    Scenario,
    Serving,
    Simulation,
    Straight,
    Through,
)
from meshroute.simulate.agenda import Agenda
from meshroute.simulate.chance import draw, sampler, seed_of
from meshroute.simulate.connections import of_service
from meshroute.state import RequestStarted
from meshroute.table import (
    Chain,
    Cluster,
    Delay,
    Endpoint,
    Fault,
    Forward,
    LeastRequest,
    Listener,
    Maglev,
    Mirror,
    OutlierDetection,
    Policy,
    Portion,
    RandomChoice,
    Retries,
    RoundRobin,
    Route,
    RouteMatch,
    SlowStart,
    VirtualHost,
    WeightedCluster,
)
from tests.bounds import plausible

ROOT = Path(__file__).parents[3]
WEB = ClusterName("web")
COPY = ClusterName("copy")
TO_WEB = (WeightedCluster(WEB, 1),)
ASK = (Asking("http://web/"),)
LONGEST = simulate.Lognormal(2**62, 10.0)
CHANCE = Fraction(1, 10**9)
POLICIES: tuple[Policy, ...] = (RoundRobin(), LeastRequest(), RandomChoice(), Maglev(251))


def pods(count: int, first: int = 0) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.8.0.{n}", 80, f"default/web-{n}") for n in range(first, first + count))


def router(count: int = 3, policy: Policy | None = None, outliers: OutlierDetection | None = None) -> mr.Router:
    web = Cluster(WEB, policy or RoundRobin(), pods(count), outliers=outliers)
    return mr.Router(mr.RoutingTable((), (web,), otherwise=WEB))


def routed(action: Forward, count: int = 3, policy: Policy | None = None, fault: Fault | None = None) -> mr.Router:
    """A router with one route to `web`, and a cluster `copy` of two pods of its own."""
    clusters = (
        Cluster(WEB, policy or RoundRobin(), pods(count)),
        Cluster(
            COPY, RoundRobin(), (Endpoint("10.9.0.0", 80, "default/copy-0"), Endpoint("10.9.0.1", 80, "default/copy-1"))
        ),
    )
    host = VirtualHost("web", ("*",), (Route(RouteMatch(), action, fault=fault),))
    return mr.Router(mr.RoutingTable((Listener(80, (host,)),), clusters))


def unread(count: int = 3, policy: Policy | None = None) -> mr.Router:
    """A router that passes on what comes to port 80 without reading it."""
    clusters = (Cluster(WEB, policy or RoundRobin(), pods(count)),)
    return mr.Router(mr.RoutingTable((Listener(80, (), chains=(Chain(Forward(TO_WEB)),)),), clusters))


def straight(count: int = 3) -> Straight:
    return Straight(PerConnectionRandom(pods(count)))


def run(scenario: Scenario) -> Result:
    return Simulation(scenario).run().result()


def clients(name: str, rate: float, **more: object) -> Clients:
    fields: dict[str, object] = {"name": name, "rate": rate, "asks": ASK, **more}
    return msgspec.structs.replace(Clients("x", 1.0, ASK), **fields)


SERVICE = mr.load(ROOT / "docs/examples/services")
KUBE_PROXIES = ("iptables", "ipvs:wlc", "ipvs:rr", "userspace")


def by_kube_proxy(mode: str, service: str = "web") -> Straight:
    """A Service of three pods, as a node has it."""
    return Straight(ByKubeProxy(SERVICE.service(service, kube_proxy=mr.KubeProxy.parse(mode)), 80))


# Scenarios in which everything happens


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Small worlds with all there is: limits, queues, failures, pods that stop, tables and rates that change."""
    through, reads = draw(st.booleans()), draw(st.sampled_from([True, True, False]))
    group = st.builds(
        clients,
        st.just("c"),
        st.sampled_from([0.0, 1.0, 7.5, 40.0]),
        count=st.integers(1, 3),
        arrivals=st.sampled_from(Arrivals),
        keep_alive=st.builds(KeepAlive, st.sampled_from([0, 1, 3]), st.sampled_from([0, SECOND // 2])),
        connections=st.integers(0, 2),
        multiplexed=st.booleans(),
        users=st.sampled_from([0, 5]),
        workers=st.integers(1, 3),
    )
    groups = draw(st.lists(group, min_size=1, max_size=3))
    named = tuple(msgspec.structs.replace(one, name=f"c{number}") for number, one in enumerate(groups))
    serving = st.builds(
        Serving,
        pods=st.sampled_from(["*", "web-1"]),
        time=st.sampled_from([Constant(0), Constant(50_000), Exponential(100_000)]),
        limit=st.integers(0, 2),
        queue=st.sampled_from([None, 0, 3]),
        answers=st.sampled_from([((200, 1),), ((200, 3), (503, 1)), ((500, 1),)]),
    )

    def target() -> Through | Straight:
        count = draw(st.integers(1, 4))
        if not through:
            by = draw(st.sampled_from([None, *KUBE_PROXIES]))
            return straight(draw(st.sampled_from([0, count]))) if by is None else by_kube_proxy(by)
        if not reads:
            return Through(unread(count, draw(st.sampled_from(POLICIES))), reads=False)
        if draw(st.booleans()):
            action = Forward(
                TO_WEB,
                timeout=draw(st.sampled_from([0, 20, 120])),
                stream_timeout=draw(st.sampled_from([None, None, 0, 90])),
                retries=draw(st.sampled_from([None, Retries(("5xx",), 2, per_try_timeout=30), Retries(("reset",), 3)])),
                mirrors=draw(st.sampled_from([(), (Mirror(COPY),), (Mirror(COPY, Portion(50)), Mirror(WEB))])),
            )
            fault = draw(st.sampled_from([None, Fault(Delay(40, Portion(50)))]))
            return Through(routed(action, count, draw(st.sampled_from(POLICIES)), fault))
        watch = draw(st.sampled_from([None, OutlierDetection(consecutive_5xx=2, max_ejection_percent=50)]))
        return Through(router(count, draw(st.sampled_from(POLICIES)), watch))

    changes = []
    for at in draw(st.lists(st.integers(0, 3 * SECOND), max_size=4)):
        changes.append(
            Change(
                at,
                target() if draw(st.booleans()) else None,
                stop=tuple(draw(st.lists(st.sampled_from(["web-0", "web-*"]), max_size=1))),
                start=tuple(draw(st.lists(st.just("*"), max_size=1))),
                serving=draw(st.none() | st.tuples(serving)),
                rates=draw(st.dictionaries(st.sampled_from([one.name for one in named]), st.just(11.0), max_size=1)),
            )
        )
    return Scenario(
        named,
        target(),
        until=3 * SECOND,
        serving=tuple(draw(st.lists(serving, max_size=2))),
        changes=tuple(changes),
        bucket=draw(st.sampled_from([SECOND, 700_000])),
        seed=draw(st.integers(0, 2**64 - 1)),
    )


@settings(max_examples=60)
@given(scenarios())
def test_every_request_is_served_once_or_fails_with_a_reason(scenario: Scenario) -> None:
    """What clients made is what they know the end of, and what is still under way; pods lose nothing either."""
    simulation = Simulation(scenario).run()
    result, live = simulation.result(), simulation.live
    assert sum(result.outcomes.values()) == result.made == sum(one.made for one in live.clients)
    assert result.outcomes.get("unfinished", 0) == len(live.flights)
    everybody = [*live.flights.values(), *live.alone.values()]
    there = [sum(one.pod == place and one.there for one in everybody) for place in range(len(live.pods))]
    assert [one.present for one in live.pods] == there
    for total, left in zip(result.totals, there, strict=True):
        assert total.requests == total.ended + left
        assert total.errors <= total.ended
    for pod in live.pods:
        assert pod.busy + len(pod.waiting) == pod.present
        assert pod.up or not pod.present
    # Nobody waits for a connection while one more may be opened.
    for kind, one in zip(simulation._clients, live.clients, strict=True):
        assert not one.waiting or one.in_flight == kind.most or any(live.lines[line].now for line in one.lines)
    assert sorted(live.lines) == sorted(line for one in live.clients for line in one.lines)
    # What proxies and nodes count is what is under way for them, and what nodes have not forgotten.
    counted = sum(
        sum(some.values())
        for one in (workers[0] for workers in simulation._proxies.values())
        for some in one.state.active.values()
    )
    decided = [one.decision for one in everybody if one.decision is not None and (one.there or one.pod >= 0)]
    opened = sum(one.connected is not None for one in live.lines.values())
    begun = sum(isinstance(effect, RequestStarted) for one in decided for effect in one.effects)
    assert counted == (begun if simulation._reads or not simulation._proxies else opened)
    node = simulation._node.state()
    assert sum(sum(some.values()) for some in node.active.values()) == (0 if simulation._proxies else opened)
    assert sum(sum(some.values()) for some in node.inactive.values()) == len(live.closing)


@settings(max_examples=40)
@given(scenarios(), st.integers(0, 3 * SECOND))
def test_resumed_equals_uninterrupted(scenario: Scenario, at: int) -> None:
    """Put aside at any moment, as bytes, and taken up: the same result and the same state to the byte."""
    whole = Simulation(scenario).run()
    first = Simulation(scenario).run(at)
    saved = first.snapshot()
    again = Simulation.resume(scenario, saved)
    assert again.snapshot() == saved
    assert again.result() == first.result()
    assert again.run().result().to_json() == whole.result().to_json()
    assert again.snapshot() == whole.snapshot()


@settings(max_examples=30)
@given(scenarios(), st.integers(1, SECOND))
def test_order_of_lists_and_of_events_at_one_time_does_not_matter(scenario: Scenario, width: int) -> None:
    """Clients listed otherwise, and the agenda put together from its end, in other portions: the same bytes."""
    mixed = msgspec.structs.replace(scenario, clients=tuple(reversed(scenario.clients)))
    assert run(mixed).to_json() == run(scenario).to_json()
    simulation = Simulation(scenario)
    simulation._agenda = Agenda(reversed(simulation._agenda.listed()), width)
    assert simulation.run().result().to_json() == run(scenario).to_json()


@settings(max_examples=20)
@given(scenarios())
def test_asked_in_pieces_is_asked_at_once(scenario: Scenario) -> None:
    """Runs of half a second each."""
    simulation = Simulation(scenario)
    while not simulation.finished:
        simulation.run(simulation.now + SECOND // 2)
    assert simulation.result().to_json() == run(scenario).to_json()


PROGRAM = """
import sys
sys.path.insert(0, {root!r})
import hashlib
from tests.unit.simulate.test_loop import busy
from meshroute.simulate import Simulation
done = Simulation(busy(int(sys.argv[1]))).run()
print(hashlib.sha256(done.result().to_json() + done.snapshot()).hexdigest())
"""


def busy(seed: int) -> Scenario:
    """A scenario with everything at once."""
    ejecting = OutlierDetection(consecutive_5xx=3, max_ejection_percent=50)
    return Scenario(
        (
            clients("poisson", 40.0, count=3),
            clients("steps", 25.0, arrivals=Arrivals.IN_STEP, count=4),
            clients("users", 30.0, users=20),
        ),
        Through(router(4, LeastRequest(), ejecting)),
        until=5 * SECOND,
        serving=(
            Serving("web-1", time=Exponential(30_000), answers=((200, 1), (503, 2)), limit=2, queue=5),
            Serving(time=simulate.Lognormal(20_000, 0.7)),
        ),
        changes=(Change(2 * SECOND, Through(router(5, LeastRequest(), ejecting)), stop=("web-0",)),),
        seed=seed,
    )


def test_a_seed_gives_the_same_bytes_in_every_process_and_another_seed_others() -> None:
    """Whatever PYTHONHASHSEED is."""

    def digest(seed: int, hashes: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(root=str(ROOT)), str(seed)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        )
        return done.stdout

    assert digest(1, "0") == digest(1, "77") != digest(2, "0")


# Who serves what


@pytest.mark.parametrize("count", [1, 3, 7])
def test_round_robin_is_even_within_one_request_for_each_proxy(count: int) -> None:
    """Whatever the clients' rates: each proxy gives each pod the whole part of its share, or one more."""
    groups = (clients("a", 30.0), clients("b", 7.0), clients("c", 1.5))
    for one in groups:
        alone = run(Scenario((one,), Through(router(count)), until=20 * SECOND))
        assert {total.requests - alone.made // count for total in alone.totals} <= {0, 1}
    together = run(Scenario(groups, Through(router(count)), until=20 * SECOND))
    per_pod = [total.requests for total in together.totals]
    assert max(per_pod) - min(per_pod) <= len(groups)


@pytest.mark.parametrize("weight", [1, 25, 50, 99])
def test_weights_converge_within_the_exact_bound(weight: int) -> None:
    """Of 20,000 requests through one proxy, as many reach v2 as chance allows one time in 10^9."""
    text = (ROOT / "docs/examples/canary/routes.yaml").read_text("utf-8")
    weights = iter((100 - weight, weight))
    routes = re.sub("weight: [0-9]+", lambda _: f"weight: {next(weights)}", text)
    mesh = mr.loads((ROOT / "docs/examples/canary/pods.yaml").read_text("utf-8") + "---\n" + routes)
    asks = (Asking("http://nginx-service/"),)
    result = run(Scenario((clients("a", 2000.0, asks=asks),), Through(mesh.router()), until=10 * SECOND, seed=weight))
    new = sum(one.requests for one in result.totals if "nginx-v2" in one.pod)
    assert result.made > 19_000
    assert plausible(new, result.made, Fraction(weight, 100), CHANCE)


def test_a_user_stays_with_one_pod_while_the_pods_stay() -> None:
    """Consistent hashing by a header: nobody moves; when a pod comes, nobody moves between old pods."""
    sticky = [mr.load(ROOT / f"docs/examples/sticky/{name}").router() for name in ("before", "after")]
    asks = (Asking("http://web/", headers={"x-user": "{user}"}),)
    who = (clients("a", 500.0, asks=asks, users=200, count=3),)
    calm = run(Scenario(who, Through(sticky[0]), until=4 * SECOND))
    assert sum(one.moved for one in calm.totals) == 0
    assert sum(one.requests > 0 for one in calm.totals) == len(calm.totals) > 2
    swapped = run(
        Scenario(who, Through(sticky[0]), until=4 * SECOND, changes=(Change(2 * SECOND, Through(sticky[1])),))
    )
    moved = {one.pod: one.moved for one in swapped.totals}
    assert sum(moved.values()) > 0
    random = run(Scenario(who, Through(router(3)), until=4 * SECOND))
    assert sum(one.moved for one in random.totals) > random.made // 2


def test_one_connection_is_one_pod_and_its_requests_stay_there() -> None:
    """Kept alive for ever, one at a time: as many pods as clients at most, each client with one."""
    result = run(Scenario((clients("a", 30.0, connections=1),), straight(), until=10 * SECOND))
    assert sorted(one.requests for one in result.totals)[:2] == [0, 0]
    assert result.outcomes == {"status 200": result.made}


@pytest.mark.parametrize("keep", [KeepAlive(requests=1), KeepAlive(requests=10)])
def test_short_connections_spread_by_chance(keep: KeepAlive) -> None:
    """A connection for each request, or for ten: the connections are spread as a third each allows."""
    simulation = Simulation(
        Scenario(
            (clients("a", 1000.0, keep_alive=keep, connections=1),),
            straight(),
            until=10 * SECOND,
            serving=(Serving(time=Constant(0)),),
        )
    ).run()
    result, opened = simulation.result(), simulation.live.opened
    assert opened == -(-result.made // keep.requests)
    for one in result.totals:
        assert plausible(one.requests // keep.requests, opened, Fraction(1, 3), CHANCE)


def test_a_lifetime_ends_connections_and_a_limit_holds() -> None:
    """Every half second another one; never more than two at once."""
    simulation = Simulation(
        Scenario(
            (clients("a", 50.0, keep_alive=KeepAlive(lifetime=SECOND // 2), connections=2),),
            straight(),
            until=10 * SECOND,
            serving=(Serving(time=Constant(10_000)),),
        )
    )
    while not simulation.finished:
        simulation.run(simulation.now + 50_000)
        assert len(simulation.live.lines) <= 2
    assert 20 <= simulation.live.opened <= 42


def test_multiplexed_requests_share_a_connection() -> None:
    """HTTP/2: a hundred at once on one connection, the next one opens another; HTTP/1.1 opens one for each."""
    slow = (Serving(time=Constant(5 * SECOND)),)
    for multiplexed, opened in ((True, 2), (False, 120)):
        steps = clients("a", 30.0, arrivals=Arrivals.IN_STEP, multiplexed=multiplexed)
        simulation = Simulation(Scenario((steps,), straight(), until=4 * SECOND, serving=slow)).run()
        assert (simulation.live.opened, len(simulation.live.flights)) == (opened, 120)


# Pods


def test_of_free_connections_the_one_freed_last_is_used_first() -> None:
    """Two a second, of which the first takes 900 ms and keeps its connection till after the second has ended: so the
    third, alone again, goes over the first one's connection, and so on."""
    who = (clients("a", 2.0, arrivals=Arrivals.IN_STEP),)
    scenario = Scenario(who, straight(9), 6 * SECOND, (Serving(time=Constant(900_000)),))
    first, second = (line.pod for _, line in sorted(Simulation(scenario).run().live.lines.items()))
    assert first != second
    rules = (Serving(f"web-{first}", time=Constant(900_000)), Serving(time=Constant(100_000)))
    result = run(msgspec.structs.replace(scenario, serving=rules))
    assert [one.requests for one in result.totals if one.requests] == [6, 6]


def test_a_pod_s_queue() -> None:
    """One at a time, 100 ms each, asked ten times a second in step by two: the second waits, or is turned away."""
    pair = (clients("a", 10.0, arrivals=Arrivals.IN_STEP, count=2),)

    def queue(most: int | None) -> Result:
        rule = Serving(time=Constant(100_000), limit=1, queue=most)
        return run(Scenario(pair, straight(1), until=SECOND, serving=(rule,)))

    none, one, endless = queue(0), queue(1), queue(None)
    assert none.outcomes == {"status 200": 9, "status 503": 10, "unfinished": 1}
    assert (none.totals[0].p99, none.totals[0].p50, none.totals[0].errors) == (100_000, 0, 10)
    # The first two find room; of each later two, one takes the place in the queue that has just become free.
    assert one.outcomes == {"status 200": 9, "status 503": 9, "unfinished": 2}
    assert endless.outcomes == {"status 200": 9, "unfinished": 11}
    assert endless.totals[0].p99 == 500_000


def test_concurrency_is_rate_times_time() -> None:
    """Little's law, exactly, where everything goes in steps: 20 a second for 0.25 s each are 5 at once."""
    steps = clients("a", 20.0, arrivals=Arrivals.IN_STEP)
    result = run(Scenario((steps,), straight(1), until=4 * SECOND, serving=(Serving(time=Constant(250_000)),)))
    assert result.columns.concurrency[1:] == (5.0, 5.0, 5.0)
    assert result.columns.requests == (20, 20, 20, 20)
    # The first quarter fills up: 1, 2, 3, 4, 5 requests for 50 ms each.
    assert result.columns.concurrency[0] == (1 + 2 + 3 + 4 + 5) * 0.05 + 5 * 0.75


def test_a_pod_that_stops_drops_what_it_has_and_refuses_what_comes() -> None:
    """L4: who was on a connection to it is cut off, and opens the next one; L7 tries another pod at once."""
    slow = (Serving(time=Constant(400_000)),)
    steps = clients("a", 10.0, arrivals=Arrivals.IN_STEP, connections=1, multiplexed=True)
    result = run(Scenario((steps,), straight(1), 2 * SECOND, serving=slow, changes=(Change(SECOND, stop=("web-0",)),)))
    # Those of 0.7, 0.8 and 0.9 s are under way, and that of 0.6 ends at the very moment, after the change.
    assert result.outcomes == {"status 200": 6, "stopped": 4, "refused": 10}
    text = (ROOT / "docs/examples/sticky/before").joinpath("web.yaml")
    mesh = mr.load(text.parent)
    asks = (Asking("http://web/", headers={"x-user": "{user}"}),)
    tried = run(
        Scenario(
            (clients("a", 100.0, asks=asks, users=50),),
            Through(mesh.router()),
            2 * SECOND,
            changes=(Change(SECOND, stop=("web-*",)),),
        )
    )
    assert set(tried.outcomes) <= {"status 200", "refused", "stopped", "unfinished"}
    assert tried.outcomes["refused"] > 0
    # Istio's rules try twice more: pods saw more than clients asked for.
    assert sum(one.requests for one in tried.totals) > tried.made


def test_a_table_that_nobody_serves_fails_with_the_proxy_s_reason() -> None:
    """And a node without endpoints with its own."""
    assert run(Scenario((clients("a", 9.0),), Through(router(0)), SECOND)).outcomes.keys() == {"no_healthy_upstream"}
    assert run(Scenario((clients("a", 9.0),), straight(0), SECOND)).outcomes.keys() == {"no_endpoints"}


def test_outlier_detection_hears_of_failures_and_lets_them_come_back() -> None:
    """A pod that answers 503 is put aside, and asked again after its time."""
    watch = OutlierDetection(consecutive_5xx=5, base_ejection_time=3000, interval=1000, max_ejection_percent=50)
    result = run(
        Scenario(
            (clients("a", 100.0, arrivals=Arrivals.CONSTANT),),
            Through(router(2, RoundRobin(), watch)),
            until=10 * SECOND,
            serving=(Serving("web-0", answers=((503, 1),)), Serving()),
        )
    )
    rows = zip(result.columns.pod, result.columns.requests, strict=True)
    bad = [requests for pod, requests in rows if pod == "default/web-0"]
    assert result.total("default/web-0").requests == 5 * sum(one > 0 for one in bad)
    assert bad.count(0) >= 4
    assert sum(one > 0 for one in bad) >= 2


def test_warm_up_spares_who_has_just_come() -> None:
    """In its first second a newcomer gets less than half of its share, at the end all of it."""
    slow = RoundRobin(SlowStart(4000))
    result = run(
        Scenario(
            (clients("a", 400.0, arrivals=Arrivals.CONSTANT),),
            Through(router(3, slow)),
            until=20 * SECOND,
            changes=(Change(10 * SECOND, Through(router(4, slow))),),
        )
    )
    rows = zip(result.columns.pod, result.columns.start, result.columns.requests, strict=True)
    new = {start // SECOND: requests for pod, start, requests in rows if pod == "default/web-3"}
    assert new[9] == 0
    assert 0 < new[10] < 50
    assert 99 <= new[18] <= 101


def test_what_takes_for_ever_is_unfinished() -> None:
    """Rates that nobody lives to see, and answers that take longer than numbers are long: saved and taken up all the
    same."""
    for arrivals in Arrivals:
        rare = clients("a", 5e-324, arrivals=arrivals)
        scenario = Scenario((rare, clients("b", 9.0)), straight(1), SECOND, serving=(Serving(time=LONGEST),))
        simulation = Simulation(scenario).run()
        assert simulation.result().outcomes == {"unfinished": simulation.result().made}
        assert Simulation.resume(scenario, simulation.snapshot()).result() == simulation.result()


def test_rates_change_when_they_are_told_to() -> None:
    """From ten a second to none to fifty."""
    steps = clients("a", 10.0, arrivals=Arrivals.IN_STEP)
    changes = (Change(SECOND, rates={"a": 0.0}), Change(2 * SECOND, rates={"a": 50.0}))
    result = run(Scenario((steps,), straight(1), 3 * SECOND, changes=changes))
    assert result.columns.requests == (10, 0, 50)


def test_steps_do_not_drift() -> None:
    """A third of a second is no whole number of microseconds: after 1,000 seconds it is still 3,000 requests."""
    result = run(Scenario((clients("a", 3.0, arrivals=Arrivals.IN_STEP),), straight(1), 1000 * SECOND, bucket=10**9))
    assert result.made == 3000


def test_another_client_shifts_nobody_s_draws() -> None:
    """Each has its own: who comes later finds the others as they were."""
    few = (clients("a", 20.0), clients("b", 20.0))
    alone, joined = (run(Scenario(some, straight(1), 5 * SECOND)) for some in (few[:1], few))
    other = run(Scenario(few[1:], straight(1), 5 * SECOND))
    assert alone.made + other.made == joined.made


def test_the_balancer_of_connections_is_a_draw_modulo() -> None:
    """Exactly."""
    balancer = PerConnectionRandom(pods(3))
    for drawn in (0, 1, 2, 3, 2**64 - 1):
        got = balancer.connect(mr.Connection(80), mr.State(), mr.Draws.of(given={"priority": drawn}), 0)
        assert got.endpoint == pods(3)[drawn % 3]


def test_the_endpoints_of_a_service() -> None:
    """Those of its own cluster, whatever subsets there are."""
    canary = mr.load(ROOT / "docs/examples/canary").router()
    assert len(of_service(canary, "nginx-service.default.svc.cluster.local", 80)) == 4
    assert of_service(canary, "nginx-service.default.svc.cluster.local", 81) == ()


def test_draws_have_the_names_that_are_documented() -> None:
    """When the first requests come, and how long they take, by hand."""
    seed = seed_of(9, "client.a")
    step, takes = SECOND // 10, sampler(Exponential(50_000))(draw(seed, 0, b"service"))
    phase = step * (draw(seed, 0, b"phase") >> 11) // 2**53
    gap = sampler(Exponential(step))(draw(seed, 0, b"gap"))
    for arrivals, comes in ((Arrivals.CONSTANT, phase), (Arrivals.POISSON, gap), (Arrivals.IN_STEP, 0)):
        rule = Serving(time=Exponential(50_000))
        simulation = Simulation(
            Scenario((clients("a", 10.0, arrivals=arrivals),), straight(1), SECOND, serving=(rule,), seed=9)
        )
        assert simulation.run(comes).live.flown == 0
        assert simulation.run(comes + 1).live.flown == 1
        assert simulation.run(comes + takes).live.pods[0].present >= 1
        cell = simulation.run(comes + takes + 1).live.pods[0].cells[0]
        assert takes in cell.latencies


def test_proxies_do_not_all_begin_with_the_first_pod() -> None:
    """Each draws its start: of 90 clients that ask once, each pod has as many as chance allows."""
    once = clients("a", 1.0, count=90, arrivals=Arrivals.IN_STEP)
    result = run(Scenario((once,), Through(router(3)), SECOND // 2))
    assert result.made == 90
    for one in result.totals:
        assert plausible(one.requests, 90, Fraction(1, 3), CHANCE)


def test_newcomers_join_when_they_come() -> None:
    """At the time of the change, even where a proxy has had nothing to do for long."""
    slow = RoundRobin(SlowStart(4000))
    simulation = Simulation(
        Scenario(
            (clients("a", 0.1, arrivals=Arrivals.IN_STEP),),
            Through(router(3, slow)),
            until=10 * SECOND,
            changes=(Change(7 * SECOND, Through(router(4, slow))),),
        )
    ).run()
    ((session,),) = simulation._proxies.values()
    assert session.state.joined == {"web": {"10.8.0.3:80": 7000}}


def test_a_request_that_is_tried_again_elsewhere_ends_there() -> None:
    """Its pod stops half-way; the end that it would have had there is none."""
    again = Retries(on=("reset",), attempts=1)
    web = Cluster(WEB, RoundRobin(), pods(2))
    route = Route(RouteMatch(), Forward((WeightedCluster(WEB, 1),), retries=again))
    host = VirtualHost("web", ("*",), (route,))
    through = Through(mr.Router(mr.RoutingTable((Listener(80, (host,)),), (web,))))
    simulation = Simulation(
        Scenario(
            (clients("a", 0.1, arrivals=Arrivals.IN_STEP),),
            through,
            until=3 * SECOND,
            serving=(Serving(time=Constant(SECOND)),),
        )
    ).run(1)
    (flight,) = simulation.live.flights.values()
    first = flight.pod
    other = msgspec.structs.replace(simulation.scenario, changes=(Change(SECOND // 2, stop=(f"web-{first}",)),))
    result = run(other)
    assert result.outcomes == {"status 200": 1}
    stopped, served = result.total(f"default/web-{first}"), result.total(f"default/web-{1 - first}")
    assert (stopped.requests, stopped.errors, stopped.p50) == (1, 1, SECOND // 2)
    assert (served.requests, served.errors) == (1, 0)
    assert served.p50 is not None
    assert served.p50 >= 3 * SECOND // 2


def fails_with(time: int, action: Forward, rate: float = 1.0, until: int = 4 * SECOND, **more: object) -> Result:
    """One client, in step, of pods that take so long."""
    who = (clients("a", rate, arrivals=Arrivals.IN_STEP),)
    fields: dict[str, object] = {"serving": (Serving(time=Constant(time)),), **more}
    return run(msgspec.structs.replace(Scenario(who, Through(routed(action)), until), **fields))


def test_the_time_for_an_answer_is_over() -> None:
    """The client hears of it when the time is over; pods go on, and are busy for nobody."""
    result = fails_with(700_000, Forward(TO_WEB, timeout=300))
    assert result.outcomes == {"response_timeout": 4}
    assert [(one.requests, one.ended, one.p99) for one in result.totals if "web" in one.pod] == [
        (2, 2, 700_000),
        (1, 1, 700_000),
        (1, 1, 700_000),
    ]
    assert sum(one.concurrency for one in result.totals) == 4 * 0.7 / 4
    assert fails_with(300_000, Forward(TO_WEB, timeout=300)).outcomes == {"status 200": 4}


def test_the_time_of_a_try_is_over_and_another_pod_is_asked() -> None:
    """Three tries of 200 ms at most, with waits below 25 and 50 ms; the whole has to be enough for them."""
    again = Retries(("5xx",), 2, per_try_timeout=200)
    result = fails_with(500_000, Forward(TO_WEB, retries=again))
    assert result.outcomes == {"upstream_per_try_timeout": 4}
    assert [one.requests for one in result.totals if "web" in one.pod] == [4, 4, 4]
    limited = fails_with(500_000, Forward(TO_WEB, timeout=210, retries=again))
    assert limited.outcomes == {"response_timeout": 4}
    assert 4 < sum(one.requests for one in limited.totals) <= 8
    # One slow pod of three: whoever meets it is served by the next one.
    slow = (Serving("web-1", time=Constant(500_000)), Serving(time=Constant(1000)))
    assert fails_with(0, Forward(TO_WEB, retries=again), serving=slow).outcomes == {"status 200": 4}


def test_a_request_that_was_given_up_in_a_queue_is_still_worked_on() -> None:
    """Pods that work on one at a time: what comes later waits for what nobody waits for."""
    one = (Serving(time=Constant(600_000), limit=1),)
    result = fails_with(0, Forward(TO_WEB, timeout=100), rate=10.0, until=SECOND, serving=one)
    assert result.outcomes == {"response_timeout": 9, "unfinished": 1}
    assert [(each.requests, each.ended) for each in result.totals if "web" in each.pod] == [(4, 1), (3, 1), (3, 1)]


def test_the_whole_exchange_has_its_time_and_a_delay_is_part_of_it() -> None:
    """`stream_timeout` counts from the request on, `timeout` from when it is sent."""
    fault = Fault(Delay(100, Portion(100)))
    who = (clients("a", 1.0, arrivals=Arrivals.IN_STEP),)

    def outcomes(action: Forward, time: int) -> dict[str, int]:
        through = Through(routed(action, fault=fault))
        return run(Scenario(who, through, SECOND, serving=(Serving(time=Constant(time)),))).outcomes

    assert outcomes(Forward(TO_WEB, stream_timeout=150), 50_000) == {"status 200": 1}
    assert outcomes(Forward(TO_WEB, stream_timeout=150), 50_001) == {"max_duration_timeout": 1}
    assert outcomes(Forward(TO_WEB, timeout=150), 150_000) == {"status 200": 1}
    assert outcomes(Forward(TO_WEB, timeout=150), 150_001) == {"response_timeout": 1}


def test_a_fault_delays_a_request_once_and_not_its_retries() -> None:
    """The delay stands before the first try."""
    again = Retries(("5xx",), 2)
    through = Through(routed(Forward(TO_WEB, retries=again), fault=Fault(Delay(200, Portion(100)))))
    who = (clients("a", 1.0, arrivals=Arrivals.IN_STEP),)
    rules = (Serving(time=Constant(0), answers=((503, 1),)),)
    result = run(Scenario(who, through, SECOND, serving=rules))
    assert result.outcomes == {"status 503": 1}
    latest = max(one.p99 or 0 for one in result.totals)
    assert 200_000 <= latest < 200_000 + 25_000 + 50_000


def test_a_pod_that_stops_drops_what_nobody_waits_for_too() -> None:
    """Copies, and requests that were given up: they have left with an error, and their pod begins anew without them."""
    who = (clients("a", 1.0, arrivals=Arrivals.IN_STEP),)
    scenario = Scenario(
        who,
        Through(routed(Forward(TO_WEB, timeout=100, mirrors=(Mirror(COPY),)), count=1)),
        2 * SECOND,
        serving=(Serving(time=Constant(800_000)),),
        changes=(Change(SECOND // 2, stop=("*",)), Change(SECOND // 2 + 1, start=("*",))),
    )
    result = run(scenario)
    assert result.outcomes == {"response_timeout": 2}
    web = result.total("default/web-0")
    assert (web.requests, web.ended, web.errors) == (2, 2, 1)
    assert sum(one.errors for one in result.totals if "copy" in one.pod) == 1
    assert sum(one.ended for one in result.totals) == 4
    assert web.concurrency == (0.5 + 0.8) / 2


def test_copies_make_work_and_nobody_hears_of_them() -> None:
    """Each request goes to one pod of each; what copies meet changes nothing for clients."""
    action = Forward(TO_WEB, mirrors=(Mirror(COPY),))
    rules = (Serving("copy-*", time=Constant(900_000), answers=((503, 1),)), Serving(time=Constant(1000)))
    result = fails_with(0, action, rate=3.0, until=4 * SECOND, serving=rules)
    assert result.outcomes == {"status 200": 12}
    assert [(one.pod, one.requests, one.errors, one.moved) for one in result.totals if "copy" in one.pod] == [
        ("default/copy-0", 6, 5, 0),
        ("default/copy-1", 6, 5, 0),
    ]
    assert sum(one.requests for one in result.totals if "web" in one.pod) == 12


def test_the_limit_for_an_answer_holds_for_copies_too() -> None:
    """A proxy that waits no longer for a copy counts it no longer; its pod works on."""
    who = (clients("a", 1.0, arrivals=Arrivals.IN_STEP),)
    scenario = Scenario(
        who,
        Through(routed(Forward(TO_WEB, timeout=300, mirrors=(Mirror(COPY),)))),
        SECOND,
        serving=(Serving("copy-*", time=Constant(900_000)), Serving(time=Constant(1000))),
    )

    def counted(until: int) -> tuple[dict[str, int], int]:
        simulation = Simulation(scenario).run(until)
        ((session,),) = simulation._proxies.values()
        return {name: sum(some.values()) for name, some in session.state.active.items()}, len(simulation.live.alone)

    assert counted(500) == ({"web": 1, "copy": 1}, 1)
    assert counted(299_000) == ({"copy": 1}, 1)
    assert counted(301_000) == ({}, 1)
    assert counted(950_000) == ({}, 0)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_turns_are_those_of_a_worker(workers: int) -> None:
    """Through one connection everything comes to one worker, and is even within one request; through many, within one
    for each worker."""
    one = clients("a", 40.0, connections=1, multiplexed=True, workers=workers, proxy="gateway")
    result = run(Scenario((one,), Through(router(3)), 20 * SECOND))
    requests = [each.requests for each in result.totals]
    assert max(requests) - min(requests) <= 1
    many = clients("a", 40.0, keep_alive=KeepAlive(1), workers=workers, proxy="gateway")
    simulation = Simulation(Scenario((many,), Through(router(3)), 20 * SECOND)).run()
    requests = [each.requests for each in simulation.result().totals]
    assert max(requests) - min(requests) <= workers
    (sessions,) = simulation._proxies.values()
    assert len(sessions) == workers
    assert all(session.ordinal > 100 for session in sessions)


def test_workers_count_requests_together() -> None:
    """Least request in one worker sees what another one has sent."""
    one = clients("a", 200.0, keep_alive=KeepAlive(1), workers=3, proxy="gateway")
    simulation = Simulation(
        Scenario((one,), Through(router(3, LeastRequest())), SECOND, (Serving(time=LONGEST),))
    ).run()
    (sessions,) = simulation._proxies.values()
    states = [session.state for session in sessions]
    assert sum(states[0].active[WEB].values()) == simulation.live.flown > 100
    assert states[0].active == states[1].active == states[2].active


def test_ipvs_knows_connections_that_were_closed_for_two_minutes() -> None:
    """They weigh less than open ones, and are forgotten in time."""
    who = (clients("a", 1.0, arrivals=Arrivals.IN_STEP, keep_alive=KeepAlive(1)),)
    scenario = Scenario(who, by_kube_proxy("ipvs:lc"), until=200 * SECOND)

    def known(until: int) -> int:
        simulation = Simulation(scenario).run(until * SECOND)
        node = simulation._node.state()
        assert not node.active or sum(map(len, node.active.values())) == 0
        return sum(sum(some.values()) for some in node.inactive.values())

    assert [known(seconds) for seconds in (1, 100, 119, 150, 200)] == [1, 100, 119, 120, 120]


def test_userspace_dials_again_where_nobody_listens() -> None:
    """A pod that stops before anybody knows: other modes refuse its clients, userspace takes the next pod."""
    who = (clients("a", 10.0, arrivals=Arrivals.IN_STEP, keep_alive=KeepAlive(1)),)

    def outcomes(mode: str, stop: str) -> dict[str, int]:
        changes = (Change(0, stop=(stop,)),)
        return run(Scenario(who, by_kube_proxy(mode), 3 * SECOND, changes=changes)).outcomes

    assert outcomes("userspace", "web-b") == {"status 200": 30}
    assert outcomes("iptables", "web-b").keys() == {"status 200", "refused"}
    assert outcomes("userspace", "*") == {"no_endpoint_answered": 30}
    result = run(Scenario(who, by_kube_proxy("userspace"), 3 * SECOND, changes=(Change(0, stop=("*",)),)))
    assert sum(one.errors for one in result.totals) == 4 * 30  # dials


# Misuse


def _two_of_a_proxy() -> tuple[Clients, Clients]:
    return clients("a", 1.0, proxy="gateway"), clients("b", 1.0, proxy="gateway", workers=2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: clients("a", -1.0), "at least 0 requests"),
        (lambda: clients("a", float("nan")), "at least 0 requests"),
        (lambda: clients("", 1.0), "need a name"),
        (lambda: clients("a", 1.0, asks=()), "at least one request"),
        (lambda: clients("a", 1.0, count=0), "count"),
        (lambda: clients("a", 1.0, workers=0), "workers"),
        (lambda: Scenario(_two_of_a_proxy(), straight(), 1), "`gateway` has 1 workers for some"),
        (lambda: Asking("http://web/", weight=0), "at least 1"),
        (lambda: KeepAlive(-1), "negative"),
        (lambda: Serving(limit=-1), "negative"),
        (lambda: Serving(answers=((99, 1),)), "between 100 and 599"),
        (lambda: Serving(answers=((200, 0),)), "above it"),
        (lambda: Change(-1), "before the start"),
        (lambda: Change(1, rates={"a": -2.0}), "at least 0 requests"),
        (lambda: Scenario((), straight(), 0), "at least 1 microsecond"),
        (lambda: Scenario((), straight(), 2**60), "does not end"),
        (lambda: Scenario((), straight(), 1, seed=-1), "unsigned"),
        (lambda: Scenario((clients("a", 1.0), clients("a", 1.0)), straight(), 1), "same name"),
        (lambda: Scenario((), straight(), 1, changes=(Change(0, Through(router())),)), "other kind"),
        (lambda: Scenario((), straight(), 1, changes=(Change(0, rates={"b": 1.0}),)), "there are not"),
    ],
)
def test_what_cannot_be_is_refused(wrong: Callable[[], object], said: str) -> None:
    """With a ValueError that says why."""
    with pytest.raises(ValueError, match=said):
        wrong()


def test_a_saved_simulation_of_another_scenario_is_refused() -> None:
    """Another seed, other clients, other pods, and what is no simulation at all."""
    one = Scenario((clients("a", 9.0),), straight(), SECOND)
    saved = Simulation(one).run().snapshot()
    for other in (
        msgspec.structs.replace(one, seed=1),
        msgspec.structs.replace(one, clients=(clients("b", 9.0),)),
        msgspec.structs.replace(one, target=straight(4)),
    ):
        with pytest.raises(ValueError, match="another scenario"):
            Simulation.resume(other, saved)
    with pytest.raises(ValueError, match="format 2"):
        Simulation.resume(one, saved.replace(b'"format":1', b'"format":2'))
    with pytest.raises(msgspec.DecodeError):
        Simulation.resume(one, b"{")


def test_an_interrupted_run_says_so_and_goes_on() -> None:
    """Between two events: the same end as without."""
    scenario = busy(3)
    simulation = Simulation(scenario).run(stop=lambda: True)
    assert 0 < simulation.now < scenario.until
    assert simulation.result().partial
    assert simulation.run().result() == run(scenario)
    assert not simulation.result().partial
