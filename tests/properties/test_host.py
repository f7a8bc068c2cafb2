"""Hosts: spec/host.md, on names, on listeners and on manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.compile.resolve import covers, most_specific, resolve
from meshroute.conformance.seeing import Admitted
from meshroute.conformance.strategies import tables as small
from meshroute.conformance.strategies.manifests import (
    NAMES,
    NAMESPACES,
    PORTS,
    clients,
    exports_of,
    full_name,
    hosts,
    metadata,
    names,
    namespaces,
    ports,
)
from meshroute.manifest import ObjectMeta, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRoute,
    StringMatch,
    VirtualServiceSpec,
)
from meshroute.manifest.kubernetes import ServicePort, ServiceSpec
from meshroute.match.index import HostIndex, Tree
from meshroute.match.scan import find_host, host_of_request, reached
from meshroute.table import (
    Choice,
    Exact,
    ExactMap,
    HeaderIs,
    Listener,
    Matcher,
    Not,
    Ordered,
    Prefix,
    PrefixMap,
    RequireTls,
    Respond,
    Route,
    RouteMatch,
    VirtualHost,
)

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)

# Names


class TestHost1Resolve:
    """HOST-1: a name without a dot means the service of that name in the namespace of the resource that has the name. A
    name with a dot, `*` or an IP address means itself."""

    @given(st.text("ab-", min_size=1, max_size=4), namespaces, st.sampled_from(("cluster.local", "mesh.test")))
    def test_a_name_without_a_dot_is_completed(self, name: str, namespace: str, domain: str) -> None:
        """By the namespace and the cluster's domain."""
        assert resolve(name, namespace, domain) == f"{name}.{namespace}.svc.{domain}"

    @given(
        st.one_of(
            st.tuples(st.text("ab*.", max_size=4), st.text("ab*.", max_size=4)).map(".".join),
            st.ip_addresses().map(str),
            st.just("*"),
            st.just(""),
        ),
        namespaces,
    )
    def test_every_other_name_means_itself(self, name: str, namespace: str) -> None:
        """A dot anywhere, an address, everything, and nothing."""
        assert resolve(name, namespace) == name

    @given(names, st.sampled_from(NAMESPACES), st.sampled_from(NAMESPACES), st.sampled_from(NAMESPACES))
    def test_the_namespace_is_the_one_of_the_resource(self, name: str, owner: str, written: str, client: str) -> None:
        """Neither the service's nor the client's: a rule in another namespace governs a service of its own."""
        rule = virtual_service("vs", written, (name,))
        decision = ask([service(name, owner), rule], full_name(name, owner), client=(client, {}))
        assert answered_by(decision) == (f"{written}/vs" if written == owner else None)


tails = st.text("a.", max_size=3)
patterns = st.one_of(tails, tails.map("*".__add__))


def stands_for(host: str, name: str) -> bool:
    """Whether a host stands for a name without wildcard, as a pattern."""
    return re.fullmatch(re.escape(host).replace(r"\*", ".*") if host[:1] == "*" else re.escape(host), name) is not None


class TestHost2Wildcards:
    """HOST-2: a leading `*` stands for any text. A host covers a name that is equal to it or, with the wildcard, that
    ends with what follows the `*`. An exact host is more specific than a wildcard, a longer one than a shorter."""

    @given(patterns, tails)
    def test_a_host_covers_a_name_that_it_stands_for(self, host: str, name: str) -> None:
        """As a pattern would."""
        assert covers(host, name) == stands_for(host, name)

    @given(patterns, patterns)
    def test_a_host_covers_a_wildcard_if_it_covers_all_that_it_stands_for(self, host: str, name: str) -> None:
        """Three texts in place of the star are enough: none, and two that differ."""
        every = [name.replace("*", text) for text in ("", "a", "b")]
        assert covers(host, name) == all(stands_for(host, one) for one in every)

    @given(patterns, patterns, patterns)
    def test_covering_is_an_order(self, one: str, two: str, three: str) -> None:
        """Every host covers itself, and what a covered one covers; two that cover each other are one."""
        assert covers(one, one)
        assert covers(one, three) or not (covers(one, two) and covers(two, three))
        assert one == two or not (covers(one, two) and covers(two, one))

    @given(st.lists(patterns, max_size=5), tails)
    def test_the_most_specific_is_the_exact_one_or_the_longest(self, hosts: list[str], name: str) -> None:
        """Of those that cover the name; none where none does."""
        covering = [host for host in hosts if stands_for(host, name)]
        exact = [host for host in covering if host[:1] != "*"]
        assert most_specific(hosts, name) == next(iter(exact), max(covering, key=len, default=None))

    @given(st.text("aA", min_size=1, max_size=3))
    def test_case_counts(self, name: str) -> None:
        """Names are compared byte by byte."""
        assert covers(name, name.swapcase()) is False
        assert covers(f"*.{name}", f"x.{name.swapcase()}") is False


