"""Every diagnostic of compiling, provoked by a text: code, severity, line and field path.

A comment `# <- code severity path` in a text marks the line of a diagnostic; a `;` stands between several. What is
marked is all that is said.
"""

from __future__ import annotations

import inspect

import pytest

import meshroute as mr
from meshroute.compile import wording

WORLD = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {selector: {app: pay}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: web, version: v1}}
spec: {containers: [{name: c}]}
status: {podIP: 10.8.0.1}
---
"""
"""`web` in `default` with a pod of version v1, on an HTTP port and on another; `pay` in `bank`, without pods."""

ISTIO = "apiVersion: networking.istio.io/v1\n"
RULE = ISTIO + "kind: DestinationRule\nmetadata: {name: dr}\n"
ROUTES = ISTIO + "kind: VirtualService\nmetadata: {name: vs}\n"
ENTRY = ISTIO + "kind: ServiceEntry\nmetadata: {name: entry}\n"
ALIAS = """\
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: db.example, ports: [{name: http, port: 80}]}
---
"""
WEB = "  hosts: [web]\n"
DB = """\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{name: tcp-db, port: 5432}]}
---
"""
TO_WEB = "  http: [{route: [{destination: {host: web}}]}]\n"

ZONES = """\
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: eu-1}}
status: {allocatable: {cpu: 4}}
---
apiVersion: v1
kind: Node
metadata: {name: node-b, labels: {topology.kubernetes.io/zone: eu-2}}
status: {allocatable: {cpu: 4}}
---
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: zones}}
spec: {nodeName: node-a, containers: [{name: c}]}
status: {podIP: 10.8.0.7, podIPs: [{ip: 10.8.0.7}, {ip: "fd00::7"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: zones}}
spec: {nodeName: node-a, containers: [{name: c}]}
status: {podIP: 10.8.0.8}
---
apiVersion: v1
kind: Service
"""

CASES = {
    "hints_missing": """\
apiVersion: v1
kind: Service
metadata:
  name: zones
  annotations:
    service.kubernetes.io/topology-mode: Auto  # <- hints-missing warning @mode
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
""",
    "hints_missing: of one family": ZONES
    + """\
metadata:
  name: zones
  annotations:
    service.kubernetes.io/topology-mode: auto  # <- hints-missing warning @mode ; hints-assumed note @mode
spec: {selector: {app: zones}, ipFamilies: [IPv4, IPv6], ports: [{name: http, port: 80}]}
""",
    "hints_missing: not where nobody is selected": """\
apiVersion: v1
kind: Service
metadata: {name: zones, annotations: {service.kubernetes.io/topology-mode: Auto}}
spec: {ports: [{name: http, port: 80}]}
""",
    "hints_missing: not behind a name": ALIAS.replace(
        "{name: alias}", "{name: alias, annotations: {service.kubernetes.io/topology-mode: Auto}}"
    ).replace("type:", "selector: {app: web}, type:"),
    "hints_assumed": ZONES
    + """\
metadata:
  name: zones
  annotations:
    service.kubernetes.io/topology-mode: Auto  # <- hints-assumed note @mode
spec: {selector: {app: zones}, ports: [{name: http, port: 80}]}
""",
    "deployment_expanded": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web  # <- address-assumed note metadata.name
spec:
  selector: {matchLabels: {app: new}}
  template: {metadata: {labels: {app: new}}, spec: {containers: [{name: c}]}}
""",
    "deployment_expanded: not into nothing": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: new}}
  template: {metadata: {labels: {app: new}}, spec: {containers: [{name: c}]}}
""",
    "port_twice": """\
apiVersion: v1
kind: Service
metadata: {name: twice}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80}
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53}
  - name: http-2
    port: 80  # <- field-value error spec.ports[3].port
""",
    "pod_address_assumed": """\
apiVersion: v1
kind: Pod
metadata:
  labels: {app: web}
  name: b  # <- address-assumed note metadata.name
spec: {containers: [{name: c}]}
""",
    "field_not_modelled": ROUTES
    + "spec:\n"
    + WEB
    + """\
  tls:
  - {match: [{sniHosts: [web]}], route: [{destination: {host: web}}]}
  tcp:
  - match:
    - port: 80
      sourceSubnet: 10.0.0.0/8  # <- field-not-modelled warning spec.tcp[0].match[0].sourceSubnet
    route: [{destination: {host: web}}]
  http:
  - route: [{destination: {host: web}}]
    timeout: 5s
    rewrite: {uri: /}
    fault:
      delay:
        exponentialDelay: 5s  # <- field-value error spec.http[0].fault.delay.exponentialDelay
      abort:
        http2Error: REFUSED  # <- field-value error spec.http[0].fault.abort.http2Error
