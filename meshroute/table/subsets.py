"""Dividing one cluster by what its endpoints say about themselves, and what happens where a request fits no part.

Source    spec/subsets.md; envoyproxy/envoy: api/envoy/extensions/load_balancing_policies/subset/v3/subset.proto
Inputs    metadata as JSON values. Istio does not use this: each of its subsets is a cluster of its own.
Errors    ValueError for selectors that a proxy refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Fallback(StrEnum):
    """What takes a request that no subset takes."""

    NO_FALLBACK = "no-fallback"
    ANY_ENDPOINT = "any-endpoint"
    DEFAULT_SUBSET = "default-subset"
    KEYS_SUBSET = "keys-subset"
    """For selectors only: ask again with fewer keys."""


class SubsetSelector(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Endpoints that have all of `keys` form one subset for each combination of values.

    `fallback` None leaves it to the cluster; `fallback_keys` are the keys that `KEYS_SUBSET` keeps, fewer than `keys`.
    With `single_host`, a subset has the first of its endpoints only, and that one answers even when it is sick. (A
    proxy takes a selector without keys too, and never uses it.)
    """

    keys: tuple[str, ...]
    fallback: Fallback | None = None
    fallback_keys: tuple[str, ...] = ()
    single_host: bool = False

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a subset selector needs at least one key")
        if self.fallback is Fallback.KEYS_SUBSET and not set(self.fallback_keys) < set(self.keys):
            raise ValueError(f"fallback keys {self.fallback_keys} are not fewer of the selector's keys {self.keys}")
        if self.fallback is Fallback.KEYS_SUBSET and not self.fallback_keys:
            raise ValueError("the fallback `keys-subset` needs fallback keys")
        if self.fallback is not Fallback.KEYS_SUBSET and self.fallback_keys:
            raise ValueError("fallback keys are for the fallback `keys-subset`")


class Subsets(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How a cluster is divided. A request's criteria are the metadata of its route.

    `default` selects the endpoints of `DEFAULT_SUBSET`; `panic_any` asks all endpoints where the fallback has nobody;
    `list_as_any` takes an endpoint's list as each of its elements; `fallback_list` tries the structs that a request's
    criterion of that name lists, one after the other; `redundant_keys` lets a selector match fewer keys than a request
    has. Without selectors nothing is divided, unless there may be redundant keys: then all is left to the fallback.
    `locality_weights` passes the localities' weights on, `scale_locality_weights` by how many endpoints of a
    locality are in the subset.
    """

    selectors: tuple[SubsetSelector, ...] = ()
    fallback: Fallback = Fallback.NO_FALLBACK
    default: Mapping[str, Any] = {}
    panic_any: bool = False
    list_as_any: bool = False
    fallback_list: bool = False
    redundant_keys: bool = False
    locality_weights: bool = False
    scale_locality_weights: bool = False

    def __post_init__(self) -> None:
        if self.fallback is Fallback.KEYS_SUBSET:
            raise ValueError("the fallback `keys-subset` is for selectors")
