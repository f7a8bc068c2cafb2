"""Messages as proto3 JSON has them: fields by name, checked, and none left over.

Source    protobuf.dev: ProtoJSON format; names in snake_case, as files have them, or in camelCase, as tools print them
Inputs    mappings, lists, texts and numbers, as a JSON or YAML reader gives them.
Errors    TableError, with the path of what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from meshroute.names import wire
from meshroute.table import TableError

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DURATION: Final = re.compile(r"(\d+)(?:\.(\d{1,9}))?s")


class Message:
    """One message, and where it stands. What is not taken is refused by `done`."""

    __slots__ = ("_left", "where")

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise TableError(f"{where or 'the configuration'}: not a message")
        self.where: Final = where
        self._left: Final[dict[str, Any]] = {}
        for key, one in value.items():
            name = _CAPITAL.sub(lambda found: "_" + found[1].lower(), key) if not key.startswith("@") else key
            if name in self._left:
                raise TableError(f"{self.at(name)}: said twice")
            if one is not None:
                self._left[name] = one

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.where}.{name}" if self.where else name

    def wrong(self, name: str, what: str) -> TableError:
        """The error to raise for a field."""
        return TableError(f"{self.at(name)}: {what}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not taken yet."""
        return name in self._left

    def take(self, name: str) -> Any:
        """The field as it is; None where it is not there."""
        return self._left.pop(name, None)

    def text(self, name: str, default: str = "") -> str:
        """A text, in wire form."""
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "not a text")
        return wire(value)

    def given(self, name: str) -> str:
        """A text that is not empty."""
        text = self.text(name)
        if not text:
            raise self.wrong(name, "failed validation: value length must be at least 1 character")
        return text

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "not true or false")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """A whole number, which JSON may have as a text."""
        value = self._left.pop(name, default)
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, "not a whole number")
        return value

    def choice(self, name: str, names: Mapping[str, Any], default: str) -> Any:
        """What the name of a constant stands for; constants may be said as their number, in the order of `names`."""
        value = self._left.pop(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return list(names.values())[value]
        if value not in names:
            raise self.wrong(name, f"`{value}` is not one of {', '.join(names)}")
        return names[value]

    def milliseconds(self, name: str) -> int | None:
        """A duration; None where it is not there."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.wrong(name, "not a duration such as `1.5s`")
        return int(found[1]) * 1000 + int((found[2] or "").ljust(9, "0")[:3])

    def message(self, name: str) -> Message | None:
        """A message inside this one; None where it is not there."""
        value = self._left.pop(name, None)
        return None if value is None else Message(value, self.at(name))

    def needed(self, name: str) -> Message:
        """A message inside this one that must be there."""
        found = self.message(name)
        if found is None:
            raise self.wrong(name, "failed validation: value is required")
        return found

    def messages(self, name: str) -> list[Message]:
        """A list of messages."""
        return [Message(one, f"{self.at(name)}[{number}]") for number, one in enumerate(self._list(name))]

    def texts(self, name: str) -> list[str]:
        """A list of texts, in wire form."""
        some = self._list(name)
        if not all(isinstance(one, str) for one in some):
            raise self.wrong(name, "not a list of texts")
        return [wire(one) for one in some]

    def numbers(self, name: str) -> list[int]:
        """A list of whole numbers."""
        some = self._list(name)
        if not all(isinstance(one, int) for one in some):
            raise self.wrong(name, "not a list of whole numbers")
        return some

    def map(self, name: str) -> dict[str, Any]:
        """A map, whose keys are no field names."""
        value = self._left.pop(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, "not a map")
        return dict(value)

    def one_of(self, names: Iterable[str], what: str) -> str:
        """Which of the fields is there: exactly one must be."""
        found = [name for name in names if name in self._left]
        if len(found) != 1:
            said = "none" if not found else " and ".join(f"`{name}`" for name in found)
            raise TableError(f"{self.where}: failed validation: {what}: exactly one is required, and there is {said}")
        return found[0]

    def done(self, ignored: Iterable[str] = ()) -> None:
        """Nothing is left but what has no part in routing."""
        for name in self._left.keys() - set(ignored):
            raise self.wrong(name, "not modelled")

    def _list(self, name: str) -> list[Any]:
        value = self._left.pop(name, [])
        if not isinstance(value, list | tuple):
            raise self.wrong(name, "not a list")
        return list(value)
