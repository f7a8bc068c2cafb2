"""Listeners that do not read every request as Envoy configuration: addresses, chains, networks, server names.

Source    spec/connect.md CONNECT-1 to CONNECT-5; envoyproxy/envoy: api/envoy/config/listener/v3,
          api/envoy/extensions/filters/network/tcp_proxy/v3
Inputs    one routing table: listeners keep their own addresses and ports, so a proxy has only one such table.
Exactness laid out as Istio lays it out: one door is bound, on a loopback port that the system picks, and hands every
          connection to the listener of the address that the client connected to, or of the port alone.
Errors    RenderError for what Envoy cannot be told.
Left out  chains that end TLS, which need a certificate.

Nothing is redirected to the proxy here: the client names both ends of its connection itself, in a PROXY protocol header
before anything else. So destinations and sources may be any addresses, and none of them is ever opened.

What became of a connection is in the log, a JSON object with LOG_FIELDS on each line, `client` being the source that
the header named. Requests that are read are answered with `ANSWER_HEADERS`, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

from msgspec.structs import replace

from meshroute.conformance.envoy import Json, RenderError, reader, render
from meshroute.table import Chain, Forward, HashOnSourceIp, Listener, RoutingTable

DOOR: Final = "door"
"""The one listener that is bound."""
READ: Final = "requests"
"""The name of chains that read requests, in the log and in the configuration."""
OTHERWISE: Final = "otherwise"
"""The name of chains for connections that no listener is for."""
LOG_FIELDS: Final[Mapping[str, str]] = {
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "chain": "%FILTER_CHAIN_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "host": "%UPSTREAM_HOST%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%CONNECTION_TERMINATION_DETAILS%",
}
"""What the log says of each connection; null where there is nothing to say."""

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions"
_READ_IN_THE_CLEAR: Final = ("http/1.0", "http/1.1", "h2c")
_ANY: Final[Mapping[int, str]] = {4: "0.0.0.0", 6: "::"}


def render_connections(table: RoutingTable, log: str) -> Json:
    """A bootstrap in which listener DOOR of 127.0.0.1 takes connections as the table says. `log` is the file for what
    became of them. Raises RenderError. No I/O.
    """
    bootstrap = render([replace(table, listeners=())])
    bootstrap["static_resources"]["listeners"] = [
        _door(table, log),
        *(_listener(number, one, table.otherwise, log) for number, one in enumerate(table.listeners)),
    ]
    return bootstrap


def _door(table: RoutingTable, log: str) -> Json:
    """Who takes every connection first, and keeps those that no listener is for."""
    chain: Json = {"name": OTHERWISE, "filters": [_cluster(f"0:{table.otherwise}")]}
    if not table.otherwise:  # Envoy wants a chain; nobody connects to this address
        chain = {**chain, "filter_chain_match": {"prefix_ranges": [_range("255.255.255.255/32")]}}
    return {
        "name": DOOR,
        "address": _socket("127.0.0.1", 0),
        "use_original_dst": True,
        "listener_filters": [_listener_filter("proxy_protocol", "ProxyProtocol")],
        "filter_chains": [chain],
        "access_log": [_log(log)],
    }


def _listener(number: int, listener: Listener, otherwise: str, log: str) -> Json:
    where = f"port {listener.port}"
    if listener.names and not listener.address:
        raise RenderError(f"{where}: Envoy knows addresses, and no names that they were looked up by")
    if not listener.address:
        address = {
            "address": _socket(_ANY[4], listener.port),
            "additional_addresses": [{"address": _socket(_ANY[6], listener.port)}],
        }
    else:
        address = {"address": _socket(listener.address, listener.port)}
    chains = [_chain(listener, one, where) for one in listener.chains]
    if listener.virtual_hosts or listener.sniffs or not listener.chains:
        asked = {"application_protocols": _READ_IN_THE_CLEAR} if listener.sniffs else {}
        chains.append({"name": READ, "filters": [_reader(listener)], "filter_chain_match": asked})
    filters = []
    if any(one.server_names for one in listener.chains) or listener.sniffs:
        filters.append(_listener_filter("tls_inspector", "TlsInspector"))
    if listener.sniffs:
        filters.append(_listener_filter("http_inspector", "HttpInspector"))
    return {
        "name": f"{number}",
        **address,
        "bind_to_port": False,
        "listener_filters": filters,
        **(_with_default(chains, otherwise) if listener.falls_through else {"filter_chains": chains}),
        "access_log": [_log(log)],
    }


def _with_default(chains: list[Json], otherwise: str) -> Json:
    """The chain that asks for nothing stands behind all others, or else the one for connections without a listener."""
    asking = [one for one in chains if any(one["filter_chain_match"].values())]
    default = next((one for one in chains if one not in asking), None)
    if default is None:
        default = {"name": OTHERWISE, "filters": [_cluster(f"0:{otherwise}")]} if otherwise else None
    if default is None or not asking:
        return {"filter_chains": chains}
    return {"filter_chains": asking, "default_filter_chain": default}


def _chain(listener: Listener, chain: Chain, where: str) -> Json:
    if chain.ends_tls:
        raise RenderError(f"{where}: a proxy that ends TLS needs a certificate")
    if chain.forward is not None:
        name, filters = chain.name, [_forward(chain.forward, where)]
    else:
        name, filters = READ, [_reader(replace(listener, virtual_hosts=chain.virtual_hosts))]
    return {
        "name": name,
        "filters": filters,
        "filter_chain_match": {
            "prefix_ranges": [_range(one) for one in chain.destinations],
            "server_names": list(chain.server_names),
        },
    }


def _reader(listener: Listener) -> Json:
    return reader(0, listener)


def _range(network: str) -> Json:
    parsed = ip_network(network, strict=False)
    return {"address_prefix": str(parsed.network_address), "prefix_len": parsed.prefixlen}


def _forward(forward: Forward, where: str) -> Json:
    if any(not isinstance(one, HashOnSourceIp) for one in forward.hash_policies):
        raise RenderError(f"{where}: of a connection only the client's address can be hashed")
    hashed: Json = {"hash_policy": [{"source_ip": {}}]} if forward.hash_policies else {}
    if len(forward.clusters) == 1:
        return _cluster(f"0:{forward.clusters[0].cluster}", hashed)
    some = [{"name": f"0:{one.cluster}", "weight": one.weight} for one in forward.clusters if one.weight]
    if not some:
        raise RenderError(f"{where}: the weights of a chain's clusters come to nothing")
    return _tcp_proxy({"weighted_clusters": {"clusters": some}, **hashed})


def _cluster(name: str, more: Mapping[str, Any] | None = None) -> Json:
    return _tcp_proxy({"cluster": name, **(more or {})})


def _tcp_proxy(config: Json) -> Json:
    kind = f"{_EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy"
    return {
        "name": "tcp",
        "typed_config": {"@type": kind, "stat_prefix": "tcp", **config},
    }


def _listener_filter(name: str, message: str) -> Json:
    kind = f"{_EXTENSIONS}.filters.listener.{name}.v3.{message}"
    return {"name": f"envoy.filters.listener.{name}", "typed_config": {"@type": kind}}


def _log(path: str) -> Json:
    kind = f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog"
    config = {"@type": kind, "path": path, "log_format": {"json_format": dict(LOG_FIELDS)}}
    return {"name": "log", "typed_config": config}


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}
