"""kube-proxy's choice of an endpoint for one connection: rules of iptables, a map of nftables, turns in userspace.

Source    spec/kube-proxy.md KPROXY-1 to KPROXY-5, KPROXY-10, KPROXY-11, KPROXY-27; kubernetes/kubernetes:
          pkg/proxy/iptables/proxier.go, pkg/proxy/nftables/proxier.go, pkg/proxy/userspace/{roundrobin,proxysocket}.go;
          netfilter iptables: extensions/libxt_statistic.c; torvalds/linux: net/netfilter/{xt_statistic,nft_numgen,
          xt_recent}.c
Inputs    how many endpoints there are, in kube-proxy's order, and draws: of each, the low 32 bits are the kernel's.
Exactness thresholds are those that the kernel compares with, after the text of the rule has lost its digits.
Errors    ValueError for a mode or a scheduler that does not exist.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from meshroute.draws import NUMGEN, Drawn, rule_of_ladder
from meshroute.names import EndpointKey
from meshroute.state import State

Mode: TypeAlias = Literal["iptables", "nftables", "ipvs", "userspace"]
Scheduler: TypeAlias = Literal["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
SCHEDULERS: Final[tuple[Scheduler, ...]] = get_args(Scheduler)

LIST_SIZE: Final = 100
"""How many clients a list of xt_recent holds (`ip_list_tot`)."""
DIAL_TIMEOUTS: Final = (250, 500, 1000, 2000)
"""For how many milliseconds userspace waits for an endpoint, dial by dial; there are no more dials than that."""
_WORD: Final = 2**32
_HALF: Final = 2**31


class KubeProxy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How kube-proxy runs on a node.

    `scheduler` is that of IPVS. `digits` is how many decimals the probabilities of iptables rules are printed with:
    10, or 5 in old releases. `order` is the order of the endpoints where kube-proxy leaves it to chance: the real
    servers as `ipvsadm -Ln` lists them, or the shuffled list of userspace. Whom it does not name comes behind, in
    kube-proxy's own order; whom it names and who is no endpoint any more is draining in IPVS, and nobody elsewhere.
    """

    mode: Mode = "iptables"
    scheduler: Scheduler = "rr"
    digits: Literal[5, 10] = 10
    order: tuple[EndpointKey, ...] = ()

    def __post_init__(self) -> None:
        for kind, value, known in (("mode", self.mode, MODES), ("scheduler", self.scheduler, SCHEDULERS)):
            if value not in known:
                raise ValueError(f"{kind} `{value}` of kube-proxy is not one of {', '.join(known)}")
        if self.digits not in (5, 10):
            raise ValueError(f"probabilities are printed with 5 or 10 digits, got {self.digits}")

    @staticmethod
    def parse(text: str) -> KubeProxy:
        """A setting from `MODE`, or `ipvs:SCHEDULER`. Raises ValueError.

        >>> KubeProxy.parse("ipvs:wlc").scheduler
        'wlc'
        """
        mode, colon, scheduler = text.partition(":")
        if colon and mode != "ipvs":
            raise ValueError(f"mode `{mode}` of kube-proxy has no schedulers: `{text}` is no setting")
        return msgspec.structs.replace(KubeProxy(), mode=mode, scheduler=scheduler if colon else "rr")

    def __str__(self) -> str:
        return f"ipvs:{self.scheduler}" if self.mode == "ipvs" else self.mode


class LadderRule(NamedTuple):
    """A rule that was asked: its number, what was drawn, below what it takes the connection, and whether it did."""

    number: int
    drawn: int
    threshold: int
    taken: bool


@cache
def threshold(left: int, digits: int = 10) -> int:
    """Below which number of 2^31 the rule takes a connection that is before `left` endpoints.

    >>> threshold(3), threshold(3, 5)
    (715827883, 715820724)
    """
    printed = f"{1 / left:.{digits}f}"
    # lround(2^31 * p) of libxt_statistic: the product is exact in a double, and halves go away from zero.
    return int(Fraction(float(printed)) * _HALF + Fraction(1, 2))


def printed(left: int, digits: int = 10) -> str:
    """The rule's probability as `iptables-save` shows it.

    >>> printed(3)
    '0.33333333349'
    """
    return f"{threshold(left, digits) / _HALF:.11f}"


def ladder(size: int, draws: Drawn, digits: int = 10, asked: list[LadderRule] | None = None) -> int:
    """The endpoint that iptables chooses among `size`: the rules one after the other, each with a draw of its own."""
    for number in range(size - 1):
        drawn, below = draws[rule_of_ladder(number)] & (_HALF - 1), threshold(size - number, digits)
        if asked is not None:
            asked.append(LadderRule(number, drawn, below, drawn < below))
        if drawn < below:
            return number
    return size - 1


def ladder_chances(size: int, digits: int = 10) -> tuple[Fraction, ...]:
    """The exact chance of each endpoint under `ladder`."""
    left, chances = Fraction(1), list[Fraction]()
    for number in range(size - 1):
        taken = Fraction(threshold(size - number, digits), _HALF)
        chances.append(left * taken)
        left *= 1 - taken
    return (*chances, left)


def mapped(size: int, draws: Drawn) -> int:
    """The endpoint that the map of nftables has for the number drawn: a product, of which the upper half counts."""
    return ((draws[NUMGEN] & (_WORD - 1)) * size) >> 32


def mapped_chances(size: int) -> tuple[Fraction, ...]:
    """The exact chance of each endpoint under `mapped`: how many of 2^32 numbers fall to it."""
    bounds = [-(-number * _WORD // size) for number in range(size + 1)]
    return tuple(Fraction(high - low, _WORD) for low, high in pairwise(bounds))


def kept(
    lists: Mapping[EndpointKey, Mapping[str, int]],
    endpoints: Sequence[EndpointKey],
    client: str,
    now: int,
    seconds: int,
    mode: Mode,
) -> int | None:
    """Whose list has the client and saw it recently enough: the first in order; None for nobody's.

    A list of iptables has it until its time is over, one of nftables until its time has come; userspace counts whole
    seconds.
    """
    for number, endpoint in enumerate(endpoints):
        clients = lists.get(endpoint)
        seen = clients.get(client) if clients else None
        if seen is None:
            continue
        idle = now - seen
        if idle <= seconds * 1000 if mode == "iptables" else idle < seconds * 1000:
            return number
    return None


def in_order(endpoints: Sequence[EndpointKey], order: Sequence[EndpointKey]) -> list[EndpointKey]:
    """Endpoints by an order that is given, those that it does not name behind; and those alone that there are."""
    known = dict.fromkeys(endpoints)
    named = [one for one in dict.fromkeys(order) if one in known]
    return [*named, *(one for one in known if one not in set(named))]


def turns_of(state: State, source: str, size: int) -> int:
    """Whose turn it is in userspace, where the list was as it is since the last change."""
    return state.turns.get(source, 0) % size


def chain_name(kind: str, service_port: str, protocol: str, endpoint: str = "") -> str:
    """The name of a chain of iptables.

    >>> chain_name("SVC", "ns1/svc1", "TCP"), chain_name("SEP", "ns1/svc1", "TCP", "10.0.1.1:80")
    ('KUBE-SVC-AQI2S6QIMU7PVVRP', 'KUBE-SEP-3JOIVZTXZZRGORX4')
    """
    digest = sha256(f"{service_port}{protocol.lower()}{endpoint}".encode()).digest()
    return f"KUBE-{kind}-{b32encode(digest).decode()[:16]}"
