"""From a finished run to its bundles."""

from __future__ import annotations

from typing import Any

from .. import RESEARCH_USE
from ..bundle import save_bundle
from ..recipe import grid_shape, grid_spacing
from ..run import Run
from .state import load_state

INTENDED_USE = (
    f"{RESEARCH_USE} Makes a synthetic PiB DVR map from T1w and FLAIR MRI of people with multiple sclerosis "
    "for group studies and method development; a single value must not guide care."
)


def export_bundles(run: Run, system: Any) -> None:
    """Write bundles/last and, where a validation chose one, bundles/best."""
    epochs = run.log()
    last = epochs[-1] if epochs else {}
    _export(run, system, "last", system.weights(), last)
    if run.best_checkpoint.is_file():
        weights, facts = load_state(run.best_checkpoint)
        _export(run, system, "best", weights, next(e for e in epochs if e["epoch"] == facts["epoch"]))
    else:
        _export(run, system, "best", system.weights(), last)


def _export(run: Run, system: Any, which: str, weights: dict[str, Any], epoch: dict[str, Any]) -> None:
    data, facts = run.recipe["data"], run.facts
    performance = {
        key.replace("validation_", "validation "): round(value, 5)
        for key, value in epoch.items()
        if key.startswith("validation_")
    }
    save_bundle(
        run.path / "bundles" / which,
        {
            "name": f"{run.recipe['description']} ({which} epoch)",
            "system": run.recipe["system"],
            "architecture": system.architecture(),
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity": data["intensity"],
            "grid": {"shape": list(grid_shape(run.recipe)), "spacing_mm": grid_spacing(run.recipe)},
            "training_data": facts["training_data"],
            "simulated_training_data": facts["simulated"],
            "performance": {"epoch": epoch.get("epoch"), **performance},
            "licence": "not stated: set by whoever trained this model",
            "intended_use": INTENDED_USE,
            "recipe": run.recipe,
            "versions": facts["versions"],
        },
        weights,
    )
