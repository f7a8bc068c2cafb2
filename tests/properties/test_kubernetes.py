"""Pods and services: spec/kubernetes.md, on manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import xxhash
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.compile.pods import assumed_address
from meshroute.compile.registry import build
from meshroute.conformance.strategies.manifests import NAMES, full_name, many_pods, namespaces, services
from meshroute.manifest import Deployment, EndpointSlice, Namespace, ObjectMeta, Pod, Resource, Service
from meshroute.manifest.kubernetes import (
    AddressType,
    Container,
    ContainerPort,
    DeploymentSpec,
    EndpointConditions,
    EndpointPort,
    LabelSelector,
    ObjectReference,
    PodPhase,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ServicePort,
    ServiceSpec,
    TrafficDistribution,
)
from meshroute.manifest.kubernetes import Endpoint as SliceEndpoint
from meshroute.table import Endpoint, Health

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
WEB = full_name("web", "shop")


def hashed(text: str) -> int:
    """XXH64, from the library and not from the code under test."""
    return xxhash.xxh64_intdigest(text.encode())


def letters(number: int, length: int) -> str:
    """Digits to base 27, least significant first."""
    return "".join(LETTERS[number // 27**place % 27] for place in range(length))


def endpoints(resources: Sequence[Resource], host: str = WEB, port: int = 80) -> tuple[Endpoint, ...]:
    """The members of a service on a port, as proxies get them."""
    clusters = {str(one.name): one for one in mr.Mesh(resources).router().table.clusters}
    return clusters[f"outbound|{port}||{host}"].endpoints


def service(
    selector: Mapping[str, str], port: ServicePort | None = None, *, publish: bool = False, namespace: str = "shop"
) -> Service:
    """The service `web` with these labels."""
    ports = (port or ServicePort(port=80),)
    return Service(
        metadata=ObjectMeta(name="web", namespace=namespace),
        spec=ServiceSpec(selector=selector, ports=ports, publish_not_ready_addresses=publish),
    )


def pod(name: str, *, address: str = "", labels: Mapping[str, str] | None = None, namespace: str = "shop") -> Pod:
    """A pod about which nothing else is said."""
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={"app": "web"} if labels is None else labels),
        spec=PodSpec(containers=()),
        status=PodStatus(pod_ip=address) if address else None,
    )


def deployment(name: str, replicas: int | None, *, namespace: str = "shop", ports: tuple[int, ...] = ()) -> Deployment:
    """So many copies of a pod with label `app: web`; None says nothing about how many."""
    spec = PodSpec(
        containers=(
            Container(name="c", ports=tuple(ContainerPort(name=f"p{port}", container_port=port) for port in ports)),
        )
    )
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "web"}), spec=spec)
    selector = LabelSelector(match_labels={"app": "web"})
    return Deployment(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=DeploymentSpec(selector=selector, template=template)
        if replicas is None
        else DeploymentSpec(replicas=replicas, selector=selector, template=template),
    )


deployment_names = st.sampled_from(("web", "web-v1", "w", "w" * 60))
"""The last one is longer than a pod's name leaves room for."""


