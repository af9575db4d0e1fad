"""Images of one patient, registered to each other: the input of a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .brain_mask import Brain
from .registration import Registration
from .volumes import Volume, resample, same_grid


@dataclass
class AlignedPatient:
    """Images of one patient, aligned with each other.

    Attributes:
        images: by volume name, each on its own grid, MRI without bias field.
        brain: mask on the T1w's grid, and how it was computed.
        registrations: for every image but the T1w, T1w world -> world of the image.
        warnings: for the report.
    """

    images: dict[str, Volume]
    brain: Brain
    registrations: dict[str, Registration]
    warnings: list[str] = field(default_factory=list)

    def matrix(self, name: str) -> np.ndarray:
        """Return the transform of an image.

        Args:
            name: volume name.

        Returns:
            4x4 RAS mm, T1w world -> world of the image; the identity for the T1w itself.
        """
        return self.registrations[name].matrix if name in self.registrations else np.eye(4)

    def on_reference_grid(self, name: str) -> Volume:
        """Resample an image to the grid of the brain mask by linear interpolation.

        Args:
            name: volume name.

        Returns:
            The image itself if it is on this grid already.
        """
        image, matrix, mask = self.images[name], self.matrix(name), self.brain.mask
        if same_grid(mask, image) and np.array_equal(matrix, np.eye(4)):
            return image
        return Volume(resample(image, mask.data.shape, mask.affine, matrix), mask.affine, image.name)
