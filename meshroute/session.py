"""Session: `decide` folded in place, for loops.

Source    spec/state.md STATE-4
Inputs    a router and a seed. Each decision draws as `Draws.of(seed, ordinal)`, ordinals counting from 0; so does each
          answer that outlier detection watches.
Exactness the same decisions and the same state as folding `decide` and `State.after` by hand, by property.
Errors    StateError for finishing what was never started, or finishing it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from meshroute.balance.outlier import Event
from meshroute.connection import Connected, Connection
from meshroute.decision import Decision, Failed, Forwarded
from meshroute.draws import Draws
from meshroute.match.predicate import is_grpc
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.router import Router
from meshroute.state import Effect, Ledger, State
from meshroute.table import Forward
from meshroute.tries import MEANINGS, Failure, Reply, Verdict, longest_wait, verdict


class Exchange(msgspec.Struct, frozen=True):
    """What a client gets in the end: a status (0: a closed connection), response flags with commas between them, header
    lines, and the tries that led to it.

    `waits` has, for each retry, the time in milliseconds that the proxy waits for less than; a failure that the proxy
    itself answers for has no `headers` here.
    """

    status: int
    flags: str
    headers: tuple[tuple[str, str], ...]
    tries: tuple[Decision, ...]
    waits: tuple[int, ...]


class Session:
    """A history of requests through one router. Not a value: it changes with each decision."""

    __slots__ = ("_ledger", "ordinal", "router", "seed")

    def __init__(self, router: Router, seed: int = 0, state: State | None = None, ordinal: int = 0) -> None:
        self.router: Final = router
        self.seed: Final = Draws.of(seed, ordinal).seed
        self.ordinal = ordinal
        self._ledger = Ledger(state if state is not None else State())

    @classmethod
    def workers(cls, router: Router, workers: Iterable[tuple[int, State | None, int]]) -> tuple[Session, ...]:
        """The workers of one proxy, each by its seed, state and ordinal (STATE-10): each takes turns and draws of its
        own; they count requests and failures together, as the first state has them, and time passes for all."""
        every = tuple(cls(router, *one) for one in workers)
        if len(every) > 1:
            for one, ledger in zip(every, Ledger.workers(one.state for one in every), strict=True):
                one._ledger = ledger
        return every

    @property
    def state(self) -> State:
        """The state after everything so far, as a value of its own."""
        return self._ledger.state()

    @property
    def now(self) -> int:
        """How late it is, in milliseconds since the proxy started."""
        return self._ledger.live.now

    @property
    def ejected(self) -> dict[ClusterName, tuple[EndpointKey, ...]]:
        """Whom outlier detection has put aside, by cluster; `state` has this too, and takes longer to say."""
        return dict(self._ledger.live.ejected)

    def decide(self, request: Request) -> Decision:
        """The next decision; the request counts as sent."""
        ledger = self._ledger
        decision = self.router.decide(request, ledger.live, self._draws())
        for effect in decision.effects:
            ledger.apply(effect)
        return decision

    def connect(self, connection: Connection) -> Connected:
        """The next connection; it counts as open until its `finished` effects are applied."""
        connected = self.router.connect(connection, self._ledger.live, self._draws())
        self.apply(connected.effects)
        return connected

    def retry(self, request: Request, before: Decision) -> Decision:
        """The next try of a request of which `before` was the last, finished one; it counts as sent."""
        decision = self.router.retry(request, before, self._ledger.live, self._draws())
        self.apply(decision.effects)
        return decision

    def finish(self, decision: Decision, status: int | Event = 200, seconds: float = 0.0) -> None:
        """The request of this decision has ended, with the upstream's status or an `Event`, after so many seconds.

        No policy goes by the seconds yet. Time passes by `advance` alone.
        """
        if self.router.watches(decision):  # and may draw: whether a verdict is carried out
            self.apply(self.router.answered(decision, status, self._ledger.live, self._draws()))
        else:
            self.apply(decision.finished())

    def send(self, request: Request, upstream: Callable[[Decision], int | Reply | Failure]) -> Exchange:
        """A request with all its tries, each answered by `upstream`, as the proxy makes them; all of them are finished.

        `upstream` is asked with the decision of each try, and answers with a status, a reply or a failure.
        """
        decision = self.decide(request)
        tries, waits = [decision], list[int]()
        while isinstance(decision.outcome, Forwarded):
            what = upstream(decision)
            failed = MEANINGS[what] if isinstance(what, Failure) else None
            reply = what if isinstance(what, Reply) else Reply(what) if isinstance(what, int) else None
            self.finish(decision, failed.event if failed is not None else reply.status if reply is not None else 200)
            comes = verdict(decision, what) if decision.started is not None else Verdict.DONE
            if comes is Verdict.AGAIN:
                action = decision.action
                assert isinstance(action, Forward)
                assert action.retries is not None
                waits.append(longest_wait(action.retries, len(tries)))
                decision = self.retry(request, decision)
                tries.append(decision)
                continue
            said = [
                "DI" if decision.delay else "",
                "URX" if comes is Verdict.SPENT else "",
                failed.flag if failed is not None else "",
            ]
            flags = ",".join(filter(None, said))
            if failed is not None:
                status = 200 if is_grpc(request) else failed.status
                return Exchange(status, flags, (), tuple(tries), tuple(waits))
            assert reply is not None
            lines = decision.answer(reply.headers, reply.status, flags)
            return Exchange(reply.status, flags, lines, tuple(tries), tuple(waits))
        outcome = decision.outcome
        flags = outcome.flag if isinstance(outcome, Failed) else "DI" if decision.delay else ""
        return Exchange(outcome.status, flags, decision.response_headers, tuple(tries), tuple(waits))

    def advance(self, now: int) -> None:
        """It is `now`, in milliseconds since the proxy started. Raises ValueError where it is later already."""
        self.apply(self.router.elapsed(now, self._ledger.live, Draws(self.seed, self.ordinal)))

    def apply(self, effects: Iterable[Effect]) -> None:
        """Let these happen: time that passes, endpoints that come. Raises StateError."""
        for effect in effects:
            self._ledger.apply(effect)

    def _draws(self) -> Draws:
        draws = Draws(self.seed, self.ordinal)
        self.ordinal += 1
        return draws
