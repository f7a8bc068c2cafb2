"""Findings put aside: notes on objects, files, baselines."""

from __future__ import annotations

import json

import pytest

import meshroute as mr
from meshroute.analysis.lint import Finding
from meshroute.analysis.lint.suppress import (
    BaselineError,
    Sifted,
    Suppression,
    fingerprint,
    in_objects,
    read_baseline,
    read_suppressions,
    sift,
    write_baseline,
)

AT = mr.SourceRef("deploy/shop/web.yaml", 7, 3, "spec.http[0].route[0].destination.host")
LOST = Finding(mr.Code.HOST_UNKNOWN, mr.Severity.WARNING, "no service `web`", AT, "VirtualService shop/front")
WRONG = Finding(mr.Code.FIELD_TYPE, mr.Severity.ERROR, "must be text", AT, "VirtualService shop/front")


def suppression(subject: str = "", file: str = "", path: str = "") -> Suppression:
    return Suppression(mr.Code.HOST_UNKNOWN, "it is elsewhere", mr.SourceRef("s.yaml", 1, 1), subject, file, path)


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [str(one.code) for one in findings]


@pytest.mark.parametrize(
    "only",
    [
        {},
        {"subject": "VirtualService shop/front"},
        {"subject": "VirtualService shop/*"},
        {"subject": "* shop/front"},
        {"file": "deploy/shop/web.yaml"},
        {"file": "web.yaml"},
        {"file": "shop/*.yaml"},
        {"file": "deploy/*"},
        {"path": "spec.http[0].route[0].destination.host"},
        {"path": "spec.http[*].destination.host"},
        {"subject": "VirtualService shop/front", "file": "web.yaml", "path": "spec.*"},
    ],
)
def test_a_suppression_takes_what_it_names(only: dict[str, str]) -> None:
    """With its reason; nothing is left, and nothing is said of it."""
    by = suppression(**only)
    sifted = sift([LOST], [by])
    assert sifted.findings == ()
    assert [(one.finding, one.by) for one in sifted.suppressed] == [(LOST, by)]


@pytest.mark.parametrize(
    "only",
    [
        {"subject": "VirtualService shop/fron"},
        {"subject": "DestinationRule shop/front"},
        {"file": "eb.yaml"},
        {"file": "shop"},
        {"path": "spec.http"},
        {"path": "spec.http[1]*"},
        {"path": "spec.http0*"},
        {"subject": "VirtualService shop/front", "file": "other.yaml"},
    ],
)
def test_it_takes_nothing_else_and_is_told_as_unused(only: dict[str, str]) -> None:
    """Brackets are brackets: `[0]` is no set of characters."""
    sifted = sift([LOST], [suppression(**only)])
    assert codes(sifted.findings) == ["host-unknown", "suppression-unused"]
    unused = sifted.findings[1]
    assert unused.severity is mr.Severity.NOTE
    assert unused.at == mr.SourceRef("s.yaml", 1, 1)
    assert all(f"`{text}`" in unused.message for text in only.values())
    assert "it is elsewhere" in unused.help


def test_another_code_is_left() -> None:
    assert codes(sift([WRONG], [suppression()]).findings) == ["field-type", "suppression-unused"]


def test_that_one_is_unused_can_be_suppressed_but_not_for_nothing() -> None:
    """A suppression of `suppression-unused` is looked at last."""
    about = Suppression(mr.LintCode.SUPPRESSION_UNUSED, "kept for next week", mr.SourceRef("s.yaml", 4, 1))
    sifted = sift([], [suppression(), about])
    assert (sifted.findings, codes(tuple(one.finding for one in sifted.suppressed))) == ((), ["suppression-unused"])
    (left,) = sift([LOST], [suppression(), about]).findings
    assert (left.code, left.at.line) == (mr.LintCode.SUPPRESSION_UNUSED, 4)


def test_errors_of_manifests_that_cannot_be_used_stay() -> None:
    """Nothing else was looked at, so nobody can say that all is well; and nobody knows what is unused."""
    everything = [suppression(), Suppression(mr.Code.FIELD_TYPE, "so what", mr.SourceRef("s.yaml", 3, 1))]
    known = read_baseline(write_baseline([WRONG, LOST]))
    assert sift([WRONG, LOST], everything, sound=False).findings == (WRONG,)
    with_baseline = sift([WRONG], [suppression()], known, sound=False)
    assert with_baseline == Sifted((WRONG,))
    assert sift([WRONG], everything).findings[0].code is mr.LintCode.SUPPRESSION_UNUSED


OBJECT = """
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  annotations:
    meshroute/lint-ignore: %s
spec: {ports: [{port: 80}]}
"""


