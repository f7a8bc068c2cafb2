"""What vectors ask about connections to Services: choices, lists, and runs of connections.

Inputs    Services as manifests, or as the fronts that nodes make of them, in JSON; endpoints are named by `ip:port` in
          every answer.
Errors    those of the values: a setting that does not exist raises ValueError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import msgspec

import meshroute as mr
from meshroute.balance import ipvs, usable
from meshroute.balance.kube_proxy import (
    Scheduler,
    chain_name,
    ladder,
    ladder_chances,
    mapped,
    mapped_chances,
    printed,
    threshold,
)
from meshroute.compile import fronts, proportional
from meshroute.manifest.kubernetes import EndpointSlice, LabelSelector, Node, Service
from meshroute.names import EndpointKey
from meshroute.state import Mark, TimePassed
from meshroute.table import Endpoint
from meshroute.table.front import FAMILIES, Backend, Front

# One choice


class Words:
    """Draws that are a list of numbers, whatever their names, and how many were used."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = list(words)
        self.used = 0

    def __getitem__(self, name: str, /) -> int:
        self.used += 1
        return self.words[self.used - 1]


def ladder_pick(size: int, words: Sequence[int], digits: int = 10) -> list[int]:
    """The endpoint that iptables chooses, and how many words that took."""
    draws = Words(words)
    return [ladder(size, draws, digits), draws.used]


def map_picks(size: int, words: Sequence[int]) -> list[int]:
    """The endpoint that nftables chooses for each word."""
    return [mapped(size, Words([word])) for word in words]


