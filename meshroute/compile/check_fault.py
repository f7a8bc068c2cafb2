"""Faults of manifests, and what manifests of several kinds have in common: ports, durations, labels, `exportTo`.

Source    spec/validate.md CHECK-14, CHECK-19, CHECK-20; istio/istio: pkg/config/validation/validation.go
          (validateExportTo, validateMetadata, ValidateAlphaWorkloadSelector), agent/validation.go (ValidatePort)
Inputs    parts of manifests that the schema took. Exactness: what Istio's webhook refuses is an error, what it accepts
          is not.
Errors    none: the answer is faults with their field paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from meshroute.compile.check_names import is_label, label_fault
from meshroute.diagnostics import FieldPath
from meshroute.manifest.metadata import Duration, Resource

MILLISECOND: Final = 1_000_000
UNIX: Final = "unix://"
_ALL: Final = "*"
_NOBODY: Final = "~"
_OWN: Final = "."
_RESERVED: Final = (
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/parents",
    "istio.io/dry-run",
)
"""Annotations that resources of routing cannot have; the last is for AuthorizationPolicies."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong at a place below `spec`. `warns`: Istio takes it, and says that it should be otherwise."""

    path: FieldPath
    reason: str
    help: str = ""
    warns: bool = False


def annotation_faults(resource: Resource) -> Iterator[tuple[FieldPath, str]]:
    """Annotations that are not for people to write: the place in the resource, and what is wrong."""
    if not any("istio.io" in version for version in resource.api_versions):
        return  # Istio is asked about its own kinds only
    for name in _RESERVED:
        if name in resource.metadata.annotations:
            yield ("metadata", "annotations", name), f"the annotation `{name}` cannot be here"


def port_faults(port: int, here: FieldPath) -> Iterator[Fault]:
    """A port that there cannot be."""
    if not 1 <= port <= 65535:
        yield Fault(here, f"a port is from 1 to 65535, got {port}")


def span_faults(span: Duration | None, here: FieldPath) -> Iterator[Fault]:
    """A duration that is finer than Istio takes. That it has at least a millisecond is the schema's."""
    if span is not None and span.nanoseconds % MILLISECOND:
        yield Fault(here, f"`{span}` is no whole number of milliseconds")


def labels_faults(labels: Mapping[str, str], here: FieldPath) -> Iterator[Fault]:
    """Labels that no workload can have."""
    for key, value in labels.items():
        if fault := label_fault(key, value):
            yield Fault((*here, key), fault)


def selector_faults(labels: Mapping[str, str], here: FieldPath) -> Iterator[Fault]:
    """Labels to choose by: whole ones, and a warning where there are none, because all workloads have those."""
    for key, value in labels.items():
        if not key:
            yield Fault((*here, key), "a label to choose by needs a name")
        if _ALL in key or _ALL in value:
            yield Fault((*here, key), f"`{key}: {value}` has a wildcard, and labels are compared as they are")
    if not labels:
        yield Fault(here[:-1], "a selector without labels chooses every workload of the namespace", warns=True)


def export_faults(
    names: Sequence[str], namespace: str, *, nobody: bool = False, selects: bool = False
) -> Iterator[Fault]:
    """Who sees a resource of a namespace. `nobody`: it may be hidden with `~`; `selects`: it is for clients with some
    labels, and those are of its own namespace."""
    seen: set[str] = set()
    for number, written in enumerate(names):
        here = ("exportTo", number)
        name = namespace if written == _OWN else written
        if name in seen:
            yield Fault(here, f"`{written}` is there already", "name each namespace once; `.` is the own one")
        elif name in (_ALL, *((_NOBODY,) if nobody else ())) or is_label(name):
            seen.add(name)
        elif name == _NOBODY:
            yield Fault(here, "`~`, nobody, is for ServiceEntries only", "write `.` for the own namespace")
        else:
            yield Fault(here, f"`{written}` is no namespace", "write a namespace, `.` for the own one or `*` for all")
    if selects and seen and seen != {namespace}:
        reason = "with a `workloadSelector` a rule is for its own namespace"
        yield Fault(("exportTo",), reason, "write `exportTo: [.]`, or leave it out")
    for wide, whom in ((_ALL, "everybody"), (_NOBODY, "nobody")):
        if wide in seen and len(names) > 1:
            yield Fault(("exportTo",), f"`{wide}` is {whom}, and stands alone", "keep one of them")


def unix_faults(address: str, here: FieldPath) -> Iterator[Fault]:
    """The path behind `unix://`: of a file, or the name of an abstract socket behind `@`."""
    path = address.removeprefix(UNIX)
    if not path.startswith(("/", "@")) or path.endswith("/"):
        yield Fault(here, f"`{address}` is no absolute path to a file, and no name behind `@`")


def number_of(text: str) -> int | None:
    """A whole number as Go reads one; None for anything else."""
    with suppress(ValueError):
        if text.lstrip("+-").isascii() and text.lstrip("+-").isdigit():
            return int(text)
    return None
