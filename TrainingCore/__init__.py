"""The command-line tools and Python API of MyelinSynth: everything that runs without 3D Slicer.

Importing this package is fast; each command imports heavy libraries only after it has checked its arguments.
"""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only, not for diagnosis."
SIMULATED = "Simulated training data"