class TestPod1Deployments:
    """POD-1: a Deployment of which no pod is given stands for `replicas` pods with the labels and ports of its
    template and names that are hashes."""

    @given(deployment_names, namespaces, st.integers(0, 5))
    def test_the_names_are_the_formula(self, name: str, namespace: str, replicas: int) -> None:
        """NAME-GENERATION-SUFFIX, cut to 58 characters before the suffix, with XXH64 done by the library."""
        base = f"{name}-{letters(hashed(f'{namespace}/{name}'), 9)}-"[:58]
        expected = {f"{namespace}/{base}{letters(hashed(f'{namespace}/{name}/{i}'), 5)}" for i in range(replicas)}
        found = endpoints(
            [service({"app": "web"}, namespace=namespace), deployment(name, replicas, namespace=namespace)],
            full_name("web", namespace),
        )
        assert {one.workload for one in found} == expected
        assert len(found) == replicas

    @given(deployment_names, st.integers(0, 5), st.integers(0, 3))
    def test_more_replicas_change_no_other_pod(self, name: str, replicas: int, more: int) -> None:
        """Scaling up adds names and addresses; those that were there stay."""
        few = endpoints([service({"app": "web"}), deployment(name, replicas)])
        many = endpoints([service({"app": "web"}), deployment(name, replicas + more)])
        assert set(few) <= set(many)
        assert len(many) == replicas + more

    def test_a_suffix_that_is_taken_is_passed_over(self) -> None:
        """Numbers 62 and 64 of `shop/web-1086` share their five letters: 65 replicas need a 66th number."""
        suffixes = [letters(hashed(f"shop/web-1086/{i}"), 5) for i in range(66)]
        assert suffixes[62] == suffixes[64]
        found = endpoints([service({"app": "web"}), deployment("web-1086", 65)])
        assert {one.workload[-5:] for one in found} == set(suffixes)
        assert len(found) == 65

    @given(deployment_names)
    def test_nothing_said_about_replicas_is_one(self, name: str) -> None:
        """The server's default."""
        resources = [service({"app": "web"}), deployment(name, None)]
        assert endpoints(resources) == endpoints([service({"app": "web"}), deployment(name, 1)])

    @given(st.integers(1, 3), st.sampled_from(("shop", "bank")), st.sampled_from(({"app": "web"}, {"app": "pay"})))
    def test_one_given_pod_stands_for_the_whole_deployment(
        self, replicas: int, namespace: str, labels: dict[str, str]
    ) -> None:
        """A pod that the Deployment's selector takes, in its namespace, ends the assuming; another one does not."""
        its_own = namespace == "shop" and labels == {"app": "web"}
        given_pod = pod("given", address="10.8.0.1", labels=labels, namespace=namespace)
        found = endpoints([service({"app": "web"}), deployment("web", replicas), given_pod])
        if its_own:
            assert [one.workload for one in found] == ["shop/given"]
        else:
            assert len(found) == replicas
            assert "10.8.0.1" not in {one.address for one in found}

    @given(st.integers(1, 3), st.lists(st.sampled_from((8080, 9090)), unique=True))
    def test_the_template_gives_labels_and_ports(self, replicas: int, ports: list[int]) -> None:
        """A named target port is looked up in the template; the generation is a label too."""
        generation = letters(hashed("shop/web"), 9)
        found = endpoints(
            [
                service(
                    {"app": "web", "pod-template-hash": generation},
                    ServicePort(port=80, target_port="p8080"),
                ),
                deployment("web", replicas, ports=tuple(ports)),
            ]
        )
        assert [one.port for one in found] == ([8080] * replicas if 8080 in ports else [])


