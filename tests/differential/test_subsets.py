"""Clusters divided into subsets, to meshroute and to the real Envoy 1.40.0: the same host for every request.

The policy inside is a ring, and a header is the key, so that one host is the answer. As in test_envoy.py every run
draws anew, and the printed seed draws the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from hypothesis import strategies as st

from meshroute import Router
from meshroute.balance.subsets import Division, Try, criteria_of
from meshroute.conformance import load_vectors
from meshroute.conformance.envoy import ANSWER_HEADERS, RenderError, render
from meshroute.conformance.strategies import subsets as small
from meshroute.decision import Failed
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    Exact,
    Forward,
    HashOnHeader,
    Listener,
    OriginalDestination,
    RingHash,
    Route,
    RouteMatch,
    RoutingTable,
    Subsets,
    SubsetSelector,
    VirtualHost,
    WeightedCluster,
)
from tests.differential.conftest import Tally
from tests.differential.envoy_process import Envoy, envoy_path
from tests.differential.worlds import Sent, drawn

SPEC: Final = Path(__file__).parents[2] / "spec"
CLUSTERS: Final = 150
ROUTES_EACH: Final = 20
SIZES: Final = RingHash(16)
BY_USER: Final = (HashOnHeader("x-user"),)
SHOWN: Final = 3


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


class Asked(NamedTuple):
    """A route to a divided cluster, and what a request on it says."""

    cluster: int
    action: Forward
    user: str

    @property
    def criteria(self) -> Mapping[str, Any]:
        return criteria_of(self.action, self.action.clusters[0])

    def sent(self, number: int) -> Sent:
        return Sent("GET", "h", f"/{number}", (("x-user", self.user),))


def asked(cluster: int, route: Mapping[str, Any], entry: Mapping[str, Any], user: str) -> Asked:
    """Of one cluster. Envoy merges what the entry says into what the route says."""
    chosen = WeightedCluster(ClusterName(f"c{cluster}"), metadata=entry)
    return Asked(cluster, Forward((chosen,), BY_USER, route), user)


def answer(router: Router, sent: Sent) -> str:
    """The host that the engine decides on, or the flag for nobody."""
    decision = router.decide(sent.request())
    if isinstance(decision.outcome, Failed):
        return decision.outcome.flag
    assert decision.endpoint is not None
    return decision.endpoint.key


def table(clusters: Sequence[Cluster], requests: Sequence[Asked]) -> RoutingTable:
    """One route for each request, called by its number."""
    routes = [Route(RouteMatch(Exact(f"/{number}")), one.action) for number, one in enumerate(requests)]
    return RoutingTable((Listener(80, (VirtualHost("all", ("*",), tuple(routes)),)),), tuple(clusters))


def divided(number: int, subsets: Subsets, endpoints: Sequence[Endpoint]) -> Cluster:
    """A ring in each part."""
    return Cluster(ClusterName(f"c{number}"), SIZES, tuple(endpoints), subsets=subsets)


def differences(
    clusters: Sequence[Cluster], requests: Sequence[Asked], folder: Path, count: Counter[str]
) -> list[tuple[Asked, str, str]]:
    """Put the requests to both; the ones on which they differ."""
    divisions = [Division(one.subsets, one.endpoints) for one in clusters if one.subsets]
    flags, _, _, _, host = ANSWER_HEADERS
    asked_of = table(clusters, requests)
    router, found = Router(asked_of), []
    with Envoy(render([asked_of]), folder) as envoy:
        for number, one in enumerate(requests):
            tries = divisions[one.cluster].tries(one.criteria)
            mine = answer(router, one.sent(number))
            said = envoy.ask("0:80", one.sent(number).bytes()).headers
            theirs = said[host] if said[flags] == "UF" else said[flags]
            if mine != theirs:
                found.append((one, mine, theirs))
            count.update(kind(tries, mine))
    return found


def kind(tries: Sequence[Try], mine: str) -> list[str]:
    """What a request met, so that a run shows that it met everything."""
    met = ["nobody"] if mine == "UH" else []
    met += ["several parts"] if len(tries) > 1 else []
    met += ["no part"] if not tries else []
    met += [{"": "all endpoints", "default": "default"}.get(one.name, "a subset") for one in tries]
    return met + ["single host" for one in tries if one.single]


def aimed(rng: Random, subsets: Subsets, endpoint: Endpoint) -> dict[str, Any]:
    """What an endpoint has of a selector's keys; of a list now and then an element."""
    keys = [key for key in rng.choice(subsets.selectors).keys if key in endpoint.metadata]
    found = {key: endpoint.metadata[key] for key in keys}
    return {
        key: rng.choice(value) if isinstance(value, list) and value and rng.random() < 0.5 else value
        for key, value in found.items()
    }


