"""Quality-control measures of a prepared visit and their deviation from the cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.checks import white_to_grey
from ..imaging.contrasts import normalised_information
from ..imaging.robust import median_and_sd

if TYPE_CHECKING:
    from ..patient.case_preparation import Prepared

MIN_VISITS = 5  # smallest cohort in which outliers are marked (ours)
OUTLIER = 3.5  # robust z-score (Iglewicz & Hoaglin 1993)


@dataclass(frozen=True)
class QcMeasure:
    """One column of the page.

    Attributes:
        key: name in the records.
        title: column title.
        form: format of the value.
        floor: smaller differences are never unusual.
        side: suspicious side of the median: low, high or both.
        explanation: tooltip.
    """

    key: str
    title: str
    form: str
    floor: float
    side: str = "both"
    explanation: str = ""


MEASURES = (
    QcMeasure("brain_ml", "Brain (ml)", "{:.0f}", 60, explanation="volume of the brain mask"),
    QcMeasure("moved_mm", "FLAIR moved (mm)", "{:.1f}", 3, "high", "mean movement of FLAIR to T1w over the brain"),
    QcMeasure("covered", "FLAIR covers", "{:.0%}", 0.02, "low", "share of the brain inside the FLAIR's field of view"),
    QcMeasure(
        "shared_information", "T1w-FLAIR fit", "{:.2f}", 0.03, "low", "normalised mutual information in the brain"
    ),
    QcMeasure("t1w_contrast", "T1w contrast", "{:.0%}", 0.05, "low", "deep white matter over cortex in T1w"),
    QcMeasure("flair_contrast", "FLAIR contrast", "{:.0%}", 0.05, "both", "the same in FLAIR"),
    QcMeasure("white_share", "White matter", "{:.0%}", 0.05, explanation="share of the brain mask"),
    QcMeasure("nawm_t1w", "NAWM T1w", "{:.2f}", 0.1, explanation="median of NAWM over that of grey matter in T1w"),
    QcMeasure("nawm_flair", "NAWM FLAIR", "{:.2f}", 0.1, explanation="the same in FLAIR"),
    QcMeasure("lesions", "Lesions", "{:.0f}", 30, "high", "number, in the given mask"),
    QcMeasure("lesion_ml", "Lesion load (ml)", "{:.1f}", 15, "high", "volume of the given mask"),
    QcMeasure("dvr_white_to_grey", "DVR white/grey", "{:.2f}", 0.08, explanation="NAWM over grey matter"),
)


def quality_measures(prepared: Prepared) -> dict[str, float | None]:
    """Compute the measures of a visit.

    Args:
        prepared: the prepared visit.

    Returns:
        Value by key of MEASURES; None if an image for it is missing.
    """
    volumes, aligned = prepared.volumes, prepared.aligned
    brain = volumes["brain"]
    values: dict[str, float | None] = dict.fromkeys(measure.key for measure in MEASURES)
    values["brain_ml"] = aligned.brain.millilitres
    for name in {"t1w", "flair"} & set(volumes):
        values[f"{name}_contrast"] = white_to_grey(aligned.images[name], aligned.brain.mask, aligned.matrix(name))
    if {"t1w", "flair"} <= set(volumes):
        registration = aligned.registrations["flair"]
        values["moved_mm"], values["covered"] = registration.moved_mm, registration.covered
        values["shared_information"] = normalised_information(volumes["t1w"][brain], volumes["flair"][brain])
    if volumes.get("nawm") is not None and volumes["nawm"].any() and volumes["grey_matter"].any():
        values["white_share"] = float(volumes["white_matter"].sum() / max(brain.sum(), 1))
        for key, name in (("nawm_t1w", "t1w"), ("nawm_flair", "flair"), ("dvr_white_to_grey", "dvr")):
            if name in volumes:
                grey = float(np.median(volumes[name][volumes["grey_matter"]]))
                values[key] = float(np.median(volumes[name][volumes["nawm"]])) / grey if grey > 0 else None
    if prepared.lesions is not None:
        sizes = prepared.lesions.volumes()
        values["lesions"], values["lesion_ml"] = float((sizes > 0).sum()), float(sizes.sum()) / 1000
    return {key: None if value is None or not np.isfinite(value) else round(value, 4) for key, value in values.items()}


def deviations(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Compute the robust z-score of each measure: (x - median) / max(1.4826 MAD, floor / 2).

    Args:
        rows: measures of each visit.

    Returns:
        Signed z-scores by measure for each visit, 0 on the side that is not suspicious; empty if the cohort has fewer
        than five visits.
    """
    scores: list[dict[str, float]] = [{} for _ in rows]
    if len(rows) < MIN_VISITS:
        return scores
    for measure in MEASURES:
        values = np.array([np.nan if row.get(measure.key) is None else row[measure.key] for row in rows], float)
        known = values[np.isfinite(values)]
        if known.size < MIN_VISITS:
            continue
        middle, sd = median_and_sd(known)
        spread = max(sd, measure.floor / 2)
        for index, value in enumerate(values):
            if np.isfinite(value):
                z = float(value - middle) / spread
                unsuspicious = (measure.side == "high" and z < 0) or (measure.side == "low" and z > 0)
                scores[index][measure.key] = 0.0 if unsuspicious else round(z, 2)
    return scores
