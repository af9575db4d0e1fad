"""Trained models that make an MRI on a cohort: the measures, tables and figures of their cross-validation.

What makes DVR is measured lesion by lesion instead (evaluation.pages).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data.case import title_of
from ..data.cohort import Cohort
from ..evaluation.tasks import Task, common_task
from ..prediction.models import Model
from ..reporting.document import SIMULATED_BANNER, Report
from ..reporting.evaluation_pages import write_csv
from ..reporting.experiment_pages import (
    MOST_EXAMPLES,
    Pooled,
    Row,
    add_by_person,
    add_measures,
    cohort_name,
    summarise,
    untouched_input,
)
from ..reporting.slice_figures import Slices, axial_slices
from ..runtime.errors import BadInput
from ..runtime.files import write_json
from .comparison import add_comparisons, against


def needed(models: Sequence[Model]) -> list[str]:
    """The volumes that a visit must have to be measured."""
    recipes = [recipe_of(model) for model in models]
    found = [name for one in recipes for name in (*one["data"]["inputs"], one["data"]["target"])]
    marked = ["lesions"] if common_task(recipes).name == "wmh" else []  # without a mask nothing can be missed
    return list(dict.fromkeys([*found, "brain", *marked]))


def recipe_of(model: Model) -> Row:
    """What the tasks need of a recipe, as a model's bundle has it."""
    about = model.bundle.description
    data = {"inputs": model.inputs, "target": about["output"], "intensity": about["intensity"]}
    return {"system": about["system"], "data": data}


def measure_models(
    models: Sequence[Model],
    cohort: Cohort,
    folder: Path,
    options: argparse.Namespace,
    tell: Callable[[float, str], None],
) -> None:
    """Measure models of one task on all visits of a cohort, which have all that is needed, and write the results.

    Into `folder`: visits.csv, summary.json, report.html. tell(share, message) shows progress. Raises BadInput for
    --uncertainty, which is of DVR.
    """
    if options.uncertainty:
        raise BadInput("--uncertainty asks about the DVR of lesions, and these models make no DVR. Leave it out.")
    task = common_task([recipe_of(model) for model in models])
    found = {model.name: measured(task, model, cohort, tell, index / len(models), (index + 1) / len(models))
             for index, model in enumerate(models)}  # fmt: skip
    pooled: Pooled = {name: {"visits": rows, "lesions": []} for name, (rows, _slices) in found.items()}
    pooled |= untouched_input(task, pooled[models[0].name])
    gaps = {name: against(task, pooled[models[0].name], pooled[name]) for name in list(pooled)[1:]}
    rows = [{"model": name, **row} for name, own in pooled.items() for row in own["visits"]]
    write_csv(folder / "visits.csv", rows)
    summary = summary_of(task, models, cohort, pooled) | {"against": gaps}
    write_json(folder / "summary.json", summary)
    slices = {name: own for name, (_rows, own) in found.items()}
    build_report(task, models, cohort, summary, pooled, slices).write(folder / "report.html")


def measured(
    task: Task, model: Model, cohort: Cohort, tell: Callable[[float, str], None], first: float, last: float
) -> tuple[list[Row], list[Slices]]:
    """A row per visit, and slices of the visits with most lesional voxels, each of another person."""
    recipe, system = recipe_of(model), model.system
    mri = [*model.inputs, recipe["data"]["target"]]
    rows, kept = [], []
    for index, visit in enumerate(cohort):
        tell(first + (last - first) * index / len(cohort.visits), f"{model.name}: {visit.label}")
        case = model.load(visit, mri)
        row, _lesions = task.measure(system, case, recipe, None)
        rows.append(row)
        made = task.makes(system, case, recipe, None)
        image = made.pop("synthetic", None)
        load = int(np.count_nonzero(case.volumes.get("lesions", 0)))
        kept.append((load, visit.person, axial_slices(case, image, visit.label, mri[:-1], mri[-1], made)))
        kept = _most_by_person(kept)
    return rows, [one for _load, _person, one in kept]


def _most_by_person(kept: Sequence[tuple[int, str, Slices]]) -> list[tuple[int, str, Slices]]:
    """The first few people by lesion load, with their visit of the largest."""
    of_person = {person: (load, person, one) for load, person, one in sorted(kept, key=lambda each: each[0])}
    return sorted(of_person.values(), key=lambda each: (-each[0], each[1]))[:MOST_EXAMPLES]


def summary_of(task: Task, models: Sequence[Model], cohort: Cohort, pooled: Pooled) -> Row:
    """What summary.json says: counts, and of every model what it is and its measures as mean, sd and n."""
    first = pooled[models[0].name]["visits"]
    counts = {"people": len({row["person"] for row in first}), "visits": len(first)}
    told = {}
    for model in models:
        found = summarise(task, pooled[model.name])
        found.pop("pooled")
        told[model.name] = model.facts() | counts | {"task": task.name, "measures": found}
    return {
        "note": RESEARCH_USE,
        "simulated_data": cohort.simulated,
        "cohort": cohort_name(cohort),
        "warnings": warnings_of(models, cohort),
        "models": told,
    }


def warnings_of(models: Sequence[Model], cohort: Cohort) -> list[str]:
    """People that a model learnt from, and models that see other intensities or voxels."""
    found = [note for model in models if (note := model.seen_before(cohort))]
    if len({model.key for model in models}) > 1:
        found.append("The models differ in grid or intensities, and each was measured on its own: compare with care.")
    return found


def build_report(
    task: Task, models: Sequence[Model], cohort: Cohort, summary: Row, pooled: Pooled, slices: dict[str, list[Slices]]
) -> Report:
    """The report as a self-contained page."""
    simulated = [model.name for model in models if model.bundle.simulated]
    banners = [SIMULATED_BANNER] if cohort.simulated else []
    banners += [f"{SIMULATED}: {', '.join(simulated)}."] if simulated else []
    target, first = recipe_of(models[0])["data"]["target"], models[0].name
    report = Report(f"Synthetic and measured {title_of(target)}", banners + summary["warnings"])
    about = summary["models"][first]
    report.add_text(
        f"{about['people']} people ({about['visits']} visits) of {summary['cohort']}. Mean (SD) over people."
    )
    for model in models:
        report.add_text(f"{model.name}: {summary['models'][model.name]['description']}")
    report.add_heading("Measures")
    add_measures(report, task, {name: summarise(task, rows) for name, rows in pooled.items()}, target)
    if task.section:
        task.section(report, {name: own["visits"] for name, own in pooled.items()})
    add_comparisons(report, task, summary["against"], first)
    if len({tuple(one.outline.shape for one in own) for own in slices.values()}) == 1:
        report.add_heading("Examples")
        report.add_figure(
            task.examples(slices),
            "The people with the largest lesions; the slice with most of them. Patient's right on the left.",
            "Axial slices: inputs, measured image and what every model makes of them",
        )
    add_by_person(report, task, pooled)
    return report
