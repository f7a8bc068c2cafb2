"""Automata of RE2 patterns.

Source    subset construction over the machines of meshroute.match.re2; its automaton does the same a byte at a time
Inputs    patterns in wire form: one character, U+0000 to U+00FF, per byte.
Exactness full match, every assertion included: the automaton takes what the matcher matches.
Errors    TooManyStates past the bound on states or on work; Re2SyntaxError where RE2 refuses a pattern.
"""

from __future__ import annotations

from typing import Final

from meshroute.analysis.space.automaton import Automaton, TooManyStates, explored, minimal
from meshroute.match.re2 import compile_full, nfa, parse
from meshroute.match.re2.automaton import holds, kind_at
from meshroute.match.re2.nfa import ACCEPT, Branch, Machine, Take, Test

MOST_OF_A_PATTERN: Final = 4_000
"""How many states one pattern may have: their sets of instructions are what makes determinising costly."""
_MOST_INSTRUCTIONS: Final = 40_000
_MOST_VISITED: Final = 1_000_000
_EDGE: Final = kind_at("", 0)


def of_pattern(regex: str, *, most_states: int = MOST_OF_A_PATTERN) -> Automaton:
    """The texts that the whole pattern matches.

    Raises Re2SyntaxError for what the matcher refuses, TooManyStates, ValueError for a character above U+00FF.
    """
    compile_full(regex)
    try:
        machine = nfa.build(parse(regex), max_size=_MOST_INSTRUCTIONS)
    except nfa.MachineTooLarge as error:
        raise TooManyStates(f"a pattern has {error}") from None
    steps = _Steps(machine)
    rows, states = explored(steps.start, steps.row, most_states=most_states, classes=len(machine.sample))
    return minimal(bytes(machine.class_of), rows, list(map(steps.accepts, states)))


_State = tuple[frozenset[int], int | None]
"""Takes, tests still to be decided and perhaps ACCEPT; what stands before them, None if there is no test to ask it."""


class _Steps:
    """From sets of instructions to sets of instructions."""

    def __init__(self, machine: Machine) -> None:
        self._listing = machine.instructions
        self._kinds = tuple(kind_at(chr(byte), 0) for byte in machine.sample)
        self._tests = frozenset(at for at, each in enumerate(machine.instructions) if isinstance(each, Test))
        self._reached: dict[frozenset[int], frozenset[int]] = {}
        self._visited = 0
        self.start = self._state(frozenset((machine.start,)), _EDGE)

    def row(self, state: _State) -> list[_State]:
        """The state after each class of bytes."""
        after: list[set[int]] = [set() for _ in self._kinds]
        if state[1] is None:
            self._step(state[0], -1, after)
        else:
            for kind in set(self._kinds):
                ready = self._decided(state, kind)
                self._step(ready, sum(1 << number for number, each in enumerate(self._kinds) if each == kind), after)
        return [self._state(frozenset(outs), self._kinds[number]) for number, outs in enumerate(after)]

    def accepts(self, state: _State) -> bool:
        """Whether a text may end here."""
        return ACCEPT in self._decided(state, _EDGE)

    def _step(self, ready: frozenset[int], classes: int, after: list[set[int]]) -> None:
        for each in ready:
            instruction = self._listing[each]
            if isinstance(instruction, Take):
                left = instruction.classes & classes
                while left:
                    after[(left & -left).bit_length() - 1].add(instruction.out)
                    left &= left - 1
                    self._visited += 1

    def _state(self, outs: frozenset[int], before: int) -> _State:
        reached = self._reached.get(outs)
        if reached is None:
            reached = self._reached[outs] = self._reach(outs, None, None)
        return reached, None if self._tests.isdisjoint(reached) else before

    def _decided(self, state: _State, after: int) -> frozenset[int]:
        """The state's instructions, with every test that holds between what is before and `after` passed."""
        instructions, before = state
        return instructions if before is None else self._reach(instructions, before, after)

    def _reach(self, origins: frozenset[int], before: int | None, after: int | None) -> frozenset[int]:
        """Takes, tests and ACCEPT that `origins` lead to without reading. Tests are passed if both sides are known."""
        pending = list(origins)
        seen = set(pending)
        reached: list[int] = []
        while pending:
            each = pending.pop()
            instruction = self._listing[each]
            if isinstance(instruction, Branch) and each != ACCEPT:
                outs = instruction.outs
            else:
                reached.append(each)
                if not isinstance(instruction, Test) or before is None or after is None:
                    continue
                if not holds(instruction.place, before, after):
                    continue
                outs = (instruction.out,)
            for out in outs:
                if out not in seen:
                    seen.add(out)
                    pending.append(out)
        self._visited += len(seen)
        if self._visited > _MOST_VISITED:
            raise TooManyStates(f"a pattern needs more than {_MOST_VISITED} steps to be worked out")
        return frozenset(reached)
