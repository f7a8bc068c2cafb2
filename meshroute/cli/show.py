"""Printing: decisions, tables of many, diagnostics. Readable without colour; no colour where it is piped.

Inputs    values of the library. Errors    none.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from meshroute.analysis.moved import Moved
from meshroute.cli import words
from meshroute.connection import Connected
from meshroute.decision import Decision, Failed, Forwarded, timeout_of
from meshroute.diagnostics import Diagnostic, Severity, render
from meshroute.names import unwire
from meshroute.request import Request
from meshroute.shares import Shares
from meshroute.trace import Step

BAR_WIDTH: Final = 24
PIPED_WIDTH: Final = 200
"""Columns where nobody's terminal says how many: wide enough that a pod's name is never cut."""

PAGE_WIDTH: Final = 80
"""Columns of a page of findings, where nobody's terminal says how many."""

COLOURS: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or standard error, as wide as the terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


def print_diagnostics(to: Console, diagnostics: Sequence[Diagnostic], *, notes: bool) -> None:
    """Errors and warnings in full; notes too if asked for, else how many there are."""
    for one in diagnostics:
        if one.severity is Severity.NOTE and not notes:
            continue
        first, *rest = render(one).split("\n")
        label = f"{one.severity}[{one.code}]"
        before, _, after = first.partition(label)
        colour = COLOURS[one.severity]
        to.print(f"{escape(before)}[{colour}]{escape(label)}[/]{escape(after)}", soft_wrap=True)
        for line in rest:
            to.print(f"[dim]{escape(line)}[/]", soft_wrap=True)
    hidden = 0 if notes else sum(one.severity is Severity.NOTE for one in diagnostics)
    if hidden:
        to.print(f"[dim]{hidden} note{'s' if hidden > 1 else ''} not shown: --notes shows them[/]", soft_wrap=True)


def width() -> int:
    """Columns of a page of findings: those of the terminal."""
    return Console().width if sys.stdout.isatty() else PAGE_WIDTH


_LABEL: Final = re.compile(r"(  )((error|warning|note)\[[a-z0-9-]+\])(: .*)")
_GUTTER: Final = re.compile(r"( *\d* \| )( *\^+)")


def print_findings(to: Console, page: str) -> None:
    """A page of findings, in colour where there is any."""
    for line in page.splitlines():
        if label := _LABEL.fullmatch(line):
            colour = COLOURS[Severity(label[3])]
            to.print(f"{label[1]}[{colour}]{escape(label[2])}[/]{escape(label[4])}", soft_wrap=True)
        elif under := _GUTTER.fullmatch(line):
            to.print(f"[dim]{under[1]}[/][bold red]{under[2]}[/]", soft_wrap=True)
        else:
            to.print(line, markup=False, soft_wrap=True)


def print_decision(to: Console, decision: Decision, asked: Request) -> None:
    """One decision: what was asked, what becomes of it, by which rule, and the steps if it was explained."""
    colour = "bold red" if isinstance(decision.outcome, Failed) else "bold green"
    request = escape(f"{asked.method} {asked.url}")
    to.print(f"{request}\n[{colour}]→ {escape(words.outcome(decision))}[/]", soft_wrap=True)
    facts = [("rule", words.rule(decision.rule, decision.route))]
    if decision.subset:
        facts.append(("subset", decision.subset))
    if decision.cluster:
        facts.append(("cluster", decision.cluster))
    if isinstance(decision.outcome, Forwarded):
        facts.extend(("sends", line) for line in words.sent(asked, decision.request))
    if decision.delay:
        facts.append(("delay", f"{decision.delay} ms"))
    for copy in decision.mirrors:
        where = copy.endpoint.workload or copy.endpoint.key
        facts.append(("copy", f"{where} in {copy.cluster}, as {unwire(copy.request.authority + copy.request.path)}"))
    if timeout := timeout_of(decision.action):
        facts.append(("timeout", f"{timeout} ms"))
    facts.extend(("answer", f"{name}: {unwire(value)}") for name, value in decision.response_headers)
    facts.extend(("changes", words.change(level)) for level in decision.edits.levels)
    facts.extend(("sets", f"{name}: {unwire(value)}") for name, value in decision.edits.lines)
    _print_facts(to, facts, decision.trace)


def print_connected(to: Console, connected: Connected, *, by_node: bool = False) -> None:
    """One connection: where it goes, by which chain, and the steps. Of a node's own, no rule is told: it has none."""
    colour = "bold red" if isinstance(connected.outcome, Failed) else "bold green"
    asked = escape(words.connection(connected.connection))
    to.print(f"{asked}\n[{colour}]→ {escape(words.outcome(connected))}[/]", soft_wrap=True)
    facts = [
        ("chain", connected.chain) if by_node else ("rule", words.rule(connected.rule, connected.chain, "chain")),
        ("subset", connected.subset or ""),
        ("counts" if by_node else "cluster", connected.cluster or ""),
    ]
    _print_facts(to, [one for one in facts if one[1]], connected.trace)


