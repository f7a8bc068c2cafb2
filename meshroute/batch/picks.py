"""The endpoints of many keys at once, on rings and Maglev tables.

Source    spec/balance.md RING-2, MAGLEV-2; spec/priority.md PRIO-3 to PRIO-5
Inputs    a cluster, from where it is seen, and a column of keys: the hashes of requests, or the numbers that stand in.
Exactness for each key the endpoint that `decide` chooses at the first attempt while no request is in flight and nobody
          is ejected. The key modulo 100 chooses the priority.
Errors    ValueError for a cluster whose choice takes more than a key: another policy, or subsets; TypeError for keys
          that are no unsigned numbers of 64 bits, which would silently become others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from meshroute.balance import Around, Picker, Pool, of_cluster
from meshroute.balance.bounded import Bounded
from meshroute.balance.candidates import ALONE
from meshroute.balance.maglev import InTable
from meshroute.balance.ring_hash import OnRing
from meshroute.batch.ring import Asked, Entries
from meshroute.names import EndpointKey
from meshroute.table import Cluster, Maglev, RingHash

NOBODY: Final = -1
"""Stands where no endpoint may be chosen."""


class Ready:
    """A cluster made ready for columns of keys."""

    __slots__ = ("_bands",)

    def __init__(self, cluster: Cluster, around: Around = ALONE) -> None:
        if not isinstance(cluster.policy, (RingHash, Maglev)) or cluster.subsets is not None:
            raise ValueError(f"cluster `{cluster.name}` does not choose by the key alone: a ring or Maglev table does")
        seen = of_cluster(cluster, around)
        numbers = {one.key: number for number, one in enumerate(seen.placed)}
        made: dict[Pool, _Pool] = {}
        self._bands: Final[list[tuple[int, int, _Pool]]] = []
        for band in seen.bands:
            assert isinstance(band.part, Pool), "rings and Maglev tables are not divided by locality"
            if band.part not in made:
                made[band.part] = _Pool(band.part, numbers)
            self._bands.append((band.low, band.high, made[band.part]))

    def picks(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each key, the number of its endpoint among those of the cluster; NOBODY where there is none."""
        if keys.dtype != np.uint64 or keys.ndim != 1:
            raise TypeError(f"keys are one column of numpy.uint64, got {keys.ndim} dimensions of {keys.dtype}")
        if len(self._bands) == 1:
            return self._bands[0][2].picks(keys)
        points = keys % np.uint64(100)
        found = np.full(keys.shape, NOBODY, np.int64)
        for low, high, pool in self._bands:
            here = (points >= low) & (points < high)
            found[here] = pool.picks(keys[here])
        return found


def picks(cluster: Cluster, keys: NDArray[np.uint64], around: Around = ALONE) -> NDArray[np.int64]:
    """For each key, the number of its endpoint among those of the cluster. `Ready` is for asking more than once.

    >>> import numpy as np
    >>> from meshroute.names import ClusterName
    >>> from meshroute.table import Endpoint
    >>> endpoints = (Endpoint("10.8.0.1", 80), Endpoint("10.8.0.2", 80))
    >>> picks(Cluster(ClusterName("c"), Maglev(7), endpoints), np.arange(7, dtype=np.uint64)).tolist()
    [0, 1, 0, 1, 0, 1, 0]
    """
    return Ready(cluster, around).picks(keys)


class _Pool:
    """Endpoints that one ring or table chooses among, by their numbers in the cluster."""

    __slots__ = ("_ring", "_slots")

    def __init__(self, pool: Pool, numbers: dict[EndpointKey, int]) -> None:
        there = np.array([numbers[one.key] for one in pool.placed], np.int64)
        picker: Picker | None = pool.picker
        if isinstance(picker, Bounded):  # with nothing in flight, whoever it asks first
            picker = picker.inner
        self._ring: Asked | None = None
        self._slots = np.array([NOBODY])
        if isinstance(picker, OnRing):
            points = np.array(picker.ring.points, np.uint64)
            self._ring = Asked(Entries(points, there[np.array(picker.ring.owners)]))
        elif isinstance(picker, InTable):
            self._slots = there[np.array(picker.table)]
        else:
            assert picker is None, f"not a picker by key: {picker.name}"

    def picks(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        if self._ring is not None:
            return self._ring.owners(keys)
        slots: NDArray[np.int64] = self._slots[keys % np.uint64(len(self._slots))]
        return slots
