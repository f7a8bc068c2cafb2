"""Documents to resources: what is said of every kind of mistake, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshroute.diagnostics import Code, Diagnostic, Severity, render
from meshroute.load import Loaded, load_text
from meshroute.manifest import DestinationRule, Node, Pod, Service, VirtualService
from meshroute.manifest.metadata import Duration

VS = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: front, namespace: shop}\nspec:\n"
DR = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n  host: web\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
NEAR = "did you mean `publishNotReadyAddresses`?"
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"


def load(text: str, **options: Any) -> Loaded:
    return load_text(text, "f.yaml", **options)


def only(text: str, **options: Any) -> Diagnostic:
    found = load(text, **options).diagnostics
    assert len(found) == 1, [render(one) for one in found]
    return found[0]


def resource(text: str, **options: Any) -> Any:
    found = load(text, **options)
    assert found.diagnostics == ()
    return found.resources[0]


class TestObjects:
    """Which objects there are."""

    def test_what_is_read(self) -> None:
        front = resource(VS + "  hosts: [front]\n  http: [{timeout: 1.5s}]\n")
        assert isinstance(front, VirtualService)
        assert (front.subject, front.api_version) == ("VirtualService shop/front", "networking.istio.io/v1")
        assert front.spec.http[0].timeout == Duration("1.5s", 1_500_000_000)
        assert str(front.at("spec", "http", 0, "timeout")) == "f.yaml:6:11 spec.http[0].timeout"
        assert front.at("spec", "http", 0, "retries", "attempts").column == 10

    def test_the_default_namespace(self) -> None:
        assert resource(SERVICE + "  ports: []\n").namespace == "default"
        assert resource(SERVICE + "  ports: []\n", namespace="team").subject == "Service team/web"

    def test_kinds_of_the_whole_cluster_have_no_namespace(self) -> None:
        node = resource("apiVersion: v1\nkind: Node\nmetadata: {name: w1, namespace: x}\n", namespace="team")
        assert isinstance(node, Node)
        assert (node.namespace, node.metadata.namespace, node.subject) == ("", "", "Node w1")

    @pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n", "null\n"])
    def test_empty_documents_are_skipped(self, text: str) -> None:
        assert load(text) == Loaded((), ())

    @pytest.mark.parametrize(
        ("text", "message", "place"),
        [
            ("- a\n", "a manifest must be of type object: this is of type array", "f.yaml:1:1"),
            ("hello\n", "a manifest must be of type object: this is of type string", "f.yaml:1:1"),
            ("a: 1\n", "a manifest without `apiVersion` and `kind`", "f.yaml:1:1"),
            ("kind: Service\n", "a manifest without `apiVersion`", "f.yaml:1:1"),
            ("apiVersion: v1\nkind: 3\n", "`kind` must be text that is not empty", "f.yaml:2:1 kind"),
            ("apiVersion: v1\nkind:\n", "`kind` must be text that is not empty", "f.yaml:2:1 kind"),
        ],
    )
    def test_what_is_no_manifest(self, text: str, message: str, place: str) -> None:
        problem = only(text)
        assert (problem.code, problem.message, str(problem.at)) == (Code.DOCUMENT_SHAPE, message, place)

    def test_unknown_kinds_are_noted_and_skipped(self) -> None:
        problem = only("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {1: 2}\n".replace("1:", "a:"))
        assert (problem.code, problem.severity) == (Code.KIND_UNKNOWN, Severity.NOTE)
        assert problem.message == "`ConfigMap` of `v1` takes no part in routing here: skipped"
        assert problem.subject == "ConfigMap c"

    @pytest.mark.parametrize(
        ("version", "kind", "meant"),
        [
            ("networking.istio.io/v1", "VirtualServise", "VirtualService"),
            ("networking.istio.io/v1", "destinationrule", "DestinationRule"),
            ("v1", "service", "Service"),
        ],
    )
    def test_a_kind_with_a_slip_is_a_warning(self, version: str, kind: str, meant: str) -> None:
        problem = only(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: c}}\n")
        assert (problem.code, problem.severity) == (Code.KIND_UNKNOWN, Severity.WARNING)
        assert problem.help == f"did you mean `{meant}`?"

    @pytest.mark.parametrize(
        ("version", "kind"),
        [
            ("networking.istio.io/v1alpha3", "EnvoyFilter"),
            ("networking.istio.io/v1", "ProxyConfig"),
            ("v1", "ServiceAccount"),
            ("apps/v1", "DaemonSet"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ],
    )
    def test_a_kind_of_somebody_else_is_no_slip(self, version: str, kind: str) -> None:
        problem = only(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: c}}\n")
        assert (problem.severity, problem.help) == (Severity.NOTE, "")

    def test_a_known_kind_of_another_group(self) -> None:
        problem = only("apiVersion: serving.knative.dev/v1\nkind: Service\n")
        assert problem.code is Code.KIND_UNKNOWN
        assert problem.help == "the Service that is read is of `v1`"

    def test_a_known_kind_of_an_unknown_version(self) -> None:
        problem = only(VS.replace("/v1", "/v2") + "  hosts: [a]\n")
        assert (problem.code, problem.severity) == (Code.FIELD_VALUE, Severity.ERROR)
        assert problem.message == "`networking.istio.io/v2` is not a version of VirtualService that is known here"
        assert "`networking.istio.io/v1alpha3`" in problem.help

    @pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
    def test_all_versions_of_istio(self, version: str) -> None:
        assert resource(VS.replace("/v1", f"/{version}") + "  hosts: [a]\n").spec.hosts == ("a",)

    def test_the_server_s_own_fields_are_accepted(self) -> None:
        text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
  uid: x
  managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {}}}]
  creationTimestamp: "2024-05-01T12:00:00Z"
  ownerReferences: []
spec: {hosts: [a]}
status: {validationMessages: [{anything: 1}]}
"""
        assert resource(text).metadata.creation_timestamp.isoformat() == "2024-05-01T12:00:00+00:00"

    def test_names(self) -> None:
        problem = only("apiVersion: v1\nkind: Service\nmetadata: {labels: {a: b}}\n")
        assert (problem.code, problem.message, problem.at.path) == (
            Code.FIELD_MISSING,
            "`name` is missing",
            "metadata.name",
        )
        assert resource(POD.replace("name: p", "generateName: p-") + "  containers: []\n").name == "p-"


