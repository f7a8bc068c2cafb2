"""An algebra of sets of texts: which texts satisfy a condition, both of two, one and not the other.

>>> from meshroute.analysis.space import language_of
>>> from meshroute.table import Pattern, Prefix
>>> numbered, api = language_of(Pattern("/[a-z]+/v[0-9]+")), language_of(Prefix("/api/"))
>>> (numbered & api).shortest(), (api - numbered).some(2), numbered <= api
('/api/v0', ['/api/', '/api/a'], False)
"""

from meshroute.analysis.space.automaton import MOST_STATES, TooManyStates
from meshroute.analysis.space.language import ANY, NOTHING, Condition, Language, language_of

__all__ = ["ANY", "MOST_STATES", "NOTHING", "Condition", "Language", "TooManyStates", "language_of"]
