"""The mask-weighted pix2pix on real slices: trained on some, tested on others, beside its comparators.

    python -m Testing.real_slices ms     --out /tmp/ms        # T2w -> FLAIR: train on one patient, test on the other
    python -m Testing.real_slices glioma --out /tmp/glioma    # one patient: train on blocks of slices, test on others
    python -m Testing.real_slices glioma --pair t1 --out /tmp/glioma_t1

Two patients and one are what there is here: what comes out says whether the system learns on real slices, not how well
it works on people. The glioma patient's blocks keep 6 mm apart, more than the 5.5 mm of the slices they come from.
Everything runs through `python -m TrainingCore.train`; sizes are small enough for a CPU.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
COMPARATORS = ("", "_without_mask", "_l1_only", "_linear")
PERIOD, LEARN, APART, TEST = 40, 20, 6, 8  # mm along the body: learn 20, leave 6 out, test 8, leave 6 out, and again
SMALL = {"size": "[80,96,80]", "generator.width": 16, "generator.blocks": 6, "discriminator.width": 16}
FEW = {"samples": 4, "rate": 5e-4, "iterations": 400, "pictures_every": 0}  # fewer steps need a higher rate


def ms_visits(data: Path, out: Path) -> dict[str, dict[str, Path]]:
    """Two MS patients: sub-19 (49.8 ml of lesions) to learn from, sub-07 (1.3 ml) to test."""
    visits = {}
    for role, person in (("learn", "sub-19"), ("test", "sub-07")):
        folder = data / "ms_mni" / person / "anat"
        names = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w"}
        files = {name: folder / f"{person}_space-MNI152_desc-brain_{end}.nii.gz" for name, end in names.items()}
        files["t1ce"] = folder / f"{person}_ce-gadolinium_space-MNI152_desc-brain_T1w.nii.gz"
        files["lesions"] = folder / f"{person}_space-MNI152_label-lesion_mask.nii.gz"
        t1w = nib.load(files["t1w"])
        brain = np.asanyarray(t1w.dataobj) != 0
        files["brain"] = _write(out / f"{role}_brain.nii.gz", brain, t1w.affine)
        visits[role] = files
    return visits


def glioma_visits(data: Path, out: Path) -> dict[str, dict[str, Path]]:
    """One glioma patient twice, with brain masks that hold the slices to learn from and the slices to test."""
    folder, person = data / "glioma" / "sub-FG6692" / "anat", "sub-FG6692"
    names = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w"}
    files = {name: folder / f"{person}_space-SRI24_desc-brain_{end}.nii.gz" for name, end in names.items()}
    files["t1ce"] = folder / f"{person}_ce-gadolinium_space-SRI24_desc-brain_T1w.nii.gz"
    files["lesions"] = folder / f"{person}_space-SRI24_desc-fused_dseg.nii.gz"
    mask = nib.load(folder / f"{person}_space-SRI24_desc-brain_mask.nii.gz")
    brain = np.asanyarray(mask.dataobj) > 0
    height = (
        np.arange(brain.shape[2])
        - np.flatnonzero((np.asanyarray(nib.load(files["lesions"]).dataobj) > 0).any((0, 1)))[0]
    )
    place = height % PERIOD  # counted from the lowest slice of the tumour, so that both parts hold some of it
    parts = {"learn": place < LEARN, "test": (place >= LEARN + APART) & (place < LEARN + APART + TEST)}
    written = {role: _write(out / f"{role}_brain.nii.gz", brain & part, mask.affine) for role, part in parts.items()}
    return {role: {**files, "brain": path} for role, path in written.items()}


def _write(path: Path, mask: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), path)
    return path


def write_table(path: Path, person: str, files: dict[str, Path]) -> Path:
    """A cohort of one visit as a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["participant_id", *files])
        rows.writerow([person, *(str(one.resolve()) for one in files.values())])
    return path


def train(recipe: str, table: Path, run: Path, changes: dict[str, Any]) -> None:
    """Train as a user does; raises CalledProcessError where that fails."""
    kept = {"validation_people": 0, **changes}
    if recipe.endswith("_linear"):
        kept = {key: value for key, value in kept.items() if key in ("validation_people", "size", "pictures_every")}
    command = [sys.executable, "-m", "TrainingCore.train", "--recipe", recipe, "--data", str(table), "--out", str(run)]
    command += ["--progress", "none", "--threads", "1", "--set", *(f"{key}={value}" for key, value in kept.items())]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def measured(run: Path, table: Path) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """Measures of the run's last weights on the visit of a table, and the images for a picture."""
    import torch

    from TrainingCore.bundle import Bundle
    from TrainingCore.cohort import Cohort
    from TrainingCore.evaluation.image_quality import translation_quality
    from TrainingCore.recipe import grid_shape, grid_spacing
    from TrainingCore.run import Run

    recipe = Run.open(run).recipe
    data = recipe["data"]
    visit = Cohort.read(table, ("t1w", *data["inputs"], data["target"])).visits[0]
    case = visit.load(grid_shape(recipe), grid_spacing(recipe), data["intensity"])
    system = Bundle.open(run / "bundles" / "last").load_system()
    inputs = np.stack([case.volumes[name] for name in data["inputs"]])[None]
    brain, lesions, truth = case.volumes["brain"], case.volumes["lesions"], case.volumes[data["target"]]
    found = np.where(brain, system.predict(torch.from_numpy(inputs))[0, 0].numpy(), truth)
    images = {"input": inputs[0, 0], "measured": truth, "synthetic": found, "lesions": lesions & brain}
    return translation_quality(truth, found, inputs[0, 0], brain, lesions), images


def main() -> int:
    """Train all, print the table, keep the images."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("patients", choices=("ms", "glioma"))
    arguments.add_argument("--pair", choices=("t2w", "t1"), default="t2w", help="T2w -> FLAIR or T1w post -> pre")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments.add_argument("--set", dest="changes", nargs="*", default=[], metavar="key=value")
    chosen = arguments.parse_args()
    visits = {"ms": ms_visits, "glioma": glioma_visits}[chosen.patients](chosen.data, chosen.out)
    tables = {role: write_table(chosen.out / f"{role}.csv", role, files) for role, files in visits.items()}
    changes = {**SMALL, **FEW, **dict(change.split("=", 1) for change in chosen.changes)}
    keys = ("ssim_brain", "ssim_lesion", "ssim_lesion_masked", "mae_brain", "mae_lesion")
    print("|", " | ".join(["model", *keys]), "|", flush=True)
    for end in COMPARATORS:
        recipe = f"mask_weighted_pix2pix{'_t1' if chosen.pair == 't1' else ''}{end}"
        run = chosen.out / recipe
        if not (run / "bundles" / "last").is_dir():
            train(recipe, tables["learn"], run, changes)
        found, images = measured(run, tables["test"])
        if not end:
            print("|", " | ".join(["input for target", *(f"{found[f'input_{key}']:.4f}" for key in keys)]), "|")
        print("|", " | ".join([recipe, *(f"{found[key]:.4f}" for key in keys)]), "|", flush=True)
        np.savez_compressed(chosen.out / f"{recipe}.npz", **images)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
