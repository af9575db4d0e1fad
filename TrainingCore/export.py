"""Turn a run into a bundle to share: python -m TrainingCore.export --run RUN --evaluation DIR --out BUNDLE."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from .data.bundle import DESCRIPTION, encode_weights
from .data.run import Run
from .reporting.figures import with_interval
from .runtime.cli import parser, run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable, read_json


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "export",
        "Write the model of a run, or all folds of a cross-validation as one ensemble, as a bundle with its licence "
        "and its measured performance. A run that is not finished gives the best epoch so far.",
        "python -m TrainingCore.export --run runs/first --evaluation results --licence CC-BY-4.0 --out model",
    )
    which = options.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=Path, help="folder of a training run")
    which.add_argument(
        "--crossvalidation", type=Path, help="folder written by crossvalidate: all its folds as one ensemble"
    )
    options.add_argument("--recipe", default="", help="which recipe of the cross-validation (default: the first)")
    options.add_argument("--which", choices=("best", "last"), default="best", help="epoch to take (default: best)")
    options.add_argument(
        "--evaluation", type=Path, help="folder written by evaluate for this model: its measured performance"
    )
    options.add_argument(
        "--calibration",
        type=Path,
        help="folder written by evaluate on people that were neither used for training nor for the other evaluations: "
        "lesions get 95 %% intervals and, after evaluate --uncertainty, uncertainties become expected errors",
    )
    options.add_argument("--name", help="what to call the model (default: the recipe's description)")
    options.add_argument(
        "--licence", default="not stated", help="licence of the weights, e.g. Apache-2.0 (default: not stated)"
    )
    options.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Read the run or the folds, collect what was measured, write the bundle."""
    options = arguments().parse_args(argv)
    check_replaceable(options.out, DESCRIPTION)
    return export_run(options) if options.run else export_ensemble(options)


def export_ensemble(options: argparse.Namespace) -> int:
    """Write the folds of a cross-validation as one bundle, with its out-of-fold measures."""
    from .experiments.crossvalidation import Plan
    from .reporting.experiment_pages import performance_of_recipe
    from .training.export import write_ensemble

    if options.evaluation or options.calibration or options.which != "best":
        raise BadInput("--crossvalidation brings its own evaluation and takes best epochs: leave out the others.")
    plan = Plan.open(options.crossvalidation)
    name = options.recipe or next(iter(plan.recipes))
    if name not in plan.recipes:
        raise BadInput(f"{plan.path} has no recipe {name!r}. It has: {', '.join(plan.recipes)}.")
    missing = [str(fold) for one, fold in plan.missing() if one == name]
    if missing:
        raise BadInput(f"Fold {', '.join(missing)} of {name} is not finished yet. Go on with crossvalidate first.")
    runs = [Run.open(plan.folder(name, fold) / "run") for fold in range(1, len(plan.folds) + 1)]
    changes = {"licence": options.licence, "performance": performance_of_recipe(plan, name)}
    if options.name:
        changes["name"] = options.name
    write_ensemble(options.out, runs, changes)
    print(f"Exported {len(runs)} folds as one ensemble: {options.out}")
    return 0


def export_run(options: argparse.Namespace) -> int:
    """Write one run's model as a bundle."""
    from .training.export import trained_weights, write_bundle

    run = Run.open(options.run)

    weights, epoch, system = trained_weights(run, options.which)
    changes: dict[str, Any] = {"licence": options.licence}
    if options.name:
        changes["name"] = options.name
    weights_sha256 = sha256(encode_weights(weights)).hexdigest()
    if options.evaluation:
        changes["performance"] = performance_of(options.evaluation, weights_sha256)
    if options.calibration:
        changes |= calibration_of(options.calibration, weights_sha256)
    write_bundle(options.out, run, system, options.which, weights, epoch, changes)
    print(f"Exported epoch {epoch.get('epoch')}: {options.out}")
    return 0


