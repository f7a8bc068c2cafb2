"""Header changes, level by level.

Source    spec/change.md CHANGE-1; envoyproxy/envoy: source/common/router/header_parser.cc
Inputs    what one level changes, the headers, and the scene that its formats are about.
Exactness a level removes, then sets, then adds; its values are all rendered before it sets or adds the first.
Errors    FormatError for a value that is no format, unless `Router` has refused it before.
"""

from __future__ import annotations

from typing import Any

from meshroute.formats import Scene, parse
from meshroute.headers import Lines
from meshroute.request import SINGLE_SLOT_HEADERS, Request
from meshroute.table import Append, HeaderChanges


def scene_of(request: Request, route: str, cluster: str = "", **more: Any) -> Scene:
    """The scene of a request; `more` is of the answer, if there is one."""
    return Scene(
        Lines(request.headers, SINGLE_SLOT_HEADERS),
        request.method,
        request.scheme,
        request.authority,
        request.path,
        source_ip=request.source_ip,
        source_port=request.source_port,
        route=route,
        cluster=cluster,
        **more,
    )


def change(headers: Lines, changes: HeaderChanges, scene: Scene) -> None:
    """Make the changes of one level."""
    for name in changes.remove:
        headers.remove(name)
    overwritten, added = [], []
    for one in changes.add:
        value = parse(one.value).render(scene)
        if not value and not one.keep_empty:
            continue
        match one.how:
            case Append.APPEND:
                added.append((one.name, value))
            case Append.IF_ABSENT:
                # Asked of the headers as they were: two of these for one name are both added.
                if not headers.values(one.name):
                    added.append((one.name, value))
            case Append.OVERWRITE:
                overwritten.append((one.name, value))
            case Append.OVERWRITE_IF_PRESENT:
                if headers.values(one.name):
                    overwritten.append((one.name, value))
    for name, value in overwritten:
        headers.set(name, value)
    for name, value in added:
        headers.add(name, value)
