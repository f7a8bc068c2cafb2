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

from meshroute.arrive import made_id
from meshroute.balance import Odds, View, pools, span_chance
from meshroute.balance.request_key import knows_its_ends, request_key
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
from meshroute.decision import FORWARDED, NO_CLUSTER, NO_ROUTE, NOBODY_LISTENS, Decision, Failed, Outcome
from meshroute.doing import outcome_of
from meshroute.draws import Draws
from meshroute.match.index import HostIndex
from meshroute.request import Request
from meshroute.residues import All, Taken, parted
from meshroute.state import State
from meshroute.table import Action, Endpoint, Forward, HashOnHeader, OriginalDestination, Route

Horizon: TypeAlias = Literal["next", "long-run"]
_NO_DRAWS: Final = Draws()
"""Draws for a key that none of them can change."""
Leaf: TypeAlias = tuple[Fraction, Decision, bool]
"""A way a decision can go: its probability, the decision, and whether it depends on what was picked before."""


class Shares(msgspec.Struct, frozen=True):
    """Exact probabilities of what becomes of a request; each mapping sums to 1.

    `pods` goes by `namespace/name`, None for every way without a pod; `by_endpoint` by `ip:port`; `by_rule` by the
    rule's text, None where no rule took part. `horizon` says whether they are of the next request in the given state
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
        }


def shares(plan: Plan, request: Request, state: State, horizon: Horizon) -> Shares:
    """The exact chances of every way the request can go. Raises ValueError for a horizon that is none."""
    if horizon not in ("next", "long-run"):
        raise ValueError(f"horizon `{horizon}` is not one of `next`, `long-run`")
    leaves = [leaf for leaf in _leaves(plan, request, state, horizon == "long-run") if leaf[0]]

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
    )


def _leaves(plan: Plan, request: Request, state: State, long_run: bool) -> Iterator[Leaf]:
    listener = plan.taker(request)
    if isinstance(listener, Failed):
        yield Fraction(1), Decision(listener, request), False
        return
    if not isinstance(listener, HostIndex):
        going = passing(plan, listener, request)
        if going is None:
            yield Fraction(1), Decision(NOBODY_LISTENS, request), False
            return
        for chance, decision, remembers in _of_action(plan, request, state, long_run, going.route, going.action, All()):
            yield chance, closed(decision), remembers
        return
    here = arrived(listener, request, _NO_DRAWS)
    if not isinstance(here, Request):
        yield Fraction(1), Decision(here, request), False
        return
    ways = possible_routes(listener, here)
    parts: Sequence[Taken | All] = (All(),) if len(ways) == 1 else parted(portion for _, portion in ways)
    for (route, _), part in zip(ways, parts, strict=True):
        action = route.action if route is not None else None
        yield from _of_action(plan, onward(request, here), state, long_run, route, action, part)


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
    name, rule = (route.name, route.rule) if route is not None else ("", None)
    if action is None:
        yield part.chance(), Decision(NO_ROUTE, request), False
        return
    if not isinstance(action, Forward):
        assert route is not None
        yield part.chance(), Decision(outcome_of(route, request), request, name, rule), False
        return
    for chosen, low, high, total in spans(action.clusters):
        chance, cluster = part.in_span(low, high, total), chosen.cluster
        target = plan.targets.get(cluster)
        if target is None:
            yield chance, Decision(NO_CLUSTER, request, name, rule, cluster), False
            continue
        subset = target.cluster.subset or None
        if isinstance(target.cluster.policy, OriginalDestination):
            there = original_destination(request)
            yield chance, Decision(FORWARDED, request, name, rule, cluster, subset, there), False
            continue
        key = _key(action, request) if target.hashes else None
        parts = [one.view for one in target.asked(state, action, chosen)]
        for share, endpoint, remembers in _of_parts(parts, Odds(state, key, long_run)):
            outcome = FORWARDED if endpoint is not None else dead_end(route)
            yield chance * share, Decision(outcome, request, name, rule, cluster, subset, endpoint), remembers


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
