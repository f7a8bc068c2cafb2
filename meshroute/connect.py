"""connect: one connection, one decision, by nothing but who connects where.

Source    spec/connect.md CONNECT-1 to CONNECT-4; envoyproxy/envoy: source/common/tcp_proxy/tcp_proxy.cc
Inputs    a Plan, a connection, the state before it, and the draws that a proxy would make.
Exactness as `decide`, whose second half this is: a cluster by weight, an endpoint by the cluster's policy. Only the
          client's address can be a key.
Errors    ValueError where a listener reads requests, and for what is not TCP. A dead end is an outcome with status 0:
          the connection is closed.
"""

from __future__ import annotations

from meshroute.connection import Connected, Connection
from meshroute.decide import Plan, Tell, unread
from meshroute.decision import Failed
from meshroute.draws import Draws
from meshroute.match.listeners import Reading
from meshroute.request import Request
from meshroute.state import State
from meshroute.table import Chain
from meshroute.trace import ChainChosen, ListenerChosen


def connect(plan: Plan, connection: Connection, state: State, draws: Draws, tell: Tell | None = None) -> Connected:
    """Where the connection goes. Raises ValueError where the listener reads requests: ask `decide` about those."""
    if connection.protocol != "TCP":
        raise ValueError(f"proxies take TCP, and this is {connection.protocol}: ask the Service, not the proxy")
    door = plan.doors.find(connection.port, connection.destination_ip, connection.host)
    if tell is not None and door is None:
        tell.append(ListenerChosen(connection.port, known=False))
    chain: Chain | Failed | None = None
    if door is not None:
        taker = door.taker(connection.destination_ip or door.listener.address, connection.server_name)
        if isinstance(taker, Reading):
            raise ValueError(f"port {connection.port} reads requests: decide about a request, not about a connection")
        chain = taker if taker is not None else plan.left(door)
        if tell is not None:
            name, rule = (taker.name, taker.rule) if taker is not None else ("", None)
            tell.append(ChainChosen(connection.port, door.listener.address, taker is not None, name, rule))
    decision = unread(plan, chain, _as_request(connection), state, draws, tell)
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