""",
    "field_not_modelled: in a DestinationRule": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}}
    retryBudget: {}  # <- field-not-modelled warning spec.trafficPolicy.retryBudget
    portLevelSettings:
    - port: {number: 80}
      tls: {mode: DISABLE}  # <- field-not-modelled warning spec.trafficPolicy.portLevelSettings[0].tls
""",
    "field_not_modelled: in a Gateway": ISTIO
    + """\
kind: Gateway
metadata: {name: a}
spec:
  selector: {a: b}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [a.example]
    bind: 10.0.0.1  # <- field-not-modelled warning spec.servers[0].bind
""",
    "gateway_unknown": ROUTES
    + """\
spec:
  gateways:
  - mesh
  - edge  # <- gateway-unknown warning spec.gateways[1]
  - istio-system/edge  # <- gateway-unknown warning spec.gateways[2]
"""
    + WEB
    + TO_WEB,
    "gateway_serves_nothing": ROUTES
    + """\
spec:
  gateways:
  - edge
  - other  # <- gateway-serves-nothing warning spec.gateways[1]
  - shut  # <- gateway-serves-nothing warning spec.gateways[2]
  hosts: [www.example.com]
"""
    + TO_WEB
    + "".join(
        f"""\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{gateway: {name}}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["{host}"]}}]
"""
        for name, host in (("edge", "*.example.com"), ("other", "www.example.org"), ("shut", "bank/*"))
    ),
    "server_ignored": ISTIO
    + """\
kind: Gateway
metadata: {name: a}
spec:
  selector: {a: b}
  servers:
  - {port: {number: 443, name: first, protocol: HTTPS}, hosts: [z.example], tls: &tls {mode: SIMPLE, credentialName: c}}
  - {port: {number: 80, name: grpc, protocol: GRPC}, hosts: [a.example]}
  - port: {number: 80, name: tcp, protocol: TCP}  # <- server-ignored warning spec.servers[2]
    hosts: [a.example]
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: *tls}
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: [b.example], tls: {mode: PASSTHROUGH}}
  - port: {number: 443, name: https-again, protocol: HTTPS}  # <- server-ignored warning spec.servers[5]
    hosts: [c.example, b.example]
    tls: *tls
""",
    "field_not_modelled: in entries": ENTRY
    + """\
spec:
  hosts: [outside.example]
  location: MESH_INTERNAL
  subjectAltNames: [a]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 80}
  - number: 81
    name: other
    protocol: HTTP
    targetPort: 8080  # <- field-not-modelled warning spec.ports[1].targetPort
---
"""
    + ISTIO
    + """\
kind: WorkloadEntry
metadata: {name: a}
spec: {address: 10.0.0.1, serviceAccount: a}
---
"""
    + ISTIO
    + """\
kind: WorkloadGroup
metadata: {name: a}
spec: {template: {address: 10.0.0.1}}
""",
    "field_not_modelled: names in requests": ENTRY
    + """\
spec:
  hosts: ["*.example"]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DYNAMIC_DNS  # <- field-not-modelled warning spec.resolution
""",
    "field_not_modelled: sockets of a host": ENTRY
    + """\
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  endpoints:
  - address: 10.0.0.1
  - address: unix:///run/a  # <- field-not-modelled warning spec.endpoints[1].address
""",
    "field_not_modelled: a listener that is a proxy": ISTIO
    + """\
kind: Sidecar
metadata: {name: a}
spec:
  ingress: [{port: {number: 80}}]
  egress:
  - hosts: [./*]
    bind: 127.0.0.1  # <- field-not-modelled warning spec.egress[0].bind
    port:
      number: 3128
      protocol: HTTP_PROXY  # <- field-not-modelled warning spec.egress[0].port.protocol
""",
    "nobody_answers": ENTRY
    + """\
spec:
  hosts:
  - a.example  # <- endpoints-missing warning spec.hosts[0]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  workloadSelector: {labels: {app: nobody}}
""",
    "nobody_answers: not where somebody is chosen": ENTRY
    + """\
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  workloadSelector: {labels: {app: web}}
""",
    "nobody_answers: not where DNS is asked for the host, or nothing is asked": ENTRY
    + """\
spec:
  hosts:
  - a.example  # <- address-assumed note spec.hosts[0]
  ports: [{number: 80, name: http}]
  resolution: DNS
---
"""
    + ENTRY.replace("entry", "other")
    + "spec: {hosts: [b.example], ports: [{number: 80, name: http, protocol: HTTP}]}\n",
    "names_not_asked": ENTRY
    + """\
spec:
  hosts:
  - a.example  # <- address-assumed note spec.hosts[0]
  ports: [{number: 80, name: http}]
  resolution: DNS
  endpoints: [{address: 10.0.0.1}, {address: b.example}]
---
"""
    + ENTRY.replace("entry", "other")
    + """\
spec:
  hosts: [c.example]
  ports: [{number: 80, name: http}]
  resolution: DNS
  endpoints: [{address: 10.0.0.1}]
""",
    "value_refused: an endpoint without address": ENTRY
    + """\
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  endpoints:
  - address: 10.0.0.1
  - address: b.example  # <- field-value error spec.endpoints[1].address
""",
    "service_taken": ENTRY
    + """\
spec:
  hosts:
  - a.example
  - pay.bank.svc.cluster.local  # <- service-ignored warning spec.hosts[1]
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
    "service_taken: by an older entry": ENTRY
    + """\
spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}]}
---
"""
    + ISTIO
    + """\
