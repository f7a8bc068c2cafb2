"""Localities: spec/locality.md, on manifests and on the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.compile.locality import ByLocality, ByZone, Preference, Spread, preference_of, spread
from meshroute.compile.registry import Member
from meshroute.compile.topology import Client, canonical
from meshroute.conformance.strategies.manifests import full_name
from meshroute.manifest import DestinationRule, Node, ObjectMeta, Pod, Resource, Service
from meshroute.manifest.istio import (
    DestinationRuleSpec,
    LoadBalancerSettings,
    LocalityDistribute,
    LocalityFailover,
    LocalityLbSetting,
    OutlierDetection,
    Subset,
    TrafficPolicy,
    ZoneAwareLbSetting,
)
from meshroute.manifest.kubernetes import PodSpec, PodStatus, ServicePort, ServiceSpec, TrafficDistribution
from meshroute.table import Cluster, Endpoint, ZoneAware

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
SUBZONE, HOST = "topology.istio.io/subzone", "kubernetes.io/hostname"
NETWORK, CLUSTER = "topology.istio.io/network", "topology.istio.io/cluster"
OLD = "failure-domain.beta.kubernetes.io/"
WEB = full_name("web", "shop")
NAME = f"outbound|80||{WEB}"

# Two of each part and the empty one: equal, unequal and unknown. `a-` sorts before `a/`, which a careless sort misses.
parts = st.sampled_from(("", "a", "a-", "b"))
places = st.one_of(
    st.tuples(st.sampled_from(("eu", "us", "asia")), parts, parts).map("/".join),
    st.tuples(parts, parts, parts).map("/".join),
).map(lambda text: text.strip("/") and text)
some_labels = st.dictionaries(st.sampled_from(("v", "w", NETWORK)), st.sampled_from(("1", "2")))


@st.composite
def groups_of_members(draw: st.DrawFn) -> list[Member]:
    """Up to eight endpoints in a few localities, each with a port of its own by which it is known again."""
    some = draw(st.lists(places, min_size=1, max_size=5))
    drawn = draw(st.lists(st.tuples(st.sampled_from(some), st.integers(1, 5), some_labels), min_size=1, max_size=8))
    return [
        Member(Endpoint("10.8.0.1", number, weight=weight, locality=place), labels)
        for number, (place, weight, labels) in enumerate(drawn, 1)
    ]


clients = st.builds(Client, places, some_labels)
failovers = st.lists(
    st.tuples(st.sampled_from(("eu", "us", "")), st.sampled_from(("us", "asia", "eu"))).map(
        lambda drawn: LocalityFailover(from_=drawn[0], to=drawn[1])
    ),
    max_size=3,
).map(tuple)
keys = st.lists(st.sampled_from((NETWORK, "v", "w", "v=2", "w=1=2", f"{NETWORK}=2")), max_size=4).map(tuple)


def settings(**written: Any) -> Preference:
    """A locality setting of a rule."""
    return ByLocality(LocalityLbSetting(**written))


def priorities(found: Spread) -> dict[int, int]:
    """Priorities by the ports that tell endpoints apart."""
    return {one.port: one.priority for one in found.endpoints}


def numbered(ranks: Mapping[int, Any]) -> dict[int, int]:
    """Ranks as numbers from 0 without gaps."""
    order = sorted(set(ranks.values()))
    return {port: order.index(rank) for port, rank in ranks.items()}


def nearness(here: str, there: str, failover: Sequence[LocalityFailover]) -> int:
    """LOC-7, by its words."""
    mine, theirs = here.split("/") if here else ["", "", ""], there.split("/") if there else ["", "", ""]
    if mine == theirs:
        return 0
    if mine[:2] == theirs[:2]:
        return 1
    if mine[0] == theirs[0]:
        return 2
    to = [one.to for one in failover if one.from_ == mine[0]]
    return 4 if to and to[0] != theirs[0] else 3


def kinship(mine: Mapping[str, str], theirs: Mapping[str, str], asked: Sequence[str]) -> tuple[bool, int]:
    """LOC-8, by its words: whether it comes after all of the same network, and how soon a label differs."""
    written = {one.split("=")[0]: one.split("=")[1] for one in asked if one.count("=") == 1}
    labels = [one.split("=")[0] for one in asked]
    differ = [
        number
        for number, name in enumerate(labels)
        if (written[name] if name in written else mine.get(name, "")) != theirs.get(name, "")
    ]
    abroad = bool(differ) and differ[0] == 0 and asked[0] == NETWORK
    if abroad:
        differ = differ[1:]
    return abroad, len(labels) - differ[0] if differ else 0


def node(name: str, labels: Mapping[str, str]) -> Node:
    """A node with these labels."""
    return Node(metadata=ObjectMeta(name=name, labels=labels))


def pod(name: str, number: int, labels: Mapping[str, str], on: str = "") -> Pod:
    """A pod of `web`."""
    return Pod(
        metadata=ObjectMeta(name=name, namespace="shop", labels={"app": "web", **labels}),
        spec=PodSpec(containers=(), node_name=on),
        status=PodStatus(pod_ip=f"10.8.0.{number}"),
    )


def service(distribution: TrafficDistribution | None = None) -> Service:
    """The service `web`."""
    ports = (ServicePort(name="http", port=80),)
    return Service(
        metadata=ObjectMeta(name="web", namespace="shop"),
        spec=ServiceSpec(selector={"app": "web"}, ports=ports, traffic_distribution=distribution),
    )


def rule(policy: TrafficPolicy | None = None, subsets: Iterable[Subset] = ()) -> DestinationRule:
    """A DestinationRule for `web`."""
    return DestinationRule(
        metadata=ObjectMeta(name="dr", namespace="shop"),
        spec=DestinationRuleSpec(host=WEB, traffic_policy=policy, subsets=tuple(subsets)),
    )


def cluster(resources: Sequence[Resource], client: mr.Sidecar, subset: str = "", config: Any = None) -> Cluster:
    """The cluster of `web`, or of a subset of it, as a client gets it."""
    mesh = mr.Mesh(resources, config=config or mr.MeshConfig())
    wanted = NAME.replace("||", f"|{subset}|")
    return next(one for one in mesh.router(client).table.clusters if one.name == wanted)


class TestLoc1Places:
    """LOC-1: a locality is written `region/zone/subzone`; a pod's is what its label says, else what the labels of its
    node say."""

    @given(parts, parts, parts, st.booleans(), st.booleans())
    def test_the_labels_of_the_node(self, region: str, zone: str, subzone: str, old: bool, older: bool) -> None:
        """By either name of region and zone; the newer one decides where it says something."""
        labels = {SUBZONE: subzone, f"{OLD}region" if old else REGION: region, f"{OLD}zone" if older else ZONE: zone}
        if region and not old:
            labels[f"{OLD}region"] = "not-this"
        (found,) = cluster([service(), node("n", labels), pod("p", 1, {}, "n")], mr.Sidecar()).endpoints
        assert found.locality == (f"{region}/{zone}/{subzone}" if region or zone or subzone else "")

    @given(
        st.sampled_from(("eu", "eu.1", "eu.1.a", "eu.1.a.b", "", "eu..a")),
        st.sampled_from(("us.1", "", None)),
        st.booleans(),
    )
    def test_a_label_of_the_pod_goes_before_its_node(self, older: str, newer: str | None, deployed: bool) -> None:
        """Of two labels the newer, even if it is empty; then the node counts."""
        labels = {"istio-locality": older} | ({} if newer is None else {"topology.istio.io/locality": newer})
        said = older if newer is None else newer
        expected = "/".join((*said.split("."), "", "")[:3] if said.count(".") < 3 else said.split(".")[:3])
        one: Resource = pod("p", 1, labels, "one")
        if deployed:
            (one,) = mr.loads(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop}\nspec:\n"
                "  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: {app: web, "
                + ", ".join(f"{key}: '{value}'" for key, value in labels.items())
                + "}\n    spec: {nodeName: one, containers: [{name: c}]}\n"
            ).resources
        (found,) = cluster([service(), node("one", {REGION: "asia"}), one], mr.Sidecar()).endpoints
        assert found.locality == (expected if said else "asia//")

    @given(st.lists(parts, max_size=5))
    def test_there_is_one_form(self, written: list[str]) -> None:
        """Three parts and two slashes, or nothing; written so, it stays."""
        found = canonical("/".join(written))
        assert found == "" or found.split("/") == [*written, "", "", ""][:3]
        assert (found == "") == (not any(written[:3]))
        assert canonical(found) == found


class TestLoc2Labels:
    """LOC-2: the labels of an endpoint are those of its pod and of its place; the selector of a Service sees those of
    the pod alone."""

    @given(
        st.sampled_from((REGION, ZONE, SUBZONE, HOST, CLUSTER)),
        st.sampled_from(("here", "there")),
        st.sampled_from((None, "here", "there")),
        st.booleans(),
    )
    def test_what_is_known_of_the_place_goes_before_what_the_pod_says(
        self, name: str, wanted: str, written: str | None, known: bool
    ) -> None:
        """And where nothing is known, the pod is believed."""
        place = dict.fromkeys((REGION, ZONE, SUBZONE), "here") if known else {}
        on = "here" if known else ""
        config = mr.MeshConfig(cluster="here" if known else "")
        one = pod("p", 1, {} if written is None else {name: written}, on)
        resources = [service(), node("here", place), one, rule(subsets=[Subset(name="s", labels={name: wanted})])]
        selected = cluster(resources, mr.Sidecar(), "s", config).endpoints
        assert bool(selected) == (wanted == ("here" if known else written))

    @given(st.sampled_from((REGION, ZONE, SUBZONE, HOST, CLUSTER)))
    def test_a_selector_sees_the_labels_of_the_pod(self, name: str) -> None:
        """A service cannot select by the place."""
        value = "Kubernetes" if name == CLUSTER else "here"
        place = node("here", {REGION: "here", ZONE: "here", SUBZONE: "here"})
        web = Service(
            metadata=ObjectMeta(name="web", namespace="shop"),
            spec=ServiceSpec(selector={name: value}, ports=(ServicePort(name="http", port=80),)),
        )
        assert cluster([web, place, pod("p", 1, {}, "here")], mr.Sidecar()).endpoints == ()
        assert len(cluster([web, place, pod("p", 1, {name: value}, "here")], mr.Sidecar()).endpoints) == 1


class TestLoc3Clients:
    """LOC-3: a client has the locality that it is given; without one, what its labels say."""

    @given(
        places, st.dictionaries(st.sampled_from((REGION, ZONE, SUBZONE)), parts), st.sampled_from((None, "", "x.y.z"))
    )
    def test_where_it_is(self, given_: str, labels: dict[str, str], whole: str | None) -> None:
        """Given, else in three labels, else in one."""
        said = labels | ({} if whole is None else {"istio-locality": whole})
        table = mr.Mesh([service()]).router(mr.Sidecar(labels=said, locality=given_)).table
        by_labels = "/".join(labels.get(one, "") for one in (REGION, ZONE, SUBZONE)) if labels else ""
        by_label = "x/y/z" if whole and not labels else ""
        expected = given_ or (by_labels if by_labels.strip("/") else "") or by_label
        assert table.locality == expected

    @given(st.sampled_from(("eu/a", "us/a-/b", "eu/b/")), st.sampled_from(("x", "eu", "")))
    def test_its_labels_are_completed(self, here: str, there: str) -> None:
        """So that a service that prefers its zone finds it, whatever labels the client has."""
        nodes = [node("a", dict(zip((REGION, ZONE), here.split("/"), strict=False))), node("b", {REGION: "x"})]
        web = service(TrafficDistribution.PREFER_SAME_ZONE)
        client = mr.Sidecar(labels={REGION: there}, locality=here)
        found = cluster([web, *nodes, pod("a", 1, {}, "a"), pod("b", 2, {}, "b")], client).endpoints
        first = {one.workload for one in found if one.priority == 0}
        assert first == {"shop/a"}

    @given(st.sampled_from(("eu", "us", "")), st.sampled_from(("eu", "us")))
    def test_rules_see_its_place_too(self, here: str, wanted: str) -> None:
        """A rule may be for the clients of a region."""
        rules = mr.loads(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n"
            "spec:\n  hosts: [web]\n  http:\n  - match: [{sourceLabels: {topology.kubernetes.io/region: "
            f"{wanted}}}}}]\n    directResponse: {{status: 204}}\n"
        ).resources
        router = mr.Mesh([service(), *rules]).router(mr.Sidecar(namespace="shop", locality=here))
        decision = router.decide(mr.Request.of("GET", f"http://{WEB}/"))
        assert (decision.outcome == mr.Responded(204)) == (here == wanted)


class TestLoc4Settings:
    """LOC-4: one setting holds for a cluster: the rule's `zoneAwareLbSetting`, else its `localityLbSetting`, else the
    service's traffic distribution, else the mesh's."""

    @given(
        st.sampled_from((None, True, False)).flatmap(
            lambda enabled: st.none() | st.just(LocalityLbSetting(enabled=enabled, failover_priority=("rule",)))
        ),
        st.none()
        | st.builds(lambda enabled: ZoneAwareLbSetting(enabled=enabled), st.sampled_from((None, True, False))),
        st.none() | st.sampled_from(TrafficDistribution),
        st.none() | st.builds(lambda enabled: LocalityLbSetting(enabled=enabled), st.sampled_from((None, True, False))),
        st.none()
        | st.builds(lambda enabled: ZoneAwareLbSetting(enabled=enabled), st.sampled_from((None, True, False))),
        st.booleans(),
    )
    def test_the_first_that_is_there_holds_whole(
        self,
        locality: LocalityLbSetting | None,
        zones: ZoneAwareLbSetting | None,
        distribution: TrafficDistribution | None,
        mesh: LocalityLbSetting | None,
        mesh_zones: ZoneAwareLbSetting | None,
        bare: bool,
    ) -> None:
        """And one that is off holds too: nothing after it does."""
        balancer = LoadBalancerSettings(locality_lb_setting=locality, zone_aware_lb_setting=zones)
        found = preference_of(None if bare else balancer, distribution, mesh, mesh_zones)
        if not bare and zones is not None:
            assert found == ByZone(zones)
        elif not bare and locality is not None:
            assert found == (None if locality.enabled is False else ByLocality(locality))
        elif distribution is not None:
            assert isinstance(found, ByLocality)
            assert found.forced
            node_too = distribution is TrafficDistribution.PREFER_SAME_NODE
            expected = (NETWORK, REGION, ZONE, *((SUBZONE, HOST) if node_too else ()))
            assert found.setting.failover_priority == expected
        elif mesh_zones is not None:
            assert found == ByZone(mesh_zones)
        elif mesh is not None and mesh.enabled is not False:
            assert found == ByLocality(mesh)
        else:
            assert found is None

    @given(groups_of_members(), clients, keys, failovers)
    def test_without_outlier_detection_only_services_and_shares_take_effect(
        self, members: list[Member], client: Client, asked: tuple[str, ...], failover: tuple[LocalityFailover, ...]
    ) -> None:
        """A setting that is not forced leaves endpoints as they are; a forced one does as with outlier detection."""
        setting = LocalityLbSetting(failover_priority=asked, failover=failover)
        alone = spread(members, client, ByLocality(setting), outliers=False)
        assert alone == spread(members, client, None, outliers=True)
        detected = spread(members, client, ByLocality(setting), outliers=True)
        assert spread(members, client, ByLocality(setting, forced=True), outliers=False) == detected

    @given(places)
    def test_zones_of_the_mesh_are_those_of_a_rule(self, here: str) -> None:
        """Where no rule says anything."""
        nodes = [node("a", {REGION: "eu"}), node("b", {REGION: "us"})]
        pods = [pod("a", 1, {}, "a"), pod("b", 2, {}, "b")]
        zones = ZoneAwareLbSetting(min_cluster_size=3)
        said = rule(TrafficPolicy(load_balancer=LoadBalancerSettings(zone_aware_lb_setting=zones)))
        config = mr.MeshConfig(zone_aware=zones)
        by_mesh = cluster([service(), *nodes, *pods], mr.Sidecar(locality=here), config=config)
        assert by_mesh == cluster([service(), *nodes, *pods, said], mr.Sidecar(locality=here))
        assert by_mesh.zone_aware.minimum_hosts == 3

    @given(st.booleans(), st.booleans(), places)
    def test_outlier_detection_alone_switches_failover_on(self, detects: bool, off: bool, here: str) -> None:
        """In a mesh that leaves its setting on, which it does unless it is told otherwise."""
        nodes = [node("a", {REGION: "eu"}), node("b", {REGION: "us"})]
        pods = [pod("a", 1, {}, "a"), pod("b", 2, {}, "b")]
        policy = TrafficPolicy(outlier_detection=OutlierDetection()) if detects else None
        config = mr.MeshConfig(locality=None) if off else mr.MeshConfig()
        found = cluster([service(), *nodes, *pods, rule(policy)], mr.Sidecar(locality="eu"), config=config)
        assert [one.priority for one in found.endpoints] == [0, int(detects and not off)]


class TestLoc5Order:
    """LOC-5: the endpoints of a cluster come by locality, in the byte order of its text, and inside a locality in their
    own order; those of one locality and several priorities come by priority."""

    @given(groups_of_members(), clients, keys, failovers, st.booleans())
    def test_by_locality_then_priority_then_as_they_were(
        self,
        members: list[Member],
        client: Client,
        asked: tuple[str, ...],
        failover: tuple[LocalityFailover, ...],
        outliers: bool,
    ) -> None:
        """Ports count up in the order in which members are given."""
        found = spread(members, client, settings(failover_priority=asked, failover=failover), outliers).endpoints
        assert list(found) == sorted(found, key=lambda one: (one.locality.encode(), one.priority, one.port))
        assert {one.port for one in found} == {one.endpoint.port for one in members}

    @given(st.permutations(("a", "b", "c", "d")), st.lists(places, min_size=4, max_size=4))
    def test_pods_come_by_locality(self, order: Sequence[str], where: list[str]) -> None:
        """In whatever order they are written."""
        nodes = [
            node(name, dict(zip((REGION, ZONE, SUBZONE), place.split("/"), strict=False)))
            for name, place in zip("abcd", where, strict=True)
        ]
        pods = [pod(name, "abcd".index(name) + 1, {}, name) for name in order]
        found = cluster([service(), *nodes, *pods], mr.Sidecar()).endpoints
        expected = sorted("abcd", key=lambda name: (where["abcd".index(name)], name))
        assert [one.workload for one in found] == [f"shop/{name}" for name in expected]


wild = st.sampled_from(("*", "eu", "us", "eu/*", "eu/a", "us/b/*", "asia/a/b", ""))
distributes = st.lists(
    st.tuples(wild, st.dictionaries(wild, st.integers(1, 100), min_size=1, max_size=3)).map(
        lambda drawn: LocalityDistribute(from_=drawn[0], to=drawn[1])
    ),
    min_size=1,
    max_size=3,
).map(tuple)


def meant(place: str, text: str) -> bool:
    """Whether a setting means a place, by the words of LOC-6."""
    mine = place.split("/") if place else ["", "", ""]
    wanted = [*text.split("/"), "", ""][:3]
    region = wanted[0] in ("*", mine[0])
    return region and all(one in ("*", "", other) for one, other in zip(wanted[1:], mine[1:], strict=True))


class TestLoc6Distribute:
    """LOC-6: `distribute`: the first entry whose `from` means the client's locality counts; each weight is divided
    among the localities that it means, and the others lose their endpoints."""

    @given(groups_of_members(), clients, distributes, st.booleans())
    def test_shares_are_a_division_by_hand(
        self, members: list[Member], client: Client, distribute: tuple[LocalityDistribute, ...], outliers: bool
    ) -> None:
        """In whole numbers, rounded up; with outlier detection or without."""
        found = spread(members, client, settings(distribute=distribute), outliers)
        own: dict[str, int] = {}
        for one in members:
            own[one.endpoint.locality] = own.get(one.endpoint.locality, 0) + one.endpoint.weight
        entries = [one for one in distribute if meant(client.locality, one.from_)]
        expected = dict(own)
        if entries:
            expected = {}
            for text, weight in entries[0].to.items():
                taken = {place for place in own if meant(place, text) and place not in expected}
                total = sum(own[place] for place in taken)
                expected |= {place: -(-own[place] * weight // total) for place in taken}
        assert found.locality_weights is not None
        assert {one.locality: one.weight for one in found.locality_weights} == expected
        assert {one.port for one in found.endpoints} == {
            one.endpoint.port for one in members if one.endpoint.locality in expected
        }
        assert all(one.priority == 0 for one in found.endpoints)

    def test_the_product_wraps(self) -> None:
        """As that of unsigned numbers of 32 bits does."""
        members = [Member(Endpoint("10.8.0.1", 1, weight=2**26, locality="eu//"), {})]
        setting = settings(distribute=(LocalityDistribute(from_="*", to={"*": 100}),))
        found = spread(members, Client(), setting, False).locality_weights
        assert found is not None
        assert [one.weight for one in found] == [-(-(2**26 * 100 % 2**32) // 2**26)] == [36]


class TestLoc7Failover:
    """LOC-7: failover by locality: priority 0 for the client's own subzone, 1 for its zone, 2 for its region, 3 for the
    rest, of which another region than the one that takes over gets 4; without gaps."""

    @given(groups_of_members(), clients, failovers)
    def test_priorities_are_those_of_a_reading_by_hand(
        self, members: list[Member], client: Client, failover: tuple[LocalityFailover, ...]
    ) -> None:
        """Labels do not count."""
        found = spread(members, client, settings(failover=failover), outliers=True)
        ranks = {one.endpoint.port: nearness(client.locality, one.endpoint.locality, failover) for one in members}
        assert priorities(found) == numbered(ranks)
        assert priorities(found) == priorities(
            spread(members, Client(client.locality), settings(failover=failover), True)
        )

    @given(groups_of_members(), clients)
    def test_the_empty_setting_is_one(self, members: list[Member], client: Client) -> None:
        """No region takes over."""
        found = spread(members, client, settings(), outliers=True)
        ranks = {one.endpoint.port: nearness(client.locality, one.endpoint.locality, ()) for one in members}
        assert priorities(found) == numbered(ranks)


class TestLoc8Labels:
    """LOC-8: `failoverPriority` of N keys: an endpoint whose first label that differs from the client's is that of
    key j gets priority N-j, one without a difference 0; another network comes after all of the same one."""

    @given(groups_of_members(), clients, keys.filter(bool))
    def test_priorities_are_those_of_a_reading_by_hand(
        self, members: list[Member], client: Client, asked: tuple[str, ...]
    ) -> None:
        """A client without labels divides nothing; localities do not count."""
        found = spread(members, client, settings(failover_priority=asked), outliers=True)
        ranks = {one.endpoint.port: kinship(client.labels, one.labels, asked) for one in members}
        assert priorities(found) == (numbered(ranks) if client.labels else dict.fromkeys(ranks, 0))

    @given(st.booleans(), st.booleans(), st.sampled_from((None, "n1")), st.sampled_from((None, "n1")))
    def test_a_service_may_prefer_its_node(self, zone: bool, same: bool, mine: str | None, theirs: str | None) -> None:
        """The client's node is a label of its pod; the zone comes before the node, and a known node before none."""
        nodes = [node(name, {REGION: "eu", ZONE: "a" if zone else "b"}) for name in ("n1", "n2")]
        far = [node("n3", {REGION: "us"}), pod("far", 9, {}, "n3")]
        web = service(TrafficDistribution.PREFER_SAME_NODE)
        client = mr.Sidecar(labels={HOST: "n1"}, locality="eu/a")
        found = cluster([web, *nodes, *far, pod("one", 1, {}, "n1"), pod("two", 2, {}, "n2")], client).endpoints
        by_name = {one.workload: one.priority for one in found}
        assert by_name == (
            {"shop/one": 0, "shop/two": 1, "shop/far": 2} if zone else {"shop/one": 0, "shop/two": 0, "shop/far": 1}
        )


