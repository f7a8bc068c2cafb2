"""The same answers to `meshroute.balance.outlier` and to the real Envoy 1.40.0: who is found, who is out, who is back.

Every host of every cluster has a route of its own, through a subset of one, and a panic threshold of 100 percent keeps
it reachable while it is ejected. Answers are sent one by one, and the proxy's main thread is asked after each.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

from meshroute.balance.outlier import (
    Consequence,
    Detection,
    Event,
    Outcome,
    Reason,
    Verdict,
    answered,
    elapsed,
    served,
    success_rate_limit,
    ticked,
)
from meshroute.conformance.envoy import outliers_of
from meshroute.names import EndpointKey
from meshroute.record import HostRecord, Window
from meshroute.table import OutlierDetection
from tests.differential.conftest import Tally
from tests.differential.envoy_process import Envoy, envoy_path
from tests.differential.upstreams import Upstreams

WORLDS: Final = 20
ANSWERS_EACH: Final = 30
LONG: Final = 3_600_000
"""An interval that does not end while the test runs."""
HANG: Final = "hang"
ORDERS: Final[Mapping[str, Outcome]] = {
    **{str(status): status for status in (200, 204, 404, 499, 500, 501, 502, 503, 504, 505, 599)},
    "close": Event.CONNECT_FAILED,
    HANG: Event.TIMED_OUT,
}
"""What an upstream may be told, and what then is reported."""
STATUSES: Final[Mapping[Outcome, int]] = {Event.CONNECT_FAILED: 503, Event.TIMED_OUT: 504}
"""What a client sees of an event."""
STATISTICS: Final[Mapping[Reason, str]] = {
    Reason.ERRORS: "consecutive_5xx",
    Reason.GATEWAY_ERRORS: "consecutive_gateway_failure",
    Reason.LOCAL_ERRORS: "consecutive_local_origin_failure",
    Reason.SUCCESS_RATE: "success_rate",
    Reason.LOCAL_SUCCESS_RATE: "local_origin_success_rate",
    Reason.FAILURE_PERCENTAGE: "failure_percentage",
    Reason.LOCAL_FAILURE_PERCENTAGE: "local_origin_failure_percentage",
}
"""Of each reason, the end of its two counters."""


@pytest.fixture(scope="module", autouse=True)
def _there_is_an_envoy() -> None:
    """Skips where no wheel exists, fails where one ought to."""
    envoy_path()


@pytest.fixture(scope="module")
def refusing() -> Iterator[int]:
    """A port that nobody else can take and nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class World(NamedTuple):
    """A cluster: its hosts, by port, and how it detects outliers."""

    name: str
    config: OutlierDetection
    ports: tuple[int, ...]

    @property
    def hosts(self) -> tuple[EndpointKey, ...]:
        return tuple(EndpointKey(f"127.0.0.1:{port}") for port in self.ports)


def nobody_draws(name: str) -> int:
    """Worlds enforce always or never."""
    raise AssertionError(f"{name} was drawn")


class Model:
    """Our records of one world, and what the proxy's statistics are then."""

    def __init__(self, world: World) -> None:
        self.world: Final = world
        self.records: dict[EndpointKey, HostRecord] = {}
        self.counts: Final = Counter[str]()

    def report(self, host: EndpointKey, what: Outcome, *, connected: bool, now: int) -> bool:
        """Whether somebody was found."""
        function = served if connected else answered
        world = self.world
        verdict = function(world.config, world.hosts, self.records, host, what, now, nobody_draws)
        self.records.update(verdict.records)
        self.count(verdict.detected)
        return bool(verdict.detected)

    def count(self, detected: Sequence[Detection]) -> None:
        for one in detected:
            self.counts[f"ejections_detected_{STATISTICS[one.reason]}"] += 1
            if one.consequence is Consequence.CAPPED:
                self.counts["ejections_overflow"] += 1
            elif one.consequence is Consequence.EJECTED:
                self.counts[f"ejections_enforced_{STATISTICS[one.reason]}"] += 1
                self.counts["ejections_enforced_total"] += 1

    def statistics(self) -> dict[str, int]:
        active = sum(record.ejected + record.overcounted for record in self.records.values())
        return {**self.counts, **({"ejections_active": active} if active else {})}

    def ejected(self) -> set[EndpointKey]:
        return {host for host, record in self.records.items() if record.ejected}