kind: ServiceEntry
metadata: {name: younger, namespace: bank, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  hosts:
  - a.example  # <- service-ignored warning spec.hosts[0]
  ports: [{number: 80, name: http, protocol: HTTP}]
""",
    "value_refused: what is no host of a Sidecar": ISTIO
    + """\
kind: Sidecar
metadata: {name: a}
spec:
  egress:
  - hosts:
    - bank/*
    - web.default.svc.cluster.local  # <- field-value error spec.egress[0].hosts[1]
    - a/b/c  # <- field-value error spec.egress[0].hosts[2]
    - ./  # <- field-value error spec.egress[0].hosts[3]
""",
    "host_unknown: a Sidecar": ISTIO
    + """\
kind: Sidecar
metadata: {name: a}
spec:
  egress:
  - hosts:
    - "*/*.cluster.local"
    - ./web.default.svc.cluster.local
    - ~/nobody.example
    - ./wbe.default.svc.cluster.local  # <- host-unknown warning spec.egress[0].hosts[3]
    - "*/*.example"  # <- host-unknown warning spec.egress[0].hosts[4]
""",
    "host_unknown: not a Sidecar's where a VirtualService is imported": ROUTES
    + """\
spec: {hosts: ["*.example"], http: [{directResponse: {status: 200}}]}
---
"""
    + ISTIO
    + """\
kind: Sidecar
metadata: {name: a}
spec: {egress: [{hosts: [./a.example]}]}
""",
    "sidecar_ignored": ISTIO
    + """\
kind: Sidecar
metadata: {name: a}
spec: {outboundTrafficPolicy: {}}
---
"""
    + ISTIO
    + """\
kind: Sidecar
metadata: {name: chosen}
spec: {workloadSelector: {labels: {app: web}}, outboundTrafficPolicy: {}}
---
"""
    + ISTIO
    + """\
kind: Sidecar
metadata:
  name: b  # <- sidecar-ignored warning metadata.name
spec: {outboundTrafficPolicy: {}}
""",
    "host_unknown: what an alias stands for": ALIAS
    + ROUTES
    + """\
spec:
  hosts: [outside.example]
  http:
  - route:
    - destination:
        host: alias  # <- host-unknown warning spec.http[0].route[0].destination.host
""",
    "port_unknown: of an alias": ALIAS.replace("db.example", "web.default.svc.cluster.local")
    + ROUTES
    + """\
spec:
  hosts: [outside.example]
  http:
  - route:
    - destination:
        host: alias
        port:
          number: 5432  # <- port-unknown warning spec.http[0].route[0].destination.port.number
""",
    "regex_invalid": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match:
    - uri:
        regex: (  # <- regex-invalid error spec.http[0].match[0].uri.regex
    - queryParams:
        q:
          regex: (?=x)  # <- regex-invalid error spec.http[0].match[1].queryParams.q.regex
    - withoutHeaders:
        x-any: {regex: "*"}
        x-not:
          regex: "**"  # <- regex-invalid error spec.http[0].match[2].withoutHeaders.x-not.regex
    - scheme: {regex: "["}  # <- regex-invalid error spec.http[0].match[3].scheme.regex
    - method: {regex: "["}  # <- regex-invalid error spec.http[0].match[4].method.regex
    - authority: {regex: "["}  # <- regex-invalid error spec.http[0].match[5].authority.regex
    - headers:
        a.b: {regex: "*"}  # <- regex-invalid error spec.http[0].match[6].headers["a.b"].regex
    route: [{destination: {host: web}}]
""",
    "regex_too_long": ROUTES
    + "spec:\n"
    + WEB
    + f"""\
  http:
  - match:
    - uri: {{regex: {"a" * 1024}}}
    - uri: {{regex: {"a" * 1025}}}  # <- regex-invalid error spec.http[0].match[1].uri.regex
    route: [{{destination: {{host: web}}}}]
""",
    "rule_empty": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]  # <- rule-empty error spec.http[0]
  - match: [{uri: {prefix: /b}}]
    directResponse: {status: 204}
  - name: last  # <- rule-empty error spec.http[2]
""",
    "rule_unreachable": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{}]
    route: [{destination: {host: web}}]
  - route: [{destination: {host: web}}]
  - route: [{destination: {host: web}}]  # <- rule-unreachable warning spec.http[2]
  - match: [{uri: {prefix: /}}]  # <- rule-unreachable warning spec.http[3]
    route: [{destination: {host: web}}]
""",
    "match_covered": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match:
    - uri: {prefix: /a}
      gateways: [mesh]
    - uri: {prefix: /ab}  # takes more # <- istio-warns warning spec.http[0].match[1]
    - uri: {prefix: /ab}  # <- rule-unreachable warning spec.http[0].match[2]
      gateways: [mesh]
    route: [{destination: {host: web}}]
  - match:
    - uri: {prefix: /abc}  # <- rule-unreachable warning spec.http[1].match[0]
    - uri: {prefix: /b}
    - uri: {prefix: /b}  # <- rule-unreachable warning spec.http[1].match[2]
      name: again
    - uri: {prefix: /bc}
      method: {exact: POST}
    route: [{destination: {host: web}}]
  - route: [{destination: {host: web}}]
  - match: [{uri: {prefix: /abc}}]  # <- rule-unreachable warning spec.http[3]
    route: [{destination: {host: web}}]
""",
    "istio_warns": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    delegate: {name: more}
  - match:
    - uri: {prefix: /ab}  # <- istio-warns warning spec.http[1].match[0]
    - uri: {prefix: /a}  # <- istio-warns warning spec.http[1].match[1]
    route: [{destination: {host: web}}]
---
"""
    + ROUTES.replace("name: vs", "name: more")
    + """\
spec:
  http:
  - match: [{uri: {prefix: /a/b}}]
    route: [{destination: {host: web}}]
""",
    "value_refused": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - redirect: {}  # <- field-value error spec.http[0].redirect
    fault:  # <- field-value error spec.http[0].fault ; field-value error spec.http[0].fault
      {}
