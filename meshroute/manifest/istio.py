"""Istio traffic resources as people write them: VirtualService and DestinationRule, every field.

Source    istio/api: networking/v1alpha3/virtual_service.proto, destination_rule.proto and
          kubernetes/customresourcedefinitions.gen.yaml (networking.istio.io; v1, v1beta1 and v1alpha3 share one schema)
Inputs    what the CRD schema accepts, after unknown fields and nulls are gone. Weights, percentages and ports have the
          schema's ranges; the rules of Istio's webhook (hosts, regular expressions, sums) are the compiler's.
Exactness absent scalars have the protobuf default (0, empty, false); None means absent wherever presence has a meaning.
Errors    ValidationError in Python, diagnostics through the loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field
from pydantic import StrictBool as Bool

from meshroute.manifest.metadata import (
    Double,
    Duration,
    Int32,
    Labels,
    Model,
    OneOf,
    Resource,
    Span,
    Str,
    UInt32,
    UInt64,
)

IstioVersion = Literal["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]
ISTIO_VERSIONS: Final = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")


# Matching


class StringMatch(OneOf):
    """How a text must look. None of the three set: anything, or for headers, that the header is there."""

    one_of = (("exact", "prefix", "regex"),)

    exact: Str | None = None
    prefix: Str | None = None
    regex: Str | None = None


class HTTPMatchRequest(Model):
    """One alternative of a rule: every field that is set must hold."""

    name: Str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[Str, StringMatch] = Field(default_factory=dict)
    without_headers: Mapping[Str, StringMatch] = Field(default_factory=dict)
    query_params: Mapping[Str, StringMatch] = Field(default_factory=dict)
    ignore_uri_case: Bool = False
    port: UInt32 = 0
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: Str = ""
    gateways: tuple[Str, ...] = ()
    stat_prefix: Str = ""


class L4MatchAttributes(Model):
    """One alternative of a TCP rule."""

    destination_subnets: tuple[Str, ...] = ()
    port: UInt32 = 0
    source_subnet: Str = ""
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: Str = ""
    gateways: tuple[Str, ...] = ()


class TLSMatchAttributes(Model):
    """One alternative of a TLS rule; `sni_hosts` is required."""

    sni_hosts: tuple[Str, ...]
    destination_subnets: tuple[Str, ...] = ()
    port: UInt32 = 0
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: Str = ""
    gateways: tuple[Str, ...] = ()


# Where to


class PortSelector(Model):
    """A port by number."""

    number: UInt32 = 0


class Destination(Model):
    """A service, by short or full name, and perhaps one of its subsets and ports."""

    host: Str
    subset: Str = ""
    port: PortSelector | None = None


class HeaderOperations(Model):
    """What to do to headers. The proxy removes first, then sets, then adds, each sorted by name."""

    set: Labels = Field(default_factory=dict)
    add: Labels = Field(default_factory=dict)
    remove: tuple[Str, ...] = ()


class Headers(Model):
    """Header changes on the way there and back."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HTTPRouteDestination(Model):
    """One destination of an HTTP rule. `weight` is relative; a single destination gets everything whatever it says."""

    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None


class RouteDestination(Model):
    """One destination of a TCP or TLS rule."""

    destination: Destination
    weight: Int32 = 0


class Delegate(Model):
    """Another VirtualService that goes on with this rule's requests."""

    name: Str = ""
    namespace: Str = ""


# What else a rule does


class RedirectPort(StrEnum):
    """Where a redirect takes its port from."""

    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(OneOf):
    """An answer that sends the client elsewhere."""

    one_of = (("port", "derivePort"),)

    uri: Str = ""
    prefix_rewrite: Str = ""
    authority: Str = ""
    scheme: Str = ""
    port: UInt32 | None = None
    derive_port: RedirectPort | None = None
    redirect_code: UInt32 = 0


class HTTPBody(OneOf):
    """The body of a fixed answer, as text or in base64."""

    one_of = (("string", "bytes"),)

    string: Str | None = None
    bytes: Str | None = None


class HTTPDirectResponse(Model):
    """A fixed answer without any upstream."""

    status: UInt32
    body: HTTPBody | None = None


class RegexRewrite(Model):
    """Replace what `match` finds in the path by `rewrite`."""

    match: Str = ""
    rewrite: Str = ""


class HTTPRewrite(Model):
    """Changes to path and authority before the request goes on."""

    uri: Str = ""
    authority: Str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(Model):
    """How often and on what to try again. `attempts` 0 turns retries off."""

    attempts: Int32 = 0
    per_try_timeout: Span | None = None
    retry_on: Str = ""
    retry_remote_localities: Bool | None = None
    retry_ignore_previous_hosts: Bool | None = None
    backoff: Span | None = None