# VirtualServices


def service(
    name: str,
    namespace: str = "shop",
    ports: Mapping[int, str] | None = None,
    addresses: Sequence[str] = (),
    cluster_ip: str = "",
) -> Service:
    """A service on ports of these names, HTTP on 80 unless said."""
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=ServiceSpec(
            cluster_ip=cluster_ip,
            cluster_ips=tuple(addresses),
            ports=tuple(ServicePort(name=name, port=number) for number, name in (ports or {80: "http"}).items()),
        ),
    )


def virtual_service(name: str, namespace: str, hosts: Sequence[str], *match: HTTPMatchRequest) -> VirtualService:
    """One rule that answers by itself."""
    answer = HTTPRoute(match=match, direct_response=HTTPDirectResponse(status=204))
    return VirtualService(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=VirtualServiceSpec(hosts=tuple(hosts), http=(answer,)),
    )


def ask(
    resources: Sequence[Resource],
    authority: str,
    port: int = 80,
    path: str = "/",
    client: tuple[str, Mapping[str, str]] = ("shop", {}),
    config: mr.MeshConfig | None = None,
) -> mr.Decision:
    """What becomes of a request to an authority on a port."""
    router = Admitted(resources, config=config or mr.MeshConfig()).router(mr.Sidecar(*client))
    return router.decide(mr.Request("GET", authority, path, port=port, destination_ip="203.0.113.1"))


def answered_by(decision: mr.Decision) -> str | None:
    """The VirtualService that answered, or None."""
    return f"{decision.rule.namespace}/{decision.rule.name}" if decision.rule else None


@st.composite
def answering(draw: st.DrawFn) -> VirtualService:
    """A VirtualService that answers every request, perhaps on one port only."""
    port = draw(st.sampled_from((0, 0, 0, *PORTS)))
    rule = HTTPRoute(
        match=(HTTPMatchRequest(port=port),) if port else (), direct_response=HTTPDirectResponse(status=204)
    )
    about = draw(metadata(st.sampled_from(("vs-a", "vs-b"))))
    return VirtualService(
        metadata=about,
        spec=VirtualServiceSpec(
            hosts=tuple(draw(st.lists(hosts, min_size=1, max_size=2, unique=True))),
            gateways=draw(st.sampled_from(((), (), (), ("mesh",), ("edge", "mesh"), ("edge",)))),
            http=(rule,),
            export_to=draw(exports_of(about.namespace)),
        ),
    )


many_answering = st.lists(answering(), max_size=5, unique_by=lambda one: (one.namespace, one.name))


def meant(one: VirtualService) -> list[str]:
    """The hosts that a VirtualService means."""
    return [host if "." in host else full_name(host, one.namespace) for host in one.spec.hosts]


def seen_by(client: str, rules: Sequence[VirtualService]) -> list[VirtualService]:
    """What a client's sidecar looks at, in order: three lists, each by age, name and namespace."""
    private: list[VirtualService] = []
    exported: list[VirtualService] = []
    public: list[VirtualService] = []
    for one in sorted(rules, key=lambda one: (one.metadata.creation_timestamp or LONG_AGO, one.name, one.namespace)):
        to = {one.namespace if entry == "." else entry for entry in one.spec.export_to}
        if one.spec.gateways and "mesh" not in one.spec.gateways:
            continue
        if not to or "*" in to:
            public.append(one)
        elif "~" not in to and client in to:
            (private if client == one.namespace else exported).append(one)
    return [*private, *exported, *public]


