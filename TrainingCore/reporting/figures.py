"""Pictures of an evaluation: agreement, groups, models side by side. Slices to look at are in slice_figures.

Every figure is a matplotlib Figure of its own, drawn without a display and without global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation.cases import TISSUES
from ..evaluation.summary import column
from ..runtime.numerals import MISSING, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DVR_WINDOW = (0.6, 1.4)  # grey matter 1.0, white matter 1.2, a demyelinated lesion below 1.0: the same in every picture
DVR_MAP = "viridis"  # perceptually uniform, readable with colour blindness and in grey print
DIFFERENCE_WINDOW = (-0.3, 0.3)
DIFFERENCE_MAP = "RdBu_r"
OUTLINE = "#ff3df2"  # seen on viridis, on grey and on the difference map
MEASURED, SYNTHETIC, TRUTH, INK, SOFT = "#4477aa", "#cc6633", "#228855", "#1c2430", "#7a8694"
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "axes.grid": False,
}
TISSUE_TITLES = {"lesion": "lesions", "nawm": "NAWM", "grey": "grey matter"}
TISSUES_OF_CONTROLS = {"nawm": "white matter"}  # without disease nothing only appears normal
GROUP_TITLES = {"patient": "patients", "control": "controls"}


def new_figure(width: float, height: float, **subplots: Any) -> tuple[Figure, np.ndarray]:
    """Create a figure in the style of all reports.

    Args:
        width: inches.
        height: inches.
        **subplots: arguments of matplotlib's Figure.subplots.

    Returns:
        The figure, and an array (rows, columns) of axes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(squeeze=False, **subplots)
    return figure, axes


def tissue_title(tissue: str, group: str) -> str:
    """Name a tissue as it is called in a group: the white matter of controls is not "normal-appearing".

    Args:
        tissue: `lesion`, `nawm` or `grey`.
        group: `patient`, `control`, or empty.

    Returns:
        Name for people.
    """
    named = TISSUES_OF_CONTROLS if group == "control" else {}
    return named.get(tissue, TISSUE_TITLES[tissue])


def number_text(value: float | None, form: str = "{:.2f}") -> str:
    """Format a number for people, with a real minus sign.

    Args:
        value: the number, or None.
        form: format for str.format.

    Returns:
        The number; `not estimable` for None.
    """
    return MISSING if value is None else format_number(value, form).replace("-", "\N{MINUS SIGN}")


def with_interval(value: float | None, low: float | None, high: float | None, form: str = "{:.2f}") -> str:
    """Format a number with its interval, as `0.70 [0.61, 0.78]`.

    Args:
        value: the estimate, or None.
        low: lower end, or None for no interval.
        high: upper end, or None for no interval.
        form: format for str.format.

    Returns:
        The text, without brackets if there is no interval.
    """
    if value is None or low is None or high is None:
        return number_text(value, form)
    return f"{number_text(value, form)} [{number_text(low, form)}, {number_text(high, form)}]"


def p_value(p: float | None) -> str:
    """Format a p value as the paper prints it.

    Args:
        p: p value, or None.

    Returns:
        `p = 0.012`, `p < 0.00001` or `p not estimable`.
    """
    if p is None:
        return f"p {MISSING}"
    return "p < 0.00001" if p < 1e-5 else f"p = {p:.2g}" if p < 0.001 else f"p = {p:.3f}"


