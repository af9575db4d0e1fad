"""What a trained system is measured by, person by person: one list of measures for each kind of target.

The protocols (cross-validation, ablation, learning curves) know no paper: they ask here what to measure, which way is
better, how the paper prints it and what it reports. A measure is a number per visit; what is pooled (Pearson r of
lesions) is taken from the lesions of all people together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.case import QUANTITATIVE, Case
from ..imaging.intensities import SPANS
from ..reporting.demyelination_figures import demyelination_examples, people_figure, regions_figure, shares_figure
from ..reporting.document import Report
from ..reporting.segmentation_figures import examples_figure
from ..reporting.slice_figures import Slices, comparison_figure
from ..reporting.translation_figures import translation_section
from . import enhancement
from .cases import evaluate_case
from .demyelination import (
    CONTROL,
    agreement_classes,
    control_threshold,
    demyelination_measures,
    group_comparison,
    person_regions,
)
from .image_quality import enhancement_quality, translation_quality
from .segmentation import HYPERINTENSE, segmentation_measures, synthesis_measures
from .summary import agreement, levels

Row = dict[str, Any]
SEARCHED = ("data.visits_per_step", "samples", "optimizer.rate", "losses.l1", "losses.mask")  # by Genc et al. 2022
WITH_MASK, WITHOUT_MASK = "with mask loss", "without mask loss"
NEAR_ENHANCED = ("t1ce_low", "t1w")  # what a reader would look at who has no T1w after the full dose


@dataclass(frozen=True)
class Measure:
    """key: in a visit's row; title; scale: what the number is multiplied by for print; form: how it is printed; better:
    `higher`, `lower`, or nothing where it only describes; paper: what the system's paper reports, by its own name for
    the model; paper_of: the same by what is made, where the paper makes several things; most: the highest value there
    can be, if there is one."""

    key: str
    title: str
    better: str
    scale: float = 1.0
    form: str = "{:.3f}"
    paper: Mapping[str, str] = field(default_factory=dict)
    most: float | None = None
    paper_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def reported(self, target: str) -> Mapping[str, str]:
        """What the paper reports of models that make this, by its own name for the model."""
        return self.paper_of.get(target, self.paper)

    @property
    def limit(self) -> float | None:
        """The best value there can be: errors and rates end at 0."""
        return 0.0 if self.better == "lower" else self.most


@dataclass(frozen=True)
class Task:
    """name; measures, the first of which is the one that protocols decide by; measure(system, case, recipe, context) ->
    (visit row, lesion rows); prepare(cases) -> context: what is taken from all controls before anybody is measured,
    from their measured maps alone; pooled: (title, function of all lesion rows -> {r, r_low, r_high, n});
    section(report, visit rows by recipe): what the paper shows besides its table; makes(system, case, recipe, context)
    -> volumes by name for an example slice, `synthetic` among them where an image is made; examples: how slices of the
    same people are drawn, recipe by recipe. A visit row that holds `untouched` (the name of an input) and every measure
    with the prefix `untouched_` gives the report a column of that input taken for the answer. papers_row(inputs) ->
    what the paper reports with these inputs alone, by measure; paper_order: in which order it left them out;
    paper_curves: what it reads off its learning curves; papers_best: recipe values that its search found,
    by target."""

    name: str
    measures: tuple[Measure, ...]
    measure: Callable[[Any, Case, dict[str, Any], Any], tuple[Row, list[Row]]]
    prepare: Callable[[Iterable[Case]], Any] | None = None
    section: Callable[[Report, Mapping[str, Sequence[Row]]], None] | None = None
    pooled: tuple[tuple[str, Callable[[Sequence[Row]], Row]], ...] = ()
    paper: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of what is pooled, by its title
    makes: Callable[[Any, Case, dict[str, Any], Any], dict[str, np.ndarray]] = lambda system, case, recipe, context: {
        "synthetic": predict(system, case, recipe["data"]["inputs"])
    }
    examples: Callable[[Mapping[str, Sequence[Slices]]], Any] = comparison_figure
    prepared_from: str = ""  # the group whose visits alone `prepare` needs; all where empty
    papers_row: Callable[[Iterable[str]], dict[str, str]] | None = None
    paper_order: str = ""
    paper_curves: str = ""
    papers_best: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def predict(system: Any, case: Case, inputs: Sequence[str]) -> np.ndarray:
    """Synthetic target of a prepared visit, float32 (I, J, K); a system may go by its masks instead of its MRI."""
    if getattr(system, "from_masks", False):
        return system.predict_case(case)
    return _answer(system.predict, system, case, inputs)


def _answer(ask: Callable[[Any], Any], system: Any, case: Case, inputs: Sequence[str]) -> np.ndarray:
    import torch

    given = np.stack([case.volumes[name] for name in inputs]).astype(np.float32)
    device = getattr(system, "device", "cpu")
    return ask(torch.from_numpy(given[None]).to(device))[0, 0].float().cpu().numpy()


def measure_dvr(system: Any, case: Case, recipe: dict[str, Any], context: Any = None) -> tuple[Row, list[Row]]:
    """DVR: errors in brain and lesions, and a row for every lesion (see evaluation.cases)."""
    return evaluate_case(case, predict(system, case, recipe["data"]["inputs"]))


def measure_demyelination(system: Any, case: Case, recipe: dict[str, Any], context: Any) -> tuple[Row, list[Row]]:
    """DVR as above, and demyelination below the controls' threshold (Wei et al. 2018). context: DVR, or None."""
    found = predict(system, case, recipe["data"]["inputs"])
    row, lesions = evaluate_case(case, found)
    brain = np.asarray(case.volumes["brain"], bool)
    white = np.asarray(case.volumes.get("white_matter", np.zeros(brain.shape)), bool) & brain
    marked = _lesions(case) & brain
    group = str(case.info.get("group") or "patient")
    regions = person_regions(case.volumes["dvr"], found, white, marked, group, case.person)
    row |= {key: value for key, value in regions.items() if key not in row}
    if context is not None:
        row |= demyelination_measures(case.volumes["dvr"], found, marked, context)
    return row, lesions


