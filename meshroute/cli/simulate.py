"""The command `simulate`: a story from a file, as a table, JSON, CSV, Parquet and pictures.

Errors    exit status 2 for stories and files that cannot be used, 130 where somebody interrupts: what there is until
          then is written all the same, marked as partial.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from meshroute.cli import show
from meshroute.cli.common import Json, print_json, refuse
from meshroute.diagnostics import ManifestError, to_builtins
from meshroute.manifest.metadata import Duration
from meshroute.simulate.model import SECOND
from meshroute.simulate.saving import Stand, put_aside, taken_up
from meshroute.simulate.story import Story, load_story
from meshroute.simulate.telling import Told, ToldRun, tell

INTERRUPTED = 130
MOST_ROWS = 20


def simulate(
    story: Annotated[Path, typer.Argument(metavar="STORY.yaml", help="The story: see docs/simulate.md.")],
    seed: Annotated[
        int | None, typer.Option("--seed", help="Another seed than the story's.", min=0, max=2**64 - 1)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", help="Simulate so often, with seeds that follow each other.", min=1)
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write all columns there, a row for each pod and bucket."),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FILE", help="Write the same as a Parquet file."),
    ] = None,
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw a picture, .png or .svg; as often as needed.", show_default=False
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="End each simulation there, such as `10s`.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Put aside where everything stands in the end, Ctrl-C included."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Take up what was put aside, and go on.")
    ] = None,
    json: Json = False,
) -> None:
    """Simulate a story: who serves how much, how long it takes, and what the formula says.

    Example: meshroute simulate docs/examples/stories/keep-alive.yaml
    """
    read = _read(story, json)
    if seed is not None:
        runs = tuple(replace(one, scenario=replace(one.scenario, seed=seed)) for one in read.runs)
        read = replace(read, runs=runs)
    if repeats is not None:
        read = replace(read, repeats=repeats)
    draw, pack = _drawing(plot or ()), _packing(parquet)
    for file in (csv, parquet, save, *(plot or ())):
        _placed(file)
    goal = _goal(until, read)
    stood = _stood(resume, read, goal)
    stands = list[list[Stand]]()
    with _interruptible() as interrupted, _progress() as told_progress:
        try:
            told = tell(
                read, told_progress, interrupted, until=goal, stood=stood, stands=None if save is None else stands
            )
        except ValueError as error:
            if resume is None:
                raise
            refuse(f"--resume {resume}: {error}")
        stopped = interrupted()
    if save is not None:
        _written(save, lambda: _whole(save, put_aside(read, stands)))
    if csv is not None:
        _written(csv, lambda: csv.write_text(told.to_csv(), "utf-8", newline="\n"))
    if parquet is not None:
        _written(parquet, lambda: pack(told, parquet))
    for file in plot or ():
        _written(file, partial(draw, read, told, file))
    if json:
        said = [to_builtins(one) for one in read.diagnostics]
        print_json({**told.to_builtins(), "diagnostics": said})
    else:
        show.print_diagnostics(show.console(stderr=True), read.diagnostics, notes=False)
        _print(show.console(), told)
    err = show.console(stderr=True)
    if told.partial and stopped:
        err.print("meshroute: interrupted: this is what there was until then", markup=False)
    if told.partial and save is not None:
        err.print(f"meshroute: put aside in {save}: go on with --resume {save}", markup=False, soft_wrap=True)
    if told.partial and stopped:
        raise typer.Exit(INTERRUPTED)


def _read(path: Path, json: bool) -> Story:
    try:
        return load_story(path)
    except ManifestError as error:
        if json:
            print_json({"diagnostics": [to_builtins(one) for one in error.diagnostics]})
        else:
            to = show.console(stderr=True)
            show.print_diagnostics(to, error.diagnostics, notes=False)
            to.print(f"\nmeshroute: {path}: cannot be simulated", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _drawing(files: list[Path] | tuple[Path, ...]) -> Callable[[Story, Told, Path], None]:
    """What draws. Refused before anything is simulated: names of other kinds, and pictures without what draws them."""
    if not files:
        return lambda *_: None
    try:
        from meshroute.simulate.plot import KINDS, plot
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        refuse(f"--plot: {error.msg}")
    for file in files:
        if file.suffix.lower() not in KINDS:
            refuse(f"--plot {file}: the name of a picture ends in {' or '.join(KINDS)}")
    return plot


def _packing(file: Path | None) -> Callable[[Told, Path], None]:
    """What writes Parquet. Refused before anything is simulated where it is not there."""
    if file is None:
        return lambda *_: None
    try:
        from meshroute.simulate.parquet import write_parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        refuse(f"--parquet: {error.msg}")
    return write_parquet


def _placed(file: Path | None) -> None:
    """Refuse a file that cannot be written: better before a long simulation than after it."""
    if file is not None and file.is_dir():
        refuse(f"{file}: is a directory")
    if file is not None and not file.parent.is_dir():
        refuse(f"{file}: there is no directory {file.parent}")


def _goal(until: str | None, story: Story) -> int | None:
    """Where each simulation ends, in microseconds; None for its own end."""
    if until is None:
        return None
    try:
        nanoseconds = Duration.parse(until).nanoseconds
    except ValueError as error:
        refuse(f"--until {until}: {error}")
    if nanoseconds < 1000 or nanoseconds % 1000:
        refuse(f"--until {until}: must be a whole number of microseconds above 0")
    longest = max(one.scenario.until for one in story.runs)
    if nanoseconds // 1000 > longest:
        refuse(f"--until {until}: is behind the end of the story, at {longest / SECOND:g} s")
    return nanoseconds // 1000


def _stood(file: Path | None, story: Story, goal: int | None) -> Sequence[Sequence[Stand]]:
    """Where the story stood when it was put aside; nowhere where it was not."""
    if file is None:
        return ()
    try:
        stood = taken_up(story, file.read_bytes())
    except (OSError, ValueError) as error:
        refuse(f"--resume {file}: {getattr(error, 'strerror', None) or error}")
    furthest = max((one.reached for some in stood for one in some), default=0)
    if goal is not None and furthest > goal:
        refuse(f"--until {goal / SECOND:g}s: in {file} it is {furthest / SECOND:g} s already")
    return stood


def _whole(path: Path, data: bytes) -> None:
    """Write a file at one go: what was put aside there before stays until all of it is written."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _written(path: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        refuse(f"{path}: {error.strerror or error}")


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C ends the simulation between two events; the second one is Python's own."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, and nothing anywhere else."""
    to = show.console(stderr=True)
    if not to.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=to, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done: bar.update(task, completed=done)


