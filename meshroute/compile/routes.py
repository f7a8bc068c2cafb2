"""The rules of VirtualServices as routes, for one proxy on one port.

Source    spec/match.md, spec/route.md, spec/destination.md; istio/istio: pilot/pkg/networking/core/route/route.go
Inputs    VirtualServices that passed validation, and who asks.
Exactness routes stand in textual order, several `match` blocks as several routes with one action; a rule that matches
          everything ends its VirtualService.
Errors    none: what was wrong was diagnosed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from meshroute.compile import actions
from meshroute.compile.delegates import Delegates, Rule
from meshroute.compile.destination import Effective, hash_policies, milliseconds
from meshroute.compile.resolve import gateway_name, is_subset_of, resolve
from meshroute.compile.viewpoint import MeshConfig
from meshroute.diagnostics import FieldPath, path_text
from meshroute.manifest.istio import (
    Destination,
    HTTPMatchRequest,
    HTTPRedirect,
    RedirectPort,
    StringMatch,
    VirtualService,
)
from meshroute.names import DEFAULT_PORTS, ClusterName, Host, ascii_lower, wire
from meshroute.table import (
    REDIRECT_CODES,
    Action,
    AuthorityLiteral,
    Exact,
    Forward,
    HashPolicy,
    HeaderChanges,
    HeaderMatch,
    MetadataMatch,
    Mirror,
    PathMatch,
    Pattern,
    Prefix,
    Present,
    QueryMatch,
    Redirect,
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

    def stands_for(self, gateways: Iterable[str], owner: VirtualService) -> bool:
        """Whether one of the gateways that a resource names is its own."""
        return any(gateway_name(one, owner.namespace) in self.gateways for one in gateways)


def is_catch_all(route: Route) -> bool:
    """Whether nothing after this route can be reached: it takes every path, and asks nothing else."""
    asked = route.match
    if asked.headers or asked.query or asked.metadata:
        return False
    return asked.path in (Prefix("/"), Prefix("/", True), Pattern(".*"))


def cluster_name(port: int, subset: str, host: str) -> ClusterName:
    """`outbound|80|v1|web.shop.svc.cluster.local`."""
    return ClusterName(f"outbound|{port}|{subset}|{host}")


def applies(asked: HTTPMatchRequest, owner: VirtualService, asker: Asker, port: int) -> bool:
    """Whether a match can hold for who asks on a port, before any request is seen."""
    if asked.port and asked.port != port:
        return False
    if asked.gateways:  # with gateways named, labels and namespace of the source are not looked at
        return asker.stands_for(asked.gateways, owner)
    return is_subset_of(asked.source_labels, asker.labels) and (
        not asked.source_namespace or asked.source_namespace == asker.namespace
    )


class Rules:
    """Rules as one proxy gets them. `tls`: the listener ends TLS, so that clients speak https."""

    def __init__(
        self,
        asker: Asker,
        effective: Callable[[Host], Effective],
        delegates: Delegates,
        config: MeshConfig,
        concrete: Callable[[Host], Host] = lambda host: host,
        port_of: Callable[[Host, int], int] = lambda _, port: port,
        named: Callable[[int, str, str], ClusterName] = cluster_name,
    ) -> None:
        self.asker: Final = asker
        self.effective: Final = effective
        self.delegates: Final = delegates
        self.domain: Final = config.domain
        self.retries: Final = config.retries
        # What an ExternalName service stands for, on this port; DestinationRules go by the name that is written.
        self.concrete: Final = concrete
        self.port_of: Final = port_of
        self.named: Final = named

    def routes(self, virtual_service: VirtualService, port: int, *, tls: bool = False) -> tuple[Route, ...]:
        """The rules of a VirtualService as routes, up to the first that takes everything."""
        routes: list[Route] = []
        for rule in self.delegates.rules(virtual_service):
            written = rule.written
            # A redirect with another code has no action.
            if not (written.route or written.direct_response or written.redirect):
                continue
            if written.redirect is not None and written.redirect.redirect_code not in (0, *REDIRECT_CODES):
                continue
            template = self._route(rule, port, tls=tls)
            for asked, owner, path in rule.blocks:
                if asked is not None and not self.applies(asked, owner, port):
                    continue
                name = f"{written.name}.{asked.name}" if asked is not None and asked.name else written.name
                routes.append(
                    msgspec.structs.replace(
                        template,
                        match=_asked(asked) if asked is not None else EVERYTHING,
                        name=name,
                        rule=rule_ref(owner, path),
                    )
                )
                if is_catch_all(routes[-1]):
                    return tuple(routes)
        return tuple(routes)

    def applies(self, asked: HTTPMatchRequest, owner: VirtualService, port: int) -> bool:
        """The part of a match that is settled by who asks and where, before any request is seen."""
        return applies(asked, owner, self.asker, port)

    def _route(self, rule: Rule, port: int, *, tls: bool) -> Route:
        """What a rule does, whatever it asks."""
        written = rule.written
        changed = actions.changed_by(written.headers)
        action: Action
        if written.redirect is not None:
            action = _redirect(written.redirect, port, tls=tls)
        elif written.direct_response is not None:
            action = actions.fixed_answer(written.direct_response)
        else:
            if len(written.route) == 1:
                changed = changed.followed_by(actions.changed_by(written.route[0].headers))
            action = self._forward(rule, port, changed.authority)
        return Route(
            EVERYTHING,
            action,
            request_headers=_level(changed.request),
            response_headers=_level(changed.response),
            cors=actions.cors_of(written.cors_policy),
            fault=actions.fault_of(written.fault),
        )

    def _forward(self, rule: Rule, port: int, authority: str) -> Forward:
        written, several = rule.written, len(rule.written.route) > 1
        # A single one takes everything, whatever its weight.
        destinations = [one for one in written.route if one.weight] if several else written.route
        clusters: list[WeightedCluster] = []
        policies: list[HashPolicy] = []
        for one in destinations:
            host, cluster = self._cluster(one.destination, rule.owner, port)
            own = actions.changed_by(one.headers) if several else actions.UNCHANGED
            clusters.append(
                WeightedCluster(
                    cluster,
                    one.weight if several else 1,
                    request_headers=_one_level(own.request),
                    response_headers=_one_level(own.response),
                    authority=own.authority,
                )
            )
            policies.extend(hash_policies(self.effective(host), one.destination.subset, port_number(one.destination)))
        rewrite = written.rewrite
        literal = (wire(rewrite.authority) if rewrite is not None else "") or authority
        retries = actions.retries_of(written.retries, self.retries)
        return Forward(
            tuple(clusters),
            tuple(policies),
            retry_hosts=actions.retry_hosts(
                retries, written.retries or self.retries, one_by_key=not several and bool(policies)
            ),
            path=actions.path_rewrite(rewrite),
            authority=AuthorityLiteral(literal) if literal else None,
            timeout=milliseconds(written.timeout) if written.timeout is not None else 0,
            retries=retries,
            mirrors=tuple(self._mirrors(rule, port)),
        )

    def _mirrors(self, rule: Rule, port: int) -> Iterator[Mirror]:
        """Where copies go. A copy of no request is none."""
        written = rule.written
        destinations = (written.mirror,) if written.mirror is not None else [one.destination for one in written.mirrors]
        for destination, portion in zip(destinations, actions.mirror_portions(written), strict=True):
            if portion.numerator:
                yield Mirror(self._cluster(destination, rule.mirrored_by, port)[1], portion, shadow=False)

    def _cluster(self, destination: Destination, owner: VirtualService, port: int) -> tuple[Host, ClusterName]:
        """The service that a destination means, and its cluster."""
        host = resolve(destination.host, owner.namespace, self.domain)
        number = port_number(destination) or self.port_of(host, port)
        return host, self.named(number, destination.subset, self.concrete(host))


def _level(changes: HeaderChanges) -> tuple[HeaderChanges, ...]:
    return () if changes == HeaderChanges() else (changes,)


def _one_level(changes: HeaderChanges) -> HeaderChanges | None:
    return None if changes == HeaderChanges() else changes


def _redirect(asked: HTTPRedirect, port: int, *, tls: bool) -> Redirect:
    """A redirect as a proxy gets it: a port that is the scheme's own is not said."""
    number = asked.port or 0
    if asked.derive_port is RedirectPort.FROM_REQUEST_PORT:
        number = port
    if number == DEFAULT_PORTS.get(asked.scheme or ("https" if tls else "http")):
        number = 0
    return Redirect(
        asked.redirect_code or 301,
        wire(asked.scheme),
        wire(asked.authority),
        number,
        wire(asked.uri),
        wire(asked.prefix_rewrite) if not asked.uri else "",
    )


