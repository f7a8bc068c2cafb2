"""`meshroute lint`, typed as a user types it."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE, Finding, Witness, lint
from meshroute.analysis.lint.finding import in_order, of_diagnostic
from meshroute.analysis.lint.report import Typed, replay
from meshroute.cli import lint as command
from meshroute.cli.app import app

ROOT = Path(__file__).parents[3]
CANARY = str(ROOT / "docs/examples/canary")
SPLIT = str(ROOT / "docs/examples/article/printed/d-split.yaml")

WEB = """apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {podIP: 10.0.0.7}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: shop
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web}
      weight: 7
  - route:
    - destination: {host: wob}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
"""


NEVER = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: late, namespace: shop}
spec:
  hosts: [late.example.com]
  http:
  - fault: {delay: {fixedDelay: 5s}}
    route: [{destination: {host: web}}]
"""


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["lint", *arguments], prog_name="meshroute")
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mesh with three warnings and a note, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").write_text(WEB, "utf-8")
    return tmp_path / "web.yaml"


@pytest.fixture(autouse=True)
def only_what_loading_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts and pages here are of what loading says: each check of lint has tests of its own."""
    monkeypatch.setattr(mr, "lint", lambda mesh: in_order(map(of_diagnostic, mesh.diagnostics)))


FOUND = (
    Finding(
        mr.Code.WEIGHT_IGNORED,
        mr.Severity.WARNING,
        "weight 7 has no effect: the rule has one destination, which takes it all",
        mr.SourceRef("web.yaml", 24, 7, "spec.http[0].route[0].weight"),
        "VirtualService shop/web",
        "weights divide the requests of one rule among its own destinations",
        clause="CHECK-6",
    ),
    Finding(
        mr.Code.RULE_UNREACHABLE,
        mr.Severity.WARNING,
        "nobody comes here",
        mr.SourceRef("web.yaml", 25, 5, "spec.http[1]"),
        "VirtualService shop/web",
        related=(mr.SourceRef("web.yaml", 22, 5, "spec.http[0]"),),
        witness=Witness(mr.Sidecar("shop"), mr.Request.of("GET", "http://web/")),
    ),
    Finding(
        mr.Code.KIND_UNKNOWN, mr.Severity.NOTE, "`Widget` is skipped", mr.SourceRef("web.yaml", 29, 1, "kind"), "W w"
    ),
)

PAGE = """web.yaml
VirtualService shop/web

  warning[weight-ignored]: weight 7 has no effect: the rule has one destination,
    which takes it all
    at 24:7 spec.http[0].route[0].weight
   24 |       weight: 7
      |       ^^^^^^
    help: weights divide the requests of one rule among its own destinations
    clause: CHECK-6

  warning[rule-unreachable]: nobody comes here
    at 25:5 spec.http[1]
   25 |   - route:
      |     ^^^^^
    see 22:5 spec.http[0]
   22 |   - route:
      |     ^^^^^
    shown by: meshroute decide web.yaml http://web/ --from shop

"""

NOTE = """W w

  note[kind-unknown]: `Widget` is skipped
    at 29:1 kind
   29 | kind: Widget
      | ^^^^
"""


@pytest.mark.usefixtures("web")
class TestPage:
    """What people read."""

    @pytest.fixture(autouse=True)
    def these(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pages are of findings made here: how others word theirs is no matter."""
        monkeypatch.setattr(mr, "lint", lambda mesh: FOUND)

    def test_findings_by_file_and_object_with_their_lines(self) -> None:
        code, out, err = run("web.yaml")
        assert (code, err) == (1, "")
        assert out == f"{PAGE}0 errors, 2 warnings\n1 note not shown: --notes shows them\n"

    def test_notes_are_shown_when_asked_for(self) -> None:
        assert run("web.yaml", "--notes")[1] == f"{PAGE}{NOTE}\n0 errors, 2 warnings, 1 note\n"

    def test_nothing_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mr, "lint", lambda mesh: ())
        assert run("web.yaml") == (0, "0 errors, 0 warnings\n", "")


