"""The files of an evaluation: summary.json, tables as CSV, figures as PNG, and report.html that holds them all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, SIMULATED
from ..data.case import title_of
from ..evaluation.calibration import calibration, calibration_figure, errors_by_spread, in_words
from ..evaluation.conformal import calibrate_intervals
from ..evaluation.summary import Row, differences, levels, summarise
from ..runtime.files import write_json, write_text
from . import figures, slice_figures
from .document import SIMULATED_BANNER, Report, png_bytes
from .lesion_tables import CAPTION, ceiling_rows, geometry_sentence, interval_rows, knowledge_rows, volume_rows

SUMMARY = "summary.json"
SOULIER = (
    "Soulier et al. 2024 report r = 0.70 at lesion level (528 lesions) and 0.74 at patient level for curricular "
    "training, 0.62 and 0.61 for anticurricular training, on 44 patients with measured PET. Other data: the figures "
    "here are not directly comparable with these."
)
WEI = (
    "Wei et al. 2018 give no correlation: they report a Dice of 0.83 between measured and predicted demyelination maps "
    "of 18 patients, which `crossvalidate` measures. Other data: figures from here cannot equal theirs."
)
METHODS = (
    "Lesion level: mean DVR of each lesion (26-neighbourhood) of at least the given volume, all visits pooled. Patient "
    "level: mean over the same lesions of a person, weighted by volume. Intervals: patients drawn with "
    "replacement, 5000 times (percentiles). The p value takes lesions as independent and is therefore too small where "
    "lesions of one patient resemble each other; that of a difference comes from the paired replicates. Noise ceiling: "
    "the correlation of the noise-free truth, which only a digital patient has, with the measured DVR of the same "
    "lesions.\n\n"
    "MAE, PSNR and SSIM count voxels inside the brain or inside lesions alone; PSNR and SSIM take a range of 1.5 DVR, "
    "SSIM a 3D Gaussian window of SD 1.5 voxels (Wang et al. 2004). NAWM is white matter without lesions at "
    "least 2 mm from other tissue. "
    "Bland-Altman: mean of synthetic minus measured, and 1.96 SD on both sides. Slope: least-squares line of synthetic "
    "on measured DVR of lesions; below 1, differences between lesions come out smaller than measured. Not estimable: "
    "fewer than three points, no spread, or for an interval fewer than five patients."
)


@dataclass
class Results:
    """What one model gave: rows of visits and lesions (see `cases.evaluate_case`), and slices of every visit."""

    visits: list[Row] = field(default_factory=list)
    lesions: list[Row] = field(default_factory=list)
    slices: list[slice_figures.Slices] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """What a reader must know: the cohort, whether anything is simulated, the models' facts, and warnings."""

    cohort: str
    cohort_simulated: bool
    models: dict[str, dict[str, Any]]
    warnings: list[str]
    seed: int
    minimum_mm3: float
    ceilings: Mapping[str, Any] | None = None  # of data.ceilings, where the cohort is simulated


def write_evaluation(folder: Path, results: Mapping[str, Results], facts: Facts) -> dict[str, Any]:
    """Write every file of an evaluation into an existing folder; returns what summary.json says.

    results: model name -> its rows, the first one being what the others are compared with.
    """
    names = list(results)
    summaries = {
        name: summarise(found.visits, found.lesions, facts.seed, facts.minimum_mm3) | calibrated(found, facts)
        for name, found in results.items()
    }
    against = {
        name: differences(results[names[0]].lesions, results[name].lesions, facts.seed, facts.minimum_mm3)
        for name in names[1:]
    }
    content = {
        "note": RESEARCH_USE,
        "simulated_data": facts.cohort_simulated,
        "cohort": facts.cohort,
        "warnings": facts.warnings,
        "bootstrap_seed": facts.seed,
        "models": {name: facts.models[name] | summaries[name] for name in names},
        "differences_to_first": against,
        "ceilings": facts.ceilings,
    }
    write_json(folder / SUMMARY, content)
    write_csv(folder / "models.csv", model_rows(summaries))
    for kind in ("visits", "lesions"):
        rows = [{"model": name} | row for name in names for row in getattr(results[name], kind)]
        write_csv(folder / f"{kind}.csv", rows)
    write_csv(folder / "groups.csv", [{"model": n} | row for n in names for row in summaries[n]["groups"]])
    build_report(folder, results, summaries, against, facts).write(folder / "report.html")
    return content


