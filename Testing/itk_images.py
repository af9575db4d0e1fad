"""SimpleITK's images as our volumes, for an independent opinion."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from TrainingCore.imaging.readers import affine_of_sitk
from TrainingCore.imaging.volumes import Volume


def from_sitk(image: sitk.Image, name: str = "") -> Volume:
    """A Volume at the same place in the world as a 3D SimpleITK image."""
    data = np.ascontiguousarray(sitk.GetArrayFromImage(image).T, dtype=np.float32)
    return Volume(data, affine_of_sitk(image), name)