class TestHost3VirtualServices:
    """HOST-3: sidecars look at the VirtualServices that have `hosts` and that name `mesh` or nothing. A client sees
    those private to its namespace, those exported to it by name, and the public ones, each part oldest first. The first
    that owns the most specific host covering a service takes that service whole. One that yields no route on a port is
    treated as absent there."""

    @given(many_answering, namespaces, names, namespaces, ports)
    def test_the_winner_is_found_by_hand(
        self, rules: list[VirtualService], client: str, name: str, owner: str, port: int
    ) -> None:
        """An exact host anywhere keeps wildcards out, also on a port where it has no route."""
        host = full_name(name, owner)
        seen = seen_by(client, rules)
        exact = [one for one in seen if host in meant(one)]
        longest = max(
            (len(one) for rule in seen for one in meant(rule) if one[0] == "*" and host.endswith(one[1:])), default=0
        )
        wild = [
            rule
            for rule in seen
            if any(one[0] == "*" and host.endswith(one[1:]) and len(one) == longest for one in meant(rule))
        ]
        candidates = exact or wild[:1]
        routed = [one for one in candidates if all(match.port in (0, port) for match in one.spec.http[0].match)]
        expected = f"{routed[0].namespace}/{routed[0].name}" if routed else None
        resources = [service(name, owner, {80: "http", 8080: "http-b"}), *rules]
        assert answered_by(ask(resources, host, port, client=(client, {}))) == expected

    @given(st.permutations(("vs-a", "vs-b", "vs-c")))
    def test_nothing_is_merged(self, order: Sequence[str]) -> None:
        """What the oldest does not match is not found, even where another rule for the host would answer."""
        rules = [
            VirtualService(
                metadata=ObjectMeta(name=name, namespace="shop", creation_timestamp=datetime(2026, 1, day, tzinfo=UTC)),
                spec=virtual_service(name, "shop", ("web",), HTTPMatchRequest(uri=StringMatch(exact=f"/{name}"))).spec,
            )
            for day, name in enumerate(order, 1)
        ]
        resources = [service("web"), *sorted(rules, key=lambda one: one.name)]
        for name in order:
            decision = ask(resources, "web", path=f"/{name}")
            if name == order[0]:
                assert answered_by(decision) == f"shop/{name}"
            else:
                assert isinstance(decision.outcome, mr.Failed)
                assert decision.outcome.flag == "NR"

    @given(st.permutations(((".",), ("shop", "bank"), ())), st.sampled_from(("shop", "bank", "istio-system")))
    def test_private_before_exported_before_public(self, order: Sequence[tuple[str, ...]], client: str) -> None:
        """Whatever their ages: of three rules, two of `shop` and one of `bank`, each client follows another one."""
        rules = [
            VirtualService(
                metadata=ObjectMeta(
                    name="-".join(("vs", *export_to)).replace(".", "private"),
                    namespace="shop" if export_to == (".",) else "bank" if export_to else "istio-system",
                    creation_timestamp=datetime(2026, 1, day, tzinfo=UTC),
                ),
                spec=virtual_service("vs", "shop", ("web.shop.svc.cluster.local",)).spec.model_copy(
                    update={"export_to": export_to}
                ),
            )
            for day, export_to in enumerate(order, 1)
        ]
        decision = ask([service("web"), *rules], "web.shop", client=(client, {}))
        assert (
            answered_by(decision)
            == {
                "shop": "shop/vs-private",  # before the one that is exported to it by name
                "bank": "bank/vs-shop-bank",  # its own, and named: before the public one
                "istio-system": "istio-system/vs",
            }[client]
        )

    @given(st.permutations((("shop",), ())))
    def test_exported_by_name_before_public(self, order: Sequence[tuple[str, ...]]) -> None:
        """Whichever is older."""
        rules = [
            VirtualService(
                metadata=ObjectMeta(
                    name="named" if export_to else "public",
                    namespace="bank",
                    creation_timestamp=datetime(2026, 1, day, tzinfo=UTC),
                ),
                spec=virtual_service("vs", "bank", ("web.shop.svc.cluster.local",)).spec.model_copy(
                    update={"export_to": export_to}
                ),
            )
            for day, export_to in enumerate(order, 1)
        ]
        assert answered_by(ask([service("web"), *rules], "web")) == "bank/named"

    def test_a_virtual_service_without_hosts_governs_nothing(self) -> None:
        """It is a delegate, and waits for another to name it."""
        assert answered_by(ask([service("web"), virtual_service("vs", "shop", ())], "web")) is None

    @given(st.permutations(("web", "pay")), st.booleans())
    def test_the_others_of_a_loser_s_hosts_are_still_its_own(self, order: Sequence[str], wild: bool) -> None:
        """It loses one host and keeps the other."""
        winner = virtual_service("a", "shop", ("web",))
        loser = virtual_service("b", "shop", ("*.shop.svc.cluster.local",) if wild else order)
        resources = [service("web"), service("pay"), winner, loser]
        assert answered_by(ask(resources, "web")) == "shop/a"
        assert answered_by(ask(resources, "pay")) == "shop/b"


