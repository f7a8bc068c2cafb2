"""Stories: what is read, everything that is wrong with one at once, and what they come to."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import meshroute as mr
from meshroute.cli.app import app
from meshroute.simulate import (
    SECOND,
    Arrivals,
    Constant,
    Empirical,
    Exponential,
    KeepAlive,
    Lognormal,
    Result,
    Simulation,
    Straight,
    Through,
)
from meshroute.simulate.plot import plot, series, short
from meshroute.simulate.promised import promised_shares
from meshroute.simulate.story import VIA, Story, load_story, read_story
from meshroute.simulate.telling import tell
from tests.bounds import plausible

ROOT = Path(__file__).parents[3]
STORIES = ROOT / "docs/examples/stories"
IDLE = "chance that some pod is idle"
CHANCE = Fraction(1, 10**9)
BESIDE = str(STORIES / "inline.yaml")
TOP = "manifests: [article/three.yaml]\nservice: nginx-service\nduration: 2s\n"
ALL = TOP + "clients:\n- {name: a, rate: 10}\n"


EVERYTHING = """
title: Everything
manifests: [article/three.yaml]
service: nginx-service
port: 80
via: connections
duration: 1m
bucket: 500ms
seed: 7
repeats: 3
plot: p99
shows: [shares, imbalance]
groups: {all: "nginx-*"}
clients:
- {name: a, rate: 0.5, count: 2, arrivals: in-step, keepAlive: {requests: 9, lifetime: 5s}, connections: 3, users: 4}
- {name: b, rate: 2, http2: true, keepAlive: false, proxy: edge, workers: 4, namespace: shop, labels: {app: b},
   locality: eu/eu-1}
- name: c
  rate: 1
  keepAlive: true
  requests:
  - {method: POST, path: "/x?n={n}", headers: {x-user: "{user}"}, weight: 3}
  - {}
