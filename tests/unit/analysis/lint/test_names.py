"""Names: hosts, headers, paths and ports that mean something else, and those beside them that are right."""

from __future__ import annotations

import pytest

import meshroute as mr
from tests.unit.analysis.lint.marks import ISTIO, SHOP, findings, gateway, marked, pod, rules, service, told

CASES = {
    "a half-qualified host is said once for each": SHOP
    + rules("""
hosts:
- web.shop.svc  # <- host-half-qualified
- api.shop  # <- host-half-qualified
http: [{route: [{destination: {host: web}}]}]
""")
    + service("api")
    + pod("api-1", "api", "10.8.2.1"),
    "a half-qualified host that a Gateway serves is a name that clients say": SHOP
    + gateway("web.shop")
    + rules("""
hosts: [web.shop]
gateways: [edge/edge]
http: [{route: [{destination: {host: web}}]}]
"""),
    "a half-qualified host that a ServiceEntry has is that one": SHOP
    + ISTIO
    + """
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec: {hosts: [web.shop], resolution: STATIC, endpoints: [{address: 192.0.2.7}],
  ports: [{number: 80, name: http, protocol: HTTP}]}
---
"""
    + rules("""
hosts: [web.shop]
http: [{route: [{destination: {host: web.shop}}]}]
"""),
    "a half-qualified destination is told by loading, with the whole name": SHOP
    + rules("""
hosts: [web]
http:
- route:
  - destination:
      host: web.shop  # <- host-unknown
"""),
    "a short name is one of the rule's namespace": SHOP
    + rules(
        """
hosts:
- web  # <- host-unknown
http:
- route:
  - destination:
      host: web  # <- host-unknown
""",
        namespace="bank",
    ),
    "a host that nobody registered, beside one that somebody did": SHOP
    + rules("""
hosts: [web, web.example]
http: [{route: [{destination: {host: web}}]}]
"""),
    "a host that nobody registered, for a Gateway too": SHOP
    + gateway("web.example")
    + rules("""
hosts: [web.example]
gateways: [mesh, edge/edge]
http: [{route: [{destination: {host: web}}]}]
"""),
    "a host that nobody registered, under a wildcard": SHOP
    + rules("""
hosts: ["*.example"]
http: [{route: [{destination: {host: web}}]}]
"""),
    "a header is a header by any other name, and `host` is the authority": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - headers: {host: {exact: web}, Host: {prefix: web}, x-uri: {exact: a}, ":authority": {exact: web}}
    withoutHeaders:
      URI: {exact: /}  # <- header-named-as-field
  route: [{destination: {host: web}}]
- route: [{destination: {host: web}}]
"""),
    "a query in a prefix, and one that a pattern may have": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - uri:
      prefix: /search?  # <- uri-with-query
  - uri: {regex: "/find(\\\\?.*)?"}
  directResponse: {status: 418}
- route: [{destination: {host: web}}]
"""),
    "an authority on the usual port": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - authority: {exact: web}
  - authority:
      exact: web:80  # <- authority-port
  - authority: {exact: "web:8080"}
  - authority: {prefix: web}
  - authority:
      exact: web  # <- authority-port
    port: 8080
  directResponse: {status: 418}
- route: [{destination: {host: web}}]
"""),
    "an authority as a header": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - headers:
      host:
        exact: web:80  # <- authority-port
  directResponse: {status: 418}
- route: [{destination: {host: web}}]
"""),
    "an authority at a Gateway, by its own port": SHOP
    + gateway("web.example", port=8080)
    + rules("""
hosts: [web.example]
gateways: [edge/edge]
http:
- match:
  - authority:
      exact: web.example  # <- authority-port
  directResponse: {status: 418}
- route: [{destination: {host: web}}]
"""),
    "an address is a host": SHOP + rules("hosts: [192.0.2.1]\nhttp: [{route: [{destination: {host: web}}]}]"),
    "alternatives that ask for parameters and what is not there": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - uri: {prefix: /admin/}
  - queryParams: {a: {exact: b}}
  - withoutHeaders: {x-user: {}}
  - scheme: {exact: https}
  - authority: {prefix: web}
  - method: {exact: POST}
  directResponse: {status: 403}
- route: [{destination: {host: web}}]
"""),
    "alternatives on different ports": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - {uri: {prefix: /admin/}, port: 80}
  - port: 8080
  directResponse: {status: 403}
- match: [{port: 81}]
  directResponse: {status: 404}
- route: [{destination: {host: web}}]
"""),
    "an alternative by labels of the client": SHOP
    + rules("""
hosts: [web]
http:
- match:
  - uri: {prefix: /admin/}
  - sourceLabels: {app: web}  # <- match-takes-everything
  directResponse: {status: 403}
- route: [{destination: {host: web}}]
"""),
    "slashes that go together": SHOP
    + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a}}]
  rewrite: {uri: /b}
  route: [{destination: {host: web}}]
- match: [{uri: {prefix: /c/}}, {uri: {exact: /c}}]
  rewrite: {uri: /}
  route: [{destination: {host: web}}]
