"""Connections to Services: spec/kube-proxy.md. Choices are held to counting, enumeration and plain searches."""

from __future__ import annotations

import hashlib
import math
import struct
from base64 import b32encode
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import (
    Connected,
    Connection,
    Draws,
    Forwarded,
    InexactError,
    KubeProxy,
    Mesh,
    RequestError,
    Router,
    ServiceProxy,
    ServiceSession,
    State,
    StateError,
    loads,
)
from meshroute.balance import ipvs
from meshroute.balance.kube_proxy import (
    LIST_SIZE,
    MODES,
    SCHEDULERS,
    Mode,
    Scheduler,
    chain_name,
    ladder,
    ladder_chances,
    mapped,
    mapped_chances,
    threshold,
)
from meshroute.balance.usable import usable
from meshroute.compile.proportional import Capacity, capacity_of, hinted, moves_of
from meshroute.decision import DROPPED, NO_ADDRESS, NOT_DIALED, REJECTED, UNMATCHED
from meshroute.draws import NUMGEN, rule_of_ladder
from meshroute.manifest import Node
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import (
    EXTENSION,
    AffinityHeld,
    Forgotten,
    Lingered,
    Mark,
    Persisted,
    Released,
    RequestStarted,
    TimePassed,
)
from meshroute.table import Endpoint, RoutingTable
from meshroute.table.front import Backend, Front, FrontPort
from meshroute.trace import AddressesTold, DialFailed

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
sizes = st.integers(1, 12)
modes: st.SearchStrategy[Mode] = st.sampled_from(MODES)
schedulers: st.SearchStrategy[Scheduler] = st.sampled_from(SCHEDULERS)
settings: st.SearchStrategy[KubeProxy] = st.builds(KubeProxy, modes, schedulers)
clients = st.integers(1, 250).map(lambda number: f"10.9.0.{number}")
addresses = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)


def backend(number: int, **fields: Any) -> Backend:
    return Backend(Endpoint(f"10.0.0.{number + 1}", 80, f"ns/pod-{number}"), **fields)


def in_order(backends: Sequence[Backend]) -> tuple[Backend, ...]:
    return tuple(sorted(backends, key=lambda one: one.endpoint.key.encode()))


def front(backends: int | Sequence[Backend], **fields: Any) -> Front:
    some = [backend(number) for number in range(backends)] if isinstance(backends, int) else backends
    port = FrontPort(80, node_port=fields.pop("node_port", 0), protocol=fields.pop("protocol", "TCP"))
    return Front("ns/svc", (replace(port, backends={"IPv4": in_order(some)}),), **fields)


def proxy(
    backends: int | Sequence[Backend],
    kube_proxy: KubeProxy = KubeProxy(),  # noqa: B008 - a frozen value
    node: str = "",
    zone: str = "",
    inside: frozenset[str] = frozenset(),
    **fields: Any,
) -> ServiceProxy:
    return ServiceProxy(front(backends, **fields), kube_proxy, node, zone, inside)


def client(source_ip: str = "10.9.0.1", source_port: int = 4000, port: int = 80) -> Connection:
    return Connection(port, source_ip=source_ip, source_port=source_port)


def key(connected: Connected) -> str:
    assert connected.endpoint is not None
    return connected.endpoint.key


flags = st.fixed_dictionaries(
    {
        "node": st.sampled_from(("", "n1", "n2")),
        "for_zones": st.sampled_from(((), ("z1",), ("z2",), ("z1", "z2"))),
        "for_nodes": st.sampled_from(((), ("n1",), ("n2",))),
        "ready": st.booleans(),
        "serving": st.booleans(),
        "terminating": st.booleans(),
    }
)


@st.composite
def some_backends(draw: st.DrawFn) -> tuple[Backend, ...]:
    """Endpoints in kube-proxy's order; hints are those of nobody, or of everybody, more often than by chance."""
    fields = draw(st.lists(flags, max_size=8))
    hinted = draw(st.sampled_from(("any", "none", "zones", "both")))
    found = []
    for number, one in enumerate(fields):
        zones = one["for_zones"] or ("z1",) if hinted in ("zones", "both") else one["for_zones"]
        nodes = one["for_nodes"] or ("n2",) if hinted == "both" else one["for_nodes"]
        if hinted == "none":
            zones = nodes = ()
        found.append(backend(number, **{**one, "for_zones": zones, "for_nodes": nodes}))
    return in_order(found)


class TestKproxy1TheConnection:
    """KPROXY-1: one choice for each connection, by its ends, the state and the draws; nothing else moves it."""

    @given(settings, sizes, clients, U64, st.lists(clients, max_size=4))
    def test_the_same_question_has_the_same_answer(
        self, setting: KubeProxy, size: int, source: str, seed: int, before: list[str]
    ) -> None:
        """Whatever else was asked in between, and whether the steps are told or not."""
        asked = proxy(size, setting, affinity=10)
        state = State()
        for number, one in enumerate(before):
            state = state.after(asked.connect(client(one), state, Draws.of(seed, number)).effects)
        once = asked.connect(client(source), state, Draws.of(seed, 99))
        asked.connect(client("10.9.1.1"), state, Draws.of(seed, 100))
        again = asked.connect(client(source), state, Draws.of(seed, 99), explain=True)
        assert replace(again, trace=()) == once
        assert again.trace

    @given(settings, st.lists(clients, max_size=6), U64)
    def test_a_connection_that_ends_leaves_nobody_active(
        self, setting: KubeProxy, sources: list[str], seed: int
    ) -> None:
        """Nor closing, whichever way it ends."""
        asked, state, open_ = proxy(3, setting, affinity=10), State(), []
        for number, one in enumerate(sources):
            open_.append(asked.connect(client(one), state, Draws.of(seed, number)))
            state = state.after(open_[-1].effects)
        assert sum(sum(some.values()) for some in state.active.values()) == len(sources)
        for number, connected in enumerate(open_):
            if number % 2:
                state = state.after(connected.finished())
            else:
                state = state.after((*connected.closing(), *connected.forgotten()))
        assert (state.active, state.inactive) == ({}, {})
        assert all(not one.open for some in state.persisted.values() for one in some.values())

    def test_a_proxy_is_asked_about_tcp_alone(self) -> None:
        """And a connection has one of three protocols, and ports that there are."""
        with pytest.raises(ValueError, match="proxies take TCP"):
            Router(RoutingTable((), ())).connect(Connection(53, protocol="UDP"))
        with pytest.raises(RequestError, match="protocol `tcp` is not one of TCP, UDP, SCTP"):
            Connection(53, protocol="tcp")
        with pytest.raises(RequestError, match="port 65536 of the client"):
            Connection(53, source_port=65536)


SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{endpoints}]
---
"""
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}\n---\n"


class TestKproxy2Order:
    """KPROXY-2: endpoints are in the order of the bytes of `ip:port`, each once, whatever the order of the input."""

    @given(st.data(), st.lists(st.tuples(st.integers(1, 130), st.booleans()), min_size=1, max_size=8))
    def test_order_of_input_does_not_count(self, data: st.DataObject, some: list[tuple[int, bool]]) -> None:
        """Endpoints spread over slices; one that is there twice is the one that stays, if one of them does."""
        slices = [
            SLICE.format(
                name=f"s{number}",
                port=80,
                endpoints=f"{{addresses: [10.0.0.{last}], conditions: {{terminating: {str(leaves).lower()}}}}}",
            )
            for number, (last, leaves) in enumerate(some)
        ]
        listed = [
            loads(SERVICE + "".join(order)).service("web").front.ports[0].backends["IPv4"]
            for order in (slices, data.draw(st.permutations(slices)))
        ]
        assert listed[0] == listed[1]
        keys = [one.endpoint.key for one in listed[0]]
        assert keys == sorted({f"10.0.0.{last}:80" for last, _ in some}, key=lambda one: one.encode())
        for one in listed[0]:
            of_it = [leaves for last, leaves in some if one.endpoint.address == f"10.0.0.{last}"]
            assert one.terminating == all(of_it)


class TestKproxy3Ladder:
    """KPROXY-3: the rules of iptables are asked in order, each with its own draw, until one takes the connection."""

    @given(st.integers(1, 30), st.lists(U64, min_size=29, max_size=29))
    def test_the_first_rule_whose_draw_is_below_its_threshold(self, size: int, words: list[int]) -> None:
        """Found by looking at all of them."""
        draws = Draws.of(given={rule_of_ladder(number): word for number, word in enumerate(words)})
        taking = [i for i in range(size - 1) if words[i] % 2**31 < threshold(size - i)]
        assert ladder(size, draws) == min(taking, default=size - 1)

    @given(st.integers(2, 30), st.data())
    def test_draws_behind_the_rule_that_takes_it_do_not_count(self, size: int, data: st.DataObject) -> None:
        """And neither do bits above the low 31."""
        number = data.draw(st.integers(0, size - 2))
        high = data.draw(st.integers(0, 2**33 - 1)) << 31
        given_ = {rule_of_ladder(i): 2**31 - 1 for i in range(number)} | {rule_of_ladder(number): high}
        others = data.draw(st.lists(U64, min_size=size, max_size=size))
        behind = {rule_of_ladder(i): word for i, word in enumerate(others) if i > number}
        assert ladder(size, Draws.of(given=given_ | behind)) == number


class TestKproxy4Precision:
    """KPROXY-4: a threshold is the printed probability times 2^31; the chances of all endpoints sum to exactly one."""

    @given(st.integers(2, 5000), st.sampled_from((5, 10)))
    def test_the_threshold_is_that_of_the_printed_number(self, left: int, digits: int) -> None:
        """The printed number is the decimal next to 1/k, and the threshold the integer next to it."""
        whole = Fraction(1, left) * 10**digits
        text = Fraction(int(whole + Fraction(1, 2)), 10**digits)
        assert abs(threshold(left, digits) - text * 2**31) <= Fraction(1, 2)

    @given(st.integers(1, 60), st.sampled_from((5, 10)))
    def test_chances_sum_to_one_and_are_fractions_of_the_draws(self, size: int, digits: int) -> None:
        """Endpoint i has the part of (2^31)^n draws that the rules before it leave."""
        chances = ladder_chances(size, digits)
        assert sum(chances) == 1
        for number, chance in enumerate(chances):
            ways = 1
            for i in range(number):
                ways *= 2**31 - threshold(size - i, digits)
            if number < size - 1:
                ways *= threshold(size - number, digits)
            assert chance == Fraction(ways, 2 ** (31 * min(number + 1, size - 1)))

    @given(st.integers(1, 10))
    def test_ten_digits_are_next_to_equal(self, size: int) -> None:
        """As measured: within two of ten thousand million; five digits are not."""
        assert all(abs(one - Fraction(1, size)) < Fraction(2, 10**10) for one in ladder_chances(size))
        if size in (3, 6, 7, 9):
            assert max(abs(one - Fraction(1, size)) for one in ladder_chances(size, 5)) > Fraction(1, 10**6)


class TestKproxy5Map:
    """KPROXY-5: nftables takes endpoint floor(w n / 2^32) for the low 32 bits of the draw."""

    @given(st.integers(1, 300), U64)
    def test_the_slot_of_a_word(self, size: int, word: int) -> None:
        """Slot k is the words from k/n of 2^32 on."""
        slot, part = mapped(size, Draws.of(given={NUMGEN: word})), Fraction(word % 2**32, 2**32)
        assert Fraction(slot, size) <= part < Fraction(slot + 1, size)

    @given(st.integers(1, 300))
    def test_chances_count_the_words(self, size: int) -> None:
        """At each bound of a slot the next word is in the next slot, and all words are counted."""
        chances, low = mapped_chances(size), 0
        for slot, chance in enumerate(chances):
            assert mapped(size, Draws.of(given={NUMGEN: low})) == slot
            low += int(chance * 2**32)
            assert mapped(size, Draws.of(given={NUMGEN: low - 1})) == slot
        assert low == 2**32


policies = st.fixed_dictionaries({"internal_local": st.booleans(), "external_local": st.booleans()})


class TestKproxy6Policies:
    """KPROXY-6: a policy never lets a connection go to an endpoint that it excludes."""

    @given(some_backends(), policies, st.sampled_from(("n1", "n2", "")), st.booleans(), settings, st.booleans(), U64)
    def test_local_stays_on_the_node(
        self,
        backends: tuple[Backend, ...],
        policy: dict[str, Any],
        node: str,
        outside: bool,
        setting: KubeProxy,
        inside: bool,
        seed: int,
    ) -> None:
        """Unless the client is inside, or the mode is IPVS and nobody is here, or it is userspace, without policies."""
        source = "10.0.0.1" if inside else "198.51.100.1"
        asked = proxy(backends, setting, node, inside=frozenset({"10.0.0.1"}), node_port=30080, opened=True, **policy)
        connection = client(source, port=30080 if outside else 80)
        got = asked.connect(connection, draws=Draws.of(seed))
        local = policy["external_local"] if outside else policy["internal_local"]
        if got.endpoint is None or not local or setting.mode == "userspace":
            return
        chosen = next(one for one in backends if one.endpoint == got.endpoint)
        here = bool(node) and chosen.node == node
        nobody = not any(
            node and one.node == node and (one.ready or (one.serving and one.terminating)) for one in backends
        )
        short = outside and inside and setting.mode != "ipvs"
        assert here or short or (setting.mode == "ipvs" and nobody)

    @given(some_backends(), policies, st.sampled_from(("n1", "n2", "")), st.booleans())
    def test_lists_are_made_where_traffic_asks_for_them(
        self, backends: tuple[Backend, ...], policy: dict[str, Any], node: str, outside: bool
    ) -> None:
        """And no others; each keeps the order."""
        got = usable(backends, node, "", from_outside=outside, **policy)
        assert (got.cluster is not None) == (outside or not policy["internal_local"])
        assert (got.local is not None) == (policy["internal_local"] or (outside and policy["external_local"]))
        for some in (got.cluster or (), got.local or (), got.union()):
            assert tuple(some) == in_order(some)


class TestKproxy7Hints:
    """KPROXY-7: hints for the node, else for the zone, narrow the cluster's list where all who are ready have them."""

    @given(some_backends(), st.sampled_from(("n1", "n2", "n9")), st.sampled_from(("", "z1", "z2", "z9")))
    def test_who_is_left(self, backends: tuple[Backend, ...], node: str, zone: str) -> None:
        """Found by asking for each way in turn whether it leaves somebody and leaves nobody without a hint."""
        ready = [one for one in backends if one.ready]
        got = usable(backends, node, zone).cluster
        for hints, mine in (("for_nodes", node), ("for_zones", zone)):
            for_me = tuple(one for one in ready if mine in getattr(one, hints))
            if for_me and all(getattr(one, hints) for one in ready):
                assert got == for_me
                return
        if ready:
            assert got == tuple(ready)

    @given(some_backends(), st.sampled_from(("z1", "z2")))
    def test_a_ready_endpoint_without_hints_turns_them_off(self, backends: tuple[Backend, ...], zone: str) -> None:
        """One without, and everybody who is ready is asked."""
        more = in_order([*backends, backend(200)])
        assert usable(more, "n1", zone).cluster == tuple(one for one in more if one.ready)


class TestKproxy8Terminating:
    """KPROXY-8: only where nobody is ready are those asked that are going away and serve; others never."""

    @given(some_backends(), policies, st.sampled_from(("n1", "n2", "")), st.sampled_from(("", "z1")))
    def test_who_is_in_a_list(
        self, backends: tuple[Backend, ...], policy: dict[str, Any], node: str, zone: str
    ) -> None:
        """All ready, or none ready and all going away and serving."""
        got = usable(backends, node, zone, from_outside=True, **policy)
        for some, of in ((got.cluster, backends), (got.local, [one for one in backends if node and one.node == node])):
            if some is None:
                continue
            if any(one.ready for one in of):
                assert some
                assert all(one.ready for one in some)
            else:
                assert list(some) == [one for one in of if one.serving and one.terminating]


class TestKproxy9Nobody:
    """KPROXY-9: without an endpoint nothing is forwarded: rejected, or dropped where another node has somebody."""

    @given(settings, U64, some_backends())
    def test_nobody_ready_and_nobody_serving_is_rejected(
        self, setting: KubeProxy, seed: int, backends: tuple[Backend, ...]
    ) -> None:
        """In every mode, by every draw; nothing is remembered of it."""
        gone = [replace(one, ready=False, serving=False) for one in backends]
        got = proxy(gone, setting, affinity=10).connect(client(), draws=Draws.of(seed))
        assert (got.outcome, got.endpoint, got.effects) == (REJECTED, None, ())

    @given(some_backends(), st.sampled_from(("n1", "n2")), policies)
    def test_dropped_means_that_another_node_could(
        self, backends: tuple[Backend, ...], node: str, policy: dict[str, Any]
    ) -> None:
        """And rejected that none could."""
        got = proxy(backends, node=node, **policy).connect(client())
        could = any(one.ready or (one.serving and one.terminating) for one in backends)
        if got.outcome == DROPPED:
            assert could
            assert policy["internal_local"]
        elif got.outcome == REJECTED:
            assert not could
        else:
            assert got.outcome == Forwarded()

    @given(some_backends(), schedulers)
    def test_ipvs_drops_nothing(self, backends: tuple[Backend, ...], scheduler: Scheduler) -> None:
        """It takes those of the cluster, or rejects."""
        asked = proxy(backends, KubeProxy("ipvs", scheduler), "n1", external_local=True, opened=True, node_port=30080)
        got = asked.connect(client(port=30080))
        assert got.outcome == (Forwarded() if asked.usable(asked.front.ports[0]).cluster else REJECTED)


