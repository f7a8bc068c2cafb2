"""Who means whom: short names, wildcards, visibility.

Source    spec/host.md HOST-1 to HOST-3; istio/istio: pilot/pkg/model/config.go, pkg/config/host/name.go,
          pilot/pkg/model/virtualservice.go, push_context.go
Inputs    names as written in resources, and the namespace of the resource that has them.
Exactness comparisons are by byte and by case; a name with a dot in it is never completed.
Errors    none: a name that means nothing is diagnosed where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from meshroute.manifest.metadata import Resource
from meshroute.names import CLUSTER_DOMAIN, Host, is_ip

MESH: Final = "mesh"
"""The reserved gateway name that stands for every sidecar."""


def resolve(name: str, namespace: str, domain: str = CLUSTER_DOMAIN) -> Host:
    """The full name that a resource of this namespace means by a name.

    Only a name without a dot is completed: `reviews.prod` stays what it is, and then means no Kubernetes service.

    >>> resolve("reviews", "shop"), resolve("reviews.prod", "shop")
    ('reviews.shop.svc.cluster.local', 'reviews.prod')
    """
    if not name or name == "*" or "." in name or is_ip(name):
        return Host(name)
    return Host(f"{name}.{namespace}.svc.{domain}")


def gateway_name(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway named in a resource of this namespace; `mesh` stays `mesh`."""
    if name == MESH:
        return name
    if name.startswith("./"):
        return f"{namespace}/{name[2:]}"
    if "/" in name:
        return name
    if "." in name:  # the form of long ago: name.namespace.svc...
        first, _, rest = name.partition(".")
        return f"{rest.partition('.')[0]}/{first}"
    return f"{namespace}/{name}"


def is_wild(host: str) -> bool:
    """Whether the name stands for many. Only a leading `*` is a wildcard."""
    return host.startswith("*")


def covers(host: str, name: str) -> bool:
    """Whether every name that `name` stands for is one that `host` stands for."""
    if not is_wild(host):
        return host == name
    return name.removeprefix("*").endswith(host[1:])


def matches(one: str, other: str) -> bool:
    """Whether some name is one that both hosts stand for."""
    return covers(one, other) or covers(other, one)


def intersection(hosts: Sequence[str], others: Sequence[str]) -> list[str]:
    """What both lists stand for: of each two that overlap the narrower, each once."""
    found: dict[str, None] = {}
    for one in hosts:
        for other in others:
            if covers(one, other):
                found[other] = None
            elif covers(other, one):
                found[one] = None
    return list(found)


def names_for_namespace(hosts: Iterable[str], namespace: str) -> list[str]:
    """Of hosts written `namespace/name`, the names that are for a namespace; those without a slash are for all."""
    return [name for before, _, name in (one.rpartition("/") for one in hosts) if before in ("", "*", namespace)]


def specificity(host: str) -> tuple[bool, int, str]:
    """A sort key: the smaller, the more specific. Exact before wildcard, then longer first, then byte order."""
    return is_wild(host), -len(host), host


def most_specific(hosts: Iterable[str], name: str) -> str | None:
    """Of the hosts that cover a name, the most specific; None where none does."""
    return min((host for host in hosts if covers(host, name)), key=specificity, default=None)


Visible = Literal["private", "exported", "public", "hidden"]


def visibility(export_to: Sequence[str], owner: str, client: str) -> Visible:
    """How a client namespace comes to see a resource of the owner namespace.

    `private`: it is its own; `exported`: it is named; `public`: everybody sees it; `hidden`: it does not.
    """
    if not export_to or "*" in export_to:
        return "public"
    if "~" in export_to:
        return "hidden"
    named = {owner if entry == "." else entry for entry in export_to}
    if client not in named:
        return "hidden"
    return "private" if client == owner else "exported"


def is_subset_of(labels: Mapping[str, str], of: Mapping[str, str]) -> bool:
    """Whether all these labels are among those: equality of strings, nothing else."""
    return all(of.get(key) == value for key, value in labels.items())


def age(resource: Resource) -> tuple[datetime, str, str]:
    """A sort key: oldest first, then by name, then by namespace. Without a time it counts as old."""
    return resource.metadata.creation_timestamp or _LONG_AGO, resource.name, resource.namespace


_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
