"""How loading and compiling grow with a mesh: seconds, and the most memory that the process had.

Run it with `make scale`, or `python -m benchmarks.scale 1000 10000` for one size. Each size runs in a process of its
own, because memory that was used once is not given back.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from itertools import pairwise
from time import perf_counter

from benchmarks.worlds import world

SIZES = ((1_000, 10_000), (2_000, 20_000), (5_000, 50_000), (10_000, 100_000))
"""VirtualServices and pods."""
COLUMNS = ("VirtualServices", "pods", "MB of YAML", "read", "understand", "compile", "prepare", "all", "MiB at most")


def measure(virtual_services: int, pods: int) -> list[str]:
    """One size, in this process: the text to documents and resources, those to a mesh, the table, the router."""
    import meshroute as mr
    from meshroute.load import load_text

    text = "---\n".join(world(virtual_services, pods))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks = [perf_counter()]
    loaded = load_text(text, "world.yaml", namespace="default", strict=True, repair=False)
    marks.append(perf_counter())
    mesh = mr.Mesh(loaded.resources, loaded.diagnostics)
    marks.append(perf_counter())
    table = mesh.table(mr.Sidecar(namespace="team-0"))
    marks.append(perf_counter())
    router = mr.Router(table)
    marks.append(perf_counter())
    decision = router.decide(mr.Request.of("GET", "http://service-0/api/x", {"x-beta": "true"}))
    assert decision.subset == "v2", decision
    spans = [later - earlier for earlier, later in pairwise(marks)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return [
        f"{virtual_services:,}",
        f"{pods:,}",
        f"{len(text) / 1e6:.0f}",
        *(f"{span:.1f}" for span in spans),
        f"{sum(spans):.1f}",
        f"{peak // 1024:,}",
    ]


def main() -> None:
    """The sizes given, or all of them."""
    if len(sys.argv) == 3:
        print("\t".join(measure(int(sys.argv[1]), int(sys.argv[2]))))
        return
    print(" | ".join(COLUMNS))
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.scale", *map(str, size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(" | ".join(done.stdout.strip().split("\t")), flush=True)


if __name__ == "__main__":
    main()
