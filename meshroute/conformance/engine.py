"""What an implementation is asked, and meshroute's own answers.

Inputs    plain JSON values, so that an engine in another language can sit behind a pipe.
Errors    an engine raises NotImplementedError for what it does not claim; that is counted as skipped, and reported.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import structs

import meshroute as mr
from meshroute.arrive import arrive
from meshroute.balance import maglev, outlier
from meshroute.balance.hosts import hosts
from meshroute.balance.request_key import request_key
from meshroute.balance.ring_hash import build
from meshroute.balance.schedule import Schedule
from meshroute.balance.subsets import Division, criteria_of, scaled
from meshroute.compile import topology
from meshroute.compile.locality import ByLocality, Preference, preference_of, spread
from meshroute.compile.pods import assumed_address, safe_name
from meshroute.compile.registry import Member
from meshroute.compile.resolve import covers, most_specific, resolve
from meshroute.conformance import balancing, reuse, seeing, services
from meshroute.conformance.seeing import mesh_of
from meshroute.diagnostics import Diagnostic
from meshroute.formats import FormatError
from meshroute.formats import parse as parse_format
from meshroute.hashing import murmur64, xxhash64
from meshroute.load import load_text
from meshroute.manifest.istio import LoadBalancerSettings, LocalityLbSetting, ZoneAwareLbSetting
from meshroute.manifest.kubernetes import TrafficDistribution
from meshroute.match.re2 import Re2SyntaxError, compile_full, compile_rewrite
from meshroute.names import ClusterName, EndpointKey
from meshroute.record import HostRecord
from meshroute.table import (
    Arrival,
    Cluster,
    Endpoint,
    Forward,
    HashPolicy,
    Listener,
    LocalityWeight,
    OutlierDetection,
    Policy,
    Retries,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    Subsets,
    VirtualHost,
    WeightedCluster,
)
from meshroute.table.table import without_defaults
from meshroute.tries import longest_wait

Addresses = Sequence[tuple[str, int, int]]
"""Endpoints as (address, port, weight)."""

Texts = Sequence[tuple[str, str]]
"""Manifests as (name, text)."""


class Engine(Protocol):
    """An implementation that claims to follow the specification."""

    def decide(self, texts: Texts, given: Mapping[str, Any], case: Mapping[str, Any]) -> Mapping[str, Any]:
        """One decision: the fields of `expect` in the schema, all of them."""

    def diagnose(self, texts: Texts, given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All errors and warnings about manifests, by place: code, severity, line, path, help."""

    def value(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """The value of one of the specification's functions."""


class Meshroute:
    """This implementation, asked through its public names."""

    def decide(self, texts: Texts, given: Mapping[str, Any], case: Mapping[str, Any]) -> Mapping[str, Any]:
        router = self._router(texts, given)
        asked = dict(case["request"])
        request = mr.Request.of(
            asked.pop("method", "GET"),
            asked.pop("url"),
            [(name, value) for name, value in asked.pop("headers", ())],
            **asked,
        )
        draws = mr.Draws.of(case.get("seed", 0), case.get("ordinal", 0), case.get("draws"))
        decision = router.explain(request, msgspec.convert(case.get("state", {}), mr.State), draws)
        rule = decision.rule
        outcome = msgspec.to_builtins(decision.outcome)
        return {
            "outcome": outcome["type"],
            "status": outcome.get("status"),
            "flag": outcome.get("flag"),
            "location": outcome.get("location"),
            "body": outcome.get("body"),
            "details": outcome.get("details"),
            "route": decision.route,
            "upstream": {
                "authority": decision.request.authority,
                "path": decision.request.path,
                "headers": {name: list(decision.request.fields[name]) for name, _ in decision.request.headers},
            },
            "rule": f"{rule.kind} {rule.namespace}/{rule.name} {rule.path}" if rule else None,
            "line": rule.line if rule else None,
            "cluster": decision.cluster,
            "subset": decision.subset,
            "pod": decision.pod,
            "endpoint": decision.endpoint.key if decision.endpoint else None,
            "response_headers": [list(line) for line in decision.response_headers],
            "effects": msgspec.to_builtins(decision.effects),
            "steps": [type(step).__name__ for step in decision.trace],
            "path": decision.request.path,
            "authority": decision.request.authority,
            "sent": _named(decision.request.headers, case["expect"].get("sent", ())),
            "mirrors": [
                {"cluster": one.cluster, "endpoint": str(one.endpoint.key), "authority": one.request.authority}
                for one in decision.mirrors
            ],
            "delay": decision.delay,
            "answer": _named(
                decision.answer(
                    [(name, value) for name, value in case.get("upstream", {}).get("headers", ())],
                    case.get("upstream", {}).get("status", 200),
                )
                if outcome["type"] == "forwarded"
                else decision.response_headers,
                case["expect"].get("answer", ()),
            ),
        }

    def diagnose(self, texts: Texts, given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        said: tuple[Diagnostic, ...]
        try:
            said = self._mesh(texts, given).diagnostics
        except mr.ManifestError as error:
            said = error.diagnostics
        return [
            {
                "code": str(one.code),
                "severity": str(one.severity),
                "line": one.at.line,
                "path": one.at.path,
                "help": one.help,
            }
            for one in said
            if one.severity is not mr.Severity.NOTE
        ]

    def value(self, function: str, arguments: Mapping[str, Any]) -> Any:
        answer = _FUNCTIONS.get(function)
        if answer is None:
            raise NotImplementedError(function)
        return answer(**arguments)

    def _mesh(self, texts: Texts, given: Mapping[str, Any]) -> mr.Mesh:
        loaded = [
            load_text(
                text,
                name,
                namespace=given.get("namespace", "default"),
                strict=given.get("strict", True),
                repair=given.get("repair", False),
            )
            for name, text in texts
        ]
        return mr.Mesh(
            [resource for one in loaded for resource in one.resources],
            [diagnostic for one in loaded for diagnostic in one.diagnostics],
            seeing.mesh_of(given.get("mesh", {}), given.get("outbound", "ALLOW_ANY")),
            [draft for one in loaded for draft in one.drafts],
        )

    def _router(self, texts: Texts, given: Mapping[str, Any]) -> mr.Router:
        if "envoy" in given:
            return mr.Router(_from_envoy(**given["envoy"]))
        if "table" in given:
            return mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(given["table"])))
        return self._mesh(texts, given).router(seeing.client_of(given.get("client", {})))