def _print_facts(to: Console, facts: Sequence[tuple[str, str]], trace: Sequence[Step]) -> None:
    for name, value in facts:
        to.print(f"  [dim]{name:<8}[/] {escape(value)}", soft_wrap=True)
    if trace:
        to.print("  [dim]why[/]")
        for number, one in enumerate(trace, start=1):
            to.print(f"  {number:>4}. {escape(words.step(one))}", soft_wrap=True)


Line = tuple[str, str, str]
"""What many requests are counted by: rule, subset, where they went."""


def line_of(decision: Decision) -> Line:
    """What a decision is counted by."""
    ref = decision.rule
    return (
        f"{ref.name} {ref.path}" if ref else (decision.route or "none"),
        decision.subset or "-",
        decision.pod or words.outcome(decision),
    )


def print_counts(to: Console, counts: Counter[Line]) -> None:
    """A table of where many requests went, with bars."""
    total = counts.total()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "subset", "to"):
        table.add_column(name, overflow="fold")
    table.add_column("requests", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    most = max(counts.values())
    for (rule, subset, where), count in sorted(counts.items()):
        bar = "█" * max(1, round(BAR_WIDTH * count / most))
        table.add_row(escape(rule), escape(subset), escape(where), f"{count:,}", f"{100 * count / total:.2f}%", bar)
    by_subset: Counter[str] = Counter()
    for (_, subset, _), count in counts.items():
        by_subset[subset] += count
    to.print(table)
    if len(by_subset) > 1:
        shares = ", ".join(f"{subset} {count:,}" for subset, count in sorted(by_subset.items()))
        to.print(f"[dim]by subset:[/] {escape(shares)}")


def print_shares(to: Console, asked: str, answer: Shares, *, by_node: bool = False) -> None:
    """Exact probabilities as a table with bars: by outcome where it is not all one, by rule, by subset, by pod or,
    where none takes part, by cluster; then how many copies go where. Of a node's own, whole fractions."""
    of = "the next request" if answer.horizon == "next" else "many requests in the long run"
    if by_node:
        of = of.replace("request", "connection")
    to.print(f"{escape(asked)}\n[dim]of {of}[/]", soft_wrap=True)
    outcomes = {
        "forwarded" if isinstance(outcome, Forwarded) else words.outcome_of(outcome): share
        for outcome, share in answer.by_outcome.items()
    }
    copies = {f"{endpoint} in {cluster}": share for (cluster, endpoint), share in answer.by_mirror.items()}
    for title, shares in (
        ("outcome", outcomes),
        ("rule", answer.by_rule),
        ("subset", answer.by_subset),
        ("pod", answer.pods) if any(answer.pods) else ("cluster", answer.by_cluster),
        ("copies to", copies),
    ):
        if by_node and title in ("rule", "subset"):  # a node has neither
            continue
        if not shares or (title == "outcome" and len(shares) == 1 and Forwarded() in answer.by_outcome):
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(title, overflow="fold")
        table.add_column("share", justify="right")
        table.add_column("exactly", overflow="fold")
        table.add_column("")
        for name, share in sorted(shares.items(), key=lambda one: (-one[1], str(one[0]))):
            bar = "█" * max(1, round(BAR_WIDTH * share))
            exactly = str(share) if by_node else words.fraction(share)
            table.add_row(escape(str(name or "none")), words.percent(share), exactly, bar)
        to.print()
        to.print(table)
    if answer.remembers and answer.horizon == "next":
        to.print("\n[dim]This goes by what was picked before: --long-run for many requests[/]")


def print_moved(to: Console, cluster: str, answer: Moved) -> None:
    """The share of keys that move, and each flow."""
    moved = f"{words.percent(answer.total)} of all keys change their pod"
    to.print(f"{escape(cluster)}\n[bold]{moved}[/] ({escape(words.fraction(answer.total))})\n", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("from", "to"):
        table.add_column(name, overflow="fold")
    table.add_column("keys", justify="right")
    table.add_column("")
    for (was, now), share in answer.flows.items():
        names = [(answer.workloads.get(key) or key) if key is not None else "nobody" for key in (was, now)]
        told = "stay" if was == now else names[1]
        bar = "█" * max(1, round(BAR_WIDTH * share))
        table.add_row(escape(names[0]), escape(told), words.percent(share), bar)
    to.print(table)
