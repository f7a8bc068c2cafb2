"""The specification's vectors, through our own kit; and what every clause must have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshroute.conformance import Meshroute, Vector, VectorError, load_vectors, run_vectors
from meshroute.conformance.__main__ import main
from meshroute.conformance.run import compare
from meshroute.conformance.vectors import defined_clauses

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
VECTORS = load_vectors(SPEC / "vectors")
CLAUSES = defined_clauses(SPEC)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_every_case_agrees(vector: Vector) -> None:
    """Nothing differs, and nothing is skipped."""
    assert [failure for case in vector.when for failure in compare(Meshroute(), vector, case)] == []


def test_every_clause_has_a_vector() -> None:
    """Whoever follows the words can check them."""
    assert CLAUSES - {clause for vector in VECTORS for clause in vector.clauses} == set()


GOLDEN = range(1, 156)
"""The questions about its own configuration that Envoy was asked, by number."""
TRIES = range(137, 146)
"""Those about tries, which are among spec/vectors/retry."""


def test_every_answer_about_envoys_own_configuration_is_kept() -> None:
    """A file of its own has the number before its name, a refusal before its case."""
    some = [vector for vector in VECTORS if vector.name.startswith("envoy/")]
    names = [vector.name.removeprefix("envoy/") for vector in some]
    names += [case["case"] for vector in some if vector.name == "envoy/load" for case in vector.when]
    numbers = sorted(int(name[:3]) for name in names if name[:3].isdigit())
    assert numbers == [number for number in GOLDEN if number not in TRIES]


def test_every_clause_has_a_property() -> None:
    """A class of tests/properties opens its docstring with the clause."""
    claimed: set[str] = set()
    for path in (ROOT / "tests/properties").glob("test_*.py"):
        for docstring in re.findall(r'^class \w+.*:\n    """([^:]+):', path.read_text("utf-8"), re.MULTILINE):
            claimed.update(re.findall(r"[A-Z0-9]+-[0-9]+", docstring))
    assert claimed - CLAUSES == set()
    assert CLAUSES - claimed == set()


def test_the_clauses_that_modules_cite_exist() -> None:
    """Source lines such as `spec/host.md HOST-1 to HOST-3`."""
    families = "|".join(sorted({clause.rpartition("-")[0] for clause in CLAUSES}))
    for path in (ROOT / "meshroute").rglob("*.py"):
        text = path.read_text("utf-8")
        for page in re.findall(r"spec/([\w-]+\.md)", text):
            assert (SPEC / page).exists(), (path, page)
        for clause in re.findall(rf"\b(?:{families})-[0-9]+\b", text):
            assert clause in CLAUSES, (path, clause)


def test_a_wrong_engine_is_found_out() -> None:
    """An engine that answers nothing right fails every case that it does not skip."""

    class Wrong(Meshroute):
        def decide(self, *_: object) -> dict[str, object]:
            return {"outcome": "none of them"}

        def diagnose(self, *_: object) -> list[dict[str, object]]:
            return [{"code": "made-up"}]

        def value(self, function: str, arguments: object) -> object:
            raise NotImplementedError(function)

    report = run_vectors(Wrong(), SPEC / "vectors")
    decided = sum(len(vector.when) for vector in VECTORS if vector.kind != "value")
    assert report.passed == 0
    assert len(report.failures) == decided
    assert len(report.skipped) == sum(len(vector.when) for vector in VECTORS) - decided


def test_the_runner_can_be_told_which_clauses(capsys: pytest.CaptureFixture[str]) -> None:
    """Only vectors with one of them run; the exit status says what came of it."""
    assert main([str(SPEC / "vectors"), "DRAW-1"]) == 0
    assert capsys.readouterr().out.startswith("6 agree, 0 differ")
    assert main([]) == 2
    assert main([str(SPEC / "nowhere")]) == 2


GOOD = """
vector: 1
kind: value
clauses: [X-1]
origin: {derived: somewhere}
story: A value that comes of a function, to try the reader with.
when:
- {case: the first, function: f, arguments: {}, expect: 1}
"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("X-1", "X-2", "clause X-2 is not defined"),
        ("expect: 1", "expect: 1, extra: 2", "extra"),
        ("kind: value", "kind: guess", "guess"),
        ("that comes of", "that should come of", "says `should`"),
        ("expect: 1}", "expect: 1}\n- {case: the first, function: f, arguments: {}, expect: 2}", "two cases"),
        ("origin: {derived: somewhere}", "origin: {}", "origin"),
        ("story:", "tale:", "tale"),
        ("when:", "when: [", "expected"),
        (GOOD, "just text", "not a mapping"),
    ],
)
def test_vectors_that_a_stranger_could_misread_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """With what is wrong; the good one is read."""
    (tmp_path / "page.md").write_text("**X-1** A clause.\n")
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / "schema.json").write_bytes((SPEC / "vectors/schema.json").read_bytes())
    (folder / "one.yaml").write_text(GOOD)
    assert [vector.name for vector in load_vectors(folder)] == ["one"]
    (folder / "one.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(VectorError, match=re.escape(reason)):
        load_vectors(folder)
