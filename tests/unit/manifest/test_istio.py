"""Istio's resources: every field of the schema, its groups, its names in Python."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from meshroute.manifest import (
    DestinationRule,
    Gateway,
    ObjectMeta,
    Resource,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
)
from meshroute.manifest.istio import (
    ConsistentHashLB,
    HTTPBody,
    HTTPRedirect,
    HTTPRoute,
    LoadBalancerSettings,
    RedirectPort,
    SimpleLB,
    StringMatch,
    VirtualServiceSpec,
)
from meshroute.manifest.istio_gateway import ServerTLSMode, ServerTLSSettings
from meshroute.manifest.istio_services import Location, ReadinessProbe, Resolution, ServiceEntrySpec
from meshroute.manifest.istio_sidecar import CaptureMode, OutboundMode, SidecarSpec
from meshroute.manifest.metadata import Duration

MATCH = {"exact": "a"}
DESTINATION = {"host": "web", "subset": "v1", "port": {"number": 80}}
HEADERS = {"request": {"set": {"a": "b"}, "add": {"c": "d"}, "remove": ["e"]}, "response": {"remove": ["f"]}}
L4 = {
    "port": 1,
    "sourceLabels": {"a": "b"},
    "sourceNamespace": "n",
    "gateways": ["g"],
    "destinationSubnets": ["10.0.0.0/8"],
}

EVERYTHING_HTTP: dict[str, Any] = {
    "name": "n",
    "match": [
        {
            "name": "m",
            "uri": MATCH,
            "scheme": {"prefix": "h"},
            "method": {"regex": "G.*"},
            "authority": MATCH,
            "headers": {"x": MATCH, "y": {}},
            "withoutHeaders": {"x": MATCH},
            "queryParams": {"x": MATCH},
            "ignoreUriCase": True,
            "port": 80,
            "sourceLabels": {"a": "b"},
            "sourceNamespace": "n",
            "gateways": ["mesh"],
            "statPrefix": "s",
        }
    ],
    "route": [{"destination": DESTINATION, "weight": 1, "headers": HEADERS}],
    "redirect": {
        "uri": "/",
        "authority": "a",
        "scheme": "https",
        "derivePort": "FROM_REQUEST_PORT",
        "redirectCode": 302,
        "prefixRewrite": "/p",
    },
    "directResponse": {"status": 200, "body": {"string": "x"}},
    "delegate": {"name": "d", "namespace": "n"},
    "rewrite": {"uri": "/", "authority": "a", "uriRegexRewrite": {"match": "a", "rewrite": "b"}},
    "timeout": "5s",
    "retries": {
        "attempts": 3,
        "perTryTimeout": "1s",
        "retryOn": "5xx",
        "retryRemoteLocalities": True,
        "retryIgnorePreviousHosts": False,
        "backoff": "25ms",
    },
    "fault": {
        "delay": {"fixedDelay": "1s", "percent": 5, "percentage": {"value": 0.1}},
        "abort": {"httpStatus": 500, "percentage": {"value": 50}},
    },
    "mirror": DESTINATION,
    "mirrors": [{"destination": DESTINATION, "percentage": {"value": 1.5}}],
    "mirrorPercentage": {"value": 10.0},
    "mirrorPercent": 10,
    "mirror_percent": 10,
    "corsPolicy": {
        "allowOrigin": ["a"],
        "allowOrigins": [MATCH],
        "allowMethods": ["GET"],
        "allowHeaders": ["x"],
        "exposeHeaders": ["y"],
        "maxAge": "24h",
        "allowCredentials": True,
        "unmatchedPreflights": "IGNORE",
    },
    "headers": HEADERS,
}
VIRTUAL_SERVICE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "VirtualService",
    "metadata": {"name": "a"},
    "spec": {
        "hosts": ["a"],
        "gateways": ["mesh"],
        "exportTo": ["."],
        "http": [EVERYTHING_HTTP],
        "tls": [{"match": [{"sniHosts": ["a"], **L4}], "route": [{"destination": DESTINATION, "weight": 1}]}],
        "tcp": [{"match": [{"sourceSubnet": "10.0.0.0/8", **L4}], "route": [{"destination": DESTINATION}]}],
    },
    "status": {"anything": ["goes"]},
}
POLICY: dict[str, Any] = {
    "loadBalancer": {
        "consistentHash": {
            "httpCookie": {"name": "c", "path": "/", "ttl": "0s", "attributes": [{"name": "SameSite", "value": "Lax"}]},
            "maglev": {"tableSize": 65537},
            "minimumRingSize": 5,
        },
        "localityLbSetting": {
            "distribute": [{"from": "a/*", "to": {"a/*": 80, "b/*": 20}}],
            "failover": [{"from": "a", "to": "b"}],
            "failoverPriority": ["topology.istio.io/network"],
            "enabled": True,
        },
        "zoneAwareLbSetting": {
            "enabled": True,
            "failover": [{"from": "a", "to": "b"}],
            "failoverPriority": ["x"],
            "minClusterSize": 1,
        },
        "warmup": {"duration": "30s", "minimumPercent": 10, "aggression": 1.5},
        "warmupDurationSecs": "30s",
    },
    "connectionPool": {
        "tcp": {
            "maxConnections": 1,
            "connectTimeout": "1s",
            "tcpKeepalive": {"probes": 1, "time": "1s", "interval": "1s"},
            "maxConnectionDuration": "1h",
            "idleTimeout": "0s",
        },
        "http": {
            "http1MaxPendingRequests": 1,
            "http2MaxRequests": 2,
            "maxRequestsPerConnection": 3,
            "maxRetries": 4,
            "idleTimeout": "1s",
            "h2UpgradePolicy": "UPGRADE",
            "useClientProtocol": True,
            "maxConcurrentStreams": 5,
            "http2KeepAlive": {"interval": "1s", "timeout": "1s"},
        },
    },
    "outlierDetection": {
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 1,
        "consecutiveGatewayErrors": 2,
        "consecutive5xxErrors": 3,
        "consecutiveErrors": 4,
        "interval": "1s",
        "baseEjectionTime": "1s",
        "maxEjectionPercent": 5,
        "minHealthPercent": 6,
        "outlierDetectionHttpErrorCodes": [500, 599],
    },
    "tls": {
        "mode": "SIMPLE",
        "clientCertificate": "a",
        "privateKey": "b",
        "caCertificates": "c",
        "caCrl": "d",
        "credentialName": "e",
        "subjectAltNames": ["f"],
        "sni": "g",
        "insecureSkipVerify": True,
    },
}
DESTINATION_RULE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "DestinationRule",
    "metadata": {"name": "a"},
    "spec": {
        "host": "web",
        "trafficPolicy": {
            **POLICY,
            "portLevelSettings": [{"port": {"number": 80}, **POLICY}],
            "tunnel": {"protocol": "CONNECT", "targetHost": "t", "targetPort": 1},
            "proxyProtocol": {"version": "V2"},
            "retryBudget": {"percent": 20.5, "budgetInterval": "0s", "minRetryConcurrency": 3},
        },
        "subsets": [{"name": "v1", "labels": {"version": "1"}, "trafficPolicy": POLICY}],
        "exportTo": ["*"],
        "workloadSelector": {"matchLabels": {"app": "web"}},
    },
    "status": {},
}
SERVER_TLS: dict[str, Any] = {
    "httpsRedirect": True,
    "mode": "OPTIONAL_MUTUAL",
    "serverCertificate": "a",
    "privateKey": "b",
    "caCertificates": "c",
    "caCrl": "d",
    "tlsCertificates": [{"serverCertificate": "e", "privateKey": "f", "caCertificates": "g"}],
    "caCertCredentialName": "h",
    "subjectAltNames": ["i"],
    "insecureSkipVerify": False,
    "verifyCertificateSpki": ["j"],
    "verifyCertificateHash": ["k"],
    "minProtocolVersion": "TLSV1_2",
    "maxProtocolVersion": "TLS_AUTO",
    "cipherSuites": ["l"],
    "ecdhCurves": ["m"],
}
GATEWAY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "Gateway",
    "metadata": {"name": "a"},
    "spec": {
        "servers": [
            {
                "port": {"number": 443, "protocol": "HTTPS", "name": "https", "targetPort": 8443},
                "bind": "0.0.0.0",
                "hosts": ["ns/*.example.com"],
                "tls": SERVER_TLS,
                "defaultEndpoint": "127.0.0.1:80",
                "name": "first",
            }
        ],
        "selector": {"istio": "ingressgateway"},
    },
    "status": {},
}
SIDECAR_PORT = {"number": 9080, "protocol": "HTTP", "name": "http", "targetPort": 80}
SIDECAR: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "Sidecar",
    "metadata": {"name": "a"},
    "spec": {
        "workloadSelector": {"labels": {"app": "web"}},
        "ingress": [
            {
                "port": SIDECAR_PORT,
                "bind": "10.0.0.1",
                "captureMode": "NONE",
                "defaultEndpoint": "127.0.0.1:8080",
                "tls": SERVER_TLS,
                "connectionPool": POLICY["connectionPool"],
            }
        ],
        "egress": [{"port": SIDECAR_PORT, "bind": "127.0.0.1", "captureMode": "IPTABLES", "hosts": ["./*", "~/*"]}],
        "inboundConnectionPool": POLICY["connectionPool"],
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": DESTINATION},
    },
    "status": {},
}
WORKLOAD: dict[str, Any] = {
    "address": "10.0.0.1",
    "ports": {"http": 8080},
    "labels": {"app": "web"},
    "network": "n",
    "locality": "a/b/c",
    "weight": 3,
    "serviceAccount": "s",
}
SERVICE_ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "a"},
    "spec": {
        "hosts": ["outside.example"],
        "addresses": ["240.0.0.1", "10.0.0.0/8"],
        "ports": [{"number": 80, "protocol": "HTTP", "name": "http", "targetPort": 8080}],
        "location": "MESH_INTERNAL",
        "resolution": "DNS_ROUND_ROBIN",
        "endpoints": [WORKLOAD],
        "exportTo": ["."],
        "subjectAltNames": ["spiffe://a"],
    },
    "status": {},
}
WORKLOAD_ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadEntry",
    "metadata": {"name": "a"},
    "spec": WORKLOAD,
    "status": {},
}
TIMES = dict.fromkeys(
    ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), 1
)
WORKLOAD_GROUP: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadGroup",
    "metadata": {"name": "a"},
    "spec": {
        "metadata": {"labels": {"app": "web"}, "annotations": {"b": "c"}},
        "template": WORKLOAD,
        "probe": {
            **TIMES,
            "httpGet": {
                "path": "/",
                "port": 80,
                "host": "h",
                "scheme": "HTTP",
                "httpHeaders": [{"name": "a", "value": "b"}],
            },
        },
    },
    "status": {},
}
SAMPLES: list[tuple[type[Resource], dict[str, Any]]] = [
    (VirtualService, VIRTUAL_SERVICE),
    (DestinationRule, DESTINATION_RULE),
    (Gateway, GATEWAY),
    (Sidecar, SIDECAR),
    (ServiceEntry, SERVICE_ENTRY),
    (WorkloadEntry, WORKLOAD_ENTRY),
    (WorkloadGroup, WORKLOAD_GROUP),
]


class TestSchema:
    """Every field that the CRD has is read, under its name, and written back as it was."""

    @pytest.mark.parametrize(("model", "value"), SAMPLES)
    def test_everything(self, model: type[Resource], value: dict[str, Any]) -> None:
        read = model.model_validate(value, by_alias=True, by_name=False)
        assert read.model_dump(mode="json", by_alias=True, exclude_unset=True, fallback=str) == value

    @pytest.mark.parametrize(("model", "value"), SAMPLES)
    def test_the_sample_leaves_nothing_out(self, model: type[Resource], value: Any) -> None:
        # Members of oneOf groups that the samples cannot hold at once; TestGroups has them.
        others = {"port", "bytes", "exponentialDelay", "grpcStatus", "http2Error", "simple", "httpHeaderName"}
        others |= {"useSourceIp", "httpQueryParameterName", "ringHash", "prefix", "regex"}
        others |= {
            "credentialName",
            "credentialNames",
            "workloadSelector",
            "tcpSocket",
            "exec",
            "grpc",
            "backendUtilization",
        }
        full = model.model_validate(value).model_dump(mode="json", by_alias=True, fallback=str)
        left = _keys(full) - _keys(value)
        assert left <= others | {
            "generateName",
            "namespace",
            "labels",
            "annotations",
            "creationTimestamp",
            "deletionTimestamp",
        }


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for one in value.values() for key in _keys(one)}
    if isinstance(value, list):
        return {key for one in value for key in _keys(one)}
    return set()


class TestGroups:
    """At most one of a group, however it is built."""

    @pytest.mark.parametrize(
        ("model", "one", "other"),
        [
            (StringMatch, {"exact": ""}, {"prefix": ""}),
            (StringMatch, {"prefix": "a"}, {"regex": "b"}),
            (HTTPRedirect, {"port": 0}, {"derivePort": "FROM_PROTOCOL_DEFAULT"}),
            (HTTPBody, {"string": ""}, {"bytes": ""}),
            (LoadBalancerSettings, {"simple": "RANDOM"}, {"consistentHash": {}}),
            (ConsistentHashLB, {"httpHeaderName": "a"}, {"useSourceIp": False}),
            (ConsistentHashLB, {"httpCookie": {"name": "a"}}, {"httpQueryParameterName": "a"}),
            (ConsistentHashLB, {"ringHash": {}}, {"maglev": {}}),
            (ServerTLSSettings, {"credentialName": ""}, {"credentialNames": ["a"]}),
            (ServerTLSSettings, {"credentialNames": ["a"]}, {"tlsCertificates": [{}]}),
            (LoadBalancerSettings, {"simple": "RANDOM"}, {"backendUtilization": {}}),
            (ServiceEntrySpec, {"hosts": ["a"], "endpoints": []}, {"hosts": ["a"], "workloadSelector": {}}),
            (ReadinessProbe, {"httpGet": {"port": 1}}, {"tcpSocket": {"port": 1}}),
            (ReadinessProbe, {"exec": {"command": ["a"]}}, {"grpc": {}}),
        ],
    )
    def test_two_are_refused(self, model: Any, one: dict[str, Any], other: dict[str, Any]) -> None:
        assert model.model_validate(one) != model.model_validate(other)
        with pytest.raises(ValidationError, match="at most one of"):
            model.model_validate({**one, **other})

    def test_none_is_allowed(self) -> None:
        assert StringMatch() == StringMatch.model_validate({})

    def test_groups_name_fields(self) -> None:
        for model in (
            StringMatch,
            HTTPRedirect,
            HTTPBody,
            LoadBalancerSettings,
            ConsistentHashLB,
            ServerTLSSettings,
            ServiceEntrySpec,
            ReadinessProbe,
        ):
            aliases = {field.alias for field in model.model_fields.values()}
            assert all(set(group) <= aliases for group in model.one_of)


class TestPython:
    """Built in Python, with Python's names."""

    def test_a_virtual_service(self) -> None:
        rule = HTTPRoute(
            match=({"uri": StringMatch(prefix="/v2")},),
            redirect=HTTPRedirect(derive_port=RedirectPort.FROM_REQUEST_PORT),
            timeout=Duration.parse("5s"),
        )
        front = VirtualService(metadata=ObjectMeta(name="a"), spec=VirtualServiceSpec(hosts=("a",), http=(rule,)))
        assert front.spec.http[0].match[0].uri == StringMatch(prefix="/v2")
        assert front.api_version == "networking.istio.io/v1"

    def test_the_loader_s_strict_reading_takes_no_python_names(self) -> None:
        with pytest.raises(ValidationError):
            HTTPRoute.model_validate({"direct_response": {"status": 200}}, by_alias=True, by_name=False)

    def test_enums_are_their_spelling(self) -> None:
        assert SimpleLB.ROUND_ROBIN == "ROUND_ROBIN"
        assert all(one.name == one.value for one in SimpleLB)

    @pytest.mark.parametrize("value", [True, "1", 1.5, -1, 2**32])
    def test_ports_are_whole_numbers(self, value: object) -> None:
        with pytest.raises(ValidationError):
            HTTPRoute.model_validate({"match": [{"port": value}]})


