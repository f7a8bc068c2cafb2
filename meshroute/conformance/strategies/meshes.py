"""Small meshes: services of all kinds, and Sidecars that import some of them.

Bounds, and why each is enough: three namespaces, of which one is the client's (`shop`), one another's and one the root;
six hosts, so that Services and ServiceEntries meet under one name; ports 80 and 81: the one on which unknown hosts are
served, and another; creation times as in `manifests`. Nothing here is made with the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from meshroute.conformance.strategies.manifests import TIMES, apart, exports_of, full_name
from meshroute.manifest import ObjectMeta, Resource, Service, ServiceEntry, Sidecar, VirtualService, WorkloadEntry
from meshroute.manifest.istio import Destination, HTTPRoute, HTTPRouteDestination, VirtualServiceSpec
from meshroute.manifest.istio_services import ServiceEntrySpec, WorkloadEntrySpec
from meshroute.manifest.istio_sidecar import SidecarSpec
from meshroute.manifest.kubernetes import ServicePort, ServiceSpec

NAMESPACES = ("shop", "bank", "istio-system")
HOSTS = (full_name("web", "shop"), full_name("web", "bank"), full_name("pay", "bank"), "a.example", "b.example")
WILD = ("*", "*.local", "*.bank.svc.cluster.local", "*.example", "*b.example")
"""The last stands for a part of a name, which Sidecars may not do."""
IMPORTS = tuple(f"{owner}/{host}" for owner in (".", "*", "shop", "bank") for host in (*HOSTS, *WILD[:-1]))
EXCLUDED = tuple(f"~{owner}/{host}" for owner in ("", "*", ".", "bank") for host in (HOSTS[0], "a.example", *WILD[:-1]))

namespaces = st.sampled_from(NAMESPACES)
times = st.sampled_from(TIMES)


@st.composite
def services(draw: st.DrawFn) -> Service:
    """A Service with a name that Kubernetes would let it have, on one port or both."""
    name, namespace = draw(st.sampled_from((("web", "shop"), ("web", "bank"), ("pay", "bank"))))
    written = draw(exports_of(namespace, hidden=True))
    return Service(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            creation_timestamp=draw(times),
            annotations={"networking.istio.io/exportTo": ", ".join(written)} if written else {},
        ),
        spec=ServiceSpec(
            ports=tuple(
                ServicePort(name=f"http-{number}", port=number)
                for number in draw(st.sampled_from(((80,), (81,), (80, 81))))
            )
        ),
    )


@st.composite
def entries(draw: st.DrawFn) -> ServiceEntry:
    """An entry with an endpoint that tells who it is."""
    name = draw(st.sampled_from(("e", "f", "g")))
    namespace = draw(namespaces)
    host = draw(st.sampled_from(HOSTS))
    numbers = draw(st.sampled_from(((80,), (80,), (81,), (80, 81))))
    return ServiceEntry(
        metadata=ObjectMeta(name=name, namespace=namespace, creation_timestamp=draw(times)),
        spec=ServiceEntrySpec.model_validate(
            {
                "hosts": [host],
                "ports": [{"number": number, "name": f"http-{number}", "protocol": "HTTP"} for number in numbers],
                "resolution": "STATIC",
                "endpoints": [{"address": f"10.0.{NAMESPACES.index(namespace)}.{'efg'.index(name)}"}],
                "exportTo": list(draw(exports_of(namespace, hidden=True))),
            }
        ),
    )


workload_labels = st.fixed_dictionaries({}, optional={"app": st.sampled_from(("a", "b")), "v": st.just("1")})


@st.composite
def workload_entries(draw: st.DrawFn, number: int) -> WorkloadEntry:
    """One with an address of its own, or a name."""
    address = draw(st.sampled_from((f"10.1.0.{number}", f"10.1.0.{number}", f"w{number}.example")))
    return WorkloadEntry(
        metadata=ObjectMeta(
            name=f"w{9 - number}",
            namespace=draw(st.sampled_from(("shop", "shop", "bank"))),
            labels=draw(workload_labels),
        ),
        spec=WorkloadEntrySpec(
            address=address,
            labels=draw(workload_labels),
            ports=draw(st.sampled_from(({}, {"http": 8080}))),
            weight=draw(st.integers(0, 3)),
        ),
    )


@st.composite
def virtual_services(draw: st.DrawFn) -> VirtualService:
    """One rule for everything, which tells whose it is by where it sends to."""
    name, namespace = draw(st.sampled_from(("v", "w"))), draw(namespaces)
    destination = Destination(host=draw(st.sampled_from((*HOSTS, f"{name}.{namespace}.test"))))
    return VirtualService(
        metadata=ObjectMeta(name=name, namespace=namespace, creation_timestamp=draw(times)),
        spec=VirtualServiceSpec(
            hosts=draw(st.lists(st.sampled_from((*HOSTS, *WILD[1:])), min_size=1, max_size=2, unique=True).map(apart)),
            http=(HTTPRoute(route=(HTTPRouteDestination(destination=destination),)),),
            export_to=draw(exports_of(namespace)),
        ),
    )


def sidecar(hosts: Sequence[str], namespace: str = "shop", name: str = "s", **spec: Any) -> Sidecar:
    """A Sidecar with one listener for all ports."""
    return Sidecar(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=SidecarSpec.model_validate({"egress": [{"hosts": list(hosts)}], **spec}),
    )


imports = st.lists(st.sampled_from(IMPORTS), min_size=1, max_size=3)
excluded = st.lists(st.sampled_from(EXCLUDED), max_size=2)


def distinct(resources: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Resource]]:
    """A few of them, no two of one name in one namespace."""
    return st.lists(resources, max_size=most, unique_by=lambda one: (one.namespace, one.name))


meshes: st.SearchStrategy[list[Resource]] = st.tuples(
    distinct(services(), 3), distinct(entries(), 4), distinct(virtual_services(), 3)
).map(lambda drawn: [*drawn[0], *drawn[1], *drawn[2]])
