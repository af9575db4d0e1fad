"""Report of the change between two visits: both maps, their difference, and every lesion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import SIMULATED
from ..data.lesion_columns import change_columns, formats, titles
from .change_words import SHOWN_DIFFERENCE, describe_changes
from .document import SIMULATED_PATIENT, Report
from .figures import new_figure
from .patient_report import choose_levels

Row = dict[str, Any]


def write_change_report(
    path: Path,
    rows: Sequence[Row],
    summary: dict[str, Any],
    dvr: tuple[np.ndarray, np.ndarray],
    lesions: np.ndarray,
) -> None:
    """Write report.html.

    Args:
        path: file to write.
        rows: table of lesions.
        summary: content of change.json.
        dvr: maps before and after on the half-way grid, (I, J, K).
        lesions: lesions of either visit, bool, (I, J, K).
    """
    banners = []
    if summary["simulated_training_data"]:
        banners.append(f"{SIMULATED}: the model was not trained on measured PET of patients.")
    if summary["simulated_patient"]:
        banners.append(SIMULATED_PATIENT)
    report = Report("Change between two visits", banners)
    report.add_text(describe_changes(summary))
    report.add_figure(
        slices(dvr, lesions),
        "Synthetic DVR before, after, and after minus before; lesions of either visit outlined. Axial slices, the "
        "patient's right on the left.",
        "Axial slices of the two maps and of their difference",
    )
    if summary["lesions"] is not None:
        _add_lesions(report, rows)
    report.write(path)


def _add_lesions(report: Report, rows: Sequence[Row]) -> None:
    report.add_heading("Lesions")
    ordered = [_spaced(row) for row in sorted(rows, key=lambda row: abs(row["difference"] or 0.0), reverse=True)]
    columns = change_columns()
    names = [column.name for column in columns]
    caption = "Sorted by size of the difference."
    report.add_table(ordered, caption, names, titles(columns), formats(columns), missing="\N{EN DASH}")


def _spaced(row: Row) -> Row:
    """A row whose lists of labels (`3+5+12`) can be wrapped, so that the table fits the page."""
    return row | {name: str(row[name]).replace("+", " + ") for name in ("before", "after") if row.get(name)}


def slices(dvr: tuple[np.ndarray, np.ndarray], lesions: np.ndarray) -> Any:
    """Draw before, after and difference in rows; columns are the axial levels with the most lesion.

    Args:
        dvr: maps before and after, (I, J, K) on a grid along the world axes, RAS; 0 outside the brain.
        lesions: lesions of either visit, same grid; any number above 0.

    Returns:
        The figure; the patient's right is on the left.
    """
    dvr, lesions = (dvr[0][::-1], dvr[1][::-1]), lesions[::-1]
    inside = (dvr[0] > 0) & (dvr[1] > 0)
    levels = choose_levels(inside, lesions)
    figure, axes = new_figure(2.2 * len(levels), 6.8, nrows=3, ncols=len(levels))
    images = [*dvr, np.where(inside, dvr[1] - dvr[0], np.nan)]
    scales: list[dict[str, Any]] = [{"cmap": "viridis", "vmin": 0.6, "vmax": 1.4}] * 2
    scales.append({"cmap": "RdBu", "vmin": -SHOWN_DIFFERENCE, "vmax": SHOWN_DIFFERENCE})
    for line, (image, scale, title) in enumerate(zip(images, scales, ("before", "after", "after - before"))):
        for column, level in enumerate(levels):
            axis = axes[line, column]
            drawn = axis.imshow(np.where(inside, image, np.nan)[:, :, level].T, origin="lower", **scale)
            if lesions[:, :, level].any():
                axis.contour(lesions[:, :, level].T, [0.5], colors="magenta", linewidths=0.5)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[line, 0].set_ylabel(title)
        figure.colorbar(drawn, ax=axes[line].tolist(), shrink=0.8, label="DVR")
    return figure
