"""A routing table as Envoy configuration, so that the real proxy can be asked what the engine is asked.

Source    spec/match.md, spec/route.md, spec/balance.md, spec/subsets.md; envoyproxy/envoy: api/envoy/config
Inputs    routing tables; each keeps its listeners and clusters to itself, so one proxy can serve many tables.
Exactness what a table says is written down and nothing else is configured, but for what Istio sets for every proxy:
          paths with fragments accepted, RE2 programs of up to 32,768 instructions. Endpoints keep their addresses,
          because rings hash them, and their order, because turns go by it.
Errors    RenderError for what Envoy cannot be told, with where it is in the table.
Left out  the cluster for ports without a listener: no listener, nobody to ask. Header changes in levels that no route
          or virtual host has alone: see `_levels`.

Nothing is ever sent upstream. Every upstream connection is bound to the loopback address, so that the kernel refuses to
connect it to any other machine; Envoy then answers 503 with the flag UF and says which host it had chosen. That is how
a request that would be forwarded looks. (An endpoint on a loopback address with somebody listening would be served.)

Every answer that Envoy makes itself carries the headers below. A request pins the draw `stream` with STREAM_HEADER and
names the connection's destination with DESTINATION_HEADER.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from ipaddress import ip_address
from itertools import groupby
from typing import Any, Final, TypeAlias, assert_never

from meshroute.balance import weights_of
from meshroute.match.re2.engine import ISTIO_PROGRAM_SIZE
from meshroute.names import ClusterName
from meshroute.table import (
    Absent,
    Action,
    AllOf,
    AnyOf,
    Append,
    Arrival,
    AuthorityLiteral,
    AuthorityOfEndpoint,
    AuthorityOfHeader,
    AuthorityOfPath,
    AuthorityRewrite,
    Between,
    Choice,
    Cluster,
    Contains,
    CookieMatch,
    Endpoint,
    EscapedSlashes,
    Exact,
    ExactMap,
    Fallback,
    FormatRewrite,
    Forward,
    HashFunction,
    HashOnCookie,
    HashOnFilterState,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    HeaderChange,
    HeaderChanges,
    HeaderIs,
    HeaderMatch,
    LeastRequest,
    Listener,
    Maglev,
    Matcher,
    MetadataMatch,
    Mirror,
    Not,
    Ordered,
    OriginalDestination,
    OutlierDetection,
    PathMatch,
    PathRewrite,
    Pattern,
    Portion,
    Predicate,
    Prefix,
    PrefixMap,
    PrefixRewrite,
    Present,
    QueryMatch,
    QueryValue,
    RandomChoice,
    Redirect,
    RegexRewrite,
    RequireTls,
    Respond,
    Retries,
    RetryHosts,
    RingHash,
    RoundRobin,
    Route,
    RoutingTable,
    Segments,
    SlowStart,
    StripPort,
    Subsets,
    SubsetSelector,
    Suffix,
    Template,
    TemplateRewrite,
    TextMatch,
    Tunnel,
    VirtualHost,
    WeightedCluster,
    ZoneAware,
    routes_of,
)

STREAM_HEADER: Final = "x-meshroute-stream"
"""In a request: the draw `stream`, in decimal."""
DESTINATION_HEADER: Final = "x-meshroute-destination"
"""In a request: `ip:port` that the client connected to, for clusters that forward there."""
ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "x-meshroute-flags": "%RESPONSE_FLAGS%",
    "x-meshroute-details": "%RESPONSE_CODE_DETAILS%",
    "x-meshroute-route": "%ROUTE_NAME%",
    "x-meshroute-cluster": "%UPSTREAM_CLUSTER_RAW%",
    "x-meshroute-host": "%UPSTREAM_HOST%",
}
"""In an answer: response flags (`-`: none), the detail word, route, cluster (see `cluster_of`) and chosen endpoint."""

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_MAX_BODY = 1024 * 1024
"""Istio's limit for bodies of direct responses."""

Json: TypeAlias = dict[str, Any]


class RenderError(ValueError):
    """Something in a table that has no Envoy configuration, or one that Envoy refuses."""


def render(tables: Sequence[RoutingTable], *, custom_methods: bool = False) -> Json:
    """A bootstrap in which listener `listener_name(i, port)` of 127.0.0.1, on a port that the system picks, answers as
    table i does on that port; the admin interface is on such a port too.

    `custom_methods` lets HTTP/1 requests have any method, as HTTP/2 ones do; Envoy's own default answers 400 to those
    whose method it does not know. Raises RenderError. No I/O.

    >>> render([RoutingTable((), ())])["static_resources"]
    {'listeners': [], 'clusters': []}
    """
    for table in tables:
        for one in table.listeners:
            if one.address or one.names or one.chains or one.sniffs:
                raise RenderError(
                    f"port {one.port}: listeners that do not read every request need a proxy of their own"
                )
    around = {(one.locality, f"{number}:{one.local_cluster}") for number, one in enumerate(tables) if one.local_cluster}
    if len(around) > 1 or len({one.locality for one in tables}) > 1:
        raise RenderError("one proxy has one locality and one local cluster, and these tables have several")
    return {
        "admin": {"address": _address("127.0.0.1", 0)},
        **_node(tables, around),
        "layered_runtime": {
            "layers": [
                {
                    "name": "as Istio sets it",
                    "static_layer": {
                        "envoy.reloadable_features.http_reject_path_with_fragment": _rejects_fragments(tables),
                        "re2.max_program_size.error_level": ISTIO_PROGRAM_SIZE,
                    },
                }
            ]
        },
        "static_resources": {
            "listeners": [
                _listener(number, listener, custom_methods)
                for number, table in enumerate(tables)
                for listener in table.listeners
            ],
            "clusters": [_cluster(number, one) for number, table in enumerate(tables) for one in table.clusters],
        },
    }


