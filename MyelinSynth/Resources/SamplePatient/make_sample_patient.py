"""Makes the sample patient of this folder again: `python make_sample_patient.py` where TrainingCore can be imported.

A simulated patient of site B: T1w at 1 mm; FLAIR at 1.5 mm after a small movement of the head, so that registration has
something to do; lesion mask; DVR as measured by the simulated PET scanner. Grey values are stored in coarse steps (a
fifth of their noise), which keeps the files small.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

SEED, PEOPLE, LABEL = 2, 7, "sub-B07"  # 11 ml of lesions, 13 of 50 mm3 or more; the lesion finder has a DSC of 0.7
GREY_STEP, DVR_STEP, MARGIN = 4.0, 0.004, 3
FLAIR_SPACING, FLAIR_TURN_DEGREES, FLAIR_SHIFT_MM = 1.5, 2.0, (1.5, -1.0, 2.0)
FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Simulate, crop, move the FLAIR, and write four volumes and their description."""
    from TrainingCore.data.cohort import Cohort
    from TrainingCore.imaging.volumes import Volume, read_volume, resample
    from TrainingCore.simulate import main as simulate

    with tempfile.TemporaryDirectory() as scratch:
        options = ["--patients", PEOPLE, "--visits", 1, "--site", "B", "--seed", SEED, "--size", 192]
        simulate([str(option) for option in (Path(scratch) / "cohort", *options, "--progress", "none")])
        visits = Cohort.read(Path(scratch) / "cohort").visits
        visit = next(visit for visit in visits if LABEL in str(visit.files["t1w"]))
        volumes = {name: read_volume(visit.files[name]) for name in ("t1w", "flair", "lesions", "dvr")}
    t1w = volumes["t1w"]
    voxels = np.argwhere(t1w.data > 0)
    low, high = voxels.min(axis=0) - MARGIN, voxels.max(axis=0) + 1 + MARGIN
    affine = t1w.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    box = tuple(slice(start, end) for start, end in zip(low, high))
    i, j, k = (int(np.ceil(length / FLAIR_SPACING)) for length in high - low)
    flair_affine = affine.copy()
    flair_affine[:3, :3] *= FLAIR_SPACING
    moved = _movement(affine, high - low)
    flair = resample(Volume(volumes["flair"].data, t1w.affine), (i, j, k), flair_affine, moved)
    content = {
        "T1w": (np.rint(t1w.data[box] / GREY_STEP), affine, 1.0),
        "FLAIR": (np.rint(flair / GREY_STEP), flair_affine, 1.0),
        "lesions": (volumes["lesions"].data[box] > 0.5, affine, 1.0),
        "measured_DVR": (np.rint(volumes["dvr"].data[box] / DVR_STEP), affine, DVR_STEP),
    }
    for name, (data, affine, step) in content.items():
        _write(FOLDER / f"simulated_patient_{name}.nii.gz", data, affine, step)
    _describe(list(content))


def _movement(affine: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return world of the moved FLAIR to world of the T1w: a nod about the middle of the head, and a shift."""
    angle = np.radians(FLAIR_TURN_DEGREES)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    middle = np.eye(4)
    middle[:3, 3] = (affine @ [*(size / 2), 1.0])[:3]
    turn[:3, 3] = FLAIR_SHIFT_MM
    return middle @ turn @ np.linalg.inv(middle)


def _write(path: Path, data: np.ndarray, affine: np.ndarray, step: float) -> None:
    """Write a NIfTI file whose bytes depend only on its content (no time in the gzip header)."""
    import nibabel

    image = nibabel.Nifti1Image(data.astype(np.uint8 if data.max() <= 1 else np.int16), affine)
    image.header.set_slope_inter(step, 0.0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"SIMULATED, nobody: MyelinSynth"
    path.write_bytes(gzip.compress(image.to_bytes(), 9, mtime=0))


def _describe(names: list[str]) -> None:
    """Write sample_patient.json: what the files are, their SHA-256, and the edition of the digital patient."""
    from TrainingCore.phantom.edition import phantom_edition

    files = [FOLDER / f"simulated_patient_{name}.nii.gz" for name in names]
    description = {
        "Simulated": True,
        "Note": "Simulated: a digital patient, nobody. Research use only, not for diagnosis.",
        "GeneratedBy": "make_sample_patient.py (TrainingCore.simulate, site B, seed 2, seventh person)",
        "Phantom": phantom_edition(),
        "License": "as MyelinSynth; anatomy from the ICBM152 2009a template (Fonov et al. 2009)",
        "Files": {
            name: {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for name, path in zip(names, files)
        },
    }
    text = json.dumps(description, indent=2) + "\n"
    (FOLDER / "sample_patient.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
