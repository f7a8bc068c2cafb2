"""What comes after a decision: answers, and time. Both can put endpoints aside, and time brings them back.

Source    spec/state.md STATE-3, STATE-6 to STATE-8, spec/outlier.md; envoyproxy/envoy:
          source/common/upstream/outlier_detection_impl.cc
Inputs    a Plan, the state before, and what happened: how a forwarded request ended, or how late it is by now.
Exactness nothing is changed: the answers are effects, in the order in which they happen.
Errors    ValueError for a decision that forwarded nothing, or for time that would run backwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshroute.balance import Target, outlier
from meshroute.decide import Plan
from meshroute.decision import Decision
from meshroute.draws import Draws
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import (
    Effect,
    Ejected,
    Recorded,
    Refreshed,
    Returned,
    State,
    Ticked,
    TimePassed,
)
from meshroute.table import OutlierDetection


def watches(plan: Plan, decision: Decision) -> bool:
    """Whether outlier detection looks at how the request of this decision ends."""
    if not plan.watched:
        return False
    started = decision.started
    return started is not None and started.cluster in plan.watched


def answered(plan: Plan, decision: Decision, what: outlier.Outcome, state: State, draws: Draws) -> tuple[Effect, ...]:
    """The end of a forwarded request: it is no longer active, and its endpoint may be put aside for it."""
    started = decision.started
    if started is None:
        raise ValueError("only a request that was forwarded to an endpoint of a cluster can be answered")
    if not watches(plan, decision):
        return decision.finished()
    target = plan.targets[started.cluster]
    assert target.cluster.outliers is not None
    records = state.records.get(started.cluster, {})
    keys = _keys(target)
    verdict = outlier.served(
        target.cluster.outliers, keys, records, started.endpoint, what, state.now, draws.__getitem__
    )
    return (*decision.finished(), *_effects(target, verdict))


def elapsed(plan: Plan, state: State, now: int, draws: Draws) -> tuple[Effect, ...]:
    """Time until `now`, in milliseconds since the proxy started, with every tick of outlier detection on the way."""
    if now < state.now:
        raise ValueError(f"it is {state.now} already, and {now} is before that")
    ticks: list[tuple[int, ClusterName, tuple[Effect, ...]]] = []
    ends: list[Effect] = []
    for name, target in plan.targets.items():
        if (config := target.cluster.outliers) is not None:
            ticks.extend((at, name, effects) for at, effects in _ticks(target, config, state, now, draws))
            ends.append(Ticked(name, _last_tick(config, state.ticked.get(name, 0), now)))
    happened: list[Effect] = []
    for at, _, effects in sorted(ticks, key=lambda one: one[0]):
        happened.extend((TimePassed(at), *effects))
    return (*happened, TimePassed(now), *ends)


def _last_tick(config: OutlierDetection, ticked_at: int, now: int) -> int:
    every = outlier.due(config, ticked_at, now)
    return every[-1] if every else ticked_at


def _ticks(
    target: Target, config: OutlierDetection, state: State, now: int, draws: Draws
) -> Iterator[tuple[int, tuple[Effect, ...]]]:
    name = target.cluster.name
    records, ticked_at = state.records.get(name, {}), state.ticked.get(name, 0)
    passed = outlier.elapsed(config, _keys(target), records, ticked_at, now, draws.__getitem__)
    for at, verdict in passed.ticks:
        yield at, _effects(target, verdict)


def _keys(target: Target) -> Sequence[EndpointKey]:
    return [one.key for one in target.placed]


def _effects(target: Target, verdict: outlier.Verdict) -> tuple[Effect, ...]:
    """A verdict as effects: records, who is out, who is back, and the priorities that this changes."""
    name = target.cluster.name
    moved = {*verdict.ejected, *verdict.returned}
    priorities = sorted({one.endpoint.priority for one in target.placed if one.key in moved})
    return (
        *(Recorded(name, endpoint, record) for endpoint, record in verdict.records.items()),
        *(Returned(name, endpoint) for endpoint in verdict.returned),
        *(Ejected(name, endpoint) for endpoint in verdict.ejected),
        *(Refreshed(name, priority) for priority in priorities),
    )
