"""The trained models to choose from, their cards, and a folder of the user's for more of them."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore, trainingCoreFolder
from ..words import _

RELATIVE_PLACES = ("TrainingCore/Resources/models", "Resources/models")
FOLDER_SETTING = "MyelinSynth/ModelFolder"
ALWAYS = ("t1w", "flair")  # the panel has selectors for these, whichever model is chosen
FILES = ("bundle.json", "weights.safetensors", "README.md")


@dataclass(frozen=True)
class Model:
    """A bundle that looks complete; its hash is checked when it is added and whenever it is used.

    path: folder or .zip; own: whether it is the user's, and can be removed.
    """

    path: Path
    description: dict[str, Any]
    own: bool = False

    @property
    def name(self) -> str:
        """What it calls itself."""
        return str(self.description["name"])

    @property
    def trouble(self) -> str:
        """Why the panel cannot use it, in a sentence; empty where it can."""
        inputs, output = self.description["inputs"], self.description["output"]
        unknown = [str(name) for name in inputs if not isInput(name)] if isinstance(inputs, list) else [str(inputs)]
        if unknown:
            text = _("The model {name} needs {inputs}, which Slicer has no selector for. Choose another one.")
            return text.format(name=self.name, inputs=", ".join(unknown))
        if output != "dvr":
            text = _("The model {name} makes {output}, not a myelin map. Choose another one.")
            return text.format(name=self.name, output=output)
        return ""

    @property
    def furtherInputs(self) -> tuple[str, ...]:
        """Names of the images it needs beside T1w and FLAIR, in the order in which its network sees them."""
        inputs = self.description["inputs"]
        names = inputs if isinstance(inputs, list) else []
        return tuple(name for name in names if name not in ALWAYS and isInput(name))


@dataclass(frozen=True)
class Broken:
    """Something that was meant to be a model and cannot be used; reason: a sentence."""

    path: Path
    reason: str


def isInput(name: object) -> bool:
    """Whether the table of inputs has a row of this name, so that a selector can be made for it."""
    importTrainingCore()
    from TrainingCore.data.inputs import find_input

    return isinstance(name, str) and find_input(name) is not None


def furtherInputs(model: str) -> tuple[str, ...]:
    """Names of the images that a model needs beside T1w and FLAIR. model: name, folder or .zip of a bundle.

    Empty where the model cannot be read: the synthesis says why.
    """
    importTrainingCore()
    from TrainingCore.data import bundle
    from TrainingCore.runtime.errors import BadInput

    try:
        path = bundle.find_bundle(model)
        return Model(path, bundle.read_description(path)).furtherInputs
    except (BadInput, OSError):
        return ()


def ownModelFolders() -> list[Path]:
    """Where the extension keeps its models, installed or in a source tree."""
    return [trainingCoreFolder() / relative for relative in RELATIVE_PLACES]


def userModelFolder() -> Path:
    """The user's folder: the one in the application's settings, else one beside them."""
    import slicer

    chosen = slicer.app.userSettings().value(FOLDER_SETTING)
    return Path(chosen) if chosen else Path(slicer.app.slicerUserSettingsFilePath).parent / "MyelinSynth" / "models"


def setUserModelFolder(folder: Path) -> None:
    """Remember another folder of the user's."""
    import slicer

    slicer.app.userSettings().setValue(FOLDER_SETTING, str(folder))


def availableModels(folders: Iterable[Path]) -> list[Model]:
    """Bundles in the folders, by name. What is not one is passed over; no weights are read."""
    return sorted(
        (candidate for candidate in _lookInto(folders) if isinstance(candidate, Model)), key=lambda model: model.name
    )


def allModels(folder: Path) -> tuple[list[Model], list[Broken]]:
    """The models of the extension and those in the user's folder, by name, and what there cannot be used.

    Those of the extension that make no myelin map, as the lesion finder, are not there to be chosen.
    """
    shipped = [model for model in availableModels(ownModelFolders()) if not model.trouble]
    candidates = list(_lookInto([folder]))
    own = [Model(item.path, item.description, own=True) for item in candidates if isinstance(item, Model)]
    models = shipped + sorted(own, key=lambda model: model.name)
    return models, [item for item in candidates if isinstance(item, Broken)]


