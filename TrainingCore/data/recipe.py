"""Recipes: every setting of a training run in one YAML, read strictly.

Every system has a root recipe of the same name, with every key and the settings of its paper. Other recipes name a
`base` and list only the differences (without `base`: the root of their `system`, or `curricular`). A key that the base
does not have, or a value of another type, is bad input and never ignored.
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


_ROOTS: dict[str, Path] = {}  # systems registered at run time


def add_root(name: str, path: Path | None) -> None:
    """Register the root recipe of another package's system.

    Args:
        name: name of the system.
        path: YAML file with every setting; None removes the registration.
    """
    if path is None:
        _ROOTS.pop(name, None)
    else:
        _ROOTS[name] = Path(path)


def available() -> list[str]:
    """Names of the recipes that come with the package, and of the root recipes of registered systems."""
    return sorted({*(path.stem for path in FOLDER.glob("*.yaml")), *_ROOTS})


def similar(name: str) -> str:
    """Suggest recipes for a name that does not exist.

    Args:
        name: unknown recipe name.

    Returns:
        Sentence with up to three similar names, and how to list all.
    """
    near = difflib.get_close_matches(name, available(), n=3)
    meant = f"Is {' or '.join(near)} meant? " if near else ""
    return f"{meant}`python -m TrainingCore.describe` lists all."


def load_recipe(name: str, changes: Sequence[str] = ()) -> Settings:
    """Load a recipe by name or path.

    Args:
        name: name of a recipe in the package, or path of a YAML file.
        changes: `key=value` with full or short keys, applied in order.

    Returns:
        All settings, those of the base recipes included.

    Raises:
        BadInput: the recipe does not exist, a key is unknown or ambiguous, or a value has the wrong type.
    """
    recipe = _read(_find(name))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise BadInput(f"--set {change}: write it as key=value, for example --set epochs=10.")
        _set(recipe, key.strip(), parse_yaml(value, f"--set {change}"))
    return recipe


def _find(name: str, beside: Path | None = None) -> Path:
    """Path of a recipe; beside: folder of the recipe that names it, which is looked in first."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if beside is not None and (beside / path).is_file():
            return beside / path
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
    recipe = _read(_find(str(base or content.get("system", "curricular")), path.parent), (*chain, path))
    for key, value in leaves(content):
        _set(recipe, key, value, where=str(path))
    return recipe


def completed(recipe: Settings) -> Settings:
    """Add settings that the system gained since a recipe was written, with the values of its root recipe.

    New settings are off in a root, so that the recipe keeps its meaning.

    Args:
        recipe: recipe written by an older version.

    Returns:
        A completed copy; `recipe` itself if its system has no root.
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
    """Parse YAML text, including numbers like 1e-4, which YAML 1.1 reads as text.

    Args:
        text: YAML.
        where: source of the text, for the error message.

    Returns:
        The value.

    Raises:
        BadInput: the text is not valid YAML, or has a key twice.
    """
    import yaml

    try:
        _refuse_repeated_keys(yaml.compose(text, yaml.SafeLoader), where)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{where} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except ValueError:
            return value
    return value


def _refuse_repeated_keys(node: Any, where: str) -> None:
    """Raise BadInput if a mapping in a YAML document has a key twice, of which YAML would keep the last."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise BadInput(f"{where} has {key} twice. Remove one of them.")
        for _, value in node.value:
            _refuse_repeated_keys(value, where)


def leaves(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over every value of nested settings.

    Args:
        settings: nested dict.
        prefix: text before each key.

    Yields:
        Full key and value, e.g. `("generator.width", 32)`.
    """
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
    """Copy a recipe with some values changed.

    Args:
        recipe: complete recipe; not changed.
        values: new values by full or short key.
        where: source of the values, for error messages.

    Returns:
        The changed copy.

    Raises:
        BadInput: a key is unknown or ambiguous, or a value has the wrong type.
    """
    copy = deepcopy(recipe)
    for key, value in values.items():
        _set(copy, key, value, where)
    return copy


def value_of(recipe: Settings, key: str) -> Any:
    """Look up a setting.

    Args:
        recipe: complete recipe.
        key: full key such as `optimizer.rate`.

    Raises:
        KeyError: the recipe has no such key.
    """
    return dict(leaves(recipe))[key]


def differences_to_root(recipe: Settings) -> Settings:
    """Reduce a recipe to its differences from the root recipe of its system.

    Args:
        recipe: complete recipe.

    Returns:
        Recipe in short form: `base` is the root, the other entries have full keys.
    """
    root = next(name for name in (recipe["system"], "curricular") if name in available())
    before = dict(leaves(load_recipe(root)))
    return {"base": root} | {key: value for key, value in leaves(recipe) if before.get(key, ...) != value}


def full_key(recipe: Settings, key: str, where: str) -> str:
    """Complete a short key.

    Args:
        recipe: complete recipe.
        key: full key, or its last part if that is unique.
        where: source of the key, for error messages.

    Returns:
        The full key.

    Raises:
        BadInput: the recipe has no such key, or several.
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
    """Check whether a recipe has the key of a change.

    Args:
        recipe: complete recipe.
        change: `key=value` with a full or short key.
    """
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


def grid_shape(recipe: Settings) -> tuple[int, int, int]:
    """Return the shape of the model's grid.

    Args:
        recipe: complete recipe; `data.size` is one number or three.

    Returns:
        Voxels along each axis.

    Raises:
        BadInput: an axis has fewer than 16 voxels (one patch).
    """
    size = recipe["data"]["size"]
    shape = tuple(size) if isinstance(size, list) else (size,) * 3
    if not all(isinstance(n, int) and n >= 16 for n in shape):
        raise BadInput(f"data.size must be whole numbers of at least 16 voxels, not {size!r}.")
    return shape[0], shape[1], shape[2]


def patch_voxels(recipe: Settings) -> int:
    """Convert the discriminator's patch size from mm (`discriminator.patch_mm`) to voxels.

    Args:
        recipe: complete recipe.

    Returns:
        Edge of the patches in voxels, at least 1.
    """
    return max(1, round(recipe["discriminator"]["patch_mm"] / grid_spacing(recipe)))


def grid_spacing(recipe: Settings) -> float:
    """Return the voxel edge of the model's grid in mm.

    Args:
        recipe: complete recipe; `data.field_of_view` (mm) is the longest edge of the grid.
    """
    return recipe["data"]["field_of_view"] / max(grid_shape(recipe))
