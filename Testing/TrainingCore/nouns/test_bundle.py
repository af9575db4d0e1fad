"""Bundles: safetensors and JSON, checked before use."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from TrainingCore.bundle import REQUIRED, Bundle, save_bundle
from TrainingCore.errors import BadInput
from TrainingCore.systems.linear import LinearVoxelwise


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
        system = Bundle.open(path).load_system("cpu")
        assert isinstance(system, LinearVoxelwise)
        assert system.predict(torch.ones(1, 2, 2, 2, 2)).unique().tolist() == pytest.approx([0.9])


def test_a_model_card_says_it_learnt_from_simulated_data(bundle: Bundle) -> None:
    assert "Simulated training data" in (bundle.path / "README.md").read_text()


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
