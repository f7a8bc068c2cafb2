"""Virtual hosts and their routes, in the order in which a proxy tries them.

Source    spec/route.md ROUTE-1 to ROUTE-5; envoyproxy/envoy: api/envoy/config/route/v3/route_components.proto
Inputs    text in wire form; header names in lower case.
Errors    none: a table is valid by what compiles it, and `Router` refuses one that a proxy would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from meshroute.names import ClusterName
from meshroute.table.match import RouteMatch


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

    `metadata` stands before the route's, key by key, where the cluster is divided into subsets.
    """

    cluster: ClusterName
    weight: int = 1
    metadata: Mapping[str, Any] = {}


class RegexRewrite(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Every match of a pattern is replaced by a substitution, in which `\\1` is the first group."""

    pattern: str
    substitution: str


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


class RetryHosts(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How a retry chooses its host: up to `attempts` + 1 picks, until one was not tried before."""

    attempts: int = 1

    def __post_init__(self) -> None:
        if self.attempts < 0:
            raise ValueError(f"attempts must not be negative, got {self.attempts}")


class Forward(msgspec.Struct, frozen=True, tag="forward", gc=False, forbid_unknown_fields=True):
    """Send to one of the clusters. `hash_policies` make the key that consistent-hash clusters ask for.

    `metadata` is what clusters with subsets choose by. `retry_hosts` None lets a retry pick as any request does, hosts
    that were tried before included.
    """

    clusters: tuple[WeightedCluster, ...]
    hash_policies: tuple[HashPolicy, ...] = ()
    metadata: Mapping[str, Any] = {}
    retry_hosts: RetryHosts | None = None


class Respond(msgspec.Struct, frozen=True, tag="respond", gc=False, forbid_unknown_fields=True):
    """Answer without asking anybody. The body is in wire form."""

    status: int
    body: str = ""


REDIRECT_CODES: Final = (301, 302, 303, 307, 308)


class Redirect(msgspec.Struct, frozen=True, tag="redirect", gc=False, forbid_unknown_fields=True):
    """Send the client elsewhere: 301, 302, 303, 307 or 308. What is empty or 0 stays as it was.

    `path` replaces the path, and the query too if it has one; `prefix` replaces what of the path the route asked for.
    """

    status: int = 301
    scheme: str = ""
    authority: str = ""
    port: int = 0
    path: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.status not in REDIRECT_CODES:
            raise ValueError(f"a redirect answers with 301, 302, 303, 307 or 308, not {self.status}")
        if self.path and self.prefix:
            raise ValueError("a redirect replaces the path or a prefix of it, not both")


Action: TypeAlias = Forward | Respond | Redirect


class Route(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One line of a virtual host: what it asks, what it does, and the rule it came from (None: no rule, a default)."""

    match: RouteMatch
    action: Action
    name: str = ""
    rule: RuleRef | None = None


class VirtualHost(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The routes of some domains: exact names, `*suffix`, `prefix*` or `*`."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]


class Listener(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The virtual hosts behind one port.

    `ignore_port` leaves `:port` out of the authority when a virtual host is looked up.
    """

    port: int
    virtual_hosts: tuple[VirtualHost, ...]
    ignore_port: bool = True