def _rejects_fragments(tables: Sequence[RoutingTable]) -> bool:
    which = {listener.arrival.reject_fragments for table in tables for listener in table.listeners}
    if len(which) > 1:
        raise RenderError("one proxy rejects fragments or does not, and these listeners are of both kinds")
    return True in which


def _node(tables: Sequence[RoutingTable], around: Set[tuple[str, str]]) -> Json:
    locality = next((one.locality for one in tables), "")
    node: Json = {"id": "meshroute", "cluster": "meshroute", "locality": locality_of(locality)} if locality else {}
    local = next((name for _, name in around), "")
    return {
        **({"node": node} if node else {}),
        **({"cluster_manager": {"local_cluster_name": local}} if local else {}),
    }


def listener_name(table: int, port: int) -> str:
    """What the listener of a table's port is called."""
    return f"{table}:{port}"


def cluster_of(said: str) -> ClusterName:
    """The cluster that an answer names, as its table calls it; empty for none."""
    return ClusterName(said.partition(":")[2])


def _cluster_name(table: int, name: str) -> str:
    return _text(f"{table}:{name}", f"the name of cluster `{name}`")


def _listener(table: int, listener: Listener, custom_methods: bool) -> Json:
    return {
        "name": listener_name(table, listener.port),
        "address": _address("127.0.0.1", 0),
        "filter_chains": [{"filters": [reader(table, listener, custom_methods=custom_methods)]}],
    }


def reader(table: int, listener: Listener, *, custom_methods: bool = False) -> Json:
    """The network filter that reads requests for a listener. Raises RenderError."""
    where = f"port {listener.port}"
    manager = {
        "@type": _HCM,
        "stat_prefix": "http",
        **_arrival(listener.arrival, where),
        "http_protocol_options": {"allow_custom_methods": custom_methods},
        "http_filters": [*_filters(listener), {"name": "router", "typed_config": {"@type": _ROUTER}}],
        "local_reply_config": {"mappers": [_SAY_WHY]},
        "route_config": {
            "validate_clusters": False,
            "ignore_port_in_host_matching": listener.ignore_port,
            "ignore_path_parameters_in_path_matching": listener.ignore_path_parameters,
            "vhost_header": _text(listener.host_header, where),
            "max_direct_response_body_size_bytes": _MAX_BODY,
            **_changes(*_shared(listener.virtual_hosts, 2, where), where),
            "virtual_hosts": [_virtual_host(table, host, where) for host in listener.virtual_hosts],
        },
    }
    if _has_tunnels(listener):  # a proxy that is not told so answers 403 to CONNECT
        manager["upgrade_configs"] = [{"upgrade_type": "CONNECT"}]
    return {"name": "http", "typed_config": manager}


def _arrival(arrival: Arrival, where: str) -> Json:
    if arrival.strip_port is StripPort.MATCHING:
        raise RenderError(f"{where}: the system picks the proxy's port, so no authority has it")
    return {
        "generate_request_id": arrival.request_ids,
        "use_remote_address": arrival.edge,
        "normalize_path": arrival.normalize,
        "merge_slashes": arrival.merge_slashes,
        "path_with_escaped_slashes_action": _ESCAPED_SLASHES[arrival.escaped_slashes],
        "strip_any_host_port": arrival.strip_port is StripPort.ANY,
        "strip_trailing_host_dot": arrival.strip_final_dot,
    }


_ESCAPED_SLASHES: Final[Mapping[EscapedSlashes, str]] = {
    EscapedSlashes.KEEP: "KEEP_UNCHANGED",
    EscapedSlashes.REJECT: "REJECT_REQUEST",
    EscapedSlashes.FORWARD: "UNESCAPE_AND_FORWARD",
    EscapedSlashes.REDIRECT: "UNESCAPE_AND_REDIRECT",
}


def _has_tunnels(listener: Listener) -> bool:
    return any(isinstance(one.match.path, Tunnel) for host in listener.virtual_hosts for one in routes_of(host))


_SAY_WHY: Final[Json] = {
    "filter": {  # every status
        "status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 0, "runtime_key": "unset"}}}
    },
    "headers_to_add": [{"header": {"key": key, "value": value}} for key, value in ANSWER_HEADERS.items()],
}


