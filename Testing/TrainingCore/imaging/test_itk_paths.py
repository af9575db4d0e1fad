"""Folders whose names are not UTF-8 end no process and leave nothing behind."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from TrainingCore.imaging.transforms import read_transform, write_transform
from TrainingCore.imaging.volumes import read_volume

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are always Unicode there")


@pytest.fixture
def odd_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller, Anna"))
    folder.mkdir()
    return folder


@pytest.mark.parametrize("ending", ["nrrd", "mha", "mhd", "nhdr"])
@pytest.mark.parametrize("name", [b"image", b"Kopf \xe4"])
def test_images_are_read_and_nothing_is_left(ending: str, name: bytes, odd_folder: Path, tmp_path: Path) -> None:
    if ending in ("mhd", "nhdr") and name != b"image":
        pytest.skip("a header and its voxels are two files with plain names")
    values = np.arange(6 * 5 * 4, dtype=np.int16).reshape(4, 5, 6)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"image.{ending}"))
    for path in tmp_path.glob("image.*"):
        plain = name == b"image"
        path.rename(odd_folder / (path.name if plain else os.fsdecode(name + os.fsencode(path.suffix))))
    found = read_volume(odd_folder / os.fsdecode(name + b"." + ending.encode()))
    assert sorted(found.data.ravel()) == sorted(values.ravel())
    assert not list((tmp_path / "temporary").iterdir())


def test_transforms_are_read_and_nothing_is_left(odd_folder: Path, tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = (1.0, -2.0, 3.0)
    write_transform(odd_folder / "move.tfm", matrix)
    assert np.allclose(read_transform(odd_folder / "move.tfm"), matrix)
    assert not list((tmp_path / "temporary").iterdir())
