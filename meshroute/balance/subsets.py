"""Subsets: which parts of a cluster a request asks, in order, by the metadata of its route and of the endpoints.

Source    spec/subsets.md SUB-1 to SUB-11; envoyproxy/envoy: source/extensions/load_balancing_policies/subset
Inputs    metadata as JSON values, their numbers such that a double can hold them; endpoints in order.
Exactness parts depend on the order of selectors and of endpoints, never on the order of keys. Weights of localities are
          scaled in single precision.
Errors    none: `Subsets` is valid by construction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import floor
from struct import pack, unpack
from typing import Any, Final, NamedTuple

from meshroute.table import Endpoint, Fallback, Forward, Subsets, SubsetSelector, WeightedCluster

FALLBACK_LIST: Final = "fallback_list"
"""The criterion that lists what to try, where the cluster has `fallback_list`."""
EVERYBODY: Final = ""
"""The name of the part that has all endpoints."""
DEFAULT: Final = "default"
"""The name of the default subset."""


class Try(NamedTuple):
    """One part of a cluster. Tries of one name are of one part, which has one balancer, with its own start and cursor.

    `numbers` are the part's endpoints, whatever their health. With `single` there is one, and it is the answer,
    whatever its health and without asking the policy.
    """

    name: str
    numbers: tuple[int, ...]
    because: str
    single: bool = False


class Division:
    """A cluster divided. Made once, asked for each request."""

    __slots__ = ("_default", "_everybody", "_fallbacks", "_parts", "_selectors", "_subsets", "divided")

    def __init__(self, subsets: Subsets, endpoints: Sequence[Endpoint]) -> None:
        self.divided: Final = bool(subsets.selectors) or subsets.redundant_keys
        """Whether `subsets` does anything. If not, this is a cluster like any other, localities and all."""
        self._subsets: Final = subsets
        self._selectors: Final = _in_order(subsets)
        self._fallbacks: Final = _fallbacks(self._selectors)
        self._parts: Final = _parts(subsets, self._selectors, endpoints)
        self._everybody: Final = tuple(range(len(endpoints)))
        self._default: Final = tuple(
            number
            for number, endpoint in enumerate(endpoints)
            if all(
                key in endpoint.metadata and spelled(value) in _values(subsets, endpoint.metadata[key])
                for key, value in subsets.default.items()
            )
        )

    def tries(self, criteria: Mapping[str, Any]) -> tuple[Try, ...]:
        """The parts that are asked, in order. The first that gives an endpoint wins; none: nobody is healthy."""
        if not self.divided:
            return (Try(EVERYBODY, self._everybody, "the cluster has no selectors"),)
        if not self._subsets.fallback_list or FALLBACK_LIST not in criteria:
            return tuple(self._tries(criteria))
        listed = criteria[FALLBACK_LIST]
        rest = {key: value for key, value in criteria.items() if key != FALLBACK_LIST}
        if not isinstance(listed, (list, tuple)) or not listed:
            return tuple(self._tries(rest))
        # What is in the list is merged only, so that a list within a list is a criterion like any other.
        structs = (one if isinstance(one, Mapping) else {} for one in listed)
        return tuple(each for one in structs for each in self._tries({**rest, **one}))

    def _tries(self, criteria: Mapping[str, Any]) -> Iterator[Try]:
        if self._subsets.redundant_keys:
            criteria = self._needed(criteria)
        found = self._parts.get(spelled(criteria))
        if found is not None:
            yield found
            return
        selector = self._fallbacks.get(tuple(sorted(criteria)))
        match selector.fallback if selector else None:
            case Fallback.NO_FALLBACK:
                return
            case Fallback.ANY_ENDPOINT:
                yield Try(EVERYBODY, self._everybody, "no such subset, and the selector says: any endpoint")
            case Fallback.DEFAULT_SUBSET:
                yield Try(DEFAULT, self._default, "no such subset, and the selector says: the default subset")
            case Fallback.KEYS_SUBSET:
                assert selector is not None
                yield from self._tries({key: criteria[key] for key in criteria if key in selector.fallback_keys})
            case None:
                yield from self._fallback()

    def _needed(self, criteria: Mapping[str, Any]) -> Mapping[str, Any]:
        """The criteria for the keys of the first selector that has no other keys; all, where there is no such one."""
        for selector in self._selectors:
            if all(key in criteria for key in selector.keys):
                return {key: criteria[key] for key in selector.keys}
        return criteria

    def _fallback(self) -> Iterator[Try]:
        match self._subsets.fallback:
            case Fallback.ANY_ENDPOINT:
                yield Try(EVERYBODY, self._everybody, "no such subset, and the cluster says: any endpoint")
            case Fallback.DEFAULT_SUBSET:
                yield Try(DEFAULT, self._default, "no such subset, and the cluster says: the default subset")
            case _:  # and no panic either
                return
        if self._subsets.panic_any:
            yield Try(EVERYBODY, self._everybody, "the fallback gives nobody, and the cluster says: then any endpoint")


def criteria_of(action: Forward, chosen: WeightedCluster) -> Mapping[str, Any]:
    """What a route asks of the chosen one of its clusters: its own metadata and, key by key before it, the entry's."""
    return {**action.metadata, **chosen.metadata}