def _virtual_host(table: int, host: VirtualHost, where: str) -> Json:
    where = f"{where}, virtual host `{host.name}`"
    if not host.name or not host.domains:
        raise RenderError(f"{where}: it needs a name and a domain")
    return {
        "name": _text(host.name, where),
        "domains": [_text(domain, f"{where}, domain `{domain}`") for domain in host.domains],
        "require_tls": _REQUIRE_TLS[host.require_tls],
        **_changes(*_shared((host,), 1, where), where),
        **({"matcher": _matcher(table, host.matcher, f"{where}, matcher")} if host.matcher is not None else {}),
        "routes": [_route(table, one, f"{where}, route {number}") for number, one in enumerate(host.routes)],
    }


_REQUIRE_TLS: Final[Mapping[RequireTls, str]] = {
    RequireTls.NONE: "NONE",
    RequireTls.EXTERNAL: "EXTERNAL_ONLY",
    RequireTls.ALL: "ALL",
}


def _matcher(table: int, matcher: Matcher, where: str) -> Json:
    """A matcher as Envoy writes it; one that leads straight to routes is one that nothing fits."""
    if isinstance(matcher, Choice):
        return {"on_no_match": _led(table, matcher, where)}
    no_match = {} if matcher.otherwise is None else {"on_no_match": _led(table, matcher.otherwise, where)}
    match matcher:
        case ExactMap(header, some) | PrefixMap(header, some):
            kind = "exact_match_map" if isinstance(matcher, ExactMap) else "prefix_match_map"
            if not some:
                raise RenderError(f"{where}: Envoy wants at least one branch here")
            branches = {_text(key, where): _led(table, led, f"{where}, `{key}`") for key, led in some.items()}
            return {"matcher_tree": {"input": _input(header, where), kind: {"map": branches}}, **no_match}
        case Ordered(cases):
            matchers = [
                {"predicate": _predicate(predicate, where), "on_match": _led(table, led, where)}
                for predicate, led in cases
            ]
            if not matchers:
                raise RenderError(f"{where}: Envoy wants at least one predicate here")
            return {"matcher_list": {"matchers": matchers}, **no_match}
        case _:
            assert_never(matcher)


def _led(table: int, matcher: Matcher, where: str) -> Json:
    if not isinstance(matcher, Choice):
        return {"matcher": _matcher(table, matcher, where)}
    routes = [_route(table, one, f"{where}, route {number}") for number, one in enumerate(matcher.routes)]
    kind = "type.googleapis.com/envoy.config.route.v3.RouteList"
    return {"action": {"name": "routes", "typed_config": {"@type": kind, "routes": routes}}}


def _input(header: str, where: str) -> Json:
    kind = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    return {"name": "header", "typed_config": {"@type": kind, "header_name": _given(header, where)}}


def _predicate(predicate: Predicate, where: str) -> Json:
    match predicate:
        case AllOf(some) | AnyOf(some):
            if len(some) < 2:
                raise RenderError(f"{where}: Envoy wants at least two predicates here")
            kind = "and_matcher" if isinstance(predicate, AllOf) else "or_matcher"
            return {kind: {"predicate": [_predicate(one, where) for one in some]}}
        case Not(one):
            return {"not_matcher": _predicate(one, where)}
        case HeaderIs(header, value):
            asked = _condition(value, where)["string_match"]
            if isinstance(value, Pattern):  # the same message, of another package: there the engine must be named
                asked["safe_regex"]["google_re2"] = {}
            return {"single_predicate": {"input": _input(header, where), "value_match": asked}}
        case _:
            assert_never(predicate)


def _route(table: int, route: Route, where: str) -> Json:
    asked = route.match
    return {
        "name": _text(route.name, where),
        "match": {
            **_path(asked.path, where),
            "headers": [_header(one, f"{where}, header `{one.name}`") for one in asked.headers],
            "query_parameters": [_query(one, f"{where}, parameter `{one.name}`") for one in asked.query],
            "cookies": [_cookie(one, f"{where}, cookie `{one.name}`") for one in asked.cookies],
            "dynamic_metadata": [_noted(one, f"{where}, metadata `{one.source}`") for one in asked.metadata],
            **({"grpc": {}} if asked.grpc else {}),
            **({"runtime_fraction": {"default_value": _portion(asked.portion)}} if asked.portion is not None else {}),
        },
        **_changes(*_own_levels(route), where),
        **_filter_settings(route, where),
        **_action(table, route.action, where),
    }


def _levels(levels: Sequence[HeaderChanges]) -> tuple[HeaderChanges, HeaderChanges, HeaderChanges]:
    """Those of the route, of its virtual host, and of all of them."""
    if len(levels) > 3:
        raise RenderError("a proxy has three levels of header changes: route, virtual host, all virtual hosts")
    route, host, everywhere, *_ = (*levels, _UNCHANGED, _UNCHANGED, _UNCHANGED)
    return route, host, everywhere


def _own_levels(route: Route) -> tuple[HeaderChanges, HeaderChanges]:
    return _levels(route.request_headers)[0], _levels(route.response_headers)[0]


