"""Where NIfTI, Analyze and MGH files lie, by headers that other programs write."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.imaging.nifti_position import opposite_axes
from TrainingCore.imaging.volumes import read_volume, write_volume
from TrainingCore.runtime.errors import BadInput

SHAPE = (91, 40, 30)  # 182 mm long with voxels of 2 mm, as a head is
LAS = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
TO_MNI = np.array([[1.14, 0.02, -0.01, 3], [-0.015, 1.12, 0.06, -5], [0.01, -0.05, 1.16, 8], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 900, SHAPE).astype(np.int16)


def _image(values: np.ndarray, qform: np.ndarray = LAS, q: int = 1, sform: np.ndarray = LAS, s: int = 1):
    image = nib.Nifti1Image(values, LAS)
    image.header.set_xyzt_units("mm")
    image.set_qform(qform, q)
    image.set_sform(sform, s)
    return image


def _bytes(values: np.ndarray, at: int = 0, fmt: str = "", *numbers: float) -> bytes:
    content = bytearray(_image(values).to_bytes())
    if fmt:
        struct.pack_into("<" + fmt, content, at, *numbers)
    return bytes(content)


def _read(content: bytes, folder: Path, name: str = "t1.nii"):
    (folder / name).write_bytes(content)
    return read_volume(folder / name)


HALF = (LAS[:3] @ np.diag([0.5, 0.5, 0.5, 1])).ravel()


@pytest.mark.parametrize(
    ("at", "fmt", "numbers", "said"),
    [
        (256, "fff", (0.0, 1.0000003, 0.0), ""),
        (256, "fff", (3.0, 4.0, 0.0), ""),
        (80, "f", (-2.0,), ""),
        (80, "fff", (1.0, 1.0, 1.0), "qform with voxels of 1 x 1 x 1 mm"),
        (280, "12f", HALF, "sform with voxels of 1 x 1 x 1 mm"),
        (280, "12f", (np.nan,) * 12, "broken sform"),
        (123, "B", (3,), "its unit is micron"),
        (123, "B", (1,), "its unit is meter"),
        (348, "B", (1,), ""),
        (112, "ff", (0.0, np.nan), ""),
    ],
)
def test_a_header_with_one_flaw_is_read_where_the_rest_of_it_says(at, fmt, numbers, said, values, tmp_path):
    read = _read(_bytes(values, at, fmt, *numbers), tmp_path)
    assert np.allclose(read.affine, LAS, atol=1e-4)
    assert np.array_equal(read.data, values)
    assert said in " ".join(read.notes)
    assert bool(read.notes) == bool(said)


def test_a_file_is_opened_by_its_content(values, tmp_path):
    content = _bytes(values)
    for name, written in (("a.nii", gzip.compress(content, 1)), ("b.nii.gz", content)):
        assert np.array_equal(_read(written, tmp_path, name).data, values)


def test_freesurfer_and_pairs_of_files_are_read(values, tmp_path):
    nib.save(nib.MGHImage(values.astype(np.float32), LAS), tmp_path / "t1.mgz")
    nib.save(nib.Nifti1Pair(values, LAS), tmp_path / "pair.img")
    for name in ("t1.mgz", "pair.img", "pair.hdr"):
        read = read_volume(tmp_path / name)
        assert np.allclose(read.affine, LAS, atol=1e-4)
        assert np.array_equal(read.data, values)
    nib.save(nib.AnalyzeImage(values, np.diag([-2.0, 2, 2, 1])), tmp_path / "old.img")
    old = read_volume(tmp_path / "old.hdr")
    assert np.array_equal(old.data, values)
    assert "left and right may be swapped" in old.notes[0]
    (tmp_path / "old.img").unlink()
    with pytest.raises(BadInput, match=r"needs old\.img beside it"):
        read_volume(tmp_path / "old.hdr")


@pytest.mark.parametrize("code", [3, 4, 2])
def test_an_affine_to_a_template_leaves_volumes_in_scanner_mm(code, values, tmp_path):
    nib.save(_image(values, sform=TO_MNI @ LAS, s=code), tmp_path / "t1.nii")
    read = read_volume(tmp_path / "t1.nii")
    assert read.voxel_volume == pytest.approx(8, rel=1e-4)
    assert "volumes 1.48 times" in read.notes[0]
    assert np.allclose(read.other, TO_MNI @ LAS, atol=1e-3)


@pytest.mark.parametrize("turned", [(0, 1), (2,), (0,)])
def test_forms_that_disagree_about_left_and_right_say_so(turned, values, tmp_path):
    signs = np.ones(4)
    signs[list(turned)] = -1
    names = [("left and right", "front and back", "top and bottom")[axis] for axis in turned]
    assert opposite_axes(np.diag(signs) @ LAS, LAS) == names
    nib.save(_image(values, qform=np.diag(signs) @ LAS), tmp_path / "t1.nii")
    assert f"disagree about {' and '.join(names)}" in read_volume(tmp_path / "t1.nii").notes[0]


@pytest.mark.parametrize(("q", "s"), [(1, 1), (2, 0), (0, 4), (1, 4), (0, 0)])
def test_outputs_carry_the_codes_and_places_of_their_input(q, s, values, tmp_path):
    sform = TO_MNI @ LAS if (q, s) == (1, 4) else LAS
    image = _image(values, q=q, sform=sform, s=s)
    nib.save(image, tmp_path / "t1.nii")
    read = read_volume(tmp_path / "t1.nii")
    write_volume(tmp_path / "map.nii", read.data, read.affine, forms=read.forms)
    written = nib.load(tmp_path / "map.nii")
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (q, s)
    assert np.allclose(written.affine, image.affine, atol=1e-4)
    assert np.allclose(read_volume(tmp_path / "map.nii").affine, read.affine, atol=1e-4)
