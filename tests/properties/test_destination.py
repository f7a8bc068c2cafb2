"""Destination rules: spec/destination.md, on manifests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import meshroute as mr
from meshroute.balance.request_key import request_key
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies.manifests import (
    EXPORTS,
    NAMESPACES,
    ROOT,
    VERSIONS,
    destination_rules,
    full_name,
    headers_hashed,
    load_balancers,
    many_pods,
    namespaces,
    outlier_detections,
    traffic_policies,
)
from meshroute.manifest import DestinationRule, ObjectMeta, Pod, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    ConnectionPoolSettings,
    ConsistentHashLB,
    Destination,
    DestinationRuleSpec,
    HTTPRoute,
    HTTPRouteDestination,
    LoadBalancerSettings,
    OutlierDetection,
    PortSelector,
    PortTrafficPolicy,
    SimpleLB,
    Subset,
    TrafficPolicy,
    VirtualServiceSpec,
    WorkloadSelector,
)
from meshroute.manifest.kubernetes import PodSpec, PodStatus, ServicePort, ServiceSpec, TrafficDistribution
from meshroute.table import (
    Cluster,
    Forward,
    HashOnCookie,
    HashOnHeader,
    HashOnQuery,
    HashOnSourceIp,
    HashPolicy,
    Health,
    LeastRequest,
    Maglev,
    OriginalDestination,
    Policy,
    RandomChoice,
    RingHash,
    RoundRobin,
    SlowStart,
)
from meshroute.table import OutlierDetection as Outliers

WEB = full_name("web", "shop")
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
SERVICE = Service(
    metadata=ObjectMeta(name="web", namespace="shop"),
    spec=ServiceSpec(
        selector={"app": "web"},
        ports=(ServicePort(name="http", port=80), ServicePort(name="http-b", port=8080)),
    ),
)
PODS = tuple(
    Pod(
        metadata=ObjectMeta(name=f"pod-{version}", namespace="shop", labels={"app": "web", "version": version}),
        spec=PodSpec(containers=()),
        status=PodStatus(pod_ip=f"10.8.0.{number}"),
    )
    for number, version in enumerate(VERSIONS, 1)
)
# The hosts that a rule for `web` in `shop` can have, the short name included, and two that are not for it.
own_hosts = st.sampled_from(
    ("web", WEB, WEB, "*.shop.svc.cluster.local", "*.svc.cluster.local", "*shop.svc.cluster.local", "pay", "web.shop")
)


def clusters(rules: Sequence[Resource], client: str = "shop") -> dict[str, Cluster]:
    """What the clusters of `web` are for a client in this namespace, by name without direction and host."""
    table = Admitted([SERVICE, *PODS, *rules]).router(mr.Sidecar(client)).table
    return {
        str(one.name).removeprefix("outbound|").removesuffix(f"|{WEB}"): one
        for one in table.clusters
        if one.service == WEB
    }


def rule(
    name: str = "dr",
    namespace: str = "shop",
    host: str = WEB,
    subsets: Sequence[Subset] = (),
    policy: TrafficPolicy | None = None,
    export_to: Sequence[str] = (),
    at: datetime | None = None,
) -> DestinationRule:
    """A DestinationRule for `web`."""
    return DestinationRule(
        metadata=ObjectMeta(name=name, namespace=namespace, creation_timestamp=at),
        spec=DestinationRuleSpec(host=host, subsets=tuple(subsets), traffic_policy=policy, export_to=tuple(export_to)),
    )


def meant(host: str, namespace: str) -> str:
    """What a rule of this namespace means by a host."""
    return host if "." in host else full_name(host, namespace)


@st.composite
def marked_rules(draw: st.DrawFn) -> list[DestinationRule]:
    """Rules in several namespaces with a subset each that no other has, so that one sees whose is followed."""
    drawn = draw(
        st.lists(
            st.tuples(st.sampled_from((*NAMESPACES, "fourth")), own_hosts, st.sampled_from(EXPORTS)),
            max_size=5,
            unique_by=lambda one: (one[0], meant(one[1], one[0])),  # two rules for one host are DR-2's
        )
    )
    return [
        rule(f"dr-{number}", namespace, host, [Subset(name=f"s{number}")], export_to=export_to)
        for number, (namespace, host, export_to) in enumerate(drawn)
    ]


def best(rules: Sequence[DestinationRule]) -> list[DestinationRule]:
    """Of rules, those that cover `web`, of these those with the most specific host: exact, else the longest."""
    hosts = {one.name: meant(one.spec.host, one.namespace) for one in rules}
    exact = [one for one in rules if hosts[one.name] == WEB]
    wild = [one for one in rules if hosts[one.name][0] == "*" and WEB.endswith(hosts[one.name][1:])]
    longest = max((len(hosts[one.name]) for one in wild), default=0)
    return exact or [one for one in wild if len(hosts[one.name]) == longest]


class TestDr1Lookup:
    """DR-1: the rule for a service is looked for in the client's namespace, then in the service's, then in
    `istio-system`; the first namespace with any rule that covers the service decides, and in it the most specific
    host."""

    @given(marked_rules(), st.sampled_from((*NAMESPACES, "fourth")))
    def test_the_lookup_agrees_with_a_walk_by_hand(self, rules: list[DestinationRule], client: str) -> None:
        """Three lists, one after the other; the first with a rule for the host wins.

        Of the root namespace's own clients the first list has only what is exported to nobody else.
        """
        own = [
            one
            for one in rules
            if one.namespace == client
            and (not one.spec.export_to or {"*", ".", client} & set(one.spec.export_to))
            and (client != ROOT or set(one.spec.export_to) in ({"."}, {ROOT}))
        ]
        chosen = best(own)
        for namespace in ("shop", ROOT):
            if not chosen:
                exported = [
                    one
                    for one in rules
                    if one.namespace == namespace and set(one.spec.export_to) not in ({"."}, {namespace})
                ]
                chosen = [
                    one for one in best(exported) if not one.spec.export_to or {"*", client} & set(one.spec.export_to)
                ]
        expected = {one.spec.subsets[0].name for one in chosen}
        assert {one.subset for one in clusters(rules, client).values()} - {""} == expected

    @given(marked_rules(), marked_rules())
    def test_a_fourth_namespace_never_counts(self, rules: list[DestinationRule], others: list[DestinationRule]) -> None:
        """Whatever it exports."""
        foreign = [
            rule(f"f{number}", "fourth", meant(one.spec.host, "shop"), [Subset(name="f")], export_to=one.spec.export_to)
            for number, one in enumerate(others)
        ]
        rules = [one for one in rules if one.namespace != "fourth"]
        for client in ("bank", "shop", ROOT):
            assert clusters([*rules, *foreign], client) == clusters(rules, client)

    @given(st.sampled_from(("*.shop.svc.cluster.local", "*.local", "*")))
    def test_a_wildcard_nearby_beats_an_exact_host_further_away(self, host: str) -> None:
        """Namespaces go first, specificity second."""
        near, far = rule("near", "bank", host, [Subset(name="near")]), rule("far", "shop", WEB, [Subset(name="far")])
        assert {one.subset for one in clusters([near, far], "bank").values()} == {"", "near"}
        assert {one.subset for one in clusters([near, far], "shop").values()} == {"", "far"}

    @given(marked_rules(), namespaces, st.data())
    def test_the_order_of_writing_does_not_count(
        self, rules: list[DestinationRule], client: str, data: st.DataObject
    ) -> None:
        """Any permutation gives the same clusters."""
        assert clusters(data.draw(st.permutations(rules)), client) == clusters(rules, client)


class TestDr2Folding:
    """DR-2: several rules for one host in one namespace are folded, oldest first: subsets are gathered, the first of a
    name stays; the first traffic policy stays whole."""

    @given(st.lists(destination_rules(), min_size=2, max_size=4))
    def test_subsets_are_gathered_and_the_oldest_stays(self, drawn: list[DestinationRule]) -> None:
        """Laid in order by hand, the first subset of a name and the first policy are those that hold."""
        rules = [
            rule(
                f"dr-{number}",
                subsets=one.spec.subsets,
                policy=one.spec.traffic_policy,
                at=one.metadata.creation_timestamp,
            )
            for number, one in enumerate(drawn)
        ]
        by_age = sorted(rules, key=lambda one: (one.metadata.creation_timestamp or LONG_AGO, one.name))
        subsets: dict[str, Subset] = {}
        for one in by_age:
            for subset in one.spec.subsets:
                subsets.setdefault(subset.name, subset)
        policy = next((one.spec.traffic_policy for one in by_age if one.spec.traffic_policy is not None), None)
        folded = rule(subsets=list(subsets.values()), policy=policy)
        assert clusters(rules) == clusters([folded])

    @given(st.lists(st.sampled_from(EXPORTS), min_size=2, max_size=4), namespaces)
    def test_rules_of_other_readers_are_kept_apart(self, exports: list[tuple[str, ...]], client: str) -> None:
        """A younger rule is folded into an older one if it is for the same readers, or for these and more; else it
        stands alone, and of those that stand alone the last counts."""
        rules = [
            rule(f"dr-{number}", subsets=[Subset(name=f"s{number}")], export_to=export_to)
            for number, export_to in enumerate(exports)
        ]
        owner = client == "shop"
        kept: list[tuple[set[str], list[str]]] = []
        for number, export_to in enumerate(map(set, exports)):
            local = not export_to or bool(export_to & {"*", ".", "shop"})
            if not (local if owner else export_to not in ({"."}, {"shop"})):
                continue
            fits = [export_to == older or bool(older and older <= export_to) for older, _ in kept]
            for one, fit in zip(kept, fits, strict=True):
                if fit:
                    one[1].append(f"s{number}")
            if not fits or not fits[-1]:
                kept.append((export_to, [f"s{number}"]))
        seen = [names for export_to, names in kept if owner or not export_to or export_to & {"*", client}]
        expected = set(seen[-1]) if seen else set()
        assert {one.subset for one in clusters(rules, client).values()} - {""} == expected


def policies(
    top: TrafficPolicy | None, sub: TrafficPolicy | None, *, port: int | None, subset: bool
) -> LoadBalancerSettings | None:
    """The load balancer by the words of the clause: four places, the first that is there."""

    def entry(policy: TrafficPolicy) -> PortTrafficPolicy | None:
        return next((one for one in policy.port_level_settings if one.port and one.port.number == port), None)

    for policy in (sub if subset else None, top):
        if policy is None:
            continue
        found = entry(policy)
        if found is not None:
            return found.load_balancer
        if policy.load_balancer is not None:
            return policy.load_balancer
    return None


def meaning(settings: LoadBalancerSettings | None) -> Policy:
    """A policy by the words of DR-4."""
    if settings is not None and settings.consistent_hash is not None:
        if settings.consistent_hash.maglev is not None:
            return Maglev(settings.consistent_hash.maglev.table_size or 65537)
        ring = settings.consistent_hash.ring_hash
        written = ring.minimum_ring_size if ring is not None else settings.consistent_hash.minimum_ring_size
        return RingHash(written or 1024)
    simple = settings.simple if settings is not None else None
    known: dict[str, Policy] = {
        "ROUND_ROBIN": RoundRobin(),
        "RANDOM": RandomChoice(),
        "PASSTHROUGH": OriginalDestination(),
    }
    return known.get(simple or "", LeastRequest(2))


class TestDr3Precedence:
    """DR-3: for a subset on a port the load balancer is that of the subset's entry for the port, else the subset's,
    else that of the rule's entry for the port, else the rule's. An entry for a port stands for its whole level."""

    @given(st.none() | traffic_policies, st.none() | traffic_policies)
    def test_the_first_of_the_four_places_holds(self, top: TrafficPolicy | None, sub: TrafficPolicy | None) -> None:
        """With and without the subset, on both ports."""
        found = clusters([rule(subsets=[Subset(name="v1", traffic_policy=sub)], policy=top)])
        for port in (80, 8080):
            for subset in ("", "v1"):
                expected = meaning(policies(top, sub, port=port, subset=bool(subset)))
                assert found[f"{port}|{subset}"].policy == expected

    @given(load_balancers)
    def test_what_an_entry_leaves_out_is_the_default(self, settings: LoadBalancerSettings) -> None:
        """It does not fall back to its level, and not to the level above."""
        empty = PortTrafficPolicy(port=PortSelector(number=80))
        level = TrafficPolicy(load_balancer=settings, port_level_settings=(empty,))
        found = clusters([rule(subsets=[Subset(name="v1", traffic_policy=level)], policy=level)])
        assert found["80|"].policy == found["80|v1"].policy == LeastRequest()
        assert found["8080|"].policy == found["8080|v1"].policy == meaning(settings)


class TestDr4Policies:
    """DR-4: `ROUND_ROBIN`, `RANDOM` and `PASSTHROUGH` are what they say; nothing, `UNSPECIFIED`, `LEAST_CONN` and
    `LEAST_REQUEST` are least request with two choices; `consistentHash` is a ring of at least 1024 entries, or of
    `minimumRingSize`."""

    @given(st.sampled_from(SimpleLB))
    def test_each_name_means_one_policy(self, simple: SimpleLB) -> None:
        """All six, without a seventh."""
        found = clusters([rule(policy=TrafficPolicy(load_balancer=LoadBalancerSettings(simple=simple)))])
        assert (
            found["80|"].policy
            == {
                "UNSPECIFIED": LeastRequest(2),
                "LEAST_CONN": LeastRequest(2),
                "LEAST_REQUEST": LeastRequest(2),
                "RANDOM": RandomChoice(),
                "ROUND_ROBIN": RoundRobin(),
                "PASSTHROUGH": OriginalDestination(),
            }[simple]
        )
        assert clusters([])["80|"].policy == LeastRequest(2)

    @given(st.sampled_from((None, 0, 1, 1023, 1025)), st.sampled_from((0, 7)))
    def test_the_newer_size_stands_for_the_older(self, newer: int | None, older: int) -> None:
        """`ringHash` decides where it is written, even if it says nothing; else the deprecated field; else 1024."""
        written = {"minimumRingSize": older, **({} if newer is None else {"ringHash": {"minimumRingSize": newer}})}
        settings = LoadBalancerSettings.model_validate({"consistentHash": written})
        found = clusters([rule(policy=TrafficPolicy(load_balancer=settings))])
        assert found["80|"].policy == RingHash((older if newer is None else newer) or 1024)


USER, TENANT = HashOnHeader("x-user"), HashOnHeader("x-tenant")


def sending(*to: tuple[str, int, int | None]) -> VirtualService:
    """One rule to these (subset, weight, port)."""
    return VirtualService(
        metadata=ObjectMeta(name="vs", namespace="shop"),
        spec=VirtualServiceSpec(
            hosts=("web",),
            http=(
                HTTPRoute(
                    route=tuple(
                        HTTPRouteDestination(
                            destination=Destination(
                                host="web",
                                subset=subset,
                                port=None if port is None else PortSelector(number=port),
                            ),
                            weight=weight,
                        )
                        for subset, weight, port in to
                    )
                ),
            ),
        ),
    )


def hashed_by(resources: Sequence[Resource], port: int = 80) -> tuple[object, ...]:
    """The hash policies of the only route of `web` on a port."""
    table = Admitted([SERVICE, *PODS, *resources]).router(mr.Sidecar("shop")).table
    listener = next(one for one in table.listeners if one.port == port)
    (route,) = next(one for one in listener.virtual_hosts if one.name == f"{WEB}:{port}").routes
    assert isinstance(route.action, Forward)
    return route.action.hash_policies


def keyed(hashing: ConsistentHashLB) -> HashPolicy | None:
    """The policy of the one key that is named; None where there is none, or one that is switched off."""
    if hashing.http_header_name is not None:
        return HashOnHeader(hashing.http_header_name.lower())
    if hashing.http_query_parameter_name is not None:
        return HashOnQuery(hashing.http_query_parameter_name)
    if hashing.http_cookie is not None:
        return HashOnCookie(hashing.http_cookie.name)
    return HashOnSourceIp() if hashing.use_source_ip else None


class TestDr5HashPolicies:
    """DR-5: the hash policies of a rule's destinations with a weight are put one after the other on the route, without
    removing repeats. Port-level settings count only if the destination names that port."""

    @given(
        st.none() | traffic_policies,
        st.none() | traffic_policies,
        st.lists(
            st.tuples(st.sampled_from(("", "v1", "gone")), st.integers(0, 2), st.sampled_from((None, 80, 8080))),
            min_size=1,
            max_size=3,
        ).filter(lambda to: len(to) == 1 or any(weight for _, weight, _ in to)),
    )
    def test_one_after_the_other(
        self, top: TrafficPolicy | None, sub: TrafficPolicy | None, to: list[tuple[str, int, int | None]]
    ) -> None:
        """For each destination that gets something: the first `consistentHash` of the subset's port, the subset, the
        rule's port and the rule. How a level balances otherwise does not come into it."""
        expected: list[HashPolicy | None] = []
        for subset, weight, port in to:
            if len(to) > 1 and not weight:
                continue
            places: list[LoadBalancerSettings | None] = []
            for policy in (sub if subset == "v1" else None, top):
                if policy is not None:
                    entries = [one for one in policy.port_level_settings if one.port and one.port.number == port]
                    places += [*(one.load_balancer for one in entries), policy.load_balancer]
            hashing = [one.consistent_hash for one in places if one is not None and one.consistent_hash is not None]
            expected += [keyed(one) for one in hashing[:1]]
        rules = [rule(subsets=[Subset(name="v1", traffic_policy=sub)], policy=top), sending(*to)]
        assert hashed_by(rules) == tuple(one for one in expected if one is not None)

    def test_a_subset_that_balances_otherwise_still_gives_the_rule_s_key(self) -> None:
        """The key is made on the route, before the cluster is known: two of it, one for each destination."""
        random = TrafficPolicy(load_balancer=LoadBalancerSettings(simple=SimpleLB.RANDOM))
        top = TrafficPolicy(load_balancer=headers_hashed("X-User"))
        rules = [rule(subsets=[Subset(name="v1", traffic_policy=random), Subset(name="v2")], policy=top)]
        assert hashed_by([*rules, sending(("v1", 1, None), ("v2", 1, None))]) == (USER, USER)

    def test_without_rules_the_port_of_the_request_is_named(self) -> None:
        """The default route of a service takes its key from the entry of its own port."""
        entry = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=headers_hashed("x-tenant"))
        top = TrafficPolicy(load_balancer=headers_hashed("x-user"), port_level_settings=(entry,))
        assert hashed_by([rule(policy=top)], 80) == (TENANT,)
        assert hashed_by([rule(policy=top)], 8080) == (USER,)

    @given(st.sampled_from(("ann", "bob", "")), st.integers(0, 2**64 - 1))
    def test_which_cluster_is_drawn_does_not_change_the_key(self, user: str, draw: int) -> None:
        """Two subsets that share a policy: either draw hashes with both copies of it."""
        top = TrafficPolicy(load_balancer=headers_hashed("x-user", 3))
        everybody = [Subset(name="v1"), Subset(name="v2")]
        mesh = Admitted(
            [SERVICE, *PODS, rule(subsets=everybody, policy=top), sending(("v1", 1, None), ("v2", 1, None))]
        )
        request = mr.Request.of("GET", f"http://{WEB}/", [("x-user", user)])
        decision, other = (
            mesh.router().decide(request, draws=mr.Draws.of(given={"stream": one})) for one in (draw, draw ^ 1)
        )
        assert {decision.subset, other.subset} == {"v1", "v2"}
        assert decision.pod == other.pod
        assert request_key((USER, USER), request, mr.Draws()) != request_key((USER,), request, mr.Draws())


