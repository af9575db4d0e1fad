from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from TrainingCore import simulate
from TrainingCore.phantom.anatomy import grow_anatomy
from TrainingCore.phantom.mask_checks import check_masks
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
    digest = digest_of(list_masks(folder))
    assert [line.split("\t")[-2:] for line in participants] == [["lesion_shapes", "lesion_shapes_of"], ["real", digest]]


def test_a_folder_without_masks_and_a_mask_elsewhere_are_said(folder: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--patients", "1", "--size", "32", "--progress", "none", "--lesion-masks", str(tmp_path)]
    assert run_command(simulate.main, [str(tmp_path / "out"), *arguments]) == 2
    assert "--lesion-masks" in capsys.readouterr().err
    far = np.diag([1.0, 1.0, 1.0, 1.0])
    far[:3, 3] = 500.0
    path = tmp_path / "far_mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.pad(np.ones((6, 6, 6), np.uint8), 1), far), path)
    with pytest.raises(BadInput, match="MNI"):
        check_masks([path])


def test_a_lesion_smaller_than_a_voxel_is_lost_with_a_warning(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = nibabel.load(next(folder.glob("*.nii.gz")))
    tiny = np.zeros(good.shape, np.uint8)
    tiny[tuple(np.argwhere(np.asarray(good.dataobj) > 0)[0])] = 1
    (tmp_path / "masks").mkdir()
    nibabel.save(nibabel.Nifti1Image(tiny, good.affine), tmp_path / "masks" / "tiny_mask.nii.gz")
    cohort = {"patients": 1, "visits": 1, "size": 32, "lesion_masks": tmp_path / "masks", "progress": "none"}
    assert simulate.simulate(tmp_path / "out", **cohort).ceiling is not None
    assert "1 of the patients with real masks have no lesion (A01)" in caplog.text


def _spoilt(kind: str, good: nibabel.Nifti1Image) -> bytes:
    """The bytes of a mask of this kind."""
    mask, affine = np.asarray(good.dataobj, np.float32), good.affine.copy()
    if kind == "shifted":
        affine[:3, 3] += (25.0, 80.0, 40.0)
    values = {
        "ones": np.ones_like(mask),
        "negative": -np.ones_like(mask),
        "large": ndimage.binary_dilation(mask, None, 30),
    }
    image = nibabel.Nifti1Image(np.asarray(values.get(kind, mask), np.float32), affine)
    if kind == "rgb":
        coloured = np.zeros(mask.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
        coloured["R"] = mask
        image = nibabel.Nifti1Image(coloured, affine)
    content = bytearray(image.to_bytes())
    if kind == "flat":
        content[252:254] = bytes(2)  # no qform
        content[312:328] = content[280:296]  # srow_z = srow_x: a singular sform
    return gzip.compress(bytes(content))


@pytest.mark.parametrize("kind", ["ones", "negative", "large", "shifted", "flat", "rgb"])
def test_what_is_no_lesion_mask_in_mni_space_is_refused_before_anybody_is_simulated(
    kind: str, folder: Path, tmp_path: Path, capsys
) -> None:
    (good,) = folder.glob("*.nii.gz")
    path = tmp_path / "masks" / "one_mask.nii.gz"
    path.parent.mkdir()
    path.write_bytes(_spoilt(kind, nibabel.load(good)))
    arguments = [str(tmp_path / "out"), "--patients", "1", "--size", "32", "--progress", "none"]
    assert run_command(simulate.main, [*arguments, "--lesion-masks", str(path.parent)]) == 2
    said = capsys.readouterr().err
    assert "one_mask.nii.gz" in said
    assert "fault of MyelinSynth" not in said
    assert not (tmp_path / "out").exists()


def test_a_smoothed_mask_is_cut_at_its_middle(folder: Path, tmp_path: Path) -> None:
    (path,) = folder.glob("*.nii.gz")
    good = nibabel.load(path)
    smooth = ndimage.gaussian_filter(np.asarray(good.dataobj, np.float32), 1.5)
    nibabel.save(nibabel.Nifti1Image(smooth, good.affine), tmp_path / "one_mask.nii.gz")
    anatomy = grow_anatomy(3, "A", 64, 40.0)
    volumes = [place_lesions(anatomy, str(list_masks(where)[0]), 3).mask.sum() for where in (folder, tmp_path)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)


def test_people_with_the_same_mask_are_counted_as_one_and_left_out_together(folder: Path, tmp_path: Path) -> None:
    from TrainingCore.data.cohort import Cohort
    from TrainingCore.evaluation.statistics import clusters

    out = tmp_path / "out"
    simulate.simulate(out, patients=2, controls=1, visits=1, size=32, lesion_masks=folder, progress="none")
    rows = [{"person": visit.person, **visit.info} for visit in Cohort.read(out, ["t1w"])]
    assert [row["person"] for row in rows] == ["A01", "A02", "AHC01"]
    first, second, healthy = clusters(rows)
    assert first == second == f"mask {digest_of(list_masks(folder))}"
    assert healthy == "AHC01"


def test_people_get_different_masks() -> None:
    paths = [Path(f"{number}_mask.nii.gz") for number in range(5)]
    assert len({choose_mask(paths, seed) for seed in range(40)}) == 5
