"""How good the lesion finder is: digital people, and real patients where they are at hand.

    python -m Testing.studies.lesion_finder --digital test_cohort --out lesion_finder_study [--data ../shared/data]

Beside it stands a threshold on FLAIR: mean + k SD of the white matter, k with the best mean Dice on the digital people.
Writes rows.csv, table.md and a picture of each real patient with the outlines of both masks. The digital cohort is one
that `simulate` wrote with --site R, of people who were not used for training; the real patients were never trained on.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from TrainingCore.data.bundle import LESION_FINDER, Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.evaluation.lesion_detection import detection_measures, without_small
from TrainingCore.evaluation.segmentation import segmentation_measures, smallest_lesion
from TrainingCore.imaging.aligned import AlignedPatient
from TrainingCore.patient.clock import Clock
from TrainingCore.patient.inputs import read_patient
from TrainingCore.patient.pipeline import prepare_patient
from TrainingCore.prediction.lesion_finding import find_lesions
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.cli import Progress

MULTIPLES = tuple(1.5 + 0.5 * step for step in range(9))  # of the SD, 1.5 to 5.5
SHOWN = ("person", "method", "given_ml", "found_ml", "dsc", "f1", "f1_10", "sensitivity", "precision")


@dataclass
class Person:
    """Aligned images, the given mask (None: unknown; empty: healthy) and white matter, bool (I, J, K)."""

    name: str
    aligned: AlignedPatient
    truth: np.ndarray | None
    white: np.ndarray

    @property
    def voxel(self) -> float:
        """mm3 of a voxel."""
        return float(abs(np.linalg.det(self.aligned.brain.mask.affine[:3, :3])))


def prepared(name: str, files: dict[str, Path]) -> Person:
    """Read and align a person as `synthesize` does, tissues without knowledge of the lesions."""
    bundle = Bundle.open("demonstration")
    with Progress("none", "lesion finder") as progress:
        lesions = files.pop("lesions", None)
        patient = prepare_patient(read_patient(files, bundle), Clock(progress))
        if lesions is None:
            return Person(name, patient.aligned, None, patient.tissues["white_matter"])
        marked = prepare_patient(read_patient(files | {"lesions": lesions}, bundle), Clock(progress)).lesions
    assert marked is not None
    return Person(name, patient.aligned, marked.data > 0.5, patient.tissues["white_matter"])


def digital_people(cohort: Path) -> Iterator[Person]:
    """The people of a simulated cohort."""
    for visit in Cohort.read(cohort):
        names = ("t1w", "flair", "brain", "lesions")
        yield prepared(visit.label, {name: visit.files[name] for name in names if name in visit.files})


def real_people(data: Path) -> Iterator[Person]:
    """The real patients of ../shared/data; those in MNI space have a consensus mask."""
    for name in ("sub-07", "sub-19"):
        folder = data / "ms_mni" / name / "anat"
        start = f"{name}_space-MNI152"
        files = {"t1w": f"{start}_desc-brain_T1w", "flair": f"{start}_desc-brain_FLAIR"}
        files["lesions"] = f"{start}_label-lesion_mask"
        yield prepared(name, {key: folder / f"{value}.nii.gz" for key, value in files.items()})
    for folder in sorted((data / "ms_clinical").glob("sub-*/ses-*/anat")):
        label = f"{folder.parents[1].name}_{folder.parent.name}"
        yield prepared(
            label, {key: folder / f"{label}_{key.upper().replace('W', 'w')}.nii.gz" for key in ("t1w", "flair")}
        )


def above_threshold(person: Person, multiple: float, smallest: float) -> np.ndarray:
    """Voxels brighter in FLAIR than mean + k SD of white matter, without small ones."""
    flair = person.aligned.on_reference_grid("flair").data
    inside = flair[person.white]
    mask = (flair > inside.mean() + multiple * inside.std()) & (person.aligned.brain.mask.data > 0.5)
    return without_small(mask, person.voxel, smallest)


def row(person: Person, method: str, mask: np.ndarray) -> dict[str, Any]:
    """Measures of one mask; the agreement is empty where nothing is known or there is nothing to find."""
    brain = person.aligned.brain.mask.data > 0.5
    about: dict[str, Any] = {"person": person.name, "method": method, "found_ml": mask.sum() * person.voxel / 1000}
    if person.truth is None:
        return about
    about["given_ml"] = person.truth.sum() * person.voxel / 1000
    return (
        about | segmentation_measures(person.truth, mask, brain) | detection_measures(person.truth, mask, person.voxel)
    )


def best_multiple(people: list[Person], smallest: float) -> float:
    """k with the highest mean Dice over the people who have lesions."""

    def mean_dice(multiple: float) -> float:
        rows = [row(one, "", above_threshold(one, multiple, smallest)) for one in people]
        return float(np.mean([each["dsc"] for each in rows if each["dsc"] is not None and each["given_ml"] > 0]))

    return max(MULTIPLES, key=mean_dice)


def picture(person: Person, mask: np.ndarray, path: Path) -> None:
    """FLAIR with the outlines of the given (green) and the found mask (red), six axial slices."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    flair = person.aligned.on_reference_grid("flair").data
    brain = person.aligned.brain.mask.data > 0.5
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    chosen = levels[np.linspace(0.3, 0.8, 6).__mul__(len(levels) - 1).astype(int)]
    figure, axes = pyplot.subplots(1, 6, figsize=(18, 4))
    for axis, level in zip(axes, chosen):
        axis.imshow(flair[:, :, level].T, origin="lower", cmap="gray", vmin=0, vmax=np.percentile(flair[brain], 99.7))
        for outline, colour in ((person.truth, "lime"), (mask, "red")):
            if outline is not None and outline[:, :, level].any():
                axis.contour(outline[:, :, level].T, [0.5], colors=colour, linewidths=0.8)
        axis.axis("off")
    figure.suptitle(f"{person.name}: given (green), found automatically (red). Research use only.")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    pyplot.close(figure)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digital", type=Path, required=True, help="simulated cohort with controls")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real patients; may be missing")
    parser.add_argument("--finder", default=LESION_FINDER, help="bundle (default: the one that comes with the package)")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    model = TrainedModel.load(Bundle.open(asked.finder), "cpu")
    smallest = smallest_lesion(model.bundle.description)
    digital = list(digital_people(asked.digital))
    multiple = best_multiple(digital, smallest)
    print(f"FLAIR threshold: mean + {multiple:g} SD of white matter")
    rows = []
    real = real_people(asked.data) if asked.data.is_dir() else iter(())
    for person in [*digital, *real]:
        since = time.monotonic()
        mask = find_lesions(model, person.aligned)[0].data > 0.5
        seconds = time.monotonic() - since
        rows.append(row(person, "lesion finder", mask) | {"seconds": seconds})
        rows.append(row(person, f"FLAIR > mean + {multiple:g} SD", above_threshold(person, multiple, smallest)))
        if not person.name.startswith("sub-R"):
            picture(person, mask, asked.out / f"{person.name}.png")
        print({key: rows[-2].get(key) for key in SHOWN}, f"{seconds:.1f} s", flush=True)
    columns = list(dict.fromkeys(key for each in rows for key in each))
    with open(asked.out / "rows.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    lines = [" | ".join(SHOWN), " | ".join("---" for _ in SHOWN)]
    for each in rows:
        cells = [each.get(key) for key in SHOWN]
        lines.append(" | ".join("" if c is None else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells))
    (asked.out / "table.md").write_text("\n".join(f"| {line} |" for line in lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