def test_a_note_on_an_object_is_for_that_object() -> None:
    """Several lines, each a code and a reason; the place is that of the annotation."""
    note = "|\n      host-unknown: it is in another mesh\n      rule-never-applies: next week"
    usable, wrong = in_objects(mr.loads(OBJECT % note, "web.yaml").resources)
    assert wrong == ()
    assert [(str(one.code), one.reason) for one in usable] == [
        ("host-unknown", "it is in another mesh"),
        ("rule-never-applies", "next week"),
    ]
    assert {(one.subject, one.in_source, one.at.file, one.at.line, one.at.column) for one in usable} == {
        ("Service shop/web", True, "web.yaml", 8, 5)
    }


@pytest.mark.parametrize(
    ("note", "message", "help"),
    [
        ('"host-unknown:"', "`host-unknown` is to be ignored for no reason", "why it is right here"),
        ('"host-unknown: 5"', "`host-unknown` is to be ignored for no reason", "why it is right here"),
        ("\"host-unknown: '  '\"", "`host-unknown` is to be ignored for no reason", "why it is right here"),
        ('"host-unknow: x"', "`host-unknow` is not a code", "did you mean `host-unknown`?"),
        ('"IST0101: x"', "`IST0101` is not a code", "here: `host-unknown`, `port-unknown`"),
        ('"KIA0301: x"', "`KIA0301` is not a code", "here: `server-ignored`"),
        ('"something-of-no-kind: x"', "is not a code", "`meshroute lint --list` has all codes"),
        ('"3: x"', "a key must be of type string", "write one line for each code"),
        ('"host-unknown"', "the note says no code and no reason", "write one line for each code"),
        ('""', "the note says no code and no reason", "write one line for each code"),
        ('"a: b\\n---\\na: b"', "the note says no code and no reason", "write one line for each code"),
        ('"a: [b"', "not valid YAML", "write one line for each code"),
        ('"a: b\\na: c"', "`a` is written twice in one mapping", "write one line for each code"),
    ],
)
def test_a_note_that_cannot_be_read_is_a_finding(note: str, message: str, help: str) -> None:
    """At the annotation, about the object, with what would be right."""
    usable, (finding,) = in_objects(mr.loads(OBJECT % note, "web.yaml").resources)
    assert usable == ()
    assert (finding.code, finding.severity) == (mr.LintCode.SUPPRESSION_UNUSABLE, mr.Severity.WARNING)
    assert (finding.subject, finding.at.line) == ("Service shop/web", 8)
    assert message in finding.message
    assert help in finding.help


def test_what_is_right_in_a_note_counts_beside_what_is_not() -> None:
    usable, wrong = in_objects(mr.loads(OBJECT % '"host-unknown: x\\nport-unknow: y"').resources)
    assert ([one.code for one in usable], codes(wrong)) == ([mr.Code.HOST_UNKNOWN], ["suppression-unusable"])


FILE = """
- code: host-unknown
  reason: they are in the other cluster
- code: weight-ignored
  object: VirtualService shop/front
  file: shop/*.yaml
  path: spec.http[0].*
  reason: >-
    generated,
    and harmless
"""


def test_a_file_of_suppressions() -> None:
    """Each entry with its line."""
    usable, wrong = read_suppressions(FILE, "ignore.yaml")
    assert wrong == ()
    assert usable == (
        Suppression(mr.Code.HOST_UNKNOWN, "they are in the other cluster", mr.SourceRef("ignore.yaml", 2, 3, "[0]")),
        Suppression(
            mr.Code.WEIGHT_IGNORED,
            "generated, and harmless",
            mr.SourceRef("ignore.yaml", 4, 3, "[1]"),
            "VirtualService shop/front",
            "shop/*.yaml",
            "spec.http[0].*",
        ),
    )
    assert read_suppressions("", "ignore.yaml") == ((), ())
    assert read_suppressions("# nothing yet\n", "ignore.yaml") == ((), ())


