"""Files of an evaluation: summary.json, tables as CSV, figures as PNG, and report.html with all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, SIMULATED
from ..data.case import title_of
from ..evaluation.calibration import calibration, errors_by_spread
from ..evaluation.compared import ComparedModels
from ..evaluation.conformal import calibrate_intervals
from ..evaluation.task import Row, Rows
from ..runtime.files import write_json
from ..runtime.tables import write_csv
from .document import SIMULATED_BANNER, Report
from .dvr_pages import file_name
from .figures import DVR_WINDOW
from .result_tables import add_by_person, add_comparisons, add_measures
from .slice_figures import Slices, slices_figure
from .task_pages import PAGES, choose_examples

SUMMARY = "summary.json"


@dataclass(frozen=True)
class EvaluationFacts:
    """Context of an evaluation for its report.

    Attributes:
        cohort: name of the cohort.
        cohort_simulated: whether it is simulated.
        models: facts of each model, see Candidate.facts.
        warnings: sentences for the top of the report.
        seed: seed of the bootstrap.
        images: fingerprints of the images, by which a model recognises people that its intervals were fitted to.
    """

    cohort: str
    cohort_simulated: bool
    models: Mapping[str, Mapping[str, Any]]
    warnings: Sequence[str]
    seed: int
    images: Mapping[str, Sequence[str]]


def write_evaluation(
    folder: Path,
    compared: ComparedModels,
    slices: Mapping[str, Sequence[Slices]],
    loads: Sequence[int],
    facts: EvaluationFacts,
) -> Row:
    """Write all files of an evaluation.

    Args:
        folder: existing folder to write to.
        compared: results of all models.
        slices: example slices of every visit, by model.
        loads: lesional voxels of every visit.
        facts: context of the evaluation.

    Returns:
        Content of summary.json.
    """
    for name in facts.models:
        compared.summaries[name].update(calibrated(compared.rows[name], compared, facts))
    summary = {
        "note": RESEARCH_USE,
        "simulated_data": facts.cohort_simulated,
        "cohort": facts.cohort,
        "warnings": list(facts.warnings),
        "bootstrap_seed": facts.seed,
        "images": facts.images,
        "models": {name: {**facts.models[name], **compared.summaries[name]} for name in facts.models},
        "differences_to_first": compared.gaps,
        "ceilings": compared.ceilings,
    }
    write_json(folder / SUMMARY, summary)
    for kind in ("visits", "lesions"):
        rows = [{"model": name} | row for name, own in compared.rows.items() for row in own[kind]]
        if rows:
            write_csv(folder / f"{kind}.csv", rows)
    for name, rows in PAGES[compared.task.name].tables(compared).items():
        write_csv(folder / name, rows)
    _evaluation_report(folder, compared, slices, loads, facts).write(folder / "report.html")
    return summary


def calibrated(rows: Rows, compared: ComparedModels, facts: EvaluationFacts) -> Row:
    """Compute the calibration for `export --calibration`.

    Args:
        rows: visits and lesions of a model.
        compared: results of all models; sets the smallest lesion.
        facts: seed of the bootstrap, and whether the people are simulated.

    Returns:
        `intervals_fitted` (interval widths by lesion volume) and, if the uncertainty was evaluated, `uncertainty`;
        empty for models without lesion measures.
    """
    if not rows["lesions"]:
        return {}
    entries: Row = {"intervals_fitted": calibrate_intervals(rows["lesions"], facts.cohort_simulated)}
    uncertainty = calibration(rows["lesions"], facts.seed, compared.minimum_mm3)
    if uncertainty is not None:
        by_spread = errors_by_spread(rows["lesions"], rows["visits"], compared.minimum_mm3)
        entries["uncertainty"] = uncertainty | {"fitted": by_spread}
    return entries


def _evaluation_report(
    folder: Path,
    compared: ComparedModels,
    slices: Mapping[str, Sequence[Slices]],
    loads: Sequence[int],
    facts: EvaluationFacts,
) -> Report:
    """Build report.html; also writes the figures to `folder/figures` as PNG. See write_evaluation."""
    banners = [SIMULATED_BANNER] if facts.cohort_simulated else []
    simulated = [name for name, about in facts.models.items() if about["simulated_training_data"]]
    if simulated:
        banners.append(f"{SIMULATED}: {', '.join(simulated)}.")
    title = f"Synthetic and measured {title_of(compared.target)}"
    report = Report(title, banners, figures=folder / "figures")
    about = compared.summaries[compared.first]
    report.add_text(f"Cohort {facts.cohort}: {about['people']} people, {about['visits']} visits.")
    for warning in facts.warnings:
        report.add_text(f"Note: {warning}")
    for name, model in facts.models.items():
        report.add_text(f"{name}: {model['description']}")
    add_results(report, compared)
    _add_slices(report, compared, slices, loads)
    add_by_person(report, compared.task, compared.rows)
    return report


def add_results(report: Report, compared: ComparedModels) -> None:
    """Add measures beside those of the paper, sections of the task, and comparisons with the first model.

    Args:
        report: report to extend.
        compared: results of all models.
    """
    report.add_heading("Measures")
    measures = {name: summary["measures"] for name, summary in compared.summaries.items()}
    add_measures(report, compared.task, measures, compared.target)
    for section in PAGES[compared.task.name].sections:
        section(report, compared)
    add_comparisons(report, compared.task, compared.gaps, compared.first)


def _add_slices(
    report: Report, compared: ComparedModels, slices: Mapping[str, Sequence[Slices]], loads: Sequence[int]
) -> None:
    """Add example slices: per model with the difference to the measured image, or all models in one figure."""
    pages = PAGES[compared.task.name]
    report.add_heading("Examples")
    if pages.each_model:
        for name, own in slices.items():
            chosen = [own[i] for i in choose_examples(compared.task.name, compared.rows[name]["visits"], loads)]
            _add_model_slices(report, name, chosen)
        return
    chosen_visits = choose_examples(compared.task.name, compared.rows[compared.first]["visits"], loads)
    examples = {name: [own[i] for i in chosen_visits] for name, own in slices.items()}
    if len({tuple(example.outline.shape for example in own) for own in examples.values()}) == 1:
        report.add_figure(
            pages.examples(examples),
            "People with the highest lesion load, slice with the most lesion. Patient's right on the left.",
            "Axial slices: inputs, measured image and the image of every model",
            "examples",
        )


def _add_model_slices(report: Report, name: str, chosen: Sequence[Slices]) -> None:
    low, high = DVR_WINDOW
    inputs = ", ".join(title_of(image) for image in chosen[0].inputs)
    report.add_figure(
        slices_figure(chosen),
        f"{name}: one visit per row, from the smallest to the largest error of mean lesional DVR, at the level with "
        f"the most lesional voxels (outlined). DVR window {low} to {high}; patient's right on the left.",
        f"Axial slices of {len(chosen)} visits: {inputs}, measured DVR, synthetic DVR of {name}, and difference.",
        f"slices-{file_name(name)}",
    )
