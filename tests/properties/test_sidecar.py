"""What a sidecar sees: spec/sidecar.md, and the names of spec/host.md that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.compile.domains import domains_of
from meshroute.compile.resolve import (
    Hosts,
    MostSpecific,
    intersection,
    most_specific,
    names_for_namespace,
    overlaps,
    specificity,
)
from meshroute.compile.service import RegisteredService
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies.manifests import full_name
from meshroute.conformance.strategies.meshes import (
    HOSTS,
    NAMESPACES,
    WILD,
    distinct,
    entries,
    excluded,
    imports,
    meshes,
    namespaces,
    services,
    sidecar,
    virtual_services,
)
from meshroute.manifest import ObjectMeta, Resource, Service, ServiceEntry, Sidecar, VirtualService
from meshroute.manifest.istio import Destination, HTTPRoute, HTTPRouteDestination, VirtualServiceSpec
from meshroute.manifest.istio_services import ServiceEntrySpec
from meshroute.manifest.istio_sidecar import SidecarSpec
from meshroute.manifest.kubernetes import ServicePort, ServiceSpec
from meshroute.names import Host
from meshroute.table import Forward, RoutingTable

tails = st.text("a.", max_size=3)
patterns = st.one_of(tails, tails.map("*".__add__))
UNIVERSE = tuple("".join(letters) for size in range(5) for letters in product("a.", repeat=size))
"""Every name that a pattern of at most three letters could tell from another."""


def named(host: str) -> set[str]:
    """The names of the universe that a host stands for."""
    return {name for name in UNIVERSE if (name.endswith(host[1:]) if host[:1] == "*" else name == host)}


class TestHost8Algebra:
    """HOST-8: two hosts overlap if one covers the other. The intersection of two lists of hosts has, of each pair that
    overlaps, the narrower one. Of hosts with a namespace, those of that one, of `*` and of none are its own."""

    @given(patterns, patterns)
    def test_overlapping_is_having_a_name_in_common(self, host: str, other: str) -> None:
        """And it does not matter who is asked."""
        assert overlaps(host, other) == overlaps(other, host) == bool(named(host) & named(other))

    @given(st.lists(patterns, max_size=4), st.lists(patterns, max_size=4))
    def test_an_intersection_stands_for_what_both_stand_for(self, hosts: list[str], others: list[str]) -> None:
        """No more and no less, each host once, and each of them written in one of the lists."""
        both = intersection(hosts, others)
        stood = [set[str]().union(*map(named, one)) for one in (both, hosts, others)]
        assert stood[0] == stood[1] & stood[2]
        assert len(set(both)) == len(both)
        assert set(both) <= {*hosts, *others}

    @given(st.lists(patterns, max_size=5), patterns)
    def test_an_index_of_hosts_answers_as_asking_each_would(self, hosts: list[str], name: str) -> None:
        """Covering, being covered, overlapping, and which names lie below."""
        index = Hosts(hosts)
        assert index.cover(name) == any(named(name) <= named(host) for host in hosts)
        assert index.lie_below(name) == any(named(host) <= named(name) for host in hosts)
        assert index.overlaps(name) == any(named(host) & named(name) for host in hosts)
        assert set(index.below(name)) == {one for one in hosts if one[:1] != "*" and named(one) <= named(name)}

    @given(st.lists(patterns, max_size=5), patterns)
    def test_the_most_specific_is_found_without_asking_each(self, hosts: list[str], name: str) -> None:
        """The first for a host stays."""
        index: MostSpecific[tuple[str, int]] = MostSpecific()
        for number, host in enumerate(hosts):
            index.add(host, (host, number))
        best = most_specific(hosts, name)
        assert index.find(name) == (None if best is None else (best, hosts.index(best)))

    @given(st.lists(patterns, max_size=5))
    def test_specific_hosts_stand_for_less(self, hosts: list[str]) -> None:
        """In the order of specificity nothing that comes later lies below what comes earlier."""
        ordered = sorted(hosts, key=specificity)
        for number, host in enumerate(ordered):
            assert not any(named(later) < named(host) for later in ordered[number + 1 :] if later[:1] == host[:1])

    @given(st.lists(st.tuples(st.sampled_from(("", "*/", "a/", "b/")), patterns), max_size=5))
    def test_hosts_of_a_namespace(self, written: list[tuple[str, str]]) -> None:
        """In the order in which they are written."""
        found = names_for_namespace([owner + host for owner, host in written], "a")
        assert found == tuple(host for owner, host in written if owner != "b/")


class TestHost9Domains:
    """HOST-9: the host, the host with a dot, its shorter names, the same for its aliases, with `*.` before them where
    it is headless, and its addresses."""

    @given(st.sampled_from(("web", "a-b")), st.sampled_from(("shop", "bank")), st.booleans(), st.booleans())
    def test_of_a_kubernetes_service(self, name: str, owner: str, near: bool, headless: bool) -> None:
        """Spelt out."""
        client = owner if near else "elsewhere"
        own = f"{name}.{owner}"
        shorter = [name, f"{own}.svc", own] if near else [own, f"{own}.svc"]
        wanted = [f"{own}.svc.test", f"{own}.svc.test.", *shorter]
        wanted += [f"*.{one}" for one in wanted] if headless else []
        service = RegisteredService(Host(f"{own}.svc.test"), owner, name, (), {}, ("10.0.0.1",), headless)
        assert domains_of(service, f"{client}.svc.test", ("IPv4",))[0] == (*wanted, "10.0.0.1")
        assert domains_of(service, f"{client}.svc.test", ("IPv6",))[0] == tuple(wanted)
        assert domains_of(service, f"{client}.svc.other", ("IPv6",))[0][:2] == tuple(wanted[:2])

    @given(st.lists(st.sampled_from(HOSTS), min_size=1, unique=True), st.sampled_from(NAMESPACES))
    def test_an_alias_has_the_names_of_a_service(self, hosts: list[str], client: str) -> None:
        """One after the other."""
        first, *aliases = (Host(host) for host in hosts)

        def names(host: Host, *others: Host) -> tuple[str, ...]:
            service = RegisteredService(host, "", "", (), {}, aliases=others)
            return domains_of(service, f"{client}.svc.cluster.local", ("IPv4",))[0]

        assert names(first, *aliases) == tuple(name for host in (first, *aliases) for name in names(host))

    @given(meshes, namespaces)
    def test_a_domain_is_given_once(self, resources: list[Resource], client: str) -> None:
        """Whatever is asked for twice."""
        for listener in table(resources, client).listeners:
            given_out = [name.lower() for host in listener.virtual_hosts for name in host.domains]
            assert len(set(given_out)) == len(given_out)


def table(resources: Iterable[Resource], namespace: str = "shop", **mesh: Any) -> RoutingTable:
    """What a sidecar of a namespace gets."""
    return Admitted(list(resources), config=mr.MeshConfig(**mesh)).router(mr.Sidecar(namespace)).table


def clusters(resources: Iterable[Resource], namespace: str = "shop") -> set[str]:
    """The names of its clusters, without what takes the rest."""
    return {one.name for one in table(resources, namespace).clusters if "|" in one.name}


def virtual_hosts(resources: Iterable[Resource], port: int, namespace: str = "shop") -> Mapping[str, str]:
    """For each virtual host on a port the cluster of its first route, without what takes the rest."""
    found = {}
    for listener in table(resources, namespace).listeners:
        for host in listener.virtual_hosts if listener.port == port else ():
            action = host.routes[0].action
            if ":" in host.name and isinstance(action, Forward):
                found[host.name.rpartition(":")[0]] = str(action.clusters[0].cluster)
    return found


def hosts_of(one: Resource, kubernetes: bool = True) -> tuple[str, ...]:
    """The hosts of a service of either kind."""
    if isinstance(one, Service) and kubernetes:
        return (full_name(one.name, one.namespace),)
    return one.spec.hosts if isinstance(one, ServiceEntry) else ()


def numbers_of(one: Resource) -> set[int]:
    """The ports of a service of either kind."""
    if isinstance(one, Service):
        return {port.port for port in one.spec.ports}
    return {port.number for port in one.spec.ports} if isinstance(one, ServiceEntry) else set()


def sees(one: Resource, client: str) -> bool:
    """Whether clients of a namespace see a service, by what it says itself."""
    if isinstance(one, Service):
        written = one.metadata.annotations.get("networking.istio.io/exportTo", "*").replace(" ", "").split(",")
    else:
        written = list(one.spec.export_to) if isinstance(one, ServiceEntry) else []
    return not written or "*" in written or client in written or ("." in written and one.namespace == client)


class TestHost10UnknownHosts:
    """HOST-10: a host of a VirtualService that is no service on a port has a virtual host on port 80, and on another
    one only beside a service that the VirtualService takes there. A wildcard has one only where it overlaps no
    service."""

    @given(distinct(services(), 3), st.lists(st.sampled_from((*HOSTS, *WILD[1:])), min_size=1, unique=True))
    def test_one_rule_and_some_services(self, known: list[Resource], hosts: list[str]) -> None:
        """Every host of the rule, on both ports."""
        seen = [one for one in known if sees(one, "shop")]
        for port in (80, 81):
            here = {host for one in seen if port in numbers_of(one) for host in hosts_of(one)}
            taken = {
                one for one in here if any(one == host or (host[0] == "*" and one.endswith(host[1:])) for host in hosts)
            }
            unknown = {host for host in hosts if host[0] != "*" and host not in here}
            unknown |= {host for host in hosts if host[0] == "*" and not any(one.endswith(host[1:]) for one in here)}
            listened = bool(here) or any(port in numbers_of(one) for one in seen)
            governed = taken | (unknown if taken or port == 80 else set())
            found = virtual_hosts([*known, rule("vs", hosts, "to.test")], port)
            assert {host for host, to in found.items() if to == f"outbound|{port}||to.test"} == (
                governed if listened else set()
            )


def rule(name: str, hosts: Sequence[str], to: str, namespace: str = "shop", **spec: Any) -> VirtualService:
    """A VirtualService that sends everything to one host."""
    route = HTTPRoute(route=(HTTPRouteDestination(destination=Destination(host=to)),))
    return VirtualService(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=VirtualServiceSpec(hosts=tuple(hosts), http=(route,), **spec),
    )


class TestSide1Visibility:
    """SIDE-1: a service is seen by the namespaces of its `exportTo`; what a client does not see has no virtual host, no
    listener and no cluster."""

    @given(distinct(services(), 3), distinct(entries(), 4), namespaces)
    def test_what_is_seen_has_clusters_and_nothing_else_has(
        self, known: list[Resource], entered: list[Resource], client: str
    ) -> None:
        """Where no rule sends anywhere."""
        seen = [one for one in (*known, *entered) if sees(one, client)]
        hosts = {host for one in seen for host in hosts_of(one)}
        found = clusters([*known, *entered], client)
        assert {name.rpartition("|")[2] for name in found} == hosts
        ports = {port for one in seen for port in numbers_of(one)}
        assert {one.port for one in table([*known, *entered], client).listeners} <= ports
        for port in ports:
            assert set(virtual_hosts([*known, *entered], port, client)) <= hosts

    @given(meshes, st.randoms(use_true_random=False), namespaces)
    def test_the_order_of_files_never_counts(self, resources: list[Resource], random: Any, client: str) -> None:
        """Nor does reading them twice."""
        shuffled = list(resources)
        random.shuffle(shuffled)
        assert table(shuffled, client) == table(resources, client)

    @given(distinct(services(), 3), st.sampled_from(((".",), ("*",), ("bank",), ("~",))), namespaces)
    def test_the_mesh_says_it_for_those_that_do_not(
        self, known: list[Resource], default: tuple[str, ...], client: str
    ) -> None:
        """As if each of them had written it."""
        said = [saying(one, ",".join(default)) for one in known]
        assert table(known, client, default_service_export_to=default) == table(said, client)


def saying(service: Any, exports: str) -> Resource:
    """A Service that says who sees it, if it does not already."""
    annotations = {"networking.istio.io/exportTo": exports} | service.metadata.annotations
    metadata = service.metadata.model_copy(update={"annotations": annotations})
    return cast(Resource, service.model_copy(update={"metadata": metadata}))


SELECTORS: tuple[Mapping[str, str] | None, ...] = (None, None, {}, {"app": "a"}, {"app": "a", "v": "1"}, {"app": "b"})


@st.composite
def some_sidecars(draw: st.DrawFn) -> list[Sidecar]:
    """Some Sidecars, each of which imports one host of its own."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        selector = draw(st.sampled_from(SELECTORS))
        more = {} if selector is None else {"workloadSelector": {"labels": dict(selector)}}
        one = sidecar([f"*/h{number}.test"], draw(namespaces), f"s{9 - number}", **more)
        meta = one.metadata.model_copy(update={"creation_timestamp": draw(st.sampled_from(AGES))})
        made.append(one.model_copy(update={"metadata": meta}))
    return made


