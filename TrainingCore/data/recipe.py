"""Recipes: every setting of a training run in one YAML, read strictly.

Every system has a root: the recipe of its name, which holds every key there is and the settings of its paper. Another
recipe names its `base` and only what differs (no base: the root of its `system`, or `curricular`). A key or a type that
the base does not know is bad input, never ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput

FOLDER = Path(__file__).parents[1] / "recipes"
Settings = dict[str, Any]


_ROOTS: dict[str, Path] = {}  # of systems that were registered at run time


def add_root(name: str, path: Path | None) -> None:
    """Make the root recipe of another package's system known by name; None forgets it."""
    if path is None:
        _ROOTS.pop(name, None)
    else:
        _ROOTS[name] = Path(path)


def available() -> list[str]:
    """Names of the recipes that come with the package, and of the root recipes of registered systems."""
    return sorted({*(path.stem for path in FOLDER.glob("*.yaml")), *_ROOTS})


def similar(name: str) -> str:
    """What may have been meant by the name of a recipe that there is not, and where all are listed."""
    near = difflib.get_close_matches(name, available(), n=3)
    meant = f"Is {' or '.join(near)} meant? " if near else ""
    return f"{meant}`python -m TrainingCore.describe` lists all."


def load_recipe(name: str, changes: Sequence[str] = ()) -> Settings:
    """A recipe by name or path, with `key=value` changes.

    Raises:
        BadInput: for anything it does not know.
    """
    recipe = _read(_find(name))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise BadInput(f"--set {change}: write it as key=value, for example --set epochs=10.")
        _set(recipe, key.strip(), parse_yaml(value, f"--set {change}"))
    return recipe


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise BadInput(f"The recipe {path} does not exist.")
        return path
    if name not in available():
        raise BadInput(f"There is no recipe called {name!r}. {similar(name)}")
    return _ROOTS.get(name, FOLDER / f"{name}.yaml")


def _read(path: Path, chain: tuple[Path, ...] = ()) -> Settings:
    content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(content, dict):
        raise BadInput(f"The recipe {path} is not a list of keys and values.")
    if path in chain:
        raise BadInput(f"The recipe {path} is its own base.")
    base = content.pop("base", None)
    if base is None and (path.parent == FOLDER or path in _ROOTS.values()):
        return content  # a root
    recipe = _read(_find(str(base or content.get("system", "curricular"))), (*chain, path))
    for key, value in leaves(content):
        _set(recipe, key, value, where=str(path))
    return recipe


def completed(recipe: Settings) -> Settings:
    """A recipe that an older version wrote, with the settings that its system has gained since, as the root has them.

    A root has new settings off, so that the recipe means what it meant. Without a root it comes back as it is.
    """
    if recipe.get("system") not in available():
        return recipe
    copy = deepcopy(recipe)
    for key, value in leaves(_read(_find(recipe["system"]))):
        *groups, leaf = key.split(".")
        group_of_key = copy
        for group in groups:
            group_of_key = group_of_key.setdefault(group, {})
        group_of_key.setdefault(leaf, deepcopy(value))
    return copy