class TestLists:
    """`List` and its typed relatives."""

    def test_items(self) -> None:
        text = """\
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
- apiVersion: v1
  kind: Service
  metadata: {name: b}
  spec: {prots: []}
- 5
- apiVersion: v1
  kind: NamespaceList
  items:
  - metadata: {name: blue}
"""
        found = load(text)
        assert [one.subject for one in found.resources] == ["Service default/a"]
        assert [str(one.at) for one in found.diagnostics] == [
            "f.yaml:11:10 items[1].spec.prots",
            "f.yaml:12:3 items[2]",
            "f.yaml:14:3 items[3].kind",
        ]
        assert str(found.resources[0].at("metadata", "name")) == "f.yaml:7:14 items[0].metadata.name"

    def test_typed_lists_need_not_repeat_themselves(self) -> None:
        text = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n"
        assert resource(text).subject == "Service default/a"

    def test_items_that_are_no_list(self) -> None:
        problem = only("apiVersion: v1\nkind: List\nitems: {a: 1}\n")
        assert (problem.code, str(problem.at)) == (Code.FIELD_TYPE, "f.yaml:3:1 items")

    def test_no_items(self) -> None:
        assert load("apiVersion: v1\nkind: List\nitems:\n") == Loaded((), ())

    def test_items_through_an_alias(self) -> None:
        text = "apiVersion: v1\nkind: ServiceList\nx: &x [{metadata: {name: a, labels: {b: 1}}}]\nitems: *x\n"
        assert str(only(text).at) == "f.yaml:4:1 items[0].metadata.labels.b"


