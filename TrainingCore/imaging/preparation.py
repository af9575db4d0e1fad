"""From a patient's volumes, wherever they lie, to a Case on the grid a network expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from ..data.case import ALL_MRI, MASKS, Case
from .grid import SIGMA_PER_FWHM, Grid
from .intensities import apply_rule
from .partial_volumes import lesion_mask_on_grid
from .volumes import Volume, resample


def prepare_case(
    read: Mapping[str, Volume], grid: Grid, intensity: dict[str, Any], person: str = "patient", visit: str = ""
) -> Case:
    """Resample the volumes of a visit to `grid` and rescale the MRI by the rule of a recipe or bundle.

    read: by name, all in one space; `brain` is needed. DVR is never rescaled. Masks are resampled linearly and cut at
    one half, so that thin structures keep their volume better than by nearest neighbour; lesions keep theirs one by one
    (see imaging.partial_volumes). Raises ValueError where the brain or an image is empty on the grid.
    """
    inside = on_grid(read["brain"], grid, mask=True)
    volumes = {}
    for name, volume in read.items():
        if name in ALL_MRI:
            volumes[name] = apply_rule(on_grid(volume, grid), inside, intensity)
        elif name in ("lesions", "enhancing") and not grid.same_as(volume.data.shape, volume.affine):
            volumes[name] = lesion_mask_on_grid(volume, grid.shape, grid.affine)
        else:
            volumes[name] = on_grid(volume, grid, mask=name in MASKS)
    return Case(person, visit, volumes, grid.affine)


def on_grid(volume: Volume, grid: Grid, matrix: np.ndarray | None = None, mask: bool = False) -> np.ndarray:
    """Values of a volume on a grid, float32, or for a mask whether a voxel is at least half inside, bool.

    matrix: 4x4 RAS mm, world of the grid -> world of the volume (identity where None).
    """
    matrix = np.eye(4) if matrix is None else matrix
    if np.array_equal(matrix, np.eye(4)) and grid.same_as(volume.data.shape, volume.affine):
        values = volume.data
    else:
        values = resample_antialiased(volume, grid, matrix)
    return values > 0.5 if mask else np.asarray(values, np.float32)


def resample_antialiased(volume: Volume, grid: Grid, matrix: np.ndarray) -> np.ndarray:
    """Values of `volume` on `grid`, smoothed first just enough that a coarser grid does not alias them.

    Gaussian of FWHM sqrt(target^2 - source^2) along each axis where the target voxel is larger (ours); linear
    interpolation, 0 outside the volume. matrix: 4x4, world of the grid -> world of the volume, RAS mm.
    """
    source, target = np.linalg.norm(volume.affine[:3, :3], axis=0), grid.spacing
    cosines = (grid.affine[:3, :3] / target).T @ matrix[:3, :3].T @ (volume.affine[:3, :3] / source)
    gap = np.sqrt(np.clip(target**2 @ cosines**2 - source**2, 0, None))  # of the target along the axes of the source
    sigma = gap * SIGMA_PER_FWHM / source
    data = volume.data.astype(np.float32)
    if sigma.max() > 0.1:
        data = gaussian_filter(data, sigma, mode="nearest")
    return resample(Volume(data, volume.affine, volume.name), grid.shape, grid.affine, matrix)
