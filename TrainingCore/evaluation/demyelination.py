"""Myelin in groups, people and voxels, as measured by Wei et al. 2018. Arrays in, numbers out.

Groups: DVR of the white matter of controls, of NAWM and of lesions, measured and synthetic, and the significance of
their differences. People: the means of one person. Voxels: lesional voxels below a threshold count as demyelinated;
their share of the lesion load, and the Dice index of the measured and the synthetic demyelination map (paper: 0.83 on
average).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .lesions import THRESHOLD_DEVIATIONS
from .measures import dice
from .statistics import weighted_mean

Row = dict[str, Any]
CONTROL = "control"
REGIONS = ("wm_control", "wm_patient", "lesions")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MIN_PEOPLE = 3  # in each group of a test


def control_threshold(
    maps: Sequence[np.ndarray], white_matter: Sequence[np.ndarray], deviations: float = THRESHOLD_DEVIATIONS
) -> float | None:
    """Compute the DVR below which a voxel counts as demyelinated: mean of the controls' white matter minus some SDs.

    Mean and SD are computed over each control's voxels and then averaged over controls, so that a large brain has the
    same weight as a small one. The number of SDs is ours: Wei et al. 2018 refer to another study for their procedure.

    Args:
        maps: (I, J, K) DVR of each control.
        white_matter: mask of each control.
        deviations: number of SDs.

    Returns:
        DVR; None without controls.
    """
    moments = [
        (dvr[mask].mean(dtype=float), dvr[mask].std(dtype=float)) for dvr, mask in zip(maps, white_matter) if mask.any()
    ]
    if not moments:
        return None
    mean, sd = np.mean(moments, axis=0)
    return float(mean - deviations * sd)


def demyelinated(dvr: np.ndarray, lesions: np.ndarray, threshold: float) -> np.ndarray:
    """Compute a demyelination map: lesional voxels with a DVR below the threshold.

    Args:
        dvr: (I, J, K).
        lesions: mask (I, J, K).
        threshold: DVR.

    Returns:
        bool (I, J, K).
    """
    return np.asarray(lesions, bool) & (dvr < threshold)


def demyelination_measures(
    measured: np.ndarray, synthetic: np.ndarray, lesions: np.ndarray, threshold: float, own: float | None = None
) -> dict[str, float | None]:
    """Compare the demyelinated share of the lesion load in both maps, and the maps voxel by voxel.

    `dice_all` is the Dice of a map that marks every lesional voxel as demyelinated: only the excess over it is
    meaningful.

    Args:
        measured: (I, J, K) DVR.
        synthetic: (I, J, K) DVR.
        lesions: mask.
        threshold: DVR.
        own: threshold of the synthetic map, None for the same.

    Returns:
        {measured_percent, synthetic_percent, percent_error (difference of the shares), dice (None if neither map has a
        demyelinated voxel), dice_all}; all None without lesions.
    """
    names = ("measured_percent", "synthetic_percent", "percent_error", "dice", "dice_all")
    lesions = np.asarray(lesions, bool)
    load = int(lesions.sum())
    if load == 0:
        return dict.fromkeys(names)
    truth = demyelinated(measured, lesions, threshold)
    result = demyelinated(synthetic, lesions, threshold if own is None else own)
    shares = 100.0 * int(truth.sum()) / load, 100.0 * int(result.sum()) / load
    return {
        "measured_percent": shares[0],
        "synthetic_percent": shares[1],
        "percent_error": abs(shares[1] - shares[0]),
        "dice": dice(truth, result),
        "dice_all": dice(truth, lesions),
    }


def agreement_classes(
    measured: np.ndarray, synthetic: np.ndarray, lesions: np.ndarray, threshold: float, own: float | None = None
) -> np.ndarray:
    """Classify lesional voxels by the agreement of the demyelination maps.

    Colours of figure 5 of the paper: white, yellow, red, orange.

    Args:
        measured: measured DVR, (I, J, K).
        synthetic: synthetic DVR, (I, J, K).
        lesions: mask (I, J, K).
        threshold: DVR below which a voxel counts as demyelinated.
        own: threshold of the synthetic map, None for the same.

    Returns:
        uint8 (I, J, K): 0 outside, 1 demyelinated in neither, 2 both, 3 measured only, 4 synthetic only.
    """
    lesions = np.asarray(lesions, bool)
    truth = demyelinated(measured, lesions, threshold)
    result = demyelinated(synthetic, lesions, threshold if own is None else own)
    classes = lesions.astype(np.uint8)
    classes[truth & result], classes[truth & ~result], classes[~truth & result] = 2, 3, 4
    return classes


def person_regions(
    measured: np.ndarray,
    synthetic: np.ndarray,
    white_matter: np.ndarray,
    lesions: np.ndarray,
    group: str,
    person: str = "",
) -> Row:
    """Compute mean and quantiles of both maps in a visit's regions.

    Regions: white matter without lesions, `wm_control` of a control and `wm_patient` of a patient (its NAWM), and
    `lesions`. None has the name of a tissue of `evaluate_case` (`nawm`), whose rows these join.

    Args:
        measured: (I, J, K) DVR.
        synthetic: (I, J, K) DVR.
        white_matter: mask.
        lesions: mask.
        group: `control` or `patient`.
        person: label of the person.

    Returns:
        {person, group, `<kind>_<region>` mean, `<kind>_<region>_quantiles` (5, 25, 50, 75, 95 %), `<region>_voxels`}
        for kind measured and synthetic, None if a region is empty or not that group's.
    """
    lesions = np.asarray(lesions, bool)
    normal = np.asarray(white_matter, bool) & ~lesions
    empty = np.zeros_like(lesions)
    is_control = group == CONTROL
    masks = {
        "wm_control": normal if is_control else empty,
        "wm_patient": empty if is_control else normal,
        "lesions": empty if is_control else lesions,
    }
    row: Row = {"person": person, "group": group}
    for region, mask in masks.items():
        row[f"{region}_voxels"] = int(mask.sum())
        for kind, dvr in (("measured", measured), ("synthetic", synthetic)):
            values = dvr[mask].astype(float)
            row[f"{kind}_{region}"] = float(values.mean()) if values.size else None
            row[f"{kind}_{region}_quantiles"] = np.quantile(values, QUANTILES).tolist() if values.size else None
    return row


def group_comparison(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Compare group means, for the measured and the synthetic maps.

    The paper reports no difference between NAWM and controls and p < 0.0001 between lesions and NAWM, over 18 patients
    and 10 controls.

    Args:
        rows: rows of `person_regions`; several visits of a person are averaged first.

    Returns:
        For each kind: `<region>_mean`, `<region>_sd` over people, `<region>_n`, and two-sided p values over people,
            never over voxels, which are not independent: `p_nawm_against_control` (Mann-Whitney U, different people),
            `p_lesions_against_nawm` (Wilcoxon signed rank, the same people). None if a group has fewer than three
            people.
    """
    return {kind: _compare(_by_person(rows, kind)) for kind in ("measured", "synthetic")}


