"""Stories: simulations as files, for the command line.

Source    docs/simulate.md has every field
Inputs    YAML or JSON, beside the manifests that it names; paths are relative to the story.
Exactness a run of a story is a Scenario and nothing else.
Errors    ManifestError with everything that is wrong with the story and with its manifests, each at its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import msgspec

from meshroute.balance.kube_proxy import MODES, SCHEDULERS, KubeProxy
from meshroute.compile.viewpoint import Sidecar
from meshroute.decision import Decision, Forwarded
from meshroute.diagnostics import Code, Diagnostic, FieldPath, ManifestError, Severity, SourceRef, in_order, nearest
from meshroute.load.documents import decode_bytes, read_documents
from meshroute.load.places import LIMITS, Document, Problems, Refused, Shared
from meshroute.load.scalars import clip
from meshroute.mesh import Mesh, load
from meshroute.names import DEFAULT_NAMESPACE, Namespace
from meshroute.request import Request, RequestError
from meshroute.router import Router
from meshroute.simulate.chance import Constant, Distribution, Empirical, Exponential, Lognormal
from meshroute.simulate.connections import ByKubeProxy, ConnectionBalancer, PerConnectionRandom
from meshroute.simulate.loop import fits_pod
from meshroute.simulate.model import (
    SECOND,
    Arrivals,
    Asking,
    Change,
    Clients,
    KeepAlive,
    Scenario,
    Serving,
    Straight,
    Target,
    Through,
)
from meshroute.simulate.reading import Fields, Reader, checked_rate, span
from meshroute.table import Endpoint, Health, TableError
from meshroute.trace import ChainChosen, VirtualHostChosen

CONNECTIONS, PROXIES = "connections", "proxies"
VIA: Final = (CONNECTIONS, PROXIES, *(mode for mode in MODES if mode != "ipvs"), *(f"ipvs:{one}" for one in SCHEDULERS))
"""Proxies; each pod as likely as the other, once for each connection; or kube-proxy as it is."""
MEASURES: Final = (
    *("shares", "phases", "warm-up", "failover", "outliers"),
    *("imbalance", "evenness", "idle", "moved", "load"),
)
"""What a story can put beside a formula; see `meshroute.simulate.promises`."""
PLOTS: Final = ("requests", "concurrency", "p50", "p90", "p99", "errors", "moved")
MOST_REQUESTS: Final = 100_000_000
"""Of one story, all its runs and repeats together: some twenty minutes."""
MOST_AT_ONCE: Final = 20_000_000
"""Of one run: what it remembers of each request, until percentiles are known, fits a gigabyte."""
_OF_STORY: Final = ("title", "runs", "repeats", "groups", "plot", "shows")
_OF_RUN: Final = ("manifests", "service", "port", "via", "duration", "bucket", "seed", "clients", "pods", "changes")
_ONE_PLACE: Final = "clients that share a proxy have one namespace, the same labels and one locality"
_BEGIN: Final = "begin with `title:`, `manifests:`, `service:`, `duration:` and `clients:`"
_NO_PODS: Final = "some pod that its selector fits has to be there, and ready, in `manifests`"
_NOT_HERE: Final = Endpoint("0.0.0.0", 1)


class Run(msgspec.Struct, frozen=True):
    """One variant of a story: its name, and what is simulated. `service` is the full name of what clients ask for,
    `pods` who is there at the start, and `ever` who is there at any time, by name."""

    name: str
    scenario: Scenario
    service: str
    port: int
    pods: tuple[str, ...]
    ever: tuple[str, ...]


class Story(msgspec.Struct, frozen=True):
    """A file of runs. Each is simulated `repeats` times, with seeds that follow each other. `groups` are names for
    pods that fit patterns, `plot` is what its picture shows, `shows` what is put beside formulas."""

    title: str
    runs: tuple[Run, ...]
    repeats: int = 1
    groups: Mapping[str, str] = {}
    plot: str = "requests"
    shows: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def load_story(path: str | PathLike[str]) -> Story:
    """The story in a file. Raises ManifestError."""
    place = fspath(path)
    try:
        with open(place, "rb") as opened:
            data = opened.read(LIMITS.text + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        said = f"cannot be read: {reason[:1].lower()}{reason[1:]}"
        raise ManifestError(
            [Diagnostic(Code.FILE_UNREADABLE, Severity.ERROR, said, SourceRef(place.replace("\x00", "\\x00")))]
        ) from None
    return read_story(data, place)


def read_story(data: str | bytes, source: str = "inline") -> Story:
    """The story in a text, whose manifests are beside `source`. Raises ManifestError."""
    problems, documents = Problems(), list[Document]()
    try:
        text = decode_bytes(data, source, problems) if isinstance(data, bytes) else data
        if text is not None:
            documents = [one for one in read_documents(text, source, problems, Shared()) if one.value is not None]
    except Refused as refused:
        list.append(problems, refused.said(source))
    if not problems and len(documents) != 1:
        said = "nothing is written here" if not documents else f"{len(documents)} documents: a story is one"
        at = documents[1].at() if documents else SourceRef(source)
        help = _BEGIN if not documents else "write it without `---`, and other stories into files of their own"
        problems.append(Diagnostic(Code.DOCUMENT_SHAPE, Severity.ERROR, said, at, help=help))
    if problems or not documents:
        raise ManifestError(in_order(problems))
    reader = Reader(documents[0])
    story = _Story(reader, Path(source).parent).story()
    found = in_order(reader.said)
    if story is None or any(one.severity is Severity.ERROR for one in found):
        raise ManifestError(found)
    return msgspec.structs.replace(story, diagnostics=found)


class _Story:
    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader = reader
        self.folder = folder
        self.meshes: dict[tuple[str, ...], Mesh | None] = {}
        self.expected = 0.0

    def story(self) -> Story | None:
        value = self.reader.document.value
        top = Fields(self.reader, value, (), (*_OF_STORY, *_OF_RUN), help=_BEGIN)
        if type(value) is not dict:
            return None
        repeats = top.whole("repeats", 1, 1, 100_000)
        shows = []
        for word, path in top.texts("shows", alone=True):
            if word in MEASURES:
                shows.append(word)
            else:
                close = nearest(word, MEASURES)
                help = f"did you mean `{close}`?" if close else f"known: {', '.join(MEASURES)}"
                if "," in word:
                    help = f"write several as a list: `[{clip(word)}]`"
                self.reader.say(Code.FIELD_VALUE, f"`{clip(word)}` is nothing that is measured", path, help)
        title = top.text("title", Path(self.reader.document.file).stem)
        groups, plot = top.text_mapping("groups"), top.choice("plot", PLOTS, "requests")
        runs: list[Run | None] = []
        names: set[str] = set()
        if not top.has("runs"):
            runs.append(self.run(title, top))
        for one, path in top.items("runs"):
            own = Fields(self.reader, one, path, ("name", *_OF_RUN), above=_OF_STORY)
            name = own.text("name")
            if name and name in names:
                own.wrong("name", f"two runs are called `{clip(name)}`")
            names.add(name)
            said = {key: one for key, one in own.value.items() if key in ("name", *_OF_RUN)}
            merged = {key: value[key] for key in _OF_RUN if key in value} | said
            fields = Fields(self.reader, merged, path, ("name", *_OF_RUN))
            fields.places = {key: (key,) for key in _OF_RUN if key not in own.value}
            runs.append(self.run(name, fields))
        if value.get("runs") == []:
            top.wrong("runs", "a story needs at least one run")
        if self.expected * repeats > MOST_REQUESTS:
            self.reader.say(
                Code.FIELD_VALUE,
                f"this story does not end: some {self.expected * repeats:,.0f} requests, at most {MOST_REQUESTS:,}",
                ("duration",) if "duration" in value else (),
                "make it shorter, or its rates lower, or repeat it less",
            )
        whole = [one for one in runs if one is not None]
        everybody = {pod for one in whole for pod in one.ever}
        for name, pattern in groups.items():
            if whole and not any(fits_pod(pod, pattern) for pod in everybody):
                self.reader.remark(Code.FIELD_VALUE, f"no pod fits `{clip(pattern)}`", ("groups", name))
        if len(whole) < len(runs):
            return None
        return Story(title, tuple(whole), repeats, groups, plot, tuple(shows))

    def run(self, name: str, fields: Fields) -> Run | None:
        """One run; None where what it needs is not there."""
        ipvs = "say which scheduler: `ipvs:rr` takes turns" if fields.value.get("via") == "ipvs" else ""
        via = fields.choice("via", VIA, PROXIES, ipvs)
        until = fields.span("duration", least=1)
        bucket = fields.span("bucket", min(SECOND, until), least=1)
        seed = fields.whole("seed", 0, 0)
        port = fields.whole("port", 80, 1, 65535)
        service = fields.text("service")
        clients = self.clients(fields, f"http://{service or 'x'}:{port}")
        serving = self.serving(fields)
        if not fields.has("manifests"):
            fields.missing("manifests")
        mesh = self.mesh(fields)
        if mesh is None or not service or not clients:
            self.changes(fields, clients, until, None)
            return None
        viewpoints = {one.name: view for one, view in clients}
        target, found = self.target(fields, mesh, viewpoints, via, service, port, starts=True)
        if target is None or found is None:
            self.changes(fields, clients, until, None)
            return None
        full, endpoints = found
        changes = self.changes(
            fields,
            clients,
            until,
            lambda one, made: self.target(one, made, viewpoints, via, service, port, starts=False)[0],
        )
        pods = tuple(sorted({one.workload or one.key for one in endpoints}))
        later, everybody = set(pods), _everybody(target)
        for change in changes:
            if change.target is not None:
                later |= _everybody(change.target, full)
                everybody |= _everybody(change.target)
        self.patterns(fields, later, sorted(everybody))
        expected = _expected([one for one, _ in clients], changes, until)
        self.expected += expected
        if not expected and not any(one.severity is Severity.ERROR for one in self.reader.said):
            self.reader.remark(
                Code.FIELD_VALUE, "nobody ever asks: all rates are 0", fields.at("clients"), "give one of them a `rate`"
            )
        if MOST_AT_ONCE < expected <= MOST_REQUESTS:  # of more, the whole story says so
            said = f"this is more than one run remembers: some {expected:,.0f} requests, at most {MOST_AT_ONCE:,}"
            fields.wrong("duration", said, "make it shorter, or its rates lower, or repeat a shorter one")
        try:
            scenario = Scenario(
                tuple(one for one, _ in clients), target, until, serving or (Serving(),), changes, bucket, seed, (full,)
            )
        except ValueError as error:
            fields.wrong("clients", str(error))
            return None
        unread = _unread(scenario)
        if unread == {True}:
            told = [
                msgspec.structs.replace(one, target=msgspec.structs.replace(one.target, reads=False))
                if isinstance(one.target, Through)
                else one
                for one in changes
            ]
            assert isinstance(target, Through)
            target = msgspec.structs.replace(target, reads=False)
            scenario = msgspec.structs.replace(scenario, target=target, changes=tuple(told))
        elif True in unread:
            said = (
                f"proxies read what is asked of `{service}` on port {port} at some times or places, and not at others"
            )
            fields.wrong("service", said, "say everywhere whether it is HTTP: `appProtocol: http` in the Service")
            return None
        for (one, _), first in zip(clients, self.first_of_each(scenario), strict=True):
            if first is not None and isinstance(first.outcome, Forwarded) and first.endpoint is None:
                fields.wrong(
                    "service",
                    f"what `{clip(one.name)}` asks leaves the mesh: `{clip(service)}` is no name of a service there",
                    f"write its full name: `service: {full}`",
                    Code.HOST_UNKNOWN,
                )
                return None
        return Run(name, scenario, full, port, pods, tuple(sorted(later)))

    def first_of_each(self, scenario: Scenario) -> list[Decision | None]:
        """What becomes of the first request that each kind of clients makes; None without proxies."""
        found: list[Decision | None] = []
        for one in scenario.clients:
            ask = one.asks[0]
            request = Request.of(ask.method, ask.url, dict(ask.headers))
            target = scenario.target
            found.append(target.of(one.name).explain(request) if isinstance(target, Through) else None)
        return found

    # Who asks

    def clients(self, fields: Fields, url: str) -> list[tuple[Clients, Sidecar]]:
        found = []
        names: set[str] = set()
        proxies: dict[str, Sidecar] = {}
        workers: dict[str, int] = {}
        for one, path in fields.items("clients"):
            own = Fields(
                self.reader,
                one,
                path,
                (
                    "name",
                    "count",
                    "rate",
                    "arrivals",
                    "keepAlive",
                    "connections",
                    "http2",
                    "users",
                    "proxy",
                    "workers",
                    "requests",
                    "namespace",
                    "labels",
                    "locality",
                ),
            )
            name = own.text("name")
            asks = self.asks(own, url)
            made = Clients(
                name or "x",
                own.rate("rate"),
                asks or (Asking(url + "/"),),
                own.whole("count", 1, 1, 1_000_000),
                Arrivals(own.choice("arrivals", tuple(Arrivals), Arrivals.POISSON)),
                self.keep_alive(own),
                own.whole("connections", 0, 0),
                own.flag("http2"),
                own.text("proxy", ""),
                own.whole("users", 0, 0),
                own.whole("workers", 1, 1, 1024),
            )
            taken = sorted(names & set(made.names))
            if taken:
                own.wrong("name", f"another client is called `{clip(taken[0])}` too")
            names.update(made.names)
            view = Sidecar(
                Namespace(own.text("namespace", DEFAULT_NAMESPACE)),
                own.text_mapping("labels"),
                own.text("locality", ""),
            )
            if made.proxy and proxies.setdefault(made.proxy, view) != view:
                own.wrong("proxy", f"clients of the proxy `{clip(made.proxy)}` run elsewhere", _ONE_PLACE)
            if made.proxy and (some := workers.setdefault(made.proxy, made.workers)) != made.workers:
                said = f"the proxy `{clip(made.proxy)}` has {some} workers for the clients above"
                own.wrong("workers" if own.has("workers") else "proxy", said, "say the same number of each of them")
                made = msgspec.structs.replace(made, workers=some)
            if name and not taken:
                found.append((made, view))
        if not fields.has("clients"):
            fields.missing("clients")
        elif not found and fields.value["clients"] == []:
            fields.wrong("clients", "a story needs at least one client")
        return found

    def asks(self, own: Fields, url: str) -> tuple[Asking, ...]:
        found = []
        for one, path in own.items("requests"):
            fields = Fields(self.reader, one, path, ("method", "path", "headers", "weight"))
            where = fields.text("path", "/")
            if not where.startswith("/"):
                fields.wrong("path", f"a path begins with `/`, got `{clip(where)}`", f"write `/{clip(where)}`")
                continue
            ask = Asking(
                url + where, fields.text("method", "GET"), fields.text_mapping("headers"), fields.whole("weight", 1, 1)
            )
            try:
                Request.of(ask.method, ask.url, dict(ask.headers))
            except RequestError as error:
                self.reader.say(Code.FIELD_VALUE, str(error), path)
                continue
            found.append(ask)
        return tuple(found)

    def keep_alive(self, own: Fields) -> KeepAlive:
        value = own.value.get("keepAlive")
        if value is None or value is True:
            return KeepAlive()
        if value is False:
            return KeepAlive(requests=1)
        help = "`true` for ever, `false` for one request, or such as `{requests: 100, lifetime: 30s}`"
        fields = Fields(self.reader, value, own.at("keepAlive"), ("requests", "lifetime"), help=help)
        return KeepAlive(fields.whole("requests", 0, 0), fields.span("lifetime", 0))

    # Who answers

    def serving(self, fields: Fields) -> tuple[Serving, ...]:
        found = []
        for one, path in fields.items("pods"):
            own = Fields(self.reader, one, path, ("match", "only", "time", "limit", "queue", "answers"))
            only = []
            for number, at in own.items("only"):
                if type(number) is int and number >= 0:
                    only.append(number)
                else:
                    self.reader.say(Code.FIELD_VALUE, "must be a whole number from 0: the first pod is 0", at)
            answers = []
            for key, weight in own.mapping("answers").items():
                at = (*own.at("answers"), key)
                if not key.isascii() or not key.isdigit() or not 200 <= int(key) <= 599:
                    self.reader.say(Code.FIELD_VALUE, f"`{clip(key)}` is no status from 200 to 599", at)
                elif type(weight) is not int or weight < 0:
                    self.reader.say(Code.FIELD_VALUE, "a weight must be a whole number from 0", at)
                else:
                    answers.append((int(key), weight))
            if own.has("answers") and not sum(weight for _, weight in answers):
                own.wrong("answers", "nothing is answered: some status needs a weight above 0")
                answers = []
            found.append(
                Serving(
                    own.text("match", "*"),
                    tuple(only),
                    self.time(own),
                    own.whole("limit", 0, 0),
                    own.whole("queue", 0, 0) if own.has("queue") else None,
                    tuple(answers) or ((200, 1),),
                )
            )
        return tuple(found)

    def time(self, own: Fields) -> Distribution:
        value = own.value.get("time")
        if value is None:
            return Constant(10_000)
        if type(value) is not dict:
            return Constant(span(self.reader, value, own.at("time")) or 0)
        known = ("constant", "exponential", "lognormal", "list")
        fields = Fields(self.reader, value, own.at("time"), known)
        if len(value) != 1:
            own.wrong("time", f"one of {', '.join(known)}, got {len(value)}", "such as `time: {exponential: 20ms}`")
            return Constant(0)
        if fields.has("exponential"):
            return Exponential(fields.span("exponential"))
        if fields.has("constant"):
            return Constant(fields.span("constant"))
        if fields.has("lognormal"):
            help = "such as `{lognormal: {median: 20ms, sigma: 1}}`"
            inner = Fields(self.reader, value["lognormal"], fields.at("lognormal"), ("median", "sigma"), help=help)
            sigma = inner.value.get("sigma") if inner.there else 0
            if not isinstance(sigma, int | float) or isinstance(sigma, bool) or not 0 <= sigma <= 10:
                inner.reader.say(Code.FIELD_VALUE, "`sigma` must be a number between 0 and 10", inner.at("sigma"))
                sigma = 0
            return Lognormal(inner.span("median"), float(sigma))
        times = [span(self.reader, one, at) for one, at in fields.items("list")]
        if value.get("list") == []:
            fields.wrong("list", "a list of times needs at least one")
        return Empirical(tuple(one or 0 for one in times) or (0,))

    def patterns(self, fields: Fields, pods: set[str], everybody: Sequence[str]) -> None:
        """Patterns that fit no pod of all that ever come are slips, and so are numbers of pods that there are not.
        Numbers count all pods of the manifests that fit, in the order of their names."""

        def look(pattern: str, path: FieldPath) -> None:
            if not any(fits_pod(one, pattern) for one in pods):
                some = ", ".join(f"`{one}`" for one in sorted(pods)[:5])
                self.reader.say(Code.FIELD_VALUE, f"no pod fits `{clip(pattern)}`", path, f"there are {some}")

        def rules(own: Fields) -> None:
            for one, path in own.items("pods"):
                if type(one) is not dict:
                    continue
                match = one.get("match")
                if type(match) is str:
                    look(match, (*path, "match"))
                fits = sum(fits_pod(each, match if type(match) is str else "*") for each in everybody)
                for place, number in enumerate(one["only"] if type(one.get("only")) is list else ()):
                    if fits and type(number) is int and number >= fits:
                        said = f"there is no pod {number}: {fits} fit, from 0 to {fits - 1}"
                        self.reader.say(Code.FIELD_VALUE, said, (*path, "only", place))

        rules(fields)
        for one, path in fields.items("changes"):
            if type(one) is dict:
                own = Fields(self.reader, one, path, tuple(one))
                rules(own)
                for name in ("stop", "start"):
                    for pattern, at in own.texts(name, alone=True):
                        look(pattern, at)

    # What changes

    def changes(
        self, fields: Fields, clients: Sequence[tuple[Clients, Sidecar]], until: int, made: Any
    ) -> tuple[Change, ...]:
        found: list[Change] = []
        before = 0
        groups = [one.name for one, _ in clients]
        for one, path in fields.items("changes"):
            own = Fields(self.reader, one, path, ("at", "manifests", "stop", "start", "pods", "rates"))
            at = own.span("at")
            if own.has("at") and at < before:
                own.wrong("at", "this change is before the one above it", "put changes in the order of their times")
            if own.has("at") and at >= until:
                said = "this change is at the end or behind it, where nobody sees it"
                own.wrong("at", said, f"the story ends at {until / SECOND:g} s")
            before = max(before, at)
            rates = {}
            for name, rate in own.mapping("rates").items():
                if name not in groups:
                    close = nearest(name, groups)
                    some = ", ".join(f"`{one}`" for one in groups[:5])
                    help = f"did you mean `{close}`?" if close else f"there are {some}" if groups else ""
                    self.reader.say(
                        Code.FIELD_VALUE, f"there are no clients `{clip(name)}`", (*own.at("rates"), name), help
                    )
                else:
                    rates[name] = checked_rate(self.reader, rate, (*own.at("rates"), name))
            target = None
            if own.has("manifests"):
                mesh = self.mesh(own)
                if mesh is not None and made is not None:
                    target = made(own, mesh)
            if type(one) is dict and not set(one) - {"at"}:
                self.reader.say(Code.FIELD_VALUE, "nothing changes here", path, "say `manifests`, `stop`, `rates` ...")
            found.append(
                Change(
                    at,
                    target,
                    tuple(text for text, _ in own.texts("stop", alone=True)),
                    tuple(text for text, _ in own.texts("start", alone=True)),
                    self.serving(own) if own.has("pods") else None,
                    rates,
                )
            )
        return tuple(found)

    # Who is asked

    def mesh(self, fields: Fields) -> Mesh | None:
        """The mesh of the manifests that a field names; None, with everything said, where there is none."""
        paths = tuple(text for text, _ in fields.texts("manifests", alone=True))
        if not paths:
            if fields.value.get("manifests") in ([], ""):
                fields.wrong("manifests", "at least one file or folder with manifests")
            return None
        if paths not in self.meshes:
            try:
                self.meshes[paths] = load(*(self.folder / one for one in paths))
            except ManifestError as error:
                self.meshes[paths] = None
                self.reader.said.update(dict.fromkeys(error.diagnostics))
                fields.wrong("manifests", "these manifests cannot be used")
        return self.meshes[paths]

    def target(
        self,
        fields: Fields,
        mesh: Mesh,
        viewpoints: Mapping[str, Sidecar],
        via: str,
        service: str,
        port: int,
        *,
        starts: bool,
    ) -> tuple[Target | None, tuple[str, tuple[Endpoint, ...]] | None]:
        routers: dict[str, Router] = {}
        for name, view in viewpoints.items():
            try:
                routers[name] = mesh.router(view)
            except (TableError, ValueError) as error:
                fields.wrong("manifests", f"a proxy refuses what these say: {error}")
                return None, None
        found = None
        for name, router in routers.items():
            found = self.service(fields, router, viewpoints[name].namespace, service, port)
            if found is None:
                return None, None
        assert found is not None
        full, endpoints = found
        balancer: ConnectionBalancer | None = PerConnectionRandom(endpoints, full) if via == CONNECTIONS else None
        if via not in (CONNECTIONS, PROXIES):
            name, namespace = full.split(".")[:2]
            try:
                node = mesh.service(name, namespace, kube_proxy=KubeProxy.parse(via))
                balancer = ByKubeProxy(node, port)
            except ValueError as error:
                fields.wrong("via", f"nodes know only Services: {error}")
                return None, None
            front = node.front
            if front.headless:
                told = {one.endpoint.address for some in front.published.values() for one in some}
                endpoints = tuple(one for one in balancer.endpoints if one.address in told)
        if starts and not endpoints:
            help = _help_without_pods(mesh, full) if via in (CONNECTIONS, PROXIES) else _NO_PODS
            fields.wrong("service", f"`{service}` has no pods at the start", help, code=Code.ENDPOINTS_MISSING)
            return None, None
        if balancer is not None:
            return Straight(balancer), (full, endpoints)
        first = next(iter(routers.values()))
        return Through(first, {name: one for name, one in routers.items() if one is not first}), found

    def service(
        self, fields: Fields, router: Router, namespace: str, service: str, port: int
    ) -> tuple[str, tuple[Endpoint, ...]] | None:
        """The full name of a service and who may be chosen of it, healthy and in order."""
        plain = [one for one in router.table.clusters if one.service and not one.subset]
        fits = [one for one in plain if one.service == service] or [
            one for one in plain if one.service.startswith((f"{service}.{namespace}.", f"{service}."))
        ]
        names = sorted(
            {one.service for one in fits}, key=lambda one: (not one.startswith(f"{service}.{namespace}."), one)
        )
        if not names:
            known = sorted({one.service for one in plain})
            close = nearest(service, [*(one.partition(".")[0] for one in known), *known])
            help = f"did you mean `{close}`?" if close else f"known: {', '.join(known) or 'none'}"
            fields.wrong(
                "service", f"there is no service `{clip(service)}` in these manifests", help, Code.HOST_UNKNOWN
            )
            return None
        here = [one for one in fits if one.service == names[0]]
        for one in here:
            if one.name.split("|")[1:2] == [str(port)]:
                return names[0], tuple(each for each in one.endpoints if each.health is Health.HEALTHY)
        ports = sorted({one.name.split("|")[1] for one in here})
        where = "port" if fields.has("port") else "service"
        fields.wrong(where, f"`{service}` has no port {port}", f"it has {', '.join(ports)}", Code.PORT_UNKNOWN)
        return None


def _help_without_pods(mesh: Mesh, full: str) -> str:
    """What to say where proxies know no pods of a service: of a headless one its clients choose among addresses."""
    name, namespace = full.split(".")[:2]
    try:
        headless = mesh.service(name, namespace).front.headless
    except ValueError:  # it is of a ServiceEntry
        headless = False
    return "it is headless: its clients choose, and not proxies; say `via: iptables`" if headless else _NO_PODS


def _unread(scenario: Scenario) -> set[bool]:
    """Whether proxies pass on what clients ask without reading it: one answer for each table, client and request."""
    found = set[bool]()
    for target in (scenario.target, *(one.target for one in scenario.changes)):
        if not isinstance(target, Through):
            continue
        for one in scenario.clients:
            for ask in one.asks:
                said = target.of(one.name).explain(Request.of(ask.method, ask.url, dict(ask.headers)))
                steps = {type(step) for step in said.trace}
                forwarded = isinstance(said.outcome, Forwarded)
                found.add(forwarded and ChainChosen in steps and VirtualHostChosen not in steps)
    return found


def _everybody(target: Target, service: str = "") -> set[str]:
    """The names of the pods of a service, or of all."""
    if isinstance(target, Straight):
        return {one.workload or one.key for one in target.balancer.endpoints}
    routers = (target.router,) if service else (target.router, *target.others.values())
    return {
        one.workload or one.key
        for router in routers
        for cluster in router.table.clusters
        if cluster.service == service or not service
        for one in cluster.endpoints
    }


def _expected(clients: Sequence[Clients], changes: Sequence[Change], until: int) -> float:
    """How many requests a run makes, about."""
    total = 0.0
    for one in clients:
        rate, since = one.rate, 0
        for change in sorted(changes, key=lambda each: each.at):
            if one.name in change.rates:
                total += rate * one.count * max(0, change.at - since) / SECOND
                rate, since = change.rates[one.name], change.at
        total += rate * one.count * max(0, until - since) / SECOND
    return total
