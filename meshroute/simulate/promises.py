"""Promises: what a formula says beside what was measured.

Source    meshroute.simulate.imbalance for connections; `Router.shares` for requests; `moved` for keys
Inputs    a run, and the results of all its repeats.
Exactness what is promised is exact where it is a fraction. What is measured is a mean over repeats.
Errors    none. Where a formula does not apply, nothing is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from math import sqrt
from typing import Final

import msgspec

from meshroute.analysis.moved import MovedError, find_cluster, moved
from meshroute.balance.bounded import InexactError
from meshroute.connection import Connection
from meshroute.request import Request
from meshroute.simulate import imbalance
from meshroute.simulate.chance import mean
from meshroute.simulate.connections import ByKubeProxy
from meshroute.simulate.loop import fits_pod
from meshroute.simulate.model import SECOND, Scenario, Straight, Target, Through, exactly
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Result
from meshroute.table import LeastRequest

BUSIEST: Final = "share of the busiest pod"
EVERYTHING: Final = "chance that one pod gets everything"


class Promise(msgspec.Struct, frozen=True):
    """One line: what is looked at, the formula and its value, and the value of the simulation."""

    what: str
    formula: str
    promised: float | None
    measured: float | None


def promises(story: Story, run: Run, results: Sequence[Result]) -> tuple[Promise, ...]:
    """Everything that the story shows of this run."""
    found: list[Promise] = []
    for word in story.shows:
        found += _MEASURES[word](story, run, results)
    return tuple(found)


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share_of(result: Result, pods: set[str]) -> float:
    total = sum(one.requests for one in result.totals)
    return sum(one.requests for one in result.totals if one.pod in pods) / total if total else 0.0


def _each(scenario: Scenario) -> list[Fraction]:
    """The rate of each client."""
    return [exactly(one.rate) for one in scenario.clients for _ in range(one.count)]


def _kept(scenario: Scenario) -> bool:
    """Whether each client keeps one connection for ever, and nothing changes."""
    return not scenario.changes and all(
        not one.keep_alive.requests and not one.keep_alive.lifetime and one.connections == 1 for one in scenario.clients
    )


# Shares of pods, or of groups of them


def _shares(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    promised = _promised_shares(run)
    return [
        Promise(
            f"share of {name}",
            promised.formula,
            promised.of(pods),
            _average([_share_of(result, pods) for result in results]),
        )
        for name, pods in grouped(story, _seen(results)).items()
    ]


def grouped(story: Story, pods: Sequence[str]) -> dict[str, set[str]]:
    """The story's groups of these pods; each pod by itself where it has none."""
    if not story.groups:
        return {one.rpartition("/")[2]: {one} for one in pods}
    return {name: {one for one in pods if fits_pod(one, pattern)} for name, pattern in story.groups.items()}


def _seen(results: Sequence[Result]) -> list[str]:
    return [one.pod for one in results[0].totals] if results else []


class _Shares(msgspec.Struct, frozen=True):
    """Exact shares by pod, None where there are none. `together` are pods whose shares among each other depend on the
    load: only what they get together is known."""

    formula: str
    by_pod: Mapping[str, Fraction] | None = None
    together: frozenset[frozenset[str]] = frozenset()

    def of(self, pods: Collection[str]) -> float | None:
        """The share of some pods together."""
        some = frozenset(pods)
        if self.by_pod is None or any(some & one and not one <= some for one in self.together):
            return None
        return float(sum((self.by_pod.get(one, Fraction(0)) for one in sorted(some)), Fraction(0)))


def _promised_shares(run: Run) -> _Shares:
    scenario = run.scenario
    if any(one.target is not None or one.rates for one in scenario.changes):
        return _Shares("changes while it runs")
    return _shares_through(scenario, scenario.target)


def _shares_by(balancer: ByKubeProxy) -> _Shares:
    """Shares of connections, which are not those of requests where clients keep them and ask differently."""
    if balancer.service.front.affinity is not None:
        return _Shares("depends on who asks")
    try:
        found = balancer.service.shares(Connection(balancer.port), horizon="long-run").pods
    except (InexactError, ValueError):
        return _Shares("depends on who asks")
    return _Shares("meshroute connect --shares --long-run", {pod: one for pod, one in found.items() if pod is not None})