class TestDr6Subsets:
    """DR-6: an endpoint belongs to a subset if it has all its labels, compared as strings; a subset without labels has
    every endpoint."""

    @given(
        many_pods("shop"),
        st.fixed_dictionaries(
            {},
            optional={
                "app": st.sampled_from(("web", "pay")),
                "version": st.sampled_from(("v1", "v2", "")),
                "tier": st.sampled_from(("1", "01")),
            },
        ),
    )
    def test_members_are_who_a_reading_by_hand_selects(self, pods: tuple[Pod, ...], labels: dict[str, str]) -> None:
        """The endpoints of the service that have the labels, in their order, sick ones included."""
        table = Admitted([SERVICE, *pods, rule(subsets=[Subset(name="s", labels=labels)])]).router().table
        found = {str(one.name): one.endpoints for one in table.clusters}
        by_name = {f"{one.namespace}/{one.name}": one.metadata.labels for one in pods}
        for port in (80, 8080):
            expected = tuple(
                one
                for one in found[f"outbound|{port}||{WEB}"]
                if all(by_name[one.workload].get(key) == value for key, value in labels.items())
            )
            assert found[f"outbound|{port}|s|{WEB}"] == expected


def detection(
    top: TrafficPolicy | None, sub: TrafficPolicy | None, *, port: int, subset: bool
) -> OutlierDetection | None:
    """The outlier detection by the words of DR-3, read for it: four places, the first that is there."""
    for policy in (sub if subset else None, top):
        if policy is None:
            continue
        for entry in policy.port_level_settings:
            if entry.port is not None and entry.port.number == port:
                return entry.outlier_detection
        if policy.outlier_detection is not None:
            return policy.outlier_detection
    return None


