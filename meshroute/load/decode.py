"""Documents to resources: every problem at once, in the words of this project, at its place.

Source    the order of the API server: unknown fields, nulls, schema (apiextensions-apiserver: pkg/apiserver/schema,
          defaulting/prune.go); wording in the spirit of its messages (`must be of type string`)
Inputs    documents as `documents` reads them.
Exactness a valid document goes through one validation and nothing else. Only where that fails, or where a null is
          written, is the document walked again to say what is wrong.
Errors    diagnostics; an object with an error becomes no resource.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
import yaml
from pydantic import BaseModel, ValidationError

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, SourceRef, nearest
from meshroute.load.kinds import GROUPS, KINDS, group_of
from meshroute.load.places import LIMITS, Document, Located, Refused
from meshroute.load.repair import copied, repaired
from meshroute.load.scalars import clip
from meshroute.manifest import Resource
from meshroute.manifest.metadata import WRONG_TYPE, WRONG_VALUE, Known, Model, kind_of, one_of_text, placed, quoted

Say = Callable[[Diagnostic], None]

Taken = dict[tuple[str, str, str, str], Located]
"""The objects seen so far, by group, kind, namespace and name: those with errors count too."""


class Options(msgspec.Struct, frozen=True):
    """How to read: the namespace of objects that name none, whether unknown fields are errors, what to repair."""

    namespace: str
    strict: bool
    repairs: frozenset[Code]


# Documents


class _Part(msgspec.Struct, frozen=True):
    """One object of a document: its value, its entry in the places, its path."""

    document: Document
    value: Any
    start: int = 0
    prefix: FieldPath = ()

    def at(self, *path: str | int) -> SourceRef:
        return self.document.at(path, self.start, self.prefix)


def decode(
    document: Document, options: Options, taken: Taken, say: Say, draft: Callable[[Resource], None]
) -> Iterator[Resource]:
    """The sound resources of a document; what is wrong with it is said. `taken` learns the names of all its objects.

    `draft` gets the objects that have errors and can be read without the fields that are wrong.
    """
    for part in _parts(_Part(document, document.value), say):
        resource, sound = _resource(part, options, taken, say)
        if resource is None or not document.sound:
            continue
        if sound:
            yield resource
        else:
            draft(resource)


def _parts(whole: _Part, say: Say) -> Iterator[_Part]:
    """The objects of a document: itself, or the items of a list kind. An empty document has none."""
    value = whole.value
    if value is None:
        return
    if type(value) is not dict:
        say(
            Diagnostic(
                Code.DOCUMENT_SHAPE,
                Severity.ERROR,
                f"a manifest must be of type object: this is of type {kind_of(value)}",
                whole.at(),
                help="begin with `apiVersion:`, `kind:` and `metadata:`",
            )
        )
        return
    kind = value.get("kind")
    version = value.get("apiVersion")
    if type(kind) is not str or not kind.endswith("List") or "items" not in value:
        yield whole
        return
    items = value["items"]
    if items is None:
        return
    if type(items) is not list:
        say(_wrong_type(whole.at("items"), kind, "array", items, ""))
        return
    start, _ = whole.document.places.find(("items",), whole.start)
    child = start + 1
    ends = memoryview(whole.document.places.ends).cast("I")
    inside = child < ends[start]  # an alias for the list has no entries of its own: its items share its place
    for number, item in enumerate(items):
        if type(item) is dict and kind != "List":
            # The server's typed lists leave out what every item would repeat.
            item = {"apiVersion": version, "kind": kind.removesuffix("List"), **item}
        yield _Part(whole.document, item, child if inside else start, (*whole.prefix, "items", number))
        if inside:
            child = ends[child]


def _resource(part: _Part, options: Options, taken: Taken, say: Say) -> tuple[Resource | None, bool]:
    """An object as a resource, if it can be read at all, and whether it has no errors."""
    value = part.value
    model = _model(part, say)
    if model is None:
        return None, False
    subject = _subject(value, model, options.namespace)
    if _too_large(part):
        say(
            Diagnostic(
                Code.TEXT_REFUSED, Severity.ERROR, f"object with more than {LIMITS.nodes} values", part.at(), subject
            )
        )
        return None, False
    moved: tuple[tuple[FieldPath, FieldPath], ...] = ()
    if options.repairs:
        value, moved, said = repaired(value, part.document, part.start, part.prefix, options.repairs, subject)
        for one in said:
            say(one)
    value = _with_namespace(value, model, options.namespace)
    locator = Located(part.document.file, part.document.line, part.document.places, part.start, part.prefix, moved)
    errors = 0
    told = 0

    def tell(diagnostic: Diagnostic) -> None:
        nonlocal errors, told
        errors += diagnostic.severity is Severity.ERROR
        told += 1
        if told > LIMITS.errors:
            # Finding a place takes longer the larger an object is: this bounds the product.
            message = f"more than {LIMITS.errors} remarks about one object"
            help = "nothing after this place was read"
            raise Refused(message, diagnostic.at.line, diagnostic.at.column, help, ends=True)
        say(diagnostic)

    _take(value, model, locator, subject, taken, tell)
    view = _View(part, locator, subject, options.strict, tell)
    if part.document.nulls:
        value = view.without_nulls(value, model)
    try:
        resource = model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        found = view.explained(error, value, model)
        if found is None:
            return None, False
        resource = found
    if not resource.metadata.name and not resource.metadata.generate_name:
        tell(_missing(locator.at(("metadata",)), "name", subject))
    placed(resource, locator)
    return resource, not errors


def _take(
    value: dict[str, Any], model: type[Resource], locator: Located, subject: str, taken: Taken, tell: Say
) -> None:
    """Note the name of an object, and say so where another has it. Names that the server makes up never meet."""
    metadata = value.get("metadata")
    name = metadata.get("name") if type(metadata) is dict else None
    if type(metadata) is not dict or type(name) is not str or not name:
        return
    namespace = metadata.get("namespace", "")
    if type(namespace) is not str:
        return
    first = taken.setdefault((group_of(model.api_versions[0]), model.__name__, namespace, name), locator)
    if first is not locator:
        tell(
            Diagnostic(
                Code.OBJECT_DUPLICATE,
                Severity.ERROR,
                f"`{subject}` is there already",
                locator.at(("metadata", "name")),
                subject,
                help="a cluster has one object of each kind, namespace and name; give one of them another name",
                related=(first.at(("metadata", "name")),),
            )
        )


def _model(part: _Part, say: Say) -> type[Resource] | None:
    """The model of an object, or None with the reason said."""
    value = part.value
    if type(value) is not dict:
        message = f"a manifest must be of type object: this is of type {kind_of(value)}"
        say(Diagnostic(Code.DOCUMENT_SHAPE, Severity.ERROR, message, part.at()))
        return None
    version, kind = value.get("apiVersion"), value.get("kind")
    wrong = [name for name, one in (("apiVersion", version), ("kind", kind)) if type(one) is not str or not one]
    if type(version) is not str or type(kind) is not str or wrong:
        said = " and ".join(f"`{name}`" for name in wrong)
        missing = not any(name in value for name in wrong)
        say(
            Diagnostic(
                Code.DOCUMENT_SHAPE,
                Severity.ERROR,
                f"a manifest without {said}" if missing else f"{said} must be text that is not empty",
                part.at() if missing else part.at(wrong[0]),
                help="every manifest says what it is: `apiVersion: v1` and `kind: Service`, for example",
            )
        )
        return None
    model = KINDS.get((version, kind))
    if model is not None:
        return model
    known = GROUPS.get((group_of(version), kind))
    subject = clip(f"{kind} {_name(value)}".rstrip())
    if known is not None:
        say(
            Diagnostic(
                Code.FIELD_VALUE,
                Severity.ERROR,
                f"`{clip(version)}` is not a version of {kind} that is known here",
                part.at("apiVersion"),
                subject,
                help=f"known: {quoted(known.api_versions)}",
            )
        )
        return None
    others = sorted({one for one, name in KINDS if name == kind})
    meant = _kind_meant(version, kind) if not others else None
    said = f"the {kind} that is read is of {quoted(others)}" if others else ""
    say(
        Diagnostic(
            Code.KIND_UNKNOWN,
            Severity.NOTE if meant is None else Severity.WARNING,
            f"`{clip(kind)}` of `{clip(version)}` takes no part in routing here: skipped",
            part.at("kind"),
            subject,
            help=said if meant is None else f"did you mean `{meant}`?",
        )
    )
    return None


_OWN_GROUP: Final = "networking.istio.io"
_OTHER_KINDS: Final = frozenset({"EnvoyFilter", "ProxyConfig"})
"""Kinds of that group that take no part here."""


def _kind_meant(version: str, kind: str) -> str | None:
    """The kind that a slip of the pen meant. Groups of others have many kinds with names alike: there it is only case
    that may be wrong."""
    group = group_of(version)
    known = [name for one, name in GROUPS if one == group]
    if group == _OWN_GROUP and kind not in _OTHER_KINDS and len(kind) <= 64:
        return nearest(kind, known)
    return next((name for name in known if name.lower() == kind.lower()), None)


def _name(value: dict[str, Any]) -> str:
    """The name in a raw object, as far as there is one."""
    metadata = value.get("metadata")
    if type(metadata) is not dict:
        return ""
    names = (metadata.get("name"), metadata.get("generateName"))
    return next((name for name in names if type(name) is str and name), "")


def _subject(value: dict[str, Any], model: type[Resource], namespace: str) -> str:
    """What messages call a raw object; the same as `Resource.subject` of a sound one."""
    name = _name(value)
    if model.namespaced and name:
        own = value["metadata"].get("namespace")
        name = f"{own if type(own) is str and own else namespace}/{name}"
    return clip(f"{model.__name__} {name}".rstrip(), 200)


def _with_namespace(value: dict[str, Any], model: type[Resource], namespace: str) -> dict[str, Any]:
    """The object with its namespace filled in; an object of the whole cluster has none."""
    metadata = value.get("metadata")
    if type(metadata) is not dict:
        return value
    if model.namespaced:
        return value if metadata.get("namespace") else {**value, "metadata": {**metadata, "namespace": namespace}}
    if "namespace" not in metadata:
        return value
    return {**value, "metadata": {key: one for key, one in metadata.items() if key != "namespace"}}


def _too_large(part: _Part) -> bool:
    ends = memoryview(part.document.places.ends).cast("I")
    return ends[part.start] - part.start > LIMITS.nodes


# Shapes: what the models say about fields, for walking plain values


class _Shape(msgspec.Struct, frozen=True):
    """What may stand at a place: one of a model, a list or map of an inner shape, or anything else (a leaf)."""

    model: type[BaseModel] | None = None
    items: _Shape | None = None
    values: _Shape | None = None


_LEAF: Final = _Shape()


def _shape(annotation: Any) -> _Shape:
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin in (Union, UnionType):
        rest = [one for one in arguments if one is not NoneType]
        return _shape(rest[0]) if len(rest) == 1 else _LEAF
    if hasattr(annotation, "__metadata__"):
        return _shape(annotation.__origin__)
    if origin is tuple:
        return _Shape(items=_shape(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _Shape(values=_shape(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _Shape(model=annotation)
    return _LEAF


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, _Shape]:
    """The fields that a manifest may write for a model, by their names there."""
    fields = {field.alias or name: _shape(field.annotation) for name, field in model.model_fields.items()}
    extra = get_args(get_annotations(model, eval_str=True).get("__pydantic_extra__"))
    for known in getattr(extra[0], "__metadata__", ()) if extra else ():
        if isinstance(known, Known):
            fields |= dict.fromkeys(known.names, _LEAF)
    return fields


def _below(shape: _Shape, step: str | int) -> _Shape:
    if shape.model is not None:
        return fields_of(shape.model).get(str(step), _LEAF)
    return shape.items or shape.values or _LEAF


def _shape_at(model: type[BaseModel], path: FieldPath) -> _Shape:
    shape = _Shape(model=model)
    for step in path:
        shape = _below(shape, step)
    return shape


# What is wrong with one object


_TYPES: Final = {
    "string_type": "string",
    "int_type": "integer",
    "bool_type": "boolean",
    "float_type": "number",
    "tuple_type": "array",
    "dict_type": "object",
    "mapping_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


class _View:
    """One object, its places and its name, for saying what is wrong with it."""

    def __init__(self, part: _Part, locator: Located, subject: str, strict: bool, tell: Say) -> None:
        self.part, self.locator, self.subject, self.strict, self.tell = part, locator, subject, strict, tell
        self.said: set[tuple[str, str]] = set()
        self.count = 0

    def say(
        self, code: Code, message: str, path: FieldPath, help: str = "", severity: Severity = Severity.ERROR
    ) -> None:
        at = self.locator.at(path)
        if (message, at.path) in self.said:
            return
        self.said.add((message, at.path))
        self.tell(Diagnostic(code, severity, message, at, self.subject, help))

    # Nulls

    def without_nulls(self, value: Any, model: type[Resource]) -> Any:
        """The object as the API server sees it: nulls of fields that have none are gone.

        In Kubernetes' own maps of text a null is the empty text, because Go's decoder leaves it so.
        """
        typed = not any("istio" in version for version in model.api_versions)
        return self._dropped(value, _Shape(model=model), (), typed)

    def _dropped(self, value: Any, shape: _Shape, path: FieldPath, typed: bool) -> Any:
        if type(value) is list:
            inner = shape.items or _LEAF
            return [self._dropped(one, inner, (*path, number), typed) for number, one in enumerate(value)]
        if type(value) is not dict or (shape.model is None and shape.values is None):
            return value
        kept = {}
        for key, one in value.items():
            here = (*path, key)
            if one is not None:
                kept[key] = self._dropped(one, _below(shape, key), here, typed)
            elif shape.values is not None and shape.values is not _LEAF and shape.values.model is not None:
                self._null_match(value, here, shape)
            elif shape.values is not None and (typed or path[0] == "metadata"):
                kept[key] = ""
                self.say(
                    Code.FIELD_VALUE, f"`{clip(key)}` has no value: read as empty text", here, severity=Severity.WARNING
                )
            else:
                self._null_match(value, here, shape)
        return kept

    def _null_match(self, around: dict[str, Any], path: FieldPath, shape: _Shape) -> None:
        """Warn of a null where a condition was surely meant: without it the rule takes more than its author thought."""
        target = _below(shape, path[-1]).model
        if not (
            (target is not None and target.__name__ == "StringMatch")
            or (shape.model is not None and shape.model.__name__ == "StringMatch")
            or (path[-1] == "match" and shape.model is not None and shape.model.__name__.endswith("Route"))
        ):
            return
        name = str(path[-1])
        beside = [key for key in ("exact", "prefix", "regex") if key in around]
        if name in ("uri", "scheme", "method", "authority") and len(beside) == 1:
            help = "write\n" + _lines({name: {beside[0]: around[beside[0]]}})
        else:
            help = "give it a value, or leave it out"
        self.say(
            Code.FIELD_VALUE,
            f"`{clip(name)}` has no value: it is dropped, and with it the condition",
            path,
            help,
            Severity.WARNING,
        )

    # Errors

    def explained(self, error: ValidationError, value: Any, model: type[Resource]) -> Resource | None:
        """Say everything that is wrong. The resource where only warnings are left, read without what they are about."""
        self._one_of(value, _Shape(model=model), ())
        # A pass over what is left when unknown fields are gone: the checks of a whole model run only after those of its
        # fields. Nothing new can turn up after that.
        for _ in range(3):
            unknown: list[FieldPath] = []
            whole: list[FieldPath] = []
            for one in error.errors(include_url=False):
                self._explain(
                    one["type"], one["loc"], one["input"], one.get("ctx", {}), one["msg"], model, unknown, whole
                )
            if not unknown and not whole:
                return None
            value = _changed(value, unknown, whole)
            try:
                return model.model_validate(value, by_alias=True, by_name=False)
            except ValidationError as left:
                error = left
        return None

    def _one_of(self, value: Any, shape: _Shape, path: FieldPath) -> None:
        """Check the oneOf groups of everything that is written, however wrong the rest is."""
        if type(value) is list:
            for number, one in enumerate(value):
                self._one_of(one, shape.items or _LEAF, (*path, number))
        elif type(value) is dict and (shape.model is not None or shape.values is not None):
            if shape.model is not None and issubclass(shape.model, Model):
                for group in shape.model.one_of:
                    written = [name for name in group if value.get(name) is not None]
                    if len(written) > 1:
                        self.say(Code.FIELD_VALUE, one_of_text(group, written), path, "keep one of them")
            for key, one in value.items():
                self._one_of(one, _below(shape, key), (*path, key))

    def _explain(
        self,
        kind: str,
        path: FieldPath,
        value: Any,
        context: Mapping[str, Any],
        message: str,
        model: type[Resource],
        unknown: list[FieldPath],
        whole: list[FieldPath],
    ) -> None:
        if kind == "missing":
            self.tell_once(_missing(self.locator.at(path[:-1]), str(path[-1]), self.subject))
        elif kind == "extra_forbidden" or (kind == "literal_error" and not self._declared(path, model)):
            unknown.append(path)
            self._unknown(path, value, model)
        elif kind == "int_type" and type(value) is float and value.is_integer():
            # `1e1` and `80.0` reach the server as the whole numbers that they are.
            whole.append(path)
        elif kind in _TYPES:
            self._type(path, _TYPES[kind], value, _shape_at(model, path).model)
        elif kind == WRONG_TYPE:
            self._type(path, message, value, unit=context.get("unit", ""))
        elif kind == "enum" and type(value) is not str:
            self._type(path, "string", value)
        elif kind == "enum":
            known = [one.strip("'") for one in str(context.get("expected", "")).replace(" or ", ", ").split(", ")]
            close = nearest(value, known) if len(value) <= 64 else None
            self.say(
                Code.FIELD_VALUE,
                f"`{clip(value)}` is not one of {quoted(known)}",
                path,
                f"did you mean `{close}`?" if close else "",
            )
        elif kind == WRONG_VALUE:
            shown = "" if isinstance(value, Mapping | list | tuple | BaseModel) else f"`{clip(str(value))}`: "
            self.say(Code.FIELD_VALUE, f"{shown}{message}", path, "" if shown else "keep one of them")
        elif kind == "greater_than_equal":
            self.say(Code.FIELD_VALUE, f"`{clip(str(value))}` is less than {context['ge']:g}", path)
        elif kind == "less_than_equal":
            self.say(Code.FIELD_VALUE, f"`{clip(str(value))}` is more than {context['le']:.12g}", path)
        elif kind == "finite_number":
            self.say(Code.FIELD_VALUE, f"`{value}` is no finite number", path)
        elif kind == "too_long":
            self.say(Code.FIELD_VALUE, f"more than {context['max_length']} items", path)
        elif kind == "string_too_long":
            self.say(Code.FIELD_VALUE, f"more than {context['max_length']} letters", path)
        elif kind == "string_too_short":
            self.say(Code.FIELD_VALUE, "the text is empty", path)
        elif kind == "too_short":
            self.say(Code.FIELD_VALUE, f"fewer than {context['min_length']} items", path)
        else:
            self.say(Code.FIELD_VALUE, "this cannot be read", path)

    def tell_once(self, diagnostic: Diagnostic) -> None:
        if (diagnostic.message, diagnostic.at.path) not in self.said:
            self.said.add((diagnostic.message, diagnostic.at.path))
            self.tell(diagnostic)

    def _declared(self, path: FieldPath, model: type[Resource]) -> bool:
        parent = _shape_at(model, path[:-1]).model
        return parent is not None and path[-1] in fields_of(parent)

    def _unknown(self, path: FieldPath, value: Any, model: type[Resource]) -> None:
        name = str(path[-1])
        parent = _shape_at(model, path[:-1]).model
        fields = fields_of(parent) if parent is not None else {}
        severity = Severity.ERROR if self.strict else Severity.WARNING
        close = nearest(name, fields) if len(name) <= 64 else None
        if name in ("exact", "prefix", "regex") and "uri" in fields and type(value) is str:
            help = "write\n" + _lines({"uri": {name: value}})
        elif close == f"{name}s" and fields[close].items is not None and type(value) is not list:
            help = "write\n" + _lines({close: [value]})
        elif close is not None:
            help = f"did you mean `{close}`?"
        else:
            help = f"known here: {quoted(sorted(fields), 'and')}" if fields and len(fields) <= 12 else ""
        said = f"unknown field `{clip(name)}`" + ("" if self.strict else ": dropped")
        self.say(Code.FIELD_UNKNOWN, said, path, help, severity)
        if model.__name__ == "VirtualService" and path == ("spec", "host") and "hosts" not in self.part.value["spec"]:
            message = "`hosts` is missing: without it a VirtualService routes nothing by itself"
            self.tell_once(_missing(self.locator.at(("spec",)), "hosts", self.subject, message, severity))

    def _type(
        self, path: FieldPath, wanted: str, value: Any, model: type[BaseModel] | None = None, unit: str = ""
    ) -> None:
        """Say that a value is of another type than `wanted`, which stands for `model` or for a number with a unit."""
        name = path[-1] if path else ""
        written = self.part.document.text(path, value, self.part.start) if not isinstance(value, list | dict) else ""
        help = ""
        if wanted == "string" and written and value is not None and not (unit and type(value) is bool):
            counts = unit if type(value) in (int, float) else ""
            quotedly = json.dumps(clip(written) + counts, ensure_ascii=False)
            help = f"write `- {quotedly}`" if isinstance(name, int) else f"write `{clip(name)}: {quotedly}`"
        elif wanted in ("integer", "boolean", "number") and type(value) is str:
            help = _unquoted(name, wanted, value)
        elif wanted == "array" and value is not None:
            help = _suggestion(name, [value])
        elif wanted == "object" and type(value) is list and len(value) == 1 and type(value[0]) is dict:
            help = _suggestion(name, value[0])
        elif wanted == "object" and model is not None:
            help = _wrapped(name, model, value)
        self.tell_once(_wrong_type(self.locator.at(path), self.subject, wanted, value, help, written))


def _missing(
    parent: SourceRef, name: str, subject: str, message: str = "", severity: Severity = Severity.ERROR
) -> Diagnostic:
    """A field is not there that has to be: the place is its parent's, the path is its own."""
    path = f"{parent.path}.{name}" if parent.path else name
    at = SourceRef(parent.file, parent.line, parent.column, path)
    return Diagnostic(Code.FIELD_MISSING, severity, message or f"`{name}` is missing", at, subject)


