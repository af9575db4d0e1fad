"""Report of a hyperparameter search: best recipe, trials, history and importance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.cohort import Cohort
from ..data.recipe import differences_to_root, value_of, with_values
from ..evaluation.tasks import task_of
from ..runtime.files import write_json, write_text
from ..runtime.tables import write_csv
from ..systems.registry import reported_for
from . import figures
from .document import SIMULATED_BANNER, Report
from .methods import add_methods
from .result_tables import REASON as NOT_EQUAL

if TYPE_CHECKING:
    from ..experiments.space import Dimension

CONTINUES, REASON, EPOCHS = "continues", "reason", "epochs"  # user attributes of a trial
MIN_FOR_IMPORTANCE = 10  # finished trials; importance estimated from fewer is mostly noise (ours)


def write_search(
    out: Path, study: Any, recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """Write best_recipe.yaml, trials.csv, summary.json and report.html.

    Args:
        out: folder of the study.
        study: Optuna study.
        recipe: recipe that was tuned.
        dimensions: search space.
        cohort: training data.

    Returns:
        Content of summary.json.
    """
    import yaml

    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = min(complete, key=lambda trial: trial.value, default=None)
    values = {} if best is None else _recipe_values(best.params, dimensions)
    summary = {
        "trials": {name: sum(trial.state.name == name for trial in trials) for name in ("COMPLETE", "PRUNED", "FAIL")},
        "best": None if best is None else {"trial": best.number, "score": best.value, "values": values},
        "importance": _importance(study, complete),
        "simulated": cohort.simulated,
    }
    if best is not None:
        text = "# The best values of a search: see report.html beside this file.\n"
        result = {"description": f"{recipe['description']} (searched)"} | values
        write_text(
            out / "best_recipe.yaml",
            text + yaml.safe_dump(differences_to_root(with_values(recipe, result)), sort_keys=False),
        )
    write_csv(out / "trials.csv", [trial_row(trial, dimensions) for trial in trials])
    write_json(out / "summary.json", summary)
    _search_report(summary, trials, dimensions, recipe, cohort).write(out / "report.html")
    return summary


def _short(value: Any) -> str:
    """Format a value, numbers in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _recipe_values(params: dict[str, Any], dimensions: Sequence[Dimension]) -> dict[str, Any]:
    """Convert the parameters of a trial, which store choices as JSON, to recipe values."""
    choices = {dimension.key for dimension in dimensions if dimension.choices}
    return {key: json.loads(value) if key in choices else value for key, value in params.items()}


def trial_row(trial: Any, dimensions: Sequence[Dimension]) -> dict[str, Any]:
    """Make one row of the table of trials.

    Args:
        trial: Optuna trial.
        dimensions: search space.

    Returns:
        Number, state, score, values by recipe key, epochs, seconds, resumed trial and reason of a failure.
    """
    seconds = None if trial.duration is None else round(trial.duration.total_seconds(), 1)
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "score": trial.value,
        **dict.fromkeys(dimension.key for dimension in dimensions),
        **_recipe_values(trial.params, dimensions),
        "epochs": trial.user_attrs.get(EPOCHS),
        "seconds": seconds,
        "goes_on_with": trial.user_attrs.get(CONTINUES),
        "reason": trial.user_attrs.get(REASON),
    }


def _importance(study: Any, complete: Sequence[Any]) -> dict[str, float]:
    """Importance of each key for a good score (PED-ANOVA, Watanabe et al. 2023); empty with too few trials."""
    if len(complete) < MIN_FOR_IMPORTANCE:
        return {}
    import optuna

    try:
        result = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    except (ValueError, RuntimeError):  # all trials have the same score
        return {}
    return {key: float(value) for key, value in result.items()}


def _search_report(
    summary: dict[str, Any],
    trials: Sequence[Any],
    dimensions: Sequence[Dimension],
    recipe: dict[str, Any],
    cohort: Cohort,
) -> Report:
    """Build the report of a search; see write_search."""
    report = Report("Hyperparameter search", [SIMULATED_BANNER] if cohort.simulated else [])
    counts, best = summary["trials"], summary["best"]
    report.add_text(
        f"{recipe['description']}, on {cohort.name}: {counts['COMPLETE']} trials finished, {counts['PRUNED']} "
        "pruned. The score is the validation score that also selects the best epoch; lower is better. The values were "
        "selected on the validation set, so their performance must be measured on other people."
    )
    if best is None:
        return report.add_text("No trial has finished, so there is no best recipe yet.")
    add_best(report, best, recipe)
    report.add_heading("History")
    report.add_figure(
        _history_figure(trials),
        "Score of every finished trial and the best score so far; hollow points: pruned trials, at their best score.",
        "Score against trial number",
    )
    if summary["importance"]:
        report.add_heading("Importance").add_figure(
            _importance_figure(summary["importance"]),
            "Importance of each key for a good score (PED-ANOVA).",
            "Bars of the importance of each key",
        )
    else:
        report.add_text(
            f"Estimating the importance of keys needs at least {MIN_FOR_IMPORTANCE} finished trials. Increase "
            "--trials, or let all trials finish with --no-pruning."
        )
    report.add_heading("Keys").add_figure(
        keys_figure(trials, dimensions),
        "Score against each key; hollow points: pruned trials, at their best score.",
        "Scatter plots of score against each key",
    )
    columns = ["trial", "state", "score", *(dimension.key for dimension in dimensions), "epochs", "seconds"]
    rows = [trial_row(trial, dimensions) for trial in trials]
    formats = {dimension.key: "{:.4g}" for dimension in dimensions if not dimension.choices} | {"seconds": "{:.1f}"}
    titles = {dimension.key: dimension.key for dimension in dimensions}  # as a recipe spells them
    report.add_heading("Trials").add_table(rows, "All trials; see trials.csv for details.", columns, titles, formats)
    add_methods(report, {recipe["system"]: recipe})
    return report


