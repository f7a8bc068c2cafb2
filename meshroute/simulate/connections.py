"""Connections that nobody reads: who gets them, once for each.

Source    kubernetes/kubernetes: pkg/proxy, where the first packet of a connection chooses; docs/simulate.md
Inputs    a connection, what was before, the draws of this connection, and the time.
Exactness `PerConnectionRandom` takes a draw modulo the number of endpoints, and nothing else; `ByKubeProxy` is
          `mesh.service(...).connect`.
Errors    none. Without endpoints a connection is refused, which is an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from meshroute.connection import Connected, Connection
from meshroute.decision import FORWARDED, Failed
from meshroute.draws import PRIORITY, Drawn
from meshroute.names import ClusterName
from meshroute.router import Router
from meshroute.service_proxy import ServiceProxy
from meshroute.state import Effect, RequestStarted, State
from meshroute.table import Endpoint

TIME_WAIT: Final = 120_000
"""How long IPVS knows a TCP connection that its client has closed, in milliseconds (torvalds/linux:
net/netfilter/ipvs/ip_vs_proto_tcp.c)."""
NO_ENDPOINTS: Final = Failed(0, "-", "no_endpoints")
"""The connection is refused: the service has nobody behind it."""


class ConnectionBalancer(Protocol):
    """Chooses an endpoint for a connection. It remembers nothing: what it has to remember is in its effects."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Everybody who may be chosen."""

    @property
    def lingers(self) -> int:
        """How many milliseconds a connection is known after it was closed (`Connected.closing`); 0 where it is not."""

    def connect(self, client: Connection, state: State, draws: Drawn, now: int) -> Connected:
        """Where this connection goes, `now` milliseconds from the start."""

    def redial(self, before: Connected, state: State) -> Connected | None:
        """Where it goes after nobody listened there; None where the client hears of it."""

    def synced(self, before: ConnectionBalancer, state: State) -> Sequence[Effect]:
        """The effects of taking the place of another balancer."""


class PerConnectionRandom:
    """Each connection to any endpoint, each as likely as the other, whatever was before."""

    lingers: Final = 0

    def __init__(self, endpoints: Iterable[Endpoint], name: str = "service") -> None:
        self.endpoints: Final = tuple(endpoints)
        self.name: Final = ClusterName(name)
        self._begins: Final = tuple((RequestStarted(self.name, one.key),) for one in self.endpoints)

    def connect(self, client: Connection, state: State, draws: Drawn, now: int) -> Connected:
        if not self.endpoints:
            return Connected(NO_ENDPOINTS, client, cluster=self.name)
        number = draws[PRIORITY] % len(self.endpoints)
        return Connected(
            FORWARDED, client, cluster=self.name, endpoint=self.endpoints[number], effects=self._begins[number]
        )

    def redial(self, before: Connected, state: State) -> Connected | None:
        return None

    def synced(self, before: ConnectionBalancer, state: State) -> Sequence[Effect]:
        return ()


class ByKubeProxy:
    """Each connection to whom kube-proxy of one node chooses for a port of a Service (`mesh.service`)."""

    def __init__(self, service: ServiceProxy, port: int) -> None:
        """Raises ValueError for a port that the Service does not have."""
        found = next((one for one in service.front.ports if one.number == port and one.protocol == "TCP"), None)
        if found is None:
            raise ValueError(f"`{service.front.name}` has no port {port}")
        self.service: Final = service
        self.port: Final = port
        backends = (one for family in service.front.families for one in found.backends.get(family, ()))
        self.endpoints: Final = tuple(dict.fromkeys(one.endpoint for one in backends))
        self.lingers: Final = TIME_WAIT if service.kube_proxy.mode == "ipvs" else 0

    def connect(self, client: Connection, state: State, draws: Drawn, now: int) -> Connected:
        """As the node has it; the state knows the time."""
        return self.service.connect(replace(client, port=self.port), state, draws)

    def redial(self, before: Connected, state: State) -> Connected | None:
        """In mode userspace kube-proxy is who dials, up to four times."""
        return self.service.redial(before, state) if self.service.kube_proxy.mode == "userspace" else None

    def synced(self, before: ConnectionBalancer, state: State) -> Sequence[Effect]:
        """What the node forgets when its endpoints change. Of another kind of balancer it knows nothing."""
        return self.service.synced(before.service, state) if isinstance(before, ByKubeProxy) else ()


def of_service(router: Router, service: str, port: int) -> tuple[Endpoint, ...]:
    """The endpoints of a service's port as a proxy knows them: of its cluster without a subset. Empty where there is no
    such service, or nobody behind it."""
    for one in router.table.clusters:
        if one.service == service and not one.subset and one.name.startswith(f"outbound|{port}|"):
            return one.endpoints
    return ()
