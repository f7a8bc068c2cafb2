"""The command line, typed as a user types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meshroute.cli.app import app

ROOT = Path(__file__).parents[3]
CANARY = str(ROOT / "docs/examples/canary")
PRINTED = ROOT / "docs/examples/article/printed"
URL = "http://nginx-service/"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="meshroute")
    return result.exit_code, result.stdout, result.stderr


def test_decide_names_rule_subset_pod_and_line() -> None:
    """The debug cookie: the rule with file and line, and a v2 pod."""
    code, out, _ = run("decide", CANARY, URL, "-H", "Cookie: a=b; debug=1")
    assert code == 0
    assert "→ pod default/nginx-v2-" in out
    assert f"rule     VirtualService default/nginx http[0].match[0] ({CANARY}/routes.yaml:12)" in out
    assert "subset   v2" in out


def test_a_longer_cookie_is_not_the_debug_cookie() -> None:
    """`debug=10` goes the way of everybody."""
    code, out, _ = run("decide", CANARY, URL, "-H", "Cookie: debug=10", "--draw", "stream=98")
    assert code == 0
    assert "→ pod default/nginx-v1-" in out
    assert "http[1]" in out


def test_json_is_one_document_with_the_decision_and_what_was_said() -> None:
    """And nothing else on standard output."""
    code, out, err = run("decide", CANARY, URL, "--draw", "stream=99", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["decision"]["subset"] == "v2"
    assert answer["decision"]["rule"]["line"] == 17
    assert {one["severity"] for one in answer["diagnostics"]} == {"note"}


def test_explain_tells_the_steps_and_decide_does_not() -> None:
    """Both print the same decision."""
    _, told, _ = run("explain", CANARY, URL)
    _, bare, _ = run("decide", CANARY, URL)
    assert told.startswith(bare)
    assert "drew 2039129772451795886 mod 100 = 86, in [0, 99)" in told
    assert json.loads(run("explain", CANARY, URL, "--json")[1])["decision"]["trace"]


def test_count_sends_many_and_adds_up() -> None:
    """The rows sum to the requests, and repeat with the seed."""
    code, out, _ = run("decide", CANARY, URL, "--count", "1000", "--json")
    answer = json.loads(out)
    assert code == 0
    assert sum(row["requests"] for row in answer["counts"]) == answer["requests"] == 1000
    assert run("decide", CANARY, URL, "--count", "1000", "--json")[1] == out
    assert run("decide", CANARY, URL, "--count", "1000", "--json", "--seed", "1")[1] != out
    table = run("decide", CANARY, URL, "--count", "1000")[1]
    assert "by subset: v1 " in table
    assert "█" in table


def test_count_numbers_the_requests() -> None:
    """`{n}` becomes 0, 1, 2: a path that one of ten requests has."""
    code, out, _ = run("decide", CANARY, URL, "--count", "10", "-H", "cookie: debug={n}", "--json")
    assert code == 0
    by_rule = {row["rule"]: row["requests"] for row in json.loads(out)["counts"]}
    assert by_rule["nginx http[0].match[0]"] == 1


def test_shares_are_exact() -> None:
    """99 in 100 for v1, as a table with bars and as numerators over denominators that sum to one."""
    code, out, _ = run("shares", CANARY, URL)
    assert code == 0
    assert re.search(r"^v1 +99\.00% +≈ 99/100 +█{24}", out, re.MULTILINE)
    assert "of the next request" in out
    assert "--long-run for many requests" in out
    shares = json.loads(run("shares", CANARY, URL, "--long-run", "--json")[1])["shares"]
    assert shares["horizon"] == "long-run"
    assert sum(Fraction(int(row["numerator"]), int(row["denominator"])) for row in shares["pods"]) == 1
    assert len(shares["pods"]) == 4


def test_shares_of_dead_ends_are_outcomes() -> None:
    """One outcome and no pod."""
    assert "404" not in run("shares", CANARY, URL)[1]
    out = run("shares", CANARY, "http://elsewhere/", "--registry-only")[1]
    assert re.search(r"^none +100\.00% +1 ", out, re.MULTILINE)


STICKY = ROOT / "docs/examples/sticky"


def test_moved_counts_every_key() -> None:
    """From three pods to four: who stays, who goes where; the same in JSON, summing to one."""
    code, out, _ = run("moved", str(STICKY / "before"), str(STICKY / "after"), "--host", "web")
    assert code == 0
    assert re.search(r"^[0-9.]+% of all keys change their pod", out, re.MULTILINE)
    assert len(re.findall(r" stay +[0-9.]+%", out)) == 3
    flows = json.loads(run("moved", str(STICKY / "before"), str(STICKY / "after"), "--host", "web", "--json")[1])[
        "flows"
    ]
    assert sum(Fraction(int(row["numerator"]), int(row["denominator"])) for row in flows) == 1
    assert {row["from"]["pod"] for row in flows} < {row["to"]["pod"] for row in flows}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((str(STICKY / "before"), str(STICKY / "after"), "--host", "wob"), "no cluster for host `wob`"),
        ((str(STICKY / "before"), str(STICKY / "after"), "--host", "web", "--port", "81"), "port 81"),
        ((str(STICKY / "before"), CANARY, "--host", "web"), "no cluster for host `web`"),
        ((CANARY, CANARY, "--host", "nginx-service"), "only two rings"),
    ],
)
def test_moved_refuses_what_it_cannot_compare(arguments: tuple[str, ...], reason: str) -> None:
    """Exit status 2 and what there is."""
    code, out, err = run("moved", *arguments)
    assert (code, out) == (2, "")
    assert reason in err


def test_the_client_s_address_is_hashed_where_a_rule_says_so(tmp_path: Path) -> None:
    """And one that is none is refused."""
    text = (STICKY / "before/web.yaml").read_text("utf-8").replace("httpHeaderName: x-user", "useSourceIp: true")
    (tmp_path / "web.yaml").write_text(text, "utf-8")
    out = run("explain", str(tmp_path), "http://web/", "--source-ip", "192.0.2.7")[1]
    assert "client address = `192.0.2.7`: key " in out
    assert run("explain", str(tmp_path), "http://web/", "--source-ip", "home")[0] == 2


def test_a_body_beyond_latin_1_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """Text goes through the table as bytes and comes out as text."""
    text = (ROOT / "docs/examples/canary/routes.yaml").read_text("utf-8")
    route = "    route:\n    - destination: {host: nginx-service, subset: v2}"
    fixed = text.replace(route, "    directResponse: {status: 418, body: {string: tea → ☕}}")
    (tmp_path / "routes.yaml").write_text(fixed, "utf-8")
    pods = str(ROOT / "docs/examples/canary/pods.yaml")
    code, out, _ = run("decide", pods, str(tmp_path), URL, "-H", "Cookie: debug=1")
    assert code == 0
    assert "→ 418 from the proxy itself: tea → ☕" in out


def test_notes_are_shown_when_asked_for() -> None:
    """Otherwise only how many there are."""
    assert "2 notes not shown" in run("decide", CANARY, URL)[2]
    assert "note[address-assumed]" in run("decide", CANARY, URL, "--notes")[2]


def test_where_the_client_runs_matters() -> None:
    """A short name of another namespace means nobody."""
    assert "PassthroughCluster" in run("decide", CANARY, URL, "--from", "shop")[1]
    assert "502 from the proxy itself" in run("decide", CANARY, URL, "--from", "shop", "--registry-only")[1]
    assert "pod default/nginx" in run("decide", CANARY, "http://nginx-service.default/", "--from", "shop")[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((CANARY,), "give one URL"),
        ((URL,), "give at least one file or folder"),
        ((CANARY, URL, URL), "give one URL, such as http://nginx-service/v2; got 2"),
        ((CANARY, "http://a b/"), "percent-encoded"),
        ((CANARY, "ftp://h/"), "must be absolute"),
        (("no-such-file.yaml", URL), "cannot be read: no such file"),
        ((CANARY, URL, "-H", "cookie"), "--header takes 'NAME: VALUE', got `cookie`"),
        ((CANARY, URL, "--label", "app"), "--label takes KEY=VALUE, got `app`"),
        ((CANARY, URL, "--locality", "a/b/c/d"), "--locality takes REGION/ZONE/SUBZONE, got `a/b/c/d`"),
        ((CANARY, URL, "--draw", "stream=x"), "--draw takes NAME=NUMBER, got `stream=x`"),
        ((CANARY, URL, "--draw", f"stream={2**64}"), "unsigned 64-bit"),
        ((CANARY, URL, "--draw", "steam=99"), "nothing is drawn by the name `steam`; names are `stream`, "),
        ((CANARY, "http://:80/"), "must be absolute"),
        ((CANARY, URL, "--draw", "stream=1", "--count", "2"), "--draw pins one request"),
        ((str(PRINTED / "d-split.yaml"), URL), "unknown field `host`"),
        ((str(PRINTED / "c-subsets.yaml"), URL), 'write `version: "1"`'),
    ],
)
def test_unusable_input_ends_with_2_and_a_reason(arguments: tuple[str, ...], reason: str) -> None:
    """On standard error, with nothing on standard output."""
    code, out, err = run("decide", *arguments)
    assert (code, out) == (2, "")
    assert reason in err


def test_errors_in_json_are_json() -> None:
    """The same exit status; every diagnostic with its place."""
    code, out, _ = run("decide", str(PRINTED / "c-subsets.yaml"), URL, "--json")
    said = [one for one in json.loads(out)["diagnostics"] if one["severity"] == "error"]
    assert code == 2
    assert [one["at"]["line"] for one in said] == [10, 13]


def test_repair_and_leniency_are_said() -> None:
    """Each reads the file, and says how."""
    split = str(PRINTED / "d-split.yaml")
    code, _, err = run("decide", split, URL, "-n", "namespace", "--repair")
    assert code == 0
    assert "warning[repaired-hosts]" in err
    code, _, err = run("decide", split, URL, "-n", "namespace", "--lenient")
    assert code == 0
    assert "warning[field-unknown]" in err


def test_piped_output_has_no_colour() -> None:
    """No escape sequence, and no line is folded."""
    child = subprocess.run(
        [sys.executable, "-m", "meshroute", "explain", CANARY, URL], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in child.stdout + child.stderr
    assert "\n     5. drew " in child.stdout


def test_the_version_and_the_help() -> None:
    """Both leave with 0."""
    assert run("--version")[1].startswith("meshroute 0.")
    assert "decide" in run("--help")[1]


def test_without_the_extra_it_says_what_to_install() -> None:
    """A machine with the core alone: exit status 2 and the command to type."""
    program = "import sys; sys.modules['typer'] = None; from meshroute.cli import main; main()"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert 'pip install "meshroute[cli]"' in child.stderr


WEB = "outbound|80||web.default.svc.cluster.local"
PLAIN_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: b, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {loadBalancer: POLICY}}
"""


