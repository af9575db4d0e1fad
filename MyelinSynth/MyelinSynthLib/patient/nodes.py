"""The nodes of one patient, as chosen in the panel, by a script or by a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Patient:
    """The nodes of one patient.

    Attributes:
        t1w: scalar volume.
        flair: scalar volume.
        lesions: segmentation, label map or scalar volume, or None.
        dvr: scalar volume of a measured DVR, or None.
        brain: segmentation, label map or scalar volume, or None to compute a brain mask.
        flairToT1: None to register, ALIGNED, or a linear transform node that moves the FLAIR from its position in the
            scene onto the T1w (or under which the FLAIR already is).
        further: volumes of inputs that only some models need, by name (t2w, mtr, ...); None for one not chosen yet.
    """

    t1w: Any
    flair: Any
    lesions: Any = None
    dvr: Any = None
    brain: Any = None
    flairToT1: Any = None
    further: dict[str, Any] = field(default_factory=dict)
