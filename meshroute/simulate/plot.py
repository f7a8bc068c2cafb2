"""Pictures of stories, to be read without the text: what happened over time, and what it came to.

Inputs    a story and what it came to; a file whose name ends in .png or .svg. Needs the extra `plot`.
Exactness the same numbers, the same SVG with one version of matplotlib.
Errors    ValueError for a file of another kind; OSError where it cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise ModuleNotFoundError(
        'pictures need the extra `plot`: pip install "meshroute[plot]"', name="matplotlib"
    ) from None

from meshroute.simulate.model import SECOND
from meshroute.simulate.promised import grouped
from meshroute.simulate.promises import BUSIEST, EVERYTHING
from meshroute.simulate.story import Story
from meshroute.simulate.tally import Result
from meshroute.simulate.telling import Told, ToldRun

MOST_NAMES: Final = 9
MOST_WORDS: Final = 4
"""What formulas say beside shares; each is broken into lines of `WIDTH` letters."""
WIDTH: Final = 54
KINDS: Final = (".png", ".svg")
_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#B8A500")
"""Told apart by people who see fewer colours (after Okabe and Ito)."""
_NOT_IN_WORDS: Final = ("share of ", "chance that ", "standard deviation ", "coefficient ")
"""What is drawn, or says nothing of one run."""
_INK, _FAINT = "#222222", "#BBBBBB"
_WORDS: Final[Mapping[str, str]] = {
    "requests": "requests per second",
    "concurrency": "requests at once",
    "p50": "median latency, ms",
    "p90": "90% faster than, ms",
    "p99": "99% faster than, ms",
    "errors": "errors per second",
    "moved": "moved users per second",
}


def plot(story: Story, told: Told, path: str | Path) -> None:
    """Draw the story into a file. Raises ValueError and OSError."""
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"a picture's name ends in {' or '.join(KINDS)}, got `{path}`")
    with matplotlib.rc_context(
        {"font.size": 10, "svg.hashsalt": "meshroute", "svg.fonttype": "none", "axes.spines.top": False}
    ):
        figure = _figure(story, told)
        figure.savefig(path, dpi=130, metadata={"Date": None} if kind == ".svg" else {"Software": None})


def _figure(story: Story, told: Told) -> Figure:
    runs = [one for one in told.runs if one.results]
    figure = Figure(figsize=(11.5, 1.1 + 3.0 * max(1, len(runs))), layout="constrained")
    figure.suptitle(story.title + ("  (interrupted: partial)" if told.partial else ""), fontsize=14, weight="bold")
    if not runs:
        figure.text(0.5, 0.5, "nothing happened", ha="center")
        return figure
    axes = figure.subplots(len(runs), 2, width_ratios=(1.9, 1), squeeze=False)
    top = 0.0
    for row, one in zip(axes, runs, strict=True):
        top = max(top, _over_time(row[0], story, one))
        _in_all(row[1], story, one)
    for row, one in zip(axes, runs, strict=True):
        row[0].set_ylim(0, top * 1.08 or 1)
        _name_lines(row[0], story, one, top * 1.08 or 1)
    changes = any(_changes(story, one) for one in runs)
    axes[-1][0].set_xlabel("seconds" + ("   (┆ something changes)" if changes else ""))
    return figure


def _over_time(axes: Axes, story: Story, run: ToldRun) -> float:
    """Lines over time. Returns the greatest value."""
    result, top = run.results[0], 0.0
    for number, pods in enumerate(grouped(story, [one.pod for one in result.totals]).values()):
        at, values = series(result, pods, story.plot)
        colour = _COLOURS[number % len(_COLOURS)]
        if len(at) > 1:
            # A value holds for its whole bucket.
            axes.step([*at, result.end / SECOND], [*values, values[-1]], where="post", color=colour, lw=2)
        else:
            axes.plot(at, values, "o", color=colour)
        top = max(top, *(one for one in values if one == one), 0.0)  # what is not a number is no value
    marked = story.plot == "requests" and _promised_lines(axes, run)
    for change in _changes(story, run):
        axes.axvline(change, color=_FAINT, lw=1, ls="--", zorder=0)
    if run.name != story.title:
        axes.set_title(run.name, loc="left", weight="bold", color=_INK)
    axes.set_ylabel(_WORDS[story.plot] + ("\n(┄ formula)" if marked else ""))
    axes.spines["right"].set_visible(False)
    axes.grid(axis="y", color="#EEEEEE")
    axes.margins(x=0)
    return top


def _promised_lines(axes: Axes, run: ToldRun) -> bool:
    """What formulas say of a group's share at certain times, as requests per second. Whether there is any."""
    result, marked = run.results[0], False
    made: dict[int, int] = {}
    for start, requests in zip(result.columns.start, result.columns.requests, strict=True):
        made[start] = made.get(start, 0) + requests
    for one in run.promises:
        for begin, end in one.spans if one.promised is not None else ():
            some = [made[start] for start in made if begin <= start and start + result.bucket <= end]
            if some and one.promised is not None:
                marked = True
                level = one.promised * sum(some) / len(some) * SECOND / result.bucket
                axes.hlines(level, begin / SECOND, end / SECOND, colors=_INK, lw=1.1, ls=(0, (3, 2)), zorder=3)
    return marked


