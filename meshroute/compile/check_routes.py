"""What Istio's webhook refuses in a VirtualService, each in its place.

Source    spec/validate.md CHECK-12 to CHECK-16; istio/istio: pkg/config/validation/{validation.go,virtualservice.go},
          pkg/config/validation/agent/validation.go
Inputs    a VirtualService that the schema took. Exactness: what the webhook refuses is an error, what it accepts is
          not; where it stops at the first thing that is wrong, so does this.
Errors    none: the answer is faults with their field paths.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from meshroute.compile.actions import GRPC
from meshroute.compile.check_fault import Fault, export_faults, labels_faults, port_faults, span_faults
from meshroute.compile.check_names import (
    RETRY_WORDS,
    changed_header_fault,
    exposed_header_fault,
    header_fault,
    header_value_fault,
    host_fault,
    is_claim,
    is_label,
    name_fault,
    retry_word_fault,
    set_header_fault,
    subnet_fault,
)
from meshroute.compile.resolve import MESH, covers, overlaps
from meshroute.diagnostics import FieldPath, nearest
from meshroute.manifest.istio import (
    CorsPolicy,
    Destination,
    Headers,
    HTTPBody,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    L4MatchAttributes,
    Percent,
    RouteDestination,
    StringMatch,
    TLSMatchAttributes,
    VirtualService,
    VirtualServiceSpec,
)
from meshroute.names import is_ip, wire

_SECOND: Final = 1_000_000_000
LARGE_BODY: Final = 100 * 1024
"""Bytes of a fixed answer from which on Istio warns."""
LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a fixed answer that Istio takes at most."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")
"""What pages may be allowed to do."""


def faults(virtual_service: VirtualService) -> Iterator[Fault]:
    """What the webhook has to say about a VirtualService, but for weights, patterns and rules that nobody uses."""
    spec = virtual_service.spec
    yield from _service_faults(spec)
    yield from export_faults(spec.export_to, virtual_service.namespace)
    for number, rule in enumerate(spec.http):
        yield from _rule_faults(rule, ("http", number), spec)
    for number, one in enumerate(spec.tls):
        here: FieldPath = ("tls", number)
        if not one.match:
            yield Fault((*here, "match"), "a rule for TLS needs a match with `sniHosts`")
        for index, asked in enumerate(one.match):
            yield from _sni_faults(asked, (*here, "match", index), spec)
        yield from _connection_faults(one.match, one.route, here, "TLS")
    for number, other in enumerate(spec.tcp):
        yield from _connection_faults(other.match, other.route, ("tcp", number), "TCP")


# The VirtualService itself


def _service_faults(spec: VirtualServiceSpec) -> Iterator[Fault]:
    if not spec.hosts:
        for field, written in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
            if written:
                yield Fault((field,), f"a VirtualService without `hosts` is a delegate, and has no `{field}`")
    if not (spec.http or spec.tls or spec.tcp):
        yield Fault((), "a VirtualService needs rules: `http`, `tls` or `tcp`")
    yield from _gateway_faults(spec.gateways, ("gateways",))
    yield from _host_faults(spec)


def _gateway_faults(names: Iterable[str], path: FieldPath) -> Iterator[Fault]:
    for number, name in enumerate(names):
        here = (*path, number)
        namespace, slash, rest = name.partition("/")
        if not slash:
            if "." in name:
                first, second, *_ = name.split(".")
                reason = f"`{name}` is the form of long ago for a Gateway's name"
                yield Fault(here, reason, f"write `{second}/{first}`", warns=True)
            if fault := name_fault(name):
                yield Fault(here, fault, "name a Gateway, `namespace/name` for one of another namespace")
            return  # Istio looks at no name behind one without a namespace
        for part, what in ((namespace, "namespace"), (rest, "name of a Gateway")):
            if not is_label(part):
                yield Fault(here, f"`{part}` is no {what}", "write `namespace/name`; neither has wildcards")


def _host_faults(spec: VirtualServiceSpec) -> Iterator[Fault]:
    edge = bool(spec.gateways) and MESH not in spec.gateways
    sound = True
    for number, host in enumerate(spec.hosts):
        if fault := "" if is_ip(host) or (edge and _is_sni_of_old(host, spec)) else host_fault(host):
            yield Fault(("hosts", number), fault, "write a DNS name; only its first part may be or begin with a `*`")
            sound = False
        elif host == "*" and not edge:
            reason = "`*` is no host for sidecars: it is one for Gateways only"
            yield Fault(("hosts", number), reason, "name the services, or a Gateway in `gateways`")
            sound = False
    if not sound:
        return
    for (_, earlier), (number, later) in combinations(enumerate(spec.hosts), 2):
        if overlaps(earlier, later):
            yield Fault(("hosts", number), f"`{later}` overlaps with `{earlier}`", "keep the wider one")


def _is_sni_of_old(host: str, spec: VirtualServiceSpec) -> bool:
    """Whether a host is a name like `outbound_.80_._.web.example`, which gateways pass through by."""
    parts = host.split("_")
    if not host.startswith("outbound_") or not any(asked.sni_hosts for one in spec.tls for asked in one.match):
        return False
    return (
        len(host.encode()) <= 255
        and len(parts) > 3
        and any(letter in "0123456789" for letter in parts[1])
        and any(letter.isascii() and letter.isalpha() for letter in parts[3])
    )


# HTTP


def _rule_faults(rule: HTTPRoute, here: FieldPath, spec: VirtualServiceSpec) -> Iterator[Fault]:
    yield from _conflicts(rule, here, delegate=not spec.hosts)
    claims = bool(spec.gateways) and MESH not in spec.gateways
    for index, asked in enumerate(rule.match):
        yield from _match_faults(asked, (*here, "match", index), claims=claims)
    yield from _headers_faults(rule.headers, (*here, "headers"))
    if rule.cors_policy is not None:
        yield from _cors_faults(rule.cors_policy, (*here, "corsPolicy"))
    if rule.fault is not None:
        yield from _injection_faults(rule.fault, (*here, "fault"))
    yield from _mirror_faults(rule, here)
    if rule.redirect is not None:
        yield from _redirect_faults(rule.redirect, rule.match, (*here, "redirect"))
    if rule.direct_response is not None:
        yield from _status_faults(rule.direct_response.status, (*here, "directResponse", "status"))
        if rule.direct_response.body is not None:
            yield from _body_faults(rule.direct_response.body, (*here, "directResponse", "body"))
    if rule.retries is not None:
        yield from _retry_faults(rule.retries, (*here, "retries"))
    if rule.rewrite is not None:
        yield from _rewrite_faults(rule.rewrite, (*here, "rewrite"))
    yield from _authority_faults(rule, here)
    for index, one in enumerate(rule.route):
        yield from _headers_faults(one.headers, (*here, "route", index, "headers"))
        yield from destination_faults(one.destination, (*here, "route", index, "destination"))
    yield from span_faults(rule.timeout, (*here, "timeout"))


def _conflicts(rule: HTTPRoute, here: FieldPath, *, delegate: bool) -> Iterator[Fault]:
    """Actions of one rule that cannot be together. Of a rule without any, `rule-empty` tells."""
    if rule.delegate is not None and delegate:
        yield Fault((*here, "delegate"), "a delegate cannot delegate", "write the rules here")
    elif rule.delegate is not None:
        for field, written in (("redirect", rule.redirect), ("route", rule.route or None)):
            if written is not None:
                yield Fault((*here, field), f"a rule with `delegate` has no `{field}`", "put it into the delegate")
        return
    others = {
        "route": rule.route or None,
        "fault": rule.fault,
        "rewrite": rule.rewrite,
        "directResponse": rule.direct_response,
    }
    if rule.redirect is not None:
        answer = "redirect"
    elif rule.direct_response is not None:
        answer = "directResponse"
        del others["directResponse"]
    else:
        answer, others = "", {}
    for field, other in others.items():
        if other is not None:
            yield Fault((*here, field), f"a rule with `{answer}` has no `{field}`", "keep one of them")
    if rule.mirror is not None and rule.mirrors:
        yield Fault((*here, "mirror"), "a rule has `mirror` or `mirrors`, not both", "put it into `mirrors`")


def _match_faults(asked: HTTPMatchRequest, here: FieldPath, *, claims: bool) -> Iterator[Fault]:
    for field, matches in (("headers", asked.headers), ("withoutHeaders", asked.without_headers)):
        for name, wanted in matches.items():
            at = (*here, field, name)
            if fault := header_fault(name):
                yield Fault(at, fault)
            if is_claim(name) and not claims:
                yield Fault(at, "claims of tokens are for Gateways only", "name Gateways in `gateways`, without `mesh`")
            if not (field == "withoutHeaders" and wanted.regex == "*"):
                yield from _empty_faults(wanted, at)
    for name, wanted in asked.query_params.items():
        yield from _empty_faults(wanted, (*here, "queryParams", name))
    if asked.uri is not None:
        yield from _empty_faults(asked.uri, (*here, "uri"), prefix=False)
    for field, one in (("scheme", asked.scheme), ("method", asked.method), ("authority", asked.authority)):
        if one is not None:
            yield from _empty_faults(one, (*here, field))
    yield from _asker_faults(asked, here)
    if asked.source_namespace and not is_label(asked.source_namespace):
        yield Fault((*here, "sourceNamespace"), f"`{asked.source_namespace}` is no namespace")


def _empty_faults(wanted: StringMatch, here: FieldPath, *, prefix: bool = True) -> Iterator[Fault]:
    """Prefixes and patterns that are empty. Every path has the empty prefix, and there it may stand."""
    if prefix and wanted.prefix == "":
        yield Fault((*here, "prefix"), "an empty prefix says nothing", "write `{}` for anything that is there")
    if wanted.regex == "":
        yield Fault((*here, "regex"), "an empty pattern matches nothing but empty text", 'write `exact: ""` for that')


def _asker_faults(asked: HTTPMatchRequest | L4MatchAttributes | TLSMatchAttributes, here: FieldPath) -> Iterator[Fault]:
    """Port, labels and gateways, which matches of every protocol have."""
    if asked.port:
        yield from port_faults(asked.port, (*here, "port"))
    yield from labels_faults(asked.source_labels, (*here, "sourceLabels"))
    yield from _gateway_faults(asked.gateways, (*here, "gateways"))


def _headers_faults(headers: Headers | None, here: FieldPath) -> Iterator[Fault]:
    if headers is None:
        return
    for side, changes in (("request", headers.request), ("response", headers.response)):
        if changes is None:
            continue
        named = set_header_fault if side == "request" else changed_header_fault
        yield from _line_faults(changes.add, (*here, side, "add"), named)
        yield from _line_faults(changes.set, (*here, side, "set"), named)
        for number, name in enumerate(changes.remove):
            if fault := changed_header_fault(name):
                yield Fault((*here, side, "remove", number), fault)


def _line_faults(lines: Mapping[str, str], here: FieldPath, named: Callable[[str], str]) -> Iterator[Fault]:
    for name, value in lines.items():
        if fault := named(name):
            yield Fault((*here, name), fault)
        if fault := header_value_fault(value):
            yield Fault((*here, name), fault, "write `%%` for a percent sign, `%NAME%` for what a proxy knows")


def _authority_faults(rule: HTTPRoute, here: FieldPath) -> Iterator[Fault]:
    """The authority is set in one place: by `rewrite`, or by one header."""
    changes = rule.headers.request if rule.headers is not None else None
    current = rule.rewrite.authority if rule.rewrite is not None else ""
    if changes is None:
        return
    for field, lines in (("set", changes.set), ("add", changes.add)):
        for name, value in lines.items():
            if name.lower() not in (":authority", "host"):
                continue
            if current:
                reason = f"the authority is set to `{current}` already"
                yield Fault((*here, "headers", "request", field, name), reason, "set it in one place")
                return
            current = value


def _percent_faults(percent: Percent | None, here: FieldPath, least: float = 0.0) -> Iterator[Fault]:
    if percent is None or percent.value == 0 or least <= percent.value <= 100:
        return
    smallest = f", 0 or at least {least}" if least else ""
    yield Fault((*here, "value"), f"a percentage is from 0 to 100{smallest}; got {percent.value:g}")


def _mirror_faults(rule: HTTPRoute, here: FieldPath) -> Iterator[Fault]:
    for field, written in (("mirrorPercent", rule.mirror_percent), ("mirror_percent", rule.mirror_percent_legacy)):
        if written is None:
            continue
        if written > 100:
            yield Fault((*here, field), f"a percentage is from 0 to 100; got {written}")
        reason = f"`{field}` is the form of long ago"
        yield Fault((*here, field), reason, f"write `mirrorPercentage: {{value: {written}}}`", warns=True)
    yield from _percent_faults(rule.mirror_percentage, (*here, "mirrorPercentage"))
    if rule.mirror is not None:
        yield from destination_faults(rule.mirror, (*here, "mirror"))
    for index, one in enumerate(rule.mirrors):
        yield from destination_faults(one.destination, (*here, "mirrors", index, "destination"))
        yield from _percent_faults(one.percentage, (*here, "mirrors", index, "percentage"))


def destination_faults(destination: Destination, here: FieldPath) -> Iterator[Fault]:
    """What is wrong with a service that something is sent to: its name, its subset's, its port."""
    if destination.host == "*":
        yield Fault((*here, "host"), "`*` is no destination", "name one service")
    elif fault := host_fault(destination.host):
        yield Fault(
            (*here, "host"), fault, "write a service's short or full name: `web` or `web.shop.svc.cluster.local`"
        )
    if destination.subset and not is_label(destination.subset):
        yield Fault((*here, "subset"), f"`{destination.subset}` is no name of a subset")
    if destination.port is not None:
        yield from port_faults(destination.port.number, (*here, "port", "number"))


