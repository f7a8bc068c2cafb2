"""Parquet: the rows of the CSV with types, the same bytes each time, and a word where pyarrow is not there."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from meshroute.cli.app import app
from meshroute.simulate import Simulation
from meshroute.simulate.parquet import write_parquet
from meshroute.simulate.story import load_story
from meshroute.simulate.telling import tell

STORIES = Path(__file__).parents[3] / "docs/examples/stories"


def test_the_rows_are_those_of_the_csv(tmp_path: Path) -> None:
    """Each value, with the pods that nobody asked: their percentiles are null, and nothing else is."""
    told = tell(load_story(STORIES / "one-connection.yaml"))
    write_parquet(told, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    whole = pyarrow.int64()
    wanted = {"run": pyarrow.string(), "partial": pyarrow.bool_(), "pod": pyarrow.string()}
    wanted |= dict.fromkeys(("start", "requests", "ended", "errors", "moved"), whole)
    wanted |= {"concurrency": pyarrow.float64(), "p50": whole, "p90": whole, "p99": whole}
    assert {one.name: one.type for one in table.schema} == wanted
    assert [one.name for one in table.schema if one.nullable] == ["p50", "p90", "p99"]
    rows = list(csv.DictReader(io.StringIO(told.to_csv())))
    assert list(rows[0]) == table.column_names
    assert len(rows) == table.num_rows == 2 * 3 * 30
    read = table.to_pylist()
    assert [
        {name: "" if value is None else str(int(value) if name == "partial" else value) for name, value in row.items()}
        for row in read
    ] == rows
    assert {row["p50"] is None for row in read} == {True, False}


def test_the_same_story_gives_the_same_bytes(tmp_path: Path) -> None:
    """And another seed gives others."""
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for file, seed in zip(files, ("1", "1", "2"), strict=True):
        options = ["simulate", str(STORIES / "canary.yaml"), "--parquet", str(file), "--seed", seed]
        assert CliRunner().invoke(app, options).exit_code == 0
    first, second, other = (one.read_bytes() for one in files)
    assert first == second != other


def test_what_is_half_way_says_so(tmp_path: Path) -> None:
    """A run that was stopped, and one that was not begun: no rows."""
    early = tell(load_story(STORIES / "canary.yaml"), stop=lambda: True)
    write_parquet(early, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows > 0
    assert set(table["partial"].to_pylist()) == {True}
    assert set(table["run"].to_pylist()) == {early.runs[0].name}


def test_without_pyarrow_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which extra it is, and status 2, before anything is simulated."""
    monkeypatch.delitem(sys.modules, "meshroute.simulate.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(Simulation, "run", lambda *_: pytest.fail("something ran"))
    options = ["simulate", str(STORIES / "canary.yaml"), "--parquet", str(tmp_path / "a.parquet")]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2
    assert done.stderr == 'meshroute: --parquet: Parquet needs the extra `parquet`: pip install "meshroute[parquet]"\n'
    assert not (tmp_path / "a.parquet").exists()
