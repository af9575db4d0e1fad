"""The series that DICOM output is derived from: headers for references and identity, its voxels for a check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.dicom import Series, read_series
from ...imaging.dicom_headers import quiet_pydicom
from ...imaging.dicom_person import DicomIdentity
from ...imaging.readers import is_dicom_choice
from ...imaging.volumes import Volume
from ...runtime.errors import BadInput
from .identity import complete_identity
from .needs import check_installed

T1W = "T1w"


@dataclass(frozen=True)
class Reference:
    """A T1w series.

    Attributes:
        headers: pydicom data sets without voxels, one for each slice in the order of the volume's last axis, or one for
            all of a multi-frame file.
        volume: its voxels.
        positions: (slices, 3) in LPS mm.
        person: whose it is.
        notes: for people.
    """

    headers: list[Any]
    volume: Volume
    positions: np.ndarray
    person: DicomIdentity
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Any:
        """A header, for what all slices share."""
        return self.headers[0]

    @property
    def uids(self) -> list[str]:
        """SOP instance UIDs of its files."""
        return [str(header.SOPInstanceUID) for header in self.headers]


def read_reference(path: Path) -> Reference:
    """Read the T1w series of a folder.

    Args:
        path: folder, or `FOLDER#NUMBER` to choose one of several series.

    Returns:
        Headers, voxels and identity of the series.

    Raises:
        BadInput: there is no such series, or its files lack what DICOM output refers to.
    """
    check_installed("highdicom", "DICOM output")
    if not is_dicom_choice(path):
        raise BadInput(f"There is no DICOM in {path.name or path}. Give the folder of the T1w's series.")
    series = read_series(path, T1W)
    label = f"The {T1W} {series.stack.title}"
    files = list(dict.fromkeys(frame.path for frame in series.frames))
    if len(files) not in (1, len(series.frames)):
        raise BadInput(f"{label} is spread over {len(files)} multi-frame files. Give it as one file, or one per slice.")
    headers = [_header(path, label) for path in files]
    notes = complete_identity(headers, label)
    _share_orientation(headers, series)
    image = series.image
    volume = Volume(np.asarray(image.data, np.float32), np.asarray(image.affine, float), image.name, image.notes)
    positions = np.array([frame.position for frame in series.frames])
    return Reference(headers, volume, positions, series.stack.person, notes)


def _header(path: Path, label: str) -> Any:
    import pydicom

    with quiet_pydicom():
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            header.walk(lambda data, element: None)  # decodes every value while pydicom is quiet
        except Exception as error:  # damaged files can raise anything in pydicom
            raise BadInput(f"{label} is damaged. Copy it again from its source.") from error
    return header


def _share_orientation(headers: list[Any], series: Series) -> None:
    """Give all slices the orientation of the series; scanners and anonymisers round it from slice to slice."""
    from pydicom.dataset import Dataset

    cosines = [float(f"{cosine:.10f}") for cosine in series.stack.orientation]
    if len(headers) == len(series.frames):
        for header in headers:
            header.ImageOrientationPatient = cosines
        return
    (header,) = headers
    shared = header.SharedFunctionalGroupsSequence[0]
    plane = Dataset()
    plane.ImageOrientationPatient = cosines
    shared.PlaneOrientationSequence = [plane]
    if "PixelMeasuresSequence" not in shared:
        group = header.PerFrameFunctionalGroupsSequence[series.frames[0].index]
        shared.PixelMeasuresSequence = group.PixelMeasuresSequence
