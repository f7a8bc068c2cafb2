"""Keys of hosts, and keys that the proxy makes: spec/hash.md HASH-10 to HASH-12."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshroute import Draws, Request, Router, RoutingTable, State
from meshroute.balance.hosts import hash_key, hosts
from meshroute.balance.request_key import chained, request_key
from meshroute.conformance.strategies.tables import U64
from meshroute.hashing import rotate_left, xxhash64
from meshroute.names import ClusterName
from meshroute.state import CookieIssued
from meshroute.table import (
    Cluster,
    Endpoint,
    Forward,
    HashOnCookie,
    HashOnFilterState,
    HashOnHeader,
    Listener,
    Maglev,
    RingHash,
    RoundRobin,
    Route,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)

own_keys = st.sampled_from(("", "a", "b", "é", 7, 1.5, True, None, ["a"]))
addresses = st.ip_addresses()
ports = st.integers(1, 65535)


def address_and_port(address: IPv4Address | IPv6Address, port: int) -> str:
    """By hand: IPv6 in brackets, IPv4 inside it in dots."""
    if isinstance(address, IPv4Address):
        return f"{address}:{port}"
    mapped = address.ipv4_mapped
    return f"[::ffff:{mapped}]:{port}" if mapped else f"[{address}]:{port}"


class TestHash10HostKeys:
    """HASH-10: a host's key is the `hash_key` of its metadata if that is a text, else its hostname where asked for,
    else its address and port."""

    @given(addresses, ports, own_keys, st.sampled_from(("", "web.test")), st.booleans())
    def test_the_first_of_three(
        self, address: IPv4Address | IPv6Address, port: int, own: Any, hostname: str, hostnames: bool
    ) -> None:
        """What is no text, or an empty one, does not count; a hostname counts even where there is none."""
        endpoint = Endpoint(address.exploded.upper(), port, hostname=hostname, metadata={"hash_key": own})
        expected = hostname if hostnames else address_and_port(address, port)
        if isinstance(own, str) and own:
            expected = own.encode().decode("latin-1")
        assert hash_key(endpoint, hostnames) == expected

    @given(st.lists(st.sampled_from(("k1", "k2", "k3")), min_size=1, max_size=3, unique=True), U64)
    def test_a_host_is_where_its_key_is(self, keys: list[str], key: int) -> None:
        """New addresses under the same keys move no request."""
        for policy in (RingHash(16), Maglev(31)):
            picked = []
            for net in ("10.8.0", "10.9.9"):
                some = tuple(
                    Endpoint(f"{net}.{i}", 80, f"ns/{own}", metadata={"hash_key": own}) for i, own in enumerate(keys)
                )
                picked.append(to(Cluster(ClusterName("c"), policy, some)).decide(PLAIN, draws=at(key)).pod)
            assert picked[0] == picked[1]

    def test_nothing_else_of_an_endpoint_is_hashed(self) -> None:
        """Not the pod's name, nor other metadata."""
        one, other = (Endpoint("10.8.0.1", 80, name, metadata={"k": name}) for name in ("ns/a", "ns/b"))
        assert hosts((one,)).keys == hosts((other,)).keys == ("10.8.0.1:80",)


PLAIN = Request.of("GET", "http://h/")


def at(key: int) -> Draws:
    return Draws.of(given={"key": key})


def to(cluster: Cluster, *policies: Any) -> Router:
    action = Forward((WeightedCluster(cluster.name),), policies)
    host = VirtualHost("all", ("*",), (Route(RouteMatch(), action),))
    return Router(RoutingTable((Listener(80, (host,)),), (cluster,)))


SIX = tuple(Endpoint(f"10.8.0.{i}", 80) for i in range(6))
RING = Cluster(ClusterName("c"), RingHash(64), SIX)
cookies = st.builds(
    HashOnCookie,
    st.just("sid"),
    st.booleans(),
    st.sampled_from((0, 1, 3600)),
    st.sampled_from(("", "/", "/shop")),
    st.sampled_from(((), (("SameSite", "Lax"),), (("Secure", ""), ("Partitioned", "")))),
)


