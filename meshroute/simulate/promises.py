"""Promises: what a formula says beside what was measured.

Source    meshroute.simulate.imbalance for connections; meshroute.simulate.promised for shares of requests; `moved` for
          keys; meshroute.simulate.unsettled for outlier detection and newcomers
Inputs    a run, and the results of all its repeats.
Exactness what is promised is exact where it is a fraction. What is measured is a mean over repeats.
Errors    none. Where a formula does not apply, nothing is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import sqrt
from typing import Final

from meshroute.analysis.moved import MovedError, find_cluster, moved
from meshroute.simulate import imbalance
from meshroute.simulate.chance import mean
from meshroute.simulate.model import SECOND, Scenario, Through
from meshroute.simulate.promised import (
    Promise,
    Sent,
    average,
    by_chance,
    each_rate,
    everybody_of,
    follows,
    grouped,
    in_turns,
    only_cluster,
    promised_shares,
    rule_of,
    seen_pods,
    share_of,
    shares_through,
    steps_of,
)
from meshroute.simulate.saving import Seen
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Result
from meshroute.simulate.unsettled import failover, outliers, warm_up

BUSIEST: Final = "share of the busiest pod"
EVERYTHING: Final = "chance that one pod gets everything"
LOOKS: Final = "failover"
"""What has to look at proxies while they run."""


def promises(story: Story, run: Run, results: Sequence[Result], seen: Sequence[Seen] = ()) -> tuple[Promise, ...]:
    """Everything that the story shows of this run. `seen` is whom proxies had put aside when each bucket began."""
    found: list[Promise] = []
    for word in story.shows:
        if word == LOOKS:
            found += failover(story, run, results, seen)
        else:
            found += _MEASURES[word](story, run, results)
    return tuple(found)


def _kept(scenario: Scenario) -> bool:
    """Whether each client keeps one connection for ever, and nothing changes."""
    return not scenario.changes and all(
        not one.keep_alive.requests and not one.keep_alive.lifetime and one.connections == 1 for one in scenario.clients
    )


# Shares of pods, or of groups of them


def _shares(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    promised = promised_shares(run)
    return [
        Promise(
            f"share of {name}",
            promised.formula,
            promised.of(pods),
            average([share_of(result, pods) for result in results]),
        )
        for name, pods in grouped(story, seen_pods(results)).items()
    ]


def _phases(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Shares between one change of tables and the next. Rows that a change divides belong to neither side."""
    scenario, found, rows = run.scenario, list[Promise](), Sent(results)
    for begin, end, table in steps_of(scenario):
        found += rows.share(story, shares_through(scenario, table) if follows(scenario) else None, [(begin, end)])
    return found


# Connections that live for ever