def _wrong_type(at: SourceRef, subject: str, wanted: str, value: Any, help: str, written: str = "") -> Diagnostic:
    shown = f"`{clip(written)}`" if written and not isinstance(value, list | dict) else "this"
    message = f"must be of type {wanted}: {shown} is of type {kind_of(value)}"
    return Diagnostic(Code.FIELD_TYPE, Severity.ERROR, message, at, subject, help)


def _unquoted(name: str | int, wanted: str, text: str) -> str:
    """The line without its quotes, where that is the right type."""
    fits = {
        "integer": text.lstrip("-").isascii() and text.lstrip("-").isdigit(),
        "number": text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit(),
        "boolean": text in ("true", "false"),
    }
    if not fits[wanted]:
        return ""
    return f"write `- {clip(text)}`" if isinstance(name, int) else f"write `{clip(name)}: {clip(text)}`"


_MEANT: Final[Mapping[str, tuple[str, type]]] = {
    "Delegate": ("name", str),
    "Destination": ("host", str),
    "HTTPBody": ("string", str),
    "HTTPRetry": ("attempts", int),
    "Percent": ("value", float),
    "PortSelector": ("number", int),
    "StringMatch": ("exact", str),
}
"""The field that is meant, and its type, where a plain value stands in the place of the object around it."""


