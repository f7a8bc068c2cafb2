"""The kit: vectors, the engine they ask, and the runner. For meshroute's own tests and for other implementations.

Needs the extra `conformance`.
"""

from meshroute.conformance.engine import Engine, Meshroute
from meshroute.conformance.run import Failure, Report, run_vectors
from meshroute.conformance.vectors import Vector, VectorError, load_vectors

__all__ = ["Engine", "Failure", "Meshroute", "Report", "Vector", "VectorError", "load_vectors", "run_vectors"]