class TestPod2Addresses:
    """POD-2: a pod without an address gets the low 24 bits of XXH64 of its full name in 10.0.0.0/8, and the next free
    one if that is taken; pods are served in the order of their full names, and it is noted."""

    @given(st.lists(st.tuples(st.sampled_from(("a", "b", "c", "p8990803")), namespaces), unique=True), st.data())
    def test_addresses_are_the_formula(self, who: list[tuple[str, str]], data: st.DataObject) -> None:
        """Some of the places are taken by given pods, and places next to them: a walk by hand finds the same."""
        lows = {f"{namespace}/{name}": hashed(f"{namespace}/{name}") % 2**24 for name, namespace in who}
        places = sorted({(low + step) % 2**24 for low in lows.values() for step in (0, 1)})
        blocked = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
        expected: dict[str, int] = {}
        for full in sorted(lows):
            place = lows[full]
            while place in blocked or place in expected.values():
                place = (place + 1) % 2**24
            expected[full] = place
        given_pods = [
            pod(f"given-{number}", address=f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}", namespace="elsewhere")
            for number, place in enumerate(blocked)
        ]
        mesh = mr.Mesh(
            [
                *(service({"app": "web"}, namespace=namespace) for namespace in sorted({one for _, one in who})),
                *(pod(name, namespace=namespace) for name, namespace in who),
                *given_pods,
            ]
        )
        found = {one.workload: one.address for cluster in mesh.router().table.clusters for one in cluster.endpoints}
        assert found == {full: f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}" for full, place in expected.items()}
        noted = {one.subject for one in mesh.diagnostics if one.code is mr.Code.ADDRESS_ASSUMED}
        assert noted == {f"Pod {full}" for full in lows}

    def test_after_the_last_address_comes_the_first(self) -> None:
        """`shop/p8990803` hashes to the last address there is."""
        assert assumed_address("shop/p8990803", ()) == "10.255.255.255"
        assert assumed_address("shop/p8990803", ("10.255.255.255",)) == "10.0.0.0"

    @given(st.permutations([pod("pod-7220"), pod("pod-7648")]), st.sampled_from(("", "first", "second")))
    def test_of_two_that_hash_alike_the_first_by_name_has_the_address(self, order: list[Resource], taken: str) -> None:
        """`shop/pod-7220` and `shop/pod-7648` do. Where a given pod has an address of theirs, they step further."""
        place = hashed("shop/pod-7220") % 2**24
        assert hashed("shop/pod-7648") % 2**24 == place
        free = [place, place + 1, place + 2]
        if taken:
            free.remove(place if taken == "first" else place + 1)
        spelt = [f"10.{one >> 16}.{one >> 8 & 255}.{one & 255}" for one in (place, place + 1, *free)]
        elsewhere = pod("given", address=spelt[taken == "second"], namespace="bank")
        found = endpoints([service({"app": "web"}), *order, *([elsewhere] if taken else [])])
        assert [(one.workload, one.address) for one in found] == [
            ("shop/pod-7220", spelt[2]),
            ("shop/pod-7648", spelt[3]),
        ]

    @given(st.permutations([pod("a"), pod("b"), pod("c", address="10.8.0.1"), deployment("d", 2, namespace="bank")]))
    def test_the_order_of_writing_does_not_count(self, order: list[Resource]) -> None:
        """Every permutation gives every pod the same address."""
        both = [service({"app": "web"}), service({"app": "web"}, namespace="bank")]
        in_order = [*both, pod("a"), pod("b"), pod("c", address="10.8.0.1"), deployment("d", 2, namespace="bank")]
        for host in (WEB, full_name("web", "bank")):
            assert endpoints([*order, *both], host) == endpoints(in_order, host)


class TestSvc1Members:
    """SVC-1: a service's members are the pods of its own namespace that have all labels of its selector, compared as
    strings. An empty selector selects nothing; pods that are over, or wait without an address, are not members."""

    @given(services("web", "shop"), many_pods("shop"))
    def test_members_are_who_a_reading_by_hand_selects(self, web: Service, pods: tuple[Pod, ...]) -> None:
        """All pods, each asked alone: namespace, labels, phase, and whether it has the port."""
        for port in web.spec.ports:
            expected = {
                f"{one.namespace}/{one.name}"
                for one in pods
                if web.spec.selector
                and one.namespace == web.namespace
                and set(web.spec.selector.items()) <= set(one.metadata.labels.items())
                and one.status is not None
                and one.status.phase not in ("Succeeded", "Failed")
                and (one.metadata.deletion_timestamp is None or web.spec.publish_not_ready_addresses)
                and number_behind(one, port) is not None
            }
            assert {one.workload for one in endpoints([web, *pods], WEB, port.port)} == expected

    @given(st.lists(st.sampled_from(PodPhase), max_size=4))
    def test_a_pod_that_is_over_is_no_member(self, phases: list[PodPhase]) -> None:
        """Succeeded or Failed; every other phase is in, with an address."""
        pods = [
            pod(f"p{number}").model_copy(update={"status": PodStatus(phase=phase, pod_ip=f"10.8.0.{number}")})
            for number, phase in enumerate(phases)
        ]
        assert [one.address for one in endpoints([service({"app": "web"}), *pods])] == [
            f"10.8.0.{number}" for number, phase in enumerate(phases) if phase not in ("Succeeded", "Failed")
        ]

    @given(many_pods("shop"))
    def test_an_empty_selector_selects_nothing(self, pods: tuple[Pod, ...]) -> None:
        """And not everything, as the selector of a Deployment would."""
        assert endpoints([service({}), *pods, pod("p", address="10.8.0.99")]) == ()

    @given(st.sampled_from(("1", "01", "1.0", "", "true")), st.sampled_from(("1", "01", "1.0", "", "true")))
    def test_labels_are_text(self, wanted: str, held: str) -> None:
        """`1`, `01` and `1.0` are three values, and the empty text is one that must be there."""
        found = endpoints([service({"v": wanted}), pod("p", address="10.8.0.1", labels={"v": held})])
        assert bool(found) == (wanted == held)
        assert endpoints([service({"v": ""}), pod("p", address="10.8.0.1", labels={})]) == ()

    def test_a_pod_that_waits_without_an_address_is_no_member(self) -> None:
        """Pending without an address is left out; Pending with one is in."""
        waiting = pod("p").model_copy(update={"status": PodStatus.model_validate({"phase": "Pending"})})
        begun = pod("p").model_copy(
            update={"status": PodStatus.model_validate({"phase": "Pending", "podIP": "10.8.0.1"})}
        )
        assert endpoints([service({"app": "web"}), waiting]) == ()
        assert [one.address for one in endpoints([service({"app": "web"}), begun])] == ["10.8.0.1"]

    @given(many_pods("shop"))
    def test_an_external_name_has_no_cluster(self, pods: tuple[Pod, ...]) -> None:
        """Its selector is not looked at: it is another name of something else."""
        spec = ServiceSpec.model_validate(
            {"type": "ExternalName", "externalName": "x.example", "selector": {"app": "web"}, "ports": [{"port": 80}]}
        )
        outside = Service(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec)
        clusters = [one.name for one in mr.Mesh([outside, *pods]).router().table.clusters]
        assert clusters == ["PassthroughCluster"]


