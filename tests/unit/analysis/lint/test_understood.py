"""What is understood of manifests, and what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from inspect import get_annotations
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import meshroute as mr
from meshroute.analysis.lint.meanings import FIELDS, OUTSIDE, Meaning, Meanings
from meshroute.analysis.lint.report import understanding_as_json, understanding_as_text
from meshroute.analysis.lint.understood import How, Understanding, understood
from meshroute.load.decode import fields_of
from meshroute.load.kinds import MODELS, group_of
from meshroute.manifest.kubernetes import PodSpec


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in a field's type, through lists and options; None for plain values and for maps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = {found for one in get_args(annotation) if (found := model_in(one)) is not None}
    return models.pop() if len(models) == 1 and "Mapping" not in str(annotation) else None


def wrong(table: Meanings, model: type[BaseModel], path: str) -> Iterator[str]:
    """Fields of models that a table says nothing of, and lines of the table that are no fields."""
    if isinstance(table, Meaning):
        return
    known = dict.fromkeys(fields_of(model))
    inner = {field.alias or name: model_in(field.annotation) for name, field in model.model_fields.items()}
    yield from (f"{path}.{name}: not in the table" for name in known if name not in table)
    yield from (f"{path}.{name}: no field" for name in table if name not in known)
    for name, below in table.items():
        one = inner.get(name)
        if isinstance(below, Mapping) and one is not None:
            yield from wrong(below, one, f"{path}.{name}")
        elif isinstance(below, Mapping):
            yield f"{path}.{name}: nothing below it"


KUBERNETES = [one for one in MODELS if not any("istio" in version for version in one.api_versions)]


@pytest.mark.parametrize("model", KUBERNETES, ids=lambda one: one.__name__)
def test_every_field_of_kubernetes_has_a_meaning(model: type[BaseModel]) -> None:
    """As far down as the table looks, untyped fields included: a new field is red until somebody says what it means."""
    table = {**FIELDS[model.__name__], **dict.fromkeys(("apiVersion", "kind", "metadata"), Meaning(How.UNDERSTOOD))}
    assert list(wrong(table, model, model.__name__)) == []


def test_there_are_untyped_fields_to_look_at() -> None:
    """The test before this one would prove nothing of them otherwise."""
    assert "__pydantic_extra__" in get_annotations(PodSpec, eval_str=True)
    assert "affinity" in fields_of(PodSpec)


def test_every_kind_that_is_read_has_a_table_and_no_kind_is_both_read_and_outside() -> None:
    assert set(FIELDS) == {one.__name__ for one in MODELS}
    read = {(group_of(version), one.__name__) for one in MODELS for version in one.api_versions}
    assert not read & set(OUTSIDE)


MESH = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {networking.istio.io/exportTo: '*'}}
spec:
  selector: {app: web}
  sessionAffinity: ClientIP
  externalTrafficPolicy: Local
  ipFamilyPolicy: SingleStack
  ports: [{port: 80, nodePort: 30080}]
status: {loadBalancer: {}}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels: {app: web, istio.io/rev: canary}
  annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '3306', example.com/owner: me}
spec: {containers: [{name: web, image: web, ports: [{containerPort: 80, hostPort: 80}]}], subdomain: web}
status: {podIP: 10.0.0.7, podIPs: [{ip: 10.0.0.7}], hostIP: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  trafficPolicy: {connectionPool: {http: {http1MaxPendingRequests: 1}}, tls: {mode: DISABLE}}
  subsets: [{name: v1, labels: {app: web}, trafficPolicy: {tls: {mode: DISABLE}}}]
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.istio.io/v1
  kind: VirtualService
  metadata: {name: web, namespace: shop}
  spec:
    hosts: [web]
    http:
    - route: [{destination: {host: web}}]
      match: [{uri: {prefix: /a}}]
    - redirect: {uri: /, redirectCode: 305}
    tcp:
    - match: [{sourceSubnet: 10.0.0.0/8}]
      route: [{destination: {host: web}}]
    tipo: x
"""


@pytest.fixture(scope="module")
def answer() -> Understanding:
    return understood(mr.loads(MESH, "m.yaml", strict=False))


def wanting(answer: Understanding, subject: str) -> dict[str, tuple[How, str]]:
    (one,) = [one for one in answer.manifests if one.subject == subject]
    return {field.path: (field.how, field.affects) for field in one.wanting}


def how(answer: Understanding, subject: str) -> dict[str, How]:
    (one,) = [one for one in answer.manifests if one.subject == subject]
    return {field.path: field.how for field in one.fields}