class TestKproxy10Affinity:
    """KPROXY-10: a client keeps its endpoint while the timeout lasts since its last new connection, and not after."""

    @given(st.sampled_from(("iptables", "nftables")), st.integers(2, 6), st.integers(1, 100), st.data())
    def test_sticky_while_the_timeout_lasts_and_not_after(
        self, mode: Mode, size: int, timeout: int, data: st.DataObject
    ) -> None:
        """The first draw chooses endpoint 1, all others endpoint 0: who is kept shows."""
        asked, state, stays = proxy(size, KubeProxy(mode), affinity=timeout), State(), False
        other = Draws.of(given={rule_of_ladder(0): 2**31 - 1, rule_of_ladder(1): 0, NUMGEN: -(-(2**32) // size)})
        first = Draws.of(given={rule_of_ladder(0): 0, NUMGEN: 0})
        seen: tuple[int, str] | None = None
        at = 0
        for number in range(4):
            at += data.draw(st.integers(0, timeout * 2000) | st.sampled_from((timeout * 1000, timeout * 1000 - 1)))
            state = state.after([TimePassed(at)])
            got = asked.connect(client(), state, other if number == 0 else first)
            if seen is None:
                expected = "10.0.0.2:80"
            else:
                idle = at - seen[0]
                stays = idle <= timeout * 1000 if mode == "iptables" else idle < timeout * 1000
                expected = seen[1] if stays else "10.0.0.1:80"
                if not stays and mode == "iptables" and seen[1] == "10.0.0.2:80":
                    expected = "10.0.0.1:80"
            assert key(got) == expected
            seen = (at, key(got))
            state = state.after(got.effects)

    @given(st.integers(98, 103), st.lists(clients, max_size=30))
    def test_a_list_of_iptables_holds_a_hundred(self, number: int, more: list[str]) -> None:
        """Those seen last, in the order in which they were."""
        source, endpoint = "ns/svc/TCP", EndpointKey("10.0.0.1:80")
        sources = [f"10.9.0.{one}" for one in range(1, number + 1)] + more
        asked, state = proxy(1, affinity=10), State()
        for one in sources:
            state = state.after(asked.connect(client(one), state).effects)
        last = list(dict.fromkeys(reversed(sources)))[:LIST_SIZE]
        assert list(state.held[source][endpoint]) == last[::-1]
        copy = msgspec.json.decode(msgspec.json.encode(state), type=State)
        assert list(copy.held[source][endpoint]) == last[::-1]

    def test_of_two_lists_the_first_in_order_counts(self) -> None:
        """However long ago it saw the client, within the timeout; its own time alone is set."""
        held = {EndpointKey("10.0.0.1:80"): {"10.9.0.1": 0}, EndpointKey("10.0.0.2:80"): {"10.9.0.1": 900}}
        state = State(now=1000, held={"ns/svc/TCP": held})
        got = proxy(3, affinity=1).connect(client(), state)
        assert key(got) == "10.0.0.1:80"
        assert state.after(got.effects).held["ns/svc/TCP"] == {
            "10.0.0.1:80": {"10.9.0.1": 1000},
            "10.0.0.2:80": {"10.9.0.1": 900},
        }


class TestKproxy11Userspace:
    """KPROXY-11: userspace takes turns, fair within one; a kept client takes none, and one endpoint alone keeps it."""

    @given(sizes, st.integers(0, 40), st.randoms(use_true_random=False))
    def test_turns_are_fair_within_one(self, size: int, picks: int, random: Any) -> None:
        """In the order given."""
        order = [EndpointKey(f"10.0.0.{number + 1}:80") for number in range(size)]
        random.shuffle(order)
        asked, state, found = proxy(size, KubeProxy("userspace", order=tuple(order))), State(), []
        for _ in range(picks):
            got = asked.connect(client(), state)
            state = state.after((*got.effects, *got.finished()))
            found.append(key(got))
        assert found == [order[number % size] for number in range(picks)]

    @given(st.lists(st.tuples(clients, st.integers(0, 4000)), max_size=20))
    def test_a_client_is_in_one_list(self, some: list[tuple[str, int]]) -> None:
        """That of the endpoint that it went to last; it is kept below whole seconds of the timeout."""
        asked, state, last, at = proxy(3, KubeProxy("userspace"), affinity=3), State(), dict[str, tuple[str, int]](), 0
        for source, later in some:
            at += later
            state = state.after([TimePassed(at)])
            got = asked.connect(client(source), state)
            if source in last and (at - last[source][1]) // 1000 < 3:
                assert key(got) == last[source][0]
            state = state.after(got.effects)
            last[source] = key(got), at
            where = [one for one, seen in state.held["ns/svc/TCP"].items() if source in seen]
            assert where == [key(got)]


def servers(weights: Sequence[int]) -> list[ipvs.Server]:
    return [
        ipvs.Server(f"10.0.0.{number}", 80, EndpointKey(f"10.0.0.{number}:80"), weight, max(weight, 1))
        for number, weight in enumerate(weights)
    ]


weights = st.lists(st.integers(0, 8), min_size=1, max_size=6)


def run(scheduler: Scheduler, some: Sequence[int], picks: int, mark: Mark = Mark()) -> list[int | None]:  # noqa: B008
    found: list[int | None] = []
    active: dict[EndpointKey, int] = {}
    for _ in range(picks):
        choice = ipvs.schedule(scheduler, ipvs.Ask(servers(some), mark=mark, active=active))
        mark = choice.mark or mark
        if choice.index is not None:
            one = servers(some)[choice.index].key
            active[one] = active.get(one, 0) + 1
        found.append(choice.index)
    return found


class TestKproxy12Turns:
    """KPROXY-12: rr is fair within one among servers of weight above 0; virtual servers know nothing of one another."""

    @given(weights, st.integers(0, 40))
    def test_rr_is_fair_within_one(self, some: list[int], picks: int) -> None:
        """And goes round in the order of the list."""
        usable_ = [number for number, weight in enumerate(some) if weight]
        expected = [usable_[number % len(usable_)] for number in range(picks)] if usable_ else [None] * picks
        assert run("rr", some, picks) == expected

    @given(schedulers, st.lists(clients, max_size=8))
    def test_virtual_servers_are_apart(self, scheduler: Scheduler, others: list[str]) -> None:
        """Connections to one address change no choice at another."""
        asked = proxy(3, KubeProxy("ipvs", scheduler), addresses=("10.96.0.1",), outside=("192.0.2.1",), affinity=9)
        mine = replace(client(), destination_ip="192.0.2.1")
        state = State()
        for one in others:
            state = state.after(asked.connect(replace(client(one), destination_ip="10.96.0.1"), state).effects)
        assert asked.connect(mine, state) == asked.connect(mine)

    @given(schedulers)
    def test_a_draining_server_gets_nothing_new(self, scheduler: Scheduler) -> None:
        """Of UDP it is gone at once, and owns no bucket either."""
        order = tuple(EndpointKey(f"10.0.0.{number}:80") for number in (9, 1, 2))
        for protocol in ("TCP", "UDP"):
            asked = proxy(2, KubeProxy("ipvs", scheduler, order=order), protocol=protocol)
            for number in range(60):
                got = asked.connect(Connection(80, "", "", "", f"10.9.3.{number}", 999 + number, protocol))
                if got.endpoint is None:
                    assert (protocol, scheduler in ("sh", "dh", "mh")) == ("TCP", True)
                else:
                    assert got.endpoint.key in order[1:]


class TestKproxy13WeightedTurns:
    """KPROXY-13: over a cycle wrr gives each server as many turns as its weight over the common divisor."""

    @given(weights)
    def test_a_cycle_is_in_proportion(self, some: list[int]) -> None:
        """From the head of the list."""
        divisor = ipvs.common_divisor(servers(some))
        turns = sum(some) // divisor
        if not turns:
            assert run("wrr", some, 3) == [None] * 3
            return
        found = Counter(run("wrr", some, 2 * turns))
        assert {number: found[number] for number in range(len(some))} == {
            number: 2 * weight // divisor for number, weight in enumerate(some)
        }

    @given(weights.filter(any), st.integers(0, 50))
    def test_it_goes_by_the_list_and_the_falling_weight(self, some: list[int], picks: int) -> None:
        """A pass for each weight asked for, from the greatest down in steps of the divisor, of those that have it."""
        step = ipvs.common_divisor(servers(some))
        passes = range(max(some), 0, -step)
        cycle = [number for wanted in passes for number, weight in enumerate(some) if weight >= wanted]
        assert run("wrr", some, picks) == [cycle[number % len(cycle)] for number in range(picks)]


counts = st.integers(0, 5)


@st.composite
def loads_of_servers(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    some = draw(weights)
    closing = st.integers(0, 600) | st.sampled_from((0, 255, 256, 257))
    active, inactive = (draw(st.lists(each, min_size=len(some), max_size=len(some))) for each in (counts, closing))
    return some, active, inactive


class TestKproxy14Least:
    """KPROXY-14: who counts connections never takes a busier server; of equals the first, and none of weight 0."""

    @given(loads_of_servers(), st.sampled_from(("lc", "wlc", "sed", "nq")))
    def test_the_least_and_the_first_of_them(
        self, given_: tuple[list[int], list[int], list[int]], scheduler: Scheduler
    ) -> None:
        """Found by computing all of them as fractions."""
        some, active, inactive = given_
        made = servers(some)
        asked = ipvs.Ask(
            made,
            active={one.key: count for one, count in zip(made, active, strict=True) if count},
            inactive={one.key: count for one, count in zip(made, inactive, strict=True) if count},
        )
        load: dict[int, Fraction] = {}
        for number, weight in enumerate(some):
            overhead = 256 * active[number] + inactive[number]
            delay = Fraction(active[number] + 1, weight or 1)
            if weight:
                load[number] = {
                    "lc": Fraction(overhead),
                    "wlc": Fraction(overhead, weight),
                    "sed": delay,
                    "nq": Fraction(0) if not active[number] else delay,
                }[scheduler]
        expected = min(load, key=lambda number: (load[number], number)) if load else None
        assert ipvs.schedule(scheduler, asked).index == expected


class TestKproxy15Hashing:
    """KPROXY-15: sh and dh go by one address alone; their buckets are filled in proportion to the weights."""

    @given(weights, addresses, addresses, U32)
    def test_one_address_decides(self, some: list[int], source: str, destination: str, port: int) -> None:
        """Whatever the other one is, the port, the connections."""
        made = servers(some)
        busy = {one.key: 7 for one in made[::2]}
        mine, other = ipvs.folded(source), ipvs.folded(destination)
        for scheduler, one, two in (
            ("sh", ipvs.Ask(made, mine, port, other), ipvs.Ask(made, mine, 0, 5, active=busy)),
            ("dh", ipvs.Ask(made, mine, port, other), ipvs.Ask(made, 5, 0, other, active=busy)),
        ):
            assert ipvs.schedule(scheduler, one) == ipvs.schedule(scheduler, two)  # type: ignore[arg-type]

    @given(weights, U32)
    def test_buckets(self, some: list[int], number: int) -> None:
        """Filled round by round; a draining owner rejects."""
        round_ = [owner for owner, weight in enumerate(some) for _ in range(max(weight, 1))]
        owners = [round_[bucket % len(round_)] for bucket in range(256)]
        assert list(ipvs.source_buckets(some)) == owners
        bucket = (number * 0x61C88647) % 2**32 // 2**24
        owner = owners[bucket]
        assert ipvs.schedule("sh", ipvs.Ask(servers(some), number)).index == (owner if some[owner] else None)
        cycled = bucket % len(some)
        chosen = ipvs.schedule("dh", ipvs.Ask(servers(some), destination=number)).index
        assert chosen == (cycled if some[cycled] else None)


def siphash13(data: bytes, first: int, second: int) -> int:
    """SipHash-1-3 as its authors print it, with masks at the end of each sum."""
    mask = 2**64 - 1

    def rotl(x: int, b: int) -> int:
        return ((x << b) | (x >> (64 - b))) & mask

    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]

    def sipround() -> None:
        v[0] = (v[0] + v[1]) & mask
        v[2] = (v[2] + v[3]) & mask
        v[1] = rotl(v[1], 13) ^ v[0]
        v[3] = rotl(v[3], 16) ^ v[2]
        v[0] = rotl(v[0], 32)
        v[2] = (v[2] + v[1]) & mask
        v[0] = (v[0] + v[3]) & mask
        v[1] = rotl(v[1], 17) ^ v[2]
        v[3] = rotl(v[3], 21) ^ v[0]
        v[2] = rotl(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data)])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        sipround()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        sipround()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class TestKproxy16Maglev:
    """KPROXY-16: mh hashes the sum of the client's address and port; every slot has one owner, in proportion."""

    @given(U32, U64, U64)
    def test_the_hash_is_siphash_1_3(self, number: int, first: int, second: int) -> None:
        """Its low half, of four bytes."""
        assert ipvs.keyed_hash(number, first, second) == siphash13(struct.pack("<I", number), first, second) % 2**32

    @given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    def test_slots_are_in_proportion(self, some: list[int]) -> None:
        """Within one round: whole rounds, and a part of the last."""
        slots = ipvs.maglev_table(servers(some))
        divisor = ipvs.common_divisor(servers(some))
        turns = [weight // divisor for weight in some]
        rounds, rest = divmod(ipvs.SLOTS, sum(turns))
        assert len(slots) == ipvs.SLOTS
        for number, each in enumerate(turns):
            before = sum(turns[:number])
            assert slots.count(number) == rounds * each + min(max(rest - before, 0), each)

    @given(st.ip_addresses(v=4), st.integers(0, 1000), st.integers(1024, 60000), st.integers(1, 5))
    def test_only_the_sum_counts(self, address: Any, step: int, port: int, size: int) -> None:
        """An address further on by as much as the port is less meets the same server."""
        one = (int(address) % 2**31, port + step)
        two = (one[0] + step, port)
        made = servers([1] * size)
        assert ipvs.schedule("mh", ipvs.Ask(made, *one)) == ipvs.schedule("mh", ipvs.Ask(made, *two))

    def test_few_slots_move_when_a_server_goes(self) -> None:
        """Of four servers, whichever goes: fewer than one in twenty of those that could stay."""
        made = servers([1, 1, 1, 1])
        was = [made[owner].key for owner in ipvs.maglev_table(made)]
        for gone in made:
            left = [one for one in made if one is not gone]
            now = [left[owner].key for owner in ipvs.maglev_table(left)]
            moved = sum(old != new for old, new in zip(was, now, strict=True) if old != gone.key)
            assert 0 < moved * 20 < len(was)


class TestKproxy17Memory:
    """KPROXY-17: lblc and lblcr stay with whom they remember until it is too busy, drains, or a day has passed."""

    @given(st.lists(st.integers(0, 3), min_size=2, max_size=5), st.data(), st.sampled_from(("lblc", "lblcr")))
    def test_who_is_remembered_is_taken_unless_overloaded(
        self, active: list[int], data: st.DataObject, scheduler: Scheduler
    ) -> None:
        """Weights are 1: more than one connection, and somebody idle."""
        made = servers([1] * len(active))
        last = data.draw(st.integers(0, len(active) - 1))
        now = data.draw(st.sampled_from((0, ipvs.CACHED - 1, ipvs.CACHED)))
        counted = {one.key: count for one, count in zip(made, active, strict=True)}
        mark = Mark((made[last].key,), 0, 0, 0)
        choice = ipvs.schedule(scheduler, ipvs.Ask(made, mark=mark, active=counted, now=now))
        least = min(range(len(active)), key=lambda number: (active[number], number))
        leaves = now >= ipvs.CACHED or (active[last] > 1 and 0 in active)
        assert choice.index == (least if leaves else last)
        assert choice.mark is not None
        assert choice.mark.used == now
        assert choice.index is not None
        assert made[choice.index].key in choice.mark.last


def pod(name: str, address: str, *, ready: bool = True, leaves: bool = False, port: int = 0, **more: str) -> str:
    port_ = f"ports: [{{name: http, containerPort: {port}}}]" if port else ""
    leaving = "deletionTimestamp: '2026-01-01T00:00:00Z'," if leaves else ""
    extra = "".join(f", {name_}: {value}" for name_, value in more.items())
    return (
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, {leaving} labels: {{app: web}}}}, spec: {{containers: "
        f"[{{name: c, {port_}}}]{extra}}}, "
        f"status: {{podIP: {address}, conditions: [{{type: Ready, status: '{ready}'}}]}}}}\n---\n"
    )


def service(**fields: str) -> str:
    written = {"selector": "{app: web}", "ports": "[{port: 80, targetPort: http}]", **fields}
    spec = ", ".join(f"{name}: {value}" for name, value in written.items())
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{{spec}}}}}\n---\n"


