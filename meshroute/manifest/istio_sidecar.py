"""Istio's Sidecar: what the proxies of some workloads see and listen for, every field.

Source    istio/api: networking/v1alpha3/sidecar.proto and kubernetes/customresourcedefinitions.gen.yaml
          (networking.istio.io; v1, v1beta1 and v1alpha3 share one schema)
Inputs    what the CRD schema accepts, after unknown fields and nulls are gone.
Exactness absent scalars have the protobuf default (0, empty, false); None means absent wherever presence has a meaning.
Errors    ValidationError in Python, diagnostics through the loader.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from meshroute.manifest.istio import ISTIO_VERSIONS, ConnectionPoolSettings, Destination, IstioVersion
from meshroute.manifest.istio_gateway import ServerTLSSettings
from meshroute.manifest.istio_services import WorkloadLabels
from meshroute.manifest.metadata import Model, Resource, Str, UInt32


class CaptureMode(StrEnum):
    """How connections come to a listener: captured on their way, or sent to it on purpose (NONE)."""

    DEFAULT = "DEFAULT"
    IPTABLES = "IPTABLES"
    NONE = "NONE"


class OutboundMode(StrEnum):
    """What becomes of hosts that nobody registered. A policy that names no mode is REGISTRY_ONLY."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class SidecarPort(Model):
    """A port of a listener. `target_port` is deprecated and means nothing here."""

    number: UInt32 = 0
    protocol: Str = ""
    name: Str = ""
    target_port: UInt32 = 0


class IngressListener(Model):
    """Connections to the workload itself; `port` is required."""

    port: SidecarPort
    bind: Str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    default_endpoint: Str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class EgressListener(Model):
    """Connections from the workload. `hosts` are `namespace/host`, where a namespace is `.` for the own one, `*` for
    any, `~` for none. Without a port it is for all ports that no other listener names."""

    port: SidecarPort | None = None
    bind: Str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    hosts: tuple[Str, ...]


class OutboundTrafficPolicy(Model):
    """What becomes of hosts that nobody registered; `egress_proxy` takes them instead of letting them through."""

    mode: OutboundMode = OutboundMode.REGISTRY_ONLY
    egress_proxy: Destination | None = None


class SidecarSpec(Model):
    """What the selected workloads see. Without `egress` they see what the mesh's default says."""

    workload_selector: WorkloadLabels | None = None
    ingress: tuple[IngressListener, ...] = ()
    egress: tuple[EgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None


class Sidecar(Resource):
    """What proxies beside workloads see and listen for. Source: istio/api: networking/v1alpha3/sidecar.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["Sidecar"] = "Sidecar"
    spec: SidecarSpec = Field(default_factory=SidecarSpec)
    status: Any = None