def web(folder: Path, policy: str) -> str:
    """A service with two pods and this policy, in a file."""
    path = folder / "web.yaml"
    path.write_text(PLAIN_SERVICE.replace("POLICY", policy), "utf-8")
    return str(path)


def test_what_is_remembered_decides(tmp_path: Path) -> None:
    """One turn later it is the other pod's turn; with one put aside, the other's in any case; shares say the same."""
    manifests, remembered = web(tmp_path, "{simple: ROUND_ROBIN}"), tmp_path / "state.json"
    for state, pod in (
        ({}, "default/a"),
        ({"cursors": {WEB: 1}}, "default/b"),
        ({"ejected": {WEB: ["10.8.0.1:80"]}}, "default/b"),
    ):
        remembered.write_text(json.dumps(state), "utf-8")
        for command in ("decide", "explain"):
            code, out, _ = run(command, manifests, "http://web/", "--state", str(remembered))
            assert (code, f"pod {pod} at" in out) == (0, True)
        _, out, _ = run("shares", manifests, "http://web/", "--state", str(remembered), "--json")
        assert [one["pod"] for one in json.loads(out)["shares"]["pods"]] == [pod]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "state.json: Input data was truncated"),
        ('{"cursor": {}}', "unknown field `cursor`"),
        ('{"cursors": {"a": "b"}}', "Expected `int`, got `str`"),
    ],
)
def test_a_state_that_is_none_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """With the file and the place."""
    remembered = tmp_path / "state.json"
    remembered.write_text(text, "utf-8")
    code, out, err = run("decide", web(tmp_path, "{simple: RANDOM}"), "http://web/", "--state", str(remembered))
    assert (code, out) == (2, "")
    assert reason in err
    missing = str(tmp_path / "none.json")
    assert f"--state {missing}: No such file or directory\n" in run("decide", CANARY, URL, "--state", missing)[2]