AGES = tuple(datetime(2020 + number, 1, 1, tzinfo=UTC) for number in range(3))


class TestSide2Choice:
    """SIDE-2: of the client's namespace the oldest Sidecar that chooses it, else the oldest for all, else the root
    namespace's oldest for all; without any everything is imported."""

    @given(some_sidecars(), namespaces, st.sampled_from(({}, {"app": "a"}, {"app": "a", "v": "1"})))
    def test_which_one_is_followed(self, sidecars: list[Sidecar], client: str, labels: dict[str, str]) -> None:
        """By what is imported then."""
        hosts = [f"h{number}.test" for number in range(5)]
        every = ServiceEntry(
            metadata=ObjectMeta(name="e"),
            spec=ServiceEntrySpec.model_validate({"hosts": hosts, "ports": [{"number": 80, "name": "http"}]}),
        )
        by_age = sorted(sidecars, key=lambda one: (one.metadata.creation_timestamp, one.name))
        own = [one for one in by_age if one.namespace == client]
        root = [one for one in by_age if one.namespace == "istio-system" and one.spec.workload_selector is None]
        choosing = [one for one in own if (it := one.spec.workload_selector) and it.labels.items() <= labels.items()]
        for_all = [one for one in own if one.spec.workload_selector is None]
        chosen = next(iter((*choosing, *for_all, *root)), None)
        router = Admitted([every, *sidecars]).router(mr.Sidecar(client, labels))
        found = {one.service for one in router.table.clusters if one.service}
        assert found == (set(hosts) if chosen is None else {chosen.spec.egress[0].hosts[0][2:]})

    @given(meshes, namespaces)
    def test_importing_everything_is_having_no_sidecar(self, resources: list[Resource], client: str) -> None:
        """Written, or left out."""
        bare = Sidecar(metadata=ObjectMeta(name="s", namespace=client), spec=SidecarSpec())
        everything = sidecar(["*/*"], client)
        assert table(resources, client) == table([*resources, bare], client) == table([*resources, everything], client)


