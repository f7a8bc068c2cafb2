"""Every code that lint can say: how much it weighs, what it rests on, and what others call it.

Source    spec/validate.md; istio/istio: pkg/config/analysis/msg/messages.yaml (IST codes);
          kiali/kiali: business/checkers, models/istio_validation.go (KIA codes)
Inputs    codes. Exactness: every code has one line here, and one page in docs/lint; tests compare the lists.
Errors    none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from meshroute.diagnostics import Code, Severity


class LintCode(StrEnum):
    """What only lint says: it takes more than a look at one object."""

    # which rules requests reach
    RULE_OVERSHADOWED = "rule-overshadowed"
    RULE_NEVER_APPLIES = "rule-never-applies"
    RULE_NOT_DECIDED = "rule-not-decided"
    PREFIX_SWALLOWS = "prefix-swallows"
    FAULT_NEVER_FIRES = "fault-never-fires"


class About(msgspec.Struct, frozen=True):
    """What a code means, in a line. `severity` is what it usually has; `istio` and `kiali` are the codes of
    `istioctl analyze` and of Kiali that speak of the same thing."""

    title: str
    severity: Severity
    clause: str = ""
    istio: tuple[str, ...] = ()
    kiali: tuple[str, ...] = ()


_ERROR, _WARNING, _NOTE = Severity

CATALOGUE: Final[Mapping[Code | LintCode, About]] = {
    # text
    Code.FILE_UNREADABLE: About("a file cannot be read", _ERROR),
    Code.TEXT_INVALID: About("the text is neither YAML nor JSON", _ERROR),
    Code.TEXT_REFUSED: About("the text could cost more than it says", _ERROR),
    Code.KEY_DUPLICATE: About("a mapping has one key twice", _ERROR),
    # objects
    Code.DOCUMENT_SHAPE: About("a document is no object of a known version", _ERROR),
    Code.KIND_UNKNOWN: About("a kind that takes no part in routing here", _NOTE),
    Code.FIELD_UNKNOWN: About("a field does not exist", _ERROR, "CHECK-1"),
    Code.FIELD_MISSING: About("a field without which the object means nothing", _ERROR, "CHECK-3", ("IST0106",)),
    Code.FIELD_TYPE: About("a value of another type than the schema's", _ERROR, "CHECK-3", ("IST0106",)),
    Code.FIELD_VALUE: About("a value that is not allowed", _ERROR, "CHECK-13", ("IST0106", "IST0133")),
    Code.FIELD_NOT_MODELLED: About("a field that decisions do not act upon yet", _WARNING, "CHECK-7"),
    Code.OBJECT_DUPLICATE: About("two objects of one name", _ERROR),
    # repairs
    Code.REPAIRED_LABEL_VALUE: About("a label value was read as text", _WARNING, "CHECK-2"),
    Code.REPAIRED_URI_MATCH: About("a condition beside `uri` was read as `uri`'s", _WARNING, "CHECK-1"),
    Code.REPAIRED_ROUTE_MAPPING: About("a mapping was read as a list of one destination", _WARNING, "CHECK-3"),
    Code.REPAIRED_HOSTS: About("`host` was read as `hosts`", _WARNING, "CHECK-1"),
    Code.REPAIRED_SPLIT_WEIGHTS: About("rules were read as one rule with weights", _WARNING, "CHECK-4"),
    # meaning
    Code.REGEX_INVALID: About("a pattern that RE2 refuses", _ERROR, "CHECK-5", ("IST0106",)),
    Code.RULE_UNREACHABLE: About("a rule or match that no request reaches", _WARNING, "LINT-1", ("IST0130", "IST0131")),
    Code.RULE_EMPTY: About("a rule that says nothing about where requests go", _ERROR, "CHECK-12", ("IST0106",)),
    Code.RULE_DROPPED: About(
        "a delegate's rule that does not go with the rule that leads there", _WARNING, "DELEGATE-2"
    ),
    Code.DELEGATE_UNKNOWN: About("a rule goes on where nobody is", _WARNING, "DELEGATE-1"),
    Code.WEIGHT_IGNORED: About("the weight of an only destination", _WARNING, "CHECK-6", (), ("KIA1104",)),
    Code.WEIGHTS_UNUSABLE: About("weights that divide nothing", _ERROR, "CHECK-6", ("IST0106",)),
    Code.HOST_UNKNOWN: About(
        "a host that no given service has", _WARNING, "DECIDE-2", ("IST0101", "IST0174"), ("KIA0202", "KIA1101")
    ),
    Code.HOSTS_MISSING: About("a delegate that nobody leads to", _WARNING, "DELEGATE-1"),
    Code.PORT_UNKNOWN: About("a port that the service does not have", _WARNING, "DECIDE-2", ("IST0101",)),
    Code.SUBSET_UNKNOWN: About("a subset that nobody defines", _WARNING, "DR-1", ("IST0101",), ("KIA1107",)),
    Code.SUBSET_EMPTY: About("a subset that no pod is in", _WARNING, "DR-6", ("IST0173",), ("KIA0203",)),
    Code.ENDPOINTS_MISSING: About("a service that nobody answers for", _WARNING, "CHECK-10"),
    Code.SERVICE_IGNORED: About("a service that another one of its host stands before", _WARNING, "CHECK-10"),
    Code.SIDECAR_IGNORED: About("a Sidecar that another one stands before", _WARNING, "CHECK-11", ("IST0111",)),
    Code.GATEWAY_UNKNOWN: About("a Gateway that is not there", _WARNING, "CHECK-10", ("IST0101",), ("KIA1102",)),
    Code.GATEWAY_SERVES_NOTHING: About("no server of the Gateway has the host", _WARNING, "CHECK-10", ("IST0132",)),
    Code.SERVER_IGNORED: About(
        "a server that another one stands before", _WARNING, "CHECK-10", ("IST0145",), ("KIA0301",)
    ),
    Code.VIRTUAL_SERVICE_IGNORED: About(
        "a VirtualService that another one stands before", _WARNING, "HOST-3", ("IST0109",), ("KIA1106",)
    ),
    Code.PROTOCOL_NOT_HTTP: About("HTTP rules on a port that does not speak HTTP", _WARNING, "CONNECT-5"),
    Code.SETTING_IGNORED: About("a setting without effect where it stands", _WARNING, "CHECK-9", ("IST0133",)),
    Code.ADDRESS_ASSUMED: About("addresses that were made up", _NOTE),
    # which rules requests reach
    LintCode.RULE_OVERSHADOWED: About("the request that a rule is written for goes to another", _NOTE, "LINT-5"),
    LintCode.RULE_NEVER_APPLIES: About("a rule for a port, a gateway or a source that nobody is", _WARNING, "LINT-4"),
    LintCode.RULE_NOT_DECIDED: About("whether a request reaches a rule was too much to find out", _NOTE, "LINT-3"),
    LintCode.PREFIX_SWALLOWS: About("a prefix takes more than the segment that it ends in", _NOTE, "LINT-6"),
    LintCode.FAULT_NEVER_FIRES: About("a fault that no request meets", _WARNING, "LINT-8"),
}
"""In the order in which codes are listed."""
