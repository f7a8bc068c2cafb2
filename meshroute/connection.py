"""Connection: what a client opens before it says anything that a proxy could read, and where it goes.

Source    spec/connect.md CONNECT-1 to CONNECT-4; envoyproxy/envoy: source/common/tcp_proxy/tcp_proxy.cc
Inputs    made by the caller; names in lower or upper case, addresses in any form.
Errors    RequestError for what no client can open.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import force_setattr

from meshroute.decision import Outcome
from meshroute.names import ClusterName, EndpointKey, ascii_lower, canonical_ip, is_ip
from meshroute.request import RequestError
from meshroute.state import Effect, Forgotten, Lingered, Persisted, Released, RequestFinished, RequestStarted
from meshroute.table import Endpoint, RuleRef
from meshroute.trace import Step

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


class Connection(msgspec.Struct, frozen=True):
    """One connection, as the client opens it; of UDP, what one port of the client sends to one address.

    `port` is the port it connects to; `host` the name that it looked up, and `destination_ip` the address, where known.
    `server_name` is what it says in TLS (SNI). `source_ip` and `source_port` are its own end.
    Proxies are asked about TCP alone, Services about every `protocol`. Raises RequestError.
    """

    port: int
    host: str = ""
    destination_ip: str = ""
    server_name: str = ""
    source_ip: str = ""
    source_port: int = 0
    protocol: str = "TCP"

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise RequestError(f"port {self.port} is not between 1 and 65535")
        if not 0 <= self.source_port <= 65535:
            raise RequestError(f"port {self.source_port} of the client is not between 0 and 65535")
        if self.protocol not in PROTOCOLS:
            raise RequestError(f"protocol `{self.protocol}` is not one of {', '.join(PROTOCOLS)}")
        for side in (self.source_ip, self.destination_ip):
            if side and not is_ip(side):
                raise RequestError(f"`{side}` is not an IP address")
        for name in ("source_ip", "destination_ip"):
            force_setattr(self, name, canonical_ip(getattr(self, name)))
        for name in ("host", "server_name"):
            force_setattr(self, name, ascii_lower(getattr(self, name)))


class Connected(msgspec.Struct, frozen=True):
    """Where one connection goes, and why. The fields mean what they mean in `Decision`.

    `tried` has the endpoints that kube-proxy dialed in vain before, which it does in mode userspace alone.
    """

    outcome: Outcome
    connection: Connection
    chain: str = ""
    rule: RuleRef | None = None
    cluster: ClusterName | None = None
    subset: str | None = None
    endpoint: Endpoint | None = None
    effects: tuple[Effect, ...] = ()
    trace: tuple[Step, ...] = ()
    tried: tuple[EndpointKey, ...] = ()

    @property
    def pod(self) -> str | None:
        """`namespace/name` of the pod behind the endpoint; None where there is none or nobody named it."""
        return (self.endpoint.workload or None) if self.endpoint else None

    def finished(self) -> tuple[Effect, ...]:
        """The effects of the connection's end, where nothing remains of it."""
        return (*(RequestFinished(one.cluster, one.endpoint) for one in self._started()), *self._released())

    def closing(self) -> tuple[Effect, ...]:
        """The effects of its being closed where IPVS knows it for a while yet, TCP two minutes: until `forgotten`."""
        return tuple(Lingered(one.cluster, one.endpoint) for one in self._started())

    def forgotten(self) -> tuple[Effect, ...]:
        """The effects of its being forgotten after `closing`."""
        return (*(Forgotten(one.cluster, one.endpoint) for one in self._started()), *self._released())

    def _started(self) -> list[RequestStarted]:
        return [effect for effect in self.effects if isinstance(effect, RequestStarted)]

    def _released(self) -> list[Released]:
        return [
            Released(effect.source, effect.client, effect.endpoint)
            for effect in self.effects
            if isinstance(effect, Persisted)
        ]

    def to_builtins(self) -> dict[str, Any]:
        """Plain JSON values. Every field is present."""
        key: EndpointKey | None = self.endpoint.key if self.endpoint else None
        return {
            "outcome": msgspec.to_builtins(self.outcome),
            "connection": msgspec.to_builtins(self.connection),
            "chain": self.chain,
            "rule": msgspec.structs.asdict(self.rule) if self.rule is not None else None,
            "cluster": self.cluster,
            "subset": self.subset,
            "pod": self.pod,
            "endpoint": key,
            "tried": list(self.tried),
            "effects": msgspec.to_builtins(self.effects),
            "trace": msgspec.to_builtins(self.trace),
        }
