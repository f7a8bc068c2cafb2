"""What vectors ask about connections that carry requests: whom these reach, and which connection is used.

Inputs    clusters as tables have them; endpoints are named by `ip:port` in every answer.
Errors    those of the values: a cluster that a proxy refuses raises ValueError or TableError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

import meshroute as mr
from meshroute.conformance.balancing import router_of
from meshroute.names import ClusterName
from meshroute.simulate.follow import followed
from meshroute.simulate.pool import begun, ended, with_room
from meshroute.state import Effect


def requests_over_connections(
    cluster: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    connections: Mapping[str, int] | None = None,
    workers: int = 1,
    starts: Sequence[int] = (0,),
) -> list[str | None]:
    """Whom requests reach. A step is a request that ends at once (`over` a connection), one that stays
    (`hold`), the end of the n-th of these (`end`), or other `endpoints`. `connections` says which worker has which, the
    first unless said; `starts` what the workers' balancers began with."""
    router, name = router_of(cluster), ClusterName(cluster["name"])
    states = [mr.State(starts={name: starts[number % len(starts)]}) for number in range(workers)]
    sessions = mr.Session.workers(router, [(number, one, 0) for number, one in enumerate(states)])
    ports = {one: 40_000 + number for number, one in enumerate(dict.fromkeys(map(_connection_of, steps)))}
    held: list[tuple[mr.Session, mr.Decision]] = []
    reached: list[str | None] = []
    for step in steps:
        if "endpoints" in step:
            router = router_of({**cluster, "endpoints": step["endpoints"]})
            later = [followed(one, router, one.seed) for one in sessions]
            sessions = mr.Session.workers(router, [(one.seed, one.state, one.ordinal) for one in later])
            continue
        if "end" in step:
            session, decision = held[step["end"]]
            session.finish(decision)
            continue
        connection = _connection_of(step)
        session = sessions[(connections or {}).get(connection, 0)]
        request = mr.Request.of("GET", "http://any/", source_ip="10.1.2.3", source_port=ports[connection])
        decision = session.decide(request)
        reached.append(str(decision.endpoint.key) if decision.endpoint is not None else None)
        if "hold" in step:
            held.append((session, decision))
        else:
            session.finish(decision)
    return reached


def _connection_of(step: Mapping[str, Any]) -> str:
    return step.get("over") or step.get("hold") or ""


def connections_used(steps: Sequence[Mapping[str, Any]], *, http2: bool = False, most: int = 100) -> list[int]:
    """Which connection carries each request that begins, by number from 0, a new one where none has room. A step is
    `begin`, or the `end` of the n-th request."""
    order: list[int] = []
    carried: list[int] = []
    used: list[int] = []
    for step in steps:
        if "end" in step:
            number = used[step["end"]]
            carried[number] -= 1
            ended(order, number, multiplexed=http2)
            continue
        found = with_room(order, lambda one: carried[one] < (most if http2 else 1))
        if found is None:
            found = len(carried)
            order.append(found)
            carried.append(0)
        carried[found] += 1
        begun(order, found, multiplexed=http2)
        used.append(found)
    return used


def shared_by_workers(cluster: Mapping[str, Any], effects: Sequence[Sequence[Any]], workers: int) -> list[Any]:
    """The states of a proxy's workers after effects, each with the number of the worker in which it happens."""
    sessions = mr.Session.workers(router_of(cluster), [(number, None, 0) for number in range(workers)])
    for number, effect in effects:
        sessions[number].apply([msgspec.convert(effect, Effect)])
    return [msgspec.to_builtins(one.state) for one in sessions]


FUNCTIONS: Final[Mapping[str, Any]] = {
    "requests_over_connections": requests_over_connections,
    "connections_used": connections_used,
    "shared_by_workers": shared_by_workers,
}
