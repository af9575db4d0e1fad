"""A folder of DICOM for one Result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...data.result import DVR, LESION_LABELS, LESIONS, Result
from ...data.review import rejected_lesions, without
from ...imaging.dicom_headers import quiet_pydicom
from ...imaging.volumes import Volume, read_volume
from ...runtime.errors import BadInput
from ...runtime.files import atomic_folder, write_text
from .belonging import world_of_reference
from .identity import identity_of
from .needs import check_installed
from .origin import Origin
from .planes import planes_of
from .reference import Reference

MAP, SEGMENTATION, REPORT, README = "dvr_map.dcm", "lesions.dcm", "lesion_report.dcm", "README.txt"
IDENTITY = "The DICOM files carry the identity of the patient (name, number, dates), copied from the T1w series."
NO_LESIONS = "There are no lesions: the DICOM folder holds the map alone."


@dataclass(frozen=True)
class DicomFolder:
    """DICOM files that were written.

    Attributes:
        path: the folder.
        files: names of the files.
        notes: sentences for the user.
    """

    path: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def write_dicom(
    folder: Path,
    reference: Reference,
    dvr: Volume,
    labels: np.ndarray | None,
    rows: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    earlier: Mapping[int, str] | None = None,
) -> DicomFolder:
    """Write the map and, where there are lesions, their segmentation and report; the folder appears when complete.

    Args:
        folder: where to; replaced where it holds an older export.
        reference: the T1w series that the objects are derived from.
        dvr: synthetic DVR, unitless, 0 outside the brain, in the T1w series' world.
        labels: (I, J, K) lesion numbers on the same grid, or None.
        rows: the lesion table.
        provenance: of the Result.
        earlier: tracking UIDs of lesions that an earlier visit's objects hold already, by lesion number.

    Raises:
        BadInput: the folder cannot be written, or the grid cannot be held by DICOM.
    """
    check_installed("highdicom", "DICOM output")
    from .lesion_report import lesion_report
    from .parametric_map import parametric_map
    from .segmentation import lesion_numbers, segmentation, tracking_uids

    marked = None if labels is None or not lesion_numbers(labels) else labels
    if marked is not None:
        _check_table(rows, marked)
    planes = planes_of(dvr.data.shape, dvr.affine, reference)
    parts = [np.ascontiguousarray(array).tobytes() for array in (dvr.data, dvr.affine, marked) if array is not None]
    tracking = {} if marked is None else tracking_uids(marked, reference, earlier)
    words = [*reference.uids, identity_of(reference.first), list(map(dict, rows)), tracking]
    origin = Origin.of(provenance, repr(words).encode(), *parts)
    notes = [IDENTITY, *reference.notes]
    with atomic_folder(folder, MAP) as making, quiet_pydicom():
        files = {MAP: parametric_map(dvr.data, planes, reference, origin)}
        if marked is None:
            notes.append(NO_LESIONS)
        else:
            files[SEGMENTATION] = segmentation(marked, planes, reference, origin, tracking)
            files[REPORT] = lesion_report(rows, files[MAP], files[SEGMENTATION], reference, origin)
        for name, data in files.items():
            data.save_as(making / name, enforce_file_format=True)
        write_text(making / README, "\n".join([origin.derivation, *notes, ""]))
    return DicomFolder(folder, tuple(files), tuple(notes))


def _check_table(rows: Sequence[Mapping[str, Any]], labels: np.ndarray) -> None:
    """Raise BadInput if a lesion of the label map has no row in the table."""
    if not set(np.unique(labels).tolist()) - {0} <= {int(row["id"]) for row in rows}:
        raise BadInput(f"{LESION_LABELS} holds lesions that {LESIONS} does not. Run synthesize again.")


def dicom_of_result(result: Result, reference: Reference, t1w: Volume, folder: Path) -> DicomFolder:
    """Write a Result as DICOM; lesions that a review in it rejected are left out.

    Args:
        result: of a myelin map.
        reference: the T1w series.
        t1w: the T1w that the Result was made from; it decides whether the series is the right one.
        folder: where to.

    Raises:
        BadInput: the series is not that of the T1w, or the folder cannot be written.
    """
    world = world_of_reference(t1w, reference)
    dvr = read_volume(result.path / DVR, "DVR map", may_be_empty=True)
    labels = None
    if (result.path / LESION_LABELS).is_file():
        labels = np.round(read_volume(result.path / LESION_LABELS, "lesion labels", may_be_empty=True).data).astype(int)
    rejected = rejected_lesions(result.path)
    labels, rows = without(rejected, labels, result.lesions())
    aligned = Volume(dvr.data, world @ dvr.affine)
    written = write_dicom(folder, reference, aligned, labels, rows, result.provenance)
    if not rejected:
        return written
    single = len(rejected) == 1
    note = f"{len(rejected)} rejected lesion{' is' if single else 's are'} left out."
    return replace(written, notes=(*written.notes, note))