CLUSTERS: Mapping[str, Sequence[str]] = {
    "a": ("10.8.0.1",),
    "b": ("10.8.0.2",),
    "c": ("10.8.0.3",),
    "down": ("10.8.0.4",),
    "empty": (),
}
"""What vectors of Envoy's own configuration can send to; `nosuch` is not there."""


def _from_envoy(
    route_config: Mapping[str, Any], hcm: Mapping[str, Any] | None = None, runtime: Mapping[str, Any] | None = None
) -> mr.RoutingTable:
    clusters = [
        Cluster(ClusterName(name), RoundRobin(), tuple(Endpoint(address, 80) for address in some))
        for name, some in CLUSTERS.items()
    ]
    return mr.from_envoy(route_config, hcm=hcm, runtime=runtime, clusters=clusters)


def _loaded(envoy: Mapping[str, Any], words: str = "") -> dict[str, Any]:
    """Whether a configuration is loaded; if it is not, whether the reason has these words in it."""
    try:
        mr.Router(_from_envoy(**envoy))
    except (mr.TableError, Re2SyntaxError) as error:
        return {"loaded": False, "says": words in str(error)}
    return {"loaded": True}


def _table_loaded(table: Mapping[str, Any], words: str = "") -> dict[str, Any]:
    """The same of a routing table."""
    try:
        mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table)))
    except (mr.TableError, Re2SyntaxError) as error:
        return {"loaded": False, "says": words in str(error)}
    return {"loaded": True}


def _envoy_listener(envoy: Mapping[str, Any]) -> Any:
    """The listener of a configuration, as the table has it."""
    return msgspec.json.decode(_from_envoy(**envoy).to_json())["listeners"][0]


