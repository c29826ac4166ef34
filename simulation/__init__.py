"""A made-up crypto shop with planted truth: it delivers raw silos as the landing contract says, and its customers respond.

`generate` makes the history, `respond` answers a day's published offers. The truth goes to a folder of its own that
nothing but tests and benchmarks may open.
"""

from simulation.response import respond
from simulation.shop import generate

__all__ = ["generate", "respond"]