class TestUnknownFields:
    """Errors when strict, warnings when not."""

    @pytest.mark.parametrize(
        ("text", "path", "help"),
        [
            (VS + "  hosts: [a]\n  htttp: []\n", "spec.htttp", "did you mean `http`?"),
            (
                VS + "  hosts: [a]\n  http: [{cors_policy: {}}]\n",
                "spec.http[0].cors_policy",
                "did you mean `corsPolicy`?",
            ),
            (VS + "  hosts: [a]\n  gateway: mesh\n", "spec.gateway", "write\ngateways:\n- mesh"),
            (VS + "  hosts: [a]\n  host: b\n", "spec.host", "write\nhosts:\n- b"),
            (POD + "  containers: [{name: c, prots: []}]\n", "spec.containers[0].prots", "did you mean `ports`?"),
            (POD + "  containers: []\n  toleration: []\n", "spec.toleration", "did you mean `tolerations`?"),
            (SERVICE + "  selectors: {a: b}\n", "spec.selectors", "did you mean `selector`?"),
            (SERVICE + "  clusterIp: None\n", "spec.clusterIp", "did you mean `clusterIP`?"),
            (SERVICE + "  publish_not_ready_addresses: true\n", "spec.publish_not_ready_addresses", NEAR),
        ],
    )
    def test_with_the_nearest_name(self, text: str, path: str, help: str) -> None:
        problem = only(text)
        assert (problem.code, problem.severity, problem.at.path) == (Code.FIELD_UNKNOWN, Severity.ERROR, path)
        assert problem.message == f"unknown field `{path.rpartition('.')[2]}`"
        assert problem.help == help

    def test_without_a_near_name_the_known_ones_are_told(self) -> None:
        problem = only(VS + "  hosts: [a]\n  http: [{match: [{uri: {glob: /x}}]}]\n")
        assert problem.help == "known here: `exact`, `prefix` and `regex`"

    def test_not_strict(self) -> None:
        text = VS + "  hosts: [a]\n  htttp: [1]\n"
        found = load(text, strict=False)
        assert [(one.severity, one.message) for one in found.diagnostics] == [
            (Severity.WARNING, "unknown field `htttp`: dropped")
        ]
        assert found.resources == load(VS + "  hosts: [a]\n").resources

    def test_other_errors_are_found_behind_unknown_fields(self) -> None:
        text = DR + "  x: 1\n  trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}\n"
        for strict in (True, False):
            found = load(text, strict=strict)
            assert [one.code for one in found.diagnostics] == [Code.FIELD_UNKNOWN, Code.FIELD_VALUE]
            assert found.resources == ()


