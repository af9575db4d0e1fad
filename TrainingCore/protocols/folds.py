"""Folds by person, alike in what they are stratified by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..cohort import Cohort
from ..errors import BadInput

UNKNOWN = "unknown"


def strata(cohort: Cohort, columns: Sequence[str]) -> dict[str, str]:
    """Person -> stratum: the values of some participant columns together. Raises BadInput for a column nobody has."""
    first = {}
    for visit in cohort:
        first.setdefault(visit.person, visit.info)
    for column in columns:
        if not any(column in info for info in first.values()):
            known = sorted({name for info in first.values() for name in info})
            raise BadInput(
                f"participants.tsv of {cohort.path} has no column {column!r} to stratify by. It has: "
                f"{', '.join(known) or 'none'}."
            )
    return {
        person: " / ".join(str(info.get(column) or UNKNOWN) for column in columns) for person, info in first.items()
    }


def make_folds(stratum: Mapping[str, str], folds: int, seed: int) -> list[list[str]]:
    """Divide people into `folds` parts whose sizes differ by one at most, in all and, as far as that allows, in each
    stratum. stratum: person -> name; the same people and seed give the same folds. Raises BadInput with too few people.
    """
    if not 2 <= folds <= len(stratum):
        raise BadInput(f"{len(stratum)} people cannot be divided into {folds} folds. Use --folds 2 to {len(stratum)}.")
    rng = np.random.default_rng([seed, 1931])
    parts: list[list[str]] = [[] for _ in range(folds)]
    # The rarest strata first: where a stratum has fewer people than there are folds, its people go to the emptiest.
    sizes = Counter(stratum.values())
    for name in sorted(sizes, key=lambda one: (sizes[one], one)):
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
