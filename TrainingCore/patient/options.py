"""What a person asks of `synthesize` for one visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..data.bundle import DEMONSTRATION, LESION_FINDER


@dataclass(frozen=True)
class SynthesisOptions:
    """Files and choices for one visit.

    images: MRI by volume name (`t1w`, `flair`, ...); lesions, dvr, brain, label_map: files in T1w space, or None;
    flair_to_t1: `identity` or an ITK transform file, None to register; complete_with: bundle that fills in a missing
    FLAIR or lesion mask; lesion_finder: bundle that finds the lesions where no mask is given, None to go without;
    flips: average with the left-right mirrored prediction; uncertainty: also estimate its error;
    dicom: also write DICOM; dicom_reference: the series that it is derived from, None for the T1w's own.
    """

    images: Mapping[str, Path] = field(default_factory=dict)
    lesions: Path | None = None
    dvr: Path | None = None
    brain: Path | None = None
    label_map: Path | None = None
    flair_to_t1: str | None = None
    task: str | None = None
    complete_with: str | None = None
    lesion_finder: str | None = LESION_FINDER
    model: str = DEMONSTRATION
    device: str = "auto"
    flips: bool = False
    uncertainty: bool = False
    dicom: bool = False
    dicom_reference: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Every image and mask that was given, by volume name."""
        masks = {"lesions": self.lesions, "dvr": self.dvr, "brain": self.brain, "label_map": self.label_map}
        return dict(self.images) | {name: path for name, path in masks.items() if path is not None}

    @property
    def transforms(self) -> dict[str, str]:
        """`identity` or an ITK transform file, by image."""
        return {} if self.flair_to_t1 is None else {"flair": self.flair_to_t1}
