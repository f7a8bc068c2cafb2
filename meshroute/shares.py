"""shares: the walk of `decide`, integrated over the draws.

Source    spec/shares.md SHARE-1 to SHARE-9
Inputs    a Plan, a request, the state before it. Draws are uniform over 0..2^64-1 and independent of one another.
Exactness every answer is a fraction. A draw modulo n is not quite uniform, because 2^64 is no multiple of most n; the
          fractions say so. Those of one kind sum to 1.
Errors    InexactError where a probability has no value that we could compute (spec/shares.md SHARE-8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from meshroute.arrive import made_id
from meshroute.balance import Odds, View, pools, span_chance
from meshroute.balance.bounded import InexactError
from meshroute.balance.request_key import knows_its_ends, request_key
from meshroute.cors import NO_CALL
from meshroute.decide import (
    Plan,
    arrived,
    closed,
    dead_end,
    onward,
    original_destination,
    passing,
    possible_routes,
    spans,
)
from meshroute.decision import (
    FORWARDED,
    NO_CLUSTER,
    NO_ROUTE,
    NOBODY_LISTENS,
    PREFLIGHT,
    Decision,
    Failed,
    Outcome,
)
from meshroute.doing import called, mirrors_of, outcome_of, said_number
from meshroute.draws import Draws
from meshroute.fault import NO_STRIKE, aborted, delayed, not_found, strikes
from meshroute.grpc import in_grpc
from meshroute.match.index import HostIndex
from meshroute.match.predicate import is_grpc
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request
from meshroute.residues import All, Taken, also, parted
from meshroute.state import State
from meshroute.table import (
    Action,
    Chain,
    Endpoint,
    Forward,
    HashOnHeader,
    OriginalDestination,
    Route,
    WeightedCluster,
)

Horizon: TypeAlias = Literal["next", "long-run"]
_NO_DRAWS: Final = Draws()
"""Draws for a key that none of them can change."""
Leaf: TypeAlias = tuple[Fraction, Decision, bool]
"""A way a decision can go: its probability, the decision, and whether it depends on what was picked before."""


class Shares(msgspec.Struct, frozen=True):
    """Exact probabilities of what becomes of a request; each mapping sums to 1.

    `pods` goes by `namespace/name`, None for every way without a pod; `by_endpoint` by `ip:port`; `by_rule` by the
    rule's text, None where no rule took part. `by_mirror` is not one of them: it has, by cluster and endpoint, how many
    copies of the request go there on average. `horizon` says whether they are of the next request in the given state
    or of many requests in the long run; `remembers` whether the two can differ.
    """

    horizon: Horizon
    remembers: bool
    pods: Mapping[str | None, Fraction]
    by_endpoint: Mapping[str | None, Fraction]
    by_subset: Mapping[str | None, Fraction]
    by_cluster: Mapping[str | None, Fraction]
    by_rule: Mapping[str | None, Fraction]
    by_outcome: Mapping[Outcome, Fraction]
    by_mirror: Mapping[tuple[ClusterName, EndpointKey], Fraction] = {}

    def to_builtins(self) -> dict[str, Any]:
        """Plain JSON values: each probability as numerator and denominator, which may be beyond 64 bits, as text."""

        def rows(mapping: Mapping[Any, Fraction], name: str) -> list[dict[str, Any]]:
            return [
                {
                    name: msgspec.to_builtins(key),
                    "numerator": str(share.numerator),
                    "denominator": str(share.denominator),
                }
                for key, share in mapping.items()
            ]

        return {
            "horizon": self.horizon,
            "remembers": self.remembers,
            "pods": rows(self.pods, "pod"),
            "endpoints": rows(self.by_endpoint, "endpoint"),
            "subsets": rows(self.by_subset, "subset"),
            "clusters": rows(self.by_cluster, "cluster"),
            "rules": rows(self.by_rule, "rule"),
            "outcomes": rows(self.by_outcome, "outcome"),
            "mirrors": [
                {"cluster": cluster, **row}
                for (cluster, _), row in zip(
                    self.by_mirror,
                    rows({endpoint: share for (_, endpoint), share in self.by_mirror.items()}, "endpoint"),
                    strict=True,
                )
            ],
        }


def shares(plan: Plan, request: Request, state: State, horizon: Horizon) -> Shares:
    """The exact chances of every way the request can go. Raises ValueError for a horizon that is none."""
    if horizon not in ("next", "long-run"):
        raise ValueError(f"horizon `{horizon}` is not one of `next`, `long-run`")
    leaves = [leaf for leaf in _leaves(plan, request, state, horizon == "long-run") if leaf[0]]
    if is_grpc(request):
        leaves = [(chance, replace(one, outcome=in_grpc(one.outcome)), knows) for chance, one, knows in leaves]

    def by(key: Any) -> dict[Any, Fraction]:
        sums: dict[Any, Fraction] = {}
        for chance, decision, _ in leaves:
            name = key(decision)
            sums[name] = sums.get(name, Fraction(0)) + chance
        return sums

    return Shares(
        horizon=horizon,
        remembers=any(remembers for _, _, remembers in leaves),
        pods=by(lambda one: one.pod),
        by_endpoint=by(lambda one: one.endpoint.key if one.endpoint else None),
        by_subset=by(lambda one: one.subset),
        by_cluster=by(lambda one: one.cluster),
        by_rule=by(lambda one: str(one.rule) if one.rule else None),
        by_outcome=by(lambda one: one.outcome),
        by_mirror=_copies(plan, request, state, horizon == "long-run"),
    )


def _leaves(plan: Plan, request: Request, state: State, long_run: bool) -> Iterator[Leaf]:
    listener = plan.taker(request)
    if listener is None or isinstance(listener, Chain):
        going = passing(plan, listener, request)
        if going is None:
            yield Fraction(1), Decision(NOBODY_LISTENS, request), False
            return
        for chance, decision, remembers in _of_action(plan, request, state, long_run, going.route, going.action, All()):
            yield chance, closed(decision), remembers
        return
    for here, route, action, part in _ways(request, listener):
        if isinstance(here, Request):
            yield from _of_action(plan, here, state, long_run, route, action, part)
        else:
            yield Fraction(1), Decision(here, request), False


def _ways(
    request: Request, listener: HostIndex | Failed
) -> Iterator[tuple[Request, Route | None, Action | None, Taken | All] | tuple[Outcome, None, None, All]]:
    """The request as it arrives, each route that may take it, what that does, and its part of the draws; or what the
    client is told before any does."""
    if isinstance(listener, Failed):
        yield listener, None, None, All()
        return
    here = arrived(listener, request, _NO_DRAWS)
    if not isinstance(here, Request):
        yield here, None, None, All()
        return
    ways = possible_routes(listener, here)
    parts: Sequence[Taken | All] = (All(),) if len(ways) == 1 else parted(portion for _, portion in ways)
    for (route, _), part in zip(ways, parts, strict=True):
        yield onward(request, here), route, route.action if route is not None else None, part


def _of_action(
    plan: Plan,
    request: Request,
    state: State,
    long_run: bool,
    route: Route | None,
    action: Action | None,
    part: Taken | All,
) -> Iterator[Leaf]:
    """What a route does with its part of the draws."""
    if action is None:
        yield part.chance(), Decision(NO_ROUTE, request), False
        return
    doing = plan.doing_of(route) if route is not None else None
    call = doing.call(request) if doing is not None else NO_CALL
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    if call.answered:
        yield part.chance(), Decision(PREFLIGHT, request, name, rule), False
        return
    for chance, struck in strikes(route.fault) if route is not None and route.fault is not None else _UNTOUCHED:
        if not chance:
            continue
        if struck.abort is not None or not isinstance(action, Forward):
            assert route is not None
            outcome = aborted(struck, request) if struck.abort is not None else outcome_of(route, request)
            if isinstance(action, Forward):
                for chosen, within in _clusters(action, request, part):
                    cluster = called(chosen, request).cluster or None
                    yield chance * within, Decision(outcome, request, name, rule, cluster), False
            else:
                yield chance * part.chance(), Decision(outcome, request, name, rule), False
            continue
        for chosen, within in _clusters(action, request, part):
            there = called(chosen, request)
            sent = doing.sent(action, there, request, struck.delay) if doing is not None else request
            for share, one, remembers in _at_cluster(plan, sent, state, long_run, route, action, there):
                ended = one.outcome
                if isinstance(ended, Failed):
                    lost = ended.flag == NO_CLUSTER.flag
                    one = replace(
                        one,
                        request=request if lost else sent,
                        outcome=not_found(action.not_found, struck.delay) if lost else delayed(ended, struck.delay),
                    )
                yield chance * within * share, replace(one, delay=struck.delay), remembers


_UNTOUCHED: Final = ((Fraction(1), NO_STRIKE),)


def _clusters(action: Forward, request: Request, part: Taken | All) -> Iterator[tuple[WeightedCluster, Fraction]]:
    """The clusters of a request and their chances; one of them is certain where the request says its number."""
    said = said_number(action, request) if len(action.clusters) > 1 else None
    for chosen, low, high, total in spans(action.clusters):
        if said is None:
            yield chosen, part.in_span(low, high, total)
        elif low <= said.number % total < high:
            yield chosen, part.chance()


def _at_cluster(
    plan: Plan,
    request: Request,
    state: State,
    long_run: bool,
    route: Route | None,
    action: Forward,
    chosen: WeightedCluster,
) -> Iterator[Leaf]:
    """Everybody of a cluster."""
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    cluster = chosen.cluster
    target = plan.targets.get(cluster)
    if target is None:
        yield Fraction(1), Decision(NO_CLUSTER, request, name, rule, cluster or None), False
        return
    subset = target.cluster.subset or None
    if isinstance(target.cluster.policy, OriginalDestination):
        there = original_destination(request)
        yield Fraction(1), Decision(FORWARDED, request, name, rule, cluster, subset, there), False
        return
    key = _key(action, request) if target.hashes else None
    parts = [one.view for one in target.asked(state, action, chosen)]
    for chance, endpoint, remembers in _of_parts(parts, Odds(state, key, long_run)):
        outcome = FORWARDED if endpoint is not None else dead_end(route)
        yield chance, Decision(outcome, request, name, rule, cluster, subset, endpoint), remembers


def _copies(
    plan: Plan, request: Request, state: State, long_run: bool
) -> dict[tuple[ClusterName, EndpointKey], Fraction]:
    """How many copies of the request go to each endpoint of each cluster that gets some, on average."""
    found: dict[tuple[ClusterName, EndpointKey], Fraction] = {}
    listener = plan.taker(request)
    if listener is None or isinstance(listener, Chain):
        return found  # nobody who does not read copies
    for here, route, action, part in _ways(request, listener):
        if not isinstance(here, Request) or not isinstance(action, Forward) or not action.mirrors or route is None:
            continue
        doing = plan.doing_of(route)
        assert doing is not None
        if doing.call(here).answered:
            continue
        goes_on = (
            sum((chance for chance, one in strikes(route.fault) if one.abort is None), Fraction(0))
            if (route.fault is not None)
            else Fraction(1)
        )
        for chosen, _ in _clusters(action, here, part):
            there = called(chosen, here)
            sent = doing.sent(action, there, here)
            leaves = list(_at_cluster(plan, sent, state, long_run, route, action, there))
            served = sum((chance for chance, one, _ in leaves if one.endpoint is not None), Fraction(0))
            if not served:
                continue
            taken: set[ClusterName] = {there.cluster}
            for mirror, cluster in mirrors_of(action, sent):
                target = plan.targets.get(cluster)
                if target is None or isinstance(target.cluster.policy, OriginalDestination):
                    continue
                both = _clusters(action, here, also(part, mirror.portion))
                chance = goes_on * served * sum(share for one, share in both if one is chosen)
                alone = Forward((WeightedCluster(cluster),))
                parts = [one.view for one in target.asked(state, alone, alone.clusters[0])]
                for share, endpoint, remembers in _of_parts(parts, Odds(state, None, long_run)):
                    if remembers and not long_run and cluster in taken:
                        raise InexactError(
                            f"copies to `{cluster}` depend on what the request itself leaves behind there"
                        )
                    if endpoint is not None and chance * share:
                        where = (cluster, endpoint.key)
                        found[where] = found.get(where, Fraction(0)) + chance * share
                taken.add(cluster)
    return found


def _key(action: Forward, request: Request) -> int | None:
    """The request's key; None where it is as good as random: no policy gives one, a cookie is made for a client of
    whom nobody knows where it is, or an id of the request is hashed that the proxy made."""
    if made_id(_NO_DRAWS) in request.fields.get("x-request-id", ()) and any(
        isinstance(one, HashOnHeader) and one.name == "x-request-id" for one in action.hash_policies
    ):
        return None
    key = request_key(action.hash_policies, request, _NO_DRAWS)
    return None if key.cookies and not knows_its_ends(request) else key.value


def _of_parts(parts: Sequence[View], odds: Odds) -> Iterator[tuple[Fraction, Endpoint | None, bool]]:
    """Everybody who may be chosen of parts that are asked in turn, None for nobody of any of them."""
    left, turns = Fraction(1), False
    for whom in parts:
        nobody = Fraction(0)
        for chance, endpoint, remembers in _endpoints(whom, odds):
            turns = turns or remembers
            if endpoint is None:
                nobody += chance
            elif chance:
                yield left * chance, endpoint, turns
        left *= nobody
        if not left:
            return
    yield left, None, turns


def _endpoints(whom: View, odds: Odds) -> Iterator[tuple[Fraction, Endpoint | None, bool]]:
    """Everybody who may be chosen, None for nobody."""
    for band in whom.bands:
        if whom.hashes and odds.key is not None:
            chance = Fraction(int(band.low <= odds.key % 100 < band.high))
        else:
            chance = span_chance(band.low, band.high, 100)
        for part, pool, turns in pools(band.part, odds) if chance else ():
            picker = pool.picker
            if picker is None:
                yield chance * part, None, turns
                continue
            # Where one number chooses the priority and the endpoint, the two are not independent.
            both = picker.draws_twice and not (whom.hashes and odds.key is not None)
            within = odds._replace(low=band.low, high=band.high) if both else odds
            before = part if both else chance * part
            for one, share in zip(pool.placed, picker.chances(within), strict=True):
                yield before * share, one.endpoint, turns or picker.remembers
