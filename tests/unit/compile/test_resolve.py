"""Names, wildcards and visibility: facts that Istio's own tests assert.

Source    istio/istio: pilot/pkg/model/config_test.go, push_context_test.go, pkg/config/host/name_test.go, names_test.go
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from meshroute.compile.resolve import age, covers, gateway_name, most_specific, resolve, specificity, visibility
from meshroute.manifest import ObjectMeta, Service


class TestResolve:
    """TestResolveShortnameToFQDN."""

    def test_a_short_name_is_completed(self) -> None:
        assert resolve("foo", "default") == "foo.default.svc.cluster.local"

    @pytest.mark.parametrize("name", ["42.185.131.210", "2a00:4000::614", "*", "foo.bar", ""])
    def test_these_stay_as_they_are(self, name: str) -> None:
        assert resolve(name, "default") == name

    def test_a_name_with_its_namespace_is_not_completed(self) -> None:
        """A famous surprise: `reviews.prod` means no Kubernetes service."""
        assert resolve("reviews.prod", "shop") == "reviews.prod"

    def test_a_wildcard_without_a_dot_is_completed(self) -> None:
        assert resolve("*foo", "default") == "*foo.default.svc.cluster.local"


class TestCovers:
    """TestNameSubsetOf, the other way round: the wider name stands first."""

    @pytest.mark.parametrize(
        ("host", "name", "expected"),
        [
            ("*.com", "*.foo.com", True),
            ("*.foo.com", "*.com", False),
            ("foo.com", "*.foo.com", False),
            ("*", "com", True),
            ("*", "*", True),
            ("*", "", True),
            ("foo.com", "foo.com", True),
            ("foo.com", "bar.foo.com", False),
            ("*.foo.com", "foo.com", False),
            ("*foo.com", "foo.com", True),
            ("*foo.com", "xfoo.com", True),
            ("*.facebook.COM", "a.facebook.com", False),
            ("foo.*", "foo.com", False),
        ],
    )
    def test_it_covers(self, host: str, name: str, expected: bool) -> None:
        assert covers(host, name) is expected


class TestSpecificity:
    """TestNamesSortOrder, TestMoreSpecific, TestMostSpecificHostMatch."""

    def test_the_order(self) -> None:
        names = ["foo.com", "bar.com", "*.com", "*.foo.com", "*", "baz.bar.com"]
        assert sorted(names, key=specificity) == ["baz.bar.com", "bar.com", "foo.com", "*.foo.com", "*.com", "*"]

    def test_a_longer_wildcard_goes_before_a_shorter_one_of_another_kind(self) -> None:
        assert specificity("*.example.co.in") < specificity("*.example.com")
        assert specificity("example.net") < specificity("*.example.com")

    @pytest.mark.parametrize(
        ("hosts", "name", "expected"),
        [
            (["*.foo.com", "*.com"], "bar.foo.com", "*.foo.com"),
            (["*.foo.com", "*.com"], "foo.com", "*.com"),
            (["*.com", "foo.com"], "foo.com", "foo.com"),
            (["bar.com", "*.foo.com"], "*foo.com", None),
            (["foo.com", "*.foo.com"], "*foo.com", None),
            (["bar.com", "foo.com"], "*.com", None),
            (["bar.foo.com", "foo.bar.com"], "*.foo.com", None),
            (["*", "*.com"], "*.foo.com", "*.com"),
            ([], "foo.com", None),
        ],
    )
    def test_the_most_specific(self, hosts: list[str], name: str, expected: str | None) -> None:
        assert most_specific(hosts, name) == expected


class TestVisibility:
    """TestVirtualServiceWithExportTo."""

    @pytest.mark.parametrize(
        ("export_to", "owner", "client", "expected"),
        [
            ([], "test1", "random", "public"),
            (["*"], "test1", "random", "public"),
            ([".", "ns1"], "test1", "test1", "private"),
            ([".", "ns1"], "test1", "ns1", "exported"),
            ([".", "ns1"], "test1", "test2", "hidden"),
            (["test2", "ns1", "test1"], "test2", "test1", "exported"),
            (["test2", "ns1", "test1"], "test2", "test2", "private"),
            (["test1", "test2", "*"], "test3", "random", "public"),
            (["ns1"], "test1", "test1", "hidden"),
            (["~"], "test1", "test1", "hidden"),
            (["~", "ns1"], "test1", "ns1", "hidden"),
            (["~", "*"], "test1", "ns1", "public"),
            (["n*"], "test1", "ns1", "hidden"),
        ],
    )
    def test_how_a_client_comes_to_see_it(self, export_to: list[str], owner: str, client: str, expected: str) -> None:
        assert visibility(export_to, owner, client) == expected


class TestGatewayName:
    """How gateways are named in a resource of namespace `shop`."""

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("mesh", "mesh"),
            ("edge", "shop/edge"),
            ("./edge", "shop/edge"),
            ("infra/edge", "infra/edge"),
            ("edge.infra.svc.cluster.local", "infra/edge"),
            ("edge.infra", "infra/edge"),
        ],
    )
    def test_it_is_completed(self, written: str, expected: str) -> None:
        assert gateway_name(written, "shop") == expected


class TestAge:
    """Oldest first, then by name, then by namespace; without a time it counts as old."""

    def test_the_order(self) -> None:
        def made(name: str, namespace: str, day: int | None) -> Service:
            at = None if day is None else datetime(2026, 1, day, tzinfo=UTC)
            return Service(metadata=ObjectMeta(name=name, namespace=namespace, creation_timestamp=at))

        in_order = [
            made("z", "z", None),
            made("a", "b", 1),
            made("b", "a", 1),
            made("b", "b", 1),
            made("a", "a", 2),
        ]
        written = [in_order[at] for at in (3, 0, 4, 2, 1)]
        assert sorted(written, key=age) == in_order