def number_behind(one: Pod, port: ServicePort) -> int | None:
    """The pod's port behind a service port, read off the manifests: containers before sidecars."""
    if port.target_port in (None, 0, ""):
        return port.port
    if isinstance(port.target_port, int):
        return port.target_port
    sidecars = [container for container in one.spec.init_containers if container.restart_policy == "Always"]
    declared = [port for container in (*one.spec.containers, *sidecars) for port in container.ports]
    return next(
        (
            found.container_port
            for found in declared
            if (found.name, found.protocol) == (port.target_port, port.protocol)
        ),
        None,
    )


class TestSvc2TargetPorts:
    """SVC-2: a numeric `targetPort` is that port; a named one is the container port of that name and protocol, pod by
    pod, and a pod without it is no member of that port; none is the service port itself."""

    @given(services("web", "shop"), many_pods("shop"))
    def test_each_member_listens_where_a_reading_by_hand_says(self, web: Service, pods: tuple[Pod, ...]) -> None:
        """Pod by pod and port by port."""
        by_name = {f"{one.namespace}/{one.name}": one for one in pods}
        for port in web.spec.ports:
            for member in endpoints([web, *pods], WEB, port.port):
                assert member.port == number_behind(by_name[member.workload], port)

    @given(st.lists(st.tuples(st.sampled_from(("http", "x")), st.sampled_from((8080, 9090))), max_size=3))
    def test_pods_of_one_service_may_listen_on_different_ports(self, declared: list[tuple[str, int]]) -> None:
        """The same name means another number in another pod, and the first of a name counts."""
        containers = tuple(
            Container(name=f"c{at}", ports=(ContainerPort(name=name, container_port=number),))
            for at, (name, number) in enumerate(declared)
        )
        one = pod("one", address="10.8.0.1").model_copy(update={"spec": PodSpec(containers=containers)})
        two = pod("two", address="10.8.0.2").model_copy(
            update={
                "spec": PodSpec(
                    containers=(Container(name="c", ports=(ContainerPort(name="http", container_port=7),)),)
                )
            }
        )
        first = next((number for name, number in declared if name == "http"), None)
        found = endpoints([service({"app": "web"}, ServicePort(port=80, target_port="http")), one, two])
        assert [str(member.key) for member in found] == [
            *([] if first is None else [f"10.8.0.1:{first}"]),
            "10.8.0.2:7",
        ]

    @given(st.permutations(("TCP", "UDP")), st.sampled_from((None, "Always", "OnFailure")))
    def test_transport_and_sidecars(self, order: Sequence[str], policy: str | None) -> None:
        """A port of the name counts if it is a TCP port; one of an init container if that stays, and last."""
        written = {"TCP": 8080, "UDP": 9090}
        main = Container(
            name="main",
            ports=tuple(
                ContainerPort.model_validate({"name": "http", "containerPort": written[one], "protocol": one})
                for one in order
            ),
        )
        ports = (ContainerPort(name="http", container_port=1), ContainerPort(name="side", container_port=2))
        side = Container(name="side", ports=ports, restart_policy=policy)
        both = pod("p", address="10.8.0.1").model_copy(
            update={"spec": PodSpec(containers=(main,), init_containers=(side,))}
        )
        found = {
            name: endpoints([service({"app": "web"}, ServicePort(port=80, target_port=name)), both])
            for name in ("http", "side")
        }
        assert [one.port for one in found["http"]] == [8080]
        assert [one.port for one in found["side"]] == ([2] if policy == "Always" else [])

    def test_digits_and_a_letter_are_a_name(self) -> None:
        """`targetPort: 8080a` is looked up, and nobody has it."""
        found = endpoints(
            [service({"app": "web"}, ServicePort(port=80, target_port="8080a")), pod("p", address="10.8.0.1")]
        )
        assert found == ()

    def test_a_port_of_another_transport_is_another_port(self) -> None:
        """A UDP port beside a TCP port of the same number, as DNS has it, changes nothing for HTTP."""
        tcp = ServicePort(name="dns-tcp", port=53, target_port=5353)
        udp = ServicePort.model_validate({"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 9})
        for ports in ((tcp, udp), (udp, tcp)):
            dns = Service(
                metadata=ObjectMeta(name="web", namespace="shop"),
                spec=ServiceSpec(selector={"app": "web"}, ports=ports),
            )
            found = endpoints([dns, pod("p", address="10.8.0.1")], WEB, 53)
            assert [str(one.key) for one in found] == ["10.8.0.1:5353"]


class TestSvc3Ready:
    """SVC-3: a pod that is not ready is a member that is never chosen; one that is being deleted is no member. With
    `publishNotReadyAddresses` both count as ready."""

    @given(services("web", "shop"), many_pods("shop"))
    def test_health_is_the_ready_condition(self, web: Service, pods: tuple[Pod, ...]) -> None:
        """Healthy if published, without any condition, or with Ready at True; and a deleted pod only if published."""
        publish = web.spec.publish_not_ready_addresses
        by_name = {f"{one.namespace}/{one.name}": one for one in pods}
        for port in web.spec.ports:
            for member in endpoints([web, *pods], WEB, port.port):
                one = by_name[member.workload]
                said = one.status.conditions if one.status is not None else ()
                ready = not said or ("Ready", "True") in {(condition.type, condition.status) for condition in said}
                assert (member.health is Health.HEALTHY) == (publish or ready)
                assert publish or one.metadata.deletion_timestamp is None

    @given(st.booleans(), st.booleans(), st.sampled_from((None, "True", "False", "Unknown")))
    def test_what_each_condition_does(self, publish: bool, deleted: bool, ready: str | None) -> None:
        """Only Ready counts, whatever else holds; one that other conditions are known of and not this is not ready."""
        conditions = [{"type": "PodScheduled", "status": "True"}]
        conditions += [{"type": "Ready", "status": ready}] if ready else []
        one = Pod.model_validate(
            {
                "metadata": {
                    "name": "p",
                    "namespace": "shop",
                    "labels": {"app": "web"},
                    **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
                },
                "spec": {"containers": []},
                "status": {"podIP": "10.8.0.1", "conditions": conditions},
            }
        )
        found = endpoints([service({"app": "web"}, publish=publish), one])
        expected = Health.HEALTHY if publish or ready == "True" else Health.UNHEALTHY
        assert [member.health for member in found] == ([] if deleted and not publish else [expected])

    @given(
        st.booleans(),
        st.sampled_from((None, "True", "False")),
        st.sampled_from((None, "", "yes")),
        st.sampled_from((None, "", "cookie")),
        st.booleans(),
    )
    def test_who_is_going_away_stays_for_persistent_sessions(
        self, deleted: bool, ready: str | None, draining: str | None, session: str | None, sliced: bool
    ) -> None:
        """If it still serves; by pods or by slices, an empty label is none."""
        web = service({"app": "web"}, HTTP)
        metadata = {"name": "web", "namespace": "shop"}
        labels = {} if session is None else {"istio.io/persistent-session": session}
        web = web.model_copy(update={"metadata": ObjectMeta.model_validate({**metadata, "labels": labels})})
        one = Pod.model_validate(
            {
                "metadata": {
                    "name": "p",
                    "namespace": "shop",
                    "labels": {"app": "web", **({} if draining is None else {"istio.io/draining": draining})},
                    **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
                },
                "spec": {"containers": []},
                "status": {
                    "podIP": "10.8.0.1",
                    "conditions": [] if ready is None else [{"type": "Ready", "status": ready}],
                },
            }
        )
        serves = ready != "False"
        end = SliceEndpoint(
            addresses=("10.8.0.1",),
            conditions=EndpointConditions(ready=serves and not deleted, serving=serves, terminating=deleted),
            target_ref=ObjectReference(kind="Pod", name="p"),
        )
        found = [member.health for member in endpoints([web, one, *([slice_of("a", [end])] if sliced else [])])]
        if deleted and not serves:
            assert found == []
        elif deleted or draining:
            assert found == ([Health.DRAINING] if session else [])
        else:
            assert found == [Health.HEALTHY if serves else Health.UNHEALTHY]

    @given(many_pods("shop"), st.integers(0, 9))
    def test_a_sick_member_is_never_chosen(self, pods: tuple[Pod, ...], ordinal: int) -> None:
        """Not even when no other is left: then nobody is."""
        web = service({"app": "web"})
        healthy = {one.workload for one in endpoints([web, *pods]) if one.health is Health.HEALTHY}
        decision = (
            mr.Mesh([web, *pods]).router().decide(mr.Request.of("GET", f"http://{WEB}/"), draws=mr.Draws(0, ordinal))
        )
        if healthy:
            assert decision.pod in healthy
        else:
            assert (decision.pod, decision.outcome.status) == (None, 503)  # type: ignore[union-attr] # fails otherwise


def slice_of(name: str, ends: Iterable[SliceEndpoint], *, ports: tuple[int, ...] = (8080,)) -> EndpointSlice:
    """A slice of `web` with these endpoints, on the service's only port and one of another name."""
    return EndpointSlice(
        metadata=ObjectMeta(name=name, namespace="shop", labels={"kubernetes.io/service-name": "web"}),
        address_type=AddressType.IPV4,
        endpoints=tuple(ends),
        ports=(
            *(EndpointPort(name="http", port=number) for number in ports),
            EndpointPort(name="other", port=9),
            EndpointPort(name="http"),
        ),
    )


HTTP = ServicePort(name="http", port=80)
flags = st.sampled_from((None, True, False))
slice_ends = st.tuples(st.sampled_from(("10.8.0.1", "10.8.0.2", "10.8.0.3")), flags, flags, flags).map(
    lambda drawn: SliceEndpoint(
        addresses=(drawn[0], "10.8.9.9"),
        conditions=EndpointConditions(ready=drawn[1], serving=drawn[2], terminating=drawn[3]),
        target_ref=ObjectReference(kind="Pod", name=f"at-{drawn[0][-1]}"),
    )
)


class TestSvc4Slices:
    """SVC-4: where EndpointSlices of a service are given, they are its members, in the order of the slices' names and
    then of their endpoints, an address and port once. Otherwise members come in the order of their pods' names."""

    @given(st.permutations(("a", "b", "c")), st.lists(st.lists(slice_ends, max_size=3), min_size=3, max_size=3))
    def test_slices_by_name_then_by_place(self, order: Sequence[str], ends: list[list[SliceEndpoint]]) -> None:
        """The first of an address counts; what is not ready is left out unless it is said to stay, and sick then."""
        written = dict(zip("abc", ends, strict=True))
        expected: dict[str, bool] = {}
        for name in "abc":
            for one in written[name]:
                said = one.conditions
                if said.ready is not False or said.terminating is False:
                    expected.setdefault(f"{one.addresses[0]}:8080", said.ready is not False)
        slices = [slice_of(name, written[name]) for name in order]
        found = endpoints([service({"app": "web"}, HTTP), *slices, pod("p", address="10.8.0.7")])
        assert [(str(one.key), one.health is Health.HEALTHY) for one in found] == list(expected.items())
        assert all(one.workload == f"shop/at-{one.address[-1]}" for one in found)

    @given(st.permutations(["pod-10", "pod-2", "pod-1", "pod-b", "Pod-c"]))
    def test_pods_by_name(self, order: Sequence[str]) -> None:
        """By the bytes of their names, in whatever order they were written."""
        pods = [pod(name, address=f"10.8.0.{number}") for number, name in enumerate(order)]
        found = endpoints([service({"app": "web"}), *pods])
        assert [one.workload for one in found] == [f"shop/{name}" for name in sorted(order)]

    @given(st.sampled_from(NAMES))
    def test_slices_belong_to_the_service_that_their_label_names(self, other: str) -> None:
        """A slice of another service, or of none, leaves this one to its pods."""
        one = slice_of("a", [SliceEndpoint(addresses=("10.8.0.1",))])
        labels = {"kubernetes.io/service-name": other}
        foreign = one.model_copy(update={"metadata": ObjectMeta(name="a", namespace="shop", labels=labels)})
        found = endpoints([service({"app": "web"}, HTTP), foreign, pod("p", address="10.8.0.7")])
        assert [one.address for one in found] == (["10.8.0.1"] if other == "web" else ["10.8.0.7"])

    def test_slices_carry_the_labels_of_their_pods(self) -> None:
        """So that subsets can select: by the name of the pod in the slice's own namespace, and of nothing but pods."""
        ends = [
            SliceEndpoint(addresses=("10.8.0.1",), target_ref=ObjectReference(kind="Pod", name="one")),
            SliceEndpoint(addresses=("10.8.0.2",), target_ref=ObjectReference(kind="Node", name="one")),
            SliceEndpoint(addresses=("10.8.0.3",)),
        ]
        rule = mr.loads(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d, namespace: shop}\n"
            "spec: {host: web, subsets: [{name: v, labels: {app: web}}]}\n"
        ).resources
        resources = [service({"app": "web"}, HTTP), slice_of("a", ends), pod("one"), *rule]
        clusters = {str(one.name): one for one in mr.Mesh(resources).router().table.clusters}
        assert [one.address for one in clusters[f"outbound|80|v|{WEB}"].endpoints] == ["10.8.0.1"]
        assert [one.workload for one in clusters[f"outbound|80||{WEB}"].endpoints] == ["shop/one", "", ""]


ANNOTATION = "networking.istio.io/traffic-distribution"
written_distributions = st.sampled_from((None, "", "PreferSameNode", "prefersamezone", "PREFERCLOSE", "PreferNobody"))


class TestSvc5Distribution:
    """SVC-5: the traffic distribution of a service is its `trafficDistribution`, else its annotation, else that of its
    namespace; the first that is written decides, even if its value is unknown."""

    @given(st.none() | st.sampled_from(TrafficDistribution), written_distributions, written_distributions)
    def test_the_first_that_is_written(
        self, field: TrafficDistribution | None, own: str | None, inherited: str | None
    ) -> None:
        """In any case of letters; an annotation that says nothing is not written."""
        web = Service(
            metadata=ObjectMeta(name="web", namespace="shop", annotations={} if own is None else {ANNOTATION: own}),
            spec=ServiceSpec(traffic_distribution=field),
        )
        room = ObjectMeta(name="shop", annotations={} if inherited is None else {ANNOTATION: inherited})
        other = ObjectMeta(name="bank", annotations={ANNOTATION: "PreferSameNode"})
        registry, _ = build([web], [], [], [], namespaces=[Namespace(metadata=one) for one in (room, other)])
        (found,) = registry.services.values()
        said = field or own or inherited or ""
        meant = {"prefersamenode": "PreferSameNode", "prefersamezone": "PreferSameZone", "preferclose": "PreferClose"}
        assert found.distribution == meant.get(said.lower())
