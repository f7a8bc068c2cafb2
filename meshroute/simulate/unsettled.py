"""What is promised while pods come, fail and return: slow starts, shares of who is left, outlier detection.

Source    meshroute.simulate.ramps, meshroute.simulate.ejections; `Router.shares` with some pods put aside
Inputs    a run, its results, and whom proxies had put aside when each bucket began.
Exactness shares of who is left are exact. Of outlier detection errors and returns are, and shares to one request for
          each time that a pod comes or goes. Slow starts are means.
Errors    none. Where a formula does not apply, nothing is promised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from meshroute.names import ClusterName, EndpointKey
from meshroute.simulate.chance import Constant
from meshroute.simulate.ejections import Stay, stays
from meshroute.simulate.loop import waits_for_some_time
from meshroute.simulate.model import SECOND, Arrivals, Clients, Scenario, Target, Through, exactly
from meshroute.simulate.promised import (
    Promise,
    Sent,
    Shares,
    asked_by,
    average,
    called,
    each_rate,
    everybody_of,
    follows,
    in_turns,
    only_cluster,
    rule_of,
    seen_pods,
    share_of,
    shares_through,
    steps_of,
)
from meshroute.simulate.ramps import mean_shares
from meshroute.simulate.saving import Seen
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Result
from meshroute.state import State
from meshroute.table import Cluster, Health, RoundRobin, SlowStart

_MOST_STATES: Final = 12
_PARTS: Final = 5
"""Of a warm-up, where buckets allow it."""


_Aside: TypeAlias = tuple[tuple[ClusterName, EndpointKey], ...]


# Newcomers


def warm_up(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """As phases, and each slow start by parts of its window."""
    scenario, found, rows = run.scenario, list[Promise](), Sent(results)
    joined: dict[str, int] = {}
    before: Cluster | None = None
    for begin, end, table in steps_of(scenario):
        promised, cluster = shares_through(scenario, table), only_cluster(scenario, table)
        joined, before = _joined(before, joined, cluster, begin), cluster
        slow, ends = None, begin
        if cluster is not None and isinstance(cluster.policy, RoundRobin) and _by_weight(cluster, promised):
            slow = cluster.policy.slow_start
        if slow is not None and len(set(joined.values())) > 1:  # where all are as old, each has its whole share
            ends = max(begin, min(end, max(joined.values()) + slow.window * 1000))
        seen = results[0].end if results else 0
        for since, to in _parts(begin, ends, seen, scenario.bucket):
            assert slow is not None
            assert cluster is not None
            by_part = _in_slow_start(slow, cluster, joined, since, to)
            found += rows.share(story, by_part if follows(scenario) else None, [(since, to)])
        if ends < end:
            found += rows.share(story, promised if follows(scenario) else None, [(ends, end)])
    return found


def _joined(before: Cluster | None, joined: Mapping[str, int], cluster: Cluster | None, now: int) -> dict[str, int]:
    """When each endpoint joined, in microseconds: all of a cluster that is another one now."""
    if cluster is None:
        return {}
    same = before is not None and replace(before, endpoints=()) == replace(cluster, endpoints=())
    known = {one.key for one in before.endpoints if one.health is Health.HEALTHY} if before and same else set()
    return {one.key: joined[one.key] if one.key in known else now for one in cluster.endpoints}


def _in_slow_start(slow: SlowStart, cluster: Cluster, joined: Mapping[str, int], begin: int, end: int) -> Shares:
    """The mean shares of a part of a slow start."""
    members = [(one.weight, joined[one.key]) for one in cluster.endpoints]
    by_pod: dict[str, Fraction] = {}
    for one, share in zip(cluster.endpoints, mean_shares(slow, members, begin, end), strict=True):
        pod = one.workload or one.key
        by_pod[pod] = by_pod.get(pod, Fraction(0)) + Fraction(share)
    return Shares("mean of w/Σw, w by age in the window", by_pod)


def _parts(begin: int, end: int, seen: int, bucket: int) -> list[tuple[int, int]]:
    """A span in equal parts, as far as it was seen, each of whole buckets: shares move, so what is promised has to be
    of the very buckets that are counted."""
    step, rest = divmod(end - begin, _PARTS)
    if rest or step % bucket or begin % bucket:
        found = [(begin, end)]
    else:
        found = [(begin + step * number, begin + step * (number + 1)) for number in range(_PARTS)]
    whole = [(-(-since // bucket) * bucket, min(to, seen) // bucket * bucket) for since, to in found]
    return [(since, to) for since, to in whole if since < to]


def _by_weight(cluster: Cluster, promised: Shares) -> bool:
    """Whether shares are nothing but weights: no priorities, localities or health that would matter."""
    whole = sum(one.weight for one in cluster.endpoints)
    wanted: dict[str | None, Fraction] = {}
    for one in cluster.endpoints:
        name = one.workload or one.key
        wanted[name] = wanted.get(name, Fraction(0)) + Fraction(one.weight, whole)
    return promised.by_pod == wanted


# Who is put aside


def failover(story: Story, run: Run, results: Sequence[Result], seen: Sequence[Seen]) -> list[Promise]:
    """Shares while the same pods are aside, by all buckets in which they are from the beginning to the end."""
    sent, steps = Sent(results), steps_of(run.scenario)
    spans: dict[tuple[int, _Aside], list[tuple[int, int]]] = {}
    pods: dict[tuple[int, _Aside], set[str]] = {}
    place = 0
    for number, (here, after) in enumerate(pairwise(seen)):
        begin, end = number * sent.width, (number + 1) * sent.width
        while steps[place][1] <= begin and place + 1 < len(steps):
            place += 1
        if here is None or here != after or end > steps[place][1]:
            continue
        if (place, here) not in pods:
            pods[place, here] = _pods_of(steps[place][2], here)
        rows = sent.rows(begin, end)
        if not rows or any(rows[0].get(pod) for pod in pods[place, here]):
            continue  # somebody came back and went again
        found = spans.setdefault((place, here), [])
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    longest = sorted(spans, key=lambda one: -sum(end - begin for begin, end in spans[one]))[:_MOST_STATES]
    return [
        line
        for place, here in spans
        if (place, here) in longest
        for line in _while(story, run, sent, steps[place], here, spans[place, here], len(steps) > 1)
    ]


def _while(
    story: Story,
    run: Run,
    sent: Sent,
    step: tuple[int, int, Target],
    aside: _Aside,
    spans: Sequence[tuple[int, int]],
    say_since: bool,
) -> list[Promise]:
    """The lines of the times in which these are aside."""
    begin, _, target = step
    ejected: dict[ClusterName, tuple[EndpointKey, ...]] = {}
    for cluster, key in aside:
        ejected[cluster] = (*ejected.get(cluster, ()), key)
    promised = shares_through(run.scenario, target, State(ejected=ejected))
    if promised.by_pod is not None:
        promised = replace(promised, formula=_by_health(run.scenario, target))
    pods = _pods_of(target, aside)
    which = f"without {called(story, pods, run.ever)}" if pods else "with everybody"
    if say_since:
        which += f", since {begin / SECOND:g} s"
    return sent.share(story, promised if follows(run.scenario) else None, spans, which, without=pods)


def _by_health(scenario: Scenario, target: Target) -> str:
    """What the shares go by."""
    cluster = only_cluster(scenario, target)
    if cluster is None or len({one.priority for one in cluster.endpoints}) < 2:
        return "meshroute shares, without them"
    return f"the nearest: min(1, {cluster.overprovisioning / 100:g}·healthy)"


def _pods_of(target: Target, aside: _Aside) -> set[str]:
    assert isinstance(target, Through)
    return {
        one.workload or one.key
        for router in (target.router, *target.others.values())
        for cluster in router.table.clusters
        for one in cluster.endpoints
        if (cluster.name, one.key) in aside
    }


def outliers(story: Story, run: Run, results: Sequence[Result]) -> list[Promise]:
    """Of each pod that fails: its errors, when it is put aside and comes back, and what share that leaves it."""
    found: list[Promise] = []
    if not results:
        return found
    until = results[0].end
    for pod, fails in _failing(run.scenario, seen_pods(results), until).items():
        name = called(story, {pod}, run.ever)
        plans = _plans(run, pod, fails, until)
        each = [stay for some in plans or () for stay in some]
        made = sum(each_rate(run.scenario), Fraction(0)) * until / SECOND
        errors = average([float(one.total(pod).errors) for one in results])
        share = average([share_of(one, {pod}) for one in results])
        told = float(sum((one.errors for one in each), Fraction(0))) if plans else None
        left = float(sum((one.requests for one in each), Fraction(0)) / made) if plans else None
        found.append(Promise(f"errors of {name}", "errors in a row × times aside", told, errors))
        found.append(Promise(f"share of {name}", "turns while it is there", left, share))
        if plans and len(plans) == 1:
            found += _times(name, plans[0], _gaps(results[0], pod, plans[0]))
    return found


def _times(name: str, plan: Sequence[Stay], gaps: Sequence[int | None] | None) -> list[Promise]:
    """How often a pod is put aside, and when it is back each time."""
    out = sum(one.until is not None for one in plan)
    measured = None if gaps is None else float(len(gaps))
    found = [Promise(f"times that {name} is put aside", "once for each row of errors", float(out), measured)]
    for number, (before, stay) in enumerate(pairwise(plan)):
        seen = gaps[number] if gaps is not None and number < len(gaps) else None
        found.append(
            Promise(
                f"{name} is back for the {_nth(number + 1)} time, s",
                f"baseEjectionTime × {before.times}, next interval" if before.times else "longest time, next interval",
                stay.since / SECOND,
                None if seen is None else seen / SECOND,
            )
        )
    return found


def _nth(number: int) -> str:
    """
    >>> [_nth(one) for one in (1, 2, 3, 4, 11, 21)]
    ['1st', '2nd', '3rd', '4th', '11th', '21st']
    """
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


def _gaps(result: Result, pod: str, plan: Sequence[Stay]) -> list[int | None] | None:
    """Where a pod had nothing for whole buckets: when each of these times ended, None for the one that did not. None
    where buckets are too long to see them all."""
    for stay, back in zip(plan, [*(one.since for one in plan[1:]), None], strict=False):
        if stay.until is not None and (back or result.end) - stay.until[0] < 2 * result.bucket:
            return None
    columns = result.columns
    rows = [
        (start, requests)
        for one, start, requests in zip(columns.pod, columns.start, columns.requests, strict=True)
        if one == pod and start + result.bucket <= result.end
    ]
    found: list[int | None] = []
    for (_, before), (start, requests) in pairwise(rows):
        if before and not requests:
            found.append(None)
        elif requests and not before and found:
            found[-1] = start
    return found


def _plans(run: Run, pod: str, fails: _Fails | None, until: int) -> list[tuple[Stay, ...]] | None:
    """Of each proxy: how long the pod takes its turns there, again and again. None where that is not certain."""
    scenario = run.scenario
    cluster = only_cluster(scenario, scenario.target)
    changes = [one for one in scenario.changes if one.target is not None or one.rates or one.stop]
    if fails is None or cluster is None or changes or not _takes_turns(scenario, cluster, pod):
        return None
    found = []
    proxies: set[str] = set()
    for one in scenario.clients:
        # Whatever else clients can be is nothing that is known here.
        plain = Clients(one.name, one.rate, one.asks, one.count, one.arrivals, one.keep_alive, 0, one.multiplexed)
        names = [one.proxy] * one.count if one.proxy else one.names
        known = replace(one, proxy="", users=0) == plain and one.arrivals is not Arrivals.POISSON
        if not known or not _tries_once(scenario, one, fails):
            return None
        if one.rate and (proxies & {*names} or len({*names}) < len(names)):
            return None  # two of them together are not even
        turn = len(cluster.endpoints) * SECOND / exactly(one.rate) if one.rate else None
        for name in names if turn is not None else ():
            assert turn is not None
            plan = stays(cluster.outliers, len(cluster.endpoints), fails.statuses, turn, fails.time, fails.spans, until)
            if plan is None:
                return None
            proxies.add(name)
            found.append(plan)
    return found


def _takes_turns(scenario: Scenario, cluster: Cluster, pod: str) -> bool:
    """Whether the pod has every turn that is its own, and the others share them among each other when it is aside."""
    names = [one.workload or one.key for one in cluster.endpoints]
    if pod not in names or len(set(names)) < len(names) or len(names) < 2 or not in_turns(scenario, cluster):
        return False
    state = State(ejected={cluster.name: (cluster.endpoints[names.index(pod)].key,)})
    rest = {one: Fraction(1, len(names) - 1) for one in names if one != pod}
    return shares_through(scenario, scenario.target, state).by_pod == rest


def _tries_once(scenario: Scenario, clients: Clients, fails: _Fails) -> bool:
    """Whether a request of these comes to one pod, at once, however it ends, and the proxy waits for that."""
    assert isinstance(scenario.target, Through)
    router = scenario.target.of(clients.name)
    for ask in clients.asks:
        decision = router.decide(asked_by(ask, clients.name))
        route = decision.matched
        if route is not None and (route.fault is not None or waits_for_some_time(route.action)):
            return False
        if any(router.retries(decision, status) for status in fails.statuses):
            return False
    return True


class _Fails(msgspec.Struct, frozen=True):
    """When a pod answers with errors alone, with which, and after how long, in microseconds."""

    spans: tuple[tuple[int, int], ...]
    statuses: tuple[int, ...]
    time: int


def _failing(scenario: Scenario, shown: Collection[str], until: int) -> dict[str, _Fails | None]:
    """The pods that answer with errors at some time; None where how often is chance, or others do too."""
    found: dict[str, _Fails | None] = {}
    pods = everybody_of(scenario)
    begins = [(0, scenario.serving), *((one.at, one.serving) for one in scenario.changes if one.serving is not None)]
    begins = [one for one in begins if one[0] < until]
    ends = [*(at for at, _ in begins[1:]), until]
    for pod in shown:
        spans, statuses, times, certain = list[tuple[int, int]](), set[int](), set[int](), True
        for (begin, rules), end in zip(begins, ends, strict=True):
            rule = rule_of(rules, pod, pods)
            said = {status for status, weight in rule.answers if weight}
            bad = {status for status in said if status >= 500}
            times.add(rule.time.value if isinstance(rule.time, Constant) else -1)
            certain = certain and (not bad or bad == said) and not rule.limit
            if not bad or begin == end:
                continue
            statuses |= bad
            if spans and spans[-1][1] == begin:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((begin, end))
        if spans:
            one = max(times)
            certain = certain and len(times) == 1 and one >= 0
            found[pod] = _Fails(tuple(spans), tuple(sorted(statuses)), one) if certain else None
    return found if len(found) == 1 else dict.fromkeys(found)
