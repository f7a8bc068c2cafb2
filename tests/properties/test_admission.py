"""What the API server and Istio's webhook take and refuse, kind by kind: spec/validate.md, on values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import meshroute as mr

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
ROUTE = [{"destination": {"host": "x.example"}}]
X = {"kind": "ServiceEntry", "spec": {"hosts": ["x.example"], "ports": [HTTP]}}
"""A service that rules may be about."""


def told(*objects: Mapping[str, Any], strict: bool = True) -> list[tuple[str, str, str, str]]:
    """Severity, code, path and help of everything that is said of some objects beside X, but for notes."""
    lines = []
    for number, one in enumerate((*objects, X)):
        written = {
            "apiVersion": "networking.istio.io/v1",
            "metadata": {"name": f"o{number}", "namespace": "ns1"},
            **one,
        }
        lines.append(json.dumps(written))
    try:
        said = mr.loads("\n---\n".join(lines), strict=strict).diagnostics
    except mr.ManifestError as error:
        said = error.diagnostics
    return [(str(one.severity), str(one.code), one.at.path, one.help) for one in said if one.severity != "note"]


def refused(*objects: Mapping[str, Any]) -> set[str]:
    """The paths of all errors."""
    return {path for severity, _, path, _ in told(*objects) if severity == "error"}


def warned(code: str, *objects: Mapping[str, Any]) -> set[str]:
    """The paths of the warnings of one code."""
    return {path for severity, its, path, _ in told(*objects) if severity == "warning" and its == code}


def routing(**spec: Any) -> dict[str, Any]:
    """A VirtualService of one host."""
    return {"kind": "VirtualService", "spec": {"hosts": ["x.example"], **spec}}


def policy(**written: Any) -> dict[str, Any]:
    """A DestinationRule with a traffic policy."""
    return {"kind": "DestinationRule", "spec": {"host": "x.example", "trafficPolicy": written}}


def entry(**spec: Any) -> dict[str, Any]:
    """A ServiceEntry of one host and one port, unless something else is said."""
    return {"kind": "ServiceEntry", "spec": {"hosts": ["y.example"], "ports": [HTTP], **spec}}


def gateway(*servers: Mapping[str, Any]) -> dict[str, Any]:
    """A Gateway with these servers."""
    return {"kind": "Gateway", "spec": {"selector": {"a": "b"}, "servers": list(servers)}}


def sidecar(**spec: Any) -> dict[str, Any]:
    """A Sidecar."""
    return {"kind": "Sidecar", "spec": spec}


class TestCheck19Exports:
    """CHECK-19: each namespace once; everybody and nobody alone; nobody for ServiceEntries; chosen clients at home."""

    @given(
        st.sampled_from(("VirtualService", "DestinationRule", "ServiceEntry")),
        st.lists(st.sampled_from((".", "ns1", "ns2", "*", "~", "n_s", "")), max_size=3),
        st.booleans(),
    )
    def test_who_may_be_named(self, kind: str, names: list[str], chosen: bool) -> None:
        """By the own namespace, which has two names."""
        specs: dict[str, dict[str, Any]] = {
            "VirtualService": routing(http=[{"directResponse": {"status": 200}}]),
            "DestinationRule": {"kind": kind, "spec": {"host": "x.example"}},
            "ServiceEntry": entry(),
        }
        one = specs[kind]
        chosen = chosen and kind == "DestinationRule"
        one["spec"] |= {"exportTo": names} | ({"workloadSelector": {"matchLabels": {"a": "b"}}} if chosen else {})
        meant = ["ns1" if name == "." else name for name in names]
        fine = (
            len(set(meant)) == len(meant)
            and not (len(meant) > 1 and {"*", "~"} & set(meant))
            and not {"n_s", ""} & set(meant)
            and not ("~" in meant and kind != "ServiceEntry")
            and not (chosen and meant not in ([], ["ns1"]))
        )
        paths = refused(one)
        assert (paths == set()) == fine
        assert all(path.startswith("spec.exportTo") for path in paths)


class TestCheck20OfOld:
    """CHECK-20: forms of long ago are warnings with the new form; Istio's own annotations are errors."""

    @given(st.integers(0, 200), st.sampled_from(("mirrorPercent", "mirror_percent")))
    def test_percentages(self, percent: int, field: str) -> None:
        """A warning at any rate, and an error above 100."""
        one = routing(http=[{"route": ROUTE, "mirror": {"host": "x.example"}, field: percent}])
        at = f"spec.http[0].{field}"
        said = [("warning", at, f"write `mirrorPercentage: {{value: {percent}}}`")]
        said += [("error", at, "")] if percent > 100 else []
        assert sorted((it[0], it[2], it[3]) for it in told(one)) == sorted(said)

    @given(st.integers(1, 8388608), st.sampled_from((None, "ringHash", "maglev")))
    def test_sizes_of_rings(self, size: int, beside: str | None) -> None:
        """A warning at any rate, and an error beside the newer form."""
        newer: dict[str, Any] = {"ringHash": {"minimumRingSize": 1}, "maglev": {"tableSize": 5}}
        hashing = {"useSourceIp": True, "minimumRingSize": size} | ({beside: newer[beside]} if beside else {})
        one = policy(loadBalancer={"consistentHash": hashing})
        at = "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize"
        assert warned("field-value", one) == {at}
        assert refused(one) == ({at} if beside else set())

    @given(
        st.sampled_from((routing(http=[{"directResponse": {"status": 200}}]), entry(), policy(outlierDetection={}))),
        st.sampled_from(("webhook-always-reject", "parents", "parent-namespace", "x")),
        st.sampled_from(("internal.istio.io", "istio.io")),
    )
    def test_annotations(self, one: dict[str, Any], name: str, owner: str) -> None:
        """Whatever their values."""
        annotation = f"{owner}/{'dry-run' if owner == 'istio.io' else name}"
        metadata = {"name": "a", "namespace": "ns1", "annotations": {annotation: "true"}}
        wanted = set() if annotation == "internal.istio.io/x" else {f'metadata.annotations["{annotation}"]'}
        assert refused({**one, "metadata": metadata}) == wanted


