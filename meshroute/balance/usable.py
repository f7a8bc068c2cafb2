"""Which endpoints of a service a node may use: policies, hints, and those that are going away.

Source    spec/kube-proxy.md KPROXY-6 to KPROXY-9; kubernetes/kubernetes: pkg/proxy/{topology,serviceport}.go
Inputs    the endpoints of one port and family, in kube-proxy's order; the node and its zone, empty where not known.
Exactness the answer keeps the order. An endpoint that is not ready and is not going away is never used.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from meshroute.table.front import Backend

Topology: TypeAlias = Literal["", "node", "zone"]
"""Whose hints count: nobody's, those for the node, those for its zone."""


class Usable(NamedTuple):
    """What a node may use of a port. `cluster` and `local` are None where no traffic asks for them.

    `anywhere`: some node could use some endpoint. `topology` is whose hints narrowed `cluster`; `cluster_terminating`
    and `local_terminating` say that only endpoints that are going away are left.
    """

    cluster: tuple[Backend, ...] | None
    local: tuple[Backend, ...] | None
    anywhere: bool
    topology: Topology = ""
    cluster_terminating: bool = False
    local_terminating: bool = False

    def union(self) -> tuple[Backend, ...]:
        """Everybody of both lists once, in order."""
        found = {one.endpoint.key: one for one in (*(self.cluster or ()), *(self.local or ()))}
        return tuple(found[key] for key in sorted(found, key=str.encode))


def usable(
    backends: Sequence[Backend],
    node: str,
    zone: str,
    *,
    internal_local: bool = False,
    external_local: bool = False,
    from_outside: bool = False,
) -> Usable:
    """What the node may use. `from_outside`: the service can be reached from outside the cluster."""
    uses_cluster = not internal_local or from_outside
    uses_local = internal_local or (external_local and from_outside)
    ready = [one for one in backends if one.ready]
    leaving = [one for one in backends if one.serving and one.terminating]
    cluster: tuple[Backend, ...] | None = None
    local: tuple[Backend, ...] | None = None
    topology: Topology = ""
    if uses_cluster:
        topology = topology_of(ready, node, zone)
        cluster = tuple(one for one in ready if allowed(one, topology, node, zone)) or tuple(leaving)
    if uses_local:
        # An empty name is no node: what runs nowhere is nobody's neighbour.
        local = tuple(one for one in ready if node and one.node == node) or tuple(
            one for one in leaving if node and one.node == node
        )
    return Usable(
        cluster,
        local,
        bool(cluster) or (uses_local and bool(ready or leaving)),
        topology,
        any(not one.ready for one in cluster or ()),
        any(not one.ready for one in local or ()),
    )


def topology_of(ready: Sequence[Backend], node: str, zone: str) -> Topology:
    """Whose hints count among these ready endpoints: those for the node if all have some and one names it, else those
    for its zone likewise, else nobody's."""
    if ready and all(one.for_nodes for one in ready) and any(node in one.for_nodes for one in ready):
        return "node"
    if ready and all(one.for_zones for one in ready) and any(zone in one.for_zones for one in ready):
        return "zone"
    return ""


def allowed(one: Backend, topology: Topology, node: str, zone: str) -> bool:
    """Whether the hints that count let the node use the endpoint."""
    if topology == "node":
        return node in one.for_nodes
    return topology != "zone" or zone in one.for_zones
