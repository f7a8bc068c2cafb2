"""Services as the control plane knows them, whoever declared them.

Source    spec/kubernetes.md, spec/host.md; istio/istio: pilot/pkg/model/service.go, pkg/config/protocol/instance.go
Inputs    values made by registry.py and entries.py. Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from meshroute.compile import topology
from meshroute.compile.pods import Workload
from meshroute.diagnostics import SourceRef
from meshroute.manifest.kubernetes import TrafficDistribution
from meshroute.names import Host
from meshroute.table import Endpoint

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
"""The age of what has no time: older than everything."""


class Protocol(StrEnum):
    """What a port speaks, as far as it decides whether HTTP rules apply. `UNKNOWN` is found out by each connection."""

    HTTP = "http"
    TLS = "tls"
    TCP = "tcp"
    REDIS = "redis"
    """TCP, unless the operator turns on the filter that reads it."""
    UNKNOWN = "unknown"

    @property
    def may_be_http(self) -> bool:
        """Whether HTTP rules apply to an HTTP request on such a port."""
        return self in (Protocol.HTTP, Protocol.UNKNOWN)


class Reach(StrEnum):
    """How a proxy comes to the endpoints of a service."""

    LISTED = "listed"
    """It is given their addresses."""
    ORIGINAL = "original"
    """It goes where the client was going."""
    NAMED = "named"
    """It asks DNS for the names that it is given, and uses all addresses."""
    NAMED_ONE = "named-one"
    """It asks DNS for one name, and uses one address."""
    BY_REQUEST = "by-request"
    """It asks DNS for the name in the request."""
    ALIAS = "alias"
    """Not at all: it is another name of another service."""

    @property
    def by_name(self) -> bool:
        """Whether the proxy asks DNS for names that it is given."""
        return self in (Reach.NAMED, Reach.NAMED_ONE)


class Port(msgspec.Struct, frozen=True):
    """A port of a service."""

    number: int
    name: str
    protocol: Protocol


class Member(msgspec.Struct, frozen=True):
    """An endpoint behind one port of a service, with the labels that subsets select by."""

    endpoint: Endpoint
    labels: Mapping[str, str]

    @property
    def node(self) -> str:
        """The node that it runs on; empty where that is not known."""
        return self.labels.get(topology.HOSTNAME, "")


class RegisteredService(msgspec.Struct, frozen=True):
    """A service. `members` has each port's endpoints by port number; `addresses` are its virtual IPs.

    `name` is that of a Kubernetes Service, and the host itself of a ServiceEntry's. `external_name` is what an
    ExternalName service stands for, `aliases` the hosts of those that stand for this one. `node_local`: clients are
    given the endpoints on their own node alone. `likeness` has to be equal for two services of a host to be joined.
    `waypoint` is the `namespace/name` of the proxy that its clients are led through, empty for none.
    """

    host: Host
    namespace: str
    name: str
    ports: tuple[Port, ...]
    members: Mapping[int, tuple[Member, ...]]
    addresses: tuple[str, ...] = ()
    headless: bool = False
    external_name: str = ""
    distribution: TrafficDistribution | None = None
    at: SourceRef = SourceRef("")
    reach: Reach = Reach.LISTED
    kubernetes: bool = True
    created: datetime = LONG_AGO
    export_to: tuple[str, ...] = ()
    aliases: tuple[Host, ...] = ()
    node_local: bool = False
    likeness: tuple[object, ...] = ()
    waypoint: str = ""

    def port(self, number: int) -> Port | None:
        """The port of that number, None where the service has none."""
        return next((port for port in self.ports if port.number == number), None)

    @property
    def age(self) -> tuple[datetime, str, str]:
        """A sort key: oldest first, then by name, then by namespace."""
        return self.created, self.name, self.namespace


class Registry(msgspec.Struct, frozen=True):
    """All services, and all workloads.

    `services` has one for each host, the one that a client who sees them all would get; `everything` has them all,
    oldest first.
    """

    services: Mapping[Host, RegisteredService]
    workloads: tuple[Workload, ...]
    everything: tuple[RegisteredService, ...] = ()


WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
WAYPOINT_NAMESPACE_LABEL: Final = "istio.io/use-waypoint-namespace"
"""On a Service or ServiceEntry, or else on its Namespace: which waypoint; `none` is none."""


def waypoint_of(labels: Mapping[str, str], inherited: Mapping[str, str], namespace: str) -> str:
    """The waypoint that labels name, else those of the namespace; empty for none."""
    for said in (labels, inherited):
        if (name := said.get(WAYPOINT_LABEL)) is not None:
            return "" if name == "none" else f"{said.get(WAYPOINT_NAMESPACE_LABEL, namespace)}/{name}"
    return ""


class Surroundings(msgspec.Struct, frozen=True):
    """What registering a service needs to know beside it: the localities of nodes, the annotations and labels of
    namespaces."""

    domain: str
    cluster: str
    nodes: Mapping[str, str]
    annotations: Mapping[str, Mapping[str, str]]
    labels: Mapping[str, Mapping[str, str]]


def first_of_each(services: Iterable[RegisteredService]) -> dict[Host, RegisteredService]:
    """Of services from old to young, one for each host: one of Kubernetes' own, else the oldest."""
    found: dict[Host, RegisteredService] = {}
    for one in services:
        known = found.get(one.host)
        if known is None or (one.kubernetes and not known.kubernetes):
            found[one.host] = one
    return found