class TestDr7Outliers:
    """DR-7: `outlierDetection` is found as the load balancer is, each of the two as a whole and by itself; it ejects by
    errors in a row, and 0 turns a detector off."""

    @given(st.none() | traffic_policies, st.none() | traffic_policies)
    def test_each_of_the_two_is_found_by_itself(self, top: TrafficPolicy | None, sub: TrafficPolicy | None) -> None:
        """On both ports, with the subset and without; what is found means what it means alone."""
        found = clusters([rule(subsets=[Subset(name="v1", traffic_policy=sub)], policy=top)])
        for port in (80, 8080):
            for subset in ("", "v1"):
                one = found[f"{port}|{subset}"]
                written = detection(top, sub, port=port, subset=bool(subset))
                alone = clusters([rule(policy=TrafficPolicy(outlier_detection=written))])["80|"]
                assert (one.outliers, one.panic) == (alone.outliers, alone.panic)
                assert one.policy == meaning(policies(top, sub, port=port, subset=bool(subset)))

    @given(
        outlier_detections,
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(1, 9),
        st.integers(0, 9),
    )
    def test_every_field_by_itself(
        self, rest: OutlierDetection, errors: int | None, gateway: int | None, own: int | None, older: int
    ) -> None:
        """Numbers and switches, one after the other; the deprecated number does nothing."""
        split = rest.split_external_local_origin_errors
        written = rest.model_copy(
            update={
                "consecutive_5xx_errors": errors,
                "consecutive_gateway_errors": gateway,
                "consecutive_local_origin_failures": own if split else None,
                "consecutive_errors": older,
            }
        )
        found = clusters([rule(policy=TrafficPolicy(outlier_detection=written))])["80|"].outliers
        assert found == Outliers(
            consecutive_5xx=5 if errors is None else errors,
            enforcing_consecutive_5xx=0 if errors == 0 else 100,
            consecutive_gateway_failure=5 if gateway is None else gateway,
            enforcing_consecutive_gateway_failure=100 if gateway else 0,
            consecutive_local_origin_failure=own if split and own else 5,
            split_external_local_origin_errors=split,
            enforcing_success_rate=0,
            enforcing_local_origin_success_rate=0 if split else 100,
            interval={"10s": 10_000, "1.5s": 1_500}[rest.interval.text if rest.interval else "10s"],
            base_ejection_time={"30s": 30_000, "6m": 360_000}[
                rest.base_ejection_time.text if rest.base_ejection_time else "30s"
            ],
            max_ejection_percent=rest.max_ejection_percent or 10,
        )

    def test_without_it_nobody_is_ejected(self) -> None:
        assert {one.outliers for one in clusters([rule(policy=TrafficPolicy())]).values()} == {None}