class TestServices:
    """What the protobuf's defaults are, and the schema's numbers."""

    def test_defaults(self) -> None:
        entry = ServiceEntrySpec.model_validate({"hosts": ["a"], "ports": [{"number": 80, "name": "http"}]})
        assert (entry.location, entry.resolution) == (Location.MESH_EXTERNAL, Resolution.NONE)
        assert (entry.endpoints, entry.workload_selector, entry.ports[0].target_port) == (None, None, None)
        assert ServerTLSSettings().mode is ServerTLSMode.PASSTHROUGH

    def test_a_policy_without_a_mode_is_registry_only(self) -> None:
        policy = SidecarSpec.model_validate({"outboundTrafficPolicy": {}}).outbound_traffic_policy
        assert policy is not None
        assert policy.mode is OutboundMode.REGISTRY_ONLY
        assert SidecarSpec().outbound_traffic_policy is None

    def test_listeners_are_captured_by_default(self) -> None:
        (egress,) = SidecarSpec.model_validate({"egress": [{"hosts": ["./*"]}]}).egress
        assert (egress.port, egress.capture_mode) == (None, CaptureMode.DEFAULT)

    @pytest.mark.parametrize("number", [0, 65536, "80"])
    def test_ports_of_entries(self, number: object) -> None:
        for wrong in ({"number": number, "name": "a"}, {"number": 80, "name": "a", "targetPort": number}):
            with pytest.raises(ValidationError):
                ServiceEntrySpec.model_validate({"hosts": ["a"], "ports": [wrong]})
        with pytest.raises(ValidationError):
            ServiceEntrySpec.model_validate({"hosts": ["a"], "endpoints": [{"ports": {"a": number}}]})

    def test_an_entry_needs_a_host(self) -> None:
        with pytest.raises(ValidationError):
            ServiceEntrySpec.model_validate({"hosts": []})
