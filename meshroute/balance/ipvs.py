"""IPVS: which real server a scheduler gives a new connection.

Source    spec/kube-proxy.md KPROXY-12 to KPROXY-17; torvalds/linux: include/linux/hash.h, lib/siphash.c,
          net/netfilter/ipvs/ip_vs_{rr,wrr,lc,wlc,sed,nq,sh,dh,lblc,lblcr,mh}.c
Inputs    the real servers in the kernel's order with their weights, the connections that each has, where the
          scheduler stands, the ends of the connection. A server of weight 0 is draining: it gets nothing new.
Exactness integers as the kernel has them; of equals, the earlier in the list.
Errors    none. None where no server can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from math import gcd
from typing import Final, NamedTuple

import msgspec

from meshroute.balance.kube_proxy import Scheduler
from meshroute.names import EndpointKey
from meshroute.state import Mark

BUCKETS: Final = 256
"""Of source and destination hashing."""
SLOTS: Final = 4093
"""Of Maglev (`CONFIG_IP_VS_MH_TAB_INDEX` 12)."""
CACHED: Final = 24 * 60 * 60 * 1000
"""How many milliseconds lblc and lblcr remember a destination that nobody asks for, and lblcr leaves its servers be."""
_TABLE_BITS: Final = 6
_GOLDEN_RATIO: Final = 0x61C88647
_FIRST_KEY: Final = 2654435761
_SECOND_KEY: Final = 2654446892
_MASK32: Final = 2**32 - 1
_MASK64: Final = 2**64 - 1
_NONE: Final[Mapping[EndpointKey, int]] = {}


class Server(msgspec.Struct, frozen=True, gc=False):
    """A real server: its address, its port, its weight; 0 while it is draining, which it had `last_weight` before."""

    address: str
    port: int
    key: EndpointKey
    weight: int = 1
    last_weight: int = 1


class Ask(NamedTuple):
    """What a scheduler may look at. `source` is the number that stands for the client's address, `port` its port (0
    where it is not hashed), `destination` the number of the address that it connects to."""

    servers: Sequence[Server]
    source: int = 0
    port: int = 0
    destination: int = 0
    mark: Mark = Mark()
    active: Mapping[EndpointKey, int] = _NONE
    inactive: Mapping[EndpointKey, int] = _NONE
    now: int = 0


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The server by its number, None for none; where the scheduler stands then, None where that does not matter; and
    how it came to be, in a few words."""

    index: int | None
    mark: Mark | None
    how: str


NOBODY: Final = Choice(None, None, "no server can be chosen")


def schedule(scheduler: Scheduler, ask: Ask) -> Choice:
    """The scheduler's choice for a new connection."""
    return _SCHEDULERS[scheduler](ask)


def _found(index: int | None, how: str) -> Choice:
    return NOBODY if index is None else Choice(index, None, how)


# Turns


def _place(ask: Ask) -> int:
    """The number of the server that was chosen last; -1, before the first, where there was none or it is gone."""
    if ask.mark.last:
        for number, one in enumerate(ask.servers):
            if one.key == ask.mark.last[0]:
                return number
    return -1


def _rr(ask: Ask) -> Choice:
    size, last = len(ask.servers), _place(ask)
    for step in range(1, size + 1):
        index = (last + step) % size
        if ask.servers[index].weight > 0:
            return Choice(index, Mark((ask.servers[index].key,)), f"server {index + 1} of {size} in turn")
    return NOBODY


def common_divisor(servers: Sequence[Server]) -> int:
    """What all weights above 0 are multiples of; 1 where there is none."""
    return gcd(*(one.weight for one in servers)) or 1


def _wrr(ask: Ask) -> Choice:
    step = common_divisor(ask.servers)
    most = max((one.weight for one in ask.servers), default=0) - (step - 1)
    if most <= 0:
        return NOBODY
    at, wanted = _place(ask), ask.mark.weight
    if not 0 < wanted <= most:
        wanted = most
    while True:  # ends: with `wanted` at 1, whoever is heaviest is taken
        for index in range(at + 1, len(ask.servers)):
            one = ask.servers[index]
            if one.weight >= wanted:
                return Choice(index, Mark((one.key,), wanted), f"next in turn of weight {wanted} or more")
        at, wanted = -1, wanted - step
        if wanted <= 0:
            wanted = most


# Connections


def overhead(ask: Ask, one: Server) -> int:
    """What a server's connections count: 256 for an active one, 1 for one that is closing."""
    return 256 * ask.active.get(one.key, 0) + ask.inactive.get(one.key, 0)


