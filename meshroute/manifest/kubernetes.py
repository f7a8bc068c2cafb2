"""Kubernetes objects that routing reads: Service, Pod, Deployment, EndpointSlice, Node, Namespace.

Source    kubernetes/api: core/v1, apps/v1, discovery/v1 (types.go, generated.proto); defaults as the API server's
          pkg/apis/core/v1/defaults.go sets them
Inputs    manifests as written, or as `kubectl get -o yaml` prints them. Every field name of the objects and of
          the parts modelled here is known, so that a slip of the pen is caught; the fields that routing does not read
          keep whatever they hold, untyped, and take no room where they are absent.
Exactness defaults that do not depend on other fields are the field's default. Those that do (`targetPort`, the affinity
          timeout) are properties.
Errors    ValidationError in Python, diagnostics through the loader.
Left out  the server's deeper checks: names of services' ports, address syntax, selectors that must match templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic import StrictBool as Bool
from pydantic_core import PydanticCustomError

from meshroute.manifest.metadata import (
    WRONG_VALUE,
    Int32,
    IntOrString,
    Known,
    Labels,
    Model,
    ObjectMeta,
    Resource,
    Str,
)
from meshroute.manifest.quantity import Quantity

Port = Annotated[Int32, Field(ge=1, le=65535)]
PortOrNone = Annotated[Int32, Field(ge=0, le=65535)]
_PORT_NAME: Final = re.compile(r"(?=[^a-z]*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", re.ASCII)


def _port_name(value: str) -> str:
    """The name of a container's port, or none; a text without a letter is not the number that it looks like."""
    if value and not _PORT_NAME.fullmatch(value):
        quotes = "a number has no quotes" if value.isdecimal() else "15 of `a-z`, `0-9` and single `-`, with a letter"
        raise PydanticCustomError(WRONG_VALUE, "{text}", {"text": f"not the name of a port: {quotes}"})
    return value


def _target_port(value: int | str) -> int | str:
    """A port by name or number; none of them where it is empty or 0."""
    if isinstance(value, str):
        return _port_name(value)
    if not 0 <= value <= 65535:
        raise PydanticCustomError(WRONG_VALUE, "not a port: they are from 1 to 65535")
    return value


PortName = Annotated[Str, AfterValidator(_port_name)]
TargetPort = Annotated[IntOrString, AfterValidator(_target_port)]


class Open(Model):
    """A model that also keeps the fields named in `__pydantic_extra__`, untyped, and only where they are written."""

    model_config = ConfigDict(extra="allow")


class Protocol(StrEnum):
    """Transport protocols."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


# Selectors


class SelectorOperator(StrEnum):
    """How a label is compared. NotIn also holds where the label is absent."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelSelectorRequirement(Model):
    """One condition on one label."""

    key: Str
    operator: SelectorOperator
    values: tuple[Str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet this condition."""
        match self.operator:
            case SelectorOperator.IN:
                return labels.get(self.key) in self.values
            case SelectorOperator.NOT_IN:
                return labels.get(self.key) not in self.values
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(Model):
    """Conditions that must all hold; none at all holds for everything."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet every condition. Source: kubernetes/apimachinery: pkg/labels/selector.go."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            one.matches(labels) for one in self.match_expressions
        )


# Service


class ServiceType(StrEnum):
    """How far a service can be reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


class SessionAffinity(StrEnum):
    """Whether connections of one client stay together."""

    NONE = "None"
    CLIENT_IP = "ClientIP"


class TrafficPolicyScope(StrEnum):
    """Endpoints of the whole cluster, or of the node that the traffic is on."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class TrafficDistribution(StrEnum):
    """Which endpoints are preferred. PreferClose is the older name of PreferSameZone."""

    PREFER_CLOSE = "PreferClose"
    PREFER_SAME_ZONE = "PreferSameZone"
    PREFER_SAME_NODE = "PreferSameNode"


class ServicePort(Model):
    """One port of a service."""

    name: Str = ""
    protocol: Protocol = Protocol.TCP
    app_protocol: Str | None = None
    port: Port
    target_port: TargetPort | None = None
    node_port: PortOrNone = 0

    @property
    def target(self) -> int | str:
        """The pod's port, by number or name: `target_port`, or `port` where that is absent, 0 or empty."""
        return self.target_port or self.port


class ClientIPConfig(Model):
    """How long a client keeps its endpoint; None is three hours."""

    timeout_seconds: Annotated[Int32, Field(ge=1, le=86400)] | None = None


class SessionAffinityConfig(Model):
    """Settings of session affinity."""

    client_ip: ClientIPConfig | None = None


