"""Every diagnostic that compiling produces, one function each, so that the wording can be read at a sitting.

Source    spec/validate.md; the verdicts of the API server, of Istio's webhook and of its analyzers
Wording   lower case, no final stop, what they wrote in backticks; the corrected lines stand in the help.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshroute.diagnostics import Code, Diagnostic, Severity, SourceRef
from meshroute.manifest.istio import Delegate, DestinationRule, VirtualService
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.manifest.kubernetes import Deployment, Pod, Service
from meshroute.manifest.metadata import Resource


def deployment_expanded(deployment: Deployment, replicas: int) -> Diagnostic:
    return Diagnostic(
        Code.ADDRESS_ASSUMED,
        Severity.NOTE,
        f"no pods of this Deployment are given: {replicas} assumed, named and addressed after its namespace and name",
        deployment.at("metadata", "name"),
        deployment.subject,
        help="load the real pods too (`kubectl get pods -o yaml`); consistent hashing goes by address",
    )


def hints_missing(service: Service, annotation: str, why: str, of_family: str) -> Diagnostic:
    return Diagnostic(
        Code.HINTS_MISSING,
        Severity.WARNING,
        f"hints for zones are asked for and cannot be made for the endpoints{of_family}: {why}",
        service.at("metadata", "annotations", annotation),
        service.subject,
        help="until they can, nodes use the endpoints of all zones; the Nodes are needed as the cluster has them"
        " (`kubectl get nodes -o yaml`)",
    )


def hints_assumed(
    service: Service, annotation: str, moved: int, size: int, by_chance: bool, of_family: str
) -> Diagnostic:
    equal = ", and which of equal zones give or receive one" if by_chance else ""
    return Diagnostic(
        Code.HINTS_ASSUMED,
        Severity.NOTE,
        f"hints of {moved} of {size} endpoints{of_family} are for another zone than their own; which ones, the cluster"
        f" leaves to chance{equal}: assumed are the first by address, for the zones in the order of their names",
        service.at("metadata", "annotations", annotation),
        service.subject,
        help="load the EndpointSlices too (`kubectl get endpointslices -o yaml`): they have the hints that were made",
    )


def port_twice(service: Service, number: int) -> Diagnostic:
    port = service.spec.ports[number]
    return Diagnostic(
        Code.FIELD_VALUE,
        Severity.ERROR,
        f"port {port.port}/{port.protocol} is there already: a Service has each number once for each protocol",
        service.at("spec", "ports", number, "port"),
        service.subject,
    )


def pod_address_assumed(pod: Pod) -> Diagnostic:
    return Diagnostic(
        Code.ADDRESS_ASSUMED,
        Severity.NOTE,
        "the pod has no `status.podIP`: an address made from its namespace and name is assumed",
        pod.at("metadata", "name"),
        pod.subject,
        help="load the pod as the cluster has it (`kubectl get pod -o yaml`); consistent hashing goes by address",
    )


_INSTEAD = {
    "address": "the endpoint is left out",
    "resolution": "requests are taken to go where the client was going",
    "protocol": "the listener is taken to have one port, and not to be a proxy for all",
    "redirectCode": "a proxy has no such redirect, and the rule is left out",
}
"""What becomes of a field that is not merely passed over."""


def field_not_modelled(subject: str, field: str, at: SourceRef) -> Diagnostic:
    instead = _INSTEAD.get(field, "decisions are made as if it were absent")
    return Diagnostic(
        Code.FIELD_NOT_MODELLED,
        Severity.WARNING,
        f"`{field}` is understood and not yet acted upon: {instead}",
        at,
        subject,
    )


def regex_invalid(subject: str, pattern: str, reason: str, position: int, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.REGEX_INVALID,
        Severity.ERROR,
        f"`{pattern}` is not an RE2 pattern: {reason}, at byte {position}",
        at,
        subject,
        help="Envoy and Istio use RE2: no look-around, no back-references, repetition up to 1000, whole-text match",
    )


def regex_too_long(subject: str, length: int, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.REGEX_INVALID,
        Severity.ERROR,
        f"the pattern has {length} bytes, and Istio accepts 1024 at most",
        at,
        subject,
    )


def rule_empty(virtual_service: VirtualService, number: int) -> Diagnostic:
    return Diagnostic(
        Code.RULE_EMPTY,
        Severity.ERROR,
        "the rule has no `route`, no `redirect`, no `directResponse` and no `delegate`",
        virtual_service.at("spec", "http", number),
        virtual_service.subject,
        help="say where requests go:\nroute:\n- destination:\n    host: my-service",
    )


def rule_unreachable(
    virtual_service: VirtualService, number: int, hiding: int, mended: str, protocol: str = "http"
) -> Diagnostic:
    what = "request" if protocol == "http" else "connection"
    return Diagnostic(
        Code.RULE_UNREACHABLE,
        Severity.WARNING,
        f"rule #{number} is never used: rule #{hiding} before it has no conditions and takes every {what}",
        virtual_service.at("spec", protocol, number),
        virtual_service.subject,
        help=mended or "rules are tried in the order written; put the rule without conditions last",
        related=(virtual_service.at("spec", protocol, hiding),),
    )


def match_covered(
    virtual_service: VirtualService,
    rule: int,
    match: int,
    earlier_rule: int,
    earlier_match: int,
    protocol: str = "http",
) -> Diagnostic:
    first = (
        "a prefix takes every longer one; put the longer prefix first"
        if protocol == "http"
        else "the first rule that asks for something has it"
    )
    return Diagnostic(
        Code.RULE_UNREACHABLE,
        Severity.WARNING,
        f"match #{match} of rule #{rule} is never used: match #{earlier_match} of rule #{earlier_rule} takes all of it",
        virtual_service.at("spec", protocol, rule, "match", match),
        virtual_service.subject,
        help=first if rule != earlier_rule else "leave it out: one match of a rule is enough",
        related=(virtual_service.at("spec", protocol, earlier_rule, "match", earlier_match),),
    )


def value_refused(resource: Resource, reason: str, help: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(Code.FIELD_VALUE, Severity.ERROR, reason, at, resource.subject, help)


def value_discouraged(resource: Resource, reason: str, help: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(Code.FIELD_VALUE, Severity.WARNING, reason, at, resource.subject, help)


def istio_warns(resource: Resource, reason: str, at: SourceRef, related: tuple[SourceRef, ...] = ()) -> Diagnostic:
    return Diagnostic(
        Code.ISTIO_WARNS,
        Severity.WARNING,
        reason,
        at,
        resource.subject,
        help="nothing has to change",
        related=related,
    )


def weight_ignored(virtual_service: VirtualService, weight: int, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.WEIGHT_IGNORED,
        Severity.WARNING,
        f"weight {weight} has no effect: the rule has one destination, which takes everything",
        at,
        virtual_service.subject,
        help="weights divide the requests of one rule among its own destinations; list them under one `route`",
    )


def weight_missing(virtual_service: VirtualService, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.WEIGHTS_UNUSABLE,
        Severity.WARNING,
        "a destination without `weight` beside others has weight 0 and gets nothing",
        at,
        virtual_service.subject,
        help="give every destination of the rule a weight",
    )


def weights_sum_to_zero(virtual_service: VirtualService, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.WEIGHTS_UNUSABLE,
        Severity.ERROR,
        "total destination weight = 0",
        at,
        virtual_service.subject,
        help="give at least one destination a weight above 0",
    )


def weight_negative(virtual_service: VirtualService, weight: int, at: SourceRef) -> Diagnostic:
    return Diagnostic(Code.WEIGHTS_UNUSABLE, Severity.ERROR, f"weight {weight} < 0", at, virtual_service.subject)


def host_unknown(subject: str, host: str, known: str | None, at: SourceRef, consequence: str) -> Diagnostic:
    return Diagnostic(
        Code.HOST_UNKNOWN,
        Severity.WARNING,
        f"no service `{host}` is given: {consequence}",
        at,
        subject,
        help=f"did you mean `{known}`?"
        if known
        else "a name without a dot is looked up in the namespace of this resource",
    )


def port_unknown(
    subject: str, host: str, port: int, ports: Iterable[int], at: SourceRef, consequence: str
) -> Diagnostic:
    return Diagnostic(
        Code.PORT_UNKNOWN,
        Severity.WARNING,
        f"service `{host}` has no port {port}: {consequence}",
        at,
        subject,
        help=f"its ports: {', '.join(map(str, ports)) or 'none'}",
    )


def subset_unknown(
    subject: str, subset: str, host: str, known: Sequence[str], at: SourceRef, consequence: str
) -> Diagnostic:
    return Diagnostic(
        Code.SUBSET_UNKNOWN,
        Severity.WARNING,
        f"no DestinationRule for `{host}` defines subset `{subset}`: {consequence}",
        at,
        subject,
        help=f"defined subsets: {', '.join(f'`{name}`' for name in known) or 'none'}",
    )


def policy_refused(rule: DestinationRule, reason: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(Code.FIELD_VALUE, Severity.ERROR, reason, at, rule.subject)


def shares_not_a_hundred(rule: DestinationRule, total: int, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.FIELD_VALUE,
        Severity.ERROR,
        f"total locality weight {total} != 100",
        at,
        rule.subject,
        help="the weights of one `from` are percentages; localities that none of them covers get nothing",
    )


def failover_ignored(rule: DestinationRule, field: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.SETTING_IGNORED,
        Severity.WARNING,
        f"`{field}` has no effect without `outlierDetection`: requests go to every locality alike",
        at,
        rule.subject,
        help="add it to the same policy:\noutlierDetection: {}",
    )


def warmup_ignored(rule: DestinationRule, field: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.SETTING_IGNORED,
        Severity.WARNING,
        f"`{field}` has no effect with this policy: only `ROUND_ROBIN` and `LEAST_REQUEST` spare newcomers",
        at,
        rule.subject,
    )


def older_warmup_ignored(rule: DestinationRule, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.SETTING_IGNORED,
        Severity.WARNING,
        "`warmupDurationSecs` has no effect beside `warmup`, which took its place",
        at,
        rule.subject,
    )


def consecutive_errors_ignored(rule: DestinationRule, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.SETTING_IGNORED,
        Severity.WARNING,
        "`consecutiveErrors` is no longer acted upon by Istio",
        at,
        rule.subject,
        help="use `consecutive5xxErrors` or `consecutiveGatewayErrors`",
    )


def subset_empty(rule: DestinationRule, subset: str, host: str, by_name: bool, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.SUBSET_EMPTY,
        Severity.WARNING,
        f"subset `{subset}` of `{host}` selects no {'endpoint' if by_name else 'pod'}: requests sent there fail with "
        f"503 {'NC' if by_name else 'UH'}",
        at,
        rule.subject,
    )


def nobody_answers(entry: ServiceEntry, host: str, by_name: bool, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.ENDPOINTS_MISSING,
        Severity.WARNING,
        f"nobody answers for `{host}`: requests sent there fail with 503 {'NC' if by_name else 'UH'}",
        at,
        entry.subject,
        help="give `endpoints` with an `address`, or a `workloadSelector` that chooses pods or WorkloadEntries",
    )


def names_not_asked(entry: ServiceEntry, host: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.ADDRESS_ASSUMED,
        Severity.NOTE,
        f"proxies ask DNS for the endpoints of `{host}`: here each name counts as one endpoint",
        at,
        entry.subject,
        help="consistent hashing goes by address, and how many there are only DNS knows",
    )


def service_taken(
    entry: ServiceEntry, host: str, namespace: str, kubernetes: bool, at: SourceRef, other: SourceRef
) -> Diagnostic:
    instead = f"the {'Kubernetes Service' if kubernetes else 'older ServiceEntry'} of namespace `{namespace}`"
    return Diagnostic(
        Code.SERVICE_IGNORED,
        Severity.WARNING,
        f"outside its own namespace, clients that see both use {instead} for `{host}`",
        at,
        entry.subject,
        help="choose the other one with a Sidecar that imports `namespace/host`, or give the entry a host of its own",
        related=(other,),
    )


def sidecar_ignored(sidecar: Sidecar, other: Sidecar) -> Diagnostic:
    return Diagnostic(
        Code.SIDECAR_IGNORED,
        Severity.WARNING,
        f"no proxy follows this Sidecar: {other.subject} is older, and neither has a `workloadSelector`",
        sidecar.at("metadata", "name"),
        sidecar.subject,
        help="give one of them a `workloadSelector`",
        related=(other.at("metadata", "name"),),
    )


def hosts_missing(virtual_service: VirtualService) -> Diagnostic:
    return Diagnostic(
        Code.HOSTS_MISSING,
        Severity.WARNING,
        "a VirtualService without `hosts` is a delegate, and no rule delegates to this one: it does nothing",
        virtual_service.at("spec"),
        virtual_service.subject,
        help="name it in another one's rule, with `delegate`, or give it `hosts`",
    )


def delegate_unknown(root: VirtualService, delegate: Delegate, at: SourceRef) -> Diagnostic:
    name = f"{delegate.namespace or root.namespace}/{delegate.name}"
    return Diagnostic(
        Code.DELEGATE_UNKNOWN,
        Severity.WARNING,
        f"no VirtualService `{name}` without `hosts` can be seen from here: the rule is left out",
        at,
        root.subject,
        help="a delegate has no `hosts`, and its `exportTo` must not keep this namespace out",
    )


def rule_dropped(delegate: VirtualService, at: SourceRef, root: VirtualService, leads: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.RULE_DROPPED,
        Severity.WARNING,
        f"what this rule asks does not go together with the rule of {root.subject} that leads here: it is left out",
        at,
        delegate.subject,
        help="each of its matches must ask for less than one of the other's; patterns never do",
        related=(leads,),
    )


def host_taken(virtual_service: VirtualService, host: str, other: VirtualService, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.VIRTUAL_SERVICE_IGNORED,
        Severity.WARNING,
        f"sidecars follow {other.subject} for `{host}`, and this VirtualService has no say there: they are not merged",
        at,
        virtual_service.subject,
        help="put the rules of one host into one VirtualService",
        related=(other.at("spec", "hosts"),),
    )


def protocol_not_http(virtual_service: VirtualService, host: str, port: int, name: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.PROTOCOL_NOT_HTTP,
        Severity.WARNING,
        f"port {port} (`{name}`) of `{host}` does not speak HTTP: these rules do not apply to it",
        at,
        virtual_service.subject,
        help="name the port `http` or `http-...`, or set its `appProtocol`",
    )


def gateway_unknown(virtual_service: VirtualService, name: str, known: str | None, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.GATEWAY_UNKNOWN,
        Severity.WARNING,
        f"no Gateway `{name}` is given: these rules apply to nobody's requests there",
        at,
        virtual_service.subject,
        help=f"did you mean `{known}`?" if known else "write `namespace/name` for a Gateway of another namespace",
    )


def gateway_serves_nothing(virtual_service: VirtualService, name: str, at: SourceRef) -> Diagnostic:
    return Diagnostic(
        Code.GATEWAY_SERVES_NOTHING,
        Severity.WARNING,
        f"no server of Gateway `{name}` has a host of this VirtualService: its rules apply to nobody's requests there",
        at,
        virtual_service.subject,
        help="a server's `hosts` may keep namespaces out: `other/*` is for VirtualServices of `other` only",
    )


def server_ignored(gateway: Gateway, number: int, other: Gateway, place: int) -> Diagnostic:
    return Diagnostic(
        Code.SERVER_IGNORED,
        Severity.WARNING,
        f"{other.subject} has the port already, for something else or for the same hosts: this server is left out",
        gateway.at("spec", "servers", number),
        gateway.subject,
        help="plain HTTP servers share a port with each other, TLS servers with different hosts too; nothing else does",
        related=(other.at("spec", "servers", place),),
    )
