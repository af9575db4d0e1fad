"""Describe a system or a bundle: python -m TrainingCore.describe curricular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .data.recipe import available, grid_shape, grid_spacing, load_recipe, similar
from .runtime.cli import add_set_option, parser, run_command
from .runtime.errors import BadInput

TOLD = ("patches", "losses", "labels", "optimizer")  # settings that say most, of systems that have them


def main(argv: Sequence[str] | None = None) -> int:
    """Print parameter counts, inputs, intensity rule, grid and schedule of a recipe, or the card of a bundle."""
    options = parser(
        "describe",
        "Describe what a recipe builds, or what a bundle is; without either, list the recipes that come with this.",
        "python -m TrainingCore.describe curricular",
    )
    options.add_argument("what", nargs="?", help="a recipe's name or .yaml file, or a bundle's folder, .zip or name")
    add_set_option(options)
    chosen = options.parse_args(argv)
    if chosen.what is None:
        return _list_recipes()
    if chosen.what in available() or chosen.what.endswith((".yaml", ".yml")):
        return _describe_recipe(load_recipe(chosen.what, chosen.changes))
    return _describe_bundle(chosen.what)


def _list_recipes() -> int:
    names = available()
    for name in names:
        print(f"{name:<{max(map(len, names))}}  {load_recipe(name)['description']}")
    return 0


def _describe_recipe(recipe: dict[str, Any]) -> int:
    from .systems import system_class

    facts = system_class(recipe["system"])(recipe, "cpu").describe()
    print(recipe["description"])
    for network, count in facts.pop("trainable parameters").items():
        print(f"  {network + ' parameters':<26}{count:,}")
    shape = " x ".join(map(str, grid_shape(recipe)))
    facts["grid"] = f"{shape} voxels of {grid_spacing(recipe):g} mm around the brain"
    length = "iterations" if recipe["iterations"] else "epochs"
    facts[length] = recipe[length]
    facts |= {name.replace("patches", "patches per step"): recipe[name] for name in TOLD if name in recipe}
    for name, value in facts.items():
        print(f"  {name:<26}{_plain(value)}")
    if recipe["system"] == "curricular" and recipe["losses"]["adversarial"] > 0:
        _print_schedule(recipe)
    return 0


def _print_schedule(recipe: dict[str, Any]) -> None:
    from .training.schedules import random_share

    epochs, schedule = recipe["epochs"], recipe["schedule"]
    chosen = sorted({0, epochs // 4, epochs // 2, 3 * epochs // 4, epochs - 1})
    shares = [f"epoch {e + 1}: {random_share(schedule['name'], e, epochs, schedule['share']):.0%}" for e in chosen]
    print(f"  {'share of random patches':<26}{', '.join(shares)}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return str(value)


def _describe_bundle(path: str) -> int:
    from .data.bundle import Bundle, model_card

    try:
        bundle = Bundle.open(path)
    except BadInput as error:
        if "does not exist" in str(error):
            raise BadInput(f"{path} is neither a recipe nor a bundle. {similar(path)}") from error
        raise
    print(model_card(bundle.description))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