# Virtual hosts

domains = st.one_of(
    st.sampled_from(("*", "a", "A.b", "x.a", "a.", "[fd00::1]", "10.0.0.1", "a:80")),
    st.sampled_from(("*a", "*.a", "*.x.a", "*.b", "*:80", "*]", "*1")),
    st.sampled_from(("a*", "a.*", "x.*", "x.a*", "[fd00*", "10.*")),
)


@st.composite
def listeners(draw: st.DrawFn) -> Listener:
    """Up to three virtual hosts with up to six domains, no two of them alike."""
    drawn = draw(st.lists(domains, max_size=6, unique_by=str.lower))
    cuts = sorted(draw(st.lists(st.integers(0, len(drawn)), min_size=2, max_size=2)))
    parts = (drawn[: cuts[0]], drawn[cuts[0] : cuts[1]], drawn[cuts[1] :])
    return Listener(
        80,
        tuple(
            VirtualHost(f"host-{number}", tuple(part), (Route(RouteMatch(Exact(f"/{number}")), Respond(200)),))
            for number, part in enumerate(parts)
        ),
        draw(st.booleans()),
    )


@st.composite
def authorities(draw: st.DrawFn) -> str:
    """A domain with something or nothing in place of its star, in either case, with and without port and dot."""
    stem = draw(domains).replace("*", draw(st.sampled_from(("", "x", "x.", ".x", "a", "fd00::1"))))
    text = stem + draw(st.sampled_from(("", "", ".", ":80", ":", ":x", ".:80", ":80:80")))
    return draw(st.sampled_from((text, text.upper(), text.lower())))


def bare(authority: str, ignore_port: bool) -> str:
    """The authority in lower case, cut at its port: the last colon, unless a bracket closes behind it."""
    head, colon, tail = authority.lower().rpartition(":")
    return head if ignore_port and colon and "]" not in tail else authority.lower()


def found_by_hand(listener: Listener, authority: str) -> tuple[str, str] | None:
    """The four steps of the clause, each over all domains."""
    name = bare(authority, listener.ignore_port)
    every = [(host.name, domain) for host in listener.virtual_hosts for domain in host.domains]
    exact = [one for one in every if one[1].lower() == name and "*" not in one[1]]
    suffix = [
        one for one in every if one[1][0] == "*" != one[1] and re.fullmatch(f".+{re.escape(one[1][1:].lower())}", name)
    ]
    prefix = [
        one
        for one in every
        if one[1][-1] == "*" != one[1] and re.fullmatch(f"{re.escape(one[1][:-1].lower())}.+", name)
    ]
    default = [one for one in every if one[1] == "*"]
    for step in (exact, sorted(suffix, key=by_length), sorted(prefix, key=by_length), default):
        if step:
            return step[0]
    return None


def by_length(one: tuple[str, str]) -> int:
    """Longest first."""
    return -len(one[1])


