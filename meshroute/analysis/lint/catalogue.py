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
    # names
    HOST_HALF_QUALIFIED = "host-half-qualified"
    HOST_NOT_REGISTERED = "host-not-registered"
    HEADER_NAMED_AS_FIELD = "header-named-as-field"
    URI_WITH_QUERY = "uri-with-query"
    AUTHORITY_PORT = "authority-port"
    MATCH_TAKES_EVERYTHING = "match-takes-everything"
    REWRITE_SLASHES = "rewrite-slashes"
    DESTINATION_PORT_MISSING = "destination-port-missing"
    CLAIMS_NOT_CHECKED = "claims-not-checked"
    # subsets and weights
    SUBSET_UNUSED = "subset-unused"
    SUBSET_PASSED_OVER = "subset-passed-over"
    WEIGHTS_SUM = "weights-sum"
    DESTINATION_TWICE = "destination-twice"
    SPLIT_OVER_RULES = "split-over-rules"
    # consistent hashing
    HASH_WITHOUT_EFFECT = "hash-without-effect"
    HASH_PORT_MISSING = "hash-port-missing"
    HASH_BEHIND_WEIGHTS = "hash-behind-weights"
    HASH_KEYS_COMBINED = "hash-keys-combined"
    # policies
    PORT_SETTINGS_REPLACE = "port-settings-replace"
    SUBSET_POLICY_REPEATS = "subset-policy-repeats"
    OUTLIERS_NEVER_EJECTED = "outliers-never-ejected"
    FAILOVER_IMPLIED = "failover-implied"
    DISTRIBUTE_NOWHERE = "distribute-nowhere"
    # who sees and follows what
    EXPORTED_TO_NOBODY = "exported-to-nobody"
    DESTINATION_RULE_FOLDED = "destination-rule-folded"
    DESTINATION_RULE_NOT_FOLLOWED = "destination-rule-not-followed"
    DESTINATION_RULE_OUTRANKED = "destination-rule-outranked"
    POLICY_NOT_INHERITED = "policy-not-inherited"
    VIRTUAL_SERVICES_OVERLAP = "virtual-services-overlap"
    MESH_LEFT_OUT = "mesh-left-out"
    MESH_RULES_PASSED_BY = "mesh-rules-passed-by"
    DESTINATION_UNSEEN = "destination-unseen"
    # protocols
    RULES_OF_OTHER_KIND = "rules-of-other-kind"
    PORT_SNIFFED = "port-sniffed"
    EXTERNAL_NAME_PORT = "external-name-port"
    ENTRY_ADDRESSES_MISSING = "entry-addresses-missing"
    ENTRY_PROTOCOLS_CONFLICT = "entry-protocols-conflict"
    # workloads
    SELECTOR_CHOOSES_NOBODY = "selector-chooses-nobody"
    GATEWAY_PORT_UNREACHABLE = "gateway-port-unreachable"
    SIDECARS_CONFLICT = "sidecars-conflict"
    SIDECAR_IN_ROOT = "sidecar-in-root"
    SERVICE_WITHOUT_PODS = "service-without-pods"
    TARGET_PORT_UNKNOWN = "target-port-unknown"
    PODS_SHARED = "pods-shared"
    # what is said about findings themselves
    SUPPRESSION_UNUSABLE = "suppression-unusable"
    SUPPRESSION_UNUSED = "suppression-unused"


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
        "a host that no given service has",
        _WARNING,
        "DECIDE-2",
        ("IST0101", "IST0174"),
        ("KIA0202", "KIA1004", "KIA1101"),
    ),
    Code.HOSTS_MISSING: About("a delegate that nobody leads to", _WARNING, "DELEGATE-1"),
    Code.PORT_UNKNOWN: About("a port that the service does not have", _WARNING, "DECIDE-2", ("IST0101",)),
    Code.SUBSET_UNKNOWN: About("a subset that nobody defines", _WARNING, "DR-1", ("IST0101",), ("KIA1107",)),
    Code.SUBSET_EMPTY: About("a subset that no pod is in", _WARNING, "DR-6", ("IST0173",), ("KIA0203",)),
    Code.ENDPOINTS_MISSING: About("a service that nobody answers for", _WARNING, "CHECK-10"),
    Code.SERVICE_IGNORED: About("a service that another one of its host stands before", _WARNING, "CHECK-10"),
    Code.SIDECAR_IGNORED: About(
        "a Sidecar that another one stands before", _WARNING, "CHECK-11", ("IST0111",), ("KIA0002",)
    ),
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
    Code.ISTIO_WARNS: About("Istio warns of what has its effect all the same", _NOTE, "CHECK-22"),
    Code.ADDRESS_ASSUMED: About("addresses that were made up", _NOTE),
    Code.HINTS_MISSING: About("hints for zones that are asked for and cannot be made", _WARNING, "KPROXY-30"),
    Code.HINTS_ASSUMED: About("hints for zones of which a part was made up", _NOTE, "KPROXY-31"),
    # which rules requests reach
    LintCode.RULE_OVERSHADOWED: About("the request that a rule is written for goes to another", _NOTE, "LINT-5"),
    LintCode.RULE_NEVER_APPLIES: About("a rule for a port, a gateway or a source that nobody is", _WARNING, "LINT-4"),
    LintCode.RULE_NOT_DECIDED: About("whether a request reaches a rule was too much to find out", _NOTE, "LINT-3"),
    LintCode.PREFIX_SWALLOWS: About("a prefix takes more than the segment that it ends in", _NOTE, "LINT-6"),
    LintCode.FAULT_NEVER_FIRES: About("a fault that no request meets", _WARNING, "LINT-8"),
    # names
    LintCode.HOST_HALF_QUALIFIED: About("a host with a dot that is no whole name", _WARNING, "HOST-1"),
    LintCode.HOST_NOT_REGISTERED: About("rules for a host that no service has hold on port 80 only", _NOTE, "HOST-10"),
    LintCode.HEADER_NAMED_AS_FIELD: About("a condition on a header that has the name of a field", _WARNING, "MATCH-6"),
    LintCode.URI_WITH_QUERY: About("a condition on the path has a query in it", _WARNING, "MATCH-3"),
    LintCode.AUTHORITY_PORT: About(
        "an authority without the port that clients say, or with one that they do not", _NOTE, "MATCH-9"
    ),
    LintCode.MATCH_TAKES_EVERYTHING: About("an alternative that takes every request beside others", _NOTE, "MATCH-2"),
    LintCode.REWRITE_SLASHES: About("a rewrite makes two slashes, or none, of one", _WARNING, "RULE-1"),
    LintCode.DESTINATION_PORT_MISSING: About(
        "a destination without a port means one that is not there", _WARNING, "ROUTE-5", ("IST0112",)
    ),
    LintCode.CLAIMS_NOT_CHECKED: About(
        "conditions on claims of tokens that nobody is seen to check", _NOTE, "RULE-10", ("IST0149",)
    ),
    # subsets and weights
    LintCode.SUBSET_UNUSED: About("a subset that no rule sends to", _NOTE, "DR-6"),
    LintCode.SUBSET_PASSED_OVER: About("a subset of which `PASSTHROUGH` chooses nobody", _WARNING, "DR-4"),
    LintCode.WEIGHTS_SUM: About("weights that sum to something other than 100", _NOTE, "ROUTE-1"),
    LintCode.DESTINATION_TWICE: About("a destination that is in a rule twice", _WARNING, "ROUTE-1", (), ("KIA1105",)),
    LintCode.SPLIT_OVER_RULES: About("weights in several rules with the same matches", _WARNING, "ROUTE-2"),
    # consistent hashing
    LintCode.HASH_WITHOUT_EFFECT: About("consistent hashing where nothing is hashed", _WARNING, "HASH-5"),
    LintCode.HASH_PORT_MISSING: About(
        "a port's consistent hashing, and a rule that does not write the port", _WARNING, "DR-5"
    ),
    LintCode.HASH_BEHIND_WEIGHTS: About(
        "weights draw a destination anew before the key chooses a pod", _WARNING, "ROUTE-1"
    ),
    LintCode.HASH_KEYS_COMBINED: About("destinations of one rule hash by different keys", _NOTE, "HASH-4"),
    # policies
    LintCode.PORT_SETTINGS_REPLACE: About("settings of a port stand in the place of all others", _NOTE, "DR-3"),
    LintCode.SUBSET_POLICY_REPEATS: About("a subset's policy that says nothing new", _NOTE, "DR-3"),
    LintCode.OUTLIERS_NEVER_EJECTED: About("outlier detection that never puts anybody aside", _WARNING, "OUT-6"),
    LintCode.FAILOVER_IMPLIED: About("outlier detection brings failover by locality", _NOTE, "LOC-7"),
    LintCode.DISTRIBUTE_NOWHERE: About("a share for a locality in which nobody is", _WARNING, "LOC-6"),
    # who sees and follows what
    LintCode.EXPORTED_TO_NOBODY: About("an object that is exported to nobody", _WARNING, "HOST-3", (), ("KIA0005",)),
    LintCode.DESTINATION_RULE_FOLDED: About(
        "what an older DestinationRule for the host says already", _WARNING, "DR-2", (), ("KIA0201",)
    ),
    LintCode.DESTINATION_RULE_NOT_FOLLOWED: About(
        "a DestinationRule where those who need it do not look", _WARNING, "DR-1"
    ),
    LintCode.DESTINATION_RULE_OUTRANKED: About(
        "a wider DestinationRule of the client's namespace goes first", _NOTE, "DR-1"
    ),
    LintCode.POLICY_NOT_INHERITED: About("a DestinationRule takes nothing from one for a wider host", _NOTE, "DR-1"),
    LintCode.VIRTUAL_SERVICES_OVERLAP: About(
        "a host with rules of its own beside a wildcard that covers it", _NOTE, "HOST-5", ("IST0109",), ("KIA1106",)
    ),
    LintCode.MESH_LEFT_OUT: About("rules for a service of the mesh that sidecars do not look at", _NOTE, "HOST-3"),
    LintCode.MESH_RULES_PASSED_BY: About(
        "requests from a Gateway pass by the rules for sidecars", _NOTE, "HOST-3", ("IST0140",)
    ),
    LintCode.DESTINATION_UNSEEN: About(
        "a destination that no client of the rules sees", _WARNING, "DECIDE-2", ("IST0101",)
    ),
    # protocols
    LintCode.RULES_OF_OTHER_KIND: About("rules for a protocol that no port of the hosts speaks", _WARNING, "CONNECT-8"),
    LintCode.PORT_SNIFFED: About(
        "a port that does not say what it speaks", _NOTE, "CONNECT-5", ("IST0118",), ("KIA0601", "KIA0602")
    ),
    LintCode.EXTERNAL_NAME_PORT: About(
        "a port of an ExternalName Service that takes what is for others", _NOTE, "CONNECT-6", ("IST0150",)
    ),
    LintCode.ENTRY_ADDRESSES_MISSING: About(
        "a TCP port of a ServiceEntry without addresses", _NOTE, "CONNECT-6", ("IST0134",)
    ),
    LintCode.ENTRY_PROTOCOLS_CONFLICT: About(
        "two ServiceEntries say a port speaks different things", _WARNING, "ENTRY-1", ("IST0177",)
    ),
    # workloads
    LintCode.SELECTOR_CHOOSES_NOBODY: About(
        "a selector that chooses no pod that is given", _WARNING, "GW-1", ("IST0101", "IST0127"), ("KIA0004", "KIA0302")
    ),
    LintCode.GATEWAY_PORT_UNREACHABLE: About(
        "a Gateway's port that its Service does not have", _WARNING, "GW-1", ("IST0104", "IST0162")
    ),
    LintCode.SIDECARS_CONFLICT: About("two Sidecars choose one pod", _WARNING, "SIDE-2", ("IST0110",), ("KIA0003",)),
    LintCode.SIDECAR_IN_ROOT: About(
        "a Sidecar with a selector in the root namespace", _NOTE, "SIDE-2", (), ("KIA1006",)
    ),
    LintCode.SERVICE_WITHOUT_PODS: About("a Service that chooses no pod that is given", _WARNING, "SVC-1"),
    LintCode.TARGET_PORT_UNKNOWN: About(
        "a Service leads to a port that no pod has", _WARNING, "SVC-2", (), ("KIA0701",)
    ),
    LintCode.PODS_SHARED: About(
        "a port of a pod behind Services that read it differently", _NOTE, "CONNECT-5", ("IST0116", "IST0137")
    ),
    # what is said about findings themselves
    LintCode.SUPPRESSION_UNUSABLE: About("a suppression that cannot be read, or says no reason", _WARNING),
    LintCode.SUPPRESSION_UNUSED: About("a suppression that suppresses nothing", _NOTE),
}
"""In the order in which codes are listed."""


_ABOUT_TEXT: Final = tuple(Code)[: tuple(Code).index(Code.REGEX_INVALID)]


def page_of(code: Code | LintCode) -> str:
    """The page that explains a code, from the folder `docs`: its own; or, of codes about the text of manifests and its
    repairs, a part of the page about diagnostics.

    >>> page_of(Code.HOST_UNKNOWN), page_of(Code.KEY_DUPLICATE)
    ('lint/host-unknown.md', 'diagnostics.md#key-duplicate')
    """
    return f"diagnostics.md#{code}" if code in _ABOUT_TEXT else f"lint/{code}.md"
