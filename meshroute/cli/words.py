"""Decisions and their steps as plain sentences, without colour or layout.

Inputs    values of decision.py and trace.py. Wire text is shown as UTF-8 where it is that.
Errors    none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import assert_never

from meshroute.connection import Connected, Connection
from meshroute.decision import Decision, Failed, Forwarded, Outcome, Redirected, Responded
from meshroute.names import unwire
from meshroute.request import Request
from meshroute.table import (
    Absent,
    Append,
    Between,
    Contains,
    Exact,
    HashOnCookie,
    HashOnFilterState,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    HeaderChanges,
    HeaderMatch,
    PathMatch,
    Pattern,
    Portion,
    Prefix,
    Present,
    QueryValue,
    RequireTls,
    RuleRef,
    Segments,
    Suffix,
    Template,
    TextMatch,
    Tunnel,
)
from meshroute.trace import (
    Aborted,
    AddressesTold,
    AddressMatched,
    AffinityFound,
    AliasTold,
    Arrived,
    AuthorityRewritten,
    BackendsNarrowed,
    Because,
    ChainChosen,
    ClusterDrawn,
    ClusterSaid,
    CookieDiffers,
    CookieMade,
    Delayed,
    DialFailed,
    HeaderDiffers,
    HeadersChanged,
    HostPicked,
    HostRejected,
    HostsNarrowed,
    KeyHashed,
    KeyMissing,
    LadderAsked,
    ListenerChosen,
    LocalityChosen,
    MatcherFollowed,
    MetadataDiffers,
    Mirrored,
    NotGrpc,
    NumberSaid,
    OriginAsked,
    PathDiffers,
    PathRewritten,
    PortionMissed,
    PrioritiesPassedOver,
    PriorityChosen,
    QueryDiffers,
    RouteMatched,
    RouteSkipped,
    Step,
    SubsetAsked,
    TlsRequired,
    TurnedAway,
    VirtualHostChosen,
)

FLAGS = {
    "NR": "no route found",
    "NC": "no such cluster",
    "UH": "no healthy upstream",
    "FI": "a fault aborts it",
    "DI,FI": "a fault delays and aborts it",
    "DI,NC": "delayed by a fault, no such cluster",
    "DI,UH": "delayed by a fault, no healthy upstream",
}
"""Envoy's response flags, spelt out."""


def outcome(decision: Decision | Connected) -> str:
    """What becomes of the request or the connection, in one line."""
    if isinstance(decision.outcome, Forwarded) and decision.endpoint is not None:
        return f"pod {decision.pod} at {decision.endpoint.key}" if decision.pod else str(decision.endpoint.key)
    return outcome_of(decision.outcome)


def outcome_of(what: Outcome) -> str:
    """An outcome in one line, wherever it goes."""
    match what:
        case Forwarded():
            return "forwarded to where the client was going"
        case Redirected(status, location):
            return f"{status} redirect to {unwire(location)}"
        case Responded(status, body):
            return f"{status} from the proxy itself" + (f": {unwire(body)}" if body else "")
        case Failed(0, _, "no_listener"):
            return "connection refused: nobody listens on the port"
        case Failed(0, _, "connection_rejected"):
            return "connection refused: the node rejects it, because nobody is there to take it"
        case Failed(0, _, "no_endpoint_answered"):
            return "no answer: kube-proxy dialed in vain, and closes the connection"
        case Failed(0, _, "packets_dropped"):
            return "no answer: the node drops the packets, and the client waits"
        case Failed(0, _, "no_service_there"):
            return "not the service's: it has no such address and port"
        case Failed(0, _, "name_without_address"):
            return "the name has no address: no endpoint is ready"
        case Failed(0, flag, "filter_chain_not_found"):
            return f"connection closed, flag {flag} (nothing on the port takes it)"
        case Failed(0, flag, _):
            return f"connection closed, flag {flag} ({FLAGS.get(flag, flag)})"
        case Failed(status, "", details):
            return f"{status}, {details}"
        case Failed(status, flag, _):
            return f"{status}, flag {flag} ({FLAGS.get(flag, flag)})"
        case _:
            assert_never(what)