class TestHost4Domains:
    """HOST-4: a virtual host is found by the authority in lower case without its port: an exact domain, else the
    longest `*suffix`, else the longest `prefix*`, else `*`. A wildcard stands for at least one character; any suffix
    beats any prefix."""

    @given(listeners(), authorities())
    def test_the_scan_agrees_with_the_four_steps(self, listener: Listener, authority: str) -> None:
        """Exact, suffix, prefix, default; with the domain by which it was found."""
        found = find_host(listener, authority)
        assert (None if found is None else (found[0].name, found[1])) == found_by_hand(listener, authority)

    @given(listeners(), authorities())
    def test_the_index_agrees_with_the_scan(self, listener: Listener, authority: str) -> None:
        """The fast twin gives the same virtual host by the same domain."""
        slow, fast = find_host(listener, authority), HostIndex(listener).find(authority)
        assert (None if fast is None else (fast.host, fast.domain)) == slow

    @given(listeners(), authorities(), st.data())
    def test_the_order_of_virtual_hosts_does_not_count(
        self, listener: Listener, authority: str, data: st.DataObject
    ) -> None:
        """No two domains take a name equally well."""
        order = data.draw(st.permutations(listener.virtual_hosts))
        moved = Listener(80, tuple(order), listener.ignore_port)
        assert find_host(moved, authority) == find_host(listener, authority)

    @given(st.sampled_from(("a.b.c", "aaaa", "[fd00::1]")), st.data())
    def test_of_wildcards_that_all_take_a_name_the_longest_suffix_answers(self, name: str, data: st.DataObject) -> None:
        """Else the longest prefix, else `*`: any of a name's own wildcards, one in each virtual host, in any order."""
        suffixes = [f"*{name[at:]}" for at in range(1, len(name))]
        prefixes = [f"{name[:at]}*" for at in range(1, len(name))]
        drawn = data.draw(st.lists(st.sampled_from([*suffixes, *prefixes, "*"]), min_size=2, unique=True))
        listener = Listener(80, tuple(VirtualHost(f"host {domain}", (domain,), ()) for domain in drawn))
        found = find_host(listener, name)
        fast = HostIndex(listener).find(name)
        for kind in (suffixes, prefixes, ["*"]):
            if taking := sorted(set(kind) & set(drawn), key=len):
                assert found is not None
                assert fast is not None
                assert found[1] == fast.domain == taking[-1]
                break

    @given(st.text("ab.", min_size=1, max_size=4))
    def test_a_wildcard_stands_for_at_least_one_character(self, text: str) -> None:
        """`*x` does not take `x`, and `x*` does not either; one more character is enough."""
        for domain, one_more in ((f"*{text}", f"z{text}"), (f"{text}*", f"{text}z")):
            listener = Listener(80, (VirtualHost("h", (domain,), ()),))
            for authority, taken in ((text, False), (one_more, True)):
                assert (find_host(listener, authority) is not None) is taken
                assert (HostIndex(listener).find(authority) is not None) is taken


class TestHost5NoWayBack:
    """HOST-5: once a virtual host is found, no other is asked: if none of its routes matches, there is no route."""

    @given(
        listeners(),
        authorities().filter(bool),
        st.sampled_from(("/0", "/1", "/2")),
    )
    def test_a_route_is_only_looked_for_in_the_host_found(self, listener: Listener, authority: str, path: str) -> None:
        """Each virtual host answers one path, and only the host found answers at all."""
        table = mr.RoutingTable((listener,), ())
        decision = mr.Router(table).decide(mr.Request("GET", authority, path, port=80))
        found = found_by_hand(listener, authority)
        if found is not None and found[0] == f"host-{path[1:]}":
            assert decision.outcome == mr.Responded(200)
        else:
            assert isinstance(decision.outcome, mr.Failed)
            assert (decision.outcome.status, decision.outcome.flag) == (404, "NR")

    def test_an_exact_host_does_not_inherit_from_a_wildcard(self) -> None:
        """A famous belief: what the exact VirtualService leaves over is not the wildcard's."""
        only_x = HTTPMatchRequest(uri=StringMatch(exact="/x"))
        resources = [
            service("web"),
            virtual_service("exact", "shop", ("web",), only_x),
            virtual_service("wild", "shop", ("*.shop.svc.cluster.local",)),
        ]
        assert answered_by(ask(resources, "web", path="/x")) == "shop/exact"
        assert isinstance(ask(resources, "web", path="/y").outcome, mr.Failed)


# Names of services

two_services = st.lists(st.tuples(names, st.sampled_from(NAMESPACES)), min_size=1, max_size=3, unique=True)


