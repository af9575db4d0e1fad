"""Synthesize the myelin map of a prepared patient and measure it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.calibration import expected_error, spread_by_label, total_spread
from ..evaluation.conformal import interval_of, intervals_of_bundle
from ..evaluation.lesion_context import LesionContext
from ..evaluation.lesion_myelin import myelin_of_bundle
from ..evaluation.lesions import confidence_by_label, demyelination_limit, lesion_table
from ..evaluation.plausibility import Finding, plausibility
from ..imaging.brain_mask import Brain
from ..imaging.labelling import label_lesions
from ..imaging.regions import RegionMasks, align_to_atlas, find_regions, lesion_regions
from ..imaging.volumes import Volume
from ..prediction.model import TrainedModel
from ..prediction.uncertainty import fitted_errors
from ..prediction.volume import Prediction, predict_patient
from ..runtime.errors import MyelinSynthError
from .clock import Clock
from .estimates import lesion_context
from .inputs import PatientImages
from .pipeline import PreparedPatient


@dataclass
class Findings:
    """Map and measurements of one model for a prepared patient. All volumes are on the grid of `prepared`.

    Attributes:
        prepared: the prepared patient.
        bundle: the model.
        dvr: synthetic DVR, unitless, 0 outside the brain.
        uncertainty: SD over augmented predictions, or the expected error if the model is calibrated, or None.
        labels: lesion labels, see evaluation.lesions.
        rows: lesion table, see evaluation.lesions.
        limit: DVR below which a voxel counts as demyelinated, or None.
        run_on: how the network was run (device, whole volume or tiles).
        flips: whether the mirrored prediction was averaged in.
        predictions: number of predictions.
        plausibility: comparison of the map with published findings.
        seconds: wall-clock seconds by step.
        regions: masks that determine the region of a lesion, None without lesions.
        context: MRI and tissues on the model's grid, for outlines that are edited later; None without lesions.
    """

    prepared: PreparedPatient
    bundle: Bundle
    dvr: np.ndarray
    uncertainty: np.ndarray | None
    labels: np.ndarray
    rows: list[dict[str, Any]]
    limit: float | None
    run_on: str
    flips: bool
    predictions: int
    plausibility: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    regions: RegionMasks | None = None
    context: LesionContext | None = None

    @property
    def patient(self) -> PatientImages:
        """Input images of the patient."""
        return self.prepared.patient

    @property
    def brain(self) -> Brain:
        """Brain mask, and how it was computed."""
        return self.prepared.brain

    @property
    def lesions(self) -> Volume | None:
        """0/1 mask."""
        return self.prepared.lesions

    @property
    def measured(self) -> Volume | None:
        """Measured DVR."""
        return self.prepared.measured

    @property
    def tissues(self) -> dict[str, np.ndarray]:
        """White matter, grey matter, CSF and NAWM."""
        return self.prepared.tissues


def predict_prepared(
    prepared: PreparedPatient, model: TrainedModel, clock: Clock, title: str, flips: bool, uncertainty: bool
) -> Prediction:
    """Run a model of DVR or of an MRI contrast on a prepared patient; warnings go to the patient's report.

    Args:
        prepared: from `prepare_patient`.
        model: the model.
        clock: reports steps and warnings.
        title: name of the output for messages.
        flips: whether to predict the left-right mirrored images as well.
        uncertainty: whether to predict all augmented inputs.

    Returns:
        All predictions on the reference grid.
    """
    clock.step("predict", 0.5, f"Synthesizing the {title}")
    messages: list[str] = []
    prediction = predict_patient(model, prepared.aligned, flips, uncertainty, messages.append)
    clock.warn(prepared.patient, *messages)
    return prediction


def synthesize_prepared(
    prepared: PreparedPatient, model: TrainedModel, clock: Clock, flips: bool = False, uncertainty: bool = False
) -> Findings:
    """Predict the myelin map of a prepared patient and measure its lesions.

    Args:
        prepared: from `prepare_patient`; can be used with several models.
        model: model whose output is DVR.
        clock: reports steps and warnings.
        flips: average with the left-right mirrored prediction.
        uncertainty: also predict augmented inputs.

    Returns:
        The map, the lesion table and the plausibility checks.

    Raises:
        BadInput: the images cannot be prepared for the model.
        MyelinSynthError: the model cannot be run.
    """
    bundle, own = model.bundle, prepared.own
    prediction = predict_prepared(prepared, model, clock, "myelin map", flips, uncertainty)
    clock.step("lesions", 0.75, "Measuring lesions")
    dvr = prediction.mean(flips)
    fitted = fitted_errors(bundle.description, len(prediction.maps)) or {}
    spread = _voxel_uncertainty(prediction, prepared.brain, fitted.get("voxels")) if prediction.has_spread else None
    if own is None:
        labels, rows, limit = _lesion_rows(prepared, dvr)
    else:
        rows, labels, limit = own.finish(prepared.brain.mask, dvr, spread, prepared.tissues["nawm"])
    if prediction.has_spread and rows:
        expected = expected_error(spread_by_label(prediction.maps, labels, prediction.scale), fitted.get("lesions"))
        rows = [row | {"uncertainty": float(expected[row["id"]])} for row in rows]
    rows = _with_intervals_and_confidence(rows, labels, prepared, bundle)
    t1w = prepared.reference
    to_review = bool(rows) or prepared.lesion_probability is not None
    context = lesion_context(prepared, bundle) if to_review else None
    if context is not None and rows:
        rows = context.estimates(labels, t1w.affine, rows, myelin_of_bundle(bundle.description))
    masks = _region_masks(prepared, clock) if to_review else None
    if masks is not None:
        regions = lesion_regions(labels, masks, tuple(t1w.spacing))
        rows = [row | {"region": regions[row["id"] - 1]} for row in rows]
    ventricles = None if masks is None else masks.ventricles
    return Findings(
        prepared=prepared,
        bundle=bundle,
        dvr=dvr,
        uncertainty=spread,
        labels=labels,
        rows=rows,
        limit=limit,
        run_on=prediction.run_on,
        flips=flips,
        predictions=len(prediction.maps),
        regions=masks,
        context=context,
        plausibility=plausibility(dvr, labels, prepared.tissues, t1w.affine, t1w.data, ventricles),
    )


def _with_intervals_and_confidence(
    rows: list[dict[str, Any]], labels: np.ndarray, prepared: PreparedPatient, bundle: Bundle
) -> list[dict[str, Any]]:
    """Add the prediction intervals and, for lesions that a network segmented, its mean probability."""
    intervals = intervals_of_bundle(bundle.description)
    rows = [row | interval_of(intervals, row["volume_mm3"], row["mean_dvr"]) for row in rows]
    if prepared.lesion_probability is None or not rows:
        return rows
    confidence = confidence_by_label(prepared.lesion_probability, labels)
    return [row | {"confidence": float(confidence[row["id"]])} for row in rows]


def _voxel_uncertainty(prediction: Prediction, brain: Brain, fitted: dict[str, float] | None) -> np.ndarray:
    spread = total_spread(np.std(prediction.maps, axis=0, ddof=1), prediction.scale)
    return np.where(brain.mask.data > 0.5, expected_error(spread, fitted), 0).astype(np.float32)


def _region_masks(prepared: PreparedPatient, clock: Clock) -> RegionMasks | None:
    """Ventricles, cortex and infratentorial tissue, or None with a warning if the atlas cannot be aligned."""
    t1w, mask = prepared.reference, prepared.brain.mask
    try:
        return find_regions(t1w, mask, prepared.tissues, align_to_atlas(t1w, mask))
    except MyelinSynthError:
        message = "The brain does not fit the atlas, so the regions of the lesions are missing."
        clock.warn(prepared.patient, message)
        return None


def _lesion_rows(prepared: PreparedPatient, dvr: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]], float | None]:
    lesions, measured, nawm, t1w = prepared.lesions, prepared.measured, prepared.tissues["nawm"], prepared.reference
    limit = demyelination_limit(dvr, nawm)
    if lesions is None:
        return np.zeros(dvr.shape, np.int32), [], limit
    labels, _ = label_lesions(lesions.data, t1w.voxel_volume)
    return labels, lesion_table(labels, dvr, nawm, t1w.affine, None if measured is None else measured.data), limit
