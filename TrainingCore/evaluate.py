"""Compare synthetic with measured images: python -m TrainingCore.evaluate --run RUN --data BIDS --out DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from .data.ceilings import read_ceilings
from .data.cohort import Cohort
from .experiments.settings import Experiment
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder, check_replaceable
from .runtime.signature import AtLeast, Option, ProgressMode, command

if TYPE_CHECKING:
    from .experiments.evaluation import Candidate
    from .reporting.evaluation_report import EvaluationFacts

SUMMARY = "summary.json"


def evaluate(
    data: Path,
    out: Path,
    *,
    run: Path | None = None,
    bundle: Path | None = None,
    name: str = "",
    compare: Annotated[Sequence[str], Option("NAME=PATH")] = (),
    people: Annotated[Sequence[str], Option("LABEL")] = (),
    visits: Annotated[Sequence[str], Option("LABEL")] = (),
    minimum: Annotated[float, Option("MM3")] = 50.0,
    uncertainty: bool = False,
    seed: Annotated[int, AtLeast(0)] = 0,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> Experiment:
    """Compare synthetic images of one or more trained models with the measured images of a cohort.

    DVR maps are evaluated at lesion, patient and voxel level, MRI contrasts by the measures of the model's paper. A
    DVR model is always compared with a regression on lesion size and location alone.

    Args:
        data: BIDS folder or table with measured DVR maps or MRI.
        out: folder for report.html, summary.json and the tables.
        run: folder of a finished training run (its best model).
        bundle: trained model: bundle folder, .zip, or the name of a model that comes with MyelinSynth.
        name: name of the model in the report (default: the name of its folder).
        compare: more models (bundle or run), compared with the first.
        people: only these people, e.g. B01 B02.
        visits: only these visits, e.g. 1.
        minimum: smallest lesion volume at lesion and patient level.
        uncertainty: also test whether lesions with a higher uncertainty have larger errors; needs at least six
            predictions of every visit.
        seed: seed of the bootstrap (default: 0).
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The folder of the evaluation, with its report and summary.

    Raises:
        BadInput: the models are not compatible with each other or with the cohort.

    Example:
        python -m TrainingCore.evaluate --run runs/first --compare linear=runs/linear --data cohortB --out results
    """
    source = run or bundle
    if source is None or (run is not None and bundle is not None):
        raise BadInput("Give one model to evaluate: either a run or a bundle.")
    check_replaceable(Path(out), SUMMARY)

    from .evaluation.compared import compare_models
    from .experiments import evaluation
    from .reporting.evaluation_report import write_evaluation

    candidates = evaluation.open_candidates(Path(source), name, compare)
    task = evaluation.common_task_of(candidates)
    if uncertainty and not task.common_grid:
        raise BadInput("--uncertainty applies to DVR maps, and these models synthesize no DVR. Leave it out.")
    needs = evaluation.volumes_needed(candidates, task)
    cohort = Cohort.read(data, evaluation.inputs_of(candidates))
    cohort, left_out = evaluation.choose_visits(cohort, people, visits, needs)
    with Progress(progress, "evaluating") as reporter:
        _load(candidates, device, threads)
        measured = evaluation.measure_candidates(
            candidates, task, cohort, uncertainty, lambda share, text: reporter.report("evaluate", 0.95 * share, text)
        )
        reporter.report("report", 0.97, "writing the report")
        notes = evaluation.warnings_of(candidates, task, cohort, left_out, measured.rows)
        facts = _facts(candidates, cohort, notes, seed)
        target = candidates[0].data["target"]
        compared = compare_models(task, target, measured.rows, seed, minimum, read_ceilings(cohort.path))
        with atomic_folder(Path(out), SUMMARY) as folder:
            write_evaluation(folder, compared, measured.slices, measured.loads, facts)
        reporter.report("done", 1.0, "evaluated")
    return Experiment(Path(out))


def _load(candidates: Sequence[Candidate], device: str, threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
    for candidate in candidates:
        candidate.load(device)


def _facts(candidates: Sequence[Candidate], cohort: Cohort, warnings: list[str], seed: int) -> EvaluationFacts:
    """Facts about models and cohort for the report."""
    from .imaging.fingerprints import images_of_cohort
    from .reporting.evaluation_report import EvaluationFacts

    name = cohort.path.resolve().name if cohort.path else "cohort"
    models = {candidate.name: candidate.facts() for candidate in candidates}
    images = images_of_cohort(cohort, candidates[0].data["inputs"][0])
    return EvaluationFacts(name, cohort.simulated, models, warnings, seed, images)


main = command(
    evaluate,
    done=lambda result: f"Evaluated: {result.report}",
    exclusive=[("run", "bundle")],
    required=("run", "bundle"),
)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