class TestKproxy18Pods:
    """KPROXY-18: a pod serves by its condition, leaves by its timestamp, and is ready if it serves and stays."""

    @given(st.booleans(), st.booleans(), st.booleans())
    def test_conditions(self, ready: bool, leaves: bool, publishes: bool) -> None:
        """Publishing addresses that are not ready makes all of them ready, and no more."""
        text = service(publishNotReadyAddresses=str(publishes).lower(), ports="[{port: 80}]")
        (one,) = (
            loads(text + pod("a", "10.0.0.1", ready=ready, leaves=leaves))
            .service("web")
            .front.ports[0]
            .backends["IPv4"]
        )
        assert (one.ready, one.serving, one.terminating) == (publishes or (ready and not leaves), ready, leaves)

    def test_a_pod_of_two_families_is_an_endpoint_of_each(self) -> None:
        """Clients of a family meet endpoints of that family."""
        both = pod("a", "10.0.0.1").replace(
            "podIP: 10.0.0.1", "podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]"
        )
        mesh = loads(service(ports="[{port: 80}]", ipFamilies="[IPv6, IPv4]") + both)
        assert key(mesh.service("web").connect(Connection(80))) == "[fd00::1]:80"
        assert key(mesh.service("web").connect(client())) == "10.0.0.1:80"
        assert key(mesh.service("web").connect(client("fd00::99"))) == "[fd00::1]:80"


class TestKproxy19Ports:
    """KPROXY-19: named ports are looked for in each pod; slices that are given are all that counts."""

    @given(st.lists(st.sampled_from((0, 8080, 9090)), min_size=1, max_size=6))
    def test_each_pod_its_own_number(self, ports: list[int]) -> None:
        """One without the name is no endpoint."""
        pods = [pod(f"p{number}", f"10.0.0.{number + 1}", port=port) for number, port in enumerate(ports)]
        found = loads(service() + "".join(pods)).service("web").front.ports[0].backends.get("IPv4", ())
        assert {one.endpoint.key for one in found} == {
            f"10.0.0.{number + 1}:{port}" for number, port in enumerate(ports) if port
        }

    def test_slices_win(self) -> None:
        """Over pods that the selector takes; the pod that a slice names is told."""
        one = SLICE.format(name="s", port=80, endpoints="{addresses: [10.0.0.9], targetRef: {kind: Pod, name: x}}")
        got = loads(service(ports="[{port: 80}]") + one + pod("a", "10.0.0.1")).service("web").connect(Connection(80))
        assert (key(got), got.pod) == ("10.0.0.9:80", "default/x")


WAYS: Mapping[str, tuple[str, int]] = {
    "cluster IP": ("10.96.0.1", 80),
    "load balancer": ("203.0.113.5", 80),
    "external IP": ("192.0.2.1", 80),
    "node port": ("172.18.0.2", 30080),
}


class TestKproxy20Addresses:
    """KPROXY-20: each address with its port leads to the service, and nothing else does."""

    @given(
        settings, st.sampled_from([one for one, _ in WAYS.values()] + ["10.96.0.2"]), st.sampled_from((80, 30080, 81))
    )
    def test_an_address_and_its_port(self, setting: KubeProxy, address: str, port: int) -> None:
        """Of all pairs, those four."""
        made = front(
            2,
            addresses=("10.96.0.1",),
            balancers=("203.0.113.5",),
            outside=("192.0.2.1",),
            opened=True,
            node_port=30080,
        )
        asked = ServiceProxy(made, setting, nodes=frozenset({"172.18.0.2"}))
        connection = Connection(port, destination_ip=address, source_ip="10.9.0.1", source_port=7)
        got = asked.connect(connection, explain=True)
        assert asked.answers(connection) == ((address, port) in WAYS.values())
        if asked.answers(connection):
            assert (got.outcome, WAYS[got.trace[0].kind]) == (Forwarded(), (address, port))  # type: ignore[union-attr]
        else:
            rejects = setting.mode == "nftables" and address == "10.96.0.1"
            assert (got.outcome, got.effects) == (REJECTED if rejects else UNMATCHED, ())

    def test_source_ranges_need_the_client(self) -> None:
        """Without its address there is no answer to give."""
        asked = proxy(1, balancers=("203.0.113.5",), sources=("198.51.100.0/24",))
        with pytest.raises(ValueError, match="give `source_ip`"):
            asked.connect(Connection(80, destination_ip="203.0.113.5"))

    def test_who_is_not_there_is_told_who_is(self) -> None:
        """Services and nodes, and what a setting can be."""
        mesh = loads(service() + pod("a", "10.0.0.1", nodeName="node-a"))
        with pytest.raises(ValueError, match="no Service `default/wep`: did you mean `default/web`"):
            mesh.service("wep")
        with pytest.raises(ValueError, match="no node `node-b`: did you mean `node-a`"):
            mesh.service("default/web", node="node-b")
        assert mesh.service("web", node="n2", zone="z").zone == "z"
        for text, said in (
            ("ebpf", "mode `ebpf`"),
            ("ipvs:xx", "scheduler `xx`"),
            ("nftables:rr", "has no schedulers"),
        ):
            with pytest.raises(ValueError, match=said):
                KubeProxy.parse(text)
        assert {str(KubeProxy.parse(f"ipvs:{one}")) for one in SCHEDULERS} == {f"ipvs:{one}" for one in SCHEDULERS}
        with pytest.raises(ValueError, match="5 or 10 digits"):
            KubeProxy(digits=7)  # type: ignore[arg-type]


