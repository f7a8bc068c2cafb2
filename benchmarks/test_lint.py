"""What lint costs: many VirtualServices of ten rules, and one virtual host of very many, some of them patterns."""

from __future__ import annotations

from random import Random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import meshroute as mr

SERVICES = (100, 1_000)
RULES = (500, 1_000, 2_000)
NAMESPACES = 50


def service(name: str, namespace: str) -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{name}]
  http:
"""


def rule(match: str, name: str) -> str:
    return f"  - match: [{match}]\n    route: [{{destination: {{host: {name}}}}}]\n"


def of_ten_rules(number: int) -> str:
    """Prefixes, exact paths and patterns with a header, and prefixes alone; then everything else."""
    name = f"service-{number}"
    text = service(name, f"team-{number % NAMESPACES}")
    for one in range(9):
        uri = (f"prefix: /api/v{one}/", f"exact: /item/{one}", f"regex: '/u/[0-9]+/{one}'")[one % 3]
        text += rule(f"{{uri: {{{uri}}}, headers: {{x-b{one}: {{exact: t}}}}}}, {{uri: {{prefix: /z{one}}}}}", name)
    return text + f"  - route: [{{destination: {{host: {name}}}}}]\n"


def of_many_rules(size: int) -> str:
    """Paths that begin alike, with headers and methods or without; about one in eight is hidden."""
    random = Random(1)
    text = service("web", "shop")

    def segment() -> str:
        return random.choice("abcdefgh") * random.randint(1, 3)

    for number in range(size):
        kind = number % 10
        if kind == 0:
            uri = f"regex: '/{segment()}/[a-z]+/{segment()}/v[0-9]+(/.*)?'"
        elif kind < 5:
            uri = f"exact: /{segment()}/{segment()}/{number}"
        elif kind < 8:
            uri = f"prefix: /{segment()}/{segment()}/{segment()}/{random.randint(0, 300)}/"
        else:
            uri = f"prefix: /{segment()}/{segment()}"
        match = f"uri: {{{uri}}}"
        if random.random() < 0.6:
            match += f", headers: {{x-{random.randint(0, 5)}: {{exact: v{random.randint(0, 3)}}}}}"
        if random.random() < 0.3:
            match += f", method: {{exact: {random.choice(('GET', 'POST'))}}}"
        text += rule(f"{{{match}}}", "web")
    return text


@pytest.mark.parametrize("size", SERVICES)
def test_virtual_services_of_ten_rules(benchmark: BenchmarkFixture, size: int) -> None:
    mesh = mr.loads("---\n".join(map(of_ten_rules, range(size))))
    found = benchmark(mr.lint, mesh)
    assert not any(one.code is mr.Code.RULE_UNREACHABLE for one in found)


@pytest.mark.parametrize("size", RULES)
def test_one_virtual_host(benchmark: BenchmarkFixture, size: int) -> None:
    mesh = mr.loads(of_many_rules(size))
    found = benchmark(mr.lint, mesh)
    assert any(one.code is mr.Code.RULE_UNREACHABLE for one in found)
    assert not any(one.code is mr.LintCode.RULE_NOT_DECIDED for one in found)
