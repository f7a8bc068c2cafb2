"""What becomes of each field of a manifest here, and what the kinds outside could change: tables.

Source    meshroute.compile (what it reads), meshroute.compile.understood (fields of Istio); kubernetes/kubernetes:
          pkg/proxy; istio/istio: pilot/pkg/serviceregistry/kube, pkg/config/schema/metadata.yaml; istio/api:
          annotation, label
Inputs    none. Exactness: every field of every model has one line, and a test holds the tables to the models.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from meshroute.compile.understood import ACTED_ON, WHOLE, Fields


class How(StrEnum):
    """How well a field is understood. What takes no part changes no decision, whatever it says."""

    UNDERSTOOD = "understood"
    PARTLY = "partly"
    NOT = "not understood"
    ASIDE = "no part"


class Meaning(msgspec.Struct, frozen=True):
    """What becomes of a field: how well it is understood, why no better, which decisions could depend on the rest."""

    how: How
    why: str = ""
    affects: str = ""


Meanings: TypeAlias = "Meaning | Mapping[str, Meanings]"

READ: Final = Meaning(How.UNDERSTOOD)
ASIDE: Final = Meaning(How.ASIDE)
IGNORED: Final = Meaning(How.NOT, "decisions are made as if it were absent")

_OF_NODES: Final = Meaning(
    How.PARTLY,
    "nodes go by it (`meshroute connect --kube-proxy`), and sidecars do not",
    "requests of clients with a proxy",
)
_FROM_OUTSIDE: Final = Meaning(
    How.NOT, "it is for clients outside of the cluster", "connections that come from outside, before any proxy has them"
)
_OWN_NAME: Final = Meaning(
    How.PARTLY,
    "clients without a proxy find a pod by it (`meshroute connect --kube-proxy`), and sidecars know no pod by name",
    "requests for a pod of a headless Service",
)


def _all(names: str, meaning: Meaning) -> dict[str, Meanings]:
    return dict.fromkeys(names.split(), meaning)


# Istio

_POOL: Final = Meaning(
    How.PARTLY,
    "it changes no choice of an endpoint, and its limits are not counted",
    "requests beyond a limit: the proxy answers 503 UO",
)
_TIMES: Final = Meaning(How.PARTLY, "it is part of the action, and nobody here waits", "requests that take too long")
_LIMITED: Final[Mapping[tuple[str, str], Meaning]] = {
    ("DestinationRule", "connectionPool"): _POOL,
    ("VirtualService", "timeout"): _TIMES,
    ("ServiceEntry", "subjectAltNames"): ASIDE,
    ("Sidecar", "ingress"): Meaning(
        How.PARTLY, "what comes in to a workload is decided nowhere here", "requests that have reached the workload"
    ),
    ("Sidecar", "inboundConnectionPool"): Meaning(
        How.PARTLY, "what comes in to a workload is decided nowhere here", "requests that have reached the workload"
    ),
    ("WorkloadEntry", "serviceAccount"): ASIDE,
    ("WorkloadGroup", "metadata"): ASIDE,
    ("WorkloadGroup", "template"): ASIDE,
    ("WorkloadGroup", "probe"): ASIDE,
}
"""Fields that decisions act upon as far as they have to, by kind and name."""


def _of_fields(kind: str, fields: Fields) -> dict[str, Meanings]:
    return {
        name: _LIMITED.get((kind, name)) or (READ if below == WHOLE else _of_fields(kind, below))
        for name, below in fields.items()
    }


# Kubernetes

_PORTS_OF_CONTAINERS: Final[Meanings] = {
    **_all("name containerPort protocol", READ),
    **_all("hostPort hostIP", _FROM_OUTSIDE),
}
_IN_A_CONTAINER: Final = """
    args command env envFrom image imagePullPolicy lifecycle livenessProbe readinessProbe resizePolicy resources
    restartPolicyRules securityContext startupProbe stdin stdinOnce targetContainerName terminationMessagePath
    terminationMessagePolicy tty volumeDevices volumeMounts workingDir
