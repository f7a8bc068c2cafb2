"""Balancing and hashing: spec/balance.md, spec/hash.md."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from ipaddress import IPv4Address, IPv6Address
from math import ceil
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Request, State
from meshroute.balance import Ask, Pool, maglev, of_cluster, ring_hash
from meshroute.balance import hosts as placing
from meshroute.balance.request_key import chained
from meshroute.balance.request_key import request_key as request_key_and_cookies
from meshroute.balance.ring_hash import OnRing, Ring
from meshroute.balance.schedule import Schedule
from meshroute.conformance.strategies.tables import U64, endpoints, policies, values
from meshroute.hashing import murmur64, rotate_left, xxhash64
from meshroute.names import ClusterName, EndpointKey
from meshroute.table import (
    Cluster,
    Endpoint,
    HashOnCookie,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    Health,
    LeastRequest,
    Maglev,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
)

CLUSTER = ClusterName("c")


def hosts(count: int, weights: Sequence[int] = ()) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.8.{i // 250}.{i % 250}", 80, weight=weights[i] if weights else 1) for i in range(count))


def build(some: Sequence[Endpoint], sizes: RingHash) -> Ring:
    return ring_hash.build(placing.hosts(some), sizes)


def table_of(some: Sequence[Endpoint], size: int) -> list[int]:
    return list(maglev.build(placing.hosts(some), size))


def request_key(policies: Sequence[HashPolicy], request: Request) -> int | None:
    return request_key_and_cookies(policies, request, Draws()).value


def pool_of(policy: Policy, some: tuple[Endpoint, ...]) -> Pool:
    """All that one priority of endpoints comes down to."""
    pool = of_cluster(Cluster(CLUSTER, policy, some)).only
    assert pool is not None
    return pool


def pick(policy: Policy, some: tuple[Endpoint, ...], asked: Ask) -> Endpoint:
    pool = pool_of(policy, some)
    assert pool.picker is not None
    return pool.placed[pool.picker.pick(asked)].endpoint


def ask(
    draws: dict[str, int] | None = None,
    cursor: int = 0,
    active: dict[EndpointKey, int] | None = None,
    key: int = 0,
    start: int = 0,
) -> Ask:
    state = State({CLUSTER: cursor}, {CLUSTER: active or {}}, {CLUSTER: start}, {CLUSTER: cursor})
    return Ask(Draws.of(given=draws), state, key)


class TestBal1Health:
    """BAL-1: endpoints that are not healthy are never chosen; the others keep their order."""

    @given(endpoints())
    def test_what_is_left_is_the_healthy_ones_in_order(self, some: tuple[Endpoint, ...]) -> None:
        """A sub-sequence, with nobody missing."""
        placed = [one.endpoint for one in pool_of(RoundRobin(), some).placed]
        assert placed == [one for one in some if one.health is Health.HEALTHY]

    @given(endpoints(), policies, st.integers(0, 2**64 - 1), st.integers(0, 9))
    def test_no_policy_picks_a_sick_one(
        self, some: tuple[Endpoint, ...], policy: Policy, draw: int, cursor: int
    ) -> None:
        """Whatever is drawn; and nobody is picked where nobody is healthy."""
        if pool_of(policy, some).picker is None:
            assert all(one.health is not Health.HEALTHY for one in some)
        else:
            asked = ask({"priority": draw, "host.0": draw, "host.1": draw >> 3, "host.2": draw >> 7}, cursor, key=draw)
            assert pick(policy, some, asked).health is Health.HEALTHY


class TestRr1RoundRobin:
    """RR-1: endpoint number `cursor mod n`; the cursor keeps its value when endpoints come and go."""

    @given(st.integers(1, 9), U64, st.integers(0, 100))
    def test_the_start_is_where_the_count_begins(self, size: int, start: int, cursor: int) -> None:
        """As a number of 64 bits that wraps round."""
        some = hosts(size)
        assert pick(RoundRobin(), some, ask(start=start, cursor=cursor)) == some[(start + cursor) % 2**64 % size]

    @given(st.integers(1, 9), st.integers(0, 2**64 - 100))
    def test_any_n_picks_in_a_row_take_each_endpoint_once(self, size: int, start: int) -> None:
        """Evenness: no endpoint is ever a turn ahead of another by more than one."""
        some = hosts(size)
        picked = [pick(RoundRobin(), some, ask(cursor=start + turn)) for turn in range(size)]
        assert Counter(picked) == Counter(some)

    @given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 100))
    def test_a_change_of_size_goes_on_from_the_same_count(self, before: int, after: int, cursor: int) -> None:
        """After any change, the next is the count modulo the new number."""
        assert pick(RoundRobin(), hosts(before), ask(cursor=cursor)) == hosts(before)[cursor % before]
        assert pick(RoundRobin(), hosts(after), ask(cursor=cursor + 1)) == hosts(after)[(cursor + 1) % after]


unequal = st.lists(st.integers(1, 12), min_size=2, max_size=6).filter(lambda weights: len(set(weights)) > 1)


class TestRr2Weights:
    """RR-2: unequal weights take turns by earliest deadline, from the picks that the start pretends were made."""

    @given(unequal, st.integers(0, 40))
    def test_a_round_gives_each_endpoint_its_weight(self, weights: list[int], rounds: int) -> None:
        """From a start of whole rounds, the next round of picks is shared out exactly."""
        schedule = Schedule(weights, rounds * sum(weights))
        picks = Counter(schedule.pick(number) for number in range(sum(weights)))
        assert [picks[number] for number in range(len(weights))] == weights

    @given(unequal, st.integers(0, 2**40), st.lists(st.integers(0, 300), min_size=1, max_size=20))
    def test_a_pick_depends_on_weights_start_and_number_alone(
        self, weights: list[int], start: int, asked: list[int]
    ) -> None:
        """In any order, again and again, from one schedule and from new ones; bits above the 32nd do not count."""
        used = Schedule(weights, start)
        for number in asked:
            assert used.pick(number) == Schedule(weights, start).pick(number)
            assert used.pick(number) == Schedule(weights, start + 2**32).pick(number)

    def test_forgetting_early_picks_changes_none(self) -> None:
        """Far beyond the window that is kept, then back to the first."""
        schedule = Schedule([3, 7, 1], 5)
        first = [schedule.pick(number) for number in range(50)]
        assert schedule.pick(20_000) == Schedule([3, 7, 1], 5).pick(20_000)
        assert [schedule.pick(number) for number in range(50)] == first

    @given(unequal, st.integers(0, 1000))
    def test_from_no_start_the_heaviest_goes_first(self, weights: list[int], cursor: int) -> None:
        """And the picker is the schedule."""
        some = hosts(len(weights), weights)
        assert pick(RoundRobin(), some, ask()) == some[weights.index(max(weights))]
        schedule = Schedule(weights, 7)
        assert pick(RoundRobin(), some, ask(start=7, cursor=cursor)) == some[schedule.pick(cursor)]


class TestRand1Random:
    """RAND-1: endpoint number `priority mod n`; weights do not count."""

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=9), U64)
    def test_the_draw_modulo_the_number(self, weights: list[int], draw: int) -> None:
        """As if all weights were one."""
        some = hosts(len(weights), weights)
        assert pick(RandomChoice(), some, ask({"priority": draw})) == some[draw % len(some)]


class TestLr1LeastRequest:
    """LR-1: of the drawn endpoints the one with the fewest requests in flight; a tie keeps the earlier draw."""

    @given(
        st.integers(1, 5),
        st.lists(st.integers(0, 30), min_size=2, max_size=4),
        st.lists(st.integers(0, 3), min_size=5, max_size=5),
    )
    def test_the_first_of_the_least_busy_draws(self, size: int, drawn: list[int], busy: list[int]) -> None:
        """Equal to sorting the draws by how busy they are, stably."""
        some = hosts(size)
        active = {one.key: busy[number] for number, one in enumerate(some) if busy[number]}
        draws = {f"host.{number}": draw for number, draw in enumerate(drawn)}
        expected = min((draw % size for draw in drawn), key=lambda number: busy[number])
        assert pick(LeastRequest(len(drawn)), some, ask(draws, active=active)) == some[expected]

    def test_a_busy_endpoint_of_two_is_still_picked_one_time_in_four(self) -> None:
        """Over all pairs of draws: both hit it, which is one pair of four."""
        some = hosts(2)
        active = {some[0].key: 9}
        picks = Counter(
            pick(LeastRequest(), some, ask({"host.0": a, "host.1": b}, active=active)) for a in (0, 1) for b in (0, 1)
        )
        assert picks == {some[0]: 1, some[1]: 3}


def sizes() -> st.SearchStrategy[RingHash]:
    return st.builds(RingHash, st.sampled_from((1, 2, 3, 16, 64)))


weight_lists = st.lists(st.integers(1, 9), min_size=1, max_size=7)


@st.composite
def rings_and_edge_keys(draw: st.DrawFn) -> tuple[Ring, int]:
    """A ring, and a key on one of its points or one beside it: where off-by-ones live."""
    ring = build(hosts(7, draw(st.lists(st.integers(1, 9), min_size=7, max_size=7))), draw(sizes()))
    return ring, (draw(st.sampled_from(ring.points)) + draw(st.sampled_from((-1, 0, 1)))) % 2**64


class TestRing1Building:
    """RING-1: each endpoint holds its share of the scaled ring, entries being hashes of its address and a number."""

    @given(weight_lists, sizes())
    def test_entries_are_the_hashes_of_address_and_number_in_order(self, weights: list[int], wanted: RingHash) -> None:
        """Each endpoint's entries are number 0 upwards, and the points ascend."""
        some = hosts(len(weights), weights)
        ring = build(some, wanted)
        held = Counter(ring.owners)
        assert sorted(ring.points) == list(ring.points)
        assert sorted(zip(ring.points, ring.owners, strict=True)) == sorted(
            (xxhash64(f"{one.key}_{replica}".encode()), number)
            for number, one in enumerate(some)
            for replica in range(held[number])
        )

    @given(weight_lists, sizes())
    def test_an_endpoint_is_at_most_one_entry_from_its_due(self, weights: list[int], wanted: RingHash) -> None:
        """Due in exact fractions; the doubles of the real thing may cost or give one entry, never two."""
        total = sum(weights)
        least = Fraction(min(weights), total)
        scale = min(ceil(float(least) * wanted.minimum) / least, Fraction(wanted.maximum))
        held = Counter(build(hosts(len(weights), weights), wanted).owners)
        assert all(abs(held[number] - scale * weight / total) <= 1 for number, weight in enumerate(weights))

    @given(weight_lists, sizes())
    def test_the_ring_is_as_large_as_its_running_sum_says(self, weights: list[int], wanted: RingHash) -> None:
        """The number of entries is the running sum of doubles, rounded up."""
        total = sum(weights)
        shares = [weight * 1.0 / total for weight in weights]
        scale = min(ceil(min(shares) * wanted.minimum) / min(shares), float(wanted.maximum))
        # Not `sum`: from Python 3.12 on it corrects its rounding, which Envoy does not.
        size = reduce(add, (scale * share for share in shares), 0.0)
        assert len(build(hosts(len(weights), weights), wanted).points) == ceil(size)

    def test_the_sizes_at_which_rounding_gives_the_first_endpoint_an_entry_more(self) -> None:
        """Of 1 to 300 equal endpoints at the default minimum, exactly these, as Envoy 1.40.0 has it."""
        uneven = []
        for size in range(1, 301):
            held = Counter(build(hosts(size), RingHash()).owners)
            if len(set(held.values())) > 1:
                assert held[0] == held[1] + 1
                assert len({held[number] for number in range(1, size)}) == 1
                uneven.append(size)
        assert uneven == [75, 77, 91, 93, 99, 105, 117, 150, 154, 182, 186, 198, 210, 221, 227, 245, 249]

    @given(st.ip_addresses(v=6), st.integers(1, 65535))
    def test_an_ipv6_address_is_hashed_in_its_canonical_form(
        self, address: IPv4Address | IPv6Address, port: int
    ) -> None:
        """However it was written."""
        rings = [build((Endpoint(text, port),), RingHash(3)) for text in (str(address), address.exploded.upper())]
        assert rings[0].points == rings[1].points