class TestTypes:
    """Nothing is coerced; the corrected line is told."""

    @pytest.mark.parametrize(
        ("text", "message", "help"),
        [
            ("labels: {version: 1}", "must be of type string: `1` is of type integer", 'write `version: "1"`'),
            ("labels: {version: 1.10}", "must be of type string: `1.10` is of type number", 'write `version: "1.10"`'),
            ("labels: {version: yes}", "must be of type string: `yes` is of type boolean", 'write `version: "yes"`'),
            ("labels: {version: 0x1F}", "must be of type string: `0x1F` is of type integer", 'write `version: "0x1F"`'),
            ("labels: {version: [1]}", "must be of type string: this is of type array", ""),
            ("labels: [a]", "must be of type object: this is of type array", ""),
            ("labels: [{a: b}]", "must be of type object: this is of type array", "write\nlabels:\n  a: b"),
            ("labels: text", "must be of type object: `text` is of type string", ""),
        ],
    )
    def test_labels(self, text: str, message: str, help: str) -> None:
        problem = only(DR + f"  subsets:\n  - name: v1\n    {text}\n")
        assert (problem.code, problem.message, problem.help) == (Code.FIELD_TYPE, message, help)
        assert problem.at.line == 8

    @pytest.mark.parametrize(
        ("text", "message", "help"),
        [
            ("weight: true", "must be of type integer: `true` is of type boolean", ""),
            ('weight: "10"', "must be of type integer: `10` is of type string", "write `weight: 10`"),
            ("weight: 1.5", "must be of type integer: `1.5` is of type number", ""),
            ("weight: {}", "must be of type integer: this is of type object", ""),
            ("headers: {request: {remove: x}}", "must be of type array: `x` is of type string", "write\nremove:\n- x"),
            ("headers: {request: {remove: [1]}}", "must be of type string: `1` is of type integer", 'write `- "1"`'),
            ("headers: 5", "must be of type object: `5` is of type integer", ""),
        ],
    )
    def test_fields(self, text: str, message: str, help: str) -> None:
        problem = only(VS + f"  hosts: [a]\n  http:\n  - route:\n    - destination: {{host: a}}\n      {text}\n")
        assert (problem.code, problem.message, problem.help) == (Code.FIELD_TYPE, message, help)
        assert problem.at.line == 9

    @pytest.mark.parametrize(
        ("text", "help"),
        [
            ("match: [{uri: /a}]", "write\nuri:\n  exact: /a\nor `prefix` or `regex` in the place of `exact`"),
            ("match: [{headers: {a: b}}]", "write\na:\n  exact: b\nor `prefix` or `regex` in the place of `exact`"),
            ("match: [{method: 5}]", ""),
            ("mirrorPercentage: 50", "write\nmirrorPercentage:\n  value: 50"),
            ("mirrorPercentage: 0.5", "write\nmirrorPercentage:\n  value: 0.5"),
            ("mirrorPercentage: 50%", ""),
            ("mirror: web", "write\nmirror:\n  host: web"),
            ("mirror: {host: web, port: 80}", "write\nport:\n  number: 80"),
            ("directResponse: {status: 200, body: hi}", "write\nbody:\n  string: hi"),
            ("retries: 3", "write\nretries:\n  attempts: 3"),
            ("retries: true", ""),
            ("delegate: more", "write\ndelegate:\n  name: more"),
            ("rewrite: /", ""),
        ],
    )
    def test_a_plain_value_in_place_of_an_object(self, text: str, help: str) -> None:
        problem = only(VS + f"  hosts: [a]\n  http:\n  - {text}\n")
        assert (problem.code, problem.help) == (Code.FIELD_TYPE, help)

    @pytest.mark.parametrize(
        ("text", "help"),
        [
            ("timeout: 5", 'write `timeout: "5s"`'),
            ("timeout: 1.5", 'write `timeout: "1.5s"`'),
            ("fault: {delay: {fixedDelay: 5}}", 'write `fixedDelay: "5s"`'),
            ("timeout: true", ""),
        ],
    )
    def test_a_duration_without_a_unit(self, text: str, help: str) -> None:
        assert only(VS + f"  hosts: [a]\n  http:\n  - {text}\n").help == help

    def test_a_mapping_in_place_of_a_list(self) -> None:
        problem = only(VS + "  hosts: [a]\n  http:\n  - route:\n      destination:\n        host: a\n")
        assert problem.message == "must be of type array: this is of type object"
        assert problem.help == "write\nroute:\n- destination:\n    host: a"
        assert str(problem.at) == "f.yaml:7:5 spec.http[0].route"

    @pytest.mark.parametrize("weight", ["80.0", "8e1"])
    def test_whole_numbers_are_whole_however_they_are_written(self, weight: str) -> None:
        front = resource(VS + f"  hosts: [a]\n  http: [{{route: [{{destination: {{host: a}}, weight: {weight}}}]}}]\n")
        assert front.spec.http[0].route[0].weight == 80

    @pytest.mark.parametrize(("target", "value"), [("80", 80), ("http", "http"), ('"80a"', "80a")])
    def test_integer_or_string(self, target: str, value: object) -> None:
        assert resource(SERVICE + f"  ports: [{{port: 1, targetPort: {target}}}]\n").spec.ports[0].target == value

    @pytest.mark.parametrize("target", ["true", "1.5", "[]"])
    def test_neither_integer_nor_string(self, target: str) -> None:
        problem = only(SERVICE + f"  ports: [{{port: 1, targetPort: {target}}}]\n")
        assert problem.message.startswith("must be of type integer or string: ")

    def test_a_label_with_a_very_long_text_is_cut_short_in_messages(self) -> None:
        problem = only(DR + "  trafficPolicy: {loadBalancer: {simple: " + "X" * 100_000 + "}}\n")
        assert len(problem.message) < 300


