"""Write the bundles of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE
from ..data.bundle import MEMBER, Bundle, save_bundle
from ..data.case import word_of
from ..data.model_card import FITTED_IMAGES, TRAINED_IMAGES
from ..data.recipe import grid_shape, grid_spacing
from ..data.run import Run
from ..imaging.fingerprints import images_of_bundle, joined
from ..runtime.errors import BadInput
from ..systems.tensors import Tensors
from .state import load_state

PURPOSES = {  # what a model of each target is for
    "dvr": "Makes a synthetic PiB DVR map from {inputs} MRI of people with multiple sclerosis",
    "lesions": "Finds lesions of multiple sclerosis in {inputs}, to be reviewed by a person",
    "flair": "Makes a synthetic FLAIR from {inputs}",
    "t1w": "Makes a synthetic T1w before contrast agent from {inputs}",
    "t1ce": "Makes a synthetic T1w after contrast agent from {inputs}",
}


ALIKE = ("system", "architecture", "inputs", "output", "intensity", "grid")  # what the members of an ensemble share
CHOSEN = ("lesion_threshold", "smallest_lesion_mm3")  # chosen on validation people; an ensemble has the mean
OF_ONE_MODEL = (
    "format",
    FITTED_IMAGES,
    "intervals",
    "myelin",
    "uncertainty",
    "repeatability",
    "weights_sha256",
    "created_with",
    "members",
)


def _intended_use(inputs: list[str], target: str) -> str:
    """Sentence about the intended use of a model."""
    titles = [word_of(name) for name in inputs]
    named = " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))
    purpose = PURPOSES.get(target, f"Makes a synthetic {target} from {{inputs}}").format(inputs=named)
    return f"{RESEARCH_USE} {purpose} for group studies and method development; a single value must not guide care."


def join_members(members: Sequence[Bundle]) -> tuple[dict[str, Any], Tensors]:
    """Join trained models to an ensemble, whose prediction is the mean of theirs.

    Args:
        members: models of one kind; members of an ensemble become members of the new one.

    Returns:
        Description and weights for `save_bundle`.

    Raises:
        BadInput: the models differ in what they need, or in the network.
    """
    single = [member for bundle in members for member in bundle.members()]
    about = [member.description for member in single]
    for bundle, other in zip(single[1:], about[1:]):
        different = [key for key in ALIKE if other[key] != about[0][key]]
        if different:
            raise BadInput(
                f"{bundle.path} and {single[0].path} cannot form an ensemble: they have a different "
                f"{', '.join(different)}."
            )
    weights: Tensors = {}
    for number, member in enumerate(single, start=1):
        weights |= {f"{MEMBER}{number}/{name}": tensor for name, tensor in member.weights().items()}
    chosen = [{key: other[key] for key in CHOSEN if key in other} for other in about]
    shared = set.intersection(*(set(values) for values in chosen))
    description = {key: value for key, value in about[0].items() if key not in (*OF_ONE_MODEL, *CHOSEN)}
    description |= {key: float(np.mean([values[key] for values in chosen])) for key in sorted(shared)}
    title = about[0].get("recipe", {}).get("description") or about[0]["name"]  # a bundle need not hold its recipe
    description |= {
        "name": f"{title} (ensemble of {len(single)})",
        "members": len(single),
        "training_data": "; ".join(dict.fromkeys(other["training_data"] for other in about)),
        "simulated_training_data": any(other["simulated_training_data"] for other in about),
        "performance": {},
    }
    if images := joined([images_of_bundle(other) for other in about]):
        description[TRAINED_IMAGES] = images
    return description, weights


def write_ensemble_of_folds(folder: Path, runs: list[Run], changes: dict[str, Any]) -> Bundle:
    """Write the best epochs of the folds of a cross-validation as an ensemble.

    Args:
        folder: bundle to write.
        runs: runs of one recipe.
        changes: entries of the description to replace (name, licence, performance).

    Returns:
        The bundle.

    Raises:
        BadInput: the runs have different recipes.
    """
    for run in runs[1:]:
        if run.recipe != runs[0].recipe:
            raise BadInput(f"{run.path} and {runs[0].path} have different recipes and cannot form an ensemble.")
    people = {person for run in runs for part in run.facts["people"].values() for person in part}
    data = (
        f"{len(runs)} folds of {len(people)} people, each trained without one fold; " + runs[0].facts["training_data"]
    )
    description, weights = join_members([Bundle.open(run.bundle_path("best")) for run in runs])
    return save_bundle(folder, description | {"training_data": data} | changes, weights)


def export_bundles(run: Run) -> None:
    """Write `bundles/last` and `bundles/best` of a finished run.

    Args:
        run: a run that has reached its last epoch; the bundles are written into its folder.
    """
    for which in ("last", "best"):
        weights, epoch, system = trained_weights(run, which)
        write_bundle(run.path / "bundles" / which, run, system, which, weights, epoch)


def trained_weights(run: Run, which: str) -> tuple[Tensors, dict[str, Any], Any]:
    """Load the weights of the best or last epoch so far.

    Without validation there is no best epoch, and the last one is used.

    Args:
        run: the run, which may be unfinished.
        which: best or last.

    Returns:
        Weights, log entry of the epoch, and system.

    Raises:
        BadInput: no epoch has finished.
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
    """Write one bundle of a run.

    Args:
        folder: folder of the bundle.
        run: source of recipe, training data and software versions.
        system: system of the run, which describes its architecture.
        which: `last` or `best`, named in the bundle.
        weights: tensors of the prediction networks.
        epoch: log entry of the epoch of these weights; its validation measures are stored as `performance`.
        changes: entries that replace those of the description (name, licence, performance), or None.

    Returns:
        The bundle that was written.
    """
    data, facts = run.recipe["data"], run.facts
    validated = {
        key.replace("validation_", "validation "): float(f"{value:.4g}")
        for key, value in epoch.items()
        if key.startswith("validation_") and "_at_" not in key
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
        **({TRAINED_IMAGES: facts[TRAINED_IMAGES]} if facts.get(TRAINED_IMAGES) else {}),
        "performance": {"epoch": epoch.get("epoch"), **validated},
        "licence": "not stated",
        "intended_use": _intended_use(data["inputs"], data["target"]),
        **system.chosen_on_validation(epoch),
        "recipe": run.recipe,
        "versions": facts["versions"],
    }
    return save_bundle(folder, {**description, **(changes or {})}, weights)