class TestHost6Names:
    """HOST-6: a service answers to its full name, the same with a trailing dot, `name.namespace`,
    `name.namespace.svc`, its cluster IPs, and to clients of its own namespace also to `name`. A full name beats another
    service's short form."""

    @given(two_services, clients, st.booleans())
    def test_each_spelling_reaches_the_service_that_it_names(
        self, who: list[tuple[str, str]], client: tuple[str, dict[str, str]], upper: bool
    ) -> None:
        """Every spelling of every service that could exist, in either case, given the few that do."""
        services = [
            service(name, namespace, addresses=(f"10.96.0.{number}", f"fd00::{number}"))
            for number, (name, namespace) in enumerate(who, 1)
        ]
        expected: dict[str, str | None] = {}
        for name in NAMES:
            for namespace in NAMESPACES:
                cluster = f"outbound|80||{full_name(name, namespace)}" if (name, namespace) in who else None
                for form in ("", ".svc", ".svc.cluster.local", ".svc.cluster.local."):
                    expected[f"{name}.{namespace}{form}"] = cluster
                if namespace == client[0]:
                    expected[name] = cluster
        for number, (name, namespace) in enumerate(who, 1):
            for address in (f"10.96.0.{number}", f"[fd00::{number}]"):
                expected[address] = f"outbound|80||{full_name(name, namespace)}"
        router = Admitted(services).router(mr.Sidecar(*client))
        for authority, cluster in expected.items():
            text = authority.upper() if upper else authority
            for spelt in (text, f"{text}:80", f"{text}:8080"):
                decision = router.decide(mr.Request("GET", spelt, "/", port=80))
                assert decision.cluster == (cluster or "PassthroughCluster"), spelt

    @given(st.booleans(), st.booleans())
    def test_a_full_name_beats_a_short_form(self, governed: bool, first: bool) -> None:
        """`web.shop.svc` in namespace `cluster.local` has the short form of `web` in `shop`'s full name."""
        odd = service("web.shop.svc", "cluster.local")
        resources: list[Resource] = [odd, service("web", "shop")]
        if governed:
            resources.append(virtual_service("vs", "cluster.local", (full_name("web.shop.svc", "cluster.local"),)))
        decision = ask(resources if first else resources[::-1], "web.shop.svc.cluster.local")
        assert decision.cluster == "outbound|80||web.shop.svc.cluster.local"

    @given(st.sampled_from(("web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local")))
    def test_a_headless_service_answers_to_the_names_of_its_pods_too(self, name: str) -> None:
        """Whatever stands before one of its names; the request goes where the client was going."""
        headless = service("web", cluster_ip="None")
        decision = ask([headless], f"pod-0.{name}")
        assert decision.cluster == "outbound|80||web.shop.svc.cluster.local"
        assert decision.endpoint is not None
        assert decision.endpoint.key == "203.0.113.1:80"
        assert ask([service("web")], f"pod-0.{name}").cluster == "PassthroughCluster"


class TestHost7Unknown:
    """HOST-7: a host that nobody registered goes where the client was going (`PassthroughCluster`), or gets 502 under
    REGISTRY_ONLY. So does a port on which no service listens, except that REGISTRY_ONLY closes the connection there."""

    @given(st.sampled_from(("outside.example", "web.bank", "webs", "10.0.0.9", "[fd00::9]")), st.sampled_from((80, 81)))
    def test_unknown_hosts(self, authority: str, port: int) -> None:
        """On a port of services and on one of nobody's."""
        through = ask([service("web")], authority, port)
        assert (through.cluster, through.endpoint and through.endpoint.key) == (
            "PassthroughCluster",
            f"203.0.113.1:{port}",
        )
        closed = ask([service("web")], authority, port, config=mr.MeshConfig(outbound="REGISTRY_ONLY"))
        if port == 80:
            assert closed.outcome == mr.Responded(502)
        else:
            assert isinstance(closed.outcome, mr.Failed)
            assert closed.outcome.status == 0

    @given(ports, st.sampled_from((0, *PORTS)), st.booleans())
    def test_a_virtual_service_for_an_unknown_host_counts_on_port_80(self, port: int, asked: int, also: bool) -> None:
        """Elsewhere only beside a host that is registered there; and `match.port` moves it nowhere."""
        match = (HTTPMatchRequest(port=asked),) if asked else ()
        resources = [
            service("web", ports={80: "http", 8080: "http-b"}),
            virtual_service("vs", "shop", ("outside.example", *(("web",) if also else ())), *match),
        ]
        governs = (port == 80 or also) and asked in (0, port)
        decision = ask(resources, "outside.example", port)
        assert (answered_by(decision), decision.cluster) == (
            ("shop/vs", None) if governs else (None, "PassthroughCluster")
        )

    @given(st.sampled_from(("*.example", "*e.example", "*.outside.example")))
    def test_a_wildcard_that_covers_no_service_is_a_name_as_written(self, wildcard: str) -> None:
        """One that covers a service is not: it stands for its services and for nothing else."""
        rule = virtual_service("vs", "shop", (wildcard,))
        assert answered_by(ask([service("web"), rule], "a.outside.example")) == "shop/vs"
        every = virtual_service("vs", "shop", ("*.cluster.local",))
        assert answered_by(ask([service("web"), every], "a.cluster.local")) is None
        assert answered_by(ask([service("web"), every], "web")) == "shop/vs"


