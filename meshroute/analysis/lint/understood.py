"""How much of a mesh is understood: field by field, and what the rest could change.

Source    meshroute.analysis.lint.meanings, and what loading said about fields that are not acted upon
Inputs    a mesh. Exactness: every field that is set is told once, as far down as its meaning differs; nothing that
          loading passed over is left out, whatever its kind. Values that say what holds anyway are understood.
Errors    none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from pydantic import BaseModel

from meshroute.analysis.lint.meanings import (
    ANNOTATION_GROUPS,
    ANNOTATIONS,
    ASIDE,
    FIELDS,
    IGNORED,
    LABELS,
    ONE_IS_NONE,
    OUTSIDE,
    READ,
    TAKEN_AS_TIME,
    UNKNOWN_KIND,
    How,
    Meaning,
    Meanings,
)
from meshroute.diagnostics import Code, Diagnostic, FieldPath, SourceRef, path_text
from meshroute.load.kinds import group_of
from meshroute.manifest import (
    DestinationRule,
    Gateway,
    Resource,
    Service,
    ServiceEntry,
    Sidecar,
    VirtualService,
)
from meshroute.mesh import Mesh

__all__ = ["Field", "How", "Manifest", "Outside", "Understanding", "understood"]

_KIND: Final = re.compile(r"`(?P<kind>[^`]*)` of `(?P<version>[^`]*)`")


class Field(msgspec.Struct, frozen=True):
    """A field that is set. `path` is from the top of its manifest; `why` and `affects` say what is missing, and which
    decisions could depend on that."""

    path: str
    how: How
    at: SourceRef
    why: str = ""
    affects: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """An object and its fields, in the order of its models."""

    subject: str
    at: SourceRef
    fields: tuple[Field, ...]

    @property
    def how(self) -> How:
        """UNDERSTOOD, or PARTLY where any field is not."""
        return How.PARTLY if self.wanting else How.UNDERSTOOD

    @property
    def wanting(self) -> tuple[Field, ...]:
        """The fields that are understood in part, or not."""
        return tuple(one for one in self.fields if one.how in (How.PARTLY, How.NOT))


class Outside(msgspec.Struct, frozen=True):
    """An object of a kind that nobody here reads, and what it could change."""

    subject: str
    kind: str
    api_version: str
    at: SourceRef
    changes: str


class Understanding(msgspec.Struct, frozen=True):
    """What is understood of a mesh."""

    manifests: tuple[Manifest, ...]
    outside: tuple[Outside, ...]

    def count(self, how: How) -> int:
        """How many fields are understood so."""
        return sum(field.how is how for one in self.manifests for field in one.fields)


def understood(mesh: Mesh) -> Understanding:
    """How much of a mesh is understood: every field that is set, and every object that was passed over.

    Where no field is wanting and no object is outside, decisions depend on nothing that was not looked at, as far as
    manifests go.
    """
    said: dict[str, list[Diagnostic]] = {}
    for one in mesh.diagnostics:
        if one.code in (Code.FIELD_NOT_MODELLED, Code.FIELD_UNKNOWN):
            said.setdefault(one.subject, []).append(one)
    manifests = tuple(_manifest(one, said.get(one.subject, ())) for one in mesh.resources)
    outside = tuple(_outside(one) for one in mesh.diagnostics if one.code is Code.KIND_UNKNOWN)
    return Understanding(manifests, outside)


def _outside(said: Diagnostic) -> Outside:
    named = _KIND.search(said.message)
    kind, version = (named["kind"], named["version"]) if named else (said.subject.partition(" ")[0], "")
    changes = OUTSIDE.get((group_of(version), kind), UNKNOWN_KIND)
    return Outside(said.subject, kind, version, said.at, changes)


def _manifest(resource: Resource, said: Sequence[Diagnostic]) -> Manifest:
    prefix = resource.at().path
    told = {one.at.path[len(prefix) :].lstrip("."): one for one in said}
    fields: list[Field] = []
    for path, meaning in _meanings(resource):
        text = path_text(path)
        inside = [key for key in told if _below(key, text)]
        if meaning.how in (How.UNDERSTOOD, How.ASIDE) and inside:
            meaning = Meaning(How.PARTLY, "something in it is not acted upon", meaning.affects)
        wanting = meaning.how in (How.PARTLY, How.NOT)
        why = told.pop(text).message if text in told else meaning.why
        affects = meaning.affects or (_affected(resource, path) if wanting else "")
        fields.append(Field(text, meaning.how, resource.at(*path), why, affects))
        for key in inside:
            if key != text:
                one = told.pop(key)
                fields.append(Field(key, How.NOT, one.at, one.message, _affected(resource, path)))
    # What was dropped because nobody knows it is below nothing that is left.
    for key, one in told.items():
        fields.append(Field(key, How.NOT, one.at, one.message, _affected(resource, ())))
    return Manifest(resource.subject, resource.at(), tuple(fields))


def _below(key: str, text: str) -> bool:
    return key == text or key.startswith((f"{text}.", f"{text}["))


def _meanings(resource: Resource) -> Iterator[tuple[FieldPath, Meaning]]:
    """Every field that is set, as far down as its meaning differs."""
    metadata = resource.metadata
    for name, value in _set(metadata):
        path: FieldPath = ("metadata", name)
        if name == "labels":
            for key in metadata.labels:
                yield (*path, key), LABELS.get(key, READ)
        elif name == "annotations":
            for key in metadata.annotations:
                yield (*path, key), _annotation(key)
        elif name in ("name", "namespace", "creationTimestamp"):
            yield path, READ
        elif name == "deletionTimestamp":
            yield path, READ if type(resource).__name__ in TAKEN_AS_TIME else ASIDE
        elif value != "":
            yield path, ASIDE
    table = FIELDS[type(resource).__name__]
    for name, value in _set(resource):
        if name not in ("apiVersion", "kind", "metadata"):
            yield from _walk(table.get(name, IGNORED), value, (name,))


def _annotation(key: str) -> Meaning:
    return ANNOTATIONS.get(key) or ANNOTATION_GROUPS.get(key.partition("/")[0], ASIDE)


def _walk(meanings: Meanings, value: object, path: FieldPath) -> Iterator[tuple[FieldPath, Meaning]]:
    if isinstance(meanings, Meaning):
        yield path, meanings
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from _walk(meanings, one, (*path, index))
    elif isinstance(value, BaseModel):
        for name, one in _set(value):
            below = meanings.get(name, IGNORED)
            # What a server writes of its own accord is nobody's wish: `sessionAffinity: None`, `loadBalancer: {}`.
            plain = below is not IGNORED and isinstance(below, Meaning) and _says_nothing(value, name, one)
            yield from _walk(READ if plain and below is not ASIDE else below, one, (*path, name))
    else:
        yield path, IGNORED


def _set(model: BaseModel) -> Iterator[tuple[str, object]]:
    """The fields that somebody wrote, by their names in manifests; a null is nobody's wish."""
    for attribute, field in type(model).model_fields.items():
        value = getattr(model, attribute)
        if attribute in model.model_fields_set and value is not None:
            yield field.alias or attribute, value
    extra: Mapping[str, object] = model.model_extra or {}
    yield from ((name, value) for name, value in extra.items() if value is not None)


