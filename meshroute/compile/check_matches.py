"""Matches that no request reaches, because one before them asks for no more.

Source    spec/validate.md CHECK-17, CHECK-22; istio/istio: pkg/config/validation/validation.go
          (analyzeUnreachableHTTPRules, analyzeUnreachableTCPRules, analyzeUnreachableTLSRules, coveredValidation)
Inputs    the rules of one VirtualService. Exactness: what `covered` tells is true, and Istio tells it too. Istio also
          tells of some matches that are used, as of one without a header behind one with it: those are `alarms`.
Errors    none. The time grows with the matches and the length of their prefixes; with pairs of matches only where one
          prefix is asked for again and again with other values of the same headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from meshroute.manifest.istio import (
    HTTPMatchRequest,
    HTTPRoute,
    L4MatchAttributes,
    StringMatch,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
)


class Covered(msgspec.Struct, frozen=True):
    """A match of a rule, and an earlier one that takes whatever it could take; rules and matches count from 0."""

    rule: int
    match: int
    earlier_rule: int
    earlier_match: int


_Prefixes: TypeAlias = dict[tuple[str, str], list[tuple[int, int, HTTPMatchRequest]]]
"""Matches by their prefixes, and by what has to be equal."""


def covered(rules: Sequence[HTTPRoute]) -> Iterator[Covered]:
    """The matches that an earlier one covers, up to the first rule without matches: nothing behind it is used."""
    same: dict[str, tuple[int, int]] = {}
    prefixes: _Prefixes = {}
    for number, rule in enumerate(rules):
        if not rule.match and rule.delegate is None:
            return
        for index, asked in enumerate(rule.match):
            earlier = same.get(written := _written(asked)) or _earlier(asked, prefixes)
            if earlier is not None:
                yield Covered(number, index, *earlier)
            # What a delegate does not take goes on to the next rule.
            elif rule.delegate is None:
                same[written] = (number, index)
                if asked.uri is not None and asked.uri.prefix:
                    prefixes.setdefault((asked.uri.prefix, _fixed(asked)), []).append((number, index, asked))


def covered_connections(rules: Sequence[TLSRoute | TCPRoute]) -> Iterator[Covered]:
    """The matches for connections that ask what an earlier one asks, up to the first rule without matches."""
    same: dict[str, tuple[int, int]] = {}
    for number, rule in enumerate(rules):
        matches: Sequence[L4MatchAttributes | TLSMatchAttributes] = rule.match
        if not matches:
            return
        for index, asked in enumerate(matches):
            earlier = same.setdefault(_written(asked), (number, index))
            if earlier != (number, index):
                yield Covered(number, index, *earlier)


class Alarm(msgspec.Struct, frozen=True):
    """A rule, or one match of it, that Istio says is never used, and an earlier one that Istio says takes it all."""

    rule: int
    match: int | None
    earlier_rule: int
    earlier_match: int | None


def alarms(rules: Sequence[HTTPRoute]) -> Iterator[Alarm]:
    """What Istio says is never used though it is, up to the first rule without matches and without `delegate`."""
    unused = {(one.rule, one.match) for one in covered(rules)}
    same: dict[str, tuple[int, int]] = {}
    prefixes: _Suspects = {}
    without: int | None = None
    for number, rule in enumerate(rules):
        if without is not None:
            # To Istio a rule that delegates takes all that it asks for; what the delegate leaves comes here.
            yield Alarm(number, None, without, None)
        if not rule.match and rule.delegate is None:
            return
        if not rule.match and without is None:
            without = number
        for index, asked in enumerate(rule.match if without is None else ()):
            earlier = same.setdefault(_written(asked), (number, index))
            looked = _looked(asked) if earlier == (number, index) else None
            if looked is not None:
                earlier = _suspected(looked, prefixes) or earlier
                prefixes.setdefault((looked.prefix, looked.kind), []).append(((number, index), looked.texts))
            if earlier != (number, index) and (number, index) not in unused:
                yield Alarm(number, index, *earlier)


class _Looked(msgspec.Struct, frozen=True):
    """What Istio looks at in a match with a prefix: a pattern is nothing to it, and no method is GET.

    `kind` is what has to be equal: the port and the names of headers and parameters; `texts` are what they have to be.
    """

    prefix: str
    kind: tuple[int, tuple[tuple[str, ...], ...]]
    texts: tuple[str, ...]


_Suspects: TypeAlias = dict[
    tuple[str, tuple[int, tuple[tuple[str, ...], ...]]], list[tuple[tuple[int, int], tuple[str, ...]]]
]
"""Places and texts of matches, by their prefixes and kinds."""


def _looked(asked: HTTPMatchRequest) -> _Looked | None:
    if asked.uri is None or not asked.uri.prefix:
        return None
    maps = [sorted(one.items()) for one in (asked.headers, asked.query_params, asked.without_headers)]
    names = tuple(tuple(name for name, _ in one) for one in maps)
    texts = [_text(wanted) for one in maps for _, wanted in one]
    method = _text(asked.method) or "exact:GET"
    return _Looked(asked.uri.prefix, (asked.port, names), (*texts, _text(asked.authority), method))


def _text(wanted: StringMatch | None) -> str:
    if wanted is None:
        return ""
    if wanted.exact:
        return f"exact:{wanted.exact}"
    return f"prefix:{wanted.prefix}" if wanted.prefix else ""


def _suspected(later: _Looked, prefixes: _Suspects) -> tuple[int, int] | None:
    """The first match with a shorter prefix in which everything else begins with what this one has there."""
    found = [
        next((place for place, texts in some if all(map(str.startswith, texts, later.texts))), None)
        for length in range(1, len(later.prefix))
        if (some := prefixes.get((later.prefix[:length], later.kind)))
    ]
    return min((one for one in found if one is not None), default=None)


def _written(asked: HTTPMatchRequest | L4MatchAttributes | TLSMatchAttributes) -> str:
    """A match as text, the same for those that ask the same; its name does not count."""
    values = ((name, one) for name, one in asked if name != "name")
    return repr([(name, sorted(one.items()) if isinstance(one, Mapping) else one) for name, one in values])


def _fixed(asked: HTTPMatchRequest) -> str:
    """What two matches have to have in common, for one to take what the other could take."""
    maps = (asked.headers, asked.without_headers, asked.query_params)
    return repr((asked.port, asked.authority, *(sorted(one.items()) for one in maps)))


def _earlier(asked: HTTPMatchRequest, prefixes: _Prefixes) -> tuple[int, int] | None:
    prefix = asked.uri.prefix if asked.uri is not None else None
    if not prefix:
        return None
    fixed = _fixed(asked)
    found = [
        next((one[:2] for one in prefixes.get((prefix[:length], fixed), ()) if _asks_no_more(one[2], asked)), None)
        for length in range(1, len(prefix))
    ]
    return min((one for one in found if one is not None), default=None)


def _asks_no_more(before: HTTPMatchRequest, asked: HTTPMatchRequest) -> bool:
    """Whether what the later match takes, the earlier one takes: as far as Istio looks, and never where it is wrong."""
    return (
        (before.ignore_uri_case or not asked.ignore_uri_case)
        and before.scheme in (None, asked.scheme)
        and _method(before.method, asked.method)
        and before.source_labels.items() <= asked.source_labels.items()
        and before.source_namespace in ("", asked.source_namespace)
        and (not before.gateways or (bool(asked.gateways) and set(asked.gateways) <= set(before.gateways)))
    )


def _method(before: StringMatch | None, asked: StringMatch | None) -> bool:
    # To Istio a match without a method is one of GET: it says nothing of other methods behind it, and they are no use.
    return before == asked or (before is None and asked is not None and asked.exact == "GET")
