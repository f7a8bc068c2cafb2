"""ServiceEntries, WorkloadEntries, and Services of other kinds: spec/kubernetes.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies.manifests import full_name, load_balancers, many_pods
from meshroute.conformance.strategies.meshes import distinct, entries, services, sidecar, workload_entries
from meshroute.manifest import ObjectMeta, Pod, Resource, Service, ServiceEntry, WorkloadEntry
from meshroute.manifest.istio_services import WorkloadEntrySpec
from meshroute.table import Cluster, OriginalDestination

HTTP = [{"number": 80, "name": "http", "protocol": "HTTP"}]


def clusters(*resources: Resource, node: str = "") -> dict[str, Cluster]:
    """The clusters of a sidecar in `shop`, without what takes the rest."""
    table = Admitted(list(resources)).router(mr.Sidecar("shop", node=node)).table
    return {one.name: one for one in table.clusters if "|" in one.name}


def addresses(cluster: Cluster) -> list[str]:
    """Its endpoints in their order."""
    return [str(one.key) for one in cluster.endpoints]


def service(name: str = "web", namespace: str = "shop", ports: Any = None, **spec: Any) -> Service:
    """A Service with an HTTP port."""
    written = {"ports": ports or [{"name": "http", "port": 80}], **spec}
    return Service.model_validate({"metadata": {"name": name, "namespace": namespace}, "spec": written})


def entry(name: str = "e", namespace: str = "shop", age: int = 1, labels: Any = None, **spec: Any) -> ServiceEntry:
    """A ServiceEntry for `a.example` on an HTTP port."""
    return ServiceEntry.model_validate(
        {
            "metadata": ObjectMeta(
                name=name,
                namespace=namespace,
                labels=labels or {},
                creation_timestamp=datetime(2020, 1, age, tzinfo=UTC),
            ),
            "spec": {"hosts": ["a.example"], "ports": HTTP, **spec},
        }
    )


class TestSvc6Headless:
    """SVC-6: a headless Service goes where the client was going, whatever a DestinationRule says about balancing."""

    @given(many_pods("shop"), load_balancers)
    def test_its_clusters_have_no_endpoints(self, pods: tuple[Pod, ...], balancer: Any) -> None:
        """Of the service and of a subset."""
        rule = mr.manifest.DestinationRule.model_validate(
            {
                "metadata": {"name": "d", "namespace": "shop"},
                "spec": {"host": "web", "trafficPolicy": {"loadBalancer": balancer}, "subsets": [{"name": "all"}]},
            }
        )
        found = clusters(service(clusterIP="None", selector={"app": "web"}), rule, *pods)
        assert [(one.policy, one.endpoints) for one in found.values()] == [(OriginalDestination(), ())] * 2


class TestSvc7Local:
    """SVC-7: with `internalTrafficPolicy: Local` a client gets the members on its own node alone."""

    @given(st.lists(st.sampled_from(("", "n1", "n2")), max_size=5), st.sampled_from(("", "n1", "n2", "n3")))
    def test_by_node(self, nodes: list[str], node: str) -> None:
        """And nothing is kept from a client of a service that says Cluster."""
        pods = [
            Pod.model_validate(
                {
                    "metadata": {"name": f"p{number}", "namespace": "shop", "labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "c"}], "nodeName": one},
                    "status": {"podIP": f"10.0.0.{number}"},
                }
            )
            for number, one in enumerate(nodes)
        ]
        near = service("near", selector={"app": "a"}, internalTrafficPolicy="Local")
        far = service("far", selector={"app": "a"}, internalTrafficPolicy="Cluster")
        found = clusters(near, far, *pods, node=node)
        own = [f"10.0.0.{number}:80" for number, one in enumerate(nodes) if one == node]
        assert addresses(found[f"outbound|80||{full_name('near', 'shop')}"]) == own
        assert len(found[f"outbound|80||{full_name('far', 'shop')}"].endpoints) == len(nodes)


class TestSvc8Aliases:
    """SVC-8: an ExternalName Service is an alias of the host that it names; aliases of aliases are followed for
    domains; those in a ring stand for nothing."""

    @given(st.lists(st.integers(0, 5), min_size=5, max_size=5))
    def test_every_chain_that_ends_at_a_service_leads_there(self, to: list[int]) -> None:
        """Number 5 is no alias; the others name each other in any way."""
        names = [full_name(f"a{number}", "shop") for number in range(5)] + [full_name("web", "shop")]
        aliases = [service(f"a{number}", type="ExternalName", externalName=names[one]) for number, one in enumerate(to)]
        router = Admitted([service(), *aliases]).router(mr.Sidecar("shop"))
        for number in range(5):
            there, steps = number, 0
            while there != 5 and steps < 6:
                there, steps = to[there], steps + 1
            decision = router.decide(mr.Request.of("GET", f"http://a{number}/"))
            assert decision.cluster == (f"outbound|80||{names[5]}" if there == 5 else "PassthroughCluster")

    @given(distinct(services(), 3), st.sampled_from(("web.bank.svc.cluster.local", "db.example")))
    def test_an_alias_takes_nothing_away(self, known: list[Resource], host: str) -> None:
        """Clusters stay as they are, and so does every domain."""

        def seen(*resources: Resource) -> tuple[dict[str, Cluster], dict[tuple[int, str], set[str]]]:
            table = Admitted(list(resources)).router(mr.Sidecar("shop")).table
            domains = {
                (listener.port, one.name): set(one.domains)
                for listener in table.listeners
                for one in listener.virtual_hosts
            }
            return {one.name: one for one in table.clusters}, domains

        before, after = seen(*known), seen(*known, service("alias", type="ExternalName", externalName=host))
        assert before[0] == after[0]
        assert all(domains <= after[1][name] for name, domains in before[1].items())


class TestSvc9WorkloadEntries:
    """SVC-9: WorkloadEntries of the namespace with an IP address and all labels of the selector are members, after the
    pods; behind a named `targetPort` is their port of that name."""

    @given(
        st.integers(0, 4).flatmap(lambda count: st.tuples(*(workload_entries(number) for number in range(count)))),
        st.sampled_from(({"app": "a"}, {"app": "a", "v": "1"}, {})),
        st.sampled_from((None, 8081, "http")),
    )
    def test_who_is_a_member(
        self, entered: tuple[WorkloadEntry, ...], selector: dict[str, str], target: int | str | None
    ) -> None:
        """Labels of the metadata go before those of the spec."""
        pod = Pod.model_validate(
            {
                "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "a", "v": "1"}},
                "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 9}]}]},
                "status": {"podIP": "10.0.0.9"},
            }
        )
        port = {"name": "http", "port": 80, **({"targetPort": target} if target else {})}
        (cluster,) = clusters(service(selector=selector, ports=[port]), pod, *entered).values()
        wanted = []
        for one in sorted(entered, key=lambda one: one.name):
            labels = {**one.spec.labels, **one.metadata.labels}
            number = one.spec.ports.get("http") if target == "http" else target or 80
            chosen = bool(selector) and selector.items() <= labels.items() and one.namespace == "shop"
            if chosen and number and not one.spec.address.endswith("example"):
                wanted.append((f"{one.spec.address}:{number}", one.spec.weight or 1))
        own = [(f"10.0.0.9:{9 if target == 'http' else target or 80}", 1)] if selector else []
        assert [(one.key, one.weight) for one in cluster.endpoints] == own + wanted


class TestEntry1Ports:
    """ENTRY-1: a ServiceEntry is one service for each of its hosts, with all ports but those of protocol UDP."""

    @given(
        st.lists(st.sampled_from(("a.example", "b.example", "*.c.example")), min_size=1, unique=True),
        st.lists(st.sampled_from(("HTTP", "grpc", "UDP", "udp", "TCP", "tls", "what", "")), min_size=1, max_size=4),
    )
    def test_clusters_and_rules(self, hosts: list[str], protocols: list[str]) -> None:
        """Rules count where the protocol is HTTP, or not known."""
        ports = [{"number": 81 + n, "name": f"p{n}", "protocol": one} for n, one in enumerate(protocols)]
        one = entry(hosts=hosts, ports=ports)
        served = [81 + n for n, protocol in enumerate(protocols) if protocol.lower() != "udp"]
        assert set(clusters(one)) == {f"outbound|{number}||{host}" for number in served for host in hosts}
        rule = mr.manifest.VirtualService.model_validate(
            {
                "metadata": {"name": "v", "namespace": "shop"},
                "spec": {"hosts": hosts, "http": [{"directResponse": {"status": 200}}]},
            }
        )
        router = Admitted([one, rule]).router(mr.Sidecar("shop"))
        for number in served:
            answer = router.decide(mr.Request.of("GET", f"http://{hosts[0].replace('*', 'x')}:{number}/"))
            may = protocols[number - 81].lower() in ("http", "grpc", "what", "")
            assert (answer.rule is not None) == may


class TestEntry2Resolution:
    """ENTRY-2: NONE goes where the client was going, STATIC has the addresses, the two kinds of DNS have the names, of
    which DNS_ROUND_ROBIN has one; without any they ask for the host itself."""

    @given(
        st.sampled_from(("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN")),
        st.lists(st.sampled_from(("10.0.0.1", "10.0.0.2", "x.example", "fd00::1")), unique=True, max_size=4),
    )
    def test_what_is_behind(self, resolution: str, given: list[str]) -> None:
        """By what is given."""
        endpoints: dict[str, Any] = {} if resolution == "NONE" else {"endpoints": [{"address": one} for one in given]}
        (cluster,) = clusters(entry(resolution=resolution, **endpoints)).values()
        keys = {"fd00::1": "[fd00::1]"}
        wanted = [f"{keys.get(one, one)}:80" for one in given]
        if resolution == "STATIC":
            wanted = [one for one in wanted if not one.startswith("x")]
        elif resolution != "NONE" and not given:
            wanted = ["a.example:80"]
        elif resolution == "DNS_ROUND_ROBIN":
            wanted = wanted[:1]
        assert addresses(cluster) == ([] if resolution == "NONE" else wanted)
        assert isinstance(cluster.policy, OriginalDestination) == (resolution == "NONE")


class TestEntry3Behind:
    """ENTRY-3: the endpoint's own port of that name, else `targetPort`, else the number; weight 1 where none is."""

    @given(
        st.sampled_from((None, 8080)),
        st.lists(st.tuples(st.sampled_from((None, 9090)), st.integers(0, 3), st.sampled_from(("", "a", "b/c")))),
    )
    def test_ports_weights_and_places(self, target: int | None, given: list[tuple[int | None, int, str]]) -> None:
        """In the order of places, and inside as they are written."""
        port = {**HTTP[0], **({"targetPort": target} if target else {})}
        endpoints = [
            {
                "address": f"10.0.0.{number}",
                "locality": place,
                **({"weight": weight} if weight else {}),
                **({"ports": {"http": own, "other": 1}} if own else {}),
            }
            for number, (own, weight, place) in enumerate(given)
        ]
        (cluster,) = clusters(entry(ports=[port], resolution="STATIC", endpoints=endpoints)).values()
        assert [(one.address, one.port, one.weight, one.locality) for one in cluster.endpoints] == [
            (f"10.0.0.{number}", own or target or 80, weight or 1, {"": "", "a": "a//", "b/c": "b/c/"}[place])
            for number, (own, weight, place) in sorted(enumerate(given), key=lambda one: one[1][2])
        ]


