"""What one sidecar sees, as plain values: names, virtual hosts, clusters, the rules that it follows.

Source    spec/connect.md, spec/host.md, spec/sidecar.md, spec/kubernetes.md, spec/destination.md
Inputs    manifests as text, a client and the mesh's settings as mappings. Errors: those of loading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

import meshroute as mr
from meshroute.compile.destination import DestinationRules
from meshroute.compile.domains import domains_of
from meshroute.compile.resolve import intersection, names_for_namespace, overlaps, specificity
from meshroute.compile.scope import in_order
from meshroute.compile.service import RegisteredService
from meshroute.load import load_text
from meshroute.manifest import DestinationRule, VirtualService
from meshroute.names import Host
from meshroute.table import Forward

NOBODY: Final[Mapping[str, Any]] = {}


def client_of(given: Mapping[str, Any]) -> mr.Sidecar | mr.Gateway | mr.Waypoint:
    """A viewpoint from its JSON form: a sidecar, or with `gateway` the proxy that serves that one."""
    if "gateway" in given:
        return mr.Gateway(given["gateway"], **{name: one for name, one in given.items() if name != "gateway"})
    if "waypoint" in given:
        return mr.Waypoint(given["waypoint"], given.get("locality", ""))
    families = given.get("families")
    return mr.Sidecar(**{**given, "families": tuple(families)} if families is not None else given)


def mesh_of(given: Mapping[str, Any], outbound: str = "ALLOW_ANY") -> mr.MeshConfig:
    """The mesh's settings from their JSON form."""
    settings: dict[str, Any] = {"outbound": outbound}
    settings |= {name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}
    return mr.MeshConfig(**settings)


class Admitted(mr.Mesh):
    """A mesh of whatever the schema takes: istiod makes routes of that too, where nobody asked its webhook."""

    def _admit(self) -> None:
        """Everything is in already."""


def admitted(manifests: str, config: mr.MeshConfig) -> Admitted:
    """The same of a text. Raises ManifestError for what the schema does not take."""
    loaded = load_text(manifests, "inline")
    if any(one.severity is mr.Severity.ERROR for one in loaded.diagnostics):
        raise mr.ManifestError(loaded.diagnostics)
    return Admitted(loaded.resources, loaded.diagnostics, config=config)


def _table(manifests: str, client: Mapping[str, Any], mesh: Mapping[str, Any]) -> mr.RoutingTable:
    return admitted(manifests, mesh_of(mesh)).router(client_of(client)).table


def _virtual_hosts(
    manifests: str, port: int, client: Mapping[str, Any] = NOBODY, mesh: Mapping[str, Any] = NOBODY
) -> Mapping[str, str] | None:
    """For each virtual host on a port the cluster of its first route, if it has one; None where nobody listens."""
    listener = next((one for one in _table(manifests, client, mesh).listeners if one.port == port), None)
    if listener is None:
        return None
    found = {}
    for one in listener.virtual_hosts:
        action = one.routes[0].action
        found[one.name] = action.clusters[0].cluster if isinstance(action, Forward) else "no cluster"
    return found


def _domains(
    host: str,
    client_domain: str,
    addresses: Sequence[str] = (),
    aliases: Sequence[str] = (),
    families: Sequence[str] = ("IPv4", "IPv6"),
    *,
    headless: bool = False,
) -> list[str]:
    service = RegisteredService(
        Host(host), "", "", (), {}, tuple(addresses), headless, aliases=tuple(Host(one) for one in aliases)
    )
    return list(domains_of(service, client_domain, families)[0])


def _clusters(
    manifests: str, client: Mapping[str, Any] = NOBODY, mesh: Mapping[str, Any] = NOBODY
) -> Mapping[str, list[str] | str]:
    """Each cluster's endpoints as `address:port`, with `*weight` where that is not 1; or how it finds them."""
    found: dict[str, list[str] | str] = {}
    for one in _table(manifests, client, mesh).clusters:
        if isinstance(one.policy, mr.table.OriginalDestination):
            found[one.name] = "original destination"
        else:
            found[one.name] = [f"{e.key}*{e.weight}" if e.weight != 1 else str(e.key) for e in one.endpoints]
    return found


def _virtual_services(manifests: str, namespace: str) -> list[str]:
    resources = admitted(manifests, mesh_of(NOBODY)).resources
    return [one.name for one in in_order([one for one in resources if isinstance(one, VirtualService)], namespace)]


def _subsets(
    manifests: str,
    client: str,
    host: str,
    owner: str,
    labels: Mapping[str, str] = NOBODY,
    mesh: Mapping[str, Any] = NOBODY,
) -> list[str]:
    config = mesh_of(mesh)
    rules = [one for one in admitted(manifests, config).resources if isinstance(one, DestinationRule)]
    lookup = DestinationRules(rules, config.domain, config.root_namespace, config.default_destination_rule_export_to)
    return list(lookup.effective(client, Host(host), owner, labels).subsets)


def _connect(
    connection: Mapping[str, Any],
    manifests: str = "",
    client: Mapping[str, Any] = NOBODY,
    table: Mapping[str, Any] | None = None,
    outbound: str = "ALLOW_ANY",
    seed: int = 0,
    draws: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """What becomes of a connection: of the outcome what there is, and of the way there; or that requests are read."""
    if table is not None:
        router = mr.Router(mr.RoutingTable.from_json(msgspec.json.encode(table)))
    else:
        router = mr.loads(manifests, config=mesh_of(NOBODY, outbound)).router(client_of(client))
    try:
        got = router.connect(mr.Connection(**connection), draws=mr.Draws.of(seed, given=draws))
    except ValueError:
        return {"outcome": "read"}
    outcome = msgspec.to_builtins(got.outcome)
    rule = got.rule
    said = {
        "outcome": outcome["type"],
        "status": outcome.get("status"),
        "flag": outcome.get("flag"),
        "chain": got.chain or None,
        "rule": f"{rule.kind} {rule.namespace}/{rule.name} {rule.path}" if rule else None,
        "cluster": got.cluster,
        "pod": got.pod,
        "endpoint": got.endpoint.key if got.endpoint else None,
    }
    return {name: value for name, value in said.items() if value is not None}


FUNCTIONS: Final[Mapping[str, Any]] = {
    "overlaps": lambda host, other: overlaps(host, other),
    "intersection": lambda hosts, others: list(intersection(hosts, others)),
    "names_for_namespace": lambda hosts, namespace: list(names_for_namespace(hosts, namespace)),
    "by_specificity": lambda hosts: sorted(hosts, key=specificity),
    "connect": _connect,
    "domains": _domains,
    "virtual_hosts": _virtual_hosts,
    "clusters": _clusters,
    "virtual_services": _virtual_services,
    "subsets_followed": _subsets,
}
