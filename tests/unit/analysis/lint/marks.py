"""Manifests with marks: a comment `# <- code code` stands in the line in which findings are expected."""

from __future__ import annotations

import re
from pathlib import Path

import meshroute as mr
from meshroute.analysis.lint import Finding
from meshroute.analysis.lint.finding import of_diagnostic
from meshroute.analysis.lint.suppress import in_objects, sift

PAGES = {path.stem: path.read_text("utf-8") for path in sorted((Path(__file__).parents[4] / "docs/lint").glob("*.md"))}
REACHABILITY = ("rule-", "prefix-", "fault-")
"""How codes begin that tell which rules requests reach: each has its tests elsewhere."""


def block(page: str, info: str) -> str:
    """The one block of a page with an info string, `broken` or `mended`."""
    (text,) = re.findall(rf"^```yaml {info}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    return str(text)


def findings(text: str, config: mr.MeshConfig | None = None) -> list[Finding]:
    """Everything that is found in manifests and not suppressed there, also in those that are refused."""
    try:
        mesh = mr.loads(text, config=config or mr.MeshConfig())
        suppressions, unusable = in_objects(mesh.resources)
        return list(sift([*mr.lint(mesh), *unusable], suppressions).findings)
    except mr.ManifestError as error:
        return [of_diagnostic(one) for one in error.diagnostics]


def told(text: str, config: mr.MeshConfig | None = None) -> list[str]:
    """The lines and codes of what is found, but for made-up addresses and what concerns reachability alone."""
    return sorted(
        f"{one.at.line} {one.code}"
        for one in findings(text, config)
        if one.code != mr.Code.ADDRESS_ASSUMED and not one.code.startswith(REACHABILITY)
    )


def marked(text: str) -> list[str]:
    """The lines and codes that comments tell."""
    return sorted(
        f"{number} {code}"
        for number, line in enumerate(text.splitlines(), 1)
        for code in line.partition("# <- ")[2].split()
    )


# Manifests to build from: each ends with the line that ends a document.

ISTIO = "apiVersion: networking.istio.io/v1"


def service(name: str = "web", ports: str = "[{name: http, port: 80}]", namespace: str = "shop", more: str = "") -> str:
    """A Service that chooses pods by `app`."""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: {ports}{more}}}
---
"""


def pod(name: str = "web-1", app: str = "web", ip: str = "10.8.0.1", namespace: str = "shop", more: str = "") -> str:
    """A pod with an address; `more` are further labels."""
    return f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}{more}}}}}
spec: {{containers: [{{name: c}}]}}
status: {{podIP: {ip}}}
---
"""


def istio(kind: str, spec: str, name: str = "web", namespace: str = "shop") -> str:
    """An object of Istio's."""
    body = "".join(f"  {line}\n" for line in spec.strip("\n").splitlines())
    return f"{ISTIO}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{body}---\n"


def rules(spec: str, name: str = "web", namespace: str = "shop") -> str:
    """A VirtualService."""
    return istio("VirtualService", spec, name, namespace)


def policy(spec: str, name: str = "web", namespace: str = "shop") -> str:
    """A DestinationRule."""
    return istio("DestinationRule", spec, name, namespace)


def gateway(host: str, port: int = 80, protocol: str = "HTTP", more: str = "", mark: str = "") -> str:
    """The Gateway `edge/edge` with one server, and a pod that serves it."""
    server = f"- port: {{number: {port}, name: p, protocol: {protocol}}}{mark}\n  hosts: ['{host}']\n{more}"
    edge = istio("Gateway", f"selector: {{app: edge}}\nservers:\n{server}", "edge", "edge")
    return pod("edge-1", "edge", "10.9.0.1", "edge") + edge


SHOP = service() + pod(more=", version: v1") + pod("web-2", ip="10.8.0.2", more=", version: v2")
"""The service `web` in `shop` with a pod of each of two versions."""
SUBSETS = """
host: web
subsets:
- {name: v1, labels: {version: v1}}
- {name: v2, labels: {version: v2}}
"""
SPLIT = rules("""
hosts: [web]
http:
- route:
  - {destination: {host: web, subset: v1}, weight: 90}
  - {destination: {host: web, subset: v2}, weight: 10}
""")
