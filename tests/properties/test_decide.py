"""Decisions as a whole: spec/decide.md, spec/table.md, spec/balance.md ORIG-1, spec/hash.md HASH-5."""

from __future__ import annotations

import copy
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute import (
    Draws,
    Failed,
    Forwarded,
    Outcome,
    Redirected,
    Request,
    Responded,
    Router,
    RoutingTable,
    State,
    TableError,
)
from meshroute.arrive import NO_PROTOCOL, arrive
from meshroute.conformance.strategies.tables import U64, any_requests, endpoints, policies, requests, tables
from meshroute.match.scan import first_match, host_of_request, reached
from meshroute.names import ClusterName
from meshroute.table import (
    Choice,
    Cluster,
    Endpoint,
    Forward,
    HashOnHeader,
    Health,
    Listener,
    OriginalDestination,
    Policy,
    RequireTls,
    Respond,
    RingHash,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from meshroute.trace import KeyHashed, KeyMissing

ROOT = Path(__file__).parents[2]

states = st.builds(
    State,
    st.dictionaries(st.sampled_from((ClusterName("one"), ClusterName("two"))), U64),
    st.just({}),
)


def by_the_book(listener: Listener, sent: Request, draws: Draws) -> Route | Outcome | None:
    """What routes are asked, by the plain scan: what the client is told before, a route, or that there is none."""
    request = arrive(sent, listener.arrival, listener.port, draws)
    if not isinstance(request, Request):
        return request
    found = host_of_request(listener, request)
    if found is None:
        return None
    host = found[0]
    if host.require_tls is not RequireTls.NONE and request.fields["x-forwarded-proto"] != ("https",):
        return Redirected(301, f"https://{request.authority}{request.path}")
    choice = reached(host.matcher, request) if host.matcher is not None else Choice(host.routes)
    routes = choice.routes if choice is not None else ()
    number = first_match(routes, request, draws["stream"], listener.ignore_path_parameters)
    return None if number is None else routes[number]


def speaks_grpc(sent: Request) -> bool:
    # A header that has one slot: lines of it are joined (REQ-2).
    kind = ",".join(value for name, value in sent.headers if name == "content-type" and value)
    return sent.method != "CONNECT" and (kind == "application/grpc" or kind.startswith("application/grpc+"))


def told(sent: Request, failed: Failed, grpc_status: int) -> Failed:
    """A dead end as its client meets it (DECIDE-7)."""
    return Failed(200, failed.flag, failed.details, grpc_status) if speaks_grpc(sent) else failed


class TestDecide1NoRoute:
    """DECIDE-1: no virtual host, or no route in it: 404, flag NR."""

    @given(tables(), any_requests(), U64)
    def test_exactly_the_requests_that_no_route_takes(self, table: RoutingTable, sent: Request, seed: int) -> None:
        """By the plain scan of the table."""
        draws = Draws.of(seed)
        decision = Router(table).decide(sent, draws=draws)
        if sent.port == 80:
            met = by_the_book(table.listeners[0], sent, draws)
            lost = told(sent, Failed(404, "NR", "route_not_found"), 12)
            assert (decision.outcome == lost) == (met in (None, NO_PROTOCOL))
            if isinstance(met, Route):
                assert (decision.route, decision.rule) == (met.name, met.rule)
        elif not table.otherwise:
            assert decision.outcome == Failed(0, "-", "no_listener")


class TestDecide2NoCluster:
    """DECIDE-2: a cluster that does not exist: 503, flag NC, for the requests that are sent there and no others."""

    @given(tables(), requests(), U64)
    def test_exactly_where_the_chosen_cluster_is_not_in_the_table(
        self, table: RoutingTable, sent: Request, seed: int
    ) -> None:
        """Nothing is drawn anew: the cluster is still named."""
        decision = Router(table).decide(sent, draws=Draws.of(seed))
        known = {cluster.name for cluster in table.clusters}
        missing = decision.cluster is not None and decision.cluster not in known
        assert (decision.outcome == told(sent, Failed(503, "NC", "cluster_not_found"), 14)) == missing


class TestDecide3NoHost:
    """DECIDE-3: a cluster of which nobody may be chosen: 503, flag UH."""

    @given(tables(), requests(), U64)
    def test_an_endpoint_or_a_dead_end(self, table: RoutingTable, sent: Request, seed: int) -> None:
        """Never both, never neither; an endpoint is one of the cluster's."""
        decision = Router(table).decide(sent, draws=Draws.of(seed))
        clusters = {cluster.name: cluster for cluster in table.clusters}
        if decision.cluster in clusters:
            if decision.endpoint is not None:
                assert decision.outcome == Forwarded()
                assert decision.endpoint in clusters[decision.cluster].endpoints
            else:
                assert isinstance(decision.outcome, Failed)
                assert decision.outcome.flag == "UH"
                lost = 200 if speaks_grpc(sent) else 503
                assert decision.outcome.status == (lost if sent.port == 80 else 0)

    @given(endpoints(), policies, st.sampled_from((80, 81)), U64)
    def test_exactly_where_nobody_is_healthy(
        self, some: tuple[Endpoint, ...], policy: Policy, port: int, seed: int
    ) -> None:
        """Of one priority, without panic: where somebody is healthy, a healthy one is chosen."""
        cluster = Cluster(ClusterName("c"), policy, some)
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), Forward((WeightedCluster(cluster.name),))),))
        table = RoutingTable((Listener(80, (host,)),), (cluster,), cluster.name)
        decision = Router(table).decide(Request("GET", "h", "/", port=port), draws=Draws.of(seed))
        healthy = [one for one in some if one.health is Health.HEALTHY]
        if healthy:
            assert decision.endpoint in healthy
        else:
            assert decision.outcome == Failed(503 if port == 80 else 0, "UH", "no_healthy_upstream")


