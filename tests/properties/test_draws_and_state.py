"""Draws and state: spec/draws.md, spec/state.md."""

from __future__ import annotations

import struct
from collections import Counter

import msgspec
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meshroute import Decision, Draws, Request, Router, RoutingTable, Session, State, StateError
from meshroute.conformance.strategies.tables import U64, requests, tables
from meshroute.names import ClusterName, EndpointKey
from meshroute.state import CursorMoved, Effect, Refreshed, RequestFinished, RequestStarted, TurnTaken

NAMES = ("stream", "priority", "key", "host.0", "host.1", "host.2")


class TestDraw1Derivation:
    """DRAW-1: the draw of a name is XXH64 of the ordinal in eight bytes and the name, under the seed."""

    @given(U64, U64, st.sampled_from(NAMES))
    def test_any_language_can_reproduce_it(self, seed: int, ordinal: int, name: str) -> None:
        """Packed by hand and hashed by the library itself."""
        expected = xxhash.xxh64(struct.pack("<Q", ordinal) + name.encode("ascii"), seed).intdigest()
        assert Draws.of(seed, ordinal)[name] == expected

    @pytest.mark.parametrize("number", [-1, 2**64])
    def test_numbers_beyond_64_bits_are_refused(self, number: int) -> None:
        """Seeds, ordinals and given draws alike."""
        with pytest.raises(ValueError, match="unsigned 64-bit"):
            Draws.of(number)
        with pytest.raises(ValueError, match="`ordinal`"):
            Draws.of(0, number)
        with pytest.raises(ValueError, match="`stream`"):
            Draws.of(given={"stream": number})


class TestDraw2Given:
    """DRAW-2: a draw that is given is used as it is, and changes no other."""

    @given(U64, U64, st.dictionaries(st.sampled_from(NAMES), U64))
    def test_given_draws_stand_and_the_others_stay(self, seed: int, ordinal: int, given_: dict[str, int]) -> None:
        """Zero is a number like any other."""
        draws, free = Draws.of(seed, ordinal, given_), Draws.of(seed, ordinal)
        assert all(draws[name] == given_.get(name, free[name]) for name in NAMES)


class TestDraw3Independence:
    """DRAW-3: what one request draws never shifts what another draws."""

    @given(tables(), st.lists(requests(), min_size=1, max_size=6), U64, st.data())
    def test_leaving_a_request_out_changes_no_other_decision(
        self, table: RoutingTable, sent: list[Request], seed: int, data: st.DataObject
    ) -> None:
        """Stateless routing of request i is the same whoever else is routed."""
        router = Router(table)
        all_ = [router.decide(one, draws=Draws.of(seed, number)) for number, one in enumerate(sent)]
        left_out = data.draw(st.integers(0, len(sent) - 1))
        for number, one in enumerate(sent):
            if number != left_out:
                assert router.decide(one, draws=Draws.of(seed, number)) == all_[number]


clusters = st.sampled_from((ClusterName("one"), ClusterName("two")))
keys = st.sampled_from((EndpointKey("10.8.0.1:80"), EndpointKey("10.8.0.2:80")))
beginnings: st.SearchStrategy[Effect] = st.builds(CursorMoved, clusters) | st.builds(RequestStarted, clusters, keys)


class TestState1Values:
    """STATE-1: `after` is the next state, and leaves this one as it is."""

    @given(st.lists(beginnings), st.lists(beginnings))
    def test_after_two_lists_is_after_both(self, one: list[Effect], other: list[Effect]) -> None:
        """Folding in pieces is folding at once; the state between does not change on the way."""
        first = State().after(one)
        copy = msgspec.json.decode(msgspec.json.encode(first), type=State)
        assert first.after(other) == State().after(one + other)
        assert first == copy


