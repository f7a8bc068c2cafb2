"""Automata of texts without case, and of texts that end with one or have one in them.

Source    D. Knuth, J. Morris, V. Pratt, "Fast Pattern Matching in Strings"
Inputs    texts in wire form: one character, U+0000 to U+00FF, per byte.
Exactness exact. Only ASCII letters fold. As many states as the text has characters, and two.
Errors    TooManyStates for a text that is longer than the bound.
"""

from __future__ import annotations

from meshroute.analysis.space.automaton import MOST_STATES, Automaton, Row, TooManyStates, minimal
from meshroute.names import ascii_lower

_EVERY_BYTE = "".join(map(chr, range(256)))


def of_text(text: str, *, ignore_case: bool, before: bool, after: bool, most_states: int = MOST_STATES) -> Automaton:
    """The texts that are this one, with anything before it and anything after it where that is said.

    Not for the empty text. Raises TooManyStates.
    """
    if len(text) + 2 > most_states:
        raise TooManyStates(f"more than {most_states} states")
    wanted, read_as = (ascii_lower(text), ascii_lower(_EVERY_BYTE)) if ignore_case else (text, _EVERY_BYTE)
    letters = set(wanted)
    # The bytes that are nowhere in the text are one class.
    numbers: dict[str, int] = {}
    class_of = bytes([numbers.setdefault(char if char in letters else "", len(numbers)) for char in read_as])
    # State n has read the first n characters of the text.
    whole = len(wanted)
    lost = (whole + 1,) * len(numbers)
    rows: list[Row] = []
    # The state after the longest end of what was read that begins the text as well: on other bytes it knows the way.
    behind = 0
    for state, char in enumerate(wanted):
        row = list(lost if not before else rows[behind] if state else (0,) * len(numbers))
        if state:
            behind = row[numbers[char]] if before else 0
        row[numbers[char]] = state + 1
        rows.append(tuple(row))
    rows.append((whole,) * len(numbers) if after else rows[behind] if before else lost)
    if not before:
        rows.append(lost)
    return minimal(class_of, rows, [state == whole for state in range(len(rows))])