PARTS = {"clientCertificate": "a", "privateKey": "b", "caCertificates": "c", "caCrl": "d", "subjectAltNames": ["e"]}


class TestCheck21Connections:
    """CHECK-21: certificates that go together, tunnels that lead somewhere, labels to choose by."""

    @given(
        st.sampled_from(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
        st.sets(st.sampled_from(tuple(PARTS))),
        st.booleans(),
        st.booleans(),
    )
    def test_certificates(self, mode: str, parts: set[str], secret: bool, trusting: bool) -> None:
        """Of the modes that Istio looks at; of the others anything goes."""
        tls: dict[str, Any] = {"mode": mode} | {part: PARTS[part] for part in parts}
        tls |= {"credentialName": "s"} if secret else {}
        tls |= {"insecureSkipVerify": True} if trusting else {}
        wrong: set[str] = set()
        if mode in ("SIMPLE", "MUTUAL"):
            if trusting:
                wrong |= parts & {"caCertificates", "subjectAltNames"}
                wrong |= {"credentialName"} if secret and mode == "SIMPLE" else set()
            if secret:
                wrong |= parts - {"subjectAltNames"}
            elif mode == "MUTUAL":
                wrong |= {"clientCertificate", "privateKey"} - parts
        assert refused(policy(tls=tls)) == {f"spec.trafficPolicy.tls.{part}" for part in wrong}

    @given(st.text("ns1/", max_size=6))
    def test_certificates_of_a_config_map(self, name: str) -> None:
        """Which is the rule's own namespace's."""
        fine = re.fullmatch("ns1/[ns1]+(/.*)?", name) is not None
        found = refused(policy(tls={"credentialName": f"configmap://{name}"}))
        assert found == (set() if fine else {"spec.trafficPolicy.tls.credentialName"})

    @given(
        st.sampled_from(("", "CONNECT", "POST", "GET")),
        st.sampled_from(("a.example", "10.0.0.1", "::1", "*.example", "a b", "")),
        st.integers(0, 70000),
    )
    def test_tunnels(self, protocol: str, host: str, port: int) -> None:
        """A name or an address, and a port."""
        wrong = {"protocol"} if protocol == "GET" else set()
        wrong |= {"targetHost"} if host in ("*.example", "a b", "") else set()
        wrong |= {"targetPort"} if not 1 <= port <= 65535 else set()
        found = refused(policy(tunnel={"protocol": protocol, "targetHost": host, "targetPort": port}))
        assert found == {f"spec.trafficPolicy.tunnel.{field}" for field in wrong}

    @given(st.dictionaries(st.sampled_from(("a", "a*", "")), st.sampled_from(("b", "", "*b"))))
    def test_labels_to_choose_by(self, labels: dict[str, str]) -> None:
        """As they are, without wildcards."""
        one = {"kind": "DestinationRule", "spec": {"host": "x.example", "workloadSelector": {"matchLabels": labels}}}
        wrong = {key for key, value in labels.items() if not key or "*" in key + value}
        assert len(refused(one)) == len(wrong)
        assert (warned("field-value", one) != set()) == (labels == {})


texts = st.none() | st.sampled_from(({"exact": "a"}, {"exact": "ab"}, {"prefix": "a"}, {"regex": "a"}, {}))
asked = st.fixed_dictionaries(
    {"uri": st.sampled_from([{"prefix": one} for one in ("/a", "/ab", "/abc")] + [{"exact": "/ab"}])},
    optional={
        "method": st.sampled_from(({"exact": "GET"}, {"exact": "PUT"})),
        "authority": texts.filter(bool),
        "headers": st.dictionaries(st.just("h"), texts.filter(lambda one: one is not None), min_size=1),
        "scheme": st.just({"exact": "http"}),
        "port": st.just(80),
    },
)


def shown(one: Mapping[str, Any] | None) -> str:
    """A text of a match as Istio's own look at it has it."""
    kind = next((kind for kind in ("exact", "prefix") if one and one.get(kind)), None)
    return f"{kind}:{one[kind]}" if one and kind else ""


def suspects(matches: Sequence[Mapping[str, Any]]) -> set[int]:
    """The numbers of the matches that Istio says are never used, one by one against all before it."""
    found = {n for n, one in enumerate(matches) if one in matches[:n]}
    for (_, before), (n, after) in combinations([it for it in enumerate(matches) if it[0] not in found], 2):
        first, second = before["uri"].get("prefix"), after["uri"].get("prefix")
        if not first or not second or first == second or not second.startswith(first):
            continue
        if before.get("port") != after.get("port"):
            continue
        methods = [shown(one.get("method")) or "exact:GET" for one in (before, after)]
        hosts = [shown(one.get("authority")) for one in (before, after)]
        headers = [{name: shown(it) for name, it in one.get("headers", {}).items()} for one in (before, after)]
        if (
            methods[0].startswith(methods[1])
            and hosts[0].startswith(hosts[1])
            and headers[0].keys() == headers[1].keys()
            and all(value.startswith(headers[1][name]) for name, value in headers[0].items())
        ):
            found.add(n)
    return found


class TestCheck22Alarms:
    """CHECK-22: what Istio warns of is warned of, whether it is so or not."""

    @given(st.lists(asked, min_size=1, max_size=5))
    def test_matches(self, matches: list[dict[str, Any]]) -> None:
        """Either that they are never used, or that they are all the same."""
        one = routing(http=[{"match": [match], "directResponse": {"status": 200}} for match in matches])
        found = warned("rule-unreachable", one) | warned("istio-warns", one)
        assert found == {f"spec.http[{number}].match[0]" for number in suspects(matches)}
        assert not warned("rule-unreachable", one) & warned("istio-warns", one)

    @given(st.lists(st.sampled_from((None, 1, 2, 3)), min_size=1, max_size=5), st.booleans())
    def test_connections(self, ports: list[int | None], tls: bool) -> None:
        """The first rule that asks for a port has it, and one that asks for nothing has the rest."""
        name = {"sniHosts": ["x.example"]} if tls else {}
        if tls:
            ports = [port or 4 for port in ports]
        rules = [{"route": ROUTE} | ({"match": [name | {"port": port}]} if port else {}) for port in ports]
        all_of_it = ports.index(None) if None in ports else len(ports)
        again = {n for n, port in enumerate(ports[:all_of_it]) if port in ports[:n]}
        field = "tls" if tls else "tcp"
        found = warned("rule-unreachable", routing(**{field: rules}))
        wanted = {f"spec.{field}[{n}].match[0]" for n in again}
        assert found == wanted | {f"spec.{field}[{n}]" for n in range(all_of_it + 1, len(ports))}

    @given(
        st.sampled_from(("failover", "failoverPriority")),
        st.sampled_from(("localityLbSetting", "zoneAwareLbSetting")),
        st.sampled_from((None, False, True)),
        st.sampled_from(("nowhere", "rule", "subset")),
    )
    def test_failovers(self, field: str, setting: str, on: bool | None, detects: str) -> None:
        """Without outlier detection in the same policy there is one warning; only the code is by the truth."""
        written = {"failover": [{"from": "a", "to": "b"}], "failoverPriority": ["app"]}[field]
        balancer = {setting: {field: written, **({"enabled": on} if on is not None else {})}}
        one = {
            "kind": "DestinationRule",
            "spec": {
                "host": "x.example",
                **({"trafficPolicy": {"outlierDetection": {}}} if detects == "rule" else {}),
                "subsets": [
                    {
                        "name": "a",
                        "trafficPolicy": {"loadBalancer": balancer}
                        | ({"outlierDetection": {}} if detects == "subset" else {}),
                    }
                ],
            },
        }
        nothing_lost = setting == "zoneAwareLbSetting" or on is False or detects == "rule"
        code = "istio-warns" if nothing_lost else "setting-ignored"
        at = f"spec.subsets[0].trafficPolicy.loadBalancer.{setting}.{field}"
        found = {(its, path) for severity, its, path, _ in told(one) if path == at}
        assert found == (set() if detects == "subset" else {(code, at)})


PROTOCOLS = ("HTTP", "grpc", "HTTPS", "tls", "TCP", "Mongo", "")


class TestCheck23Entries:
    """CHECK-23: hosts, addresses, ports and endpoints go with the resolution."""

    @given(
        st.sampled_from(("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")),
        st.lists(st.sampled_from(("a.example", "*.b.example", "*c.example", "d")), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(("10.0.0.1", "10.0.0.0/8", "10.0.0")), max_size=1),
        st.none() | st.lists(st.sampled_from(("10.0.0.2", "e.example", "*.example", "")), max_size=2),
        st.lists(st.sampled_from(PROTOCOLS), min_size=1, max_size=2),
    )
    def test_what_goes_together(
        self, resolution: str, hosts: list[str], addresses: list[str], endpoints: list[str] | None, protocols: list[str]
    ) -> None:
        """Errors, by what there is of each."""
        ports = [{"number": n, "name": f"p{n}", "protocol": one} for n, one in enumerate(protocols, 80)]
        spec: dict[str, Any] = {"resolution": resolution, "hosts": hosts, "addresses": addresses, "ports": ports}
        if endpoints is not None:
            spec["endpoints"] = [{"address": one} if one else {} for one in endpoints]
        wrong: set[str] = set()
        wrong |= {"addresses[0]"} if addresses == ["10.0.0"] else set()
        by_name = resolution in ("DNS", "DNS_ROUND_ROBIN")
        if addresses == ["10.0.0.0/8"] and (by_name or resolution == "DYNAMIC_DNS"):
            wrong.add("addresses[0]")
        for number, one in enumerate(endpoints or ()):
            if (resolution == "STATIC" and one != "10.0.0.2") or (by_name and one in ("*.example", "")):
                wrong.add(f"endpoints[{number}].address")
        if resolution == "NONE" and endpoints is not None:
            wrong.add("endpoints")
        if resolution == "DNS_ROUND_ROBIN" and len(endpoints or ()) == 2:
            wrong.add("endpoints")
        if by_name and not endpoints and (wild := [n for n, host in enumerate(hosts) if host[0] == "*"]):
            wrong.add(f"hosts[{wild[0]}]")
        if resolution == "DYNAMIC_DNS":
            wrong |= {f"hosts[{n}]" for n, host in enumerate(hosts) if host[0] != "*"}
            wrong |= {"addresses"} if addresses else set()
            wrong |= {"endpoints"} if endpoints else set()
            wrong |= {f"ports[{n}].protocol" for n, it in enumerate(protocols) if it not in ("HTTP", "grpc", "tls")}
        unclear = [n for n, it in enumerate(protocols) if it in ("TCP", "Mongo", "")]
        if resolution != "NONE" and len(hosts) > 1 and unclear:
            wrong.add(f"ports[{unclear[0]}]")
        assert refused({"kind": "ServiceEntry", "spec": spec}) == {f"spec.{one}" for one in wrong}

    @given(
        st.sampled_from(("NONE", "STATIC")),
        st.sampled_from((None, "true", "false", "False")),
        st.booleans(),
        st.sampled_from(PROTOCOLS),
    )
    def test_connections_need_addresses(self, resolution: str, label: str | None, given: bool, protocol: str) -> None:
        """Which Istio makes up, unless it is told not to."""
        one = entry(
            resolution=resolution,
            ports=[{"number": 80, "name": "a", "protocol": protocol}],
            **({"addresses": ["10.0.0.1"]} if given else {}),
            **({"endpoints": [{"address": "10.0.0.2"}]} if resolution == "STATIC" else {}),
        )
        labels = {"networking.istio.io/enable-autoallocate-ip": label} if label is not None else {}
        one["metadata"] = {"name": "a", "namespace": "ns1", "labels": labels}
        made_up = resolution == "STATIC" and (label or "").lower() != "false"
        wanted = {"spec.ports[0].protocol"} if protocol in ("", "TCP") and not (given or made_up) else set()
        assert warned("field-value", one) == wanted


class TestCheck24Workloads:
    """CHECK-24: where a workload is, what its ports are called, how it shows that it is ready."""

    @given(st.sampled_from(("", "unix://", "unix:///")), st.text("a/@.:1", max_size=4), st.booleans())
    def test_addresses(self, scheme: str, rest: str, ported: bool) -> None:
        """A name, an address or a socket."""
        address = scheme + rest
        wrong: set[str] = set()
        if scheme:
            path = address.removeprefix("unix://")
            wrong |= {"address"} if path[:1] not in ("/", "@") or path[-1:] == "/" else set()
            wrong |= {"ports"} if ported else set()
        elif not re.fullmatch(r"([a1]+\.)*[a1]*a[a1]*|([a1]+\.)+", rest):
            wrong.add("address")
        # An address of colons is Python's to judge, and not this test's: most of these are none, and some are IPv6.
        assume(scheme or ":" not in rest)
        spec = {"address": address} | ({"ports": {"http": 1}} if ported else {})
        assert refused({"kind": "WorkloadEntry", "spec": spec}) == {f"spec.{one}" for one in wrong}

    @given(st.integers(60, 65), st.sampled_from(("a", "7", "a-a", "a.a", "-")))
    def test_names_of_ports(self, length: int, letters: str) -> None:
        """Fewer than 63 letters."""
        name = (letters * 65)[:length].rstrip("-") if letters != "-" else "-"
        fine = len(name) <= 62 and "." not in name and name != "-"
        spec = {"address": "10.0.0.1", "ports": {name: 1}}
        assert (refused({"kind": "WorkloadEntry", "spec": spec}) == set()) == fine

    @given(st.sampled_from(("httpGet", "tcpSocket", "exec", "grpc", None)))
    def test_probes(self, method: str | None) -> None:
        """What Istio's webhook knows of, which is less than its schema."""
        methods: dict[str, Any] = {"httpGet": {"port": 1}, "tcpSocket": {"port": 1}, "exec": {"command": ["a"]}}
        probe = {} if method is None else {method: methods.get(method, {})}
        found = refused({"kind": "WorkloadGroup", "spec": {"template": {}, "probe": probe}})
        wanted = {None: {"spec.probe"}, "grpc": {"spec.probe.grpc"}}
        assert found == wanted.get(method, set())


FILES = {"serverCertificate": "a", "privateKey": "b", "caCertificates": "c", "caCrl": "d"}
SOURCES: dict[str, Any] = {
    "credentialName": "e",
    "credentialNames": ["e"],
    "tlsCertificates": [{"serverCertificate": "a", "privateKey": "b"}],
}


class TestCheck25Gateways:
    """CHECK-25: hosts that a server can have, ports that there are, certificates where they are needed."""

    @given(st.text("a.*/~", max_size=6))
    def test_hosts(self, host: str) -> None:
        """Whole names, with a namespace or without."""
        fine = re.fullmatch(r"(?:(?:[*.]|a+)/)?(?:[*]|(?:[*]|a+)(?:(?:[.]a+)+[.]?|[.]))", host) is not None
        found = refused(gateway({"port": HTTP, "hosts": [host]}))
        assert found == (set() if fine else {"spec.servers[0].hosts[0]"})

    @given(
        st.sampled_from(
            ("PASSTHROUGH", "AUTO_PASSTHROUGH", "SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"),
        ),
        st.sets(st.sampled_from(tuple(FILES))),
        st.none() | st.sampled_from(tuple(SOURCES)),
    )
    def test_certificates(self, mode: str, files: set[str], source: str | None) -> None:
        """As the mode asks for them."""
        tls = {"mode": mode} | {one: FILES[one] for one in files} | ({source: SOURCES[source]} if source else {})
        one = gateway({"port": {"number": 443, "name": "a", "protocol": "TLS"}, "hosts": ["a.example"], "tls": tls})
        wrong: set[str] = set()
        both = {"serverCertificate", "privateKey"}
        if mode == "ISTIO_MUTUAL":
            wrong |= files - {"caCrl"} | ({source} if source else set())
        else:
            wrong |= {source} if source and both <= files else set()
            if "PASSTHROUGH" in mode:
                wrong |= {"caCrl"} if "caCrl" in files and source == "credentialName" else set()
            elif source not in ("credentialName", "credentialNames"):
                wrong |= both - files if source is None else set()
                wrong |= {"caCertificates"} - files if mode != "SIMPLE" else set()
                wrong |= {"caCrl"} & files if mode == "SIMPLE" else set()
        assert refused(one) == {f"spec.servers[0].tls.{field}" for field in wrong}
        if "PASSTHROUGH" in mode:
            assert (warned("field-value", one) != set()) == bool(files or source)

    @given(
        st.sampled_from((*PROTOCOLS[:-1], "HTTP3")),
        st.sampled_from((None, "PASSTHROUGH", "ISTIO_MUTUAL")),
        st.none() | st.sampled_from(tuple(FILES)),
    )
    def test_protocols(self, protocol: str, mode: str | None, file: str | None) -> None:
        """TLS is where the protocol has it; of plain HTTP there may be a redirect, without files."""
        server = {"port": {"number": 443, "name": "a", "protocol": protocol}, "hosts": ["a.example"]}
        file = file if mode == "PASSTHROUGH" else None
        tls = {"mode": mode} | ({file: FILES[file]} if file else {})
        found = refused(gateway(server | ({"tls": tls} if mode else {})))
        if protocol == "HTTP3":
            assert found == {"spec.servers[0].port.protocol"}
        elif protocol.upper() in ("HTTPS", "TLS"):
            assert found == (set() if mode else {"spec.servers[0].tls"})
        else:
            redirected = protocol.upper() in ("HTTP", "GRPC") and mode == "PASSTHROUGH" and file in (None, "caCrl")
            assert found == (set() if redirected or mode is None else {"spec.servers[0].tls"})

    @given(st.lists(st.sampled_from(("a", "b", "")), min_size=1, max_size=3), st.sampled_from((0, 1, 65535, 65536)))
    def test_ports(self, names: list[str], number: int) -> None:
        """Each has a name of its own."""
        servers = [
            {"port": {"number": number, "name": one, "protocol": "HTTP"}, "hosts": ["a.example"]} for one in names
        ]
        wrong = {f"[{n}].port.name" for n, one in enumerate(names) if not one or one in names[:n]}
        wrong |= {f"[{n}].port.number" for n in range(len(names)) if number in (0, 65536)}
        assert refused(gateway(*servers)) == {f"spec.servers{one}" for one in wrong}


class TestCheck26Sidecars:
    """CHECK-26: listeners in their order, on ports of their own, with hosts; ends that are the workload's own."""

    @given(st.lists(st.sampled_from((None, 1, 2)), max_size=4))
    def test_listeners(self, ports: list[int | None]) -> None:
        """The one without a port is the last."""
        listeners = [{"hosts": ["*/x.example"]} | ({"port": {"number": one}} if one else {}) for one in ports]
        wrong = {f".egress[{n}]" for n, one in enumerate(ports[:-1]) if one is None}
        wrong |= {f".egress[{n}].port.number" for n, one in enumerate(ports) if one and one in ports[:n]}
        assert refused(sidecar(egress=listeners)) == {f"spec{one}" for one in wrong | ({""} if not ports else set())}

    @given(st.from_regex(r"(\[::1?\]|::1|127\.0\.0\.1|0\.0\.0\.0|10\.0\.0\.1|)?(:\+?[0-9]{0,5})?", fullmatch=True))
    def test_ends(self, end: str) -> None:
        """A port of the workload's own."""
        assume(end)  # an empty one is none, and then nothing is to be refused
        form = re.fullmatch(r"(?:\[::1?\]|127\.0\.0\.1|0\.0\.0\.0|):\+?([0-9]+)", end)
        fine = form is not None and 1 <= int(form[1]) <= 65535
        found = refused(sidecar(ingress=[{"port": {"number": 1}, "defaultEndpoint": end}]))
        assert found == (set() if fine else {"spec.ingress[0].defaultEndpoint"})

    @given(st.lists(st.sampled_from(("./x.example", "ns1/x.example", "ns1/*", "*/*", "ns2/*", "~ns2/*")), min_size=1))
    def test_hosts_that_are_imported_already(self, hosts: list[str]) -> None:
        """By the own namespace, which has two names; what is kept out is no import."""
        meant = [one.replace("./", "ns1/") for one in hosts]
        imported = [(n, one.partition("/")[0], one.partition("/")[2]) for n, one in enumerate(meant) if one[0] != "~"]
        again = {
            f"spec.egress[0].hosts[{n}]"
            for n, owner, host in imported
            if any(o == owner and (h in (host, "*") or host == "*") for m, o, h in imported if m < n)
        }
        everything = any(owner == host == "*" for _, owner, host in imported)
        again |= {"spec.egress[0].hosts"} if everything and len({owner for _, owner, _ in imported}) > 1 else set()
        assert warned("field-value", sidecar(egress=[{"hosts": hosts}])) == again

    @given(st.booleans(), st.booleans(), st.sampled_from(("a.example", "*.example", "a b")))
    def test_a_proxy_for_the_rest(self, allowed: bool, ported: bool, host: str) -> None:
        """Where everything is let through, and by a port."""
        proxy = {"host": host} | ({"port": {"number": 80}} if ported else {})
        spec = {"egressProxy": proxy} | ({"mode": "ALLOW_ANY"} if allowed else {})
        here = "spec.outboundTrafficPolicy.egressProxy"
        wrong = {f"{here}.host"} if host != "a.example" else set()
        wrong |= {f"{here}.port"} if not ported else set()
        assert refused(sidecar(outboundTrafficPolicy=spec)) == (wrong if allowed else {here})


class TestCheck27Schema:
    """CHECK-27: closed lists, one of several, what has to be, ranges, durations, lengths."""

    @given(st.integers(0, 3_000), st.sampled_from(("timeout", "perTryTimeout", "fixedDelay", "maxAge", "ttl")))
    def test_durations_have_a_millisecond(self, microseconds: int, field: str) -> None:
        """Or more, in whole ones; a cookie may last for nothing."""
        span = f"{microseconds}us"
        rule: dict[str, Any] = {"route": ROUTE}
        written: dict[str, dict[str, Any]] = {
            "timeout": {"timeout": span},
            "perTryTimeout": {"retries": {"attempts": 1, "perTryTimeout": span}},
            "fixedDelay": {"fault": {"delay": {"fixedDelay": span}}},
            "maxAge": {"corsPolicy": {"maxAge": span}},
        }
        cookie = policy(loadBalancer={"consistentHash": {"httpCookie": {"name": "a", "ttl": span}}})
        found = refused(routing(http=[rule | written[field]]) if field != "ttl" else cookie)
        fine = field == "ttl" or (microseconds >= 1000 and microseconds % 1000 == 0 and field != "maxAge")
        assert (found == set()) == fine

    @given(
        st.sampled_from(("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PASSTHROUGH", "LEAST_CONN", "UNSPECIFIED")),
        st.lists(st.booleans(), min_size=13, max_size=13),
    )
    def test_words_have_capitals(self, word: str, lower: list[bool]) -> None:
        """All of them."""
        written = "".join(one.lower() if small else one for one, small in zip(word, lower, strict=False))
        found = refused(policy(loadBalancer={"simple": written}))
        assert found == (set() if written == word else {"spec.trafficPolicy.loadBalancer.simple"})

    @given(st.integers(-(2**33), 2**33), st.sampled_from(("weight", "number", "tableSize")))
    def test_numbers_have_ranges(self, number: int, field: str) -> None:
        """Of 32 bits with a sign, of 32 without, of 64 without: then the webhook has its say."""
        if field == "tableSize":
            one = policy(loadBalancer={"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": number}}})
            assert (refused(one) == set()) == (0 < number < 5_000_011 and is_prime(number))
        elif field == "weight":
            one = routing(http=[{"route": [{**ROUTE[0], "weight": number}, {**ROUTE[0], "weight": 1}]}])
            assert (refused(one) == set()) == (0 <= number < 2**31)
        else:
            one = routing(http=[{"route": [{"destination": {"host": "x.example", "port": {"number": number}}}]}])
            assert (refused(one) == set()) == (1 <= number <= 65535)

    @given(st.sets(st.sampled_from(("exact", "prefix", "regex"))), st.sampled_from(("uri", "method", "authority")))
    def test_one_of_several(self, kinds: set[str], field: str) -> None:
        """Or none."""
        one = routing(http=[{"match": [{field: dict.fromkeys(kinds, "/")}], "route": ROUTE}])
        assert refused(one) == ({f"spec.http[0].match[0].{field}"} if len(kinds) > 1 else set())

    @given(st.integers(62, 65), st.integers(255, 258))
    def test_texts_have_lengths(self, label: int, address: int) -> None:
        """A label to choose by, and an address."""
        chosen = entry(resolution="STATIC", workloadSelector={"labels": {"a": "b" * label}})
        assert refused(chosen) == ({"spec.workloadSelector.labels.a"} if label > 63 else set())
        workload = {"kind": "WorkloadEntry", "spec": {"address": "unix:///" + "a" * (address - 8)}}
        assert refused(workload) == ({"spec.address"} if address > 256 else set())


