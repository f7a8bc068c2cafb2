"""Documents and their places: what a reader of texts leaves behind.

Inputs    values as they are read, each with its line and column.
Exactness lines and columns count characters from 1 in a SourceRef, from 0 inside. The place of a field is its key, of a
          list item its start. A path that leads to nothing has the place of its nearest parent.
Errors    none.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Any, Final

import msgspec

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, SourceRef, path_text
from meshroute.load.scalars import clip, plain


class Limits(msgspec.Struct, frozen=True):
    """What is refused instead of read. Generous for manifests: an API server takes objects of at most 3 MiB."""

    text: int = 64 * 1024 * 1024
    """Characters (bytes, where bytes are given) of one text."""
    scalar: int = 3 * 512 * 1024
    """Characters of one scalar: an answer of 1 MiB in base64, which Istio takes, has a third more letters."""
    depth: int = 100
    """Mappings and lists inside each other."""
    aliased: int = 100_000
    """Values that the aliases of one document stand for, written out."""
    nodes: int = 100_000
    """Values in one object."""
    directives: int = 100
    """Lines of one text that begin with `%`: libyaml's work grows with their square."""
    errors: int = 1_000
    """Errors in one text, and diagnostics for one object; the rest of the text is not read."""
    remarks: int = 200_000
    """Diagnostics of all kinds for one text."""


LIMITS: Final = Limits()


COLUMNS: Final = 27  # a text has at most 2**26 characters, so lines and columns fit 64 bits together
COLUMN_MASK: Final = 2**COLUMNS - 1


class Places(msgspec.Struct, frozen=True, gc=False):
    """Where the values of one document are written, in the order of the text.

    Entry i is one value: `keys[i]` its key in a mapping (None in a list), `ends[i]` the entry after its last
    descendant, `marks[i]` its line, counted from the document's first, and its column. Kept as bytes because a large
    mesh has millions of entries, and because documents that are written alike then share one copy.
    """

    keys: tuple[str | None, ...]
    ends: bytes
    marks: bytes

    def find(self, path: FieldPath, start: int = 0) -> tuple[int, int]:
        """The entry that a path leads to from entry `start`, and how many of its steps were found."""
        keys = self.keys
        ends = memoryview(self.ends).cast("I")
        at = start
        for depth, step in enumerate(path):
            end = ends[at]
            child = at + 1
            if isinstance(step, str):
                while child < end and keys[child] != step:
                    child = ends[child]
            else:
                for _ in range(step):
                    if child >= end:
                        break
                    child = ends[child]
                if child < end and keys[child] is not None:
                    return at, depth
            if child >= end:
                return at, depth
            at = child
        return at, len(path)

    def mark(self, entry: int) -> tuple[int, int]:
        """Line (from the document's first) and column of an entry, both from 0."""
        packed = memoryview(self.marks).cast("Q")[entry]
        return packed >> COLUMNS, packed & COLUMN_MASK


class Document(msgspec.Struct):
    """One document of a text. `sound` is false when it has errors already; decoding it may still find more.

    `spelt` has the text of scalars that are not strings and were not written as Python would write them, by entry.
    """

    value: Any
    file: str
    line: int
    places: Places
    sound: bool
    nulls: bool
    spelt: dict[int, str]

    def at(self, path: FieldPath = (), start: int = 0, prefix: FieldPath = ()) -> SourceRef:
        """The place of a path below entry `start`, whose own path is `prefix`."""
        line, column = self.places.mark(self.places.find(path, start)[0])
        return SourceRef(self.file, self.line + line, column + 1, path_text((*prefix, *path)))

    def text(self, path: FieldPath, value: object, start: int = 0) -> str:
        """A scalar as it was written."""
        entry, found = self.places.find(path, start)
        written = self.spelt.get(entry) if found == len(path) else None
        return plain(value) if written is None else written


class Located(msgspec.Struct, frozen=True, gc=False):
    """Answers for the places of one object: the entry `start` of a document, at the path `prefix`.

    `moved` maps paths that a repair made to the paths where their values were written.
    """

    file: str
    line: int
    places: Places
    start: int = 0
    prefix: FieldPath = ()
    moved: tuple[tuple[FieldPath, FieldPath], ...] = ()

    def at(self, path: FieldPath) -> SourceRef:
        written = path
        for new, old in self.moved:
            if path[: len(new)] == new:
                written = (*old, *path[len(new) :])
                break
        line, column = self.places.mark(self.places.find(written, self.start)[0])
        return SourceRef(self.file, self.line + line, column + 1, path_text((*self.prefix, *path)))