def calibrated(result: Results, facts: Facts) -> Row:
    """What `export --calibration` takes: interval widths by lesion volume, and `uncertainty` where it was asked for."""
    fitted = {"intervals_fitted": calibrate_intervals(result.lesions)}
    found = calibration(result.lesions, facts.seed, facts.minimum_mm3)
    if found is None:
        return fitted
    return fitted | {
        "uncertainty": found | {"fitted": errors_by_spread(result.lesions, result.visits, facts.minimum_mm3)}
    }


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV with a header of all their keys; what is not estimable is `n/a`, as in BIDS tables."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["n/a" if row.get(key) is None else row[key] for key in columns])
    write_text(path, table.getvalue())


def model_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """One row per model with plain numbers: correlations, intervals, shares of the ceiling, image measures."""
    rows = []
    for name, summary in summaries.items():
        row: Row = {"model": name, "visits": summary["visits"], "people": summary["people"]}
        for level in ("lesion", "visit", "patient"):
            found = summary[level]
            for key in (
                "n",
                "r",
                "r_low",
                "r_high",
                "p",
                "r_ceiling",
                "share_of_ceiling",
                "share_low",
                "share_high",
                "mae",
            ):
                row[f"{level}_{key}"] = found[key]
            for key in ("bias", "lower_limit", "upper_limit", "slope"):
                row[f"{level}_{key}"] = found["bland_altman"][key]
        for title, found in (
            ("myelin", summary["myelin"]["lesion"]["synthetic"]),
            ("given_geometry", summary["geometry"]["partial"]),
        ):
            row |= {f"{title}_{key}": found[key] for key in ("r", "r_low", "r_high")}
        for key in ("difference", "low", "high"):
            row[f"beyond_geometry_{key}"] = summary["geometry"]["difference"][key]
        for measure, values in summary["images"].items():
            row |= {measure: values["mean"], f"{measure}_sd": values["sd"]}
        rows.append(row)
    return rows


def build_report(
    folder: Path, results: Mapping[str, Results], summaries: Mapping[str, Row], against: Mapping[str, Row], facts: Facts
) -> Report:
    """The page; every figure in it also goes to `folder/figures` as PNG."""
    banners = [SIMULATED_BANNER] if facts.cohort_simulated else []
    learnt = [name for name, about in facts.models.items() if about["simulated_training_data"]]
    if learnt:
        banners.append(f"{SIMULATED}: {', '.join(learnt)}.")
    report = Report("Synthetic against measured DVR", banners)
    first = next(iter(results))
    one = summaries[first]
    report.add_text(
        f"Cohort {facts.cohort}: {one['people']} people, {one['visits']} visits, {one['lesions']} lesions, of which "
        f"{one['lesions_in_correlation']} have at least {facts.minimum_mm3:g} mm3 and count at lesion level."
    )
    for warning in facts.warnings:
        report.add_text(f"Note: {warning}")
    for name, summary in summaries.items():
        report.add_text(geometry_sentence(name, summary))
    report.add_heading("Models")
    report.add_table(_correlation_rows(summaries), caption="Pearson r of measured and synthetic DVR, 95 % by patient")
    if against:
        report.add_table(_difference_rows(against, first), caption=f"Paired difference of r to {first}, by patient")
        _picture(report, folder, "models", figures.models_figure(summaries), _MODELS_CAPTION, _models_alt(summaries))
    report.add_table(knowledge_rows(summaries), caption=CAPTION)
    if facts.ceilings:
        caption = "How well lesions of this simulated cohort can be predicted at all, cross-validated by person"
        report.add_table(ceiling_rows(facts.ceilings["rows"]), caption=caption)
    report.add_table(_agreement_rows(summaries), caption="Agreement: synthetic minus measured mean DVR")
    report.add_table(_image_rows(summaries), caption="Voxel by voxel: mean (SD over visits); MAE in DVR")
    for name, result in results.items():
        _model_section(report, folder, name, result, summaries[name], facts, whole=name == first)
    report.add_heading("How to read this").add_text(papers(facts) + "\n\n" + METHODS)
    return report


