"""The article's slips, read as they were meant, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from meshroute.diagnostics import Code, Severity
from meshroute.load import Loaded, load_text
from meshroute.manifest import Deployment, DestinationRule, Resource, Service, VirtualService

VS = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: front, namespace: shop}\nspec:\n"
HOSTS = VS + "  hosts: [web]\n  http:\n"


def load(text: str, repair: Any = True) -> Loaded:
    return load_text(text, "f.yaml", repair=repair)


def said(found: Loaded) -> list[tuple[Code, str]]:
    assert {one.severity for one in found.diagnostics} <= {Severity.WARNING}
    return [(one.code, str(one.at)) for one in found.diagnostics]


def only(found: Loaded) -> Any:
    (resource,) = found.resources
    return resource


def plain(resource: Resource) -> Any:
    return resource.model_dump(mode="json", by_alias=True, exclude_defaults=True, fallback=str)


class TestLabels:
    """REPAIRED_LABEL_VALUE: what YAML took for a number or boolean is the text that was written."""

    @pytest.mark.parametrize("label", ["1", "1.10", "1e3", "012", "0x1F", "1_000", "yes", "off", "true", "-.5", ".inf"])
    def test_the_text_is_what_was_written(self, label: str) -> None:
        found = load(f"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels:\n    version: {label}\n")
        assert only(found).metadata.labels == {"version": label}
        assert said(found) == [(Code.REPAIRED_LABEL_VALUE, "f.yaml:6:5 metadata.labels.version")]
        assert found.diagnostics[0].message == (f'label `version: {label}` is not text: read as `version: "{label}"`')
        assert found.diagnostics[0].subject == "Service default/a"

    def test_everywhere_in_a_deployment(self) -> None:
        text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, labels: {version: 1}}
spec:
  selector: {matchLabels: {version: 1}}
  template:
    metadata: {labels: {version: 1}}
    spec: {containers: []}
"""
        found = load(text)
        read = only(found)
        assert isinstance(read, Deployment)
        assert read.spec.selector.match_labels == read.spec.template.metadata.labels == {"version": "1"}
        assert [place for _, place in said(found)] == [
            "f.yaml:3:30 metadata.labels.version",
            "f.yaml:5:28 spec.selector.matchLabels.version",
            "f.yaml:7:25 spec.template.metadata.labels.version",
        ]

    def test_subsets_selectors_and_sources(self) -> None:
        rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n"
        rule += "  host: web\n  subsets: [{name: v1}, {name: v2, labels: {version: 2}}]\n"
        rule += "  workloadSelector: {matchLabels: {version: 3}}\n"
        read = only(load(rule))
        assert isinstance(read, DestinationRule)
        assert read.spec.subsets[1].labels == {"version": "2"}
        assert read.spec.workload_selector is not None
        assert read.spec.workload_selector.match_labels == {"version": "3"}
        service = only(load("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {version: 1}}\n"))
        assert isinstance(service, Service)
        assert service.spec.selector == {"version": "1"}
        front = only(load(HOSTS + "  - match: [{sourceLabels: {version: 1}}]\n"))
        assert front.spec.http[0].match[0].source_labels == {"version": "1"}

    @pytest.mark.parametrize(
        ("kind", "spec", "path"),
        [
            ("Gateway", "{selector: {a: 1}}", "spec.selector.a"),
            ("Sidecar", "{workloadSelector: {labels: {a: 1}}}", "spec.workloadSelector.labels.a"),
            ("WorkloadEntry", "{address: a, labels: {a: 1}}", "spec.labels.a"),
            ("WorkloadGroup", "{template: {labels: {a: 1}}}", "spec.template.labels.a"),
            ("WorkloadGroup", "{metadata: {labels: {a: 1}}, template: {}}", "spec.metadata.labels.a"),
            (
                "ServiceEntry",
                "{hosts: [a], workloadSelector: {labels: {a: 1}}}",
                "spec.workloadSelector.labels.a",
            ),
            ("ServiceEntry", "{hosts: [a], endpoints: [{labels: {a: 1}}]}", "spec.endpoints[0].labels.a"),
        ],
    )
    def test_istio_s_other_kinds(self, kind: str, spec: str, path: str) -> None:
        found = load(f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")
        assert [(code, place.partition(" ")[2]) for code, place in said(found)] == [(Code.REPAIRED_LABEL_VALUE, path)]
        assert len(found.resources) == 1

    @pytest.mark.parametrize("label", ["[1]", "{a: 1}"])
    def test_containers_are_left_alone(self, label: str) -> None:
        found = load(f"apiVersion: v1\nkind: Service\nmetadata: {{name: a, labels: {{version: {label}}}}}\n")
        assert [one.code for one in found.diagnostics] == [Code.FIELD_TYPE]

    def test_annotations_are_left_alone(self) -> None:
        found = load("apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {version: 1}}\n")
        assert [one.code for one in found.diagnostics] == [Code.FIELD_TYPE]

    def test_labels_that_share_an_anchor(self) -> None:
        text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n"
        text += "  host: web\n  subsets: [{name: a, labels: &l {version: 1}}, {name: b, labels: *l}]\n"
        assert [one.labels for one in only(load(text)).spec.subsets] == [{"version": "1"}] * 2


class TestUri:
    """REPAIRED_URI_MATCH."""

    @pytest.mark.parametrize("kind", ["exact", "prefix", "regex"])
    def test_what_stands_beside_belongs_to_the_uri(self, kind: str) -> None:
        found = load(HOSTS + f"  - match:\n    - uri:\n      {kind}: /v2\n")
        assert plain(only(found))["spec"]["http"] == [{"match": [{"uri": {kind: "/v2"}}]}]
        assert said(found) == [(Code.REPAIRED_URI_MATCH, f"f.yaml:9:7 spec.http[0].match[0].{kind}")]
        assert only(found).at("spec", "http", 0, "match", 0, "uri", kind).line == 9
        assert only(found).at("spec", "http", 0, "match", 0, "uri").line == 8

    @pytest.mark.parametrize(
        "match",
        ["{prefix: /a}", "{uri: {exact: /}, prefix: /a}", "{uri: , prefix: /a, exact: /b}", "{uri: , prefix: 1}"],
    )
    def test_other_shapes_are_left_alone(self, match: str) -> None:
        found = load(HOSTS + f"  - match: [{match}]\n")
        assert Code.FIELD_UNKNOWN in {one.code for one in found.diagnostics}
        assert Code.REPAIRED_URI_MATCH not in {one.code for one in found.diagnostics}


class TestRoute:
    """REPAIRED_ROUTE_MAPPING."""

    def test_a_mapping_is_a_list_of_one(self) -> None:
        found = load(HOSTS + "  - route:\n      destination:\n        host: web\n        subset: v2\n")
        assert plain(only(found))["spec"]["http"] == [{"route": [{"destination": {"host": "web", "subset": "v2"}}]}]
        assert said(found) == [(Code.REPAIRED_ROUTE_MAPPING, "f.yaml:7:5 spec.http[0].route")]
        assert only(found).at("spec", "http", 0, "route", 0, "destination", "subset").line == 10

    def test_a_mapping_without_destination_is_left_alone(self) -> None:
        assert [one.code for one in load(HOSTS + "  - route: {host: web}\n").diagnostics] == [Code.FIELD_TYPE]

    def test_tcp_and_tls(self) -> None:
        text = VS + "  hosts: [web]\n  tcp: [{route: {destination: {host: a}}}]\n"
        text += "  tls: [{match: [{sniHosts: [b]}], route: {destination: {host: b}}}]\n"
        front = only(load(text))
        assert [front.spec.tcp[0].route[0].destination.host, front.spec.tls[0].route[0].destination.host] == ["a", "b"]


class TestHosts:
    """REPAIRED_HOSTS."""

    def test_host_is_hosts(self) -> None:
        found = load(VS + "  host: web\n")
        assert only(found).spec.hosts == ("web",)
        assert said(found) == [(Code.REPAIRED_HOSTS, "f.yaml:5:3 spec.host")]
        assert str(only(found).at("spec", "hosts", 0)) == "f.yaml:5:3 spec.hosts[0]"

    @pytest.mark.parametrize("spec", ["hosts: [a]\n  host: b", "host: [b]", "host: 1"])
    def test_other_shapes_are_left_alone(self, spec: str) -> None:
        assert Code.FIELD_UNKNOWN in {one.code for one in load(VS + f"  {spec}\n").diagnostics}


class TestSplit:
    """REPAIRED_SPLIT_WEIGHTS."""

    @staticmethod
    def rule(subset: str, weight: object) -> str:
        return f"  - route:\n    - destination:\n        host: web\n        subset: {subset}\n      weight: {weight}\n"

    def test_two_rules_are_one(self) -> None:
        found = load(HOSTS + self.rule("v1", 99) + self.rule("v2", 1))
        front = only(found)
        assert [(one.destination.subset, one.weight) for one in front.spec.http[0].route] == [("v1", 99), ("v2", 1)]
        assert said(found) == [(Code.REPAIRED_SPLIT_WEIGHTS, "f.yaml:7:5 spec.http[0]")]
        assert [str(one) for one in found.diagnostics[0].related] == ["f.yaml:12:5 spec.http[1]"]
        assert "99/1" in found.diagnostics[0].message
        assert [front.at("spec", "http", 0, "route", one, "weight").line for one in (0, 1)] == [11, 16]

    def test_rules_before_and_after_stay(self) -> None:
        first = "  - match: [{uri: {prefix: /a}}]\n    route: [{destination: {host: a}}]\n"
        last = "  - match: [{uri: {prefix: /b}}]\n    route: {destination: {host: b}}\n"
        text = HOSTS + first + self.rule("v1", 1) + self.rule("v2", 2) + self.rule("v3", 3) + last
        front = only(load(text))
        assert isinstance(front, VirtualService)
        assert [len(rule.route) for rule in front.spec.http] == [1, 3, 1]
        lines = text.split("\n")
        assert lines[front.at("spec", "http", 2, "match").line - 1] == "  - match: [{uri: {prefix: /b}}]"
        assert lines[front.at("spec", "http", 2, "route", 0, "destination").line - 1].endswith("{host: b}}")
        assert lines[front.at("spec", "http", 1, "route", 2, "weight").line - 1] == "      weight: 3"
        assert front.at("spec", "http", 1, "route", 2, "weight").path == "spec.http[1].route[2].weight"

    def test_after_routes_became_lists(self) -> None:
        text = HOSTS + "".join(
            f"  - route:\n      destination: {{host: {host}}}\n      weight: {weight}\n"
            for host, weight in (("a", 1), ("b", 2))
        )
        found = load(text)
        assert sorted(said(found)) == [
            (Code.REPAIRED_ROUTE_MAPPING, "f.yaml:10:5 spec.http[1].route"),
            (Code.REPAIRED_ROUTE_MAPPING, "f.yaml:7:5 spec.http[0].route"),
            (Code.REPAIRED_SPLIT_WEIGHTS, "f.yaml:7:5 spec.http[0]"),
        ]
        front = only(found)
        assert [one.weight for one in front.spec.http[0].route] == [1, 2]
        assert [front.at("spec", "http", 0, "route", one, "weight").line for one in (0, 1)] == [9, 12]

    @pytest.mark.parametrize(
        "second",
        [
            "  - match: [{uri: {prefix: /}}]\n    route: [{destination: {host: web}, weight: 1}]\n",
            "  - route: [{destination: {host: web}}]\n",
            "  - route: [{destination: {host: web}, weight: 1}, {destination: {host: b}, weight: 1}]\n",
            "  - route: [{destination: {host: web}, weight: 1}]\n    timeout: 5s\n",
            "  - redirect: {uri: /}\n",
        ],
    )
    def test_other_rules_are_left_alone(self, second: str) -> None:
        text = HOSTS + self.rule("v1", 99) + second
        assert load(text) == load(text, repair=False)


class TestChoice:
    """Which repairs are allowed."""

    TEXT = VS + "  host: web\n  http: [{route: {destination: {host: a}}}]\n"

    def test_some(self) -> None:
        for repair in ([Code.REPAIRED_HOSTS], {"repaired-hosts"}, "repaired-hosts"):
            assert [one.code for one in load(self.TEXT, repair).diagnostics] == [Code.REPAIRED_HOSTS, Code.FIELD_TYPE]

    def test_none(self) -> None:
        assert load(self.TEXT, ()) == load(self.TEXT, False)

    def test_a_repair_that_does_not_exist(self) -> None:
        with pytest.raises(ValueError, match="no such repair: nothing; known: repaired-label-value"):
            load(self.TEXT, ["nothing"])

    def test_items_of_lists(self) -> None:
        text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: VirtualService\n"
        text += "  metadata: {name: a}\n  spec: {host: web}\n"
        found = load(text)
        assert said(found) == [(Code.REPAIRED_HOSTS, "f.yaml:7:10 items[0].spec.host")]
        assert str(only(found).at("spec", "hosts")) == "f.yaml:7:10 items[0].spec.hosts"
