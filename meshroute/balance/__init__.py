"""Load balancing: one file for each policy, and those that narrow down whom it may choose."""

from __future__ import annotations

from meshroute.balance.candidates import (
    Around,
    Band,
    ByLocality,
    ByZone,
    Placed,
    Pool,
    View,
    Which,
    of_cluster,
    of_one,
    place,
    pools,
    settle,
    view,
    weights_of,
)
from meshroute.balance.picker import DRAWS, Ask, Odds, Picker, span_chance
from meshroute.balance.target import Asked, Target

__all__ = [
    "DRAWS",
    "Around",
    "Ask",
    "Asked",
    "Band",
    "ByLocality",
    "ByZone",
    "Odds",
    "Picker",
    "Placed",
    "Pool",
    "Target",
    "View",
    "Which",
    "of_cluster",
    "of_one",
    "place",
    "pools",
    "settle",
    "span_chance",
    "view",
    "weights_of",
]
