"""What every manifest shares: the strict base model, metadata, durations, places.

Source    kubernetes/apimachinery: pkg/apis/meta/v1/types.go; Go's time.ParseDuration and RFC 3339 for the two texts
Inputs    plain values as a YAML or JSON reader gives them, or keyword arguments in Python. Field names are camelCase in
          manifests and snake_case in Python; the loader accepts the former only.
Exactness nothing is coerced: `1` is not a string, `true` is not an integer. Durations keep their text and have exact
          nanoseconds, computed as Go does.
Errors    building a model from wrong values in Python raises pydantic's ValidationError; the loader turns the same
          errors into diagnostics with places.
Left out  resource versions, owners and managed fields are accepted and kept untyped; nothing here reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar, Protocol, Self

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    PrivateAttr,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from meshroute.diagnostics import FieldPath, SourceRef, path_text
from meshroute.names import DEFAULT_NAMESPACE

WRONG_TYPE = "wrong_type"
WRONG_VALUE = "wrong_value"
"""The types of our own validation errors. Their wording is ours already, so the loader passes it through."""

_INITIALISMS = {
    "client_ip": "clientIP",
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "consecutive_5xx_errors": "consecutive5xxErrors",
    "external_ips": "externalIPs",
    "host_ip": "hostIP",
    "host_ips": "hostIPs",
    "load_balancer_ip": "loadBalancerIP",
    "pod_cidr": "podCIDR",
    "pod_cidrs": "podCIDRs",
    "pod_ip": "podIP",
    "pod_ips": "podIPs",
}


def _alias(name: str) -> str:
    """The manifest's spelling of a field: camelCase, except where Kubernetes keeps an initialism."""
    return _INITIALISMS.get(name) or to_camel(name)


class Model(BaseModel):
    """A frozen piece of a manifest. Unknown fields are refused; equal pieces compare equal.

    `one_of` lists groups of fields of which at most one may be set, by their manifest names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_alias, populate_by_name=True)

    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()


def one_of_text(group: tuple[str, ...], written: list[str]) -> str:
    """The wording for a oneOf group of which several members were written."""
    return f"at most one of {quoted(group)} may be set: {quoted(written, 'and')} are"


def quoted(words: tuple[str, ...] | list[str], last: str = "or") -> str:
    """Words in backticks, as a sentence lists them."""
    ticked = [f"`{word}`" for word in words]
    return ticked[0] if len(ticked) == 1 else f"{', '.join(ticked[:-1])} {last} {ticked[-1]}"


class Known:
    """The names that a model accepts beside its declared fields."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


class OneOf(Model):
    """A model with oneOf groups, checked when it is built."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        values = self.__dict__
        for group, names in _members(type(self)):
            if sum(values[name] is not None for name in names) > 1:
                written = [alias for alias, name in zip(group, names, strict=True) if values[name] is not None]
                # The text is an argument, not the template: a template would read braces as places to fill.
                raise PydanticCustomError(WRONG_VALUE, "{text}", {"text": one_of_text(group, written)})
        return self


_MEMBERS: dict[type[OneOf], tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {}


def _members(model: type[OneOf]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Each oneOf group with the attribute names of its members; worked out once for each model."""
    known = _MEMBERS.get(model)
    if known is None:
        by_alias = {field.alias: name for name, field in model.model_fields.items()}
        known = tuple((group, tuple(by_alias[alias] for alias in group)) for group in model.one_of)
        _MEMBERS[model] = known
    return known


# Values

