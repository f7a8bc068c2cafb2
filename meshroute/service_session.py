"""ServiceSession: the connections of one node to a Service, folded in place, for loops.

Source    spec/state.md STATE-4
Inputs    a ServiceProxy and a seed. Each connection draws as `Draws.of(seed, ordinal)`, ordinals counting from 0; dials
          that follow a failed one draw nothing.
Exactness the same connections and the same state as folding `connect` and `State.after` by hand, by property.
Errors    StateError for the end of what never began, or ends twice, and for time that runs backwards; ValueError for
          following what another node or kube-proxy serves, and as `ServiceProxy` has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshroute.connection import Connected, Connection
from meshroute.draws import Draws
from meshroute.service_proxy import ServiceProxy
from meshroute.state import Effect, Ledger, State, TimePassed


class ServiceSession:
    """A history of connections to one Service on one node. Not a value: it changes with each connection."""

    __slots__ = ("_ledger", "_service", "ordinal", "seed")

    def __init__(self, service: ServiceProxy, seed: int = 0, state: State | None = None, ordinal: int = 0) -> None:
        self._service = service
        self.seed: Final = Draws.of(seed, ordinal).seed
        self.ordinal = ordinal
        self._ledger: Final = Ledger(state if state is not None else State())

    @property
    def service(self) -> ServiceProxy:
        """The Service as it is now: what was followed last."""
        return self._service

    @property
    def state(self) -> State:
        """The state after everything so far, as a value of its own."""
        return self._ledger.state()

    @property
    def now(self) -> int:
        """How late it is, in milliseconds since the node started."""
        return self._ledger.live.now

    def connect(self, connection: Connection) -> Connected:
        """The next connection; it counts as open until it is closed. Raises ValueError as `ServiceProxy.connect`."""
        connected = self._service.connect(connection, self._ledger.live, Draws(self.seed, self.ordinal))
        self.ordinal += 1
        self.apply(connected.effects)
        return connected

    def redial(self, before: Connected) -> Connected:
        """The dial that follows the failed one of `before`, in mode userspace; that one counts as closed. Raises
        ValueError as `ServiceProxy.redial`."""
        ends = before.finished()
        connected = self._service.redial(before, self._ledger.live.after(ends))
        self.apply((*ends, *connected.effects))
        return connected

    def close(self, connected: Connected) -> None:
        """The connection has ended, and nothing remains of it."""
        self.apply(connected.finished())

    def closing(self, connected: Connected) -> None:
        """The connection is closed where IPVS knows it for a while yet: until `forgotten`."""
        self.apply(connected.closing())

    def forgotten(self, connected: Connected) -> None:
        """The connection is forgotten after `closing`."""
        self.apply(connected.forgotten())

    def advance(self, now: int) -> None:
        """It is `now`, in milliseconds since the node started. Raises StateError where it is later already."""
        self.apply([TimePassed(now)])

    def follow(self, service: ServiceProxy) -> None:
        """The same Service with other endpoints or settings is put in place; connections that are open stay.

        Raises ValueError for another Service or node, or another mode or scheduler of kube-proxy: their state is not
        this one.
        """
        before = self._service
        for what, was, now in (
            ("Service", before.front.name, service.front.name),
            ("node", before.node, service.node),
            ("kube-proxy", str(before.kube_proxy), str(service.kube_proxy)),
        ):
            if was != now:
                raise ValueError(f"a session over {what} `{was}` cannot follow {what} `{now}`")
        self.apply(service.synced(before, self._ledger.live))
        self._service = service

    def apply(self, effects: Iterable[Effect]) -> None:
        """Let these happen. Raises StateError."""
        for effect in effects:
            self._ledger.apply(effect)
