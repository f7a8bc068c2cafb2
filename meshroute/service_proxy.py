"""ServiceProxy: what a node of the cluster does with connections to one Service, once for each connection.

Source    spec/kube-proxy.md
Inputs    a Front, how kube-proxy runs, which node it is; for each connection its ends, the state before it, and draws.
Exactness as `balance/kube_proxy.py` and `balance/ipvs.py`; shares are fractions and sum to 1.
Errors    ValueError where an answer depends on the client's address and nobody gave it; InexactError for shares of a
          hash of what nobody gave. What traffic meets is an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from meshroute.balance import ipvs
from meshroute.balance.bounded import InexactError
from meshroute.balance.kube_proxy import (
    DIAL_TIMEOUTS,
    LIST_SIZE,
    KubeProxy,
    LadderRule,
    chain_name,
    in_order,
    kept,
    ladder,
    ladder_chances,
    mapped,
    mapped_chances,
    turns_of,
)
from meshroute.balance.usable import Usable, usable
from meshroute.connection import Connected, Connection
from meshroute.decision import DROPPED, FORWARDED, NO_ADDRESS, NOT_DIALED, REJECTED, UNMATCHED, Failed
from meshroute.draws import ANSWER, KEY, Drawn, Draws
from meshroute.names import ClusterName, EndpointKey
from meshroute.shares import Horizon, Shares
from meshroute.state import (
    AffinityDropped,
    AffinityHeld,
    Effect,
    Mark,
    Marked,
    Persisted,
    Refreshed,
    RequestStarted,
    State,
    TurnTaken,
)
from meshroute.table import Endpoint
from meshroute.table.front import Backend, Family, Front, FrontPort, family_of
from meshroute.trace import (
    AddressesTold,
    AddressMatched,
    AffinityFound,
    AliasTold,
    BackendsNarrowed,
    DialFailed,
    HostPicked,
    LadderAsked,
    Step,
)

_FRESH: Final = State()
_FIRST: Final = Draws()
_WORD: Final = 2**32
_DRAWS: Final = 2**64

Tell: TypeAlias = list[Step]


class Way(NamedTuple):
    """What an address and port lead to: a port of the service, the address (empty where the client's node does not
    know it), the family, and by what."""

    port: FrontPort
    address: str
    number: int
    family: Family
    kind: str

    @property
    def external(self) -> bool:
        """Whether the policy for traffic from outside counts."""
        return self.kind != "cluster IP"


class Choosing(NamedTuple):
    """Who may be chosen for a connection, in kube-proxy's order. `source` is what state counts by; `draining` are real
    servers of IPVS that get nothing new, and `servers` all of them in the kernel's order."""

    source: ClusterName
    backends: tuple[Backend, ...]
    keys: tuple[EndpointKey, ...]
    chain: str
    because: str
    servers: tuple[ipvs.Server, ...] = ()