def _changes(story: Story, run: ToldRun) -> list[float]:
    """When something changes, in seconds."""
    (scenario,) = (one.scenario for one in story.runs if one.name == run.name)
    return [one.at / SECOND for one in scenario.changes if one.at < run.results[0].end]


def _name_lines(axes: Axes, story: Story, run: ToldRun, top: float) -> None:
    """Names beside where the lines end, spread so that none covers another."""
    ends = []
    groups = grouped(story, [one.pod for one in run.results[0].totals])
    for number, (name, pods) in enumerate(zip(short(list(groups)), groups.values(), strict=True)):
        _, values = series(run.results[0], pods, story.plot)
        last = [one for one in values[-max(1, len(values) // 20) :] if one == one]
        ends.append((sum(last) / len(last) / top if last else 0.0, name, _COLOURS[number % len(_COLOURS)]))
    ends.sort(key=lambda one: one[0])
    if len(ends) > MOST_NAMES:
        left = len(ends) - MOST_NAMES
        ends = [(0.0, f"and {left} more", _INK), *ends[left:]]
    step, heights = 0.085, list[float]()
    for height, _, _ in ends:
        heights.append(max(height, heights[-1] + step if heights else 0.0))
    over = max(0.0, heights[-1] - 1.0) if heights else 0.0
    for place in range(len(heights) - 1, -1, -1):
        # Whoever was pushed over the top pushes those below it down.
        ceiling = 1.0 - step * (len(heights) - 1 - place)
        heights[place] = min(heights[place], ceiling) if over else heights[place]
    for (_, name, colour), height in zip(ends, heights, strict=True):
        axes.annotate(
            name,
            (1.01, height),
            xycoords="axes fraction",
            color=colour,
            fontsize=9,
            va="center",
            weight="bold",
            annotation_clip=False,
        )


def short(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them begin with.

    >>> short(["web-r54pj-4rzhg", "web-r54pj-d6hnc"]), short(["v1", "v2"]), short(["web-1"])
    (['4rzhg', 'd6hnc'], ['v1', 'v2'], ['web-1'])
    """
    if len(names) < 2:
        return list(names)
    words = [one.split("-") for one in names]
    same = 0
    while all(len(one) > same + 1 and one[same] == words[0][same] for one in words):
        same += 1
    return ["-".join(one[same:]) for one in words]


def series(result: Result, pods: set[str], what: str) -> tuple[list[float], list[float]]:
    """Seconds and values of some pods together; of latencies the worst, and nothing where nothing ended."""
    columns = result.columns
    found: dict[int, list[float]] = {}
    for number, pod in enumerate(columns.pod):
        if pod in pods:
            value = getattr(columns, what)[number]
            found.setdefault(columns.start[number], []).extend([] if value is None else [float(value)])
    at, values = [], []
    for start, some in sorted(found.items()):
        width = min(result.bucket, result.end - start) / SECOND
        if width <= 0:
            continue
        at.append(start / SECOND)
        if what in ("p50", "p90", "p99"):
            values.append(max(some) / 1000 if some else float("nan"))
        else:
            values.append(sum(some) / (1 if what == "concurrency" else width))
    return at, values


def _in_all(axes: Axes, story: Story, run: ToldRun) -> None:
    """On the right: shares of all requests, and what formulas say."""
    if len(run.results) > 1:
        _chances(axes, story, run)
        return
    result = run.results[0]
    groups = grouped(story, [one.pod for one in result.totals])
    total = sum(one.requests for one in result.totals)
    names = list(groups)[:12]
    shares = [
        sum(one.requests for one in result.totals if one.pod in groups[name]) / total if total else 0.0
        for name in names
    ]
    colours = [_COLOURS[number % len(_COLOURS)] for number in range(len(names))]
    axes.barh(range(len(names)), shares, color=colours, height=0.62)
    promised = {
        name: one.promised
        for one in run.promises
        if one.what.startswith("share of ") and (name := one.what.removeprefix("share of ")) in groups
    }
    marked, widest = False, max([*shares, *(one or 0.0 for one in promised.values()), 0.05])
    for number, (name, share) in enumerate(zip(names, shares, strict=True)):
        said = promised.get(name)
        # Beside the line of the formula, not under it.
        close = said is not None and share <= said < share + widest * 0.22
        axes.text(
            (said if close and said is not None else share) + widest * 0.03,
            number,
            f"{share:.1%}",
            va="center",
            color=_INK,
        )
        if said is not None:
            marked = True
            axes.plot([said, said], [number - 0.42, number + 0.42], color=_INK, lw=2)
    axes.set_yticks(range(len(names)), short(list(groups))[: len(names)])
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.25)
    axes.xaxis.set_visible(False)
    for side in ("right", "bottom"):
        axes.spines[side].set_visible(False)
    words = ["share of all requests" + ("  (│ formula)" if marked else ""), *_in_words(run)]
    axes.set_title("\n".join(words), loc="left", color=_INK, fontsize=10 if len(words) == 1 else 8.5)


def _in_words(run: ToldRun) -> list[str]:
    """The first of what formulas say that is no share."""
    found = []
    for one in run.promises:
        if one.what.startswith(_NOT_IN_WORDS) or one.measured is None:
            continue
        said = "" if one.promised is None else f" (formula {one.promised:.4g})"
        found.append(fill(f"{one.what}: {one.measured:.4g}{said}", WIDTH))
    return found[:MOST_WORDS]


def _chances(axes: Axes, story: Story, run: ToldRun) -> None:
    """How often it came to which share, over all repeats: that of the last group, or of the busiest pod."""
    shares = []
    groups = grouped(story, [one.pod for one in run.results[0].totals])
    name, some = list(groups.items())[-1] if story.groups else ("", set[str]())
    for result in run.results:
        total = sum(one.requests for one in result.totals)
        if total and some:
            shares.append(sum(one.requests for one in result.totals if one.pod in some) / total)
        elif total:
            shares.append(max(one.requests for one in result.totals) / total)
    # Bins around whole twentieths, so that nothing and everything have bins of their own.
    bins = [(number - 0.5) / 20 for number in range(22)]
    axes.hist(shares, bins=bins, color=_COLOURS[(len(groups) - 1) % len(_COLOURS) if some else 0], edgecolor="white")
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_yticks([])
    axes.set_ylabel("how often")
    for side in ("left", "right"):
        axes.spines[side].set_visible(False)
    said = [f"{f'share of {name}' if some else BUSIEST}, {len(run.results)} repeats"]
    for one in run.promises:
        if one.promised is None or one.measured is None:
            continue
        if one.what == (f"share of {name}" if some else BUSIEST):
            axes.axvline(one.promised, color=_INK, lw=2)
            said.append(f"mean: formula {one.promised:.1%} (│), measured {one.measured:.1%}")
        elif one.what == (f"chance that {name} gets nothing" if some else EVERYTHING):
            what = "nothing at all" if some else "all on one"
            said.append(f"{what}: formula {one.promised:.1%}, measured {one.measured:.1%}")
    axes.set_title("\n".join(said), loc="left", color=_INK, fontsize=10)
