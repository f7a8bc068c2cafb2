"""Subsets: spec/subsets.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ctypes import c_float
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute.balance.subsets import DEFAULT, EVERYBODY, Division, Try, criteria_of, scaled, spelled
from meshroute.conformance.strategies.subsets import (
    KEYS,
    criteria,
    endpoints,
    metadata,
    plain_metadata,
    selectors,
    subsets,
    values,
)
from meshroute.names import ClusterName
from meshroute.table import Endpoint, Fallback, Forward, Subsets, SubsetSelector, WeightedCluster

OFF = st.just(False)
few = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 2))
"""Metadata that agree often."""
ALL_KEYS = tuple(SubsetSelector(keys) for size in (1, 2, 3) for keys in combinations(KEYS, size))
NOBODY_HAS = {"a": "nobody", "b": "nobody", "c": "nobody"}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from((0.0, -0.0, 1.0, 0.5, 2**53, 2**53 + 1))
    | st.text("1a", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
    max_leaves=4,
)


def same(one: Any, other: Any) -> bool:
    """Equality of JSON values as SUB-3 words it, once more."""
    kinds: tuple[Any, ...] = (bool, (int, float), str, list, dict, type(None))
    kind = next(kind for kind in kinds if isinstance(one, kind))
    if not isinstance(other, kind) or isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (int, float)):
        return float(one) == float(other)
    return bool(one == other)


def turned(value: Any) -> Any:
    """The same JSON value, keys in the opposite order and whole numbers written as doubles."""
    if isinstance(value, Mapping):
        return {key: turned(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [turned(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def who(some: Sequence[Endpoint], asked: Mapping[str, Any]) -> tuple[int, ...]:
    """The endpoints whose metadata agree with every pair."""
    return tuple(
        number
        for number, one in enumerate(some)
        if all(key in one.metadata and same(one.metadata[key], value) for key, value in asked.items())
    )


def parts(tries: Sequence[Try]) -> list[tuple[str, tuple[int, ...]]]:
    """Without the reasons."""
    return [(one.name, one.numbers) for one in tries]


def everybody(some: Sequence[Endpoint]) -> tuple[str, tuple[int, ...]]:
    return EVERYBODY, tuple(range(len(some)))


class TestSub1Criteria:
    """SUB-1: the route's metadata, and the entry's before it key by key."""

    @given(metadata, metadata)
    def test_each_key_is_the_entrys_where_it_has_it(self, route: dict[str, Any], entry: dict[str, Any]) -> None:
        """And no key is lost."""
        chosen = WeightedCluster(ClusterName("c"), metadata=entry)
        got = criteria_of(Forward((chosen,), metadata=route), chosen)
        assert got.keys() == route.keys() | entry.keys()
        assert all(got[key] == (entry[key] if key in entry else route[key]) for key in got)


class TestSub2Membership:
    """SUB-2: whoever has all keys of a selector is in the subset of its values, and nobody else is."""

    @given(subsets(list_as_any=OFF), endpoints(priorities=2), criteria())
    def test_every_part_is_some_endpoints_in_order(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """Whatever is asked; and a part of one name is always the same part."""
        named: dict[str, Try] = {}
        for one in Division(some, hosts).tries(asked):
            assert list(one.numbers) == sorted(set(one.numbers))
            assert set(one.numbers) <= set(range(len(hosts)))
            assert named.setdefault(one.name, one)[:2] == one[:2]

    @given(st.sets(st.sampled_from(KEYS), min_size=1), endpoints(plain_metadata), plain_metadata)
    def test_a_subset_is_all_who_agree(
        self, keys: set[str], hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """A naive look at every endpoint; nobody agrees: no subset."""
        assume(asked.keys() == keys)  # only exactly a selector's keys find a subset; others fall back
        expected = who(hosts, asked)
        got = Division(Subsets((SubsetSelector(tuple(keys)),)), hosts).tries(asked)
        assert parts(got) == ([(spelled(asked), expected)] if expected else [])

    def test_the_name_of_a_subset(self) -> None:
        """Keys sorted, no blanks, whole numbers without a point as long as doubles tell them apart."""
        asked = {"b": 2.0, "a": ["\xe9", None, 0.5], "c": 2**53 + 1}
        host = Endpoint("10.8.0.1", 80, metadata=asked)
        (got,) = Division(Subsets((SubsetSelector(("c", "b", "a")),)), (host,)).tries(asked)
        assert got.name == '{"a":["\xe9",null,0.5],"b":2,"c":9007199254740992.0}'


class TestSub3Values:
    """SUB-3: values are equal by type and value, numbers as doubles, keys in any order."""

    @given(json_values, json_values)
    def test_equal_values_are_spelled_alike_and_others_are_not(self, one: Any, other: Any) -> None:
        """Both ways."""
        assert (spelled(one) == spelled(other)) == same(one, other)

    @given(json_values)
    def test_the_order_of_keys_and_the_point_of_a_number_do_not_matter(self, value: Any) -> None:
        """Down to the innermost."""
        assert spelled(turned(value)) == spelled(value)

    @given(subsets(), endpoints(priorities=2), criteria())
    def test_nor_do_they_anywhere_in_metadata_criteria_and_default(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """The very same tries; and keys of a selector in any order are the same selector."""
        others = tuple(
            replace(one, keys=one.keys[::-1], fallback_keys=one.fallback_keys[::-1]) for one in some.selectors
        )
        written = replace(some, default=turned(some.default), selectors=others)
        rewritten = tuple(replace(one, metadata=turned(one.metadata)) for one in hosts)
        assert Division(written, rewritten).tries(turned(asked)) == Division(some, hosts).tries(asked)


class TestSub4Lists:
    """SUB-4: a list is one value, or each of its elements; an empty one forgets the keys up to it."""

    @given(endpoints(), metadata)
    def test_a_list_is_one_value(self, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """That an equal list matches."""
        assume(asked)  # without criteria no subset is asked
        expected = who(hosts, asked)
        got = Division(Subsets((SubsetSelector(tuple(asked)),)), hosts).tries(asked)
        assert parts(got) == ([(spelled(asked), expected)] if expected else [])

    @given(endpoints(), metadata, st.sampled_from((("a",), ("a", "b"), ("c", "a", "b"))))
    def test_or_each_of_its_elements(
        self, hosts: tuple[Endpoint, ...], asked: dict[str, Any], keys: tuple[str, ...]
    ) -> None:
        """For every endpoint, the keys after its last empty list are what it belongs to."""
        expected = []
        for number, one in enumerate(hosts):
            left: list[str] = []
            for key in sorted(keys):
                left = [] if one.metadata.get(key) == [] else [*left, key]
            has_all = all(key in one.metadata for key in keys)
            if asked and has_all and left == sorted(asked) and all(self._any(one, key, asked[key]) for key in left):
                expected.append(number)
        got = Division(Subsets((SubsetSelector(keys),), list_as_any=True), hosts).tries(asked)
        assert parts(got) == ([(spelled(asked), tuple(expected))] if expected else [])

    @staticmethod
    def _any(one: Endpoint, key: str, value: Any) -> bool:
        said = one.metadata[key]
        return any(same(each, value) for each in (said if isinstance(said, list) else [said]))

    @given(endpoints(), values)
    def test_so_does_the_default_subset(self, hosts: tuple[Endpoint, ...], value: Any) -> None:
        """Any element will do."""
        some = Subsets((SubsetSelector(("b",)),), Fallback.DEFAULT_SUBSET, {"a": value}, list_as_any=True)
        expected = [number for number, one in enumerate(hosts) if "a" in one.metadata and self._any(one, "a", value)]
        assert parts(Division(some, hosts).tries({})) == [(DEFAULT, tuple(expected))]


class TestSub5Match:
    """SUB-5: exactly the keys and values; what matches is the only part; redundant keys are left out first."""

    @given(endpoints(few, min_size=2), few, st.booleans())
    def test_fallbacks_are_for_subsets_that_do_not_exist(
        self, hosts: tuple[Endpoint, ...], asked: dict[str, Any], panic: bool
    ) -> None:
        """Not for those whose endpoints are sick."""
        agreeing = who(hosts, asked) if asked else ()
        got = Division(Subsets(ALL_KEYS, Fallback.ANY_ENDPOINT, panic_any=panic), hosts).tries(asked)
        assert parts(got) == ([(spelled(asked), agreeing)] if agreeing else [everybody(hosts)] * (1 + panic))

    @given(subsets(redundant_keys=OFF, fallback_list=OFF, default=st.just({})), endpoints(few, min_size=2), few)
    def test_a_subset_that_matches_is_the_only_part(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """And it exists where a selector has the keys and an endpoint the values."""
        got = Division(some, hosts).tries(asked)
        exists = any(set(one.keys) == asked.keys() for one in some.selectors) and bool(who(hosts, asked))
        assert (len(got) == 1 and got[0].name == spelled(asked)) == exists

    @given(subsets(redundant_keys=OFF, fallback_list=OFF), endpoints(), metadata)
    def test_a_key_more_is_no_match(self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """All that is left is the cluster's fallback."""
        division = Division(some, hosts)
        assert division.tries({**asked, "more": 1}) == division.tries({})

    @given(subsets(redundant_keys=st.just(True), fallback_list=OFF), endpoints(), metadata)
    def test_redundant_keys_leave_the_greatest_selector_that_fits(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """The first of the greatest; whatever the request has besides does not count."""
        fitting = [one for one in some.selectors if set(one.keys) <= asked.keys()]
        division = Division(some, hosts)
        if fitting:
            keys = max(fitting, key=lambda one: len(set(one.keys))).keys
            asked = {key: asked[key] for key in keys}
        else:
            asked = {}
        assert division.tries({**asked, "more": 1}) == division.tries(asked)

    @given(st.permutations(ALL_KEYS), st.integers(1, 4), endpoints(few, min_size=2), few)
    def test_and_then_its_subset(
        self, order: list[SubsetSelector], many: int, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """If somebody agrees with the keys that are left; nobody is asked in place of them. A key twice is one key."""
        some = [replace(one, keys=one.keys * (3 if len(one.keys) == 1 else 1)) for one in order[:many]]
        fitting = [one.keys for one in some if set(one.keys) <= asked.keys()]
        got = Division(Subsets(tuple(some), redundant_keys=True), hosts).tries(asked)
        left = {key: asked[key] for key in max(fitting, key=lambda keys: len(set(keys)), default=())}
        expected = who(hosts, left) if left else ()
        assert parts(got) == ([(spelled(left), expected)] if expected else [])

    @given(subsets(), endpoints(), metadata)
    def test_what_fits_exactly_has_nothing_redundant(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]
    ) -> None:
        """Asked for by exactly its keys, a selector is the same with redundant keys and without."""
        one = replace(some, selectors=(SubsetSelector(KEYS),))
        assume(asked.keys() == set(KEYS))  # else the chain of fallbacks begins elsewhere
        answers = {Division(replace(one, redundant_keys=flag), hosts).tries(asked) for flag in (False, True)}
        assert len(answers) == 1


class TestSub6Selectors:
    """SUB-6: the fallback of the selector that has the keys; none where an earlier selector's keys begin with them."""

    @given(selectors(), endpoints(), st.sampled_from((None, Fallback.ANY_ENDPOINT)))
    def test_a_selector_alone(
        self, selector: SubsetSelector, hosts: tuple[Endpoint, ...], otherwise: Fallback | None
    ) -> None:
        """Values that nobody has: its fallback counts, and where it has none, or no selector has fewer keys, the
        cluster's."""
        some = Subsets((selector,), otherwise or Fallback.NO_FALLBACK, {"a": 1})
        asked = {key: NOBODY_HAS[key] for key in selector.keys}
        cluster = [everybody(hosts)] if otherwise else []
        expected = {
            None: cluster,
            Fallback.KEYS_SUBSET: cluster,
            Fallback.NO_FALLBACK: [],
            Fallback.ANY_ENDPOINT: [everybody(hosts)],
            Fallback.DEFAULT_SUBSET: [(DEFAULT, who(hosts, {"a": 1}))],
        }
        assert parts(Division(some, hosts).tries(asked)) == expected[selector.fallback]

    @given(endpoints(), st.permutations(KEYS), metadata)
    def test_fewer_keys_are_a_request_for_fewer_keys(
        self, hosts: tuple[Endpoint, ...], order: list[str], asked: dict[str, Any]
    ) -> None:
        """Each step of a chain that ends with one key. Short selectors stand first, so that no place is taken."""
        chain = tuple(
            SubsetSelector(tuple(order[:size]), Fallback.KEYS_SUBSET, tuple(order[: size - 1])) for size in (2, 3)
        )
        division = Division(Subsets((SubsetSelector((order[0],), Fallback.ANY_ENDPOINT), *chain)), hosts)
        assume(asked.keys() == set(KEYS))  # else the chain of fallbacks begins elsewhere
        for size in (3, 2):
            now = {key: asked[key] for key in order[:size]}
            if not who(hosts, now):
                fewer = {key: asked[key] for key in order[: size - 1]}
                assert division.tries(now) == division.tries(fewer)

    @given(st.permutations(KEYS), st.integers(1, 3), endpoints(plain_metadata), st.sampled_from(list(Fallback)[:3]))
    def test_a_place_that_is_taken_has_the_fallback_of_who_took_it(
        self, order: list[str], size: int, hosts: tuple[Endpoint, ...], fallback: Fallback
    ) -> None:
        """A later selector with the same keys, or with those that the earlier one's begin with, adds nothing."""
        earlier = SubsetSelector(tuple(order))
        later = SubsetSelector(tuple(sorted(order))[:size], fallback)
        asked = {key: NOBODY_HAS[key] for key in later.keys}
        for cluster in (Fallback.ANY_ENDPOINT, Fallback.NO_FALLBACK):
            bare = Subsets((earlier, replace(later, fallback=None)), cluster, {"a": 1})
            full = Subsets((earlier, later), cluster, {"a": 1})
            assert Division(full, hosts).tries(asked) == Division(bare, hosts).tries(asked)
        ahead = Subsets((later, earlier), default={"a": 1})
        expected = {Fallback.NO_FALLBACK: 0, Fallback.ANY_ENDPOINT: 1, Fallback.DEFAULT_SUBSET: 1}
        assert len(Division(ahead, hosts).tries(asked)) == expected[fallback]

    @given(subsets(fallback_list=OFF), endpoints(), criteria())
    def test_every_chain_ends(self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """In one part, or in two where the cluster's own fallback may panic."""
        got = [name for name, _ in parts(Division(some, hosts).tries(asked))]
        assert len(got) <= 2
        assert len(got) < 2 or (some.panic_any and got[0] in (EVERYBODY, DEFAULT) and got[1] == EVERYBODY)


class TestSub7Cluster:
    """SUB-7: the cluster's fallback, all endpoints after it for a panic, and requests that ask for nothing."""

    @given(subsets(list_as_any=OFF), endpoints(), st.sampled_from(({}, {"d": 1})))
    def test_what_no_selector_knows(self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """Nobody and no panic, all, or whoever agrees with the default."""
        first = {
            Fallback.NO_FALLBACK: [],
            Fallback.ANY_ENDPOINT: [everybody(hosts)],
            Fallback.DEFAULT_SUBSET: [(DEFAULT, who(hosts, some.default))],
        }[some.fallback]
        panic = [everybody(hosts)] if some.panic_any and first else []
        assert parts(Division(some, hosts).tries(asked)) == first + panic

    @given(endpoints())
    def test_an_empty_default_is_everybody_by_another_name(self, hosts: tuple[Endpoint, ...]) -> None:
        """With a cursor of its own."""
        some = Subsets((SubsetSelector(("a",)),), Fallback.DEFAULT_SUBSET)
        assert parts(Division(some, hosts).tries({})) == [(DEFAULT, everybody(hosts)[1])]


class TestSub8Lists:
    """SUB-8: each object of `fallback_list` over the other criteria, in turn."""

    @given(subsets(fallback_list=st.just(True)), endpoints(), metadata, st.lists(metadata | st.just("x"), max_size=3))
    def test_a_list_is_the_tries_of_each_in_turn(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any], listed: list[Any]
    ) -> None:
        """Those of the rest alone where it is empty."""
        division = Division(some, hosts)
        each = [division.tries({**asked, **(one if isinstance(one, dict) else {})}) for one in listed]
        expected = [one for tries in each or [division.tries(asked)] for one in tries]
        assert list(division.tries({"fallback_list": listed, **asked})) == expected

    @given(
        subsets(fallback_list=st.just(True)), endpoints(), metadata, values.filter(lambda one: type(one) is not list)
    )
    def test_what_is_no_list_is_left_out(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any], value: Any
    ) -> None:
        """As if it had not been there."""
        division = Division(some, hosts)
        assert division.tries({"fallback_list": value, **asked}) == division.tries(asked)

    @given(subsets(fallback_list=OFF, redundant_keys=OFF), endpoints(), metadata, st.lists(metadata))
    def test_without_the_flag_it_is_a_key_like_any_other(
        self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any], listed: list[Any]
    ) -> None:
        """That no selector here has; inside a list too."""
        division = Division(some, hosts)
        assert division.tries({"fallback_list": listed, **asked}) == division.tries({})
        inside = {"fallback_list": [{"fallback_list": listed}], **asked}
        assert Division(replace(some, fallback_list=True), hosts).tries(inside) == division.tries({})


