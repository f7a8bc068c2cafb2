"""Sixteen things about Envoy's balancing that are easily got wrong, one test each: what meshroute does about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest

from meshroute import Draws, Request, State, moved
from meshroute.balance import Around, ByLocality, Pool, of_cluster
from meshroute.balance.bounded import shuffled
from meshroute.balance.hosts import hash_key, hosts
from meshroute.balance.localities import ordered
from meshroute.balance.maglev import build as table_of
from meshroute.balance.outlier import answered
from meshroute.balance.priority import Counted, counted, loads, percent
from meshroute.balance.request_key import request_key
from meshroute.balance.ring_hash import build as ring_of
from meshroute.balance.schedule import Schedule
from meshroute.conformance.strategies.clusters import CLUSTER, REQUEST, equal, router_to
from meshroute.decision import NO_HEALTHY_HOST
from meshroute.hashing import rotate_left, xxhash64
from meshroute.names import ClusterName, EndpointKey
from meshroute.record import HostRecord
from meshroute.state import Refreshed, RequestStarted
from meshroute.table import (
    Cluster,
    Endpoint,
    HashOnHeader,
    HashOnQuery,
    Health,
    LeastRequest,
    LocalityWeight,
    Maglev,
    OutlierDetection,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    ZoneAware,
)


def entries_of(count: int, sizes: RingHash, weights: Sequence[int] = ()) -> list[int]:
    """How many entries of a ring each of so many endpoints has."""
    held = Counter(ring_of(hosts(equal(count, weights)), sizes).owners)
    return [held[number] for number in range(count)]


def picks(cluster: Cluster, count: int, state: State | None = None, locality: str = "") -> tuple[list[str], State]:
    """Whom so many requests meet that end at once, and the state after them."""
    router, now, found = router_to(cluster, locality=locality), state or State(), []
    for _ in range(count):
        decision = router.decide(REQUEST, now)
        found.append(str(decision.endpoint.key) if decision.endpoint is not None else "")
        now = now.after((*decision.effects, *decision.finished()))
    return found, now


def met(cluster: Cluster, state: State | None = None, **draws: int) -> Endpoint | None:
    given = {name.replace("_", "."): value for name, value in draws.items()}
    return router_to(cluster).decide(REQUEST, state or State(), Draws.of(given=given)).endpoint


def in_health(letters: str, priority: int = 0) -> tuple[Endpoint, ...]:
    """Endpoints by a letter each: healthy, degraded, unhealthy, draining (R)."""
    healths = {"H": Health.HEALTHY, "D": Health.DEGRADED, "U": Health.UNHEALTHY, "R": Health.DRAINING}
    return tuple(
        Endpoint(f"10.8.{priority}.{at}", 80, health=healths[letter], priority=priority)
        for at, letter in enumerate(letters)
    )


def count_of(letters: str) -> Counted:
    return counted(in_health(letters))


def test_trap_01_ring_shares_are_running_sums_of_doubles() -> None:
    """1. Ring shares are floating-point running sums; `ceil(min/N)` for each host is wrong for many N and for all rings
    that are capped or weighted."""
    assert entries_of(74, RingHash()) == [14] * 74
    assert entries_of(75, RingHash()) == [15] + [14] * 74  # not ceil(1024 / 75) for everybody
    assert entries_of(4, RingHash(2, 2)) == [1, 0, 1, 0]
    assert entries_of(2, RingHash(1023, 1023)) == [512, 511]
    assert entries_of(3, RingHash(6, 6), (1, 2, 3)) == [1, 2, 3]


def test_trap_02_a_host_that_leaves_a_small_ring_moves_keys_between_survivors() -> None:
    """2. Removing a host from a small ring moves keys between survivors: entries for each host change with N."""
    before, after = (Cluster(CLUSTER, RingHash(), equal(count)) for count in (10, 9))
    gone = equal(10)[9].key

    def collateral(one: Cluster, other: Cluster) -> Fraction:
        flows = moved(one, other).flows
        return sum((share for (a, b), share in flows.items() if a not in (b, gone)), Fraction(0))

    assert (entries_of(10, RingHash()), entries_of(9, RingHash())) == ([103] * 10, [114] * 9)
    assert Fraction(6, 100) < collateral(before, after) < Fraction(10, 100)
    # 90 divides by both: the same entries before and after, and only the keys of the host that left move.
    fitting = [Cluster(CLUSTER, RingHash(90 * size, 90 * size), equal(size)) for size in (10, 9)]
    assert collateral(*fitting) == 0


def test_trap_03_hosts_are_hashed_by_address_and_their_order_counts_on_rings_only() -> None:
    """3. The host key is `ip:port` (IPv6 in brackets), never the pod's name; the order of hosts matters for the ring,
    not for Maglev."""
    assert hash_key(Endpoint("10.8.0.1", 80, "shop/web-1", hostname="web-1")) == "10.8.0.1:80"
    assert hash_key(Endpoint("FD00:0::1", 80)) == "[fd00::1]:80"
    some = equal(75)
    listed, turned = hosts(some), hosts(some[::-1])

    def by_key(keys: Sequence[str], owners: Sequence[int]) -> list[str]:
        return [keys[number] for number in owners]

    rings = [by_key(one.keys, ring_of(one, RingHash()).owners) for one in (listed, turned)]
    tables = [by_key(one.keys, table_of(one, 101)) for one in (listed, turned)]
    assert rings[0] != rings[1]
    assert tables[0] == tables[1]


def test_trap_04_header_lines_are_chained_policies_rotated_and_queries_not_decoded() -> None:
    """4. Several header lines are sorted and seed-chained, not joined; several policies rotate and XOR; values of
    queries are hashed undecoded."""
    lines = Request("GET", "h", "/?q=%61+b", (("x", "b"), ("x", "a"), ("y", "1")))
    x, y = HashOnHeader("x"), HashOnHeader("y")
    chained, one = xxhash64(b"b", xxhash64(b"a")), xxhash64(b"1")
    assert request_key((x,), lines, Draws()).value == chained
    assert request_key((x, y), lines, Draws()).value == rotate_left(chained, 1) ^ one
    assert request_key((y, y), lines, Draws()).value == rotate_left(one, 1) ^ one
    assert request_key((HashOnQuery("q"),), lines, Draws()).value == xxhash64(b"%61+b")


def test_trap_05_the_request_s_hash_chooses_the_priority_too() -> None:
    """5. The request hash also picks the priority: `hash mod 100 + 1`."""
    some = (*in_health("HU"), *in_health("H", 1))  # 70 of a hundred for priority 0
    for policy in (RingHash(), Maglev()):
        cluster = Cluster(CLUSTER, policy, some)
        priorities = [one.priority for key in (0, 69, 70, 99, 100, 2**64 - 1) if (one := met(cluster, key=key))]
        assert priorities == [0, 0, 1, 1, 0, 0]
        router = router_to(cluster, hashed=[HashOnHeader("x")])
        for user in ("a", "b", "c", "d", "e", "f"):
            endpoint = router.decide(Request.of("GET", "http://any/", [("x", user)])).endpoint
            assert endpoint is not None
            assert endpoint.priority == (xxhash64(user.encode()) % 100 >= 70)


@pytest.mark.parametrize("policy", [RingHash(), Maglev(101)])
def test_trap_06_what_rings_and_tables_never_do(policy: Policy) -> None:
    """6. Ring and Maglev never use degraded hosts, a retry's priority, `fail_traffic_on_panic`, locality weights scaled
    by health, or zone-aware routing."""
    assert {met(Cluster(CLUSTER, policy, in_health("D")), key=key) for key in range(100)} == {None}
    # A retry stays on the priority that failed.
    two = Cluster(CLUSTER, policy, (*in_health("H"), *in_health("H", 1)))
    router = router_to(two)
    first = router.decide(REQUEST)
    again = router.retry(REQUEST, first)
    assert first.endpoint is not None
    assert again.endpoint == first.endpoint
    # In a panic that answers nobody in turns, rings and tables answer.
    panic = Cluster(CLUSTER, policy, in_health("UU"), panic=50.0, zone_aware=ZoneAware(fail_on_panic=True))
    assert met(panic, key=1) is not None
    assert met(Cluster(CLUSTER, RoundRobin(), panic.endpoints, panic=50.0, zone_aware=panic.zone_aware)) is None
    # One of four is well in the one locality, and it has half of the shares nevertheless.
    zoned = tuple(
        Endpoint(f"10.8.{zone}.{at}", 80, health=Health.HEALTHY if at == 0 else Health.UNHEALTHY, locality=f"r/{zone}")
        for zone, size in ((0, 4), (1, 1))
        for at in range(size)
    )
    weights = (LocalityWeight("r/0", 1), LocalityWeight("r/1", 1))
    (band,) = of_cluster(Cluster(CLUSTER, policy, zoned, overprovisioning=500, locality_weights=weights)).bands
    assert isinstance(band.part, Pool)
    well = [one for one in zoned if one.health is Health.HEALTHY]
    assert hosts(well, ("r/0", "r/1"), {"r/0": 1, "r/1": 1}).shares == (0.5, 0.5)
    assert [one.endpoint for one in band.part.placed] == well
    # With callers next door, the own locality keeps nothing.
    peers = Cluster(ClusterName("peers"), RandomChoice(), tuple(zoned))
    plain = Cluster(CLUSTER, policy, tuple(well), zone_aware=ZoneAware(minimum_hosts=1, force_local=True))
    near = router_to(plain, peers, locality="r/0", local="peers")
    assert near.shares(REQUEST).by_endpoint == router_to(plain).shares(REQUEST).by_endpoint
    drawn = Cluster(CLUSTER, RandomChoice(), tuple(well), zone_aware=plain.zone_aware)
    turns = router_to(drawn, peers, locality="r/0", local="peers")
    assert turns.shares(REQUEST).by_endpoint == {"10.8.0.0:80": 1}


def test_trap_07_whole_percentages_29_57_58() -> None:
    """7. Whole percentages 29, 57, 58 become 28, 56, 57; fractions truncate."""
    assert [percent(float(value)) for value in (29, 57, 58)] == [28, 56, 57]
    assert [whole for whole in range(101) if percent(float(whole)) != whole] == [29, 57, 58]
    assert [percent(value) for value in (33.6, 0.9, 99.999)] == [33, 0, 99]
    # Two of seven are 28.57 percent: no panic at 29, and one at 30.
    cluster = Cluster(CLUSTER, RoundRobin(), in_health("HHUUUUU"), panic=29.0)
    assert picks(cluster, 3)[0] == ["10.8.0.0:80", "10.8.0.1:80", "10.8.0.0:80"]
    assert len(set(picks(Cluster(CLUSTER, RoundRobin(), cluster.endpoints, panic=30.0), 7)[0])) == 7


def test_trap_08_panic_needs_less_than_everything_and_draining_hosts_serve_in_it() -> None:
    """8. Panic needs a total availability below 100; a priority of which all drain panics and is then served."""
    assert loads([count_of("HUUUUUUU"), count_of("HHHH")], 50, 140).panics == (False, False)
    assert loads([count_of("HUUUUUUU"), count_of("HUUU")], 50, 140).panics == (True, True)
    assert picks(Cluster(CLUSTER, RoundRobin(), in_health("RR"), panic=50.0), 2)[0] == ["10.8.0.0:80", "10.8.0.1:80"]
    off = router_to(Cluster(CLUSTER, RoundRobin(), in_health("RR"), panic=0.0)).decide(REQUEST)
    assert off.outcome == NO_HEALTHY_HOST


def test_trap_09_weights_of_80_and_20_are_not_4_and_1() -> None:
    """9. Weighted round robin is a schedule by deadlines with 1e-13 added to the initial weights; sequences for 80:20
    differ from those for 4:1, and not only by rotation."""

    def sequences(weights: Sequence[int]) -> set[tuple[int, ...]]:
        found = set()
        for start in range(1000):
            schedule = Schedule(weights, start)
            found.add(tuple(schedule.pick(number) for number in range(300)))
        return found

    # Rotations of one cycle would be as many as the weights sum to: 5, and 100 at most.
    plain, hundred = sequences((4, 1)), sequences((80, 20))
    assert (len(plain), len(hundred)) == (5, 327)
    from_nothing = [[one.pick(number) for number in range(300)] for one in (Schedule((4, 1), 0), Schedule((80, 20), 0))]
    assert from_nothing[0] != from_nothing[1]


def test_trap_10_what_changes_of_the_endpoints_do_to_turns() -> None:
    """10. Unweighted round robin keeps its cursor over membership changes; weighted restarts from the same seed; the
    schedule of localities restarts from a new seed."""
    plain = [Cluster(CLUSTER, RoundRobin(), equal(size)) for size in (3, 4)]
    _, state = picks(plain[0], 5)
    assert picks(plain[1], 2, state.after([Refreshed(CLUSTER)]))[0] == ["10.8.0.1:80", "10.8.0.2:80"]
    weighted = Cluster(CLUSTER, RoundRobin(), equal(2, (1, 2)))
    first, state = picks(weighted, 5, State(starts={CLUSTER: 7}))
    assert picks(weighted, 5, state)[0] != first
    assert picks(weighted, 5, state.after([Refreshed(CLUSTER)]))[0] == first
    zoned = tuple(Endpoint(f"10.8.0.{at}", 80, locality=f"r/{at}") for at in range(2))
    weights = (LocalityWeight("r/0", 1), LocalityWeight("r/1", 2))
    cluster = Cluster(CLUSTER, RoundRobin(), zoned, locality_weights=weights)
    turns = "c#0/healthy:localities"
    first, state = picks(cluster, 5, State(starts={CLUSTER: 7, turns: 0}))
    again, _ = picks(cluster, 5, state.after([Refreshed(CLUSTER, 0, {turns: 1})]))
    expected = [[zoned[Schedule([1.0, 2.0], start).pick(n)].key for n in range(5)] for start in (0, 1)]
    assert [first, again] == expected
    assert first != again


def test_trap_11_least_request_draws_with_replacement_and_keeps_the_first_of_equals() -> None:
    """11. Least request draws with replacement, strict `<`, ties to the first draw; with 2 hosts the busier one still
    wins 25 %."""
    two = Cluster(CLUSTER, LeastRequest(), equal(2))
    busy = State(active={CLUSTER: {equal(2)[0].key: 9}})
    assert met(two, busy, host_0=0, host_1=2) == equal(2)[0]
    for load in (0, 1):
        even = State(active={CLUSTER: {one.key: load for one in equal(2) if load}})
        assert met(two, even, host_0=1, host_1=0) == equal(2)[1]
    assert router_to(two).shares(REQUEST, busy).by_endpoint == {
        "10.8.0.0:80": Fraction(1, 4),
        "10.8.0.1:80": Fraction(3, 4),
    }


def test_trap_12_random_ignores_weights_and_reuses_the_number_of_the_priority() -> None:
    """12. RANDOM ignores weights and reuses the priority's random number for the host."""
    weighted = Cluster(CLUSTER, RandomChoice(), equal(2, (1, 99)))
    assert router_to(weighted).shares(REQUEST).by_endpoint == {
        "10.8.0.0:80": Fraction(1, 2),
        "10.8.0.1:80": Fraction(1, 2),
    }
    # A hundred endpoints behind a load of 50: those from the fiftieth on are out of reach.
    some = (*in_health("H" * 100 + "U" * 180), *in_health("H", 1))
    shares = router_to(Cluster(CLUSTER, RandomChoice(), some)).shares(REQUEST).by_endpoint
    assert {str(key) for key in shares} == {*(f"10.8.0.{at}:80" for at in range(50)), "10.8.1.0:80"}


