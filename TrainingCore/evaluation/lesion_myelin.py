"""Estimate of the myelin that each lesion has lost, from its outline, T1w, FLAIR and the synthetic map together.

A DVR map is as blurred as PET, so a small lesion shows mostly its surroundings, and a lesion's contrast in T1w alone
can follow its true myelin better than its mean DVR does. A linear regression joins what is known of a lesion: its
contrast in T1w and FLAIR, its DVR corrected for blur, and its size and location. Only simulated people have a true
myelin loss that it can be fitted to; its weights come with the model (`export --myelin`), as does the half width of its
95 % intervals, from the errors on people that the regression was not fitted to (five folds).

In people, this estimate rests on the assumption that their lesions look like simulated ones with the same loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging.labelling import at_least
from ..imaging.robust import median_and_sd
from ..runtime.errors import BadInput
from .conformal import CLASSES_MM3, half_widths, volume_class
from .lesion_geometry import FEATURES as GEOMETRY_FEATURES
from .lesion_geometry import GEOMETRY
from .lesions import means_with_surroundings
from .statistics import MIN_PATIENTS, clusters

Row = Mapping[str, Any]
TRUTH, ESTIMATE = "myelin_loss", "estimated_loss"
CONTRASTS = {"t1w": "t1w_contrast", "flair": "flair_contrast"}
FEATURES = (*CONTRASTS.values(), "corrected_ratio", *(f"{GEOMETRY}{name}" for name in GEOMETRY_FEATURES))
T1W_LIMITS = (-2.5, 0.5)  # of the contrast in T1w: beyond, white and grey matter are hardly told apart (ours)
MINIMUM_MM3 = 20.0  # smaller lesions are too noisy to learn from (ours)
MIN_LESIONS, FOLDS = 200, 5  # lesions to fit the regression to, and parts of the people that errors come from (ours)
RIDGE = 1e-3  # share of the variance, against features that others determine (ours)


def lesion_contrasts(
    labels: np.ndarray, images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], affine: np.ndarray
) -> dict[str, np.ndarray]:
    """Measure how much lesions differ from the white matter around them in T1w and FLAIR.

    Args:
        labels: int (I, J, K), lesions 1..n.
        images: `t1w` and `flair`, (I, J, K), in any linear unit; those that exist.
        masks: `nawm`, `grey_matter` and `brain`, bool (I, J, K).
        affine: 4x4, voxel -> world mm.

    Returns:
        (n + 1,) by name, entry i for label i: `t1w_contrast`, in units of the contrast of white and grey matter (-1: as
        dark as grey matter), and `flair_contrast`, in robust SD of the brain. NaN if it cannot be measured.
    """
    lesional = labels > 0
    nawm, grey = (np.asarray(masks[name], bool) & ~lesional for name in ("nawm", "grey_matter"))
    contrasts = {}
    for name, column in CONTRASTS.items():
        if name not in images:
            contrasts[column] = np.full(int(labels.max(initial=0)) + 1, np.nan)
            continue
        image = np.asarray(images[name], float)
        inside, around = means_with_surroundings(labels, image, nawm, affine)
        contrasts[column] = (inside - around) / _unit(name, image, nawm, grey, np.asarray(masks["brain"], bool))
    return contrasts


def _unit(name: str, image: np.ndarray, nawm: np.ndarray, grey: np.ndarray, brain: np.ndarray) -> float:
    """What a contrast is measured in; NaN if it is not positive."""
    if name == "t1w":
        unit = float(image[nawm].mean() - image[grey].mean()) if nawm.any() and grey.any() else np.nan
    else:
        unit = median_and_sd(image[brain])[1] if brain.any() else np.nan
    return unit if unit > 0 else np.nan


def fit_myelin(lesions: Sequence[Row]) -> dict[str, Any]:
    """Fit the regression to simulated lesions, and its intervals to its errors on people left out.

    Args:
        lesions: rows with FEATURES, myelin_loss (the true one), volume_mm3, person and `site`.

    Returns:
        {features, mean, sd, weights: [by feature], intercept, classes_mm3, half_width: [by class of volume], lesions,
        people, sites, r, r_of_t1w_contrast, r_of_corrected_ratio}, plain JSON; r are correlations with the true loss
        over lesions of 50 mm3 or more of people left out, or of a feature alone.

    Raises:
        BadInput: too few lesions whose true loss is known.
    """
    rows = [row for row in lesions if at_least(row["volume_mm3"], MINIMUM_MM3) and _complete(row)]
    people = np.array(clusters(rows))
    if len(rows) < MIN_LESIONS or len(set(people)) < max(FOLDS, MIN_PATIENTS):
        raise BadInput(
            f"The true myelin loss and all features are known of {len(rows)} lesions of {MINIMUM_MM3:g} mm3 or more of "
            f"{len(set(people))} people. To estimate it takes {MIN_LESIONS} lesions of simulated people (evaluate on a "
            "cohort that simulate wrote)."
        )
    table = _table(rows)
    truth = np.array([row[TRUTH] for row in rows], float)
    fitted = _regression(table, truth)
    left_out = _of_people_left_out(table, truth, people)
    predicted = [
        {"person": row["person"], "site": row.get("site"), "volume_mm3": row["volume_mm3"], TRUTH: loss, ESTIMATE: own}
        for row, loss, own in zip(rows, truth, left_out)
    ]
    large = np.array([volume_class(row["volume_mm3"]) > 0 for row in rows])
    alone = {"": left_out, "_of_t1w_contrast": -table[:, 0], "_of_corrected_ratio": -table[:, 2]}
    return fitted | {
        "classes_mm3": list(CLASSES_MM3),
        "half_width": half_widths(predicted, TRUTH, ESTIMATE),
        "lesions": len(rows),
        "people": len({row["person"] for row in rows}),
        "sites": sorted({str(row.get("site") or "") for row in rows}),
        **{f"r{name}": float(np.corrcoef(values[large], truth[large])[0, 1]) for name, values in alone.items()},
    }


def _table(rows: Sequence[Row]) -> np.ndarray:
    """(n, F) features of lesions, the contrast in T1w within its limits."""
    table = np.array([[row[name] for name in FEATURES] for row in rows], float)
    table[:, 0] = np.clip(table[:, 0], *T1W_LIMITS)
    return table


def _complete(row: Row, names: Sequence[str] = (*FEATURES, TRUTH)) -> bool:
    return all(row.get(name) is not None and np.isfinite(row[name]) for name in names)


def _regression(table: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Ridge regression on standardised features, as JSON."""
    mean, sd = table.mean(axis=0), table.std(axis=0)
    sd = np.where(sd > 1e-9, sd, 1.0)
    scaled = (table - mean) / sd
    weights = np.linalg.solve(
        scaled.T @ scaled + RIDGE * len(table) * np.eye(table.shape[1]), scaled.T @ (truth - truth.mean())
    )
    numbers = {"mean": mean, "sd": sd, "weights": weights}
    return {
        "features": list(FEATURES),
        **{key: [float(f"{value:.6g}") for value in values] for key, values in numbers.items()},
        "intercept": float(f"{truth.mean():.6g}"),
    }