def _wrapped(name: str | int, model: type[BaseModel], value: Any) -> str:
    """The lines with the plain value in the field of the object that it is surely meant for."""
    field, wanted = _MEANT.get(model.__name__, ("", str))
    fits = type(value) in ((int, float) if wanted is float else (wanted,))
    if not field or not fits:
        return ""
    lines = _suggestion(name, {field: value})
    if lines and field == "exact":
        lines += "\nor `prefix` or `regex` in the place of `exact`"
    return lines


_LONGEST_SUGGESTION: Final = 12


def _suggestion(name: str | int, value: Any) -> str:
    """The corrected lines, unless they are too many to be of help."""
    lines = _lines({name: value} if isinstance(name, str) else [value])
    return f"write\n{lines}" if lines else ""


def _lines(value: Any) -> str:
    if _count(value) > 2 * _LONGEST_SUGGESTION:
        return ""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110).rstrip()
    return text if text.count("\n") < _LONGEST_SUGGESTION and len(text) < 1000 else ""


def _count(value: Any) -> int:
    """How many values there are, as far as it matters."""
    total = 1
    inner: Collection[Any] = value.values() if type(value) is dict else value if type(value) is list else ()
    for one in inner:
        total += _count(one)
        if total > 2 * _LONGEST_SUGGESTION:
            break
    return total


def _changed(value: Any, gone: list[FieldPath], whole: list[FieldPath]) -> Any:
    """The object without some fields, and with some doubles as the integers that they equal."""
    changed = copied(value)
    for path in whole:
        parent = _inside(changed, path[:-1])
        parent[path[-1]] = int(parent[path[-1]])
    for path in gone:
        _inside(changed, path[:-1]).pop(path[-1], None)
    return changed


def _inside(value: Any, path: FieldPath) -> Any:
    for step in path:
        value = value[step]
    return value
