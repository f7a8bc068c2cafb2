"""The public surface: what is exported, typed, documented and importable."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import meshroute

ROOT = Path(__file__).parents[2]


def modules() -> list[str]:
    return [one.name for one in pkgutil.walk_packages(meshroute.__path__, "meshroute.") if "__main__" not in one.name]


def test_all_is_what_is_public() -> None:
    """Every public name is exported, and nothing else; in order."""
    public = [
        name
        for name, value in vars(meshroute).items()
        if not name.startswith("_") and (not isinstance(value, ModuleType) or name in ("load", "loads"))
    ]
    assert sorted(public) == sorted(meshroute.__all__)
    assert meshroute.__all__ == sorted(meshroute.__all__)


def test_every_public_name_is_documented_in_the_library_page_or_the_design_of_a_page() -> None:
    """A name that no page mentions is one that nobody finds."""
    pages = "".join(path.read_text("utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"])
    assert [name for name in meshroute.__all__ if not re.search(rf"\b{name}\b", pages)] == []


@pytest.mark.parametrize("name", modules())
def test_a_module_opens_with_its_contract_and_its_examples_run(name: str) -> None:
    """A docstring, and doctests that pass."""
    module = importlib.import_module(name)
    assert module.__doc__
    assert doctest.testmod(module).failed == 0


def test_the_package_s_own_example_runs() -> None:
    """The one at the top."""
    result = doctest.testmod(meshroute)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_the_core_imports_no_extra() -> None:
    """Deciding from manifests needs the runtime dependencies only."""
    program = (
        "import sys, meshroute as mr\n"
        "mr.Mesh(()).router().decide(mr.Request.of('GET', 'http://h/'))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", out.stdout))
    assert loaded & {"typer", "rich", "hypothesis", "pytest", "jsonschema", "numpy", "re2", "matplotlib"} == set()
    assert {"pydantic", "msgspec", "yaml", "xxhash"} <= loaded


def test_types_ship() -> None:
    """PEP 561: the marker is there."""
    assert (ROOT / "meshroute/py.typed").exists()
