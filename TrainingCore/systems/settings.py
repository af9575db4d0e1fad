"""Settings of a system as typed objects, read from the keys of a recipe.

@dataclass(frozen=True)
class NetworkSettings:
    features: int
    kernel: int

@dataclass(frozen=True)
class TwoLayerDNNSettings:
    network: NetworkSettings

read_settings(TwoLayerDNNSettings, recipe).network.kernel
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..runtime.errors import BadInput

Kind = TypeVar("Kind")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "a list"}


@dataclass(frozen=True)
class AdamSettings:
    """Group `optimizer` of a system with one learning rate.

    Attributes:
        decay: `none` or `cosine`, over all steps.
    """

    rate: float
    betas: tuple[float, ...]
    decay: str = "none"


def read_settings(kind: type[Kind], recipe: Mapping[str, Any], group: str = "") -> Kind:
    """An object of a dataclass from the keys of a recipe that are named like its fields; other keys are left out.

    Args:
        kind: dataclass with fields of int, float, bool, str, tuple[int, ...], tuple[float, ...] or such a dataclass.
        recipe: nested settings; a group for each field that is a dataclass.
        group: what the group is called in messages, with a dot at its end.

    Raises:
        BadInput: a key is missing or its value has another type.
    """
    assert is_dataclass(kind)
    hints, values = get_type_hints(kind), {}
    for field in fields(kind):
        if field.name in recipe:
            values[field.name] = _checked(hints[field.name], recipe[field.name], f"{group}{field.name}")
    missing = [field.name for field in fields(kind) if field.name not in values and not _has_default(field)]
    if missing:
        raise BadInput(f"The recipe cannot be used: it has no {group}{missing[0]}.")
    return kind(**values)


def _has_default(field: Any) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _checked(expected: Any, value: Any, key: str) -> Any:
    if is_dataclass(expected) and isinstance(expected, type):
        if not isinstance(value, Mapping):
            raise BadInput(f"The recipe cannot be used: {key} must be a group of settings, not {value!r}.")
        return read_settings(expected, value, f"{key}.")
    kind = get_origin(expected) or expected
    if kind is tuple and isinstance(value, (list, tuple)):
        return tuple(_checked(get_args(expected)[0], item, key) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadInput(f"The recipe cannot be used: {key} must be {WORDS[kind]}, not {value!r}.")
    return value
