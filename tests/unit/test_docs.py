"""The documentation is true: commands run, examples run, links lead somewhere, codes have headings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from meshroute import Code
from meshroute.draws import is_draw

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("spec/*.md"))]
EXIT_2 = "docs/examples/article/printed/d-split.yaml http://nginx-service/ -n namespace"
"""The one documented command that shows a refusal."""


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.name, block)
        for path in PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]


def commands() -> list[tuple[str, str]]:
    """Lines after `$ ` and, if the block has one command only, what is printed below it."""
    found = []
    for _, block in blocks("console"):
        lines = re.findall(r"^\$ (.*)\n", block, re.MULTILINE)
        shown = block.partition("\n")[2] if len(lines) == 1 else ""
        found += [(line.partition("  #")[0].strip(), shown) for line in lines]
    return found


def run(command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", *shlex.split(command)]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "200"})


@pytest.mark.parametrize(("command", "shown"), [one for one in commands() if one[0].startswith("meshroute ")])
def test_a_documented_command_does_what_the_page_shows(command: str, shown: str) -> None:
    """It ends well, and prints what stands below it."""
    done = run(command)
    assert done.returncode == (2 if command == f"meshroute decide {EXIT_2}" else 0), done.stderr
    if shown:
        assert done.stdout == shown


def test_make_and_pip_are_the_only_other_commands() -> None:
    """So none goes untested: make is what runs this, and pip installs the package that is tested."""
    others = [command for command, _ in commands() if not command.startswith("meshroute ")]
    assert set(others) == {"make demo", "make test", 'pip install "meshroute[cli]"'}


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_a_documented_example_runs(page: str, block: str) -> None:
    """From the root of the repository, each on its own."""
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Files beside the page."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_code_has_one_heading_and_every_heading_a_code() -> None:
    """The page is the list."""
    headings = re.findall(r"^### (.+)$", (ROOT / "docs/diagnostics.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(Code)


def test_every_code_is_used() -> None:
    """A code that nothing says would be a promise that nothing keeps."""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "meshroute").rglob("*.py"))
    assert [code for code in Code if f"Code.{code.name}" not in sources] == []


def test_the_draws_that_are_listed_can_be_pinned() -> None:
    """And a pick behind a name can, but nothing else."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "spec/draws.md").read_text("utf-8"), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(.+?)`", row)]
    assert len(names) == 18
    assert [name for name in names if not is_draw(name)] == []
    assert all(map(is_draw, ("priority/1", "host.12/mirror.0", "host.0/mirror.1/2", "enforce.5xx.10.0.0.1:80")))
    assert not any(map(is_draw, ("", "streams", "host", "host.x", "priority/", "zone", "request.id.2", "jitter.5xx")))


def test_the_demo_tells_the_story() -> None:
    """Every chapter, with the numbers that the page promises."""
    done = subprocess.run(
        [sys.executable, "docs/examples/article/story.py"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    told = done.stdout
    for chapter in range(1, 7):
        assert f"\n{chapter}. " in told
    assert "by subset: v1 9,890, v2 110" in told
    assert re.search(r"/v2x +v2 +http\[0\]", told)
    assert len(re.findall(r"^(?:\S.*)  (?:the new version \(v2\)|every version) *$", told, re.MULTILINE)) == 9
    assert "1,000 of 1,000 users met the same pod each time" in told
    assert "moved between old pods" in told
