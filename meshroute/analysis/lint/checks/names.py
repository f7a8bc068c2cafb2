"""Names that mean something else than they seem to: hosts, headers, paths, ports.

Source    spec/host.md HOST-1, HOST-10, spec/match.md MATCH-2, MATCH-3, MATCH-6, MATCH-9, spec/rule.md RULE-1,
          spec/decide.md DECIDE-2; istio/istio: pkg/config/analysis/analyzers/virtualservice
Inputs    VirtualServices of a mesh. Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import Front, Sent, World
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.check_names import is_claim
from meshroute.compile.delegates import Block
from meshroute.compile.resolve import MESH, gateway_name, is_wild
from meshroute.compile.scope import governs_mesh
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio import HTTPMatchRequest, HTTPRoute, StringMatch, VirtualService
from meshroute.names import DEFAULT_PORTS, Host, ascii_lower, is_ip

_FIELDS = ("uri", "scheme", "method", "authority")
_AUTHORITY = ("host", ":authority")
"""Names of headers that stand for the authority."""


def check_names(world: World) -> Iterator[Finding]:
    """Everything about names in VirtualServices."""
    for one in world.virtual_services:
        yield from _hosts(one, world)
        for number, rule in enumerate(one.spec.http):
            yield from _alternatives(one, rule, number)
            yield from _slashes(one, rule, number)
            for index, asked in enumerate(rule.match):
                here: FieldPath = ("http", number, "match", index)
                yield from _asked(one, asked, here)
                yield from _authority(one, asked, here, world)
        if one.spec.hosts:
            yield from _ports_of_requests(one, world)
            yield from _ports_of_connections(one, world)
    yield from _claims(world)


def _hosts(one: VirtualService, world: World) -> Iterator[Finding]:
    if not governs_mesh(one):
        return
    alone = set(one.spec.gateways) <= {MESH} and bool(one.spec.http) and not any(world.governed(one))
    for index, written in enumerate(one.spec.hosts):
        host = ascii_lower(world.full(one, written))
        if is_wild(host) or is_ip(host) or host in world.known.services or "." not in written:
            continue
        at = one.at("spec", "hosts", index)
        meant = Host(f"{host.removesuffix('.svc')}.svc.{world.config.domain}")
        if meant in world.known.services:
            yield found(
                LintCode.HOST_HALF_QUALIFIED,
                f"`{written}` has a dot and is taken as it is, not as `{meant}`: requests that say another name of "
                "that service do not come to these rules",
                at,
                one.subject,
                help=f"write the whole name:\nhosts:\n- {meant}",
                related=(world.known.services[meant].at,),
            )
        elif alone and not host.endswith(f".svc.{world.config.domain}"):
            yield found(
                LintCode.HOST_NOT_REGISTERED,
                f"no given service has the host `{host}`: sidecars follow these rules on port 80 only, and listen "
                "there only for services that they know",
                at,
                one.subject,
                help="a ServiceEntry for the host has them followed on its ports, if there is none that was not given",
            )


def _asked(one: VirtualService, asked: HTTPMatchRequest, here: FieldPath) -> Iterator[Finding]:
    for field, conditions in (("headers", asked.headers), ("withoutHeaders", asked.without_headers)):
        for name in conditions:
            if ascii_lower(name) in _FIELDS:
                yield found(
                    LintCode.HEADER_NAMED_AS_FIELD,
                    f"this looks at a header that is called `{name}`, which clients hardly send, and not at the "
                    f"request's {ascii_lower(name)}",
                    one.at("spec", *here, field, name),
                    one.subject,
                    help=f"put the condition beside `{field}`:\nmatch:\n- {ascii_lower(name)}: ...",
                )
    if asked.uri is not None:
        for form, text in (("exact", asked.uri.exact), ("prefix", asked.uri.prefix)):
            if text is not None and "?" in text:
                path, _, query = text.partition("?")
                name, _, value = query.partition("&")[0].partition("=")
                yield found(
                    LintCode.URI_WITH_QUERY,
                    f"no request has the path `{text}`: paths are compared without what begins with `?`",
                    one.at("spec", *here, "uri", form),
                    one.subject,
                    help="ask for the parameter by itself:\n"
                    f"match:\n- uri: {{{form}: {path or '/'}}}\n"
                    f"  queryParams: {{{name or 'name'}: {{exact: {value or '...'}}}}}",
                )


def _authority(one: VirtualService, asked: HTTPMatchRequest, here: FieldPath, world: World) -> Iterator[Finding]:
    places: list[tuple[FieldPath, StringMatch | None]] = [(("authority",), asked.authority)]
    places += [(("headers", name), one) for name, one in asked.headers.items() if ascii_lower(name) in _AUTHORITY]
    for path, condition in places:
        if condition is not None and condition.exact:
            yield from _name(one, asked, condition.exact, (*here, *path, "exact"), world)


def _name(one: VirtualService, asked: HTTPMatchRequest, text: str, here: FieldPath, world: World) -> Iterator[Finding]:
    ports = frozenset((asked.port,)) if asked.port else world.ports(one, "http")
    usual = set(DEFAULT_PORTS.values())
    name, colon, number = text.rpartition(":")
    at = one.at("spec", *here)
    if colon and number.isdecimal() and int(number) in usual:
        yield found(
            LintCode.AUTHORITY_PORT,
            f"clients that connect to port {number} as usual say `{name}` without the port, which is not `{text}`",
            at,
            one.subject,
            help=f"ask for the name alone:\nexact: {name}",
        )
    elif (not colon or text.endswith("]")) and ports and not usual & ports:
        port = min(ports)
        yield found(
            LintCode.AUTHORITY_PORT,
            f"the authority has the port in it unless it is the usual one: clients of port {port} say `{text}:{port}`, "
            f"which is not `{text}`",
            at,
            one.subject,
            help=f"take it with the port too:\nregex: '{text.replace('.', chr(92) + '.')}(:[0-9]+)?'",
        )


def _says(asked: HTTPMatchRequest) -> bool:
    """Whether a match asks anything of the request itself."""
    path = asked.uri is not None and (asked.uri.exact, asked.uri.prefix, asked.uri.regex) != (None, None, None)
    return bool(
        path
        or asked.scheme
        or asked.method
        or asked.authority
        or asked.headers
        or asked.without_headers
        or asked.query_params
    )


def _alternatives(one: VirtualService, rule: HTTPRoute, number: int) -> Iterator[Finding]:
    """A match that only says on which port or from where, beside others that ask something."""
    for index, asked in enumerate(rule.match):
        others = [other for other in rule.match if _says(other) and other.port in (0, asked.port)]
        if _says(asked) or not others:
            continue
        yield found(
            LintCode.MATCH_TAKES_EVERYTHING,
            "the matches of a rule are alternatives: this one asks nothing of a request, and takes every one"
            + (f" on port {asked.port}" if asked.port else " that it is for"),
            one.at("spec", "http", number, "match", index),
            one.subject,
            help="conditions that must hold together stand in one match, without another `-`",
            related=(one.at("spec", "http", number, "match", rule.match.index(others[0])),),
        )


def _slashes(one: VirtualService, rule: HTTPRoute, number: int) -> Iterator[Finding]:
    """A prefix and its replacement of which one ends with a slash and the other does not."""
    here: FieldPath = ("http", number)
    if rule.rewrite is not None and rule.rewrite.uri:
        text, here = rule.rewrite.uri, (*here, "rewrite", "uri")
    elif rule.redirect is not None and rule.redirect.prefix_rewrite and not rule.redirect.uri:
        text, here = rule.redirect.prefix_rewrite, (*here, "redirect", "prefixRewrite")
    else:
        return
    for index, asked in enumerate(rule.match):
        prefix = asked.uri.prefix if asked.uri is not None else None
        if not prefix or not prefix.startswith("/") or prefix.endswith("/") is text.endswith("/"):
            continue
        rest = "x" if prefix.endswith("/") else "/x"
        whole = prefix.rstrip("/")
        yield found(
            LintCode.REWRITE_SLASHES,
            f"`{prefix}` is replaced as text: `{prefix}{rest}` becomes `{text}{rest}`",
            one.at("spec", *here),
            one.subject,
            help="let both end with a slash, or neither:\n"
            + (
                f"match:\n- uri: {{prefix: {whole}/}}\nrewrite: {{uri: {text}}}"
                if text.endswith("/")
                else f"match:\n- uri: {{prefix: {prefix}}}\nrewrite: {{uri: {text}/}}"
            ),
            related=(one.at("spec", "http", number, "match", index, "uri", "prefix"),),
        )
        return


def _ports_of_requests(root: VirtualService, world: World) -> Iterator[Finding]:
    """Destinations without a port, where the port of the listener leads nowhere: rule by rule, up to the one that takes
    everything that is left on a port."""
    rules = list(world.delegates.rules(root))
    for front in world.fronts(root, "http"):
        for rule in rules:
            blocks = [one for one in rule.blocks if _holds(one, front)]
            if not blocks:
                continue
            paths: list[FieldPath] = [
                (*rule.path, "route", index, "destination") for index in range(len(rule.written.route))
            ]
            if rule.mirrored_by is rule.owner:  # else they are the root's, and told with its own rules
                paths += [(*rule.path, "mirror")]
                paths += [(*rule.path, "mirrors", index, "destination") for index in range(len(rule.written.mirrors))]
            for path in paths:
                one = world.sent_at.get((rule.owner.subject, path))
                if one is not None:
                    yield from _port(one, front, world)
            if any(asked is None or _ends(asked) for asked, _, _ in blocks):
                break


def _holds(block: Block, front: Front) -> bool:
    asked, owner, _ = block
    if asked is None:
        return True
    named = {gateway_name(one, owner.namespace) for one in asked.gateways}
    return asked.port in (0, front.port) and (not named or front.gateway in named)


def _ends(asked: HTTPMatchRequest) -> bool:
    """Whether nothing is left behind a match, for any client."""
    if asked.source_labels or asked.source_namespace:
        return False
    everything = asked.uri is not None and (asked.uri.prefix == "/" or asked.uri.regex == ".*")
    return not _says(asked.model_copy(update={"uri": None}) if everything else asked)


def _ports_of_connections(root: VirtualService, world: World) -> Iterator[Finding]:
    """The same for connections. Rules that ask for ports or Gateways are left alone."""
    for one in world.sent_of.get(root.subject, ()):
        if one.kind == "http":
            continue
        matches = (root.spec.tls if one.kind == "tls" else root.spec.tcp)[one.number].match
        first = one.kind == "tls" or one.number == 0
        if first and not any(asked.port or asked.gateways for asked in matches):
            for front in world.fronts(root, one.kind):
                yield from _port(one, front, world)


def _port(sent: Sent, front: Front, world: World) -> Iterator[Finding]:
    if sent.port is not None or sent.service is None or sent.service is not world.known.services.get(sent.host):
        return
    numbers = [port.number for port in sent.service.ports]
    only = len(numbers) == 1 and front.gateway != MESH  # then a Gateway means that one
    if not numbers or front.port in numbers or only:
        return
    whose = "copies" if sent.copies else "requests" if sent.kind == "http" else "connections"
    ends = "go nowhere" if sent.copies else "fail with 503 NC" if sent.kind == "http" else "are closed"
    yield found(
        LintCode.DESTINATION_PORT_MISSING,
        f"without a port, the one that {whose} came on is meant: those on port {front.port} of {front.whose} {ends}, "
        f"because `{sent.service.host}` has no such port",
        sent.at("host"),
        sent.owner.subject,
        help=f"say which one:\ndestination:\n  host: {sent.destination.host}\n  port: {{number: {numbers[0]}}}",
        related=(sent.service.at,),
    )


def _claims(world: World) -> Iterator[Finding]:
    """Conditions on claims, where nobody is seen to check tokens. RequestAuthentication is not read here, but noted."""
    if any(one.subject.startswith("RequestAuthentication ") for one in world.mesh.diagnostics):
        return
    for one in world.virtual_services:
        for number, rule in enumerate(one.spec.http):
            for index, asked in enumerate(rule.match):
                for field, names in (("headers", asked.headers), ("withoutHeaders", asked.without_headers)):
                    for name in names:
                        if is_claim(name):
                            yield found(
                                LintCode.CLAIMS_NOT_CHECKED,
                                f"`{name}` has a value only where a RequestAuthentication has the proxies "
                                "check tokens, and none is given",
                                one.at("spec", "http", number, "match", index, field, name),
                                one.subject,
                                help="load the RequestAuthentication too, if there is one",
                            )
