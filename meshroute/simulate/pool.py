"""Which of several open connections carries the next request.

Source    spec/reuse.md REUSE-5; envoyproxy/envoy: source/common/conn_pool/conn_pool_base.cc
Inputs    the numbers of open connections, and how many requests each carries now.
Exactness the list itself is the order: who stands last goes first.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_STREAMS = 100
"""Requests that one HTTP/2 connection carries at once."""


def with_room(order: Sequence[int], has_room: Callable[[int], bool]) -> int | None:
    """The connection for the next request: the last with room, None where there is none."""
    for number in reversed(order):
        if has_room(number):
            return number
    return None


def begun(order: list[int], number: int, *, multiplexed: bool) -> None:
    """A request goes out on a connection. One of HTTP/2 has room still, and is used on."""
    if multiplexed:
        _last(order, number)


def ended(order: list[int], number: int, *, multiplexed: bool) -> None:
    """A request on a connection has ended. One of HTTP/1.1 is free by now, and the first to be used again."""
    if not multiplexed:
        _last(order, number)


def _last(order: list[int], number: int) -> None:
    if order[-1] != number:
        order.remove(number)
        order.append(number)
