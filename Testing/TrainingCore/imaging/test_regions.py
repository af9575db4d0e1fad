from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.imaging.regions import (
    ATLAS,
    REGIONS,
    RegionMasks,
    align_to_atlas,
    decode_regions,
    encode_regions,
    lesion_regions,
)
from TrainingCore.imaging.registration import brain_points, mean_distance
from TrainingCore.imaging.volumes import Volume, read_volume, resample


def test_lesions_are_named_after_what_they_touch():
    shape = (40, 40, 40)
    masks = {name: np.zeros(shape, bool) for name in ("infratentorial", "ventricles", "cortex")}
    masks["infratentorial"][:, :, :10] = True
    masks["ventricles"][18:22, 10:30, 20:30] = True
    masks["cortex"][36:38] = True
    labels = np.zeros(shape, int)
    labels[4:7, 4:7, 3:7] = 1  # below the tentorium
    labels[22:25, 15:18, 24:27] = 2  # beside the ventricle
    labels[33:36, 20:23, 30:33] = 3  # beside the cortex
    labels[28:30, 20:22, 25:27] = 4  # none of these
    labels[19:37, 12:14, 24:26] = 6  # from the ventricle to the cortex; there is no lesion 5
    found = lesion_regions(labels, RegionMasks(**masks), (1.0, 1.0, 1.0))
    assert found == [
        "infratentorial", "periventricular", "juxtacortical", "deep white matter", "", "periventricular"
    ]  # fmt: skip
    assert set(found) - {""} == set(REGIONS)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 3.3), (3.0, 3.0, 3.0), (4.0, 4.0, 4.0)])
def test_face_neighbours_touch_however_large_the_voxels(spacing):
    shape = (24, 24, 24)
    masks = {name: np.zeros(shape, bool) for name in ("infratentorial", "ventricles", "cortex")}
    masks["ventricles"][8:12, 8:12, 8:12] = True
    masks["cortex"][:, :, 21:] = True
    labels = np.zeros(shape, int)
    labels[9:11, 9:11, 12:14] = 1  # upon the ventricle
    labels[2:5, 2:5, 19:21] = 2  # below the cortex
    labels[16:18, 16:18, 10:12] = 3  # neither
    assert lesion_regions(labels, RegionMasks(**masks), spacing) == [
        "periventricular", "juxtacortical", "deep white matter"
    ]  # fmt: skip


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.0, 1.5, 2.0)])
def test_voxels_up_to_2_mm_touch_within_2_mm_only(spacing):
    mask = np.random.default_rng(0).random((20, 20, 20)) > 0.995
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
    labels = np.arange(1, mask.size + 1).reshape(mask.shape)  # every voxel a lesion
    nothing = np.zeros(mask.shape, bool)
    regions = np.reshape(lesion_regions(labels, RegionMasks(nothing, mask, nothing), spacing), mask.shape)
    np.testing.assert_array_equal(regions == "periventricular", distance <= 2)


def test_a_lesion_that_grazes_the_cortex_stays_in_the_deep_white_matter():
    labels = np.zeros((40, 40, 40), int)
    labels[10:34, 20:24, 20:24] = 1
    nothing = np.zeros(labels.shape, bool)
    cortex = nothing.copy()
    cortex[36:] = True
    assert lesion_regions(labels, RegionMasks(nothing, nothing, cortex), (1.0, 1.0, 1.0)) == ["deep white matter"]


def test_a_head_of_another_size_and_tilt_is_aligned_to_the_atlas():
    atlas = read_volume(ATLAS / "t1w.nii.gz", "atlas")
    angle = np.deg2rad(15)
    truth = np.eye(4)
    truth[:3, :3] = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]) * 1.1
    truth[:3, 3] = [12, -30, 25]
    shape, affine = (90, 104, 90), np.diag([2.0, 2.0, 2.0, 1.0])
    middle = np.linalg.inv(truth) @ [0, -18, 4, 1]
    affine[:3, 3] = middle[:3] - np.array(shape)
    values = resample(atlas, shape, affine, truth)
    head = Volume(values.astype(np.float32), affine)
    brain = Volume((values > 20).astype(np.float32), affine)
    assert mean_distance(brain_points(brain), align_to_atlas(head, brain), truth) < 1.5


def test_real_lesions_in_pons_and_cerebellum_are_infratentorial(real_data):
    if not real_data:
        pytest.skip("no real data")
    from TrainingCore.imaging.labelling import label_lesions
    from TrainingCore.imaging.regions import find_regions
    from TrainingCore.imaging.tissues import segment_tissues

    folder = real_data / "ms_mni" / "sub-07" / "anat"
    t1w, flair, mask = (
        read_volume(folder / f"sub-07_space-MNI152_{name}.nii.gz", mask=name.endswith("mask"))
        for name in ("desc-brain_T1w", "desc-brain_FLAIR", "label-lesion_mask")
    )
    brain = t1w.with_data((t1w.data > 0).astype(np.float32))
    tissues = segment_tissues(t1w.data, flair.data, brain.data > 0.5, mask.data > 0.5, tuple(t1w.spacing))
    places = find_regions(t1w, brain, tissues, align_to_atlas(t1w, brain))
    labels, _volumes = label_lesions(mask.data, t1w.voxel_volume)
    regions = lesion_regions(labels, places, tuple(t1w.spacing))
    # seen on the slices: the largest (210 mm3) lies in the left cerebellar peduncle, the third beside the ventricle
    assert regions[0] == "infratentorial"
    assert regions[2] == "periventricular"
    assert {"juxtacortical", "deep white matter"} <= set(regions)


def test_places_come_back_from_one_image():
    generator = np.random.default_rng(2)
    places = RegionMasks(*(generator.random((4, 5, 6)) > 0.5 for _mask in RegionMasks._fields))
    coded = encode_regions(places)
    assert coded.dtype == np.uint8
    for mask, again in zip(places, decode_regions(coded)):
        np.testing.assert_array_equal(mask, again)