NEARLY = Fraction(1, 10**15)
"""How far a fraction of 2^64 may be from a plain one to be shown as that one, with the sign of nearness."""


def fraction(share: Fraction) -> str:
    """A fraction; one of 2^64 that is next to a plain one is shown as that, marked `≈`."""
    plain = share.limit_denominator(100_000)
    if share == plain:
        return str(share)
    if abs(share - plain) < NEARLY:
        return f"≈ {plain}"
    return f"≈ {float(share):.9f}"


def percent(share: Fraction) -> str:
    """A share of 100, with two digits behind the point."""
    return f"{float(share * 100):.2f}%"


def change(level: HeaderChanges) -> str:
    """What one level changes about headers."""
    signs = {Append.APPEND: "+", Append.IF_ABSENT: "+?", Append.OVERWRITE: "=", Append.OVERWRITE_IF_PRESENT: "=?"}
    parts = [f"- {name}" for name in level.remove]
    parts += [f"{signs[one.how]} {one.name}: {unwire(one.value)}" for one in level.add]
    return ", ".join(parts) or "nothing"


def sent(asked: Request, request: Request) -> list[str]:
    """What the upstream gets otherwise than the client sent it: authority and path, header lines gone (`-`) and new
    (`+`)."""
    before, after = Counter(asked.headers), Counter(request.headers)
    lines = []
    if (asked.authority, asked.path) != (request.authority, request.path):
        lines.append(unwire(request.authority + request.path))
    lines += [f"- {name}: {unwire(value)}" for name, value in (before - after).elements()]
    lines += [f"+ {name}: {unwire(value)}" for name, value in (after - before).elements()]
    return lines


def rule(ref: RuleRef | None, route: str = "", what: str = "route") -> str:
    """Where a rule stands; a route or a chain without one is a default."""
    if ref is not None:
        return str(ref)
    return f"none (the default {what} `{route}`)" if route else "none"


def connection(one: Connection) -> str:
    """Where a client connects to, and what it says in TLS."""
    where = one.host or (f"[{one.destination_ip}]" if ":" in one.destination_ip else one.destination_ip)
    return f"{where}:{one.port}" + (f", server name {one.server_name}" if one.server_name else "")


def text(wanted: TextMatch | QueryValue) -> str:
    """A condition on a text."""
    match wanted:
        case Exact(value, ignore_case):
            said = f"exactly `{unwire(value)}`"
        case Prefix(value, ignore_case):
            said = f"prefix `{unwire(value)}`"
        case Suffix(value, ignore_case):
            said = f"suffix `{unwire(value)}`"
        case Contains(value, ignore_case):
            said = f"with `{unwire(value)}` in it"
        case Between(start, end):
            return f"a whole number from {start} to below {end}"
        case Pattern(regex):
            return f"regex `{unwire(regex)}`"
        case Present():
            return "any value"
        case Absent():
            return "not to be there"
        case _:
            assert_never(wanted)
    return f"{said} in any case" if ignore_case else said


def _path(wanted: PathMatch) -> str:
    match wanted:
        case Segments(value, ignore_case):
            said = f"path `{unwire(value)}` or below"
            return f"{said} in any case" if ignore_case else said
        case Template(value):
            return f"path like `{unwire(value)}`"
        case Tunnel():
            return "the method CONNECT"
        case _:
            return f"path {text(wanted)}"


def _header(wanted: HeaderMatch) -> str:
    return f"header `{wanted.name}` {'not ' if wanted.invert else ''}{text(wanted.value)}"