def _shared(hosts: Sequence[VirtualHost], level: int, where: str) -> tuple[HeaderChanges, HeaderChanges]:
    """The changes of a level that routes have in common: of requests, and of answers."""
    routes = [route for host in hosts for route in routes_of(host)]
    found = {(_levels(one.request_headers)[level], _levels(one.response_headers)[level]) for one in routes}
    if len(found) > 1:
        raise RenderError(f"{where}: its routes change headers differently where a proxy changes them for all")
    return found.pop() if found else (_UNCHANGED, _UNCHANGED)


_UNCHANGED: Final = HeaderChanges()


def _changes(requests: HeaderChanges, answers: HeaderChanges, where: str) -> Json:
    said = {
        "request_headers_to_add": [_change(one, where) for one in requests.add],
        "request_headers_to_remove": [_given(one, where) for one in requests.remove],
        "response_headers_to_add": [_change(one, where) for one in answers.add],
        "response_headers_to_remove": [_given(one, where) for one in answers.remove],
    }
    return {name: value for name, value in said.items() if value}


def _change(one: HeaderChange, where: str) -> Json:
    return {
        "header": {"key": _given(one.name, where), "value": _text(one.value, where)},
        "append_action": _APPEND[one.how],
        "keep_empty_value": one.keep_empty,
    }


_APPEND: Final[Mapping[Append, str]] = {
    Append.APPEND: "APPEND_IF_EXISTS_OR_ADD",
    Append.IF_ABSENT: "ADD_IF_ABSENT",
    Append.OVERWRITE: "OVERWRITE_IF_EXISTS_OR_ADD",
    Append.OVERWRITE_IF_PRESENT: "OVERWRITE_IF_EXISTS",
}


def _filters(listener: Listener) -> list[Json]:
    """The filters before the router, as Istio orders them, as far as a route asks for them."""
    routes = [route for host in listener.virtual_hosts for route in routes_of(host)]
    wanted = []
    if any(one.cors is not None for one in routes):
        wanted.append(_CORS)
    if any(one.fault is not None for one in routes):
        wanted.append(_FAULT)
    return [{"name": f"envoy.filters.http.{name}", "typed_config": {"@type": kind}} for name, kind, _ in wanted]


_FILTERS: Final = "type.googleapis.com/envoy.extensions.filters.http"
_CORS: Final = ("cors", f"{_FILTERS}.cors.v3.Cors", f"{_FILTERS}.cors.v3.CorsPolicy")
_FAULT: Final = ("fault", f"{_FILTERS}.fault.v3.HTTPFault", f"{_FILTERS}.fault.v3.HTTPFault")


def _filter_settings(route: Route, where: str) -> Json:
    settings: Json = {}
    if route.cors is not None:
        policy = route.cors
        settings[f"envoy.filters.http.{_CORS[0]}"] = {
            "@type": _CORS[2],
            "allow_origin_string_match": [_condition(one, where)["string_match"] for one in policy.origins],
            "allow_methods": _text(policy.methods, where),
            "allow_headers": _text(policy.headers, where),
            "expose_headers": _text(policy.expose, where),
            "max_age": _text(policy.max_age, where),
            "allow_credentials": policy.credentials,
            "forward_not_matching_preflights": policy.forward_unmatched,
        }
    if route.fault is not None:
        fault: Json = {"@type": _FAULT[2]}
        if (delay := route.fault.delay) is not None:
            fault["delay"] = {"fixed_delay": _seconds(delay.milliseconds), "percentage": _portion(delay.portion)}
        if (abort := route.fault.abort) is not None:
            status = {"http_status": abort.status} if abort.grpc_status is None else {"grpc_status": abort.grpc_status}
            fault["abort"] = {**status, "percentage": _portion(abort.portion)}
        settings[f"envoy.filters.http.{_FAULT[0]}"] = fault
    return {"typed_per_filter_config": settings} if settings else {}


def _path(wanted: PathMatch, where: str) -> Json:
    match wanted:
        case Exact(value, ignore_case):
            return {"path": _text(value, where), "case_sensitive": not ignore_case}
        case Prefix(value, ignore_case):
            return {"prefix": _text(value, where), "case_sensitive": not ignore_case}
        case Pattern(regex):
            return {"safe_regex": _pattern(regex, where)}
        case Segments(value, ignore_case):
            return {"path_separated_prefix": _given(value, where), "case_sensitive": not ignore_case}
        case Template(value):
            return {"path_match_policy": _template("match", "UriTemplateMatchConfig", "path_template", value, where)}
        case Tunnel():
            return {"connect_matcher": {}}
        case _:
            assert_never(wanted)


def _template(what: str, config: str, field: str, value: str, where: str) -> Json:
    kind = f"envoy.extensions.path.{what}.uri_template.v3.{config}"
    return {
        "name": f"envoy.path.{what}.uri_template.uri_template_{what}r",
        "typed_config": {"@type": f"type.googleapis.com/{kind}", field: _given(value, where)},
    }


def _cookie(wanted: CookieMatch, where: str) -> Json:
    return {"name": _given(wanted.name, where), **_condition(wanted.value, where), "invert_match": wanted.invert}