class TestEntry4Selectors:
    """ENTRY-4: a `workloadSelector` chooses the pods of the namespace that are ready and the WorkloadEntries with all
    its labels: pods first, each kind by name."""

    @given(
        many_pods("shop"),
        st.integers(0, 4).flatmap(lambda count: st.tuples(*(workload_entries(number) for number in range(count)))),
        st.sampled_from(({}, {"app": "a"}, {"app": "web"}, {"app": "a", "v": "1"})),
        st.sampled_from(("STATIC", "DNS")),
    )
    def test_who_is_chosen(
        self, pods: Sequence[Pod], entered: Sequence[WorkloadEntry], labels: dict[str, str], resolution: str
    ) -> None:
        """Names only where DNS is asked."""
        found = clusters(entry(resolution=resolution, workloadSelector={"labels": labels}), *pods, *entered)
        wanted = []
        for pod in sorted(pods, key=lambda one: one.name):
            conditions = pod.status.conditions if pod.status else ()
            ready = not conditions or any((one.type, one.status) == ("Ready", "True") for one in conditions)
            ended = pod.status is not None and pod.status.phase in ("Succeeded", "Failed")
            gone = ended or pod.metadata.deletion_timestamp is not None
            if (
                pod.status
                and ready
                and not gone
                and pod.namespace == "shop"
                and labels.items() <= pod.metadata.labels.items()
            ):
                wanted.append(pod.status.pod_ip)
        for one in sorted(entered, key=lambda one: one.name):
            own = {**one.spec.labels, **one.metadata.labels}
            if one.namespace == "shop" and labels.items() <= own.items():
                wanted.append(one.spec.address)
        if resolution == "STATIC":
            wanted = [one for one in wanted if not one.endswith("example")]
        got = [one.address for cluster in found.values() for one in cluster.endpoints]
        assert got == wanted
        assert bool(found) == (bool(wanted) or resolution == "STATIC")

    @given(st.sampled_from((None, "true", "1", "false", "yes")), st.sampled_from((None, "True", "False", "Unknown")))
    def test_health_counts_where_it_is_asked_for(self, asked: str | None, said: str | None) -> None:
        """Only with the annotation, and then only if the status says so."""
        one = WorkloadEntry(
            metadata=ObjectMeta(
                name="w",
                namespace="shop",
                annotations={} if asked is None else {"proxy.istio.io/health-checks-enabled": asked},
            ),
            spec=WorkloadEntrySpec(address="10.0.0.1"),
            status=None if said is None else {"conditions": [{"type": "Healthy", "status": said}]},
        )
        (cluster,) = clusters(entry(resolution="STATIC", workloadSelector={}), one).values()
        assert bool(cluster.endpoints) == (asked not in ("true", "1") or said == "True")


