"""What routes do to requests, by meshroute and by the real Envoy 1.40.0, as an upstream sees it and as a client does.

As in test_envoy.py every run draws anew, and the printed seed draws the same again. A proxy draws portions itself, so
here they are none or all; its own headers, and the framing of bodies, are left out of the comparison.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

from meshroute import Reply, Request, Router, RoutingTable, Session
from meshroute.conformance.envoy import ANSWER_HEADERS, STREAM_HEADER, listener_name, render
from meshroute.decision import Decision
from meshroute.draws import Draws
from meshroute.names import ClusterName
from meshroute.table import (
    Cluster,
    Endpoint,
    Exact,
    Forward,
    HeaderChanges,
    Listener,
    RingHash,
    RoundRobin,
    Route,
    VirtualHost,
)
from meshroute.tries import Failure
from tests.differential.compare import vector_of
from tests.differential.conftest import Tally
from tests.differential.deeds import PATHS, routes
from tests.differential.echo import ID_HEADER, PLAN_HEADER, Echo, Heard
from tests.differential.envoy_process import Envoy, envoy_path
from tests.differential.worlds import drawn

LISTENERS: Final = 400
REQUESTS_EACH: Final = 9
TRIES_EACH: Final = 3
"""Requests drawn for each one that is sent."""
SHOWN: Final = 3
HOSTS: Final = {
    "one": ("127.0.4.1",),
    "two": ("127.0.4.2",),
    "ring": ("127.0.4.3", "127.0.4.4", "127.0.4.5"),
    "named": ("127.0.4.6",),
    "copies": ("127.0.4.7",),
    "more": ("127.0.4.8",),
    "nobody": (),
}
COPIES: Final = frozenset(("127.0.4.7", "127.0.4.8"))
_FRAMING: Final = ("content-length", "transfer-encoding")
_NOT_OURS: Final = frozenset(
    (ID_HEADER, PLAN_HEADER, STREAM_HEADER, "host", "x-forwarded-proto", "x-forwarded-for", *_FRAMING)
)
"""Of requests: what the test itself adds, the proxy's own, and the framing."""
_NOT_THEIRS: Final = frozenset((*ANSWER_HEADERS, "date", "server", "x-envoy-upstream-service-time", *_FRAMING))


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


class Asked(NamedTuple):
    """A request, as it is written on the wire, and how its tries are answered."""

    port: int
    method: str
    target: str
    authority: str
    lines: tuple[tuple[str, str], ...]
    stream: int
    plan: tuple[str, ...] = ()

    def request(self, name: str) -> Request:
        """As the engine is asked."""
        lines = (*self.lines, (ID_HEADER, name), (PLAN_HEADER, ";".join(self.plan)))
        return Request(self.method, self.authority, self.target, lines, port=self.port, source_ip="127.0.0.1")

    def bytes(self, name: str) -> bytes:
        """As Envoy is asked, which calls clusters by their table too."""
        lines = [
            ("Host", self.authority),
            *((key, f"0:{value}" if key in ("x-cluster", "x-copy") and value else value) for key, value in self.lines),
            (ID_HEADER, name),
            (PLAN_HEADER, ";".join(self.plan)),
            (STREAM_HEADER, str(self.stream)),
        ]
        head = [f"{self.method} {self.target} HTTP/1.1", *(f"{key}:{value}" for key, value in lines), "", ""]
        return "\r\n".join(head).encode("latin-1")


class Seen(NamedTuple):
    """A request as an upstream saw it; its lines by name, those of one name in order."""

    address: str
    method: str
    path: str
    authority: str
    lines: tuple[tuple[str, str], ...]


class Outcome(NamedTuple):
    """Everything that can be seen from outside."""

    status: int
    flags: str
    lines: tuple[tuple[str, str], ...]
    body: str | None
    tries: tuple[Seen, ...]
    copies: tuple[Seen, ...]


def _ordered(lines: Sequence[tuple[str, str]], without: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((line for line in lines if line[0] not in without), key=lambda line: line[0]))


