"""The fast twin of scan.py: the same answers from tables made once.

Source    scan.py is the definition; docs/decisions.md says why these shapes
Inputs    a listener's virtual hosts, a request. Exactness: equal to scan.py on every input, by property.
Errors    TableError for domains that a proxy refuses (two alike), Re2SyntaxError for patterns it refuses.

A path condition that is a plain string narrows the candidates before any of them is tried: exact paths by dict;
prefixes by the sorted list in which the greatest one at or before the path, or one of its ancestors, is the longest
that the path starts with. Each prefix keeps all routes of its chain in order, so that one descent finds the first
route and not the longest prefix.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import merge
from typing import Final

from meshroute.match.predicate import RequestPredicate, header_predicate, path_predicate, query_predicate
from meshroute.names import ascii_lower
from meshroute.request import Request, host_of
from meshroute.table import Exact, Listener, Prefix, Route, TableError, VirtualHost

FEW_ROUTES: Final = 4
"""Up to here trying the routes in turn costs less than narrowing them (benchmarks/test_match.py)."""


class RouteIndex:
    """The routes of one virtual host."""

    __slots__ = ("_conditions", "_exact", "_few", "_prefix_chains", "_prefixes", "_rest", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes: Final = tuple(routes)
        self._conditions: Final = tuple(_conditions(route) for route in routes)
        self._few: Final = len(self.routes) <= FEW_ROUTES
        exact: dict[str, list[int]] = {}
        prefixes: dict[str, list[int]] = {}
        rest: list[int] = []
        for number, route in enumerate(routes):
            match route.match.path:
                case Exact(value, ignore_case=False):
                    exact.setdefault(value, []).append(number)
                case Prefix(value, ignore_case=False):
                    prefixes.setdefault(value, []).append(number)
                case _:
                    rest.append(number)
        self._exact: Final = {path: tuple(numbers) for path, numbers in exact.items()}
        self._prefixes: Final = sorted(prefixes)
        self._prefix_chains: Final = _chains(self._prefixes, prefixes)
        self._rest: Final = tuple(rest)

    def first(self, request: Request) -> int | None:
        """The number of the first route whose conditions all hold; None where there is none."""
        candidates = range(len(self.routes)) if self._few else self._candidates(request.plain_path)
        for number in candidates:
            for holds in self._conditions[number]:
                if not holds(request):
                    break
            else:
                return number
        return None

    def _candidates(self, path: str) -> Sequence[int]:
        lists = [self._rest] if self._rest else []
        if path in self._exact:
            lists.append(self._exact[path])
        at = bisect_right(self._prefixes, path) - 1
        while at >= 0:
            parent, chain = self._prefix_chains[at]
            if path.startswith(self._prefixes[at]):
                lists.append(chain)
                break
            at = parent
        if len(lists) == 1:
            return lists[0]
        return list(merge(*lists))


def _conditions(route: Route) -> tuple[RequestPredicate, ...]:
    asked = route.match
    conditions: list[RequestPredicate] = [] if asked.path == Prefix("") else [path_predicate(asked.path)]
    # `/` starts every path that a request can have (Request refuses others), so asking would be for nothing.
    if asked.path == Prefix("/"):
        conditions.clear()
    conditions.extend(header_predicate(header) for header in asked.headers)
    conditions.extend(query_predicate(parameter) for parameter in asked.query)
    return tuple(conditions)


def _chains(ordered: Sequence[str], routes: dict[str, list[int]]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """For each prefix: the place of the longest other one that it starts with (-1: none), and the routes of both and
    so on."""
    chains: list[tuple[int, tuple[int, ...]]] = []
    open_: list[int] = []  # prefixes of the present one, shortest first
    for at, prefix in enumerate(ordered):
        while open_ and not prefix.startswith(ordered[open_[-1]]):
            open_.pop()
        parent = open_[-1] if open_ else -1
        inherited = chains[parent][1] if open_ else ()
        chains.append((parent, tuple(merge(inherited, routes[prefix]))))
        open_.append(at)
    return tuple(chains)


class HostIndex:
    """The virtual hosts of one listener."""

    __slots__ = ("_default", "_exact", "_ignore_port", "_prefixes", "_suffixes")

    def __init__(self, listener: Listener) -> None:
        self._ignore_port: Final = listener.ignore_port
        exact: dict[str, Found] = {}
        suffixes: dict[str, Found] = {}
        prefixes: dict[str, Found] = {}
        default: dict[str, Found] = {}
        for host in listener.virtual_hosts:
            index = RouteIndex(host.routes)
            for domain in host.domains:
                name = ascii_lower(domain)
                if name == "*":
                    table = default
                elif name.startswith("*"):
                    table, name = suffixes, name[1:]
                elif name.endswith("*"):
                    table, name = prefixes, name[:-1]
                else:
                    table = exact
                if name in table:
                    raise TableError(f"port {listener.port}: two virtual hosts claim the domain `{domain}`")
                table[name] = Found(host, domain, index)
        self._exact: Final = exact
        self._suffixes: Final = _by_length(suffixes)
        self._prefixes: Final = _by_length(prefixes)
        self._default: Final = default.get("*")

    def find(self, authority: str) -> Found | None:
        """The virtual host for an authority, as scan.find_host has it; None where no domain takes it."""
        name = ascii_lower(host_of(authority) if self._ignore_port else authority)
        found = self._exact.get(name)
        if found is not None:
            return found
        for length, table in self._suffixes:
            if length < len(name) and (found := table.get(name[len(name) - length :])) is not None:
                return found
        for length, table in self._prefixes:
            if length < len(name) and (found := table.get(name[:length])) is not None:
                return found
        return self._default


class Found:
    """A virtual host, the domain that led to it, and its routes."""

    __slots__ = ("domain", "host", "routes")

    def __init__(self, host: VirtualHost, domain: str, routes: RouteIndex) -> None:
        self.host: Final = host
        self.domain: Final = domain
        self.routes: Final = routes


def _by_length(table: dict[str, Found]) -> tuple[tuple[int, dict[str, Found]], ...]:
    """The entries grouped by the length of their key, longest first."""
    groups: dict[int, dict[str, Found]] = {}
    for name, found in table.items():
        groups.setdefault(len(name), {})[name] = found
    return tuple(sorted(groups.items(), reverse=True, key=lambda group: group[0]))
