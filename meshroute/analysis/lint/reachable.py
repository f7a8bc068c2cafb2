"""Rules and matches that no request reaches, those that hardly any does, and those that are for nobody.

Source    spec/lint.md LINT-1 to LINT-7; spec/match.md MATCH-1
Inputs    a mesh. Exactness: what is called unreachable is not reached by any request to any proxy that the manifests
          can make; a request that is told does what is said of it.
Errors    none: what could not be decided is told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from meshroute.analysis.lint.catalogue import CATALOGUE, LintCode
from meshroute.analysis.lint.finding import Finding, Witness, found, of_diagnostic
from meshroute.analysis.lint.viewpoints import Place, Viewpoint, places
from meshroute.analysis.reach import Hidden, Reach, Reached, Verdict
from meshroute.compile.delegates import Delegates, Rule
from meshroute.compile.known import Known
from meshroute.compile.resolve import MESH, resolve
from meshroute.compile.routes import applies, is_catch_all
from meshroute.diagnostics import Code, Diagnostic, FieldPath, SourceRef, path_text
from meshroute.draws import Draws
from meshroute.manifest.istio import HTTPMatchRequest, VirtualService
from meshroute.mesh import Mesh
from meshroute.request import Request
from meshroute.table import Listener, RuleRef, VirtualHost

Key: TypeAlias = tuple[str, str, str]
"""Namespace and name of a VirtualService, and the path of a rule or match in it."""


_AUTHORITY: Final = (":authority", "host")
Said: TypeAlias = Mapping[tuple[str, SourceRef], Diagnostic]
"""What loading said of a place in an object."""


class _Block(msgspec.Struct, frozen=True):
    """A match, or a rule that asks nothing."""

    owner: VirtualService
    path: FieldPath
    asked: HTTPMatchRequest | None

    @property
    def key(self) -> Key:
        return _key(self.owner, self.path)

    @property
    def at(self) -> SourceRef:
        return self.owner.at("spec", *self.path)


class _Shown(msgspec.Struct, frozen=True):
    """A request that reaches a block, from where, and the block that takes the plainest one there."""

    viewpoint: Viewpoint
    request: Request
    draws: Draws
    past: Key | None


class _Host(msgspec.Struct, frozen=True):
    """A virtual host as it is met in a table."""

    place: Place
    host: VirtualHost
    port: int
    scheme: str


class Rules:
    """What is known of every block of a mesh, after all tables were looked at."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh: Final = mesh
        virtual_services = [one for one in mesh.resources if isinstance(one, VirtualService)]
        delegates = Delegates(virtual_services)
        self.blocks: Final = {one.key: one for virtual_service in virtual_services for one in _blocks(virtual_service)}
        self.shown: Final[dict[Key, _Shown]] = {}
        self.hidden: Final[dict[Key, dict[tuple[Key, ...], None]]] = {}
        self.undecided: Final[dict[Key, str]] = {}
        self.ports: Final[dict[Key, dict[int, None]]] = {}
        """By block, the ports of the virtual hosts that have a block of the same root."""
        self._services: Final = Known(mesh.registry)
        self._inside: Final[dict[Key, dict[Key, None]]] = {}
        """By a match of a rule that delegates, the delegate's rules that ask nothing more."""
        self._roots: Final[dict[Key, list[tuple[Rule, ...]]]] = {}
        for root in virtual_services:
            rules = tuple(delegates.rules(root)) if root.spec.hosts else ()
            for rule in rules:
                own = _key(rule.owner, rule.path)
                for _, owner, path in rule.blocks:
                    of_block = self._roots.setdefault(_key(owner, path), [])
                    if all(one is not rules for one in of_block):
                        of_block.append(rules)
                    if owner is not rule.owner:
                        self._inside.setdefault(_key(owner, path), {})[own] = None
        self._known: Final[dict[tuple[object, ...], list[Verdict | None]]] = {}
        for place in places(mesh):
            for one in _hosts(place, mesh.table(place.viewpoint).listeners):
                self._look(one)

    def unreached(self) -> set[Key]:
        """The blocks that no request has as its rule. Of a rule that delegates, those of the delegate say it."""
        known = (*self.hidden, *self.ports)
        return {key for key in known if key not in self.shown and key not in self.undecided}

    def ports_of(self, virtual_service: VirtualService) -> set[int]:
        """The ports of the services that a VirtualService for sidecars alone is about, if they are all known."""
        spec, found = virtual_service.spec, set[int]()
        if any(one != MESH for one in spec.gateways):
            return found
        for host in spec.hosts:
            services = self._services.covered(resolve(host, virtual_service.namespace, self.mesh.config.domain))
            if not services:
                return set()
            found |= {port.number for service in services for port in service.ports}
        return found

    def has_met(self, key: Key) -> bool:
        """Whether anything is known of a block: some proxy has its VirtualService."""
        return any(key in known for known in (self.shown, self.hidden, self.ports, self.undecided))

    def _look(self, one: _Host) -> None:
        """At one virtual host: what reaches its routes, and what its rules leave out."""
        routes = one.host.routes
        keys = [_key_of(route.rule) if route.rule is not None else None for route in routes]
        named = any(header.name in _AUTHORITY for route in routes for header in route.match.headers)
        domains = one.host.domains if named else one.host.domains[:1]
        alike = (one.port, one.scheme, domains if named else (), tuple((route.match, route.rule) for route in routes))
        known = self._known.setdefault(alike, [])
        if not known:
            known += [None] * len(routes)
        reach: Reach | None = None
        for number, key in enumerate(keys):
            if key is None or (key in self.shown and self.shown[key].past is None):
                continue
            verdict = known[number]
            if verdict is None:
                if reach is None:
                    reach = Reach(routes, domains, one.port, one.scheme)
                verdict = reach.verdict(number)
                # Who is an exception from the later one, and takes nothing else, stands there rightly.
                if (
                    isinstance(verdict, Reached)
                    and verdict.past is not None
                    and not reach.swallows(number, verdict.past)
                ):
                    verdict = Reached(verdict.request, verdict.draws)
                known[number] = verdict
            self._note(key, verdict, one, keys)
        self._leave_out(one, keys)

    def _note(self, key: Key, verdict: Verdict, one: _Host, keys: Sequence[Key | None]) -> None:
        match verdict:
            case Reached(request, draws, past):
                before = keys[past] if past is not None else None
                self.shown[key] = _Shown(one.place.viewpoint, request, draws, before if before != key else None)
                for own in self._inside.get(key, ()):
                    self.shown[own] = _Shown(one.place.viewpoint, request, draws, None)
            case Hidden(by):
                names = tuple(dict.fromkeys(other for index in by if (other := keys[index]) is not None))
                self.hidden.setdefault(key, {})[names] = None
            case _:
                self.undecided.update(dict.fromkeys((key, *self._inside.get(key, ())), verdict.reason))

    def _leave_out(self, one: _Host, keys: Sequence[Key | None]) -> None:
        """The blocks behind one that takes everything: no proxy is told of them."""
        present = {key for key in keys if key is not None}
        ends = {
            key for key, route in zip(keys, one.host.routes, strict=True) if key is not None and is_catch_all(route)
        }
        met: list[tuple[Rule, ...]] = []
        for key in dict.fromkeys(keys):
            for rules in self._roots.get(key, ()) if key is not None else ():
                if any(rules is before for before in met):
                    continue
                met.append(rules)
                end: Key | None = None
                for rule in rules:
                    for asked, owner, path in rule.blocks:
                        here = _key(owner, path)
                        self.ports.setdefault(here, {})[one.port] = None
                        if end is not None and here not in present and self._holds(asked, owner, one):
                            self.hidden.setdefault(here, {})[(end,)] = None
                        elif (
                            not one.place.sure and asked is not None and (asked.source_labels or asked.source_namespace)
                        ):
                            self.undecided[here] = "no pod of the gateway is given, so that its labels are not known"
                        if here in ends:
                            end = here

    @staticmethod
    def _holds(asked: HTTPMatchRequest | None, owner: VirtualService, one: _Host) -> bool:
        return asked is None or any(applies(asked, owner, asker, one.port) for asker in one.place.askers)


