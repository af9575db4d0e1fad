"""What a lesion table says, checked against scipy.ndimage voxel by voxel."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.evaluation.lesions import demyelination_limit, lesion_table, surrounding_nawm_mean
from TrainingCore.imaging.labelling import label_lesions, mean_by_label
from TrainingCore.imaging.volumes import read_volume

AFFINE = np.array([[-1.5, 0, 0, 60], [0, 1.5, 0, -70], [0, 0, 1.5, -40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def patient() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    shape = (48, 52, 44)
    smooth = ndimage.gaussian_filter(generator.standard_normal(shape), 1.5)
    white = np.zeros(shape, bool)
    white[6:42, 6:46, 6:38] = True
    lesions = white & (smooth > np.quantile(smooth[white], 0.97))
    dvr = (1.2 - 0.25 * lesions + 0.02 * generator.standard_normal(shape)).astype(np.float32)
    return {"white": white, "lesions": lesions, "dvr": dvr, "nawm": white & ~lesions}


def test_labels_join_voxels_that_touch_by_a_corner_and_keep_the_rest_apart():
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[1, 1, 1] = mask[2, 2, 2] = 1
    mask[5, 5, 5:8] = 1
    labels, volumes = label_lesions(mask, voxel_volume=2.0)
    assert labels.dtype == np.int32
    assert volumes.tolist() == [6.0, 4.0]
    assert set(labels[5, 5, 5:8]) == {1}
    assert labels[1, 1, 1] == labels[2, 2, 2] == 2


def test_labels_agree_with_scipy_and_fall_in_volume(patient):
    labels, volumes = label_lesions(patient["lesions"], 3.375)
    reference, count = ndimage.label(patient["lesions"], np.ones((3, 3, 3)))
    pairs = np.unique(np.stack([labels.ravel(), reference.ravel()]), axis=1)
    assert pairs.shape[1] == count + 1 == volumes.size + 1
    assert np.all(np.diff(volumes) <= 0)


def test_small_lesions_lose_their_label_and_the_limit_itself_stays():
    mask = np.zeros((8, 8, 8), bool)
    mask[0, 0, 0] = True
    mask[4, 4, 4:6] = True
    labels, volumes = label_lesions(mask, 1.5, minimum_mm3=3.0)
    assert volumes.tolist() == [3.0]
    assert labels[0, 0, 0] == 0


def test_an_empty_mask_gives_no_lesions():
    labels, volumes = label_lesions(np.zeros((4, 4, 4)), 1.0)
    assert labels.shape == (4, 4, 4)
    assert volumes.size == 0
    assert lesion_table(labels, np.ones((4, 4, 4)), np.ones((4, 4, 4), bool), np.eye(4)) == []
    assert surrounding_nawm_mean(labels, np.ones((4, 4, 4), bool), np.ones((4, 4, 4)), np.eye(4)).size == 0


def test_the_table_agrees_with_scipy_lesion_by_lesion(patient):
    labels, volumes = label_lesions(patient["lesions"], 3.375)
    dvr, nawm = patient["dvr"], patient["nawm"]
    rows = lesion_table(labels, dvr, nawm, AFFINE, measured=dvr + 0.1)
    ids = np.arange(1, volumes.size + 1)
    assert [row["id"] for row in rows] == ids.tolist()
    threshold = dvr[nawm].mean() - 2 * dvr[nawm].std()
    expected = {
        "volume_mm3": volumes,
        "mean_dvr": ndimage.mean(dvr, labels, ids),
        "sd_dvr": ndimage.standard_deviation(dvr, labels, ids),
        "min_dvr": ndimage.minimum(dvr, labels, ids),
        "ratio_to_nawm": ndimage.mean(dvr, labels, ids) / dvr[nawm].mean(),
        "demyelinated_share": ndimage.mean(dvr < threshold, labels, ids),
        "measured_mean_dvr": ndimage.mean(dvr + 0.1, labels, ids),
    }
    for name, values in expected.items():
        np.testing.assert_allclose([row[name] for row in rows], values, rtol=1e-5, atol=1e-6, err_msg=name)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, ids)) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    np.testing.assert_allclose([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows], centres, atol=1e-6)


def test_the_surrounding_is_a_shell_of_nawm_away_from_every_lesion(patient):
    labels, volumes = label_lesions(patient["lesions"], 3.375)
    found = surrounding_nawm_mean(labels, patient["nawm"], patient["dvr"], AFFINE)
    to_any = ndimage.distance_transform_edt(labels == 0, sampling=1.5)
    for label in (1, volumes.size // 2, volumes.size):
        distance = ndimage.distance_transform_edt(labels != label, sampling=1.5)
        shell = patient["nawm"] & (distance <= 8) & (to_any >= 2)
        assert found[label - 1] == pytest.approx(patient["dvr"][shell].mean(), abs=1e-6)


def test_a_given_threshold_decides_what_is_demyelinated(patient):
    labels, _ = label_lesions(patient["lesions"], 3.375)
    table = [lesion_table(labels, patient["dvr"], patient["nawm"], AFFINE, demyelination_threshold=t) for t in (0, 9)]
    assert {row["demyelinated_share"] for row in table[0]} == {0.0}
    assert {row["demyelinated_share"] for row in table[1]} == {1.0}


def test_what_cannot_be_estimated_is_none_and_not_a_number_from_nowhere():
    labels = np.zeros((10, 10, 10), np.int32)
    labels[2, 2, 2], labels[7, 7, 7] = 1, 2
    dvr = np.full(labels.shape, 1.1)
    dvr[2, 2, 2] = np.nan
    first, second = lesion_table(labels, dvr, np.zeros(labels.shape, bool), np.eye(4))
    assert first["mean_dvr"] is None
    assert first["min_dvr"] is None
    assert second["mean_dvr"] == pytest.approx(1.1)
    assert second["ratio_to_nawm"] is None
    assert second["surrounding_nawm_dvr"] is None
    assert second["demyelinated_share"] is None
    assert demyelination_limit(dvr, np.zeros(labels.shape, bool)) is None


def test_hundreds_of_lesions_at_one_millimetre_take_no_time():
    generator = np.random.default_rng(0)
    labels = np.zeros((182, 218, 182), np.int32)
    starts = np.stack(np.meshgrid(*[np.arange(20, 150, 18)] * 3, indexing="ij"), -1).reshape(-1, 3)[:300]
    for label, (i, j, k) in enumerate(starts, start=1):
        labels[i : i + 5, j : j + 5, k : k + 5] = label
    dvr = generator.normal(1.1, 0.1, labels.shape).astype(np.float32)
    nawm = labels == 0
    elapsed = []
    for _ in range(3):
        started = time.process_time()
        rows = lesion_table(labels, dvr, nawm, np.eye(4))
        elapsed.append(time.process_time() - started)
    assert len(rows) == 300
    assert min(elapsed) < 1.0  # about 0.2 s alone on two cores; the margin is for a busy machine


def test_real_lesions_are_dark_on_t1w_against_what_surrounds_them(real_data):
    anatomy = real_data / "ms_mni" / "sub-19" / "anat"
    mask = read_volume(anatomy / "sub-19_space-MNI152_label-lesion_mask.nii.gz", "lesion mask", mask=True)
    t1w = read_volume(anatomy / "sub-19_space-MNI152_desc-brain_T1w.nii.gz")
    labels, volumes = label_lesions(mask.data, mask.voxel_volume)
    assert volumes.size == ndimage.label(mask.data, np.ones((3, 3, 3)))[1]
    assert volumes.sum() == pytest.approx(49.8e3, rel=0.01)  # the load that the data's README gives
    bright = t1w.data > np.percentile(t1w.data[t1w.data > 0], 60)
    rows = lesion_table(labels, t1w.data, bright & (labels == 0), t1w.affine)
    large = [row for row in rows if row["volume_mm3"] >= 50 and row["surrounding_nawm_dvr"] is not None]
    assert len(large) >= 10
    assert np.mean([row["ratio_to_surrounding"] < 1 for row in large]) > 0.9
    centres = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows])
    assert np.abs(centres).max() < 110
    assert (centres[:, 0] > 0).any()
    assert (centres[:, 0] < 0).any()


def test_means_by_label_leave_empty_labels_without_a_value() -> None:
    labels = np.array([[[0, 1], [1, 3]]])
    means = mean_by_label(labels, np.array([[[9, 2], [4, 7]]], np.float32), count=4)
    np.testing.assert_array_equal(means, [np.nan, 3.0, np.nan, 7.0, np.nan])
