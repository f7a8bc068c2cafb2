"""The article's six configurations: what lint finds in each as it is printed, and nothing in what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

import meshroute as mr
from meshroute.analysis.lint.finding import of_diagnostic

PRINTED = Path(__file__).parents[4] / "docs/examples/article/printed"
WORLD = """\
apiVersion: v1
kind: Service
metadata: {name: nginx-service}
spec: {selector: {app: nginx}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: nginx, version: "1"}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: nginx, version: "2"}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.2}
---
"""
SUBSETS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr}
spec:
  host: nginx-service
  subsets: [{name: v1, labels: {version: "1"}}, {name: v2, labels: {version: "2"}}]
---
"""
RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: [nginx-service]
  http:
"""
V1 = "  - route: [{destination: {host: nginx-service, subset: v1}}]\n"
V2 = "    route: [{destination: {host: nginx-service, subset: v2}}]\n"
SPLIT = """\
  - route:
    - {destination: {host: nginx-service, subset: v1}, weight: 99}
    - {destination: {host: nginx-service, subset: v2}, weight: 1}
"""
PATH = "  - match: [{uri: {exact: /v2}}, {uri: {prefix: /v2/}}]\n" + V2 + V1
COOKIE = r"  - match: [{headers: {cookie: {regex: '^(.*?;)?\s*(debug=1)\s*(;.*)?$'}}}]" + "\n" + V2 + V1
SLIP_OF_HOSTS = ["field-missing", "field-unknown"]
CONFIGURATIONS: dict[str, tuple[list[str], str]] = {
    "a-round-robin": ([], ""),
    "b-header-hash": ([], ""),
    "c-subsets": (["field-type", "field-type"], SUBSETS + RULES + SPLIT),
    "d-split": ([*SLIP_OF_HOSTS, "rule-unreachable", "weight-ignored", "weight-ignored"], SUBSETS + RULES + SPLIT),
    # `uri` without a value, `prefix` beside it, `route` as a mapping
    "e-path": ([*SLIP_OF_HOSTS, "field-type", "field-unknown", "field-value"], SUBSETS + RULES + PATH),
    "f-cookie": ([*SLIP_OF_HOSTS, "field-type"], SUBSETS + RULES + COOKIE),
}


def found(text: str) -> list[str]:
    """The codes of everything that is found, notes included."""
    try:
        findings = mr.lint(mr.loads(text, namespace="namespace"))
    except mr.ManifestError as error:
        findings = tuple(map(of_diagnostic, error.diagnostics))
    return sorted(str(one.code) for one in findings)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_printed_and_what_was_meant(name: str) -> None:
    """The first two are as they should be."""
    codes, mended = CONFIGURATIONS[name]
    printed = (PRINTED / f"{name}.yaml").read_text("utf-8")
    assert found(WORLD + printed) == sorted(codes)
    assert found(WORLD + (mended or printed)) == []