class TestSub9SingleHost:
    """SUB-9: the first of the lowest priority; the first selector that puts somebody in a subset says of which kind."""

    @given(endpoints(plain_metadata, priorities=2), plain_metadata)
    def test_the_first_of_the_lowest_priority(self, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """Of all who agree, whatever their health."""
        assume(asked)  # without criteria no subset is asked
        got = Division(Subsets((SubsetSelector(tuple(asked), single_host=True),)), hosts).tries(asked)
        agreeing = who(hosts, asked)
        if not agreeing:
            assert got == ()
        else:
            best = min(agreeing, key=lambda number: (hosts[number].priority, number))
            assert [one[:2] + one[3:] for one in got] == [(spelled(asked), (best,), True)]

    @given(endpoints(plain_metadata, priorities=2), plain_metadata, st.lists(st.booleans(), min_size=1, max_size=3))
    def test_of_equal_selectors_the_first_decides(
        self, hosts: tuple[Endpoint, ...], asked: dict[str, Any], singles: list[bool]
    ) -> None:
        """The others add nobody."""
        assume(asked)  # without criteria no subset is asked
        many = tuple(SubsetSelector(tuple(asked), single_host=single) for single in singles)
        assert Division(Subsets(many), hosts).tries(asked) == Division(Subsets(many[:1]), hosts).tries(asked)

    @pytest.mark.parametrize("first", [0, 1])
    def test_between_different_selectors_the_first_endpoint_decides(self, first: int) -> None:
        """By priority, then by place: one that an empty list has let in makes a subset of many."""
        some = Subsets((SubsetSelector(("a", "b")), SubsetSelector(("b",), single_host=True)), list_as_any=True)
        hosts = (
            Endpoint("10.8.0.1", 80, metadata={"b": 1}, priority=first),
            Endpoint("10.8.0.2", 80, metadata={"a": [], "b": 1}, priority=1 - first),
        )
        (got,) = Division(some, hosts).tries({"b": 1})
        assert got[1:2] + got[3:] == (((0,), True) if first == 0 else ((0, 1), False))


class TestSub10Weights:
    """SUB-10: the weight of a locality in a part, in single precision."""

    weights = st.integers(1, 2**32 - 1) | st.integers(1, 100) | st.sampled_from((2**24 + 1, 2**32 - 129, 2**32 - 128))

    @given(weights, st.integers(0, 300), st.integers(1, 300))
    def test_single_by_single(self, weight: int, part: int, whole: int) -> None:
        """Once more, with C's own singles and exact fractions for what they hold."""
        assume(part <= whole)  # a part has no more endpoints than the whole
        above, below = c_float(weight * part).value, c_float(whole).value
        exact = Fraction(c_float(above / below).value)
        assert scaled(weight, part, whole) == int(exact + Fraction(1, 2)) % 2**32

    @given(st.integers(1, 1000), st.integers(0, 100), st.integers(1, 100))
    def test_small_weights_are_rounded_halves_up(self, weight: int, part: int, whole: int) -> None:
        """Where singles are exact enough, this is arithmetic."""
        exact = Fraction(weight * part, whole)
        assume(abs(exact % 1 - Fraction(1, 2)) > Fraction(1, 100) or exact % 1 == Fraction(1, 2))
        assert scaled(weight, part, whole) == int(exact + Fraction(1, 2))

    @given(st.integers(0, 2**20), st.integers(1, 7))
    def test_halves_go_up(self, below: int, part: int) -> None:
        """Even ones and odd ones."""
        assert scaled(2 * below + 1, part, 2 * part) == below + 1

    def test_the_edges(self) -> None:
        """Nobody there at all, and 2^32 that is 0."""
        assert scaled(5, 0, 0) == 0
        assert scaled(2**32 - 129, 1, 1) == 2**32 - 256
        assert scaled(2**32 - 128, 1, 1) == 0


class TestSub11Divided:
    """SUB-11: no selectors, no division, but where keys may be redundant."""

    @given(subsets(selectors=st.just(())), endpoints(), criteria())
    def test_without_selectors(self, some: Subsets, hosts: tuple[Endpoint, ...], asked: dict[str, Any]) -> None:
        """All endpoints once, or the fallback for each that is listed."""
        division = Division(some, hosts)
        assert division.divided == some.redundant_keys
        if not some.redundant_keys:
            assert parts(division.tries(asked)) == [everybody(hosts)]
        else:
            assert set(division.tries(asked)) == set(division.tries({}))
