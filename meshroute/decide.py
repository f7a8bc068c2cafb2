"""decide: one request, one decision. Read it from top to bottom.

Source    spec/decide.md DECIDE-1 to DECIDE-5; envoyproxy/envoy: source/common/router/router.cc
Inputs    a Plan (a table made ready), a request, the state before it, and the draws that a proxy would make.
Exactness the same inputs give the same decision, in any process, on any platform. Nothing is read but the arguments.
Errors    none. What traffic meets (no route, no cluster, no healthy host) is an outcome; any exception is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from meshroute.balance import Ask, Picker, prepare
from meshroute.balance.candidates import usable
from meshroute.balance.request_key import hashed, request_key
from meshroute.decision import (
    CLOSED,
    FORWARDED,
    NO_CLUSTER,
    NO_HEALTHY_HOST,
    NO_ROUTE,
    Decision,
    Failed,
    Responded,
)
from meshroute.draws import KEY, STREAM, Draws
from meshroute.match.index import Found, HostIndex
from meshroute.match.scan import first_failure
from meshroute.names import ClusterName
from meshroute.request import Request
from meshroute.state import CursorMoved, Effect, RequestStarted, State
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashPolicy,
    LeastRequest,
    OriginalDestination,
    Respond,
    Route,
    RoutingTable,
    TableError,
    WeightedCluster,
)
from meshroute.trace import (
    ClusterDrawn,
    HostPicked,
    HostsNarrowed,
    KeyHashed,
    KeyMissing,
    ListenerChosen,
    RouteMatched,
    RouteSkipped,
    Step,
    VirtualHostChosen,
)

Tell = list[Step]
"""Where the steps go when somebody wants to know; None when nobody does, and then telling costs nothing."""


class Target:
    """A cluster made ready: its usable endpoints, its picker, and what a pick of each endpoint leaves behind."""

    __slots__ = ("cluster", "effects", "endpoints", "picker")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster: Final = cluster
        self.endpoints: Final = usable(cluster.endpoints)
        self.picker: Final[Picker | None] = prepare(cluster, self.endpoints)
        turn: tuple[Effect, ...] = (CursorMoved(cluster.name),) if self.picker and self.picker.turns else ()
        self.effects: Final = tuple((*turn, RequestStarted(cluster.name, one.key)) for one in self.endpoints)


class Plan:
    """A routing table made ready for deciding. Raises TableError for a table that a proxy would refuse."""

    __slots__ = ("listeners", "otherwise", "targets")

    def __init__(self, table: RoutingTable) -> None:
        self.listeners: Final[Mapping[int, HostIndex]] = {one.port: HostIndex(one) for one in table.listeners}
        self.targets: Final[Mapping[ClusterName, Target]] = {one.name: Target(one) for one in table.clusters}
        self.otherwise: Final = Forward((WeightedCluster(table.otherwise),)) if table.otherwise else None
        if len(self.listeners) < len(table.listeners):
            raise TableError("two listeners have the same port")
        if len(self.targets) < len(table.clusters):
            raise TableError("two clusters have the same name")
        for cluster in table.clusters:
            weights = {one.weight for one in cluster.endpoints}
            if isinstance(cluster.policy, LeastRequest) and len(weights) > 1:
                raise TableError(f"cluster `{cluster.name}`: unequal weights under least request are not served yet")
        for listener in table.listeners:
            for host in listener.virtual_hosts:
                for route in host.routes:
                    if isinstance(route.action, Forward) and sum(one.weight for one in route.action.clusters) <= 0:
                        raise TableError(f"route `{route.name}` of `{host.name}`: the weights of its clusters sum to 0")


def decide(plan: Plan, request: Request, state: State, draws: Draws, tell: Tell | None = None) -> Decision:
    """Where the request goes. With `tell`, every step is appended to it on the way."""
    listener = plan.listeners.get(request.port)
    if tell is not None:
        tell.append(ListenerChosen(request.port, listener is not None))
    if listener is None:
        if plan.otherwise is None:
            return Decision(NO_ROUTE, request)
        return _forward(plan, request, state, draws, None, plan.otherwise, tell)
    route = chosen_route(listener, request, tell)
    if route is None:
        return Decision(NO_ROUTE, request)
    if isinstance(route.action, Respond):
        return Decision(Responded(route.action.status, route.action.body), request, route.name, route.rule)
    return _forward(plan, request, state, draws, route, route.action, tell)


def chosen_route(listener: HostIndex, request: Request, tell: Tell | None = None) -> Route | None:
    """The first route that matches, in the virtual host that the authority names."""
    found = listener.find(request.authority)
    if found is None:
        if tell is not None:
            tell.append(VirtualHostChosen(request.authority))
        return None
    number = found.routes.first(request)
    if tell is not None:
        _tell_routes(found, number, request, tell)
    return None if number is None else found.routes.routes[number]


def _tell_routes(found: Found, number: int | None, request: Request, tell: Tell) -> None:
    tell.append(VirtualHostChosen(request.authority, found.host.name, found.domain))
    for index, route in enumerate(found.routes.routes[:number]):
        because = first_failure(route.match, request)
        assert because is not None, "the index passed over a route that matches"
        tell.append(RouteSkipped(index, route.name, route.rule, because))
    if number is not None:
        route = found.routes.routes[number]
        tell.append(RouteMatched(number, route.name, route.rule))


def _forward(
    plan: Plan, request: Request, state: State, draws: Draws, route: Route | None, action: Forward, tell: Tell | None
) -> Decision:
    """A cluster by weight, then an endpoint by the cluster's policy."""
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    cluster = action.clusters[0].cluster
    if len(action.clusters) > 1:
        cluster = _draw_cluster(action.clusters, draws[STREAM], tell)
    target = plan.targets.get(cluster)
    if target is None:
        return Decision(NO_CLUSTER, request, name, rule, cluster)
    subset = target.cluster.subset or None
    picker = target.picker
    if isinstance(target.cluster.policy, OriginalDestination):
        return Decision(FORWARDED, request, name, rule, cluster, subset, original_destination(request))
    if tell is not None:
        tell.append(HostsNarrowed(cluster, len(target.cluster.endpoints), len(target.endpoints)))
    if picker is None:
        return Decision(dead_end(route), request, name, rule, cluster, subset)
    key = _key(action.hash_policies, request, draws, tell) if picker.hashes else 0
    ask = Ask(draws, state.starts.get(cluster, 0), state.cursors.get(cluster, 0), state.active_on(cluster), key)
    picked = picker.pick(ask)
    endpoint = target.endpoints[picked]
    if tell is not None:
        tell.append(HostPicked(picker.name, endpoint.key, endpoint.workload, picked, picker.how(ask)))
    return Decision(FORWARDED, request, name, rule, cluster, subset, endpoint, target.effects[picked])