@pytest.mark.usefixtures("web")
def test_what_takes_more_than_loading_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says what `mr.lint` says, to the last finding."""
    monkeypatch.setattr(mr, "lint", lint)
    said = lint(mr.load("web.yaml"))
    told = json.loads(run("web.yaml", "--json")[1])["findings"]
    assert [(one["code"], one["message"], one["clause"]) for one in told] == [
        (str(one.code), one.message, one.clause) for one in said
    ]
    assert mr.LintCode in {type(one.code) for one in lint(mr.loads(WEB + NEVER))}
    Path("never.yaml").write_text(NEVER, "utf-8")
    assert "warning[fault-never-fires]" in run("web.yaml", "never.yaml")[1]


@pytest.mark.usefixtures("web")
class TestStatus:
    """The exit status is the answer for scripts."""

    @pytest.mark.parametrize(("limit", "status"), [("error", 0), ("warning", 1), ("note", 1)])
    def test_fail_on(self, limit: str, status: int) -> None:
        assert run("web.yaml", "--fail-on", limit)[0] == status

    def test_only_a_note(self, web: Path) -> None:
        web.write_text(WEB[WEB.index("apiVersion: example") :], "utf-8")
        assert run("web.yaml")[0] == 0
        assert run("web.yaml", "--fail-on", "note")[0] == 1

    @pytest.mark.parametrize("format", ["text", "json", "sarif", "junit", "github"])
    def test_every_format_has_the_same_status(self, format: str) -> None:
        assert run("web.yaml", "--format", format)[0] == 1
        assert run("web.yaml", "--format", format, "--fail-on", "error")[0] == 0

    def test_manifests_that_cannot_be_used(self) -> None:
        """What loading says, and that nothing else was looked at; errors cannot be put aside."""
        code, out, err = run(SPLIT, "--fail-on", "error")
        assert code == 1
        assert "error[field-unknown]: unknown field `host`" in out
        assert "\n4 errors, 3 warnings\n" not in out
        assert "nothing else was looked at" in err
        Path("s.yaml").write_text("- {code: field-unknown, reason: x}\n- {code: field-missing, reason: x}\n", "utf-8")
        assert run(SPLIT, "--suppress", "s.yaml", "--fail-on", "error")[0] == 1
        code, _, err = run(SPLIT, "--write-baseline", "b.json")
        assert (code, Path("b.json").exists()) == (1, False)
        assert "no baseline was written to b.json" in err

    def test_loading_options_are_those_of_other_commands(self) -> None:
        assert "error[field-unknown]" not in run(SPLIT, "--lenient")[1]
        assert "warning[repaired-hosts]" in run(SPLIT, "--repair")[1]
        assert "VirtualService elsewhere/nginx-service-vs" in run(SPLIT, "-n", "elsewhere", "--repair")[1]

    def test_a_file_that_cannot_be_read_among_others(self, web: Path) -> None:
        """What was found is told, and the status says that something is missing."""
        Path("empty").mkdir()
        code, out, _ = run("web.yaml", "empty")
        assert code == 2
        assert "error[file-unreadable]: no manifests in this folder" in out

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ((), "give at least one file or folder"),
            (("nowhere.yaml",), "`nowhere.yaml` does not exist"),
            (("web.yaml", "--json", "--format", "sarif"), "--json and --format sarif do not go together"),
            (("web.yaml", "--suppress", "none.yaml"), "--suppress none.yaml: No such file"),
            (("web.yaml", "--baseline", "none.json"), "--baseline none.json: No such file"),
            (("web.yaml", "--baseline", "web.yaml"), "--baseline web.yaml: not a baseline"),
            (("web.yaml", "--suppress", "web.yaml"), "--suppress web.yaml: cannot be used"),
            (("web.yaml", "--output", "no/such/folder"), "no/such/folder: No such file"),
            (("web.yaml", "--write-baseline", "no/such/folder"), "no/such/folder: No such file"),
        ],
    )
    def test_unusable_arguments_end_with_2(self, arguments: tuple[str, ...], reason: str) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert reason in err

    def test_a_file_that_is_not_utf_8(self) -> None:
        Path("s.yaml").write_bytes(b"\xff\xfe")
        assert run("web.yaml", "--suppress", "s.yaml") == (2, "", "meshroute: --suppress s.yaml: not UTF-8\n")

    @pytest.mark.parametrize("option", ["--format", "--fail-on"])
    def test_words_that_are_none_of_the_list(self, option: str) -> None:
        assert run("web.yaml", option, "loud")[0] == 2


@pytest.mark.usefixtures("web")
class TestFormats:
    """For machines: standard output has the document and nothing else."""

    def test_json(self) -> None:
        code, out, err = run("web.yaml", "--json")
        answer = json.loads(out)
        assert (code, err) == (1, "")
        assert out == run("web.yaml", "--format", "json")[1]
        assert answer["summary"]["warnings"] >= 3
        assert "kind-unknown" in {one["code"] for one in answer["findings"]}
        assert {one["at"]["file"] for one in answer["findings"]} == {"web.yaml"}

    def test_sarif_knows_where_words_end(self) -> None:
        """And where the pages are, if it is told."""
        run_ = json.loads(run("web.yaml", "--format", "sarif", "--pages", "https://d.example/l")[1])["runs"][0]
        (one,) = [one for one in run_["results"] if one["ruleId"] == "weight-ignored"]
        assert one["locations"][0]["physicalLocation"]["region"] == {"startLine": 24, "startColumn": 7, "endColumn": 13}
        assert run_["tool"]["driver"]["rules"][0]["helpUri"] == "https://d.example/l/diagnostics.md#file-unreadable"

    def test_junit_fails_where_the_status_does(self) -> None:
        failures = {
            limit: int(ET.fromstring(run("web.yaml", "--format", "junit", "--fail-on", limit)[1]).attrib["failures"])
            for limit in ("error", "warning", "note")
        }
        assert failures["error"] == 0 < failures["warning"] < failures["note"]

    def test_github(self) -> None:
        lines = run("web.yaml", "--format", "github")[1].splitlines()
        assert any(line.startswith("::warning file=web.yaml,line=24,col=7,title=weight-ignored Virt") for line in lines)
        assert any(
            line.startswith("::notice file=web.yaml,line=29,col=1,title=kind-unknown Widget w::") for line in lines
        )

    def test_output_goes_to_a_file_and_the_summary_to_the_terminal(self) -> None:
        code, out, err = run("web.yaml", "--format", "sarif", "--output", "o.sarif", "--fail-on", "error")
        assert (code, out) == (0, "")
        assert "0 errors, 3 warnings" in err
        assert json.loads(Path("o.sarif").read_text("utf-8"))["version"] == "2.1.0"
        run("web.yaml", "--output", "o.txt")
        assert Path("o.txt").read_text("utf-8") == run("web.yaml")[1]


@pytest.mark.usefixtures("web")
class TestPutAside:
    """Suppressions and baselines."""

    def test_a_note_on_the_object(self, web: Path) -> None:
        note = "  annotations:\n    meshroute/lint-ignore: |\n      weight-ignored: soon there are two\n"
        web.write_text(WEB.replace("  name: web\n", f"  name: web\n{note}"), "utf-8")
        code, out, _ = run("web.yaml")
        assert code == 1
        assert "weight-ignored" not in out
        assert "0 errors, 2 warnings (1 suppressed)" in out
        kept = json.loads(run("web.yaml", "--json")[1])["suppressed"]
        assert [(one["finding"]["code"], one["by"]["reason"]) for one in kept] == [
            ("weight-ignored", "soon there are two")
        ]

    def test_a_note_without_a_reason_is_a_finding(self, web: Path) -> None:
        note = "  annotations: {meshroute/lint-ignore: 'weight-ignored:'}\n"
        web.write_text(WEB.replace("  name: web\n", f"  name: web\n{note}"), "utf-8")
        _, out, _ = run("web.yaml")
        assert "warning[suppression-unusable]: `weight-ignored` is to be ignored for no reason" in out
        assert "0 errors, 4 warnings\n" in out

    def test_a_file_of_suppressions(self) -> None:
        """What is left decides the status; one that takes nothing is a note."""
        Path("s.yaml").write_text(
            "- {code: weight-ignored, object: VirtualService shop/web, reason: a}\n"
            "- {code: rule-unreachable, file: '*.yaml', path: 'spec.http*', reason: b}\n"
            "- {code: host-unknown, reason: c}\n"
            "- {code: port-unknown, reason: d}\n",
            "utf-8",
        )
        code, out, _ = run("web.yaml", "--suppress", "s.yaml", "--notes")
        assert code == 0
        assert "note[suppression-unused]: nothing of `port-unknown` is found" in out
        assert "    4 | - {code: port-unknown, reason: d}\n" in out
        assert "(3 suppressed)" in out

    def test_a_file_that_cannot_be_used_shows_its_lines(self) -> None:
        Path("s.yaml").write_text("- code: weight-ignord\n  reason: a\n", "utf-8")
        code, out, err = run("web.yaml", "--suppress", "s.yaml")
        assert (code, out) == (2, "")
        assert "`weight-ignord` is not a code" in err
        assert "    1 | - code: weight-ignord\n" in err
        assert "did you mean `weight-ignored`?" in err

    def test_a_baseline_leaves_only_what_is_new(self, web: Path) -> None:
        """Lines may move; what is fixed is told."""
        code, out, _ = run("web.yaml", "--write-baseline", "b.json")
        assert code == 0
        assert "0 errors, 0 warnings (4 in the baseline)" in out
        web.write_text(
            "# a line more\n" + WEB.replace("host: wob", "host: wab").replace("      weight: 7\n", ""), "utf-8"
        )
        code, out, _ = run("web.yaml", "--baseline", "b.json")
        assert code == 1
        assert "no service `wab.shop.svc.cluster.local` is given" in out
        assert "rule-unreachable" not in out
        assert "0 errors, 1 warning (2 in the baseline)\nnote: 2 entries of the baseline no longer occur" in out
        run("web.yaml", "--write-baseline", "b.json")
        assert run("web.yaml", "--baseline", "b.json")[0] == 0


def test_a_witness_is_a_command_that_shows_it(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied from the page and typed, it asks for that request from that viewpoint."""
    witness = Witness(
        mr.Sidecar("shop", {"app": "web"}), mr.Request.of("POST", "http://web/a?b=1&c", {"x-user": "it's me"}, port=80)
    )
    shown = Finding(
        mr.LintCode.PREFIX_SWALLOWS, mr.Severity.WARNING, "m", mr.SourceRef("web.yaml", 1, 1), witness=witness
    )
    monkeypatch.setattr(mr, "lint", lambda mesh: (shown,))
    _, out, _ = run("web.yaml", "--registry-only", "--path-normalization", "MERGE_SLASHES", "-n", "other")
    (line,) = [line.partition("shown by: ")[2] for line in out.splitlines() if "shown by" in line]
    program, *typed = shlex.split(line)
    assert program == "meshroute"
    assert typed[:7] == [
        "decide",
        "web.yaml",
        "--namespace",
        "other",
        "--registry-only",
        "--path-normalization",
        "MERGE_SLASHES",
    ]
    result = CliRunner().invoke(app, [*typed, "--json"], prog_name="meshroute")
    assert result.exit_code == 0
    decided = json.loads(result.stdout)["decision"]
    assert (decided["request"]["method"], decided["pod"]) == ("POST", "shop/web-0")


