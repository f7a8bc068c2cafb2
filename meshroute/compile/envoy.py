"""From Envoy's own route configuration to a routing table.

Source    spec/front.md FRONT-1 to FRONT-5; envoyproxy/envoy: api/envoy/config/route/v3/{route,route_components}.proto,
          source/common/router/config_impl.cc
Inputs    a RouteConfiguration as proto3 JSON, the options of its connection manager, values of runtime keys.
Exactness what Envoy 1.40.0 does with it. What is inherited is written out: header changes level by level, policies of
          the most specific level that has one.
Errors    TableError: for what Envoy refuses to load, in its words as far as they tell; for what is not modelled, with
          the path of the field.
Left out  filters besides the router, CORS and faults; whether a listener accepts CONNECT and upgrades.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from meshroute.compile.proto import Message
from meshroute.match.re2 import Re2SyntaxError, compile_full
from meshroute.match.template import shape_of
from meshroute.names import ClusterName, ascii_lower, wire
from meshroute.table import (
    Abort,
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
    CookieValue,
    Cors,
    Delay,
    EscapedSlashes,
    Exact,
    ExactMap,
    Fault,
    FormatRewrite,
    Forward,
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
    Listener,
    Matcher,
    MetadataMatch,
    Mirror,
    Not,
    Ordered,
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
    Redirect,
    RegexRewrite,
    RequireTls,
    Respond,
    Retries,
    RetryHosts,
    Route,
    RouteMatch,
    RoutingTable,
    RuleRef,
    Segments,
    StripPort,
    Suffix,
    TableError,
    Template,
    TemplateRewrite,
    TextMatch,
    Tunnel,
    VirtualHost,
    WeightedCluster,
)

Json: TypeAlias = Mapping[str, Any]

_FEATURE: Final = "envoy.reloadable_features."
_ALWAYS: Final = (
    "re2_use_latin1_mode",
    "strip_dotdot_segments_with_parameters",
    "strip_path_parameters_per_segment",
    "uri_template_mixed_variable_literals",
)
"""Guards that are modelled as they are by default."""
_MOST_WEIGHT: Final = 2**32 - 1
_DEFAULT_TIMEOUT: Final = 15_000
_NOTHING: Final[Json] = {}


def from_envoy(
    route_config: Json,
    *,
    hcm: Json | None = None,
    runtime: Json | None = None,
    clusters: Iterable[Cluster] = (),
    port: int = 80,
) -> RoutingTable:
    """The table of a proxy that has this route configuration on one port.

    The configuration is JSON with names in snake_case, or in camelCase as istioctl prints it. `hcm` are the options of
    its HttpConnectionManager, `runtime` values of runtime keys, guards among them; clusters are given as a table has
    them. Raises TableError for what Envoy would refuse, and for what is not modelled.
    """
    known, values = tuple(clusters), runtime or _NOTHING
    for name in _ALWAYS:
        if not _guard(values, name):
            raise TableError(f"runtime {_FEATURE}{name}: false is not modelled")
    arrival = _arrival(Message(hcm or _NOTHING, "hcm"), values)
    reader = _Reader(values, {one.name for one in known})
    return RoutingTable((reader.listener(Message(route_config, ""), port, arrival),), known)


def _guard(values: Json, name: str) -> bool:
    return values.get(_FEATURE + name, True) not in (False, "false", 0)


# The connection manager

_NOT_ABOUT_ROUTES: Final = (
    "@type",
    "access_log",
    "access_log_options",
    "add_user_agent",
    "codec_type",
    "common_http_protocol_options",
    "delayed_close_timeout",
    "drain_timeout",
    "forward_client_cert_details",
    "http2_protocol_options",
    "http3_protocol_options",
    "http_filters",
    "http_protocol_options",
    "local_reply_config",
    "max_request_headers_kb",
    "proxy_100_continue",
    "rds",
    "request_headers_timeout",
    "request_timeout",
    "route_config",
    "server_header_transformation",
    "server_name",
    "set_current_client_cert_details",
    "stat_prefix",
    "stream_idle_timeout",
    "tracing",
    "upgrade_configs",
    "via",
)
_ESCAPED: Final = {
    "IMPLEMENTATION_SPECIFIC_DEFAULT": EscapedSlashes.KEEP,
    "KEEP_UNCHANGED": EscapedSlashes.KEEP,
    "REJECT_REQUEST": EscapedSlashes.REJECT,
    "UNESCAPE_AND_REDIRECT": EscapedSlashes.REDIRECT,
    "UNESCAPE_AND_FORWARD": EscapedSlashes.FORWARD,
}


def _arrival(hcm: Message, values: Json) -> Arrival:
    matching, whichever = hcm.flag("strip_matching_host_port"), hcm.flag("strip_any_host_port")
    if matching and whichever:
        raise hcm.wrong("strip_any_host_port", "a port is stripped where it matches, or always, not both")
    found = Arrival(
        normalize=hcm.flag("normalize_path"),
        merge_slashes=hcm.flag("merge_slashes"),
        escaped_slashes=hcm.choice("path_with_escaped_slashes_action", _ESCAPED, "KEEP_UNCHANGED"),
        reject_fragments=_guard(values, "http_reject_path_with_fragment"),
        strip_port=StripPort.ANY if whichever else StripPort.MATCHING if matching else StripPort.NONE,
        strip_final_dot=hcm.flag("strip_trailing_host_dot"),
        request_ids=hcm.flag("generate_request_id", True),
        edge=hcm.flag("use_remote_address"),
    )
    for name in ("xff_num_trusted_hops", "skip_xff_append", "preserve_external_request_id"):
        if hcm.take(name):  # what is said and off says nothing
            raise hcm.wrong(name, "not modelled")
    hcm.done(_NOT_ABOUT_ROUTES)
    return found


class _Level(NamedTuple):
    """What routes inherit from a virtual host or a configuration; header changes in their order."""

    request_headers: tuple[HeaderChanges, ...] = ()
    response_headers: tuple[HeaderChanges, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    retries: tuple[Retries | None, RetryHosts | None] = (None, None)
    cors: Cors | None = None
    fault: Fault | None = None


_REQUIRE_TLS: Final = {"NONE": RequireTls.NONE, "EXTERNAL_ONLY": RequireTls.EXTERNAL, "ALL": RequireTls.ALL}
_CODES: Final = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
_NOT_FOUND: Final = {"SERVICE_UNAVAILABLE": 503, "NOT_FOUND": 404, "INTERNAL_SERVER_ERROR": 500}
_APPEND: Final = {
    "APPEND_IF_EXISTS_OR_ADD": Append.APPEND,
    "ADD_IF_ABSENT": Append.IF_ABSENT,
    "OVERWRITE_IF_EXISTS_OR_ADD": Append.OVERWRITE,
    "OVERWRITE_IF_EXISTS": Append.OVERWRITE_IF_PRESENT,
}
_SAID_TO_OTHERS: Final = (
    "include_attempt_count_in_response",
    "include_is_timeout_retry_header",
    "include_request_attempt_count",
    "metadata",
    "per_request_buffer_limit_bytes",
    "request_body_buffer_limit",
    "virtual_clusters",
)
"""Fields that decide nothing about where a request goes or what it is turned into."""
_ANY_TEXT: Final = Pattern("(?s).*")
_AT_LEAST_ONE: Final = "failed validation: value must contain at least 1 item(s)"


class _Reader:
    """One configuration on its way to a listener."""

    def __init__(self, values: Json, known: set[ClusterName]) -> None:
        self._values: Final = values
        self._known: Final = known
        self._joined: Final = not _guard(values, "match_headers_individually")
        self._longest_body = 4096
        self._most_specific_last = False
        self._name = ""

    def listener(self, config: Message, port: int, arrival: Arrival) -> Listener:
        """The whole of it."""
        self._name = config.text("name")
        self._longest_body = config.number("max_direct_response_body_size_bytes", 4096)
        self._most_specific_last = config.flag("most_specific_header_mutations_wins")
        level = self._level(config, _Level())
        validate = config.flag("validate_clusters")
        hosts = tuple(self._virtual_host(one, level) for one in config.messages("virtual_hosts"))
        _refuse_domains(hosts)
        if validate:
            self._refuse_unknown(hosts)
        listener = Listener(
            port,
            hosts,
            ignore_port=config.flag("ignore_port_in_host_matching"),
            host_header=ascii_lower(config.text("vhost_header")),
            ignore_path_parameters=config.flag("ignore_path_parameters_in_path_matching"),
            arrival=arrival,
        )
        config.done(("@type", "metadata"))
        return listener

    def _refuse_unknown(self, hosts: Iterable[VirtualHost]) -> None:
        for host in hosts:
            for route in host.routes:  # those of matchers are not looked at
                for one in route.action.clusters if isinstance(route.action, Forward) else ():
                    if one.cluster and one.cluster not in self._known:
                        raise TableError(f"{route.rule}: route: unknown cluster '{one.cluster}'")

    def _virtual_host(self, host: Message, above: _Level) -> VirtualHost:
        name, domains = host.given("name"), host.texts("domains")
        if not domains:
            raise host.wrong("domains", _AT_LEAST_ONE)
        retries = host.message("retry_policy")
        level = self._level(host, above)
        if retries is not None:
            level = level._replace(retries=self._retries(retries))
        tree = host.message("matcher")
        routes = host.messages("routes")
        if tree is not None and routes:
            raise TableError(f"{host.where}: cannot set both matcher and routes on virtual host")
        found = VirtualHost(
            name,
            tuple(domains),
            tuple(self._route(one, level) for one in routes),
            host.choice("require_tls", _REQUIRE_TLS, "NONE"),
            None if tree is None else self._matcher(tree, level),
        )
        host.done(_SAID_TO_OTHERS)
        return found

    def _level(self, said: Message, above: _Level) -> _Level:
        """What a level says, before or behind what the level above it says."""
        cors, fault = self._filters(said)
        if (old := said.message("cors")) is not None and cors is None:
            cors = self._cors(old)
        mirrors = tuple(self._mirror(one) for one in said.messages("request_mirror_policies"))
        return _Level(
            self._in_order(_changes(said, "request"), above.request_headers),
            self._in_order(_changes(said, "response"), above.response_headers),
            mirrors or above.mirrors,
            above.retries,
            cors or above.cors,
            fault or above.fault,
        )

    def _in_order(self, own: HeaderChanges | None, above: tuple[HeaderChanges, ...]) -> tuple[HeaderChanges, ...]:
        if own is None:
            return above
        return (*above, own) if self._most_specific_last else (own, *above)

    def _route(self, route: Message, above: _Level) -> Route:
        match = self._match(route.needed("match"))
        kinds = ("route", "redirect", "direct_response", "non_forwarding_action", "filter_action")
        kind = route.one_of(kinds, "an action")
        said = route.needed(kind)
        level = self._level(route, above)
        action: Action
        match kind:
            case "route":
                action = self._forward(said, match, level)
            case "redirect":
                action = self._redirect(said, match)
            case "direct_response":
                action = self._respond(said)
            case _:
                # Answered as an unknown cluster is: named by a pseudo header that no request has.
                action = Forward((WeightedCluster(ClusterName(""), header=":none"),))
        found = Route(
            match,
            action,
            route.text("name"),
            RuleRef("RouteConfiguration", "envoy", self._name or "-", route.where),
            level.request_headers,
            level.response_headers,
            level.cors,
            level.fault,
        )
        route.done((*_SAID_TO_OTHERS, "@type", "decorator", "tracing", "stat_prefix"))
        return found

    # Conditions

    def _match(self, asked: Message) -> RouteMatch:
        fold = not asked.flag("case_sensitive", True)
        found = RouteMatch(
            self._path(asked, fold),
            tuple(self._header(one) for one in asked.messages("headers")),
            tuple(self._query(one) for one in asked.messages("query_parameters")),
            tuple(self._cookie(one) for one in asked.messages("cookies")),
            tuple(self._noted(one) for one in asked.messages("dynamic_metadata")),
            asked.message("grpc") is not None,
            self._fraction(asked.message("runtime_fraction")),
        )
        asked.done()
        return found

    def _path(self, asked: Message, fold: bool) -> PathMatch:
        kinds = ("prefix", "path", "safe_regex", "path_separated_prefix", "connect_matcher", "path_match_policy")
        match asked.one_of(kinds, "a path specifier"):
            case "prefix":
                return Prefix(asked.text("prefix"), fold)
            case "path":
                return Exact(asked.text("path"), fold)
            case "safe_regex":
                return Pattern(self._regex(asked.needed("safe_regex")))
            case "path_separated_prefix":
                value = asked.text("path_separated_prefix")
                if len(value) < 2 or value.endswith("/") or "?" in value or "#" in value:
                    pattern = "^[^?#]+[^?#/]$"
                    raise asked.wrong("path_separated_prefix", f"failed validation: does not match {pattern}")
                return Segments(value, fold)
            case "connect_matcher":
                asked.needed("connect_matcher").done()
                return Tunnel()
            case _:
                return _template(asked.needed("path_match_policy"))

    def _regex(self, said: Message) -> str:
        regex = said.given("regex")
        said.take("google_re2")
        said.done()
        limit = self._number("re2.max_program_size.error_level")
        try:
            compile_full(regex, max_program_size=100 if limit is None else limit)
        except Re2SyntaxError as error:
            raise said.wrong("regex", str(error)) from error
        return regex

    def _text(self, said: Message) -> CookieValue:
        """A StringMatcher."""
        kind = said.one_of(("exact", "prefix", "suffix", "contains", "safe_regex"), "a pattern of text")
        fold = said.flag("ignore_case")
        found: CookieValue
        match kind:
            case "exact":
                found = Exact(said.text(kind), fold)
            case "prefix":
                found = Prefix(said.given(kind), fold)
            case "suffix":
                found = Suffix(said.given(kind), fold)
            case "contains":
                found = Contains(said.given(kind), fold)
            case _:
                if fold:
                    raise said.wrong("ignore_case", "ignore_case has no effect for safe_regex.")
                found = Pattern(self._regex(said.needed(kind)))
        said.done()
        return found

    def _header(self, asked: Message) -> HeaderMatch:
        name = ascii_lower(asked.given("name"))
        invert, empty = asked.flag("invert_match"), asked.flag("treat_missing_header_as_empty")
        value: TextMatch = Present()
        if asked.has("string_match"):
            value = self._text(asked.needed("string_match"))
        elif asked.has("exact_match"):
            text = asked.text("exact_match")
            value = Exact(text) if text else Present()
        elif asked.has("prefix_match"):
            value = Prefix(asked.given("prefix_match"))
        elif asked.has("suffix_match"):
            value = Suffix(asked.given("suffix_match"))
        elif asked.has("contains_match"):
            value = Contains(asked.given("contains_match"))
        elif asked.has("safe_regex_match"):
            value = Pattern(self._regex(asked.needed("safe_regex_match")))
        elif asked.has("range_match"):
            ends = asked.needed("range_match")
            value = Between(ends.number("start"), ends.number("end"))
            ends.done()
        elif not asked.flag("present_match", True):
            invert = not invert
        asked.done()  # of two conditions in one, the second is left over
        return HeaderMatch(name, value, invert, empty, self._joined)

    def _query(self, asked: Message) -> QueryMatch:
        name = asked.given("name")
        value: QueryValue = Present()
        if asked.has("string_match"):
            value = self._text(asked.needed("string_match"))
        elif not asked.flag("present_match", True):
            absent = _guard(self._values, "enable_new_query_param_present_match_behavior")
            value = Absent() if absent else Present()
        asked.done()
        return QueryMatch(name, value)

    def _cookie(self, asked: Message) -> CookieMatch:
        name = asked.given("name")
        found = CookieMatch(name, self._text(asked.needed("string_match")), asked.flag("invert_match"))
        asked.done()
        return found

    def _noted(self, asked: Message) -> MetadataMatch:
        """A condition on a text, or on a list with such a text: the two that meshes ask for together."""
        source, invert, keys = asked.given("filter"), asked.flag("invert"), []
        for one in asked.messages("path"):
            keys.append(one.given("key"))
            one.done()
        if not keys:
            raise asked.wrong("path", _AT_LEAST_ONE)
        either = asked.needed("value").needed("or_match")
        some = either.messages("value_matchers")
        if len(some) != 2 or not some[0].has("string_match") or not some[1].has("list_match"):
            raise either.wrong("value_matchers", "not modelled, unless it asks for a text or for a list with it")
        text = self._text(some[0].needed("string_match"))
        if self._text(some[1].needed("list_match").needed("one_of").needed("string_match")) != text:
            raise either.wrong("value_matchers", "two different texts are not modelled")
        asked.done()
        return MetadataMatch(source, tuple(keys), Present() if text == _ANY_TEXT else text, invert)

    def _fraction(self, said: Message | None) -> Portion | None:
        """A RuntimeFractionalPercent: the number of its runtime key counts of a hundred, whatever the default is of."""
        if said is None:
            return None
        default = _percent(said.needed("default_value"))
        value = self._number(said.text("runtime_key"))
        said.done()
        return default if value is None else Portion(min(max(value, 0), 101), 100)

    def _number(self, key: str) -> int | None:
        """The whole number that a runtime key has; None where it has none."""
        value = self._values.get(key) if key else None
        if value is None or isinstance(value, bool):
            return None
        try:
            return value if isinstance(value, int) else int(float(value))
        except (TypeError, ValueError):
            return None

    # Actions

    def _respond(self, said: Message) -> Respond:
        status = said.number("status")
        if not 200 <= status <= 599:
            raise said.wrong("status", "failed validation: value must be inside range [200, 600)")
        text = ""
        if (body := said.message("body")) is not None:
            text = body.text("inline_string")
            body.done()
        if len(text) > self._longest_body:
            raise said.wrong("body", f"response body size is {len(text)} bytes; maximum is {self._longest_body}")
        said.done()
        return Respond(status, text)

    def _redirect(self, said: Message, match: RouteMatch) -> Redirect:
        scheme = said.text("scheme_redirect")
        if said.flag("https_redirect"):
            scheme = "https"
        prefix = said.text("prefix_rewrite")
        if prefix and isinstance(match.path, Template):
            raise said.wrong("prefix_rewrite", "Cannot use redirect.prefix_rewrite with path_match_policy")
        try:
            found = Redirect(
                said.choice("response_code", _CODES, "MOVED_PERMANENTLY"),
                scheme,
                said.text("host_redirect"),
                said.number("port_redirect"),
                said.text("path_redirect"),
                prefix,
                self._rewrite(said.message("regex_rewrite")),
                said.text("path_rewrite"),
                said.flag("strip_query"),
            )
        except TableError:
            raise
        except ValueError as error:
            raise TableError(f"{said.where}: {error}") from error
        said.done()
        return found

    def _rewrite(self, said: Message | None) -> RegexRewrite | None:
        if said is None:
            return None
        found = RegexRewrite(self._regex(said.needed("pattern")), said.text("substitution"))
        said.done()
        return found

    def _forward(self, said: Message, match: RouteMatch, level: _Level) -> Forward:
        kind = said.one_of(("cluster", "cluster_header", "weighted_clusters"), "a cluster specifier")
        stream_header, by_key = "", False
        match kind:
            case "cluster":
                clusters: tuple[WeightedCluster, ...] = (WeightedCluster(ClusterName(said.given(kind))),)
            case "cluster_header":
                clusters = (WeightedCluster(ClusterName(""), header=ascii_lower(said.given(kind))),)
            case _:
                split = said.needed(kind)
                stream_header, by_key = ascii_lower(split.text("header_name")), split.flag("use_hash_policy")
                clusters = self._weighted(split)
        own = said.message("retry_policy")
        retries, hosts = level.retries if own is None else self._retries(own)
        mirrors = tuple(self._mirror(one) for one in said.messages("request_mirror_policies"))
        timeout, longest = said.milliseconds("timeout"), None
        if (limit := said.message("max_stream_duration")) is not None:
            longest = limit.milliseconds("max_stream_duration") or 0
            limit.done()
        found = Forward(
            clusters,
            tuple(_hash_policy(self, one) for one in said.messages("hash_policy")),
            _criteria(said),
            hosts,
            stream_header,
            by_key,
            said.choice("cluster_not_found_response_code", _NOT_FOUND, "SERVICE_UNAVAILABLE"),
            self._path_rewrite(said, match),
            self._authority(said),
            said.flag("append_x_forwarded_host"),
            _DEFAULT_TIMEOUT if timeout is None else timeout,
            longest,
            retries,
            mirrors or level.mirrors,
        )
        said.done(("flush_timeout", "idle_timeout", "priority", "rate_limits", "upgrade_configs"))
        return found

    def _weighted(self, split: Message) -> tuple[WeightedCluster, ...]:
        prefix = split.text("runtime_key_prefix")
        some = []
        for one in split.messages("clusters"):
            one.one_of(("name", "cluster_header"), "a cluster")
            name = one.text("name")
            if not one.has("weight"):
                raise one.wrong("weight", "failed validation: value is required")
            weight = one.number("weight")
            value = self._number(f"{prefix}.{name}") if prefix else None
            some.append(
                WeightedCluster(
                    ClusterName(name),
                    weight if value is None else value,
                    _criteria(one),
                    ascii_lower(one.text("cluster_header")),
                    _changes(one, "request"),
                    _changes(one, "response"),
                    one.text("host_rewrite_literal"),
                )
            )
            one.done()
        if not some:
            raise split.wrong("clusters", _AT_LEAST_ONE)
        total = sum(one.weight for one in some)
        if total == 0:
            raise split.wrong("clusters", "Sum of weights in the weighted_cluster must be greater than 0.")
        if total > _MOST_WEIGHT:
            raise split.wrong(
                "clusters", f"The sum of weights of all weighted clusters of route exceeds {_MOST_WEIGHT}"
            )
        split.done(("total_weight",))
        return tuple(some)

    def _path_rewrite(self, said: Message, match: RouteMatch) -> PathRewrite | None:
        found: list[PathRewrite] = []
        if prefix := said.text("prefix_rewrite"):
            if isinstance(match.path, Template):
                raise said.wrong("prefix_rewrite", "Cannot use prefix_rewrite with path_match_policy")
            found.append(PrefixRewrite(prefix))
        if (rewrite := self._rewrite(said.message("regex_rewrite"))) is not None:
            found.append(rewrite)
        if form := said.text("path_rewrite"):
            found.append(FormatRewrite(form))
        if (policy := said.message("path_rewrite_policy")) is not None:
            found.append(_template_rewrite(policy, match))
        if len(found) > 1:
            what = "Specify only one of prefix_rewrite, regex_rewrite, path_rewrite_policy or path_rewrite"
            raise TableError(f"{said.where}: {what}")
        return found[0] if found else None

    def _authority(self, said: Message) -> AuthorityRewrite | None:
        names = ("host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header", "host_rewrite_path_regex")
        kinds = [name for name in (*names, "host_rewrite") if said.has(name)]
        if len(kinds) > 1:
            raise TableError(f"{said.where}: {' and '.join(kinds)}: one rewrite of the host at most")
        for kind in kinds:
            match kind:
                case "host_rewrite_literal":
                    return AuthorityLiteral(value) if (value := said.text(kind)) else None
                case "auto_host_rewrite":
                    return AuthorityOfEndpoint() if said.flag(kind) else None
                case "host_rewrite_header":
                    return AuthorityOfHeader(ascii_lower(value)) if (value := said.text(kind)) else None
                case "host_rewrite_path_regex":
                    rewrite = self._rewrite(said.message(kind))
                    return None if rewrite is None else AuthorityOfPath(rewrite.pattern, rewrite.substitution)
                case _:
                    return FormatRewrite(value) if (value := said.text(kind)) else None
        return None

    def _mirror(self, said: Message) -> Mirror:
        said.one_of(("cluster", "cluster_header"), "a cluster")
        portion = self._fraction(said.message("runtime_fraction"))
        found = Mirror(
            ClusterName(said.text("cluster")),
            Portion(100) if portion is None else portion,
            ascii_lower(said.text("cluster_header")),
            not said.flag("disable_shadow_host_suffix_append"),
            said.text("host_rewrite_literal"),
        )
        said.done(("trace_sampled",))
        return found

    def _retries(self, said: Message) -> tuple[Retries, RetryHosts | None]:
        base, longest = 25, 0
        if (waits := said.message("retry_back_off")) is not None:
            base, longest = waits.milliseconds("base_interval") or 25, waits.milliseconds("max_interval") or 0
            if longest and longest < base:
                what = "retry_policy.max_interval must greater than or equal to the base_interval"
                raise waits.wrong("max_interval", what)
            waits.done()
        attempts, hosts = max(1, said.number("host_selection_retry_max_attempts", 1)), None
        for one in said.messages("retry_host_predicate"):
            if not one.text("name").endswith("previous_hosts"):
                raise one.wrong("name", "only the predicate of previous hosts is modelled")
            hosts = RetryHosts(attempts)
        other = 0
        if (priority := said.message("retry_priority")) is not None:
            if not priority.text("name").endswith("previous_priorities"):
                raise priority.wrong("name", "only the priority of previous ones is modelled")
            other = priority.needed("typed_config").number("update_frequency", 2)
        found = Retries(
            tuple(token for one in said.text("retry_on").split(",") if (token := one.strip())),
            said.number("num_retries", 1),
            tuple(said.numbers("retriable_status_codes")),
            tuple(self._header(one) for one in said.messages("retriable_headers")),
            tuple(self._header(one) for one in said.messages("retriable_request_headers")),
            said.milliseconds("per_try_timeout") or 0,
            said.flag("refresh_cluster_on_retry"),
            base,
            longest,
            other,
        )
        said.done(("per_try_idle_timeout",))
        return found, hosts

    # Filters

    def _filters(self, said: Message) -> tuple[Cors | None, Fault | None]:
        cors, fault = None, None
        for name, value in said.map("typed_per_filter_config").items():
            one = Message(value, f"{said.at('typed_per_filter_config')}[{name}]")
            match name:
                case "envoy.filters.http.cors":
                    _typed(one, "envoy.extensions.filters.http.cors.v3.CorsPolicy")
                    cors = self._cors(one)
                case "envoy.filters.http.fault":
                    _typed(one, "envoy.extensions.filters.http.fault.v3.HTTPFault")
                    fault = _fault(one)
                case _:
                    raise TableError(f"{one.where}: not modelled")
        return cors, fault

    def _cors(self, said: Message) -> Cors:
        origins = tuple(self._text(one) for one in said.messages("allow_origin_string_match"))
        enabled = self._fraction(said.message("filter_enabled"))
        if enabled is not None and enabled.numerator < enabled.denominator:
            raise said.wrong("filter_enabled", "a policy for some requests only is not modelled")
        found = Cors(
            origins,
            said.text("allow_methods"),
            said.text("allow_headers"),
            said.text("expose_headers"),
            said.text("max_age"),
            said.flag("allow_credentials"),
            said.flag("forward_not_matching_preflights", True),
        )
        said.done()
        return found

    # Matchers

    def _matcher(self, said: Message, level: _Level) -> Matcher:
        other = said.message("on_no_match")
        otherwise = None if other is None else self._led(other, level)
        tree, listed = said.message("matcher_tree"), said.message("matcher_list")
        said.done()
        if tree is not None:
            return self._map(tree, otherwise, level)
        if listed is None:
            return Choice(()) if otherwise is None else otherwise
        cases = []
        for one in listed.messages("matchers"):
            cases.append((self._predicate(one.needed("predicate")), self._led(one.needed("on_match"), level)))
            one.done()
        if not cases:
            raise listed.wrong("matchers", _AT_LEAST_ONE)
        listed.done()
        return Ordered(tuple(cases), otherwise)

    def _map(self, tree: Message, otherwise: Matcher | None, level: _Level) -> Matcher:
        kind = tree.one_of(("exact_match_map", "prefix_match_map"), "a map")
        header = _input(tree.needed("input"))
        some = tree.needed(kind)
        led = {
            wire(key): self._led(Message(value, f"{some.where}.map[{key}]"), level)
            for key, value in some.map("map").items()
        }
        if not led:
            raise some.wrong("map", "failed validation: value must contain at least 1 pair(s)")
        some.done()
        tree.done()
        return ExactMap(header, led, otherwise) if kind == "exact_match_map" else PrefixMap(header, led, otherwise)

    def _led(self, said: Message, level: _Level) -> Matcher:
        if said.flag("keep_matching"):
            raise said.wrong("keep_matching", "keep_matching is not supported here")
        kind = said.one_of(("matcher", "action"), "where to go")
        inner = said.needed(kind)
        said.done()
        if kind == "matcher":
            return self._matcher(inner, level)
        inner.text("name")
        config = inner.needed("typed_config")
        inner.done()
        type_of = _type_of(config)
        if type_of == "envoy.config.route.v3.Route":
            return Choice((self._route(config, level),))
        if type_of != "envoy.config.route.v3.RouteList":
            raise config.wrong("@type", f"`{type_of}` is no action of a route")
        routes = tuple(self._route(one, level) for one in config.messages("routes"))
        config.done()
        return Choice(routes)

    def _predicate(self, said: Message) -> Predicate:
        kind = said.one_of(("single_predicate", "or_matcher", "and_matcher", "not_matcher"), "a predicate")
        one = said.needed(kind)
        said.done()
        if kind == "not_matcher":
            return Not(self._predicate(one))
        if kind == "single_predicate":
            header, value = _input(one.needed("input")), self._text(one.needed("value_match"))
            one.done()
            return HeaderIs(header, value)
        some = tuple(self._predicate(inner) for inner in one.messages("predicate"))
        if len(some) < 2:
            raise one.wrong("predicate", "failed validation: value must contain at least 2 item(s)")
        one.done()
        return AllOf(some) if kind == "and_matcher" else AnyOf(some)


def _refuse_domains(hosts: Iterable[VirtualHost]) -> None:
    seen: set[str] = set()
    for host in hosts:
        for domain in map(ascii_lower, host.domains):
            if domain in seen and domain == "*":
                raise TableError("Only a single wildcard domain is permitted")
            if domain in seen:
                raise TableError(f"Only unique values for domains are permitted. Duplicate entry of domain {domain}")
            seen.add(domain)


def _type_of(said: Message) -> str:
    return str(said.take("@type") or "").rpartition("/")[2]


def _typed(said: Message, kind: str) -> None:
    found = _type_of(said)
    if found != kind:
        raise said.wrong("@type", f"`{found}` is not modelled, only `{kind}` is")


def _template(policy: Message) -> Template:
    policy.text("name")
    said = policy.needed("typed_config")
    _typed(said, "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig")
    value = said.given("path_template")
    said.done()
    policy.done()
    try:
        shape_of(value)
    except TableError as error:
        raise said.wrong("path_template", str(error)) from error
    return Template(value)


def _template_rewrite(policy: Message, match: RouteMatch) -> TemplateRewrite:
    policy.text("name")
    said = policy.needed("typed_config")
    _typed(said, "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig")
    value = said.given("path_template_rewrite")
    said.done()
    policy.done()
    if not isinstance(match.path, Template):
        raise said.wrong("path_template_rewrite", "unable to use it without a path that matches a template")
    return TemplateRewrite(value)


def _hash_policy(reader: _Reader, said: Message) -> HashPolicy:
    kinds = ("header", "cookie", "connection_properties", "query_parameter", "filter_state")
    kind = said.one_of(kinds, "a hash policy")
    terminal, one = said.flag("terminal"), said.needed(kind)
    found: HashPolicy
    match kind:
        case "header":
            name = ascii_lower(one.given("header_name"))
            found = HashOnHeader(name, terminal, reader._rewrite(one.message("regex_rewrite")))
        case "cookie":
            ttl = one.milliseconds("ttl")
            attributes = tuple((each.text("name"), each.text("value")) for each in one.messages("attributes"))
            seconds = None if ttl is None else ttl // 1000
            found = HashOnCookie(one.given("name"), terminal, seconds, one.text("path"), attributes)
        case "connection_properties":
            if not one.flag("source_ip"):
                raise one.wrong("source_ip", "a policy that hashes nothing is not modelled")
            found = HashOnSourceIp(terminal)
        case "query_parameter":
            found = HashOnQuery(one.given("name"), terminal)
        case _:
            found = HashOnFilterState(one.given("key"), terminal)
    one.done()
    said.done()
    return found


def _input(said: Message) -> str:
    said.text("name")
    config = said.needed("typed_config")
    _typed(config, "envoy.type.matcher.v3.HttpRequestHeaderMatchInput")
    header = ascii_lower(config.given("header_name"))
    config.done()
    said.done()
    return header


def _percent(said: Message) -> Portion:
    number = said.number("numerator")
    of = said.choice("denominator", {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}, "HUNDRED")
    said.done()
    return Portion(number, of)


def _criteria(said: Message) -> dict[str, Any]:
    """What of `metadata_match` chooses subsets."""
    found = said.message("metadata_match")
    if found is None:
        return {}
    by_filter = found.map("filter_metadata")
    found.done()
    return dict(by_filter.get("envoy.lb", {}))


def _changes(said: Message, side: str) -> HeaderChanges | None:
    """What a level changes about requests or responses; None for nothing."""
    removed = tuple(ascii_lower(name) for name in said.texts(f"{side}_headers_to_remove"))
    added = tuple(_change(one) for one in said.messages(f"{side}_headers_to_add"))
    for name in (*removed, *(one.name for one in added)):
        if name.startswith(":") or name == "host":
            raise said.wrong(f"{side}_headers_to_add", ":-prefixed or host headers may not be modified")
    return HeaderChanges(removed, added) if removed or added else None


def _change(said: Message) -> HeaderChange:
    header = said.needed("header")
    name, value = ascii_lower(header.given("key")), header.text("value")
    header.done()
    how = said.choice("append_action", _APPEND, "APPEND_IF_EXISTS_OR_ADD")
    if said.has("append"):
        how = Append.APPEND if said.flag("append") else Append.OVERWRITE
    found = HeaderChange(name, value, how, said.flag("keep_empty_value"))
    said.done()
    return found


def _fault(said: Message) -> Fault:
    delay, abort = said.message("delay"), said.message("abort")
    try:
        found = Fault(None if delay is None else _delay(delay), None if abort is None else _abort(abort))
    except TableError:
        raise
    except ValueError as error:
        raise TableError(f"{said.where}: failed validation: {error}") from error
    said.done()
    return found


def _delay(said: Message) -> Delay:
    portion = said.message("percentage")
    found = Delay(said.milliseconds("fixed_delay") or 0, Portion(0) if portion is None else _percent(portion))
    said.done()
    return found


def _abort(said: Message) -> Abort:
    kind = said.one_of(("http_status", "grpc_status"), "a status")
    status, portion = said.number(kind), said.message("percentage")
    chance = Portion(0) if portion is None else _percent(portion)
    said.done()
    return Abort(chance, status) if kind == "http_status" else Abort(chance, grpc_status=status)