def because(reason: Because) -> str:
    """Why a route did not match."""
    match reason:
        case PathDiffers(path, wanted):
            return f"wants {_path(wanted)}, the path is `{unwire(path)}`"
        case HeaderDiffers(header, ()):
            return f"wants {_header(header)}, which was not sent"
        case HeaderDiffers(header, values):
            sent = ", ".join(f"`{unwire(value)}`" for value in values)
            return f"wants {_header(header)}, and it is {sent}"
        case QueryDiffers(parameter, value):
            sent = "which was not sent" if value is None else f"and it is `{unwire(value)}`"
            return f"wants query parameter `{unwire(parameter.name)}` {text(parameter.value)}, {sent}"
        case CookieDiffers(cookie, value):
            sent = "which was not sent" if value is None else f"and it is `{unwire(value)}`"
            return f"wants cookie `{unwire(cookie.name)}` {'not ' if cookie.invert else ''}{text(cookie.value)}, {sent}"
        case MetadataDiffers(noted, values):
            sent = ", ".join(f"`{unwire(value)}`" for value in values) if values else "nothing"
            where = "/".join((noted.source, *noted.path))
            return f"wants {'not ' if noted.invert else ''}{text(noted.value)} at `{where}`, and there is {sent}"
        case NotGrpc(kind):
            return f"wants gRPC, and the content type is `{unwire(kind)}`"
        case PortionMissed(wanted, draw):
            point, of = draw % wanted.denominator, f"{wanted.numerator} of {wanted.denominator}"
            return f"wants {of} requests, and drew {draw} mod {wanted.denominator} = {point}"
        case _:
            assert_never(reason)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _hashed(policy: HashPolicy) -> str:
    match policy:
        case HashOnHeader(name):
            return f"header `{name}`"
        case HashOnCookie(name):
            return f"cookie `{name}`"
        case HashOnQuery(name):
            return f"query parameter `{name}`"
        case HashOnSourceIp():
            return "client address"
        case HashOnFilterState(name):
            return f"filter state `{name}`"
        case _:
            assert_never(policy)


def _place(ref: RuleRef | None, name: str) -> str:
    if ref is None:
        return f"route `{name}`" if name else "route without a name"
    return f"{ref.name} {ref.path}" + (f" (line {ref.line})" if ref.line else "")


def _struck(draw: int, portion: Portion) -> str:
    of = portion.denominator
    return f"drew {draw} mod {of} = {draw % of}, below {portion.numerator}"


