"""The rules of VirtualServices as routes, for one proxy on one port.

Source    spec/match.md, spec/route.md, spec/destination.md; istio/istio: pilot/pkg/networking/core/route/route.go
Inputs    VirtualServices that passed validation, and who asks.
Exactness routes stand in textual order, several `match` blocks as several routes with one action; a rule that matches
          everything ends its VirtualService.
Errors    none: what was wrong was diagnosed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from meshroute.compile.destination import Effective, hash_policies
from meshroute.compile.resolve import is_subset_of, resolve
from meshroute.diagnostics import FieldPath, path_text
from meshroute.manifest.istio import (
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRoute,
    HTTPRouteDestination,
    RedirectPort,
    StringMatch,
    VirtualService,
)
from meshroute.names import DEFAULT_PORTS, ClusterName, Host, ascii_lower, wire
from meshroute.table import (
    REDIRECT_CODES,
    Action,
    Exact,
    Forward,
    HashPolicy,
    HeaderMatch,
    PathMatch,
    Pattern,
    Prefix,
    Present,
    QueryMatch,
    Redirect,
    Respond,
    Route,
    RouteMatch,
    RuleRef,
    WeightedCluster,
)

EVERYTHING: Final = RouteMatch()


class Asker(msgspec.Struct, frozen=True):
    """Who has the rules: the gateways it stands for (`mesh` for a sidecar), its labels and its namespace."""

    gateways: frozenset[str]
    labels: Mapping[str, str]
    namespace: str


def is_catch_all(route: Route) -> bool:
    """Whether nothing after this route can be reached: it takes every path, and asks nothing else."""
    asked = route.match
    return not asked.headers and not asked.query and asked.path in (Prefix("/"), Prefix("/", True), Pattern(".*"))


def cluster_name(port: int, subset: str, host: str) -> ClusterName:
    """`outbound|80|v1|web.shop.svc.cluster.local`."""
    return ClusterName(f"outbound|{port}|{subset}|{host}")


class Rules:
    """Rules as one proxy gets them."""

    def __init__(
        self,
        asker: Asker,
        effective: Callable[[Host], Effective],
        domain: str,
        concrete: Callable[[Host], Host] = lambda host: host,
    ) -> None:
        self.asker: Final = asker
        self.effective: Final = effective
        self.domain: Final = domain
        # What an ExternalName service stands for, on this port; DestinationRules go by the name that is written.
        self.concrete: Final = concrete

    def routes(self, virtual_service: VirtualService, port: int) -> tuple[Route, ...]:
        """The rules of a VirtualService as routes, up to the first that takes everything."""
        routes: list[Route] = []
        for number, rule in enumerate(virtual_service.spec.http):
            # A delegate that is not there drops its entry and no other; a redirect with another code has no action.
            if rule.delegate is not None or not (rule.route or rule.direct_response or rule.redirect):
                continue
            if rule.redirect is not None and rule.redirect.redirect_code not in (0, *REDIRECT_CODES):
                continue
            action = self._action(virtual_service, rule, port)
            for asked, path, name in _blocks(rule, number):
                if asked is not None and not self._applies(asked, port):
                    continue
                routes.append(
                    Route(
                        match=_asked(asked) if asked is not None else EVERYTHING,
                        action=action,
                        name=name,
                        rule=_rule_ref(virtual_service, path),
                    )
                )
                if is_catch_all(routes[-1]):
                    return tuple(routes)
        return tuple(routes)

    def _applies(self, asked: HTTPMatchRequest, port: int) -> bool:
        """The part of a match that is settled by who asks and where, before any request is seen."""
        if asked.port and asked.port != port:
            return False
        if asked.gateways:  # with gateways named, labels and namespace of the source are not looked at
            return not self.asker.gateways.isdisjoint(asked.gateways)
        return is_subset_of(asked.source_labels, self.asker.labels) and (
            not asked.source_namespace or asked.source_namespace == self.asker.namespace
        )

    def _action(self, virtual_service: VirtualService, rule: HTTPRoute, port: int) -> Action:
        if rule.direct_response is not None:
            body = rule.direct_response.body
            text = body.string if body is not None else None
            return Respond(rule.direct_response.status, wire(text or ""))
        if rule.redirect is not None:
            return _redirect(rule.redirect, port)
        destinations = rule.route
        if len(destinations) > 1:  # a single one takes everything, whatever its weight
            destinations = tuple(one for one in destinations if one.weight)
        clusters: list[WeightedCluster] = []
        policies: list[HashPolicy] = []
        for one in destinations:
            host = resolve(one.destination.host, virtual_service.namespace, self.domain)
            number = destination_port(one)
            subset = one.destination.subset
            weight = one.weight if len(destinations) > 1 else 1
            clusters.append(WeightedCluster(cluster_name(number or port, subset, self.concrete(host)), weight))
            policies.extend(hash_policies(self.effective(host), subset, number))
        return Forward(tuple(clusters), tuple(policies))


def _redirect(asked: HTTPRedirect, port: int) -> Redirect:
    """A redirect as a proxy gets it: a port that is the scheme's own is not said."""
    number = asked.port or 0
    if asked.derive_port is RedirectPort.FROM_REQUEST_PORT:
        number = port
    if number == DEFAULT_PORTS.get(asked.scheme or "http"):
        number = 0
    return Redirect(
        asked.redirect_code or 301,
        wire(asked.scheme),
        wire(asked.authority),
        number,
        wire(asked.uri),
        wire(asked.prefix_rewrite) if not asked.uri else "",
    )