class History(RuleBasedStateMachine):
    """STATE-2, STATE-3: cursors count plain turns, which a change of endpoints leaves as they are; `turns` counts those
    of schedules since the last change; `active` counts requests in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.plain: Counter[ClusterName] = Counter()
        self.picks: Counter[ClusterName] = Counter()
        self.flying: list[RequestStarted] = []

    @rule(cluster=clusters)
    def pick(self, cluster: ClusterName) -> None:
        self.state = self.state.after([CursorMoved(cluster), TurnTaken(cluster)])
        self.plain[cluster] += 1
        self.picks[cluster] += 1

    @rule(cluster=clusters, endpoint=keys)
    def start(self, cluster: ClusterName, endpoint: EndpointKey) -> None:
        started = RequestStarted(cluster, endpoint)
        self.state = self.state.after([started])
        self.flying.append(started)

    @rule(cluster=clusters)
    def refresh(self, cluster: ClusterName) -> None:
        self.state = self.state.after([Refreshed(cluster)])
        del self.picks[cluster]

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        ended = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.state = self.state.after([RequestFinished(ended.cluster, ended.endpoint)])

    @rule(cluster=clusters, endpoint=keys)
    def an_end_without_a_beginning_is_refused(self, cluster: ClusterName, endpoint: EndpointKey) -> None:
        if RequestStarted(cluster, endpoint) not in self.flying:
            with pytest.raises(StateError, match="no request is active"):
                self.state.after([RequestFinished(cluster, endpoint)])

    @invariant()
    def counts_agree(self) -> None:
        assert dict(self.state.cursors) == dict(self.plain)
        assert dict(self.state.turns) == dict(self.picks)
        counts = Counter((one.cluster, one.endpoint) for one in self.flying)
        # No entry at 0: what is finished leaves nothing behind, so memory stays flat.
        assert {(c, e): n for c, inside in self.state.active.items() for e, n in inside.items()} == dict(counts)
        assert all(self.state.active.values())


TestHistory = History.TestCase


class TestState2And3InDecisions:
    """STATE-2, STATE-3: the effects of a decision are one turn where turns are taken, and one request in flight."""

    @given(tables(), requests(), U64)
    def test_a_forwarded_request_starts_once_and_ends_once(self, table: RoutingTable, sent: Request, seed: int) -> None:
        """After its end, nothing but the cursor is left."""
        decision = Router(table).decide(sent, draws=Draws.of(seed))
        state = State().after(decision.effects)
        started = [effect for effect in decision.effects if isinstance(effect, RequestStarted)]
        if decision.endpoint is not None and decision.cluster is not None:
            assert started == [RequestStarted(decision.cluster, decision.endpoint.key)]
        else:
            assert decision.effects == ()
        assert state.after(decision.finished()).active == {}


happenings: st.SearchStrategy[Request | tuple[int, int] | int] = st.one_of(
    requests(), requests(), st.tuples(st.integers(0, 9), st.sampled_from((200, 500, 503, 503))), st.integers(0, 500)
)
"""A request; the end of one that is open, with its status; time that passes."""


class TestState4Sessions:
    """STATE-4: a session decides as folding does: the same decisions, and the same state at the end."""

    @given(tables(), st.lists(happenings, max_size=14), U64)
    def test_a_session_is_decide_folded_in_place(
        self, table: RoutingTable, happened: list[Request | tuple[int, int] | int], seed: int
    ) -> None:
        """Requests come, end in any order with any status, and time passes; the state is the same after each."""
        router, session = Router(table), Session(Router(table), seed)
        state, ordinal, open_ = State(), 0, list[Decision]()
        for one in happened:
            draws = Draws.of(seed, ordinal)
            if isinstance(one, Request):
                decision = router.decide(one, state, draws)
                state = state.after(decision.effects)
                assert session.decide(one) == decision
                open_.append(decision)
                ordinal += 1
            elif isinstance(one, int):
                state = state.after(router.elapsed(state.now + one, state, draws))
                session.advance(session.state.now + one)
            elif open_:
                number, status = one
                decision = open_.pop(number % len(open_))
                watched = router.watches(decision)
                ends = router.answered(decision, status, state, draws) if watched else decision.finished()
                state = state.after(ends)
                session.finish(decision, status)
                ordinal += watched
            assert session.state == state
        assert session.ordinal == ordinal

    @given(tables(), st.lists(requests(), min_size=2, max_size=8), U64)
    def test_a_session_resumed_from_its_state_goes_on_as_if_never_stopped(
        self, table: RoutingTable, sent: list[Request], seed: int
    ) -> None:
        """State and ordinal are all there is to it."""
        whole, first = Session(Router(table), seed), Session(Router(table), seed)
        expected = [whole.decide(one) for one in sent]
        half = len(sent) // 2
        got = [first.decide(one) for one in sent[:half]]
        second = Session(Router(table), seed, first.state, first.ordinal)
        assert got + [second.decide(one) for one in sent[half:]] == expected
        assert second.state == whole.state
