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

from meshroute.arrive import PATH_REFUSED, arrive
from meshroute.balance import Around, Ask, Asked, ByLocality, ByZone, Pool, Target, View, settle
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
    Outcome,
    Redirected,
    Responded,
)
from meshroute.draws import KEY, PRIORITY, STREAM, Again, Drawn, Draws
from meshroute.match.index import Found, HostIndex, RouteIndex
from meshroute.match.scan import first_failure
from meshroute.names import ClusterName, EndpointKey
from meshroute.redirect import location
from meshroute.request import Request, host_of
from meshroute.state import CookieIssued, Effect, RequestStarted, State
from meshroute.table import (
    Arrival,
    Endpoint,
    Forward,
    HashOnCookie,
    HashPolicy,
    Health,
    OriginalDestination,
    Portion,
    Redirect,
    RequireTls,
    Respond,
    Route,
    RouteMatch,
    RoutingTable,
    WeightedCluster,
)
from meshroute.trace import (
    Arrived,
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
    SubsetAsked,
    TlsRequired,
    TurnedAway,
    VirtualHostChosen,
)

Tell = list[Step]
"""Where the steps go when somebody wants to know; None when nobody does, and then telling costs nothing."""


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
    sent = request
    if request.own_headers or listener.arrival is not None:
        arrived = _arrive(listener, request, draws, tell)
        if not isinstance(arrived, Request):
            return Decision(arrived, request)
        request = arrived
    route = chosen_route(listener, request, draws, tell)
    if request is not sent:
        request = onward(sent, request)
    if route is None:
        return Decision(NO_ROUTE, request)
    if isinstance(route.action, Respond):
        return Decision(Responded(route.action.status, route.action.body), request, route.name, route.rule)
    if isinstance(route.action, Redirect):
        return Decision(redirected(route, route.action, request), request, route.name, route.rule)
    return _forward(plan, Going(request, route, route.action), state, draws, tell)


def redirected(route: Route, action: Redirect, request: Request) -> Redirected:
    """What the client is told; of CONNECT, which has no path, not where to go."""
    return Redirected(action.status, location(action, request, route.match.path) if request.plain_path else "")


_AS_IT_IS: Final = Arrival()


def arrived(listener: HostIndex, request: Request, draws: Drawn) -> Request | Outcome:
    """The request as the listener's routes are asked with it; or what the client is told before any is."""
    if not request.own_headers and listener.arrival is None:
        return request
    return arrive(request, listener.arrival or _AS_IT_IS, listener.port, draws)


def onward(sent: Request, request: Request) -> Request:
    """The request as it goes on once its route is chosen: CONNECT has its port back."""
    if request.method != "CONNECT" or request.authority == sent.authority:
        return request
    port = sent.authority[len(host_of(sent.authority)) :]
    return replace(request, authority=host_of(request.authority) + port)


def _arrive(listener: HostIndex, request: Request, draws: Draws, tell: Tell | None) -> Request | Outcome:
    found = arrived(listener, request, draws)
    if tell is not None:
        if isinstance(found, Request):
            if found != request:
                tell.append(Arrived(found.authority, found.path))
        else:
            tell.append(TurnedAway(found.details if isinstance(found, Failed) else PATH_REFUSED.details))
    return found


def chosen_route(listener: HostIndex, request: Request, draws: Drawn, tell: Tell | None = None) -> Route | None:
    """The first route that matches, in the virtual host of the request; where that wants TLS, one that leads there."""
    found = listener.of(request)
    if found is None:
        if tell is not None:
            tell.append(VirtualHostChosen(request.authority))
        return None
    if found.host.require_tls is RequireTls.NONE and found.tree is None:  # nearly always
        number = found.routes.first(request, draws)
        if tell is not None:
            tell.append(VirtualHostChosen(request.authority, found.host.name, found.domain))
            _tell_routes(listener, found.routes, number, request, draws, tell)
        return None if number is None else found.routes.routes[number]
    if tell is not None:
        tell.append(VirtualHostChosen(request.authority, found.host.name, found.domain))
    if to_tls(found, request):
        if tell is not None:
            tell.append(TlsRequired(found.host.require_tls))
        return tls_route(request)
    routes = found.tree.routes(request, tell) if found.tree is not None else found.routes
    if routes is None:
        return None
    number = routes.first(request, draws)
    if tell is not None:
        _tell_routes(listener, routes, number, request, draws, tell)
    return None if number is None else routes.routes[number]