def _redirect_faults(redirect: HTTPRedirect, matches: Iterable[HTTPMatchRequest], here: FieldPath) -> Iterator[Fault]:
    """The first thing that is wrong with a redirect."""
    somewhere = redirect.uri or redirect.prefix_rewrite or redirect.authority or redirect.scheme
    if redirect.uri and redirect.prefix_rewrite:
        yield Fault((*here, "prefixRewrite"), "a redirect has `uri` or `prefixRewrite`, not both")
    elif redirect.prefix_rewrite and any(one.uri is not None and one.uri.prefix is None for one in matches):
        reason = "`prefixRewrite` needs `prefix` in every `uri` of the rule: nothing else has a prefix to replace"
        yield Fault((*here, "prefixRewrite"), reason, "match by `prefix`, or write `uri`")
    elif not somewhere and redirect.port is None and redirect.derive_port is None:
        reason = "the redirect leads nowhere"
        yield Fault(here, reason, "set one of `uri`, `prefixRewrite`, `authority`, `scheme` and `port`")
    elif redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        yield Fault(
            (*here, "redirectCode"), f"{redirect.redirect_code} is no redirect", "301, 302, 303, 307 and 308 are"
        )
    elif redirect.scheme and redirect.scheme not in ("http", "https"):
        yield Fault((*here, "scheme"), f"`{redirect.scheme}` is not `http` or `https`")
    elif redirect.port:
        yield from port_faults(redirect.port, (*here, "port"))


