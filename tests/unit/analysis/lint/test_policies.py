"""Traffic policies: what gets lost, what never happens, what comes along."""

from __future__ import annotations

import pytest

import meshroute as mr
from meshroute.manifest.istio import LocalityFailover, LocalityLbSetting, ZoneAwareLbSetting
from tests.unit.analysis.lint.marks import SHOP, SPLIT, findings, istio, marked, pod, policy, service, told


def pods(count: int, nodes: str = "") -> str:
    """The service `web` with so many pods; each stands on one of the nodes in turn, if there are any."""
    found = service()
    for number in range(count):
        one = pod(f"web-{number}", ip=f"10.8.0.{number + 1}")
        if nodes:
            one = one.replace("spec: {", f"spec: {{nodeName: {nodes[number % len(nodes)]}, ")
        found += one
    return found


NODES = """\
apiVersion: v1
kind: Node
metadata: {name: a, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1}}
---
apiVersion: v1
kind: Node
metadata: {name: b, labels: {topology.kubernetes.io/region: us, topology.kubernetes.io/zone: us-1}}
---
"""


def outliers(lines: str, mark: str = "") -> str:
    """A DestinationRule with outlier detection."""
    return policy(f"host: web\ntrafficPolicy:\n  outlierDetection:{mark}\n{lines}")


LONG = """\
spec:
  selector: {app: web}  # <- service-without-pods
  ports: [{name: http, port: 80}]"""