def test_a_cookie_that_the_answer_sets_is_shown(tmp_path: Path) -> None:
    """As the line that the client gets."""
    manifests = web(tmp_path, "{consistentHash: {httpCookie: {name: sid, ttl: 60s}}}")
    code, out, _ = run("decide", manifests, "http://web/", "--draw", "key=1")
    assert code == 0
    assert '  answer   set-cookie: sid="0000000000000001"; Max-Age=60; HttpOnly' in out


def test_moved_by_putting_an_endpoint_aside(tmp_path: Path) -> None:
    """All keys go to the one that is left; a stranger is refused."""
    manifests = web(tmp_path, "{consistentHash: {useSourceIp: true}}")
    code, out, _ = run("moved", manifests, manifests, "--host", "web", "--ejected", "10.8.0.1:80", "--json")
    flows = json.loads(out)["flows"]
    assert code == 0
    assert {one["to"]["pod"] for one in flows} == {"default/b"}
    code, _, err = run("moved", manifests, manifests, "--host", "web", "--ejected", "10.8.0.9:80")
    assert code == 2
    assert "`10.8.0.9:80` is no endpoint of" in err


def test_the_node_of_the_client_counts(tmp_path: Path) -> None:
    """For Services that keep to it."""
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: log}}\n"
    pod += "spec: {nodeName: %s, containers: [{name: c}]}\nstatus: {podIP: %s}\n---\n"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: log}\n"
    service += "spec: {selector: {app: log}, internalTrafficPolicy: Local, ports: [{name: http, port: 80}]}\n"
    manifests = tmp_path / "mesh.yaml"
    manifests.write_text(pod % ("a", "n1", "10.0.0.1") + pod % ("b", "n2", "10.0.0.2") + service)
    for node, expected in (("n1", "10.0.0.1"), ("n2", "10.0.0.2"), ("n3", None)):
        for command in ("decide", "explain"):
            _, out, _ = run(command, str(manifests), "http://log/", "--node", node, "--json")
            assert json.loads(out)["decision"]["endpoint"] == (f"{expected}:80" if expected else None)
        _, out, _ = run("shares", str(manifests), "http://log/", "--node", node)
        assert f"default/{'a' if node == 'n1' else 'b'}  100.00%" in out or expected is None
        assert ("default/" in out) == (expected is not None)