def agreement_figure(points: Mapping[str, Sequence[Mapping[str, Any]]], summary: Mapping[str, Any]) -> Figure:
    """Scatter of synthetic against measured mean DVR with the identity line, lesion level left, patient level right.

    Args:
        points: level -> rows with measured, synthetic, volume_mm3 (see `summary.levels`).
        summary: see `summarise`.
    """
    figure, axes = new_figure(9.0, 4.7, ncols=2)
    names = (("lesion", "lesions"), ("patient", "patients"))
    for axis, (level, title) in zip(axes[0], names):
        rows, result = points[level], summary[level]
        x, y = column(rows, "measured"), column(rows, "synthetic")
        keep = np.isfinite(x) & np.isfinite(y)
        low, high = _limits(x[keep], y[keep])
        axis.plot([low, high], [low, high], color=SOFT, linewidth=1, linestyle="--", zorder=1, label="identity")
        _regression_line(axis, x[keep], result["bland_altman"])
        size = 16 if level == "lesion" else 36
        axis.scatter(x[keep], y[keep], s=size, color=MEASURED, alpha=0.55, edgecolor="white", linewidth=0.3, zorder=3)
        axis.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="measured mean DVR")
        axis.set_ylabel("synthetic mean DVR")
        axis.legend(loc="upper left", frameon=False, fontsize=9)
        _say_if_empty(axis, x[keep], title)
        ceiling = "" if result["r_ceiling"] is None else f"\nnoise ceiling r = {result['r_ceiling']:.2f}"
        axis.set_title(
            f"{result['n']} {title}: r = {with_interval(result['r'], result['r_low'], result['r_high'])}, "
            f"{p_value(result['p'])}{ceiling}",
            fontsize=9.5,
        )
    return figure


def _say_if_empty(axis: Axes, x: np.ndarray, title: str) -> None:
    if x.size == 0:
        axis.text(0.5, 0.6, f"no {title} to show", transform=axis.transAxes, ha="center", color=SOFT)


