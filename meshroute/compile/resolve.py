"""Who means whom: short names, wildcards, visibility.

Source    spec/host.md HOST-1 to HOST-3, HOST-8; istio/istio: pilot/pkg/model/config.go,
          pkg/config/host/{name.go,names.go}, pilot/pkg/model/virtualservice.go, push_context.go
Inputs    names as written in resources, and the namespace of the resource that has them.
Exactness comparisons are by byte and by case; a name with a dot in it is never completed.
Errors    none: a name that means nothing is diagnosed where it is used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar

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


def overlaps(host: str, other: str) -> bool:
    """Whether there is a name that both hosts stand for: one of them covers the other."""
    return covers(host, other) or covers(other, host)


def intersection(hosts: Iterable[str], others: Sequence[str]) -> tuple[str, ...]:
    """What two lists of hosts both stand for: of each pair that overlaps the narrower one, in the order of the first
    list and then of the second, each once.

    >>> intersection(["foo.com", "*.net"], ["*.com", "bar.net"])
    ('foo.com', 'bar.net')
    """
    found: dict[str, None] = {}
    for host in hosts:
        for other in others:
            if covers(other, host):
                found[host] = None
            elif covers(host, other):
                found[other] = None
    return tuple(found)


def names_for_namespace(hosts: Iterable[str], namespace: str) -> tuple[str, ...]:
    """Of hosts written as `namespace/host`, those for a namespace, without it. `*` and no namespace are for all.

    >>> names_for_namespace(["ns1/foo.com", "ns2/bar.com", "*/baz.com"], "ns1")
    ('foo.com', 'baz.com')
    """
    divided = [host.partition("/") if "/" in host else ("*", "/", host) for host in hosts]
    return tuple(host for owner, _, host in divided if owner in ("*", namespace))


def specificity(host: str) -> tuple[bool, int, str]:
    """A sort key: the smaller, the more specific. Exact before wildcard, then longer first, then byte order."""
    return is_wild(host), -len(host), host


def most_specific(hosts: Iterable[str], name: str) -> str | None:
    """Of the hosts that cover a name, the most specific; None where none does."""
    return min((host for host in hosts if covers(host, name)), key=specificity, default=None)


class Hosts:
    """Many hosts, ready to be asked which of them a name overlaps: in a time that does not grow with their number."""

    def __init__(self, hosts: Iterable[str]) -> None:
        listed = frozenset(hosts)
        self._exact: Final = frozenset(host for host in listed if not is_wild(host))
        self._tails: Final = frozenset(host[1:] for host in listed if is_wild(host))
        self._reversed: Final = sorted(host[::-1] for host in self._exact)
        self._reversed_tails: Final = sorted(tail[::-1] for tail in self._tails)

    def cover(self, name: str) -> bool:
        """Whether one of the hosts covers a name."""
        if not is_wild(name) and name in self._exact:
            return True
        return bool(self._tails) and any(tail in self._tails for tail in _tails(name))

    def lie_below(self, name: str) -> bool:
        """Whether a name covers one of the hosts."""
        if not is_wild(name):
            return name in self._exact
        return _begins(self._reversed, name[:0:-1]) or _begins(self._reversed_tails, name[:0:-1])

    def overlaps(self, name: str) -> bool:
        """Whether a name overlaps one of the hosts."""
        return self.cover(name) or self.lie_below(name)

    def below(self, name: str) -> Iterator[str]:
        """The hosts without a wildcard that a name covers; those of a wildcard by their letters from the end."""
        if not is_wild(name):
            if name in self._exact:
                yield name
            return
        ending = name[:0:-1]
        for number in range(bisect_left(self._reversed, ending), len(self._reversed)):
            if not self._reversed[number].startswith(ending):
                return
            yield self._reversed[number][::-1]


def _begins(ordered: Sequence[str], text: str) -> bool:
    """Whether one of these texts, in order, begins so."""
    number = bisect_left(ordered, text)
    return number < len(ordered) and ordered[number].startswith(text)


def _tails(name: str) -> Iterator[str]:
    """What a wildcard that covers a name may have behind its `*`: the longest first."""
    text = name[1:] if is_wild(name) else name
    return (text[number:] for number in range(len(text) + 1))


V = TypeVar("V")


class MostSpecific(Generic[V]):
    """Something for each host, found by the most specific host that covers a name. The first for a host stays."""

    def __init__(self) -> None:
        self._exact: Final[dict[str, V]] = {}
        self._wild: Final[dict[str, V]] = {}

    def add(self, host: str, value: V) -> V:
        """What there is for a host: this value, or that which was there before."""
        return self._wild.setdefault(host[1:], value) if is_wild(host) else self._exact.setdefault(host, value)

    def find(self, name: str) -> V | None:
        """What there is for the most specific host that covers a name; None where no host does."""
        if not is_wild(name) and name in self._exact:
            return self._exact[name]
        if not self._wild:
            return None
        return next((self._wild[tail] for tail in _tails(name) if tail in self._wild), None)


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
