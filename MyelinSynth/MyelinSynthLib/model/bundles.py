"""The trained models to choose from, their cards, and a folder for the user's own models."""

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

    Attributes:
        path: folder or .zip file of the bundle.
        description: content of its bundle.json.
        own: True for a model that the user added, which can be removed.
    """

    path: Path
    description: dict[str, Any]
    own: bool = False

    @property
    def name(self) -> str:
        """Name from the description."""
        return str(self.description["name"])

    @property
    def trouble(self) -> str:
        """Sentence that says why the panel cannot use the model; empty if it can."""
        inputs, output = self.description["inputs"], self.description["output"]
        unknown = [str(name) for name in inputs if not _isInput(name)] if isinstance(inputs, list) else [str(inputs)]
        if unknown:
            text = _("The model {name} needs {inputs}, which Slicer has no selector for. Choose another one.")
            return text.format(name=self.name, inputs=", ".join(unknown))
        if output != "dvr":
            text = _("The model {name} produces {output}, not a myelin map. Choose another one.")
            return text.format(name=self.name, output=output)
        return ""

    @property
    def furtherInputs(self) -> tuple[str, ...]:
        """Names of the images it needs besides T1w and FLAIR, in the order in which its network reads them."""
        inputs = self.description["inputs"]
        names = inputs if isinstance(inputs, list) else []
        return tuple(name for name in names if name not in ALWAYS and _isInput(name))


@dataclass(frozen=True)
class Broken:
    """A file or folder that looks like a model but cannot be used; `reason` is a sentence."""

    path: Path
    reason: str


def _isInput(name: object) -> bool:
    """Return whether the table of inputs has a row of this name, so that a selector can be made for it."""
    importTrainingCore()
    from TrainingCore.data.inputs import find_input

    return isinstance(name, str) and find_input(name) is not None


def furtherInputs(model: str) -> tuple[str, ...]:
    """List the images that a model needs besides T1w and FLAIR.

    Args:
        model: name, folder or .zip file of a bundle, as for `--model`.

    Returns:
        Names of inputs, such as t2w; empty if the model cannot be read (the synthesis then reports why).
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
    """Return the folders of the extension's own models, in an installation or a source tree."""
    return [trainingCoreFolder() / relative for relative in RELATIVE_PLACES]


def userModelFolder() -> Path:
    """Return the folder of the user's models: from the application settings, by default beside the settings file."""
    import slicer

    chosen = slicer.app.userSettings().value(FOLDER_SETTING)
    return Path(chosen) if chosen else Path(slicer.app.slicerUserSettingsFilePath).parent / "MyelinSynth" / "models"


def setUserModelFolder(folder: Path) -> None:
    """Store the folder of the user's models in the application settings.

    Args:
        folder: folder to list models from and to add them to; it need not exist yet.
    """
    import slicer

    slicer.app.userSettings().setValue(FOLDER_SETTING, str(folder))


def _availableModels(folders: Iterable[Path]) -> list[Model]:
    """Return the usable bundles in the folders, by name, without reading their weights."""
    return sorted(
        (candidate for candidate in _lookInto(folders) if isinstance(candidate, Model)), key=lambda model: model.name
    )


def allModels(folder: Path) -> tuple[list[Model], list[Broken]]:
    """List the models of the extension and those of the user, without reading their weights.

    Models of the extension that do not make a myelin map, such as the lesion finder, are not listed.

    Args:
        folder: folder of the user's models; it need not exist.

    Returns:
        The models, those of the extension first, and what in `folder` looks like a model but cannot be used.
    """
    shipped = [model for model in _availableModels(ownModelFolders()) if not model.trouble]
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


def modelCard(model: Model, whole: bool = True) -> str:
    """Format the card of a model: training data, measured performance and intended use.

    Args:
        model: model from `allModels` or `addModel`.
        whole: everything, or only the main lines.

    Returns:
        Markdown.

    Raises:
        SynthesisError: the description lacks what a card needs.
    """
    importTrainingCore()
    from TrainingCore.data.model_card import card_in_short, model_card

    try:
        return model_card(model.description) if whole else card_in_short(model.description)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SynthesisError(
            _("The card of the model {name} cannot be read.").format(name=model.name) + f" ({error})"
        ) from error


def addModel(source: Path, folder: Path) -> Model:
    """Copy a bundle into the user's folder after checking its hash.

    An archive is not unpacked: its two checked files are written under fixed names, whatever paths the archive holds.

    Args:
        source: folder or .zip file of the bundle.
        folder: folder of the user's models; created if missing.

    Returns:
        The copy.

    Raises:
        SynthesisError: the bundle is damaged, a model with the same weights is listed already, or the copy cannot be
            written.
    """
    importTrainingCore()
    from TrainingCore.data import bundle
    from TrainingCore.data.model_card import model_card
    from TrainingCore.runtime.errors import BadInput

    try:
        opened = bundle.Bundle.open(source)
        same = [model for model in allModels(folder)[0] if model.description["weights_sha256"] == opened.sha256]
        if same:
            raise SynthesisError(
                _("This model is already installed: {name} in {path}.").format(name=same[0].name, path=same[0].path)
            )
        card = model_card(opened.description)
        description = json.dumps(opened.description, indent=2, ensure_ascii=False)
        content = zip(FILES, (description.encode(), opened.raw_weights, card.encode()))
        target = _write(folder, str(opened.description["name"]), dict(content))
    except BadInput as error:
        raise SynthesisError(str(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        text = _("{path} is not a model of MyelinSynth: its description is not valid ({cause}).")
        raise SynthesisError(text.format(path=source, cause=error)) from error
    except OSError as error:
        text = _("The model could not be copied to {folder} ({cause}). Choose another folder, or free some space.")
        raise SynthesisError(text.format(folder=folder, cause=error.strerror or error)) from error
    return Model(target, opened.description, own=True)


def removeModel(model: Model) -> None:
    """Delete the files of one of the user's models, and its folder if nothing else is in it.

    Args:
        model: model with `own` set.

    Raises:
        SynthesisError: the model belongs to the extension, or a file cannot be deleted.
    """
    if not model.own:
        raise SynthesisError(
            _("The model {name} belongs to the extension and cannot be removed.").format(name=model.name)
        )
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
    """Write files as a new folder named after `name`, all of them or none."""
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
    """Return a folder that does not exist yet, named after the model, with safe characters only."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-._")[:60] or "model"
    number, path = 1, folder / stem
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}"
    return path
