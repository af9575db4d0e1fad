"""DVR of lesions without the blur of PET.

PET blurs by some millimetres, and so does a map that was learnt from PET: the mean DVR of a small lesion is partly that
of its surroundings. The correction (partial volume correction with two regions, after the geometric transfer matrix of
Rousset et al. 1998) asks what the mean D of a lesion would be if it had the DVR S of the white matter around it, and
what share f of a lesion's own signal the blur leaves inside it:

    corrected ratio = 1 - (E - D) / ((f - q) S)

E is the mean over the lesion of the map whose lesions are filled with S, blurred once more. The map beside the lesion
already lacks what the lesion lost by blur; of that, the share q comes back into the lesion when E is computed. For
lesions of simulated patients, the corrected ratio correlates more with the true myelin than the mean DVR does, and
depends less on their size (`docs/measured.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..imaging.grid import SIGMA_PER_FWHM

BLUR_MM = 3.0
"""FWHM (ours), chosen on simulated people: PET of the demonstration model's training had 2.5 to 5 mm."""

LEAST_SHARE = 0.2
"""Smallest f - q that is divided by (ours): limits the noise of lesions that consist of one or two voxels."""

TRUNCATE = 3.0  # SDs of the Gaussian


def corrected_ratios(
    labels: np.ndarray, maps: Sequence[np.ndarray], surroundings: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """Compute the ratio of each lesion to the white matter around it, corrected for blur.

    Args:
        labels: int (I, J, K), lesions 1..n.
        maps: DVR maps (I, J, K); values that are not finite count as the white matter around the lesion.
        surroundings: (maps, n + 1) DVR of the white matter around each lesion, indexed by label.
        affine: 4x4, voxel -> world mm.

    Returns:
        (maps, n + 1), indexed by label; 1 for a lesion that is like its surroundings, lower where myelin is lost; NaN
            without lesional voxel or surroundings.
    """
    spacing = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    sigma = BLUR_MM * SIGMA_PER_FWHM / spacing
    margin = 2 * np.ceil(TRUNCATE * sigma).astype(int)
    ratios = np.full(np.shape(surroundings), np.nan)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or not np.isfinite(surroundings[:, label]).any():
            continue
        wide = tuple(slice(max(part.start - room, 0), part.stop + room) for part, room in zip(box, margin))
        lesional, own = labels[wide] > 0, labels[wide] == label
        kept = _blurred(lesional, sigma)
        share = kept[own].mean() - _blurred(np.where(lesional, 0.0, kept), sigma)[own].mean()
        for row, values in enumerate(maps):
            around = surroundings[row, label]
            inside = values[wide]
            known = np.isfinite(inside)
            if around > 0 and (own & known).any():
                expected = _blurred(np.where(lesional | ~known, around, inside), sigma)[own].mean()
                lost = expected - inside[own & known].mean(dtype=float)
                ratios[row, label] = 1 - lost / (max(share, LEAST_SHARE) * around)
    return ratios


def _blurred(values: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(values.astype(np.float64), sigma, mode="nearest", truncate=TRUNCATE)
