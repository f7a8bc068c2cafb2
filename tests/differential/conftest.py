"""The seed of a run, and what it compared: printed at the end, so that a green run shows that it ran."""

from __future__ import annotations

import os
from collections import Counter
from random import SystemRandom
from typing import Final

import pytest

SEED_VARIABLE: Final = "MESHROUTE_DIFFERENTIAL_SEED"
ROUNDS_VARIABLE: Final = "MESHROUTE_DIFFERENTIAL_ROUNDS"
"""How often everything that is drawn is drawn anew, each time from the next seed; once, unless set."""


class Tally:
    """How much was compared, by what."""

    def __init__(self) -> None:
        self.seed: Final = int(os.environ.get(SEED_VARIABLE, SystemRandom().getrandbits(32)))
        self.counts: Final = Counter[str]()


_TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Tally()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """One for the whole run."""
    return pytestconfig.stash[_TALLY]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.stash[_TALLY].seed
        rounds = int(os.environ.get(ROUNDS_VARIABLE, "1"))
        metafunc.parametrize("seed", range(first, first + rounds), ids=[f"round{number}" for number in range(rounds)])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash[_TALLY]
    if tally.counts:
        counted = ", ".join(f"{count:,} {what}" for what, count in tally.counts.items())
        terminalreporter.write_line(f"compared with Envoy: {counted} ({SEED_VARIABLE}={tally.seed})")
