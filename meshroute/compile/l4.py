"""TCP and TLS rules as chains: where connections go that no proxy reads.

Source    spec/connect.md CONNECT-7 to CONNECT-9; istio/istio: pilot/pkg/networking/core/{tls.go,networkfilter.go}
Inputs    VirtualServices in the order in which they count, services, and who asks.
Exactness of rules, the first that applies takes a destination; a rule without conditions ends the search.
Errors    none: what was wrong was diagnosed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from meshroute.compile.destination import Effective, source_policies
from meshroute.compile.resolve import is_subset_of, resolve
from meshroute.compile.routes import Asker, cluster_name, port_number, rule_ref
from meshroute.compile.service import Port, Protocol
from meshroute.compile.viewpoint import MeshConfig
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio import L4MatchAttributes, RouteDestination, TLSMatchAttributes, VirtualService
from meshroute.names import ClusterName, Host, ascii_lower, wire
from meshroute.table import Chain, Forward, WeightedCluster

EVERY_NAME: Final = "*"


class ConnectionRules:
    """TCP and TLS rules as one proxy gets them."""

    def __init__(
        self,
        asker: Asker,
        effective: Callable[[Host], Effective],
        config: MeshConfig,
        port_of: Callable[[Host, int], int] = lambda _, port: port,
        named: Callable[[int, str, str], ClusterName] = cluster_name,
    ) -> None:
        self.asker: Final = asker
        self.effective: Final = effective
        self.domain: Final = config.domain
        self._redis_filter: Final = config.redis_filter
        self.port_of: Final = port_of
        self.named: Final = named

    def chains(
        self,
        virtual_services: Sequence[VirtualService],
        host: Host,
        port: Port,
        networks: tuple[str, ...] = (),
        server_names: tuple[str, ...] = (),
    ) -> Iterator[Chain]:
        """The chains of one port of a service, by the VirtualServices that have a say in its host.

        `networks` are the service's own, where its listener is shared with others; `server_names` are the names that
        tell its TLS from theirs.
        """
        if port.protocol is not Protocol.TLS:
            found = self._by_network(virtual_services, host, port.number, networks)
            yield from map(self.by_command, found) if port.protocol is Protocol.REDIS else found
            return
        named = list(self._by_name(virtual_services, port.number, networks))
        yield from filter(acceptable, named or [self._default(host, port.number, networks, server_names)])

    def _by_name(
        self, virtual_services: Iterable[VirtualService], port: int, networks: tuple[str, ...]
    ) -> Iterator[Chain]:
        """TLS rules, each alternative once. The networks of one are those of all behind it that name none."""
        handled: set[tuple[frozenset[str], frozenset[str]]] = set()
        for owner in virtual_services:
            for number, rule in enumerate(owner.spec.tls):
                for index, asked in enumerate(rule.match):
                    key = frozenset(asked.sni_hosts), frozenset(asked.destination_subnets)
                    if not self._applies(asked, owner, port):
                        continue
                    networks = asked.destination_subnets or networks
                    if key in handled:
                        continue
                    handled.add(key)
                    path: FieldPath = ("tls", number, "match", index)
                    yield self.chain(owner, rule.route, path, port, networks, sni(asked.sni_hosts))

    def _by_network(
        self, virtual_services: Iterable[VirtualService], host: Host, port: int, networks: tuple[str, ...]
    ) -> Iterator[Chain]:
        """TCP rules, up to the first that asks for no network; and the service itself where there is no such rule."""
        for owner in virtual_services:
            for number, rule in enumerate(owner.spec.tcp):
                path: FieldPath = ("tcp", number)
                applying = [one for one in rule.match if self._applies(one, owner, port)]
                if not rule.match or any(not one.destination_subnets for one in applying):
                    yield self.chain(owner, rule.route, path, port, networks, ())
                    return
                subnets = tuple(network for one in applying for network in one.destination_subnets)
                if subnets:
                    yield self.chain(owner, rule.route, path, port, subnets, ())
                    if sorted(subnets) == sorted(networks):  # a second one for the same networks would be refused
                        return
        yield self._default(host, port, networks, ())

    def _applies(self, asked: L4MatchAttributes | TLSMatchAttributes, owner: VirtualService, port: int) -> bool:
        """The part of a match that is settled by who asks and where. Here all of it must hold, gateways included."""
        return (
            (not asked.port or asked.port == port)
            and (not asked.gateways or self.asker.stands_for(asked.gateways, owner))
            and is_subset_of(asked.source_labels, self.asker.labels)
            and (not asked.source_namespace or asked.source_namespace == self.asker.namespace)
        )

    def chain(
        self,
        owner: VirtualService,
        destinations: Sequence[RouteDestination],
        path: FieldPath,
        port: int,
        networks: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
    ) -> Chain:
        """The chain of one rule."""
        return Chain(
            self.forward(owner, destinations, port),
            rule=rule_ref(owner, path),
            destinations=networks,
            server_names=names,
        )

    def by_command(self, chain: Chain) -> Chain:
        """The chain of a Redis port. A filter that reads it knows one cluster, the first, and hashes no client."""
        if not self._redis_filter or chain.forward is None:
            return chain
        return replace(chain, forward=Forward(chain.forward.clusters[:1]))

    def forward(self, owner: VirtualService, destinations: Sequence[RouteDestination], port: int) -> Forward:
        """The clusters of a rule. Only the client's address can be hashed, and of several destinations the first
        decides whether it is."""
        several = len(destinations) > 1
        clusters: list[WeightedCluster] = []
        for one in destinations:
            host = resolve(one.destination.host, owner.namespace, self.domain)
            number = port_number(one.destination) or self.port_of(host, port)
            name = self.named(number, one.destination.subset, host)
            if one.weight or not several:
                clusters.append(WeightedCluster(name, one.weight if several else 1))
        first = destinations[0].destination
        host = resolve(first.host, owner.namespace, self.domain)
        return Forward(
            tuple(clusters),
            source_policies(self.effective(host), "" if several else first.subset, port_number(first)),
        )

    def _default(self, host: Host, port: int, networks: tuple[str, ...], names: tuple[str, ...]) -> Chain:
        forward = Forward(
            (WeightedCluster(cluster_name(port, "", host)),), source_policies(self.effective(host), "", port)
        )
        return Chain(forward, name="default", destinations=networks, server_names=names)


def acceptable(chain: Chain) -> bool:
    """Whether a proxy would have a chain with such server names: a `*` stands before a dot, at the front."""
    return not any("*" in name.removeprefix("*.") for name in chain.server_names)


def sni(names: Iterable[str]) -> tuple[str, ...]:
    """Server names as a proxy compares them; any name at all is no condition."""
    some = tuple(wire(ascii_lower(name)) for name in names)
    return () if EVERY_NAME in some else some