SHOP = str(ROOT / "docs/examples/bookshop")


def test_a_gateway_s_proxy_answers_for_it() -> None:
    """What comes in the clear is sent to https; a name without a namespace is of `--namespace`."""
    url = "http://books.example.com/new"
    for more in (("--gateway", "bookshop/shop"), ("--gateway", "shop", "-n", "bookshop")):
        code, out, _ = run("decide", SHOP, url, *more)
        assert code == 0
        assert "→ 301 redirect to https://books.example.com/new" in out
    assert "port 80: its routes apply" in run("explain", SHOP, url, "--gateway", "bookshop/shop")[1]
    answer = json.loads(run("shares", SHOP, url, "--gateway", "bookshop/shop", "--json")[1])
    assert [one["outcome"]["status"] for one in answer["shares"]["outcomes"]] == [301]
    # The sidecar of a pod beside it has no such host.
    assert "forwarded to where the client was going" in run("decide", SHOP, url, "--from", "bookshop")[1]


AMBIENT = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: door}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, name: any}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}
"""


def test_a_waypoint_answers_for_the_services_that_use_it(tmp_path: Path) -> None:
    """In each command; one that nobody is led through is refused."""
    manifests = tmp_path / "mesh.yaml"
    manifests.write_text(AMBIENT, "utf-8")
    url = "http://web.shop/"
    for command in ("decide", "explain"):
        code, out, _ = run(command, str(manifests), url, "--waypoint", "shop/door", "--source-ip", "192.0.2.7")
        assert code == 0
        assert "cluster  inbound-vip|80|http|web.shop.svc.cluster.local" in out
    asked = ("shares", str(manifests), url, "--waypoint", "door", "-n", "shop", "--source-ip", "192.0.2.7")
    assert re.search(r"^shop/a +100\.00%", run(*asked)[1], re.MULTILINE)
    before_and_after = (str(manifests), str(manifests), "--host", "web", "--waypoint", "shop/door")
    assert run("moved", *before_and_after)[1].startswith("inbound-vip|80|http|web.shop.svc.cluster.local\n0.00% of all")
    code, out, err = run("decide", str(manifests), url, "--waypoint", "shop/window")
    assert (code, out) == (2, "")
    assert "no port of any service has the waypoint `shop/window`" in err


def test_a_name_of_two_services_is_none_to_compare(tmp_path: Path) -> None:
    """Alike as they may be: only the names of one service's clusters at a waypoint stand for the same."""
    manifests = tmp_path / "mesh.yaml"
    manifests.write_text(AMBIENT + "---" + AMBIENT.replace("shop", "bank"), "utf-8")
    code, out, err = run("moved", str(manifests), str(manifests), "--host", "web")
    assert (code, out) == (2, "")
    assert "several clusters for host `web`" in err
    assert run("moved", str(manifests), str(manifests), "--host", "web.bank")[0] == 0


