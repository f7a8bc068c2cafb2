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
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final, assert_never

from meshroute.draws import STREAM, Drawn, Draws
from meshroute.match.predicate import (
    RequestPredicate,
    cookie_predicate,
    header_predicate,
    is_grpc,
    joined_value,
    matcher_predicate,
    metadata_predicate,
    path_predicate,
    query_predicate,
)
from meshroute.match.scan import looked_up
from meshroute.names import ascii_lower
from meshroute.request import Request, host_of, without_parameters
from meshroute.table import (
    Arrival,
    Choice,
    Exact,
    ExactMap,
    Listener,
    Matcher,
    Ordered,
    Portion,
    Prefix,
    PrefixMap,
    Route,
    TableError,
    Tunnel,
    VirtualHost,
    matchers_in,
)
from meshroute.trace import MatcherFollowed, Step

_NO_DRAWS: Final = Draws()
FEW_ROUTES: Final = 4
"""Up to here trying the routes in turn costs less than narrowing them (benchmarks/test_match.py)."""


class RouteIndex:
    """Routes that are tried in order. `portions` has an entry for each of them, or is None where none has one."""

    __slots__ = (
        "_conditions",
        "_exact",
        "_few",
        "_ignore_parameters",
        "_prefix_chains",
        "_prefixes",
        "_rest",
        "_tunnels",
        "portions",
        "routes",
    )

    def __init__(self, routes: Sequence[Route], ignore_parameters: bool = False) -> None:
        self.routes: Final = tuple(routes)
        self.portions: Final[tuple[Portion | None, ...] | None] = (
            tuple(route.match.portion for route in routes) if any(route.match.portion for route in routes) else None
        )
        self._ignore_parameters: Final = ignore_parameters
        self._conditions: Final = tuple(_conditions(route, ignore_parameters) for route in routes)
        self._few: Final = len(self.routes) <= FEW_ROUTES
        exact: dict[str, list[int]] = {}
        prefixes: dict[str, list[int]] = {}
        rest: list[int] = []
        tunnels: list[int] = []
        for number, route in enumerate(routes):
            match route.match.path:
                case Exact(value, ignore_case=False):
                    exact.setdefault(value, []).append(number)
                case Prefix(value, ignore_case=False):
                    prefixes.setdefault(value, []).append(number)
                case Tunnel():
                    tunnels.append(number)
                case _:
                    rest.append(number)
        self._exact: Final = {path: tuple(numbers) for path, numbers in exact.items()}
        self._prefixes: Final = sorted(prefixes)
        self._prefix_chains: Final = _chains(self._prefixes, prefixes)
        self._rest: Final = tuple(rest)
        self._tunnels: Final = tuple(tunnels)

    def first(self, request: Request, draws: Drawn = _NO_DRAWS) -> int | None:
        """The number of the first route whose conditions all hold; None where there is none."""
        if self.portions is not None:
            taken = (number for number in self.matching(request) if self._takes(number, draws))
            return next(taken, None)
        for number in self._candidates(request):
            for holds in self._conditions[number]:
                if not holds(request):
                    break
            else:
                return number
        return None

    def _takes(self, number: int, draws: Drawn) -> bool:
        portion = self.portions[number] if self.portions is not None else None
        return portion is None or portion.takes(draws[STREAM])

    def matching(self, request: Request) -> Iterator[int]:
        """The numbers of the routes whose conditions all hold, those on the draw left out."""
        for number in self._candidates(request):
            for holds in self._conditions[number]:
                if not holds(request):
                    break
            else:
                yield number

    def _candidates(self, request: Request) -> Sequence[int]:
        path = request.plain_path
        if not path:  # CONNECT has none
            return self._tunnels
        if self._few:
            return range(len(self.routes))
        if self._ignore_parameters:
            path = without_parameters(path)
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


