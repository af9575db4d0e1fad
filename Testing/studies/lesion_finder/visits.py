"""sub-12 at two visits: do the masks found agree, and does what differs lie where readers saw a change?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from Testing.studies.change_on_real_pair import PERSON, transforms_of
from TrainingCore.evaluation.measures import dice
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.volumes import Volume, read_volume, resample

LEAST_MM3 = 10.0  # of a published changed lesion (ours)
NEAR_MM = 3.0  # a slice of the common space


def two_visits(data: Path, masks: dict[str, Volume]) -> dict[str, float]:
    """Agreement of the masks found at session 1 and 2, in the publishers' common space.

    Args:
        data: the shared real data.
        masks: 0/1, by session, each on its own T1w's grid.

    Returns:
        Dice of both masks; voxels and lesions of the published change mask, with the shares of its lesions that are
        touched by a mask of either visit, and by a voxel that only one visit has; the share of what only one visit has
        that lies within `NEAR_MM` of the published change, beside the share of white matter that does by chance.
    """
    root = data / "ms_clinical"
    path = root / "derivatives" / "lesion_change" / PERSON / f"{PERSON}_space-common_label-change_mask.nii.gz"
    published = read_volume(path, "change mask", mask=True)
    changed = published.data > 0.5
    first, second = (
        resample(masks[session], changed.shape, published.affine, transforms_of(root, session)[1]) > 0.5
        for session in ("1", "2")
    )
    labels, volumes = label_lesions(changed, published.voxel_volume, LEAST_MM3)
    differing = first ^ second
    spacing = np.abs(np.linalg.norm(published.affine[:3, :3], axis=0))
    near = ndimage.distance_transform_edt(~changed, sampling=spacing) <= NEAR_MM
    around = ndimage.binary_dilation(first | second, iterations=15)
    return {
        "dice_of_visits": dice(first, second),
        "published_ml": float(changed.sum() * published.voxel_volume / 1000),
        "published_lesions": len(volumes),
        "touched_by_either": _share_touched(labels, first | second),
        "touched_by_difference": _share_touched(labels, differing),
        "difference_near_change": float(near[differing].mean()) if differing.any() else float("nan"),
        "by_chance": float(near[around].mean()) if around.any() else float("nan"),
    }


def _share_touched(labels: np.ndarray, mask: np.ndarray) -> float:
    count = int(labels.max())
    return len(set(np.unique(labels[mask])) - {0}) / count if count else float("nan")
