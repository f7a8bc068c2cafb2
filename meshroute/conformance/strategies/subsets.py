"""Clusters that are divided, and criteria that meet their parts often.

Bounds: three keys, a dozen values of which several are nearly equal, up to six endpoints. A third of the endpoints are
sick, so that parts without anybody occur. Nothing is made with the code under test.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from meshroute.table import Endpoint, Fallback, Health, Subsets, SubsetSelector

KEYS = ("a", "b", "c")
PLAIN: tuple[Any, ...] = (1, 1, 1, 2, 2, 1.0, "1", True, None, "", {"x": 1}, {"y": [1], "x": 1.0}, 9007199254740993)
LISTS: tuple[Any, ...] = ([1], [1, 2], [2, 1, 1.0], [], [[1]], [None, "1"])

values = st.sampled_from(PLAIN) | st.sampled_from(PLAIN) | st.sampled_from(LISTS)


def said(value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Metadata: all of the keys, or some."""
    return st.fixed_dictionaries(dict.fromkeys(KEYS, value)) | st.dictionaries(st.sampled_from(KEYS), value, max_size=3)


metadata = said(values)
plain_metadata = said(st.sampled_from(PLAIN))


@st.composite
def selectors(draw: st.DrawFn) -> SubsetSelector:
    """Keys in any order, and every fallback that they can have."""
    keys = tuple(draw(st.permutations(KEYS)))[: draw(st.integers(1, 3))]
    fallback = draw(st.sampled_from((None, None, *Fallback)))
    fewer: tuple[str, ...] = ()
    if fallback is Fallback.KEYS_SUBSET:
        fewer = keys[: draw(st.integers(0, len(keys) - 1))]
        fallback = fallback if fewer else None
    return SubsetSelector(keys, fallback, fewer, draw(st.integers(0, 3)) == 0)


def subsets(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Subsets]:
    """Everything that may be said of a cluster, but for the weights of localities; what is `fixed` is drawn so."""
    flags = ("panic_any", "list_as_any", "fallback_list", "redundant_keys")
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "selectors": st.lists(selectors(), min_size=1, max_size=4).map(tuple),
        "fallback": st.sampled_from((Fallback.NO_FALLBACK, Fallback.ANY_ENDPOINT, Fallback.DEFAULT_SUBSET)),
        "default": st.dictionaries(st.sampled_from(KEYS), values, max_size=1),
        **{flag: st.booleans() for flag in flags},
    }
    return st.builds(Subsets, **{**drawn, **fixed})


def endpoints(
    described: st.SearchStrategy[dict[str, Any]] = metadata, *, priorities: int = 0, min_size: int = 0
) -> st.SearchStrategy[tuple[Endpoint, ...]]:
    """Distinct addresses with metadata; of priorities up to the given one."""
    healths = st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY))
    return st.lists(st.tuples(healths, described, st.integers(0, priorities)), min_size=min_size, max_size=6).map(
        lambda drawn: tuple(
            Endpoint(f"10.8.0.{number + 1}", 80, health=health, metadata=said, priority=priority)
            for number, (health, said, priority) in enumerate(drawn)
        )
    )


@st.composite
def criteria(draw: st.DrawFn) -> dict[str, Any]:
    """A few of the keys, perhaps one that nobody has, perhaps a list of what to try."""
    asked = draw(plain_metadata | metadata)
    if draw(st.integers(0, 9)) == 0:
        asked["d"] = 1
    if draw(st.integers(0, 3)) == 0:
        inside = plain_metadata | st.sampled_from(("x", None, {"fallback_list": [{"a": 1}]}))
        asked["fallback_list"] = draw(st.lists(inside, max_size=3) | st.sampled_from(("x", {"a": 1})))
    return asked
