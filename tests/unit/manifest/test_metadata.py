"""What all manifests share: strictness, durations, times, names, places."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from meshroute.diagnostics import FieldPath, SourceRef
from meshroute.manifest import Node, ObjectMeta, Service, VirtualService
from meshroute.manifest.istio import VirtualServiceSpec
from meshroute.manifest.metadata import Duration, kind_of, placed, quoted


class TestDurations:
    """Go's time.ParseDuration, exact."""

    @pytest.mark.parametrize(
        ("text", "nanoseconds"),
        [
            ("5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            ("100ms", 100_000_000),
            ("1h", 3_600_000_000_000),
            ("1h30m5s", 5_405_000_000_000),
            ("1.1h", 3_960_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("10μs", 10_000),
            ("3ns", 3),
            ("0.1ns", 0),
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("-1.5h", -5_400_000_000_000),
            ("+1s", 1_000_000_000),
            ("1m1ms", 60_001_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("9223372036854775807ns", 2**63 - 1),
            ("-9223372036854775808ns", -(2**63)),
        ],
    )
    def test_read(self, text: str, nanoseconds: int) -> None:
        assert Duration.parse(text) == Duration(text, nanoseconds)
        assert str(Duration.parse(text)) == text

    @pytest.mark.parametrize(
        "text", ["", "5", "s", ".s", "-", "1.5", "5 s", "1d", "1s ", "1e3s", "５s", "1s-1s", "9" * 300 + "s"]
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a duration"):
            Duration.parse(text)

    def test_too_long(self) -> None:
        with pytest.raises(ValueError, match="too long"):
            Duration.parse("9223372036854775808ns")

    @given(
        parts=st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us", "ns"])), min_size=1)
    )
    def test_parts_add_up(self, parts: list[tuple[int, str]]) -> None:
        units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
        text = "".join(f"{number}{unit}" for number, unit in parts)[:256]
        if len(text) < 256:
            assert Duration.parse(text).nanoseconds == sum(number * units[unit] for number, unit in parts)


class TestTimes:
    """RFC 3339, always with a zone."""

    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
            ("2024-05-01t12:00:00.25z", datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
            ("2024-05-01T12:00:00+02:30", datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2, minutes=30)))),
            ("2024-05-01T12:00:00.123456789-01:00", datetime(2024, 5, 1, 13, 0, 0, 123_456, tzinfo=UTC)),
        ],
    )
    def test_read(self, text: str, time: datetime) -> None:
        assert ObjectMeta.model_validate({"creationTimestamp": text}).creation_timestamp == time

    @pytest.mark.parametrize(
        "text", ["2024-05-01", "2024-05-01T12:00:00", "2024-13-01T12:00:00Z", "now", "0000-01-01T00:00:00Z", 5, True]
    )
    def test_refused(self, text: object) -> None:
        with pytest.raises(ValidationError):
            ObjectMeta.model_validate({"creationTimestamp": text})


class TestStrictness:
    @pytest.mark.parametrize(
        "fields",
        [
            {"name": 1},
            {"name": b"a"},
            {"labels": {"a": 1}},
            {"labels": {"a": True}},
            {"labels": {1: "a"}},
            {"labels": [("a", "b")]},
            {"nmae": "a"},
        ],
    )
    def test_nothing_is_coerced_and_nothing_is_unknown(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ObjectMeta.model_validate(fields)

    def test_frozen(self) -> None:
        with pytest.raises(ValidationError):
            ObjectMeta(name="a").name = "b"  # type: ignore[misc] # that it is refused is the point

    def test_fields_that_nothing_reads_are_kept_where_they_are_written(self) -> None:
        meta = ObjectMeta.model_validate({"uid": "x", "finalizers": ["f"]})
        assert meta.model_extra == {"uid": "x", "finalizers": ["f"]}
        assert ObjectMeta().model_extra == {}


class _Here:
    def at(self, path: FieldPath) -> SourceRef:
        return SourceRef("f.yaml", 3, len(path))


class TestResources:
    def test_names_and_subjects(self) -> None:
        service = Service(metadata=ObjectMeta(name="web"))
        assert (service.name, service.namespace, service.subject) == ("web", "default", "Service default/web")
        made_up = Service(metadata=ObjectMeta(generate_name="web-", namespace="shop"))
        assert (made_up.name, made_up.subject) == ("web-", "Service shop/web-")
        node = Node(metadata=ObjectMeta(name="w", namespace="ignored"))
        assert (node.namespace, node.subject) == ("", "Node w")

    def test_places(self) -> None:
        front = VirtualService(metadata=ObjectMeta(name="a"), spec=VirtualServiceSpec(hosts=("a",)))
        assert front.at("spec", "hosts", 0) == SourceRef("", 0, 0, "spec.hosts[0]")
        assert front.at() == SourceRef("")
        placed(front, _Here())
        assert front.at("spec", "hosts") == SourceRef("f.yaml", 3, 2)

    def test_places_are_no_part_of_equality(self) -> None:
        one, other = (Service(metadata=ObjectMeta(name="web")) for _ in range(2))
        placed(one, _Here())
        assert one == other
        assert one != Service(metadata=ObjectMeta(name="other"))

    def test_they_travel(self) -> None:
        front = VirtualService(metadata=ObjectMeta(name="a"), spec=VirtualServiceSpec(hosts=("a",)))
        placed(front, _Here())
        back = pickle.loads(pickle.dumps(front))
        assert back == front
        assert back.at("spec") == front.at("spec")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (True, "boolean"), (1, "integer"), (1.5, "number"), ("", "string"), ([], "array"), ({}, "object")],
)
def test_kinds_have_their_json_names(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_lists_of_words() -> None:
    assert [quoted(["a"]), quoted(["a", "b"]), quoted(("a", "b", "c"), "and")] == [
        "`a`",
        "`a` or `b`",
        "`a`, `b` and `c`",
    ]


def test_a_time_without_a_zone_is_utc_so_that_ages_can_be_compared() -> None:
    """Built in Python; a manifest's times have a zone."""
    naive = ObjectMeta(creation_timestamp=datetime(2026, 1, 1)).creation_timestamp
    aware = ObjectMeta(creation_timestamp=datetime(2026, 1, 1, tzinfo=UTC)).creation_timestamp
    assert naive == aware