@pytest.mark.parametrize("command", ["decide", "explain", "shares", "moved"])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--gateway", "bookshop/door"), "there is no Gateway `bookshop/door`; there are `bookshop/shop`"),
        (("--gateway", "shop"), "there is no Gateway `default/shop`"),
        (("--gateway", "a/b/c"), "--gateway takes NAMESPACE/NAME, got `a/b/c`"),
        (("--waypoint", "a/"), "--waypoint takes NAMESPACE/NAME, got `a/`"),
        (("--gateway", "bookshop/shop", "--waypoint", "bookshop/door"), "--gateway and --waypoint do not go together"),
        (("--gateway", "bookshop/shop", "--from", "bookshop"), "--gateway and --from do not go together"),
        (("--gateway", "bookshop/shop", "-l", "app=web"), "--gateway and --label do not go together"),
        (("--waypoint", "bookshop/door", "--node", "n1"), "--waypoint and --node do not go together"),
        (("--gateway", "bookshop/shop", "--locality", "a/b/c/d"), "--locality takes REGION/ZONE/SUBZONE"),
    ],
)
def test_a_proxy_that_is_not_there_or_is_two_is_refused(command: str, arguments: tuple[str, ...], reason: str) -> None:
    """With exit status 2, before anything is answered."""
    asked = (SHOP, SHOP, "--host", "reviews") if command == "moved" else (SHOP, "http://books.example.com/")
    code, out, err = run(command, *asked, *arguments)
    assert (code, out) == (2, "")
    assert reason in err


def test_the_mesh_may_put_paths_in_order() -> None:
    """Further than it does unless told: several slashes are one, or escaped ones are slashes too."""
    url = "http://reviews/a//b/../%2Fc"
    for said, path in (
        ("NONE", "/a//b/../%2Fc"),
        ("DEFAULT", "/a//%2Fc"),
        ("merge_slashes", "/a/%2Fc"),
        ("DECODE_AND_MERGE_SLASHES", "/a/c"),
    ):
        for command in ("decide", "explain"):
            asked = (command, SHOP, url, "--from", "bookshop", "--path-normalization", said, "--json")
            assert json.loads(run(*asked)[1])["decision"]["request"]["path"] == path
    code, out, err = run("decide", SHOP, url, "--path-normalization", "some")
    assert (code, out) == (2, "")
    assert "'some' is not one of" in err


SERVICES = str(ROOT / "docs/examples/services")
BOOKSHOP = (str(ROOT / "docs/examples/bookshop"), "-n", "bookshop")


def test_connect_names_the_rule_the_pod_and_the_steps() -> None:
    """A TCP rule by weight, pinned to its last part."""
    code, out, _ = run("connect", *BOOKSHOP, "orders-db:3306", "--draw", "stream=80")
    assert code == 0
    assert out.startswith("orders-db:3306\n→ pod bookshop/orders-db-")
    assert re.search(r"rule +VirtualService bookshop/orders-db tcp\[0\] \(.*/database\.yaml:17\)\n +subset +v2\n", out)
    assert "1. port 3306: VirtualService bookshop/orders-db tcp[0] takes the connection\n" in out
    assert "drew 80 mod 100 = 80, in [80, 100)" in out


def test_connect_asks_the_node() -> None:
    """By name and by address; the chain, what counts it, and the steps. Draws are pinned by their names."""
    code, out, _ = run("connect", SERVICES, "web:80", "--kube-proxy", "iptables", "--draw", "ladder.0=2147483647")
    assert code == 0
    assert out.startswith("web:80\n→ pod default/web-")
    assert "  chain    KUBE-SVC-CDGGSHYLG3RE2FKL\n  counts   default/web:http/TCP\n" in out
    assert "3. rule 1, 10.244.0.17:8080: drew 2147483647, which is not below 715827883 of 2^31\n" in out
    node = ("--kube-proxy", "nftables", "--node", "node-b", "--source-ip", "198.51.100.7")
    code, out, _ = run("connect", SERVICES, "203.0.113.5:80", *node)
    assert (code, out.splitlines()[1]) == (0, "→ no answer: the node drops the packets, and the client waits")
    code, out, _ = run("connect", SERVICES, "172.18.0.3:30080", *node)
    assert "172.18.0.3, port 30080: a node port of Service default/web\n" in out


