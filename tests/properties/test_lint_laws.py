"""Laws of lint: it answers for any mesh, the same each time, and whatever the order of what it is given."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import meshroute as mr
from meshroute.analysis.lint import CATALOGUE
from meshroute.conformance.strategies import manifests, meshes

World = manifests.World


def wide() -> st.SearchStrategy[list[Any]]:
    """Services, entries, VirtualServices and a Sidecar of three namespaces."""
    return st.tuples(
        meshes.distinct(meshes.services(), 4),
        meshes.distinct(meshes.entries(), 3),
        meshes.distinct(meshes.virtual_services(), 4),
        st.lists(st.sampled_from(meshes.IMPORTS), min_size=1, max_size=3).map(lambda hosts: [meshes.sidecar(hosts)]),
    ).map(lambda some: [one for kind in some for one in kind])


def loaded(resources: list[Any]) -> mr.Mesh | None:
    """A mesh of these, None where it is refused."""
    try:
        return mr.Mesh(resources)
    except mr.ManifestError:
        return None


def said(mesh: mr.Mesh) -> list[str]:
    """What lint finds, in an order of its own: objects built in Python have no places."""
    return sorted(f"{one.code} {one.severity} {one.subject} {one.at.path} {one.message}" for one in mr.lint(mesh))


class TestLint:
    """docs/lint.md."""

    @given(manifests.worlds())
    @settings(deadline=None)
    def test_it_answers_for_any_mesh(self, world: World) -> None:
        """With codes of the catalogue, and something to say."""
        mesh = loaded(world.resources)
        for one in mr.lint(mesh) if mesh is not None else ():
            assert one.code in CATALOGUE
            assert one.message
            assert not one.message.endswith(".")

    @given(manifests.worlds(), st.randoms(use_true_random=False))
    @settings(deadline=None)
    def test_the_order_of_what_is_given_is_no_matter(self, world: World, random: Any) -> None:
        """Nor is it another answer the second time."""
        resources = world.resources
        mesh = loaded(resources)
        if mesh is None:
            return
        before = said(mesh)
        assert said(mesh) == before
        random.shuffle(resources)
        again = loaded(resources)
        assert again is not None
        assert said(again) == before

    @given(wide(), st.randoms(use_true_random=False))
    @settings(deadline=None)
    def test_neither_of_services_of_all_kinds(self, resources: list[Any], random: Any) -> None:
        """Entries that have one host, and Sidecars that import some."""
        mesh = loaded(resources)
        if mesh is None:
            return
        before = said(mesh)
        random.shuffle(resources)
        again = loaded(resources)
        assert again is not None
        assert said(again) == before
