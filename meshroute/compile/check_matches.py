"""Matches that no request reaches, because one before them asks for no more.

Source    spec/validate.md CHECK-17; istio/istio: pkg/config/validation/validation.go (analyzeUnreachableHTTPRules)
Inputs    the rules of one VirtualService. Exactness: what is told is true, and Istio tells it too. Istio also tells of
          some matches that are used: of one without a header behind one with it.
Errors    none. The time grows with the matches and the length of their prefixes, not with pairs of matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from meshroute.manifest.istio import HTTPMatchRequest, HTTPRoute, StringMatch


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


def _written(asked: HTTPMatchRequest) -> str:
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
