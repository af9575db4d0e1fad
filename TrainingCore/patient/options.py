"""Options of `synthesize` for one visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..data.bundle import DEMONSTRATION, LESION_FINDER


@dataclass(frozen=True)
class SynthesisOptions:
    """Files and settings for one visit.

    Attributes:
        images: MRI files by volume name (`t1w`, `flair`, ...).
        lesions: lesion mask, or None.
        lesion_space: BIDS name of the image that the mask was drawn on (T1w, FLAIR); None to take it from the file's
            name and grid.
        dvr: measured DVR in T1w space, or None.
        brain: brain mask in T1w space, or None.
        label_map: tissue label map in T1w space, or None.
        flair_to_t1: `identity` or an ITK transform file; None to register.
        task: output that is expected of the model (`myelin`, `flair`, `t1`, `t1ce`), or None for any.
        complete_with: bundle that fills in a missing FLAIR or lesion mask, or None.
        lesion_finder: bundle that segments lesions if no mask is given; None to skip this.
        model: bundle of the model.
        device: auto, cpu or cuda:N.
        flips: whether to average with the left-right mirrored prediction.
        uncertainty: whether to estimate the error as well.
        dicom: whether to write DICOM as well.
        dicom_reference: DICOM series to derive it from; None for the series of the T1w.
    """

    images: Mapping[str, Path] = field(default_factory=dict)
    lesions: Path | None = None
    lesion_space: str | None = None
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
        """All given images and masks by volume name."""
        masks = {"lesions": self.lesions, "dvr": self.dvr, "brain": self.brain, "label_map": self.label_map}
        return dict(self.images) | {name: path for name, path in masks.items() if path is not None}

    @property
    def transforms(self) -> dict[str, str]:
        """`identity` or an ITK transform file, by image."""
        return {} if self.flair_to_t1 is None else {"flair": self.flair_to_t1}