def parse_yaml(text: str, where: str) -> Any:
    """YAML text as values, numbers like 1e-4 included; raises BadInput saying where it stands."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{where} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except ValueError:
            return value
    return value


def leaves(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested settings with its full key, e.g. `("generator.width", 32)`."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set(recipe: Settings, key: str, value: Any, where: str = "--set") -> None:
    full = full_key(recipe, key, where)
    *groups, leaf = full.split(".")
    group = recipe
    for name in groups:
        group = group[name]
    group[leaf] = _as_type_of(group[leaf], value, full)


def with_values(recipe: Settings, values: Mapping[str, Any], where: str = "--set") -> Settings:
    """A copy of a recipe with other values, by full or short key; raises BadInput as `load_recipe` does."""
    copy = deepcopy(recipe)
    for key, value in values.items():
        _set(copy, key, value, where)
    return copy


def value_of(recipe: Settings, key: str) -> Any:
    """The value of a full key such as `optimizer.rate`."""
    return dict(leaves(recipe))[key]


def differences_to_root(recipe: Settings) -> Settings:
    """What a recipe says other than the root of its system, as a recipe with that root as `base`."""
    root = next(name for name in (recipe["system"], "curricular") if name in available())
    before = dict(leaves(load_recipe(root)))
    return {"base": root} | {key: value for key, value in leaves(recipe) if before.get(key, ...) != value}


def full_key(recipe: Settings, key: str, where: str) -> str:
    """The full key that a short one means.

    Raises:
        BadInput: there is none, or more than one.
    """
    known = [name for name, _ in leaves(recipe)]
    if key in known:
        return key
    short = [name for name in known if name.split(".")[-1] == key]
    if len(short) == 1:
        return short[0]
    if short:
        raise BadInput(f"{where}: {key!r} could be {' or '.join(short)}. Write the whole key.")
    near = difflib.get_close_matches(key, [*known, *(name.split(".")[-1] for name in known)], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise BadInput(f"{where}: there is no recipe key {key!r}.{hint} See recipes/{recipe['system']}.yaml for all keys.")


def has_key(recipe: Settings, change: str) -> bool:
    """Whether a recipe has the key of `key=value`, written in full or short."""
    key = change.partition("=")[0].strip()
    return any(key in (full, full.split(".")[-1]) for full, _ in leaves(recipe))


def _as_type_of(old: Any, value: Any, key: str) -> Any:
    if isinstance(old, bool):
        good = isinstance(value, bool)
    elif isinstance(old, float):
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if good else value
    elif key == "data.size":
        good = isinstance(value, int) or (isinstance(value, list) and len(value) == 3)
    elif isinstance(old, int):
        good = (isinstance(value, int) or (isinstance(value, float) and value.is_integer())) and not isinstance(
            value, bool
        )
        value = int(value) if good else value
    else:
        good = isinstance(value, type(old))
    if not good:
        raise BadInput(f"The recipe key {key} takes a value like {old!r}, not {value!r}.")
    return deepcopy(value)


def without_input(recipe: Settings, name: str) -> Settings:
    """The same recipe with one input less, for an ablation.

    Raises:
        BadInput: it is not there or the only one.
    """
    inputs = recipe["data"]["inputs"]
    if name not in inputs:
        raise BadInput(f"{name} cannot be left out: the recipe's inputs are {', '.join(inputs)}.")
    if len(inputs) == 1:
        raise BadInput(f"{name} cannot be left out: it is the recipe's only input.")
    kept = [input_name for input_name in inputs if input_name != name]
    left = deepcopy(recipe)
    left["data"]["inputs"] = kept
    left["description"] = f"{recipe['description'].split(' [inputs ')[0]} [inputs {', '.join(kept)}]"
    return left


def grid_shape(recipe: Settings) -> tuple[int, int, int]:
    """Voxels along each axis of the model's grid; raises BadInput below 16 (one patch)."""
    size = recipe["data"]["size"]
    shape = tuple(size) if isinstance(size, list) else (size,) * 3
    if not all(isinstance(n, int) and n >= 16 for n in shape):
        raise BadInput(f"data.size must be whole numbers of at least 16 voxels, not {size!r}.")
    return shape[0], shape[1], shape[2]


def patch_voxels(recipe: Settings) -> int:
    """Edge in voxels of the patches that a recipe gives in mm (`discriminator.patch_mm`), at least 1."""
    return max(1, round(recipe["discriminator"]["patch_mm"] / grid_spacing(recipe)))


def grid_spacing(recipe: Settings) -> float:
    """Voxel edge of the model's grid in mm."""
    return recipe["data"]["field_of_view"] / max(grid_shape(recipe))
