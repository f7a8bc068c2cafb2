"""What a mesh costs before anybody asks: everything said about it, and the table of one sidecar."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import meshroute as mr
from meshroute.manifest import DestinationRule, ObjectMeta, Pod, Resource, Service, VirtualService
from meshroute.manifest.istio import (
    Destination,
    DestinationRuleSpec,
    HTTPRoute,
    HTTPRouteDestination,
    Subset,
    VirtualServiceSpec,
)
from meshroute.manifest.kubernetes import PodSpec, PodStatus, ServicePort, ServiceSpec

SIZES = (100, 1_000, 10_000)
PODS = 10


def mesh(size: int) -> list[Resource]:
    """Services in a hundred namespaces, each with ten pods, a rule and a subset."""
    made: list[Resource] = []
    for number in range(size):
        name, namespace = f"s{number}", f"n{number % 100}"
        meta = ObjectMeta(name=name, namespace=namespace)
        to = HTTPRouteDestination(destination=Destination(host=name, subset="v0"))
        made.append(
            Service(metadata=meta, spec=ServiceSpec(selector={"app": name}, ports=(ServicePort(name="http", port=80),)))
        )
        made.append(
            VirtualService(metadata=meta, spec=VirtualServiceSpec(hosts=(name,), http=(HTTPRoute(route=(to,)),)))
        )
        subset = Subset(name="v0", labels={"version": "0"})
        made.append(DestinationRule(metadata=meta, spec=DestinationRuleSpec(host=name, subsets=(subset,))))
        made += [
            Pod(
                metadata=ObjectMeta(
                    name=f"{name}-{pod}", namespace=namespace, labels={"app": name, "version": str(pod % 2)}
                ),
                spec=PodSpec(containers=()),
                status=PodStatus(pod_ip=f"10.{number >> 8}.{number & 255}.{pod}"),
            )
            for pod in range(PODS)
        ]
    return made


@pytest.mark.parametrize("size", SIZES)
def test_mesh(benchmark: BenchmarkFixture, size: int) -> None:
    """From manifests to diagnostics."""
    made = benchmark(mr.Mesh, mesh(size))
    assert made.diagnostics == ()


@pytest.mark.parametrize("size", SIZES)
def test_router(benchmark: BenchmarkFixture, size: int) -> None:
    """The same, and one sidecar's table with what it decides by."""
    resources = mesh(size)
    router = benchmark(lambda: mr.Mesh(resources).router(mr.Sidecar("n0")))
    assert len(router.table.clusters) == 2 * size + 1