class TestRing2Lookup:
    """RING-2: a key belongs to the first entry at or after it; past the last entry, to the first."""

    @given(rings_and_edge_keys())
    def test_the_search_agrees_with_a_walk_from_the_start(self, case: tuple[Ring, int]) -> None:
        """On the points themselves and right beside them."""
        ring, key = case
        at_or_after = [number for number, point in enumerate(ring.points) if point >= key]
        assert ring.entry(key) == (at_or_after or [0])[0]

    @given(rings_and_edge_keys())
    def test_the_picker_answers_for_the_entry(self, case: tuple[Ring, int]) -> None:
        """The same as the owner of the entry."""
        _, key = case
        some = hosts(7)
        ring = build(some, RingHash(16))
        assert pick(RingHash(16), some, ask(key=key)) == some[ring.owners[ring.entry(key)]]

    @given(st.lists(U64 | st.sampled_from((0, 2**64 - 1)), min_size=1, max_size=40), U64, st.integers(0, 3))
    def test_narrowing_down_by_upper_bits_changes_nothing(self, drawn: list[int], key: int, attempt: int) -> None:
        """Rings with crowds of points, and with none for long; at each point, beside it and at both ends."""
        points = sorted([*drawn, *(min(point + step, 2**64 - 1) for point in drawn[:3] for step in range(9))])
        ring = Ring(tuple(points), tuple(range(len(points))))
        picker = OnRing(ring, len(points))
        for asked in {key, 0, 2**64 - 1, *(min(max(at + step, 0), 2**64 - 1) for at in points for step in (-1, 0, 1))}:
            entry = (ring.entry(asked) + attempt) % len(points)
            assert picker.pick(Ask(Draws(), State(), asked, attempt)) == entry