def papers(facts: Facts) -> str:
    """What the papers of the models' systems report."""
    of_wei = [about["system"] in ("sketcher_refiner", "two_layer_dnn") for about in facts.models.values()]
    return "\n\n".join(([] if all(of_wei) else [SOULIER]) + ([WEI] if any(of_wei) else []))


_MODELS_CAPTION = "Pearson r of every model with its 95 % interval by patient. Dashed: the noise ceiling."


def _model_section(
    report: Report, folder: Path, name: str, result: Results, summary: Row, facts: Facts, whole: bool
) -> None:
    points = levels(result.lesions, facts.minimum_mm3)
    report.add_heading(name).add_text(facts.models[name]["description"])
    slug = "".join(letter if letter.isalnum() else "-" for letter in name)
    r = {level: figures.number(summary[level]["r"]) for level in ("lesion", "patient")}
    alt = f"Scatter plots of {name}: r = {r['lesion']} at lesion level, {r['patient']} at patient level."
    caption = "Synthetic against measured mean DVR, one point per lesion (left) and per person (right)."
    _picture(report, folder, f"agreement-{slug}", figures.agreement_figure(points, summary), caption, alt)
    bias = figures.number(summary["lesion"]["bland_altman"]["bias"], "{:+.3f}")
    alt = f"Bland-Altman plots of {name}: bias {bias} DVR at lesion level."
    caption = "Difference of synthetic and measured DVR against their mean; bias (solid) and 95 % limits (dashed)."
    _picture(report, folder, f"bland-altman-{slug}", figures.bland_altman_figure(points, summary), caption, alt)
    if whole or len(facts.models) <= 4:
        alt = f"Box plots of mean DVR in lesions, NAWM and grey matter of {name}; the numbers follow in the table."
        caption = "Mean DVR by tissue and group; one point per visit."
        _picture(report, folder, f"groups-{slug}", figures.groups_figure(result.visits), caption, alt)
        report.add_table(_group_rows(summary["groups"]), caption="Mean DVR (SD over visits)")
    report.add_table(volume_rows(summary), caption="By lesion volume, 95 % by patient")
    if summary["intervals"]:
        caption = "95 % prediction intervals by lesion volume; inside: share of the lesions, 95 % by patient"
        report.add_table(interval_rows(summary), caption=caption)
    sure = summary.get("uncertainty")
    if sure is not None:
        report.add_text(in_words(sure))
        caption = "One point per lesion; large points: thirds by uncertainty; grey: error as large as the uncertainty."
        picture = calibration_figure(result.lesions, sure)
        _picture(report, folder, f"calibration-{slug}", picture, caption, "Absolute error against uncertainty")
    if result.slices:
        chosen = [result.slices[index] for index in example_visits(result.visits)]
        low, high = figures.DVR_WINDOW
        caption = (
            "From the smallest to the largest error of the mean lesional DVR, one visit a row, at the level with most "
            f"lesional voxels (outlined). DVR window {low} to {high}; the patient's right is on the left."
        )
        seen = ", ".join(title_of(one) for one in chosen[0].inputs)
        alt = f"Axial slices of {len(chosen)} visits: {seen}, measured DVR, synthetic DVR of {name}, and difference."
        _picture(report, folder, f"slices-{slug}", slice_figures.slices_figure(chosen), caption, alt)


