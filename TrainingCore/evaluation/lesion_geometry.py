"""Size and location of a lesion, without any image intensity: the baseline that a model has to exceed.

PET blurs: the mean DVR of a small lesion beside grey matter is mostly that of its surroundings. Size, distances and
tissue fractions alone therefore explain much of the DVR that a scanner measures in lesions, and nothing of their
myelin.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging.grid import SIGMA_PER_FWHM

FEATURES = (
    "log_volume",  # natural logarithm of mm3
    "depth_mm",  # from the lesion's edge to its innermost voxel
    "ventricle_mm",  # mean distance of the lesion's voxels
    "grey_matter_mm",
    "surface_mm",
    *(f"{tissue}_{width:g}mm" for width in (5.0, 10.0) for tissue in ("lesion", "grey_matter", "fluid")),
)
GEOMETRY = "geometry_"  # what the columns of these features start with
WIDTHS_MM = (5.0, 10.0)  # FWHM at which tissue fractions are taken: the resolution of PET, and twice that (ours)
VENTRICLE_DEPTH_MM = 15.0  # fluid deeper than this below the brain's surface is a ventricle, not a sulcus (ours)
FARTHEST_MM = 50.0  # stands for the distance to a tissue that no mask shows


def lesion_geometry(
    labels: np.ndarray,
    brain: np.ndarray,
    white_matter: np.ndarray,
    grey_matter: np.ndarray,
    affine: np.ndarray,
    lesional: np.ndarray | None = None,
) -> np.ndarray:
    """Compute features of every lesion from masks alone.

    Args:
        labels: int (I, J, K), lesions 1..n, 0 elsewhere (see `lesions.label_lesions`).
        brain: bool (I, J, K); fluid is what is neither lesion nor white or grey matter inside it.
        white_matter: bool (I, J, K).
        grey_matter: bool (I, J, K).
        affine: 4 x 4, voxel to world, mm.
        lesional: bool (I, J, K), all lesions if `labels` are not all of them.

    Returns:
        (n, 11) float64, row i for label i + 1, columns as FEATURES: natural logarithm of mm3, distances in mm, and the
        shares of lesion, grey matter and fluid within a Gaussian of 5 and 10 mm FWHM around the lesion's voxels. Rows
        of labels without a voxel are NaN.
    """
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros((0, len(FEATURES)))
    spacing = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    own = labels > 0
    lesion = own if lesional is None else own | lesional
    inside = np.asarray(brain, bool)
    grey = np.asarray(grey_matter, bool) & inside & ~lesion
    fluid = inside & ~np.asarray(white_matter, bool) & ~grey & ~lesion
    below_surface = _below_surface(inside, spacing)
    voxels = np.flatnonzero(own)
    owner = labels.ravel()[voxels]
    voxel_counts = np.bincount(owner, minlength=count + 1).astype(float)
    voxel_counts[voxel_counts == 0] = np.nan

    def mean(values: np.ndarray) -> np.ndarray:
        return (np.bincount(owner, values.ravel()[voxels], count + 1) / voxel_counts)[1:]

    within = ndimage.distance_transform_edt(np.pad(own, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    columns = [
        np.log(voxel_counts[1:] * abs(np.linalg.det(np.asarray(affine, float)[:3, :3]))),
        np.asarray(ndimage.maximum(within, labels, np.arange(1, count + 1)), float),
        mean(_distance(fluid & (below_surface > VENTRICLE_DEPTH_MM), spacing)),
        mean(_distance(grey, spacing)),
        mean(below_surface),
    ]
    for width in WIDTHS_MM:
        for mask in (lesion, grey, fluid):
            columns.append(mean(_fraction(mask, width, spacing)))
    features = np.stack(columns, axis=1)
    features[np.isnan(voxel_counts[1:])] = np.nan
    return features


def ventricles(brain: np.ndarray, tissue: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Find the ventricles where no mask of them exists: fluid deeper than VENTRICLE_DEPTH_MM below the surface.

    Args:
        brain: bool (I, J, K).
        tissue: bool (I, J, K), white matter, grey matter and lesions; fluid is the rest of the brain.
        affine: 4 x 4, voxel to world, mm.

    Returns:
        bool (I, J, K).
    """
    spacing = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    return np.asarray(brain & ~tissue & (_below_surface(brain, spacing) > VENTRICLE_DEPTH_MM))


def _below_surface(brain: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Depth of every voxel below the surface of the brain in mm."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(brain, 1), sampling=spacing)[1:-1, 1:-1, 1:-1])


def _distance(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance of every voxel to a mask in mm, at most FARTHEST_MM."""
    if not mask.any():
        return np.full(mask.shape, FARTHEST_MM)
    return np.minimum(ndimage.distance_transform_edt(~mask, sampling=spacing), FARTHEST_MM)


def _fraction(mask: np.ndarray, width: float, spacing: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(mask.astype(np.float32), width * SIGMA_PER_FWHM / spacing, mode="constant")
