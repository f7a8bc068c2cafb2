"""Weights that say something else than they seem to.

Source    spec/route.md ROUTE-1, ROUTE-2; istio/istio: pkg/config/validation/validation.go;
          kiali/kiali: business/checkers/virtualservices
Inputs    rules of VirtualServices. Exactness: shares are fractions, in lowest terms.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import World
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.routes import port_number
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio import HTTPRoute, HTTPRouteDestination, RouteDestination, VirtualService


def check_weights(world: World) -> Iterator[Finding]:
    """Sums other than 100, destinations that are there twice, splits over several rules."""
    for one in world.virtual_services:
        for number, rule in enumerate(one.spec.http):
            yield from _route(one, rule.route, ("http", number, "route"), world)
        for number, passed in enumerate(one.spec.tls):
            yield from _route(one, passed.route, ("tls", number, "route"), world)
        for number, connections in enumerate(one.spec.tcp):
            yield from _route(one, connections.route, ("tcp", number, "route"), world)
        yield from _splits(one)


def _route(
    one: VirtualService, route: Sequence[HTTPRouteDestination | RouteDestination], here: FieldPath, world: World
) -> Iterator[Finding]:
    total = sum(to.weight for to in route)
    if len(route) > 1 and total not in (0, 100):
        shares = ", ".join(str(Fraction(to.weight, total)) for to in route)
        yield found(
            LintCode.WEIGHTS_SUM,
            f"the weights sum to {total}, not to 100: they are shares of that sum, here {shares}",
            one.at("spec", *here),
            one.subject,
            help="nothing is left over or sent elsewhere; weights that sum to 100 read as percentages",
        )
    first: dict[tuple[object, ...], int] = {}
    for index, to in enumerate(route):
        changes = to.headers if isinstance(to, HTTPRouteDestination) else None
        known = (world.full(one, to.destination.host), to.destination.subset, port_number(to.destination))
        earlier = first.setdefault(known, index)
        # Several times with other headers may be meant.
        if earlier != index and changes == getattr(route[earlier], "headers", None):
            yield found(
                LintCode.DESTINATION_TWICE,
                "this destination is in the rule already: its weight adds to that of the first",
                one.at("spec", *here, index, "destination"),
                one.subject,
                help=f"write it once, with weight {route[earlier].weight + to.weight}, or name another subset",
                related=(one.at("spec", *here, earlier, "destination"),),
            )


def _splits(one: VirtualService) -> Iterator[Finding]:
    """Rules with the same matches, each with one weighted destination. Of rules without matches loading tells."""
    before: dict[str, list[int]] = {}
    for number, rule in enumerate(one.spec.http):
        if not rule.match or not _weighs(rule):
            continue
        same = before.setdefault(repr(rule.match), [])
        same.append(number)
        if len(same) > 1:
            lines = ["did you mean to split the requests? then it is one rule with several destinations:", "- route:"]
            for index in same:
                to = one.spec.http[index].route[0]
                subset = f", subset: {to.destination.subset}" if to.destination.subset else ""
                lines.append(f"  - {{destination: {{host: {to.destination.host}{subset}}}, weight: {to.weight}}}")
            yield found(
                LintCode.SPLIT_OVER_RULES,
                f"rule #{same[0]} has the same matches and takes every request that they take: weights of different "
                "rules divide nothing",
                one.at("spec", "http", number),
                one.subject,
                help="\n".join(lines),
                related=(one.at("spec", "http", same[0]),),
            )


def _weighs(rule: HTTPRoute) -> bool:
    return len(rule.route) == 1 and 0 < rule.route[0].weight < 100