def check_reachable(mesh: Mesh) -> Iterator[Finding]:
    """What is to be said of the rules of a mesh, in place of what loading said of rules that are not reached."""
    rules = Rules(mesh)
    # By the object too: those that are built in Python have no file and no line.
    said = {(one.subject, one.at): one for one in mesh.diagnostics if one.code is Code.RULE_UNREACHABLE}
    told: set[tuple[str, SourceRef]] = set()
    unreached = rules.unreached()
    for owner, numbered in _by_rule(rules.blocks.values()):
        for number, every in numbered.items():
            blocks = [one for one in every if not _has_query(one.asked)]  # which is told by itself
            dead = [one for one in blocks if one.key in unreached and one.key in rules.hidden]
            whole = owner.at("spec", "http", number)
            if dead and len(dead) == len(blocks) > 1:
                yield _unreachable(rules, dead, whole, said)
            else:
                for one in dead:
                    yield _unreachable(rules, [one], one.at, said)
            met = [one.at for one in blocks if rules.has_met(one.key)]
            told |= {(owner.subject, at) for at in ((whole, *met) if met else ())}
            for one in blocks:
                if one not in dead:
                    yield from _of_block(rules, one)
    for place, diagnostic in said.items():  # of rules for TLS and TCP, and of VirtualServices that nobody follows
        if place not in told:
            yield of_diagnostic(diagnostic)


