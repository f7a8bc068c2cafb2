"""Rules that others stand before, or that those who need them do not see.

Source    spec/destination.md DR-1, DR-2, spec/host.md HOST-3, HOST-5, spec/gateway.md GW-4, spec/sidecar.md;
          istio/istio: pkg/config/analysis/analyzers/{virtualservice,destinationrule}; kiali/kiali: business/checkers
Inputs    VirtualServices, DestinationRules and services of a mesh. Exactness: a namespace stands for its clients; rules
          for chosen workloads are looked at only where they hide nothing.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import World, as_note
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.destination import Effective
from meshroute.compile.resolve import MESH, covers, gateway_name, is_wild
from meshroute.compile.scope import governs_mesh
from meshroute.manifest import Resource
from meshroute.manifest.istio import DestinationRule, TrafficPolicy, VirtualService
from meshroute.manifest.istio_services import ServiceEntry
from meshroute.names import Host, ascii_lower

_FIELDS = {
    "load_balancer": "loadBalancer",
    "connection_pool": "connectionPool",
    "outlier_detection": "outlierDetection",
    "tls": "tls",
}


def check_visibility(world: World) -> Iterator[Finding]:
    """Everything about who sees and follows what."""
    yield from _hidden(world)
    for rule in world.destination_rules:
        yield from _folded(rule, world)
        yield from _elsewhere(rule, world)
        yield from _outranked(rule, world)
    yield from _overlaps(world)
    for one in world.virtual_services:
        yield from _mesh_left_out(one, world)
    yield from _unseen(world)
    yield from _passed_by(world)


def _hidden(world: World) -> Iterator[Finding]:
    """What is exported to nobody, or to namespaces of which nothing is given."""
    given = {one.namespace for one in world.mesh.resources}
    some: list[Resource] = [*world.virtual_services, *world.destination_rules, *world.entries]
    for one in some:
        assert isinstance(one, VirtualService | DestinationRule | ServiceEntry)
        if "~" in one.spec.export_to:  # the webhook refuses it of all others
            if isinstance(one, ServiceEntry):
                yield found(
                    LintCode.EXPORTED_TO_NOBODY,
                    "`~` hides this ServiceEntry from everybody, its own namespace included: it does nothing",
                    one.at("spec", "exportTo"),
                    one.subject,
                    help="for its own namespace alone:\nexportTo: [.]",
                )
        elif one.spec.export_to and not set(one.spec.export_to) & {"*", ".", *given}:
            names = ", ".join(f"`{name}`" for name in one.spec.export_to)
            yield as_note(
                found(
                    LintCode.EXPORTED_TO_NOBODY,
                    f"this {one.kind} is for {names} alone, and nothing is given of that: nobody here sees it",
                    one.at("spec", "exportTo"),
                    one.subject,
                    help="`.` is the own namespace, and has to be named too:\n"
                    f"exportTo: [., {', '.join(one.spec.export_to)}]",
                )
            )


# DestinationRules


def _followed(rule: DestinationRule, host: Host, owner: str, world: World) -> list[Effective]:
    """What those who might follow a rule do follow for its host: clients of its namespace, and those it is exported
    to."""
    clients = dict.fromkeys((rule.namespace, *rule.spec.export_to, *sorted(world.inhabited)))
    seen = (one for client in clients for one in world.rules.candidates(client, host, owner))
    return [one for one in seen if any(folded is rule for folded in one.rules)]


def _folded(rule: DestinationRule, world: World) -> Iterator[Finding]:
    """What is lost where several rules of a namespace have one host."""
    host = world.full(rule, rule.spec.host)
    if (
        sum(one.namespace == rule.namespace for one in world.rules_for[host]) < 2
        or rule.spec.workload_selector is not None
    ):
        return
    services = world.known.covered(host)
    followed = [one for owner in {one.namespace for one in services} for one in _followed(rule, host, owner, world)]
    if not followed:
        return
    policy = rule.spec.traffic_policy
    if policy is not None and not any(one.policy is policy for one in followed):
        first = next(one for one in followed[0].rules if one.spec.traffic_policy is followed[0].policy)
        yield found(
            LintCode.DESTINATION_RULE_FOLDED,
            f"{first.subject} has a `trafficPolicy` for `{host}` already, and this one is passed over whole: "
            "policies of several rules are not merged",
            rule.at("spec", "trafficPolicy"),
            rule.subject,
            help="put everything about one host into one DestinationRule",
            related=(first.at("spec", "trafficPolicy"),),
        )
    for number, subset in enumerate(rule.spec.subsets):
        if not any(one.subsets.get(subset.name) is subset for one in followed):
            first, place = next(
                (one, index)
                for one in followed[0].rules
                for index, earlier in enumerate(one.spec.subsets)
                if earlier.name == subset.name
            )
            yield found(
                LintCode.DESTINATION_RULE_FOLDED,
                f"{first.subject} has a subset `{subset.name}` of `{host}` already, and this one is passed over",
                rule.at("spec", "subsets", number),
                rule.subject,
                help="give it another name, or put everything about one host into one DestinationRule",
                related=(first.at("spec", "subsets", place),),
            )


def _elsewhere(rule: DestinationRule, world: World) -> Iterator[Finding]:
    """A rule that is neither with its service nor in the root namespace, and that says it is for others."""
    if rule.spec.workload_selector is not None or rule.namespace == world.config.root_namespace:
        return
    owners = {one.namespace for one in world.covered(rule)}
    if not owners or rule.namespace in owners:
        return
    exported = [one for one in rule.spec.export_to if one not in (".", "~", rule.namespace)]
    owner = min(owners)
    help = f"put it into the namespace of the service:\nmetadata: {{name: {rule.name}, namespace: {owner}}}"
    related = tuple(one.at for one in world.covered(rule)[:1])
    if exported:
        at_home = {"*", ".", rule.namespace} & set(rule.spec.export_to)
        who = f"clients outside `{rule.namespace}` do not follow" if at_home else "nobody follows"
        yield found(
            LintCode.DESTINATION_RULE_NOT_FOLLOWED,
            f"{who} this rule, whatever `exportTo` says: clients look into their own namespace, the service's, and the "
            "root namespace",
            rule.at("spec", "exportTo"),
            rule.subject,
            help=help,
            related=related,
        )
    elif (
        world.inhabited
        and rule.namespace not in world.inhabited
        and not any(world.home(one) == rule.namespace for one in world.gateways.values())
    ):
        yield as_note(
            found(
                LintCode.DESTINATION_RULE_NOT_FOLLOWED,
                f"only clients in `{rule.namespace}` follow this rule, and no pod of that namespace is given",
                rule.at("metadata", "namespace"),
                rule.subject,
                help=help,
                related=related,
            )
        )


def _outranked(rule: DestinationRule, world: World) -> Iterator[Finding]:
    """A wildcard's rule that stands before a service's own for clients of its namespace; and one that an exact rule of
    the same namespace does not take anything from."""
    host = world.full(rule, rule.spec.host)
    if not is_wild(host) or rule.spec.workload_selector is not None:
        return
    for service in world.covered(rule):
        for other in world.rules_for.get(service.host, ()):
            if other.spec.workload_selector is not None:
                continue
            if other.namespace == rule.namespace:
                yield from _not_inherited(rule, other)
            elif rule.namespace != world.config.root_namespace:
                followed = world.rules.candidates(rule.namespace, service.host, service.namespace)
                follows = any(folded is rule for one in followed for folded in one.rules)
                if other.namespace == service.namespace and follows:
                    yield found(
                        LintCode.DESTINATION_RULE_OUTRANKED,
                        f"for `{service.host}` clients in `{rule.namespace}` follow this rule, of their own namespace, "
                        f"and not {other.subject}, though that one names the host",
                        rule.at("spec", "host"),
                        rule.subject,
                        help="the client's namespace goes before the service's; only within one does the narrower "
                        "host win",
                        related=(other.at("spec", "host"),),
                    )


def _not_inherited(wide: DestinationRule, exact: DestinationRule) -> Iterator[Finding]:
    above, own = wide.spec.traffic_policy or TrafficPolicy(), exact.spec.traffic_policy or TrafficPolicy()
    lost = [alias for field, alias in _FIELDS.items() if getattr(above, field) and not getattr(own, field)]
    if lost:
        yield found(
            LintCode.POLICY_NOT_INHERITED,
            f"this rule stands in the place of {wide.subject}, whose {', '.join(f'`{one}`' for one in lost)} "
            f"{'does' if len(lost) == 1 else 'do'} not hold for the host: rules of a wider host are not inherited",
            exact.at("spec", "host"),
            exact.subject,
            help="write here what is to hold here",
            related=tuple(wide.at("spec", "trafficPolicy", one) for one in lost),
        )


# VirtualServices


def _places(one: VirtualService) -> set[str]:
    return {gateway_name(name, one.namespace) for name in one.spec.gateways or (MESH,)} if one.spec.hosts else set()


def _overlaps(world: World) -> Iterator[Finding]:
    """A host with rules of its own beside a wildcard that covers it."""
    claims = [
        (ascii_lower(world.full(one, written)), one, index, _places(one))
        for one in world.virtual_services
        for index, written in enumerate(one.spec.hosts)
    ]
    wide = [claim for claim in claims if is_wild(claim[0])]
    for host, one, index, places in claims:
        for wider, other, number, there in wide:
            if other is one or wider == host or not covers(wider, host) or not (places & there):
                continue
            if not (world.sees_rules(one.namespace, other) or world.sees_rules(other.namespace, one)):
                continue
            yield found(
                LintCode.VIRTUAL_SERVICES_OVERLAP,
                f"requests for `{host}` see these rules only: where none takes them they get 404, and "
                f"{other.subject} for `{wider}` is not asked",
                one.at("spec", "hosts", index),
                one.subject,
                help="repeat here the rules of the wider host that are to hold for this one too",
                related=(other.at("spec", "hosts", number),),
            )


def _mesh_left_out(one: VirtualService, world: World) -> Iterator[Finding]:
    """Rules for a service of the mesh that are bound to Gateways alone."""
    if not one.spec.hosts or not one.spec.gateways or governs_mesh(one):
        return
    for index, written in enumerate(one.spec.hosts):
        host = ascii_lower(world.full(one, written))
        service = world.known.services.get(Host(host))
        if service is None or not service.kubernetes or is_wild(host):
            continue
        if any(
            covers(world.full(other, name), host)
            for other in world.virtual_services
            if governs_mesh(other)
            for name in other.spec.hosts
        ):
            continue
        names = ", ".join(one.spec.gateways)
        yield found(
            LintCode.MESH_LEFT_OUT,
            f"sidecars do not look at this VirtualService: calls inside the mesh to `{host}` follow none of its rules",
            one.at("spec", "gateways"),
            one.subject,
            help=f"if they are meant for both:\ngateways: [mesh, {names}]",
            related=(one.at("spec", "hosts", index), service.at),
        )


def _unseen(world: World) -> Iterator[Finding]:
    """Destinations that no client of the rules sees."""
    for sent in world.sent:
        if sent.service is None:
            continue
        clients = set(world.clients(sent.owner))
        if any(world.sees_host(client, sent.service.host) for client in clients):
            continue
        for head in world.heads(sent.owner):
            if governs_mesh(head):
                clients |= {one for one in world.namespaces if world.sees_rules(one, head)}
        if clients and not any(world.sees_host(client, sent.service.host) for client in clients):
            yield found(
                LintCode.DESTINATION_UNSEEN,
                f"`{sent.service.host}` is not exported to any namespace whose proxies follow these rules: what is "
                + ("sent there fails with 503 NC" if sent.kind == "http" else "opened there is closed"),
                sent.at("host"),
                sent.owner.subject,
                help=f"have `exportTo` of the service name `{min(clients)}`",
                related=(sent.service.at,),
            )


def _passed_by(world: World) -> Iterator[Finding]:
    """Requests from a Gateway to a service whose rules are for sidecars alone."""
    mesh: dict[str, VirtualService] = {}
    for one in world.virtual_services:
        if one.spec.gateways and set(one.spec.gateways) != {MESH}:
            continue
        divides = len(one.spec.http) > 1 or any(to.destination.subset for rule in one.spec.http for to in rule.route)
        for written in one.spec.hosts if divides else ():
            mesh.setdefault(world.full(one, written), one)
    for sent in world.sent:
        rules = mesh.get(sent.host)
        if rules is None or sent.kind != "http" or sent.copies or sent.destination.subset or sent.service is None:
            continue
        heads = world.heads(sent.owner)
        if not sent.service.kubernetes or not heads or any(governs_mesh(one) for one in heads):
            continue
        yield found(
            LintCode.MESH_RULES_PASSED_BY,
            f"requests that come by these rules go to `{sent.host}` as it is: {rules.subject} is for sidecars, and "
            "Gateways do not look at it",
            sent.at("host"),
            sent.owner.subject,
            help="name subsets here too, or lead both to one delegate",
            related=(rules.at("spec", "hosts"),),
        )
