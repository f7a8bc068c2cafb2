"""decide: one request, one decision. Read it from top to bottom.

Source    spec/decide.md DECIDE-1 to DECIDE-6; envoyproxy/envoy: source/common/router/router.cc
Inputs    a Plan (a table made ready), a request, the state before it, and the draws that a proxy would make.
Exactness the same inputs give the same decision, in any process, on any platform. Nothing is read but the arguments.
Errors    none. What traffic meets (no route, no cluster, no healthy host) is an outcome; any exception is a bug.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from meshroute.arrive import PATH_REFUSED, arrive
from meshroute.balance import Around, Ask, Asked, ByLocality, ByZone, Pool, Target, View, settle
from meshroute.balance.acceptable import refuse_what_a_proxy_would
from meshroute.balance.request_key import NO_KEY, Key, hashed, request_key
from meshroute.cors import NO_CALL, Call
from meshroute.decision import (
    CLOSED,
    FORWARDED,
    NO_CLUSTER,
    NO_HEALTHY_HOST,
    NO_ROUTE,
    NOBODY_LISTENS,
    NOT_PASSED,
    NOT_TAKEN,
    PREFLIGHT,
    UNTOUCHED,
    Copy,
    Decision,
    Failed,
    Forwarded,
    Outcome,
    Passed,
)
from meshroute.doing import (
    Doing,
    at_endpoint,
    called,
    drawing,
    mirrored,
    needs_doing,
    outcome_of,
    own_lines,
)
from meshroute.draws import FAULT_ABORT, FAULT_DELAY, KEY, PRIORITY, STREAM, Again, Drawn, Draws
from meshroute.fault import NO_STRIKE, Strike, aborted, delayed, not_found, strike
from meshroute.grpc import in_grpc, lines_in_grpc
from meshroute.headers import Lines
from meshroute.match.index import Found, HostIndex, RouteIndex
from meshroute.match.listeners import Door, Doors, Reading
from meshroute.match.predicate import is_grpc
from meshroute.match.scan import first_failure
from meshroute.names import ClusterName, EndpointKey, ascii_lower, is_ip
from meshroute.request import SINGLE_SLOT_HEADERS, Request, host_of
from meshroute.routable import refused
from meshroute.state import CookieIssued, Effect, RequestStarted, State
from meshroute.table import (
    Arrival,
    Chain,
    Endpoint,
    Fault,
    Forward,
    HashOnCookie,
    HashPolicy,
    Health,
    OriginalDestination,
    Portion,
    Redirect,
    RequireTls,
    Route,
    RouteMatch,
    RoutingTable,
    WeightedCluster,
)
from meshroute.table.walk import routes_of
from meshroute.trace import (
    Aborted,
    Arrived,
    AuthorityRewritten,
    ChainChosen,
    ClusterDrawn,
    ClusterSaid,
    CookieMade,
    Delayed,
    HeadersChanged,
    HostPicked,
    HostRejected,
    HostsNarrowed,
    KeyHashed,
    KeyMissing,
    ListenerChosen,
    LocalityChosen,
    Mirrored,
    NumberSaid,
    OriginAsked,
    PathRewritten,
    PrioritiesPassedOver,
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

_identity: Final = object.__hash__
"""Which route it is, of those that the listeners keep alive; routes themselves are compared by content, and that takes
time."""


class Plan:
    """A routing table made ready for deciding. Raises TableError for a table that a proxy would refuse."""

    __slots__ = ("doings", "doors", "otherwise", "targets", "watched")

    def __init__(self, table: RoutingTable) -> None:
        routes = [
            (host.name, route)
            for listener in table.listeners
            for host in (*listener.virtual_hosts, *(host for chain in listener.chains for host in chain.virtual_hosts))
            for route in routes_of(host)
        ]
        refuse_what_a_proxy_would(table, refused(routes))
        local = next((one.endpoints for one in table.clusters if one.name == table.local_cluster), None)
        around = Around(table.locality, tuple(one for one in local if one.priority == 0) if local is not None else None)
        self.doors: Final = Doors(table.listeners)
        self.targets: Final[Mapping[ClusterName, Target]] = {one.name: Target(one, around) for one in table.clusters}
        self.watched: Final = frozenset(one.name for one in table.clusters if one.outliers is not None)
        self.otherwise: Final = Forward((WeightedCluster(table.otherwise),)) if table.otherwise else None
        self.doings: Final[Mapping[int, Doing]] = {
            _identity(route): Doing(route) for _, route in routes if needs_doing(route)
        }

    def doing_of(self, route: Route) -> Doing | None:
        """What a route does besides choosing a host, made ready; None for nothing."""
        return self.doings.get(_identity(route))

    def doing_again(self, route: Route) -> Doing | None:
        """The same for a request that is tried again: its route may be of a table before this one."""
        known = self.doing_of(route)
        return known or (Doing(route) if needs_doing(route) else None)

    def taker(self, request: Request) -> HostIndex | Chain | Failed | None:
        """Who takes the request's connection: virtual hosts, a chain that does not read it, nobody on a port that is
        listened to (it is closed), or nobody at all (None)."""
        plain = self.doors.plain
        if plain is not None:
            return plain.get(request.port)
        name = request.looked_up or ascii_lower(host_of(request.authority))
        door = self.doors.find(request.port, request.destination_ip, name)
        if door is None:
            return None
        tls = request.scheme == "https"
        said = name if tls and not is_ip(name.strip("[]")) else ""
        taker = door.taker(request.destination_ip or door.listener.address, said, http=not tls)
        if isinstance(taker, Reading):
            return taker.hosts if tls or not taker.ends_tls else NOT_TAKEN
        return taker if taker is not None else self.left(door)

    def left(self, door: Door) -> Failed | None:
        """What becomes of a connection that nothing behind a door takes: it is closed, or it is as if nobody listened
        (None)."""
        return None if door.listener.falls_through else NOT_TAKEN


def decide(plan: Plan, request: Request, state: State, draws: Draws, tell: Tell | None = None) -> Decision:
    """Where the request goes. With `tell`, every step is appended to it on the way."""
    listener = plan.taker(request)
    if tell is not None:
        tell.append(_opening(listener, request.port))
    if not isinstance(listener, HostIndex):
        return unread(plan, listener, request, state, draws, tell)
    sent = request
    if request.own_headers or listener.arrival is not None:
        arrived = _arrive(listener, request, draws, tell)
        if not isinstance(arrived, Request):
            return _told(request, Decision(arrived, request))
        request = arrived
    route = chosen_route(listener, request, draws, tell)
    if request is not sent:
        request = onward(sent, request)
    if route is None:
        return _told(request, Decision(NO_ROUTE, request))
    doing = plan.doings.get(_identity(route))
    if doing is not None:
        decision = _do(plan, doing, request, state, draws, tell)
    elif isinstance(route.action, Forward):
        decision = forward(plan, Going(request, route, route.action), state, draws, tell)
    else:
        outcome = outcome_of(route, request)
        lines = own_lines(route, request, outcome)
        decision = Decision(outcome, request, route.name, route.rule, response_headers=lines, matched=route)
    return decision if decision.outcome is FORWARDED else _told(request, decision)


def _opening(taker: HostIndex | Chain | Failed | None, port: int) -> Step:
    """The first step: routes are asked, a chain takes the connection unread, nothing there does, or nobody listens."""
    if isinstance(taker, Chain):
        return ChainChosen(port, "", True, taker.name, taker.rule)
    if isinstance(taker, Failed):
        return ChainChosen(port, "", False)
    return ListenerChosen(port, taker is not None)


def _told(request: Request, decision: Decision) -> Decision:
    """The decision in the form in which the client is told of it, if it is not forwarded."""
    outcome = decision.outcome
    if isinstance(outcome, Forwarded) or outcome is PREFLIGHT or not outcome.status or not is_grpc(request):
        return decision
    lines = lines_in_grpc(decision.response_headers, outcome, head=request.method == "HEAD")
    return replace(decision, outcome=in_grpc(outcome), response_headers=lines)


def unread(
    plan: Plan, taker: Chain | Failed | None, request: Request, state: State, draws: Draws, tell: Tell | None
) -> Decision:
    """Where a connection goes that nobody reads, whatever the request in it says."""
    if isinstance(taker, Failed):
        return Decision(taker, request)
    going = passing(plan, taker, request)
    if going is None:
        return Decision(NOBODY_LISTENS, request)
    decision = forward(plan, going, state, draws, tell)
    return closed(decision) if isinstance(decision.outcome, Failed) else decision


def passing(plan: Plan, chain: Chain | None, request: Request) -> Going | None:
    """A request on its way through a chain, or where no listener is; None where nothing takes it."""
    if chain is None:
        return Going(request, None, plan.otherwise) if plan.otherwise is not None else None
    assert chain.forward is not None, "a chain that reads requests forwards nothing by itself"
    return Going(request, Route(EVERYTHING, chain.forward, chain.name, chain.rule), chain.forward)


def closed(decision: Decision) -> Decision:
    """A dead end of a connection: it is closed, and no answer is given."""
    outcome = decision.outcome
    if not isinstance(outcome, Failed):
        return decision
    return msgspec.structs.replace(decision, outcome=Failed(0, outcome.flag, outcome.details))


EVERYTHING: Final = RouteMatch()


def _do(plan: Plan, doing: Doing, request: Request, state: State, draws: Draws, tell: Tell | None) -> Decision:
    """A route that does more than to send a request to a host: what stands before it, what it changes, its copies."""
    route = doing.route
    action = route.action
    going = Going(request, route, action) if isinstance(action, Forward) else None
    chosen = None
    if going is not None:
        going, chosen = _choose(going, draws, tell)
    call = doing.call(request)
    if tell is not None and call is not NO_CALL:
        tell.append(OriginAsked(request.fields["origin"][0], bool(call.lines), call.answered))
    if call.answered:
        return Decision(PREFLIGHT, request, route.name, route.rule, response_headers=call.lines, matched=route)
    struck = strike(route.fault, draws) if route.fault is not None else NO_STRIKE
    if tell is not None and route.fault is not None:
        _tell_strike(route.fault, struck, draws, tell)
    cluster = chosen.cluster if chosen is not None and chosen.cluster in plan.targets else ""
    outcome: Outcome | None = None
    if struck.abort is not None:
        outcome = aborted(struck, request)
    elif going is None:
        outcome = outcome_of(route, request)
    elif not cluster:
        assert isinstance(action, Forward)
        outcome = not_found(action.not_found, struck.delay)
    if outcome is not None or going is None or chosen is None:
        assert outcome is not None
        lines = own_lines(route, request, outcome)
        if going is not None or struck.abort is None:  # a fault does not know the changes of routes that ask nobody
            lines = doing.said(request, outcome, chosen, cluster, struck.delay, call)
        name = chosen.cluster or None if chosen is not None else None
        return Decision(
            outcome, request, route.name, route.rule, name, response_headers=lines, delay=struck.delay, matched=route
        )
    return _send(plan, doing, going, chosen, state, draws, struck.delay, call, tell)


def _choose(going: Going, draws: Draws, tell: Tell | None) -> tuple[Going, WeightedCluster]:
    """The cluster, by whatever number chooses it, and by name."""
    action, request = going.action, going.request
    entry, number = 0, 0
    if len(action.clusters) > 1:
        number, source = drawing(action, request, draws)
        if tell is not None and source != STREAM:
            tell.append(NumberSaid(source, number))
        entry = _draw_cluster(action.clusters, number, tell)
    chosen = called(action.clusters[entry], request)
    if tell is not None and chosen.header:
        tell.append(ClusterSaid(chosen.header, chosen.cluster))
    return replace(going, drawn=number, entries=(entry,)), chosen


def _send(
    plan: Plan,
    doing: Doing,
    going: Going,
    chosen: WeightedCluster,
    state: State,
    draws: Draws,
    delay: int,
    call: Call,
    tell: Tell | None,
) -> Decision:
    """A request on its way to a cluster that there is: changed, sent, copied."""
    request, action = going.request, going.action
    sent = doing.sent(action, chosen, request, delay)
    if tell is not None:
        _tell_changes(request, sent, tell)
    found = _to_cluster(plan, replace(going, request=sent), chosen, state, draws, tell)
    if isinstance(found.outcome, Failed):
        outcome = delayed(found.outcome, delay)
        lines = doing.said(sent, outcome, chosen, chosen.cluster, delay, call)
        return replace(found, outcome=outcome, response_headers=lines, delay=delay)
    copies: list[Copy] = []
    effects = found.effects
    if action.mirrors:
        state = state.after(effects)
        for number, mirror, cluster, copied in mirrored(action, sent, draws):
            copy = _copy(plan, cluster, copied, state, Again(draws, f"mirror.{number}"))
            if tell is not None:
                draw = draws[STREAM] % mirror.portion.denominator
                tell.append(Mirrored(cluster, mirror.portion, draw, copy[0].key if copy is not None else None))
            if copy is not None:
                copies.append(Copy(cluster, copy[0], copied))
                effects += copy[1]
                state = state.after(copy[1])
    if found.endpoint is not None:
        sent = at_endpoint(action, sent, found.endpoint)
    return replace(
        found,
        request=sent,
        effects=effects,
        delay=delay,
        mirrors=tuple(copies),
        edits=doing.edits(chosen, call),
    )


def _copy(
    plan: Plan, cluster: ClusterName, copied: Request, state: State, draws: Drawn
) -> tuple[Endpoint, tuple[Effect, ...]] | None:
    """Where a copy goes, and what that leaves behind; None for nowhere. Nothing of the route counts: no key, no
    metadata."""
    target = plan.targets.get(cluster)
    if target is None or isinstance(target.cluster.policy, OriginalDestination):
        return None  # a copy has no connection, and so no address that it was going to
    alone = Forward((WeightedCluster(cluster),))
    picked = _pick(target.asked(state, alone, alone.clusters[0]), NO_KEY, state, draws, 0, None)
    return None if picked is None else (picked.pool.placed[picked.number].endpoint, picked.effects)


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
    drawn: int = 0
    entries: tuple[int, ...] = ()
    passed: Passed = NOT_PASSED


def forward(plan: Plan, going: Going, state: State, draws: Draws, tell: Tell | None) -> Decision:
    """A cluster by weight, then an endpoint by the cluster's policy."""
    clusters = going.action.clusters
    if len(clusters) == 1:
        return _to_cluster(plan, going, clusters[0], state, draws, tell)
    number = draws[STREAM]
    entry = _draw_cluster(clusters, number, tell)
    going = Going(going.request, going.route, going.action, (), number, (entry,))
    return _to_cluster(plan, going, clusters[entry], state, draws, tell)