def _arrived(arrival: Mapping[str, Any], request: Mapping[str, Any], port: int = 80) -> dict[str, Any]:
    """A request as routes are asked with it, or what the client is told."""
    asked = dict(request)
    sent = mr.Request.of(asked.pop("method", "GET"), asked.pop("url"), asked.pop("headers", ()), **asked)
    found = arrive(sent, msgspec.convert(arrival, Arrival, strict=False), port, mr.Draws())
    if not isinstance(found, mr.Request):
        return dict(msgspec.to_builtins(found))
    return {
        "authority": found.authority,
        "path": found.path,
        "scheme": found.scheme,
        "source_ip": found.source_ip,
        "headers": [list(line) for line in found.headers],
    }


def _named(lines: Sequence[tuple[str, str]], names: Iterable[str]) -> dict[str, list[str]]:
    """Of header lines, the values of the names that are asked for."""
    return {name: [value for one, value in lines if one == name] for name in names}


def _sending(
    table: Mapping[str, Any],
    url: str,
    answers: Sequence[int | str],
    headers: Sequence[tuple[str, str]] = (),
    stream: int = 0,
) -> dict[str, Any]:
    """A request with all its tries, of which the upstream ends one after the other so, the last one for all that
    follow: a status, a status with header lines behind `|`, or a failure."""
    session = _Pinned(mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table))), stream)
    left = list(answers)

    def upstream(_: mr.Decision) -> int | mr.Reply | mr.Failure:
        now = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(now, int):
            return now
        status, *lines = now.split("|")
        if not status.isdigit():
            return mr.Failure(status)
        return mr.Reply(int(status), tuple((name, value) for name, _, value in (one.partition(": ") for one in lines)))

    end = session.send(mr.Request.of("GET", url, [(name, value) for name, value in headers]), upstream)
    return {"status": end.status, "flags": end.flags, "clusters": [one.cluster for one in end.tries]}


class _Pinned(mr.Session):
    """A session in which every try draws the same `stream`."""

    def __init__(self, router: mr.Router, stream: int) -> None:
        super().__init__(router)
        self._stream = stream

    def _draws(self) -> mr.Draws:
        return structs.replace(super()._draws(), given={"stream": self._stream})


def _is_format(text: str) -> bool:
    try:
        parse_format(text)
    except FormatError:
        return False
    return True


def _mirrored(table: Mapping[str, Any], url: str) -> list[list[Any]]:
    """How many copies go where, on average: cluster, endpoint, and a fraction as text."""
    router = mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table)))
    found = router.shares(mr.Request.of("GET", url)).by_mirror
    return [[cluster, endpoint, str(share)] for (cluster, endpoint), share in found.items()]


def _key(
    policies: Sequence[Mapping[str, Any]],
    headers: Sequence[tuple[str, str]] = (),
    path: str = "/",
    source_ip: str = "",
) -> int | None:
    request = mr.Request.of("GET", f"http://any{path}", [(name, value) for name, value in headers], source_ip=source_ip)
    return request_key(msgspec.convert(policies, tuple[HashPolicy, ...]), request, mr.Draws()).value


def _ring(endpoints: Addresses, minimum: int, maximum: int | None = None) -> list[tuple[int, int]]:
    sizes = RingHash(minimum) if maximum is None else RingHash(minimum, maximum)
    ring = build(hosts(_endpoints(endpoints)), sizes)
    return list(zip(ring.points, ring.owners, strict=True))


def _endpoints(given: Addresses) -> list[Endpoint]:
    return [Endpoint(address, port, weight=weight) for address, port, weight in given]


def _ring_picks(endpoints: Addresses, keys: Sequence[int], sizes: Mapping[str, Any]) -> list[int]:
    ring = build(hosts(_endpoints(endpoints)), msgspec.convert({"type": "ring-hash", **sizes}, RingHash))
    return [ring.owners[ring.entry(key)] for key in keys]


def _maglev_picks(endpoints: Addresses, keys: Sequence[int], size: int) -> list[int]:
    table = maglev.build(hosts(_endpoints(endpoints)), size)
    return [table[key % size] for key in keys]


