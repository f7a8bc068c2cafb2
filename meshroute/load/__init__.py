"""Text to manifests: files, folders or a text in; resources and diagnostics out.

Source    kubectl's way with files: several documents in one, `List` kinds, folders
Inputs    YAML or JSON. `load_paths` is the only function that opens files; `load_text` is pure.
Exactness same text, same result. Objects come in the order of files and documents; two of one kind, namespace and name
          are an error wherever they stand.
Errors    never raised: what is wrong with texts and files becomes diagnostics, and objects with errors are left out.
Left out  kinds that take no part in routing are noted and skipped.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Final

import msgspec

from meshroute.diagnostics import Code, Diagnostic, Severity, SourceRef, in_order
from meshroute.load.decode import Options, Taken, decode
from meshroute.load.documents import decode_bytes, read_documents
from meshroute.load.places import LIMITS, Problems, Refused, Shared
from meshroute.load.repair import REPAIRS
from meshroute.manifest import Resource
from meshroute.names import DEFAULT_NAMESPACE

__all__ = ["LIMITS", "Loaded", "load_paths", "load_text"]

_SUFFIXES: Final = (".yaml", ".yml", ".json")


class Loaded(msgspec.Struct, frozen=True):
    """What came of loading: sound resources in the order of the text, and everything there is to say.

    `drafts` are the objects with errors that can be read without the fields that are wrong: to find what else is wrong
    with them, never to decide by.
    """

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    drafts: tuple[Resource, ...] = ()


def load_text(
    text: str | bytes,
    source: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    strict: bool = True,
    repair: bool | Collection[str] = False,
) -> Loaded:
    """The manifests in a text, which diagnostics call `source`.

    `namespace` is given to objects that name none. Without `strict`, unknown fields are dropped with a warning, as a
    non-strict API client does. `repair` mends known slips: True for all, or the `repaired-...` codes to allow.

    Raises ValueError for a repair that is not known; nothing else.
    """
    load = _Load(_options(namespace, strict, repair))
    with _uncollected():
        load.text(text, source)
    return load.loaded()


def load_paths(
    paths: Iterable[str | PathLike[str]],
    *,
    namespace: str = DEFAULT_NAMESPACE,
    strict: bool = True,
    repair: bool | Collection[str] = False,
) -> Loaded:
    """The manifests in files and folders.

    Of a folder, every `.yaml`, `.yml` and `.json` file below it counts, in the order of their paths, except hidden
    ones; a file that is named is read whatever it is called. Otherwise as `load_text`.
    """
    load = _Load(_options(namespace, strict, repair))
    with _uncollected():
        for path in paths:
            load.path(fspath(path))
    return load.loaded()


def _options(namespace: str, strict: bool, repair: bool | Collection[str]) -> Options:
    if isinstance(repair, bool):
        return Options(namespace, strict, frozenset(REPAIRS if repair else ()))
    asked = {repair} if isinstance(repair, str) else set(repair)
    unknown = asked - set(REPAIRS)
    if unknown:
        raise ValueError(f"no such repair: {', '.join(sorted(unknown))}; known: {', '.join(REPAIRS)}")
    return Options(namespace, strict, frozenset(Code(one) for one in asked))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Loading makes many values and no cycles; looking for cycles again and again would take half of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class _Load:
    """One load under way."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.shared = Shared()
        self.resources: list[Resource] = []
        self.drafts: list[Resource] = []
        self.diagnostics: list[Diagnostic] = []
        self.taken: Taken = {}
        self.files: set[Path] = set()

    def loaded(self) -> Loaded:
        return Loaded(tuple(self.resources), in_order(self.diagnostics), tuple(self.drafts))

    def path(self, path: str) -> None:
        """A file, or a folder with everything below it."""
        place = Path(path)
        try:
            if not place.is_dir():
                self.file(path)
                return
            inside = sorted(
                (one for one in place.rglob("*") if one.suffix.lower() in _SUFFIXES),
                key=lambda one: one.relative_to(place).parts,
            )
            files = [
                one
                for one in inside
                if not any(part.startswith(".") for part in one.relative_to(place).parts) and one.is_file()
            ]
        except (OSError, ValueError) as error:
            self._unreadable(path, error)
            return
        if not files:
            message = "no manifests in this folder"
            self.diagnostics.append(
                Diagnostic(
                    Code.FILE_UNREADABLE,
                    Severity.ERROR,
                    message,
                    SourceRef(path),
                    help=f"files that end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} are read",
                )
            )
        for one in files:
            self.file(str(one))

    def file(self, path: str) -> None:
        """One file. A file that was read already, through another path, is not read again."""
        try:
            same = Path(path).resolve()
            if same in self.files:
                return
            self.files.add(same)
            with open(path, "rb") as opened:
                data = opened.read(LIMITS.text + 1)
        except (OSError, ValueError) as error:
            self._unreadable(path, error)
            return
        self.text(data, path)

    def _unreadable(self, path: str, error: OSError | ValueError) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.diagnostics.append(
            Diagnostic(
                Code.FILE_UNREADABLE,
                Severity.ERROR,
                f"cannot be read: {reason[:1].lower()}{reason[1:]}",
                SourceRef(path.replace("\x00", "\\x00")),
            )
        )

    def text(self, text: str | bytes, source: str) -> None:
        problems = Problems()
        try:
            read = decode_bytes(text, source, problems) if isinstance(text, bytes) else text
            if read is not None:
                for document in read_documents(read, source, problems, self.shared):
                    self.resources += decode(document, self.options, self.taken, problems.append, self.drafts.append)
        except Refused as refused:
            self.diagnostics.append(refused.said(source))
        self.diagnostics += problems