def _by_chance(target: Target, pods: int) -> bool:
    """Whether each connection goes to any pod, each as likely as the other, but for the last digits of a ladder."""
    if not isinstance(target, Straight) or not isinstance(target.balancer, ByKubeProxy):
        return isinstance(target, Straight)
    service = target.balancer.service
    by_chance = service.kube_proxy.mode in ("iptables", "nftables") and service.front.affinity is None
    return by_chance and len(_shares_by(target.balancer).by_pod or ()) == pods


def _shares_through(scenario: Scenario, target: Target) -> _Shares:
    """Shares in the long run, by this target, at the rates of the start."""
    if isinstance(target, Straight) and isinstance(target.balancer, ByKubeProxy):
        return _shares_by(target.balancer)
    if isinstance(target, Straight):
        pods = [one.workload or one.key for one in target.balancer.endpoints]
        return _Shares("1/m for each of m pods", {one: Fraction(1, len(pods)) for one in pods})
    by_pod: dict[str, Fraction] = {}
    together = set()
    whole = sum(_each(scenario), Fraction(0))
    for clients in scenario.clients:
        router, weights = target.of(clients.name), sum(one.weight for one in clients.asks)
        for ask in clients.asks:
            if ask.varies or not whole:
                return _Shares("depends on who asks")
            part = exactly(clients.rate) * clients.count * ask.weight / weights / whole
            request = Request.of(ask.method, ask.url, dict(ask.headers))
            try:
                shares = router.shares(request, horizon="long-run")
            except InexactError:
                return _Shares("has no exact value")
            for pod, share in shares.pods.items():
                by_pod[str(pod)] = by_pod.get(str(pod), Fraction(0)) + share * part
            for cluster in router.table.clusters:
                if shares.by_cluster.get(cluster.name) and isinstance(cluster.policy, LeastRequest):
                    together.add(frozenset(one.workload or one.key for one in cluster.endpoints))
    return _Shares("meshroute shares --long-run", by_pod, frozenset(together))


