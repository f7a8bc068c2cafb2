"""What cannot be asked for whole columns is refused, not answered wrongly."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from meshroute.balance import Around
from meshroute.batch import Ready, picks
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    LeastRequest,
    LocalityWeight,
    Maglev,
    OriginalDestination,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    Subsets,
    SubsetSelector,
)

NAME = ClusterName("c")
ENDPOINTS = tuple(Endpoint(f"10.8.0.{i}", 80, locality="r/a/" if i % 2 else "r/b/", weight=i + 1) for i in range(6))


@pytest.mark.parametrize("policy", [RoundRobin(), LeastRequest(), RandomChoice(), OriginalDestination()])
def test_other_policies_need_more_than_a_key(policy: Policy) -> None:
    """Turns, requests in flight, draws, addresses."""
    with pytest.raises(ValueError, match="does not choose by the key alone"):
        Ready(Cluster(NAME, policy, ENDPOINTS))


def test_a_divided_cluster_needs_a_route() -> None:
    """Which says what part is meant."""
    divided = Cluster(NAME, Maglev(7), ENDPOINTS, subsets=Subsets(selectors=(SubsetSelector(keys=("version",)),)))
    with pytest.raises(ValueError, match="does not choose by the key alone"):
        Ready(divided)


@pytest.mark.parametrize("keys", [np.array([1, 2]), np.array([0.5]), np.zeros((2, 2), np.uint64), np.uint64(3)])
def test_keys_are_a_column_of_unsigned_numbers(keys: np.ndarray) -> None:
    """Signed ones and fractions would become other keys on the way."""
    with pytest.raises(TypeError, match=r"one column of numpy\.uint64"):
        picks(Cluster(NAME, Maglev(7), ENDPOINTS), keys)


def test_the_place_from_which_it_is_seen_counts() -> None:
    """A ring with weighted localities is filled from the own one on, and with fractions that order shows."""
    weights = (LocalityWeight("r/a/", 1), LocalityWeight("r/b/", 2))
    cluster = Cluster(NAME, RingHash(12, 13), ENDPOINTS, locality_weights=weights)
    keys = np.arange(0, 2**64, 2**54, dtype=np.uint64)
    here, there = (picks(cluster, keys, Around(one)) for one in ("r/a/", "r/b/"))
    assert 0 < np.count_nonzero(here != there) < len(keys) / 4


def test_without_numpy_it_says_what_to_install() -> None:
    """As the command line does."""
    program = "import sys; sys.modules['numpy'] = None\nimport meshroute.batch"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.rstrip().endswith('pip install "meshroute[batch]"')