def _least(ask: Ask, servers: Sequence[int], load: Callable[[Server], int], *, weighted: bool = True) -> int | None:
    """The server with the least load by weight, of these; of equals the first."""
    best: int | None = None
    for index in servers:
        one = ask.servers[index]
        if one.weight <= 0:
            continue
        if best is not None:
            least = ask.servers[best]
            mine, other = (one.weight, least.weight) if weighted else (1, 1)
            if load(least) * mine <= load(one) * other:
                continue
        best = index
    return best


def _lc(ask: Ask) -> Choice:
    index = _least(ask, range(len(ask.servers)), lambda one: overhead(ask, one), weighted=False)
    return _found(index, "fewest connections")


def _lightest(ask: Ask) -> int | None:
    return _least(ask, range(len(ask.servers)), lambda one: overhead(ask, one))


def _wlc(ask: Ask) -> Choice:
    return _found(_lightest(ask), "fewest connections by weight")


def _sed(ask: Ask) -> Choice:
    index = _least(ask, range(len(ask.servers)), lambda one: ask.active.get(one.key, 0) + 1)
    return _found(index, "shortest expected delay")


def _nq(ask: Ask) -> Choice:
    for index, one in enumerate(ask.servers):
        if one.weight > 0 and not ask.active.get(one.key, 0):
            return Choice(index, None, "idle")
    return _sed(ask)


# By destination, from memory


def _is_overloaded(ask: Ask, one: Server) -> bool:
    """Whether a server has more connections than its weight, while another has less than half of its own."""
    return ask.active.get(one.key, 0) > one.weight and any(
        2 * ask.active.get(other.key, 0) < other.weight for other in ask.servers
    )


def _remembers(ask: Ask) -> bool:
    return bool(ask.mark.last) and ask.now - ask.mark.used < CACHED


def _lblc(ask: Ask) -> Choice:
    if _remembers(ask):
        index = _place(ask)
        if index >= 0 and ask.servers[index].weight > 0 and not _is_overloaded(ask, ask.servers[index]):
            return Choice(index, Mark(ask.mark.last, used=ask.now), "remembered for the destination")
    index_or_none = _lightest(ask)
    if index_or_none is None:
        return NOBODY
    mark = Mark((ask.servers[index_or_none].key,), used=ask.now)
    return Choice(index_or_none, mark, "fewest connections by weight, now remembered for the destination")


def _lblcr(ask: Ask) -> Choice:
    numbers = {one.key: number for number, one in enumerate(ask.servers)}
    kept, changed = list[EndpointKey](), ask.now
    index: int | None = None
    if _remembers(ask):
        kept, changed = list(ask.mark.last), ask.mark.changed
        present = [numbers[key] for key in kept if key in numbers]
        index = _least(ask, present, lambda one: overhead(ask, one))
        if len(kept) > 1 and ask.now - changed > CACHED:
            busiest = _most(ask, present)
            if busiest is not None:
                kept.remove(ask.servers[busiest].key)
                changed = ask.now
        if index is not None and not _is_overloaded(ask, ask.servers[index]):
            return Choice(index, Mark(tuple(kept), 0, ask.now, changed), "fewest of those kept for the destination")
    index = _lightest(ask)
    if index is None:
        return NOBODY
    key = ask.servers[index].key
    if key not in kept:
        kept, changed = [key, *kept], ask.now
    mark = Mark(tuple(kept), 0, ask.now, changed)
    return Choice(index, mark, "fewest connections by weight, now one of those kept for the destination")


def _most(ask: Ask, servers: Sequence[int]) -> int | None:
    """The server with the most load by weight; of equals the first."""
    worst: int | None = None
    for index in servers:
        one = ask.servers[index]
        if one.weight <= 0:
            continue
        if worst is not None:
            most = ask.servers[worst]
            if overhead(ask, most) * one.weight >= overhead(ask, one) * most.weight:
                continue
        worst = index
    return worst


# Hashing


def folded(address: str) -> int:
    """An address as a number of 32 bits: an IPv6 address is its four parts, one XORed with the other.

    >>> folded("10.0.0.1"), folded("fd00::1") == 0xfd000000 ^ 1
    (167772161, True)
    """
    number = ip_address(address)
    if isinstance(number, IPv4Address):
        return int(number)
    whole = int(number)
    return (whole ^ whole >> 32 ^ whole >> 64 ^ whole >> 96) & _MASK32


def bucket_of(number: int) -> int:
    """The bucket of a number of 32 bits: the upper eight bits of its product with the golden ratio.

    >>> bucket_of(folded("192.168.1.10"))
    248
    """
    return (number * _GOLDEN_RATIO & _MASK32) >> 24


