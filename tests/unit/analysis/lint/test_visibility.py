"""Who sees and follows what: rules that others stand before, and rules that stand where nobody looks."""

from __future__ import annotations

import pytest

import meshroute as mr
from meshroute.table import LeastRequest, Policy, RandomChoice
from tests.unit.analysis.lint.marks import (
    SHOP,
    SPLIT,
    SUBSETS,
    findings,
    gateway,
    istio,
    marked,
    pod,
    policy,
    rules,
    told,
)

BANK = pod("pay-1", "pay", "10.8.3.1", "bank")
RANDOM = "host: web\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}"
FULL = "web.shop.svc.cluster.local"
PLAIN = "http: [{route: [{destination: {host: web.shop.svc.cluster.local}}]}]"


def entry(export: str = "", name: str = "partner", namespace: str = "egress") -> str:
    """A ServiceEntry for partner.example."""
    return istio(
        "ServiceEntry",
        f"""
hosts: [partner.example]
resolution: STATIC
endpoints: [{{address: 192.0.2.7}}]
ports: [{{number: 80, name: http, protocol: HTTP}}]
{export}
""",
        name,
        namespace,
    )


CASES = {
    # DestinationRules
    "a second rule that adds subsets": SHOP + policy(RANDOM, "first") + policy(SUBSETS, "second") + SPLIT,
    "a second rule with a policy, whatever its fields": SHOP
    + policy(RANDOM, "first")
    + policy(
        """
host: web.shop.svc.cluster.local
trafficPolicy:  # <- destination-rule-folded
  connectionPool: {tcp: {maxConnections: 9}}
""",
        "second",
    ),
    "the older one is first, whatever its name": SHOP
    + policy(
        """
host: web
trafficPolicy:  # <- destination-rule-folded
  connectionPool: {tcp: {maxConnections: 9}}
""",
        "a",
    ).replace("metadata: {name: a,", "metadata: {creationTimestamp: 2024-01-01T00:00:00Z, name: a,")
    + policy(RANDOM, "b").replace(
        "metadata: {name: b,", "metadata: {creationTimestamp: 2020-01-01T00:00:00Z, name: b,"
    ),
    "a subset of a name that is there": SHOP
    + policy(SUBSETS, "first")
    + policy(
        """
host: web
subsets:
- name: v2  # <- destination-rule-folded
  labels: {version: v1}
""",
        "second",
    )
    + SPLIT,
    "rules of two namespaces for their own clients": SHOP
    + BANK
    + policy(RANDOM)
    + policy(RANDOM.replace("web", FULL), namespace="bank"),
    "rules for chosen workloads": SHOP
    + policy(RANDOM, "first")
    + policy(RANDOM + "\nexportTo: [.]\nworkloadSelector: {matchLabels: {version: v2}}", "second"),
    "rules for different namespaces": SHOP
    + BANK
    + policy(RANDOM + "\nexportTo: [.]", "first")
    + policy(RANDOM + "\nexportTo: [bank]", "second"),
    "a rule for chosen workloads of another namespace": SHOP
    + BANK
    + policy(RANDOM.replace("web", FULL) + "\nexportTo: [.]\nworkloadSelector: {matchLabels: {app: pay}}", "x", "bank"),
    "a wider rule for chosen workloads": SHOP
    + BANK
    + policy(RANDOM)
    + policy(
        "host: '*.local'\nexportTo: [.]\nworkloadSelector: {matchLabels: {app: pay}}\n"
        "trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}",
        "x",
        "bank",
    ),
    "a rule of a client's namespace, for its own clients": SHOP
    + BANK
    + policy(RANDOM.replace("web", FULL), "x", "bank"),
    "one that says it is for others": SHOP
    + BANK
    + policy(RANDOM.replace("web", FULL) + "\nexportTo:  # <- destination-rule-not-followed\n- shop", "x", "bank"),
    "one in the root namespace is for everybody": SHOP
    + policy(RANDOM.replace("web", FULL) + "\nexportTo: ['*']", "x", "istio-system"),
    "one with the service is, too": SHOP + policy(RANDOM + "\nexportTo: ['*']"),
    "one where a Gateway's proxies are": SHOP
    + gateway("web.example")
    + policy(RANDOM.replace("web", FULL), "x", "edge")
    + rules("hosts: [web.example]\ngateways: [edge/edge]\n" + PLAIN),
    "one where a Gateway is whose proxies are not given": SHOP
    + gateway("web.example").removeprefix(pod("edge-1", "edge", "10.9.0.1", "edge"))
    + policy(RANDOM.replace("web", FULL), "x", "edge")
    + rules("hosts: [web.example]\ngateways: [edge/edge]\n" + PLAIN),
    "one where no pod is": SHOP
    + policy(RANDOM.replace("web", FULL), "x", "bank").replace(
        "metadata: {name: x, namespace: bank}",
        "metadata:\n  name: x\n  namespace: bank  # <- destination-rule-not-followed",
    ),
    "a wider rule of the root namespace goes last": SHOP
    + policy("host: '*.local'\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}", "all", "istio-system")
    + policy(RANDOM),
    "a wider rule that says no more": SHOP
    + policy("host: '*.local'\ntrafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}", "all")
    + policy(RANDOM),
    # VirtualServices
    "IST0109: not where each is for its own namespace": SHOP
    + BANK
    + rules(f"hosts: [{FULL}]\nexportTo: [.]\n{PLAIN}", "a")
    + rules(f"hosts: ['*.shop.svc.cluster.local']\nexportTo: [bank]\n{PLAIN}", "b", "bank"),
    "IST0109: not with itself": SHOP
    + gateway("web.example")
    + rules(f"hosts: [web, web.example]\ngateways: [mesh, edge/edge]\n{PLAIN}"),
    "IST0109: not between a Gateway's and the mesh's": SHOP
    + gateway("*.local")
    + rules(f"hosts: ['*.shop.svc.cluster.local']\ngateways: [edge/edge]\n{PLAIN}", "a")
    + rules(f"hosts: [web]\n{PLAIN}", "b"),
    "IST0109: in the mesh, a wildcard": SHOP
    + rules(f"hosts: ['*.shop.svc.cluster.local']\n{PLAIN}", "a")
    + rules(f"hosts: [web]  # <- virtual-services-overlap\n{PLAIN}", "b"),
    "IST0109: among wildcards": SHOP
    + gateway("*.example")
    + rules(f"hosts: ['*.example']\ngateways: [edge/edge]\n{PLAIN}", "a")
    + rules(f"hosts: ['*.shop.example']  # <- virtual-services-overlap\ngateways: [edge/edge]\n{PLAIN}", "b"),
    "several for one host at a Gateway are put together": SHOP
    + gateway("web.example")
    + rules(
        "hosts: [web.example]\ngateways: [edge/edge]\n"
        "http: [{match: [{uri: {prefix: /a/}}], route: [{destination: {host: web}}]}]",
        "a",
    )
    + rules(f"hosts: [web.example]\ngateways: [edge/edge]\n{PLAIN}", "b"),
    "a Gateway's rules for a service that has rules in the mesh": SHOP
    + gateway("*.local")
    + rules(f"hosts: [web]\ngateways: [edge/edge]\n{PLAIN}", "a")
    + rules(f"hosts: [web]\n{PLAIN}", "b"),
    "a Gateway's rules for a host outside the mesh": entry()
    + gateway("partner.example")
    + rules(
        "hosts: [partner.example]\ngateways: [edge/edge]\nhttp: [{route: [{destination: {host: partner.example}}]}]"
    ),
    "rules for sidecars that do not divide are not missed at a Gateway": SHOP
    + gateway("web.example")
    + rules(f"hosts: [web]\n{PLAIN}", "a")
    + rules(f"hosts: [web.example]\ngateways: [edge/edge]\n{PLAIN}", "b"),
    "rules for sidecars that divide by path alone": SHOP
    + rules(
        "hosts: [web]\nhttp: [{match: [{uri: {prefix: /a/}}], timeout: 1s, route: [{destination: {host: web}}]}, "
        "{route: [{destination: {host: web}}]}]",
        "a",
    )
    + gateway("web.example")
    + rules(
        """
hosts: [web.example]
gateways: [edge/edge]
http:
- route:
  - destination:
      host: web  # <- mesh-rules-passed-by
""",
        "b",
    ),
    "rules that name the mesh alone": SHOP
    + policy(SUBSETS)
    + SPLIT.replace("hosts: [web]", "hosts: [web]\n  gateways: [mesh]")
    + gateway("web.example")
    + rules(
        """
hosts: [web.example]
gateways: [edge/edge]
http:
- route:
  - destination:
      host: web  # <- mesh-rules-passed-by
""",
        "b",
    ),
    "copies and connections from a Gateway": SHOP
    + policy(SUBSETS)
    + SPLIT
    + gateway("web.example", 5432, "TCP")
    + rules(
        "hosts: [web.example]\ngateways: [edge/edge]\ntcp: [{route: [{destination: {host: web, port: {number: 80}}}]}]",
        "b",
    )
    + gateway("api.example")
    .removeprefix(pod("edge-1", "edge", "10.9.0.1", "edge"))
    .replace("name: edge,", "name: http,")
    + rules(
        "hosts: [api.example]\ngateways: [edge/http]\n"
        "http: [{route: [{destination: {host: web, subset: v1}}], mirror: {host: web}}]",
        "c",
    ),
    "a delegate that nobody leads to passes nothing by": SHOP
    + policy(SUBSETS)
    + SPLIT
    + istio("VirtualService", PLAIN, "onward").replace("spec:\n", "spec:  # <- hosts-missing\n"),
    "one wildcard twice at a Gateway": SHOP
    + gateway("*.example")
    + rules(f"hosts: ['*.example']\ngateways: [edge/edge]\n{PLAIN}", "a")
    + rules(f"hosts: ['*.example']\ngateways: [edge/edge]\n{PLAIN}", "b"),
    "two hops through a gateway for egress are not passed by": entry()
    + SHOP
    + gateway("partner.example")
    + rules(
        """
hosts: [partner.example]
http:
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web.shop.svc.cluster.local}}]
- route: [{destination: {host: partner.example}}]
""",
        "in",
    )
    + rules(
        "hosts: [partner.example]\ngateways: [edge/edge]\nhttp: [{route: [{destination: {host: partner.example}}]}]",
        "out",
    ),
    # services
    "a service that is exported to the rules' namespace": entry("exportTo: [., shop]")
    + SHOP
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: partner.example}}]}]"),
    "a service of its own namespace, and rules for everybody": entry("exportTo: [.]")
    + pod("egress-1", "egress", "10.8.4.1", "egress")
    + SHOP
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: partner.example}}]}]"),
    "a Gateway's proxies in another namespace see it or not": entry("exportTo: [shop]")
    + SHOP
    + gateway("web.example")
    + rules("""
hosts: [web.example]
gateways: [edge/edge]
http:
- route:
  - destination:
      host: partner.example  # <- destination-unseen
"""),
    "a delegate's destination": entry("exportTo: [.]")
    + SHOP
    + rules("hosts: [web]\nexportTo: [.]\nhttp: [{delegate: {name: onward}}]")
    + rules(
        """
http:
- route:
  - destination:
      host: partner.example  # <- destination-unseen
""",
        "onward",
    ),
    "nobody sees a ServiceEntry": entry("exportTo: ['~']  # <- exported-to-nobody"),
    "somebody may see it, of whom nothing is given": SHOP
    + rules(f"hosts: [web]\nexportTo: [ops]  # <- exported-to-nobody\n{PLAIN}"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else."""
    assert told(CASES[case]) == marked(CASES[case])


@pytest.mark.parametrize(
    ("export", "bank", "whom"),
    [
        ("[shop]", LeastRequest(), "nobody follows"),
        ("[., shop]", RandomChoice(), "clients outside `bank` do not follow"),
    ],
)
def test_the_service_s_own_rule_is_what_clients_elsewhere_follow(export: str, bank: Policy, whom: str) -> None:
    """As lint says: a rule of `bank` that is exported to `shop` changes nothing in `shop`."""
    text = SHOP + BANK + policy(f"{RANDOM.replace('web', FULL)}\nexportTo: {export}", "x", "bank")
    for namespace, expected in (("shop", LeastRequest()), ("bank", bank)):
        clusters = mr.loads(text).table(mr.Sidecar(namespace)).clusters
        assert [one.policy for one in clusters if one.service == FULL] == [expected]
    (finding,) = findings(text)
    assert finding.message.startswith(whom)


def test_a_service_that_sidecars_of_the_rules_do_not_see_has_no_cluster() -> None:
    """As lint says: 503 NC from the Gateway."""
    text = CASES["a Gateway's proxies in another namespace see it or not"]
    decision = mr.loads(text).router(mr.Gateway("edge/edge")).decide(mr.Request.of("GET", "http://web.example/"))
    assert decision.outcome == mr.Failed(503, "NC", "cluster_not_found")


def test_the_lines_to_add_for_the_mesh_are_told() -> None:
    """With the Gateways that are there."""
    text = SHOP + gateway("*.local") + rules(f"hosts: [web]\ngateways: [edge/edge]\n{PLAIN}")
    (finding,) = findings(text)
    assert finding.code == mr.LintCode.MESH_LEFT_OUT
    assert finding.help.splitlines()[-1] == "gateways: [mesh, edge/edge]"
