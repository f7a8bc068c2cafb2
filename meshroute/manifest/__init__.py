"""What people write, as frozen models: one file per dialect, and what they share in `metadata`.

A model says what was written and nothing more; what it means is worked out in `compile`. Models can be built in Python
just as well as loaded: `VirtualService(metadata=ObjectMeta(name="front"), spec=VirtualServiceSpec(hosts=("web",)))`.
"""

from __future__ import annotations

from meshroute.manifest.istio import DestinationRule, VirtualService
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import ServiceEntry, WorkloadEntry, WorkloadGroup
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.manifest.kubernetes import Deployment, EndpointSlice, Namespace, Node, Pod, Service
from meshroute.manifest.metadata import Duration, ObjectMeta, Resource

__all__ = [
    "Deployment",
    "DestinationRule",
    "Duration",
    "EndpointSlice",
    "Gateway",
    "Namespace",
    "Node",
    "ObjectMeta",
    "Pod",
    "Resource",
    "Service",
    "ServiceEntry",
    "Sidecar",
    "VirtualService",
    "WorkloadEntry",
    "WorkloadGroup",
]