def threshold_of_controls(cases: Iterable[Case]) -> float | None:
    """DVR below which white matter counts as demyelinated, from the controls' measured maps; None without controls."""
    controls = [case for case in cases if case.info.get("group") == CONTROL]
    return control_threshold(
        [case.volumes["dvr"] for case in controls],
        [np.asarray(case.volumes["white_matter"], bool) for case in controls],
    )


def make_demyelination(system: Any, case: Case, recipe: dict[str, Any], context: Any) -> dict[str, np.ndarray]:
    """Synthetic DVR, and where it agrees with the measured map on what is demyelinated. context: DVR, or None.

    Arrays (I, J, K) by name.
    """
    found = predict(system, case, recipe["data"]["inputs"])
    if context is None:
        return {"synthetic": found}
    marked = _lesions(case) & np.asarray(case.volumes["brain"], bool)
    return {"synthetic": found, "agreement": agreement_classes(case.volumes["dvr"], found, marked, context)}


def demyelination_section(report: Report, visits: Mapping[str, Sequence[Row]]) -> None:
    """The paper's figures 4 and 5 (A): DVR by region with the significance of the differences, person by person, and
    the demyelinated share of each patient's lesion load."""
    rows: list[Any] = []
    for name, found in visits.items():
        for kind, compared in group_comparison(found).items():
            if kind == "measured" and rows:
                continue  # the same for every model
            row: Row = {"map": "measured" if kind == "measured" else name}
            for region in ("wm_control", "nawm", "lesions"):
                mean, sd = compared[f"{region}_mean"], compared[f"{region}_sd"]
                row[region] = "–" if mean is None else f"{mean:.3f}" + ("" if sd is None else f" ({sd:.3f})")
            row |= {"p NAWM / control": compared["p_nawm_against_control"]}
            rows.append(row | {"p lesions / NAWM": compared["p_lesions_against_nawm"]})
    report.add_heading("DVR by region")
    report.add_table(
        rows,
        "Mean (SD) over people. p: Mann-Whitney (different people), Wilcoxon signed rank (the same people). The paper: "
        "no difference of the first kind, p < 0.0001 for the second.",
        formats={"p NAWM / control": "{:.2g}", "p lesions / NAWM": "{:.2g}"},
    )
    for name, found in visits.items():
        report.add_figure(
            regions_figure(found, group_comparison(found)),
            f"{name}: DVR by region.",
            f"Box plots of DVR by region, {name}",
        )
    report.add_heading("DVR of every person")
    for name, found in visits.items():
        report.add_figure(
            people_figure(found),
            f"{name}: mean DVR of every visit, measured and synthetic.",
            f"Line plot of mean DVR in white matter and lesions by person, {name}",
        )
    if not any(row.get("measured_percent") for found in visits.values() for row in found):
        report.add_text("No demyelination maps: their threshold is taken from the white matter of controls.")
        return
    report.add_heading("Demyelinated voxels")
    for name, found in visits.items():
        report.add_figure(
            shares_figure(found),
            f"{name}: demyelinated share of the lesion load.",
            f"Bars of the demyelinated share of each patient's lesion load, {name}",
        )