def _by_person(rows: Sequence[Mapping[str, Any]], kind: str) -> dict[str, dict[str, float]]:
    """region -> person -> mean over the person's visits, weighted by voxels."""
    result: dict[str, dict[str, float]] = {}
    for region in REGIONS:
        people = {row["person"] for row in rows if row[f"{kind}_{region}"] is not None}
        result[region] = {}
        for person in sorted(people):
            own = [row for row in rows if row["person"] == person]
            mean = weighted_mean([row[f"{kind}_{region}"] for row in own], [row[f"{region}_voxels"] for row in own])
            if mean is not None:
                result[region][person] = mean
    return result


def _compare(means: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    from scipy.stats import mannwhitneyu, wilcoxon

    result: dict[str, Any] = {}
    for region in REGIONS:
        values = np.array(list(means[region].values()))
        result[f"{region}_mean"] = float(values.mean()) if values.size else None
        result[f"{region}_sd"] = float(values.std(ddof=1)) if values.size > 1 else None
        result[f"{region}_n"] = int(values.size)
    control, nawm, lesions = (means[region] for region in REGIONS)
    enough = min(len(control), len(nawm)) >= MIN_PEOPLE
    p = mannwhitneyu(list(control.values()), list(nawm.values())).pvalue if enough else None
    result["p_nawm_against_control"] = None if p is None else float(p)
    paired = sorted(set(nawm) & set(lesions))
    enough = len(paired) >= MIN_PEOPLE
    p = wilcoxon([lesions[person] for person in paired], [nawm[person] for person in paired]).pvalue if enough else None
    result["p_lesions_against_nawm"] = None if p is None else float(p)
    return result
