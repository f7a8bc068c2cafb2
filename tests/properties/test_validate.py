"""What is said about bad input: spec/validate.md, on texts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import meshroute as mr
from meshroute.compile.check_names import header_value_fault, host_fault
from meshroute.load import Loaded, load_text
from meshroute.manifest import VirtualService

PRINTED = Path(__file__).parents[2] / "docs" / "examples" / "article" / "printed"

VALID = """\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - name: http
    port: 80
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  labels:
    app: web
    version: "1"
spec:
  containers:
  - name: main
status:
  podIP: 10.8.0.1
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: web
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
  subsets:
  - name: v1
    labels:
      version: "1"
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
spec:
  hosts:
  - web
  http:
  - match:
    - uri:
        prefix: /v2
    - headers:
        cookie:
          regex: a=.*
    route:
    - destination:
        host: web
        subset: v1
      weight: 60
    - destination:
        host: web
      weight: 40
  - route:
    - destination:
        host: web
"""
"""Nothing is wrong with it. What slips replace stands in it once, in whole lines."""


class Slip(NamedTuple):
    """Lines of VALID, what stands there instead, and what is then said: how many lines below the first, where."""

    name: str
    written: str
    instead: str
    code: mr.Code
    below: int
    path: str
    severity: mr.Severity = mr.Severity.ERROR
    help: str = ""


class Said(NamedTuple):
    """A diagnostic as far as slips describe it."""

    code: mr.Code
    severity: mr.Severity
    line: int
    path: str


def diagnosed(text: str, *, strict: bool = True, repair: bool | Sequence[str] = False) -> tuple[mr.Diagnostic, ...]:
    """Everything said about a text, but for notes."""
    try:
        diagnostics = mr.loads(text, strict=strict, repair=repair).diagnostics
    except mr.ManifestError as error:
        diagnostics = error.diagnostics
    return tuple(one for one in diagnostics if one.severity is not mr.Severity.NOTE)


def said(text: str, *, strict: bool = True, repair: bool | Sequence[str] = False) -> list[Said]:
    """The same, as far as slips describe it."""
    told = diagnosed(text, strict=strict, repair=repair)
    return [Said(one.code, one.severity, one.at.line, one.at.path) for one in told]


Padding = dict[int, list[str]]
paddings = st.dictionaries(
    st.integers(0, VALID.count("\n") - 1), st.sampled_from((["# a comment"], ["", "  # another"])), max_size=4
)
"""What stands before some lines of VALID, so that no line number is known by heart."""


def written_out(padding: Padding, slip: Slip | None = None) -> tuple[str, int]:
    """VALID with padding, and with a slip if there is one; and the line on which the slip begins."""
    lines = VALID.splitlines()
    start = end = len(lines)
    instead: list[str] = []
    if slip is not None:
        assert f"\n{VALID}".count(f"\n{slip.written}\n") == 1, f"`{slip.written}` does not stand once in VALID"
        start = f"\n{VALID}"[: f"\n{VALID}".index(f"\n{slip.written}\n")].count("\n")
        end = start + slip.written.count("\n") + 1
        instead = slip.instead.splitlines()
    before = [text for at in range(start) for text in (*padding.get(at, ()), lines[at])]
    after = [text for at in range(end, len(lines)) for text in (*padding.get(at, ()), lines[at])]
    return "\n".join([*before, *instead, *after]) + "\n", len(before) + 1


CONSEQUENCES = (mr.Code.HOST_UNKNOWN, mr.Code.SUBSET_UNKNOWN, mr.Code.SUBSET_EMPTY)
"""An object with an error is left out, and others miss it. That is not what slips are about."""


def told_exactly(padding: Padding, slip: Slip, *, strict: bool = True) -> None:
    """Nothing is said without the slip, and with it nothing but what it deserves, where it stands."""
    assert said(written_out(padding)[0], strict=strict) == []
    text, line = written_out(padding, slip)
    told = [one for one in diagnosed(text, strict=strict) if one.code not in CONSEQUENCES]
    assert [Said(one.code, one.severity, one.at.line, one.at.path) for one in told] == [
        Said(slip.code, slip.severity, line + slip.below, slip.path)
    ]
    assert slip.help in told[0].help


WARNING = mr.Severity.WARNING
UNKNOWN, TYPE, REGEX, WEIGHTS = (
    mr.Code.FIELD_UNKNOWN,
    mr.Code.FIELD_TYPE,
    mr.Code.REGEX_INVALID,
    mr.Code.WEIGHTS_UNUSABLE,
)


def nearest(name: str) -> str:
    """The help that names a field."""
    return f"did you mean `{name}`?"


BESIDE_A_URI = "        exact: /v2\n      prefix: /x"
UNKNOWN_FIELDS = (
    Slip(
        "a slip of the pen",
        "  name: web-0",
        "  name: web-0\n  lables: {}",
        UNKNOWN,
        1,
        "metadata.lables",
        help=nearest("labels"),
    ),
    Slip("the plural", "  host: web", "  host: web\n  hosts: [web]", UNKNOWN, 1, "spec.hosts", help=nearest("host")),
    Slip(
        "another case",
        "      weight: 40",
        "      weight: 40\n      Weight: 1",
        UNKNOWN,
        1,
        "spec.http[0].route[1].Weight",
        help=nearest("weight"),
    ),
    Slip("one level too high", "  - match:", "  - prefix: /x\n    match:", UNKNOWN, 0, "spec.http[0].prefix"),
    Slip(
        "a port's field",
        "    port: 80",
        "    port: 80\n    targetport: 81",
        UNKNOWN,
        1,
        "spec.ports[0].targetport",
        help=nearest("targetPort"),
    ),
    Slip(
        "beside a uri",
        "        prefix: /v2",
        BESIDE_A_URI,
        UNKNOWN,
        1,
        "spec.http[0].match[0].prefix",
        help="write\nuri:\n  prefix: /x",
    ),
)

LABELS = tuple(
    Slip(
        f"{value} as {place}",
        written,
        written.replace(old, value),
        TYPE,
        below,
        path,
        help=f'write `{path.rpartition(".")[2]}: "{value}"`',
    )
    for value in ("1", "1.0", "true", "0x10", "1e3", "012", "1_0")
    for place, written, old, below, path in (
        ("a subset's label", '    labels:\n      version: "1"', '"1"', 1, "spec.subsets[0].labels.version"),
        ("a pod's label", '    app: web\n    version: "1"', '"1"', 1, "metadata.labels.version"),
        ("a selector", "  selector:\n    app: web", "web", 1, "spec.selector.app"),
    )
)

TYPES = (
    Slip(
        "a route that is a mapping",
        "  - route:\n    - destination:\n        host: web",
        "  - route:\n      destination:\n        host: web",
        TYPE,
        0,
        "spec.http[1].route",
        help="write\nroute:\n- destination:\n    host: web",
    ),
    Slip(
        "hosts that are a text",
        "  hosts:\n  - web",
        "  hosts:\n    web",
        TYPE,
        0,
        "spec.hosts",
        help="write\nhosts:\n- web",
    ),
    Slip(
        "a weight in quotes",
        "      weight: 40",
        '      weight: "40"',
        TYPE,
        0,
        "spec.http[0].route[1].weight",
        help="write `weight: 40`",
    ),
    Slip("a host that is a number", "  host: web", "  host: 8080", TYPE, 0, "spec.host", help='write `host: "8080"`'),
    Slip("a port in words", "    port: 80", "    port: eighty", TYPE, 0, "spec.ports[0].port"),
    Slip(
        "a list for a mapping",
        "  trafficPolicy:\n    loadBalancer:\n      simple: ROUND_ROBIN",
        "  trafficPolicy:\n    loadBalancer: []",
        TYPE,
        1,
        "spec.trafficPolicy.loadBalancer",
    ),
)

COOKIE = "spec.http[0].match[1].headers.cookie.regex"
PATTERNS = (
    Slip("a path pattern", "        prefix: /v2", "        regex: (", REGEX, 0, "spec.http[0].match[0].uri.regex"),
    *(
        Slip(f"pattern {pattern[:9]}", "          regex: a=.*", f"          regex: '{pattern}'", REGEX, 0, COOKIE)
        for pattern in ("(", "a**", "(?=x)", "[z-a]", "*", r"\1", "x{1001}", "a" * 1025, "é" * 513)
    ),
)

ROUTE = """\
    - destination:
        host: web
        subset: v1
      weight: 60
    - destination:
        host: web
      weight: 40"""
SUMS = (
    Slip(
        "a sum of 0",
        f"    route:\n{ROUTE}",
        f"    route:\n{ROUTE}".replace("60", "0").replace("40", "0"),
        WEIGHTS,
        0,
        "spec.http[0].route",
    ),
    Slip("below 0", "      weight: 40", "      weight: -1", WEIGHTS, 0, "spec.http[0].route[1].weight"),
    Slip("nothing said", ROUTE, ROUTE.removesuffix("\n      weight: 40"), WEIGHTS, 4, "spec.http[0].route[1]", WARNING),
    Slip(
        "one destination",
        "  - route:\n    - destination:\n        host: web",
        "  - route:\n    - destination:\n        host: web\n      weight: 7",
        mr.Code.WEIGHT_IGNORED,
        3,
        "spec.http[1].route[0].weight",
        WARNING,
    ),
)

MODEL = mr.Code.FIELD_NOT_MODELLED
NOT_ACTED_ON = (
    Slip(
        "a budget",
        "      simple: ROUND_ROBIN",
        "      simple: ROUND_ROBIN\n    retryBudget: {}",
        MODEL,
        1,
        "spec.trafficPolicy.retryBudget",
        WARNING,
    ),
    Slip(
        "encryption of a subset",
        "  - name: v1",
        "  - name: v1\n    trafficPolicy: {tls: {}}",
        MODEL,
        1,
        "spec.subsets[0].trafficPolicy.tls",
        WARNING,
    ),
)

BALANCER = "      simple: ROUND_ROBIN"
VALUE = mr.Code.FIELD_VALUE
IGNORED = mr.Code.SETTING_IGNORED
LOCALITY = "spec.trafficPolicy.loadBalancer.localityLbSetting"


def of_balancer(name: str, lines: str, below: int, path: str, code: mr.Code = VALUE, detects: bool = True) -> Slip:
    """More lines of the load balancer, with outlier detection behind them or without; simple balancing stays."""
    more = "\n    outlierDetection: {}" if detects else ""
    severity = mr.Severity.ERROR if code is VALUE else WARNING
    return Slip(name, BALANCER, f"{BALANCER}\n{lines}{more}", code, below, path, severity)


def of_locality(name: str, line: str, path: str, code: mr.Code = VALUE, detects: bool = True) -> Slip:
    """One line of a locality setting."""
    lines = f"      localityLbSetting:\n        {line}"
    return of_balancer(name, lines, 2, f"{LOCALITY}.{path}", code, detects)


def of_outliers(name: str, line: str, field: str, code: mr.Code = VALUE) -> Slip:
    """One line of the outlier detection."""
    lines = f"    outlierDetection:\n      {line}"
    return of_balancer(name, lines, 2, f"spec.trafficPolicy.outlierDetection.{field}", code, detects=False)


REFUSED = (
    Slip(
        "an even table",
        BALANCER,
        "      consistentHash:\n        maglev: {tableSize: 8}",
        VALUE,
        0,
        "spec.trafficPolicy.loadBalancer.consistentHash",
    ),
    Slip(
        "a cookie without a name",
        BALANCER,
        "      consistentHash:\n        httpCookie:\n          name: ''",
        VALUE,
        2,
        "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name",
    ),
    Slip(
        "an attribute twice",
        BALANCER,
        "      consistentHash:\n        httpCookie:\n          name: c\n          attributes:\n"
        "          - name: a\n          - name: b\n          - name: a",
        VALUE,
        6,
        "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[2].name",
    ),
    of_balancer(
        "a fraction of a millisecond",
        "      warmup:\n        duration: 1.0001s",
        2,
        "spec.trafficPolicy.loadBalancer.warmup.duration",
    ),
    of_balancer(
        "no aggression",
        "      warmup:\n        duration: 1s\n        aggression: 0.0",
        3,
        "spec.trafficPolicy.loadBalancer.warmup.aggression",
    ),
    of_balancer("two settings", "      zoneAwareLbSetting: {}\n      localityLbSetting: {}", 2, LOCALITY),
    of_balancer(
        "a zone as a key for zones",
        "      zoneAwareLbSetting:\n        failoverPriority: [app, topology.istio.io/subzone]",
        2,
        "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting.failoverPriority[1]",
    ),
    of_outliers("an interval", "interval: 1.0001s", "interval"),
    of_outliers("a time", "baseEjectionTime: 1.0001s", "baseEjectionTime"),
    of_outliers("more than all", "maxEjectionPercent: 101", "maxEjectionPercent"),
    of_outliers("fewer than none", "minHealthPercent: -1", "minHealthPercent"),
    of_outliers("failures of its own", "consecutiveLocalOriginFailures: 2", "consecutiveLocalOriginFailures"),
    of_locality("less than all", "distribute: [{from: a, to: {a: 99}}]", "distribute[0].to"),
    of_locality("more than all", "distribute: [{from: a, to: {a: 99, b: 2}}]", "distribute[0].to"),
    of_locality("nothing", "distribute: [{from: a, to: {a: 0, b: 100}}]", "distribute[0].to.a"),
    of_locality("no region", "distribute: [{from: '/a', to: {a: 100}}]", "distribute[0].from"),
    of_locality("no source", "distribute: [{to: {a: 100}}]", "distribute[0].from"),
    of_locality("an early wildcard", "distribute: [{from: a, to: {'*/a': 100}}]", 'distribute[0].to["*/a"]'),
    of_locality("two wildcards", "distribute: [{from: a, to: {'a/**': 100}}]", 'distribute[0].to["a/**"]'),
    of_locality("a zone in its region", "distribute: [{from: a, to: {a: 50, a/b: 50}}]", 'distribute[0].to["a/b"]'),
    of_locality("a region of a zone", "distribute: [{from: a, to: {a/b: 50, a: 50}}]", "distribute[0].to.a"),
    of_locality("what remains, and more", "distribute: [{from: a, to: {a: 50, '*': 50}}]", "distribute[0].to.a"),
    of_locality(
        "a place twice", "distribute: [{from: a/b, to: {a: 100}}, {from: a/b, to: {a: 100}}]", "distribute[1].from"
    ),
    of_locality(
        "after all", "distribute: [{from: '*', to: {a: 100}}, {from: a/b/c, to: {a: 100}}]", "distribute[1].from"
    ),
    of_locality("both", "{distribute: [{from: a, to: {a: 100}}], failover: [{from: a, to: b}]}", "failover"),
    of_locality("nowhere else", "failover: [{from: a, to: a}]", "failover[0]"),
    of_locality("a zone", "failover: [{from: a, to: b}, {from: a/b, to: b}]", "failover[1]"),
    of_locality("anywhere", "failover: [{from: a, to: '*'}]", "failover[0]"),
    of_locality(
        "a region as a key",
        "{failover: [{from: a, to: b}], failoverPriority: [topology.kubernetes.io/region]}",
        "failoverPriority[0]",
    ),
)
WITHOUT_EFFECT = (
    of_locality("keys", "failoverPriority: [app]", "failoverPriority", IGNORED, detects=False),
    of_locality("regions", "failover: [{from: a, to: b}]", "failover", IGNORED, detects=False),
    of_outliers("the deprecated number", "consecutiveErrors: 5", "consecutiveErrors", IGNORED),
    of_balancer(
        "the older form",
        "      warmup: {duration: 1s}\n      warmupDurationSecs: 1s",
        2,
        "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        IGNORED,
    ),
    Slip(
        "a warmup of a ring",
        BALANCER,
        "      consistentHash: {}\n      warmup: {duration: 1s}",
        IGNORED,
        1,
        "spec.trafficPolicy.loadBalancer.warmup",
        WARNING,
    ),
    Slip(
        "a warmup at random",
        BALANCER,
        "      simple: RANDOM\n      warmupDurationSecs: 1s",
        IGNORED,
        1,
        "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        WARNING,
    ),
)
ACCEPTED = (
    "localityLbSetting: {distribute: [{from: 'a/*', to: {a/b: 30, a/c: 30, 'd/*': 40}}, {from: '*', to: {'*': 100}}]}",
    "localityLbSetting: {distribute: [{from: a/b/c, to: {a/b/c: 1, a/b/d: 99}}, {from: a/b/d, to: {a: 100}}]}",
    "localityLbSetting: {enabled: true}",
    "zoneAwareLbSetting: {enabled: true, minClusterSize: 4294967295}",
    "warmup: {duration: 1.001s, aggression: 0.1, minimumPercent: 100}",
    "warmupDurationSecs: 1s",
)


LAST = "  - route:\n    - destination:\n        host: web"
"""The rule without conditions, with its last line the last of VALID."""


def of_rule(name: str, lines: str, path: str, below: int = 1, severity: mr.Severity = mr.Severity.ERROR) -> Slip:
    """More lines of the last rule, before its route; `below` counts from the rule."""
    head, *rest = lines.splitlines()
    text = "\n".join([f"  - {head}", *(f"    {line}" for line in rest), *LAST.replace("  - ", "    ", 1).splitlines()])
    return Slip(name, LAST, text, VALUE, below - 1, f"spec.http[1].{path}", severity)


def instead_of_route(name: str, line: str, path: str, severity: mr.Severity = mr.Severity.ERROR) -> Slip:
    """One line in place of what the last rule does."""
    return Slip(name, LAST, f"  - {line}", VALUE, 0, f"spec.http[1].{path}", severity)


TOGETHER = (
    of_rule("a redirect too", "redirect: {uri: /x}", "route", 2),
    of_rule("an answer too", "directResponse: {status: 200}", "route", 2),
    instead_of_route("a fault of a redirect", "{redirect: {uri: /x}, fault: {delay: {fixedDelay: 1s}}}", "fault"),
    instead_of_route("a rewrite of a redirect", "{redirect: {uri: /x}, rewrite: {uri: /}}", "rewrite"),
    instead_of_route("two answers", "{redirect: {uri: /x}, directResponse: {status: 200}}", "directResponse"),
    instead_of_route("a rewrite of an answer", "{directResponse: {status: 200}, rewrite: {uri: /}}", "rewrite"),
    of_rule("mirrors twice", "mirror: {host: web}\nmirrors: [{destination: {host: web}}]", "mirror"),
)

DONE = (
    instead_of_route("two places", "redirect: {uri: /x, prefixRewrite: /y}", "redirect.prefixRewrite"),
    instead_of_route("nowhere", "redirect: {redirectCode: 301}", "redirect"),
    instead_of_route("a code below", "redirect: {uri: /x, redirectCode: 299}", "redirect.redirectCode"),
    instead_of_route("a code above", "redirect: {uri: /x, redirectCode: 400}", "redirect.redirectCode"),
    instead_of_route("another scheme", "redirect: {scheme: HTTPS}", "redirect.scheme"),
    instead_of_route("a status below", "directResponse: {status: 199}", "directResponse.status"),
    instead_of_route("a status above", "directResponse: {status: 601}", "directResponse.status"),
    of_rule("no rewrite", "rewrite: {}", "rewrite"),
    of_rule("two rewrites", "rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}", "rewrite.uriRegexRewrite"),
    of_rule("half a rewrite", "rewrite: {uriRegexRewrite: {rewrite: b}}", "rewrite.uriRegexRewrite.match"),
    of_rule("no fault", "fault: {}", "fault"),
    of_rule("an unknown status", "fault: {abort: {grpcStatus: '5'}}", "fault.abort.grpcStatus"),
    of_rule("an abort with nothing", "fault: {abort: {}}", "fault.abort", severity=WARNING),
    of_rule("an empty origin", "corsPolicy: {allowOrigins: [{}]}", "corsPolicy.allowOrigins[0]"),
    of_rule("an unknown method", "corsPolicy: {allowMethods: [get]}", "corsPolicy.allowMethods[0]"),
    of_rule("a header of two words", "corsPolicy: {exposeHeaders: ['x y']}", "corsPolicy.exposeHeaders[0]"),
    of_rule("half a second", "corsPolicy: {maxAge: 0.5s}", "corsPolicy.maxAge"),
)

NUMBERS = (
    of_rule("a percentage above", "mirror: {host: web}\nmirrorPercentage: {value: 100.1}", "mirrorPercentage.value", 2),
    of_rule(
        "a percentage below",
        "mirrors: [{destination: {host: web}, percentage: {value: -0.1}}]",
        "mirrors[0].percentage.value",
    ),
    of_rule(
        "too rare", "fault: {delay: {fixedDelay: 1s, percentage: {value: 0.00009}}}", "fault.delay.percentage.value"
    ),
    of_rule("a fraction", "timeout: 1.0001s", "timeout"),
    of_rule("less than none", "retries: {attempts: -1}", "retries.attempts"),
    of_rule("a try of none", "retries: {perTryTimeout: 1s}", "retries.perTryTimeout"),
    of_rule("what is off", "retries: {retryOn: 5xx}", "retries.retryOn"),
    of_rule("far from off", "retries: {retryRemoteLocalities: true}", "retries.retryRemoteLocalities"),
    of_rule("between tries", "retries: {attempts: 1, backoff: 1.0001s}", "retries.backoff"),
    of_rule("a port above", "mirror: {host: web, port: {number: 65536}}", "mirror.port.number"),
)


def of_match(name: str, line: str, path: str) -> Slip:
    """One more match of the first rule."""
    return Slip(name, "  - match:", f"  - match:\n    - {line}", VALUE, 1, f"spec.http[0].match[0].{path}")


ASKED = (
    *(
        of_match(f"an empty prefix of {field}", f"{field}: {{prefix: ''}}", f"{field}.prefix")
        for field in ("scheme", "method", "authority")
    ),
    *(
        of_match(f"an empty {kind} in {field}", f"{field}: {{x: {{{kind}: ''}}}}", f"{field}.x.{kind}")
        for field in ("headers", "withoutHeaders", "queryParams")
        for kind in ("prefix", "regex")
    ),
    of_match("an empty pattern", "uri: {regex: ''}", "uri.regex"),
    of_match("a header of two words", "headers: {x y: {}}", 'headers["x y"]'),
    of_match("an unknown pseudo-header", "headers: {':host': {}}", 'headers[":host"]'),
    of_match("a claim", "headers: {'@Request.auth.claims[a]': {}}", 'headers["@Request.auth.claims[a]"]'),
    of_rule("a path", "headers: {request: {set: {':path': /}}}", 'headers.request.set[":path"]'),
    of_rule("a host", "headers: {request: {remove: [Host]}}", "headers.request.remove[0]"),
    of_rule("an answer's host", "headers: {response: {add: {host: a}}}", "headers.response.add.host"),
    of_rule("a name without letters", "headers: {response: {set: {'': a}}}", 'headers.response.set[""]'),
    of_rule("a control letter", 'headers: {request: {add: {x: "a\\x01"}}}', "headers.request.add.x"),
    of_rule(
        "two authorities",
        "rewrite: {authority: a}\nheaders: {request: {add: {Host: b}}}",
        "headers.request.add.Host",
        2,
    ),
)

HOSTS = "  hosts:\n  - web"
NAMES = (
    Slip("a letter of no name", HOSTS, "  hosts:\n  - web\n  - foo.ba!r", VALUE, 2, "spec.hosts[1]"),
    Slip("a wildcard inside", HOSTS, "  hosts:\n  - web\n  - foo.*", VALUE, 2, "spec.hosts[1]"),
    Slip("everybody", HOSTS, "  hosts: ['*']", VALUE, 0, "spec.hosts[0]"),
    Slip("one twice", HOSTS, "  hosts:\n  - web\n  - '*web'", VALUE, 2, "spec.hosts[1]"),
    of_match("a Gateway of every namespace", "gateways: ['*/x']", "gateways[0]"),
    of_rule("a mirror for all", "mirror: {host: '*'}", "mirror.host"),
    of_rule("a subset", "mirrors: [{destination: {host: web, subset: v_1}}]", "mirrors[0].destination.subset"),
    of_match("a namespace", "sourceNamespace: a.b", "sourceNamespace"),
    of_match("a label", "sourceLabels: {a b: c}", 'sourceLabels["a b"]'),
)

SUBSETS = "  subsets:\n  - name: v1"
RULES = (
    Slip("an address", "  host: web", "  host: 10.0.0.1", VALUE, 0, "spec.host"),
    Slip("a subset twice", SUBSETS, "  subsets:\n  - {name: v1}\n  - name: v1", VALUE, 2, "spec.subsets[1].name"),
    Slip("a subset's name", SUBSETS, "  subsets:\n  - name: v.1\n  - name: v1", VALUE, 1, "spec.subsets[0].name"),
    Slip(
        "a policy of nothing", SUBSETS, f"{SUBSETS}\n    trafficPolicy: {{}}", VALUE, 2, "spec.subsets[0].trafficPolicy"
    ),
    *(
        Slip(name, BALANCER, f"{BALANCER}\n    {line}", VALUE, 1, f"spec.trafficPolicy.{path}")
        for name, line, path in (
            ("no port", "portLevelSettings: [{loadBalancer: {}}]", "portLevelSettings[0].port"),
            ("nothing for a port", "portLevelSettings: [{port: {number: 80}}]", "portLevelSettings[0]"),
            ("no limits", "connectionPool: {}", "connectionPool"),
            ("less than none", "connectionPool: {tcp: {maxConnections: -1}}", "connectionPool.tcp.maxConnections"),
            ("less than none", "connectionPool: {http: {maxRetries: -1}}", "connectionPool.http.maxRetries"),
        )
    ),
    Slip(
        "a table without a size",
        BALANCER,
        "      consistentHash:\n        maglev: {}",
        VALUE,
        1,
        "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
    ),
)


class TestCheck1UnknownFields:
    """CHECK-1: a field that does not exist is an error, with the nearest name that does. A non-strict client has it
    dropped, with a warning."""

    @given(st.sampled_from(UNKNOWN_FIELDS), paddings)
    def test_it_is_an_error_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And the only one."""
        told_exactly(padding, slip)

    @given(st.sampled_from(UNKNOWN_FIELDS), paddings)
    def test_a_client_that_is_not_strict_drops_it(self, slip: Slip, padding: Padding) -> None:
        """A warning in the same place; what is left is read."""
        told_exactly(padding, slip._replace(severity=WARNING), strict=False)
        if slip.instead != BESIDE_A_URI:  # which changes more than one line
            dropped = mr.loads(written_out(padding, slip)[0], strict=False)
            assert dropped.resources == mr.loads(VALID).resources