def covers(written: Iterable[str], host: str, owner: str, client: str = "shop") -> bool:
    """Whether one of some `namespace/host` stands for a host of a namespace."""
    for one in written:
        namespace, _, name = one.partition("/")
        near = namespace in ("*", owner) or (namespace == "." and owner == client)
        if near and (host == name or (name[0] == "*" and host.removeprefix("*").endswith(name[1:]))):
            return True
    return False


def one_each(resources: Iterable[Resource]) -> list[Resource]:
    """Of each namespace and host one service: one of Kubernetes, else the oldest."""
    best_last = sorted(resources, key=lambda one: (not isinstance(one, Service), order(one)), reverse=True)
    return list({(one.namespace, *hosts_of(one)): one for one in best_last}.values())


def left_out(written: Iterable[str]) -> list[str]:
    """What `~namespace/host` means, without the `~`."""
    return [f"*{one[1:]}" if one[1] == "/" else one[1:] for one in written]


class TestSide3Imports:
    """SIDE-3: a service is imported if it is seen and a host named for its namespace or for any covers its host, and it
    is not left out."""

    @given(distinct(services(), 3), distinct(entries(), 4), imports, excluded)
    def test_what_is_imported(
        self, known: list[Resource], entered: list[Resource], written: list[str], without: list[str]
    ) -> None:
        """Where no rule sends anywhere."""
        found = clusters([*known, *entered, sidecar([*written, *without])])
        exact = all("*" not in one for one in written)
        assert {name.rpartition("|")[2] for name in found} == {
            host
            for one in (one_each([*known, *entered]) if exact else [*known, *entered])
            for host in hosts_of(one)
            if sees(one, "shop")
            and covers(written, host, one.namespace)
            and not covers(left_out(without), host, one.namespace)
        }

    @given(meshes, imports, imports, excluded)
    def test_more_imports_take_nothing_away(
        self, resources: list[Resource], some: list[str], more: list[str], without: list[str]
    ) -> None:
        """And leaving out adds nothing; where rules send is left aside."""
        plain = [one for one in resources if not isinstance(one, VirtualService)]
        first = {name.rpartition("|")[2] for name in clusters([*plain, sidecar(some)])}
        both = {name.rpartition("|")[2] for name in clusters([*plain, sidecar([*some, *more])])}
        less = {name.rpartition("|")[2] for name in clusters([*plain, sidecar([*some, *without])])}
        assert less <= first <= both

    @given(st.booleans(), st.booleans())
    def test_exact_hosts_mean_one_service_of_a_namespace(self, exact: bool, younger_first: bool) -> None:
        """The oldest, whatever its ports; a wildcard means all of them."""
        made = [
            ServiceEntry(
                metadata=ObjectMeta(name=f"e{number}", namespace="shop", creation_timestamp=AGES[age]),
                spec=ServiceEntrySpec.model_validate(
                    {"hosts": ["a.example"], "ports": [{"number": 80 + number, "name": f"p{number}"}]}
                ),
            )
            for number, age in enumerate((1, 0) if younger_first else (0, 1))
        ]
        found = clusters([*made, sidecar(["shop/a.example" if exact else "shop/*"])])
        oldest = 81 if younger_first else 80
        assert found == {f"outbound|{port}||a.example" for port in ((oldest,) if exact else (80, 81))}

    @given(meshes, st.permutations(["./*", "bank/*.example", "*/a.example", "~/b.example"]))
    def test_the_order_of_hosts_never_counts(self, resources: list[Resource], hosts: list[str]) -> None:
        """In one listener."""
        assert table([*resources, sidecar(hosts)]) == table([*resources, sidecar(sorted(hosts))])


