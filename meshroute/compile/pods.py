"""Pods: those given, and those that Deployments stand for when none of theirs are given.

Source    spec/kubernetes.md POD-1, POD-2, spec/locality.md LOC-1; kubernetes/kubernetes:
          pkg/controller/deployment/util, pkg/controller/controller_utils.go
Inputs    Pod and Deployment manifests, the localities of nodes. Exactness: names and addresses that nobody wrote are
          hashes of namespace and name, so they are the same in every run, and a pod that comes or goes changes no other
          pod's.
Errors    none. What had to be assumed is noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from meshroute.compile import topology, wording
from meshroute.compile.topology import CLUSTER_NAME, Place
from meshroute.diagnostics import Diagnostic
from meshroute.hashing import xxhash64
from meshroute.manifest.kubernetes import Container, Deployment, Pod

NAME_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names: no vowels, no digits that look like letters. kubernetes/apimachinery:
pkg/util/rand."""

ContainerPorts = Mapping[tuple[str, str], int]
"""(port name, protocol) to number."""

NOWHERE: Final[Mapping[str, str]] = {}
"""No node is known."""


class Workload(msgspec.Struct, frozen=True, gc=False):
    """A pod as far as routing cares. `serving` is its Ready condition; `terminating` that it is being deleted.

    Services select by `labels`; `endpoint_labels`, which subsets select by, has those of its place as well.
    `node` is where it runs, if that is known; `others` are its further addresses, of the other family. `hostname` is
    its name behind the Service that `subdomain` names.
    """

    namespace: str
    name: str
    address: str
    labels: Mapping[str, str]
    ports: ContainerPorts
    serving: bool = True
    terminating: bool = False
    locality: str = ""
    endpoint_labels: Mapping[str, str] = {}
    node: str = ""
    others: tuple[str, ...] = ()
    hostname: str = ""
    subdomain: str = ""

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def workloads(
    pods: Sequence[Pod],
    deployments: Sequence[Deployment],
    nodes: Mapping[str, str] = NOWHERE,
    cluster: str = CLUSTER_NAME,
) -> tuple[tuple[Workload, ...], list[Diagnostic]]:
    """Every pod that can be an endpoint, by namespace and name; and notes about what was assumed of them.

    `nodes` has the localities of nodes by name.
    """
    diagnostics: list[Diagnostic] = []
    found: list[Workload] = []
    taken = {pod.status.pod_ip for pod in pods if pod.status and pod.status.pod_ip}
    unaddressed: list[Workload] = []
    for pod in pods:
        one = _given(pod)
        if one is None:
            continue
        one = _placed(one, pod.spec.node_name, nodes, cluster)
        if one.address:
            found.append(one)
        else:
            unaddressed.append(one)
            diagnostics.append(wording.pod_address_assumed(pod))
    for deployment in deployments:
        if any(_owns(deployment, pod) for pod in pods):
            continue
        node = deployment.spec.template.spec.node_name
        stands_for = [_placed(one, node, nodes, cluster) for one in _expanded(deployment)]
        unaddressed.extend(stands_for)
        if stands_for:
            diagnostics.append(wording.deployment_expanded(deployment, len(stands_for)))
    for one in sorted(unaddressed, key=lambda one: one.full_name):
        address = assumed_address(one.full_name, taken)
        taken.add(address)
        found.append(msgspec.structs.replace(one, address=address))
    return tuple(sorted(found, key=lambda one: (one.namespace, one.name))), diagnostics


def assumed_address(full_name: str, taken: Iterable[str]) -> str:
    """An address in 10.0.0.0/8 for a pod that has none: 24 bits of XXH64 of `namespace/name`, the next free one if
    taken.

    >>> assumed_address("default/web-0", ())
    '10.9.247.47'
    """
    taken = frozenset(taken)
    number = xxhash64(full_name.encode()) % 2**24
    while True:
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        if address not in taken:
            return address
        number = (number + 1) % 2**24


def safe_name(number: int, length: int) -> str:
    """A number as letters of NAME_ALPHABET, least significant first.

    >>> safe_name(0, 5)
    'bbbbb'
    """
    letters = ""
    for _ in range(length):
        number, digit = divmod(number, len(NAME_ALPHABET))
        letters += NAME_ALPHABET[digit]
    return letters


def _given(pod: Pod) -> Workload | None:
    """A Pod manifest as a workload; None for one that is over or has not begun. No status: taken as running and
    ready."""
    status = pod.status
    if status is not None and (
        status.phase in ("Succeeded", "Failed") or (status.phase == "Pending" and not status.pod_ip)
    ):
        return None
    serving = True
    if status is not None and status.conditions:
        serving = any(one.type == "Ready" and one.status == "True" for one in status.conditions)
    return Workload(
        namespace=pod.namespace,
        name=pod.name,
        address=status.pod_ip if status is not None else "",
        labels=pod.metadata.labels,
        ports=_ports(pod.spec.containers, pod.spec.init_containers),
        serving=serving,
        terminating=pod.metadata.deletion_timestamp is not None,
        others=tuple(one.ip for one in status.pod_ips if one.ip and one.ip != status.pod_ip) if status else (),
        hostname=pod.spec.hostname,
        subdomain=pod.spec.subdomain,
    )


def _placed(workload: Workload, node: str, nodes: Mapping[str, str], cluster: str) -> Workload:
    """A workload with its locality: what its label says, else where its node stands."""
    locality = topology.of_label(workload.labels) or nodes.get(node, "")
    labels = topology.described(workload.labels, Place(locality, node), cluster)
    return msgspec.structs.replace(workload, locality=locality, endpoint_labels=labels, node=node)


def _owns(deployment: Deployment, pod: Pod) -> bool:
    """Whether a given pod is one of the Deployment's: same namespace, and its selector takes it."""
    return pod.namespace == deployment.namespace and deployment.spec.selector.matches(pod.metadata.labels)


def _expanded(deployment: Deployment) -> list[Workload]:
    """The pods that a Deployment would have, with the shape of names that Kubernetes gives and no randomness in
    them."""
    template = deployment.spec.template
    full_name = f"{deployment.namespace}/{deployment.name}"
    generation = safe_name(xxhash64(full_name.encode()), 9)
    labels = {**template.metadata.labels, "pod-template-hash": generation}
    ports = _ports(template.spec.containers, template.spec.init_containers)
    suffixes: dict[str, None] = {}
    number = 0
    while len(suffixes) < deployment.spec.replicas:  # two numbers may share five letters; the later one is passed over
        suffixes.setdefault(safe_name(xxhash64(f"{full_name}/{number}".encode()), 5))
        number += 1
    base = f"{deployment.name}-{generation}-"[:58]
    named = template.spec.hostname, template.spec.subdomain
    return [
        Workload(deployment.namespace, base + suffix, "", labels, ports, hostname=named[0], subdomain=named[1])
        for suffix in suffixes
    ]


def _ports(containers: Iterable[Container], sidecars: Iterable[Container]) -> dict[tuple[str, str], int]:
    """Named container ports; containers before restartable init containers, and the first of a name wins."""
    found: dict[tuple[str, str], int] = {}
    for container in (*containers, *(one for one in sidecars if one.restart_policy == "Always")):
        for port in container.ports:
            if port.name:
                found.setdefault((port.name, port.protocol), port.container_port)
    return found