def test_connect_finds_a_pod_by_its_name() -> None:
    """From its own namespace and from another one; and a name that has no address is told as such."""
    for name, more in (("db-1.db", ()), ("DB-1.db.default", ("--from", "shop")), ("db-1.db.default.svc", ())):
        code, out, _ = run("connect", SERVICES, f"{name}:5432", "--kube-proxy", "ipvs", *more)
        assert (code, out.splitlines()[1]) == (0, "→ pod default/db-1 at 10.244.1.8:5432")
    assert "1. `db-1` of Service default/db: of 10.244.1.8 the client takes 10.244.1.8\n" in out
    code, out, _ = run("connect", SERVICES, "db-2.db:5432", "--kube-proxy", "ipvs")
    assert (code, out.splitlines()[1]) == (0, "→ the name has no address: no endpoint is ready")
    assert "1. `db-2` of Service default/db: nobody who is ready has an address for the client\n" in out
    code, out, _ = run("connect", SERVICES, "db:5432", "--kube-proxy", "ipvs", "--shares", "--json")
    pods = {row["pod"]: (row["numerator"], row["denominator"]) for row in json.loads(out)["shares"]["pods"]}
    assert (code, pods) == (0, {"default/db-0": ("1", "2"), "default/db-1": ("1", "2")})


def test_connect_tells_the_shares_of_a_node() -> None:
    """Whole fractions; as JSON too, and of many connections."""
    code, out, _ = run("connect", SERVICES, "web.default:80", "--kube-proxy", "iptables", "--shares")
    assert code == 0
    assert re.search(r"default/web-c +33\.33% +715827883/2147483648 ", out)
    assert re.search(r"default/web-a +33\.33% +1431655765/4294967296 ", out)
    assert "subset" not in out
    code, out, _ = run("connect", SERVICES, "web:80", "--kube-proxy", "ipvs", "--shares", "--long-run", "--json")
    pods = {row["pod"]: (row["numerator"], row["denominator"]) for row in json.loads(out)["shares"]["pods"]}
    assert (code, pods) == (0, {f"default/web-{one}": ("1", "3") for one in "abc"})


def test_connect_goes_by_what_the_node_remembers(tmp_path: Path) -> None:
    """A client in the list of an endpoint; the answer's effects as JSON."""
    state = tmp_path / "state.json"
    state.write_text('{"now": 5000, "held": {"default/cart/TCP": {"10.244.0.6:8080": {"10.9.0.1": 2000}}}}')
    asked = (
        "connect",
        SERVICES,
        "cart:80",
        "--kube-proxy",
        "iptables",
        "--state",
        str(state),
        "--source-ip",
        "10.9.0.1",
    )
    code, out, _ = run(*asked)
    assert code == 0
    assert "client 10.9.0.1 is kept at 10.244.0.6:8080, where it last went 3 s ago\n" in out
    effects = json.loads(run(*asked, "--json")[1])["connected"]["effects"]
    assert [one["type"] for one in effects] == ["AffinityHeld", "RequestStarted"]


