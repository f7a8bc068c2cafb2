"""Stories put aside and taken up, on the command line: the same end, to the byte, and nobody else's."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from meshroute.cli.app import app
from meshroute.simulate import Simulation
from meshroute.simulate.saving import Stand, put_aside, taken_up
from meshroute.simulate.story import load_story, read_story
from meshroute.simulate.telling import tell

ROOT = Path(__file__).parents[3]
STORIES = ROOT / "docs/examples/stories"
BESIDE = str(STORIES / "inline.yaml")
SECOND = 1_000_000
OTHER_TARGET = r"differs in manifests, service, port or via$"
SMALL = """
manifests: [article/three.yaml]
service: nginx-service
duration: 3s
clients:
- {name: a, rate: 40, count: 2}
"""


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)], prog_name="meshroute")
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("keep-alive", "7s", "7001ms"),  # connections, and proxies; repeats
        ("outliers", "12s", "16s"),  # somebody is put aside, and comes back
        ("warm-up", "10s", "13s"),  # before and within a warm-up
        ("failover", "31s", "52s"),  # in changes of rules for pods
        ("slow-pod", "1500ms", "29999999us"),  # with many requests under way
    ],
)
def test_what_is_taken_up_ends_as_if_it_never_was_put_aside(name: str, first: str, then: str, tmp_path: Path) -> None:
    """Twice put aside, in all its runs and repeats; JSON, CSV and all."""
    story, file = STORIES / f"{name}.yaml", tmp_path / "aside.json"
    whole = run(story, "--json", "--repeats", 3, "--csv", tmp_path / "whole.csv")
    assert whole[0] == 0
    code, out, err = run(story, "--repeats", 3, "--until", first, "--save", file)
    assert (code, "(partial)" in out.splitlines()[0]) == (0, True)
    assert err == f"meshroute: put aside in {file}: go on with --resume {file}\n"
    code, half, _ = run(story, "--repeats", 3, "--until", then, "--resume", file, "--save", file, "--json")
    assert code == 0
    assert json.loads(half)["partial"] is True
    assert half != whole[1]
    again = run(story, "--json", "--repeats", 3, "--resume", file, "--save", file, "--csv", tmp_path / "again.csv")
    assert again == whole
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    # And what is at its end stays there.
    assert run(story, "--json", "--repeats", 3, "--resume", file) == whole


def test_a_look_half_way_is_the_beginning_of_the_whole() -> None:
    """`--until` alone: each run until then, and each bucket as it is in the end."""
    story = STORIES / "outliers.yaml"
    until, whole = (json.loads(run(story, "--json", *more)[1])["runs"] for more in (("--until", "12s"), ()))
    assert len(until) == len(whole) == 2
    for half, one in zip(until, whole, strict=True):
        assert (half["result"]["end"], half["result"]["partial"]) == (12 * SECOND, True)
        rows: list[list[tuple[Any, ...]]] = []
        for each in (half, one):
            columns = (each["result"]["columns"][name] for name in ("pod", "start", "requests", "errors"))
            rows.append(list(zip(*columns, strict=True)))
        assert rows[0] == [row for row in rows[1] if row[1] < 12 * SECOND]


def interrupting(monkeypatch: pytest.MonkeyPatch, at_call: int, at_ask: int) -> None:
    """A real signal, in the middle of one of the simulations."""
    begin, calls = Simulation.run, 0

    def ours(self: Simulation, until: int | None = None, stop: Callable[[], bool] = lambda: False) -> Simulation:
        nonlocal calls
        calls += 1
        if calls != at_call:
            return begin(self, until, stop)
        asks = 0

        def asked() -> bool:
            nonlocal asks
            asks += 1
            if asks == at_ask:
                signal.raise_signal(signal.SIGINT)
            return stop()

        return begin(self, until, asked)

    monkeypatch.setattr(Simulation, "run", ours)


@pytest.mark.parametrize(("at_call", "told"), [(1, [1, 0]), (2, [1, 0]), (4, [3, 1]), (6, [3, 2])])
def test_ctrl_c_loses_nothing(at_call: int, told: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each run, in the first repeat and in others: what is done, what is under way and what was not begun. Means
    are over what is done, or over the first one alone."""
    story, file = STORIES / "keep-alive.yaml", tmp_path / "aside.json"
    whole = run(story, "--json", "--repeats", 3)
    with monkeypatch.context() as patched:
        interrupting(patched, at_call, 1)
        code, out, err = run(story, "--json", "--repeats", 3, "--save", file)
    assert (code, json.loads(out)["partial"]) == (130, True)
    assert [one["repeats"] for one in json.loads(out)["runs"]] == told
    assert "interrupted" in err
    assert "go on with --resume" in err
    stood = taken_up(load_story(story), file.read_bytes())
    done = [sum(one.result is not None for one in some) for some in stood]
    half = [sum(one.result is None for one in some) for some in stood]
    assert (sum(done), sum(half)) == (at_call - 1, 1)
    assert run(story, "--json", "--repeats", 3, "--resume", file) == whole