def source_buckets(weights: Sequence[int]) -> tuple[int, ...]:
    """Whose bucket each is in source hashing: the servers in turn, each its weight times in a row, at least once."""
    owners: list[int] = []
    while weights and len(owners) < BUCKETS:
        for number, weight in enumerate(weights):
            owners += [number] * max(weight, 1)
    return tuple(owners[:BUCKETS])


def _sh(ask: Ask) -> Choice:
    bucket = bucket_of(ask.source)
    owners = source_buckets([one.weight for one in ask.servers])
    return _of_table(ask, owners[bucket] if owners else None, f"bucket {bucket} of the client's address")


def _dh(ask: Ask) -> Choice:
    bucket = bucket_of(ask.destination)
    index = bucket % len(ask.servers) if ask.servers else None
    return _of_table(ask, index, f"bucket {bucket} of the destination's address")


def _of_table(ask: Ask, index: int | None, how: str) -> Choice:
    """The owner of a bucket or slot. One that is draining still owns it, and what falls to it fails."""
    if index is None:
        return NOBODY
    if ask.servers[index].weight <= 0:
        return Choice(None, None, f"{how}, which is that of a draining server")
    return Choice(index, None, how)


def half_siphash(number: int, key: int) -> int:
    """The kernel's hsiphash of four bytes where words have 64 bits: SipHash-1-3 under (key, key), the low 32 bits."""
    return keyed_hash(number, key, key)


def keyed_hash(number: int, first: int, second: int) -> int:
    """The same under two words."""
    v0, v1 = 0x736F6D6570736575 ^ first, 0x646F72616E646F6D ^ second
    v2, v3 = 0x6C7967656E657261 ^ first, 0x7465646279746573 ^ second
    block = 4 << 56 | number
    v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ block)
    v0, v2 = v0 ^ block, v2 ^ 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return (v0 ^ v1 ^ v2 ^ v3) & _MASK32


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK64
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 = (v2 + v3) & _MASK64
    v3 = _rotated(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK64
    v3 = _rotated(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK64
    v1 = _rotated(v1, 17) ^ v2
    return v0, v1, _rotated(v2, 32), v3


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK64


def slot_of(number: int, port: int) -> int:
    """The Maglev slot of a client: only the sum of address and port counts.

    >>> slot_of(folded("192.168.1.10"), 40001) == slot_of(folded("192.168.1.11"), 40000) == 1264
    True
    """
    return half_siphash((number + port) & _MASK32, _FIRST_KEY) % SLOTS


def walk_of(address: str, port: int) -> tuple[int, int]:
    """Where a server begins in the Maglev table, and how far its steps are.

    >>> walk_of("10.244.0.5", 8080)
    (677, 3095)
    """
    number = (folded(address) + port) & _MASK32
    return half_siphash(number, _FIRST_KEY) % SLOTS, half_siphash(number, _SECOND_KEY) % (SLOTS - 1) + 1


def maglev_table(servers: Sequence[Server]) -> tuple[int, ...]:
    """Whose slot each is, by the servers' weights before they began to drain; empty where none had any."""
    return _table(tuple((one.address, one.port, one.last_weight) for one in servers))


@lru_cache(maxsize=64)
def _table(servers: tuple[tuple[str, int, int], ...]) -> tuple[int, ...]:
    divisor = gcd(*(weight for _, _, weight in servers))
    if not divisor:
        return ()
    shift = max(0, (max(weight for _, _, weight in servers) // divisor).bit_length() - _TABLE_BITS)
    walks = [walk_of(address, port) for address, port, _ in servers]
    turns = [((weight // divisor) >> shift) or int(weight != 0) for _, _, weight in servers]
    slots, left, at = [-1] * SLOTS, SLOTS, [begin for begin, _ in walks]
    while True:
        for number, (_, step) in enumerate(walks):
            for _ in range(turns[number]):
                while slots[at[number]] >= 0:
                    at[number] = (at[number] + step) % SLOTS
                slots[at[number]] = number
                left -= 1
                if not left:
                    return tuple(slots)


def _mh(ask: Ask) -> Choice:
    slot, owners = slot_of(ask.source, ask.port), maglev_table(ask.servers)
    return _of_table(ask, owners[slot] if owners else None, f"slot {slot} of the client's address and port")


_SCHEDULERS: Final[Mapping[Scheduler, Callable[[Ask], Choice]]] = {
    "rr": _rr,
    "wrr": _wrr,
    "lc": _lc,
    "wlc": _wlc,
    "lblc": _lblc,
    "lblcr": _lblcr,
    "sh": _sh,
    "dh": _dh,
    "sed": _sed,
    "nq": _nq,
    "mh": _mh,
}
