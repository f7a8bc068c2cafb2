"""The article's story, told by its own configurations: `make demo`.

Every number here is worked out while you wait. Nothing is random: draws are derived from a seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

import meshroute as mr
from meshroute.cli import show

PRINTED = Path(__file__).parent / "printed"
NAMESPACE = "namespace"
HOST = f"http://nginx-service.{NAMESPACE}.svc.cluster.local"
REQUESTS = 10_000
USERS = 1_000
COOKIES = (
    "debug=1",
    "a=b; debug=1",
    "a=b;debug=1;",
    "debug=1; a=b",
    "debug=0; debug=1",
    "debug=10",
    "xdebug=1",
    "Debug=1",
    "a=b, debug=1",
)

out = show.console()


def text(*names: str) -> str:
    """The article's files of these names, one after the other; the v2 Deployment with its first pod."""
    return "\n---\n".join((PRINTED / f"{name}.yaml").read_text("utf-8") for name in names).replace(
        "replicas: 0", "replicas: 1"
    )


def mesh(*names: str, repair: bool | Sequence[str] = True) -> mr.Mesh:
    """A mesh of the article's files, read as they were meant."""
    return mr.loads(text(*names), namespace=NAMESPACE, repair=repair)


def router(*names: str, repair: bool | Sequence[str] = True) -> mr.Router:
    """What a client pod in the article's namespace would do."""
    return mesh(*names, repair=repair).router(mr.Sidecar(NAMESPACE))


def chapter(title: str, story: str) -> None:
    out.rule(f"[bold]{title}", align="left")
    out.print(" ".join(story.split()) + "\n", width=100)


def say(line: str = "") -> None:
    out.print(line, soft_wrap=True)


def about(path: Path, repair: bool) -> list[mr.Diagnostic]:
    """What there is to say about one file. It is read alone, so services and subsets of other files are no news."""
    elsewhere = (mr.Code.HOST_UNKNOWN, mr.Code.SUBSET_UNKNOWN)
    try:
        said = mr.load(path, namespace=NAMESPACE, repair=repair).diagnostics
    except mr.ManifestError as error:
        said = error.diagnostics
    return [one for one in said if one.code not in elsewhere]


def as_printed() -> None:
    chapter(
        "1. The configurations as the article prints them",
        """
Six of them speak to Istio. Below is what Kubernetes and Istio would say to each, with the lines that were meant, and
then how [bold]repair=True[/] reads it. Nothing is repaired in silence.
""",
    )
    for name in ("a-round-robin", "b-header-hash", "c-subsets", "d-split", "e-path", "f-cookie"):
        say(f"[bold]{name}.yaml[/]")
        for repair in (False, True):
            said = about(PRINTED / f"{name}.yaml", repair)
            if repair and not any(one.code.startswith("repaired-") for one in said):
                continue
            say("  [dim]read as it was meant:[/]" if repair else "  [dim]as printed:[/]")
            if not said:
                say("    accepted")
            for one in said:
                say(f"    line {one.at.line}: {one.severity}: {escape(one.message)}")
                if not repair and one.help:
                    for line in one.help.splitlines():
                        say(f"        [dim]{escape(line)}[/]")
        say()


def split() -> None:
    chapter(
        f"2. 99 and 1, over {REQUESTS:,} requests",
        """
The article writes the split as two rules. Rules are tried in order, and the first has no conditions: it takes
everything, and weights of a rule with one destination mean nothing. A real mesh sends nobody to v2.
""",
    )
    files = ("2-service", "3-deployment-v1", "4-deployment-v2", "c-subsets", "d-split")
    others = ("repaired-hosts", "repaired-label-value")
    for title, repair in (("As written, two rules:", others), ("As meant, one rule with two destinations:", True)):
        say(f"[bold]{title}[/]")
        session = mr.Session(router(*files, repair=repair), seed=1)
        counts: Counter[show.Line] = Counter()
        for _ in range(REQUESTS):
            decision = session.decide(mr.Request.of("GET", HOST + "/"))
            session.finish(decision)
            counts[show.line_of(decision)] += 1
        show.print_counts(out, counts)
        say()