NEVER = "  # <- outliers-never-ejected"
CASES = {
    "one in ten is ten percent": pods(10) + outliers("    consecutive5xxErrors: 5"),
    "one in nine is more": pods(9) + outliers("    consecutive5xxErrors: 5", NEVER),
    "one in three is a third, and 33 percent less": pods(3) + outliers("    maxEjectionPercent: 33", NEVER),
    "34 percent are enough": pods(3) + outliers("    maxEjectionPercent: 34"),
    "nobody is known": service().replace("spec: {selector: {app: web}, ports: [{name: http, port: 80}]}", LONG)
    + pod("api-1", "api")
    + outliers("    consecutive5xxErrors: 5"),
    "all thresholds are 0": pods(10) + outliers("    consecutive5xxErrors: 0", NEVER),
    "the other one is not": pods(10) + outliers("    consecutive5xxErrors: 0\n    consecutiveGatewayErrors: 3"),
    "errors of the proxy's own are counted apart": pods(10)
    + outliers("    consecutive5xxErrors: 0\n    splitExternalLocalOriginErrors: true"),
    "half are healthy, and 60 percent must be": pods(2)
    + outliers("    maxEjectionPercent: 100\n    minHealthPercent: 60  # <- outliers-never-ejected"),
    "half are healthy, and 50 percent must be": pods(2)
    + outliers("    maxEjectionPercent: 100\n    minHealthPercent: 50"),
    "three of four take everything, so that there is no panic": pods(4)
    + outliers("    maxEjectionPercent: 100\n    minHealthPercent: 90"),
    "of a subset, by the subset's size": SHOP
    + policy("""
host: web
subsets:
- name: v1
  labels: {version: v1}
  trafficPolicy:
    outlierDetection:  # <- outliers-never-ejected
      maxEjectionPercent: 99
- name: v2
  labels: {version: v2}
  trafficPolicy:
    outlierDetection: {maxEjectionPercent: 100}
""")
    + SPLIT,
    "of names that DNS is asked for, how many is not known": istio(
        "ServiceEntry",
        """
hosts: [a.example]
resolution: DNS
ports: [{number: 80, name: http, protocol: HTTP}]
""",
    )
    + policy("host: a.example\ntrafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}"),
    "of a client's own node, how many is not known": service(more=", internalTrafficPolicy: Local")
    + pod()
    + outliers("    consecutive5xxErrors: 5"),
    "an entry for the port is another policy": pods(2)
    + policy("""
host: web
trafficPolicy:
  outlierDetection: {maxEjectionPercent: 10}
  portLevelSettings:
  - port: {number: 80}
    outlierDetection: {maxEjectionPercent: 50}
"""),
    "failover in one place": NODES + pods(2, "a") + outliers("    maxEjectionPercent: 50"),
    "failover where no place is known": pods(2) + outliers("    maxEjectionPercent: 50"),
    "failover that is turned off": NODES
    + pods(2, "ab")
    + policy("""
host: web
trafficPolicy:
  loadBalancer: {localityLbSetting: {enabled: false}}
  outlierDetection: {maxEjectionPercent: 50}
"""),
    "failover that is asked for": NODES
    + pods(2, "ab")
    + policy("""
host: web
trafficPolicy:
  loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}]}}
  outlierDetection: {maxEjectionPercent: 50}
"""),
    "shares for places that are there, by region, zone and wildcard": NODES
    + pods(2, "ab")
    + policy("""
host: web
trafficPolicy:
  loadBalancer:
    localityLbSetting:
      distribute:
      - {from: "eu/*", to: {"eu/eu-1/*": 50, us: 50}}
      - {from: us/us-1, to: {"us/*": 100}}
"""),
    "shares for clients that are nowhere": NODES
    + pods(2, "ab")
    + policy("""
host: web
trafficPolicy:
  loadBalancer:
    localityLbSetting:
      distribute:
      - from: asia/*  # <- distribute-nowhere
        to: {"eu/*": 100}
"""),
    "shares that are turned off": NODES
    + pods(2, "ab")
    + policy("""
host: web
trafficPolicy:
  loadBalancer:
    localityLbSetting:
      enabled: false
      distribute: [{from: "asia/*", to: {"asia/*": 100}}]
"""),
    "shares where no place is known": pods(2)
    + policy("""
host: web
trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: "eu/*", to: {"eu/*": 100}}]}}}
"""),
    "an entry for a port that says everything again": SHOP
    + policy("""
host: web
trafficPolicy:
  loadBalancer: {simple: RANDOM}
  portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]
"""),
    "an entry for a port in a subset, beside the rule's settings": SHOP
    + policy("""
host: web
trafficPolicy:
  connectionPool: {tcp: {maxConnections: 9}}
subsets:
- name: v1
  labels: {version: v1}
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}  # <- port-settings-replace
      loadBalancer: {simple: RANDOM}
- {name: v2, labels: {version: v2}}
""")
    + SPLIT,
    "a subset that says something else, and one that says more": SHOP
    + policy("""
host: web
trafficPolicy: {loadBalancer: {simple: RANDOM}}
subsets:
- {name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
- name: v2
  labels: {version: v2}
  trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 9}}}
""")
    + SPLIT,
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else."""
    assert told(CASES[case]) == marked(CASES[case])


@pytest.mark.parametrize(
    ("count", "percent", "threshold", "steady"),
    [(2, 100, 60, True), (2, 100, 50, False), (3, 100, 67, True), (3, 100, 66, False), (4, 100, 90, False)],
)
def test_who_is_told_to_get_requests_all_the_same_does(count: int, percent: int, threshold: int, steady: bool) -> None:
    """A session in which one pod fails: it goes on getting its share, or gets nothing more; and lint says which."""
    text = pods(count) + outliers(f"    maxEjectionPercent: {percent}\n    minHealthPercent: {threshold}")
    failing = "10.8.0.1:80"

    def answer(to: mr.Decision) -> int:
        return 503 if to.endpoint is not None and to.endpoint.key == failing else 200

    session = mr.Session(mr.loads(text).router(mr.Sidecar("shop")))
    went = [session.send(mr.Request.of("GET", "http://web/"), answer).tries[0].endpoint for _ in range(600)]
    assert (failing in {one.key for one in went[-300:] if one is not None}) is steady
    assert [one.code for one in findings(text)] == (["outliers-never-ejected"] if steady else [])


def test_the_mesh_s_failover_waits_for_outlier_detection() -> None:
    """A note, because the rules may be elsewhere."""
    mesh = mr.MeshConfig(locality=LocalityLbSetting(failover_priority=("topology.kubernetes.io/region",)))
    (finding,) = findings(SHOP, mesh)
    assert (finding.code, finding.severity, finding.subject) == ("setting-ignored", mr.Severity.NOTE, "MeshConfig")
    assert finding.at.path == "localityLbSetting.failoverPriority"
    assert findings(pods(10) + outliers("    consecutive5xxErrors: 5"), mesh) == []
    assert findings(SHOP, mr.MeshConfig(locality=LocalityLbSetting(enabled=False))) == []


def test_the_least_that_would_do_is_told() -> None:
    """Rounded up to a whole number."""
    (finding,) = findings(pods(3) + outliers("    maxEjectionPercent: 33"))
    assert finding.help.splitlines()[-1].strip() == "maxEjectionPercent: 34"
    assert "has 3, one of them is 33.33 percent, and at most 33 percent may be" in finding.message


@pytest.mark.parametrize(
    "mesh",
    [None, LocalityLbSetting(enabled=False), LocalityLbSetting(failover=(LocalityFailover(from_="eu", to="us"),))],
)
def test_a_setting_of_the_mesh_that_somebody_wrote_is_no_surprise(mesh: LocalityLbSetting | None) -> None:
    """Only the one that nobody wrote is."""
    text = NODES + pods(2, "ab") + outliers("    maxEjectionPercent: 50", "  # <- failover-implied")
    assert told(text) == marked(text)
    assert told(text, mr.MeshConfig(locality=mesh)) == []
    assert told(text, mr.MeshConfig(zone_aware=ZoneAwareLbSetting())) == []