class TestEntry5OneHost:
    """ENTRY-5: entries of one namespace share the endpoints of a host by the name of the port, oldest first, and a
    Service of that host has them too; of equal ones the ports are joined, else the oldest is used alone."""

    @given(st.permutations((1, 2, 3)), st.lists(st.sampled_from((80, 81)), min_size=3, max_size=3), st.booleans())
    def test_three_entries(self, ages: list[int], numbers: list[int], alike: bool) -> None:
        """In any order of ages, on two ports."""
        made = [
            entry(
                f"e{number}",
                age=age,
                labels=None if alike else {"n": str(number)},
                ports=[{"number": port, "name": f"p{port}", "protocol": "HTTP"}],
                resolution="STATIC",
                endpoints=[{"address": f"10.0.0.{age}"}],
            )
            for number, (age, port) in enumerate(zip(ages, numbers, strict=True))
        ]
        of_age = dict(zip(ages, numbers, strict=True))
        served = set(numbers) if alike else {of_age[1]}
        found = clusters(*made)
        assert {name: addresses(one) for name, one in found.items()} == {
            f"outbound|{port}||a.example": [f"10.0.0.{age}:{port}" for age in (1, 2, 3) if of_age[age] == port]
            for port in served
        }

    @given(distinct(entries(), 4))
    def test_a_service_has_what_entries_of_its_namespace_say(self, entered: list[Resource]) -> None:
        """Before its own endpoints, on the ports of that name."""
        own = service("pay", "bank", ports=[{"name": "http-80", "port": 80}], selector={"app": "pay"})
        pod = Pod.model_validate(
            {
                "metadata": {"name": "p", "namespace": "bank", "labels": {"app": "pay"}},
                "spec": {"containers": [{"name": "c"}]},
                "status": {"podIP": "10.9.0.1"},
            }
        )
        host = full_name("pay", "bank")
        more = [one for one in entered if isinstance(one, ServiceEntry) and one.namespace == "bank"]
        more = [one for one in more if host in one.spec.hosts and any(port.number == 80 for port in one.spec.ports)]
        more.sort(
            key=lambda one: (
                one.metadata.creation_timestamp is not None,
                str(one.metadata.creation_timestamp),
                one.name,
            )
        )
        found = clusters(own, pod, *entered, sidecar([f"bank/{host}"]))
        wanted = [one.spec.endpoints[0].address for one in more if one.spec.endpoints]
        assert [one.address for one in found[f"outbound|80||{host}"].endpoints] == [*wanted, "10.9.0.1"]


