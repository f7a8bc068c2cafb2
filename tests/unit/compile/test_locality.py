"""Keeping traffic near: what settings mean by places, and what a client makes of a few endpoints.

Source    istio/istio: pilot/pkg/networking/util/util_test.go (TestLocalityMatch), loadbalancer_test.go
"""

from __future__ import annotations

import pytest

from meshroute.compile.locality import ByLocality, ByZone, matches, preference_of, spread
from meshroute.compile.registry import Member
from meshroute.compile.topology import Client
from meshroute.manifest.istio import LoadBalancerSettings, LocalityLbSetting, ZoneAwareLbSetting
from meshroute.manifest.kubernetes import TrafficDistribution
from meshroute.table import Endpoint, LocalityWeight, ZoneAware


@pytest.mark.parametrize(
    ("place", "rule", "expected"),
    [
        ("region1/zone1/subzone1", "region1/zone1/subzone1", True),
        ("region1/zone1/subzone1", "region1/zone1/subzone2", False),
        ("region1/zone1/subzone1", "*", True),
        ("region1/zone1/subzone1", "region1/*", True),
        ("region1/zone1/subzone1", "region1/zone1/*", True),
        ("region1/zone1/subzone1", "region1", True),
        ("region1/zone1/subzone1", "region1/zone1", True),
        ("region1/zone1/subzone1", "region2", False),
        ("region1/zone1/subzone1", "region1/zone2", False),
        ("region1//", "region1/zone1", False),
        ("", "region1", False),
        ("", "*", True),
        ("", "", True),
        ("region1//", "", False),
    ],
)
def test_what_a_setting_means(place: str, rule: str, expected: bool) -> None:
    assert matches(place, rule) is expected


MEMBERS = (
    Member(Endpoint("10.8.0.1", 80, locality="us/us-1/"), {"v": "1"}),
    Member(Endpoint("10.8.0.2", 80, locality="eu/eu-1/", weight=3), {"v": "2"}),
    Member(Endpoint("10.8.0.3", 80, locality="eu/eu-1/"), {"v": "1"}),
)
HERE = Client("eu/eu-1/", {"v": "1"})


def test_without_a_setting_only_the_order_changes() -> None:
    found = spread(MEMBERS, HERE, None, outliers=True)
    assert [(one.address, one.priority) for one in found.endpoints] == [
        ("10.8.0.2", 0),
        ("10.8.0.3", 0),
        ("10.8.0.1", 0),
    ]
    assert (found.locality_weights, found.zone_aware) == (None, None)


def test_a_locality_is_divided_by_labels() -> None:
    found = spread(MEMBERS, HERE, ByLocality(LocalityLbSetting(failover_priority=("v",))), outliers=True)
    assert [(one.address, one.priority) for one in found.endpoints] == [
        ("10.8.0.3", 0),
        ("10.8.0.2", 1),
        ("10.8.0.1", 0),
    ]
    assert found.locality_weights == (
        LocalityWeight("eu/eu-1/", 1, 0),
        LocalityWeight("eu/eu-1/", 3, 1),
        LocalityWeight("us/us-1/", 1, 0),
    )


def test_zones_are_balanced_inside_a_region() -> None:
    found = spread(MEMBERS, HERE, ByZone(ZoneAwareLbSetting(min_cluster_size=2)), outliers=False)
    assert [one.priority for one in found.endpoints] == [0, 0, 1]
    assert found.zone_aware == ZoneAware(100.0, 2)


def test_a_cluster_without_endpoints_stays_empty() -> None:
    for preference in (None, ByLocality(LocalityLbSetting(), forced=True), ByZone(ZoneAwareLbSetting())):
        assert spread((), HERE, preference, outliers=True).endpoints == ()


def test_a_rule_goes_before_the_service_before_the_mesh() -> None:
    off = LoadBalancerSettings(locality_lb_setting=LocalityLbSetting(enabled=False))
    mesh = LocalityLbSetting()
    assert preference_of(off, TrafficDistribution.PREFER_CLOSE, mesh) is None
    forced = preference_of(LoadBalancerSettings(), TrafficDistribution.PREFER_CLOSE, mesh)
    assert isinstance(forced, ByLocality)
    assert forced.forced
    assert preference_of(None, None, mesh) == ByLocality(mesh)
