"""Stratified folds by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ..runtime.errors import BadInput


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
