"""Figure 5 of Genc et al. 2022 from our own rows: is a synthetic image more like the target than its input was?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from ..data.case import title_of
from ..evaluation.compared import ComparedModels
from .document import Report
from .figures import INK, MEASURED, SOFT, SYNTHETIC, TRUTH, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Visits = Mapping[str, Sequence[Mapping[str, Any]]]
PLACES = {"ssim_brain": "whole brain", "ssim_lesion": "lesion"}
MARKERS = (("o", SYNTHETIC), ("s", MEASURED), ("^", TRUTH), ("x", INK))


def _before_and_after(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(input against target, synthetic against target) of every visit that has both."""
    result = [(row.get(f"untouched_{key}"), row.get(key)) for row in rows]
    return [(before, after) for before, after in result if before is not None and after is not None]


def models_of(visits: Visits) -> Visits:
    """Leave out the comparator that takes the input for the target.

    Args:
        visits: visit rows by recipe or model.

    Returns:
        Rows of those that synthesize an image.
    """
    return {
        name: rows
        for name, rows in visits.items()
        if any(synthetic != untouched for synthetic, untouched in _before_and_after(rows, "ssim_brain"))
    }


def similarity_figure(visits: Visits) -> Figure:
    """SSIM of the synthetic image against that of the input, a point per visit, a panel for brain and for lesion.

    Above the diagonal the synthetic image is closer.

    Args:
        visits: recipe -> rows with `ssim_*` and `untouched_ssim_*`.
    """
    figure, axes = new_figure(8.4, 4.9, ncols=len(PLACES))
    for axis, (key, title) in zip(axes[0], PLACES.items()):
        ends = [0.0, 1.0]
        for (name, rows), (marker, colour) in zip(visits.items(), cycle(MARKERS)):
            pairs = _before_and_after(rows, key)
            ends += [value for pair in pairs for value in pair]
            if pairs:
                axis.scatter(*zip(*pairs), s=26, marker=marker, color=colour, alpha=0.75, label=name.replace("_", " "))
        limits = (min(ends) - 0.03, max(ends) + 0.03)
        axis.plot(limits, limits, color=SOFT, linewidth=0.8, zorder=0)
        axis.set(xlim=limits, ylim=limits, xlabel="SSIM, input and target", ylabel="SSIM, synthetic and target")
        axis.set_title(title)
        axis.set_aspect("equal")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return figure


def translation_section(report: Report, compared: ComparedModels) -> None:
    """Add similarity of synthetic image and target beside that of input and target, as the paper draws it.

    Args:
        report: report to extend.
        compared: results of all models; without a model that synthesizes an image nothing is added.
    """
    models = models_of({name: rows["visits"] for name, rows in compared.rows.items()})
    if not models:
        return
    source = next(row["untouched"] for rows in models.values() for row in rows)
    table = []
    for name, rows in models.items():
        row: dict[str, Any] = {"recipe": name}
        for key, title in PLACES.items():
            pairs = _before_and_after(rows, key)
            row[title] = f"{sum(after > before for before, after in pairs)} of {len(pairs)}"
        table.append(row)
    report.add_heading("Synthetic and target beside input and target")
    report.add_table(
        table,
        f"Visits whose synthetic image is more like the target (SSIM) than the {title_of(source)} it was made from. "
        "The paper: in the brain of most of its scans.",
    )
    report.add_figure(
        similarity_figure(models),
        "One point per visit; above the line the synthetic image is closer to the target than its input. SSIM on axial "
        "slices, mean over the mask.",
        "Scatter plots of SSIM of synthetic images against SSIM of their inputs, in the brain and in the lesion",
    )
