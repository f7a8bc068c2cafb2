"""What vectors ask about balancing: clusters as JSON, and the endpoints that a run of requests meets.

Inputs    clusters as tables have them; endpoints are named by `ip:port` in every answer.
Errors    those of the values: a cluster that a proxy refuses raises ValueError or TableError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec

import meshroute as mr
from meshroute.balance import Ask, of_cluster
from meshroute.balance.bounded import shuffled
from meshroute.balance.picker import Members
from meshroute.balance.priority import counted, loads, percent
from meshroute.balance.queue import Ramp
from meshroute.draws import KEY
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import Effect
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    Health,
    Listener,
    Retries,
    RetryHosts,
    Route,
    RouteMatch,
    RoutingTable,
    SlowStart,
    VirtualHost,
    WeightedCluster,
)

REQUEST = mr.Request.of("GET", "http://any/")
HEALTHS: Mapping[str, Health] = {
    "H": Health.HEALTHY,
    "D": Health.DEGRADED,
    "U": Health.UNHEALTHY,
    "R": Health.DRAINING,
}


def router_of(
    cluster: Mapping[str, Any], around: Mapping[str, Any] | None = None, retry_hosts: RetryHosts | None = None
) -> mr.Router:
    """A router that sends everything to one cluster; `around` are the other fields of its table."""
    made = _made(cluster)
    more = dict(around or {})
    others = msgspec.convert(more.pop("clusters", ()), tuple[Cluster, ...])
    action = Forward((WeightedCluster(made.name),), retry_hosts=retry_hosts)
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
    return mr.Router(mr.RoutingTable((Listener(80, (host,)),), (made, *others), **more))


def priority_loads(
    hosts: Sequence[str],
    panic: float = 50.0,
    overprovisioning: int = 140,
    weights: Sequence[Sequence[int]] = (),
    hashed: bool = False,
) -> dict[str, Any]:
    """The loads of priorities written as one letter for each host, as in HEALTHS. With `weights`, these count;
    `hashed` for a ring or a Maglev table."""
    levels = [
        [
            Endpoint("10.0.0.1", 80, health=HEALTHS[letter], weight=weights[at][number] if weights else 1)
            for number, letter in enumerate(text)
        ]
        for at, text in enumerate(hosts)
    ]
    got = loads([counted(one) for one in levels], percent(panic), overprovisioning, bool(weights), hashed)
    return {"healthy": list(got.healthy), "degraded": list(got.degraded), "panics": list(got.panics)}


def keyed_picks(
    cluster: Mapping[str, Any], keys: Sequence[int], around: Mapping[str, Any] | None = None
) -> list[str | None]:
    """The endpoint of each key, None where nobody serves."""
    asked = router_of(cluster, around)
    return [_at(asked.decide(REQUEST, draws=mr.Draws.of(given={KEY: key}))) for key in keys]


def attempted_picks(cluster: Mapping[str, Any], key: int, attempts: Sequence[int]) -> list[str]:
    """The endpoints that these attempts of a retry look at, for a cluster of which one list serves every key."""
    pool = of_cluster(_made(cluster)).only
    assert pool is not None
    assert pool.picker is not None
    numbers = [pool.picker.pick(Ask(mr.Draws(), mr.State(), key, attempt)) for attempt in attempts]
    return [str(pool.placed[number].endpoint.key) for number in numbers]


def held_picks(cluster: Mapping[str, Any], keys: Sequence[int]) -> list[str | None]:
    """The endpoint of each key, every request staying open."""
    asked, state, picks = router_of(cluster), mr.State(), []
    for key in keys:
        decision = asked.decide(REQUEST, state, mr.Draws.of(given={KEY: key}))
        state = state.after(decision.effects)
        picks.append(_at(decision))
    return picks


def retried_picks(
    cluster: Mapping[str, Any], keys: Sequence[int], failing: Sequence[str], retries: int, attempts: int | None
) -> list[str | None]:
    """The endpoint that each key ends at if `failing` ones fail; `attempts` None looks for no other host."""
    asked = router_of(cluster, retry_hosts=None if attempts is None else RetryHosts(attempts))
    picks = []
    for key in keys:
        draws = mr.Draws.of(given={KEY: key, **{f"{KEY}/{number}": key for number in range(1, (attempts or 0) + 1)}})
        decision = asked.decide(REQUEST, draws=draws)
        for _ in range(retries):
            if _at(decision) in failing:
                decision = asked.retry(REQUEST, decision, draws=draws)
        picks.append(_at(decision))
    return picks


def turns(
    cluster: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any] | None = None,
    around: Mapping[str, Any] | None = None,
) -> list[str | None]:
    """The endpoints of a run of requests that end at once.

    An event is `{picks: n}`, `{cluster: ...}` (the cluster from now on), `{state: {...}}` (fields of the state from now
    on), or `{effects: [...]}`.
    """
    asked, now, picks = router_of(cluster, around), msgspec.convert(state or {}, mr.State), []
    for event in events:
        if "cluster" in event:
            asked = router_of(event["cluster"], around)
        now = msgspec.convert({**msgspec.to_builtins(now), **event.get("state", {})}, mr.State)
        now = now.after(msgspec.convert(event.get("effects", ()), tuple[Effect, ...]))
        for _ in range(event.get("picks", 0)):
            decision = asked.decide(REQUEST, now, mr.Draws.of(given=event.get("draws", {})))
            now = now.after((*decision.effects, *decision.finished()))
            picks.append(_at(decision))
    return picks


def locality_turns(cluster: Mapping[str, Any], picks: int, state: Mapping[str, Any] | None = None) -> dict[str, int]:
    """How many of a run of requests each locality gets."""
    where = {str(one.key): one.locality for one in _made(cluster).endpoints}
    found = turns(cluster, [{"picks": picks}], state)
    return dict(sorted(Counter(where[one] for one in found if one is not None).items()))


def slow_start(
    ages: Sequence[int], window: int, aggression: float = 1.0, minimum: float = 10.0, healthy: bool = True
) -> list[float]:
    """What the weight of an endpoint is multiplied with at these ages, in milliseconds."""
    name, key = ClusterName("c"), EndpointKey("10.0.0.1:80")
    ramp = Ramp(SlowStart(window, aggression, minimum), Members(name, 0, name, (key,), (1,), (healthy,)))
    return [ramp.factor(mr.State(), 0, age) for age in ages]


def table_accepted(table: Mapping[str, Any]) -> bool:
    """Whether a proxy would load the table, given as JSON."""
    try:
        mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table)))
    except mr.TableError:
        return False
    return True


def cluster_shares(
    cluster: Mapping[str, Any],
    horizon: Any = "next",
    state: Mapping[str, Any] | None = None,
    around: Mapping[str, Any] | None = None,
) -> dict[str, str] | None:
    """The share of each endpoint (`none` for nobody) of a request without a key, in lowest terms. None where there is
    no exact answer."""
    try:
        got = router_of(cluster, around).shares(REQUEST, msgspec.convert(state or {}, mr.State), horizon=horizon)
    except mr.InexactError:
        return None
    return {str(key or "none"): str(Fraction(share)) for key, share in sorted(got.by_endpoint.items(), key=str)}


def _made(cluster: Mapping[str, Any]) -> Cluster:
    return msgspec.convert({"name": "c", **cluster}, Cluster)


def _at(decision: mr.Decision) -> str | None:
    return str(decision.endpoint.key) if decision.endpoint is not None else None


def watched(
    cluster: Mapping[str, Any], events: Sequence[Mapping[str, Any]], state: Mapping[str, Any] | None = None
) -> list[Any]:
    """What a session tells: `{request: status}` is forwarded and ends so, giving its endpoint; `{until: ms}` lets time
    pass, giving the endpoints that are then left out."""
    session, told = mr.Session(router_of(cluster), state=msgspec.convert(state or {}, mr.State)), list[Any]()
    for event in events:
        if "until" in event:
            session.advance(event["until"])
            told.append([str(one) for some in session.state.ejected.values() for one in some])
        else:
            decision = session.decide(REQUEST)
            told.append(_at(decision))
            if decision.started is not None:
                session.finish(decision, event["request"])
    return told


def failing_tries(
    cluster: Mapping[str, Any], retries: Mapping[str, Any], retry_hosts: Mapping[str, Any] | None = None
) -> list[str | None]:
    """The endpoints of all tries of a request that nobody answers."""
    made = _made(cluster)
    hosts = msgspec.convert(retry_hosts, RetryHosts) if retry_hosts is not None else None
    action = Forward((WeightedCluster(made.name),), retries=msgspec.convert(retries, Retries), retry_hosts=hosts)
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
    router = mr.Router(RoutingTable((Listener(80, (host,)),), (made,)))
    end = mr.Session(router).send(REQUEST, lambda _: mr.Failure.CONNECT_FAILED)
    return [_at(one) for one in end.tries]


FUNCTIONS: Mapping[str, Any] = {
    "failing_tries": failing_tries,
    "priority_loads": priority_loads,
    "keyed_picks": keyed_picks,
    "attempted_picks": attempted_picks,
    "held_picks": held_picks,
    "retried_picks": retried_picks,
    "turns": turns,
    "locality_turns": locality_turns,
    "slow_start": slow_start,
    "table_accepted": table_accepted,
    "cluster_shares": cluster_shares,
    "watched": watched,
    "shuffled": lambda size, seed: list(shuffled(size, seed)),
    "percent": percent,
}
"""By the names that vectors use."""
