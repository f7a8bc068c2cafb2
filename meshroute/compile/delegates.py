"""Rules that go on in another VirtualService: delegates, folded into the rules that name them.

Source    spec/delegate.md DELEGATE-1 to DELEGATE-4; istio/istio: pilot/pkg/model/virtualservice.go
Inputs    all VirtualServices, those without hosts among them.
Exactness one level; a merged rule stands where the rule that delegates stood; the delegate's rules keep their order.
Errors    none: a delegate that is not there, not visible or in conflict drops rules, and check.py says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshroute.compile.resolve import visibility
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio import HTTPMatchRequest, HTTPRoute, StringMatch, VirtualService

Block = tuple[HTTPMatchRequest | None, VirtualService, FieldPath]
"""An alternative of a rule and where it is written; None for a rule that asks nothing."""

INHERITED: Final = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirror_percent",
    "mirror_percent_legacy",
    "mirror_percentage",
    "mirrors",
    "cors_policy",
    "headers",
)
"""What a delegate's rule takes, whole, from the rule that names the delegate, where it says nothing itself."""


class Rule(msgspec.Struct, frozen=True):
    """An HTTP rule as a proxy gets it. Short names of its destinations are those of the owner's namespace, and of its
    mirrors those of `mirrored_by`'s."""

    written: HTTPRoute
    owner: VirtualService
    path: FieldPath
    blocks: tuple[Block, ...]
    mirrored_by: VirtualService


class Delegates:
    """The VirtualServices that others may name."""

    def __init__(self, virtual_services: Iterable[VirtualService]) -> None:
        self._named: Final[Mapping[tuple[str, str], VirtualService]] = {
            (one.namespace, one.name): one for one in virtual_services if not one.spec.hosts
        }

    def of(self, root: VirtualService, rule: HTTPRoute) -> VirtualService | None:
        """The delegate that a rule names; None where there is none, or none that its namespace may see."""
        assert rule.delegate is not None
        found = self._named.get((rule.delegate.namespace or root.namespace, rule.delegate.name))
        if found is None or visibility(found.spec.export_to, found.namespace, root.namespace) == "hidden":
            return None
        return found

    def rules(self, root: VirtualService) -> Iterator[Rule]:
        """The rules of a VirtualService, each delegate's in the place of the rule that names it."""
        for number, rule in enumerate(root.spec.http):
            if rule.delegate is None:
                yield Rule(rule, root, ("http", number), tuple(_blocks(root, rule, number)), root)
            elif (delegate := self.of(root, rule)) is not None:
                yield from self.merged(root, rule, number, delegate)

    @staticmethod
    def merged(root: VirtualService, rule: HTTPRoute, number: int, delegate: VirtualService) -> Iterator[Rule]:
        """The delegate's rules with what they take from the root's."""
        above = tuple(_blocks(root, rule, number))
        for index, one in enumerate(delegate.spec.http):
            if one.delegate is not None:  # one level only
                continue
            blocks = merged_blocks(above, tuple(_blocks(delegate, one, index)))
            if blocks is None:
                continue
            taken = {field: getattr(rule, field) for field in INHERITED if not getattr(one, field)}
            mirrored_by = root if not (one.mirror or one.mirrors) else delegate
            written = one.model_copy(update={"name": joined(rule.name, one.name), **taken})
            yield Rule(written, delegate, ("http", index), blocks, mirrored_by)


def _blocks(owner: VirtualService, rule: HTTPRoute, number: int) -> Iterator[Block]:
    if not rule.match:
        yield None, owner, ("http", number)
    for index, asked in enumerate(rule.match):
        yield asked, owner, ("http", number, "match", index)


def merged_blocks(above: Sequence[Block], below: Sequence[Block]) -> tuple[Block, ...] | None:
    """The alternatives of a merged rule: each of the delegate's with each of the root's that it goes together with.

    None where one of the delegate's goes together with none: then the whole rule is dropped.
    """
    if above[0][0] is None:
        return tuple(below)
    if below[0][0] is None:
        return tuple(above)
    blocks: list[Block] = []
    for leaf, owner, path in below:
        assert leaf is not None
        roots = [one for one, _, _ in above if one is not None and not conflict(one, leaf)]
        if not roots:
            return None
        blocks += ((_both(one, leaf), owner, path) for one in roots)
    return tuple(blocks)


_MAPPINGS: Final = ("headers", "without_headers", "query_params", "source_labels")


def _both(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    """What both ask; where they ask about the same, what the leaf asks."""
    asked: dict[str, Any] = {field: getattr(leaf, field) or getattr(root, field) for field in type(leaf).model_fields}
    for field in _MAPPINGS:
        asked[field] = {**getattr(root, field), **getattr(leaf, field)}
    asked["name"] = joined(root.name, leaf.name)
    return leaf.model_copy(update=asked)


def joined(root: str, leaf: str) -> str:
    """The name of what two made, with `-` between."""
    return "-".join(filter(None, (root, leaf)))


def conflict(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    """Whether the leaf asks for something that the root's condition might exclude; then the two do not go together.

    `ignoreUriCase` counts even where neither asks for a path, and a leaf that leaves the namespace open does not go
    with a root that names one.
    """
    if any(
        texts_conflict(getattr(root, field), getattr(leaf, field)) for field in ("uri", "scheme", "method", "authority")
    ):
        return True
    for field in ("headers", "without_headers", "query_params"):
        above, below = getattr(root, field), getattr(leaf, field)
        if any(texts_conflict(above[name], below[name]) for name in above.keys() & below.keys()):
            return True
    if root.ignore_uri_case != leaf.ignore_uri_case:
        return True
    if root.port and leaf.port and root.port != leaf.port:
        return True
    if root.source_namespace and leaf.source_namespace != root.source_namespace:
        return True
    shared = root.source_labels.keys() & leaf.source_labels.keys()
    if any(root.source_labels[name] != leaf.source_labels[name] for name in shared):
        return True
    return bool(root.gateways) and not set(leaf.gateways) <= set(root.gateways)


def texts_conflict(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Whether a text that satisfies the leaf's condition might not satisfy the root's, as far as anybody looks.

    Patterns are never compared: they conflict with whatever stands beside them. An empty text is no text here.
    """
    if root is None or leaf is None:
        return False
    if root.regex or leaf.regex:
        return True
    if root.exact:
        return leaf.exact != root.exact
    if root.prefix:
        text = leaf.exact or leaf.prefix
        return not text or not text.startswith(root.prefix)
    return True