def dead_end(route: Route | None) -> Failed:
    """What nobody being healthy means: an HTTP answer where a route was found, else a closed connection."""
    return NO_HEALTHY_HOST if route is not None else CLOSED


def original_destination(request: Request) -> Endpoint | None:
    """The address that the client connected to, if anybody said."""
    return Endpoint(request.destination_ip, request.port) if request.destination_ip else None


def spans(clusters: Sequence[WeightedCluster]) -> Iterator[tuple[ClusterName, int, int, int]]:
    """The clusters of a route, each with its span [low, high) of the remainders modulo the total, and the total.

    A weight of 0 spans nothing; a lone cluster spans everything.
    """
    total = sum(one.weight for one in clusters)
    high = 0
    for one in clusters:
        low, high = high, high + one.weight
        yield one.cluster, low, high, total


def _draw_cluster(clusters: Sequence[WeightedCluster], draw: int, tell: Tell | None) -> ClusterName:
    """The cluster into whose span the draw falls."""
    for cluster, low, high, total in spans(clusters):
        point = draw % total
        if point < high:
            if tell is not None:
                tell.append(ClusterDrawn(cluster, draw, total, point, low, high))
            return cluster
    raise AssertionError("a point below the total lies in no span")


def _key(policies: Sequence[HashPolicy], request: Request, draws: Draws, tell: Tell | None) -> int:
    """The request's key for consistent hashing; a random number where no policy gives one."""
    key = request_key(policies, request)
    if key is None:
        if tell is not None:
            tell.append(KeyMissing(draws[KEY]))
        return draws[KEY]
    if tell is not None:
        for policy in policies:
            values = hashed(policy, request)
            if values is not None:
                tell.append(KeyHashed(policy, values, key))
                if policy.terminal:
                    break
    return key
