"""Virtual hosts and their routes, in the order in which a proxy tries them.

Source    spec/route.md ROUTE-1 to ROUTE-5; envoyproxy/envoy: api/envoy/config/route/v3/route_components.proto
Inputs    text in wire form; header names in lower case.
Errors    none: a table is valid by what compiles it, and `Router` refuses one that a proxy would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from meshroute.names import ClusterName
from meshroute.table.arrival import Arrival
from meshroute.table.changes import AuthorityRewrite, HeaderChanges, PathRewrite, RegexRewrite
from meshroute.table.filters import Cors, Fault
from meshroute.table.match import CookieValue, Portion, RouteMatch
from meshroute.table.retries import Retries, RetryHosts


class RuleRef(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Where a route was written: the resource, the field path inside it, and the place in the text.

    `line` is 0 and `file` empty for a resource that was built in Python.
    """

    kind: str
    namespace: str
    name: str
    path: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f" ({self.file}:{self.line})" if self.line else ""
        return f"{self.kind} {self.namespace}/{self.name} {self.path}{place}"


class WeightedCluster(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One of the clusters that share a route's requests. Weights are relative; their sum may be anything above 0.

    `metadata` stands before the route's, key by key, where the cluster is divided into subsets. With `header`, that
    header's first value names the cluster, and none does where there is no such header. The changes are made before the
    route's own, and `authority` is set before the route's rewrite of it.
    """

    cluster: ClusterName
    weight: int = 1
    metadata: Mapping[str, Any] = {}
    header: str = ""
    request_headers: HeaderChanges | None = None
    response_headers: HeaderChanges | None = None
    authority: str = ""


class HashOnHeader(msgspec.Struct, frozen=True, tag="header", gc=False, forbid_unknown_fields=True):
    """The values of a header, sorted and chained, are the key. No such header: no key from this policy.

    With `terminal`, no later policy is asked once there is a key. With `rewrite`, each value is rewritten first.
    """

    name: str
    terminal: bool = False
    rewrite: RegexRewrite | None = None


class HashOnCookie(msgspec.Struct, frozen=True, tag="cookie", gc=False, forbid_unknown_fields=True):
    """The value of the first cookie of the name is the key; missing or empty, it gives none.

    With a `ttl` in seconds, 0 included, the proxy makes the cookie where it is missing or empty, and the answer sets
    it, for `path` and with `attributes` where given.
    """

    name: str
    terminal: bool = False
    ttl: int | None = None
    path: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


class HashOnQuery(msgspec.Struct, frozen=True, tag="query", gc=False, forbid_unknown_fields=True):
    """The first query parameter of the name, as written, is the key; `?k` and `?k=` give that of the empty text."""

    name: str
    terminal: bool = False


class HashOnSourceIp(msgspec.Struct, frozen=True, tag="source-ip", gc=False, forbid_unknown_fields=True):
    """The address of the client, without its port, is the key."""

    terminal: bool = False


class HashOnFilterState(msgspec.Struct, frozen=True, tag="filter-state", gc=False, forbid_unknown_fields=True):
    """What another filter has noted about the request under `name` is the key; nothing noted gives none."""

    name: str
    terminal: bool = False


HashPolicy: TypeAlias = HashOnHeader | HashOnCookie | HashOnQuery | HashOnSourceIp | HashOnFilterState


class Mirror(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Some requests, by their draw `stream`, go to this cluster too, and nobody waits for the answer.

    With `header`, that header's first value names the cluster. `shadow` puts `-shadow` behind the host of the copy;
    `authority` replaces it.
    """

    cluster: ClusterName
    portion: Portion = Portion(100)
    header: str = ""
    shadow: bool = True
    authority: str = ""


class Forward(msgspec.Struct, frozen=True, tag="forward", gc=False, forbid_unknown_fields=True):
    """Send to one of the clusters. `hash_policies` make the key that consistent-hash clusters ask for.

    `metadata` is what clusters with subsets choose by. `retry_hosts` None lets a retry pick as any request does, hosts
    that were tried before included.

    The cluster is chosen by the draw `stream`, or by the number in the header `stream_header`, where it is one; with
    `by_key`, by the request's key. An unknown cluster is answered with the status `not_found`. `path` and `authority`
    say what the upstream is asked instead; `append_forwarded_host` keeps the old authority in `x-forwarded-host`.
    `timeout` is in milliseconds, 0 for none, and so is `stream_timeout`, which is for the whole exchange; None: nothing
    is said, and where something is, `timeout` does not count.
    """

    clusters: tuple[WeightedCluster, ...]
    hash_policies: tuple[HashPolicy, ...] = ()
    metadata: Mapping[str, Any] = {}
    retry_hosts: RetryHosts | None = None
    stream_header: str = ""
    by_key: bool = False
    not_found: int = 503
    path: PathRewrite | None = None
    authority: AuthorityRewrite | None = None
    append_forwarded_host: bool = False
    timeout: int = 0
    stream_timeout: int | None = None
    retries: Retries | None = None
    mirrors: tuple[Mirror, ...] = ()


class Respond(msgspec.Struct, frozen=True, tag="respond", gc=False, forbid_unknown_fields=True):
    """Answer without asking anybody. The body is in wire form."""

    status: int
    body: str = ""


REDIRECT_CODES: Final = (301, 302, 303, 307, 308)


class Redirect(msgspec.Struct, frozen=True, tag="redirect", gc=False, forbid_unknown_fields=True):
    """Send the client elsewhere: 301, 302, 303, 307 or 308. What is empty or 0 stays as it was.

    `path` replaces the path, and the query too if it has one; `prefix` replaces what of the path the route asked for;
    `rewrite` replaces matches of a pattern; `format` is a path from a format. Without `strip_query`, the query stays.
    """

    status: int = 301
    scheme: str = ""
    authority: str = ""
    port: int = 0
    path: str = ""
    prefix: str = ""
    rewrite: RegexRewrite | None = None
    format: str = ""
    strip_query: bool = False

    def __post_init__(self) -> None:
        if self.status not in REDIRECT_CODES:
            raise ValueError(f"a redirect answers with 301, 302, 303, 307 or 308, not {self.status}")
        if sum(map(bool, (self.path, self.prefix, self.rewrite, self.format))) > 1:
            raise ValueError("a redirect replaces the path or a part of it in one way, not in several")


Action: TypeAlias = Forward | Respond | Redirect


class Route(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One line of a virtual host: what it asks, what it does, and the rule it came from (None: no rule, a default).

    `request_headers` and `response_headers` are changed level by level, in this order, behind those of the cluster that
    was drawn.
    """

    match: RouteMatch
    action: Action
    name: str = ""
    rule: RuleRef | None = None
    request_headers: tuple[HeaderChanges, ...] = ()
    response_headers: tuple[HeaderChanges, ...] = ()
    cors: Cors | None = None
    fault: Fault | None = None


class RequireTls(StrEnum):
    """Whether requests that did not come by TLS are sent there first."""

    NONE = "none"
    EXTERNAL = "external"
    """Only requests from outside."""
    ALL = "all"


class VirtualHost(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The routes of some domains: exact names, `*suffix`, `prefix*` or `*`. With a `matcher`, there are no `routes`:
    it leads to one, or to a list of them."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    require_tls: RequireTls = RequireTls.NONE
    matcher: Matcher | None = None


class Choice(msgspec.Struct, frozen=True, tag="routes", gc=False, forbid_unknown_fields=True):
    """Where a matcher leads: the first of these that matches, or nothing at all."""

    routes: tuple[Route, ...]


class ExactMap(msgspec.Struct, frozen=True, tag="exact-map", gc=False, forbid_unknown_fields=True):
    """By the whole value of a header, its lines joined with `,`."""

    header: str
    map: Mapping[str, Matcher]
    otherwise: Matcher | None = None


class PrefixMap(msgspec.Struct, frozen=True, tag="prefix-map", gc=False, forbid_unknown_fields=True):
    """By the longest key that the value of a header starts with; where that leads nowhere, by the next shorter one."""

    header: str
    map: Mapping[str, Matcher]
    otherwise: Matcher | None = None


class AllOf(msgspec.Struct, frozen=True, tag="all", gc=False, forbid_unknown_fields=True):
    """Every one holds."""

    predicates: tuple[Predicate, ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any", gc=False, forbid_unknown_fields=True):
    """One of them holds."""

    predicates: tuple[Predicate, ...]


class Not(msgspec.Struct, frozen=True, tag="not", gc=False, forbid_unknown_fields=True):
    """It does not hold."""

    predicate: Predicate


class HeaderIs(msgspec.Struct, frozen=True, tag="header", gc=False, forbid_unknown_fields=True):
    """The value of a header, its lines joined with `,`, is so; a missing one is nothing."""

    header: str
    value: CookieValue


Predicate: TypeAlias = AllOf | AnyOf | Not | HeaderIs


class Ordered(msgspec.Struct, frozen=True, tag="list", gc=False, forbid_unknown_fields=True):
    """The first predicate that holds leads on."""

    cases: tuple[tuple[Predicate, Matcher], ...]
    otherwise: Matcher | None = None


Matcher: TypeAlias = Choice | ExactMap | PrefixMap | Ordered


class Chain(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What becomes of some of a listener's connections: they go to clusters as they are, unread, by `forward`; or their
    requests are looked up in `virtual_hosts`.

    `destinations` are networks (`10.0.0.0/8`) that the client connects to, `server_names` what it says in TLS (exact,
    or `*.suffix`); empty, any. The most specific network counts first, then the most specific name. With `ends_tls`,
    the proxy itself ends TLS, and a connection without it is closed.
    """

    forward: Forward | None = None
    virtual_hosts: tuple[VirtualHost, ...] = ()
    name: str = ""
    rule: RuleRef | None = None
    destinations: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    ends_tls: bool = False


class Listener(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The virtual hosts behind one port.

    `ignore_port` leaves `:port` out of the authority when a virtual host is looked up; `host_header` names a header
    that is looked up instead. `ignore_path_parameters` leaves `;...` out of paths when they are compared.

    With an `address`, the listener takes only what is sent there, and `names` are what clients look that address up by;
    names without an address are of a service whose address nobody knows. `chains` come first: the virtual hosts are for
    connections that could be taken by a chain for any destination and any name. A listener without virtual hosts closes
    those. With `sniffs`, requests for destinations that are in no chain's network are looked up in the virtual hosts,
    and everything else goes by the chains. With `falls_through`, a connection that nothing takes, not even in the most
    specific network that has its destination, goes to what takes any destination and any name, or else where
    connections go that no listener is for; without, it is closed.
    """

    port: int
    virtual_hosts: tuple[VirtualHost, ...]
    ignore_port: bool = True
    host_header: str = ""
    ignore_path_parameters: bool = False
    arrival: Arrival = Arrival()
    address: str = ""
    names: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    sniffs: bool = False
    falls_through: bool = False
