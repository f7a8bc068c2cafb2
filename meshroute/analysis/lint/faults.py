"""Faults that strike no request.

Source    spec/lint.md LINT-8, spec/rule.md RULE-7
Inputs    a mesh. Exactness: what is told can never strike; a fault of a rule that no request reaches is told with it.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.actions import fault_of
from meshroute.manifest.istio import HTTPFaultInjection, Percent, VirtualService
from meshroute.mesh import Mesh


def check_faults(mesh: Mesh) -> Iterator[Finding]:
    """Each delay and each abort by itself."""
    for virtual_service in mesh.resources:
        if not isinstance(virtual_service, VirtualService):
            continue
        for number, rule in enumerate(virtual_service.spec.http):
            for part, reason, help in _idle(rule.fault):
                yield found(
                    LintCode.FAULT_NEVER_FIRES,
                    f"the {part} strikes no request: {reason}",
                    virtual_service.at("spec", "http", number, "fault", part),
                    virtual_service.subject,
                    help=help,
                )


def _idle(fault: HTTPFaultInjection | None) -> Iterator[tuple[str, str, str]]:
    """The parts that never strike, why, and what would."""
    made = fault_of(fault)
    if fault is None:
        return
    if (delay := fault.delay) is not None and (made is None or made.delay is None):
        if delay.fixed_delay is None:
            yield "delay", "it has no `fixedDelay`", "fixedDelay: 5s"
        else:
            yield "delay", *_of_percentage(delay.percentage)
    if (abort := fault.abort) is not None and (made is None or made.abort is None):
        if abort.http_status is None and abort.grpc_status is None:
            yield "abort", "it has no status", "httpStatus: 503"
        else:
            yield "abort", *_of_percentage(abort.percentage)


def _of_percentage(percentage: Percent | None) -> tuple[str, str]:
    if percentage is None:
        return "it has no `percentage`, and without one none is struck", "percentage:\n  value: 100"
    return f"its percentage is {percentage.value:g}", "percentage:\n  value: 100"
