"""TCP and TLS rules as chains: what Istio's own code does where its documentation is silent.

Source    istio/istio: pilot/pkg/networking/core/{tls.go,networkfilter.go}
"""

from __future__ import annotations

from typing import Any

import pytest

from meshroute.compile.destination import NOTHING
from meshroute.compile.l4 import ConnectionRules, sni
from meshroute.compile.resolve import MESH
from meshroute.compile.routes import Asker
from meshroute.compile.service import Port, Protocol
from meshroute.compile.viewpoint import MeshConfig
from meshroute.manifest import ObjectMeta, VirtualService
from meshroute.manifest.istio import VirtualServiceSpec
from meshroute.names import Host
from meshroute.table import Chain

DB = Host("db.shop.svc.cluster.local")
TCP = Port(3306, "tcp", Protocol.TCP)
TLS = Port(443, "tls", Protocol.TLS)


def route(subset: str, weight: int = 0) -> dict[str, Any]:
    return {"destination": {"host": "db", "subset": subset}, "weight": weight}


def rules(name: str = "db", **spec: Any) -> VirtualService:
    made = VirtualServiceSpec.model_validate({"hosts": ["db"], **spec})
    return VirtualService(metadata=ObjectMeta(name=name, namespace="shop"), spec=made)


def compiler(labels: dict[str, str] | None = None, namespace: str = "shop", gateway: str = MESH) -> ConnectionRules:
    return ConnectionRules(Asker(frozenset((gateway,)), labels or {}, namespace), lambda _: NOTHING, MeshConfig())


