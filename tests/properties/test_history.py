"""What is remembered besides turns and requests in flight: spec/state.md STATE-5 to STATE-8; and retries."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from meshroute import Decision, Draws, Event, Request, Router, RoutingTable, Session, State, StateError
from meshroute.conformance.strategies.tables import U64
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import (
    CursorMoved,
    Effect,
    Ejected,
    Joined,
    Queued,
    Recorded,
    Refreshed,
    RequestStarted,
    Requeued,
    Returned,
    Ticked,
    TimePassed,
    TurnTaken,
)
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    Health,
    LeastRequest,
    Listener,
    Maglev,
    OutlierDetection,
    Policy,
    RandomChoice,
    RetryHosts,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)

NAME = ClusterName("c")
REQUEST = Request.of("GET", "http://h/")


def to(cluster: Cluster, retry_hosts: RetryHosts | None = None) -> Router:
    action = Forward((WeightedCluster(cluster.name),), retry_hosts=retry_hosts)
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
    return Router(RoutingTable((Listener(80, (host,)),), (cluster,)))


def endpoints(weights: list[int]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.8.0.{i}", 80, f"ns/p{i}", weight=weight) for i, weight in enumerate(weights))


unequal = st.lists(st.integers(1, 9), min_size=2, max_size=5).filter(lambda weights: len(set(weights)) > 1)


class TestState5Queues:
    """STATE-5: a queue is made by the first pick, and each pick puts its first endpoint back with the next place."""

    @given(unequal, st.integers(0, 500), st.integers(1, 30))
    def test_places_go_on_from_the_number_of_endpoints(self, weights: list[int], start: int, picks: int) -> None:
        """The effects of pick number t: the queue if there is none, then one entry with place n + t."""
        router = to(Cluster(NAME, LeastRequest(), endpoints(weights)))
        state = State(starts={NAME: start})
        for turn in range(picks):
            decision = router.decide(REQUEST, state)
            made = [one for one in decision.effects if isinstance(one, Queued)]
            (back,) = [one for one in decision.effects if isinstance(one, Requeued)]
            assert len(made) == (turn == 0)
            assert back.entry[1] == len(weights) + turn
            state = state.after((*decision.effects, *decision.finished()))
            assert list(state.queues[NAME]) == sorted(state.queues[NAME])
            assert sorted(number for _, _, number in state.queues[NAME]) == list(range(len(weights)))
            assert state.turns == {NAME: turn + 1}

    @given(unequal, st.integers(0, 30))
    def test_a_state_that_went_through_json_goes_on_alike(self, weights: list[int], picks: int) -> None:
        """Deadlines are doubles, and JSON keeps them to the last bit."""
        router = to(Cluster(NAME, LeastRequest(), endpoints(weights)))
        session = Session(router)
        for _ in range(picks):
            session.decide(REQUEST)
        state = session.state
        copy = msgspec.json.decode(msgspec.json.encode(state), type=State)
        assert copy == state
        assert router.decide(REQUEST, copy) == router.decide(REQUEST, state)

    def test_going_back_to_no_queue_is_refused(self) -> None:
        """The caller has mixed up its histories."""
        with pytest.raises(StateError, match="no queue"):
            State().after([Requeued(NAME, (1.0, 2, 0))])


SOURCES = ("c", "c#0/healthy@r/a/", "c#1/healthy", "c#1/all", "c#10/healthy", "other", "other#1/healthy")


class TestState6Changes:
    """STATE-6: a refresh forgets turns and queues of what changed and keeps cursors; time never runs backwards."""

    @given(st.sets(st.sampled_from(SOURCES)), st.sampled_from((None, 0, 1)), st.integers(0, 99))
    def test_only_what_changed_begins_anew(self, sources: set[str], priority: int | None, now: int) -> None:
        """By priority: the plain source belongs to priority 0, and priority 1 is not priority 10."""
        counted: list[Effect] = [TimePassed(now), RequestStarted(NAME, EndpointKey("10.8.0.1:80"))]
        for source in sorted(sources):
            counted += [CursorMoved(source), TurnTaken(source), Queued(source, ((1.0, 0, 0),))]
        before = State().after(counted)
        after = before.after([Refreshed(NAME, priority, {str(NAME): 7})])
        level = {
            None: [one for one in SOURCES if not one.startswith("other")],
            0: [str(NAME), "c#0/healthy@r/a/"],
            1: ["c#1/healthy", "c#1/all"],
        }[priority]
        assert set(after.turns) == set(after.queues) == sources - set(level)
        assert after.cursors == before.cursors
        assert after.starts == {str(NAME): 7}
        changed = after.refresh_of(NAME, 1)
        seen = priority in (None, 1)
        assert (changed.at, len(changed.active)) == ((now, 1) if seen else (0, 0))

    @given(st.lists(st.integers(0, 9), max_size=8))
    def test_time_goes_on_or_is_refused(self, times: list[int]) -> None:
        """And endpoints join when they join."""
        state = State()
        for now in times:
            if now < state.now:
                with pytest.raises(StateError, match="time went back"):
                    state.after([TimePassed(now)])
            else:
                key = EndpointKey(f"10.8.0.{now}:80")
                state = state.after([TimePassed(now), Joined(NAME, key)])
                assert state.now == state.joined[NAME][key] == now

    @given(unequal, st.integers(1, 20), st.integers(0, 99))
    def test_a_refresh_restarts_a_schedule_at_its_phase(self, weights: list[int], picks: int, start: int) -> None:
        """The picks after it are the picks from the beginning; a cursor just goes on."""
        weighted, plain = (
            Session(to(Cluster(NAME, RoundRobin(), endpoints(some))), state=State(starts={NAME: start}))
            for some in (weights, [1] * len(weights))
        )
        first = [weighted.decide(REQUEST).pod for _ in range(picks)]
        pods = [plain.decide(REQUEST).pod for _ in range(picks)]
        weighted.apply([Refreshed(NAME)])
        plain.apply([Refreshed(NAME)])
        assert [weighted.decide(REQUEST).pod for _ in range(picks)] == first
        pods += [plain.decide(REQUEST).pod for _ in range(picks)]
        assert pods == [f"ns/p{(start + turn) % len(weights)}" for turn in range(2 * picks)]


class TestState7Ejections:
    """STATE-7: endpoints that are put aside count as unhealthy until they return."""

    @given(
        st.integers(1, 5),
        st.sets(st.integers(0, 4)),
        st.sampled_from((RoundRobin(), RandomChoice(), RingHash(16), Maglev(13), LeastRequest())),
        U64,
    )
    def test_it_is_as_if_they_were_unhealthy(self, size: int, out: set[int], policy: Policy, seed: int) -> None:
        """The same decision as of a table that says so; and once they are back, as if nothing had been."""
        some = endpoints([1] * size)
        gone: list[Effect] = [Ejected(NAME, some[number].key) for number in sorted(out) if number < size]
        back: list[Effect] = [Returned(NAME, one.endpoint) for one in gone if isinstance(one, Ejected)]
        sick = tuple(replace(one, health=Health.UNHEALTHY) if number in out else one for number, one in enumerate(some))
        router, other = to(Cluster(NAME, policy, some)), to(Cluster(NAME, policy, sick))
        state, draws = State().after(gone), Draws.of(seed)
        got, expected = router.decide(REQUEST, state, draws), other.decide(REQUEST, draws=draws)
        assert (got.outcome, got.pod, got.effects) == (expected.outcome, expected.pod, expected.effects)
        assert router.shares(REQUEST, state).pods == other.shares(REQUEST).pods
        assert state.after(back) == State()

    @given(st.lists(st.sampled_from(Health), min_size=1, max_size=5), st.sampled_from((0.0, 50.0)))
    def test_one_that_is_draining_stays_draining(self, healths: list[Health], panic: float) -> None:
        """It is not counted among those that ought to be healthy, so putting it aside changes nobody's share."""
        some = tuple(
            replace(one, health=health) for one, health in zip(endpoints([1] * len(healths)), healths, strict=True)
        )
        router = to(Cluster(NAME, RandomChoice(), some, panic=panic))
        gone = [Ejected(NAME, one.key) for one in some if one.health is Health.DRAINING]
        assert router.shares(REQUEST, State().after(gone)).pods == router.shares(REQUEST).pods


