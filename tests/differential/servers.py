"""Servers on loopback for the time of a `with` block, all in one thread beside the test's."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Servers(ABC):
    """The thread, its loop, and an end that leaves nothing behind. Subclasses say what is served, in `start`."""

    def __init__(self) -> None:
        self.loop: Final = asyncio.new_event_loop()
        self._thread: Final = Thread(target=self.loop.run_forever, daemon=True)
        self._servers: Final[list[asyncio.Server]] = []
        self._talks: Final[set[asyncio.Task[None]]] = set()

    @abstractmethod
    async def start(self) -> None:
        """Calls `serve` for each server."""

    async def serve(self, talk: Talk, address: tuple[str, int]) -> int:
        """Talk to everyone who connects, until they go; the port, which is a free one where 0 is asked for."""

        async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await talk(reader, writer)
            writer.close()

        server = await asyncio.start_server(until_the_end, *address)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self.loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
