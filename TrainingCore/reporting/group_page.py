"""Group page of a study: failures and outliers, distributions and associations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import SIMULATED
from ..evaluation.plausibility import Finding
from ..imaging.robust import median_and_sd
from ..study.associations import MIN_GROUP, MIN_PEOPLE, cell_number, people_of_several_levels, person_means
from . import figures
from .document import SIMULATED_PATIENT, Report
from .plausibility_tables import CAPTION, pooled_plausibility_rows
from .result_tables import p_cell

Row = dict[str, Any]
PERCENTILES = (0, 25, 50, 75, 100)
SHOWN = ("lesion_dvr", "nawm_dvr", "lesion_to_nawm", "lesion_load_ml", "demyelinated_share", "brain_ml")
NEVER_MISSED = ("qc", "session_id", "lesions_rejected")  # columns that may be empty
OUTLIER_MADS = 3.5  # (ours) robust z beyond which a visit is listed: Iglewicz and Hoaglin 1993
TICKS = 3  # intervals on an axis: labels of nearly equal values are long
MAPS_ARE_SYNTHETIC = "All DVR values on this page are synthetic: computed from MRI by a network, not measured by PET."


def write_group_page(
    path: Path,
    rows: Sequence[Row],
    failed: Sequence[Row],
    tables: dict[str, list[Row]],
    covariates: Sequence[str],
    results: Path,
    titles: Mapping[str, str],
    findings: Mapping[str, Sequence[Finding]],
) -> None:
    """Write group.html.

    Args:
        path: file to write.
        rows: one row per visit with a map, as in group.tsv.
        failed: visits without a map and the reason.
        tables: rows of the `associations` and `groups` tables.
        covariates: columns that the associations are adjusted for.
        results: folder of the Results, for pictures of flagged visits.
        titles: of the measures, for people.
        findings: plausibility of each map, by label of the visit.
    """
    report = Report("Synthetic myelin maps of a study", _banners(rows))
    people = len({row["participant_id"] for row in rows})
    who = "1 person" if people == 1 else f"{people} people"
    report.add_text(f"{MAPS_ARE_SYNTHETIC} {_visits(len(rows))} of {who} with a map.")
    unchecked = [row for row in rows if row["lesion_source"] == "found" and row["lesions_rejected"] is None]
    if unchecked:
        report.add_text(f"In {_visits(len(unchecked))} the lesions were found automatically and not reviewed yet.")
    report.add_heading("Quality control")
    report.add_table([dict(row) for row in failed], "Visits without a map, and maps that are left out.")
    flagged = outliers(rows, titles)
    report.add_table(flagged, f"Outliers (more than {OUTLIER_MADS:g} robust SD from the median) and QC flags.")
    _add_pictures(report, [results / row["visit"] for row in flagged])
    report.add_table(
        pooled_plausibility_rows(findings), f"Plausibility of the maps as they were made, before any review. {CAPTION}"
    )
    report.add_heading("Distributions")
    report.add_figure(
        _distributions(rows, titles), "One point per visit, line: median.", "Distributions of the measures"
    )
    used = [*dict.fromkeys(row["outcome"] for kind in ("associations", "groups") for row in tables[kind]), *covariates]
    report.add_table(
        describe(rows, [*SHOWN, *used], titles),
        "Visits with a value, median, quartiles and range; of text, the visits of each kind.",
    )
    report.add_table(missing(rows, titles), "Missing values. A person's first session has no change.")
    _add_associations(report, tables, covariates, rows, titles)
    report.write(path)


def _banners(rows: Sequence[Row]) -> list[str]:
    """Whether the model was trained on simulated patients, and whether visits are of simulated patients."""
    banners = []
    if any(row["simulated_training_data"] for row in rows):
        banners.append(f"{SIMULATED}: the model was trained on simulated patients only.")
    count = sum(row["simulated_patient"] for row in rows)
    if count:
        banners.append(SIMULATED_PATIENT + ("" if count == len(rows) else f" ({count} of {len(rows)} visits)"))
    return banners


def visit_of(row: Row) -> str:
    """Return the label of a row's visit, as its Result folder is named: sub-01_ses-1, or sub-01 without sessions.

    Args:
        row: row of the study table.
    """
    return "_".join(filter(None, [row["participant_id"], row["session_id"]]))


def _visits(count: int) -> str:
    return "1 visit" if count == 1 else f"{count} visits"


def _add_pictures(report: Report, results: Sequence[Path]) -> None:
    """Add slices of the flagged visits; a Result that was moved away has none."""
    from .group_pictures import SHOWN as PICTURES
    from .group_pictures import visits_figure

    there = [path for path in results if path.is_dir()]
    if there:
        more = f" The first {PICTURES} of {len(there)}." if len(there) > PICTURES else ""
        caption = f"Synthetic DVR of these visits, slice with the most lesion (outlined).{more}"
        report.add_figure(visits_figure(there[:PICTURES]), caption, "Axial slices of the visits listed above")


def outliers(rows: Sequence[Row], titles: Mapping[str, str]) -> list[Row]:
    """List visits with outlying measures or a QC flag.

    Args:
        rows: one row per visit.
        titles: title by name of a measure.

    Returns:
        {visit, why} of every such visit.
    """
    reasons: dict[int, list[str]] = {index: [row["qc"]] if row["qc"] else [] for index, row in enumerate(rows)}
    for name in SHOWN:
        values = np.array([np.nan if row[name] is None else float(row[name]) for row in rows])
        known = values[np.isfinite(values)]
        if not known.size:
            continue
        middle, spread = median_and_sd(known)
        if spread > 0:
            for index in np.flatnonzero(np.abs(values - middle) > OUTLIER_MADS * spread):
                reasons[int(index)].append(f"{titles[name]} {values[index]:.3g}")
    return [
        {"visit": visit_of(row), "why": "; ".join(reasons[index])} for index, row in enumerate(rows) if reasons[index]
    ]


def missing(rows: Sequence[Row], titles: Mapping[str, str]) -> list[Row]:
    """Count missing values.

    Args:
        rows: one row per visit.
        titles: title by name of a measure; other columns keep their names.

    Returns:
        {column, missing, of} of every column with missing values.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in NEVER_MISSED))
    counts = {name: sum(row.get(name) is None for row in rows) for name in columns}
    return [
        {"column": titles.get(name, name), "missing": count, "of": len(rows)} for name, count in counts.items() if count
    ]


