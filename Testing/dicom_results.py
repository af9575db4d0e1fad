"""A small head's map and lesions as DICOM, for tests of what is written and of who reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_files import T1W, write_enhanced, write_series
from scipy import ndimage
from small_head import make_head

from TrainingCore.imaging.volumes import Volume

STUDY_TAGS = {"FrameOfReferenceUID": "1.2.3.4", "StudyDate": "20240101", "StudyTime": "101010", "PatientSex": "F"}
PROVENANCE = {
    "model": {"name": "demo", "weights_sha256": "ab" * 32, "simulated_training_data": True},
    "simulated_patient": False,
    "lesion_source": "given",
}
ROWS = [
    {"id": 1.0, "region": "periventricular", "volume_mm3": 1107.0, "mean_dvr": 0.91234, "sd_dvr": 0.1, "min_dvr": 0.5,
     "ratio_to_nawm": 0.8, "ratio_to_surrounding": None},
    {"id": 3.0, "region": None, "volume_mm3": 54.0, "mean_dvr": 1.1, "sd_dvr": 0.0, "min_dvr": 1.0},
]  # fmt: skip
OBLIQUE = np.array([[-2.9, 0.5, 0.3, 80], [0.4, 2.9, -0.6, -90], [-0.4, 0.6, 2.9, -80], [0, 0, 0, 1.0]])


def turned(angle_affine: np.ndarray) -> np.ndarray:
    """The nearest affine with perpendicular axes of 3 mm."""
    left, _, right = np.linalg.svd(angle_affine[:3, :3])
    affine = angle_affine.copy()
    affine[:3, :3] = 3 * left @ right
    return affine


def make_arrays() -> dict[str, np.ndarray]:
    """A small head with a map and lesion labels; lesion 2 was deleted in review."""
    head = make_head()
    labels, _ = ndimage.label(head["lesions"])
    labels[labels == 2] = 0
    noise = 0.1 * np.random.default_rng(0).standard_normal(labels.shape)
    dvr = np.where(head["brain"], 1 + noise, 0).astype(np.float32)
    return {"t1w": np.clip(head["t1w"], 0, None), "dvr": dvr, "labels": labels, "brain": head["brain"]}


def series(folder: Path, arrays: dict[str, np.ndarray], kind: str = "single", **tags: Any) -> Path:
    """The T1w as oblique DICOM; tags: of the series, None to leave one out."""
    volume = Volume(arrays["t1w"], turned(OBLIQUE))

    def change(data: Any) -> None:
        for name, value in (STUDY_TAGS | tags).items():
            if value is None:
                data.pop(name, None)
            else:
                setattr(data, name, value)

    if kind == "enhanced":
        write_enhanced(folder / "multi.dcm", volume, T1W, each=change)
    else:
        write_series(folder, volume, T1W, each=lambda _k, data: change(data))
    return folder


def read_back(path: Path) -> Volume:
    """A parametric map as a volume in RAS, by pydicom alone, its slices in the order of the T1w's last axis."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    turn = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    places = np.array(
        [frame.PlanePositionSequence[0].ImagePositionPatient for frame in data.PerFrameFunctionalGroupsSequence], float
    )
    values = np.frombuffer(data.FloatPixelData, "<f4").reshape(data.NumberOfFrames, data.Rows, data.Columns)
    order = np.argsort(places @ np.cross(*turn))
    lps = np.eye(4)
    lps[:3, :2] = (turn * spacing[::-1, None]).T
    lps[:3, 2] = (places[order[-1]] - places[order[0]]) / (len(order) - 1)
    lps[:3, 3] = places[order[0]]
    return Volume(values[order].T, np.diag([-1.0, -1, 1, 1]) @ lps)


def to_ras(affine: np.ndarray) -> np.ndarray:
    """highdicom's affine, (slice, row, column) -> LPS, as (column, row, slice) -> RAS."""
    return np.diag([-1.0, -1, 1, 1]) @ affine @ np.eye(4)[:, [2, 1, 0, 3]]
