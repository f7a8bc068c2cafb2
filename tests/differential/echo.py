"""Hosts that tell what they were asked: HTTP/1.1 servers on several loopback addresses and one port.

Every request has an id in its header ID_HEADER; `heard` has all requests of an id, as they came. The header PLAN_HEADER
says how the tries of an id are answered, with `;` between them, the last one for all that follow: a status, then header
lines, with `|` between them; `close` ends the connection instead. Copies are answered 200.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from functools import partial
from threading import Condition
from typing import Final, NamedTuple

from tests.differential.servers import Servers

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


class Echo(Servers):
    """The servers for the time of a `with` block. Addresses of `copies` answer 200, whatever the plan is."""

    def __init__(self, addresses: Sequence[str], copies: Set[str] = frozenset()) -> None:
        super().__init__()
        self._addresses: Final = addresses
        self._copies: Final = copies
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

    async def start(self) -> None:
        for address in self._addresses:
            self.port = await self.serve(partial(self._talk, address), (address, self.port))

    async def _talk(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


def _read(address: str, head: bytes) -> tuple[Heard, str, list[str]]:
    first, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    lines = tuple((name.lower(), value.strip(" \t")) for name, _, value in (line.partition(":") for line in rest))
    fields = dict(lines)
    plan = [one for one in fields.get(PLAN_HEADER, "").split(";") if one]
    return Heard(address, method, target, lines), fields.get(ID_HEADER, ""), plan