BOOKSHOP = str(ROOT / "docs/examples/bookshop")


@pytest.mark.parametrize(
    "witness",
    [
        Witness(mr.Gateway("bookshop/shop"), mr.Request.of("GET", "https://books.example.com/api/reviews/7")),
        Witness(mr.Gateway("bookshop/shop"), mr.Request.of("GET", "http://10.0.0.1/", {"host": "books.example.com"})),
        Witness(mr.Sidecar("bookshop"), mr.Request.of("GET", "http://reviews/", {"cookie": "user='x'; a=\"b c\""})),
        Witness(mr.Sidecar("bookshop", {"app": "web"}, "eu/eu-1"), mr.Request.of("PUT", "http://ratings/1?a=b&c=$d")),
        Witness(
            mr.Sidecar("elsewhere"), mr.Request.of("GET", "http://reviews.bookshop/a", port=80, source_ip="192.0.2.7")
        ),
        Witness(mr.Sidecar("bookshop"), mr.Request.of("GET", "http://reviews/茶", {"x": "茶"}, port=9080)),
    ],
    ids=lambda one: one.request.url,
)
def test_a_command_decides_as_its_witness_does(witness: Witness) -> None:
    """To the last field, whatever the shell has to be kept from reading."""
    typed = replay(witness, Typed((BOOKSHOP,)))
    assert typed is not None
    result = CliRunner().invoke(app, [*shlex.split(typed)[1:], "--json"], prog_name="meshroute")
    decision = mr.load(BOOKSHOP).router(witness.viewpoint).decide(witness.request)
    assert json.loads(result.stdout)["decision"] == json.loads(json.dumps(decision.to_builtins()))


