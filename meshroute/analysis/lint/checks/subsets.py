"""Subsets that nobody sends to, and subsets that choose nobody.

Source    spec/destination.md DR-4, DR-6, spec/decide.md DECIDE-2
Inputs    DestinationRules and every destination of a mesh. Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import World
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.destination import policy_of, settings_of
from meshroute.compile.resolve import Hosts
from meshroute.compile.service import Reach
from meshroute.manifest.istio_gateway import ServerTLSMode
from meshroute.names import Host
from meshroute.table import OriginalDestination


def check_subsets(world: World) -> Iterator[Finding]:
    """Everything about subsets that loading does not say."""
    named: dict[str, set[Host]] = {}
    for one in world.sent:
        if one.destination.subset:
            named.setdefault(one.destination.subset, set()).update(
                (one.host, one.service.host) if one.service is not None else (one.host,)
            )
    used_hosts = {name: Hosts(hosts) for name, hosts in named.items()}
    # Clients of such a server ask for clusters by name, and may ask for any subset.
    by_name = any(
        server.tls is not None and server.tls.mode is ServerTLSMode.AUTO_PASSTHROUGH
        for gateway in world.gateways.values()
        for server in gateway.spec.servers
    )
    for rule in world.destination_rules:
        host = world.full(rule, rule.spec.host)
        services = world.covered(rule)
        for number, subset in enumerate(rule.spec.subsets):
            used = subset.name in used_hosts and used_hosts[subset.name].lie_below(host)
            if services and not used and not by_name:
                yield found(
                    LintCode.SUBSET_UNUSED,
                    f"no rule that is given sends to subset `{subset.name}`: its labels and its policy mean nothing",
                    rule.at("spec", "subsets", number, "name"),
                    rule.subject,
                    help="subsets get requests only from rules that name them:\n"
                    f"route:\n- destination: {{host: {rule.spec.host}, subset: {subset.name}}}",
                )
            for service in services:
                if not used or not subset.labels or service.reach is not Reach.LISTED:
                    continue
                effective = world.rules.effective(rule.namespace, service.host, service.namespace)
                if effective.subsets.get(subset.name) is not subset:
                    continue
                settings = settings_of(effective, subset.name, None)
                if isinstance(policy_of(settings.load_balancer), OriginalDestination):
                    yield found(
                        LintCode.SUBSET_PASSED_OVER,
                        f"with `PASSTHROUGH` requests to subset `{subset.name}` of `{service.host}` go to the address "
                        "that the client was going to, whatever the labels of who is there",
                        rule.at("spec", "subsets", number),
                        rule.subject,
                        help="give the subset a policy that chooses:\n"
                        "trafficPolicy:\n  loadBalancer: {simple: LEAST_REQUEST}",
                        related=(service.at,),
                    )
                    break