class TestRing3Scaling:
    """RING-3: with the others' entries unchanged, only keys of those that came or went move; otherwise others move
    too."""

    @given(weight_lists, st.integers(1, 9), st.lists(U64, min_size=1, max_size=50))
    def test_only_keys_of_a_leaving_endpoint_move_if_the_others_keep_their_entries(
        self, weights: list[int], factor: int, keys: list[int]
    ) -> None:
        """Rings whose survivors hold the same entries before and after: every other key keeps its endpoint."""
        some = hosts(len(weights) + 1, [*weights, factor])
        before, after = build(some, RingHash(16)), build(some[:-1], RingHash(16))
        last = len(weights)
        kept = [(point, owner) for point, owner in zip(before.points, before.owners, strict=True) if owner != last]
        if kept != list(zip(after.points, after.owners, strict=True)):
            # The law says nothing here; make it say something with the ring that the survivors would have kept.
            after = Ring(tuple(point for point, _ in kept), tuple(owner for _, owner in kept))
        for key in [*keys, *after.points]:
            owner = before.owners[before.entry(key)]
            if owner != last and kept:
                assert after.owners[after.entry(key)] == owner

    @given(st.integers(1, 6), st.lists(U64, min_size=1, max_size=50))
    def test_equal_endpoints_with_a_whole_number_of_entries_each_are_stable(self, size: int, keys: list[int]) -> None:
        """A minimum that the number of endpoints divides both times leaves 64 entries each: growth takes, and only
        takes."""
        before = build(hosts(size), RingHash(64 * size))
        after = build(hosts(size + 1), RingHash(64 * (size + 1)))
        for key in keys:
            was, now = before.owners[before.entry(key)], after.owners[after.entry(key)]
            assert now in (was, size)

    def test_the_textbook_law_is_false_at_the_default_minimum(self) -> None:
        """From four endpoints to three, 1,024 entries at least: entries each go from 256 to 342, and keys move between
        survivors. The exact share of the key space, summed over the arcs, is far from none."""
        before, after = build(hosts(4), RingHash()), build(hosts(3), RingHash())
        points = sorted({*before.points, *after.points})
        moved = staying = 0
        for low, high in zip([points[-1] - 2**64, *points], points, strict=False):
            was = before.owners[bisect_left(before.points, high) % len(before.points)]
            now = after.owners[bisect_left(after.points, high) % len(after.points)]
            if was != 3:
                staying += high - low
                moved += (high - low) * (was != now)
        assert Fraction(1, 10) < Fraction(moved, staying) < Fraction(1, 5)


