"""What is to come: events in the order of their times, and a place for those that are far off.

Inputs    events as tuples whose order is that in which they happen, the time first.
Exactness `heappop` of one heap of all of them gives the same, by property; in which order they came in decides nothing.
Errors    IndexError from `pop` where nothing is to come.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final, TypeAlias

Event: TypeAlias = tuple[int, int, int, int]
"""(time, kind, number, generation)."""


class Agenda:
    """Events in order. With 10,000 clients a heap of all that is to come is some hundred kilobytes that every event
    goes through; so only what comes within a `width` of time is in a heap, and the rest in lists that nobody looks at.

    `near` is that heap and `edge` the time up to which it holds everything: the loop looks at them itself. Whoever adds
    an event has to ask which of the two it is for, or say `add`.
    """

    __slots__ = ("_far", "_slots", "edge", "near", "width")

    def __init__(self, events: Iterable[Event], width: int) -> None:
        self.width: Final = max(1, width)
        self.near: Final[list[Event]] = []
        self.edge = 0
        self._far: Final[dict[int, list[Event]]] = {}
        self._slots: Final[list[int]] = []
        for one in events:
            self.add(one)

    def add(self, event: Event) -> None:
        """One more event."""
        at = event[0]
        if at < self.edge:
            heappush(self.near, event)
            return
        slot = at // self.width
        far = self._far.get(slot)
        if far is None:
            self._far[slot] = [event]
            heappush(self._slots, slot)
        else:
            far.append(event)

    def first(self) -> int | None:
        """When the next event comes; None where nothing does. What comes is in `near` then."""
        near = self.near
        if not near:
            if not self._slots:
                return None
            slot = heappop(self._slots)
            near += self._far.pop(slot)
            near.sort()  # which is a heap
            self.edge = (slot + 1) * self.width
        return near[0][0]

    def pop(self) -> Event:
        """The next event, which is no longer to come."""
        self.first()
        return heappop(self.near)

    def listed(self) -> list[Event]:
        """All of them, in order."""
        return sorted([*self.near, *(one for some in self._far.values() for one in some)])