def _shares(policy: Mapping[str, Any], endpoints: Addresses, horizon: Any) -> list[str]:
    """The share of each endpoint of one cluster, of a request without a key, over 2^64."""
    name = ClusterName("c")
    members = tuple(_endpoints(endpoints))
    cluster = Cluster(name, msgspec.convert(policy, Policy), members)
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), Forward((WeightedCluster(name),))),))
    router = mr.Router(mr.RoutingTable((Listener(80, (host,)),), (cluster,)))
    got = router.shares(mr.Request.of("GET", "http://any/"), horizon=horizon).by_endpoint
    return [f"{got.get(one.key, 0) * 2**64}/{2**64}" for one in members]


def _route_shares(table: Mapping[str, Any], url: str) -> dict[str, str]:
    """The share of each cluster, over 2^64."""
    router = mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table)))
    got = router.shares(mr.Request.of("GET", url)).by_cluster
    return {str(name): f"{share * 2**64}/{2**64}" for name, share in got.items()}


def _moved(
    policy: Mapping[str, Any], before: Sequence[tuple[str, int, int]], after: Sequence[tuple[str, int, int]]
) -> str:
    kind = msgspec.convert(policy, Policy)
    answer = mr.moved(*(Cluster(ClusterName("c"), kind, tuple(_endpoints(some))) for some in (before, after)))
    return f"{answer.total * 2**64}/{2**64}"


def _tries(
    subsets: Mapping[str, Any],
    metadata: Sequence[Mapping[str, Any]],
    criteria: Mapping[str, Any],
    priorities: Sequence[int] = (),
) -> list[dict[str, Any]]:
    """The parts of a cluster that are asked, with the numbers of their endpoints; `single` where the policy is not."""
    levels = priorities or [0] * len(metadata)
    endpoints = [
        Endpoint(f"10.8.0.{number}", 80, priority=level, metadata=one)
        for number, (one, level) in enumerate(zip(metadata, levels, strict=True))
    ]
    tries = Division(msgspec.convert(subsets, Subsets), endpoints).tries(criteria)
    return [
        {"name": one.name, "numbers": list(one.numbers), **({"single": True} if one.single else {})} for one in tries
    ]


