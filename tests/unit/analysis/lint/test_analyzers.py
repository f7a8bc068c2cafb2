"""Each analyzer of `istioctl analyze` that concerns routing, with what is said here in its place.

Source    istio/istio: pkg/config/analysis/msg/messages.yaml, analyzers/analyzers_test.go (what it must not tell of)
Left out  what concerns injection, certificates and TLS towards upstreams (IST0102, IST0103, IST0128, IST0129), and
          several clusters (IST0170): docs/lint.md says so. IST0165, names that Istio gives to its own Gateways, is
          refused here as a name that no Gateway can have.
"""

from __future__ import annotations

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE
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
    service,
    told,
)

TO_WEB = "http: [{route: [{destination: {host: web}}]}]"
EDGE_POD = pod("edge-1", "edge", "10.9.0.1", "edge")


def check(text: str) -> None:
    """What is marked is what is found."""
    assert told(text) == marked(text)


def codes_of(analyzer: str) -> set[str]:
    """The codes that the catalogue has for an analyzer's."""
    return {str(code) for code, about in CATALOGUE.items() if analyzer in about.istio}


def test_ist0101_what_is_named_is_not_there() -> None:
    """A host, a port, a subset, a Gateway; also in copies."""
    text = SHOP + rules("""
hosts: [web]
gateways: [mesh, edge]  # <- gateway-unknown
http:
- match: [{uri: {prefix: /a/}}]
  route:
  - destination:
      host: nobody  # <- host-unknown
  mirror:
    host: nobody  # <- host-unknown
- route:
  - destination:
      host: web
      subset: v3  # <- subset-unknown
      port:
        number: 81  # <- port-unknown
""")
    check(text)
    assert {one.code for one in findings(text)} <= codes_of("IST0101")


def test_ist0101_not_of_a_service_entry_that_is_exported_here() -> None:
    """istio/istio#46597: it was said of rules that are exported to nobody else."""
    entry = "hosts: [a.example]\nexportTo: [shop]\nresolution: STATIC\nendpoints: [{address: 192.0.2.7}]\n"
    check(
        istio("ServiceEntry", entry + "ports: [{number: 80, name: http, protocol: HTTP}]", "a", "other")
        + rules("hosts: [a.example]\nexportTo: [.]\nhttp: [{route: [{destination: {host: a.example}}]}]")
    )


def test_ist0101_not_of_a_subset_that_a_rule_elsewhere_defines() -> None:
    """istio/istio#36237, and kiali's KIA1107: by its whole name, in another namespace, or by a wildcard."""
    sent = rules("hosts: [web]\n" + SPLIT[SPLIT.index("  http:") :].replace("---\n", "").replace("\n  ", "\n").strip())
    for host, namespace in (("web.shop.svc.cluster.local", "istio-system"), ("'*.shop.svc.cluster.local'", "shop")):
        check(SHOP + policy(SUBSETS.replace("host: web", f"host: {host}"), "web", namespace) + sent)


def test_ist0106_what_the_webhook_refuses() -> None:
    """Loading has every rule of it."""
    assert mr.Code.FIELD_VALUE in codes_of("IST0106")


def test_ist0109_two_in_the_mesh_for_one_host() -> None:
    """A warning for the one that is not followed, a note where a wildcard overlaps."""
    check(
        SHOP
        + rules(f"hosts: [web]\n{TO_WEB}", "a")
        + rules(f"hosts: [web]  # <- virtual-service-ignored\n{TO_WEB}", "b")
    )


def test_ist0109_not_where_each_is_for_its_own_namespace() -> None:
    """istio/istio#35493, #39634: `exportTo` names the own namespace, as a word or as `.`."""
    answer = "http: [{directResponse: {status: 418}}]"
    for export in ("[.]", "[{}]"):
        text = "".join(
            rules(f"hosts: ['*.example']\nexportTo: {export.format(name)}\n{answer}", "a", name)
            for name in ("shop", "bank")
        )
        check(text)


def test_ist0109_not_of_one_with_itself() -> None:
    """istio/istio#42561: two of its hosts do not stand in each other's way, nor one that is served by a Gateway too."""
    check(SHOP + gateway("web.example") + rules(f"hosts: [web, web.example]\ngateways: [mesh, edge/edge]\n{TO_WEB}"))


def test_ist0110_two_sidecars_for_one_pod() -> None:
    """Told of the younger."""
    one = "workloadSelector: {labels: {app: web}}"
    check(
        SHOP
        + istio("Sidecar", f"{one}\negress: [{{hosts: ['*/*']}}]", "a")
        + istio("Sidecar", f"{one}  # <- sidecars-conflict\negress: [{{hosts: ['*/*']}}]", "b")
    )


def test_ist0111_two_sidecars_for_all() -> None:
    """Told of the younger."""
    two = "".join(istio("Sidecar", "egress: [{hosts: ['*/*']}]", name) for name in ("a", "b"))
    assert [one.code for one in findings(SHOP + two)] == [mr.Code.SIDECAR_IGNORED]


