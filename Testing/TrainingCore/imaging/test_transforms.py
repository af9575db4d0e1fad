from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from TrainingCore.imaging.transforms import generators, moved_along, read_transform, turns_and_shifts, write_transform
from TrainingCore.runtime.errors import BadInput

CENTRE = np.array([4.0, -20.0, 11.0])


def _some_matrix() -> np.ndarray:
    return moved_along(np.eye(4), generators(CENTRE, 60.0), np.array([5.0, -3.0, 8.0, 10.0, -6.0, 12.0]))


def test_a_rigid_change_stays_rigid_and_turns_about_the_centre():
    turned = moved_along(np.eye(4), generators(CENTRE, 60.0), np.array([0, 0, 0, 30.0, -50.0, 20.0]))
    np.testing.assert_allclose(turned[:3, :3] @ turned[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(turned[:3, :3] @ CENTRE + turned[:3, 3], CENTRE, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_one_unit_of_a_turn_moves_the_rim_by_at_most_one_mm(affine):
    rim = CENTRE + 60 * np.eye(3)
    directions = generators(CENTRE, 60.0, affine)
    assert len(directions) == (12 if affine else 6)
    for direction in directions:
        moved = moved_along(np.eye(4), direction[None], np.array([1.0]))
        length = np.linalg.norm(rim @ moved[:3, :3].T + moved[:3, 3] - rim, axis=1).max()
        assert length == pytest.approx(1.0, abs=0.02)


def test_turns_and_shifts_are_combined_each_with_each():
    turns, shifts = np.array([[0, 0, 0], [0, 0, np.pi / 2]]), np.array([[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    matrices = turns_and_shifts(CENTRE, turns, shifts)
    assert matrices.shape == (6, 4, 4)
    np.testing.assert_allclose(matrices[4][:3, :3] @ CENTRE + matrices[4][:3, 3], CENTRE + shifts[1])
    np.testing.assert_allclose(matrices[3][:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


@pytest.mark.parametrize("name", ["found.tfm", "found.txt"])
def test_a_written_transform_is_read_back_and_by_itk_in_lps(tmp_path, name):
    matrix = _some_matrix()
    write_transform(tmp_path / name, matrix)
    np.testing.assert_allclose(read_transform(tmp_path / name), matrix, atol=1e-12)
    point = np.array([10.0, 20.0, -30.0])
    lps = np.array(sitk.ReadTransform(str(tmp_path / name)).TransformPoint((point * [-1, -1, 1]).tolist()))
    np.testing.assert_allclose(lps * [-1, -1, 1], matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-9)


@pytest.mark.parametrize(
    "name", ["rigid.tfm", "rigid.txt", "rigid.mat", "rigid.h5", "composite.tfm", "composite.txt", "composite.h5"]
)
def test_rigid_transforms_with_a_centre_and_composites_are_read_as_others_write_them(tmp_path, name):
    transform = sitk.Euler3DTransform((3.0, 4.0, 5.0), 0.1, -0.2, 0.3, (7.0, 8.0, 9.0))
    if name.startswith("composite"):
        transform = sitk.CompositeTransform([transform, sitk.TranslationTransform(3, (1.0, 0.0, -1.0))])
    sitk.WriteTransform(transform, str(tmp_path / name))
    matrix = read_transform(tmp_path / name)
    point = np.array([-12.0, 5.0, 40.0])
    expected = np.array(transform.TransformPoint((point * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    np.testing.assert_allclose(matrix[:3, :3] @ point + matrix[:3, 3], expected, atol=1e-9)


def test_what_is_no_linear_transform_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_transform(tmp_path / "absent.tfm")
    (tmp_path / "words.tfm").write_text("no transform")
    with pytest.raises(BadInput, match="not an ITK transform file"):
        read_transform(tmp_path / "words.tfm")
    (tmp_path / "words.mat").write_bytes(bytes(range(64)))
    with pytest.raises(BadInput):
        read_transform(tmp_path / "words.mat")
    warp = sitk.DisplacementFieldTransform(sitk.Image([4, 4, 4], sitk.sitkVectorFloat64))
    sitk.WriteTransform(warp, str(tmp_path / "warp.h5"))
    with pytest.raises(BadInput, match="not a linear"):
        read_transform(tmp_path / "warp.h5")
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    write_transform(tmp_path / "flat.tfm", flat)
    with pytest.raises(BadInput, match="singular"):
        read_transform(tmp_path / "flat.tfm")


@pytest.mark.parametrize("size", [1e-9, 1e-3, 0.3, 2.5])
def test_the_exponential_is_that_of_scipy(size: float) -> None:
    from scipy.linalg import expm

    from TrainingCore.imaging.transforms import matrix_exponential

    change = np.zeros((4, 4))
    change[:3] = size * np.random.default_rng(0).normal(size=(3, 4)) * [1, 1, 1, 80]
    assert np.allclose(matrix_exponential(change), expm(change), rtol=1e-12, atol=1e-12)
