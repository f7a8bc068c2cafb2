"""simulate: a clock, a workload, and a loop that feeds effects back to who decides.

Source    docs/simulate.md
Inputs    a Scenario: clients, pods, and proxies (`Through`) or a balancer of connections (`Straight`).
Exactness the same scenario and seed, the same bytes.
Errors    ValueError for scenarios that cannot be.

>>> import meshroute as mr
>>> from meshroute import simulate
>>> from meshroute.table import Cluster, Endpoint, RoundRobin
>>> web = Cluster("web", RoundRobin(), tuple(Endpoint(f"10.8.0.{n}", 80, f"default/web-{n}") for n in range(3)))
>>> through = simulate.Through(mr.Router(mr.RoutingTable((), (web,), otherwise="web")))
>>> clients = simulate.Clients("shop", 30.0, (simulate.Asking("http://web/"),), arrivals=simulate.Arrivals.IN_STEP)
>>> result = simulate.Simulation(simulate.Scenario((clients,), through, until=10 * simulate.SECOND)).run().result()
>>> [one.requests for one in result.totals], result.outcomes
([100, 100, 100], {'status 200': 300})
"""

from meshroute.simulate.chance import Constant, Distribution, Empirical, Exponential, Lognormal
from meshroute.simulate.connections import ByKubeProxy, ConnectionBalancer, PerConnectionRandom, of_service
from meshroute.simulate.loop import Simulation, fits_pod
from meshroute.simulate.model import (
    SECOND,
    Arrivals,
    Asking,
    Change,
    Clients,
    KeepAlive,
    Scenario,
    Serving,
    Straight,
    Target,
    Through,
)
from meshroute.simulate.tally import Columns, Result, Total

__all__ = [
    "SECOND",
    "Arrivals",
    "Asking",
    "ByKubeProxy",
    "Change",
    "Clients",
    "Columns",
    "ConnectionBalancer",
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "KeepAlive",
    "Lognormal",
    "PerConnectionRandom",
    "Result",
    "Scenario",
    "Serving",
    "Simulation",
    "Straight",
    "Target",
    "Through",
    "Total",
    "fits_pod",
    "of_service",
]
