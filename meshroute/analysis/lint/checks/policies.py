"""Traffic policies of which something gets lost, or that do nothing: port-level entries, outlier detection, localities.

Source    spec/destination.md DR-3, DR-7, DR-8, spec/outlier.md OUT-6, spec/locality.md LOC-4, LOC-6, LOC-7
Inputs    DestinationRules and the endpoints that are given. Exactness: endpoints are counted as proxies count them;
          where not all of them are known (DNS, a client's own node) nothing is said.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from meshroute.analysis.lint.catalogue import CATALOGUE, LintCode
from meshroute.analysis.lint.checks.world import Level, World, as_note
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.destination import outliers_of
from meshroute.compile.locality import matches
from meshroute.compile.resolve import is_subset_of
from meshroute.compile.service import Member, Reach, RegisteredService
from meshroute.diagnostics import Code, Severity, SourceRef
from meshroute.manifest.istio import (
    DestinationRule,
    LocalityLbSetting,
    OutlierDetection,
    TrafficPolicy,
)
from meshroute.table import Health

_WHOLE: Mapping[str, str] = {
    "load_balancer": "loadBalancer",
    "connection_pool": "connectionPool",
    "outlier_detection": "outlierDetection",
    "tls": "tls",
}
"""What an entry for a port replaces, whether it says it or not."""


def check_policies(world: World) -> Iterator[Finding]:
    """Everything about traffic policies but consistent hashing."""
    for rule in world.destination_rules:
        yield from _replaced(rule)
        yield from _repeated(rule)
    yield from _of_the_mesh(world)
    for level in world.levels:
        if level.policy.outlier_detection is not None:
            yield from _outliers(level, level.policy.outlier_detection, world)
            yield from _failover(level, world)
        balancer = level.policy.load_balancer
        if balancer is not None and balancer.locality_lb_setting is not None:
            yield from _distribute(level, balancer.locality_lb_setting, world)


def _of_the_mesh(world: World) -> Iterator[Finding]:
    """The mesh's own failover, where nothing waits for it."""
    setting = world.config.locality
    if setting is None or setting.enabled is False or setting.distribute or world.config.zone_aware is not None:
        return
    field = "failover" if setting.failover else "failoverPriority" if setting.failover_priority else ""
    if field and not any(level.policy.outlier_detection is not None for level in world.levels):
        yield Finding(
            Code.SETTING_IGNORED,
            Severity.NOTE,
            f"`{field}` of the mesh has no effect: no DestinationRule that is given has `outlierDetection`",
            SourceRef("", path=f"localityLbSetting.{field}"),
            "MeshConfig",
            "add it to the rules of services that are to fail over:\ntrafficPolicy:\n  outlierDetection: {}",
            clause=CATALOGUE[Code.SETTING_IGNORED].clause,
        )


def _replaced(rule: DestinationRule) -> Iterator[Finding]:
    """Entries for a port beside settings that do not hold there."""
    top = rule.spec.traffic_policy
    whole: list[tuple[tuple[str | int, ...], TrafficPolicy | None, TrafficPolicy | None]] = [
        (("trafficPolicy",), top, None)
    ]
    whole += [
        (("subsets", number, "trafficPolicy"), subset.traffic_policy, top)
        for number, subset in enumerate(rule.spec.subsets)
    ]
    for path, policy, above in whole:
        for number, entry in enumerate(policy.port_level_settings if policy is not None else ()):
            lost = [
                alias
                for field, alias in _WHOLE.items()
                if getattr(entry, field) is None and (getattr(policy, field) or (above and getattr(above, field)))
            ]
            if lost:
                port = entry.port.number if entry.port is not None else 0
                names = ", ".join(f"`{one}`" for one in lost)
                yield found(
                    LintCode.PORT_SETTINGS_REPLACE,
                    f"on port {port} this entry stands in the place of the whole policy: {names} "
                    f"{'does' if len(lost) == 1 else 'do'} not hold there",
                    rule.at("spec", *path, "portLevelSettings", number),
                    rule.subject,
                    help="write in the entry, once more, what is to hold on the port too:\n"
                    + "\n".join(["- port: {number: " + f"{port}" + "}", *(f"  {one}: ..." for one in lost)]),
                    related=tuple(rule.at("spec", *path, one) for one in lost),
                )