class TestState8Watching:
    """STATE-8: answers end requests and are reported; ticks happen on the way of time; whoever goes or comes back
    changes its priority."""

    @settings(max_examples=60)
    @given(
        st.lists(st.tuples(st.sampled_from((200, 500, 503, Event.CONNECT_FAILED)), st.integers(0, 400)), max_size=25),
        st.integers(1, 3),
    )
    def test_time_in_pieces_is_time_at_once(self, history: list[tuple[int | Event, int]], threshold: int) -> None:
        """Advancing step by step ends in the same state as advancing at one go, effects in order of time."""
        watched = OutlierDetection(
            consecutive_5xx=threshold, interval=100, base_ejection_time=150, max_ejection_percent=50
        )
        router = to(Cluster(NAME, RoundRobin(), endpoints([1, 1, 1]), outliers=watched))
        session = Session(router)
        for status, pause in history:
            session.finish(session.decide(REQUEST), status)
            before = session.state
            at_once = router.elapsed(before.now + pause, before)
            times = [one.now for one in at_once if isinstance(one, TimePassed)]
            assert times == sorted(times)
            in_pieces = before
            for now in range(before.now, before.now + pause + 1, 37):
                in_pieces = in_pieces.after(router.elapsed(now, in_pieces))
            in_pieces = in_pieces.after(router.elapsed(before.now + pause, in_pieces))
            assert in_pieces == before.after(at_once)
            session.advance(before.now + pause)
            assert session.state == before.after(at_once)
            assert session.state.active == {}

    @given(st.integers(1, 4), st.sampled_from((0, 1)))
    def test_the_answer_that_is_too_much_puts_aside_and_refreshes(self, threshold: int, priority: int) -> None:
        """Not one answer before; the effects say all of it, and after the ejection time everything is as at first."""
        watched = OutlierDetection(consecutive_5xx=threshold, max_ejection_percent=100)
        some = tuple(replace(one, priority=priority) for one in endpoints([1]))
        router = to(Cluster(NAME, RoundRobin(), some, panic=50.0, outliers=watched))
        session = Session(router)
        for number in range(threshold):
            decision = session.decide(REQUEST)
            effects = router.answered(decision, 503, session.state)
            session.finish(decision, 503)
            gone = [one for one in effects if isinstance(one, (Ejected, Refreshed))]
            assert gone == ([Ejected(NAME, some[0].key), Refreshed(NAME, priority)] if number == threshold - 1 else [])
            assert any(isinstance(one, Recorded) for one in effects)
        assert session.state.ejected == {NAME: (some[0].key,)}
        session.advance(29_999)
        assert session.state.ejected == {NAME: (some[0].key,)}
        back = router.elapsed(30_000, session.state)
        assert Returned(NAME, some[0].key) in back
        assert Ticked(NAME, 30_000) in back
        session.advance(60_000)
        assert session.state.ejected == {}
        assert session.state.records == {}

    def test_only_what_was_forwarded_can_be_answered(self) -> None:
        """And time does not run backwards here either."""
        router = to(Cluster(NAME, RoundRobin()))
        with pytest.raises(ValueError, match="forwarded"):
            router.answered(router.decide(REQUEST))
        with pytest.raises(ValueError, match="it is 5 already"):
            router.elapsed(4, State(now=5))


