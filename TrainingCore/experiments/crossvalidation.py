"""k-fold cross-validation of one or more recipes on the same people, in a folder that any number of jobs may fill.

OUT/plan.json                    the folds by person, the recipes, who validates: written once, never changed
OUT/<name>/fold-1/run            the training run, resumable
OUT/<name>/fold-1/example.safetensors  one slice of one of the people left out, as this recipe makes it
OUT/<name>/fold-1/rows.json      measures of the people left out, written when the fold is done; also of the last epoch
OUT/report.html, summary.json, visits.csv, lesions.csv   when all folds of all recipes are done, or with --report so far

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
from ..runtime.files import only_one, read_json, write_json
from .folds import make_folds
from .plan_file import PLAN, begin_or_go_on, read_plan
from .settings import FoldSettings

if TYPE_CHECKING:
    from ..prediction.model import TrainedModel

ROWS = "rows.json"
CROSSVALIDATION = "cross-validation"  # what a plan is called
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
    """Who is left out in which fold, and what is trained on the others."""

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
        """The plan of a folder: the one that is there, or a new one.

        Args:
            task: name of what is measured (see evaluation.tasks); the one that suits all recipes where it is empty.

        Raises:
            BadInput: another one is there, or where a fold leaves too few people to learn from.
        """
        from ..evaluation.tasks import common_task

        plan: dict[str, Any] = {
            "folds": make_folds(cohort.strata(folds.stratify), folds.number, folds.seed),
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
        begin_or_go_on(path, plan, CROSSVALIDATION)
        return cls(path, plan["folds"], dict(recipes), folds.seed, plan["task"], folds.stratify)

    @classmethod
    def open(cls, path: Path) -> Plan:
        """The plan of a folder that `begin` made.

        Raises:
            BadInput: there is none.
        """
        if not (path / PLAN).is_file():
            raise BadInput(f"{path} is not a cross-validation: it has no {PLAN}. Give the --out of crossvalidate.")
        stored = read_plan(path, CROSSVALIDATION, ["folds", "recipes", "seed", "task", "stratified_by", "data"])
        return cls(path, stored["folds"], stored["recipes"], stored["seed"], stored["task"], stored["stratified_by"])

    def jobs(self) -> list[tuple[str, int]]:
        """(recipe name, fold counted from 1) of everything there is to do, fold by fold."""
        return [(name, fold) for fold in range(1, len(self.folds) + 1) for name in self.recipes]

    def folder(self, name: str, fold: int) -> Path:
        """Where one fold of one recipe lives."""
        return self.path / name / f"fold-{fold}"

    def rows(self, name: str, fold: int) -> dict[str, Any] | None:
        """What a finished fold measured: {visits, lesions, last_epoch}; None while it is not finished.

        last_epoch: {visits, lesions} of the last epoch's model, None if that is the best one; a fold measured by an
        earlier version lacks it.

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
        """Where the example slice of one fold of one recipe lies, if there is one."""
        return self.folder(name, fold) / EXAMPLE

    def missing(self) -> list[tuple[str, int]]:
        """The jobs that are not finished."""
        return [job for job in self.jobs() if self.rows(*job) is None]

    def finished(self) -> list[int]:
        """The folds, counted from 1, that every recipe has finished: those that a report can compare on."""
        left = {fold for _name, fold in self.missing()}
        return [fold for fold in range(1, len(self.folds) + 1) if fold not in left]

    def pooled(self, name: str, folds: Sequence[int] = (), last_epoch: bool = False) -> dict[str, list[dict[str, Any]]]:
        """Out-of-fold rows of a recipe, of the people of some folds (all where empty), which must be finished.

        Args:
            last_epoch: of the last epochs' models instead of the best ones'.
        """
        measured = [self.rows(name, fold) for fold in folds or range(1, len(self.folds) + 1)]
        parts = [part for part in measured if part is not None]
        if last_epoch:
            parts = [part.get("last_epoch") or part for part in parts]
        return {kind: [row for part in parts for row in part[kind]] for kind in ("visits", "lesions")}

    def last_epochs_differ(self, folds: Sequence[int]) -> bool:
        """Whether the last epochs of all recipes were measured in some finished folds, and any is not the best one."""
        parts = [self.rows(name, fold) or {} for name in self.recipes for fold in folds]
        return all("last_epoch" in part for part in parts) and any(part["last_epoch"] for part in parts)


def run_fold(plan: Plan, cohort: Cohort, name: str, fold: int, report: Report, device: str, threads: int) -> None:
    """Train one recipe without the people of one fold and measure it on them; does nothing where that is done.

    Raises:
        BadInput: another process is at work on it, or an image of one of the people cannot be used.
    """
    with only_one(plan.folder(name, fold)):
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
        for visit in cohort.of(left_out):  # a broken image is better found before the training than after it
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
    """Measure the best epoch's model and, where it is another, the last one's on the people left out."""
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
    """The run of a fold that a kill interrupted; one without a whole epoch is begun anew."""
    if (path / "run.json").is_file():
        return Run.open(path)
    if path.exists():
        shutil.rmtree(path)
    return None


def _trained(run: Run, device: str) -> list[TrainedModel]:
    """The best epoch's model, and the last one's where it is another."""
    from ..data.bundle import Bundle
    from ..prediction.model import TrainedModel

    best, last = (Bundle.open(run.bundle_path(which)) for which in ("best", "last"))
    bundles = [best] if last.sha256 == best.sha256 else [best, last]
    return [TrainedModel.load(bundle, device) for bundle in bundles]


def _facts(visit: Any, columns: Sequence[str]) -> dict[str, Any]:
    """Participant columns that a table of results may be divided by."""
    return {key: visit.info[key] for key in dict.fromkeys((*TABLED, *columns)) if key in visit.info}
