"""Report sections of DVR models: agreement with measured DVR, true myelin, geometry, tissues, errors."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.compared import ComparedModels
from ..evaluation.summary import levels
from ..evaluation.task import Row
from ..systems.registry import reported_for
from . import figures, plausibility_tables
from .calibration_pages import calibration_figure, calibration_in_words
from .document import Report
from .lesion_tables import (
    CAPTION,
    SHARES,
    agreement_rows,
    ceiling_rows,
    ceiling_sentence,
    correlation_rows,
    difference_rows,
    geometry_sentence,
    group_rows,
    interval_rows,
    knowledge_rows,
    loss_interval_rows,
    model_rows,
    models_alt,
    myelin_sentence,
    share_rows,
    volume_rows,
)

METHODS = (
    "Lesion level: mean DVR of each lesion (26-neighbourhood) of at least the given volume, all visits pooled. Patient "
    "level: mean over the same lesions of a person, weighted by volume. Intervals: bootstrap of patients, 5000 "
    "replicates, percentiles; simulated patients with the lesions of the same real mask count as one. "
    "The p value assumes independent lesions and is therefore too small if lesions of a "
    "patient resemble each other; the p value of a difference comes from the paired replicates. Noise ceiling: "
    "correlation of the noise-free truth, which is known for simulated patients only, with the measured DVR of the "
    "same lesions.\n\n"
    "MAE, PSNR and SSIM are computed over voxels inside the brain or inside lesions; PSNR and SSIM use a range of 1.5 "
    "DVR, SSIM a 3D Gaussian window of SD 1.5 voxels (Wang et al. 2004). NAWM is white matter without lesions at "
    "least 2 mm from other tissue. "
    "Bland-Altman: mean of synthetic minus measured DVR, plus and minus 1.96 SD. Slope: least-squares line of "
    "synthetic on measured DVR of lesions; below 1, the model underestimates differences between lesions. Not "
    "estimable: fewer than three points, no variance or, for an interval, fewer than five patients."
)

MODELS_CAPTION = "Pearson r of every model with its 95 % interval by patient. Dashed: the noise ceiling."
MAX_GROUP_FIGURES = 4  # with more models, only the first gets box plots


def dvr_section(report: Report, compared: ComparedModels) -> None:
    """Add tables and figures that compare all models, then a section per model.

    Args:
        report: report to extend.
        compared: results of all models.
    """
    summaries, first = compared.summaries, compared.first
    about = summaries[first]
    report.add_text(
        f"{about['lesions']} lesions, of which {about['lesions_in_correlation']} have at least "
        f"{compared.minimum_mm3:g} mm3 and are included below."
    )
    for name, summary in summaries.items():
        report.add_text(geometry_sentence(name, summary))
        report.add_text(myelin_sentence(name, summary))
    report.add_heading("Lesions and people")
    rows = correlation_rows(summaries) + _paper_rows(compared)
    report.add_table(rows, caption="Pearson r of measured and synthetic DVR, 95 % by patient", missing="–")
    gaps = {name: gap for name, gap in compared.gaps.items() if "lesion" in gap}
    if gaps:
        report.add_table(difference_rows(gaps, first), caption=f"Paired difference of r to {first}, by patient")
    if len(summaries) > 1:
        report.add_figure(figures.models_figure(summaries), MODELS_CAPTION, models_alt(summaries), "models")
    report.add_table(knowledge_rows(summaries), caption=CAPTION)
    if compared.ceilings:
        report.add_text(ceiling_sentence(compared.ceilings))
        if (compared.ceilings["information"] or {}).get("rows"):
            caption = "Information ceiling: out-of-sample Pearson r of regressions on increasing lesion information"
            report.add_table(ceiling_rows(compared.ceilings["information"]), caption=caption)
            shares = share_rows(summaries, compared.ceilings["information"])
            if shares:
                report.add_table(shares, caption=SHARES)
    report.add_table(agreement_rows(summaries), caption="Agreement: synthetic minus measured mean DVR")
    for name in summaries:
        _model_section(report, compared, name)
    report.add_heading("Methods").add_text(METHODS)


def _model_section(report: Report, compared: ComparedModels, name: str) -> None:
    summary, rows = compared.summaries[name], compared.rows[name]
    points = levels(rows["lesions"], compared.minimum_mm3)
    report.add_heading(name)
    slug = file_name(name)
    r = {level: figures.number_text(summary[level]["r"]) for level in ("lesion", "patient")}
    report.add_figure(
        figures.agreement_figure(points, summary),
        "Synthetic against measured mean DVR, one point per lesion (left) and per person (right).",
        f"Scatter plots of {name}: r = {r['lesion']} at lesion level, {r['patient']} at patient level.",
        f"agreement-{slug}",
    )
    bias = figures.number_text(summary["lesion"]["bland_altman"]["bias"], "{:+.3f}")
    report.add_figure(
        figures.bland_altman_figure(points, summary),
        "Difference of synthetic and measured DVR against their mean; bias (solid) and 95 % limits (dashed).",
        f"Bland-Altman plots of {name}: bias {bias} DVR at lesion level.",
        f"bland-altman-{slug}",
    )
    if name == compared.first or len(compared.rows) <= MAX_GROUP_FIGURES:
        report.add_figure(
            figures.groups_figure(rows["visits"]),
            "Mean DVR by tissue and group, one point per visit.",
            f"Box plots of mean DVR in lesions, NAWM and grey matter of {name}; the numbers follow in the table.",
            f"groups-{slug}",
        )
        report.add_table(group_rows(summary["groups"]), caption="Mean DVR (SD over visits)")
    plausible = plausibility_tables.compared_plausibility_rows(summary["plausibility"])
    if plausible:
        report.add_table(
            plausible, f"Plausibility, mean and number of maps in which it holds. {plausibility_tables.CAPTION}"
        )
    report.add_table(volume_rows(summary), caption="By lesion volume, 95 % by patient")
    if summary["intervals"]:
        caption = "95 % prediction intervals by lesion volume; inside: share of the lesions, 95 % by patient"
        report.add_table(interval_rows(summary["intervals"]), caption=caption)
        if summary["intervals_by_site"]:
            report.add_table(interval_rows(summary["intervals_by_site"]), caption="The same by site")
    if summary.get("loss_intervals"):
        caption = "95 % intervals of the estimated myelin loss (0 to 1) by lesion volume, 95 % by patient"
        report.add_table(loss_interval_rows(summary["loss_intervals"]), caption=caption)
    uncertainty = summary.get("uncertainty")
    if uncertainty is not None:
        report.add_text(calibration_in_words(uncertainty))
        report.add_figure(
            calibration_figure(rows["lesions"], uncertainty),
            "One point per lesion; large points: thirds by uncertainty; grey: error as large as the uncertainty.",
            "Absolute error against uncertainty",
            f"calibration-{slug}",
        )


def file_name(name: str) -> str:
    """Convert a model's name to a part of a file name.

    Args:
        name: name of the model.

    Returns:
        Letters and digits; `-` for everything else.
    """
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _paper_rows(compared: ComparedModels) -> list[Row]:
    """Correlations reported in the system's paper, one row per model of the paper."""
    papers = reported_for(compared.task.name).pooled
    names = dict.fromkeys(name for values in papers.values() for name in values)
    return [
        {"model": f"paper: {name}"}
        | {title.replace(" level", ""): values.get(name) for title, values in papers.items()}
        for name in names
    ]


def example_visits(visits: Sequence[Row]) -> list[int]:
    """Choose the visits with the smallest, the median and the largest error of mean lesional DVR.

    Args:
        visits: one row per visit.

    Returns:
        Up to three indices; the first visits if none has lesions.
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


def dvr_tables(compared: ComparedModels) -> dict[str, list[Row]]:
    """Make further tables of an evaluation, besides visits and lesions.

    Args:
        compared: results of all models.

    Returns:
        Rows by name of the CSV file.
    """
    groups = [{"model": name} | row for name, summary in compared.summaries.items() for row in summary["groups"]]
    return {"models.csv": model_rows(compared.summaries), "groups.csv": groups}