def summary(chains: Any) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Of each chain the subset of its first cluster, the networks and the names."""

    def subset(chain: Chain) -> str:
        assert chain.forward is not None
        return chain.forward.clusters[0].cluster.split("|")[2]

    return [(subset(one), one.destinations, one.server_names) for one in chains]


class TestTcp:
    """The walk over TCP rules."""

    def test_without_rules_the_service_itself(self) -> None:
        assert summary(compiler().chains([], DB, TCP)) == [("", (), ())]

    def test_a_rule_without_networks_ends_the_walk(self) -> None:
        one = rules(tcp=[{"route": [route("first")]}, {"route": [route("second")]}])
        other = rules("other", tcp=[{"route": [route("third")]}])
        assert summary(compiler().chains([one, other], DB, TCP)) == [("first", (), ())]

    def test_networks_stand_beside_the_service_s_own(self) -> None:
        one = rules(tcp=[{"match": [{"destinationSubnets": ["10.0.0.0/8"]}], "route": [route("net")]}])
        other = rules("other", tcp=[{"match": [{"port": 3306}], "route": [route("all")]}])
        found = compiler().chains([one, other], DB, TCP, ("10.9.0.0/16",))
        assert summary(found) == [("net", ("10.0.0.0/8",), ()), ("all", ("10.9.0.0/16",), ())]

    def test_the_networks_of_all_matches_that_hold_are_one_chain(self) -> None:
        matches = [
            {"destinationSubnets": ["10.0.0.0/8"]},
            {"port": 1, "destinationSubnets": ["11.0.0.0/8"]},
            {"destinationSubnets": ["12.0.0.0/8"]},
        ]
        found = compiler().chains([rules(tcp=[{"match": matches, "route": [route("net")]}])], DB, TCP)
        assert summary(found) == [("net", ("10.0.0.0/8", "12.0.0.0/8"), ()), ("", (), ())]

    def test_the_service_s_own_networks_in_a_rule_take_the_place_of_its_default(self) -> None:
        networks = ("10.0.0.0/8", "11.0.0.0/8")
        one = rules(tcp=[{"match": [{"destinationSubnets": list(reversed(networks))}], "route": [route("net")]}])
        assert [name for name, _, _ in summary(compiler().chains([one], DB, TCP, networks))] == ["net"]

    def test_tls_rules_mean_nothing_here(self) -> None:
        one = rules(tls=[{"match": [{"sniHosts": ["db"]}], "route": [route("deaf")]}])
        assert summary(compiler().chains([one], DB, TCP)) == [("", (), ())]


class TestWhoAsks:
    """All of a match must hold."""

    @pytest.mark.parametrize(
        ("match", "applies"),
        [
            ({"port": 3306}, True),
            ({"port": 3307}, False),
            ({"sourceLabels": {"app": "web"}}, True),
            ({"sourceLabels": {"app": "api"}}, False),
            ({"sourceNamespace": "shop"}, True),
            ({"sourceNamespace": "bank"}, False),
            ({"gateways": ["mesh"]}, True),
            ({"gateways": ["edge"]}, False),
            ({"gateways": ["mesh"], "sourceLabels": {"app": "api"}}, False),
            ({"port": 3306, "sourceLabels": {"app": "web"}, "sourceNamespace": "bank"}, False),
        ],
    )
    def test_each_field(self, match: dict[str, Any], applies: bool) -> None:
        one = rules(tcp=[{"match": [match], "route": [route("mine")]}])
        assert summary(compiler({"app": "web"}).chains([one], DB, TCP)) == [("mine" if applies else "", (), ())]


class TestTls:
    """A chain for each match."""

    def test_each_match_once(self) -> None:
        matches = [{"sniHosts": ["a", "b"]}, {"sniHosts": ["c"]}]
        one = rules(tls=[{"match": matches, "route": [route("first")]}])
        other = rules("other", tls=[{"match": matches[:1], "route": [route("late")]}])
        found = compiler().chains([one, other], DB, TLS, (), ("db",))
        assert summary(found) == [("first", (), ("a", "b")), ("first", (), ("c",))]

    def test_one_that_does_not_hold_leaves_its_names_to_others(self) -> None:
        one = rules(tls=[{"match": [{"sniHosts": ["a"], "sourceLabels": {"app": "x"}}], "route": [route("x")]}])
        other = rules("other", tls=[{"match": [{"sniHosts": ["a"]}], "route": [route("all")]}])
        assert summary(compiler().chains([one, other], DB, TLS)) == [("all", (), ("a",))]
        assert summary(compiler({"app": "x"}).chains([one, other], DB, TLS)) == [("x", (), ("a",))]

    def test_networks_are_those_of_the_matches_behind_it_too(self) -> None:
        """One variable holds them through the whole walk."""
        matches = [{"sniHosts": ["a"]}, {"sniHosts": ["b"], "destinationSubnets": ["10.0.0.0/8"]}, {"sniHosts": ["c"]}]
        found = compiler().chains([rules(tls=[{"match": matches, "route": [route("v")]}])], DB, TLS, ("11.0.0.0/8",))
        assert [networks for _, networks, _ in summary(found)] == [("11.0.0.0/8",), ("10.0.0.0/8",), ("10.0.0.0/8",)]

    def test_where_none_holds_the_service_by_the_names_given(self) -> None:
        one = rules(
            tls=[{"match": [{"sniHosts": ["a"], "port": 1}], "route": [route("deaf")]}],
            tcp=[{"route": [route("deaf")]}],
        )
        found = compiler().chains([one], DB, TLS, ("10.0.0.0/8",), ("db",))
        assert summary(found) == [("", ("10.0.0.0/8",), ("db",))]

    def test_names_that_a_proxy_refuses_are_left_out(self) -> None:
        matches = [{"sniHosts": ["*-a.b"]}, {"sniHosts": ["a.*.b", "c"]}, {"sniHosts": ["*.b"]}]
        found = compiler().chains([rules(tls=[{"match": matches, "route": [route("v")]}])], DB, TLS)
        assert summary(found) == [("v", (), ("*.b",))]

    def test_any_name_is_no_condition(self) -> None:
        assert sni(["A.Example", "*.b"]) == ("a.example", "*.b")
        assert sni(["a", "*"]) == ()


class TestDestinations:
    """Clusters, weights, ports."""

    def forward(self, *destinations: dict[str, Any]) -> list[tuple[str, int]]:
        (chain,) = compiler().chains([rules(tcp=[{"route": list(destinations)}])], DB, TCP)
        assert chain.forward is not None
        return [(one.cluster, one.weight) for one in chain.forward.clusters]

    def test_a_lone_one_has_everything(self) -> None:
        assert self.forward(route("v1", 0)) == [("outbound|3306|v1|db.shop.svc.cluster.local", 1)]
        assert self.forward(route("v1", 7)) == [("outbound|3306|v1|db.shop.svc.cluster.local", 1)]

    def test_of_several_those_without_weight_have_nothing(self) -> None:
        found = self.forward(route("v1", 3), route("v2", 0), route("v3", 1))
        assert [(name.split("|")[2], weight) for name, weight in found] == [("v1", 3), ("v3", 1)]

    def test_a_port_of_its_own(self) -> None:
        found = self.forward({"destination": {"host": "other", "port": {"number": 5432}}})
        assert found == [("outbound|5432||other.shop.svc.cluster.local", 1)]

    def test_the_rule_is_named(self) -> None:
        (chain,) = compiler().chains([rules(tcp=[{"route": [route("v1")]}])], DB, TCP)
        assert str(chain.rule) == "VirtualService shop/db tcp[0]"