class Refused(Exception):
    """A document, or with `ends` the rest of the text too, cannot be read. Line and column count from 1."""

    def __init__(
        self, message: str, line: int, column: int, help: str = "", code: Code = Code.TEXT_REFUSED, ends: bool = False
    ) -> None:
        self.message, self.line, self.column, self.help, self.code, self.ends = message, line, column, help, code, ends

    def said(self, file: str) -> Diagnostic:
        """The same as a diagnostic."""
        return Diagnostic(
            self.code, Severity.ERROR, self.message, SourceRef(file, self.line, self.column), help=self.help
        )


class Problems(list[Diagnostic]):
    """What there is to say about one text. It refuses the text, with `Refused`, when that becomes too much."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = 0

    def append(self, one: Diagnostic, /) -> None:
        self.errors += one.severity is Severity.ERROR
        if self.errors > LIMITS.errors or len(self) >= LIMITS.remarks:
            most = f"{LIMITS.errors} errors" if self.errors > LIMITS.errors else f"{LIMITS.remarks} remarks"
            raise Refused(
                f"more than {most}", one.at.line, one.at.column, "the rest of the text was not read", ends=True
            )
        super().append(one)


class Shared:
    """What the documents of one load have in common: places and short scalars, each kept once."""

    def __init__(self) -> None:
        self.places: dict[Places, Places] = {}
        self.scalars: dict[str, Any] = {}


class Builder:
    """Puts values together as they are read, and notes their places. One for each document."""

    __slots__ = ("ends", "file", "index", "indexed", "keys", "line", "marks", "nulls", "reached", "sound", "spelt")

    def __init__(self, file: str, line: int) -> None:
        self.file = file
        self.line = line  # of the document's first value, from 0
        self.keys: list[str | None] = []
        self.ends: list[int] = []
        self.marks: list[int] = []
        self.spelt: dict[int, str] = {}
        self.sound = True
        self.nulls = False
        # The entries of one mapping by key, as far as they were needed to find a first key again.
        self.indexed = -1
        self.index: dict[str | None, int] = {}
        self.reached = 0

    def document(self, value: Any, shared: Shared) -> Document:
        places = Places(tuple(self.keys), array("I", self.ends).tobytes(), array("Q", self.marks).tobytes())
        # Documents written alike have equal places. A bound keeps a mesh without two alike from paying twice.
        known = shared.places.get(places)
        if known is None:
            known = places
            if len(shared.places) < 10_000:
                shared.places[places] = places
        return Document(value, self.file, self.line + 1, known, self.sound, self.nulls, self.spelt)

    def duplicate(self, key: str, line: int, column: int, opened: list[tuple[Any, int]], problems: Problems) -> None:
        """Say that a key stands twice in the innermost mapping that is open; the first one counts."""
        parent = opened[-1][1]
        if self.indexed != parent:
            self.indexed, self.index, self.reached = parent, {}, parent + 1
        while self.reached < len(self.keys):
            self.index.setdefault(self.keys[self.reached], self.reached)
            self.reached = self.ends[self.reached]
        first = self.marks[self.index[key]]
        text = path_text((*self.path(opened), key))
        self.sound = False
        problems.append(
            Diagnostic(
                Code.KEY_DUPLICATE,
                Severity.ERROR,
                f"`{clip(key)}` is written twice in one mapping",
                SourceRef(self.file, line + 1, column + 1, text),
                help="the first one is read here; YAML allows none of them",
                related=(SourceRef(self.file, self.line + (first >> COLUMNS) + 1, (first & COLUMN_MASK) + 1, text),),
            )
        )

    def path(self, opened: list[tuple[Any, int]]) -> FieldPath:
        """The path of the innermost open container, given all of them with their entries, the outermost first."""
        steps: list[str | int] = []
        for (container, _), (_, entry) in pairwise(opened):
            key = self.keys[entry]
            steps.append(len(container) - 1 if key is None else key)
        return tuple(steps)


class SkippedKey(msgspec.Struct, frozen=True):
    """A key whose value is read and dropped, because the mapping has it already."""

    text: str
