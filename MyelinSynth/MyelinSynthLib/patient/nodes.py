"""The nodes of one patient, as the panel, a script or a batch chooses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Patient:
    """The nodes of one patient.

    t1w, flair, dvr: scalar volumes; lesions, brain: segmentation or (label) volume; flairToT1: None to register,
    ALIGNED, or a linear transform node that moves the FLAIR from where the scene shows it onto the T1w (or under which
    the FLAIR lies already); further: volumes by the name of the input (t2w, mtr, ...) that only some models need, None
    for one that is needed and not chosen.
    """

    t1w: Any
    flair: Any
    lesions: Any = None
    dvr: Any = None
    brain: Any = None
    flairToT1: Any = None
    further: dict[str, Any] = field(default_factory=dict)
