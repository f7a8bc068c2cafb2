"""Weight convergence: spec/route.md ROUTE-1."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import comb

from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Request, Router
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    Listener,
    RandomChoice,
    Route,
    RouteMatch,
    RoutingTable,
    VirtualHost,
    WeightedCluster,
)

REQUEST = Request.of("GET", "http://h/")


def router(weights: list[int]) -> Router:
    """One route to clusters `c0`, `c1` and so on, each with one endpoint."""
    names = [ClusterName(f"c{number}") for number in range(len(weights))]
    split = Forward(tuple(map(WeightedCluster, names, weights)))
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), split),))
    clusters = tuple(Cluster(name, RandomChoice(), (Endpoint("10.8.0.1", 80),)) for name in names)
    return Router(RoutingTable((Listener(80, (host,)),), clusters))


def tail(count: int, trials: int, share: Fraction) -> Fraction:
    """The exact probability that a binomial count lies at least as far on its side of the mean as this one does."""
    below = count <= share * trials
    hit, miss = share.numerator, share.denominator - share.numerator
    ways = sum(comb(trials, k) * hit**k * miss ** (trials - k) for k in range(count + below))
    least = Fraction(ways, share.denominator**trials)  # P(X <= count), or P(X < count)
    return least if below else 1 - least


weight_lists = st.lists(st.integers(0, 12), min_size=2, max_size=5).filter(any)


class TestRoute1Weights:
    """ROUTE-1: the draw modulo the sum of the weights falls into the span of one cluster."""

    @given(weight_lists, st.integers(0, 2**64 // 60 - 1))
    def test_over_one_round_of_draws_each_cluster_is_hit_as_often_as_its_weight(
        self, weights: list[int], turn: int
    ) -> None:
        """Exact counting: any `sum` consecutive draws from a multiple of the sum hit cluster i `weight i` times."""
        total, asked = sum(weights), router(weights)
        counts = Counter(
            asked.decide(REQUEST, draws=Draws.of(given={"stream": turn * total + point})).cluster
            for point in range(total)
        )
        assert [counts[ClusterName(f"c{number}")] for number in range(len(weights))] == weights

    @given(weight_lists, st.integers(0, 2**64 - 1))
    def test_spans_follow_the_order_of_the_list(self, weights: list[int], draw: int) -> None:
        """The chosen cluster is the one whose running sum first exceeds the remainder."""
        spans = [number for number, weight in enumerate(weights) for _ in range(weight)]
        decision = router(weights).decide(REQUEST, draws=Draws.of(given={"stream": draw}))
        assert decision.cluster == f"c{spans[draw % len(spans)]}"

    @given(weight_lists, st.integers(2, 1000))
    def test_scaling_all_weights_changes_no_share(self, weights: list[int], factor: int) -> None:
        """Exact counting over the whole range of the greater sum would take long; its share of each span does not."""
        scaled = [weight * factor for weight in weights]
        for number, weight in enumerate(weights):
            low, high = sum(scaled[:number]), sum(scaled[: number + 1])
            assert Fraction(high - low, sum(scaled)) == Fraction(weight, sum(weights))
            for edge in {low, high - 1} if weight else set():
                decision = router(scaled).decide(REQUEST, draws=Draws.of(given={"stream": edge}))
                assert decision.cluster == f"c{number}"

    @given(st.integers(0, 2**64 - 1), st.integers(1, 99))
    def test_seeded_counts_keep_the_exact_binomial_bound(self, seed: int, weight: int) -> None:
        """Of 400 seeded requests, a count less likely than 1 in 10^12 means that the draws are not uniform.

        The bound is exact, so a law-abiding run fails once in 10^12 tries; a modulo in the wrong place fails at once.
        """
        trials, asked = 400, router([weight, 100 - weight])
        hits = sum(asked.decide(REQUEST, draws=Draws.of(seed, ordinal)).cluster == "c0" for ordinal in range(trials))
        assert tail(hits, trials, Fraction(weight, 100)) > Fraction(1, 10**12)

    def test_ten_thousand_requests_at_99_to_1(self) -> None:
        """The article's split, with the seed of the demo: within the exact bound, and the very number that the demo
        shows."""
        asked = router([99, 1])
        hits = sum(asked.decide(REQUEST, draws=Draws.of(1, ordinal)).cluster == "c1" for ordinal in range(10_000))
        assert hits == 110
        assert tail(hits, 10_000, Fraction(1, 100)) > Fraction(1, 10)
