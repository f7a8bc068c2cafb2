"""State: what a data plane remembers between requests, and the effects that change it.

Source    spec/state.md STATE-1 to STATE-4
Inputs    effects, from decisions and from the caller who knows when a request ends.
Exactness `after` returns the next state and leaves this one as it is. Counts never go below 0.
Errors    StateError for an end without a beginning: the caller has mixed up its histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, assert_never

import msgspec

from meshroute.names import ClusterName, EndpointKey


class StateError(ValueError):
    """An effect that cannot follow this state."""


class CursorMoved(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Round robin took its next turn in this cluster."""

    cluster: ClusterName


class Refreshed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The cluster's endpoints or their weights have changed. Weighted turns begin anew, from the same start; plain
    turns go on.

    The caller says so, who knows which tables followed each other.
    """

    cluster: ClusterName


class RequestStarted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One more request is active on the endpoint."""

    cluster: ClusterName
    endpoint: EndpointKey


class RequestFinished(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One request less is active on the endpoint."""

    cluster: ClusterName
    endpoint: EndpointKey


Effect: TypeAlias = CursorMoved | Refreshed | RequestStarted | RequestFinished

Cursors: TypeAlias = dict[ClusterName, int]
Active: TypeAlias = dict[ClusterName, dict[EndpointKey, int]]
_NONE: Mapping[EndpointKey, int] = {}


class State(msgspec.Struct, frozen=True):
    """A value: never changed, compared by content, written as JSON by msgspec.

    `cursors` counts the turns that round robin took in each cluster; `starts` has the number that each cluster's
    balancer drew when it was made, 0 where none is given (a real proxy draws one, and nobody can see it from outside);
    `active` counts the requests in flight by cluster and endpoint, no entry for 0.
    """

    cursors: Mapping[ClusterName, int] = {}
    active: Mapping[ClusterName, Mapping[EndpointKey, int]] = {}
    starts: Mapping[ClusterName, int] = {}

    def active_on(self, cluster: ClusterName) -> Mapping[EndpointKey, int]:
        """Requests in flight by endpoint of a cluster; no entry for an idle one."""
        return self.active.get(cluster, _NONE)

    def after(self, effects: Iterable[Effect]) -> State:
        """The state once these effects have happened, in order. Raises StateError."""
        cursors: Cursors = dict(self.cursors)
        active: Active = {cluster: dict(counts) for cluster, counts in self.active.items()}
        for effect in effects:
            apply(effect, cursors, active)
        return State(cursors, active, self.starts)


def apply(effect: Effect, cursors: Cursors, active: Active) -> None:
    """Let one effect happen in place. The one definition that `State.after` and `Session` share."""
    match effect:
        case CursorMoved(cluster):
            cursors[cluster] = cursors.get(cluster, 0) + 1
        case Refreshed(cluster):
            cursors.pop(cluster, None)
        case RequestStarted(cluster, endpoint):
            counts = active.setdefault(cluster, {})
            counts[endpoint] = counts.get(endpoint, 0) + 1
        case RequestFinished(cluster, endpoint):
            counts = active.get(cluster, {})
            left = counts.get(endpoint, 0) - 1
            if left < 0:
                raise StateError(f"no request is active on {endpoint} of cluster {cluster}")
            if left:
                counts[endpoint] = left
            else:
                del counts[endpoint]
                if not counts:
                    del active[cluster]
        case _:
            assert_never(effect)
