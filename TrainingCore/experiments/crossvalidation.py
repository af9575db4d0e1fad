"""k-fold cross-validation of one or more recipes on the same people, in a folder that any number of jobs may fill.

OUT/plan.json                    the folds by person, the recipes, the task: written once, never changed
OUT/<name>/fold-1/run            the training run, resumable
OUT/<name>/fold-1/example.safetensors  one slice of one of the people left out, predicted with this recipe
OUT/<name>/fold-1/rows.json      measures of the people left out, written when the fold is done; also of the last epoch
OUT/report.html, summary.json, visits.csv, lesions.csv   when all folds are done, or of those done with --report

Run the same command again to resume a killed job: finished folds are kept, unfinished trainings continue.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.cohort import Cohort
from ..data.run import Run
from ..runtime.errors import BadInput
from ..runtime.files import lock_folder, read_json, write_json
from .folds import folds_of_units
from .plan_file import PLAN, read_plan, start_or_resume
from .settings import FoldSettings

if TYPE_CHECKING:
    from ..prediction.model import TrainedModel

ROWS = "rows.json"
CROSSVALIDATION = "cross-validation"  # kind of plan, named in messages
EXAMPLE = "example.safetensors"
TABLED = (
    "group",
    "site",
    "disease",
    "subtype",
    "grade",
    "enhancement",
    "simulated",
)  # no column that may name a person
Recipes = Mapping[str, dict[str, Any]]
Report = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Plan:
    """Which people each fold leaves out, and the recipes that are trained on the others."""

    path: Path
    folds: list[list[str]]
    recipes: dict[str, dict[str, Any]]
    seed: int
    task: str
    stratified_by: list[str] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        path: Path,
        cohort: Cohort,
        recipes: Recipes,
        folds: FoldSettings,
        task: str = "",
    ) -> Plan:
        """Start a plan in a folder, or open the one that was started with the same settings.

        Args:
            path: folder of the cross-validation.
            cohort: all visits usable for training.
            recipes: recipes to compare, by name.
            folds: division of the people.
            task: name of what is measured (see evaluation.tasks); empty: the one common to all recipes.

        Returns:
            The plan.

        Raises:
            BadInput: the folder holds another plan, or a fold leaves too few people for training.
        """
        from ..evaluation.tasks import common_task

        plan: dict[str, Any] = {
            "folds": folds_of_units(cohort.strata(folds.stratify), cohort.units, folds.number, folds.seed),
            "stratified_by": folds.stratify,
            "seed": folds.seed,
            "data": str(cohort.path.resolve()) if cohort.path else "",
            "files": cohort.sizes(),
            "recipes": dict(recipes),
            "task": task or common_task(recipes.values()).name,
        }
        for left_out in plan["folds"]:
            for recipe in recipes.values():
                cohort.without(left_out).split(recipe["data"]["validation_people"], recipe["seed"], folds.stratify)
        start_or_resume(path, plan, CROSSVALIDATION)
        return cls(path, plan["folds"], dict(recipes), folds.seed, plan["task"], folds.stratify)

    @classmethod
    def open(cls, path: Path) -> Plan:
        """Open the plan of a folder.

        Args:
            path: folder of a cross-validation.

        Returns:
            The plan.

        Raises:
            BadInput: the folder holds no plan, or that of another experiment.
        """
        if not (path / PLAN).is_file():
            raise BadInput(f"{path} is not a cross-validation: it has no {PLAN}. Give the --out of crossvalidate.")
        stored = read_plan(path, CROSSVALIDATION, ["folds", "recipes", "seed", "task", "stratified_by", "data"])
        return cls(path, stored["folds"], stored["recipes"], stored["seed"], stored["task"], stored["stratified_by"])

    def jobs(self) -> list[tuple[str, int]]:
        """(recipe name, fold counted from 1) of all trainings, fold by fold."""
        return [(name, fold) for fold in range(1, len(self.folds) + 1) for name in self.recipes]

    def folder(self, name: str, fold: int) -> Path:
        """Folder of one fold of one recipe.

        Args:
            name: name of the recipe.
            fold: number of the fold, from 1.

        Returns:
            The folder, which may not exist yet.
        """
        return self.path / name / f"fold-{fold}"

    def rows(self, name: str, fold: int) -> dict[str, Any] | None:
        """Read the measures of a finished fold.

        Args:
            name: name of the recipe.
            fold: number of the fold, from 1.

        Returns:
            {visits, lesions, last_epoch}; None if the fold is not finished. last_epoch: {visits, lesions} of the last
            epoch's model, or None if that is the best one; missing if an earlier version measured the fold.

        Raises:
            BadInput: the file is damaged.
        """
        path = self.folder(name, fold) / ROWS
        if not path.is_file():
            return None
        content = read_json(path)
        if not (isinstance(content, dict) and content.get("visits") and isinstance(content.get("lesions"), list)):
            raise BadInput(f"{path} is damaged. Delete it, and run the same command again to measure that fold.")
        return content

    def example(self, name: str, fold: int) -> Path:
        """File with the example slice of one fold of one recipe.

        Args:
            name: name of the recipe.
            fold: number of the fold, from 1.

        Returns:
            The file, which may not exist.
        """
        return self.folder(name, fold) / EXAMPLE

    def missing(self) -> list[tuple[str, int]]:
        """The jobs that are not finished."""
        return [job for job in self.jobs() if self.rows(*job) is None]

    def finished(self) -> list[int]:
        """The folds, counted from 1, that every recipe has finished; reports compare on these."""
        left = {fold for _name, fold in self.missing()}
        return [fold for fold in range(1, len(self.folds) + 1) if fold not in left]

    def pooled(self, name: str, folds: Sequence[int] = (), last_epoch: bool = False) -> dict[str, list[dict[str, Any]]]:
        """Out-of-fold rows of a recipe.

        Args:
            name: name of the recipe.
            folds: finished folds, counted from 1; empty: all.
            last_epoch: measures of the last epochs' models instead of the best ones'.

        Returns:
            {visits, lesions}: one row each, over all people of these folds.
        """
        measured = [self.rows(name, fold) for fold in folds or range(1, len(self.folds) + 1)]
        parts = [part for part in measured if part is not None]
        if last_epoch:
            parts = [part.get("last_epoch") or part for part in parts]
        return {kind: [row for part in parts for row in part[kind]] for kind in ("visits", "lesions")}

    def last_epochs_differ(self, folds: Sequence[int]) -> bool:
        """Check whether a comparison of best and last epochs is possible and of interest.

        Args:
            folds: finished folds, counted from 1.

        Returns:
            True if the last epochs of all recipes were measured in these folds, and any of them is not the best epoch.
        """
        parts = [self.rows(name, fold) or {} for name in self.recipes for fold in folds]
        return all("last_epoch" in part for part in parts) and any(part["last_epoch"] for part in parts)


def run_fold(plan: Plan, cohort: Cohort, name: str, fold: int, report: Report, device: str, threads: int) -> None:
    """Train one recipe without the people of one fold and measure it on them; a finished fold is skipped.

    Args:
        plan: plan of the cross-validation.
        cohort: all visits of the plan.
        name: name of the recipe.
        fold: number of the fold, from 1.
        report: called with step, finished share of the fold (0 to 1) and message.
        device: device of the training, e.g. `auto` or `cuda`.
        threads: CPU threads; 0: all.

    Raises:
        BadInput: another process works on this fold, or an image of one of the people cannot be used.
    """
    with lock_folder(plan.folder(name, fold)):
        if plan.rows(name, fold) is not None:
            return
        run = _train(plan, cohort, name, fold, report, device, threads)
        _measure(plan, cohort, name, fold, report, _trained(run, device))


def _train(plan: Plan, cohort: Cohort, name: str, fold: int, report: Report, device: str, threads: int) -> Run:
    from ..training.session import new_split, split_as_before, train_split
    from ..training.store import load_case

    recipe, folder = plan.recipes[name], plan.folder(name, fold)
    run = _begun(folder / "run")
    left_out = plan.folds[fold - 1]
    split = split_as_before(cohort, run) if run else new_split(cohort.without(left_out), recipe, plan.stratified_by)
    if run is None:
        for visit in cohort.of(left_out):  # a broken image should stop the job before the training, not after it
            report("read", 0.0, f"reading {visit.label}, which is left out")
            load_case(visit, recipe)
    return train_split(
        folder / "run",
        recipe,
        split,
        lambda step, share, message: report(step, 0.9 * share, message),
        run=run,
        device=device,
        threads=threads,
    )


def _measure(plan: Plan, cohort: Cohort, name: str, fold: int, report: Report, models: list[TrainedModel]) -> None:
    """Measure the best epoch's model on the people left out, and the last epoch's model if it differs."""
    from ..evaluation.tasks import TASKS
    from ..prediction.cases import predict_case
    from ..reporting.slice_figures import save_slices
    from ..training.store import load_case
    from .evaluation import slice_of

    task, recipe = TASKS[plan.task], plan.recipes[name]
    data = recipe["data"]
    measured: list[dict[str, list[dict[str, Any]]]] = [{"visits": [], "lesions": []} for _ in models]
    example, largest = None, -1
    chosen = list(cohort.of(plan.folds[fold - 1]))
    known = [visit for visit in cohort if task.prepared_from in ("", visit.info.get("group"))]
    context = task.prepare(load_case(visit, recipe) for visit in known) if task.prepare else None
    for index, visit in enumerate(chosen):
        report("measure", 0.9 + 0.1 * index / len(chosen), f"measuring {visit.label}")
        case = load_case(visit, recipe)
        predictions = [predict_case(model, case) for model in models]
        for rows, outputs in zip(measured, predictions, strict=True):
            row, own = task.measure(case, outputs, data, context)
            rows["visits"].append({"fold": fold, **_facts(visit, plan.stratified_by), **row})
            rows["lesions"] += [{"fold": fold, **lesion} for lesion in own]
        load = int(np.count_nonzero(case.volumes.get("lesions", 0)))
        if load > largest:
            example, largest = slice_of(case, predictions[0], task, context, data, f"{case.person}, fold {fold}"), load
    if example is not None:
        save_slices(plan.example(name, fold), example)
    last_epoch = measured[1] if len(models) > 1 else None
    write_json(plan.folder(name, fold) / ROWS, {**measured[0], "last_epoch": last_epoch})


def _begun(path: Path) -> Run | None:
    """The interrupted run of a fold, or None; a run without a complete epoch is deleted."""
    if (path / "run.json").is_file():
        return Run.open(path)
    if path.exists():
        shutil.rmtree(path)
    return None


def _trained(run: Run, device: str) -> list[TrainedModel]:
    """The best epoch's model, and the last epoch's model if it differs."""
    from ..data.bundle import Bundle
    from ..prediction.model import TrainedModel

    best, last = (Bundle.open(run.bundle_path(which)) for which in ("best", "last"))
    bundles = [best] if last.sha256 == best.sha256 else [best, last]
    return [TrainedModel.load(bundle, device) for bundle in bundles]


def _facts(visit: Any, columns: Sequence[str]) -> dict[str, Any]:
    """Participant columns that a table of results may be divided by."""
    return {key: visit.info[key] for key in dict.fromkeys((*TABLED, *columns)) if key in visit.info}