"""
_CONTAINER: Final[Meanings] = {
    "name": READ,
    "ports": _PORTS_OF_CONTAINERS,
    "restartPolicy": READ,
    **_all(_IN_A_CONTAINER, ASIDE),
}
_POD: Final[Meanings] = {
    "containers": _CONTAINER,
    "initContainers": _CONTAINER,
    "nodeName": READ,
    **_all("hostname subdomain", _OWN_NAME),
    **_all(
        """
        activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks
        ephemeralContainers evictionResponders hostAliases hostIPC hostNetwork hostPID hostUsers hostnameOverride
        imagePullSecrets nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates
        resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup
        securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace
        terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes
        """,
        ASIDE,
    ),
}
_LABELS_AND_MORE: Final[Meanings] = {
    "labels": READ,
    **_all(
        "name generateName namespace annotations creationTimestamp deletionTimestamp deletionGracePeriodSeconds"
        " finalizers generation managedFields ownerReferences resourceVersion selfLink uid",
        ASIDE,
    ),
}

FIELDS: Final[Mapping[str, Mapping[str, Meanings]]] = {
    "Deployment": {
        "spec": {
            **_all("replicas selector", READ),
            "template": {"metadata": _LABELS_AND_MORE, "spec": _POD},
            **_all("minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit strategy", ASIDE),
        },
        "status": ASIDE,
    },
    "EndpointSlice": {
        "addressType": READ,
        "endpoints": {
            **_all("addresses conditions nodeName targetRef", READ),
            "hints": _OF_NODES,
            "hostname": _OWN_NAME,
            **_all("zone deprecatedTopology", ASIDE),
        },
        "ports": {**_all("name protocol port", READ), "appProtocol": ASIDE},
    },
    "Namespace": _all("spec status", ASIDE),
    "Node": {
        "spec": ASIDE,
        "status": {
            **_all("addresses allocatable conditions", READ),
            **_all(
                "capacity config daemonEndpoints declaredFeatures features images nodeInfo phase runtimeHandlers"
                " volumesAttached volumesInUse",
                ASIDE,
            ),
        },
    },
    "Pod": {
        "spec": _POD,
        "status": {
            **_all("phase podIP conditions", READ),
            "podIPs": Meaning(
                How.PARTLY, "the pod is known by `podIP` alone", "requests in a mesh with addresses of two families"
            ),
            **_all(
                """
                allocatedResources containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP
                hostIPs initContainerStatuses message nodeAllocatableResourceClaimStatuses nominatedNodeName
                observedGeneration qosClass reason resize resourceClaimStatuses resources startTime volumeHealth
                """,
                ASIDE,
            ),
        },
    },
    "Service": {
        "spec": {
            **_all(
                "type selector clusterIP clusterIPs externalName internalTrafficPolicy publishNotReadyAddresses"
                " trafficDistribution",
                READ,
            ),
            "ports": {**_all("name protocol appProtocol port targetPort", READ), "nodePort": _OF_NODES},
            **_all("sessionAffinity sessionAffinityConfig externalIPs externalTrafficPolicy", _OF_NODES),
            **_all("loadBalancerSourceRanges", _OF_NODES),
            **_all(
                "loadBalancerIP loadBalancerClass allocateLoadBalancerNodePorts healthCheckNodePort",
                _FROM_OUTSIDE,
            ),
            # Which families there are, the addresses say.
            **_all("ipFamilies ipFamilyPolicy", ASIDE),
        },
        "status": {"loadBalancer": _OF_NODES, "conditions": ASIDE},
    },
    **{kind: {"spec": _of_fields(kind, fields), "status": ASIDE} for kind, fields in ACTED_ON.items()},
}
"""By kind, from the top of the manifest downwards, without its metadata."""

ONE_IS_NONE: Final = frozenset({"podIPs"})
"""Lists that say nothing new with one entry."""

TAKEN_AS_TIME: Final = frozenset({"Pod"})
"""Kinds of which `metadata.deletionTimestamp` is read: it is going away."""

_HAS_A_PROXY: Final = "whether its pods have a proxy is taken from nowhere: the viewpoint says who asks"
_ALL_OF_ITS: Final = "requests of its pods, if they have no proxy; requests to them, if mutual TLS is needed"
_CAUGHT: Final = Meaning(
    How.NOT,
    "which connections a pod's proxy catches is not modelled: it is taken to catch all",
    "connections of this workload that go past its proxy",
)

LABELS: Final[Mapping[str, Meaning]] = {
    **dict.fromkeys(
        ("istio-injection", "istio.io/rev", "sidecar.istio.io/inject", "istio.io/dataplane-mode"),
        Meaning(How.NOT, _HAS_A_PROXY, _ALL_OF_ITS),
    ),
    "istio.io/ingress-use-waypoint": Meaning(
        How.NOT, "gateways are taken to send to pods", "requests from gateways to this service"
    ),
}
"""Labels that Istio goes by and decisions do not. All others select, or name a place."""

ANNOTATIONS: Final[Mapping[str, Meaning]] = {
    "networking.istio.io/exportTo": READ,
    "networking.istio.io/traffic-distribution": READ,
    "proxy.istio.io/health-checks-enabled": READ,
    "sidecar.istio.io/inject": Meaning(How.NOT, _HAS_A_PROXY, _ALL_OF_ITS),
    "proxy.istio.io/config": Meaning(
        How.NOT, "settings of one proxy are not read", "anything that the mesh's own configuration could change, there"
    ),
    "ambient.istio.io/redirection": Meaning(How.NOT, _HAS_A_PROXY, _ALL_OF_ITS),
    "service.kubernetes.io/topology-mode": _OF_NODES,
    "service.kubernetes.io/topology-aware-hints": _OF_NODES,
}
"""Annotations that somebody on the way of a request goes by. All others take no part."""

ANNOTATION_GROUPS: Final[Mapping[str, Meaning]] = {"traffic.sidecar.istio.io": _CAUGHT}
"""The same for all annotations of a prefix."""


# Outside

_ROUTES: Final = "where requests go: its rules are routes of their own, which nobody here reads"
_PODS: Final = "which pods there are: unlike those of a Deployment, its pods are not assumed; load the pods too"
_NOTHING: Final = "nothing about where requests go"
_WEIGHTS: Final = "weights and pods, which it changes while a release goes on; load what it has made of them"

OUTSIDE: Final[Mapping[tuple[str, str], str]] = {
    ("networking.istio.io", "EnvoyFilter"): "anything: it rewrites the configuration of proxies after it is made",
    ("networking.istio.io", "ProxyConfig"): "how proxies run, not where they send: concurrency, image, variables",
    ("security.istio.io", "AuthorizationPolicy"): "whether a request is let in: 403 where a decision says it arrives",
    ("security.istio.io", "RequestAuthentication"): (
        "whether a request is let in: 401 for a token that is not valid; and the claims that rules of gateways ask for"
    ),
    ("security.istio.io", "PeerAuthentication"): (
        "whether a connection is let in: plain text is refused where mutual TLS is needed"
    ),
    ("telemetry.istio.io", "Telemetry"): _NOTHING + ": what is logged, counted and traced",
    ("extensions.istio.io", "WasmPlugin"): (
        "anything about the requests of its proxies: it can answer them, and change what routes are asked for"
    ),
    **dict.fromkeys(
        [("gateway.networking.k8s.io", f"{one}Route") for one in ("HTTP", "GRPC", "TCP", "TLS", "UDP")], _ROUTES
    ),
    ("gateway.networking.k8s.io", "Gateway"): "where requests go that come to its proxies, and who the waypoints are",
    ("gateway.networking.k8s.io", "GatewayClass"): "which Gateways of the Gateway API anybody serves",
    ("gateway.networking.k8s.io", "ReferenceGrant"): "which routes of the Gateway API may send to other namespaces",
    ("gateway.networking.k8s.io", "BackendTLSPolicy"): "whether proxies speak TLS to a service",
    ("gateway.networking.k8s.io", "ListenerSet"): "where requests go that come to the proxies of its Gateway",
    ("networking.k8s.io", "NetworkPolicy"): (
        "whether a connection comes through at all: one that is not allowed times out, whatever a decision says"
    ),
    ("networking.k8s.io", "Ingress"): "where requests go that come to its controller, which may be a proxy of the mesh",
    ("networking.k8s.io", "IngressClass"): "which Ingresses anybody serves",
    ("", "Endpoints"): "who answers for a Service: only EndpointSlices and pods are read",
    ("", "ConfigMap"): "the mesh's own configuration, if it is Istio's: give that as `MeshConfig`",
    ("", "ReplicationController"): _PODS,
    **dict.fromkeys([("apps", one) for one in ("ReplicaSet", "StatefulSet", "DaemonSet")], _PODS),
    **dict.fromkeys([("batch", one) for one in ("Job", "CronJob")], _PODS),
    ("autoscaling", "HorizontalPodAutoscaler"): "how many pods there are",
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): _NOTHING,
    ("policy", "PodDisruptionBudget"): _NOTHING,
    ("argoproj.io", "Rollout"): _WEIGHTS,
    ("flagger.app", "Canary"): _WEIGHTS,
    ("multicluster.x-k8s.io", "ServiceImport"): "services under `clusterset.local`, and endpoints in other clusters",
    ("multicluster.x-k8s.io", "ServiceExport"): "services under `clusterset.local`, and endpoints in other clusters",
    **dict.fromkeys(
        [
            *(("", one) for one in ("Secret", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "Event")),
            *(("", one) for one in ("LimitRange", "ResourceQuota", "PodTemplate")),
            *(("rbac.authorization.k8s.io", one) for one in ("Role", "RoleBinding", "ClusterRole")),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("scheduling.k8s.io", "PriorityClass"),
            ("storage.k8s.io", "StorageClass"),
            ("coordination.k8s.io", "Lease"),
        ],
        _NOTHING,
    ),
}
"""Kinds that nobody here reads, by group and kind, and what they could change."""

UNKNOWN_KIND: Final = "nobody here knows: the kind is not known"