def ours(router: Router, asked: Asked, name: str) -> Outcome:
    """What meshroute says, every try answered as planned."""
    request = asked.request(name)
    draws = Draws.of(given={"stream": asked.stream})
    first = router.explain(request, draws=draws)
    assert first == replace(router.decide(request, draws=draws), trace=first.trace)
    session = _Pinned(router, asked.stream)
    numbers = iter(range(len(asked.plan) + 9))

    def upstream(_: Decision) -> int | Reply | Failure:
        number = next(numbers)
        order = asked.plan[min(number, len(asked.plan) - 1)] if asked.plan else "200"
        return Failure.RESET if order == "close" else _reply(order)

    end = session.send(request, upstream)
    forwarded = [one for one in end.tries if one.endpoint is not None]
    seen = tuple(_seen(one.endpoint.address, one.request) for one in forwarded if one.endpoint is not None)
    copies = tuple(_seen(one.endpoint.address, one.request) for one in first.mirrors)
    body = getattr(end.tries[-1].outcome, "body", None)
    reset = end.flags.endswith("UC")  # the proxy then answers with words about the connection
    lines = () if reset else _ordered(end.headers, _NOT_THEIRS)
    sent = None if reset else "" if asked.method == "HEAD" or body is None else body
    return Outcome(end.status, end.flags, lines, sent, seen, tuple(sorted(copies)))


class _Pinned(Session):
    """A session in which every try draws the same `stream`."""

    def __init__(self, router: Router, stream: int) -> None:
        super().__init__(router)
        self._stream: Final = stream

    def _draws(self) -> Draws:
        return replace(super()._draws(), given={"stream": self._stream})


def _reply(order: str) -> Reply:
    status, *lines = order.split("|")
    return Reply(int(status), tuple((key, value) for key, _, value in (line.partition(": ") for line in lines)))


def _seen(address: str, request: Request) -> Seen:
    return Seen(address, request.method, request.path, request.authority, _ordered(request.headers, _NOT_OURS))


def theirs(envoy: Envoy, echo: Echo, asked: Asked, name: str, expected: Outcome) -> Outcome:
    """What Envoy does. Whatever it sends without being expected to is seen too, if it comes in time."""
    answer = envoy.ask(listener_name(0, asked.port), asked.bytes(name))
    heard = echo.heard(name, len(expected.copies))
    tries = tuple(_heard(one) for one in heard if one.address not in COPIES)
    copies = tuple(sorted(_heard(one) for one in heard if one.address in COPIES))
    flags = dict(answer.lines).get("x-meshroute-flags", "")
    reset = flags.endswith("UC")
    lines = () if reset else _plain(_ordered(answer.lines, _NOT_THEIRS))
    body = None if reset else "" if asked.method == "HEAD" else answer.body.decode("latin-1")
    return Outcome(answer.status, "" if flags == "-" else flags, lines, body, tries, copies)


def _heard(one: Heard) -> Seen:
    authority = dict(one.lines).get("host", "")
    authority = _plain((("", authority),))[0][1]
    return Seen(one.address, one.method, one.target, authority, _plain(_ordered(one.lines, _NOT_OURS)))


