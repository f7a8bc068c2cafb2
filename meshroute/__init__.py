"""meshroute: from manifests to the pod, exactly and offline, with the reason.

>>> import meshroute as mr
>>> mesh = mr.loads('''
... apiVersion: v1
... kind: Service
... metadata: {name: web}
... spec:
...   selector: {app: web}
...   ports: [{port: 80}]
... ---
... apiVersion: v1
... kind: Pod
... metadata: {name: web-0, labels: {app: web}}
... spec: {containers: [{name: web}]}
... status: {podIP: 10.0.0.7}
... ''')
>>> decision = mesh.router().decide(mr.Request.of("GET", "http://web/"))
>>> decision.pod, str(decision.endpoint.key)
('default/web-0', '10.0.0.7:80')
"""

from meshroute.analysis.lint import Finding, LintCode, Witness, lint
from meshroute.analysis.moved import Moved, MovedError, find_cluster, moved
from meshroute.balance.bounded import InexactError
from meshroute.balance.kube_proxy import KubeProxy
from meshroute.balance.outlier import Event
from meshroute.compile.envoy import from_envoy
from meshroute.compile.viewpoint import Gateway, MeshConfig, Sidecar, Waypoint
from meshroute.connection import Connected, Connection
from meshroute.decision import Decision, Failed, Forwarded, Outcome, Redirected, Responded
from meshroute.diagnostics import Code, Diagnostic, ManifestError, Severity, SourceRef
from meshroute.draws import Draws
from meshroute.mesh import Mesh, load, loads
from meshroute.request import Request, RequestError
from meshroute.router import Router
from meshroute.service_proxy import ServiceProxy
from meshroute.service_session import ServiceSession
from meshroute.session import Exchange, Session
from meshroute.shares import Shares
from meshroute.state import State, StateError
from meshroute.table import RoutingTable, RuleRef, TableError
from meshroute.tries import Failure, Reply

__all__ = [
    "Code",
    "Connected",
    "Connection",
    "Decision",
    "Diagnostic",
    "Draws",
    "Event",
    "Exchange",
    "Failed",
    "Failure",
    "Finding",
    "Forwarded",
    "Gateway",
    "InexactError",
    "KubeProxy",
    "LintCode",
    "ManifestError",
    "Mesh",
    "MeshConfig",
    "Moved",
    "MovedError",
    "Outcome",
    "Redirected",
    "Reply",
    "Request",
    "RequestError",
    "Responded",
    "Router",
    "RoutingTable",
    "RuleRef",
    "ServiceProxy",
    "ServiceSession",
    "Session",
    "Severity",
    "Shares",
    "Sidecar",
    "SourceRef",
    "State",
    "StateError",
    "TableError",
    "Waypoint",
    "Witness",
    "find_cluster",
    "from_envoy",
    "lint",
    "load",
    "loads",
    "moved",
]