class TestValues:
    """Missing fields, closed sets, ranges, groups."""

    @pytest.mark.parametrize(
        ("text", "code", "message", "path"),
        [
            (
                "http: [{route: [{weight: 1}]}]",
                Code.FIELD_MISSING,
                "`destination` is missing",
                "spec.http[0].route[0].destination",
            ),
            (
                "http: [{directResponse: {}}]",
                Code.FIELD_MISSING,
                "`status` is missing",
                "spec.http[0].directResponse.status",
            ),
            ("tls: [{match: [{}]}]", Code.FIELD_MISSING, "`sniHosts` is missing", "spec.tls[0].match[0].sniHosts"),
            (
                "http: [{timeout: 5}]",
                Code.FIELD_TYPE,
                "must be of type string: `5` is of type integer",
                "spec.http[0].timeout",
            ),
            (
                "http: [{timeout: 5x}]",
                Code.FIELD_VALUE,
                "`5x`: not a duration: write a number with a unit, such as `5s`, `100ms` or `1h30m`",
                "spec.http[0].timeout",
            ),
            ("http: [{timeout: 0s}]", Code.FIELD_VALUE, "`0s`: must be at least `1ms`", "spec.http[0].timeout"),
            ("http: [{match: [{port: -1}]}]", Code.FIELD_VALUE, "`-1` is less than 0", "spec.http[0].match[0].port"),
            (
                "http: [{match: [{port: 4294967296}]}]",
                Code.FIELD_VALUE,
                "`4294967296` is more than 4294967295",
                "spec.http[0].match[0].port",
            ),
            (
                "http: [{mirrorPercentage: {value: .inf}}]",
                Code.FIELD_VALUE,
                "`inf` is no finite number",
                "spec.http[0].mirrorPercentage.value",
            ),
            (
                "http: [{corsPolicy: {unmatchedPreflights: ignore}}]",
                Code.FIELD_VALUE,
                "`ignore` is not one of `UNSPECIFIED`, `FORWARD` or `IGNORE`",
                "spec.http[0].corsPolicy.unmatchedPreflights",
            ),
            (
                "http: [{match: [{uri: {exact: a, prefix: b}}]}]",
                Code.FIELD_VALUE,
                "at most one of `exact`, `prefix` or `regex` may be set: `exact` and `prefix` are",
                "spec.http[0].match[0].uri",
            ),
            (
                "http: [{redirect: {port: 1, derivePort: FROM_REQUEST_PORT}}]",
                Code.FIELD_VALUE,
                "at most one of `port` or `derivePort` may be set: `port` and `derivePort` are",
                "spec.http[0].redirect",
            ),
        ],
    )
    def test_virtual_services(self, text: str, code: Code, message: str, path: str) -> None:
        problem = only(VS + f"  hosts: [a]\n  {text}\n")
        assert (problem.code, problem.message, problem.at.path) == (code, message, path)
        assert problem.severity is Severity.ERROR

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "{simple: round_robin}",
                "`round_robin` is not one of `UNSPECIFIED`, `LEAST_CONN`, `RANDOM`, `PASSTHROUGH`, `ROUND_ROBIN` or "
                "`LEAST_REQUEST`",
            ),
            (
                "{simple: RANDOM, consistentHash: {}}",
                "at most one of `simple`, `consistentHash` or `backendUtilization` may be set: "
                "`simple` and `consistentHash` are",
            ),
            (
                "{consistentHash: {httpHeaderName: x, useSourceIp: true}}",
                "at most one of `httpHeaderName`, `httpCookie`, `useSourceIp` or `httpQueryParameterName` may be set: "
                "`httpHeaderName` and `useSourceIp` are",
            ),
            (
                "{consistentHash: {ringHash: {}, maglev: {}}}",
                "at most one of `ringHash` or `maglev` may be set: `ringHash` and `maglev` are",
            ),
            ("{warmup: {duration: 1s, minimumPercent: 101}}", "`101` is more than 100"),
        ],
    )
    def test_load_balancers(self, text: str, message: str) -> None:
        problem = only(DR + f"  trafficPolicy:\n    loadBalancer: {text}\n")
        assert (problem.code, problem.message) == (Code.FIELD_VALUE, message)

    def test_near_values_are_told(self) -> None:
        assert (
            only(DR + "  trafficPolicy: {loadBalancer: {simple: round_robin}}\n").help == "did you mean `ROUND_ROBIN`?"
        )

    def test_both_spellings_of_mirror_percent(self) -> None:
        for name in ("mirrorPercent", "mirror_percent"):
            front = resource(VS + f"  hosts: [a]\n  http: [{{{name}: 5}}]\n")
            assert 5 in (front.spec.http[0].mirror_percent, front.spec.http[0].mirror_percent_legacy)

    def test_a_group_is_checked_however_wrong_the_rest_is(self) -> None:
        found = load(VS + "  hosts: 1\n  http: [{match: [{uri: {exact: a, prefix: 2}}]}]\n")
        assert [one.at.path for one in found.diagnostics] == [
            "spec.hosts",
            "spec.http[0].match[0].uri",
            "spec.http[0].match[0].uri.prefix",
        ]