PRIMES = (2, 3, 5, 7, 11, 31, 101)


def fill_by_hand(some: Sequence[Endpoint], size: int) -> list[int]:
    """The words of MAGLEV-1, slot by slot, with permutations written out whole."""
    total = sum(one.weight for one in some)
    shares = [one.weight * 1.0 / total for one in some]
    order = sorted(range(len(some)), key=lambda number: some[number].key)
    permutations = {
        number: iter(
            [
                (xxhash64(some[number].key.encode()) + n * (xxhash64(some[number].key.encode(), 1) % (size - 1) + 1))
                % size
                for n in range(size)
            ]
        )
        for number in order
    }
    slots: dict[int, int] = {}
    targets = dict.fromkeys(order, 0.0)
    for turn in range(1, 100 * size):
        for number in order:
            if len(slots) == size:
                return [slots[slot] for slot in range(size)]
            if turn * shares[number] >= targets[number]:
                targets[number] += max(shares)
                slots[next(slot for slot in permutations[number] if slot not in slots)] = number
    raise AssertionError("the table was never full")


class TestMaglev1Filling:
    """MAGLEV-1: a table of M slots is filled in turns, each endpoint along its own permutation."""

    @given(weight_lists, st.sampled_from(PRIMES))
    def test_the_table_is_the_one_that_the_words_give(self, weights: list[int], size: int) -> None:
        """Slot by slot, with and without weights."""
        some = hosts(len(weights), weights)
        assert (table_of(some, size)) == fill_by_hand(some, size)

    @pytest.mark.parametrize("size", [0, 1, 4, 9, 65536, 5_000_013])
    def test_sizes_that_are_no_prime_or_too_large_are_refused(self, size: int) -> None:
        """1 is refused too: the proxy takes it for a prime and fails."""
        with pytest.raises(ValueError, match="prime number of slots"):
            Maglev(size)