def test_trap_13_bounded_load_lets_one_more_in_and_overflows_by_a_shuffle() -> None:
    """13. Bounded load admits `active/slots <= 1`, and on overflow follows a Mersenne Twister's shuffle seeded with the
    hash, not the ring."""
    cluster = Cluster(CLUSTER, RingHash(64, balance_factor=100), equal(5))
    own = met(cluster, key=2)
    assert own is not None
    assert list(shuffled(5, 2)) == [2, 1, 0, 4, 3]
    order = [equal(5)[number] for number in (2, 1, 0, 4, 3) if equal(5)[number] != own]
    state = State().after([RequestStarted(CLUSTER, own.key)])
    assert met(cluster, state, key=2) == own  # one in one slot, which is not above 1
    state = state.after([RequestStarted(CLUSTER, own.key)])
    assert met(cluster, state, key=2) == order[0]


def test_trap_14_a_tenth_of_few_hosts_is_nobody_and_counts_are_compared_for_equality() -> None:
    """14. The default `max_ejection_percent` of 10 means no ejection below 10 hosts; consecutive counters compare with
    `==`."""

    def ejected(size: int, config: OutlierDetection, statuses: Sequence[int]) -> int:
        keys = [EndpointKey(f"10.8.0.{at}:80") for at in range(size)]
        records: dict[EndpointKey, HostRecord] = {}
        found = 0
        for status in statuses:
            verdict = answered(config, keys, records, keys[0], status, 0, lambda _: 0)
            records.update(verdict.records)
            found += len(verdict.ejected)
        return found

    assert [ejected(size, OutlierDetection(), [500] * 50) for size in (2, 9, 10)] == [0, 0, 1]
    # A threshold of 0 is passed at once, and never met.
    assert ejected(10, OutlierDetection(consecutive_5xx=0), [500] * 50) == 0
    assert ejected(10, OutlierDetection(), [500] * 4 + [200] + [500] * 4) == 0


