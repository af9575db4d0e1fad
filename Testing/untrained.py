"""An untrained bundle: what a test needs where the map's values do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def untrained_bundle(path: Path, inputs: Sequence[str] = ("t1w", "flair")) -> Path:
    """Write a narrow generator with random weights on a grid of 32 voxels of 6 mm; returns its folder."""
    from TrainingCore.data.bundle import save_bundle
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems.curricular import Curricular

    recipe = load_recipe("l1_only")
    recipe["generator"] |= {"width": 8}
    recipe["data"] |= {"inputs": list(inputs)}
    system = Curricular(recipe)
    description = {
        "name": "untrained", "system": "curricular", "architecture": system.architecture(),
        "inputs": list(inputs), "output": "dvr", "intensity": recipe["data"]["intensity"],
        "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0}, "training_data": "nothing", "simulated_training_data": True,
        "performance": {}, "licence": "none", "intended_use": "Tests. Research use only, not for diagnosis.",
        "intervals": {"level": 0.95, "classes_mm3": [0, 50, 100, 300, 1000], "half_width": [None, 0.3, 0.2, 0.2, 0.1],
                      "measured on": "nobody"},
    }  # fmt: skip
    return save_bundle(path, description, system.weights()).path
