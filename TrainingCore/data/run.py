"""Run: the folder a training run lives in, from which a killed one resumes.

run.json            versions, people of each split, state
recipe.yaml         the recipe as used
log.jsonl           one JSON line per epoch; metrics.csv is the same as a table
checkpoints/        last.safetensors (everything a resumed run needs), best.safetensors (generator alone)
pictures/           T1w | FLAIR | measured | synthetic, every few epochs
bundles/best, last  the trained models
"""

from __future__ import annotations

import csv
import io
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..runtime.errors import BadInput
from ..runtime.files import read_json, refuse_file, write_json, write_text
from .recipe import completed


@dataclass(frozen=True)
class Run:
    """A run folder; `facts` is run.json, `recipe` the recipe as used."""

    path: Path
    facts: dict[str, Any]
    recipe: dict[str, Any]

    @classmethod
    def create(cls, path: Path, recipe: dict[str, Any], facts: dict[str, Any]) -> Run:
        """Create a run folder.

        Args:
            path: folder; created with its parents if it does not exist.
            recipe: complete recipe, written to recipe.yaml.
            facts: content of run.json, to which the versions of the packages are added.

        Returns:
            The new run.

        Raises:
            BadInput: the folder already holds a run, or cannot be written.
        """
        import yaml

        check_not_begun(path)
        try:
            for name in ("log.jsonl", "checkpoints/best.safetensors"):  # of a start that never finished an epoch
                (path / name).unlink(missing_ok=True)
            for folder in ("checkpoints", "pictures"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"Cannot write to {path}: {error.strerror}. Choose another --out.") from error
        write_text(path / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
        facts = {**facts, "versions": versions()}
        write_json(path / "run.json", facts)
        return cls(path, facts, recipe)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run folder.

        Args:
            path: --out of `train`.

        Returns:
            The run; a recipe of an older version is completed.

        Raises:
            BadInput: the folder is not a run, or one of its files is damaged.
        """
        import yaml

        if not (path / "run.json").is_file():
            raise BadInput(f"{path} is not a training run: it has no run.json. Give the --out folder of a training.")
        try:
            recipe = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise BadInput(
                f"{path / 'recipe.yaml'} cannot be read ({error}). Restore it, or start a new run."
            ) from error
        if not isinstance(recipe, dict):
            raise BadInput(f"{path / 'recipe.yaml'} holds no recipe. Restore it, or start a new run.")
        facts = read_json(path / "run.json")
        if not (isinstance(facts, dict) and "people" in facts):
            raise BadInput(f"{path / 'run.json'} is damaged: it names no people. Restore it, or start a new run.")
        return cls(path, facts, completed(recipe))

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that a resumed run starts from."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The generator of the epoch with the lowest validation score."""
        return self.path / "checkpoints" / "best.safetensors"

    def bundle_path(self, which: str = "best") -> Path:
        """Return the folder of the trained model.

        Args:
            which: `best` (lowest validation score) or `last`.

        Raises:
            BadInput: the run is not finished.
        """
        folder = self.path / "bundles" / which
        if not folder.is_dir():
            raise BadInput(
                f"{self.path} has no {which} model yet: the run is not finished. Resume it with train --resume."
            )
        return folder

    def trained_people(self) -> dict[str, set[str]]:
        """People whom the weights were trained on, in this run or in one that it started from.

        Returns:
            Folder of the cohort -> labels without `sub-`.
        """
        people = {data: set(labels) for data, labels in self.facts.get("trained_before", {}).items()}
        if self.facts.get("data"):
            people.setdefault(self.facts["data"], set()).update(self.facts["people"]["training"])
        return people

    def log(self) -> list[dict[str, Any]]:
        """Read the epochs so far; a line cut off by a kill is left out."""
        path = self.path / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        epochs = []
        for line in lines:
            try:
                epochs.append(json.loads(line))
            except ValueError:
                break
        return epochs

    def write_log(self, epochs: list[dict[str, Any]]) -> None:
        """Write log.jsonl and metrics.csv.

        Args:
            epochs: one dict per epoch so far; keys may differ between epochs.
        """
        write_text(self.path / "log.jsonl", "".join(json.dumps(epoch) + "\n" for epoch in epochs))
        columns = list(dict.fromkeys(key for epoch in epochs for key in epoch))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(epochs)
        write_text(self.path / "metrics.csv", table.getvalue())


def bundle_of(path: Path, which: str = "best") -> Path:
    """Locate the bundle of a finished run.

    Args:
        path: folder of a run; anything else is taken for a bundle.
        which: `best` or `last` epoch.

    Returns:
        Path for `Bundle.open`.

    Raises:
        BadInput: the run is not finished.
    """
    return Run.open(path).bundle_path(which) if (path / "run.json").is_file() else path


def run_of_bundle(bundle: Path) -> Run | None:
    """Open the run that a bundle lies in.

    Args:
        bundle: folder of a bundle.

    Returns:
        The run; None if the bundle was copied, exported or supplied.
    """
    folder = bundle.resolve().parent
    inside = folder.name == "bundles" and (folder.parent / "run.json").is_file()
    return Run.open(folder.parent) if inside else None


def check_not_begun(path: Path) -> None:
    """Check that a folder can be created and holds no run with a finished epoch, which would be overwritten.

    Args:
        path: run folder; it need not exist.

    Raises:
        BadInput: the folder holds such a run, or a file of its name exists.
    """
    refuse_file(path)
    if (path / "checkpoints" / "last.safetensors").is_file():
        raise BadInput(f"{path} already holds a run. Add --resume to continue it, or choose another --out.")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run depends on."""
    from importlib.metadata import PackageNotFoundError, version

    packages = {"myelinsynth": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "safetensors"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return packages