def test_trap_15_localities_are_sorted_and_hosts_keep_the_order_of_the_configuration() -> None:
    """15. An update that only reorders is ignored; localities are ordered local-first and then lexicographically, hosts
    in configuration order.

    meshroute is given tables and not updates: whoever feeds it a stream of them drops those that only reorder. A table
    in another order is another table to round robin, and the same one to Maglev."""
    some = tuple(Endpoint(f"10.8.0.{at}", 80, locality=zone) for at, zone in enumerate(("r/c", "r/a", "r/b", "r/a")))
    assert ordered(some, "") == ordered(some[::-1], "") == ("r/a", "r/b", "r/c")
    assert ordered(some, "r/b") == ("r/b", "r/a", "r/c")
    assert ordered(some, "r/d") == ("r/a", "r/b", "r/c")
    assert picks(Cluster(CLUSTER, RoundRobin(), some), 4)[0] == [one.key for one in some]
    assert picks(Cluster(CLUSTER, RoundRobin(), some[::-1]), 4)[0] == [one.key for one in some[::-1]]
    weights = tuple(LocalityWeight(zone, 1) for zone in ("r/a", "r/b", "r/c"))
    zoned = Cluster(CLUSTER, RoundRobin(), some, locality_weights=weights)
    (band,) = of_cluster(zoned, Around("r/c")).bands
    assert isinstance(band.part, ByLocality)
    inside = [[one.endpoint for one in pool.placed] for pool in band.part.pools]
    assert inside == [[some[0]], [some[1], some[3]], [some[2]]]
    one, other = (Cluster(CLUSTER, Maglev(31), listed) for listed in (some, some[::-1]))
    assert moved(one, other).total == 0


def test_trap_16_one_host_a_table_of_one_slot_and_an_empty_ring() -> None:
    """16. Maglev with one host is a table of that host; `table_size: 1` is "prime" and crashes the proxy; a
    `minimum_ring_size` of 0 gives 503 UH."""
    assert list(table_of(hosts(equal(1)), 7)) == [0] * 7
    with pytest.raises(ValueError, match="prime number of slots"):
        Maglev(1)
    assert list(table_of(hosts(equal(1)), 2)) == [0, 0]
    empty = router_to(Cluster(CLUSTER, RingHash(0), equal(3))).decide(REQUEST)
    assert (empty.outcome, empty.endpoint) == (NO_HEALTHY_HOST, None)
    assert (NO_HEALTHY_HOST.status, NO_HEALTHY_HOST.flag) == (503, "UH")
