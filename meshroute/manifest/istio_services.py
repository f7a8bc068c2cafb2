"""Istio's own services and workloads: ServiceEntry, WorkloadEntry, WorkloadGroup, every field.

Source    istio/api: networking/v1alpha3/service_entry.proto, workload_entry.proto, workload_group.proto and
          kubernetes/customresourcedefinitions.gen.yaml (networking.istio.io; v1, v1beta1 and v1alpha3 share one schema)
Inputs    what the CRD schema accepts, after unknown fields and nulls are gone.
Exactness absent scalars have the protobuf default (0, empty, false); None means absent wherever presence has a meaning.
Errors    ValidationError in Python, diagnostics through the loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from meshroute.manifest.istio import ISTIO_VERSIONS, IstioVersion
from meshroute.manifest.metadata import Int32, Labels, Model, OneOf, Resource, Str, UInt32

Port = Annotated[UInt32, Field(ge=1, le=65535)]


class WorkloadLabels(Model):
    """Which workloads something is for: those that have all these labels."""

    labels: Annotated[Mapping[Str, Annotated[Str, Field(max_length=63)]], Field(max_length=256)] = Field(
        default_factory=dict
    )


# Workloads


class WorkloadEntrySpec(Model):
    """One workload: an address, or a host name where the service is resolved by DNS, or `unix://` and a path.

    `ports` has the workload's port for each port name of the service. `weight` 0 counts as 1.
    """

    address: Annotated[Str, Field(max_length=256)] = ""
    ports: Annotated[Mapping[Str, Port], Field(max_length=128)] = Field(default_factory=dict)
    labels: Annotated[Labels, Field(max_length=256)] = Field(default_factory=dict)
    network: Annotated[Str, Field(max_length=2048)] = ""
    locality: Annotated[Str, Field(max_length=2048)] = ""
    weight: UInt32 = 0
    service_account: Annotated[Str, Field(max_length=253)] = ""


class WorkloadEntry(Resource):
    """A workload that is no pod. Source: istio/api: networking/v1alpha3/workload_entry.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["WorkloadEntry"] = "WorkloadEntry"
    spec: WorkloadEntrySpec
    status: Any = None


class GroupMetadata(Model):
    """Labels and annotations of every workload of a group."""

    labels: Annotated[Labels, Field(max_length=256)] = Field(default_factory=dict)
    annotations: Annotated[Labels, Field(max_length=256)] = Field(default_factory=dict)


class HTTPHeader(Model):
    """A header of a health probe."""

    name: Str = ""
    value: Str = ""


class HTTPHealthCheck(Model):
    """Healthy where a request succeeds."""

    path: Str = ""
    port: Port
    host: Str = ""
    scheme: Str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPHealthCheck(Model):
    """Healthy where a connection can be made."""

    host: Str = ""
    port: Port


class ExecHealthCheck(Model):
    """Healthy where a command succeeds."""

    command: tuple[Annotated[Str, Field(min_length=1)], ...]


class GrpcHealthCheck(Model):
    """Healthy where gRPC's own health service says so."""

    port: Port | None = None
    service: Str = ""


Times = Annotated[Int32, Field(ge=0)]


class ReadinessProbe(OneOf):
    """How a workload that is no pod shows that it is ready."""

    one_of = (("httpGet", "tcpSocket", "exec", "grpc"),)

    initial_delay_seconds: Times = 0
    timeout_seconds: Times = 0
    period_seconds: Times = 0
    success_threshold: Times = 0
    failure_threshold: Times = 0
    http_get: HTTPHealthCheck | None = None
    tcp_socket: TCPHealthCheck | None = None
    exec: ExecHealthCheck | None = None
    grpc: GrpcHealthCheck | None = None


class WorkloadGroupSpec(Model):
    """What the workloads of a group have in common."""

    metadata: GroupMetadata | None = None
    template: WorkloadEntrySpec
    probe: ReadinessProbe | None = None


class WorkloadGroup(Resource):
    """The pattern by which workloads register themselves, as WorkloadEntries; by itself it is no workload.

    Source: istio/api: networking/v1alpha3/workload_group.proto.
    """

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["WorkloadGroup"] = "WorkloadGroup"
    spec: WorkloadGroupSpec
    status: Any = None


# Services


class Location(StrEnum):
    """Whether a service is one of the mesh's own."""

    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(StrEnum):
    """How a proxy finds the addresses behind a host: not at all, from the entry, or by asking DNS."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class EntryPort(Model):
    """A port of a service. Without a `target_port` it is the same number behind it."""

    number: Port
    protocol: Annotated[Str, Field(max_length=256)] = ""
    name: Annotated[Str, Field(max_length=256)]
    target_port: Port | None = None


class ServiceEntrySpec(OneOf):
    """Hosts with ports, and who answers for them: the `endpoints`, or the workloads that the selector chooses."""

    one_of = (("workloadSelector", "endpoints"),)

    hosts: Annotated[tuple[Str, ...], Field(min_length=1, max_length=256)]
    addresses: Annotated[tuple[Annotated[Str, Field(max_length=64)], ...], Field(max_length=256)] = ()
    ports: Annotated[tuple[EntryPort, ...], Field(max_length=256)] = ()
    location: Location = Location.MESH_EXTERNAL
    resolution: Resolution = Resolution.NONE
    endpoints: Annotated[tuple[WorkloadEntrySpec, ...], Field(max_length=4096)] | None = None
    workload_selector: WorkloadLabels | None = None
    export_to: tuple[Str, ...] = ()
    subject_alt_names: tuple[Str, ...] = ()


class ServiceEntry(Resource):
    """A service that Kubernetes does not know. Source: istio/api: networking/v1alpha3/service_entry.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["ServiceEntry"] = "ServiceEntry"
    spec: ServiceEntrySpec
    status: Any = None