def add_best(report: Report, best: dict[str, Any], recipe: dict[str, Any]) -> None:
    """Add the best values beside those of the recipe and of the search in the system's paper.

    Args:
        report: report to extend.
        best: {trial, score, values}.
        recipe: recipe that was searched around.
    """
    papers = reported_for(task_of(recipe).name).searched.get(recipe["data"]["target"], {})
    papers = {key: value for key, value in papers.items() if key in best["values"]}
    rows = [
        {"key": key, "best": _short(value), "recipe": _short(value_of(recipe, key))}
        | ({"paper": _short(papers[key]) if key in papers else "–"} if papers else {})
        for key, value in best["values"].items()
    ]
    entries = (
        f"Trial {best['trial']}, score {best['score']:.5f}, beside the recipe's values; complete in best_recipe.yaml."
    )
    if papers:
        entries += f" Paper: best values of its own search. {NOT_EQUAL}"
    report.add_heading("Best values").add_table(rows, entries, titles={"recipe": "in the recipe"})


def _history_figure(trials: Sequence[Any]) -> Any:
    """Plot the score of finished trials in order, and the best score so far."""
    figure, axes = figures.new_figure(7.0, 3.2)
    axis = axes[0, 0]
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    pruned = [(trial.number, _score(trial)) for trial in trials if trial.state.name == "PRUNED"]
    pruned = [point for point in pruned if point[1] is not None]
    numbers = [trial.number for trial in done]
    scores = np.array([trial.value for trial in done])
    if pruned:
        axis.scatter(*zip(*pruned), s=22, facecolors="none", edgecolors=figures.SYNTHETIC)
    axis.plot(numbers, scores, "o", color=figures.SYNTHETIC, markersize=5)
    ends, best = [*numbers, max(trial.number for trial in trials)], np.minimum.accumulate(scores)
    axis.step(ends, [*best, best[-1]], where="post", color=figures.INK, linewidth=1.2)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="trial", ylabel="validation score")
    return figure


def _importance_figure(result: dict[str, float]) -> Any:
    """Plot importance as horizontal bars, largest on top."""
    figure, axes = figures.new_figure(6.0, 0.6 + 0.35 * len(result))
    keys = sorted(result, key=lambda key: result[key])
    axes[0, 0].barh(keys, [result[key] for key in keys], color=figures.MEASURED)
    axes[0, 0].set_xlabel("share")
    return figure


def keys_figure(trials: Sequence[Any], dimensions: Sequence[Dimension]) -> Any:
    """Plot the score against each key; pruned trials are hollow.

    Args:
        trials: Optuna trials.
        dimensions: search space, one panel each.

    Returns:
        The figure.
    """
    columns = min(len(dimensions), 3)
    rows = -(-len(dimensions) // columns)
    figure, axes = figures.new_figure(3.2 * columns, 2.8 * rows, nrows=rows, ncols=columns)
    for axis, dimension in zip(axes.ravel(), dimensions):
        for state, face in (("PRUNED", "none"), ("COMPLETE", figures.SYNTHETIC)):
            chosen = [trial for trial in trials if trial.state.name == state and dimension.key in trial.params]
            points = [(_axis_position(dimension, trial.params[dimension.key]), _score(trial)) for trial in chosen]
            points = [point for point in points if point[1] is not None]
            if points:
                axis.scatter(*zip(*points), s=22, facecolors=face, edgecolors=figures.SYNTHETIC)
        if dimension.log:
            _log_axis(axis, dimension)
        if dimension.choices:
            axis.set_xticks(range(len(dimension.choices)), [_short(choice) for choice in dimension.choices])
            axis.set_xlim(-0.5, len(dimension.choices) - 0.5)
        axis.set(xlabel=dimension.key, ylabel="score")
    for axis in axes.ravel()[len(dimensions) :]:
        axis.set_axis_off()
    return figure


def _axis_position(dimension: Dimension, value: Any) -> Any:
    """Position of a value on the axis; choices are placed side by side."""
    return dimension.choices.index(json.loads(value)) if dimension.choices else value


def _log_axis(axis: Any, dimension: Dimension) -> None:
    """Show the whole search range with few ticks, because the default crowds labels when trials are close together."""
    low, high = dimension.low, dimension.high
    if dimension.whole:
        ticks = 2 ** np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high)) + 1)
    else:
        ticks = np.geomspace(low, high, 3)
    axis.set_xscale("log")
    axis.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
    axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axis.set_xticks([], minor=True)


def _score(trial: Any) -> float | None:
    return trial.value if trial.state.name == "COMPLETE" else min(trial.intermediate_values.values(), default=None)
