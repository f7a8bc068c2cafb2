"""Hosts that tell what they were asked: HTTP/1.1 servers on several loopback addresses and one port.

Every request has an id in its header ID_HEADER; `heard` has all requests of an id, as they came. The header PLAN_HEADER
says how the tries of an id are answered, with `;` between them, the last one for all that follow: a status, then header
lines, with `|` between them; `close` ends the connection instead. Copies are answered 200.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from types import TracebackType
from typing import Final, NamedTuple, Self

ID_HEADER: Final = "x-meshroute-id"
PLAN_HEADER: Final = "x-meshroute-plan"
LATE: Final = 3.0
"""Seconds after which a copy that has not come is missing."""


class Heard(NamedTuple):
    """A request as a host got it, header names in lower case."""

    address: str
    method: str
    target: str
    lines: tuple[tuple[str, str], ...]


class Echo:
    """The servers for the time of a `with` block. Addresses of `copies` answer 200, whatever the plan is."""

    def __init__(self, addresses: Sequence[str], copies: Set[str] = frozenset()) -> None:
        self._addresses: Final = addresses
        self._copies: Final = copies
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._talks: Final[set[asyncio.Task[None]]] = set()
        self._tries: Final = Counter[str]()
        self._heard: Final[dict[str, list[Heard]]] = defaultdict(list)
        self._news: Final = Condition()
        self.port = 0

    def heard(self, name: str, copies: int) -> list[Heard]:
        """All requests of an id, once there are as many copies, which nobody else waits for; fewer, if no more come."""

        def enough() -> bool:
            return sum(one.address in self._copies for one in self._heard[name]) >= copies

        with self._news:
            self._news.wait_for(enough, LATE)
            return list(self._heard[name])

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        for address in self._addresses:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, self.port))
            self.port = one.getsockname()[1]
            self._servers.append(await asyncio.start_server(partial(self._talk, address), sock=one))

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                heard, name, plan = _read(address, await reader.readuntil(b"\r\n\r\n"))
                number = 0
                if address not in self._copies:
                    number = self._tries[name]
                    self._tries[name] += 1
                with self._news:
                    self._heard[name].append(heard)
                    self._news.notify_all()
                order = "200" if address in self._copies or not plan else plan[min(number, len(plan) - 1)]
                if order == "close":
                    break
                status, *lines = order.split("|")
                head = [f"HTTP/1.1 {status} so", *lines, "content-length: 0", "", ""]
                writer.write("\r\n".join(head).encode("latin-1"))
                await writer.drain()
        writer.close()


def _read(address: str, head: bytes) -> tuple[Heard, str, list[str]]:
    first, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    lines = tuple((name.lower(), value.strip(" \t")) for name, _, value in (line.partition(":") for line in rest))
    fields = dict(lines)
    plan = [one for one in fields.get(PLAN_HEADER, "").split(";") if one]
    return Heard(address, method, target, lines), fields.get(ID_HEADER, ""), plan
