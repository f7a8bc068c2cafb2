"""What lint looks for in a mesh besides which rules are reached: one module for each theme.

Source    docs/lint, one page for each code; istio/istio: pkg/config/analysis; kiali/kiali: business/checkers
Inputs    a mesh. Exactness: where something that was not given could make it right, it is a note that says so, or
          nothing.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from meshroute.analysis.lint.checks.hashing import check_hashing
from meshroute.analysis.lint.checks.names import check_names
from meshroute.analysis.lint.checks.policies import check_policies
from meshroute.analysis.lint.checks.protocols import check_protocols
from meshroute.analysis.lint.checks.subsets import check_subsets
from meshroute.analysis.lint.checks.visibility import check_visibility
from meshroute.analysis.lint.checks.weights import check_weights
from meshroute.analysis.lint.checks.workloads import check_workloads
from meshroute.analysis.lint.checks.world import World
from meshroute.analysis.lint.finding import AnyCode, Finding
from meshroute.diagnostics import SourceRef
from meshroute.mesh import Mesh


class _Check(Protocol):
    def __call__(self, world: World, /) -> Iterable[Finding]: ...


_CHECKS: Final[tuple[_Check, ...]] = (
    check_names,
    check_subsets,
    check_weights,
    check_hashing,
    check_visibility,
    check_policies,
    check_protocols,
    check_workloads,
)


def check_mesh(mesh: Mesh) -> Iterator[Finding]:
    """Everything that the checks find; of one thing at one place the first."""
    world = World(mesh)
    said: set[tuple[AnyCode, SourceRef, str]] = set()
    for check in _CHECKS:
        for one in check(world):
            key = (one.code, one.at, one.subject)
            if key not in said:
                said.add(key)
                yield one
