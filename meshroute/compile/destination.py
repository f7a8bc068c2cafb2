"""Which DestinationRule governs a service for a client, and what it says about load balancing and failing endpoints.

Source    spec/destination.md DR-1 to DR-10; istio/istio: pilot/pkg/model/destination_rule.go, push_context.go,
          pilot/pkg/networking/core/cluster_traffic_policy.go
Inputs    DestinationRules in any order, the namespaces of client and service. Exactness: levels before specificity,
          policies taken whole and never merged by field, except that a subset's fields stand before the service's.
Errors    none: what cannot be served as written is diagnosed by check.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, assert_never

import msgspec

from meshroute.compile.resolve import MostSpecific, age, is_subset_of, resolve
from meshroute.manifest.istio import (
    ConsistentHashLB,
    DestinationRule,
    LoadBalancerSettings,
    OutlierDetection,
    PortTrafficPolicy,
    SimpleLB,
    Subset,
    TrafficPolicy,
)
from meshroute.manifest.metadata import Duration
from meshroute.names import CLUSTER_DOMAIN, ROOT_NAMESPACE, Host, ascii_lower, wire
from meshroute.table import (
    HashOnCookie,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    LeastRequest,
    Maglev,
    OriginalDestination,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    SlowStart,
)
from meshroute.table import OutlierDetection as Outliers

NO_LABELS: Final[Mapping[str, str]] = {}


class Effective(msgspec.Struct, frozen=True):
    """What holds for one service as one client sees it: all subsets, and one policy for the service as a whole.

    `export_to` is what the oldest of the rules says about who may see it; only rules that say the same, or more than
    that, are folded into it. `selector` has the labels of the workloads that it is for, None for all.
    """

    rules: tuple[DestinationRule, ...] = ()
    subsets: Mapping[str, Subset] = {}
    policy: TrafficPolicy | None = None
    export_to: frozenset[str] = frozenset()
    selector: Mapping[str, str] | None = None


NOTHING: Final = Effective()

Index: TypeAlias = MostSpecific[list[Effective]]
"""What one namespace says, by the host that its rules name."""


class DestinationRules:
    """All DestinationRules of a mesh, ready to be looked up. `exported` is who sees those that do not say."""

    def __init__(
        self,
        rules: Iterable[DestinationRule],
        domain: str = CLUSTER_DOMAIN,
        root_namespace: str = ROOT_NAMESPACE,
        exported: Sequence[str] = ("*",),
    ) -> None:
        self._root: Final = root_namespace
        self._own: Final[dict[str, Index]] = {}
        self._exported: Final[dict[str, Index]] = {}
        self._root_private: Final[Index] = MostSpecific()
        for rule in sorted(rules, key=lambda one: (one.spec.workload_selector is None, *age(one))):
            namespace, host = rule.namespace, resolve(rule.spec.host, rule.namespace, domain)
            # Rules for chosen workloads are for those of their own namespace, whatever they say.
            export_to = frozenset(rule.spec.export_to if rule.spec.workload_selector is None else (".",))
            if not export_to or export_to & {"*", ".", namespace}:
                _fold(self._own.setdefault(namespace, MostSpecific()), host, rule, export_to)
            if export_to not in ({"."}, {namespace}) and (export_to or "." not in exported):
                _fold(self._exported.setdefault(namespace, MostSpecific()), host, rule, export_to)
            elif namespace == root_namespace:
                _fold(self._root_private, host, rule, export_to)

    def effective(self, client: str, host: Host, owner: str, labels: Mapping[str, str] = NO_LABELS) -> Effective:
        """The rule for a service host: from the client's namespace, else the service's, else the root's.

        The first of these with any rule that covers the host decides; inside it the most specific host does. Of the
        root namespace's own clients the first step asks only what is private to it: its other rules are for everybody,
        and stand last for them too. Of several rules that are left, the first that chooses the client by its labels
        counts, else the last that is for all.
        """
        found = self.candidates(client, host, owner)
        for one in found:
            if one.selector is not None and is_subset_of(one.selector, labels):
                return one
        return next((one for one in reversed(found) if one.selector is None), NOTHING)

    def candidates(self, client: str, host: Host, owner: str) -> Sequence[Effective]:
        """What clients of a namespace follow for a service host, whichever workloads they are."""
        own = self._root_private if client == self._root else self._own.get(client)
        if own is not None and (found := own.find(host)):
            return found
        for namespace in (owner, self._root):
            index = self._exported.get(namespace)
            found = (index.find(host) if index is not None else None) or []
            if seen := [one for one in found if not one.export_to or one.export_to & {"*", client}]:
                return seen
        return ()


def _fold(index: Index, host: Host, rule: DestinationRule, export_to: frozenset[str]) -> None:
    """Fold a rule into the older ones for its host: subsets are gathered, the first of a name stays; the first traffic
    policy stays whole. Rules that fewer may see than the older one are kept apart, and so are rules for other
    workloads. One for all workloads is folded into those for chosen ones too if it is as private as they are, and then
    stands by itself only if more may see it."""
    entries = index.add(host, [])
    selector = rule.spec.workload_selector.match_labels if rule.spec.workload_selector is not None else None
    apart = True
    for number, older in enumerate(entries):
        apart = export_to != older.export_to
        if apart and not (older.export_to and export_to >= older.export_to):
            continue
        if selector is not None and older.selector is not None and selector != older.selector:
            apart = True
            continue
        if (selector is None) is (older.selector is None):
            apart = False
        entries[number] = _joined(older, rule)
    if apart:
        entries.append(_joined(Effective(export_to=export_to, selector=selector), rule))


def _joined(older: Effective, rule: DestinationRule) -> Effective:
    subsets = dict(older.subsets)
    for subset in rule.spec.subsets:
        subsets.setdefault(subset.name, subset)
    policy = older.policy or rule.spec.traffic_policy
    return Effective((*older.rules, rule), subsets, policy, older.export_to, older.selector)


class Settings(msgspec.Struct, frozen=True):
    """What holds for one cluster, as written. None: nothing is said."""

    load_balancer: LoadBalancerSettings | None = None
    outlier_detection: OutlierDetection | None = None


def settings_of(effective: Effective, subset: str, port: int | None) -> Settings:
    """The settings that hold for a subset (empty: the service itself) on a port; None port: no port-level entry counts.

    A subset's fields stand before the service's, each as a whole. A port-level entry stands for the whole policy of its
    level: what it leaves out is the default, not the level's.
    """
    top, _ = _at_port(effective.policy, port)
    chosen = effective.subsets.get(subset) if subset else None
    if chosen is None or chosen.traffic_policy is None:
        return top
    own, whole = _at_port(chosen.traffic_policy, port)
    if whole:
        return own
    return Settings(own.load_balancer or top.load_balancer, own.outlier_detection or top.outlier_detection)


def _at_port(policy: TrafficPolicy | None, port: int | None) -> tuple[Settings, bool]:
    """What one level says for a port, and whether an entry for the port says it."""
    if policy is None:
        return Settings(), False
    entry = _port_entry(policy, port)
    level = entry or policy
    return Settings(level.load_balancer, level.outlier_detection), entry is not None


def _port_entry(policy: TrafficPolicy, port: int | None) -> PortTrafficPolicy | None:
    return next(
        (one for one in policy.port_level_settings if one.port is not None and one.port.number == port),
        None,
    )


def policy_of(settings: LoadBalancerSettings | None) -> Policy:
    """The table's policy for these settings. Nothing said means least request. Raises ValueError for refused sizes."""
    if settings is None:
        return LeastRequest()
    if (hashing := settings.consistent_hash) is not None:
        if hashing.maglev is not None:
            return Maglev(hashing.maglev.table_size) if hashing.maglev.table_size else Maglev()
        minimum = hashing.ring_hash.minimum_ring_size if hashing.ring_hash is not None else hashing.minimum_ring_size
        return RingHash(minimum) if minimum else RingHash()
    match settings.simple:
        case SimpleLB.ROUND_ROBIN:
            return RoundRobin(slow_start_of(settings))
        case SimpleLB.RANDOM:
            return RandomChoice()
        case SimpleLB.PASSTHROUGH:
            return OriginalDestination()
        case None | SimpleLB.UNSPECIFIED | SimpleLB.LEAST_CONN | SimpleLB.LEAST_REQUEST:
            return LeastRequest(slow_start=slow_start_of(settings))
        case _:
            assert_never(settings.simple)


