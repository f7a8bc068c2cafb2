"""What Envoy cannot be told about connections is refused, with where it is; the rest is written as Envoy reads it."""

from __future__ import annotations

import pytest

from meshroute.conformance.envoy import RenderError, render
from meshroute.conformance.envoy_connections import DOOR, OTHERWISE, READ, render_connections
from meshroute.names import ClusterName
from meshroute.table import Chain, Forward, HashOnHeader, Listener, RoutingTable, VirtualHost, WeightedCluster

TO_A = Forward((WeightedCluster(ClusterName("a")),))
ANY = Chain(TO_A, name="any")
NET = Chain(TO_A, name="net", destinations=("10.1.2.3/8",))
HOSTS = (VirtualHost("h", ("*",), ()),)


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (Listener(9, (), names=("db",), chains=(ANY,)), "port 9: Envoy knows addresses, and no names"),
        (Listener(9, (), chains=(Chain(TO_A, ends_tls=True),)), "port 9: a proxy that ends TLS needs a certificate"),
        (
            Listener(9, (), chains=(Chain(Forward(TO_A.clusters, (HashOnHeader("x"),))),)),
            "port 9: of a connection only the client's address can be hashed",
        ),
        (
            Listener(9, (), chains=(Chain(Forward((WeightedCluster(ClusterName("a"), 0),) * 2)),)),
            "port 9: the weights of a chain's clusters come to nothing",
        ),
    ],
)
def test_what_has_no_configuration_is_refused(listener: Listener, said: str) -> None:
    with pytest.raises(RenderError, match=said):
        render_connections(RoutingTable((listener,), ()), "log")


@pytest.mark.parametrize(
    "listener",
    [
        Listener(9, (), chains=(ANY,)),
        Listener(9, HOSTS, address="10.0.0.1"),
        Listener(9, HOSTS, names=("db",)),
        Listener(9, HOSTS, sniffs=True),
    ],
)
def test_many_tables_in_one_proxy_read_everything(listener: Listener) -> None:
    with pytest.raises(RenderError, match="port 9: listeners that do not read every request need a proxy of their own"):
        render([RoutingTable((listener,), ())])


@pytest.mark.parametrize(
    ("listener", "chains", "default"),
    [
        (Listener(9, (), chains=(NET, ANY)), ["net", "any"], None),
        (Listener(9, (), chains=(NET, ANY), falls_through=True), ["net"], "any"),
        (Listener(9, (), chains=(NET,), falls_through=True), ["net"], OTHERWISE),
        (Listener(9, (), chains=(ANY,), falls_through=True), ["any"], None),
        (Listener(9, HOSTS, chains=(NET,), falls_through=True), ["net"], READ),
        (Listener(9, HOSTS, chains=(NET, ANY), sniffs=True, falls_through=True), ["net", READ], "any"),
    ],
)
def test_a_listener_that_falls_through_has_a_default_chain(
    listener: Listener, chains: list[str], default: str | None
) -> None:
    made = render_connections(RoutingTable((listener,), (), ClusterName("a")), "log")
    door, written = made["static_resources"]["listeners"]
    assert (door["name"], door["filter_chains"][0]["name"]) == (DOOR, OTHERWISE)
    assert [one["name"] for one in written["filter_chains"]] == chains
    assert written.get("default_filter_chain", {}).get("name") == default


def test_networks_are_written_without_the_bits_behind_them() -> None:
    made = render_connections(RoutingTable((Listener(9, (), chains=(NET,)),), ()), "log")
    asked = made["static_resources"]["listeners"][1]["filter_chains"][0]["filter_chain_match"]
    assert asked == {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}], "server_names": []}