def _noted(wanted: MetadataMatch, where: str) -> Json:
    """A text, or a list with such a text in it."""
    if not wanted.path:
        raise RenderError(f"{where}: Envoy wants a path of at least one key")
    if isinstance(wanted.value, Between):
        raise RenderError(f"{where}: what is noted is no number in decimal")
    any_text = {"string_match": {"safe_regex": {"regex": "(?s).*"}}}
    text = any_text if isinstance(wanted.value, Present) else _condition(wanted.value, where)
    return {
        "filter": _given(wanted.source, where),
        "path": [{"key": _given(key, where)} for key in wanted.path],
        "value": {"or_match": {"value_matchers": [text, {"list_match": {"one_of": text}}]}},
        "invert": wanted.invert,
    }


def _portion(portion: Portion) -> Json:
    return {"numerator": portion.numerator, "denominator": _DENOMINATORS[portion.denominator]}


_DENOMINATORS: Final[Mapping[int, str]] = {100: "HUNDRED", 10_000: "TEN_THOUSAND", 1_000_000: "MILLION"}


def _header(wanted: HeaderMatch, where: str) -> Json:
    if wanted.joined:
        raise RenderError(f"{where}: Envoy 1.40 joins lines only if it is told so at its start, for all conditions")
    return {
        "name": _given(wanted.name, where),
        **_condition(wanted.value, where),
        "invert_match": wanted.invert,
        "treat_missing_header_as_empty": wanted.missing_is_empty,
    }


def _query(wanted: QueryMatch, where: str) -> Json:
    return {"name": _given(wanted.name, where), **_condition(wanted.value, where)}


def _condition(wanted: TextMatch | QueryValue, where: str) -> Json:
    match wanted:
        case Exact(value, ignore_case):
            return {"string_match": {"exact": _text(value, where), "ignore_case": ignore_case}}
        case Prefix(value, ignore_case):
            return {"string_match": {"prefix": _given(value, where), "ignore_case": ignore_case}}
        case Suffix(value, ignore_case):
            return {"string_match": {"suffix": _given(value, where), "ignore_case": ignore_case}}
        case Contains(value, ignore_case):
            return {"string_match": {"contains": _given(value, where), "ignore_case": ignore_case}}
        case Between(start, end):
            return {"range_match": {"start": start, "end": end}}
        case Pattern(regex):
            return {"string_match": {"safe_regex": _pattern(regex, where)}}
        case Present():
            return {"present_match": True}
        case Absent():
            return {"present_match": False}
        case _:
            assert_never(wanted)


def _pattern(regex: str, where: str) -> Json:
    return {"regex": _given(regex, where)}


def _action(table: int, action: Action, where: str) -> Json:
    match action:
        case Respond(status, body):
            if not 200 <= status <= 599:
                raise RenderError(f"{where}: Envoy answers with a status from 200 to 599, not {status}")
            return {"direct_response": {"status": status, "body": {"inline_string": _text(body, where)}}}
        case Redirect():
            said = {
                "response_code": _REDIRECTS[action.status],
                "scheme_redirect": _text(action.scheme, where),
                "host_redirect": _text(action.authority, where),
                "port_redirect": action.port,
                "path_redirect": _text(action.path, where),
                "prefix_rewrite": _text(action.prefix, where),
                "regex_rewrite": _rewrite(action.rewrite, where) if action.rewrite is not None else None,
                "path_rewrite": _text(action.format, where),
                "strip_query": action.strip_query,
            }
            return {"redirect": {name: value for name, value in said.items() if value}}
        case Forward():
            return {"route": _forward(table, action, where)}
        case _:
            assert_never(action)


def _forward(table: int, action: Forward, where: str) -> Json:
    return {
        **_target(table, action),
        **_metadata("metadata_match", action.metadata),
        "hash_policy": [_hash_policy(one, where) for one in action.hash_policies],
        "cluster_not_found_response_code": _NOT_FOUND[action.not_found],
        **(_path_rewrite(action.path, where) if action.path is not None else {}),
        **(_authority_rewrite(action.authority, where) if action.authority is not None else {}),
        "append_x_forwarded_host": action.append_forwarded_host,
        "timeout": _seconds(action.timeout),
        **(
            {"max_stream_duration": {"max_stream_duration": _seconds(action.stream_timeout)}}
            if action.stream_timeout is not None
            else {}
        ),
        **(_retries(action.retries, action.retry_hosts, where) if action.retries is not None else {}),
        "request_mirror_policies": [_mirror(table, one, where) for one in action.mirrors],
    }


def _target(table: int, action: Forward) -> Json:
    first = action.clusters[0]
    alone = len(action.clusters) == 1
    if alone and not (first.metadata or first.authority or first.request_headers or first.response_headers):
        return _called(table, first.cluster, first.header, "cluster")
    pinned: Json = {"header_name": action.stream_header or STREAM_HEADER}
    if action.by_key:
        pinned = {"use_hash_policy": True}
    return {"weighted_clusters": {**pinned, "clusters": [_weighted(table, one) for one in action.clusters]}}