pods:
- {match: nginx-*, only: [0, 2], time: {exponential: 20ms}, limit: 4, queue: 10, answers: {"200": 9, "503": 1}}
- {time: {lognormal: {median: 10ms, sigma: 0.5}}}
- {time: {list: [1ms, 2ms]}}
- {time: {constant: 3ms}}
- {time: 4ms}
changes:
- {at: 10s, manifests: [article/four.yaml], rates: {a: 2}}
- {at: 20s, stop: [nginx-*]}
- {at: 20s, start: "*", pods: []}
"""


def wrong(text: str) -> list[tuple[str, int, int, str, str]]:
    """What is said: code, line, column, field path, message."""
    with pytest.raises(mr.ManifestError) as caught:
        read_story(text, BESIDE)
    return [(one.code, one.at.line, one.at.column, one.at.path, one.message) for one in caught.value.diagnostics]


def test_every_field_is_read() -> None:
    """One story with all of them."""
    story = read_story(EVERYTHING, BESIDE)
    (run,) = story.runs
    scenario = run.scenario
    assert (story.title, story.repeats, story.plot, story.shows) == ("Everything", 3, "p99", ("shares", "imbalance"))
    assert (run.service, len(run.pods)) == ("nginx-service.default.svc.cluster.local", 3)
    assert (scenario.until, scenario.bucket, scenario.seed) == (60 * SECOND, SECOND // 2, 7)
    assert isinstance(scenario.target, Straight)
    a, b, c = scenario.clients
    assert (a.rate, a.count, a.arrivals, a.connections, a.users) == (0.5, 2, Arrivals.IN_STEP, 3, 4)
    assert a.keep_alive == KeepAlive(9, 5 * SECOND)
    assert (b.multiplexed, b.keep_alive, b.proxy, b.workers) == (True, KeepAlive(requests=1), "edge", 4)
    assert c.keep_alive == KeepAlive()
    assert [(one.method, one.url, one.weight) for one in c.asks] == [
        ("POST", "http://nginx-service:80/x?n={n}", 3),
        ("GET", "http://nginx-service:80/", 1),
    ]
    first, *others = scenario.serving
    assert (first.pods, first.only, first.time, first.limit, first.queue) == (
        "nginx-*",
        (0, 2),
        Exponential(20_000),
        4,
        10,
    )
    assert first.answers == ((200, 9), (503, 1))
    assert [one.time for one in others] == [
        Lognormal(10_000, 0.5),
        Empirical((1000, 2000)),
        Constant(3000),
        Constant(4000),
    ]
    assert [one.at for one in scenario.changes] == [10 * SECOND, 20 * SECOND, 20 * SECOND]
    four = scenario.changes[0].target
    assert isinstance(four, Straight)
    assert len(four.balancer.endpoints) == 4
    assert scenario.changes[0].rates == {"a": 2.0}
    _, stop, start = scenario.changes
    assert (stop.stop, start.start, start.serving) == (("nginx-*",), ("*",), ())


NUMBERS = [-1, 0, 1.5, 10**30, float("nan"), float("inf"), 5e-324, 1e308]
TEXTS = ["", "x", "-5s", "1ns", "9000000h", "*", "\x00", "é" * 200]
OTHERS: list[object] = [None, True, [], {}, [None], [[]], {"x": 1}, {"at": "1s"}, ["*"]]
JUNK = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, below in inside for one in places(below, (*path, key)))]


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_written_there_is_told_or_simulated(data: st.DataObject) -> None:
    """One or two values of a story replaced by anything: nothing but diagnostics comes of it, or a run that ends."""
    story = yaml.safe_load(EVERYTHING)
    for _ in range(data.draw(st.integers(1, 2))):
        *above, last = data.draw(st.sampled_from(places(story)[1:]))
        inside: Any = story
        for step in above:
            inside = inside[step]
        inside[last] = deepcopy(data.draw(JUNK))  # what is put in may have something put in
    try:
        read = read_story(json.dumps(story), BESIDE)
    except mr.ManifestError:
        return  # every other exception is a failure
    for one in read.runs:
        # A while is enough: what would raise does so early, or where it is saved.
        simulation = Simulation(one.scenario).run(12 * SECOND, stop=iter([False] * 20 + [True] * 10**6).__next__)
        Simulation.resume(one.scenario, simulation.snapshot())


def test_runs_say_what_differs() -> None:
    """The rest is the story's."""
    story = read_story(ALL + "runs:\n- {name: l4, via: connections}\n- {name: l7, duration: 3s}\n", BESIDE)
    assert [(one.name, one.scenario.until // SECOND, type(one.scenario.target)) for one in story.runs] == [
        ("l4", 2, Straight),
        ("l7", 3, Through),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", [("document-shape", 0, 0, "", "nothing is written here")]),
        ("[]", [("field-type", 1, 1, "", "must be of type object: this is of type array")]),
        (ALL + "---\na: 1\n", [("document-shape", 7, 1, "", "2 documents: a story is one")]),
        (ALL + "tilte: x\n", [("field-unknown", 6, 1, "tilte", "there is no field `tilte`")]),
        (
            TOP + "clients:\n- {name: a, rate: -3}\n- {name: b, rate: fast}\n- {rate: .nan, name: c}\n",
            [
                ("field-value", 5, 13, "clients[0].rate", "a rate must be at least 0 requests per second, got -3"),
                ("field-type", 6, 13, "clients[1].rate", "`rate` must be of type number: this is of type string"),
                ("field-value", 7, 4, "clients[2].rate", "a rate must be at least 0 requests per second, got nan"),
            ],
        ),
        (
            ALL.replace("nginx-service", "ngnix-service"),
            [("host-unknown", 2, 1, "service", "there is no service `ngnix-service` in these manifests")],
        ),
        (ALL + "port: 81\n", [("port-unknown", 6, 1, "port", "`nginx-service` has no port 81")]),
        (
            ALL + "changes:\n- {at: 1s, rates: {a: 1}}\n- {at: 500ms, rates: {a: 2}}\n- {at: 2s, rates: {b: 1}}\n",
            [
                ("field-value", 8, 4, "changes[1].at", "this change is before the one above it"),
                ("field-value", 9, 4, "changes[2].at", "this change is at the end or behind it, where nobody sees it"),
                ("field-value", 9, 20, "changes[2].rates.b", "there are no clients `b`"),
            ],
        ),
        (
            ALL.replace("duration: 2s\n", ""),
            [("field-missing", 1, 1, "", "`duration` is missing")],
        ),
        (ALL.replace("2s", "0s"), [("field-value", 3, 1, "duration", "`duration` must be at least 1 µs, got `0s`")]),
        (
            ALL.replace("2s", "-2s"),
            [("field-value", 3, 1, "duration", "time does not run backwards: `-2s` is negative")],
        ),
        (ALL.replace("2s", "2"), [("field-type", 3, 1, "duration", "must be of type string: this is of type integer")]),
        (
            ALL.replace("2s", "2000000h"),
            [
                (
                    "field-value",
                    3,
                    1,
                    "duration",
                    "this story does not end: some 72,000,000,000 requests, at most 100,000,000",
                ),
            ],
        ),
        (TOP, [("field-missing", 1, 1, "", "`clients` is missing")]),
        (TOP + "clients: []\n", [("field-value", 4, 1, "clients", "a story needs at least one client")]),
        (
            ALL + "- {name: a, rate: 1}\n",
            [("field-value", 6, 4, "clients[1].name", "another client is called `a` too")],
        ),
        (
            ALL + "pods:\n- {match: web-*, time: {exponential: 1ms, constant: 2ms}}\n- {answers: {'700': 1}}\n",
            [
                ("field-value", 7, 4, "pods[0].match", "no pod fits `web-*`"),
                ("field-value", 7, 18, "pods[0].time", "one of constant, exponential, lognormal, list, got 2"),
                ("field-value", 8, 4, "pods[1].answers", "nothing is answered: some status needs a weight above 0"),
                ("field-value", 8, 14, "pods[1].answers.700", "`700` is no status from 200 to 599"),
            ],
        ),
        (
            ALL + "via: proxy\nplot: latency\nshows: [share]\n",
            [
                (
                    "field-value",
                    6,
                    1,
                    "via",
                    f"`via` must be one of {', '.join(f'`{one}`' for one in VIA)}, got `proxy`",
                ),
                (
                    "field-value",
                    7,
                    1,
                    "plot",
                    "`plot` must be one of `requests`, `concurrency`, `p50`, `p90`, `p99`, `errors`, `moved`,"
                    " got `latency`",
                ),
                ("field-value", 8, 9, "shows[0]", "`share` is nothing that is measured"),
            ],
        ),
        (
            ALL + "runs:\n- {name: x, seed: -1}\n- {name: x}\n",
            [
                ("field-value", 7, 13, "runs[0].seed", "`seed` must be at least 0, got -1"),
                ("field-value", 8, 4, "runs[1].name", "two runs are called `x`"),
            ],
        ),
        (
            TOP + "clients:\n- {name: a, rate: 1, proxy: p}\n- {name: b, rate: 1, proxy: p, labels: {app: b}}\n",
            [("field-value", 6, 22, "clients[1].proxy", "clients of the proxy `p` run elsewhere")],
        ),
        (
            TOP + "clients:\n- {name: a, rate: 1, proxy: p, workers: 2}\n- {name: b, rate: 1, proxy: p}\n"
            "- {name: c, rate: 1, proxy: p, workers: 3}\n- {name: d, rate: 1, workers: 0}\n",
            [
                ("field-value", 6, 22, "clients[1].proxy", "the proxy `p` has 2 workers for the clients above"),
                ("field-value", 7, 32, "clients[2].workers", "the proxy `p` has 2 workers for the clients above"),
                ("field-value", 8, 22, "clients[3].workers", "`workers` must be between 1 and 1024, got 0"),
            ],
        ),
        (ALL + "changes:\n- {at: 1s}\n", [("field-value", 7, 3, "changes[0]", "nothing changes here")]),
        (
            ALL + "changes:\n- {at: 1s, stop: web-0}\n",
            [("field-value", 7, 12, "changes[0].stop", "no pod fits `web-0`")],
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, said: list[tuple[str, int, int, str, str]]) -> None:
    """All of it at once, with line, column and field path."""
    assert sorted(wrong(text)) == sorted(said)


@pytest.mark.parametrize(
    ("text", "code", "path", "help"),
    [
        ("- a\n", "field-type", "", "begin with `title:`, `manifests:`, `service:`, `duration:` and `clients:`"),
        (
            ALL + "---\na: 1\n",
            "document-shape",
            "",
            "write it without `---`, and other stories into files of their own",
        ),
        (ALL.replace("rate: 10", 'rate: "10"'), "field-type", "clients[0].rate", "write it without quotes: 10"),
        (ALL.replace("rate: 10", "rate: fast"), "field-type", "clients[0].rate", ""),
        (
            ALL.replace("rate: 10", 'rate: 1, http2: "true"'),
            "field-type",
            "clients[0].http2",
            "write it without quotes: true",
        ),
        (ALL.replace("2s", ".inf"), "field-type", "duration", "such as `30s` or `20ms`"),
        (ALL.replace("2s", ""), "field-missing", "duration", "write it as `30s` or `1m30s`"),
        (
            ALL.replace("service: nginx-service\n", ""),
            "field-missing",
            "",
            "whom the clients ask: the name of a Service in the manifests",
        ),
        (
            ALL + "runs: {name: p}\n",
            "field-type",
            "runs",
            "write a list: each item on a line that begins with `- `, or `[...]`",
        ),
        (
            ALL + "runs: [{name: p, repeats: 3}]\n",
            "field-unknown",
            "runs[0].repeats",
            "`repeats` is the same for all: write it at the top of the story",
        ),
        (ALL + "shows: imbalance, shares\n", "field-value", "shows", "write several as a list: `[imbalance, shares]`"),
        (ALL + "via: ipvs\n", "field-value", "via", "say which scheduler: `ipvs:rr` takes turns"),
        (
            ALL.replace("rate: 10", "rate: 10, keepAlive: 3"),
            "field-type",
            "clients[0].keepAlive",
            "`true` for ever, `false` for one request, or such as `{requests: 100, lifetime: 30s}`",
        ),
        (
            ALL + "pods: [{time: {lognormal: 5ms}}]\n",
            "field-type",
            "pods[0].time.lognormal",
            "such as `{lognormal: {median: 20ms, sigma: 1}}`",
        ),
        (ALL + "changes: [{at: 1s, rates: {b: 1}}]\n", "field-value", "changes[0].rates.b", "there are `a`"),
        (ALL + "changes: [{at: 3s, rates: {a: 1}}]\n", "field-value", "changes[0].at", "the story ends at 2 s"),
        (
            ALL.replace("rate: 10", "rate: 10, namespace: shop"),
            "host-unknown",
            "service",
            "write its full name: `service: nginx-service.default.svc.cluster.local`",
        ),
    ],
)
def test_what_is_wrong_is_said_once_and_with_what_would_be_right(text: str, code: str, path: str, help: str) -> None:
    """One slip, one diagnostic."""
    with pytest.raises(mr.ManifestError) as caught:
        read_story(text, BESIDE)
    assert [(one.code, one.at.path, one.help) for one in caught.value.diagnostics] == [(code, path, help)]


def test_numbers_of_pods_that_there_are_not_are_slips() -> None:
    """Of the pods that fit, at the start and later."""
    text = ALL + "pods: [{only: [2, 3]}]\nchanges: [{at: 1s, pods: [{match: '*rzhg', only: [0, 1]}]}]\n"
    assert wrong(text) == [
        ("field-value", 6, 19, "pods[0].only[1]", "there is no pod 3: 3 fit, from 0 to 2"),
        ("field-value", 7, 54, "changes[0].pods[0].only[1]", "there is no pod 1: 1 fit, from 0 to 0"),
    ]


def test_a_story_in_which_nobody_asks_is_told() -> None:
    """A warning, because somebody may want to see just that; none where a rate comes later."""
    said = [(one.severity, one.at.path) for one in read_story(ALL.replace("10", "0"), BESIDE).diagnostics]
    assert said == [("warning", "clients")]
    assert not read_story(ALL.replace("10", "0") + "changes: [{at: 1s, rates: {a: 1}}]\n", BESIDE).diagnostics


def test_a_story_without_pods_at_the_start_is_refused(tmp_path: Path) -> None:
    """The service is there, and nobody behind it; and manifests with errors are told with their own places."""
    three = (STORIES / "article/three.yaml").read_text("utf-8")
    (tmp_path / "empty.yaml").write_text(three.replace("replicas: 3", "replicas: 0"), "utf-8")
    (tmp_path / "bad.yaml").write_text(three.replace("replicas: 3", "replicas: many"), "utf-8")
    story = tmp_path / "story.yaml"
    story.write_text(ALL.replace("article/three", "empty"), "utf-8")
    with pytest.raises(mr.ManifestError) as caught:
        load_story(story)
    assert [(one.code, one.at.path) for one in caught.value.diagnostics] == [("endpoints-missing", "service")]
    story.write_text(ALL.replace("article/three", "bad"), "utf-8")
    with pytest.raises(mr.ManifestError) as caught:
        load_story(story)
    found = [(Path(one.at.file).name, one.at.path) for one in caught.value.diagnostics]
    assert found == [("bad.yaml", "spec.replicas"), ("story.yaml", "manifests")]
    with pytest.raises(mr.ManifestError, match="no such file"):
        load_story(tmp_path / "none.yaml")


def short_story(name: str) -> Story:
    """A story of the documentation, with few repeats."""
    story = load_story(STORIES / f"{name}.yaml")
    return msgspec.structs.replace(story, repeats=min(story.repeats, 40))


def of(name: str, what: str, run: int = 0) -> tuple[float, float]:
    """What one line of a story promises and measured."""
    (line,) = [one for one in tell(short_story(name)).runs[run].promises if one.what == what]
    assert line.promised is not None
    assert line.measured is not None
    return line.promised, line.measured


def test_the_article_s_claims_about_load() -> None:
    """Ten requests a second for each pod in theory; one pod with everything; and the sidecars' cure."""
    told = tell(short_story("one-connection"))
    connections, sidecar = (one.results[0].totals for one in told.runs)
    assert sorted(one.requests for one in connections)[:2] == [0, 0]
    assert max(one.requests for one in sidecar) - min(one.requests for one in sidecar) <= 1


def numbers(name: str) -> list[dict[str, tuple[float | None, float | None]]]:
    """What each run of a story promises and measured, line by line."""
    return [
        {line.what: (line.promised, line.measured) for line in one.promises} for one in tell(short_story(name)).runs
    ]


def test_ten_on_each_where_each_request_is_balanced() -> None:
    """By connections as chance has it, by turns to one request for each proxy; least request promises no such thing."""
    connections, turns, least = tell(short_story("ten-each")).runs
    for one in connections.results[0].totals:
        assert plausible(one.requests, connections.results[0].made, Fraction(1, 3), Fraction(1, 10**9))
    apart = "requests between the busiest and the idlest pod"
    said = [{line.what: line for line in one.promises}[apart] for one in (connections, turns, least)]
    assert [one.promised for one in said] == [None, 3.0, None]
    assert said[1].measured is not None
    assert said[1].measured <= 3.0


def test_even_connections_are_uneven_requests() -> None:
    """Each of three clients has a pod of its own, and each pod what its client asks for."""
    (told,) = tell(short_story("even-connections")).runs
    result = told.results[0]
    assert sum(one.moved for one in result.totals) == 0
    asked = zip(sorted(one.requests for one in result.totals), (3, 7, 20), strict=True)
    assert all(plausible(count, result.made, Fraction(rate, 30), Fraction(1, 10**9)) for count, rate in asked)
    assert [one.promised for one in told.promises] == [1 / 3] * 3


def test_users_stay_and_their_shares_add_up() -> None:
    """`{client}` in a header: each client's own request counts, and nobody moves while nothing changes."""
    alike, uneven = numbers("sticky-users")
    for lines in (alike, uneven):
        assert lines["moves for each user"] == (0.0, 0.0)
    story = short_story("sticky-users")
    assert [sum((promised_shares(one).by_pod or {}).values()) for one in story.runs] == [1, 1]
    target = story.runs[1].scenario.target
    assert isinstance(target, Through)
    big = mr.Request.of("GET", "http://nginx-service/", {"my-header": "big"})
    (pod,) = target.router.shares(big).pods
    assert pod is not None
    share = (promised_shares(story.runs[1]).by_pod or {})[pod]
    assert uneven[f"share of {pod.rpartition('/')[2]}"][0] == float(share) > 1 / 3 + 0.1
    totals = tell(story).runs[1].results[0].totals
    (got,) = (one.requests for one in totals if one.pod == pod)
    assert plausible(got, sum(one.requests for one in totals), share, CHANCE)


def test_replicas_are_steps_where_each_request_connects() -> None:
    """Quarters; where connections are kept nothing is promised, and new pods wait."""
    brief, kept = numbers("ratio")
    steps = [one for what, one in brief.items() if what.startswith("share of v2")]
    assert [promised for promised, _ in steps] == [0.0, 0.25, 0.5, 0.75, 1.0]
    for promised, measured in steps:
        assert promised is not None
        assert measured is not None
        assert plausible(round(measured * 2000), 2000, Fraction(promised), Fraction(1, 10**9))
    steps = [one for what, one in kept.items() if what.startswith("share of v2")]
    assert [promised for promised, _ in steps] == [None] * 5
    assert [measured for _, measured in steps[:2]] == [0.0, 0.0]


ROUTED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: nginx}
spec:
  hosts: [nginx-service]
  http:
  - route: [{destination: {host: nginx-service}}]
"""


@pytest.mark.parametrize(
    ("more", "shares", "errors"),
    [
        ("", 1 / 3, 15.0),
        ("    timeout: 5s\n", 1 / 3, None),
        ("    mirror: {host: nginx-service}\n", None, None),
    ],
)
def test_limits_and_copies_are_no_part_of_what_is_promised(
    more: str, shares: float | None, errors: float | None, tmp_path: Path
) -> None:
    """Copies come on top of the shares; a proxy that does not wait makes other errors than the pod."""
    for name in ("article/three", "policies/outliers"):
        (tmp_path / f"{name.rpartition('/')[2]}.yaml").write_text(
            (STORIES / f"{name}.yaml").read_text("utf-8"), "utf-8"
        )
    (tmp_path / "routes.yaml").write_text(ROUTED.rstrip("\n") + "\n" + more + "    retries: {attempts: 0}\n", "utf-8")
    story = read_story(
        "manifests: [three.yaml, outliers.yaml, routes.yaml]\nservice: nginx-service\nduration: 40s\n"
        "shows: [shares, outliers]\nclients: [{name: a, rate: 60, arrivals: constant}]\n"
        "runs:\n- name: calm\n- name: ill\n  changes:\n"
        "  - {at: 10s, pods: [{match: nginx-*, only: [0], answers: {'503': 1}}]}\n",
        str(tmp_path / "story.yaml"),
    )
    calm, ill = tell(story).runs
    assert {one.promised for one in calm.promises if one.what.startswith("share of")} == {shares}
    (told,) = {one.promised for one in ill.promises if one.what.startswith("errors of") and one.measured}
    assert told == errors


def test_proxies_of_tcp_choose_for_each_connection() -> None:
    """Nobody reads requests there: whoever gets the connection gets all of them, and turns are those of connections."""
    text = "manifests: [article/tcp.yaml]\nservice: store\nport: 9000\nduration: 60s\nclients:\n- {name: a, rate: 20, "
    scenario = read_story(text + "connections: 1}\n", BESIDE).runs[0].scenario
    assert isinstance(scenario.target, Through)
    assert not scenario.target.reads
    kept = Simulation(scenario).run().result()
    assert sorted(one.requests for one in kept.totals)[:2] == [0, 0]
    brief = Simulation(read_story(text + "keepAlive: false}\n", BESIDE).runs[0].scenario).run().result()
    assert all(plausible(one.requests, brief.made, Fraction(1, 3), CHANCE) for one in brief.totals)
    assert isinstance(
        read_story(text + "connections: 1}\nvia: connections\n", BESIDE).runs[0].scenario.target, Straight
    )


def test_a_port_that_is_read_at_times_is_refused(tmp_path: Path) -> None:
    """Requests and connections are two stories."""
    tcp = (STORIES / "article/tcp.yaml").read_text("utf-8")
    (tmp_path / "tcp.yaml").write_text(tcp, "utf-8")
    (tmp_path / "http.yaml").write_text(tcp.replace("name: tcp-store", "name: http-store"), "utf-8")
    story = "manifests: [tcp.yaml]\nservice: store\nport: 9000\nduration: 9s\nclients: [{name: a, rate: 1}]\n"
    with pytest.raises(mr.ManifestError) as caught:
        read_story(story + "changes: [{at: 1s, manifests: [http.yaml]}]\n", str(tmp_path / "story.yaml"))
    (said,) = caught.value.diagnostics
    assert (said.at.line, said.at.path) == (2, "service")
    assert "on port 9000 at some times or places, and not at others" in said.message
    assert said.help == "say everywhere whether it is HTTP: `appProtocol: http` in the Service"


def test_every_claim_of_the_page_leads_to_a_story_on_it() -> None:
    """The table at the top: links to headings that are there; and every story of the folder is on the page."""
    page = (ROOT / "docs/stories.md").read_text("utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-")
        for one in re.findall(r"^## (.+)$", page, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links <= headings
    shown = set(re.findall(r"meshroute simulate docs/examples/stories/(\S+)\.yaml", page))
    assert shown == {one.stem for one in STORIES.glob("*.yaml")}
    assert set(re.findall(r"\(examples/stories/(\S+)\.png\)", page)) == shown


def test_every_number_of_a_claim_is_in_its_story() -> None:
    """As it stands there, or as a percentage of it; what a story prints is compared with the page elsewhere."""
    page = (ROOT / "docs/stories.md").read_text("utf-8")
    _, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    told = {}
    for section in sections:
        title, _, rest = section.partition("\n")
        told[re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")] = rest.partition("```console")[2]
    rows = re.findall(r"^\| [^|]+ \| (.*\(#.*) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 16
    for links, claim in rows:
        found = "".join(told[one] for one in re.findall(r"\(#([^)]+)\)", links)).replace(",", "")
        printed = {float(one) for one in re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.-])", found)}
        asked = re.findall(r"\d+(?:\.\d+)?", claim.replace(",", ""))
        assert asked
        for text in asked:
            digits = len(text.partition(".")[2])
            assert float(text) in printed | {round(one * 100, digits) for one in printed}, (claim, text)


def test_phases_stand_beside_the_weights_of_their_time() -> None:
    """Of a rollout: what each step promises, and what chance allows of it."""
    (told,) = tell(short_story("rollout")).runs
    new = [one for one in told.promises if one.what.startswith("share of v2 from")]
    assert [one.what for one in new] == [f"share of v2 from {at} s to {at + 10} s" for at in range(0, 60, 10)]
    assert [round(one.promised or 0, 12) for one in new] == [0.01, 0.05, 0.25, 0.5, 1.0, 0.0]
    assert [one.measured for one in new[4:]] == [1.0, 0.0]


def test_a_group_of_nobody_is_a_warning() -> None:
    """A picture with a line for nothing; a group of pods that come later is none."""
    text = ALL + "groups: {old: nginx-r54pj7q6c-4rzhg, new: nginx-r54pj7q6c-br7jr, none: web-*}\n"
    text += "changes:\n- {at: 1s, manifests: [article/four.yaml]}\n"
    said = [(one.severity, one.at.path, one.message) for one in read_story(text, BESIDE).diagnostics]
    assert said == [("warning", "groups.none", "no pod fits `web-*`")]


def test_a_change_within_a_bucket_belongs_to_neither_side() -> None:
    """Three seconds with a change at 1.5: the second one is left out; and connections outlive what tables say."""
    text = ALL.replace("2s", "3s") + "shows: [phases]\ngroups: {all: nginx-*}\n"
    text += "changes:\n- {at: 1500ms, manifests: [article/four.yaml]}\n"
    for via, promised in (("proxies", 1.0), ("connections", None)):
        (told,) = tell(read_story(text + f"via: {via}\n", BESIDE)).runs
        assert [(one.what, one.promised, one.measured) for one in told.promises] == [
            ("share of all from 0 s to 1.5 s", promised, 1.0),
            ("share of all from 1.5 s to 3 s", promised, 1.0),
        ]


def test_chances_are_those_of_the_formulas() -> None:
    """As often as the exact chance allows, one time in 10^9 it would not: the lottery of connections that live."""
    told = tell(short_story("keep-alive")).runs[0]
    lines = {one.what: one for one in told.promises}
    for what, chance in (("chance that one pod gets everything", Fraction(1, 9)), (IDLE, Fraction(7, 9))):
        assert lines[what].promised == float(chance)
        measured = lines[what].measured
        assert measured is not None
        assert plausible(round(measured * 40), 40, chance, Fraction(1, 10**9))
    (told_again,) = tell(short_story("canary-chances")).runs
    lines = {one.what: one for one in told_again.promises}
    assert lines["chance that v2 gets nothing"].promised == (3 / 4) ** 5
    none = lines["chance that v2 gets nothing"].measured
    assert none is not None
    assert plausible(round(none * 40), 40, Fraction(3, 4) ** 5, Fraction(1, 10**9))
    # Whatever the repeats: each of these connections went to one pod of four.
    went = [one for result in told_again.results for one in result.totals]
    assert sum(one.moved for one in went) == 0


def test_a_long_run_shows_a_bar_on_a_terminal_only() -> None:
    """Standard error is a terminal here; standard output is none, and has nothing of it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "meshroute", "simulate", str(STORIES / "keep-alive.yaml"), "--repeats", "20"]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    going = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    out, _ = going.communicate(timeout=60)
    os.close(ours)
    assert going.returncode == 0
    assert b"simulating" in seen
    assert b"100%" in seen
    assert b"simulating" not in out


