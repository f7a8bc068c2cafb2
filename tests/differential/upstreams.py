"""Hosts for a proxy to ask: small HTTP/1.1 servers on loopback that answer what the request tells them to.

The header `x-do` is a status code, `close` (end the connection without an answer), `hang` (never answer), `hold`
(answer when told to) or, for different answers of different hosts, statuses in their order with commas between them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Final, Self

from tests.differential.envoy_process import PATIENCE


class Upstreams:
    """Several servers for the time of a `with` block, all in one thread; `ports` are theirs, in order.

    Of requests to be held, `arrived` waits for the next and says whose it is; `let_go` answers the oldest of a host.
    """

    def __init__(self, count: int) -> None:
        self._count: Final = count
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._talks: Final[set[asyncio.Task[None]]] = set()
        self.ports: tuple[int, ...] = ()
        self._arrived: Final = SimpleQueue[int]()
        self._held: Final[list[list[asyncio.StreamWriter]]] = [[] for _ in range(count)]

    def arrived(self) -> int:
        """The number of the host to which the next held request came."""
        try:
            return self._arrived.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"no request came within {PATIENCE} seconds") from None

    def let_go(self, host: int) -> None:
        """Answer the oldest request that a host holds."""
        self._loop.call_soon_threadsafe(self._held[host].pop(0).write, _answer("200"))

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
        self._servers = [
            await asyncio.start_server(partial(self._talk, number), "127.0.0.1", 0) for number in range(self._count)
        ]
        self.ports = tuple(server.sockets[0].getsockname()[1] for server in self._servers)

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, host: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while (order := _order(await reader.readuntil(b"\r\n\r\n"))) != "close":
                if order == "hold":
                    self._held[host].append(writer)
                    self._arrived.put(host)
                elif order != "hang":
                    writer.write(_answer(order.split(",")[host] if "," in order else order))
                    await writer.drain()
        writer.close()


def _order(head: bytes) -> str:
    fields = dict(line.partition(b": ")[::2] for line in head.split(b"\r\n"))
    return fields[b"x-do"].decode()


def _answer(status: str) -> bytes:
    return f"HTTP/1.1 {status} so\r\ncontent-length: 0\r\n\r\n".encode()
