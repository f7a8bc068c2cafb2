"""Viewpoints that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

import meshroute as mr


@pytest.mark.parametrize("families", [(), ("IPv5",), ("IPv4", "ipv6")])
def test_a_proxy_has_addresses_of_known_kinds(families: Any) -> None:
    with pytest.raises(ValueError, match="a proxy has addresses of `IPv4`, `IPv6` or both"):
        mr.Sidecar(families=families)


def test_routers_are_told_apart_by_all_that_a_viewpoint_says() -> None:
    mesh = mr.loads("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}")
    seen = [mr.Sidecar(), mr.Sidecar(node="n"), mr.Sidecar(families=("IPv4",)), mr.Sidecar("other")]
    assert len({id(mesh.router(one)) for one in seen}) == 4
    assert mesh.router(mr.Sidecar(node="n")) is mesh.router(seen[1])
