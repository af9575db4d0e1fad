"""From a run to its bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import RESEARCH_USE
from ..bundle import Bundle, save_bundle
from ..errors import BadInput
from ..recipe import grid_shape, grid_spacing
from ..run import Run
from .state import Tensors, load_state

INTENDED_USE = (
    f"{RESEARCH_USE} Makes a synthetic PiB DVR map from T1w and FLAIR MRI of people with multiple sclerosis for group "
    "studies and method development; a single value must not guide care."
)


def export_bundles(run: Run) -> None:
    """Write bundles/last and bundles/best of a finished run."""
    for which in ("last", "best"):
        weights, epoch, system = trained_weights(run, which)
        write_bundle(run.path / "bundles" / which, run, system, which, weights, epoch)


def trained_weights(run: Run, which: str) -> tuple[Tensors, dict[str, Any], Any]:
    """Weights of the best or last epoch so far, that epoch's log entry, and the system they belong to.

    Without validation there is no best epoch and the last one is taken. Raises BadInput before the first whole epoch.
    """
    from ..systems import system_class

    if not run.checkpoint.is_file():
        raise BadInput(f"{run.path} has not finished its first epoch yet: there is nothing to export.")
    system = system_class(run.recipe["system"])(run.recipe, "cpu")
    epochs = {entry["epoch"]: entry for entry in run.log()}
    if which == "best" and run.best_checkpoint.is_file():
        weights, facts = load_state(run.best_checkpoint)
        return weights, epochs.get(facts["epoch"], {"epoch": facts["epoch"]}), system
    tensors, facts = load_state(run.checkpoint)
    system.load_state(tensors, facts["system"])
    return system.weights(), epochs.get(facts["epochs_done"], {}), system


def write_bundle(
    folder: Path,
    run: Run,
    system: Any,
    which: str,
    weights: Tensors,
    epoch: dict[str, Any],
    changes: dict[str, Any] | None = None,
) -> Bundle:
    """Write one bundle of a run; `changes` replace entries of its description (name, licence, performance)."""
    data, facts = run.recipe["data"], run.facts
    validated = {
        key.replace("validation_", "validation "): round(value, 5)
        for key, value in epoch.items()
        if key.startswith("validation_")
    }
    description = {
        "name": f"{run.recipe['description']} ({which} epoch)",
        "system": run.recipe["system"],
        "architecture": system.architecture(),
        "inputs": data["inputs"],
        "output": data["target"],
        "intensity": data["intensity"],
        "grid": {"shape": list(grid_shape(run.recipe)), "spacing_mm": grid_spacing(run.recipe)},
        "training_data": facts["training_data"],
        "simulated_training_data": facts["simulated"],
        "performance": {"epoch": epoch.get("epoch"), **validated},
        "licence": "not stated",
        "intended_use": INTENDED_USE,
        "recipe": run.recipe,
        "versions": facts["versions"],
    }
    return save_bundle(folder, {**description, **(changes or {})}, weights)
