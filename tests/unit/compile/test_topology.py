"""Places: how localities are written, and what the labels of pods, nodes and clients say of them."""

from __future__ import annotations

import pytest

from meshroute.compile.topology import Client, Place, canonical, client, described, of_label, of_node, parts_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ""),
        ("/", ""),
        ("eu", "eu//"),
        ("eu/eu-1", "eu/eu-1/"),
        ("eu/eu-1/", "eu/eu-1/"),
        ("eu//a", "eu//a"),
        ("/eu-1", "/eu-1/"),
        ("eu/eu-1/a/b", "eu/eu-1/a"),
    ],
)
def test_a_locality_has_one_form(written: str, expected: str) -> None:
    assert canonical(written) == expected
    assert parts_of(canonical(written)) == parts_of(expected)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, ""),
        ({"istio-locality": "eu.eu-1.a"}, "eu/eu-1/a"),
        ({"istio-locality": "eu/eu.1/a"}, "eu/eu.1/a"),
        ({"istio-locality": "eu", "topology.istio.io/locality": ""}, ""),
        ({"istio-locality": "eu", "topology.istio.io/locality": "us"}, "us//"),
    ],
)
def test_the_label_of_a_pod(labels: dict[str, str], expected: str) -> None:
    """Dots stand for slashes where there is no slash."""
    assert of_label(labels) == expected


def test_the_labels_of_a_node() -> None:
    old = {"failure-domain.beta.kubernetes.io/region": "r", "failure-domain.beta.kubernetes.io/zone": "z"}
    assert of_node({}) == ""
    assert of_node(old) == "r/z/"
    assert of_node({**old, "topology.kubernetes.io/zone": "new", "topology.istio.io/subzone": "s"}) == "r/new/s"


def test_labels_of_a_place_go_before_those_that_are_written() -> None:
    written = {"app": "web", "topology.kubernetes.io/region": "us", "topology.kubernetes.io/zone": "us-1"}
    assert described(written, Place("eu//", "n1"), "c") == {
        "app": "web",
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "us-1",
        "topology.istio.io/cluster": "c",
        "kubernetes.io/hostname": "n1",
    }
    assert described(written, Place(), "") == written


@pytest.mark.parametrize(
    ("labels", "locality", "expected"),
    [
        ({}, "", ""),
        ({"topology.kubernetes.io/region": "us"}, "eu", "eu//"),
        ({"topology.kubernetes.io/region": "us", "istio-locality": "eu"}, "", "us//"),
        ({"topology.kubernetes.io/region": "", "istio-locality": "eu"}, "", ""),
        ({"istio-locality": "eu.1"}, "", "eu/1/"),
    ],
)
def test_where_a_client_stands(labels: dict[str, str], locality: str, expected: str) -> None:
    """What it is given, else its three labels if one of them is there, else its one label."""
    assert client(labels, locality, "").locality == expected


def test_a_client_has_the_label_of_its_cluster() -> None:
    assert client({}, "", "c") == Client("", {"topology.istio.io/cluster": "c"})