retrying = st.sampled_from((RingHash(16), Maglev(13), RoundRobin(), RandomChoice(), LeastRequest()))


class TestDecide6Retries:
    """DECIDE-6: a retry stays with its cluster and picks again, up to n + 1 times until a host was not tried before."""

    @given(retrying, st.integers(1, 6), st.integers(0, 5), U64, st.integers(1, 4))
    def test_a_tried_host_is_taken_only_when_the_attempts_are_used_up(
        self, policy: Policy, size: int, attempts: int, seed: int, retries: int
    ) -> None:
        """Of n + 1 picks the first new host; hosts that were rejected are named in the trace, one for each pick."""
        router = to(Cluster(NAME, policy, endpoints([1] * size)), RetryHosts(attempts))
        state, decision = State(), router.decide(REQUEST, draws=Draws.of(seed))
        tried: list[EndpointKey] = []
        for number in range(retries):
            state = state.after((*decision.effects, *decision.finished()))
            tried.append(_host(decision))
            decision = router.retry(REQUEST, decision, state, Draws.of(seed, number + 1), explain=True)
            assert decision.tried == tuple(tried)
            rejected = [step for step in decision.trace if type(step).__name__ == "HostRejected"]
            assert len(rejected) <= attempts
            if _host(decision) in tried:
                assert len(rejected) == attempts
            assert decision.cluster == NAME

    @given(retrying, st.integers(1, 6), U64)
    def test_without_the_predicate_a_retry_is_a_pick_like_any_other(self, policy: Policy, size: int, seed: int) -> None:
        """The same endpoint and effects as a fresh request with these draws."""
        router = to(Cluster(NAME, policy, endpoints([1] * size)))
        first = router.decide(REQUEST, draws=Draws.of(seed))
        state = State().after((*first.effects, *first.finished()))
        draws = Draws.of(seed, 1)
        again, fresh = router.retry(REQUEST, first, state, draws), router.decide(REQUEST, state, draws)
        assert (again.endpoint, again.effects) == (fresh.endpoint, fresh.effects)

    @given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 20))
    def test_every_pick_takes_its_turn(self, size: int, attempts: int, start: int) -> None:
        """Round robin: a retry right after the first pick meets the next host at once; the cursor counts all picks."""
        router = to(Cluster(NAME, RoundRobin(), endpoints([1] * size)), RetryHosts(attempts))
        session = Session(router, state=State(starts={NAME: start}))
        first = session.decide(REQUEST)
        session.finish(first, 503)
        second = session.retry(REQUEST, first)
        assert second.pod == f"ns/p{(start + 1) % size}"
        assert session.state.cursors == {NAME: 2}
        session.finish(second)
        assert session.state.active == {}

    @given(st.integers(0, 5))
    def test_turns_that_were_passed_over_are_taken_too(self, attempts: int) -> None:
        """The only host is rejected as often as there are attempts, and each rejection was a turn."""
        session = Session(to(Cluster(NAME, RoundRobin(), endpoints([1])), RetryHosts(attempts)))
        first = session.decide(REQUEST)
        session.finish(first, 503)
        session.finish(session.retry(REQUEST, first))
        assert session.state.cursors == {NAME: 2 + attempts}

    def test_nothing_forwarded_nothing_tried_again(self) -> None:
        """A dead end has no retry, and a decision of another table has none here."""
        router = to(Cluster(NAME, RoundRobin()))
        with pytest.raises(ValueError, match="only a request that was forwarded"):
            router.retry(REQUEST, router.decide(REQUEST))
        other = to(Cluster(ClusterName("d"), RoundRobin(), endpoints([1])))
        with pytest.raises(ValueError, match="not the one that was decided"):
            router.retry(REQUEST, other.decide(REQUEST))


def _host(decision: Decision) -> EndpointKey:
    assert decision.endpoint is not None
    return decision.endpoint.key
