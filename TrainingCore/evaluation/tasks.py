"""Tasks: DVR, demyelination, hyperintensities, detection, translation, enhancement, measured as in their papers.

Experiments contain no knowledge of papers: the tasks define the measures, their direction, print format and reports.
Arrays in, rows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..data.case import QUANTITATIVE, Case
from ..imaging.intensities import SPANS
from ..imaging.tissues import normal_appearing_white_matter
from .cases import evaluate_case
from .demyelination import (
    CONTROL,
    agreement_classes,
    control_threshold,
    demyelination_measures,
    person_regions,
)
from .image_quality import enhancement_quality, translation_quality
from .lesion_detection import CLASSES_MM3, detection_measures
from .lesion_outlines import lesion_outlines
from .segmentation import HALF, segmentation_measures, synthesis_measures
from .summary import lesion_differences, levels, point_agreement, summarise
from .task import HYPERINTENSITIES, SYNTHETIC, Measure, ModelImages, Row, Task

NEAR_ENHANCED = ("t1ce_low", "t1w")  # what a reader would look at who has no T1w after the full dose


Data = Mapping[str, Any]  # inputs, target and intensity rule of a model


def _measure_dvr(case: Case, outputs: ModelImages, data: Data, context: Any = None) -> tuple[Row, list[Row]]:
    """Measure errors in brain and lesions, with a row for every lesion (see evaluation.cases)."""
    return evaluate_case(case, outputs)


def _measure_demyelination(case: Case, outputs: ModelImages, data: Data, context: Any) -> tuple[Row, list[Row]]:
    """Measure DVR, and demyelination below the controls' DVR threshold (context; Wei et al. 2018)."""
    row, lesions = evaluate_case(case, outputs)
    synthetic = outputs.images[SYNTHETIC]
    brain = np.asarray(case.volumes["brain"], bool) & np.isfinite(case.volumes["dvr"])
    white = np.asarray(case.volumes.get("white_matter", np.zeros(brain.shape)), bool) & brain
    marked = _lesions(case) & brain
    i, j, k = np.linalg.norm(case.affine[:3, :3], axis=0).tolist()
    white = normal_appearing_white_matter(white, marked, (i, j, k))  # of controls as of patients, or groups differ
    group = str(case.info.get("group") or "patient")
    regions = person_regions(case.volumes["dvr"], synthetic, white, marked, group, case.person)
    row |= {key: value for key, value in regions.items() if key not in ("person", "group")}
    if context is not None:
        row |= demyelination_measures(case.volumes["dvr"], synthetic, marked, context)
    return row, lesions


def _threshold_of_controls(cases: Iterable[Case]) -> float | None:
    """Return the DVR below which white matter counts as demyelinated, from the controls; None without controls."""
    controls = [case for case in cases if case.info.get("group") == CONTROL]
    return control_threshold(
        [case.volumes["dvr"] for case in controls],
        [np.asarray(case.volumes["white_matter"], bool) for case in controls],
    )


def _picture_demyelination(case: Case, outputs: ModelImages, context: Any) -> dict[str, np.ndarray]:
    """Return the agreement of measured and synthetic demyelination map, (I, J, K); context: DVR threshold or None."""
    if context is None:
        return {}
    marked = _lesions(case) & np.asarray(case.volumes["brain"], bool)
    return {"agreement": agreement_classes(case.volumes["dvr"], outputs.images[SYNTHETIC], marked, context)}


def _measure_wmh(case: Case, outputs: ModelImages, data: Data, context: Any = None) -> tuple[Row, list[Row]]:
    """Measure FLAIR (MAE, PSNR) and hyperintensities (DSC, FPR, FNR) from T1w (Orbes-Arteaga et al. 2018)."""
    row = _row(case)
    brain = np.asarray(case.volumes["brain"], bool)
    if SYNTHETIC in outputs.images:
        row |= synthesis_measures(case.volumes[data["target"]], outputs.images[SYNTHETIC], brain)
    if HYPERINTENSITIES in outputs.images:
        truth, probability = _lesions(case), outputs.images[HYPERINTENSITIES]
        row |= segmentation_measures(truth, probability > outputs.lesion_threshold, brain)
        row["dsc_half"] = segmentation_measures(truth, probability > HALF, brain)["dsc"]
        row["lesion_threshold"] = outputs.lesion_threshold
    return row, []


def _picture_wmh(case: Case, outputs: ModelImages, context: Any = None) -> dict[str, np.ndarray]:
    """Return the mask of hyperintensities, if the model predicts one."""
    if HYPERINTENSITIES not in outputs.images:
        return {}
    return {HYPERINTENSITIES: outputs.images[HYPERINTENSITIES] > outputs.lesion_threshold}


