"""Findings for people: by file, then by object, with the lines that they are about.

Inputs    sifted findings, the texts of their files, and how the manifests were named on the command line.
Exactness readable without colour on 80 columns: sentences are folded, lines of manifests cut around the word that is
          meant, commands left whole so that they can be copied. Nothing in it moves a cursor.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final

from meshroute.analysis.lint.finding import Finding
from meshroute.analysis.lint.report.excerpt import Sources, excerpt, plain_line
from meshroute.analysis.lint.report.replay import NOTHING, Typed, described, replay
from meshroute.analysis.lint.sifted import Sifted
from meshroute.diagnostics import Severity, SourceRef

WIDTH: Final = 80
_NOTHING: Final[Mapping[str, str]] = {}


def as_text(
    sifted: Sifted,
    sources: Mapping[str, str] = _NOTHING,
    *,
    notes: bool = False,
    width: int = WIDTH,
    typed: Typed = NOTHING,
) -> str:
    """Every finding with its lines, its help, its clause and the command that shows it, and a summary at the end.

    `sources` are the texts of files, by their names in findings; `notes` shows notes too; `typed` is what commands name
    the manifests by: without it, witnesses are told in words.
    """
    page = _Page(Sources(sources), width, typed)
    groups: dict[str, dict[str, list[Finding]]] = {}
    for one in sifted.findings:
        if notes or one.severity is not Severity.NOTE:
            groups.setdefault(one.at.file, {}).setdefault(one.subject, []).append(one)
    lines: list[str] = []
    for file, objects in groups.items():
        lines.append(plain_line(file) or "(built in Python)")
        for subject, findings in objects.items():
            if subject:
                lines.append(f"{plain_line(subject)}")
            for one in findings:
                lines += ["", *page.finding(one)]
            lines.append("")
    return "\n".join([*lines, *summary(sifted, notes=notes), ""])


def summary(sifted: Sifted, *, notes: bool = True) -> list[str]:
    """How many findings there are, in a line; and a line each for notes that are not shown and for a stale baseline."""
    number = sifted.count(Severity.NOTE)
    counts = [_many(sifted.count(Severity.ERROR), "error"), _many(sifted.count(Severity.WARNING), "warning")]
    if notes and number:
        counts.append(_many(number, "note"))
    aside = [
        *([f"{len(sifted.suppressed)} suppressed"] if sifted.suppressed else []),
        *([f"{len(sifted.baselined)} in the baseline"] if sifted.baselined else []),
    ]
    lines = [", ".join(counts) + (f" ({', '.join(aside)})" if aside else "")]
    if number and not notes:
        lines.append(f"{_many(number, 'note')} not shown: --notes shows them")
    if sifted.gone:
        said = "1 entry of the baseline no longer occurs" if len(sifted.gone) == 1 else ""
        lines.append(f"note: {said or f'{len(sifted.gone)} entries of the baseline no longer occur'}: write it anew")
    return lines


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


class _Page:
    """What all findings of a page have in common."""

    def __init__(self, sources: Sources, width: int, typed: Typed) -> None:
        self.sources, self.width, self.typed = sources, max(width, 40), typed

    def finding(self, one: Finding) -> Iterator[str]:
        yield from self.folded(f"  {one.severity}[{one.code}]: ", one.message, "    ")
        yield from self.place("at", one.at, one.at.file)
        for number, line in enumerate(one.help.splitlines()):
            yield from self.folded("    help: " if number == 0 else "          ", line, "          ")
        for place in one.related:
            yield from self.place("see", place, one.at.file)
        if one.clause:
            yield f"    clause: {one.clause}"
        if one.witness is not None:
            command = replay(one.witness, self.typed)
            if command is None:
                yield from self.folded("    shown by: ", described(one.witness), "              ")
            else:
                yield f"    shown by: {command}"

    def place(self, word: str, at: SourceRef, file: str) -> Iterator[str]:
        """A place and its line; the file is named where it is another."""
        where = "" if at.file == file else at.file
        if at.line:
            where = f"{where}:{at.line}:{at.column}" if where else f"{at.line}:{at.column}"
        told = " ".join(filter(None, (where, at.path)))
        if told:
            yield f"    {word} {plain_line(told)}"
        yield from excerpt(self.sources, at, self.width)

    def folded(self, first: str, text: str, more: str) -> Iterator[str]:
        """A sentence on as many lines as it takes. Help has lines of YAML too, whose blanks count, so those stay."""
        plain = plain_line(text)
        if len(first) + len(plain) <= self.width or plain.startswith((" ", "- ")):
            yield f"{first}{plain}"
            return
        yield from wrap(
            plain,
            self.width,
            initial_indent=first,
            subsequent_indent=more,
            break_long_words=False,
            break_on_hyphens=False,
        )
