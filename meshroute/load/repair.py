"""Known slips, read as they were meant.

Source    the article's configurations: docs/tutorial.md; five slips, one code each
Inputs    one object as plain values, before validation, of any shape.
Exactness what is not one of the slips stays as it is, and an object without any comes back itself. Repairing twice is
          repairing once.
Errors    none. Each repair is said in a warning that tells what was written and how it was read.
Left out  whatever has more than one reading. A split over several rules is only joined where each rule is nothing but
          one destination with a weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from meshroute.diagnostics import Code, Diagnostic, FieldPath, Severity, SourceRef
from meshroute.load.places import LIMITS, Document, Refused
from meshroute.load.scalars import clip

REPAIRS: Final = (
    Code.REPAIRED_LABEL_VALUE,
    Code.REPAIRED_URI_MATCH,
    Code.REPAIRED_ROUTE_MAPPING,
    Code.REPAIRED_HOSTS,
    Code.REPAIRED_SPLIT_WEIGHTS,
)

Moves = tuple[tuple[FieldPath, FieldPath], ...]
"""Paths that a repair made, each with the path where its value is written."""

_MATCHES: Final = ("exact", "prefix", "regex")


def repaired(
    value: dict[str, Any], document: Document, start: int, prefix: FieldPath, codes: frozenset[Code], subject: str
) -> tuple[dict[str, Any], Moves, tuple[Diagnostic, ...]]:
    """The object with the slips in `codes` mended, where its values were written, and what was done."""
    work = _Work(document, start, prefix, codes, subject)
    mended = copied(value)
    work.labels(mended)
    if value.get("kind") == "VirtualService" and type(mended.get("spec")) is dict:
        work.hosts(mended["spec"])
        work.routes(mended["spec"])
        work.uris(mended["spec"])
        work.splits(mended["spec"])
    if not work.said:
        return value, (), ()
    # Longer paths first: the most exact move answers.
    return mended, tuple(sorted(work.moved, key=lambda move: -len(move[0]))), tuple(work.said)


def copied(value: Any) -> Any:
    """The same mappings and lists, anew; what aliases share is no longer shared. At most as deep as `Limits.depth`."""
    if type(value) is dict:
        return {key: copied(inner) for key, inner in value.items()}
    if type(value) is list:
        return [copied(inner) for inner in value]
    return value


class _Work:
    """One object under repair."""

    def __init__(self, document: Document, start: int, prefix: FieldPath, codes: frozenset[Code], subject: str) -> None:
        self.document, self.start, self.prefix, self.codes, self.subject = document, start, prefix, codes, subject
        self.said: list[Diagnostic] = []
        self.moved: list[tuple[FieldPath, FieldPath]] = []

    def at(self, path: FieldPath) -> SourceRef:
        return self.document.at(path, self.start, self.prefix)

    def say(self, code: Code, message: str, path: FieldPath, help: str, related: tuple[SourceRef, ...] = ()) -> None:
        at = self.at(path)
        if len(self.said) >= LIMITS.errors:
            message, help = f"more than {LIMITS.errors} repairs in one object", "nothing after this place was read"
            raise Refused(message, at.line, at.column, help, ends=True)
        self.said.append(Diagnostic(code, Severity.WARNING, message, at, self.subject, help, related))

    def labels(self, value: dict[str, Any]) -> None:
        """Labels that YAML reads as numbers or booleans become the text that was written."""
        if Code.REPAIRED_LABEL_VALUE not in self.codes:
            return
        for path, labels in _label_maps(value):
            for name, label in labels.items():
                if isinstance(label, bool | int | float):
                    written = self.document.text((*path, name), label, self.start)
                    labels[name] = written
                    self.say(
                        Code.REPAIRED_LABEL_VALUE,
                        f'label `{clip(name)}: {written}` is not text: read as `{clip(name)}: "{written}"`',
                        (*path, name),
                        f'write `{clip(name)}: "{written}"`',
                    )

    def hosts(self, spec: dict[str, Any]) -> None:
        """`host: x` of a VirtualService becomes `hosts: [x]`."""
        if Code.REPAIRED_HOSTS not in self.codes or "hosts" in spec or type(spec.get("host")) is not str:
            return
        host = spec.pop("host")
        spec["hosts"] = [host]
        self.moved += [(("spec", "hosts"), ("spec", "host"))]
        self.say(
            Code.REPAIRED_HOSTS,
            f"`host: {clip(host)}` is no field of a VirtualService: read as `hosts: [{clip(host)}]`",
            ("spec", "host"),
            f"write `hosts: [{clip(host)}]`",
        )

    def routes(self, spec: dict[str, Any]) -> None:
        """`route` written as one destination becomes a list of it."""
        if Code.REPAIRED_ROUTE_MAPPING not in self.codes:
            return
        for section in ("http", "tls", "tcp"):
            for number, rule in _mappings(spec.get(section)):
                route = rule.get("route")
                if type(route) is dict and "destination" in route:
                    path = ("spec", section, number, "route")
                    rule["route"] = [route]
                    self.moved.append(((*path, 0), path))
                    self.say(
                        Code.REPAIRED_ROUTE_MAPPING,
                        "`route` is a mapping: read as a list of one destination",
                        path,
                        "write a dash before the destination: `- destination:`",
                    )

    def uris(self, spec: dict[str, Any]) -> None:
        """`uri:` without a value and `prefix:` beside it become `uri: {prefix: ...}`."""
        if Code.REPAIRED_URI_MATCH not in self.codes:
            return
        for number, rule in _mappings(spec.get("http")):
            for item, match in _mappings(rule.get("match")):
                beside = [name for name in _MATCHES if name in match]
                if match.get("uri", "") is not None or len(beside) != 1 or type(match[beside[0]]) is not str:
                    continue
                name = beside[0]
                path = ("spec", "http", number, "match", item)
                match["uri"] = {name: match.pop(name)}
                self.moved.append(((*path, "uri", name), (*path, name)))
                self.say(
                    Code.REPAIRED_URI_MATCH,
                    f"`uri` is empty and `{name}: {clip(match['uri'][name])}` stands beside it: read as the uri's",
                    (*path, name),
                    f"indent `{name}` further than `uri`",
                    (self.at((*path, "uri")),),
                )

    def splits(self, spec: dict[str, Any]) -> None:
        """Rules that are nothing but one weighted destination each become one rule with several."""
        rules = spec.get("http")
        if Code.REPAIRED_SPLIT_WEIGHTS not in self.codes or type(rules) is not list:
            return
        alone = [_one_weight(rule) for rule in rules]  # before rules take in others
        joined: list[Any] = []
        origins: list[list[int]] = []
        for number, rule in enumerate(rules):
            if number and alone[number] and alone[number - 1]:
                joined[-1]["route"].append(rule["route"][0])
                origins[-1].append(number)
            else:
                joined.append(rule)
                origins.append([number])
        if len(joined) == len(rules):
            return
        spec["http"] = joined
        before = tuple(self.moved)
        for number, sources in enumerate(origins):
            if [number] != sources:
                self._move_rule(number, sources, before)
            if len(sources) > 1:
                weights = "/".join(str(one["weight"]) for one in joined[number]["route"])
                self.say(
                    Code.REPAIRED_SPLIT_WEIGHTS,
                    f"{len(sources)} rules without `match` hold one weight each, and only the first could be reached: "
                    f"read as one rule that splits {weights}",
                    ("spec", "http", sources[0]),
                    "write one rule whose `route` lists all the destinations",
                    tuple(self.at(("spec", "http", source)) for source in sources[1:]),
                )

    def _move_rule(self, number: int, sources: list[int], before: Moves) -> None:
        """Rule `number` was written as these rules; what was moved inside them moves along."""
        new, old = ("spec", "http", number), ("spec", "http", sources[0])
        self.moved = [move for move in self.moved if move[0][:3] != new or move not in before or sources[0] == number]
        self.moved.append((new, old))
        for place, source in enumerate(sources):
            rule = ("spec", "http", source)
            inside = [(made[3:], written) for made, written in before if made[:3] == rule]
            if len(sources) > 1:
                written = next((to for made, to in inside if made == ("route", 0)), (*rule, "route", 0))
                self.moved.append(((*new, "route", place), written))
            else:
                self.moved += [((*new, *made), written) for made, written in inside]


def _one_weight(rule: Any) -> bool:
    """Whether a rule is nothing but one destination with a weight."""
    if type(rule) is not dict or set(rule) != {"route"} or type(rule["route"]) is not list or len(rule["route"]) != 1:
        return False
    only = rule["route"][0]
    return type(only) is dict and type(only.get("weight")) is int and "destination" in only


def _mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The items of a list that are mappings, numbered; nothing where it is no list."""
    if type(value) is list:
        yield from ((number, item) for number, item in enumerate(value) if type(item) is dict)