class TestSide4Rules:
    """SIDE-4: a VirtualService is imported if one of its hosts overlaps an imported one and is not left out; then all
    of its hosts count."""

    @given(
        st.lists(st.sampled_from((*HOSTS, *WILD[1:])), min_size=1, max_size=3, unique=True),
        namespaces,
        imports,
        excluded,
    )
    def test_a_rule_counts_whole_or_not_at_all(
        self, hosts: list[str], owner: str, written: list[str], without: list[str]
    ) -> None:
        """Where no service is near, beside one that opens the port."""

        def overlap(host: str) -> bool:
            names = [one.partition("/") for one in written]
            return covers(written, host, owner) or any(
                covers([f"{namespace}/{host}"], name, owner) for namespace, _, name in names
            )

        imported = any(overlap(host) and not covers(left_out(without), host, owner) for host in hosts)
        opening = ServiceEntry(
            metadata=ObjectMeta(name="e", namespace="shop"),
            spec=ServiceEntrySpec.model_validate({"hosts": ["open.test"], "ports": [{"number": 80, "name": "http"}]}),
        )
        one = rule("vs", hosts, "to.test", owner)
        found = virtual_hosts([opening, one, sidecar([*written, "shop/open.test", *without])], 80)
        # Without everybody's services nobody listens, and no rule is asked.
        listened = not covers(left_out(without), "open.test", "shop")
        assert set(found) == ({"open.test", *(hosts if imported else ())} if listened else set())
        assert all(found[host] == "outbound|80||to.test" for host in found if host in hosts)

    @given(meshes, st.sampled_from(((".",), ("*",), ("bank",), ("~",))), namespaces)
    def test_the_mesh_says_who_sees_a_rule_that_does_not(
        self, resources: list[Resource], default: tuple[str, ...], client: str
    ) -> None:
        """As if each of them had written it."""
        said = [
            one.model_copy(update={"spec": one.spec.model_copy(update={"export_to": default})})
            if isinstance(one, VirtualService) and not one.spec.export_to
            else one
            for one in resources
        ]
        assert table(resources, client, default_virtual_service_export_to=default) == table(said, client)

    @given(distinct(services(), 3), distinct(entries(), 3), distinct(virtual_services(), 3), namespaces)
    def test_the_first_rule_for_a_host_wins(
        self, known: list[Resource], entered: list[Resource], rules: list[Any], client: str
    ) -> None:
        """By age inside what is private, named and public, exact hosts before wildcards."""

        def part(one: VirtualService) -> int | None:
            said = one.spec.export_to or ("*",)
            if "*" in said:
                return 2
            if "~" in said or not (client in said or ("." in said and one.namespace == client)):
                return None
            return 0 if one.namespace == client else 1

        def age(one: VirtualService) -> tuple[Any, ...]:
            time = one.metadata.creation_timestamp
            return (part(one), time is not None, time, one.name, one.namespace)

        seen = sorted(
            (one for one in rules if part(one) is not None),
            key=lambda one: age(one)[:2] + tuple(map(str, age(one)[2:])),
        )
        for host, to in virtual_hosts([*known, *entered, *rules], 80, client).items():
            exact = [one for one in seen if host in one.spec.hosts]
            ends = [
                (-len(written), number, one)
                for number, one in enumerate(seen)
                for written in one.spec.hosts
                if written[0] == "*" and host.endswith(written[1:])
            ]
            if host[0] == "*":
                continue  # a wildcard of nobody
            winner = exact[0] if exact else min(ends, key=lambda one: one[:2])[2] if ends else None
            wanted = host if winner is None else winner.spec.http[0].route[0].destination.host
            assert to == f"outbound|80||{wanted}"