def _status_faults(status: int, here: FieldPath) -> Iterator[Fault]:
    # Istio writes 599 and means 600.
    if not 200 <= status <= 600:
        yield Fault(here, f"a status is from 200 to 599, got {status}")


def _body_faults(body: HTTPBody, here: FieldPath) -> Iterator[Fault]:
    field, size = "string", len(wire(body.string or ""))
    if body.bytes is not None:
        field = "bytes"
        try:
            size = len(b64decode(body.bytes))
        except Error:
            size = len(body.bytes) * 3 // 4
    if size > LARGEST_BODY:
        yield Fault((*here, field), f"the body has {size} bytes, and Istio takes {LARGEST_BODY} at most")
    elif size > LARGE_BODY:
        reason = f"the body has {size} bytes: every proxy is sent it with its routes"
        yield Fault((*here, field), reason, "serve it from somewhere", warns=True)


def _retry_faults(retries: HTTPRetry, here: FieldPath) -> Iterator[Fault]:
    if retries.attempts < 0:
        yield Fault((*here, "attempts"), f"attempts are not below 0, got {retries.attempts}")
    said = (
        ("perTryTimeout", retries.per_try_timeout),
        ("retryOn", retries.retry_on or None),
        ("retryRemoteLocalities", retries.retry_remote_localities),
    )
    first = next((field for field, one in said if one is not None), None)
    if retries.attempts == 0 and first is not None:
        reason = f"`attempts` 0 turns retries off, and `{first}` says how to retry"
        yield Fault((*here, first), reason, "set `attempts`, or leave out everything else")
    yield from span_faults(retries.per_try_timeout, (*here, "perTryTimeout"))
    yield from span_faults(retries.backoff, (*here, "backoff"))
    for word in retries.retry_on.split(",") if retries.retry_on else ():
        if fault := retry_word_fault(word):
            meant = nearest(word.strip(), RETRY_WORDS)
            help = f"did you mean `{meant}`?" if meant else "words stand between commas, without spaces"
            yield Fault((*here, "retryOn"), fault, help)