def example_visits(visits: Sequence[Row]) -> list[int]:
    """Indices of the visits with the smallest, the median and the largest error of mean lesional DVR.

    The first three where no visit has lesions; fewer than three where there are fewer.
    """
    errors = [
        (abs(v["synthetic_lesion"] - v["measured_lesion"]), i)
        for i, v in enumerate(visits)
        if v["synthetic_lesion"] is not None and v["measured_lesion"] is not None
    ]
    if not errors:
        return list(range(min(3, len(visits))))
    order = [index for _, index in sorted(errors)]
    return list(dict.fromkeys([order[0], order[len(order) // 2], order[-1]]))


def _picture(report: Report, folder: Path, name: str, figure: Any, caption: str, alt: str) -> None:
    content = png_bytes(figure)
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / f"{name}.png").write_bytes(content)
    report.add_figure(content, caption, alt)


def _correlation_rows(summaries: Mapping[str, Row]) -> list[Row]:
    rows = []
    for name, summary in summaries.items():
        row: Row = {"model": name}
        for level in ("lesion", "patient"):
            found = summary[level]
            row[f"{level} r"] = figures.with_interval(found["r"], found["r_low"], found["r_high"])
            row[f"{level} p"] = figures.p_value(found["p"]).removeprefix("p = ").removeprefix("p ")
            row[f"{level} noise ceiling"] = figures.number(found["r_ceiling"])
            share = found["share_of_ceiling"], found["share_low"], found["share_high"]
            row[f"{level} share of ceiling"] = figures.with_interval(*share, "{:.0%}")
        rows.append(row)
    return rows


def _agreement_rows(summaries: Mapping[str, Row]) -> list[Row]:
    rows = []
    for name, summary in summaries.items():
        for level in ("lesion", "patient"):
            found = summary[level]["bland_altman"]
            limits = [figures.number(found[key], "{:+.3f}") for key in ("lower_limit", "upper_limit")]
            rows.append(
                {
                    "model": name,
                    "level": level,
                    "points": found["n"],
                    "bias": figures.with_interval(found["bias"], found["bias_low"], found["bias_high"], "{:+.3f}"),
                    "95 % limits": limits[0] if found["sd"] is None else " to ".join(limits),
                    "mean absolute error": figures.number(summary[level]["mae"], "{:.3f}"),
                    "slope": figures.number(found["slope"]),
                }
            )
    return rows


def _image_rows(summaries: Mapping[str, Row]) -> list[Row]:
    rows = []
    for name, summary in summaries.items():
        row: Row = {"model": name}
        for measure, title, form in _IMAGE_COLUMNS:
            found = summary["images"][measure]
            spread = "" if found["sd"] is None else f" ({form.format(found['sd'])})"
            row[title] = figures.number(found["mean"], form) + spread
        rows.append(row)
    return rows


_IMAGE_COLUMNS = (
    ("mae_brain", "MAE brain", "{:.3f}"),
    ("psnr_brain", "PSNR brain (dB)", "{:.1f}"),
    ("ssim_brain", "SSIM brain", "{:.3f}"),
    ("mae_lesions", "MAE lesions", "{:.3f}"),
    ("psnr_lesions", "PSNR lesions (dB)", "{:.1f}"),
    ("ssim_lesions", "SSIM lesions", "{:.3f}"),
)


def _difference_rows(against: Mapping[str, Row], first: str) -> list[Row]:
    rows = []
    for name, found in against.items():
        row: Row = {"model": f"{name} \N{MINUS SIGN} {first}"}
        for level in ("lesion", "patient"):
            one = found[level]
            row[f"{level} level"] = figures.with_interval(one["difference"], one["low"], one["high"], "{:+.3f}")
            row[f"{level} p"] = figures.p_value(one["p"]).removeprefix("p = ").removeprefix("p ")
        for key, title, form in _MORE_DIFFERENCES:
            gap = found[key]
            row[title] = figures.with_interval(gap["difference"], gap["low"], gap["high"], form)
        rows.append(row)
    return rows


_MORE_DIFFERENCES = (
    ("partial", "r given geometry", "{:+.3f}"),
    ("myelin", "r, true myelin", "{:+.3f}"),
    ("mae", "MAE in lesions", "{:+.4f}"),
)


def _group_rows(groups: Sequence[Row]) -> list[Row]:
    rows = []
    for group in groups:
        row = {
            "group": group["group"],
            "tissue": figures.tissue_title(group["tissue"], group["group"]),
            "visits": group["n"],
        }
        for kind, title in (("measured", "measured"), ("synthetic", "synthetic"), ("clean", "noise-free truth")):
            mean, sd = group[f"{kind}_mean"], group[f"{kind}_sd"]
            row[title] = figures.number(mean, "{:.3f}") + ("" if sd is None else f" ({sd:.3f})")
        rows.append(row)
    return rows


def _models_alt(summaries: Mapping[str, Row]) -> str:
    parts = [
        f"{name}: lesion level {figures.number(s['lesion']['r'])}, patient level {figures.number(s['patient']['r'])}"
        for name, s in summaries.items()
    ]
    return "Correlation of every model. " + "; ".join(parts) + "."