- match: [{uri: {exact: /d}}, {uri: {regex: "/e.*"}}]
  rewrite: {uri: /}
  route: [{destination: {host: web}}]
- rewrite: {authority: web.example}
  route: [{destination: {host: web}}]
"""),
    "slashes that do not, also of a redirect": SHOP
    + rules("""
hosts: [web]
http:
- match: [{uri: {prefix: /a/}}]
  rewrite:
    uri: /b  # <- rewrite-slashes
  route: [{destination: {host: web}}]
- match: [{uri: {prefix: /c}}]
  redirect:
    prefixRewrite: /  # <- rewrite-slashes
- route: [{destination: {host: web}}]
"""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else."""
    assert told(CASES[case]) == marked(CASES[case])


TWO = "[{name: http, port: 80}, {name: http-admin, port: 9090}]"
PORTS = {
    "IST0112 is no matter where every port leads to itself": service(ports=TWO)
    + pod()
    + rules("""
hosts: [web]
http: [{route: [{destination: {host: web}}]}]
"""),
    "nor at a Gateway on a port that the service has": service(ports=TWO)
    + pod()
    + gateway("web.example")
    + rules("""
hosts: [web.example]
gateways: [edge/edge]
http: [{route: [{destination: {host: web}}]}]
"""),
    "nor at a Gateway to a service with one port": service(ports="[{name: http, port: 8080}]")
    + pod()
    + gateway("web.example")
    + rules("""
hosts: [web.example]
gateways: [edge/edge]
http: [{route: [{destination: {host: web}}]}]
"""),
    "but a sidecar means the listener's port of a service with one port too": SHOP
    + service("api", "[{name: http, port: 8080}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- route:
  - destination:
      host: api  # <- destination-port-missing
"""),
    "also for copies and connections": SHOP
    + service("db", "[{name: tcp, port: 5432}]")
    + pod("db-1", "db", "10.8.2.1")
    + service("new-db", "[{name: tcp, port: 5433}]")
    + pod("new-db-1", "new-db", "10.8.2.2")
    + rules("""
hosts: [web]
http:
- route: [{destination: {host: web}}]
  mirrors:
  - destination:
      host: db  # <- destination-port-missing
""")
    + rules(
        """
hosts: [db]
tcp:
- route:
  - destination:
      host: new-db  # <- destination-port-missing
""",
        "db",
    ),
    "not of a rule that does not hold on the port": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 80, uri: {prefix: /api/}}]
  route: [{destination: {host: api}}]
- route: [{destination: {host: web}}]
"""),
    "not of a rule behind one that takes everything on the port": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 9090, uri: {prefix: /}}]
  route: [{destination: {host: web}}]
- route: [{destination: {host: api}}]
"""),
    "but of one behind what takes something on the port": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 9090, uri: {prefix: /a/}}, {port: 9090, uri: {prefix: /}, method: {exact: GET}}]
  route: [{destination: {host: web}}]
- route:
  - destination:
      host: api  # <- destination-port-missing
"""),
    "an alias means the port of what it stands for": SHOP
    + service("api", "[{name: http, port: 8080}]")
    + pod("api-1", "api", "10.8.2.1")
    + service("old", "[]").replace(
        "selector: {app: old}", "type: ExternalName, externalName: api.shop.svc.cluster.local"
    )
    + rules("hosts: [web]\nhttp: [{route: [{destination: {host: old}}]}]"),
    "also of a second TLS rule": service(ports="[{name: tls, port: 443}]")
    + pod()
    + service("api", "[{name: tls, port: 8443}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web, web.example]
tls:
- match: [{sniHosts: [web]}]
  route: [{destination: {host: web}}]
- match: [{sniHosts: [web.example]}]
  route:
  - destination:
      host: api  # <- destination-port-missing
"""),
    "not of connections behind those that take everything": service("db", "[{name: tcp, port: 5432}]")
    + pod("db-1", "db", "10.8.2.1")
    + service("new-db", "[{name: tcp, port: 5433}]")
    + pod("new-db-1", "new-db", "10.8.2.2")
    + rules("hosts: [db]\ntcp: [{route: [{destination: {host: db}}]}, {route: [{destination: {host: new-db}}]}]", "db"),
    "not of connections that ask for a Gateway": service("db", "[{name: tcp, port: 5432}]")
    + pod("db-1", "db", "10.8.2.1")
    + service("new-db", "[{name: tcp, port: 5433}]")
    + pod("new-db-1", "new-db", "10.8.2.2")
    + gateway("db.example", 5433, "TCP")
    + rules(
        "hosts: [db, db.example]\ngateways: [mesh, edge/edge]\n"
        "tcp: [{match: [{gateways: [edge/edge]}], route: [{destination: {host: new-db}}]}]",
        "db",
    ),
    "not of connections that ask for a port": service("db", "[{name: tcp, port: 5432}, {name: tcp-b, port: 5433}]")
    + pod("db-1", "db", "10.8.2.1")
    + service("new-db", "[{name: tcp, port: 5433}]")
    + pod("new-db-1", "new-db", "10.8.2.2")
    + rules("hosts: [db]\ntcp: [{match: [{port: 5433}], route: [{destination: {host: new-db}}]}]", "db"),
    "but of one behind what clients with labels have": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 9090, sourceLabels: {app: web}}]
  route: [{destination: {host: web}}]
- route:
  - destination:
      host: api  # <- destination-port-missing
"""),
    "but of one behind what only some clients have": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 9090, sourceNamespace: bank}]
  route: [{destination: {host: web}}]