""",
    "value_discouraged": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - route: [{destination: {host: web}}]
    fault:
      abort: {}  # <- field-value warning spec.http[0].fault.abort
""",
    "policy_refused: what is no traffic policy": RULE
    + """\
spec:
  host: web_1  # <- field-value error spec.host ; host-unknown warning spec.host
  subsets:
  - name: v1
  - name: v1  # <- field-value error spec.subsets[1].name
    trafficPolicy:  # <- field-value error spec.subsets[1].trafficPolicy
      portLevelSettings: []
  trafficPolicy:
    tunnel:  # <- field-value error spec.trafficPolicy.tunnel ; field-not-modelled warning spec.trafficPolicy.tunnel
      {targetHost: a.example, targetPort: 80}
    proxyProtocol: {}  # <- field-not-modelled warning spec.trafficPolicy.proxyProtocol
    loadBalancer:
      consistentHash:
        httpHeaderName: x
        minimumRingSize: 5  # <- field-value error @hash.minimumRingSize ; field-value warning @hash.minimumRingSize
        maglev:
          tableSize: 0  # <- field-value error @hash.maglev.tableSize
""",
    "delegate_unknown": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - delegate:  # <- delegate-unknown warning spec.http[0].delegate
      name: other
  - route: [{destination: {host: web}}]  # <- istio-warns warning spec.http[1]
""",
    "weight_ignored": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    route:
    - destination: {host: web}
      weight: 0  # <- weight-ignored warning spec.http[0].route[0].weight
  - match: [{uri: {prefix: /b}}]
    route: [{destination: {host: web}, weight: 100}]
  - route: [{destination: {host: web}}]
""",
    "weight_missing": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - route:
    - {destination: {host: web}, weight: 1}
    - destination: {host: web}  # <- weights-unusable warning spec.http[0].route[1]
    - {destination: {host: web}, weight: 0}
""",
    "weights_sum_to_zero": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    route:  # <- weights-unusable error spec.http[0].route
    - {destination: {host: web}, weight: 0}
    - {destination: {host: web}, weight: 0}
""",
    "weight_negative": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - route:
    - destination: {host: web}
      weight: -1  # <- weights-unusable error spec.http[0].route[0].weight
""",
    "host_unknown: a destination": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    route:
    - destination:
        host: wbe  # <- host-unknown warning spec.http[0].route[0].destination.host
        subset: v1
  - match: [{uri: {prefix: /b}}]
    route:
    - destination: {host: pay}  # <- host-unknown warning spec.http[1].route[0].destination.host
  - route:
    - destination: {host: pay.bank.svc.cluster.local}
""",
    "host_unknown: of a VirtualService": ROUTES
    + """\
spec:
  hosts:
  - wbe  # <- host-unknown warning spec.hosts[0]
  - wbe.default.svc.cluster.local  # <- host-unknown warning spec.hosts[1]
  - outside.example
  - "*.example.org"
  - web.default
"""
    + TO_WEB,
    "host_unknown: of a DestinationRule": RULE
    + """\
spec:
  host: wbe  # <- host-unknown warning spec.host
""",
    "host_unknown: a wildcard over nothing": RULE
    + """\
spec:
  host: "*.example"  # <- host-unknown warning spec.host
""",
    "port_unknown": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    route:
    - destination:
        host: web
        port: {number: 81}  # <- port-unknown warning spec.http[0].route[0].destination.port.number
  - route:
    - destination:
        host: web
        port: {number: 5432}
""",
    "subset_unknown": RULE
    + """\
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
---
"""
    + ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - route:
    - destination: {host: web, subset: v1}
      weight: 1
    - destination: {host: web, subset: v2}  # <- subset-unknown warning spec.http[0].route[1].destination.subset
      weight: 1
""",
    "policy_refused": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      consistentHash:  # <- field-value error spec.trafficPolicy.loadBalancer.consistentHash
        ringHash: {minimumRingSize: 8388609}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer:
        consistentHash:  # <- field-value error spec.trafficPolicy.portLevelSettings[0].loadBalancer.consistentHash
          maglev: {tableSize: 65536}
  subsets:
  - name: v1
    trafficPolicy:
      loadBalancer:
        consistentHash:  # <- field-value error spec.subsets[0].trafficPolicy.loadBalancer.consistentHash
          minimumRingSize: 9000000  # <- field-value warning @subset.consistentHash.minimumRingSize
  - name: v2
    trafficPolicy:
      loadBalancer: {consistentHash: {ringHash: {minimumRingSize: 8388608}}}
""",
    "policy_refused: a cookie": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpCookie:
          name: ""  # <- field-value error spec.@cookie.name
          ttl: 0s
          attributes:
          - {name: a, value: "1"}
          - name: ""  # <- field-value error spec.@cookie.attributes[1].name
          - name: a  # <- field-value error spec.@cookie.attributes[2].name
""",
    "policy_refused: a warmup": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      warmup:
        duration: 1000001us  # <- field-value error spec.trafficPolicy.loadBalancer.warmup.duration
        aggression: 0  # <- field-value error spec.trafficPolicy.loadBalancer.warmup.aggression
        minimumPercent: 100
