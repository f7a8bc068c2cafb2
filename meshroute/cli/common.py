"""What commands have in common: the options about manifests, and loading them.

Errors    exit status 2, with a reason on standard error.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

import meshroute as mr
from meshroute.cli import show
from meshroute.compile.viewpoint import PathNormalization
from meshroute.diagnostics import to_builtins

Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="For objects that name no namespace, as `kubectl apply -n`.")
]
Repair = Annotated[bool, typer.Option("--repair", help="Read known slips as they were meant, and say so.")]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Drop unknown fields with a warning instead of refusing them.")
]
Registry = Annotated[bool, typer.Option("--registry-only", help="Answer hosts that nobody registered with 502.")]
Paths = Annotated[
    PathNormalization,
    typer.Option(
        "--path-normalization",
        case_sensitive=False,
        help="How much the mesh puts paths in order before it compares them; DEFAULT is BASE.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Notes = Annotated[bool, typer.Option("--notes", help="Show notes too, not only warnings.")]


def refuse(reason: str) -> NoReturn:
    """Leave with exit status 2, and say why."""
    show.console(stderr=True).print(f"meshroute: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(2)


def config(registry_only: bool, paths: PathNormalization) -> mr.MeshConfig:
    """What the options say for the whole mesh."""
    return mr.MeshConfig(outbound="REGISTRY_ONLY" if registry_only else "ALLOW_ANY", paths=paths)


def load(
    paths: Sequence[str], namespace: str, repair: bool, lenient: bool, config: mr.MeshConfig, json: bool
) -> mr.Mesh:
    """The mesh of the manifests; those that cannot be used are refused, with everything there is to say about them."""
    try:
        return mr.load(*paths, namespace=namespace, strict=not lenient, repair=repair, config=config)
    except mr.ManifestError as error:
        if json:
            print_json({"diagnostics": [to_builtins(one) for one in error.diagnostics]})
        else:
            to = show.console(stderr=True)
            show.print_diagnostics(to, error.diagnostics, notes=False)
            to.print(f"\nmeshroute: {str(error).splitlines()[0]}", markup=False)
        raise typer.Exit(2) from None


def print_json(values: dict[str, Any]) -> None:
    """One document, readable."""
    print(jsonlib.dumps(values, indent=2, ensure_ascii=False))