class TestCheck2Labels:
    """CHECK-2: label values are strings. A number or a boolean is an error; nothing is converted."""

    @given(st.sampled_from(LABELS), paddings, st.booleans())
    def test_it_is_an_error_with_the_text_in_quotes(self, slip: Slip, padding: Padding, strict: bool) -> None:
        """As it was written, and not as YAML read it; strict or not."""
        told_exactly(padding, slip, strict=strict)

    @given(st.sampled_from(("v1", "1.2.3", "2024-01", "1a", '""', '"1"')), st.sampled_from(LABELS))
    def test_what_yaml_reads_as_text_is_text(self, value: str, slip: Slip) -> None:
        """Nothing is wrong with its type."""
        text = VALID.replace(slip.written, slip.written.replace('"1"', value))
        assert TYPE not in {one.code for one in diagnosed(text)}


class TestCheck3Types:
    """CHECK-3: a field of another type than the schema's is an error, with the corrected lines: `route` is a list."""

    @given(st.sampled_from(TYPES), paddings, st.booleans())
    def test_it_is_an_error_with_the_lines_that_were_meant(self, slip: Slip, padding: Padding, strict: bool) -> None:
        """Being lenient about names helps nobody here."""
        told_exactly(padding, slip, strict=strict)

    @given(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))
    def test_every_slip_is_told_at_once(self, slips: list[Slip]) -> None:
        """Not only the first."""
        text = VALID
        for slip in slips:
            text = f"\n{text}".replace(f"\n{slip.written}\n", f"\n{slip.instead}\n", 1)[1:]
        assert {one.path for one in said(text) if one.code not in CONSEQUENCES} == {slip.path for slip in slips}