def _called(table: int, cluster: str, header: str, field: str) -> Json:
    return {"cluster_header": header} if header else {field: _cluster_name(table, cluster)}


def _weighted(table: int, one: WeightedCluster) -> Json:
    where = f"cluster `{one.cluster}`"
    return {
        **_called(table, one.cluster, one.header, "name"),
        "weight": one.weight,
        **_metadata("metadata_match", one.metadata),
        **_changes(one.request_headers or _UNCHANGED, one.response_headers or _UNCHANGED, where),
        **({"host_rewrite_literal": _text(one.authority, where)} if one.authority else {}),
    }


_NOT_FOUND: Final[Mapping[int, str]] = {
    503: "SERVICE_UNAVAILABLE",
    404: "NOT_FOUND",
    500: "INTERNAL_SERVER_ERROR",
}


def _path_rewrite(rewrite: PathRewrite, where: str) -> Json:
    match rewrite:
        case PrefixRewrite(value):
            return {"prefix_rewrite": _text(value, where)}
        case RegexRewrite():
            return {"regex_rewrite": _rewrite(rewrite, where)}
        case TemplateRewrite(value):
            said = _template("rewrite", "UriTemplateRewriteConfig", "path_template_rewrite", value, where)
            return {"path_rewrite_policy": said}
        case FormatRewrite(value):
            return {"path_rewrite": _given(value, where)}
        case _:
            assert_never(rewrite)


def _rewrite(rewrite: RegexRewrite | AuthorityOfPath, where: str) -> Json:
    return {"pattern": _pattern(rewrite.pattern, where), "substitution": _text(rewrite.substitution, where)}


def _authority_rewrite(rewrite: AuthorityRewrite, where: str) -> Json:
    match rewrite:
        case AuthorityLiteral(value):
            return {"host_rewrite_literal": _given(value, where)}
        case AuthorityOfHeader(name):
            return {"host_rewrite_header": _given(name, where)}
        case AuthorityOfPath():
            return {"host_rewrite_path_regex": _rewrite(rewrite, where)}
        case AuthorityOfEndpoint():
            return {"auto_host_rewrite": True}
        case FormatRewrite(value):
            return {"host_rewrite": _given(value, where)}
        case _:
            assert_never(rewrite)


def _mirror(table: int, mirror: Mirror, where: str) -> Json:
    return {
        **_called(table, mirror.cluster, mirror.header, "cluster"),
        "runtime_fraction": {"default_value": _portion(mirror.portion)},
        "disable_shadow_host_suffix_append": not mirror.shadow,
        **({"host_rewrite_literal": _text(mirror.authority, where)} if mirror.authority else {}),
    }


def _retries(retries: Retries, hosts: RetryHosts | None, where: str) -> Json:
    policy: Json = {
        "retry_on": ",".join(retries.on),
        "num_retries": retries.attempts,
        "retriable_status_codes": list(retries.statuses),
        "retriable_headers": [_header(one, where) for one in retries.headers],
        "retriable_request_headers": [_header(one, where) for one in retries.request_headers],
        "refresh_cluster_on_retry": retries.refresh_cluster,
        "retry_back_off": {"base_interval": _seconds(retries.base_interval)},
    }
    if retries.max_interval:
        policy["retry_back_off"]["max_interval"] = _seconds(retries.max_interval)
    if retries.per_try_timeout:
        policy["per_try_timeout"] = _seconds(retries.per_try_timeout)
    if retries.other_priorities:
        kind = f"{_RETRY}.priority.previous_priorities.v3.PreviousPrioritiesConfig"
        said = {"@type": kind, "update_frequency": retries.other_priorities}
        policy["retry_priority"] = {"name": "envoy.retry_priorities.previous_priorities", "typed_config": said}
    if hosts is not None:
        kind = f"{_RETRY}.host.previous_hosts.v3.PreviousHostsPredicate"
        predicate = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}
        policy["retry_host_predicate"] = [predicate]
        policy["host_selection_retry_max_attempts"] = hosts.attempts
    return {"retry_policy": policy}


_RETRY: Final = "type.googleapis.com/envoy.extensions.retry"


_REDIRECTS: Final[Mapping[int, str]] = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def _metadata(field: str, metadata: Mapping[str, Any]) -> Json:
    """What subsets go by, under the name that they look it up by."""
    return {field: {"filter_metadata": {"envoy.lb": metadata}}} if metadata else {}


def _hash_policy(policy: HashPolicy, where: str) -> Json:
    asked: Json
    match policy:
        case HashOnHeader(name, _, rewrite):
            header: Json = {"header_name": _given(name, where)}
            if rewrite is not None:
                substitution = _text(rewrite.substitution, where)
                header["regex_rewrite"] = {"pattern": _pattern(rewrite.pattern, where), "substitution": substitution}
            asked = {"header": header}
        case HashOnCookie(name, _, ttl, path, attributes):
            cookie: Json = {"name": _given(name, where), "path": _text(path, where)}
            if ttl is not None:
                cookie["ttl"] = f"{ttl}s"
            cookie["attributes"] = [{"name": _text(one, where), "value": _text(two, where)} for one, two in attributes]
            asked = {"cookie": cookie}
        case HashOnQuery(name):
            asked = {"query_parameter": {"name": _given(name, where)}}
        case HashOnSourceIp():
            asked = {"connection_properties": {"source_ip": True}}
        case HashOnFilterState(name):
            asked = {"filter_state": {"key": _given(name, where)}}
        case _:
            assert_never(policy)
    return {**asked, "terminal": policy.terminal}