def describe(rows: Sequence[Row], columns: Sequence[str], titles: Mapping[str, str]) -> list[Row]:
    """Describe columns of the table.

    Args:
        rows: one row per visit.
        columns: measures and columns of participants.tsv, numeric or text.
        titles: of the measures, for people.

    Returns:
        {measure, visits, median, quartiles, range} of each column; of text, {measure, visits, values}.
    """
    described: list[Row] = []
    for name in dict.fromkeys(columns):
        known = [row[name] for row in rows if row.get(name) is not None]
        row: Row = {"measure": titles.get(name, name), "visits": len(known)}
        if known and np.isfinite([cell_number(content) for content in known]).all():
            low, first, middle, third, high = np.percentile([cell_number(content) for content in known], PERCENTILES)
            row |= {"median": f"{middle:.4g}", "quartiles": f"{first:.4g} to {third:.4g}"}
            row |= {"range": f"{low:.4g} to {high:.4g}", "values": ""}
        else:
            counts = {content: known.count(content) for content in sorted(set(known))}
            row |= {"median": "", "quartiles": "", "range": ""}
            row["values"] = ", ".join(f"{content} {count}" for content, count in counts.items())
        described.append(row)
    return described


def _distributions(rows: Sequence[Row], titles: Mapping[str, str]) -> Any:
    """Draw a strip plot of every measure."""
    figure, axes = figures.new_figure(9.0, 4.6, nrows=2, ncols=3)
    rng = np.random.default_rng(0)
    for axis, name in zip(axes.ravel(), SHOWN):
        values = np.array([row[name] for row in rows if row[name] is not None], float)
        axis.scatter(values, rng.uniform(-0.3, 0.3, len(values)), s=12, color=figures.SYNTHETIC, alpha=0.7)
        if len(values):
            axis.axvline(float(np.median(values)), color=figures.INK, linewidth=1)
        axis.set(xlabel=titles[name], yticks=[], ylim=(-1, 1))
        axis.locator_params(axis="x", nbins=TICKS)
        axis.ticklabel_format(axis="x", style="plain", useOffset=False)
    return figure