def retry(
    plan: Plan, request: Request, before: Decision, state: State, draws: Draws, tell: Tell | None = None
) -> Decision:
    """The next try of a request that was forwarded and failed: the same route, the same cluster unless the route draws
    it anew, a new pick. Nothing is changed about the request again, and no copies are sent.

    Raises ValueError for a decision that forwarded nothing.
    """
    started = before.started
    if started is None:
        raise ValueError("only a request that was forwarded to an endpoint of a cluster can be tried again")
    route = before.matched
    action = plan.otherwise if route is None else route.action
    same = (request.method, request.port) == (before.request.method, before.request.port)
    if not isinstance(action, Forward) or not same or started.cluster not in plan.targets:
        raise ValueError(f"this request does not go to `{started.cluster}`: it is not the one that was decided")
    entry, entries = before.entries[-1] if before.entries else 0, before.entries
    refresh = action.retries is not None and action.retries.refresh_cluster and len(action.clusters) > 1
    if refresh:
        entry, entries = _draw_another(action.clusters, before, tell)
    chosen = called(action.clusters[entry], before.request)
    if not refresh:
        chosen = replace(chosen, cluster=started.cluster)
    tried = (*before.tried, started.endpoint)
    passed = before.passed
    if action.retries is not None and action.retries.other_priorities and before.endpoint is not None:
        passed = replace(passed, attempted=(*passed.attempted, before.endpoint.priority))
    going = Going(before.request, route, action, tried, before.drawn, entries, passed)
    doing = plan.doing_again(route) if route is not None else None
    if chosen.cluster in plan.targets:
        found = _to_cluster(plan, going, chosen, state, draws, tell)
    else:
        # A cluster that is drawn anew and is not there is as good as one without hosts.
        found = Decision(
            NO_HEALTHY_HOST,
            before.request,
            before.route,
            before.rule,
            chosen.cluster,
            response_headers=_UNHEALTHY_LINES,
            tried=tried,
            matched=route,
        )
    if doing is None:
        return found if found.outcome is FORWARDED else _told(request, found)
    call = Call(False, before.edits.lines)
    if isinstance(found.outcome, Failed):
        outcome = delayed(found.outcome, before.delay)
        name = chosen.cluster if chosen.cluster in plan.targets else ""  # formats do not see the name of what is gone
        lines = doing.said(found.request, outcome, chosen, name, before.delay, call, before)
        return _told(request, replace(found, outcome=outcome, response_headers=lines, delay=before.delay))
    sent = at_endpoint(action, found.request, found.endpoint) if found.endpoint is not None else found.request
    return replace(found, request=sent, delay=before.delay, edits=doing.edits(chosen, call))


