"""The runner: every case of every vector, against an engine.

Inputs    an engine, a folder of vectors, the clauses wanted (all if none are named).
Errors    VectorError for vectors that cannot be read. A case that fails is part of the report, never an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from meshroute.conformance.engine import Engine
from meshroute.conformance.vectors import Vector, load_vectors


class Failure(msgspec.Struct, frozen=True):
    """A case that came out otherwise."""

    vector: str
    case: str
    clauses: tuple[str, ...]
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.vector} ({', '.join(self.clauses)}): {self.case}: expected {self.expected}, got {self.got}"


class Report(msgspec.Struct, frozen=True):
    """What a run found. `skipped` are the cases that the engine does not claim, as `vector: case`."""

    passed: int
    failures: tuple[Failure, ...]
    skipped: tuple[str, ...]


def run_vectors(engine: Engine, folder: str | Path, clauses: Collection[str] = ()) -> Report:
    """Run the vectors below a folder; with clauses named, those that have one of them."""
    passed, failures, skipped = 0, [], []
    for vector in load_vectors(folder):
        if clauses and not set(clauses) & set(vector.clauses):
            continue
        for case in vector.when:
            try:
                differences = list(compare(engine, vector, case))
            except NotImplementedError:
                skipped.append(f"{vector.name}: {case['case']}")
                continue
            failures.extend(differences)
            passed += not differences
    return Report(passed, tuple(failures), tuple(skipped))


def compare(engine: Engine, vector: Vector, case: dict[str, Any]) -> Iterator[Failure]:
    """One case: nothing where the engine agrees, else what differs."""
    expected = case["expect"]
    got: Any
    if vector.kind == "decision":
        answer = engine.decide(vector.texts(vector.given), vector.given, case)
        got = {field: answer.get(field) for field in expected}
        if "upstream" in expected:  # what is listed of it
            got["upstream"] = _listed(expected["upstream"], answer.get("upstream", {}))
    elif vector.kind == "diagnostics":
        said = engine.diagnose(vector.texts(case["given"]), case["given"])
        got = [_like(one, said[number]) for number, one in enumerate(expected[: len(said)])] + list(
            said[len(expected) :]
        )
    else:
        got = engine.value(case["function"], case["arguments"])
    got = msgspec.json.decode(msgspec.json.encode(got))  # tuples are lists where languages meet
    if got != expected:
        yield Failure(vector.name, case["case"], vector.clauses, expected, got)


def _listed(expected: dict[str, Any], said: Any) -> dict[str, Any]:
    """Of a request as the upstream sees it, the fields and headers that are expected; a header that is not there has no
    values."""
    got = {field: said.get(field) for field in expected}
    if "headers" in expected and "headers" in said:
        got["headers"] = {name: said.get("headers", {}).get(name, []) for name in expected["headers"]}
    return got


def _like(expected: dict[str, Any], said: Any) -> dict[str, Any]:
    """Of a diagnostic, the fields that are expected; a help that contains the expected part counts as that part."""
    got = {field: said.get(field) for field in expected}
    if "help" in expected and expected["help"] in (said.get("help") or ""):
        got["help"] = expected["help"]
    return got
