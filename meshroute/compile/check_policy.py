"""What is to be said about a DestinationRule's traffic policies: balancing, localities, failing endpoints.

Source    spec/validate.md CHECK-8, CHECK-9, CHECK-18, CHECK-21; istio/istio: pkg/config/validation/validation.go,
          pkg/config/validation/agent/validation.go
Inputs    one validated DestinationRule. Exactness: what Istio's webhook refuses is an error, what it accepts is not;
          what has no effect where it stands is a warning.
Errors    none: the answer is diagnostics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.compile import wording
from meshroute.compile.check_fault import (
    MILLISECOND,
    Fault,
    export_faults,
    port_faults,
    selector_faults,
    span_faults,
)
from meshroute.compile.check_names import host_fault, is_label, label_fault, name_fault
from meshroute.compile.destination import policy_of
from meshroute.compile.topology import REGION, SUBZONE, ZONE
from meshroute.diagnostics import Diagnostic, FieldPath, SourceRef
from meshroute.manifest.istio import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    DestinationRule,
    H2UpgradePolicy,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityDistribute,
    LocalityFailover,
    LocalityLbSetting,
    OutlierDetection,
    PortTrafficPolicy,
    SimpleLB,
    TLSMode,
    TrafficPolicy,
    TunnelSettings,
    Warmup,
    ZoneAwareLbSetting,
)
from meshroute.manifest.metadata import Duration
from meshroute.names import is_ip

_LARGEST_TABLE: Final = 5_000_011
"""Slots of a Maglev table: a proxy takes so many, Istio takes fewer. Istio asks for a number, a proxy has one."""
_CONFIG_MAP: Final = "configmap://"
_WARMED_UP: Final = (None, SimpleLB.UNSPECIFIED, SimpleLB.LEAST_CONN, SimpleLB.LEAST_REQUEST, SimpleLB.ROUND_ROBIN)

Level: TypeAlias = TrafficPolicy | PortTrafficPolicy


class _Policy(msgspec.Struct, frozen=True):
    """One policy of a rule, where it stands, and the outlier detection that goes with its load balancer."""

    rule: DestinationRule
    path: FieldPath
    level: Level
    detection: OutlierDetection | None

    def at(self, *path: str | int) -> SourceRef:
        """The place of a field below the policy."""
        return self.rule.at("spec", *self.path, *path)


def check_policies(rule: DestinationRule) -> Iterator[Diagnostic]:
    """Everything worth saying about a rule by itself: its host, its subsets, its traffic policies one by one."""
    if fault := host_fault(rule.spec.host):
        yield wording.policy_refused(rule, fault, rule.at("spec", "host"))
    selector = rule.spec.workload_selector
    for one in export_faults(rule.spec.export_to, rule.namespace, selects=selector is not None):
        yield _told(rule, one)
    if selector is not None:
        for one in selector_faults(selector.match_labels, ("workloadSelector", "matchLabels")):
            yield _told(rule, one)
    yield from _check_subsets(rule)
    for policy in _policies(rule):
        yield from _check_level(policy)
        if policy.level.outlier_detection is not None:
            yield from _check_outliers(policy, policy.level.outlier_detection)
        if policy.level.load_balancer is not None:
            yield from _check_balancer(policy, policy.level.load_balancer)


def _check_subsets(rule: DestinationRule) -> Iterator[Diagnostic]:
    names = [subset.name for subset in rule.spec.subsets]
    for number, subset in enumerate(rule.spec.subsets):
        at = rule.at("spec", "subsets", number, "name")
        if not is_label(subset.name):
            yield wording.policy_refused(rule, f"`{subset.name}` is no name of a subset", at)
        if subset.name in names[:number]:
            yield wording.policy_refused(rule, f"there is a subset `{subset.name}` already", at)
        for key, value in subset.labels.items():
            if fault := label_fault(key, value):
                yield wording.policy_refused(rule, fault, rule.at("spec", "subsets", number, "labels", key))


def _check_level(policy: _Policy) -> Iterator[Diagnostic]:
    """A policy says something, and one of a port says which; and its limits are numbers that there are."""
    rule, level = policy.rule, policy.level
    said: list[object] = [level.load_balancer, level.connection_pool, level.outlier_detection, level.tls]
    if isinstance(level, PortTrafficPolicy):
        if level.port is None:
            yield wording.policy_refused(rule, "the policy is for a port, and names none", policy.at("port"))
    else:
        said += [level.port_level_settings or None, level.tunnel, level.proxy_protocol, level.retry_budget]
        if level.tunnel is not None and level.proxy_protocol is not None:
            reason = "only one of `tunnel` and `proxyProtocol` may be set"
            yield wording.policy_refused(rule, reason, policy.at("tunnel"))
        for fault in _tunnel_faults(level.tunnel) if level.tunnel is not None else ():
            yield _told(rule, fault, policy.path)
    if not any(one is not None for one in said):
        yield wording.policy_refused(rule, "the policy says nothing: leave it out, or set a field", policy.at())
    for fault in pool_faults(level.connection_pool, ("connectionPool",)) if level.connection_pool is not None else ():
        yield _told(rule, fault, policy.path)
    for fault in _tls_faults(level.tls, rule.namespace) if level.tls is not None else ():
        yield _told(rule, fault, policy.path)


def _told(rule: DestinationRule, fault: Fault, above: FieldPath = ()) -> Diagnostic:
    say = wording.value_discouraged if fault.warns else wording.value_refused
    return say(rule, fault.reason, fault.help, rule.at("spec", *above, *fault.path))


def pool_faults(pool: ConnectionPoolSettings, here: FieldPath) -> Iterator[Fault]:
    """What is wrong with limits on connections, wherever they stand."""
    if pool.http is None and pool.tcp is None:
        yield Fault(here, "`connectionPool` needs `http` or `tcp`")
    limits: list[tuple[str, str, int]] = []
    if (http := pool.http) is not None:
        limits += [
            ("http", "http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http", "http2MaxRequests", http.http2_max_requests),
            ("http", "maxRequestsPerConnection", http.max_requests_per_connection),
            ("http", "maxRetries", http.max_retries),
            ("http", "maxConcurrentStreams", http.max_concurrent_streams),
        ]
        yield from span_faults(http.idle_timeout, (*here, "http", "idleTimeout"))
        if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and http.use_client_protocol:
            reason = "`useClientProtocol` and an upgrade to HTTP/2 cannot both be"
            yield Fault((*here, "http", "useClientProtocol"), reason)
        if (pings := http.http2_keep_alive) is not None:
            for field, span in (("interval", pings.interval), ("timeout", pings.timeout)):
                at = (*here, "http", "http2KeepAlive", field)
                if span is None:
                    yield Fault(at, f"`http2KeepAlive` needs `{field}`")
                yield from span_faults(span, at)
    if (tcp := pool.tcp) is not None:
        limits.append(("tcp", "maxConnections", tcp.max_connections))
        yield from span_faults(tcp.connect_timeout, (*here, "tcp", "connectTimeout"))
        yield from span_faults(tcp.max_connection_duration, (*here, "tcp", "maxConnectionDuration"))
        # Less than a millisecond is none, which turns the timeout off.
        if (idle := tcp.idle_timeout) is not None and abs(idle.nanoseconds) >= MILLISECOND:
            yield from span_faults(idle, (*here, "tcp", "idleTimeout"))
            if idle.nanoseconds < 0:
                yield Fault((*here, "tcp", "idleTimeout"), f"`{idle}` is less than nothing")
        if (probes := tcp.tcp_keepalive) is not None:
            yield from span_faults(probes.time, (*here, "tcp", "tcpKeepalive", "time"))
            yield from span_faults(probes.interval, (*here, "tcp", "tcpKeepalive", "interval"))
    for part, field, limit in limits:
        if limit < 0:
            yield Fault((*here, part, field), f"`{field}` is not below 0, got {limit}")


def _tls_faults(tls: ClientTLSSettings, namespace: str) -> Iterator[Fault]:
    """Certificates that do not go together. In a mode that does not ask for them nobody looks at them."""
    here = ("tls",)
    yield from _config_map_faults(tls.credential_name, namespace)
    asked = tls.mode in (TLSMode.SIMPLE, TLSMode.MUTUAL)
    if tls.insecure_skip_verify and asked:
        checks = [("caCertificates", tls.ca_certificates), ("subjectAltNames", tls.subject_alt_names)]
        # With both sides' certificates in one secret, nobody can tell whether the server's is among them.
        checks += [("credentialName", tls.credential_name)] if tls.mode is TLSMode.SIMPLE else []
        for field, written in checks:
            if written:
                yield Fault((*here, field), f"`{field}` is for verifying, and `insecureSkipVerify` turns that off")
    files = (
        ("clientCertificate", tls.client_certificate),
        ("privateKey", tls.private_key),
        ("caCertificates", tls.ca_certificates),
        ("caCrl", tls.ca_crl),
    )
    if tls.credential_name and asked:
        for field, written in files:
            if written:
                yield Fault((*here, field), f"a `credentialName` has what `{field}` would name", "keep one of them")
    elif tls.mode is TLSMode.MUTUAL:
        for field, written in files[:2]:
            if not written:
                yield Fault((*here, field), f"mode `MUTUAL` needs `{field}`", "name a file, or a `credentialName`")


def _config_map_faults(credential: str, namespace: str) -> Iterator[Fault]:
    if not credential.startswith(_CONFIG_MAP):
        return
    owner, slash, rest = credential.removeprefix(_CONFIG_MAP).partition("/")
    if not (slash and owner and rest.split("/")[0]):
        yield Fault(("tls", "credentialName"), f"`{credential}` is not `{_CONFIG_MAP}namespace/name`")
    elif owner != namespace:
        reason = f"`{credential}` is of another namespace than the rule"
        yield Fault(("tls", "credentialName"), reason, f"write `{_CONFIG_MAP}{namespace}/{rest}`")


def _tunnel_faults(tunnel: TunnelSettings) -> Iterator[Fault]:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        yield Fault(("tunnel", "protocol"), f"`{tunnel.protocol}` is not `CONNECT` or `POST`")
    if (fault := name_fault(tunnel.target_host)) and not is_ip(tunnel.target_host):
        yield Fault(("tunnel", "targetHost"), fault, "write a DNS name or an address")
    yield from port_faults(tunnel.target_port, ("tunnel", "targetPort"))


def _policies(rule: DestinationRule) -> Iterator[_Policy]:
    """The policies of a rule: its own, then those of its subsets, each with its port-level entries.

    A subset without outlier detection has that of the rule; a port-level entry has its own or none.
    """
    top = rule.spec.traffic_policy
    inherited = top.outlier_detection if top is not None else None
    levels: list[tuple[FieldPath, TrafficPolicy | None]] = [(("trafficPolicy",), top)]
    levels += [
        (("subsets", number, "trafficPolicy"), subset.traffic_policy) for number, subset in enumerate(rule.spec.subsets)
    ]
    # A subset with outlier detection alone has the rule's balancer, and with it the rule's setting for localities.
    below = [
        subset.traffic_policy.outlier_detection
        for subset in rule.spec.subsets
        if subset.traffic_policy is not None and subset.traffic_policy.load_balancer is None
    ]
    for path, level in levels:
        if level is None:
            continue
        detection = level.outlier_detection or inherited
        if level is top:
            detection = next((one for one in (detection, *below) if one is not None), None)
        yield _Policy(rule, path, level, detection)
        for number, entry in enumerate(level.port_level_settings):
            yield _Policy(rule, (*path, "portLevelSettings", number), entry, entry.outlier_detection)


def _check_balancer(policy: _Policy, settings: LoadBalancerSettings) -> Iterator[Diagnostic]:
    rule, here = policy.rule, "loadBalancer"
    if (hashing := settings.consistent_hash) is not None:
        try:
            policy_of(settings)
        except ValueError as error:
            yield wording.policy_refused(rule, str(error), policy.at(here, "consistentHash"))
        if hashing.minimum_ring_size:
            at = policy.at(here, "consistentHash", "minimumRingSize")
            yield wording.value_discouraged(
                rule,
                "`minimumRingSize` is the form of long ago",
                f"write `ringHash: {{minimumRingSize: {hashing.minimum_ring_size}}}`",
                at,
            )
        if hashing.minimum_ring_size and (hashing.ring_hash is not None or hashing.maglev is not None):
            reason = "only one of `minimumRingSize`, `ringHash` and `maglev` may be set"
            yield wording.policy_refused(rule, reason, policy.at(here, "consistentHash", "minimumRingSize"))
        if hashing.maglev is not None and hashing.maglev.table_size in (0, _LARGEST_TABLE):
            reason = f"a Maglev table has from 2 to {_LARGEST_TABLE - 1} slots, got {hashing.maglev.table_size}"
            yield wording.policy_refused(rule, reason, policy.at(here, "consistentHash", "maglev", "tableSize"))
        if hashing.http_cookie is not None:
            yield from _check_cookie(policy, hashing.http_cookie)
    if settings.locality_lb_setting is not None and settings.zone_aware_lb_setting is not None:
        reason = "only one of `localityLbSetting` and `zoneAwareLbSetting` may be set"
        yield wording.policy_refused(rule, reason, policy.at(here, "localityLbSetting"))
    if settings.locality_lb_setting is not None:
        yield from _check_locality(policy, settings.locality_lb_setting)
    if settings.zone_aware_lb_setting is not None:
        yield from _check_zone_aware(policy, settings.zone_aware_lb_setting)
    if settings.warmup is not None:
        yield from _check_warmup(policy, settings.warmup)
    for field, written in (("warmup", settings.warmup), ("warmupDurationSecs", settings.warmup_duration_secs)):
        if written is None:
            continue
        if settings.consistent_hash is not None or settings.simple not in _WARMED_UP:
            yield wording.warmup_ignored(rule, field, policy.at(here, field))
        elif field != "warmup" and settings.warmup is not None:
            yield wording.older_warmup_ignored(rule, policy.at(here, field))


def _check_cookie(policy: _Policy, cookie: HTTPCookie) -> Iterator[Diagnostic]:
    here = ("loadBalancer", "consistentHash", "httpCookie")
    if not cookie.name:
        yield wording.policy_refused(policy.rule, "the cookie needs a name", policy.at(*here, "name"))
    names = [one.name for one in cookie.attributes]
    for number, name in enumerate(names):
        at = policy.at(*here, "attributes", number, "name")
        if not name:
            yield wording.policy_refused(policy.rule, "the attribute of the cookie needs a name", at)
        elif name in names[:number]:
            yield wording.policy_refused(policy.rule, f"the cookie has an attribute `{name}` already", at)


def _check_warmup(policy: _Policy, warmup: Warmup) -> Iterator[Diagnostic]:
    yield from _check_spans(policy, ("loadBalancer", "warmup"), (("duration", warmup.duration),))
    if warmup.aggression is not None and warmup.aggression <= 0:
        at = policy.at("loadBalancer", "warmup", "aggression")
        yield wording.policy_refused(policy.rule, "the aggression of a warmup must be above 0", at)


def _check_outliers(policy: _Policy, written: OutlierDetection) -> Iterator[Diagnostic]:
    here = "outlierDetection"
    yield from _check_spans(
        policy, (here,), (("interval", written.interval), ("baseEjectionTime", written.base_ejection_time))
    )
    for field, percent in (
        ("maxEjectionPercent", written.max_ejection_percent),
        ("minHealthPercent", written.min_health_percent),
    ):
        if not 0 <= percent <= 100:
            reason = f"`{field}` is a percentage from 0 to 100, got {percent}"
            yield wording.policy_refused(policy.rule, reason, policy.at(here, field))
    if written.consecutive_local_origin_failures and not written.split_external_local_origin_errors:
        reason = "`consecutiveLocalOriginFailures` needs `splitExternalLocalOriginErrors: true`"
        yield wording.policy_refused(policy.rule, reason, policy.at(here, "consecutiveLocalOriginFailures"))
    if written.consecutive_errors:
        yield wording.consecutive_errors_ignored(policy.rule, policy.at(here, "consecutiveErrors"))


def _check_spans(
    policy: _Policy, path: FieldPath, spans: Iterable[tuple[str, Duration | None]]
) -> Iterator[Diagnostic]:
    for field, span in spans:
        for fault in span_faults(span, (*path, field)):
            yield _told(policy.rule, fault, policy.path)


def _check_locality(policy: _Policy, setting: LocalityLbSetting) -> Iterator[Diagnostic]:
    here = ("loadBalancer", "localityLbSetting")
    if setting.distribute and setting.failover:
        reason = "`distribute` and `failover` cannot both be set"
        yield wording.policy_refused(policy.rule, reason, policy.at(*here, "failover"))
    if setting.failover:
        yield from _check_topology_labels(policy, here, setting.failover_priority, "beside `failover`")
    yield from _check_shares(policy, here, setting.distribute)
    yield from _check_failover(policy, here, setting.failover)
    # An entry that distributes goes before both, whatever endpoints do.
    if setting.distribute:
        why = "`distribute` goes before it"
    elif setting.enabled is False:
        why = "it is turned off"
    else:
        why = ""
    yield from _check_detection(policy, here, setting, why)


def _check_zone_aware(policy: _Policy, setting: ZoneAwareLbSetting) -> Iterator[Diagnostic]:
    here = ("loadBalancer", "zoneAwareLbSetting")
    yield from _check_topology_labels(policy, here, setting.failover_priority, "of `zoneAwareLbSetting`")
    yield from _check_failover(policy, here, setting.failover)
    why = "it is turned off" if setting.enabled is False else "zone-aware routing does without"
    yield from _check_detection(policy, here, setting, why)


def _check_detection(
    policy: _Policy, here: FieldPath, setting: LocalityLbSetting | ZoneAwareLbSetting, why: str
) -> Iterator[Diagnostic]:
    """What Istio says of a failover without outlier detection in the same policy, and whether it is so.

    `why` nothing would come of it at any rate; empty where something would.
    """
    if policy.level.outlier_detection is not None:
        return
    if not why and policy.detection is not None:
        why = "the rule's own holds for its subsets"
    for field, written in (("failover", setting.failover), ("failoverPriority", setting.failover_priority)):
        if not written:
            continue
        at = policy.at(*here, field)
        if why:
            reason = f"Istio asks for `outlierDetection` beside `{field}` in the same policy: here {why}"
            yield wording.istio_warns(policy.rule, reason, at)
        else:
            yield wording.failover_ignored(policy.rule, field, at)


def _check_topology_labels(policy: _Policy, here: FieldPath, keys: Sequence[str], where: str) -> Iterator[Diagnostic]:
    for number, key in enumerate(keys):
        if key in (REGION, ZONE, SUBZONE):
            reason = f"`{key}` is no key for a `failoverPriority` {where}, which goes by it already"
            yield wording.policy_refused(policy.rule, reason, policy.at(*here, "failoverPriority", number))


def _check_failover(policy: _Policy, here: FieldPath, failover: Sequence[LocalityFailover]) -> Iterator[Diagnostic]:
    for number, one in enumerate(failover):
        at = policy.at(*here, "failover", number)
        if one.from_ == one.to:
            yield wording.policy_refused(policy.rule, f"a failover is to another region than `{one.from_}`", at)
        for region in dict.fromkeys((one.from_, one.to)):
            if "/" in region or "*" in region:
                reason = f"a failover is between regions: `{region}` has a zone or a wildcard in it"
                yield wording.policy_refused(policy.rule, reason, at)


def _check_shares(policy: _Policy, here: FieldPath, distribute: Sequence[LocalityDistribute]) -> Iterator[Diagnostic]:
    sources: list[tuple[str, SourceRef]] = []
    for number, one in enumerate(distribute):
        path = (*here, "distribute", number)
        sources.append((one.from_, policy.at(*path, "from")))
        for locality, weight in one.to.items():
            if not 1 <= weight <= 100:
                reason = f"the weight of a locality is from 1 to 100, got {weight}"
                yield wording.policy_refused(policy.rule, reason, policy.at(*path, "to", locality))
        if (total := sum(one.to.values())) != 100:
            yield wording.shares_not_a_hundred(policy.rule, total, policy.at(*path, "to"))
        # Istio goes through them in any order, and refuses what overlaps in one of them.
        wildcards_first = sorted(one.to, key=lambda locality: not locality.endswith("*"))
        yield from _check_places(policy, [(locality, policy.at(*path, "to", locality)) for locality in wildcards_first])
    yield from _check_places(policy, sources)


def _check_places(policy: _Policy, places: Iterable[tuple[str, SourceRef]]) -> Iterator[Diagnostic]:
    """Localities of which no later one may mean what an earlier one means; a wildcard may be what remains."""
    before: list[str] = []
    for locality, at in places:
        if locality.count("*") > 1 or locality.find("*") not in (-1, len(locality) - 1):
            yield wording.policy_refused(policy.rule, f"`{locality}` may have one `*`, at its end", at)
        elif "" in locality.split("/", 2):
            yield wording.policy_refused(policy.rule, f"`{locality}` has an empty region, zone or subzone", at)
        else:
            earlier = next((one for one in before if _overlap(one, locality)), None)
            if earlier is not None:
                yield wording.policy_refused(policy.rule, f"`{locality}` overlaps with `{earlier}`", at)
            before.append(locality)


def _overlap(earlier: str, later: str) -> bool:
    """Whether one of two places covers the other; a later one with a wildcard is what remains, and covers nobody."""
    first, second = earlier.split("/", 2), later.split("/", 2)
    covering = first[:-1] if first[-1] == "*" else first
    return second[: len(covering)] == covering or first[: len(second)] == second