class TestHost11HostHeader:
    """HOST-11: a header's first value is looked up in the place of the authority."""

    @given(
        st.lists(st.sampled_from(("a", "b", "*", "*.b", "a.*")), unique=True, min_size=1),
        st.lists(st.sampled_from(("a", "B", "x.b", "a.x", "c")), max_size=2),
    )
    def test_as_if_it_were_the_authority(self, domains: list[str], sent: list[str]) -> None:
        """Without the header nothing is found, but where there is nothing but `*`."""
        virtual_hosts = tuple(VirtualHost(domain, (domain,), ()) for domain in domains)
        by_header = Listener(80, virtual_hosts, host_header="x-host")
        request = mr.Request("GET", "a", "/", tuple(("x-host", value) for value in sent))
        found, fast = host_of_request(by_header, request), HostIndex(by_header).of(request)
        assert (found[1] if found else None) == (fast.domain if fast else None)
        if sent:
            assert found == find_host(Listener(80, virtual_hosts), sent[0])
        else:
            assert (found is not None) == (domains == ["*"])


class TestHost12Tls:
    """HOST-12: requests that did not come by TLS are sent there."""

    @given(
        st.sampled_from(RequireTls),
        st.sampled_from((None, "http", "https", "HTTPS", "https,http")),
        st.sampled_from(("h", "h:80", "[::1]:8080")),
        st.sampled_from(("/", "/p?q=1")),
    )
    def test_with_the_authority_and_path_as_they_are(
        self, which: RequireTls, proto: str | None, authority: str, path: str
    ) -> None:
        """Before any route is asked; a request that says that it is internal is not."""
        host = VirtualHost("h", ("*",), (Route(RouteMatch(), Respond(200)),), which)
        lines = (("x-envoy-internal", "true"), *((("x-forwarded-proto", proto),) if proto is not None else ()))
        router = mr.Router(mr.RoutingTable((Listener(80, (host,)),), ()))
        outcome = router.decide(mr.Request("GET", authority, path, lines, port=80)).outcome
        if which is RequireTls.NONE or proto == "https":
            assert outcome == mr.Responded(200)
        else:
            assert outcome == mr.Redirected(301, f"https://{authority}{path}")


class TestHost13Matchers:
    """HOST-13: a matcher leads to routes."""

    @given(small.matchers(small.routes()), small.requests())
    def test_the_fast_walk_is_the_plain_one(self, matcher: Matcher, request: mr.Request) -> None:
        """It ends at the same routes, or nowhere."""
        slow, fast = reached(matcher, request), Tree(matcher, False).routes(request)
        assert (slow.routes if slow is not None else None) == (fast.routes if fast is not None else None)

    @given(
        st.lists(st.sampled_from(("", "/", "/v", "/v2", "/v2/x")), unique=True, min_size=1),
        st.sampled_from(small.PATHS),
    )
    def test_the_longest_key_that_leads_somewhere(self, keys: list[str], path: str) -> None:
        """A branch that leads nowhere is passed over; routes that do not match are not."""
        nowhere: Matcher = ExactMap("x", {"never": Choice(())})
        led: dict[str, Matcher] = {
            key: nowhere if key == "/v2" else Choice((Route(RouteMatch(Exact("/no")), Respond(200), key),))
            for key in keys
        }
        found = reached(PrefixMap(":path", led, None), mr.Request("GET", "h", path))
        fitting = [key for key in keys if path.startswith(key) and key != "/v2"]
        assert (found.routes[0].name if found is not None else None) == max(fitting, key=len, default=None)

    @given(small.requests())
    def test_lines_are_joined(self, request: mr.Request) -> None:
        """A map of the whole value finds them with commas between them; a header that is not sent is nothing."""
        lines = request.fields.get("x-user")
        value = ",".join(lines) if lines is not None else "never"
        found = reached(ExactMap("x-user", {value: Choice(())}), request)
        assert (found is not None) == (lines is not None)
        gone = Ordered(((Not(HeaderIs("x-user", Prefix(""))), Choice(())),))
        assert (reached(gone, request) is not None) == (lines is None)
