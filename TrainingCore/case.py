"""Case: one visit of one person, as named volumes on one grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

VOLUME_NAMES = ("t1w", "flair", "dvr", "dvr_clean", "lesions", "white_matter", "grey_matter", "brain")
MRI = ("t1w", "flair")
MASKS = ("lesions", "white_matter", "grey_matter", "brain")


@dataclass
class Case:
    """One visit of one person.

    volumes: name (see VOLUME_NAMES) -> array of one common shape (I, J, K). MRI in the units of the intensity rule (or
        raw, arbitrary units), `dvr` as distribution volume ratio (unitless, white matter about 1.2), `dvr_clean` the
        noise-free blurred truth that only a digital patient has, masks as bool. `lesions` is a mask, not labels.
    affine: 4x4, voxel indices -> world mm, RAS+.
    info: provenance and participant columns (site, age, simulated, ...); never a name or a birth date.
    """

    person: str
    visit: str
    volumes: dict[str, np.ndarray]
    affine: np.ndarray
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: array.shape for name, array in self.volumes.items()}
        if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 3:
            raise ValueError(f"the volumes of {self.label} must share one 3D shape, not {shapes}")
        if np.shape(self.affine) != (4, 4):
            raise ValueError(f"the affine of {self.label} must be 4x4, not {np.shape(self.affine)}")

    @property
    def label(self) -> str:
        """BIDS-style label, e.g. `sub-A01_ses-1`."""
        return f"sub-{self.person}_ses-{self.visit}" if self.visit else f"sub-{self.person}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return next(iter(self.volumes.values())).shape

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))