def _draw_another(
    clusters: Sequence[WeightedCluster], before: Decision, tell: Tell | None
) -> tuple[int, tuple[int, ...]]:
    """One of the clusters that were not tried in this round, by the same number; then a new round begins."""
    left = [number for number in range(len(clusters)) if number not in before.entries]
    left = left or list(range(len(clusters)))
    if not any(clusters[number].weight for number in left):
        return before.entries[-1], before.entries  # those that are left get nothing, and the round never ends
    entry = left[_draw_cluster([clusters[number] for number in left], before.drawn, tell)]
    return entry, ((*before.entries, entry) if len(left) < len(clusters) else (entry,))


def _to_cluster(
    plan: Plan, going: Going, chosen: WeightedCluster, state: State, draws: Draws, tell: Tell | None
) -> Decision:
    """An endpoint of the cluster."""
    request, route, action, tried = going.request, going.route, going.action, going.tried
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    cluster = chosen.cluster
    drawn, entries, passed = going.drawn, going.entries, going.passed
    target = plan.targets.get(cluster)
    if target is None:
        return Decision(NO_CLUSTER, request, name, rule, cluster, tried=tried, matched=route)
    subset = target.cluster.subset or None
    if isinstance(target.cluster.policy, OriginalDestination):
        there = original_destination(request)
        return Decision(
            FORWARDED,
            request,
            name,
            rule,
            cluster,
            subset,
            there,
            (),
            (),
            (),
            tried,
            matched=route,
            drawn=drawn,
            entries=entries,
        )
    key = request_key(action.hash_policies, request, draws) if target.hashes else NO_KEY
    if tell is not None and target.hashes:
        _tell_key(action.hash_policies, request, key, draws, tell)
    parts = target.asked(state, action, chosen)
    if tried:
        picked, passed = _pick_again(parts, key, going, state, draws, tell)
    else:
        picked = _pick(parts, key, state, draws, 0, tell)
    if picked is None:
        end = dead_end(route)
        lines = _UNHEALTHY_LINES if route is not None else ()
        return Decision(end, request, name, rule, cluster, subset, None, (), (), lines, tried, matched=route)
    endpoint, effects = picked.pool.placed[picked.number].endpoint, picked.effects
    lines = ()
    if key.cookies:
        effects += tuple(CookieIssued(one.name, one.value) for one in key.cookies)
        lines = tuple(("set-cookie", one.line) for one in key.cookies)
    return Decision(
        FORWARDED,
        request,
        name,
        rule,
        cluster,
        subset,
        endpoint,
        effects,
        (),
        lines,
        tried,
        0,
        (),
        UNTOUCHED,
        route,
        drawn,
        entries,
        passed,
    )


