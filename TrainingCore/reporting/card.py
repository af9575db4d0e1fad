"""Measured performance for the model card, from the summary that `evaluate` wrote."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.model_card import BETTER
from ..data.table_text import is_empty
from ..evaluation.lesion_myelin import FEATURES, TRUTH, fit_myelin
from ..evaluation.tasks import TASKS
from ..imaging.fingerprints import joined
from ..runtime.errors import BadInput
from ..runtime.files import read_json
from ..runtime.numerals import MISSING, VERDICT
from .figures import number_text, with_interval
from .result_tables import printed

NUMBERS = {*FEATURES, TRUTH, "volume_mm3"}  # columns of lesions.csv that are read
NOT_IN_SAMPLE = {"--calibration": "Calibrate", "--myelin": "Fit the estimate"}  # options that need new people
COVERAGE = "measured DVR in its 95 % interval, by volume (mm3)"
Fitted = Mapping[str, str | None]  # `bundle.fitted_sha256`
MYELIN = {
    "synthetic": "",
    "corrected": ", corrected for blur",
    "estimated": ", estimated from T1w, FLAIR and map",
    "t1w": ", T1w contrast alone",
}


def performance_of(evaluation: Path, weights_sha256: str, fitted: Fitted) -> dict[str, str]:
    """Read the performance of a model from an evaluation.

    Args:
        evaluation: folder written by evaluate.
        weights_sha256: SHA-256 of the weights of the model.
        fitted: `bundle.fitted_sha256` of the bundle that the card is for; results of other intervals or of another
            estimate of myelin loss are left out.

    Returns:
        Card entries: title and formatted value.

    Raises:
        BadInput: the folder is no evaluation, or it evaluated other weights.
    """
    measured_on, summary = measured_model(evaluation, weights_sha256, "--evaluation")
    measures = TASKS[summary["task"]].measures
    images = {measure.title: printed(measure, summary["measures"][measure.key]) for measure in measures}
    return {"measured on": measured_on, **performance_in_lesions(_with(summary, fitted)), **images}


def performance_in_lesions(summary: Mapping[str, Any]) -> dict[str, str]:
    """Describe how a model of DVR maps does in lesions.

    Args:
        summary: summary of a model.

    Returns:
        Card entries on both levels, true myelin, the comparison with geometry and errors; none for other models.
    """
    if "lesion" not in summary:
        return {}
    levels = {f"{level} level Pearson r": _correlation(summary[level]) for level in ("lesion", "patient")}
    return levels | _performance_beyond_geometry(summary) | _errors(summary)


def on_other_cohorts(evaluations: Sequence[Path], weights_sha256: str, fitted: Fitted) -> dict[str, str]:
    """Read the main results of a model on further cohorts, in one line each.

    Args:
        evaluations: folders written by evaluate for a model of DVR maps.
        weights_sha256: SHA-256 of the weights of the model.
        fitted: as `performance_of`.

    Returns:
        Card entries: the cohort, and in short r, comparison with geometry, r with true myelin, error and bias.

    Raises:
        BadInput: as `performance_of`, or the model makes no DVR map.
    """
    entries = {}
    for evaluation in evaluations:
        measured_on, summary = measured_model(evaluation, weights_sha256, "--evaluation")
        if "lesion" not in summary:
            raise BadInput(f"{evaluation} holds no lesion DVR. For such a model give one --evaluation.")
        entries[f"also on a {measured_on}"] = "; ".join(_in_short(_with(summary, fitted)))
    return entries


def without_results_of(performance: Mapping[str, str], replaced: Sequence[str]) -> dict[str, str]:
    """Leave out of a card what was measured with intervals or an estimate that the bundle no longer has.

    Args:
        performance: card entries.
        replaced: intervals, myelin.

    Returns:
        The other entries.
    """
    gone = {"intervals": COVERAGE, "myelin": f"r with true myelin of lesions{MYELIN['estimated']}"}
    dropped = {gone[kind] for kind in replaced}
    kept = {key: value for key, value in performance.items() if key not in dropped}
    if "myelin" not in replaced:
        return kept
    start = f"true myelin{MYELIN['estimated']}"
    return {
        key: "; ".join(part for part in str(value).split("; ") if not part.startswith(start))
        for key, value in kept.items()
    }


def _with(summary: Mapping[str, Any], fitted: Fitted) -> Mapping[str, Any]:
    """The summary without what was measured with other intervals or another estimate than the fitted ones."""
    known = summary.get("fitted_sha256") or {}
    changed: dict[str, Any] = {}
    if known.get("intervals") != fitted["intervals"]:
        changed["intervals"] = None
    if known.get("myelin") != fitted["myelin"] and "myelin" in summary:
        lesion = summary["myelin"]["lesion"] | {"estimated": {"r": None}}
        changed["myelin"] = summary["myelin"] | {"lesion": lesion}
    return {**summary, **changed}


def _in_short(summary: Mapping[str, Any]) -> Iterator[str]:
    """Main results of a model in lesions, for one line."""
    lesion, gap = summary["lesion"], summary["geometry"]["difference"]
    difference = with_interval(gap["difference"], gap["low"], gap["high"], "{:+.2f}")
    yield f"r {with_interval(lesion['r'], lesion['r_low'], lesion['r_high'])}"
    yield f"{BETTER}: {VERDICT[summary['geometry']['beats']]} ({difference})"
    partial = summary["geometry"]["partial"]
    yield f"beyond size and location {with_interval(partial['r'], partial['r_low'], partial['r_high'])}"
    for kind, words in MYELIN.items():
        known = summary["myelin"]["lesion"].get(kind) or {"r": None}
        if known["r"] is not None:
            yield f"true myelin{words} {with_interval(known['r'], known['r_low'], known['r_high'])}"
    yield f"MAE {number_text(lesion['mae'], '{:.3f}')}, bias {number_text(lesion['bland_altman']['bias'], '{:+.3f}')}"


def _errors(summary: Mapping[str, Any]) -> dict[str, str]:
    """Card entries on the errors of lesions, and by volume r and how many are in their interval."""
    lesion, bias = summary["lesion"], summary["lesion"]["bland_altman"]
    by_volume = [f"{row['volume']}: {number_text(row['r'])}" for row in summary["by_volume"]]
    inside = [f"{row['volume']}: {row['coverage']:.0%}" for row in summary.get("intervals") or ()]
    covered = {COVERAGE: ", ".join(inside)} if inside else {}
    return {
        "mean absolute error of lesion DVR": with_interval(
            lesion["mae"], lesion["mae_low"], lesion["mae_high"], "{:.3f}"
        ),
        "bias of lesion DVR": with_interval(bias["bias"], bias["bias_low"], bias["bias_high"], "{:+.3f}"),
        "lesion r by volume (mm3)": ", ".join(by_volume),
        **covered,
    }


def _performance_beyond_geometry(summary: Mapping[str, Any]) -> dict[str, str]:
    """Card entries on true myelin and on the comparison with geometry; a model that does not beat geometry says so."""
    geometry, myelin = summary["geometry"], summary["myelin"]["lesion"]
    gap, partial = geometry["difference"], geometry["partial"]
    entries = {}
    for kind, words in MYELIN.items():
        known = myelin.get(kind) or {"r": None}  # evaluations before the correction have none
        if known["r"] is not None:
            interval = with_interval(known["r"], known["r_low"], known["r_high"])
            entries[f"r with true myelin of lesions{words}"] = interval
    entries["lesion r beyond size and location"] = with_interval(partial["r"], partial["r_low"], partial["r_high"])
    difference = with_interval(gap["difference"], gap["low"], gap["high"], "{:+.3f}")
    entries["better than a regression on lesion size and location alone"] = (
        f"{VERDICT[geometry['beats']]} (lesion r differs by {difference})"
    )
    return entries


def calibration_of(evaluation: Path, weights_sha256: str) -> dict[str, Any]:
    """Read the calibration of a model from an evaluation on people not used for training.

    Args:
        evaluation: folder written by evaluate.
        weights_sha256: SHA-256 of the weights of the model.

    Returns:
        Bundle entries `intervals` and, if it was measured, `uncertainty`.

    Raises:
        BadInput: the evaluation measured neither.
    """
    measured_on, summary = measured_model(evaluation, weights_sha256, "--calibration")
    fitted = {
        "intervals": summary.get("intervals_fitted"),
        "uncertainty": (summary.get("uncertainty") or {}).get("fitted"),
    }
    calibration = {key: {**errors, "measured on": measured_on} for key, errors in fitted.items() if errors is not None}
    if not calibration:
        raise BadInput(
            f"{evaluation} has too few lesions for calibration. Run evaluate on at least five people with twenty "
            "lesions or more, and with --uncertainty for the uncertainty map."
        )
    return calibration


def myelin_regression(evaluations: Sequence[Path], weights_sha256: str) -> dict[str, Any]:
    """Fit the estimate of a lesion's myelin loss to evaluations of simulated people.

    Args:
        evaluations: folders written by evaluate.
        weights_sha256: SHA-256 of the weights of the model.

    Returns:
        Bundle entry `myelin`, see `lesion_myelin.fit_myelin`.

    Raises:
        BadInput: an evaluation is of other weights or of people the model was trained on, or there are too few lesions.
    """
    rows: list[dict[str, Any]] = []
    measured_on = []
    for number, evaluation in enumerate(evaluations):
        content, name = _evaluated(evaluation, weights_sha256, "--myelin")
        measured_on.append(_in_words(evaluation, content, name, "--myelin"))
        rows += [row | {"person": f"{number} {row['person']}"} for row in _lesions_of(evaluation, name)]
    return {"myelin": fit_myelin(rows) | {"measured on": "; ".join(measured_on)}}


def images_of_evaluations(evaluations: Sequence[Path]) -> dict[str, list[str]]:
    """Read which images evaluations were made with.

    Args:
        evaluations: folders written by evaluate.

    Returns:
        {volume: fingerprints}; empty for evaluations by earlier versions.
    """
    return joined([read_json(folder / "summary.json").get("images", {}) for folder in evaluations])


def _lesions_of(evaluation: Path, name: str) -> list[dict[str, Any]]:
    """Lesions of one model of an evaluation; cells that are no numbers stay text, empty ones are None."""
    path = evaluation / "lesions.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == name]
    return [{key: _number(cell) if key in NUMBERS else cell for key, cell in row.items()} for row in rows]


def _number(cell: str) -> float | None:
    return None if is_empty(cell) else float(cell)


def measured_model(evaluation: Path, weights_sha256: str, option: str) -> tuple[str, dict[str, Any]]:
    """Find a model in an evaluation by its weights.

    Args:
        evaluation: folder written by evaluate.
        weights_sha256: SHA-256 of the weights of the model.
        option: command-line option of the evaluation, for messages.

    Returns:
        Description of the cohort, and summary of the model.

    Raises:
        BadInput: the folder is no evaluation or evaluated other weights; for --calibration and --myelin also if the
            model was trained on these people.
    """
    content, name = _evaluated(evaluation, weights_sha256, option)
    return _in_words(evaluation, content, name, option), content["models"][name]


def _evaluated(evaluation: Path, weights_sha256: str, option: str) -> tuple[dict[str, Any], str]:
    """Summary of an evaluation, and the name that the model has in it; raises BadInput as `measured_model`."""
    content = read_json(evaluation / "summary.json")
    if not isinstance(content, dict) or "models" not in content:
        raise BadInput(f"{evaluation} was not written by evaluate. Leave out {option}, or give the --out of evaluate.")
    same = [name for name, model in content["models"].items() if model["weights_sha256"] == weights_sha256]
    if not same:
        raise BadInput(f"{evaluation} did not evaluate these weights. Export, evaluate that bundle, then export again.")
    return content, same[0]


def _in_words(evaluation: Path, content: Mapping[str, Any], name: str, option: str) -> str:
    """Description of the cohort; raises BadInput as `measured_model`."""
    summary = content["models"][name]
    kind = "simulated cohort" if content["simulated_data"] else "cohort"
    text = f"{kind}, {summary['people']} people, {summary['visits']} visits"
    if summary.get("sites"):
        text += f" of site {', '.join(summary['sites'])}"
    if "minimum_mm3" in summary:
        text += f", {summary['lesions_in_correlation']} lesions of at least {summary['minimum_mm3']:g} mm3"
    shapes = summary.get("lesion_shapes", [])
    if "real" in shapes:
        text += " with the shapes of real lesion masks" if shapes == ["real"] else ", some with shapes of real masks"
    warnings = content.get("warnings", [])
    in_sample = [note for note in warnings if note.startswith(f"{name} was trained on")]
    if in_sample and option in NOT_IN_SAMPLE:
        raise BadInput(f"{evaluation}: {in_sample[0]} {NOT_IN_SAMPLE[option]} on other people.")
    fitted = [note for note in warnings if note.startswith(f"{name} has intervals") and option not in NOT_IN_SAMPLE]
    return " ".join([f"{text}.", *in_sample, *fitted]) if in_sample or fitted else text


def _correlation(level: dict[str, Any]) -> str:
    if level["r"] is None:
        return MISSING
    text = f"{level['r']:.2f}"
    if level["r_low"] is not None:
        text += f" (95 % interval by patient {level['r_low']:.2f} to {level['r_high']:.2f})"
    if level["r_ceiling"] is not None:
        text += f", {level['share_of_ceiling']:.0%} of the noise ceiling {level['r_ceiling']:.2f}"
    return text
