"""Files and folders."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from meshroute.diagnostics import Code, Severity
from meshroute.load import Loaded, load_paths, load_text


def service(name: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def names(loaded: Loaded) -> list[str]:
    return [one.name for one in loaded.resources]


class TestFolders:
    def test_everything_below_in_the_order_of_paths(self, tmp_path: Path) -> None:
        files = ["b.yaml", "a/z.yml", "a/b/c.yaml", "a.yaml", "z.JSON"]
        write(tmp_path, {name: service(f"s{number}") for number, name in enumerate(files)})
        found = load_paths([tmp_path])
        assert [Path(one.at().file).relative_to(tmp_path).as_posix() for one in found.resources] == [
            "a/b/c.yaml",
            "a/z.yml",
            "a.yaml",
            "b.yaml",
            "z.JSON",
        ]

    def test_other_and_hidden_files_are_passed_over(self, tmp_path: Path) -> None:
        files = ["a.yaml", ".b.yaml", ".git/c.yaml", "d.txt", "e.yaml.bak", "README.md", "yaml"]
        write(tmp_path, {name: service(f"s{number}") for number, name in enumerate(files)})
        assert names(load_paths([tmp_path])) == ["s0"]

    def test_a_folder_without_manifests(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.txt": "x"})
        (problem,) = load_paths([tmp_path]).diagnostics
        assert (problem.code, problem.severity) == (Code.FILE_UNREADABLE, Severity.ERROR)
        assert problem.message == "no manifests in this folder"
        assert str(problem.at) == str(tmp_path)

    def test_a_folder_with_the_name_of_a_file(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml/b.yaml": service("s")})
        assert names(load_paths([tmp_path])) == ["s"]


class TestFiles:
    def test_a_named_file_is_read_whatever_its_name(self, tmp_path: Path) -> None:
        write(tmp_path, {"manifest.txt": service("a"), ".hidden": service("b")})
        assert names(load_paths([tmp_path / "manifest.txt", str(tmp_path / ".hidden")])) == ["a", "b"]

    def test_a_missing_file(self, tmp_path: Path) -> None:
        (problem,) = load_paths([tmp_path / "no.yaml"]).diagnostics
        assert (problem.code, problem.message) == (
            Code.FILE_UNREADABLE,
            "cannot be read: no such file or directory",
        )
        assert str(problem.at) == str(tmp_path / "no.yaml")

    def test_a_path_that_cannot_be(self) -> None:
        (problem,) = load_paths(["a\x00b"]).diagnostics
        assert problem.code is Code.FILE_UNREADABLE
        assert "\x00" not in str(problem.at)

    def test_one_bad_file_hides_no_other(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml": "a: [", "b.yaml": service("b"), "c.yaml": "kind: 1"})
        (tmp_path / "d.yaml").write_bytes(b"\xff\xff")
        found = load_paths([tmp_path])
        assert names(found) == ["b"]
        assert [(Path(one.at.file).name, one.code) for one in found.diagnostics] == [
            ("a.yaml", Code.TEXT_INVALID),
            ("c.yaml", Code.DOCUMENT_SHAPE),
            ("d.yaml", Code.TEXT_INVALID),
        ]

    def test_a_file_that_is_named_twice_is_read_once(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml": service("a")})
        found = load_paths([tmp_path, tmp_path / "a.yaml"])
        assert (names(found), found.diagnostics) == (["a"], ())

    def test_duplicates_are_found_over_all_files(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml": service("same"), "b.yaml": service("other"), "c.yaml": service("same")})
        (problem,) = load_paths([tmp_path / "c.yaml", tmp_path / "a.yaml"]).diagnostics
        assert problem.code is Code.OBJECT_DUPLICATE
        assert (Path(problem.at.file).name, Path(problem.related[0].file).name) == ("a.yaml", "c.yaml")

    def test_options_reach_every_file(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml": service("a") + "spec: {x: 1, selector: {version: 1}}\n"})
        found = load_paths([tmp_path], namespace="team", strict=False, repair=True)
        assert [one.subject for one in found.resources] == ["Service team/a"]
        assert {one.code for one in found.diagnostics} == {Code.FIELD_UNKNOWN, Code.REPAIRED_LABEL_VALUE}

    def test_a_file_is_its_text(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.yaml": service("a") + "spec: {x: 1}\n"})
        path = str(tmp_path / "a.yaml")
        assert load_paths([path]) == load_text(Path(path).read_bytes(), path)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        load_text(service("a"), "f")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