def test_connect_dials_again() -> None:
    """As often as dials failed before; every dial is told, and the fourth is the last."""
    asked = ("connect", SERVICES, "cart:80", "--kube-proxy", "userspace", "--failed")
    code, out, _ = run(*asked, "2")
    assert (code, out.splitlines()[1]) == (0, "→ pod default/web-b at 10.244.0.6:8080")
    assert "dial 1, for 250 ms at most: 10.244.0.17:8080 does not answer\n" in out
    assert "dial 2, for 500 ms at most: 10.244.0.5:8080 does not answer\n" in out
    code, out, _ = run(*asked, "4", "--json")
    connected = json.loads(out)["connected"]
    assert (code, connected["outcome"]["details"], connected["endpoint"]) == (0, "no_endpoint_answered", None)
    assert connected["tried"] == ["10.244.0.17:8080", "10.244.0.5:8080", "10.244.0.6:8080", "10.244.0.17:8080"]
    _, out, _ = run(*asked, "4")
    assert out.splitlines()[1] == "→ no answer: kube-proxy dialed in vain, and closes the connection"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("web:80", "--kube-proxy", "ebpf"),
            "mode `ebpf` of kube-proxy is not one of iptables, nftables, ipvs",
        ),
        (("web:80", "--kube-proxy", "ipvs:fair"), "scheduler `fair` of kube-proxy is not one of rr, wrr"),
        (("wep:80", "--kube-proxy", "ipvs"), "no Service `default/wep`: did you mean `default/web`?"),
        (("web:80", "--kube-proxy", "ipvs", "--node", "node-c"), "no node `node-c`: did you mean `node-"),
        (("web.a.b:80", "--kube-proxy", "ipvs"), "`web.a.b` is no name of a Service, nor of a pod behind one"),
        (("web.:80", "--kube-proxy", "ipvs"), "`web.` is no name of a Service"),
        (("db-1.db:5432", "--kube-proxy", "ipvs", "--from", "shop"), "no Service `db/db-1`"),
        (("192.0.2.9:80", "--kube-proxy", "ipvs"), "no Service answers on 192.0.2.9:80"),
        (("web:80", "--kube-proxy", "ipvs:mh", "--shares"), "`mh` hashes ends of the connection that are not given"),
        (("web:80", "--kube-proxy", "ipvs", "--sni", "a"), "--kube-proxy and --sni do not go together"),
        (
            ("web:80", "--kube-proxy", "ipvs", "--long-run"),
            "--long-run do not go together without --shares",
        ),
        (("web:80", "--shares"), "--shares and --long-run of a connection are answered with --kube-proxy"),
        (("web:80", "--protocol", "icmp", "--kube-proxy", "ipvs"), "protocol `ICMP` is not one of TCP, UDP, SCTP"),
        (("web:80", "--protocol", "udp"), "proxies take TCP, and this is UDP"),
        (("web:80", "--kube-proxy", "ipvs", "--failed", "1"), "in mode userspace alone, and not in ipvs:rr"),
        (("web:80", "--kube-proxy", "userspace", "--failed", "1", "--shares"), "--failed and --shares do not go"),
        (("web:80", "--failed", "1"), "--failed is about kube-proxy"),
        (("web:80", "--kube-proxy", "userspace", "--failed", "5"), "less than or equal to 4"),
    ],
)
def test_what_a_node_cannot_be_asked_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """With what would be right."""
    code, out, err = run("connect", SERVICES, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_connect_says_where_unknown_connections_go() -> None:
    """By address, of either version; and with a server name."""
    code, out, _ = run("connect", *BOOKSHOP, "[fd00::1]:3307", "--sni", "db.example")
    assert (code, out.splitlines()[:2]) == (0, ["[fd00::1]:3307, server name db.example", "→ [fd00::1]:3307"])
    assert "port 3307: no service listens there" in out
    code, out, _ = run("connect", *BOOKSHOP, "192.0.2.1:3307", "--registry-only")
    assert code == 0
    assert "→ connection closed, flag UH" in out


@pytest.mark.parametrize(
    ("command", "manifests", "asked", "hint"),
    [
        (
            "decide",
            SHOP,
            ("http://reviews/",),
            "the client runs in namespace `default`, and `reviews` is a Service of `bookshop`:"
            " say `--from bookshop`, or write `reviews.bookshop`",
        ),
        ("explain", SHOP, ("http://reviews/", "--registry-only"), "say `--from bookshop`"),
        ("shares", SHOP, ("http://REVIEWS/",), "say `--from bookshop`"),
        ("connect", SHOP, ("orders-db:3306",), "say `--from bookshop`, or write `orders-db.bookshop`"),
        ("decide", CANARY, ("http://nginx-service:81/",), "Service default/nginx-service has port 80, and the client"),
        ("decide", SHOP, ("http://reviews.bookshop.svc.cluster.local.:8080/",), "and the client went to port 8080"),
        ("connect", SHOP, ("orders-db.bookshop:3307",), "has port 3306, and the client went to port 3307"),
    ],
)
def test_who_goes_to_nobody_gets_a_hint(command: str, manifests: str, asked: tuple[str, ...], hint: str) -> None:
    """On standard error, and the answer is the same as without."""
    code, out, err = run(command, manifests, *asked)
    assert code == 0
    assert hint in err
    assert "hint" not in out


@pytest.mark.parametrize(
    "asked",
    [
        ("http://reviews/", "--from", "bookshop"),
        ("http://elsewhere.example/",),
        ("http://reviews.elsewhere/",),
        ("http://reviews.bookshop.example/",),
        ("http://books.example.com:8080/", "--gateway", "bookshop/shop"),
        ("http://reviews/", "--json"),
    ],
)
def test_no_hint_where_there_is_nothing_to_say(asked: tuple[str, ...]) -> None:
    """A host that is served, that nobody has, that no client of a sidecar asks for; and JSON is left alone."""
    assert "hint" not in run("decide", SHOP, *asked)[2]


def test_the_request_is_shown_as_it_was_asked_and_as_it_is_sent() -> None:
    """The first line is the client's; what the upstream gets otherwise stands below."""
    url = "https://books.example.com/api/reviews/7"
    _, out, _ = run("decide", SHOP, url, "--gateway", "bookshop/shop", "-H", "x: 1", "-H", "keep-alive: 5")
    assert out.startswith(f"GET {url}\n→ pod bookshop/reviews-v1-")
    assert [line for line in out.splitlines() if line.startswith("  sends ")] == [
        "  sends    books.example.com/7",
        "  sends    - keep-alive: 5",
        "  sends    + x-forwarded-proto: https",
        "  sends    + x-envoy-original-path: /api/reviews/7",
    ]
    _, out, _ = run("decide", SHOP, url.replace("https", "http"), "--gateway", "bookshop/shop")
    assert out.startswith("GET http://books.example.com/api/reviews/7\n→ 301 redirect to ")
    assert "sends" not in out  # nobody gets it
    assert "sends" not in run("decide", CANARY, URL)[1]


def test_shares_of_what_is_forwarded_do_not_say_where_the_client_was_going() -> None:
    """It goes to pods; and copies have a table of their own."""
    _, out, _ = run("shares", SHOP, "http://ratings/", "--from", "bookshop")
    assert re.search(r"^forwarded +90\.00%", out, re.MULTILINE)
    _, out, _ = run("shares", SHOP, "http://catalogue/", "--from", "bookshop")
    assert re.search(r"\ncopies to .*\n\S+:8080 in outbound\|80\|v2\|catalogue\S+ +50\.00%", out)
    _, out, _ = run("shares", SHOP, "http://elsewhere.example/")
    assert re.search(r"^cluster .*\nPassthroughCluster +100\.00%", out, re.MULTILINE)
    assert "copies" not in out


def test_a_rule_that_a_proxy_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    """The webhook takes an operator that no proxy knows; the proxy refuses all of its routes."""
    manifests = tmp_path / "mesh.yaml"
    rule = "{headers: {request: {set: {a: '%NOSUCH%'}}}, route: [{destination: {host: web}}]}"
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: 80}]}\n---\n"
    text += "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\n"
    manifests.write_text(f"{text}spec:\n  hosts: [web]\n  http:\n  - {rule}\n")
    code, out, err = run("decide", str(manifests), "http://web/")
    assert (code, out) == (2, "")
    place = f"VirtualService default/web http[0] ({manifests}:12)"
    assert f"meshroute: {place}: header `a`: `%NOSUCH%`: there is no operator NOSUCH\n" in err


