"""What users believe and file as bugs: each belief that concerns lint, with what lint says to it.

The numbers are threads of istio/istio. Beliefs about which rule takes a request have their tests with reachability.
"""

from __future__ import annotations

import meshroute as mr
from tests.unit.analysis.lint.marks import (
    SHOP,
    SPLIT,
    SUBSETS,
    findings,
    gateway,
    marked,
    pod,
    policy,
    rules,
    service,
    told,
)

WEB = "web.shop.svc.cluster.local"
TO_WEB = f"http: [{{route: [{{destination: {{host: {WEB}}}}}]}}]"
DEFINED = SHOP + policy(SUBSETS)


def check(text: str) -> None:
    """What is marked is what is found."""
    assert told(text) == marked(text)


def test_two_rules_with_weights_split_requests() -> None:
    """The first takes all (#39188): loading says so with the one rule that is meant, and lint where matches are the
    same."""
    text = DEFINED + rules("""
hosts: [web]
http:
- route:
  - destination: {host: web, subset: v1}
    weight: 99  # <- weight-ignored
- route:
  - destination: {host: web, subset: v2}
    weight: 1  # <- weight-ignored
""")
    check(text)
    (unreachable,) = (one for one in findings(text) if one.code == mr.Code.RULE_UNREACHABLE)
    assert "weight: 99" in unreachable.help


def test_list_items_under_match_are_joined() -> None:
    """They are alternatives (#7727, #52007, #15114, #36156)."""
    check(
        SHOP
        + rules("""
hosts: [web]
http:
- match:
  - headers: {x-test: {exact: "1"}}
  - port: 80  # <- match-takes-everything
  directResponse: {status: 418}
""")
    )


def test_several_virtual_services_of_a_host_are_merged_everywhere() -> None:
    """At Gateways only (#7674, #22997, #45332)."""
    mesh = (
        SHOP
        + rules(f"hosts: [web]\n{TO_WEB}", "a")
        + rules(f"hosts: [web]  # <- virtual-service-ignored\n{TO_WEB}", "b")
    )
    check(mesh)
    bound = f"hosts: [web.example]\ngateways: [edge/edge]\n{TO_WEB}"
    check(SHOP + gateway("web.example") + rules(bound, "a") + rules(bound, "b"))


def test_an_exact_host_inherits_the_wildcard_s_rules() -> None:
    """Each has a virtual host of its own (#55475, #58396, #26715)."""
    check(
        SHOP
        + gateway("*.example")
        + rules(f"hosts: ['*.example']\ngateways: [edge/edge]\n{TO_WEB}", "a")
        + rules(f"hosts: [web.example]  # <- virtual-services-overlap\ngateways: [edge/edge]\n{TO_WEB}", "b")
    )


def test_a_uri_has_its_query() -> None:
    """It has none when it is compared (#13121, #14983)."""
    check(
        SHOP
        + rules("""
hosts: [web]
http:
- match:
  - uri:
      exact: /a?b=c  # <- uri-with-query
  directResponse: {status: 418}
- route: [{destination: {host: web}}]
""")
    )


def test_look_ahead_works() -> None:
    """RE2 has none (#21717, #23416)."""
    check(
        SHOP
        + rules("""
hosts: [web]
http:
- match:
  - uri:
      regex: (?!/api).*  # <- regex-invalid
  route: [{destination: {host: web}}]
""")
    )


def test_uri_is_a_pseudo_header() -> None:
    """`:uri` is refused (#50169, #54952); `uri` is a header of that name."""
    text = SHOP + rules("""
hosts: [web]
http:
- match:
  - headers:
      ":uri": {exact: /}  # <- field-value
  route: [{destination: {host: web}}]
""")
    check(text)
    check(text.replace('":uri": {exact: /}  # <- field-value', "uri: {exact: /}  # <- header-named-as-field"))


def test_an_empty_prefix_asks_for_presence() -> None:
    """It is refused; `{}` asks for presence (#35489, #48534)."""
    text = SHOP + rules("""
hosts: [web]
http:
- match:
  - headers:
      x-test: {prefix: ""}  # <- field-value
  route: [{destination: {host: web}}]
- route: [{destination: {host: web}}]
""")
    check(text)
    check(text.replace('{prefix: ""}  # <- field-value', "{}"))


def test_a_rewrite_strips_the_segment_cleanly() -> None:
    """Two slashes remain (#26828, #8076, #56147)."""
    check(
        SHOP
        + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /x}}]
  rewrite:
    uri: /  # <- rewrite-slashes
  route: [{destination: {host: web}}]