def order(one: Resource) -> tuple[Any, ...]:
    """Oldest first, then by name and namespace; a ServiceEntry's name is its host here."""
    time = one.metadata.creation_timestamp
    name = one.name if isinstance(one, Service) else hosts_of(one)[0]
    return (time is not None, str(time), name, one.namespace, one.name)


class TestSide5OneHost:
    """SIDE-5: of one host in several namespaces that of the client's, else that of a Kubernetes Service, else the
    first, those that are exported by name before those for everybody."""

    @given(distinct(services(), 3), distinct(entries(), 4), namespaces)
    def test_whose_virtual_host_and_cluster_it_is(
        self, known: list[Resource], entered: list[Resource], client: str
    ) -> None:
        """By the ports that it has."""

        def public(one: Resource) -> bool:
            said = one.spec.export_to if isinstance(one, ServiceEntry) else ()
            if isinstance(one, Service):
                said = tuple(one.metadata.annotations.get("networking.istio.io/exportTo", "").split(", "))
            return said in ((), ("",)) or "*" in said

        seen = sorted(
            (one for one in (*known, *entered) if sees(one, client)), key=lambda one: (public(one), *order(one))
        )
        found = table([*known, *entered], client)
        for host in {host for one in seen for host in hosts_of(one)}:
            claims = [one for one in seen if host in hosts_of(one)]
            own = [one for one in claims if one.namespace == client]
            first = next(iter((*own, *(one for one in claims if isinstance(one, Service)), *claims)))
            there = [one for one in claims if one.namespace == first.namespace]
            ports = set().union(*map(numbers_of, there))
            served = {
                listener.port
                for listener in found.listeners
                for one in listener.virtual_hosts
                if one.name == f"{host}:{listener.port}"
            }
            assert served == ports


