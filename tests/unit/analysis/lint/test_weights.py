"""Weights and subsets: what looks like a split and is none, and what nobody is sent to."""

from __future__ import annotations

import pytest

from tests.unit.analysis.lint.marks import (
    SHOP,
    SPLIT,
    SUBSETS,
    findings,
    gateway,
    istio,
    marked,
    policy,
    rules,
    service,
    told,
)

DEFINED = SHOP + policy(SUBSETS)
UNUSED = """
host: web
subsets:
- name: v1  # <- subset-unused
  labels: {version: v1}
- name: v2  # <- subset-unused
  labels: {version: v2}
"""

CASES = {
    "weights that sum to 100, with one that gets nothing": DEFINED
    + rules("""
hosts: [web]
http:
- route:
  - {destination: {host: web, subset: v1}, weight: 100}
  - {destination: {host: web, subset: v2}, weight: 0}
"""),
    "weights of connections": DEFINED
    + rules("""
hosts: [web]
http: [{route: [{destination: {host: web, subset: v1}}]}]
tcp:  # <- rules-of-other-kind
- route:  # <- weights-sum
  - {destination: {host: web, subset: v1}, weight: 1}
  - {destination: {host: web, subset: v2}, weight: 1}
"""),
    "the same destination with headers of its own": DEFINED
    + SPLIT.replace("weight: 90}", "weight: 80}").replace(
        "weight: 10}\n",
        "weight: 10}\n    - {destination: {host: web, subset: v1}, weight: 10,\n"
        "       headers: {request: {set: {x-canary: 'yes'}}}}\n",
    ),
    "the same destination by another name": DEFINED
    + rules("""
hosts: [web]
http:
- match: [{headers: {x-beta: {exact: "1"}}}]
  route: [{destination: {host: web, subset: v2}}]
- route:
  - {destination: {host: web, subset: v1}, weight: 50}
  - destination: {host: web.shop.svc.cluster.local, subset: v1}  # <- destination-twice
    weight: 50
"""),
    "rules that look like a split, and have other matches": DEFINED
    + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web, subset: v1}, weight: 100}]
- match: [{uri: {prefix: /b/}}]
  route: [{destination: {host: web, subset: v2}, weight: 100}]
- route: [{destination: {host: web, subset: v1}}]
"""),
    "the same matches twice, and no weights": DEFINED
    + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web, subset: v1}}]
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web, subset: v2}}]
- route: [{destination: {host: web, subset: v1}}]
"""),
    "a headless service is passed through in any case": SHOP.replace(
        "spec: {selector", "spec: {clusterIP: None, selector"
    )
    + policy(SUBSETS + "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}")
    + SPLIT,
    "subsets that nobody names": SHOP + policy(UNUSED),
    "subsets that copies and delegates go to": DEFINED
    + policy("host: '*.shop.svc.cluster.local'\nsubsets: [{name: v1, labels: {version: v1}}]", "wide")
    + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a/}}]
  delegate: {name: onward}
- route: [{destination: {host: web}}]
  mirrors: [{destination: {host: web, subset: v2}}]
""")
    + rules("http: [{route: [{destination: {host: web, subset: v1}}]}]", "onward"),
    "subsets that clients of another cluster ask for by name": SHOP
    + policy(SUBSETS)
    + gateway("*.local", 15443, "TLS", "  tls: {mode: AUTO_PASSTHROUGH}"),
    "subsets with a policy that chooses, under one that does not": SHOP
    + policy("""
host: web
trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}
subsets:
- name: v1
  labels: {version: v1}
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
- name: v2  # <- subset-passed-over
  labels: {version: v2}
""")
    + SPLIT,
    "subsets that nobody names, passed through": SHOP
    + policy(UNUSED + "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}"),
    "a subset that is named by an alias of its host": SHOP
    + service("old").replace("selector: {app: old}", "type: ExternalName, externalName: web.shop.svc.cluster.local")
    + policy("host: web\nsubsets: [{name: v1, labels: {version: v1}}]")
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: old, subset: v1}}]}]"),
    "a subset of everybody, passed through": SHOP
    + policy("""
host: web
trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}
subsets: [{name: all}]
""")
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: web, subset: all}}]}]"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else."""
    assert told(CASES[case]) == marked(CASES[case])


def test_shares_are_told_exactly() -> None:
    """As fractions of the sum."""
    text = DEFINED + SPLIT.replace("weight: 90", "weight: 2").replace("weight: 10", "weight: 1")
    (finding,) = findings(text)
    assert finding.message == "the weights sum to 3, not to 100: they are shares of that sum, here 2/3, 1/3"


def test_the_mended_lines_of_a_split_hold_what_was_written() -> None:
    """Each destination with its weight, ready to paste."""
    text = DEFINED + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web, subset: v1}, weight: 99}]
- match: [{uri: {prefix: /a/}}]
  route: [{destination: {host: web, subset: v2}, weight: 1}]
""")
    (finding,) = (one for one in findings(text) if one.code == "split-over-rules")
    assert finding.help.splitlines()[1:] == [
        "- route:",
        "  - {destination: {host: web, subset: v1}, weight: 99}",
        "  - {destination: {host: web, subset: v2}, weight: 1}",
    ]
    assert [one.path for one in finding.related] == ["spec.http[0]"]


def test_a_service_entry_s_subsets_are_used_by_its_host() -> None:
    """A destination names the host of a ServiceEntry as it is."""
    entry = istio(
        "ServiceEntry",
        """
hosts: [api.example]
resolution: STATIC
endpoints: [{address: 192.0.2.7, labels: {version: v1}}]
ports: [{number: 80, name: http, protocol: HTTP}]
""",
    )
    text = entry + policy("host: api.example\nsubsets: [{name: v1, labels: {version: v1}}]")
    assert [line.split()[1] for line in told(text)] == ["subset-unused"]
    assert (
        told(text + rules("hosts: [api.example]\nhttp: [{route: [{destination: {host: api.example, subset: v1}}]}]"))
        == []
    )
