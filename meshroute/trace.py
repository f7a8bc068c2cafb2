"""Trace: the steps of a decision, as values. Rendered elsewhere.

Source    spec/decide.md DECIDE-5
Inputs    made by `decide` when a trace is asked for, in the order in which a proxy takes the steps.
Errors    none.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meshroute.names import ClusterName, EndpointKey
from meshroute.table import (
    CookieMatch,
    HashPolicy,
    HeaderMatch,
    MetadataMatch,
    PathMatch,
    Portion,
    QueryMatch,
    RequireTls,
    RuleRef,
)


class ListenerChosen(msgspec.Struct, frozen=True, tag=True):
    """The port has routes of its own, or has none and goes to the cluster that takes the rest."""

    port: int
    known: bool


class ChainChosen(msgspec.Struct, frozen=True, tag=True):
    """A listener, for one `address` or for all of the port, gave a connection to this chain, or to none of its own."""

    port: int
    address: str
    taken: bool
    chain: str = ""
    rule: RuleRef | None = None


class VirtualHostChosen(msgspec.Struct, frozen=True, tag=True):
    """The authority found this virtual host by this domain; `name` is empty where none took it."""

    authority: str
    name: str = ""
    domain: str = ""


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """What the proxy made of the request before it looked for a route; both as they are now."""

    authority: str
    path: str


class TurnedAway(msgspec.Struct, frozen=True, tag=True):
    """The proxy answers before it looks for a route; `details` says why."""

    details: str


class TlsRequired(msgspec.Struct, frozen=True, tag=True):
    """The virtual host sends requests without TLS there first."""

    which: RequireTls


class MatcherFollowed(msgspec.Struct, frozen=True, tag=True):
    """A branch of a matcher: by the value of a header, or (empty `header`) the number of a predicate that holds.

    `to` is None where nothing fitted, and the branch for that was taken.
    """

    header: str
    value: str | None
    to: str | None


class PathDiffers(msgspec.Struct, frozen=True, tag=True):
    """The path is not what the route asks."""

    path: str
    wanted: PathMatch


class HeaderDiffers(msgspec.Struct, frozen=True, tag=True):
    """No value of the header satisfies the condition (or one does, and it is inverted). Empty `values`: not sent."""

    wanted: HeaderMatch
    values: tuple[str, ...]


class QueryDiffers(msgspec.Struct, frozen=True, tag=True):
    """The query parameter is not what the route asks. None: not sent."""

    wanted: QueryMatch
    value: str | None


class CookieDiffers(msgspec.Struct, frozen=True, tag=True):
    """The cookie is not what the route asks. None: not sent."""

    wanted: CookieMatch
    value: str | None


class MetadataDiffers(msgspec.Struct, frozen=True, tag=True):
    """What a filter noted is not what the route asks. Empty `values`: it noted no such text."""

    wanted: MetadataMatch
    values: tuple[str, ...]


class NotGrpc(msgspec.Struct, frozen=True, tag=True):
    """The content type is not that of gRPC; empty where none was sent."""

    content_type: str


class PortionMissed(msgspec.Struct, frozen=True, tag=True):
    """The draw is not one of those that the route takes."""

    wanted: Portion
    draw: int


Because: TypeAlias = (
    PathDiffers | HeaderDiffers | QueryDiffers | CookieDiffers | MetadataDiffers | NotGrpc | PortionMissed
)


class RouteSkipped(msgspec.Struct, frozen=True, tag=True):
    """A route that did not match, with the first condition that failed."""

    index: int
    name: str
    rule: RuleRef | None
    because: Because


class RouteMatched(msgspec.Struct, frozen=True, tag=True):
    """The first route whose conditions all hold."""

    index: int
    name: str
    rule: RuleRef | None


class ClusterDrawn(msgspec.Struct, frozen=True, tag=True):
    """Weighted clusters: the draw modulo the total falls into the span [low, high) of this cluster."""

    cluster: ClusterName
    draw: int
    total: int
    point: int
    low: int
    high: int


class NumberSaid(msgspec.Struct, frozen=True, tag=True):
    """The number that chooses the cluster is not drawn: `source` is the header that says it, or `key`."""

    source: str
    number: int


class ClusterSaid(msgspec.Struct, frozen=True, tag=True):
    """A header of the request names the cluster; it is empty where there is none."""

    header: str
    cluster: ClusterName


class OriginAsked(msgspec.Struct, frozen=True, tag=True):
    """A page of this origin asks, and may or may not; `answered` by the proxy itself."""

    origin: str
    allowed: bool
    answered: bool


class Delayed(msgspec.Struct, frozen=True, tag=True):
    """A fault makes the request wait."""

    milliseconds: int
    draw: int
    portion: Portion


class Aborted(msgspec.Struct, frozen=True, tag=True):
    """A fault ends the request; the status is 0 where only gRPC is told one."""

    status: int
    draw: int
    portion: Portion


class AuthorityRewritten(msgspec.Struct, frozen=True, tag=True):
    """The upstream sees another authority."""

    before: str
    after: str


class PathRewritten(msgspec.Struct, frozen=True, tag=True):
    """The upstream sees another path."""

    before: str
    after: str


class HeadersChanged(msgspec.Struct, frozen=True, tag=True):
    """The upstream does not see these lines, and sees those."""

    gone: tuple[tuple[str, str], ...]
    new: tuple[tuple[str, str], ...]


class Mirrored(msgspec.Struct, frozen=True, tag=True):
    """A copy goes to this endpoint; None where nobody of the cluster can take it."""

    cluster: ClusterName
    portion: Portion
    point: int
    endpoint: EndpointKey | None


class HostsNarrowed(msgspec.Struct, frozen=True, tag=True):
    """Of these endpoints, how many are healthy now."""

    cluster: ClusterName
    endpoints: int
    healthy: int


class PriorityChosen(msgspec.Struct, frozen=True, tag=True):
    """The request's number modulo 100 falls into the span [low, high) of a priority, and of which endpoints of it:
    `healthy`, `degraded`, or in a panic `all`."""

    priority: int
    which: str
    point: int
    low: int
    high: int


class PrioritiesPassedOver(msgspec.Struct, frozen=True, tag=True):
    """A retry prefers priorities that were not tried before: those that are passed over (none, where all were tried and
    it begins anew), and the loads of the healthy and the degraded endpoints of each priority now."""

    priorities: tuple[int, ...]
    healthy: tuple[int, ...]
    degraded: tuple[int, ...]


class LocalityChosen(msgspec.Struct, frozen=True, tag=True):
    """The locality that serves, and by what it was chosen."""

    locality: str
    how: str


class SubsetAsked(msgspec.Struct, frozen=True, tag=True):
    """A part of the cluster that is asked, and why this one; `endpoints` is how many it has."""

    name: str
    because: str
    endpoints: int


class CookieMade(msgspec.Struct, frozen=True, tag=True):
    """The client sent no such cookie, and is given one."""

    name: str
    value: str


class HostRejected(msgspec.Struct, frozen=True, tag=True):
    """A retry had this host before, and picks again."""

    endpoint: EndpointKey


class KeyHashed(msgspec.Struct, frozen=True, tag=True):
    """One policy's part in the request's key, and the key that all of them made."""

    policy: HashPolicy
    values: tuple[str, ...]
    key: int


class KeyMissing(msgspec.Struct, frozen=True, tag=True):
    """No hash policy gave a key: a random number stands in."""

    draw: int


class HostPicked(msgspec.Struct, frozen=True, tag=True):
    """The policy chose this endpoint, number `index` of the usable ones; `how` says by what, in a few words."""

    policy: str
    endpoint: EndpointKey
    workload: str
    index: int
    how: str


class AddressMatched(msgspec.Struct, frozen=True, tag=True):
    """What the client connects to is the service's: its `kind` is `cluster IP`, `node port`, `load balancer` or
    `external IP`."""

    service: str
    address: str
    port: int
    kind: str


class AliasTold(msgspec.Struct, frozen=True, tag=True):
    """Whoever looks the service's name up is told another name."""

    service: str
    alias: str