def port_number(destination: Destination) -> int | None:
    """The port that a destination names; None leaves it to the service, or to the listener."""
    return (destination.port.number or None) if destination.port is not None else None


def rule_ref(virtual_service: VirtualService, path: FieldPath) -> RuleRef:
    """Where a rule stands."""
    at = virtual_service.at("spec", *path)
    return RuleRef(
        virtual_service.kind, virtual_service.namespace, virtual_service.name, path_text(path), at.file, at.line
    )


def _asked(asked: HTTPMatchRequest) -> RouteMatch:
    """A match block as conditions: path, then pseudo headers, then headers by name, then query parameters by name."""
    headers: list[HeaderMatch] = []
    claims: list[MetadataMatch] = []
    for name, wanted in ((":scheme", asked.scheme), (":method", asked.method), (":authority", asked.authority)):
        if wanted is not None:
            headers.append(HeaderMatch(name, text_match(wanted)))
    for name in sorted(asked.headers):
        if (claim := claim_path(name)) is not None:
            claims.append(MetadataMatch(JWT_FILTER, claim, text_match(asked.headers[name])))
        else:
            headers.append(HeaderMatch(wire(ascii_lower(name)), text_match(asked.headers[name])))
    for name in sorted(asked.without_headers):
        value = text_match(asked.without_headers[name])
        if (claim := claim_path(name)) is not None:
            claims.append(MetadataMatch(JWT_FILTER, claim, value, invert=True))
            continue
        if value == Pattern("*"):  # not a regex, but the front-end's word for any value
            value = Present()
        headers.append(HeaderMatch(wire(ascii_lower(name)), value, True, not isinstance(value, Present)))
    query = [QueryMatch(wire(name), text_match(asked.query_params[name])) for name in sorted(asked.query_params)]
    return RouteMatch(_path(asked.uri, asked.ignore_uri_case), tuple(headers), tuple(query), metadata=tuple(claims))


JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
_CLAIMS: Final = "@request.auth.claims"


def claim_path(name: str) -> tuple[str, ...] | None:
    """Where a claim of the request's token is found; None for a header that is one.

    >>> claim_path("@request.auth.claims.groups"), claim_path("@request.auth.claims[a.b][c]"), claim_path("x-user")
    (('payload', 'groups'), ('payload', 'a.b', 'c'), None)
    """
    if not ascii_lower(name).startswith(_CLAIMS):
        return None
    rest = name[len(_CLAIMS) :]
    if rest.startswith("."):
        return ("payload", *rest[1:].split("."))
    if rest.startswith("[") and rest.endswith("]"):
        return ("payload", *rest[1:-1].split("]["))
    return None


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