_CHILD = """
import json, sys
from meshroute import Draws, Request, Router, RoutingTable
for line in sys.stdin:
    case = json.loads(line)
    headers = tuple(map(tuple, case["headers"]))
    request = Request(case["method"], case["authority"], case["path"], headers, port=case["port"])
    decision = Router(RoutingTable.from_json(case["table"])).explain(request, draws=Draws.of(case["seed"]))
    print(json.dumps(decision.to_builtins(), sort_keys=True))
"""


class TestDecide7Grpc:
    """DECIDE-7: what the proxy answers by itself is told to clients of gRPC in headers."""

    STATUSES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}

    @given(st.integers(200, 599), st.text(st.characters(max_codepoint=255), max_size=5), st.booleans(), st.booleans())
    def test_fixed_answers_are_headers(self, status: int, body: str, head: bool, plus: bool) -> None:
        """The status by the table of the words, the body in escapes that give it back."""
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), Respond(status, body)),))
        table = RoutingTable((Listener(80, (host,)),), ())
        kind = "application/grpc" + "+proto" * plus
        decision = Router(table).decide(Request.of("HEAD" if head else "POST", "http://h/", {"content-type": kind}))
        lines = dict(decision.response_headers)
        assert decision.outcome == Responded(200)
        assert (lines["content-type"], lines["grpc-status"]) == ("application/grpc", str(self.STATUSES.get(status, 2)))
        message = lines.get("grpc-message")
        assert message is None if head or not body else unquote(message or "", "latin-1") == body
        assert all(" " <= one <= "}" for one in message or "")

    @given(requests(), policies, st.sampled_from(("gone", "empty")))
    def test_dead_ends_keep_flag_and_details(self, sent: Request, policy: Policy, name: str) -> None:
        """Asked once as gRPC and once as something that only looks like it."""
        action = Forward((WeightedCluster(ClusterName(name)),))
        host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
        router = Router(RoutingTable((Listener(80, (host,)),), (Cluster(ClusterName("empty"), policy),)))
        rest = tuple(line for line in sent.headers if line[0] in ("x-user", "cookie", "accept"))
        grpc, http = (
            router.decide(Request("GET", "h", sent.path, (("content-type", kind), *rest))).outcome
            for kind in ("application/grpc", "application/grpcx")
        )
        assert isinstance(http, Failed)
        assert http.status == 503
        assert grpc == Failed(200, http.flag, http.details, 14)