def _add_associations(
    report: Report,
    tables: dict[str, list[Row]],
    covariates: Sequence[str],
    rows: Sequence[Row],
    titles: Mapping[str, str],
) -> None:
    if not tables["associations"] and not tables["groups"]:
        return
    adjusted = f", adjusted for {', '.join(covariates)}" if covariates else ""
    report.add_heading("Associations").add_text(
        "The unit of analysis is the person. Correlations are of person means, with 95 % intervals from a bootstrap of "
        "people; beta is from a linear mixed model over all visits (random intercept per person), in "
        f"SD{adjusted}. Group comparisons are not adjusted. q: p corrected for all rows of the table (Benjamini and "
        "Hochberg 1995). An association is no evidence of causation. Not estimable: fewer than "
        f"{MIN_PEOPLE + len(covariates)} people with all values ({MIN_PEOPLE} and one per covariate), fewer than "
        f"{MIN_GROUP} people in a group, or no variation."
    )
    constant = [name for name in covariates if len({row.get(name) for row in rows} - {None}) == 1]
    for name in constant:
        report.add_text(f"{name} has the same value in all visits, so adjusting for it has no effect.")
    report.add_table(
        [_association(row, titles) for row in tables["associations"]], "Spearman correlations and mixed model."
    )
    groups = [
        {
            "measure": titles[row["measure"]],
            **{key: row[key] for key in ("groups", "people", "difference")},
            "Hedges' g [95 %]": figures.with_interval(row["g"], row["g_low"], row["g_high"]),
            "p": p_cell(row["p"]),
            "q": p_cell(row["q"]),
        }
        for row in tables["groups"]
    ]
    if groups:
        report.add_table(groups, "Group comparisons.")
    for name in dict.fromkeys(row["outcome"] for row in tables["groups"]):
        if both := people_of_several_levels(rows, name):
            report.add_text(
                f"{name} is not the same in all visits of {len(both)} people. They are in no group: the test is for "
                "groups of different people."
            )
    for outcome in dict.fromkeys(row["outcome"] for row in tables["associations"]):
        report.add_figure(
            _scatter(rows, outcome, titles), f"Person means against {outcome}.", f"Lesion DVR against {outcome}"
        )


def _association(row: Row, titles: Mapping[str, str]) -> Row:
    return {
        "measure": titles[row["measure"]],
        "outcome": row["outcome"],
        "people": row["people"],
        "visits": row["visits"],
        "missing": row["missing"],
        "rho [95 %]": figures.with_interval(row["rho"], row["low"], row["high"]),
        "adjusted rho [95 %]": figures.with_interval(row["partial_rho"], row["partial_low"], row["partial_high"]),
        "beta [95 %]": figures.with_interval(row["beta"], row["beta_low"], row["beta_high"]),
        "p": p_cell(row["p"]),
        "q": p_cell(row["q"]),
    }


def _scatter(rows: Sequence[Row], outcome: str, titles: Mapping[str, str]) -> Any:
    """Plot lesion and NAWM DVR of each person against an outcome."""
    figure, axes = figures.new_figure(8.0, 3.4, ncols=2)
    for axis, measure in zip(axes[0], ("lesion_dvr", "nawm_dvr")):
        values = np.array([[cell_number(row[measure]), cell_number(row.get(outcome))] for row in rows])
        _, means = person_means([row["participant_id"] for row in rows], values)
        axis.scatter(means[:, 1], means[:, 0], s=16, color=figures.SYNTHETIC)
        axis.set(xlabel=outcome, ylabel=titles[measure])
    return figure
