"""Consistent hashing: where nothing is hashed, and where the key does not keep anybody."""

from __future__ import annotations

import pytest

import meshroute as mr
from tests.unit.analysis.lint.marks import SHOP, SPLIT, findings, istio, marked, pod, policy, rules, service, told

DB = pod("db-1", "db", "10.8.2.1")
BANK = pod("bank-1", "bank", "10.8.3.1", "bank")
HASHED = policy("""
host: web
trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
subsets:
- {name: v1, labels: {version: v1}}
- {name: v2, labels: {version: v2}}
""")


def hashes(host: str, key: str = "httpHeaderName: x-user", mark: str = "") -> str:
    """A DestinationRule that hashes, with the key in a line of its own."""
    return policy(f"host: {host}\ntrafficPolicy:\n  loadBalancer:\n    consistentHash:{mark}\n      {key}", "hash")


MARK = "  # <- hash-without-effect"
CASES = {
    "HTTP is hashed": SHOP + hashes("web"),
    "no key": SHOP
    + policy("host: web\ntrafficPolicy:\n  loadBalancer:\n    consistentHash: {}  # <- hash-without-effect"),
    "a ring and no key": SHOP + hashes("web", "ringHash: {minimumRingSize: 64}", MARK),
    "a cookie and a parameter are keys": SHOP
    + hashes("web", "httpCookie: {name: u}")
    + service("api")
    + pod("api-1", "api", "10.8.4.1")
    + hashes("api", "httpQueryParameterName: u").replace("name: hash,", "name: hash-api,"),
    "an address is a key of connections": service("db", "[{name: tcp, port: 5432}]")
    + DB
    + hashes("db", "useSourceIp: true"),
    "a cookie is not": service("db", "[{name: tcp, port: 5432}]") + DB + hashes("db", "httpCookie: {name: u}", MARK),
    "nor where TLS is passed through": service("db", "[{name: https, port: 443}]") + DB + hashes("db", mark=MARK),
    "HTTP beside TCP": service("db", "[{name: tcp, port: 5432}, {name: http, port: 80}]") + DB + hashes("db"),
    "a port that is sniffed": service("db", "[{name: db, port: 5432}]") + DB + hashes("db"),
    "only of the port that it is for": service("db", "[{name: tcp, port: 5432}, {name: http, port: 80}]")
    + DB
    + policy(
        """
host: db
trafficPolicy:
  portLevelSettings:
  - port: {number: 5432}
    loadBalancer:
      consistentHash:  # <- hash-without-effect
        httpHeaderName: x-user
  - port: {number: 80}
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
""",
        "db",
    ),
    "a host that is not given is told of by loading": policy(
        "host: nobody  # <- host-unknown\ntrafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}"
    ),
    "resolution NONE": istio(
        "ServiceEntry", "hosts: [a.example]\nresolution: NONE\nports: [{number: 80, name: http, protocol: HTTP}]"
    )
    + hashes("a.example", mark=MARK),
    "weights of which one is 0": SHOP
    + HASHED
    + SPLIT.replace("weight: 90", "weight: 100").replace("weight: 10}", "weight: 0}"),
    "weights without hashing": SHOP
    + HASHED.replace("consistentHash: {httpHeaderName: x-user}", "simple: RANDOM")
    + SPLIT,
    "weights, and only one of the destinations hashes": SHOP
    + policy("""
host: web
subsets:
- {name: v1, labels: {version: v1}}
- name: v2
  labels: {version: v2}
  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
""")
    + SPLIT.replace("- route:", "- route:  # <- hash-behind-weights"),
    "a port's hashing, and the port": SHOP
    + policy("""
host: web
trafficPolicy:
  portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {httpHeaderName: x-user}}}]
""")
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: web, port: {number: 80}}}]}]"),
    "a port's hashing, and no rules": SHOP
    + policy("""
host: web
trafficPolicy:
  portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {httpHeaderName: x-user}}}]
"""),
    "a port's hashing under one for all": SHOP
    + policy("""
host: web
trafficPolicy:
  loadBalancer: {consistentHash: {httpHeaderName: x-user}}
  portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {httpHeaderName: x-session}}}]
""")
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: web}}]}]"),
    "a delegate's split": SHOP
    + HASHED
    + rules("hosts: [web]\nhttp: [{delegate: {name: onward}}]")
    + rules(
        """
http:
- route:  # <- hash-behind-weights
  - {destination: {host: web, subset: v1}, weight: 90}
  - {destination: {host: web, subset: v2}, weight: 10}
""",
        "onward",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else; but for a port that is sniffed, which has a note of its own."""
    found = [line for line in told(CASES[case]) if not line.endswith("port-sniffed")]
    assert found == marked(CASES[case])


def test_proxies_of_gateways_hash_to_headless_services() -> None:
    """So that it is only a note."""
    text = service(more=", clusterIP: None") + pod() + hashes("web", mark=MARK)
    (finding,) = findings(text)
    assert (told(text), finding.severity) == (marked(text), mr.Severity.NOTE)


def test_commands_of_redis_have_keys_where_they_are_read() -> None:
    """The operator says whether."""
    text = service("db", "[{name: redis, port: 6379}]") + DB + hashes("db", mark=MARK)
    assert told(text) == marked(text)
    assert told(text, mr.MeshConfig(redis_filter=True)) == []


def test_the_place_of_the_policy_is_told() -> None:
    """Beside the rule that draws."""
    (finding,) = findings(SHOP + HASHED + SPLIT)
    assert finding.code == mr.LintCode.HASH_BEHIND_WEIGHTS
    assert [one.path for one in finding.related] == ["spec.trafficPolicy.loadBalancer.consistentHash"]
    assert finding.help.splitlines()[-1] == "  route: [{destination: {host: web, subset: v1}}]"


def test_a_client_s_own_rule_is_what_counts() -> None:
    """Rules in `bank` send as clients in `bank` see it: they follow a DestinationRule of their own, which does not
    hash."""
    split = SPLIT.replace("namespace: shop", "namespace: bank").replace("host: web", "host: web.shop.svc.cluster.local")
    split = split.replace("hosts: [web]", "hosts: [web.shop.svc.cluster.local]")
    own = HASHED.replace("namespace: shop", "namespace: bank").replace("host: web", "host: web.shop.svc.cluster.local")
    plain = own.replace("consistentHash: {httpHeaderName: x-user}", "simple: RANDOM")
    assert [one.code for one in findings(SHOP + BANK + own + split)] == ["hash-behind-weights"]
    assert [one.code for one in findings(SHOP + BANK + plain + split)] == []
