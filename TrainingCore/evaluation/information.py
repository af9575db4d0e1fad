"""Information ceiling of lesion DVR and true myelin loss: from geometry, from MRI, from the tissue itself.

A noise ceiling is the agreement of the noise-free truth with a scanner's measurement. Most of that truth may not be
contained in the MRI. The information ceiling is the performance of regressions on size and location, then on the
intensities of T1w and FLAIR, then on the true relaxation times and partial volumes; each person is predicted from the
others.

True myelin loss has two ceilings. One is that of a regression fitted to the loss itself, which no scanner measures. The
other is that of a regression fitted to the noise-free DVR, whose output is then correlated with the loss: what a map
that was trained on PET can know of it, since the PET's blur lowers the contrast of small lesions whatever their loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .statistics import clusters

MIN_PEOPLE, MIN_LESIONS, FOLDS = 20, 200, 5  # (ours)
FIRM_PEOPLE, FIRM_LESIONS = 50, 500  # site B: 0.67 of measured DVR from 24 people, 0.79 from 96
SETS = ("geometry", "mri", "tissue")  # each holds the features of those before it
TITLES = {"geometry": "size and place", "mri": "+ T1w, FLAIR", "tissue": "+ true T1, T2, partial volumes"}


@dataclass(frozen=True)
class Target:
    """What regressions are judged by.

    Attributes:
        title: in tables.
        truth: column that the predictions are correlated with.
        fitted_to: column that the regressions are fitted to.
    """

    title: str
    truth: str
    fitted_to: str

    @property
    def loses_dvr(self) -> bool:
        """Whether the truth is a loss, which rises as DVR falls."""
        return self.truth == "myelin_loss"

    @property
    def sign(self) -> int:
        """-1 if predictions fall as the truth rises."""
        return -1 if self.loses_dvr and self.fitted_to != self.truth else 1


TARGETS = {
    "measured": Target("measured DVR", "measured", "measured"),
    "myelin_loss": Target("true myelin loss", "myelin_loss", "myelin_loss"),
    "loss_through_dvr": Target("true myelin loss, fitted to noise-free DVR", "myelin_loss", "clean"),
}


def information_ceiling(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Measure how well regressions on known features predict lesions and patients.

    Args:
        rows: one per lesion: person, visit, volume_mm3, measured, clean (DVR), myelin_loss (0 to 1), and features whose
            names begin with geometry_, mri_ or tissue_.

    Returns:
        {lesions, people, skipped: a sentence or None, rows: [{target, knows, model, lesion_r, patient_r}], best:
        {target: {mri: {lesion_r, patient_r}, information: the same, tissue included}}}; targets as in TARGETS.
        Linear is ridge regression; boosting is histogram gradient boosting; people are in one fold each. Patient level:
        mean of the same lesions of a person, all visits, weighted by volume.
    """
    people = sorted({str(row["person"]) for row in rows})
    result: dict[str, Any] = {"lesions": len(rows), "people": len(people), "skipped": None, "rows": [], "best": {}}
    masks = len(set(clusters(rows)))
    if masks < min(FOLDS, len(people)):
        result["skipped"] = (
            f"The lesions have the shapes of {masks} real masks only, which are too few to estimate what MRI knows of "
            f"lesions of other shapes: it takes {FOLDS}."
        )
        return result
    if len(people) < MIN_PEOPLE or len(rows) < MIN_LESIONS:
        result["skipped"] = (
            f"{len(rows)} lesions of {len(people)} people are too few to estimate what MRI knows of them: it takes at "
            f"least {MIN_PEOPLE} people and {MIN_LESIONS} lesions."
        )
        return result
    for name, target in TARGETS.items():
        result["rows"] += [{"target": name, **row} for row in _performance(rows, people, target)]
        result["best"][name] = {
            which: _best(result["rows"], name, sets) for which, sets in (("mri", SETS[:2]), ("information", SETS))
        }
    return result


def _performance(
    rows: Sequence[Mapping[str, Any]], people: Sequence[str], target: Target
) -> Iterator[dict[str, float | str | None]]:
    """Yield {knows, model, lesion_r, patient_r} of the DVR itself and of each regression."""
    truth, fitted_to, volumes = (_column(rows, name) for name in (target.truth, target.fitted_to, "volume_mm3"))
    owners = np.array([people.index(str(row["person"])) for row in rows])
    together = np.unique(clusters(rows), return_inverse=True)[1]

    def performance(knows: str, model: str, predicted: np.ndarray) -> dict[str, float | str | None]:
        patients = (_by_person(truth, volumes, owners), _by_person(predicted, volumes, owners))
        return {"knows": knows, "model": model, "lesion_r": _r(truth, predicted), "patient_r": _r(*patients)}

    if target.truth == target.fitted_to:
        if target.loses_dvr:
            yield performance("measured DVR", "", -_column(rows, "measured"))
        yield performance("noise-free DVR", "", _column(rows, "clean") * (-1 if target.loses_dvr else 1))
    for knows in SETS:
        features = feature_table(rows, SETS[: SETS.index(knows) + 1])
        for model in ("linear", "boosting"):
            predicted = cross_validated(features, fitted_to, together, model)
            yield performance(knows, model, target.sign * predicted)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], float)