class TestFields:
    """Every field that is set, once."""

    def test_a_service(self, answer: Understanding) -> None:
        """What is for clients without a proxy, or outside of the cluster, is for nodes alone."""
        assert how(answer, "Service shop/web") == {
            "metadata.name": How.UNDERSTOOD,
            "metadata.namespace": How.UNDERSTOOD,
            'metadata.annotations["networking.istio.io/exportTo"]': How.UNDERSTOOD,
            "spec.selector": How.UNDERSTOOD,
            "spec.ports[0].port": How.UNDERSTOOD,
            "spec.ports[0].nodePort": How.PARTLY,
            "spec.ipFamilyPolicy": How.ASIDE,
            "spec.sessionAffinity": How.PARTLY,
            "spec.externalTrafficPolicy": How.PARTLY,
            "status.loadBalancer": How.UNDERSTOOD,
        }
        assert wanting(answer, "Service shop/web")["spec.sessionAffinity"] == (
            How.PARTLY,
            "requests of clients with a proxy",
        )

    def test_a_pod(self, answer: Understanding) -> None:
        """Labels and annotations that Istio goes by, one by one."""
        assert how(answer, "Pod shop/web-0") == {
            "metadata.name": How.UNDERSTOOD,
            "metadata.namespace": How.UNDERSTOOD,
            "metadata.labels.app": How.UNDERSTOOD,
            'metadata.labels["istio.io/rev"]': How.NOT,
            'metadata.annotations["traffic.sidecar.istio.io/excludeOutboundPorts"]': How.NOT,
            'metadata.annotations["example.com/owner"]': How.ASIDE,
            "spec.containers[0].name": How.UNDERSTOOD,
            "spec.containers[0].image": How.ASIDE,
            "spec.containers[0].ports[0].containerPort": How.UNDERSTOOD,
            "spec.containers[0].ports[0].hostPort": How.NOT,
            "spec.subdomain": How.PARTLY,
            "status.podIP": How.UNDERSTOOD,
            "status.podIPs": How.UNDERSTOOD,
            "status.hostIP": How.ASIDE,
        }

    def test_a_second_address_is_understood_in_part(self) -> None:
        mesh = mr.loads(MESH.replace("[{ip: 10.0.0.7}]", "[{ip: 10.0.0.7}, {ip: 'fd00::7'}]"), strict=False)
        assert how(understood(mesh), "Pod shop/web-0")["status.podIPs"] is How.PARTLY

    def test_a_default_is_nobody_s_wish(self) -> None:
        text = MESH.replace("sessionAffinity: ClientIP", "sessionAffinity: None").replace(
            "nodePort: 30080", "nodePort: 0"
        )
        told = how(understood(mr.loads(text, strict=False)), "Service shop/web")
        assert (told["spec.sessionAffinity"], told["spec.ports[0].nodePort"]) == (How.UNDERSTOOD, How.UNDERSTOOD)

    def test_a_destination_rule(self, answer: Understanding) -> None:
        """Limits are understood in part; a subset is named where it is one's field."""
        assert wanting(answer, "DestinationRule shop/web") == {
            "spec.trafficPolicy.connectionPool": (
                How.PARTLY,
                "requests beyond a limit: the proxy answers 503 UO",
            ),
            "spec.trafficPolicy.tls": (How.NOT, "requests for web"),
            "spec.subsets[0].trafficPolicy.tls": (How.NOT, "requests for web, subset v1"),
        }

    def test_what_loading_dropped_or_passed_over_is_not_lost(self, answer: Understanding) -> None:
        """By the path in the object, though it stands in a list; with the rule that it is about."""
        assert wanting(answer, "VirtualService shop/web") == {
            "spec.tcp[0].match[0].sourceSubnet": (How.NOT, "what tcp[0] takes of web"),
            "spec.http[1].redirect": (How.PARTLY, "what http[1] takes of web"),
            "spec.http[1].redirect.redirectCode": (How.NOT, "what http[1] takes of web"),
            "spec.tipo": (How.NOT, "requests for web"),
        }
        (one,) = [one for one in answer.manifests if one.subject.startswith("VirtualService")]
        (tipo,) = [field for field in one.fields if field.path == "spec.tipo"]
        assert tipo.why == "unknown field `tipo`: dropped"
        assert MESH.splitlines()[tipo.at.line - 1][tipo.at.column - 1 :].startswith("tipo")

    def test_every_remark_of_loading_is_a_field(self, answer: Understanding) -> None:
        """No `field-not-modelled` without its field here."""
        mesh = mr.loads(MESH, "m.yaml", strict=False)
        codes = (mr.Code.FIELD_NOT_MODELLED, mr.Code.FIELD_UNKNOWN)
        said = {(one.at.line, one.at.column) for one in mesh.diagnostics if one.code in codes}
        told = {(f.at.line, f.at.column) for one in answer.manifests for f in one.fields if f.how is How.NOT}
        assert len(said) >= 5
        assert said <= told

    def test_nothing_is_wanting_in_what_is_understood(self) -> None:
        one = understood(mr.load("docs/examples/canary"))
        assert {manifest.how for manifest in one.manifests} == {How.UNDERSTOOD}
        assert one.outside == ()
        assert one.count(How.NOT) == one.count(How.PARTLY) == 0 < one.count(How.UNDERSTOOD)


