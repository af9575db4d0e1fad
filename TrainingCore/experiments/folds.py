"""Stratified folds by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ..runtime.errors import BadInput


def folds_of_units(stratum: Mapping[str, str], units: Mapping[str, str], folds: int, seed: int) -> list[list[str]]:
    """Divide people into folds, those of one unit always into the same.

    Args:
        stratum: name of the stratum by person.
        units: unit by person, see `Cohort.units`.
        folds: number of folds.
        seed: random seed.

    Returns:
        People of each fold; of people who are all units of their own, those of `make_folds`.

    Raises:
        BadInput: there are too few people or units.
    """
    if len(set(units.values())) == len(units):
        return make_folds(stratum, folds, seed)
    members: dict[str, list[str]] = {}
    for person in sorted(stratum):
        members.setdefault(units[person], []).append(person)
    if len(members) < folds:
        raise BadInput(
            f"The simulated people have the lesions of {len(members)} real masks, and people with the same one belong "
            f"into the same fold: they cannot be divided into {folds} folds."
        )
    parts = make_folds({unit: stratum[people[0]] for unit, people in members.items()}, folds, seed)
    return [sorted(person for unit in part for person in members[unit]) for part in parts]


def make_folds(stratum: Mapping[str, str], folds: int, seed: int) -> list[list[str]]:
    """Divide people into folds whose sizes differ by one at most, in all and, as far as that allows, in each stratum.

    Args:
        stratum: name of the stratum by person; the same people and seed give the same folds.
        folds: number of folds.
        seed: random seed.

    Returns:
        People of each fold.

    Raises:
        BadInput: there are too few people.
    """
    if len(stratum) < 2:
        raise BadInput(
            "Cross-validation needs at least two people, but only one has all volumes that the recipe needs."
        )
    if not 2 <= folds <= len(stratum):
        able = "--folds 2" if len(stratum) == 2 else f"--folds 2 to {len(stratum)}"
        raise BadInput(f"{len(stratum)} people cannot be divided into {folds} folds. Use {able}.")
    rng = np.random.default_rng([seed, 1931])
    parts: list[list[str]] = [[] for _ in range(folds)]
    # The rarest strata first: where a stratum has fewer people than there are folds, its people go to the emptiest.
    sizes = Counter(stratum.values())
    for name in sorted(sizes, key=lambda stratum_name: (sizes[stratum_name], stratum_name)):
        members = sorted(person for person, own in stratum.items() if own == name)
        counts = [0] * folds
        for person in rng.permutation(members).tolist():
            emptiest = min(range(folds), key=lambda fold: (counts[fold], len(parts[fold]), fold))
            parts[emptiest].append(person)
            counts[emptiest] += 1
    return _levelled([sorted(part) for part in parts])


def _levelled(parts: list[list[str]]) -> list[list[str]]:
    """Move single people until sizes differ by one at most."""
    while max(map(len, parts)) - min(map(len, parts)) > 1:
        largest, smallest = max(parts, key=len), min(parts, key=len)
        smallest.append(largest.pop())
    return [sorted(part) for part in parts]