def _conditions(route: Route, ignore_parameters: bool) -> tuple[RequestPredicate, ...]:
    asked = route.match
    conditions: list[RequestPredicate] = []
    # `/` starts every path that a request can have (Request refuses others), so asking would be for nothing; and what
    # has no path at all is not asked here.
    if asked.path not in (Prefix(""), Prefix("/")):
        conditions.append(path_predicate(asked.path, ignore_parameters))
    conditions.extend(header_predicate(header) for header in asked.headers)
    conditions.extend(query_predicate(parameter) for parameter in asked.query)
    conditions.extend(cookie_predicate(cookie) for cookie in asked.cookies)
    conditions.extend(metadata_predicate(noted) for noted in asked.metadata)
    if asked.grpc:
        conditions.append(is_grpc)
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
    """The virtual hosts of one listener. `arrival` is None where nothing is asked of requests that arrive."""

    __slots__ = (
        "_default",
        "_exact",
        "_host_header",
        "_ignore_port",
        "_prefixes",
        "_suffixes",
        "arrival",
        "ignore_parameters",
        "port",
    )

    def __init__(self, listener: Listener) -> None:
        self.port: Final = listener.port
        self.arrival: Final = listener.arrival if listener.arrival != Arrival() else None
        self.ignore_parameters: Final = listener.ignore_path_parameters
        self._ignore_port: Final = listener.ignore_port
        self._host_header: Final = listener.host_header
        exact: dict[str, Found] = {}
        suffixes: dict[str, Found] = {}
        prefixes: dict[str, Found] = {}
        default: dict[str, Found] = {}
        for host in listener.virtual_hosts:
            index = RouteIndex(host.routes, listener.ignore_path_parameters)
            tree = Tree(host.matcher, listener.ignore_path_parameters) if host.matcher is not None else None
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
                table[name] = Found(host, domain, index, tree)
        self._exact: Final = exact
        self._suffixes: Final = _by_length(suffixes)
        self._prefixes: Final = _by_length(prefixes)
        self._default: Final = default.get("*")

    def of(self, request: Request) -> Found | None:
        """The virtual host of a request: by its authority, or by the header that the listener names."""
        if not self._host_header:
            return self.find(request.authority)
        name = looked_up(request, self._host_header)
        if name is None:  # only who has nothing else to offer does not look
            return None if self._exact or self._suffixes or self._prefixes else self._default
        return self.find(name)

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


class Tree:
    """A matcher of a virtual host, its lists of routes made ready."""

    __slots__ = ("_choices", "_lengths", "_matcher", "_predicates")

    def __init__(self, matcher: Matcher, ignore_parameters: bool) -> None:
        self._matcher: Final = matcher
        self._choices: Final[dict[int, RouteIndex]] = {}
        self._lengths: Final[dict[int, tuple[int, ...]]] = {}
        self._predicates: Final[dict[int, RequestPredicate]] = {}
        for one in matchers_in(matcher):
            match one:
                case Choice(routes):
                    self._choices[id(one)] = RouteIndex(routes, ignore_parameters)
                case PrefixMap(_, table):
                    self._lengths[id(one)] = tuple(sorted({len(key) for key in table}, reverse=True))
                case Ordered(cases):
                    for predicate, _ in cases:
                        self._predicates[id(predicate)] = matcher_predicate(predicate)
                case _:
                    pass

    def routes(self, request: Request, tell: list[Step] | None = None) -> RouteIndex | None:
        """The list of routes that the matcher leads to, as scan.reached has it; None where it leads nowhere."""
        return self._follow(self._matcher, request, tell)

    def _follow(self, matcher: Matcher, request: Request, tell: list[Step] | None) -> RouteIndex | None:
        for led, step in self._ways(matcher, request):
            if tell is not None:
                tell.append(step)
            if isinstance(led, Choice):
                return self._choices[id(led)]
            if (found := self._follow(led, request, tell)) is not None:
                return found
        return self._choices[id(matcher)] if isinstance(matcher, Choice) else None

    def _ways(self, matcher: Matcher, request: Request) -> Iterator[tuple[Matcher, Step]]:
        """Where to look, in turn."""
        match matcher:
            case ExactMap(header, table, otherwise):
                value = joined_value(request, header)
                if value is not None and value in table:
                    yield table[value], MatcherFollowed(header, value, value)
            case PrefixMap(header, table, otherwise):
                value = joined_value(request, header)
                for length in self._lengths[id(matcher)] if value is not None else ():
                    if value is not None and length <= len(value) and value[:length] in table:
                        yield table[value[:length]], MatcherFollowed(header, value, value[:length])
            case Ordered(cases, otherwise):
                for number, (predicate, led) in enumerate(cases):
                    if self._predicates[id(predicate)](request):
                        yield led, MatcherFollowed("", None, str(number))
            case Choice():
                return
            case _:
                assert_never(matcher)
        if otherwise is not None:
            yield otherwise, MatcherFollowed("", None, None)


class Found:
    """A virtual host, the domain that led to it, and its routes; or the tree that leads to them."""

    __slots__ = ("domain", "host", "routes", "tree")

    def __init__(self, host: VirtualHost, domain: str, routes: RouteIndex, tree: Tree | None = None) -> None:
        self.tree: Final = tree
        self.host: Final = host
        self.domain: Final = domain
        self.routes: Final = routes


def _by_length(table: dict[str, Found]) -> tuple[tuple[int, dict[str, Found]], ...]:
    """The entries grouped by the length of their key, longest first."""
    groups: dict[int, dict[str, Found]] = {}
    for name, found in table.items():
        groups.setdefault(len(name), {})[name] = found
    return tuple(sorted(groups.items(), reverse=True, key=lambda group: group[0]))
