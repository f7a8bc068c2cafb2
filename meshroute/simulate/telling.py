"""A story told: every run, every repeat, and what is beside formulas.

Inputs    a Story; who looks at the progress, and who may say that it is enough.
Exactness repeat number r has the story's seed plus r, modulo 2^64. Only the first keeps its buckets.
Errors    none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from meshroute.simulate.loop import Simulation
from meshroute.simulate.promises import Promise, promises
from meshroute.simulate.story import Story
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

    def to_csv(self) -> str:
        """One line for each run, pod and bucket, with the names of the columns above."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["run", "partial", *Columns.__struct_fields__])
        for one in self.runs:
            for result in one.results[:1]:
                columns = [getattr(result.columns, name) for name in Columns.__struct_fields__]
                for row in zip(*columns, strict=True):
                    writer.writerow([one.name, int(result.partial), *row])
        return out.getvalue()


def tell(
    story: Story, progress: Callable[[float], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
) -> Told:
    """Let a story happen. `progress` hears how much of it is done, from 0 to 1; `stop` is asked as often."""
    whole = sum(one.scenario.until for one in story.runs) * story.repeats
    done, enough, told = 0, False, []
    for run in story.runs:
        results: list[Result] = []
        for number in range(story.repeats):
            if enough:
                break
            scenario = replace(run.scenario, seed=(run.scenario.seed + number) % 2**64)
            if number:
                scenario = replace(scenario, bucket=scenario.until)
            simulation = Simulation(scenario)

            def watch(simulation: Simulation = simulation, before: int = done) -> bool:
                progress((before + simulation.now) / whole)
                return stop()

            simulation.run(stop=watch)
            enough = not simulation.finished or stop()
            done += scenario.until
            progress(done / whole)
            if simulation.finished or not results:
                results.append(simulation.result())
        told.append(ToldRun(run.name, tuple(results), promises(story, run, results)))
    missing = any(len(one.results) < story.repeats or any(each.partial for each in one.results) for one in told)
    return Told(story.title, missing, tuple(told))