class TestKproxy21Names:
    """KPROXY-21: the client of a headless Service picks a ready address itself, with its own port."""

    @given(st.lists(st.booleans(), min_size=1, max_size=6), U64, st.integers(1, 65535))
    def test_one_of_the_ready_addresses(self, ready: list[bool], draw: int, port: int) -> None:
        """By the draw, in proportion; the port is the client's, whatever the target port."""
        pods = [pod(f"p{number}", f"10.0.0.{number + 1}", ready=one) for number, one in enumerate(ready)]
        asked = loads(service(clusterIP="None") + "".join(pods)).service("web")
        got = asked.connect(Connection(port), draws=Draws.of(given={"answer": draw}))
        known = [number for number, one in enumerate(ready) if one]
        if not known:
            assert got.outcome == NO_ADDRESS
            return
        assert key(got) == f"10.0.0.{known[draw * len(known) >> 64] + 1}:{port}"
        shares = asked.shares(Connection(port)).by_endpoint
        assert sum(shares.values()) == 1
        assert all(abs(share - Fraction(1, len(known))) < Fraction(1, 2**63) for share in shares.values())

    def test_names_of_names(self) -> None:
        """A name in the cluster is followed, and one that goes in a circle is a name like any other."""
        text = (
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}}}, "
            "spec: {{type: ExternalName, externalName: {}}}}}\n---\n"
        )
        to_web = text.format("al", "web.default.svc.cluster.local.")
        mesh = loads(
            service(ports="[{port: 80}]") + pod("a", "10.0.0.1") + to_web + text.format("far", "db.example.com")
        )
        got = mesh.service("al").connect(Connection(80), explain=True)
        assert (key(got), type(got.trace[0]).__name__) == ("10.0.0.1:80", "AliasTold")
        assert mesh.service("far").shares(Connection(443)).by_endpoint == {"db.example.com:443": 1}
        ring = loads(
            "".join(text.format(a, f"{b}.default.svc.cluster.local") for a, b in (("one", "two"), ("two", "one")))
        )
        assert ring.service("one").connect(Connection(9)).outcome == Forwarded()


class TestKproxy22Distribution:
    """KPROXY-22: trafficDistribution hints at the zone, or at the node and the zone, of each ready pod."""

    @given(st.sampled_from(("PreferSameZone", "PreferClose", "PreferSameNode")), st.sampled_from(("n1", "n2", "n3")))
    def test_clients_stay_near(self, prefers: str, node: str) -> None:
        """On their node, or in their zone if that has somebody, or anywhere."""
        zones = {"n1": "z1", "n2": "z1", "n3": "z2"}
        nodes = "".join(
            f"{{apiVersion: v1, kind: Node, metadata: {{name: {name}, "
            f"labels: {{topology.kubernetes.io/zone: {zone}}}}}}}\n---\n"
            for name, zone in zones.items()
        )
        pods = pod("a", "10.0.0.1", nodeName="n1") + pod("b", "10.0.0.2", nodeName="n2")
        asked = loads(service(ports="[{port: 80}]", trafficDistribution=prefers) + nodes + pods).service(
            "web", node=node
        )
        assert asked.zone == zones[node]
        both = {"default/a", "default/b"}
        mine = {"n1": {"default/a"}, "n2": {"default/b"}}.get(node, both) if prefers == "PreferSameNode" else both
        assert set(asked.shares(client()).pods) == mine


class TestKproxy23Persistence:
    """KPROXY-23: IPVS keeps a client for the timeout, and longer by whole minutes while a connection is there."""

    @given(schedulers, st.integers(1, 200), st.integers(-1, 400_000) | st.sampled_from((-1, 0, 1)), st.data())
    def test_how_long(self, scheduler: Scheduler, timeout: int, late: int, data: st.DataObject) -> None:
        """Opened at 0, closed around the time or one of the minutes behind it, asked again later."""
        closes = timeout * 1000 + late + data.draw(st.sampled_from((0, EXTENSION)))
        idle = data.draw(st.integers(0, 2 * EXTENSION) | st.sampled_from((EXTENSION - 1, EXTENSION, EXTENSION + 1)))
        asked = proxy(3, KubeProxy("ipvs", scheduler), affinity=timeout)
        first = asked.connect(client())
        state = State().after((*first.effects, TimePassed(closes), *first.finished(), TimePassed(closes + idle)))
        until = timeout * 1000
        while until <= closes:
            until += EXTENSION
        assert (asked._before(client(), _choosing(asked), state) is not None) == (closes + idle < until)

    @given(schedulers, st.integers(0, 10**7))
    def test_while_it_is_open(self, scheduler: Scheduler, later: int) -> None:
        """However long, unless the server is taken out."""
        asked = proxy(3, KubeProxy("ipvs", scheduler), affinity=1)
        first = asked.connect(client())
        state = State().after((*first.effects, TimePassed(later)))
        again = asked.connect(client(source_port=5), state)
        assert again.endpoint == first.endpoint
        left = [one for one in (backend(0), backend(1), backend(2)) if one.endpoint != first.endpoint]
        fewer = proxy(left, KubeProxy("ipvs", scheduler), affinity=1)
        assert fewer.connect(client(), state).endpoint != first.endpoint


def _choosing(asked: ServiceProxy) -> Any:
    way = asked._way(client())
    assert way is not None
    return asked._allowed(client(), way, None)


class TestKproxy24Shares:
    """KPROXY-24: shares are what counting all draws gives, and sum to one of each kind."""

    @given(settings, some_backends(), st.booleans(), st.sampled_from(("next", "long-run")), policies)
    def test_they_sum_to_one(
        self, setting: KubeProxy, backends: tuple[Backend, ...], sticky: bool, horizon: Any, policy: dict[str, Any]
    ) -> None:
        """By pod, endpoint, cluster and outcome; a mode that draws nothing gives what it decides."""
        known: dict[str, Any] = {"addresses": ("10.96.0.1",), "affinity": 5 if sticky else None}
        asked = proxy(backends, setting, "n1", **known, **policy)
        got = asked.shares(client(), horizon=horizon)
        for kind in (got.pods, got.by_endpoint, got.by_cluster, got.by_outcome, got.by_subset, got.by_rule):
            assert sum(kind.values()) == 1
        decided = asked.connect(client())
        assert decided.outcome in got.by_outcome
        if setting.mode in ("ipvs", "userspace") and horizon == "next":
            assert got.by_endpoint == {decided.endpoint.key if decided.endpoint else None: 1}

    @given(st.integers(1, 5), st.sampled_from((5, 10)))
    def test_iptables_by_counting_the_sides_of_each_threshold(self, size: int, digits: Any) -> None:
        """Each rule draws below its threshold or not: all ways of that, weighed by how many draws each is."""
        asked = proxy(size, KubeProxy(digits=digits))
        found: dict[str, Fraction] = {}
        for sides in product((True, False), repeat=size - 1):
            given_, chance = {}, Fraction(1)
            for number, below in enumerate(sides):
                bound = threshold(size - number, digits)
                given_[rule_of_ladder(number)] = bound - 1 if below else bound
                chance *= Fraction(bound if below else 2**31 - bound, 2**31)
            one = key(asked.connect(client(), draws=Draws.of(given=given_)))
            found[one] = found.get(one, Fraction(0)) + chance
        assert asked.shares(client()).by_endpoint == found

    @given(st.integers(1, 40))
    def test_nftables_by_counting_words(self, size: int) -> None:
        """Between the first words of the slots, which bisection finds."""
        asked, first = proxy(size, KubeProxy("nftables")), [0]
        order = [one.endpoint.key for one in asked.front.ports[0].backends["IPv4"]]
        for slot in range(1, size):
            low, high = first[-1], 2**32
            while low < high:
                middle = (low + high) // 2
                here = order.index(EndpointKey(key(asked.connect(client(), draws=Draws.of(given={NUMGEN: middle})))))
                low, high = (low, middle) if here >= slot else (middle + 1, high)
            first.append(low)
        spans = [Fraction(high - low, 2**32) for low, high in pairwise([*first, 2**32])]
        assert asked.shares(client()).by_endpoint == dict(zip(order, spans, strict=True))

    @given(st.sampled_from(("rr", "wrr")), st.integers(1, 6))
    def test_the_long_run_is_the_run(self, scheduler: Scheduler, size: int) -> None:
        """As many connections as there are servers, over and over, give each its share."""
        asked, state, found = proxy(size, KubeProxy("ipvs", scheduler)), State(), Counter[str]()
        for _ in range(3 * size):
            got = asked.connect(client(), state)
            state = state.after(got.effects)
            found[key(got)] += 1
        shares = asked.shares(client(), horizon="long-run").by_endpoint
        assert shares == {one: Fraction(count, 3 * size) for one, count in found.items()}

    def test_a_bucket_of_nobody_is_one_in_256(self) -> None:
        """All 256 addresses that differ in one word's upper eight bits after hashing, one in each bucket."""
        asked = proxy(3, KubeProxy("ipvs", "sh"))
        inverse = pow(0x61C88647, -1, 2**32)
        found = Counter(
            key(asked.connect(Connection(80), draws=Draws.of(given={"key": (bucket << 24) * inverse % 2**32})))
            for bucket in range(256)
        )
        assert asked.shares(Connection(80)).by_endpoint == {one: Fraction(n, 256) for one, n in found.items()}

    def test_what_has_no_exact_answer(self) -> None:
        """Says so; so does a horizon that is none."""
        for scheduler in ("mh", "dh"):
            with pytest.raises(InexactError, match=f"`{scheduler}` hashes ends"):
                proxy(2, KubeProxy("ipvs", scheduler)).shares(Connection(80))
        with pytest.raises(ValueError, match="horizon `now`"):
            proxy(2).shares(client(), horizon="now")  # type: ignore[arg-type]


