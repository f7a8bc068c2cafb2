"""What a proxy refuses of a table, all of it at once.

Source    spec/table.md TABLE-2, TABLE-3; envoyproxy/envoy: the validation rules of its configuration
Inputs    a table, however it was made. Exactness: what is refused here, the real proxy refuses; what it serves, is
          served.
Errors    TableError with everything that is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from meshroute.match.re2 import Re2SyntaxError, RewriteError, compile_rewrite
from meshroute.names import ascii_lower
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashOnHeader,
    HashPolicy,
    Maglev,
    RingHash,
    RoutingTable,
    Segments,
    TableError,
    routes_of,
)
from meshroute.table.cluster import MAX_PRIORITY, MAX_WEIGHT

_SEGMENTS: Final = re.compile(r"[^?#]+[^?#/]")


def refuse_what_a_proxy_would(table: RoutingTable, routes: Iterable[str] = ()) -> None:
    """Raises TableError for a table that a proxy would not load; `routes` is what there is to say of its routes."""
    if wrong := [
        *_listeners(table),
        *routes,
        *_names(table),
        *(text for one in table.clusters for text in _cluster(one)),
    ]:
        raise TableError("; ".join(wrong))


def _listeners(table: RoutingTable) -> Iterator[str]:
    plain = Counter(one.port for one in table.listeners if not one.address and not one.names)
    yield from (f"two listeners have the same port {port}" for port, count in plain.items() if count > 1)
    for listener in table.listeners:
        for host in listener.virtual_hosts:
            if host.routes and host.matcher is not None:
                yield f"`{host.name}` has routes and a matcher"
            for route in routes_of(host):
                if isinstance(route.match.path, Segments) and not _SEGMENTS.fullmatch(route.match.path.value):
                    yield f"route `{route.name}` of `{host.name}`: `{route.match.path.value}` is no text of segments"
                if isinstance(route.action, Forward):
                    weights = [one.weight for one in route.action.clusters]
                    if not 0 < sum(weights) <= MAX_WEIGHT or min(weights) < 0:
                        total = sum(weights)
                        yield f"route `{route.name}` of `{host.name}`: the weights of its clusters sum to {total}"
                    for policy in route.action.hash_policies:
                        yield from (f"route `{route.name}` of `{host.name}`: {what}" for what in _hash_policy(policy))


def _hash_policy(policy: HashPolicy) -> Iterator[str]:
    if not isinstance(policy, HashOnHeader):
        return
    if policy.name != ascii_lower(policy.name):
        # A proxy folds it; a table has it folded, and would never find it otherwise.
        yield f"header `{policy.name}` is not in lower case"
    if policy.rewrite is not None:
        try:
            compile_rewrite(policy.rewrite.pattern, policy.rewrite.substitution)
        except (Re2SyntaxError, RewriteError) as error:
            yield f"the rewrite of header `{policy.name}`: {error}"


def _names(table: RoutingTable) -> Iterator[str]:
    names = {one.name for one in table.clusters}
    if len(names) < len(table.clusters):
        yield "two clusters have the same name"
    if table.local_cluster and table.local_cluster not in names:
        yield f"the local cluster `{table.local_cluster}` does not exist"
    for name in sorted(names):
        if any(name[:at] in names for at, letter in enumerate(name) if letter == "#"):
            yield f"cluster `{name}` is called like a part of another one: state could not tell their turns apart"


def _cluster(cluster: Cluster) -> Iterator[str]:
    where = f"cluster `{cluster.name}`"
    for endpoint in cluster.endpoints:
        yield from (f"{where}: endpoint `{endpoint.key}` has {what}" for what in _endpoint(endpoint))
    twice = [
        key
        for key, count in Counter((w.priority, w.locality) for w in cluster.locality_weights or ()).items()
        if count > 1
    ]
    yield from (
        f"{where}: locality `{locality}` has two weights at priority {priority}" for priority, locality in twice
    )
    if cluster.locality_weights is not None and cluster.zone_aware != type(cluster.zone_aware)():
        yield f"{where}: localities are balanced by weight or zone-aware, not both"
    if isinstance(cluster.policy, (RingHash, Maglev)):
        totals = Counter[int]()
        for endpoint in cluster.endpoints:
            totals[endpoint.priority] += endpoint.weight
        for priority, total in totals.items():
            if total > MAX_WEIGHT:  # Envoy's message speaks of a locality, but it adds up all of them
                yield f"{where}: the endpoints of priority {priority} weigh {total}, above {MAX_WEIGHT}"


def _endpoint(endpoint: Endpoint) -> Iterator[str]:
    if not 1 <= endpoint.weight <= MAX_WEIGHT:
        yield f"weight {endpoint.weight}, which must be from 1 to {MAX_WEIGHT}"
    if not 0 <= endpoint.priority <= MAX_PRIORITY:
        yield f"priority {endpoint.priority}, which must be from 0 to {MAX_PRIORITY}"
    if not 0 <= endpoint.port <= 65535:
        yield f"port {endpoint.port}, which must be from 0 to 65535"