- route:
  - destination:
      host: api  # <- destination-port-missing
"""),
    "a delegate's rule holds on the ports of the rule that leads there": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + rules("""
hosts: [web]
http:
- match: [{port: 80, uri: {prefix: /api/}}]
  delegate: {name: api}
- route: [{destination: {host: web}}]
""")
    + rules("http: [{route: [{destination: {host: api}}]}]", "api"),
    "a rule for a Gateway alone is one of the Gateway's": service(ports=TWO)
    + pod()
    + gateway("web.example", 8080)
    + rules("""
hosts: [web, web.example]
gateways: [mesh, edge/edge]
http:
- match: [{gateways: [edge/edge]}]
  route:
  - destination:
      host: web  # <- destination-port-missing
- route: [{destination: {host: web}}]
"""),
    "a rule for a Gateway alone is not one of sidecars": service(ports=TWO)
    + pod()
    + service("api", "[{name: http, port: 80}]")
    + pod("api-1", "api", "10.8.2.1")
    + gateway("web.example")
    + rules("""
hosts: [web, web.example]
gateways: [mesh, edge/edge]
http:
- match: [{gateways: [edge/edge]}]
  route: [{destination: {host: api}}]
- route: [{destination: {host: web}}]
"""),
}


@pytest.mark.parametrize("case", PORTS)
def test_a_port_that_is_not_written_is_told_of_only_where_it_leads_nowhere(case: str) -> None:
    """Istio's analyzer tells of every service with several ports."""
    assert told(PORTS[case]) == marked(PORTS[case])


def test_the_port_that_is_told_is_the_port_that_fails() -> None:
    """503 NC from a sidecar, as the message says."""
    text = PORTS["but a sidecar means the listener's port of a service with one port too"]
    (finding,) = findings(text)
    assert "those on port 80 of `web.shop.svc.cluster.local` fail with 503 NC" in finding.message
    decision = mr.loads(text).router(mr.Sidecar("shop")).decide(mr.Request.of("GET", "http://web/"))
    assert decision.outcome == mr.Failed(503, "NC", "cluster_not_found")


@pytest.mark.parametrize(
    ("prefix", "rewrite", "message", "mended"),
    [
        ("/a", "/", "`/a/x` becomes `//x`", ["match:", "- uri: {prefix: /a/}", "rewrite: {uri: /}"]),
        ("/a/", "/b", "`/a/x` becomes `/bx`", ["match:", "- uri: {prefix: /a/}", "rewrite: {uri: /b/}"]),
    ],
)
def test_what_a_rewrite_makes_is_told_and_mended(prefix: str, rewrite: str, message: str, mended: list[str]) -> None:
    """The path that comes out is the one that a proxy makes."""
    text = SHOP + rules(f"""
hosts: [web]
http:
- match: [{{uri: {{prefix: {prefix}}}}}]
  rewrite: {{uri: {rewrite}}}
  route: [{{destination: {{host: web}}}}]
""")
    (finding,) = (one for one in findings(text) if one.code == mr.LintCode.REWRITE_SLASHES)
    assert message in finding.message
    assert finding.help.splitlines()[1:] == mended
    asked, made = message.split("`")[1], message.split("`")[3]
    decision = mr.loads(text).router(mr.Sidecar("shop")).decide(mr.Request.of("GET", f"http://web{asked}"))
    assert decision.request.path == made


def test_a_domain_of_the_operator_s_is_no_matter() -> None:
    """istio/istio#48326: names are completed with the mesh's own domain."""
    text = SHOP + rules("hosts: [web]\nhttp: [{route: [{destination: {host: web.shop.svc.corp.example}}]}]")
    assert told(text, mr.MeshConfig(domain="corp.example")) == []
    assert [line.split()[1] for line in told(text)] == ["host-unknown"]


def test_claims_are_told_of_where_no_request_authentication_is_given() -> None:
    """As a note, because one may be elsewhere; also of what must not be there."""
    text = (
        SHOP
        + gateway("web.example")
        + rules("""
hosts: [web.example]
gateways: [edge/edge]
http:
- match:
  - withoutHeaders:
      "@request.auth.claims[group]": {exact: staff}  # <- claims-not-checked
  directResponse: {status: 403}
- route: [{destination: {host: web}}]
""")
    )
    assert told(text) == marked(text)
    assert {one.severity for one in findings(text)} == {mr.Severity.NOTE}
