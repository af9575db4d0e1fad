"""Bundles: safetensors and JSON, checked before use."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from TrainingCore.data.bundle import REQUIRED, Bundle, save_bundle
from TrainingCore.data.model_card import BETTER, card_in_short
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.linear import LinearVoxelwise
from TrainingCore.systems.loading import load_system


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    description = dict.fromkeys(REQUIRED, "x") | {
        "name": "test",
        "system": "linear",
        "architecture": {},
        "inputs": ["t1w", "flair"],
        "performance": {},
        "intensity": {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True},
        "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0},
        "simulated_training_data": True,
    }
    del description["format"]
    return save_bundle(tmp_path / "model", description, {"coefficients": torch.tensor([1.0, 0.1, -0.2])})


def zipped(bundle: Bundle, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name in ("bundle.json", "weights.safetensors"):
            archive.write(bundle.path / name, prefix + name)
    return target


def test_folder_and_zip_give_the_same_system(bundle: Bundle, tmp_path: Path) -> None:
    for path in (bundle.path, zipped(bundle, tmp_path / "a.zip"), zipped(bundle, tmp_path / "b.zip", "model/")):
        system = load_system(Bundle.open(path), "cpu")
        assert isinstance(system, LinearVoxelwise)
        assert system.predict(torch.ones(1, 2, 2, 2, 2)).unique().tolist() == pytest.approx([0.9])


def test_a_model_card_says_it_learnt_from_simulated_data(bundle: Bundle) -> None:
    assert "Simulated training data" in (bundle.path / "README.md").read_text()


def test_a_short_card_has_the_main_results_and_the_range_of_the_intervals(bundle: Bundle) -> None:
    intervals = {"level": 0.95, "half_width": [0.2, None, 0.08]}
    performance = {
        "lesion level Pearson r": "0.70",
        "SSIM in the brain": "0.8",
        "also on A": "r 0.7; better than size and location alone: yes",
        "also on B": "r 0.6; better than size and location alone: NO",
    }
    card = card_in_short({**bundle.description, "performance": performance, "intervals": intervals})
    assert "Simulated training data" in card
    assert "lesion level Pearson r: 0.70" in card
    assert "SSIM" not in card
    assert "not better than size and location alone on B" in card
    assert "also on A" not in card
    assert "95% interval of a lesion's DVR in PET: +-0.08 to +-0.20" in card
    assert "SSIM in the brain: 0.8" in card_in_short(
        {**bundle.description, "performance": {"SSIM in the brain": "0.8"}}
    )
    cohorts = {f"also {name}": f"r 0.5, {BETTER}: {name}" for name in ("yes", "NO", "not shown")}
    card = card_in_short({**bundle.description, "performance": cohorts})
    assert f"- not {BETTER} NO\n- not shown to be {BETTER} not shown\n" in card
    assert "- not measured" in card_in_short({**bundle.description, "performance": {}})


def test_wrong_hash_is_refused(bundle: Bundle) -> None:
    path = bundle.path / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="SHA-256"):
        Bundle.open(bundle.path)


def test_a_pickle_is_never_opened(bundle: Bundle, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))

    raw = pickle.dumps(Bomb())
    (bundle.path / "weights.safetensors").write_bytes(raw)
    description = json.loads((bundle.path / "bundle.json").read_text())
    import hashlib

    description["weights_sha256"] = hashlib.sha256(raw).hexdigest()
    (bundle.path / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(BadInput, match="not safetensors"):
        Bundle.open(bundle.path).weights()
    (bundle.path / "weights.pt").write_bytes(raw)
    with pytest.raises(BadInput, match="can run code"):
        Bundle.open(bundle.path)
    assert not (tmp_path / "exploded").exists()


def test_incomplete_foreign_and_hostile_bundles_are_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Bundle.open(tmp_path / "nowhere")
    plain = tmp_path / "text.zip"
    plain.write_text("not a zip")
    with pytest.raises(BadInput, match="neither a bundle folder"):
        Bundle.open(plain)
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../../evil.txt", "x")
    with pytest.raises(BadInput, match=r"exactly one bundle\.json"):
        Bundle.open(hostile)
    assert not (tmp_path.parent.parent / "evil.txt").exists()
    (bundle.path / "weights.safetensors").unlink()
    with pytest.raises(BadInput, match="incomplete"):
        Bundle.open(bundle.path)


def test_description_must_be_whole_and_of_a_known_format(bundle: Bundle) -> None:
    path = bundle.path / "bundle.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in whole.items() if k != "grid"}))
    with pytest.raises(BadInput, match="lacks grid"):
        Bundle.open(bundle.path)
    path.write_text(json.dumps({**whole, "format": 99}))
    with pytest.raises(BadInput, match="format 99"):
        Bundle.open(bundle.path)
    path.write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("architecture",), None),
        (("inputs",), 3),
        (("inputs",), ["t1w", "t1w"]),
        (("performance",), []),
        (("grid", "shape"), [32, 32, 10**9]),
        (("grid", "spacing_mm"), "2"),
        (("intensity", "rule"), "magic"),
        (("intensity", "high"), -1),
        (("members",), 10**9),
        (("trained_images",), ["0123456789abcdef"]),
        (("trained_images",), {"t1w": "0123456789abcdef"}),
        (("trained_images",), {"t1w": [7]}),
        (("fitted_images",), {"calibration": ["0123456789abcdef"]}),
        (("fitted_images",), ["0123456789abcdef"]),
    ],
)
def test_a_description_that_was_tampered_with_is_refused_in_a_sentence(
    bundle: Bundle, place: tuple[str, ...], value: object
) -> None:
    path = bundle.path / "bundle.json"
    content = json.loads(path.read_text())
    group = content
    for key in place[:-1]:
        group = group[key]
    group[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=f"The model {bundle.path} "):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("curricular", "width", 4096),  # would take more memory than any machine has
        ("curricular", "levels", 4000),
        ("joint_flair_wmh", "first_kernel", -1),
        ("joint_flair_wmh", "widths", []),
        ("sketcher_refiner", "width", 8),
    ],
)
def test_a_network_that_is_not_that_of_the_weights_is_refused_before_it_takes_memory(
    tmp_path: Path, name: str, key: str, value: object
) -> None:
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems import system_class

    small = {"joint_flair_wmh": ["networks.widths=[4,8]"]}.get(name, ["generator.width=4", "generator.levels=2"])
    recipe = load_recipe(name, small)
    system = system_class(name)(recipe)
    description = dict.fromkeys(REQUIRED, "x") | {
        "system": name,
        "architecture": system.architecture(),
        "inputs": recipe["data"]["inputs"],
        "output": recipe["data"]["target"],
        "performance": {},
        "intensity": recipe["data"]["intensity"],
        "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0},
        "simulated_training_data": True,
    }
    del description["format"]
    folder = save_bundle(tmp_path / "model", description, system.weights()).path
    load_system(Bundle.open(folder))
    content = json.loads((folder / "bundle.json").read_text())
    group = content["architecture"]["networks" if name == "joint_flair_wmh" else "generator"]
    assert key in group
    group[key] = value
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"The model .* (another network|cannot be built|takes a value)"):
        load_system(Bundle.open(folder))


def test_damaged_archives_and_folders_of_something_else_are_bad_input(bundle: Bundle, tmp_path: Path) -> None:
    import random

    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", (bundle.path / "bundle.json").read_bytes())
        archive.writestr("weights.safetensors", (bundle.path / "weights.safetensors").read_bytes())
    whole, draw, refused = (tmp_path / "whole.zip").read_bytes(), random.Random(1), 0
    for _ in range(200):
        raw = bytearray(whole)
        for _ in range(draw.choice([1, 3, 20])):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        (tmp_path / "damaged.zip").write_bytes(raw)
        try:
            load_system(Bundle.open(tmp_path / "damaged.zip"))
        except BadInput:
            refused += 1
    assert refused > 100
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("bundle.json", "[" * 100_000 + "]" * 100_000)
        archive.writestr("weights.safetensors", b"")
    with pytest.raises(BadInput, match="not JSON"):
        Bundle.open(tmp_path / "deep.zip")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(BadInput, match="training run"):
        Bundle.open(tmp_path / "run")
