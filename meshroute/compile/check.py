"""What is to be said about manifests before anybody asks where a request goes.

Source    spec/validate.md; istio/istio: pkg/config/validation, pkg/config/analysis
Inputs    validated resources and the registry. Exactness: what Istio's webhook refuses is an error, what it accepts is
          not.
Errors    none: the answer is diagnostics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from meshroute.compile import wording
from meshroute.compile.check_edge import gateway_faults
from meshroute.compile.check_fault import Fault, annotation_faults
from meshroute.compile.check_gateways import check_gateways
from meshroute.compile.check_imports import check_entries, check_sidecars
from meshroute.compile.check_listeners import sidecar_faults
from meshroute.compile.check_matches import Alarm, alarms, covered, covered_connections
from meshroute.compile.check_names import is_label
from meshroute.compile.check_policy import check_policies
from meshroute.compile.check_routes import faults
from meshroute.compile.check_services import entry_faults, group_faults, workload_faults
from meshroute.compile.delegates import Delegates
from meshroute.compile.destination import DestinationRules
from meshroute.compile.known import Known
from meshroute.compile.resolve import is_subset_of, is_wild, resolve, visibility
from meshroute.compile.routes import port_number
from meshroute.compile.scope import governs_mesh, in_order
from meshroute.compile.service import Reach, Registry
from meshroute.compile.understood import not_acted_on
from meshroute.diagnostics import Diagnostic, FieldPath, SourceRef, path_text
from meshroute.manifest.istio import (
    Destination,
    DestinationRule,
    HTTPRoute,
    HTTPRouteDestination,
    RouteDestination,
    StringMatch,
    TCPRoute,
    TLSRoute,
    TrafficPolicy,
    VirtualService,
)
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import ServiceEntry, WorkloadEntry, WorkloadGroup
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.manifest.metadata import Resource
from meshroute.match.re2 import Re2SyntaxError, compile_full
from meshroute.names import Host, ascii_lower, wire
from meshroute.table import REDIRECT_CODES

LAST_PORT: Final = 65535
MAX_REGEX_BYTES = 1024
"""istio/istio: pkg/config/validation: the webhook's limit, before any program size is looked at."""

_ESCAPED: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
"""What stands behind a backslash; between `\\Q` and `\\E` nothing does."""


def check(
    registry: Registry,
    virtual_services: Sequence[VirtualService],
    rules: Sequence[DestinationRule],
    domain: str,
    others: Iterable[Gateway | ServiceEntry | Sidecar | WorkloadEntry | WorkloadGroup] = (),
    exported: Sequence[str] = ("*",),
) -> Iterator[Diagnostic]:
    """Everything worth saying, resource by resource. `exported` is who sees VirtualServices that do not say."""
    known = Known(registry)
    lookup = DestinationRules(rules, domain)
    delegates = Delegates(virtual_services)
    named = {
        (one.namespace, one.name)
        for root in virtual_services
        for rule in root.spec.http
        if rule.delegate is not None and (one := delegates.of(root, rule)) is not None
    }
    for virtual_service in virtual_services:
        if not virtual_service.spec.hosts and (virtual_service.namespace, virtual_service.name) not in named:
            yield wording.hosts_missing(virtual_service)
        yield from _check_virtual_service(virtual_service, known, lookup, domain)
        yield from _check_delegates(virtual_service, delegates)
    yield from _check_winners(virtual_services, known, domain, exported)
    for rule in rules:
        yield from _check_destination_rule(rule, known, domain)
    others = tuple(others)
    for alone in (*virtual_services, *rules, *others):
        yield from check_alone(alone)
    yield from check_gateways([one for one in others if isinstance(one, Gateway)], virtual_services, domain)
    for other in others:
        for path in not_acted_on(other.kind, other.spec):
            yield wording.field_not_modelled(other.subject, path_text(path[-2:]), other.at("spec", *path))
    yield from check_entries([one for one in others if isinstance(one, ServiceEntry)], known)
    yield from check_sidecars([one for one in others if isinstance(one, Sidecar)], virtual_services, known, domain)


