"""The command `lint`: what is wrong, useless or surprising in manifests, for people and for machines.

Errors    exit status 1 where a finding is left that weighs enough, 2 for arguments and files that cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import meshroute as mr
from meshroute.analysis.lint.finding import in_order, of_diagnostic
from meshroute.analysis.lint.report import (
    Typed,
    as_github,
    as_json,
    as_junit,
    as_sarif,
    as_text,
    codes_as_json,
    codes_as_text,
    summary,
    understanding_as_json,
    understanding_as_text,
)
from meshroute.analysis.lint.sifted import Known, Sifted, Suppression, files_of
from meshroute.analysis.lint.suppress import (
    BaselineError,
    in_objects,
    read_baseline,
    read_suppressions,
    sift,
    write_baseline,
)
from meshroute.analysis.lint.understood import understood
from meshroute.cli import show
from meshroute.cli.common import Json, Lenient, Namespace, Notes, Paths, Registry, Repair, config, load, refuse
from meshroute.compile.viewpoint import PathNormalization
from meshroute.load import LIMITS
from meshroute.names import DEFAULT_NAMESPACE


class Format(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def lint(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Files or folders with manifests.", show_default=False),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How findings are written.")] = Format.TEXT,
    json: Json = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write findings there, not to standard output."),
    ] = None,
    fail_on: Annotated[
        mr.Severity,
        typer.Option("--fail-on", help="End with status 1 if a finding is left that weighs so much, or more."),
    ] = mr.Severity.WARNING,
    suppress: Annotated[
        list[Path] | None,
        typer.Option(
            "--suppress", metavar="FILE", help="Findings that are right here, with reasons.", show_default=False
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Leave out the findings that this file has.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write-baseline", metavar="FILE", help="Write the findings of now to this file, and leave."),
    ] = None,
    pages: Annotated[
        str,
        typer.Option("--pages", metavar="URL", help="For SARIF: the address of the folder with the pages of codes."),
    ] = "",
    listing: Annotated[bool, typer.Option("--list", help="List the codes, beside those of other tools.")] = False,
    honest: Annotated[
        bool,
        typer.Option("--understood", help="Say which fields are understood, and what the others could change."),
    ] = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    repair: Repair = False,
    lenient: Lenient = False,
    registry_only: Registry = False,
    path_normalization: Paths = PathNormalization.DEFAULT,
    notes: Notes = False,
) -> None:
    """Say what is wrong, useless or surprising in manifests, and show it.

    Example: meshroute lint manifests/
    """
    if json and format not in (Format.TEXT, Format.JSON):
        refuse(f"--json and --format {format} do not go together")
    format = Format.JSON if json else format
    if (listing or honest) and format not in (Format.TEXT, Format.JSON):
        refuse(f"{'--list' if listing else '--understood'} and --format {format} do not go together")
    if listing:
        _tell(codes_as_json() if format is Format.JSON else codes_as_text(), output)
        return
    if not paths:
        refuse("give at least one file or folder with manifests")
    for path in paths:
        if not Path(path).exists():
            refuse(f"`{path}` does not exist; give files or folders with manifests")
    mesh_config = config(registry_only, path_normalization)
    if honest:
        answer = understood(load(paths, namespace, repair, lenient, mesh_config, format is Format.JSON))
        text = (
            understanding_as_json(answer)
            if format is Format.JSON
            else understanding_as_text(answer, width=show.width() if output is None else show.PAGE_WIDTH)
        )
        _tell(text, output)
        return
    suppressions = [one for file in suppress or () for one in _suppressions(file)]
    known = () if baseline is None else _baseline(baseline)
    sound = unread = False
    try:
        mesh = mr.load(*paths, namespace=namespace, strict=not lenient, repair=repair, config=mesh_config)
    except mr.ManifestError as error:
        findings = in_order(map(of_diagnostic, error.diagnostics))
        unread = any(one.code is mr.Code.FILE_UNREADABLE for one in findings)
    else:
        sound = True
        own, unusable = in_objects(mesh.resources)
        suppressions = [*own, *suppressions]
        findings = in_order([*mr.lint(mesh), *unusable])
    sifted = sift(findings, suppressions, known, sound=sound)
    if write is not None and sound:
        now = (*sifted.findings, *sifted.baselined)
        text = write_baseline(now)
        _write(write, text)
        sifted = Sifted((), sifted.suppressed, in_order(now))
    typed = Typed(tuple(_given(paths, namespace, repair, lenient, mesh_config)), namespace)
    texts = _texts(files_of([*sifted.findings, *(one.finding for one in sifted.suppressed)]))
    match format:
        case Format.TEXT:
            width = show.width() if output is None else show.PAGE_WIDTH
            text = as_text(sifted, texts, notes=notes, width=width, typed=typed)
        case Format.JSON:
            text = as_json(sifted, typed=typed)
        case Format.SARIF:
            text = as_sarif(sifted, texts, pages=pages, typed=typed)
        case Format.JUNIT:
            text = as_junit(sifted, fail_on=fail_on, typed=typed)
        case Format.GITHUB:
            text = as_github(sifted, typed=typed)
    if output is not None:
        _write(output, text)
    elif format is Format.TEXT:
        show.print_findings(show.console(), text)
    else:
        print(text, end="")
    told = show.console(stderr=True)
    if output is not None:
        for line in summary(sifted, notes=notes or format is not Format.TEXT):
            told.print(line, markup=False, soft_wrap=True)
    if not sound:
        told.print(
            "meshroute: the manifests cannot be used, so nothing else was looked at", markup=False, soft_wrap=True
        )
        if write is not None:
            told.print(f"meshroute: no baseline was written to {write}", markup=False, soft_wrap=True)
    if unread:
        raise typer.Exit(2)
    if sifted.fails(fail_on):
        raise typer.Exit(1)


def _tell(text: str, output: Path | None) -> None:
    if output is None:
        print(text, end="")
    else:
        _write(output, text)


def _suppressions(path: Path) -> tuple[Suppression, ...]:
    """What a file of suppressions says; one with anything wrong in it is refused with all of that."""
    text = _read(path, "--suppress")
    usable, wrong = read_suppressions(text, str(path))
    if wrong:
        show.print_findings(show.console(stderr=True), as_text(Sifted(wrong), {str(path): text}, width=show.width()))
        refuse(f"--suppress {path}: cannot be used")
    return usable


def _baseline(path: Path) -> tuple[Known, ...]:
    try:
        return read_baseline(_read(path, "--baseline"))
    except BaselineError as error:
        refuse(f"--baseline {path}: {error}")


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        refuse(f"{option} {path}: {error.strerror or error}")
    except UnicodeDecodeError:
        refuse(f"{option} {path}: not UTF-8")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        refuse(f"{path}: {error.strerror or error}")


def _texts(files: Iterable[str]) -> dict[str, str]:
    """The texts of manifests, to show lines of them; without those that cannot be read, which is said already."""
    texts = {}
    for file in files:
        try:
            with open(file, "rb") as opened:
                texts[file] = opened.read(LIMITS.text).decode("utf-8-sig", "replace")
        except (OSError, ValueError):
            continue
    return texts


def _given(paths: list[str], namespace: str, repair: bool, lenient: bool, config: mr.MeshConfig) -> list[str]:
    """The paths and loading options again, as `meshroute decide` takes them."""
    words = [f"./{path}" if path.startswith("-") else path for path in paths]
    if namespace != DEFAULT_NAMESPACE:
        words += ["--namespace", namespace]
    if repair:
        words.append("--repair")
    if lenient:
        words.append("--lenient")
    if config.outbound == "REGISTRY_ONLY":
        words.append("--registry-only")
    if config.paths is not PathNormalization.DEFAULT:
        words += ["--path-normalization", config.paths]
    return words
