"""sub-12 of the shared clinical data: where the published mask says that lesions changed, does the synthetic map?

    python -m Testing.studies.change_on_real_pair --before RESULT --after RESULT [--data DATA]

The mask lies in the publishers' common space; their transforms bring both maps there, and the FLAIR images for
comparison. Every changed lesion is compared with the same shape put at random into white matter that did not change:
the share of those that differ by more is its rank. No PET of this person exists: agreement with MRI readers is all that
can be looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from Testing.real_data import DATA
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.transforms import read_transform
from TrainingCore.imaging.volumes import Volume, read_volume, resample

PLACES = 2000  # random places per lesion (ours)
PERSON = "sub-12"
MINIMUM_MM3 = 50.0  # Soulier et al. 2024 leave out smaller lesions


def main() -> int:
    """Print one line per changed lesion, and how well |difference| tells changed voxels from others."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--before", type=Path, required=True)
    options.add_argument("--after", type=Path, required=True)
    options.add_argument("--data", type=Path, default=DATA)
    chosen = options.parse_args()
    root = chosen.data / "ms_clinical"
    mask_path = root / "derivatives" / "lesion_change" / PERSON / f"{PERSON}_space-common_label-change_mask.nii.gz"
    mask = read_volume(mask_path, "change mask", mask=True)
    maps, flairs, white = [], [], []
    for session, result in (("1", chosen.before), ("2", chosen.after)):
        to_flair, to_t1w = transforms_of(root, session)
        flair = read_volume(root / PERSON / f"ses-{session}" / "anat" / f"{PERSON}_ses-{session}_FLAIR.nii.gz", "FLAIR")
        maps.append(_onto(mask, read_volume(result / "dvr.nii.gz", "map"), to_t1w))
        flairs.append(_onto(mask, flair, to_flair))
        white.append(_onto(mask, read_volume(result / "nawm_mask.nii.gz", "NAWM", mask=True), to_t1w) > 0.9)
    changed = mask.data > 0.5
    nawm = white[0] & white[1] & ~ndimage.binary_dilation(changed, iterations=3)
    change = {
        "DVR": maps[1] - maps[0],
        "FLAIR": flairs[1] / np.median(flairs[1][nawm]) - flairs[0] / np.median(flairs[0][nawm]),
    }
    inside = (maps[0] > 0) & (maps[1] > 0)
    for name, image in change.items():
        print(f"NAWM, {name}: mean difference {image[nawm].mean():+.4f}, SD of voxels {image[nawm].std():.4f}")
    labels, volumes = label_lesions(changed & inside, mask.voxel_volume, MINIMUM_MM3)
    for number, volume in enumerate(volumes, start=1):
        own = labels == number
        parts = [f"lesion {number}, {volume:6.0f} mm3"]
        for name, image in change.items():
            mean = float(image[own].mean() - image[nawm].mean())
            null = _elsewhere(own, nawm, image) - image[nawm].mean()
            parts.append(f"{name} {mean:+.3f} (beyond {np.mean(np.abs(null) < abs(mean)):.0%} of {len(null)} places)")
        print("; ".join(parts))
    others = nawm
    for name, image in change.items():
        print(
            f"AUC of |{name} difference| for changed voxels against NAWM: {_auc(image, changed & inside, others):.2f}"
        )
    return 0


def transforms_of(root: Path, session: str) -> tuple[np.ndarray, np.ndarray]:
    """Common space -> FLAIR of a session, and -> its T1w; 4x4 RAS mm."""
    folder = root / "derivatives" / "reference_transforms" / PERSON / f"ses-{session}" / "anat"
    to_flair = read_transform(folder / f"{PERSON}_ses-{session}_from-FLAIR_to-common_mode-image_xfm.txt")
    to_t1w = read_transform(folder / f"{PERSON}_ses-{session}_from-T1w_to-FLAIR_mode-image_xfm.txt")
    return to_flair, to_t1w @ to_flair


def _onto(mask: Volume, volume: Volume, matrix: np.ndarray) -> np.ndarray:
    return resample(volume, mask.data.shape, mask.affine, matrix)


def _elsewhere(own: np.ndarray, allowed: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Means of the image over the lesion's shape at random places of which nine tenths are allowed."""
    random, shape = np.random.default_rng(0), np.argwhere(own)
    centre = np.round(shape.mean(0)).astype(int)
    places = np.argwhere(allowed)
    found = []
    for place in places[random.integers(len(places), size=20 * PLACES)]:
        index = shape - centre + place
        if (index < 0).any() or (index >= image.shape).any() or allowed[tuple(index.T)].mean() < 0.9:
            continue
        found.append(float(image[tuple(index.T)].mean()))
        if len(found) == PLACES:
            break
    return np.array(found)


def _auc(image: np.ndarray, changed: np.ndarray, others: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu

    first, second = np.abs(image[changed]), np.abs(image[others])
    return float(mannwhitneyu(first, second).statistic / (len(first) * len(second)))


if __name__ == "__main__":
    raise SystemExit(main())