def _check_virtual_service(
    virtual_service: VirtualService, known: Known, lookup: DestinationRules, domain: str
) -> Iterator[Diagnostic]:
    subject = virtual_service.subject
    for path in not_acted_on(virtual_service.kind, virtual_service.spec):
        yield wording.field_not_modelled(subject, str(path[-1]), virtual_service.at("spec", *path))
    yield from check_rules(virtual_service)
    for number, rule in enumerate(virtual_service.spec.http):
        code = rule.redirect.redirect_code if rule.redirect is not None else 0
        if 300 <= code <= 399 and code not in REDIRECT_CODES:
            at = virtual_service.at("spec", "http", number, "redirect", "redirectCode")
            yield wording.field_not_modelled(subject, "redirectCode", at)
    for path, destination, lost in _destinations(virtual_service):
        yield from _check_destination(virtual_service, destination, path, lost, known, lookup, domain)


_REQUESTS: Final = "requests sent there fail with 503 NC"
_CONNECTIONS: Final = "connections sent there are closed"


def _destinations(virtual_service: VirtualService) -> Iterator[tuple[FieldPath, Destination, str]]:
    """Everything that a VirtualService sends to: its place, and what becomes of what is sent to nobody."""
    for number, rule in enumerate(virtual_service.spec.http):
        for index, one in enumerate(rule.route):
            yield ("http", number, "route", index, "destination"), one.destination, _REQUESTS
        if rule.mirror is not None:
            yield ("http", number, "mirror"), rule.mirror, "copies go nowhere"
        for index, copy in enumerate(rule.mirrors):
            yield ("http", number, "mirrors", index, "destination"), copy.destination, "copies go nowhere"
    for number, passed in enumerate(virtual_service.spec.tls):
        for index, other in enumerate(passed.route):
            yield ("tls", number, "route", index, "destination"), other.destination, _CONNECTIONS
    for number, connections in enumerate(virtual_service.spec.tcp):
        for index, other in enumerate(connections.route):
            yield ("tcp", number, "route", index, "destination"), other.destination, _CONNECTIONS


def _check_delegates(root: VirtualService, delegates: Delegates) -> Iterator[Diagnostic]:
    """Rules that go on elsewhere, and nobody is there; and rules that do not go together with those that lead there."""
    for number, rule in enumerate(root.spec.http):
        if rule.delegate is None:
            continue
        at = root.at("spec", "http", number, "delegate")
        if not root.spec.hosts:
            continue  # a delegate that delegates is an error
        delegate = delegates.of(root, rule)
        if delegate is None:
            yield wording.delegate_unknown(root, rule.delegate, at)
            continue
        taken = {one.path[1] for one in delegates.merged(root, rule, number, delegate)}
        for index, one in enumerate(delegate.spec.http):
            if index not in taken and one.delegate is None:
                yield wording.rule_dropped(delegate, delegate.at("spec", "http", index), root, at)


def check_rules(virtual_service: VirtualService) -> Iterator[Diagnostic]:
    """What can be said of the rules of a VirtualService by themselves, whatever else there is."""
    yield from _told(virtual_service, faults(virtual_service))
    yield from _check_connections(virtual_service)
    hiding: int | None = None
    rules = virtual_service.spec.http
    for one in covered(rules):
        yield wording.match_covered(virtual_service, one.rule, one.match, one.earlier_rule, one.earlier_match)
    for number, passed in enumerate(virtual_service.spec.tls):
        yield from _check_weights(virtual_service, passed.route, ("tls", number, "route"))
    for number, connections in enumerate(virtual_service.spec.tcp):
        yield from _check_weights(virtual_service, connections.route, ("tcp", number, "route"))
    for alarm in alarms(rules):
        yield _alarmed(virtual_service, alarm)
    for number, rule in enumerate(rules):
        if not (rule.route or rule.redirect or rule.direct_response or rule.delegate):
            yield wording.rule_empty(virtual_service, number)
        if hiding is not None:
            yield wording.rule_unreachable(virtual_service, number, hiding, _as_one_rule(rules[hiding : number + 1]))
        elif not rule.match and rule.delegate is None:
            hiding = number
        yield from _check_patterns(virtual_service, rule, number)
        yield from _check_weights(virtual_service, rule.route, ("http", number, "route"))