class Seen(NamedTuple):
    """What the proxy says of a cluster's hosts: success rates by origin where it has judged any, and who is ejected."""

    rates: Mapping[EndpointKey, float]
    local_rates: Mapping[EndpointKey, float]
    limit: float | None
    local_limit: float | None
    ejected: frozenset[EndpointKey]


def statistics(envoy: Envoy, world: World) -> dict[str, int]:
    """The counters that are not 0, without the deprecated ones."""
    prefix = f"cluster.{world.name}.outlier_detection."
    deprecated = ("ejections_total", "ejections_consecutive_5xx", "ejections_success_rate")
    found = {}
    for line in (
        envoy.admin(f"/stats?usedonly&filter=^cluster%5C.{world.name}%5C.outlier_detection").decode().splitlines()
    ):
        name, _, value = line.removeprefix(prefix).partition(": ")
        if int(value) and name not in deprecated:
            found[name] = int(value)
    return found


def seen(envoy: Envoy, world: World) -> Seen:
    """The admin interface's view."""
    clusters = json.loads(envoy.admin("/clusters?format=json"))["cluster_statuses"]
    cluster = next(one for one in clusters if one["name"] == world.name)
    hosts = {EndpointKey("127.0.0.1:" + str(_port(one))): one for one in cluster["host_statuses"]}

    def rates(field: str) -> dict[EndpointKey, float]:
        return {host: float(one[field].get("value", 0)) for host, one in hosts.items() if field in one}

    def limit(field: str) -> float | None:
        return float(cluster[field].get("value", 0)) if field in cluster else None

    return Seen(
        rates("success_rate"),
        rates("local_origin_success_rate"),
        limit("success_rate_ejection_threshold"),
        limit("local_origin_success_rate_ejection_threshold"),
        frozenset(host for host, one in hosts.items() if one["health_status"].get("failed_outlier_check")),
    )


def _port(host: Mapping[str, Any]) -> int:
    port: int = host["address"]["socket_address"]["port_value"]
    return port


def send(envoy: Envoy, world: World, number: int, order: str) -> int:
    """One request to a host; the status that came back."""
    head = f"GET /{world.name}/{number}/{order} HTTP/1.1\r\nhost: h\r\nx-do: {order}\r\n\r\n"
    return envoy.ask("all", head.encode()).status


def bootstrap(worlds: Sequence[World]) -> dict[str, Any]:
    """A route for each host of each world."""
    routes = [
        _route(world, number, *ending)
        for world in worlds
        for number in range(len(world.ports))
        for ending in ((HANG, "0.03s"), ("", "30s"))
    ]
    extensions = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "all",
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{extensions}.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    listener = {
        "name": "all",
        "address": _address(0),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {"listeners": [listener], "clusters": [_cluster(world) for world in worlds]},
    }