class TestEntry6Nobody:
    """ENTRY-6: where nobody answers, STATIC has an empty cluster and DNS has none; so it is with subsets."""

    @given(
        st.sampled_from(("STATIC", "DNS", "DNS_ROUND_ROBIN")),
        st.lists(st.sampled_from(("v1", "v2")), max_size=1),
    )
    def test_by_subset(self, resolution: str, versions: list[str]) -> None:
        """What a request meets there."""
        endpoints = [{"address": "10.0.0.1", "labels": {"version": one}} for one in versions]
        rule = mr.manifest.DestinationRule.model_validate(
            {
                "metadata": {"name": "d", "namespace": "shop"},
                "spec": {
                    "host": "a.example",
                    "subsets": [{"name": one, "labels": {"version": one}} for one in ("v1", "v2")],
                },
            }
        )
        routed = mr.manifest.VirtualService.model_validate(
            {
                "metadata": {"name": "v", "namespace": "shop"},
                "spec": {
                    "hosts": ["a.example"],
                    "http": [
                        {
                            "match": [{"uri": {"prefix": f"/{one}"}}],
                            "route": [{"destination": {"host": "a.example", "subset": one}}],
                        }
                        for one in ("v1", "v2")
                    ],
                },
            }
        )
        chosen = {"endpoints": endpoints} if endpoints else {"workloadSelector": {"labels": {"app": "nobody"}}}
        router = Admitted([entry(resolution=resolution, **chosen), rule, routed]).router(mr.Sidecar("shop"))
        for one in ("v1", "v2"):
            outcome = router.decide(mr.Request.of("GET", f"http://a.example/{one}")).outcome
            flag = getattr(outcome, "flag", "")
            assert flag == ("" if one in versions else "UH" if resolution == "STATIC" else "NC")


