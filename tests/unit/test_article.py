"""The article's configurations, as printed and as meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import meshroute as mr

PRINTED = Path(__file__).parents[2] / "docs/examples/article/printed"
NAMESPACE = "namespace"
HOST = "http://nginx-service.namespace.svc.cluster.local"
PODS = ("2-service", "3-deployment-v1", "4-deployment-v2", "c-subsets")


def router(*names: str, repair: bool | tuple[str, ...] = True, replicas: int = 1) -> mr.Router:
    text = "\n---\n".join((PRINTED / f"{name}.yaml").read_text("utf-8") for name in names)
    text = text.replace("replicas: 0", f"replicas: {replicas}")
    return mr.loads(text, namespace=NAMESPACE, repair=repair).router(mr.Sidecar(NAMESPACE))


def subsets(asked: mr.Router, requests: int = 100) -> Counter[str | None]:
    """The subsets of requests whose draws are 0, 1, 2 and so on: exact shares where weights sum to 100."""
    request = mr.Request.of("GET", HOST + "/")
    return Counter(asked.decide(request, draws=mr.Draws.of(given={"stream": n})).subset for n in range(requests))


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("1-deployment", []),
        ("2-service", []),
        ("a-round-robin", []),
        ("b-header-hash", []),
        ("3-deployment-v1", ["field-type"] * 2),
        ("4-deployment-v2", ["field-type"] * 2),
        ("c-subsets", ["field-type"] * 2),
        ("d-split", ["field-missing", "field-unknown"]),
        ("e-path", ["field-missing", "field-unknown", "field-unknown", "field-type"]),
        ("f-cookie", ["field-missing", "field-unknown", "field-type"]),
    ],
)
def test_what_is_an_error_as_printed(name: str, codes: list[str]) -> None:
    """And nothing else is; with repair nothing is left, and each repair is a diagnostic of its own."""
    path = PRINTED / f"{name}.yaml"
    if not codes:
        assert mr.load(path, namespace=NAMESPACE).resources
    else:
        with pytest.raises(mr.ManifestError) as caught:
            mr.load(path, namespace=NAMESPACE)
        errors = [one.code for one in caught.value.diagnostics if one.severity is mr.Severity.ERROR]
        assert errors == codes
    said = mr.load(path, namespace=NAMESPACE, repair=True).diagnostics
    assert any(one.code.startswith("repaired-") for one in said) == bool(codes)
    assert [one for one in said if one.severity is mr.Severity.ERROR] == []


def test_two_rules_send_everybody_to_v1() -> None:
    """As printed but for what the API server refuses: the rule behind the catch-all is never used, and that is said."""
    names = ("repaired-hosts", "repaired-label-value")
    assert subsets(router(*PODS, "d-split", repair=names)) == {"v1": 100}
    with pytest.raises(mr.ManifestError) as caught:
        mr.load(PRINTED / "d-split.yaml", namespace=NAMESPACE)
    said = [one for one in caught.value.diagnostics if one.code is mr.Code.RULE_UNREACHABLE]
    assert [(one.at.line, one.severity) for one in said] == [(13, mr.Severity.WARNING)]
    assert "- destination: {host: nginx-service, subset: v2}\n    weight: 1" in said[0].help


def test_as_meant_the_split_is_99_to_1() -> None:
    """Exactly, over one round of draws."""
    assert subsets(router(*PODS, "d-split")) == {"v1": 99, "v2": 1}


def test_with_v2_at_no_replicas_its_share_fails() -> None:
    """The article's Deployment of v2 as printed: one request of a hundred finds nobody."""
    asked = router(*PODS, "d-split", replicas=0)
    decision = asked.decide(mr.Request.of("GET", HOST + "/"), draws=mr.Draws.of(given={"stream": 99}))
    assert decision.outcome == mr.Failed(503, "UH", "no_healthy_upstream")


@pytest.mark.parametrize(
    ("path", "subset"), [("/v2", "v2"), ("/v2/x", "v2"), ("/v2x", "v2"), ("/", "v1"), ("/v1", "v1"), ("/a/v2", "v1")]
)
def test_the_path_rule(path: str, subset: str) -> None:
    """A prefix of text, then everybody else."""
    assert router(*PODS, "e-path").decide(mr.Request.of("GET", HOST + path)).subset == subset


def test_dropped_instead_of_repaired_the_path_rule_takes_everything() -> None:
    """Section 8.1's trap: a non-strict client loses `prefix`, and the match is empty. (The route is mended here.)"""
    text = (PRINTED / "e-path.yaml").read_text("utf-8")
    mended = text.replace("route:\n        destination:", "route:\n      - destination:")
    mended = mended.replace(
        "host: nginx-service.namespace.svc.cluster.local", "hosts: ['*.namespace.svc.cluster.local']"
    )
    pods = "\n---\n".join((PRINTED / f"{name}.yaml").read_text("utf-8") for name in PODS)
    mesh = mr.loads(f"{pods}\n---\n{mended}", namespace=NAMESPACE, strict=False, repair=["repaired-label-value"])
    assert mr.Code.FIELD_UNKNOWN in [one.code for one in mesh.diagnostics]
    assert mesh.router(mr.Sidecar(NAMESPACE)).decide(mr.Request.of("GET", HOST + "/other")).subset == "v2"


@pytest.mark.parametrize(("cookie", "subset"), [("a=b; debug=1", "v2"), ("debug=10", None)])
def test_the_debug_cookie(cookie: str, subset: str | None) -> None:
    """With it v2; without it every pod of the service, of either version."""
    assert router(*PODS, "f-cookie").decide(mr.Request.of("GET", HOST + "/", {"cookie": cookie})).subset == subset


def test_round_robin_takes_turns_and_a_header_sticks() -> None:
    """The two DestinationRules about load balancing."""
    turns = mr.Session(router("1-deployment", "2-service", "a-round-robin"))
    request = mr.Request.of("GET", HOST + "/", {"my-header": "somebody"})
    assert set(Counter(turns.decide(request).pod for _ in range(30)).values()) == {10}
    sticky = mr.Session(router("1-deployment", "2-service", "b-header-hash"))
    assert len({sticky.decide(request).pod for _ in range(30)}) == 1