def _rewrite_faults(rewrite: HTTPRewrite, here: FieldPath) -> Iterator[Fault]:
    pattern = rewrite.uri_regex_rewrite
    if rewrite.uri and pattern is not None:
        yield Fault(
            (*here, "uriRegexRewrite"), "a rewrite has `uri` or `uriRegexRewrite`, not both", "keep one of them"
        )
    elif not rewrite.uri and pattern is None and not rewrite.authority:
        yield Fault(here, "the rewrite changes nothing", "set `uri`, `uriRegexRewrite` or `authority`")
    elif pattern is not None and not (pattern.match and pattern.rewrite):
        field = "rewrite" if pattern.match else "match"
        yield Fault((*here, "uriRegexRewrite", field), "a rewrite by pattern needs `match` and `rewrite`")


def _injection_faults(fault: HTTPFaultInjection, here: FieldPath) -> Iterator[Fault]:
    if fault.abort is None and fault.delay is None:
        yield Fault(here, "the fault does nothing", "set `abort` or `delay`")
    if (abort := fault.abort) is not None:
        yield from _percent_faults(abort.percentage, (*here, "abort", "percentage"), 0.0001)
        if abort.http_status is not None:
            yield from _status_faults(abort.http_status, (*here, "abort", "httpStatus"))
        elif abort.grpc_status is not None and abort.grpc_status not in GRPC:
            meant = nearest(abort.grpc_status, GRPC)
            help = f"did you mean `{meant}`?" if meant else "gRPC's statuses are words, as `NOT_FOUND`"
            yield Fault((*here, "abort", "grpcStatus"), f"`{abort.grpc_status}` is no status of gRPC", help)
        elif abort.http2_error is not None:
            yield Fault((*here, "abort", "http2Error"), "Istio has no errors of HTTP/2 yet", "set `httpStatus`")
        elif abort.grpc_status is None:
            reason = "without a status the abort does nothing"
            yield Fault((*here, "abort"), reason, "set `httpStatus` or `grpcStatus`", warns=True)
    if (delay := fault.delay) is not None:
        yield from _percent_faults(delay.percentage, (*here, "delay", "percentage"), 0.0001)
        yield from span_faults(delay.fixed_delay, (*here, "delay", "fixedDelay"))
        if delay.exponential_delay is not None:
            yield Fault((*here, "delay", "exponentialDelay"), "Istio has no such delays yet", "set `fixedDelay`")