class TestKproxy25Changes:
    """KPROXY-25: lists of clients go with their endpoint, whoever else stays keeps theirs."""

    @given(st.sampled_from(("iptables", "nftables")), st.lists(clients, max_size=12), st.sets(st.integers(0, 4)), U64)
    def test_lists_go_with_their_endpoint(self, mode: Mode, sources: list[str], gone: set[int], seed: int) -> None:
        """And come back empty."""
        asked, state = proxy(5, KubeProxy(mode), affinity=9), State()
        for number, one in enumerate(sources):
            state = state.after(asked.connect(client(one), state, Draws.of(seed, number)).effects)
        fewer = proxy([backend(number) for number in range(5) if number not in gone], KubeProxy(mode), affinity=9)
        later = state.after(fewer.synced(asked, state))
        dropped = {f"10.0.0.{number + 1}:80" for number in gone}
        before = state.held.get("ns/svc/TCP", {})
        assert later.held.get("ns/svc/TCP", {}) == {one: seen for one, seen in before.items() if one not in dropped}
        assert later.after(asked.synced(fewer, later)) == later

    @given(st.integers(2, 6), st.integers(1, 12), st.data())
    def test_rr_goes_on_behind_who_was_before(self, size: int, picks: int, data: st.DataObject) -> None:
        """Whoever would have been next is next, unless it is the one that went."""
        asked, state, last = proxy(size, KubeProxy("ipvs")), State(), 0
        for number in range(picks):
            state = state.after(asked.connect(client(), state).effects)
            last = number % size
        gone = data.draw(st.integers(0, size - 1))
        fewer = proxy([backend(number) for number in range(size) if number != gone], KubeProxy("ipvs"))
        after = state.after(fewer.synced(asked, state))
        next_ = next(number % size for number in range(last + 1, last + 1 + size) if number % size != gone)
        assert key(fewer.connect(client(), after)) == f"10.0.0.{next_ + 1}:80"

    @given(st.integers(1, 9))
    def test_turns_of_userspace_begin_anew(self, picks: int) -> None:
        """And go on where nothing changes."""
        setting = KubeProxy("userspace")
        asked, state = proxy(4, setting), State()
        for _ in range(picks):
            state = state.after(asked.connect(client(), state).effects)
        assert asked.synced(asked, state) == ()
        fewer = proxy(3, setting)
        assert key(fewer.connect(client(), state.after(fewer.synced(asked, state)))) == "10.0.0.1:80"


class TestKproxy26Chains:
    """KPROXY-26: chains are named by a digest; a connection by iptables is told the chain that chose for it."""

    @given(st.text("abc/-:", min_size=1), st.sampled_from(("TCP", "UDP", "SCTP")), st.text("0123456789.:"))
    def test_names(self, name: str, protocol: str, endpoint: str) -> None:
        """Computed apart."""
        digest = hashlib.sha256((name + protocol.lower() + endpoint).encode()).digest()
        assert chain_name("SEP", name, protocol, endpoint) == "KUBE-SEP-" + b32encode(digest)[:16].decode()

    def test_the_chain_of_the_list(self) -> None:
        """SVC for the cluster's, SVL for the local one, none in other modes."""
        near = [backend(0, node="n1")]
        assert proxy(near).connect(client()).chain == chain_name("SVC", "ns/svc", "TCP")
        assert proxy(near, node="n1", internal_local=True).connect(client()).chain == chain_name("SVL", "ns/svc", "TCP")
        assert proxy(near, KubeProxy("nftables")).connect(client()).chain == ""


class TestKproxy27Dials:
    """KPROXY-27: userspace dials up to four endpoints in turn; who kept the client counts for the first dial alone."""

    @given(
        st.integers(1, 6),
        st.booleans(),
        st.lists(st.tuples(st.sampled_from(("10.9.0.1", "10.9.0.2", "::1")), st.integers(0, 4000), st.integers(0, 4))),
    )
    def test_as_a_list_an_index_and_a_map(self, size: int, sticky: bool, some: list[tuple[str, int, int]]) -> None:
        """Kept apart here, as the proxy of old kept them; each connection dials in vain so many times."""
        endpoints = [f"10.0.0.{number + 1}:80" for number in range(size)]
        index, kept, at = 0, dict[str, tuple[str, int]](), 0
        asked, state = proxy(size, KubeProxy("userspace"), affinity=3 if sticky else None), State()
        for source, later, failures in some:
            at += later
            state = state.after([TimePassed(at)])
            expected = list[str]()
            for number in range(min(failures + 1, 4)):
                if sticky and not number and source in kept and (at - kept[source][1]) // 1000 < 3:
                    expected.append(kept[source][0])
                else:
                    expected.append(endpoints[index])
                    index = (index + 1) % size
                kept[source] = expected[-1], at
            got = asked.connect(client(source), state)
            state = state.after(got.effects)
            for _ in range(failures):
                state = state.after(got.finished())
                got = asked.redial(got, state)
                state = state.after(got.effects)
            if failures < 4:
                assert [*got.tried, key(got)] == expected
                state = state.after(got.finished())
            else:
                assert (list(got.tried), got.outcome, got.endpoint) == (expected, NOT_DIALED, None)
            assert state.active == {}
        if sticky:
            held = state.held.get("ns/svc/TCP", {})
            assert {one: where for where, seen in held.items() for one in seen} == {
                one: where for one, (where, _) in kept.items()
            }

    @given(settings.filter(lambda one: one.mode != "userspace"))
    def test_no_other_mode_dials(self, setting: KubeProxy) -> None:
        """Nor does anybody for a client that picked an address itself, or for a connection without an endpoint."""
        asked = proxy(2, setting)
        with pytest.raises(ValueError, match=f"in mode userspace alone, and not in {setting}"):
            asked.redial(asked.connect(client()))
        userspace = KubeProxy("userspace")
        for other in (
            proxy(0, userspace).connect(client()),
            proxy(0, userspace, headless=True, published={"IPv4": (backend(0),)}).connect(client()),
        ):
            with pytest.raises(ValueError, match="dialed nobody for this connection"):
                proxy(2, userspace).redial(other)

    def test_the_steps_tell_the_dial_that_failed(self) -> None:
        """Its number, the endpoint, and for how long it was tried."""
        asked, milliseconds = proxy(3, KubeProxy("userspace")), list[int]()
        state = State()
        got = asked.connect(client(), state)
        for number in range(4):
            state = state.after((*got.effects, *got.finished()))
            before, got = got, asked.redial(got, state, explain=True)
            assert isinstance(got.trace[0], DialFailed)
            assert (got.trace[0].endpoint, got.trace[0].number) == (key(before), number)
            milliseconds.append(got.trace[0].milliseconds)
        assert milliseconds == [250, 500, 1000, 2000]
        assert got.outcome == NOT_DIALED


NAMES = ("web", "web-0", "shop")
"""Of Services, namespaces and hostnames alike, so that names mean more than one thing."""
worlds = st.tuples(
    st.lists(st.sampled_from(("None", "None", "10.96.0.1", "")), min_size=9, max_size=9).map(
        lambda some: {key: one for key, one in zip(product(NAMES, NAMES), some, strict=True) if one}
    ),
    st.lists(
        st.tuples(
            st.sampled_from(NAMES), st.sampled_from((*NAMES, "")), st.sampled_from((*NAMES, "other")), st.booleans()
        ),
        min_size=2,
        max_size=7,
    ),
)


def told_of(world: tuple[Any, Any]) -> tuple[str, dict[str, set[str]]]:
    """The manifests of a world, and what a name server would have: the addresses behind each full name."""
    services, pods = world
    text, zone = "", dict[str, set[str]]()
    for (namespace, name), address in services.items():
        text += (
            f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, "
            f"spec: {{clusterIP: {address}, selector: {{app: web}}, ports: [{{port: 80}}]}}}}\n---\n"
        )
        full = f"{name}.{namespace}.svc.cluster.local"
        if address != "None":
            zone[full] = {"the service"}
        for number, (where, hostname, subdomain, ready) in enumerate(pods):
            if where == namespace and ready:
                ip = f"10.0.0.{number}"
                label = hostname if hostname and subdomain == name else ip.replace(".", "-")
                for known in [f"{label}.{full}"] + [full] * (address == "None"):
                    zone.setdefault(known, set()).add(ip)
    for number, (where, hostname, subdomain, ready) in enumerate(pods):
        own = "".join(f"{key}: {value}, " for key, value in (("hostname", hostname), ("subdomain", subdomain)) if value)
        text += (
            f"{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}, namespace: {where}, labels: {{app: web}}}}, "
            f"spec: {{{own}containers: [{{name: c}}]}}, "
            f"status: {{podIP: 10.0.0.{number}, conditions: [{{type: Ready, status: '{ready}'}}]}}}}\n---\n"
        )
    return text, zone


labels_asked = st.lists(st.sampled_from((*NAMES, "10-0-0-1")), min_size=1, max_size=4).map(".".join)
endings = st.sampled_from(("", ".", ".svc", ".svc.cluster.local", ".svc.cluster.local.", ".svc.cluster", ".example"))


class TestKproxy28NamesOfPods:
    """KPROXY-28: a full name has the addresses of all ready pods with its label, and no others."""

    @given(worlds, st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from((*NAMES, "10-0-0-1")), U64)
    def test_as_a_zone_has_them(self, world: tuple[Any, Any], namespace: str, name: str, label: str, draw: int) -> None:
        """Put together from the other end; whoever is taken is one of them, by the draw, at the port asked for."""
        text, zone = told_of(world)
        full = f"{label}.{name}.{namespace}.svc.cluster.local"
        if (namespace, name) not in world[0]:
            with pytest.raises(ValueError, match="is no name of a Service, nor of a pod behind one"):
                loads(text).lookup(full)
            return
        asked = loads(text).lookup(full)
        got = asked.connect(Connection(5432), draws=Draws.of(given={"answer": draw}), explain=True)
        if full in zone:
            addresses = sorted(zone[full])
            assert key(got) == f"{addresses[draw * len(addresses) >> 64]}:5432"
            assert set(asked.shares(Connection(5432)).by_endpoint) == {f"{one}:5432" for one in addresses}
        else:
            assert asked.shares(Connection(5432)).by_outcome == {NO_ADDRESS: 1}
            assert got.outcome == NO_ADDRESS
        (step,) = got.trace
        assert isinstance(step, AddressesTold)
        assert (step.hostname, sorted(step.addresses)) == (label, sorted(zone.get(full, ())))

    def test_pods_of_a_deployment_share_its_hostname(self) -> None:
        """Those that are assumed too; each answers to the name."""
        text = (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3, selector: "
            "{matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: "
            "{hostname: one, subdomain: web, containers: [{name: c}]}}}}\n---\n"
        )
        mesh = loads(service(clusterIP="None") + text)
        assert len(mesh.lookup("one.web").shares(Connection(80)).pods) == 3
        assert mesh.service("web", hostname="ONE").shares(Connection(80)) == mesh.lookup("one.web").shares(
            Connection(80)
        )


