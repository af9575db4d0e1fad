"""DICOM output of `synthesize`: which series it is derived from, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.result import Result
from ...imaging.dicom import read_series
from ...imaging.dicom_person import same_person
from ...imaging.readers import is_dicom_choice
from ...imaging.volumes import Volume
from ...runtime.errors import BadInput
from .belonging import world_of_reference
from .export import DicomFolder, write_dicom
from .needs import check_installed
from .reference import T1W, Reference, read_reference

if TYPE_CHECKING:
    from ...patient.inputs import PatientImages
    from ...patient.synthesis import Findings


def reference_of_visit(t1w: Path | None, series: Path | None) -> Reference:
    """The series that DICOM output is derived from.

    Args:
        t1w: the T1w of the visit, any format.
        series: a series, or None if the T1w is DICOM itself.

    Raises:
        BadInput: highdicom is missing, there is no series, or it is another patient's.
    """
    check_installed("highdicom", "DICOM output")
    from_dicom = t1w is not None and is_dicom_choice(t1w)
    if series is None and (t1w is None or not from_dicom):
        raise BadInput("--dicom needs the DICOM series of the T1w. Give its folder with --dicom-reference.")
    reference = read_reference(series if series is not None else t1w)  # type: ignore[arg-type]  # one of them is there
    if series is not None and t1w is not None and from_dicom:
        person = read_series(t1w, T1W).stack.person
        if not same_person(person, reference.person):
            raise BadInput("The --dicom-reference is another patient's than the T1w. Give the series of the T1w.")
    return reference


def world_of_visit(patient: PatientImages, reference: Reference) -> np.ndarray:
    """Relate the world of a visit's T1w to that of the DICOM series; see `world_of_reference`.

    Args:
        patient: images of the visit, with the T1w as it was read.
        reference: the DICOM series.

    Returns:
        4 x 4 matrix as that of `world_of_reference`.

    Raises:
        BadInput: the series is not that of the patient's T1w.
    """
    return world_of_reference(patient.images["t1w"], reference, patient.own_grids["t1w"])


def write_dicom_visit(
    folder: Path, result: Result, findings: Findings, reference: Reference, world: np.ndarray
) -> DicomFolder:
    """Write map, lesions and table of a visit on the T1w's own grid.

    Args:
        folder: where to.
        result: of the same findings, for the table and the provenance.
        findings: map and lesions.
        reference: the series.
        world: from `world_of_visit`.
    """
    own = findings.prepared.own
    grid = findings.brain.mask if own is None else own.brain
    dvr, labels = (findings.dvr, findings.labels) if own is None else (own.dvr, own.labels)
    assert dvr is not None
    voxel_to_world = world @ np.asarray(grid.affine, float)
    outlined = None if findings.lesions is None else labels
    return write_dicom(folder, reference, Volume(dvr, voxel_to_world), outlined, result.lesions(), result.provenance)
