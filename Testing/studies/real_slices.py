"""The real people there are as a table for `crossvalidate` with two folds: learn from one, test the other, both ways.

    python -m Testing.studies.real_slices ms --out /tmp/ms            # sub-19 (49.8 ml of lesions) and sub-07 (1.3 ml)
    python -m Testing.studies.real_slices glioma --out /tmp/glioma    # one glioma patient: alternate blocks of slices
    python -m TrainingCore.crossvalidate --data /tmp/ms/cohort.csv --folds 2 --set validation_people=0 --recipe ...

Two people, or two parts of one, say whether a system learns on real slices, not how well it works on people. The blocks
of the glioma patient, 14 mm high, keep 6 mm apart, more than the 5.5 mm of the slices they come from.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from Testing.real_data import DATA

PERIOD, BLOCK, APART = 40, 14, 6  # mm along the body: 14 of one part, 6 of none, 14 of the other, 6 of none, and again
CONTRASTS = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w"}
Files = dict[str, Path]


def ms_visits(data: Path, out: Path) -> dict[str, Files]:
    """Files of the two MS patients by volume, by person; their brain masks are written into `out`."""
    visits = {}
    for person in ("sub-19", "sub-07"):
        folder = data / "ms_mni" / person / "anat"
        files = {name: folder / f"{person}_space-MNI152_desc-brain_{end}.nii.gz" for name, end in CONTRASTS.items()}
        files["t1ce"] = folder / f"{person}_ce-gadolinium_space-MNI152_desc-brain_T1w.nii.gz"
        files["lesions"] = folder / f"{person}_space-MNI152_label-lesion_mask.nii.gz"
        t1w = nib.load(files["t1w"])
        files["brain"] = _write(out / f"{person}_brain.nii.gz", np.asanyarray(t1w.dataobj) != 0, t1w.affine)
        visits[person] = files
    return visits


def glioma_visits(data: Path, out: Path) -> dict[str, Files]:
    """The glioma patient twice, with brain masks that hold alternate blocks of slices."""
    folder, person = data / "glioma" / "sub-FG6692" / "anat", "sub-FG6692"
    files = {name: folder / f"{person}_space-SRI24_desc-brain_{end}.nii.gz" for name, end in CONTRASTS.items()}
    files["t1ce"] = folder / f"{person}_ce-gadolinium_space-SRI24_desc-brain_T1w.nii.gz"
    files["lesions"] = folder / f"{person}_space-SRI24_desc-fused_dseg.nii.gz"
    mask = nib.load(folder / f"{person}_space-SRI24_desc-brain_mask.nii.gz")
    brain = np.asanyarray(mask.dataobj) > 0
    tumour = np.flatnonzero((np.asanyarray(nib.load(files["lesions"]).dataobj) > 0).any(axis=(0, 1)))
    place = (
        np.arange(brain.shape[2]) - tumour[0]
    ) % PERIOD  # from its lowest slice, so that both parts hold some of it
    parts = {"blocksA": place < BLOCK, "blocksB": (place >= BLOCK + APART) & (place < 2 * BLOCK + APART)}
    written = {name: _write(out / f"{name}_brain.nii.gz", brain & part, mask.affine) for name, part in parts.items()}
    return {name: {**files, "brain": path} for name, path in written.items()}


def _write(path: Path, mask: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), path)
    return path


def write_table(path: Path, visits: Mapping[str, Files]) -> Path:
    """A cohort of one visit each as a table."""
    columns = list(next(iter(visits.values())))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["participant_id", *columns])
        for person, files in visits.items():
            rows.writerow([person, *(str(files[name].resolve()) for name in columns)])
    return path


def main() -> int:
    """Write the table and say where it is."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("patients", choices=("ms", "glioma"))
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--data", type=Path, default=DATA)
    chosen = arguments.parse_args()
    visits = {"ms": ms_visits, "glioma": glioma_visits}[chosen.patients](chosen.data, chosen.out)
    print(write_table(chosen.out / "cohort.csv", visits))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