def test_ist0112_a_destination_without_a_port() -> None:
    """Only where it leads nowhere: test_names.py has those that do not."""
    several = service(ports="[{name: http, port: 8080}, {name: http-b, port: 8081}]") + pod()
    check(
        several
        + gateway("web.example")
        + rules("""
hosts: [web.example]
gateways: [edge/edge]
http:
- route:
  - destination:
      host: web  # <- destination-port-missing
""")
    )


def test_ist0116_one_pod_behind_services_of_two_protocols() -> None:
    """A note."""
    two = service("a", "[{name: http, port: 9080}]") + service(
        "b", "\n  - {name: tcp, port: 9080}  # <- pods-shared\n  "
    ).replace("spec: {selector: {app: b}, ports: \n", "spec:\n  selector: {app: b}\n  ports:\n").replace("  }\n", "")
    check(two.replace("app: a", "app: web").replace("app: b", "app: web") + pod())


def test_ist0116_not_of_services_of_two_namespaces() -> None:
    """They choose among their own pods."""
    check(service() + pod() + service(ports="[{name: tcp, port: 80}]", namespace="bank") + pod(namespace="bank"))


def test_ist0137_one_pod_behind_services_of_two_ports() -> None:
    """A note."""
    text = service("a", "[{name: http, port: 80, targetPort: 8080}]") + service(
        "b", "[{name: http, port: 81, targetPort: 8080}]"
    )
    text = text.replace("app: a", "app: web").replace("app: b", "app: web") + pod()
    (finding,) = findings(text)
    assert (finding.code, finding.subject) == ("pods-shared", "Service shop/b")
    assert "as port 80 of Service shop/a and as port 81 of this one" in finding.message


def test_ist0118_a_port_that_does_not_say_what_it_speaks() -> None:
    """Where rules are about the service: istio/istio#19688 calls anything else too much."""
    text = service(ports="[{name: web, port: 80}]") + pod()
    check(text)
    assert [one.code for one in findings(text + rules(f"hosts: [web]\n{TO_WEB}"))] == ["port-sniffed"]


def test_ist0127_a_selector_for_nobody() -> None:
    """A note where nothing like it is given: the pods may be somewhere else."""
    text = SHOP + istio("Sidecar", "workloadSelector: {labels: {app: bogus}}\negress: [{hosts: ['*/*']}]", "a")
    assert [(one.code, one.severity) for one in findings(text)] == [("selector-chooses-nobody", mr.Severity.NOTE)]


def test_ist0130_and_ist0131_rules_that_nobody_reaches() -> None:
    """Loading tells what the webhook does; the rest is told with a proof, elsewhere."""
    assert codes_of("IST0130") >= {mr.Code.RULE_UNREACHABLE}


def test_ist0132_a_host_that_no_server_has() -> None:
    """By wildcards, and by namespaces."""
    bound = "gateways: [edge/edge]\n" + TO_WEB
    for served in ("*.example", "*/web.example", "shop/web.example", "*/*"):
        check(SHOP + gateway(served) + rules("hosts: [web.example]\n" + bound))
    unserved = bound.replace("[edge/edge]", "[edge/edge]  # <- gateway-serves-nothing")
    for served in ("*.example.org", "bank/web.example", "./web.example"):
        check(SHOP + gateway(served) + rules("hosts: [web.example]\n" + unserved))


def test_ist0132_not_where_the_gateway_s_own_namespace_is_meant() -> None:
    """istio/istio#34653: `./host` in a Gateway of the VirtualService's namespace."""
    edge = gateway("./web.example").replace(
        "metadata: {name: edge, namespace: edge}", "metadata: {name: edge, namespace: shop}"
    )
    check(SHOP + edge + rules("hosts: [web.example]\nexportTo: [.]\ngateways: [edge]\n" + TO_WEB))


def test_ist0134_tcp_without_addresses() -> None:
    """In any case of letters, or without a word about the protocol; a note, because proxies may make up addresses."""
    for protocol in ("TCP", "tcp", '""'):
        text = istio(
            "ServiceEntry",
            f"""
hosts: [a.example]
resolution: STATIC
endpoints: [{{address: 192.0.2.7}}]
ports:
- {{number: 22, name: p, protocol: {protocol}}}  # <- entry-addresses-missing
""",
        )
        check(text)
        (finding,) = findings(text)
        assert finding.severity is mr.Severity.NOTE
        assert ("whatever is not HTTP on port 22" in finding.message) is (protocol == '""')


def test_ist0140_rules_that_requests_from_a_gateway_pass_by() -> None:
    """A note; and not where the Gateway's rules name subsets themselves."""
    for subset, mark in (("", "  # <- mesh-rules-passed-by"), ("      subset: v1\n", "")):
        check(
            SHOP
            + policy(SUBSETS)
            + SPLIT
            + gateway("web.example")
            + rules(
                "hosts: [web.example]\ngateways: [edge/edge]\nhttp:\n- route:\n  - destination:\n"
                f"      host: web{mark}\n{subset}",
                "edge",
            )
        )