def check_alone(resource: Resource) -> Iterator[Diagnostic]:
    """What can be said of a resource by itself, but for the rules of VirtualServices and DestinationRules."""
    for path, reason in annotation_faults(resource):
        yield wording.value_refused(resource, reason, "leave it out", resource.at(*path))
    match resource:
        case Gateway():
            if resource.metadata.name and not is_label(resource.metadata.name):
                reason = f"`{resource.metadata.name}` is no name of a Gateway: there is no dot in one"
                yield wording.value_refused(resource, reason, "", resource.at("metadata", "name"))
            yield from _told(resource, gateway_faults(resource))
        case ServiceEntry():
            yield from _told(resource, entry_faults(resource))
        case WorkloadEntry():
            yield from _told(resource, workload_faults(resource.spec, ()))
        case WorkloadGroup():
            yield from _told(resource, group_faults(resource))
        case Sidecar():
            yield from _told(resource, sidecar_faults(resource))


def _told(resource: Resource, found: Iterable[Fault]) -> Iterator[Diagnostic]:
    for fault in found:
        say = wording.value_discouraged if fault.warns else wording.value_refused
        yield say(resource, fault.reason, fault.help, resource.at("spec", *fault.path))


def _alarmed(virtual_service: VirtualService, alarm: Alarm) -> Diagnostic:
    def place(rule: int, match: int | None) -> SourceRef:
        return virtual_service.at("spec", "http", rule, *(("match", match) if match is not None else ()))

    what = f"rule #{alarm.rule}" if alarm.match is None else f"match #{alarm.match} of rule #{alarm.rule}"
    reason = (
        f"Istio says that {what} is never used, for rule #{alarm.earlier_rule}; it is used for what that one leaves"
    )
    related = (place(alarm.earlier_rule, alarm.earlier_match),)
    return wording.istio_warns(virtual_service, reason, place(alarm.rule, alarm.match), related)


def _check_connections(virtual_service: VirtualService) -> Iterator[Diagnostic]:
    """Rules and matches for TLS and TCP that no connection reaches."""
    spec = virtual_service.spec
    some: tuple[tuple[str, Sequence[TLSRoute | TCPRoute]], ...] = (("tls", spec.tls), ("tcp", spec.tcp))
    for protocol, rules in some:
        for one in covered_connections(rules):
            yield wording.match_covered(
                virtual_service, one.rule, one.match, one.earlier_rule, one.earlier_match, protocol
            )
        hiding = next((number for number, rule in enumerate(rules) if not rule.match), len(rules))
        for number in range(hiding + 1, len(rules)):
            mended = "put the rule without conditions last"
            yield wording.rule_unreachable(virtual_service, number, hiding, mended, protocol)


def _check_patterns(virtual_service: VirtualService, rule: HTTPRoute, number: int) -> Iterator[Diagnostic]:
    for index, asked in enumerate(rule.match):
        here: FieldPath = ("http", number, "match", index)
        places: list[tuple[FieldPath, StringMatch | None]] = [
            ((*here, "uri"), asked.uri),
            ((*here, "scheme"), asked.scheme),
            ((*here, "method"), asked.method),
            ((*here, "authority"), asked.authority),
        ]
        for field, values in (
            ("headers", asked.headers),
            ("withoutHeaders", asked.without_headers),
            ("queryParams", asked.query_params),
        ):
            places.extend(((*here, field, name), value) for name, value in values.items())
        for path, wanted in places:
            if wanted is not None and not (wanted.regex == "*" and "withoutHeaders" in path):
                yield from _check_pattern(virtual_service, wanted.regex, (*path, "regex"))
    for index, origin in enumerate(rule.cors_policy.allow_origins if rule.cors_policy is not None else ()):
        path = ("http", number, "corsPolicy", "allowOrigins", index, "regex")
        yield from _check_pattern(virtual_service, origin.regex, path)
    if rule.rewrite is not None and rule.rewrite.uri_regex_rewrite is not None:
        path = ("http", number, "rewrite", "uriRegexRewrite", "match")
        yield from _check_pattern(virtual_service, rule.rewrite.uri_regex_rewrite.match, path)


