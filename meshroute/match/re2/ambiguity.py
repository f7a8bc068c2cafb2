"""How many ways a backtracking matcher can be under way at once, after any text whatever.

Source    subset construction with multiplicities: a state counts, for each instruction, the runs that stand there
Inputs    a machine from nfa.py.
Exactness a proof, not an estimate: True means that after every text of every length at most `MOST_RUNS` runs
          exist, counting those that will fail. False means "not shown": there are more, or the search gave up.
Errors    none. The search is bounded, so its own cost is too.

A backtracking matcher that fails has tried every run. Each run advances over the subject once, so where their
number has a bound that does not depend on the text, the time is linear in the text.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from meshroute.match.re2.nfa import Branch, Machine, Take

# Enough for the alternations that people write; each run costs the matcher at most one pass.
MOST_RUNS: Final = 8
# Past these the pattern goes to the automaton, which needs no proof.
_MOST_INSTRUCTIONS: Final = 160
_MOST_COUNTS: Final = 250

Counts: TypeAlias = tuple[tuple[int, int], ...]


def runs_are_bounded(machine: Machine) -> bool:
    """Whether no text, however long, leaves more than MOST_RUNS runs under way."""
    if len(machine.instructions) > _MOST_INSTRUCTIONS:
        return False
    ways = _ways(machine)
    if ways is None:
        return False
    first: Counts = tuple(sorted(ways[machine.start].items()))
    seen = {first}
    pending = [first]
    while pending:
        counts = pending.pop()
        if sum(count for _, count in counts) > MOST_RUNS or len(seen) > _MOST_COUNTS:
            return False
        after = _after_any_byte(counts, machine, ways) - seen
        seen |= after
        pending.extend(after)
    return True


def _after_any_byte(counts: Counts, machine: Machine, ways: list[dict[int, int]]) -> set[Counts]:
    """Where the runs of `counts` stand after one more byte, for each class of bytes that leaves any."""
    by_class: dict[int, dict[int, int]] = {}
    for take, count in counts:
        instruction = machine.instructions[take]
        assert isinstance(instruction, Take)  # `ways` leads to nothing else
        left = instruction.classes
        while left:
            number = (left & -left).bit_length() - 1
            left &= left - 1
            total = by_class.setdefault(number, {})
            for out, times in ways[instruction.out].items():
                total[out] = total.get(out, 0) + count * times
    return {tuple(sorted(total.items())) for total in by_class.values() if total}


def _ways(machine: Machine) -> list[dict[int, int]] | None:
    """For each instruction, the takes it leads to without reading and in how many ways; None if it can loop.

    Tests are passed as if they held: that counts some runs which cannot be, never too few.
    """
    ways: list[dict[int, int] | None] = [None] * len(machine.instructions)
    entered: set[int] = set()
    path = list(range(len(machine.instructions)))
    while path:
        each = path[-1]
        if ways[each] is not None:
            path.pop()
            continue
        instruction = machine.instructions[each]
        if isinstance(instruction, Take):
            ways[each] = {each: 1}
            continue
        outs = instruction.outs if isinstance(instruction, Branch) else (instruction.out,)
        waiting = [out for out in outs if ways[out] is None]
        if not waiting:
            total: dict[int, int] = {}
            for out in outs:
                for take, count in (ways[out] or {}).items():
                    total[take] = total.get(take, 0) + count
            ways[each] = total
            continue
        # Met again with an out still open: the way back to it reads nothing.
        if each in entered:
            return None
        entered.add(each)
        path.extend(waiting)
    return [each or {} for each in ways]
