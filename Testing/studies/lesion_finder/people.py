"""The people of the study: simulated ones, and the real patients of $MYELINSYNTH_DATA where they are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.imaging.aligned import AlignedPatient
from TrainingCore.imaging.volumes import read_volume
from TrainingCore.patient.clock import Clock
from TrainingCore.patient.inputs import read_patient
from TrainingCore.patient.pipeline import prepare_patient
from TrainingCore.runtime.cli import Progress

Files = dict[str, Path]
MNI_PEOPLE = ("sub-07", "sub-19")
GLIOMA = "sub-FG6692"


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

    @property
    def brain(self) -> np.ndarray:
        """Bool (I, J, K)."""
        return self.aligned.brain.mask.data > 0.5


def prepared(name: str, files: Files) -> Person:
    """Read and align a person as `synthesize` does, tissues without knowledge of the lesions."""
    bundle = Bundle.open("demonstration")
    without = {key: path for key, path in files.items() if key != "lesions"}
    with Progress("none", "lesion finder") as progress:
        patient = prepare_patient(read_patient(without, bundle), Clock(progress))
    truth = None
    if "lesions" in files:  # the mask lies on the T1w's grid, which is the reference
        mask = read_volume(files["lesions"], "lesion mask", mask=True).data > 0.5
        truth = mask & (patient.aligned.brain.mask.data > 0.5)
    return Person(name, patient.aligned, truth, patient.tissues["white_matter"])


def digital_files(cohort: Path) -> Iterator[tuple[str, Files]]:
    """The people of a simulated cohort, controls with an empty mask."""
    for visit in Cohort.read(cohort):
        names = ("t1w", "flair", "brain", "lesions")
        yield visit.label, {name: visit.files[name] for name in names if name in visit.files}


def mni_files(data: Path) -> Iterator[tuple[str, Files]]:
    """The two patients of Lesjak et al. in MNI space, with a consensus mask."""
    for name in MNI_PEOPLE:
        start = data / "ms_mni" / name / "anat" / f"{name}_space-MNI152"
        ends = {"t1w": "desc-brain_T1w", "flair": "desc-brain_FLAIR", "lesions": "label-lesion_mask"}
        yield name, {key: start.with_name(f"{start.name}_{end}.nii.gz") for key, end in ends.items()}


def clinical_files(data: Path) -> Iterator[tuple[str, Files]]:
    """The raw clinical scans, without a mask."""
    for folder in sorted((data / "ms_clinical").glob("sub-*/ses-*/anat")):
        label = f"{folder.parents[1].name}_{folder.parent.name}"
        yield label, {"t1w": folder / f"{label}_T1w.nii.gz", "flair": folder / f"{label}_FLAIR.nii.gz"}


def glioma_files(data: Path) -> Iterator[tuple[str, Files]]:
    """The glioma patient: no MS lesion; the segmented tumour stands in for a given mask."""
    start = data / "glioma" / GLIOMA / "anat" / f"{GLIOMA}_space-SRI24"
    ends = {"t1w": "desc-brain_T1w", "flair": "desc-brain_FLAIR", "lesions": "desc-fused_dseg"}
    yield GLIOMA, {key: start.with_name(f"{start.name}_{end}.nii.gz") for key, end in ends.items()}
