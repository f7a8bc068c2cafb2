"""Whether the strategies reach what matters: a world that never has a shadowed rule proves nothing about shadowing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute.conformance.strategies.manifests import (
    ROOT,
    World,
    clients,
    destination_rules,
    full_name,
    many_pods,
    many_services,
    virtual_services,
    worlds,
)
from meshroute.manifest import Service, VirtualService

T = TypeVar("T")


def reaches(strategy: st.SearchStrategy[T], holds: Callable[[T], bool]) -> bool:
    """Whether one of as many examples as a property draws has this; the same ones in every run."""
    find(strategy, holds, settings=settings(phases=(Phase.generate,)), random=Random(0))
    return True  # find raises where there is none


def hosts_of(one: VirtualService) -> set[str]:
    return {host if "." in host else full_name(host, one.namespace) for host in one.spec.hosts}


def selected(one: Service, world: World) -> list[dict[str, str]]:
    """The labels of the pods that a service selects."""
    wanted = one.spec.selector.items()
    return [
        dict(pod.metadata.labels)
        for pod in world.pods
        if wanted and pod.namespace == one.namespace and wanted <= pod.metadata.labels.items()
    ]


def has_shadowed(world: World) -> bool:
    hosts = [host for one in world.virtual_services for host in hosts_of(one)]
    return len(set(hosts)) < len(hosts)


def has_governed_service(world: World) -> bool:
    return any(set(world.hosts) & hosts_of(one) for one in world.virtual_services)


def has_wildcard_over_service(world: World) -> bool:
    wild = [host[1:] for one in world.virtual_services for host in one.spec.hosts if host[0] == "*"]
    return any(host.endswith(tail) for tail in wild for host in world.hosts)


def has_unready_member(world: World) -> bool:
    sick = {
        tuple(sorted(pod.metadata.labels.items()))
        for pod in world.pods
        if pod.status and {("Ready", "False")} <= {(one.type, str(one.status)) for one in pod.status.conditions}
    }
    return any(tuple(sorted(labels.items())) in sick for one in world.services for labels in selected(one, world))


def has_subset_without_pods(world: World) -> bool:
    return any(
        selected(one, world) and not any(subset.labels.items() <= labels.items() for labels in selected(one, world))
        for rule in world.destination_rules
        for subset in rule.spec.subsets
        for one in world.services
        if rule.spec.host in (one.name, full_name(one.name, one.namespace)) or rule.spec.host[0] == "*"
    )


def has_tie_in_age(world: World) -> bool:
    times = [one.metadata.creation_timestamp for one in world.virtual_services]
    return len(set(times)) < len(times)


class TestReach:
    """What worlds have to contain now and then."""

    @pytest.mark.parametrize(
        "holds",
        [
            has_shadowed,
            has_governed_service,
            has_wildcard_over_service,
            has_unready_member,
            has_subset_without_pods,
            has_tie_in_age,
        ],
    )
    def test_worlds_have_it(self, holds: Callable[[World], bool]) -> None:
        assert reaches(worlds(), holds)

    @pytest.mark.parametrize("to", ["private", "named", "everybody"])
    def test_virtual_services_are_exported_to_all_kinds_of_readers(self, to: str) -> None:
        kinds: dict[str, Callable[[VirtualService], bool]] = {
            "private": lambda one: set(one.spec.export_to) == {"."},
            "named": lambda one: one.namespace == "shop" and "bank" in one.spec.export_to,
            "everybody": lambda one: one.spec.export_to == ("*",),
        }
        assert reaches(virtual_services(), kinds[to])

    def test_rules_end_before_their_last(self) -> None:
        def has_dead_rule(one: VirtualService) -> bool:
            return any(not rule.match for rule in one.spec.http[:-1])

        assert reaches(virtual_services(), has_dead_rule)

    def test_rules_of_the_root_namespace_for_a_service_of_another(self) -> None:
        assert reaches(destination_rules(), lambda one: one.namespace == ROOT and "shop" in one.spec.host)

    def test_ports_and_pods_by_name(self) -> None:
        def by_name(services: tuple[Service, ...]) -> bool:
            return any(port.target_port == "http" for one in services for port in one.spec.ports)

        assert reaches(many_services(), by_name)
        assert reaches(
            many_pods(), lambda pods: any(port.name == "http" for pod in pods for port in pod.spec.containers[0].ports)
        )

    @given(worlds(), clients)
    def test_every_world_compiles_without_an_error(self, world: World, client: tuple[str, dict[str, str]]) -> None:
        """Warnings there may be; and a table that a proxy would take."""
        mesh = mr.Mesh(world.resources)
        assert mr.Severity.ERROR not in {one.severity for one in mesh.diagnostics}
        table = mesh.router(mr.Sidecar(*client)).table
        assert mr.RoutingTable.from_json(table.to_json()) == table
