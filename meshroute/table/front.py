"""Services as the nodes of a cluster serve them: addresses that stand for endpoints, one choice for each connection.

Source    spec/kube-proxy.md; kubernetes/kubernetes: pkg/proxy (endpoint.go, serviceport.go)
Inputs    made by a front-end, or by hand. Exactness: the endpoints of a port are in the order in which every node lists
          them, by the bytes of `ip:port`; whoever makes a Front keeps to it.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from meshroute.table.cluster import Endpoint

Family: TypeAlias = Literal["IPv4", "IPv6"]
FAMILIES: Final[tuple[Family, Family]] = ("IPv4", "IPv6")


def family_of(address: str) -> Family:
    """The family of an address.

    >>> family_of("10.0.0.1"), family_of("fd00::1")
    ('IPv4', 'IPv6')
    """
    return "IPv6" if ":" in address else "IPv4"


class Backend(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An endpoint of a service with what decides whether a node may use it.

    `node` is where it runs, empty where nobody knows; `for_zones` and `for_nodes` who is asked to use it. `serving`
    says that it answers, `terminating` that it is going away, `ready` that it is to be used. `hostname` is its name
    behind the service, if it has one.
    """

    endpoint: Endpoint
    node: str = ""
    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    hostname: str = ""

    @property
    def label(self) -> str:
        """What a name server puts before the service's name for this endpoint alone: `hostname`, else the address.

        >>> Backend(Endpoint("10.0.0.7", 80)).label, Backend(Endpoint("fd00::7", 80)).label
        ('10-0-0-7', 'fd00--7')
        """
        return self.hostname or self.endpoint.address.replace(".", "-").replace(":", "-")


class FrontPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One port of a service. `name` may be empty; `node_port` is 0 where nodes do not answer for it."""

    number: int
    name: str = ""
    protocol: str = "TCP"
    node_port: int = 0
    backends: Mapping[Family, tuple[Backend, ...]] = {}


class Front(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service: what it answers on, and who stands behind it.

    `name` is `namespace/name`. `addresses` are those inside the cluster, empty where nobody wrote them down;
    `balancers` those of load balancers that nodes answer for themselves, `outside` further ones. `sources` are the
    networks whose clients `balancers` answer, all where there is none. `internal_local` and `external_local` keep a
    connection on its node; `opened` says that nodes answer for its ports, by whatever numbers. `affinity` is for how
    many seconds a client keeps its endpoint, None for not at all.
    `headless`: clients are told the addresses of `published` instead, and in any case those of an endpoint that they
    name; `alias` is the name that they are told instead.
    `families` are in the order in which clients prefer them.
    """

    name: str
    ports: tuple[FrontPort, ...] = ()
    addresses: tuple[str, ...] = ()
    balancers: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    families: tuple[Family, ...] = ("IPv4",)
    opened: bool = False
    internal_local: bool = False
    external_local: bool = False
    affinity: int | None = None
    headless: bool = False
    published: Mapping[Family, tuple[Backend, ...]] = {}
    alias: str = ""

    def service_port(self, port: FrontPort) -> str:
        """`namespace/name`, and `:` and the port's name where it has one: what chains are named by."""
        return f"{self.name}:{port.name}" if port.name else self.name

    @property
    def reached_from_outside(self) -> bool:
        """Whether anything but the addresses inside leads to it."""
        return bool(self.opened or self.balancers or self.outside)