def report(clusters: Sequence[Cluster], found: Sequence[tuple[Asked, str, str]]) -> str:
    """The first differences, in full."""
    return f"{len(found)} differences\n" + "\n".join(
        f"{clusters[one.cluster].subsets}\n"
        + "\n".join(f"  {each.key} {each.health} {each.metadata}" for each in clusters[one.cluster].endpoints)
        + f"\n{one.criteria}\nmeshroute: {mine}\nenvoy:     {theirs}"
        for one, mine, theirs in found[:SHOWN]
    )


def test_parts_of_generated_clusters(tmp_path: Path, tally: Tally, seed: int) -> None:
    """The chosen host, or that there is none."""
    rng = Random(seed)
    worlds = drawn(st.tuples(small.subsets(), small.endpoints(min_size=2)), CLUSTERS, seed)
    pool = drawn(small.criteria(), 4 * CLUSTERS, seed)
    clusters = [divided(number, *world) for number, world in enumerate(worlds)]
    requests = []
    for number, one in enumerate(clusters):
        for _ in range(ROUTES_EACH):
            route, entry = rng.choice(pool), rng.choice(({}, {}, rng.choice(pool)))
            if one.subsets and one.endpoints and rng.random() < 0.5:
                route = aimed(rng, one.subsets, rng.choice(one.endpoints))
            requests.append(asked(number, route, entry, f"user-{rng.getrandbits(64)}"))
    met = Counter[str]()
    found = differences(clusters, requests, tmp_path, met)
    assert not found, report(clusters, found)
    tally.counts["subset picks"] += len(requests)
    assert len(requests) >= 1_500
    # A world that meets nothing shows nothing.
    kinds = ("nobody", "several parts", "no part", "all endpoints", "default", "a subset", "single host")
    assert [one for one in kinds if met[one] < 30] == []


def test_the_vectors(tmp_path: Path, tally: Tally) -> None:
    """Each case whose endpoints are all of one priority, asked several times."""
    cases = [
        case["arguments"]
        for vector in load_vectors(SPEC / "vectors")
        for case in vector.when
        if case.get("function") == "subset_tries" and "priorities" not in case["arguments"]
    ]
    clusters, requests = [], []
    for number, given in enumerate(cases):
        endpoints = [Endpoint(f"10.8.0.{at + 1}", 80, metadata=said) for at, said in enumerate(given["metadata"])]
        clusters.append(divided(number, msgspec.convert(given["subsets"], Subsets), endpoints))
        requests += [asked(number, given["criteria"], {}, f"user-{user}") for user in range(8)]
    found = differences(clusters, requests, tmp_path, Counter())
    assert not found, report(clusters, found)
    tally.counts["subset picks"] += len(requests)


def test_what_envoy_has_no_subsets_of() -> None:
    """A cluster without endpoints."""
    cluster = Cluster(ClusterName("c"), OriginalDestination(), subsets=Subsets((SubsetSelector(("a",)),)))
    with pytest.raises(RenderError, match="cluster `c`"):
        render([RoutingTable((), (cluster,))])