def scaled(weight: int, part: int, whole: int) -> int:
    """The weight of a locality in a subset that has `part` of its `whole` endpoints.

    >>> scaled(10, 1, 4)
    3
    """
    if not whole:
        return 0
    # A quotient of singles that is rounded to a double first is the same single. 2^32 does not fit 32 bits: it is 0.
    return floor(_single(_single(weight * part) / _single(whole)) + 0.5) % 2**32


def _single(number: float) -> float:
    rounded: float = unpack("<f", pack("<f", number))[0]
    return rounded


def spelled(value: Any) -> str:
    """A JSON value as text, such that equal values of the same type have equal texts: numbers are doubles, the order
    of keys does not count.

    >>> spelled({"stage": "prod", "build": 2.0}) == spelled({"build": 2, "stage": "prod"})
    True
    """
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return value


def _values(subsets: Subsets, value: Any) -> list[str]:
    """What an endpoint's value counts as: one value, or each element of a list."""
    many = value if subsets.list_as_any and isinstance(value, (list, tuple)) else (value,)
    return [spelled(one) for one in many]


def _in_order(subsets: Subsets) -> tuple[SubsetSelector, ...]:
    """The selectors as the proxy goes through them: where keys may be redundant, those with the most keys first."""
    if not subsets.redundant_keys:
        return subsets.selectors
    return tuple(sorted(subsets.selectors, key=lambda selector: -len(set(selector.keys))))


def _fallbacks(selectors: Sequence[SubsetSelector]) -> dict[tuple[str, ...], SubsetSelector]:
    """The selector whose fallback counts for keys, sorted. One whose keys begin those of one before it has none."""
    found: dict[tuple[str, ...], SubsetSelector] = {}
    passed: set[tuple[str, ...]] = set()
    for selector in selectors:
        keys = tuple(sorted(set(selector.keys)))
        if keys not in passed:
            found[keys] = selector
        passed.update(keys[:length] for length in range(1, len(keys) + 1))
    return found


class _Part:
    """A subset in the making."""

    __slots__ = ("firsts", "numbers", "single")

    def __init__(self, single: bool) -> None:
        self.single: Final = single
        self.numbers: Final[dict[int, None]] = {}
        self.firsts: Final[dict[int, int]] = {}

    def add(self, number: int, priority: int) -> None:
        self.numbers[number] = None
        self.firsts.setdefault(priority, number)

    def finished(self, name: str) -> Try:
        if self.single:
            return Try(name, (self.firsts[min(self.firsts)],), "the criteria are those of a subset of one", single=True)
        return Try(name, tuple(sorted(self.numbers)), "the criteria are those of a subset")


def _parts(subsets: Subsets, selectors: Sequence[SubsetSelector], endpoints: Sequence[Endpoint]) -> dict[str, Try]:
    """All subsets by their criteria."""
    found: dict[str, _Part] = {}
    # By priority, because the first selector that puts somebody in a subset says whether it is one of a single host.
    for number in sorted(range(len(endpoints)), key=lambda number: endpoints[number].priority):
        for selector in selectors:
            for pairs in _memberships(subsets, selector, endpoints[number]):
                name = "{" + ",".join(f"{spelled(key)}:{value}" for key, value in pairs) + "}"
                found.setdefault(name, _Part(selector.single_host)).add(number, endpoints[number].priority)
    return {name: part.finished(name) for name, part in found.items()}


def _memberships(subsets: Subsets, selector: SubsetSelector, endpoint: Endpoint) -> list[tuple[tuple[str, str], ...]]:
    """The keys and values of each subset that the selector puts the endpoint in.

    A list that counts as its elements and has none forgets the keys before it: the endpoint joins the subsets of the
    keys after it, if there are any.
    """
    found: list[tuple[tuple[str, str], ...]] = []
    for key in sorted(set(selector.keys)):
        if key not in endpoint.metadata:
            return []
        values = _values(subsets, endpoint.metadata[key])
        found = [(*pairs, (key, value)) for pairs in found or [()] for value in values]
    return found