def _criteria(route: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    chosen = WeightedCluster(ClusterName("c"), metadata=entry)
    return dict(criteria_of(Forward((chosen,), metadata=route), chosen))


def _fields(headers: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    request = mr.Request.of("GET", "http://any/", [(name, value) for name, value in headers])
    return {name: list(request.fields[name]) for name, _ in request.headers}


def _full_match(pattern: str, subject: str) -> dict[str, Any]:
    try:
        return {"accepted": True, "matches": compile_full(pattern).matches_all_of(subject)}
    except Re2SyntaxError as error:
        return {"accepted": False, "reason": error.reason}


def _outlier(
    config: Mapping[str, Any],
    hosts: int,
    events: Sequence[Mapping[str, Any]],
    until: int = 0,
    draws: Mapping[str, int] | None = None,
) -> list[tuple[Any, ...]]:
    """What happens to hosts 0 to n - 1, as (time, host, what, why). Ticks come before what has the same time."""
    asked = msgspec.convert(config, OutlierDetection)
    keys = [EndpointKey(f"host-{number}") for number in range(hosts)]
    records: dict[EndpointKey, HostRecord] = {}
    happened: list[tuple[Any, ...]] = []
    ticked_at = 0

    def note(at: int, verdict: outlier.Verdict) -> None:
        records.update(verdict.records)
        happened.extend((at, keys.index(one), "returned") for one in verdict.returned)
        happened.extend((at, keys.index(one.endpoint), one.consequence, one.reason) for one in verdict.detected)

    for ordinal, event in enumerate((*events, {"at": until, "host": 0, "what": []})):
        draw = mr.Draws.of(0, ordinal, draws).__getitem__
        passed = outlier.elapsed(asked, keys, records, ticked_at, event["at"], draw)
        ticked_at = passed.ticked_at
        for at, verdict in passed.ticks:
            note(at, verdict)
        host = keys[event["host"]]
        reports = event["what"] if isinstance(event["what"], list) else [event["what"]]
        for what in reports * event.get("times", 1):
            if what == "recovered":
                note(event["at"], outlier.recovered(asked, records, host, event["at"]))
            else:
                outcome = what if isinstance(what, int) else outlier.Event(what)
                note(event["at"], outlier.answered(asked, keys, records, host, outcome, event["at"], draw))
    return happened


def _preference(
    balancer: Mapping[str, Any] | None,
    distribution: str | None,
    mesh: Mapping[str, Any] | None,
    zones: Mapping[str, Any] | None = None,
) -> Preference | None:
    return preference_of(
        None if balancer is None else LoadBalancerSettings.model_validate(balancer),
        None if distribution is None else TrafficDistribution(distribution),
        None if mesh is None else LocalityLbSetting.model_validate(mesh),
        None if zones is None else ZoneAwareLbSetting.model_validate(zones),
    )


def _locality_setting(
    balancer: Mapping[str, Any] | None = None,
    distribution: str | None = None,
    mesh: Mapping[str, Any] | None = None,
    zones: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """The setting that holds, as it is written; and whether it is forced."""
    found = _preference(balancer, distribution, mesh, zones)
    if found is None:
        return None
    setting = found.setting.model_dump(by_alias=True, exclude_defaults=True)
    if isinstance(found, ByLocality):
        return {"localityLbSetting": setting, "forced": found.forced}
    return {"zoneAwareLbSetting": setting}


def _locality_spread(
    endpoints: Sequence[Mapping[str, Any]],
    client: Mapping[str, Any],
    balancer: Mapping[str, Any] | None = None,
    distribution: str | None = None,
    mesh: Mapping[str, Any] | None = None,
    outliers: bool = False,
) -> dict[str, Any]:
    """Endpoints, by their number in what is given, with priorities; and the weights of localities."""
    members = [
        Member(
            Endpoint(
                "10.8.0.1",
                number,
                weight=one.get("weight", 1),
                locality=topology.canonical(one.get("locality", "")),
            ),
            one.get("labels", {}),
        )
        for number, one in enumerate(endpoints)
    ]
    here = topology.Client(topology.canonical(client.get("locality", "")), client.get("labels", {}))
    found = spread(members, here, _preference(balancer, distribution, mesh), outliers)
    return {
        "endpoints": [[one.port, one.priority] for one in found.endpoints],
        "weights": _weights(found.locality_weights),
    }


def _weights(weights: Sequence[LocalityWeight] | None) -> list[list[Any]] | None:
    return None if weights is None else [[one.locality, one.weight, one.priority] for one in weights]


_ANYBODY: Mapping[str, Any] = {}
"""A sidecar of which nothing is said."""
_NOTHING: Mapping[str, Any] = {}
"""A mesh as it is without the operator's settings."""


def _table(manifests: str, client: Mapping[str, Any], mesh: Mapping[str, Any] = _NOTHING) -> mr.RoutingTable:
    return seeing.admitted(manifests, mesh_of(mesh)).router(mr.Sidecar(**client)).table


def _cluster(
    manifests: str, cluster: str, client: Mapping[str, Any] = _ANYBODY, mesh: Mapping[str, Any] = _NOTHING
) -> dict[str, Any]:
    """What a client's table says of a cluster; of policy and outliers, what is not a default."""
    found = next(one for one in _table(manifests, client, mesh).clusters if one.name == cluster)
    return {
        "policy": _written(found.policy),
        "endpoints": [
            {"endpoint": one.key, "locality": one.locality, "priority": one.priority, "health": str(one.health)}
            for one in found.endpoints
        ],
        "weights": _weights(found.locality_weights),
        "panic": found.panic,
        "outliers": None if found.outliers is None else _written(found.outliers),
    }


def _linted(manifests: str, codes: Sequence[str]) -> list[dict[str, Any]]:
    """What lint says with these codes: where, about what, and the places that it names beside."""
    return [
        {
            "code": one.code,
            "subject": one.subject,
            "path": one.at.path,
            "related": [place.path for place in one.related],
        }
        for one in mr.lint(seeing.admitted(manifests, mr.MeshConfig()))
        if one.code in codes
    ]


def _written(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields of a struct that are not their defaults, and its tag."""
    defaults = dict(zip(struct.__struct_fields__[::-1], struct.__struct_defaults__[::-1], strict=False))
    values = {name: getattr(struct, name) for name in struct.__struct_fields__}
    said = {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
    tag = struct.__struct_config__.tag
    return {
        **({"type": tag} if tag else {}),
        **{name: _written(value) if isinstance(value, msgspec.Struct) else value for name, value in said.items()},
    }


def _hash_policies(manifests: str, host: str, client: Mapping[str, Any] = _ANYBODY) -> list[list[dict[str, Any]]]:
    """The hash policies of each route of a virtual host."""
    hosts = [one for listener in _table(manifests, client).listeners for one in listener.virtual_hosts]
    routes = next(one.routes for one in hosts if one.name == host)
    return [
        [_written(policy) for policy in route.action.hash_policies]
        for route in routes
        if isinstance(route.action, Forward)
    ]


def _routes(manifests: str, host: str, client: Mapping[str, Any] = _ANYBODY) -> list[dict[str, Any]]:
    """The routes of a virtual host, without what is a default and without where they are written."""
    hosts = [one for listener in _table(manifests, client).listeners for one in listener.virtual_hosts]
    routes = next(one.routes for one in hosts if one.name == host)
    return [{name: value for name, value in without_defaults(route).items() if name != "rule"} for route in routes]


def _said_of_body(size: int, *, base64: bool = False) -> list[str]:
    """How grave it is what is said of a fixed answer with so many bytes."""
    body = {"bytes": b64encode(bytes(size)).decode()} if base64 else {"string": "x" * size}
    spec = {"hosts": ["a.example"], "http": [{"directResponse": {"status": 200, "body": body}}]}
    given = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": spec}
    try:
        said = mr.loads(msgspec.json.encode(given)).diagnostics
    except mr.ManifestError as error:
        said = error.diagnostics
    return [str(one.severity) for one in said]


_FUNCTIONS: Mapping[str, Any] = {
    "said_of_body": _said_of_body,
    "xxh64": lambda text, seed=0: xxhash64(text.encode(), seed),
    "murmur64": lambda text: murmur64(text.encode()),
    "draw": lambda seed, ordinal, name: mr.Draws.of(seed, ordinal)[name],
    "request_key": _key,
    "header_values": _fields,
    "ring": _ring,
    "schedule": lambda weights, start, picks: [Schedule(weights, start).pick(number) for number in range(picks)],
    "shares": _shares,
    "moved": _moved,
    "route_shares": _route_shares,
    "ring_picks": _ring_picks,
    "maglev_table": lambda endpoints, size: list(maglev.build(hosts(_endpoints(endpoints)), size)),
    "maglev_picks": _maglev_picks,
    "ring_share": lambda endpoints, minimum: [
        [owner for _, owner in _ring(endpoints, minimum)].count(number) for number in range(len(endpoints))
    ],
    "subset_tries": _tries,
    "subset_criteria": _criteria,
    "subset_weight": lambda weight, part, whole: scaled(weight, part, whole),
    "resolve": lambda name, namespace: resolve(name, namespace),
    "covers": lambda host, name: covers(host, name),
    "most_specific": lambda hosts, name: most_specific(hosts, name),
    "safe_name": lambda number, length: safe_name(number, length),
    "assumed_address": lambda pod: assumed_address(pod, ()),
    "outlier": _outlier,
    "success_rate_limit": outlier.success_rate_limit,
    "re2_full_match": _full_match,
    "send": _sending,
    "is_format": _is_format,
    "longest_wait": lambda number, base=25, most=0: longest_wait(
        Retries(("5xx",), base_interval=base, max_interval=most), number
    ),
    "mirrored": _mirrored,
    "re2_replace": lambda pattern, substitution, text: compile_rewrite(pattern, substitution).all_in(text),
    **balancing.FUNCTIONS,
    **seeing.FUNCTIONS,
    **services.FUNCTIONS,
    **reuse.FUNCTIONS,
    "lint": _linted,
    "locality": lambda text: topology.canonical(text),
    "locality_setting": _locality_setting,
    "locality_spread": _locality_spread,
    "compile_cluster": _cluster,
    "compile_hash_policies": _hash_policies,
    "compile_routes": _routes,
    "arrive": _arrived,
    "envoy_load": _loaded,
    "envoy_listener": _envoy_listener,
    "table_load": _table_loaded,
    "canonical_table": lambda table: mr.RoutingTable.from_json(msgspec.json.encode(table)).to_json(),
}