def _check_pattern(virtual_service: VirtualService, pattern: str | None, path: FieldPath) -> Iterator[Diagnostic]:
    if pattern is None:
        return
    at = virtual_service.at("spec", *path)
    try:
        compile_full(wire(pattern))
    except Re2SyntaxError as error:
        yield wording.regex_invalid(virtual_service.subject, pattern, str(error), error.position, at)
    if (position := _any_byte(wire(pattern))) is not None:
        reason = "Istio asks Go's RE2, which has no `\\C`"
        yield wording.regex_invalid(virtual_service.subject, pattern, reason, position, at)
    if len(wire(pattern)) > MAX_REGEX_BYTES:
        yield wording.regex_too_long(virtual_service.subject, len(wire(pattern)), at)


def _any_byte(pattern: str) -> int | None:
    """Where a pattern asks for one byte, whatever it is part of: proxies can, and Istio's webhook cannot."""
    return next((one.start() for one in _ESCAPED.finditer(pattern) if one[0] == "\\C"), None)


def _check_weights(
    virtual_service: VirtualService, destinations: Sequence[HTTPRouteDestination | RouteDestination], path: FieldPath
) -> Iterator[Diagnostic]:
    """Weights of one rule. What the webhook says of those of connections is said with what else it refuses."""
    for index, one in enumerate(destinations):
        here = virtual_service.at("spec", *path, index, "weight")
        written = "weight" in one.model_fields_set
        if one.weight < 0 and path[0] == "http":
            yield wording.weight_negative(virtual_service, one.weight, here)
        elif len(destinations) == 1 and written and one.weight != 100:
            yield wording.weight_ignored(virtual_service, one.weight, here)
        elif len(destinations) > 1 and not written:
            yield wording.weight_missing(virtual_service, virtual_service.at("spec", *path, index))
    if len(destinations) > 1 and not any(one.weight for one in destinations) and path[0] == "http":
        yield wording.weights_sum_to_zero(virtual_service, virtual_service.at("spec", *path))


def _check_destination(
    virtual_service: VirtualService,
    destination: Destination,
    path: FieldPath,
    lost: str,
    known: Known,
    lookup: DestinationRules,
    domain: str,
) -> Iterator[Diagnostic]:
    """Host, port and subset of a destination, as a client in the VirtualService's own namespace would find them."""
    subject = virtual_service.subject
    host = resolve(destination.host, virtual_service.namespace, domain)
    service = known.services.get(host)
    port = port_number(destination)
    at_port = virtual_service.at("spec", *path, "port", "number")
    asked = host
    if service is not None and service.reach is Reach.ALIAS:
        if port is not None and service.port(port) is None:
            yield wording.port_unknown(subject, host, port, (other.number for other in service.ports), at_port, lost)
            return
        asked = Host(service.external_name)
        service = known.services.get(asked)
    if service is None:
        at = virtual_service.at("spec", *path, "host")
        yield wording.host_unknown(subject, asked, known.nearest(asked), at, lost)
        return
    if port is not None and port <= LAST_PORT and service.port(port) is None:  # a number above is refused already
        yield wording.port_unknown(subject, asked, port, (other.number for other in service.ports), at_port, lost)
    subset = destination.subset
    if subset:
        found = lookup.candidates(virtual_service.namespace, asked, service.namespace)
        subsets = tuple(dict.fromkeys(name for rule in found for name in rule.subsets))
        if subset not in subsets:
            at = virtual_service.at("spec", *path, "subset")
            yield wording.subset_unknown(subject, subset, asked, subsets, at, lost)