def _phases(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Shares between one change of tables and the next. Rows that a change divides belong to neither side."""
    scenario, target = run.scenario, run.scenario.target
    steps = [(0, target)]
    for change in scenario.changes:
        if change.target is not None:
            steps.append((change.at, change.target))
    ends = [at for at, _ in steps[1:]] + [scenario.until]
    groups, found = grouped(story, _seen(results)), []
    rates = any(one.rates for one in scenario.changes)
    for (begin, table), end in zip(steps, ends, strict=True):
        promised = _shares_through(scenario, table)
        for name, pods in groups.items():
            got = sum(_sent(one, begin, end, pods) for one in results[:1])
            made = sum(_sent(one, begin, end, None) for one in results[:1])
            kept = isinstance(target, Straight) or rates  # connections outlive tables, and rates move what is mixed
            what = f"share of {name} from {begin / SECOND:g} s to {end / SECOND:g} s"
            found.append(
                Promise(what, promised.formula, None if kept else promised.of(pods), got / made if made else None)
            )
    return found


def _sent(result: Result, begin: int, end: int, pods: Collection[str] | None) -> int:
    columns = result.columns
    return sum(
        requests
        for pod, start, requests in zip(columns.pod, columns.start, columns.requests, strict=True)
        if begin <= start and start + result.bucket <= end and (pods is None or pod in pods)
    )


# Connections that live for ever


def _imbalance(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    scenario, pods = run.scenario, len(run.pods)
    rates = [one for one in _each(scenario) if one]
    applies = _by_chance(scenario.target, pods) and _kept(scenario) and bool(rates)
    n = len(rates)

    def told(what: str, formula: str, value: Callable[[], float | Fraction | None], measured: float | None) -> Promise:
        promised = value() if applies else None
        return Promise(what, formula, None if promised is None else float(promised), measured)

    shares = [[_share_of(result, {one}) for one in run.pods] for result in results]
    square = _average([(share - 1 / pods) ** 2 for some in shares for share in some])
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
        told("pods without any request", "m(1−1/m)ⁿ", lambda: imbalance.idle(n, pods), _average(empty)),
        told(
            "chance that some pod is idle",
            "1 − Σ(−1)ᵏC(m,k)(1−k/m)ⁿ",
            lambda: 1 - imbalance.all_used(n, pods),
            _average([one > 0 for one in empty]),
        ),
        told(
            EVERYTHING,
            "m^(1−n)",
            lambda: imbalance.all_on_one(n, pods),
            _average([one == pods - 1 for one in empty]),
        ),
    ]


def _busiest(shares: Sequence[Sequence[float]]) -> float | None:
    return _average([max(some) for some in shares])


# Turns


def _evenness(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    worst = max(
        (max(counts) - min(counts) for result in results if (counts := [one.requests for one in result.totals])),
        default=None,
    )
    proxies = len({one.proxy or name for one in run.scenario.clients for name in one.names})
    through = isinstance(run.scenario.target, Through)
    return [
        Promise(
            "requests between the busiest and the idlest pod, at most",
            "1 for each proxy that takes turns",
            float(proxies) if through else None,
            None if worst is None else float(worst),
        )
    ]


def _idle(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """The chance that a group gets nothing at all."""
    scenario, pods = run.scenario, len(run.pods)
    n = len([one for one in _each(scenario) if one])
    applies = _by_chance(scenario.target, pods) and _kept(scenario)
    found = []
    for name, some in grouped(story, _seen(results)).items():
        promised = float((1 - Fraction(len(some), pods)) ** n) if applies else None
        measured = _average([not _share_of(result, some) for result in results])
        found.append(Promise(f"chance that {name} gets nothing", "(1−p)ⁿ for n connections", promised, measured))
    return found


# Keys


def _moved(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Of a story with one change of pods: the share of keys that move, beside that of users who did."""
    scenario, total = run.scenario, Fraction(0)
    changes = [one for one in scenario.changes if isinstance(one.target, Through)]
    formula, promised = "meshroute moved", None
    if len(changes) == 1 and isinstance(scenario.target, Through):
        after = changes[0].target
        assert isinstance(after, Through)
        try:
            before, later = (find_cluster(one.router, run.service, run.port) for one in (scenario.target, after))
            total = moved(before, later, locality=scenario.target.router.table.locality).total
            promised = float(total)
        except MovedError:
            formula = "no keys to move"
    users = sum(one.users or one.count for one in scenario.clients)
    counted = [sum(one.moved for one in result.totals) / users for result in results]
    return [Promise("moves for each user", formula, promised, _average(counted))]


# Load


def _load(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Little's law: requests at a pod are its rate times the time of one."""
    promised = _promised_shares(run)
    rate = float(sum(_each(run.scenario), Fraction(0)))
    plain = not run.scenario.changes and not any(one.limit for one in run.scenario.serving)
    found = []
    for name, pods in grouped(story, _seen(results)).items():
        levels = []
        for one in sorted(pods) if plain else ():
            share = promised.of({one})
            levels.append(None if share is None else rate * share * _time_of(run, one, _seen(results)) / SECOND)
        known = [one for one in levels if one is not None]
        measured = [sum(one.concurrency for one in result.totals if one.pod in pods) for result in results]
        level = sum(known) if known and len(known) == len(levels) else None
        found.append(Promise(f"requests at once on {name}", "λ·share·W", level, _average(measured)))
    return found


def _time_of(run: Run, pod: str, pods: Sequence[str]) -> float:
    for rule in run.scenario.serving:
        fits = [one for one in pods if fits_pod(one, rule.pods)]
        if pod in ([fits[number] for number in rule.only if number < len(fits)] if rule.only else fits):
            return mean(rule.time)
    return 10_000.0


_Measure = Callable[[Story, Run, Sequence[Result]], list[Promise]]
_MEASURES: Final[Mapping[str, _Measure]] = {
    "shares": _shares,
    "phases": _phases,
    "imbalance": _imbalance,
    "evenness": _evenness,
    "idle": _idle,
    "moved": _moved,
    "load": _load,
}
