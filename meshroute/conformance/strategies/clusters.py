"""Clusters with priorities, localities, weights and endpoints in every health, and routers that send all to one.

Bounds: four priorities, seven endpoints in each, four localities of which two are nearly equal; of some priorities
most endpoints are healthy, of others few. Nothing is made with the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import strategies as st

from meshroute import Request, Router, RoutingTable
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashPolicy,
    Health,
    Listener,
    Retries,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)

CLUSTER = ClusterName("c")
REQUEST = Request.of("GET", "http://any/")
ZONES = ("r/a", "r/b", "r/b/1", "")
Levels: TypeAlias = Sequence[Sequence[Endpoint]]
"""Endpoints by their priority."""

_WEIGHTS = st.integers(1, 5)
_MOODS = (
    st.sampled_from((*[Health.HEALTHY] * 5, *Health)),
    st.sampled_from((Health.HEALTHY, *Health)),
    st.sampled_from((Health.UNHEALTHY, Health.UNHEALTHY, *Health)),
)
"""Priorities that are well, middling, and bad."""


@st.composite
def levels(
    draw: st.DrawFn,
    *,
    priorities: int = 4,
    size: int = 7,
    weights: st.SearchStrategy[int] = _WEIGHTS,
    zones: Sequence[str] = ("",),
    health: st.SearchStrategy[Health] | None = None,
) -> Levels:
    """One to so many priorities of none to so many endpoints, the last of which is not empty: no list can end so."""
    moods = draw(st.sampled_from((_MOODS, _MOODS[1:], _MOODS[2:]))) if health is None else (health,)
    drawn = st.one_of(
        [st.lists(st.tuples(one, weights, st.sampled_from(tuple(zones))), max_size=size) for one in moods]
    )
    some = draw(st.lists(drawn, min_size=1, max_size=priorities).filter(lambda found: len(found) == 1 or found[-1]))
    return [
        [
            Endpoint(f"10.8.{priority}.{at}", 80, health=how, weight=weight, priority=priority, locality=zone)
            for at, (how, weight, zone) in enumerate(one)
        ]
        for priority, one in enumerate(some)
    ]


def flat(some: Levels) -> tuple[Endpoint, ...]:
    """All of them in one list, as a cluster has them."""
    return tuple(endpoint for one in some for endpoint in one)


def equal(count: int, weights: Sequence[int] = ()) -> tuple[Endpoint, ...]:
    """Healthy endpoints of priority 0, of equal weight unless told otherwise."""
    return tuple(Endpoint(f"10.8.0.{at}", 80, weight=weights[at] if weights else 1) for at in range(count))


def router_to(
    cluster: Cluster,
    *others: Cluster,
    locality: str = "",
    local: str = "",
    hashed: Sequence[HashPolicy] = (),
    retries: Retries | None = None,
) -> Router:
    """A proxy in this locality, an endpoint of the cluster `local`, that sends every request to the first cluster."""
    route = Route(RouteMatch(), Forward((WeightedCluster(cluster.name),), tuple(hashed), retries=retries))
    host = VirtualHost("all", ("*",), (route,))
    table = RoutingTable(
        (Listener(80, (host,)),), (cluster, *others), locality=locality, local_cluster=ClusterName(local)
    )
    return Router(table)
