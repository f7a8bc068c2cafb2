"""Selectors: whom they choose, whom another chooses too, and what is only not given."""

from __future__ import annotations

import pytest

import meshroute as mr
from tests.unit.analysis.lint.marks import SHOP, findings, gateway, istio, marked, pod, policy, service, told

SELECTOR = """
selector: {app: edgy}  # <- selector-chooses-nobody
servers:
- port: {number: 80, name: p, protocol: HTTP}
  hosts: ['web.example']
"""
EDGE = istio("Gateway", SELECTOR, "edge", "edge")
EDGE_SERVICE = service("edge", "[{name: http, port: 8080}]", "edge")


def sidecar(name: str, labels: str, mark: str = "", namespace: str = "shop") -> str:
    """A Sidecar for some pods."""
    return istio(
        "Sidecar", f"workloadSelector:{mark}\n  labels: {{{labels}}}\negress: [{{hosts: ['*/*']}}]", name, namespace
    )


def named(target: str, mark: str = "") -> str:
    """A Service that leads to a port by name, and a pod that has a port `http`."""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{app: web}}
  ports:
  - name: http
    port: 80
    targetPort: {target}{mark}
---
""" + pod().replace("[{name: c}]", "[{name: c, ports: [{name: http, containerPort: 8080}]}]")


NOBODY = "  # <- selector-chooses-nobody"
CASES = {
    "a Gateway whose pods are not given, and nobody else's in its namespace": SHOP
    + EDGE.replace("  # <- selector-chooses-nobody", "").replace("edgy", "edge"),
    "a Gateway whose name for its pods is nearly right": pod("edge-1", "edge", "10.9.0.1", "edge") + EDGE,
    "a Gateway in a namespace with other pods": pod("x-1", "other", "10.9.0.1", "edge") + EDGE,
    "a Gateway whose pods are elsewhere": gateway("web.example").replace(
        "{name: edge-1, namespace: edge,", "{name: edge-1, namespace: proxies,"
    ),
    "a Gateway on a port that its Service has": gateway("web.example", 8080) + EDGE_SERVICE,
    "a Gateway on the pod's own port, where its Service leads": gateway("web.example", 8080)
    + service("edge", "[{name: http, port: 80, targetPort: 8080}]", "edge"),
    "a Gateway on a port of UDP": gateway("web.example", 53, mark="  # <- gateway-port-unreachable")
    + service("edge", "[{name: http, port: 80}, {name: dns, port: 53, protocol: UDP, targetPort: 5353}]", "edge"),
    "a Gateway on a port with another one behind it": gateway("web.example")
    + service("edge", "[{name: http, port: 80, targetPort: 8080}]", "edge"),
    "a Gateway, and a Service of the same labels elsewhere": gateway("web.example")
    + service("edge", "[{name: http, port: 8080}]", "bank"),
    "a Gateway of which no Service is given": gateway("web.example", 8443),
    "a Sidecar for nobody": SHOP + sidecar("a", "app: nobody", NOBODY),
    "a Sidecar in a namespace of which nothing is given": SHOP + sidecar("a", "app: web", namespace="bank"),
    "Sidecars for different pods": SHOP + sidecar("a", "version: v1") + sidecar("b", "version: v2"),
    "Sidecars for one pod": SHOP + sidecar("a", "version: v1") + sidecar("b", "app: web", "  # <- sidecars-conflict"),
    "Sidecars with the same labels, where no pod is given": sidecar("a", "app: web")
    + sidecar("b", "app: web", "  # <- sidecars-conflict"),
    "Sidecars with the same labels in two namespaces": sidecar("a", "app: web") + sidecar("b", "app: web", "", "bank"),
    "a Sidecar for one pod beside one for all": SHOP
    + sidecar("a", "version: v1")
    + istio("Sidecar", "egress: [{hosts: ['*/*']}]", "b"),
    "a DestinationRule for workloads that are not there": SHOP
    + policy("""
host: web
exportTo: [.]
workloadSelector:  # <- selector-chooses-nobody
  matchLabels: {app: nobody}
trafficPolicy: {loadBalancer: {simple: RANDOM}}
"""),
    "a Service of which only the namespace is given": service("api", namespace="bank") + SHOP,
    "a Service without a selector, and one with another name": SHOP
    + service("api", "[{name: tcp, port: 81, targetPort: 80}]").replace("selector: {app: api}, ", "")
    + service("old").replace("selector: {app: old}", "type: ExternalName, externalName: web.shop.svc.cluster.local"),
    "an ExternalName Service with a selector": SHOP
    + service("old", more=", type: ExternalName, externalName: web.shop.svc.cluster.local"),
    "a port of a pod by its name": named("http"),
    "a port of a pod that is not there": named("web", "  # <- target-port-unknown"),
    "a port by number is there or not, nobody knows": named("9999"),
    "one Service with a name for its clients and one without": SHOP
    + service("web-pods").replace("selector: {app: web-pods}", "clusterIP: None, selector: {app: web}"),
    "two Services with other ports for one of the pods'": SHOP
    + service("web-too", "\n  - {name: http, port: 8080, targetPort: 80}  # <- pods-shared\n  ")
    .replace("spec: {selector: {app: web-too}, ports: \n", "spec:\n  selector: {app: web}\n  ports:\n")
    .replace("shared\n  }\n", "shared\n"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else."""
    assert told(CASES[case]) == marked(CASES[case])


@pytest.mark.parametrize(
    ("case", "severity"),
    [
        ("a Gateway whose name for its pods is nearly right", mr.Severity.WARNING),
        ("a Gateway in a namespace with other pods", mr.Severity.NOTE),
        ("a Sidecar for nobody", mr.Severity.NOTE),
    ],
)
def test_what_may_only_not_be_given_is_a_note(case: str, severity: mr.Severity) -> None:
    """A slip of the pen is a warning."""
    (finding,) = findings(CASES[case])
    assert finding.severity is severity


def test_a_scaled_down_deployment_is_a_note() -> None:
    """Its Service chooses nobody, and nothing is wrong with the labels."""
    text = (
        service()
        + pod("api-1", "api", "10.8.2.1")
        + """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}
"""
    )
    (finding,) = findings(text)
    assert (finding.code, finding.severity) == ("service-without-pods", mr.Severity.NOTE)


def test_given_slices_say_who_answers() -> None:
    """Without any pod of the Service."""
    text = (
        service()
        + pod("api-1", "api", "10.8.2.1")
        + """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.8.0.1], conditions: {ready: true, serving: true, terminating: false}}]
"""
    )
    assert told(text) == []