def _repeated(rule: DestinationRule) -> Iterator[Finding]:
    """Subsets with a policy that says what the rule's says anyway."""
    top = rule.spec.traffic_policy
    if top is None:
        return
    for number, subset in enumerate(rule.spec.subsets):
        own = subset.traffic_policy
        if own is None or own.port_level_settings or top.port_level_settings:
            continue
        said = [field for field in type(own).model_fields if getattr(own, field)]
        if said and all(getattr(own, field) == getattr(top, field) for field in said):
            yield found(
                LintCode.SUBSET_POLICY_REPEATS,
                "the policy of the subset says what that of the rule says: it changes nothing",
                rule.at("spec", "subsets", number, "trafficPolicy"),
                rule.subject,
                help="leave it out: a subset has every field of the rule's policy that it does not set itself",
                related=(rule.at("spec", "trafficPolicy"),),
            )


# Endpoints that fail


def _clusters(level: Level, world: World) -> Iterator[tuple[RegisteredService, str, Sequence[Member]]]:
    """What a level's outlier detection is for, cluster by cluster: the service, the subset, its endpoints. Where it is
    the service's, the subsets that have it too are smaller, and in no other places."""
    spec = level.rule.spec
    settings = level.policy.port_level_settings if isinstance(level.policy, TrafficPolicy) else ()
    entries = {one.port.number for one in settings if one.port is not None}
    for service in world.covered(level.rule):
        if service.reach is not Reach.LISTED or service.node_local:
            continue
        for port, members in service.members.items():
            if level.port not in (None, port) or port in entries:
                continue
            if not level.subset:
                yield service, "", members
            for subset in spec.subsets:
                if subset.name == level.subset:
                    chosen = [one for one in members if is_subset_of(subset.labels, one.labels)]
                    yield service, subset.name, chosen


def _outliers(level: Level, written: OutlierDetection, world: World) -> Iterator[Finding]:
    config = outliers_of(written)
    assert config is not None
    at = level.at("outlierDetection")
    if not (
        (config.consecutive_5xx and config.enforcing_consecutive_5xx)
        or (config.consecutive_gateway_failure and config.enforcing_consecutive_gateway_failure)
        or (config.split_external_local_origin_errors and config.consecutive_local_origin_failure)
    ):
        yield found(
            LintCode.OUTLIERS_NEVER_EJECTED,
            "all thresholds are 0, which turns them off: no endpoint is ever put aside",
            at,
            level.rule.subject,
            help="set one:\noutlierDetection:\n  consecutive5xxErrors: 5",
        )
        return
    sizes: list[tuple[int, str]] = []
    for service, subset, members in _clusters(level, world):
        counted = [
            one for one in members if not written.min_health_percent or one.endpoint.health is not Health.UNHEALTHY
        ]
        if not counted:
            continue
        size = len(counted)
        what = f"subset `{subset}` of `{service.host}`" if subset else f"`{service.host}`"
        one_place = service.distribution is None and len({one.endpoint.locality for one in counted}) == 1
        if 100.0 / size <= config.max_ejection_percent and not (
            one_place and _panics(size, written.min_health_percent)
        ):
            return
        sizes.append((size, what))
    if not sizes:
        return
    size, what = max(sizes)
    if 100.0 / size > config.max_ejection_percent:
        least = ceil(100 / size)
        yield found(
            LintCode.OUTLIERS_NEVER_EJECTED,
            f"no endpoint is ever put aside: {what} has {size}, one of them is {100 / size:.4g} percent, and at most "
            f"{config.max_ejection_percent} percent may be",
            at,
            level.rule.subject,
            help=f"allow for one at least:\noutlierDetection:\n  maxEjectionPercent: {least}",
        )
    else:
        yield found(
            LintCode.OUTLIERS_NEVER_EJECTED,
            f"endpoints that are put aside get requests all the same: without one of its {size}, {what} is below "
            f"`minHealthPercent` {written.min_health_percent}",
            level.at("outlierDetection", "minHealthPercent"),
            level.rule.subject,
            help=f"have it at most {100 * (size - 1) // size}, or leave it out",
        )