_UNHEALTHY_LINES: Final[tuple[tuple[str, str], ...]] = (("content-type", "text/plain"),)
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
    parts: Iterable[Asked], key: Key, state: State, draws: Drawn, attempt: int, tell: Tell | None
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
    parts: Sequence[Asked], key: Key, going: Going, state: State, draws: Draws, tell: Tell | None
) -> tuple[Picked | None, Passed]:
    """Picks until one was not tried before, or the attempts are used up: then the last one is taken as it is. Each pick
    may pass over priorities."""
    action, passed = going.action, _Passing(going, tell)
    attempts = action.retry_hosts.attempts if action.retry_hosts is not None else 0
    rejected: tuple[Effect, ...] = ()
    for attempt in range(attempts + 1):
        named = Again(draws, str(attempt)) if attempt else draws
        picked = _pick(passed.others(parts), key, state, named, attempt, tell)
        if picked is None:
            return None, passed.now
        if picked.key not in going.tried or attempt == attempts:
            return Picked(picked.pool, picked.number, rejected + picked.effects), passed.now
        if tell is not None:
            tell.append(HostRejected(picked.key))
        # A turn that was taken is taken, even if nobody was sent there.
        turns = tuple(one for one in picked.effects if not isinstance(one, RequestStarted))
        rejected, state = rejected + turns, state.after(turns)
    raise AssertionError("the last attempt is always taken")