def test_the_other_stories_show_what_they_are_told_for() -> None:
    """Each by one number."""
    promised, measured = of("scaling", "moves for each user")
    assert abs(promised - measured) < 0.1
    promised, measured = of("slow-pod", "requests at once on slow")
    assert promised == 18.0
    assert 15 < measured < 21
    promised, measured = of("canary", "share of v2", 1)
    assert 0 < measured < 0.02
    nobody, watched = (one.results[0].outcomes["status 503"] for one in tell(short_story("outliers")).runs)
    assert (nobody, watched) == (400, 15)
    rollout = tell(short_story("rollout")).runs[0].results[0]
    columns = rollout.columns
    rows = list(zip(columns.pod, columns.start, columns.requests, strict=True))

    def sent(begin: int, end: int, pods: str) -> int:
        return sum(requests for pod, start, requests in rows if begin <= start // SECOND < end and pods in pod)

    assert sent(50, 60, "nginx-v2") == sent(40, 50, "nginx-v1") == 0
    assert sent(50, 60, "nginx-v1") > 0
    for begin, percent in ((0, 1), (10, 5), (20, 25), (30, 50)):
        new, made = sent(begin, begin + 10, "nginx-v2"), sent(begin, begin + 10, "")
        assert plausible(new, made, Fraction(percent, 100), Fraction(1, 10**9))


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="meshroute")
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_tables_json_csv_and_pictures(tmp_path: Path) -> None:
    """And the same for the same seed."""
    story, csv, png, svg = str(STORIES / "warm-up.yaml"), tmp_path / "a.csv", tmp_path / "a.png", tmp_path / "a.svg"
    code, out, err = run("simulate", story, "--csv", str(csv), "--plot", str(png), "--plot", str(svg))
    assert (code, err) == (0, "")
    assert "30 s: 6,000 requests: 5,998 status 200, 2 unfinished" in out
    lines = csv.read_text("utf-8").splitlines()
    assert lines[0] == "run,partial,pod,start,requests,ended,errors,moved,concurrency,p50,p90,p99"
    assert len(lines) == 1 + 2 * 4 * 30
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "with a warm-up of 10 s" in svg.read_text("utf-8")
    code, out, _ = run("simulate", story, "--json")
    answer = json.loads(out)
    assert (code, answer["partial"], [one["name"] for one in answer["runs"]]) == (
        0,
        False,
        ["at once", "with a warm-up of 10 s"],
    )
    assert sum(answer["runs"][0]["result"]["outcomes"].values()) == answer["runs"][0]["result"]["made"] == 6000
    assert run("simulate", story, "--json")[1] == out
    assert run("simulate", story, "--json", "--seed", "9")[1] != out


