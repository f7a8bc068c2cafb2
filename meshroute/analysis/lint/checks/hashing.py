"""Consistent hashing that does not keep anybody, or not as long as it seems.

Source    spec/hash.md HASH-4, HASH-5, spec/destination.md DR-3, DR-5, spec/connect.md CONNECT-9,
          spec/kubernetes.md SVC-6, spec/locality.md LOC-4, LOC-7
Inputs    DestinationRules and rules of a mesh. Exactness: keys are those that the compiler puts on routes.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import Level, Sent, World, as_note
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.destination import Effective, hash_policies
from meshroute.compile.service import Port, Protocol, Reach, RegisteredService
from meshroute.diagnostics import SourceRef
from meshroute.manifest.istio import ConsistentHashLB, PortTrafficPolicy, TrafficPolicy
from meshroute.table import HashPolicy


def check_hashing(world: World) -> Iterator[Finding]:
    """Everything about `consistentHash`."""
    for level in world.levels:
        balancer = level.policy.load_balancer
        if balancer is not None and balancer.consistent_hash is not None:
            yield from _level(level, balancer.consistent_hash, world)
    together: dict[tuple[str, int], list[Sent]] = {}
    for one in world.sent:
        if one.kind == "http" and not one.copies:
            together.setdefault((one.owner.subject, one.number), []).append(one)
    for some in together.values():
        yield from _rule(some, world)


# What a DestinationRule says


def _level(level: Level, hashing: ConsistentHashLB, world: World) -> Iterator[Finding]:
    at = level.at("loadBalancer", "consistentHash")
    subject = level.rule.subject
    if not (
        hashing.http_header_name
        or hashing.http_cookie is not None
        or hashing.use_source_ip
        or hashing.http_query_parameter_name
    ):
        yield found(
            LintCode.HASH_WITHOUT_EFFECT,
            "no key is named: every request is placed anew, and nobody stays where they were",
            at,
            subject,
            help="name one:\nconsistentHash: {httpHeaderName: x-user}",
        )
        return
    services = [one for one in world.covered(level.rule) if one.reach is not Reach.ALIAS and _ports(one, level)]
    if not services:
        return
    if all(one.reach is Reach.ORIGINAL for one in services):
        headless = [one for one in services if one.headless]
        message = found(
            LintCode.HASH_WITHOUT_EFFECT,
            f"sidecars send requests for `{services[0].host}` where the client was going, and hash nothing: "
            + ("the Service is headless" if headless else "its `resolution` is NONE"),
            at,
            subject,
            help="a Service with an address of its own has its endpoints chosen by proxies"
            + ("; those of Gateways choose in any case" if headless else ""),
            related=(services[0].at,),
        )
        yield as_note(message) if headless else message
    elif not hashing.use_source_ip and not any(
        _may_be_read(port, world) for one in services for port in _ports(one, level)
    ):
        port = _ports(services[0], level)[0]
        yield found(
            LintCode.HASH_WITHOUT_EFFECT,
            f"port {port.number} (`{port.name}`) of `{services[0].host}` does not speak HTTP: connections have no such "
            "key, and each is placed anew",
            at,
            subject,
            help="connections have the client's address:\nconsistentHash: {useSourceIp: true}\n"
            "or, if it speaks HTTP, name the port `http-...`",
            related=(services[0].at,),
        )


def _ports(service: RegisteredService, level: Level) -> list[Port]:
    return [one for one in service.ports if level.port in (None, one.number)]


def _may_be_read(port: Port, world: World) -> bool:
    return port.protocol.may_be_http or (port.protocol is Protocol.REDIS and world.config.redis_filter)


# What becomes of it in a rule


def _rule(some: list[Sent], world: World) -> Iterator[Finding]:
    rule = some[0].owner.spec.http[some[0].number]
    several = len(rule.route) > 1
    taking = [one for one, to in zip(some, rule.route, strict=True) if to.weight or not several]
    subject = some[0].owner.subject
    for client in world.clients(some[0].owner):
        keys = {one.path: _keys(one, client, world) for one in taking}
        for one in taking:
            if not keys[one.path] and (place := _left_out(one, client, world)) is not None:
                yield found(
                    LintCode.HASH_PORT_MISSING,
                    "no key is made for this destination: `consistentHash` of a port counts only where the rule writes "
                    "the port, and every request is placed anew",
                    one.at(),
                    subject,
                    help=f"write it:\ndestination:\n  host: {one.destination.host}\n  port: {{number: {place[0]}}}",
                    related=(place[1],),
                )
        at = some[0].owner.at("spec", "http", some[0].number, "route")
        different = {(one.host, one.destination.subset, one.port) for one in taking}
        if len(different) > 1 and any(keys.values()):
            yield found(
                LintCode.HASH_BEHIND_WEIGHTS,
                "who gets a request is drawn anew by weight, and only then does the key choose a pod: nobody stays "
                "with one of these destinations",
                at,
                subject,
                help="where users must stay, divide them by what they send, in rules of their own:\n"
                "- match: [{headers: {x-group: {exact: beta}}}]\n"
                f"  route: [{{destination: {_written(taking[0])}}}]",
                related=_places(taking, client, world),
            )
        if len({one for one in keys.values() if one}) > 1:
            yield found(
                LintCode.HASH_KEYS_COMBINED,
                "the destinations hash by different keys: proxies put all of them together for whichever is drawn, so "
                "that a pod is kept only by who sends the same of each",
                at,
                subject,
                help="hash by the same key in every subset",
                related=_places(taking, client, world),
            )


def _written(one: Sent) -> str:
    subset = f", subset: {one.destination.subset}" if one.destination.subset else ""
    return f"{{host: {one.destination.host}{subset}}}"


def _keys(one: Sent, client: str, world: World) -> tuple[HashPolicy, ...]:
    return hash_policies(world.effective(client, one.host), one.destination.subset, one.port)


def _left_out(one: Sent, client: str, world: World) -> tuple[int, SourceRef] | None:
    """The port whose entry says how to hash, and would count if the rule wrote it; and where the entry is."""
    if one.port is not None or one.service is None:
        return None
    effective = world.effective(client, one.host)
    for port in one.service.ports:
        if hash_policies(effective, one.destination.subset, port.number):
            return port.number, _place(effective, one.destination.subset, world, port.number)
    return None


def _place(effective: Effective, subset: str, world: World, port: int | None = None) -> SourceRef:
    """Where the policy stands by which requests are hashed."""
    chosen = effective.subsets.get(subset)
    policies: list[TrafficPolicy | None] = [chosen.traffic_policy if chosen is not None else None, effective.policy]
    for policy in policies:
        if policy is None:
            continue
        entries = [one for one in policy.port_level_settings if one.port is not None and one.port.number == port]
        settings: list[TrafficPolicy | PortTrafficPolicy] = [*entries, policy]
        for one in settings:
            if one.load_balancer is not None and one.load_balancer.consistent_hash is not None:
                return world.by_policy[id(one)].at("loadBalancer", "consistentHash")
    return effective.rules[0].at("spec")


def _places(taking: list[Sent], client: str, world: World) -> tuple[SourceRef, ...]:
    found = (
        _place(world.effective(client, one.host), one.destination.subset, world, one.port)
        for one in taking
        if _keys(one, client, world)
    )
    return tuple(dict.fromkeys(found))
