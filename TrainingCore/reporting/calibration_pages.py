"""Does a model know where it is wrong? The answer in words, and error against uncertainty as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def calibration_in_words(found: Row) -> str:
    """The answer in a sentence or two."""
    rho = figures.with_interval(found["rho"], found["low"], found["high"])
    first, last = found["parts"][0], found["parts"][-1]
    if found["low"] is not None and found["low"] > 0:
        answer = "Lesions with a high uncertainty have larger errors."
    elif found["high"] is not None and found["high"] < 0:
        answer = "Lesions with a high uncertainty have smaller errors: it must not be trusted."
    else:
        answer = "The uncertainty does not tell lesions with large errors from others here."
    times = (
        ""
        if found["ratio"] is None
        else f" The error is {found['ratio']:.1f} times the uncertainty (root mean squares); {found['within_95']:.0%} "
        "of the errors lie within 1.96 uncertainties (95 % if it is calibrated)."
    )
    return (
        f"{answer} Spearman's rho of uncertainty and absolute error: {rho} (exact SDs would reach "
        f"{figures.number(found['attainable'])}), {found['n']} lesions of {found['people']} people. Mean error "
        f"{first['error']:.3f} in the surest third, {last['error']:.3f} in the least sure.{times}"
    )


def calibration_figure(lesions: Sequence[Row], found: Row) -> Figure:
    """Absolute error against uncertainty, a point per lesion; large points: means of the three parts."""
    rows = [row for row in lesions if row.get("uncertainty") is not None and _has_means(row)]
    figure, axes = figures.new_figure(4.8, 4.0)
    axis = axes[0, 0]
    x = [row["uncertainty"] for row in rows]
    y = [abs(row["mean_dvr"] - row["measured_mean_dvr"]) for row in rows]
    axis.scatter(x, y, s=10, color=figures.SYNTHETIC, alpha=0.5, linewidth=0)
    axis.plot([part["uncertainty"] for part in found["parts"]], [part["error"] for part in found["parts"]], "o-",
              color=figures.INK, markersize=7)  # fmt: skip
    end = max([*x, *y])
    axis.plot([0, end], [0, end], color=figures.SOFT, linewidth=1)
    axis.set(xlabel="uncertainty (SD of mean DVR)", ylabel="absolute error of mean DVR")
    return figure


def _has_means(row: Row) -> bool:
    return None not in (row.get("mean_dvr"), row.get("measured_mean_dvr"))
