"""decide: one request, one decision. Read it from top to bottom.

Source    spec/decide.md DECIDE-1 to DECIDE-6; envoyproxy/envoy: source/common/router/router.cc
Inputs    a Plan (a table made ready), a request, the state before it, and the draws that a proxy would make.
Exactness the same inputs give the same decision, in any process, on any platform. Nothing is read but the arguments.
Errors    none. What traffic meets (no route, no cluster, no healthy host) is an outcome; any exception is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from meshroute.balance import Around, Ask, ByLocality, ByZone, Pool, View, place, settle, view, weights_of
from meshroute.balance.acceptable import refuse_what_a_proxy_would
from meshroute.balance.request_key import NO_KEY, Key, hashed, request_key
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
from meshroute.draws import KEY, PRIORITY, STREAM, Again, Draws
from meshroute.match.index import Found, HostIndex
from meshroute.match.scan import first_failure
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.state import CookieIssued, Effect, RequestStarted, State
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashPolicy,
    Health,
    OriginalDestination,
    Respond,
    Route,
    RoutingTable,
    WeightedCluster,
)
from meshroute.trace import (
    ClusterDrawn,
    CookieMade,
    HostPicked,
    HostRejected,
    HostsNarrowed,
    KeyHashed,
    KeyMissing,
    ListenerChosen,
    LocalityChosen,
    PriorityChosen,
    RouteMatched,
    RouteSkipped,
    Step,
    VirtualHostChosen,
)

Tell = list[Step]
"""Where the steps go when somebody wants to know; None when nobody does, and then telling costs nothing."""

KEPT_VIEWS: Final = 256
"""How many sets of ejected endpoints a target keeps its view for; the oldest goes first."""


class Target:
    """A cluster made ready: its endpoints, and who of them may be chosen in their present health."""

    __slots__ = ("_around", "_views", "_weights", "cluster", "placed", "whole")

    def __init__(self, cluster: Cluster, around: Around) -> None:
        self.cluster: Final = cluster
        self.placed: Final = place(cluster.endpoints)
        self._around: Final = around
        self._weights: Final = weights_of(cluster)
        self.whole: Final = view(cluster, self.placed, around, self._weights)
        self._views: Final[dict[tuple[EndpointKey, ...], View]] = {}

    def view(self, state: State) -> View:
        """The cluster as it is in this state: endpoints that are ejected count as unhealthy."""
        ejected = state.ejected.get(self.cluster.name)
        if not ejected:
            return self.whole
        known = self._views.get(ejected)
        if known is None:
            if len(self._views) >= KEPT_VIEWS:
                self._views.pop(next(iter(self._views)))
            placed = [
                one._replace(endpoint=replace(one.endpoint, health=Health.UNHEALTHY)) if one.key in ejected else one
                for one in self.placed
            ]
            known = self._views[ejected] = view(self.cluster, placed, self._around, self._weights)
        return known


class Plan:
    """A routing table made ready for deciding. Raises TableError for a table that a proxy would refuse."""

    __slots__ = ("listeners", "otherwise", "targets")

    def __init__(self, table: RoutingTable) -> None:
        refuse_what_a_proxy_would(table)
        local = next((one.endpoints for one in table.clusters if one.name == table.local_cluster), None)
        around = Around(table.locality, tuple(one for one in local if one.priority == 0) if local is not None else None)
        self.listeners: Final[Mapping[int, HostIndex]] = {one.port: HostIndex(one) for one in table.listeners}
        self.targets: Final[Mapping[ClusterName, Target]] = {one.name: Target(one, around) for one in table.clusters}
        self.otherwise: Final = Forward((WeightedCluster(table.otherwise),)) if table.otherwise else None


def decide(plan: Plan, request: Request, state: State, draws: Draws, tell: Tell | None = None) -> Decision:
    """Where the request goes. With `tell`, every step is appended to it on the way."""
    listener = plan.listeners.get(request.port)
    if tell is not None:
        tell.append(ListenerChosen(request.port, listener is not None))
    if listener is None:
        if plan.otherwise is None:
            return Decision(NO_ROUTE, request)
        return _forward(plan, Going(request, None, plan.otherwise), state, draws, tell)
    route = chosen_route(listener, request, tell)
    if route is None:
        return Decision(NO_ROUTE, request)
    if isinstance(route.action, Respond):
        return Decision(Responded(route.action.status, route.action.body), request, route.name, route.rule)
    return _forward(plan, Going(request, route, route.action), state, draws, tell)


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


class Going(msgspec.Struct, frozen=True, gc=False):
    """A request on its way: the route that took it (None: none did, and the table sends it on), and what that does."""

    request: Request
    route: Route | None
    action: Forward
    tried: tuple[EndpointKey, ...] = ()


def _forward(plan: Plan, going: Going, state: State, draws: Draws, tell: Tell | None) -> Decision:
    """A cluster by weight, then an endpoint by the cluster's policy."""
    clusters = going.action.clusters
    cluster = clusters[0].cluster
    if len(clusters) > 1:
        cluster = _draw_cluster(clusters, draws[STREAM], tell)
    return _to_cluster(plan, going, cluster, state, draws, tell)