def idle_endpoints(clients: int, size: int) -> dict[str, int]:
    """Of all ways in which clients with one connection each can be placed, how many leave how many endpoints idle."""
    words = [-(-slot * 2**32 // size) for slot in range(size)]  # one word for each slot of the map
    ways = product(words, repeat=clients)
    found = Counter(size - len(set(map_picks(size, way))) for way in ways)
    return {str(idle): found[idle] for idle in sorted(found)}


# Lists


def usable_endpoints(
    endpoints: Sequence[Mapping[str, Any]], node: str, zone: str = "", **policies: bool
) -> dict[str, list[str] | bool | str | None]:
    """The lists of a node. Endpoints have a `name` and the fields of a Backend; they are in kube-proxy's order."""
    names: dict[EndpointKey, str] = {}
    backends: list[Backend] = []
    for number, one in enumerate(endpoints):
        endpoint = Endpoint("10.0.0.1", 1000 + number)  # so many digits all of them: in order as bytes
        names[endpoint.key] = one["name"]
        fields = {key: value for key, value in one.items() if key != "name"}
        backends.append(msgspec.convert({"endpoint": msgspec.to_builtins(endpoint), **fields}, Backend))
    got = usable.usable(backends, node, zone, **policies)

    def named(some: Sequence[Backend] | None) -> list[str] | None:
        return None if some is None else [names[one.endpoint.key] for one in some]

    return {
        "cluster": named(got.cluster),
        "local": named(got.local),
        "all": named(got.union()),
        "anywhere": got.anywhere,
        "topology": got.topology,
    }


def _front(manifests: str, service: str) -> Front:
    mesh = mr.loads(manifests)
    found = next(one for one in mesh.resources if isinstance(one, Service) and one.name == service)
    slices = [one for one in mesh.resources if isinstance(one, EndpointSlice)]
    nodes = [one for one in mesh.resources if isinstance(one, Node)]
    return fronts.front_of(found, fronts.cluster_of(slices, mesh.registry.workloads, nodes))


def service_endpoints(manifests: str, service: str) -> dict[str, list[str]]:
    """The endpoints of each port of a Service, in order; `!` behind one that is not ready, and `-` behind one that is
    going away, with `+` if it still serves."""
    found: dict[str, list[str]] = {}
    for port in _front(manifests, service).ports:
        found[port.name or str(port.number)] = [
            f"{one.endpoint.key}{'' if one.ready else '!'}"
            + (("-+" if one.serving else "-") if one.terminating else "")
            for family in FAMILIES
            for one in port.backends.get(family, ())
        ]
    return found


def service_hints(manifests: str, service: str) -> dict[str, list[list[str]]]:
    """The zones and nodes that are asked to use each endpoint of the first port of a Service."""
    port = _front(manifests, service).ports[0]
    return {
        str(one.endpoint.key): [list(one.for_zones), list(one.for_nodes)]
        for some in port.backends.values()
        for one in some
    }


def zone_parts(manifests: str) -> dict[str, float] | str:
    """The part of each zone in the processors of all Nodes; or why nobody can say."""
    nodes = [one for one in mr.loads(manifests).resources if isinstance(one, Node)]
    capacity = proportional.capacity_of(nodes)
    return capacity.lacks or dict(capacity.ratios)


def hint_moves(wanted: Mapping[str, float], have: Mapping[str, int]) -> dict[str, Any]:
    """How many endpoints each zone gives and receives, and whether chance has a part in it."""
    moves = proportional.moves_of(wanted, have)
    return {"giving": dict(moves.giving), "receiving": dict(moves.receiving), "by_chance": moves.by_chance}


def hinted_zones(parts: Mapping[str, float], zones: Sequence[str]) -> list[str] | str:
    """The zones that endpoints in these zones are hinted for; or why there are none."""
    found = proportional.hinted(parts, zones)
    return found if isinstance(found, str) else list(found.zones)


def label_selector(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes labels."""
    return LabelSelector.model_validate(selector).matches(labels)


# Connections


def _told(connected: mr.Connected) -> str:
    """Where a connection goes, or why it goes nowhere."""
    if connected.endpoint is not None:
        return str(connected.endpoint.key)
    return connected.outcome.details if isinstance(connected.outcome, mr.Failed) else ""


def service_connect(
    manifests: str,
    service: str,
    connection: Mapping[str, Any],
    kube_proxy: str = "iptables",
    node: str = "",
    draws: Mapping[str, int] | None = None,
) -> str:
    """Where one connection to a Service goes."""
    proxy = mr.loads(manifests).service(service, kube_proxy=mr.KubeProxy.parse(kube_proxy), node=node)
    return _told(proxy.connect(msgspec.convert(connection, mr.Connection), draws=mr.Draws.of(given=draws)))


def name_connect(
    manifests: str,
    host: str,
    namespace: str = "default",
    port: int = 80,
    source_ip: str = "",
    draws: Mapping[str, int] | None = None,
) -> str:
    """Where a connection to a name goes; `no_such_name` where nothing in the cluster has it."""
    try:
        service = mr.loads(manifests).lookup(host, namespace)
    except ValueError:
        return "no_such_name"
    connection = mr.Connection(port, host, source_ip=source_ip)
    return _told(service.connect(connection, draws=mr.Draws.of(given=draws)))


def name_targets(manifests: str, name: str, namespace: str = "default") -> list[str] | str:
    """The names and ports behind the name of a port; `no_such_name` where nothing in the cluster has it."""
    try:
        return [f"{host}:{port}" for host, port in mr.loads(manifests).targets(name, namespace)]
    except ValueError:
        return "no_such_name"


def _proxy(
    front: Mapping[str, Any], kube_proxy: Mapping[str, Any], node: str, inside: Sequence[str] = ()
) -> mr.ServiceProxy:
    fields = dict(front)
    endpoints = fields.pop("endpoints", None)
    if endpoints is not None:  # short for one port, or for each port of the front
        family = "IPv6" if any("[" in one for one in endpoints) else "IPv4"
        ports = fields.get("ports", [{"number": 80}])
        backends = [
            {"endpoint": {"address": one.rpartition(":")[0].strip("[]"), "port": int(one.rpartition(":")[2])}}
            for one in sorted(endpoints, key=str.encode)
        ]
        fields["ports"] = [{"backends": {family: backends}, **port} for port in ports]
    made = msgspec.convert({"name": "ns/svc", **fields}, Front)
    return mr.ServiceProxy(made, msgspec.convert(kube_proxy, mr.KubeProxy), node, inside=frozenset(inside))


def connections(
    front: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    kube_proxy: Mapping[str, Any] | None = None,
    node: str = "",
) -> list[str]:
    """Where a run of connections goes.

    An event may have: `at`, the time in milliseconds; `front`, the service from now on (`kept`: lists of clients stay);
    `closing`, `forgotten` or `finished`, the number of a connection to which that happens; and then `connect`, the
    fields of a Connection, with `draws`; or `redial`, the number of a connection whose dial failed; or so many
    `requests` on connection number `of`, each of which is told.
    """
    setting = dict(kube_proxy or {})
    proxy, state, made, told = _proxy(front, setting, node), mr.State(), list[mr.Connected](), list[str]()
    for event in events:
        if "at" in event:
            state = state.after([TimePassed(event["at"])])
        for end in ("closing", "forgotten", "finished"):
            if end in event:
                state = state.after(getattr(made[event[end]], end)())
        if "front" in event:
            changed = _proxy(event["front"], setting, node)
            if not event.get("kept", False):
                state = state.after(changed.synced(proxy, state))
            proxy = changed
        if "connect" in event:
            connection = msgspec.convert({"port": 80, **event["connect"]}, mr.Connection)
            connected = proxy.connect(connection, state, mr.Draws.of(given=event.get("draws")))
            state = state.after(connected.effects)
            made.append(connected)
            told.append(_told(connected))
        if "redial" in event:
            before = made[event["redial"]]
            state = state.after(before.finished())
            connected = proxy.redial(before, state)
            state = state.after(connected.effects)
            made.append(connected)
            told.append(_told(connected))
        if "requests" in event:
            told += [_told(made[event["of"]])] * event["requests"]
    return told


def service_session(
    front: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    kube_proxy: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Where the connections of a session over a Service go, how many it made, and its state at the end.

    An event is as in `connections`, but that connections draw by the seed and their number, and lists are not kept.
    """
    setting = dict(kube_proxy or {})
    session, made = mr.ServiceSession(_proxy(front, setting, ""), seed), list[mr.Connected]()
    for event in events:
        if "at" in event:
            session.advance(event["at"])
        for end, ends in (("closing", session.closing), ("forgotten", session.forgotten), ("finished", session.close)):
            if end in event:
                ends(made[event[end]])
        if "front" in event:
            session.follow(_proxy(event["front"], setting, ""))
        if "connect" in event:
            made.append(session.connect(msgspec.convert({"port": 80, **event["connect"]}, mr.Connection)))
        if "redial" in event:
            made.append(session.redial(made[event["redial"]]))
    told = [_told(one) for one in made]
    return {"connected": told, "ordinal": session.ordinal, "state": msgspec.to_builtins(session.state)}


def connection_counts(front: Mapping[str, Any], events: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, int]:
    """How many connections and requests of a run of `connections` each endpoint has; who has none is not there."""
    return dict(Counter(connections(front, events, **more)))


def connection_shares(
    front: Mapping[str, Any],
    connection: Mapping[str, Any],
    kube_proxy: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    horizon: Any = "next",
    node: str = "",
    inside: Sequence[str] = (),
) -> dict[str, str] | None:
    """The share of each endpoint (`none` for nobody), in lowest terms. None where there is no exact answer."""
    proxy = _proxy(front, kube_proxy or {}, node, inside)
    asked = msgspec.convert({"port": 80, **connection}, mr.Connection)
    try:
        got = proxy.shares(asked, msgspec.convert(state or {}, mr.State), horizon=horizon)
    except mr.InexactError:
        return None
    return {str(key or "none"): str(share) for key, share in sorted(got.by_endpoint.items(), key=str)}


def connection_ends(
    front: Mapping[str, Any],
    connections: Mapping[str, Mapping[str, Any]],
    kube_proxy: Mapping[str, Any] | None = None,
    node: str = "",
    inside: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Where each of these connections can go, in order, or why it goes nowhere. Raises ValueError where the chances
    differ by more than the kernel's numbers round off."""
    proxy = _proxy(front, kube_proxy or {}, node, inside)
    ends: dict[str, list[str]] = {}
    for name, fields in connections.items():
        got = proxy.shares(msgspec.convert({"port": 80, **fields}, mr.Connection))
        failed = [one.details for one in got.by_outcome if isinstance(one, mr.Failed)]
        ends[name] = [*sorted(str(key) for key in got.by_endpoint if key is not None), *failed]
        share = Fraction(1, len(ends[name]))
        if any(abs(one - share) > Fraction(1, 2**31) for one in got.by_endpoint.values()):
            raise ValueError(f"endpoints of `{name}` have different chances")
    return ends


# IPVS


def _servers(weights: Sequence[int]) -> list[ipvs.Server]:
    return [
        ipvs.Server(f"10.0.0.{number + 1}", 80, EndpointKey(f"10.0.0.{number + 1}:80"), weight, weight)
        for number, weight in enumerate(weights)
    ]


def ipvs_turns(
    scheduler: Scheduler, weights: Sequence[int], picks: int, mark: Mapping[str, Any] | None = None
) -> list[int | None]:
    """The servers of a run of new connections, none of which is closed."""
    servers, active, found = _servers(weights), dict[EndpointKey, int](), list[int | None]()
    at = msgspec.convert(mark or {}, Mark)
    for _ in range(picks):
        choice = ipvs.schedule(scheduler, ipvs.Ask(servers, mark=at, active=active))
        at = choice.mark or at
        if choice.index is not None:
            key = servers[choice.index].key
            active[key] = active.get(key, 0) + 1
        found.append(choice.index)
    return found


def ipvs_choice(
    scheduler: Scheduler,
    weights: Sequence[int],
    active: Sequence[int] = (),
    inactive: Sequence[int] = (),
    mark: Mapping[str, Any] | None = None,
    now: int = 0,
    source: str = "10.9.9.9",
    port: int = 0,
    destination: str = "10.96.0.1",
) -> dict[str, Any]:
    """The server of one new connection, and where the scheduler stands then."""
    servers = _servers(weights)
    busy, quiet = ({one.key: count for one, count in zip(servers, some, strict=False)} for some in (active, inactive))
    ends = ipvs.folded(source), port, ipvs.folded(destination)
    asked = ipvs.Ask(servers, *ends, msgspec.convert(mark or {}, Mark), busy, quiet, now)
    choice = ipvs.schedule(scheduler, asked)
    return {"server": choice.index, "mark": msgspec.to_builtins(choice.mark)}


def maglev_slots(servers: Sequence[str], first: int = 12) -> dict[str, Any]:
    """The walks of servers of weight 1, how many slots each has, and the owners of the first."""
    made = [ipvs.Server(one.rpartition(":")[0], int(one.rpartition(":")[2]), EndpointKey(one)) for one in servers]
    slots = ipvs.maglev_table(made)
    return {
        "walks": [list(ipvs.walk_of(one.address, one.port)) for one in made],
        "counts": [slots.count(number) for number in range(len(made))],
        "first": list(slots[:first]),
    }


def maglev_moved(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """Of the slots whose owner is still there, how many have another one then; and how many there are."""
    was, now = (
        [
            some[owner]
            for owner in ipvs.maglev_table(
                [ipvs.Server(one.rpartition(":")[0], int(one.rpartition(":")[2]), EndpointKey(one)) for one in some]
            )
        ]
        for some in (before, after)
    )
    stay = [(old, new) for old, new in zip(was, now, strict=True) if old in after]
    return [sum(old != new for old, new in stay), len(stay)]


FUNCTIONS: Mapping[str, Any] = {
    "ladder_pick": ladder_pick,
    "ladder_threshold": lambda left, digits=10: [threshold(left, digits), printed(left, digits)],
    "ladder_shares": lambda size, digits=10: [str(one) for one in ladder_chances(size, digits)],
    "map_picks": map_picks,
    "map_shares": lambda size: [str(one) for one in mapped_chances(size)],
    "idle_endpoints": idle_endpoints,
    "usable_endpoints": usable_endpoints,
    "service_endpoints": service_endpoints,
    "service_hints": service_hints,
    "zone_parts": zone_parts,
    "hint_moves": hint_moves,
    "hinted_zones": hinted_zones,
    "label_selector": label_selector,
    "service_connect": service_connect,
    "name_connect": name_connect,
    "name_targets": name_targets,
    "connections": connections,
    "service_session": service_session,
    "connection_counts": connection_counts,
    "connection_shares": connection_shares,
    "connection_ends": connection_ends,
    "kube_chain": lambda kind, service, protocol="TCP", endpoint="": chain_name(kind, service, protocol, endpoint),
    "ipvs_turns": ipvs_turns,
    "ipvs_choice": ipvs_choice,
    "ipvs_bucket": lambda address: ipvs.bucket_of(ipvs.folded(address)),
    "ipvs_buckets": lambda weights: [ipvs.source_buckets(weights).count(number) for number in range(len(weights))],
    "maglev_slots": maglev_slots,
    "maglev_slot": lambda address, port: ipvs.slot_of(ipvs.folded(address), port),
    "maglev_moved": maglev_moved,
    "half_siphash": lambda number, first, second: ipvs.keyed_hash(number, first, second),
}
"""By the names that vectors use."""