class ServiceSpec(Open):
    """What a service selects and how it is reached."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known("healthCheckNodePort", "loadBalancerClass"),
        ],
        Any,
    ]

    type: ServiceType = ServiceType.CLUSTER_IP
    selector: Labels = Field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: Str = ""
    cluster_ips: tuple[Str, ...] = ()
    external_ips: tuple[Str, ...] = ()
    external_name: Str = ""
    load_balancer_ip: Str = ""
    load_balancer_source_ranges: tuple[Str, ...] = ()
    allocate_load_balancer_node_ports: Bool | None = None
    ip_families: tuple[Str, ...] = ()
    ip_family_policy: Str | None = None
    session_affinity: SessionAffinity = SessionAffinity.NONE
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: TrafficPolicyScope = TrafficPolicyScope.CLUSTER
    # The server sets Cluster for the types that can be reached from outside, and nothing for the others.
    external_traffic_policy: TrafficPolicyScope | None = None
    publish_not_ready_addresses: Bool = False
    traffic_distribution: TrafficDistribution | None = None

    @property
    def affinity_seconds(self) -> int:
        """How long a client keeps its endpoint where `session_affinity` is ClientIP."""
        config = self.session_affinity_config
        written = config.client_ip.timeout_seconds if config and config.client_ip else None
        return 10800 if written is None else written


class LoadBalancerIngress(Model):
    """One address that a load balancer gave. `ip_mode` Proxy keeps it from being short-cut on the nodes."""

    ip: Str = ""
    hostname: Str = ""
    ip_mode: Str | None = None
    ports: Any = None


class LoadBalancerStatus(Model):
    """The addresses that a load balancer gave."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Model):
    """What the cluster says about a service."""

    load_balancer: LoadBalancerStatus | None = None
    conditions: Any = None


class Service(Resource):
    """A stable name and address for pods. Source: kubernetes/api: core/v1/types.go."""

    api_versions: ClassVar[tuple[str, ...]] = ("v1",)

    api_version: Literal["v1"] = "v1"
    kind: Literal["Service"] = "Service"
    spec: ServiceSpec = Field(default_factory=ServiceSpec)
    status: ServiceStatus | None = None


# Pod


class ContainerPort(Model):
    """A port that a container names; numbers work without being named here."""

    name: PortName = ""
    host_port: PortOrNone = 0
    container_port: Port
    protocol: Protocol = Protocol.TCP
    host_ip: Str = ""


class Container(Open):
    """One container. `restart_policy` Always makes an init container a sidecar, whose ports count."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known(
                "args",
                "command",
                "env",
                "envFrom",
                "imagePullPolicy",
                "lifecycle",
                "livenessProbe",
                "readinessProbe",
                "resizePolicy",
                "resources",
                "restartPolicyRules",
                "securityContext",
                "startupProbe",
                "stdin",
                "stdinOnce",
                "targetContainerName",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "tty",
                "volumeDevices",
                "volumeMounts",
                "workingDir",
            ),
        ],
        Any,
    ]

    name: Str
    image: Str = ""
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: Str | None = None


class PodRestartPolicy(StrEnum):
    """When containers are started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class PodSpec(Open):
    """What runs in a pod, and where."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known(
                "activeDeadlineSeconds",
                "affinity",
                "automountServiceAccountToken",
                "dnsConfig",
                "dnsPolicy",
                "enableServiceLinks",
                "ephemeralContainers",
                "evictionResponders",
                "hostAliases",
                "hostIPC",
                "hostPID",
                "hostUsers",
                "hostnameOverride",
                "imagePullSecrets",
                "nodeSelector",
                "os",
                "overhead",
                "preemptionPolicy",
                "priority",
                "priorityClassName",
                "readinessGates",
                "resourceClaims",
                "resources",
                "runtimeClassName",
                "schedulerName",
                "schedulingGates",
                "schedulingGroup",
                "securityContext",
                "serviceAccount",
                "serviceAccountName",
                "setHostnameAsFQDN",
                "shareProcessNamespace",
                "terminationGracePeriodSeconds",
                "tolerations",
                "topologySpreadConstraints",
                "volumes",
            ),
        ],
        Any,
    ]

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    restart_policy: PodRestartPolicy = PodRestartPolicy.ALWAYS
    node_name: Str = ""
    host_network: Bool = False
    hostname: Str = ""
    subdomain: Str = ""


class PodPhase(StrEnum):
    """How far a pod has come. Succeeded and Failed pods are no endpoints."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class PodCondition(Open):
    """One condition; `Ready` is the one that makes a pod serve."""

    __pydantic_extra__: dict[
        Annotated[str, Known("lastProbeTime", "lastTransitionTime", "message", "observedGeneration", "reason")], Any
    ]

    type: Str
    status: ConditionStatus


class PodIP(Model):
    """One address of a pod."""

    ip: Str = ""


