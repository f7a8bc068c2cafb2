"""Kubernetes objects: defaults, accessors, selectors, and every field name known."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from meshroute.manifest import Deployment, EndpointSlice, Pod, Service
from meshroute.manifest.kubernetes import (
    ConditionStatus,
    LabelSelector,
    PodPhase,
    Protocol,
    ServicePort,
    ServiceSpec,
    ServiceType,
    SessionAffinity,
    TrafficPolicyScope,
)


def test_a_service_has_the_server_s_defaults() -> None:
    spec = Service.model_validate({"metadata": {"name": "a"}}).spec
    assert (spec.type, spec.session_affinity, spec.internal_traffic_policy) == (
        ServiceType.CLUSTER_IP,
        SessionAffinity.NONE,
        TrafficPolicyScope.CLUSTER,
    )
    assert not spec.publish_not_ready_addresses
    assert (spec.selector, spec.ports, spec.cluster_ip, spec.traffic_distribution) == ({}, (), "", None)


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ({}, 80),
        ({"targetPort": 0}, 80),
        ({"targetPort": ""}, 80),
        ({"targetPort": 8080}, 8080),
        ({"targetPort": "http"}, "http"),
    ],
)
def test_the_target_port_is_the_port_unless_written(written: dict[str, object], target: object) -> None:
    port = ServicePort.model_validate({"port": 80, **written})
    assert (port.target, port.protocol) == (target, Protocol.TCP)


@pytest.mark.parametrize(
    ("config", "seconds"),
    [(None, 10800), ({}, 10800), ({"clientIP": {}}, 10800), ({"clientIP": {"timeoutSeconds": 60}}, 60)],
)
def test_affinity_lasts_three_hours_unless_written(config: object, seconds: int) -> None:
    assert ServiceSpec.model_validate({"sessionAffinityConfig": config}).affinity_seconds == seconds


@pytest.mark.parametrize(
    "spec",
    [
        {"ports": [{"port": 0}]},
        {"ports": [{"port": 65536}]},
        {"ports": [{}]},
        {"ports": [{"port": 1, "protocol": "tcp"}]},
        {"type": "clusterIP"},
        {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
        {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
        {"trafficDistribution": "PreferNear"},
        {"clusterIp": "None"},
        {"selector": {"version": 1}},
        {"publishNotReadyAddresses": "true"},
    ],
)
def test_services_that_are_refused(spec: object) -> None:
    with pytest.raises(ValidationError):
        ServiceSpec.model_validate(spec)


def test_a_pod_as_the_cluster_prints_it() -> None:
    pod = Pod.model_validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "uid": "u", "deletionTimestamp": "2024-05-01T12:00:00Z"},
            "spec": {
                "nodeName": "n",
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "containers": [
                    {"name": "c", "image": "i", "ports": [{"containerPort": 80, "name": "http"}], "resources": {}}
                ],
                "initContainers": [{"name": "i", "restartPolicy": "Always"}],
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "podIPs": [{"ip": "10.0.0.1"}],
                "hostIPs": [{"ip": "10.1.0.1"}],
                "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}],
                "containerStatuses": [{"name": "c"}],
            },
        }
    )
    assert pod.status is not None
    assert (pod.status.phase, pod.status.pod_ip, pod.status.pod_ips[0].ip) == (PodPhase.RUNNING, "10.0.0.1", "10.0.0.1")
    assert pod.status.conditions[0].status is ConditionStatus.TRUE
    assert pod.spec.containers[0].ports[0].protocol is Protocol.TCP
    assert pod.spec.init_containers[0].restart_policy == "Always"
    assert pod.metadata.deletion_timestamp is not None
    assert pod.spec.model_extra == {"tolerations": [{"key": "x", "operator": "Exists"}]}


def test_a_deployment() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, "strategy": {"type": "Recreate"}}
    deployment = Deployment.model_validate({"metadata": {"name": "d"}, "spec": spec})
    assert (deployment.spec.replicas, deployment.spec.template.metadata.labels) == (1, {"a": "b"})
    with pytest.raises(ValidationError):
        Deployment.model_validate({"metadata": {"name": "d"}, "spec": {**spec, "replicas": -1}})


def test_an_endpoint_slice() -> None:
    slice_ = EndpointSlice.model_validate(
        {
            "metadata": {"name": "s"},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 80}, {}],
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "zone": "z",
                    "hints": {"forZones": [{"name": "z"}]},
                    "deprecatedTopology": {},
                },
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}, "targetRef": {"kind": "Pod", "name": "p"}},
            ],
        }
    )
    first, second = slice_.endpoints
    assert (first.conditions.ready, first.conditions.serving, second.conditions.ready) == (None, None, False)
    assert first.hints is not None
    assert first.hints.for_zones[0].name == "z"
    assert [port.port for port in slice_.ports] == [80, None]


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchLabels": {"a": ""}}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, {"a": "1"}, False),
    ],
)
def test_selectors(selector: object, labels: dict[str, str], matches: bool) -> None:
    assert LabelSelector.model_validate(selector).matches(labels) is matches