def _of_people_left_out(table: np.ndarray, truth: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Estimates of each person's lesions by a regression fitted to other people."""
    fold = {person: number % FOLDS for number, person in enumerate(sorted(set(people)))}
    folds = np.array([fold[person] for person in people])
    predicted = np.empty(len(truth))
    for number in range(FOLDS):
        own = folds == number
        predicted[own] = _apply(_regression(table[~own], truth[~own]), table[own])
    return predicted


def _apply(fitted: Mapping[str, Any], table: np.ndarray) -> np.ndarray:
    scaled = (table - np.array(fitted["mean"])) / np.array(fitted["sd"])
    return np.clip(scaled @ np.array(fitted["weights"]) + fitted["intercept"], 0.0, 1.0)


def myelin_of_bundle(description: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the `myelin` entry of a bundle's description.

    Args:
        description: content of bundle.json.

    Returns:
        {mean, sd, weights, intercept, classes_mm3, half_width} of `fit_myelin`; None if the model has no regression.

    Raises:
        BadInput: the entry is not what `fit_myelin` writes.
    """
    result = description.get("myelin")
    if result is None:
        return None
    try:
        columns = {key: [float(value) for value in result[key]] for key in ("mean", "sd", "weights", "classes_mm3")}
        widths = [None if value is None else float(value) for value in result["half_width"]]
        features, intercept = list(result["features"]), float(result["intercept"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("The model's bundle.json has an unreadable `myelin`. Get the model again.") from error
    numbers = [number for column in columns.values() for number in column] + [intercept, *filter(None, widths)]
    lengths = {len(columns[key]) for key in ("mean", "sd", "weights")}
    right = features == list(FEATURES) and lengths == {len(FEATURES)} and min(columns["sd"]) > 0
    if not right or not np.isfinite(numbers).all() or len(widths) != len(columns["classes_mm3"]):
        raise BadInput("The model's bundle.json has a `myelin` with invalid numbers. Get the model again.")
    return {**columns, "half_width": widths, "intercept": intercept}


def estimated_loss(fitted: Mapping[str, Any] | None, row: Row) -> dict[str, float | None]:
    """Estimate the share of myelin that a lesion has lost.

    Args:
        fitted: `myelin` of a bundle (see `fit_myelin`), or None.
        row: a lesion with FEATURES and volume_mm3.

    Returns:
        {estimated_loss, estimated_loss_low, estimated_loss_high}, 0 to 1, the last two its 95 % interval; None without
        a regression or a feature.
    """
    loss = width = None
    if fitted is not None and _complete(row, FEATURES):
        loss = float(_apply(fitted, _table([row]))[0])
        width = fitted["half_width"][volume_class(row["volume_mm3"], fitted["classes_mm3"])]
    known = loss is not None and width is not None
    return {
        ESTIMATE: loss,
        f"{ESTIMATE}_low": max(0.0, loss - width) if known else None,  # type: ignore[operator]
        f"{ESTIMATE}_high": min(1.0, loss + width) if known else None,  # type: ignore[operator]
    }
