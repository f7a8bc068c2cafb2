"""Meshes of any size as YAML, the kind that a large cluster has: for measuring how loading and compiling grow."""

from __future__ import annotations

from collections.abc import Iterator

NAMESPACES = 50
POD_LABELS = ("v1", "v2")


def world(virtual_services: int, pods: int) -> Iterator[str]:
    """The documents of a mesh: a Service, a DestinationRule and a VirtualService for each name, and pods for all of
    them in turn. Each VirtualService matches a path and a header, rewrites, splits by weight and has a default."""
    for number in range(virtual_services):
        yield _named(number)
    for number in range(pods):
        yield _pod(number, number % virtual_services)


def _named(number: int) -> str:
    name, namespace = f"service-{number}", f"team-{number % NAMESPACES}"
    at = f"{{name: {name}, namespace: {namespace}}}"
    return f"""\
apiVersion: v1
kind: Service
metadata: {at}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {at}
spec:
  host: {name}
  trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN}}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {at}
spec:
  hosts: [{name}]
  http:
  - name: beta
    match: [{{uri: {{prefix: /api/}}, headers: {{x-beta: {{exact: "true"}}}}}}]
    rewrite: {{uri: /}}
    route: [{{destination: {{host: {name}, subset: v2}}}}]
  - name: split
    route:
    - {{destination: {{host: {name}, subset: v1}}, weight: 90}}
    - {{destination: {{host: {name}, subset: v2}}, weight: 10}}
    timeout: 5s
    retries: {{attempts: 3, retryOn: "5xx,connect-failure"}}
"""


def _pod(number: int, of: int) -> str:
    name, namespace = f"service-{of}", f"team-{of % NAMESPACES}"
    version = POD_LABELS[number // NAMESPACES % 2]
    ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}-{number}, namespace: {namespace}, labels: {{app: {name}, version: {version}}}}}
spec: {{containers: [{{name: main, image: main, ports: [{{containerPort: 8080}}]}}]}}
status: {{podIP: {ip}, phase: Running, conditions: [{{type: Ready, status: "True"}}]}}
"""
