"""The point at which a lesion is shown lies in the lesion."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.lesion_points import point_in_lesion

AFFINE = np.array([[0, -2.0, 0, 30], [-1.0, 0, 0, 12], [0, 0, 3.0, -9], [0, 0, 0, 1]])


def centre_of(labels: np.ndarray, label: int) -> np.ndarray:
    return AFFINE[:3, :3] @ np.argwhere(labels == label).mean(axis=0) + AFFINE[:3, 3]


def voxel_of(point: np.ndarray) -> tuple[int, ...]:
    return tuple(np.rint(np.linalg.inv(AFFINE) @ [*point, 1.0]).astype(int)[:3].tolist())


def test_the_centre_of_gravity_is_kept_where_it_lies_in_the_lesion() -> None:
    labels = np.zeros((12, 12, 8), np.int32)
    labels[2:6, 3:5, 1:3] = 4
    np.testing.assert_array_equal(point_in_lesion(labels, 4, AFFINE, centre_of(labels, 4)), centre_of(labels, 4))


def test_a_lesion_of_two_parts_is_shown_in_the_middle_of_the_larger_one() -> None:
    labels = np.zeros((20, 12, 9), np.uint8)
    labels[0:5, 1:6, 1:6] = 2
    labels[13:17, 1:6, 1:5] = 2
    labels[7:10, 1:6, 1:6] = 1  # the centre of gravity lies in another lesion
    assert labels[voxel_of(centre_of(labels, 2))] == 1
    assert voxel_of(point_in_lesion(labels, 2, AFFINE, centre_of(labels, 2))) == (2, 3, 3)


def test_a_crescent_is_shown_at_its_middle() -> None:
    i, j, k = np.mgrid[:25, :25, :3]
    away = np.hypot(i - 12, j - 3)
    labels = ((away >= 9) & (away < 11) & (j > 5) & (k == 1)).astype(np.int16)
    voxel = voxel_of(point_in_lesion(labels, 1, AFFINE, centre_of(labels, 1)))
    assert labels[voxel] == 1
    assert abs(voxel[0] - 12) <= 4


@pytest.mark.parametrize("centre", [(30.0, 12.0, -9.0), (900.0, 0.0, 0.0)])
def test_a_lesion_at_the_edge_or_without_voxels(centre: tuple[float, float, float]) -> None:
    labels = np.zeros((4, 4, 4), np.int32)
    np.testing.assert_array_equal(point_in_lesion(labels, 1, AFFINE, centre), centre)
    labels[3, 3, 3] = 1
    assert voxel_of(point_in_lesion(labels, 1, AFFINE, centre)) == (3, 3, 3)