class TestCheck10Entries:
    """CHECK-10: that nobody answers, and that clients elsewhere use another service of that host, are warnings; names
    that are asked for are a note."""

    @given(
        st.sampled_from(("STATIC", "DNS")),
        st.lists(st.sampled_from(("10.0.0.1", "x.example")), max_size=2, unique=True),
    )
    def test_what_is_said(self, resolution: str, given: list[str]) -> None:
        """And what is not."""
        given = given if resolution == "DNS" else [it for it in given if it[0] != "x"]
        one = entry(resolution=resolution, endpoints=[{"address": address} for address in given])
        said = [(str(it.code), it.at.path) for it in mr.Mesh([one]).diagnostics]
        wanted = []
        if resolution == "STATIC":
            wanted += [] if "10.0.0.1" in given else [("endpoints-missing", "spec.hosts[0]")]
        elif "x.example" in given or not given:
            wanted = [("address-assumed", "spec.hosts[0]")]
        assert sorted(said) == sorted(wanted)

    @given(distinct(entries(), 4), distinct(services(), 3))
    def test_whose_host_it_is(self, entered: list[Resource], known: list[Resource]) -> None:
        """Said of every entry whose host a client of a fourth namespace would find elsewhere."""
        said = {it.subject for it in mr.Mesh([*entered, *known]).diagnostics if it.code == "service-ignored"}
        everything = sorted(
            (
                not isinstance(one, Service),
                one.metadata.creation_timestamp is not None,
                str(one.metadata.creation_timestamp),
                one.name if isinstance(one, Service) else "",
                one.namespace,
                host,
            )
            for one in (*entered, *known)
            for host in (one.spec.hosts if isinstance(one, ServiceEntry) else (full_name(one.name, one.namespace),))
        )
        for one in entered:
            assert isinstance(one, ServiceEntry)
            winner = next(it for it in everything if it[-1] == one.spec.hosts[0])
            assert (one.subject in said) == (winner[-2] != one.namespace)