class TestCheck4Unreachable:
    """CHECK-4: a rule after one without conditions is never used: a warning, and where weights of one destination each
    stand in such rules, the one rule that was meant."""

    @given(st.lists(st.sampled_from(("conditions", "none")), min_size=1, max_size=5))
    def test_every_rule_after_the_first_without_conditions(self, rules: list[str]) -> None:
        """Whatever conditions it has itself."""
        kinds = {
            "conditions": "  - match: [{{uri: {{prefix: /{}}}}}]\n    route: [{{destination: {{host: web}}}}]\n",
            "none": "  - route: [{{destination: {{host: web}}}}]\n",
        }
        head = VALID[: VALID.index("  http:\n")] + "  http:\n"
        written = [kinds[rule].format(at) for at, rule in enumerate(rules)]
        text = head + "".join(written)
        hiding = rules.index("none") if "none" in rules else len(rules)
        starts = [head.count("\n") + 1 + "".join(written[:at]).count("\n") for at in range(len(rules))]
        assert said(text) == [
            Said(mr.Code.RULE_UNREACHABLE, WARNING, starts[at], f"spec.http[{at}]")
            for at in range(hiding + 1, len(rules))
        ]

    @given(st.lists(st.integers(1, 99), min_size=2, max_size=4))
    def test_a_split_over_rules_is_shown_as_one_rule(self, weights: list[int]) -> None:
        """The help of the last rule has all the destinations, and its lines are YAML that splits as was meant."""
        head = VALID[: VALID.index("  http:\n")] + "  http:\n"
        rule = "  - route: [{{destination: {{host: web, subset: v1}}, weight: {}}}]\n"
        told = [
            one for one in diagnosed(head + "".join(map(rule.format, weights))) if one.code is mr.Code.RULE_UNREACHABLE
        ]
        assert len(told) == len(weights) - 1
        _, _, lines = told[-1].help.partition("\n")
        meant = mr.loads(VALID[: VALID.index("  http:\n")] + "".join(f"  {line}\n" for line in lines.splitlines()))
        (found,) = (one for one in meant.resources if isinstance(one, VirtualService))
        assert [one.weight for one in found.spec.http[0].route] == weights
        assert meant.diagnostics == ()

    def test_other_rules_are_told_to_change_places(self) -> None:
        """Where nothing looks like a split."""
        text = VALID + "  - match: [{uri: {prefix: /x}}]\n    route: [{destination: {host: web}}]\n"
        (told,) = diagnosed(text)
        assert (told.code, told.help) == (
            mr.Code.RULE_UNREACHABLE,
            "rules are tried in the order written; put the rule without conditions last",
        )


