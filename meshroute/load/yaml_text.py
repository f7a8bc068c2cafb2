"""YAML to documents, from the events of libyaml's parser.

Source    YAML as go.yaml.in/yaml/v2 reads it for Kubernetes; libyaml 0.2.5
Inputs    text without characters that YAML refuses.
Exactness a line ends where YAML says it does, which includes U+0085, U+2028 and U+2029.
Errors    diagnostics. A syntax error ends the text, since nothing after it has a certain meaning; anything else that is
          refused ends its document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, SourceRef, path_text
from meshroute.load.places import COLUMNS, LIMITS, Builder, Document, Problems, Refused, Shared, SkippedKey
from meshroute.load.scalars import clip, plain, resolve

try:
    from yaml.cyaml import CParser as _Parser  # type: ignore[attr-defined] # a re-export that the stubs do not mark
except ImportError:  # PyYAML built without libyaml: the same events, some thirty times slower
    from yaml import SafeLoader as _Parser  # type: ignore[assignment] # both have get_event, all that is used


_CORE: Final = "tag:yaml.org,2002:"
_MERGE: Final = object()
_NONE: Final = object()


def read_yaml(text: str, file: str, problems: Problems, shared: Shared) -> Iterator[Document]:
    parser = _Parser(text)
    while True:
        try:
            document = _yaml_document(parser.get_event, file, problems, shared)
        except Refused as refused:
            problems.append(refused.said(file))
            if refused.ends:
                return
            try:
                more = _skipped(parser.get_event)
            except Refused as too_deep:
                problems.append(too_deep.said(file))
                return
            except yaml.MarkedYAMLError as error:
                problems.append(_syntax(error, text, file))
                return
            if not more:
                return
            continue
        except yaml.MarkedYAMLError as error:
            problems.append(_syntax(error, text, file))
            return
        if document is None:
            return
        yield document


def _skipped(get_event: Any) -> bool:
    """Pass over the rest of a refused document; whether the text goes on. Raises Refused where it is too deep."""
    depth = 0
    while True:
        event = get_event()
        if isinstance(event, DocumentEndEvent | StreamEndEvent):
            return isinstance(event, DocumentEndEvent)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
            if depth > LIMITS.depth:
                raise _too_deep(event.start_mark)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1


def _too_deep(mark: Any) -> Refused:
    message, help = f"nested deeper than {LIMITS.depth} levels", "nothing after this place was read"
    return Refused(message, mark.line + 1, mark.column + 1, help, ends=True)


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> Diagnostic:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n", line + 1)
    here = lines[line] if line < len(lines) else ""
    if "\t" in here[: column + 1] and not here[:column].strip():
        help = "indent with spaces: YAML allows no tabs there\n"
    else:
        help = ""
    message = f"not valid YAML: {error.problem or error.context or 'this cannot be read'}"
    help += "nothing after this place was read"
    return Refused(message, line + 1, column + 1, help, Code.TEXT_INVALID).said(file)


def _yaml_document(get_event: Any, file: str, problems: Problems, shared: Shared) -> Document | None:
    """The next document, or None at the end of the stream.

    One loop over the parser's events, with the open containers on a stack: hostile nesting cannot exhaust the
    interpreter's. Every value appends one entry to the builder's lists.
    """
    event = get_event()
    while not isinstance(event, DocumentStartEvent):
        if isinstance(event, StreamEndEvent):
            return None
        event = get_event()

    event = get_event()
    base = event.start_mark.line
    builder = Builder(file, base)
    keys, ends, marks, spelt = builder.keys, builder.ends, builder.marks, builder.spelt
    scalars = shared.scalars
    longest, deepest = LIMITS.scalar, LIMITS.depth
    # What is open: container, its entry, its merges, its anchor, aliased values before it, levels seen in it.
    stack: list[tuple[Any, int, list[Any] | None, str | None, int, int]] = []
    anchors: dict[str, tuple[Any, int, int] | None] = {}  # the value, how many values it is, how deep it is
    aliased = 0
    height = 0
    container: Any = None
    entry = 0
    merges: list[Any] | None = None
    key: Any = _NONE
    key_mark = 0
    before = 0
    anchor: str | None = None
    result: Any = None
    in_mapping = False

    while True:
        kind = type(event)
        if kind is ScalarEvent:
            text = event.value
            mark = event.start_mark
            if len(text) > longest:
                raise Refused(f"scalar longer than {LIMITS.scalar} characters", mark.line + 1, mark.column + 1)
            tag = event.tag
            if tag is None:
                if event.implicit[0]:
                    value = scalars.get(text, _NONE)
                    if value is _NONE:
                        value = resolve(text)
                        if len(text) <= 64 and len(scalars) < 100_000:
                            scalars[text] = value
                else:
                    value = text
            else:
                value = _tagged(tag, text, mark)
            if event.anchor is not None:
                anchors[event.anchor] = (value, 1, 0)
            if in_mapping and key is _NONE:
                if text == "<<" and event.implicit[0]:
                    key = _MERGE
                elif type(value) is not str:
                    builder.sound = False
                    problems.append(_key_type(text, value, file, mark, builder.path(_opened(stack, container, entry))))
                    key = text
                else:
                    key = value
                key_mark = (mark.line - base) << COLUMNS | mark.column
                if key in container:
                    builder.duplicate(text, mark.line, mark.column, _opened(stack, container, entry), problems)
                    key = SkippedKey(text)
                event = get_event()
                continue
            at = len(keys)
            if value is None:
                builder.nulls = True
            if type(value) is not str and plain(value) != text:
                spelt[at] = text
            ends.append(at + 1)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            mark = event.start_mark
            if in_mapping and key is _NONE:
                raise Refused(
                    "a key must be text, not a mapping or a list",
                    mark.line + 1,
                    mark.column + 1,
                    code=Code.TEXT_INVALID,
                )
            if len(stack) >= deepest:
                raise _too_deep(mark)
            if event.tag is not None:
                _collection_tag(event.tag, kind is MappingStartEvent, mark)
            at = len(keys)
            value = {} if kind is MappingStartEvent else []
            ends.append(0)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            if merges:
                _merge(container, merges)
            ends[entry] = len(keys)
            if anchor is not None:
                anchors[anchor] = (container, len(keys) - entry + aliased - before, height + 1)
            inner = height + 1
            container, entry, merges, anchor, before, height = stack.pop()
            if inner > height:
                height = inner
            in_mapping = type(container) is dict
            if not stack and container is None:
                break
            event = get_event()
            continue
        elif kind is AliasEvent:
            mark = event.start_mark
            if event.anchor not in anchors:
                raise Refused(
                    f"alias `{clip(event.anchor)}` without an anchor before it",
                    mark.line + 1,
                    mark.column + 1,
                    code=Code.TEXT_INVALID,
                )
            known = anchors[event.anchor]
            if known is None:
                raise Refused(f"anchor `{clip(event.anchor)}` contains itself", mark.line + 1, mark.column + 1)
            value, size, inner = known
            aliased += size
            if len(stack) + inner > LIMITS.depth:
                raise Refused(
                    f"nested deeper than {LIMITS.depth} levels through aliases", mark.line + 1, mark.column + 1
                )
            if inner > height:
                height = inner
            if aliased > LIMITS.aliased:
                raise Refused(f"aliases stand for more than {LIMITS.aliased} values", mark.line + 1, mark.column + 1)
            if in_mapping and key is _NONE:
                if type(value) is not str:
                    raise Refused("a key must be text", mark.line + 1, mark.column + 1, code=Code.TEXT_INVALID)
                key = value
                key_mark = (mark.line - base) << COLUMNS | mark.column
                if key in container:
                    builder.duplicate(key, mark.line, mark.column, _opened(stack, container, entry), problems)
                    key = SkippedKey(key)
                event = get_event()
                continue
            if value is None:
                builder.nulls = True
            at = len(keys)
            ends.append(at + 1)
        elif kind is DocumentEndEvent:
            break
        else:
            raise AssertionError(f"unexpected event {event}")

        # A value has been read, or a container begun: it goes where it belongs.
        if container is None:
            keys.append(None)
            marks.append(mark.column)
            result = value
        elif in_mapping:
            if key is _MERGE:
                keys.append("<<")
                if merges is None:
                    merges = []
                merges.append((value, mark))
            elif type(key) is SkippedKey:
                keys.append(key.text)
            else:
                keys.append(key)
                container[key] = value
            marks.append(key_mark)
            key = _NONE
        else:
            keys.append(None)
            marks.append((mark.line - base) << COLUMNS | mark.column)
            container.append(value)
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            stack.append((container, entry, merges, anchor, before, height))
            container, entry, merges, anchor, before, height = value, at, None, event.anchor, aliased, 0
            in_mapping = kind is MappingStartEvent
            if anchor is not None:
                anchors[anchor] = None
        elif container is None:
            break
        event = get_event()

    while not isinstance(event, DocumentEndEvent):
        event = get_event()
    return builder.document(result, shared)


def _opened(stack: list[Any], container: Any, entry: int) -> list[tuple[Any, int]]:
    """The open containers with their entries, the outermost first."""
    return [(frame[0], frame[1]) for frame in stack[1:]] + [(container, entry)]


def _merge(container: dict[str, Any], merges: list[Any]) -> None:
    """Fill in what `<<` brings. Keys of the mapping itself win, then earlier sources."""
    for value, mark in merges:
        for source in value if type(value) is list else (value,):
            if type(source) is not dict:
                raise Refused(
                    "`<<` needs a mapping or a list of mappings", mark.line + 1, mark.column + 1, code=Code.TEXT_INVALID
                )
            for key, inner in source.items():
                container.setdefault(key, inner)


def _key_type(text: str, value: Any, file: str, mark: Any, path: FieldPath) -> Diagnostic:
    names = {bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return Diagnostic(
        Code.FIELD_TYPE,
        Severity.ERROR,
        f"a key must be of type string: `{clip(text)}` is of type {names[type(value)]}",
        SourceRef(file, mark.line + 1, mark.column + 1, path_text(path)),
        help=f'write `"{clip(text)}":`',
    )


def _tagged(tag: str, text: str, mark: Any) -> Any:
    """A scalar with a tag: `!` and `!!str` make it text, the other core tags must agree with what is written."""
    if tag in ("!", f"{_CORE}str"):
        return text
    value = resolve(text)
    match tag.removeprefix(_CORE):
        case "int" if type(value) is int:
            return value
        case "float" if type(value) in (int, float):
            return float(value)
        case "bool" if type(value) is bool:
            return value
        case "null" if value is None:
            return None
        case "int" | "float" | "bool" | "null" as core if tag.startswith(_CORE):
            raise Refused(f"`{clip(text)}` is no `!!{core}`", mark.line + 1, mark.column + 1, code=Code.TEXT_INVALID)
        case _:
            raise _tag(tag, mark)


def _collection_tag(tag: str, mapping: bool, mark: Any) -> None:
    if tag not in ("!", f"{_CORE}{'map' if mapping else 'seq'}"):
        raise _tag(tag, mark)


def _tag(tag: str, mark: Any) -> Refused:
    short = f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag
    return Refused(f"tag `{clip(short)}`", mark.line + 1, mark.column + 1, help="manifests need no tags but YAML's own")
