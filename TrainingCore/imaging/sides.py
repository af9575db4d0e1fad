"""Check left and right of a lesion mask against the FLAIR: lesions are bright in it, their mirror images are not."""

from __future__ import annotations

import numpy as np

from .alignment import values_at
from .registration import brain_points, in_mask
from .robust import median_and_sd
from .volumes import Volume

# Median FLAIR in lesions above the brain's median, in robust SD: two real patients 1.7 and 2.0; at the places mirrored
# left to right -0.1 and 0.15 (measured, ours)
SIDE_MARGIN, BRIGHT = 0.8, 0.8
VISIBLE = 0.25  # of the mirrored places, at least; else correct masks of dark lesions (cavities) are doubted (ours)
MIN_VOXELS, MAX_POINTS = 30, 200_000  # (ours)
MIN_WIDTH = 0.5  # of the brain; a narrower grid is cropped around lesions of one side (ours)


def check_side(lesions: Volume, flair: Volume, brain: Volume, matrix: np.ndarray, drawn: Volume | None = None) -> str:
    """Check whether a lesion mask fits the FLAIR better with left and right exchanged.

    A mask is mirrored about the middle of the brain, as by a wrong header, and about the middle of its own grid, as by
    a program that reversed its voxels: the head need not lie in the middle of the grid.

    Args:
        lesions: 0/1, in the world of the brain mask.
        flair: bias-corrected, on its own grid.
        brain: 0/1 mask.
        matrix: 4x4 RAS mm, world of the brain mask -> world of the FLAIR.
        drawn: the mask on the grid of its file, in the world of the brain mask; None: `lesions` is on it.

    Returns:
        Warning, or an empty string.
    """
    inside = brain_points(brain)
    marked = np.argwhere(lesions.data > 0.5)
    points = marked[:: max(len(marked) // MAX_POINTS, 1)] @ lesions.affine[:3, :3].T + lesions.affine[:3, 3]
    if len(points) < MIN_VOXELS or len(inside) < MIN_VOXELS:
        return ""
    points = points[in_mask(points, brain)]

    def flair_values(positions: np.ndarray) -> np.ndarray:
        values = values_at(flair, positions @ matrix[:3, :3].T + matrix[:3, 3])
        return values[np.isfinite(values)]

    usual = flair_values(inside)
    middle, spread = median_and_sd(usual)
    if not spread > 0:
        return ""
    for mirror in _mirrors(drawn or lesions, inside):
        mirrored = points @ mirror[:3, :3].T + mirror[:3, 3]
        one_sided = ~in_mask(mirrored, lesions) & in_mask(mirrored, brain)
        if np.count_nonzero(one_sided) < MIN_VOXELS:
            continue
        pairs = (flair_values(positions[one_sided]) for positions in (points, mirrored))
        own, other = ((np.median(values) - middle) / spread for values in pairs)
        if own < BRIGHT and other > max(own + SIDE_MARGIN, VISIBLE):
            return (
                f"The lesion mask {lesions.name} fits the FLAIR better with left and right exchanged: check the side "
                "of a lesion you know. The lesion table is not to be trusted."
            )
    return ""


def _mirrors(drawn: Volume, inside: np.ndarray) -> list[np.ndarray]:
    """4x4 RAS mm that exchange left and right about the middle of the brain, and of the grid of a mask.

    On an oblique grid, the voxel axis closest to left-right is reversed; inside: points of the brain, (n, 3).
    """
    about_brain = np.diag([-1.0, 1.0, 1.0, 1.0])
    about_brain[0, 3] = 2 * inside[:, 0].mean()
    axis = int(np.argmax(np.abs(drawn.affine[0, :3]) / drawn.spacing))
    count = drawn.data.shape[axis]
    if count * drawn.spacing[axis] < MIN_WIDTH * np.ptp(inside[:, 0]):
        return [about_brain]
    reversed_axis = np.eye(4)
    reversed_axis[axis, axis], reversed_axis[axis, 3] = -1, count - 1
    return [about_brain, drawn.affine @ reversed_axis @ np.linalg.inv(drawn.affine)]
