"""What ports speak: rules of the other kind, ports that do not say, ServiceEntries that do not agree."""

from __future__ import annotations

import pytest

import meshroute as mr
from tests.unit.analysis.lint.marks import SHOP, findings, gateway, istio, marked, pod, rules, service, told

TO_WEB = "route: [{destination: {host: web}}]"
NAMELESS = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
  - {port: 80}  # <- port-sniffed
  - {port: 81, appProtocol: http, name: any}
  - {port: 82, name: grpc-any}
  - {port: 53, name: dns, protocol: UDP}
---
"""


def entries(first: str, second: str, export: str = "", mark: str = "") -> str:
    """Two ServiceEntries of one host, in two namespaces."""
    return "".join(
        istio(
            "ServiceEntry",
            f"""
hosts: [api.example]
resolution: STATIC
endpoints: [{{address: 192.0.2.7}}]
{export}
ports:
- number: 8080
  name: p
  protocol: {protocol}
""",
            name,
            "shop",
        )
        for name, protocol in (("a", first), ("b", second + mark))
    )


CASES = {
    "rules of both kinds for ports of both": service(ports="[{name: http, port: 80}, {name: tcp, port: 81}]")
    + pod()
    + rules(f"hosts: [web]\nhttp: [{{{TO_WEB}}}]\ntcp: [{{{TO_WEB}}}]"),
    "TCP rules for a port that is sniffed": NAMELESS + pod() + rules(f"hosts: [web]\ntcp: [{{{TO_WEB}}}]"),
    "TLS rules for a port of HTTPS": service(ports="[{name: https, port: 443}]")
    + pod()
    + rules(f"hosts: [web]\ntls: [{{match: [{{sniHosts: [web]}}], {TO_WEB}}}]"),
    "TLS rules for a port of TCP": service(ports="[{name: tcp, port: 443}]")
    + pod()
    + rules(f"hosts: [web]\ntls:  # <- rules-of-other-kind\n- {{match: [{{sniHosts: [web]}}], {TO_WEB}}}"),
    "HTTP rules for a Gateway that passes TLS through": SHOP
    + gateway("web.example", 443, "TLS", "  tls: {mode: PASSTHROUGH}")
    + rules(f"hosts: [web.example]\ngateways: [edge/edge]\nhttp:  # <- rules-of-other-kind\n- {TO_WEB}"),
    "HTTP rules for a Gateway that ends HTTPS": SHOP
    + gateway("web.example", 443, "HTTPS", "  tls: {mode: SIMPLE, credentialName: web}")
    + rules("hosts: [web.example]\ngateways: [edge/edge]\nhttp: [{route: [{destination: {host: web}}]}]"),
    "TLS rules for a Gateway that ends HTTPS": SHOP
    + gateway("web.example", 443, "HTTPS", "  tls: {mode: SIMPLE, credentialName: web}")
    + rules(
        "hosts: [web.example]\ngateways: [edge/edge]\ntls:  # <- rules-of-other-kind\n"
        f"- {{match: [{{sniHosts: [web.example]}}], {TO_WEB}}}"
    ),
    "TCP rules for a Gateway of TCP, and HTTP ones that it does not read": SHOP
    + gateway("web.example", 5432, "TCP")
    + rules(
        "hosts: [web.example]\ngateways: [edge/edge]\n"
        "tcp: [{route: [{destination: {host: web, port: {number: 80}}}]}]\n"
        f"http:  # <- rules-of-other-kind\n- {TO_WEB}"
    ),
    "TCP rules for a Gateway of HTTP": SHOP
    + gateway("web.example")
    + rules(f"hosts: [web.example]\ngateways: [edge/edge]\ntcp:  # <- rules-of-other-kind\n- {TO_WEB}"),
    "rules for a service without ports": service(ports="[]") + pod() + rules(f"hosts: [web]\ntcp: [{{{TO_WEB}}}]"),
    "rules for a Gateway that is not given": SHOP
    + rules(f"hosts: [web.example]\ngateways: [edge]  # <- gateway-unknown\ntcp: [{{{TO_WEB}}}]"),
    "rules for hosts of which one is not given": SHOP + rules(f"hosts: [web, api.example]\ntcp: [{{{TO_WEB}}}]"),
    "names of ports that say nothing, where rules are about the service": NAMELESS
    + pod()
    + rules("hosts: [web]\nhttp: [{match: [{port: 80}], timeout: 1s, route: [{destination: {host: web}}]}]"),
    "names of ports that say nothing, where no rule is": NAMELESS.replace("  # <- port-sniffed", "") + pod(),
    "an ExternalName Service of HTTP": service().replace(
        "selector: {app: web}", "type: ExternalName, externalName: a.example"
    ),
    "ServiceEntries that agree in other words": entries("HTTP", "http2"),
    "ServiceEntries that do not": entries("HTTP", "TLS", mark="  # <- entry-protocols-conflict"),
    "ServiceEntries that do not, and no client sees both": entries("HTTP", "TLS", "exportTo: [.]").replace(
        "name: b, namespace: shop", "name: b, namespace: bank"
    ),
    "TCP with addresses": istio(
        "ServiceEntry",
        """
hosts: [db.example]
addresses: [192.0.2.7]
resolution: STATIC
endpoints: [{address: 192.0.2.7}]
ports: [{number: 5432, name: tcp, protocol: TCP}]
""",
    ),
    "TLS says the name itself": istio(
        "ServiceEntry",
        """
hosts: [db.example]
resolution: STATIC
endpoints: [{address: 192.0.2.7}]
ports: [{number: 5432, name: tls, protocol: TLS}]
""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_found(case: str) -> None:
    """Line by line, and nothing else; that the second of two entries is not the first one's namespace is no matter."""
    found = [line for line in told(CASES[case]) if not line.endswith("service-ignored")]
    assert found == marked(CASES[case])


def test_nobody_reads_rules_of_the_other_kind() -> None:
    """As lint says: what is split by `tcp` rules goes to the service as it is."""
    text = SHOP + rules(f"hosts: [web]\ntcp: [{{{TO_WEB}}}]")
    assert mr.loads(text).router(mr.Sidecar("shop")).decide(mr.Request.of("GET", "http://web/")).rule is None


def test_connections_for_nobody_else_go_to_an_entry_without_addresses() -> None:
    """As lint says; and where it has addresses, they do not."""
    text = istio(
        "ServiceEntry",
        """
hosts: [db.example]
resolution: STATIC
endpoints: [{address: 192.0.2.7}]
ports: [{number: 5432, name: tcp, protocol: TCP}]
""",
    )
    for more, cluster in (("", "outbound|5432||db.example"), ("addresses: [192.0.2.7]", "PassthroughCluster")):
        router = mr.loads(text.replace("  resolution", f"  {more}\n  resolution")).router(mr.Sidecar("shop"))
        assert router.connect(mr.Connection(5432, destination_ip="203.0.113.9")).cluster == cluster
    (finding,) = findings(text)
    assert (finding.code, finding.severity) == ("entry-addresses-missing", mr.Severity.NOTE)