def test_the_list_has_every_code() -> None:
    """Without any manifests; as a table and as JSON."""
    code, out, err = run("--list")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(CATALOGUE) + 1
    assert [one["code"] for one in json.loads(run("--list", "--json")[1])["codes"]] == [str(code) for code in CATALOGUE]


def test_the_list_knows_two_formats(tmp_path: Path) -> None:
    """And goes where it is told to go."""
    code, _, err = run("--list", "--format", "junit")
    assert (code, "--list and --format junit do not go together" in err) == (2, True)
    run("--list", "--output", str(tmp_path / "codes.txt"))
    assert (tmp_path / "codes.txt").read_text("utf-8") == run("--list")[1]


def test_an_example_of_ours_is_clean() -> None:
    assert run(CANARY)[0] == 0


def test_a_path_that_begins_with_a_dash_stays_a_path() -> None:
    given = command._given(["-odd.yaml"], "default", True, True, mr.MeshConfig())
    assert given == ["./-odd.yaml", "--repair", "--lenient"]


class TestUnderstood:
    """What is understood, and what not."""

    def test_as_text_and_as_json(self, web: Path) -> None:
        code, out, err = run("web.yaml", "--understood")
        assert (code, err) == (0, "")
        assert "VirtualService shop/web: understood\n" in out
        assert "  Widget w of example.com/v1\n" in out
        assert out.endswith("3 objects, 0 of them not in full; 0 fields in part, 0 not; 1 object outside\n")
        values = json.loads(run("web.yaml", "--understood", "--json")[1])
        assert values["summary"]["outside"] == 1
        run("web.yaml", "--understood", "--output", "u.txt")
        assert Path("u.txt").read_text("utf-8") == out

    def test_what_it_cannot_do(self, web: Path) -> None:
        """Other formats, and manifests with errors."""
        code, _, err = run("web.yaml", "--understood", "--format", "sarif")
        assert (code, "--understood and --format sarif do not go together" in err) == (2, True)
        code, out, err = run(SPLIT, "--understood")
        assert (code, out) == (2, "")
        assert "unknown field `host`" in err
