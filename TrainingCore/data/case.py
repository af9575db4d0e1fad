"""Case: one visit of one person, as named volumes on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .inputs import INPUTS, NEEDED_BY_MYELIN

MRI = NEEDED_BY_MYELIN
ALL_MRI = tuple(row.name for row in INPUTS)
MORE_MRI = tuple(name for name in ALL_MRI if name not in MRI)
REFERENCES = ("t1w", "flair", "t2w", "t1ce_low", "t1ce")  # all others are registered to the first available one
DIFFUSION = tuple(row.name for row in INPUTS if row.diffusion)  # maps of one acquisition
QUANTITATIVE = tuple(row.name for row in INPUTS if row.quantitative)
MASKS = ("lesions", "enhancing", "white_matter", "grey_matter", "csf", "nawm", "brain")
VOLUME_NAMES = (*ALL_MRI, "dvr", "dvr_clean", "myelin_loss", *MASKS)
TITLES = {row.name: row.title for row in INPUTS} | {"dvr": "DVR"}
WORDS = {row.name: row.word or row.title for row in INPUTS} | {
    "dvr": "measured DVR",
    "dvr_clean": "noise-free DVR",
    "myelin_loss": "true myelin loss",
    "lesions": "lesion mask",
    "label_map": "label map",
}


def label_of(person: str, visit: str) -> str:
    """Return the BIDS label of a visit, e.g. `sub-A01_ses-1`.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; empty if the person has one unnamed visit, then the label is `sub-A01`.
    """
    return f"sub-{person}_ses-{visit}" if visit else f"sub-{person}"


def title_of(name: str) -> str:
    """Return the title of a volume in figures and tables, e.g. `T1w, low dose`, `MTR`.

    Args:
        name: volume name; one without a title is returned unchanged.
    """
    return TITLES.get(name, name)


def reference_of(names: Iterable[str]) -> str | None:
    """Select the image that all others of a visit are registered to.

    Args:
        names: volume names of the visit.

    Returns:
        The first of REFERENCES among them, or None.
    """
    available = set(names)
    return next((name for name in REFERENCES if name in available), None)


def word_of(name: str) -> str:
    """Return the name of a volume in sentences, e.g. `T1w after contrast agent`, `white matter mask`.

    Args:
        name: volume name, see VOLUME_NAMES.
    """
    if name in MASKS and name not in WORDS:
        return f"{name.replace('_', ' ')} mask"
    return WORDS.get(name) or title_of(name)


def is_simulated(info: Mapping[str, Any]) -> bool:
    """Check whether a visit is marked as simulated.

    Args:
        info: its columns of participants.tsv or of a table.
    """
    return str(info.get("simulated", "")).lower() in {"true", "1", "yes"}


@dataclass
class Case:
    """One visit of one person.

    Attributes:
        person: label of the person, without `sub-`.
        visit: label of the visit, without `ses-`; may be empty.
        volumes: arrays of one shape (I, J, K) by name, see VOLUME_NAMES. MRI in the units of the intensity rule (or
            raw, arbitrary units); `dvr` is the distribution volume ratio (unitless, about 1.2 in white matter);
            `dvr_clean`, the noise-free blurred truth, and `myelin_loss`, the lost share of myelin (0 to 1), exist for
            simulated patients only; masks are bool. `lesions` is a mask, not labels; `enhancing` is its enhancing part.
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
        """See `label_of`."""
        return label_of(self.person, self.visit)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return next(iter(self.volumes.values())).shape

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))
