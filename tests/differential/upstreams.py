"""Hosts for a proxy to ask: small HTTP/1.1 servers on loopback that answer what the request tells them to.

The header `x-do` is a status code, `close` (end the connection without an answer) or `hang` (never answer).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Final, Self


class Upstreams:
    """Several servers for the time of a `with` block, all in one thread; `ports` are theirs, in order."""

    def __init__(self, count: int) -> None:
        self._count: Final = count
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._talks: Final[set[asyncio.Task[None]]] = set()
        self.ports: tuple[int, ...] = ()

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
        self._servers = [await asyncio.start_server(self._talk, "127.0.0.1", 0) for _ in range(self._count)]
        self.ports = tuple(server.sockets[0].getsockname()[1] for server in self._servers)

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while (order := _order(await reader.readuntil(b"\r\n\r\n"))) != "close":
                if order != "hang":
                    writer.write(f"HTTP/1.1 {order} so\r\ncontent-length: 0\r\n\r\n".encode())
                    await writer.drain()
        writer.close()


def _order(head: bytes) -> str:
    fields = dict(line.partition(b": ")[::2] for line in head.split(b"\r\n"))
    return fields[b"x-do"].decode()