IMPORT = re.compile(r"(?:~|~?(?:[.*]|a{1,3}))/(?:[*]|(?:[*]|a{1,3})(?:(?:[.]a{1,3})+[.]?|[.]))")
"""What a Sidecar may import, of some letters."""


class TestCheck11Sidecars:
    """CHECK-11: a host that is not `namespace/host` is an error; one that imports nothing is a warning, and so is a
    second Sidecar for everybody in a namespace."""

    @given(distinct(services(), 3), st.sampled_from(("web.shop.svc.cluster.local", "*.local", "*", "x.test", "*.test")))
    def test_imports_of_nothing(self, known: list[Resource], host: str) -> None:
        """By the names that there are."""
        there = [full_name(one.name, one.namespace) for one in known]
        imports = any(one == host or (host[0] == "*" and one.endswith(host[1:])) for one in there)
        said = [it.code for it in mr.Mesh([*known, sidecar([f"*/{host}"])]).diagnostics]
        assert said == ([] if imports or host == "*" else ["host-unknown"])  # everything, be it nothing

    @given(st.text("a*/.~", max_size=6) | st.from_regex(IMPORT, fullmatch=True))
    def test_the_shape_of_a_host(self, host: str) -> None:
        """A namespace, a slash, and a whole name or a wildcard before one."""
        said: Sequence[mr.Diagnostic] = ()
        try:
            mr.Mesh([service(), sidecar([host])])
        except mr.ManifestError as error:
            said = error.diagnostics
        assert {it.code for it in said if it.severity is mr.Severity.ERROR} == (
            set() if IMPORT.fullmatch(host) else {"field-value"}
        )

    @given(st.lists(st.tuples(st.sampled_from(("shop", "bank")), st.booleans()), max_size=4))
    def test_how_many_are_followed(self, made: list[tuple[str, bool]]) -> None:
        """The first for everybody in each namespace, and all that choose."""
        sidecars = [
            sidecar(
                ["./*", "*/web.shop.svc.cluster.local"],
                namespace,
                f"s{number}",
                **({"workloadSelector": {"labels": {"a": "b"}}} if chosen else {}),
            )
            for number, (namespace, chosen) in enumerate(made)
        ]
        for_all = [(one.namespace, one.subject) for one, (_, chosen) in zip(sidecars, made, strict=True) if not chosen]
        followed = dict(reversed(for_all))
        said = [
            it.subject
            for it in mr.Mesh([service(), service("pay", "bank"), *sidecars]).diagnostics
            if it.code == "sidecar-ignored"
        ]
        assert sorted(said) == sorted(subject for namespace, subject in for_all if followed[namespace] != subject)
