"""Complete deterministic automata over classes of bytes: the plain form of a set of byte strings.

Source    minimisation after J. Hopcroft, "An n log n algorithm", by signatures; products state by state
Inputs    texts in wire form: one character, U+0000 to U+00FF, per byte.
Exactness exact. Every Automaton is minimal and numbered in one order, so equal sets are equal values.
Errors    TooManyStates where a construction passes its bound. Work is bounded by states times classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias, TypeVar

from meshroute.analysis.space import stretches
from meshroute.analysis.space.stretches import Cuts

MOST_STATES: Final = 20_000
"""How many states the making of an automaton may go through, before those alike are put together."""
_MOST_ENTRIES: Final = 1_000_000
"""How many transitions it may go through: states times classes of bytes."""

State = TypeVar("State", bound=Hashable)
Row: TypeAlias = tuple[int, ...]
Rows: TypeAlias = Sequence[Row]

# What witnesses are written with: letters and digits first, then other printable characters, then the other bytes.
_READABLE: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RANKED: Final = sorted(
    map(chr, range(256)), key=lambda char: (_READABLE.find(char) % 256, not " " < char <= "~", ord(char))
)
_RANK: Final = {char: rank for rank, char in enumerate(_RANKED)}
# How much of a tree of texts is walked to say an automaton as stretches.
_MOST_VISITED: Final = 256


def readability(text: str) -> tuple[int, list[int]]:
    """By what texts are put in order for readers: shorter ones first, then by their characters."""
    return len(text), [_RANK[char] for char in text]


class TooManyStates(Exception):
    """A set of texts is too large to be worked out: its automaton passes the bound on states or on work."""


@dataclass(frozen=True)
class Automaton:
    """`class_of[byte]` is the byte's class, `rows[state][class]` the state after it, `accepts[state]` whether a text
    may end there. State 0 is the start.

    Made by the functions of this package only: states are reachable, none are alike, and states and classes are
    numbered as they are first met, bytes in their order.
    """

    class_of: bytes
    rows: tuple[Row, ...]
    accepts: tuple[bool, ...]

    def takes(self, text: str) -> bool:
        """Whether the text is one of the set. Raises ValueError for a character above U+00FF."""
        return self.accepts[self._state_after(text)]

    def goes_on_from(self, text: str) -> bool:
        """Whether some text of the set starts so. Raises ValueError for a character above U+00FF."""
        return self._state_after(text) != self.sink

    def _state_after(self, text: str) -> int:
        try:
            read = text.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError("a text in wire form has no character above U+00FF") from None
        state, rows = 0, self.rows
        for number in read.translate(self.class_of):
            state = rows[state][number]
        return state

    @cached_property
    def sink(self) -> int | None:
        """The state from which no text is taken."""
        return self._trap(False)

    @cached_property
    def heaven(self) -> int | None:
        """The state from which every text is taken."""
        return self._trap(True)

    def _trap(self, accepts: bool) -> int | None:
        # A minimal automaton has at most one of each, and it leads to itself alone.
        for state, row in enumerate(self.rows):
            if self.accepts[state] is accepts and set(row) == {state}:
                return state
        return None

    def shared_prefix(self) -> str:
        """The longest text that every text of the set starts with; empty for the empty set."""
        read: list[str] = []
        state = 0
        while not self.accepts[state]:
            on = [number for number, after in enumerate(self.rows[state]) if after != self.sink]
            if len(on) != 1 or self.class_of.count(on[0]) != 1:
                break
            read.append(chr(self.class_of.index(on[0])))
            state = self.rows[state][on[0]]
        return "".join(read)

    @cached_property
    def _ways(self) -> tuple[tuple[str, int], ...]:
        """The best readable byte of each class with the class, best first."""
        ways: dict[int, str] = {}
        for char in _RANKED:
            ways.setdefault(self.class_of[ord(char)], char)
        return tuple((char, number) for number, char in ways.items())

    def shortest(self) -> str | None:
        """The shortest text of the set, of several the most readable; None for the empty set."""
        come: dict[int, tuple[int, str]] = {0: (0, "")}
        pending = deque((0,))
        while pending:
            state = pending.popleft()
            if self.accepts[state]:
                read: list[str] = []
                while state:
                    state, char = come[state]
                    read.append(char)
                return "".join(reversed(read))
            for char, number in self._ways:
                after = self.rows[state][number]
                if after not in come:
                    come[after] = (state, char)
                    pending.append(after)
        return None

    def members(self) -> Iterator[str]:
        """The texts of the set, shorter ones first, of one length the more readable ones first. Perhaps without end."""
        # ending[n]: the states from which some text of n bytes is taken.
        before: list[set[int]] = [set() for _ in self.rows]
        for state, row in enumerate(self.rows):
            for after in row:
                before[after].add(state)
        ending = [{state for state, accepts in enumerate(self.accepts) if accepts}]
        while ending[-1]:
            if 0 in ending[-1]:
                yield from self._of_length(ending)
            ending.append(set().union(*(before[state] for state in ending[-1])))

    def _of_length(self, ending: Sequence[set[int]]) -> Iterator[str]:
        length = len(ending) - 1
        pending = [(0, "")]
        while pending:
            state, text = pending.pop()
            left = length - len(text)
            if not left:
                yield text
                continue
            row = self.rows[state]
            for char in reversed(_RANKED):
                after = row[self.class_of[ord(char)]]
                if after in ending[left - 1]:
                    pending.append((after, text + char))


def of_stretches(cuts: Cuts, *, most_states: int = MOST_STATES) -> Automaton:
    """The automaton of what exact texts and prefixes say. Raises TooManyStates."""
    edges = {0, 256}
    for char in set("".join(cuts)):
        edges.update((ord(char), ord(char) + 1))
    ordered = sorted(edges)
    class_of = bytes(number for number, low in enumerate(ordered[:-1]) for _ in range(low, ordered[number + 1]))
    samples = [chr(low) for low in ordered[:-1]]

    def row(state: Cuts) -> list[Cuts]:
        return [stretches.after(state, sample) for sample in samples]

    rows, states = explored(cuts, row, most_states=most_states, classes=len(samples))
    # No two states are alike already, because their cuts differ; only numbers are left to settle.
    return _numbered(class_of, rows, [bool(state) and not state[0] for state in states])


def to_stretches(made: Automaton) -> Cuts | None:
    """The same set as stretches; None if they are endless, or too many to be of use."""
    rows, accepts = made.rows, made.accepts
    traps = {made.sink, made.heaven}
    if _goes_round(rows, traps):
        return None
    cuts: list[str] = []
    pending = [(0, "")]
    inside = False
    visited = 0
    while pending:
        state, text = pending.pop()
        if accepts[state] != inside:
            inside = not inside
            cuts.append(text)
        if state in traps:
            continue
        visited += 1
        if visited > _MOST_VISITED:
            return None
        row = rows[state]
        for byte in range(255, -1, -1):
            number = made.class_of[byte]
            # Of neighbours with one trap ahead, the first tells of all.
            if row[number] not in traps or not byte or row[made.class_of[byte - 1]] != row[number]:
                pending.append((row[number], text + chr(byte)))
    return tuple(cuts)


def _goes_round(rows: Rows, traps: AbstractSet[int | None]) -> bool:
    """Whether some way leads back to where it began, the traps left out."""
    ahead = [set() if state in traps else set(row) - traps for state, row in enumerate(rows)]
    waiting = [0] * len(rows)
    for states in ahead:
        for state in states:
            waiting[state] += 1
    ready = [state for state, count in enumerate(waiting) if not count]
    for state in ready:  # grows on the way
        for after in ahead[state]:
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    return len(ready) < len(rows)


def both(one: Automaton, other: Automaton, *, most_states: int = MOST_STATES) -> Automaton:
    """The texts of both sets. Raises TooManyStates."""
    return _product(one, other, False, most_states)


def either(one: Automaton, other: Automaton, *, most_states: int = MOST_STATES) -> Automaton:
    """The texts of either set. Raises TooManyStates."""
    return _product(one, other, True, most_states)


def complement(one: Automaton) -> Automaton:
    """The texts that are not in the set."""
    return Automaton(one.class_of, one.rows, tuple(not accepts for accepts in one.accepts))


def meets(one: Automaton, other: Automaton, *, most_states: int = MOST_STATES) -> bool:
    """Whether some text is in both sets. Stops at the first one found. Raises TooManyStates."""
    sink, beside = one.sink, other.sink
    pairs = _pairs(one.class_of, other.class_of)
    lefts, rights = zip(*pairs, strict=True)
    pending = [(0, 0)]
    seen = {(0, 0)}
    while pending:
        at, there = pending.pop()
        if at == sink or there == beside:
            continue
        if one.accepts[at] and other.accepts[there]:
            return True
        _refuse_many(len(seen), most_states, len(pairs))
        ahead, along = one.rows[at].__getitem__, other.rows[there].__getitem__
        new = set(zip(map(ahead, lefts), map(along, rights), strict=True)) - seen
        seen |= new
        pending.extend(new)
    return False


def _product(one: Automaton, other: Automaton, union: bool, most_states: int) -> Automaton:
    width = len(other.rows)
    # Past the sink of either nothing is in both; past the heaven of either everything is in one.
    end, beside = (one.heaven, other.heaven) if union else (one.sink, other.sink)
    pairs = _pairs(one.class_of, other.class_of)
    numbers = {pair: number for number, pair in enumerate(pairs)}
    class_of = bytes(map(numbers.__getitem__, zip(one.class_of, other.class_of, strict=True)))
    lefts, rights = zip(*pairs, strict=True)

    def row(state: int) -> list[int]:
        if state < 0:
            return [-1] * len(pairs)
        at, there = divmod(state, width)
        ahead, along = one.rows[at], other.rows[there]
        return [
            -1 if (left := ahead[number]) == end or (right := along[besides]) == beside else left * width + right
            for number, besides in zip(lefts, rights, strict=True)
        ]

    rows, states = explored(0, row, most_states=most_states, classes=len(pairs))
    accepts = [
        union if state < 0 else _holds(one.accepts[state // width], other.accepts[state % width], union)
        for state in states
    ]
    return minimal(class_of, rows, accepts)


def _holds(left: bool, right: bool, union: bool) -> bool:
    return left or right if union else left and right


def _pairs(one: bytes, other: bytes) -> list[tuple[int, int]]:
    """The classes that tell apart what either tells apart, each as one of theirs with one of the others."""
    return list(dict.fromkeys(zip(one, other, strict=True)))


def _refuse_many(states: int, most_states: int, classes: int) -> None:
    if states > most_states:
        raise TooManyStates(f"more than {most_states} states")
    if states * classes > _MOST_ENTRIES:
        raise TooManyStates(f"more than {_MOST_ENTRIES} transitions")


def explored(
    start: State, row: Callable[[State], Sequence[State]], *, most_states: int, classes: int
) -> tuple[list[Row], list[State]]:
    """All states that can be reached, in the order met, and their rows by number. Raises TooManyStates."""
    numbers = {start: 0}
    states = [start]
    rows: list[Row] = []
    for state in states:  # grows on the way
        found: list[int] = []
        for after in row(state):
            number = numbers.get(after)
            if number is None:
                number = numbers[after] = len(states)
                states.append(after)
            found.append(number)
        _refuse_many(len(states), most_states, classes)
        rows.append(tuple(found))
    return rows, states


def minimal(class_of: bytes, rows: Rows, accepts: Sequence[bool]) -> Automaton:
    """The one automaton of the set that this one takes. Every state can be reached from state 0."""
    block = _blocks(rows, accepts)
    sample: dict[int, int] = {}
    for state, number in enumerate(block):
        sample.setdefault(number, state)
    # The start's block comes first, because state 0 is met first.
    numbers = {number: at for at, number in enumerate(sample)}
    fewer = [tuple(numbers[block[after]] for after in rows[state]) for state in sample.values()]
    return _numbered(class_of, fewer, [accepts[state] for state in sample.values()])


def _blocks(rows: Rows, accepts: Sequence[bool]) -> list[int]:
    """For each state the number of its block: two states have one block if the same texts are taken from both.

    When a block parts, its largest piece keeps the number, and only states that lead to the others are looked at
    again: a state changes its number at most log n times.
    """
    block = [int(accepting) for accepting in accepts]
    members: list[set[int]] = [{state for state, at in enumerate(block) if at == number} for number in (0, 1)]
    before: list[set[int]] = [set() for _ in rows]
    for state, row in enumerate(rows):
        for after in set(row):
            before[after].add(state)
    pending = set(range(len(rows)))
    at = block.__getitem__
    while pending:
        touched: dict[int, list[int]] = {}
        for state in pending:
            touched.setdefault(block[state], []).append(state)
        moved: list[tuple[int, int]] = []
        for number, states in touched.items():
            pieces: dict[Row, list[int]] = {}
            for state in states:
                pieces.setdefault(tuple(map(at, rows[state])), []).append(state)
            # Those that need no look are alike as before, and like none of these: these lead to a number that is new.
            quiet = len(members[number]) - len(states)
            parted = sorted(pieces.values(), key=len)
            if len(parted[-1]) > quiet:
                parted.pop()
                if quiet:
                    parted.append(list(members[number].difference(*pieces.values())))
            for piece in parted:
                moved.extend((state, len(members)) for state in piece)
                members[number].difference_update(piece)
                members.append(set(piece))
        pending = set()
        for state, number in moved:
            block[state] = number
            pending |= before[state]
    return block


def _numbered(class_of: bytes, rows: Rows, accepts: Sequence[bool]) -> Automaton:
    """States and classes of a minimal automaton in the order first met, classes without a difference put together."""
    columns = list(zip(*rows, strict=True))
    classes: dict[tuple[int, ...], int] = {}
    merged = bytes([classes.setdefault(columns[number], len(classes)) for number in class_of])
    narrow = list(zip(*classes, strict=True))
    order = {0: 0}
    met = [0]
    for state in met:
        for after in narrow[state]:
            if after not in order:
                order[after] = len(met)
                met.append(after)
    return Automaton(
        merged,
        tuple(tuple(map(order.__getitem__, narrow[state])) for state in met),
        tuple(accepts[state] for state in met),
    )
