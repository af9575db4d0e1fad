"""Section Model without a GUI: what is listed, added after its hash was checked, and removed."""

from __future__ import annotations

import json
import types
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")

from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.model import bundles as models
from MyelinSynthLib.model.bundles import addModel, allModels, modelCard, removeModel


def writeBundle(folder: Path, name: str = "Site X, 2026", raw: bytes = b"weights", **changes: Any) -> Path:
    """A bundle with sound description and hash; no network is in it."""
    shipped = allModels(folder)[0][0].description
    folder.mkdir(parents=True)
    description = shipped | {"name": name, "weights_sha256": sha256(raw).hexdigest()} | changes
    (folder / "bundle.json").write_text(json.dumps(description))
    (folder / "weights.safetensors").write_bytes(raw)
    return folder


def zipped(source: Path, target: Path, prefix: str) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in source.iterdir():
            archive.write(path, prefix + path.name)
    return target


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The user's folder, with a name that is hard on programs; it does not exist yet."""
    return tmp_path / "Eigene Modelle ü" / "models"


def test_the_models_of_the_extension_are_listed_first(own: Path, tmp_path: Path) -> None:
    writeBundle(own / "a", name="aaa")
    listed, broken = allModels(own)
    assert [model.own for model in listed] == [False] * (len(listed) - 1) + [True]
    assert listed[-1].name == "aaa"
    assert broken == []


def test_the_extensions_lesion_finder_is_no_model_to_choose(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    writeBundle(shipped / "lesion_finder", name="finder", output="lesions")
    writeBundle(shipped / "map", name="map")
    writeBundle(own / "mine", name="my finder", output="lesions")
    monkeypatch.setattr(models, "ownModelFolders", lambda: [shipped])
    listed = allModels(own)[0]
    assert [model.name for model in listed] == ["map", "my finder"]
    assert listed[-1].trouble, "the user's own is said"


@pytest.mark.parametrize("prefix", ["", "bundle/", "../../../escaped/", "/tmp/escaped/", "C:\\Windows\\"])
def test_a_zip_is_copied_under_names_of_our_own_whatever_its_paths(own: Path, tmp_path: Path, prefix: str) -> None:
    source = zipped(writeBundle(tmp_path / "given"), tmp_path / "model.zip", prefix)
    added = addModel(source, own)
    assert added.own
    assert added.path.parent == own
    assert {path.name for path in added.path.iterdir()} == set(models.FILES)
    assert (added.path / "weights.safetensors").read_bytes() == b"weights"
    assert {path.name for path in tmp_path.iterdir()} == {"given", "model.zip", own.parent.name}
    assert [model.name for model in allModels(own)[0] if model.own] == ["Site X, 2026"]


@pytest.mark.parametrize("name", ["../../evil", "CON", "a/b\\c:d*e?", "ünïcode", "." * 300, ""])
def test_the_name_of_a_model_never_becomes_a_path(own: Path, tmp_path: Path, name: str) -> None:
    added = addModel(writeBundle(tmp_path / "given", name=name), own)
    assert added.path.parent == own
    assert len(added.path.name) < 80
    assert added.path.is_dir()


def test_a_changed_model_is_refused_and_nothing_is_left(own: Path, tmp_path: Path) -> None:
    bundle = writeBundle(tmp_path / "given")
    (bundle / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(SynthesisError, match="SHA-256"):
        addModel(bundle, own)
    assert not own.exists() or not list(own.iterdir())


def test_what_is_no_model_is_refused_in_words(own: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no archive")
    risky = writeBundle(tmp_path / "risky")
    (risky / "more.pkl").write_bytes(b"")
    odd = writeBundle(tmp_path / "odd", performance=["not", "a", "table"])
    other = writeBundle(tmp_path / "grid", grid={"shape": [1, 2, 3], "spacing_mm": "wide"})
    for path in (tmp_path / "empty", tmp_path / "text.zip", tmp_path / "not there", risky, odd, other):
        with pytest.raises(SynthesisError, match=path.name):
            addModel(path, own)
    assert not own.exists() or not list(own.iterdir())


def test_the_same_model_is_not_added_twice(own: Path, tmp_path: Path) -> None:
    bundle = writeBundle(tmp_path / "given")
    addModel(bundle, own)
    with pytest.raises(SynthesisError, match="already installed"):
        addModel(bundle, own)
    again = addModel(writeBundle(tmp_path / "newer", raw=b"newer weights"), own)
    assert again.path.name == "Site-X-2026-2"


def test_a_broken_model_in_the_folder_is_said_in_one_sentence(own: Path, tmp_path: Path) -> None:
    own.mkdir(parents=True)
    (own / "half").mkdir()
    (own / "half" / "bundle.json").write_text("{")
    (own / "notes.txt").write_text("not meant to be a model")
    (own / "photos").mkdir()
    writeBundle(own / "weightless")
    (own / "weightless" / "weights.safetensors").unlink()
    writeBundle(own / "old", format=0)
    listed, broken = allModels(own)
    assert not [model for model in listed if model.own]
    assert [one.path.name for one in broken] == ["half", "old", "weightless"]
    assert all(one.path.name in one.reason and one.reason.endswith(".") for one in broken)


def test_a_zip_in_the_folder_is_a_model(own: Path, tmp_path: Path) -> None:
    own.mkdir(parents=True)
    zipped(writeBundle(tmp_path / "given"), own / "model.zip", "x/")
    (model,) = [one for one in allModels(own)[0] if one.own]
    assert "Site X" in modelCard(model)
    removeModel(model)
    assert not list(own.iterdir())


def test_only_ones_own_models_are_removed_and_only_their_files(own: Path, tmp_path: Path) -> None:
    added = addModel(writeBundle(tmp_path / "given"), own)
    (added.path / "my notes.txt").write_text("keep")
    removeModel(added)
    assert [path.name for path in added.path.iterdir()] == ["my notes.txt"]
    with pytest.raises(SynthesisError, match="belongs to the extension and cannot be removed"):
        removeModel(allModels(own)[0][0])


def test_a_linked_model_is_unlinked_and_its_target_stays(own: Path, tmp_path: Path) -> None:
    target = writeBundle(tmp_path / "elsewhere")
    own.mkdir(parents=True)
    (own / "link").symlink_to(target, target_is_directory=True)
    (model,) = [one for one in allModels(own)[0] if one.own]
    removeModel(model)
    assert not (own / "link").exists()
    assert (target / "weights.safetensors").is_file()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SynthesisError, match="could not be copied"):
        addModel(writeBundle(tmp_path / "given"), tmp_path / "file" / "models")


def test_the_folder_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
    kept: dict[str, str] = {}
    settings = types.SimpleNamespace(value=kept.get, setValue=kept.__setitem__)
    app = types.SimpleNamespace(userSettings=lambda: settings, slicerUserSettingsFilePath=str(tmp_path / "Slicer.ini"))
    monkeypatch.setattr(slicer, "app", app, raising=False)
    assert models.userModelFolder() == tmp_path / "MyelinSynth" / "models"
    models.setUserModelFolder(tmp_path / "other")
    assert models.userModelFolder() == tmp_path / "other"
