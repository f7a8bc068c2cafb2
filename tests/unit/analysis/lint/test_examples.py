"""Lint over everything that the documentation shows: no error, no warning; and the notes are those that are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import meshroute as mr
from tests.unit.analysis.lint.marks import findings

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "docs/examples"
STORIES = EXAMPLES / "stories"
NOTES = {
    "bookshop": {"selector-chooses-nobody": 1},  # the Gateway's own pods are not part of the shop
    "canary": {},
    "processors": {"hints-assumed": 1},  # it is there to show that
    "services": {"pods-shared": 1},  # two Services before the same pods
    "sticky/before": {},
    "sticky/after": {},
    "zones": {"failover-implied": 1},  # it is there to show that
}
"""By example, how many notes there are of which code; but for assumed addresses."""
PAGES = [ROOT / "README.md", *(path for path in sorted(ROOT.glob("docs/**/*.md")) if path.parent.name != "lint")]
MANIFESTS = [
    (path.name, text)
    for path in PAGES
    for block in re.findall(r"^```\w+[^\n]*\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for text in re.findall(r'"""(.*?)"""', block, re.DOTALL) or [block]
    if "apiVersion:" in text and "kind:" in text
]
"""Manifests in the pages, by themselves or in Python; docs/lint has its own tests."""


@pytest.mark.parametrize("name", NOTES)
def test_an_example_is_clean(name: str) -> None:
    """No warning, and no other note than those listed."""
    found = [one for one in mr.lint(mr.load(EXAMPLES / name)) if one.code != mr.Code.ADDRESS_ASSUMED]
    assert [one for one in found if one.severity is not mr.Severity.NOTE] == []
    told = [str(one.code) for one in found if not one.code.startswith(("rule-", "prefix-", "fault-"))]
    assert {code: told.count(code) for code in told} == NOTES[name]


def test_every_example_is_looked_at() -> None:
    """All folders with manifests, but for those of the article and of lint, which are wrong on purpose, and those of
    stories, which say which of them belong together."""
    folders = {path.parent.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.yaml")}
    folders = {one for one in folders if one != "stories" and not one.startswith("stories/")}
    assert folders == {*NOTES, "article/printed", "lint", "lint/manifests"}


def manifests_of(value: Any) -> Iterator[tuple[str, ...]]:
    """The lists of manifests in a story, of the story, its runs and its changes."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from [tuple(one)] if key == "manifests" else manifests_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from manifests_of(one)


@pytest.mark.parametrize("story", sorted(path.name for path in STORIES.glob("*.yaml")))
def test_a_story_s_manifests_are_clean(story: str) -> None:
    """Those that it loads together."""
    lists = set(manifests_of(yaml.safe_load((STORIES / story).read_text("utf-8"))))
    assert lists
    for some in sorted(lists):
        found = mr.lint(mr.load(*(STORIES / one for one in some)))
        assert [one for one in found if one.severity is not mr.Severity.NOTE] == []


@pytest.mark.parametrize(("page", "text"), MANIFESTS)
def test_a_manifest_of_a_page_is_clean(page: str, text: str) -> None:
    """No error and no warning."""
    assert [one for one in findings(text) if one.severity is not mr.Severity.NOTE] == [], page


def test_there_are_manifests_in_the_pages() -> None:
    """So that the test above tests something."""
    assert len(MANIFESTS) >= 4


def test_the_article_s_configurations_are_told_of() -> None:
    """The split over two rules, with the lines that were meant."""
    texts = [(EXAMPLES / "article/printed" / name).read_text("utf-8") for name in ("2-service.yaml", "d-split.yaml")]
    mesh = mr.loads("\n---\n".join(texts), namespace="namespace", repair=[mr.Code.REPAIRED_HOSTS])
    found = {str(one.code): one for one in mr.lint(mesh)}
    assert {"rule-unreachable", "weight-ignored"} <= found.keys()
    assert "weight: 1" in found["rule-unreachable"].help
