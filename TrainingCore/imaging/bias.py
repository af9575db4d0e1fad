"""Bias field: the slow shading that coils leave in MRI, estimated by N4 and divided out."""

from __future__ import annotations

import numpy as np

from .volumes import Volume, from_sitk, resample, to_sitk

# The field is smooth, so it is estimated on a coarse grid: N4 at full resolution takes two minutes, shrunk four times
# one second, with less than 1 % of the bias left (measured, see performance.md of the design).
SPACING_MM = 4.0
MARGIN_MM = 20.0
ITERATIONS = (20, 20, 20)


def box_around(mask: Volume, spacing: float, margin: float) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape and affine (RAS mm) of an isotropic grid along the world axes that holds the mask and a margin in mm."""
    voxels = np.argwhere(mask.data > 0.5)
    if len(voxels) == 0:
        raise ValueError("the mask is empty")
    world = voxels @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    low, high = world.min(axis=0) - margin, world.max(axis=0) + margin
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return tuple(int(n) for n in np.ceil((high - low) / spacing) + 1), affine


def correct_bias(image: Volume, mask: Volume, matrix: np.ndarray | None = None) -> Volume:
    """The image divided by its bias field (Tustison et al. 2010, N4), mean field 1 inside the mask.

    mask: 0/1 brain mask anywhere in the world; matrix: 4x4 RAS mm, world of the mask -> world of the image (identity
    where None). Beyond 20 mm around the brain the image stays as it is.
    """
    import SimpleITK as sitk

    matrix = np.eye(4) if matrix is None else matrix
    shape, affine = box_around(mask, SPACING_MM, MARGIN_MM)
    inside = resample(mask, shape, affine) > 0.5
    coarse = resample(image, shape, affine, matrix)
    inside &= coarse > 0
    if inside.sum() < 1000:
        return image
    coarse = np.clip(coarse, 0.01 * np.median(coarse[inside]), None)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    grid = to_sitk(Volume(coarse, affine))
    n4.Execute(grid, sitk.Cast(to_sitk(Volume(inside.astype(np.float32), affine)), sitk.sitkUInt8))
    field = from_sitk(n4.GetLogBiasFieldAsImage(grid))
    centred = Volume(field.data - field.data[inside].mean(), affine)
    full = resample(centred, image.data.shape, image.affine, np.linalg.inv(matrix))
    return image.with_data((image.data / np.exp(full)).astype(np.float32))