""",
    "policy_refused: outliers": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    outlierDetection:
      interval: 1.0005s  # <- field-value error spec.trafficPolicy.outlierDetection.interval
      baseEjectionTime: 1000500us  # <- field-value error spec.trafficPolicy.outlierDetection.baseEjectionTime
      maxEjectionPercent: 101  # <- field-value error spec.trafficPolicy.outlierDetection.maxEjectionPercent
      minHealthPercent: -1  # <- field-value error spec.trafficPolicy.outlierDetection.minHealthPercent
      consecutiveLocalOriginFailures: 1  # <- field-value error spec.@outliers.consecutiveLocalOriginFailures
  subsets:
  - name: v1
    trafficPolicy:
      outlierDetection:
        interval: 1.5s
        maxEjectionPercent: 100
        splitExternalLocalOriginErrors: true
        consecutiveLocalOriginFailures: 1
""",
    "policy_refused: localities": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      localityLbSetting:
        distribute:
        - from: "eu/*/a"  # <- field-value error spec.@locality.distribute[0].from
          to:
            eu: 0  # <- field-value error spec.@locality.distribute[0].to.eu
            us: 100
        - from: eu
          to:
            "eu//a": 10  # <- field-value error spec.@locality.distribute[1].to["eu//a"]
            "us/1": 30  # <- field-value error spec.@locality.distribute[1].to["us/1"]
            "us/*": 60
        - from: eu/1  # <- field-value error spec.@locality.distribute[2].from
          to: {"us/1/a": 50, "us/1/b": 50}
        - {from: us/1, to: {eu: 100}}
        - {from: "*", to: {"*": 100}}
  subsets:
  - name: v1
    trafficPolicy:
      outlierDetection: {}
      loadBalancer:
        localityLbSetting:
          failoverPriority:
          - topology.istio.io/network
          - topology.kubernetes.io/zone  # <- field-value error spec.subsets[0].@locality.failoverPriority[1]
          failover:
          - {from: eu, to: us}
          - {from: us, to: us}  # <- field-value error spec.subsets[0].@locality.failover[1]
          - {from: us/1, to: eu}  # <- field-value error spec.subsets[0].@locality.failover[2]
          - {from: us, to: "*"}  # <- field-value error spec.subsets[0].@locality.failover[3]
""",
    "policy_refused: two settings": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    outlierDetection: {}
    loadBalancer:
      localityLbSetting:  # <- field-value error spec.@locality
        distribute: [{from: eu, to: {eu: 100}}]
        failover: [{from: eu, to: us}]  # <- field-value error spec.@locality.failover
      zoneAwareLbSetting:
        failoverPriority:
        - topology.kubernetes.io/region  # <- field-value error spec.@zones.failoverPriority[0]
        failover: [{from: eu, to: us/1}]  # <- field-value error spec.@zones.failover[0]
""",
    "shares_not_a_hundred": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      localityLbSetting:
        distribute:
        - from: eu
          to: {eu: 50, us: 49}  # <- field-value error spec.@locality.distribute[0].to
        - from: us
          to: {eu: 100}
""",
    "failover_ignored": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      localityLbSetting:
        failoverPriority: [app]  # <- setting-ignored warning spec.@locality.failoverPriority
        failover: [{from: eu, to: us}]  # <- setting-ignored warning spec.@locality.failover
    portLevelSettings:
    - port: {number: 80}
      outlierDetection: {}
      loadBalancer: {localityLbSetting: {failoverPriority: [app]}}
  subsets:
  - name: v1
    trafficPolicy:
      loadBalancer:
        localityLbSetting:
          enabled: false
          failoverPriority: [app]  # <- istio-warns warning @subset.localityLbSetting.failoverPriority
  - name: all
    trafficPolicy:
      loadBalancer:
        localityLbSetting:
          distribute: [{from: eu, to: {eu: 100}}]
          failoverPriority: [app]  # <- istio-warns warning spec.subsets[1].@locality.failoverPriority
""",
    "failover_ignored: where a port has none": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    outlierDetection: {}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer:
        localityLbSetting:
          failoverPriority: [app]  # <- setting-ignored warning spec.@port.failoverPriority
  subsets:
  - name: v1
    trafficPolicy:
      loadBalancer:
        localityLbSetting:
          failoverPriority: [app]  # <- istio-warns warning @subset.localityLbSetting.failoverPriority
""",
    "warmup_ignored": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      simple: RANDOM
      warmup: {duration: 5s}  # <- setting-ignored warning spec.trafficPolicy.loadBalancer.warmup
      warmupDurationSecs: 5s  # <- setting-ignored warning spec.trafficPolicy.loadBalancer.warmupDurationSecs
  subsets:
  - name: v1
    trafficPolicy:
      loadBalancer:
        consistentHash: {useSourceIp: true}
        warmup: {duration: 5s}  # <- setting-ignored warning spec.subsets[0].trafficPolicy.loadBalancer.warmup
  - name: all
    trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 5s}}}
""",
    "older_warmup_ignored": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      warmup: {duration: 5s}
      warmupDurationSecs: 5s  # <- setting-ignored warning spec.trafficPolicy.loadBalancer.warmupDurationSecs
  subsets:
  - name: v1
    trafficPolicy: {loadBalancer: {warmupDurationSecs: 5s}}
""",
    "consecutive_errors_ignored": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    outlierDetection:
      consecutiveErrors: 5  # <- setting-ignored warning spec.trafficPolicy.outlierDetection.consecutiveErrors
      consecutive5xxErrors: 0
""",
    "subset_empty": RULE
    + """\
spec:
  host: web
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: all}
  - name: v2
    labels: {version: v2}  # <- subset-empty warning spec.subsets[2].labels
""",
    "hosts_missing": ROUTES
    + """\
spec:  # <- hosts-missing warning spec
"""
    + TO_WEB,
    "rule_dropped": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - delegate: {name: wt}
    match: [{uri: {prefix: /a}}]
