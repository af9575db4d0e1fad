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
from .measures import image_measures
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


def measure_image(system: Any, case: Case, recipe: dict[str, Any]) -> tuple[Row, list[Row]]:
    """MRI: errors of the synthetic contrast in brain and lesions, and of its first input taken for it."""
    data = recipe["data"]
    found = predict(system, case, data["inputs"])
    row: Row = {"person": case.person, "visit": case.visit, "group": case.info.get("group", "")}
    row |= _image_row(case, found, data)
    untouched = case.volumes[data["inputs"][0]]
    row |= {f"input_{key}": value for key, value in _image_row(case, untouched, data).items()}
    return row, []


def _image_row(case: Case, found: np.ndarray, data: dict[str, Any]) -> Row:
    brain = np.asarray(case.volumes["brain"], bool)
    truth = case.volumes[data["target"]]
    regions = {"brain": brain}
    if "lesions" in case.volumes:
        regions["lesions"] = np.asarray(case.volumes["lesions"], bool) & brain
    found = np.where(brain, found, truth)  # both are masked by the brain alike
    return dict(image_measures(truth, found, regions, RANGES[data["intensity"]["rule"]]))


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
IMAGE = Task(
    "image",
    (
        Measure("ssim_brain", "SSIM in the brain", "higher"),
        Measure("ssim_lesions", "SSIM in lesions", "higher"),
        Measure("mae_brain", "MAE in the brain", "lower"),
        Measure("psnr_brain", "PSNR in the brain (dB)", "higher", form="{:.1f}"),
        Measure("input_ssim_brain", "SSIM in the brain, input for target", "higher"),
        Measure("input_ssim_lesions", "SSIM in lesions, input for target", "higher"),
    ),
    measure_image,
)


def task_of(recipe: dict[str, Any]) -> Task:
    """What a recipe's system is measured by: its target decides."""
    return DVR if recipe["data"]["target"] == "dvr" else IMAGE
