"""Compiling a mesh costs in proportion to its size: counted in calls, so that no clock has a say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

import meshroute as mr
from meshroute.manifest import Resource

WORLDS = {
    "a rule for each service": "web-{n}.ns-{m}.svc.cluster.local",
    "a wildcard for each service": "'*web-{n}.ns-{m}.svc.cluster.local'",
    "hosts that nobody registered": "web-{n}.example",
    "one namespace": "web-{n}.ns-0.svc.cluster.local",
}


def mesh(size: int, host: str, spread: int) -> str:
    """Services with two pods each, a VirtualService, a DestinationRule and a ServiceEntry for each."""
    made = []
    for number in range(size):
        place = number % spread
        name = host.format(n=number, m=place)
        where = f"name: web-{number}, namespace: ns-{place}"
        made += [
            f"apiVersion: v1\nkind: Service\nmetadata: {{{where}}}\n"
            f"spec: {{selector: {{app: web-{number}}}, ports: [{{name: http, port: 80}}]}}",
            f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{{where}}}\n"
            f"spec: {{hosts: [{name}], http: [{{route: [{{destination: {{host: web-{number}}}}}]}}]}}",
            f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{{where}}}\n"
            f"spec: {{host: web-{number}, subsets: [{{name: v1, labels: {{v: '1'}}}}]}}",
            f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{{where}}}\n"
            f"spec: {{hosts: [e-{number}.test], ports: [{{number: 80, name: http}}], resolution: STATIC, "
            f"endpoints: [{{address: 10.1.{number >> 8}.{number & 255}}}]}}",
        ]
        made += [
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web-{number}-{pod}, namespace: ns-{place}, "
            f"labels: {{app: web-{number}, v: '{pod}'}}}}\nspec: {{containers: [{{name: c}}]}}\n"
            f"status: {{podIP: 10.{8 + pod}.{number >> 8}.{number & 255}}}"
            for pod in range(2)
        ]
    made.append(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: all, namespace: ns-0}\n"
        "spec: {egress: [{hosts: ['*/*', '~/nobody.test']}]}"
    )
    return "\n---\n".join(made)


def compiled(resources: Sequence[Resource]) -> mr.Router:
    """What one sidecar decides by."""
    return mr.Mesh(resources).router(mr.Sidecar("ns-0"))


def calls(work: Callable[[], Any]) -> int:
    """How many Python functions are called."""
    count = 0

    def counted(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("world", WORLDS)
def test_twice_the_mesh_costs_twice_as_much(world: str) -> None:
    """What is said about it, and the table of one sidecar. What is sorted may cost a little more."""
    costs = []
    for size in (60, 120, 240):
        resources = mr.loads(mesh(size, WORLDS[world], 1 if world == "one namespace" else 6)).resources
        costs.append(calls(partial(compiled, resources)))
    assert costs[1] - costs[0] > 1_000
    assert costs[2] - costs[1] < 2.2 * (costs[1] - costs[0])