class TestMaglev2Lookup:
    """MAGLEV-2: a key belongs to the endpoint of slot key mod M."""

    @given(weight_lists, st.sampled_from(PRIMES), U64)
    def test_the_picker_looks_in_the_slot(self, weights: list[int], size: int, key: int) -> None:
        """The same as the table."""
        some = hosts(len(weights), weights)
        assert pick(Maglev(size), some, ask(key=key)) == some[table_of(some, size)[key % size]]


class TestMaglev3Order:
    """MAGLEV-3: the order of endpoints does not matter; equal shares hold slots that differ by one at most."""

    @given(st.permutations(range(6)), st.lists(st.integers(1, 9), min_size=6, max_size=6), st.sampled_from(PRIMES))
    def test_a_permuted_list_gives_the_same_owners(self, order: list[int], weights: list[int], size: int) -> None:
        """By address, slot for slot. Shares are compared as doubles, which the order of a sum of integers cannot
        change."""
        some = hosts(6, weights)
        shuffled = tuple(some[number] for number in order)
        owners = [some[number].key for number in table_of(some, size)]
        assert [shuffled[number].key for number in table_of(shuffled, size)] == owners

    @given(st.integers(1, 12), st.sampled_from(PRIMES))
    def test_equal_endpoints_are_at_most_one_slot_apart(self, count: int, size: int) -> None:
        """Also where there are more endpoints than slots."""
        held = Counter(table_of(hosts(count), size))
        slots = [held[number] for number in range(count)]
        assert max(slots) - min(slots) <= 1


class TestHash6Cookies:
    """HASH-6: the key of a cookie is that of the first one of its name, without quotes; empty or missing gives none."""

    @given(
        st.lists(
            st.tuples(st.sampled_from(("sid", "SID", "x")), st.sampled_from(("", "a", '"a"', '"', "a=b"))), max_size=4
        )
    )
    def test_the_first_cookie_of_the_name(self, sent: list[tuple[str, str]]) -> None:
        """In one line or in several, with blanks before the name."""
        first = next((value for name, value in sent if name == "sid"), "")
        bare = first[1:-1] if first == '"a"' else first
        expected = xxhash64(bare.encode()) if bare else None
        one_line = "; ".join(f"{name}={value}" for name, value in sent)
        for lines in ([one_line], [f"{name}={value}" for name, value in sent]):
            request = Request("GET", "h", "/", tuple(("cookie", line) for line in lines))
            assert request_key((HashOnCookie("sid"),), request) == expected


