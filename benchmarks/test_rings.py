"""Consistent hashing: what does a look-up cost beside uhashring, and what does making a ring or a table cost?

`meshroute.balance` makes tables of the standard library's parts, `meshroute.batch` the same ones with numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from uhashring import HashRing

from meshroute import Draws, State
from meshroute.balance import Ask, Picker, maglev, of_cluster, ring_hash
from meshroute.balance.hosts import Hosts, hosts
from meshroute.batch import Ready, maglev_table, ring
from meshroute.hashing import xxhash64
from meshroute.names import ClusterName
from meshroute.table import Cluster, Endpoint, Maglev, RingHash

USERS: Final = tuple(f"user-{number:09}" for number in range(4096))
"""As many different keys as keep a processor from learning the way to one of them."""
COLUMN: Final = np.array([xxhash64(f"user-{number}".encode()) for number in range(100_000)], np.uint64)
NOTHING: Final = (Draws(), State())

Policy: TypeAlias = RingHash | Maglev
POLICIES: Mapping[str, Policy] = {"ring": RingHash(), "maglev": Maglev()}


def endpoints(count: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 8080) for n in range(count))


def cluster(policy: Policy, count: int) -> Cluster:
    return Cluster(ClusterName("c"), policy, endpoints(count))


def picker(policy: Policy, count: int) -> Picker:
    """Of a prepared cluster that has one priority."""
    pool = of_cluster(cluster(policy, count)).only
    assert pool is not None
    assert pool.picker is not None
    return pool.picker


@pytest.mark.parametrize("who", ["maglev-key", "maglev-name", "ring-key", "ring-name", "uhashring-name"])
@pytest.mark.benchmark(group="4096 look-ups, 100 hosts")
def test_look_up(benchmark: BenchmarkFixture, who: str) -> None:
    """`key`: the number of a host for a request whose key is known. `name`: the text has to be hashed first, which
    uhashring does with md5; its ring has 160 entries for each node."""
    policy, _, given = who.partition("-")
    if policy == "uhashring":
        get = HashRing([one.key for one in endpoints(100)]).get_node
        benchmark(lambda: [get(user) for user in USERS])
        return
    pick, (draws, state) = picker(POLICIES[policy], 100).pick, NOTHING
    asks = [Ask(draws, state, xxhash64(user.encode())) for user in USERS]
    if given == "key":
        benchmark(lambda: [pick(ask) for ask in asks])
    else:
        benchmark(lambda: [pick(Ask(draws, state, xxhash64(user.encode()))) for user in USERS])


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
@pytest.mark.parametrize("how", [maglev.build, maglev_table], ids=["plain", "numpy"])
def test_build_a_maglev_table(benchmark: BenchmarkFixture, how: Callable[[Hosts, int], object], count: int) -> None:
    """Of 65,537 slots. With few hosts numpy is no help, and `maglev_table` asks the plain one."""
    benchmark.group = f"make a Maglev table of {count} hosts"
    assert benchmark(how, hosts(endpoints(count)), 65537) is not None


@pytest.mark.parametrize("minimum", [1_024, 65_536])
@pytest.mark.parametrize("how", [ring_hash.build, ring], ids=["plain", "numpy"])
def test_build_a_ring(benchmark: BenchmarkFixture, how: Callable[[Hosts, RingHash], object], minimum: int) -> None:
    """Of 1,000 hosts."""
    benchmark.group = f"make a ring of 1000 hosts, {minimum} entries at least"
    assert benchmark(how, hosts(endpoints(1000)), RingHash(minimum)) is not None


@pytest.mark.parametrize("how", ["plain", "numpy"])
@pytest.mark.parametrize("policy", POLICIES)
def test_pick_a_column(benchmark: BenchmarkFixture, policy: str, how: str) -> None:
    """100,000 keys that are hashed already, 100 hosts."""
    benchmark.group = f"100,000 keys, {policy}"
    if how == "numpy":
        assert len(benchmark(Ready(cluster(POLICIES[policy], 100)).picks, COLUMN)) == len(COLUMN)
        return
    pick, (draws, state), keys = picker(POLICIES[policy], 100).pick, NOTHING, COLUMN.tolist()
    assert len(benchmark(lambda: [pick(Ask(draws, state, key)) for key in keys])) == len(COLUMN)
