"""A witness as the command that shows it again.

Inputs    a witness, and the words after `meshroute decide` that are not about the request: paths and loading options.
Exactness the command asks for the very request, or there is none: what was typed is read again and compared.
Errors    none.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

import msgspec

from meshroute.analysis.lint.finding import Witness
from meshroute.compile.viewpoint import Gateway, Sidecar, Waypoint
from meshroute.names import DEFAULT_NAMESPACE, unwire
from meshroute.request import Request, RequestError, host_of

_PLAIN: Final = Sidecar()


class Typed(msgspec.Struct, frozen=True):
    """How the manifests were named on a command line: paths and loading options, as `meshroute decide` takes them, and
    what they say of `--namespace`. Without words no command can be told."""

    words: tuple[str, ...] = ()
    namespace: str = DEFAULT_NAMESPACE


NOTHING: Final = Typed()


def replay(witness: Witness, typed: Typed) -> str | None:
    """The command that asks for the witness's request from its viewpoint; None where no options can say it."""
    viewpoint = _viewpoint(witness.viewpoint, typed.namespace)
    request = _request(witness.request)
    if not typed.words or viewpoint is None or request is None:
        return None
    command = shlex.join(["meshroute", "decide", *typed.words, *request, *viewpoint])
    return command if command.isprintable() else None


def shown_by(witness: Witness, typed: Typed) -> str:
    """The command, or the witness in words where there is none."""
    return replay(witness, typed) or described(witness)


def described(witness: Witness) -> str:
    """The witness in words."""
    request = witness.request
    headers = "".join(f", {name}: {unwire(value)}" for name, value in request.headers)
    return f"{request.method} {request.url}{headers}, seen by {_who(witness.viewpoint)}"


def _who(viewpoint: Sidecar | Gateway | Waypoint) -> str:
    if isinstance(viewpoint, Sidecar):
        labels = ",".join(f"{key}={value}" for key, value in viewpoint.labels.items())
        return f"a sidecar in namespace {viewpoint.namespace}" + (f" with {labels}" if labels else "")
    return f"{'the gateway' if isinstance(viewpoint, Gateway) else 'the waypoint'} {viewpoint.name}"


def _viewpoint(viewpoint: Sidecar | Gateway | Waypoint, namespace: str) -> list[str] | None:
    words: list[str] = []
    match viewpoint:
        case Sidecar():
            if viewpoint.families != _PLAIN.families or not viewpoint.namespace:
                return None
            if viewpoint.namespace != namespace:
                words += ["--from", viewpoint.namespace]
            for key, value in viewpoint.labels.items():
                words += ["--label", f"{key}={value}"]
            if viewpoint.node:
                words += ["--node", viewpoint.node]
        case Gateway():
            if viewpoint.namespace or viewpoint.labels:
                return None
            full = viewpoint.name if "/" in viewpoint.name else f"{DEFAULT_NAMESPACE}/{viewpoint.name}"
            words += ["--gateway", full]
        case Waypoint():
            words += ["--waypoint", viewpoint.full_name]
    if viewpoint.locality:
        words += ["--locality", viewpoint.locality]
    return words


def _request(request: Request) -> list[str] | None:
    for url, host in _urls(request):
        headers = [*([("host", host)] if host else []), *((name, unwire(value)) for name, value in request.headers)]
        try:
            same = Request.of(request.method, url, headers, source_ip=request.source_ip) == request
        except RequestError:
            continue
        # `{n}` is the number of the request to the command.
        if not same or "{n}" in url or any("{n}" in value for _, value in headers):
            continue
        words = [url] if request.method == "GET" else [url, "--method", request.method]
        for name, value in headers:
            words += ["--header", f"{name}: {value}"]
        return [*words, "--source-ip", request.source_ip] if request.source_ip else words
    return None


def _urls(request: Request) -> Iterator[tuple[str, str]]:
    """URLs that might ask for the request, the plainest first, each with the Host header that it needs."""
    authority, path = unwire(request.authority), unwire(request.path)
    path = "/*" if path == "*" else path
    marked = f"{path}#" if request.fragment else path
    yield f"{request.scheme}://{authority}{marked}", ""
    name = request.looked_up or host_of(authority)
    bare = f"[{name}]" if ":" in name and not name.startswith("[") else name
    yield f"{request.scheme}://{bare}:{request.port}{marked}", authority


def witness_values(witness: Witness, typed: Typed) -> dict[str, object]:
    """A witness as plain JSON values, and its command, null without one; what of the request follows from the rest of
    it is left out."""
    request = witness.request
    return {
        "command": replay(witness, typed),
        "viewpoint": {"kind": type(witness.viewpoint).__name__, **msgspec.to_builtins(witness.viewpoint)},
        "request": {
            "method": request.method,
            "url": request.url,
            "scheme": request.scheme,
            "authority": unwire(request.authority),
            "path": unwire(request.path),
            "headers": [[name, unwire(value)] for name, value in request.headers],
            "port": request.port,
            "source_ip": request.source_ip,
            "source_port": request.source_port,
            "destination_ip": request.destination_ip,
            "filter_state": {name: unwire(value) for name, value in request.filter_state.items()},
            "metadata": msgspec.to_builtins(request.metadata),
            "fragment": request.fragment,
            "looked_up": request.looked_up,
        },
    }
