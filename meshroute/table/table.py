"""RoutingTable: all that one data plane executes, as a value with a canonical JSON form.

Source    spec/table.md TABLE-1
Exactness equal tables have equal JSON, byte for byte, and JSON read back is an equal table.
Errors    TableError for JSON that is not a table, with the path of what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshroute.names import ClusterName
from meshroute.table.cluster import Cluster
from meshroute.table.route import Listener


class TableError(ValueError):
    """Not a routing table, or one that a proxy would refuse."""


class RoutingTable(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Listeners by port, clusters by name, and the cluster that takes what no listener expects.

    `otherwise` names a cluster for ports without a listener; empty means that nothing does: no route. `locality` is
    where the proxy itself runs, and `local_cluster` the cluster that it is an endpoint of; naming one turns zone-aware
    routing on.
    """

    listeners: tuple[Listener, ...]
    clusters: tuple[Cluster, ...]
    otherwise: ClusterName = ClusterName("")
    locality: str = ""
    local_cluster: ClusterName = ClusterName("")

    def to_json(self) -> str:
        """The canonical form: keys sorted, defaults left out, two spaces of indent, a newline at the end."""
        text = msgspec.json.encode(_without_defaults(self), order="sorted")
        return msgspec.json.format(text, indent=2).decode() + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> RoutingTable:
        """The table that `to_json` wrote. Raises TableError."""
        try:
            return _DECODER.decode(text)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise TableError(str(error)) from error


_DECODER = msgspec.json.Decoder(RoutingTable, strict=True)


def _without_defaults(value: Any) -> Any:
    """A value as JSON has it. msgspec's own `omit_defaults` leaves out what is the default, not what equals it."""
    if not isinstance(value, msgspec.Struct):
        if isinstance(value, tuple):
            return [_without_defaults(one) for one in value]
        return {key: _without_defaults(one) for key, one in value.items()} if isinstance(value, Mapping) else value
    tag = value.__struct_config__.tag
    said: dict[str, Any] = {} if tag is None else {"type": tag}
    for field in msgspec.structs.fields(value):
        one = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if one != default:
            said[field.encode_name] = _without_defaults(one)
    return said
