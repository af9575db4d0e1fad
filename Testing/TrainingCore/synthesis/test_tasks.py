"""Models of every kind through `synthesize`: other tasks, missing FLAIR, missing lesion masks, label maps."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.data.bundle import Bundle, save_bundle
from TrainingCore.data.result import Result
from TrainingCore.imaging.volumes import read_volume, write_volume

AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])  # of the small head


def untrained(folder, recipe_name, changes):
    """A bundle of an untrained system on a coarse grid."""
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems import system_class

    recipe = load_recipe(recipe_name, changes)
    system = system_class(recipe["system"])(recipe)
    description = {
        "name": f"untrained {recipe_name}", "system": recipe["system"], "architecture": system.architecture(),
        "inputs": recipe["data"]["inputs"], "output": recipe["data"]["target"],
        "intensity": recipe["data"]["intensity"], "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0},
        "training_data": "nothing", "simulated_training_data": True, "performance": {}, "licence": "none",
        "intended_use": "Tests. Research use only, not for diagnosis.",
    }  # fmt: skip
    return save_bundle(folder / recipe_name, description, system.weights()).path


WIDTHS = "networks.widths=[4, 4, 4, 4, 4]"


def with_bias(path, bias):
    """A joint bundle whose C marks every voxel (a high bias), so that there are lesions to measure, or none."""
    bundle = Bundle.open(path)
    weights = bundle.weights()
    weights["C.last.bias"] = weights["C.last.bias"] + bias
    return save_bundle(path, bundle.description, weights).path


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    """FLAIR and lesions from T1w."""
    return with_bias(untrained(tmp_path_factory.mktemp("joint"), "joint_flair_wmh", [WIDTHS]), 20)


def test_flair_from_t1w_lies_on_the_t1w_and_is_compared_with_a_real_one(patient, joint, command, tmp_path):
    out = tmp_path / "flair"
    assert command("--task", "flair", "--t1", patient["t1w"], "--flair", patient["flair"], "--model", joint,
                   "--progress", "none", "--out", out) == 0  # fmt: skip
    made = read_volume(out / "flair.nii.gz")
    brain = read_volume(out / "brain_mask.nii.gz", mask=True).data > 0.5
    assert np.allclose(made.affine, AFFINE, atol=1e-5)
    assert (made.data[~brain] == 0).all()
    assert (made.data[brain] >= 0).all()
    found = read_volume(out / "found_lesions.nii.gz", mask=True).data > 0.5
    assert (found == brain).mean() > 0.99
    facts = json.loads((out / "provenance.json").read_text())
    assert facts["made"] == "flair"
    assert -1 <= facts["compared_with_the_real_one"]["ssim_brain"] < 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Synthetic FLAIR" in page
    assert "has not been reviewed" in page
    assert "Simulated" in page


def test_a_patient_without_flair_gets_a_synthetic_one_that_is_marked_to_the_end(
    patient, bundle, joint, command, tmp_path, capsys
):
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--model", bundle, "--complete-with", joint, "--progress", "none",
                   "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    assert result.provenance["synthetic_inputs"] == ["flair", "lesions"]
    assert result.provenance["inputs"]["completed_with"]["weights_sha256"] == Bundle.open(joint).sha256
    assert any("FLAIR is synthetic" in warning for warning in result.provenance["warnings"])
    assert len(result.lesions()) == 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Synthetic input: the FLAIR and the lesion mask came from a network trained on simulated patients" in page
    assert "Found automatically by a network, to be reviewed" in page
    assert "not measured" in page
    made = nib.load(out / "synthetic_flair.nii.gz")
    assert made.get_fdata().max() > 0
    assert b"synthetic FLAIR" in made.header["descrip"].tobytes()
    assert b"synthetic FLAIR" in nib.load(out / "dvr.nii.gz").header["descrip"].tobytes()
    said = capsys.readouterr().err
    assert "FLAIR is synthetic" in said
    assert "looks like" not in said


def test_given_images_are_never_replaced_by_synthetic_ones(patient, bundle, joint, command, tmp_path, capsys):
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                   bundle, "--complete-with", joint, "--progress", "none", "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    assert result.provenance["synthetic_inputs"] == []
    assert len(result.lesions()) == 3
    assert "no input is missing" in capsys.readouterr().err


def test_with_a_real_flair_only_the_lesions_are_said_to_rest_on_the_t1w(patient, bundle, tmp_path, command, capsys):
    none = with_bias(untrained(tmp_path, "joint_flair_wmh", [WIDTHS]), -20)
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--complete-with", none,
                   "--progress", "none", "--out", out) == 0  # fmt: skip
    said = capsys.readouterr().err
    assert "The lesion mask was found by a network" in said
    assert "the lesion table relies on the T1w alone" in said
    assert "FLAIR is synthetic" not in said
    assert "segmented no lesions" in said
    result = Result.open(out)
    assert result.provenance["synthetic_inputs"] == ["lesions"]
    assert result.lesions() == []
    assert not (out / "synthetic_flair.nii.gz").exists()


def test_a_model_that_cannot_complete_is_refused_before_an_image_is_read(bundle, joint, tmp_path, command, capsys):
    unimodal = untrained(tmp_path, "joint_flair_wmh_unimodal", [WIDTHS])
    nowhere, out = tmp_path / "nowhere.nii.gz", tmp_path / "result"
    rest = ("--t1", nowhere, "--out", out, "--progress", "none")
    for main, more, words in (
        (bundle, ("--complete-with", bundle), "synthesizes FLAIR from T1w"),
        (bundle, ("--complete-with", unimodal), "synthesizes no FLAIR"),
        (bundle, ("--complete-with", tmp_path), "bundle.json"),
        (joint, ("--complete-with", joint), "myelin maps only"),
        (unimodal, ("--task", "flair"), "synthesizes no image"),
    ):
        assert command("--model", main, *more, *rest) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_flair_given_as_the_only_image_is_not_taken_for_a_t1w(patient, joint, tmp_path, command, capsys):
    out = tmp_path / "result"
    assert command("--t1", patient["flair"], "--model", joint, "--progress", "none", "--out", out) == 0
    assert "looks like a FLAIR" in capsys.readouterr().err
    assert "looks like a FLAIR" in (out / "report.html").read_text(encoding="utf-8")


def test_series_and_absent_gpus_are_refused_for_flair_too(patient, joint, tmp_path, command, capsys):
    series = tmp_path / "series.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8, 3), np.float32), np.eye(4)), series)
    rest = ("--model", joint, "--out", tmp_path / "result", "--progress", "none")
    assert command("--t1", series, *rest) == 2
    assert "series.nii.gz" in capsys.readouterr().err
    assert command("--t1", patient["t1w"], "--device", "cuda:99", *rest) == 2
    assert "cuda:99" in capsys.readouterr().err


def test_what_a_model_lacks_is_said_with_the_option_that_gives_it(patient, bundle, joint, command, tmp_path, capsys):
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--model", bundle, "--out", out, "--progress", "none") == 2
    said = capsys.readouterr().err
    assert "needs the FLAIR (--flair)" in said
    assert "--complete-with" in said
    assert command("--flair", patient["flair"], "--model", joint, "--out", out, "--progress", "none") == 2
    assert "needs the T1w (--t1)" in capsys.readouterr().err
    assert command("--t1", patient["t1w"], "--model", bundle, "--complete-with", bundle, "--out", out,
                   "--progress", "none") == 2  # fmt: skip
    assert "synthesizes FLAIR from T1w" in capsys.readouterr().err
    assert command("--task", "t1ce", "--t1", patient["t1w"], "--model", joint, "--out", out, "--progress", "none") == 2
    assert "--task flair" in capsys.readouterr().err
    assert not out.exists()


def test_t1w_before_contrast_from_after_needs_no_t1w(patient, command, tmp_path):
    pre = untrained(tmp_path, "mask_weighted_pix2pix_t1", ["generator.width=4", "discriminator.width=4"])
    out = tmp_path / "pre"
    assert command("--task", "t1", "--t1ce", patient["t1w"], "--model", pre, "--uncertainty", "--progress", "none",
                   "--out", out) == 0  # fmt: skip
    made = read_volume(out / "t1w.nii.gz")
    assert made.data.shape == (60, 68, 52)
    assert read_volume(out / "uncertainty.nii.gz").data.max() > 0
    assert json.loads((out / "provenance.json").read_text())["compared_with_the_real_one"] is None


def test_lesions_drawn_on_the_flair_move_with_it(patient, bundle, command, tmp_path, head, capsys):
    # the FLAIR, and the mask drawn on it, lie 12 mm to the left of where the T1w shows the same head
    shifted = AFFINE.copy()
    shifted[0, 3] -= 12
    write_volume(tmp_path / "flair.nii.gz", head["flair"], shifted)
    write_volume(tmp_path / "lesions.nii.gz", head["lesions"], shifted)
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", tmp_path / "flair.nii.gz", "--lesions",
                   tmp_path / "lesions.nii.gz", "--model", bundle, "--progress", "none", "--out", out) == 0  # fmt: skip
    assert "moved to the T1w with it" in capsys.readouterr().err
    found = read_volume(out / "lesion_labels.nii.gz").data > 0
    assert 2 * (found & head["lesions"]).sum() / (found.sum() + head["lesions"].sum()) > 0.9


def test_tissues_come_from_a_label_map_where_one_is_given(patient, bundle, command, tmp_path, head):
    labels = np.select([head["white"] | head["lesions"], head["brain"]], [2, 3], 0)
    labels[:30][labels[:30] == 2] = 41
    labels[:30][labels[:30] == 3] = 42
    i, j, _ = np.indices(labels.shape)
    ventricles = head["brain"] & ~head["white"] & ~head["lesions"] & (np.hypot(i - 30, j - 34) < 12)
    labels[ventricles] = np.where(i[ventricles] < 30, 43, 4)
    write_volume(tmp_path / "aseg.nii.gz", labels.astype(np.int16), AFFINE)
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                   bundle, "--label-map", tmp_path / "aseg.nii.gz", "--progress", "none",
                   "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    nawm = head["white"] & ~head["lesions"]
    dvr = read_volume(out / "dvr.nii.gz").data
    assert result.provenance["summary"]["synthetic_dvr"]["nawm"]["mean"] == pytest.approx(dvr[nawm].mean(), abs=2e-3)
