from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from TrainingCore.phantom.compare_lesions import digital_facts, lesion_facts, main, real_facts, table
from TrainingCore.phantom.lesion_intensities import digital_intensities, lesion_intensities, real_intensities
from TrainingCore.runtime.cli import Progress, run_command
from TrainingCore.runtime.errors import BadInput


def test_facts_measure_components_and_their_distance() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[2:4, 2:4, 2:5] = True
    mask[10:13, 10:13, 10:13] = True
    mask[18, 18, 18] = True  # 1 mm3: below what counts
    distance = np.broadcast_to(np.arange(20.0), mask.shape)
    facts = lesion_facts(mask, distance, 1.0)
    assert sorted(facts.volumes) == [12.0, 27.0]
    assert sorted(facts.nearest) == [2.0, 10.0]
    assert len(facts.voxel_distances) == 39
    assert facts.load == pytest.approx(0.039)


def test_a_folder_without_masks_is_said(tmp_path: Path, capsys) -> None:
    assert run_command(main, ["--masks", str(tmp_path), "--out", str(tmp_path), "--progress", "none"]) == 2
    assert "label-lesion_mask" in capsys.readouterr().err


def test_digital_lesions_are_like_real_ones(real_data: Path) -> None:
    real = real_facts(real_data / "ms_lesion_masks_mni", limit=10)
    digital = digital_facts(6, "A", 1, 64, Progress("none"))
    medians = [np.median(np.concatenate([f.volumes for f in group])) for group in (real, digital)]
    assert medians[1] == pytest.approx(medians[0], rel=0.6)
    near = [np.mean(np.concatenate([f.voxel_distances for f in group]) < 8.0) for group in (real, digital)]
    assert near[1] == pytest.approx(near[0], abs=0.25)
    assert len(table(real, digital)) == 19


def saved(values: np.ndarray, path: Path) -> None:
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [50.0, -40.0, 0.0]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def test_the_command_writes_figures_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((60, 60, 60), np.uint8)
    mask[20:30, 20:24, 20:26] = 1
    saved(mask, tmp_path / "masks" / "sub-01_label-lesion_mask.nii.gz")
    person = tmp_path / "mri" / "sub-01"
    saved(mask, person / "sub-01_label-lesion_mask.nii.gz")
    saved(np.where(mask, 80, 100).astype(np.int16), person / "sub-01_space-MNI152_desc-brain_T1w.nii.gz")
    saved(np.where(mask, 150, 100).astype(np.int16), person / "sub-01_space-MNI152_desc-brain_FLAIR.nii.gz")
    out = tmp_path / "out"
    folders = ["--masks", str(tmp_path / "masks"), "--mri", str(tmp_path / "mri"), "--out", str(out)]
    assert run_command(main, [*folders, "--patients", "2", "--size", "32", "--progress", "none"]) == 0
    for name in ("phantom_lesions.png", "phantom_intensities.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert (out / "phantom_lesions.md").read_text().startswith("| measure | real |")
    assert (out / "phantom_lesions.csv").is_file()
    assert "sub-01 t1w: 5, 25, 50, 75, 95 % of voxels [0.8, 0.8, 0.8, 0.8, 0.8]" in capsys.readouterr().out


@pytest.mark.parametrize(("folders", "words"), [([], "--masks, --mri"), (["--masks", "empty"], "10 mm3")])
def test_nothing_to_compare_with_is_refused(
    folders: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(np.zeros((8, 8, 8), np.uint8), tmp_path / "empty" / "sub-01_label-lesion_mask.nii.gz")
    assert run_command(main, [*folders, "--out", "out", "--progress", "none"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_intensities_are_relative_to_normal_appearing_white_matter() -> None:
    lesions = np.zeros((30, 30, 30), bool)
    lesions[4:8, 4:8, 4:8] = True
    t1w, flair = np.full(lesions.shape, 400.0), np.full(lesions.shape, 50.0)
    t1w[lesions], flair[lesions] = 300.0, 75.0
    facts = lesion_intensities("sub-01", [t1w, flair], lesions, np.ones(lesions.shape, bool), 1.0)
    assert facts.volumes.tolist() == [64.0]
    assert facts.means[:, 0] == pytest.approx([0.75, 1.5])
    with pytest.raises(BadInput, match="white matter"):
        lesion_intensities("sub-01", [t1w, flair], lesions, lesions, 1.0)


def test_digital_intensities_are_like_those_of_two_real_patients(real_data: Path) -> None:
    """Medians over lesion voxels; sub-19's white matter, swollen ventricles apart, is less certain."""
    real = real_intensities(real_data / "ms_mni")
    digital = digital_intensities(4, "A", 1, 64, Progress("none"))
    for index, tolerance in ((0, 0.12), (1, 0.12)):
        medians = [np.median(np.concatenate([one.voxels[index] for one in group])) for group in (real[:1], digital)]
        assert medians[1] == pytest.approx(medians[0], abs=tolerance)