class Percent(Model):
    """A percentage from 0 to 100; 0.1 is one request in a thousand."""

    value: Double = 0.0


class FaultDelay(OneOf):
    """Hold requests back. Without a percentage Istio never does."""

    one_of = (("fixedDelay", "exponentialDelay"),)

    fixed_delay: Span | None = None
    exponential_delay: Span | None = None
    percent: Int32 = 0
    percentage: Percent | None = None


class FaultAbort(OneOf):
    """Answer requests with an error. Without a percentage Istio never does."""

    one_of = (("httpStatus", "grpcStatus", "http2Error"),)

    http_status: Int32 | None = None
    grpc_status: Str | None = None
    http2_error: Annotated[Str | None, Field(alias="http2Error")] = None
    percentage: Percent | None = None


class HTTPFaultInjection(Model):
    """Failures on purpose."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HTTPMirrorPolicy(Model):
    """One destination that gets copies."""

    destination: Destination
    percentage: Percent | None = None


class UnmatchedPreflights(StrEnum):
    """What becomes of preflight requests from origins that are not allowed."""

    UNSPECIFIED = "UNSPECIFIED"
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Model):
    """Cross-origin rules. `allow_origin` is the deprecated list of exact origins."""

    allow_origin: tuple[Str, ...] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[Str, ...] = ()
    allow_headers: tuple[Str, ...] = ()
    expose_headers: tuple[Str, ...] = ()
    max_age: Span | None = None
    allow_credentials: Bool | None = None
    unmatched_preflights: UnmatchedPreflights = UnmatchedPreflights.UNSPECIFIED


# Rules


class HTTPRoute(Model):
    """One HTTP rule: alternatives in `match`, and what happens to requests that meet one of them."""

    name: Str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Span | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percentage: Percent | None = None
    mirror_percent: UInt32 | None = None
    # The CRD has this one spelling in snake case beside the other; Istio reads them as the same field.
    mirror_percent_legacy: Annotated[UInt32 | None, Field(alias="mirror_percent")] = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class TLSRoute(Model):
    """One rule for TLS that passes through unread; `match` is required."""

    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


class TCPRoute(Model):
    """One rule for plain connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualServiceSpec(Model):
    """Rules for hosts. Without `hosts` it is a delegate, which other VirtualServices name."""

    hosts: tuple[Str, ...] = ()
    gateways: tuple[Str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[Str, ...] = ()


class VirtualService(Resource):
    """Istio's routing rules. Source: istio/api: networking/v1alpha3/virtual_service.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["VirtualService"] = "VirtualService"
    spec: VirtualServiceSpec
    status: Any = None


# Balancing


class SimpleLB(StrEnum):
    """Policies without settings."""

    UNSPECIFIED = "UNSPECIFIED"
    LEAST_CONN = "LEAST_CONN"
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"


class HTTPCookieAttribute(Model):
    """One more attribute of the cookie that the proxy makes."""

    name: Str
    value: Str = ""


class HTTPCookie(Model):
    """The cookie to hash. With a `ttl`, even `0s`, the proxy makes one where there is none."""

    name: Str
    path: Str = ""
    ttl: Duration | None = None
    attributes: tuple[HTTPCookieAttribute, ...] = ()


class RingHash(Model):
    """Settings of the ring; 0 leaves the size to the proxy."""

    minimum_ring_size: UInt64 = 0


class Maglev(Model):
    """Settings of the table; 0 leaves the size to the proxy."""

    table_size: UInt64 = 0


class ConsistentHashLB(OneOf):
    """Hash part of the request to choose the host. At most one key, at most one algorithm."""

    one_of = (
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev"),
    )

    http_header_name: Str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: Bool | None = None
    http_query_parameter_name: Str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    # Deprecated in favour of `ringHash`; at runtime the newer form wins.
    minimum_ring_size: UInt64 = 0


class LocalityDistribute(Model):
    """How clients of one place split their traffic over places; the weights are percentages."""

    from_: Annotated[Str, Field(alias="from")] = ""
    to: Mapping[Str, UInt32] = Field(default_factory=dict)


class LocalityFailover(Model):
    """Which region takes over from which."""

    from_: Annotated[Str, Field(alias="from")] = ""
    to: Str = ""


class LocalityLbSetting(Model):
    """Keeping traffic near; `enabled` None leaves it to the mesh."""

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[Str, ...] = ()
    enabled: Bool | None = None


class ZoneAwareLbSetting(Model):
    """Zone-aware routing, the newer form of keeping traffic near."""

    enabled: Bool | None = None
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[Str, ...] = ()
    min_cluster_size: Annotated[UInt32, Field(ge=1)] | None = None


class Warmup(Model):
    """New hosts get their share slowly."""

    duration: Span
    minimum_percent: Annotated[Double, Field(ge=0, le=100)] | None = None
    aggression: Annotated[Double, Field(ge=0)] | None = None


class BackendUtilization(Model):
    """Weights from what backends report of themselves."""

    metric_names_for_computing_utilization: tuple[Str, ...] = ()
    error_utilization_penalty_percent: UInt32 = 0
    weight_update_period: Duration | None = None
    weight_stabilization_period: Duration | None = None
    weight_expiration_period: Duration | None = None


class LoadBalancerSettings(OneOf):
    """Which host of a cluster gets the next request."""

    one_of = (("simple", "consistentHash", "backendUtilization"),)

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    backend_utilization: BackendUtilization | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    warmup: Warmup | None = None
    warmup_duration_secs: Span | None = None


# Connections


class TcpKeepalive(Model):
    """Probes on idle connections."""

    probes: UInt32 = 0
    time: Span | None = None
    interval: Span | None = None


class TCPSettings(Model):
    """Limits on connections."""

    max_connections: Int32 = 0
    connect_timeout: Span | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Span | None = None
    idle_timeout: Duration | None = None


class H2UpgradePolicy(StrEnum):
    """Whether HTTP/1.1 connections become HTTP/2."""

    DEFAULT = "DEFAULT"
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class Http2KeepAlive(Model):
    """Pings on HTTP/2 connections."""

    interval: Span | None = None
    timeout: Span | None = None


class HTTPSettings(Model):
    """Limits on requests."""

    http1_max_pending_requests: Annotated[Int32, Field(alias="http1MaxPendingRequests")] = 0
    http2_max_requests: Annotated[Int32, Field(alias="http2MaxRequests")] = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Span | None = None
    h2_upgrade_policy: Annotated[H2UpgradePolicy, Field(alias="h2UpgradePolicy")] = H2UpgradePolicy.DEFAULT
    use_client_protocol: Bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: Annotated[Http2KeepAlive | None, Field(alias="http2KeepAlive")] = None


class ConnectionPoolSettings(Model):
    """How much a cluster may have open."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Model):
    """When hosts that fail are left out for a while. None leaves a threshold to the proxy's default."""

    split_external_local_origin_errors: Bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = None
    consecutive_errors: Int32 = 0
    interval: Span | None = None
    base_ejection_time: Span | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: tuple[Annotated[Int32, Field(ge=100, le=599)], ...] = ()


class TLSMode(StrEnum):
    """How connections to the cluster are secured."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class ClientTLSSettings(Model):
    """TLS towards the cluster."""

    mode: TLSMode = TLSMode.DISABLE
    client_certificate: Str = ""
    private_key: Str = ""
    ca_certificates: Str = ""
    ca_crl: Str = ""
    credential_name: Str = ""
    subject_alt_names: tuple[Str, ...] = ()
    sni: Str = ""
    insecure_skip_verify: Bool | None = None


class ProxyProtocolVersion(StrEnum):
    """Which header precedes the connection."""

    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Model):
    """Send the PROXY protocol's header."""

    version: ProxyProtocolVersion = ProxyProtocolVersion.V1


class TunnelSettings(Model):
    """Reach the cluster through another host."""

    protocol: Str = ""
    target_host: Str
    target_port: UInt32


class RetryBudget(Model):
    """How many retries may be under way beside other requests."""

    percent: Annotated[Double, Field(ge=0, le=100)] | None = None
    budget_interval: Duration | None = None
    min_retry_concurrency: UInt32 = 0


class PortTrafficPolicy(Model):
    """Settings of one port. They replace the rule's own wholesale."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicy(Model):
    """How a proxy treats the hosts of a service or subset."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Annotated[tuple[PortTrafficPolicy, ...], Field(max_length=4096)] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Model):
    """A part of a service: the endpoints that carry all these labels."""

    name: Str
    labels: Labels = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class WorkloadSelector(Model):
    """Which clients a rule is for."""

    match_labels: Annotated[Mapping[Str, Annotated[Str, Field(max_length=63)]], Field(max_length=4096)] = Field(
        default_factory=dict
    )


class DestinationRuleSpec(Model):
    """What holds for one host after routing has chosen it."""

    host: Str
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[Str, ...] = ()
    workload_selector: WorkloadSelector | None = None


class DestinationRule(Resource):
    """Istio's subsets and policies. Source: istio/api: networking/v1alpha3/destination_rule.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["DestinationRule"] = "DestinationRule"
    spec: DestinationRuleSpec
    status: Any = None