class AddressesTold(msgspec.Struct, frozen=True, tag=True):
    """Whoever looks the service's name up, or with a `hostname` that of pods behind it, is told these addresses, in
    some order, and takes number `index`."""

    service: str
    addresses: tuple[str, ...]
    index: int
    hostname: str = ""


class BackendsNarrowed(msgspec.Struct, frozen=True, tag=True):
    """Of these endpoints, how many the node may use for this connection, and why those."""

    backends: int
    usable: int
    because: str


class DialFailed(msgspec.Struct, frozen=True, tag=True):
    """kube-proxy in mode userspace dialed the endpoint, for the time in milliseconds at most, and nobody answered."""

    endpoint: EndpointKey
    number: int
    milliseconds: int


class LadderAsked(msgspec.Struct, frozen=True, tag=True):
    """A rule of iptables takes the connection if the number drawn is below its threshold, of 2^31."""

    number: int
    endpoint: EndpointKey
    drawn: int
    threshold: int
    taken: bool


class AffinityFound(msgspec.Struct, frozen=True, tag=True):
    """The client has an endpoint from before, since so many milliseconds without a new connection, where that is
    known."""

    client: str
    endpoint: EndpointKey
    idle: int | None


Step: TypeAlias = (
    ListenerChosen
    | ChainChosen
    | Arrived
    | TurnedAway
    | VirtualHostChosen
    | TlsRequired
    | MatcherFollowed
    | RouteSkipped
    | RouteMatched
    | ClusterDrawn
    | SubsetAsked
    | HostsNarrowed
    | PrioritiesPassedOver
    | PriorityChosen
    | LocalityChosen
    | KeyHashed
    | KeyMissing
    | CookieMade
    | HostRejected
    | HostPicked
    | NumberSaid
    | ClusterSaid
    | OriginAsked
    | Delayed
    | Aborted
    | AuthorityRewritten
    | PathRewritten
    | HeadersChanged
    | Mirrored
    | AddressMatched
    | AliasTold
    | AddressesTold
    | DialFailed
    | BackendsNarrowed
    | LadderAsked
    | AffinityFound
)
