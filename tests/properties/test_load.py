"""Loading: what is written is what is read, at the place where it is written, whatever the text."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshroute.diagnostics import Code, Severity
from meshroute.load import Loaded, load_text
from meshroute.load.documents import read_documents
from meshroute.load.places import Problems, Shared
from meshroute.manifest import Resource

# Texts with everything that YAML could mistake for something else. Small worlds make collisions likely.
words = st.sampled_from(["a", "b", "web", "v1", "yes", "1", "1.10", "~", "", "<<", "0x1F", "- x", "a: b", "# c", "é😀"])
texts = words | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts
finite = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(
    finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def read(text: str) -> tuple[list[Any], Problems]:
    problems = Problems()
    return [document.value for document in read_documents(text, "f", problems, Shared())], problems


class TestValues:
    """A value that is written out reads as itself."""

    @given(value=trees, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2, "\t"]))
    def test_json(self, value: Any, ascii_only: bool, indent: int | str | None) -> None:
        if not isinstance(value, dict | list):
            value = [value]
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        assert read(text) == ([value], [])

    @given(value=trees, flow=st.sampled_from([None, True, False]), canonical=st.booleans())
    def test_yaml(self, value: Any, flow: bool | None, canonical: bool) -> None:
        # PyYAML's writer resolves YAML 1.1 as its authors read it; quoting all texts leaves only structure to chance.
        # Its floats without a point (`1e+16`) are texts to it, so numbers are compared by JSON above.
        value = _without_floats(value)
        text = yaml.dump(value, Dumper=_Quoting, default_flow_style=flow, canonical=canonical, allow_unicode=True)
        assert read(text) == ([value], [])

    @given(value=trees)
    def test_every_value_has_a_place_of_its_own(self, value: Any) -> None:
        text = json.dumps([value], indent=1, ensure_ascii=False)
        (document,) = read_documents(text, "f", Problems(), Shared())
        lines = text.split("\n")
        for path, _ in _walk([value]):
            at = document.at(path)
            rest = lines[at.line - 1][at.column - 1 :]
            expected = json.dumps(
                path[-1] if path and isinstance(path[-1], str) else _at([value], path), ensure_ascii=False
            )
            assert rest.startswith(expected[:1])
            if path and isinstance(path[-1], str):
                assert rest.startswith(f"{expected}:")


class _Quoting(yaml.SafeDumper):
    """Writes every text in quotes, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoting.add_representer(str, _quoted)


def _without_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_floats(one) for one in value]
    return int(value) % 1000 if isinstance(value, float) else value