def make_wmh(system: Any, case: Case, recipe: dict[str, Any], context: Any = None) -> dict[str, np.ndarray]:
    """What a system makes of T1w: FLAIR as `synthetic`, hyperintensities as the mask `found`; either or both."""
    inputs, made = recipe["data"]["inputs"], {}
    one = getattr(system, "members", [system])[0]
    if getattr(one, "synthesises", True):
        made["synthetic"] = predict(system, case, inputs)
    if hasattr(one, "segment"):
        made["found"] = _answer(system.segment, system, case, inputs) > HYPERINTENSE
    return made


def measure_wmh(system: Any, case: Case, recipe: dict[str, Any], context: Any = None) -> tuple[Row, list[Row]]:
    """FLAIR and hyperintensities from T1w, whichever it makes: MAE, PSNR; DSC, FPR, FNR (Orbes-Arteaga et al. 2018)."""
    row, made = _row(case), make_wmh(system, case, recipe)
    brain = np.asarray(case.volumes["brain"], bool)
    if "synthetic" in made:
        row |= synthesis_measures(case.volumes[recipe["data"]["target"]], made["synthetic"], brain)
    if "found" in made:
        row |= segmentation_measures(_lesions(case), made["found"], brain)
    return row, []


def measure_translation(system: Any, case: Case, recipe: dict[str, Any], context: Any = None) -> tuple[Row, list[Row]]:
    """One MRI contrast from another: SSIM and MAE of brain and lesion, and of the first input taken for the target."""
    data = recipe["data"]
    truth, found, brain = _inside(case, predict(system, case, data["inputs"]), data)
    source, span = data["inputs"][0], SPANS[data["intensity"]["rule"]]
    given = np.where(brain, case.volumes[source], truth)
    made, untouched = (translation_quality(truth, one, brain, _lesions(case), span) for one in (found, given))
    row = {"untouched": source, **{f"untouched_{key}": value for key, value in untouched.items()}}
    return _row(case) | made | row, []


def measure_enhancement(system: Any, case: Case, recipe: dict[str, Any], context: Any = None) -> tuple[Row, list[Row]]:
    """T1w after contrast: L2, tumour L2, PSNR, SSIM (Bone et al. 2021), and of the T1w that is nearest to it.

    The tumour is its enhancing part, as in the paper, where a visit has such a mask, else the whole lesion mask.
    """
    data = recipe["data"]
    truth, found, brain = _inside(case, predict(system, case, data["inputs"]), data)
    kind = "enhancing" if "enhancing" in case.volumes else "lesions"
    tumour = np.asarray(case.volumes.get(kind, np.zeros(case.shape)), bool)
    row = _row(case) | {"tumour_mask": kind} | enhancement_quality(truth, found, brain, tumour)
    source = next((name for name in NEAR_ENHANCED if name in data["inputs"]), None)
    if source is not None:
        untouched = enhancement_quality(truth, case.volumes[source], brain, tumour)
        row |= {"untouched": source, **{f"untouched_{key}": value for key, value in untouched.items()}}
    return row, []


