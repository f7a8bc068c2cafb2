"""Matches that no request reaches, because one before them asks for no more.

Source    spec/validate.md CHECK-17, CHECK-22; istio/istio: pkg/config/validation/validation.go
          (analyzeUnreachableHTTPRules, analyzeUnreachableTCPRules, analyzeUnreachableTLSRules, coveredValidation)
Inputs    the rules of one VirtualService. Exactness: what `covered` tells is true, and Istio tells it too. Istio also
          tells of some matches that are used, as of one without a header behind one with it: those are `alarms`.
Errors    none. The time grows with the matches and the length of their prefixes, not with pairs of matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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


def covered(rules: Sequence[HTTPRoute]) -> Iterator[Covered]:
    """The matches that an earlier one covers, up to the first rule without matches: nothing behind it is used."""
    same: dict[str, tuple[int, int]] = {}
    prefixes: dict[str, list[tuple[int, int, HTTPMatchRequest]]] = {}
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
                    prefixes.setdefault(asked.uri.prefix, []).append((number, index, asked))


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
    prefixes: dict[str, list[tuple[int, int, _Looked]]] = {}
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
                prefixes.setdefault(looked.prefix, []).append((number, index, looked))
            if earlier != (number, index) and (number, index) not in unused:
                yield Alarm(number, index, *earlier)


class _Looked(msgspec.Struct, frozen=True):
    """What Istio looks at in a match with a prefix: a pattern is nothing to it, and no method is GET."""

    prefix: str
    port: int
    texts: tuple[str, str]
    maps: tuple[Mapping[str, str], ...]


def _looked(asked: HTTPMatchRequest) -> _Looked | None:
    if asked.uri is None or not asked.uri.prefix:
        return None
    maps = (asked.headers, asked.query_params, asked.without_headers)
    return _Looked(
        asked.uri.prefix,
        asked.port,
        (_text(asked.method) or "exact:GET", _text(asked.authority)),
        tuple({name: _text(one) for name, one in some.items()} for some in maps),
    )


def _text(wanted: StringMatch | None) -> str:
    if wanted is None:
        return ""
    if wanted.exact:
        return f"exact:{wanted.exact}"
    return f"prefix:{wanted.prefix}" if wanted.prefix else ""


def _suspected(later: _Looked, prefixes: dict[str, list[tuple[int, int, _Looked]]]) -> tuple[int, int] | None:
    """The first match with a shorter prefix in which everything else begins with what this one has there."""
    found = [
        (number, index)
        for length in range(1, len(later.prefix))
        for number, index, before in prefixes.get(later.prefix[:length], ())
        if before.port == later.port
        and all(one.startswith(other) for one, other in zip(before.texts, later.texts, strict=True))
        and all(
            one.keys() == other.keys() and all(value.startswith(other[name]) for name, value in one.items())
            for one, other in zip(before.maps, later.maps, strict=True)
        )
    ]
    return min(found, default=None)


def _written(asked: HTTPMatchRequest | L4MatchAttributes | TLSMatchAttributes) -> str:
    """A match as text, the same for those that ask the same; its name does not count."""
    values = ((name, one) for name, one in asked if name != "name")
    return repr([(name, sorted(one.items()) if isinstance(one, Mapping) else one) for name, one in values])


def _earlier(
    asked: HTTPMatchRequest, prefixes: dict[str, list[tuple[int, int, HTTPMatchRequest]]]
) -> tuple[int, int] | None:
    prefix = asked.uri.prefix if asked.uri is not None else None
    if not prefix:
        return None
    found = [
        (number, index)
        for length in range(1, len(prefix))
        for number, index, before in prefixes.get(prefix[:length], ())
        if _asks_no_more(before, asked)
    ]
    return min(found, default=None)


def _asks_no_more(before: HTTPMatchRequest, asked: HTTPMatchRequest) -> bool:
    """Whether what the later match takes, the earlier one takes: as far as Istio looks, and never where it is wrong."""
    return (
        before.port == asked.port
        and (before.ignore_uri_case or not asked.ignore_uri_case)
        and before.scheme in (None, asked.scheme)
        and _method(before.method, asked.method)
        and before.authority == asked.authority
        and dict(before.headers) == dict(asked.headers)
        and dict(before.without_headers) == dict(asked.without_headers)
        and dict(before.query_params) == dict(asked.query_params)
        and before.source_labels.items() <= asked.source_labels.items()
        and before.source_namespace in ("", asked.source_namespace)
        and (not before.gateways or (bool(asked.gateways) and set(asked.gateways) <= set(before.gateways)))
    )


def _method(before: StringMatch | None, asked: StringMatch | None) -> bool:
    # To Istio a match without a method is one of GET: it says nothing of other methods behind it, and they are no use.
    return before == asked or (before is None and asked is not None and asked.exact == "GET")