def feature_table(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> np.ndarray:
    """Collect the features of some groups; gaps (None, NaN) are replaced by the median of the column.

    Args:
        rows: lesions with features as `<group>_<name>`.
        groups: names of the groups.

    Returns:
        (n, F) float; columns without any value are left out.
    """
    names = sorted({name for row in rows for name in row if name.split("_", 1)[0] in groups})
    table = np.array([[row.get(name) for name in names] for row in rows], dtype=float)
    table = table[:, np.isfinite(table).any(axis=0)]
    middle = np.nanmedian(np.where(np.isfinite(table), table, np.nan), axis=0)
    return np.where(np.isfinite(table), table, middle)


def cross_validated(features: np.ndarray, target: np.ndarray, owners: np.ndarray, model: str) -> np.ndarray:
    """Predict each lesion by a regression fitted to the lesions of other people.

    Args:
        features: (n, F), finite.
        target: (n,).
        owners: (n,) int, person of each lesion (see `statistics.clusters`).
        model: linear (ridge) or boosting.

    Returns:
        (n,) predictions.
    """
    from sklearn.model_selection import GroupKFold

    predicted = np.empty(len(target))
    for train, test in GroupKFold(min(FOLDS, len(np.unique(owners)))).split(features, target, owners):
        fitted = _regression(model).fit(features[train], target[train])
        predicted[test] = fitted.predict(features[test])
    return predicted


def _regression(model: str) -> Any:
    if model == "linear":
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 3, 9)))
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=10, min_samples_leaf=15, l2_regularization=1.0, random_state=0
    )


def _by_person(values: np.ndarray, volumes: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Means over the lesions of each person, weighted by volume."""
    return np.bincount(owners, volumes * values) / np.bincount(owners, volumes)


def _r(first: np.ndarray, second: np.ndarray) -> float | None:
    if len(first) < 3 or not (np.std(first) > 0 and np.std(second) > 0):
        return None
    return round(float(np.corrcoef(first, second)[0, 1]), 3)


def _best(rows: Sequence[Mapping[str, Any]], target: str, sets: Sequence[str]) -> dict[str, float | None]:
    chosen = [row for row in rows if row["target"] == target and row["knows"] in sets]
    return {
        level: max((row[level] for row in chosen if row[level] is not None), default=None)
        for level in ("lesion_r", "patient_r")
    }


def caution(ceiling: Mapping[str, Any]) -> str:
    """Say that a ceiling is too low because it was estimated in few people.

    Args:
        ceiling: result of `information_ceiling`.

    Returns:
        One sentence; empty if there are no rows, or the cohort is large enough.
    """
    people, lesions = ceiling.get("people", 0), ceiling.get("lesions", 0)
    if not ceiling.get("rows") or (people >= FIRM_PEOPLE and lesions >= FIRM_LESIONS):
        return ""
    return (
        f"The information ceiling of {lesions} lesions of {people} people is too low, since the regressions learn from "
        f"few people, and a model's share of it is at most what it seems: use {FIRM_LESIONS} lesions of {FIRM_PEOPLE} "
        "people or more."
    )


def as_table(ceiling: Mapping[str, Any]) -> list[list[str]]:
    """Format a ceiling as a table.

    Args:
        ceiling: result of `information_ceiling`.

    Returns:
        Header and rows of text: features, model, and r of each target per lesion and per patient.
    """
    targets = [target for target in TARGETS if any(row["target"] == target for row in ceiling["rows"])]
    header = [
        "known",
        "model",
        *(f"{TARGETS[target].title}, {level}" for target in targets for level in ("lesion", "patient")),
    ]
    order = dict.fromkeys((row["knows"], row["model"]) for row in ceiling["rows"])
    lines = [header]
    for knows, model in order:
        line = [TITLES.get(knows, knows), model]
        for target in targets:
            match = [r for r in ceiling["rows"] if (r["target"], r["knows"], r["model"]) == (target, knows, model)]
            for level in ("lesion_r", "patient_r"):
                value = match[0][level] if match else None
                line.append("" if value is None else f"{value:.2f}")
        lines.append(line)
    return lines