def destination_port(destination: HTTPRouteDestination) -> int | None:
    """The port that a destination names; None leaves it to the listener."""
    port = destination.destination.port
    return (port.number or None) if port is not None else None


def _blocks(rule: HTTPRoute, number: int) -> Iterator[tuple[HTTPMatchRequest | None, FieldPath, str]]:
    """The match blocks of a rule, each with its field path and the route name it makes; one None for a rule without
    any."""
    if not rule.match:
        yield None, ("http", number), rule.name
    for index, asked in enumerate(rule.match):
        name = f"{rule.name}.{asked.name}" if asked.name else rule.name
        yield asked, ("http", number, "match", index), name


def _rule_ref(virtual_service: VirtualService, path: FieldPath) -> RuleRef:
    at = virtual_service.at("spec", *path)
    return RuleRef(
        virtual_service.kind, virtual_service.namespace, virtual_service.name, path_text(path), at.file, at.line
    )


def _asked(asked: HTTPMatchRequest) -> RouteMatch:
    """A match block as conditions: path, then pseudo headers, then headers by name, then query parameters by name."""
    headers: list[HeaderMatch] = []
    for name, wanted in ((":scheme", asked.scheme), (":method", asked.method), (":authority", asked.authority)):
        if wanted is not None:
            headers.append(HeaderMatch(name, text_match(wanted)))
    for name in sorted(asked.headers):
        headers.append(HeaderMatch(wire(ascii_lower(name)), text_match(asked.headers[name])))
    for name in sorted(asked.without_headers):
        value = text_match(asked.without_headers[name])
        if value == Pattern("*"):  # not a regex, but the front-end's word for any value
            value = Present()
        headers.append(HeaderMatch(wire(ascii_lower(name)), value, True, not isinstance(value, Present)))
    query = [QueryMatch(wire(name), text_match(asked.query_params[name])) for name in sorted(asked.query_params)]
    return RouteMatch(_path(asked.uri, asked.ignore_uri_case), tuple(headers), tuple(query))


def _path(uri: StringMatch | None, ignore_case: bool) -> PathMatch:
    """The path condition. Ignoring case works for plain text; a pattern has `(?i)` for that."""
    wanted = text_match(uri)
    match wanted:
        case Exact(value):
            return Exact(value, ignore_case)
        case Prefix(value):
            return Prefix(value, ignore_case)
        case Pattern():
            return wanted
        case _:
            return Prefix("/")


def text_match(wanted: StringMatch | None) -> Exact | Prefix | Pattern | Present:
    """A StringMatch as a condition; one that says nothing asks for presence."""
    if wanted is None:
        return Present()
    if wanted.exact is not None:
        return Exact(wire(wanted.exact))
    if wanted.prefix is not None:
        return Prefix(wire(wanted.prefix))
    if wanted.regex is not None:
        return Pattern(wire(wanted.regex))
    return Present()
