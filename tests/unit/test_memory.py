"""Deciding leaves nothing behind."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import meshroute as mr

CANARY = Path(__file__).parents[2] / "docs/examples/canary"


def test_a_million_decisions_leave_memory_flat() -> None:
    """Through a session that finishes what it starts: as many memory blocks after as before, but for a few."""
    session = mr.Session(mr.load(CANARY).router(), seed=3)
    requests = [mr.Request.of("GET", f"http://nginx-service/{n}", {"cookie": f"debug={n % 3}"}) for n in range(50)]

    def send(rounds: int) -> int:
        for _ in range(rounds):
            for request in requests:
                session.finish(session.decide(request))
        gc.collect()
        return sys.getallocatedblocks()

    before = send(20)  # whatever is built once is built by now
    assert send(20_000) - before < 100
    assert session.ordinal == 1_001_000
    assert session.state.active == {}
