"""A search space over recipe keys, as YAML.

generator_rate: {low: 1.0e-5, high: 1.0e-3, log: true}
data.visits_per_step: {low: 1, high: 4}            # whole numbers where the recipe has one
schedule.name: {choices: [curricular, anticurricular, uniform]}
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.recipe import FOLDER as RECIPES
from ..data.recipe import full_key, parse_yaml, value_of, with_values
from ..runtime.errors import BadInput
from ..systems.checks import check_recipe

SPACES = RECIPES / "spaces"
NUMBER = (int, float)
FIXED = ("system", "data.target")  # another one has another score
FIELDS = {"low", "high", "log", "step", "choices"}


@dataclass(frozen=True)
class Dimension:
    """One recipe key and what it may be: low to high (on a log scale, in steps), whole numbers or not, or choices."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: Any) -> Any:
        """Draw a value for a trial.

        Args:
            trial: Optuna trial.

        Returns:
            Value of the recipe key.
        """
        if self.choices:  # as text: Optuna's choices cannot be lists
            return json.loads(trial.suggest_categorical(self.key, [json.dumps(choice) for choice in self.choices]))
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)


def spaces() -> list[str]:
    """Systems with a default search space."""
    return sorted(path.stem for path in SPACES.glob("*.yaml"))


def default_space(recipe: dict[str, Any]) -> list[Dimension]:
    """Read the search space that is supplied for a recipe's system.

    What a recipe has switched off (0), such as one loss of an L1-only twin, stays off.

    Args:
        recipe: recipe to search around.

    Returns:
        One dimension per recipe key.

    Raises:
        BadInput: the system has no such space.
    """
    if recipe["system"] not in spaces():
        raise BadInput(
            f"No search space comes with the system {recipe['system']}: give one with --space FILE, see tune --help."
        )
    space = read_space(SPACES / f"{recipe['system']}.yaml", recipe)
    return [dimension for dimension in space if value_of(recipe, dimension.key) != 0]


def read_space(path: Path, recipe: dict[str, Any]) -> list[Dimension]:
    """Read a search space.

    Args:
        path: YAML file, see the head of this module.
        recipe: recipe to search around, against which keys and ranges are checked.

    Returns:
        One dimension per recipe key.

    Raises:
        BadInput: the file cannot be read, or has a key or a range that the recipe does not allow.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), f"The search space {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The search space {path} cannot be read. Give a YAML file with --space.") from error
    if not isinstance(content, dict) or not content:
        raise BadInput(f"The search space {path} is empty. Write one line per recipe key, see tune --help.")
    named = [(full_key(recipe, str(key), str(path)), spec) for key, spec in content.items()]
    dimensions = [_dimension(path, key, spec, recipe) for key, spec in named]
    keys = [dimension.key for dimension in dimensions]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise BadInput(f"The search space {path} names {twice[0]} twice.")
    return dimensions


def _dimension(path: Path, key: str, spec: Any, recipe: dict[str, Any]) -> Dimension:
    where = f"The search space {path}, {key}:"
    if key in FIXED:
        raise BadInput(f"{where} scores of different ones cannot be compared. Search each on its own.")
    if not isinstance(spec, dict) or not spec or set(spec) - FIELDS:
        raise BadInput(f"{where} write {{low: .., high: ..}} with log or step, or {{choices: [..]}}.")
    if "choices" in spec:
        if set(spec) != {"choices"} or not isinstance(spec["choices"], list) or len(spec["choices"]) < 2:
            raise BadInput(f"{where} choices must be a list of two or more values, without other keys.")
        for choice in spec["choices"]:
            check_recipe(with_values(recipe, {key: choice}, str(path)))
        return Dimension(key, choices=tuple(spec["choices"]))
    low, high = spec.get("low"), spec.get("high")
    if isinstance(low, bool) or isinstance(high, bool) or not (isinstance(low, NUMBER) and isinstance(high, NUMBER)):
        raise BadInput(f"{where} low and high must be numbers.")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadInput(f"{where} low and high must be finite.")
    log, step, whole = bool(spec.get("log", False)), spec.get("step"), isinstance(value_of(recipe, key), int)
    if not low < high:
        raise BadInput(f"{where} low must be below high.")
    if log and (low <= 0 or step is not None):
        raise BadInput(f"{where} a log scale starts above 0 and has no step.")
    if step is not None and (isinstance(step, bool) or not isinstance(step, NUMBER) or not 0 < step <= high - low):
        raise BadInput(f"{where} step must be a number above 0 and no larger than the range.")
    if whole and step is not None and step != int(step):
        raise BadInput(f"{where} step must be a whole number.")
    for number in (low, high):
        check_recipe(with_values(recipe, {key: number}, str(path)))
    return Dimension(key, low, high, log, step, whole)