class TestHash11CookiesThatAreMade:
    """HASH-11: with a `ttl`, a cookie that is missing or empty is made of both ends of the connection, and set."""

    @given(cookies, addresses, ports, addresses, ports)
    def test_the_value_hashes_both_ends_and_the_key_hashes_the_value(
        self,
        policy: HashOnCookie,
        client: IPv4Address | IPv6Address,
        client_port: int,
        proxy: IPv4Address | IPv6Address,
        proxy_port: int,
    ) -> None:
        """Sixteen hexadecimal digits, whoever the client is."""
        request = Request(
            "GET",
            "h",
            "/",
            port=proxy_port,
            source_ip=str(client),
            source_port=client_port,
            destination_ip=str(proxy),
        )
        ends = address_and_port(client, client_port) + address_and_port(proxy, proxy_port)
        value = format(xxhash64(ends.encode()), "016x")
        key = request_key((policy,), request, Draws())
        assert key.value == xxhash64(value.encode())
        assert [(one.name, one.value) for one in key.cookies] == [("sid", value)]
        parts = key.cookies[0].line.split("; ")
        assert parts[0] == f'sid="{value}"'
        assert parts[-1] == "HttpOnly"
        assert ("Max-Age=" in key.cookies[0].line) == bool(policy.ttl)
        assert (f"Path={policy.path}" in parts) == bool(policy.path)
        assert len(parts) == 2 + bool(policy.ttl) + bool(policy.path) + len(policy.attributes)

    @given(cookies, U64, st.sampled_from(("", "sid=", "other=1")))
    def test_a_client_that_sends_it_back_stays(self, policy: HashOnCookie, seed: int, sent: str) -> None:
        """The cookie that the answer sets leads to the same endpoint again, and is not set again."""
        router = to(RING, policy)
        headers = (("cookie", sent),) if sent else ()
        first = router.decide(Request("GET", "h", "/", headers), draws=Draws.of(seed))
        ((name, line),) = first.response_headers
        assert name == "set-cookie"
        issued = [one for one in first.effects if isinstance(one, CookieIssued)]
        assert line.startswith(f'sid="{issued[0].value}"')
        back = Request("GET", "h", "/", (("cookie", line.partition(";")[0]),))
        again = router.decide(back, draws=Draws.of(seed + 1 if seed < 2**64 - 1 else 0))
        assert again.endpoint == first.endpoint
        assert again.response_headers == ()

    @given(cookies, st.sampled_from(("a", "b c", '"q"')))
    def test_one_that_is_sent_is_hashed_and_not_set(self, policy: HashOnCookie, value: str) -> None:
        """As if there were no ttl."""
        request = Request("GET", "h", "/", (("cookie", f"sid={value}"),))
        assert request_key((policy,), request, Draws()) == request_key((HashOnCookie("sid"),), request, Draws())

    @given(cookies)
    def test_nobody_asks_for_a_key_nobody_makes_a_cookie(self, policy: HashOnCookie) -> None:
        """A policy that does not hash sets none; and state does not remember cookies."""
        decision = to(Cluster(ClusterName("c"), RoundRobin(), SIX), policy).decide(PLAIN)
        assert decision.response_headers == ()
        made = to(RING, policy).decide(PLAIN)
        assert State().after(one for one in made.effects if isinstance(one, CookieIssued)) == State()

    @given(cookies, st.booleans())
    def test_a_terminal_policy_before_it_makes_it_needless(self, policy: HashOnCookie, terminal: bool) -> None:
        """Without `terminal` both count, in order."""
        request = Request("GET", "h", "/", (("x-user", "me"),))
        key = request_key((HashOnHeader("x-user", terminal), policy), request, Draws())
        header = chained(["me"])
        if terminal:
            assert key == (header, ())
        else:
            assert key.value == rotate_left(header, 1) ^ xxhash64(key.cookies[0].value.encode())


class TestHash12FilterState:
    """HASH-12: what is noted under the policy's name is hashed; nothing noted gives no key."""

    @given(st.dictionaries(st.sampled_from(("a", "b")), st.sampled_from(("", "x", "y z"))))
    def test_the_text_that_is_noted(self, noted: dict[str, str]) -> None:
        """An empty text is a text."""
        request = Request("GET", "h", "/", filter_state=noted)
        key = request_key((HashOnFilterState("a"),), request, Draws()).value
        assert key == (xxhash64(noted["a"].encode()) if "a" in noted else None)