class TestCheck5Patterns:
    """CHECK-5: a pattern that RE2 refuses, where proxies or where Istio ask it, or of more than 1024 bytes, is an error
    with the position."""

    @given(st.sampled_from(PATTERNS), paddings)
    def test_it_is_an_error_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And no other pattern is."""
        told_exactly(padding, slip)

    @given(st.text("a", max_size=5), st.sampled_from((("(?=x)", 0), ("a**", 1), (r"\8", 0), ("[b-a]", 1), (r"\C", 0))))
    def test_the_position_is_the_byte_where_it_goes_wrong(self, before: str, wrong: tuple[str, int]) -> None:
        """Counted from 0, in bytes: the two of `é` are two. What goes wrong may begin behind its first byte."""
        (told,) = diagnosed(VALID.replace("regex: a=.*", f"regex: 'é{before}{wrong[0]}'"))
        assert told.message.endswith(f"at byte {2 + len(before) + wrong[1]}")

    @given(st.sampled_from((1023, 1024, 1025)), st.sampled_from(("a", "é")))
    def test_the_limit_is_1024_bytes(self, length: int, letter: str) -> None:
        """One more is too many; letters may have two."""
        pattern = letter * (length // len(letter.encode())) + "a" * (length % len(letter.encode()))
        assert len(pattern.encode()) == length
        told = diagnosed(VALID.replace("regex: a=.*", f"regex: {pattern}"))
        assert [one.code for one in told] == ([REGEX] if length > 1024 else [])


class TestCheck6Weights:
    """CHECK-6: several destinations whose weights sum to 0, or a negative weight, are errors. One destination with a
    weight is a warning."""

    @given(st.sampled_from(SUMS), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """The sum at the list, a weight at itself, a missing one at its destination."""
        told_exactly(padding, slip)

    @given(st.lists(st.integers(-1, 2), min_size=2, max_size=3))
    def test_only_these_are_refused(self, weights: list[int]) -> None:
        """Any other weights are fine: they need not sum to 100."""
        route = "".join(f"    - {{destination: {{host: web}}, weight: {weight}}}\n" for weight in weights)
        told = said(VALID[: VALID.index("  - route:\n")] + "  - route:\n" + route)
        negative = [one for one in told if one.path.endswith(".weight")]
        assert len(negative) == sum(weight < 0 for weight in weights)
        assert bool([one for one in told if one.path.endswith(".route")]) == (not any(weights))
        assert bool(told) == (min(weights) < 0 or not any(weights))


class TestCheck7NotActedOn:
    """CHECK-7: a field that is understood and that decisions do not act upon is a warning."""

    @given(st.sampled_from(NOT_ACTED_ON), paddings)
    def test_it_is_a_warning_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And the only one."""
        told_exactly(padding, slip)

    @given(st.sampled_from(NOT_ACTED_ON))
    def test_decisions_are_as_if_it_were_absent(self, slip: Slip) -> None:
        """The table is the same, but for where its rules were written."""
        text, _ = written_out({}, slip)
        table, plain = (
            "\n".join(line for line in mr.loads(one).router().table.to_json().splitlines() if '"line"' not in line)
            for one in (text, VALID)
        )
        assert table == plain


