"""What a trained system is measured by, person by person: one list of measures for each kind of target.

The protocols (cross-validation, ablation, learning curves) know no paper: they ask here what to measure, which way is
better, how the paper prints it and what it reports. A measure is a number per visit; what is pooled over all people
(Pearson r of lesions) is a `Pooled` measure of all visits' rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..case import Case
from .cases import evaluate_case
from .image_quality import enhancement_quality, translation_quality
from .summary import agreement, levels

Row = dict[str, Any]
RANGES = {"percentile": 2.0, "gaussian": 8.0, "unit": 1.0}  # of rescaled MRI, from background to brightest brain (ours)


@dataclass(frozen=True)
class Measure:
    """key: in a visit's row; title; scale: what the number is multiplied by for print; form: how it is printed; better:
    `higher` or `lower`; paper: what the system's paper reports, by its own name for the model."""

    key: str
    title: str
    better: str
    scale: float = 1.0
    form: str = "{:.3f}"
    paper: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """name; measures, the first of which is the one that protocols decide by; measure(system, case, recipe) -> (visit
    row, lesion rows); pooled: (title, function of all lesion rows -> {r, r_low, r_high, n})."""

    name: str
    measures: tuple[Measure, ...]
    measure: Callable[[Any, Case, dict[str, Any]], tuple[Row, list[Row]]]
    pooled: tuple[tuple[str, Callable[[Sequence[Row]], Row]], ...] = ()


def predict(system: Any, case: Case, inputs: Sequence[str]) -> np.ndarray:
    """Synthetic target of a prepared visit, float32 (I, J, K)."""
    import torch

    given = np.stack([case.volumes[name] for name in inputs]).astype(np.float32)
    device = getattr(system, "device", "cpu")
    return system.predict(torch.from_numpy(given[None]).to(device))[0, 0].float().cpu().numpy()


def measure_dvr(system: Any, case: Case, recipe: dict[str, Any]) -> tuple[Row, list[Row]]:
    """DVR: errors in brain and lesions, and a row for every lesion (see evaluation.cases)."""
    return evaluate_case(case, predict(system, case, recipe["data"]["inputs"]))


def measure_translation(system: Any, case: Case, recipe: dict[str, Any]) -> tuple[Row, list[Row]]:
    """One MRI contrast from another: SSIM and MAE of brain and lesion, and of the first input taken for the target."""
    data = recipe["data"]
    truth, found, brain = _inside(case, predict(system, case, data["inputs"]), data)
    source = np.where(brain, case.volumes[data["inputs"][0]], truth)
    span = RANGES[data["intensity"]["rule"]]
    return _row(case) | translation_quality(truth, found, source, brain, _lesions(case), span), []


def measure_enhancement(system: Any, case: Case, recipe: dict[str, Any]) -> tuple[Row, list[Row]]:
    """T1w after contrast: L2, tumour L2, PSNR, SSIM (Bone et al. 2021)."""
    data = recipe["data"]
    truth, found, brain = _inside(case, predict(system, case, data["inputs"]), data)
    return _row(case) | enhancement_quality(truth, found, brain, _lesions(case)), []


def _row(case: Case) -> Row:
    return {"person": case.person, "visit": case.visit, "group": case.info.get("group", "")}


def _inside(case: Case, found: np.ndarray, data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, synthetic image and brain; outside the brain, where an answer means nothing, both are the same."""
    brain = np.asarray(case.volumes["brain"], bool)
    truth = case.volumes[data["target"]]
    return truth, np.where(brain, found, truth), brain


def _lesions(case: Case) -> np.ndarray:
    return np.asarray(case.volumes.get("lesions", np.zeros(case.shape)), bool)


def _level(name: str) -> Callable[[Sequence[Row]], Row]:
    def found(lesions: Sequence[Row]) -> Row:
        return agreement(levels(lesions)[name])

    return found


DVR = Task(
    "dvr",
    (
        Measure("mae_lesions", "MAE in lesions (DVR)", "lower"),
        Measure("mae_brain", "MAE in the brain (DVR)", "lower"),
        Measure("psnr_brain", "PSNR in the brain (dB)", "higher", form="{:.1f}"),
        Measure("ssim_brain", "SSIM in the brain", "higher"),
    ),
    measure_dvr,
    (("lesion level r", _level("lesion")), ("patient level r", _level("patient"))),
)
TRANSLATION = Task(
    "translation",
    (
        Measure("ssim_brain", "SSIM in the brain", "higher", paper={"T1 pre": "0.89", "FLAIR": "0.78"}),
        Measure("input_ssim_brain", "SSIM in the brain, input for target", "higher"),
        Measure("ssim_lesion", "SSIM in the lesion", "higher"),
        Measure("input_ssim_lesion", "SSIM in the lesion, input for target", "higher"),
        Measure(
            "ssim_lesion_masked",
            "SSIM of the images multiplied by the lesion mask",
            "higher",
            paper={
                "FLAIR with mask loss": "0.990",
                "without": "0.991",
                "T1 pre with": "0.994",
                "without it": "0.986",
            },
        ),
        Measure("input_ssim_lesion_masked", "the same, input for target", "higher"),
        Measure("mae_brain", "MAE in the brain", "lower"),
        Measure("mae_lesion", "MAE in the lesion", "lower"),
    ),
    measure_translation,
)
ENHANCEMENT = Task(
    "enhancement",
    (
        Measure("l2", "L2 (1e-5)", "lower", 1e5, "{:.1f}", {"all four inputs": "31.6"}),
        Measure("tumour_l2", "tumour L2 (1e-4)", "lower", 1e4, "{:.1f}", {"all four inputs": "74.4"}),
        Measure("psnr", "PSNR (dB)", "higher", 1.0, "{:.1f}", {"all four inputs": "35.3"}),
        Measure("ssim", "SSIM (%)", "higher", 100.0, "{:.1f}", {"all four inputs": "94.2"}),
        Measure("l2_brain", "L2 in the brain (1e-5)", "lower", 1e5, "{:.1f}"),
        Measure("ssim_brain", "SSIM in the brain (%)", "higher", 100.0, "{:.1f}"),
    ),
    measure_enhancement,
)


def task_of(recipe: dict[str, Any]) -> Task:
    """What a recipe's system is measured by: its target decides."""
    data = recipe["data"]
    if data["target"] == "dvr":
        return DVR
    return ENHANCEMENT if data["target"] == "t1ce" and data["intensity"]["rule"] == "unit" else TRANSLATION
