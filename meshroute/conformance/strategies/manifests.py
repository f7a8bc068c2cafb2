"""Small worlds of manifests: what people write for a mesh, in every combination that changes an answer.

Bounds, and why each is enough:

- two namespaces and the root (`istio-system`): a client, a service and a rule can each be in the same or in another
  one, and the root is the one namespace that a lookup treats by its name;
- three service names, of which every world has at least one service: enough for a neighbour that must not change.
  `web` in `shop` is drawn more often than the others, so that pods, rules and services meet;
- labels `app` (the service names) and `version` (two values, or absent): full, partial and missed selectors;
- ports 80 and 8080: 80 is the port on which hosts that no registry knows are served, the other stands for all others;
- creation times, two and none: older, younger and tied, so that names and namespaces get to decide;
- weights 0 to 3: nothing, equal and unequal.

Addresses are given, one for each pod, so that nothing depends on assumed ones. Everything is valid: what is refused is
test_validate.py's. Nothing here is made with the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import strategies as st

from meshroute.manifest import DestinationRule, ObjectMeta, Pod, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    ConsistentHashLB,
    Destination,
    DestinationRuleSpec,
    HTTPBody,
    HTTPCookie,
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    LoadBalancerSettings,
    Maglev,
    OutlierDetection,
    PortSelector,
    PortTrafficPolicy,
    RingHash,
    SimpleLB,
    StringMatch,
    Subset,
    TrafficPolicy,
    VirtualServiceSpec,
)
from meshroute.manifest.kubernetes import (
    ConditionStatus,
    Container,
    ContainerPort,
    PodCondition,
    PodPhase,
    PodSpec,
    PodStatus,
    ServicePort,
    ServiceSpec,
)
from meshroute.manifest.kubernetes import Protocol as Transport

ROOT = "istio-system"
NAMESPACES = ("shop", "bank", ROOT)
NAMES = ("web", "pay", "api")
VERSIONS = ("v1", "v2")
PORTS = (80, 8080)
TIMES = (None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
EXPORTS: tuple[tuple[str, ...], ...] = ((), (), ("*",), (".",), ("shop",), ("bank", "."), ("shop", "bank"), ("~",))
WILDCARDS = ("*.shop.svc.cluster.local", "*.svc.cluster.local", "*.local", "*shop.svc.cluster.local")
OUTSIDE = ("outside.example", "*.example")

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)
ports = st.sampled_from(PORTS)


def exports_of(namespace: str, *, hidden: bool = False) -> st.SearchStrategy[tuple[str, ...]]:
    """What a resource of a namespace may say of its readers: no namespace twice, and `~` only if it may be `hidden`."""
    return st.sampled_from([one for one in EXPORTS if not {".", namespace} <= set(one) and (hidden or "~" not in one)])


def full_name(name: str, namespace: str) -> str:
    """What a registry calls a service, spelt out."""
    return f"{name}.{namespace}.svc.cluster.local"


FULL_NAMES = tuple(full_name(name, namespace) for namespace in NAMESPACES for name in NAMES)

# A name without a dot, a full one, a wildcard, one that nobody registered; and a dotted one that is never completed.
hosts = st.one_of(
    names,
    st.just(FULL_NAMES[0]),
    st.sampled_from(FULL_NAMES),
    st.sampled_from(WILDCARDS),
    st.sampled_from((*OUTSIDE, "web.shop")),
)


@st.composite
def metadata(draw: st.DrawFn, name: st.SearchStrategy[str]) -> ObjectMeta:
    """A name in one of the namespaces, of some age or none."""
    return ObjectMeta(name=draw(name), namespace=draw(namespaces), creation_timestamp=draw(st.sampled_from(TIMES)))


# Kubernetes

labels = st.fixed_dictionaries(
    {"app": st.sampled_from(("web", "web", "web", "pay", "api"))},
    optional={"version": st.sampled_from(VERSIONS), "tier": st.sampled_from(("1", "01"))},
)
selectors: st.SearchStrategy[dict[str, str]] = st.one_of(
    labels,
    st.fixed_dictionaries({"app": names}),
    st.just({"app": "web"}),
    st.fixed_dictionaries({"version": st.sampled_from(VERSIONS)}),
    st.fixed_dictionaries({"tier": st.sampled_from(("1", "01"))}),
    st.just({}),
)
target_ports = st.sampled_from((None, 0, "", 8081, "http", "metrics"))
# Models are called by hand: `st.builds` reads the aliases in their signatures as arguments of their own.
container_ports = st.lists(
    st.tuples(
        st.sampled_from(("", "http", "metrics")),
        st.sampled_from((8080, 9090)),
        st.sampled_from((Transport.TCP, Transport.TCP, Transport.UDP)),
    ).map(lambda drawn: ContainerPort(name=drawn[0], container_port=drawn[1], protocol=drawn[2])),
    max_size=3,
).map(tuple)


@st.composite
def pods(draw: st.DrawFn, number: int = 0, home: str = "") -> Pod:
    """A pod with an address of its own; about half of them take traffic. With a `home`, most of them stand there."""
    ready = draw(st.sampled_from((None, "True", "False", "False", "Unknown")))
    conditions = [PodCondition(type="PodScheduled", status=ConditionStatus.TRUE)]
    if ready is not None:
        conditions.append(PodCondition(type="Ready", status=ConditionStatus(ready)))
    return Pod(
        metadata=ObjectMeta(
            # Numbers run down, so that the order of names is not the order of writing.
            name=f"pod-{9 - number}",
            namespace=draw(st.sampled_from((home, home, home, *NAMESPACES)) if home else namespaces),
            labels=draw(labels),
            deletion_timestamp=draw(st.sampled_from((None, None, None, TIMES[1]))),
        ),
        spec=PodSpec(
            containers=(Container(name="main", ports=draw(container_ports)),),
            init_containers=tuple(
                Container(name="side", ports=draw(container_ports), restart_policy=policy)
                for policy in draw(st.sampled_from(((), ("Always",), (None,))))
            ),
        ),
        status=PodStatus(
            phase=draw(
                st.sampled_from((None, PodPhase.RUNNING, PodPhase.RUNNING, PodPhase.SUCCEEDED, PodPhase.FAILED))
            ),
            pod_ip=f"10.8.0.{number + 1}",
            conditions=draw(st.sampled_from(((), tuple(conditions), tuple(conditions)))),
        ),
    )


@st.composite
def service_ports(draw: st.DrawFn, number: int, alone: bool) -> ServicePort:
    """A port by this number that speaks HTTP, does not, or does not say. Of several, each has a name of its own."""
    name = draw(st.sampled_from(("http", "http", "grpc-api", "any", "tcp-raw")))
    if alone and draw(st.booleans()):
        name = ""
    return ServicePort(name=name and f"{name}-{number}", port=number, target_port=draw(target_ports))


@st.composite
def services(draw: st.DrawFn, name: str, namespace: str) -> Service:
    """A Service of this name on one port or both."""
    numbers = draw(st.sampled_from(((80,), (80, 8080), (80, 8080), (8080,))))
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=ServiceSpec(
            selector=draw(selectors),
            ports=tuple(draw(service_ports(number, len(numbers) == 1)) for number in numbers),
            publish_not_ready_addresses=draw(st.sampled_from((False, False, False, True))),
        ),
    )


# Istio

port_selectors = ports.map(lambda number: PortSelector(number=number))


def headers_hashed(name: str, minimum: int = 0) -> LoadBalancerSettings:
    """Consistent hashing on one header."""
    ring = RingHash(minimum_ring_size=minimum) if minimum else None
    return LoadBalancerSettings(consistent_hash=ConsistentHashLB(http_header_name=name, ring_hash=ring))


load_balancers = st.one_of(
    st.sampled_from(SimpleLB).map(lambda simple: LoadBalancerSettings(simple=simple)),
    st.builds(headers_hashed, st.sampled_from(("x-user", "X-Tenant")), st.sampled_from((0, 3))),
    st.sampled_from(
        (
            ConsistentHashLB(minimum_ring_size=5),
            ConsistentHashLB(use_source_ip=True, maglev=Maglev(table_size=11)),
            ConsistentHashLB(use_source_ip=False, maglev=Maglev(table_size=7)),
            ConsistentHashLB(http_query_parameter_name="User"),
            ConsistentHashLB(http_cookie=HTTPCookie(name="user")),
        )
    ).map(lambda hashing: LoadBalancerSettings(consistent_hash=hashing)),
)
# Off, the default and another number, each of them written or not; and one panic threshold, which some pods feel.
outlier_detections = st.fixed_dictionaries(
    {},
    optional={
        "consecutive5xxErrors": st.sampled_from((0, 5, 7)),
        "consecutiveGatewayErrors": st.sampled_from((0, 5, 7)),
        "splitExternalLocalOriginErrors": st.just(True),
        "interval": st.sampled_from(("10s", "1.5s")),
        "baseEjectionTime": st.sampled_from(("30s", "6m")),
        "maxEjectionPercent": st.sampled_from((0, 10, 100)),
        "minHealthPercent": st.sampled_from((0, 50)),
    },
).map(OutlierDetection.model_validate)
# A policy that says nothing is refused.
port_policies = (
    st.tuples(port_selectors, st.none() | load_balancers, st.none() | outlier_detections)
    .filter(lambda drawn: any(drawn[1:]))
    .map(lambda drawn: PortTrafficPolicy(port=drawn[0], load_balancer=drawn[1], outlier_detection=drawn[2]))
)
traffic_policies = (
    st.tuples(
        st.none() | load_balancers,
        st.lists(port_policies, max_size=2, unique_by=lambda one: one.port and one.port.number).map(tuple),
        st.none() | outlier_detections,
    )
    .filter(any)
    .map(lambda drawn: TrafficPolicy(load_balancer=drawn[0], port_level_settings=drawn[1], outlier_detection=drawn[2]))
)


@st.composite
def destination_rules(draw: st.DrawFn) -> DestinationRule:
    """Subsets `v1`, `v2` (one of which may select nobody) and `all` (without labels), and policies at every level."""
    chosen = draw(st.lists(st.sampled_from(("v1", "v2", "all")), unique=True, max_size=3))
    kinds: dict[str, st.SearchStrategy[dict[str, str]]] = {
        "v1": st.sampled_from(({"version": "v1"}, {"version": "v1", "tier": "1"})),
        "v2": st.sampled_from(({"version": "v2"}, {"version": "v9"})),
        "all": st.just({}),
    }
    about = draw(metadata(st.sampled_from(("dr-a", "dr-b"))))
    return DestinationRule(
        metadata=about,
        spec=DestinationRuleSpec(
            host=draw(hosts),
            subsets=tuple(
                Subset(name=name, labels=draw(kinds[name]), traffic_policy=draw(st.none() | traffic_policies))
                for name in chosen
            ),
            traffic_policy=draw(st.none() | traffic_policies),
            export_to=draw(exports_of(about.namespace)),
        ),
    )


destinations = st.tuples(
    names | st.sampled_from(FULL_NAMES), st.sampled_from(("", "v1", "v2", "gone")), st.none() | port_selectors
).map(lambda drawn: Destination(host=drawn[0], subset=drawn[1], port=drawn[2]))


@st.composite
def routes(draw: st.DrawFn) -> tuple[HTTPRouteDestination, ...]:
    """One destination with any weight, or two or three of which one at least gets something."""
    count = draw(st.integers(1, 3))
    weights = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    if not any(weights):
        weights[-1] = 1
    return tuple(HTTPRouteDestination(destination=draw(destinations), weight=weight) for weight in weights)


@st.composite
def match_blocks(draw: st.DrawFn) -> HTTPMatchRequest:
    """What is settled before any request (port, source, gateways), and a path or nothing."""
    return HTTPMatchRequest(
        name=draw(st.sampled_from(("", "m"))),
        uri=draw(
            st.sampled_from(
                (
                    None,
                    StringMatch(prefix="/"),
                    StringMatch(prefix="/v2"),
                    StringMatch(exact="/v2"),
                    StringMatch(regex=".*"),
                    StringMatch(regex="/.*"),
                    StringMatch(),
                )
            )
        ),
        ignore_uri_case=draw(st.sampled_from((False, False, True))),
        headers=draw(st.sampled_from(({}, {}, {"x-user": StringMatch(exact="a")}))),
        query_params=draw(st.sampled_from(({}, {}, {"q": StringMatch()}))),
        port=draw(st.sampled_from((0, 0, 80, 8080))),
        source_labels=draw(st.sampled_from(({}, {}, {"app": "web"}, {"app": "web", "version": "v1"}))),
        source_namespace=draw(st.sampled_from(("", "", "shop", "bank"))),
        gateways=draw(st.sampled_from(((), (), ("mesh",), ("edge",), ("edge", "mesh")))),
    )


@st.composite
def http_rules(draw: st.DrawFn) -> HTTPRoute:
    """A rule that sends, or that answers by itself."""
    match = tuple(draw(st.lists(match_blocks(), max_size=2)))
    if draw(st.integers(0, 3)):
        return HTTPRoute(name=draw(st.sampled_from(("", "r"))), match=match, route=draw(routes()))
    return HTTPRoute(
        match=match,
        direct_response=HTTPDirectResponse(status=204, body=draw(st.none() | st.just(HTTPBody(string="b")))),
    )


def apart(some: Sequence[str]) -> tuple[str, ...]:
    """The hosts without those that another one of them stands for: both in one VirtualService are refused."""

    def stands_for(wide: str, other: str) -> bool:
        return wide.startswith("*") and wide != other and other.endswith(wide[1:])

    return tuple(one for one in some if not any(stands_for(wide, one) for wide in some))


@st.composite
def virtual_services(
    draw: st.DrawFn, rules: st.SearchStrategy[HTTPRoute] | None = None, *, max_hosts: int = 2
) -> VirtualService:
    """Rules for one host or two, mostly of the mesh; two of one name are told apart by their namespaces."""
    about = draw(metadata(st.sampled_from(("vs-a", "vs-b", "vs-c"))))
    return VirtualService(
        metadata=about,
        spec=VirtualServiceSpec(
            hosts=draw(st.lists(hosts, min_size=1, max_size=max_hosts, unique=True).map(apart)),
            gateways=draw(st.sampled_from(((), (), (), ("mesh",), ("edge", "mesh"), ("edge",)))),
            http=tuple(draw(st.lists(rules or http_rules(), min_size=1, max_size=4))),
            export_to=draw(exports_of(about.namespace)),
        ),
    )


class World(NamedTuple):
    """What was written, in the order in which it was drawn."""

    services: tuple[Service, ...] = ()
    pods: tuple[Pod, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    virtual_services: tuple[VirtualService, ...] = ()

    @property
    def resources(self) -> list[Resource]:
        """Everything, kind by kind."""
        return [*self.services, *self.pods, *self.destination_rules, *self.virtual_services]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The full names of the services."""
        return tuple(full_name(one.name, one.namespace) for one in self.services)