_LABELS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "Deployment": (("spec", "selector", "matchLabels"), ("spec", "template", "metadata", "labels")),
    "DestinationRule": (("spec", "workloadSelector", "matchLabels"),),
    "Gateway": (("spec", "selector"),),
    "Service": (("spec", "selector"),),
    "ServiceEntry": (("spec", "workloadSelector", "labels"),),
    "Sidecar": (("spec", "workloadSelector", "labels"),),
    "WorkloadEntry": (("spec", "labels"),),
    "WorkloadGroup": (("spec", "metadata", "labels"), ("spec", "template", "labels")),
}


def _label_maps(value: dict[str, Any]) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Every mapping of labels in an object, with its path."""
    kind = value.get("kind")
    paths: list[FieldPath] = [("metadata", "labels"), *_LABELS.get(kind if type(kind) is str else "", ())]
    spec = value.get("spec")
    if type(spec) is dict:
        if kind == "DestinationRule":
            paths += [("spec", "subsets", number, "labels") for number, _ in _mappings(spec.get("subsets"))]
        if kind == "ServiceEntry":
            paths += [("spec", "endpoints", number, "labels") for number, _ in _mappings(spec.get("endpoints"))]
        if kind == "VirtualService":
            paths += [
                ("spec", section, number, "match", item, "sourceLabels")
                for section in ("http", "tls", "tcp")
                for number, rule in _mappings(spec.get(section))
                for item, _ in _mappings(rule.get("match"))
            ]
    for path in paths:
        found: Any = value
        for step in path:
            if isinstance(step, int):
                found = found[step]
            else:
                found = found.get(step) if type(found) is dict else None
        if type(found) is dict:
            yield path, found
