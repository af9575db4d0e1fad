"""Gliomas: where they grow, what they are made of, and what they do to the brain around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# As the BraTS challenges number them (Menze et al. 2015)
LABELS = {1: "core without enhancement", 2: "oedema", 4: "enhancing tumour"}


@dataclass
class Part:
    """One tissue of a tumour on the anatomy's grid.

    fraction: share of each voxel, 0..1; t1, t2: ms at 3 T; density: proton density, water = 1; uptake: mmol/l of agent
    after the whole dose; mt_ratio: percent; mean_diffusivity: um2/ms; anisotropy: FA.
    """

    fraction: np.ndarray
    t1: np.ndarray
    t2: np.ndarray
    density: float
    uptake: np.ndarray
    mt_ratio: np.ndarray
    mean_diffusivity: np.ndarray
    anisotropy: float

    def relaxation(self, brain: np.ndarray, field_strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """T1, T2 in ms and proton density of every brain voxel; T1 grows with the field as white matter's."""
        t1 = self.t1[brain] * (field_strength / 3.0) ** 0.38
        t2 = self.t2[brain] * (1.0 + 0.08 * (3.0 - field_strength))
        return t1, t2, np.full(t1.shape, self.density)


@dataclass
class Tumour:
    """A glioma: its tissues by name, and labels (uint8) 1 core that does not enhance, 2 oedema, 4 enhancing."""

    parts: dict[str, Part]
    labels: np.ndarray
