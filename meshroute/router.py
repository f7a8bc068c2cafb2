"""Router: a routing table with its index and its pickers, ready to be asked.

Source    spec/decide.md
Inputs    a RoutingTable, from a mesh, from JSON, or built by hand.
Errors    TableError or Re2SyntaxError when it is made of a table that a proxy would refuse; deciding never raises.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from meshroute.balance.outlier import Event
from meshroute.connect import connect
from meshroute.connection import Connected, Connection
from meshroute.decide import Plan, decide, retry
from meshroute.decision import Decision
from meshroute.draws import Draws
from meshroute.history import answered, elapsed, watches
from meshroute.request import Request
from meshroute.shares import Horizon, Shares, shares
from meshroute.state import Effect, State
from meshroute.table import RoutingTable
from meshroute.trace import Step
from meshroute.tries import Failure, Reply, Verdict, verdict

_FRESH: Final = State()
_FIRST: Final = Draws()


class Router:
    """One data plane's answers. It never changes: the same question has the same answer."""

    __slots__ = ("_plan", "table")

    def __init__(self, table: RoutingTable) -> None:
        self.table: Final = table
        self._plan: Final = Plan(table)

    def decide(self, request: Request, state: State = _FRESH, draws: Draws = _FIRST) -> Decision:
        """Where the request goes, given what was before and what is drawn. See `Decision`."""
        return decide(self._plan, request, state, draws)

    def retry(
        self,
        request: Request,
        before: Decision,
        state: State = _FRESH,
        draws: Draws | None = None,
        *,
        explain: bool = False,
    ) -> Decision:
        """The next try of a request that was forwarded by `before` and failed: the same cluster, a new pick.

        With `Retries.refresh_cluster`, one of the clusters that were not tried yet, by the same number. Where the route
        says so (`Forward.retry_hosts`), hosts that were tried before are passed over. The draws must be others than
        before; unless given, they are those of the ordinal that counts the tries. Raises ValueError for a decision that
        forwarded nothing.
        """
        steps: list[Step] | None = [] if explain else None
        fresh = draws if draws is not None else Draws(ordinal=len(before.tried) + 1)
        decision = retry(self._plan, request, before, state, fresh, steps)
        return replace(decision, trace=tuple(steps)) if steps else decision

    def retries(self, decision: Decision, what: int | Reply | Failure) -> bool:
        """Whether the proxy tries again after this end of this try: the upstream's status, its reply, or a failure."""
        return verdict(decision, what) is Verdict.AGAIN

    def answered(
        self, decision: Decision, what: int | Event = 200, state: State = _FRESH, draws: Draws = _FIRST
    ) -> tuple[Effect, ...]:
        """The effects of a forwarded request's end: `what` is the upstream's status, or an `Event` where there is none.

        Raises ValueError for a decision that forwarded nothing.
        """
        return answered(self._plan, decision, what, state, draws)

    def watches(self, decision: Decision) -> bool:
        """Whether outlier detection looks at how the request of this decision ends."""
        return watches(self._plan, decision)

    def elapsed(self, now: int, state: State = _FRESH, draws: Draws = _FIRST) -> tuple[Effect, ...]:
        """The effects of time until `now`, in milliseconds since the proxy started: endpoints that were put aside come
        back. Raises ValueError where it is later already."""
        return elapsed(self._plan, state, now, draws)

    def shares(self, request: Request, state: State = _FRESH, *, horizon: Horizon = "next") -> Shares:
        """The exact probability of everything that can become of the request, as fractions. See `Shares`.

        `horizon="next"` is the next request in this state; `"long-run"` is many requests, where a policy that takes
        turns takes all of them. Least request is answered for the requests in flight that the state has, in both.
        """
        return shares(self._plan, request, state, horizon)

    def connect(
        self, connection: Connection, state: State = _FRESH, draws: Draws = _FIRST, *, explain: bool = False
    ) -> Connected:
        """Where a connection goes that nobody reads: TCP, or TLS that passes through. See `Connected`.

        With `explain`, every step that leads there is in `trace`. Raises ValueError where the proxy reads what comes:
        ask `decide` about a request.
        """
        steps: list[Step] | None = [] if explain else None
        connected = connect(self._plan, connection, state, draws, steps)
        return replace(connected, trace=tuple(steps)) if steps else connected

    def explain(self, request: Request, state: State = _FRESH, draws: Draws = _FIRST) -> Decision:
        """The same decision, with every step that led to it in `trace`."""
        steps: list[Step] = []
        return replace(decide(self._plan, request, state, draws, steps), trace=tuple(steps))
