"""A story told: every run, every repeat, and what is beside formulas.

Inputs    a Story; who looks at the progress, and who may say that it is enough.
Exactness repeat number r has the story's seed plus r, modulo 2^64. Only the first keeps its buckets.
Errors    none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from meshroute.simulate.loop import Simulation
from meshroute.simulate.promised import Promise
from meshroute.simulate.promises import LOOKS, promises
from meshroute.simulate.saving import Seen, Stand
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Columns, Result


class ToldRun(msgspec.Struct, frozen=True):
    """One run: its name, its results (the first with all buckets), and what stands beside formulas."""

    name: str
    results: tuple[Result, ...]
    promises: tuple[Promise, ...]


class Told(msgspec.Struct, frozen=True):
    """All that a story came to. `partial` where somebody said that it was enough before its end."""

    title: str
    partial: bool
    runs: tuple[ToldRun, ...]

    def to_builtins(self) -> dict[str, Any]:
        """Plain JSON values; of repeats, how many there were."""
        return {
            "title": self.title,
            "partial": self.partial,
            "runs": [
                {
                    "name": one.name,
                    "repeats": len(one.results),
                    "promises": msgspec.to_builtins(one.promises),
                    "result": msgspec.to_builtins(one.results[0]) if one.results else None,
                }
                for one in self.runs
            ],
        }

    def table(self) -> dict[str, list[Any]]:
        """All columns: a row for each run, pod and bucket. Of repeats, the first."""
        found: dict[str, list[Any]] = {name: [] for name in ("run", "partial", *Columns.__struct_fields__)}
        for one in self.runs:
            for result in one.results[:1]:
                rows = len(result.columns.pod)
                found["run"] += [one.name] * rows
                found["partial"] += [result.partial] * rows
                for name in Columns.__struct_fields__:
                    found[name] += getattr(result.columns, name)
        return found

    def to_csv(self) -> str:
        """The table, with the names of its columns above; `partial` is 0 or 1."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        table = self.table()
        writer.writerow(table)
        table["partial"] = [int(one) for one in table["partial"]]
        writer.writerows(zip(*table.values(), strict=True))
        return out.getvalue()


def tell(
    story: Story,
    progress: Callable[[float], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    *,
    until: int | None = None,
    stood: Sequence[Sequence[Stand]] = (),
    stands: list[list[Stand]] | None = None,
) -> Told:
    """Let a story happen. `progress` hears how much of it is done, from 0 to 1; `stop` is asked as often.

    With `until`, in microseconds, each simulation ends there. `stood` is where those of each run stood when they were
    put aside; into `stands` goes where they stand in the end. Raises ValueError for what cannot be taken up.
    """
    goals = [run.scenario.until if until is None else min(until, run.scenario.until) for run in story.runs]
    whole = sum(goals) * story.repeats
    done, enough, told = 0, False, []
    for place, (run, goal) in enumerate(zip(story.runs, goals, strict=True)):
        before = stood[place] if place < len(stood) else ()
        results: list[Result] = []
        now: list[Stand] = []
        looks = LOOKS in story.shows
        seen: tuple[Seen, ...] = ()
        for number in range(story.repeats):
            stand = before[number] if number < len(before) else None
            if not number and stand is not None:
                seen = stand.seen
            if stand is not None and stand.result is not None:
                results.append(stand.result)
                now.append(stand)
                done += goal
                continue
            if enough and stand is None:
                break
            simulation = _begun(run, number, stand)

            def watch(simulation: Simulation = simulation, before: int = done) -> bool:
                progress((before + simulation.now) / whole)
                return stop()

            if not enough:
                if looks and not number:
                    seen = _looked_at(simulation, seen, goal, watch)
                else:
                    simulation.run(goal, stop=watch)
                enough = simulation.now < goal or stop()
            done += goal
            progress(done / whole)
            result = simulation.result()
            # Means are over simulations that came equally far; the first one is shown in any case.
            if simulation.now >= goal or not results:
                results.append(result)
            if stands is not None:
                whose = () if number else seen
                now.append(
                    Stand(simulation.now, result, seen=whose)
                    if simulation.finished
                    else Stand(simulation.now, snapshot=msgspec.Raw(simulation.snapshot()), seen=whose)
                )
        if stands is not None:
            stands.append(now)
        told.append(ToldRun(run.name, tuple(results), promises(story, run, results, seen)))
    missing = any(len(one.results) < story.repeats or any(each.partial for each in one.results) for one in told)
    return Told(story.title, missing, tuple(told))


def _begun(run: Run, number: int, stand: Stand | None) -> Simulation:
    """The simulation of a repeat, from its start or where it stood."""
    scenario = replace(run.scenario, seed=(run.scenario.seed + number) % 2**64)
    if number:
        scenario = replace(scenario, bucket=scenario.until)
    if stand is None:
        return Simulation(scenario)
    return Simulation.resume(scenario, bytes(stand.snapshot))


def _looked_at(simulation: Simulation, seen: tuple[Seen, ...], goal: int, stop: Callable[[], bool]) -> tuple[Seen, ...]:
    """Run to the goal, and look at whom proxies have put aside when each bucket begins."""
    width, found = simulation.scenario.bucket, list(seen)
    while True:
        due = simulation.now // width + 1  # how many have begun
        found += [None] * (due - 1 - len(found))  # before it was put aside, when nobody looked
        if len(found) < due:
            found.append(_aside(simulation) if simulation.now % width == 0 else None)
        if simulation.now >= goal:
            return tuple(found)
        to = min(goal, due * width)
        simulation.run(to, stop=stop)
        if simulation.now < to or stop():
            return tuple(found)


def _aside(simulation: Simulation) -> Seen:
    """Whom all proxies have put aside."""
    found = {
        tuple(sorted((name, key) for name, keys in aside.items() for key in keys))
        for aside in simulation.aside().values()
    }
    return found.pop() if len(found) == 1 else None
