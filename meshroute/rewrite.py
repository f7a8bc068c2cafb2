"""Rewrites: another path, another authority.

Source    spec/change.md CHANGE-4, CHANGE-5; envoyproxy/envoy: source/common/router/config_impl.cc,
          source/extensions/path/rewrite/uri_template
Inputs    a rewrite, and the scene after all header changes. Exactness: text for text in wire form; what comes out empty
          changes nothing.
Errors    none, if `refuse_path` and `refuse_authority` had nothing to say of a rewrite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, assert_never

from meshroute.formats import Scene, parse
from meshroute.match.re2 import Re2SyntaxError, Rewrite, compile_rewrite
from meshroute.match.template import shape_of, variables
from meshroute.names import ascii_lower
from meshroute.table import (
    AuthorityLiteral,
    AuthorityOfEndpoint,
    AuthorityOfHeader,
    AuthorityOfPath,
    AuthorityRewrite,
    Exact,
    FormatRewrite,
    PathMatch,
    PathRewrite,
    Pattern,
    Prefix,
    PrefixRewrite,
    RegexRewrite,
    Segments,
    TableError,
    Template,
    TemplateRewrite,
    Tunnel,
)

ORIGINAL_PATH: Final = "x-envoy-original-path"
ORIGINAL_HOST: Final = "x-envoy-original-host"
FORWARDED_HOST: Final = "x-forwarded-host"


def rewrite_path(rewrite: PathRewrite, asked: PathMatch, scene: Scene) -> None:
    """Give the scene its new path, and keep the old one in a header; nothing where the rewrite comes to nothing."""
    path = new_path(rewrite, asked, scene)
    if path is not None:
        scene.headers.set(ORIGINAL_PATH, scene.path)
        scene.path = path


def new_path(rewrite: PathRewrite, asked: PathMatch, scene: Scene) -> str | None:
    """The new path with its query; None for no rewrite."""
    plain, mark, query = scene.path.partition("?")
    match rewrite:
        case PrefixRewrite(value):
            length = asked_length(asked, plain) if value else None
            return None if length is None else value + scene.path[length:]
        case RegexRewrite(pattern, substitution):
            text = replaced(pattern, substitution, plain)
        case TemplateRewrite(value):
            assert isinstance(asked, Template), "Router refuses a rewrite by template without one to match"
            found = variables(asked.value, plain)
            text = "" if found is None else _VARIABLE.sub(lambda one: found[one[1]], value)
        case FormatRewrite(value):
            text = parse(value).render(scene)
        case _:
            assert_never(rewrite)
    return text + mark + query if text else None


def asked_length(asked: PathMatch, plain: str) -> int | None:
    """How much of the path the route asked for, as text; None where the path does not begin so."""
    match asked:
        case Prefix(value, ignore_case) | Segments(value, ignore_case) | Exact(value, ignore_case):
            same = ascii_lower(plain[: len(value)]) == ascii_lower(value) if ignore_case else plain.startswith(value)
            return len(value) if same else None
        case Pattern() | Template() | Tunnel():
            return len(plain)
        case _:
            assert_never(asked)


def replaced(pattern: str, substitution: str, text: str) -> str:
    """Every match replaced. A substitution that names a group too many leaves the text as it is. One with a backslash
    before anything but a digit or a backslash ends there: matches become what stands before it."""
    ready = _ready(pattern, substitution)
    return text if ready is None else ready.all_in(text)


# The cache saves time only.
@lru_cache(maxsize=1024)
def _ready(pattern: str, substitution: str) -> Rewrite | None:
    groups = compile_rewrite(pattern, "").groups
    if any(int(digit) > groups for digit in re.findall(r"\\(?:([0-9])|.)", substitution, re.DOTALL) if digit):
        return None
    good = re.match(r"(?:[^\\]|\\[0-9\\])*", substitution, re.DOTALL)
    assert good is not None, "it matches nothing, if need be"
    return compile_rewrite(pattern, good[0])


def rewrite_authority(rewrite: AuthorityRewrite, forwarded: bool, scene: Scene) -> None:
    """Give the scene its new authority; that of the endpoint comes later, when there is one."""
    match rewrite:
        case AuthorityLiteral(value):
            new = value
        case AuthorityOfHeader(name):
            new = next(iter(scene.values(name)), "")
        case AuthorityOfPath(pattern, substitution):
            new = replaced(pattern, substitution, scene.path.partition("?")[0])
        case FormatRewrite(value):
            new = parse(value).render(scene, missing="-")
        case AuthorityOfEndpoint():
            return
        case _:
            assert_never(rewrite)
    set_authority(new, forwarded, scene)


def set_authority(new: str, forwarded: bool, scene: Scene) -> None:
    """Another authority: the old one goes into a header, and with `forwarded` behind those that had it before."""
    if not new:
        return
    old = scene.authority
    if forwarded:
        before = scene.headers.values(FORWARDED_HOST)
        if not before or before[-1].rpartition(",")[2].strip(" \t") != old:
            scene.headers.add(FORWARDED_HOST, old)
    scene.headers.set(ORIGINAL_HOST, old)
    scene.authority = new


# What a proxy would not load

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_LITERALS = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@*=/]*")


def refuse_path(rewrite: PathRewrite | RegexRewrite, asked: PathMatch) -> Iterator[str]:
    """What a proxy would say of a rewrite of the path."""
    match rewrite:
        case PrefixRewrite(value):
            if isinstance(asked, Template) and value:
                yield "a path of a shape has no prefix that could be rewritten"
        case RegexRewrite(pattern):
            yield from refuse_pattern(pattern)
        case FormatRewrite(value):
            yield from refuse_format(value)
        case TemplateRewrite(value):
            if not isinstance(asked, Template):
                yield "a rewrite by template wants a route that asks for one"
                return
            try:
                known = shape_of(asked.value).variables
            except TableError:
                return  # said where templates are matched
            if not value.startswith("/") or "//" in value:
                yield f"`{value}` does not start with `/`, or has two of them in a row"
            if not _LITERALS.fullmatch(_VARIABLE.sub("", value)):
                yield f"`{value}` has characters that a template has not"
            for name in _VARIABLE.findall(value):
                if name not in known:
                    yield f"`{value}` has a variable `{name}` that the route's template has not"
        case _:
            assert_never(rewrite)


def refuse_authority(rewrite: AuthorityRewrite) -> Iterator[str]:
    """What a proxy would say of a rewrite of the authority."""
    match rewrite:
        case AuthorityOfPath(pattern):
            yield from refuse_pattern(pattern)
        case FormatRewrite(value):
            yield from refuse_format(value)
        case AuthorityLiteral() | AuthorityOfHeader() | AuthorityOfEndpoint():
            pass
        case _:
            assert_never(rewrite)


def refuse_pattern(pattern: str) -> Iterator[str]:
    """What a proxy would say of a pattern. Of substitutions it says nothing."""
    try:
        compile_rewrite(pattern, "")
    except Re2SyntaxError as error:
        yield f"pattern `{pattern}`: {error}"


def refuse_format(text: str) -> Iterator[str]:
    """What a proxy would say of a format."""
    try:
        parse(text)
    except ValueError as error:
        yield str(error)
