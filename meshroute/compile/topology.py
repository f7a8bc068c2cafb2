"""Where pods run and clients stand: localities, and the labels that say so.

Source    spec/locality.md LOC-1, LOC-2; istio/istio: pkg/model/proxy.go, pilot/pkg/xds/ads.go,
          pilot/pkg/serviceregistry/kube/controller/controller.go, pilot/pkg/serviceregistry/util/label/label.go
Inputs    labels of pods and nodes, localities as people write them.
Exactness a locality has one form, `region/zone/subzone` with both slashes, whatever is empty; where nothing is known
          it is the empty text. Sorted as text, localities stand in the order in which proxies receive them.
Errors    none. What is not there is empty; parts after the third are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"
SUBZONE: Final = "topology.istio.io/subzone"
HOSTNAME: Final = "kubernetes.io/hostname"
CLUSTER: Final = "topology.istio.io/cluster"
NETWORK: Final = "topology.istio.io/network"
LOCALITY_LABELS: Final = ("topology.istio.io/locality", "istio-locality")
"""What a pod says of itself with `.` or `/` between the parts; the first that is there counts, even if empty."""

CLUSTER_NAME: Final = "Kubernetes"
"""What Istio calls a cluster that nobody named."""

_OLDER: Final = {REGION: "failure-domain.beta.kubernetes.io/region", ZONE: "failure-domain.beta.kubernetes.io/zone"}


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where something runs: its locality in its one form, and the name of its node."""

    locality: str = ""
    node: str = ""


class Client(msgspec.Struct, frozen=True):
    """The proxy that asks: its locality in its one form, and its labels with those of its place among them."""

    locality: str = ""
    labels: Mapping[str, str] = {}


def parts_of(locality: str) -> tuple[str, str, str]:
    """Region, zone and subzone, each perhaps empty.

    >>> parts_of("eu/eu-1")
    ('eu', 'eu-1', '')
    """
    region, zone, subzone, *_ = (*locality.split("/"), "", "")
    return region, zone, subzone


def canonical(locality: str) -> str:
    """A locality in its one form.

    >>> canonical("eu/eu-1"), canonical(""), canonical("//")
    ('eu/eu-1/', '', '')
    """
    parts = parts_of(locality)
    return "/".join(parts) if any(parts) else ""


def of_node(labels: Mapping[str, str]) -> str:
    """The locality of a node: its labels for region, zone and subzone, the first two by their older names too."""
    region, zone = (labels.get(name) or labels.get(_OLDER[name], "") for name in (REGION, ZONE))
    return canonical(f"{region}/{zone}/{labels.get(SUBZONE, '')}")


def of_label(labels: Mapping[str, str]) -> str:
    """The locality that a pod's own label gives; empty where it has none. Without a `/`, dots divide it."""
    written = next((labels[name] for name in LOCALITY_LABELS if name in labels), "")
    return canonical(written if "/" in written else written.replace(".", "/"))


def described(labels: Mapping[str, str], place: Place, cluster: str) -> dict[str, str]:
    """Labels, with those of the place, which go before what is written."""
    region, zone, subzone = parts_of(place.locality)
    known = {REGION: region, ZONE: zone, SUBZONE: subzone, CLUSTER: cluster, HOSTNAME: place.node}
    return {**labels, **{name: value for name, value in known.items() if value}}


def client(labels: Mapping[str, str], locality: str, cluster: str) -> Client:
    """A client by its labels and its locality; without one, it is where its labels say: region, zone and subzone if
    one of them is there, else the label that gives all three."""
    here = canonical(locality)
    if not here and any(name in labels for name in (REGION, ZONE, SUBZONE)):
        here = canonical("/".join(labels.get(name, "") for name in (REGION, ZONE, SUBZONE)))
    elif not here:
        here = of_label(labels)
    return Client(here, described(labels, Place(here), cluster))
