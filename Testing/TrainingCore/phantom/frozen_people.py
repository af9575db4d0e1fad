"""People whose images show whether what is simulated has changed: all contrasts, visits, diseases, kinds of sequence.

    python Testing/TrainingCore/phantom/frozen_people.py > frozen.json

gives frozen.json with the code of commit 5249ac4, which froze edition 2; its people with real masks are those of commit
e0f0549, which split confluent lesions before any training with such masks. It is not to be written again: a change of
what is simulated is a new edition.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from TrainingCore.simulate import simulate

EVERY = "t1w,flair,t2w,mtr,fa,rd,ad,adc,t1ce_low,t1ce,dvr"
COHORTS = {
    "two visits, every contrast": {"visits": 2, "site": "A", "seed": 11, "size": 48, "contrasts": EVERY},
    "fine voxels": {"visits": 1, "site": "C", "seed": 12, "size": 96},
    "random protocols": {"patients": 4, "visits": 1, "site": "R", "seed": 5, "size": 64, "contrasts": "t1w,flair,t2w"},
    "glioma": {"disease": "glioma", "visits": 1, "seed": 13, "size": 48},
    "white matter hyperintensities": {"disease": "wmh", "visits": 1, "seed": 14, "size": 48},
    "real masks": {"visits": 1, "site": "B", "seed": 15, "size": 48},
}


def write_mask(folder: Path) -> Path:
    """One mask in MNI space: a large, confluent and a small box beside the lateral ventricles."""
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [90.0, -126.0, -72.0]
    mask = np.zeros((182, 218, 182), np.uint8)
    for centre, half in (((-28.0, -15.0, 25.0), (7, 20, 8)), ((30.0, -30.0, 24.0), (3, 4, 3))):
        i, j, k = np.round(np.linalg.inv(affine) @ [*centre, 1.0]).astype(int)[:3]
        mask[i - half[0] : i + half[0], j - half[1] : j + half[1], k - half[2] : k + half[2]] = 1
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "one_mask.nii.gz")
    return folder


def measured(name: str, folder: Path) -> dict[str, tuple[float, float]]:
    """Mean and SD in the brain of every image of a cohort, by the name of its file."""
    masks = {"lesion_masks": write_mask(folder / "masks")} if name == "real masks" else {}
    simulate(folder / "cohort", **{"patients": 1, **COHORTS[name]}, **masks, progress="none")
    values = {}
    for path in sorted((folder / "cohort").rglob("*.nii.gz")):
        (brain,) = (folder / "cohort").rglob(f"{path.name[:13].rstrip('_')}*desc-brain_mask.nii.gz")
        inside = np.asarray(nibabel.load(brain).dataobj) > 0
        data = np.asarray(nibabel.load(path).dataobj, float)[inside]
        values[path.name.removesuffix(".nii.gz")] = (float(data.mean()), float(data.std()))
    return values


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        content = {name: measured(name, Path(where) / name.split()[0]) for name in COHORTS}
    print(json.dumps(content, indent=1))
