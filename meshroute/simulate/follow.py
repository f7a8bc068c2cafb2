"""What a proxy remembers when its table is followed by another one.

Source    spec/state.md STATE-6 to STATE-8; envoyproxy/envoy: source/common/upstream/cluster_manager_impl.cc (a cluster
          whose configuration changes is made anew; one whose endpoints change is not)
Inputs    a session, the next router, and the seed that the proxy draws its starts from.
Exactness clusters keep their turns while only their endpoints change. Schedules and queues begin anew at priorities
          whose endpoints changed; who is new there has joined now. Requests in flight stay in flight.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from meshroute.names import ClusterName, EndpointKey
from meshroute.router import Router
from meshroute.session import Session
from meshroute.simulate.chance import draw
from meshroute.state import Effect, Joined, Refreshed, State
from meshroute.table import Cluster, Endpoint, Health


def begun(router: Router, seed: int) -> State:
    """What a proxy knows when it starts: the numbers that its balancers drew."""
    return State(starts={one.name: _start(seed, one.name) for one in router.table.clusters if one.endpoints})


def followed(session: Session, router: Router, seed: int) -> Session:
    """The same proxy with the next table, at the same moment."""
    before = {one.name: one for one in session.router.table.clusters}
    after = {one.name: one for one in router.table.clusters}
    state = session.state
    for name, cluster in after.items():
        if name not in before or _other(before[name], cluster):
            state = _without(state, name, starts=True)
            if cluster.endpoints:
                state = replace(state, starts={**state.starts, name: _start(seed, f"{name}@{state.now}")})
    for name in before:
        if name not in after:
            state = _without(state, name, starts=True)
    effects: list[Effect] = []
    for name, cluster in after.items():
        was = before.get(name)
        if was is None or _other(was, cluster):
            effects += [Joined(name, one.key) for one in cluster.endpoints if state.now]
        elif was.endpoints != cluster.endpoints:
            gone = {one.key for one in was.endpoints} - {one.key for one in cluster.endpoints}
            state = _forget(state, name, gone)
            known = {one.key for one in was.endpoints if one.health is Health.HEALTHY}
            effects += [
                Joined(name, one.key)
                for one in cluster.endpoints
                if one.health is Health.HEALTHY and one.key not in known
            ]
            old, new = _by_priority(was), _by_priority(cluster)
            effects += [Refreshed(name, one) for one in sorted({*old, *new}) if old.get(one) != new.get(one)]
    later = Session(router, session.seed, state, session.ordinal)
    later.apply(effects)
    return later


def goes_by_time(router: Router) -> bool:
    """Whether it matters to any of its clusters how late it is."""
    return any(
        one.outliers is not None or getattr(one.policy, "slow_start", None) is not None for one in router.table.clusters
    )


def _start(seed: int, name: str) -> int:
    return draw(seed, 0, b"start." + name.encode())


def _other(was: Cluster, now: Cluster) -> bool:
    return replace(was, endpoints=()) != replace(now, endpoints=())


def _by_priority(cluster: Cluster) -> dict[int, list[Endpoint]]:
    found: dict[int, list[Endpoint]] = {}
    for one in cluster.endpoints:
        found.setdefault(one.priority, []).append(one)
    return found


def _without(state: State, name: ClusterName, *, starts: bool) -> State:
    """The state without what balancers of this cluster remember; what is in flight stays."""

    def rest(some: Mapping[Any, Any]) -> dict[Any, Any]:
        return {one: value for one, value in some.items() if one != name and not one.startswith(f"{name}#")}

    return replace(
        state,
        cursors=rest(state.cursors),
        turns=rest(state.turns),
        queues=rest(state.queues),
        starts=rest(state.starts) if starts else state.starts,
        refreshed=rest(state.refreshed),
        joined=rest(state.joined),
        ejected=rest(state.ejected),
        records=rest(state.records),
        ticked=rest(state.ticked),
    )


def _forget(state: State, name: ClusterName, gone: set[EndpointKey]) -> State:
    """The state without what is remembered of endpoints that left."""
    if not gone:
        return state

    def kept(some: Mapping[ClusterName, Mapping[EndpointKey, Any]]) -> dict[ClusterName, Any]:
        left = {key: value for key, value in some.get(name, {}).items() if key not in gone}
        return {**{one: value for one, value in some.items() if one != name}, **({name: left} if left else {})}

    out = tuple(one for one in state.ejected.get(name, ()) if one not in gone)
    others = {one: value for one, value in state.ejected.items() if one != name}
    return replace(
        state,
        joined=kept(state.joined),
        records=kept(state.records),
        ejected={**others, name: out} if out else others,
    )