def _of_block(rules: Rules, block: _Block) -> Iterator[Finding]:
    """What is to be said of a block that something may reach."""
    shown = rules.shown.get(block.key)
    if shown is not None:
        yield from _overshadowed(rules, block, shown)
        yield from _swallowing(rules, block, shown)
        return
    reason = rules.undecided.get(block.key)
    if reason is not None:
        yield found(
            LintCode.RULE_NOT_DECIDED,
            f"whether a request reaches it was not decided: {reason}",
            block.at,
            block.owner.subject,
        )
        return
    ports = rules.ports.get(block.key) or rules.ports_of(block.owner)
    if ports and block.asked is not None:
        yield from _never_applies(block, block.asked, sorted(ports), certain=block.key in rules.ports)


def _never_applies(block: _Block, asked: HTTPMatchRequest, ports: Sequence[int], *, certain: bool) -> Iterator[Finding]:
    """Why no proxy has a block. Unless it is `certain` that none has, only what explains itself is told."""
    at, subject = block.at, block.owner.subject
    if asked.port and asked.port not in ports:
        numbers = ", ".join(map(str, ports))
        message = f"it is for port {asked.port}, and the hosts are served on {numbers}"
        help = "a port stands beside the other conditions of a match, and is that of the service, not of the pods"
    elif asked.gateways and not set(asked.gateways) <= set(block.owner.spec.gateways or ("mesh",)):
        message = "it is for gateways that the VirtualService does not name"
        help = "name them under the VirtualService's own `gateways` too"
    elif certain:
        message, help = "no proxy that the manifests can make has it", ""
    else:
        return
    yield found(LintCode.RULE_NEVER_APPLIES, f"no request reaches it: {message}", at, subject, help=help)


def _unreachable(rules: Rules, dead: Sequence[_Block], at: SourceRef, said: Said) -> Finding:
    """One finding for a block, or for all of a rule's."""
    owner = dead[0].owner
    by = dict.fromkeys(key for one in dead for names in rules.hidden[one.key] for key in names)
    others = sorted(
        (rules.blocks[key] for key in by if key in rules.blocks), key=lambda one: (one.owner is not owner, one.at)
    )
    if not others:
        message = "no request reaches it: its conditions cannot all hold"
        help = "the fields of one match must all hold; alternatives are matches of their own"
        if any(one.asked is not None and one.asked.authority is not None for one in dead):
            help += "; an `authority` has to be a name that leads to the hosts"
    else:
        names = [_name(one, owner) for one in others]
        takes = "takes" if len(names) == 1 else "together take"
        message = f"no request reaches it: {_listed(names)} {takes} everything that it asks for"
        help = "rules are tried in order, and the first that fits is the only one: put this one before, or remove it"
    before = said.get((owner.subject, at))
    if before is not None:
        help = before.help or help
    return Finding(
        Code.RULE_UNREACHABLE,
        CATALOGUE[Code.RULE_UNREACHABLE].severity,
        message,
        at,
        owner.subject,
        help,
        tuple(one.at for one in others),
        CATALOGUE[Code.RULE_UNREACHABLE].clause,
    )


