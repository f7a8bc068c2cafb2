"""Rules and matches that no request reaches, over what several objects make together."""

from __future__ import annotations

import pytest

import meshroute as mr
from meshroute.analysis.lint.viewpoints import places

ISTIO = "---\napiVersion: networking.istio.io/v1\n"
WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: http-b, port: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.1}
"""
EDGE = (
    ISTIO
    + """\
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {app: web}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
)
ROUTE = "route: [{destination: {host: web}}]"
REACHABILITY = ("rule-", "prefix-")


def virtual_service(name: str, http: str, hosts: str = "hosts: [web]", time: str = "") -> str:
    """One in namespace `shop`."""
    age = f", creationTimestamp: '2026-01-0{time}T00:00:00Z'" if time else ""
    return (
        ISTIO
        + f"kind: VirtualService\nmetadata: {{name: {name}, namespace: shop{age}}}\nspec:\n  {hosts}\n  http:\n{http}"
    )


def rules(*matches: str) -> str:
    """A rule for each; the empty one asks nothing."""
    return "".join(f"  - match: [{one}]\n    {ROUTE}\n" if one else f"  - {ROUTE}\n" for one in matches)


def said(text: str) -> list[tuple[str, str, str, list[str]]]:
    """What lint says of reachability: code, object, path, and what is related."""
    return [
        (
            str(one.code),
            one.subject.partition("/")[2],
            one.at.path.removeprefix("spec."),
            [at.path for at in one.related],
        )
        for one in mr.lint(mr.loads(text))
        if one.code.startswith(REACHABILITY)
    ]


FIRST = "spec.http[0].match[0]"

THREADS = {
    "27130: a port and a path behind the port": (
        rules("{port: 8080}", "{port: 8080, uri: {prefix: /api/}}"),
        [("rule-unreachable", "web", "http[1].match[0]", [FIRST])],
    ),
    "24707: a longer word behind a prefix of it": (
        rules("{uri: {prefix: /api}}", "{uri: {prefix: /apis}}", ""),
        [
            ("prefix-swallows", "web", "http[0].match[0].uri.prefix", []),
            ("rule-unreachable", "web", "http[1].match[0]", [FIRST]),
        ],
    ),
    "36156: a port as an alternative of its own": (
        rules("{port: 80}, {uri: {exact: /a}}", "{port: 80}, {uri: {exact: /b}}"),
        [("rule-unreachable", "web", "http[1].match[0]", [FIRST])],
    ),
    "36245: a blocked path before everything": (rules("{uri: {prefix: /blocked/}}", "{uri: {prefix: /}}"), []),
    "36729: the more specific prefix first": (rules("{uri: {prefix: /a/actuator/}}", "{uri: {prefix: /a/}}"), []),
    "31849: a method that the first one does not ask for": (
        rules("{uri: {prefix: /a/}, method: {exact: POST}}", "{uri: {prefix: /a/}}"),
        [],
    ),
}


@pytest.mark.parametrize("thread", THREADS)
def test_alarms_that_users_missed_or_had_for_nothing(thread: str) -> None:
    """Of istio/istio, by number."""
    http, expected = THREADS[thread]
    assert said(WEB + virtual_service("web", http)) == expected


def test_a_gateway_that_only_a_match_names() -> None:
    """It is told (#31916), be there such a Gateway or not; one that the VirtualService names too is right."""
    hosts = "hosts: [foo.bar]\n  gateways: [edge]"
    bad = virtual_service("web", rules("{gateways: [bad-gateway]}", ""), hosts)
    assert said(WEB + EDGE + bad) == [("rule-never-applies", "web", "http[0].match[0]", [])]
    assert said(WEB + EDGE + EDGE.replace("name: edge", "name: bad-gateway") + bad) == said(WEB + EDGE + bad)
    assert said(WEB + EDGE + virtual_service("web", rules("{gateways: [edge], port: 80}"), hosts)) == []


def test_at_a_gateway_one_virtual_service_hides_another() -> None:
    """They are merged there, the older one first; what takes everything goes last, wherever it stands."""
    hosts = "hosts: [web.example]\n  gateways: [edge]"
    old = virtual_service("old", rules("{uri: {prefix: /a/}}", ""), hosts, "1")
    young = virtual_service("young", rules("{uri: {prefix: /a/b/}}", "{uri: {prefix: /c/}}"), hosts, "2")
    assert said(WEB + EDGE + old + young) == [("rule-unreachable", "young", "http[0].match[0]", [FIRST])]
    (finding,) = (one for one in mr.lint(mr.loads(WEB + EDGE + old + young)) if one.code == "rule-unreachable")
    assert "`http[0].match[0]` of VirtualService shop/old takes everything" in finding.message


def test_in_the_mesh_it_is_the_only_one_that_counts() -> None:
    """The younger one is told as ignored, and nothing is said of its rules."""
    old = virtual_service("old", rules("{uri: {prefix: /a/}}"), time="1")
    young = virtual_service("young", rules("{uri: {prefix: /a/b/}}"), time="2")
    assert said(WEB + old + young) == []
    assert mr.Code.VIRTUAL_SERVICE_IGNORED in {one.code for one in mr.lint(mr.loads(WEB + old + young))}


def test_a_delegate_is_hidden_behind_the_rule_before_its_root() -> None:
    """With the conditions of both. Where another root leads to it too, only the first root's rule is of no use."""
    asked = "  - match: [{uri: {prefix: /a/}}]\n    "
    root = virtual_service("web", f"{asked}{ROUTE}\n{asked}delegate: {{name: below}}\n")
    below = virtual_service("below", rules("{headers: {x: {exact: a}}}"), "exportTo: ['*']")
    useless = ("rule-unreachable", "web", "http[1].match[0]", [FIRST])
    assert said(WEB + root + below) == [useless, ("rule-unreachable", "below", "http[0].match[0]", [FIRST])]
    other = "  - match: [{uri: {prefix: /b/}}]\n    delegate: {name: below}\n"
    edge = virtual_service("edge", other, "hosts: [b.example]\n  gateways: [edge]")
    assert said(WEB + EDGE + root + below + edge) == [useless]


def test_labels_at_a_gateway_whose_pods_nobody_gave_are_not_decided() -> None:
    """Its pods may have any labels."""
    edge = EDGE.replace("app: web", "app: edge")
    http = rules("{sourceLabels: {zone: a}}", "")
    found = said(WEB + edge + virtual_service("web", http, "hosts: [web.example]\n  gateways: [edge]"))
    assert found == [("rule-not-decided", "web", "http[0].match[0]", [])]


def test_namespaces_that_are_alike_are_looked_at_once() -> None:
    """Fifty namespaces, one view; one more for each that something names, and for labels that something asks for."""
    service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n%d}\nspec: {ports: [{port: 80}]}\n"
    many = WEB + "".join(service % number for number in range(50))

    def views(*matches: str) -> int:
        return len(list(places(mr.loads(many + virtual_service("web", rules(*matches))))))

    assert views("") == 1
    assert views("{sourceNamespace: n7}", "{sourceLabels: {a: b}}", "") == 4
    assert views("{authority: {exact: web}}") == 52
