"""What people write, as frozen models: one file per dialect, and what they share in `metadata`.

A model says what was written and nothing more; what it means is worked out in `compile`. Models can be built in Python
just as well as loaded: `VirtualService(metadata=ObjectMeta(name="front"), spec=VirtualServiceSpec(hosts=("web",)))`.
"""

from __future__ import annotations

from meshroute.manifest.istio import DestinationRule, VirtualService
from meshroute.manifest.kubernetes import Deployment, EndpointSlice, Namespace, Node, Pod, Service
from meshroute.manifest.metadata import Duration, ObjectMeta, Resource

__all__ = [
    "Deployment",
    "DestinationRule",
    "Duration",
    "EndpointSlice",
    "Namespace",
    "Node",
    "ObjectMeta",
    "Pod",
    "Resource",
    "Service",
    "VirtualService",
]