def to_tls(found: Found, request: Request) -> bool:
    """Whether the virtual host sends the request to TLS. None is from inside unless a proxy is told who is."""
    return found.host.require_tls is not RequireTls.NONE and request.fields["x-forwarded-proto"] != ("https",)


def tls_route(request: Request) -> Route:
    """The route of a request that is sent to TLS: the same authority, port and path."""
    return Route(RouteMatch(), Redirect(scheme="https", authority=request.authority))


def possible_routes(listener: HostIndex, request: Request) -> list[tuple[Route | None, Portion | None]]:
    """The routes that the draw `stream` chooses from, in order, each with the portion that it takes of the draws that
    come to it; the last one, None where there is no route, takes all that is left."""
    found = listener.of(request)
    if found is None:
        return [(None, None)]
    if to_tls(found, request):
        return [(tls_route(request), None)]
    routes = found.tree.routes(request) if found.tree is not None else found.routes
    if routes is None:
        return [(None, None)]
    if routes.portions is None:
        number = routes.first(request)
        return [(None if number is None else routes.routes[number], None)]
    ways: list[tuple[Route | None, Portion | None]] = []
    for number in routes.matching(request):
        portion = routes.portions[number]
        ways.append((routes.routes[number], portion))
        if portion is None:
            return ways
    return [*ways, (None, None)]


def _tell_routes(
    listener: HostIndex, routes: RouteIndex, number: int | None, request: Request, draws: Drawn, tell: Tell
) -> None:
    stream = draws[STREAM] if routes.portions is not None else 0
    for index, route in enumerate(routes.routes[:number]):
        because = first_failure(route.match, request, stream, listener.ignore_parameters)
        assert because is not None, "the index passed over a route that matches"
        tell.append(RouteSkipped(index, route.name, route.rule, because))
    if number is not None:
        route = routes.routes[number]
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
    chosen = _draw_cluster(clusters, draws[STREAM], tell) if len(clusters) > 1 else clusters[0]
    return _to_cluster(plan, going, chosen, state, draws, tell)


def retry(
    plan: Plan, request: Request, before: Decision, state: State, draws: Draws, tell: Tell | None = None
) -> Decision:
    """The next try of a request that was forwarded and failed: the same route, the same cluster, a new pick.

    Raises ValueError for a decision that forwarded nothing.
    """
    started = before.started
    if started is None:
        raise ValueError("only a request that was forwarded to an endpoint of a cluster can be tried again")
    listener = plan.listeners.get(request.port)
    route = None
    if listener is not None:
        again = arrived(listener, request, draws)
        if isinstance(again, Request):
            request, route = onward(request, again), route_again(listener, again, before)
    action = route.action if route is not None else plan.otherwise
    chosen = [one for one in action.clusters if one.cluster == started.cluster] if isinstance(action, Forward) else []
    if not isinstance(action, Forward) or not chosen:
        raise ValueError(f"this request does not go to `{started.cluster}`: it is not the one that was decided")
    return _to_cluster(
        plan, Going(request, route, action, (*before.tried, started.endpoint)), chosen[0], state, draws, tell
    )


def route_again(listener: HostIndex, request: Request, before: Decision) -> Route | None:
    """The route of a decision: a proxy keeps it for all tries of a request, whatever they draw."""
    ways = [route for route, _ in possible_routes(listener, request) if route is not None]
    return next((one for one in ways if (one.name, one.rule) == (before.route, before.rule)), None)