class TestLoc9Both:
    """LOC-9: with `failoverPriority` and `failover`, labels come first, and localities divide what they leave
    together."""

    @given(groups_of_members(), clients, keys.filter(bool), failovers.filter(bool))
    def test_labels_then_localities(
        self,
        members: list[Member],
        client: Client,
        asked: tuple[str, ...],
        failover: tuple[LocalityFailover, ...],
    ) -> None:
        """Pairs in their order, without gaps."""
        found = spread(members, client, settings(failover_priority=asked, failover=failover), outliers=True)
        ranks = {
            one.endpoint.port: (
                kinship(client.labels, one.labels, asked) if client.labels else (False, 0),
                nearness(client.locality, one.endpoint.locality, failover),
            )
            for one in members
        }
        assert priorities(found) == numbered(ranks)


class TestLoc10Weights:
    """LOC-10: endpoints are divided by locality first where `distribute` is set, and where `failover` or
    `failoverPriority` is set and takes effect."""

    @given(groups_of_members(), clients, keys, failovers, st.booleans(), st.booleans())
    def test_when_and_by_what(
        self,
        members: list[Member],
        client: Client,
        asked: tuple[str, ...],
        failover: tuple[LocalityFailover, ...],
        outliers: bool,
        forced: bool,
    ) -> None:
        """By the sum of the weights of a locality's endpoints at a priority; else not at all."""
        setting = LocalityLbSetting(failover_priority=asked, failover=failover)
        found = spread(members, client, ByLocality(setting, forced), outliers)
        if not ((outliers or forced) and (asked or failover)):
            assert found.locality_weights is None
            return
        sums: dict[tuple[str, int], int] = {}
        for one in found.endpoints:
            sums[one.locality, one.priority] = sums.get((one.locality, one.priority), 0) + one.weight
        assert found.locality_weights is not None
        assert [(one.locality, one.priority, one.weight) for one in found.locality_weights] == [
            (*place, weight) for place, weight in sums.items()
        ]

    @given(groups_of_members(), clients, st.none() | st.just(settings()), st.booleans())
    def test_the_empty_setting_gives_none(
        self, members: list[Member], client: Client, preference: Preference | None, outliers: bool
    ) -> None:
        """So outlier detection by itself brings priorities, and does not change how they are balanced."""
        assert spread(members, client, preference, outliers).locality_weights is None