class TestDr8Panic:
    """DR-8: nobody panics unless `minHealthPercent` is above 0; then endpoints that are not ready are not among the
    endpoints. A service with a traffic distribution never panics and keeps them."""

    @given(
        many_pods("shop"),
        st.sampled_from((None, 0, 1, 50, 100)),
        st.none() | st.sampled_from(TrafficDistribution),
        st.booleans(),
    )
    def test_either_a_panic_or_those_who_are_not_ready(
        self, pods: tuple[Pod, ...], percent: int | None, distribution: TrafficDistribution | None, sessions: bool
    ) -> None:
        """Never both; those who are going away and still serve stay with a service of persistent sessions."""
        web = SERVICE.model_copy(
            update={
                "metadata": ObjectMeta(
                    name="web", namespace="shop", labels={"istio.io/persistent-session": "c"} if sessions else {}
                ),
                "spec": SERVICE.spec.model_copy(update={"traffic_distribution": distribution}),
            }
        )
        detected = None if percent is None else OutlierDetection(min_health_percent=percent)
        policy = TrafficPolicy(outlier_detection=detected, load_balancer=LoadBalancerSettings(simple=SimpleLB.RANDOM))
        plain, found = (
            {str(one.name): one for one in Admitted([web, *pods, *rules]).router().table.clusters}[
                f"outbound|80||{WEB}"
            ]
            for rules in ([], [rule(policy=policy)])
        )
        panics = bool(percent) and distribution is None
        assert found.panic == (percent if panics else 0)
        kept = [one for one in plain.endpoints if not panics or one.health is not Health.UNHEALTHY]
        assert [one.key for one in found.endpoints] == [one.key for one in kept]