""")
    )


def test_consistent_hashing_keeps_a_user_on_one_subset_of_a_canary() -> None:
    """The subset is drawn first, at random (#9764, #33343, #17181, #19630, #1703)."""
    hashed = policy(SUBSETS + "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}")
    check(SHOP + hashed + SPLIT.replace("- route:", "- route:  # <- hash-behind-weights"))


def test_consistent_hashing_works_for_any_tcp() -> None:
    """Only by the client's address (#33558, #35014, #17557)."""
    check(
        service("db", "[{name: mongo, port: 27017}]")
        + pod("db-1", "db")
        + policy("""
host: db
trafficPolicy:
  loadBalancer:
    consistentHash:  # <- hash-without-effect
      httpHeaderName: x-user
""")
    )


def test_failover_needs_only_its_setting() -> None:
    """It needs outlier detection too (#48084, #12961, #14099); without it loading says that it has no effect."""
    check(
        SHOP
        + policy("""
host: web
trafficPolicy:
  loadBalancer:
    localityLbSetting:
      failoverPriority:  # <- setting-ignored
      - topology.kubernetes.io/region
""")
    )


def test_short_names_follow_the_service_s_namespace() -> None:
    """They are the rule's (#11606, #15425, #19384); which one was meant is told."""
    text = (
        SHOP
        + service("pay", namespace="bank")
        + pod("pay-1", "pay", "10.8.3.1", "bank")
        + rules("""
hosts: [web]
http:
- route:
  - destination:
      host: pay  # <- host-unknown
""")
    )
    check(text)
    (finding,) = findings(text)
    assert finding.help == "did you mean `pay.bank.svc.cluster.local`?"


def test_a_destination_rule_applies_wherever_it_is() -> None:
    """In the client's namespace, the service's and the root's (#14817, #15556, #42570)."""
    check(
        SHOP
        + pod("ops-1", "ops", "10.8.4.1", "ops")
        + policy(
            f"host: {WEB}\nexportTo: ['*']  # <- destination-rule-not-followed\n"
            "trafficPolicy: {loadBalancer: {simple: RANDOM}}",
            "web",
            "ops",
        )
    )


def test_two_destination_rules_for_a_host_are_merged_deeply() -> None:
    """The first policy counts alone (#33147, #60169)."""
    port = (
        "host: web\ntrafficPolicy:{}\n  portLevelSettings: [{{port: {{number: {}}}, loadBalancer: {{simple: RANDOM}}}}]"
    )
    check(
        service(ports="[{name: http, port: 80}, {name: http-admin, port: 81}]")
        + pod()
        + policy(port.format("", 80), "a")
        + policy(port.format("  # <- destination-rule-folded", 81), "b")
    )


def test_settings_of_a_port_inherit_the_rest() -> None:
    """They stand in its place (#39602, #19442)."""
    check(
        SHOP
        + policy("""
host: web
trafficPolicy:
  connectionPool: {tcp: {maxConnections: 9}}
  portLevelSettings:
  - port: {number: 80}  # <- port-settings-replace
    loadBalancer: {simple: RANDOM}
""")
    )


def test_a_port_s_consistent_hashing_needs_no_port() -> None:
    """The rule has to write it (#58708)."""
    check(
        SHOP
        + policy("""
host: web
trafficPolicy:
  portLevelSettings:
  - port: {number: 80}
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
""")
        + rules("""
hosts: [web]
http:
- route:
  - destination: {host: web}  # <- hash-port-missing
""")
    )


def test_a_subset_without_its_destination_rule_waits() -> None:
    """It is answered with 503 NC (#6335, #7627)."""
    check(
        SHOP
        + rules("""
hosts: [web]
http:
- route:
  - destination:
      host: web
      subset: v1  # <- subset-unknown
""")
    )


def test_rules_of_a_gateway_govern_calls_in_the_mesh() -> None:
    """Only with `mesh` among their gateways (#7369, #15707, #19344, #38804)."""
    bound = f"hosts: [web]\ngateways: [edge/edge]  # <- mesh-left-out\n{TO_WEB}"
    check(SHOP + gateway("*.local") + rules(bound))


def test_a_gateway_that_is_not_there_is_refused() -> None:
    """It is accepted, and the rules apply to nobody (#16883)."""
    text = SHOP + rules(f"hosts: [web.example]\ngateways: [edge]  # <- gateway-unknown\n{TO_WEB}")
    check(text)
    assert {one.severity for one in findings(text)} == {mr.Severity.WARNING}


def test_a_delegate_s_pattern_goes_with_any_prefix() -> None:
    """Patterns go with nothing, and the rule is left out (#58543, #33727)."""
    text = (
        SHOP
        + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /api/}}]
  delegate: {name: api}
""")
        + rules(
            """
http:
- match:
  - uri: {regex: "/api/v[0-9]+"}
  directResponse: {status: 418}
""",
            "api",
        )
    )
    assert [one.code for one in findings(text)] == [mr.Code.RULE_DROPPED]


def test_a_typo_is_caught_by_everybody() -> None:
    """A client that is not strict loses the field (#17438); here it is an error, or else a warning."""
    text = rules("hosts: [a.example]\nhtttp: []\nhttp: [{directResponse: {status: 418}}]")
    assert [one.code for one in findings(text)] == [mr.Code.FIELD_UNKNOWN]


def test_a_catch_all_behind_a_blocked_path_hides_it() -> None:
    """It stands behind it, and hides nothing (#36245): Istio's own warning there was a false one."""
    text = DEFINED.replace("- {name: v2, labels: {version: v2}}", "") + rules("""
hosts: [web]
http:
- name: blocked
  match: [{uri: {prefix: /blocked}}]
  fault: {abort: {httpStatus: 400, percentage: {value: 100}}}
  route: [{destination: {host: web, subset: v1}}]
- name: main
  match: [{uri: {prefix: /}}]
  route: [{destination: {host: web, subset: v1}}]
""")
    assert [one for one in findings(text) if one.severity is not mr.Severity.NOTE] == []