class TestDecide4Purity:
    """DECIDE-4: the same input, the same decision, in any process; deciding touches nothing."""

    # Starting two interpreters costs a second, so: few examples of many cases each, and no shrinking of what differs.
    @settings(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(tables(), requests(), U64), min_size=5, max_size=5))
    def test_other_processes_with_other_hash_seeds_agree(self, cases: list[tuple[RoutingTable, Request, int]]) -> None:
        """Two children, two PYTHONHASHSEEDs, and this process: byte for byte."""
        lines, expected = "", ""
        for table, sent, seed in cases:
            case = {name: getattr(sent, name) for name in ("method", "authority", "path", "headers", "port")}
            lines += json.dumps({**case, "table": table.to_json(), "seed": seed}) + "\n"
            decision = Router(table).explain(sent, draws=Draws.of(seed))
            expected += json.dumps(decision.to_builtins(), sort_keys=True) + "\n"
        for hash_seed in ("0", "1"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-c", _CHILD]
            child = subprocess.run(command, input=lines, capture_output=True, text=True, env=environment, check=False)
            assert (child.stdout, child.stderr) == (expected, "")

    def test_compiling_does_not_depend_on_the_hash_seed(self) -> None:
        """The table of the same manifests is the same text under any PYTHONHASHSEED."""
        folder = str(ROOT / "docs/examples/canary")
        program = f"import meshroute as mr; print(mr.load({folder!r}).router().table.to_json(), end='')"
        expected = mr.load(folder).router().table.to_json()
        for hash_seed in ("1", "2", "3"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            command = [sys.executable, "-c", program]
            child = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
            assert child.stdout == expected

    @given(tables(), requests(), states, U64)
    def test_no_audit_event_is_raised(self, table: RoutingTable, sent: Request, state: State, seed: int) -> None:
        """No file, socket, process, import, clock or generator: the interpreter would report each of them."""
        router, draws = Router(table), Draws.of(seed)
        with watched() as events:
            router.decide(sent, state, draws)
            router.explain(sent, state, draws)
        assert events == []

    @given(tables(), requests(), states, U64)
    def test_arguments_are_unchanged(self, table: RoutingTable, sent: Request, state: State, seed: int) -> None:
        """Compared with deep copies taken before; and asking again gives the same answer."""
        router, draws = Router(table), Draws.of(seed)
        before = (table.to_json(), msgspec.to_builtins(sent), copy.deepcopy(msgspec.to_builtins(state)), repr(draws))
        decision = router.decide(sent, state, draws)
        assert (table.to_json(), msgspec.to_builtins(sent), msgspec.to_builtins(state), repr(draws)) == before
        assert router.decide(sent, state, draws) == decision == Router(table).decide(sent, state, draws)

    def test_the_watch_sees_what_it_must(self) -> None:
        """A test of the test: files, imports, clocks by time zone, sockets and randomness from the system are
        reported."""
        with watched() as events:
            open(os.devnull).close()
            exec("1")
        assert [name for name, _ in events][:1] == ["open"]
        assert "exec" in [name for name, _ in events]


class watched:
    """Audit events while the block runs, the hook's own aside. Hooks cannot be removed, so one serves all.

    Others are kept from adding to them: Hypothesis traces some of its runs and reads frames for it, and what is
    collected in the block may be another test's, such as its files.
    """

    _listening: list[tuple[str, object]] | None = None
    _installed = False

    def __enter__(self) -> list[tuple[str, object]]:
        if not watched._installed:
            sys.addaudithook(watched._hook)
            watched._installed = True
        self._tracer = sys.gettrace()
        sys.settrace(None)
        gc.disable()
        watched._listening = []
        return watched._listening

    def __exit__(self, *_: object) -> None:
        watched._listening = None
        gc.enable()
        sys.settrace(self._tracer)

    @staticmethod
    def _hook(name: str, arguments: tuple[object, ...]) -> None:
        # Which route it is, deciding asks by identity (`Plan.doings`); no identity gets into an answer.
        if watched._listening is not None and name != "builtins.id":
            watched._listening.append((name, arguments))


class TestDecide5Explaining:
    """DECIDE-5: explaining gives the same decision and, besides, the steps that led to it."""

    @given(tables(), requests(), states, U64)
    def test_explain_is_decide_with_a_trace(self, table: RoutingTable, sent: Request, state: State, seed: int) -> None:
        """Everything but the trace is equal, and the trace is never empty."""
        router, draws = Router(table), Draws.of(seed)
        explained = router.explain(sent, state, draws)
        assert explained.trace
        assert msgspec.structs.replace(explained, trace=()) == router.decide(sent, state, draws)


class TestOrig1OriginalDestination:
    """ORIG-1: original destination forwards to the address that the client connected to."""

    @given(tables(), requests(), st.sampled_from(("", "192.0.2.1", "2001:db8::1")))
    def test_the_address_is_the_client_s_own(self, table: RoutingTable, sent: Request, address: str) -> None:
        """And nothing is chosen or remembered."""
        same = tuple(Cluster(one.name, OriginalDestination()) for one in table.clusters)
        asked = Router(msgspec.structs.replace(table, clusters=same))
        decision = asked.decide(msgspec.structs.replace(sent, destination_ip=address))
        if isinstance(decision.outcome, Forwarded):
            assert (decision.endpoint.address if decision.endpoint else "") == address
            assert decision.effects == ()


class TestHash5NoKey:
    """HASH-5: without any key the draw `key` stands in."""

    @given(tables(), requests(), U64, U64)
    def test_the_drawn_key_decides_exactly_where_no_header_does(
        self, table: RoutingTable, sent: Request, seed: int, key: int
    ) -> None:
        """The trace says which it was, and the header that gave it was sent."""
        rings = tuple(Cluster(one.name, RingHash(16), one.endpoints) for one in table.clusters)
        router = Router(msgspec.structs.replace(table, clusters=rings))
        decision = router.explain(sent, draws=Draws.of(seed, 0, {"key": key}))
        missing = [step for step in decision.trace if isinstance(step, KeyMissing)]
        hashed = [step for step in decision.trace if isinstance(step, KeyHashed)]
        assert all(step.draw == key for step in missing)
        if isinstance(decision.outcome, Forwarded):
            assert bool(missing) != bool(hashed)
            for step in hashed:
                assert isinstance(step.policy, HashOnHeader)
                assert sent.fields[step.policy.name] == step.values


class TestRoute1AndRoute4Outcomes:
    """ROUTE-4: a fixed answer has its status and body, and asks nobody."""

    @given(tables(), requests())
    def test_a_fixed_answer_touches_no_cluster(self, table: RoutingTable, sent: Request) -> None:
        """No cluster, no endpoint, no effect."""
        decision = Router(table).decide(sent)
        if isinstance(decision.outcome, Responded):
            assert (decision.cluster, decision.endpoint, decision.effects) == (None, None, ())


class TestTable1Json:
    """TABLE-1: a routing table has one JSON form, and reading it gives an equal table."""

    @given(tables())
    def test_there_and_back(self, table: RoutingTable) -> None:
        """Equal tables, equal text, and the text is in order."""
        text = table.to_json()
        assert RoutingTable.from_json(text) == table
        assert RoutingTable.from_json(text).to_json() == text
        assert json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n" == text

    @given(tables())
    def test_a_field_that_does_not_exist_is_refused(self, table: RoutingTable) -> None:
        """At the top and inside."""
        for inside in (False, True):
            raw = json.loads(table.to_json())
            (raw["clusters"][0] if inside else raw)["x"] = 1
            with pytest.raises(TableError, match="unknown field `x`"):
                RoutingTable.from_json(json.dumps(raw))

    def test_tables_that_a_proxy_refuses_are_refused(self) -> None:
        """Ports and clusters twice, domains twice, weights that sum to nothing."""
        good = RoutingTable.from_json(_TABLE)
        assert Router(good).table == good
        for old, new, reason in (
            ('"domains": ["a"]', '"domains": ["a", "A"]', "claim the domain `A`"),
            ('"weight": 1', '"weight": 0', "sum to 0"),
            (' "clusters": [', ' "clusters": [{"name": "c", "policy": {"type": "random"}},', "same name"),
            ('"listeners": [', '"listeners": [{"port": 80, "virtual_hosts": []},', "same port"),
        ):
            with pytest.raises(TableError, match=reason):
                Router(RoutingTable.from_json(_TABLE.replace(old, new, 1)))


_TABLE = """
{"listeners": [{"port": 80, "virtual_hosts": [{"name": "h", "domains": ["a"], "routes": [
   {"match": {}, "action": {"type": "forward","clusters": [{"cluster": "c", "weight": 1}]}}]}]}],
 "clusters": [{"name": "c", "policy": {"type": "random"}}]}
"""


def test_hash_policies_are_read_from_json() -> None:
    """HASH-3: the tag of a policy survives the way through JSON."""
    action = Forward((), (HashOnHeader("x"),))
    assert msgspec.json.decode(msgspec.json.encode(action), type=Forward) == action