def _to_cluster(
    plan: Plan, going: Going, chosen: WeightedCluster, state: State, draws: Draws, tell: Tell | None
) -> Decision:
    """An endpoint of the cluster."""
    request, route, action, tried = going.request, going.route, going.action, going.tried
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    cluster = chosen.cluster
    target = plan.targets.get(cluster)
    if target is None:
        return Decision(NO_CLUSTER, request, name, rule, cluster, tried=tried)
    subset = target.cluster.subset or None
    if isinstance(target.cluster.policy, OriginalDestination):
        there = original_destination(request)
        return Decision(FORWARDED, request, name, rule, cluster, subset, there, tried=tried)
    key = request_key(action.hash_policies, request, draws) if target.hashes else NO_KEY
    if tell is not None and target.hashes:
        _tell_key(action.hash_policies, request, key, draws, tell)
    parts = target.asked(state, action, chosen)
    if tried:
        picked = _pick_again(parts, key, action, state, draws, tried, tell)
    else:
        picked = _pick(parts, key, state, draws, 0, tell)
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


def _pick(
    parts: Sequence[Asked], key: Key, state: State, draws: Drawn, attempt: int, tell: Tell | None
) -> Picked | None:
    """One endpoint: of the first part that has one, by priority, by locality, by policy. None where none may be
    chosen. Each part that is asked has draws of its own."""
    for number, asked in enumerate(parts):
        named = Again(draws, f"s{number}") if number else draws
        whom = asked.view
        if tell is not None:
            if asked.part is not None:
                tell.append(SubsetAsked(asked.part.name, asked.part.because, len(asked.part.numbers)))
            healthy = sum(one.endpoint.health is Health.HEALTHY for one in whom.placed)
            tell.append(HostsNarrowed(whom.cluster, len(whom.placed), healthy))
        point = 0
        if whom.hashes:
            point = key.value if key.value is not None else named[KEY]
        picked = _pick_of(whom, Ask(named, state, point, attempt), tell)
        if picked is not None:
            return picked
    return None


def _pick_of(whom: View, ask: Ask, tell: Tell | None) -> Picked | None:
    """One endpoint of a part."""
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
    parts: Sequence[Asked],
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
        picked = _pick(parts, key, state, Again(draws, str(attempt)) if attempt else draws, attempt, tell)
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


def spans(clusters: Sequence[WeightedCluster]) -> Iterator[tuple[WeightedCluster, int, int, int]]:
    """The clusters of a route, each with its span [low, high) of the remainders modulo the total, and the total.

    A weight of 0 spans nothing; a lone cluster spans everything.
    """
    total = sum(one.weight for one in clusters)
    high = 0
    for one in clusters:
        low, high = high, high + one.weight
        yield one, low, high, total


def _draw_cluster(clusters: Sequence[WeightedCluster], draw: int, tell: Tell | None) -> WeightedCluster:
    """The cluster into whose span the draw falls."""
    for one, low, high, total in spans(clusters):
        point = draw % total
        if point < high:
            if tell is not None:
                tell.append(ClusterDrawn(one.cluster, draw, total, point, low, high))
            return one
    raise AssertionError("a point below the total lies in no span")


def _tell_key(policies: Sequence[HashPolicy], request: Request, key: Key, draws: Draws, tell: Tell) -> None:
    if key.value is None:
        tell.append(KeyMissing(draws[KEY]))
        return
    made = list(key.cookies)
    any_yet = False
    for policy in policies:
        values = hashed(policy, request)
        if values is None and isinstance(policy, HashOnCookie) and policy.ttl is not None:
            cookie = made.pop(0)
            tell.append(CookieMade(cookie.name, cookie.value))
            values = (cookie.value,)
        if values is not None:
            tell.append(KeyHashed(policy, values, key.value))
            any_yet = True
        if policy.terminal and any_yet:
            break