@pytest.mark.parametrize(
    ("text", "line", "message", "help"),
    [
        ("code: host-unknown\n", 1, "must be of type array: this is of type object", "write a list"),
        ("- host-unknown\n", 1, "must be of type object: this is of type string", "write a list"),
        ("- code: host-unknown\n", 1, "`reason` is missing", "say why"),
        ("- reason: x\n", 1, "`code` is missing", "meshroute lint --list"),
        ("- code: host-unknown\n  reason: ''\n", 2, "`reason` must be text that is not empty", "say why"),
        ("- code: host-unknown\n  reason: 4\n", 2, "this is of type integer", "say why"),
        ("- reason: x\n  code: host-unknow\n", 2, "`host-unknow` is not a code", "did you mean `host-unknown`?"),
        ("- code: host-unknown\n  reason: x\n  objekt: y\n", 3, "unknown field `objekt`", "did you mean `object`?"),
        ("- code: host-unknown\n  reason: x\n  object: front\n", 3, "`front` names no object", "VirtualService shop/"),
        ("- code: host-unknown\n  reason: x\n  path: [a]\n", 3, "`path` must be text", ""),
        ("- code: host-unknown\n  code: host-unknown\n  reason: x\n", 2, "written twice", ""),
        ("- [\n", 2, "not valid YAML", ""),
    ],
)
def test_a_file_that_cannot_be_used_says_what_where_and_what_would_be_right(
    text: str, line: int, message: str, help: str
) -> None:
    usable, (finding, *_) = read_suppressions(text, "ignore.yaml")
    assert usable == ()
    assert (finding.at.file, finding.at.line) == ("ignore.yaml", line)
    assert message in finding.message
    assert help in finding.help


def moved(finding: Finding, **changed: object) -> Finding:
    values = {name: getattr(finding, name) for name in finding.__struct_fields__}
    return Finding(**{**values, **changed})


def test_a_fingerprint_outlives_lines_and_files() -> None:
    """And nothing else: another object, field, code or message is another finding."""
    here = mr.SourceRef("elsewhere.yaml", 70, 1, AT.path)
    assert fingerprint(moved(LOST, at=here)) == fingerprint(LOST)
    assert fingerprint(moved(LOST, message="see line 4, a.yaml:4:7")) == fingerprint(
        moved(LOST, message="see line 50, a.yaml:51")
    )
    assert fingerprint(moved(LOST, message="web:80")) != fingerprint(moved(LOST, message="web:81"))
    for other in (
        moved(LOST, message="no service `wob`"),
        moved(LOST, subject="VirtualService shop/back"),
        moved(LOST, code=mr.Code.PORT_UNKNOWN),
        moved(LOST, at=mr.SourceRef(AT.file, 7, 3, "spec.http[1]")),
    ):
        assert fingerprint(other) != fingerprint(LOST)


def test_what_is_about_no_object_is_known_by_its_file() -> None:
    one = moved(LOST, subject="")
    assert fingerprint(moved(one, at=mr.SourceRef("b.yaml", 1, 1, AT.path))) != fingerprint(one)


def test_a_baseline_takes_each_finding_once_and_tells_what_is_gone() -> None:
    """Two findings that look alike are two entries."""
    again = moved(LOST, at=mr.SourceRef(AT.file, 99, 1, AT.path))
    known = read_baseline(write_baseline([LOST, WRONG]))
    sifted = sift([LOST, again], (), known)
    assert sifted.findings == (again,)
    assert sifted.baselined == (LOST,)
    assert [(one.code, one.subject, one.message) for one in sifted.gone] == [
        ("field-type", WRONG.subject, WRONG.message)
    ]
    assert sift([LOST, again], (), read_baseline(write_baseline([again, LOST]))).findings == ()


def test_what_is_suppressed_needs_no_baseline() -> None:
    sifted = sift([LOST], [suppression()], read_baseline(write_baseline([LOST])))
    assert (len(sifted.suppressed), sifted.baselined, len(sifted.gone)) == (1, (), 1)


def test_a_baseline_is_readable_and_sorted() -> None:
    """The same findings make the same text, whatever their order."""
    text = write_baseline([WRONG, LOST])
    assert text == write_baseline([LOST, WRONG])
    assert json.loads(text)["findings"][0] == {
        "fingerprint": fingerprint(WRONG),
        "code": "field-type",
        "subject": "VirtualService shop/front",
        "path": AT.path,
        "message": "must be text",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"version": 2, "findings": []}', r"\$\.version"),
        (
            '{"version": 1, "findings": [{"code": "x"}]}',
            r"missing required field `fingerprint` - at `\$.findings\[0\]`",
        ),
        ('{"version": 1, "findings": [], "more": 1}', "unknown field `more`"),
    ],
)
def test_a_text_that_is_no_baseline_is_refused(text: str, reason: str) -> None:
    """With the place, and with what writes one."""
    with pytest.raises(BaselineError, match=f"{reason}.*--write-baseline FILE"):
        read_baseline(text)


def test_severities_have_an_order() -> None:
    """An error weighs more than a warning, a warning more than a note."""
    sifted = Sifted((LOST,))
    assert [sifted.fails(limit) for limit in mr.Severity] == [False, True, True]
    assert [Sifted((WRONG,)).fails(limit) for limit in mr.Severity] == [True, True, True]
    assert not Sifted(()).fails(mr.Severity.NOTE)
    assert [sifted.count(one) for one in mr.Severity] == [0, 1, 0]
