"""True state, measured DVR and features for the information ceiling of a simulated visit's lesions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from ..data.case import Case
from ..imaging.labelling import label_lesions
from ..phantom.lesion_classes import NAMES
from ..phantom.tissues import Scene
from .lesion_features import image_features, label_means, rim_labels
from .lesion_geometry import FEATURES, lesion_geometry


def lesion_truth(case: Case, scene: Scene) -> list[dict[str, Any]]:
    """Create one row per lesion of a simulated visit with a DVR, by decreasing volume.

    Args:
        case: with t1w, dvr, dvr_clean, myelin_loss and masks; lesions are the components of its (drawn) mask.
        scene: scene behind it, see `phantom.patient.simulate_with_truth`.

    Returns:
        Rows with phantom.bids.TRUTH_COLUMNS, `measured` and `clean` (the DVR again), and features geometry_*, mri_* (of
        the available T1w and FLAIR) and tissue_*, rounded to 5 digits, None if a region has no voxel. The class is that
        of most of its voxels.
    """
    box = ndimage.find_objects(case.volumes["brain"].astype(np.uint8))[0]
    volumes = {name: volume[box] for name, volume in case.volumes.items()}
    affine = case.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box], float)
    labels, sizes = label_lesions(volumes["lesions"], case.voxel_volume)
    count = len(sizes)
    if count == 0:
        return []
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    true = scene.lesions
    columns: dict[str, np.ndarray] = {"id": np.arange(1, count + 1), "volume_mm3": sizes}
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, count + 1)))
    columns |= dict(zip(("x_mm", "y_mm", "z_mm"), affine[:3, :3] @ centres.T + affine[:3, 3:]))
    columns["myelin_loss"] = label_means(labels, volumes["myelin_loss"], count)
    for name in ("axonal_loss", "water", "cavity"):
        columns[name] = label_means(labels, getattr(true, name)[box], count)
    columns["clean"] = columns["dvr_noisefree"] = label_means(labels, volumes["dvr_clean"], count)
    columns["measured"] = columns["dvr_measured"] = label_means(labels, volumes["dvr"], count)
    masks = {name: volumes[name] for name in ("white_matter", "grey_matter", "brain")}
    geometry = lesion_geometry(labels, masks["brain"], masks["white_matter"], masks["grey_matter"], affine)
    columns |= {f"geometry_{name}": geometry[:, index] for index, name in enumerate(FEATURES)}
    images: dict[str, np.ndarray] = {name: volumes[name] for name in ("t1w", "flair") if name in volumes}
    columns |= {f"mri_{name}": value for name, value in image_features(labels, images, masks, spacing).items()}
    columns |= {f"tissue_{name}": value for name, value in _tissue(scene, box, labels, masks, spacing).items()}
    kinds = _classes(labels, true.kinds[true.owner[box]], count)
    return [
        {name: _plain(column[index]) for name, column in columns.items()}
        | {"id": index + 1, "class": NAMES[kinds[index]]}
        for index in range(count)
    ]


def _plain(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _classes(labels: np.ndarray, kinds: np.ndarray, count: int) -> np.ndarray:
    """Return the most frequent class of each label's voxels, 0 if a rater marked something that is no lesion."""
    votes = np.bincount(labels.ravel() * len(NAMES) + kinds.ravel(), minlength=(count + 1) * len(NAMES))
    votes = votes.reshape(-1, len(NAMES))[1 : count + 1]
    return np.where(votes[:, 1:].any(axis=1), 1 + votes[:, 1:].argmax(axis=1), 0)


def _tissue(
    scene: Scene,
    box: tuple[slice, ...],
    labels: np.ndarray,
    masks: dict[str, np.ndarray],
    spacing: np.ndarray,
) -> dict[str, np.ndarray]:
    """True T1 and T2 of the white matter and shares of tissue: of each lesion, its rim, and its person."""
    count, brain = int(labels.max()), scene.anatomy.brain
    rim = rim_labels(labels, masks["brain"], spacing)
    white = scene.tissues["white"]
    parts = {"t1": np.log(white.t1), "t2": np.log(white.t2)}
    parts |= {f"{name}_share": share for name, share in scene.shares.items()}
    nawm = masks["white_matter"] & (labels == 0) & (rim == 0)
    features = {}
    for name, flat in parts.items():
        volume = np.zeros(brain.shape, np.float32)
        volume[brain] = flat
        values = volume[box]
        features[f"{name}_lesion"] = label_means(labels, values, count)
        features[f"{name}_rim"] = label_means(rim, values, count)
        if name in ("t1", "t2"):
            middle = float(np.median(values[nawm])) if nawm.any() else float("nan")
            features[f"{name}_nawm"] = np.full(count, middle)
            everywhere = float(values[labels > 0].mean())
            features[f"{name}_all_lesions"] = np.full(count, everywhere)
    return features