def _route(world: World, number: int, ending: str, timeout: str) -> dict[str, Any]:
    only = {"envoy.lb": {"port": str(world.ports[number])}}
    return {
        "match": {"prefix": f"/{world.name}/{number}/{ending}"},
        "route": {"cluster": world.name, "timeout": timeout, "metadata_match": {"filter_metadata": only}},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(world: World) -> dict[str, Any]:
    endpoints = [
        {
            "endpoint": {"address": _address(port)},
            "metadata": {"filter_metadata": {"envoy.lb": {"port": str(port)}}},
        }
        for port in world.ports
    ]
    return {
        "name": world.name,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": world.name, "endpoints": [{"lb_endpoints": endpoints}]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 100}},
        "lb_subset_config": {"fallback_policy": "NO_FALLBACK", "subset_selectors": [{"keys": ["port"]}]},
        "outlier_detection": outliers_of(world.config),
    }


def test_errors_in_a_row_eject_whom_envoy_ejects(tmp_path: Path, tally: Tally, refusing: int) -> None:
    """After every answer: who was found, by what, what came of it, and who is out."""
    random = Random(tally.seed)
    with Upstreams(9) as upstreams:
        worlds = [_errors_in_a_row(random, f"w{number}", upstreams.ports, refusing) for number in range(WORLDS)]
        with Envoy(bootstrap(worlds), tmp_path) as envoy:
            for world in worlds:
                _compare_answers(random, envoy, world, refusing, tally)
    assert tally.counts["answers watched for outliers"] >= WORLDS * ANSWERS_EACH
    assert tally.counts["outliers found"] >= WORLDS


def _errors_in_a_row(random: Random, name: str, ports: Sequence[int], refusing: int) -> World:
    config = OutlierDetection(
        consecutive_5xx=random.choice((0, 1, 2, 3, 4)),
        consecutive_gateway_failure=random.choice((0, 1, 2, 3)),
        consecutive_local_origin_failure=random.choice((0, 1, 2)),
        enforcing_consecutive_5xx=random.choice((0, 100, 100)),
        enforcing_consecutive_gateway_failure=random.choice((0, 100)),
        enforcing_consecutive_local_origin_failure=random.choice((0, 100, 100)),
        max_ejection_percent=random.choice((0, 10, 33, 34, 49, 50, 66, 67, 100)),
        always_eject_one_host=random.random() < 0.3,
        split_external_local_origin_errors=random.random() < 0.5,
        interval=LONG,
        base_ejection_time=LONG,
    )
    chosen = (*ports[: random.choice((1, 2, 3, 9))], refusing)
    return World(name, config, tuple(random.sample(chosen, len(chosen))))


def _compare_answers(random: Random, envoy: Envoy, world: World, refusing: int, tally: Tally) -> None:
    model, history = Model(world), []
    # A few hosts and runs of one kind, or nothing would ever come in a row.
    active = random.sample(range(len(world.ports)), min(3, len(world.ports)))
    order = "500"
    for number in range(ANSWERS_EACH):
        host = random.choice(active)
        if random.random() < 0.5:
            order = random.choices(list(ORDERS), [4, 1, 1, 1, 6, 1, 4, 6, 4, 1, 1, 8, 2])[0]
        refused = world.ports[host] == refusing
        what = Event.CONNECT_FAILED if refused else ORDERS[order]
        status = send(envoy, world, host, order)
        assert status == STATUSES.get(what, what)
        history.append((host, what))
        found = model.report(world.hosts[host], what, connected=not refused, now=number)
        told = f"{world}\n{history}"
        assert model.statistics() == statistics(envoy, world), told
        if found:
            assert model.ejected() == seen(envoy, world).ejected, told
            tally.counts["outliers found"] += 1
        tally.counts["answers watched for outliers"] += 1
    assert model.ejected() == seen(envoy, world).ejected, f"{world}\n{history}"


def test_ticks_eject_and_return_whom_envoy_does(tmp_path: Path, tally: Tally, refusing: int) -> None:
    """Rates, limits and ejections of one window, to the last bit; then everybody is back, and what stays counted.

    A window is known to be whole because the proxy shows the rates of the one before until the next tick. Where it was
    not, the same is tried with a longer interval.
    """
    random = Random(tally.seed)
    with Upstreams(5) as upstreams:
        for number in range(3):
            drawn = _rates(random, f"r{number}", upstreams.ports)
            script = _script(random, drawn)
            for interval in (300, 900, 2700, 8100):
                config = replace(drawn.config, interval=interval, base_ejection_time=interval * 3 // 2)
                world = drawn._replace(config=config)
                with Envoy(bootstrap([world]), tmp_path) as envoy:
                    if _compare_window(envoy, world, script, tally):
                        break
            else:
                raise AssertionError(f"no window was whole: {drawn}")


def _rates(random: Random, name: str, ports: Sequence[int]) -> World:
    size = random.choice((3, 4, 5, 5))
    volumes = random.choice(((1, 1), (1, 6), (6, 1)))
    config = OutlierDetection(
        consecutive_5xx=random.choice((0, 3)),
        consecutive_gateway_failure=0,
        split_external_local_origin_errors=random.random() < 0.5,
        max_ejection_percent=random.choice((20, 40, 60, 100, 100)),
        success_rate_minimum_hosts=random.choice((2, 3, size)),
        success_rate_request_volume=volumes[0],
        success_rate_stdev_factor=random.choice((0, 500, 1000, 1900)),
        enforcing_success_rate=random.choice((0, 100, 100)),
        enforcing_local_origin_success_rate=random.choice((0, 100)),
        enforcing_failure_percentage=random.choice((0, 100, 100)),
        enforcing_failure_percentage_local_origin=random.choice((0, 100)),
        failure_percentage_minimum_hosts=random.choice((2, 3, size)),
        failure_percentage_request_volume=volumes[1],
        failure_percentage_threshold=random.choice((20, 50, 85, 100)),
    )
    return World(name, config, tuple(ports[:size]))


def _script(random: Random, world: World) -> list[tuple[int, str]]:
    """Hosts of different quality. The first answer is not of host 0."""
    script = []
    for host in range(len(world.ports)):
        bad = random.choice((0.0, 0.1, 0.3, 0.6, 1.0))
        for _ in range(random.randint(3, 9)):
            script.append((host, random.choice(("500", "503", "close")) if random.random() < bad else "200"))
    random.shuffle(script)
    return [(1, "200"), *script]


def _compare_window(envoy: Envoy, world: World, script: Sequence[tuple[int, str]], tally: Tally) -> bool:
    """False if the script did not fit between two ticks."""
    model, interval = Model(world), world.config.interval
    send(envoy, world, 0, "200")
    envoy.wait(lambda: bool(seen(envoy, world).rates), "tick")
    before = seen(envoy, world)
    for host, order in script:
        send(envoy, world, host, order)
    between = seen(envoy, world)
    if set(before.rates) != {world.hosts[0]} or (before.rates, before.limit) != (between.rates, between.limit):
        return False
    model.report(world.hosts[0], 200, connected=True, now=0)
    _tick(model, world.hosts, interval)
    for host, order in script:
        model.report(world.hosts[host], ORDERS[order], connected=True, now=interval + 1)
    told = f"{world}\n{script}"
    assert model.ejected() == between.ejected, told
    envoy.wait(lambda: seen(envoy, world) != between, "tick")
    after, counted = seen(envoy, world), statistics(envoy, world)
    # The proxy goes through its hosts in an order of its own, the same for sums and for the cap.
    for hosts in permutations(world.hosts):
        if _agrees(model, hosts, after, counted):
            break
    else:
        raise AssertionError(f"{after}\n{counted}\nno order of hosts explains this\n{told}")
    _compare_returns(envoy, world, model, told)
    tally.counts["answers watched for outliers"] += len(script)
    tally.counts["windows of answers"] += 1
    return True


def _tick(model: Model, hosts: Sequence[EndpointKey], now: int) -> Verdict:
    verdict = ticked(model.world.config, hosts, model.records, now, nobody_draws)
    model.records.update(verdict.records)
    model.count(verdict.detected)
    return verdict


def _agrees(model: Model, hosts: Sequence[EndpointKey], after: Seen, counted: Mapping[str, int]) -> bool:
    """Whether a tick over the hosts in this order comes out as seen. If so, the model goes on from there."""
    world, trial = model.world, Model(model.world)
    trial.records.update(model.records)
    trial.counts.update(model.counts)
    verdict = _tick(trial, hosts, 2 * world.config.interval)
    out = model.ejected() - set(verdict.returned)
    by_answers = {
        one.endpoint
        for one in verdict.detected
        if one.consequence is Consequence.EJECTED and one.reason in (Reason.SUCCESS_RATE, Reason.FAILURE_PERCENTAGE)
    }
    answers = [(host, trial.records[host].answers_before) for host in hosts if host not in out]
    connects = [(host, trial.records[host].connects_before) for host in hosts if host not in out | by_answers]
    shown = Seen(
        {host: window.rate for host, window in answers if window.total},
        {host: window.rate for host, window in connects if window.total},
        _limit(world.config, [window for _, window in answers]),
        _limit(world.config, [window for _, window in connects]),
        frozenset(trial.ejected()),
    )
    if (shown, trial.statistics()) != (after, counted):
        return False
    model.records.update(trial.records)
    model.counts.update(trial.counts - model.counts)
    return True


def _limit(config: OutlierDetection, windows: Sequence[Window]) -> float | None:
    """As the admin interface shows it: not below 0."""
    rates = [one.rate for one in windows if one.total and one.total >= config.success_rate_request_volume]
    if not rates or len(rates) < config.success_rate_minimum_hosts:
        return None
    limit = success_rate_limit(rates, config.success_rate_stdev_factor)
    return limit if limit >= 0 else None


def _compare_returns(envoy: Envoy, world: World, model: Model, told: str) -> None:
    """Once nobody is out, what still counts as if."""
    interval = world.config.interval
    passed = elapsed(world.config, world.hosts, model.records, 2 * interval, 99 * interval, nobody_draws)
    model.records.update(passed.records)
    assert model.ejected() == set()
    envoy.wait(lambda: not seen(envoy, world).ejected, "let everybody return")
    assert model.statistics() == statistics(envoy, world), told
