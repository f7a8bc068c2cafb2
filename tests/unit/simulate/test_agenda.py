"""What is to come, in order: an agenda is a heap of everything."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshroute.simulate.agenda import Agenda, Event

times = st.integers(0, 60)
events = st.tuples(times, st.integers(0, 3), st.integers(0, 2), st.just(0))


@given(st.lists(events), st.integers(0, 25), st.lists(st.one_of(st.none(), events)))
def test_it_is_a_heap_of_everything(first: list[Event], width: int, later: list[Event | None]) -> None:
    """Taken out and put in, in any order: each time the earliest of all. Nothing is put in before what is over."""
    agenda, heap = Agenda(first, width), list(first)
    heapq.heapify(heap)
    now = 0
    for one in later:
        if one is not None:
            one = (max(now, one[0]), *one[1:])
            agenda.add(one)
            heapq.heappush(heap, one)
        elif heap:
            assert agenda.first() == heap[0][0]
            earliest = heapq.heappop(heap)
            assert agenda.pop() == earliest
            now = earliest[0]
        assert agenda.listed() == sorted(heap)
        assert agenda.first() == (heap[0][0] if heap else None)


def test_nothing_is_to_come() -> None:
    agenda = Agenda((), 10)
    assert agenda.first() is None
    with pytest.raises(IndexError):
        agenda.pop()


def test_what_is_far_is_not_in_the_heap() -> None:
    agenda = Agenda([(number * 10, 0, 0, 0) for number in range(1000)], 100)
    assert not agenda.near
    assert agenda.first() == 0
    assert (len(agenda.near), agenda.edge) == (10, 100)
