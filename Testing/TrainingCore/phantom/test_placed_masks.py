from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from TrainingCore import simulate
from TrainingCore.phantom.anatomy import grow_anatomy
from TrainingCore.phantom.placed_masks import choose_mask, digest_of, list_masks, place_lesions, split_confluent
from TrainingCore.phantom.template import load_template
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.errors import BadInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One mask in MNI space, left-handed as many are: a box of 14 x 20 x 16 mm beside each lateral ventricle."""
    out = tmp_path_factory.mktemp("masks")
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [90.0, -126.0, -72.0]
    mask = np.zeros((182, 218, 182), np.uint8)
    for centre in (-30.0, 30.0):
        i, j, k = np.round(np.linalg.inv(affine) @ [centre, -15.0, 25.0, 1.0]).astype(int)[:3]
        mask[i - 7 : i + 7, j - 10 : j + 10, k - 8 : k + 8] = 1
    nibabel.save(nibabel.Nifti1Image(mask, affine), out / "sub-01_label-lesion_mask.nii.gz")
    return out


def test_lesions_of_a_mask_lie_where_the_deformation_carries_them(folder: Path) -> None:
    anatomy = grow_anatomy(3, "A", 64, 40.0)
    lesions = place_lesions(anatomy, str(list_masks(folder)[0]), 3)
    pieces, count = ndimage.label(lesions.mask, np.ones((3, 3, 3)))
    assert count == 2
    volume = lesions.mask.sum() * anatomy.voxel**3
    assert volume == pytest.approx(2 * 14 * 20 * 16, rel=0.5)
    offset = load_template().centre
    for number in (1, 2):
        centre = np.array(ndimage.center_of_mass(pieces == number))
        point = (centre - 31.5) * anatomy.voxel
        coarse = point / 4.0 + 23.5
        moved = [ndimage.map_coordinates(part, coarse[:, None], order=1)[0] for part in anatomy.displacement]
        world = point + np.array(moved) + offset
        assert np.abs(np.abs(world[0]) - 30.0) < 3.0
        assert world[1:] == pytest.approx([-15.0, 25.0], abs=3.0)
    assert (lesions.kinds[1:] > 0).all()


def test_confluent_lesions_become_a_mosaic_and_small_ones_stay_whole() -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[2:22, 2:22, 2:22] = mask[30:33, 30:33, 30:33] = True
    owner = split_confluent(mask, 1.0, np.random.default_rng(1))
    assert owner.max() == 4
    assert np.array_equal(owner > 0, mask)
    assert len(np.unique(owner[30:33, 30:33, 30:33])) == 1
    assert min(np.bincount(owner.ravel())[1:]) >= 1


def test_every_patient_of_a_cohort_has_a_mask_and_the_settings_say_which(folder: Path, tmp_path: Path) -> None:
    arguments = ["--patients", "1", "--visits", "1", "--size", "32", "--contrasts", "t1w", "--progress", "none"]
    assert run_command(simulate.main, [str(tmp_path / "out"), *arguments, "--lesion-masks", str(folder)]) == 0
    about = (tmp_path / "out" / "dataset_description.json").read_text()
    assert digest_of(list_masks(folder)) in about
    assert str(folder) not in about
    participants = (tmp_path / "out" / "participants.tsv").read_text().splitlines()
    assert [line.split("\t")[-1] for line in participants] == ["lesion_shapes", "real"]


def test_a_folder_without_masks_and_a_mask_elsewhere_are_said(folder: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--patients", "1", "--size", "32", "--progress", "none", "--lesion-masks", str(tmp_path)]
    assert run_command(simulate.main, [str(tmp_path / "out"), *arguments]) == 2
    assert "--lesion-masks" in capsys.readouterr().err
    far = np.diag([1.0, 1.0, 1.0, 1.0])
    far[:3, 3] = 500.0
    path = tmp_path / "far_mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), np.uint8), far), path)
    with pytest.raises(BadInput, match="MNI"):
        place_lesions(grow_anatomy(3, "A", 32, 40.0), str(path), 3)


def test_people_get_different_masks() -> None:
    paths = [Path(f"{number}_mask.nii.gz") for number in range(5)]
    assert len({choose_mask(paths, seed) for seed in range(40)}) == 5
