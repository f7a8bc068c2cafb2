"""What `meshroute connect --kube-proxy` asks: which Service a connection is for, and what its node does with it.

Inputs    a mesh, a connection, the options as they were written.
Errors    exit status 2 for a Service, a node or a setting that is not there, and where the client's address is missing.
"""

from __future__ import annotations

from msgspec.structs import replace

import meshroute as mr
from meshroute.cli import show, words
from meshroute.cli.common import print_json, refuse
from meshroute.compile.topology import parts_of
from meshroute.diagnostics import to_builtins
from meshroute.manifest.kubernetes import Service
from meshroute.shares import Horizon


def asked(
    mesh: mr.Mesh, connection: mr.Connection, namespace: str, kube_proxy: str, node: str, locality: str
) -> mr.ServiceProxy:
    """The Service that the connection is for, as the node serves it: by its name, else by the address."""
    found: mr.ServiceProxy | None = None
    try:
        setting = mr.KubeProxy.parse(kube_proxy)
        zone = parts_of(locality)[1] if locality else None

        def service(name: str, where: str) -> mr.ServiceProxy:
            return mesh.service(name, where, kube_proxy=setting, node=node, zone=zone)

        if connection.host:
            return mesh.lookup(connection.host, namespace, kube_proxy=setting, node=node, zone=zone)
        every = [one for one in mesh.resources if isinstance(one, Service)]
        for one in sorted(every, key=lambda one: (one.namespace, one.name)):
            known = service(one.name, one.namespace)
            if found is None and not known.front.alias and known.answers(connection):
                found = known
    except ValueError as error:
        refuse(str(error))
    if found is None:
        refuse(f"no Service answers on {words.connection(connection)}")
    return found


def answer(
    mesh: mr.Mesh,
    service: mr.ServiceProxy,
    connection: mr.Connection,
    state: mr.State,
    draws: mr.Draws,
    horizon: Horizon | None,
    failed: int,
    notes: bool,
    json: bool,
) -> None:
    """Print where the connection goes and why, after so many failed dials; with a horizon, with which probabilities."""
    try:
        if horizon is not None:
            chances = service.shares(connection, state, horizon=horizon)
            if not json:
                show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
                show.print_shares(show.console(), words.connection(connection), chances, by_node=True)
                return
            found = {"shares": chances.to_builtins()}
        else:
            connected = service.connect(connection, state, draws, explain=True)
            for _ in range(failed):
                told = connected.trace
                state = state.after((*connected.effects, *connected.finished()))
                connected = service.redial(connected, state, explain=True)
                connected = replace(connected, trace=(*told, *connected.trace))
            if not json:
                show.print_diagnostics(show.console(stderr=True), mesh.diagnostics, notes=notes)
                show.print_connected(show.console(), connected, by_node=True)
                return
            found = {"connected": connected.to_builtins()}
    except ValueError as error:
        refuse(str(error))
    print_json({**found, "diagnostics": [to_builtins(one) for one in mesh.diagnostics]})