class TestNulls:
    """Nulls go before anything is checked, as at the API server; where a condition was meant, that is said."""

    def test_fields(self) -> None:
        text = VS + "  hosts: [a]\n  gateways:\n  http: [{route: , timeout: null, retries: {attempts: ~}}]\n"
        assert resource(text) == resource(VS + "  hosts: [a]\n  http: [{retries: {}}]\n")

    @pytest.mark.parametrize(
        "match", ["uri:", "method:", "uri: {prefix: }", "headers: {x-user: }", "queryParams: {a: ~}"]
    )
    def test_conditions(self, match: str) -> None:
        problem = only(VS + f"  hosts: [a]\n  http:\n  - match:\n    - {match}\n")
        assert (problem.code, problem.severity) == (Code.FIELD_VALUE, Severity.WARNING)
        assert problem.message.endswith("has no value: it is dropped, and with it the condition")
        assert problem.at.line == 8

    def test_a_rule_without_its_matches(self) -> None:
        problem = only(VS + "  hosts: [a]\n  http:\n  - match:\n    timeout: 5s\n")
        assert (problem.severity, str(problem.at)) == (Severity.WARNING, "f.yaml:7:5 spec.http[0].match")

    def test_labels_of_kubernetes_become_empty(self) -> None:
        found = load("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {version: }}\n")
        assert found.resources[0].metadata.labels == {"version": ""}
        assert [one.severity for one in found.diagnostics] == [Severity.WARNING]

    def test_labels_of_subsets_are_dropped(self) -> None:
        assert resource(DR + "  subsets: [{name: v1, labels: {version: }}]\n").spec.subsets[0].labels == {}

    def test_items_stay_and_are_wrong(self) -> None:
        assert only(VS + "  hosts: [a, ~]\n").message == "must be of type string: `~` is of type null"

    def test_required_fields_that_are_null_are_missing(self) -> None:
        assert only(VS + "  hosts: [a]\n  http: [{route: [{destination: }]}]\n").message == "`destination` is missing"

    def test_times_of_templates(self) -> None:
        text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, creationTimestamp: null}\nspec:\n"
        text += "  selector: {}\n  template: {metadata: {creationTimestamp: null}, spec: {containers: []}}\n"
        assert resource(text).spec.replicas == 1