def _measure_detection(case: Case, outputs: ModelImages, data: Data, context: Any = None) -> tuple[Row, list[Row]]:
    """Measure lesion segmentation: DSC, lesion-wise rates and volumes (see evaluation.lesion_detection)."""
    brain = np.asarray(case.volumes["brain"], bool)
    truth, mask = _lesions(case) & brain, _marked(outputs, case)
    segmented = segmentation_measures(truth, mask, brain)
    measured = detection_measures(truth, mask, case.voxel_volume)
    error = abs(float(measured["volume_error"] or 0.0))
    return _row(case) | {
        "dsc": segmented["dsc"] if truth.any() else None,
        "absolute_volume_error": error,
        **measured,
    }, []


def _picture_detection(case: Case, outputs: ModelImages, context: Any = None) -> dict[str, np.ndarray]:
    """Return the mask of the segmented lesions."""
    return {HYPERINTENSITIES: _marked(outputs, case)}


def _marked(outputs: ModelImages, case: Case) -> np.ndarray:
    brain, spacing = np.asarray(case.volumes["brain"], bool), np.linalg.norm(case.affine[:3, :3], axis=0)
    limits = (outputs.lesion_threshold, outputs.smallest_lesion)
    return lesion_outlines(outputs.images[HYPERINTENSITIES], brain, case.volumes.get("flair"), spacing, *limits) & brain


def _measure_translation(case: Case, outputs: ModelImages, data: Data, context: Any = None) -> tuple[Row, list[Row]]:
    """Measure SSIM and MAE of brain and lesion, for the prediction and for the unchanged first input."""
    truth, synthetic, brain = _inside(case, outputs, data)
    source, span = data["inputs"][0], SPANS[data["intensity"]["rule"]]
    untouched_image = np.where(brain, case.volumes[source], truth)
    own, untouched = (
        translation_quality(truth, image, brain, _lesions(case), span) for image in (synthetic, untouched_image)
    )
    row = {"untouched": source, **{f"untouched_{key}": value for key, value in untouched.items()}}
    return _row(case) | own | row, []


def _measure_enhancement(case: Case, outputs: ModelImages, data: Data, context: Any = None) -> tuple[Row, list[Row]]:
    """Measure L2, tumour L2, PSNR and SSIM (Bone et al. 2021), for the prediction and for the most similar input.

    The tumour is its enhancing part, as in the paper, if a visit has such a mask, else the whole lesion mask.
    """
    truth, synthetic, brain = _inside(case, outputs, data)
    kind = "enhancing" if "enhancing" in case.volumes else "lesions"
    tumour = np.asarray(case.volumes.get(kind, np.zeros(case.shape)), bool)
    row = _row(case) | {"tumour_mask": kind} | enhancement_quality(truth, synthetic, brain, tumour)
    source = next((name for name in NEAR_ENHANCED if name in data["inputs"]), None)
    if source is not None:
        untouched = enhancement_quality(truth, case.volumes[source], brain, tumour)
        row |= {"untouched": source, **{f"untouched_{key}": value for key, value in untouched.items()}}
    return row, []


def _row(case: Case) -> Row:
    return {"person": case.person, "visit": case.visit, "group": case.info.get("group", "")}