def _plain(lines: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Without the number of the table before the names of clusters."""
    return tuple((key, re.sub(r"\b0:(?=[a-z])", "", value)) for key, value in lines)


_TIMEOUT: Final = "x-envoy-expected-rq-timeout-ms"


def agree(mine: Outcome, other: Outcome) -> bool:
    """Equal; what is left of a timeout when a request is tried again, only a clock knows. An answer of the upstream
    has no flags that anybody tells."""
    if other.flags == "" and mine.flags in ("DI", "URX", "DI,URX"):
        mine = mine._replace(flags="")
    return mine._replace(tries=_timeless(mine.tries)) == other._replace(tries=_timeless(other.tries))


def _timeless(tries: Sequence[Seen]) -> tuple[Seen, ...]:
    return (
        *tries[:1],
        *(one._replace(lines=tuple(line for line in one.lines if line[0] != _TIMEOUT)) for one in tries[1:]),
    )


def world(some: Sequence[Route], port: int) -> RoutingTable:
    """Each route behind a port of its own: a virtual host, and so a level of header changes, for itself."""
    listeners = [
        Listener(1000 + number, (VirtualHost("v", ("*",), (replace(one, name=f"r{number}"),)),))
        for number, one in enumerate(some)
    ]
    clusters = [
        Cluster(
            ClusterName(name),
            RingHash(64) if name == "ring" else RoundRobin(),
            tuple(Endpoint(address, port, hostname="host.test" if name == "named" else "") for address in addresses),
        )
        for name, addresses in HOSTS.items()
    ]
    return RoutingTable(tuple(listeners), tuple(clusters))


VALUES: Final = ("", "a", "b-c", "/x", "v", "x.test", "%41", "one")
PLANS: Final = (
    (),
    ("200|x-a: u|vary: w|x-a: t",),
    ("503", "200|x-b: late"),
    ("503", "500"),
    ("close", "204"),
    ("418",),
)
MORE_PLANS: Final = (("429|x-envoy-ratelimited: true", "200"), ("409", "502", "504", "503"), ("503|set-cookie: a=1",))


def asked_of(rng: Random, route: Route, port: int) -> Asked:
    """A request to the route behind a port; where a header is to choose the cluster, it does, or the proxy would."""
    names = ["x-a", "x-a", "x-b", "user-agent", "x-forwarded-host", "x-cluster", "x-copy", "cache-control"]
    chosen = rng.sample(names, rng.randint(0, 6))
    if isinstance(route.action, Forward) and route.action.stream_header:
        chosen.append("x-number")
    lines = []
    for name in chosen:
        values = {
            "x-number": ("0", "1", "2", "3", "+4", "18446744073709551615", "007"),
            "x-cluster": ("one", "two", "ring", "gone", ""),
            "x-copy": ("copies", "more", "gone", ""),
            "x-forwarded-host": ("h.test", "y", "y,h.test", "h.test,y"),
        }.get(name, VALUES)
        lines.append((name, rng.choice(values)))
    asked = route.match.path
    path = asked.value if isinstance(asked, Exact) and rng.random() < 0.7 else rng.choice(PATHS)
    if rng.random() < 0.2:
        lines.append(("content-type", rng.choice(("application/grpc", "application/grpc+x", "application/grpcx"))))
    method = rng.choice(("GET", "GET", "GET", "HEAD", "OPTIONS"))
    if rng.random() < 0.3:
        lines.append(("origin", rng.choice(("http://o.test", "http://p", "x", ""))))
        if rng.random() < 0.7:
            lines.append(("access-control-request-method", rng.choice(("PUT", "PUT", ""))))
    return Asked(
        port,
        method,
        path + rng.choice(("", "", "?", "?q=%41b&a=1", "?q=1")),
        rng.choice(("h.test", "h.test:80", "[::1]:80", "[::1]")),
        tuple(lines),
        rng.randint(0, 5),
        rng.choice((*PLANS, *MORE_PLANS)),
    )


class Difference(NamedTuple):
    """A request on which the two differ."""

    asked: Asked
    mine: Outcome
    theirs: Outcome


def ends(mine: Outcome) -> list[str]:
    """The flags of an answer, or who gave it."""
    return mine.flags.split(",") if mine.flags else ["upstream" if mine.tries else "local"]


def deeds(mine: Outcome) -> list[str]:
    """How it ends, and what else became of it."""
    others = {"copies": bool(mine.copies), "tried again": len(mine.tries) > 1}
    return [*ends(mine), *(name for name, happened in others.items() if happened)]


def rarest(rng: Random, router: Router, route: Route, port: int, met: Counter[str]) -> Asked:
    """Of some requests the one of which becomes what became of fewest before: most of them meet no route, which is soon
    told."""
    some = [asked_of(rng, route, port) for _ in range(TRIES_EACH)]
    found = [deeds(ours(router, asked, "r")) for asked in some]
    chosen, asked = min(zip(found, some, strict=True), key=lambda pair: min(met[end] for end in pair[0]))
    met.update(chosen)
    return asked


def differences(
    router: Router, envoy: Envoy, echo: Echo, cases: Sequence[Asked], names: Iterator[str], met: Counter[str]
) -> list[Difference]:
    """Put the cases to both."""
    found = []
    for asked in cases:
        name = next(names)
        mine = ours(router, asked, name)
        other = theirs(envoy, echo, asked, name, mine)
        met.update(deeds(mine))
        if not agree(mine, other):
            found.append(Difference(asked, mine, other))
    return found


def names_of(prefix: str) -> Iterator[str]:
    """An id for each request."""
    number = 0
    while True:
        yield f"{prefix}{number}"
        number += 1


def test_requests_as_upstreams_and_clients_see_them(tmp_path: Path, tally: Tally, seed: int) -> None:
    """Path, authority and headers at every try and copy; status, flags, headers and body at the client."""
    generated, rng = drawn(routes(), LISTENERS, seed), Random(seed)
    met = Counter[str]()
    with Echo([address for some in HOSTS.values() for address in some], COPIES) as echo:
        table = world(generated, echo.port)
        router = Router(table)
        planned = Counter[str]()
        cases = [
            rarest(rng, router, route, one.port, planned)
            for route, one in zip(generated, table.listeners, strict=True)
            for _ in range(REQUESTS_EACH)
        ]
        with Envoy(render([table]), tmp_path) as envoy:
            found = differences(router, envoy, echo, cases, names_of("r"), met)
        assert not found, report(found, generated, echo, tmp_path)
    tally.counts["requests as upstreams see them"] += len(cases)
    assert len(cases) >= 3_000
    # A world that meets nothing shows nothing.
    for what in ("upstream", "local", "NR", "NC", "UH", "FI", "copies", "tried again"):
        assert met[what] >= 5, (what, met)


def smaller(route: Route, asked: Asked) -> Iterator[tuple[Route, Asked]]:
    """The case with one thing less."""
    for field, plain in (("cors", None), ("fault", None), ("request_headers", ()), ("response_headers", ())):
        if getattr(route, field) != plain:
            yield replace(route, **{field: plain}), asked
    for field in ("request_headers", "response_headers"):
        levels: tuple[HeaderChanges, ...] = getattr(route, field)
        for number, level in enumerate(levels):
            fewer = [replace(level, remove=())] if level.remove else []
            fewer += [replace(level, add=level.add[:at] + level.add[at + 1 :]) for at in range(len(level.add))]
            for less in fewer:
                yield replace(route, **{field: (*levels[:number], less, *levels[number + 1 :])}), asked
    if isinstance(action := route.action, Forward):
        plain_action = Forward(action.clusters)
        for name in action.__struct_fields__:
            if name != "clusters" and getattr(action, name) != getattr(plain_action, name):
                yield replace(route, action=replace(action, **{name: getattr(plain_action, name)})), asked
        for at, one in enumerate(action.clusters):
            others = action.clusters[:at] + action.clusters[at + 1 :]
            if any(other.weight for other in others):
                yield replace(route, action=replace(action, clusters=others)), asked
            for field, empty in (("request_headers", None), ("response_headers", None), ("authority", "")):
                if getattr(one, field) != empty:
                    less_one = replace(one, **{field: empty})
                    clusters = (*action.clusters[:at], less_one, *action.clusters[at + 1 :])
                    yield replace(route, action=replace(action, clusters=clusters)), asked
    for at in range(len(asked.lines)):
        yield route, asked._replace(lines=asked.lines[:at] + asked.lines[at + 1 :])
    if asked.plan:
        yield route, asked._replace(plan=asked.plan[:-1])


def report(found: Sequence[Difference], generated: Sequence[Route], echo: Echo, folder: Path) -> str:
    """The first differences, each made as small as it can be made by leaving things out while it still differs."""
    parts = [f"{len(found)} differences"]
    for number, one in enumerate(found[:SHOWN]):
        route = generated[one.asked.port - 1000]
        for turn in range(40):  # each leaves out one thing more
            candidates = list(smaller(route, one.asked))
            table = world([candidate for candidate, _ in candidates], echo.port)
            cases = [asked._replace(port=1000 + at) for at, (_, asked) in enumerate(candidates)]
            with Envoy(render([table]), folder) as envoy:
                still = differences(Router(table), envoy, echo, cases, names_of(f"s{number}.{turn}."), Counter())
            if not still:
                break
            one = still[0]
            route = candidates[one.asked.port - 1000][0]
        parts.append(f"meshroute: {one.mine}\nenvoy:     {one.theirs}")
        parts.append(f"to be kept below spec/vectors:\n{as_vector(route, one, echo.port)}")
    return "\n".join(parts)


def as_vector(route: Route, one: Difference, port: int) -> str:
    """What Envoy did, as a vector."""
    asked = one.asked
    seen = one.theirs.tries[0] if one.theirs.tries else None
    expect: dict[str, Any] = (
        {"status": one.theirs.status}
        if seen is None
        else {"path": seen.path, "authority": seen.authority, "headers": [list(line) for line in seen.lines]}
    )
    request = {
        "method": asked.method,
        "url": f"http://{asked.authority}{asked.target}",
        "headers": [list(line) for line in asked.lines],
        "port": 1000,
    }
    return vector_of(world([route], port), {"request": request, "draws": {"stream": asked.stream}, "expect": expect})