@st.composite
def many_services(draw: st.DrawFn) -> tuple[Service, ...]:
    """One to three services, no two of the same name in one namespace."""
    where = st.tuples(st.sampled_from(("web", *NAMES)), st.sampled_from(("shop", "shop", *NAMESPACES)))
    return tuple(
        draw(services(name, namespace))
        for name, namespace in draw(st.lists(where, min_size=1, max_size=3, unique=True))
    )


@st.composite
def many_pods(draw: st.DrawFn, home: str = "") -> tuple[Pod, ...]:
    """Up to six pods: two subsets with a sick pod each, or one that nobody selects."""
    return tuple(draw(pods(number, home)) for number in range(draw(st.integers(0, 6))))


def _distinct(resources: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """A few of them, no two of one name in one namespace."""
    return st.lists(resources, max_size=most, unique_by=lambda one: (one.namespace, one.name)).map(tuple)


def worlds(*, rules: int = 3, routed: int = 3) -> st.SearchStrategy[World]:
    """Services and pods, up to `rules` DestinationRules, up to `routed` VirtualServices."""
    return st.builds(
        World,
        many_services(),
        many_pods("shop"),
        _distinct(destination_rules(), rules),
        _distinct(virtual_services(), routed),
    )


clients = st.tuples(namespaces, st.sampled_from(({}, {"app": "web"}, {"app": "web", "version": "v1"})))
"""Who looks: a namespace and labels."""