def test_ist0145_two_servers_for_one_port() -> None:
    """Of another kind, or with the same hosts in TLS; plain HTTP servers share a port."""
    tls = "  tls: {mode: SIMPLE, credentialName: a}"
    first = gateway("a.example", 443, "HTTPS", tls)
    second = gateway("a.example", 443, "HTTPS", tls, mark="  # <- server-ignored")
    check(first + second.removeprefix(EDGE_POD).replace("name: edge, namespace", "name: wedge, namespace"))
    http = gateway("a.example")
    check(http + http.removeprefix(EDGE_POD).replace("name: edge, namespace", "name: wedge, namespace"))


def test_ist0149_claims_that_nobody_checks() -> None:
    """A note; nothing where a RequestAuthentication is given, of which only its name is read."""
    text = (
        SHOP
        + gateway("web.example")
        + rules("""
hosts: [web.example]
gateways: [edge/edge]
http:
- match:
  - headers:
      "@request.auth.claims.a": {exact: b}  # <- claims-not-checked
  route: [{destination: {host: web}}]
""")
    )
    check(text)
    given = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\nspec: {}\n"
    assert [one.code for one in findings(text + given)] == [mr.Code.KIND_UNKNOWN]


def test_ist0150_an_external_name_service_whose_port_takes_what_is_for_others() -> None:
    """Without a protocol in its name, or called `tcp`."""
    for name, mark in (
        ("", "  # <- external-name-port"),
        ("name: tcp, ", "  # <- external-name-port"),
        ("name: tcp-a, ", ""),
    ):
        check(
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\nspec:\n  type: ExternalName\n"
            f"  externalName: a.example\n  ports:\n  - {{{name}port: 443}}{mark}\n"
        )


def test_ist0162_a_gateway_s_port_that_no_service_has() -> None:
    """The Service's port, or the pod's behind it; any of several Services will do."""
    led = service("edge", "[{name: http, port: 80, targetPort: 8003}]", "edge")
    for port, mark in ((80, ""), (8003, ""), (8004, "  # <- gateway-port-unreachable")):
        check(gateway("web.example", port, mark=mark) + led)
    other = service("edge-too", "[{name: http, port: 8004}]", "edge").replace("app: edge-too", "app: edge")
    check(gateway("web.example", 8004) + led + other)


def test_ist0165_names_of_istio_s_own_gateways() -> None:
    """Refused as names."""
    text = SHOP + rules(f"hosts: [web]\ngateways: ['edge/a~istio-autogenerated-k8s-gateway~b']\n{TO_WEB}")
    assert mr.Code.FIELD_VALUE in {one.code for one in findings(text)}


def test_ist0173_a_subset_that_chooses_nobody() -> None:
    """Not of labels that endpoints have from their node (istio/istio#57590), nor of ServiceEntries' endpoints."""
    check(
        SHOP
        + policy("""
host: web
subsets:
- name: v1
  labels: {version: v1}
- name: v2
  labels: {version: v3}  # <- subset-empty
""")
        + SPLIT
    )
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: node-a, labels: {topology.kubernetes.io/region: eu}}\n---\n"
    placed = SHOP.replace("spec: {containers", "spec: {nodeName: node-a, containers")
    regional = SUBSETS.replace("version: v1", "topology.kubernetes.io/region: eu")
    check(node + placed + policy(regional) + SPLIT)


def test_ist0174_a_destination_rule_for_nobody() -> None:
    """With the host that is nearest."""
    (finding,) = findings(SHOP + policy("host: wbe\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}"))
    assert finding.code == mr.Code.HOST_UNKNOWN
    assert finding.help == "did you mean `web.shop.svc.cluster.local`?"


def test_ist0177_service_entries_that_do_not_agree() -> None:
    """Not where no client sees both."""
    for export, mark in (("['*']", "  # <- entry-protocols-conflict"), ("[.]", "")):
        text = "".join(
            istio(
                "ServiceEntry",
                f"""
hosts: [a.example]
exportTo: {export}
resolution: STATIC
endpoints: [{{address: 192.0.2.7}}]
ports:
- number: 8080
  name: p
  protocol: {protocol}
""",
                name,
                name,
            )
            for name, protocol in (("a", "HTTP"), ("b", f"HTTPS{mark}"))
        )
        assert [line for line in told(text) if "service-ignored" not in line] == marked(text)


def test_every_analyzer_that_concerns_routing_has_a_code() -> None:
    """Those that are left out are told of in the page."""
    listed = {code for about in CATALOGUE.values() for code in about.istio}
    numbers = (101, 106, 109, 110, 111, 112, 116, 118, 127, 130, 131, 132, 133, 134, 137, 140, 145, 149, 150, 162, 173)
    assert {f"IST0{number}" for number in (*numbers, 174, 177)} <= listed