def retry(
    plan: Plan, request: Request, before: Decision, state: State, draws: Draws, tell: Tell | None = None
) -> Decision:
    """The next try of a request that was forwarded and failed: the same route, the same cluster, a new pick.

    Raises ValueError for a decision that forwarded nothing.
    """
    at = next((one.endpoint for one in before.effects if isinstance(one, RequestStarted)), None)
    if at is None or before.cluster is None:
        raise ValueError("only a request that was forwarded to an endpoint of a cluster can be tried again")
    listener = plan.listeners.get(request.port)
    route = chosen_route(listener, request) if listener is not None else None
    action = route.action if route is not None else plan.otherwise
    if not isinstance(action, Forward) or before.cluster not in {one.cluster for one in action.clusters}:
        raise ValueError(f"this request does not go to cluster `{before.cluster}`: it is not the one that was decided")
    return _to_cluster(plan, Going(request, route, action, (*before.tried, at)), before.cluster, state, draws, tell)


def _to_cluster(
    plan: Plan, going: Going, cluster: ClusterName, state: State, draws: Draws, tell: Tell | None
) -> Decision:
    """An endpoint of the cluster."""
    request, route, action, tried = going.request, going.route, going.action, going.tried
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    target = plan.targets.get(cluster)
    if target is None:
        return Decision(NO_CLUSTER, request, name, rule, cluster, tried=tried)
    subset = target.cluster.subset or None
    if isinstance(target.cluster.policy, OriginalDestination):
        there = original_destination(request)
        return Decision(FORWARDED, request, name, rule, cluster, subset, there, tried=tried)
    whom = target.view(state)
    if tell is not None:
        healthy = sum(one.endpoint.health is Health.HEALTHY for one in whom.placed)
        tell.append(HostsNarrowed(cluster, len(whom.placed), healthy))
    key = request_key(action.hash_policies, request, draws) if whom.hashes else NO_KEY
    if tell is not None and whom.hashes:
        _tell_key(action.hash_policies, request, key, draws, tell)
    if tried:
        picked = _pick_again(whom, key, action, state, draws, tried, tell)
    else:
        picked = _pick(whom, Ask(draws, state, _number(key, draws) if whom.hashes else 0), tell)
    if picked is None:
        return Decision(dead_end(route), request, name, rule, cluster, subset, tried=tried)
    endpoint, effects = picked.pool.placed[picked.number].endpoint, picked.effects
    if not key.cookies:
        return Decision(FORWARDED, request, name, rule, cluster, subset, endpoint, effects, tried=tried)
    effects += tuple(CookieIssued(one.name, one.value) for one in key.cookies)
    lines = tuple(("set-cookie", one.line) for one in key.cookies)
    return Decision(FORWARDED, request, name, rule, cluster, subset, endpoint, effects, (), lines, tried)