def _overshadowed(rules: Rules, block: _Block, shown: _Shown) -> Iterator[Finding]:
    past = rules.blocks.get(shown.past) if shown.past is not None else None
    if past is None or not _replayed(rules.mesh, shown.viewpoint, shown.request, shown.draws, block.key):
        return
    yield found(
        LintCode.RULE_OVERSHADOWED,
        f"the plainest request that it asks for goes to {_name(past, block.owner)}, which stands before it",
        block.at,
        block.owner.subject,
        help="what still comes here is shown; if that is not all that was meant, put this one before",
        related=(past.at,),
        witness=Witness(shown.viewpoint, shown.request),
    )


def _swallowing(rules: Rules, block: _Block, shown: _Shown) -> Iterator[Finding]:
    """A prefix that does not end with its segment, where a longer segment comes here too."""
    uri = block.asked.uri if block.asked is not None else None
    prefix = uri.prefix if uri is not None else None
    if not prefix or prefix.endswith("/") or "?" in prefix or "#" in prefix:
        return
    request = shown.request
    path = f"{prefix}x"
    if request.query is not None:
        path += f"?{request.query}"
    longer = Request(
        request.method,
        request.authority,
        path,
        request.headers,
        request.scheme,
        request.port,
        metadata=request.metadata,
    )
    if _replayed(rules.mesh, shown.viewpoint, longer, shown.draws, block.key):
        yield found(
            LintCode.PREFIX_SWALLOWS,
            f"`{prefix}` takes `{prefix}x` too: a prefix is text, not a segment",
            block.owner.at("spec", *block.path, "uri", "prefix"),
            block.owner.subject,
            help=f"for the segment alone:\n- uri:\n    exact: {prefix}\n- uri:\n    prefix: {prefix}/",
            witness=Witness(shown.viewpoint, longer),
        )


def _replayed(mesh: Mesh, viewpoint: Viewpoint, request: Request, draws: Draws, key: Key) -> bool:
    """Whether the engine, asked as a user asks it, leads the request there."""
    rule = mesh.router(viewpoint).decide(request, draws=draws).rule
    return rule is not None and _key_of(rule) == key


def _has_query(asked: HTTPMatchRequest | None) -> bool:
    uri = asked.uri if asked is not None else None
    return uri is not None and "?" in (uri.exact or uri.prefix or "")


def _name(block: _Block, reader: VirtualService) -> str:
    """How a block is called in a sentence about another one."""
    text = f"`{path_text(block.path)}`"
    return text if block.owner is reader else f"{text} of {block.owner.subject}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _key(owner: VirtualService, path: FieldPath) -> Key:
    return owner.namespace, owner.name, path_text(path)


def _key_of(rule: RuleRef) -> Key:
    return rule.namespace, rule.name, rule.path


def _blocks(virtual_service: VirtualService) -> Iterator[_Block]:
    for number, rule in enumerate(virtual_service.spec.http):
        if not rule.match:
            yield _Block(virtual_service, ("http", number), None)
        for index, asked in enumerate(rule.match):
            yield _Block(virtual_service, ("http", number, "match", index), asked)


def _by_rule(blocks: Iterable[_Block]) -> Iterator[tuple[VirtualService, dict[int, list[_Block]]]]:
    found: dict[int, tuple[VirtualService, dict[int, list[_Block]]]] = {}
    for one in blocks:
        _, numbered = found.setdefault(id(one.owner), (one.owner, {}))
        number = one.path[1]
        assert isinstance(number, int)
        numbered.setdefault(number, []).append(one)
    yield from found.values()


def _hosts(place: Place, listeners: Iterable[Listener]) -> Iterator[_Host]:
    for listener in listeners:
        for host in listener.virtual_hosts:
            yield _Host(place, host, listener.port, "http")
        for chain in listener.chains:
            for host in chain.virtual_hosts:
                yield _Host(place, host, listener.port, "https" if chain.ends_tls else "http")