class TestDr9Warmup:
    """DR-9: `warmup` spares newcomers for `duration`, in whole milliseconds; without it `warmupDurationSecs` does. Only
    round robin and least request know it."""

    @given(
        st.sampled_from((None, *SimpleLB)),
        st.booleans(),
        st.sampled_from((None, {}, {"aggression": 2.5}, {"minimumPercent": 0}, {"minimumPercent": 33.3})),
        st.sampled_from((None, "90s", "1.0005s")),
    )
    def test_by_policy_and_form(
        self, simple: SimpleLB | None, hashed: bool, newer: dict[str, float] | None, older: str | None
    ) -> None:
        """The newer form stands for the older; what it leaves out is 1 and 10."""
        written: dict[str, object] = {"consistentHash": {"useSourceIp": True}} if hashed else {"simple": simple}
        if newer is not None:
            written["warmup"] = {"duration": "2.5s", **newer}
        if older is not None:
            written["warmupDurationSecs"] = older
        settings = LoadBalancerSettings.model_validate(written)
        policy = clusters([rule(policy=TrafficPolicy(load_balancer=settings))])["80|"].policy
        expected = None
        if newer is not None:
            expected = SlowStart(2_500, newer.get("aggression", 1.0), newer.get("minimumPercent", 10.0))
        elif older is not None:
            expected = SlowStart({"90s": 90_000, "1.0005s": 1_000}[older])
        if hashed or simple in (SimpleLB.RANDOM, SimpleLB.PASSTHROUGH):
            assert not hasattr(policy, "slow_start")
        else:
            assert isinstance(policy, RoundRobin | LeastRequest)
            assert policy.slow_start == expected


