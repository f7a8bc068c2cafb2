"""What is wrong with names and values, by their letters alone: hosts, labels, headers, words of `retryOn`.

Source    spec/validate.md CHECK-12 to CHECK-16; istio/istio: pkg/config/labels/instance.go,
          pkg/config/validation/{validation.go,header_value_validator.go,agent/validation.go}
Inputs    texts as they are written. Exactness: what Istio's webhook refuses has a reason, what it accepts has none.
Errors    none: the answer is a reason, empty where nothing is wrong.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_network
from typing import Final

from meshroute.compile.actions import is_status
from meshroute.names import is_ip

_LABEL: Final = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_LABEL_FORM: Final = re.compile(_LABEL)
_FIRST_FORM: Final = re.compile(rf"\*|(?:\*-?)?{_LABEL}")
_KEY_FORM: Final = re.compile(rf"({_LABEL}(?:\.{_LABEL})*/)?((?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])")
_VALUE_FORM: Final = re.compile(r"(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
# Istio writes the class of letters so that `+-.` is a range, and a comma passes.
_HEADER_FORM: Final = re.compile(r"[!#$%&'*+,\-.^_`|~A-Za-z0-9]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# One step of a header's value for each that a proxy takes: a letter, `%%`, or `%NAME%` with one argument or a list.
_TEXT: Final = r'(?:\\.|[^\\)"])*'
_LINE_FORM: Final = re.compile(
    rf'(?:[^%]|%%|%(?!%)[^%(]*(?:%|\( *(?:\[ *"|[^ \[]){_TEXT}(?:" *, *"{_TEXT})*(?:\)|" *\] *\)) *%))*', re.DOTALL
)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_PSEUDO: Final = (":method", ":scheme", ":authority", ":path", ":status")
_LONGEST_LABEL: Final = 63
_LONGEST_HOST: Final = 255
_LONGEST_PREFIX: Final = 253
_LARGEST: Final = 2**63 - 1

RETRY_WORDS: Final = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)
"""The words that `retryOn` may have, beside numbers that are statuses of HTTP."""
CLAIMS: Final = "@request.auth.claims"
"""How the name of a header begins that stands for a claim of the caller's token."""


def is_label(text: str) -> bool:
    """Whether a text is one part of a DNS name, as namespaces and subsets are; capitals may be in it."""
    return len(text) <= _LONGEST_LABEL and _LABEL_FORM.fullmatch(text) is not None


def host_fault(host: str) -> str:
    """What is wrong with a host: a short or full name, whose first part may be or begin with a `*`."""
    first, dot, rest = host.partition(".")
    if fault := _length_fault(host):
        return fault
    if len(first) > _LONGEST_LABEL or _FIRST_FORM.fullmatch(first) is None:
        return f"`{host}` is no host: `{first}` is no part of a DNS name"
    return _parts_fault(host, rest) if dot else ""


def name_fault(name: str) -> str:
    """What is wrong with a DNS name without any `*`."""
    return _length_fault(name) or _parts_fault(name, name)


def _length_fault(name: str) -> str:
    if not name:
        return "the name is empty"
    return f"`{name}` is longer than {_LONGEST_HOST} bytes" if len(name.encode()) > _LONGEST_HOST else ""


def _parts_fault(whole: str, name: str) -> str:
    parts = name.split(".")
    if _is_number(parts[-1]):
        return f"`{whole}` is no host: its last part is a number"
    if (len(parts) > 1 and not parts[-1]) or name == "":
        parts.pop()  # `example.com.` is the whole name, and nothing is to be added
    wrong = next((part for part in parts if not is_label(part)), None)
    return f"`{whole}` is no host: `{wrong}` is no part of a DNS name" if wrong is not None else ""


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and -_LARGEST - 1 <= int(text) <= _LARGEST


def subnet_fault(subnet: str) -> str:
    """What is wrong with an address or a range of addresses; bits below the mask may be set."""
    address, slash, length = subnet.partition("/")
    if not slash:
        return "" if is_ip(address) else f"`{subnet}` is no IP address"
    # Go wants a plain number behind the stroke, and no zone before it; Python would read a mask in dots too.
    if "%" not in address and re.fullmatch("0|[1-9][0-9]*", length):
        with suppress(ValueError):
            ip_network(subnet, strict=False)
            return ""
    return f"`{subnet}` is no range of addresses"


def label_fault(key: str, value: str) -> str:
    """What is wrong with one label of a workload."""
    form = _KEY_FORM.fullmatch(key)
    if form is None or len(form[1] or "/") > _LONGEST_PREFIX + 1 or len(form[2]) > _LONGEST_LABEL:
        return f"`{key}` is no name of a label"
    return "" if _VALUE_FORM.fullmatch(value) else f"`{value}` is no value of a label"


def is_claim(name: str) -> bool:
    """Whether the name of a header stands for a claim of the caller's token: `@request.auth.claims.group`."""
    rest = name[len(CLAIMS) :]
    if name[: len(CLAIMS)].lower() != CLAIMS:
        return False
    return (rest.startswith(".") and len(rest) > 1) or (rest.startswith("[") and rest.endswith("]") and len(rest) > 2)


def header_fault(name: str) -> str:
    """What is wrong with the name of a header that a match looks at."""
    if not name:
        return "a header needs a name"
    if is_claim(name) or name in _PSEUDO or _HEADER_FORM.fullmatch(name):
        return ""
    return f"`{name}` is no name of a header"


def exposed_header_fault(name: str) -> str:
    """What is wrong with a header that a page may send or see; `*` stands for all."""
    if not name:
        return "a header needs a name"
    return "" if _HEADER_FORM.fullmatch(name) else f"`{name}` is no name of a header"


def set_header_fault(name: str) -> str:
    """What is wrong with the name of a header that a request gets."""
    if not name:
        return "a header needs a name"
    if name.startswith(":") and name.lower() != ":authority":
        return f"`{name}` cannot be set: of what begins with `:` only `:authority` can"
    return ""


def changed_header_fault(name: str) -> str:
    """What is wrong with the name of a header that a request loses, or that an answer gets or loses."""
    if not name:
        return "a header needs a name"
    if name.startswith(":") or name.lower() == "host":
        return f"`{name}` cannot be changed here"
    return ""


def header_value_fault(value: str) -> str:
    """What is wrong with the value of a header that a proxy sets, by its control letters and its `%`."""
    if _CONTROL.search(value):
        return "control characters cannot be in a header"
    return "" if _LINE_FORM.fullmatch(value) else f"`{value}` has a `%` that begins nothing"


def retry_word_fault(word: str) -> str:
    """What is wrong with one word of `retryOn`: spaces around it are part of it."""
    if word in RETRY_WORDS or (_is_number(word) and is_status(int(word))):
        return ""
    return f"`{word}` is nothing to retry on"


def partial_fault(host: str) -> str:
    """What is wrong with a wildcard that stands for a part of a name: `*web.example` instead of `*.example`."""
    partial = host.startswith("*") and host != "*" and not host.startswith("*.")
    return f"`{host}` has a wildcard before a part of a name" if partial else ""


def served_fault(host: str, *, edge: bool) -> str:
    """What is wrong with a host behind `namespace/`: a whole name, a wildcard, or at the `edge` an address."""
    if host != "*" and "." not in host:
        return f"`{host}` is a short name: write the whole one"
    if (fault := host_fault(host)) and not (edge and is_ip(host)):
        return fault
    return partial_fault(host)
