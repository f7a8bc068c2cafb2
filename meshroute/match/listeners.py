"""Which listener a client reaches, and which of its chains takes the connection.

Source    spec/connect.md CONNECT-1 to CONNECT-3, CONNECT-5; envoyproxy/envoy:
          source/common/listener_manager/{filter_chain_manager_impl.cc,connection_handler_impl.cc}
Inputs    listeners; addresses and names of connections, in canonical form and in lower case.
Exactness an address that is listened to goes before the port alone. Of networks the longest that has the destination
          decides, and then there is no way back to a wider one; of names the exact one, then the longest `*.suffix`,
          then chains that ask for none; and then what asks for nothing, if the listener falls through. Only where no
          network takes the destination is HTTP told from the rest.
Errors    TableError for chains or listeners that a proxy could not tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from meshroute.match.index import HostIndex
from meshroute.names import ascii_lower, canonical_ip
from meshroute.table import Chain, Listener, TableError

Network = IPv4Network | IPv6Network


class Reading:
    """A part of a listener that reads requests: the virtual hosts to look them up in."""

    __slots__ = ("ends_tls", "hosts", "listener")

    def __init__(self, listener: Listener, hosts: HostIndex, *, ends_tls: bool) -> None:
        self.listener: Final = listener
        self.hosts: Final = hosts
        self.ends_tls: Final = ends_tls


Taker = Reading | Chain
"""What takes a connection: somebody who reads it, or a chain that does not."""


class Door:
    """One listener, ready to be asked who takes a connection."""

    __slots__ = ("_any", "_networks", "_sniffed", "listener", "only")

    def __init__(self, listener: Listener) -> None:
        self.listener: Final = listener
        takers = [(chain, _taker(listener, chain)) for chain in listener.chains]
        reading = Reading(listener, HostIndex(listener), ends_tls=False)
        self._sniffed: Final = reading if listener.sniffs else None
        if not listener.sniffs and (listener.virtual_hosts or not listener.chains):
            takers.append((Chain(), reading))
        networks: dict[Network | None, list[tuple[Chain, Taker]]] = {}
        for chain, taker in takers:
            for network in map(_network, chain.destinations):
                networks.setdefault(network, []).append((chain, taker))
            if not chain.destinations:
                networks.setdefault(None, []).append((chain, taker))
        if listener.sniffs:
            networks.setdefault(None, [])
        self._networks: Final[Sequence[tuple[Network | None, _Names]]] = sorted(
            ((network, _Names(some, listener)) for network, some in networks.items()),
            key=lambda pair: -1 if pair[0] is None else pair[0].prefixlen,
            reverse=True,
        )
        anything = self._networks[-1][1].taker("") if None in networks else None
        self._any: Final = anything
        self.only: Final = reading if len(takers) == 1 and takers[0][1] is reading else None
        """Who takes everything, if one who reads does."""

    def taker(self, destination_ip: str, server_name: str, *, http: bool = False) -> Taker | None:
        """Who takes a connection, on which the client speaks HTTP in the clear or not; None where nobody does."""
        if self.only is not None:
            return self.only
        found = self._specific(destination_ip, server_name, http=http)
        return self._any if found is None and self.listener.falls_through else found

    def _specific(self, destination_ip: str, server_name: str, *, http: bool) -> Taker | None:
        address = ip_address(destination_ip) if destination_ip else None
        for network, names in self._networks:
            if network is None and http and self._sniffed is not None:
                return self._sniffed
            if network is None or (address is not None and address in network):
                return names.taker(server_name)
        return None


def _taker(listener: Listener, chain: Chain) -> Taker:
    if chain.forward is not None:
        return chain
    return Reading(listener, HostIndex(_with_hosts(listener, chain)), ends_tls=chain.ends_tls)


def _with_hosts(listener: Listener, chain: Chain) -> Listener:
    """The listener as the chain's requests find it."""
    return Listener(
        listener.port,
        chain.virtual_hosts,
        listener.ignore_port,
        listener.host_header,
        listener.ignore_path_parameters,
        listener.arrival,
    )


def _network(written: str) -> Network:
    try:
        return ip_network(written, strict=False)
    except ValueError as error:
        raise TableError(f"`{written}` is not a network, such as `10.0.0.0/8`") from error


class _Names:
    """Chains for one network, by the names that clients say. `*.suffix` is kept as `.suffix`, as a proxy does, to which
    the two are the same."""

    __slots__ = ("_named",)

    def __init__(self, takers: Iterable[tuple[Chain, Taker]], listener: Listener) -> None:
        named: dict[str, Taker] = {}
        for chain, taker in takers:
            for name in map(ascii_lower, chain.server_names or ("",)):
                key = name.removeprefix("*") if name.startswith("*.") else name
                if "*" in key:
                    raise TableError(
                        f"port {listener.port}: server name `{name}`: `*` stands before a dot, at the front"
                    )
                if key in named:
                    said = f"for the server name `{name}`" if name else "without a server name"
                    raise TableError(f"port {listener.port}: two chains for the same connections, {said}")
                named[key] = taker
        self._named: Final[Mapping[str, Taker]] = named

    def taker(self, name: str) -> Taker | None:
        found = self._named.get(name)
        at = name.find(".", 1)
        while found is None and 0 < at < len(name) - 1:
            found = self._named.get(name[at:])
            at = name.find(".", at + 1)
        return found if found is not None else self._named.get("")


class Doors:
    """All listeners of a table."""

    __slots__ = ("_addressed", "_named", "_ports", "plain")

    def __init__(self, listeners: Iterable[Listener]) -> None:
        ports: dict[int, Door] = {}
        addressed: dict[tuple[str, int], Door] = {}
        named: dict[tuple[str, int], Door] = {}
        for listener in listeners:
            door = Door(listener)
            key = (canonical_ip(listener.address), listener.port)
            if listener.address and addressed.setdefault(key, door) is not door:
                raise TableError(f"two listeners on {listener.address}, port {listener.port}")
            if not listener.address and not listener.names and ports.setdefault(listener.port, door) is not door:
                raise TableError(f"two listeners have the same port {listener.port}")
            for name in listener.names:
                named.setdefault((ascii_lower(name), listener.port), door)
        self._ports: Final = ports
        self._addressed: Final = addressed
        self._named: Final = named
        readers = {port: door.only.hosts for port, door in ports.items() if door.only is not None}
        alone = not addressed and not named and len(readers) == len(ports)
        self.plain: Final[Mapping[int, HostIndex] | None] = readers if alone else None
        """The virtual hosts by port, where the port is all that anybody needs to know of a connection."""

    def find(self, port: int, destination_ip: str = "", host: str = "") -> Door | None:
        """The listener for a port, given the address that the client connects to, or else the name it looked up."""
        door = None
        if destination_ip:
            door = self._addressed.get((canonical_ip(destination_ip), port))
        elif host:
            door = self._named.get((host, port))
        return door if door is not None else self._ports.get(port)