def is_prime(number: int) -> bool:
    """As Istio sees it, but for 1: that would be one to it, and no proxy has a table of one slot."""
    return number == 2 or (
        number > 1 and number % 2 == 1 and all(number % n for n in range(3, int(number**0.5) + 1, 2))
    )


FULL: dict[str, Any] = {
    "name": "a",
    "match": [{"uri": {"prefix": "/"}, "headers": {"h": {"exact": "1"}}, "port": 80, "sourceLabels": {"a": "b"}}],
    "route": [{"destination": {"host": "x.example", "subset": "", "port": {"number": 80}}, "weight": 1}],
    "timeout": "1s",
    "retries": {"attempts": 1, "retryOn": "5xx", "retryRemoteLocalities": True},
    "mirror": {"host": "x.example"},
    "mirrorPercent": 1,
    "headers": {"request": {"set": {"a": "b"}, "remove": ["c"]}},
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something is, but for what has to be and for items of lists."""
    if isinstance(value, dict):
        inside = [place for key, one in value.items() for place in places(one, (*path, key))]
        return ([path] if path and isinstance(path[-1], str) else []) + inside
    if isinstance(value, list):
        inside = [place for n, one in enumerate(value) for place in places(one, (*path, n))]
        return ([path] if path else []) + inside
    return [path] if isinstance(path[-1], str) else []


NEEDED = (("route",), ("route", 0, "destination"), ("route", 0, "destination", "host"), ("mirror", "host"))
PLACES = [one for one in places(FULL) if one not in NEEDED]


def with_nulls(paths: Sequence[tuple[str | int, ...]], *, gone: bool) -> dict[str, Any]:
    """FULL with null at some places, or with nothing there."""
    rule: dict[str, Any] = json.loads(json.dumps(FULL))
    for path in paths:
        at: Any = rule
        for step in path[:-1]:
            at = at[step] if isinstance(step, int) or step in at else None
            if at is None:
                break
        if at is not None and path[-1] in at:
            at[path[-1]] = None
            if gone:
                del at[path[-1]]
    return rule


class TestCheck28Nulls:
    """CHECK-28: null is as nothing, strict or not, and a warning where a condition was meant; in a list it is wrong."""

    @given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True), st.booleans())
    def test_null_is_nothing(self, paths: list[tuple[str | int, ...]], strict: bool) -> None:
        """The same resource, and the same is said of it, but for the nulls themselves."""

        def written(*, gone: bool) -> dict[str, Any]:
            return routing(http=[with_nulls(paths, gone=gone)])

        nulls = told(written(gone=False), strict=strict)
        plain = told(written(gone=True), strict=strict)
        conditions = [one for one in nulls if one not in plain]
        assert [one for one in nulls if one in plain] == plain
        assert all(severity == "warning" and ".match" in path for severity, _, path, _ in conditions)
        outer = [path for path in paths if not any(path[:n] in paths for n in range(1, len(path)))]
        top = any(path[0] == "match" and path[-1] in ("match", "uri", "h", "prefix", "exact") for path in outer)
        assert bool(conditions) == top

    @given(st.sampled_from(("match", "route", "mirrors")), st.booleans())
    def test_null_in_a_list_is_wrong(self, field: str, strict: bool) -> None:
        """An item is something."""
        one = routing(http=[{"route": ROUTE, field: [None]}])
        said = {(severity, code, path) for severity, code, path, _ in told(one, strict=strict)}
        assert ("error", "field-type", f"spec.http[0].{field}[0]") in said