def _check_winners(
    virtual_services: Sequence[VirtualService], known: Known, domain: str, exported: Sequence[str]
) -> Iterator[Diagnostic]:
    """Hosts that two VirtualServices claim, as a client in the loser's own namespace sees them, if it sees both."""
    claims: dict[str, list[VirtualService]] = {}
    for one in virtual_services:
        if governs_mesh(one):
            for host in {ascii_lower(resolve(written, one.namespace, domain)) for written in one.spec.hosts}:
                claims.setdefault(host, []).append(one)
    winners: dict[tuple[str, str], VirtualService | None] = {}
    for one in virtual_services:
        if not governs_mesh(one):
            continue
        seen_at_home = visibility(one.spec.export_to or exported, one.namespace, one.namespace) != "hidden"
        for index, written in enumerate(one.spec.hosts):
            host = ascii_lower(resolve(written, one.namespace, domain))
            key = (host, one.namespace)
            if key not in winners:
                winners[key] = next(iter(in_order(claims[host], one.namespace, exported)), None)
            winner = (winners[key] or one) if seen_at_home else one
            at = one.at("spec", "hosts", index)
            if winner is not one:
                yield wording.host_taken(one, host, winner, at)
            # A dotted name may be a host outside the mesh; only one that looks like a service is worth a word.
            elif (
                not is_wild(host)
                and host not in known.services
                and ("." not in written or host.endswith(f".svc.{domain}"))
            ):
                meant = known.nearest(host)
                yield wording.host_unknown(one.subject, host, meant, at, "the rules apply to nobody's requests")
            asked_ports = {asked.port for rule in one.spec.http for asked in rule.match}
            for service in known.covered(host) if one.spec.http else ():
                # Where there are HTTP ports too, the rules are for those.
                mixed = any(port.protocol.may_be_http for port in service.ports)
                for port in service.ports:
                    if not port.protocol.may_be_http and not (mixed and port.number not in asked_ports):
                        yield wording.protocol_not_http(one, service.host, port.number, port.name, at)


def _check_destination_rule(rule: DestinationRule, known: Known, domain: str) -> Iterator[Diagnostic]:
    host = resolve(rule.spec.host, rule.namespace, domain)
    covered = known.covered(host)
    if not covered:
        at = rule.at("spec", "host")
        yield wording.host_unknown(rule.subject, host, known.nearest(host), at, "the rule governs nothing")
    for path in not_acted_on(rule.kind, rule.spec):
        yield wording.field_not_modelled(rule.subject, path_text(path[-2:]), rule.at("spec", *path))
    yield from check_policies(rule)
    for entry_path, number in _settings_of_ports(rule):
        numbers = dict.fromkeys(port.number for service in covered for port in service.ports)
        if covered and number not in numbers:
            at = rule.at("spec", *entry_path, "port", "number")
            yield wording.port_unknown(rule.subject, host, number, numbers, at, "the settings hold for nothing")
    for index, subset in enumerate(rule.spec.subsets):
        for service in covered:
            if not (service.reach is Reach.LISTED or service.reach.by_name):
                continue  # requests go where the client was going, whatever the subset
            members = [member for of_port in service.members.values() for member in of_port]
            if not any(is_subset_of(subset.labels, member.labels) for member in members):
                at = rule.at("spec", "subsets", index, "labels")
                yield wording.subset_empty(rule, subset.name, service.host, service.reach.by_name, at)


def _settings_of_ports(rule: DestinationRule) -> Iterator[tuple[FieldPath, int]]:
    """The entries for ports in the policies of a rule and its subsets, with their numbers."""
    policies: list[tuple[FieldPath, TrafficPolicy | None]] = [(("trafficPolicy",), rule.spec.traffic_policy)]
    policies += [
        (("subsets", number, "trafficPolicy"), one.traffic_policy) for number, one in enumerate(rule.spec.subsets)
    ]
    for path, policy in policies:
        for number, entry in enumerate(policy.port_level_settings if policy is not None else ()):
            if entry.port is not None and entry.port.number:
                yield (*path, "portLevelSettings", number), entry.port.number


def _as_one_rule(rules: Sequence[HTTPRoute]) -> str:
    """The lines that were meant, where rules without conditions each send to one weighted destination; else nothing."""
    lines = ["did you mean to split the requests? then it is one rule with several destinations:", "http:", "- route:"]
    for rule in rules:
        if rule.match or not rule.route or len(rule.route) != 1 or "weight" not in rule.route[0].model_fields_set:
            return ""
        one = rule.route[0]
        subset = f", subset: {one.destination.subset}" if one.destination.subset else ""
        lines += [f"  - destination: {{host: {one.destination.host}{subset}}}", f"    weight: {one.weight}"]
    return "\n".join(lines)