class TestOutside:
    """Kinds that nobody reads."""

    @pytest.mark.parametrize(
        ("version", "kind", "changes"),
        [
            ("networking.istio.io/v1alpha3", "EnvoyFilter", "anything"),
            ("security.istio.io/v1", "AuthorizationPolicy", "403"),
            ("security.istio.io/v1beta1", "RequestAuthentication", "401"),
            ("security.istio.io/v1", "PeerAuthentication", "mutual TLS"),
            ("telemetry.istio.io/v1", "Telemetry", "nothing about where requests go"),
            ("extensions.istio.io/v1alpha1", "WasmPlugin", "anything about the requests"),
            ("networking.istio.io/v1beta1", "ProxyConfig", "how proxies run"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute", "where requests go"),
            ("gateway.networking.k8s.io/v1", "Gateway", "where requests go"),
            ("networking.k8s.io/v1", "NetworkPolicy", "whether a connection comes through"),
            ("networking.k8s.io/v1", "Ingress", "where requests go"),
            ("apps/v1", "StatefulSet", "load the pods too"),
            ("v1", "Secret", "nothing about where requests go"),
            ("example.com/v1", "Widget", "nobody here knows"),
        ],
    )
    def test_each_is_named_with_what_it_could_change(self, version: str, kind: str, changes: str) -> None:
        text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: one}}\n"
        (one,) = understood(mr.loads(text, "x.yaml")).outside
        assert (one.kind, one.api_version, one.subject, one.at.line) == (kind, version, f"{kind} one", 2)
        assert changes in one.changes


class TestWritten:
    """As text and as JSON."""

    def test_a_page(self) -> None:
        text = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, annotations: {a: b}}
spec:
  host: web
  trafficPolicy: {tls: {mode: DISABLE}, connectionPool: {tcp: {maxConnections: 1}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny}
"""
        assert understanding_as_text(understood(mr.loads(text, "m.yaml"))) == (
            "m.yaml\n"
            "\n"
            "DestinationRule default/web: partly\n"
            "  understood      metadata.name, metadata.namespace, spec.host\n"
            "  no part         metadata.annotations.a\n"
            "  partly          spec.trafficPolicy.connectionPool\n"
            "                  at 6:41\n"
            "                  it changes no choice of an endpoint, and its limits are not\n"
            "                  counted\n"
            "                  could change: requests beyond a limit: the proxy answers 503\n"
            "                    UO\n"
            "  not understood  spec.trafficPolicy.tls\n"
            "                  at 6:19\n"
            "                  `trafficPolicy.tls` is understood and not yet acted upon:\n"
            "                  decisions are made as if it were absent\n"
            "                  could change: requests for web\n"
            "\n"
            "outside\n"
            "\n"
            "  AuthorizationPolicy deny of security.istio.io/v1\n"
            "    m.yaml:9:1\n"
            "    could change whether a request is let in: 403 where a decision says it\n"
            "    arrives\n"
            "\n"
            "1 object, 1 of them not in full; 1 field in part, 1 not; 1 object outside\n"
        )

    def test_as_json(self, answer: Understanding) -> None:
        values = json.loads(understanding_as_json(answer))
        assert [one["subject"] for one in values["manifests"]] == [one.subject for one in answer.manifests]
        assert values["summary"]["fields"] == {str(one): answer.count(one) for one in How}
        field = values["manifests"][0]["fields"][0]
        assert field == {
            "path": "metadata.name",
            "how": "understood",
            "at": {"file": "m.yaml", "line": 4, "column": 12, "path": "metadata.name"},
            "why": "",
            "affects": "",
        }
