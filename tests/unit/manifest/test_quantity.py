"""Quantities as the API server reads them, and the Nodes that say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.manifest import Node
from meshroute.manifest.quantity import Quantity, thousandths

NANO = 10**9


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("4", 4 * NANO),
        ("+4", 4 * NANO),
        ("-4", -4 * NANO),
        ("0", 0),
        ("00.50", NANO // 2),
        (".5", NANO // 2),
        ("5.", 5 * NANO),
        ("3920m", 3_920_000_000),
        ("1500u", 1_500_000),
        ("7n", 7),
        ("0.9n", 1),
        ("-0.9n", -1),
        ("0.0000000001", 1),
        ("1k", 1000 * NANO),
        ("1Ki", 1024 * NANO),
        ("1.5Gi", 3 * 2**29 * NANO),
        ("1E", 10**18 * NANO),
        ("1Ei", 2**60 * NANO),
        ("8Ei", (2**63 - 1) * NANO),
        ("9223372036854775808", 2**63 * NANO),
        ("1e3", 1000 * NANO),
        ("12E-1", 1_200_000_000),
        ("1e+1", 10 * NANO),
        (" 2 ", 2 * NANO),
        ("1e999999999", 10**60 * NANO),
        ("1e-999999999", 1),
    ],
)
def test_read(text: str, nanos: int) -> None:
    """What is finer than a nano is rounded away from 0; what is out of all bounds is kept within some."""
    read = Quantity.parse(text)
    assert (read.nanos, str(read)) == (nanos, text.strip())


@pytest.mark.parametrize(
    "text",
    ["", "four", ".", "-", "1.2.3", "1 k", "1K", "1ki", "1mi", "1e", "1e1.5", "0x10", "５", "4m4", "1e3k", "9" * 65],
)
def test_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match="not a quantity: write a number"):
        Quantity.parse(text)


@given(st.integers(0, 10**15), st.integers(0, 10**9 - 1))
def test_a_number_is_the_same_in_every_unit(whole: int, rest: int) -> None:
    """Written as a decimal fraction, and in billionths."""
    nanos = whole * NANO + rest
    assert Quantity.parse(f"{whole}.{rest:09}").nanos == Quantity.parse(f"{nanos}n").nanos == nanos
    assert (thousandths(nanos) - 1) * 10**6 < nanos <= thousandths(nanos) * 10**6


def test_a_node_says_texts_and_numbers() -> None:
    """As YAML has them, or Python; whatever resource it is."""
    text = "{{apiVersion: v1, kind: Node, metadata: {{name: a}}, status: {{allocatable: {{cpu: {}, memory: 16Gi}}}}}}"
    for written in ("3.5", "'3.5'", "3500m", "35e-1"):
        (node,) = mr.loads(text.format(written)).resources
        assert isinstance(node, Node)
        assert node.status is not None
        assert node.status.allocatable["cpu"].nanos == 3_500_000_000
    built = Node.model_validate({"metadata": {"name": "a"}, "status": {"allocatable": {"cpu": Quantity.parse("4")}}})
    assert built.status is not None
    assert built.status.allocatable["cpu"] == Quantity("4", 4 * NANO)


@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        ("four", mr.Code.FIELD_VALUE, "not a quantity"),
        ("true", mr.Code.FIELD_TYPE, "must be of type string or number: `true` is of type boolean"),
        ("[4]", mr.Code.FIELD_TYPE, "must be of type string or number"),
    ],
)
def test_what_is_no_quantity_is_told_in_its_place(written: str, code: mr.Code, said: str) -> None:
    text = f"apiVersion: v1\nkind: Node\nmetadata: {{name: a}}\nstatus:\n  allocatable:\n    cpu: {written}\n"
    with pytest.raises(mr.ManifestError) as caught:
        mr.loads(text)
    (found,) = caught.value.diagnostics
    assert (found.code, found.at.line, found.at.path) == (code, 6, "status.allocatable.cpu")
    assert said in found.message