def _panics(size: int, threshold: int) -> bool:
    """Whether a cluster in one place panics as soon as one of its endpoints is out: too few are healthy, and those that
    are cannot take everything (an endpoint takes 1.4 times its share)."""
    return threshold > 0 and 100.0 * (size - 1) / size < threshold and 140 * (size - 1) // size < 100


def _failover(level: Level, world: World) -> Iterator[Finding]:
    """Outlier detection that brings failover by locality with it."""
    mesh = world.config.locality
    balancer = level.policy.load_balancer
    inherited = level.rule.spec.traffic_policy
    if balancer is None and isinstance(level.policy, TrafficPolicy) and inherited is not None:
        balancer = inherited.load_balancer
    says = balancer is not None and (
        balancer.locality_lb_setting is not None or balancer.zone_aware_lb_setting is not None
    )
    off = mesh is None or mesh.enabled is False or world.config.zone_aware is not None
    # Only the setting that nobody wrote is a surprise.
    if says or off or mesh != LocalityLbSetting():
        return
    for service, subset, members in _clusters(level, world):
        places = sorted({one.endpoint.locality for one in members if one.endpoint.locality})
        if len(places) < 2 or service.distribution is not None:
            continue
        hashes = balancer is not None and balancer.consistent_hash is not None
        yield found(
            LintCode.FAILOVER_IMPLIED,
            f"with `outlierDetection` clients keep to their own locality, because the mesh's setting is on: "
            f"{f'subset `{subset}` of ' if subset else ''}`{service.host}` stands in {len(places)} of them"
            + (", and clients of each send the same key elsewhere" if hashes else ""),
            level.at("outlierDetection"),
            level.rule.subject,
            help="to have all endpoints taken alike:\n"
            "trafficPolicy:\n  loadBalancer:\n    localityLbSetting: {enabled: false}",
            related=(service.at,),
        )
        return


def _distribute(level: Level, setting: LocalityLbSetting, world: World) -> Iterator[Finding]:
    """Shares for localities in which there is nobody, and for clients that are nowhere."""
    if setting.enabled is False or not setting.distribute:
        return
    services = [one for one in world.covered(level.rule) if one.reach is Reach.LISTED]
    places = {
        one.endpoint.locality
        for service in services
        for port, of_port in service.members.items()
        if level.port in (None, port)
        for one in of_port
    }
    if not any(places):
        return
    here = ("loadBalancer", "localityLbSetting", "distribute")
    clients = {one.locality for one in world.registry.workloads if one.locality}
    for number, entry in enumerate(setting.distribute):
        for place in entry.to:
            if not any(matches(one, place) for one in places if one):
                yield found(
                    LintCode.DISTRIBUTE_NOWHERE,
                    f"no endpoint of `{services[0].host}` is in `{place}`: its share goes to the other localities",
                    level.at(*here, number, "to", place),
                    level.rule.subject,
                    help=f"they are in {', '.join(f'`{one}`' for one in sorted(places) if one)}",
                )
        if clients and not any(matches(one, entry.from_) for one in clients):
            yield as_note(
                found(
                    LintCode.DISTRIBUTE_NOWHERE,
                    f"no pod that is given is in `{entry.from_}`: this entry is for nobody",
                    level.at(*here, number, "from"),
                    level.rule.subject,
                    help=f"pods are in {', '.join(f'`{one}`' for one in sorted(clients))}",
                )
            )
