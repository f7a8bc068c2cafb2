"""Routes as sets of requests, and requests out of such sets.

Source    spec/match.md MATCH-1 to MATCH-24; spec/request.md; meshroute.match.predicate is the definition
Inputs    table values in wire form. Exactness: every request that a route takes is in its box. A box can have more:
          parts that depend on each other are taken to be free (a `:path` header and the path, cookies and the header
          that they are in), so who asks about one request asks the engine.
Errors    TooManyStates for patterns whose automaton passes the bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from meshroute.analysis.space.cubes import MISSING, THERE, Asked, Cube, Draw, Lines, One, Part
from meshroute.analysis.space.language import ANY, NOTHING, Language, language_of
from meshroute.analysis.space.search import Region
from meshroute.draws import STREAM, Draws
from meshroute.names import unwire
from meshroute.request import SINGLE_SLOT_HEADERS, Request, RequestError
from meshroute.table import (
    Absent,
    CookieMatch,
    HeaderMatch,
    MetadataMatch,
    Portion,
    Present,
    QueryMatch,
    RouteMatch,
    Tunnel,
)

CONNECT: Final = Language.exact("CONNECT")
METHOD: Final = Part("method")
PATH: Final = Part("path")
DRAW: Final = Part("draw")
AUTHORITY: Final = Part("authority")
_PSEUDO: Final = {
    ":method": METHOD,
    ":scheme": Part("scheme"),
    ":authority": AUTHORITY,
    "host": AUTHORITY,
    ":path": Part("target"),
}
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")

# What `Request` lets through.
_WHOLE: Final[Mapping[str, Language]] = {
    "method": Language.pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"),
    "scheme": Language.pattern("https?"),
    "authority": Language.pattern(r"[^\x00-\x20\x7f-\xff/?#\\@\"<>^`{|}]+"),
    "path": Language.pattern(r"/[^\x00-\x20\x7f?#]*"),
    "target": Language.pattern(r"/[^\x00-\x20\x7f#]*"),
    "query": Language.pattern(r"[^\x00-\x20\x7f#&]*"),
    "cookie": Language.pattern(r"[^\x00-\x08\x0a-\x1f\x7f;]*"),
}
_VALUE: Final = Language.pattern(r"(?s)([^\x00-\x20\x7f]([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
_TOKEN: Final = Language.pattern(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_PARAMETER: Final = Language.pattern(r"[^\x00-\x20\x7f#&=]*")
_GRPC: Final = Language.exact("application/grpc") | Language.prefix("application/grpc+")

# Parts of texts that hardly any rule names; a sample with one of them in it gets past rules for exact texts.
_RARE: Final = Language.contains("zq7")
_EMPTY: Final = Language.exact("")


def whole(part: Part) -> Cube:
    """Everything that a part of a request can be."""
    match part.kind:
        case "header" if part.name in SINGLE_SLOT_HEADERS:
            return One(True, _VALUE)
        case "header":
            return Lines(each=_VALUE if part.name in _TOKEN else NOTHING)
        case "metadata":
            return Lines()
        case "draw":
            return Draw(1, ((0, 1),))
        case "query":
            return One(True, _WHOLE["query"] if part.name in _PARAMETER else NOTHING)
        case "cookie":
            return One(True, _WHOLE["cookie"])
        case "joined":
            return One(True, _VALUE)
        case _:
            return One(False, _WHOLE[part.kind])


def authorities(domains: Iterable[str]) -> Language:
    """The authorities that domains stand for, in any case, and with any port. Those that a more specific domain of
    another virtual host takes are among them."""
    names = []
    for domain in domains:
        before, star, after = domain.partition("*")
        if star and before and after:  # only a star at one of the ends stands for anything
            before, star, after = domain, "", ""
        names.append(f"{_quoted(before)}{'.+' if star else ''}{_quoted(after)}")
    return Language.pattern(f"(?i)({'|'.join(names)})(:[^:\\]]*)?") & _WHOLE["authority"]


def _quoted(text: str) -> str:
    return "".join(char if char.isalnum() else f"\\x{ord(char):02x}" for char in text)


def conditions(asked: RouteMatch) -> tuple[Asked, ...]:
    """What a route asks, part by part. Whether it is for CONNECT is part of it."""
    if isinstance(asked.path, Tunnel):
        found = [_text(METHOD, CONNECT)]
    else:
        found = [_text(METHOD, ~CONNECT), _text(PATH, language_of(asked.path))]
    found += map(_header, asked.headers)
    found += map(_query, asked.query)
    found += map(_cookie, asked.cookies)
    found += map(_metadata, asked.metadata)
    if asked.grpc:
        found.append(_text(Part("header", "content-type"), _GRPC))
    if asked.portion is not None:
        found.append(_portion(asked.portion))
    return tuple(found)


def _text(part: Part, texts: Language) -> Asked:
    """Once, and one of these."""
    return _one(part, One(False, texts))


def _one(part: Part, holds: One) -> Asked:
    return Asked(part, (holds,), (holds.outside(),))


def _always(part: Part, holds: bool) -> Asked:
    return Asked(part, (whole(part),), ()) if holds else Asked(part, (), (whole(part),))


def _header(wanted: HeaderMatch) -> Asked:
    part = _PSEUDO.get(wanted.name)
    if part is not None:  # always there, once; CONNECT has no `:path`, and no route that asks for it
        if isinstance(wanted.value, Present):
            return _always(part, not wanted.invert)
        texts = language_of(wanted.value)
        return _text(part, ~texts if wanted.invert else texts)
    kind = "joined" if wanted.joined and not isinstance(wanted.value, Present) else "header"
    part = Part(kind, wanted.name)
    if isinstance(wanted.value, Present):
        if wanted.missing_is_empty:
            return _always(part, not wanted.invert)
        if wanted.name in SINGLE_SLOT_HEADERS:
            return _one(part, One(True, NOTHING) if wanted.invert else One(False, ANY))
        there, missing = (THERE,), (MISSING,)
        return Asked(part, missing, there) if wanted.invert else Asked(part, there, missing)
    texts = language_of(wanted.value)
    empty = wanted.missing_is_empty and ("" in texts) != wanted.invert
    if kind == "joined" or wanted.name in SINGLE_SLOT_HEADERS:
        return _one(part, One(empty, ~texts if wanted.invert else texts))
    some, none = Lines(absent=False, some=(texts,)), Lines(absent=False, each=~texts)
    if not wanted.invert:
        return Asked(part, _with(some, empty), _with(none, not empty))
    return Asked(part, _with(none, empty), _with(some, not empty))


def _with(lines: Lines, missing: bool) -> tuple[Cube, ...]:
    """Such lines, or none at all."""
    if not missing:
        return (lines,)
    return (lines, MISSING) if lines.some else (Lines(each=lines.each),)


def _query(wanted: QueryMatch) -> Asked:
    part = Part("query", wanted.name)
    if isinstance(wanted.value, Absent):
        return _one(part, One(True, NOTHING))
    return _text(part, language_of(wanted.value))


def _cookie(wanted: CookieMatch) -> Asked:
    texts = language_of(wanted.value)
    return _one(Part("cookie", wanted.name), One(wanted.invert, ~texts if wanted.invert else texts))


def _metadata(wanted: MetadataMatch) -> Asked:
    part = Part("metadata", wanted.source, wanted.path)
    texts = language_of(wanted.value)
    some, none = (Lines(absent=False, some=(texts,)),), (Lines(each=~texts),)
    return Asked(part, none, some) if wanted.invert else Asked(part, some, none)


def _portion(wanted: Portion) -> Asked:
    size, of = min(wanted.numerator, wanted.denominator), wanted.denominator
    holds = Draw(of, ((0, size),) if size else ())
    return Asked(DRAW, (holds,), (Draw(of, ((size, of),) if size < of else ()),))


def samples(region: Region, authority: str, port: int, scheme: str = "http") -> Iterator[tuple[Request, Draws]]:
    """Some requests of a region, the plainest first; nothing for what no client can send.

    `authority` and `scheme` are what is asked for where the region does not care, `port` the port that the client
    connects to.
    """
    for rare in (False, True):
        try:
            yield _sample(region, authority, port, scheme, rare)
        except (RequestError, _NoSuchRequest):
            continue


class _NoSuchRequest(Exception):
    """Nothing in the region could be sent."""


def _sample(region: Region, authority: str, port: int, scheme: str, rare: bool) -> tuple[Request, Draws]:
    texts: dict[str, str] = {}
    headers: list[tuple[str, str]] = []
    query: list[str] = []
    cookies: list[str] = []
    metadata: dict[str, Any] = {}
    draws: dict[str, int] = {}
    for part, cube in region.items():
        if cube.empty:
            raise _NoSuchRequest
        match cube:
            case Draw(_, spans):
                draws[STREAM] = spans[0][0]
            case Lines(absent, _, some, each):
                if absent and not some:
                    continue
                values = [_member(one & each, False) for one in some or (ANY,)]
                if part.kind == "metadata":
                    _note(metadata, part, [unwire(one) for one in values])
                else:
                    headers += ((part.name, one) for one in values)
            case One(absent, allowed):
                if absent and part.kind in ("header", "query", "cookie", "joined"):
                    continue
                match part.kind:
                    case "header" | "joined":
                        headers.append((part.name, _member(allowed, False)))
                    case "query":
                        query.append(f"{part.name}={_member(allowed, False)}")
                    case "cookie":
                        cookies.append(f"{part.name}={_member(allowed, False)}")
                    case "method":
                        texts["method"] = next((one for one in _METHODS if one in allowed), "") or _member(
                            allowed, False
                        )
                    case "scheme":
                        texts["scheme"] = scheme if scheme in allowed else _member(allowed, False)
                    case "authority":
                        texts["authority"] = authority if authority in allowed else _member(allowed, False)
                    case _:
                        texts[part.kind] = _member(allowed, rare)
    if cookies:
        headers.append(("cookie", "; ".join(cookies)))
    path = texts.get("path") or ("/zq7" if rare else "/")
    if query:
        path += "?" + "&".join(query)
    request = Request(
        method=texts.get("method", "GET"),
        authority=texts.get("authority", authority),
        path=texts.get("target", path),
        headers=tuple(headers),
        scheme=texts.get("scheme", scheme),
        port=port,
        metadata=metadata,
    )
    return request, Draws.of(given=draws)


def _member(texts: Language, rare: bool) -> str:
    """A text of these, a rare one if wanted, and one that is not empty if there is any."""
    found = (texts & _RARE).shortest() if rare else None
    if found is None:
        found = texts.shortest()
    if found == "":
        found = (texts - _EMPTY).shortest() or ""
    if found is None:
        raise _NoSuchRequest
    return found


def _note(metadata: dict[str, Any], part: Part, values: list[str]) -> None:
    """Put texts where a condition looks for them."""
    *way, last = (part.name, *part.path)
    for key in way:
        metadata = metadata.setdefault(key, {})
        if not isinstance(metadata, dict):
            raise _NoSuchRequest
    metadata[last] = values[0] if len(values) == 1 else values