def slow_start_of(settings: LoadBalancerSettings) -> SlowStart | None:
    """How newcomers are warmed up, None for not at all. Of the two forms the newer wins."""
    if (warmup := settings.warmup) is not None:
        return SlowStart(
            milliseconds(warmup.duration),
            1.0 if warmup.aggression is None else warmup.aggression,
            10.0 if warmup.minimum_percent is None else warmup.minimum_percent,
        )
    if settings.warmup_duration_secs is not None:
        return SlowStart(milliseconds(settings.warmup_duration_secs))
    return None


def outliers_of(written: OutlierDetection | None) -> Outliers | None:
    """When failing endpoints are left out; None for never. A threshold of 0 turns its detector off.

    Success rates are never looked at. Raises ValueError for percentages that are none.
    """
    if written is None:
        return None
    given: dict[str, int] = {"enforcing_success_rate": 0}
    for field, errors in (
        ("consecutive_5xx", written.consecutive_5xx_errors),
        ("consecutive_gateway_failure", written.consecutive_gateway_errors),
    ):
        if errors is not None:
            given |= {field: errors, f"enforcing_{field}": 100 if errors else 0}
    for field, span in (("interval", written.interval), ("base_ejection_time", written.base_ejection_time)):
        if span is not None:
            given[field] = milliseconds(span)
    if written.max_ejection_percent > 0:  # 0 counts as not said
        given["max_ejection_percent"] = written.max_ejection_percent
    if written.split_external_local_origin_errors:
        given["enforcing_local_origin_success_rate"] = 0
        if written.consecutive_local_origin_failures:
            given["consecutive_local_origin_failure"] = written.consecutive_local_origin_failures
    found = Outliers(split_external_local_origin_errors=written.split_external_local_origin_errors)
    return msgspec.structs.replace(found, **given)