def _cors_faults(policy: CorsPolicy, here: FieldPath) -> Iterator[Fault]:
    for index, origin in enumerate(policy.allow_origins):
        if not (origin.exact or origin.prefix or origin.regex):
            yield Fault((*here, "allowOrigins", index), "an origin needs `exact`, `prefix` or `regex`")
    for index, method in enumerate(policy.allow_methods):
        if method not in METHODS:
            yield Fault((*here, "allowMethods", index), f"`{method}` is no method", f"there are {', '.join(METHODS)}")
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            if fault := exposed_header_fault(name):
                yield Fault((*here, field, index), fault)
    if policy.max_age is not None and policy.max_age.nanoseconds % _SECOND:
        yield Fault((*here, "maxAge"), f"`{policy.max_age}` is no whole number of seconds")


# TLS and TCP


def _sni_faults(asked: TLSMatchAttributes, here: FieldPath, spec: VirtualServiceSpec) -> Iterator[Fault]:
    if not asked.sni_hosts:
        yield Fault((*here, "sniHosts"), "a match for TLS needs at least one name")
    for index, name in enumerate(asked.sni_hosts):
        at = (*here, "sniHosts", index)
        edge = MESH not in spec.gateways
        fault = "" if edge and _is_sni_of_old(name, spec) else host_fault(name)
        if fault and is_ip(name):
            yield Fault(at, f"`{name}` is an address, and clients send names only", warns=True)
        elif fault:
            yield Fault(at, fault)
        elif not any(covers(host, name) for host in spec.hosts):
            yield Fault(at, f"`{name}` is not among the hosts of the VirtualService", "add it to `hosts`")


def _connection_faults(
    matches: Iterable[L4MatchAttributes | TLSMatchAttributes],
    route: tuple[RouteDestination, ...],
    here: FieldPath,
    protocol: str,
) -> Iterator[Fault]:
    for index, asked in enumerate(matches):
        for number, subnet in enumerate(asked.destination_subnets):
            if fault := subnet_fault(subnet):
                yield Fault((*here, "match", index, "destinationSubnets", number), fault)
        yield from _asker_faults(asked, (*here, "match", index))
    if not route:
        yield Fault(here, f"a rule for {protocol} needs a `route`", "say where connections go")
    for index, one in enumerate(route):
        yield from destination_faults(one.destination, (*here, "route", index, "destination"))
        if one.weight < 0:
            yield Fault((*here, "route", index, "weight"), f"weight {one.weight} < 0")
    if len(route) > 1 and not sum(one.weight for one in route):
        yield Fault((*here, "route"), "total destination weight = 0", "give at least one destination a weight above 0")