def _cluster(table: int, cluster: Cluster) -> Json:
    name = _cluster_name(table, cluster.name)
    if cluster.hash_hostnames:
        raise RenderError(f"cluster `{cluster.name}`: Envoy hashes the hostnames of DNS clusters only")
    return {
        "name": name,
        "connect_timeout": "1s",
        "common_lb_config": _common(cluster),
        "upstream_bind_config": {"source_address": {"address": "127.0.0.1", "port_value": 0}},
        **(_policy(cluster) if cluster.subsets is None else _divided(cluster, cluster.subsets)),
        **_assignment(name, cluster),
        **({"outlier_detection": outliers_of(cluster.outliers)} if cluster.outliers is not None else {}),
    }


def _common(cluster: Cluster) -> Json:
    common: Json = {"healthy_panic_threshold": {"value": cluster.panic}}
    if not _needs_a_typed_policy(cluster):
        common.update(_by_locality(cluster))
    if isinstance(cluster.policy, (RingHash, Maglev)) and cluster.policy.balance_factor is not None:
        common["consistent_hashing_lb_config"] = {"hash_balance_factor": cluster.policy.balance_factor}
    return common


def _needs_a_typed_policy(cluster: Cluster) -> bool:
    """Whether the older form of configuration cannot say what the cluster says."""
    if isinstance(cluster.policy, LeastRequest) and cluster.policy.full_scan:
        return True
    return cluster.zone_aware.force_local or cluster.zone_aware.by_weight


def _by_locality(cluster: Cluster) -> Json:
    """How localities count, in the form that both kinds of configuration share."""
    if cluster.locality_weights is not None:
        return {"locality_weighted_lb_config": {}}
    zone = cluster.zone_aware
    if zone == ZoneAware():
        return {}
    said: Json = {
        "routing_enabled": {"value": zone.enabled},
        "min_cluster_size": zone.minimum_hosts,
        "fail_traffic_on_panic": zone.fail_on_panic,
    }
    if zone.force_local:
        said["force_local_zone"] = {"min_size": zone.force_local_minimum}
    if zone.by_weight:
        said["locality_basis"] = "HEALTHY_HOSTS_WEIGHT"
    return {"zone_aware_lb_config": said}


def _divided(cluster: Cluster, subsets: Subsets) -> Json:
    """A policy for each subset. Only the extension knows redundant keys, and it wants the policy as an extension; a
    policy that is one wants the extension."""
    if isinstance(cluster.policy, OriginalDestination):
        raise RenderError(f"cluster `{cluster.name}`: Envoy has no subsets of clusters without endpoints")
    policy = _policy(cluster)
    config: Json = {
        "fallback_policy": _constant(subsets.fallback),
        "default_subset": subsets.default,
        "subset_selectors": [_selector(one) for one in subsets.selectors],
        "panic_mode_any": subsets.panic_any,
        "list_as_any": subsets.list_as_any,
        "metadata_fallback_policy": "FALLBACK_LIST" if subsets.fallback_list else "METADATA_NO_FALLBACK",
        "locality_weight_aware": subsets.locality_weights,
        "scale_locality_weight": subsets.scale_locality_weights,
    }
    if not subsets.redundant_keys and "lb_policy" in policy:
        return {**policy, "lb_subset_config": config}
    if "lb_policy" in policy:
        name = policy["lb_policy"].lower()
        policy = _typed(cluster, name, policy.get(f"{name}_lb_config", {}))
    inner = policy["load_balancing_policy"]
    config = {**config, "allow_redundant_keys": subsets.redundant_keys, "subset_lb_policy": inner}
    return {"load_balancing_policy": {"policies": [_extension("subset", config)]}}


def _selector(selector: SubsetSelector) -> Json:
    return {
        "keys": list(selector.keys),
        "fallback_policy": "NOT_DEFINED" if selector.fallback is None else _constant(selector.fallback),
        "fallback_keys_subset": list(selector.fallback_keys),
        "single_host_per_subset": selector.single_host,
    }


def _constant(fallback: Fallback) -> str:
    return fallback.replace("-", "_").upper()


def _extension(name: str, config: Json) -> Json:
    """A policy by the name of its extension; their fields are called as those that a cluster has for it."""
    message = name.title().replace("_", "")
    kind = f"type.googleapis.com/envoy.extensions.load_balancing_policies.{name}.v3.{message}"
    return {
        "typed_extension_config": {
            "name": f"envoy.load_balancing_policies.{name}",
            "typed_config": {"@type": kind, **config},
        }
    }