def _says_nothing(model: BaseModel, name: str, value: object) -> bool:
    """Whether a value is what holds without it."""
    if isinstance(value, BaseModel):
        return not any(True for _ in _set(value))
    if name in ONE_IS_NONE and isinstance(value, tuple):
        return len(value) < 2
    return any(
        (field.alias or attribute) == name and value == field.get_default(call_default_factory=True)
        for attribute, field in type(model).model_fields.items()
    )


def _affected(resource: Resource, path: FieldPath) -> str:
    """Which decisions could depend on a field."""
    where = ""
    if len(path) > 2 and path[1] in ("http", "tls", "tcp", "subsets"):
        where = path_text(path[1:3])
    match resource:
        case VirtualService():
            hosts = ", ".join(resource.spec.hosts) or "whatever rule leads here"
            return f"what {where} takes of {hosts}" if where else f"requests for {hosts}"
        case DestinationRule():
            if where and isinstance(number := path[2], int):
                return f"requests for {resource.spec.host}, subset {resource.spec.subsets[number].name}"
            return f"requests for {resource.spec.host}"
        case ServiceEntry():
            return f"requests for {', '.join(resource.spec.hosts)}"
        case Gateway():
            return "requests at the proxies that it chooses"
        case Sidecar():
            chosen = " that it chooses" if resource.spec.workload_selector else ""
            return f"requests of the workloads in namespace {resource.namespace}{chosen}"
        case Service():
            return f"requests for {resource.name}.{resource.namespace}"
        case _:
            return f"requests that {resource.subject} could answer"
