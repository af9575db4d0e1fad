"""Compare synthetic with measured images: python -m TrainingCore.evaluate --run RUN --data BIDS --out DIR."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.ceilings import read_ceilings
from .data.cohort import Cohort, how_to_get
from .runtime.cli import Progress, add_compute_options, add_progress_option, at_least, parser, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder, check_replaceable

if TYPE_CHECKING:
    from .prediction.models import Model
    from .reporting.evaluation_pages import Facts, Results

SUMMARY = "summary.json"


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "evaluate",
        "Compare what one or more trained models make with what was measured in a cohort: DVR maps lesion by lesion, "
        "patient by patient and voxel by voxel, MRI by the measures of the model's paper.",
        "python -m TrainingCore.evaluate --run runs/first --compare linear=runs/linear --data cohortB --out results",
    )
    which = options.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=Path, help="folder of a finished training run (its best model)")
    which.add_argument(
        "--bundle", type=Path, help="a trained model: bundle folder, .zip, or the name of one shipped here"
    )
    options.add_argument("--data", type=Path, required=True, help="BIDS folder or table with measured DVR maps or MRI")
    options.add_argument("--out", type=Path, required=True, help="folder for report.html, summary.json and the tables")
    options.add_argument("--name", default="", help="what to call the model (default: the name of its folder)")
    options.add_argument(
        "--compare",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=PATH",
        help="more models (bundle or run) for the same table, compared with the first",
    )
    options.add_argument("--people", nargs="+", default=[], metavar="LABEL", help="only these people, e.g. B01 B02")
    options.add_argument("--visits", nargs="+", default=[], metavar="LABEL", help="only these visits, e.g. 1")
    options.add_argument(
        "--minimum", type=float, default=50.0, metavar="MM3", help="smallest lesion at lesion level (default: 50 mm3)"
    )
    options.add_argument(
        "--uncertainty",
        action="store_true",
        help="also: do lesions with a high uncertainty have larger errors? (at least six predictions of every visit)",
    )
    options.add_argument("--seed", type=at_least(0), default=0, help="seed of the bootstrap (default: 0)")
    add_compute_options(options, "CPU threads (default: all)")
    add_progress_option(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Find the visits, open the models, compare visit by visit, write the report."""
    options = arguments().parse_args(argv)
    check_replaceable(options.out, SUMMARY)
    models = open_models(options)
    inputs = inputs_of(models)
    cohort, left_out = choose_visits(Cohort.read(options.data, inputs), options.people, options.visits, volumes(models))
    with Progress(options.progress, "evaluating") as progress:
        prepare(models, options)
        if models[0].makes == "dvr":
            results = compare(cohort, models, options, progress)
            progress.report("report", 0.97, "writing the report")
            write(results, cohort, models, options, left_out)
        else:
            progress.note(f"{left_out} visits lack an image or mask and were left out." if left_out else "")
            write_others(cohort, models, options, progress)
        progress.report("done", 1.0, "evaluated")
    if options.progress != "json":
        print(f"Evaluated: {options.out / 'report.html'}")
    return 0


def inputs_of(models: Sequence[Model]) -> list[str]:
    """The MRI that the models see, each once."""
    return list(dict.fromkeys(name for model in models for name in model.inputs))


def volumes(models: Sequence[Model]) -> list[str]:
    """What a visit must have to be compared. Raises BadInput where the models make different things."""
    made = sorted({model.makes for model in models})
    if len(made) > 1:
        raise BadInput(f"These models make different things ({', '.join(made)}) and cannot be compared.")
    if made == ["dvr"]:
        return [*inputs_of(models), "brain", "dvr"]
    from .experiments.other_cohort import needed

    return needed(models)


def choose_visits(
    cohort: Cohort, people: Sequence[str], visits: Sequence[str], needs: Sequence[str]
) -> tuple[Cohort, int]:
    """The visits asked for that have all volumes of `needs`, and how many have not.

    Raises BadInput where a person or visit is not there, or none of them can be compared.
    """
    wanted = {name.removeprefix("sub-") for name in people}, {name.removeprefix("ses-") for name in visits}
    for kind, names, known in zip(
        ("person", "visit"), wanted, (cohort.people, {visit.visit for visit in cohort}), strict=True
    ):
        missing = sorted(names - set(known))
        if missing:
            raise BadInput(f"{cohort.path} has no {kind} {missing[0]!r}. Leave out --people and --visits to take all.")
    chosen = [v for v in cohort if (not wanted[0] or v.person in wanted[0]) and (not wanted[1] or v.visit in wanted[1])]
    if not chosen:
        raise BadInput(f"None of these people of {cohort.path} has such a visit. Leave out --visits to take all.")
    ready = [visit for visit in chosen if set(needs) <= set(visit.files)]
    if not ready:
        missing = sorted(set(needs) - set(chosen[0].files))
        words = f"No visit of {cohort.path} can be compared: {chosen[0].label} lacks {', '.join(missing)}."
        words += how_to_get(missing)
        if "dvr" in needs:
            words += " It is compared with a measured DVR map (derivatives, stat-dvr_desc-measured_mimap)."
        raise BadInput(words)
    return Cohort(ready, cohort.path), len(chosen) - len(ready)


