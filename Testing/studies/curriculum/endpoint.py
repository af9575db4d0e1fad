"""The study's statistics: four measures of each arm, their differences, intervals over people and seeds together.

People are drawn with replacement, the same draws for every arm and seed. The mean over S seeds varies around each draw
as Student's t with S - 1 degrees of freedom times the standard error of the seeds: drawing so few seeds with
replacement cannot give quantiles beyond the seeds themselves, and would find 9 % (seeds alone: 24 %) of absent
differences at S = 3 instead of 5 %. Arms are paired by seed, which fixes the validation people, the first weights and
the order of visits. One seed alone gives intervals over people only, and fewer than three no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from TrainingCore.evaluation.beyond_geometry import partial_replicates
from TrainingCore.evaluation.statistics import ClusterBootstrap, bootstrap_test, pearson
from TrainingCore.evaluation.summary import column, geometry_features, lesion_level

from .protocol import BUNDLES, MEASURES, PRIMARY

FEWEST_SEEDS = 3  # for a verdict
TOLERANCE = 2e-5  # committed trainings have five digits
Row = dict[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True)
class Lesions:
    """The same n lesions as every arm and seed predicts them.

    people: (n,); measured: (n,) mean DVR; myelin: (n,) true share that is left; geometry: (n, F); synthetic: (n,) by
    arm and seed.
    """

    people: list[str]
    measured: np.ndarray
    myelin: np.ndarray
    geometry: np.ndarray
    synthetic: dict[str, dict[int, np.ndarray]]

    @classmethod
    def of(cls, tables: Mapping[str, Mapping[int, Rows]]) -> Lesions:
        """From lesion rows by arm and seed (evaluation.cases); raises ValueError where their lesions differ."""
        keys: list[tuple[Any, ...]] | None = None
        synthetic: dict[str, dict[int, np.ndarray]] = {}
        points: Rows = []
        known: np.ndarray | None = None
        for arm, seeds in tables.items():
            for seed, rows in seeds.items():
                points = lesion_level(rows)
                own = [(row["person"], row["visit"], row["id"], row["volume_mm3"]) for row in points]
                if keys is not None and own != keys:
                    raise ValueError(f"{arm}, seed {seed}: measured on other lesions than the arms before")
                columns = [column(points, "measured"), column(points, "myelin_loss"), geometry_features(points).T]
                truth = np.vstack(columns)
                if known is not None and not np.allclose(truth, known, atol=TOLERANCE, equal_nan=True):
                    raise ValueError(f"{arm}, seed {seed}: measured against another truth than the arms before")
                keys, known = own, truth
                synthetic.setdefault(arm, {})[seed] = column(points, "synthetic")
        people = [row["person"] for row in points]
        myelin = 1.0 - column(points, "myelin_loss")
        return cls(people, column(points, "measured"), myelin, geometry_features(points), synthetic)


@dataclass(frozen=True)
class Value:
    """A measure of one model: its value and its replicates by person, (REPLICATES,)."""

    value: float
    replicates: np.ndarray


class Measured:
    """All measures of all models on one bootstrap.

    >>> Measured(Lesions.of(tables)).difference("anticurricular", "curricular", "partial")           # doctest: +SKIP
    """

    def __init__(self, lesions: Lesions, seed: int = 0) -> None:
        self.lesions, self.seed = lesions, seed
        self.draws = ClusterBootstrap(lesions.people, seed=seed)
        self._values: dict[tuple[str, int, str], Value | None] = {}

    def value(self, arm: str, seed: int, measure: str) -> Value | None:
        """One measure of one model; None: not estimable."""
        key = (arm, seed, measure)
        if key not in self._values:
            self._values[key] = self._measure(self.lesions.synthetic[arm][seed], measure)
        return self._values[key]

    def _measure(self, synthetic: np.ndarray, measure: str) -> Value | None:
        one = self.lesions
        if measure == "partial":
            r, replicates = partial_replicates(one.measured, synthetic, one.geometry, one.people, self.seed)
            return None if r is None else Value(r, replicates)
        if measure == "mae":
            error = np.abs(synthetic - one.measured)
            return Value(float(error.mean()), self.draws.means(error))
        truth = one.myelin if measure == "myelin" else one.measured
        if not np.isfinite(truth).all():
            return None
        r = pearson(truth, synthetic)["r"]
        return None if r is None else Value(r, self.draws.correlations(truth, synthetic))

    def level(self, arm: str, measure: str) -> Row:
        """Mean over seeds of one measure: {value, low, high, seeds: value by seed}."""
        values = {seed: self.value(arm, seed, measure) for seed in self.lesions.synthetic[arm]}
        known = {seed: one for seed, one in values.items() if one is not None}
        if not known:
            return {"value": None, "low": None, "high": None, "seeds": {}}
        low, high = ClusterBootstrap.interval(self._together([one.replicates for one in known.values()]))
        mean = float(np.mean([one.value for one in known.values()]))
        return {"value": mean, "low": low, "high": high, "seeds": {seed: one.value for seed, one in known.items()}}

    def difference(self, first: str, second: str, measure: str) -> Row:
        """second - first over the seeds that both have: {difference, low, high, p, seeds: difference by seed}."""
        by_seed, replicates = {}, []
        for seed in sorted(set(self.lesions.synthetic[first]) & set(self.lesions.synthetic[second])):
            one, other = (self.value(arm, seed, measure) for arm in (first, second))
            if one is not None and other is not None:
                by_seed[seed] = other.value - one.value
                replicates.append(other.replicates - one.replicates)
        if not by_seed:
            return {"difference": None, "low": None, "high": None, "p": None, "seeds": {}}
        tested = bootstrap_test(self._together(replicates))
        return {"difference": float(np.mean(list(by_seed.values()))), **tested, "seeds": by_seed}

    def _together(self, by_seed: Sequence[np.ndarray]) -> np.ndarray:
        """Replicates of the mean over seeds, people and seeds drawn together: S x (REPLICATES,) -> (REPLICATES,)."""
        table = np.stack(by_seed, axis=1)
        count = table.shape[1]
        centre = table.mean(axis=1)
        if count == 1 or len(table) == 0:
            return centre
        drawn = np.random.default_rng([self.seed, 2024]).standard_t(count - 1, len(table))
        return centre + drawn * table.std(axis=1, ddof=1) / np.sqrt(count)


def analyse(tables: Mapping[str, Mapping[str, Mapping[int, Rows]]], first: str = PRIMARY[0]) -> dict[str, Any]:
    """Everything the page shows of lesion rows by bundle, arm and seed.

    Returns {bundle: {arms: {arm: {measure: level}}, differences: {arm: {measure: first - arm}}, lesions, people}}.
    """
    result = {}
    for bundle in BUNDLES:
        lesions = Lesions.of(tables[bundle])
        measured = Measured(lesions)
        arms = list(lesions.synthetic)
        result[bundle] = {
            "arms": {arm: {measure: measured.level(arm, measure) for measure in MEASURES} for arm in arms},
            "differences": {
                arm: {measure: measured.difference(arm, first, measure) for measure in MEASURES}
                for arm in arms
                if arm != first and first in arms
            },
            "lesions": len(lesions.people),
            "people": len(set(lesions.people)),
        }
    return result


def verdict(difference: Row) -> str:
    """What the primary endpoint says, in a sentence."""
    if difference["low"] is None:
        return "The primary endpoint cannot be estimated yet."
    gap = f"{difference['difference']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    if len(difference["seeds"]) < FEWEST_SEEDS:
        count = len(difference["seeds"])
        outcome = f"fewer than {FEWEST_SEEDS} seeds ({count}): two trainings of one arm may differ as much, no verdict"
    elif difference["low"] > 0:
        outcome = "the curricular schedule is better than its opposite"
    elif difference["high"] < 0:
        outcome = "the curricular schedule is worse than its opposite"
    else:
        outcome = "the two schedules are not told apart"
    return f"Primary endpoint, partial r given geometry, curricular - anticurricular: {gap}: {outcome}."
