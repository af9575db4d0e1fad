"""The comparators that are solved at once: regressions on intensities and on geometry (ours)."""

from __future__ import annotations

from ..registry import SystemEntry, register_system

register_system(SystemEntry("linear", load="TrainingCore.systems.linear:LinearVoxelwise", closed_form=True))
register_system(SystemEntry("geometry", load="TrainingCore.systems.geometry:Geometry", closed_form=True))
