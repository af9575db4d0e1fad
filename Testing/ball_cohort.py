"""A cohort of balls: the smallest BIDS dataset a network can learn from, made in a tenth of a second.

White matter is a ball in a ball of grey matter; lesions are small balls with a lower DVR, darker in T1w and brighter in
FLAIR. For tests of what does not need anatomy; the digital patient is tested with its own. For the systems of glioma
the lesions take up gadolinium: little in T1w after a low dose, much after the full one.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

NOISY = (
    "t1w",
    "flair",
    "dvr",
    "t2w",
    "adc",
    "t1ce_low",
    "t1ce",
    "mtr",
    "fa",
    "rd",
    "ad",
)  # drawn in this order


def ball_volumes(rng: np.random.Generator, size: int = 32, lesions: int = 3) -> dict[str, np.ndarray]:
    """T1w, FLAIR, DVR and masks of one visit, (size, size, size)."""
    place = np.indices((size,) * 3) - (size - 1) / 2
    radius = np.sqrt((place**2).sum(axis=0)) / size
    brain, white = radius < 0.40, radius < 0.26
    lesion = np.zeros_like(brain)
    for _ in range(lesions):
        centre = rng.uniform(-0.14, 0.14, 3) * size
        lesion |= ((place - centre[:, None, None, None]) ** 2).sum(axis=0) < (0.07 * size) ** 2
    loss = rng.uniform(0.15, 0.45)
    noise = {name: rng.normal(size=brain.shape) for name in NOISY}
    return {
        "t1w": (np.where(white, 900, 600) - 600 * loss * lesion + 8 * noise["t1w"]) * brain,
        "flair": (np.where(white, 300, 400) + 600 * loss * lesion + 8 * noise["flair"]) * brain,
        "dvr": (np.where(white, 1.22, 1.02) - loss * lesion + 0.01 * noise["dvr"]) * brain,
        "t2w": (np.where(white, 400, 550) + 500 * loss * lesion + 8 * noise["t2w"]) * brain,
        "adc": (np.where(white, 0.7, 0.9) + loss * lesion + 0.01 * noise["adc"]) * brain,
        "t1ce_low": (np.where(white, 900, 600) + 100 * loss * lesion + 8 * noise["t1ce_low"]) * brain,
        "t1ce": (np.where(white, 900, 600) + 1200 * loss * lesion + 8 * noise["t1ce"]) * brain,
        "mtr": (np.where(white, 45, 35) - 20 * loss * lesion + 0.4 * noise["mtr"]) * brain,
        "fa": (np.where(white, 0.45, 0.15) - 0.2 * loss * lesion + 0.01 * noise["fa"]) * brain,
        "rd": (np.where(white, 0.5, 0.8) + 0.9 * loss * lesion + 0.01 * noise["rd"]) * brain,
        "ad": (np.where(white, 1.1, 1.0) + 0.4 * loss * lesion + 0.01 * noise["ad"]) * brain,
        "brain": brain,
        "lesions": lesion & white,
        "white_matter": white & ~lesion,
        "grey_matter": brain & ~white,
    }


FILES = {
    "t1w": "{person}/{visit}/anat/{label}_T1w.nii.gz",
    "flair": "{person}/{visit}/anat/{label}_FLAIR.nii.gz",
    "t2w": "{person}/{visit}/anat/{label}_T2w.nii.gz",
    "adc": "{person}/{visit}/dwi/{label}_ADC.nii.gz",
    "t1ce_low": "{person}/{visit}/anat/{label}_ce-lowdose_T1w.nii.gz",
    "t1ce": "{person}/{visit}/anat/{label}_ce-gadolinium_T1w.nii.gz",
    "mtr": "{person}/{visit}/anat/{label}_MTRmap.nii.gz",
    "fa": "{person}/{visit}/dwi/{label}_FA.nii.gz",
    "rd": "{person}/{visit}/dwi/{label}_RD.nii.gz",
    "ad": "{person}/{visit}/dwi/{label}_AD.nii.gz",
    "dvr": "derivatives/phantom/{person}/{visit}/pet/{label}_space-T1w_trc-PiB_stat-dvr_desc-measured_mimap.nii.gz",
    "brain": "derivatives/phantom/{person}/{visit}/anat/{label}_space-T1w_desc-brain_mask.nii.gz",
    "lesions": "derivatives/phantom/{person}/{visit}/anat/{label}_space-T1w_label-lesion_mask.nii.gz",
    "white_matter": "derivatives/phantom/{person}/{visit}/anat/{label}_space-T1w_label-WM_mask.nii.gz",
    "grey_matter": "derivatives/phantom/{person}/{visit}/anat/{label}_space-T1w_label-GM_mask.nii.gz",
}


def write_ball_cohort(
    root: Path, people: int = 3, visits: int = 2, size: int = 32, lesions: int = 3, seed: int = 0
) -> Path:
    """Write a BIDS dataset of balls with 192 mm field of view; returns its folder. Another seed has other people."""
    affine = np.diag([192 / size] * 3 + [1.0])
    affine[:3, 3] = -96 + 96 / size
    rows = ["participant_id\tsimulated"]
    for person in range(people):
        rows.append(f"sub-P{person}\ttrue")
        for visit in range(1, visits + 1):
            volumes = ball_volumes(np.random.default_rng([person, visit, *([seed] if seed else [])]), size, lesions)
            names = {"person": f"sub-P{person}", "visit": f"ses-{visit}", "label": f"sub-P{person}_ses-{visit}"}
            for name, pattern in FILES.items():
                path = root / pattern.format(**names)
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = np.uint8 if volumes[name].dtype == bool else np.float32
                nib.save(nib.Nifti1Image(volumes[name].astype(kind), affine), path)
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root
