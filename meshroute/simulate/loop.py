"""The loop: what happens next, until nothing does, and its effects fed back to who decides.

Source    docs/simulate.md; the decisions are those of `Session` and of the balancers of connections
Inputs    a Scenario. Nothing else: no clock, no generator.
Exactness time is whole microseconds. Events of one time come by kind (changes, connections that are forgotten, ends,
          limits of time, what was put off, arrivals), then by number: of the change, of the connection, of the request,
          of the client in the order of the names of groups. When they were put in decides nothing. Every draw belongs
          to a client and the number of its request or connection, or to a proxy and the number of its decision, so that
          no draw shifts another.
Errors    ValueError for a saved simulation of another scenario. What traffic meets is an outcome.
Left out  connections between proxies and pods (they change nothing there: spec/reuse.md), time on the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from fnmatch import fnmatchcase
from fractions import Fraction
from heapq import heappop
from itertools import accumulate
from typing import Final

import msgspec
from msgspec.structs import force_setattr
from xxhash import xxh64_intdigest

from meshroute.connection import Connected, Connection
from meshroute.decision import (
    FORWARDED,
    Decision,
    Failed,
    Forwarded,
    Redirected,
    Responded,
    stream_timeout_of,
    timeout_of,
    try_timeout_of,
)
from meshroute.draws import Draws
from meshroute.names import ClusterName, EndpointKey
from meshroute.request import Request, host_of
from meshroute.session import Session
from meshroute.simulate.agenda import Agenda
from meshroute.simulate.chance import Constant, draw, minus_ln, sampler, seed_of
from meshroute.simulate.follow import begun, followed, goes_by_time
from meshroute.simulate.live import Cell, ClientNow, Flight, Line, Live, PodNow, Saved, laid_aside, taken_up
from meshroute.simulate.model import (
    SECOND,
    Arrivals,
    Asking,
    Clients,
    Scenario,
    Serving,
    Straight,
    Target,
    Through,
    exactly,
)
from meshroute.simulate.pool import MOST_STREAMS, with_room
from meshroute.simulate.pool import begun as begun_on
from meshroute.simulate.pool import ended as ended_on
from meshroute.simulate.tally import Result, result_of
from meshroute.state import Effect, Ledger, RequestStarted, State, TimePassed
from meshroute.table import Action, Endpoint, Forward
from meshroute.tries import MEANINGS, Failure, longest_wait

FORMAT: Final = 1
"""Of saved simulations."""
CHANGE, FORGET, END, LATE, SEND, ASK = range(6)
"""Kinds of events, in the order in which they happen at one time."""
MILLISECOND: Final = 1000
WHOLE, EXCHANGE = 0, -1
"""What time is over, where it is not that of a try: that for the answer, or for the whole exchange."""
MAX_DURATION: Final = "max_duration_timeout"
NEAR: Final = 100
"""How many requests, more or less, clients make while the agenda holds what is near."""
SAID: Final[Mapping[Failure, str]] = {
    Failure.CONNECT_FAILED: "refused",
    Failure.RESET: "stopped",
    Failure.TIMED_OUT: "response_timeout",
    Failure.TRY_TIMED_OUT: "upstream_per_try_timeout",
}
"""How requests end that get no answer: nobody listens, the pod stops half-way, or the proxy waits no longer."""
REFUSED: Final = SAID[Failure.CONNECT_FAILED]
COPY: Final = 1 << 19
"""Copies of a request count from here where its tries count from 1."""
WORKS: Final = 20
"""How many bits these numbers have."""
_SAID: Final = {status: f"status {status}" for status in (200, 404, 500, 503)}
FULL: Final = 503
"""What a pod answers whose queue is full."""


class _Client:
    """One client: what does not change about it, and where it stands."""

    __slots__ = (
        "always",
        "first_user",
        "kind",
        "made",
        "most",
        "name",
        "now",
        "poisson",
        "proxy",
        "rank",
        "rate",
        "seed",
        "session",
        "sessions",
        "source_ip",
        "sums",
    )

    def __init__(
        self, kind: Clients, name: str, rank: int, seed: int, first_user: int, alike: dict[int, Request]
    ) -> None:
        """`alike` has the requests that all clients of this kind make alike, by their place in the mix."""
        self.kind: Final = kind
        self.name: Final = name
        self.rank: Final = rank
        self.most: Final = kind.connections * (MOST_STREAMS if kind.multiplexed else 1)
        self.seed: Final = seed_of(seed, f"client.{name}")
        self.proxy: Final = kind.proxy or name
        self.first_user: Final = first_user
        self.sums: Final = tuple(accumulate(one.weight for one in kind.asks))
        digest = seed_of(0, name)
        self.source_ip: Final = f"10.{64 + digest % 64}.{digest >> 8 & 255}.{1 + (digest >> 16) % 254}"
        self.made: Final = tuple(
            None if one.varies else self._alike(number, one, alike) for number, one in enumerate(kind.asks)
        )
        self.always: Final = self.made[0] if len(self.made) == 1 else None
        self.now = ClientNow()
        self.rate = kind.rate
        self.poisson: Final = kind.arrivals is Arrivals.POISSON
        self.sessions: tuple[Session, ...] = ()
        self.session: Session | None = None
        """The only one; None where the proxy has several workers, and a connection is at one of them."""

    def _alike(self, number: int, ask: Asking, alike: dict[int, Request]) -> Request:
        """The same request from another address: with 10,000 clients, most of the time goes where memory is not
        near, and they share what is in it."""
        if any("{client}" in text for text in (ask.url, *ask.headers.values())):
            return self.request(ask, 0, 0)
        if number not in alike:
            alike[number] = self.request(ask, 0, 0)
        one = copy(alike[number])
        force_setattr(one, "source_ip", self.source_ip)
        return one

    def request(self, ask: Asking, number: int, user: int) -> Request:
        def filled(text: str) -> str:
            named = text.replace("{client}", self.name).replace("{n}", str(number))
            return named.replace("{user}", f"{self.kind.name}-user-{user}" if self.kind.users else self.name)

        headers = {name: filled(value) for name, value in ask.headers.items()}
        return Request.of(ask.method, filled(ask.url), headers, source_ip=self.source_ip)


class _Served:
    """How one pod answers, by the rules of now."""

    __slots__ = ("always", "limit", "queue", "statuses", "sums", "time")

    def __init__(self, rule: Serving) -> None:
        self.limit: Final = rule.limit
        self.queue: Final = rule.queue
        self.always: Final = rule.time.value if isinstance(rule.time, Constant) else None
        self.time: Final = sampler(rule.time)
        said = [(status, weight) for status, weight in rule.answers if weight]
        self.statuses: Final = tuple(status for status, _ in said)
        self.sums: Final = tuple(accumulate(weight for _, weight in said))


class Simulation:
    """One run of a scenario. Not a value: it moves on with `run`."""

    def __init__(self, scenario: Scenario) -> None:
        """Raises RequestError for requests that no client can send."""
        self.scenario: Final = scenario
        self._until: Final = scenario.until
        self._changes: Final = sorted(scenario.changes, key=lambda one: one.at)
        self._target: Target = scenario.target
        groups = sorted(scenario.clients, key=lambda one: one.name)
        firsts, count = {}, sum(one.count for one in groups)
        for one in groups:
            firsts[one.name], count = count, count + one.users
        named = [(name, one) for one in groups for name in one.names]
        alike: dict[str, dict[int, Request]] = {one.name: {} for one in groups}
        self._clients: Final = [
            _Client(kind, name, rank, scenario.seed, firsts[kind.name], alike[kind.name])
            for rank, (name, kind) in enumerate(named)
        ]
        endpoints = self._endpoints()
        self._names: Final = tuple(sorted({_name(one) for one in endpoints}))
        places = {name: number for number, name in enumerate(self._names)}
        self._pod_at: Final = {(one.address, one.port): places[_name(one)] for one in endpoints}
        self._pod_of: Final = {one.address: places[_name(one)] for one in endpoints}
        self._serving: Sequence[Serving] = scenario.serving
        self._served = self._rules()
        self._node = Ledger(State())
        self._node_seed: Final = seed_of(scenario.seed, "node")
        self._proxies: dict[str, tuple[Session, ...]] = {}
        self._timed = False
        self._reads: Final = isinstance(scenario.target, Through) and scenario.target.reads
        self._free: list[int] = []
        self._begin_proxies()
        self.live = Live(
            0,
            0,
            0,
            0,
            [],
            [one.now for one in self._clients],
            [PodNow(name) for name in self._names],
            {},
            {},
            {},
            {},
            {},
            {},
        )
        # Some hundred events are near, as often as clients ask.
        asked = sum(one.rate * one.count for one in scenario.clients)
        width = int(NEAR * SECOND / asked) if asked * self._until > NEAR * SECOND else self._until
        self._agenda = Agenda(((one.at, CHANGE, number, 0) for number, one in enumerate(self._changes)), width)
        for client in self._clients:
            self._next_ask(client, client.now)

    # What can be asked

    @property
    def now(self) -> int:
        """How far it is, in microseconds."""
        return self.live.now

    @property
    def finished(self) -> bool:
        """Whether the end is reached."""
        return self.live.now >= self.scenario.until

    def result(self) -> Result:
        """What happened so far; `partial` where the end is not reached."""
        return result_of(self.scenario, self.live, self._shown(), partial=not self.finished)

    def aside(self) -> dict[str, dict[ClusterName, tuple[EndpointKey, ...]]]:
        """Whom each proxy has put aside, as it knew when it last had something to do."""
        return {name: workers[0].ejected for name, workers in self._proxies.items()}

    def snapshot(self) -> bytes:
        """Where it stands, as JSON: `resume` takes it up."""
        flights, decisions = laid_aside(self.live.flights)
        alone, copies = laid_aside(self.live.alone)
        live = msgspec.structs.replace(self.live, events=self._agenda.listed(), flights=flights, alone=alone)
        return msgspec.json.encode(
            Saved(
                FORMAT,
                self.scenario.seed,
                tuple(one.name for one in self._clients),
                self._names,
                live,
                tuple((one.state, one.ordinal) for _, workers in sorted(self._proxies.items()) for one in workers),
                self._node.state(),
                decisions,
                copies,
            )
        )

    @classmethod
    def resume(cls, scenario: Scenario, saved: bytes) -> Simulation:
        """The simulation that was put aside, of the same scenario. Raises ValueError for one of another scenario, and
        msgspec.DecodeError for what is none."""
        before = msgspec.json.decode(saved, type=Saved)
        if before.format != FORMAT:
            raise ValueError(f"a saved simulation of format {before.format}; this is format {FORMAT}")
        again = cls(scenario)
        clients = tuple(one.name for one in again._clients)
        if (before.seed, before.clients, before.pods) != (scenario.seed, clients, again._names):
            raise ValueError("a saved simulation of another scenario: seed, clients or pods differ")
        for change in again._changes[: before.live.changed]:
            again._learn(change.target, change.serving, change.rates)
        again.live = before.live
        for client, now in zip(again._clients, before.live.clients, strict=True):
            client.now = now
        taken_up(again.live.flights, before.decisions)
        taken_up(again.live.alone, before.copies)
        again._agenda = Agenda(before.live.events, again._agenda.width)
        again._node = Ledger(before.node)
        left = iter(before.proxies)
        for name, workers in sorted(again._proxies.items()):
            known = [(one.seed, *next(left)) for one in workers]
            again._proxies[name] = Session.workers(workers[0].router, known)
        again._hand_out()
        return again

    # Setting up

    def _targets(self) -> list[Target]:
        return [self.scenario.target, *(one.target for one in self._changes if one.target is not None)]

    def _endpoints(self) -> list[Endpoint]:
        found: dict[tuple[str, int], Endpoint] = {}
        for target in self._targets():
            if isinstance(target, Straight):
                some = list(target.balancer.endpoints)
            else:
                routers = [target.router, *(router for _, router in sorted(target.others.items()))]
                some = [one for router in routers for cluster in router.table.clusters for one in cluster.endpoints]
            for one in some:
                found.setdefault((one.address, one.port), one)
        return list(found.values())

    def _shown(self) -> tuple[int, ...]:
        """The pods of the services that the result is about."""
        wanted = set(self.scenario.services)
        if not wanted or isinstance(self.scenario.target, Straight):
            return tuple(range(len(self._names)))
        shown = set()
        for target in self._targets():
            assert isinstance(target, Through)
            for router in (target.router, *target.others.values()):
                for cluster in router.table.clusters:
                    if cluster.service in wanted:
                        shown |= {self._pod_at[one.address, one.port] for one in cluster.endpoints}
        return tuple(sorted(shown))

    def _rules(self) -> list[_Served]:
        plain = _Served(Serving())
        rules = []
        for one in self._serving:
            fits = [name for name in self._names if fits_pod(name, one.pods)]
            chosen = {fits[number] for number in one.only if number < len(fits)} if one.only else set(fits)
            rules.append((chosen, _Served(one)))
        return [next((served for chosen, served in rules if name in chosen), plain) for name in self._names]

    def _begin_proxies(self) -> None:
        if isinstance(self._target, Through):
            self._timed = goes_by_time(self._target.router) or any(map(goes_by_time, self._target.others.values()))
            for client in self._clients:
                if client.proxy not in self._proxies:
                    router = self._target.of(client.kind.name)
                    names = [
                        f"proxy.{client.proxy}/{one}" if one else f"proxy.{client.proxy}"
                        for one in range(client.kind.workers)
                    ]
                    seeds = [seed_of(self.scenario.seed, one) for one in names]
                    known = [(seed, begun(router, seed), 0) for seed in seeds]
                    self._proxies[client.proxy] = Session.workers(router, known)
            self._hand_out()

    def _hand_out(self) -> None:
        """Each client its proxy."""
        for client in self._clients:
            client.sessions = self._proxies.get(client.proxy, ())
            client.session = client.sessions[0] if len(client.sessions) == 1 and self._reads else None

    def _learn(self, target: Target | None, serving: tuple[Serving, ...] | None, rates: Mapping[str, float]) -> None:
        if target is not None:
            before, self._target = self._target, target
            if isinstance(target, Straight) and isinstance(before, Straight):
                for effect in target.balancer.synced(before.balancer, self._node_now()):
                    self._node.apply(effect)
            if isinstance(target, Through):
                self._timed = goes_by_time(target.router) or any(map(goes_by_time, target.others.values()))
                routers = {one.proxy: target.of(one.kind.name) for one in reversed(self._clients)}
                for name, workers in self._proxies.items():
                    workers[0].advance(self.live.now // MILLISECOND)
                    later = [followed(one, routers[name], one.seed) for one in workers]
                    known = [(one.seed, one.state, one.ordinal) for one in later]
                    self._proxies[name] = Session.workers(routers[name], known)
                self._hand_out()
        if serving is not None:
            self._serving = serving
            self._served = self._rules()
        for client in self._clients if rates else ():
            client.rate = rates.get(client.kind.name, client.rate)

    # Running

    def run(self, until: int | None = None, stop: Callable[[], bool] = lambda: False) -> Simulation:
        """Let everything happen up to the end, or to `until` (microseconds) if that is earlier; returns itself.

        `stop` is asked every 1,024 events; where it says yes, the run ends between two events and can go on later.
        """
        live, end = self.live, self.scenario.until
        goal = end if until is None else min(until, end)
        agenda, count = self._agenda, 0
        near = agenda.near
        finish, send, ask, late = self._end, self._send, self._ask, self._late
        while True:
            at = near[0][0] if near else agenda.first()
            if at is None or at >= goal:
                break
            _, kind, number, generation = heappop(near)
            live.now = at
            if kind == END:
                finish(number, generation)
            elif kind == ASK:
                ask(number, generation)
            elif kind == SEND:
                send(number)
            elif kind == LATE:
                late(number, generation)
            elif kind == FORGET:
                self._forget(number)
            else:
                self._change(number)
            if self._free:
                self._let_wait_end()
            count += 1
            if not count & 1023 and stop():
                return self
        live.now = max(live.now, goal)
        return self

    # Clients

    def _next_ask(self, client: _Client, mine: ClientNow) -> None:
        """When this client asks again: nobody waits for an answer first."""
        live = self.live
        rate = client.rate
        if not rate:
            return
        number = mine.made
        if client.poisson:
            gap = minus_ln(xxh64_intdigest(number.to_bytes(8, "little") + b"gap", client.seed)) * SECOND / rate
            at = live.now + int(gap + 0.5) if gap < self._until else self._until
        else:
            # From the start of the rate, so that nothing is lost to rounding.
            step, since = SECOND / exactly(rate), number - mine.made_since
            if client.kind.arrivals is Arrivals.IN_STEP:
                at = mine.rate_since + int(step * since)
            else:
                at = mine.rate_since + int(step * (since + _share(draw(client.seed, mine.generation, b"phase"))))
            at = max(at, live.now)
        if at < self._until:  # what comes later happens to nobody
            self._agenda.add((at, ASK, client.rank, mine.generation))

    def _ask(self, rank: int, generation: int) -> None:
        client, live = self._clients[rank], self.live
        mine = client.now
        if generation != mine.generation:
            return  # put in before its rate changed
        number = mine.made
        user = rank
        if client.kind.users:
            user = client.first_user + draw(client.seed, number, b"user") % client.kind.users
        flown = live.flown
        live.flown = flown + 1
        live.flights[flown] = flight = Flight(rank, number, live.now, user)
        mine.made = number + 1
        self._next_ask(client, mine)
        if client.most and mine.in_flight >= client.most:
            mine.waiting.append(flown)
        else:
            self._admit(flown, flight, client, mine)

    def _admit(self, flown: int, flight: Flight, client: _Client, mine: ClientNow) -> None:
        mine.in_flight += 1
        if client.session is not None:
            self._decide(flown, flight, client, client.session)
            return
        if not self._find_line(flown, flight, client, mine):
            return
        if self._reads:
            self._decide(flown, flight, client, self._session(flight, client))
        else:
            flight.works = 1
            self._arrive(flown, flight)

    def _request(self, client: _Client, flight: Flight) -> Request:
        if client.always is not None:
            return client.always
        which = 0
        if len(client.sums) > 1:
            which = bisect_right(client.sums, draw(client.seed, flight.number, b"mix") % client.sums[-1])
        return client.made[which] or client.request(
            client.kind.asks[which], flight.number, flight.user - client.first_user
        )

    # Through proxies

    def _session(self, flight: Flight, client: _Client) -> Session:
        """The proxy that has the request: the worker that has, or had, its connection."""
        return client.sessions[flight.worker]

    def _decide(self, flown: int, flight: Flight, client: _Client, session: Session) -> None:
        if self._timed:
            self._advance(session)
        self._chosen(flown, flight, session.decide(self._request(client, flight)))

    def _advance(self, session: Session) -> None:
        now = self.live.now // MILLISECOND
        if now > session.now:
            session.advance(now)

    def _chosen(self, flown: int, flight: Flight, decision: Decision) -> None:
        if not isinstance(decision.outcome, Forwarded) or decision.endpoint is None:
            self._answered_by_proxy(flown, flight, decision)
            return
        flight.decision = decision
        flight.pod = self._pod_at[decision.endpoint.address, decision.endpoint.port]
        if decision.delay and not flight.works:
            self._agenda.add((self.live.now + decision.delay * MILLISECOND, SEND, flown, 0))
        else:
            self._sent(flown, flight, decision)

    def _answered_by_proxy(self, flown: int, flight: Flight, decision: Decision) -> None:
        match decision.outcome:
            case Failed(_, _, details):
                said = details
            case Responded(status) | Redirected(status):
                said = f"proxy answered {status}"
            case _:
                said = "left the mesh"
                self._session(flight, self._clients[flight.client]).finish(decision)
        if decision.delay and not flight.works:
            # Nobody waits but the client, whose request ends later.
            flight.decision, flight.pod = decision, -1
            self._agenda.add((self.live.now + decision.delay * MILLISECOND, SEND, flown, 0))
            flight.status = -1
            return
        self._over(flown, flight, said)

    def _send(self, flown: int) -> None:
        """What was put off: a request that a fault held up, or its next try."""
        flight = self.live.flights.get(flown)
        if flight is None:
            return  # its time was over before
        assert flight.decision is not None
        if flight.pod >= 0:
            self._sent(flown, flight, flight.decision)
        elif flight.status == -1:
            held, flight.decision, flight.status = flight.decision, None, 0
            self._answered_by_proxy(flown, flight, msgspec.structs.replace(held, delay=0))
        else:
            client = self._clients[flight.client]
            session = self._session(flight, client)
            if self._timed:
                self._advance(session)
            self._chosen(flown, flight, session.retry(self._request(client, flight), flight.decision))

    def _sent(self, flown: int, flight: Flight, decision: Decision) -> None:
        """One more try is on its way to its pod, with a limit to its time and with copies if it has some."""
        flight.works += 1
        if decision.matched is not None and waits_for_some_time(decision.matched.action):
            self._limit(flown, flight, decision)
        if decision.mirrors:
            self._copy(flown, flight, decision)
        self._arrive(flown, flight)

    def _limit(self, flown: int, flight: Flight, decision: Decision) -> None:
        """When the proxy waits no longer: for this try, for the answer, for the whole exchange."""
        now, action = self.live.now, decision.action
        if flight.works == 1:
            self._put_late(now, timeout_of(action), flown, WHOLE)
            self._put_late(now - decision.delay * MILLISECOND, stream_timeout_of(action), flown, EXCHANGE)
        self._put_late(now, try_timeout_of(action), flown, flight.works)

    def _put_late(self, since: int, limit: int, flown: int, generation: int) -> None:
        at = since + limit * MILLISECOND
        if limit and at < self._until:
            self._agenda.add((at, LATE, flown, generation))

    def _late(self, flown: int, generation: int) -> None:
        """The proxy waits no longer for an answer. The pod is not told, and goes on."""
        if generation > COPY:
            copy = self.live.alone.get(flown << WORKS | generation)
            if copy is not None and copy.decision is not None:
                session = self._session(copy, self._clients[copy.client])
                self._finish(session, copy.decision, Failure.TIMED_OUT)
                copy.decision = None
            return
        flight = self.live.flights.get(flown)
        if flight is None or (generation > 0 and (flight.works != generation or not flight.there)):
            return  # it has its answer
        there = flight.there
        if there:
            self._leave(flown, flight)
        if generation > 0:
            self._tried(flown, flight, Failure.TRY_TIMED_OUT)
        elif there and generation == WHOLE:
            self._tried(flown, flight, Failure.TIMED_OUT)
        else:
            if there:
                assert flight.decision is not None
                self._session(flight, self._clients[flight.client]).apply(flight.decision.finished())
            self._over(flown, flight, SAID[Failure.TIMED_OUT] if generation == WHOLE else MAX_DURATION)

    def _leave(self, flown: int, flight: Flight) -> None:
        """A pod is left alone with a request that nobody waits for any more."""
        key = flown << WORKS | flight.works
        self.live.alone[key] = msgspec.structs.replace(flight, decision=None)
        waiting = self.live.pods[flight.pod].waiting
        if flown in waiting:
            waiting[waiting.index(flown)] = ~key
        flight.there = False

    def _copy(self, flown: int, flight: Flight, decision: Decision) -> None:
        """Copies go to their pods. From here on they end for themselves."""
        begun_here = [one for one in decision.effects if isinstance(one, RequestStarted)]
        others = [one for one in decision.effects if not isinstance(one, RequestStarted)]
        own = decision.started
        flight.decision = msgspec.structs.replace(decision, effects=(*others, *((own,) if own is not None else ())))
        for number, mirror in enumerate(decision.mirrors):
            started = RequestStarted(mirror.cluster, mirror.endpoint.key)
            copy = msgspec.structs.replace(
                flight,
                arrived=self.live.now,
                pod=self._pod_at[mirror.endpoint.address, mirror.endpoint.port],
                works=COPY + 1 + number,
                decision=Decision(
                    FORWARDED,
                    mirror.request,
                    cluster=mirror.cluster,
                    endpoint=mirror.endpoint,
                    effects=(started,) if started in begun_here else (),
                ),
            )
            key = flown << WORKS | copy.works
            self.live.alone[key] = copy
            self._put_late(self.live.now, timeout_of(decision.action), flown, copy.works)
            self._arrive(~key, copy)

    def _finish(self, session: Session, decision: Decision, what: int | Failure) -> None:
        """The proxy hears how a request has ended."""
        if self._timed:
            self._advance(session)
        session.finish(decision, MEANINGS[what].event if isinstance(what, Failure) else what)

    def _tried(self, flown: int, flight: Flight, what: int | Failure) -> None:
        """A try through a proxy has ended: there may be another one."""
        decision, client = flight.decision, self._clients[flight.client]
        assert decision is not None
        session = client.sessions[flight.worker]
        if self._timed:
            self._finish(session, decision, what)
        else:
            session.apply(decision.finished())  # nobody watches how it ends
        # No rule of Istio's tries again after a plain 200.
        if what != 200 and decision.started is not None and session.router.retries(decision, what):
            action = decision.action
            assert isinstance(action, Forward)
            assert action.retries is not None
            tries = len(decision.tried) + 1
            most = longest_wait(action.retries, tries) * MILLISECOND
            wait = draw(client.seed, flight.number, b"wait.%d" % tries) % most if most else 0
            flight.pod = -1
            self._agenda.add((self.live.now + wait, SEND, flown, 0))
            return
        if isinstance(what, Failure):
            self._over(flown, flight, SAID[what])
        else:
            self._over(flown, flight, _SAID.get(what) or f"status {what}")

    # Connections of clients

    def _find_line(self, flown: int, flight: Flight, client: _Client, mine: ClientNow) -> bool:
        """A connection for the request: one that has room, else a new one. Without one it waits, or is over."""
        lines, multiplexed = self.live.lines, client.kind.multiplexed
        most = MOST_STREAMS if multiplexed else 1
        number = with_room(mine.lines, lambda one: lines[one].now < most and not self._worn(lines[one], client))
        if number is None:
            self._tidy(client, mine)
            if client.kind.connections and len(mine.lines) >= client.kind.connections:
                # All of them are worn and still busy.
                mine.in_flight -= 1
                mine.waiting.insert(0, flown)
                return False
            number = self._open(flown, flight, client, mine)
            if number is None:
                return False
        line = lines[number]
        line.had += 1
        line.now += 1
        begun_on(mine.lines, number, multiplexed=multiplexed)
        flight.line = number
        if self._reads:
            flight.worker = line.worker
        else:
            flight.pod = line.pod
        return True

    def _open(self, flown: int, flight: Flight, client: _Client, mine: ClientNow) -> int | None:
        live = self.live
        number = live.opened
        live.opened = number + 1
        worker = 0
        if len(client.sessions) > 1:
            # Kernels hash the four numbers of a connection: as good as a draw.
            worker = draw(client.seed, mine.opened, b"worker") % len(client.sessions)
            mine.opened += 1
        if self._reads:
            live.lines[number] = Line(live.now, -1, worker=worker)
            mine.lines.append(number)
            return number
        ask = self._request(client, flight)
        said = Connection(
            ask.port, host_of(ask.authority), source_ip=client.source_ip, source_port=1024 + number % 64512
        )
        connected: Connected | None
        if isinstance(self._target, Straight):
            draws, now = Draws(self._node_seed, number), live.now // MILLISECOND
            connected = self._target.balancer.connect(said, self._node_now(), draws, now)
            self._told(client, worker, connected.effects)
        else:
            if self._timed:
                self._advance(client.sessions[worker])
            connected = client.sessions[worker].connect(said)
        while True:
            if connected is None:
                self._over(flown, flight, REFUSED)
                return None
            if connected.endpoint is None:
                outcome = connected.outcome
                self._over(flown, flight, outcome.details if isinstance(outcome, Failed) else REFUSED)
                return None
            there = connected.endpoint
            pod = self._pod_at.get((there.address, there.port), -1)
            if pod >= 0 and live.pods[pod].up:
                break
            # Nobody listens there. A node that dials for its clients dials again.
            self._told(client, worker, connected.finished())
            asked = pod if pod >= 0 else self._pod_of.get(there.address, -1)
            if asked >= 0:  # else it is outside of what is simulated
                self._count(live.pods[asked], asked, flight)
                self._refused(live.pods[asked], flight)
            if not isinstance(self._target, Straight):
                connected = None
                continue
            connected = self._target.balancer.redial(connected, self._node.live)
            if connected is not None:
                self._told(client, worker, connected.effects)
        live.lines[number] = Line(live.now, pod, connected, worker=worker)
        mine.lines.append(number)
        return number

    def _told(self, client: _Client, worker: int, effects: Iterable[Effect]) -> None:
        """Whoever remembers connections hears of one: the client's proxy, or its node."""
        if client.sessions:
            client.sessions[worker].apply(effects)
        else:
            for effect in effects:
                self._node.apply(effect)

    def _node_now(self) -> State:
        """What balancers of connections remember, by now."""
        now = self.live.now // MILLISECOND
        if now > self._node.live.now:
            self._node.apply(TimePassed(now))
        return self._node.live

    def _worn(self, line: Line, client: _Client) -> bool:
        """Whether the client asks nothing more on this connection."""
        keep = client.kind.keep_alive
        return (
            line.broken
            or (keep.requests > 0 and line.had >= keep.requests)
            or (keep.lifetime > 0 and self.live.now - line.opened >= keep.lifetime)
        )

    def _left_line(self, flight: Flight, client: _Client, mine: ClientNow) -> None:
        number = flight.line
        line = self.live.lines[number]
        line.now -= 1
        if not line.now and self._worn(line, client):
            self._close(number, client)
        else:
            ended_on(mine.lines, number, multiplexed=client.kind.multiplexed)

    def _close(self, number: int, client: _Client) -> None:
        client.now.lines.remove(number)
        line = self.live.lines.pop(number)
        connected = line.connected
        if connected is None:
            return  # to a proxy that reads requests, and remembers nothing of their connections
        lingers = self._target.balancer.lingers * MILLISECOND if isinstance(self._target, Straight) else 0
        self._told(client, line.worker, connected.closing() if lingers else connected.finished())
        if lingers:
            self.live.closing[number] = connected
            if self.live.now + lingers < self._until:
                self._agenda.add((self.live.now + lingers, FORGET, number, 0))

    def _forget(self, number: int) -> None:
        """The node forgets a connection that was closed a while ago."""
        self._node_now()
        for effect in self.live.closing.pop(number).forgotten():
            self._node.apply(effect)

    def _tidy(self, client: _Client, mine: ClientNow) -> None:
        """Close idle connections that nothing more is asked on, so that others may be opened."""
        for number in list(mine.lines):
            line = self.live.lines[number]
            if not line.now and self._worn(line, client):
                self._close(number, client)

    # Pods

    def _cell(self, pod: PodNow) -> Cell:
        """The cell of now; what was there until now is added up."""
        now = self.live.now
        if now >= pod.ends:
            self._begin_cells(pod, now)
        cell = pod.cells[-1]
        cell.area += pod.present * (now - pod.since)
        pod.since = now
        return cell

    def _begin_cells(self, pod: PodNow, now: int) -> None:
        """Cells up to that of now."""
        while pod.ends <= now:
            if pod.cells:
                pod.cells[-1].area += pod.present * (pod.ends - pod.since)
                pod.since = pod.ends
            pod.cells.append(Cell())
            pod.ends += self.scenario.bucket

    def _count(self, pod: PodNow, number: int, flight: Flight) -> None:
        cell = self._cell(pod)
        cell.requests += 1
        if flight.works > COPY:
            pass  # nobody meets the pod of a copy
        elif flight.user == flight.client:  # who is a user itself
            mine = self._clients[flight.client].now
            if mine.met != number:
                cell.moved += mine.met >= 0
                mine.met = number
        else:
            met = self.live.met
            before = met.get(flight.user)
            if before != number:
                cell.moved += before is not None
                met[flight.user] = number

    def _refused(self, pod: PodNow, flight: Flight) -> None:
        """What has just been counted has left again."""
        cell = pod.cells[-1]
        cell.ended += 1
        cell.errors += 1
        cell.latencies.append(self.live.now - flight.arrived)

    def _arrive(self, flown: int, flight: Flight) -> None:
        """The request is at its pod. Here and below, those that nobody waits for have numbers below 0."""
        number = flight.pod
        pod, served = self.live.pods[number], self._served[number]
        self._count(pod, number, flight)
        if not pod.up:
            self._refused(pod, flight)
            self._ended(flown, flight, Failure.CONNECT_FAILED)
            return
        pod.present += 1
        flight.there = True
        if not served.limit or pod.busy < served.limit:
            self._work(flown, flight, pod, served)
        elif served.queue is None or len(pod.waiting) < served.queue:
            pod.waiting.append(flown)
        else:
            flight.status = FULL
            self._gone(flown, flight, FULL)

    def _work(self, flown: int, flight: Flight, pod: PodNow, served: _Served) -> None:
        pod.busy += 1
        works, takes = flight.works, served.always
        mirror = b"/mirror.%d" % (works - COPY - 1) if works > COPY else b""
        if takes is None:
            takes = served.time(draw(self._clients[flight.client].seed, flight.number, b"service" + mirror))
        flight.status = served.statuses[0]
        if len(served.statuses) > 1:
            name = b"status" + mirror if mirror else b"status.%d" % (works - 1)
            which = draw(self._clients[flight.client].seed, flight.number, name) % served.sums[-1]
            flight.status = served.statuses[bisect_right(served.sums, which)]
        at = self.live.now + takes
        if at < self._until:  # else it is unfinished at the end
            self._agenda.add((at, END, flown if flown >= 0 else ~flown >> WORKS, works))

    def _end(self, flown: int, works: int) -> None:
        flight = self.live.flights.get(flown)
        if flight is None or not flight.there or flight.works != works:
            key = flown << WORKS | works
            flight, flown = self.live.alone.get(key), ~key
            if flight is None:
                return  # its pod stopped before
        number = flight.pod
        pod = self.live.pods[number]
        pod.busy -= 1
        self._gone(flown, flight, flight.status)
        if pod.waiting and pod.up:
            served = self._served[number]
            while pod.waiting and (not served.limit or pod.busy < served.limit):
                following = pod.waiting.pop(0)
                next_one = self.live.flights[following] if following >= 0 else self.live.alone[~following]
                self._work(following, next_one, pod, served)

    def _gone(self, flown: int, flight: Flight, what: int | Failure) -> None:
        """The request has left its pod."""
        pod = self.live.pods[flight.pod]
        cell = self._cell(pod)
        pod.present -= 1
        flight.there = False
        cell.ended += 1
        if isinstance(what, Failure) or what >= 500:
            cell.errors += 1
        cell.latencies.append(self.live.now - flight.arrived)
        self._ended(flown, flight, what)

    def _ended(self, flown: int, flight: Flight, what: int | Failure) -> None:
        if flown < 0:
            del self.live.alone[~flown]
            if flight.decision is not None:
                self._finish(self._session(flight, self._clients[flight.client]), flight.decision, what)
        elif self._reads:
            self._tried(flown, flight, what)
        else:
            self._over(flown, flight, _SAID.get(what) or f"status {what}" if isinstance(what, int) else SAID[what])

    def _over(self, flown: int, flight: Flight, said: str) -> None:
        """The client has its answer, or knows that there is none."""
        live = self.live
        live.outcomes[said] = live.outcomes.get(said, 0) + 1
        del live.flights[flown]
        client = self._clients[flight.client]
        mine = client.now
        if flight.line >= 0:
            self._left_line(flight, client, mine)
        mine.in_flight -= 1
        if client.most and mine.waiting:
            self._free.append(flight.client)

    def _let_wait_end(self) -> None:
        """Those who waited for a connection have their turn, one for each request that has ended."""
        live = self.live
        while self._free:
            rank = self._free.pop(0)
            client = self._clients[rank]
            mine = client.now
            if mine.waiting:
                flown = mine.waiting.pop(0)
                self._admit(flown, live.flights[flown], client, mine)

    # Changes

    def _change(self, number: int) -> None:
        change, live = self._changes[number], self.live
        live.changed = number + 1
        self._learn(change.target, change.serving, change.rates)
        for name in change.start:
            for pod in live.pods:
                if fits_pod(pod.name, name):
                    pod.up = True
        for place, pod in enumerate(live.pods):
            if pod.up and any(fits_pod(pod.name, name) for name in change.stop):
                self._stop(place, pod)
        for client in self._clients:
            if client.kind.name in change.rates:
                mine = client.now
                mine.generation += 1
                mine.rate_since, mine.made_since = live.now, mine.made
                self._next_ask(client, mine)

    def _stop(self, place: int, pod: PodNow) -> None:
        pod.up = False
        if not self._reads:
            for client in self._clients:
                for line in list(client.now.lines):
                    if self.live.lines[line].pod == place:
                        self.live.lines[line].broken = True
                self._tidy(client, client.now)
        pod.busy, pod.waiting = 0, []
        for flown, flight in sorted(self.live.flights.items()):
            if flight.pod == place and flight.there:
                self._gone(flown, flight, Failure.RESET)
        for key, flight in sorted(self.live.alone.items()):
            if flight.pod == place:
                self._gone(~key, flight, Failure.RESET)


def fits_pod(name: str, pattern: str) -> bool:
    """Whether a pattern (`*`, `?`, `[ab]`, `[!a]`) is about a pod: of its name, or of `namespace/name` where it has a
    stroke.

    >>> fits_pod("default/web-1", "web-*"), fits_pod("default/web-1", "shop/web-*")
    (True, False)
    """
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


def waits_for_some_time(action: Action) -> bool:
    """Whether there is a limit to how long a proxy waits for an answer."""
    if not isinstance(action, Forward):
        return False
    retries = action.retries
    return bool(action.timeout or action.stream_timeout or (retries is not None and retries.per_try_timeout))


def _name(endpoint: Endpoint) -> str:
    return endpoint.workload or endpoint.key


def _share(drawn: int) -> Fraction:
    return Fraction(drawn >> 11, 2**53)