def performance_of(evaluation: Path, weights_sha256: str) -> dict[str, str]:
    """What an evaluation measured of the weights with this hash; raises BadInput where it measured others."""
    measured_on, model = measured_model(evaluation, weights_sha256, "--evaluation")
    measured = {"measured on": measured_on}
    if "measures" in model:
        from .evaluation.tasks import TASKS
        from .reporting.experiment_pages import printed

        return measured | {one.title: printed(one, model["measures"][one.key]) for one in TASKS[model["task"]].measures}
    for level in ("lesion", "patient"):
        measured[f"{level} level Pearson r"] = _correlation(model[level])
    measured |= beyond_size_and_place(model)
    for key, what in (
        ("mae_brain", "MAE in the brain (DVR)"),
        ("mae_lesions", "MAE in lesions (DVR)"),
        ("psnr_brain", "PSNR in the brain (dB)"),
        ("ssim_brain", "SSIM in the brain"),
    ):
        if model["images"][key]["mean"] is not None:
            measured[what] = f"{model['images'][key]['mean']:.3f} (SD {model['images'][key]['sd'] or 0:.3f})"
    return measured


def beyond_size_and_place(model: dict[str, Any]) -> dict[str, str]:
    """What a card says of true myelin and of geometry; a model that does not beat geometry says so."""
    geometry, myelin = model["geometry"], model["myelin"]["lesion"]["synthetic"]
    gap, told = geometry["difference"], {}
    if myelin["r"] is not None:
        told["r with true myelin of lesions"] = with_interval(myelin["r"], myelin["r_low"], myelin["r_high"])
    partial = geometry["partial"]
    told["lesion r given geometry"] = with_interval(partial["r"], partial["r_low"], partial["r_high"])
    verdict = {True: "yes", False: "NO", None: "not estimable"}[geometry["beats"]]
    difference = with_interval(gap["difference"], gap["low"], gap["high"], "{:+.3f}")
    told["beats a regression on lesion size and place alone"] = f"{verdict} (lesion r differs by {difference})"
    return told


def measured_model(evaluation: Path, weights_sha256: str, option: str) -> tuple[str, dict[str, Any]]:
    """An evaluation's cohort in words, and what its summary says of the weights with this hash. Raises BadInput."""
    summary = read_json(evaluation / "summary.json")
    if not isinstance(summary, dict) or "models" not in summary:
        raise BadInput(f"{evaluation} was not written by evaluate. Leave out {option}, or give the --out of evaluate.")
    found = [(name, one) for name, one in summary["models"].items() if one["weights_sha256"] == weights_sha256]
    if not found:
        raise BadInput(f"{evaluation} did not evaluate these weights. Export, evaluate that bundle, then export again.")
    name, model = found[0]
    kind = "simulated cohort" if summary["simulated_data"] else "cohort"
    words = f"{kind}, {model['people']} people, {model['visits']} visits"
    if "minimum_mm3" in model:
        words += f", {model['lesions_in_correlation']} lesions of at least {model['minimum_mm3']:g} mm3"
    learnt = [note for note in summary.get("warnings", []) if note.startswith(f"{name} was trained on")]
    if learnt and option == "--calibration":
        raise BadInput(f"{evaluation}: {learnt[0]} Calibrate on others.")
    return f"{words}. {learnt[0]}" if learnt else words, model


def calibration_of(evaluation: Path, weights_sha256: str) -> dict[str, Any]:
    """What a bundle takes from an evaluation on other people: `intervals`, and `uncertainty` where it was measured.

    Raises BadInput where the evaluation measured neither.
    """
    measured_on, model = measured_model(evaluation, weights_sha256, "--calibration")
    fitted = {
        "intervals": model.get("intervals_fitted"),
        "uncertainty": (model.get("uncertainty") or {}).get("fitted"),
    }
    found = {key: {**one, "measured on": measured_on} for key, one in fitted.items() if one is not None}
    if not found:
        raise BadInput(
            f"{evaluation} measured too few lesions to calibrate from. Run evaluate on at least five people with "
            "twenty lesions or more, and with --uncertainty for the uncertainty map."
        )
    return found


def _correlation(level: dict[str, Any]) -> str:
    if level["r"] is None:
        return "not estimable"
    text = f"{level['r']:.2f}"
    if level["r_low"] is not None:
        text += f" (95 % interval by patient {level['r_low']:.2f} to {level['r_high']:.2f})"
    if level["r_ceiling"] is not None:
        text += f", {level['share_of_ceiling']:.0%} of the noise ceiling {level['r_ceiling']:.2f}"
    return text


if __name__ == "__main__":
    raise SystemExit(run_command(main))