class TestSide6Destinations:
    """SIDE-6: there are clusters for what imported rules send to: of the client's namespace, else of what is seen a
    Kubernetes Service, else the oldest; only on the ports that are named."""

    @given(meshes, imports)
    def test_every_destination_that_exists_has_clusters(self, resources: list[Resource], written: list[str]) -> None:
        """Everything has, that is either imported or sent to; and nothing else."""
        found = {name.rpartition("|")[2] for name in clusters([*resources, sidecar(written)])}
        plain = [one for one in resources if not isinstance(one, VirtualService)]
        imported = {name.rpartition("|")[2] for name in clusters([*plain, sidecar(written)])}
        assert imported <= found
        sent = {one.spec.http[0].route[0].destination.host for one in resources if isinstance(one, VirtualService)}
        meant = [one for one in one_each(plain) if one.namespace == "shop" or sees(one, "shop")]
        there = {host for one in meant for host in hosts_of(one)}
        assert found - imported <= sent & there
        used = {
            to.rpartition("|")[2]
            for port in (80, 81)
            for to in virtual_hosts([*resources, sidecar(written)], port).values()
        }
        assert used & there <= found

    @given(distinct(services(), 3), distinct(entries(), 4), st.sampled_from(HOSTS), st.sampled_from((None, 80, 81)))
    def test_which_service_is_meant(
        self, known: list[Resource], entered: list[Resource], host: str, port: int | None
    ) -> None:
        """The client's own, whoever may see it."""
        route = {"destination": {"host": host, **({"port": {"number": port}} if port else {})}}
        one = VirtualService(
            metadata=ObjectMeta(name="vs", namespace="shop"),
            spec=VirtualServiceSpec.model_validate({"hosts": ["x.test"], "http": [{"route": [route]}]}),
        )
        claims = sorted((it for it in one_each([*known, *entered]) if host in hosts_of(it)), key=order)
        own = [it for it in claims if it.namespace == "shop"]
        seen = own or [it for it in claims if sees(it, "shop")]
        meant = next((it for it in seen if isinstance(it, Service)), next(iter(seen), None))
        numbers = set[int]() if meant is None else numbers_of(meant)
        wanted = numbers if port is None else numbers & {port}
        found = clusters([*known, *entered, one, sidecar(["shop/x.test"])])
        assert found == {f"outbound|{number}||{host}" for number in wanted}


