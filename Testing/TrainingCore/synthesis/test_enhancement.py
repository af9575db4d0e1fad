"""T1w after a full dose through `synthesize`: doses that are swapped, the same, missing or 4D, and the report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from TrainingCore.data.bundle import save_bundle
from TrainingCore.imaging.volumes import write_volume

AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])  # of the small head


@pytest.fixture(scope="module")
def improved(tmp_path_factory):
    """An untrained network that begins as the low dose."""
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems import system_class

    recipe = load_recipe("contrast_enhancement_improved", ["width=4", "levels=2"])
    system = system_class(recipe["system"])(recipe)
    description = {
        "name": "enhancement", "system": recipe["system"], "architecture": system.architecture(),
        "inputs": recipe["data"]["inputs"], "output": "t1ce", "intensity": recipe["data"]["intensity"],
        "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0}, "training_data": "nothing",
        "simulated_training_data": True, "performance": {}, "licence": "none",
        "intended_use": "Tests. Research use only, not for diagnosis.",
    }  # fmt: skip
    return save_bundle(tmp_path_factory.mktemp("model") / "model", description, system.weights()).path


@pytest.fixture(scope="module")
def doses(tmp_path_factory, head):
    """Files of the small head whose lesions take up an agent."""
    folder = tmp_path_factory.mktemp("doses")
    images = {"t1": head["t1w"], "flair": head["flair"]}
    rng = np.random.default_rng(5)
    adc = np.where(head["lesions"], 1.2, 0.8) + 0.02 * rng.standard_normal(head["t1w"].shape)
    images["adc"] = np.where(head["brain"], adc, 0)
    for name, uptake in (("t1ce-low", 120.0), ("t1ce", 400.0)):
        noise = 12 * rng.standard_normal(head["t1w"].shape)
        images[name] = np.where(head["brain"], head["t1w"] + uptake * head["lesions"] + noise, 0)
    files = {name: folder / f"{name}.nii.gz" for name in (*images, "brain-mask")}
    for name, image in images.items():
        write_volume(files[name], np.asarray(image, np.float32), AFFINE)
    write_volume(files["brain-mask"], head["brain"], AFFINE)
    return files


def words(files, *names):
    return [word for name in names for word in (f"--{name}", files[name])]


ALL = ("t1", "flair", "adc", "t1ce-low", "brain-mask")


def test_the_report_has_the_low_dose_for_comparison_and_shows_where_the_model_is_not_sure(
    doses, improved, command, tmp_path
):
    out = tmp_path / "t1ce"
    assert command("--task", "t1ce", "--model", improved, *words(doses, *ALL, "t1ce"), "--uncertainty",
                   "--progress", "none", "--out", out) == 0  # fmt: skip
    facts = json.loads((out / "provenance.json").read_text())
    assert facts["network"]["predictions"] == 2 + 2 * 3  # T1w before and after the low dose change together
    assert not any("swapped" in sentence for sentence in facts["warnings"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "for the unchanged T1w, low dose" in page
    assert "Uncertainty" in page
    assert "The model works on voxels of 6 mm, these images have 3 mm" in page
    assert (out / "uncertainty.nii.gz").is_file()


def test_swapped_doses_are_warned_of_and_the_same_image_twice_is_refused(doses, improved, command, tmp_path, capsys):
    swapped = doses | {"t1": doses["t1ce-low"], "t1ce-low": doses["t1"]}
    start = ("--task", "t1ce", "--model", improved, "--progress", "none")
    assert command(*start, *words(swapped, *ALL), "--out", tmp_path / "swapped") == 0
    assert "not swapped" in capsys.readouterr().err
    assert "not swapped" in (tmp_path / "swapped" / "report.html").read_text(encoding="utf-8")
    assert command(*start, *words(doses | {"t1ce-low": doses["t1"]}, *ALL), "--out", tmp_path / "same") == 2
    assert "are the same image" in capsys.readouterr().err
    assert not (tmp_path / "same").exists()


def test_missing_and_4d_inputs_are_named(doses, improved, command, tmp_path, capsys):
    start = ("--task", "t1ce", "--model", improved, "--progress", "none", "--out", tmp_path / "none")
    assert command(*start, *words(doses, "t1", "flair")) == 2
    missing = "the ADC (--adc) and the T1w after a low dose of contrast agent (--t1ce-low)"
    assert f"needs {missing}. Give them." in capsys.readouterr().err
    import nibabel

    image = nibabel.load(doses["t1ce-low"])
    both = np.stack([np.asarray(image.dataobj)] * 2, axis=-1)
    nibabel.save(nibabel.Nifti1Image(both, image.affine), tmp_path / "low4d.nii.gz")
    assert command(*start, *words(doses | {"t1ce-low": tmp_path / "low4d.nii.gz"}, *ALL)) == 2
    assert "low4d.nii.gz is 4D" in capsys.readouterr().err