class TestDr10Cookies:
    """DR-10: a `httpCookie` with a `ttl` is made where it is missing or empty, and lives for the whole seconds of it;
    its `path` and `attributes` are those written."""

    @given(
        st.sampled_from(((None, None), ("0s", 0), ("999ms", 0), ("1s", 1), ("1.999s", 1), ("1h30m", 5400))),
        st.sampled_from(("", "/", "/ä")),
        st.lists(
            st.tuples(st.sampled_from(("SameSite", "Secure", "ä")), st.sampled_from(("", "Lax"))),
            unique_by=lambda one: one[0],
        ),
    )
    def test_it_is_made_as_it_is_written(
        self, ttl: tuple[str | None, int | None], path: str, attributes: list[tuple[str, str]]
    ) -> None:
        """Text as its bytes; in the order that is written."""
        written: dict[str, object] = {"name": "c", "path": path}
        written["attributes"] = [{"name": name, "value": value} for name, value in attributes]
        if ttl[0] is not None:
            written["ttl"] = ttl[0]
        hashing = ConsistentHashLB.model_validate({"httpCookie": written})
        (found,) = hashed_by([rule(policy=TrafficPolicy(load_balancer=LoadBalancerSettings(consistent_hash=hashing)))])
        assert found == HashOnCookie(
            "c",
            ttl=ttl[1],
            path=path.encode().decode("latin-1"),
            attributes=tuple((name.encode().decode("latin-1"), value) for name, value in attributes),
        )


