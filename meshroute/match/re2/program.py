r"""How large RE2's program for a pattern is: the figure that Envoy holds against its limit.

Source    google/re2: re2/parse.cc (FactorAlternation), simplify.cc, compile.cc, prog.cc (Optimize, Flatten), re2.cc
          (RequiredPrefix); observed: google-re2 1.1.20251105, ProgramSize
Inputs    a tree from parser.py.
Exactness RE2's number, found by shrinking and laying out the pattern the way RE2 does. The tree has forgotten five
          spellings that can move it by a few instructions: `\C`, `.` under (?s) and a written-out class of all bytes
          are one here; so are `$` and `\z`; (?i) on something that is not a letter; loops directly around loops
          under different flags; and `(?:)` between other things.
Errors    ProgramTooLarge past a bound on the work, far above any limit in use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from meshroute.match.re2.syntax import (
    EVERY_BYTE,
    Alternate,
    Assertion,
    ByteSet,
    Concat,
    Empty,
    Group,
    Literal,
    Node,
    OneOf,
    Place,
    Repeat,
    fold,
    folded_bits,
)

T = TypeVar("T")

# RE2 refuses at 698 992 instructions before they are packed. Istio's limit, 32 768, counts them after packing, where
# they are at most a few times fewer.
MOST_ALLOCATED: Final = 200_000


class ProgramTooLarge(ValueError):
    """The program has so many instructions that counting stopped."""


# --- RE2's own tree, after parsing. Kept apart from syntax.py because it spells what that tree abstracts from.


@dataclass(frozen=True, slots=True)
class _Nothing:
    """Matches no text at all."""


@dataclass(frozen=True, slots=True)
class _Blank:
    """Matches the empty text."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A literal or a run of them. Where `folded`, letters are lower case and stand for both cases."""

    text: str
    folded: bool


@dataclass(frozen=True, slots=True)
class _Class:
    allowed: ByteSet


@dataclass(frozen=True, slots=True)
class _Any:
    """Any byte: takes no part in the merging of classes."""