def enhancement_section(report: Report, visits: Mapping[str, Sequence[Row]]) -> None:
    """What the tumour of `tumour L2` is."""
    rows = next(iter(visits.values()))
    able = len({row["person"] for row in rows if row["tumour_l2"] is not None})
    whole = sum(row["tumour_mask"] == "lesions" for row in rows)
    told = "is over the enhancing tumour, as in the paper"
    if whole:
        told += f"; over the whole lesion mask in {whole} of {len(rows)} visits, which have no mask of what enhances"
    of = len({row["person"] for row in rows})
    report.add_text(f"Tumour L2 {told}; {able} of {of} people have one. L2, PSNR and SSIM are over the whole volume.")


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
    paper={
        "lesion level r": {"curricular": "0.70", "anticurricular": "0.62"},
        "patient level r": {"curricular": "0.74", "anticurricular": "0.61"},
    },
    pooled=(("lesion level r", _level("lesion")), ("patient level r", _level("patient"))),
)
DEMYELINATION = Task(
    "demyelination",
    (
        Measure("dice", "Dice of the demyelination maps", "higher", paper={"sketcher-refiner": "0.83"}),
        Measure("dice_all", "Dice, were every lesional voxel called demyelinated", ""),
        Measure("measured_percent", "demyelinated, measured (% of lesions)", "", form="{:.1f}"),
        Measure("synthetic_percent", "demyelinated, synthetic (% of lesions)", "", form="{:.1f}"),
        Measure("percent_error", "error of the demyelinated share (percentage points)", "lower", form="{:.1f}"),
        *DVR.measures,
    ),
    measure_demyelination,
    threshold_of_controls,
    demyelination_section,
    DVR.pooled,
    prepared_from=CONTROL,
    makes=make_demyelination,
    examples=demyelination_examples,
)
WMH = Task(
    "wmh",
    (
        Measure("dsc", "DSC (%)", "higher", 1.0, "{:.2f}", {"joint": "57.81", "offline": "54.42", "unimodal": "55.99"}),
        Measure(
            "fpr",
            "FPR: wrongly found, % of the true volume",
            "lower",
            1.0,
            "{:.2f}",
            {"joint": "58.20", "offline": "63.50", "unimodal": "78.67"},
        ),
        Measure(
            "fnr",
            "FNR: missed, % of the true volume",
            "lower",
            1.0,
            "{:.2f}",
            {"joint": "41.33", "offline": "43.39", "unimodal": "38.06"},
        ),
        Measure("mae", "MAE of the FLAIR (SD of the brain)", "lower", paper={"joint": "0.2566", "offline": "0.3153"}),
        Measure("psnr_unit_peak", "PSNR, peak 1 (dB)", "higher", 1.0, "{:.2f}", {"joint": "11.01", "offline": "9.65"}),
        Measure("psnr", "PSNR, peak at the range of the true FLAIR (dB)", "higher", 1.0, "{:.2f}"),
    ),
    measure_wmh,
    makes=make_wmh,
    examples=examples_figure,
)
TRANSLATION = Task(
    "translation",
    (
        Measure(
            "ssim_brain",
            "SSIM in the brain",
            "higher",
            paper_of={"flair": {WITH_MASK: "0.78"}, "t1w": {WITH_MASK: "0.89"}},
        ),
        Measure("ssim_lesion", "SSIM in the lesion", "higher"),
        Measure(
            "ssim_lesion_masked",
            "SSIM of the images multiplied by the lesion mask",
            "higher",
            paper_of={
                "flair": {WITH_MASK: "0.990", WITHOUT_MASK: "0.991"},
                "t1w": {WITH_MASK: "0.994", WITHOUT_MASK: "0.986"},
            },
        ),
        Measure("mae_brain", "MAE in the brain", "lower"),
        Measure("mae_lesion", "MAE in the lesion", "lower"),
    ),
    measure_translation,
    section=translation_section,
    papers_best={
        "flair": dict(zip(SEARCHED, (2, 2, 4.87e-5, 118.74, 151.04))),
        "t1w": dict(zip(SEARCHED, (2, 4, 1.49e-4, 90.24, 124.85))),
    },
)
ENHANCEMENT = Task(
    "enhancement",
    (
        Measure("l2", "L2 (10⁻⁵)", "lower", 1e5, "{:.1f}", {"all four inputs": "31.6"}),
        Measure("tumour_l2", "tumour L2 (10⁻⁴)", "lower", 1e4, "{:.1f}", {"all four inputs": "74.4"}),
        Measure("psnr", "PSNR (dB)", "higher", 1.0, "{:.1f}", {"all four inputs": "35.3"}),
        Measure("ssim", "SSIM (%)", "higher", 100.0, "{:.1f}", {"all four inputs": "94.2"}, 1.0),
        Measure("l2_brain", "L2 in the brain (10⁻⁵)", "lower", 1e5, "{:.1f}"),
        Measure("ssim_brain", "SSIM in the brain (%)", "higher", 100.0, "{:.1f}", most=1.0),
    ),
    measure_enhancement,
    section=enhancement_section,
    papers_row=enhancement.papers_row,
    paper_order=enhancement.ORDER,
    paper_curves=enhancement.FIGURE_4,
)


TASKS = {task.name: task for task in (DVR, DEMYELINATION, WMH, TRANSLATION, ENHANCEMENT)}
RICHEST = (DEMYELINATION, WMH)  # they measure all that their plainer kin do


def common_task(recipes: Iterable[dict[str, Any]]) -> Task:
    """What recipes of one target are compared by: the richest task that any of them has."""
    tasks = [task_of(recipe) for recipe in recipes]
    return next((task for task in RICHEST if task in tasks), tasks[0])


def task_of(recipe: dict[str, Any]) -> Task:
    """What a recipe's system is measured by: its target and its inputs decide."""
    data = recipe["data"]
    if data["target"] == "dvr":
        return DEMYELINATION if set(data["inputs"]) & set(QUANTITATIVE) else DVR
    if data["target"] == "flair" and data["inputs"] == ["t1w"]:
        return WMH
    return ENHANCEMENT if data["target"] == "t1ce" and data["intensity"]["rule"] == "unit" else TRANSLATION