def _imbalance(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    scenario, pods = run.scenario, len(run.pods)
    rates = [one for one in each_rate(scenario) if one]
    applies = by_chance(scenario, pods) and _kept(scenario) and bool(rates)
    n = len(rates)

    def told(what: str, formula: str, value: Callable[[], float | Fraction | None], measured: float | None) -> Promise:
        promised = value() if applies else None
        return Promise(what, formula, None if promised is None else float(promised), measured)

    shares = [[share_of(result, {one}) for one in run.pods] for result in results]
    square = average([(share - 1 / pods) ** 2 for some in shares for share in some])
    spread = None if square is None else sqrt(square)
    empty = [sum(not share for share in some) for some in shares]
    return [
        told("standard deviation of a pod's share", "√(H(m−1))/m", lambda: imbalance.deviation(rates, pods), spread),
        told(
            "coefficient of variation",
            "√(H(m−1))",
            lambda: imbalance.variation(rates, pods),
            None if spread is None else spread * pods,
        ),
        told(BUSIEST, "all placements", lambda: imbalance.largest(rates, pods), _busiest(shares)),
        told("pods without any request", "m(1−1/m)ⁿ", lambda: imbalance.idle(n, pods), average(empty)),
        told(
            "chance that some pod is idle",
            "1 − Σ(−1)ᵏC(m,k)(1−k/m)ⁿ",
            lambda: 1 - imbalance.all_used(n, pods),
            average([one > 0 for one in empty]),
        ),
        told(
            EVERYTHING,
            "m^(1−n)",
            lambda: imbalance.all_on_one(n, pods),
            average([one == pods - 1 for one in empty]),
        ),
    ]


def _busiest(shares: Sequence[Sequence[float]]) -> float | None:
    return average([max(some) for some in shares])


# Turns


def _evenness(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    worst = max(
        (max(counts) - min(counts) for result in results if (counts := [one.requests for one in result.totals])),
        default=None,
    )
    workers = {one.proxy or name: one.workers for one in run.scenario.clients for name in one.names}
    cluster = only_cluster(run.scenario, run.scenario.target)
    steady = cluster is not None and cluster.outliers is None and not run.scenario.changes
    return [
        Promise(
            "requests between the busiest and the idlest pod",
            f"at most 1 for each {'proxy' if set(workers.values()) == {1} else 'worker'}",
            float(sum(workers.values()))
            if steady and cluster is not None and in_turns(run.scenario, cluster)
            else None,
            None if worst is None else float(worst),
        )
    ]


def _idle(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """The chance that a group gets nothing at all."""
    scenario, pods = run.scenario, len(run.pods)
    n = len([one for one in each_rate(scenario) if one])
    applies = by_chance(scenario, pods) and _kept(scenario)
    found = []
    for name, some in grouped(story, seen_pods(results)).items():
        promised = float((1 - Fraction(len(some), pods)) ** n) if applies else None
        measured = average([not share_of(result, some) for result in results])
        found.append(Promise(f"chance that {name} gets nothing", "(1−p)ⁿ for n connections", promised, measured))
    return found


# Keys


def _moved(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Of a story with one change of pods, or none: the share of keys that move, beside that of users who did."""
    scenario, total = run.scenario, Fraction(0)
    changes = [one for one in scenario.changes if isinstance(one.target, Through)]
    formula, promised = "meshroute moved", None
    if len(changes) < 2 and isinstance(scenario.target, Through):
        after = changes[0].target if changes else scenario.target
        assert isinstance(after, Through)
        try:
            before, later = (find_cluster(one.router, run.service, run.port) for one in (scenario.target, after))
            total = moved(before, later, locality=scenario.target.router.table.locality).total
            promised = float(total)
        except MovedError:
            formula = "no keys to move"
    users = sum(one.users or one.count for one in scenario.clients)
    counted = [sum(one.moved for one in result.totals) / users for result in results]
    return [Promise("moves for each user", formula, promised, average(counted))]


# Load


def _load(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Little's law: requests at a pod are its rate times the time of one."""
    promised = promised_shares(run)
    rate = float(sum(each_rate(run.scenario), Fraction(0)))
    plain = not run.scenario.changes and not any(one.limit for one in run.scenario.serving)
    everybody, found = everybody_of(run.scenario), list[Promise]()
    for name, pods in grouped(story, seen_pods(results)).items():
        levels = []
        for one in sorted(pods) if plain else ():
            share = promised.of({one})
            time = mean(rule_of(run.scenario.serving, one, everybody).time)
            levels.append(None if share is None else rate * share * time / SECOND)
        known = [one for one in levels if one is not None]
        measured = [sum(one.concurrency for one in result.totals if one.pod in pods) for result in results]
        level = sum(known) if known and len(known) == len(levels) else None
        found.append(Promise(f"requests at once on {name}", "λ·share·W", level, average(measured)))
    return found


_Measure = Callable[[Story, Run, Sequence[Result]], list[Promise]]
_MEASURES: Final[Mapping[str, _Measure]] = {
    "shares": _shares,
    "phases": _phases,
    "warm-up": warm_up,
    "outliers": outliers,
    "imbalance": _imbalance,
    "evenness": _evenness,
    "idle": _idle,
    "moved": _moved,
    "load": _load,
}