class PodStatus(Open):
    """What the cluster says about a pod."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known(
                "allocatedResources",
                "containerStatuses",
                "ephemeralContainerStatuses",
                "extendedResourceClaimStatus",
                "hostIPs",
                "initContainerStatuses",
                "message",
                "nodeAllocatableResourceClaimStatuses",
                "nominatedNodeName",
                "observedGeneration",
                "qosClass",
                "reason",
                "resize",
                "resourceClaimStatuses",
                "resources",
                "startTime",
                "volumeHealth",
            ),
        ],
        Any,
    ]

    phase: PodPhase | None = None
    pod_ip: Str = ""
    pod_ips: tuple[PodIP, ...] = ()
    host_ip: Str = ""
    conditions: tuple[PodCondition, ...] = ()


class Pod(Resource):
    """Containers that share an address. Source: kubernetes/api: core/v1/types.go."""

    api_versions: ClassVar[tuple[str, ...]] = ("v1",)

    api_version: Literal["v1"] = "v1"
    kind: Literal["Pod"] = "Pod"
    spec: PodSpec
    status: PodStatus | None = None


# Deployment


class PodTemplateSpec(Model):
    """The pod that a Deployment makes copies of."""

    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: PodSpec


class DeploymentSpec(Open):
    """How many pods of which shape."""

    __pydantic_extra__: dict[
        Annotated[
            str, Known("minReadySeconds", "paused", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy")
        ],
        Any,
    ]

    replicas: Annotated[Int32, Field(ge=0)] = 1
    selector: LabelSelector
    template: PodTemplateSpec


class Deployment(Resource):
    """Copies of a pod. Source: kubernetes/api: apps/v1/types.go."""

    api_versions: ClassVar[tuple[str, ...]] = ("apps/v1",)

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    spec: DeploymentSpec
    status: Any = None


# EndpointSlice


class AddressType(StrEnum):
    """What the addresses of a slice are."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    FQDN = "FQDN"


class EndpointConditions(Model):
    """Whether an endpoint takes traffic. None reads as true for `ready` and `serving`, false for `terminating`."""

    ready: Bool | None = None
    serving: Bool | None = None
    terminating: Bool | None = None


class ForZone(Model):
    """A zone that should use an endpoint."""

    name: Str


class ForNode(Model):
    """A node that should use an endpoint."""

    name: Str


class EndpointHints(Model):
    """Who should use an endpoint."""

    for_zones: tuple[ForZone, ...] = ()
    for_nodes: tuple[ForNode, ...] = ()


class ObjectReference(Model):
    """Another object."""

    kind: Str = ""
    namespace: Str = ""
    name: Str = ""
    uid: Str = ""
    api_version: Str = ""
    resource_version: Str = ""
    field_path: Str = ""


class Endpoint(Open):
    """One backend: addresses that all lead to it, of which proxies use the first."""

    __pydantic_extra__: dict[Annotated[str, Known("deprecatedTopology")], Any]

    addresses: tuple[Str, ...]
    conditions: EndpointConditions = Field(default_factory=EndpointConditions)
    hostname: Str | None = None
    target_ref: ObjectReference | None = None
    node_name: Str | None = None
    zone: Str | None = None
    hints: EndpointHints | None = None


class EndpointPort(Model):
    """A port of every endpoint in the slice; None is every port."""

    name: Str = ""
    protocol: Protocol = Protocol.TCP
    port: PortOrNone | None = None
    app_protocol: Str | None = None


class EndpointSlice(Resource):
    """Backends of a service. Source: kubernetes/api: discovery/v1/types.go."""

    api_versions: ClassVar[tuple[str, ...]] = ("discovery.k8s.io/v1",)

    api_version: Literal["discovery.k8s.io/v1"] = "discovery.k8s.io/v1"
    kind: Literal["EndpointSlice"] = "EndpointSlice"
    address_type: AddressType
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


# Cluster


class NodeSpec(Open):
    """What is set for a node."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known("configSource", "externalID", "podCIDR", "podCIDRs", "podPreemptionPolicy", "providerID", "taints"),
        ],
        Any,
    ]

    unschedulable: Bool = False


class NodeAddress(Model):
    """One address of a node."""

    type: Str
    address: Str


class NodeCondition(Open):
    """One condition of a node; `Ready` is the one that counts."""

    __pydantic_extra__: dict[Annotated[str, Known("lastHeartbeatTime", "lastTransitionTime", "message", "reason")], Any]

    type: Str
    status: ConditionStatus


class NodeStatus(Open):
    """What the cluster says about a node. `allocatable` is what pods may use of it, `cpu` in processors."""

    __pydantic_extra__: dict[
        Annotated[
            str,
            Known(
                "capacity",
                "config",
                "daemonEndpoints",
                "declaredFeatures",
                "features",
                "images",
                "nodeInfo",
                "phase",
                "runtimeHandlers",
                "volumesAttached",
                "volumesInUse",
            ),
        ],
        Any,
    ]

    addresses: tuple[NodeAddress, ...] = ()
    allocatable: Mapping[Str, Quantity] = Field(default_factory=dict)
    conditions: tuple[NodeCondition, ...] = ()


class Node(Resource):
    """A machine; its labels say in which region and zone it stands. Source: kubernetes/api: core/v1/types.go."""

    namespaced: ClassVar[bool] = False
    api_versions: ClassVar[tuple[str, ...]] = ("v1",)

    api_version: Literal["v1"] = "v1"
    kind: Literal["Node"] = "Node"
    spec: NodeSpec = Field(default_factory=NodeSpec)
    status: NodeStatus | None = None


class Namespace(Resource):
    """A room for names. Source: kubernetes/api: core/v1/types.go."""

    namespaced: ClassVar[bool] = False
    api_versions: ClassVar[tuple[str, ...]] = ("v1",)

    api_version: Literal["v1"] = "v1"
    kind: Literal["Namespace"] = "Namespace"
    spec: Any = None
    status: Any = None