class TestSide7Listeners:
    """SIDE-7: a listener with a port imports only services with that port, and alone says what is served there; the one
    without serves every other port."""

    @given(meshes, imports, imports)
    def test_a_port_of_its_own(self, resources: list[Resource], own: list[str], rest: list[str]) -> None:
        """What is served on it is what a Sidecar with these hosts serves there; elsewhere, what the others do.

        Each host once in a namespace: of several, exact hosts mean one before ports are looked at.
        """
        plain = list({(one.namespace, *hosts_of(one)): one for one in resources if hosts_of(one)}.values())
        both = Sidecar(
            metadata=ObjectMeta(name="s", namespace="shop"),
            spec=SidecarSpec.model_validate(
                {"egress": [{"port": {"number": 81, "protocol": "HTTP"}, "hosts": own}, {"hosts": rest}]}
            ),
        )
        found = {one.port: one for one in table([*plain, both]).listeners}
        alone = {
            one.port: one for one in table([*(one for one in plain if 81 in numbers_of(one)), sidecar(own)]).listeners
        }
        others = {one.port: one for one in table([*plain, sidecar(rest)]).listeners}
        assert found.get(80) == others.get(80)
        if 81 in alone:
            assert found[81] == alone[81]


class TestSide8Outbound:
    """SIDE-8: `outboundTrafficPolicy` takes the place of the mesh's; without a mode it is REGISTRY_ONLY; a proxy takes
    what nobody registered where everything is allowed."""

    @given(
        st.sampled_from((None, "ALLOW_ANY", "REGISTRY_ONLY", "")),
        st.sampled_from(("ALLOW_ANY", "REGISTRY_ONLY")),
        st.booleans(),
    )
    def test_what_becomes_of_the_rest(self, mode: str | None, mesh: str, proxy: bool) -> None:
        """On a port with services and on one without."""
        policy: dict[str, Any] = {"mode": mode} if mode else {}
        if proxy:
            policy["egressProxy"] = {"host": "out.test", "port": {"number": 3128}}
        web = Service(
            metadata=ObjectMeta(name="web", namespace="shop"), spec=ServiceSpec(ports=(ServicePort(port=80),))
        )
        spec = {"outboundTrafficPolicy": policy} if mode is not None else {}
        one = Sidecar(metadata=ObjectMeta(name="s", namespace="shop"), spec=SidecarSpec.model_validate(spec))
        made = table([web, one], outbound=mesh)
        if (mode if mode is not None else mesh) == "ALLOW_ANY":
            wanted = "outbound|3128||out.test" if proxy and mode is not None else "PassthroughCluster"
            rest = made.listeners[0].virtual_hosts[-1].routes[0].action
            assert isinstance(rest, Forward)
            assert (rest.clusters[0].cluster, made.otherwise) == (wanted, wanted)
        else:
            assert made.listeners[0].virtual_hosts[-1].name == "block_all"
            assert made.otherwise == "BlackHoleCluster"
