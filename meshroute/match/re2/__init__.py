"""RE2 patterns over bytes, as Envoy matches them: full match, Latin-1, linear time.

Source    google/re2 (re2/parse.cc, re2/dfa.cc, doc/syntax.txt); spec/re2.md
Inputs    wire form: one character, U+0000 to U+00FF, per byte, for patterns and subjects alike.
Exactness accepts, refuses and answers as google-re2 does with `encoding = LATIN1` and else default options.
Errors    Re2SyntaxError for a pattern that RE2 refuses; RewriteError for a substitution that it refuses; ValueError for
          a character above U+00FF.
"""

from meshroute.match.re2.engine import FullRegex, compile_full
from meshroute.match.re2.parser import Re2SyntaxError, parse
from meshroute.match.re2.program import program_size
from meshroute.match.re2.rewrite import Rewrite, RewriteError, compile_rewrite

__all__ = [
    "FullRegex",
    "Re2SyntaxError",
    "Rewrite",
    "RewriteError",
    "compile_full",
    "compile_rewrite",
    "parse",
    "program_size",
]
