"""The researcher's room of MyelinSynth: everything that runs without 3D Slicer.

Importing this package imports nothing heavy; each command imports what it needs once its arguments are known good.
"""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only, not for diagnosis."
SIMULATED = "Simulated training data"
