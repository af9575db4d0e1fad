"""Describe a recipe or a bundle: python -m TrainingCore.describe curricular."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from .data.recipe import available, grid_shape, grid_spacing, load_recipe, similar
from .runtime.cli import run_command
from .runtime.errors import BadInput
from .runtime.signature import Option, command

SHARE_VISITS = 8  # visits over which the share of lesion voxels is averaged (ours)
KEY_SETTINGS = ("patches", "losses", "discriminator", "labels", "optimizer")  # printed for systems that have them


def describe(
    what: Annotated[str | None, Option(positional=True)] = None,
    *,
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    data: Path | None = None,
) -> None:
    """Describe the networks and settings of a recipe, or print the card of a bundle; by default, list all recipes.

    Args:
        what: name or .yaml file of a recipe, or folder, .zip or name of a bundle.
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        data: BIDS folder or table; adds the share of lesion voxels in the discriminator's patches, from up to 8 visits.

    Raises:
        BadInput: there is no such recipe or bundle, or the recipe cannot be used.

    Example:
        python -m TrainingCore.describe curricular
    """
    if what is None:
        _list_recipes()
    elif what in available() or what.endswith((".yaml", ".yml")):
        recipe = load_recipe(what, changes)
        _describe_recipe(recipe)
        if data is not None:
            _print_lesion_shares(recipe, data)
    else:
        _describe_bundle(what)


def _list_recipes() -> None:
    names = available()
    for name in names:
        print(f"{name:<{max(map(len, names))}}  {load_recipe(name)['description']}")


def _describe_recipe(recipe: dict[str, Any]) -> None:
    from .systems import system_class
    from .systems.checks import check_recipe
    from .systems.registry import entry_of

    check_recipe(recipe)
    facts = system_class(recipe["system"])(recipe, "cpu").describe()
    print(recipe["description"])
    citation = entry_of(recipe["system"]).citation
    if citation:
        print(f"  {'paper':<26}{citation}")
    for network, count in facts.pop("trainable parameters").items():
        print(f"  {network + ' parameters':<26}{count:,}")
    shape = " x ".join(map(str, grid_shape(recipe)))
    facts["grid"] = f"{shape} voxels of {grid_spacing(recipe):g} mm around the brain"
    length = "iterations" if recipe["iterations"] else "epochs"
    facts[length] = recipe[length]
    facts |= {name.replace("patches", "patches per step"): recipe[name] for name in KEY_SETTINGS if name in recipe}
    for name, value in facts.items():
        print(f"  {name:<26}{_plain(value)}")
    if "schedule" in recipe and recipe["losses"]["adversarial"] > 0:
        _print_schedule(recipe)


def _print_schedule(recipe: dict[str, Any]) -> None:
    from .systems.schedules import random_share

    epochs, schedule = recipe["epochs"], recipe["schedule"]
    chosen = sorted({0, epochs // 4, epochs // 2, 3 * epochs // 4, epochs - 1})
    shares = [f"epoch {e + 1}: {random_share(schedule['name'], e, epochs, schedule['share']):.0%}" for e in chosen]
    print(f"  {'share of random patches':<26}{', '.join(shares)}")


def _print_lesion_shares(recipe: dict[str, Any], data: Path) -> None:
    """Print the share of lesion voxels in lesion and in random patches; a curriculum has an effect if they differ."""
    from .data.cohort import Cohort
    from .systems import system_class
    from .systems.checks import training_volumes
    from .systems.samples import make_sample
    from .training.store import CaseStore

    system = system_class(recipe["system"])(recipe, "cpu")
    visits = CaseStore(
        Cohort.read(data, recipe["data"]["inputs"]).usable_for_training(training_volumes(recipe)), recipe, 0
    )
    count = min(len(visits), SHARE_VISITS)
    sums: dict[str, float] = {}
    for index in range(count):
        sample = make_sample(visits[index], recipe["data"]["inputs"], recipe["data"]["target"])
        for name, value in system.lesion_shares(sample).items():
            sums[name] = sums.get(name, 0.0) + value / count
    for name, value in sums.items():
        label = name.replace("lesion_share_", "lesion in ").replace("_", " ")
        print(f"  {label:<26}{value:.2%} of the voxels, {count} visits")
    for sentence in system.warnings(sums):
        print(f"  Warning: {sentence}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return str(value)


def _describe_bundle(path: str) -> None:
    from .data.bundle import Bundle
    from .data.model_card import model_card

    try:
        bundle = Bundle.open(path)
    except BadInput as error:
        if "does not exist" in str(error):
            raise BadInput(f"{path} is neither a recipe nor a bundle. {similar(path)}") from error
        raise
    print(model_card(bundle.description))


main = command(describe)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
