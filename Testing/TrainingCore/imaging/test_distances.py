from __future__ import annotations

import numpy as np
from scipy import ndimage

from TrainingCore.imaging.distances import depth_inside, distance_to

SPACING = (1.0, 0.8, 3.0)


def masks():
    rng = np.random.default_rng(3)
    blobs = ndimage.gaussian_filter(rng.standard_normal((30, 34, 28)), 2)
    inner = np.zeros(blobs.shape, bool)
    inner[8:20, 9:22, 6:15] = True
    yield blobs > 0.02  # reaches the edge of the array
    yield (blobs > 0.02) & inner
    yield np.pad(np.ones((1, 1, 1), bool), [(0, 29), (10, 23), (27, 0)])


def test_distances_in_a_box_equal_those_of_the_whole_array():
    for mask in masks():
        np.testing.assert_array_equal(
            depth_inside(mask, SPACING), ndimage.distance_transform_edt(mask, sampling=SPACING)
        )
        whole = ndimage.distance_transform_edt(~mask, sampling=SPACING)
        np.testing.assert_array_equal(distance_to(mask, 4.0, SPACING), np.where(whole <= 4.0, whole, np.inf))


def test_without_an_edge():
    empty = np.zeros((4, 5, 6), bool)
    assert not depth_inside(empty, SPACING).any()
    assert np.isinf(distance_to(empty, 3.0, SPACING)).all()
    assert np.isinf(depth_inside(~empty, SPACING)).all()
    assert not distance_to(~empty, 3.0, SPACING).any()
