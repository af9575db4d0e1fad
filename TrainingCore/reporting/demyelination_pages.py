"""Sections after Wei et al. 2018: DVR by region and by person, and demyelinated share of each lesion load."""

from __future__ import annotations

from typing import Any

from ..evaluation.compared import ComparedModels
from ..evaluation.demyelination import REGIONS, group_comparison
from ..evaluation.task import Row
from .demyelination_figures import people_figure, regions_figure, shares_figure
from .document import Report


def demyelination_section(report: Report, compared: ComparedModels) -> None:
    """Add figures 4 and 5 (A) of the paper: DVR by region with p values and by person, and demyelinated shares.

    Args:
        report: report to extend.
        compared: results of all models.
    """
    visits = {name: rows["visits"] for name, rows in compared.rows.items()}
    rows: list[Any] = []
    for name, result in visits.items():
        for kind, groups in group_comparison(result).items():
            if kind == "measured" and rows:
                continue  # the same for every model
            row: Row = {"map": "measured" if kind == "measured" else name}
            for region in REGIONS:
                mean, sd = groups[f"{region}_mean"], groups[f"{region}_sd"]
                row[region] = "–" if mean is None else f"{mean:.3f}" + ("" if sd is None else f" ({sd:.3f})")
            row |= {"p NAWM / control": groups["p_nawm_against_control"]}
            rows.append(row | {"p lesions / NAWM": groups["p_lesions_against_nawm"]})
    report.add_heading("DVR by region")
    report.add_table(
        rows,
        "Mean (SD) over people. p: Mann-Whitney test (between groups) and Wilcoxon signed-rank test (within people). "
        "In the paper: no difference between groups, p < 0.0001 within people.",
        formats={"p NAWM / control": "{:.2g}", "p lesions / NAWM": "{:.2g}"},
    )
    for name, result in visits.items():
        report.add_figure(
            regions_figure(result, group_comparison(result)),
            f"{name}: DVR by region.",
            f"Box plots of DVR by region, {name}",
        )
    report.add_heading("DVR of every person")
    for name, result in visits.items():
        report.add_figure(
            people_figure(result),
            f"{name}: mean DVR of every visit, measured and synthetic.",
            f"Line plot of mean DVR in white matter and lesions by person, {name}",
        )
    if not any(row.get("measured_percent") is not None for result in visits.values() for row in result):
        report.add_text("No demyelination maps, because their threshold needs the white matter of controls.")
        return
    report.add_heading("Demyelinated voxels")
    for name, result in visits.items():
        report.add_figure(
            shares_figure(result),
            f"{name}: demyelinated share of the lesion load.",
            f"Bars of the demyelinated share of each patient's lesion load, {name}",
        )
