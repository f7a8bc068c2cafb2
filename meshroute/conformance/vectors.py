"""Vectors: reading them, and refusing those that a stranger could misread.

Source    spec/vectors/schema.json; the clauses of spec/*.md
Inputs    a folder of YAML and JSON files, below a folder whose *.md files define the clauses.
Errors    VectorError with every problem: what the schema refuses, clauses that do not exist, cases of one name,
          stories and names that say what ought to be instead of what is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import yaml

CLAUSE = re.compile(r"^(?:## |\*\*)([A-Z0-9]+-[0-9]+)(?:: |\*\*)", re.MULTILINE)
"""How spec/*.md opens a clause: as a heading, or as the first bold word of a paragraph."""

_UNCLEAR = re.compile(r"\b(should|test that|must work|correctly)\b", re.IGNORECASE)


class VectorError(ValueError):
    """Vectors that cannot be run, with all that is wrong with them."""


class Vector(msgspec.Struct, frozen=True):
    """One vector. `when` are its cases, plain JSON values in the shape that the schema gives."""

    name: str
    folder: Path
    kind: str
    clauses: tuple[str, ...]
    origin: dict[str, str]
    story: str
    when: tuple[dict[str, Any], ...]
    given: dict[str, Any] = {}

    def texts(self, given: dict[str, Any]) -> list[tuple[str, str]]:
        """The manifests of a `given` as (name, text) pairs; none for a table."""
        texts = [(name, (self.folder / name).read_text("utf-8")) for name in given.get("files", ())]
        if "manifests" in given:
            texts.append(("given.yaml", given["manifests"]))
        return texts


def defined_clauses(spec: Path) -> frozenset[str]:
    """The clauses that the Markdown files of a folder define. Raises VectorError for one defined twice."""
    found: set[str] = set()
    for page in sorted(spec.glob("*.md")):
        for clause in CLAUSE.findall(page.read_text("utf-8")):
            if clause in found:
                raise VectorError(f"{page.name}: clause {clause} is defined twice")
            found.add(clause)
    return frozenset(found)


def load_vectors(folder: str | Path) -> tuple[Vector, ...]:
    """All vectors below a folder, by name. Raises VectorError with everything that is wrong."""
    root = Path(folder)
    clauses = defined_clauses(root.parent)
    schema = jsonschema.Draft202012Validator(json.loads((root / "schema.json").read_text("utf-8")))
    vectors, problems = [], []
    for path in sorted([*root.rglob("*.yaml"), *root.rglob("*.json")]):
        name = str(path.relative_to(root).with_suffix(""))
        if "given" in path.relative_to(root).parts or path.name == "schema.json":
            continue  # manifests that vectors share, and the schema
        try:
            document = yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError as error:
            problems.append(f"{name}: {error}")
            continue
        problems.extend(f"{name}: {problem}" for problem in _problems(document, schema, clauses))
        if not problems:
            document.pop("vector")
            vectors.append(msgspec.convert({"name": name, "folder": path.parent, **document}, Vector, strict=False))
    if problems:
        raise VectorError("\n".join(problems))
    return tuple(vectors)


def _problems(document: Any, schema: Any, clauses: frozenset[str]) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "not a mapping"
        return
    errors = sorted(schema.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    yield from (f"{error.json_path}: {error.message}" for error in errors)
    if errors:
        return
    yield from (f"clause {clause} is not defined" for clause in document["clauses"] if clause not in clauses)
    names = [case["case"] for case in document["when"]]
    yield from (f"two cases are called `{name}`" for name in sorted({one for one in names if names.count(one) > 1}))
    for text in (document["story"], *names):
        if found := _UNCLEAR.search(text):
            yield f"`{text.strip()}` says `{found[0]}`: say what happens"