class TestCheck8RefusedPolicies:
    """CHECK-8: errors in a traffic policy are those of Istio's webhook, each in its place."""

    @given(st.sampled_from(REFUSED), paddings)
    def test_it_is_an_error_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And the only one."""
        told_exactly(padding, slip)

    @given(st.sampled_from(ACCEPTED))
    def test_what_istio_accepts_is_accepted(self, line: str) -> None:
        """Without a word."""
        assert said(VALID.replace(BALANCER, f"{BALANCER}\n      {line}")) == []

    @given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def test_shares_sum_to_a_hundred(self, weights: list[int]) -> None:
        """Exactly."""
        to = ", ".join(f"r{number}: {weight}" for number, weight in enumerate(weights))
        line = f"      localityLbSetting: {{distribute: [{{from: a, to: {{{to}}}}}]}}"
        told = diagnosed(VALID.replace(BALANCER, f"{BALANCER}\n{line}"))
        expected = [] if sum(weights) == 100 else [f"total locality weight {sum(weights)} != 100"]
        assert [one.message for one in told] == expected


class TestCheck9WithoutEffect:
    """CHECK-9: a setting without effect where it stands is a warning."""

    @given(st.sampled_from(WITHOUT_EFFECT), paddings)
    def test_it_is_a_warning_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And the only one."""
        told_exactly(padding, slip)

    @given(st.sampled_from(("failoverPriority: [app]", "failover: [{from: a, to: b}]")))
    def test_outlier_detection_gives_it_its_effect(self, line: str) -> None:
        """The service's, for a subset that says nothing of it."""
        lines = f"    trafficPolicy: {{loadBalancer: {{localityLbSetting: {{{line}}}}}}}"
        text = VALID.replace("  - name: v1", f"  - name: v1\n{lines}")
        assert [one.code for one in said(text)] == [IGNORED]
        detected = text.replace("  subsets:", "    outlierDetection: {}\n  subsets:")
        assert [one.code for one in said(detected)] == [mr.Code.ISTIO_WARNS]
        own = text.replace("loadBalancer: {locality", "outlierDetection: {}, loadBalancer: {locality")
        assert said(own) == []


