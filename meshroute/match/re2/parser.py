r"""RE2's pattern syntax, read into a tree.

Source    google/re2: re2/parse.cc; doc/syntax.txt. Flags as Envoy sets them: RE2's defaults with encoding Latin-1
Inputs    a pattern in wire form: one character, U+0000 to U+00FF, per byte of what the author wrote.
Exactness accepts and refuses what RE2's parser does, in its words. Time and depth are linear in the pattern.
          Left to program.py: the refusal of a pattern that parses but compiles too large.
Errors    Re2SyntaxError for what RE2 refuses, ValueError for a character above U+00FF.

Two surprises are RE2's own. A group name may be used twice. And only adjacency makes a doubled operator:
`a**` is refused, while `(?:a*)*`, `a*(?i)*` and `a*\Q\E*` are all read as `a*`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from meshroute.match.re2 import classes
from meshroute.match.re2.syntax import (
    EVERY_BYTE,
    NOT_NEWLINE,
    Assertion,
    ByteSet,
    Group,
    Literal,
    Node,
    OneOf,
    Place,
    Repeat,
    alternate,
    bits_of,
    complement_bits,
    concat,
    folded_bits,
)

_MAX_REPEAT: Final = 1000
# RE2 reads a decimal while it is below this; a longer number makes the whole brace a literal.
_INTEGER_CEILING: Final = 100_000_000
_DIGITS: Final = frozenset("0123456789")
_OCTAL: Final = frozenset("01234567")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_ALPHANUMERIC: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_C_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "f": "\f", "v": "\v"}
_NAME_BITS: Final = bits_of(classes.NAME_BYTES)
_SIMPLE_ESCAPES: Final[dict[str, Node]] = {
    "b": Assertion(Place.WORD_BOUNDARY),
    "B": Assertion(Place.NOT_WORD_BOUNDARY),
    "A": Assertion(Place.TEXT_START),
    "z": Assertion(Place.TEXT_END),
    "C": OneOf(EVERY_BYTE),
}


class Re2SyntaxError(ValueError):
    """A pattern that RE2 refuses.

    `reason` is RE2's phrase. `fragment` is the piece of the pattern that RE2 quotes with it, empty where it quotes
    none. `position` is the 0-based byte offset at which the offending piece starts; for an unbalanced parenthesis,
    where RE2 quotes the whole pattern, it is that of the parenthesis.
    """

    def __init__(self, reason: str, position: int, fragment: str) -> None:
        super().__init__(f"{reason}: {fragment}" if fragment else reason)
        self.reason = reason
        self.position = position
        self.fragment = fragment


@dataclass(frozen=True, slots=True)
class _Flags:
    """What `(?imsU)` switch, named after the letters."""

    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


@dataclass(slots=True)
class _Open:
    """An open parenthesis, or the whole pattern: what has been read inside it so far.

    `copies` runs alongside `items`: how often the innermost thing of each item is repeated, all loops multiplied.
    `loops` does too: the operator and flags of an item that is an unbounded or optional repeat, for squashing.
    """

    position: int
    outer_flags: _Flags
    index: int | None = None
    name: str | None = None
    options: list[Node] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    loops: list[tuple[str, _Flags] | None] = field(default_factory=list)
    most_copies: int = 1

    def push(self, node: Node, copies: int = 1, loop: tuple[str, _Flags] | None = None) -> None:
        self.items.append(node)
        self.copies.append(copies)
        self.loops.append(loop)

    def end_option(self) -> None:
        self.options.append(concat(self.items))
        self.most_copies = max(self.most_copies, *self.copies) if self.copies else self.most_copies
        self.items, self.copies, self.loops = [], [], []


def parse(pattern: str) -> Node:
    """The tree of `pattern`. Source: google/re2: re2/parse.cc, Regexp::Parse.

    Raises Re2SyntaxError where RE2's parser refuses, ValueError for a character above U+00FF.
    """
    if not pattern.isascii() and max(pattern) > "\xff":
        raise ValueError("a pattern in wire form has no character above U+00FF")
    return _Parser(pattern).run()


class _Parser:
    """One pass over one pattern. `at` is the next byte to read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags = _Flags()
        self.open = [_Open(0, self.flags)]
        self.groups = 0
        # Without this, a pattern of many `[[:` and no end for them would be searched over and over.
        self.last_name_end = pattern.rfind(":]")

    def run(self) -> Node:
        pattern = self.pattern
        operator_at = -1  # start of the repetition operator just read, or -1
        while self.at < len(pattern):
            start, char = self.at, pattern[self.at]
            this_operator_at = -1
            match char:
                case "(":
                    self.open_group()
                case "|":
                    self.at += 1
                    self.open[-1].end_option()
                case ")":
                    self.close_group()
                case "^":
                    self.at += 1
                    self.push(Assertion(Place.LINE_START if self.flags.m else Place.TEXT_START))
                case "$":
                    self.at += 1
                    self.push(Assertion(Place.LINE_END if self.flags.m else Place.TEXT_END))
                case ".":
                    self.at += 1
                    self.push(OneOf(EVERY_BYTE if self.flags.s else NOT_NEWLINE))
                case "[":
                    self.push_set(self.read_class())
                case "*" | "+" | "?":
                    self.at += 1
                    self.repeat(char, start, operator_at, 1 if char == "+" else 0, 1 if char == "?" else None)
                    this_operator_at = start
                case "{":
                    bounds = self.read_bounds()
                    if bounds is None:
                        self.at += 1
                        self.push_literal(char)
                    else:
                        self.repeat("{", start, operator_at, *bounds)
                        this_operator_at = start
                case "\\":
                    self.read_escape()
                case _:
                    self.at += 1
                    self.push_literal(char)
            operator_at = this_operator_at
        return self.finish()

    def refusal(self, reason: str, start: int, end: int | None = None) -> Re2SyntaxError:
        """The error that quotes the pattern from `start` to `end`, or to the byte to be read next."""
        return Re2SyntaxError(reason, start, self.pattern[start : self.at if end is None else end])

    # What gets pushed

    def push(self, node: Node) -> None:
        self.open[-1].push(node)

    def push_literal(self, char: str) -> None:
        if self.flags.i and char.isascii() and char.isalpha():
            self.push(OneOf(ByteSet.from_bits(folded_bits(1 << ord(char)))))
        else:
            self.push(Literal(char))

    def push_set(self, bits: int) -> None:
        # A class of one byte is a literal, as in RE2: `[.]` is the common way to write a dot.
        if bits.bit_count() == 1:
            self.push(Literal(chr(bits.bit_length() - 1)))
        else:
            self.push(OneOf(ByteSet.from_bits(bits)))

    # Groups

    def open_group(self) -> None:
        start, pattern = self.at, self.pattern
        if not pattern.startswith("(?", start):
            self.at += 1
            self.groups += 1
            self.open.append(_Open(start, self.flags, self.groups))
            return
        look = pattern[start + 2 : start + 3]
        # The length tests are RE2's, and decide which of two errors a pattern that ends early gets.
        if len(pattern) - start > 3 and look in ("=", "!"):
            raise self.refusal("invalid perl operator", start, start + 3)
        if len(pattern) - start > 4 and pattern[start + 2 : start + 4] in ("<=", "<!"):
            raise self.refusal("invalid perl operator", start, start + 4)
        if len(pattern) - start > 4 and pattern.startswith("P<", start + 2):
            self.open_named_group(start, start + 4)
        elif len(pattern) - start > 3 and look == "<":
            self.open_named_group(start, start + 3)
        else:
            self.read_flags(start)

    def open_named_group(self, start: int, name_at: int) -> None:
        end = self.pattern.find(">", name_at)
        if end < 0:
            raise self.refusal("invalid named capture group", start, len(self.pattern))
        name = self.pattern[name_at:end]
        if not name or not all(_NAME_BITS >> ord(char) & 1 for char in name):
            raise self.refusal("invalid named capture group", start, end + 1)
        self.at = end + 1
        self.groups += 1
        self.open.append(_Open(start, self.flags, self.groups, name))

    def read_flags(self, start: int) -> None:
        self.at = start + 2
        flags, off, saw_one = self.flags, False, False
        while True:
            if self.at >= len(self.pattern):
                raise self.refusal("invalid perl operator", start)
            char = self.pattern[self.at]
            self.at += 1
            match char:
                case "i" | "m" | "s" | "U":
                    saw_one = True
                    flags = replace(flags, **{char: not off})
                case "-" if not off:
                    off, saw_one = True, False
                case ":" | ")" if saw_one or not off:
                    if char == ":":
                        self.open.append(_Open(start, self.flags))
                    self.flags = flags
                    return
                case _:
                    raise self.refusal("invalid perl operator", start)

    def close_group(self) -> None:
        if len(self.open) == 1:
            raise Re2SyntaxError("unexpected )", self.at, self.pattern)
        self.at += 1
        group = self.open.pop()
        loop = group.loops[0] if not group.options and len(group.items) == 1 and group.index is None else None
        group.end_option()
        self.flags = group.outer_flags
        body = alternate(group.options)
        if group.index is not None:
            body = Group(body, group.index, group.name)
        self.open[-1].push(body, group.most_copies, loop)

    def finish(self) -> Node:
        if len(self.open) > 1:
            raise Re2SyntaxError("missing )", self.open[-1].position, self.pattern)
        whole = self.open[0]
        whole.end_option()
        return alternate(whole.options)

    # Repetition

    def read_bounds(self) -> tuple[int, int | None] | None:
        """`{n}`, `{n,}` or `{n,m}` at `at`, moving past it; None, without moving, for any other brace."""
        at = self.at + 1
        least, at = self.read_integer(at)
        if least is None:
            return None
        most: int | None = least
        if self.pattern.startswith(",", at):
            at += 1
            if self.pattern.startswith("}", at):
                most = None
            else:
                most, at = self.read_integer(at)
                if most is None:
                    return None
        if not self.pattern.startswith("}", at):
            return None
        self.at = at + 1
        return least, most

    def read_integer(self, at: int) -> tuple[int | None, int]:
        pattern = self.pattern
        if pattern[at : at + 1] not in _DIGITS or (pattern[at] == "0" and pattern[at + 1 : at + 2] in _DIGITS):
            return None, at
        number = 0
        while pattern[at : at + 1] in _DIGITS:
            if number >= _INTEGER_CEILING:
                return None, at
            number = number * 10 + int(pattern[at])
            at += 1
        return number, at

    def repeat(self, operator: str, start: int, operator_at: int, least: int, most: int | None) -> None:
        """Wrap the last item. `start` is where the operator begins, `operator_at` the one directly before it."""
        greedy = not self.flags.U
        if self.pattern.startswith("?", self.at):
            self.at += 1
            greedy = not greedy
        if operator_at >= 0:
            raise self.refusal("bad repetition operator", operator_at)
        if operator == "{" and (least > _MAX_REPEAT or (most is not None and not least <= most <= _MAX_REPEAT)):
            raise self.refusal("invalid repetition size", start)
        group = self.open[-1]
        if not group.items:
            raise self.refusal("no argument for repetition operator", start)
        flags = self.flags if greedy else replace(self.flags, U=not self.flags.U)
        last, loop, copies = group.items[-1], group.loops[-1], group.copies[-1]
        if operator == "{":
            copies *= (least if most is None else most) or 1
            if (least >= 2 or (most or 0) >= 2) and copies > _MAX_REPEAT:
                raise self.refusal("invalid repetition size", start)
            group.items[-1] = Repeat(last, least, most, greedy, braces=True)
            group.copies[-1], group.loops[-1] = copies, None
        elif loop is not None and loop[1] == flags and isinstance(last, Repeat):
            # Two loops in a row with the same flags are one: the same operator again, or a star.
            if loop[0] != operator:
                group.items[-1] = Repeat(last.body, 0, None, greedy)
                group.loops[-1] = ("*", flags)
        else:
            group.items[-1] = Repeat(last, least, most, greedy)
            group.loops[-1] = (operator, flags)

    # Escapes and classes

    def read_escape(self) -> None:
        start, pattern = self.at, self.pattern
        kind = pattern[start + 1 : start + 2]
        if kind in _SIMPLE_ESCAPES:
            self.at += 2
            self.push(_SIMPLE_ESCAPES[kind])
        elif kind == "Q":
            end = pattern.find("\\E", start + 2)
            text = pattern[start + 2 :] if end < 0 else pattern[start + 2 : end]
            self.at = len(pattern) if end < 0 else end + 2
            for char in text:
                self.push_literal(char)
        elif kind in ("p", "P"):
            self.push_set(self.read_unicode_class())
        elif kind.lower() in classes.PERL and kind:
            self.at += 2
            self.push_set(self.named_bits(classes.PERL[kind.lower()], negated=kind.isupper()))
        else:
            self.push_literal(self.read_character_escape())

    def read_character_escape(self) -> str:
        r"""`\n`, `\x41`, `\123` and the like: one byte, moving past it."""
        start, pattern = self.at, self.pattern
        self.at += 2
        kind = pattern[start + 1 : start + 2]
        if not kind:
            raise Re2SyntaxError("trailing \\", start, "")
        if kind in _C_ESCAPES:
            return _C_ESCAPES[kind]
        if kind == "x":
            return self.read_hexadecimal(start)
        # A lone digit would be a back-reference, unless it is 0.
        if kind == "0" or (kind in _OCTAL and pattern[self.at : self.at + 1] in _OCTAL):
            while self.at < start + 4 and pattern[self.at : self.at + 1] in _OCTAL:
                self.at += 1
            code = int(pattern[start + 1 : self.at], 8)
            if code <= 0xFF:
                return chr(code)
        elif kind.isascii() and kind not in _ALPHANUMERIC:
            return kind
        raise self.refusal("invalid escape sequence", start)

    def read_hexadecimal(self, start: int) -> str:
        pattern = self.pattern
        first = pattern[self.at : self.at + 1]
        if first == "{":
            self.at += 1
            if self.at == len(pattern):
                # RE2 decodes one character more than there is, and says so in these words, quoting nothing.
                raise Re2SyntaxError("invalid UTF-8", start, "")
            code, digits = 0, 0
            while self.at < len(pattern) and pattern[self.at] in _HEX:
                code = code * 16 + int(pattern[self.at], 16)
                digits += 1
                self.at += 1
                if code > 0xFF:
                    raise self.refusal("invalid escape sequence", start)
            closed = pattern.startswith("}", self.at)
            self.at = min(self.at + 1, len(pattern))
            if closed and digits:
                return chr(code)
            raise self.refusal("invalid escape sequence", start)
        self.at = min(self.at + 2, len(pattern))
        digits_text = pattern[start + 2 : self.at]
        if len(digits_text) == 2 and all(char in _HEX for char in digits_text):
            return chr(int(digits_text, 16))
        raise self.refusal("invalid escape sequence", start)

    def named_bits(self, ranges: classes.Ranges, *, negated: bool) -> int:
        # Folding comes first: under (?i), \P{Lu} leaves out the lower-case ASCII letters too.
        bits = bits_of(ranges)
        if self.flags.i:
            bits = folded_bits(bits)
        return complement_bits(bits) if negated else bits

    def read_unicode_class(self) -> int:
        r"""`\pN`, `\p{Name}`, `\p{^Name}` or their `\P`, moving past it."""
        start, pattern = self.at, self.pattern
        negated = pattern[start + 1] == "P"
        if pattern.startswith("{", start + 2):
            end = pattern.find("}", start + 3)
            if end < 0:
                raise self.refusal("invalid character class range", start, len(pattern))
            name, self.at = pattern[start + 3 : end], end + 1
        else:
            name = pattern[start + 2 : start + 3]
            self.at = start + 2 + len(name)
        if name.startswith("^"):
            negated, name = not negated, name[1:]
        if name in classes.UNICODE_BEYOND_BYTES:
            return self.named_bits((), negated=negated)
        if name not in classes.UNICODE:
            raise self.refusal("invalid character class range", start)
        return self.named_bits(classes.UNICODE[name], negated=negated)

    def read_class(self) -> int:
        """A bracket expression, moving past it."""
        start, pattern = self.at, self.pattern
        self.at += 1
        negated = pattern.startswith("^", self.at)
        self.at += negated
        first = self.at
        bits = 0
        while self.at < len(pattern) and (pattern[self.at] != "]" or self.at == first):
            bits |= self.read_class_item(start)
        if self.at >= len(pattern):
            raise self.refusal("missing ]", start, len(pattern))
        self.at += 1
        return complement_bits(bits) if negated else bits

    def read_class_item(self, class_at: int) -> int:
        pattern, start = self.pattern, self.at
        if pattern.startswith("[:", start) and start + 2 <= self.last_name_end:
            end = pattern.find(":]", start + 2)
            self.at = end + 2
            name = pattern[start + 2 : end]
            negated = name.startswith("^")
            ranges = classes.POSIX.get(name[negated:])
            if ranges is None:
                raise self.refusal("invalid character class range", start)
            return self.named_bits(ranges, negated=negated)
        if pattern[start] == "\\" and start + 1 < len(pattern):
            kind = pattern[start + 1]
            # A class that the pattern cuts off right after \p is not a Unicode class to RE2 but a bad escape.
            if kind in "pP" and start + 2 < len(pattern):
                return self.read_unicode_class()
            if kind.lower() in classes.PERL:
                self.at += 2
                return self.named_bits(classes.PERL[kind.lower()], negated=kind.isupper())
        low = high = self.read_class_character(class_at)
        if pattern.startswith("-", self.at) and pattern[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self.read_class_character(class_at)
            if high < low:
                raise self.refusal("invalid character class range", start)
        bits = bits_of(((ord(low), ord(high)),))
        return folded_bits(bits) if self.flags.i else bits

    def read_class_character(self, class_at: int) -> str:
        if self.at >= len(self.pattern):
            raise self.refusal("missing ]", class_at, len(self.pattern))
        char = self.pattern[self.at]
        if char == "\\":
            return self.read_character_escape()
        self.at += 1
        return char