def step(one: Step) -> str:
    """One step of a trace as a sentence."""
    match one:
        case ListenerChosen(port, known):
            return f"port {port}: " + ("its routes apply" if known else "no service listens there")
        case ChainChosen(port, address, taken, chain, rule):
            where = f"{address}, port {port}" if address else f"port {port}"
            named = f"{rule.kind} {rule.namespace}/{rule.name} {rule.path}" if rule else f"the chain `{chain}`"
            return f"{where}: {named} takes the connection" if taken else f"{where}: nothing here takes the connection"
        case Arrived(authority, path):
            return f"put in order: host `{unwire(authority)}`, path `{unwire(path)}`"
        case TurnedAway(details):
            return f"turned away before any route: {details}"
        case TlsRequired(which):
            return f"the virtual host wants TLS of {'all' if which is RequireTls.ALL else 'external'} requests"
        case MatcherFollowed("", _, None):
            return "matcher: what is meant for all others"
        case MatcherFollowed("", _, number):
            return f"matcher: predicate {number} holds"
        case MatcherFollowed(header, value, key):
            return f"matcher: header `{header}` is `{unwire(value or '')}`, branch `{unwire(key or '')}`"
        case VirtualHostChosen(authority, "", _):
            return f"host `{unwire(authority)}`: no virtual host takes it"
        case VirtualHostChosen(authority, name, domain):
            return f"host `{unwire(authority)}`: virtual host {name}, by its domain `{domain}`"
        case RouteSkipped(_, name, ref, reason):
            return f"not {_place(ref, name)}: {because(reason)}"
        case RouteMatched(_, name, ref):
            return f"matched {_place(ref, name)}"
        case ClusterDrawn(cluster, draw, total, point, low, high):
            share = Fraction(high - low, total)
            return f"drew {draw} mod {total} = {point}, in [{low}, {high}): {cluster}, whose share is {share}"
        case HostsNarrowed(cluster, endpoints, healthy):
            return f"{cluster}: {healthy} of {endpoints} endpoints healthy"
        case KeyHashed(policy, values, key):
            return f"{_hashed(policy)} = {', '.join(f'`{unwire(value)}`' for value in values)}: key {key}"
        case SubsetAsked(name, why, endpoints):
            return f"subset {name or 'of all endpoints'} ({endpoints} endpoints): {why}"
        case PrioritiesPassedOver(priorities, healthy, degraded):
            passed = f"priorities {_listed(priorities)} were tried" if priorities else "all priorities were tried"
            return f"{passed}: the loads are now {_listed(healthy)} for healthy, {_listed(degraded)} for degraded ones"
        case PriorityChosen(priority, which, point, low, high):
            whose = "all endpoints, in a panic," if which == "all" else f"{which} endpoints"
            return f"{whose} of priority {priority}: the request's number mod 100 = {point}, in [{low}, {high})"
        case LocalityChosen(locality, how):
            return f"locality {locality or 'without a name'}: {how}"
        case CookieMade(name, value):
            return f"no cookie `{name}` was sent: the answer sets `{value}`"
        case HostRejected(endpoint):
            return f"{endpoint} was tried before: pick again"
        case NumberSaid("key", number):
            return f"the request's key chooses the cluster: {number}"
        case NumberSaid(header, number):
            return f"header `{header}` chooses the cluster: {number}"
        case ClusterSaid(header, ""):
            return f"header `{header}` would name the cluster, and was not sent"
        case ClusterSaid(header, cluster):
            return f"header `{header}` names the cluster: {cluster}"
        case OriginAsked(origin, allowed, answered):
            said = "is allowed" if allowed else "is not allowed"
            return f"origin `{unwire(origin)}` {said}" + (": the proxy answers" if answered else "")
        case Delayed(milliseconds, draw, portion):
            return f"fault: {_struck(draw, portion)}: waits {milliseconds} ms"
        case Aborted(status, draw, portion):
            return f"fault: {_struck(draw, portion)}: aborted" + (f" with {status}" if status else "")
        case AuthorityRewritten(before, after):
            return f"authority `{unwire(before)}` becomes `{unwire(after)}`"
        case PathRewritten(before, after):
            return f"path `{unwire(before)}` becomes `{unwire(after)}`"
        case HeadersChanged(gone, new):
            lines = [f"- `{name}: {unwire(value)}`" for name, value in gone]
            lines += [f"+ `{name}: {unwire(value)}`" for name, value in new]
            return f"headers: {', '.join(lines)}"
        case Mirrored(cluster, portion, point, endpoint):
            where = str(endpoint) if endpoint is not None else "nobody there can take it"
            return f"copy to {cluster}: {point} is below {portion.numerator} of {portion.denominator} → {where}"
        case AddressMatched(service, address, port, kind):
            return f"{address or 'its address'}, port {port}: a {kind} of Service {service}"
        case AliasTold(service, alias):
            return f"Service {service} is another name of `{alias}`"
        case AddressesTold(service, addresses, index, hostname):
            what = f"`{hostname}` of Service {service}" if hostname else f"Service {service} is headless"
            if not addresses:
                return f"{what}: nobody who is ready has an address for the client"
            return f"{what}: of {', '.join(addresses)} the client takes {addresses[index]}"
        case BackendsNarrowed(backends, usable, why):
            return f"{usable} of {backends} endpoints: {why}"
        case DialFailed(endpoint, number, milliseconds):
            return f"dial {number + 1}, for {milliseconds} ms at most: {endpoint} does not answer"
        case LadderAsked(number, endpoint, drawn, threshold, taken):
            below = "is below" if taken else "is not below"
            return f"rule {number + 1}, {endpoint}: drew {drawn}, which {below} {threshold} of 2^31"
        case AffinityFound(client, endpoint, idle):
            since = "" if idle is None else f", where it last went {idle / 1000:g} s ago"
            return f"client {client} is kept at {endpoint}{since}"
        case KeyMissing(draw):
            return f"nothing to hash in the request: random key {draw}"
        case HostPicked(policy, endpoint, workload, _, how):
            return f"{policy}: {how} → {workload or endpoint}"
        case _:
            assert_never(one)