class TestCheck12Together:
    """CHECK-12: actions that cannot be in one rule are errors."""

    @given(st.sampled_from(TOGETHER), paddings)
    def test_it_is_an_error_at_what_is_too_much(self, slip: Slip, padding: Padding) -> None:
        """And the only one."""
        told_exactly(padding, slip)

    @given(st.sets(st.sampled_from(("route", "redirect", "directResponse")), max_size=3))
    def test_a_rule_has_one_of_three(self, actions: set[str]) -> None:
        """None is refused, and so is more than one."""
        lines = {
            "route": "route: [{destination: {host: web}}]",
            "redirect": "redirect: {uri: /x}",
            "directResponse": "directResponse: {status: 200}",
        }
        body = ", ".join(["name: a", *(lines[one] for one in sorted(actions))])
        codes = {one.code for one in said(VALID.replace(LAST, f"  - {{{body}}}"))}
        if len(actions) == 1:
            assert codes == set()
        else:
            assert codes == {VALUE if actions else mr.Code.RULE_EMPTY}


class TestCheck13Done:
    """CHECK-13: what a rule does must be something that a proxy can do."""

    @given(st.sampled_from(DONE), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And nothing else is."""
        told_exactly(padding, slip)

    @given(st.integers(0, 1000))
    def test_statuses_are_from_200_to_600(self, status: int) -> None:
        """The last one is a slip of Istio's that it tests for."""
        told = said(VALID.replace(LAST, f"  - directResponse: {{status: {status}}}"))
        assert [one.code for one in told] == ([] if 200 <= status <= 600 else [VALUE])

    @given(st.integers(1, 500))
    def test_redirects_have_codes_that_begin_with_3(self, code: int) -> None:
        """Some of them no proxy has: that is another thing to say."""
        told = said(VALID.replace(LAST, f"  - redirect: {{uri: /x, redirectCode: {code}}}"))
        errors = [one for one in told if one.severity is mr.Severity.ERROR]
        assert bool(errors) == (not 300 <= code <= 399)
        known = (301, 302, 303, 307, 308)
        unknown = 300 <= code <= 399 and code not in known
        assert [one.code for one in told if one.severity is WARNING] == [MODEL] * unknown

    @given(st.sampled_from((102_400, 1_048_576)), st.integers(-1, 1))
    def test_large_bodies_are_a_warning_and_larger_ones_an_error(self, limit: int, more: int) -> None:
        """What counts are the bytes that are sent: the two of `é` are two."""
        size = limit + more
        text = "é" * (size // 2) + "a" * (size % 2)
        told = said(VALID.replace(LAST, f"  - directResponse: {{status: 200, body: {{string: {text}}}}}"))
        assert [one.path for one in told] == (["spec.http[1].directResponse.body.string"] if size > 102_400 else [])
        assert {one.severity for one in told} <= {mr.Severity.ERROR if size > 1_048_576 else WARNING}

    @given(st.integers(-2, 2))
    def test_a_body_in_base64_has_three_bytes_for_four_letters(self, more: int) -> None:
        """And counts as them."""
        text = b64encode(b"a" * (102_400 + more)).decode()
        told = said(VALID.replace(LAST, f"  - directResponse: {{status: 200, body: {{bytes: {text}}}}}"))
        assert [one.path for one in told] == (["spec.http[1].directResponse.body.bytes"] if more > 0 else [])


class TestCheck14Numbers:
    """CHECK-14: percentages, durations, attempts, words of `retryOn` and ports that there are."""

    @given(st.sampled_from(NUMBERS), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And nothing else is."""
        told_exactly(padding, slip)

    @given(st.lists(st.sampled_from(("5xx", "reset", "503", "unavailable", " reset", "600", "", "Reset")), min_size=1))
    def test_every_word_of_retry_on_means_something(self, words: list[str]) -> None:
        """Spaces are part of a word. No word at all leaves the choice to Istio."""
        text = ",".join(words)
        told = said(VALID.replace(LAST, LAST + f"\n    retries: {{attempts: 1, retryOn: '{text}'}}"))
        wrong = {one for one in words if one in (" reset", "600", "", "Reset")} if text else set()
        assert len(told) == len(wrong)
        assert {one.path for one in told} <= {"spec.http[1].retries.retryOn"}

    @given(st.integers(1_000_000, 2_000_000_000))
    def test_durations_are_whole_milliseconds(self, nanoseconds: int) -> None:
        """Nothing is rounded."""
        told = said(VALID.replace(LAST, LAST + f"\n    timeout: {nanoseconds}ns"))
        assert len(told) == (nanoseconds % 1_000_000 != 0)


class TestCheck15Asked:
    """CHECK-15: matches that say something, headers that can be changed, percent signs that begin something."""

    @given(st.sampled_from(ASKED), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And nothing else is."""
        told_exactly(padding, slip)

    @given(st.lists(st.sampled_from(("a", "%%", "%HOSTNAME%", "%REQ(x?y)%", '%DOWN(["a", "b"])%', ")", "["))))
    def test_percent_signs_begin_something_or_are_doubled(self, parts: list[str]) -> None:
        """Whole expressions are taken in any order; one sign too many leaves the last without an end."""
        text = "".join(parts)
        assert header_value_fault(text) == ""
        assert header_value_fault(text + "%a") != ""
        assert header_value_fault(text + "%") != ""

    @given(
        st.sampled_from(
            (
                ("%DOWNSTREAM_PEER_CERT_V_END(%b %d %H:%M:%S %Y %Z)%", True),
                ("%DYNAMIC_METADATA(com.test.my_filter)%", True),
                ("%START_TIME%%", False),
                ("abc%123", False),
                ("%REQ(x):9%", False),
                ('%A(["b" "c"])%', False),
                ('%A(["b\\""])%', True),
                ('%A(["b\\"])%', True),  # a bracket ends the whole, inside of a text too
                ('%A(["b\\', False),
                ("%A( b) %", True),
                ("%A(b", False),
            )
        )
    )
    def test_expressions_have_one_form(self, case: tuple[str, bool]) -> None:
        """One argument or a list of texts in quotes; nothing but spaces behind it."""
        assert (header_value_fault(case[0]) == "") is case[1]


class TestCheck16Names:
    """CHECK-16: hosts, destinations and Gateways have names that DNS could have."""

    @given(st.sampled_from(NAMES), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And nothing else is."""
        told_exactly(padding, slip)

    @given(
        st.lists(st.text("ab-1", min_size=1, max_size=4).filter(lambda part: part.strip("-") == part), min_size=1),
        st.sampled_from(("", "*", "*-", "*.")),
        st.sampled_from("!_*/ é@"),
        st.data(),
    )
    def test_parts_are_letters_digits_and_dashes_inside(
        self, parts: list[str], before: str, wrong: str, data: st.DataObject
    ) -> None:
        """One letter that is none of them is one too many, wherever it stands."""
        name = ".".join(parts)
        host = before + name
        number = parts[-1].isdigit() and (len(parts) > 1 or before == "*.")
        assert bool(host_fault(host)) == number
        at = data.draw(st.integers(1, len(name)))
        assert host_fault(f"{name[:at]}{wrong}{name[at:]}") != ""

    @given(st.sampled_from((63, 64)), st.sampled_from((255, 256)))
    def test_names_have_lengths(self, part: int, whole: int) -> None:
        """63 bytes of a part, 255 of all."""
        assert bool(host_fault("a" * part)) == (part > 63)
        name = ".".join(["a" * 63] * 3 + ["a" * (whole - 192 - 2), "b"])
        assert len(name) == whole
        assert bool(host_fault(name)) == (whole > 255)


class TestCheck17Covered:
    """CHECK-17: a match that an earlier one covers is never used: a warning."""

    @given(st.lists(st.text("/a", min_size=1, max_size=4), min_size=1, max_size=5))
    def test_a_prefix_behind_one_that_it_begins_with(self, prefixes: list[str]) -> None:
        """Or behind itself; and every other is used."""
        rules = "".join(
            f"  - match: [{{uri: {{prefix: {one}}}}}]\n    route: [{{destination: {{host: web}}}}]\n"
            for one in prefixes
        )
        told = said(VALID[: VALID.index("  http:\n")] + "  http:\n" + rules)
        assert [one.path for one in told] == [
            f"spec.http[{number}].match[0]"
            for number, one in enumerate(prefixes)
            if any(one.startswith(earlier) for earlier in prefixes[:number])
        ]
        assert {(one.code, one.severity) for one in told} <= {(mr.Code.RULE_UNREACHABLE, WARNING)}

    @pytest.mark.parametrize("more", [("method", "GET"), ("header", "1"), ("scheme", "https"), ("ignore", True)])
    @given(
        st.lists(st.tuples(st.sampled_from(("/a", "/ab")), st.booleans()), min_size=2, max_size=3),
        st.data(),
    )
    def test_what_is_told_is_true(
        self, more: tuple[str, object], drawn: list[tuple[str, bool]], data: st.DataObject
    ) -> None:
        """No request is the first for a match of which that is told."""
        matches = [{"prefix": prefix, **dict([more] if asks else [])} for prefix, asks in drawn]
        rules = []
        for number, one in enumerate(matches):
            asked = [f"uri: {{prefix: {one['prefix']}}}"]
            asked += [f"method: {{exact: {one['method']}}}"] if "method" in one else []
            asked += [f"headers: {{x: {{exact: '{one['header']}'}}}}"] if "header" in one else []
            asked += [f"scheme: {{exact: {one['scheme']}}}"] if "scheme" in one else []
            asked += ["ignoreUriCase: true"] if "ignore" in one else []
            rules.append(f"  - match: [{{{', '.join(asked)}}}]\n    directResponse: {{status: {200 + number}}}\n")
        mesh = mr.loads(VALID[: VALID.index("  http:\n")] + "  http:\n" + "".join(rules))
        told = {one.at.path for one in mesh.diagnostics if one.code is mr.Code.RULE_UNREACHABLE}
        wanted = data.draw(st.sampled_from(matches))  # a request that asks for no more than one of them
        method = str(wanted.get("method", "POST"))
        headers = {"x": str(wanted["header"])} if "header" in wanted else {}
        path = str(wanted["prefix"])
        url = f"http://web{path.upper() if 'ignore' in wanted else path}"
        decision = mesh.router().decide(mr.Request.of(method, url, headers))
        if decision.rule is not None:
            rule, bracket, _ = decision.rule.path.partition("]")
            assert rule.startswith("http[")
            assert f"spec.{rule}{bracket}.match[0]" not in told


class TestCheck29Ports:
    """CHECK-29: what is no name of a port is an error, where it is asked for and where it is given."""

    @given(st.text("a9-A.", min_size=1, max_size=17))
    def test_names(self, name: str) -> None:
        """Rule by rule, without an expression."""
        fits = (
            len(name) <= 15
            and set(name) <= set("a9-")
            and "a" in name
            and "--" not in name
            and not name.startswith("-")
            and not name.endswith("-")
        )
        wants = f"{{ports: [{{port: 80, targetPort: '{name}'}}]}}"
        asked = f"{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {wants}}}"
        has = f"{{containers: [{{name: c, ports: [{{name: '{name}', containerPort: 80}}]}}]}}"
        given_ = f"{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {has}}}"
        for text, path in ((asked, "spec.ports[0].targetPort"), (given_, "spec.containers[0].ports[0].name")):
            told = [(one.code, one.at.path) for one in load_text(text, "f.yaml").diagnostics]
            assert told == ([] if fits else [("field-value", path)])

    @given(st.integers(-(2**31), 2**31 - 1) | st.sampled_from((-1, 0, 1, 65535, 65536)))
    def test_numbers(self, number: int) -> None:
        """0 stands for none, as an absent one does."""
        wants = f"{{ports: [{{port: 80, targetPort: {number}}}]}}"
        text = f"{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {wants}}}"
        assert bool(load_text(text, "f.yaml").diagnostics) == (not 0 <= number <= 65535)


class TestCheck18Rules:
    """CHECK-18: errors in a DestinationRule, each in its place."""

    @given(st.sampled_from(RULES), paddings)
    def test_it_is_told_where_it_stands(self, slip: Slip, padding: Padding) -> None:
        """And nothing else is."""
        told_exactly(padding, slip)

    @given(st.lists(st.sampled_from(("v1", "v2", "V1", "a-b")), min_size=1, max_size=5))
    def test_a_name_stands_for_one_subset(self, names: list[str]) -> None:
        """Capitals tell names apart."""
        subsets = "".join(f"  - name: {name}\n" for name in ["v1", *names])
        told = said(VALID.replace('  - name: v1\n    labels:\n      version: "1"\n', subsets))
        all_names = ["v1", *names]
        assert [one.path for one in told if one.code is VALUE] == [
            f"spec.subsets[{number}].name" for number, name in enumerate(all_names) if name in all_names[:number]
        ]


REPAIRED = (
    Slip(
        "a number",
        '    labels:\n      version: "1"',
        "    labels:\n      version: 1",
        mr.Code.REPAIRED_LABEL_VALUE,
        1,
        "spec.subsets[0].labels.version",
        WARNING,
    ),
    Slip(
        "a boolean",
        '    app: web\n    version: "1"',
        "    app: web\n    version: true",
        mr.Code.REPAIRED_LABEL_VALUE,
        1,
        "metadata.labels.version",
        WARNING,
    ),
    Slip(
        "an empty uri",
        "    - uri:\n        prefix: /v2",
        "    - uri:\n      prefix: /v2",
        mr.Code.REPAIRED_URI_MATCH,
        1,
        "spec.http[0].match[0].prefix",
        WARNING,
    ),
    Slip(
        "a mapping",
        TYPES[0].written,
        TYPES[0].instead,
        mr.Code.REPAIRED_ROUTE_MAPPING,
        0,
        "spec.http[1].route",
        WARNING,
    ),
    Slip("host for hosts", "  hosts:\n  - web", "  host: web", mr.Code.REPAIRED_HOSTS, 0, "spec.host", WARNING),
    Slip(
        "a split over rules",
        "  - route:\n    - destination:\n        host: web",
        "  - route:\n    - destination:\n        host: web\n        subset: v1\n      weight: 1\n"
        "  - route:\n    - destination:\n        host: web\n      weight: 9",
        mr.Code.REPAIRED_SPLIT_WEIGHTS,
        0,
        "spec.http[1]",
        WARNING,
    ),
)


class TestRepair1:
    """REPAIR-1: with repair, known slips are read as they were meant, one diagnostic each. A valid manifest is never
    changed."""

    @given(st.sampled_from(REPAIRED), paddings)
    def test_each_slip_is_told_and_read_as_it_was_meant(self, slip: Slip, padding: Padding) -> None:
        """One warning, in its place; and without repair it is more than nothing."""
        text, line = written_out(padding, slip)
        expected = Said(slip.code, WARNING, line + slip.below, slip.path)
        told = said(text, repair=True)
        # A label that now holds another value may select nobody, which is another thing to say.
        assert [one for one in told if one.code is not mr.Code.SUBSET_EMPTY] == [expected]
        assert said(text) not in ([], [expected])

    @given(st.sampled_from([slip for slip in REPAIRED if slip.name not in ("a boolean", "a split over rules")]))
    def test_what_was_meant_is_the_valid_manifest(self, slip: Slip) -> None:
        """The resources are those of VALID."""
        text, _ = written_out({}, slip)
        assert mr.loads(text, repair=True).resources == mr.loads(VALID).resources

    def test_a_split_over_rules_becomes_one_rule(self) -> None:
        """Both destinations, with their weights."""
        text, _ = written_out({}, REPAIRED[-1])
        router = mr.loads(text, repair=True).router()
        asked = mr.Request.of("GET", "http://web/")
        drawn = [router.decide(asked, draws=mr.Draws.of(given={"stream": draw})).subset for draw in range(10)]
        assert drawn == ["v1", *[None] * 9]

    @given(st.lists(st.sampled_from(sorted({slip.code for slip in REPAIRED})), unique=True), st.sampled_from(REPAIRED))
    def test_only_what_is_allowed_is_repaired(self, codes: list[mr.Code], slip: Slip) -> None:
        """Without its code in the list, a slip is told as ever."""
        text, _ = written_out({}, slip)
        assert said(text, repair=codes) == said(text, repair=slip.code in codes)

    @given(paddings, st.booleans())
    def test_a_valid_manifest_is_never_changed(self, padding: Padding, strict: bool) -> None:
        """Nothing is said, and the resources are the same."""
        text, _ = written_out(padding)
        assert said(text, strict=strict, repair=True) == []
        assert mr.loads(text, strict=strict, repair=True).resources == mr.loads(text).resources


KUBERNETES = ("2-service", "3-deployment-v1", "4-deployment-v2")


def printed(name: str, *, strict: bool = True, repair: bool = False) -> Loaded:
    """One of the article's files, in the article's namespace."""
    return load_text(
        (PRINTED / f"{name}.yaml").read_text("utf-8"), name, namespace="namespace", strict=strict, repair=repair
    )


def about(name: str, *, strict: bool = True, repair: bool = False) -> list[str]:
    """What is said about one of the article's files among its service, pods and subsets: `line severity code path`."""
    subsets = ("c-subsets",) if name[0] in "def" else ()
    around = [
        one for other in (*KUBERNETES, *subsets) if other != name for one in printed(other, repair=True).resources
    ]
    asked = printed(name, strict=strict, repair=repair)
    try:
        told = mr.Mesh([*around, *asked.resources], asked.diagnostics, drafts=asked.drafts).diagnostics
    except mr.ManifestError as error:
        told = error.diagnostics
    return [
        f"{one.at.line} {one.severity} {one.code} {one.at.path}"
        for one in told
        if one.at.file == name and one.severity is not mr.Severity.NOTE
    ]


LABELS_REFUSED = [
    "10 error field-type spec.selector.matchLabels.version",
    "15 error field-type spec.template.metadata.labels.version",
]
SUBSETS_REFUSED = [
    "10 error field-type spec.subsets[0].labels.version",
    "13 error field-type spec.subsets[1].labels.version",
]
ARTICLE: dict[str, tuple[list[str], list[str], list[str]]] = {
    "1-deployment": ([], [], []),
    "2-service": ([], [], []),
    "3-deployment-v1": (
        LABELS_REFUSED,
        LABELS_REFUSED,
        [
            "10 warning repaired-label-value spec.selector.matchLabels.version",
            "15 warning repaired-label-value spec.template.metadata.labels.version",
        ],
    ),
    "4-deployment-v2": (
        LABELS_REFUSED,
        LABELS_REFUSED,
        [
            "10 warning repaired-label-value spec.selector.matchLabels.version",
            "15 warning repaired-label-value spec.template.metadata.labels.version",
        ],
    ),
    "a-round-robin": ([], [], []),
    "b-header-hash": ([], [], []),
    "c-subsets": (
        SUBSETS_REFUSED,
        SUBSETS_REFUSED,
        [
            "10 warning repaired-label-value spec.subsets[0].labels.version",
            "12 warning subset-empty spec.subsets[1].labels",  # the second Deployment has no replicas
            "13 warning repaired-label-value spec.subsets[1].labels.version",
        ],
    ),
    "d-split": (
        [
            "5 error field-missing spec.hosts",
            "6 error field-unknown spec.host",
            "12 warning weight-ignored spec.http[0].route[0].weight",
            "13 warning rule-unreachable spec.http[1]",
            "17 warning weight-ignored spec.http[1].route[0].weight",
        ],
        [
            "5 warning field-missing spec.hosts",
            "5 warning hosts-missing spec",
            "6 warning field-unknown spec.host",
            "12 warning weight-ignored spec.http[0].route[0].weight",
            "13 warning rule-unreachable spec.http[1]",
            "17 warning weight-ignored spec.http[1].route[0].weight",
        ],
        ["6 warning repaired-hosts spec.host", "8 warning repaired-split-weights spec.http[0]"],
    ),
    "e-path": (
        [
            "5 error field-missing spec.hosts",
            "6 error field-unknown spec.host",
            "9 warning field-value spec.http[0].match[0].uri",
            "10 error field-unknown spec.http[0].match[0].prefix",
            "11 error field-type spec.http[0].route",
        ],
        [
            "5 warning field-missing spec.hosts",
            "6 warning field-unknown spec.host",
            "9 warning field-value spec.http[0].match[0].uri",
            "10 warning field-unknown spec.http[0].match[0].prefix",
            "11 error field-type spec.http[0].route",
        ],
        [
            "6 warning repaired-hosts spec.host",
            "10 warning repaired-uri-match spec.http[0].match[0].prefix",
            "11 warning repaired-route-mapping spec.http[0].route",
        ],
    ),
    "f-cookie": (
        [
            "5 error field-missing spec.hosts",
            "6 error field-unknown spec.host",
            "12 error field-type spec.http[0].route",
        ],
        [
            "5 warning field-missing spec.hosts",
            "6 warning field-unknown spec.host",
            "12 error field-type spec.http[0].route",
        ],
        ["6 warning repaired-hosts spec.host", "12 warning repaired-route-mapping spec.http[0].route"],
    ),
}
"""By file: what a strict reader is told, one that is not strict, and one that repairs."""


class TestArticle:
    """The article's configurations, as printed: all that is said about them, and on which lines."""

    @pytest.mark.parametrize("name", ARTICLE)
    @pytest.mark.parametrize("how", ["strict", "lenient", "repaired"])
    def test_all_that_is_said(self, name: str, how: str) -> None:
        """Among the article's own service, pods and subsets."""
        told = about(name, strict=how != "lenient", repair=how == "repaired")
        assert told == ARTICLE[name][("strict", "lenient", "repaired").index(how)]

    def test_every_file_is_here(self) -> None:
        """None is left out."""
        assert set(ARTICLE) == {path.stem for path in PRINTED.glob("*.yaml")}
