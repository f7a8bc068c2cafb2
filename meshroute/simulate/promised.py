"""What tables promise: exact shares, and the lines in which they stand beside what was measured.

Source    `Router.shares` for requests, `ServiceProxy.shares` for connections
Inputs    a scenario, one of its targets, and what its proxies remember; the results of a run.
Exactness shares are fractions of 2^64 draws each, in the long run. What is measured is a mean over repeats.
Errors    none. Where a formula does not apply, nothing is promised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from meshroute.balance.bounded import InexactError
from meshroute.connection import Connection
from meshroute.decision import FORWARDED
from meshroute.names import ClusterName
from meshroute.request import Request
from meshroute.simulate.connections import ByKubeProxy
from meshroute.simulate.loop import fits_pod
from meshroute.simulate.model import SECOND, Asking, Clients, Scenario, Serving, Straight, Target, Through, exactly
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Result
from meshroute.state import State
from meshroute.table import Cluster, Forward, LeastRequest, RoundRobin

_FRESH: Final = State()
_MOST_NAMES: Final = 3


class Promise(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: what is looked at, the formula and its value, and the value of the simulation. Where it is the share
    of a group at certain times, `group` and `spans` (from and to, microseconds) say so."""

    what: str
    formula: str
    promised: float | None
    measured: float | None
    group: str = ""
    spans: tuple[tuple[int, int], ...] = ()


# What was measured


def average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def share_of(result: Result, pods: set[str]) -> float:
    total = sum(one.requests for one in result.totals)
    return sum(one.requests for one in result.totals if one.pod in pods) / total if total else 0.0


def each_rate(scenario: Scenario) -> list[Fraction]:
    """The rate of each client."""
    return [exactly(one.rate) for one in scenario.clients for _ in range(one.count)]


def grouped(story: Story, pods: Sequence[str]) -> dict[str, set[str]]:
    """The story's groups of these pods; each pod by itself where it has none."""
    if not story.groups:
        return {one.rpartition("/")[2]: {one} for one in pods}
    return {name: {one for one in pods if fits_pod(one, pattern)} for name, pattern in story.groups.items()}


def called(story: Story, pods: Collection[str], everybody: Sequence[str]) -> str:
    """What some pods are called: as their group, else by their names, or how many there are."""
    for name, some in grouped(story, everybody).items():
        if some == set(pods):
            return name
    names = sorted(one.rpartition("/")[2] for one in pods)
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} pods"


def seen_pods(results: Sequence[Result]) -> list[str]:
    return [one.pod for one in results[0].totals] if results else []


def follows(scenario: Scenario) -> bool:
    """Whether requests go by the tables of their time: connections outlive these, and rates move what is mixed."""
    brief = all(one.keep_alive.requests == 1 for one in scenario.clients)
    reads = isinstance(scenario.target, Through) and scenario.target.reads
    return (brief or reads) and not any(one.rates for one in scenario.changes)