---
"""
    + ROUTES.replace("name: vs", "name: wt")
    + """\
spec:
  http:
  - match: [{uri: {prefix: /a/b}}, {headers: {x: {exact: "1"}}}]
    route: [{destination: {host: web}}]
  - match: [{uri: {prefix: /b}}]  # <- rule-dropped warning spec.http[1]
    route: [{destination: {host: web}}]
  - delegate:  # <- field-value error spec.http[2].delegate
      name: vs
""",
    "host_taken": ROUTES
    + "spec:\n  hosts: [outside.example, pay.bank.svc.cluster.local]\n"
    + TO_WEB
    + "---\n"
    + ROUTES.replace("name: vs", "name: wt")
    + """\
spec:
  hosts:
  - other.example
  - pay.bank.svc.cluster.local  # <- virtual-service-ignored warning spec.hosts[1]
"""
    + TO_WEB,
    "host_unknown: of copies": ROUTES
    + "spec:\n"
    + WEB
    + """\
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: web}}]
    mirror:
      host: nobody  # <- host-unknown warning spec.http[0].mirror.host
  - route: [{destination: {host: web}}]
    mirrors:
    - destination:
        host: web
        subset: v1  # <- subset-unknown warning spec.http[1].mirrors[0].destination.subset
        port:
          number: 81  # <- port-unknown warning spec.http[1].mirrors[0].destination.port.number
""",
    "port_unknown: of connections": ROUTES
    + "spec:\n"
    + WEB
    + """\
  tls:
  - match: [{sniHosts: [web]}]
    route:
    - destination:
        host: nobody  # <- host-unknown warning spec.tls[0].route[0].destination.host
  tcp:
  - route:
    - destination:
        host: web
        port:
          number: 81  # <- port-unknown warning spec.tcp[0].route[0].destination.port.number
      weight: 7  # <- weight-ignored warning spec.tcp[0].route[0].weight
""",
    "port_unknown: of settings": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {simple: RANDOM}
    - port:
        number: 81  # <- port-unknown warning spec.trafficPolicy.portLevelSettings[1].port.number
      loadBalancer: {simple: RANDOM}
""",
    "istio_warns: a failover where a subset has outlier detection": RULE
    + """\
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      localityLbSetting:
       failover: [{from: a, to: b}]  # <- istio-warns warning spec.trafficPolicy.loadBalancer.localityLbSetting.failover
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}}
""",
    "host_taken: not by one that nobody here sees": ROUTES
    + """\
spec:
  exportTo: [bank]
"""
    + WEB
    + TO_WEB
    + "---\n"
    + ROUTES.replace("name: vs", "name: wt")
    + "spec:\n"
    + WEB
    + TO_WEB,
    "protocol_not_http": DB
    + ROUTES
    + """\
spec:
  hosts: [db]  # <- protocol-not-http warning spec.hosts[0]
"""
    + TO_WEB,
    "protocol_not_http: a port that a match names": ROUTES
    + """\
spec:
  hosts: [web]  # <- protocol-not-http warning spec.hosts[0]
  http: [{match: [{port: 5432}], route: [{destination: {host: web}}]}]
""",
    "protocol_not_http: not beside a port that does": ROUTES + "spec:\n" + WEB + TO_WEB,
    "protocol_not_http: under a wildcard": DB
    + ROUTES
    + """\
spec:
  hosts: ["*.default.svc.cluster.local"]  # <- protocol-not-http warning spec.hosts[0]
"""
    + TO_WEB,
    "protocol_not_http: not without HTTP rules": ROUTES
    + """\
spec:
  hosts: [web]
  tcp: [{route: [{destination: {host: web}}]}]
""",
}


def diagnosed(text: str) -> tuple[mr.Diagnostic, ...]:
    """Everything that is said about a text."""
    try:
        return mr.loads(text).diagnostics
    except mr.ManifestError as error:
        return error.diagnostics


SHORT = {
    "@mode": 'metadata.annotations["service.kubernetes.io/topology-mode"]',
    "@locality": "trafficPolicy.loadBalancer.localityLbSetting",
    "@zones": "trafficPolicy.loadBalancer.zoneAwareLbSetting",
    "@hash": "spec.trafficPolicy.loadBalancer.consistentHash",
    "@cookie": "trafficPolicy.loadBalancer.consistentHash.httpCookie",
    "@outliers": "trafficPolicy.outlierDetection",
    "@subset": "spec.subsets[0].trafficPolicy.loadBalancer",
    "@port": "trafficPolicy.portLevelSettings[0].loadBalancer.localityLbSetting",
}
"""Parts of field paths that would make lines too long."""


def spelt_out(mark: str) -> str:
    """A mark with its path in full."""
    for short, path in SHORT.items():
        mark = mark.replace(short, path)
    return mark.strip()


def marked(text: str) -> list[str]:
    """What the comments of a text say, with their lines."""
    return [
        f"{number} {spelt_out(mark)}"
        for number, line in enumerate(text.splitlines(), 1)
        for mark in line.partition("# <- ")[2].split(" ; ")
        if mark
    ]


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_said(case: str) -> None:
    """Each with its code, severity, line and field path; and nothing else."""
    text = WORLD + CASES[case]
    told = [f"{one.at.line} {one.code} {one.severity} {one.at.path}" for one in diagnosed(text)]
    assert sorted(told) == sorted(marked(text))