def milliseconds(span: Duration) -> int:
    """A duration as proxies count it: whole milliseconds, the rest dropped."""
    return span.nanoseconds // 1_000_000


def hash_policies(effective: Effective, subset: str, port: int | None) -> tuple[HashPolicy, ...]:
    """What requests to a subset (empty: the service itself) are hashed by; nothing where no key is named.

    The first `consistentHash` there is: the subset's for the port, the subset's, the rule's for the port, the rule's.
    A level that balances otherwise is passed over, because routes are made without a look at clusters.
    """
    chosen = effective.subsets.get(subset) if subset else None
    for policy in (chosen.traffic_policy if chosen is not None else None, effective.policy):
        if policy is None:
            continue
        entry = _port_entry(policy, port)
        for settings in (entry.load_balancer if entry is not None else None, policy.load_balancer):
            if settings is not None and settings.consistent_hash is not None:
                return _hash_policy(settings.consistent_hash)
    return ()


def source_policies(effective: Effective, subset: str, port: int | None) -> tuple[HashPolicy, ...]:
    """What connections are hashed by: the client's address, where a DestinationRule says so, and nothing else."""
    return tuple(one for one in hash_policies(effective, subset, port) if isinstance(one, HashOnSourceIp))


def _hash_policy(hashing: ConsistentHashLB) -> tuple[HashPolicy, ...]:
    """The one key that settings name; none where they name none."""
    if hashing.http_header_name:
        return (HashOnHeader(wire(ascii_lower(hashing.http_header_name))),)
    if hashing.http_cookie is not None:
        cookie = hashing.http_cookie
        return (
            HashOnCookie(
                wire(cookie.name),
                ttl=None if cookie.ttl is None else cookie.ttl.nanoseconds // 1_000_000_000,
                path=wire(cookie.path),
                attributes=tuple((wire(one.name), wire(one.value)) for one in cookie.attributes),
            ),
        )
    if hashing.use_source_ip:
        return (HashOnSourceIp(),)
    if hashing.http_query_parameter_name:
        return (HashOnQuery(wire(hashing.http_query_parameter_name)),)
    return ()