# Tables


def _print(to: Console, told: Told) -> None:
    to.print(told.title + (" (partial)" if told.partial else ""), markup=False, style="bold")
    for one in told.runs:
        to.print()
        if len(told.runs) > 1 or one.name != told.title:
            to.print(one.name, markup=False, style="bold")
        if not one.results:
            to.print("not begun", markup=False)
            continue
        _print_pods(to, one)
        _print_promises(to, one)


def _print_pods(to: Console, run: ToldRun) -> None:
    result = run.results[0]
    outcomes = ", ".join(f"{count:,} {word}" for word, count in result.outcomes.items()) or "nobody asked"
    of = f", the first of {len(run.results)} repeats" if len(run.results) > 1 else ""
    to.print(f"{result.end / 1_000_000:g} s{of}: {result.made:,} requests: {outcomes}", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("pod")
    for name in ("requests", "share", "errors", "at once", "p50 ms", "p90 ms", "p99 ms", "moved"):
        table.add_column(name, justify="right")
    total = sum(one.requests for one in result.totals)
    for one in result.totals[:MOST_ROWS]:
        share = f"{one.requests / total:.1%}" if total else "–"
        times = [("–" if each is None else f"{each / 1000:,.1f}") for each in (one.p50, one.p90, one.p99)]
        table.add_row(
            one.pod, f"{one.requests:,}", share, f"{one.errors:,}", f"{one.concurrency:.2f}", *times, f"{one.moved:,}"
        )
    to.print(table)
    if len(result.totals) > MOST_ROWS:
        to.print(f"and {len(result.totals) - MOST_ROWS} more pods: --csv has all of them", markup=False)


def _print_promises(to: Console, run: ToldRun) -> None:
    if not run.promises:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("formula")
    for name in ("says", "measured"):
        table.add_column(name, justify="right")
    for one in run.promises:
        table.add_row(
            one.what, one.formula, *("–" if each is None else f"{each:.4g}" for each in (one.promised, one.measured))
        )
    to.print(table)