def test_every_wording_is_provoked() -> None:
    """Each function of `wording` has a case of its name, and each case a function."""
    functions = {
        name for name, one in vars(wording).items() if inspect.isfunction(one) and one.__module__ == wording.__name__
    }
    assert {case.partition(":")[0] for case in CASES} == functions


def test_a_world_without_slips_is_not_talked_about() -> None:
    assert diagnosed(WORLD) == ()


def only(case: str, code: mr.Code) -> mr.Diagnostic:
    """The first diagnostic with this code of a case."""
    return next(one for one in diagnosed(WORLD + CASES[case]) if one.code is code)


class TestWords:
    """What messages and helps say beyond their code: the parts that tell people what to do."""

    def test_a_weight_is_named(self) -> None:
        assert only("weight_negative", mr.Code.WEIGHTS_UNUSABLE).message == "weight -1 < 0"

    def test_the_sum_is_told_as_istio_does(self) -> None:
        assert only("weights_sum_to_zero", mr.Code.WEIGHTS_UNUSABLE).message == "total destination weight = 0"

    def test_the_nearest_host_is_suggested(self) -> None:
        told = only("host_unknown: a destination", mr.Code.HOST_UNKNOWN)
        assert told.help == "did you mean `web.default.svc.cluster.local`?"

    @pytest.mark.parametrize(
        ("host", "meant"),
        [
            ("wbe", "web.default.svc.cluster.local"),
            ("web.defualt.svc.cluster.local", "web.default.svc.cluster.local"),
            ("pay", "pay.bank.svc.cluster.local"),
            ("zzzzzz", None),
            ("outside.example", None),
            ("'*.example'", None),
        ],
    )
    def test_a_host_is_suggested_if_its_name_is_near(self, host: str, meant: str | None) -> None:
        """Names in one namespace share most of their letters, and that makes them no nearer."""
        (told,) = diagnosed(WORLD + RULE + f"spec: {{host: {host}}}\n")
        assert told.code is mr.Code.HOST_UNKNOWN
        if meant is None:
            assert told.help == "a name without a dot is looked up in the namespace of this resource"
        else:
            assert told.help == f"did you mean `{meant}`?"

    def test_the_ports_there_are(self) -> None:
        assert only("port_unknown", mr.Code.PORT_UNKNOWN).help == "its ports: 80, 5432"

    def test_the_subsets_there_are(self) -> None:
        assert only("subset_unknown", mr.Code.SUBSET_UNKNOWN).help == "defined subsets: `v1`"

    def test_no_subsets_are_none(self) -> None:
        text = (
            WORLD
            + ROUTES
            + "spec: {hosts: [outside.example], http: [{route: [{destination: {host: web, subset: x}}]}]}\n"
        )
        assert [one.help for one in diagnosed(text)] == ["defined subsets: none"]

    def test_the_rule_that_hides_is_shown(self) -> None:
        told = only("rule_unreachable", mr.Code.RULE_UNREACHABLE)
        assert "rule #2" in told.message
        assert "rule #1" in told.message
        assert [one.path for one in told.related] == ["spec.http[1]"]

    def test_the_winner_of_a_host_is_shown(self) -> None:
        told = only("host_taken", mr.Code.VIRTUAL_SERVICE_IGNORED)
        assert "VirtualService default/vs" in told.message
        assert told.subject == "VirtualService default/wt"
        assert [one.path for one in told.related] == ["spec.hosts"]

    def test_a_pattern_is_quoted_with_the_reason(self) -> None:
        assert only("regex_invalid", mr.Code.REGEX_INVALID).message.startswith("`(` is not an RE2 pattern: missing )")

    def test_the_reason_without_hints_is_told(self) -> None:
        assert only("hints_missing", mr.Code.HINTS_MISSING).message == (
            "hints for zones are asked for and cannot be made for the endpoints: no Node is given that is ready"
        )
        told = only("hints_missing: of one family", mr.Code.HINTS_MISSING).message
        assert told.endswith("for the endpoints of IPv6: 1 ready endpoint is fewer than 2 zones")

    def test_what_is_chance_is_told(self) -> None:
        assert only("hints_assumed", mr.Code.HINTS_ASSUMED).message == (
            "hints of 1 of 2 endpoints are for another zone than their own; which ones, the cluster leaves to chance:"
            " assumed are the first by address, for the zones in the order of their names"
        )

    def test_that_zones_are_equal_is_told(self) -> None:
        """Two of three zones lack the same, and one of them gets the endpoint that the third has too many."""
        zones = "".join(
            f"{{apiVersion: v1, kind: Node, metadata: {{name: n{zone}, labels: {{topology.kubernetes.io/zone: {zone}}}"
            f"}}, status: {{allocatable: {{cpu: {cpu}}}}}}}\n---\n"
            for zone, cpu in (("a", 4), ("b", 3), ("c", 3))
        )
        pods = "".join(
            f"{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}, labels: {{app: web}}}}, "
            f"spec: {{nodeName: n{zone}, containers: [{{name: c}}]}}, status: {{podIP: 10.8.1.{number}}}}}\n---\n"
            for number, zone in enumerate("aaaaabbcc")
        )
        wide = CASES["hints_missing"].replace("{app: web}, ports", "{app: web, zone: wide}, ports")
        text = zones + pods.replace("{app: web}", "{app: web, zone: wide}") + wide
        (told,) = diagnosed(text)
        assert "hints of 1 of 9 endpoints" in told.message
        assert "leaves to chance, and which of equal zones give or receive one: assumed" in told.message

    def test_the_number_of_assumed_pods_is_told(self) -> None:
        assert ": 1 assumed" in only("deployment_expanded", mr.Code.ADDRESS_ASSUMED).message


