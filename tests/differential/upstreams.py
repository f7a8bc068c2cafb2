"""Hosts for a proxy to ask: small HTTP/1.1 servers on loopback that answer what the request tells them to.

The header `x-do` is a status code, `close` (end the connection without an answer), `hang` (never answer), `hold`
(answer when told to) or, for different answers of different hosts, statuses in their order with commas between them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from tests.differential.envoy_process import PATIENCE
from tests.differential.servers import Servers


class Upstreams(Servers):
    """Several servers for the time of a `with` block, all in one thread; `ports` are theirs, in order.

    Of requests to be held, `arrived` waits for the next and says whose it is; `let_go` answers the oldest of a host.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count: Final = count
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
        self.loop.call_soon_threadsafe(self._held[host].pop(0).write, _answer("200"))

    async def start(self) -> None:
        self.ports = tuple(
            [await self.serve(partial(self._talk, number), ("127.0.0.1", 0)) for number in range(self._count)]
        )

    async def _talk(self, host: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (order := _order(await reader.readuntil(b"\r\n\r\n"))) != "close":
            if order == "hold":
                self._held[host].append(writer)
                self._arrived.put(host)
            elif order != "hang":
                writer.write(_answer(order.split(",")[host] if "," in order else order))
                await writer.drain()


def _order(head: bytes) -> str:
    fields = dict(line.partition(b": ")[::2] for line in head.split(b"\r\n"))
    return fields[b"x-do"].decode()


def _answer(status: str) -> bytes:
    return f"HTTP/1.1 {status} so\r\ncontent-length: 0\r\n\r\n".encode()