class TestDr11ConnectionPools:
    """DR-11: `connectionPool` changes nothing."""

    @given(
        st.none() | traffic_policies,
        st.sampled_from(
            (
                {
                    "tcp": {
                        "maxConnections": 1,
                        "connectTimeout": "1s",
                        "idleTimeout": "0s",
                        "maxConnectionDuration": "5s",
                    }
                },
                {"tcp": {"tcpKeepalive": {"probes": 1}}},
                {"http": {"http1MaxPendingRequests": 1, "http2MaxRequests": 1, "maxRequestsPerConnection": 1}},
                {
                    "http": {
                        "maxRetries": 1,
                        "idleTimeout": "1s",
                        "h2UpgradePolicy": "UPGRADE",
                        "maxConcurrentStreams": 1,
                    }
                },
                {"http": {"useClientProtocol": True, "http2KeepAlive": {"interval": "1s", "timeout": "1s"}}},
            )
        ),
        st.booleans(),
    )
    def test_tables_are_the_same_and_nothing_is_said(
        self, policy: TrafficPolicy | None, written: dict[str, object], subset: bool
    ) -> None:
        """For the rule and for a subset of it."""
        pool = ConnectionPoolSettings.model_validate(written)
        policy = policy or TrafficPolicy()
        pooled = policy.model_copy(update={"connection_pool": pool})
        rules = [
            rule(
                subsets=[Subset(name="v1", traffic_policy=one if subset else policy)], policy=policy if subset else one
            )
            for one in (policy, pooled)
        ]
        assert clusters(rules[:1]) == clusters(rules[1:])
        said = Admitted([SERVICE, *PODS, DestinationRule.model_validate(rules[1].model_dump(exclude_unset=True))])
        assert [one for one in said.diagnostics if "connection" in one.at.path.lower()] == []


CHOOSING: tuple[dict[str, str] | None, ...] = (None, None, {}, {"app": "x"}, {"app": "x", "v": "1"})


@st.composite
def choosing_rules(draw: st.DrawFn) -> list[DestinationRule]:
    """Rules for `web` in its own namespace, some of them for chosen workloads, with a subset each."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        selector = draw(st.sampled_from(CHOOSING))
        one = rule(
            f"dr-{number}",
            host=draw(st.sampled_from((WEB, WEB, "*.shop.svc.cluster.local"))),
            subsets=[Subset(name=f"s{number}")],
            export_to=draw(st.sampled_from(EXPORTS)),
        )
        chosen = None if selector is None else WorkloadSelector(match_labels=selector)
        made.append(one.model_copy(update={"spec": one.spec.model_copy(update={"workload_selector": chosen})}))
    return made


def followed(rules: Sequence[Resource], client: str, labels: dict[str, str], **mesh: Any) -> set[str]:
    """The subsets of `web` that a client has."""
    router = Admitted([SERVICE, *PODS, *rules], config=mr.MeshConfig(**mesh)).router(mr.Sidecar(client, labels))
    return {one.subset for one in router.table.clusters if one.service == WEB} - {""}


class TestDr12Selectors:
    """DR-12: a rule with a `workloadSelector` is for clients of its own namespace; such rules are folded first, into
    each other if their labels are equal; a client follows the first whose labels it has, else the last for all."""

    @given(choosing_rules(), st.sampled_from(({}, {"app": "x"}, {"app": "x", "v": "1"}, {"app": "other"})))
    def test_folding_by_hand(self, rules: list[DestinationRule], labels: dict[str, str]) -> None:
        """Groups for one selector and one set of readers, in order; and what is private goes into the chosen ones."""
        ordered = sorted((one for one in rules), key=lambda one: (one.spec.workload_selector is None, one.name))
        groups: list[tuple[dict[str, str] | None, set[str], list[str]]] = []
        seen_hosts = set()
        for one in ordered:
            chosen = one.spec.workload_selector
            readers = {"."} if chosen is not None else set(one.spec.export_to)
            if readers and not readers & {"*", ".", "shop"}:
                continue
            seen_hosts.add(one.spec.host)
        best_host = WEB if WEB in seen_hosts else next(iter(seen_hosts), "")
        for one in ordered:
            chosen = one.spec.workload_selector
            labelled = None if chosen is None else dict(chosen.match_labels)
            readers = {"."} if chosen is not None else set(one.spec.export_to)
            if one.spec.host != best_host or (readers and not readers & {"*", ".", "shop"}):
                continue
            alone = True
            for selector, theirs, subsets in groups:
                alone = True
                if readers != theirs and not (theirs and readers >= theirs):
                    continue
                if labelled is not None and selector is not None and labelled != selector:
                    continue
                subsets.append(one.spec.subsets[0].name)
                alone = readers != theirs and (labelled is None) != (selector is None)
            if alone:
                groups.append((labelled, readers, [one.spec.subsets[0].name]))
        mine = [
            subsets for selector, _, subsets in groups if selector is not None and selector.items() <= labels.items()
        ]
        for_all = [subsets for selector, _, subsets in groups if selector is None]
        expected = mine[0] if mine else for_all[-1] if for_all else []
        assert followed(rules, "shop", labels) == set(expected)

    @given(choosing_rules(), st.sampled_from(({}, {"app": "x"})))
    def test_other_namespaces_never_follow_them(self, rules: list[DestinationRule], labels: dict[str, str]) -> None:
        """As if they were not there."""
        plain = [one for one in rules if one.spec.workload_selector is None]
        assert followed(rules, "bank", labels) == followed(plain, "bank", {})


class TestDr13Defaults:
    """DR-13: where a rule has no `exportTo`, the mesh's default counts; the rule's own namespace follows it either
    way."""

    @given(marked_rules(), st.sampled_from((*NAMESPACES, "fourth")))
    def test_kept_where_they_are(self, rules: list[DestinationRule], client: str) -> None:
        """As if each of them that says nothing had said `.`; more than one for a host is DR-2's."""
        said = [
            one
            if one.spec.export_to
            else one.model_copy(update={"spec": one.spec.model_copy(update={"export_to": (".",)})})
            for one in rules
        ]
        default = {"default_destination_rule_export_to": (".",)}
        assert followed(rules, client, {}, **default) == followed(said, client, {})

    @given(marked_rules(), st.sampled_from((*NAMESPACES, "fourth")))
    def test_another_root_namespace(self, rules: list[DestinationRule], client: str) -> None:
        """What the operator's namespace is called makes no difference."""

        def renamed(name: str) -> str:
            return {ROOT: "ops", "ops": ROOT}.get(name, name)

        moved = [
            one.model_copy(update={"metadata": one.metadata.model_copy(update={"namespace": renamed(one.namespace)})})
            for one in rules
        ]
        moved = [
            one.model_copy(
                update={"spec": one.spec.model_copy(update={"export_to": tuple(map(renamed, one.spec.export_to))})}
            )
            for one in moved
        ]
        assert followed(moved, renamed(client), {}, root_namespace="ops") == followed(rules, client, {})