def test_a_younger_virtual_service_loses_its_host() -> None:
    """Age decides before names do."""
    older = ROUTES.replace("{name: vs}", '{name: z, creationTimestamp: "2026-01-01T00:00:00Z"}')
    younger = ROUTES.replace("{name: vs}", '{name: a, creationTimestamp: "2026-01-02T00:00:00Z"}')
    body = "spec: {hosts: [outside.example], http: [{directResponse: {status: 204}}]}\n"
    (told,) = diagnosed(WORLD + younger + body + "---\n" + older + body)
    assert (told.code, told.subject) == (mr.Code.VIRTUAL_SERVICE_IGNORED, "VirtualService default/a")


def test_split_weights_without_a_subset_are_shown_without_one() -> None:
    text = (
        WORLD
        + ROUTES
        + (
            "spec:\n  hosts: [outside.example]\n  http:\n"
            "  - route: [{destination: {host: web}, weight: 99}]\n"
            "  - route: [{destination: {host: web}, weight: 1}]\n"
        )
    )
    (told,) = (one for one in diagnosed(text) if one.code is mr.Code.RULE_UNREACHABLE)
    assert told.help.splitlines()[1:] == [
        "http:",
        "- route:",
        "  - destination: {host: web}",
        "    weight: 99",
        "  - destination: {host: web}",
        "    weight: 1",
    ]


@pytest.mark.parametrize(
    "second",
    [
        "match: [{uri: {prefix: /x}}], route: [{destination: {host: web}, weight: 1}]",
        "directResponse: {status: 204}",
        "route: [{destination: {host: web}}]",
    ],
)
def test_rules_that_are_no_split_are_told_to_change_places(second: str) -> None:
    text = (
        WORLD
        + ROUTES
        + (
            "spec:\n  hosts: [outside.example]\n  http:\n"
            "  - route: [{destination: {host: web}, weight: 100}]\n"
            f"  - {{{second}}}\n"
        )
    )
    (told,) = (one for one in diagnosed(text) if one.code is mr.Code.RULE_UNREACHABLE)
    assert told.help == "rules are tried in the order written; put the rule without conditions last"


def test_a_rule_with_an_unknown_field_is_looked_at_for_what_else_is_wrong() -> None:
    """All at once."""
    text = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
      warmup: {duration: 10s, minimumPerent: 20}
      localityLbSetting: {distribute: [{from: "eu/*", to: {"eu/a/*": 50, "us/*": 40}}]}
    outlierDetection: {maxEjectionPercent: 150}
"""
    with pytest.raises(mr.ManifestError) as raised:
        mr.loads(text)
    errors = [one.at.path for one in raised.value.diagnostics if one.severity is mr.Severity.ERROR]
    assert [path.rpartition(".")[2] for path in errors] == ["minimumPerent", "to", "maxEjectionPercent"]


@pytest.mark.parametrize(
    ("kind", "lines", "paths"),
    [
        (
            "Gateway",
            "  servers:\n  - {host: a, port: {number: 80, name: a, protocol: HTTP}, hosts: [a]}",
            ["hosts[0]", "host"],
        ),
        ("Sidecar", "  egress:\n  - {host: a, hosts: [a]}", ["hosts[0]", "host"]),
        ("ServiceEntry", "  hosts: [a.b]\n  endpoints:\n  - {host: a, address: 10.0.0.1}", ["endpoints", "host"]),
        ("WorkloadEntry", "  host: a\n  address: a b", ["address", "host"]),
        ("WorkloadGroup", "  host: a\n  template: {}\n  probe: {}", ["probe", "host"]),
    ],
)
def test_a_resource_with_an_unknown_field_is_looked_at_too(kind: str, lines: str, paths: list[str]) -> None:
    """What the schema refuses and what the webhook would have refused, both at once."""
    said = diagnosed(f"{ISTIO}kind: {kind}\nmetadata: {{name: a}}\nspec:\n{lines}\n")
    errors = [one.at.path for one in said if one.severity is mr.Severity.ERROR]
    assert len(errors) == 2
    assert all(any(error.endswith(path) for error in errors) for path in paths)


def test_annotations_of_other_kinds_are_nobody_s_business() -> None:
    """Istio is asked about its own kinds only, whatever else is wrong with one."""
    text = """
apiVersion: v1
kind: Service
metadata: {name: s, annotations: {istio.io/dry-run: "true"}}
spec: {nosuch: 1, ports: [{name: http, port: 80}]}
"""
    assert [one.at.path for one in diagnosed(text)] == ["spec.nosuch"]


def test_rules_that_the_mesh_keeps_to_themselves_take_nothing_from_each_other() -> None:
    """A rule in another namespace wins only where clients of the loser's namespace see it."""
    one = ISTIO + "kind: VirtualService\nmetadata: {name: a, namespace: bank}\n"
    one += "spec: {hosts: [pay.bank.svc.cluster.local], http: [{directResponse: {status: 200}}]}\n---\n"
    text = WORLD + one + one.replace("name: a, namespace: bank", "name: b, namespace: shop")
    assert [it.code for it in mr.loads(text).diagnostics] == [mr.Code.VIRTUAL_SERVICE_IGNORED]
    config = mr.MeshConfig(default_virtual_service_export_to=(".",))
    assert mr.loads(text, config=config).diagnostics == ()