def _limits(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    both = np.concatenate([x, y])
    if both.size == 0:
        return DVR_WINDOW
    low, high = float(both.min()), float(both.max())
    room = max(0.06 * (high - low), 0.01)
    return low - room, high + room


def _regression_line(axis: Axes, x: np.ndarray, line: Mapping[str, Any]) -> None:
    if line["slope"] is None or x.size == 0:
        return
    ends = np.array([x.min(), x.max()])
    axis.plot(
        ends, line["slope"] * ends + line["intercept"], color=SYNTHETIC, linewidth=1.6, zorder=2, label="least squares"
    )


def bland_altman_figure(points: Mapping[str, Sequence[Mapping[str, Any]]], summary: Mapping[str, Any]) -> Figure:
    """Plot synthetic - measured against their mean, with bias and 95 % limits; lesion level left, patient level right.

    Args:
        points: rows {measured, synthetic} by level (`lesion`, `patient`).
        summary: summary of the model, with `bland_altman` of each level.

    Returns:
        The figure.
    """
    figure, axes = new_figure(9.0, 4.0, ncols=2)
    for axis, (level, title) in zip(axes[0], (("lesion", "lesions"), ("patient", "patients"))):
        rows, result = points[level], summary[level]["bland_altman"]
        x, y = column(rows, "measured"), column(rows, "synthetic")
        axis.scatter(
            (x + y) / 2,
            y - x,
            s=16 if level == "lesion" else 36,
            color=MEASURED,
            alpha=0.55,
            edgecolor="white",
            linewidth=0.3,
        )
        axis.axhline(0, color=SOFT, linewidth=0.8)
        for key, style in (("bias", "-"), ("lower_limit", "--"), ("upper_limit", "--")):
            if result[key] is not None:
                axis.axhline(result[key], color=SYNTHETIC, linewidth=1.3, linestyle=style)
                axis.annotate(
                    number_text(result[key], "{:+.3f}"),
                    (1, result[key]),
                    xycoords=("axes fraction", "data"),
                    xytext=(-2, -11 if key == "bias" and result[key] < 0 else 3),
                    textcoords="offset points",
                    ha="right",
                    fontsize=9,
                    color=SYNTHETIC,
                )
        _say_if_empty(axis, x[np.isfinite(x + y)], title)
        axis.margins(x=0.1, y=0.15)
        axis.set_title(f"{result['n']} {title}: bias and 95 % limits of agreement", fontsize=9.5)
        axis.set(xlabel="mean of measured and synthetic DVR", ylabel="synthetic \N{MINUS SIGN} measured DVR")
    return figure


def groups_figure(visits: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw box plots over visits of the mean DVR in lesions, NAWM and grey matter: measured, synthetic, noise-free.

    Args:
        visits: visit rows of one model.

    Returns:
        The figure; a tissue without measured values in a group has no box.
    """
    kinds = [("measured", MEASURED), ("synthetic", SYNTHETIC), ("clean", TRUTH)]
    kinds = [pair for pair in kinds if any(visit[f"{pair[0]}_nawm"] is not None for visit in visits)]
    groups = sorted({str(visit["group"]) for visit in visits}, reverse=True)
    boxes = [(group, tissue) for group in groups for tissue in TISSUES]
    boxes = [(g, t) for g, t in boxes if np.isfinite(_values(visits, g, f"measured_{t}")).any()]
    figure, axes = new_figure(max(5.0, 1.4 * len(boxes) + 1.8), 4.2)
    axis = axes[0, 0]
    width = 0.8 / max(len(kinds), 1)
    for row, (kind, colour) in enumerate(kinds):
        positions = np.arange(len(boxes)) + (row - (len(kinds) - 1) / 2) * width
        series = [_values(visits, group, f"{kind}_{tissue}") for group, tissue in boxes]
        _boxes(axis, series, positions, 0.8 * width, colour)
        label = "noise-free truth" if kind == "clean" else kind
        axis.plot([], [], color=colour, marker="s", linestyle="", label=label)
    titles = [
        tissue_title(tissue, group) + (f"\n{GROUP_TITLES.get(group, group)}" if group else "")
        for group, tissue in boxes
    ]
    axis.set_xticks(range(len(boxes)), titles)
    axis.set_ylabel("mean DVR of a visit")
    if kinds:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=len(kinds), frameon=False)
    return figure


def _values(visits: Sequence[Mapping[str, Any]], group: str, name: str) -> np.ndarray:
    values = column([visit for visit in visits if str(visit["group"]) == group], name)
    return values[np.isfinite(values)]


def _boxes(axis: Axes, series: list[np.ndarray], positions: np.ndarray, width: float, colour: str) -> None:
    """Boxes with every visit as a point beside, spread without chance."""
    drawn = axis.boxplot(
        series, positions=positions, widths=width, showfliers=False, manage_ticks=False, patch_artist=True
    )
    for box in drawn["boxes"]:
        box.set(facecolor="white", edgecolor=colour, linewidth=1.2)
    for part in ("whiskers", "caps", "medians"):
        for line in drawn[part]:
            line.set(color=colour, linewidth=1.8 if part == "medians" else 1.1)
    for position, values in zip(positions, series):
        spread = (np.arange(values.size) * 0.618 % 1 - 0.5) * width * 0.7
        axis.scatter(position + spread, values, s=9, color=colour, alpha=0.5, linewidth=0, zorder=3)


def models_figure(summaries: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Plot lesion and patient r of every model with its interval by patient, and the noise ceiling as a line.

    Args:
        summaries: summary by name of the model.

    Returns:
        The figure.
    """
    figure, axes = new_figure(9.0, 1.3 + 0.42 * len(summaries), ncols=2, sharey=True)
    names = list(summaries)
    for axis, level in zip(axes[0], ("lesion", "patient")):
        result = [summaries[name][level] for name in names]
        for row, fit in enumerate(result):
            if fit["r"] is None:
                axis.annotate(MISSING, (0.02, row), xycoords=("axes fraction", "data"), color=SOFT, va="center")
                continue
            if fit["r_low"] is not None:
                axis.plot([fit["r_low"], fit["r_high"]], [row, row], color=MEASURED, linewidth=2)
            axis.plot(fit["r"], row, marker="o", color=MEASURED, markersize=7)
        ceilings = [fit["r_ceiling"] for fit in result if fit["r_ceiling"] is not None]
        if ceilings:
            axis.axvline(ceilings[0], color=TRUTH, linestyle="--", linewidth=1.2)
            axis.annotate(
                "noise ceiling",
                (ceilings[0], 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3, 2),
                textcoords="offset points",
                color=TRUTH,
                ha="right",
                fontsize=9,
            )
        axis.set_xlabel(f"{level} level Pearson r, 95 % interval by patient")
        axis.locator_params(axis="x", nbins=5)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.6)
        axis.grid(axis="x", color="#e3e7ec", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure
