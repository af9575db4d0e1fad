"""Export a trained model as a bundle: python -m TrainingCore.export --run RUN --evaluation DIR --out BUNDLE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .data.bundle import DESCRIPTION, Bundle, encode_weights, fitted_sha256, save_bundle
from .data.model_card import FITTED_IMAGES
from .data.run import Run, bundle_of
from .runtime.cli import run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable
from .runtime.signature import command

NO_LICENCE = "not stated"
WRITTEN_BY_SAVING = ("format", "weights_sha256", "created_with")  # entries of a description


def export(
    out: Path,
    *,
    run: Path | None = None,
    bundle: Path | None = None,
    crossvalidation: Path | None = None,
    ensemble: Sequence[Path] = (),
    recipe: str = "",
    which: Literal["best", "last"] = "best",
    evaluation: Sequence[Path] = (),
    calibration: Path | None = None,
    myelin: Sequence[Path] = (),
    name: str = "",
    licence: str = "",
) -> Bundle:
    """Export the model of a run, or several models as an ensemble, as a bundle; or add measurements to a bundle.

    The bundle holds the licence and the measured performance. From an unfinished run, the best epoch so far is taken.
    The prediction of an ensemble is the mean of those of its members.

    Args:
        out: folder of the bundle.
        run: folder of a training run.
        bundle: bundle to copy with the performance or calibration that was measured on your people; everything else
            that its description holds is kept.
        crossvalidation: folder written by crossvalidate; its folds are exported as one ensemble.
        ensemble: finished runs or bundles to export as one ensemble, e.g. runs of the same recipe with other seeds.
        recipe: recipe of the cross-validation to export (default: the first).
        which: epoch to export.
        evaluation: folders written by evaluate for this model; adds the measured performance, from the second on in
            one line.
        calibration: folder written by evaluate on people who were used neither for training nor for the evaluation.
            Adds 95 % intervals to lesions and, after evaluate --uncertainty, turns uncertainties into expected errors.
        myelin: folders written by evaluate on simulated people who were used neither for training nor for the
            evaluation. Adds the estimate of each lesion's myelin loss, learnt from their lesions.
        name: name of the model (default: the recipe's description).
        licence: licence of the weights, e.g. Apache-2.0 (default: that of the bundle, or "not stated").

    Returns:
        The bundle.

    Raises:
        BadInput: the run has no finished epoch, or the evaluation belongs to other weights.

    Example:
        python -m TrainingCore.export --run runs/first --evaluation results --licence CC-BY-4.0 --out model
    """
    if sum((run is not None, bundle is not None, crossvalidation is not None, bool(ensemble))) != 1:
        raise BadInput("Give a run, a bundle, a cross-validation or the members of an ensemble to export.")
    check_replaceable(Path(out), DESCRIPTION)
    measured = Measured(evaluation, calibration, myelin)
    measured.check()
    if bundle is not None:
        return _measured_again(Path(bundle), Path(out), measured, name, licence)
    changes: dict[str, Any] = {"licence": licence or NO_LICENCE} | ({"name": name} if name else {})
    if run is not None:
        return _export_run(Path(run), Path(out), which, measured, changes)
    if ensemble:
        return _export_ensemble(ensemble, Path(out), which, measured, changes)
    if any(measured) or which != "best":
        raise BadInput(
            "--crossvalidation already includes its evaluation and the best epochs. Leave out --evaluation, "
            "--calibration, --myelin and --which."
        )
    return _export_folds(Path(str(crossvalidation)), recipe, Path(out), changes)


class Measured(NamedTuple):
    """Folders of evaluations, by what they are for."""

    evaluation: Sequence[Path]
    calibration: Path | None
    myelin: Sequence[Path]

    def check(self) -> None:
        """Raise BadInput if one folder is both to fit and to measure, or is given twice to fit the estimate."""
        fitted = [Path(folder).resolve() for folder in self.myelin]
        once = [*fitted, *([Path(self.calibration).resolve()] if self.calibration else [])]
        if len(set(fitted)) < len(fitted):
            raise BadInput("--myelin has the same folder twice, so its people would count as different ones.")
        both = [folder for folder in self.evaluation if Path(folder).resolve() in once]
        if both:
            raise BadInput(
                f"{both[0]} cannot be fitted to and measure the result: intervals and estimate would look better than "
                "they are. Evaluate on other people for --evaluation."
            )


def _measured_again(source: Path, out: Path, measured: Measured, name: str, licence: str) -> Bundle:
    """Copy a bundle with other measurements, name or licence."""
    if not (any(measured) or name or licence):
        raise BadInput(
            "--bundle copies a bundle with changes. Give --evaluation, --calibration, --myelin, --name or --licence."
        )
    before = Bundle.open(source)
    description = {key: value for key, value in before.description.items() if key not in WRITTEN_BY_SAVING}
    changes = {key: value for key, value in (("name", name), ("licence", licence)) if value}
    weights = before.weights()
    return save_bundle(out, description | changes | _entries(weights, measured, description), weights)


def _export_folds(folder: Path, recipe: str, out: Path, changes: dict[str, Any]) -> Bundle:
    """Export the folds of a cross-validation as one bundle with out-of-fold performance."""
    from .experiments.crossvalidation import Plan
    from .reporting.crossvalidation_report import performance_of_recipe
    from .training.export import write_ensemble_of_folds

    plan = Plan.open(folder)
    chosen = recipe or next(iter(plan.recipes))
    if chosen not in plan.recipes:
        raise BadInput(f"{plan.path} has no recipe {chosen!r}. It has: {', '.join(plan.recipes)}.")
    missing = [str(fold) for name, fold in plan.missing() if name == chosen]
    if missing:
        raise BadInput(f"Fold {', '.join(missing)} of {chosen} is not finished yet. Resume crossvalidate first.")
    runs = [Run.open(plan.folder(chosen, fold) / "run") for fold in range(1, len(plan.folds) + 1)]
    return write_ensemble_of_folds(out, runs, changes | {"performance": performance_of_recipe(plan, chosen)})


def _export_run(folder: Path, out: Path, which: str, measured: Measured, changes: dict[str, Any]) -> Bundle:
    """Export the model of one run as a bundle."""
    from .training.export import trained_weights, write_bundle

    run = Run.open(folder)
    weights, epoch, system = trained_weights(run, which)
    changes |= _entries(weights, measured)
    return write_bundle(out, run, system, which, weights, epoch, changes)


def _export_ensemble(
    members: Sequence[Path],
    out: Path,
    which: str,
    measured: Measured,
    changes: dict[str, Any],
) -> Bundle:
    """Export runs and bundles as one bundle."""
    from .training.export import join_members

    if len(members) < 2:
        raise BadInput("An ensemble needs at least two models.")
    description, weights = join_members([Bundle.open(bundle_of(Path(path), which)) for path in members])
    return save_bundle(out, description | changes | _entries(weights, measured), weights)


def _entries(weights: Mapping[str, Any], measured: Measured, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Entries of the description from evaluations of these weights; before: the description that they replace."""
    from .reporting.card import (
        calibration_of,
        images_of_evaluations,
        myelin_regression,
        on_other_cohorts,
        performance_of,
        without_results_of,
    )

    weights_sha256 = sha256(encode_weights(dict(weights))).hexdigest()
    before = before or {}
    entries: dict[str, Any] = {}
    images = dict(before.get(FITTED_IMAGES, {}))
    if measured.calibration:
        fitted_to = calibration_of(Path(measured.calibration), weights_sha256)
        entries |= fitted_to
        images |= dict.fromkeys(fitted_to, images_of_evaluations([Path(measured.calibration)]))
    if measured.myelin:
        folders = [Path(folder) for folder in measured.myelin]
        entries |= myelin_regression(folders, weights_sha256)
        images["myelin"] = images_of_evaluations(folders)
    if any(images.values()):
        entries[FITTED_IMAGES] = images
    fitted, old = fitted_sha256({**before, **entries}), fitted_sha256(before)
    if measured.evaluation:
        first, *others = [Path(folder) for folder in measured.evaluation]
        further = on_other_cohorts(others, weights_sha256, fitted)
        entries["performance"] = performance_of(first, weights_sha256, fitted) | further
    elif fitted != old and "performance" in before:
        replaced = [kind for kind in fitted if fitted[kind] != old[kind]]
        entries["performance"] = without_results_of(before["performance"], replaced)
    return entries


main = command(
    export,
    done=lambda bundle: f"Exported {bundle.description['name']}: {bundle.path}",
    exclusive=[("run", "bundle", "crossvalidation", "ensemble")],
    required=("run", "bundle", "crossvalidation", "ensemble"),
)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