def _policy(cluster: Cluster) -> Json:
    match cluster.policy:
        case RoundRobin(slow):
            if _needs_a_typed_policy(cluster):
                return _typed(cluster, "round_robin", _slow_start(slow))
            return {"lb_policy": "ROUND_ROBIN", "round_robin_lb_config": _slow_start(slow)}
        case LeastRequest(choices, bias, full_scan, slow):
            asked: Json = {
                "choice_count": choices,
                "active_request_bias": {"default_value": bias, "runtime_key": "unset"},
                **_slow_start(slow),
            }
            if _needs_a_typed_policy(cluster):
                asked["selection_method"] = "FULL_SCAN" if full_scan else "N_CHOICES"
                return _typed(cluster, "least_request", asked)
            return {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": asked}
        case RandomChoice():
            if _needs_a_typed_policy(cluster):
                return _typed(cluster, "random", {})
            return {"lb_policy": "RANDOM"}
        case RingHash(minimum, maximum, function):
            ring = {"minimum_ring_size": minimum, "maximum_ring_size": maximum, "hash_function": _FUNCTIONS[function]}
            return {"lb_policy": "RING_HASH", "ring_hash_lb_config": ring}
        case Maglev(size):
            return {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": size}}
        case OriginalDestination():
            asked = {"use_http_header": True, "http_header_name": DESTINATION_HEADER}
            return {"lb_policy": "CLUSTER_PROVIDED", "original_dst_lb_config": asked}
        case _:
            assert_never(cluster.policy)


def _typed(cluster: Cluster, name: str, asked: Json) -> Json:
    """A policy as an extension."""
    if by_locality := _by_locality(cluster):
        asked = {**asked, "locality_lb_config": by_locality}
    return {"load_balancing_policy": {"policies": [_extension(name, asked)]}}


_FUNCTIONS: Final[Mapping[HashFunction, str]] = {
    HashFunction.XX_HASH: "XX_HASH",
    HashFunction.MURMUR_HASH_2: "MURMUR_HASH_2",
}


def _slow_start(slow: SlowStart | None) -> Json:
    if slow is None:
        return {}
    return {
        "slow_start_config": {
            "slow_start_window": _seconds(slow.window),
            "aggression": {"default_value": slow.aggression, "runtime_key": "unset"},
            "min_weight_percent": {"value": slow.minimum},
        }
    }


_IN_SECONDS: Final = ("interval", "base_ejection_time", "max_ejection_time", "max_ejection_time_jitter")


def outliers_of(asked: OutlierDetection) -> Json:
    """Outlier detection as Envoy writes it, every field in it."""
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
    return {
        name: _seconds(value) if name in _IN_SECONDS else value for name, value in fields.items() if value is not None
    }


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}s"


def _assignment(name: str, cluster: Cluster) -> Json:
    if isinstance(cluster.policy, OriginalDestination):
        return {"type": "ORIGINAL_DST"}  # and no list: a table's endpoints do not count there either
    weights = weights_of(cluster) or {}
    blocks = groupby(cluster.endpoints, key=lambda one: (one.priority, one.locality))
    return {
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "locality": locality_of(locality),
                    "priority": priority,
                    "lb_endpoints": [_endpoint(one, f"cluster `{cluster.name}`") for one in some],
                    **({"load_balancing_weight": weight} if (weight := weights.get((priority, locality))) else {}),
                }
                for (priority, locality), some in blocks
            ],
            "policy": {
                "overprovisioning_factor": cluster.overprovisioning,
                "weighted_priority_health": cluster.weighted_health,
            },
        },
    }


def locality_of(text: str) -> Json:
    """A locality as Envoy writes it.

    >>> locality_of("eu/eu-1/a"), locality_of("eu")
    ({'region': 'eu', 'zone': 'eu-1', 'sub_zone': 'a'}, {'region': 'eu'})
    """
    return {name: part for name, part in zip(("region", "zone", "sub_zone"), text.split("/"), strict=False) if part}


def _endpoint(endpoint: Endpoint, where: str) -> Json:
    where = f"{where}, endpoint `{endpoint.key}`"
    try:
        ip_address(endpoint.address)
    except ValueError as error:
        raise RenderError(f"{where}: not an IP address") from error
    if endpoint.weight < 1:
        raise RenderError(f"{where}: a weight is at least 1")
    return {
        "endpoint": {
            "address": _address(endpoint.address, endpoint.port),
            **({"hostname": _text(endpoint.hostname, where)} if endpoint.hostname else {}),
        },
        "health_status": endpoint.health.name,
        "load_balancing_weight": endpoint.weight,
        **_metadata("metadata", endpoint.metadata),
    }


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _given(text: str, where: str) -> str:
    """Text where Envoy refuses to have none."""
    if not text:
        raise RenderError(f"{where}: Envoy wants at least one character here")
    return _text(text, where)


def _text(text: str, where: str) -> str:
    """Wire form as configuration has it, which is UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError as error:
        raise RenderError(f"{where}: `{text}` is not UTF-8, and configuration cannot hold it") from error
