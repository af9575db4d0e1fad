"""The trained models to choose from, and their cards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .childprocess import importTrainingCore, trainingCoreFolder

RELATIVE_PLACES = ("TrainingCore/Resources/models", "Resources/models")


@dataclass(frozen=True)
class Model:
    """A bundle folder that looks complete; its hash is checked when it is used."""

    path: Path
    description: dict[str, Any]

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.description["name"]


def ownModelFolders() -> list[Path]:
    """Where the extension keeps its models, installed or in a source tree."""
    return [trainingCoreFolder() / place for place in RELATIVE_PLACES]


def availableModels(folders: Iterable[Path]) -> list[Model]:
    """Bundles in the folders, by name. What is not one is passed over; no weights are read."""
    importTrainingCore()
    from TrainingCore.bundle import REQUIRED

    found = []
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            description = path / "bundle.json"
            if not description.is_file() or not (path / "weights.safetensors").is_file():
                continue
            try:
                content = json.loads(description.read_text(encoding="utf-8"))
            except ValueError:
                continue  # a folder of the user's may hold anything
            if isinstance(content, dict) and all(key in content for key in REQUIRED):
                found.append(Model(path, content))
    return sorted(found, key=lambda model: model.name)


def modelCard(model: Model) -> str:
    """What a model learnt from, was measured at and may be used for, as Markdown."""
    importTrainingCore()
    from TrainingCore.bundle import model_card

    return model_card(model.description)