def paths() -> None:
    chapter(
        "3. /v2 goes to v2, and so does /v2x",
        """
A prefix is a prefix of text, not of path segments. To mean the segment, match the prefix /v2/ and the exact path /v2.
""",
    )
    asked = router("2-service", "3-deployment-v1", "4-deployment-v2", "c-subsets", "e-path")
    table = Table("path", "subset", "rule", box=None, pad_edge=False, header_style="bold")
    for path in ("/v2", "/v2/page", "/v2?a=b", "/v2x", "/", "/v1", "/V2", "/a/v2"):
        decision = asked.decide(mr.Request.of("GET", HOST + path))
        assert decision.rule is not None
        table.add_row(path, decision.subset, decision.rule.path)
    out.print(table)
    say()


def cookies() -> None:
    chapter(
        "4. The debug cookie, in nine spellings",
        r"""
The pattern ^(.*?;)?\s*(debug=1)\s*(;.*)?$ must match the whole cookie header. It takes the cookie wherever it
stands, and nothing that only looks like it.
""",
    )
    asked = router("2-service", "3-deployment-v1", "4-deployment-v2", "c-subsets", "f-cookie")
    table = Table("cookie", "goes to", box=None, pad_edge=False, header_style="bold")
    for cookie in COOKIES:
        decision = asked.decide(mr.Request.of("GET", HOST + "/", {"cookie": cookie}))
        table.add_row(escape(cookie), "the new version (v2)" if decision.subset == "v2" else "every version")
    out.print(table)
    say()


def stickiness() -> None:
    chapter(
        f"5. {USERS:,} users, hashed by a header, before and after scaling",
        """
Consistent hashing keeps a user on a pod. When a fourth pod comes, the textbook says that only the new pod takes
users. Envoy's ring holds 1,024 entries at least, so with three pods each has 342 and with four each has 256: users
move between the old pods too. This is measured, and Envoy does the same.
""",
    )
    files = ("1-deployment", "2-service", "b-header-hash")
    before = mr.loads(text(*files), namespace=NAMESPACE).router(mr.Sidecar(NAMESPACE))
    scaled = text(*files).replace("replicas: 3", "replicas: 4")
    after = mr.loads(scaled, namespace=NAMESPACE).router(mr.Sidecar(NAMESPACE))
    moves: Counter[tuple[str, str]] = Counter()
    loyal = 0
    for user in range(USERS):
        request = mr.Request.of("GET", HOST + "/", {"my-header": f"user-{user}"})
        again = [before.decide(request, draws=mr.Draws.of(seed=2, ordinal=visit)).pod for visit in range(3)]
        loyal += len(set(again)) == 1
        moves[str(again[0]), str(after.decide(request).pod)] += 1
    old = sorted({pod for pod, _ in moves})
    new = sorted({pod for _, pod in moves})
    table = Table("from, to", *(pod.rpartition("-")[2] for pod in new), box=None, pad_edge=False, header_style="bold")
    for pod in old:
        table.add_row(pod.rpartition("-")[2], *(f"{moves[pod, to]:,}" for to in new))
    out.print(table)
    stayed = sum(count for (was, now), count in moves.items() if was == now)
    taken = sum(count for (was, now), count in moves.items() if was != now and now not in old)
    say(f"\nAsked three times, {loyal:,} of {USERS:,} users met the same pod each time.")
    astray = USERS - stayed - taken
    say(f"After scaling {stayed:,} stayed, {taken:,} went to the new pod, and {astray:,} moved between old pods.")
    say("[dim]Without the header nothing is hashed, and every request is placed at random.[/]")
    say()


def reason() -> None:
    chapter("6. And why?", "Every decision can say how it came about:")
    files = ("2-service", "3-deployment-v1", "4-deployment-v2", "c-subsets", "f-cookie")
    request = mr.Request.of("GET", HOST + "/", {"cookie": "a=b; debug=10"})
    show.print_decision(out, router(*files).explain(request), request)
    say()


def main() -> None:
    say("[bold]L4 vs L7[/]: an article about load balancing in Kubernetes and Istio, run.\n")
    for part in (as_printed, split, paths, cookies, stickiness, reason):
        part()
    say("Try it yourself: meshroute explain docs/examples/canary http://nginx-service/ -H 'Cookie: debug=1'")


if __name__ == "__main__":
    main()