class TestKproxy29Search:
    """KPROXY-29: a name means the first full name that has an answer, in the order in which a pod's client asks."""

    @given(worlds, st.lists(st.tuples(labels_asked, endings)), st.sampled_from((*NAMES, "default")))
    def test_as_a_resolver_searches(self, world: tuple[Any, Any], names: list[tuple[str, str]], namespace: str) -> None:
        """Through a zone that was put together apart: all that is in it, however much is said, and other names."""
        text, zone = told_of(world)
        mesh = loads(text)
        for full in sorted(zone):
            labels = full.split(".")
            for said in range(1, len(labels) + 1):
                self.check(mesh, zone, world, ".".join(labels[:said]), namespace)
                self.check(mesh, zone, world, ".".join(labels[:said]) + ".", namespace)
        for labels_of_one, ending in names:
            self.check(mesh, zone, world, labels_of_one + ending, namespace)

    def check(self, mesh: Mesh, zone: dict[str, set[str]], world: tuple[Any, Any], name: str, namespace: str) -> None:
        search = [f"{name}.{namespace}.svc.cluster.local", f"{name}.svc.cluster.local", f"{name}.cluster.local"]
        asked = [name[:-1]] if name.endswith(".") else [name, *search] if name.count(".") >= 5 else [*search, name]
        found = next((one for one in asked if one in zone), None)
        if found is not None:
            got = mesh.lookup(name, namespace)
            full = ".".join([got.hostname] * bool(got.hostname) + got.front.name.split("/")[::-1])
            assert f"{full}.svc.cluster.local" == found
            if zone[found] == {"the service"}:
                assert not got.front.headless
            else:
                told = got.shares(Connection(80)).by_endpoint
                assert set(told) == {f"{one}:80" for one in zone[found]}
        else:
            there = {f"{service}.{space}.svc.cluster.local" for space, service in world[0]}
            known = any(one in there or one.partition(".")[2] in there for one in asked)
            if known:
                assert mesh.lookup(name, namespace).connect(Connection(80)).outcome == NO_ADDRESS
            else:
                with pytest.raises(ValueError, match=r"no Service|is no name of a Service"):
                    mesh.lookup(name, namespace)


ZONE_LABEL = "topology.kubernetes.io/zone"
nodes_of_a_cluster = st.lists(
    st.fixed_dictionaries(
        {
            "zone": st.sampled_from(("a", "b", "c", "a", "b", "c", "")),
            "cpu": st.sampled_from(("4", "4", "8", "250m", "1500u", "0", "")),
            "ready": st.sampled_from(("True", "True", "False", "Unknown", "not said", "")),
            "control": st.sampled_from(("", "", "", "control-plane", "master")),
        }
    ),
    max_size=8,
)


def made_node(number: int, one: Mapping[str, str]) -> Node:
    labels = {ZONE_LABEL: one["zone"]} if one["zone"] else {}
    if one["control"]:
        labels[f"node-role.kubernetes.io/{one['control']}"] = ""
    status: dict[str, Any] = {"allocatable": {"cpu": one["cpu"]} if one["cpu"] else {}}
    if one["ready"]:
        status["conditions"] = [{"type": "DiskPressure", "status": "False"}]
    if one["ready"] not in ("", "not said"):
        status["conditions"].append({"type": "Ready", "status": one["ready"]})
    return Node.model_validate({"metadata": {"name": f"node-{number}", "labels": labels}, "status": status})


