"""Result: the folder that `synthesize` writes for one patient."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import read_json
from .lesion_columns import column_names, text_columns

DVR, BRAIN, NAWM, TRANSFORM = "dvr.nii.gz", "brain_mask.nii.gz", "nawm_mask.nii.gz", "flair_to_t1.tfm"
LESIONS, REPORT, PROVENANCE = "lesions.csv", "report.html", "provenance.json"
FILES = (DVR, BRAIN, NAWM, TRANSFORM, LESIONS, REPORT, PROVENANCE)
LESION_LABELS, UNCERTAINTY = (
    "lesion_labels.nii.gz",
    "uncertainty.nii.gz",
)  # only with lesions; only with --uncertainty or three networks
LESION_PROBABILITY = "lesions_probability.nii.gz"  # only if the lesions were segmented automatically
PLACES = "places.nii.gz"  # only with lesions, given or segmented
CONTEXT = "lesion_context.nii.gz"  # only with lesions, given or segmented
VIEWER = "viewer.html"  # only with --viewer
DICOM = "dicom"  # folder, only with --dicom; the only part of a Result that carries the patient's identity
FOUND_LESIONS = "found_lesions.nii.gz"  # only from a model of an MRI contrast that also segments lesions
SYNTHETIC_FLAIR = "synthetic_flair.nii.gz"  # only if the patient had none and --complete-with generated it


def transform_file(name: str, reference: str = "t1w") -> str:
    """Name the file that holds the transform of an input into reference space, e.g. `t2w_to_t1.tfm`.

    Args:
        name: volume name of the input.
        reference: volume name of the reference image.
    """
    return f"{name}_to_{'t1' if reference == 't1w' else reference}.tfm"


@dataclass(frozen=True)
class Result:
    """A complete result folder.

    dvr.nii.gz: synthetic DVR (unitless) on the T1w's grid, 0 outside the brain; brain_mask.nii.gz, nawm_mask.nii.gz:
    brain and normal-appearing white matter on the same grid; flair_to_t1.tfm: ITK transform (LPS mm) that resamples the
    FLAIR into T1w space, likewise t2w_to_t1.tfm and so on for further inputs; lesions.csv: one row per lesion, see
    lesion_columns; report.html: the report; provenance.json: model, inputs and settings.

    With lesions, given or segmented, lesion_labels.nii.gz: int16 on the same grid, the number of the row that each
    lesional voxel belongs to; places.nii.gz: anatomy that determines a lesion's region, for lesions that are added or
    edited later (see imaging.regions.encode_regions); lesion_context.nii.gz: MRI and tissues on the model's grid, to
    measure the contrasts of such lesions (see evaluation.lesion_context). If the lesions were segmented automatically,
    lesions_probability.nii.gz: probability of a lesion, 0 to 1. With --uncertainty or an ensemble of three,
    uncertainty.nii.gz: SD over the predictions or, for a calibrated model, of the expected error; provenance.json says
    which. If a FLAIR was generated first, synthetic_flair.nii.gz: that image (arbitrary units). With --dicom, dicom/:
    map, lesions and table as DICOM, with the patient's identity.

    Examples:
        >>> Result.open("result").lesions()[0]["mean_dvr"]                               # doctest: +SKIP
    """

    path: Path
    provenance: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Result:
        """Open a result folder.

        Args:
            path: folder written by `synthesize`.

        Returns:
            The result; its volumes are not read yet.

        Raises:
            BadInput: a file is missing.
        """
        path = Path(path)
        missing = [name for name in FILES if not (path / name).is_file()]
        if missing:
            raise BadInput(f"{path} is not a complete result: it has no {', '.join(missing)}. Run synthesize again.")
        return cls(path, read_json(path / PROVENANCE))

    def map(self) -> Any:
        """Return the synthetic DVR (unitless, on the T1w's grid) as a nibabel image; its data are read on demand."""
        import nibabel

        return nibabel.load(self.path / DVR)

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.path / REPORT

    def lesions(self) -> list[dict[str, Any]]:
        """Rows of lesions.csv, ready for pandas: numbers as float, text as str, empty cells (not estimable) as None."""
        return read_lesions(self.path / LESIONS)


def read_lesions(path: Path) -> list[dict[str, Any]]:
    """Read a lesion table, see `Result.lesions`.

    Args:
        path: CSV file.

    Returns:
        One dict per row; columns that are not in `lesion_columns` (a review's) are text.

    Raises:
        BadInput: the file cannot be read, or is no such table in UTF-8.
    """
    numeric = set(column_names(measured=True)) - text_columns()
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return [{key: _cell(text, key in numeric) for key, text in row.items()} for row in csv.DictReader(stream)]
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(
            f"{path} cannot be read as a lesion table. If it was edited elsewhere, save it as CSV in UTF-8, or take it "
            f"from a backup ({error})."
        ) from error


def _cell(text: str, numeric: bool) -> float | str | None:
    if not text:
        return None
    return float(text) if numeric else text