class TestHash7Queries:
    """HASH-7: the key of a query parameter is that of the first value of the name, as written."""

    @given(st.lists(st.tuples(st.sampled_from("kK"), st.sampled_from(("", "a", "%61", "a=b"))), max_size=3))
    def test_the_first_value(self, sent: list[tuple[str, str]]) -> None:
        """Nothing is decoded; an empty value is a value."""
        query = "&".join(f"{name}={value}" for name, value in sent)
        first = next((value for name, value in sent if name == "k"), None)
        expected = None if first is None else xxhash64(first.encode())
        assert request_key((HashOnQuery("k"),), Request("GET", "h", f"/?{query}")) == expected


class TestHash8Addresses:
    """HASH-8: the key of the client's address is that of its canonical text."""

    @given(st.ip_addresses())
    def test_any_spelling_gives_the_key_of_the_canonical_one(self, address: IPv4Address | IPv6Address) -> None:
        """Written out in full and in upper case; no address, no key."""
        request = Request("GET", "h", "/", source_ip=address.exploded.upper())
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        text = f"::ffff:{mapped}" if mapped else str(address)
        assert request_key((HashOnSourceIp(),), request) == xxhash64(text.encode())
        assert request_key((HashOnSourceIp(),), Request("GET", "h", "/")) is None


class TestHash9Terminal:
    """HASH-9: after a terminal policy no other is asked if there is a key."""

    @given(st.lists(st.tuples(st.sampled_from(("a", "b", "missing")), st.booleans()), max_size=5))
    def test_it_is_as_if_the_list_ended_there(self, asked: list[tuple[str, bool]]) -> None:
        """Also where the terminal policy itself came away empty, but an earlier one did not."""
        request = Request("GET", "h", "/", (("a", "1"), ("b", "2")))
        policies = [HashOnHeader(name, terminal) for name, terminal in asked]
        cut = next(
            (
                n + 1
                for n, (_, terminal) in enumerate(asked)
                if terminal and any(name != "missing" for name, _ in asked[: n + 1])
            ),
            len(asked),
        )
        assert request_key(policies, request) == request_key(
            [HashOnHeader(one.name) for one in policies[:cut]], request
        )


class TestHash1And2:
    """HASH-1, HASH-2: the two hash functions are deterministic, 64 bits wide, and differ from one text to the next."""

    @given(st.binary(max_size=40), U64)
    def test_they_fit_64_bits_and_depend_on_every_byte(self, data: bytes, seed: int) -> None:
        """Changing the last byte changes the hash (a collision would be news)."""
        other = data[:-1] + bytes([(data[-1] + 1) % 256]) if data else b"x"
        assert 0 <= xxhash64(data, seed) < 2**64
        assert 0 <= murmur64(data) < 2**64
        assert xxhash64(data, seed) != xxhash64(other, seed)
        assert murmur64(data) != murmur64(other)


class TestHash3HeaderKeys:
    """HASH-3: the values of a header, sorted and chained; a header that is not sent gives no key."""

    @given(st.lists(values, min_size=1, max_size=4))
    def test_the_order_of_lines_does_not_matter(self, sent: list[str]) -> None:
        """Reversed and sorted lines hash alike; one line hashes as its text."""
        assert chained(sent) == chained(sent[::-1]) == chained(sorted(sent))
        assert chained(sent[:1]) == xxhash64(sent[0].encode("latin-1"))
        assert chained(sent) == reduce(lambda key, value: xxhash64(value.encode("latin-1"), key), sorted(sent), 0)

    @given(st.lists(values, max_size=3))
    def test_no_line_no_key(self, sent: list[str]) -> None:
        """An empty value is a value."""
        request = Request("GET", "h", "/", tuple(("x-user", value) for value in sent))
        key = request_key((HashOnHeader("x-user"),), request)
        assert key == (chained(sent) if sent else None)


class TestHash4Combination:
    """HASH-4: key = hash XOR rotl(key, 1) for each policy that has a hash."""

    @given(st.lists(st.sampled_from(("a", "b", "missing")), max_size=5))
    def test_folding_by_hand_gives_the_same_key(self, names: list[str]) -> None:
        """Policies without a value are passed over, not counted as zero."""
        request = Request("GET", "h", "/", (("a", "1"), ("b", "2")))
        key: int | None = None
        for name in names:
            if name != "missing":
                found = xxhash64({"a": b"1", "b": b"2"}[name])
                key = found if key is None else rotate_left(key, 1) ^ found
        assert request_key([HashOnHeader(name) for name in names], request) == key
