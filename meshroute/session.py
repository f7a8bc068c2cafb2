"""Session: `decide` folded in place, for loops.

Source    spec/state.md STATE-4
Inputs    a router and a seed. Each decision draws as `Draws.of(seed, ordinal)`, ordinals counting from 0.
Exactness the same decisions and the same state as folding `decide` and `State.after` by hand, by property.
Errors    StateError for finishing what was never started, or finishing it twice.
"""

from __future__ import annotations

from typing import Final

from meshroute.decision import Decision
from meshroute.draws import Draws
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.router import Router
from meshroute.state import State, apply


class Session:
    """A history of requests through one router. Not a value: it changes with each decision."""

    __slots__ = ("_active", "_cursors", "_live", "ordinal", "router", "seed")

    def __init__(self, router: Router, seed: int = 0, state: State | None = None, ordinal: int = 0) -> None:
        self.router: Final = router
        self.seed: Final = Draws.of(seed, ordinal).seed
        self.ordinal = ordinal
        start = state if state is not None else State()
        self._cursors: Final = dict(start.cursors)
        self._active: Final[dict[ClusterName, dict[EndpointKey, int]]] = {
            cluster: dict(counts) for cluster, counts in start.active.items()
        }
        # A State over the very maps that this session changes; nobody else ever sees it.
        self._live: Final = State(self._cursors, self._active, dict(start.starts))

    @property
    def state(self) -> State:
        """The state after everything so far, as a value of its own."""
        return self._live.after(())

    def decide(self, request: Request) -> Decision:
        """The next decision; the request counts as sent."""
        decision = self.router.decide(request, self._live, Draws(self.seed, self.ordinal))
        self.ordinal += 1
        for effect in decision.effects:
            apply(effect, self._cursors, self._active)
        return decision

    def finish(self, decision: Decision, status: int = 200, seconds: float = 0.0) -> None:
        """The request of this decision has ended, with the upstream's status, after so many seconds.

        No policy goes by status and seconds yet: outlier detection will, and callers need not change for it.
        """
        for effect in decision.finished():
            apply(effect, self._cursors, self._active)
