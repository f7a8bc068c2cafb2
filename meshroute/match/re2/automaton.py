"""A matcher that reads each byte once: subsets of the machine's instructions, built as subjects ask for them.

Source    the lazy DFA of google/re2: re2/dfa.cc; subset construction
Inputs    a machine from nfa.py; a subject in wire form.
Exactness full match, every assertion included. A byte costs one look-up where its state is known, and otherwise at
          most the size of the machine: time is linear in the subject, whatever the pattern.
Errors    KeyError never leaves; a character above U+00FF raises ValueError.

States are kept between subjects, up to a bound, then dropped all at once. They only save work: a state is a
function of the machine, so no answer depends on which are there. Several threads may match at the same time.
"""

from __future__ import annotations

from typing import Final

from meshroute.match.re2.nfa import ACCEPT, Branch, Machine, Take, Test
from meshroute.match.re2.syntax import WORD, Place

# Bounds on what the kept states hold: their number, and the instructions listed in them.
_MAX_STATES: Final = 500
_MAX_LISTED: Final = 200_000

# What stands on one side of a place between two bytes.
_EDGE: Final = 0
_NEWLINE: Final = 1
_WORD: Final = 2
_OTHER: Final = 3


def _kind(byte: int) -> int:
    if byte == 0x0A:
        return _NEWLINE
    return _WORD if byte in WORD else _OTHER


def kind_at(text: str, at: int) -> int:
    """What stands at a place of a text, as far as assertions ask; an edge beyond either end."""
    return _kind(ord(text[at])) if 0 <= at < len(text) else _EDGE


def holds(place: Place, before: int, after: int) -> bool:
    """Whether an assertion holds between two kinds."""
    match place:
        case Place.TEXT_START:
            return before == _EDGE
        case Place.TEXT_END:
            return after == _EDGE
        case Place.LINE_START:
            return before in (_EDGE, _NEWLINE)
        case Place.LINE_END:
            return after in (_EDGE, _NEWLINE)
        case Place.WORD_BOUNDARY:
            return (before == _WORD) != (after == _WORD)
        case Place.NOT_WORD_BOUNDARY:
            return (before == _WORD) == (after == _WORD)


class _NoWayOn(Exception):
    """No instruction is left, so nothing that follows can match."""


class _State(dict[str, "_State"]):
    """Instructions that may run next: takes, tests still to be decided, and perhaps ACCEPT.

    `before` is what stands before them, and None if there is no test that wants to know. Keys are the characters
    asked for so far.
    """

    __slots__ = ("accepts", "automaton", "before", "instructions")

    def __init__(self, automaton: Automaton, instructions: frozenset[int], before: int | None) -> None:
        self.automaton = automaton
        self.instructions = instructions
        self.before = before
        self.accepts: bool | None = None

    def __missing__(self, char: str) -> _State:
        return self.automaton.step(self, char)


class Automaton:
    """The matcher of one machine. Asking it is a pure function of the subject."""

    __slots__ = ("_kinds", "_listed", "_machine", "_start", "_states", "_tests", "work")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._kinds = tuple(map(_kind, machine.sample))
        self._tests = frozenset(at for at, each in enumerate(machine.instructions) if isinstance(each, Test))
        self.work = 0
        self._forget()

    def matches(self, subject: str) -> bool:
        """Whether the whole subject matches."""
        state = self._start
        try:
            for char in subject:
                state = state[char]
        except _NoWayOn:
            return False
        accepts = state.accepts
        return self._decide_end(state) if accepts is None else accepts

    def steps(self, subject: str) -> int:
        """What matching `subject` from nothing costs: bytes read plus instructions visited to build states."""
        fresh = Automaton(self._machine)
        read = 0
        state = fresh._start
        try:
            for char in subject:
                read += 1
                state = state[char]
            fresh._decide_end(state)
        except _NoWayOn:
            pass
        return read + fresh.work

    def _forget(self) -> None:
        self._states: dict[tuple[frozenset[int], int | None], _State] = {}
        self._listed = 0
        self._start = self._state(self._reach([self._machine.start], None, None), _EDGE)

    def _state(self, instructions: frozenset[int], before: int) -> _State:
        key = (instructions, None if self._tests.isdisjoint(instructions) else before)
        found = self._states.get(key)
        if found is None:
            if len(self._states) >= _MAX_STATES or self._listed > _MAX_LISTED:
                # States still held by a running match stay good: they lead on into the new collection.
                self._forget()
            found = _State(self, *key)
            self._listed += len(instructions)
            self._states[key] = found
        return found

    def step(self, state: _State, char: str) -> _State:
        """The state after one more character. Raises _NoWayOn where `state` has no instruction left."""
        if not state.instructions:
            raise _NoWayOn
        byte = ord(char)
        if byte > 0xFF:
            raise ValueError("a subject in wire form has no character above U+00FF")
        number = self._machine.class_of[byte]
        ready = self._decided(state, self._kinds[number])
        listing = self._machine.instructions
        outs: list[int] = []
        for each in ready:
            instruction = listing[each]
            if isinstance(instruction, Take) and instruction.classes >> number & 1:
                outs.append(instruction.out)
        self.work += len(ready)
        after = self._state(self._reach(outs, None, None), self._kinds[number])
        state[char] = after
        return after

    def _decide_end(self, state: _State) -> bool:
        state.accepts = ACCEPT in self._decided(state, _EDGE)
        return state.accepts

    def _decided(self, state: _State, after: int) -> frozenset[int]:
        """The state's instructions, with every test that holds between `before` and `after` passed."""
        if state.before is None:
            return state.instructions
        return self._reach(state.instructions, state.before, after)

    def _reach(self, origins: list[int] | frozenset[int], before: int | None, after: int | None) -> frozenset[int]:
        """Takes, tests and ACCEPT that `origins` lead to without reading. Tests are passed if both sides are known."""
        listing = self._machine.instructions
        pending = list(origins)
        seen = set(pending)
        reached: list[int] = []
        while pending:
            each = pending.pop()
            instruction = listing[each]
            if isinstance(instruction, Take) or each == ACCEPT:
                reached.append(each)
                continue
            if isinstance(instruction, Branch):
                outs = instruction.outs
            else:
                reached.append(each)
                if before is None or after is None or not holds(instruction.place, before, after):
                    continue
                outs = (instruction.out,)
            for out in outs:
                if out not in seen:
                    seen.add(out)
                    pending.append(out)
        self.work += len(seen)
        return frozenset(reached)