class TestLoc11Zones:
    """LOC-11: `zoneAwareLbSetting`: endpoints are divided by `failoverPriority`, then by region, and zone-aware routing
    has its numbers."""

    @given(
        groups_of_members(),
        clients,
        keys,
        failovers,
        st.sampled_from((None, True, False)),
        st.sampled_from((None, 1, 9)),
        st.booleans(),
    )
    def test_labels_then_regions(
        self,
        members: list[Member],
        client: Client,
        asked: tuple[str, ...],
        failover: tuple[LocalityFailover, ...],
        enabled: bool | None,
        minimum: int | None,
        outliers: bool,
    ) -> None:
        """Pairs in their order, without gaps; nothing of it where it is off, and never any weights."""
        setting = ZoneAwareLbSetting(
            enabled=enabled, failover=failover, failover_priority=asked, min_cluster_size=minimum
        )
        found = spread(members, client, ByZone(setting), outliers)
        mine = client.locality.split("/")[0]
        to = next((one.to for one in failover if one.from_ == mine), None)
        ranks: dict[int, Any] = {}
        for one in members:
            theirs = one.endpoint.locality.split("/")[0]
            region = 0 if theirs == mine else 1 if theirs == to else 2
            kin = kinship(client.labels, one.labels, asked) if asked and client.labels else (False, 0)
            ranks[one.endpoint.port] = (kin, region) if enabled is not False else 0
        assert priorities(found) == numbered(ranks)
        assert found.locality_weights is None
        expected = ZoneAware(0.0 if enabled is False else 100.0, 6 if minimum is None else minimum)
        assert found.zone_aware == expected

    @given(st.sampled_from((None, 3)), st.booleans())
    def test_tables_have_it_and_name_no_cluster_of_their_own(self, minimum: int | None, off: bool) -> None:
        """So it waits for a proxy that knows who else is like it."""
        setting = ZoneAwareLbSetting(enabled=not off, min_cluster_size=minimum)
        policy = TrafficPolicy(load_balancer=LoadBalancerSettings(zone_aware_lb_setting=setting))
        resources = [service(), pod("p", 1, {}), rule(policy)]
        assert cluster(resources, mr.Sidecar()).zone_aware == ZoneAware(0.0 if off else 100.0, minimum or 6)
        assert mr.Mesh(resources).router().table.local_cluster == ""