def _lookInto(folders: Iterable[Path]) -> Iterable[Model | Broken]:
    for folder in folders:
        try:
            paths = sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            yield Broken(
                folder, _("The folder {folder} cannot be read.").format(folder=folder) + f" ({error.strerror})"
            )
            continue
        for path in paths:
            looks = path.suffix.lower() == ".zip" or any((path / name).is_file() for name in FILES[:2])
            if looks and not path.name.startswith("."):
                yield _describe(path)


def _describe(path: Path) -> Model | Broken:
    importTrainingCore()
    from TrainingCore.data import bundle
    from TrainingCore.runtime.errors import BadInput

    try:
        if path.is_dir() and not (path / bundle.WEIGHTS).is_file():
            raise BadInput(_("The model {path} has no weights.").format(path=path))
        return Model(path, bundle.read_description(path))
    except (BadInput, OSError, TypeError) as error:
        return Broken(path, str(error))


def modelCard(model: Model) -> str:
    """Training data, measured performance and intended use of a model, as Markdown."""
    importTrainingCore()
    from TrainingCore.data.bundle import model_card

    try:
        return model_card(model.description)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SynthesisError(
            _("The card of the model {name} cannot be read.").format(name=model.name) + f" ({error})"
        ) from error


def addModel(source: Path, folder: Path) -> Model:
    """Copy a bundle (folder or .zip) into the user's folder, after checking its hash; returns the copy.

    Nothing is unpacked: the two checked files are written under names of our own, whatever paths an archive holds.
    Raises SynthesisError where it is no sound bundle, is there already, or cannot be written.
    """
    importTrainingCore()
    from TrainingCore.data import bundle
    from TrainingCore.runtime.errors import BadInput

    try:
        opened = bundle.Bundle.open(source)
        same = [model for model in allModels(folder)[0] if model.description["weights_sha256"] == opened.sha256]
        if same:
            raise SynthesisError(
                _("This model is there already: {name} in {path}.").format(name=same[0].name, path=same[0].path)
            )
        card = bundle.model_card(opened.description)
        description = json.dumps(opened.description, indent=2, ensure_ascii=False)
        content = zip(FILES, (description.encode(), opened.raw_weights, card.encode()))
        target = _write(folder, str(opened.description["name"]), dict(content))
    except BadInput as error:
        raise SynthesisError(str(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        text = _("{path} is not a model of MyelinSynth: its description is not as it should be ({cause}).")
        raise SynthesisError(text.format(path=source, cause=error)) from error
    except OSError as error:
        text = _("The model could not be copied to {folder} ({cause}). Choose another folder, or free some space.")
        raise SynthesisError(text.format(folder=folder, cause=error.strerror or error)) from error
    return Model(target, opened.description, own=True)


def removeModel(model: Model) -> None:
    """Delete one of the user's models: its own files, and the folder where nothing else is in it."""
    if not model.own:
        raise SynthesisError(_("The model {name} belongs to the extension and stays.").format(name=model.name))
    try:
        if model.path.is_symlink() or model.path.is_file():
            model.path.unlink()
            return
        for name in FILES:
            (model.path / name).unlink(missing_ok=True)
        if not any(model.path.iterdir()):
            shutil.rmtree(model.path)
    except OSError as error:
        text = _("The model {name} could not be removed ({cause}).")
        raise SynthesisError(text.format(name=model.name, cause=error.strerror or error)) from error


def _write(folder: Path, name: str, content: dict[str, bytes]) -> Path:
    """Write files as a new folder after `name`, all of them or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".adding-{uuid.uuid4().hex}"
    try:
        temporary.mkdir()
        for file, data in content.items():
            (temporary / file).write_bytes(data)
        target = _freeName(folder, name)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _freeName(folder: Path, name: str) -> Path:
    """A folder that does not exist yet, after the model's name reduced to harmless characters."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-._")[:60] or "model"
    number, path = 1, folder / stem
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}"
    return path
