"""DICOM of a small head, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """A small head with a map and lesion labels; lesion 2 was deleted in review."""
    pytest.importorskip("highdicom")
    from dicom_results import make_arrays

    return make_arrays()


@pytest.fixture(scope="session", params=["single", "enhanced"])
def written(request, tmp_path_factory, arrays):
    """The folder of DICOM of a series with one file for each slice, and of a multi-frame one, and that series."""
    from dicom_results import OBLIQUE, PROVENANCE, ROWS, series, turned

    from TrainingCore.imaging.volumes import Volume
    from TrainingCore.reporting.dicom.export import write_dicom
    from TrainingCore.reporting.dicom.reference import read_reference

    folder: Path = tmp_path_factory.mktemp(request.param)
    reference = read_reference(series(folder / "t1w", arrays, request.param))
    dvr = Volume(arrays["dvr"], turned(OBLIQUE))
    write_dicom(folder / "dicom", reference, dvr, arrays["labels"], ROWS, PROVENANCE)
    return folder / "dicom", reference
