"""Which fields of Istio's resources decisions act upon. Everything else that somebody sets is reported.

Inputs    a validated resource. Exactness: a field is reported once for each place where it is set to anything.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from pydantic import BaseModel

from meshroute.diagnostics import FieldPath

Fields: TypeAlias = "Mapping[str, Fields]"
"""Field names that are acted upon; below each, the same for what is in it, or WHOLE."""

WHOLE: Final[Fields] = {}
"""Acted upon with everything in it."""


def _whole(names: str) -> dict[str, Fields]:
    return dict.fromkeys(names.split(), WHOLE)


_OUTLIER_DETECTION: Final[Fields] = _whole(
    "splitExternalLocalOriginErrors consecutiveLocalOriginFailures consecutiveGatewayErrors consecutive5xxErrors"
    " consecutiveErrors interval baseEjectionTime maxEjectionPercent minHealthPercent"
)
_BALANCER: Final[Fields] = _whole(
    "simple consistentHash localityLbSetting zoneAwareLbSetting warmup warmupDurationSecs"
)
# Limits on connections and requests are never asked which endpoint is chosen, so nobody needs to be told of them.
_AT_A_PORT: Final[Fields] = {"loadBalancer": _BALANCER, "outlierDetection": _OUTLIER_DETECTION, "connectionPool": WHOLE}
_TRAFFIC_POLICY: Final[Fields] = {**_AT_A_PORT, "portLevelSettings": {"port": WHOLE, **_AT_A_PORT}}
ACTED_ON: Final[Mapping[str, Fields]] = {
    "VirtualService": {
        **_whole("hosts gateways exportTo tls"),
        "tcp": {
            "match": _whole("destinationSubnets port sourceLabels sourceNamespace gateways"),
            "route": WHOLE,
        },
        "http": _whole(
            "name match route redirect directResponse delegate rewrite timeout retries mirror mirrors"
            " mirrorPercentage mirrorPercent mirror_percent corsPolicy headers fault"
        ),
    },
    "DestinationRule": {
        **_whole("host exportTo workloadSelector"),
        "subsets": {**_whole("name labels"), "trafficPolicy": _TRAFFIC_POLICY},
        "trafficPolicy": _TRAFFIC_POLICY,
    },
    # Certificates and versions of TLS decide who is let in, not where requests go.
    "Gateway": {
        "selector": WHOLE,
        "servers": _whole("port hosts tls name"),
    },
    # Where a service stands and who may present its certificate changes no decision.
    "ServiceEntry": _whole(
        "hosts addresses ports location resolution endpoints workloadSelector exportTo subjectAltNames"
    ),
    # What comes in to a workload is not what its proxy decides about here.
    "Sidecar": {
        **_whole("workloadSelector ingress inboundConnectionPool outboundTrafficPolicy"),
        "egress": {"hosts": WHOLE, "port": _whole("number protocol name targetPort")},
    },
    "WorkloadEntry": _whole("address ports labels network locality weight serviceAccount"),
    # By itself a group is no workload: nothing in it could change a decision.
    "WorkloadGroup": _whole("metadata template probe"),
}
"""By kind, from `spec` downwards."""


def not_acted_on(kind: str, spec: BaseModel) -> Iterator[FieldPath]:
    """The field paths, below `spec`, of everything set that decisions do not act upon."""
    yield from _walk(ACTED_ON[kind], spec, ())


def _walk(fields: Fields, value: object, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from _walk(fields, one, (*path, index))
    elif isinstance(value, BaseModel):
        for attribute, field in type(value).model_fields.items():
            one = getattr(value, attribute)
            if one is None or attribute not in value.model_fields_set:
                continue
            name = field.alias or attribute
            below = fields.get(name)
            if below is None:
                yield (*path, name)
            elif below:
                yield from _walk(below, one, (*path, name))