def _walk(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every place in a value, with its path."""
    found: list[tuple[tuple[str | int, ...], Any]] = [(path, value)]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _walk(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            found += _walk(one, (*path, number))
    return found


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


# Valid objects, built as plain values.

names = st.sampled_from(["a", "web", "front", "v1"])
labels = st.dictionaries(
    st.sampled_from(["app", "version", "a.b/c"]), st.sampled_from(["", "1", "v1", "yes"]), max_size=2
)
matches = st.fixed_dictionaries({}, optional={"exact": st.just("/x")}) | st.sampled_from(
    [{"prefix": "/v2"}, {"regex": "/[a-z]+"}]
)
destinations = st.fixed_dictionaries({"host": names}, optional={"subset": names, "port": st.just({"number": 80})})
routes = st.lists(
    st.fixed_dictionaries({"destination": destinations}, optional={"weight": st.integers(0, 100)}),
    min_size=1,
    max_size=2,
)
rules = st.fixed_dictionaries(
    {
        "match": st.lists(
            st.fixed_dictionaries(
                {}, optional={"uri": matches, "headers": st.dictionaries(names, matches, max_size=1)}
            ),
            min_size=1,
            max_size=2,
        ),
        "route": routes,
    },
    optional={"timeout": st.sampled_from(["5s", "1.5s"]), "name": names},
)
metadata = st.fixed_dictionaries({"name": names}, optional={"labels": labels, "namespace": names})
virtual_services = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from([f"networking.istio.io/{version}" for version in ("v1", "v1beta1", "v1alpha3")]),
        "kind": st.just("VirtualService"),
        "metadata": metadata,
        "spec": st.fixed_dictionaries(
            {"hosts": st.lists(names, min_size=1, max_size=2), "http": st.lists(rules, min_size=1, max_size=3)}
        ),
    }
)
destination_rules = st.fixed_dictionaries(
    {
        "apiVersion": st.just("networking.istio.io/v1"),
        "kind": st.just("DestinationRule"),
        "metadata": metadata,
        "spec": st.fixed_dictionaries(
            {"host": names, "subsets": st.lists(st.fixed_dictionaries({"name": names, "labels": labels}), max_size=2)},
            optional={"trafficPolicy": st.just({"loadBalancer": {"simple": "RANDOM"}})},
        ),
    }
)
services = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v1"),
        "kind": st.just("Service"),
        "metadata": metadata,
        "spec": st.fixed_dictionaries(
            {
                "ports": st.lists(
                    st.fixed_dictionaries({"port": st.integers(1, 65535)}, optional={"targetPort": st.just("http")}),
                    min_size=1,
                    max_size=2,
                )
            },
            optional={"selector": labels},
        ),
    }
)
objects = virtual_services | destination_rules | services


def written(value: Any, style: str) -> str:
    match style:
        case "json":
            return json.dumps(value)
        case "indented":
            return json.dumps(value, indent=2)
        case _:
            return yaml.safe_dump(value, sort_keys=False, default_flow_style=style == "flow")


styles = st.sampled_from(["json", "indented", "block", "flow"])


def loaded(text: str | bytes, **options: Any) -> Loaded:
    return load_text(text, "f.yaml", **options)


class TestObjects:
    """A valid object loads, the same from YAML and from JSON."""

    @given(value=objects, style=styles)
    def test_loads_equal_however_it_is_written(self, value: Any, style: str) -> None:
        found = loaded(written(value, style))
        assert found.diagnostics == ()
        (resource,) = found.resources
        assert loaded(written(value, "json")).resources == (resource,)
        assert _same(resource, value)

    @given(value=objects, style=styles)
    def test_repair_is_silent_on_what_is_valid(self, value: Any, style: str) -> None:
        text = written(value, style)
        assert loaded(text, repair=True) == loaded(text)

    @given(value=objects, style=styles)
    def test_items_of_a_list_are_objects(self, value: Any, style: str) -> None:
        found = loaded(written({"apiVersion": "v1", "kind": "List", "items": [value]}, style))
        assert found.resources == loaded(written(value, style)).resources
        assert found.resources[0].at("spec").path == "items[0].spec"


def _same(resource: Resource, value: Any) -> bool:
    """Whether a resource says what the plain value says: nothing lost, nothing but defaults added."""
    said: Any = resource.model_dump(mode="json", by_alias=True, exclude_unset=True, fallback=str)
    if "namespace" not in value["metadata"]:
        assert said["metadata"].pop("namespace") == "default"
    return bool(said == value)


class TestPlanted:
    """A slip anywhere in a valid object is found where it is."""

    @given(value=objects, style=styles, strict=st.booleans(), data=st.data())
    def test_an_unknown_field(self, value: Any, style: str, strict: bool, data: st.DataObject) -> None:
        spots = [path for path, one in _walk(value) if isinstance(one, dict) and _is_object(path)]
        path = data.draw(st.sampled_from(spots))
        planted = json.loads(json.dumps(value))  # deepcopy would keep what the strategies share
        _at(planted, path)["zzSlip"] = "x"
        text = written(planted, style)
        found = loaded(text, strict=strict)
        unknown = [one for one in found.diagnostics if one.code is Code.FIELD_UNKNOWN]
        assert len(unknown) == 1
        assert text.split("\n")[unknown[0].at.line - 1][unknown[0].at.column - 1 :].lstrip('"').startswith("zzSlip")
        assert unknown[0].severity is (Severity.ERROR if strict else Severity.WARNING)
        assert len(found.diagnostics) == 1
        assert found.resources == (() if strict else loaded(written(value, style)).resources)

    @given(value=objects, style=styles, data=st.data())
    def test_a_wrong_type(self, value: Any, style: str, data: st.DataObject) -> None:
        spots = [path for path, one in _walk(value) if isinstance(one, str) and path[-1] not in ("apiVersion", "kind")]
        path = data.draw(st.sampled_from([one for one in spots if one[-1] != "targetPort"]))
        planted = json.loads(json.dumps(value))  # deepcopy would keep what the strategies share
        _at(planted, path[:-1])[path[-1]] = 31337.5
        text = written(planted, style)
        found = loaded(text)
        assert found.resources == ()
        (wrong,) = found.diagnostics
        assert wrong.code is Code.FIELD_TYPE
        assert wrong.message == "must be of type string: `31337.5` is of type number"
        here = text.split("\n")[wrong.at.line - 1][wrong.at.column - 1 :]
        assert here.startswith("31337.5") if isinstance(path[-1], int) else here.lstrip("\"'").startswith(str(path[-1]))

    @given(value=objects, label=st.sampled_from(["1", "1.10", "yes", "0x10"]), name=st.sampled_from(["app", "version"]))
    def test_repair_gives_labels_as_they_were_written_and_does_so_once(self, value: Any, label: str, name: str) -> None:
        meant = json.loads(json.dumps(value))
        meant["metadata"]["labels"] = {name: label}
        text = yaml.safe_dump(meant, sort_keys=False, default_flow_style=False)
        slipped = text.replace(f"    {name}: '{label}'", f"    {name}: {label}", 1)
        found = loaded(slipped, repair=True)
        assert [one.code for one in found.diagnostics] == [Code.REPAIRED_LABEL_VALUE]
        assert found.resources == loaded(text).resources
        assert loaded(text, repair=True).diagnostics == ()


def _is_object(path: tuple[str | int, ...]) -> bool:
    """Whether a mapping has fields; the others have names that people choose."""
    return not path or path[-1] not in ("labels", "selector", "headers")


fragments = st.sampled_from(
    [
        "apiVersion: v1\n",
        "kind: Service\n",
        "kind: List\nitems:\n",
        "metadata:\n",
        "  name: a\n",
        "spec:\n",
        "  ports: [{port: 1}]\n",
        "---\n",
        "- ",
        "&a ",
        "*a ",
        "<<: ",
        "? ",
        "!!str ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        '"',
        "'",
        "|\n",
        ">-\n",
        "\t",
        " ",
        "\r",
        "\u2028",
        "\ufeff",
        "# x\n",
        "%YAML 1.1\n",
        "...\n",
        "null",
        "1",
        ",",
        "\x00",
        "\ud800",
    ]
)


class TestAnything:
    """Whatever the text is, loading answers."""

    @given(data=st.binary(max_size=200))
    def test_bytes(self, data: bytes) -> None:
        _sound(loaded(data))

    @given(text=st.text(st.characters(), max_size=100))
    def test_text(self, text: str) -> None:
        _sound(loaded(text))

    @given(parts=st.lists(fragments, max_size=25), repair=st.booleans(), strict=st.booleans())
    def test_pieces_of_manifests(self, parts: list[str], repair: bool, strict: bool) -> None:
        _sound(loaded("".join(parts), repair=repair, strict=strict))

    @given(value=objects, other=trees, data=st.data(), repair=st.booleans(), strict=st.booleans())
    def test_objects_with_anything_anywhere(
        self, value: Any, other: Any, data: st.DataObject, repair: bool, strict: bool
    ) -> None:
        path = data.draw(st.sampled_from([path for path, _ in _walk(value) if path]))
        _at(value, path[:-1])[path[-1]] = other
        found = loaded(json.dumps(value), repair=repair, strict=strict)
        _sound(found)
        assert not any("nput should" in one.message for one in found.diagnostics)
        assert found.resources or found.diagnostics

    @given(text=st.lists(fragments, max_size=25).map("".join))
    def test_twice_is_the_same(self, text: str) -> None:
        assert loaded(text) == loaded(text)


def _sound(found: Loaded) -> None:
    """Every diagnostic is complete, and errors leave nothing half read."""
    for one in found.diagnostics:
        assert one.message
        assert one.message == one.message.strip()
        assert "\n" not in one.message
        assert one.at.file == "f.yaml"
        assert one.at.line >= 1
        assert one.at.column >= 1
    for resource in found.resources:
        assert resource.at().line >= 1