@st.composite
def redis_meshes(draw: st.DrawFn) -> tuple[list[Resource], bool, int]:
    """A Service with a Redis port and another, any policies for it, and a TCP rule; whether the Service is headless;
    and which of the rule's destinations is the first with a weight."""
    named = draw(st.sampled_from(("redis", "redis-main", "REDIS")))
    ports = (ServicePort(name=named, port=6379), ServicePort(name="tcp", port=7000))
    headless = draw(st.booleans())
    where = ObjectMeta(name="cache", namespace="shop")
    service = Service(metadata=where, spec=ServiceSpec(ports=ports, cluster_ip="None" if headless else "10.0.0.9"))
    subsets = tuple(Subset(name=name, traffic_policy=draw(st.none() | traffic_policies)) for name in VERSIONS)
    spec = DestinationRuleSpec(host="cache", traffic_policy=draw(st.none() | traffic_policies), subsets=subsets)
    weights = draw(st.lists(st.integers(0, 3), min_size=2, max_size=3).filter(any))
    route = [
        {"destination": {"host": "cache", "subset": VERSIONS[n % 2]}, "weight": one} for n, one in enumerate(weights)
    ]
    rules = VirtualServiceSpec.model_validate({"hosts": ["cache"], "tcp": [{"route": route}]})
    resources: list[Resource] = [
        service,
        DestinationRule(metadata=where, spec=spec),
        VirtualService(metadata=where, spec=rules),
    ]
    return resources, headless, next(n for n, one in enumerate(weights) if one)


class TestDr14Redis:
    """DR-14: where the operator has Redis ports read, their clusters are Maglev tables; commands are hashed, not
    clients, and the first destination that has a weight gets them all."""

    @given(redis_meshes())
    def test_only_where_it_is_turned_on_and_only_those_ports(self, drawn: tuple[list[Resource], bool, int]) -> None:
        """All else is as without it."""
        resources, headless, first = drawn
        plain = mr.Mesh(resources).table(mr.Sidecar("shop"))
        read = mr.Mesh(resources, config=mr.MeshConfig(redis_filter=True)).table(mr.Sidecar("shop"))
        policies = {name: [one.policy for one in plain.clusters if name in one.name] for name in ("|6379|", "|7000|")}
        assert policies["|6379|"] == policies["|7000|"]
        for before, after in zip(plain.clusters, read.clusters, strict=True):
            by_key = "|6379|" in before.name and not headless
            assert after == (replace(before, policy=Maglev()) if by_key else before)
        for was, now in zip(plain.listeners, read.listeners, strict=True):
            if was.port == 6379:
                (one,), (other,) = was.chains, now.chains
                assert one.forward is not None
                wanted = next(to for to in one.forward.clusters if VERSIONS[first % 2] in to.cluster.split("|"))
                assert other == replace(one, forward=Forward((wanted,)))
            else:
                assert now == was