class TestKproxy30Processors:
    """KPROXY-30: the part of a zone is that of its Nodes' processors; a Node that does not say leaves nobody any."""

    @given(nodes_of_a_cluster, st.randoms(use_true_random=False))
    def test_parts(self, some: list[dict[str, str]], random: Any) -> None:
        """Summed up here in thousandths, as the amounts have no smaller parts when summed; the order does not count."""
        counted = [one for one in some if one["ready"] in ("True", "") and not one["control"]]
        amounts = {"4": 4_000_000, "8": 8_000_000, "250m": 250_000, "1500u": 1_500, "0": 0, "": 0}  # in millionths
        got = capacity_of([made_node(number, one) for number, one in enumerate(some)])
        if any(not one["zone"] or not amounts[one["cpu"]] for one in counted):
            assert (got.ratios, "has no" in got.lacks) == ({}, True)
            return
        sums = {zone: sum(amounts[one["cpu"]] for one in counted if one["zone"] == zone) for zone in "abc"}
        rounded = {zone: -(-amount // 1000) for zone, amount in sums.items() if amount}
        if len(rounded) < 2:
            assert got.lacks == (
                f"all Nodes that are ready are in one zone, `{next(iter(rounded))}`"
                if rounded
                else "no Node is given that is ready"
            )
            return
        total = -(-sum(sums.values()) // 1000)
        assert got == Capacity({zone: amount / total for zone, amount in rounded.items()})
        random.shuffle(some)
        assert capacity_of([made_node(number, one) for number, one in enumerate(some)]) == got

    @given(st.sampled_from(("Auto", "auto", "AUTO", "Disabled", "")), st.sampled_from(("Auto", "auto", "no", None)))
    def test_who_asks(self, mode: str, older: str | None) -> None:
        """The older annotation where it is there, whatever it says; `trafficDistribution` only where neither asks."""
        annotations = f"service.kubernetes.io/topology-mode: '{mode}'"
        if older is not None:
            annotations += f", service.kubernetes.io/topology-aware-hints: '{older}'"
        node = f"{{apiVersion: v1, kind: Node, metadata: {{name: n1, labels: {{{ZONE_LABEL}: z1}}}}}}\n---\n"
        text = service(ports="[{port: 80}]", trafficDistribution="PreferSameZone").replace(
            "{name: web}", f"{{name: web, annotations: {{{annotations}}}}}"
        )
        mesh = loads(node + pod("a", "10.0.0.1", nodeName="n1") + text)
        asks = (mode if older is None else older) in ("Auto", "auto")
        (one,) = mesh.service("web").front.ports[0].backends["IPv4"]
        assert one.for_zones == (() if asks else ("z1",))
        assert [said.code for said in mesh.diagnostics] == (["hints-missing"] if asks else [])


def outcomes(surplus: Mapping[str, float], lack: Mapping[str, float]) -> set[tuple[tuple[str, int], ...]]:
    """All that can come of it, whichever of equals is taken: what each zone receives, less what it gives."""
    much, little = max(surplus.values(), default=0.0), max(lack.values(), default=0.0)
    if min(much, little) < 0.5 or max(much, little) < 1.0:
        return {()}
    found = set()
    for giver in [zone for zone, amount in surplus.items() if amount == much]:
        for taker in [zone for zone, amount in lack.items() if amount == little]:
            for rest in outcomes({**surplus, giver: much - 1}, {**lack, taker: little - 1}):
                moved = Counter(dict(rest))
                moved[giver] -= 1
                moved[taker] += 1
                found.add(tuple(sorted(moved.items())))
    return found


wishes = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from((0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)), min_size=1, max_size=4
)


class TestKproxy31Shares:
    """KPROXY-31: endpoints go one at a time from the zone with most too many to the one that lacks most."""

    @given(wishes, st.lists(st.integers(0, 5), min_size=4, max_size=4))
    def test_it_is_one_of_the_ways_and_says_if_there_are_others(
        self, wanted: dict[str, float], counts: list[int]
    ) -> None:
        """All ways are tried here, whichever of equal zones a map has first."""
        have = dict(zip("abcd", counts, strict=True))
        got = moves_of(wanted, have)
        surplus = {zone: have[zone] - wanted[zone] for zone in wanted if have[zone] > wanted[zone]}
        lack = {zone: wanted[zone] - have[zone] for zone in wanted if have[zone] < wanted[zone]}
        ways = outcomes(surplus, lack)
        moved = {**{zone: -count for zone, count in got.giving.items()}, **got.receiving}
        assert tuple(sorted(moved.items())) in ways
        assert got.by_chance == (len(ways) > 1)

    @given(
        st.dictionaries(st.sampled_from("abcd"), st.integers(1, 20), min_size=2, max_size=4),
        st.sampled_from(("a", "ab", "abcdz")).flatmap(lambda some: st.lists(st.sampled_from(some), max_size=30)),
    )
    def test_zones_have_what_they_want_within_one(self, processors: dict[str, int], at: list[str]) -> None:
        """Whoever does not move keeps its zone; who moves leaves a zone that has too many, the first of it first. What
        is wanted is computed as fractions, each rounded to the next double."""
        parts = {zone: amount / sum(processors.values()) for zone, amount in processors.items()}
        got = hinted(parts, at)
        desired = {zone: float(Fraction(part) * len(at)) for zone, part in parts.items()}
        less = Fraction(float(1 / Fraction(1.2)))
        minimum = {zone: math.ceil(float(Fraction(amount) * less)) for zone, amount in desired.items()}
        assert isinstance(got, str) == (len(parts) > len(at) or sum(minimum.values()) > len(at))
        if isinstance(got, str):
            return
        assert len(got.zones) == len(at)
        assert got.moved == sum(was != now for was, now in zip(at, got.zones, strict=True))
        for zone in set(at):
            given_away = [now != zone for was, now in zip(at, got.zones, strict=True) if was == zone]
            assert given_away == sorted(given_away, reverse=True)
        wanted = {zone: max(desired[zone], minimum[zone]) for zone in parts}
        assert got.moved == sum(moves_of(wanted, Counter(at)).receiving.values())
        left = {zone: got.zones.count(zone) - Fraction(wanted[zone]) for zone in parts}
        if "z" not in at:  # those of a zone without a part are not shared out, and are missing elsewhere
            assert min(max(left.values()), -min(left.values())) <= 1
        assert all(got.zones[number] == "z" for number, zone in enumerate(at) if zone == "z")

    def test_clients_of_a_zone_meet_what_it_was_given(self) -> None:
        """By the nodes of each zone; what is chance is told once for the Service."""
        nodes = "".join(
            f"{{apiVersion: v1, kind: Node, metadata: {{name: n{number}, labels: {{{ZONE_LABEL}: z{number}}}}}, "
            f"status: {{allocatable: {{cpu: {cpu}}}}}}}\n---\n"
            for number, cpu in ((1, 2), (2, 1))
        )
        pods = "".join(pod(f"p{number}", f"10.0.0.{number}", nodeName="n2") for number in range(1, 7))
        text = service(ports="[{port: 80}]").replace(
            "{name: web}", "{name: web, annotations: {service.kubernetes.io/topology-mode: Auto}}"
        )
        mesh = loads(nodes + pods + text)
        for node, mine in (("n1", "1234"), ("n2", "56")):
            assert set(mesh.service("web", node=node).shares(client()).pods) == {f"default/p{one}" for one in mine}
        (said,) = mesh.diagnostics
        assert (said.code, said.message.partition(";")[0]) == (
            "hints-assumed",
            "hints of 4 of 6 endpoints are for another zone than their own",
        )


class TestKproxy32Ports:
    """KPROXY-32: the name of a port leads to names that have addresses, and to the ports that endpoints have there."""

    @given(
        st.lists(st.tuples(st.sampled_from((0, 8080, 9090)), st.booleans(), st.booleans()), max_size=6), st.booleans()
    )
    def test_every_target_is_an_endpoint(self, some: list[tuple[int, bool, bool]], headless: bool) -> None:
        """Whoever asks for the names in turn, and connects to the ports, meets all ready endpoints, each once."""
        pods = "".join(
            pod(f"p{n}", f"10.0.0.{n + 1}", port=port, ready=ready, hostname=f"h{n}", subdomain="web" if named else "x")
            for n, (port, ready, named) in enumerate(some)
        )
        ports = "[{name: http, port: 80, targetPort: http}]"
        mesh = loads(service(ports=ports, clusterIP="None" if headless else "10.96.0.1") + pods)
        found = mesh.targets("_http._tcp.web")
        if not headless:
            assert found == (("web.default.svc.cluster.local", 80),)
            return
        met = [key(mesh.lookup(f"{host}.", "elsewhere").connect(Connection(port))) for host, port in found]
        ready = [one for one in mesh.service("web").front.ports[0].backends.get("IPv4", ()) if one.ready]
        assert sorted(met) == sorted(one.endpoint.key for one in ready)

    def test_what_is_no_name_of_a_port_is_refused(self) -> None:
        """With what would be one; so is that of a Service that is not there."""
        mesh = loads(service(ports="[{name: http, port: 80}]"))
        for name in ("web", "_http.web", "http._tcp.web", "_http._tcp.wep", "_http._tcp.web.other", "._tcp.web", "__"):
            with pytest.raises(ValueError, match=f"`{name}` is no name of a port of a Service, such as"):
                mesh.targets(name)
        assert mesh.targets("_https._tcp.web") == ()


one = ClusterName("one")
it = EndpointKey("10.0.0.1:80")


class TestState9KubeProxy:
    """STATE-9: what is remembered for kube-proxy folds as all effects do, and older states are read as before."""

    @given(settings, st.lists(st.tuples(clients, st.integers(0, 5000)), max_size=10), U64)
    def test_states_are_values(self, setting: KubeProxy, some: list[tuple[str, int]], seed: int) -> None:
        """Written and read they are the same, and an old one is not changed by what follows."""
        asked, state, at = proxy(3, setting, affinity=2), State(), 0
        for number, (source, later) in enumerate(some):
            at += later
            state = state.after([TimePassed(at)])
            text = msgspec.json.encode(state)
            state.after(asked.connect(client(source), state, Draws.of(seed, number)).effects)
            assert msgspec.json.encode(state) == text
            state = state.after(asked.connect(client(source), state, Draws.of(seed, number)).effects)
            assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state

    def test_a_state_from_before_is_read(self) -> None:
        """And one without anything of kube-proxy is written as it was."""
        old = b'{"cursors":{"one":3},"now":5}'
        assert msgspec.json.encode(msgspec.json.decode(old, type=State)) == old

    def test_ends_without_a_beginning_are_refused(self) -> None:
        """Of connections that close, are forgotten, or were kept."""
        for effect, said in (
            (Lingered(one, it), "no connection is active"),
            (Forgotten(one, it), "no connection is closing"),
            (Released("one", "10.9.0.1", it), "nobody keeps client"),
        ):
            with pytest.raises(StateError, match=said):
                State().after([effect])

    @given(st.lists(st.sampled_from(("open", "close", "forget")), max_size=12))
    def test_active_and_closing_are_counted(self, events: list[str]) -> None:
        """Apart, and no entry for none."""
        state, active, closing = State(), 0, 0
        for event in events:
            if event == "open":
                state, active = state.after([RequestStarted(one, it)]), active + 1
            elif event == "close" and active:
                state, active, closing = state.after([Lingered(one, it)]), active - 1, closing + 1
            elif event == "forget" and closing:
                state, closing = state.after([Forgotten(one, it)]), closing - 1
        assert state.active == ({one: {it: active}} if active else {})
        assert state.inactive == ({one: {it: closing}} if closing else {})

    def test_an_older_entry_of_a_client_does_not_keep_it(self) -> None:
        """A connection to a server that was taken out ends; the client's new entry does not go by it."""
        other = EndpointKey("10.0.0.2:80")
        state = State().after([Persisted("one", "c", it, 1000), Persisted("one", "c", other, 1000)])
        assert state.persisted["one"]["c"].open == 1
        assert state.after([Released("one", "c", it)]) == state

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
    def test_a_client_is_last_when_it_was_seen_last(self, seen: list[tuple[int, int]]) -> None:
        """In each list; `alone` takes it out of all others."""
        state, expected = State(), dict[str, list[str]]()
        for number, (endpoint, source) in enumerate(seen):
            alone = number % 3 == 0
            state = state.after([AffinityHeld("one", EndpointKey(f"e{endpoint}"), f"c{source}", alone=alone)])
            for name, listed in expected.items():
                if f"c{source}" in listed and (alone or name == f"e{endpoint}"):
                    listed.remove(f"c{source}")
            expected.setdefault(f"e{endpoint}", []).append(f"c{source}")
        found = {name: list(lists) for name, lists in state.held.get("one", {}).items()}
        assert found == {name: listed for name, listed in expected.items() if listed}


happenings = st.one_of(
    st.tuples(st.just("connect"), st.integers(0, 9)),
    st.tuples(st.sampled_from(("close", "closing", "forgotten")), st.integers(0, 99)),
    st.tuples(st.just("redial"), st.integers(0, 99)),
    st.tuples(st.just("advance"), st.integers(0, 3000)),
    st.tuples(st.just("follow"), st.integers(1, 4)),
)


class TestState4ServiceSessions:
    """STATE-4: a session over a Service connects as folding does: the same connections, the same state at the end."""

    @given(settings | st.just(KubeProxy("userspace")), st.lists(happenings, max_size=20), U64, st.booleans())
    def test_a_session_is_connect_folded_in_place(
        self, setting: KubeProxy, happened: list[tuple[str, int]], seed: int, sticky: bool
    ) -> None:
        """Connections come, close in any way, are dialed again, endpoints change, time passes; the state is the same
        after each."""

        def service_of(size: int) -> ServiceProxy:
            return proxy(size, setting, affinity=2 if sticky else None)

        asked, state, ordinal = service_of(3), State(), 0
        session = ServiceSession(service_of(3), seed)
        open_, closing = list[Connected](), list[Connected]()
        for what, number in happened:
            if what == "connect":
                got = asked.connect(client(f"10.9.0.{number}"), state, Draws.of(seed, ordinal))
                state, ordinal = state.after(got.effects), ordinal + 1
                assert session.connect(client(f"10.9.0.{number}")) == got
                open_.append(got)
            elif what == "advance":
                state = state.after([TimePassed(state.now + number)])
                session.advance(session.now + number)
            elif what == "follow":
                asked, before = service_of(number), asked
                state = state.after(asked.synced(before, state))
                session.follow(asked)
                assert session.service is asked
            elif what == "forgotten" and closing:
                got = closing.pop(number % len(closing))
                state = state.after(got.forgotten())
                session.forgotten(got)
            elif what in ("close", "closing") and open_:
                got = open_.pop(number % len(open_))
                if what == "closing":
                    closing.append(got)
                state = state.after(got.closing() if what == "closing" else got.finished())
                (session.closing if what == "closing" else session.close)(got)
            elif what == "redial" and setting.mode == "userspace" and open_:
                got = open_.pop(number % len(open_))
                state = state.after(got.finished())
                again = asked.redial(got, state)
                state = state.after(again.effects)
                assert session.redial(got) == again
                if again.endpoint is not None:
                    open_.append(again)
            assert session.state == state
        assert session.ordinal == ordinal

    @given(settings, st.lists(clients, min_size=2, max_size=8), U64)
    def test_a_session_goes_on_from_a_state(self, setting: KubeProxy, sources: list[str], seed: int) -> None:
        """State and ordinal are all there is to it."""
        asked = proxy(4, setting, affinity=5)
        whole, first = ServiceSession(asked, seed), ServiceSession(asked, seed)
        expected = [whole.connect(client(one)) for one in sources]
        half = len(sources) // 2
        got = [first.connect(client(one)) for one in sources[:half]]
        rest = ServiceSession(asked, seed, first.state, first.ordinal)
        assert got + [rest.connect(client(one)) for one in sources[half:]] == expected
        assert rest.state == whole.state

    def test_what_cannot_follow_is_refused(self) -> None:
        """Ends without a beginning, time that runs backwards, another Service, node or mode; nothing changes then."""
        asked = proxy(2, KubeProxy("userspace"))
        session = ServiceSession(asked, state=State(now=5))
        got = session.connect(client())
        session.close(got)
        state = session.state
        with pytest.raises(StateError, match="no request is active"):
            session.close(got)
        with pytest.raises(StateError, match="time went back from 5 to 4"):
            session.advance(4)
        with pytest.raises(StateError, match="no request is active"):
            session.redial(got)
        other = ServiceProxy(replace(asked.front, name="ns/other"), asked.kube_proxy)
        for wrong, said in (
            (other, "over Service `ns/svc` cannot follow Service `ns/other`"),
            (proxy(2, KubeProxy("userspace"), "n1"), "over node `` cannot follow node `n1`"),
            (proxy(2), "over kube-proxy `userspace` cannot follow kube-proxy `iptables`"),
            (proxy(2, KubeProxy("ipvs", "lc")), "cannot follow kube-proxy `ipvs:lc`"),
        ):
            with pytest.raises(ValueError, match=said):
                session.follow(wrong)
        assert (session.state, session.service) == (state, asked)
        with pytest.raises(ValueError, match="unsigned 64-bit"):
            ServiceSession(asked, -1)
