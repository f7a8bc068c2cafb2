"""connect: one connection, one decision, by nothing but who connects where.

Source    spec/connect.md CONNECT-1 to CONNECT-5; envoyproxy/envoy: source/common/tcp_proxy/tcp_proxy.cc
Inputs    a Plan, a connection, the state before it, and the draws that a proxy would make.
Exactness as `decide`, whose second half this is: a cluster by weight, an endpoint by the cluster's policy. Only the
          client's address can be a key.
Errors    none. A dead end is an outcome with status 0: the connection is closed.
"""

from __future__ import annotations

from typing import Final

from meshroute.connection import Connected, Connection
from meshroute.decide import Going, Plan, Tell, forward
from meshroute.decision import CLOSED, NO_ROUTE, Decision, Failed
from meshroute.draws import Draws
from meshroute.match.listeners import Reading
from meshroute.request import Request
from meshroute.state import State
from meshroute.table import Chain, Route, RouteMatch
from meshroute.trace import ListenerChosen

_EVERYTHING: Final = RouteMatch()


def connect(plan: Plan, connection: Connection, state: State, draws: Draws, tell: Tell | None = None) -> Connected:
    """Where the connection goes. Raises ValueError where a listener reads requests: ask `decide` about those."""
    door = plan.doors.find(connection.port, connection.destination_ip, connection.host)
    if tell is not None:
        tell.append(ListenerChosen(connection.port, door is not None))
    if door is None:
        if plan.otherwise is None:
            return Connected(closed(NO_ROUTE), connection)
        return _connected(plan, Chain(plan.otherwise), connection, state, draws, tell)
    taker = door.taker(connection.destination_ip, connection.server_name)
    if taker is None:
        return Connected(closed(NO_ROUTE), connection)
    if isinstance(taker, Reading):
        raise ValueError(f"port {connection.port} reads requests: decide about a request, not about a connection")
    return _connected(plan, taker, connection, state, draws, tell)


def _connected(
    plan: Plan, chain: Chain, connection: Connection, state: State, draws: Draws, tell: Tell | None
) -> Connected:
    decision = through(plan, chain, _as_request(connection), state, draws, tell)
    return Connected(
        decision.outcome,
        connection,
        decision.route,
        decision.rule,
        decision.cluster,
        decision.subset,
        decision.endpoint,
        decision.effects,
    )


def through(plan: Plan, chain: Chain, request: Request, state: State, draws: Draws, tell: Tell | None) -> Decision:
    """The decision for a request that is in a connection which nobody reads."""
    assert chain.forward is not None, "a chain that reads requests forwards nothing by itself"
    route = Route(_EVERYTHING, chain.forward, chain.name, chain.rule)
    decision = forward(plan, Going(request, route, chain.forward), state, draws, tell)
    if isinstance(decision.outcome, Failed):
        return Decision(
            closed(decision.outcome), request, decision.route, decision.rule, decision.cluster, decision.subset
        )
    return decision


def closed(why: Failed) -> Failed:
    """A dead end of a connection: it is closed, and no answer is given."""
    return CLOSED if why.flag == CLOSED.flag else Failed(0, why.flag, why.details)


def _as_request(connection: Connection) -> Request:
    """What stands for the connection where only its ends are asked for."""
    return Request(
        "GET",
        "connection",
        "/",
        port=connection.port,
        source_ip=connection.source_ip,
        destination_ip=connection.destination_ip,
        source_port=connection.source_port,
    )
