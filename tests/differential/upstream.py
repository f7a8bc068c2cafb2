"""Servers for Envoy to forward to: they answer at once, or hold every request until it is let go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from tests.differential.envoy_process import PATIENCE


class Upstream:
    """Listening sockets on 127.0.0.1 for the time of a `with` block, each a host of its own.

    `respond` gives the status for a host's number, or None for a request that is held; `arrived` waits for the next
    request and says whose it is, `let_go` answers the oldest one that a host holds with 200.
    """

    def __init__(self, hosts: int, respond: Callable[[int], int | None] = lambda host: None) -> None:
        self._respond: Final = respond
        self._listening: Final = [socket.create_server(("127.0.0.1", 0)) for _ in range(hosts)]
        self.ports: Final[Sequence[int]] = [one.getsockname()[1] for one in self._listening]
        self._arrived: Final = SimpleQueue[int]()
        self._held: Final[list[list[socket.socket]]] = [[] for _ in range(hosts)]
        self._open: Final[list[socket.socket]] = []

    def __enter__(self) -> Self:
        for host, listening in enumerate(self._listening):
            threading.Thread(target=self._accept, args=(host, listening), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._listening, *self._open):
            with suppress(OSError):  # never connected, or gone already
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def arrived(self) -> int:
        """The host of the next request that came and has not been asked about."""
        try:
            return self._arrived.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"no request reached a host within {PATIENCE} seconds") from None

    def let_go(self, host: int) -> None:
        """Answer the oldest request that this host holds."""
        self._answer(self._held[host].pop(0), 200)

    def _accept(self, host: int, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed: the block is over
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(host, connection), daemon=True).start()

    def _serve(self, host: int, connection: socket.socket) -> None:
        unread = b""
        while True:
            while b"\r\n\r\n" not in unread:
                try:
                    more = connection.recv(65536)
                except OSError:
                    return
                if not more:
                    return
                unread += more
            unread = unread.partition(b"\r\n\r\n")[2]
            status = self._respond(host)
            if status is None:
                self._held[host].append(connection)
                self._arrived.put(host)
            else:
                self._arrived.put(host)
                self._answer(connection, status)

    @staticmethod
    def _answer(connection: socket.socket, status: int) -> None:
        connection.sendall(f"HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n".encode())
