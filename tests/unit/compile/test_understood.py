"""The list of fields that decisions act upon, held against the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from meshroute.compile.understood import ACTED_ON, WHOLE, Fields, not_acted_on
from meshroute.diagnostics import path_text
from meshroute.load.kinds import MODELS
from meshroute.manifest.istio import DestinationRuleSpec, VirtualServiceSpec
from meshroute.manifest.istio_gateway import GatewaySpec
from meshroute.manifest.istio_services import ServiceEntrySpec, WorkloadEntrySpec, WorkloadGroupSpec
from meshroute.manifest.istio_sidecar import SidecarSpec

SPECS: dict[str, type[BaseModel]] = {
    "DestinationRule": DestinationRuleSpec,
    "Gateway": GatewaySpec,
    "ServiceEntry": ServiceEntrySpec,
    "Sidecar": SidecarSpec,
    "VirtualService": VirtualServiceSpec,
    "WorkloadEntry": WorkloadEntrySpec,
    "WorkloadGroup": WorkloadGroupSpec,
}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in a field's type, through lists and options; None for plain values and for maps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if getattr(annotation, "__origin__", None) in (dict, None) and not get_args(annotation):
        return None
    models = {found for one in get_args(annotation) if (found := model_in(one)) is not None}
    return models.pop() if len(models) == 1 and "Mapping" not in str(annotation) else None


def fields(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The fields of a model by their names in manifests, with the model of what is in them."""
    return {field.alias or name: model_in(field.annotation) for name, field in model.model_fields.items()}


def listed(known: Fields, model: type[BaseModel], path: str) -> Iterator[tuple[str, bool]]:
    """Every path that a list of fields names, and whether the models have it."""
    for name, below in known.items():
        there = fields(model)
        yield f"{path}.{name}", name in there
        inner = there.get(name)
        if below and inner is not None:
            yield from listed(below, inner, f"{path}.{name}")
        elif below:
            yield f"{path}.{name}: nothing below it", False


def places(known: Fields, model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every field path of the models, as far down as the list looks, and whether it is acted upon."""
    for name, inner in fields(model).items():
        below = known.get(name)
        yield (*path, name), below is not None
        if below and inner is not None:
            yield from places(below, inner, (*path, name))


@pytest.mark.parametrize("kind", SPECS)
def test_every_field_of_the_list_exists(kind: str) -> None:
    assert [path for path, there in listed(ACTED_ON[kind], SPECS[kind], "spec") if not there] == []


def test_the_list_is_for_the_kinds_of_istio() -> None:
    istio = {one.__name__ for one in MODELS if any("istio" in version for version in one.api_versions)}
    assert set(ACTED_ON) == set(SPECS) == istio
    assert WHOLE == {}


def filled(model: type[BaseModel], path: tuple[str, ...]) -> BaseModel:
    """A model in which exactly the field at a path is set, without any checks of its value."""
    name, *rest = path
    attribute, field = next((key, one) for key, one in model.model_fields.items() if (one.alias or key) == name)
    value: Any = "set"
    if rest:
        inner = fields(model)[name]
        assert inner is not None
        value = filled(inner, tuple(rest))
        if "tuple" in str(field.annotation):
            value = (value,)
    return model.model_construct(_fields_set={attribute}, **{**dict.fromkeys(model.model_fields), attribute: value})


def cases() -> list[tuple[str, tuple[str, ...], bool]]:
    return [(kind, path, acted) for kind, model in SPECS.items() for path, acted in places(ACTED_ON[kind], model, ())]


@pytest.mark.parametrize(
    ("kind", "path", "acted"), cases(), ids=lambda one: ".".join(one) if isinstance(one, tuple) else None
)
def test_a_field_that_is_set_is_reported_unless_it_is_in_the_list(
    kind: str, path: tuple[str, ...], acted: bool
) -> None:
    found = [
        tuple(step for step in one if isinstance(step, str)) for one in not_acted_on(kind, filled(SPECS[kind], path))
    ]
    assert found == ([] if acted else [path])


def test_there_are_fields_of_both_kinds() -> None:
    """Both lists are long: an empty one would prove nothing."""
    assert sum(acted for _, _, acted in cases()) > 40
    assert sum(not acted for _, _, acted in cases()) > 15


class TestWalk:
    """What is reported of a resource."""

    def test_each_place_once(self) -> None:
        spec = VirtualServiceSpec.model_validate(
            {
                "hosts": ["web"],
                "http": [
                    {"fault": {"delay": {"fixedDelay": "5s"}}, "route": [{"destination": {"host": "web"}}]},
                ],
                "tcp": [
                    {"match": [{"sourceSubnet": "10.0.0.0/8"}, {"sourceSubnet": "10.0.0.0/8", "port": 80}]},
                    {"match": [{"sourceSubnet": "10.0.0.0/8"}]},
                ],
            }
        )
        assert [path_text(path) for path in not_acted_on("VirtualService", spec)] == [
            "tcp[0].match[0].sourceSubnet",
            "tcp[0].match[1].sourceSubnet",
            "tcp[1].match[0].sourceSubnet",
        ]

    def test_what_is_not_written_is_not_reported(self) -> None:
        """A default is nobody's wish, and neither is a null."""
        spec = VirtualServiceSpec(hosts=("web",), http=())
        assert list(not_acted_on("VirtualService", spec)) == []
        assert (
            list(not_acted_on("VirtualService", VirtualServiceSpec.model_validate({"http": [{"timeout": None}]}))) == []
        )

    def test_keys_of_maps_are_nobody_s_fields(self) -> None:
        """A header may be called `timeout`."""
        spec = VirtualServiceSpec.model_validate({"http": [{"match": [{"headers": {"timeout": {"exact": "1"}}}]}]})
        assert list(not_acted_on("VirtualService", spec)) == []