class TestArticle:
    """What the article prints, as Kubernetes and Istio would treat it."""

    def test_labels(self) -> None:
        text = DR + "  subsets:\n    - name: v1\n      labels:\n        version: 1\n"
        assert render(only(text)) == (
            "f.yaml:9:9 spec.subsets[0].labels.version: error[field-type]: must be of type string: `1` is of type "
            'integer (DestinationRule default/web)\n  help: write `version: "1"`'
        )

    def test_host(self) -> None:
        found = load(VS + "  host: web\n")
        assert [(one.code, one.severity, one.at.path) for one in found.diagnostics] == [
            (Code.FIELD_MISSING, Severity.ERROR, "spec.hosts"),
            (Code.FIELD_UNKNOWN, Severity.ERROR, "spec.host"),
        ]
        assert found.diagnostics[1].help == "write\nhosts:\n- web"
        relaxed = load(VS + "  host: web\n", strict=False)
        assert {one.severity for one in relaxed.diagnostics} == {Severity.WARNING}
        assert relaxed.resources[0].name == "front"

    def test_uri(self) -> None:
        text = VS + '  hosts: [web]\n  http:\n    - match:\n      - uri:\n        prefix: "/v2"\n'
        warning, error = load(text).diagnostics
        assert (warning.code, warning.severity, str(warning.at)) == (
            Code.FIELD_VALUE,
            Severity.WARNING,
            "f.yaml:8:9 spec.http[0].match[0].uri",
        )
        assert (error.code, str(error.at)) == (Code.FIELD_UNKNOWN, "f.yaml:9:9 spec.http[0].match[0].prefix")
        assert warning.help == error.help == "write\nuri:\n  prefix: /v2"
        (read,) = load(text, strict=False).resources
        assert isinstance(read, VirtualService)
        assert read.spec.http[0].match[0].uri is None

    def test_two_rules_are_no_error_here(self) -> None:
        text = VS + "  hosts: [a]\n  http:\n" + "  - route: [{destination: {host: a}, weight: 50}]\n" * 2
        assert len(resource(text).spec.http) == 2


class TestDuplicates:
    """One object of each kind, namespace and name."""

    def test_the_second_is_refused(self) -> None:
        text = SERVICE + "  ports: []\n---\n" + SERVICE + "  ports: []\n"
        found = load(text)
        assert len(found.resources) == 1
        (problem,) = found.diagnostics
        assert problem.code is Code.OBJECT_DUPLICATE
        assert str(problem.at) == "f.yaml:9:12 metadata.name"
        assert [str(one) for one in problem.related] == ["f.yaml:3:12 metadata.name"]

    def test_versions_of_one_kind_are_one(self) -> None:
        text = VS + "  hosts: [a]\n---\n" + VS.replace("/v1", "/v1beta1") + "  hosts: [a]\n"
        assert only(text).code is Code.OBJECT_DUPLICATE

    def test_others_are_apart(self) -> None:
        others = [SERVICE, SERVICE.replace("name: web", "name: web, namespace: b"), SERVICE.replace("web", "w"), DR]
        found = load("---\n".join(others))
        assert (len(found.resources), found.diagnostics) == (4, ())

    def test_objects_with_errors_count(self) -> None:
        found = load(f"{SERVICE}  zz: 1\n---\n{SERVICE}")
        assert [one.code for one in found.diagnostics] == [Code.FIELD_UNKNOWN, Code.OBJECT_DUPLICATE]
        assert found.resources == ()

    def test_names_to_be_made_up_do_not_meet(self) -> None:
        pod = POD.replace("name: p", "generateName: p-") + "  containers: []\n"
        assert [type(one) for one in load(f"{pod}---\n{pod}").resources] == [Pod, Pod]


TEN = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: front
  namespace: shop
  labels:
    version: 1.10
spec:
  hosts: front
  http:
  - match:
    - uri:
      prefix: /v2
    route:
      destination:
        host: web
    timeout: 5
  - rout:
    - destination:
        subset: v1
      weight: "10"
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: web
spec:
  host: web
  host: other
  trafficPolicy:
    loadBalancer:
      simple: round_robin
      consistentHash: {useSourceIp: true}