class _Passing:
    """The priorities that the picks of a retry pass over: what was tried is remembered from pick to pick."""

    __slots__ = ("_every", "_tell", "now")

    def __init__(self, going: Going, tell: Tell | None) -> None:
        retries = going.action.retries
        self._every: Final = retries.other_priorities if retries is not None else 0
        self._tell: Final = tell
        self.now = going.passed

    def others(self, parts: Sequence[Asked]) -> Iterable[Asked]:
        """The parts as this pick sees them. Only a part that is asked changes what is remembered."""
        return parts if self._every == 0 else map(self._other, parts)

    def _other(self, asked: Asked) -> Asked:
        self.now, view = asked.view.others(self.now, self._every)
        if view is asked.view:
            return asked
        if self._tell is not None and self.now.loads is not None:
            self._tell.append(PrioritiesPassedOver(tuple(sorted(self.now.excluded)), *self.now.loads))
        return Asked(view, asked.part)


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


def _draw_cluster(clusters: Sequence[WeightedCluster], draw: int, tell: Tell | None) -> int:
    """The number of the cluster into whose span the draw falls."""
    for number, (one, low, high, total) in enumerate(spans(clusters)):
        point = draw % total
        if point < high:
            if tell is not None:
                tell.append(ClusterDrawn(one.cluster, draw, total, point, low, high))
            return number
    raise AssertionError("a point below the total lies in no span")


def _tell_strike(fault: Fault, struck: Strike, draws: Draws, tell: Tell) -> None:
    if struck.delay and fault.delay is not None:
        tell.append(Delayed(struck.delay, draws[FAULT_DELAY], fault.delay.portion))
    if struck.abort is not None:
        tell.append(Aborted(struck.abort.status, draws[FAULT_ABORT], struck.abort.portion))


def _tell_changes(request: Request, sent: Request, tell: Tell) -> None:
    if sent.authority != request.authority:
        tell.append(AuthorityRewritten(request.authority, sent.authority))
    if sent.path != request.path:
        tell.append(PathRewritten(request.path, sent.path))
    before, after = (Counter(Lines(one.headers, SINGLE_SLOT_HEADERS).lines) for one in (request, sent))
    if before != after:
        tell.append(HeadersChanged(tuple((before - after).elements()), tuple((after - before).elements())))


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
