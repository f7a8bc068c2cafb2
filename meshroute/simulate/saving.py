"""Stories put aside half-way, as files, and taken up again.

Inputs    a Story, and where each of its simulations stands; the bytes of such a file.
Exactness a story that is taken up ends like one that never was put aside, to the byte. So a file is only good for the
          same runs, seeds and version of meshroute. Titles, groups, pictures, formulas and repeats may be others.
Errors    ValueError for files of other stories and for broken ones: the message says what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import msgspec
from xxhash import xxh64_hexdigest

from meshroute.names import ClusterName, EndpointKey
from meshroute.router import Router
from meshroute.service_proxy import ServiceProxy
from meshroute.simulate.connections import ByKubeProxy, PerConnectionRandom
from meshroute.simulate.model import Scenario
from meshroute.simulate.story import Run, Story
from meshroute.simulate.tally import Result

FORMAT: Final = 1
_NOTHING: Final = msgspec.Raw(b"null")
_FIELDS: Final = {
    "clients": "clients",
    "target": "manifests, service, port or via",
    "until": "duration",
    "serving": "pods",
    "services": "service",
}
"""What the parts of a scenario are called in a story, where it is another word."""


Seen: TypeAlias = tuple[tuple[ClusterName, EndpointKey], ...] | None
"""Whom all proxies had put aside at one moment; None where they differed, or nobody looked."""


class Stand(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one repeat stands: how far it came, in microseconds, and what it came to, or, half-way, its simulation as
    `Simulation.snapshot` has it. `seen` is who was put aside when each bucket began, where a formula asks for it."""

    reached: int
    result: Result | None = None
    snapshot: msgspec.Raw = _NOTHING
    seen: tuple[Seen, ...] = ()


class _SavedRun(msgspec.Struct, frozen=True):
    """A run and its repeats, as far as they were begun. `parts` has a digest of each field of its scenario."""

    name: str
    seed: int
    parts: dict[str, str]
    stands: tuple[Stand, ...]


class _File(msgspec.Struct, frozen=True):
    """What is around them. `digest` is that of the text of `runs`."""

    format: int
    meshroute: str
    digest: str
    runs: msgspec.Raw


def put_aside(story: Story, stands: Sequence[Sequence[Stand]]) -> bytes:
    """Where a story stands, run by run and repeat by repeat, as JSON."""
    runs = tuple(
        _SavedRun(run.name, run.scenario.seed, _parts(run), tuple(some))
        for run, some in zip(story.runs, stands, strict=True)
    )
    body = msgspec.json.encode(runs)
    return msgspec.json.encode(_File(FORMAT, version("meshroute"), xxh64_hexdigest(body), msgspec.Raw(body)))


def taken_up(story: Story, saved: bytes) -> tuple[tuple[Stand, ...], ...]:
    """Where the same story stood. Raises ValueError for that of another one, and for what is none."""
    try:
        file = msgspec.json.decode(saved, type=_File)
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no simulation that was put aside, or only a part of one: {error}") from None
    if file.format != FORMAT:
        raise ValueError(f"put aside in format {file.format}; this is format {FORMAT}")
    if file.meshroute != version("meshroute"):
        raise ValueError(f"put aside by meshroute {file.meshroute}; this is {version('meshroute')}, which may differ")
    if xxh64_hexdigest(bytes(file.runs)) != file.digest:
        raise ValueError("what was put aside has been changed since")
    runs = msgspec.json.decode(file.runs, type=tuple[_SavedRun, ...])
    names, known = [one.name for one in runs], [one.name for one in story.runs]
    # A story without runs of its own has one that is called like it.
    if names != known and not len(names) == len(known) == 1:
        raise ValueError(f"put aside was another story: its runs are {_quoted(names)}, and here {_quoted(known)}")
    for saved_run, run in zip(runs, story.runs, strict=True):
        parts = _parts(run)
        differ = [_FIELDS.get(name, name) for name in parts if saved_run.parts.get(name) != parts[name]]
        if differ:
            raise ValueError(f"put aside was another story: the run `{run.name}` differs in {', '.join(differ)}")
        if saved_run.seed != run.scenario.seed:
            raise ValueError(
                f"put aside was the run `{run.name}` with the seed {saved_run.seed}, and here it is {run.scenario.seed}"
            )
    return tuple(one.stands for one in runs)


def _parts(run: Run) -> dict[str, str]:
    """A digest of each field of a scenario but its seed; whatever matters to the simulation is in one of them."""
    names = [one for one in Scenario.__struct_fields__ if one != "seed"]
    return {
        name: xxh64_hexdigest(msgspec.json.encode(getattr(run.scenario, name), enc_hook=_plain, order="deterministic"))
        for name in names
    }


def _plain(value: Any) -> Any:
    """What a value that decides is made of."""
    match value:
        case Router():
            return value.table
        case ByKubeProxy():
            return ["kube-proxy", value.service, value.port]
        case ServiceProxy():
            front, mode = value.front, value.kube_proxy
            return [front, mode, value.node, value.zone, value.inside, value.nodes, value.aliases]
        case PerConnectionRandom():
            return ["chance", value.name, value.endpoints]
        case _:
            raise TypeError(f"nobody knows how to write down {type(value).__name__}")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in names)