"""


class TestGolden:
    """A file with ten mistakes, all told at once."""

    def test_ten_mistakes(self) -> None:
        golden = Path(__file__).parents[2] / "golden" / "load-ten-mistakes.txt"
        said = "\n".join(render(one) for one in load_text(TEN, "shop.yaml").diagnostics) + "\n"
        assert said == golden.read_text(encoding="utf-8")


class TestBounds:
    """What hostile texts get."""

    def test_errors_end_somewhere(self) -> None:
        text = "".join(f"apiVersion: v1\nkind: Service\nmetadata: {{name: a{n}, zz: 1}}\n---\n" for n in range(1500))
        found = load(text)
        assert len(found.diagnostics) == 1001
        assert {one.code for one in found.diagnostics} == {Code.FIELD_UNKNOWN, Code.TEXT_REFUSED}
        last = found.diagnostics[-1]
        assert (last.code, last.message, last.at.line) == (Code.TEXT_REFUSED, "more than 1000 errors", 4003)

    def test_notes_do_not_end_a_text(self) -> None:
        found = load("apiVersion: v1\nkind: Secret\n---\n" * 1500 + SERVICE)
        assert (len(found.diagnostics), len(found.resources)) == (1500, 1)

    def test_objects_that_are_too_large(self) -> None:
        text = VS + "  hosts: [" + "a, " * 100_001 + "]\n"
        problem = only(text)
        assert (problem.code, problem.message) == (Code.TEXT_REFUSED, "object with more than 100000 values")

    def test_lists_may_be_larger(self) -> None:
        items = ",".join(f'{{"metadata":{{"name":"n{n}","labels":{{"a":"b"}}}}}}' for n in range(30_000))
        found = load(f'{{"apiVersion":"v1","kind":"NodeList","items":[{items}]}}')
        assert (len(found.resources), found.diagnostics) == (30_000, ())

    @pytest.mark.parametrize(("label", "repair"), [("", False), ("1", False), ("1", True)])
    def test_objects_with_endless_slips(self, label: str, repair: bool) -> None:
        labels = "".join(f"    k{n}: {label}\n" for n in range(30_000))
        found = load(f"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels:\n{labels}", repair=repair)
        assert found.resources == ()
        assert found.diagnostics[-1].message.startswith("more than 1000 ")

    def test_many_duplicate_keys(self) -> None:
        keys = [f"  k{n}: x\n" for n in range(50_000)]
        found = load("a:\n" + "".join(keys) + "".join(keys))
        assert found.diagnostics[-1].message == "more than 1000 errors"


_RESOLUTIONS = "`dns` is not one of `NONE`, `STATIC`, `DNS`, `DNS_ROUND_ROBIN` or `DYNAMIC_DNS`"
ENTRY = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: "


@pytest.mark.parametrize(
    ("spec", "message", "path"),
    [
        ("{hosts: []}", "fewer than 1 items", "spec.hosts"),
        (f"{{hosts: [{', '.join(['a'] * 257)}]}}", "more than 256 items", "spec.hosts"),
        ("{hosts: [a], ports: [{number: 0, name: a}]}", "`0` is less than 1", "spec.ports[0].number"),
        ("{hosts: [a], resolution: dns}", _RESOLUTIONS, "spec.resolution"),
        (
            "{hosts: [a], workloadSelector: {}, endpoints: []}",
            "at most one of `workloadSelector` or `endpoints` may be set: `workloadSelector` and `endpoints` are",
            "spec",
        ),
        (
            f"{{hosts: [a], endpoints: [{{ports: {{{', '.join(f'a{one}: 1' for one in range(129))}}}}}]}}",
            "more than 128 items",
            "spec.endpoints[0].ports",
        ),
    ],
)
def test_how_many_there_may_be(spec: str, message: str, path: str) -> None:
    (problem,) = load(ENTRY + spec + "\n").diagnostics
    assert (problem.message, problem.at.path, problem.severity) == (message, path, Severity.ERROR)


def test_what_was_read_twice_is_equal() -> None:
    for text, kind in ((SERVICE, Service), (DR, DestinationRule)):
        first, second = (load(text).resources[0] for _ in range(2))
        assert isinstance(first, kind)
        assert first == second
        assert first != load(text.replace("web", "other")).resources[0]
        moved = load("\n\n" + text).resources[0]
        assert moved == first
        assert moved.at("metadata").line == first.at("metadata").line + 2
