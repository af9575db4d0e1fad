from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from TrainingCore.imaging.brain_mask import find_brain
from TrainingCore.imaging.registration import Registration, brain_points, mean_distance, register
from TrainingCore.imaging.volumes import Volume, matrix_of_sitk, read_volume, resample
from TrainingCore.runtime.errors import BadInput

SHAPE, SPACING = (64, 72, 60), 2.8


@pytest.fixture(scope="module")
def head() -> dict[str, Volume]:
    """T1w and FLAIR of a folded egg with a skull around it, one grid, in register."""
    affine = np.diag([-SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = np.array([1, -1, -1]) * SPACING * (np.array(SHAPE) - 1) / 2
    i, j, k = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    x, y, z = (np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]).transpose(3, 0, 1, 2)
    radius = np.sqrt((x / 62) ** 2 + (y / 76) ** 2 + ((z - 0.05 * y) / 60) ** 2)
    folds = 0.06 * np.sin(x / 7) * np.sin(y / 8 + 1) * np.cos(z / 9)
    brain, white = radius < 0.95, radius + folds < 0.75
    ventricles = (np.abs(np.abs(x) - 12) < 6) & (np.abs(y + 5) < 24) & (np.abs(z - 4) < 10)
    skin = (radius > 1.08) & (radius < 1.18)
    rng = np.random.default_rng(1)
    t1w = np.select([ventricles, white, brain, skin], [150, 700, 500, 900], 5.0)
    flair = np.select([ventricles, white, brain, skin], [120, 480, 570, 500], 5.0)
    noisy = [ndimage.gaussian_filter(image, 0.5) + 8 * rng.standard_normal(SHAPE) for image in (t1w, flair)]
    volumes = [Volume(image.astype(np.float32), affine) for image in (*noisy, brain)]
    return dict(zip(("t1w", "flair", "brain"), volumes))


def _rigid(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    return matrix_of_sitk(sitk.Euler3DTransform((0.0, 0.0, 0.0), *angles, shift))


def _moved(image: Volume, matrix: np.ndarray) -> Volume:
    return Volume(image.data, matrix @ image.affine, image.name)


FAR = _rigid((0.3, -0.25, 0.35), (25.0, -22.0, 21.0))  # 30 degrees, 40 mm


@pytest.fixture(scope="module")
def from_far(head) -> Registration:
    """What is found from 30 degrees and 40 mm away."""
    return register(head["t1w"], _moved(head["flair"], FAR), head["brain"])


@pytest.mark.parametrize("angles", [(0.03, -0.05, 0.08), (0.15, 0.1, -0.12)])
def test_a_known_displacement_is_found_again(head, angles):
    truth = _rigid(angles, (6.0, -4.0, 5.0))
    affine = np.diag([2.5, 2.5, 3.0, 1.0])
    affine[:3, 3] = [-100, -105, -90]
    flair = Volume(resample(head["flair"], (80, 84, 60), affine, np.linalg.inv(truth)), affine)
    found = register(head["t1w"], flair, head["brain"])
    assert found.how == "rigid"
    assert mean_distance(brain_points(head["brain"]), found.matrix, truth) < 0.5
    rotation = found.matrix[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-7)


def test_images_in_register_on_one_grid_keep_the_exact_identity(head):
    found = register(head["t1w"], head["flair"], head["brain"])
    assert found.how.startswith("identity")
    assert np.array_equal(found.matrix, np.eye(4))


def test_one_grid_does_not_hide_a_displacement(head):
    truth = _rigid((0.0, 0.0, 0.05), (3.0, 0.0, 0.0))
    moved = head["flair"].with_data(resample(head["flair"], SHAPE, head["flair"].affine, np.linalg.inv(truth)))
    found = register(head["t1w"], moved, head["brain"])
    assert mean_distance(brain_points(head["brain"]), found.matrix, truth) < 0.5


def test_the_same_pair_gives_the_same_matrix(head):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-98, -104, -86]
    flair = Volume(resample(head["flair"], (66, 70, 58), affine), affine)
    one, other = (register(head["t1w"], flair, head["brain"]).matrix for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_neither_the_result_nor_itself(head, from_far, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = register(head["t1w"], _moved(head["flair"], FAR), head["brain"])
        assert torch.get_num_threads() == threads
        assert np.array_equal(found.matrix, from_far.matrix)
    finally:
        torch.set_num_threads(before)


def test_thirty_degrees_and_forty_millimetres_are_found_back(head, from_far):
    assert mean_distance(brain_points(head["brain"]), from_far.matrix, FAR) < 0.3
    assert from_far.covered > 0.99
    assert from_far.spread_mm < 0.2
    assert from_far.distinct > 2.3
    assert from_far.warning == ""
    np.testing.assert_allclose(from_far.inverse @ from_far.matrix, np.eye(4), atol=1e-12)


def _noisy(image: np.ndarray) -> np.ndarray:
    return image + 60 * np.random.default_rng(7).standard_normal(image.shape)


def _shaded(image: np.ndarray) -> np.ndarray:
    return image * np.exp(np.linspace(-0.6, 0.6, image.shape[1]))[None, :, None]


def _with_lesions(image: np.ndarray) -> np.ndarray:
    spots = ndimage.gaussian_filter(np.random.default_rng(8).standard_normal(image.shape), 1.5)
    return np.where((spots > np.percentile(spots, 97)) & (image > 450), 900.0, image)


@pytest.mark.parametrize("spoil", [_noisy, _shaded, _with_lesions])
def test_noise_shading_and_lesions_cost_little(head, spoil):
    flair = head["flair"].with_data(spoil(head["flair"].data).astype(np.float32))
    found = register(head["t1w"], _moved(flair, FAR), head["brain"])
    assert mean_distance(brain_points(head["brain"]), found.matrix, FAR) < 0.5


def test_thick_slices_of_opposite_orientation_that_miss_the_top_are_registered(head):
    flair = head["flair"]
    slabs = flair.data[:, :, :36].reshape(*SHAPE[:2], 12, 3).mean(axis=3)[::-1, ::-1]
    affine = flair.affine @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, -1, 0, SHAPE[1] - 1], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    truth = _rigid((0.2, -0.1, 0.25), (12.0, -9.0, 15.0))
    found = register(head["t1w"], _moved(Volume(slabs, affine), truth), head["brain"])
    assert 0.6 < found.covered < 0.9
    assert mean_distance(brain_points(head["brain"]), found.matrix, truth) < 0.6


def test_an_affine_change_is_found_where_it_is_asked_for(head):
    stretched = FAR.copy()
    stretched[:3, :3] = FAR[:3, :3] @ np.array([[1.05, 0.02, 0], [0, 0.96, 0.01], [0.01, 0, 1.03]])
    flair, points = _moved(head["flair"], stretched), brain_points(head["brain"])
    found = register(head["t1w"], flair, head["brain"], affine=True)
    assert found.how == "affine"
    assert mean_distance(points, found.matrix, stretched) < 0.4
    rigid = register(head["t1w"], flair, head["brain"])
    assert mean_distance(points, rigid.matrix, stretched) > 1.0
    assert np.linalg.det(rigid.matrix[:3, :3]) == pytest.approx(1, abs=1e-7)


def test_a_map_of_low_resolution_is_registered_and_the_t1w_brought_into_its_space(head):
    """As a DVR of PiB: 7 mm, noisy, no skull, its own grid; white matter above grey."""
    inside = head["brain"].data > 0.5
    uptake = np.where(inside, np.where(head["t1w"].data > 600, 1.4, 1.0), 0.1)
    uptake = ndimage.gaussian_filter(uptake, 1.1) + 0.1 * np.random.default_rng(9).standard_normal(SHAPE)
    pet = _moved(head["t1w"].with_data(uptake.astype(np.float32)), FAR)
    found = register(head["t1w"], pet, head["brain"], contrast="PET", moving_bias=False)
    assert mean_distance(brain_points(head["brain"]), found.matrix, FAR) < 0.5
    there = resample(head["t1w"], SHAPE, pet.affine, found.inverse)
    assert np.corrcoef(there[inside], head["t1w"].data[inside])[0, 1] > 0.95


def test_without_a_mask_the_head_itself_is_registered(head):
    found = register(head["t1w"], _moved(head["flair"], FAR))
    assert mean_distance(brain_points(head["brain"]), found.matrix, FAR) < 0.5


def test_a_start_transform_leads_where_the_search_would_not_reach(head):
    upside_down = _rigid((0.1, 0.0, np.pi), (30.0, 0.0, 10.0))
    found = register(
        head["t1w"], _moved(head["flair"], upside_down), head["brain"], start=_rigid((0.0, 0.0, 3.0), (20.0, 0.0, 0.0))
    )
    assert mean_distance(brain_points(head["brain"]), found.matrix, upside_down) < 0.3


def test_noise_is_not_registered(head):
    noise = np.abs(np.random.default_rng(5).standard_normal(SHAPE)).astype(np.float32)
    with pytest.raises(BadInput, match=r"T2w noise.nii could not be registered to the T1w"):
        register(head["t1w"], Volume(noise, head["flair"].affine, "noise.nii"), head["brain"], contrast="T2w")


def test_a_mirrored_image_is_refused_with_the_words_left_and_right(head):
    texture = ndimage.gaussian_filter(np.random.default_rng(7).standard_normal(SHAPE), 4.0)
    texture *= 300 * head["brain"].data / texture.std()  # no head is the same left and right
    t1w = head["t1w"].with_data((head["t1w"].data + texture).astype(np.float32))
    flair = head["flair"].data - 0.7 * texture
    assert register(t1w, head["flair"].with_data(flair.astype(np.float32)), head["brain"]).how.startswith("identity")
    mirrored = Volume(flair[::-1].astype(np.float32), head["flair"].affine, "flair.nii")
    with pytest.raises(BadInput, match=r"mirror images: left and right are exchanged"):
        register(t1w, mirrored, head["brain"])


def test_volumes_that_do_not_overlap_are_refused(head):
    affine = head["flair"].affine.copy()
    affine[2, 3] += 500
    with pytest.raises(BadInput, match="does not overlap"):
        register(head["t1w"], Volume(head["flair"].data, affine, "flair.nii"), head["brain"])
    elsewhere = Volume(head["flair"].data, affine, "mtr.nii")
    with pytest.raises(BadInput, match=r"The MTR mtr\.nii does not overlap with the brain in the PET"):
        register(head["t1w"], elsewhere, head["brain"], contrast="MTR", reference="PET")


def _reference(folder, label: str) -> np.ndarray:
    """The publishers' transform as T1w -> FLAIR in RAS mm (theirs goes the other way)."""
    path = next(folder.glob(f"*/*/anat/{label}_from-T1w_to-FLAIR_mode-image_xfm.txt"))
    return np.linalg.inv(matrix_of_sitk(sitk.ReadTransform(str(path))))


@pytest.mark.slow
def test_a_raw_clinical_pair_agrees_with_the_publishers_transform(real_data):
    """The pair that lies furthest apart, 3 mm; the others are in the benchmark of registration."""
    label = "sub-12_ses-1"
    folder = real_data / "ms_clinical" / label.replace("_", "/") / "anat"
    t1w, flair = (read_volume(folder / f"{label}_{kind}.nii.gz", kind) for kind in ("T1w", "FLAIR"))
    brain = find_brain(t1w)
    assert brain.how == "deepbet"
    assert 1200 < brain.millilitres < 1700
    reference = _reference(real_data / "ms_clinical/derivatives/reference_transforms", label)
    points = brain_points(brain.mask)
    for start in (np.eye(4), FAR):
        found = register(t1w, _moved(flair, start), brain.mask)
        assert mean_distance(points, found.matrix, start @ reference) < 0.5
        assert found.warning == ""
    other = read_volume(real_data / "ms_clinical/sub-20/ses-2/anat/sub-20_ses-2_FLAIR.nii.gz")
    assert "different people" in register(t1w, other, brain.mask).warning


@pytest.mark.parametrize("label", ["sub-07", "sub-19"])
def test_a_stripped_pair_that_was_torn_apart_is_brought_together(real_data, label):
    t1w, flair = _stripped_pair(real_data, label)
    brain = find_brain(t1w).mask
    found = register(t1w, _moved(flair, FAR), brain)
    assert mean_distance(brain_points(brain), found.matrix, FAR) < 0.4


def test_a_co_registered_stripped_pair_keeps_the_exact_identity(real_data):
    t1w, flair = _stripped_pair(real_data, "sub-07")
    found = register(t1w, flair, find_brain(t1w).mask)
    assert np.array_equal(found.matrix, np.eye(4))


def _stripped_pair(folder, label: str) -> tuple[Volume, Volume]:
    stem = folder / f"ms_mni/{label}/anat/{label}_space-MNI152_desc-brain"
    return tuple(read_volume(stem.with_name(f"{stem.name}_{kind}.nii.gz")) for kind in ("T1w", "FLAIR"))