_NOTHING: Final[tuple[Effect, ...]] = ()


class Picked(msgspec.Struct, frozen=True, gc=False):
    """An endpoint, by its number in a pool, and what the pick leaves behind."""

    pool: Pool
    number: int
    effects: tuple[Effect, ...]

    @property
    def key(self) -> EndpointKey:
        """What state calls the endpoint."""
        return self.pool.placed[self.number].key


def _pick(whom: View, ask: Ask, tell: Tell | None) -> Picked | None:
    """One endpoint: by priority, by locality, by policy. None where nobody may be chosen."""
    pool, before = whom.only, _NOTHING
    if pool is None:
        pool, before = _settle(whom, ask, tell)
    picker = pool.picker
    if picker is None:
        return None
    number = picker.pick(ask)
    effects = pool.effects[number] if pool.effects is not None else (*picker.turned(ask), pool.started[number])
    if tell is not None:
        one = pool.placed[number]
        tell.append(HostPicked(picker.name, one.endpoint.key, one.endpoint.workload, number, picker.how(ask)))
    return Picked(pool, number, before + effects if before else effects)


def _settle(whom: View, ask: Ask, tell: Tell | None) -> tuple[Pool, tuple[Effect, ...]]:
    """The pool that serves: the request's number chooses the priority, turns or draws the locality."""
    number = ask.key if whom.hashes else ask.draws[PRIORITY]
    band = whom.band(number)
    pool, effects = settle(band.part, ask)
    if tell is not None:
        if len(whom.bands) > 1 or band.priority or band.which != "healthy":
            tell.append(PriorityChosen(band.priority, band.which, number % 100, band.low, band.high))
        if isinstance(band.part, ByLocality):
            tell.append(LocalityChosen(pool.locality or "", band.part.turns.how(ask)))
        elif isinstance(band.part, ByZone) and pool.locality is not None:
            tell.append(LocalityChosen(pool.locality, "zone-aware routing"))
    return pool, effects


def _pick_again(
    whom: View,
    key: Key,
    action: Forward,
    state: State,
    draws: Draws,
    tried: tuple[EndpointKey, ...],
    tell: Tell | None,
) -> Picked | None:
    """Picks until one was not tried before, or the attempts are used up: then the last one is taken as it is."""
    attempts = action.retry_hosts.attempts if action.retry_hosts is not None else 0
    passed: tuple[Effect, ...] = ()
    for attempt in range(attempts + 1):
        named = Again(draws, attempt) if attempt else draws
        number = key.value if key.value is not None else named[KEY]
        picked = _pick(whom, Ask(named, state, number, attempt), tell)
        if picked is None:
            return None
        if picked.key not in tried or attempt == attempts:
            return Picked(picked.pool, picked.number, passed + picked.effects)
        if tell is not None:
            tell.append(HostRejected(picked.key))
        # A turn that was taken is taken, even if nobody was sent there.
        turns = tuple(one for one in picked.effects if not isinstance(one, RequestStarted))
        passed, state = passed + turns, state.after(turns)
    raise AssertionError("the last attempt is always taken")


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


def _number(key: Key, draws: Draws) -> int:
    """The key, or the random number that stands in for it."""
    return key.value if key.value is not None else draws[KEY]


def _tell_key(policies: Sequence[HashPolicy], request: Request, key: Key, draws: Draws, tell: Tell) -> None:
    if key.value is None:
        tell.append(KeyMissing(draws[KEY]))
        return
    tell.extend(CookieMade(one.name, one.value) for one in key.cookies)
    for policy in policies:
        values = hashed(policy, request)
        if values is not None:
            tell.append(KeyHashed(policy, values, key.value))
            if policy.terminal:
                break