def open_models(options: argparse.Namespace) -> list[Model]:
    """The model to evaluate and those to compare it with; raises BadInput for one that cannot be opened."""
    from .prediction.models import open_model

    models = [open_model(options.run or options.bundle, options.name)]
    for entry in options.compare:
        name, equals, path = entry.partition("=")
        if not equals or not name or not path:
            raise BadInput(f"--compare {entry}: write it as NAME=PATH, for example --compare linear=runs/linear.")
        models.append(open_model(Path(path), name))
    names = [model.name for model in models]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadInput(
            f"Two models are called {twice[0]!r}. Give the first another --name or use other --compare names."
        )
    return models


def prepare(models: Sequence[Model], options: argparse.Namespace) -> None:
    """Read the weights of all models onto the device."""
    import torch

    from .runtime.processes import choose_device

    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    for model in models:
        model.prepare(device)


def compare(cohort: Cohort, models: list[Model], options: argparse.Namespace, progress: Progress) -> dict[str, Results]:
    """Predict every visit with every model and measure it, all on the finest of the models' grids."""
    from .reporting.evaluation_pages import Results

    results = {model.name: Results() for model in models}
    for index, visit in enumerate(cohort):
        tell = f"{visit.label}, visit {index + 1} of {len(cohort)}"
        compare_visit(
            visit,
            models,
            results,
            options.uncertainty,
            lambda share, tell=tell, index=index: progress.report(
                "evaluate", 0.95 * (index + share) / len(cohort), tell
            ),
        )
    return results


def compare_visit(visit: Any, models: list[Model], results: dict[str, Results], uncertainty: bool, tell: Any) -> None:
    """Add one visit's rows and slices to the results of every model; `tell(share)` shows progress."""
    from .evaluation.cases import evaluate_case
    from .evaluation.conformal import intervals_of_bundle
    from .prediction.models import finest, on_grid_of
    from .prediction.uncertainty import fitted_errors
    from .reporting.slice_figures import axial_slices

    reference, inputs = finest(models), inputs_of(models)
    common = reference.load(visit, inputs)
    loaded = {reference.key: common}
    for place, model in enumerate(models):
        tell(place / len(models))
        if model.key not in loaded:
            loaded[model.key] = model.load(visit, inputs)
        own = loaded[model.key]
        answer, maps = model.answers(own) if uncertainty else (model.predict(own), [])
        prediction = on_grid_of(common, own, answer)
        maps = [on_grid_of(common, own, one) for one in maps]
        fitted = fitted_errors(model.bundle.description, len(maps))
        intervals = intervals_of_bundle(model.bundle.description)
        row, lesions = evaluate_case(common, prediction, maps=maps, fitted=fitted, intervals=intervals)
        results[model.name].visits.append(row)
        results[model.name].lesions.extend(lesions)
        results[model.name].slices.append(axial_slices(common, prediction, visit.label, model.inputs))


def write(
    results: dict[str, Results], cohort: Cohort, models: list[Model], options: argparse.Namespace, left_out: int
) -> None:
    """Write the evaluation in one piece."""
    from .reporting.evaluation_pages import write_evaluation

    with atomic_folder(options.out, SUMMARY) as folder:
        write_evaluation(folder, results, facts_of(cohort, models, options, left_out))


def write_others(cohort: Cohort, models: list[Model], options: argparse.Namespace, progress: Progress) -> None:
    """Measure models that make an MRI and write their evaluation in one piece."""
    from .experiments.other_cohort import measure_models

    with atomic_folder(options.out, SUMMARY) as folder:
        measure_models(
            models, cohort, folder, options, lambda share, text: progress.report("evaluate", 0.95 * share, text)
        )


def facts_of(cohort: Cohort, models: list[Model], options: argparse.Namespace, left_out: int) -> Facts:
    """What the report says of cohort and models besides the measurements."""
    from .prediction.models import finest
    from .reporting.evaluation_pages import Facts

    warnings = [note for model in models if (note := model.seen_before(cohort))]
    if left_out:
        warnings.append(f"{left_out} visits have no measured DVR map or no brain mask and were left out.")
    reference = finest(models)
    grid = f"{' x '.join(map(str, reference.shape))} voxels of {reference.spacing:g} mm"
    if len({model.key for model in models}) > 1:
        warnings.append(
            f"The models differ in grid or intensities; all maps were compared on {grid} ({reference.name})."
        )
    about = {model.name: model.facts() for model in models}
    name = cohort.path.resolve().name if cohort.path else "cohort"
    ceilings = read_ceilings(cohort.path)
    return Facts(name, cohort.simulated, about, warnings, options.seed, options.minimum, ceilings)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
