"""State: what a data plane remembers between requests, and the effects that change it.

Source    spec/state.md STATE-1 to STATE-10
Inputs    effects, from decisions and from the caller who knows when a request ends. Times are whole milliseconds since
          the proxy started.
Exactness `after` returns the next state and leaves this one as it is. Counts never go below 0.
Errors    StateError for an end without a beginning, or for time that runs backwards: the caller has mixed up its
          histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heapreplace
from typing import TypeAlias, assert_never, cast

import msgspec

from meshroute.names import ClusterName, EndpointKey
from meshroute.record import HostRecord

Source: TypeAlias = str
"""A list of endpoints that takes turns of its own: a cluster's name for the healthy endpoints of its priority 0, else
that name with `#`, the priority, and which endpoints of it."""
Entry: TypeAlias = tuple[float, int, int]
"""One endpoint in a queue: its deadline, its place among equal deadlines, its number in the list."""


class StateError(ValueError):
    """An effect that cannot follow this state."""


class Refresh(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """When a cluster's endpoints last changed, and how many requests were active on each of them then."""

    at: int = 0
    active: Mapping[EndpointKey, int] = {}


class CursorMoved(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Round robin over equal weights took its next turn."""

    source: Source


class TurnTaken(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A schedule of fixed weights took its next turn."""

    source: Source


class Queued(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Endpoints whose weights change with time or load were put in a queue."""

    source: Source
    entries: tuple[Entry, ...]


class Requeued(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The first of a queue took its turn and went back in."""

    source: Source
    entry: Entry


class Refreshed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A cluster's endpoints, their health or their weights have changed, at one priority or (None) at any.

    Schedules and queues begin anew, from the same start unless `starts` has another; plain turns go on. The caller
    says so, who knows which tables followed each other.
    """

    cluster: ClusterName
    priority: int | None = None
    starts: Mapping[Source, int] = {}


class RequestStarted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One more request is active on the endpoint."""

    cluster: ClusterName
    endpoint: EndpointKey


class RequestFinished(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One request less is active on the endpoint."""

    cluster: ClusterName
    endpoint: EndpointKey


class Ejected(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The endpoint failed too often and is left out for a while: it counts as unhealthy."""

    cluster: ClusterName
    endpoint: EndpointKey


class Returned(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The endpoint is asked again."""

    cluster: ClusterName
    endpoint: EndpointKey


class Recorded(msgspec.Struct, frozen=True, tag=True, gc=False):
    """What outlier detection now remembers of the endpoint."""

    cluster: ClusterName
    endpoint: EndpointKey
    record: HostRecord


class Ticked(msgspec.Struct, frozen=True, tag=True, gc=False):
    """When outlier detection last looked at the cluster."""

    cluster: ClusterName
    at: int


class Mark(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Where a scheduler of connections stands: whom it chose last (or, newest first, keeps for a destination), the
    weight that it asks for now, when it was last asked, and when it last kept somebody else."""

    last: tuple[EndpointKey, ...] = ()
    weight: int = 0
    used: int = 0
    changed: int = 0


class Persistence(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A client's endpoint as IPVS keeps it: until when at least, and for how many connections that are still there."""

    endpoint: EndpointKey
    until: int
    open: int


class AffinityHeld(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The endpoint's list has seen this client now. `most` is how many clients the list holds, 0 for any number:
    whoever was seen longest ago makes room. `alone`: no other list of the source has the client any longer."""

    source: Source
    endpoint: EndpointKey
    client: str
    most: int = 0
    alone: bool = False


class AffinityDropped(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The endpoint's list of clients is gone."""

    source: Source
    endpoint: EndpointKey


class Persisted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """IPVS keeps the client at the endpoint, for so many milliseconds from now and while this connection is there."""

    source: Source
    client: str
    endpoint: EndpointKey
    milliseconds: int


class Released(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One connection of a client that IPVS keeps at an endpoint is there no more."""

    source: Source
    client: str
    endpoint: EndpointKey


class Marked(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A scheduler of connections stands here now."""

    source: Source
    mark: Mark


class Lingered(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A connection is closing: no longer active, and not yet forgotten."""

    cluster: ClusterName
    endpoint: EndpointKey


class Forgotten(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A connection that was closing is there no more."""

    cluster: ClusterName
    endpoint: EndpointKey


class CookieIssued(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The answer sets this cookie. It is the client who remembers it."""

    name: str
    value: str


class TimePassed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """It is this many milliseconds since the proxy started."""

    now: int


class Joined(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The endpoint has come, or has just become healthy: its slow start begins now."""

    cluster: ClusterName
    endpoint: EndpointKey


Effect: TypeAlias = (
    CursorMoved
    | TurnTaken
    | Queued
    | Requeued
    | Refreshed
    | RequestStarted
    | RequestFinished
    | Ejected
    | Returned
    | Recorded
    | Ticked
    | CookieIssued
    | TimePassed
    | Joined
    | AffinityHeld
    | AffinityDropped
    | Persisted
    | Released
    | Marked
    | Lingered
    | Forgotten
)

EXTENSION = 60_000
"""How many milliseconds IPVS keeps a client longer, each time that its time is over and a connection still there."""

_NONE: Mapping[EndpointKey, int] = {}


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value: never changed, compared by content, written as JSON by msgspec.

    `cursors` counts the turns of plain round robin in each source, `turns` those of schedules since the last refresh;
    `queues` has the endpoints of sources whose weights move, in ascending order. `starts` has the numbers that a
    balancer drew when it was made, by source or by cluster, 0 where none is given (a real proxy draws one, and nobody
    can see it from outside). `active` counts the requests in flight by cluster and endpoint, no entry for 0. `now` is
    the time; `joined` when an endpoint came (those that are not named: at 0), `refreshed` when a cluster last changed.
    `ejected` are the endpoints that are left out for a while, in ascending order; `records` what outlier detection
    remembers of endpoints, no entry for nothing, and `ticked` when it last looked at each cluster.

    The rest is of kube-proxy alone. `held` has, by source and endpoint, the clients that the endpoint's list has seen,
    and when; the order is that of last use. `persisted` has the clients that IPVS keeps, `marks` where its schedulers
    stand, and `inactive` counts connections that are closing, as `active` those that are open.
    """

    cursors: Mapping[Source, int] = {}
    active: Mapping[ClusterName, Mapping[EndpointKey, int]] = {}
    starts: Mapping[Source, int] = {}
    turns: Mapping[Source, int] = {}
    queues: Mapping[Source, tuple[Entry, ...]] = {}
    now: int = 0
    joined: Mapping[ClusterName, Mapping[EndpointKey, int]] = {}
    refreshed: Mapping[Source, Refresh] = {}
    ejected: Mapping[ClusterName, tuple[EndpointKey, ...]] = {}
    records: Mapping[ClusterName, Mapping[EndpointKey, HostRecord]] = {}
    ticked: Mapping[ClusterName, int] = {}
    held: Mapping[Source, Mapping[EndpointKey, Mapping[str, int]]] = {}
    persisted: Mapping[Source, Mapping[str, Persistence]] = {}
    marks: Mapping[Source, Mark] = {}
    inactive: Mapping[ClusterName, Mapping[EndpointKey, int]] = {}

    def active_on(self, cluster: ClusterName) -> Mapping[EndpointKey, int]:
        """Requests in flight by endpoint of a cluster; no entry for an idle one."""
        return self.active.get(cluster, _NONE)

    def start_of(self, source: Source, cluster: ClusterName) -> int:
        """The number that the balancer of a source began with: its own, else its cluster's, else 0."""
        own = self.starts.get(source)
        return self.starts.get(cluster, 0) if own is None else own

    def refresh_of(self, cluster: ClusterName, priority: int) -> Refresh:
        """The last change of a priority of a cluster; at 0, with nothing in flight, where nobody told of one."""
        return self.refreshed.get(level(cluster, priority)) or self.refreshed.get(cluster) or _AT_FIRST

    def after(self, effects: Iterable[Effect]) -> State:
        """The state once these effects have happened, in order. Raises StateError."""
        ledger = Ledger(self)
        for effect in effects:
            ledger.apply(effect)
        return ledger.state()


_AT_FIRST = Refresh()
_OF_ALL_WORKERS = ("_active", "_joined", "_refreshed", "_ejected", "_records", "_ticked")
_NOTHING = HostRecord()


def level(cluster: ClusterName, priority: int) -> Source:
    """What the sources of one priority of a cluster begin with, the plain one apart."""
    return f"{cluster}#{priority}"


class Ledger:
    """The same in place, for loops: the one definition of what effects do. `live` is a State over its very maps."""

    __slots__ = (
        "_active",
        "_beside",
        "_cursors",
        "_ejected",
        "_held",
        "_inactive",
        "_joined",
        "_marks",
        "_persisted",
        "_queues",
        "_records",
        "_refreshed",
        "_starts",
        "_ticked",
        "_turns",
        "live",
    )

    def __init__(self, state: State) -> None:
        self._cursors = dict(state.cursors)
        self._active = {cluster: dict(counts) for cluster, counts in state.active.items()}
        self._starts = dict(state.starts)
        self._turns = dict(state.turns)
        self._queues = {source: list(entries) for source, entries in state.queues.items()}
        for entries in self._queues.values():
            heapify(entries)
        self._joined = {cluster: dict(times) for cluster, times in state.joined.items()}
        self._refreshed = dict(state.refreshed)
        self._ejected = dict(state.ejected)
        self._records = {cluster: dict(records) for cluster, records in state.records.items()}
        self._ticked = dict(state.ticked)
        self._held = {source: _copied(lists) for source, lists in state.held.items()}
        self._persisted = {source: dict(clients) for source, clients in state.persisted.items()}
        self._marks = dict(state.marks)
        self._inactive = {cluster: dict(counts) for cluster, counts in state.inactive.items()}
        self._beside: tuple[Ledger, ...] = ()
        self.live = self._over(state.now)

    @classmethod
    def workers(cls, states: Iterable[State]) -> tuple[Ledger, ...]:
        """One for each worker of one proxy (STATE-10). Each takes turns of its own; requests, ejections and time are
        those of the first state, and what happens to them in one happens in all."""
        every = tuple(map(cls, states))
        for one in every:
            one._beside = tuple(other for other in every if other is not one)
            for name in _OF_ALL_WORKERS:
                setattr(one, name, getattr(every[0], name))
            one.live = one._over(every[0].live.now)
        return every

    def state(self) -> State:
        """The state now, as a value that no later effect changes."""
        return State(
            cursors=dict(self._cursors),
            active={cluster: dict(counts) for cluster, counts in self._active.items()},
            starts=dict(self._starts),
            turns=dict(self._turns),
            queues={source: tuple(sorted(entries)) for source, entries in self._queues.items()},
            now=self.live.now,
            joined={cluster: dict(times) for cluster, times in self._joined.items()},
            refreshed=dict(self._refreshed),
            ejected=dict(self._ejected),
            records={cluster: dict(records) for cluster, records in self._records.items()},
            ticked=dict(self._ticked),
            held={source: _copied(lists) for source, lists in self._held.items()},
            persisted={source: dict(clients) for source, clients in self._persisted.items()},
            marks=dict(self._marks),
            inactive={cluster: dict(counts) for cluster, counts in self._inactive.items()},
        )

    def apply(self, effect: Effect) -> None:
        """Let one effect happen. Raises StateError."""
        # What nearly every request brings stands outside: class patterns cost more than what they lead to.
        if isinstance(effect, RequestStarted):
            _more(self._active, effect.cluster, effect.endpoint)
        elif isinstance(effect, RequestFinished):
            _less(self._active, effect.cluster, effect.endpoint, "no request is active")
        elif isinstance(effect, CursorMoved):
            self._cursors[effect.source] = self._cursors.get(effect.source, 0) + 1
        else:
            self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        """Let one of the other effects happen."""
        match effect:
            case TurnTaken(source):
                self._turns[source] = self._turns.get(source, 0) + 1
            case Queued(source, entries):
                self._queues[source] = list(entries)
                heapify(self._queues[source])
            case Requeued(source, entry):
                if source not in self._queues:
                    raise StateError(f"there is no queue of `{source}` to go back to")
                heapreplace(self._queues[source], entry)
            case Refreshed(cluster, priority, starts):
                self._refresh(cluster, priority, starts)
            case TimePassed(now):
                if now < self.live.now:
                    raise StateError(f"time went back from {self.live.now} to {now}")
                for one in (self, *self._beside):
                    one.live = one._over(now)
            case Joined(cluster, endpoint):
                self._joined.setdefault(cluster, {})[endpoint] = self.live.now
            case Ejected(cluster, endpoint):
                self._ejected[cluster] = tuple(sorted({*self._ejected.get(cluster, ()), endpoint}))
            case Returned(cluster, endpoint):
                left = tuple(one for one in self._ejected.get(cluster, ()) if one != endpoint)
                self._ejected[cluster] = left
                if not left:
                    del self._ejected[cluster]
            case Recorded(cluster, endpoint, record):
                self._record(cluster, endpoint, record)
            case Ticked(cluster, at):
                self._ticked[cluster] = at
            case CookieIssued():
                pass
            case AffinityHeld():
                self._hold(effect)
            case AffinityDropped(source, endpoint):
                lists = self._held.get(source, {})
                lists.pop(endpoint, None)
                if not lists:
                    self._held.pop(source, None)
            case Persisted(source, client, endpoint, milliseconds):
                clients = self._persisted.setdefault(source, {})
                before = clients.get(client)
                # A client that is sent elsewhere has a new entry; connections of the old one do not keep it.
                still = before.open if before is not None and before.endpoint == endpoint else 0
                clients[client] = Persistence(endpoint, self.live.now + milliseconds, still + 1)
            case Released(source, client, endpoint):
                self._release(source, client, endpoint)
            case Marked(source, mark):
                self._marks[source] = mark
            case Lingered(cluster, endpoint):
                _less(self._active, cluster, endpoint, "no connection is active")
                _more(self._inactive, cluster, endpoint)
            case Forgotten(cluster, endpoint):
                _less(self._inactive, cluster, endpoint, "no connection is closing")
            case RequestStarted() | RequestFinished() | CursorMoved():
                raise AssertionError("`apply` has seen to it")
            case _:
                assert_never(effect)

    def _over(self, now: int) -> State:
        return State(
            self._cursors,
            self._active,
            self._starts,
            self._turns,
            # Heaps, which change in place; only pickers see them, and they look at the first entry.
            cast(Mapping[Source, tuple[Entry, ...]], self._queues),
            now,
            self._joined,
            self._refreshed,
            self._ejected,
            self._records,
            self._ticked,
            self._held,
            self._persisted,
            self._marks,
            self._inactive,
        )

    def _hold(self, effect: AffinityHeld) -> None:
        """Put a client last in the list of its endpoint, where who came first goes first."""
        lists = self._held.setdefault(effect.source, {})
        if effect.alone:
            for endpoint in [one for one, clients in lists.items() if effect.client in clients]:
                del lists[endpoint][effect.client]
                if not lists[endpoint]:
                    del lists[endpoint]
        clients = lists.setdefault(effect.endpoint, {})
        if clients.pop(effect.client, None) is None and effect.most and len(clients) >= effect.most:
            del clients[next(iter(clients))]
        clients[effect.client] = self.live.now

    def _release(self, source: Source, client: str, endpoint: EndpointKey) -> None:
        """Count a connection less, after the extensions that were due while it was there."""
        kept = self._persisted.get(source, {}).get(client)
        if kept is None:
            raise StateError(f"nobody keeps client {client} of {source}")
        if kept.open and kept.endpoint == endpoint:  # else it is of an entry that nobody looks for any more
            late = self.live.now - kept.until
            until = kept.until + (late // EXTENSION + 1) * EXTENSION if late >= 0 else kept.until
            self._persisted[source][client] = Persistence(endpoint, until, kept.open - 1)

    def _record(self, cluster: ClusterName, endpoint: EndpointKey, record: HostRecord) -> None:
        records = self._records.setdefault(cluster, {})
        records[endpoint] = record
        if record == _NOTHING:
            del records[endpoint]
            if not records:
                del self._records[cluster]

    def _refresh(self, cluster: ClusterName, priority: int | None, starts: Mapping[Source, int]) -> None:
        """Forget the schedules and queues of a priority, or of all of them, and remember when."""
        begins = f"{cluster}#" if priority is None else level(cluster, priority) + "/"
        for ledger in (self, *self._beside):
            mine: tuple[Mapping[Source, object], ...] = (ledger._turns, ledger._queues)
            for some in mine:
                for source in [one for one in some if one.startswith(begins) or (one == cluster and not priority)]:
                    ledger._forget(source)
        if priority is None:
            for source in [one for one in self._refreshed if one.startswith(begins)]:
                del self._refreshed[source]
        self._starts.update(starts)
        where = cluster if priority is None else level(cluster, priority)
        self._refreshed[where] = Refresh(self.live.now, dict(self._active.get(cluster, {})))

    def _forget(self, source: Source) -> None:
        self._turns.pop(source, None)
        self._queues.pop(source, None)


def _copied(lists: Mapping[EndpointKey, Mapping[str, int]]) -> dict[EndpointKey, dict[str, int]]:
    return {endpoint: dict(clients) for endpoint, clients in lists.items()}


def _more(counted: dict[ClusterName, dict[EndpointKey, int]], cluster: ClusterName, endpoint: EndpointKey) -> None:
    counts = counted.get(cluster)
    if counts is None:
        counted[cluster] = {endpoint: 1}
    else:
        counts[endpoint] = counts.get(endpoint, 0) + 1


def _less(
    counted: dict[ClusterName, dict[EndpointKey, int]], cluster: ClusterName, endpoint: EndpointKey, nothing: str
) -> None:
    counts = counted.get(cluster)
    left = counts.get(endpoint, 0) - 1 if counts is not None else -1
    if counts is None or left < 0:
        raise StateError(f"{nothing} on {endpoint} of cluster {cluster}")
    if left:
        counts[endpoint] = left
    else:
        del counts[endpoint]
        if not counts:
            del counted[cluster]