class Sent:
    """How many requests came to whom in which bucket, of the first result."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.width: Final = results[0].bucket if results else 1
        self._rows: Final[dict[int, dict[str, int]]] = {}
        for result in results[:1]:
            columns = result.columns
            for pod, start, requests in zip(columns.pod, columns.start, columns.requests, strict=True):
                if start + result.bucket <= result.end:
                    self._rows.setdefault(start, {})[pod] = requests

    def rows(self, begin: int, end: int) -> list[Mapping[str, int]]:
        """Buckets that lie between two times as a whole, by pod."""
        first = -(-begin // self.width) * self.width
        starts = range(first, end - self.width + 1, self.width)
        return [self._rows[start] for start in starts if start in self._rows]

    def share(
        self,
        story: Story,
        promised: Shares | None,
        spans: Sequence[tuple[int, int]],
        when: str = "",
        without: Collection[str] = (),
    ) -> list[Promise]:
        """Of each group, its share at some times, beside what is promised then; None for nothing. Of groups of nobody
        but those `without`, nothing is said."""
        rows = [row for begin, end in spans for row in self.rows(begin, end)]
        made = sum(sum(row.values()) for row in rows)
        pods = list(next(iter(self._rows.values()), ()))
        begin, end = spans[0]
        found = []
        for name, some in grouped(story, pods).items():
            if without and some and some <= set(without):
                continue
            got = sum(row[pod] for row in rows for pod in some)
            found.append(
                Promise(
                    f"share of {name} {when or f'from {begin / SECOND:g} s to {end / SECOND:g} s'}",
                    promised.formula if promised is not None else "connections outlive changes",
                    promised.of(some) if promised is not None else None,
                    got / made if made else None,
                    name,
                    tuple(spans),
                )
            )
        return found


_LAST_DIGITS: Final = Fraction(1, 2**60)


# What is promised


class Shares(msgspec.Struct, frozen=True):
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


def promised_shares(run: Run) -> Shares:
    scenario = run.scenario
    if any(one.target is not None or one.rates for one in scenario.changes):
        return Shares("changes while it runs")
    return shares_through(scenario, scenario.target)


def _shares_by(balancer: ByKubeProxy) -> Shares:
    """Shares of connections, which are not those of requests where clients keep them and ask differently."""
    if balancer.service.front.affinity is not None:
        return Shares("depends on who asks")
    try:
        found = balancer.service.shares(Connection(balancer.port), horizon="long-run").pods
    except (InexactError, ValueError):
        return Shares("depends on who asks")
    return Shares("meshroute connect --shares --long-run", {pod: one for pod, one in found.items() if pod is not None})


def by_chance(scenario: Scenario, pods: int) -> bool:
    """Whether the first connection of each client goes to any pod, each as likely as the other, but for the last digits
    of a ladder or a draw."""
    target = scenario.target
    if isinstance(target, Through):
        # Whoever takes turns begins anywhere, each proxy by itself.
        alone = not target.reads and not any(one.proxy for one in scenario.clients)
        shares = (shares_through(scenario, target).by_pod or {}) if alone else {}
        return len(shares) == pods and all(abs(one - Fraction(1, pods)) < _LAST_DIGITS for one in shares.values())
    if not isinstance(target.balancer, ByKubeProxy):
        return True
    service = target.balancer.service
    by_chance = service.kube_proxy.mode in ("iptables", "nftables") and service.front.affinity is None
    return by_chance and len(_shares_by(target.balancer).by_pod or ()) == pods


def shares_through(scenario: Scenario, target: Target, state: State = _FRESH) -> Shares:
    """Shares in the long run, by this target, at the rates of the start, where proxies remember this."""
    if isinstance(target, Straight) and isinstance(target.balancer, ByKubeProxy):
        return _shares_by(target.balancer)
    if isinstance(target, Straight):
        pods = [one.workload or one.key for one in target.balancer.endpoints]
        return Shares("1/m for each of m pods", {one: Fraction(1, len(pods)) for one in pods})
    by_pod: dict[str, Fraction] = {}
    together = set()
    whole = sum(each_rate(scenario), Fraction(0))
    for clients in scenario.clients:
        router, weights = target.of(clients.name), sum(one.weight for one in clients.asks)
        for ask, names in [(one, names) for one in clients.asks for names in _who(clients, one)]:
            if ask.varies or not whole:
                return Shares("depends on who asks")
            route = router.decide(asked_by(ask, names[0])).matched
            if route is not None and isinstance(route.action, Forward) and route.action.mirrors:
                return Shares("copies make work, too")
            part = exactly(clients.rate) * len(names) * ask.weight / weights / whole
            try:
                shares = router.shares(asked_by(ask, names[0]), state, horizon="long-run")
            except InexactError:
                return Shares("has no exact value")
            for pod, share in shares.pods.items():
                by_pod[str(pod)] = by_pod.get(str(pod), Fraction(0)) + share * part
            for cluster in router.table.clusters:
                if shares.by_cluster.get(cluster.name) and isinstance(cluster.policy, LeastRequest):
                    together.add(frozenset(one.workload or one.key for one in cluster.endpoints))
    return Shares("meshroute shares --long-run", by_pod, frozenset(together))


def _who(clients: Clients, ask: Asking) -> Sequence[Sequence[str]]:
    """The clients of one kind, those together who ask for the same."""
    said = any("{client}" in text for text in (ask.url, *ask.headers.values()))
    return [(one,) for one in clients.names] if said else [clients.names]


def asked_by(ask: Asking, client: str) -> Request:
    headers = {name: value.replace("{client}", client) for name, value in ask.headers.items()}
    return Request.of(ask.method, ask.url.replace("{client}", client), headers)


def only_cluster(scenario: Scenario, target: Target) -> Cluster | None:
    """The cluster that every request goes to, whoever asks; None where there are several, or it depends."""
    if not isinstance(target, Through) or not target.reads:
        return None
    found: list[Cluster] = []
    for clients in scenario.clients:
        router = target.of(clients.name)
        by_name = {one.name: one for one in router.table.clusters}
        for ask in clients.asks:
            if ask.varies or any("{client}" in text for text in (ask.url, *ask.headers.values())):
                return None
            try:
                shares = router.shares(asked_by(ask, clients.name), horizon="long-run")
            except InexactError:
                return None
            (name, *others) = shares.by_cluster
            cluster = None if name is None else by_name.get(ClusterName(name))
            if others or cluster is None or set(shares.by_outcome) != {FORWARDED}:
                return None
            found.append(cluster)
    return found[0] if all(one == found[0] for one in found) else None


def in_turns(scenario: Scenario, cluster: Cluster) -> bool:
    """Whether all endpoints of the only cluster have a turn, one after the other."""
    if not isinstance(cluster.policy, RoundRobin) or cluster.policy.slow_start is not None:
        return False
    pods = [one.workload or one.key for one in cluster.endpoints]
    return shares_through(scenario, scenario.target).by_pod == dict.fromkeys(pods, Fraction(1, len(pods)))


def steps_of(scenario: Scenario) -> list[tuple[int, int, Target]]:
    """From when to when there is which table."""
    begins = [(0, scenario.target), *((one.at, one.target) for one in scenario.changes if one.target is not None)]
    ends = [*(at for at, _ in begins[1:]), scenario.until]
    return [(begin, end, target) for (begin, target), end in zip(begins, ends, strict=True) if begin < end]


def everybody_of(scenario: Scenario) -> list[str]:
    """The names of all pods of all tables, in order."""
    found: set[str] = set()
    for _, _, target in steps_of(scenario):
        if isinstance(target, Straight):
            some = list(target.balancer.endpoints)
        else:
            routers = (target.router, *target.others.values())
            some = [one for router in routers for cluster in router.table.clusters for one in cluster.endpoints]
        found |= {one.workload or one.key for one in some}
    return sorted(found)


def rule_of(rules: Sequence[Serving], pod: str, everybody: Sequence[str]) -> Serving:
    """How a pod answers: the first rule that fits it."""
    for rule in rules:
        fits = [one for one in everybody if fits_pod(one, rule.pods)]
        if pod in ([fits[number] for number in rule.only if number < len(fits)] if rule.only else fits):
            return rule
    return Serving()
