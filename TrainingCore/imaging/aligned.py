"""The images of one patient, registered to each other: what a model predicts from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .brain_mask import Brain
from .registration import Registration
from .volumes import Volume


@dataclass
class AlignedPatient:
    """Images of one patient in one place.

    images: by volume name, each on its own grid, MRI without bias field; brain: mask on the T1w's grid, and how it was
    computed; registrations: for every image but the T1w, T1w world -> world of the image; warnings: for the report.
    """

    images: dict[str, Volume]
    brain: Brain
    registrations: dict[str, Registration]
    warnings: list[str] = field(default_factory=list)

    def matrix(self, name: str) -> np.ndarray:
        """4x4 RAS mm, T1w world -> world of an image."""
        return self.registrations[name].matrix if name in self.registrations else np.eye(4)