def _inside(case: Case, outputs: ModelImages, data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, synthetic image and brain; outside the brain, where predictions are meaningless, both are equal."""
    brain = np.asarray(case.volumes["brain"], bool)
    truth = case.volumes[data["target"]]
    return truth, np.where(brain, outputs.images[SYNTHETIC], truth), brain


def _lesions(case: Case) -> np.ndarray:
    return np.asarray(case.volumes.get("lesions", np.zeros(case.shape)), bool)


def _level(name: str) -> Callable[[Sequence[Row], int, float], Row]:
    def correlate(lesions: Sequence[Row], seed: int, minimum_mm3: float) -> Row:
        return point_agreement(levels(lesions, minimum_mm3)[name], seed)

    return correlate


DVR = Task(
    "dvr",
    (
        Measure("mae_lesions", "MAE in lesions (DVR)", "lower"),
        Measure("mae_brain", "MAE in the brain (DVR)", "lower"),
        Measure("psnr_brain", "PSNR in the brain (dB)", "higher", form="{:.1f}"),
        Measure("ssim_brain", "SSIM in the brain", "higher"),
    ),
    _measure_dvr,
    pooled=(("lesion level r", _level("lesion")), ("patient level r", _level("patient"))),
    summarise=summarise,
    differences=lesion_differences,
    common_grid=True,
)
DEMYELINATION = Task(
    "demyelination",
    (
        Measure("dice", "Dice of the demyelination maps", "higher"),
        Measure("dice_all", "Dice, were every lesional voxel called demyelinated", ""),
        Measure("measured_percent", "demyelinated, measured (% of lesions)", "", form="{:.1f}"),
        Measure("synthetic_percent", "demyelinated, synthetic (% of lesions)", "", form="{:.1f}"),
        Measure("percent_error", "error of the demyelinated share (percentage points)", "lower", form="{:.1f}"),
        *DVR.measures,
    ),
    _measure_demyelination,
    prepare=_threshold_of_controls,
    prepared_from=CONTROL,
    pictures=_picture_demyelination,
    pooled=DVR.pooled,
    summarise=DVR.summarise,
    differences=DVR.differences,
    common_grid=True,
)
WMH = Task(
    "wmh",
    (
        Measure("dsc", "DSC (%)", "higher", 1.0, "{:.2f}"),
        Measure(
            "fpr",
            "FPR: wrongly found, % of the true volume",
            "lower",
            1.0,
            "{:.2f}",
        ),
        Measure(
            "fnr",
            "FNR: missed, % of the true volume",
            "lower",
            1.0,
            "{:.2f}",
        ),
        Measure("dsc_half", "DSC at a probability of 0.5 (%)", "higher", 1.0, "{:.2f}"),
        Measure("mae", "MAE of the FLAIR (SD of the brain)", "lower"),
        Measure("psnr_unit_peak", "PSNR, peak 1 (dB)", "higher", 1.0, "{:.2f}"),
        Measure("psnr", "PSNR, peak at the range of the true FLAIR (dB)", "higher", 1.0, "{:.2f}"),
    ),
    _measure_wmh,
    needs=("lesions",),  # without a mask nothing can be missed
    pictures=_picture_wmh,
)
DETECTION = Task(
    "detection",
    (
        Measure("dsc", "DSC (%)", "higher", 1.0, "{:.1f}", highest=100.0),
        Measure("f1", "F1 of lesions", "higher", highest=1.0),
        Measure("f1_10", "F1 of lesions of 10 mm³ or more", "higher", highest=1.0),
        Measure("sensitivity", "lesions found (share)", "higher", highest=1.0),
        Measure("precision", "marked lesions that are true (share)", "higher", highest=1.0),
        *(
            Measure(f"sensitivity_{name.replace(' ', '_')}", f"lesions of {name} mm³ found (share)", "higher")
            for name in CLASSES_MM3
        ),
        Measure("absolute_volume_error", "error of the lesion load (ml)", "lower", form="{:.2f}"),
        Measure("volume", "true lesion load (ml)", "", form="{:.2f}"),
    ),
    _measure_detection,
    needs=("lesions",),
    pictures=_picture_detection,
)
TRANSLATION = Task(
    "translation",
    (
        Measure(
            "ssim_brain",
            "SSIM in the brain",
            "higher",
        ),
        Measure("ssim_lesion", "SSIM in the lesion", "higher"),
        Measure(
            "ssim_lesion_masked",
            "SSIM of the images multiplied by the lesion mask",
            "higher",
        ),
        Measure("mae_brain", "MAE in the brain", "lower"),
        Measure("mae_lesion", "MAE in the lesion", "lower"),
    ),
    _measure_translation,
)
ENHANCEMENT = Task(
    "enhancement",
    (
        Measure("l2", "L2 (10⁻⁵)", "lower", 1e5, "{:.1f}"),
        Measure("tumour_l2", "tumour L2 (10⁻⁴)", "lower", 1e4, "{:.1f}"),
        Measure("psnr", "PSNR (dB)", "higher", 1.0, "{:.1f}"),
        Measure("ssim", "SSIM (%)", "higher", 100.0, "{:.1f}", highest=1.0),
        Measure("l2_brain", "L2 in the brain (10⁻⁵)", "lower", 1e5, "{:.1f}"),
        Measure("ssim_brain", "SSIM in the brain (%)", "higher", 100.0, "{:.1f}", highest=1.0),
    ),
    _measure_enhancement,
)


TASKS = {task.name: task for task in (DVR, DEMYELINATION, WMH, DETECTION, TRANSLATION, ENHANCEMENT)}
RICHEST = (DEMYELINATION, WMH)  # they measure all that the plainer tasks of their target do


def common_task(recipes: Iterable[dict[str, Any]]) -> Task:
    """Select the task by which recipes of one target are compared: the richest task of any of them.

    Args:
        recipes: complete recipes.
    """
    tasks = [task_of(recipe) for recipe in recipes]
    return next((task for task in RICHEST if task in tasks), tasks[0])


def task_of(recipe: dict[str, Any]) -> Task:
    """Select the task of a recipe by its target and inputs.

    Args:
        recipe: complete recipe.
    """
    data = recipe["data"]
    if data["target"] == "dvr":
        return DEMYELINATION if set(data["inputs"]) & set(QUANTITATIVE) else DVR
    if data["target"] == "lesions":
        return DETECTION
    if data["target"] == "flair" and data["inputs"] == ["t1w"]:
        return WMH
    return ENHANCEMENT if data["target"] == "t1ce" and data["intensity"]["rule"] == "unit" else TRANSLATION