Str = StrictStr
Int = StrictInt
Int32 = Annotated[StrictInt, Field(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
UInt32 = Annotated[StrictInt, Field(ge=0, le=2**32 - 1)]
UInt64 = Annotated[StrictInt, Field(ge=0, le=2**64 - 1)]
Double = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""Whole numbers are doubles too; true and false are not."""

Labels = Mapping[StrictStr, StrictStr]


def kind_of(value: object) -> str:
    """The JSON name of a value's type, as the API server's messages have it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case Mapping():
            return "object"
        case _:
            return "value"


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError(WRONG_TYPE, "integer or string")


IntOrString = Annotated[int | str, PlainValidator(_int_or_string)]

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_UNIT = "(ns|us|µs|μs|ms|s|m|h)"
_PART = re.compile(rf"([0-9]*)(?:\.([0-9]*))?{_UNIT}")
_DURATION = re.compile(rf"([-+]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+){_UNIT})+)")
_LONGEST = 2**63 - 1


class Duration(msgspec.Struct, frozen=True, gc=False):
    """A span of time as written (`1.5s`, `1h30m`, `100ms`) and in whole nanoseconds."""

    text: str
    nanoseconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read a duration as Go's time.ParseDuration does. Raises ValueError.

        >>> Duration.parse("1.5s").nanoseconds
        1500000000
        """
        if text in ("0", "+0", "-0"):
            return cls(text, 0)
        # A duration that fits 63 bits needs no more; what is longer would only cost time.
        whole = _DURATION.fullmatch(text) if len(text) <= 256 else None
        if whole is None:
            raise ValueError("not a duration: write a number with a unit, such as `5s`, `100ms` or `1h30m`")
        total = 0
        for number, fraction, unit in _PART.findall(whole[2]):
            total += int(number or "0") * _UNITS[unit]
            total += _fraction(fraction, _UNITS[unit])
        if total > _LONGEST + (whole[1] == "-"):
            raise ValueError("duration too long: at most 2562047h47m16.854775807s")
        return cls(text, -total if whole[1] == "-" else total)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_duration)


def _fraction(digits: str, unit: int) -> int:
    """Nanoseconds of the digits after a point: Go multiplies in doubles and cuts off, so this does too."""
    number, scale = 0, 1.0
    for digit in digits:
        if number > _LONGEST // 10 or number * 10 + int(digit) > _LONGEST + 1:
            break
        number = number * 10 + int(digit)
        scale *= 10
    return int(float(number) * (float(unit) / scale))


def _duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError(WRONG_TYPE, "string", {"unit": "s"})
    try:
        return Duration.parse(value)
    except ValueError as error:
        raise PydanticCustomError(WRONG_VALUE, "{text}", {"text": str(error)}) from None


def _at_least_a_millisecond(value: Any) -> Duration:
    duration = _duration(value)
    if duration.nanoseconds < 1_000_000:
        raise PydanticCustomError(WRONG_VALUE, "must be at least `1ms`")
    return duration


Span = Annotated[Duration, PlainValidator(_at_least_a_millisecond)]
"""A duration of at least a millisecond, which Istio asks of nearly all of its durations."""

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        # Ages are compared, and Python cannot compare a time without a zone with one that has it.
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if not isinstance(value, str):
        raise PydanticCustomError(WRONG_TYPE, "string")
    parts = _TIME.fullmatch(value)
    try:
        if parts is None:
            raise ValueError
        micros = int((parts[7] or "")[:6].ljust(6, "0"))
        zone = UTC
        if parts[8]:
            ahead = timedelta(hours=int(parts[9]), minutes=int(parts[10]))
            zone = timezone(-ahead if parts[8] == "-" else ahead)
        return datetime(*(int(part) for part in parts.groups()[:6]), micros, tzinfo=zone)  # type: ignore[misc, arg-type] # six integers, in order
    except ValueError:
        raise PydanticCustomError(WRONG_VALUE, "not a time: write it as `2024-05-01T12:00:00Z`") from None


Time = Annotated[datetime, PlainValidator(_time)]


# Places


class Locator(Protocol):
    """Finds the place of a field path inside one object; load/documents.py has the one that reads texts."""

    def at(self, path: FieldPath) -> SourceRef: ...


class _Origin:
    """Where an object came from. All origins are equal: where a thing was written is no part of what it says.

    Pydantic compares private attributes, hence this instead of a bare locator.
    """

    __slots__ = ("locator",)

    def __init__(self, locator: Locator | None = None) -> None:
        self.locator = locator

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Origin)

    def __hash__(self) -> int:
        return 0


_NOWHERE = _Origin()


def _nowhere() -> _Origin:
    """A factory, because pydantic copies a plain default for every object, which costs more than reading its name."""
    return _NOWHERE


# Metadata


class ObjectMeta(Model):
    """Names, labels and times of an object. `name` may be empty where `generate_name` is not."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[
        Annotated[
            str,
            Known(
                "deletionGracePeriodSeconds",
                "finalizers",
                "generation",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "selfLink",
                "uid",
            ),
        ],
        Any,
    ]

    name: Str = ""
    generate_name: Str = ""
    namespace: Str = ""
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None


class Resource(Model):
    """One object with a kind, a name and a place. `namespaced` is false for kinds of the whole cluster."""

    namespaced: ClassVar[bool] = True
    api_versions: ClassVar[tuple[str, ...]] = ()

    metadata: ObjectMeta

    _origin: _Origin = PrivateAttr(default_factory=_nowhere)

    @property
    def name(self) -> str:
        """The object's name; the prefix of one that the server would make up."""
        return self.metadata.name or self.metadata.generate_name

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for kinds of the whole cluster."""
        return (self.metadata.namespace or DEFAULT_NAMESPACE) if self.namespaced else ""

    @property
    def subject(self) -> str:
        """What messages call this object: `VirtualService shop/front`, `Node worker-1`."""
        name = f"{self.namespace}/{self.name}" if self.namespaced else self.name
        return f"{type(self).__name__} {name}"

    def at(self, *path: str | int) -> SourceRef:
        """Where a field of this object is written: its key, or the start of a list item.

        A path that is not written out, such as a default, gives its nearest parent that is. The path is always the one
        asked for. An object built in Python is in file "" at line 0.
        """
        locator = self._origin.locator
        return SourceRef("", path=path_text(path)) if locator is None else locator.at(path)


def placed(resource: Resource, locator: Locator) -> None:
    """Tell a resource where it was written. For loaders, right after they made it."""
    resource._origin = _Origin(locator)
