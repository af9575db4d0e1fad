"""Report of a backward elimination: order, comparison with the paper's table, and certainty of each step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import RESEARCH_USE
from ..data.case import title_of
from ..data.cohort import Cohort
from ..evaluation.elimination import ALL, all_but, elimination_steps, margin, name_without
from ..evaluation.paired import mean_over_people
from ..evaluation.task import Measure, Row, Task
from ..evaluation.tasks import task_of
from ..runtime.files import write_json
from ..runtime.tables import write_csv
from ..systems.registry import reported_for
from . import figures
from .document import SIMULATED_BANNER, Report
from .methods import add_methods, length_text
from .result_tables import ALPHA, REASON, gap_text, measure_row, printed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS = "paper"


def write_ablation(out: Path, rounds: list[Row], recipe: Row, cohort: Cohort) -> None:
    """Write steps.csv, summary.json and report.html.

    Args:
        out: output folder.
        rounds: rounds of the elimination.
        recipe: recipe of the experiment.
        cohort: training data.
    """
    task = task_of(recipe)
    steps = elimination_steps(rounds)
    summaries = {step["inputs"]: _means(step["visits"], task.measures) for step in steps}
    margins = [margin(row, row["by"]) for row in rounds]
    write_csv(out / "steps.csv", [{"inputs": name, **_flat(result)} for name, result in summaries.items()])
    write_json(
        out / "summary.json",
        {
            "note": RESEARCH_USE,
            "simulated": cohort.simulated,
            "dropped_in_order": [row["dropped"] for row in rounds],
            "margins": margins,
            "steps": [{"inputs": name, "measures": result} for name, result in summaries.items()],
        },
    )
    _ablation_report(rounds, summaries, margins, recipe, cohort).write(out / "report.html")


def _ablation_report(
    rounds: Sequence[Row], summaries: dict[str, dict[str, Row]], margins: Sequence[Row], recipe: Row, cohort: Cohort
) -> Report:
    """Build the report; see write_ablation."""
    task = task_of(recipe)
    paper = reported_for(task.name)
    report = Report("Backward elimination of inputs", [SIMULATED_BANNER] if cohort.simulated else [])
    order = " → ".join(title_of(row["dropped"]) for row in rounds)
    kept = list(summaries)[-1]
    report.add_text(
        f"{recipe['description']}. Out-of-fold results of {len(cohort.people)} people of {cohort.name}; "
        f"{length_text(recipe)}. Each round drops the input that matters least for {rounds[0]['by'].title}. Order: "
        f"{order}. Last remaining input: {title_of(kept)}."
        + (f" The paper: {paper.inputs_order}." if paper.inputs_order else "")
    )
    report.add_heading("All combinations")
    inputs, rows = rounds[0]["inputs"], tried_rows(rounds, task)
    text = "✓ input used. Mean (SD); best: the best of its round."
    if any(row["round"] == PAPERS for row in rows):
        report.add_text(REASON)
        text += " Rows called paper: results of the paper for the same inputs."
    report.add_table(rows, text, titles={name: title_of(name) for name in inputs}, missing="–")
    report.add_heading("Certainty of each step").add_text(
        "p: Wilcoxon's signed-rank test, two-sided, paired by person. Each combination was trained once per fold, so "
        "chance differences between trainings count as differences between inputs. Even a small p may therefore be "
        "misleading if two rows are close."
    )
    for row, result in zip(rounds, margins):
        report.add_text(f"Round {row['round']}: {margin_text(row, result)}")
    report.add_heading("Inputs left after each step")
    heads = {name: " + ".join(title_of(kept) for kept in name.split(" + ")) for name in summaries}
    rows = [measure_row(measure, summaries, paper.of_measure(measure.key)) for measure in task.measures]
    report.add_table(rows, "", ["measure", *summaries], titles=heads)
    report.add_figure(
        _elimination_figure(summaries, rounds[0]["by"]),
        "Mean and SD over people.",
        "Measure against remaining inputs",
    )
    add_methods(report, {recipe["system"]: recipe})
    return report


def tried_rows(rounds: Sequence[Row], task: Task) -> list[Row]:
    """Make one row per combination, as in table 1 of the paper: a tick per input, then measures, then the paper's row.

    Args:
        rounds: rows of `eliminate`.
        task: the task; all its measures are shown if its paper has no such table, else those of the paper.

    Returns:
        Rows of text, round by round.
    """
    first, rows = rounds[0]["inputs"], []
    paper = reported_for(task.name)
    shown = [measure for measure in task.measures if paper.of_measure(measure.key) or not paper.inputs]
    for row in rounds:
        means = {name: _means(visits, task.measures) for name, visits in row["tried"].items()}
        best = {m.key: _best(m, {name: values[m.key]["mean"] for name, values in means.items()}) for m in shown}
        for name, result in means.items():
            left = row["inputs"] if name == ALL else all_but(row["inputs"], name.removeprefix(name_without("")))
            papers = paper.with_inputs(left)
            cells: Row = {
                "round": str(row["round"]) if name != ALL else "all",
                **{i: "✓" if i in left else "✗" for i in first},
            }
            cells["dropped"] = title_of(row["dropped"]) if name == name_without(row["dropped"]) else ""
            for measure in shown:
                mark = " best" if name == best[measure.key] else ""
                cells[measure.title] = printed(measure, result[measure.key]) + mark
            rows.append(cells)
            if papers:
                blank = dict.fromkeys((*first, "dropped"), "")
                rows.append({"round": PAPERS} | blank | {measure.title: papers[measure.key] for measure in shown})
    return rows


def _best(measure: Measure, means: dict[str, float | None]) -> str | None:
    known = {name: value for name, value in means.items() if value is not None}
    if len(known) < 2:
        return None
    return (min if measure.better == "lower" else max)(known, key=lambda name: known[name])


def margin_text(row: Row, result: Row) -> str:
    """Describe the margin between the dropped input and the runner-up, and whether they can be distinguished.

    Args:
        row: row of the round.
        result: paired difference of the two: dropped, runner_up, difference, p, n.

    Returns:
        One or two sentences.
    """
    measure = row["by"]
    names = [title_of(name) for name in (result["dropped"], result["runner_up"])]
    if result["difference"] is None:
        return f"{names[0]} was dropped."
    text = f"{names[0]} was dropped; without {names[1]} instead, {measure.title} would have been worse by "
    text += f"{gap_text(measure, result)}."
    if result["p"] is None or result["p"] >= ALPHA:
        text += " The two cannot be distinguished: other people or another seed may reverse the order."
    return text


def _means(visits: Sequence[Row], measures: Sequence[Measure]) -> dict[str, Row]:
    return {measure.key: mean_over_people(visits, measure.key) for measure in measures}


def _flat(result: dict[str, Row]) -> Row:
    return {f"{key}_{part}": value[part] for key, value in result.items() for part in ("mean", "sd")}


def _elimination_figure(summaries: dict[str, dict[str, Row]], measure: Measure) -> Figure:
    """Plot the measure with its SD against the remaining inputs."""
    figure, axes = figures.new_figure(1.6 + 1.6 * len(summaries), 3.4)
    axis = axes[0, 0]
    result = [summary[measure.key] for summary in summaries.values()]
    means = [measure.scale * (row["mean"] if row["mean"] is not None else float("nan")) for row in result]
    spread = [measure.scale * (row["sd"] or 0.0) for row in result]
    axis.errorbar(range(len(result)), means, spread, fmt="o-", color=figures.SYNTHETIC, capsize=3)
    axis.set_xticks(
        range(len(result)),
        ["\n".join(title_of(kept) for kept in name.split(" + ")) for name in summaries],
        fontsize=8,
    )
    axis.set_ylabel(measure.title)
    return figure