@dataclass(frozen=True, slots=True)
class _Place:
    place: Place


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    parts: tuple[_Shape, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    options: tuple[_Shape, ...]


@dataclass(frozen=True, slots=True)
class _Loop:
    """`*`, `+` or `?`."""

    body: _Shape
    operator: str
    greedy: bool


@dataclass(frozen=True, slots=True)
class _Count:
    """`{least,most}`; None for no end."""

    body: _Shape
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Capture:
    body: _Shape


_Shape: TypeAlias = _Nothing | _Blank | _Text | _Class | _Any | _Place | _Row | _Choice | _Loop | _Count | _Capture

_OPERATORS: Final = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def program_size(root: Node) -> int:
    """The number of instructions in RE2's program for `root`, as RE2::ProgramSize tells it.

    Raises ProgramTooLarge past MOST_ALLOCATED.
    """
    shape = _without_prefix(_shape(root))
    shape = _simplified(_coalesced(shape))
    shape, anchored = _without_start(shape, 0)
    shape = _without_end(shape, 0)
    return _Compiler().size(shape, anchored=anchored)


def program_size_ceiling(root: Node) -> int:
    """A figure that the program size is never above, by arithmetic on the tree alone.

    Packing emits each byte range, test and capture once, and at most one more instruction for each exit of a branch.
    """

    def combine(node: Node, below: list[int]) -> int:
        match node:
            case Empty():
                return 1
            case Literal(text):
                return len(text)
            case OneOf(allowed):
                return 3 * len(allowed.ranges)
            case Assertion():
                return 1
            case Group():
                return below[0] + 2
            case Concat():
                return sum(below)
            case Alternate():
                return sum(below) + 2 * len(below)
            case Repeat(_, least, most):
                # Two branches with two exits each, and the any-byte form of one.
                copies = max(least, 1) if most is None else most
                return (below[0] + 5) * max(copies, 1)

    return fold(root, combine) + 8


def _below(shape: _Shape) -> tuple[_Shape, ...]:
    match shape:
        case _Row(parts):
            return parts
        case _Choice(options):
            return options
        case _Loop(body) | _Count(body) | _Capture(body):
            return (body,)
        case _:
            return ()


def _rebuilt(root: _Shape, combine: Callable[[_Shape, list[_Shape]], _Shape]) -> _Shape:
    """`combine` from the leaves up. A shape that stands in a row many times over is looked at once."""
    done: dict[int, _Shape] = {}
    pending = [root]
    while pending:
        shape = pending[-1]
        waiting = [each for each in _below(shape) if id(each) not in done]
        if waiting:
            pending.extend(waiting)
            continue
        pending.pop()
        if id(shape) not in done:
            done[id(shape)] = combine(shape, [done[id(each)] for each in _below(shape)])
    return done[id(root)]


# --- from the parsed tree to RE2's: parse.cc


def _shape(root: Node) -> _Shape:
    letters, pairs = _letters(root)
    # Whether (?i) was on is known from the letters only: other literals follow suit.
    folded = pairs and not letters

    def combine(node: Node, below: list[_Shape]) -> _Shape:
        match node:
            case Empty():
                return _Blank()
            case Literal(text):
                return _Text(text, folded)
            case OneOf(allowed):
                if allowed == EVERY_BYTE:
                    return _Any()
                letter = _pair(allowed)
                return _Text(letter, True) if letter else _Class(allowed)
            case Assertion(place):
                return _Place(place)
            case Concat():
                return _row(below)
            case Alternate():
                return _choice(below)
            case Group():
                return _Capture(below[0])
            case Repeat(_, least, most, greedy, braces):
                if braces:
                    return _Count(below[0], least, most, greedy)
                return _Loop(below[0], _OPERATORS[least, most], greedy)

    return fold(root, combine)


def _letters(root: Node) -> tuple[bool, bool]:
    """Whether a literal has an ASCII letter, and whether some set is both cases of one."""

    def combine(node: Node, below: list[tuple[bool, bool]]) -> tuple[bool, bool]:
        match node:
            case Literal(text):
                return any(char.isascii() and char.isalpha() for char in text), False
            case OneOf(allowed):
                return False, bool(_pair(allowed))
            case _:
                return any(each for each, _ in below), any(each for _, each in below)

    return fold(root, combine)


def _pair(allowed: ByteSet) -> str:
    """The lower-case letter that the set is the two cases of, or nothing."""
    if len(allowed) != 2:
        return ""
    upper = chr(allowed.ranges[0][0])
    return upper.lower() if "A" <= upper <= "Z" and ord(upper.lower()) in allowed else ""


def _row(parts: list[_Shape]) -> _Shape:
    flat: list[_Shape] = []
    fresh = False  # whether the last of `flat` is a text that more text may join
    for part in parts:
        last = flat[-1] if flat else None
        if isinstance(part, _Row):
            flat.extend(part.parts)
            fresh = False
        elif fresh and isinstance(part, _Text) and isinstance(last, _Text) and part.folded == last.folded:
            flat[-1] = _Text(last.text + part.text, part.folded)
        else:
            flat.append(part)
            fresh = isinstance(part, _Text)
    return flat[0] if len(flat) == 1 else _Row(tuple(flat))


def _choice(options: list[_Shape]) -> _Shape:
    # An any-byte option takes in a single-byte neighbour at the time it is read, before inner options are spread out.
    kept: list[_Shape] = []
    for option in options:
        if kept and isinstance(kept[-1], _Any) and _is_single(option):
            continue
        if kept and isinstance(option, _Any) and _is_single(kept[-1]):
            kept[-1] = option
            continue
        kept.append(option)
    flat: list[_Shape] = []
    for option in kept:
        flat.extend(option.options if isinstance(option, _Choice) else (option,))
    return _unless_one(_factored(flat))


def _unless_one(options: Sequence[_Shape]) -> _Shape:
    return options[0] if len(options) == 1 else _Choice(tuple(options))


def _is_single(shape: _Shape) -> bool:
    """One byte: a literal, a class, or any."""
    return isinstance(shape, _Class | _Any) or (isinstance(shape, _Text) and len(shape.text) == 1)


@dataclass(slots=True)
class _Factoring:
    """Options on their way through the three rounds: common texts, common first parts, single bytes."""

    options: list[_Shape]
    round: int = 1
    # What the round found: prefix, first option and end, and where the next one to look into is.
    found: list[tuple[_Shape, int, int]] | None = None
    suffixes: list[list[_Shape]] | None = None


def _factored(options: list[_Shape]) -> list[_Shape]:
    """The options with common beginnings taken out: ab|ac becomes a[bc]. An explicit stack, as deep as texts share."""
    stack = [_Factoring(options)]
    while True:
        top = stack[-1]
        if top.round == 3:
            result = _merge_singles(top.options)
            stack.pop()
            if not stack:
                return result
            assert stack[-1].suffixes is not None
            stack[-1].suffixes.append(result)
            continue
        if top.found is None or top.suffixes is None:
            top.options, top.found = (_common_texts if top.round == 1 else _common_parts)(top.options)
            top.suffixes = []
        if len(top.suffixes) < len(top.found):
            _, begin, end = top.found[len(top.suffixes)]
            stack.append(_Factoring(top.options[begin:end]))
            continue
        merged: list[_Shape] = []
        at = 0
        for (prefix, begin, end), suffix in zip(top.found, top.suffixes, strict=True):
            merged += top.options[at:begin]
            merged.append(_Row((prefix, _unless_one(suffix))))
            at = end
        top.options = merged + top.options[at:]
        top.round, top.found, top.suffixes = top.round + 1, None, None


def _common_texts(options: list[_Shape]) -> tuple[list[_Shape], list[tuple[_Shape, int, int]]]:
    options = list(options)
    found: list[tuple[_Shape, int, int]] = []
    start, common = 0, _leading_text(options[0])
    for index in range(1, len(options) + 1):
        here = _leading_text(options[index]) if index < len(options) else None
        if here is not None and common is not None and here.folded == common.folded:
            same = 0
            while same < min(len(here.text), len(common.text)) and here.text[same] == common.text[same]:
                same += 1
            if same:
                common = _Text(common.text[:same], common.folded)
                continue
        if index - start > 1 and common is not None:
            found.append((common, start, index))
            options[start:index] = [_without_text(each, len(common.text)) for each in options[start:index]]
        start, common = index, here
    return options, found


def _leading_text(shape: _Shape) -> _Text | None:
    while isinstance(shape, _Row) and shape.parts:
        shape = shape.parts[0]
    return shape if isinstance(shape, _Text) else None


def _without_text(shape: _Shape, length: int) -> _Shape:
    above: list[_Row] = []
    while isinstance(shape, _Row) and shape.parts:
        above.append(shape)
        shape = shape.parts[0]
    assert isinstance(shape, _Text)
    rest: _Shape = replace(shape, text=shape.text[length:]) if length < len(shape.text) else _Blank()
    for row in reversed(above):
        if isinstance(rest, _Blank):
            rest = row.parts[1] if len(row.parts) == 2 else _Row(row.parts[1:])
        else:
            rest = _Row((rest, *row.parts[1:]))
    return rest


def _common_parts(options: list[_Shape]) -> tuple[list[_Shape], list[tuple[_Shape, int, int]]]:
    options = list(options)
    found: list[tuple[_Shape, int, int]] = []
    start, common = 0, _leading_part(options[0])
    for index in range(1, len(options) + 1):
        here = _leading_part(options[index]) if index < len(options) else None
        if common is not None and here is not None and _may_share(common) and common == here:
            continue
        if index - start > 1 and common is not None:
            found.append((common, start, index))
            options[start:index] = [_without_part(each) for each in options[start:index]]
        start, common = index, here
    return options, found


def _leading_part(shape: _Shape) -> _Shape | None:
    if isinstance(shape, _Row) and len(shape.parts) >= 2:
        shape = shape.parts[0]
    return None if isinstance(shape, _Blank) else shape


def _may_share(shape: _Shape) -> bool:
    # Loops are left alone: sharing them would change which of two matches RE2 prefers.
    match shape:
        case _Place() | _Class() | _Any():
            return True
        case _Count(body, least, most):
            return least == most and _is_single(body)
        case _:
            return False


def _without_part(shape: _Shape) -> _Shape:
    if isinstance(shape, _Row) and len(shape.parts) >= 2:
        return shape.parts[1] if len(shape.parts) == 2 else _Row(shape.parts[1:])
    return _Blank()


def _merge_singles(options: list[_Shape]) -> list[_Shape]:
    merged: list[_Shape] = []
    start = 0
    for index in range(1, len(options) + 1):
        if index < len(options) and _is_mergeable(options[start]) and _is_mergeable(options[index]):
            continue
        if index - start > 1:
            bits = 0
            for each in options[start:index]:
                bits |= _bits(each)
            merged.append(_Class(ByteSet.from_bits(bits)))
        else:
            merged.append(options[start])
        start = index
    return merged


def _is_mergeable(shape: _Shape) -> bool:
    return _is_single(shape) and not isinstance(shape, _Any)


def _bits(shape: _Shape) -> int:
    match shape:
        case _Class(allowed):
            return allowed.bits
        case _Text(text, folded):
            bits = 1 << ord(text)
            return folded_bits(bits) if folded else bits
        case _:
            raise AssertionError("only single bytes are merged")


# --- shrinking before the program is laid out: re2.cc, simplify.cc, compile.cc


def _without_prefix(shape: _Shape) -> _Shape:
    """RE2 compares a text after a leading ^ by itself and leaves it out of the program."""
    if not isinstance(shape, _Row):
        return shape
    at = 0
    while at < len(shape.parts) and shape.parts[at] == _Place(Place.TEXT_START):
        at += 1
    if at == 0 or at == len(shape.parts) or not isinstance(shape.parts[at], _Text):
        return shape
    rest = shape.parts[at + 1 :]
    if not rest:
        return _Blank()
    return rest[0] if len(rest) == 1 else _Row(rest)


def _coalesced(root: _Shape) -> _Shape:
    """a*a+ as a{1,}: neighbours that repeat the same byte are one."""

    def combine(shape: _Shape, below: list[_Shape]) -> _Shape:
        if not isinstance(shape, _Row):
            return _with_below(shape, below)
        parts, joined = list(below), False
        for index in range(len(parts) - 1):
            pair = _join(parts[index], parts[index + 1])
            if pair is not None:
                parts[index], parts[index + 1] = pair
                joined = True
        if not joined:
            return _with_below(shape, below)
        return _Row(tuple(each for each in parts if not isinstance(each, _Blank)))

    return _rebuilt(root, combine)


def _with_below(shape: _Shape, below: list[_Shape]) -> _Shape:
    if all(new is old for new, old in zip(below, _below(shape), strict=True)):
        return shape
    match shape:
        case _Row():
            return _Row(tuple(below))
        case _Choice():
            return _Choice(tuple(below))
        case _Loop() | _Count() | _Capture():
            return replace(shape, body=below[0])
        case _:
            return shape


_LOOP_BOUNDS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def _counted(shape: _Shape) -> _Count | None:
    """A loop or count over a single byte, as a count."""
    if isinstance(shape, _Loop) and _is_single(shape.body):
        return _Count(shape.body, *_LOOP_BOUNDS[shape.operator], shape.greedy)
    return shape if isinstance(shape, _Count) and _is_single(shape.body) else None


def _join(left: _Shape, right: _Shape) -> tuple[_Shape, _Shape] | None:
    first = _counted(left)
    if first is None:
        return None
    second = _counted(right)
    if second is not None and second.body == first.body and second.greedy == first.greedy:
        return _Blank(), _more(first, second.least, second.most)
    if right == first.body:
        return _Blank(), _more(first, 1, 1)
    if isinstance(right, _Text) and isinstance(first.body, _Text) and right.folded == first.body.folded:
        rest = right.text.lstrip(first.body.text)
        taken = len(right.text) - len(rest)
        if taken:
            longer = _more(first, taken, taken)
            return (longer, _Text(rest, right.folded)) if rest else (_Blank(), longer)
    return None


def _more(count: _Count, least: int, most: int | None) -> _Count:
    endless = count.most is None or most is None
    return replace(count, least=count.least + least, most=None if endless else (count.most or 0) + (most or 0))


def _simplified(root: _Shape) -> _Shape:
    def combine(shape: _Shape, below: list[_Shape]) -> _Shape:
        match shape:
            case _Class(allowed) if not allowed.ranges:
                return _Nothing()
            case _Loop(body, operator, greedy):
                new = below[0]
                if isinstance(new, _Blank):
                    return new
                if new is not body and isinstance(new, _Loop) and (new.operator, new.greedy) == (operator, greedy):
                    return new
                return _with_below(shape, below)
            case _Count(_, least, most, greedy):
                if isinstance(below[0], _Blank):
                    return below[0]
                return _written_out(below[0], least, most, greedy)
            case _:
                return _with_below(shape, below)

    return _rebuilt(root, combine)


def _written_out(body: _Shape, least: int, most: int | None, greedy: bool) -> _Shape:
    """x{2,4} as xx(?:x(?:x)?)?."""
    if isinstance(body, _Place) or (
        isinstance(body, _Row | _Choice) and all(isinstance(each, _Place) for each in _below(body))
    ):
        least, most = min(least, 1), None if most is None else min(most, 1)
    if most is None:
        if least <= 1:
            return _loop(body, "+" if least else "*", greedy)
        return _Row((*[body] * (least - 1), _loop(body, "+", greedy)))
    if most == 0:
        return _Blank()
    if (least, most) == (1, 1):
        return body
    head: _Shape | None = None
    if least:
        head = body if least == 1 else _Row((body,) * least)
    if most == least:
        return head or _Blank()
    tail = _loop(body, "?", greedy)
    for _ in range(most - least - 1):
        tail = _loop(_Row((body, tail)), "?", greedy)
    return tail if head is None else _Row((head, tail))


def _loop(body: _Shape, operator: str, greedy: bool) -> _Shape:
    """A loop directly over a loop with the same preference is one loop."""
    if isinstance(body, _Loop) and body.greedy == greedy:
        return body if body.operator == operator else replace(body, operator="*")
    return _Loop(body, operator, greedy)


# RE2 looks for the anchors that it can take out at most this deep.
_ANCHOR_DEPTH: Final = 4


def _without_start(shape: _Shape, depth: int) -> tuple[_Shape, bool]:
    if depth < _ANCHOR_DEPTH:
        match shape:
            case _Row(parts) if parts:
                first, found = _without_start(parts[0], depth + 1)
                if found:
                    return _Row((first, *parts[1:])), True
            case _Capture(body):
                inner, found = _without_start(body, depth + 1)
                if found:
                    return _Capture(inner), True
            case _Place(Place.TEXT_START):
                return _Blank(), True
            case _:
                pass
    return shape, False


def _without_end(shape: _Shape, depth: int) -> _Shape:
    if depth < _ANCHOR_DEPTH:
        match shape:
            case _Row(parts) if parts:
                last = _without_end(parts[-1], depth + 1)
                return shape if last is parts[-1] else _Row((*parts[:-1], last))
            case _Capture(body):
                inner = _without_end(body, depth + 1)
                return shape if inner is body else _Capture(inner)
            case _Place(Place.TEXT_END):
                return _Blank()
            case _:
                pass
    return shape


# --- laying out and packing the program: compile.cc, prog.cc

_FAIL, _MATCH, _NOP, _ALT, _BYTE, _EVERY, _CAPTURE, _TEST, _ALT_MATCH = range(9)


@dataclass(slots=True)
class _Frag:
    """Where a piece starts (0: it cannot match), the exits still to be tied, and whether it may match nothing."""

    begin: int
    ends: list[tuple[int, int]]
    nullable: bool


class _Compiler:
    """RE2's instructions by number: kind and two exits. Number 0 fails."""

    def __init__(self) -> None:
        self.kind = [_FAIL]
        self.out: list[list[int]] = [[0, 0]]

    def size(self, shape: _Shape, *, anchored: bool) -> int:
        whole = self.cat(self.frag(shape), _Frag(self.alloc(_MATCH), [], False))
        start = whole.begin
        if not anchored:
            whole = self.cat(self.star(self.byte(0x00, 0xFF), greedy=False), whole)
        if start == 0 and whole.begin == 0:
            return 1
        self.skip_nops(start)
        self.mark_alt_match(start)
        return self.packed_size(whole.begin, start)

    def alloc(self, kind: int, out: int = 0, out1: int = 0) -> int:
        if len(self.kind) >= MOST_ALLOCATED:
            raise ProgramTooLarge(f"more than {MOST_ALLOCATED} instructions")
        self.kind.append(kind)
        self.out.append([out, out1])
        return len(self.kind) - 1

    def tie(self, ends: list[tuple[int, int]], target: int) -> None:
        for number, side in ends:
            self.out[number][side] = target

    def frag(self, root: _Shape) -> _Frag:
        done: list[_Frag] = []
        pending: list[tuple[_Shape, bool]] = [(root, False)]
        while pending:
            shape, visited = pending.pop()
            below = _below(shape)
            if below and not visited:
                pending.append((shape, True))
                pending.extend((each, False) for each in reversed(below))
                continue
            cut = len(done) - len(below)
            done[cut:] = [self.combine(shape, done[cut:])]
            if len(pending) > 2 * MOST_ALLOCATED:
                raise ProgramTooLarge(f"more than {MOST_ALLOCATED} instructions")
        return done[0]

    def combine(self, shape: _Shape, below: list[_Frag]) -> _Frag:
        match shape:
            case _Nothing():
                return _Frag(0, [], False)
            case _Blank():
                return self.single(_NOP, nullable=True)
            case _Text(text):
                whole = self.single(_BYTE)
                for _ in text[1:]:
                    whole = self.cat(whole, self.single(_BYTE))
                return whole
            case _Any():
                return self.byte(0x00, 0xFF)
            case _Class(allowed):
                return self.byte_class(allowed)
            case _Place():
                return self.single(_TEST, nullable=True)
            case _Row():
                whole = below[0]
                for each in below[1:]:
                    whole = self.cat(whole, each)
                return whole
            case _Choice():
                whole = below[0]
                for each in below[1:]:
                    whole = self.alt(whole, each)
                return whole
            case _Loop(_, operator, greedy):
                make = {"*": self.star, "+": self.plus, "?": self.quest}[operator]
                return make(below[0], greedy=greedy)
            case _Capture():
                return self.capture(below[0])
            case _Count():
                raise AssertionError("counts are written out by now")

    def single(self, kind: int, *, nullable: bool = False) -> _Frag:
        number = self.alloc(kind)
        return _Frag(number, [(number, 0)], nullable)

    def byte(self, low: int, high: int) -> _Frag:
        return self.single(_EVERY if (low, high) == (0x00, 0xFF) else _BYTE)

    def byte_class(self, allowed: ByteSet) -> _Frag:
        bits = allowed.bits
        # A class that treats both cases alike is laid out without its upper case.
        folds = folded_bits(bits) == bits
        whole: _Frag | None = None
        for low, high in allowed.ranges:
            if folds and low >= 0x41 and high <= 0x5A:
                continue
            each = self.byte(low, high)
            whole = each if whole is None else self.alt(whole, each)
        assert whole is not None
        return whole

    def cat(self, first: _Frag, second: _Frag) -> _Frag:
        if first.begin == 0 or second.begin == 0:
            return _Frag(0, [], False)
        self.tie(first.ends, second.begin)
        if self.kind[first.begin] == _NOP and first.ends == [(first.begin, 0)]:
            return second
        return _Frag(first.begin, second.ends, first.nullable and second.nullable)

    def alt(self, first: _Frag, second: _Frag) -> _Frag:
        if first.begin == 0 or second.begin == 0:
            return second if first.begin == 0 else first
        number = self.alloc(_ALT, first.begin, second.begin)
        first.ends.extend(second.ends)
        return _Frag(number, first.ends, first.nullable or second.nullable)

    def fork(self, body: int, *, greedy: bool) -> tuple[int, tuple[int, int]]:
        """A branch into `body`, and its other exit."""
        number = self.alloc(_ALT, *((body, 0) if greedy else (0, body)))
        return number, (number, 1 if greedy else 0)

    def plus(self, body: _Frag, *, greedy: bool) -> _Frag:
        number, leave = self.fork(body.begin, greedy=greedy)
        self.tie(body.ends, number)
        return _Frag(body.begin, [leave], body.nullable)

    def star(self, body: _Frag, *, greedy: bool) -> _Frag:
        if body.nullable:
            return self.quest(self.plus(body, greedy=greedy), greedy=greedy)
        number, leave = self.fork(body.begin, greedy=greedy)
        self.tie(body.ends, number)
        return _Frag(number, [leave], True)

    def quest(self, body: _Frag, *, greedy: bool) -> _Frag:
        if body.begin == 0:
            return self.single(_NOP, nullable=True)
        number, leave = self.fork(body.begin, greedy=greedy)
        return _Frag(number, [leave, *body.ends], True)

    def capture(self, body: _Frag) -> _Frag:
        if body.begin == 0:
            return body
        opening = self.alloc(_CAPTURE, body.begin)
        closing = self.alloc(_CAPTURE)
        self.tie(body.ends, closing)
        return _Frag(opening, [(closing, 0)], body.nullable)

    def outs(self, number: int) -> list[int]:
        kind = self.kind[number]
        if kind in (_FAIL, _MATCH):
            return []
        return self.out[number] if kind in (_ALT, _ALT_MATCH) else self.out[number][:1]

    def reachable(self, start: int) -> list[int]:
        order, seen = [start], {start}
        for number in order:
            for out in self.outs(number):
                if out not in seen:
                    seen.add(out)
                    order.append(out)
        return order

    def skip_nops(self, start: int) -> None:
        order, seen = [start], {start}
        for number in order:
            for side in range(len(self.outs(number))):
                out = self.out[number][side]
                while out and self.kind[out] == _NOP:
                    out = self.out[out][0]
                self.out[number][side] = out
                if out not in seen:
                    seen.add(out)
                    order.append(out)

    def mark_alt_match(self, start: int) -> None:
        """A branch between any byte and back, and the match: RE2 has an instruction for it that adds one."""
        for number in self.reachable(start):
            if self.kind[number] != _ALT:
                continue
            first, second = self.out[number]
            for loop, leave in ((first, second), (second, first)):
                if self.kind[loop] == _EVERY and self.out[loop][0] == number and self.always_matches(leave):
                    self.kind[number] = _ALT_MATCH
                    break

    def always_matches(self, number: int) -> bool:
        while self.kind[number] in (_NOP, _CAPTURE):
            number = self.out[number][0]
        return self.kind[number] == _MATCH

    def packed_size(self, unanchored: int, start: int) -> int:
        """Instructions after branches are packed into lists, one list per place that something leads to."""
        roots = dict.fromkeys([0, unanchored, start])
        before: dict[int, list[int]] = {}
        for number in self.reachable(unanchored):
            for out in self.outs(number):
                if self.kind[number] in (_ALT, _ALT_MATCH):
                    before.setdefault(out, []).append(number)
                elif self.kind[number] != _NOP:
                    roots.setdefault(out)
        for root in sorted(roots, reverse=True):
            if root not in (0, unanchored, start):
                self.mark_dominated(root, roots, before)
        return sum(self.list_size(root, roots) for root in roots)

    def spread(self, root: int, roots: dict[int, None]) -> tuple[set[int], int]:
        """What `root` leads to without reading, up to other roots, and how many of these instructions are emitted."""
        seen = {root}
        pending = [root]
        emitted = 0
        while pending:
            number = pending.pop()
            kind = self.kind[number]
            if number != root and number in roots:
                emitted += 1
            elif kind in (_ALT, _ALT_MATCH, _NOP):
                emitted += kind == _ALT_MATCH
                for out in self.outs(number):
                    if out not in seen:
                        seen.add(out)
                        pending.append(out)
            else:
                emitted += 1
        return seen, emitted

    def list_size(self, root: int, roots: dict[int, None]) -> int:
        return self.spread(root, roots)[1]

    def mark_dominated(self, root: int, roots: dict[int, None], before: dict[int, list[int]]) -> None:
        seen, _ = self.spread(root, roots)
        for number in seen:
            if any(each not in seen for each in before.get(number, ())):
                roots.setdefault(number)