@pytest.mark.parametrize(
    ("asked", "outcome", "step"),
    [
        (
            ("https://other.example/", "--gateway", "bookshop/shop"),
            "connection closed, flag NR (nothing on the port takes it)",
            "port 443: nothing here takes the connection",
        ),
        (
            ("http://books.example.com:81/", "--gateway", "bookshop/shop"),
            "connection refused: nobody listens on the port",
            "port 81: no service listens there",
        ),
        (
            ("http://orders-db:3306/", "--from", "bookshop"),
            "pod bookshop/orders-db-",
            "port 3306: VirtualService bookshop/orders-db tcp[0] takes the connection",
        ),
    ],
)
def test_a_request_that_nobody_reads_is_told_as_its_connection(asked: tuple[str, ...], outcome: str, step: str) -> None:
    """The first step does not speak of routes that nobody asked."""
    code, out, _ = run("explain", SHOP, *asked)
    assert code == 0
    assert f"→ {outcome}" in out
    assert f"     1. {step}\n" in out


def test_connect_prints_json() -> None:
    """The connection and where it goes, as one document."""
    code, out, err = run("connect", *BOOKSHOP, "orders-db:3306", "--draw", "stream=0", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["connected"]["subset"] == "v1"
    assert answer["connected"]["connection"]["host"] == "orders-db"
    assert [one["type"] for one in answer["connected"]["trace"]][:2] == ["ChainChosen", "ClusterDrawn"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*BOOKSHOP,), "give one HOST:PORT, such as orders-db:3306; got none"),
        ((*BOOKSHOP, "a:1", "b:2"), "give one HOST:PORT, such as orders-db:3306; got 2"),
        (("orders-db:3306",), "give at least one file or folder with manifests"),
        ((*BOOKSHOP, "orders-db:0"), "port 0 is not between 1 and 65535"),
        ((*BOOKSHOP, "orders-db:3306", "--source-ip", "home"), "`home` is not an IP address"),
        ((*BOOKSHOP, "catalogue:80"), "port 80 reads requests"),
    ],
)
def test_connect_refuses_what_it_cannot_use(arguments: tuple[str, ...], said: str) -> None:
    """With exit status 2 and what would be right."""
    code, out, err = run("connect", *arguments)
    assert (code, out) == (2, "")
    assert said in err
