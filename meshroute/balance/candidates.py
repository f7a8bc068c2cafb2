"""Which endpoints of a cluster a policy may see.

Source    spec/balance.md BAL-1; envoyproxy/envoy: source/common/upstream/load_balancer_impl.cc; as Istio configures
          it, with the panic threshold at 0, so that an unhealthy endpoint is never chosen, not even for want of a
          healthy one
Inputs    endpoints in order; the order is kept.
Errors    none. An empty answer means that no host is healthy.
Left out  priorities, panic above 0, localities.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshroute.table import Endpoint, Health


def usable(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The healthy endpoints, in their order."""
    return tuple(endpoint for endpoint in endpoints if endpoint.health is Health.HEALTHY)