def test_ctrl_c_while_taken_up_loses_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was put aside in later runs stays so, and is shown as far as it came."""
    story, file = STORIES / "keep-alive.yaml", tmp_path / "aside.json"
    whole = run(story, "--json", "--repeats", 2)
    run(story, "--repeats", 2, "--until", "5s", "--save", file)
    with monkeypatch.context() as patched:
        interrupting(patched, 1, 1)
        code, out, _ = run(story, "--json", "--repeats", 2, "--resume", file, "--save", file)
    assert code == 130
    first, second = (one["result"]["end"] for one in json.loads(out)["runs"])
    assert second == 5 * SECOND < first < 30 * SECOND
    assert [len(some) for some in taken_up(load_story(story), file.read_bytes())] == [2, 2]
    assert run(story, "--json", "--repeats", 2, "--resume", file) == whole


def aside(text: str, until: int = SECOND) -> bytes:
    story = read_story(text, BESIDE)
    stands: list[list[Stand]] = []
    tell(story, until=until, stands=stands)
    return put_aside(story, stands)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate: 40", "rate: 41", "differs in clients$"),
        ("three.yaml", "four.yaml", OTHER_TARGET),
        ("article/three.yaml", "article/three.yaml, policies/round-robin.yaml", OTHER_TARGET),
        ("duration: 3s", "duration: 3s\nvia: connections", OTHER_TARGET),
        ("duration: 3s", "duration: 3s\nvia: ipvs:rr", OTHER_TARGET),
        ("duration: 3s", "duration: 4s", "differs in duration$"),
        ("duration: 3s", "duration: 3s\nbucket: 500ms", "differs in bucket$"),
        ("duration: 3s", "duration: 3s\nseed: 8", "with the seed 0, and here it is 8"),
        ("duration: 3s", "duration: 3s\npods: [{time: 11ms}]", "differs in pods$"),
        ("duration: 3s", "duration: 3s\nchanges: [{at: 2s, stop: '*'}]", "differs in changes$"),
        ("duration: 3s", "duration: 3s\nchanges: [{at: 2s, manifests: article/four.yaml}]", "differs in changes$"),
        ("duration: 3s", "duration: 3s\nruns: [{name: p}, {name: q}]", "its runs are `inline`, and here `p`, `q`"),
    ],
)
def test_another_story_is_told_apart(old: str, new: str, said: str) -> None:
    """Whatever changes what happens: by the field."""
    saved = aside(SMALL)
    assert old in SMALL
    with pytest.raises(ValueError, match=said):
        taken_up(read_story(SMALL.replace(old, new), BESIDE), saved)


def test_what_changes_nothing_may_change() -> None:
    """Another title, other formulas, comments, more repeats."""
    saved = aside(SMALL)
    same = read_story("# a comment\ntitle: Other\nshows: [shares]\nrepeats: 2\n" + SMALL, BESIDE)
    told = tell(same, stood=taken_up(same, saved))
    assert told == tell(same)
    assert len(told.runs[0].results) == 2


def test_connections_of_nodes_are_known_apart() -> None:
    """Modes of kube-proxy, and the Service's own settings."""
    via = SMALL.replace("duration: 3s", "duration: 3s\nvia: iptables")
    saved = aside(via)
    assert len(taken_up(read_story(via, BESIDE), saved)) == 1
    with pytest.raises(ValueError, match=OTHER_TARGET):
        taken_up(read_story(via.replace("iptables", "nftables"), BESIDE), saved)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    """Cut off, changed, of another version or format, no such thing, and not there."""
    story, file = tmp_path / "story.yaml", tmp_path / "aside.json"
    story.write_text(SMALL.replace("article/", f"{STORIES}/article/"), "utf-8")
    assert run(story, "--until", "1s", "--save", file)[0] == 0
    good = file.read_bytes()
    values: dict[str, Any] = msgspec.json.decode(good)
    for broken, said in (
        (good[: len(good) // 2], "only a part of one"),
        (good.replace(b'"made":', b'"made":1', 1), "has been changed since"),
        (msgspec.json.encode({**values, "format": 99}), "format 99; this is format 1"),
        (msgspec.json.encode({**values, "meshroute": "0.0.1"}), "put aside by meshroute 0.0.1"),
        (b"", "no simulation that was put aside"),
        (b"{}", "no simulation that was put aside"),
        (b"\xff\x00", "no simulation that was put aside"),
    ):
        assert broken != good
        file.write_bytes(broken)
        code, out, err = run(story, "--resume", file)
        assert (code, out) == (2, "")
        assert err.startswith(f"meshroute: --resume {file}: ")
        assert said in err
    file.unlink()
    assert run(story, "--resume", file) == (2, "", f"meshroute: --resume {file}: No such file or directory\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--until", "soon"], "--until soon: not a duration"),
        (["--until", "0s"], "--until 0s: must be a whole number of microseconds above 0"),
        (["--until", "10ns"], "--until 10ns: must be a whole number of microseconds above 0"),
        (["--until", "1h"], "--until 1h: is behind the end of the story, at 3 s"),
        (["--save", "{}/none/file"], "there is no directory"),
        (["--save", "{}"], "is a directory"),
        (["--parquet", "{}/none/file"], "there is no directory"),
        (["--resume", "{}/aside.json", "--until", "500ms"], "--until 0.5s: in {}/aside.json it is 1 s already"),
        (["--resume", "{}/aside.json", "--seed", "5"], "with the seed 0, and here it is 5"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_runs(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a reason and status 2."""
    story = tmp_path / "story.yaml"
    story.write_text(SMALL.replace("article/", f"{STORIES}/article/"), "utf-8")
    assert run(story, "--until", "1s", "--save", tmp_path / "aside.json")[0] == 0
    monkeypatch.setattr(Simulation, "run", lambda *_: pytest.fail("something ran"))
    code, out, err = run(story, *(one.format(tmp_path) for one in options))
    assert (code, out) == (2, "")
    assert said.format(tmp_path) in err


def test_what_was_put_aside_before_stays_until_the_next_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk half-way through: status 2, and the old file."""
    story, file = tmp_path / "story.yaml", tmp_path / "aside.json"
    story.write_text(SMALL.replace("article/", f"{STORIES}/article/"), "utf-8")
    assert run(story, "--until", "1s", "--save", file)[0] == 0
    good, write = file.read_bytes(), Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        write(self, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = run(story, "--resume", file, "--save", file)
    assert (code, err) == (2, f"meshroute: {file}: No space left on device\n")
    assert file.read_bytes() == good
    assert sorted(one.name for one in tmp_path.iterdir()) == ["aside.json", "story.yaml"]