class ServiceProxy:
    """One Service, as one node serves it. It never changes: the same question has the same answer.

    `front` is the service, `kube_proxy` how kube-proxy runs there, `node` and `zone` where. `inside` are the addresses
    of the cluster's pods and of the node, whose traffic is not from outside; `nodes` those that node ports answer on.
    `aliases` are the names that led here. With a `hostname` connections are to the pods of that name behind the
    service, and nodes have no part in them.
    """

    __slots__ = (
        "_lists",
        "_published",
        "aliases",
        "front",
        "hostname",
        "inside",
        "kube_proxy",
        "node",
        "nodes",
        "zone",
    )

    def __init__(
        self,
        front: Front,
        kube_proxy: KubeProxy,
        node: str = "",
        zone: str = "",
        inside: frozenset[str] = frozenset(),
        nodes: frozenset[str] = frozenset(),
        aliases: tuple[tuple[str, str], ...] = (),
        hostname: str = "",
    ) -> None:
        self.front: Final = front
        self.kube_proxy: Final = kube_proxy
        self.node: Final = node
        self.zone: Final = zone
        self.inside: Final = inside
        self.nodes: Final = nodes
        self.aliases: Final = aliases
        self.hostname: Final = hostname
        self._published: Final = front.published if not hostname else _of_label(front.published, hostname)
        # What is chosen among depends on where a connection goes, and of whose it is on one thing: made once for each.
        self._lists: Final[dict[tuple[object, ...], tuple[Choosing | Failed, BackendsNarrowed]]] = {}

    def connect(
        self, connection: Connection, state: State = _FRESH, draws: Drawn = _FIRST, *, explain: bool = False
    ) -> Connected:
        """Where a connection goes, given what was before and what is drawn. See `Connected`.

        With `explain`, every step that leads there is in `trace`. Raises ValueError where the client's address decides
        and `source_ip` is not given.
        """
        steps: Tell | None = [] if explain else None
        connected = self._connect(connection, state, draws, steps)
        return replace(connected, trace=tuple(steps)) if steps else connected

    def redial(self, before: Connected, state: State = _FRESH, *, explain: bool = False) -> Connected:
        """The next dial of kube-proxy in mode userspace for a connection that `before` gave an endpoint in vain.

        Whose turn it is, whomever the client was kept by; who is taken keeps it from now on. `before` has ended in
        `state`. Behind the fourth dial there is no other: kube-proxy closes the connection, and that is the outcome.
        Raises ValueError in modes that never dial, and where nobody was dialed or the client dialed by itself.
        """
        if self.kube_proxy.mode != "userspace":
            raise ValueError(f"kube-proxy dials again in mode userspace alone, and not in {self.kube_proxy}")
        if before.endpoint is None or before.cluster is None:
            raise ValueError("kube-proxy dialed nobody for this connection: there is no dial to follow")
        steps: Tell | None = [] if explain else None
        connection, tried = before.connection, (*before.tried, before.endpoint.key)
        if steps is not None:
            number = len(before.tried)
            steps.append(DialFailed(before.endpoint.key, number, DIAL_TIMEOUTS[number]))
        way = self._way(connection) if len(tried) < len(DIAL_TIMEOUTS) else None
        choosing = self._allowed(connection, way, None) if way is not None else NOT_DIALED
        if isinstance(choosing, Failed):  # the client was taken already: whoever is missing now, it is closed
            connected = Connected(NOT_DIALED, connection, cluster=before.cluster)
        else:
            connected = self._chosen(connection, choosing, state, _FIRST, steps, again=True)
        return replace(connected, tried=tried, trace=tuple(steps or ()))

    def shares(self, connection: Connection, state: State = _FRESH, *, horizon: Horizon = "next") -> Shares:
        """The exact probability of everything that can become of the connection. See `Shares`.

        `horizon="next"` is the next connection in this state; `"long-run"` is many, where whoever takes turns takes all
        of them. Schedulers that count connections are answered for those of the state, in both. Raises InexactError
        where a hash has no key, and ValueError as `connect` does.
        """
        if horizon not in ("next", "long-run"):
            raise ValueError(f"horizon `{horizon}` is not one of `next`, `long-run`")
        leaves = [one for one in self._leaves(connection, state, horizon == "long-run") if one[0]]

        def by(key: Any) -> dict[Any, Fraction]:
            sums: dict[Any, Fraction] = {}
            for chance, connected, _ in leaves:
                sums[key(connected)] = sums.get(key(connected), Fraction(0)) + chance
            return sums

        return Shares(
            horizon=horizon,
            remembers=any(remembers for _, _, remembers in leaves),
            pods=by(lambda one: one.pod),
            by_endpoint=by(lambda one: one.endpoint.key if one.endpoint else None),
            by_subset=by(lambda one: one.subset),
            by_cluster=by(lambda one: one.cluster),
            by_rule=by(lambda one: str(one.rule) if one.rule else None),
            by_outcome=by(lambda one: one.outcome),
        )

    def answers(self, connection: Connection) -> bool:
        """Whether what the client connects to is the service's own: a name is, and of addresses those that it has."""
        by_name = self.front.headless or self.hostname
        if (self.front.alias and not self.hostname) or (self.front.headless and not connection.destination_ip):
            return True
        return bool(self._named(connection)) if by_name else self._way(connection) is not None

    def resolves(self) -> bool:
        """Whether a name server has an answer for the name: another name, the cluster IP, or addresses of pods."""
        if self.hostname or self.front.headless:
            return any(self._published.get(family) for family in self.front.families)
        return True

    def usable(self, port: FrontPort, family: Family = "IPv4") -> Usable:
        """Which endpoints of a port the node may use."""
        front = self.front
        return usable(
            port.backends.get(family, ()),
            self.node,
            self.zone,
            internal_local=front.internal_local,
            external_local=front.external_local,
            from_outside=front.reached_from_outside,
        )

    def synced(self, before: ServiceProxy, state: State) -> tuple[Effect, ...]:
        """The effects of kube-proxy's putting this in place of what was `before`, by the same setting.

        Lists of clients whose endpoint is gone are gone, schedulers of IPVS step back or begin anew, and so do the
        turns of userspace.
        """
        effects: list[Effect] = []
        was, now = (dict(one._listed()) for one in (before, self))  # the same class, one change apart
        for source, keys in was.items():
            left = now.get(source, ())
            effects += (AffinityDropped(source, key) for key in state.held.get(source, {}) if key not in left)
            if set(left) == set(keys):
                continue
            mode, mark = self.kube_proxy.mode, state.marks.get(source)
            if mode == "userspace" and state.turns.get(source):
                effects.append(Refreshed(source))
            elif mode == "ipvs" and mark is not None:
                effects += _stepped_back(source, mark, keys, left, self.kube_proxy.scheduler)
        return tuple(effects)

    def _listed(self) -> Iterator[tuple[ClusterName, tuple[EndpointKey, ...]]]:
        """The endpoints that each source of the node's state is about."""
        for port in self.front.ports:
            for family in self.front.families:
                got = self.usable(port, family)
                if self.kube_proxy.mode != "ipvs":
                    keys = tuple(one.endpoint.key for one in self._everybody(port, family, got))
                    yield self._source(Way(port, "", port.number, family, "")), keys
                    continue
                for address, number, kind in self._answered(port):
                    way = Way(port, address, number, family, kind)
                    if not address or family_of(address) == family:
                        backends = self._narrowed(way, False, got)[0]
                        choosing = self._choosing(way, backends, "")
                        yield choosing.source, tuple(one.key for one in choosing.servers)

    def _everybody(self, port: FrontPort, family: Family, got: Usable) -> tuple[Backend, ...]:
        if self.kube_proxy.mode == "userspace":
            return tuple(one for one in port.backends.get(family, ()) if one.ready)
        return got.union()

    def _answered(self, port: FrontPort) -> Iterator[tuple[str, int, str]]:
        front = self.front
        for address in front.addresses or ("",):
            yield address, port.number, "cluster IP"
        for address in front.balancers:
            yield address, port.number, "load balancer"
        for address in front.outside:
            yield address, port.number, "external IP"
        if port.node_port:
            for address in (*sorted(self.nodes), ""):
                yield address, port.node_port, "node port"

    # One connection

    def _connect(self, connection: Connection, state: State, draws: Drawn, tell: Tell | None) -> Connected:
        if tell is not None:
            tell.extend(AliasTold(service, alias) for service, alias in self.aliases)
        told = self._named(connection)
        if told is not None:
            return self._told(connection, told, draws, tell)
        way = self._way(connection)
        if way is None:
            return Connected(self._left(connection), connection)
        if tell is not None:
            tell.append(AddressMatched(self.front.name, way.address, way.number, way.kind))
        choosing = self._allowed(connection, way, tell)
        if isinstance(choosing, Failed):
            return Connected(choosing, connection, cluster=self._source(way))
        return self._chosen(connection, choosing, state, draws, tell)

    def _chosen(
        self,
        connection: Connection,
        choosing: Choosing,
        state: State,
        draws: Drawn,
        tell: Tell | None,
        *,
        again: bool = False,
    ) -> Connected:
        """Where it goes among these; `again`, whomever the client was kept by."""
        source, keys = choosing.source, choosing.keys
        index, effects = None if again else self._before(connection, choosing, state), list[Effect]()
        if index is not None:
            how = "where this client went before"
            if tell is not None:
                tell.append(self._found(connection, choosing, keys[index], state))
        else:
            index, how, effects = self._pick(connection, choosing, state, draws, tell)
            if index is None:
                if tell is not None:
                    tell.append(BackendsNarrowed(len(keys), 0, how))
                return Connected(REJECTED, connection, choosing.chain, cluster=source)
        endpoint = choosing.backends[index].endpoint
        effects += self._remembered(connection, source, keys[index])
        effects.append(RequestStarted(source, keys[index]))
        if tell is not None:
            tell.append(HostPicked(str(self.kube_proxy), keys[index], endpoint.workload, index, how))
        return Connected(
            FORWARDED, connection, choosing.chain, cluster=source, endpoint=endpoint, effects=tuple(effects)
        )

    # By name

    def _named(self, connection: Connection) -> str | tuple[Backend, ...] | None:
        """What a name server tells a client, where nodes have no part: another name, or addresses. Else None."""
        front = self.front
        if front.alias and not self.hostname:
            return front.alias
        if not front.headless and not self.hostname:
            return None
        if connection.destination_ip:
            every = (one for some in self._published.values() for one in some)
            return tuple(one for one in every if one.endpoint.address == connection.destination_ip)
        wanted = [family_of(connection.source_ip)] if connection.source_ip else []
        for family in (*(one for one in wanted if one in front.families), *front.families):
            if self._published.get(family):
                return self._published[family]
        return ()

    def _told(
        self, connection: Connection, told: str | tuple[Backend, ...], draws: Drawn, tell: Tell | None
    ) -> Connected:
        if isinstance(told, str):
            if tell is not None:
                tell.append(AliasTold(self.front.name, told))
            return Connected(FORWARDED, connection, endpoint=Endpoint(told.removesuffix("."), connection.port))
        index = draws[ANSWER] * len(told) >> 64 if len(told) > 1 else 0
        if tell is not None and (told or not connection.destination_ip):
            addresses = tuple(one.endpoint.address for one in told)
            tell.append(AddressesTold(self.front.name, addresses, index, self.hostname))
        if not told:
            return Connected(UNMATCHED if connection.destination_ip else NO_ADDRESS, connection)
        return self._at(connection, told[index])

    def _at(self, connection: Connection, backend: Backend) -> Connected:
        """At the client's own choice: nobody translates its port."""
        return Connected(FORWARDED, connection, endpoint=replace(backend.endpoint, port=connection.port))

    # By address

    def _way(self, connection: Connection) -> Way | None:
        """What the connection's address and port lead to; None where nodes leave it alone."""
        front, address, number = self.front, connection.destination_ip, connection.port
        of_protocol = [port for port in front.ports if port.protocol == connection.protocol]
        port = next((one for one in of_protocol if one.number == number), None)
        family = family_of(address) if address else self._family(connection)
        if port is not None:
            if not address or address in front.addresses:
                mine = next((one for one in front.addresses if family_of(one) == family), "")
                return Way(port, address or mine, number, family, "cluster IP")
            if address in front.balancers:
                return Way(port, address, number, family, "load balancer")
            if address in front.outside:
                return Way(port, address, number, family, "external IP")
        port = next((one for one in of_protocol if one.node_port == number), None)
        if port is None or (address and self.nodes and address not in self.nodes):
            return None
        return Way(port, address, number, family, "node port")

    def _left(self, connection: Connection) -> Failed:
        """What becomes of a connection that is for no port: nftables alone rejects what comes to its cluster IPs."""
        address = connection.destination_ip
        rejects = self.kube_proxy.mode == "nftables" and (not address or address in self.front.addresses)
        return REJECTED if rejects else UNMATCHED

    def _family(self, connection: Connection) -> Family:
        """The family of a client that says no address: its own if the service has it, else what the service prefers."""
        families = self.front.families
        if connection.source_ip and family_of(connection.source_ip) in families:
            return family_of(connection.source_ip)
        return families[0]

    def _allowed(self, connection: Connection, way: Way, tell: Tell | None) -> Choosing | Failed:
        """Who may be chosen; or that nobody may."""
        if way.kind == "load balancer" and self.front.sources and not _is_in(connection.source_ip, self.front.sources):
            if tell is not None:
                tell.append(BackendsNarrowed(0, 0, f"{connection.source_ip} is in none of the source ranges"))
            return DROPPED
        inside = bool(connection.source_ip) and connection.source_ip in self.inside
        address = way.address if self.kube_proxy.mode == "ipvs" else ""
        asked = (way.port.number, way.port.protocol, address, way.number, way.family, way.kind, inside)
        known = self._lists.get(asked)
        if known is None:
            known = self._lists[asked] = self._list(way, inside)
        choosing, narrowed = known
        if tell is not None:
            tell.append(narrowed)
        return choosing

    def _list(self, way: Way, inside: bool) -> tuple[Choosing | Failed, BackendsNarrowed]:
        """The same for every client of a way, inside the cluster or not; and how to tell it."""
        got = self.usable(way.port, way.family)
        backends, because = self._narrowed(way, inside, got)
        narrowed = BackendsNarrowed(len(way.port.backends.get(way.family, ())), len(backends), because)
        choosing = self._choosing(way, backends, because)
        if backends or choosing.servers:
            return choosing, narrowed
        dropped = got.anywhere and self.kube_proxy.mode in ("iptables", "nftables")
        return DROPPED if dropped else REJECTED, narrowed

    def _narrowed(self, way: Way, inside: bool, got: Usable) -> tuple[tuple[Backend, ...], str]:
        """The list that the address uses, and why."""
        front, mode = self.front, self.kube_proxy.mode
        if mode == "userspace":
            ready = tuple(one for one in way.port.backends.get(way.family, ()) if one.ready)
            return ready, "all that are ready: userspace knows no policies"
        local = front.external_local if way.external else front.internal_local
        if local and way.external and mode != "ipvs" and inside:
            return got.cluster or (), "the policy is Local, and the client is inside the cluster: those of the cluster"
        if local and mode == "ipvs" and not got.local and got.cluster:
            return got.cluster, "the policy is Local, none is here, and IPVS then takes those of the cluster"
        if local:
            leaving = ", all of them going away" if got.local_terminating else ""
            return got.local or (), f"the policy is Local: those on this node{leaving}"
        if got.cluster_terminating:
            return got.cluster or (), "none is ready: those that are going away and still serve"
        hinted = {"": "all that are ready", "node": "those hinted for this node", "zone": "those hinted for this zone"}
        return got.cluster or (), hinted[got.topology]

    def _choosing(self, way: Way, backends: tuple[Backend, ...], because: str) -> Choosing:
        source, mode = self._source(way), self.kube_proxy.mode
        keys = tuple(one.endpoint.key for one in backends)
        if mode == "ipvs":
            servers = self._servers(way, backends)
            return Choosing(source, backends, keys, "", because, servers)
        if mode == "userspace":
            ordered = in_order(keys, self.kube_proxy.order)
            by_key = dict(zip(keys, backends, strict=True))
            return Choosing(source, tuple(by_key[key] for key in ordered), tuple(ordered), "", because)
        chain = ""
        if mode == "iptables":
            kind = "SVL" if because.startswith("the policy is Local: ") else "SVC"
            chain = chain_name(kind, self.front.service_port(way.port), way.port.protocol)
        return Choosing(source, backends, keys, chain, because)

    def _servers(self, way: Way, backends: Sequence[Backend]) -> tuple[ipvs.Server, ...]:
        """The real servers in the kernel's order. Of UDP, whoever goes is gone at once."""
        usable = {one.endpoint.key: one.endpoint for one in backends}
        elsewhere = {one.endpoint.key for one in way.port.backends.get(way.family, ()) if one.ready} - usable.keys()
        servers: list[ipvs.Server] = []
        for key in dict.fromkeys((*self.kube_proxy.order, *usable)):
            if key in usable:
                servers.append(ipvs.Server(usable[key].address, usable[key].port, key))
            elif key not in elsewhere and way.port.protocol != "UDP":
                address, _, port = key.rpartition(":")
                address = address.removeprefix("[").removesuffix("]")
                if family_of(address) == way.family:
                    servers.append(ipvs.Server(address, int(port), key, weight=0))
        return tuple(servers)

    def _source(self, way: Way) -> ClusterName:
        """What state counts by: the port of the service, and in IPVS the virtual server."""
        name = f"{self.front.service_port(way.port)}/{way.port.protocol}"
        if self.kube_proxy.mode != "ipvs":
            return ClusterName(name if way.family == self.front.families[0] else f"{name}/{way.family}")
        unknown = way.kind if way.family == self.front.families[0] else f"{way.kind} {way.family}"
        return ClusterName(f"{name}@{way.address or unknown}:{way.number}")

    # Affinity

    def _before(self, connection: Connection, choosing: Choosing, state: State) -> int | None:
        """The endpoint that the client has from before, by its number; None where it has none."""
        seconds, client = self.front.affinity, connection.source_ip
        if seconds is None or not client:
            return None
        if self.kube_proxy.mode == "ipvs":
            one = state.persisted.get(choosing.source, {}).get(client)
            if one is None or (not one.open and state.now >= one.until) or one.endpoint not in choosing.keys:
                return None
            return choosing.keys.index(one.endpoint)
        lists = state.held.get(choosing.source)
        if not lists:
            return None
        return kept(lists, choosing.keys, client, state.now, seconds, self.kube_proxy.mode)

    def _found(self, connection: Connection, choosing: Choosing, key: EndpointKey, state: State) -> AffinityFound:
        seen = state.held.get(choosing.source, {}).get(key, {}).get(connection.source_ip)
        return AffinityFound(connection.source_ip, key, None if seen is None else state.now - seen)

    def _remembered(self, connection: Connection, source: ClusterName, key: EndpointKey) -> Iterator[Effect]:
        seconds, client, mode = self.front.affinity, connection.source_ip, self.kube_proxy.mode
        if seconds is None or not client:
            return
        if mode == "ipvs":
            yield Persisted(source, client, key, seconds * 1000)
        else:
            most = LIST_SIZE if mode == "iptables" else 0
            yield AffinityHeld(source, key, client, most, alone=mode == "userspace")

    # The choice

    def _pick(
        self, connection: Connection, choosing: Choosing, state: State, draws: Drawn, tell: Tell | None
    ) -> tuple[int | None, str, list[Effect]]:
        """An endpoint by its number, in words why, and what the choice itself leaves behind."""
        size, mode = len(choosing.backends), self.kube_proxy.mode
        if mode == "iptables":
            asked: list[LadderRule] = []
            index = ladder(size, draws, self.kube_proxy.digits, asked if tell is not None else None)
            if tell is not None:
                for rule in asked:
                    key = choosing.keys[rule.number]
                    tell.append(LadderAsked(rule.number, key, rule.drawn, rule.threshold, rule.taken))
            return index, "the last is left" if index == size - 1 else f"rule {index + 1} of {size}", []
        if mode == "nftables":
            index = mapped(size, draws)
            return index, f"number {index} of {size} in the map", []
        if mode == "userspace":
            index = turns_of(state, choosing.source, size)
            return index, f"number {index + 1} of {size} in turn", [TurnTaken(choosing.source)]
        choice = ipvs.schedule(self.kube_proxy.scheduler, self._asking(connection, choosing, state, draws))
        left: list[Effect] = [Marked(choosing.source, choice.mark)] if choice.mark is not None else []
        if choice.index is None:
            return None, choice.how, left
        return choosing.keys.index(choosing.servers[choice.index].key), choice.how, left

    def _asking(self, connection: Connection, choosing: Choosing, state: State, draws: Drawn) -> ipvs.Ask:
        """What the scheduler may look at. A part of the hashed key that nobody gave is drawn."""
        scheduler, source = self.kube_proxy.scheduler, choosing.source
        number = port = 0
        if _lacks_key(scheduler, connection):
            number = draws[KEY] & (_WORD - 1)
        elif scheduler in ("sh", "mh"):
            number = ipvs.folded(connection.source_ip)
            port = connection.source_port if scheduler == "mh" else 0
        destination = 0
        if scheduler == "dh":
            address = connection.destination_ip or self._virtual(source)
            destination = ipvs.folded(address) if address else draws[KEY] & (_WORD - 1)
        return ipvs.Ask(
            choosing.servers,
            number,
            port,
            destination,
            state.marks.get(source, _NO_MARK),
            state.active.get(source, {}),
            state.inactive.get(source, {}),
            state.now,
        )

    def _virtual(self, source: ClusterName) -> str:
        """The address of a virtual server, empty where it is not known."""
        address = source.rpartition("@")[2].rpartition(":")[0]
        return address if address in self.front.addresses else ""

    # Shares

    def _leaves(
        self, connection: Connection, state: State, long_run: bool
    ) -> Iterator[tuple[Fraction, Connected, bool]]:
        told = self._named(connection)
        if told is not None and not isinstance(told, str) and len(told) > 1:
            bounds = [-(-number * _DRAWS // len(told)) for number in range(len(told) + 1)]
            for one, low, high in zip(told, bounds, bounds[1:], strict=False):
                yield Fraction(high - low, _DRAWS), self._at(connection, one), False
            return
        way = self._way(connection) if told is None else None
        choosing = self._allowed(connection, way, None) if way is not None else UNMATCHED
        if isinstance(choosing, Failed):
            yield Fraction(1), self._connect(connection, state, _FIRST, None), False
            return
        before = self._before(connection, choosing, state)
        if before is not None:
            yield Fraction(1), self._to(connection, choosing, before), True
            return
        mode, size = self.kube_proxy.mode, len(choosing.backends)
        if mode in ("iptables", "nftables"):
            chances = ladder_chances(size, self.kube_proxy.digits) if mode == "iptables" else mapped_chances(size)
            for index, chance in enumerate(chances):
                yield chance, self._to(connection, choosing, index), self.front.affinity is not None
            return
        scheduler = self.kube_proxy.scheduler
        turns = mode == "userspace" or scheduler in ("rr", "wrr")
        if long_run and turns:
            for index in range(size):  # kube-proxy gives every server the same weight
                yield Fraction(1, size), self._to(connection, choosing, index), True
            if not size:
                yield Fraction(1), Connected(REJECTED, connection, cluster=choosing.source), False
            return
        if mode == "ipvs" and scheduler == "sh" and _lacks_key(scheduler, connection):
            yield from self._buckets(connection, choosing)
            return
        if (
            mode == "ipvs"
            and len(choosing.servers) > 1
            and (
                (scheduler == "mh" and _lacks_key(scheduler, connection))
                or (scheduler == "dh" and not (connection.destination_ip or self._virtual(choosing.source)))
            )
        ):
            raise InexactError(f"`{scheduler}` hashes ends of the connection that are not given")
        remembers = mode == "userspace" or scheduler not in ("sh", "dh", "mh")
        yield Fraction(1), self._chosen(connection, choosing, state, _FIRST, None), remembers

    def _buckets(self, connection: Connection, choosing: Choosing) -> Iterator[tuple[Fraction, Connected, bool]]:
        """Source hashing of a client that nobody knows: every bucket is as likely, because the hash is one to one."""
        owners = ipvs.source_buckets([one.weight for one in choosing.servers])
        for number, server in enumerate(choosing.servers):
            chance = Fraction(owners.count(number), ipvs.BUCKETS)
            if server.weight > 0:
                yield chance, self._to(connection, choosing, choosing.keys.index(server.key)), False
            else:
                yield chance, Connected(REJECTED, connection, cluster=choosing.source), False

    def _to(self, connection: Connection, choosing: Choosing, index: int) -> Connected:
        endpoint = choosing.backends[index].endpoint
        return Connected(FORWARDED, connection, choosing.chain, cluster=choosing.source, endpoint=endpoint)


_NO_MARK: Final = Mark()


def _lacks_key(scheduler: str, connection: Connection) -> bool:
    """Whether the scheduler hashes an end of the connection that is not given."""
    return (scheduler == "sh" and not connection.source_ip) or (
        scheduler == "mh" and not (connection.source_ip and connection.source_port)
    )


def _of_label(published: Mapping[Family, tuple[Backend, ...]], label: str) -> Mapping[Family, tuple[Backend, ...]]:
    """Whoever has the label; no family without anybody."""
    found = {family: tuple(one for one in some if one.label == label) for family, some in published.items()}
    return {family: some for family, some in found.items() if some}


def _is_in(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of these networks. Raises ValueError where nobody gave it."""
    if not address:
        raise ValueError("loadBalancerSourceRanges go by the client's address: give `source_ip`")
    known = ip_address(address)
    return any(known in ip_network(one, strict=False) for one in networks)


def _stepped_back(
    source: ClusterName,
    mark: Mark,
    before: Sequence[EndpointKey],
    after: Sequence[EndpointKey],
    scheduler: str,
) -> Iterator[Effect]:
    """Where a scheduler stands once servers came or went: round robin at the server before the one that is gone,
    weighted round robin at the beginning."""
    if scheduler == "wrr":
        yield Marked(source, Mark((), mark.weight))
    elif scheduler == "rr" and mark.last and mark.last[0] not in after and mark.last[0] in before:
        earlier = before[: before.index(mark.last[0])]
        yield Marked(source, Mark(tuple([one for one in earlier if one in after][-1:])))
