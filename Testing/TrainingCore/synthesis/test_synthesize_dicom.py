"""From a patient's DICOM folder to a Result that does not name the patient."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pydicom")

from dicom_files import FLAIR, PATIENT, T1W, write_enhanced, write_series

from TrainingCore.imaging.volumes import Volume, read_volume

AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])


def test_one_dicom_folder_gives_a_result_that_names_nobody(head, bundle, command, tmp_path, capsys):
    disc, out = tmp_path / "disc", tmp_path / "result"
    t1w, flair = (Volume(np.clip(head[name], 0, None), AFFINE) for name in ("t1w", "flair"))
    write_series(disc / "1", t1w, T1W)
    write_series(disc / "1", t1w, T1W | {"SeriesNumber": 8, "MRAcquisitionType": "2D", "SliceThickness": 3})
    write_enhanced(disc / "2/IM", flair, FLAIR)
    assert command("--t1", disc, "--flair", disc, "--model", bundle, "--progress", "none", "--out", out) == 0
    said = capsys.readouterr().err
    assert 'The T1w series 3 "t1_mprage_sag" was chosen among' in said
    dvr = next(out.glob("*dvr*.nii.gz"))
    assert np.allclose(np.sort(np.abs(read_volume(dvr).affine[:3, :3]).sum(axis=0)), 3, atol=1e-4)
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".html", ".csv", ".txt"):
            text = path.read_text(encoding="utf-8")
            assert not any(word in text for word in (*PATIENT.values(), "Secret")), path
    assert not any(str(word) in said for word in PATIENT.values())