def test_repeats_follow_each_other_s_seeds() -> None:
    """Three repeats from seed 5 are the seeds 5, 6 and 7; the first keeps its buckets, and all are counted."""
    story = str(STORIES / "keep-alive.yaml")
    code, out, _ = run("simulate", story, "--repeats", "3", "--seed", "5", "--json")
    runs = json.loads(out)["runs"]
    assert (code, [one["repeats"] for one in runs]) == (0, [3, 3])
    alone = [json.loads(run("simulate", story, "--repeats", "1", "--seed", str(5 + n), "--json")[1]) for n in range(3)]
    assert runs[0]["result"] == alone[0]["runs"][0]["result"]
    name = "share of the busiest pod"
    each = [one["measured"] for told in alone for one in told["runs"][0]["promises"] if one["what"] == name]
    (mean,) = [one["measured"] for one in runs[0]["promises"] if one["what"] == name]
    assert mean == sum(each) / 3
    code, out, _ = run("simulate", story, "--repeats", "3")
    assert "30 s, the first of 3 repeats" in out


def test_the_command_refuses(tmp_path: Path) -> None:
    """Files of other kinds before anything runs, stories that are wrong, files that cannot be written."""
    story = str(STORIES / "one-connection.yaml")
    code, _, err = run("simulate", story, "--plot", "a.gif")
    assert code == 2
    assert "ends in .png or .svg" in err
    code, _, err = run("simulate", story, "--csv", str(tmp_path / "none/a.csv"))
    assert (code, "there is no directory" in err) == (2, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text("clients: 3\n", "utf-8")
    code, out, err = run("simulate", str(bad))
    assert (code, out) == (2, "")
    assert "bad.yaml:1:1 clients: error[field-type]: `clients` must be of type array" in err
    code, out, _ = run("simulate", str(bad), "--json")
    assert code == 2
    assert {one["code"] for one in json.loads(out)["diagnostics"]} == {"field-type", "field-missing"}


def test_an_interrupted_command_writes_what_it_has(tmp_path: Path) -> None:
    """A real Ctrl-C, once the simulation is under way: status 130, and everything marked as partial."""
    story, csv = tmp_path / "long.yaml", tmp_path / "a.csv"
    text = (STORIES / "one-connection.yaml").read_text("utf-8").replace("[article", f"[{STORIES}/article")
    text = text.replace("policies/", f"{STORIES}/policies/")
    text = text.replace("duration: 30s", "duration: 100000s\nbucket: 1000s")
    story.write_text(text, "utf-8")
    marker = tmp_path / "begun"
    program = (
        "import sys, pathlib\n"
        "from meshroute.simulate import loop\n"
        "begin = loop.Simulation.run\n"
        "def run(self, *a, **k):\n"
        f"    pathlib.Path({str(marker)!r}).touch()\n"
        "    return begin(self, *a, **k)\n"
        "loop.Simulation.run = run\n"
        "from meshroute.cli import main\n"
        f"sys.argv = ['meshroute', 'simulate', {str(story)!r}, '--json', '--csv', {str(csv)!r}]\n"
        "main()\n"
    )
    going = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < deadline
        assert going.poll() is None
        time.sleep(0.05)  # another process has no event to wait for
    going.send_signal(signal.SIGINT)
    out, err = going.communicate(timeout=60)
    assert going.returncode == 130, err
    answer = json.loads(out)
    assert answer["partial"] is True
    first = answer["runs"][0]["result"]
    assert first["partial"] is True
    assert 0 <= first["end"] < 100_000 * SECOND
    assert sum(first["outcomes"].values()) == first["made"]
    assert b"interrupted" in err
    assert csv.read_text("utf-8").startswith("run,partial,pod")


def test_a_picture_names_what_it_shows(tmp_path: Path) -> None:
    """Names without what all begin with; series in the units of the axis; partial stories say so."""
    assert short(["a-b-1", "a-b-2"]) == ["1", "2"]
    assert short(["a", "a-b"]) == ["a", "a-b"]
    story = load_story(STORIES / "warm-up.yaml")
    told = tell(story)
    result = told.runs[0].results[0]
    pods = {one.pod for one in result.totals}
    at, values = series(result, pods, "requests")
    assert (at, values) == ([float(one) for one in range(30)], [200.0] * 30)
    assert series(result, pods, "p50")[1] == [10.0] * 30
    early = tell(story, stop=lambda: True)
    assert early.partial
    plot(story, early, tmp_path / "early.svg")
    assert "interrupted: partial" in (tmp_path / "early.svg").read_text("utf-8")
    plot(story, told, tmp_path / "once.svg")
    plot(story, told, tmp_path / "twice.svg")
    assert (tmp_path / "once.svg").read_bytes() == (tmp_path / "twice.svg").read_bytes()
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        plot(story, told, tmp_path / "a.pdf")


class TestKubeProxy:
    """`via` with a mode: nodes choose as `mesh.service(...).connect` does."""

    BRIEF = "keepAlive: false, rate: 50"

    def outcome(self, via: str, client: str, more: str = "", duration: str = "20s") -> Result:
        text = f"manifests: [article/three.yaml{more}]\nservice: nginx-service\nduration: {duration}\nvia: {via}\n"
        story = read_story(f"{text}clients:\n- {{name: a, {client}}}\n- {{name: b, {client}}}\n", BESIDE)
        return Simulation(story.runs[0].scenario).run().result()

    def test_clients_of_a_headless_service_choose_and_nobody_translates_their_port(self, tmp_path: Path) -> None:
        """Each address as likely as the other; at the port that the client says, where a pod has to listen."""
        text = (STORIES / "article/three.yaml").read_text("utf-8")
        headless = text.replace("  ports:\n", "  clusterIP: None\n  ports:\n", 1)
        assert headless != text
        (tmp_path / "same.yaml").write_text(headless, "utf-8")
        (tmp_path / "other.yaml").write_text(headless.replace("port: 80}", "port: 80, targetPort: 81}"), "utf-8")

        def outcome(manifests: str) -> Result:
            story = read_story(
                f"manifests: [{manifests}]\nservice: nginx-service\nduration: 20s\nvia: nftables\n"
                f"clients:\n- {{name: a, {self.BRIEF}}}\n",
                str(tmp_path / "story.yaml"),
            )
            return Simulation(story.runs[0].scenario).run().result()

        spread = outcome("same.yaml")
        assert spread.outcomes.keys() <= {"status 200", "unfinished"}
        assert all(plausible(one.requests, spread.made, Fraction(1, 3), CHANCE) for one in spread.totals)
        missed = outcome("other.yaml")
        assert missed.outcomes == {"refused": missed.made}
        assert [one.errors for one in missed.totals] == [one.requests for one in missed.totals]
        for via in ("proxies", "connections"):
            with pytest.raises(mr.ManifestError) as caught:
                read_story(
                    f"manifests: [same.yaml]\nservice: nginx-service\nduration: 20s\nvia: {via}\n"
                    "clients:\n- {name: a, rate: 1}\n",
                    str(tmp_path / "story.yaml"),
                )
            (said,) = caught.value.diagnostics
            assert said.message == "`nginx-service` has no pods at the start"
            assert said.help == "it is headless: its clients choose, and not proxies; say `via: iptables`"

    def test_turns_of_ipvs_are_even_over_connections(self) -> None:
        """Each pod gets every third connection, whoever opens it."""
        result = self.outcome("ipvs:rr", self.BRIEF)
        requests = [pod.requests for pod in result.totals]
        assert sum(requests) > 500
        assert max(requests) - min(requests) <= 1

    @pytest.mark.parametrize("via", ["iptables", "nftables"])
    def test_chance_is_what_shares_says(self, via: str) -> None:
        """Within Chernoff's bound for a thousandth of a millionth."""
        result = self.outcome(via, self.BRIEF)
        whole = sum(pod.requests for pod in result.totals)
        assert all(plausible(pod.requests, whole, Fraction(1, 3), Fraction(1, 10**9)) for pod in result.totals)

    @pytest.mark.parametrize("via", ["iptables", "nftables", "ipvs:rr", "userspace"])
    def test_with_affinity_a_client_stays(self, via: str, tmp_path: Path) -> None:
        """New connections all the time, and each client to one pod."""
        text = (STORIES / "article/three.yaml").read_text("utf-8")
        kept = "  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}\n  ports:\n"
        (tmp_path / "three.yaml").write_text(text.replace("  ports:\n", kept), "utf-8")
        story = read_story(
            f"manifests: [three.yaml]\nservice: nginx-service\nduration: 30s\nvia: {via}\n"
            "clients:\n- {name: a, count: 8, keepAlive: false, rate: 5}\n",
            str(tmp_path / "story.yaml"),
        )
        result = Simulation(story.runs[0].scenario).run().result()
        assert sum(pod.requests for pod in result.totals) > 1_000
        assert sum(pod.moved for pod in result.totals) == 0

    def test_what_nodes_do_not_know_is_told(self) -> None:
        """A mode that is none, with the nearest one."""
        with pytest.raises(mr.ManifestError, match="did you mean `iptables`"):
            read_story(ALL + "via: iptable\n", BESIDE)

    def test_formulas_are_told_where_they_hold(self) -> None:
        """Turns and affinity are no chance."""
        said = {}
        for via in ("iptables", "ipvs:rr"):
            told = tell(
                read_story(
                    ALL.replace("rate: 10", "rate: 10, connections: 1") + f"via: {via}\nshows: [imbalance]\n", BESIDE
                )
            )
            said[via] = [promise.promised is None for promise in told.runs[0].promises]
        assert not any(said["iptables"])
        assert all(said["ipvs:rr"])
