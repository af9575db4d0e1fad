from __future__ import annotations

import numpy as np
import pytest
import torch

from TrainingCore.systems.patches import cut_patches, patch_corners


def test_patches_are_the_slices_they_stand_for():
    volume = torch.randn(3, 20, 24, 31)
    corners = np.array([[0, 0, 0], [4, 8, 15], [1, 2, 3]])
    patches = cut_patches(volume, corners, 16)
    assert patches.shape == (3, 3, 16, 16, 16)
    for patch, (i, j, k) in zip(patches, corners):
        assert torch.equal(patch, volume[:, i : i + 16, j : j + 16, k : k + 16])


def test_gradients_of_overlapping_patches_add_up_where_they_overlap():
    volume = torch.zeros(1, 8, 8, 8, requires_grad=True)
    cut_patches(volume, np.array([[0, 0, 0], [2, 2, 2]]), 4).sum().backward()
    expected = torch.zeros(1, 8, 8, 8)
    expected[:, :4, :4, :4] += 1
    expected[:, 2:6, 2:6, 2:6] += 1
    assert torch.equal(volume.grad, expected)


def test_volumes_in_channels_last_order_give_the_same_patches():
    volume = torch.randn(1, 3, 20, 24, 18).to(memory_format=torch.channels_last_3d)
    corners = np.array([[3, 8, 2]])
    assert torch.equal(cut_patches(volume[0], corners), cut_patches(volume[0].contiguous(), corners))


def test_patches_near_a_border_are_shifted_inside():
    corners = patch_corners(np.array([[0, 64, 127], [10, 8, 9.6]]), (128, 128, 128), 16)
    assert corners.tolist() == [[0, 56, 112], [2, 0, 2]]


def test_no_patch_leaves_the_volume():
    shape = (16, 40, 17)
    corners = patch_corners(np.random.default_rng(0).uniform(-20, 60, (500, 3)), shape, 16)
    assert (corners >= 0).all()
    assert (corners + 16 <= shape).all()


def test_a_volume_smaller_than_a_patch_is_refused():
    with pytest.raises(ValueError, match="too small"):
        patch_corners(np.zeros((1, 3)), (128, 15, 128), 16)


def test_a_patch_outside_the_volume_is_refused():
    with pytest.raises(ValueError, match="leaves the volume"):
        cut_patches(torch.zeros(1, 20, 20, 20), np.array([[5, 0, 0]]), 16)


def test_masks_are_tensors_when_they_are_asked_for_and_the_same_ones_again():
    from TrainingCore.data.case import Case
    from TrainingCore.systems.samples import make_sample

    lesions = np.zeros((4, 5, 6), bool)
    lesions[1, 2, 3] = True
    volumes = {"t1w": np.zeros(lesions.shape, np.float32), "brain": np.ones(lesions.shape, bool), "lesions": lesions}
    sample = make_sample(Case("01", "1", volumes, np.eye(4)), ["t1w"], "t1w")
    assert set(sample.masks) == {"brain", "lesions"}
    mask = sample.masks["lesions"]
    assert (mask.dtype, tuple(mask.shape)) == (torch.float32, (1, 1, 4, 5, 6))
    assert mask.nonzero().tolist() == [[0, 0, 1, 2, 3]]
    assert sample.masks["lesions"] is mask
    del sample.masks["lesions"]
    assert float(sample.lesions.sum()) == 0
